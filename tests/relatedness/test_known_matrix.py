"""Every form of a known matrix gives the same model, and what cannot be matched is told by name."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import sparse

import ranef as rf
from ranef.relatedness.known_matrix import resolve

LEVELS = ("a", "b", "c")
V = np.array([[2.0, 0.5, 0.0], [0.5, 1.0, 0.3], [0.0, 0.3, 1.5]])
FRAME = pd.DataFrame(V, LEVELS, LEVELS)
# Rounding of inverses of well conditioned matrices with a few rows.
ROUNDING = 1e-12


def covariance_of(known):
    """Covariance of the levels with data, whichever form is held."""
    if known.covariance is not None:
        return known.covariance
    return np.linalg.inv(known.precision.toarray())


@pytest.mark.parametrize(
    "given",
    [
        V,
        FRAME,
        FRAME.loc[["c", "a", "b"], ["b", "c", "a"]],
        FRAME.reset_index(drop=True),
        FRAME.reset_index(),
        pl.DataFrame(dict(zip(LEVELS, V, strict=True))),
        sparse.csr_matrix(V),
        sparse.coo_array(V),
        rf.precision_matrix(np.linalg.inv(V)),
        rf.precision_matrix(sparse.csc_matrix(np.linalg.inv(V)[::-1][:, ::-1]), levels="cba"),
        rf.precision_matrix(pd.DataFrame(np.linalg.inv(V), LEVELS, LEVELS).loc[["b", "c", "a"]]),
    ],
    ids=lambda given: type(given).__name__,
)
def test_forms_agree(given):
    known = resolve(given, LEVELS, structure="propto")
    assert known.levels == LEVELS
    np.testing.assert_allclose(covariance_of(known), V, atol=ROUNDING)
    assert known.log_det_precision == pytest.approx(-np.linalg.slogdet(V)[1], abs=ROUNDING)


def test_levels_without_data_leave_a_covariance_and_stay_in_a_precision():
    known = resolve(FRAME, ["c", "a"], structure="propto")
    np.testing.assert_array_equal(known.covariance, V[np.ix_([2, 0], [2, 0])])
    known = resolve(rf.precision_matrix(np.linalg.inv(V), LEVELS), ["c", "a"], structure="propto")
    assert known.levels == ("c", "a", "b")
    np.testing.assert_allclose(covariance_of(known)[:2, :2], V[np.ix_([2, 0], [2, 0])], atol=ROUNDING)


def test_pedigree_keeps_ancestors_as_latent_levels():
    family = rf.pedigree({"id": ["d", "e", "x"], "sire": ["a", "d", "a"], "dam": ["b", "c", "c"]})
    known = resolve(family, ["e", "a"], structure="propto")
    assert known.levels[:2] == ("e", "a")
    assert set(known.levels) == {"e", "a", "b", "c", "d"}  # x is nobody's ancestor
    whole = family.relationship()
    place = [family.levels.index(level) for level in known.levels]
    np.testing.assert_allclose(covariance_of(known), whole[np.ix_(place, place)], atol=ROUNDING)
    sign, log_determinant = np.linalg.slogdet(known.precision.toarray())
    assert sign == 1
    assert known.log_det_precision == pytest.approx(log_determinant, abs=ROUNDING)


def test_phylogeny_keeps_inner_nodes_as_latent_levels():
    tree = rf.phylogeny("(((a:1,b:1):1,c:2):1,(d:1,e:1):2);")
    known = resolve(tree, ["c", "a", "d"], structure="propto")
    assert known.levels[:3] == ("c", "a", "d")
    place = [tree.tips.index(level) for level in known.levels[:3]]
    expected = tree.covariance()[np.ix_(place, place)]
    np.testing.assert_allclose(covariance_of(known)[:3, :3], expected, atol=ROUNDING)


def test_neighbourhood_gives_its_laplacian():
    graph = rf.adjacency({"x": list("abcp"), "y": list("bcaq")})
    known = resolve(graph, ["c", "a", "p"], structure="icar")
    assert known.levels == ("c", "a", "p", "b", "q")
    eigenvalues = np.linalg.eigvalsh(known.precision.toarray())
    positive = eigenvalues[eigenvalues > 1e-9]
    assert len(positive) == 3
    assert known.log_det_precision == pytest.approx(np.log(positive).sum(), abs=ROUNDING)


def test_singular_covariance_is_allowed():
    known = resolve(np.ones((3, 3)), LEVELS, structure="propto")
    assert known.log_det_precision == np.inf


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (V[:2, :2], r"2 rows and no names, the factor has 3 levels \(`a`, `b`, `c`\)"),
        (V[:2], r"square"),
        (
            FRAME.rename(index={"a": "A"}, columns={"a": "A"}),
            r"1 of 3 levels are not in the matrix: `a`.*did you mean `A`",
        ),
        (FRAME.rename(index={"a": "A"}), r"row `A` is no column"),
        (V + np.triu(np.full((3, 3), 0.1), 1), r"not symmetric: \[`\w`, `\w`\] is"),
        (V - 2 * np.eye(3), r"no covariance: `b` has the variance -1"),
        (V + 2 * (1 - np.eye(3)), r"smallest eigenvalue is -"),
        (np.where(np.eye(3) > 0, np.nan, V), r"nan in row 0, column 0"),
        (V.astype(str), r"not numbers"),
        (np.zeros((3, 3)), r"is zero"),
        (rf.precision_matrix(np.ones((3, 3))), r"not positive definite"),
        (rf.precision_matrix(V - 1.2 * np.eye(3)), r"not positive definite"),
        (rf.precision_matrix(np.array([[0.0, 1, 0], [1, 0, 0], [0, 0, 1]])), r"not positive definite"),
        (rf.precision_matrix(V, levels="aab"), r"two rows of the matrix are called `a`"),
        (rf.precision_matrix(V, levels="ab"), r"2 names for a matrix with 3 rows"),
        (rf.pedigree({"id": ["a"], "sire": ["b"], "dam": [None]}), r"1 of 3 levels are not in the pedigree: `c`"),
        (rf.phylogeny("(a:1,bb:1);"), r"2 of 3 levels are not in the tree: `b`, `c`"),
        (rf.adjacency({"x": ["a", "b"], "y": ["b", "c"]}), r"Use car\(\) or icar\(\)"),
        ("kinship", r"not str"),
    ],
)
def test_what_cannot_be_matched_is_told(given, message):
    with pytest.raises(rf.DataError, match=message):
        resolve(given, LEVELS, structure="propto")


def test_neighbourhoods_are_checked_too():
    lonely = rf.adjacency({"x": ["a"], "y": ["b"]}, levels=LEVELS)
    with pytest.raises(rf.DataError, match="without a neighbour: `c`"):
        resolve(lonely, LEVELS, structure="icar")
    with pytest.raises(rf.DataError, match=r"icar\(\) takes neighbours"):
        resolve(V, LEVELS, structure="icar")

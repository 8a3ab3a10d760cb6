"""The sparse inverse of the relationship matrix against the matrix itself, built by the tabular method."""

import numpy as np
import pandas as pd
import polars as pl
import pytest

import ranef as rf

# Rounding of products of a few dozen halves and of a dense inverse of a well conditioned matrix.
ROUNDING = 1e-10


def tabular(sire, dam):
    """The relationship matrix row by row: a(i, j) is the mean of j's relationships with the parents of i."""
    n = len(sire)
    a = np.zeros((n, n))
    for i in range(n):
        s, d = sire[i], dam[i]
        for j in range(i):
            a[i, j] = a[j, i] = 0.5 * ((a[j, s] if s >= 0 else 0) + (a[j, d] if d >= 0 else 0))
        a[i, i] = 1 + (0.5 * a[s, d] if s >= 0 and d >= 0 else 0)
    return a


def random_pedigree(seed, n=120, founders=10):
    """Rows in random order; mating among few animals makes much inbreeding."""
    rng = np.random.default_rng(seed)
    rows = []
    for k in range(n):
        older = np.arange(max(0, k - 30), k)
        males, females = older[older % 2 == 0], older[older % 2 == 1]
        s = rng.choice(males) if k >= founders and rng.uniform() < 0.9 else None
        d = rng.choice(females) if k >= founders and rng.uniform() < 0.9 else None
        rows.append((f"a{k}", None if s is None else f"a{s}", None if d is None else f"a{d}"))
    rows = [rows[k] for k in rng.permutation(n)]
    return pd.DataFrame(rows, columns=["id", "sire", "dam"])


@pytest.mark.parametrize("seed", range(5))
def test_inverse_and_matrix_agree_with_the_tabular_method(seed):
    family = rf.pedigree(random_pedigree(seed))
    a = tabular(family.sire, family.dam)
    assert family.inbreeding.max() > 0.1
    np.testing.assert_allclose(family.relationship(), a, atol=ROUNDING)
    np.testing.assert_allclose(family.inbreeding, np.diag(a) - 1, atol=ROUNDING)
    np.testing.assert_allclose(family.precision.toarray(), np.linalg.inv(a), atol=ROUNDING * 100)
    assert family.log_det_precision == pytest.approx(-np.linalg.slogdet(a)[1], abs=ROUNDING * 100)


def test_order_of_rows_does_not_matter():
    rows = random_pedigree(0)
    one, two = rf.pedigree(rows), rf.pedigree(rows.iloc[::-1].reset_index(drop=True))
    place = [two.levels.index(level) for level in one.levels]
    np.testing.assert_allclose(two.relationship()[np.ix_(place, place)], one.relationship(), atol=ROUNDING)


def test_henderson_s_example():
    # Henderson (1976), also Mrode (2014), example 2.1: A(6, 6) = 1.125 and A(5, 6) = 0.6875.
    family = rf.pedigree({"id": [3, 4, 5, 6], "sire": [1, 1, 4, 5], "dam": [2, 0, 3, 2]})
    assert family.levels == ("1", "2", "3", "4", "5", "6")
    a = family.relationship()
    assert a[5, 5] == 1.125
    assert a[4, 5] == 0.6875
    assert a[4, 4] == 1.125


@pytest.mark.parametrize("missing", [None, float("nan"), 0, ""])
def test_unknown_parents_are_written_in_many_ways(missing):
    text = isinstance(missing, str)
    parent = "1" if text else 1
    family = rf.pedigree(pd.DataFrame({"id": [1, 2], "sire": [missing, parent], "dam": [missing, missing]}))
    assert family.sire.tolist() == [-1, 0]
    assert family.dam.tolist() == [-1, -1]
    assert family.mendelian.tolist() == [1.0, 0.75]


def test_any_frame_is_read():
    frame = pl.DataFrame({"animal": ["c"], "father": ["a"], "mother": ["b"]})
    family = rf.pedigree(frame, id="animal", sire="father", dam="mother")
    assert family.levels == ("a", "b", "c") or set(family.levels) == {"a", "b", "c"}
    assert family.levels[-1] == "c"


def test_selfing_is_right_where_it_is_allowed():
    family = rf.pedigree({"id": ["b", "c"], "sire": ["a", "b"], "dam": ["a", "b"]}, monoecious=True)
    a = tabular(family.sire, family.dam)
    np.testing.assert_allclose(family.inbreeding, [0, 0.5, 0.75])
    np.testing.assert_allclose(family.precision.toarray(), np.linalg.inv(a), atol=ROUNDING)


def test_ancestry_leaves_relationships_alone():
    family = rf.pedigree(random_pedigree(1))
    wanted = [family.levels[k] for k in (40, 60, 61)]
    part = family.ancestry(wanted)
    assert len(part) < len(family)
    whole, less = family.relationship(), part.relationship()
    old = [family.levels.index(level) for level in part.levels]
    np.testing.assert_allclose(less, whole[np.ix_(old, old)], atol=ROUNDING)
    np.testing.assert_allclose(part.precision.toarray() @ less, np.eye(len(part)), atol=ROUNDING * 100)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({"id": ["a", "a"], "sire": [None, None], "dam": [None, None]}, r"`a` stands in the pedigree twice.*0 and 1"),
        (
            {"id": ["a", "b", "c"], "sire": ["c", "a", "b"], "dam": [None] * 3},
            r"`a` is its own ancestor: a from c from b from a",
        ),
        ({"id": ["a"], "sire": ["a"], "dam": [None]}, r"`a` is its own ancestor: a from a"),
        (
            {"id": ["b", "c"], "sire": ["a", None], "dam": [None, "a"]},
            r"`a` is a sire in row 0 and a dam in row 1",
        ),
        ({"id": [None, "c"], "sire": ["a", None], "dam": [None, None]}, r"`id` names no animal in row 0"),
        ({"name": ["c"], "sire": ["a"], "dam": [None]}, r"there is no column `id` in the pedigree"),
    ],
)
def test_what_cannot_be_a_pedigree_is_told(rows, message):
    with pytest.raises(rf.DataError, match=message):
        rf.pedigree(rows)


def test_descendants_of_a_cycle_are_not_blamed():
    rows = {"id": ["z", "a", "b"], "sire": ["b", "b", "a"], "dam": [None] * 3}
    with pytest.raises(rf.DataError, match="own ancestor") as caught:
        rf.pedigree(rows)
    assert "z" not in str(caught.value)


def test_it_shows_itself():
    family = rf.pedigree({"id": ["c"], "sire": ["a"], "dam": ["b"]})
    assert repr(family) == "Pedigree: animals 3, founders 2, generations 2, inbred 0, greatest inbreeding 0"
    assert "<td>3</td>" in family._repr_html_()

"""The five codings, against R's printed matrices and their definitions."""

import numpy as np
import pytest
from formulaic.transforms.contrasts import DiffContrasts, HelmertContrasts, PolyContrasts, SumContrasts

from ranef.errors import DataError
from ranef.formula.contrasts import CODINGS, Contrast, contrast_from


def coding(name: str, k: int, **options) -> tuple[np.ndarray, list[str]]:
    return Contrast(name, **options).columns("f", tuple("abcdefghijklmnop"[:k]))


def test_treatment() -> None:
    matrix, labels = coding("treatment", 3)
    assert matrix.tolist() == [[0, 0], [1, 0], [0, 1]]
    assert labels == ["[T.b]", "[T.c]"]


def test_treatment_with_another_base() -> None:
    matrix, labels = coding("treatment", 3, base="b")
    assert matrix.tolist() == [[1, 0], [0, 0], [0, 1]]
    assert labels == ["[T.a]", "[T.c]"]


def test_sum() -> None:
    matrix, labels = coding("sum", 3)
    assert matrix.tolist() == [[1, 0], [0, 1], [-1, -1]]
    assert labels == ["[S.a]", "[S.b]"]


def test_helmert() -> None:  # contr.helmert(4)
    matrix, labels = coding("helmert", 4)
    assert matrix.tolist() == [[-1, -1, -1], [1, -1, -1], [0, 2, -1], [0, 0, 3]]
    assert labels == ["[H.b]", "[H.c]", "[H.d]"]


def test_successive_differences() -> None:  # MASS::contr.sdif(3)
    matrix, _ = coding("sdif", 3)
    np.testing.assert_allclose(matrix, [[-2 / 3, -1 / 3], [1 / 3, -1 / 3], [1 / 3, 2 / 3]], atol=1e-15)


def test_polynomial_of_three_and_four() -> None:  # contr.poly(3), contr.poly(4) as R prints them
    matrix, labels = coding("poly", 3)
    np.testing.assert_allclose(
        matrix,
        [[-0.7071067811865476, 0.4082482904638631], [0, -0.8164965809277261], [0.7071067811865476, 0.4082482904638631]],
        atol=1e-15,
    )
    assert labels == ["[.L]", "[.Q]"]
    matrix, labels = coding("poly", 4)
    expected = [[-0.6708204, 0.5, -0.2236068], [-0.2236068, -0.5, 0.6708204], [0.2236068, -0.5, -0.6708204]]
    np.testing.assert_allclose(matrix[:3], expected, atol=5e-8)
    assert labels == ["[.L]", "[.Q]", "[.C]"]
    assert coding("poly", 6)[1][3:] == ["[^4]", "[^5]"]


@pytest.mark.parametrize("k", [2, 5, 16])
def test_polynomials_are_orthonormal_contrasts(k: int) -> None:
    matrix, _ = coding("poly", k)
    np.testing.assert_allclose(matrix.T @ matrix, np.eye(k - 1), atol=1e-13)
    np.testing.assert_allclose(matrix.sum(axis=0), 0, atol=1e-13)


def test_polynomial_scores() -> None:
    matrix, _ = coding("poly", 3, scores=(1.0, 2.0, 4.0))
    linear = np.array([1.0, 2, 4]) - 7 / 3
    np.testing.assert_allclose(matrix[:, 0], linear / np.linalg.norm(linear), atol=1e-15)


@pytest.mark.parametrize("k", [2, 3, 7])
@pytest.mark.parametrize(
    ("name", "theirs"),
    [("sum", SumContrasts), ("helmert", HelmertContrasts), ("poly", PolyContrasts), ("sdif", DiffContrasts)],
)
def test_formulaic_agrees(name: str, theirs: type, k: int) -> None:
    expected = theirs().get_coding_matrix(list("abcdefg"[:k]))
    np.testing.assert_allclose(coding(name, k)[0], np.asarray(expected), atol=1e-12)


@pytest.mark.parametrize("name", sorted(set(CODINGS) - {"matrix"}))
@pytest.mark.parametrize("k", [2, 3, 9])
def test_with_an_intercept_every_coding_separates_the_levels(name: str, k: int) -> None:
    matrix, labels = coding(name, k)
    assert np.linalg.matrix_rank(np.column_stack([np.ones(k), matrix])) == k
    assert len(set(labels)) == k - 1


@pytest.mark.parametrize("name", sorted(CODINGS))
def test_one_level_is_refused(name: str) -> None:
    with pytest.raises(DataError, match="`f` has 1 level"):
        coding(name, 1)


@pytest.mark.parametrize("value", ["sum", "contr.sum", "Sum", "deviation"])
def test_names_of_codings(value: str) -> None:
    assert contrast_from(value, "f") == Contrast("sum")


def test_a_matrix_of_ones_own() -> None:
    contrast = contrast_from(np.array([[1.0, 0], [0, 1], [-1, -1]]), "f")
    matrix, labels = contrast.columns("f", ("a", "b", "c"))
    assert matrix.shape == (3, 2)
    assert labels == ["[1]", "[2]"]
    with pytest.raises(DataError, match="must have 2 rows"):
        contrast.columns("f", ("a", "b"))


@pytest.mark.parametrize("value", ["summ", 3, None, [1, 2], [["a"]], [[np.nan]]])
def test_what_is_no_contrast(value: object) -> None:
    with pytest.raises(DataError):
        contrast_from(value, "f")


def test_a_base_that_is_no_level() -> None:
    with pytest.raises(DataError, match="base level 'z' is not a level of `f`"):
        coding("treatment", 3, base="z")

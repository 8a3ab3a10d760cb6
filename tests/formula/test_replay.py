"""A design repeated on new data."""

import numpy as np
import pandas as pd
import pytest

from ranef.errors import DataError
from ranef.formula.design import Design, build_design

FORMULA = (
    "log(y + 9) ~ x*f + b + o + poly(z, 2) + ns(x, 3) + bs(z, df=4) + scale(x) + I(x - mean(x)) + factor(k) "
    "+ C(h, contr.sum) + I(z > 0) + offset(log(m)) "
    "+ (1 + x | g) + (0 + z | h) + (1 | h/f) + (0 + poly(x, 2) || s) + mat(x + z | g)"
)


@pytest.fixture(scope="module")
def design(plots: pd.DataFrame) -> Design:
    return build_design(FORMULA, plots, components={"zi": "~ z + f + (1 | s)", "disp": "~ h"}, offset="x")


def matches(design: Design, new, rows) -> None:
    """Compare a replay with those rows of the fit: the same numbers, but for the last bit of a spline's product.

    A product of matrices may add in another order when it has fewer rows; with all rows it does not.
    """
    tolerance = 0.0 if len(rows) == design.n else 1e-15
    for component, part in design.fixed.items():
        np.testing.assert_allclose(new.x[component], part.x[rows], rtol=0, atol=tolerance)
        if part.offset is None:
            assert new.offset[component] is None
        else:
            np.testing.assert_array_equal(new.offset[component], part.offset[rows])
    for k, term in enumerate(design.random):
        np.testing.assert_array_equal(new.columns[k], term.columns[rows])
        np.testing.assert_array_equal(new.codes[k], term.codes[rows])
        assert new.codes[k].dtype == np.int64
        assert new.unknown[k] == []


def test_the_data_of_the_fit_give_the_matrices_of_the_fit(design: Design, plots: pd.DataFrame, convert) -> None:
    new = design.replay(convert(plots), response=True)
    matches(design, new, np.arange(40))
    np.testing.assert_array_equal(new.response.y, design.response.y)


@pytest.mark.parametrize("rows", [[7], [3, 3, 30], list(range(39, -1, -1))])
def test_any_rows_give_their_rows(design: Design, plots: pd.DataFrame, rows: list[int], convert) -> None:
    matches(design, design.replay(convert(plots.iloc[rows])), rows)


def test_factors_may_come_as_any_kind(design: Design, plots: pd.DataFrame) -> None:
    rows = [4, 9, 11]
    some = plots.iloc[rows]
    objects = some.astype({"f": str, "h": object, "o": str, "b": str, "g": float, "s": str})
    matches(design, design.replay(objects), rows)
    reversed_levels = some.assign(f=pd.Categorical(some.f.astype(str), ["c", "b", "a"]))
    matches(design, design.replay(reversed_levels), rows)


def test_the_response_is_not_needed(design: Design, plots: pd.DataFrame) -> None:
    assert design.replay(plots.drop(columns="y")).response is None
    with pytest.raises(DataError, match="no column `y`"):
        design.replay(plots.drop(columns="y"), response=True)


def test_random_terms_can_be_left_out(design: Design, plots: pd.DataFrame) -> None:
    new = design.replay(plots.drop(columns=["g", "s"]), random=False)
    assert all((codes == -1).all() for codes in new.codes)
    assert [c.shape for c in new.columns] == [t.columns.shape for t in design.random]
    keep = [k for k, term in enumerate(design.random) if term.group == "h"]
    some = design.replay(plots.drop(columns=["g", "s"]), random=keep)
    for k, term in enumerate(design.random):
        np.testing.assert_array_equal(some.codes[k], term.codes if k in keep else np.full(40, -1))


def test_new_levels_of_groups_are_listed(plots: pd.DataFrame) -> None:
    design = build_design("y ~ x + (1 | g) + (1 | h:f) + (0 + x | g/h)", plots)
    new = plots.iloc[[0, 1, 2]].assign(g=[99, plots.g[1], 98], h=["u", "zz", "v"])
    replay = design.replay(new)
    assert replay.unknown[0] == ["98", "99"]
    np.testing.assert_array_equal(replay.codes[0], [-2, design.random[0].codes[1], -2])
    assert replay.unknown[1] == [f"zz:{plots.f[1]}"]
    assert (replay.codes[1] == -2).tolist() == [False, True, False]
    composite = next(k for k, term in enumerate(design.random) if term.group == "g:h")
    assert (replay.codes[composite] == -2).all()
    assert set(replay.unknown[composite]) == {"98:v", "99:u", f"{plots.g[1]}:zz"}


def test_a_combination_that_never_occurred_is_new(plots: pd.DataFrame) -> None:
    data = plots[(plots.h != "u") | (plots.f != "a")]
    design = build_design("y ~ 1 + (1 | h:f)", data)
    new = design.replay(pd.DataFrame({"h": ["u", "u"], "f": ["a", "b"]}))
    assert new.unknown == [["u:a"]]
    assert new.codes[0][0] == -2
    assert design.random[0].levels[new.codes[0][1]] == "u:b"


@pytest.mark.parametrize(("column", "value"), [("f", "new"), ("o", "new"), ("h", "new"), ("k", 99)])
def test_unseen_levels_of_fixed_factors_are_refused(design: Design, plots: pd.DataFrame, column: str, value) -> None:
    new = plots.iloc[[0, 1]].assign(**{column: [value, value]})
    with pytest.raises(DataError, match=rf"`{column}` has the level '{value}'.* it knows "):
        design.replay(new)


def test_unseen_levels_of_random_slopes_are_refused(plots: pd.DataFrame) -> None:
    design = build_design("y ~ 1 + (f | g)", plots)
    with pytest.raises(DataError, match="`f` has the level 'new'"):
        design.replay(plots.iloc[[0]].assign(f="new"))
    assert design.replay(plots.iloc[[0]].assign(f="new"), random=False).n == 1


def test_absent_columns_are_named(design: Design, plots: pd.DataFrame) -> None:
    with pytest.raises(DataError, match="newdata has no column `x`"):
        design.replay(plots.drop(columns="x"))
    with pytest.raises(DataError, match="did you mean `X`"):
        design.replay(plots.rename(columns={"x": "X"}))


def test_missing_and_infinite_values_are_named(design: Design, plots: pd.DataFrame) -> None:
    new = plots.copy()
    new.loc[4, "z"] = np.nan
    with pytest.raises(DataError, match="`z` is missing in row 4 of newdata"):
        design.replay(new)
    new.loc[4, "z"] = np.inf
    with pytest.raises(DataError, match="`z` is infinite"):
        design.replay(new)


def test_text_where_the_fit_had_numbers_is_refused(design: Design, plots: pd.DataFrame) -> None:
    with pytest.raises(DataError, match="`x` was numeric"):
        design.replay(plots.assign(x="a"))


def test_an_array_offset_cannot_be_repeated(plots: pd.DataFrame) -> None:
    design = build_design("y ~ x", plots, offset=np.ones(40))
    with pytest.raises(DataError, match="array as offset"):
        design.replay(plots)


def test_unseen_times_are_refused(plots: pd.DataFrame) -> None:
    data = plots.assign(t=np.resize([1, 2, 3], 40))
    design = build_design("y ~ 1 + ar1(0 + t | g)", data)
    np.testing.assert_array_equal(design.replay(data).columns[0], design.random[0].columns)
    with pytest.raises(DataError, match="`t` has the level '4'"):
        design.replay(data.assign(t=4))


def test_splines_go_on_beyond_the_data(plots: pd.DataFrame) -> None:
    design = build_design("y ~ ns(x, 3) + bs(x, df=5) + cr(x, df=4)", plots)
    far = design.replay(pd.DataFrame({"x": [-10.0, 100.0]}))
    assert np.isfinite(far.x["cond"]).all()


def test_newdata_can_be_a_mapping(plots: pd.DataFrame) -> None:
    design = build_design("y ~ x + f", plots)
    np.testing.assert_array_equal(design.replay({"x": [2.0], "f": ["b"]}).x["cond"], [[1, 2, 1, 0]])

"""A formula and data to a design."""

import numpy as np
import pandas as pd
import pytest

from ranef.errors import DataError, FormulaError
from ranef.formula.design import build_design

EVERYTHING = (
    "y ~ x*f + b + poly(z, 2) + ns(x, 3) + factor(k) + log(m) + offset(z) "
    "+ (1 + x | g) + (b || s) + (1 | h/f) + (0 + f | g:h)"
)


def same(one, other) -> None:
    """Compare two designs number by number, name by name."""
    np.testing.assert_array_equal(one.response.y, other.response.y)
    for component, part in one.fixed.items():
        assert part.names == other.fixed[component].names
        np.testing.assert_array_equal(part.x, other.fixed[component].x)
    for term, twin in zip(one.random, other.random, strict=True):
        assert (term.group, term.names, term.levels, term.text) == (twin.group, twin.names, twin.levels, twin.text)
        np.testing.assert_array_equal(term.columns, twin.columns)
        np.testing.assert_array_equal(term.codes, twin.codes)
    assert one.factor_levels == other.factor_levels


def test_every_kind_of_frame_gives_the_same(plots: pd.DataFrame, convert) -> None:
    frame = convert(plots)
    design = build_design(EVERYTHING, frame, components={"zi": "~ h + (1 | g)"})
    same(build_design(EVERYTHING, plots, components={"zi": "~ h + (1 | g)"}), design)
    assert type(design.frame) is type(frame)


def test_the_callers_frame_is_left_alone(plots: pd.DataFrame, convert) -> None:
    frame = convert(plots)
    before = frame.copy() if isinstance(frame, pd.DataFrame) else frame[:]
    design = build_design(EVERYTHING, frame)
    design.replay(frame)
    assert frame.equals(before)


def test_a_mapping_is_a_frame_too(plots: pd.DataFrame) -> None:
    same(
        build_design("y ~ x + (1 | g)", plots),
        build_design("y ~ x + (1 | g)", {"y": plots.y, "x": plots.x, "g": plots.g}),
    )


def test_declared_levels_keep_their_order_and_lose_the_unused(plots: pd.DataFrame, backend: str, convert) -> None:
    if backend == "pyarrow":
        pytest.skip("pyarrow cannot declare an order")
    data = plots.assign(f=pd.Categorical(plots.f.astype(str), ["z", "c", "a", "b"]))
    design = build_design("y ~ f + (1 | f)", convert(data))
    assert design.fixed["cond"].names == ("Intercept", "f[T.a]", "f[T.b]")
    assert design.factor_levels == {"f": ("c", "a", "b")}
    assert design.random[0].levels == ("c", "a", "b")


def test_numbers_group_by_their_order_and_are_labelled_plainly(plots: pd.DataFrame, convert) -> None:
    for frame in (convert(plots), convert(plots.assign(g=plots.g.astype(float)))):
        term = build_design("y ~ 1 + (1 | g)", frame).random[0]
        assert term.levels == ("1", "3", "7", "20")
        assert term.codes.dtype == np.uint32
        np.testing.assert_array_equal(np.array([1, 3, 7, 20])[term.codes], plots.g)


def test_factor_of_the_group_is_the_group(plots: pd.DataFrame) -> None:
    same(build_design("y ~ 1 + (1 | factor(g))", plots), build_design("y ~ 1 + (1 | factor(g))", plots))
    assert build_design("y ~ 1 + (1 | factor(g))", plots).random[0].group == "g"


def test_large_identifiers_are_not_merged(convert) -> None:
    ids = np.array([2**60, 2**60 + 1, 2**60 + 2, 2**60 + 3])
    data = pd.DataFrame({"y": np.arange(4.0), "id": ids})
    assert build_design("y ~ 1 + (1 | id)", convert(data)).random[0].levels == tuple(str(k) for k in ids)


def test_nested_and_composite_groups(plots: pd.DataFrame) -> None:
    design = build_design("y ~ 1 + (1 | h/f)", plots)
    outer, inner = design.random
    assert (outer.group, outer.factors, outer.levels) == ("h", ("h",), ("u", "v"))
    assert (inner.group, inner.factors) == ("h:f", ("h", "f"))
    labels = plots.h + ":" + plots.f.astype(str)
    assert inner.levels == tuple(sorted(set(labels)))
    assert [inner.levels[k] for k in inner.codes] == labels.tolist()
    assert outer.text == inner.text == "(1 | h/f)"


def test_a_computed_group(plots: pd.DataFrame) -> None:
    term = build_design("y ~ 1 + (1 | round(x)) + (1 | x > 2)", plots).random
    assert [t.group for t in term] == ["round(x)", "x > 2"]
    assert term[1].levels == ("False", "True")


def test_random_terms_of_every_component_are_listed(plots: pd.DataFrame) -> None:
    design = build_design(
        "y ~ x + (1 | g)",
        plots,
        components={"zi": "~ z + (x | h)", "disp": "~ 0", "shape": None},
    )
    assert list(design.fixed) == ["cond", "zi", "disp"]
    assert [(t.component, t.group, t.names) for t in design.random] == [
        ("cond", "g", ("Intercept",)),
        ("zi", "h", ("Intercept", "x")),
    ]
    assert design.fixed["disp"].x.shape == (40, 0)
    assert design.component_formulas == {"zi": "~ z + (x | h)", "disp": "~ 0"}


def test_structures_and_options_arrive(plots: pd.DataFrame) -> None:
    design = build_design("y ~ 1 + rr(0 + f | g, d = 2) + (x || h) + mat(x + z | one)", plots.assign(one=1))
    assert [(t.structure, t.options, t.names) for t in design.random] == [
        ("rr", {"d": 2}, ("f[a]", "f[b]", "f[c]")),
        ("diag", {}, ("Intercept", "x")),
        ("mat", {}, ("x,z",)),
    ]
    coupling = design.random[2].coupling
    np.testing.assert_array_equal(coupling.coordinates[design.random[2].codes], plots[["x", "z"]])


def test_equally_spaced_times_are_occasions(plots: pd.DataFrame) -> None:
    data = plots.assign(t=np.resize([2.0, 4.0, 6.0], 40), u=np.resize([1, 2, 5], 40))
    term = build_design("y ~ 1 + ar1(0 + t | g)", data).random[0]
    assert term.names == ("t[2]", "t[4]", "t[6]")
    np.testing.assert_array_equal(term.columns @ [2.0, 4.0, 6.0], data.t)
    with pytest.raises(DataError, match=r"`u` is not equally spaced \(1, 2, 5\)"):
        build_design("y ~ 1 + ar1(0 + u | g)", data)
    assert build_design("y ~ 1 + ar1(0 + factor(u) | g)", data).random[0].names[2] == "factor(u)[5]"


# --- rows -------------------------------------------------------------------------------------------------------------


def test_missing_values_drop_rows_jointly(plots: pd.DataFrame, convert) -> None:
    data = plots.assign(w=1.0, e=0.5).astype({"x": float, "k": "Int64"})
    data.loc[[1, 5], "x"] = None
    data.loc[[5, 6], "h"] = None
    data.loc[7, "k"] = None
    data.loc[8, "w"] = None
    data.loc[9, "e"] = None
    data.loc[10, "y"] = None
    data.loc[11, "f"] = None
    data.loc[12, "z"] = None  # not used
    gone = [1, 5, 6, 7, 8, 9, 10, 11]
    options = {"components": {"zi": "~ k"}, "weights": "w", "offset": "e"}
    design = build_design("y ~ x + f + (1 | h)", convert(data), **options)
    assert design.n == 40 - len(gone)
    assert design.n_dropped == len(gone)
    assert design.dropped_because == {"y": 1, "x": 2, "f": 1, "h": 2, "k": 1, "w": 1, "e": 1}
    np.testing.assert_array_equal(design.rows, np.setdiff1d(np.arange(40), gone))
    complete = plots.drop(index=gone).assign(w=1.0, e=0.5)
    same(build_design("y ~ x + f + (1 | h)", complete, **options), design)
    assert len(design.frame) == design.n


def test_rows_dropped_beforehand_give_the_same_transforms(plots: pd.DataFrame) -> None:
    data = plots.copy()
    data.loc[::7, "y"] = np.nan
    formula = "y ~ poly(x, 2) + scale(z) + ns(x, 3) + bs(z, df=4) + I(x - mean(x))"
    same(build_design(formula, data), build_design(formula, data.dropna()))


def test_levels_that_lost_their_rows_are_gone(plots: pd.DataFrame) -> None:
    data = plots.copy()
    data.loc[data.f == "a", "x"] = np.nan
    design = build_design("y ~ x + f + (1 | f)", data)
    assert design.factor_levels == {"f": ("b", "c")}
    assert design.random[0].levels == ("b", "c")


def test_missing_can_be_an_error(plots: pd.DataFrame) -> None:
    data = plots.copy()
    data.loc[[4, 9], "x"] = np.nan
    with pytest.raises(DataError, match="`x` has 2 missing values, the first in row 4"):
        build_design("y ~ x", data, missing="error")
    build_design("y ~ z", data, missing="error")


def test_when_no_row_is_left(plots: pd.DataFrame) -> None:
    data = plots.assign(q=np.nan)
    with pytest.raises(DataError, match="`q` in 40"):
        build_design("y ~ x + q", data)
    with pytest.raises(DataError, match="have no rows"):
        build_design("y ~ x", plots.iloc[:0])


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_infinite_values_are_named(plots: pd.DataFrame, value: float) -> None:
    data = plots.copy()
    data.loc[3, "x"] = np.nan
    data.loc[17, "z"] = value
    with pytest.raises(DataError, match=r"`z` is infinite .* in row 17"):
        build_design("y ~ x + z", data)
    build_design("y ~ x", data)


def test_the_row_where_a_function_fails_is_named(plots: pd.DataFrame) -> None:
    data = plots.copy()
    data.loc[3, "y"] = np.nan
    data["x"] = data.x.where(data.index != 20, -1.0)
    with pytest.raises(DataError, match=r"`log\(x\)` is nan in row 20"):
        build_design("y ~ log(x)", data)


# --- weights, offsets -------------------------------------------------------------------------------------------------


def test_offsets_add_up(plots: pd.DataFrame) -> None:
    design = build_design("y ~ x + offset(log(m)) + offset(z)", plots, offset="k", components={"zi": "~ offset(x)"})
    np.testing.assert_allclose(design.fixed["cond"].offset, np.log(plots.m) + plots.z + plots.k)
    np.testing.assert_allclose(design.fixed["zi"].offset, plots.x)
    assert build_design("y ~ x", plots).fixed["cond"].offset is None


def test_weights_by_name_and_by_value(plots: pd.DataFrame) -> None:
    named = build_design("y ~ x", plots, weights="m")
    given = build_design("y ~ x", plots, weights=plots.m.to_list())
    np.testing.assert_array_equal(named.weights, plots.m)
    np.testing.assert_array_equal(given.weights, plots.m)
    assert (named.weights_name, given.weights_name) == ("m", None)
    assert build_design("y ~ x", plots).weights is None


def test_arrays_follow_the_rows(plots: pd.DataFrame) -> None:
    data = plots.copy()
    data.loc[0, "x"] = np.nan
    design = build_design("y ~ x", data, weights=np.arange(40.0), offset=np.arange(40.0))
    np.testing.assert_array_equal(design.weights, np.arange(1.0, 40))
    np.testing.assert_array_equal(design.fixed["cond"].offset, np.arange(1.0, 40))


@pytest.mark.parametrize("role", ["weights", "offset"])
@pytest.mark.parametrize("value", ["nonsense", "h", [1.0, 2.0], 3.0, ["a"] * 40, [np.nan] * 40, [np.inf] * 40])
def test_weights_and_offsets_that_cannot_be(plots: pd.DataFrame, role: str, value: object) -> None:
    with pytest.raises(DataError):
        build_design("y ~ x", plots, **{role: value})


def test_negative_weights_are_named(plots: pd.DataFrame) -> None:
    data = plots.assign(w=np.where(np.arange(40) == 6, -2.0, 1.0))
    with pytest.raises(DataError, match="`w` is -2 in row 6"):
        build_design("y ~ x", data, weights="w")
    with pytest.raises(DataError, match="all weights are 0"):
        build_design("y ~ x", data, weights=np.zeros(40))


# --- the dot, names, refusals -----------------------------------------------------------------------------------------


def test_the_dot_is_every_column_without_another_role(plots: pd.DataFrame) -> None:
    data = plots[["y", "x", "z", "f", "g", "m", "k"]]
    design = build_design("log(y + 9) ~ . + offset(k) + (1 | g)", data, weights="m")
    assert design.fixed["cond"].names == ("Intercept", "x", "z", "f[T.b]", "f[T.c]")
    assert build_design("y ~ . - f", data[["y", "x", "f"]]).fixed["cond"].names == ("Intercept", "x")


def test_variables_are_those_used(plots: pd.DataFrame) -> None:
    design = build_design("y ~ log(x) + (z | g)", plots, weights="m", components={"zi": "~ k"})
    assert design.variables == ("y", "x", "z", "g", "k", "m")


@pytest.mark.parametrize(
    ("formula", "options", "error"),
    [
        ("y ~ xx", {}, FormulaError),
        ("y ~ log(xx)", {}, FormulaError),
        ("y ~ (1 | gg)", {}, FormulaError),
        ("yy ~ x", {}, FormulaError),
        ("y ~ x + offset(q)", {}, FormulaError),
        ("~ x", {}, FormulaError),
        ("y ~ x", {"components": {"zi": "y ~ x"}}, FormulaError),
        ("y ~ x", {"components": {"zi": "x"}}, FormulaError),
        ("y ~ x", {"components": {"zi": "~ ."}}, FormulaError),
        ("y ~ x", {"components": {"zi": "~ qq"}}, FormulaError),
        ("y ~ (1 | g) + (x | g)", {}, FormulaError),
        ("y ~ (1 | g/h) + (1 | g)", {}, FormulaError),
        ("y ~ ar9(x | g)", {}, FormulaError),
        ("y ~ cs(0 + f | g)", {"covariances": ("us", "diag")}, FormulaError),
        ("poly(x, 2) ~ z", {}, FormulaError),
        ("h ~ x", {}, DataError),
        ("y ~ mat(f | g)", {}, DataError),
        ("y ~ x", {"missing": "ignore"}, DataError),
        ("y ~ one + (1 | g)", {}, DataError),
    ],
)
def test_refusals(plots: pd.DataFrame, formula: str, options: dict, error: type) -> None:
    with pytest.raises(error):
        build_design(formula, plots.assign(one="only"), **options)


def test_one_level_is_no_grouping_factor(plots: pd.DataFrame) -> None:
    data = plots.assign(subject="s1")
    message = r"`subject` has 1 level; a random effect needs at least 2. Drop `\(1 \| subject\)` or check the column."
    with pytest.raises(DataError, match=message):
        build_design("y ~ x + (1 | subject)", data)
    build_design("y ~ x + exp(x | subject)", data)  # distances within the one level carry information

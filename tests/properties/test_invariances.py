"""A model does not depend on how its data are written down: rows, names, units, weights, kinds of frames."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ranef as rf
from crossed_data import (
    FAMILIES,
    FORMULA,
    LOGLIK,
    MORE_FAMILIES,
    QUICK_FAMILIES,
    SHARE_OF_SE,
    data,
    few,
    fewer,
    fit,
    fitted,
    same_fit,
    same_model,
)


@pytest.mark.parametrize("family", MORE_FAMILIES)
@fewer
@given(seed=st.integers(0, 2**32 - 1))
def test_rows_in_any_order(family, seed):
    same_model(fitted(family), fit(family, data(family).sample(frac=1.0, random_state=seed)))


@pytest.mark.parametrize(
    "term", ["ar1(0 + t | g)", "ou(z | g)", "toep(0 + t | g)", "rr(0 + t | g, d = 2)", "(x || g/h)", "homcs(0 + f | g)"]
)
def test_rows_of_structured_effects_in_any_order(term):
    rng = np.random.default_rng(7)
    frame = data("poisson").assign(z=rng.integers(0, 5, 240) + 0.5, t=lambda d: d["z"].astype(str))
    walk = np.cumsum(0.5 * rng.normal(size=(15, 5)), axis=1)
    frame["y"] = rng.poisson(np.exp(0.5 + walk[frame["g"].str[1:].astype(int), frame["z"].astype(int)]))
    a, b = (fit("poisson", rows, f"y ~ x + {term}") for rows in (frame, frame.sample(frac=1.0, random_state=3)))
    same_fit(a, b)


@pytest.mark.parametrize(
    ("family", "component", "formula"),
    [("zero-inflated", "zi", "~ x + f"), ("gaussian", "dispersion", "~ x + f"), ("nbinom2", "dispersion", "~ (1 | h)")],
)
def test_rows_of_other_components_in_any_order(family, component, formula):
    a, b = (fit(family, rows, **{component: formula}) for rows in (data(family), data(family).iloc[::-1]))
    same_fit(a, b)
    name = {"dispersion": "disp"}.get(component, component)
    for term, estimate in a.fixef(name).items():
        assert b.fixef(name)[term] == pytest.approx(estimate, abs=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
@few
@given(seed=st.integers(0, 2**32 - 1))
def test_levels_by_any_name(family, seed):
    frame = data(family)
    names = frame["g"].unique()
    other = dict(zip(names, np.random.default_rng(seed).permutation(names), strict=True))
    renamed = frame.assign(g=frame["g"].map(other))
    a, b = fit(family, frame), fit(family, renamed)
    same_model(a, b)
    modes = a.ranef().query("group == 'g'").assign(level=lambda d: d["level"].map(other))
    both = modes.merge(b.ranef(), on=["group", "level", "term"])
    assert len(both) == len(modes)
    np.testing.assert_allclose(both["estimate_x"], both["estimate_y"], atol=1e-5)


@pytest.mark.parametrize("family", QUICK_FAMILIES)
@fewer
@given(names=st.permutations(["k", "l", "m"]))
def test_levels_of_a_fixed_factor_by_any_name(family, names):
    frame = data(family)
    called = dict(zip("abc", names, strict=True))

    def rename(rows):
        return rows.assign(f=rows["f"].map(called))

    a, b = fitted(family), fit(family, rename(frame))
    same_fit(a, b, rename)
    means = [{"a": 0.0, "b": a.fixef()["f[T.b]"], "c": a.fixef()["f[T.c]"]}]
    means.append({level: b.fixef().get(f"f[T.{called[level]}]", 0.0) for level in "abc"})
    for level in "bc":
        assert means[1][level] - means[1]["a"] == pytest.approx(means[0][level], abs=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
@few
@given(scale=st.floats(1e-3, 1e3))
def test_a_predictor_in_any_unit(family, scale):
    frame = data(family)
    a, b = fitted(family), fit(family, frame.assign(x=frame["x"] * scale))
    assert b.loglik == pytest.approx(a.loglik, abs=LOGLIK)
    assert b.fixef()["x"] * scale == pytest.approx(a.fixef()["x"], rel=1e-4)
    slope = "var1 == 'x' and group == 'g'"
    sds = [m.varcorr().query(slope)["sdcor"].iloc[0] for m in (a, b)]
    assert sds[1] * scale == pytest.approx(sds[0], rel=1e-4)


@few
@given(shift=st.floats(-50, 50), scale=st.floats(0.1, 10))
def test_a_gaussian_response_in_any_unit(shift, scale):
    frame = data("gaussian")
    a, b = (rf.lmm(FORMULA, d) for d in (frame, frame.assign(y=shift + scale * frame["y"])))
    p = len(a.fixef())
    assert b.loglik == pytest.approx(a.loglik - (a.nobs - p) * np.log(scale), abs=1e-6)
    assert b.fixef()["x"] == pytest.approx(scale * a.fixef()["x"], rel=1e-5)
    assert b.sigma == pytest.approx(scale * a.sigma, rel=1e-6)


@pytest.mark.parametrize("family", ["gamma", "lognormal", "tweedie"])
@fewer
@given(scale=st.floats(2.0, 100.0))
def test_a_positive_response_in_any_unit(family, scale):
    frame = data("tweedie" if family == "tweedie" else "gamma")
    a, b = (fit(family, d) for d in (frame, frame.assign(y=scale * frame["y"])))
    # The density of scale * y is that of y over scale; there is no such factor where y = 0.
    assert b.loglik == pytest.approx(a.loglik - (frame["y"] > 0).sum() * np.log(scale), abs=LOGLIK)
    assert b.fixef()["Intercept"] - np.log(scale) == pytest.approx(a.fixef()["Intercept"], abs=1e-5)
    assert b.fixef()["x"] == pytest.approx(a.fixef()["x"], abs=1e-5)


@pytest.mark.parametrize("component", ["zi", "dispersion"])
@fewer
@given(scale=st.floats(2.0, 1e3), shift=st.floats(1.0, 30.0))
def test_a_predictor_of_another_component_in_any_unit(component, scale, shift):
    family = "zero-inflated" if component == "zi" else "nbinom2"
    frame = data(family).assign(z=np.random.default_rng(2).normal(size=240))
    other = frame.assign(z=shift + scale * frame["z"])
    a, b = (fit(family, d, "y ~ x + (1 | g)", **{component: "~ z"}) for d in (frame, other))
    same_model(a, b)
    one, two = (m.fixef({"dispersion": "disp"}.get(component, component)) for m in (a, b))
    assert scale * two["z"] == pytest.approx(one["z"], abs=1e-4)
    assert two["Intercept"] + shift * two["z"] == pytest.approx(one["Intercept"], abs=1e-4)


@pytest.mark.parametrize("structure", ["ou", "exp", "gau"])
def test_coordinates_in_any_unit(structure):
    rng = np.random.default_rng(5)
    z = rng.uniform(0, 4, 30)
    kernel = np.exp(-np.abs(np.subtract.outer(z, z)))
    field = np.linalg.cholesky(kernel) @ rng.normal(size=(30, 6))
    frame = pd.DataFrame({"z": np.repeat(z, 6), "g": np.tile(list("abcdef"), 30), "x": rng.normal(size=180)})
    frame["y"] = rng.poisson(np.exp(1.0 + 0.3 * frame["x"] + field.ravel()))
    a, b = (fit("poisson", d, f"y ~ x + {structure}(z | g)") for d in (frame, frame.assign(z=5.0 + 60.0 * frame["z"])))
    same_model(a, b)
    one, two = (m.tidy("random").set_index("term")["estimate"] for m in (a, b))
    name = next(name for name in one.index if name.startswith(("rate__", "range__")))
    assert two[name] == pytest.approx(one[name] * (1 / 60 if name.startswith("rate__") else 60), rel=1e-4)
    assert two[f"sd__{structure}"] == pytest.approx(one[f"sd__{structure}"], rel=1e-4)


@pytest.mark.parametrize("family", ["poisson", "nbinom2", "gamma"])
def test_a_row_of_weight_two_is_two_rows(family):
    frame = data(family)
    twice = pd.concat([frame, frame.iloc[:80]], ignore_index=True)
    weights = np.where(np.arange(len(frame)) < 80, 2.0, 1.0)
    same_model(fit(family, twice), fit(family, frame, weights=weights))


@pytest.mark.parametrize("family", [name for name in QUICK_FAMILIES if name != "trials"])
@fewer
@given(seed=st.integers(0, 2**32 - 1))
def test_the_weight_of_a_row_may_be_split(family, seed):
    rng = np.random.default_rng(seed)
    frame = data(family).assign(w=rng.uniform(0.5, 3.0, 240))
    share = rng.uniform(0.1, 0.9, 60)
    halves = [frame.head(60).assign(w=lambda d, s=s: s * d["w"]) for s in (share, 1 - share)]
    split = pd.concat([*halves, frame.tail(180)], ignore_index=True)
    same_model(fit(family, frame, weights="w"), fit(family, split, weights="w"))


@fewer
@given(seed=st.integers(0, 2**32 - 1))
def test_the_trials_of_a_row_may_be_split(seed):
    from scipy.special import gammaln

    def log_ways(s, n):
        return (gammaln(n + 1) - gammaln(s + 1) - gammaln(n - s + 1)).sum()

    rng = np.random.default_rng(seed)
    frame = data("trials").assign(s=lambda d: (8 * d["y"]).round().astype(int), n=8)
    first = rng.integers(1, 8, 240)
    successes = rng.hypergeometric(frame["s"], 8 - frame["s"], first)
    split = pd.concat([frame.assign(s=successes, n=first), frame.assign(s=frame["s"] - successes, n=8 - first)])
    formula = "cbind(s, n - s) ~ x + f + (1 + x | g) + (1 | h)"
    a, b = fit("binomial", frame, formula), fit("binomial", split, formula)
    # Only the binomial coefficients know how the trials were counted.
    constant = log_ways(split["s"], split["n"]) - log_ways(frame["s"], frame["n"])
    assert b.loglik == pytest.approx(a.loglik + constant, abs=LOGLIK)
    np.testing.assert_allclose(list(b.fixef().values()), list(a.fixef().values()), atol=1e-5)
    np.testing.assert_allclose(b.vcov(), a.vcov(), rtol=SHARE_OF_SE, atol=1e-8)


@pytest.mark.parametrize("reml", [False, True])
@fewer
@given(scale=st.floats(2.0, 100.0))
def test_precision_weights_in_any_unit(reml, scale):
    frame = data("gaussian").assign(w=np.random.default_rng(3).uniform(0.5, 2.0, 240))
    a, b = (rf.lmm(FORMULA, frame, reml=reml, weights=w * frame["w"]) for w in (1.0, scale))
    same_model(a, b)
    assert b.sigma == pytest.approx(np.sqrt(scale) * a.sigma, rel=1e-6)
    np.testing.assert_allclose(b.engine.covariance[0], a.engine.covariance[0], rtol=1e-4)


def test_trials_are_bernoulli_rows_put_together():
    frame = data("binomial").assign(x=lambda d: d["x"].round())
    cells = frame.groupby(["x", "f", "g", "h"], as_index=False).agg(s=("y", "sum"), n=("y", "size"))
    one, many = fit("binomial", frame), fit("binomial", cells, "cbind(s, n - s) ~ x + f + (1 + x | g) + (1 | h)")
    # Grouped counts have binomial coefficients in their likelihood, which do not depend on the parameters.
    np.testing.assert_allclose(list(many.fixef().values()), list(one.fixef().values()), atol=1e-5)
    np.testing.assert_allclose(many.varcorr()["vcov"], one.varcorr()["vcov"], atol=1e-4)


@pytest.mark.parametrize("backend", ["pandas", "polars", "pyarrow"])
def test_any_kind_of_frame(backend):
    import polars as pl
    import pyarrow as pa

    frame = data("poisson")
    convert = {"pandas": lambda d: d, "polars": pl.from_pandas, "pyarrow": pa.Table.from_pandas}
    a, b = fit("poisson", frame), fit("poisson", convert[backend](frame))
    assert a.loglik == b.loglik
    assert a.fixef() == b.fixef()

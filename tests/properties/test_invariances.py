"""A model does not depend on how its data are written down.

Log-likelihoods are compared at 1e-7: both fits are polished to 1e-7 standard errors, where the likelihood is flat to
rounding. Estimates are compared at 1e-4 of their standard errors.
"""

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ranef as rf

LOGLIK = 1e-7
SHARE_OF_SE = 1e-4

FAMILIES = ["gaussian", "poisson", "nbinom2", "binomial", "gamma"]
FORMULA = "y ~ x + f + (1 + x | g) + (1 | h)"
#: Each example is a pair of fits: a few draws of the scheme are enough to find an order or a scale that matters.
few = settings(max_examples=6, deadline=None, derandomize=True)


def data(family: str, n: int = 240) -> pd.DataFrame:
    """Crossed data with a slope, a factor and effects large enough that no variance is zero."""
    rng = np.random.default_rng(20)
    g, h = rng.integers(0, 15, n), rng.integers(0, 8, n)
    x, f = rng.normal(size=n), rng.choice(["a", "b", "c"], n)
    slopes = 0.5 * rng.normal(size=15)
    eta = 0.5 + 0.4 * x + 0.3 * (f == "b") + rng.normal(size=15)[g] + slopes[g] * x + 0.7 * rng.normal(size=8)[h]
    mu = np.exp(np.clip(eta, -4, 4))
    draws = {
        "gaussian": lambda: eta + rng.normal(size=n),
        "poisson": lambda: rng.poisson(mu),
        "nbinom2": lambda: rng.negative_binomial(2, 2 / (2 + mu)),
        "binomial": lambda: rng.binomial(1, 1 / (1 + np.exp(-eta))),
        "gamma": lambda: rng.gamma(3, mu / 3),
    }
    labels = {"g": [f"g{code:02d}" for code in g], "h": [f"h{code}" for code in h]}
    return pd.DataFrame({"y": draws[family](), "x": x, "f": f, **labels})


def fit(family: str, frame: pd.DataFrame, formula: str = FORMULA, **options: object) -> rf.Fit:
    return rf.glmm(formula, frame, family=family, link="log" if family == "gamma" else None, **options)


def same_model(a: rf.Fit, b: rf.Fit, names: dict[str, str] | None = None) -> None:
    assert b.loglik == pytest.approx(a.loglik, abs=LOGLIK)
    std_error = dict(zip(a.fixef(), np.sqrt(np.diag(a.vcov())), strict=True))
    for name, estimate in a.fixef().items():
        assert b.fixef()[(names or {}).get(name, name)] == pytest.approx(estimate, abs=SHARE_OF_SE * std_error[name])


@pytest.mark.parametrize("family", FAMILIES)
@few
@given(seed=st.integers(0, 2**32 - 1))
def test_rows_in_any_order(family, seed):
    frame = data(family)
    same_model(fit(family, frame), fit(family, frame.sample(frac=1.0, random_state=seed)))


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


@pytest.mark.parametrize("family", FAMILIES)
@few
@given(scale=st.floats(1e-3, 1e3))
def test_a_predictor_in_any_unit(family, scale):
    frame = data(family)
    a, b = fit(family, frame), fit(family, frame.assign(x=frame["x"] * scale))
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


@few
@given(shift=st.floats(-3, 3))
def test_a_constant_offset_moves_the_intercept(shift):
    frame = data("poisson")
    a, b = fit("poisson", frame), fit("poisson", frame.assign(e=shift), FORMULA + " + offset(e)")
    assert b.loglik == pytest.approx(a.loglik, abs=LOGLIK)
    assert b.fixef()["Intercept"] + shift == pytest.approx(a.fixef()["Intercept"], abs=1e-5)
    assert b.fixef()["x"] == pytest.approx(a.fixef()["x"], abs=1e-5)


@pytest.mark.parametrize("family", ["poisson", "nbinom2", "gamma"])
def test_a_row_of_weight_two_is_two_rows(family):
    frame = data(family)
    twice = pd.concat([frame, frame.iloc[:80]], ignore_index=True)
    weights = np.where(np.arange(len(frame)) < 80, 2.0, 1.0)
    same_model(fit(family, twice), fit(family, frame, weights=weights))


def test_trials_are_bernoulli_rows_put_together():
    frame = data("binomial").assign(x=lambda d: d["x"].round())
    cells = frame.groupby(["x", "f", "g", "h"], as_index=False).agg(s=("y", "sum"), n=("y", "size"))
    one, many = fit("binomial", frame), fit("binomial", cells, "cbind(s, n - s) ~ x + f + (1 + x | g) + (1 | h)")
    # Grouped counts have binomial coefficients in their likelihood, which do not depend on the parameters.
    np.testing.assert_allclose(list(many.fixef().values()), list(one.fixef().values()), atol=1e-5)
    np.testing.assert_allclose(many.varcorr()["vcov"], one.varcorr()["vcov"], atol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_any_base_level(family):
    frame = data(family)
    other = frame.assign(f=pd.Categorical(frame["f"], ["c", "a", "b"]))
    a, b = fit(family, frame), fit(family, other)
    assert b.loglik == pytest.approx(a.loglik, abs=LOGLIK)
    assert b.fixef()["f[T.b]"] - b.fixef()["f[T.a]"] == pytest.approx(a.fixef()["f[T.b]"], abs=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_nesting_written_in_two_ways(family):
    frame = data(family)
    frame["gh"] = frame["g"] + frame["h"]
    formulas = ["y ~ x + (1 | g/h)", "y ~ x + (1 | g) + (1 | g:h)", "y ~ x + (1 | g) + (1 | gh)"]
    first, *others = (fit(family, frame, formula) for formula in formulas)
    for other in others:
        same_model(first, other)


@pytest.mark.parametrize("backend", ["pandas", "polars", "pyarrow"])
def test_any_kind_of_frame(backend):
    import polars as pl
    import pyarrow as pa

    frame = data("poisson")
    convert = {"pandas": lambda d: d, "polars": pl.from_pandas, "pyarrow": pa.Table.from_pandas}
    a, b = fit("poisson", frame), fit("poisson", convert[backend](frame))
    assert a.loglik == b.loglik
    assert a.fixef() == b.fixef()


def test_a_linear_mixed_model_is_a_gaussian_one():
    frame = data("gaussian")
    for reml in (False, True):
        a, b = rf.lmm(FORMULA, frame, reml=reml), fit("gaussian", frame, reml=reml)
        same_model(a, b)
        assert b.sigma == pytest.approx(a.sigma, rel=1e-6)
        np.testing.assert_allclose(a.varcorr()["sdcor"], b.varcorr()["sdcor"], rtol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_larger_model_never_fits_worse(family):
    frame = data(family)
    formulas = ["y ~ x + (1 | g)", "y ~ x + (x || g)", "y ~ x + (x | g)", "y ~ x + (x | g) + (1 | h)"]
    logliks = [fit(family, frame, formula).loglik for formula in formulas]
    assert all(larger >= smaller - 1e-6 for smaller, larger in itertools.pairwise(logliks)), logliks

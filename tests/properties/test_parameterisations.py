"""A model does not depend on how its formula writes it down: codings, bases, random slopes, structures, offsets."""

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
    fewer,
    fit,
    fitted,
    same_fit,
    same_model,
    same_predictions,
)

# Covariances of two fits of one model: the search ends within 1e-7 standard errors, which are about as large as a
# variance of fifteen levels; correlations near their bounds are known less well.
COVARIANCE = 1e-4


def covariance(fit: rf.Fit, term: int = 0) -> np.ndarray:
    return np.asarray(fit.engine.covariance[term])


def as_binary(frame: pd.DataFrame) -> pd.DataFrame:
    """A column of zeros and ones beside a factor that says the same."""
    b = (frame["f"] == "b").to_numpy()
    return frame.assign(b=b.astype(float), k=np.where(b, "yes", "no"))


# -- fixed effects -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("coding", ["sum", "helmert", "poly", "sdif"])
@pytest.mark.parametrize("family", FAMILIES)
def test_any_coding_of_a_factor(family, coding):
    a, b = fitted(family), fit(family, data(family), contrasts={"f": coding})
    same_fit(a, b)
    assert b.fixef()["x"] == pytest.approx(a.fixef()["x"], abs=SHARE_OF_SE * np.sqrt(a.vcov()[-1, -1]))


@pytest.mark.parametrize("family", FAMILIES)
def test_any_base_level(family):
    frame = data(family)
    other = frame.assign(f=pd.Categorical(frame["f"], ["c", "a", "b"]))
    a, b = fitted(family), fit(family, other)
    same_fit(a, b)
    assert b.fixef()["f[T.b]"] - b.fixef()["f[T.a]"] == pytest.approx(a.fixef()["f[T.b]"], abs=1e-5)
    assert b.fixef()["Intercept"] + b.fixef()["f[T.a]"] == pytest.approx(a.fixef()["Intercept"], abs=1e-5)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("f + x", "0 + f + x"),
        ("f * x", "0 + f + f:x"),
        ("f * x", "x * f"),
        ("f + f:x", "f/x"),
        ("poly(x, 3)", "x + I(x^2) + I(x^3)"),
        ("f * poly(x, 2)", "f * (x + I(x^2))"),
        ("x + f", "scale(x) + f"),
        ("x", "I(2 * x - 5)"),
    ],
)
@pytest.mark.parametrize("family", ["gaussian", "nbinom2", "zero-inflated"])
def test_any_basis_of_the_fixed_effects(family, one, other):
    same_fit(*(fit(family, data(family), f"y ~ {basis} + (1 | g) + (1 | h)") for basis in (one, other)))


@pytest.mark.parametrize("reml", [False, True])
def test_any_basis_of_the_fixed_effects_of_a_linear_mixed_model(reml):
    frame = data("gaussian")
    a, b = (rf.lmm(f"y ~ {basis} + (x | g)", frame, reml=reml) for basis in ("poly(x, 2)", "x + I(x^2)"))
    # The restricted likelihood has half the log determinant of X'V^-1 X, which a basis changes as it does that of X'X.
    x = [np.asarray(fit.design.fixed["cond"].x) for fit in (a, b)]
    one, other = (np.linalg.slogdet(columns.T @ columns)[1] for columns in x)
    assert b.loglik == pytest.approx(a.loglik + (0.5 * (one - other) if reml else 0.0), abs=LOGLIK)
    same_predictions(a, b)


@pytest.mark.parametrize("component", ["zi", "dispersion"])
def test_any_basis_of_another_component(component):
    frame = data("nbinom2")
    a, b = (fit("nbinom2", frame, "y ~ x + f + (1 | g)", **{component: f"~ {basis}"}) for basis in ("f", "0 + f"))
    same_fit(a, b)
    for kind in ("response", "dispersion"):
        np.testing.assert_allclose(b.predict(kind=kind), a.predict(kind=kind), rtol=SHARE_OF_SE)


@pytest.mark.parametrize("family", FAMILIES)
def test_terms_in_any_order(family):
    same_model(fitted(family), fit(family, data(family), "y ~ (1 | h) + f + (x + 1 | g) + x"))


# -- random effects ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", QUICK_FAMILIES)
@fewer
@given(shift=st.floats(1, 20))
def test_a_random_slope_from_any_origin(family, shift):
    a, b = fitted(family), fit(family, data(family).assign(x=lambda d: d["x"] - shift))
    same_fit(a, b, lambda frame: frame.assign(x=frame["x"] - shift))
    # The intercept at the new origin is b0 + shift * b1.
    turn = np.array([[1.0, shift], [0.0, 1.0]])
    expected = turn @ covariance(a) @ turn.T
    np.testing.assert_allclose(covariance(b), expected, rtol=COVARIANCE, atol=COVARIANCE * np.diag(expected).min())
    np.testing.assert_allclose(modes(b), modes(a) @ turn.T, atol=1e-4 * (1 + abs(shift)))


def modes(fit: rf.Fit, term: int = 0) -> np.ndarray:
    return np.asarray(fit.engine.modes[term])


def test_the_origin_matters_where_intercept_and_slope_are_held_uncorrelated():
    logliks = [
        rf.lmm("y ~ x + (x || g)", data("gaussian").assign(x=lambda d, s=s: d["x"] - s), reml=False).loglik
        for s in (0.0, 3.0)
    ]
    assert abs(logliks[0] - logliks[1]) > 0.1


@pytest.mark.parametrize("family", ["gaussian", "nbinom2", "trials", "zero-inflated"])
def test_the_columns_of_a_term_span_its_effects(family):
    frame = as_binary(data(family)).assign(one=1.0)
    terms = ["(b | g)", "(0 + k | g)", "(0 + b + one | g)", "(I(1 - b) | g)", "(k | g)"]
    first, *others = (fit(family, frame, f"y ~ x + b + {term}") for term in terms)
    turns = [[[1, 0], [1, 1]], [[0, 1], [1, 0]], [[1, 1], [0, -1]], np.eye(2)]
    for other, turn in zip(others, turns, strict=True):
        same_fit(first, other)
        expected = np.array(turn) @ covariance(first) @ np.transpose(turn)
        np.testing.assert_allclose(covariance(other), expected, rtol=COVARIANCE, atol=COVARIANCE)


@pytest.mark.parametrize("family", ["gaussian", "nbinom2", "trials", "zero-inflated"])
def test_structures_that_are_the_same_with_two_columns(family):
    frame = as_binary(data(family))
    same = [
        ["(x || g)", "diag(x | g)", "(1 | g) + (0 + x | g)"],
        ["(x | g)", "us(x | g)", "cs(x | g)", "rr(x | g, d = 2)"],
        ["(0 + k | g)", "cs(0 + k | g)", "hetar1(0 + k | g)", "toep(0 + k | g)", "rr(0 + k | g, d = 2)"],
        ["homcs(0 + k | g)", "ar1(0 + k | g)", "homtoep(0 + k | g)"],
        ["homdiag(0 + k | g)", "(1 | g:k)"],
    ]
    for terms in same:
        first, *others = (fit(family, frame, f"y ~ x + b + {term}") for term in terms)
        for other in others:
            same_fit(first, other)


@pytest.mark.parametrize("family", FAMILIES)
def test_nesting_written_in_two_ways(family):
    frame = data(family)
    frame["gh"] = frame["g"] + frame["h"]
    formulas = [
        "y ~ x + (1 | g/h)",
        "y ~ x + (1 | g) + (1 | g:h)",
        "y ~ x + (1 | h:g) + (1 | g)",
        "y ~ x + (1 | g) + (1 | gh)",
    ]
    first, *others = (fit(family, frame, formula) for formula in formulas)
    for other in others:
        same_model(first, other)


def test_nested_slopes_written_in_two_ways():
    frame = data("poisson")
    frame["gh"] = frame["g"] + frame["h"]
    first, *others = (
        fit("poisson", frame, f"y ~ x + {terms}")
        for terms in ("(x || g/h)", "(x || g) + (x || g:h)", "(1 | g) + (0 + x | g) + (1 | gh) + (0 + x | gh)")
    )
    for other in others:
        same_model(first, other)


@pytest.mark.parametrize("family", ["poisson", "nbinom2", "gamma"])
def test_equal_correlations_are_an_intercept_for_groups_and_one_for_cells(family):
    frame = as_binary(data(family))
    nested, equal = (fit(family, frame, f"y ~ x + b + {term}") for term in ("(1 | g) + (1 | g:k)", "homcs(0 + k | g)"))
    same_predictions(nested, equal)
    assert equal.loglik == pytest.approx(nested.loglik, abs=LOGLIK)
    between, within = covariance(nested, 0)[0, 0], covariance(nested, 1)[0, 0]
    expected = between + within * np.eye(2)
    np.testing.assert_allclose(covariance(equal), expected, rtol=COVARIANCE)


@pytest.mark.parametrize("reml", [False, True])
@pytest.mark.parametrize("formula", [FORMULA, "y ~ x + (x || g)", "y ~ x + (1 | g/h)", "y ~ f + diag(0 + f | g)"])
def test_a_linear_mixed_model_is_a_gaussian_one(formula, reml):
    frame = data("gaussian")
    a, b = rf.lmm(formula, frame, reml=reml), fit("gaussian", frame, formula, reml=reml)
    same_model(a, b)
    # The one has standard errors given the variances, the other with their uncertainty, as lme4 and glmmTMB have.
    for ranef in (False, True):
        assert np.abs(a.predict(ranef=ranef) - b.predict(ranef=ranef)).max() < SHARE_OF_SE * a.sigma
    assert b.sigma == pytest.approx(a.sigma, rel=1e-6)
    np.testing.assert_allclose(a.varcorr()["sdcor"], b.varcorr()["sdcor"], rtol=1e-4)


# -- offsets -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
@fewer
@given(shift=st.floats(-3, -0.5))
def test_a_constant_offset_moves_the_intercept(family, shift):
    a, b = fitted(family), fit(family, data(family).assign(e=shift), FORMULA + " + offset(e)")
    assert b.loglik == pytest.approx(a.loglik, abs=LOGLIK)
    assert b.fixef()["Intercept"] + shift == pytest.approx(a.fixef()["Intercept"], abs=1e-5)
    assert b.fixef()["x"] == pytest.approx(a.fixef()["x"], abs=1e-5)


@pytest.mark.parametrize("family", MORE_FAMILIES)
def test_an_offset_along_a_predictor_moves_its_coefficient(family):
    frame = data(family)
    a, b = fitted(family), fit(family, frame, offset=0.7 * frame["x"].to_numpy())
    assert b.loglik == pytest.approx(a.loglik, abs=LOGLIK)
    assert b.fixef()["x"] + 0.7 == pytest.approx(a.fixef()["x"], abs=1e-5)
    assert b.fixef()["f[T.b]"] == pytest.approx(a.fixef()["f[T.b]"], abs=1e-5)
    np.testing.assert_allclose(b.predict(kind="link"), a.predict(kind="link"), atol=1e-5)


def test_an_offset_of_an_identity_link_is_taken_from_the_response():
    frame = data("gaussian").assign(e=np.random.default_rng(1).normal(size=240))
    same_model(rf.lmm("I(y - e) ~ x + f + (1 + x | g)", frame), rf.lmm("y ~ x + f + offset(e) + (1 + x | g)", frame))


def test_exposures_of_a_log_link_divide_a_gamma_response():
    frame = data("gamma").assign(e=np.random.default_rng(1).uniform(0.2, 5.0, size=240))
    a = fit("gamma", frame.assign(y=frame["y"] / frame["e"]))
    b = fit("gamma", frame, FORMULA + " + offset(log(e))")
    # The density of y is that of y / e over e.
    assert b.loglik == pytest.approx(a.loglik - np.log(frame["e"]).sum(), abs=LOGLIK)
    np.testing.assert_allclose(list(b.fixef().values()), list(a.fixef().values()), atol=1e-5)


def test_sums_of_counts_have_the_number_of_their_rows_as_exposure():
    from scipy.special import gammaln

    frame = data("poisson").assign(x=lambda d: d["x"].round())
    sums = frame.groupby(["x", "f", "g", "h"], as_index=False).agg(s=("y", "sum"), m=("y", "size"))
    assert len(sums) < len(frame)
    a, b = fit("poisson", frame), fit("poisson", sums, "s ~ x + f + offset(log(m)) + (1 + x | g) + (1 | h)")
    # P(sum) over the product of P(row) is m^s times the multinomial's factorials.
    ways = (sums["s"] * np.log(sums["m"]) - gammaln(sums["s"] + 1)).sum() + gammaln(frame["y"] + 1).sum()
    assert b.loglik == pytest.approx(a.loglik + ways, abs=LOGLIK)
    np.testing.assert_allclose(list(b.fixef().values()), list(a.fixef().values()), atol=1e-5)
    np.testing.assert_allclose(covariance(b), covariance(a), atol=COVARIANCE)

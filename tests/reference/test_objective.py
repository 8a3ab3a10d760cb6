"""The objective and its gradient at given parameters, against R: nothing here depends on an optimiser.

glmmTMB's parameters are converted to ours, and our gradient is carried back to them by the chain rule. Its
parametrisation (version 1.1.5): `beta`, `betazi`, `betad` are the coefficients of the mean, the zero inflation and
the dispersion; `theta` holds, term by term, the log standard deviations, then row by row the strict lower triangle of
a unit-diagonal L whose rows are scaled to length one, so that corr = L L'.
"""

from functools import cache

import numpy as np
import pytest

from ranef import _engine
from ranef.families import family_named
from ranef.model import build_model
from reference_cases import frame, stored

# glmmTMB stops its inner Newton search at a gradient of 1e-8: the value is flat there (both agree to 1e-11), the
# gradient is not.
VALUE = 1e-8
GRADIENT = 1e-6
# Near an optimum every entry is rounding error; what counts is its size beside the gradient away from it.
GRADIENT_FLOOR = 1e-9
# lme4's deviance function is a closed form of theta: the order of its sums, over up to 73421 rows, is not ours.
DEVIANCE = 1e-11

LAPLACE = stored("obj_owls") | stored("obj_sleepstudy")
DEVFUN = stored("obj_devfun")
ARGUMENTS = {
    "obj_owls_slide_corr": {},
    "obj_owls_zinb": {"zi": "~ FoodTreatment", "dispersion": "~ SexParent"},
    "obj_sleepstudy_gaussian": {},
}


def unstructured_factor(theta: np.ndarray, size: int) -> np.ndarray:
    """Lower-triangular factor of Sigma from glmmTMB's theta; analytic, so that a complex step differentiates it."""
    rows = np.eye(size, dtype=theta.dtype)
    rows[np.tril_indices(size, -1)] = theta[size:]
    rows = rows / np.sqrt((rows * rows).sum(axis=1, keepdims=True))
    return np.exp(theta[:size])[:, None] * rows


def factor_jacobian(theta: np.ndarray, size: int) -> np.ndarray:
    """d factor[i, j] / d theta[k], shape (size, size, k), by complex steps: exact to rounding."""
    step = 1e-30
    columns = [
        unstructured_factor(theta + 1j * step * unit, size).imag / step for unit in np.eye(len(theta), dtype=complex)
    ]
    return np.stack(columns, axis=-1)


@cache
def laplace(name: str):
    case = LAPLACE[name]
    model = build_model(
        case["formula"],
        frame(case["data"]),
        family=family_named(case["family"]),
        linear=False,
        reml=False,
        **ARGUMENTS[name],
    )
    return model, _engine.Model(model.spec())


POINTS = [(name, point) for name, case in LAPLACE.items() for point in case["points"]]


@pytest.mark.parametrize(("name", "point"), POINTS)
def test_laplace_value_and_gradient(name, point):
    case = LAPLACE[name]
    model, engine = laplace(name)
    reference = case["points"][point]
    par, names = np.array(reference["par"], float), np.array(case["par_names"])
    # A gaussian's betad is the log variance, twice our log standard deviation.
    halved = 0.5 if case["family"] == "gaussian" else 1.0
    block = {"cond": "beta", "zi": "betazi", "disp": "betad"}
    scale = {"cond": 1.0, "zi": 1.0, "disp": halved}
    beta = [scale[c] * par[names == block[c]] for c in model.components]
    (term,) = model.design.random
    theta, size = par[names == "theta"], len(term.names)

    out = engine.evaluate(beta, [unstructured_factor(theta, size)])
    assert out["value"] == pytest.approx(reference["neg_loglik"], rel=0, abs=VALUE)

    ours = np.empty_like(par)
    for component, gradient in zip(model.components, out["beta"], strict=True):
        ours[names == block[component]] = scale[component] * np.asarray(gradient)
    lower = np.tril(np.asarray(out["factor"][0]))
    ours[names == "theta"] = np.einsum("ij,ijk->k", lower, factor_jacobian(theta, size))
    expected = np.array(reference["gradient"])
    away = max(np.abs(p["gradient"]).max() for p in case["points"].values())
    np.testing.assert_allclose(ours, expected, rtol=GRADIENT, atol=GRADIENT_FLOOR * away)


def relative_factors(theta: list[float], sizes: list[int]) -> list[np.ndarray]:
    """lme4's theta as relative factors: the lower triangle of each term, column by column."""
    factors, position = [], 0
    for size in sizes:
        factor = np.zeros((size, size))
        for column in range(size):
            count = size - column
            factor[column:, column] = theta[position : position + count]
            position += count
        factors.append(factor)
    assert position == len(theta)
    return factors


def lme4_terms(case: dict) -> list[str]:
    """Grouping factors in lme4's order of theta."""
    return list(dict.fromkeys(name.split(".")[0] for name in case["theta_names"]))


@pytest.mark.parametrize("criterion", ["ML", "REML"])
@pytest.mark.parametrize("name", DEVFUN)
def test_profiled_deviance(name, criterion):
    case = DEVFUN[name]
    model = build_model(
        case["formula"],
        frame(case["data"]),
        family=family_named("gaussian"),
        linear=True,
        reml=criterion == "REML",
    )
    engine = _engine.Model(model.spec())
    groups = lme4_terms(case)
    by_group = {term.group: term for term in model.design.random}
    sizes = [len(by_group[group].names) for group in groups]
    beta = [np.zeros(model.design.fixed[c].x.shape[1]) for c in model.components]
    for point in case["points"][criterion]:
        factor_of = dict(zip(groups, relative_factors(point["theta"], sizes), strict=True))
        ordered = [factor_of[term.group] for term in model.design.random]
        value = engine.evaluate(beta, ordered, gradient=False)["value"]
        assert value == pytest.approx(point["devfun"], rel=DEVIANCE)


def test_profiled_gradient_agrees_with_differences():
    """The gradient that goes with the deviance above, by central differences of that same deviance."""
    case = DEVFUN["obj_devfun_sleepstudy"]
    for reml in (False, True):
        model = build_model(
            case["formula"],
            frame(case["data"]),
            family=family_named("gaussian"),
            linear=True,
            reml=reml,
        )
        engine = _engine.Model(model.spec())
        beta = [np.zeros(model.design.fixed[c].x.shape[1]) for c in model.components]
        theta = np.array([0.9, 0.1, 0.3])

        def value(theta, engine=engine, beta=beta):
            return engine.evaluate(beta, relative_factors(list(theta), [2]), gradient=False)["value"]

        gradient = np.asarray(engine.evaluate(beta, relative_factors(list(theta), [2]))["factor"][0])
        step = 1e-5
        for k, (i, j) in enumerate([(0, 0), (1, 0), (1, 1)]):
            unit = step * np.eye(3)[k]
            # Fourth-order differences: truncation 1e-20, rounding 1e-16 * 1750 / step = 2e-8.
            slope = (
                8 * (value(theta + unit) - value(theta - unit)) - (value(theta + 2 * unit) - value(theta - 2 * unit))
            ) / (12 * step)
            assert gradient[i, j] == pytest.approx(slope, rel=1e-6, abs=1e-6)

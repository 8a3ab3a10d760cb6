"""The next term of Laplace's expansion is what is missing: by quadrature, and by sampling where factors are crossed."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import ranef as rf
from models import owls
from ranef import _engine
from ranef.checks.laplace import _coefficient, shift, shift_by_expansion
from ranef.checks.laplace_expansion import columns_of, expansion_of
from worlds import row


def grouped(family, groups, rows, sd, seed=1):
    rng = np.random.default_rng(seed)
    g, x = np.repeat(np.arange(groups), rows), rng.normal(size=groups * rows)
    eta = -0.3 + 0.6 * x + sd * rng.normal(size=groups)[g]
    y = rng.binomial(1, 1.0 / (1.0 + np.exp(-eta))) if family == "binomial" else rng.poisson(np.exp(eta))
    return rf.glmm("y ~ x + (1 | g)", pd.DataFrame({"y": y, "x": x, "g": g.astype(str)}), family=family)


def crossed(size, sd, seed=1, repeats=1):
    rng = np.random.default_rng(seed)
    g, h = (np.tile(code.ravel(), repeats) for code in np.indices((size, size)))
    eta = 0.3 + sd * rng.normal(size=size)[g] + sd * rng.normal(size=size)[h]
    y = rng.binomial(1, 1.0 / (1.0 + np.exp(-eta)))
    data = pd.DataFrame({"y": y, "g": g.astype(str), "h": h.astype(str), "row": np.arange(len(y)) + 0.5})
    return rf.glmm("y ~ 1 + (1 | g) + (1 | h)", data, family="binomial")


def own_factors(fit):
    return [np.asarray(factor, float) for factor in fit.engine.factor]


@pytest.mark.parametrize("family", ["binomial", "poisson"])
@pytest.mark.parametrize(("groups", "rows", "sd"), [(40, 6, 1.0), (30, 12, 1.0), (20, 30, 0.7)])
def test_for_one_factor_it_is_what_quadrature_adds(family, groups, rows, sd):
    fit = grouped(family, groups, rows, sd)
    expansion = expansion_of(fit)
    by_quadrature = _engine.Model(replace(fit.model, quadrature=25).spec()).evaluate(fit.engine.beta, fit.engine.factor)
    # The terms after the next are smaller by a factor of the rows a level: some percent here.
    missing = -by_quadrature["value"] - fit.loglik
    assert expansion.next_term(fit.estimates("cond"), own_factors(fit)) == pytest.approx(missing, rel=0.1)
    by_beta, by_factor = expansion.gradient()
    scale = np.abs(by_quadrature["factor"][0]).max()
    np.testing.assert_allclose(-by_beta, by_quadrature["beta"][0], atol=0.1 * scale)
    np.testing.assert_allclose(-by_factor[0], by_quadrature["factor"][0], rtol=0.1)


def test_moves_are_those_of_quadrature_and_in_its_order():
    designs = [(60, 3, 1.0), (40, 6, 1.0), (30, 12, 1.0), (20, 30, 0.7)]
    fits = [grouped("binomial", *design) for design in designs]
    by_quadrature, by_expansion = ([move(fit)[0] for fit in fits] for move in (shift, shift_by_expansion))
    assert np.argsort(by_quadrature).tolist() == np.argsort(by_expansion).tolist()
    assert by_expansion == pytest.approx(by_quadrature, rel=0.3)


def sampled(fit, draws=50_000):
    """What is missing from Laplace's log-likelihood, by importance sampling from its normal distribution."""
    rng = np.random.default_rng(1)
    terms, factors = fit.design.random, own_factors(fit)
    a = np.column_stack(
        [factor[0, 0] * columns_of(t.columns, t.codes, len(t.levels)) for t, factor in zip(terms, factors, strict=True)]
    )
    u = np.concatenate([mode[:, 0] / factor[0, 0] for mode, factor in zip(fit.engine.modes, factors, strict=True)])
    eta, y = np.asarray(fit.engine.linear_predictor)[:, 0], fit.design.response.y
    p = 1.0 / (1.0 + np.exp(-eta))
    h = (a.T * (p * (1.0 - p))) @ a + np.eye(len(u))
    away = np.linalg.solve(np.linalg.cholesky(h).T, rng.standard_normal((len(u), draws)))

    def minus_log(u, eta):
        return np.logaddexp(0.0, eta).sum(axis=0) - y @ eta + 0.5 * (u**2).sum(axis=0)

    here = minus_log(u[:, None], eta[:, None])
    log_weights = here - minus_log(u[:, None] + away, eta[:, None] + a @ away)
    log_weights += 0.5 * np.einsum("id,ij,jd->d", away, h, away)
    weights = np.exp(log_weights)
    return np.log(weights.mean()), weights.std() / weights.mean() / np.sqrt(draws)


@pytest.mark.parametrize(("size", "sd"), [(10, 1.2), (12, 1.0)])
def test_for_crossed_factors_it_is_what_sampling_finds(size, sd):
    fit = crossed(size, sd)
    missing, error = sampled(fit)
    found = expansion_of(fit).next_term(fit.estimates("cond"), own_factors(fit))
    # Terms after the next: a tenth; sampling: four standard errors.
    assert found == pytest.approx(missing, abs=0.15 * abs(missing) + 4.0 * error)


def test_the_row_of_crossed_factors_says_what_was_measured_and_orders_designs():
    sparse, dense = (crossed(12, 1.0, repeats=repeats).check() for repeats in (1, 5))
    found = [row(check, "Laplace approximation") for check in (sparse, dense)]
    for one in found:
        assert one["measure"] == "largest move by the next term of the expansion in standard errors"
        assert one["detail"].startswith("with the next term for h and g ")
    assert found[0]["statistic"] > 2.0 * found[1]["statistic"]
    assert found[1]["verdict"] in ("ok", "look")


def test_parameters_that_move_are_called_by_their_component():
    fit = owls()
    found = [_coefficient(fit, first, second) for kind, first, second in fit.engine.joint_names() if kind == "beta"]
    assert found == [*fit.fixef(), "disp: Intercept", "zi: Intercept"]

"""Degrees of freedom: against dense matrices, between the engine's ways to fit one model, and where they end."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import ranef as rf
from models import data, dyestuff2, grouped, owls, sleepstudy
from ranef.inference.contrasts import denominator

STRUCTURES = {
    "us": "(time | g)",
    "diag": "(time || g)",
    "cs": "cs(0 + visit | g)",
    "homcs": "homcs(0 + visit | g)",
    "toep": "homtoep(0 + visit | g)",
    "ar1": "ar1(0 + visit | g)",
    "hetar1": "hetar1(0 + visit | g)",
    "crossed": "(1 | g) + (1 | site)",
}


@pytest.mark.parametrize("random", STRUCTURES.values(), ids=STRUCTURES.keys())
def test_the_profiled_and_the_laplace_path_agree(random):
    data, formula = grouped(2), f"y ~ x + treated * time + {random}"
    linear = rf.lmm(formula, data)
    general = rf.glmm(formula, data, family="gaussian", reml=True)
    assert general.loglik == pytest.approx(linear.loglik, abs=1e-6)
    # The general model's Hessian is of differences of the gradient, the linear one's mostly in closed form.
    np.testing.assert_allclose(
        general.tidy(ddf="satterthwaite")["df"], linear.tidy(ddf="satterthwaite")["df"], rtol=2e-3
    )


def test_the_marginal_and_the_laplace_path_agree():
    data, formula = grouped(2), "y ~ x + treated * time + (1 | g)"
    marginal = rf.lmm(formula, data, dispersion="~ treated")
    general = rf.glmm(formula, data, family="gaussian", reml=True, dispersion="~ treated")
    for ddf in ("satterthwaite", "kenward-roger"):
        one, other = marginal.tidy(ddf=ddf), general.tidy(ddf=ddf)
        here, there = (frame[frame["component"] == "cond"] for frame in (one, other))
        np.testing.assert_allclose(here["df"], there["df"], rtol=2e-3)
    tests = denominator(marginal, ddf="kenward-roger"), denominator(general, ddf="kenward-roger")
    assert [test.method for test in tests] == ["kenward-roger", "kenward-roger"]
    np.testing.assert_allclose(tests[0].covariance, tests[1].covariance, rtol=1e-4, atol=1e-7)


def test_effects_tied_over_time_are_an_autoregression_of_occasions():
    data = grouped(3)
    coupled = rf.lmm("y ~ x + treated + ou(time | g)", data)
    occasions = rf.lmm("y ~ x + treated + ar1(0 + visit | g)", data)
    assert coupled.loglik == pytest.approx(occasions.loglik, abs=1e-6)
    np.testing.assert_allclose(coupled.tidy()["df"], occasions.tidy()["df"], rtol=2e-3)


def test_a_known_matrix_that_says_nothing_is_none():
    data = grouped(4)
    levels = list(data["g"].cat.categories)
    identity = pd.DataFrame(np.eye(len(levels)), index=levels, columns=levels)
    known = rf.lmm("y ~ x + treated + propto(1 | g, K)", data, matrices={"K": identity})
    plain = rf.lmm("y ~ x + treated + (1 | g)", data)
    for ddf in ("satterthwaite", "kenward-roger"):
        one, other = denominator(known, ddf=ddf), denominator(plain, ddf=ddf)
        assert one.method == other.method == ddf
        each = np.eye(3)
        np.testing.assert_allclose(one.degrees_of_freedom(each), other.degrees_of_freedom(each), rtol=1e-4)
    # Standard errors of coupled effects hold the uncertainty of the variances, as glmmTMB's do; Kenward and Roger's are
    # of their own.
    np.testing.assert_allclose(one.covariance, other.covariance, rtol=1e-5, atol=1e-7)


def test_correlated_residuals_are_equal_effects_of_a_group():
    data = grouped(5)
    residual = rf.lmm("y ~ x + treated", data, correlation="cs(1 | g)")
    effects = rf.lmm("y ~ x + treated + (1 | g)", data)
    for ddf in ("satterthwaite", "kenward-roger"):
        one, other = denominator(residual, ddf=ddf), denominator(effects, ddf=ddf)
        assert one.method == other.method == ddf
        np.testing.assert_allclose(one.degrees_of_freedom(np.eye(3)), other.degrees_of_freedom(np.eye(3)), rtol=1e-4)
        np.testing.assert_allclose(one.covariance, other.covariance, rtol=1e-5, atol=1e-8)
        a, b = one.joint_test(np.eye(3)[1:]), other.joint_test(np.eye(3)[1:])
        assert (a.statistic, a.ddf, a.p_value) == pytest.approx((b.statistic, b.ddf, b.p_value), rel=1e-4)


# -- Kenward and Roger's formulas with n x n matrices -----------------------------------------------------------------


def dense_kenward_roger(x, v, directions):
    """Phi, Phi_A, W and the P_r, straight from Kenward & Roger (1997) for V linear in its parameters."""
    w = np.linalg.inv(v)
    phi = np.linalg.inv(x.T @ w @ x)
    p = [-x.T @ w @ g @ w @ x for g in directions]
    q = [[x.T @ w @ g @ w @ h @ w @ x for h in directions] for g in directions]
    k = len(directions)
    information = np.array(
        [
            [
                0.5
                * (
                    np.trace(w @ directions[r] @ w @ directions[s])
                    - 2 * np.trace(phi @ q[r][s])
                    + np.trace(phi @ p[r] @ phi @ p[s])
                )
                for s in range(k)
            ]
            for r in range(k)
        ]
    )
    weights = np.linalg.inv(information)
    total = sum(weights[r, s] * (q[r][s] - p[r] @ phi @ p[s]) for r in range(k) for s in range(k))
    return phi, phi + 2 * phi @ total @ phi, weights, p


def dense_f(rows, beta, phi, adjusted, weights, p):
    """Scaled F, its degrees of freedom and the scale."""
    k, ell = len(p), len(rows)
    theta = rows.T @ np.linalg.inv(rows @ phi @ rows.T) @ rows
    moved = [theta @ phi @ each @ phi for each in p]
    a1 = sum(weights[r, s] * np.trace(moved[r]) * np.trace(moved[s]) for r in range(k) for s in range(k))
    a2 = sum(weights[r, s] * np.trace(moved[r] @ moved[s]) for r in range(k) for s in range(k))
    b = (a1 + 6 * a2) / (2 * ell)
    g = ((ell + 1) * a1 - (ell + 4) * a2) / ((ell + 2) * a2)
    c1, c2, c3 = (value / (3 * ell + 2 * (1 - g)) for value in (g, ell - g, ell + 2 - g))
    e = 1 / (1 - a2 / ell)
    variance = 2 / ell * (1 + c1 * b) / ((1 - c2 * b) ** 2 * (1 - c3 * b))
    rho = variance / (2 * e**2)
    m = 4 + (ell + 2) / (ell * rho - 1)
    scale = m / (e * (m - 2))
    f = scale / ell * (rows @ beta) @ np.linalg.solve(rows @ adjusted @ rows.T, rows @ beta)
    return f, m, scale


def basis_of(structure, size):
    """The matrices whose combinations are the covariances of a structure."""

    def single(*places):
        out = np.zeros((size, size))
        for i, j in places:
            out[i, j] = out[j, i] = 1.0
        return out

    if structure == "us":
        return [single((i, j)) for i in range(size) for j in range(i, size)]
    if structure == "diag":
        return [single((i, i)) for i in range(size)]
    lags = [single(*[(i, i + lag) for i in range(size - lag)]) for lag in range(size)]
    return {"homdiag": lags[:1], "homcs": [lags[0], np.ones((size, size)) - np.eye(size)], "homtoep": lags}[structure]


@pytest.mark.parametrize(
    "random",
    [
        "(time | g)",
        "(time || g)",
        "(1 | g) + (1 | site)",
        "homcs(0 + visit | g)",
        "homtoep(0 + visit | g)",
        "homdiag(0 + visit | g)",
        "(time | g) + (1 | site)",
    ],
)
@pytest.mark.parametrize("seed", [11, 12])
def test_kenward_roger_is_that_of_dense_matrices(random, seed):
    require_dense_kenward_roger(rf.lmm(f"y ~ x + treated * time + {random}", grouped(seed)))


@pytest.mark.parametrize("random", ["(time || g)", "(time | g)", "(1 | g) + (1 | site)"])
def test_kenward_roger_is_that_of_dense_matrices_at_a_singular_fit(random):
    for seed in range(40, 60):
        data = grouped(seed)
        data["y"] = 0.5 * data["x"] + np.random.default_rng(seed).normal(size=len(data))
        fit = rf.lmm(f"y ~ x + treated * time + {random}", data)
        if fit.singular:
            break
    assert fit.singular
    require_dense_kenward_roger(fit)


def require_dense_kenward_roger(fit, related=None, cells=None):
    """`related`: R of the levels of each term, where they are not independent; `cells`: which rows share a variance."""
    x, n = np.asarray(fit.design.fixed["cond"].x), fit.nobs
    if cells is None:
        v, residual = fit.sigma**2 * np.eye(n), [np.eye(n)]
    else:
        v = np.diag(np.exp(2 * fit.engine.linear_predictor[:, 1]))
        residual = [np.diag((cells == cell).astype(float)) for cell in np.unique(cells)]
    directions = []
    for k, (term, sigma) in enumerate(zip(fit.terms(), fit.engine.covariance, strict=True)):
        tied = (related or {}).get(k, np.eye(term.codes.max() + 1))[np.ix_(term.codes, term.codes)]
        structure = "us" if term.structure == "propto" else term.structure
        v += tied * (term.columns @ sigma @ term.columns.T)
        directions += [tied * (term.columns @ g @ term.columns.T) for g in basis_of(structure, len(term.names))]
    phi, adjusted, weights, p = dense_kenward_roger(x, v, [*directions, *residual])
    tests = denominator(fit, ddf="kenward-roger")
    assert tests.method == "kenward-roger"
    size = np.sqrt(np.outer(np.diag(adjusted), np.diag(adjusted)))
    # The two differ by rounding alone.
    np.testing.assert_allclose(tests.covariance / size, adjusted / size, atol=1e-9)
    for rows in (np.eye(5)[1:2], np.eye(5)[[2, 4]], np.eye(5)[1:]):
        f, m, scale = dense_f(rows, tests.estimate, phi, adjusted, weights, p)
        found = tests.joint_test(rows)
        assert (found.statistic, found.ddf, found.scale) == pytest.approx((f, m, scale), rel=1e-9)


def relatives(data):
    """A matrix that ties each subject to the others, with variances that differ."""
    levels = list(data["g"].cat.categories)
    at = np.arange(len(levels))
    scale = 1.0 + 0.1 * (at % 4)
    return pd.DataFrame(np.outer(scale, scale) * 0.6 ** np.abs(at[:, None] - at), index=levels, columns=levels)


def test_kenward_roger_of_related_levels_is_that_of_dense_matrices():
    data = grouped(4)
    known = relatives(data)
    fit = rf.lmm("y ~ x + treated * time + propto(1 | g, K) + (time | site)", data, matrices={"K": known})
    require_dense_kenward_roger(fit, {0: known.to_numpy()})
    precision = pd.DataFrame(np.linalg.inv(known), index=known.index, columns=known.columns)
    fit = rf.lmm("y ~ x + treated * time + propto(time | g, K)", data, matrices={"K": rf.precision_matrix(precision)})
    require_dense_kenward_roger(fit, {0: known.to_numpy()})


def test_kenward_roger_with_a_variance_for_each_cell_is_that_of_dense_matrices():
    data = grouped(13)
    formula, treated = "y ~ x + treated * time + ", data["treated"].to_numpy()
    known = relatives(data)
    general = rf.lmm(formula + "propto(1 | g, K)", data, matrices={"K": known}, dispersion="~ treated")
    require_dense_kenward_roger(general, {0: known.to_numpy()}, treated)
    data["clinic"] = pd.Categorical(data["g"].cat.codes // 3)
    marginal = rf.lmm(formula + "(time | g) + (1 | clinic)", data, dispersion="~ treated")
    require_dense_kenward_roger(marginal, cells=treated)


def test_unstructured_residuals_have_kenward_rogers_covariance_too():
    """A variance for each occasion and a correlation for each pair: V is linear in its entries."""
    data = grouped(21, groups=25, visits=4, replicates=1)
    fit = rf.lmm("y ~ x + treated * time", data, correlation="us(visit | g)", dispersion="~ visit")
    tests = denominator(fit, ddf="kenward-roger")
    assert tests.method == "kenward-roger"
    spread = np.exp(fit.engine.linear_predictor[:, 1])
    visits, g = data["visit"].cat.codes.to_numpy(), data["g"].cat.codes.to_numpy()
    # The whitening of the identity is the inverse Cholesky factor of the correlation.
    root = np.linalg.inv(np.column_stack([fit.engine.whitened(column) for column in np.eye(len(data))]))
    v = np.outer(spread, spread) * (root @ root.T)
    directions = []
    for i in range(4):
        for j in range(i, 4):
            pair = np.outer(visits == i, visits == j)
            directions.append(((pair | pair.T) & (g[:, None] == g[None, :])).astype(float))
    x = np.asarray(fit.design.fixed["cond"].x)
    phi, adjusted, weights, p = dense_kenward_roger(x, v, directions)
    size = np.sqrt(np.outer(np.diag(adjusted), np.diag(adjusted)))
    np.testing.assert_allclose(tests.covariance / size, adjusted / size, atol=1e-6)
    f, m, scale = dense_f(np.eye(5)[1:], tests.estimate, phi, adjusted, weights, p)
    found = tests.joint_test(np.eye(5)[1:])
    assert (found.statistic, found.ddf, found.scale) == pytest.approx((f, m, scale), rel=1e-5)


# -- closed forms ------------------------------------------------------------------------------------------------------


def test_without_random_effects_they_are_those_of_the_residuals():
    data = grouped(6)
    for reml in (True, False):
        fit = rf.lmm("y ~ x + treated", data, reml=reml)
        # Maximum likelihood takes the residual variance for one of n degrees of freedom.
        np.testing.assert_allclose(fit.tidy()["df"], len(data) - (3 if reml else 0), rtol=1e-10)


def test_a_split_plot_has_the_degrees_of_freedom_of_its_strata():
    rng = np.random.default_rng(7)
    block, whole, sub = (a.ravel() for a in np.meshgrid(range(6), range(3), range(4), indexing="ij"))
    y = rng.normal(size=(6,))[block] + rng.normal(size=(6, 3))[block, whole] + rng.normal(size=block.size)
    data = pd.DataFrame({"y": y, "block": block, "whole": whole, "sub": sub}).astype(
        {"block": "category", "whole": "category", "sub": "category"}
    )
    fit = rf.lmm("y ~ whole * sub + (1 | block) + (1 | block:whole)", data)
    for ddf in ("satterthwaite", "kenward-roger"):
        table = fit.anova(ddf=ddf).set_index("term")["den_df"]
        assert table.to_dict() == pytest.approx({"whole": 10.0, "sub": 45.0, "whole:sub": 45.0}, rel=1e-5)


def test_a_paired_comparison_is_a_paired_t_test():
    rng = np.random.default_rng(8)
    before = rng.normal(size=12)
    after = before + 0.4 + 0.5 * rng.normal(size=12)
    data = pd.DataFrame(
        {"y": np.r_[before, after], "after": np.repeat(["0", "1"], 12), "g": np.tile([f"s{k}" for k in range(12)], 2)}
    )
    row = rf.lmm("y ~ after + (1 | g)", data).tidy().iloc[1]
    expected = stats.ttest_rel(after, before)
    assert row["df"] == pytest.approx(11.0, rel=1e-5)
    assert row["statistic"] == pytest.approx(expected.statistic, rel=1e-6)
    assert row["p_value"] == pytest.approx(expected.pvalue, rel=1e-5)


# -- where they end ----------------------------------------------------------------------------------------------------


def test_at_a_variance_of_zero_the_boundary_is_left_out_and_told():
    fit = dyestuff2()
    tests = denominator(fit)
    assert "variance parameters on their boundary are taken as known" in tests.text
    np.testing.assert_allclose(tests.degrees_of_freedom(np.eye(1)), 30.0, rtol=1e-8)


def test_maximum_likelihood_is_refitted_for_kenward_and_roger():
    ml, reml = denominator(sleepstudy(reml=False), ddf="kenward-roger"), denominator(sleepstudy(), ddf="kenward-roger")
    assert "refitted by REML" in ml.reason
    assert "refitted" not in reml.reason
    np.testing.assert_allclose(ml.covariance, reml.covariance, rtol=1e-6)


def test_where_the_covariance_is_not_linear_satterthwaite_takes_the_place_of_kenward_and_roger():
    fit = rf.lmm("y ~ x + ar1(0 + visit | g)", grouped(9))
    tests = denominator(fit, ddf="kenward-roger")
    assert tests.method == "satterthwaite"
    assert "there is no Kenward-Roger covariance: the covariance is not linear in its parameters" in tests.reason
    assert "there is no Kenward-Roger covariance" in str(fit.summary(ddf="kenward-roger"))


def test_defaults():
    assert denominator(sleepstudy()).method == "satterthwaite"
    assert denominator(owls()).method == "asymptotic"
    gaussian = rf.glmm("Reaction ~ Days + (Days | Subject)", rf.load_dataset("sleepstudy"), family="gaussian")
    assert denominator(gaussian).text == "normal approximation (the default of glmm)"
    held = rf.lmm("y ~ x + (1 | g)", grouped(10), reml=False, fixed={"x": 0.3})
    assert denominator(held).text == "normal approximation (fixed effects are held at values)"


def test_fixed_effects_that_are_aliased_are_no_trouble():
    data = grouped(13)
    data["double"] = 2.0 * data["x"]
    fit = rf.lmm("y ~ x + double + treated + (1 | g)", data)
    plain = rf.lmm("y ~ x + treated + (1 | g)", data)
    for ddf in ("satterthwaite", "kenward-roger"):
        np.testing.assert_allclose(fit.tidy(ddf=ddf)["df"], plain.tidy(ddf=ddf)["df"], rtol=1e-6)
    assert fit.anova().set_index("term").loc["treated", "den_df"] == pytest.approx(
        plain.anova().set_index("term").loc["treated", "den_df"], rel=1e-6
    )


def test_nothing_is_computed_before_it_is_asked_for():
    fit = rf.lmm("y ~ x + (1 | g)", grouped(14))
    assert "slopes_of_fixed_covariance" not in vars(fit)
    fit.tidy()
    assert "slopes_of_fixed_covariance" in vars(fit)


@pytest.mark.slow
def test_p_values_are_uniform_under_the_hypothesis():
    """300 small unbalanced data sets, of which a normal approximation would reject far too many."""
    values: dict[str, list[float]] = {"satterthwaite": [], "kenward-roger": [], "asymptotic": []}
    rng = np.random.default_rng(2026)
    g = np.repeat(np.arange(8), [2, 5, 3, 6, 2, 4, 3, 5])
    treated = (g % 2).astype(float)
    for _ in range(300):
        y = rng.normal(size=8)[g] + rng.normal(size=g.size)
        data = pd.DataFrame({"y": y, "treated": treated, "g": [f"s{k}" for k in g]})
        fit = rf.lmm("y ~ treated + (1 | g)", data)
        for ddf, found in values.items():
            found.append(fit.tidy(ddf=ddf)["p_value"][1])
    # Satterthwaite's are a little too small where a variance is estimated as zero, which is no mistake of the
    # arithmetic.
    assert stats.kstest(values["kenward-roger"], "uniform").pvalue > 0.01
    assert stats.kstest(values["satterthwaite"], "uniform").pvalue > 0.01
    rejected = {ddf: np.mean(np.array(found) < 0.05) for ddf, found in values.items()}
    assert rejected["kenward-roger"] < 0.08
    assert rejected["satterthwaite"] < 0.09
    assert rejected["asymptotic"] > 0.08


def test_a_gaussian_with_another_link_has_no_degrees_of_freedom():
    fit = rf.glmm("Reaction ~ Days + (1 | Subject)", data("sleepstudy"), family="gaussian", link="log")
    with pytest.raises(
        rf.ModelError, match="Gaussian responses with identity link and random effects of the mean only"
    ):
        fit.tidy(ddf="satterthwaite")
    assert np.isinf(fit.tidy()["df"]).all()

"""Cluster-robust covariances, against the papers' formulas written out with dense n x n matrices."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import fdtrc, gammaln

import ranef as rf
from models import cbpp, data, owls, penicillin, sleepstudy, sleepstudy_glmm
from ranef.errors import DataError, ModelError
from ranef.inference.contrasts import denominator
from ranef.inference.sandwich import clusters_of, contributions, linear_sandwich, score_sandwich


def some_of_sleepstudy():
    """Subjects with 2 to 10 rows, and a weight for each row."""
    sleep = data("sleepstudy").copy()
    subject = sleep["Subject"].astype(str).factorize()[0]
    rng = np.random.default_rng(1)
    sleep["w"] = rng.uniform(0.5, 2.0, len(sleep))
    sleep["old"] = (subject % 3 == 0).astype(float)
    return sleep[sleep["Days"] < 2 + (subject * 5) % 9].reset_index(drop=True)


def dense(x, y, v, codes, kind):
    """(covariance, list of P(c) functions' parts) from the definitions: D_j the upper Cholesky factor of V_j."""
    n, p = x.shape
    w = np.linalg.inv(v)
    m = np.linalg.inv(x.T @ w @ x)
    hat = x @ m @ x.T @ w
    e = y - hat @ y
    away = np.eye(n) - hat
    groups = [np.flatnonzero(codes == g) for g in np.unique(codes)]
    meat, residual_makers = np.zeros((p, p)), []
    for rows in groups:
        wj = np.linalg.inv(v[np.ix_(rows, rows)])
        adjustment = np.eye(len(rows))
        if kind == "CR2":
            d = np.linalg.cholesky(v[np.ix_(rows, rows)]).T
            b = d @ (away @ v @ away.T)[np.ix_(rows, rows)] @ d.T
            values, vectors = np.linalg.eigh((b + b.T) / 2)
            kept = values > 1e-9 * values.max()
            adjustment = d.T @ (vectors[:, kept] / np.sqrt(values[kept])) @ vectors[:, kept].T @ d
        elif kind == "CR1":
            adjustment = adjustment * np.sqrt(len(groups) / (len(groups) - 1))
        score = x[rows].T @ wj @ adjustment @ e[rows]
        meat += np.outer(score, score)
        residual_makers.append(away[rows].T @ adjustment.T @ wj @ x[rows] @ m)
    return m, m @ meat @ m, residual_makers


def dense_df(v, makers, c):
    """Satterthwaite's degrees of freedom of c'b, by the whole matrix of P_ij."""
    each = np.column_stack([maker @ c for maker in makers])
    p = each.T @ v @ each
    return np.trace(p) ** 2 / (p**2).sum()


def dense_htz(v, makers, covariance, combinations, estimate):
    """F, ddf and p-value of Pustejovsky & Tipton (2018), equations for eta with every P_ij."""
    q = len(combinations)
    each = [maker @ combinations.T for maker in makers]
    expected = sum(a.T @ v @ a for a in each)
    values, vectors = np.linalg.eigh(expected)
    root = vectors / np.sqrt(values) @ vectors.T
    each = [a @ root for a in each]
    total = 0.0
    for a in each:
        for b in each:
            p = a.T @ v @ b
            total += np.outer(np.diag(p), np.diag(p)).sum() + (p * p.T).sum()
    eta = q * (q + 1) / total
    wald = combinations @ estimate
    chi_square = wald @ np.linalg.solve(combinations @ covariance @ combinations.T, wald)
    f, ddf = (eta - q + 1) / (eta * q) * chi_square, eta - q + 1
    return f, ddf, fdtrc(q, ddf, f)


def covariance_of_rows(fit, residual):
    """V = Z Sigma Z' + R from the terms of a fit."""
    v = residual.copy()
    for term, sigma in zip(fit.design.random, fit.engine.covariance, strict=True):
        alike = term.codes[:, None] == term.codes
        v += alike * (term.columns @ sigma @ term.columns.T)
    return v


def orthodont_ar1():
    return rf.lmm(
        "distance ~ age * Sex + (1 | Subject)",
        data("orthodont"),
        correlation="car1(age | Subject)",
        dispersion="~ Sex",
    )


def case(name):
    """(fit, V, codes of the clusters)."""
    if name == "unbalanced":
        fit = rf.lmm("Reaction ~ Days * old + (Days | Subject)", some_of_sleepstudy())
        return fit, covariance_of_rows(fit, fit.sigma**2 * np.eye(fit.nobs)), fit.design.random[0].codes
    if name == "weights":
        fit = rf.lmm("Reaction ~ Days + (Days | Subject)", some_of_sleepstudy(), weights="w", reml=False)
        return fit, covariance_of_rows(fit, np.diag(fit.sigma**2 / fit.design.weights)), fit.design.random[0].codes
    if name == "nested":
        frame = data("pastes").copy()
        frame["strong"] = (frame["batch"].astype(str) < "D").astype(float)
        frame = frame.drop(index=[3, 17, 18, 40]).reset_index(drop=True)
        fit = rf.lmm("strength ~ strong + (1 | batch/cask)", frame)
        return fit, covariance_of_rows(fit, fit.sigma**2 * np.eye(fit.nobs)), frame["batch"].astype(str).to_numpy()
    if name == "correlated":
        fit = orthodont_ar1()
        frame, subject = fit.design.frame, fit.design.random[0].codes
        sd = np.exp(fit.design.fixed["disp"].x @ fit.estimates("disp"))
        (phi,) = [p[3] for p in fit.engine.residual_parameters()]
        age = frame["age"].to_numpy(float)
        alike = subject[:, None] == subject
        return fit, covariance_of_rows(fit, alike * phi ** abs(age[:, None] - age) * np.outer(sd, sd)), subject
    fit = rf.glmm(
        "Reaction ~ Days + (1 | Subject)", some_of_sleepstudy(), family="gaussian", dispersion="~ old", reml=True
    )
    sd = np.exp(fit.design.fixed["disp"].x @ fit.estimates("disp"))
    return fit, covariance_of_rows(fit, np.diag(sd**2)), fit.design.random[0].codes


@pytest.mark.parametrize("name", ["unbalanced", "weights", "nested", "correlated", "dispersion"])
@pytest.mark.parametrize("kind", ["CR0", "CR1", "CR2"])
def test_linear_models_have_the_papers_numbers(name, kind):
    fit, v, codes = case(name)
    x, y = fit.design.fixed["cond"].x, fit.design.response.y
    m, covariance, makers = dense(x, y, v, codes, kind)
    estimate = fit.estimates("cond")
    tests = denominator(fit, "cond", vcov=kind)
    # Both sides invert matrices of condition up to 1e6.
    np.testing.assert_allclose(tests.covariance, covariance, rtol=1e-7, atol=1e-9 * abs(covariance).max())
    if name != "dispersion":
        # The model's own covariance, from the engine, is the bread; with REML by the general engine it holds the
        # uncertainty of the variance parameters too.
        np.testing.assert_allclose(fit.vcov(), m, rtol=1e-6, atol=1e-8 * abs(m).max())
    p = len(estimate)
    df = tests.degrees_of_freedom(np.eye(p))
    np.testing.assert_allclose(df, [dense_df(v, makers, c) for c in np.eye(p)], rtol=1e-6)
    combinations = np.eye(p)[1:] if p > 2 else np.eye(p)
    f, ddf, p_value = dense_htz(v, makers, covariance, combinations, estimate)
    found = tests.joint_test(combinations)
    assert found.df == len(combinations)
    np.testing.assert_allclose([found.statistic, found.ddf], [f, ddf], rtol=1e-6)
    # Probabilities of the far tail amplify the last digits of F.
    np.testing.assert_allclose(found.p_value, p_value, rtol=1e-4)


def test_cr2_is_unbiased_where_the_working_model_is_right():
    # sum_j E(S_j S_j') = M^-1 under V, for any design (Bell & McCaffrey 2002): with M V-expectation in place of e e'.
    fit, v, codes = case("unbalanced")
    m, _, makers = dense(fit.design.fixed["cond"].x, fit.design.response.y, v, codes, "CR2")
    np.testing.assert_allclose(sum(a.T @ v @ a for a in makers), m, rtol=1e-8, atol=1e-10 * abs(m).max())


@pytest.mark.parametrize("unit", [1e-9, 1e9])
def test_units_of_the_response_and_all_columns_do_not_matter(unit):
    def row(scale):
        frame = data("sleepstudy").assign(x=lambda d: scale * (d["Days"] + 1), y=lambda d: scale * d["Reaction"])
        return rf.lmm("y ~ 0 + x + (0 + x | Subject)", frame).tidy(vcov="CR2", cluster="Subject").iloc[0]

    one, other = row(1.0), row(unit)
    assert other["std_error"] == pytest.approx(one["std_error"], rel=1e-6)
    assert other["df"] == pytest.approx(one["df"], rel=1e-6)


def test_one_test_of_one_combination_is_the_t_test():
    tests = denominator(case("unbalanced")[0], "cond", vcov="CR2")
    each = np.eye(4)[[1]]
    found = tests.joint_test(each)
    assert found.statistic == pytest.approx((tests.estimate[1] / tests.std_errors(each)[0]) ** 2, rel=1e-10)
    assert found.ddf == pytest.approx(tests.degrees_of_freedom(each)[0], rel=1e-10)


def test_order_of_the_rows_does_not_matter():
    frame = some_of_sleepstudy()
    shuffled = frame.sample(frac=1.0, random_state=3)
    here = rf.lmm("Reaction ~ Days + (Days | Subject)", frame).tidy(vcov="CR2")
    there = rf.lmm("Reaction ~ Days + (Days | Subject)", shuffled).tidy(vcov="CR2")
    # Two searches end within 1e-6 standard errors of one another.
    np.testing.assert_allclose(here[["std_error", "df"]], there[["std_error", "df"]], rtol=1e-5)


def test_equal_clusters_make_cr1_and_cr2_alike():
    # Balanced data, one predictor that is the same in all clusters: both multiply by G / (G - 1).
    one, two = (sleepstudy().tidy(vcov=kind) for kind in ("CR1", "CR2"))
    np.testing.assert_allclose(one["std_error"], two["std_error"], rtol=1e-9)
    np.testing.assert_allclose(two["df"], 17.0, rtol=1e-9)


def test_scores_of_a_linear_model_give_the_same_cr0():
    fit = sleepstudy_glmm()
    codes = fit.design.random[0].codes
    found = contributions(fit, [np.flatnonzero(codes == g) for g in range(18)], True)
    places = [m for m, (what, k, _) in enumerate(fit.engine.joint_names()) if (what, k) == ("beta", 0)]
    scores = found.scores[:, places]
    bread = np.linalg.inv(found.information.sum(0)[np.ix_(places, places)])
    expected = denominator(fit, "cond", vcov="CR0").covariance
    # Information from differences of gradients is good to 1e-6.
    np.testing.assert_allclose(bread @ scores.T @ scores @ bread, expected, rtol=1e-4)


@pytest.mark.parametrize("model", [cbpp, owls], ids=["cbpp", "owls"])
def test_scores_sum_to_zero_and_information_to_the_hessian(model):
    fit = model()
    codes = fit.design.random[0].codes
    found = contributions(fit, [np.flatnonzero(codes == g) for g in range(codes.max() + 1)], True)
    joint = np.asarray(fit.engine.vcov_joint)
    error = np.sqrt(np.diag(joint))
    # The likelihood of independent clusters is their product, and at its maximum the gradient is zero: the search stops
    # at 1e-4 standard errors and usually well below.
    assert found.loglik.sum() == pytest.approx(fit.loglik, abs=1e-7)
    assert np.max(abs(found.scores.sum(0)) * error) < 1e-4
    assert np.max(abs(found.scores).sum(0) * error) > 1.0
    # In units of standard errors; each side is from differences of gradients.
    whole = found.information.sum(0) * np.outer(error, error)
    np.testing.assert_allclose(whole, np.linalg.inv(joint / np.outer(error, error)), atol=1e-4)


def test_scores_are_the_gradient_of_the_cluster_alone():
    fit = cbpp()
    term, design = fit.design.random[0], fit.design
    rows = np.flatnonzero(term.codes == 3)
    found = contributions(fit, [rows], False)
    x, y, trials = design.fixed["cond"].x[rows], design.response.y[rows], design.response.trials[rows]

    def loglik(parameters):
        """Laplace's approximation for one herd, its mode by Newton's method."""
        beta, sd, u = parameters[:-1], parameters[-1], 0.0
        for _ in range(50):
            mu = 1 / (1 + np.exp(-(x @ beta + sd * u)))
            curvature = 1 + sd**2 * (trials * mu * (1 - mu)).sum()
            u += (sd * (y - trials * mu).sum() - u) / curvature
        eta = x @ beta + sd * u
        constant = gammaln(trials + 1) - gammaln(y + 1) - gammaln(trials - y + 1)
        joint = (constant + y * eta - trials * np.logaddexp(0.0, eta)).sum() - u * u / 2
        return joint - 0.5 * np.log(curvature)

    at = np.append(fit.estimates("cond"), fit.engine.theta[0][0])
    assert found.loglik[0] == pytest.approx(loglik(at), abs=1e-9)
    # Central differences with step 1e-5: error of second order 1e-10, rounding 1e-10.
    steps = 1e-5 * np.eye(len(at))
    slopes = [(loglik(at + step) - loglik(at - step)) / 2e-5 for step in steps]
    np.testing.assert_allclose(found.scores[0], slopes, atol=1e-7)


def test_cbpp_by_hand():
    fit = cbpp()
    codes = fit.design.random[0].codes
    found = contributions(fit, [np.flatnonzero(codes == g) for g in range(15)], True)
    joint = np.asarray(fit.engine.vcov_joint)
    meat = found.scores.T @ found.scores
    zero = (joint @ meat @ joint)[:4, :4]
    np.testing.assert_allclose(fit.vcov(kind="CR0"), zero, rtol=1e-10)
    np.testing.assert_allclose(denominator(fit, vcov="CR1").covariance, zero * 15 / 14, rtol=1e-10)
    # CR2 of the four coefficients given the variance, with a Cholesky factor in place of the symmetric root: the answer
    # does not depend on the coordinates.
    root = np.linalg.cholesky(np.linalg.inv(np.linalg.inv(joint)[:4, :4]))
    meat = np.zeros((4, 4))
    for score, information in zip(found.scores, found.information, strict=True):
        values, vectors = np.linalg.eigh(np.eye(4) - root.T @ information[:4, :4] @ root)
        adjusted = np.linalg.solve(root.T, (vectors / np.sqrt(values)) @ vectors.T @ root.T @ score[:4])
        change = joint[:4] @ np.append(adjusted, score[4])
        meat += np.outer(change, change)
    np.testing.assert_allclose(denominator(fit, vcov="CR2").covariance, meat, rtol=1e-8)
    df = fit.tidy(vcov="CR2")["df"]
    assert (df > 1).all()
    assert (df < 15).all()


@pytest.mark.parametrize("kind", ["CR0", "CR1", "CR2"])
def test_scores_of_linear_regression_give_the_papers_numbers(kind):
    # The residual's standard deviation is a parameter too, whose information is orthogonal to the mean's.
    fit = rf.glmm("Reaction ~ Days + old", some_of_sleepstudy(), family="gaussian")
    clusters = clusters_of(fit, "Subject")
    scores, formula = score_sandwich(fit, "cond", kind, clusters), linear_sandwich(fit, kind, clusters)
    # Information from differences of gradients is good to 1e-6.
    size = np.abs(formula.covariance).max()
    np.testing.assert_allclose(scores.covariance, formula.covariance, rtol=1e-4, atol=1e-6 * size)
    np.testing.assert_allclose(scores.of(np.eye(3)), formula.of(np.eye(3)), rtol=1e-3)


def test_scores_of_a_misspecified_model_cover():
    # Random slopes that the model does not know: in 300 draws its own z intervals of the slope cover 48 %.
    rng = np.random.default_rng(7)
    groups, each = 12, 8
    t, g = np.tile(np.linspace(-1, 1, each), groups), np.repeat(np.arange(groups), each)
    covered = []
    for _ in range(60):
        effect = rng.normal(0, 0.5, groups)[g] + rng.normal(0, 0.6, groups)[g] * t
        frame = pd.DataFrame({"y": rng.poisson(np.exp(1 + 0.3 * t + effect)), "t": t, "g": g})
        row = rf.glmm("y ~ t + (1 | g)", frame, family="poisson").tidy(vcov="CR2").iloc[1]
        covered.append(row["conf_low"] < 0.3 < row["conf_high"])
    # Binomial of 60 with probability 0.95: below 51 in one of a thousand.
    assert sum(covered) >= 51


def test_rows_without_random_effects_have_the_sandwich_of_linear_regression():
    frame = some_of_sleepstudy()
    fit = rf.lmm("Reaction ~ Days + old", frame)
    found = fit.tidy(vcov="CR2", cluster="Subject")
    codes = frame["Subject"].astype(str).to_numpy()
    _, covariance, makers = dense(fit.design.fixed["cond"].x, fit.design.response.y, np.eye(fit.nobs), codes, "CR2")
    np.testing.assert_allclose(found["std_error"], np.sqrt(np.diag(covariance)), rtol=1e-8)
    np.testing.assert_allclose(found["df"], [dense_df(np.eye(fit.nobs), makers, c) for c in np.eye(3)], rtol=1e-8)
    # By scores, of all parameters: that of the residual's is zero for the mean's.
    general = rf.glmm("Reaction ~ Days + old", frame, family="gaussian", link="log")
    assert np.isfinite(general.tidy(vcov="CR2", cluster="Subject")["std_error"]).all()


def test_clusters_are_named_in_many_ways():
    fit = sleepstudy()
    subject = data("sleepstudy")["Subject"]
    wanted = fit.tidy(vcov="CR2")["std_error"]
    for cluster in ("Subject", subject, subject.astype(str).to_numpy(), list(subject)):
        np.testing.assert_allclose(fit.tidy(vcov="CR2", cluster=cluster)["std_error"], wanted, rtol=1e-12)
    pairs = subject.astype(str).factorize()[0] // 2
    assert fit.tidy(vcov="CR2", cluster=pairs)["df"].tolist() == pytest.approx([8.0, 8.0])


def test_dropped_rows_and_their_clusters():
    sleep = data("sleepstudy").copy()
    sleep.loc[[4, 90], "Reaction"] = np.nan
    fit = rf.lmm("Reaction ~ Days + (Days | Subject)", sleep)
    whole = fit.tidy(vcov="CR2", cluster=sleep["Subject"])
    np.testing.assert_allclose(whole["std_error"], fit.tidy(vcov="CR2")["std_error"], rtol=1e-12)


def test_marginal_means_slopes_and_joint_tests_have_it_too():
    fit = rf.lmm("score ~ Machine + (1 | Worker)", data("machines"))
    tests = denominator(fit, vcov="CR2")
    grid = np.array([[1.0, 0, 0], [1, 1, 0], [1, 0, 1]])
    means = fit.emmeans("Machine", vcov="CR2")
    np.testing.assert_allclose(means.table["std_error"], tests.std_errors(grid), rtol=1e-10)
    np.testing.assert_allclose(means.table["df"], tests.degrees_of_freedom(grid), rtol=1e-10)
    assert "of the CR2 covariance, 6 clusters of Worker" in repr(means)
    pairs = np.array([[0.0, -1, 0], [0, 0, -1], [0, 1, -1]])
    contrasts = means.contrasts().table
    np.testing.assert_allclose(contrasts["std_error"], tests.std_errors(pairs), rtol=1e-10)
    joint, expected = fit.joint_tests(vcov="CR2"), tests.joint_test(np.eye(3)[1:])
    np.testing.assert_allclose(joint[["ddf", "statistic"]].iloc[0], [expected.ddf, expected.statistic], rtol=1e-8)
    slope = sleepstudy().slopes("Days", vcov="CR1").table
    assert slope["std_error"].iloc[0] == pytest.approx(sleepstudy().tidy(vcov="CR1")["std_error"].iloc[1], rel=1e-6)


def test_hypotheses_and_analyses_of_variance_have_it_too():
    fit = rf.lmm("score ~ Machine + (1 | Worker)", data("machines"))
    expected = denominator(fit, vcov="CR2").joint_test(np.eye(3)[1:])
    table = fit.anova(vcov="CR2")
    assert table["den_df"].tolist() == pytest.approx([expected.ddf], rel=1e-8)
    assert table["statistic"].tolist() == pytest.approx([expected.statistic], rel=1e-8)
    assert "sum_sq" not in table
    row = fit.test("Machine[T.B] = 0", vcov="CR2").iloc[0]
    tidy = fit.tidy(vcov="CR2").iloc[1]
    assert (row["den_df"], row["statistic"], row["p_value"]) == pytest.approx(
        (tidy["df"], tidy["statistic"] ** 2, tidy["p_value"]), rel=1e-8
    )


def test_an_array_of_offsets_is_part_of_the_residual():
    frame = some_of_sleepstudy()
    shift = 10.0 * np.arange(len(frame)) / len(frame)
    moved = rf.lmm("Reaction ~ Days + (1 | Subject)", frame.assign(Reaction=frame["Reaction"] + shift), offset=shift)
    plain = rf.lmm("Reaction ~ Days + (1 | Subject)", frame)
    for ask in (
        lambda fit: fit.tidy(vcov="CR2"),
        lambda fit: fit.emmeans("Days", at={"Days": [0, 5]}, vcov="CR2").table,
    ):
        np.testing.assert_allclose(ask(moved)["std_error"], ask(plain)["std_error"], rtol=1e-6)


def test_summary_intervals_and_infinite_degrees_of_freedom():
    fit = sleepstudy()
    text = str(fit.summary(vcov="CR2"))
    assert "Standard errors: cluster-robust (CR2), 18 clusters of Subject" in text
    assert "Days        10.467      1.546 17.0   6.771 3.26e-06 ***" in text
    tidy, interval = fit.tidy(vcov="CR2"), fit.confint(vcov="CR2", parm="Days")
    assert interval["conf_low"].iloc[0] == tidy["conf_low"].iloc[1]
    normal = fit.tidy(vcov="CR1", ddf="asymptotic")
    assert np.isinf(normal["df"]).all()


def test_a_held_coefficient_is_known():
    fit = rf.lmm("Reaction ~ Days + (Days | Subject)", data("sleepstudy"), fixed={"Days": 10.0}, reml=False)
    tidy = fit.tidy(vcov="CR2")
    assert np.isnan(tidy["std_error"].iloc[1])
    assert np.isfinite(tidy["std_error"].iloc[0])


def test_components_have_their_own():
    tidy = owls().tidy(vcov="CR2")
    assert set(tidy["component"]) == {"cond", "zi"}
    assert np.isfinite(tidy[["std_error", "df"]].to_numpy()).all()


ERRORS = {
    "kind": (
        lambda: sleepstudy().tidy(vcov="HC3"),
        ModelError,
        "vcov='HC3' is not available; give one of 'CR0', 'CR1'",
    ),
    "ddf": (lambda: sleepstudy().tidy(vcov="CR2", ddf="residual"), ModelError, "ddf='residual' does not go with vcov"),
    "no vcov": (lambda: sleepstudy().tidy(cluster="Subject"), ModelError, "give vcov='CR2'"),
    "crossed": (
        lambda: penicillin().tidy(vcov="CR2"),
        ModelError,
        "no independent clusters: levels of `plate` have rows in several clusters of `sample`, so that rows of "
        "different clusters share its random effects",
    ),
    "finer": (
        lambda: sleepstudy().tidy(vcov="CR2", cluster="Days"),
        ModelError,
        "levels of `Subject` have rows in several clusters of `Days`",
    ),
    "column": (lambda: sleepstudy().tidy(vcov="CR2", cluster="Subjekt"), DataError, "did you mean `Subject`?"),
    "length": (lambda: sleepstudy().tidy(vcov="CR2", cluster=[1, 2]), DataError, "has 2 values; the model was fitted"),
    "number": (lambda: sleepstudy().tidy(vcov="CR2", cluster=3), DataError, "give the name of a column"),
    "one": (lambda: sleepstudy().tidy(vcov="CR2", cluster=[1] * 180), ModelError, "`an array` has one only"),
    "missing": (
        lambda: sleepstudy().tidy(vcov="CR2", cluster=[None] + [1] * 179),
        DataError,
        "missing in row 0",
    ),
    "none": (
        lambda: rf.lmm("Reaction ~ Days", data("sleepstudy")).tidy(vcov="CR2"),
        ModelError,
        "name the column: cluster='...'",
    ),
    "smooth": (
        lambda: rf.lmm("Reaction ~ s(Days) + (1 | Subject)", data("sleepstudy")).tidy(vcov="CR2"),
        ModelError,
        "all rows share the curve s(Days)",
    ),
    "reml": (
        lambda: rf.glmm(
            "cbind(incidence, size - incidence) ~ period + (1 | herd)", data("cbpp"), family="binomial", reml=True
        ).tidy(vcov="CR0"),
        ModelError,
        "fit with reml=False",
    ),
    "quadrature": (
        lambda: rf.glmm(
            "cbind(incidence, size - incidence) ~ period + (1 | herd)", data("cbpp"), family="binomial", quadrature=0
        ).tidy(vcov="CR0"),
        ModelError,
        "leave quadrature out",
    ),
    "priors": (
        lambda: rf.lmm(
            "Reaction ~ Days + (Days | Subject)",
            data("sleepstudy"),
            priors={"Days": rf.prior.normal(0, 10)},
            reml=False,
        ).tidy(vcov="CR2"),
        ModelError,
        "this model has priors",
    ),
    "several components": (
        lambda: owls().emmeans("FoodTreatment", component="response", vcov="CR2").table,
        ModelError,
        "these estimates depend on several components (cond, zi)",
    ),
    "means without vcov": (
        lambda: sleepstudy().emmeans("Days", cluster="Subject"),
        ModelError,
        "give vcov='CR2'",
    ),
    "profile": (
        lambda: sleepstudy().confint("profile", vcov="CR2"),
        ModelError,
        "vcov= and cluster= go with 'wald' only",
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_what_is_refused(name):
    ask, error, text = ERRORS[name]
    with pytest.raises(error) as caught:
        ask()
    assert text in str(caught.value)


def test_many_rows_in_a_cluster_take_the_short_way():
    # 3 clusters of 700 rows: V is not formed. The same numbers as with a weight that makes it formed.
    rng = np.random.default_rng(0)
    n = 2100
    frame = pd.DataFrame({"g": np.repeat(["a", "b", "c"], 700), "x": rng.normal(size=n)})
    frame["y"] = frame["x"] + np.repeat(rng.normal(size=3), 700) + rng.normal(size=n)
    frame["w"] = 1.0
    frame.loc[0, "w"] = 1.0 + 1e-9
    short = rf.lmm("y ~ x + (1 | g)", frame)
    long = rf.lmm("y ~ x + (1 | g)", frame, weights="w")
    np.testing.assert_allclose(short.tidy(vcov="CR2")["std_error"], long.tidy(vcov="CR2")["std_error"], rtol=1e-5)

"""What means, slopes and effects must be whatever way the model is written down, and brute force against the method."""

import numpy as np
import pandas as pd
import pytest

import ranef as rf
from models import cbpp, data, owls, salamanders, sleepstudy

# Two fits of one model in other coordinates end within the optimiser's tolerance of each other.
ALIKE = 1e-6


def unbalanced():
    rng = np.random.default_rng(5)
    n = 180
    d = pd.DataFrame(
        {
            "a": rng.choice(list("xyz"), n, p=[0.6, 0.3, 0.1]),
            "b": rng.choice(["low", "high"], n, p=[0.7, 0.3]),
            "v": rng.normal(size=n),
            "g": rng.integers(0, 15, n).astype(str),
        }
    )
    effect = dict(zip("xyz", (0.0, 0.4, -0.5), strict=True))
    eta = d["a"].map(effect) + 0.3 * d["v"] + 0.5 * (d["b"] == "low") + 0.4 * np.sin(d["g"].astype(int))
    return d.assign(y=eta + rng.normal(size=n), count=rng.poisson(np.exp(eta)))


FORMULA = "y ~ a * b + v + (1 | g)"


@pytest.mark.parametrize("contrasts", [{"a": "sum"}, {"a": "helmert", "b": "sum"}])
def test_means_do_not_depend_on_the_coding(contrasts):
    d = unbalanced()
    first, second = rf.lmm(FORMULA, d), rf.lmm(FORMULA, d, contrasts=contrasts)
    for ask in (
        lambda f: f.emmeans("~ a | b").table,
        lambda f: f.emmeans("a", weights="proportional").contrasts().table,
        lambda f: f.joint_tests(),
        lambda f: f.effects("a", "b").table,
        lambda f: f.slopes("v", by="a").table,
        lambda f: f.comparisons("a").table,
    ):
        one, two = ask(first), ask(second)
        for name in one.columns:
            if one[name].dtype.kind == "f":
                np.testing.assert_allclose(two[name], one[name], rtol=ALIKE, atol=ALIKE)
            else:
                assert list(one[name]) == list(two[name])


def test_means_do_not_depend_on_the_first_level():
    d = unbalanced()
    turned = d.assign(a=pd.Categorical(d["a"], ["z", "y", "x"]))
    one = rf.lmm(FORMULA, d).emmeans("a").table.set_index("a")
    two = rf.lmm(FORMULA, turned).emmeans("a").table.set_index("a")
    np.testing.assert_allclose(two.loc[one.index, "emmean"], one["emmean"], rtol=ALIKE)
    np.testing.assert_allclose(two.loc[one.index, "std_error"], one["std_error"], rtol=ALIKE)


def test_a_column_that_depends_on_others_changes_nothing():
    d = unbalanced()
    d["again"] = 2.0 * d["v"] + 1.0
    one = rf.lmm(FORMULA, d).emmeans("a").table
    two = rf.lmm("y ~ a * b + v + again + (1 | g)", d)
    found = two.emmeans("a").table
    np.testing.assert_allclose(found["emmean"], one["emmean"], rtol=ALIKE)
    # Away from where the two agree, nothing can be said.
    apart = two.emmeans("a", at={"again": 9.0})
    assert apart.table["emmean"].isna().all()
    assert apart.contrasts().table["estimate"].notna().all()
    assert any("not estimable" in note for note in apart.notes)


def test_balanced_cells_are_their_means():
    d = data("machines")
    fit = rf.lmm("score ~ Machine + (1 | Worker)", d)
    np.testing.assert_allclose(
        fit.emmeans("Machine").table["emmean"], d.groupby("Machine", observed=True)["score"].mean(), rtol=1e-10
    )


def test_average_effects_are_averages_of_predictions():
    for fit, name, kinds in (
        (owls(), "FoodTreatment", ("response", "conditional", "link")),
        (cbpp(), "period", ("response", "link")),
        (salamanders(), "mined", ("response", "dispersion")),
    ):
        d = fit.design.frame
        for kind in kinds:
            table = fit.effects(name, margin="average", kind=kind).table
            for level, estimate in zip(table[name], table["estimate"], strict=True):
                brute = fit.predict(d.assign(**{name: level}), ranef=False, kind=kind).mean()
                assert estimate == pytest.approx(brute, rel=1e-10)


@pytest.mark.parametrize("family", ["nbinom2", rf.families.truncated_nbinom2(phi=0.4)], ids=str)
def test_reference_effects_are_predictions_with_their_standard_errors(family):
    # The mean of a truncated family depends on its dispersion, which nothing is estimated of where it is known.
    fit = rf.glmm("count ~ mined + s(DOY) + (1 | site)", data("salamanders"), family=family, zi="~ mined")
    found = fit.effects("DOY [-2, -1, 0.5]", "mined").table
    whole = fit.predict(found[["DOY", "mined"]], ranef=False, se=True)
    np.testing.assert_allclose(found["estimate"], whole["estimate"], rtol=1e-10)
    # The delta method by differences and the engine's own, through smooths and zero inflation.
    np.testing.assert_allclose(found["std_error"], whole["std_error"], rtol=1e-6)
    half = np.exp(1.959963984540054 * found["std_error"] / found["estimate"])
    np.testing.assert_allclose(found["conf_high"], found["estimate"] * half, rtol=1e-9)


def test_standard_errors_of_averages_are_those_of_the_delta_method():
    fit, d = owls(), data("owls")

    def average(level, beta, zi):
        food, male = float(level == "Satiated"), (d["SexParent"] == "Male").to_numpy(float)
        eta = beta[0] + beta[1] * food + beta[2] * male + beta[3] * food * male + np.log(d["BroodSize"])
        return float(np.mean(np.exp(eta)) / (1 + np.exp(zi)))

    beta, zi = np.array(list(fit.fixef().values())), fit.fixef("zi")["Intercept"]
    names = fit.engine.joint_names()
    wanted = [names.index(("beta", 0, j)) for j in range(4)] + [names.index(("beta", 2, 0))]
    joint = np.asarray(fit.engine.vcov_joint)[np.ix_(wanted, wanted)]
    at = np.r_[beta, zi]
    table = fit.effects("FoodTreatment", margin="average").table
    for level, std_error in zip(table["FoodTreatment"], table["std_error"], strict=True):
        gradient = []
        for j in range(5):
            step = 1e-5 * np.eye(5)[j]
            ends = [average(level, (at + s * step)[:4], (at + s * step)[4]) for s in (1, -1)]
            gradient.append((ends[0] - ends[1]) / 2e-5)
        # Central differences with a step of 1e-5 are right to 1e-9.
        assert std_error == pytest.approx(np.sqrt(np.array(gradient) @ joint @ gradient), rel=1e-7)


def test_slopes_are_differences_of_predictions():
    fit = rf.glmm(
        "count ~ mined * poly(DOP, 2) + ns(cover, 3) + exp(DOY) + (1 | site)", data("salamanders"), family="poisson"
    )
    d, h = data("salamanders"), 1e-5
    for name in ("DOP", "cover", "DOY"):
        for kind in ("link", "response"):
            ends = [fit.predict(d.assign(**{name: d[name] + s * h}), ranef=False, kind=kind) for s in (1, -1)]
            brute = ((ends[0] - ends[1]) / (2 * h)).mean()
            found = fit.slopes(name, margin="average", kind=kind).table["slope"][0]
            # The brute difference has an error of 1e-10 / h in units of the prediction.
            assert found == pytest.approx(brute, rel=2e-5, abs=1e-5)


def test_slopes_of_a_polynomial_are_exact():
    d = unbalanced()
    fit = rf.lmm("y ~ v + I(v^2) + I(v^3) + (1 | g)", d)
    b = list(fit.fixef().values())
    at = np.array([-0.7, 0.0, 1.2])
    table = fit.slopes("v", by="v", at={"v": at}).table
    np.testing.assert_allclose(table["slope"], b[1] + 2 * b[2] * at + 3 * b[3] * at**2, rtol=1e-9)
    gradient = np.column_stack([0 * at, 1 + 0 * at, 2 * at, 3 * at**2])
    np.testing.assert_allclose(table["std_error"], np.sqrt(np.diag(gradient @ fit.vcov() @ gradient.T)), rtol=1e-9)


def test_slopes_stop_at_the_ends_of_the_data():
    """A logarithm of something that is zero at the end of the data has a slope there, from inside."""
    d = data("sleepstudy")
    fit = rf.lmm("Reaction ~ sqrt(Days) + (1 | Subject)", d[d["Days"] > 0])
    table = fit.slopes("Days", by="Days", at={"Days": [1, 9]}).table
    np.testing.assert_allclose(table["slope"], fit.fixef()["sqrt(Days)"] / (2 * np.sqrt([1, 9])), rtol=1e-7)


def test_comparisons_are_differences_and_ratios_of_averages():
    fit, d = owls(), data("owls")
    means = {level: fit.predict(d.assign(FoodTreatment=level), ranef=False) for level in ("Deprived", "Satiated")}
    found = fit.comparisons("FoodTreatment").table
    assert found["contrast"][0] == "Satiated - Deprived"
    assert found["estimate"][0] == pytest.approx((means["Satiated"] - means["Deprived"]).mean(), rel=1e-10)
    ratio = fit.comparisons("FoodTreatment", comparison="ratio", by="SexParent").table
    for sex, value in zip(ratio["SexParent"], ratio["ratio"], strict=True):
        own = (d["SexParent"] == sex).to_numpy()
        assert value == pytest.approx(means["Satiated"][own].mean() / means["Deprived"][own].mean(), rel=1e-10)
    more = fit.comparisons("BroodSize", 2).table
    ends = fit.predict(d.assign(BroodSize=d["BroodSize"] + 2.0), ranef=False) - fit.predict(ranef=False)
    assert more["estimate"][0] == pytest.approx(ends.mean(), rel=1e-10)


def test_comparisons_between_two_values_and_of_odds_have_closed_forms():
    fit = sleepstudy()
    two = fit.comparisons("Days", [2, 7]).table
    assert two["contrast"].tolist() == ["Days: 7 - 2"]
    assert two["estimate"][0] == pytest.approx(5 * fit.fixef()["Days"], rel=1e-12)
    # The covariance for the degrees of freedom comes from another factorisation.
    assert two["std_error"][0] == pytest.approx(5 * np.sqrt(fit.vcov()[1, 1]), rel=1e-9)
    with pytest.raises(rf.ModelError, match="give two values of `Days`, not 3"):
        fit.comparisons("Days", [2, 7, 8])
    fit = cbpp()
    odds = fit.comparisons("period", comparison="odds_ratio").table
    log_odds, std_error = (np.array(v)[1:] for v in (list(fit.fixef().values()), np.sqrt(np.diag(fit.vcov()))))
    np.testing.assert_allclose(odds["odds_ratio"], np.exp(log_odds), rtol=1e-10)
    np.testing.assert_allclose(odds["std_error"], np.exp(log_odds) * std_error, rtol=1e-7)


def test_effects_of_what_stands_only_beside_a_smooth_or_in_the_zero_inflation():
    d = data("salamanders")
    smooth = rf.glmm("count ~ s(DOY, by = mined) + (1 | site)", d, family="poisson")
    table = smooth.effects("DOY [-1, 1]", "mined").table
    np.testing.assert_allclose(table["estimate"], smooth.predict(table[["DOY", "mined"]], ranef=False), rtol=1e-10)
    inflated = rf.glmm("count ~ DOY + (1 | site)", d, family="nbinom2", zi="~ mined")
    means = inflated.effects("mined", margin="mean").table["estimate"].to_numpy()
    zi = inflated.fixef("zi")
    share = 1 / (1 + np.exp(np.array([zi["Intercept"], zi["Intercept"] + zi["mined[T.no]"]])))
    mean = np.exp(inflated.fixef()["Intercept"] + inflated.fixef()["DOY"] * d["DOY"].mean())
    np.testing.assert_allclose(means, mean * share, rtol=1e-10)
    difference = inflated.comparisons("mined", margin="mean").table["estimate"][0]
    assert difference == pytest.approx(means[1] - means[0], rel=1e-10)
    # What only the zero inflation knows is averaged over where the other variable is compared.
    more = inflated.comparisons("DOY", margin="mean").table["estimate"][0]
    assert more == pytest.approx(mean * (np.exp(inflated.fixef()["DOY"]) - 1) * share.mean(), rel=1e-10)


def test_comparisons_on_the_grid_are_contrasts_of_means():
    fit = rf.lmm(FORMULA, unbalanced())
    pairs = fit.emmeans("a").contrasts("trt.vs.ctrl", adjust="none").table
    found = fit.comparisons("a", margin="mean").table
    for name in ("estimate", "std_error", "p_value", "conf_low"):
        np.testing.assert_allclose(found[name], pairs[name], rtol=1e-9)


def test_the_mean_over_the_random_effects_of_a_log_link_is_lognormal():
    fit = owls()
    variance = fit.varcorr()["vcov"][0]
    typical = fit.effects("FoodTreatment").table
    population = fit.effects("FoodTreatment", bias_correction=True).table
    np.testing.assert_allclose(population["estimate"], typical["estimate"] * np.exp(variance / 2), rtol=1e-12)
    # With the uncertainty of the standard deviation s: the gradient of log mean is (x, s), with zi the log of 1 - p.
    names = fit.engine.joint_names()
    wanted = [names.index(("beta", 0, j)) for j in range(4)]
    wanted += [names.index(("beta", 2, 0)), names.index(("theta", 0, 0))]
    joint = np.asarray(fit.engine.vcov_joint)[np.ix_(wanted, wanted)]
    zero = 1 / (1 + np.exp(-fit.fixef("zi")["Intercept"]))
    for food, row in zip((0.0, 1.0), population.itertuples(), strict=True):
        gradient = np.array([1.0, food, 0.0, 0.0, -zero, np.sqrt(variance)])
        assert row.std_error / row.estimate == pytest.approx(np.sqrt(gradient @ joint @ gradient), rel=1e-7)


def test_the_mean_over_the_random_effects_of_a_logit_is_the_integral():
    from scipy.integrate import quad

    fit = cbpp()
    sd = fit.varcorr()["sdcor"][0]
    eta = fit.emmeans("period").table["emmean"]
    found = fit.effects("period", bias_correction=True).table["estimate"]
    for centre, estimate in zip(eta, found, strict=True):
        brute, _ = quad(lambda z, c=centre: np.exp(-z * z / 2) / np.sqrt(2 * np.pi) / (1 + np.exp(-c - sd * z)), -9, 9)
        assert estimate == pytest.approx(brute, abs=1e-9)


def test_the_mean_over_random_slopes_has_the_variance_of_the_row():
    fit = rf.glmm("SiblingNegotiation ~ FoodTreatment + (FoodTreatment | Nest)", data("owls"), family="poisson")
    sigma = np.asarray(fit.engine.covariance[0])
    typical = fit.effects("FoodTreatment").table["estimate"]
    z = np.array([[1.0, 0.0], [1.0, 1.0]])
    expected = typical * np.exp(np.einsum("ij,jk,ik->i", z, sigma, z) / 2)
    np.testing.assert_allclose(
        fit.effects("FoodTreatment", bias_correction=True).table["estimate"], expected, rtol=1e-12
    )


def test_standard_errors_of_population_means_hold_the_uncertainty_of_variances():
    """Brute force: integrate, differentiate with respect to all parameters, apply the delta method."""
    fit = rf.glmm("use ~ urban + (urban | district)", data("contraception"), family="binomial")
    nodes, chances = np.polynomial.hermite_e.hermegauss(80)
    chances /= chances.sum()
    theta, beta = np.asarray(fit.engine.theta[0]), np.array(list(fit.fixef().values()))

    def mean(at, urban):
        factor = np.array([[at[2], 0.0], [at[3], at[4]]])
        sd = np.linalg.norm(factor.T @ [1.0, urban])
        return float(chances @ (1 / (1 + np.exp(-(at[0] + at[1] * urban + sd * nodes)))))

    at, step = np.r_[beta, theta], 1e-5
    names = [("beta", 0, 0), ("beta", 0, 1), ("theta", 0, 0), ("theta", 0, 1), ("theta", 0, 2)]
    wanted = [fit.engine.joint_names().index(name) for name in names]
    joint = np.asarray(fit.engine.vcov_joint)[np.ix_(wanted, wanted)]
    table = fit.effects("urban", bias_correction=True).table
    for urban, row in zip((0.0, 1.0), table.itertuples(), strict=True):
        assert row.estimate == pytest.approx(mean(at, urban), rel=1e-9)
        gradient = [(mean(at + step * e, urban) - mean(at - step * e, urban)) / (2 * step) for e in np.eye(5)]
        # Central differences with a step of 1e-5 are right to 1e-10 / 1e-5 of a mean.
        assert row.std_error == pytest.approx(np.sqrt(np.array(gradient) @ joint @ gradient), rel=1e-6)


def test_prediction_intervals_add_the_residual_variance():
    fit = sleepstudy()
    plain = fit.effects("Days [0, 9]").table
    new = fit.effects("Days [0, 9]", interval="prediction", ddf="asymptotic").table
    np.testing.assert_allclose(
        (new["conf_high"] - new["estimate"]) / 1.959963984540054,
        np.sqrt(plain["std_error"] ** 2 + fit.sigma**2),
        rtol=1e-10,
    )
    group = fit.effects("Days [0, 9]", ranef="new").table
    sigma = np.asarray(fit.engine.covariance[0])
    spread = np.einsum("ij,jk,ik->i", [[1, 0], [1, 9]], sigma, [[1, 0], [1, 9]])
    np.testing.assert_allclose(group["std_error"] ** 2, plain["std_error"] ** 2 + spread, rtol=1e-8)

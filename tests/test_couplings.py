"""Effects tied over time, space and kinship: what they are equal to, what they find again, what they say elsewhere."""

import numpy as np
import pandas as pd
import pytest
from scipy.linalg import cho_factor, cho_solve

import ranef as rf
from ranef.errors import DataError, FormulaError


def gaussian_loglik(y, x, covariance):
    """Log-likelihood of a Gaussian model at its best coefficients, and these."""
    factor = cho_factor(covariance, lower=True)
    beta = np.linalg.solve(x.T @ cho_solve(factor, x), x.T @ cho_solve(factor, y))
    residual = y - x @ beta
    log_det = 2.0 * np.log(np.diag(factor[0])).sum()
    return -0.5 * (residual @ cho_solve(factor, residual) + log_det + len(y) * np.log(2.0 * np.pi)), beta


@pytest.fixture(scope="module")
def places() -> pd.DataFrame:
    """A field with correlation exp(-d / 1.5), sd 1.2, on 90 places with two rows each, noise 0.5."""
    rng = np.random.default_rng(5)
    xy = rng.uniform(0.0, 6.0, (90, 2)).round(2)
    distance = np.linalg.norm(xy[:, None] - xy[None], axis=2)
    field = 1.2 * np.linalg.cholesky(np.exp(-distance / 1.5) + 1e-12 * np.eye(90)) @ rng.standard_normal(90)
    rows = np.repeat(np.arange(90), 2)
    z = rng.standard_normal(180)
    y = 1.0 + 0.5 * z + field[rows] + 0.5 * rng.standard_normal(180)
    return pd.DataFrame({"y": y, "z": z, "px": xy[rows, 0], "py": xy[rows, 1], "one": "all"})


@pytest.fixture(scope="module")
def series() -> pd.DataFrame:
    """Three AR(1) series of 120 occasions, phi 0.8, sd 1, with gaps; counts."""
    rng = np.random.default_rng(8)
    parts = []
    for name in "abc":
        u = np.empty(120)
        u[0] = rng.standard_normal()
        for t in range(1, 120):
            u[t] = 0.8 * u[t - 1] + 0.6 * rng.standard_normal()
        parts.append(pd.DataFrame({"id": name, "time": np.arange(120), "y": rng.poisson(np.exp(1.0 + u))}))
    return pd.concat(parts).sample(frac=0.9, random_state=3).reset_index(drop=True)


def natural(fit: rf.Fit) -> dict[str, float]:
    rows = fit.tidy("random")
    return dict(zip(rows["term"], rows["estimate"], strict=True))


@pytest.mark.parametrize(
    ("structure", "kernel"),
    [
        ("exp", lambda d, p: np.exp(-d / p["range__exp"])),
        ("gau", lambda d, p: np.exp(-((d / p["range__gau"]) ** 2)) + 1e-10 * (d == 0)),
    ],
)
@pytest.mark.parametrize("reml", [False, True])
def test_a_field_has_the_likelihood_and_the_effects_of_its_dense_covariance(places, structure, kernel, reml) -> None:
    fit = rf.lmm(f"y ~ z + {structure}(px + py | one)", places, reml=reml)
    found = natural(fit)
    xy = places[["px", "py"]].to_numpy()
    distance = np.linalg.norm(xy[:, None] - xy[None], axis=2)
    field = found[f"sd__{structure}"] ** 2 * kernel(distance, found)
    covariance = field + fit.sigma**2 * np.eye(len(places))
    x = np.column_stack([np.ones(len(places)), places["z"]])
    loglik, beta = gaussian_loglik(places["y"].to_numpy(), x, covariance)
    if reml:
        information = x.T @ np.linalg.solve(covariance, x)
        loglik += np.log(2.0 * np.pi) - 0.5 * np.linalg.slogdet(information)[1]
    assert fit.loglik == pytest.approx(loglik, abs=1e-6)
    np.testing.assert_allclose(list(fit.fixef().values()), beta, atol=1e-6)
    # Kriging at the observed places.
    expected = x @ beta + field @ np.linalg.solve(covariance, places["y"] - x @ beta)
    np.testing.assert_allclose(fit.fitted(), expected, atol=1e-5)


def test_a_field_is_found_again(places) -> None:
    rows = rf.glmm("y ~ z + exp(px + py | one)", places, family="gaussian").tidy("random").set_index("term")
    # Within three standard errors of what was simulated.
    for term, truth in {"sd__exp": 1.2, "range__exp": 1.5, "sd__Observation": 0.5}.items():
        low, high = rows.loc[term, "estimate"] - 3 * rows.loc[term, "std_error"], np.inf
        high = rows.loc[term, "estimate"] + 3 * rows.loc[term, "std_error"]
        assert low < truth < high


def test_new_places_are_kriged_with_their_variance(places) -> None:
    fit = rf.lmm("y ~ 1 + exp(px + py | one)", places, reml=False)
    found = natural(fit)
    new = pd.DataFrame({"px": [1.0, 3.3, 50.0], "py": [2.0, 3.1, 50.0], "one": "all"})
    xy, there = places[["px", "py"]].to_numpy(), new[["px", "py"]].to_numpy()

    def field(a, b):
        distance = np.linalg.norm(a[:, None] - b[None], axis=2)
        return found["sd__exp"] ** 2 * np.exp(-distance / found["range__exp"])

    covariance = field(xy, xy) + fit.sigma**2 * np.eye(len(places))
    beta = fit.fixef()["Intercept"]
    expected = beta + field(there, xy) @ np.linalg.solve(covariance, places["y"] - beta)
    told = fit.predict(new, se=True)
    np.testing.assert_allclose(told["estimate"], expected, atol=1e-6)
    # Given the parameters; with their uncertainty it is somewhat more.
    rest = found["sd__exp"] ** 2 - np.einsum(
        "ij,ji->i", field(there, xy), np.linalg.solve(covariance, field(xy, there))
    )
    assert (told["std_error"] > np.sqrt(rest)).all()
    assert (told["std_error"] < 1.3 * np.sqrt(rest)).all()
    # Far from all places nothing is known but the mean.
    assert told["estimate"].iloc[2] == pytest.approx(beta, abs=1e-8)
    # Observed places among new ones are predicted as before.
    mixed = pd.concat([new, places[["px", "py", "one"]].head(5)])
    np.testing.assert_allclose(fit.predict(mixed)[3:], fit.fitted()[:5], atol=1e-8)


def test_a_long_series_is_the_same_as_a_chain_or_a_block(series, monkeypatch) -> None:
    short = series[series["time"] < 36]
    chain = rf.glmm("y ~ 1 + ar1(0 + time | id)", short, family="poisson")
    monkeypatch.setattr("ranef.formula.couplings.MOST_OCCASIONS", 36)
    block = rf.glmm("y ~ 1 + ar1(0 + time | id)", short, family="poisson")
    assert [fit.design.random[0].coupling is None for fit in (chain, block)] == [False, True]
    assert chain.loglik == pytest.approx(block.loglik, abs=1e-6)
    a, b = natural(chain), natural(block)
    assert a.keys() == b.keys() == {"sd__ar1", "cor__ar1"}
    for term in a:
        assert a[term] == pytest.approx(b[term], abs=1e-4)
    np.testing.assert_allclose(chain.predict(se=True)["std_error"], block.predict(se=True)["std_error"], rtol=1e-3)


def test_an_autoregression_is_an_ornstein_uhlenbeck_process_at_whole_times(series) -> None:
    ar1 = rf.glmm("y ~ 1 + ar1(0 + time | id)", series, family="poisson")
    ou = rf.glmm("y ~ 1 + ou(time | id)", series, family="poisson")
    assert abs(natural(ar1)["cor__ar1"] - 0.8) < 0.15
    assert abs(natural(ar1)["sd__ar1"] - 1.0) < 0.25
    assert ar1.loglik == pytest.approx(ou.loglik, abs=1e-6)
    assert natural(ar1)["cor__ar1"] == pytest.approx(np.exp(-natural(ou)["rate__ou"]), abs=1e-4)


def test_series_are_forecast(series) -> None:
    fit = rf.glmm("y ~ 1 + ar1(0 + time | id)", series, family="poisson")
    new = pd.DataFrame({"id": "a", "time": [119, 120, 130, 10_000]})
    told = fit.predict(new, kind="link", se=True)
    phi, sd, mean = natural(fit)["cor__ar1"], natural(fit)["sd__ar1"], fit.fixef()["Intercept"]
    last = told["estimate"].iloc[0] - mean
    np.testing.assert_allclose(told["estimate"].iloc[1:3] - mean, last * phi ** np.array([1, 11]), atol=1e-6)
    assert told["estimate"].iloc[3] == pytest.approx(mean, abs=1e-9)
    assert told["std_error"].is_monotonic_increasing
    assert told["std_error"].iloc[3] > sd


def test_a_known_identity_is_an_ordinary_random_intercept() -> None:
    frame = rf.load_dataset("grouseticks")
    ordinary = rf.glmm("TICKS ~ YEAR + (1 | BROOD)", frame, family="poisson")
    identity = np.eye(frame["BROOD"].nunique())
    known = rf.glmm("TICKS ~ YEAR + propto(1 | BROOD, M)", frame, family="poisson", matrices={"M": identity})
    assert known.loglik == pytest.approx(ordinary.loglik, abs=1e-7)
    sparse = rf.precision_matrix(identity)
    assert rf.glmm("TICKS ~ YEAR + propto(1 | BROOD, sparse)", frame, family="poisson").loglik == pytest.approx(
        ordinary.loglik, abs=1e-7
    )
    np.testing.assert_allclose(known.ranef()["estimate"], ordinary.ranef()["estimate"], atol=1e-4)
    np.testing.assert_allclose(known.ranef()["std_error"], ordinary.ranef()["std_error"], rtol=1e-3)
    assert list(known.ranef()["level"][:2]) == ["BROOD[501]", "BROOD[502]"]
    assert sparse is not None


def test_a_pedigree_is_its_dense_relationship() -> None:
    rng = np.random.default_rng(12)
    founders, n = 12, 60
    rows = [{"id": f"f{k}", "sire": None, "dam": None} for k in range(founders)]
    for k in range(n):
        known = [row["id"] for row in rows]
        sire, dam = rng.choice(known[: len(known) // 2]), rng.choice(known[len(known) // 2 :])
        rows.append({"id": f"c{k}", "sire": sire, "dam": dam})
    table = pd.DataFrame(rows)
    # Whoever has been a sire is never a dam.
    sires, dams = set(table["sire"].dropna()), set(table["dam"].dropna())
    table["dam"] = table["dam"].where(~table["dam"].isin(sires & dams))
    pedigree = rf.pedigree(table)
    relationship = pd.DataFrame(pedigree.relationship(), index=pedigree.levels, columns=pedigree.levels)
    root = np.linalg.cholesky(relationship.to_numpy())
    breeding = dict(zip(pedigree.levels, root @ rng.standard_normal(len(root)), strict=True))
    data = pd.DataFrame({"animal": np.repeat([f"c{k}" for k in range(n)], 2)})
    data["y"] = data["animal"].map(breeding) + 0.7 * rng.standard_normal(len(data))
    sparse = rf.lmm("y ~ 1 + propto(0 + animal | 1, pedigree)", data)
    dense = rf.lmm("y ~ 1 + propto(0 + animal | 1, relationship)", data)
    assert sparse.loglik == pytest.approx(dense.loglik, abs=1e-6)
    # Ancestors without data have breeding values too.
    assert {"animal[f0]", "animal[c0]"} <= set(sparse.ranef()["term"])
    z = relationship.loc[data["animal"], data["animal"]].to_numpy()
    found = natural(sparse)
    covariance = found["sd__propto"] ** 2 * z + sparse.sigma**2 * np.eye(len(data))
    x = np.ones((len(data), 1))
    loglik, _ = gaussian_loglik(data["y"].to_numpy(), x, covariance)
    loglik += 0.5 * np.log(2.0 * np.pi) - 0.5 * np.linalg.slogdet(x.T @ np.linalg.solve(covariance, x))[1]
    assert sparse.loglik == pytest.approx(loglik, abs=1e-6)


def test_known_sampling_variances_give_a_meta_analysis() -> None:
    """Eight schools: mu and tau of the random-effects meta-analysis, by its closed likelihood."""
    effect = np.array([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0])
    error = np.array([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0])
    data = pd.DataFrame({"effect": effect, "school": list("ABCDEFGH")})
    variances = pd.DataFrame(np.diag(error**2), index=data["school"], columns=data["school"])
    fit = rf.glmm(
        "effect ~ 1 + (1 | school) + equalto(0 + school | 1, V)",
        data,
        family="gaussian",
        dispersion="~ 0",
        matrices={"V": variances},
    )
    tau = float(np.sqrt(fit.varcorr()["vcov"][0]))
    w = 1.0 / (error**2 + tau**2 + 2.0**-26)
    mu = (w * effect).sum() / w.sum()
    loglik = 0.5 * (np.log(w) - w * (effect - mu) ** 2 - np.log(2.0 * np.pi)).sum()
    assert fit.loglik == pytest.approx(loglik, abs=1e-6)
    assert fit.fixef()["Intercept"] == pytest.approx(mu, abs=1e-5)


def test_neighbours_on_a_map_have_the_likelihood_of_their_dense_precision() -> None:
    rng = np.random.default_rng(2)
    side = 7
    n = side * side
    weights = np.zeros((n, n))
    for k in range(n):
        for j in ([k + 1] if (k + 1) % side else []) + ([k + side] if k + side < n else []):
            weights[k, j] = weights[j, k] = 1.0
    names = [f"r{k}" for k in range(n)]
    neighbours = rf.adjacency(pd.DataFrame(weights, index=names, columns=names))
    u = np.linalg.solve(np.linalg.cholesky(np.eye(n) - 0.24 * weights).T, rng.standard_normal(n))
    data = pd.DataFrame({"region": names * 2, "y": np.tile(u, 2) + 0.5 * rng.standard_normal(2 * n)})
    fit = rf.lmm("y ~ 1 + car(1 | region, W)", data, reml=False, matrices={"W": neighbours})
    found = natural(fit)
    field = found["sd__car"] ** 2 * np.linalg.inv(np.eye(n) - found["rho__car"] * weights)
    covariance = np.tile(field, (2, 2)) + fit.sigma**2 * np.eye(2 * n)
    loglik, _ = gaussian_loglik(data["y"].to_numpy(), np.ones((2 * n, 1)), covariance)
    assert fit.loglik == pytest.approx(loglik, abs=1e-6)
    assert "rho" in str(fit.summary())


def test_the_lip_cancer_of_scotland_has_its_maximum() -> None:
    """The maximum likelihood of the published model (spaMM's -161.514 has other estimates)."""
    touching = rf.adjacency(rf.load_dataset("scotlip_neighbours"))
    fit = rf.glmm(
        "cases ~ I(agriculture / 10) + offset(log(expected)) + car(1 | district, W)",
        rf.load_dataset("scotlip"),
        family="poisson",
        matrices={"W": touching},
    )
    assert fit.loglik == pytest.approx(-161.4907, abs=1e-4)
    assert natural(fit)["rho__car"] == pytest.approx(0.1741, abs=1e-3)


def test_simulated_series_keep_their_autocorrelation(series) -> None:
    fit = rf.glmm("y ~ 1 + ar1(0 + time | id)", series, family="poisson")
    draws = np.log(fit.simulate(400, seed=1) + 0.5)
    ordered = series.sort_values(["id", "time"])
    apart = ordered.groupby("id")["time"].diff().to_numpy()
    pairs = np.flatnonzero(apart == 1.0)
    now, before = draws[ordered.index[pairs]], draws[ordered.index[pairs - 1]]
    r = np.corrcoef(now.ravel(), before.ravel())[0, 1]
    # Noise of the counts takes something from the effects' own correlation.
    assert 0.3 < r < natural(fit)["cor__ar1"]


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("y ~ 1 + propto(0 + id | 1, nowhere)", "there is no matrix `nowhere`"),
        ("y ~ 1 + propto(0 + id | 1)", "needs its matrix"),
        ("y ~ 1 + ou(time + z | id)", "names its coordinates"),
        ("y ~ 1 + exp(id | one)", "must be numbers"),
    ],
)
def test_what_is_missing_is_told(series, formula, message) -> None:
    with pytest.raises((DataError, FormulaError), match=message):
        rf.glmm(formula, series.assign(one="all", z=1.0), family="poisson")


def test_levels_that_a_matrix_lacks_are_named(series) -> None:
    known = pd.DataFrame(np.eye(2), index=["a", "b"], columns=["a", "b"])
    with pytest.raises(DataError, match="`c`"):
        rf.glmm("y ~ 1 + propto(0 + id | 1, known)", series, family="poisson")
    assert known.shape == (2, 2)


def dense_walk(n: int, order: int) -> np.ndarray:
    """The covariance of a random walk given that it is zero at its origin, over all n times."""
    differences = np.diff(np.eye(n), order, axis=0)
    free = np.arange(1, n) if order == 1 else np.arange(1, n - 1)
    covariance = np.zeros((n, n))
    covariance[np.ix_(free, free)] = np.linalg.inv((differences.T @ differences)[np.ix_(free, free)])
    return covariance


@pytest.mark.parametrize(("structure", "order", "trend"), [("rw1", 1, ""), ("rw2", 2, " + time")])
def test_a_random_walk_has_the_likelihood_of_its_dense_covariance(structure, order, trend) -> None:
    rng = np.random.default_rng(4)
    n = 40
    level = 2.0 + np.cumsum(rng.standard_normal(n) * 0.4)
    time = np.repeat(np.arange(n), 2)
    data = pd.DataFrame({"time": time, "y": level[time] + 0.5 * rng.standard_normal(2 * n)})
    gone = data[~data["time"].isin([7, 8, 20])]  # times without a row are no matter
    fit = rf.lmm(f"y ~ 1{trend} + {structure}(0 + time | 1)", gone, reml=False)
    rows = gone["time"].to_numpy()
    sd = natural(fit)[f"sd__{structure}"]
    covariance = sd**2 * dense_walk(n, order)[np.ix_(rows, rows)] + fit.sigma**2 * np.eye(len(rows))
    x = np.column_stack([np.ones(len(rows)), rows])[:, :order]
    loglik, beta = gaussian_loglik(gone["y"].to_numpy(), x, covariance)
    assert fit.loglik == pytest.approx(loglik, abs=1e-6)
    np.testing.assert_allclose(list(fit.fixef().values()), beta, atol=1e-5)
    # Which time is the origin does not matter: the walk turned round has the same likelihood.
    turned = gone.assign(time=n - 1 - gone["time"])
    again = rf.lmm(f"y ~ 1{trend} + {structure}(0 + time | 1)", turned, reml=False)
    assert again.loglik == pytest.approx(fit.loglik, abs=2e-6)  # two searches, each within 1e-3 standard errors
    # A time without data lies between its neighbours; a forecast of a walk stays where it ended, ever less surely.
    told = fit.predict(pd.DataFrame({"time": [7, 8, n - 1, n + 4]}), se=True)
    assert np.isfinite(told["estimate"]).all()
    if structure == "rw1":
        assert told["estimate"].iloc[3] == pytest.approx(told["estimate"].iloc[2], abs=1e-8)
        assert told["std_error"].iloc[3] > told["std_error"].iloc[2] + 0.5 * sd
    np.testing.assert_allclose(fit.predict(gone.head(6)), fit.fitted()[:6], atol=1e-9)


def test_a_walk_needs_its_level(series) -> None:
    with pytest.raises(DataError, match="add an intercept to the fixed effects for each group"):
        rf.glmm("y ~ 1 + rw1(0 + time | id)", series, family="poisson")
    with pytest.raises(DataError, match="add `time` to the fixed effects"):
        rf.glmm("y ~ id + rw2(0 + time | id)", series, family="poisson")
    assert rf.glmm("y ~ 1 + (1 | id) + rw1(0 + time | id)", series, family="poisson").converged


def test_an_intrinsic_map_does_not_depend_on_its_origin() -> None:
    scotland = rf.load_dataset("scotlip")
    pairs = rf.load_dataset("scotlip_neighbours").astype(str)
    connected = set(pairs["district"]) | set(pairs["neighbour"])
    mainland = scotland[scotland["district"].isin(connected)].astype({"district": str})
    formula = "cases ~ I(agriculture / 10) + offset(log(expected)) + icar(1 | district, W)"
    neighbours = rf.adjacency(pairs)
    fit = rf.glmm(formula, mainland, family="poisson", matrices={"W": neighbours})
    other = {name: f"{'~' if name == 'Skye-Lochalsh' else ''}{name}" for name in mainland["district"]}
    renamed = mainland.assign(district=mainland["district"].map(other))
    moved = rf.adjacency(pairs.replace(other))
    again = rf.glmm(formula, renamed, family="poisson", matrices={"W": moved})
    assert fit.loglik == pytest.approx(again.loglik, abs=1e-6)
    assert fit.fixef()["I(agriculture / 10)"] == pytest.approx(again.fixef()["I(agriculture / 10)"], abs=1e-5)
    lonely = pairs[~pairs["district"].str.contains("Skye") & ~pairs["neighbour"].str.contains("Skye")]
    parts = pd.concat([lonely, pd.DataFrame({"district": ["Skye-Lochalsh"], "neighbour": ["Nowhere"]})])
    apart = rf.adjacency(parts)
    with pytest.raises(DataError, match="in one piece"):
        rf.glmm(formula, mainland, family="poisson", matrices={"W": apart})


def test_parameters_of_couplings_have_profiles_and_replicates(places) -> None:
    fit = rf.lmm("y ~ z + exp(px + py | one)", places, reml=False)
    wald = fit.confint(parm="range__exp").iloc[0]
    profile = fit.confint("profile", parm="range__exp").iloc[0]
    assert wald["conf_low"] < wald["estimate"] < wald["conf_high"]
    assert profile["conf_low"] < wald["estimate"] < profile["conf_high"]
    # The ends are where the likelihood has fallen by half the chi-square quantile.
    curve = fit.profile(parm="range__exp").data
    assert np.abs(curve["zeta"]).max() > 1.9
    draws = fit.bootstrap(8, seed=2)
    assert (draws["range__exp"] > 0).all()
    assert draws["range__exp"].nunique() == 8

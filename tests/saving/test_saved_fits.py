"""A loaded fit answers as the one that was saved, to the last digit, for every kind of model and question."""

import copy
import json
import pickle
import subprocess
import sys

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

import models
import ranef as rf
from models import data, owls, sleepstudy
from ranef import _engine
from ranef.saving.archive import unpacked
from ranef.saving.record import content_of, fields_of

mpl.use("Agg")


def loaded(fit, **arguments):
    """The fit written and read."""
    return rf.Fit(**fields_of(content_of(fit), 10**9, **arguments))


def pedigree_fit():
    rng = np.random.default_rng(3)
    table = pd.DataFrame({"id": [f"a{k}" for k in range(40)]})
    table["sire"] = [None if k < 8 else f"a{rng.integers(0, 4)}" for k in range(40)]
    table["dam"] = [None if k < 8 else f"a{rng.integers(4, 8)}" for k in range(40)]
    frame = pd.DataFrame({"animal": np.repeat(table["id"][8:], 3), "x": rng.normal(size=96)})
    frame["y"] = frame["x"] + rng.normal(size=32).repeat(3) + rng.normal(size=96)
    return rf.lmm("y ~ x + propto(0 + animal | 1, A)", frame, matrices={"A": rf.pedigree(table)})


def phylogeny_fit():
    rng = np.random.default_rng(4)
    tree = rf.phylogeny("((a:1,b:1):1,(c:1.5,(d:0.5,e:0.5):1):0.5,f:2);")
    frame = pd.DataFrame({"species": list("abcdef") * 8, "y": rng.normal(size=48)})
    frame["y"] += frame["species"].map(dict(zip("abcdef", 2 * rng.normal(size=6), strict=True)))
    return rf.lmm("y ~ 1 + propto(0 + species | 1, tree)", frame, matrices={"tree": tree})


def schools():
    error = np.array([15.0, 10, 16, 11, 9, 11, 10, 18])
    frame = pd.DataFrame({"effect": [28.0, 8, -3, 7, -1, 1, 18, 12], "school": list("ABCDEFGH")})
    variances = pd.DataFrame(np.diag(error**2), index=list("ABCDEFGH"), columns=list("ABCDEFGH"))
    formula = "effect ~ 1 + (1 | school) + equalto(0 + school | 1, V)"
    return rf.glmm(formula, frame, family="gaussian", dispersion="~ 0", matrices={"V": variances})


def with_labels():
    rng = np.random.default_rng(6)
    frame = pd.DataFrame({"label": [f"l{k}" for k in np.repeat(range(200), 8)], "g": np.tile(range(20), 80)})
    frame["x"] = rng.normal(size=1600)
    frame["y"] = frame["x"] + rng.normal(size=20)[frame["g"]] + rng.normal(size=1600)
    return frame.assign(k=rng.poisson(np.exp(1 + 0.2 * frame["x"])))


def missing_and_weighted():
    frame = data("sleepstudy").copy()
    frame.loc[[3, 50], "Reaction"] = np.nan
    weights = np.linspace(0.5, 2.0, len(frame))
    offset = 0.01 * np.arange(len(frame))
    return rf.lmm("Reaction ~ poly(Days, 2) + (1 | Subject)", frame, weights=weights, offset=offset)


FITS = {
    name: getattr(models, name)
    for name in (
        "sleepstudy",
        "sleepstudy_uncorrelated",
        "dyestuff2",
        "pastes",
        "cbpp",
        "owls",
        "salamanders",
        "sleepstudy_glmm",
        "assumed",
    )
} | {
    "correlated": lambda: rf.lmm(
        "Reaction ~ Days + (1 | Subject)", data("sleepstudy"), correlation="ar1(Days | Subject)"
    ),
    "fitted_variance": lambda: rf.lmm(
        "Reaction ~ Days + (1 | Subject)", data("sleepstudy"), dispersion="~ power(fitted)"
    ),
    "quadrature": lambda: rf.glmm(
        "incidence / size ~ period + (1 | herd)", data("cbpp"), family="binomial", weights="size", quadrature=7
    ),
    "joint_mode": lambda: rf.glmm(
        "SiblingNegotiation ~ FoodTreatment + (1 | Nest)", data("owls"), family="poisson", quadrature=0
    ),
    "reml": lambda: rf.glmm(
        "SiblingNegotiation ~ FoodTreatment + (1 | Nest)", data("owls"), family="nbinom2", reml=True
    ),
    "smooth": lambda: rf.glmm("SiblingNegotiation ~ s(ArrivalTime) + (1 | Nest)", data("owls"), family="poisson"),
    "no_random": lambda: rf.glmm("SiblingNegotiation ~ FoodTreatment", data("owls"), family="poisson"),
    "ordinal": lambda: rf.glmm(
        "rating ~ temp + contact + (1 | judge)",
        data("wine"),
        family=rf.families.cumulative(link="probit", thresholds="equidistant"),
    ),
    "given_parameter": lambda: rf.glmm(
        "SiblingNegotiation ~ FoodTreatment + (1 | Nest)", data("owls"), family=rf.families.nbinom2(phi=2)
    ),
    "splines": lambda: rf.lmm(
        "Reaction ~ ns(Days, 3) + scale(Days) : factor(Days > 4) + (1 | Subject)", data("sleepstudy")
    ),
    "contrasts": lambda: rf.lmm(
        "angle ~ recipe * temperature + (1 | recipe:replicate)", data("cake"), contrasts={"recipe": "sum"}
    ),
    "contrast_matrix": lambda: rf.lmm(
        "angle ~ recipe + (1 | recipe:replicate)", data("cake"), contrasts={"recipe": [[1, 0], [0, 1], [-1, -1]]}
    ),
    "tied": lambda: rf.lmm(
        "diameter ~ 1 + (1 | plate) + (1 | sample)", data("penicillin"), tied=[("sd(plate)", "sd(sample)")]
    ),
    "held_correlation": lambda: rf.lmm(
        "Reaction ~ Days + (Days | Subject)", data("sleepstudy"), fixed={"cor(Subject)": np.array([[1, 0.2], [0.2, 1]])}
    ),
    "polars": lambda: rf.lmm("Reaction ~ Days + (Days | Subject)", data("sleepstudy", "polars")),
    "pyarrow": lambda: rf.lmm("Reaction ~ Days + (Days | Subject)", data("sleepstudy", "pyarrow")),
    "mapping": lambda: rf.lmm("y ~ x + (1 | g)", {k: v.tolist() for k, v in models.grouped(1).items()}),
    "missing_and_weighted": missing_and_weighted,
    "pedigree": pedigree_fit,
    "phylogeny": phylogeny_fit,
    "schools": schools,
    "dot": lambda: rf.lmm("y ~ . + (1 | g)", models.grouped(2)[["y", "x", "treated", "g"]]),
    "many_levels": lambda: rf.lmm("y ~ x + label + (1 | g)", with_labels()),
    "many_levels_glmm": lambda: rf.glmm("k ~ x + label + (1 | g)", with_labels(), family="poisson"),
    "long_series": lambda: rf.lmm(
        "y ~ 1 + ou(0 + when | site)",
        pd.DataFrame(
            {
                "y": np.random.default_rng(1).normal(size=90).cumsum() * 0.3,
                "when": np.tile(np.arange(30) * 1.5, 3),
                "site": np.repeat(list("abc"), 30),
            }
        ),
    ),
}


def exact(value):
    """Arrays as their bytes, anything else as its text: what is equal is equal to the last digit."""
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    if isinstance(value, dict):
        return {key: exact(part) for key, part in value.items()}
    return [exact(part) for part in value] if isinstance(value, (list, tuple)) else repr(value)


def numbers_of(engine):
    """Everything that the engine's result says."""
    n = len(engine.factor)
    answers = [
        engine.loglik, engine.log_prior, engine.n_dependent, engine.n_theta, engine.sigma, engine.beta, engine.vcov,
        engine.vcov_joint, engine.theta, engine.theta_cov, engine.factor, engine.covariance, engine.modes,
        engine.modes_se(), engine.modes_cov(), engine.linear_predictor, engine.leverage(), engine.loglik_rows(),
        engine.satterthwaite(), engine.variance_components(), engine.residual_parameters(), engine.couplings,
        engine.verdict, engine.optimum, engine.simulate(2, 7, ["new"] * n, None),
        engine.simulate(2, 7, ["fixed"] * n, None),
    ]  # fmt: skip
    return exact(answers)


@pytest.mark.parametrize("name", FITS)
@pytest.mark.filterwarnings("ignore::ranef.errors.ConvergenceWarning")
def test_a_loaded_fit_is_the_saved_one_to_the_last_digit(name):
    fit = FITS[name]()
    again = loaded(fit)
    assert numbers_of(again.engine) == numbers_of(fit.engine)
    assert str(again.summary()) == str(fit.summary())
    assert content_of(again) == content_of(fit)
    for part in ("fixed", "random"):
        assert repr(again.tidy(part)) == repr(fit.tidy(part))
    assert type(again.design.frame) is type(fit.design.frame)
    np.testing.assert_array_equal(again.predict(), fit.predict())


@pytest.mark.parametrize("name", ["missing_and_weighted", "owls", "contrasts", "polars", "held_correlation"])
def test_a_loaded_fit_is_updated_and_refitted_as_the_saved_one(name):
    fit = FITS[name]()
    again = loaded(fit)
    y = fit.simulate(1, seed=4)[:, 0]
    assert again.refit(y).loglik == fit.refit(y).loglik
    assert again.update().loglik == fit.update().loglik
    assert again.update(missing="error").aic == fit.update(missing="error").aic


QUESTIONS = {
    "glance": lambda fit: fit.glance(),
    "ranef": lambda fit: fit.ranef(),
    "coef": lambda fit: fit.coef(),
    "varcorr": lambda fit: fit.varcorr(),
    "augment": lambda fit: fit.augment(),
    "predict": lambda fit: fit.predict(fit.design.frame.head(5), se=True, interval="prediction", seed=1),
    "simulate": lambda fit: fit.simulate(3, seed=9),
    "residuals": lambda fit: [fit.residuals(), fit.residuals("pearson"), fit.residuals("quantile", seed=1)],
    "anova": lambda fit: fit.anova(),
    "drop1": lambda fit: fit.drop1(),
    "confint": lambda fit: fit.confint(),
    "profile": lambda fit: fit.confint("profile", parm="Intercept"),
    "bootstrap": lambda fit: fit.bootstrap(4, seed=2),
    "emmeans": lambda fit: fit.emmeans(list(fit.design.factor_levels)[:1] or "Days").table,
    "effects": lambda fit: fit.effects(fit.design.variables[1]),
    "slopes": lambda fit: fit.r2(),
    "robust": lambda fit: fit.tidy(vcov="CR1"),
    "check": lambda fit: fit.check().table,
    "scaled": lambda fit: fit.simulate_residuals(50, seed=3).scaled,
    "compare": lambda fit: rf.compare(fit, fit.update(f". ~ 1 + (1 | {fit.terms()[0].group})"), refit=True),
    "plot": lambda fit: len(fit.plot.ranef_data()),
    "html": lambda fit: fit.summary()._repr_html_(),
}


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("model", ["sleepstudy", "owls"])
def test_a_loaded_fit_answers_every_question_as_the_saved_one(model, question):
    fit = FITS[model]()
    with np.printoptions(threshold=sys.maxsize, floatmode="unique"), pd.option_context("display.precision", 17):
        assert repr(QUESTIONS[question](loaded(fit))) == repr(QUESTIONS[question](fit))


def test_another_process_predicts_the_same(tmp_path):
    path = tmp_path / "owls.ranef"
    owls().save(path)
    new = data("owls").head(20)
    expected = owls().predict(new).tolist(), owls().simulate(2, seed=5).tolist(), owls().fixef()
    code = (
        "import json, sys, ranef as rf\n"
        "fit = rf.load(sys.argv[1])\n"
        "new = rf.load_dataset('owls').head(20)\n"
        "print(json.dumps([fit.predict(new).tolist(), fit.simulate(2, seed=5).tolist(), fit.fixef()]))"
    )
    told = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True).stdout
    assert json.loads(told) == list(expected)


def test_saving_replaces_what_is_there_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "fit.ranef"
    path.write_text("old")
    sleepstudy().save(path)
    assert rf.load(path).loglik == sleepstudy().loglik
    assert [entry.name for entry in tmp_path.iterdir()] == ["fit.ranef"]
    with pytest.raises(FileNotFoundError):
        sleepstudy().save(tmp_path / "nowhere" / "fit.ranef")
    with pytest.raises(FileNotFoundError):
        rf.load(tmp_path / "other.ranef")


def test_errors_name_the_file(tmp_path):
    path = tmp_path / "data.csv"
    path.write_text("y,x\n")
    with pytest.raises(rf.SavedFitError, match=r"data\.csv: it is not a file that fit\.save"):
        rf.load(path)


def test_a_refitted_response_is_kept():
    fit = owls().refit(owls().simulate(1, seed=8)[:, 0])
    again = loaded(fit)
    np.testing.assert_array_equal(again.design.response.y, fit.design.response.y)
    assert again.loglik == fit.loglik
    assert repr(again.tidy()) == repr(fit.tidy())


def test_controls_are_kept():
    control = rf.Control(max_iter=77, gradient_tol=1e-5, threads=1)
    fit = rf.lmm("Yield ~ 1 + (1 | Batch)", data("dyestuff"), control=control)
    assert loaded(fit).control == control


def test_only_the_columns_used():
    frame = models.grouped(3)
    fit = rf.lmm("y ~ x + (1 | g)", frame)
    small = rf.Fit(**fields_of(content_of(fit, "used"), 10**9))
    assert list(small.design.frame.columns) == ["y", "x", "g"]
    assert small.loglik == fit.loglik
    assert loaded(fit).update(". ~ . + treated").loglik == fit.update(". ~ . + treated").loglik
    with pytest.raises(rf.SavedFitError, match='columns is "all" or "used"'):
        content_of(fit, "some")


def test_columns_without_a_place_are_left_out_aloud():
    frame = models.grouped(3).assign(when=pd.period_range("2026-01", periods=len(models.grouped(3)), freq="D"))
    fit = rf.lmm("y ~ x + (1 | g)", frame)
    with pytest.warns(UserWarning, match="`when`: columns of this kind have no place in a saved fit"):
        content = content_of(fit)
    assert "when" not in rf.Fit(**fields_of(content, 10**9)).design.frame.columns


def gumbel(scale=1.0):
    def log_density(y, mu, sigma):
        z = (y - mu) / (scale * sigma)
        return -np.log(scale * sigma) - z - np.exp(-z)

    return rf.families.custom("gumbel", log_density, ["mu", "sigma"], mean=lambda mu, sigma: mu + 0.5772 * sigma)


def test_a_family_of_one_s_own_is_given_again():
    frame = pd.DataFrame({"y": np.random.default_rng(1).gumbel(10, 2, 120), "station": np.arange(120) % 12})
    fit = rf.glmm("y ~ 1 + (1 | station)", frame, family=gumbel())
    content = content_of(fit)
    with pytest.raises(rf.SavedFitError, match=r"rf\.load\(path, family=gumbel\)"):
        fields_of(content, 10**9)
    again = rf.Fit(**fields_of(content, 10**9, gumbel()))
    assert numbers_of(again.engine) == numbers_of(fit.engine)
    with pytest.raises(rf.SavedFitError, match="another family"):
        fields_of(content, 10**9, rf.families.custom("gumbel", lambda y, mu: -((y - mu) ** 2), ["mu"]))
    with pytest.raises(rf.SavedFitError, match="functions of the custom family gumbel"):
        pickle.dumps(fit)


def test_a_fit_is_pickled_as_it_is_saved():
    fit = owls()
    again = pickle.loads(pickle.dumps(fit))
    assert numbers_of(again.engine) == numbers_of(fit.engine)
    assert b"fit.json" in pickle.dumps(fit)


def test_a_copy_of_what_never_changes_is_itself():
    assert copy.copy(owls()) is owls()
    assert copy.deepcopy([owls()])[0] is owls()


def test_workers_of_other_processes_take_fits():
    joblib = pytest.importorskip("joblib")
    told = joblib.Parallel(n_jobs=1, backend="loky")([joblib.delayed(rf.Fit.fixef)(sleepstudy())])
    assert told == [sleepstudy().fixef()]


def test_a_fit_that_did_not_converge_is_kept_with_its_verdict():
    with pytest.warns(rf.ConvergenceWarning):
        fit = rf.glmm(
            "SiblingNegotiation ~ FoodTreatment + (ArrivalTime | Nest)",
            data("owls"),
            family="nbinom2",
            control=rf.Control(max_iter=1),
        )
    again = loaded(fit)
    assert not again.converged
    assert again.verdict == fit.verdict
    assert again.optimum == fit.optimum


def test_another_reading_of_the_model_is_refused_and_can_be_fitted_again(monkeypatch):
    content = content_of(owls())
    restore = _engine.restore

    def other_coordinates(model, found):
        return restore(model, {**found, "x": found["x"] * 1.01})

    monkeypatch.setattr(_engine, "restore", other_coordinates)
    with pytest.raises(rf.SavedFitError, match="understands its parameters differently"):
        fields_of(content, 10**9)
    again = rf.Fit(**fields_of(content, 10**9, refit=True))
    assert again.loglik == owls().loglik


def test_what_cannot_be_kept_of_the_arguments_is_named():
    fit = rf.lmm("y ~ x + (1 | g)", models.grouped(3), matrices={"A": object()})
    with pytest.raises(rf.SavedFitError, match=r"matrices\['A'\] is of the type object"):
        content_of(fit)


def test_the_manifest_tells_what_the_page_says():
    members = unpacked(content_of(owls()))
    card = json.loads(members["fit.json"])
    assert set(card) == {
        "linear", "data", "rows", "n_dropped", "dropped_because", "family", "arguments", "response", "control",
        "found", "probes",
    }  # fmt: skip

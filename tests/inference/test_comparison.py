"""Models side by side: R's tables, what is nested in what, the bootstrap's distribution, and refusals."""

import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import ranef as rf
from models import cbpp, data, owls_poisson, sleepstudy
from ranef.errors import ModelError
from ranef.inference.comparison import boundary
from ranef.inference.likelihood_ratio import upper_tail as tail
from ranef.inference.nesting import Nesting, nesting, within

ANSWERS = json.loads((Path(__file__).parents[1] / "reference/inference/comparison.json").read_text())["tables"]


@cache
def sleep(random: str, fixed: str = "Days", reml: bool = False):
    return rf.lmm(f"Reaction ~ {fixed} + {random}", data("sleepstudy"), reml=reml)


@cache
def owls(formula: str, family: str = "nbinom2", zi: str | None = None):
    return rf.glmm(f"SiblingNegotiation ~ {formula}", data("owls"), family=family, zi=zi)


def fits_of(name: str) -> dict:
    models = ANSWERS[name]["models"]
    if name.startswith("sleepstudy"):
        return {k: rf.lmm(text, data("sleepstudy"), reml=False) for k, text in models.items()}
    if name.startswith("owls"):
        return {k: owls(text.lstrip("~ ")) for k, text in models.items()}
    return {k: rf.glmm(text, data("cbpp"), family="binomial") for k, text in models.items()}


@pytest.mark.parametrize("name", [name for name in ANSWERS if "anova" in name])
def test_tables_are_r_s(name):
    answer, table = ANSWERS[name], rf.compare(fits_of(name)).table
    assert table["model"].tolist() == list(answer["models"])
    assert table["npar"].tolist() == answer["npar"]
    # lme4 and glmmTMB stop within 1e-4 log-likelihood units of the maximum.
    for column, tolerance in (("loglik", 2e-4), ("aic", 4e-4), ("bic", 4e-4), ("chi_square", 4e-4)):
        expected = np.array(answer[column], float)
        np.testing.assert_allclose(table[column], expected, atol=tolerance)
    np.testing.assert_allclose(table["p_value"], np.array(answer["p_value"], float), rtol=3e-4)


def test_weights_are_akaike_s():
    table = rf.compare(sleep("(1 | Subject)"), sleep("(Days || Subject)"), sleep("(Days | Subject)")).table
    relative = np.exp(-0.5 * (table["aic"] - table["aic"].min()))
    np.testing.assert_allclose(table["weight"], relative / relative.sum(), rtol=1e-12)


def test_models_stand_in_the_order_of_their_parameters_and_are_tested_against_the_nearest_nested_one():
    poisson, nb = owls("FoodTreatment + (1 | Nest)", "poisson"), owls("FoodTreatment + (1 | Nest)")
    other, inflated = owls("SexParent + (1 | Nest)"), owls("FoodTreatment + (1 | Nest)", zi="~ 1")
    table = rf.compare(inflated=inflated, poisson=poisson, nb=nb, other=other).table
    assert table["model"].tolist() == ["poisson", "nb", "other", "inflated"]
    assert table["against"].tolist()[1:] == ["poisson", None, "nb"] or table["against"].isna().tolist()[2]
    assert "no test" in table["note"][2]
    assert table["chi_square"][3] == pytest.approx(2 * (inflated.loglik - nb.loglik))


def test_a_variance_of_zero_has_the_mixture_s_p_value():
    table = rf.compare(sleep("(1 | Subject)"), sleep("(Days | Subject)")).table
    chi_square = 2 * (sleep("(Days | Subject)").loglik - sleep("(1 | Subject)").loglik)
    # Stram and Lee (1994), case 3: one more random effect with its covariance, chi-squares with 1 and 2 degrees.
    assert table["p_value_boundary"][1] == pytest.approx(0.5 * tail(chi_square, 1) + 0.5 * tail(chi_square, 2))
    # A correlation of zero is inside the space.
    inside = rf.compare(sleep("(Days || Subject)"), sleep("(Days | Subject)")).table
    assert np.isnan(inside["p_value_boundary"][1])


def test_mixtures_of_known_values():
    # Half of P(chi-square_1 >= 2.705543) = 0.1.
    assert boundary(2.705543, 1, Nesting(True, "", 1))[0] == pytest.approx(0.05, abs=1e-6)
    assert boundary(0.0, 1, Nesting(True, "", 1))[0] == pytest.approx(1.0)
    assert np.isnan(boundary(3.0, 2, Nesting(True, "", 2))[0])


INSIDE = [  # smaller, larger, variances of zero
    ("(1 | Subject)", "(Days | Subject)", 1),
    ("(Days || Subject)", "(Days | Subject)", 0),
    ("(1 | Subject)", "(Days || Subject)", 1),
    ("diag(1 + Days | Subject)", "(Days | Subject)", 0),
    ("homdiag(1 + Days | Subject)", "diag(1 + Days | Subject)", 0),
    ("(1 | Subject)", "(poly(Days, 2) | Subject)", 2),
    ("(scale(Days) | Subject)", "(Days | Subject)", 0),
]


@pytest.mark.parametrize(("small", "large", "variances"), INSIDE)
def test_what_lies_in_what(small, large, variances):
    found = nesting(sleep(small), sleep(large))
    assert (found.nested, found.variances) == (True, variances)
    if sleep(small).npar < sleep(large).npar:
        assert not nesting(sleep(large), sleep(small)).nested


def test_what_does_not():
    frame = data("penicillin")
    plate, sample = (rf.lmm(f"diameter ~ 1 + (1 | {g})", frame, reml=False) for g in ("plate", "sample"))
    assert not nesting(plate, sample).nested
    ar1 = rf.lmm("Reaction ~ Days + (1 | Subject)", data("sleepstudy"), reml=False, correlation="ar1(Days | Subject)")
    assert nesting(sleep("(1 | Subject)"), ar1) == Nesting(True)
    assert not nesting(ar1, sleep("(Days | Subject)")).nested
    cloglog = rf.glmm(cbpp().formula, data("cbpp"), family="binomial", link="cloglog")
    assert "links" in nesting(cbpp(), cloglog).reason
    held = rf.lmm("Reaction ~ Days + (1 | Subject)", data("sleepstudy"), reml=False, fixed={"Days": 8})
    assert nesting(held, sleep("(1 | Subject)")).nested
    assert not nesting(sleep("(1 | Subject)"), held).nested


def serial(correlation: str | None, dispersion: str | None = None):
    text = "Reaction ~ Days + (1 | Subject)"
    return rf.lmm(text, data("sleepstudy"), reml=False, correlation=correlation, dispersion=dispersion)


def machines(random: str, **options):
    return rf.lmm(f"score ~ Machine + {random}", data("machines"), reml=False, **options)


def wine(thresholds: str):
    return rf.glmm("rating ~ temp + (1 | judge)", data("wine"), family=rf.families.cumulative(thresholds=thresholds))


def calls(family, **options):
    return rf.glmm("SiblingNegotiation ~ FoodTreatment + (1 | Nest)", data("owls"), family=family, **options)


# Smaller and larger model, variances of the larger that the smaller has at zero, and why the ratio's law is not known.
PAIRS = {
    "ar1 is arma": (lambda: serial("ar1(Days | Subject)"), lambda: serial("arma(Days | Subject, p = 1, q = 1)"), 0, ""),
    # No nugget is a share of the variance at zero.
    "nugget": (lambda: serial("exp(Days | Subject)"), lambda: serial("exp(Days | Subject, nugget = TRUE)"), 1, ""),
    "power, and power with ar1": (
        lambda: serial(None, "~ power(fitted)"),
        lambda: serial("ar1(Days | Subject)", "~ power(fitted)"),
        0,
        "",
    ),
    "phi that is given": (lambda: calls(rf.families.nbinom2(phi=2)), lambda: calls("nbinom2"), 0, ""),
    "zero inflation": (lambda: calls("poisson"), lambda: calls("poisson", zi="~ 1"), 1, ""),
    "zero inflation with a formula": (
        lambda: calls("poisson"),
        lambda: calls("poisson", zi="~ FoodTreatment"),
        1,
        "without zero inflation its other parameters mean nothing",
    ),
    "poisson is nbinom1": (lambda: calls("poisson"), lambda: calls("nbinom1"), 1, ""),
    "thresholds": (lambda: wine("equidistant"), lambda: wine("flexible"), 0, ""),
    "homdiag is diag": (
        lambda: machines("homdiag(0 + Machine | Worker)"),
        lambda: machines("diag(0 + Machine | Worker)"),
        0,
        "",
    ),
    "latent variables": (
        lambda: machines("rr(0 + Machine | Worker, d = 1)"),
        lambda: machines("rr(0 + Machine | Worker, d = 2)"),
        1,
        "rr(0 + Machine | Worker, d = 2) has loadings that are zero in the smaller model",
    ),
    "effects tied in time": (
        lambda: sleep("(1 | Subject)"),
        lambda: sleep("(1 | Subject) + ou(0 + Days | Subject)"),
        1,
        "without its variance the other parameters of ou(0 + Days | Subject) mean nothing",
    ),
}


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.filterwarnings("ignore::ranef.errors.ConvergenceWarning")
def test_special_cases_of_every_part(name):
    smaller, larger, variances, irregular = PAIRS[name]
    small, large = smaller(), larger()
    assert nesting(small, large) == Nesting(True, "", variances, irregular)
    assert not nesting(large, small).nested


# Neither is the other, and what is said of the first in the second.
APART = {
    "other variance functions": (
        lambda: serial(None, "~ power(fitted)"),
        lambda: serial(None, "~ exp(fitted)"),
        "the variance functions of the residuals",
    ),
    "correlation and variance function": (
        lambda: serial("ar1(Days | Subject)"),
        lambda: serial(None, "~ power(fitted)"),
        "the correlation of the residuals",
    ),
    "residuals and slopes": (
        lambda: serial("ar1(Days | Subject)"),
        lambda: sleep("(Days | Subject)"),
        "the correlation or variance function of the residuals",
    ),
    "two ways to be overdispersed": (
        lambda: calls("nbinom1"),
        lambda: calls("nbinom2"),
        "families nbinom1(link='log') and nbinom2(link='log')",
    ),
    "an edge with a formula": (
        lambda: calls("nbinom1", dispersion="~ FoodTreatment"),
        lambda: calls("nbinom12"),
        "families nbinom1(link='log') and nbinom12(link='log') with a dispersion formula",
    ),
    "inflated zeros and dispersion": (
        lambda: calls("poisson", zi="~ 1"),
        lambda: calls("nbinom2"),
        "no component zi in the larger model",
    ),
    "offsets": (
        lambda: machines("(1 | Worker)"),
        lambda: machines("(1 | Worker)", offset=np.arange(54.0)),
        "other offsets (cond)",
    ),
    "an intercept and correlated columns": (
        lambda: machines("(1 | Worker)"),
        lambda: machines("cs(0 + Machine | Worker)"),
        "random effects ((1 | Worker) is not within the larger model's)",
    ),
}


@pytest.mark.parametrize("name", APART)
@pytest.mark.filterwarnings("ignore::ranef.errors.ConvergenceWarning")
def test_what_is_not_in_each_other(name):
    one, other, reason = (part if isinstance(part, str) else part() for part in APART[name])
    assert nesting(one, other) == Nesting(False, reason)
    assert not nesting(other, one).nested


def test_residuals_of_which_one_is_a_special_case_of_the_other():
    def fit(random="", **residual):
        return rf.lmm(f"Reaction ~ Days{random}", data("sleepstudy").assign(day=DAY), reml=False, **residual)

    spread, constant = "~ power(day)", "~ constpower(day)"
    ar1, cs = "ar1(Days | Subject)", "cs(1 | Subject)"
    varying, correlated = fit(dispersion=spread), fit(correlation=ar1)
    both = fit(dispersion=spread, correlation=ar1)
    for one in (varying, correlated):
        assert nesting(one, both) == Nesting(True)
        assert "residuals" in nesting(both, one).reason
    assert nesting(varying, fit(dispersion=constant)).reason == "the variance functions of the residuals"
    assert nesting(varying, correlated).reason == "the variance functions of the residuals"
    assert nesting(correlated, varying).reason == "the correlation of the residuals"
    assert nesting(correlated, fit(correlation=cs)).reason == "the correlation of the residuals"
    assert nesting(correlated, fit(dispersion=spread, correlation=cs)).reason == "the correlation of the residuals"


DAY = np.tile(np.arange(1.0, 11.0), 18)


def test_structures_of_which_one_is_a_special_case_of_the_other():
    # The same series in both models; a structure of one column is a variance.
    series = [rf.lmm(f"y ~ {f}ar1(0 + t | Subject)", SERIES, reml=False) for f in ("", "Days + ")]
    assert nesting(*series) == Nesting(True)
    assert nesting(sleep("(1 | Subject)"), sleep("(1 | Subject) + homdiag(0 + Days | Subject)")) == Nesting(True, "", 1)


SERIES = data("sleepstudy").assign(t=lambda d: d["Days"].astype(str), y=lambda d: d["Reaction"])


def test_an_offset_is_a_coefficient_of_one():
    offset = owls("FoodTreatment + offset(logBroodSize) + (1 | Nest)")
    free = owls("FoodTreatment + logBroodSize + (1 | Nest)")
    assert nesting(offset, free).nested
    assert "offsets" in nesting(free, offset).reason or "fixed effects" in nesting(free, offset).reason
    assert not nesting(offset, owls("FoodTreatment + SexParent + (1 | Nest)")).nested
    assert rf.compare(offset, free).table["df"][1] == 1


def test_spans_are_compared_whatever_their_coding_and_scale():
    x = np.column_stack([np.ones(9), np.arange(9.0)])
    assert within(x @ [[1e6, 2.0], [3.0, 1e-6]], x)
    assert not within(np.arange(9.0)[:, None] ** 2, x)


def test_reml_fits_with_the_same_fixed_effects_are_compared_as_they_are():
    table = rf.compare(sleep("(1 | Subject)", reml=True), sleep("(Days | Subject)", reml=True)).table
    assert table["chi_square"][1] == pytest.approx(42.8371, abs=1e-3)  # lmerTest's ranova


def test_refit_is_by_maximum_likelihood():
    compared = rf.compare(small=sleep("(1 | Subject)", "1", True), large=sleep("(1 | Subject)", reml=True), refit=True)
    assert all(fit.method == "ml" for fit in compared.fits.values())
    assert compared.table["loglik"][1] == pytest.approx(sleep("(1 | Subject)").loglik, abs=1e-6)
    assert "refitted by maximum likelihood" in str(compared)


def test_bootstrap_of_a_fixed_effect_agrees_with_the_chi_square_of_a_large_sample():
    small, large = rf.glmm(cbpp().formula.replace("period", "1"), data("cbpp"), family="binomial"), cbpp()
    compared = rf.compare(small, large, test="bootstrap", n=200, seed=3)
    drawn = compared.reference["chi_square"].to_numpy()
    # The mean of chi-square_3, with four Monte Carlo standard errors and a small-sample excess of a tenth or so.
    assert drawn.mean() == pytest.approx(3.0, abs=4 * np.sqrt(6 / 200) + 0.3)
    assert compared.table["p_value"][1] == pytest.approx(1 / 201)
    assert compared.plot().axes[0].get_xlabel() == "likelihood ratio"


def test_bootstrap_of_a_variance_has_half_its_mass_at_zero():
    small = rf.lmm("Yield ~ 1", data("dyestuff"), reml=False)
    large = rf.lmm("Yield ~ 1 + (1 | Batch)", data("dyestuff"), reml=False)
    compared = rf.compare(small, large, test="bootstrap", n=400, seed=1)
    drawn, row = compared.reference["chi_square"].to_numpy(), compared.table.iloc[1]
    # More than half: six batches (Crainiceanu & Ruppert 2004).
    assert 0.5 < (drawn < 1e-6).mean() < 0.75
    assert row["p_value"] == (1 + (drawn >= row["chi_square"] - 1e-6).sum()) / 401
    assert row["p_value"] < row["p_value_boundary"] + 0.02


def test_replicates_depend_on_the_seed_and_their_number_alone():
    small, large = sleep("(1 | Subject)"), sleep("(Days | Subject)")
    few, many = (
        rf.compare(small, large, test="bootstrap", n=n, seed=4, threads=t).reference["chi_square"].to_numpy()
        for n, t in ((20, 1), (60, 2))
    )
    np.testing.assert_array_equal(few, many[:20])


def test_progress_is_written_when_asked_for(capsys):
    rf.compare(sleep("(1 | Subject)"), sleep("(Days | Subject)"), test="bootstrap", n=10, seed=1, progress=True)
    assert "10 of 10 replicates" in capsys.readouterr().err


def test_fits_come_one_by_one_in_lists_and_by_name():
    small, large = sleep("(1 | Subject)"), sleep("(Days | Subject)")
    tables = [rf.compare(*way).table for way in ((small, large), ([small, large],), ((large,), small))]
    assert all(table.equals(tables[0]) for table in tables[1:])
    named = rf.compare({"small": small}, large=large)
    assert list(named.fits) == ["small", "large"]


def test_without_a_test_there_are_criteria_only():
    table = rf.compare(sleep("(1 | Subject)"), sleep("(Days | Subject)"), test=None).table
    assert table["chi_square"].isna().all()
    assert table["note"].tolist() == ["", ""]


def test_reml_fits_with_as_many_but_other_fixed_effects_are_refused():
    frame = data("sleepstudy").assign(z=np.cos(np.arange(180.0)))
    one, other = (rf.lmm(f"Reaction ~ {x} + (1 | Subject)", frame) for x in ("Days", "z"))
    with pytest.raises(ModelError, match="fitted by REML and have different fixed effects"):
        rf.compare(one, other)


def test_weights_that_hardly_differ_are_different_and_shown_so():
    weights = np.linspace(1.0, 2.0, 180)
    other = weights.copy()
    other[7] *= 1.0 + 1e-9
    fits = [
        rf.lmm("Reaction ~ Days + (1 | Subject)", data("sleepstudy"), reml=False, weights=w) for w in (weights, other)
    ]
    with pytest.raises(ModelError, match=r"row 7 .* has 1\.0391061452514 in .* and 1\.0391061462905 in"):
        rf.compare(*fits)


def test_the_same_rows_are_needed_and_named():
    frame = data("sleepstudy").copy()
    frame.loc[3, "Days"] = np.nan
    with pytest.raises(ModelError, match="1 in `Days`"):
        rf.compare(sleep("(1 | Subject)", "1"), rf.lmm("Reaction ~ Days + (1 | Subject)", frame, reml=False))


def test_proportions_and_counts_of_the_same_trials_are_the_same_data():
    frame = data("cbpp").assign(share=lambda d: d["incidence"] / d["size"])
    share = rf.glmm("share ~ period + (1 | herd)", frame, family="binomial", weights="size")
    assert rf.compare(cbpp(), share).table["loglik"].diff()[1] == pytest.approx(0.0, abs=1e-8)


def test_a_gaussian_of_either_function_is_the_same_likelihood():
    both = rf.compare(
        lmm=sleepstudy(reml=False), glmm=rf.glmm(sleepstudy().formula, data("sleepstudy"), family="gaussian")
    )
    assert both.table["loglik"].diff()[1] == pytest.approx(0.0, abs=1e-6)


def test_approximations_that_differ_are_told():
    frame = data("cbpp")
    agq = rf.glmm(cbpp().formula, frame, family="binomial", quadrature=9)
    assert "approximated in different ways" in str(rf.compare(cbpp(), agq))
    assert "approximated" not in str(rf.compare(owls_poisson(), owls("FoodTreatment + (1 | Nest)")))

"""Methods and results paragraphs as they go into an article: read once as a whole, then kept."""

import platform
import textwrap

import numpy as np
import pandas as pd
import pytest

import models
import ranef as rf


def ordinal():
    return rf.glmm("rating ~ temp + contact + (1 | judge)", models.data("wine"), family="cumulative")


def serial():
    return rf.lmm("distance ~ age * Sex", models.data("orthodont"), correlation="ar1(1 | Subject)", dispersion="~ Sex")


def smooth():
    return rf.glmm("TICKS ~ YEAR + s(cHEIGHT) + (1 | BROOD)", models.data("grouseticks"), family="poisson")


def hurdle():
    return rf.glmm("count ~ mined + (1 | site)", models.data("salamanders"), family="truncated_nbinom2", zi="~ mined")


def machines():
    return rf.lmm("score ~ Machine + (1 | Worker) + (1 | Worker:Machine)", models.data("machines"))


def quadrature():
    formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
    return rf.glmm(formula, models.data("cbpp"), family="binomial", quadrature=7)


def factors_of_many_levels():
    return rf.lmm("angle ~ recipe * temperature + (1 | recipe:replicate)", models.data("cake"))


def slopes_by_factor():
    return rf.glmm("y ~ trt * week + (1 | ID)", models.data("bacteria"), family="binomial", quadrature=0)


def curve_weights_and_offset():
    frame = models.data("orthodont").assign(early=lambda frame: frame["age"] < 11)
    formula = "distance ~ poly(age, 2) + early:Sex + (age + early || Subject)"
    return rf.lmm(formula, frame, weights=np.linspace(1, 2, 108), offset=np.zeros(108))


def many_variables():
    rng = np.random.default_rng(4)
    frame = pd.DataFrame(rng.normal(size=(240, 8)), columns=list("abcdefhi")).assign(g=np.repeat(np.arange(24), 10))
    frame["hit"] = rng.random(240) < 1 / (1 + np.exp(-frame["a"]))
    formula = "hit ~ a + b + c + d + e + f + h + i + a:b + a:b:c + (0 + b | g)"
    return rf.glmm(formula, frame, family="binomial")


def given_dispersion():
    return rf.glmm("count ~ 1 + (1 | site)", models.data("salamanders"), family=rf.families.nbinom2(phi=2), zi="~ 1")


def thresholds_alone():
    return rf.glmm("rating ~ 1 + (1 | judge)", models.data("wine"), family="cumulative")


def effects_in_series():
    formula = "TICKS ~ YEAR * cHEIGHT + offset(log(cHEIGHT + 100)) + (0 + cHEIGHT | LOCATION) + ar1(0 + YEAR | BROOD)"
    return rf.glmm(formula, models.data("grouseticks"), family="poisson", zi="~ 1")


MODELS = {
    "sleepstudy": models.sleepstudy,
    "penicillin": models.penicillin,
    "pastes": models.pastes,
    "machines": machines,
    "cbpp": quadrature,
    "owls": models.owls,
    "salamanders": models.salamanders,
    "assumed": models.assumed,
    "dyestuff2": models.dyestuff2,
    "ordinal": ordinal,
    "serial": serial,
    "smooth": smooth,
    "hurdle": hurdle,
    "factors_of_many_levels": factors_of_many_levels,
    "slopes_by_factor": slopes_by_factor,
    "curve_weights_and_offset": curve_weights_and_offset,
    "many_variables": many_variables,
    "given_dispersion": given_dispersion,
    "thresholds_alone": thresholds_alone,
    "effects_in_series": effects_in_series,
}


@pytest.mark.parametrize("name", MODELS)
def test_paragraphs(name, snapshot):
    fit = MODELS[name]()
    # The last sentence names the versions of this machine.
    methods, fitted, versions = fit.methods_text().partition(" The model was fitted with ")
    assert fitted
    assert versions == f"ranef {rf.__version__} (ranef developers 2026) in Python {platform.python_version()}."
    parts = [fit.formula, methods, fit.results_text()]
    snapshot(f"article_{name}", "\n\n".join(textwrap.fill(part, 120, break_on_hyphens=False) for part in parts))

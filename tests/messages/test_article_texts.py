"""Methods and results paragraphs as they go into an article: read once as a whole, then kept."""

import platform
import textwrap

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

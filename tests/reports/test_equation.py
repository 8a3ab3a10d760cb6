"""A model as mathematics: every kind of part has a notation, and what is written is well formed and true."""

import re
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

import ranef as rf
from equation_cases import family_cases, frame, structure_cases, unfitted
from models import assumed, data, owls, sleepstudy
from ranef import correlations, covariances, families, variance_functions
from ranef.reports.mathematics.covariance_structures import STRUCTURES
from ranef.reports.mathematics.distributions import FAMILIES
from ranef.reports.mathematics.equation import equation_of
from ranef.reports.mathematics.expressions import Word
from ranef.reports.mathematics.latex import latex
from ranef.reports.mathematics.link_functions import LINKS
from ranef.reports.mathematics.mathml import mathml
from ranef.reports.mathematics.residual_structures import CORRELATIONS, VARIANCE_FUNCTIONS
from ranef.reports.mathematics.statements import threshold_values

CASES = [*structure_cases(), *family_cases()]


def every_link():
    return {link for card in families.catalogue().values() for link in card["links"]}


@pytest.mark.parametrize(
    ("kind", "catalogue", "notation", "place"),
    [
        ("family", families.catalogue, FAMILIES, "distributions.py"),
        ("link", every_link, LINKS, "link_functions.py"),
        ("covariance structure", covariances.catalogue, STRUCTURES, "covariance_structures.py"),
        ("correlation of residuals", correlations.catalogue, CORRELATIONS, "residual_structures.py"),
        ("variance function", variance_functions.catalogue, VARIANCE_FUNCTIONS, "residual_structures.py"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_part_of_the_catalogues_has_a_notation(kind, catalogue, notation, place):
    without = sorted(set(catalogue()) - set(notation))
    assert not without, (
        f"the {kind} {', '.join(without)} cannot be written as mathematics: add it to python/ranef/reports/mathematics/"
        f"{place}, and a case to tests/equation_cases.py if its model needs more than a factor of a few occasions"
    )
    assert set(notation) <= set(catalogue()), "a notation of what does not exist"


def whole(name):
    model = unfitted(name)
    return equation_of(model, {c: range(model.design.fixed[c].x.shape[1]) for c in model.components})


@pytest.mark.parametrize("name", CASES)
def test_what_is_written_is_well_formed(name):
    equation = whole(name)
    math = ElementTree.fromstring(equation.mathml)
    assert math.tag == "math"
    children = {"msub": 2, "msup": 2, "msubsup": 3, "mfrac": 2, "munder": 2}
    for tag, count in children.items():
        assert all(len(node) == count for node in math.iter(tag)), tag
    # Every brace and environment that opens closes; escaped ones are none.
    tex = re.sub(r"\\[{}&]", "", equation.latex)
    assert tex.count("{") == tex.count("}")
    for environment in ("aligned", "cases", "pmatrix"):
        assert tex.count(rf"\begin{{{environment}}}") == tex.count(rf"\end{{{environment}}}")
    for line in tex.split("\n")[1:-1]:
        inner = re.sub(r"\\begin\{(cases|pmatrix)\}.*?\\end\{\1\}", "", line)
        assert inner.count("&") == 1
    cases = tex.count(r"\\", tex.find(r"\begin{cases}"), tex.find(r"\end{cases}")) if r"\begin{cases}" in tex else 0
    assert len(equation.text.splitlines()) == len(tex.splitlines()) - 2 + cases
    assert len(list(math.find("mtable"))) == len(tex.splitlines()) - 2


@pytest.mark.parametrize(
    "name", ["a_b", "50%", "x^2 & {y}", "$x$", "#1", "~", "\\", "a\\end{aligned}", "<b>", "|", "ü ß", ""]
)
def test_names_from_the_data_are_escaped(name):
    tex = latex(Word(name))
    bare = re.sub(r"\\(backslash|wedge|sim|vert|text|[{}$&#%_])", "", tex)
    assert not set(bare) & set("\\$&#%_^~"), tex
    element = ElementTree.fromstring(mathml(Word(name)))
    assert element.text == (name.replace(" ", "\N{NO-BREAK SPACE}") or None)
    assert not list(element)


def test_estimates_stand_in_place_of_symbols():
    fit = sleepstudy()
    text = fit.equation(estimates=True, digits=6).text
    beta, sigma = fit.fixef(), fit.engine.covariance[0]
    for value in (*beta.values(), fit.sigma, *sigma.ravel()):
        assert f"{value:.6g}" in text
    assert not re.search("[βσρ]", text)
    symbols = fit.equation().text
    assert not re.search(r"\d\.\d", symbols)
    assert "β_1 Days_i" in symbols


def test_constants_are_on_their_own_scale():
    fit = owls()
    assert f"NB2(μ_i, {fit.sigma:.4g})" in fit.equation(estimates=True).text
    rng = np.random.default_rng(2)
    rain = pd.DataFrame({"y": np.where(rng.uniform(size=300) < 0.3, 0.0, rng.gamma(2.0, 1.0, 300))})
    tweedie = rf.glmm("y ~ 1", rain, family="tweedie")
    # The link of the power takes what it exceeds 1 by.
    power = 1.0 + 1.0 / (1.0 + np.exp(-tweedie.estimates("shape")[0]))
    assert f"Tweedie_{power:.3f}(" in tweedie.equation(estimates=True).text.replace("{", "").replace("}", "")
    gamma = rf.glmm("y ~ 1", rain[rain["y"] > 0], family="gamma", link="log")
    # sigma of a gamma is not its shape.
    assert f"shape = {gamma.sigma**-2:.4g})" in gamma.equation(estimates=True).text


def test_what_is_held_is_a_number_and_priors_are_stated():
    text = assumed().equation().text
    assert "0.1 cover_i" in text
    assert "u_j ∼ N(0, 0.6²)" in text
    assert "β_1 ∼ Normal(0, 1)" in text
    assert "σ_b ∼ Gamma(1, 2.5)" in text


def test_aliased_columns_are_left_out():
    double = data("sleepstudy").assign(twice=lambda d: 2 * d["Days"], other=lambda d: np.sin(d["Reaction"]))
    fit = rf.lmm("Reaction ~ Days + twice + other + (1 | Subject)", double)
    text = fit.equation().text
    assert "twice" not in text
    assert "β_2 other_i" in text


@pytest.mark.parametrize(
    ("structure", "count"), [("flexible", 4), ("symmetric", 4), ("symmetric", 5), ("equidistant", 4)]
)
def test_thresholds_from_their_coefficients(structure, count):
    levels = [str(k) for k in range(count + 1)]
    frame = pd.DataFrame(
        {
            "y": pd.Categorical(np.repeat(levels, 20 + 7 * np.arange(count + 1)), levels, ordered=True),
        }
    )
    fit = rf.glmm("y ~ 1", frame, family=rf.families.cumulative(thresholds=structure))
    theta = np.array(threshold_values(structure, fit.estimates("threshold").tolist(), count))
    # Without covariates, the likelihood is that of the probabilities between these thresholds.
    below = np.concatenate([[0.0], 1.0 / (1.0 + np.exp(-theta)), [1.0]])
    expected = frame["y"].value_counts().reindex(levels).to_numpy() @ np.log(np.diff(below))
    # Both are sums of the same logarithms, up to rounding.
    assert fit.loglik == pytest.approx(expected, abs=1e-8)


def test_notebooks_show_it():
    equation = sleepstudy().equation("text")
    assert str(equation) == equation.text
    assert equation._repr_latex_() == f"$$\n{equation.latex}\n$$"
    assert equation._repr_html_() == equation.mathml
    assert str(sleepstudy().equation("mathml")) == equation.mathml


def test_long_lines_are_broken():
    narrow, wide = (owls().equation(width=width) for width in (30, 500))
    assert len(narrow.text.splitlines()) > len(wide.text.splitlines())
    assert re.sub(r"\s+", "", narrow.text) == re.sub(r"\s+", "", wide.text)


@pytest.mark.parametrize(
    ("formula", "options", "expected"),
    [
        ("y ~ x + homcs(0 + species | g)", {}, r"Σ_b = \d\.\d+² \[\(1 − .*\) I_4 \+ .* J_4\]"),
        ("y ~ x + hetar1(0 + species | g)", {}, r"\(σ_\{b,1\}, …, σ_\{b,4\}\) = \(\d"),
        ("y ~ x + homtoep(0 + species | g)", {}, r"\(ρ_\{b,1\}, ρ_\{b,2\}, ρ_\{b,3\}\) = \("),
        ("y ~ x + rr(0 + species | g, d = 1)", {}, r"Λ_b = \["),
        ("y ~ x + exp(east + north | 1)", {}, r"exp\(−‖s − s′‖/\d"),
        ("y ~ x", {"correlation": "arma(order | g, p = 2, q = 0)"}, r"ε_t = .*0\.\d+ ε_\{t − 2\} \+ a_t"),
        ("y ~ x", {"correlation": "ar1(order | g)", "dispersion": "~ power(w)"}, r"σ_i = 1\.\d+ \|w_i\|\^"),
    ],
)
def test_estimates_of_structures(formula, options, expected):
    rng = np.random.default_rng(5)
    one = frame().drop_duplicates(["g", "order"]) if options else frame()
    effects, places = rng.normal(size=(12, 4)) + 0.7 * rng.normal(size=(12, 1)), rng.normal(size=(5, 4))
    g, species = one["g"].cat.codes, one["species"].cat.codes
    field = places[one["east"].astype(int), one["north"].astype(int)]
    fit = rf.lmm(formula, one.assign(y=one["y"] + effects[g, species] + field), **options)
    assert re.search(expected, fit.equation(estimates=True).text), fit.equation(estimates=True).text

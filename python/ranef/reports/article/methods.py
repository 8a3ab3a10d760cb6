"""The methods paragraph: what was fitted to what, how it was estimated, tested and checked, with what.

Sentences are put together from what the model says of itself; nothing that was not done is told.
"""

from __future__ import annotations

import platform
from collections.abc import Sequence
from itertools import combinations

import numpy as np

from ranef import _engine
from ranef.checks.finding import Finding
from ranef.covariances import catalogue as covariances
from ranef.errors import ModelError
from ranef.fitting import FittedModel
from ranef.formula.design import RandomTerm
from ranef.formula.parser import Name
from ranef.formula.terms import Term
from ranef.inference.contrasts import denominator
from ranef.inference.explained_variance import approximations
from ranef.inference.smooths import smooth_table, variables_of_smooth
from ranef.reports.article.phrases import MOST_NAMED, counted, listed, sentence
from ranef.reports.article.references import Citations
from ranef.reports.article.scales import response_in_words

# What the parameters of a component are called, where it is modelled.
PARTS = {"zi": "probability of an excess zero", "disp": "dispersion", "shape": "shape parameter"}
# Covariance structures whose titles begin with a name.
NAMES = ("Toeplitz", "Ornstein", "Gaussian", "Matern")


def methods_paragraph(
    record: FittedModel,
    cite: Citations,
    findings: Sequence[Finding] | None = None,
    simulations: int = 0,
    ddf: str | None = None,
) -> str:
    """The paragraph.

    Parameters
    ----------
    record : FittedModel
    cite : Citations
        Takes down what is cited.
    findings : sequence of Finding, optional
        Of the checks, if any were made.
    simulations : int
        Simulated responses of each row, where scaled residuals were looked at; else 0.
    ddf : str, optional
        Degrees of freedom, as `denominator` takes them.
    """
    parts = [
        what_was_fitted(record, cite),
        fixed_effects(record, "cond"),
        random_effects(record, "cond"),
        *(component(record, c) for c in ("zi", "disp", "shape") if c in record.model.written_components),
        residuals(record, cite),
        weights(record),
        estimation(record, cite),
        assumptions(record, cite),
        inference(record, cite, ddf),
        explained(record, cite),
        checks(cite, findings, record.model.correlation is not None),
        scaled_residuals(cite, simulations),
        software(record, cite),
    ]
    return " ".join(sentence(part) for part in parts if part)


def kind_of_model(record: FittedModel) -> str:
    """The model in a few words: "zero-inflated negative binomial generalized linear mixed model"."""
    model, family = record.model, record.model.family
    mixed = " mixed" if record.ngroups else ""
    if model.marginal and not record.ngroups:
        return "linear model by generalized least squares"
    if family.ordinal:
        return f"cumulative link{mixed} model"
    generalized = "" if family.name == "gaussian" and family.link == "identity" else "generalized "
    name = f"{generalized}{'additive' if record.design.smooths else 'linear'}{mixed} model"
    if family.name == "gaussian":
        return name
    if family.engine is not None:
        return f"{name} with the custom family {family.name}"
    # The distribution in the words of its card, without what tells its two versions apart.
    title = family.title.split(" (")[0]
    title = title if title.split()[0] in PROPER else title[:1].lower() + title[1:]
    if is_hurdle(record):
        return f"hurdle {title.replace(' truncated at zero', '')} {name}"
    return f"zero-inflated {title} {name}" if model.zero_inflated else f"{title} {name}"


def is_hurdle(record: FittedModel) -> bool:
    """Whether all zeros come from the component `zi`, the family having none."""
    return record.model.zero_inflated and record.model.family.support not in ("counts", "trials", "nonnegative")


# Families whose variance tells them from their like.
TOLD_VARIANCE = ("nbinom1", "nbinom2", "betabinomial", "genpois", "beta", "gamma")
# Titles of families that begin with a name.
PROPER = ("Poisson", "Bell", "Conway-Maxwell-Poisson", "Student's", "Tweedie", "Gaussian")


def what_was_fitted(record: FittedModel, cite: Citations) -> str:
    """Response, family, link, rows."""
    model, family, design = record.model, record.model.family, record.design
    text = f"We modelled {response_of(record)} with {article(kind_of_model(record))}"
    details = []
    if family.name != "gaussian" or family.link != "identity":
        details.append(f"{family.link.replace('_', ' ')} link")
    if family.name in TOLD_VARIANCE:
        parameter = next((p.name for p in family.parameters if p.component == "disp"), "")
        details.append(
            f"variance {in_letters(family.variance)}, {in_letters(parameter)} being the dispersion parameter"
        )
    if family.ordinal:
        cite("mccullagh1980")
        odds = "proportional odds; " if family.link == "logit" and family.thresholds == "flexible" else ""
        details.append(f"{odds}{family.thresholds} thresholds; McCullagh 1980")
    if is_hurdle(record):
        details.append(cite("mullahy1986"))
    elif model.zero_inflated and family.name == "poisson":
        details.append(cite("lambert1992"))
    if details:
        text += f" ({'; '.join(details)})"
    written = {term.group: group_in_words(term.group, term.text) for term in record.terms()}
    groups = [levels_in_words(levels, written[group]) for group, levels in record.ngroups.items()]
    text += f", fitted to {counted(design.n, 'observation')}"
    if groups:
        text += f" from {listed(groups)}"
    if design.n_dropped:
        because = listed(list(design.dropped_because)) or "the variables of the model"
        were = "was" if design.n_dropped == 1 else "were"
        text += f"; {counted(design.n_dropped, 'row')} with missing values (in {because}) {were} left out"
    return text


def article(text: str) -> str:
    """A noun with its article."""
    return f"an {text}" if text[:1].lower() in "aeio" else f"a {text}"


def group_in_words(group: str, text: str) -> str:
    """A grouping factor: "cask within batch" where it is written as nested, else combinations."""
    parts = group.split(":")
    if len(parts) == 1:
        return group
    return " within ".join(reversed(parts)) if "/" in text else f"the combinations of {listed(parts)}"


def levels_in_words(count: int, group: str) -> str:
    """The number of levels of a factor: "18 combinations of Worker and Machine"."""
    if group.startswith("the combinations of "):
        return f"{count:,} {group.removeprefix('the ')}"
    return f"{counted(count, 'level')} of {group}"


def response_of(record: FittedModel) -> str:
    """The response, and what kind of number it is."""
    response = record.design.response
    if response.form == "cbind":
        return f"the proportion of {response_in_words(record)} among all trials ({response.name})"
    if response.form == "factor" and not record.model.family.ordinal and response.levels:
        return f"the probability that {response.name} is {response.levels[-1]}"
    if record.model.family.counts_trials and response.form in ("bool", "numeric"):
        return f"the probability of {response.name}"
    if record.model.family.ordinal and response.levels:
        return f"{response.name} ({counted(len(response.levels), 'ordered category', 'ordered categories')})"
    return response.name


def in_letters(formula: str) -> str:
    """A formula in ASCII with its Greek letters and powers."""
    for name, letter in (("mu", "μ"), ("phi", "φ"), ("psi", "ψ"), ("nu", "ν"), ("lambda", "λ")):
        formula = formula.replace(name, letter)
    return formula.replace("^2", "²").replace("^3", "³").replace(" - ", " − ")


def term_in_words(term: Term) -> str:
    """A term as a sentence calls it: factors with a times sign between them."""
    return " × ".join(node.name if isinstance(node, Name) else node.text for node in term.factors)


def fixed_terms(record: FittedModel, component: str) -> list[Term]:
    """Terms of the fixed effects, the intercept left out."""
    terms = record.design.recipe.terms.get(component)
    return [] if terms is None else [term for term in terms.fixed if term.factors]


def terms_in_words(terms: Sequence[Term]) -> str:
    """Main effects by name, then interactions."""
    mains = [term_in_words(term) for term in terms if len(term.factors) == 1]
    products = [term for term in terms if len(term.factors) > 1]
    if len(mains) > 2 * MOST_NAMED:
        mains = [*mains[:MOST_NAMED], f"{len(mains) - MOST_NAMED} other variables"]
    if not products:
        return listed(mains)
    if len(products) == 1 and len(products[0].factors) == len(mains) == 2:
        return listed([*mains, "their interaction"])
    named = [term_in_words(term) for term in products]
    if len(named) > 2 * MOST_NAMED:
        named = [*named[:MOST_NAMED], f"{len(named) - MOST_NAMED} other products"]
    said = f"the {'interaction' if len(products) == 1 else 'interactions'} {listed(named)}"
    return f"{listed(mains)}, and {said}" if mains else said


def smooths_of(record: FittedModel, component: str) -> list[str]:
    """Smooths of a component, once each."""
    table = smooth_table(record)
    basis = dict(zip(table["smooth"], table["basis"], strict=True))
    found: dict[str, str] = {}
    for smooth in record.design.smooths:
        if smooth.component == component:
            by = smooth.smooth.by
            more = f" for each level of {by.text}" if by is not None and smooth.level is not None else ""
            found[smooth.smooth.text] = (
                f"a smooth of {listed(variables_of_smooth(smooth))} ({basis[smooth.label]}){more}"
            )
    return list(found.values())


def fixed_effects(record: FittedModel, component: str) -> str:
    """Fixed effects, smooths and offsets of a component."""
    terms, smooths = fixed_terms(record, component), smooths_of(record, component)
    said = [terms_in_words(terms)] if terms else []
    text = ""
    if said:
        text = f"The fixed effect was {said[0]}" if len(terms) == 1 else f"Fixed effects were {said[0]}"
    elif not smooths:
        text = "The mean had no fixed effects besides the intercept" if component == "cond" else ""
        if record.model.family.ordinal:
            text = "There were no fixed effects besides the thresholds"
    if smooths:
        text = f"{text}, with {listed(smooths)}" if text else f"The mean had {listed(smooths)}"
    recipe = record.design.recipe
    offsets = [node.text for node in recipe.terms[component].offsets] if component in recipe.terms else []
    if component == "cond" and recipe.offset is not None:
        offsets.append(recipe.offset)
    if component == "cond" and recipe.offset_array:
        offsets.append("a given value for each row")
    if offsets:
        text += f"; {listed(offsets)} entered as {'an offset' if len(offsets) == 1 else 'offsets'}"
    coded = {
        name: how for name, how in record.design.contrasts.items() if how not in ("treatment", "polynomial", "poly")
    }
    if component == "cond" and coded:
        text += f"; {listed([f'{name} had {how} contrasts' for name, how in coded.items()])}"
    return text


def random_effects(record: FittedModel, component: str) -> str:
    """Random-effects terms of a component."""
    terms = [term for term in record.terms() if term.component == component and term.smooth is None]
    if not terms:
        return ""
    found: dict[tuple[str, str], list[RandomTerm]] = {}
    for term in terms:
        found.setdefault((term.group, term.text), []).append(term)
    intercepts = [own[0] for own in found.values() if _only_intercept(own)]
    said = []
    if len(intercepts) > 1:
        groups = [group_in_words(term.group, term.text) for term in intercepts]
        crossed = "crossed " if all(_crossed(a, b) for a, b in combinations(intercepts, 2)) else ""
        said.append(f"{crossed}random intercepts for {listed(groups)}")
    for own in found.values():
        if len(intercepts) < 2 or not _only_intercept(own):
            said.append(_random_term(own))
    return f"The model included {listed(said)}" if component == "cond" else listed(said)


def _only_intercept(own: Sequence[RandomTerm]) -> bool:
    simple = own[0].coupling is None and own[0].structure in ("us", "diag", "homdiag")
    return simple and [name for term in own for name in term.names] == ["Intercept"]


def _crossed(a: RandomTerm, b: RandomTerm) -> bool:
    """Whether levels of each factor meet several of the other."""
    pairs = np.unique(np.asarray(a.codes, np.int64) * len(b.levels) + np.asarray(b.codes, np.int64))
    return len(pairs) > max(len(a.levels), len(b.levels))


def _random_term(own: Sequence[RandomTerm]) -> str:
    first = own[0]
    group = group_in_words(first.group, first.text)
    names = [name for term in own for name in term.names]
    if first.coupling is not None or first.structure not in ("us", "diag", "homdiag"):
        title = str(covariances()[first.structure]["title"]).split(":")[0]
        title = title if title.split("-")[0].split(" ")[0] in NAMES else title[:1].lower() + title[1:]
        return f"the random effects {first.text} (covariance: {title})"
    slopes = [name for name in names if name != "Intercept"]
    shown = listed(slopes) if len(slopes) <= MOST_NAMED else f"{len(slopes)} columns"
    if not slopes:
        return f"a random intercept for {group}"
    if "Intercept" not in names:
        return f"{'a random slope' if len(slopes) == 1 else 'random effects'} of {shown} for {group}"
    tie = "correlated" if first.structure == "us" else "uncorrelated"
    if len(slopes) == 1:
        return f"a random intercept and a {tie} random slope of {shown} for {group}"
    return f"a random intercept and {tie} random slopes of {shown} for {group}"


def component(record: FittedModel, name: str) -> str:
    """What a further component depends on, and its link."""
    if name == "disp" and record.model.marginal:
        return ""
    family = record.model.family
    link = next((p.link for p in family.parameters if p.component == name), "logit")
    what = PARTS[name]
    if name == "zi" and is_hurdle(record):
        what = "probability of a zero"
    if name == "disp" and family.name == "gaussian":
        what = "residual standard deviation"
    if record.model.without_residual and name == "disp":
        return "The model had no residual variance"
    terms, smooths = fixed_terms(record, name), smooths_of(record, name)
    said = ([terms_in_words(terms)] if terms else []) + smooths
    random = random_effects(record, name)
    text = f"The {what} ({link} link) "
    text += f"depended on {listed(said)}" if said else "was constant"
    if random:
        text += f", with {random}" if said else f" but for {random}"
    return text


def residuals(record: FittedModel, cite: Citations) -> str:
    """Correlation and variance functions of the residuals."""
    part = record.design.residual
    parts = []
    if part is not None and part.correlation is not None:
        title = {
            "ar1": "a first-order autoregression",
            "car1": "a continuous-time first-order autoregression",
            "cs": "compound symmetry",
            "us": "an unstructured matrix",
            "arma": "an ARMA process",
            "exp": "an exponential spatial correlation",
            "gau": "a Gaussian spatial correlation",
        }
        found = part.correlation
        within = (
            f"within {found.group} ({counted(len(found.levels), 'level')})" if found.group != "1" else "over all rows"
        )
        parts.append(
            f"Residuals were correlated {within} by {title.get(found.structure, found.structure)} ({found.text})"
        )
    asked = record.model.arguments.get("dispersion")
    if record.model.marginal and asked:
        parts.append(
            f"{'and their' if parts else 'The residual'} standard deviation had the log-linear formula {asked}"
        )
    return f"{' '.join(parts)} ({cite('pinheiro2000')})" if parts else ""


def weights(record: FittedModel) -> str:
    """What the weights did."""
    meaning = record.model.weights_meaning
    if meaning is None:
        return ""
    name, _, what = meaning.partition(" (")
    said = {
        "precision": "were precision weights (the residual variance of a row is σ²/w)",
        "numbers": "were numbers of trials",
    }
    found = next((text for word, text in said.items() if what.startswith(word)), "multiplied each row's log-likelihood")
    return f"Weights ({name}) {found}"


def estimation(record: FittedModel, cite: Citations) -> str:
    """The criterion, and how random effects were integrated out."""
    model = record.model
    begin = "Parameters were estimated by "
    if model.assumed.priors:
        begin = "Parameters were estimated as the mode of the posterior density, the prior densities times the "
        what = "restricted likelihood (REML" if model.method == "reml" else "likelihood ("
    else:
        what = "restricted maximum likelihood (REML" if model.method == "reml" else "maximum likelihood ("
    sources = [cite("patterson1971")] if model.method == "reml" else []
    if model.linear:
        if record.ngroups and not model.marginal:
            sources.append(cite("bates2015"))
        return begin + _bracketed(what, sources)
    text = begin + _bracketed(what, sources)
    if not record.design.random or model.family.name == "gaussian":
        return text
    text += ", with the random effects integrated out by "
    if model.quadrature > 1:
        return text + f"adaptive Gauss-Hermite quadrature with {model.quadrature} points ({cite('pinheiro1995')})"
    wood = "; " + cite("wood2017") if record.design.smooths else ""
    text += f"the Laplace approximation ({cite('brooks2017')}{wood})"
    if model.quadrature == 0:
        text += ", fixed effects being taken at their joint mode with the random effects"
    return text


def _bracketed(what: str, sources: Sequence[str]) -> str:
    """Words that end in an open bracket, or in one with a word in it, with sources in the bracket."""
    if what.endswith("("):
        return f"{what}{'; '.join(sources)})" if sources else what.removesuffix(" (")
    return f"{'; '.join([what, *sources])})"


def assumptions(record: FittedModel, cite: Citations) -> str:
    """Priors, held values and equalities."""
    assumed = record.model.assumed
    parts = []
    if assumed.priors:
        said = [f"{a.parameter.name} ~ {a.prior.text}" for a in assumed.priors]
        if len(said) > MOST_NAMED:
            said = [*said[:MOST_NAMED], f"{len(said) - MOST_NAMED} more"]
        parts.append(f"Prior densities were {listed(said)} ({cite('chung2013')})")
    if assumed.held:
        held = listed([f"{p.name} = {value:.4g}" for p, value in assumed.held])
        parts.append(f"{'One parameter was' if len(assumed.held) == 1 else 'Some parameters were'} held fixed: {held}")
    if assumed.tied:
        parts.append("Parameters set equal were " + listed([f"{a.name} and {b.name}" for a, b in assumed.tied]))
    fixed = [f"{name} = {value:g}" for name, value in record.model.family.fixed]
    if fixed:
        parts.append(f"Of the family {listed(fixed)} {'was' if len(fixed) == 1 else 'were'} given, not estimated")
    return ". ".join(parts)


def inference(record: FittedModel, cite: Citations, ddf: str | None = None) -> str:
    """Tests and intervals of fixed effects."""
    try:
        method = denominator(record, "cond", ddf).method
    except ModelError:
        return ""
    if not any(fixed_terms(record, c) for c in record.model.components if c != "threshold"):
        return "Intervals are 95% Wald confidence intervals"
    if method == "satterthwaite":
        by = f"t and F tests with Satterthwaite's degrees of freedom ({cite('satterthwaite1946')})"
    elif method == "kenward-roger":
        by = f"t and F tests with Kenward and Roger's covariance and degrees of freedom ({cite('kenward1997')})"
    elif method == "residual":
        by = "t and F tests with residual degrees of freedom"
    else:
        by = "Wald z and χ² tests"
    text = f"Fixed effects were tested by {by}, terms by type III tests; intervals are 95% Wald confidence intervals"
    if record.ngroups and record.link != "identity":
        text += ", and effects are those at given random effects, not averages over them"
    return text


def explained(record: FittedModel, cite: Citations) -> str:
    """R-squared, where there is one."""
    if not has_r2(record):
        return ""
    slopes = any(name != "Intercept" for t in record.terms() if t.smooth is None for name in t.names)
    how = approximations(record)[0]
    more = {"exact": "", "theoretical": ", with the theoretical variance of the latent variable"}.get(
        how, f", with the {how} approximation of the distribution's variance"
    )
    source = listed([cite.named(key) for key in (["nakagawa2017", "johnson2014"] if slopes else ["nakagawa2017"])])
    return f"Marginal and conditional R² follow {source}{more}"


def has_r2(record: FittedModel) -> bool:
    """Whether shares of variance are defined for the model."""
    if not record.ngroups or not record.converged:
        return False
    try:
        approximations(record)
    except ModelError:
        return False
    return True


def checks(cite: Citations, findings: Sequence[Finding] | None, normalized: bool) -> str:
    """What was checked."""
    if not findings:
        return ""
    names, areas = {finding.check for finding in findings}, {finding.area for finding in findings}
    looked = []
    if "convergence" in areas:
        searched = ["gradient", "curvature"] + (["restarts"] if "restarts" in names else [])
        looked.append(f"convergence ({listed(searched)})")
    if "identifiability" in areas:
        looked.append("identifiability" + (" and collinearity" if "collinearity" in names else ""))
    if "approximation" in areas:
        looked.append("the Laplace approximation")
    if "residuals" in areas:
        kind = "normalized residuals" if normalized else f"quantile residuals ({cite('dunn1996')})"
        looked.append(f"the distribution, spread and outliers of {kind}")
    if "random effects" in areas:
        looked.append("the distribution of the random effects")
    if "influence" in areas:
        looked.append("influential groups")
    text = listed(looked) if len(looked) < 3 else f"{', '.join(looked[:-1])}, and {looked[-1]}"
    return f"We checked {text}; tests were adjusted for their number ({cite('holm1979')})"


def scaled_residuals(cite: Citations, simulations: int) -> str:
    """Residuals by simulation."""
    if not simulations:
        return ""
    return (
        f"We inspected residuals scaled by {simulations:,} simulations of each observation, as DHARMa makes them "
        f"({cite('hartig_dharma')})"
    )


def software(record: FittedModel, cite: Citations) -> str:
    """The package and its version."""
    return (
        f"The model was fitted with ranef {_engine.__version__} ({cite('ranef')}) in Python {platform.python_version()}"
    )

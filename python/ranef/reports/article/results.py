"""The results paragraph: what each term does on a scale that readers know, how groups differ, what was explained.

A term that stands in no other is told by its estimate: a numeric variable by its coefficient (as a ratio of rates or
odds where the link makes it one), a factor by its levels against the first, an interaction of two variables by the
effect of one at the levels of the other. What has more columns than a sentence bears (polynomials, splines, smooths) is
told by the predicted mean at the first and last decile of its variable.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ranef import links
from ranef.checks.finding import Finding
from ranef.covariances import catalogue as covariances
from ranef.errors import ModelError
from ranef.fitting import FittedModel, said
from ranef.formula.parser import Name
from ranef.formula.terms import Term
from ranef.inference.anova import anova
from ranef.inference.coefficients import coefficient_table
from ranef.inference.explained_variance import Decomposition, decompose
from ranef.inference.marginal_means.estimates import MarginalEstimates
from ranef.inference.marginal_means.means import marginal_means
from ranef.inference.marginal_means.slopes import slopes
from ranef.inference.marginal_means.testing import Testing
from ranef.inference.marginal_means.variables import Variables
from ranef.inference.smooths import smooth_table, variables_of_smooth
from ranef.inference.variance_components import VarianceParameter, variance_parameters
from ranef.prediction.effects import effects
from ranef.reports.article.methods import fixed_terms, group_in_words, term_in_words
from ranef.reports.article.phrases import (
    MOST_NAMED,
    capital,
    joint,
    listed,
    sentence,
    short,
    tested,
    with_interval,
)
from ranef.reports.article.scales import Scale, response_in_words, scale_of

# More levels or combinations than this make no sentence, and more fixed effects no tests of terms.
MOST_LEVELS, MOST_COLUMNS = 12, 200
# An interval of a standard deviation whose ends differ by a larger factor says nothing.
MOST_SPREAD = 1e4
# A p-value below this is told as an effect, else as an estimate.
CLEAR = 0.05


@dataclass(frozen=True)
class TermTests:
    """Joint tests of the terms of a component, by their text."""

    columns: dict[str, list[Any]]
    heading: str

    def of(self, text: str) -> str:
        """The test of a term in a sentence; empty where there is none."""
        if text not in self.columns.get("term", []):
            return ""
        k = self.columns["term"].index(text)
        num, den, statistic, p = (self.columns[name][k] for name in ("num_df", "den_df", "statistic", "p_value"))
        return joint(statistic, num, den, p) if num else ""

    def p_of(self, text: str) -> float:
        """Its p-value."""
        terms = self.columns.get("term", [])
        return float(self.columns["p_value"][terms.index(text)]) if text in terms else math.nan


def term_tests(record: FittedModel, component: str, ddf: str | None = None) -> TermTests:
    """Type III tests of the terms; without rows where the component has none, or too many columns."""
    ordinal_part = component == "threshold"
    if ordinal_part or not fixed_terms(record, component) or len(record.kept[component]) > MOST_COLUMNS:
        return TermTests({}, "")
    try:
        return TermTests(*anova(record, 3, ddf if component == "cond" else None, component))
    except ModelError as error:
        return TermTests({}, str(error))


def results_paragraph(
    record: FittedModel,
    findings: Sequence[Finding] | None = None,
    ddf: str | None = None,
    variances: Decomposition | str | None = None,
) -> str:
    """The paragraph.

    Parameters
    ----------
    record : FittedModel
    findings : sequence of Finding, optional
        Of the checks, if any were made.
    ddf : str, optional
        Degrees of freedom, as `denominator` takes them.
    variances : Decomposition or str, optional
        What `variances_of` gave, where it was asked already.
    """
    parts = [unconverged(record)]
    for component in ("cond", "zi", "disp", "shape"):
        if component in record.model.written_components:
            parts += of_component(record, component, ddf)
    variances = variances_of(record) if variances is None else variances
    parts += [*spreads(record), shares(record, variances), verdicts(findings)]
    return " ".join(sentence(capital_of_ours(part)) for part in parts if part)


def capital_of_ours(text: str) -> str:
    """A capital for words of ours; names keep their case."""
    ours = ("the ", "there ", "none ", "of the ", "random ", "for ")
    return capital(text) if text.startswith(ours) else text


def unconverged(record: FittedModel) -> str:
    """That the numbers are no estimates."""
    if record.converged:
        return ""
    return (
        f"The optimiser did not converge, so these numbers must not be published ({said(record.verdict).rstrip('.')})"
    )


# -- fixed effects ----------------------------------------------------------------------------------------------------


def of_component(record: FittedModel, component: str, ddf: str | None) -> list[str]:
    """Sentences about the fixed effects of a component."""
    terms = fixed_terms(record, component)
    scale, tests = scale_of(record, component), term_tests(record, component, ddf)
    found: list[str] = []
    if not terms and component != "cond":
        constant = level_of(record, component)
        found += [constant] if constant else []
    if not terms and component == "cond":
        mean = grand_mean(record, ddf)
        found += [mean] if mean else []
    if len(record.kept[component]) <= MOST_COLUMNS:
        variables = Variables(record) if terms or record.design.smooths else None
        highest = [t for t in terms if not any(t.key < other.key for other in terms)]
        told: set[str] = set()
        for term in highest:
            assert variables is not None
            names = variables.names_in(term.factors)
            key = ":".join(sorted(names))
            text = of_term(record, component, term, names, variables, scale, tests, ddf, key in told)
            told.add(key)
            found += [text] if text else []
    found += smooth_sentences(record, component, ddf)
    return found


def of_term(
    record: FittedModel,
    component: str,
    term: Term,
    names: Sequence[str],
    variables: Variables,
    scale: Scale,
    tests: TermTests,
    ddf: str | None,
    told: bool,
) -> str:
    """What a term does."""
    plain = all(isinstance(node, Name) for node in term.factors)
    factors = [variables[name] for name in names if variables[name].is_factor]
    numbers = [variables[name] for name in names if not variables[name].is_factor]
    test, p = tests.of(term.text), tests.p_of(term.text)
    try:
        if len(names) == 1 and numbers and plain:
            return of_number(record, component, names[0], scale, ddf)
        if len(names) == 1 and factors:
            return of_factor(record, component, names[0], scale, test, p, ddf)
        if len(names) == 2 and len(factors) == 2:
            return of_two_factors(record, component, factors, scale, test, p, ddf)
        if len(names) == 2 and len(factors) == 1 and plain:
            return of_slopes(record, component, numbers[0].name, factors[0], scale, test, p, ddf)
        if len(names) == 1 and numbers and not told and component == "cond":
            ends = at_deciles(record, names[0], ddf)
            if ends:
                return f"{of_whole(scale, term, test, p)}; {ends}" if test else ends
    except ModelError:
        pass
    return of_whole(scale, term, test, p) if test else ""


def of_whole(scale: Scale, term: Term, test: str, p: float) -> str:
    """The joint test of a term."""
    verb = "depended on" if p < CLEAR else "did not clearly depend on"
    return f"{scale.of} {verb} {term_in_words(term)} ({test})"


def of_number(record: FittedModel, component: str, name: str, scale: Scale, ddf: str | None) -> str:
    """A numeric variable with one coefficient."""
    table = coefficient_table(record, component, ddf if component == "cond" else None)
    if name not in table.terms:
        return ""
    k = table.terms.index(name)
    estimate, low, high = table.estimate[k], table.conf_low[k], table.conf_high[k]
    if not math.isfinite(table.std_error[k]):
        return ""
    more = tested(table.statistic[k], table.df[k], table.p_value[k])
    clear = table.p_value[k] < CLEAR
    numbers = np.array([estimate, low, high], float)
    if scale.ratio:
        with np.errstate(over="ignore"):
            numbers = np.exp(numbers)
        if not np.isfinite(numbers).all():
            return ""
    if not clear:
        value, _, behind = with_interval(numbers, more).partition(" (")
        return f"{scale.of} did not clearly depend on {name} ({scale.name} for a unit {value}; {behind}"
    if scale.ratio:
        return f"{scale.of} {scale.be} multiplied by {with_interval(numbers, more)} for each unit of {name}"
    verb = "rose" if estimate > 0 else "fell"
    size = (estimate, low, high) if estimate > 0 else (-estimate, -high, -low)
    return f"{scale.of} {verb} by {with_interval(size, more)} for each unit of {name}"


def contrasts_in_words(found: MarginalEstimates, labels: Sequence[str], scale: Scale) -> list[tuple[str, str]]:
    """Each contrast that can be estimated: its label, and its estimate with interval and test."""
    table = found.table()
    told = []
    for k, label in enumerate(labels):
        numbers = [float(table[name][k]) for name in (found.shown_as, "conf_low", "conf_high")]
        if not all(map(math.isfinite, numbers)):
            continue
        if scale.ratio:
            with np.errstate(over="ignore"):
                numbers = np.exp(numbers).tolist()
        more = tested(float(table["statistic"][k]), float(table["df"][k]), float(table["p_value"][k]))
        told.append((label, with_interval(numbers, more)))
    return told


def against_first(means: MarginalEstimates, by: Sequence[str] | None = None) -> MarginalEstimates:
    """Each level minus the first, without adjustment."""
    return means.contrasts("trt.vs.ctrl", "none", by)


def testing(component: str, ddf: str | None) -> Testing:
    """Degrees of freedom of a component."""
    return Testing(ddf if component == "cond" else None, None, None)


def of_factor(
    record: FittedModel, component: str, name: str, scale: Scale, test: str, p: float, ddf: str | None
) -> str:
    """A factor without interactions."""
    means = marginal_means(record, [name], component=component, testing=testing(component, ddf))
    levels = [str(level) for level in means.shown(name)]
    if len(levels) > MOST_LEVELS:
        verb = "differed between" if p < CLEAR else "did not clearly differ between"
        return f"{scale.of} {verb} the {len(levels)} levels of {name}" + (f" ({test})" if test else "")
    found = against_first(means)
    if len(levels) == 2:
        return two_levels(found, 0, scale, name, levels)
    said = listed([f"{numbers} for {level}" for level, numbers in contrasts_in_words(found, levels[1:], scale)])
    verb = "differed between" if p < CLEAR else "did not clearly differ between"
    plural = f"{scale.name}s" if scale.ratio else "differences"
    begin = f"{scale.of} {verb} levels of {name}" + (f" ({test})" if test else "")
    return f"{begin}; {plural} against {levels[0]} were {said}"


def two_levels(found: MarginalEstimates, place: int, scale: Scale, name: str, levels: Sequence[str]) -> str:
    """The second level of a factor against the first."""
    table = found.table()
    estimate, low, high = (float(table[key][place]) for key in (found.shown_as, "conf_low", "conf_high"))
    if not math.isfinite(estimate):
        return ""
    more = tested(*(float(table[key][place]) for key in ("statistic", "df", "p_value")))
    numbers = np.array([estimate, low, high])
    if scale.ratio:
        with np.errstate(over="ignore"):
            numbers = np.exp(numbers)
    value, _, behind = with_interval(numbers, more).partition(" (")
    if not float(table["p_value"][place]) < CLEAR:
        between = f"{name} {levels[1]} and {levels[0]}"
        return f"{scale.of} did not clearly differ between {between} ({scale.name} {value}; {behind}"
    if scale.ratio:
        return (
            f"{scale.of} with {name} {levels[1]} {scale.be} {value} times {scale.those} with {levels[0]} "
            f"({scale.name}; {behind}"
        )
    size = (estimate, low, high) if estimate > 0 else (-estimate, -high, -low)
    way = "higher" if estimate > 0 else "lower"
    value, _, behind = with_interval(size, more).partition(" (")
    return f"{scale.of} {scale.be} {value} {way} with {name} {levels[1]} than with {levels[0]} ({behind}"


def interaction(first: str, second: str, test: str, p: float) -> str:
    """Whether two variables interact."""
    behind = f" ({test})" if test else ""
    if not p < CLEAR:
        return f"there was no clear interaction of {first} and {second}{behind}"
    return f"the effect of {first} depended on {second}{behind}"


def of_two_factors(
    record: FittedModel,
    component: str,
    factors: Sequence[Any],
    scale: Scale,
    test: str,
    p: float,
    ddf: str | None,
) -> str:
    """The effect of the first factor at each level of the second; where they do not interact, averages as well."""
    first, second = sorted(factors, key=lambda f: len(f.levels)) if len(factors[0].levels) > 2 else factors
    begin = interaction(first.name, second.name, test, p)
    if len(first.levels) > 2 and (len(first.levels) - 1) * len(second.levels) > MOST_NAMED:
        return begin if test else ""
    if len(second.levels) > 2 * MOST_NAMED:
        return begin if test else ""
    how = testing(component, ddf)
    means = marginal_means(record, [first.name], [second.name], component=component, testing=how)
    found = against_first(means)
    at = [f"{second.name} {level}" for level in found.shown(second.name)]
    levels = [str(level) for level in first.levels]
    what = f"{scale.name}s" if scale.ratio else "differences"
    if len(levels) > 2:
        labels = [f"{label} at {place}" for label, place in zip(found.columns["contrast"], at, strict=True)]
        said = listed([f"{numbers} for {label}" for label, numbers in contrasts_in_words(found, labels, scale)])
        return f"{begin}; {what} of {scale.of} were {said}"
    said = listed([f"{numbers} at {place}" for place, numbers in contrasts_in_words(found, at, scale)])
    text = f"{begin}; {what} of {scale.of}, {first.name} {levels[1]} against {levels[0]}, were {said}"
    if p < CLEAR:
        return text
    for own, other in ((first, second), (second, first)):
        if len(own.levels) == 2:
            mean = against_first(marginal_means(record, [own.name], component=component, testing=how))
            known = [str(level) for level in own.levels]
            told = two_levels(mean, 0, scale, own.name, known)
            text += f". Averaged over {other.name}, {told}" if told else ""
    return text


def of_slopes(
    record: FittedModel, component: str, number: str, factor: Any, scale: Scale, test: str, p: float, ddf: str | None
) -> str:
    """The slope of a variable at each level of a factor."""
    begin = interaction(number, factor.name, test, p)
    if len(factor.levels) > MOST_NAMED or component not in ("cond", "zi"):
        return begin if test else ""
    kind = "link" if component == "cond" else "zlink"
    found = slopes(record, number, [factor.name], kind=kind, testing=testing(component, ddf))
    at = [f"{factor.name} {level}" for level in found.shown(factor.name)]
    said = listed([f"{numbers} at {place}" for place, numbers in contrasts_in_words(found, at, scale)])
    what = (
        f"{scale.name}s of {scale.of} for a unit of {number}" if scale.ratio else f"slopes of {scale.of} along {number}"
    )
    return f"{begin}; {what} were {said}"


def at_deciles(record: FittedModel, name: str, ddf: str | None) -> str:
    """The predicted mean at the first and last decile of a variable."""
    if record.model.family.ordinal:
        return ""
    data = np.asarray(Variables(record)[name].data, float)
    low, high = (float(f"{v:.3g}") for v in np.quantile(data, [0.1, 0.9]))
    if not high > low:
        return ""
    table = effects(record, f"{name} [{low!r}, {high!r}]", testing=Testing(ddf, None, None)).columns
    said = [
        f"{with_interval(table[c][k] for c in ('estimate', 'conf_low', 'conf_high'))} at {name} = {short(v)}"
        for k, v in enumerate((low, high))
    ]
    what = "probability" if record.model.family.counts_trials else "mean"
    return f"the predicted {what} of {response_in_words(record)} was {listed(said)}"


def smooth_sentences(record: FittedModel, component: str, ddf: str | None) -> list[str]:
    """How much smooths bend, and where they lead."""
    table = smooth_table(record)
    edf = {s: e for c, s, e in zip(table["component"], table["smooth"], table["edf"], strict=True) if c == component}
    found = []
    for smooth in record.design.smooths:
        if smooth.component != component:
            continue
        names = variables_of_smooth(smooth)
        text = f"the smooth {smooth.label} had {edf[smooth.label]:.1f} effective degrees of freedom"
        if edf[smooth.label] < 1.05 and len(names) == 1:
            text += ", a straight line"
        if component == "cond" and len(names) == 1 and smooth.smooth.by is None:
            try:
                ends = at_deciles(record, names[0], ddf)
            except ModelError:
                ends = ""
            text += f"; {ends}" if ends else ""
        found.append(text)
    return found


def grand_mean(record: FittedModel, ddf: str | None) -> str:
    """The intercept of a model without fixed effects, on the scale of the response."""
    if record.model.family.ordinal or record.design.smooths or "Intercept" not in record.names("cond"):
        return ""
    table = coefficient_table(record, "cond", ddf)
    k = table.terms.index("Intercept")
    if record.link not in links.NAMES:
        return ""
    ends = [table.estimate[k], table.conf_low[k], table.conf_high[k]]
    with np.errstate(all="ignore"):
        value, *interval = links.inverse(record.link, np.array(ends)).tolist()
    group = " and ".join(record.ngroups)
    typical = f" for a typical level of {group}" if record.ngroups and record.link != "identity" else ""
    what = "the probability of" if record.model.family.counts_trials else "the mean of"
    return f"{what} {response_in_words(record)}{typical} was estimated as {with_interval((value, *sorted(interval)))}"


def level_of(record: FittedModel, component: str) -> str:
    """The constant of a component: the probability of an excess zero."""
    if component != "zi" or "Intercept" not in record.names(component):
        return ""
    table = coefficient_table(record, component)
    values = links.inverse("logit", np.array([table.estimate[0], table.conf_low[0], table.conf_high[0]])).tolist()
    what = scale_of(record, "zi").of.replace("the odds of ", "")
    return f"the probability of {what} was {with_interval(values)}"


# -- random effects, shares of variance, checks -----------------------------------------------------------------------


def spreads(record: FittedModel) -> list[str]:
    """Standard deviations and correlations of the random effects with their intervals."""
    parameters = variance_parameters(record)
    smooth = {term.group for term in record.terms() if term.smooth is not None}
    shown = [p for p in parameters if p.group not in smooth and p.group != "Residual" and p.kind != "residual"]
    written = {term.group: group_in_words(term.group, term.text) for term in record.terms()}
    found = []
    for component, group in dict.fromkeys((p.component, p.group) for p in shown):
        own = [p for p in shown if (p.component, p.group) == (component, group)]
        if len(own) <= MOST_NAMED:
            found.append(of_group(record, component, written.get(group, group), own))
    residual = [p for p in parameters if p.group == "Residual" and p.kind == "sd"]
    if residual:
        where = " where the other terms of its formula are zero" if fixed_terms(record, "disp") else ""
        found.append(f"the residual standard deviation was {_told(residual[0])}{where}")
    correlation = [p for p in parameters if p.kind == "residual" and p.component == "cond"]
    part = record.model.correlation
    if part is not None and correlation and len(correlation) <= MOST_NAMED:
        said = listed([f"{p.term.split('__')[0]} = {_told(p)}" for p in correlation])
        found.append(f"the correlation of the residuals ({part.text}) had {said}")
    if record.singular:
        found.append(
            "the fit was singular: a variance of the random effects was estimated as zero, or a correlation as one"
        )
    return found


def of_group(record: FittedModel, component: str, group: str, own: Sequence[VarianceParameter]) -> str:
    """Standard deviations and correlations of the effects of one grouping factor."""
    link = record.link if component == "cond" else scale_link(record, component)
    unit = "" if link == "identity" else f" on the {link.replace('_', ' ')} scale"
    part = {"cond": "", "zi": " in the zero inflation", "disp": " in the dispersion", "shape": " in the shape"}[
        component
    ]
    sds, others = [p for p in own if p.kind == "sd"], [p for p in own if p.kind != "sd"]
    many = group.removeprefix("the ") if group.startswith("the combinations") else f"levels of {group}"
    names = [p.term.removeprefix("sd__") for p in sds]
    if names == ["Intercept"]:
        text = f"the standard deviation among {many}{part} was {_told(sds[0])}{unit}"
    elif len(sds) == 1 and names[0] in covariances():
        text = f"the standard deviation of the {names[0]} effects of {group}{part} was {_told(sds[0])}{unit}"
    elif sds:
        of = listed(["the intercept" if name == "Intercept" else f"the effect of {name}" for name in names])
        verb = "was" if len(sds) == 1 else "were"
        plural = "" if len(sds) == 1 else "s"
        text = (
            f"the standard deviation{plural} of {of} among {many}{part} {verb} {listed([_told(p) for p in sds])}{unit}"
        )
    else:
        text = f"for {group}{part}"
    if others:
        told = [f"{p.term.replace('__', ' ')} = {_told(p)}" for p in others]
        if len(others) == 1 and others[0].kind == "cor":
            told = [f"a correlation of {_told(others[0])}"]
        text += f", with {listed(told)}"
    return text


def scale_link(record: FittedModel, component: str) -> str:
    """The link of a further component."""
    return next((p.link for p in record.model.family.parameters if p.component == component), "logit")


def _told(p: VarianceParameter) -> str:
    if p.kind == "sd" and p.estimate < 1e-6 and not math.isfinite(p.conf_high):
        return "estimated as zero"
    if p.kind == "sd" and p.conf_high > MOST_SPREAD * max(p.conf_low, 1e-300):
        return f"{short(p.estimate)} (with no useful interval)"
    return with_interval((p.estimate, p.conf_low, p.conf_high))


def variances_of(record: FittedModel) -> Decomposition | str:
    """The sources of variance, or why there are none to tell."""
    if not record.ngroups:
        return "R² and the intraclass correlation are for models with random effects of groups."
    if not record.converged:
        return "R² and the intraclass correlation are not told: the fit did not converge."
    try:
        found = decompose(record)[0]
    except ModelError as error:
        return str(error)
    if not (math.isfinite(found.total) and found.total > 0.0):
        return "R² is not defined: there is no variance to explain."
    return found


def shares(record: FittedModel, found: Decomposition | str) -> str:
    """R-squared."""
    if isinstance(found, str):
        return ""
    if not fixed_terms(record, "cond") and not record.design.smooths:
        if record.singular:
            return ""
        share = f"{found.conditional:.0%} of the variance (conditional R² = {found.conditional:.2f})"
        return f"random effects accounted for {share}"
    return (
        f"the fixed effects explained {found.marginal:.0%} of the variance, and fixed and random effects together "
        f"{found.conditional:.0%} (marginal R² = {found.marginal:.2f}, conditional R² = {found.conditional:.2f})"
    )


def verdicts(findings: Sequence[Finding] | None) -> str:
    """What the checks found."""
    if findings is None:
        return ""
    problems = list(dict.fromkeys(f.check for f in findings if f.verdict == "problem"))
    looks = list(dict.fromkeys(f.check for f in findings if f.verdict == "look"))
    if not problems and not looks:
        return "none of the checks of the model found anything"
    parts = []
    if problems:
        parts.append(f"{_number(len(problems))} found a problem ({listed(problems)})")
    if looks:
        parts.append(f"{_number(len(looks))} {'was' if len(looks) == 1 else 'were'} worth a look ({listed(looks)})")
    return f"of the checks of the model, {listed(parts)}"


def _number(count: int) -> str:
    words = ("none", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
    return words[count] if count < len(words) else str(count)

"""The tables of the page: data and design, estimates, random effects, tests, shares of variance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations

import numpy as np

from ranef.fitting import FittedModel
from ranef.formula.design import RandomTerm
from ranef.inference.coefficients import coefficient_table
from ranef.inference.explained_variance import Decomposition
from ranef.inference.marginal_means.variables import Variables
from ranef.inference.smooths import smooth_table
from ranef.inference.variance_components import variance_parameters
from ranef.reports.article.phrases import capital, counted, degrees, listed, short, signed
from ranef.reports.article.results import term_tests
from ranef.reports.article.scales import scale_of
from ranef.reports.check import probability
from ranef.reports.numbers import column, decimals_for, fixed
from ranef.reports.summary import LONGEST_TABLE, TITLES, Section, sizes, unprinted

# Levels that are named with their counts, and characters of a name before it is cut.
MOST_LEVELS, LONGEST_NAME = 8, 60


def cut(text: str, most: int = LONGEST_NAME) -> str:
    """A text that is not too long for a table."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def named_levels(levels: Sequence[str], counts: Sequence[int]) -> str:
    """Levels with their numbers of rows."""
    said = [f"{cut(str(level))} ({count:,})" for level, count in zip(levels, counts, strict=True)]
    if len(said) > MOST_LEVELS:
        said = [*said[: MOST_LEVELS - 1], f"and {len(said) - MOST_LEVELS + 1:,} more"]
    return ", ".join(said)


def numbers_in_words(values: np.ndarray) -> str:
    """Mean, standard deviation and range of a variable."""
    values = np.asarray(values, float)
    spread = f" (sd {short(float(values.std(ddof=1)))})" if len(values) > 1 else ""
    return f"mean {short(float(values.mean()))}{spread}, {short(float(values.min()))} to {short(float(values.max()))}"


# -- data and design --------------------------------------------------------------------------------------------------


def rows(record: FittedModel) -> list[tuple[str, str]]:
    """How many rows there were, and why some were left out."""
    design = record.design
    found = [("Rows used", f"{design.n:,}")]
    if design.n_dropped:
        because = listed([f"{name} ({count:,})" for name, count in design.dropped_because.items()])
        found.insert(0, ("Rows given", f"{design.n + design.n_dropped:,}"))
        found.insert(
            1, ("Rows dropped", f"{design.n_dropped:,}, missing values" + (f" in {because}" if because else ""))
        )
    else:
        found.append(("Rows dropped", "none"))
    return found


def groups(record: FittedModel) -> Section:
    """Grouping factors, their levels and the rows of each."""
    terms: dict[str, RandomTerm] = {}
    for term in record.terms():
        if term.smooth is None and term.coupling is None:
            terms.setdefault(term.group, term)
    lines, sizes = [], {}
    for group, term in terms.items():
        count = np.bincount(np.asarray(term.codes, np.int64), minlength=len(term.levels))
        sizes[group] = count
        middle = float(np.median(count))
        lines.append((group, f"{len(term.levels):,}", f"{count.min():,}", f"{middle:,g}", f"{count.max():,}"))
    for term in record.terms():
        if term.coupling is not None and term.group not in terms:
            lines.append((term.group, f"{len(term.levels):,}", "", "", ""))
            terms[term.group] = term
    part = record.model.correlation
    if part is not None and part.group not in terms and part.group != "1":
        count = np.bincount(np.asarray(part.codes, np.int64), minlength=len(part.levels))
        middle = float(np.median(count))
        lines.append((part.group, f"{len(part.levels):,}", f"{count.min():,}", f"{middle:,g}", f"{count.max():,}"))
    notes = [relation(a, b) for a, b in combinations(terms.values(), 2) if a.coupling is None and b.coupling is None]
    header = ("Factor", "Levels", "Fewest rows", "Median", "Most rows")
    return Section("Groups and their sizes", header=header, rows=tuple(lines), notes=tuple(notes) if lines else ())


def relation(a: RandomTerm, b: RandomTerm) -> str:
    """Whether one factor is nested in the other, or they are crossed."""
    pairs = np.unique(np.asarray(a.codes, np.int64) * len(b.levels) + np.asarray(b.codes, np.int64))
    if len(pairs) == len(b.levels):
        return f"{b.group} is nested in {a.group}."
    if len(pairs) == len(a.levels):
        return f"{a.group} is nested in {b.group}."
    share = len(pairs) / (len(a.levels) * len(b.levels))
    return f"{a.group} and {b.group} are crossed: {share:.0%} of their combinations have data."


def variables(record: FittedModel) -> Section:
    """Every variable of the model: its part in it, its range or levels."""
    design, found = record.design, Variables(record)
    lines = [(design.response.name, "response", response_in_numbers(record))]
    roles: dict[str, list[str]] = {}
    for part, names in found.fixed.items():
        word = {"cond": "fixed effect", "zi": "zero inflation", "disp": "dispersion", "shape": "shape"}.get(part, part)
        for name in names:
            roles.setdefault(name, []).append("smooth" if name in found.smooth[part] else word)
    for names, role in ((found.offset, "offset"), (found.multiplied, "random slope")):
        for name in names:
            roles.setdefault(name, []).append(role)
    for names in found.groups:
        for name in names:
            roles.setdefault(name, []).append("grouping")
    for name, variable in found.items():
        if variable.levels is None:
            said = numbers_in_words(variable.data)
        else:
            levels = list(variable.levels)
            values, counts = np.unique(np.array([str(v) for v in variable.data.tolist()], object), return_counts=True)
            by = dict(zip(values.tolist(), counts.tolist(), strict=True))
            said = f"{counted(len(levels), 'level')}: "
            said += named_levels([_label(v) for v in levels], [by.get(str(v), 0) for v in levels])
        lines.append((name, ", ".join(dict.fromkeys(roles.get(name, ["other"]))), said))
    if design.weights_name:
        lines.append(
            (design.weights_name, "weights", numbers_in_words(np.asarray(design.weights, float)))
            if design.weights is not None
            else (design.weights_name, "weights", "")
        )
    header = ("Variable", "Part in the model", "Values")
    return Section("Variables", header=header, rows=tuple(lines), left=3)


def _label(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def response_in_numbers(record: FittedModel) -> str:
    """The response: its categories, successes, or mean and range."""
    response, family = record.design.response, record.model.family
    y = np.asarray(response.y, float)
    if family.ordinal and response.levels:
        counts = [int((y == k + 1).sum()) for k in range(len(response.levels))]
        return f"{len(response.levels)} ordered categories: {named_levels(response.levels, counts)}"
    if response.trials is not None:
        trials = float(np.sum(response.trials))
        return f"{short(float(y.sum()), 6)} successes in {short(trials, 6)} trials ({y.sum() / trials:.1%})"
    if response.form == "factor" and response.levels:
        return named_levels(response.levels, [int((y == k).sum()) for k in range(len(response.levels))])
    said = numbers_in_words(y)
    if family.support in ("counts", "nonnegative", "closed_unit", "trials"):
        said += f"; {(y == 0).mean():.0%} zeros"
    return said


# -- estimates --------------------------------------------------------------------------------------------------------


def fixed_effects(record: FittedModel, component: str, ddf: str | None = None, level: float = 0.95) -> Section:
    """Fixed effects of a component with intervals, tests, and their ratios where the scale has them."""
    table = coefficient_table(record, component, ddf if component == "cond" else None, level)
    title = TITLES[component] if component != "cond" or len(record.model.written_components) > 1 else "Fixed effects"
    if not table.terms:
        return Section()
    scale = scale_of(record, component) if component != "threshold" else None
    t = bool(np.isfinite(table.df).any())
    places = decimals_for([*table.estimate, *table.std_error])
    hidden = {j for js in unprinted(record, component) for j in js}
    held = record.held(component)
    ratios = scale is not None and scale.ratio and table.terms != ("Intercept",)
    percent = f"{level * 100:g} % interval"
    lines = []
    for j, name in enumerate(table.terms):
        if j in hidden:
            continue
        known = not held[j] and math.isfinite(table.std_error[j])
        ends = (float(table.conf_low[j]), float(table.conf_high[j]))
        cells = [fixed(float(table.estimate[j]), places), fixed(float(table.std_error[j]), places) if known else ""]
        cells[1] = "held" if held[j] else cells[1]
        cells += [] if ratios else [_to(*(fixed(end, places) for end in ends)) if known else ""]
        tests = [*([degrees(float(table.df[j]))] if t else []), fixed(float(table.statistic[j]), 2)]
        tests += [probability(float(table.p_value[j]))] if component != "threshold" else []
        cells += tests if known else [""] * len(tests)
        if ratios:
            with np.errstate(over="ignore"):
                value, low, high = (_ratio(float(np.exp(v))) for v in (table.estimate[j], *ends))
            cells += ["", ""] if name == "Intercept" else [value, _to(low, high) if known else ""]
        lines.append((name, *map(signed, cells)))
    header: tuple[str, ...] = ("Term", "Estimate", "SE", *(() if ratios else (percent,)))
    header += ("df", "t") if t else ("z",)
    header += ("p",) if component != "threshold" else ()
    header += (capital(scale.name), percent) if scale is not None and ratios else ()
    notes = [f"Estimates are on the {link_of(record, component)} scale."]
    if scale is not None and ratios:
        notes[0] += f" The {scale.name} is exp(estimate), what multiplies {scale.of}."
        notes[0] += " The intercept has none." if "Intercept" in table.terms else ""
    if component == "cond" and record.model.linear:
        notes.append(f"Tests: {table.method}.")
    if hidden:
        notes.append(f"{len(hidden):,} more coefficients are in tidy(); a table shows up to {LONGEST_TABLE}.")
    if component in record.aliased:
        names = listed([cut(n) for n in record.aliased[component][:MOST_LEVELS]])
        notes.append(f"Left out, being linear combinations of the others: {names}.")
    return Section(title, header=header, rows=tuple(lines), notes=tuple(notes))


def _ratio(value: float) -> str:
    return f"{value:.3f}" if 0.01 <= value < 10.0 else short(value)


def _to(low: str, high: str) -> str:
    return f"{low} to {high}"


def link_of(record: FittedModel, component: str) -> str:
    """The link of a component in words."""
    if component == "cond":
        return "response's" if record.link == "identity" else record.link.replace("_", " ")
    if component == "threshold":
        return "latent"
    return next((p.link for p in record.model.family.parameters if p.component == component), "logit")


def constants(record: FittedModel) -> list[tuple[str, str]]:
    """Parameters of the family without a formula."""
    return [(name, value) for line in sizes(record).lines[1:] for name, _, value in [line.rpartition(": ")]]


def criteria(record: FittedModel) -> list[tuple[str, str]]:
    """Likelihood and information criteria."""
    found = [
        ("restricted log-likelihood" if record.method == "reml" else "log-likelihood", fixed(record.loglik, 2)),
        ("parameters", str(record.npar)),
        ("AIC", fixed(record.aic, 1)),
        ("BIC", fixed(record.bic, 1)),
    ]
    if record.model.assumed.priors:
        found.append(("log prior density", fixed(record.log_prior, 2)))
    return [(name, signed(value)) for name, value in found]


def random_effects(record: FittedModel) -> Section:
    """Standard deviations, correlations and further parameters with intervals."""
    parameters = variance_parameters(record)
    if not parameters:
        return Section()
    many = len(parameters) > LONGEST_TABLE
    shown = parameters[:LONGEST_TABLE] if many else parameters
    lines = []
    for p in shown:
        kind, _, of = p.term.partition("__")
        what = {"sd": "standard deviation", "cor": "correlation"}.get(kind, kind)
        of = "" if p.group == "Residual" and of == "Observation" else of
        where = "" if p.component == "cond" else f" ({p.component})"
        places = decimals_for([v for v in (p.estimate, p.std_error) if math.isfinite(v)], 3)
        ends = [fixed(v, places) if math.isfinite(v) else "" for v in (p.std_error, p.conf_low, p.conf_high)]
        value = "0" if p.estimate == 0.0 else fixed(p.estimate, places)
        interval = _to(ends[1], ends[2]) if ends[1] and ends[2] else ""
        lines.append((f"{p.group}{where}", of, what, *map(signed, (value, ends[0], interval))))
    header = ("Group", "Effect", "Parameter", "Estimate", "SE", "95 % interval")
    unit = (
        "the response"
        if record.link == "identity" and record.model.linear
        else f"the link ({record.link.replace('_', ' ')})"
    )
    notes = [f"On the scale of {unit}; intervals are formed on log(sd) and atanh(correlation)."]
    if many:
        notes.append(f"{len(parameters) - LONGEST_TABLE:,} more are in tidy('random').")
    if record.singular:
        notes.append(
            "An empty interval belongs to a variance of zero or a correlation of one, where there is no curvature."
        )
    return Section("Variance components", header=header, rows=tuple(lines), left=3, notes=tuple(notes))


def smooths(record: FittedModel) -> Section:
    """Smooths and their effective degrees of freedom."""
    table = smooth_table(record)
    lines = tuple(
        (name if c == "cond" else f"{name} ({c})", basis, str(k), f"{edf:.2f}", sd)
        for c, name, basis, k, edf, sd in zip(
            table["component"],
            table["smooth"],
            table["basis"],
            table["k"],
            table["edf"],
            column(table["sd"]),
            strict=True,
        )
    )
    return Section("Smooths", header=("Smooth", "Basis", "k", "edf", "sd"), rows=lines, left=2)


# -- inference --------------------------------------------------------------------------------------------------------


def joint_tests(record: FittedModel, component: str, ddf: str | None = None) -> Section:
    """Joint tests of the terms of a component."""
    found = term_tests(record, component, ddf)
    if not found.columns.get("term"):
        return Section()
    c = found.columns
    f = any(not math.isinf(d) for d in c["den_df"])
    lines = []
    for k, term in enumerate(c["term"]):
        den, statistic, p = (float(c[name][k]) for name in ("den_df", "statistic", "p_value"))
        line = [term, f"{c['num_df'][k]:g}", *([degrees(den)] if f else [])]
        # A term all of whose coefficients are held has nothing to test.
        known = not math.isnan(statistic)
        lines.append((*line, signed(fixed(statistic, 2)) if known else "", probability(p) if known else ""))
    header = ("Term", "df", *(("denominator df", "F") if f else ("χ²",)), "p")
    title = "Tests of the terms" + ("" if component == "cond" else f": {TITLES[component].lower()}")
    return Section(title, header=header, rows=tuple(lines), notes=(f"{found.heading}.",))


def explained(found: Decomposition) -> Section:
    """R-squared, intraclass correlation and where the variance is."""
    lines = [
        ("Marginal R²", "fixed effects", f"{found.marginal:.3f}"),
        ("Conditional R²", "fixed and random effects", f"{found.conditional:.3f}"),
    ]
    rest = found.total - found.fixed
    if rest > 0.0:
        of = "random effects, of the variance that fixed effects leave"
        lines.append(("Adjusted ICC", of, f"{found.all_random / rest:.3f}"))
    for group, variance in found.random.items():
        lines.append(("Share of the variance", group, f"{variance / found.total:.3f}"))
    note = f"Variances on the scale of the link; that of the distribution: {found.approximation}."
    return Section("Variance explained", header=("Quantity", "Of", "Value"), rows=tuple(lines), left=2, notes=(note,))

"""The summary of a fit, laid out as users of lme4 and glmmTMB know it, as text and as HTML.

The text and the HTML are two renderings of the same sections.
"""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import Any

import numpy as np

from ranef import links
from ranef.assumptions import said_of
from ranef.fitting import FittedModel, said
from ranef.inference.coefficients import coefficient_table
from ranef.inference.contrasts import denominator
from ranef.inference.sandwich import clusters_of
from ranef.inference.smooths import smooth_table
from ranef.inference.variance_components import (
    BY_LAG,
    PAIRED,
    correlation,
    coupling_parameters,
    covariances,
    residual_parameters,
)
from ranef.inference.wald import quantile
from ranef.prediction.residuals import standardised_residuals
from ranef.reports.numbers import column, decimals_for, fixed, probability, stars

TITLES = {
    "cond": "Conditional model",
    "zi": "Zero-inflation model",
    "disp": "Dispersion model",
    "shape": "Shape model",
    "threshold": "Threshold coefficients",
}
STAR_CODES = "Signif. codes:  0 '***' 0.001 '**' 0.01 '*' 0.05 '.' 0.1 ' ' 1"

# A matrix of correlations is printed up to this many columns; beyond it nobody reads it, and varcorr() has it.
WIDEST_CORRELATION = 8
# So many coefficients are printed one by one. Beyond it terms with many columns (factors with thousands of levels) show
# their first few, and tidy() has the rest.
LONGEST_TABLE = 100
SHOWN_OF_A_TERM = 5


@dataclass(frozen=True)
class Section:
    """A titled part of a summary: lines, then a table, then notes; any of them may be missing.

    Attributes
    ----------
    title : str
    lines : tuple of str
    header : tuple of str
        Column heads; empty without a table.
    rows : tuple of tuple of str
    left : int
        How many columns, from the first, are flush left (names); the others are numbers.
    notes : tuple of str
    """

    title: str = ""
    lines: tuple[str, ...] = ()
    header: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    left: int = 1
    notes: tuple[str, ...] = ()

    def text(self) -> str:
        """The section as aligned plain text."""
        parts = ([f"{self.title}:"] if self.title else []) + list(self.lines)
        if self.rows:
            cells = [self.header, *self.rows]
            widths = [max(len(row[j]) for row in cells) for j in range(len(self.header))]
            for row in cells:
                shown = [
                    c.ljust(w) if j < self.left else c.rjust(w)
                    for j, (c, w) in enumerate(zip(row, widths, strict=True))
                ]
                parts.append((" " + " ".join(shown)).rstrip())
        return "\n".join(parts + list(self.notes))

    def html(self) -> str:
        """The section as HTML."""
        parts = [f"<h4>{html.escape(self.title)}</h4>"] if self.title else []
        parts += [f"<p>{html.escape(line.strip())}</p>" for line in self.lines]
        if self.rows:
            align = ["left" if j < self.left else "right" for j in range(len(self.header))]
            head = "".join(
                f'<th style="text-align:{a}">{html.escape(c)}</th>' for a, c in zip(align, self.header, strict=True)
            )
            body = "".join(
                "<tr>"
                + "".join(f'<td style="text-align:{a}">{html.escape(c)}</td>' for a, c in zip(align, row, strict=True))
                + "</tr>"
                for row in self.rows
            )
            parts.append(f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>")
        parts += [f"<p>{html.escape(note.strip())}</p>" for note in self.notes]
        return "\n".join(parts)


@dataclass(frozen=True)
class Summary:
    """The summary of a fit: `print` it, or let a notebook show its HTML.

    Attributes
    ----------
    sections : tuple of Section
        Its parts, each with `text()` and `html()`.
    """

    sections: tuple[Section, ...]

    def __str__(self) -> str:
        return "\n\n".join(section.text() for section in self.sections)

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        style = "font-variant-numeric:tabular-nums"
        return (
            f'<div class="ranef-summary" style="{style}">\n' + "\n".join(s.html() for s in self.sections) + "\n</div>"
        )


def summarise(
    record: FittedModel,
    ddf: str | None = None,
    correlations: bool = False,
    vcov: str | None = None,
    cluster: Any = None,
) -> Summary:
    """Build the summary of a fit.

    Parameters
    ----------
    record : FittedModel
    ddf : str, optional
        Degrees of freedom of the tests of the conditional model, as in `coefficient_table`.
    correlations : bool
        Whether the correlations of the fixed effects are shown.
    vcov, cluster : optional
        A cluster-robust covariance of the fixed effects, as in `denominator`.
    """
    written = [c for c in ("cond", "threshold", "zi", "disp", "shape") if c in record.model.written_components]
    sections = [heading(record), criteria(record), residual_quantiles(record)]
    sections += [
        random_effects(record, c)
        for c in record.model.components
        if any(t.component == c and t.smooth is None for t in record.terms())
        or (c == "cond" and record.terms() and record.model.has_residual)
    ]
    sections += [smooth_terms(record), residual_structure(record), sizes(record)]
    sections += [fixed_effects(record, c, ddf if c == "cond" else None, vcov, cluster) for c in written]
    if vcov is not None:
        sections.append(Section(lines=(robust_errors(record, vcov, cluster),)))
    if any(len(section.rows) and section.header[-1] == "" for section in sections):
        sections.append(Section(lines=(STAR_CODES,)))
    if correlations:
        sections.append(fixed_correlations(record, vcov, cluster))
    sections += [priors(record), restrictions(record), outcome(record)]
    return Summary(tuple(section for section in sections if section.lines or section.rows or section.notes))


def heading(record: FittedModel) -> Section:
    """What was fitted, to what, how."""
    model, design = record.model, record.design
    kind = "linear mixed model" if model.linear else "generalized linear mixed model"
    if design.smooths:
        kind = kind.replace("mixed", "additive mixed")
    if not record.ngroups:
        kind = kind.replace(" mixed", "")
    lines = [f"{kind.capitalize()} fit by {model.method_in_words}"]
    lines.append(f" Family: {record.family} ({record.link} link)")
    lines.append(f"Formula: {record.formula}")
    labels = {"zi": "Zero inflation", "disp": "Dispersion", "shape": "Shape"}
    for component, label in labels.items():
        formula = design.component_formulas.get(component)
        if formula and component in model.written_components:
            lines.append(f"{label}: {formula}")
    if model.marginal and model.arguments.get("dispersion"):
        lines = [line for line in lines if not line.startswith("Dispersion:")]
        lines.append(f"Dispersion: {model.arguments['dispersion']} (log of the residual standard deviation)")
    if model.correlation is not None:
        lines.append(f"Correlation: {model.correlation.text} (of the residuals)")
    if model.weights_meaning:
        lines.append(f"Weights: {model.weights_meaning}")
    if design.n_dropped:
        because = ", ".join(f"{name} {count}" for name, count in design.dropped_because.items())
        lines.append(f"Dropped: {design.n_dropped} rows with missing values" + (f" ({because})" if because else ""))
    if model.without_residual:
        lines.append("Residual variance: none (dispersion ~ 0)")
    return Section(lines=tuple(lines))


def criteria(record: FittedModel) -> Section:
    """Information criteria and the likelihood."""
    last = ("REML crit.", record.reml_criterion) if record.method == "reml" else ("-2*log(L)", record.deviance)
    values = (record.aic, record.bic, record.loglik, last[1] if last[1] is not None else float("nan"))
    row = (*(fixed(v, 1) for v in values), str(record.df_residual))
    return Section(header=("AIC", "BIC", "logLik", last[0], "df.resid"), rows=(row,), left=0)


def residual_quantiles(record: FittedModel) -> Section:
    """Five numbers of the residuals over their standard deviation."""
    if record.model.family.ordinal:
        # A difference of category numbers says little about the fit of their probabilities.
        return Section()
    values = standardised_residuals(record)
    values = values[np.isfinite(values)]
    if not len(values):
        return Section()
    row = tuple(fixed(q, 4) for q in np.quantile(values, [0.0, 0.25, 0.5, 0.75, 1.0]))
    return Section("Scaled residuals", header=("Min", "1Q", "Median", "3Q", "Max"), rows=(row,), left=0)


def random_effects(record: FittedModel, component: str) -> Section:
    """Variances, standard deviations and correlations of one component."""
    entries: list[tuple[str, str, float, list[str]]] = []
    notes: list[str] = []
    numbers = record.engine.variance_components()
    couplings = [
        (record.terms()[t], f"{name} {p.estimate:.4g} ({p.conf_low:.4g} to {p.conf_high:.4g})")
        for (t, name, *_), p in zip(
            record.engine.couplings, coupling_parameters(record, float(quantile(0.95))), strict=True
        )
    ]
    for term, sigma, parameters in zip(record.terms(), covariances(record), numbers, strict=True):
        if term.component != component or term.smooth is not None:
            continue
        names, cors = term.names, [correlation(sigma, i, j) for i, j in parameters["cors"]]
        paired = term.structure in PAIRED and 1 < len(names) <= WIDEST_CORRELATION
        if term.coupling is not None:
            own = [shown for place, shown in couplings if place is term]
            notes.append(f"{term.text}: {'; '.join([f'{term.size} places', *own])}")
        elif term.structure not in ("us", "diag"):
            notes.append(f"{term.text}: {term.structure} covariance")
        if term.structure in BY_LAG and cors:
            lags = ", ".join(fixed(cor, 2) for cor in cors[:WIDEST_CORRELATION])
            more = " ..." if len(cors) > WIDEST_CORRELATION else ""
            notes.append(f"  correlations at lags 1, 2, ...: {lags}{more}")
        common = len(parameters["sds"]) < len(names)
        for i in parameters["sds"]:
            shown = [fixed(correlation(sigma, i, j), 2) for j in range(i)] if paired else []
            if term.structure not in (*PAIRED, *BY_LAG) and cors and i == 0:
                shown = [f"{fixed(cors[0], 2)} ({term.structure})"]
            name = f"{names[0]} .. {names[-1]}" if common else names[i]
            entries.append((term.group if i == 0 else "", name, float(sigma[i, i]), shown))
    if component == "cond" and record.model.has_residual:
        entries.append(("Residual", "", record.sigma * record.sigma, []))
    variances, sds = column([e[2] for e in entries]), column([e[2] ** 0.5 for e in entries])
    rows = []
    widest = max((len(entry[3]) for entry in entries), default=0)
    for (group, name, _, shown), variance, sd in zip(entries, variances, sds, strict=True):
        rows.append((group, name, variance, sd, *shown, *[""] * (widest - len(shown))))
    header = ("Groups", "Name", "Variance", "Std.Dev.", *(["Corr"] + [""] * (widest - 1) if widest else []))
    title = "Random effects" if component == "cond" else f"Random effects, {TITLES[component].lower()}"
    return Section(title, header=header, rows=tuple(rows), left=2, notes=tuple(notes))


def smooth_terms(record: FittedModel) -> Section:
    """Effective degrees of freedom and standard deviation of every smooth."""
    table = smooth_table(record)
    shown = [
        name if c == "cond" else f"{name} ({c})" for c, name in zip(table["component"], table["smooth"], strict=True)
    ]
    rows = zip(shown, map(str, table["k"]), (fixed(v, 2) for v in table["edf"]), column(table["sd"]), strict=True)
    return Section("Smooths", header=("", "k", "edf", "Std.Dev."), rows=tuple(rows), left=1)


def residual_structure(record: FittedModel) -> Section:
    """Parameters of the residuals' correlation and variance functions, with 95 % intervals."""
    parameters = residual_parameters(record)
    if not parameters:
        return Section()
    decimals = decimals_for([value for p in parameters for value in (p.estimate, p.std_error)])
    rows = tuple(
        (p.term, *(fixed(value, decimals) for value in (p.estimate, p.std_error, p.conf_low, p.conf_high)))
        for p in parameters
    )
    header = ("", "Estimate", "Std. Error", "2.5 %", "97.5 %")
    return Section("Residual correlation and variance functions", header=header, rows=rows)


def sizes(record: FittedModel) -> Section:
    """Numbers of rows and levels, and the dispersion where it is one number."""
    groups = "; ".join(f"{group}, {levels}" for group, levels in record.ngroups.items())
    lines = [f"Number of obs: {record.nobs}" + (f", groups:  {groups}" if groups else "")]
    family = record.model.family
    for component in family.components:
        if component == "cond" or component in record.model.written_components:
            continue
        if (given := family.fixed_parameter(component)) is not None:
            lines.append(f"{given[0].name} ({given[0].meaning}): {given[1]:.4g}, not estimated")
            continue
        if component == "disp":
            if not record.model.has_residual or not record.terms():
                lines.append(f"Dispersion (sigma) of the {family.name} family: {record.sigma:.4g}")
            continue
        for parameter, value in zip(
            (p for p in family.parameters if p.component == component), record.estimates(component), strict=False
        ):
            known = parameter.link in links.NAMES
            shown = float(links.inverse(parameter.link, value)) if known else float(value)
            lines.append(
                f"{parameter.name} ({parameter.meaning})"
                + ("" if known else f", {parameter.link} scale")
                + f": {shown:.4g}"
            )
    return Section(lines=tuple(lines))


def robust_errors(record: FittedModel, vcov: str, cluster: Any) -> str:
    """What the standard errors of the fixed effects are, where they are not the model's."""
    clusters = clusters_of(record, cluster)
    return f"Standard errors: cluster-robust ({vcov}), {clusters.size} clusters of {clusters.name}"


def fixed_effects(
    record: FittedModel, component: str, ddf: str | None, vcov: str | None = None, cluster: Any = None
) -> Section:
    """The coefficient table of one component."""
    table = coefficient_table(record, component, ddf, vcov=vcov, cluster=cluster)
    alone = record.model.written_components == ("cond",)
    title = "Fixed effects" if alone else TITLES[component]
    notes: tuple[str, ...] = ()
    if component in record.aliased:
        names = record.aliased[component]
        more = f" and {len(names) - LONGEST_TABLE} more" if len(names) > LONGEST_TABLE else ""
        shown = ", ".join(names[:LONGEST_TABLE])
        notes = (f"Left out, being linear combinations of the others: {shown}{more}",)
    if table.terms and component == "cond" and record.model.linear:
        notes = (*notes, f"Tests: {table.method}")
    if not table.terms:
        return Section(title, lines=(" none",) if component == "cond" else (), notes=notes)
    decimals = decimals_for([*table.estimate, *table.std_error])
    t = np.isfinite(table.df).any()
    # What stands behind the standard error: a test, its probability and stars, but for thresholds.
    behind = 1 if component == "threshold" else 3 + int(t)
    held = record.held(component)
    hidden = unprinted(record, component)
    if hidden:
        shown = ", ".join(f"{count:,} of {term}" for term, count in hidden.values())
        notes = (f"Coefficients not printed (all are in tidy() and fixef()): {shown}", *notes)
    left_out = {j for places in hidden for j in places}
    rows = []
    for j, name in enumerate(table.terms):
        if j in left_out:
            continue
        row = [name, fixed(table.estimate[j], decimals), fixed(table.std_error[j], decimals)]
        if held[j]:
            rows.append((name, fixed(table.estimate[j], decimals), "held", *[""] * behind))
            continue
        if t:
            row.append(fixed(table.df[j], 1))
        row.append(fixed(table.statistic[j], 3))
        if component != "threshold":
            row += [probability(table.p_value[j]), stars(table.p_value[j]).ljust(3)]
        rows.append(tuple(row))
    if component == "threshold":
        # That a threshold is zero is no hypothesis: the latent scale has no origin of its own.
        test = ("df", "t value") if t else ("z value",)
        return Section(title, header=("", "Estimate", "Std. Error", *test), rows=tuple(rows), notes=notes)
    tests = ("df", "t value", "Pr(>|t|)") if t else ("z value", "Pr(>|z|)")
    return Section(title, header=("", "Estimate", "Std. Error", *tests, ""), rows=tuple(rows), notes=notes)


def unprinted(record: FittedModel, component: str) -> dict[tuple[int, ...], tuple[str, int]]:
    """Places of the coefficients that a long table leaves out, with the term they belong to and their number."""
    kept = [int(j) for j in record.kept[component]]
    if len(kept) <= LONGEST_TABLE:
        return {}
    place = {j: k for k, j in enumerate(kept)}
    found: dict[tuple[int, ...], tuple[str, int]] = {}
    for term, columns in record.design.fixed[component].term_columns.items():
        rest = tuple(place[j] for j in columns if j in place)[SHOWN_OF_A_TERM:]
        if rest:
            found[rest] = (term, len(rest))
    return found


def fixed_correlations(record: FittedModel, vcov: str | None = None, cluster: Any = None) -> Section:
    """Correlations of the fixed effects of the conditional model, lower triangle."""
    names = record.names("cond")
    if len(names) > LONGEST_TABLE:
        return Section("Correlation of fixed effects", lines=(f" of {len(names):,} coefficients: see vcov()",))
    covariance = denominator(record, "cond", vcov=vcov, cluster=cluster).covariance
    sd = np.sqrt(np.diag(covariance))
    with np.errstate(divide="ignore", invalid="ignore"):
        cor = covariance / np.outer(sd, sd)
    short = [name if len(name) <= 12 else f"{name[:11]}~" for name in names]
    rows = tuple(
        (names[i], *(fixed(cor[i, j], 3) if j < i else "" for j in range(len(names) - 1))) for i in range(1, len(names))
    )
    return Section("Correlation of fixed effects", header=("", *short[:-1]), rows=rows)


def priors(record: FittedModel) -> Section:
    """The prior of every parameter that has one."""
    found = record.model.assumed.priors
    if not found:
        return Section()
    rows = tuple((assumed.parameter.name, assumed.prior.text) for assumed in found)
    note = f"Log prior density {fixed(record.log_prior, 2)}, not part of logLik"
    return Section("Priors", header=("Parameter", "Density"), rows=rows, left=2, notes=(note,))


def restrictions(record: FittedModel) -> Section:
    """Parameters that are not estimated freely."""
    lines = tuple(f" {text}" for text in said_of(record.model))
    return Section("Held or tied" if lines else "", lines=lines)


def outcome(record: FittedModel) -> Section:
    """Whether the optimum can be trusted, and whether it lies on the boundary."""
    verdict, optimum = record.verdict, record.optimum
    effort = f"{optimum.iterations} iterations"
    if record.converged:
        lines = [f"{verdict['message'][:1].upper()}{verdict['message'][1:]} ({effort})"]
    else:
        lines = [f"NOT CONVERGED: {said(verdict)} ({effort})"]
    if record.singular:
        short = [
            f"{term.text} uses {found['rank']} of {found['size']} dimensions"
            for term, found in zip(record.terms(), verdict.get("terms") or [], strict=False)
            if found["rank"] < found["size"] and term.smooth is None
        ]
        detail = f": {'; '.join(short)}" if short else ""
        lines.append(f"Singular fit, a variance is zero or a correlation is one{detail}")
    return Section(lines=tuple(lines))

"""The page: all parts of a report as one HTML file without scripts and without anything from elsewhere.

The template escapes whatever comes from the data; jinja2 is loaded when a page is written.
"""

from __future__ import annotations

import datetime
import platform
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from typing import Any

from ranef import _engine
from ranef.checks.finding import OK, Finding
from ranef.fitting import FittedModel, said
from ranef.reports.article import tables
from ranef.reports.article.figures import Picture
from ranef.reports.article.methods import kind_of_model, methods_paragraph
from ranef.reports.article.phrases import capital
from ranef.reports.article.references import Citations, Reference, bibtex
from ranef.reports.article.rerun import code_of
from ranef.reports.article.results import results_paragraph, variances_of
from ranef.reports.article.scales import response_in_words
from ranef.reports.check import beginning, figure, headline, overall, probability
from ranef.reports.summary import Section, heading, priors, restrictions

# Packages whose versions a rerun may depend on.
PACKAGES = ("numpy", "scipy", "pandas", "polars", "pyarrow", "narwhals", "formulaic", "matplotlib")


@dataclass(frozen=True)
class Checked:
    """What the checks found, and their figures.

    Attributes
    ----------
    findings : sequence of Finding
    refused : mapping of str to str
        Checks that could not be made, with the reason.
    simulations : int
        Of each row, for the scaled residuals; 0 where there are none.
    figures : list of (list of Picture, caption)
    """

    findings: Sequence[Finding]
    refused: dict[str, str]
    simulations: int
    figures: list[tuple[list[Picture], str]] = field(default_factory=list)


@dataclass(frozen=True)
class Asked:
    """What the caller asked of a report."""

    title: str | None
    author: str | None
    seed: int
    ddf: str | None


@dataclass(frozen=True)
class Banner:
    """What is said at the top of a page."""

    verdict: str
    title: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Page:
    """All that the template shows."""

    title: str
    author: str | None
    date: str
    kind: str
    version: str
    banners: list[Banner]
    facts: list[tuple[str, str, str]]
    sections: list[tuple[str, str]]
    rows: list[tuple[str, str]]
    groups: Section
    variables: Section
    model: list[tuple[str, str]]
    equation: str
    priors: Section
    restrictions: list[str]
    fixed: list[Section]
    constants: list[tuple[str, str]]
    criteria: list[tuple[str, str]]
    has_random: bool
    random: Section
    smooths: Section
    random_figures: list[tuple[list[Picture], str]]
    checked: bool
    verdict: str
    headline: str
    beginning: list[str]
    findings: list[tuple[str, list[dict[str, Any]]]]
    refused: list[tuple[str, str]]
    check_figures: list[tuple[list[Picture], str]]
    tests: list[Section]
    explained: Section
    inference_notes: list[str]
    effect_figures: list[tuple[list[Picture], str]]
    effect_notes: list[str]
    methods: str
    results: str
    references: list[Reference]
    bibtex: str
    code: str
    versions: list[tuple[str, str]]


def page_of(
    record: FittedModel,
    asked: Asked,
    checked: Checked | None,
    equation: str,
    random_figures: list[tuple[list[Picture], str]],
    effect_figures: list[tuple[list[Picture], str]],
    effect_notes: list[str],
) -> Page:
    """Put the parts of a page together."""
    cite = Citations()
    simulations = 0 if checked is None else checked.simulations
    findings = None if checked is None else checked.findings
    written = [c for c in ("cond", "threshold", "zi", "disp", "shape") if c in record.model.written_components]
    random, smooths = tables.random_effects(record), tables.smooths(record)
    variances = variances_of(record)
    tests = [found for c in written if (found := tables.joint_tests(record, c, asked.ddf)).rows]
    has_random = bool(random.rows or smooths.rows)
    methods = methods_paragraph(record, cite, findings, simulations, asked.ddf)
    sections = [("data", "Data"), ("model", "Model"), ("estimates", "Estimates")]
    sections += [("random", "Random effects")] if has_random else []
    sections += [("checks", "Checks")] if checked is not None else []
    sections += [("inference", "Inference")]
    sections += [("effects", "Effects")] if effect_figures or effect_notes else []
    sections += [("article", "Methods and results"), ("rerun", "Run it again")]
    return Page(
        title=asked.title or f"Analysis of {response_in_words(record)}",
        author=asked.author,
        date=f"{datetime.date.today():%-d %B %Y}",
        kind=capital(kind_of_model(record)),
        version=_engine.__version__,
        banners=banners(record),
        facts=facts(record, checked),
        sections=sections,
        rows=tables.rows(record),
        groups=tables.groups(record),
        variables=tables.variables(record),
        model=model_lines(record),
        equation=equation,
        priors=priors(record),
        restrictions=[line.strip() for line in restrictions(record).lines],
        fixed=[section for c in written if (section := tables.fixed_effects(record, c, asked.ddf)).rows],
        constants=tables.constants(record),
        criteria=tables.criteria(record),
        has_random=has_random,
        random=random,
        smooths=smooths,
        random_figures=random_figures,
        checked=checked is not None,
        verdict="" if findings is None else overall(findings),
        headline="" if findings is None else capital(headline(findings)),
        beginning=[] if findings is None else beginning(findings),
        findings=[] if findings is None else by_area(findings),
        refused=[] if checked is None else [(name, why.rstrip(".")) for name, why in checked.refused.items()],
        check_figures=[] if checked is None else checked.figures,
        tests=tests,
        explained=Section() if isinstance(variances, str) else tables.explained(variances),
        inference_notes=[variances] if isinstance(variances, str) else [],
        effect_figures=effect_figures,
        effect_notes=effect_notes,
        methods=methods,
        results=results_paragraph(record, findings, asked.ddf, variances),
        references=cite.references,
        bibtex=bibtex(cite.references),
        code=code_of(record, asked.seed),
        versions=versions(asked.seed),
    )


def banners(record: FittedModel) -> list[Banner]:
    """That a fit did not converge, or is singular."""
    found = []
    if not record.converged:
        text = f"Its numbers are not estimates and must not be published. {capital(said(record.verdict))}"
        found.append(Banner("problem", "This fit did not converge.", text))
    if record.singular:
        text = (
            "A variance of the random effects was estimated as zero, or a correlation as one. The estimates stand, but "
            "the data do not support all of the random effects."
        )
        found.append(Banner("look", "This fit is singular.", text))
    return found


def facts(record: FittedModel, checked: Checked | None) -> list[tuple[str, str, str]]:
    """The figures at the top."""
    found = [("Observations", f"{record.nobs:,}", "")]
    found += [(f"Levels of {tables.cut(group, 30)}", f"{n:,}", "") for group, n in list(record.ngroups.items())[:3]]
    found.append(("Family", f"{record.family}, {record.link.replace('_', ' ')} link", ""))
    found.append(("AIC", f"{record.aic:,.1f}", ""))
    if checked is not None:
        found.append(("Checks", overall(checked.findings), overall(checked.findings)))
    return found


def model_lines(record: FittedModel) -> list[tuple[str, str]]:
    """The model in words and formulas."""
    found = []
    for line in heading(record).lines:
        name, _, value = line.strip().partition(": ")
        if value and name not in ("Dropped",):
            found.append((name, value))
    return [("Model", capital(kind_of_model(record))), ("Criterion", record.model.method_in_words), *found]


def by_area(findings: Sequence[Finding]) -> list[tuple[str, list[dict[str, Any]]]]:
    """Findings under the heads of their areas."""
    areas: dict[str, list[dict[str, Any]]] = {}
    for f in findings:
        advice = coded(f.advice) if f.verdict != OK and f.advice else []
        row = {
            "verdict": f.verdict,
            "check": f.check,
            "figure": figure(f.statistic),
            "p": probability(f.p_value),
            "found": f.detail,
            "advice": advice,
        }
        areas.setdefault(f.area.capitalize(), []).append(row)
    return list(areas.items())


def coded(text: str) -> list[dict[str, Any]]:
    """Text in pieces, those between backquotes as code."""
    return [{"text": part, "code": bool(k % 2)} for k, part in enumerate(text.split("`")) if part]


def versions(seed: int) -> list[tuple[str, str]]:
    """The seed, and the versions of all that was involved."""
    found = [("Seed", str(seed)), ("ranef", _engine.__version__), ("Python", platform.python_version())]
    for name in PACKAGES:
        try:
            found.append((name, version(name)))
        except PackageNotFoundError:
            continue
    return [*found, ("System", f"{platform.system()} {platform.machine()}")]


@cache
def _template() -> Any:
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup, escape

    def breakable(text: str) -> Markup:
        # Where a long name may go on in the next line: behind what joins its parts.
        parts = re.split(r"(?<=[:\[(._|])(?=\w)", text)
        return Markup("<wbr>").join(escape(part) for part in parts)

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["breakable"] = breakable
    return environment.from_string((files(__package__) / "page.html").read_text(encoding="utf-8"))


def html_of(page: Page) -> str:
    """The page as HTML."""
    style = (files(__package__) / "page.css").read_text(encoding="utf-8")
    shown = {f.name: getattr(page, f.name) for f in fields(page)}
    return str(_template().render(page=shown, style=style)).lstrip()

"""The table of checks as printed and as HTML: a line each, and below it what to do where something is not ok."""

from __future__ import annotations

import html
import math
import textwrap
from collections.abc import Mapping, Sequence

from ranef.checks.finding import OK, PROBLEM, VERDICTS, Finding

MARKS = {"ok": "ok", "look": "LOOK", "problem": "PROBLEM"}
# Okabe & Ito's colours, darkened to be read on white; the word says the same.
COLOURS = {"ok": "#4d4d4d", "look": "#8a5a00", "problem": "#a83c00"}
WIDTH = 100
# No figure of a check means anything below this size.
NEGLIGIBLE = 1e-6


def overall(findings: Sequence[Finding]) -> str:
    """The worst verdict."""
    return max((finding.verdict for finding in findings), key=VERDICTS.index, default=OK)


def headline(findings: Sequence[Finding]) -> str:
    """The overall verdict in a sentence."""
    worst = overall(findings)
    count = {verdict: sum(f.verdict == verdict for f in findings) for verdict in VERDICTS}
    if worst == OK:
        return f"ok: none of {len(findings)} checks found anything"
    parts = [f"{count[PROBLEM]} problem{'s' if count[PROBLEM] != 1 else ''}"] if count[PROBLEM] else []
    parts += [f"{count['look']} worth a look"] if count["look"] else []
    return f"{worst}: {' and '.join(parts)}, {count[OK]} of {len(findings)} checks are ok"


# What shows in others too: the first of these that is found is where to begin.
CAUSES = (
    "convergence",
    "curvature",
    "separation",
    "restarts",
    "conditional modes",
    "grouping by",
    "autocorrelation",
    "Laplace",
    "dispersion",
    "zeros",
    "spread between",
    "spread along",
    "distribution",
)


def beginning(findings: Sequence[Finding]) -> list[str]:
    """Where to begin, if there are several problems: one cause has many traces."""
    problems = [finding.check for finding in findings if finding.verdict == PROBLEM]
    first = next((name for cause in CAUSES for name in problems if name.startswith(cause)), None)
    if first is None or len(problems) < 2:
        return []
    return [f"Begin with {first}, and check the new fit again: the others may be traces of the same cause."]


def figure(value: float) -> str:
    """A figure in a column: three digits; what is left by rounding is zero."""
    if not math.isfinite(value):
        return "" if math.isnan(value) else "inf"
    if abs(value) < NEGLIGIBLE:
        return "0"
    return f"{value:.0f}" if value == round(value) and abs(value) < 1e5 else f"{value:.3g}"


def probability(value: float) -> str:
    """A p-value in a column."""
    return "" if math.isnan(value) else "<0.0001" if value < 1e-4 else f"{value:.4f}"


def check_text(findings: Sequence[Finding], refused: Mapping[str, str]) -> str:
    """The table as aligned text."""
    lines = [headline(findings), *beginning(findings)]
    widest = max((len(f.check) for f in findings), default=0)
    area = ""
    for finding in findings:
        if finding.area != area:
            area = finding.area
            lines += ["", f"{area.capitalize():{widest + 9}}   figure        p"]
        row = f"{MARKS[finding.verdict]:7} {finding.check:{widest}}  {figure(finding.statistic):>8}  "
        lines.append((row + f"{probability(finding.p_value):>7}").rstrip())
        if finding.verdict != OK:
            lines += textwrap.wrap(
                f"{finding.detail}. {finding.advice}",
                WIDTH,
                initial_indent=" " * 8,
                subsequent_indent=" " * 8,
                break_long_words=False,
                break_on_hyphens=False,
            )
    if refused:
        lines += ["", *(f"not checked: {name} ({reason.rstrip('.')})" for name, reason in refused.items())]
    lines += ["", ".table has every figure with its meaning, .plot() shows the residuals"]
    return "\n".join(lines)


def check_html(findings: Sequence[Finding], refused: Mapping[str, str]) -> str:
    """The table as HTML."""
    rows, area = [], ""
    for finding in findings:
        if finding.area != area:
            area = finding.area
            rows.append(f'<tr><th colspan="5" style="text-align:left">{html.escape(area.capitalize())}</th></tr>')
        said = f"{finding.detail}. {finding.advice}" if finding.verdict != OK else finding.detail
        cells = [
            f'<td style="color:{COLOURS[finding.verdict]};font-weight:bold">{finding.verdict}</td>',
            f'<td style="text-align:left">{html.escape(finding.check)}</td>',
            f'<td title="{html.escape(finding.measure)}">{figure(finding.statistic)}</td>',
            f"<td>{html.escape(probability(finding.p_value))}</td>",
            f'<td style="text-align:left">{coded(said)}</td>',
        ]
        rows.append("<tr>" + "".join(cells) + "</tr>")
    head = "".join(f"<th>{name}</th>" for name in ("verdict", "check", "figure", "p", "what was found"))
    notes = "".join(f"<p>not checked: {html.escape(n)} ({html.escape(r)})</p>" for n, r in refused.items())
    begin = html.escape(" ".join(beginning(findings)))
    return (
        f'<div class="ranef-check"><p><b>{html.escape(headline(findings))}</b> {begin}</p>'
        f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>{notes}</div>"
    )


def coded(text: str) -> str:
    """Text with what stands between backquotes as code."""
    parts = html.escape(text).split("`")
    return "".join(f"<code>{part}</code>" if j % 2 else part for j, part in enumerate(parts))

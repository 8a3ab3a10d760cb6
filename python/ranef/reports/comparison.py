"""Compared models as printed and as HTML: what each model is, then a row a model."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ranef.reports.numbers import decimals_for, fixed, probability
from ranef.reports.summary import Section, Summary

HEADS = {
    "npar": "npar",
    "loglik": "logLik",
    "aic": "AIC",
    "aicc": "AICc",
    "bic": "BIC",
    "weight": "weight",
    "against": "against",
    "chi_square": "Chi-sq",
    "df": "df",
    "p_value": "p",
    "p_value_boundary": "p (boundary)",
}


def comparison_report(columns: Mapping[str, Sequence[Any]], test: str | None, notes: Sequence[str]) -> Summary:
    """The table of `rf.compare`."""
    models, formulas = list(columns["model"]), list(columns["formula"])
    # Models without names of their own are called by their formulas, and numbered in the table.
    numbered = models == formulas
    names = [str(k + 1) for k in range(len(models))] if numbered else models
    width = max(map(len, names))
    lines = tuple(f"{name.ljust(width)}  {formula}" for name, formula in zip(names, formulas, strict=True))
    shown = ["npar", "loglik", "aic", "aicc", "bic", "weight"]
    if test is not None:
        shown += ["against", "chi_square", "df", "p_value"]
        if any(not math.isnan(p) for p in columns["p_value_boundary"]):
            shown.append("p_value_boundary")
    called = dict(zip(models, names, strict=True))
    cells = [[_cell(name, columns[name][k], called) for name in shown] for k in range(len(models))]
    rows = tuple((name, *row) for name, row in zip(names, cells, strict=True))
    said = [f"{name}: {note}" for name, note in zip(names, columns["note"], strict=True) if note]
    if "p_value_boundary" in shown:
        said.append("p (boundary): mixture of chi-squares with df - 1 and df degrees of freedom, half and half")
    return Summary(
        (
            Section(title="Models", lines=lines),
            Section(header=("", *(HEADS[name] for name in shown)), rows=rows, notes=(*said, *notes)),
        )
    )


def _cell(name: str, value: Any, called: Mapping[str, str]) -> str:
    if name == "against":
        return called.get(value, "")
    value = float(value)
    if math.isnan(value):
        return ""
    if name in ("npar", "df"):
        return f"{value:g}"
    if name.startswith("p_value"):
        return probability(value)
    if name == "weight":
        return f"{value:.3f}"
    if name == "chi_square":
        return fixed(value, min(4, decimals_for([value])))
    return fixed(value, 2)

"""The code that fits a model again, from what its caller asked for."""

from __future__ import annotations

from typing import Any

from ranef.families import Family
from ranef.fitting import Control, FittedModel
from ranef.prior import Prior

# What a call says only where it is not this.
DEFAULTS: dict[str, Any] = {"quadrature": 1, "missing": "drop", "reml": None}
# A longer list is told as an array.
LONGEST = 20


def code_of(record: FittedModel, seed: int) -> str:
    """Python code that fits the model to its data and writes the report again."""
    model = record.model
    function = "lmm" if model.linear else "glmm"
    lines, before = [], []
    for name, value in model.arguments.items():
        if name == "formula" or value is None or (name in DEFAULTS and value == DEFAULTS[name]):
            continue
        if model.linear and name == "reml" and value:
            continue
        if not value and isinstance(value, dict | list | tuple):
            continue
        text, said = _written(name, value)
        lines.append(f"    {name}={text},")
        before += said
    given = Control()
    settings = [
        f"{name}={getattr(record.control, name)!r}"
        for name in ("optimizer", "max_iter", "gradient_tol")
        if getattr(record.control, name) != getattr(given, name)
    ]
    if settings:
        lines.append(f"    control=rf.Control({', '.join(settings)}),")
    rows = f"{record.nobs + record.n_dropped:,} rows with {', '.join(record.design.variables)}"
    return "\n".join(
        [
            "import ranef as rf",
            "",
            f"data = ...  # {' '.join(rows.split())}",
            *before,
            f"fit = rf.{function}(",
            f"    {_quoted(record.formula)},",
            "    data,",
            *lines,
            ")",
            f'fit.report("report.html", seed={seed})',
        ]
    )


def _written(name: str, value: Any) -> tuple[str, list[str]]:
    """An argument as code, and lines that must stand before the call."""
    if isinstance(value, Family):
        if value.engine is not None:
            return "family", [f"family = ...  # the custom family {value.name}, made by rf.families.custom"]
        return f"rf.families.{value!r}", []
    if isinstance(value, str):
        return _quoted(value), []
    if isinstance(value, bool | int | float):
        return repr(value), []
    if isinstance(value, dict):
        if name == "matrices":
            names = list(value)
            return f"{{{', '.join(f'{n!r}: {_safe(n)}' for n in names)}}}", [
                f"{_safe(n)} = ...  # the known matrix" for n in names
            ]
        return "{" + ", ".join(f"{key!r}: {_value(entry)}" for key, entry in value.items()) + "}", []
    if isinstance(value, list | tuple) and len(value) <= LONGEST:
        return repr(list(value)), []
    return name, [f"{name} = ...  # the array that was given"]


def _quoted(text: str) -> str:
    """A text between double quotes, unless it holds some."""
    return repr(text) if '"' in text or not text.isprintable() or "\\" in text else f'"{text}"'


def _safe(name: str) -> str:
    return name if name.isidentifier() else "matrix"


def _value(entry: Any) -> str:
    return f"rf.prior.{entry.text}" if isinstance(entry, Prior) else repr(entry)

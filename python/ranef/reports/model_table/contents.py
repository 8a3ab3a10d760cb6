"""From fits to the contents of a table: rows aligned over models, and notes that say what they are.

Rows are the union of the models' parameters. A parameter that only a later model has stands behind the one that
precedes it there.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from ranef.errors import ModelError, did_you_mean
from ranef.fitting import FittedModel
from ranef.inference.coefficients import coefficient_table
from ranef.inference.explained_variance import icc_of, r2_of
from ranef.inference.variance_components import variance_parameters
from ranef.inference.wald import quantile
from ranef.reports.model_table.table import TableContents, TableRow, TableSection
from ranef.reports.numbers import fixed
from ranef.reports.summary import TITLES, robust_errors

#: What may stand beside an estimate.
SHOWN = {"se": "SE", "ci": "CI", "statistic": "statistic", "p": "p"}
LAYOUTS = ("below", "columns")
RANDOM = (True, False, "full")
STARS = {"*": 0.05, "**": 0.01, "***": 0.001}
STATISTICS = ("nobs", "groups", "dispersion", "loglik", "aic", "bic", "r2")
# Links whose inverse is an exponential, and what a coefficient of the mean is then.
_RATIOS = {
    "logit": "odds ratios",
    "log": "ratios of means",
    "cloglog": "hazard ratios",
}
_COUNTS = ("counts", "positive_counts")

Key = tuple[str, str, str]
K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True)
class TableStyle:
    """How a table is asked for; see `ranef.table`."""

    show: tuple[str, ...] = ("se",)
    layout: str = "below"
    exponentiate: bool = False
    stars: Mapping[str, float] = field(default_factory=dict)
    digits: int = 3
    rename: Mapping[str, str] = field(default_factory=dict)
    random: bool | str = True
    statistics: tuple[str, ...] = STATISTICS
    ddf: str | None = None
    level: float = 0.95
    vcov: str | None = None
    cluster: Any = None
    title: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class TableEntry:
    """A parameter of a model as a table shows it: numbers, NaN where there are none.

    Attributes
    ----------
    effect : {"fixed", "random", "residual"}
    component, group, term : str
        As in `Fit.tidy`; no group for fixed effects.
    label : str
    """

    effect: str
    component: str
    group: str
    term: str
    label: str
    estimate: float
    std_error: float
    statistic: float
    df: float
    p_value: float
    conf_low: float
    conf_high: float
    held: bool = False

    @property
    def key(self) -> Key:
        """What the same parameter of another model has too."""
        return (self.effect, self.component, self.label)


def require_style(style: TableStyle) -> None:
    """Refuse what a table cannot be asked for."""
    for word in style.show:
        if word not in SHOWN:
            raise ModelError(f"table(show={word!r}): give one or several of {_list(SHOWN)}, or None.")
    if style.layout not in LAYOUTS:
        raise ModelError(f"table(layout={style.layout!r}): give 'below' or 'columns'.")
    if style.random not in RANDOM:
        raise ModelError(
            f"table(random={style.random!r}): give True (estimates), 'full' (with their uncertainty) or False."
        )
    if isinstance(style.digits, bool) or not isinstance(style.digits, int) or not 0 <= style.digits <= 10:
        raise ModelError(f"table(digits={style.digits!r}): give a whole number of decimals from 0 to 10.")
    known = [*_STATISTICS, "groups", "r2", "icc"]
    for word in style.statistics:
        if word not in known:
            raise ModelError(
                f"table(statistics={word!r}): {did_you_mean(str(word), known)} All are {', '.join(known)}."
            )
    quantile(style.level)


def contents(records: Mapping[str, FittedModel], style: TableStyle) -> TableContents:
    """The table of some fits.

    Parameters
    ----------
    records : mapping of str to FittedModel
        By the names of their columns.
    style : TableStyle
    """
    require_style(style)
    entries = {name: entries_of(record, style) for name, record in records.items()}
    require_renamed(records, entries, style)
    for name, found in entries.items():
        _require_distinct(name, found)
    names = tuple(records)
    heads = _heads(style)
    sections = [
        TableSection(title, tuple(_rows(keys, [_by_key(entries[name]) for name in names], style)))
        for title, keys in _parts(records, entries)
    ]
    statistics = _statistics(records, style)
    if statistics:
        sections.append(TableSection("Fit", tuple(statistics)))
    notes = tuple(_notes(records, entries, style))
    return TableContents(names, heads, tuple(s for s in sections if s.rows), notes, style.title)


def entries_of(record: FittedModel, style: TableStyle) -> list[TableEntry]:
    """The parameters of a model: fixed effects by component, then standard deviations and correlations."""
    found: list[TableEntry] = []
    for component in record.model.written_components:
        ddf = style.ddf if component == "cond" else None
        table = coefficient_table(record, component, ddf, style.level, style.vcov, style.cluster)
        ratio = style.exponentiate and _exponential(record, component)
        held = record.held(component)
        # That a threshold is zero is no hypothesis: the latent scale has no origin of its own.
        tested = component != "threshold"
        for j, term in enumerate(table.terms):
            values = [float(column[j]) for column in (table.estimate, table.std_error, table.conf_low, table.conf_high)]
            if ratio:
                with np.errstate(over="ignore"):  # of a coefficient that runs to infinity
                    estimate, low, high = (float(np.exp(values[j])) for j in (0, 2, 3))
                values = [estimate, estimate * values[1], low, high]
            found.append(
                TableEntry(
                    "fixed",
                    component,
                    "",
                    term,
                    renamed(term, style),
                    values[0],
                    values[1],
                    float(table.statistic[j]),
                    float(table.df[j]),
                    float(table.p_value[j]) if tested else float("nan"),
                    values[2],
                    values[3],
                    bool(held[j]),
                )
            )
    nan = float("nan")
    for p in variance_parameters(record, style.level) if style.random else ():
        plain = random_label(p.group, p.term, TableStyle())
        label = style.rename.get(plain) or renamed(random_label(p.group, p.term, style), style)
        effect, component = ("residual", "cond") if p.kind == "residual" else ("random", p.component)
        numbers = (p.estimate, p.std_error, nan, nan, nan, p.conf_low, p.conf_high)
        found.append(TableEntry(effect, component, p.group, p.term, label, *numbers))
    return found


def random_label(group: str, term: str, style: TableStyle) -> str:
    """``sd__Days`` of Subject as a reader sees it: ``SD (Days | Subject)``."""
    word, _, of = term.partition("__")
    kind = {"sd": "SD", "cor": "Cor"}.get(word, word)
    if (group, term) == ("Residual", "sd__Observation"):
        return "SD (residual)"
    if of == group:
        # A smooth's variance belongs to no other group.
        return f"{kind} ({renamed(group, style)})"
    columns = ", ".join(renamed(part, style) for part in (_pair(of) if kind == "Cor" else [of]))
    where = renamed(group, style)
    return f"{kind} ({columns} | {where})" if group != "Residual" else f"{kind} ({columns})"


def renamed(text: str, style: TableStyle) -> str:
    """A name as the caller wants it."""
    return str(style.rename.get(text, text))


def require_renamed(
    records: Mapping[str, FittedModel], entries: Mapping[str, list[TableEntry]], style: TableStyle
) -> None:
    """Refuse a new name for what no model has."""
    plain = TableStyle(random=True)
    known = {entry.term for found in entries.values() for entry in found if entry.effect == "fixed"}
    for record in records.values():
        for term in record.terms():
            known |= {term.group, *(() if term.smooth else term.names)}
        for p in variance_parameters(record, style.level):
            known.add(random_label(p.group, p.term, style))
            known.add(random_label(p.group, p.term, plain))
    known |= {label for label, _ in _statistic_rows(records, style)}
    for name in style.rename:
        if name not in known:
            raise ModelError(
                f"table(rename={{{name!r}: ...}}): no model has that; {did_you_mean(str(name), sorted(known))}"
            )


def merged(lists: Iterable[Sequence[K]]) -> list[K]:
    """The union of some lists, each in its order as far as they agree.

    Examples
    --------
    >>> "".join(merged(["ac", "abc", "ad"]))
    'abcd'
    """
    found: list[K] = []
    for keys in lists:
        at, own = 0, set(keys)
        for key in keys:
            if key in found:
                at = max(at, found.index(key) + 1)
                continue
            # Behind what only others have, so that theirs stay together.
            while at < len(found) and found[at] not in own:
                at += 1
            found.insert(at, key)
            at += 1
    return found


# -- parts of the table ------------------------------------------------------------------------------------------------


def _parts(records: Mapping[str, FittedModel], entries: Mapping[str, list[TableEntry]]) -> list[tuple[str, list[Key]]]:
    """Titles and the parameters below them."""
    alone = all(record.model.written_components == ("cond",) for record in records.values())
    parts = []
    for effect in ("fixed", "random", "residual"):
        for component in ("cond", "threshold", "zi", "disp", "shape"):
            keys = merged(
                [e.key for e in found if e.effect == effect and e.component == component] for found in entries.values()
            )
            if not keys:
                continue
            if effect == "fixed":
                title = "Fixed effects" if alone else TITLES[component]
            elif effect == "residual":
                title = "Residuals"
            else:
                title = "Random effects" if component == "cond" else f"Random effects, {TITLES[component].lower()}"
            parts.append((title, keys))
    return parts


def _by_key(entries: list[TableEntry]) -> dict[Key, TableEntry]:
    return {entry.key: entry for entry in entries}


def _require_distinct(name: str, entries: list[TableEntry]) -> None:
    seen: dict[Key, TableEntry] = {}
    for entry in entries:
        if entry.key in seen:
            raise ModelError(
                f"table(rename=...): in model {name} both {seen[entry.key].term!r} and {entry.term!r} would be called "
                f"{entry.label!r}; give each a name of its own."
            )
        seen[entry.key] = entry


def _heads(style: TableStyle) -> tuple[str, ...]:
    if style.layout == "below" or not style.show:
        return ("",)
    names = SHOWN | {"ci": f"{_percent(style.level)} CI"}
    return ("Estimate", *(names[word] for word in style.show))


def _rows(keys: list[Key], models: list[dict[Key, TableEntry]], style: TableStyle) -> Iterable[TableRow]:
    for key in keys:
        shown = [_cells(model.get(key), style) for model in models]
        label = key[2]
        if style.layout == "columns":
            yield TableRow(label, tuple(cell for cells in shown for cell in cells))
            continue
        for k, line in enumerate(zip(*shown, strict=True)):
            if k == 0 or any(line):
                yield TableRow(label if k == 0 else "", line)


def _cells(entry: TableEntry | None, style: TableStyle) -> list[str]:
    """The estimate of a parameter, and what is shown beside it."""
    if entry is None:
        return [""] * (1 + len(style.show))
    cells = [_number(entry.estimate, style) + _stars(entry.p_value, style)]
    quiet = entry.effect != "fixed" and style.random != "full"
    for word in style.show:
        cells.append("" if quiet else _beside(word, entry, style))
    if entry.held and style.show:
        cells[1] = "(held)" if style.layout == "below" else "held"
    return cells


def _beside(word: str, entry: TableEntry, style: TableStyle) -> str:
    below = style.layout == "below"
    if word == "ci":
        low, high = entry.conf_low, entry.conf_high
        return "" if math.isnan(low) else f"[{_number(low, style)}, {_number(high, style)}]"
    value = {"se": entry.std_error, "statistic": entry.statistic, "p": entry.p_value}[word]
    if math.isnan(value):
        return ""
    if word == "p":
        text = _probability(value)
        return (f"p < {text[1:]}" if text.startswith("<") else f"p = {text}") if below else text
    if word == "statistic":
        name = "z" if math.isinf(entry.df) else "t"
        return (
            f"{name} = {fixed(value, min(style.digits, 2))}".replace("-", "−")
            if below
            else fixed(value, min(style.digits, 2)).replace("-", "−")
        )
    return f"({_number(value, style)})" if below else _number(value, style)


def _number(value: float, style: TableStyle) -> str:
    return "" if math.isnan(value) else fixed(value, style.digits).replace("-", "−").replace("e−", "e-")


def _probability(p: float) -> str:
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def _stars(p: float, style: TableStyle) -> str:
    marks = [mark for mark, bound in style.stars.items() if p < bound]
    return min(marks, key=lambda mark: style.stars[mark], default="")


def _pair(of: str) -> list[str]:
    """The columns of a correlation: a dot parts them, which names may have too."""
    parts = of.split(".")
    return parts if len(parts) == 2 else [of]


# -- statistics --------------------------------------------------------------------------------------------------------


def _dispersion(record: FittedModel) -> float | None:
    """The family's dispersion where it is one number, and no row of the random effects."""
    model = record.model
    hidden = "disp" in model.family.components and "disp" not in model.written_components
    return record.sigma if hidden and not model.has_residual and not model.without_residual else None


# Statistics that are one number: label, decimals, value.
_STATISTICS: dict[str, tuple[str, int, Callable[[FittedModel], float | None]]] = {
    "nobs": ("Observations", 0, lambda record: record.nobs),
    "npar": ("Parameters", 0, lambda record: record.npar),
    "dispersion": ("Dispersion (sigma)", 3, _dispersion),
    "sigma": ("Sigma", 3, lambda record: record.sigma),
    "loglik": ("Log-likelihood", 1, lambda record: record.loglik),
    "deviance": ("Deviance", 1, lambda record: record.deviance),
    "aic": ("AIC", 1, lambda record: record.aic),
    "aicc": ("AICc", 1, lambda record: record.aicc),
    "bic": ("BIC", 1, lambda record: record.bic),
}
_SHARES: dict[str, tuple[Callable[[FittedModel], dict[str, float]], tuple[tuple[str, str], ...]]] = {
    "r2": (r2_of, (("marginal", "R² (marginal)"), ("conditional", "R² (conditional)"))),
    "icc": (icc_of, (("adjusted", "ICC (adjusted)"), ("unadjusted", "ICC (unadjusted)"))),
}


def statistic(record: FittedModel, name: str) -> dict[str, float]:
    """A statistic of a fit by the labels of its rows; none where it is not defined."""
    if name == "groups":
        return {f"Levels of {group}": float(levels) for group, levels in record.ngroups.items() if group != "1"}
    if name in _SHARES:
        function, labels = _SHARES[name]
        if not record.converged:
            return {}
        try:
            found = function(record)
        except ModelError:
            return {}
        return {label: found[key] for key, label in labels}
    label, _, function_of = _STATISTICS[name]
    value = function_of(record)
    return {} if value is None or math.isnan(value) else {label: float(value)}


def _statistic_rows(records: Mapping[str, FittedModel], style: TableStyle) -> list[tuple[str, list[str]]]:
    rows = []
    for name in style.statistics:
        found = [statistic(record, name) for record in records.values()]
        decimals = 0 if name == "groups" else (style.digits if name in _SHARES else _STATISTICS[name][1])
        decimals = min(decimals, max(style.digits, 1))
        for label in dict.fromkeys(label for values in found for label in values):
            cells = [f"{v[label]:.{decimals}f}".replace("-", "−") if label in v else "" for v in found]
            rows.append((label, cells))
    return rows


def _statistics(records: Mapping[str, FittedModel], style: TableStyle) -> list[TableRow]:
    empty = [""] * (len(_heads(style)) - 1)
    rows = []
    for label, cells in _statistic_rows(records, style):
        group = re.fullmatch(r"Levels of (.*)", label)
        shown = f"Levels of {renamed(group[1], style)}" if group else label
        rows.append(TableRow(renamed(shown, style), tuple(part for cell in cells for part in (cell, *empty))))
    return rows


# -- notes -------------------------------------------------------------------------------------------------------------


def _notes(
    records: Mapping[str, FittedModel], entries: Mapping[str, list[TableEntry]], style: TableStyle
) -> Iterable[str]:
    """What the numbers are and where they come from."""
    several = len(records) > 1
    for text, names in _told({name: _described(record) for name, record in records.items()}).items():
        yield f"{', '.join(names)}: {text}" if several and len(names) < len(records) else text[:1].upper() + text[1:]
    if style.layout == "below":
        what = {
            "se": "standard errors in parentheses",
            "ci": f"{_percent(style.level)} confidence intervals in brackets",
            "statistic": "test statistics and p-values" if "p" in style.show else "test statistics",
            "p": "p-values",
        }
        shown = [what[word] for word in style.show if not (word == "p" and "statistic" in style.show)]
        if shown:
            yield _sentence(", ".join(shown) + " below the estimates" if style.show != ("se",) else shown[0])
    if style.exponentiate:
        yield from _told_of(
            {name: _ratios(record) for name, record in records.items()}, "Fixed effects exponentiated: "
        )
    if style.vcov is not None:
        yield from _told_of({n: robust_errors(r, style.vcov, style.cluster) for n, r in records.items()}, "")
    if style.stars or any(word != "se" for word in style.show):
        yield from _told_of(
            {name: _method(record, style) for name, record in records.items()},
            "Tests and intervals: " if "ci" in style.show else "Tests: ",
        )
    if style.stars:
        yield ", ".join(f"{mark} p < {bound:g}" for mark, bound in style.stars.items())
    for name, record in records.items():
        before = f"{name}: " if several else ""
        if not record.converged:
            yield f"{before}not converged; the numbers cannot be trusted ({record.verdict['message']})"
        elif record.singular:
            yield f"{before}singular fit, a variance is zero or a correlation is one"
    if any(entry.held for found in entries.values() for entry in found):
        yield "(held): given, not estimated"
    yield from style.notes


def _described(record: FittedModel) -> str:
    """A model in a few words: kind, response, link, criterion."""
    model, design = record.model, record.design
    kind = ("additive " if design.smooths else "") + ("mixed " if record.ngroups else "") + "model"
    response = f"of {design.response.name}"
    if model.linear:
        return f"linear {kind} {response}, {model.method_in_words}"
    return f"{model.family.title} {kind} {response} ({model.family.link} link), {model.method_in_words}"


def _method(record: FittedModel, style: TableStyle) -> str:
    return coefficient_table(record, "cond", style.ddf, style.level, style.vcov, style.cluster).method


def _exponential(record: FittedModel, component: str) -> bool:
    """Whether coefficients of a component are logarithms of ratios, so that they may be exponentiated."""
    if component == "cond":
        link = record.link
        if link not in _RATIOS:
            raise ModelError(
                f"table(exponentiate=True): the mean of `{record.formula}` has the {link} link, under which "
                f"exp(estimate) means nothing; it does under {', '.join(_RATIOS)}."
            )
        return True
    family = record.model.family
    links = {p.component: p.link for p in family.parameters} | {"zi": "logit"}
    return links.get(component) in _RATIOS


def _ratios(record: FittedModel) -> str:
    """What exponentiated coefficients are, by component."""
    family, found = record.model.family, _RATIOS[record.link]
    if record.link == "log" and (family.support in _COUNTS or family.counts_trials):
        found = "risk ratios" if family.counts_trials else "incidence rate ratios"
    for component in record.model.written_components:
        if component != "cond" and _exponential(record, component):
            of = "odds ratios" if component == "zi" else "ratios"
            found += f"; {TITLES[component].lower()}: {of}"
    return found


def _told(texts: Mapping[str, str]) -> dict[str, list[str]]:
    """Models by what is said of them."""
    found: dict[str, list[str]] = {}
    for name, text in texts.items():
        found.setdefault(text, []).append(name)
    return found


def _told_of(texts: Mapping[str, str], before: str) -> Iterable[str]:
    told = _told(texts)
    for text, names in told.items():
        yield before + text if len(told) == 1 else f"{before}{text} ({', '.join(names)})"


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _percent(level: float) -> str:
    return f"{100.0 * level:g} %"


def _list(words: Iterable[str]) -> str:
    return ", ".join(map(repr, words))


def tidy_entries(records: Mapping[str, FittedModel], style: TableStyle) -> dict[str, list[Any]]:
    """Columns of the numbers behind a table: a row for each model and parameter, then each statistic."""
    names = ("model", "effect", "component", "group", "term", "label")
    numbers = ("estimate", "std_error", "statistic", "df", "p_value", "conf_low", "conf_high")
    columns: dict[str, list[Any]] = {name: [] for name in (*names, *numbers)}
    for model, record in records.items():
        for e in entries_of(record, style):
            row = (model, e.effect, e.component, e.group or None, e.term, e.label)
            for name, value in zip(names, row, strict=True):
                columns[name].append(value)
            for number in numbers:
                columns[number].append(getattr(e, number))
        for name in style.statistics:
            for label, found in statistic(record, name).items():
                told: tuple[str | None, ...] = (model, "statistic", None, None, name, label)
                for key, cell in zip(names, told, strict=True):
                    columns[key].append(cell)
                columns["estimate"].append(found)
                for number in numbers[1:]:
                    columns[number].append(float("nan"))
    return columns

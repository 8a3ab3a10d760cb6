"""Marginal means, their contrasts, slopes: estimates with labels, from which tables, tests and contrasts are made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

import numpy as np

from ranef import links
from ranef.errors import ModelError
from ranef.inference.marginal_means.adjustments import FamilyOfTests, adjustment_named, side_named
from ranef.inference.marginal_means.contrast_methods import DEFAULT_ADJUSTMENT, contrasts_of, method_named
from ranef.inference.marginal_means.linear_functions import LinearFunctions
from ranef.inference.marginal_means.specification import listed, names_of
from ranef.inference.marginal_means.variables import Variables
from ranef.inference.wald import p_value, quantile

# Links on which a difference is the logarithm of something with a name.
RATIOS = {"log": "ratio", "logit": "odds_ratio"}


@dataclass(frozen=True, eq=False)
class MarginalEstimates:
    """Estimates on one scale, with the values of the variables they belong to.

    Attributes
    ----------
    functions : LinearFunctions
        On the scale on which they are computed, the link's as a rule.
    columns : dict of str to array
        What each belongs to: values of variables, names of contrasts.
    variables : Variables
    by : tuple of str
        Columns that divide them into families of tests.
    link : str or None
        The link whose inverse `kind` "response" takes; None where they are on the scale of the response already.
    kind : {"link", "response"}
    head : str
        What the estimate is called in tables.
    ratios : bool
        Whether they are differences on the scale of a link, told as ratios for `kind` "response".
    means : int or None
        The number of means that each family has all pairs of.
    adjust : str
    notes : tuple of str
    """

    functions: LinearFunctions
    columns: Mapping[str, np.ndarray]
    variables: Variables
    by: tuple[str, ...] = ()
    link: str | None = None
    kind: str = "link"
    head: str = "emmean"
    ratios: bool = False
    means: int | None = None
    adjust: str = "none"
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.functions)

    @property
    def transformed(self) -> bool:
        """Whether tables show something else than the scale of computation."""
        return self.kind == "response" and self.link is not None and self.link != "identity"

    @property
    def shown_as(self) -> str:
        """The head of the estimates' column."""
        if not self.transformed:
            return self.head
        if self.ratios:
            return RATIOS[str(self.link)]
        return "response" if self.head == "emmean" else self.head

    def families(self, by: Sequence[str] | None = None) -> list[np.ndarray]:
        """Places of the estimates of each family, in order of appearance."""
        keys = list(zip(*(self.columns[name].tolist() for name in (self.by if by is None else by)), strict=True))
        if not keys:
            return [np.arange(len(self))]
        places: dict[Any, list[int]] = {}
        for i, key in enumerate(keys):
            places.setdefault(key, []).append(i)
        return [np.array(found) for found in places.values()]

    def table(
        self,
        level: float = 0.95,
        adjust: str | None = None,
        null: float = 0.0,
        delta: float = 0.0,
        side: str = "two-sided",
    ) -> dict[str, list[Any]]:
        """Columns: labels, estimate, std_error, df, statistic, p_value, conf_low, conf_high.

        Tests and intervals are made on the scale of computation, the link's as a rule; so are `null` and `delta`. With
        `delta` tests are of equivalence (two-sided), non-inferiority ("greater") or non-superiority ("less").
        """
        adjust, side = adjustment_named(adjust, self.adjust), side_named(side)
        if isinstance(delta, bool) or not isinstance(delta, int | float) or not delta >= 0.0:
            raise ModelError(f"delta={delta!r}: give a number that is not negative.")
        quantile(level)
        estimate, se, df = self.functions.estimate, self.functions.std_error, self.functions.df
        away = estimate - self._null(null)
        with np.errstate(divide="ignore", invalid="ignore"):
            if delta == 0.0:
                statistic = away / se
                tail = side
            elif side == "two-sided":
                statistic, tail = (np.abs(away) - delta) / se, "less"
            else:
                statistic, tail = (away + (delta if side == "greater" else -delta)) / se, side
        p = _tail(statistic, df, tail)
        low, high = np.full(len(self), np.nan), np.full(len(self), np.nan)
        for places in self.families():
            places = places[np.isfinite(se[places])]
            if not len(places):
                continue
            alone = adjust == "none" or len(places) < 2
            covariance = np.diag(se[places] ** 2) if alone else self.functions.rows(places).covariance
            family = FamilyOfTests(covariance, df[places], self.means)
            # An equivalence test is one of two one-sided ones: adjusted like them.
            p[places] = family.p_values(statistic[places], p[places], adjust, tail)
            half = family.critical_values(level, adjust, side) * se[places]
            low[places] = estimate[places] - half if side != "less" else -np.inf
            high[places] = estimate[places] + half if side != "greater" else np.inf
        known = self.functions.estimable
        shown, shown_se = np.where(known, estimate, np.nan), se
        if self.transformed:
            assert self.link is not None
            shown_se = np.abs(links.slope(self.link, shown)) * se
            with np.errstate(over="ignore", invalid="ignore"):
                ends = [self._end(end) for end in (low, high)]
                shown = links.inverse(self.link, shown) if not self.ratios else np.exp(shown)
            if self.ratios:
                shown_se = shown * se
            low, high = np.fmin(*ends), np.fmax(*ends)
        return {
            **{name: self.shown(name) for name in self.columns},
            self.shown_as: shown.tolist(),
            "std_error": np.asarray(shown_se).tolist(),
            "df": df.tolist(),
            "statistic": np.where(known, statistic, np.nan).tolist(),
            "p_value": np.where(known, p, np.nan).tolist(),
            "conf_low": low.tolist(),
            "conf_high": high.tolist(),
        }

    def _end(self, end: np.ndarray) -> np.ndarray:
        """An end of an interval on the scale of the table; an end at infinity is the end of the scale."""
        assert self.link is not None
        return np.exp(end) if self.ratios else links.inverse(self.link, end)

    def _null(self, null: float) -> float:
        if isinstance(null, bool) or not isinstance(null, int | float) or not np.isfinite(float(null)):
            raise ModelError(f"null={null!r}: give a finite number.")
        return float(null)

    def shown(self, name: str) -> list[Any]:
        """A column of labels, as tables show it."""
        values = self.columns[name]
        return self.variables[name].shown(values) if name in self.variables else list(values)

    def label_of(self, place: int, names: Sequence[str]) -> str:
        """How an estimate is called in a contrast: its values, numbers with the name of their variable before them."""
        parts = []
        for name in names:
            value = self.shown(name)[place]
            text = f"{value:g}" if isinstance(value, float) else str(value)
            parts.append(f"{name}{text}" if _is_number(text) else text)
        return " ".join(parts) if parts else "overall"

    def contrasts(
        self,
        method: Any = "pairwise",
        adjust: str | None = None,
        by: Any = None,
        interaction: Any = None,
        reference: int | str = 0,
    ) -> MarginalEstimates:
        """Contrasts within every `by` group, or interaction contrasts of several variables."""
        by_names = self.by if by is None else tuple(names_of(by, "by"))
        for name in by_names:
            if name not in self.columns:
                raise ModelError(f"by: `{name}` is none of the columns; there are: {listed(list(self.columns))}.")
        of = [name for name in self.columns if name not in by_names]
        if not of and not self.columns:
            raise ModelError("contrasts(): there is one mean only, and nothing to compare it with.")
        if not of:
            raise ModelError(
                "contrasts(): every variable is in by, so there is nothing to compare; leave one out of by."
            )
        if not isinstance(interaction, str | Mapping | list | tuple | bool | None):
            raise ModelError(
                f"contrasts(interaction=<{type(interaction).__name__}>): give True, a method, a list of methods, or a "
                "dictionary from variables to methods."
            )
        method = method_named(method)
        default = DEFAULT_ADJUSTMENT.get(method, "none") if isinstance(method, str) else "none"
        rows, names, groups, largest = [], [], [], 0
        ratio = self.kind == "response" and self.link in RATIOS
        for places in self.families(by_names):
            largest = max(largest, len(places))
            if interaction:
                found, matrix = self._interactions(places, of, method, interaction, ratio)
            else:
                labels = [self.label_of(i, of) for i in places]
                found, matrix = contrasts_of(method, labels, ratio, reference)
            block = np.zeros((len(found), len(self)))
            block[:, places] = matrix
            rows.append(block)
            names += found
            groups += [places[0]] * len(found)
        if not names:
            raise ModelError("contrasts(): a comparison needs at least two means; each group here has one.")
        weights = np.vstack(rows)
        functions = self.functions.combined(weights)
        differences = bool(np.abs(weights.sum(axis=1)).max() < 1e-9)
        ratios = ratio and differences
        kind = "response" if ratios or self.link is None else "link"
        notes = self.notes
        if self.kind == "response" and self.transformed and not ratios:
            notes = (*notes, f"Contrasts are on the {self.link} scale; .regrid().contrasts() compares the responses.")
        column = np.empty(len(names), object)
        column[:] = names
        all_pairs = isinstance(method, str) and method in ("pairwise", "revpairwise") and not interaction
        return replace(
            self,
            functions=functions,
            columns={"contrast": column, **{name: self.columns[name][groups] for name in by_names}},
            by=by_names,
            kind=kind,
            head="estimate",
            ratios=ratios,
            means=largest if all_pairs else None,
            adjust=adjustment_named(adjust, "none" if interaction else default),
            notes=notes,
        )

    def _interactions(
        self, places: np.ndarray, of: Sequence[str], method: Any, interaction: Any, ratio: bool
    ) -> tuple[list[str], np.ndarray]:
        """Products of contrasts, a method for each variable."""
        if interaction is True:
            methods = dict.fromkeys(of, method)
        elif isinstance(interaction, str):
            methods = dict.fromkeys(of, interaction)
        elif isinstance(interaction, Mapping):
            methods = {name: interaction.get(name, method) for name in of}
        else:
            given = list(interaction)
            if len(given) != len(of):
                raise ModelError(f"interaction: give a method for each of {listed(of)}, or one for all.")
            methods = dict(zip(of, given, strict=True))
        values = {name: list(dict.fromkeys(self.columns[name][places].tolist())) for name in of}
        if len(places) != int(np.prod([len(found) for found in values.values()])):
            raise ModelError("interaction contrasts need all combinations of the variables; some do not exist here.")
        sets = []
        for name in of:
            first = {v: int(places[self.columns[name][places].tolist().index(v)]) for v in values[name]}
            sets.append(contrasts_of(methods[name], [self.label_of(first[v], [name]) for v in values[name]], ratio))
        # Rows and means alike have the first variable fastest, so the products begin with the last.
        position = np.zeros(len(places), int)
        for name in reversed(of):
            position = position * len(values[name]) + [
                values[name].index(v) for v in self.columns[name][places].tolist()
            ]
        matrix = reduce(np.kron, [found[1] for found in reversed(sets)])[:, position]
        names = [""]
        for found, _ in reversed(sets):
            names = [f"{one}, {after}" if after else one for after in names for one in found]
        return names, matrix

    def regridded(self) -> MarginalEstimates:
        """The same on the scale of the response, by the delta method: contrasts are then differences of responses."""
        if self.link is None or self.link == "identity":
            return replace(self, link=None)
        if self.ratios:
            raise ModelError("regrid() is for means; ask for it before contrasts().")
        slope = links.slope(self.link, self.functions.estimate)
        functions = self.functions.combined(np.diag(slope), links.inverse(self.link, self.functions.estimate))
        return replace(self, functions=functions, link=None, kind="response", head="response")

    def joint(self, null: float = 0.0) -> dict[str, list[Any]]:
        """Columns: by variables, df, testing, statistic, p_value: the test that all of a group are `null`."""
        groups = self.families()
        columns: dict[str, list[Any]] = {name: [self.shown(name)[g[0]] for g in groups] for name in self.by}
        tests = [self.functions.rows(g[self.functions.estimable[g]]).joint_test(self._null(null)) for g in groups]
        columns["df"] = [test.df for test in tests]
        columns["ddf"] = [test.ddf for test in tests]
        columns["statistic"] = [test.statistic for test in tests]
        columns["p_value"] = [test.p_value for test in tests]
        return columns


def _tail(statistic: np.ndarray, df: np.ndarray, side: str) -> np.ndarray:
    """P-values of t statistics."""
    if side == "two-sided":
        return p_value(statistic, df)
    half = 0.5 * p_value(statistic, df)
    beyond = statistic > 0.0 if side == "greater" else statistic < 0.0
    return np.where(beyond, half, 1.0 - half)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True

"""`table`: fits side by side as they stand in an article, and the `Table` that it returns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ranef.arguments import held_to_its_types, hold_to_their_types, path_of
from ranef.errors import ModelError
from ranef.frames import IntoFrame
from ranef.reports.model_table.contents import STARS, STATISTICS, TableStyle, contents, tidy_entries
from ranef.reports.model_table.html import html, page
from ranef.reports.model_table.latex import latex
from ranef.reports.model_table.markdown import markdown
from ranef.reports.model_table.text import text
from ranef.session.fit import Fit
from ranef.session.given_fits import Given, given_fits

_SUFFIXES = (".html", ".htm", ".tex", ".md", ".txt")


@hold_to_their_types
class Table:
    """Models side by side, as `ranef.table` gives them; print it, or let a notebook show it."""

    def __init__(self, fits: Mapping[str, Fit], style: TableStyle) -> None:
        self.fits = dict(fits)
        self._style = style
        self._contents = contents(self.fits, style)

    def to_text(self) -> str:
        """The table in columns of characters."""
        return text(self._contents)

    def to_html(self) -> str:
        """The table as one HTML element with its own style."""
        return html(self._contents)

    def to_latex(self) -> str:
        """A ``tabular`` environment with the rules of booktabs; in a ``table`` where there is a title."""
        return latex(self._contents)

    def to_markdown(self) -> str:
        """A table with pipes, as GitHub, pandoc and Quarto read it."""
        return markdown(self._contents)

    def data(self) -> IntoFrame:
        """The numbers behind the table, not rounded.

        Returns
        -------
        frame
            A row for each model and parameter: model, effect ("fixed", "random", "residual", "statistic"), component,
            group, term (as in `Fit.tidy`; of a statistic its name), label (as printed), estimate, std_error, statistic,
            df, p_value, conf_low, conf_high. Of the kind that the data of the first fit came in.
        """
        first = next(iter(self.fits.values()))
        return first._frame(tidy_entries(self.fits, self._style))

    @property
    def frame(self) -> IntoFrame:
        """The table as it is printed: a column of labels and one or more for each model."""
        table, first = self._contents, next(iter(self.fits.values()))
        heads = [f"{name} {head}".strip() for name in table.names for head in table.heads]
        lines = table.lines()
        columns = {"": [line[0] for line in lines]}
        columns |= {head: [line[j + 1] for line in lines] for j, head in enumerate(heads)}
        return first._frame(columns)

    def save(self, path: str | Path) -> Path:
        """Write the table to a file.

        Parameters
        ----------
        path : str or Path
            What is written is said by its end: .html (a page), .tex, .md or .txt.

        Returns
        -------
        Path
        """
        path = path_of(path, "save()")
        writers = dict(zip(_SUFFIXES, (page, page, latex, markdown, text), strict=True))
        if path.suffix.lower() not in writers:
            raise ModelError(f"save({str(path)!r}): the name of the file ends in {', '.join(_SUFFIXES)}")
        written = writers[path.suffix.lower()](self._contents).rstrip("\n") + "\n"
        path.write_text(written, encoding="utf-8", errors="backslashreplace")
        return path

    def __str__(self) -> str:
        return self.to_text()

    def __repr__(self) -> str:
        return self.to_text()

    def _repr_html_(self) -> str:
        return self.to_html()


@held_to_its_types
def table(
    *fits: Given,
    show: str | Sequence[str] | None = "se",
    layout: str = "below",
    exponentiate: bool = False,
    stars: bool | Mapping[str, float] = False,
    digits: int = 3,
    names: Sequence[str] | None = None,
    rename: Mapping[str, str] | None = None,
    random: bool | str = True,
    statistics: str | Sequence[str] | None = None,
    ddf: str | None = None,
    level: float = 0.95,
    vcov: str | None = None,
    cluster: Any = None,
    title: str = "",
    notes: str | Sequence[str] = (),
) -> Table:
    """Put fits side by side in a table for an article: text, HTML, LaTeX, Markdown.

    Rows are fixed effects by component, standard deviations and correlations of random effects, and statistics of the
    fits; below them stands what the numbers are and how the degrees of freedom were found.

    Parameters
    ----------
    *fits : Fit, list of fits, or mapping of names to fits
        The models; without names they are numbered.
    show : {"se", "ci", "statistic", "p"}, several of them, or None
        What stands with the estimates: standard errors, confidence intervals, t or z, p-values.
    layout : {"below", "columns"}
        Whether that stands below the estimates or in columns of its own.
    exponentiate : bool
        Whether exp(estimate) is shown, with its interval: odds ratios of a logit link, incidence rate ratios of counts
        with a log link. Standard errors are those of the ratio, by the delta method; tests are of the coefficient.
    stars : bool or mapping
        Whether small p-values are marked: ``True`` for ``{"*": 0.05, "**": 0.01, "***": 0.001}``, or marks and bounds.
    digits : int
        Decimals.
    names : sequence of str, optional
        The columns' names.
    rename : mapping of str to str, optional
        New names of terms (``"Days"``), grouping factors and rows (``"SD (Days | Subject)"``, ``"AIC"``). Parameters of
        several models that get one name share a row.
    random : bool or "full"
        Whether standard deviations and correlations are shown; "full" with their standard errors or intervals.
    statistics : sequence of str, optional
        Rows at the foot, of nobs, groups, dispersion, loglik, aic, bic, r2 (these are shown when it is left out), npar,
        sigma, deviance, aicc, icc. What a model does not have is left empty.
    ddf : str, optional
        Degrees of freedom, as in `Fit.tidy`.
    level : float
        Confidence level.
    vcov, cluster : optional
        A cluster-robust covariance of the fixed effects, as in `Fit.tidy`.
    title : str
        The caption.
    notes : str or sequence of str
        Further notes.

    Returns
    -------
    Table

    Raises
    ------
    ModelError
        For what is no fit, names that no model has, or coefficients that are no logarithms of ratios.

    Examples
    --------
    >>> import ranef as rf
    >>> sleep = rf.load_dataset("sleepstudy")
    >>> one = rf.lmm("Reaction ~ Days + (1 | Subject)", sleep)
    >>> two = rf.lmm("Reaction ~ Days + (Days | Subject)", sleep)
    >>> print(rf.table(one, two, names=["intercepts", "slopes"], digits=2, statistics=["nobs", "aic"]))
    ──────────────────────────────────────────────────────
                                      intercepts   slopes
    ──────────────────────────────────────────────────────
    Fixed effects
     Intercept                          251.41     251.41
                                         (9.75)     (6.82)
     Days                                10.47      10.47
                                         (0.80)     (1.55)
    ──────────────────────────────────────────────────────
    Random effects
     SD (Intercept | Subject)            37.12      24.74
     SD (Days | Subject)                             5.92
     Cor (Intercept, Days | Subject)                 0.07
     SD (residual)                       30.99      25.59
    ──────────────────────────────────────────────────────
    Fit
     Observations                       180        180
     AIC                               1794.5     1755.6
    ──────────────────────────────────────────────────────
    Linear mixed model of Reaction, REML
    Standard errors in parentheses
    """
    models = _named(fits, names)
    style = TableStyle(
        show=_words(show),
        layout=layout,
        exponentiate=_flag("exponentiate", exponentiate),
        stars=_marks(stars),
        digits=digits,
        rename=_mapping(rename),
        random=random,
        statistics=STATISTICS if statistics is None else _words(statistics),
        ddf=ddf,
        level=level,
        vcov=vcov,
        cluster=cluster,
        title=str(title),
        notes=(notes,) if isinstance(notes, str) else tuple(map(str, notes)),
    )
    return Table(models, style)


def _named(fits: tuple[Given, ...], names: Sequence[str] | None) -> dict[str, Fit]:
    """The models by the names of their columns."""
    given = given_fits("table", fits, {})
    if not given:
        raise ModelError("table(): there is no fit in it; give fits, as rf.lmm and rf.glmm return them.")
    if names is not None:
        if isinstance(names, str):
            raise ModelError(f"table(names={names!r}): give a list with a name for each model.")
        if len(names) != len(given):
            raise ModelError(f"table(names=...): models: {len(given)}, names: {len(names)}; give one for each.")
        labels = [str(name) for name in names]
    else:
        labels = [f"({k})" if name is None else str(name) for k, (name, _) in enumerate(given, 1)]
    for label in labels:
        if labels.count(label) > 1:
            raise ModelError(f"table(): two models are called {label!r}; give each a name of its own.")
    return {label: fit for label, (_, fit) in zip(labels, given, strict=True)}


def _words(given: str | Sequence[str] | None) -> tuple[str, ...]:
    if given is None:
        return ()
    return (given,) if isinstance(given, str) else tuple(given)


def _marks(stars: bool | Mapping[str, float]) -> Mapping[str, float]:
    if isinstance(stars, Mapping):
        for mark, bound in stars.items():
            if isinstance(bound, bool) or not isinstance(bound, int | float) or not 0.0 < bound < 1.0:
                raise ModelError(f"table(stars={{{mark!r}: {bound!r}}}): give a bound of p between 0 and 1.")
        return {str(mark): float(bound) for mark, bound in stars.items()}
    return STARS if _flag("stars", stars) else {}


def _mapping(rename: Mapping[str, str] | None) -> Mapping[str, str]:
    if rename is not None and not isinstance(rename, Mapping):
        raise ModelError(f"table(rename={rename!r}): give a dictionary from names to new names.")
    return dict(rename or {})


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise ModelError(f"table({name}={value!r}): give True or False.")
    return value

"""A fit as a page to read and as paragraphs to publish."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ranef.arguments import path_of
from ranef.errors import ModelError, did_you_mean
from ranef.fitting import announce
from ranef.inference.contrasts import DDF
from ranef.inference.marginal_means.variables import Variables
from ranef.inference.random_effects import conditional_modes
from ranef.reports.article.effects import effects_worth_drawing
from ranef.reports.article.figures import Picture, drawing, panels, picture
from ranef.reports.article.methods import methods_paragraph
from ranef.reports.article.page import Asked, Checked, html_of, page_of
from ranef.reports.article.phrases import listed, short
from ranef.reports.article.references import Citations, bibtex
from ranef.reports.article.results import results_paragraph
from ranef.session.checking import Check, Checking
from ranef.session.plots import Drawn, Plots
from ranef.session.residual_checks import ResidualChecks, SimulatedResiduals
from ranef.session.writing import Writing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Simulations of each row, and numbers held at most for all of them.
SIMULATIONS, MOST_SIMULATED = 250, 10_000_000
# Fits from elsewhere, up to so many rows.
RESTARTS, FEW_ROWS = 2, 2_000
# Panels of conditional modes, and levels drawn of a factor: beyond it nobody reads the figure.
MOST_PANELS, MOST_DRAWN = 6, 20_000
# Width of a figure of one panel, so that its letters are read on a phone.
INCHES = 4.0


class Reporting(Drawn, Checking, ResidualChecks, Writing):
    """The report of a fit, and its paragraphs."""

    def report(
        self,
        path: str | os.PathLike[str],
        *,
        title: str | None = None,
        author: str | None = None,
        seed: int = 1,
        checks: bool = True,
        effects: Iterable[str | Sequence[str]] | None = None,
        ddf: str | None = None,
        progress: bool | None = None,
    ) -> Path:
        """Write the whole analysis to one HTML file.

        Data and design, formula and equation, estimates, random effects, checks with figures and advice, tests of the
        terms, variance explained, effects, a methods and a results paragraph with citations, versions, and the code to
        run it again. The file has no scripts and needs nothing else; it is made for phones, for paper, and for light
        and dark screens.

        Parameters
        ----------
        path : str or path
            The file, which is written anew: ``"owls.html"``.
        title : str, optional
            When left out, "Analysis of" the response.
        author : str, optional
        seed : int
            Of the checks and simulated residuals: the same seed gives the same report.
        checks : bool
            Whether the fit is checked. It takes most of the time.
        effects : list of str, or of lists of str, optional
            What is drawn of the effects, each entry as `Fit.effects` takes it: ``["x", ["x", "f"]]``. None: a figure
            for each term that stands in no other, up to six; an empty list: none.
        ddf : str, optional
            Degrees of freedom of tests and intervals, as in `tidy`.
        progress : bool, optional
            Whether lines about the progress go to the standard error stream; None: as the fit's control says.

        Returns
        -------
        Path
            Where the file is.

        Raises
        ------
        ModelError
            For a term of `effects` that the model does not have, a seed that is no whole number, unknown `ddf`.
        OSError
            When the file cannot be written.

        Examples
        --------
        >>> import tempfile, ranef as rf
        >>> fit = rf.lmm("Reaction ~ Days + (Days | Subject)", rf.load_dataset("sleepstudy"))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = fit.report(f"{folder}/sleep.html", title="Sleep and reaction times", checks=False)
        ...     path.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
        True
        """
        if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
            raise ModelError(f"report(seed={seed!r}): give a whole number, 0 or more.")
        _require_ddf(ddf)
        file = path_of(path, "report()")
        wanted = self._effects_asked(effects)
        control = self.control if progress is None else replace(self.control, progress=bool(progress))
        checked = None
        with drawing():
            if checks:
                announce(control, "report: checks ...")
                checked = self._checked(int(seed))
            announce(control, "report: figures ...")
            random_figures = self._random_figures()
            effect_figures, notes = self._effect_figures(wanted, effects is not None, ddf)
        announce(control, "report: text ...")
        asked = Asked(title, author, int(seed), ddf)
        page = page_of(self, asked, checked, self.equation("mathml").mathml, random_figures, effect_figures, notes)
        # Half a pair of surrogates, which no encoding has, is written as a reference.
        file.write_text(html_of(page), encoding="utf-8", errors="xmlcharrefreplace")
        announce(control, f"report: written to {file}")
        return file

    def methods_text(
        self,
        check: Check | None = None,
        simulated: SimulatedResiduals | None = None,
        ddf: str | None = None,
    ) -> str:
        """A methods paragraph for an article: what was fitted to what, how it was estimated, tested and checked.

        Parameters
        ----------
        check : Check, optional
            What `check` gave, if the paragraph is to tell what was checked.
        simulated : SimulatedResiduals, optional
            What `simulate_residuals` gave, if it is to tell of them.
        ddf : str, optional
            Degrees of freedom of tests and intervals, as in `tidy`.

        Examples
        --------
        >>> import ranef as rf
        >>> fit = rf.lmm("Reaction ~ Days + (Days | Subject)", rf.load_dataset("sleepstudy"))
        >>> fit.methods_text().split(". ")[0]
        'We modelled Reaction with a linear mixed model, fitted to 180 observations from 18 levels of Subject'
        """
        return self._methods(Citations(), check, simulated, ddf)

    def results_text(self, check: Check | None = None, ddf: str | None = None) -> str:
        """A results paragraph for an article: each term on a scale that readers know, variances, shares of variance.

        Parameters
        ----------
        check : Check, optional
            What `check` gave, if the paragraph is to tell what it found.
        ddf : str, optional
            Degrees of freedom of tests and intervals, as in `tidy`.

        Examples
        --------
        >>> import ranef as rf
        >>> fit = rf.lmm("Reaction ~ Days + (Days | Subject)", rf.load_dataset("sleepstudy"))
        >>> print(fit.results_text().partition(". ")[0])
        The mean of Reaction rose by 10.5 (95% CI 7.2 to 13.7; t(17) = 6.77, p < 0.001) for each unit of Days
        """
        _require_ddf(ddf)
        return results_paragraph(self, None if check is None else check._findings, ddf)

    def citations(
        self,
        check: Check | None = None,
        simulated: SimulatedResiduals | None = None,
        ddf: str | None = None,
    ) -> str:
        """BibTeX entries of ranef and of the methods that `methods_text` cites.

        Parameters
        ----------
        check, simulated, ddf
            As in `methods_text`.

        Examples
        --------
        >>> import ranef as rf
        >>> fit = rf.lmm("Reaction ~ Days + (Days | Subject)", rf.load_dataset("sleepstudy"))
        >>> [line.split("{")[1].rstrip(",") for line in fit.citations().splitlines() if line[:1] == "@"]
        ['ranef', 'bates2015', 'patterson1971', 'satterthwaite1946', 'nakagawa2017', 'johnson2014']
        """
        cite = Citations()
        self._methods(cite, check, simulated, ddf)
        return bibtex(cite.references)

    def _methods(
        self, cite: Citations, check: Check | None, simulated: SimulatedResiduals | None, ddf: str | None
    ) -> str:
        _require_ddf(ddf)
        findings = None if check is None else check._findings
        return methods_paragraph(self, cite, findings, 0 if simulated is None else simulated.n, ddf)

    # -- the parts of a report ----------------------------------------------------------------------------------------

    def _simulations(self) -> int:
        """Simulations of each row that memory allows; 0 where the family cannot be simulated from."""
        if self.model.family.engine is not None and "simulate" not in self.model.family.functions:
            return 0
        found = min(SIMULATIONS, MOST_SIMULATED // max(1, self.nobs))
        return found if found >= 20 else 0

    def _checked(self, seed: int) -> Checked:
        # How often it is fitted again must not depend on how busy the machine is: the same seed gives the same page.
        found = self.check(seed=seed, restarts=RESTARTS if self.nobs <= FEW_ROWS else 0)
        figures: list[tuple[list[Picture], str]] = []
        shown = panels(found.plot(), "check", what="Check of ")
        figures.append((shown, "What the checks looked at, each panel with its verdict."))
        n = self._simulations()
        if n:
            try:
                # A row without variance has no dispersion.
                with np.errstate(invalid="ignore", divide="ignore"):
                    simulated = self.simulate_residuals(n=n, seed=seed)
                    drawn = simulated.plot()
                tests = "; ".join(f"{t.test}: {t.effect_text}" for t in simulated._usual)
                alts = [
                    f"Quantiles of {self.nobs:,} scaled residuals against the uniform distribution. {tests}",
                    f"Scaled residuals against the rank of the fitted value, with quantile curves. {tests}",
                ]
                caption = f"Residuals scaled by {n:,} simulations of each observation: uniform under the model."
                figures.append((panels(drawn, "scaled", alts), caption))
            except ModelError:
                n = 0
        return Checked(found._findings, found.skipped, n, figures)

    def _random_figures(self) -> list[tuple[list[Picture], str]]:
        if not self.ngroups:
            return []
        columns = conditional_modes(self)
        figures: list[tuple[list[Picture], str]] = []
        drawn = 0
        for k, group in enumerate(dict.fromkeys(columns["group"])):
            rows = [j for j, g in enumerate(columns["group"]) if g == group]
            parts = list(dict.fromkeys((columns["component"][j], columns["term"][j]) for j in rows))
            drawn += len(parts)
            if drawn > MOST_PANELS or len(rows) > MOST_DRAWN * len(parts):
                figures.append(([], f"Not drawn: the {len(rows):,} random effects of {group}; fit.plot.ranef() does."))
                continue
            alts = [self._modes_in_words(columns, group, *part) for part in parts]
            figure = _narrow(Plots(self).ranef(group=group))
            level = "sorted, with 95 % intervals; filled and blue where the interval excludes zero"
            figures.append((panels(figure, f"modes{k}", alts), f"Conditional modes of {group}, {level}."))
        return figures

    @staticmethod
    def _modes_in_words(columns: dict[str, list[Any]], group: str, component: str, term: str) -> str:
        keys = zip(columns["group"], columns["component"], columns["term"], strict=True)
        rows = np.array([key == (group, component, term) for key in keys])
        estimate, low, high = (np.array(columns[n], float)[rows] for n in ("estimate", "conf_low", "conf_high"))
        apart = int(((low > 0) | (high < 0)).sum())
        return (
            f"Caterpillar plot of the conditional modes of {term} for {len(estimate):,} levels of {group}, from "
            f"{short(float(estimate.min()))} to {short(float(estimate.max()))}; {apart} intervals exclude zero"
        )

    def _effects_asked(self, effects: Iterable[str | Sequence[str]] | None) -> list[list[str]]:
        if effects is None:
            return effects_worth_drawing(self)
        if isinstance(effects, str):
            raise ModelError(f"report(effects={effects!r}): give a list of terms, effects=[{effects!r}].")
        wanted: list[list[str]] = []
        for entry in effects:
            if not isinstance(entry, str | list | tuple):
                raise ModelError(f"report(effects=): {entry!r} is no term; give texts such as 'x', or lists of them.")
            wanted.append([entry] if isinstance(entry, str) else list(entry))
        known = list(Variables(self))
        for entry in wanted:
            for term in entry:
                name = str(term).partition("[")[0].strip().strip("`")
                if name not in known:
                    raise ModelError(
                        f"report(effects=): `{name}` is no variable of the model; {did_you_mean(name, known)}"
                    )
        return wanted

    def _effect_figures(
        self, wanted: list[list[str]], asked: bool, ddf: str | None
    ) -> tuple[list[tuple[list[Picture], str]], list[str]]:
        figures: list[tuple[list[Picture], str]] = []
        notes: list[str] = []
        family = self.model.family
        kind = "probability" if family.ordinal else "response"
        if family.engine is not None and "mean" not in family.functions:
            kind = "link"
        for k, terms in enumerate(wanted):
            name = " by ".join(terms)
            try:
                found = self.effects(terms, kind=kind, ddf=ddf)
                figure = _narrow(found.plot())
                caption = f"Predictions along {listed([t.partition('[')[0].strip() for t in terms])}, 95 % intervals."
                caption += f" {'. '.join(found.notes)}." if found.notes else ""
                estimate = np.array(found._columns["estimate"], float)
                alt = (
                    f"Predicted {found._axis_label()} along {name}: from {short(float(np.nanmin(estimate)))} to "
                    f"{short(float(np.nanmax(estimate)))}"
                )
                figures.append(([picture(figure, f"effect{k}", alt)], caption))
            except ModelError as error:
                if asked:
                    raise
                notes.append(f"Not drawn: {name} ({str(error).rstrip('.')}).")
        for k, smooth in enumerate(dict.fromkeys(s.label for s in self.design.smooths)):
            try:
                figure = Plots(self).smooth(smooth)
            except ModelError as error:
                notes.append(f"Not drawn: {smooth} ({str(error).rstrip('.')}).")
                continue
            alt = f"The smooth {smooth} with its pointwise 95 % interval, on the scale of the link"
            several = len(figure.axes) > 1
            key = f"smooth{k}"
            shown = panels(figure, key, what="Smooth ") if several else [picture(_narrow(figure), key, alt)]
            figures.append((shown, f"{alt}."))
        return figures, notes


def _narrow(figure: Figure) -> Figure:
    """A figure of one panel at the width of a phone."""
    width, height = figure.get_size_inches()
    if len(figure.axes) == 1 and width > INCHES:
        figure.set_size_inches(INCHES, height)
    return figure


def _require_ddf(ddf: str | None) -> None:
    if ddf is not None and ddf not in DDF:
        raise ModelError(f"ddf={ddf!r} is not available; give one of {', '.join(map(repr, DDF))}.")

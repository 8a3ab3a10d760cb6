"""`compare`: several fits of the same data side by side, and the `Comparison` that it returns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ranef.arguments import held_to_its_types, hold_to_their_types
from ranef.errors import ModelError
from ranef.frames import IntoFrame
from ranef.inference import comparison
from ranef.plots.reference_distribution import reference_distribution
from ranef.reports.comparison import comparison_report
from ranef.session.fit import Fit
from ranef.session.given_fits import Given, given_fits
from ranef.session.tabled import Tabled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@hold_to_their_types
class Comparison(Tabled):
    """Models side by side, as `ranef.compare` gives them; print it, or let a notebook show it.

    Attributes
    ----------
    table : data frame
        A row a model: model, formula, npar, loglik, deviance, aic, aicc, bic, weight, against, chi_square, df, p_value,
        p_value_boundary, note. ``comparison["p_value"]`` is one of its columns.
    fits : dict of str to Fit
        The models compared, by name, in the order of the table. With ``refit=True`` those fitted by maximum likelihood.
    """

    def __init__(self, fits: Mapping[str, Fit], found: comparison.Compared) -> None:
        self.fits = dict(fits)
        self._found = found
        self._fit = next(iter(self.fits.values()))
        self._columns = found.columns

    @property
    def reference(self) -> IntoFrame:
        """The bootstrap's likelihood ratios: small, large, replicate, chi_square (NaN where a refit failed)."""
        found = self._found.references
        return self._fit._frame(
            {
                "small": [r.small for r in found for _ in r.chi_square],
                "large": [r.large for r in found for _ in r.chi_square],
                "replicate": np.concatenate([np.arange(len(r.chi_square)) for r in found] or [np.empty(0, int)]),
                "chi_square": np.concatenate([r.chi_square for r in found] or [np.empty(0)]),
            }
        )

    def plot(self, ax: Axes | Any = None) -> Figure:
        """Draw the bootstrap's likelihood ratios with the observed one, a panel per test, and return the figure."""
        return reference_distribution(self._found.references, ax)

    def __repr__(self) -> str:
        return str(comparison_report(self._found.columns, self._found.test, self._found.notes))

    def _repr_html_(self) -> str:
        return comparison_report(self._found.columns, self._found.test, self._found.notes)._repr_html_()


@held_to_its_types
def compare(
    *fits: Given,
    test: str | None = "lrt",
    refit: bool = False,
    n: int = 1000,
    seed: int | None = None,
    threads: int | None = None,
    progress: bool | None = None,
    **named: Fit,
) -> Comparison:
    """Compare models of the same data: information criteria and tests of nested models.

    Models are put in the order of their numbers of parameters, and each is tested against the nearest one before it
    that is nested in it (`against`): 2 (log L_large - log L_small) against a chi-square. Where a variance at zero is
    tested, that p-value is too large; `p_value_boundary` is that of the mixture of chi-squares with df - 1 and df
    degrees of freedom (Self & Liang 1987, Journal of the American Statistical Association 82, 605-610; Stram & Lee
    1994, Biometrics 50, 1171-1177), for one variance at a time.

    Parameters
    ----------
    *fits : Fit, list of fits, or mapping of names to fits
        The models; without names they are called by their formulas.
    test : {"lrt", "bootstrap", None}
        Likelihood-ratio test; the same statistic against its distribution under the smaller model, `n` responses drawn
        from that and both fitted to them (Halekoh & Hojsgaard 2014, Journal of Statistical Software 59(9)); or no test.
    refit : bool
        Whether REML fits are fitted again by maximum likelihood, which fits of different fixed effects need.
    n, seed : int, optional
        Replicates of the bootstrap and its seed; p = (1 + number as large as observed) / (1 + n). Replicates in which
        a refit failed are left out and counted in `note`.
    threads : int, optional
        Threads of the bootstrap; the numbers do not depend on it.
    progress : bool, optional
        Whether lines about the progress go to the standard error stream; None: as the fits' control says.
    **named : Fit
        Models by name.

    Returns
    -------
    Comparison

    Raises
    ------
    ModelError
        When the models cannot be compared: fitted to different rows or responses, with different weights, by REML with
        different fixed effects, with priors, or when one likelihood is of densities and the other of probabilities.

    Examples
    --------
    >>> import ranef as rf
    >>> sleep = rf.load_dataset("sleepstudy")
    >>> small = rf.lmm("Reaction ~ Days + (1 | Subject)", sleep)
    >>> large = rf.lmm("Reaction ~ Days + (Days | Subject)", sleep)
    >>> rf.compare(small=small, large=large).table[["model", "npar", "chi_square", "df"]].round(1).values.tolist()
    [['small', 4, nan, nan], ['large', 6, 42.8, 2.0]]
    """
    comparison.require_known(test, n)
    models = _named(fits, named)
    notes: tuple[str, ...] = ()
    if refit and any(fit.method == "reml" for fit in models.values()):
        models = {name: fit.update(reml=False) if fit.method == "reml" else fit for name, fit in models.items()}
        notes = ("refitted by maximum likelihood",)
    records, names = list(models.values()), list(models)
    comparison.require_comparable(records, [_short(name, k) for k, name in enumerate(names)])
    found = comparison.compare(records, names, test, int(n), seed, threads, progress)
    ordered = {name: models[name] for name in found.columns["model"]}
    return Comparison(ordered, comparison.Compared(found.columns, test, notes + found.notes, found.references))


def _named(fits: tuple[Given, ...], named: Mapping[str, Fit]) -> dict[str, Fit]:
    """The models by name; those without one are called by what `descriptions` says of them."""
    given = given_fits("compare", fits, named)
    if len(given) < 2:
        raise ModelError(f"compare() takes two or more fits and was given {len(given)}")
    texts = comparison.descriptions([fit for _, fit in given])
    found: dict[str, Fit] = {}
    for (name, fit), text in zip(given, texts, strict=True):
        label, again = str(text if name is None else name), 2
        while label in found:
            if name is not None:
                raise ModelError(f"compare(): two models are called {name!r}; give each a name of its own")
            label, again = f"{text} ({again})", again + 1
        found[label] = fit
    return found


def _short(name: str, place: int) -> str:
    """What an error calls a model: its name, or which one it is and its formula."""
    return name if "~" not in name else f"model {place + 1} (`{name}`)"

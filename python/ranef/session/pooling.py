"""`pool`: fits to several imputed data sets as one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ranef.arguments import held_to_its_types
from ranef.errors import ModelError
from ranef.frames import IntoFrame
from ranef.inference import pooling
from ranef.session.fit import Fit


@held_to_its_types
def pool(fits: Iterable[Fit], effects: str = "fixed", ddf: str | None = None, level: float = 0.95) -> IntoFrame:
    """Pool fits of one model to multiply imputed data by Rubin's rules.

    The variance of a pooled estimate is the mean of the fits' variances plus (1 + 1/m) times the variance between the
    estimates; degrees of freedom are Barnard & Rubin's (1999, Biometrika 86, 948-955).

    Parameters
    ----------
    fits : iterable of Fit
        The same model fitted to each of m imputed data sets (made by scikit-learn's IterativeImputer, miceforest,
        R's mice, ...).
    effects : {"fixed", "random", "all"}
        Fixed effects; standard deviations and correlations, pooled as log(sd) and atanh(cor); or both.
    ddf : str, optional
        Degrees of freedom of one fit's tests, as in `Fit.tidy`.
    level : float
        Confidence level.

    Returns
    -------
    frame
        Columns of `Fit.tidy`, and riv (relative increase of variance due to nonresponse), lambda (its share in the
        total), fmi (fraction of missing information).

    Raises
    ------
    ModelError
        When the fits differ in formula, family, rows or coefficients.

    Examples
    --------
    >>> import ranef as rf
    >>> sleep = rf.load_dataset("sleepstudy")
    >>> fits = []
    >>> for value in (240.0, 250.0, 260.0):
    ...     imputed = sleep.copy()
    ...     imputed.loc[0, "Reaction"] = value
    ...     fits.append(rf.lmm("Reaction ~ Days + (1 | Subject)", imputed))
    >>> rf.pool(fits)[["term", "estimate", "riv"]].round(3).values.tolist()
    [['Intercept', 251.414, 0.001], ['Days', 10.466, 0.002]]
    """
    found: list[Any] = [fits] if isinstance(fits, Fit) else list(fits)
    for place, fit in enumerate(found, 1):
        if not isinstance(fit, Fit):
            raise ModelError(f"pool(): item {place} is of type {type(fit).__name__}; give a list of fits")
    columns = pooling.pool(found, effects, ddf, level)
    return found[0]._frame(columns)

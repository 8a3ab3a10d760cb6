"""Checks of residuals by simulation: of a fit, or of another package's simulations."""

from __future__ import annotations

from typing import Any

import numpy as np

from ranef.arguments import held_to_its_types
from ranef.checks.simulated_residuals import scaled_residuals as scaling
from ranef.checks.simulated_residuals import simulated_responses
from ranef.checks.simulated_residuals.described_rows import DescribedRows, rows_of_fit
from ranef.conditioning import Conditioning
from ranef.data import Table
from ranef.errors import DataError
from ranef.frames import IntoFrame, backend_of
from ranef.session.answers import Answers
from ranef.session.simulated_residuals import SimulatedResiduals
from ranef.simulation import engine_seed


@held_to_its_types
def scaled_residuals(
    observed: Any,
    simulated: Any,
    fitted: Any = None,
    *,
    data: IntoFrame | None = None,
    method: str = "pit",
    rotation: Any = None,
    group_by: Any = None,
    seed: int | None = None,
) -> SimulatedResiduals:
    """Scaled residuals from responses that were simulated elsewhere: from any model, fitted by any package.

    Parameters
    ----------
    observed : array_like (nobs,)
    simulated : array_like (nobs, n)
        A column for each simulation, or posterior predictive draw.
    fitted : array_like (nobs,), optional
        Means of the model; those of the simulations when left out.
    data : data frame, optional
        Variables of the rows, so that tests can name them.
    method, rotation, group_by
        As in `Fit.simulate_residuals`.
    seed : int, optional
        Of the places within the probability of a discrete response, and of the bootstrap of outliers.

    Examples
    --------
    >>> import numpy as np
    >>> import ranef as rf
    >>> rng = np.random.default_rng(1)
    >>> mean = np.exp(rng.normal(size=200))
    >>> found = rf.scaled_residuals(rng.poisson(mean), rng.poisson(mean[:, None], (200, 500)), mean, seed=1)
    >>> found.test_uniformity().p_value > 0.05
    True
    """
    y, s = _numbers(observed, "observed", 1), _numbers(simulated, "simulated", 2)
    if s.shape[0] != len(y):
        turned = " Transpose it." if s.shape[1] == len(y) else ""
        raise DataError(f"simulated has {s.shape[0]} rows, observed has {len(y)}: give a row for each.{turned}")
    if s.shape[1] < 2:
        raise DataError("simulated has one column: give a column for each of two simulations or more")
    mean = s.mean(axis=1) if fitted is None else _numbers(fitted, "fitted", 1)
    if len(mean) != len(y):
        raise DataError(f"fitted has {len(mean)} values, observed has {len(y)}")
    table = None if data is None else Table(data, "data").frame
    if table is not None and len(table) != len(y):
        raise DataError(f"data has {len(table)} rows, observed has {len(y)}")
    found = scaling.scaled_residuals(y, s, mean, method, rotation, engine_seed(seed))
    rows = DescribedRows(len(y), np.arange(len(y)), len(y), table)
    made = SimulatedResiduals(found, rows, "pandas" if data is None else backend_of(data))
    return made if group_by is None else made.aggregated(group_by)


class ResidualChecks(Answers):
    """Residuals by simulation."""

    def simulate_residuals(
        self,
        n: int = 1000,
        seed: int | None = None,
        ranef: Conditioning = True,
        group_by: Any = None,
        method: str = "pit",
        rotation: Any = None,
        refit: bool = False,
        threads: int | None = None,
        progress: bool | None = None,
    ) -> SimulatedResiduals:
        """Scaled residuals: the place of each response among responses simulated from the fit.

        They are uniform on (0, 1) under the model for every family, so that the same plots and tests serve all. The
        definitions are those of DHARMa 0.5.

        Parameters
        ----------
        n : int
            Simulations of each row.
        seed : int, optional
            None takes one from the system; the result's `seed` tells it.
        ranef : bool, "new", "posterior" or list of terms
            True: random effects stay at their conditional modes, so that what is checked is the distribution within
            groups. "new": they are drawn afresh in each simulation, which checks their distribution too; residuals of a
            group are then correlated, and tests that take them for independent find that (`rotation` takes it out).
            "posterior": effects and coefficients are drawn once from what the data leave open about them, at the cost
            of one more fit, so that tests hold their level. False: population level. A list keeps the named terms and
            draws the others.
        group_by : str or array_like, optional
            Put rows together at once, as `SimulatedResiduals.aggregated` does.
        method : {"pit", "traditional"}
            The place at random between the shares of simulations below the response and not above it; or the empirical
            distribution function after uniform noise on whole numbers.
        rotation : "estimated" or (nobs, nobs) matrix, optional
            A covariance of the rows, that of the simulations when "estimated" (n above nobs), by whose inverse
            Cholesky factor observed and simulated responses are multiplied first: for residuals that are about normal.
        refit : bool
            Fit the model to each simulated response, and place the residuals of the fit among those of the refits: n
            fits.
        threads : int, optional
            Threads of the refits; the numbers do not depend on it.
        progress : bool, optional
            Whether lines about refits go to the standard error stream; None: as the fit's control says.

        Returns
        -------
        SimulatedResiduals

        Notes
        -----
        Weights that multiply the log-likelihood play no part; precision weights of `lmm` do.

        Raises
        ------
        ModelError, DataError
            When the family cannot be simulated from, or an argument is not what it should be.

        Examples
        --------
        >>> import ranef as rf
        >>> owls = rf.load_dataset("owls")
        >>> fit = rf.glmm("SiblingNegotiation ~ FoodTreatment + (1 | Nest)", owls, family="nbinom2", zi="~ 1")
        >>> fit.simulate_residuals(n=250, seed=1).tests()["test"].tolist()
        ['uniformity', 'dispersion', 'outliers', 'zero inflation', 'quantiles']
        """
        found, notes = simulated_responses.of_fit(self, n, seed, ranef, method, rotation, refit, threads, progress)
        made = SimulatedResiduals(found, rows_of_fit(self), backend_of(self.design.frame), self, notes, ranef is True)
        return made if group_by is None else made.aggregated(group_by)


def _numbers(values: Any, name: str, dimensions: int) -> np.ndarray:
    try:
        found = np.asarray(values, float)
    except (TypeError, ValueError):
        raise DataError(f"{name} holds values that are not numbers") from None
    if found.ndim != dimensions:
        raise DataError(f"{name} has {found.ndim} dimensions, not {dimensions}")
    if not np.isfinite(found).all():
        raise DataError(f"{name}: row {int(np.argwhere(~np.isfinite(found))[0][0])} is not finite; leave such rows out")
    return found

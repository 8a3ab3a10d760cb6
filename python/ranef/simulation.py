"""New responses from a fit: the parametric bootstrap's draws.

y* ~ family(mu, phi, pi), with the random effects drawn afresh from N(0, Sigma), kept at their conditional modes or
zero.
"""

from __future__ import annotations

import numpy as np

from ranef.conditioning import Conditioning, kept_terms
from ranef.errors import ModelError
from ranef.fitting import FittedModel
from ranef.frames import IntoFrame
from ranef.newdata import engine_rows, reaching


def simulate(
    record: FittedModel,
    n: int,
    seed: int | None = None,
    ranef: Conditioning = "new",
    newdata: IntoFrame | None = None,
) -> np.ndarray:
    """Draw `n` responses for every row, (rows, n), in the form of the response: proportions or categories where
    it was one.

    Parameters
    ----------
    record : FittedModel
    n : int
        Number of draws.
    seed : int, optional
        The same seed gives the same draws, whatever the number of threads; None takes one from the system.
    ranef : "new", bool or list of terms
        "new" draws every random effect afresh in each replicate, True keeps them at their conditional modes, False
        sets them to zero; a list keeps the named terms at their modes and draws the others afresh, as lme4's
        ``re.form`` does. Levels that the fit has not met share one drawn level.
    newdata : frame, optional
        Rows to simulate for; None: those of the fit. Successes of new rows count one trial each.
    """
    draws = simulated_numbers(record, n, seed, ranef, newdata)
    response = record.design.response
    if record.model.family.ordinal:
        return response.categories_at(draws)
    if response.form == "proportion" and response.trials is not None and newdata is None:
        draws = draws / response.trials[:, None]
    return draws


def simulated_numbers(
    record: FittedModel,
    n: int,
    seed: int | None = None,
    ranef: Conditioning = "new",
    newdata: IntoFrame | None = None,
) -> np.ndarray:
    """`simulate` in the numbers of the family, (rows, n): successes among trials, numbers of ordered categories."""
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
        raise ModelError(f"simulate(n={n!r}): give a whole number, 1 or more")
    record.model.family.require("simulate", "new responses")
    terms = record.terms()
    if isinstance(ranef, str) and ranef == "new":
        what = ["new"] * len(terms)
    elif isinstance(ranef, bool):
        what = ["fixed" if ranef else "zero"] * len(terms)
    else:
        what = ["fixed" if kept else "new" for kept in kept_terms(terms, ranef)]
    kept_at_modes = any(way == "fixed" for way, term in zip(what, terms, strict=True) if term.smooth is None)
    what = ["fixed" if term.smooth is not None else way for way, term in zip(what, terms, strict=True)]
    rows = None
    if newdata is not None and record.model.correlation is not None:
        raise ModelError(
            f"simulate(newdata=...): the residuals of this model are correlated ({record.model.correlation.text}), and "
            "new rows have no place among them; simulate the rows of the fit, newdata=None."
        )
    if newdata is not None:
        record = reaching(record, newdata, [w != "zero" for w in what])
        # A level without a mode cannot be kept at it: only then does an unmet level raise.
        rows = engine_rows(record, newdata, [w != "zero" for w in what], "error" if kept_at_modes else "population")
    return np.asarray(record.engine.simulate(int(n), engine_seed(seed), what, rows), float)


def engine_seed(seed: int | None) -> int:
    """A seed for the engine's generator: the caller's, or one from the system's entropy."""
    if seed is None:
        return int(np.random.default_rng().integers(2**63))
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise ModelError(f"seed={seed!r}: give a whole number, 0 or more")
    if seed >= 2**63:
        raise ModelError(f"seed={seed!r}: give a whole number below 2^63")
    return int(seed)

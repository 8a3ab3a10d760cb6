"""Linear predictors drawn from what the data leave open about them, and responses simulated there.

Residuals at the estimates are closer to their data than new data would be, and tests of them hardly ever reject. At one
draw of the predictors from their distribution given the data they are not: whatever the residuals' distribution is at
the true predictors, it is the same, nearly, at a draw (Johnson 2004; Waagepetersen 2006, of random effects).

A draw is a refit to a simulated response. With the effects at their modes b, new effects u ~ N(0, Sigma) and the
response y* simulated at the modes, the model is fitted to y* with the offset Z (b + u): the effects that it has to find
are -u, drawn from their own distribution, and the predictors that y* comes from are those of the fit. What the refit
finds differs from them as they do from the truth: by the scatter of the data and of the effects, and by that of the
coefficients. Near the modes, with H the curvature there, this is N(0, H^-1) (Papandreou & Yuille 2010 call it
perturbing and maximising). Parameters of the spread are mirrored at their estimates, on the scale of 1/sqrt(phi), since
a spread that is estimated too large was too small in truth.

References: Johnson (2004), Annals of Statistics 32, 2361-2384; Waagepetersen (2006), Scand. J. Statist. 33, 721-731;
Papandreou & Yuille (2010), Advances in Neural Information Processing Systems 23, 1858-1866.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ranef import _engine
from ranef.errors import ModelError
from ranef.fitting import FittedModel
from ranef.newdata import rows_at
from ranef.simulation import engine_seed

# The stream of the seed that draws the effects; the simulations have the seed itself.
EFFECTS = 3
# Of spreads, on whose scale 1 / sqrt(phi) parameters are mirrored, the least share that is left.
LEAST = 0.4
SPREADS = ("disp", "shape")


def drawn_predictors(record: FittedModel, seed: int) -> np.ndarray:
    """All predictors of the rows, (n, K).

    Raises
    ------
    ModelError
        Where effects are tied to each other, residuals are correlated, or the refit fails.
    """
    model, design, engine = record.model, record.design, record.engine
    if model.marginal or any(term.coupling is not None for term in design.random):
        raise ModelError(
            "simulate_residuals(ranef='posterior') is for independent residuals, and effects of groups that do not "
            "depend on each other; give ranef=True or 'new'"
        )
    rng = np.random.default_rng((seed, EFFECTS))
    estimated = np.asarray(engine.linear_predictor, float)
    offset = np.zeros_like(estimated)
    for t, term in enumerate(design.random):
        modes, factor = np.asarray(engine.modes[t], float), np.asarray(engine.factor[t], float)
        effects = modes + rng.standard_normal((len(modes), factor.shape[1])) @ factor.T
        codes = np.asarray(term.codes).astype(np.int64)
        offset[:, model.predictor(term.component)] += np.einsum("ij,ij->i", np.asarray(term.columns), effects[codes])
    spec = model.spec()
    record.model.family.require("simulate", "new responses")
    at_modes = engine.simulate(1, engine_seed(int(rng.integers(2**62))), ["fixed"] * len(design.random), None)
    spec["y"] = np.asarray(at_modes, float)[:, 0]
    for k, predictor in enumerate(spec["predictors"]):
        predictor["offset"] = offset[:, k] + (0.0 if predictor["offset"] is None else predictor["offset"])
    try:
        again = _engine.Model(spec).fit(record.control.for_engine())
    except _engine.EngineError as error:
        raise ModelError(
            "simulate_residuals(ranef='posterior'): the model cannot be fitted to a simulated response: "
            f"{error.args[1]}. Give another seed, or ranef=True"
        ) from None
    found = np.asarray(again.linear_predictor, float)
    for component in model.components:
        if component in SPREADS:
            own = list(model.predictors(component))
            here = np.exp(-0.5 * estimated[:, own])
            mirrored = 2.0 * here - np.exp(-0.5 * found[:, own])
            found[:, own] = -2.0 * np.log(np.maximum(mirrored, LEAST * here))
    return found


def simulated_at(record: FittedModel, predictors: np.ndarray, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Responses simulated at predictors (rows, n), and their means (rows,), in the numbers of the family."""
    rows: dict[str, Any] = rows_at(record, predictors)
    simulated = record.engine.simulate(n, seed, ["zero"] * len(record.terms()), rows)
    mean = np.asarray(record.engine.predict(rows, "response", False)[0], float)
    trials = record.design.response.trials
    return np.asarray(simulated, float), mean if trials is None else mean * trials

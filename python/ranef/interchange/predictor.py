"""Predictions of new rows as a function of the fixed effects, for packages that differentiate by them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ranef.conditioning import kept_terms
from ranef.fitting import FittedModel
from ranef.newdata import engine_rows

__all__ = ["Predictor", "predictor_of"]


@dataclass(frozen=True, eq=False)
class Predictor:
    """What predictions depend on, and the predictions.

    Attributes
    ----------
    record : FittedModel
    keep : list of bool
        Which random-effects terms stay at their conditional modes; the others are zero.
    kind : str
        As in `Fit.predict`.
    names : tuple of str
        Of the fixed effects; those of other components than the mean begin with ``"zi: "`` and the like.
    estimates : array (p,)
    covariance : array (p, p)
    components : tuple of str
        The components that these are of.
    """

    record: FittedModel
    keep: Sequence[bool]
    kind: str
    names: tuple[str, ...]
    estimates: np.ndarray
    covariance: np.ndarray
    components: tuple[str, ...]

    def predict(self, parameters: np.ndarray, newdata: Any) -> np.ndarray:
        """Predictions for rows at other values of the fixed effects, (rows,)."""
        record = self.record
        rows = engine_rows(record, newdata, self.keep, "population")
        first = 0
        for component in self.components:
            for k in record.model.predictors(component):
                kept = record.kept[component] if component != "threshold" else np.arange(1)
                x = np.asarray(rows["x"][k], dtype=np.float64)
                eta = x[:, kept] @ parameters[first : first + len(kept)]
                first += len(kept)
                given = rows["offset"][k]
                # The engine adds its own coefficients to nothing.
                rows["x"][k] = np.zeros_like(x)
                rows["offset"][k] = eta if given is None else eta + given
        return np.asarray(record.engine.predict(rows, self.kind, False)[0], dtype=np.float64)


def predictor_of(record: FittedModel, kind: str, ranef: Any) -> Predictor:
    """The predictor of a fit.

    Of a linear mixed model it depends on the fixed effects of the mean, else on those of all components whose
    covariance with each other is known.
    """
    joint = record.engine.joint_names()
    places = {name: m for m, name in enumerate(joint)}
    model = record.model
    chosen: tuple[str, ...] = ("cond",)
    covariance = record.covariance_of_estimates("cond")
    wanted = [
        places.get(("beta", k, j))
        for c in model.components
        for k in model.predictors(c)
        for j in range(len(record.engine.beta[k]))
    ]
    if not model.linear and None not in wanted:
        chosen = model.components
        covariance = np.asarray(record.engine.vcov_joint, dtype=np.float64)[np.ix_(wanted, wanted)]  # type: ignore[arg-type]
    estimates = np.concatenate([record.estimates(c) for c in chosen])
    names = tuple(name if c == "cond" else f"{c}: {name}" for c in chosen for name in record.names(c))
    keep = kept_terms(record.terms(), ranef)
    return Predictor(record, keep, kind, names, estimates, covariance, chosen)

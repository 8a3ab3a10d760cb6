"""The data of the fit with what the model makes of each row, broom's `augment`."""

from __future__ import annotations

import narwhals.stable.v2 as nw
import numpy as np

from ranef.fitting import FittedModel
from ranef.frames import IntoFrame, backend_of
from ranef.prediction.predictions import predict
from ranef.prediction.residuals import residuals, standardised_residuals


def cooks_distance(record: FittedModel, leverage: np.ndarray) -> np.ndarray:
    """(r / (1 - h))^2 h / p, r the residual over its standard deviation; conditional on the covariances, as lme4."""
    standardised = standardised_residuals(record)
    p = max(len(record.kept["cond"]), 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return (standardised / (1.0 - leverage)) ** 2 * leverage / p


def augment(record: FittedModel) -> IntoFrame:
    """The rows used, with columns fitted, residual, leverage, cooks_distance and fixed.

    `fitted` and `residual` are on the response scale at the conditional modes, `fixed` is the linear predictor at the
    population level. If the data have a column of one of these names, all five get a leading dot, as in broom.
    """
    leverage = np.asarray(record.engine.leverage(), float)
    columns = {
        "fitted": np.asarray(predict(record), float),
        "residual": residuals(record),
        "leverage": leverage,
        "cooks_distance": cooks_distance(record, leverage),
        "fixed": np.asarray(predict(record, kind="link", ranef=False), float),
    }
    frame = nw.from_native(record.design.frame, eager_only=True)
    dot = "." if set(columns) & set(frame.columns) else ""
    backend = backend_of(record.design.frame)
    added = [nw.new_series(dot + name, values, backend=backend) for name, values in columns.items()]
    if backend == nw.Implementation.PANDAS:
        # pandas aligns by row label: the new columns take over those of the caller's frame.
        index = nw.to_native(frame).index
        added = [nw.from_native(nw.to_native(s).set_axis(index), series_only=True) for s in added]
    return frame.with_columns(*added).to_native()

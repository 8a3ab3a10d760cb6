"""Variance functions, as values read from the engine's catalogue.

They are terms of the ``dispersion=`` of `lmm`: ``~ sex + power(age)``, ``~ power(fitted)``.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranef import _engine
from ranef.arguments import held_to_its_types
from ranef.frames import IntoFrame, frame_of_cards


@cache
def catalogue() -> dict[str, dict[str, Any]]:
    """Cards of all functions by name, as the engine gives them."""
    return {card["name"]: card for card in _engine.variance_functions()}


def log_sd(name: str, parameters: list[float], covariate: NDArray[np.float64]) -> NDArray[np.float64]:
    """What a function adds to the log standard deviation at values of its covariate.

    Examples
    --------
    >>> log_sd("power", [0.5], np.array([1.0, np.e**2])).round(6).tolist()
    [0.0, 1.0]
    """
    if name == "exp":
        return parameters[0] * covariate
    if name == "power":
        return parameters[0] * np.log(np.abs(covariate))
    constant, power = parameters
    return np.log(constant + np.abs(covariate) ** power)


@held_to_its_types
def list_variance_functions(backend: str = "pandas") -> IntoFrame:
    """Every variance function that the dispersion of a linear mixed model may have, besides its log-linear terms.

    Parameters
    ----------
    backend : {"pandas", "polars", "pyarrow"}
        The kind of frame.

    Returns
    -------
    frame
        One row a function: name, title, parameters, needs_nonzero (whether zero is no value for its covariate) and
        reference.

    Examples
    --------
    >>> import ranef as rf
    >>> rf.list_variance_functions()["name"].tolist()
    ['power', 'exp', 'constpower']
    """
    return frame_of_cards(catalogue().values(), backend)

"""Correlation structures of the residuals, as values read from the engine's catalogue.

A structure is the ``correlation=`` of `lmm`: ``ar1(time | id)``, ``exp(x + y | site, nugget=True)``.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from ranef import _engine
from ranef.arguments import held_to_its_types
from ranef.frames import IntoFrame, frame_of_cards


@cache
def catalogue() -> dict[str, dict[str, Any]]:
    """Cards of all structures by name, as the engine gives them."""
    return {card["name"]: card for card in _engine.residual_correlations()}


@held_to_its_types
def list_correlations(backend: str = "pandas") -> IntoFrame:
    """Every correlation structure that the residuals of a linear mixed model may have.

    Parameters
    ----------
    backend : {"pandas", "polars", "pyarrow"}
        The kind of frame.

    Returns
    -------
    frame
        One row a structure: name, title, parameters, places (what the left side says of the rows) and reference.

    Examples
    --------
    >>> import ranef as rf
    >>> rf.list_correlations()["name"].tolist()
    ['ar1', 'arma', 'car1', 'cs', 'us', 'exp', 'gau']
    """
    return frame_of_cards(catalogue().values(), backend)

"""Covariance structures of random effects, as values read from the engine's catalogue.

A structure is written around a random-effects term, as in glmmTMB: ``diag(x | g)``, ``ar1(0 + time | id)``. A term
without one is ``us`` (unstructured), ``(x || g)`` is ``diag``.
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
    return {card["name"]: card for card in _engine.covariances()}


@held_to_its_types
def list_covariances(backend: str = "pandas") -> IntoFrame:
    """Every covariance structure a random-effects term may have.

    Parameters
    ----------
    backend : {"pandas", "polars", "pyarrow"}
        The kind of frame.

    Returns
    -------
    frame
        One row a structure; the columns are the fields of the engine's cards, name and title first.

    Examples
    --------
    >>> import ranef as rf
    >>> {"us", "diag"} <= set(rf.list_covariances()["name"])
    True
    """
    return frame_of_cards(catalogue().values(), backend)

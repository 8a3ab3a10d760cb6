"""Links: from the scale of the linear predictor to that of the mean, for work done in Python.

The engine holds the links that fitting uses; intervals and working residuals need only the inverse and its slope,
on whole arrays. scipy is loaded when a link asks for it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Array = np.ndarray


def inverse(link: str, eta: Array) -> Array:
    """mu = g^-1(eta), elementwise.

    Examples
    --------
    >>> inverse("log", np.array([0.0]))
    array([1.])
    """
    with np.errstate(over="ignore"):
        return _INVERSE[link](np.asarray(eta, float))


def slope(link: str, eta: Array) -> Array:
    """d mu / d eta, elementwise."""
    return _SLOPE[link](np.asarray(eta, float))


def _expit(eta: Array) -> Array:
    from scipy.special import expit

    return np.asarray(expit(eta))


def _normal_cdf(eta: Array) -> Array:
    from scipy.special import ndtr

    return np.asarray(ndtr(eta))


def _normal_density(eta: Array) -> Array:
    return np.asarray(np.exp(-0.5 * eta**2) / np.sqrt(2.0 * np.pi))


_INVERSE: dict[str, Callable[[Array], Array]] = {
    "identity": lambda eta: eta,
    "log": np.exp,
    "logit": _expit,
    "probit": _normal_cdf,
    "cloglog": lambda eta: -np.expm1(-np.exp(eta)),
    "loglog": lambda eta: np.exp(-np.exp(-eta)),
    "cauchit": lambda eta: 0.5 + np.arctan(eta) / np.pi,
    "inverse": lambda eta: 1.0 / eta,
    "inverse_squared": lambda eta: 1.0 / np.sqrt(eta),
    "sqrt": lambda eta: eta**2,
}

_SLOPE: dict[str, Callable[[Array], Array]] = {
    "identity": np.ones_like,
    "log": np.exp,
    "logit": lambda eta: _expit(eta) * _expit(-eta),
    "probit": _normal_density,
    "cloglog": lambda eta: np.exp(eta - np.exp(eta)),
    "loglog": lambda eta: np.exp(-eta - np.exp(-eta)),
    "cauchit": lambda eta: 1.0 / (np.pi * (1.0 + eta**2)),
    "inverse": lambda eta: -1.0 / eta**2,
    "inverse_squared": lambda eta: -0.5 * eta**-1.5,
    "sqrt": lambda eta: 2.0 * eta,
}

NAMES = tuple(_INVERSE)

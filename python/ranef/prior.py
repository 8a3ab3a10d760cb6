"""Prior densities of parameters, for ``rf.lmm(..., priors=)`` and ``rf.glmm(..., priors=)``.

Each function makes a `Prior`; which parameter has it is said by its key in the dictionary. Densities are of the
parameter in the user's units (a coefficient, a standard deviation, a correlation matrix), normalised.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ranef.errors import ModelError

__all__ = ["Prior", "cauchy", "gamma", "half_cauchy", "half_normal", "half_t", "lkj", "normal", "student_t"]


@dataclass(frozen=True)
class Prior:
    """A prior density, as the functions of this module make it.

    Attributes
    ----------
    text : str
        As the user wrote it: ``"normal(0, 2.5)"``.
    density : str
        The engine's name of the density.
    numbers : tuple of float
        Its parameters.
    of : {"line", "positive", "correlation"}
        What it is a density of: any number, a positive number, a correlation matrix.
    """

    text: str
    density: str
    numbers: tuple[float, ...]
    of: str

    def __repr__(self) -> str:
        return self.text


# Of the numbers that a density takes.
LARGEST = 1e100


def normal(mean: float = 0.0, sd: float = 1.0) -> Prior:
    """Normal, of a fixed effect or of the logarithm of a standard deviation.

    Examples
    --------
    >>> import ranef as rf
    >>> rf.prior.normal(0, 2.5)
    normal(0, 2.5)
    """
    numbers = (number("normal", "mean", mean), number("normal", "sd", sd, above=0.0))
    return Prior(written("normal", numbers), "normal", numbers, "line")


def student_t(df: float, location: float = 0.0, scale: float = 1.0) -> Prior:
    """Student's t, of a fixed effect or of the logarithm of a standard deviation.

    Examples
    --------
    >>> import ranef as rf
    >>> rf.prior.student_t(3, 0, 2.5)
    student_t(3, 0, 2.5)
    """
    numbers = (
        number("student_t", "df", df, above=0.0),
        number("student_t", "location", location),
        number("student_t", "scale", scale, above=0.0),
    )
    return Prior(written("student_t", numbers), "student_t", numbers, "line")


def cauchy(location: float = 0.0, scale: float = 1.0) -> Prior:
    """Cauchy, of a fixed effect or of the logarithm of a standard deviation.

    Examples
    --------
    >>> import ranef as rf
    >>> rf.prior.cauchy(0, 2.5)
    cauchy(0, 2.5)
    """
    numbers = (number("cauchy", "location", location), number("cauchy", "scale", scale, above=0.0))
    return Prior(written("cauchy", numbers), "student_t", (1.0, *numbers), "line")


def gamma(mean: float, shape: float) -> Prior:
    """Gamma with a mean and a shape (glmmTMB's parameters), of a standard deviation; the rate is shape / mean.

    With a shape above 1 it keeps a standard deviation away from zero. ``gamma(1e8, 2.5)``, all but linear in the
    parameter's powers, is the weak choice of Chung et al. (2013, Psychometrika 78, 685-709).

    Examples
    --------
    >>> import ranef as rf
    >>> rf.prior.gamma(1, 2.5)
    gamma(1, 2.5)
    """
    numbers = (number("gamma", "mean", mean, above=0.0), number("gamma", "shape", shape, above=0.0))
    if numbers[1] < 1.0:
        raise ModelError(
            f"prior.gamma: shape={shape:g}: below 1 the density is infinite where a standard deviation is zero, and "
            "the posterior has its mode there whatever the data. Give 1 or more."
        )
    return Prior(written("gamma", numbers), "gamma", numbers, "positive")


def half_normal(scale: float = 1.0) -> Prior:
    """The positive half of a normal about zero, of a standard deviation.

    Examples
    --------
    >>> import ranef as rf
    >>> rf.prior.half_normal(2)
    half_normal(2)
    """
    numbers = (number("half_normal", "scale", scale, above=0.0),)
    return Prior(written("half_normal", numbers), "half_normal", numbers, "positive")


def half_t(df: float, scale: float = 1.0) -> Prior:
    """The positive half of Student's t about zero, of a standard deviation.

    Examples
    --------
    >>> import ranef as rf
    >>> rf.prior.half_t(3, 2.5)
    half_t(3, 2.5)
    """
    numbers = (number("half_t", "df", df, above=0.0), number("half_t", "scale", scale, above=0.0))
    return Prior(written("half_t", numbers), "half_student_t", numbers, "positive")


def half_cauchy(scale: float = 1.0) -> Prior:
    """The positive half of a Cauchy about zero, of a standard deviation.

    Examples
    --------
    >>> import ranef as rf
    >>> rf.prior.half_cauchy(2.5)
    half_cauchy(2.5)
    """
    numbers = (number("half_cauchy", "scale", scale, above=0.0),)
    return Prior(written("half_cauchy", numbers), "half_student_t", (1.0, *numbers), "positive")


def lkj(shape: float = 1.0) -> Prior:
    """The density proportional to |R|^(shape - 1), of the correlation matrix of an unstructured term.

    1 is uniform; more favours small correlations (Lewandowski, Kurowicka & Joe 2009, Journal of Multivariate Analysis
    100, 1989-2001).

    Examples
    --------
    >>> import ranef as rf
    >>> rf.prior.lkj(2)
    lkj(2)
    """
    numbers = (number("lkj", "shape", shape, above=0.0),)
    if numbers[0] < 1.0:
        raise ModelError(
            f"prior.lkj: shape={shape:g}: below 1 the density is infinite at correlations of one. Give 1 or more."
        )
    return Prior(written("lkj", numbers), "lkj", numbers, "correlation")


def number(prior: str, name: str, value: float, above: float | None = None) -> float:
    """A parameter of a density, checked."""
    sound = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not sound or (above is not None and value <= above):
        what = "a number" if above is None else f"a number above {above:g}"
        raise ModelError(f"prior.{prior}: {name}={value!r}: give {what}.")
    # Densities are made of squares and inverse squares, which are to be numbers too.
    if abs(value) > LARGEST or (above is not None and value < 1.0 / LARGEST):
        least = -LARGEST if above is None else 1.0 / LARGEST
        raise ModelError(f"prior.{prior}: {name}={value!r}: give a number from {least:g} to {LARGEST:g}.")
    return float(value)


def written(name: str, numbers: tuple[float, ...]) -> str:
    """The call as the user would write it."""
    return f"{name}({', '.join(f'{value:g}' for value in numbers)})"

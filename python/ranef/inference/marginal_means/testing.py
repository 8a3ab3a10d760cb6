"""How estimates are tested: which covariance, which degrees of freedom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ranef.errors import ModelError


@dataclass(frozen=True, eq=False)
class Testing:
    """What a caller asks of tests and intervals.

    Attributes
    ----------
    ddf : str, float or None
        A method of `ranef.inference.contrasts.denominator`, or a number of degrees of freedom.
    vcov : str or None
        A cluster-robust covariance, as there.
    cluster : str, array_like or None
        Its clusters.
    """

    ddf: str | float | None = None
    vcov: str | None = None
    cluster: Any = None

    def __post_init__(self) -> None:
        number = not isinstance(self.ddf, str) and self.ddf is not None
        if number and (isinstance(self.ddf, bool) or not isinstance(self.ddf, int | float) or not self.ddf > 0):
            raise ModelError(
                f"ddf={self.ddf!r}: give a positive number of degrees of freedom, or the name of a method."
            )

    @property
    def number(self) -> float | None:
        """The degrees of freedom, where a number was given."""
        return None if self.ddf is None or isinstance(self.ddf, str) else float(self.ddf)

    @property
    def method(self) -> str | None:
        """The method, where one was named."""
        return self.ddf if isinstance(self.ddf, str) else None


#: The defaults of the model.
USUAL = Testing()

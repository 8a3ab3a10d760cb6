"""What all groups of a fit's methods share: frames of the caller's kind, and this model with another response."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from ranef.arguments import hold_to_their_types
from ranef.fitting import FittedModel, model_with_response
from ranef.frames import IntoFrame, backend_of, frame_from


class Answers(FittedModel):
    """A fitted model that answers in frames of the kind that its data came in.

    The public methods of the classes that inherit it are held to the types in their signatures.
    """

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        hold_to_their_types(cls)

    def _frame(self, columns: Mapping[str, Any], like: IntoFrame | None = None) -> IntoFrame:
        return frame_from(columns, backend_of(self.design.frame if like is None else like))

    def _headed(self, columns: Mapping[str, Any], heading: str) -> IntoFrame:
        """A frame that tells what it is, where frames of this kind can."""
        frame = self._frame(columns)
        if hasattr(frame, "attrs"):
            frame.attrs["heading"] = heading
        return frame

    @abstractmethod
    def _refit(self, formula: str | None = None, **changes: Any) -> FittedModel:
        """This model with something changed; see `Fit.update`."""

    def _with_response(self, engine: Any, y: np.ndarray) -> Self:
        model = model_with_response(self.model, y)
        return type(self)(model=model, control=self.control, engine=engine, kept=self.kept)

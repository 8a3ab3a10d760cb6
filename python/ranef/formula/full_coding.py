"""The fixed effects of a component coded by all levels of their factors, each term for itself.

Such columns depend on each other, which is what they are for: which functions of their coefficients can be estimated
does not depend on the contrasts that a model happens to use.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ranef.data import Table
from ranef.formula.evaluation import Coded, Evaluator
from ranef.formula.frames import NewFrame
from ranef.formula.transforms import Basis

if TYPE_CHECKING:
    from ranef.formula.design import Design

__all__ = ["Effect", "fully_coded"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Effect:
    """A term of the fixed effects.

    Attributes
    ----------
    text : str
        As `FixedPart.term_columns` has it; ``"1"`` for the intercept.
    classes : frozenset of str
        The factors in it.
    continuous : frozenset of str
        What else is in it.
    columns : (n, m) array
    """

    text: str
    classes: frozenset[str]
    continuous: frozenset[str]
    columns: Array

    def within(self, other: Effect) -> bool:
        """Whether it is contained in another: the same numbers, and some of its factors."""
        return self.continuous == other.continuous and self.classes < other.classes


def fully_coded(design: Design, component: str) -> list[Effect]:
    """The terms of a component, in their order; the straight parts of smooths last, as they are in the design."""
    part, terms = design.fixed[component], design.recipe.terms.get(component)
    effects = []
    if terms is not None:
        frame = NewFrame(Table(design.frame, "the data of the fit"), design.recipe.schema)
        evaluator = Evaluator(frame, design.recipe.memory, learn=False)
        for term in terms.fixed:
            blocks: list[list[Array]] = []
            classes, continuous = set(), set()
            for node in term.factors:
                value = evaluator.factor_of_term(node, terms.source)
                if isinstance(value, Coded):
                    classes.add(node.text)
                    blocks.append([(value.factor.codes == k).astype(float) for k in range(len(value.factor.levels))])
                else:
                    continuous.add(node.text)
                    values = value.values if isinstance(value, Basis) else np.asarray(value, float)[:, None]
                    blocks.append(list(values.T))
            columns = [reduce(np.multiply, chosen, np.ones(design.n)) for chosen in product(*blocks)]
            effects.append(Effect(term.text, frozenset(classes), frozenset(continuous), np.column_stack(columns)))
    known = {effect.text for effect in effects}
    for text, places in part.term_columns.items():
        if text not in known:
            effects.append(Effect(text, frozenset(), frozenset([text]), np.asarray(part.x)[:, places]))
    return effects

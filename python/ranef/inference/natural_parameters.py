"""The parameters of a fit that intervals, bootstrap and profile speak of, each with its name and place in the engine.

Fixed effects of every component, standard deviations and correlations of every random-effects term, and the residual
standard deviation or dispersion where that is one number.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ranef.errors import ModelError, did_you_mean
from ranef.fitting import FittedModel
from ranef.inference.variance_components import component_places, coupling_parameters, residual_parameters


@dataclass(frozen=True)
class NaturalParameter:
    """A parameter in the user's units.

    Attributes
    ----------
    kind : {"fixed", "sd", "cor", "coupling", "residual", "sigma"}
    component : str
    group : str or None
        The grouping factor; "Residual" for a residual standard deviation, None for fixed effects.
    term : str
        As in `Fit.tidy`: ``Days``, ``sd__Intercept``, ``cor__Intercept.Days``, ``cor__ar1``, ``sd__Observation``.
    name : str
        The term; where several share it with the component before it (``zi__Intercept``) or the group behind it
        (``sd__Intercept|plate``).
    place : tuple
        The engine's word for it: ("fixed", predictor, column, 0), ("sd", term, column, 0), ("cor", term, i, j),
        ("coupling", term, index, 0).
    position : int or None
        Column among the parameters of the engine's bootstrap; None for sigma and what the residuals' correlation and
        variance functions have.
    """

    kind: str
    component: str
    group: str | None
    term: str
    name: str
    place: tuple[str, int, int, int]
    position: int | None


def natural_parameters(record: FittedModel) -> list[NaturalParameter]:
    """All that are estimated: fixed effects by component, then term by term, sigma last; those held are left out."""
    found: list[NaturalParameter] = []
    sigma: NaturalParameter | None = None
    model, position = record.model, 0
    for component in model.components:
        names, predictor = record.names(component), model.predictor(component)
        if component == "disp" and component not in model.written_components:
            if len(names) == 1:
                place = ("sigma", 0, 0, 0) if model.profiled else ("fixed", predictor, 0, 0)
                if model.has_residual:
                    sigma = NaturalParameter("sigma", "cond", "Residual", "sd__Observation", "sigma", place, None)
                else:
                    sigma = NaturalParameter("sigma", "disp", None, "sigma", "sigma", place, None)
        else:
            for column, name in enumerate(names):
                # Each threshold is the only column of a predictor of its own.
                alone = component == "threshold"
                place = ("fixed", predictor + column, 0, 0) if alone else ("fixed", predictor, column, 0)
                found.append(NaturalParameter("fixed", component, None, name, name, place, position + column))
        position += len(names)
    # The engine's replicates hold all standard deviations and all correlations of a term.
    first: list[int] = []
    for term in record.terms():
        first.append(position)
        width = len(term.names)
        position += width + width * (width - 1) // 2
    for part in component_places(record):
        term = record.terms()[part.term]
        at = first[part.term] + part.index + (len(term.names) if part.kind == "cor" else 0)
        where = (part.kind, part.term, part.first, part.second)
        found.append(NaturalParameter(part.kind, term.component, term.group, part.name, part.name, where, at))
    numbered: Counter[int] = Counter()
    for coupling, parameter in zip(record.engine.couplings, coupling_parameters(record, 1.0), strict=True):
        place = ("coupling", coupling[0], numbered[coupling[0]], 0)
        numbered[coupling[0]] += 1
        component, group, word = parameter.component, parameter.group, parameter.term
        found.append(NaturalParameter("coupling", component, group, word, word, place, position))
        position += 1
    for index, parameter in enumerate(residual_parameters(record)):
        place = ("residual", index, 0, 0)
        component, group, word = parameter.component, parameter.group, parameter.term
        found.append(NaturalParameter("residual", component, group, word, word, place, None))
    if sigma is not None:
        sigma = None if record.held("disp").any() else sigma
    held = {p.place for p, _ in model.assumed.held}
    columns = {model.predictor(c): record.kept[c] for c in model.components if c != "threshold"}

    def is_held(p: NaturalParameter) -> bool:
        kind, first, second, _ = p.place
        return (kind, first, int(columns[first][second]) if kind == "fixed" and first in columns else second) in held

    return [p for p in _named(found) if not is_held(p)] + ([sigma] if sigma is not None else [])


def chosen(parameters: list[NaturalParameter], parm: str | Sequence[str] | None) -> list[NaturalParameter]:
    """Those that `parm` names, by name or term; all for None.

    Raises
    ------
    ModelError
        When a name is not that of a parameter.
    """
    if parm is None:
        return parameters
    wanted = [parm] if isinstance(parm, str) else list(parm)
    known = [p.name for p in parameters]
    for word in wanted:
        if not any(word in (p.name, p.term) for p in parameters):
            raise ModelError(f"parm={word!r} is no parameter of this fit; {did_you_mean(str(word), known)}")
    return [p for p in parameters if p.name in wanted or p.term in wanted]


def _named(parameters: list[NaturalParameter]) -> list[NaturalParameter]:
    """Names made unique: the component, then the group, where the term alone does not tell."""
    by_component = [
        replace(p, name=p.term if p.component == "cond" or p.kind == "residual" else f"{p.component}__{p.term}")
        for p in parameters
    ]
    count = Counter(p.name for p in by_component)
    return [replace(p, name=f"{p.name}|{p.group}") if count[p.name] > 1 and p.group else p for p in by_component]

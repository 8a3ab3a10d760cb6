"""What stands behind predictions of effects in a figure: responses, partial residuals, lines of a group's levels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ranef import links
from ranef.errors import ModelError, did_you_mean
from ranef.fitting import FittedModel
from ranef.inference.marginal_means.margins import blocks
from ranef.inference.marginal_means.slopes import values_at
from ranef.prediction.effects import EffectsTable, effect_rows, kept_for
from ranef.prediction.residuals import observed_response, residuals


def response_layer(record: FittedModel, found: EffectsTable) -> dict[str, Any]:
    """The terms in the rows of the fit, and the response as `y`."""
    if found.kind not in ("response", "conditional"):
        raise ModelError(f"plot(data=True) draws responses; these effects are of kind {found.kind!r}.")
    return {**_terms(found), "y": observed_response(record)}


def residual_layer(
    record: FittedModel, found: EffectsTable, ranef: Any, at: Mapping[str, Any] | None
) -> dict[str, Any]:
    """The terms in the rows of the fit, and as `y` the effect there plus the working residual.

    eta_i + r_i on the scale of the link: eta_i is the linear predictor at the row's values of the terms and the
    reference values of all other variables, r_i = (y - mu) g'(mu) the working residual at the conditional modes. On the
    response's scale mu(eta_i) + r_i mu'(eta_i): with a log link the effect times y / mu.
    """
    if found.kind not in ("response", "conditional", "link"):
        raise ModelError(f"plot(residuals=True) is for kinds 'response' and 'link'; these effects are {found.kind!r}.")
    working = residuals(record, "working")
    variables, names = found.variables, [term.name for term in found.terms]
    values = {name: v[:1] for name, v in values_at(variables, at, "effects").items() if name not in names}
    reference = blocks(record, variables, "reference", [], values)[0].frame
    n = record.nobs
    frame = {name: np.repeat(column[:1], n) for name, column in reference.items()}
    frame |= {name: variables[name].data for name in names}
    keep, _ = kept_for(record, variables, names, ranef)
    smooth = [term.smooth is not None for term in record.terms()]
    rows = effect_rows(record, frame, keep or smooth)
    eta = np.asarray(record.engine.predict(rows, "link", False)[0], float)
    if found.kind == "link":
        return {**_terms(found), "y": eta + working}
    return {**_terms(found), "y": links.inverse(record.link, eta) + working * links.slope(record.link, eta)}


def group_layer(
    record: FittedModel, found: EffectsTable, group: str, ranef: Any, at: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Columns group, the terms, y: predictions for each level of a grouping factor, at the conditional modes.

    A level has lines at those values of the other factors that its rows have.
    """
    known = list(record.ngroups)
    if not isinstance(group, str) or group not in known:
        raise ModelError(f"plot(lines={group!r}): no grouping factor of the model; {did_you_mean(str(group), known)}")
    if found.kind == "probability":
        raise ModelError("plot(lines=) is not for kind 'probability'; take kind='response' or 'link'.")
    variables, names = found.variables, [term.name for term in found.terms]
    place = next(t for t, term in enumerate(record.terms()) if term.group == group)
    parts = variables.groups[place]
    values = {name: v[:1] for name, v in values_at(variables, at, "effects").items() if name not in names}
    values |= {term.name: term.values for term in found.terms}
    grid = blocks(record, variables, "reference", names, values)[0].frame
    size = len(next(iter(grid.values())))
    # Each level, and the values of its parts, in a row of the data that has it.
    codes = np.asarray(record.terms()[place].codes, int) if record.terms()[place].coupling is None else None
    texts = ["/".join(map(str, row)) for row in zip(*(variables[p].data for p in parts), strict=True)]
    if codes is None:
        _, codes = np.unique(texts, return_inverse=True)
    members, first = np.unique(codes, return_index=True)
    frame = {name: np.tile(column, len(members)) for name, column in grid.items()}
    frame |= {part: np.repeat(variables[part].data[first], size) for part in parts if part not in names}
    labels = [
        record.terms()[place].levels[m] if len(record.terms()[place].levels) > m else texts[f]
        for m, f in zip(members, first, strict=True)
    ]
    kept, _ = kept_for(record, variables, names, ranef)
    smooth = [term.smooth is not None for term in record.terms()]
    # With the effects of a level come those of the groups it lies in.
    within = [bool(own) and set(own) <= set(parts) for own in variables.groups]
    keep = [k or w for k, w in zip(kept or smooth, within, strict=True)]
    y = record.engine.predict(effect_rows(record, frame, keep), found.kind, False)[0]
    met = np.ones(size * len(members), bool)
    for name in names:
        if variables[name].is_factor:
            have = set(zip(codes.tolist(), variables[name].data.tolist(), strict=True))
            owner = np.repeat(members, size).tolist()
            met &= np.array([pair in have for pair in zip(owner, frame[name].tolist(), strict=True)])
    return {
        "group": np.repeat(np.array(labels, object), size)[met],
        **{name: np.array(variables[name].shown(frame[name]), object)[met] for name in names},
        "y": np.asarray(y, float)[met],
    }


def _terms(found: EffectsTable) -> dict[str, np.ndarray]:
    return {term.name: found.variables[term.name].data for term in found.terms}

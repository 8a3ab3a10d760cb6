"""Bootstrap replicates as ArviZ's InferenceData, for its summaries and figures."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ranef import _engine
from ranef.fitting import FittedModel
from ranef.inference.natural_parameters import natural_parameters
from ranef.interchange.optional import required

__all__ = ["inference_data", "require"]

#: What the draws are, for whoever finds them under a name that says otherwise.
MEANING = "estimates of parametric bootstrap replicates: their sampling distribution, not a posterior distribution"


def require() -> Any:
    """ArviZ itself; asked for before any work is done for it."""
    return required("arviz", "fit.to_arviz()")


def inference_data(
    record: FittedModel, replicates: Mapping[str, Any], responses: np.ndarray | None, chains: int
) -> Any:
    """Replicates in the groups of InferenceData.

    Parameters
    ----------
    record : FittedModel
    replicates : mapping of str to array
        Columns of the bootstrap.
    responses : array (rows, n) or None
        Responses drawn from the fit, for predictive checks.
    chains : int
        The number of chains that the draws are dealt to.
    """
    arviz = require()
    kept = np.flatnonzero(np.asarray(replicates["converged"], dtype=bool))
    n = len(kept) // chains * chains
    kept = kept[:n]

    def shaped(values: Any) -> np.ndarray:
        """(chain, draw, ...)."""
        values = np.asarray(values, dtype=np.float64)
        return values.reshape(chains, n // chains, *values.shape[1:])

    blocks: dict[str, list[Any]] = {}
    for parameter in natural_parameters(record):
        if parameter.name in replicates:
            blocks.setdefault(parameter.component if parameter.kind == "fixed" else "random", []).append(parameter)
    posterior, coords, dims = {}, {}, {}
    for block, parameters in blocks.items():
        values = np.column_stack([np.asarray(replicates[p.name])[kept] for p in parameters])
        posterior[block] = shaped(values)
        coords[f"{block}_term"] = [p.term if block != "random" else p.name for p in parameters]
        dims[block] = [f"{block}_term"]
    groups: dict[str, dict[str, Any]] = {"posterior": posterior}
    name = record.design.response.name
    response = _in_its_form(record)
    coords["row"] = list(range(record.nobs))
    dims[name] = ["row"]
    groups["observed_data"] = {name: response}
    if responses is not None:
        groups["posterior_predictive"] = {name: shaped(np.asarray(responses).T[kept])}
    groups["sample_stats"] = {"lp": shaped(np.asarray(replicates["loglik"])[kept])}
    found = _made(arviz, groups, coords, dims)
    attributes = {"inference_library": "ranef", "inference_library_version": _engine.__version__, "meaning": MEANING}
    found.attrs.update(attributes)
    return found


def _in_its_form(record: FittedModel) -> np.ndarray:
    response = record.design.response
    if response.form == "proportion" and response.trials is not None:
        return response.y / response.trials
    return np.asarray(response.y, dtype=np.float64)


def _made(
    arviz: Any, groups: dict[str, dict[str, Any]], coords: Mapping[str, Sequence[Any]], dims: dict[str, Any]
) -> Any:
    """The groups by the call of either generation of ArviZ: one argument a group, or all groups in the first."""
    if "posterior" in inspect.signature(arviz.from_dict).parameters:
        return arviz.from_dict(**groups, coords=coords, dims=dims)
    return arviz.from_dict(groups, coords=coords, dims=dims)

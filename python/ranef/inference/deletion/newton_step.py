"""A generalised model without each set of rows: one Newton step of all parameters from the estimates.

With s_j and I_j what the set adds to the score and to the information I, the step to the maximum without it is
- (I - I_j)^-1 s_j. A set changes the contribution of the independent rows around it (`contributions`) to that of what
is left of them.

References: Pregibon (1981), Annals of Statistics 9, 705-724; Xiang, Tse & Lee (2002), Comput. Stat. Data Anal. 40,
759-774.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ranef.errors import ModelError
from ranef.fitting import Control, FittedModel
from ranef.inference.deletion.sets import (
    NO_INFORMATION,
    DeletedSets,
    Without,
    free_block,
    ratio_of_determinants,
    require_uncoupled,
)
from ranef.inference.natural_parameters import NaturalParameter
from ranef.inference.sandwich import compact, contributions, require_scores


def by_newton_step(
    record: FittedModel,
    sets: DeletedSets,
    coefficients: Sequence[NaturalParameter],
    others: int,
    control: Control,
) -> Without:
    """Coefficients of all components after a step from the estimates; `others` further parameters are not told."""
    require_scores(record, "influence(method='one-step')")
    if record.model.assumed.priors or record.model.assumed.tied:
        what = "priors" if record.model.assumed.priors else "tied parameters"
        raise ModelError(f"influence(method='one-step') is not there for models with {what}; use method='exact'.")
    require_uncoupled(record)
    components = independent_rows(record)
    together = _rows_of(components)
    base = contributions(record, together, True, control.threads)
    # Each set changes the contribution of the independent rows around it to that of what is left of them.
    around = [np.unique(components[rows]) for rows in sets.rows]
    rest = [
        np.setdiff1d(np.concatenate([together[c] for c in met]), rows)
        for met, rows in zip(around, sets.rows, strict=True)
    ]
    some = [j for j, rows in enumerate(rest) if len(rows)]
    left = contributions(record, [rest[j] for j in some], True, control.threads) if some else None
    joint = np.asarray(record.engine.vcov_joint, float)
    free = np.isfinite(np.diag(joint))
    scale = np.sqrt(np.diag(joint)[free])
    whole = np.linalg.inv(joint[np.ix_(free, free)] / np.outer(scale, scale))
    places = {name: m for m, name in enumerate(record.engine.joint_names())}
    wanted = [places["beta", p.place[1], p.place[2]] for p in coefficients]
    position = np.cumsum(free) - 1
    count, k = len(sets.rows), len(coefficients)
    change, errors = np.full((count, k), np.nan), np.full((count, k), np.nan)
    mean = [j for j, parameter in enumerate(coefficients) if parameter.component == "cond"]
    covratio = np.full(count, np.nan)
    full = free_block(record, record.covariance_of_estimates("cond"))
    note = [""] * count
    after = {j: i for i, j in enumerate(some)}
    usable = [j for j in range(k) if free[wanted[j]]]
    at = [int(position[wanted[j]]) for j in usable]
    for j, met in enumerate(around):
        score, information = base.scores[met].sum(0), base.information[met].sum(0)
        if j in after and left is not None:
            score = score - left.scores[after[j]]
            information = information - left.information[after[j]]
        remaining = whole - information[np.ix_(free, free)] * np.outer(scale, scale)
        if np.linalg.eigvalsh(remaining).min() < NO_INFORMATION:
            note[j] = "one step does not get there; use method='exact'"
            continue
        inverse = np.linalg.inv(remaining) * np.outer(scale, scale)
        change[j, usable] = (inverse @ score[free])[at]
        errors[j, usable] = np.sqrt(np.diag(inverse)[at])
        if all(free[wanted[m]] for m in mean):
            own = [int(position[wanted[m]]) for m in mean]
            covratio[j] = ratio_of_determinants(inverse[np.ix_(own, own)], full)
    estimate = np.full((count, k + others), np.nan)
    estimates = np.concatenate([np.asarray(beta, float) for beta in record.engine.beta])
    estimate[:, :k] = estimates[wanted] - change
    return Without(estimate, errors, covratio, np.array([not text for text in note], bool), note)


def independent_rows(record: FittedModel) -> np.ndarray:
    """The smallest sets of rows that share no random effects, as codes (n,)."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n, first = record.nobs, record.nobs
    rows, nodes = [], []
    for term in record.terms():
        codes, levels = compact(np.asarray(term.codes))
        rows.append(np.arange(n))
        nodes.append(first + codes)
        first += levels
    if not rows:
        return np.arange(n)
    i, j = np.concatenate(rows), np.concatenate(nodes)
    _, labels = connected_components(coo_array((np.ones(len(i)), (i, j)), shape=(first, first)), directed=False)
    return compact(labels[:n])[0]


def _rows_of(codes: np.ndarray) -> list[np.ndarray]:
    return np.split(np.argsort(codes, kind="stable"), np.cumsum(np.bincount(codes))[:-1])

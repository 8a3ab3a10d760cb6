"""Covariance of the fixed effects that stays right where the model's covariance is wrong: cluster sandwiches.

Rows of different clusters are independent; whatever the dependence and the variances within them are,

    Var(b) ~ M ( sum over clusters of S_j S_j' ) M,    S_j = X_j' W_j A_j e_j,    e = y - X b,

with the working model's W_j = V_j^-1, V_j = Z_j Sigma Z_j' + R_j, and M = (sum X_j' W_j X_j)^-1. CR0 has A_j = I, CR1
multiplies CR0 by G / (G - 1) for G clusters, and CR2 makes the sandwich unbiased where the working model is right:

    A_j = V_j^1/2 B_j^-1/2 V_j^1/2,    B_j = V_j^1/2 (V_j - X_j M X_j') V_j^1/2

(with the symmetric root, from which any other differs by a rotation that A_j does not see). A combination c'b has the
degrees of freedom of Satterthwaite under the working model, and several of them Hotelling's approximation (HTZ) of
Pustejovsky & Tipton: with P_ij(s, t) the working covariance of the residual combinations of clusters i and j,

    df = (sum_j P_jj)^2 / sum_ij P_ij^2,    eta = q (q + 1) / sum_st sum_ij { P_ij(s,s) P_ij(t,t) + P_ij(s,t)^2 },
    (eta - q + 1) / (eta q) Q ~ F(q, eta - q + 1).

Where the likelihood is approximated (generalised models) S_j is the cluster's score, the gradient of the likelihood of
its rows alone with respect to all parameters, M the inverse of the observed information. CR2 then takes the scores of
the component's coefficients in coordinates where their information is I: z_j = L' S_j with L L' its inverse,
whose covariance given the other parameters is H_j (I - H_j) with H_j = L' I_j L and I_j the cluster's information, and
multiplies z_j by (I - H_j)^-1/2. For the linear model with independent rows that is the same as above. (The scores of
variance parameters are left alone, as in linear models: their information differs too much between clusters.)

References: Liang & Zeger (1986), Biometrika 73, 13-22; Bell & McCaffrey (2002), Survey Methodology 28, 169-181;
Pustejovsky & Tipton (2018), J. Bus. Econ. Stat. 36, 672-683; White (1982), Econometrica 50, 1-25.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import narwhals.stable.v2 as nw
import numpy as np

from ranef import _engine
from ranef.errors import DataError, ModelError, did_you_mean
from ranef.fitting import FittedModel
from ranef.formula.grouping import is_nested
from ranef.model import raised_by_engine

KINDS = ("CR0", "CR1", "CR2")
# Clusters between two looks at the keyboard (an interrupt).
PIECE = 500
# A share of the largest eigenvalue below which one is zero: a direction of the residuals that the fit leaves no room.
ZERO = 1e-10


@dataclass(frozen=True, eq=False)
class Clusters:
    """Sets of rows that are independent of each other.

    Attributes
    ----------
    name : str
        The column or grouping factor; "an array" where one was given.
    codes : (n,) int array
    size : int
        Number of clusters.
    """

    name: str
    codes: np.ndarray
    size: int

    def rows(self) -> list[np.ndarray]:
        """The rows of each cluster."""
        order = np.argsort(self.codes, kind="stable")
        return np.split(order, np.cumsum(np.bincount(self.codes, minlength=self.size))[:-1])


@dataclass(frozen=True, eq=False)
class Sandwich:
    """A cluster-robust covariance of some parameters.

    Attributes
    ----------
    kind : str
        One of `KINDS`.
    clusters : Clusters
    covariance : (p, p) array
    own : (G, p, p) array
        For each cluster, what it adds to the variance of the estimates under the working model, were the fixed effects
        known ...
    shared : (G, m, p) array
        ... and C_j, so that P_ij = (own_j if i = j) - C_i' C_j.
    """

    kind: str
    clusters: Clusters
    covariance: np.ndarray
    own: np.ndarray
    shared: np.ndarray

    def of(self, combinations: np.ndarray) -> np.ndarray:
        """Satterthwaite's, of each row of combinations (k, p)."""
        return np.array([2.0 / self._variances(row[None, :])[1] for row in combinations])

    def of_several(self, independent: np.ndarray) -> tuple[float, float]:
        """HTZ's denominator degrees of freedom for rows (q, p) whose estimates are uncorrelated, and what F is
        multiplied by; NaN where the clusters are too few for so many combinations."""
        q = len(independent)
        _, total = self._variances(independent)
        eta = q * (q + 1) / total
        ddf = eta - q + 1
        return (float(ddf), float(ddf / eta)) if ddf > 0.0 else (float("nan"), float("nan"))

    def _variances(self, combinations: np.ndarray) -> tuple[np.ndarray, float]:
        """Expectation of the combinations' covariance under the working model, and the variances of all entries of it,
        summed, once it is scaled to the identity."""
        own = combinations @ self.own @ combinations.T
        shared = self.shared @ combinations.T
        expected = own.sum(0) - np.einsum("gms,gmt->st", shared, shared)
        values, vectors = np.linalg.eigh(expected)
        if not (values > ZERO * max(values.max(initial=0.0), 1e-300)).all():
            return expected, float("nan")
        root = vectors / np.sqrt(values)
        own, shared = root.T @ own @ root, shared @ root
        cross = np.einsum("gms,gmt->gst", shared, shared)
        moments = np.einsum("gas,gbt->stab", shared, shared)
        diagonal, along = np.einsum("gss->gs", own), np.einsum("gss->gs", cross)
        first = diagonal.T @ diagonal - diagonal.T @ along - along.T @ diagonal + (moments**2).sum((2, 3))
        second = (own**2).sum(0) - 2.0 * (own * cross).sum(0) + np.einsum("stab,stba->st", moments, moments)
        return expected, float((first + second).sum())


def sandwich(record: FittedModel, component: str, kind: str, cluster: Any = None) -> Sandwich:
    """A cluster-robust covariance of the fixed effects of a component.

    Parameters
    ----------
    record : FittedModel
    component : str
    kind : {"CR0", "CR1", "CR2"}
    cluster : str or array_like, optional
        A column of the data, a grouping factor, or a value for each row; None: the factor within which all random
        effects are nested.

    Raises
    ------
    ModelError
        For another kind, where no clusters are independent, and where the estimates do not maximise a likelihood whose
        scores the clusters have.
    """
    if kind not in KINDS:
        raise ModelError(f"vcov={kind!r} is not available; give one of {', '.join(map(repr, KINDS))}.")
    if record.model.assumed.priors or record.model.assumed.tied:
        what = "priors" if record.model.assumed.priors else "parameters that are tied"
        raise ModelError(f"vcov={kind!r} is of estimates that the data alone determine; this model has {what}.")
    record.require_component(component)
    clusters = clusters_of(record, cluster)
    if clusters.size < 2:
        raise ModelError(
            f"vcov={kind!r} compares clusters; `{clusters.name}` has one only. Give cluster= a factor with more levels."
        )
    if is_linear(record):
        if component == "cond":
            return linear_sandwich(record, kind, clusters)
        if record.model.linear:
            # The scores of the residuals' parameters are not the mean's; nothing is known rather than the model's word.
            p = len(record.names(component))
            nothing = np.full((clusters.size, p, p), np.nan)
            return Sandwich(kind, clusters, np.full((p, p), np.nan), nothing, nothing)
    return score_sandwich(record, component, kind, clusters)


# -- clusters --------------------------------------------------------------------------------------------------------


def clusters_of(record: FittedModel, cluster: Any = None) -> Clusters:
    """The clusters that a caller names; None: the grouping factor within which all random effects are nested.

    Raises
    ------
    ModelError
        Where the clusters are not independent, naming the factors that cross them.
    """
    factors = _factors(record)
    if cluster is None:
        if not factors:
            raise ModelError(
                "this model has no random effects to tell which rows belong together; name the column: cluster='...'."
            )
        name = min(factors, key=lambda group: int(factors[group][0].max()))
        codes, size = compact(factors[name][0])
        clusters = Clusters(name, codes, size)
    elif isinstance(cluster, str):
        clusters = _named(record, cluster, factors)
    else:
        clusters = _given(record, cluster)
    crossing = [name for name, (codes, _) in factors.items() if not is_nested(codes, clusters.codes)]
    if crossing:
        several = len(crossing) > 1
        listed = ", ".join(f"`{name}`" for name in crossing)
        raise ModelError(
            f"no independent clusters: levels of {listed} have rows in several clusters of `{clusters.name}`, so that "
            f"rows of different clusters share {'their' if several else 'its'} random effects. A cluster has to hold "
            "all rows of every level: give cluster= such a factor, or use fit.bootstrap() for crossed factors."
        )
    return clusters


def _factors(record: FittedModel) -> dict[str, tuple[np.ndarray, tuple[str, ...]]]:
    """Codes and levels of all that makes rows depend on each other."""
    factors: dict[str, tuple[np.ndarray, tuple[str, ...]]] = {}
    for term in record.terms():
        if term.smooth is not None:
            raise ModelError(
                f"no independent clusters: all rows share the curve {term.smooth}. Write it as a fixed effect "
                "(`bs(x, df=5)`) to have a robust covariance."
            )
        if term.coupling is not None:
            raise ModelError(
                f"no independent clusters: the effects of {term.text} depend on each other, so that all rows do."
            )
        factors[term.group] = (np.asarray(term.codes), term.levels)
    found = record.model.correlation
    if found is not None:
        factors.setdefault(found.group, (np.asarray(found.codes), found.levels))
    return factors


def _named(record: FittedModel, name: str, factors: dict[str, tuple[np.ndarray, tuple[str, ...]]]) -> Clusters:
    frame = nw.from_native(record.design.frame, eager_only=True)
    if name in frame.columns:
        values: list[Any] = frame[name].to_list()
    elif name in factors:
        values = factors[name][0].tolist()
    else:
        raise DataError(f"cluster={name!r} is no column of the data; {did_you_mean(name, frame.columns)}")
    return _coded(record, name, values)


def _given(record: FittedModel, values: Any) -> Clusters:
    if not isinstance(values, Iterable) and not hasattr(values, "__array__"):
        raise DataError(f"cluster={values!r}: give the name of a column, or a value for each row")
    listed = np.asarray(values).tolist() if not hasattr(values, "to_list") else values.to_list()
    if not isinstance(listed, list) or any(isinstance(value, list) for value in listed):
        raise DataError("cluster= has several dimensions; give one value per row")
    if len(listed) == record.nobs + record.n_dropped:
        listed = [listed[i] for i in np.asarray(record.design.rows).tolist()]
    if len(listed) != record.nobs:
        raise DataError(f"cluster= has {len(listed)} values; the model was fitted to {record.nobs} rows")
    return _coded(record, "an array", listed)


def _coded(record: FittedModel, name: str, values: list[Any]) -> Clusters:
    places: dict[Any, int] = {}
    codes = np.empty(len(values), int)
    for i, value in enumerate(values):
        if value is None or value != value:
            row = int(np.asarray(record.design.rows)[i])
            raise DataError(f"cluster={name!r} is missing in row {row} (counting from 0); every row needs a cluster.")
        codes[i] = places.setdefault(value, len(places))
    return Clusters(name, codes, len(places))


def compact(codes: np.ndarray) -> tuple[np.ndarray, int]:
    """Codes without gaps, and how many there are."""
    found, compacted = np.unique(np.asarray(codes, np.int64), return_inverse=True)
    return compacted.reshape(-1), len(found)


# -- linear models ---------------------------------------------------------------------------------------------------


def is_linear(record: FittedModel) -> bool:
    """Whether the response is normal about a linear mean, so that its covariance V is known given the parameters."""
    model = record.model
    return (
        model.family.name == "gaussian"
        and model.family.link == "identity"
        and not model.zero_inflated
        and all(term.component == "cond" for term in record.terms())
    )


@dataclass(frozen=True, eq=False)
class WorkingModel:
    """The linear model of the mean with its covariance V = U U' + S K S.

    Attributes
    ----------
    x : (n, p) array
        Columns of the coefficients that are estimated.
    residual : (n,) array
        y - X b, without random effects.
    residual_sd : (n,) array
        S: standard deviation of each row's residual.
    terms : list of (codes, columns)
        For each random-effects term, the level of each row and its columns times Lambda, (n, r).
    correlated : bool
        Whether K is not the identity.
    """

    record: FittedModel
    x: np.ndarray
    residual: np.ndarray
    residual_sd: np.ndarray
    terms: list[tuple[np.ndarray, np.ndarray]]
    correlated: bool

    def effects(self, rows: np.ndarray) -> np.ndarray:
        """U of some rows: a column for each effect that they meet."""
        blocks = [np.zeros((len(rows), 0))]
        for codes, columns in self.terms:
            own, levels = compact(codes[rows])
            block = np.zeros((len(rows), levels, columns.shape[1]))
            block[np.arange(len(rows)), own] = columns[rows]
            blocks.append(block.reshape(len(rows), -1))
        return np.hstack(blocks)

    def correlations(self, clusters: list[np.ndarray]) -> list[np.ndarray] | None:
        """K of the rows of each cluster; None where it is the identity."""
        if not self.correlated:
            return None
        widest = max(len(rows) for rows in clusters)
        inverse = [np.empty((len(rows), len(rows))) for rows in clusters]
        for k in range(widest):
            unit = np.zeros(len(self.residual))
            for rows in clusters:
                if k < len(rows):
                    unit[rows[k]] = 1.0
            column = np.asarray(self.record.engine.whitened(unit), float)
            for rows, block in zip(clusters, inverse, strict=True):
                if k < len(rows):
                    block[:, k] = column[rows]
        return [np.linalg.inv(block.T @ block) for block in inverse]


def working_model(record: FittedModel) -> WorkingModel:
    """The linear model of a normal response at the estimates."""
    model, design, engine = record.model, record.design, record.engine
    free = ~record.held("cond")
    x = np.asarray(design.fixed["cond"].x, float)[:, record.kept["cond"]]
    estimate = record.estimates("cond")
    offset = design.fixed["cond"].offset
    residual = np.asarray(design.response.y, float) - x @ estimate - (0.0 if offset is None else offset)
    sd = np.exp(np.asarray(engine.linear_predictor, float)[:, model.predictor("disp")])
    if model.marginal:
        sd = sd * np.exp(np.asarray(engine.spread(), float))
    if model.likelihood_weights is not None and not model.linear:
        sd = sd / np.sqrt(model.likelihood_weights)
    terms = [
        (np.asarray(term.codes), np.asarray(term.columns, float) @ np.asarray(factor, float))
        for term, factor in zip(record.terms(), engine.factor, strict=True)
    ]
    return WorkingModel(record, x[:, free], residual, sd, terms, model.correlation is not None)


def linear_sandwich(record: FittedModel, kind: str, clusters: Clusters) -> Sandwich:
    """The sandwich of a linear model, cluster by cluster."""
    working = working_model(record)
    rows = clusters.rows()
    correlations = working.correlations(rows)
    p = working.x.shape[1]
    blocks = [_reduced(working, own, None if correlations is None else correlations[j]) for j, own in enumerate(rows)]
    inverses = [np.linalg.inv(v) for _, v, _ in blocks]
    information = np.zeros((p, p))
    for (x, _, _), inverse in zip(blocks, inverses, strict=True):
        information += x.T @ inverse @ x
    bread = np.linalg.inv(information)
    bread = 0.5 * (bread + bread.T)
    root = np.linalg.cholesky(bread)
    meat = np.zeros((p, p))
    own_parts, shared = np.empty((clusters.size, p, p)), np.empty((clusters.size, p, p))
    scale = np.sqrt(clusters.size / (clusters.size - 1.0)) if kind == "CR1" else 1.0
    for j, ((x, v, e), inverse) in enumerate(zip(blocks, inverses, strict=True)):
        multiplier = _adjusted(x, v, bread) if kind == "CR2" else scale * inverse @ x
        score = multiplier.T @ e
        meat += np.outer(score, score)
        along = multiplier @ bread
        own_parts[j] = along.T @ v @ along
        shared[j] = root.T @ x.T @ along
    covariance = bread @ meat @ bread
    return _with_held(record, Sandwich(kind, clusters, covariance, own_parts, shared))


def _reduced(
    working: WorkingModel, rows: np.ndarray, correlation: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """X, V and the residuals of a cluster; of many rows with one residual variance, what the columns of U and X span.

    V and X M X' keep that space, and V is a multiple of the identity outside it, so that nothing else reaches X' W A e.
    """
    x, e, sd, u = working.x[rows], working.residual[rows], working.residual_sd[rows], working.effects(rows)
    if correlation is None and x.shape[1] + u.shape[1] < len(rows) and np.ptp(sd) <= 1e-12 * sd.max():
        left, values, _ = np.linalg.svd(np.hstack([u, x]), full_matrices=False)
        basis = left[:, values > 1e-13 * max(values.max(initial=0.0), 1e-300)]
        x, e, u = basis.T @ x, basis.T @ e, basis.T @ u
        return x, sd[0] ** 2 * np.eye(len(e)) + u @ u.T, e
    inner = np.diag(sd**2) if correlation is None else sd[:, None] * correlation * sd
    return x, inner + u @ u.T, e


def _adjusted(x: np.ndarray, v: np.ndarray, bread: np.ndarray) -> np.ndarray:
    """A' V^-1 X with the A of CR2."""
    values, vectors = np.linalg.eigh(v)
    root = (vectors * np.sqrt(values)) @ vectors.T
    inverse_root = (vectors / np.sqrt(values)) @ vectors.T
    middle = root @ (v - x @ bread @ x.T) @ root
    return root @ _inverse_root(middle) @ inverse_root @ x


def _inverse_root(matrix: np.ndarray) -> np.ndarray:
    """The Moore-Penrose inverse of the symmetric root."""
    values, vectors = np.linalg.eigh(0.5 * (matrix + matrix.T))
    kept = values > ZERO * max(values.max(initial=0.0), 1e-300)
    return (vectors[:, kept] / np.sqrt(values[kept])) @ vectors[:, kept].T


def _with_held(record: FittedModel, found: Sandwich) -> Sandwich:
    """The same for all coefficients: those that are held vary with nothing."""
    free = ~record.held("cond")
    if free.all():
        return found
    p = len(free)
    covariance = np.zeros((p, p))
    covariance[np.ix_(free, free)] = found.covariance
    own, shared = np.zeros((found.clusters.size, p, p)), np.zeros((found.clusters.size, found.shared.shape[1], p))
    own[:, np.ix_(free, free)[0], np.ix_(free, free)[1]] = found.own
    shared[:, :, free] = found.shared
    return Sandwich(found.kind, found.clusters, covariance, own, shared)


# -- likelihoods that are approximated -------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Contributions:
    """What sets of rows contribute to a likelihood: (sets,) log-likelihoods, (sets, m) scores with respect to all
    parameters in the order of the engine's `joint_names`, (sets, m, m) information (of no sets, if not asked for)."""

    loglik: np.ndarray
    scores: np.ndarray
    information: np.ndarray


def contributions(
    record: FittedModel, sets: list[np.ndarray], information: bool, threads: int | None = None
) -> Contributions:
    """Contributions of sets of rows, each of which shares no random effects with rows outside it."""
    threads = record.control.threads if threads is None else threads
    parts: list[dict[str, Any]] = []
    for first in range(0, len(sets), PIECE):
        piece = sets[first : first + PIECE]
        starts = np.concatenate([[0], np.cumsum([len(rows) for rows in piece])]).tolist()
        rows = np.concatenate(piece).astype(np.uint32)
        try:
            parts.append(_engine.contributions(record.engine, rows, starts, information, threads))
        except _engine.EngineError as error:
            raise raised_by_engine(error, record.design) from None
    return Contributions(
        np.concatenate([part["loglik"] for part in parts]),
        np.concatenate([part["gradient"].T for part in parts]),
        np.concatenate([part["information"] for part in parts]) if information else np.empty((0, 0, 0)),
    )


def require_scores(record: FittedModel, what: str) -> None:
    """Refuse estimates that do not maximise a likelihood in all fixed effects."""
    model = record.model
    if model.method != "ml":
        raise ModelError(
            f"{what} needs the scores of the clusters, which a restricted likelihood does not have; "
            "fit with reml=False."
        )
    if not model.linear and model.quadrature == 0:
        raise ModelError(
            f"{what} needs the maximum of the likelihood in the fixed effects, which quadrature=0 does not look for; "
            "leave quadrature out."
        )


# Of fits that are still in use, by clusters: every component of a table asks for the same.
_KEPT: WeakKeyDictionary[FittedModel, list[tuple[np.ndarray, Contributions]]] = WeakKeyDictionary()


def score_sandwich(record: FittedModel, component: str, kind: str, clusters: Clusters) -> Sandwich:
    """The sandwich of the clusters' scores."""
    require_scores(record, f"vcov={kind!r}")
    found = _cluster_scores(record, clusters)
    joint = np.asarray(record.engine.vcov_joint, float)
    free = np.flatnonzero(np.isfinite(np.diag(joint)))
    scores = found.scores[:, free]
    information = found.information[:, free][:, :, free]
    bread = joint[np.ix_(free, free)]
    predictors = record.model.predictors(component)
    names = record.engine.joint_names()
    wanted = [m for m, (what, k, _) in enumerate(names) if what == "beta" and k in predictors]
    # A coefficient at the edge of its space has no place among the free parameters.
    places = {int(place): row for row, place in enumerate(free)}
    block = [places[w] for w in wanted if w in places]
    known = [j for j, w in enumerate(wanted) if w in places]
    p, m, count = len(wanted), len(block), clusters.size
    root = _scaled_root(_scaled_inverse(_scaled_inverse(bread)[np.ix_(block, block)]))
    back = np.linalg.inv(root).T
    meat = np.zeros((m, m))
    own, shared = np.zeros((count, p, p)), np.zeros((count, m, p))
    middle = np.eye(m) * (np.sqrt(count / (count - 1.0)) if kind == "CR1" else 1.0)
    others = 1.0 if kind != "CR1" else np.sqrt(count / (count - 1.0))
    for j in range(count):
        share = root.T @ information[j][np.ix_(block, block)] @ root
        share = 0.5 * (share + share.T)
        if kind == "CR2":
            middle = _inverse_root(np.eye(m) - share)
        score = others * scores[j]
        score[block] = back @ middle @ root.T @ scores[j, block]
        change = bread[block] @ score
        meat += np.outer(change, change)
        # Degrees of freedom hold the other parameters at their estimates, as those of linear models do.
        outward = middle @ root.T
        own[np.ix_([j], known, known)] = outward.T @ share @ outward
        shared[j][:, known] = share @ outward
    covariance = np.full((p, p), np.nan)
    covariance[np.ix_(known, known)] = meat
    return Sandwich(kind, clusters, covariance, own, shared)


def _scaled_inverse(matrix: np.ndarray) -> np.ndarray:
    """The inverse of a symmetric matrix whose parameters may be of very different sizes."""
    scale = np.sqrt(np.diag(matrix))
    return np.asarray(np.linalg.inv(matrix / np.outer(scale, scale)) / np.outer(scale, scale))


def _scaled_root(covariance: np.ndarray) -> np.ndarray:
    """L with L L' a covariance whose parameters may be of very different sizes."""
    scale = np.sqrt(np.diag(covariance))
    values, vectors = np.linalg.eigh(covariance / np.outer(scale, scale))
    return scale[:, None] * vectors * np.sqrt(values.clip(min=0.0))


def _cluster_scores(record: FittedModel, clusters: Clusters) -> Contributions:
    """Contributions of the clusters, with their information."""
    kept = _KEPT.setdefault(record, [])
    for codes, found in kept:
        if np.array_equal(codes, clusters.codes):
            return found
    found = contributions(record, clusters.rows(), True)
    kept.append((clusters.codes, found))
    return found

"""Variance of a mixed model's linear predictor split into its sources: R-squared and intraclass correlation.

    fixed         var(X beta) over the rows, smooths included, offset left out
    random        sum over terms of the mean over rows of z_i' Sigma z_i (Johnson 2014)
    dispersion    the same of effects with a level for each row (observation-level effects), outside Gaussian models
    distribution  what the distribution of the response adds on the scale of the link, below

    R2 marginal = fixed / total,   R2 conditional = (fixed + random) / total
    ICC adjusted = random / (random + dispersion + distribution),   ICC unadjusted = random / total

Distribution, the mean over rows of

    identity link                       Var(y)
    latent (binomial, betabinomial,     pi^2/3 (logit), 1 (probit), pi^2/6 (cloglog, loglog): the variance of the
      cumulative)                       latent variable of one trial; a betabinomial adds 1 / ((1 + phi) mu (1 - mu))
    log link                            with c = Var(y) / E(y)^2:  log(1 + c) (lognormal), c (delta), trigamma(1/c)
    other links                         Var(y) g'(mu)^2 (delta); also for binomial responses, of one trial

E(y) and Var(y) are those of the family, zero inflation and truncation included, with this model's dispersion, at the
mean of the null model: the same model with an intercept for its fixed effects, averaged over its random effects,
mu_0 = E g^-1(beta_0 + offset + b), b ~ N(0, v_0), v_0 its total random variance: exp(beta_0 + v_0 / 2) for a log link.

References: Nakagawa & Schielzeth (2013), Methods in Ecology and Evolution 4, 133-142; Johnson (2014), ibid. 5, 944-946;
Nakagawa, Johnson & Schielzeth (2017), Journal of the Royal Society Interface 14, 20170213.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ranef import _engine, links
from ranef.errors import ModelError
from ranef.fitting import Control, FittedModel, fit_model
from ranef.formula.design import FixedPart, RandomTerm
from ranef.inference.bootstrap import bootstrap, bootstrap_interval
from ranef.inference.variance_components import covariances
from ranef.inference.wald import quantile
from ranef.model import Model
from ranef.newdata import engine_rows

# Variance of the latent variable behind a binary response, by link.
LATENT = {"logit": np.pi**2 / 3.0, "probit": 1.0, "cloglog": np.pi**2 / 6.0, "loglog": np.pi**2 / 6.0}
LOG_LINK = ("lognormal", "delta", "trigamma")
# Links at which the mean of a normal linear predictor exists and the delta method can be used.
SMOOTH_LINKS = ("sqrt", "logit", "probit", "cloglog", "loglog")
# Effects whose variance differs from place to place, so that no one number belongs to a row.
WITHOUT_ONE_VARIANCE = ("car", "icar", "rw1", "rw2")
INTERVALS = (None, "bootstrap")


@dataclass(frozen=True)
class Decomposition:
    """Variances on the scale of the link.

    Attributes
    ----------
    approximation : str
        How `distribution` was got: "exact", "theoretical", "lognormal", "delta", "trigamma".
    fixed : float
    random : dict of str to float
        By grouping factor.
    dispersion, distribution : float
    """

    approximation: str
    fixed: float
    random: Mapping[str, float]
    dispersion: float
    distribution: float

    @property
    def all_random(self) -> float:
        """Variance of all random effects but those that stand for dispersion."""
        return float(sum(self.random.values()))

    @property
    def total(self) -> float:
        """Variance of all sources."""
        return self.fixed + self.all_random + self.dispersion + self.distribution

    @property
    def marginal(self) -> float:
        """Share of the fixed effects."""
        return self.fixed / self.total

    @property
    def conditional(self) -> float:
        """Share of fixed and random effects."""
        return (self.fixed + self.all_random) / self.total


def decompose(
    record: FittedModel, approximation: str | None = None, null: FittedModel | None = None
) -> list[Decomposition]:
    """The sources of variance, once for each approximation asked for (one, or all for "all")."""
    known = approximations(record)
    if approximation is None:
        wanted: Sequence[str] = known[:1]
    elif approximation == "all":
        wanted = known
    elif approximation in known:
        wanted = (approximation,)
    else:
        raise ModelError(
            f"approximation={approximation!r}: for {record.model.family!r} give {', '.join(map(repr, known))} or 'all'"
        )
    random, dispersion = random_variances(record)
    fixed = fixed_variance(record)
    if null is None and any(needs_null(record, how) for how in wanted):
        null = null_fit(record)
    return [Decomposition(how, fixed, random, dispersion, distribution(record, how, null)) for how in wanted]


def approximations(record: FittedModel) -> tuple[str, ...]:
    """The ways to the distribution's variance that this family and link have, the default first.

    Raises
    ------
    ModelError
        Where there is none.
    """
    family, link = record.model.family, record.link
    if family.engine is not None:
        family.require("mean", "the variance explained")
        family.require("variance", "the variance explained")
    if link == "log":
        return LOG_LINK
    if record.model.zero_inflated:
        raise ModelError(
            f"the variance explained is not defined for a zero-inflated {family.name} with link {link}: a zero that "
            "comes from elsewhere has no place on that scale. It is with link='log'."
        )
    if link == "identity":
        return ("exact",)
    if family.counts_trials or family.ordinal:
        if link not in LATENT:
            raise ModelError(
                f"the variance explained is not defined for {family.name} with link {link}, whose latent variable has "
                f"no finite variance; links with one: {', '.join(LATENT)}, log."
            )
        return ("theoretical",) if family.ordinal else ("theoretical", "delta")
    if family.support == "closed_unit" or link not in SMOOTH_LINKS:
        why = "its link leads out of the range of a linear predictor. It is with link='log'"
        if family.support == "closed_unit":
            why = "the bounds have probabilities of their own"
        raise ModelError(f"the variance explained is not defined for {family.name} with link {link}: {why}.")
    return ("delta",)


def needs_null(record: FittedModel, approximation: str) -> bool:
    """Whether the mean of the null model enters."""
    if approximation == "exact":
        return record.family not in ("gaussian", "student_t", "skewnormal")
    return approximation != "theoretical" or record.family == "betabinomial"


def null_fit(record: FittedModel) -> FittedModel:
    """The model with an intercept for the fixed effects of its mean, and all else as it is."""
    design, own = record.design, record.design.fixed["cond"]
    terms = tuple(t for t in design.random if t.smooth is None or t.component != "cond")
    if own.names == ("Intercept",) and len(terms) == len(design.random):
        return record
    fixed = FixedPart("cond", np.ones((design.n, 1)), ("Intercept",), own.offset, {"1": [0]}, True)
    assumed = record.model.assumed
    mean = record.model.predictor("cond")
    about_mean = {("fixed", mean, j) for j in range(own.x.shape[1])}
    assumed = replace(
        assumed,
        priors=tuple(a for a in assumed.priors if a.parameter.place not in about_mean),
        held=tuple((p, value) for p, value in assumed.held if p.place not in about_mean),
        tied=tuple(pair for pair in assumed.tied if pair[0].place not in about_mean),
    )
    design = replace(design, fixed={**design.fixed, "cond": fixed}, random=terms, smooths=())
    model: Model = replace(record.model, design=design, assumed=assumed)
    control = replace(record.control, progress=False)
    engine, kept = fit_model(model, control)
    return FittedModel(model=model, control=control, engine=engine, kept=kept)


def fixed_variance(record: FittedModel) -> float:
    """Sample variance of the fixed part of the mean's predictor, smooths included, offset left out."""
    keep = [term.smooth is not None for term in record.terms()]
    rows = engine_rows(record, None, keep)
    place = record.model.predictor("cond")
    if record.design.fixed["cond"].offset is not None:
        rows["offset"][place] = None
    eta = np.asarray(record.engine.predict(rows, "link", False)[0], float)
    return float(np.var(eta, ddof=1))


def random_variances(record: FittedModel) -> tuple[dict[str, float], float]:
    """Mean variance of the random effects of the mean by grouping factor; that of effects with a level for each row."""
    groups: dict[str, float] = {}
    dispersion = 0.0
    for term, sigma in zip(record.terms(), covariances(record), strict=True):
        if term.component != "cond" or term.smooth is not None:
            continue
        variance = mean_variance(term, sigma)
        if record.family != "gaussian" and stands_for_dispersion(term, record.nobs):
            dispersion += variance
        else:
            groups[term.group] = groups.get(term.group, 0.0) + variance
    return groups, dispersion


def stands_for_dispersion(term: RandomTerm, rows: int) -> bool:
    """Whether a term is an intercept with a level for each row."""
    return term.coupling is None and len(term.levels) == rows and term.names == ("Intercept",)


def mean_variance(term: RandomTerm, sigma: np.ndarray) -> float:
    """Mean over rows of z' Sigma z."""
    if term.structure in WITHOUT_ONE_VARIANCE:
        raise ModelError(
            f"{term.text}: the variance of its effects differs from place to place, so that it has no share of its own."
        )
    if term.coupling is not None:
        known = term.coupling.known
        scale = 1.0
        if known is not None:
            if known.covariance is None:
                raise ModelError(
                    f"{term.text}: the variance of each level follows from the inverse of its precision matrix, which "
                    "is not computed; give the covariance matrix instead."
                )
            own = np.diag(known.covariance)[term.coupling.coordinates[:, 0].astype(int)]
            scale = float(own[np.asarray(term.codes).astype(np.int64)].mean())
        z = term.columns if term.columns.shape[1] == sigma.shape[0] and len(term.names) > 1 else np.ones((1, 1))
        return scale * float(np.einsum("ij,jk,ik->i", z, sigma, z).mean())
    z = np.asarray(term.columns, float)
    return float(np.einsum("ij,jk,ik->i", z, sigma, z).mean())


def distribution(record: FittedModel, approximation: str, null: FittedModel | None) -> float:
    """Variance that the distribution of the response adds on the scale of the link."""
    if approximation == "exact" and null is None:
        own = np.asarray(record.engine.variance([False] * len(record.terms())), float)
        if not np.isfinite(own).all():
            raise ModelError(
                f"the variance of {record.family} is infinite at this fit: it has no share that is explained."
            )
        return float(own.mean())
    if approximation == "theoretical" and record.family != "betabinomial":
        return float(LATENT[record.link])
    assert null is not None
    if approximation == "theoretical":
        rows, eta = rows_at_null(record, null)
        mu = links.inverse(record.link, eta)
        phi = np.asarray(record.engine.predict(rows, "dispersion", False)[0], float)
        slope = links.slope(record.link, eta)
        return float(LATENT[record.link] + (mu * (1.0 - mu) / (1.0 + phi) / slope**2).mean())
    rows, eta = rows_at_null(record, null)
    mean = np.asarray(record.engine.predict(rows, "response", False)[0], float)
    variance = variance_at(record, rows)
    if record.link == "log":
        c = variance / mean**2
        if approximation == "delta":
            return float(c.mean())
        if approximation == "lognormal":
            return float(np.log1p(c).mean())
        from scipy.special import polygamma

        return float(polygamma(1, 1.0 / c).mean())
    return float((variance / links.slope(record.link, eta) ** 2).mean())


def rows_at_null(record: FittedModel, null: FittedModel) -> tuple[dict[str, Any], np.ndarray]:
    """This model's rows, with the mean's predictor at that of the null model's mean, and that predictor."""
    groups, dispersion = random_variances(null)
    spread = sum(groups.values()) + dispersion
    offset = null.design.fixed["cond"].offset
    base = float(null.estimates("cond")[0]) + (np.zeros(record.nobs) if offset is None else np.asarray(offset, float))
    if record.link == "log":
        eta = base + 0.5 * spread
    elif record.link == "identity":
        eta = base
    else:
        eta = _predictor_of_mean(record.link, base, spread)
    rows = engine_rows(record, None, [False] * len(record.terms()))
    place = record.model.predictor("cond")
    rows["x"][place] = np.zeros_like(rows["x"][place])
    rows["offset"][place] = eta
    return rows, eta


def variance_at(record: FittedModel, rows: Mapping[str, Any]) -> np.ndarray:
    """Var(y) of the family at the linear predictors of these rows, (n,)."""
    # The engine's variance of a model in which nothing is left to estimate.
    spec = record.model.spec()
    parts = zip(record.model.components, rows["x"], rows["offset"], record.engine.beta, strict=True)
    spec["predictors"] = []
    for component, x, offset, beta in parts:
        eta = x[:, record.kept[component]] @ np.asarray(beta, float) + (0.0 if offset is None else offset)
        spec["predictors"].append({"component": component, "x": np.zeros((record.nobs, 0)), "offset": eta})
    nothing: dict[str, Any] = {"terms": [], "groups": [], "method": "ml", "penalties": [], "held": [], "tied": []}
    if spec["trials"] is not None:
        # Of one trial, whatever the outcome.
        nothing |= {"trials": None, "y": np.zeros(record.nobs)}
    return np.asarray(_engine.Model(spec | nothing).fit({}).variance([]), float)


def _predictor_of_mean(link: str, base: np.ndarray, spread: float) -> np.ndarray:
    """g(E g^-1(base + N(0, spread))), by Gauss-Hermite quadrature."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    distinct, place = np.unique(base, return_inverse=True)
    points = links.inverse(link, distinct[:, None] + np.sqrt(spread) * nodes)
    means = points @ (weights / weights.sum())
    return np.array([_engine.predictor_at(link, float(mean)) for mean in means])[place]


# -- columns for frames ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Interval:
    """How intervals are formed; none for kind None."""

    kind: str | None = None
    n: int = 500
    seed: int | None = None
    level: float = 0.95
    threads: int | None = None
    progress: bool | None = None

    def __post_init__(self) -> None:
        if self.kind not in INTERVALS:
            raise ModelError(f"interval={self.kind!r}: give 'bootstrap' or None")
        quantile(self.level)


def r2(record: FittedModel, approximation: str | None, interval: Interval) -> dict[str, list[Any]]:
    """Columns approximation, marginal, conditional; with an interval the ends of both."""
    parts = decompose(record, approximation)
    columns: dict[str, list[Any]] = {
        "approximation": [p.approximation for p in parts],
        "marginal": [p.marginal for p in parts],
        "conditional": [p.conditional for p in parts],
    }

    def values(found: list[Decomposition]) -> dict[str, float]:
        marginal = {f"marginal {p.approximation}": p.marginal for p in found}
        return marginal | {f"conditional {p.approximation}": p.conditional for p in found}

    ends = _intervals(record, approximation, interval, parts, values)
    for name in ("marginal", "conditional") if ends else ():
        columns[f"{name}_low"] = [ends[f"{name} {p.approximation}"][0] for p in parts]
        columns[f"{name}_high"] = [ends[f"{name} {p.approximation}"][1] for p in parts]
    return columns


def icc(record: FittedModel, by_group: bool, approximation: str | None, interval: Interval) -> dict[str, list[Any]]:
    """Columns approximation, adjusted, unadjusted; by group too, and with an interval the ends of both."""
    parts = decompose(record, approximation)
    if not parts[0].random:
        raise ModelError("icc(): this model has no random effects of groups; the intraclass correlation is theirs.")
    words = list(parts[0].random) if by_group else [None]

    def numbers(found: Decomposition, group: str | None) -> tuple[float, float]:
        own = found.all_random if group is None else found.random[group]
        return own / (found.total - found.fixed), own / found.total

    pairs = [(p, group) for p in parts for group in words]
    columns: dict[str, list[Any]] = {"approximation": [p.approximation for p, _ in pairs]}
    if by_group:
        columns["group"] = [group for _, group in pairs]
    columns["adjusted"] = [numbers(p, group)[0] for p, group in pairs]
    columns["unadjusted"] = [numbers(p, group)[1] for p, group in pairs]

    def values(found: list[Decomposition]) -> dict[str, float]:
        both = {}
        for p in found:
            for group in words:
                for name, value in zip(("adjusted", "unadjusted"), numbers(p, group), strict=True):
                    both[f"{name} {p.approximation} {group}"] = value
        return both

    ends = _intervals(record, approximation, interval, parts, values)
    for name in ("adjusted", "unadjusted") if ends else ():
        for k, end in enumerate(("low", "high")):
            columns[f"{name}_{end}"] = [ends[f"{name} {p.approximation} {group}"][k] for p, group in pairs]
    return columns


def shares(record: FittedModel, approximation: str | None) -> dict[str, list[Any]]:
    """Columns approximation, source, group, variance, share."""
    columns: dict[str, list[Any]] = {name: [] for name in ("approximation", "source", "group", "variance", "share")}
    for p in decompose(record, approximation):
        sources: list[tuple[str, str | None, float]] = [("fixed", None, p.fixed)]
        sources += [("random", group, variance) for group, variance in p.random.items()]
        sources += [("dispersion", None, p.dispersion), ("distribution", None, p.distribution)]
        for source, group, variance in sources:
            row = (p.approximation, source, group, variance, variance / p.total)
            for column, value in zip(columns.values(), row, strict=True):
                column.append(value)
    return columns


def r2_of(record: FittedModel) -> dict[str, float]:
    """Both R-squared of a fit, a statistic for the bootstrap."""
    found = decompose(record)[0]
    return {"marginal": found.marginal, "conditional": found.conditional}


def icc_of(record: FittedModel) -> dict[str, float]:
    """Both intraclass correlations of a fit, a statistic for the bootstrap."""
    found = decompose(record)[0]
    return {"adjusted": found.all_random / (found.total - found.fixed), "unadjusted": found.all_random / found.total}


# By the names that the bootstrap has for them.
STATISTICS = {"r2": r2_of, "icc": icc_of}


def _intervals(
    record: FittedModel, approximation: str | None, interval: Interval, parts: list[Decomposition], values: Any
) -> dict[str, tuple[float, float]]:
    """Percentile intervals of a parametric bootstrap, in which the null model is fitted to each response too."""
    if interval.kind is None:
        return {}
    null = null_fit(record) if any(needs_null(record, p.approximation) for p in parts) else None

    def wrap(engine: Any, y: np.ndarray) -> tuple[FittedModel, FittedModel | None]:
        drawn = replace(record, engine=engine)
        if null is None:
            return drawn, None
        trials = record.design.response.trials
        below = engine if null is record else null.engine.refit(np.asarray(y, float), trials, Control().for_engine())
        return drawn, replace(null, engine=below)

    columns, _ = bootstrap(
        record,
        interval.n,
        lambda pair: values(decompose(pair[0], approximation, pair[1])),
        interval.seed,
        interval.threads,
        interval.progress,
        wrap,
    )
    good = np.asarray(columns["converged"], bool)
    estimates = values(parts)
    return {
        name: bootstrap_interval(estimates[name], np.asarray(columns[name], float)[good], interval.level)
        for name in estimates
    }

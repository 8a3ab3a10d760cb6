"""The model: what would be fitted, checked and printable before any fitting.

y_i | b ~ family(mu_i, phi_i, pi_i),   g_k(parameter_k) = X_k beta_k + Z_k b_k + offset_k,   b_t ~ N(0, Sigma_t)

One linear predictor per component (`cond` for the mean, `disp` and `shape` for the family's further parameters, `zi`
for the probability of an excess zero), each with its own fixed and random effects. The component `threshold` has a
predictor for each of its coefficients, which all have the one column that is one in every row.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np

from ranef import _engine
from ranef.correlations import catalogue as correlations
from ranef.covariances import catalogue as covariances
from ranef.errors import DataError, ModelError
from ranef.families import Family, predictor_at
from ranef.formula.design import Design, FixedPart, RandomTerm, build_design
from ranef.formula.residual import CorrelationPart, residual_formula
from ranef.frames import IntoFrame
from ranef.prior import Prior
from ranef.variance_functions import catalogue as variance_functions

COMPONENTS = ("cond", "zi", "disp", "shape", "threshold")

# Standard deviation that stands for "no residual variance" (dispersion = "~ 0"): the fourth root of the spacing of
# floating-point numbers at one, glmmTMB's choice. Exactly zero would make the density of a row infinite.
NO_RESIDUAL_SD = 2.0**-13

# Quadrature takes points^effects evaluations of every row.
MOST_EFFECTS = 3
MOST_NODES = 10_000

# The coefficients of the thresholds of a response on [0, 1]: what lies on either side of them.
BETWEEN = ("0|between", "between|1")

# Structures that leave every column its own free variance; added to a residual variance they repeat it when each
# level has one row. The others (ar1, exp, ...) are told from noise by their correlations.
FREE_VARIANCE = ("us", "diag", "homdiag")
# What covariance structures may be told besides their columns.
OPTIONS = {"rr": ("d",)}


@dataclass(frozen=True)
class Named:
    """A parameter of the model by a name.

    Attributes
    ----------
    kind : {"fixed", "sd", "log_sd", "sigma", "cor"}
    component : str
    place : tuple
        The engine's word for it: ("fixed", predictor, column), ("sd", term, column), ("cor", term, 0). Columns are
        those of the design, aliased ones included.
    name : str
    """

    kind: str
    component: str
    place: tuple[str, int, int]
    name: str


@dataclass(frozen=True)
class AssumedPrior:
    """A parameter and its prior density."""

    parameter: Named
    prior: Prior


@dataclass(frozen=True, eq=False)
class Assumed:
    """What the caller says of parameters besides the data.

    Attributes
    ----------
    priors : tuple of AssumedPrior
    held : tuple of (Named, float)
        Values in the user's units.
    correlations : dict of int to array
        Known correlation matrices by term.
    tied : tuple of (Named, Named)
        Pairs that are equal.
    """

    priors: tuple[AssumedPrior, ...] = ()
    held: tuple[tuple[Named, float], ...] = ()
    correlations: Mapping[int, np.ndarray] = field(default_factory=dict)
    tied: tuple[tuple[Named, Named], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.priors or self.held or self.correlations or self.tied)

    def held_columns(self, predictor: int) -> tuple[int, ...]:
        """The columns of a predictor whose coefficients are held."""
        return tuple(p.place[2] for p, _ in self.held if p.place[:2] == ("fixed", predictor))

    def of_mean(self) -> str | None:
        """What is assumed of coefficients of the mean, in a word or two; None where nothing is."""

        def concerns(parameters: Iterable[Named]) -> bool:
            return any(p.component == "cond" and p.place[0] == "fixed" for p in parameters)

        if concerns(p for p, _ in self.held):
            return "held at values"
        if concerns(p for pair in self.tied for p in pair):
            return "tied"
        return "under a prior" if concerns(a.parameter for a in self.priors) else None

    def spec(self) -> dict[str, Any]:
        """As the engine takes it."""
        scales = {"log_sd": "log", "sigma": "exp"}
        return {
            "penalties": [
                (a.parameter.place, scales.get(a.parameter.kind, "identity"), a.prior.density, list(a.prior.numbers))
                for a in self.priors
            ],
            "held": [(p.place, float(np.log(value)) if p.kind == "sigma" else value) for p, value in self.held],
            "tied": [(first.place, second.place) for first, second in self.tied],
        }


@dataclass(frozen=True, eq=False)
class Model:
    """A family, its design matrices and the criterion, ready for the engine.

    Attributes
    ----------
    family : Family
        Distribution of the response and link of its mean.
    design : Design
        Response, fixed and random parts of every component, and how to replay them on new data.
    method : {"ml", "reml"}
        The likelihood that is maximised; "reml" integrates the fixed effects out.
    linear : bool
        Whether this is the linear mixed model of `lmm`, whose weights are precision weights.
    quadrature : int
        Points of adaptive Gauss-Hermite quadrature; 1 is Laplace's approximation, 0 puts the fixed effects of the mean
        into the search for the conditional modes.
    arguments : mapping
        What the caller asked for, by the names of `lmm` or `glmm`, data and control left out; `update` starts from it.
    assumed : Assumed
        Priors, held values and equalities of parameters.
    """

    family: Family
    design: Design
    method: str
    linear: bool
    quadrature: int = 1
    arguments: Mapping[str, Any] = field(default_factory=dict)
    assumed: Assumed = field(default_factory=Assumed)

    @property
    def profiled(self) -> bool:
        """Whether fixed effects and residual variance are profiled out: not where effects are coupled or something is
        assumed of parameters, where Laplace's approximation takes its place (exact, in a linear model)."""
        coupled = any(term.coupling is not None for term in self.design.random)
        return self.linear and not coupled and not self.assumed

    @property
    def components(self) -> tuple[str, ...]:
        """Components with a linear predictor, in the engine's order: cond, disp, shape, zi."""
        return (*self.family.components, *(("zi",) if "zi" in self.design.fixed else ()))

    @property
    def written_components(self) -> tuple[str, ...]:
        """Components the caller wrote a formula for; the rest are a single constant (reported by `sigma`)."""
        asked = {"disp": self.arguments.get("dispersion"), "shape": self.arguments.get("shape")}
        return tuple(
            c
            for c in COMPONENTS
            if c in self.components and (c not in asked or not is_constant(asked[c], self.design, c))
        )

    @property
    def has_residual(self) -> bool:
        """Whether there is a residual variance to report.

        Gaussian with a constant, estimated dispersion; in a model of `lmm` also the one that its dispersion multiplies.
        """
        if self.marginal:
            return True
        estimated = self.family.fixed_parameter("disp") is None
        return self.family.name == "gaussian" and "disp" not in self.written_components and estimated

    @property
    def marginal(self) -> bool:
        """Whether a model of `lmm` has correlated residuals, or residuals of modelled size."""
        disp = self.design.fixed.get("disp")
        constant = disp is None or (disp.x.shape[1] == 1 and disp.has_intercept and disp.offset is None)
        return self.profiled and (self.design.residual is not None or not constant)

    @property
    def correlation(self) -> CorrelationPart | None:
        """The correlation of the residuals; None where they are independent."""
        return None if self.design.residual is None else self.design.residual.correlation

    @property
    def zero_inflated(self) -> bool:
        """Whether the model has a zero-inflation component."""
        return "zi" in self.components

    @property
    def likelihood_weights(self) -> np.ndarray | None:
        """Weights as the engine applies them, (n,); None without weights and where they are numbers of trials."""
        if self.design.response.form == "proportion" or (self.linear and not self.profiled):
            return None
        return self.design.weights

    @property
    def weights_meaning(self) -> str | None:
        """What the weights do, in words; None without weights."""
        design = self.design
        if self.arguments.get("weights") is None:
            return None
        name = design.weights_name or "given as an array"
        if self.linear:
            return f"{name} (precision weights: residual variance sigma^2 / w)"
        if self.likelihood_weights is None:
            return f"{name} (numbers of trials)"
        return f"{name} (multiply each row's log-likelihood)"

    @property
    def method_in_words(self) -> str:
        """The criterion as a summary states it."""
        return self.criterion_in_words + (", with priors (posterior mode)" if self.assumed.priors else "")

    @property
    def criterion_in_words(self) -> str:
        """The likelihood as a summary states it."""
        if self.linear:
            return "REML" if self.method == "reml" else "maximum likelihood"
        how = "Laplace approximation" if self.design.random else "no random effects"
        if self.family.name == "gaussian":
            how = "exact"
        elif self.quadrature > 1:
            how = f"adaptive Gauss-Hermite quadrature, {self.quadrature} points"
        elif self.quadrature == 0:
            how = "Laplace approximation, fixed effects at their joint mode with the random effects"
        return f"REML ({how})" if self.method == "reml" else f"maximum likelihood ({how})"

    def predictor(self, component: str) -> int:
        """Position of a component (of its first predictor) among the engine's linear predictors."""
        return self.predictors(component)[0]

    def predictors(self, component: str) -> range:
        """Positions of a component's predictors: several for thresholds, else one."""
        widths = [len(self.design.fixed[c].names) if c == "threshold" else 1 for c in self.components]
        place = self.components.index(component)
        first = sum(widths[:place])
        return range(first, first + widths[place])

    def by_predictor(self, blocks: Mapping[str, Any]) -> list[Any]:
        """Columns by component, as a list with those of each of the engine's predictors."""
        found: list[Any] = []
        for component in self.components:
            block = blocks[component]
            if component == "threshold":
                found += [block[:, [j]] for j in range(block.shape[1])]
            else:
                found.append(block)
        return found

    def fixed_predictors(self) -> list[float | None]:
        """Per predictor, the constant it is fixed at, None where it is estimated.

        A parameter that the family was given with a value, and the log of a residual standard deviation near zero for
        ``dispersion="~ 0"``.
        """
        found: list[float | None] = []
        for component in self.components:
            constant = None
            given = self.family.fixed_parameter(component)
            if given is not None:
                constant = predictor_at(*given)
            elif component == "disp" and self.without_residual:
                constant = float(np.log(NO_RESIDUAL_SD))
            found += [constant] * len(self.predictors(component))
        return found

    @property
    def without_residual(self) -> bool:
        """Whether the dispersion was left out by ``dispersion="~ 0"``."""
        if "disp" not in self.components or self.family.fixed_parameter("disp") is not None:
            return False
        part = self.design.fixed["disp"]
        return part.x.shape[1] == 0 and part.offset is None

    def owner_of_residual_parameter(self, index: int) -> str:
        """The text of the variance function or correlation that a parameter of the residuals belongs to."""
        part = self.design.residual
        texts = [s.text for s in (part.spreads if part else ()) for _ in range(2 if s.function == "constpower" else 1)]
        return texts[index] if index < len(texts) or self.correlation is None else self.correlation.text

    def spec(self) -> dict[str, Any]:
        """The model as plain values and arrays, the way the engine takes it."""
        design = self.design
        predictors = []
        # A likelihood with correlated residuals is one of dense columns.
        whole = {
            c: np.asarray(design.fixed[c].x, float) if self.marginal else design.fixed[c].x for c in self.components
        }
        columns = self.by_predictor(whole)
        named = [c for c in self.components for _ in self.predictors(c)]
        for component, x, constant in zip(named, columns, self.fixed_predictors(), strict=True):
            offset = design.fixed[component].offset if constant is None else np.full(design.n, constant)
            if component == "disp" and self.linear and not self.profiled and design.weights is not None:
                offset = -0.5 * np.log(design.weights) + (0.0 if offset is None else offset)
            predictors.append({"component": component, "x": x, "offset": offset})
        groups: dict[str, int] = {}
        group_specs: list[dict[str, Any]] = []
        terms: list[dict[str, Any]] = []
        for place, term in enumerate(design.random):
            # The places of a coupled term are levels of its own.
            group = term.group if term.coupling is None else f"{term.group} {place}"
            if group not in groups:
                groups[group] = len(group_specs)
                group_specs.append({"codes": np.asarray(term.codes, np.uint32), "levels": term.size})
            terms.append(
                {
                    "predictor": self.predictor(term.component),
                    "group": groups[group],
                    "columns": np.asarray(term.columns, float),
                    "covariance": {"name": sizes_of(term), **term.options, **self.known_correlation(place)},
                    "coupling": None if term.coupling is None else term.coupling.spec(),
                }
            )
        return {
            "family": {
                "name": self.family.name,
                "link": self.family.link,
                "zero_inflated": self.zero_inflated,
                "categories": len(design.response.levels or ()) if self.family.ordinal else None,
                "thresholds": self.family.thresholds,
                "custom": self.family.engine,
            },
            "y": np.asarray(design.response.y, float),
            "trials": design.response.trials,
            "weights": self.likelihood_weights,
            "predictors": predictors,
            "groups": group_specs,
            "terms": terms,
            "method": self.method,
            "quadrature": self.quadrature,
            "profiled": self.profiled,
            "residual": self.residual_spec() if self.marginal else None,
            **self.assumed.spec(),
        }

    def residual_spec(self) -> dict[str, Any]:
        """The residuals as the engine takes them: independent blocks of rows, correlation, variance functions."""
        part = self.design.residual
        correlation = None
        if part is not None and part.correlation is not None:
            found = part.correlation
            correlation = {
                "name": found.structure,
                "groups": found.codes,
                "places": found.places,
                "orders": found.orders,
                "nugget": found.nugget,
                "occasions": len(found.occasions),
                "largest": found.largest,
                "distance": found.distance,
            }
        spreads = () if part is None else part.spreads
        return {
            "blocks": outermost_group(self.design),
            "correlation": correlation,
            "spreads": [{"name": s.function, "covariate": s.covariate} for s in spreads],
        }

    def known_correlation(self, term: int) -> dict[str, np.ndarray]:
        """The Cholesky factor of a term's correlation matrix, where that is known."""
        matrix = self.assumed.correlations.get(term)
        return {} if matrix is None else {"correlation": np.linalg.cholesky(matrix)}

    def __str__(self) -> str:
        design = self.design
        lines = [f"{self.family!r}, {self.method_in_words}", f"cond: {design.formula}"]
        lines += [f"{c}: {text}" for c, text in design.component_formulas.items() if c != "cond"]
        lines.append(f"{design.n} rows ({design.n_dropped} dropped)")
        for component in self.components:
            lines.append(f"{component}: {design.fixed[component].x.shape[1]} fixed effects")
        for term in design.random:
            lines.append(
                f"{term.component}: {term.text}: {len(term.levels)} levels x {len(term.names)} "
                f"({', '.join(term.names)}), {term.structure}"
            )
        return "\n".join(lines)


def sizes_of(term: RandomTerm) -> str:
    """The structure of the factor Lambda of a term: that of a coupled one holds the sizes of its effects only."""
    if term.coupling is None:
        return term.structure
    return "unit" if term.structure == "equalto" else "us"


def is_constant(formula: str | None, design: Design, component: str) -> bool:
    """Whether a component is one estimated constant: no formula was given, or it says no more than ``~ 1``."""
    if formula is None:
        return True
    part = design.fixed[component]
    alone = part.x.shape[1] == 1 and part.has_intercept and part.offset is None
    return alone and not any(term.component == component for term in design.random)


def build_model(
    formula: str,
    data: IntoFrame,
    *,
    family: Family,
    linear: bool,
    reml: bool | None,
    quadrature: int = 1,
    zi: str | None = None,
    dispersion: str | None = None,
    shape: str | None = None,
    weights: Any = None,
    offset: Any = None,
    contrasts: Mapping[str, Any] | None = None,
    missing: str = "drop",
    matrices: Mapping[str, Any] | None = None,
    correlation: str | None = None,
    arguments: Mapping[str, Any] | None = None,
) -> Model:
    """Build the design of every component and refuse what cannot be fitted.

    Raises
    ------
    DataError, FormulaError, ModelError
        Naming the column, term or argument at fault.
    """
    if reml is not None and not isinstance(reml, bool | np.bool_):
        raise ModelError(f"reml={reml!r}: give True or False.")
    residual = None
    if linear:
        residual = residual_formula(correlation, dispersion, correlations(), variance_functions())
        dispersion = residual.dispersion
    components = component_formulas(family, zi=zi, dispersion=dispersion, shape=shape)
    design = build_design(
        formula,
        data,
        response_kind=response_kind(family),
        components=components,
        weights=weights,
        offset=offset,
        contrasts=contrasts,
        missing=missing,
        covariances=tuple(covariances()),
        matrices=matrices,
        residual=residual,
    )
    if reml is None:
        reml = bool(design.smooths) and quadrature == 1
    require_integrable(design, method="reml" if reml else "ml", quadrature=quadrature)
    if "threshold" in family.components:
        design = replace(design, fixed={**design.fixed, "threshold": thresholds_of(family, design)})
    model = Model(
        family=family,
        design=design,
        method="reml" if reml else "ml",
        linear=linear,
        quadrature=quadrature,
        arguments=dict(arguments or {}),
    )
    tied = [term.text for term in design.random if term.coupling is not None]
    if design.residual is not None and tied:
        raise ModelError(
            f"the effects of {tied[0]} are tied to each other, which goes with independent residuals only: leave out "
            "correlation= and the variance functions, or put the correlation into one of the two."
        )
    require_fittable(model)
    if model.profiled:
        require_dispersion_of_lmm(model)
    return model


def require_dispersion_of_lmm(model: Model) -> None:
    """Refuse dispersions that have no sigma to multiply, or random effects."""
    part, asked = model.design.fixed["disp"], model.arguments.get("dispersion")
    if any(term.component == "disp" for term in model.design.random):
        raise ModelError(
            f"dispersion={asked!r}: rf.lmm has no random effects in the dispersion; use rf.glmm(..., "
            "family='gaussian')."
        )
    if not part.has_intercept:
        raise ModelError(
            f"dispersion={asked!r}: rf.lmm needs the intercept, which is log(sigma); leave out the 0 or - 1. Standard "
            "deviations of the other groups are ratios to sigma."
        )
    if model.marginal:
        outermost_group(model.design)


def outermost_group(design: Design) -> np.ndarray:
    """Codes of the groups that are independent of each other, (n,) uint32: those in which all others are nested.

    Raises
    ------
    ModelError
        When some grouping factor is not nested in the others.
    """
    factors: dict[str, tuple[np.ndarray, tuple[str, ...]]] = {}
    for term in design.random:
        factors[term.group] = (np.asarray(term.codes), term.levels)
    found = None if design.residual is None else design.residual.correlation
    if found is not None:
        factors.setdefault(found.group, (np.asarray(found.codes), found.levels))
    if not factors:
        return np.arange(design.n, dtype=np.uint32)
    outer, (codes, outer_levels) = min(factors.items(), key=lambda item: len(item[1][1]))
    for name, (inner, levels) in factors.items():
        pairs = np.unique(inner.astype(np.int64) * len(outer_levels) + codes)
        owners = np.bincount(pairs // len(outer_levels), minlength=len(levels))
        if (owners > 1).any():
            k = int(np.flatnonzero(owners > 1)[0])
            homes = [outer_levels[pair % len(outer_levels)] for pair in pairs if pair // len(outer_levels) == k]
            raise ModelError(
                f"grouping factor `{name}` is not nested in `{outer}`: `{name}` {levels[k]!r} has rows in `{outer}` "
                f"{homes[0]!r} and {homes[1]!r}. With correlation= or dispersion= the groups of rf.lmm, those of the "
                "random effects and of the correlation, must be nested in one another. For crossed factors put the "
                "structure into a random-effects term of rf.glmm, as in ar1(0 + time | g)."
            )
    return codes.astype(np.uint32)


def response_kind(family: Family) -> str:
    """How the left side of the formula is to be read for this family."""
    if family.counts_trials:
        return "binomial"
    return "ordinal" if family.ordinal else "numeric"


def thresholds_of(family: Family, design: Design) -> FixedPart:
    """The component `threshold`: a column of ones for each of its coefficients."""
    levels = design.response.levels
    names = threshold_names(family.thresholds or "flexible", levels) if family.ordinal and levels else BETWEEN
    ones = np.broadcast_to(1.0, (design.n, len(names)))
    return FixedPart("threshold", ones, names, None, {name: [j] for j, name in enumerate(names)}, False)


def threshold_names(structure: str, levels: Sequence[str]) -> tuple[str, ...]:
    """Names of the coefficients behind the thresholds between categories, as R's ordinal package has them.

    Examples
    --------
    >>> threshold_names("flexible", ["low", "middle", "high"])
    ('low|middle', 'middle|high')
    >>> threshold_names("symmetric", ["1", "2", "3", "4", "5"])
    ('central.1', 'central.2', 'spacing.1')
    """
    count = len(levels) - 1
    if structure == "equidistant":
        return ("threshold.1", "spacing")[:count]
    if structure == "symmetric":
        central = ("central",) if count % 2 else ("central.1", "central.2")
        return (*central, *(f"spacing.{k}" for k in range(1, (count - 1) // 2 + 1)))
    return tuple(f"{low}|{high}" for low, high in pairwise(levels))


def component_formulas(
    family: Family, *, zi: str | None, dispersion: str | None, shape: str | None
) -> dict[str, str | None]:
    """One-sided formula of every component besides the mean, refusing those the family does not have."""
    formulas: dict[str, str | None] = {}
    has = set(family.components)
    for component, argument, formula in (("disp", "dispersion", dispersion), ("shape", "shape", shape)):
        given = family.fixed_parameter(component)
        if given is not None and formula is not None:
            name, value = given[0].name, given[1]
            raise ModelError(
                f"{argument}={formula!r}: {name} has the value {value:g} in {family!r}, so there is nothing to model. "
                f"Leave out {argument}, or {name} in the family."
            )
        if given is not None:
            formulas[component] = "~ 0"
        elif component in has:
            formulas[component] = formula or "~ 1"
        elif formula is not None:
            raise ModelError(
                f"{argument}={formula!r}: {family.name} has no {argument} parameter; its parameters are "
                f"{', '.join(f'{p.name} ({p.component})' for p in family.parameters)}. Leave {argument} out."
            )
    if zi is not None:
        if not family.zero_inflation:
            raise ModelError(
                f"zi={zi!r}: {family.name} cannot be zero-inflated; leave zi out or choose a count family."
            )
        formulas["zi"] = zi
    return formulas


def require_fittable(model: Model) -> None:
    """Refuse models whose parameters cannot be told apart, before any number is computed."""
    design = model.design
    n = design.n
    for term in design.random:
        require_structure(term)
    if model.profiled and design.weights is not None and (zero := np.flatnonzero(design.weights == 0)).size:
        raise DataError(
            f"weights `{design.weights_name}` are 0 in row {int(design.rows[zero[0]])} (counting from 0): a residual "
            "variance of sigma^2 / w would be infinite. Drop the row, or use rf.glmm, whose weights multiply the "
            "log-likelihood."
        )
    fixed_dispersion = model.without_residual or model.family.fixed_parameter("disp") is not None
    if model.without_residual and model.family.name != "gaussian":
        raise ModelError(
            f'dispersion="~ 0" leaves out the residual variance of a Gaussian model; {model.family.name} needs its '
            'dispersion: write "~ 1" or leave the argument out.'
        )
    if model.family.name != "gaussian":
        return
    for term in design.random:
        if model.without_residual and term.structure == "rr" and term.options.get("d", 2) < len(term.names):
            raise ModelError(
                f'`{term.text}` with dispersion="~ 0": {term.options.get("d", 2)} latent variables cannot explain '
                f"{len(term.names)} columns without a residual. Leave dispersion out."
            )
    y = design.response.y
    if n > 1 and np.ptp(y) == 0.0:
        raise DataError(
            f"response `{design.response.name}` is {y[0]:g} in all {n} rows: nothing to explain; check the column."
        )
    if fixed_dispersion or any(term.component == "disp" for term in design.random):
        return
    x = design.fixed["cond"].x
    if x.shape[1] >= n and np.linalg.matrix_rank(np.asarray(x, float)) >= n:
        raise ModelError(
            f"the fixed effects have {x.shape[1]} columns for {n} rows: they fit the response exactly, "
            "which leaves nothing for the residual. Take terms out of the formula or collect more rows."
        )
    for term in design.random:
        if term.component == "cond" and term.structure in FREE_VARIANCE:
            require_separable(term, n)


def require_integrable(design: Design, *, method: str, quadrature: int) -> None:
    """Refuse quadrature where the integral is not one of few dimensions for each level of a single factor."""
    if quadrature == 1:
        return
    if method == "reml":
        raise ModelError(
            f"quadrature={quadrature} with reml=True: the fixed effects are integrated out by Laplace's approximation "
            "only. Leave one of the two arguments out."
        )
    if quadrature == 0:
        return
    for term in design.random:
        if term.coupling is not None:
            raise ModelError(
                f"quadrature={quadrature}: the effects of {term.text} depend on each other, so that they cannot be "
                "integrated out one level at a time. Leave quadrature out."
            )
    groups = list(dict.fromkeys(term.group for term in design.random))
    if len(groups) != 1:
        found = f"the model has {len(groups)}: {', '.join(groups)}" if groups else "the model has none"
        raise ModelError(
            f"quadrature={quadrature} needs the random effects of one grouping factor; {found}. "
            "Leave quadrature out: Laplace's approximation takes any number of factors."
        )
    effects = sum(len(term.names) for term in design.random)
    if effects > MOST_EFFECTS:
        raise ModelError(
            f"quadrature={quadrature} takes up to {MOST_EFFECTS} random effects a level; {groups[0]} has {effects} "
            f"({', '.join(name for term in design.random for name in term.names)}). Take columns out of the terms, or "
            "leave quadrature out."
        )
    if quadrature**effects > MOST_NODES:
        raise ModelError(
            f"quadrature={quadrature} with {effects} random effects a level makes {quadrature**effects} nodes for each "
            f"row; at most {MOST_NODES} are allowed. Use quadrature={int(MOST_NODES ** (1 / effects))} or fewer."
        )


def require_structure(term: RandomTerm) -> None:
    """Refuse options that a covariance structure does not have, and a rank that is none."""
    allowed = OPTIONS.get(term.structure, ())
    for name in term.options:
        if name not in allowed:
            what = f"only {', '.join(allowed)}" if allowed else "no options"
            raise ModelError(f"`{term.text}`: {term.structure}() takes {what}; leave `{name}` out.")
    rank, width = term.options.get("d"), len(term.names)
    if rank is not None and not (isinstance(rank, int) and not isinstance(rank, bool) and 1 <= rank <= width):
        raise ModelError(
            f"`{term.text}`: d is the number of latent variables behind {width} columns; give a whole number from 1 to "
            f"{width}, not {rank!r}."
        )


def require_separable(term: RandomTerm, n: int) -> None:
    """Refuse a Gaussian term that has as many random effects as there are rows."""
    levels, width = len(term.levels), len(term.names)
    if levels >= n:
        raise ModelError(
            f"grouping factor {term.group} has {levels} levels for {n} rows: the variance of {term.text} cannot be "
            'separated from the residual. Drop the term, or use rf.glmm(..., dispersion="~ 0") to let it stand for '
            "the residual."
        )
    if levels * width >= n:
        raise ModelError(
            f"term {term.text} has {levels} levels x {width} columns = {levels * width} random effects for {n} rows: "
            "its variances cannot be separated from the residual. Take columns out of the term, or use "
            'rf.glmm(..., dispersion="~ 0") to let it stand for the residual.'
        )


def what_takes_it(families: list[str], zero_inflation: bool) -> str:
    """What to do about a response that the family refuses: other families that take all of it, or zero inflation."""
    shown = ", ".join(families[:4]) + (" and others" if len(families) > 4 else "")
    ways = ['add zi="~ 1", which models the zeros'] if zero_inflation else []
    if families:
        ways.append(f"choose a family that takes every value of this response: {shown}")
    return f"Correct the row, or {'; or '.join(ways)}." if ways else "Correct the row."


def raised_by_engine(error: _engine.EngineError, design: Design) -> ValueError:
    """An engine's refusal in the words of the caller's data.

    The engine speaks of row numbers of the arrays it was given; those are mapped to rows of the caller's frame.
    """
    kind, message, details = error.args
    if kind == "response":
        row = int(design.rows[details["row"]])
        return DataError(
            f"response `{design.response.name}` is {details['value']:g} in row {row} (counting from 0); {message}. "
            + what_takes_it(details["families"], details["zero_inflation"])
        )
    return DataError(message) if kind == "data" else ModelError(message)

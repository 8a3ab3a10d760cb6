"""Estimates that are linear in the coefficients of a fit, or made so by the delta method, with their covariance.

Each estimate has a gradient with respect to the fixed effects of one or more components, and to the bending parts of
smooths. Where one component is concerned and no smooth, its covariance and degrees of freedom are those of
`ranef.inference.contrasts.Denominator`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from ranef.errors import ModelError
from ranef.fitting import FittedModel
from ranef.inference.contrasts import Denominator, JointTest, denominator
from ranef.inference.marginal_means.testing import USUAL, Testing
from ranef.newdata import LEFT_OUT

# A gradient is estimable where its part along the null space of X is below this share of its length.
_ESTIMABLE = 1e-6
# Kinds of prediction that give the linear predictor of a component with its standard error.
_PREDICTORS = {"cond": "link", "zi": "zlink"}


@dataclass(frozen=True, eq=False)
class LinearFunctions:
    """Estimates with their gradients.

    Attributes
    ----------
    record : FittedModel
    estimate : (k,) array
    fixed : dict of str to (k, p) array
        Gradient with respect to the columns of each component, aliased ones included.
    bent : dict of int to (k, p_t) array
        Gradient with respect to the coefficients of the penalised terms of smooths, by place of the term.
    spread : dict of int to (k, number of theta) array
        Gradient with respect to the covariance parameters of random-effects terms, of means over their distribution;
        left out where there are smooths too.
    testing : Testing
        Which covariance and degrees of freedom.
    """

    record: FittedModel
    estimate: np.ndarray
    fixed: Mapping[str, np.ndarray]
    bent: Mapping[int, np.ndarray] = field(default_factory=dict)
    spread: Mapping[int, np.ndarray] = field(default_factory=dict)
    testing: Testing = USUAL

    def __len__(self) -> int:
        return len(self.estimate)

    def combined(self, weights: np.ndarray, estimate: np.ndarray | None = None) -> LinearFunctions:
        """Linear combinations, a row of `weights` (m, k) each; their values, where they are not just combined."""
        return replace(
            self,
            estimate=weights @ self.estimate if estimate is None else estimate,
            fixed={c: weights @ block for c, block in self.fixed.items()},
            bent={t: weights @ block for t, block in self.bent.items()},
            spread={t: weights @ block for t, block in self.spread.items()},
        )

    def rows(self, places: Any) -> LinearFunctions:
        """Some of them."""
        return replace(
            self,
            estimate=self.estimate[places],
            fixed={c: block[places] for c, block in self.fixed.items()},
            bent={t: block[places] for t, block in self.bent.items()},
            spread={t: block[places] for t, block in self.spread.items()},
        )

    @cached_property
    def estimable(self) -> np.ndarray:
        """Whether each means the same whichever of the columns that depend on each other were left out, (k,)."""
        found = np.ones(len(self), bool)
        for component, block in self.fixed.items():
            null = null_space(self.record, component)
            if null.shape[1]:
                size = np.linalg.norm(block, axis=1)
                found &= np.linalg.norm(block @ null, axis=1) <= _ESTIMABLE * np.where(size > 0.0, size, 1.0)
        return found

    @cached_property
    def covariance(self) -> np.ndarray:
        """Covariance of the estimates, (k, k)."""
        if self._tests is not None:
            block = self._single
            return np.asarray(block @ self._tests.covariance @ block.T)
        if not self._bending:
            block, joint = self._joint
            return np.asarray(block @ joint @ block.T)
        k = len(self)
        first, second = np.triu_indices(k)
        each = self._variances(np.eye(k))
        both = self._variances(np.eye(k)[first] + np.eye(k)[second])
        found = np.zeros((k, k))
        found[first, second] = found[second, first] = 0.5 * (both - each[first] - each[second])
        found[np.arange(k), np.arange(k)] = each
        return found

    @cached_property
    def std_error(self) -> np.ndarray:
        """Standard errors, (k,); NaN where an estimate is not estimable."""
        if self._tests is not None:
            found = self._tests.std_errors(self._single)
        elif not self._bending:
            block, joint = self._joint
            found = np.sqrt(np.einsum("ij,jk,ik->i", block, joint, block).clip(min=0.0))
        else:
            found = np.sqrt(self._variances(np.eye(len(self))))
        return np.where(self.estimable, found, np.nan)

    @cached_property
    def df(self) -> np.ndarray:
        """Degrees of freedom of each, (k,)."""
        if self.testing.number is not None:
            return np.full(len(self), self.testing.number)
        found = np.full(len(self), np.inf)
        if self._tests is not None:
            moves = self.estimable & (np.abs(self._single).max(axis=1, initial=0.0) > 0.0)
            if moves.any():
                found[moves] = self._tests.degrees_of_freedom(self._single[moves])
        return found

    @property
    def tested_by(self) -> str | None:
        """How tests get their covariance and degrees of freedom, in words; None for the fit's own and the normal."""
        if self.testing.number is not None:
            return f"Degrees of freedom: {self.testing.number:g}, as given"
        if self._tests is None or (self._tests.method == "asymptotic" and self.testing.vcov is None):
            return None
        return f"Degrees of freedom: {self._tests.method} ({self._tests.reason})"

    def joint_test(self, null: float = 0.0) -> JointTest:
        """Test that all of them are `null`."""
        from scipy.special import chdtrc, fdtrc

        if self._tests is not None and self.testing.number is None:
            block = self._single
            constant = self.estimate - block @ self._tests.estimate
            return self._tests.joint_test(block, null - constant)
        values, vectors = np.linalg.eigh(self.covariance)
        kept = values > 1e-10 * max(values.max(initial=0.0), 1e-300)
        rank = int(kept.sum())
        chi_square = float(((vectors[:, kept].T @ (self.estimate - null)) ** 2 / values[kept]).sum())
        ddf = self.testing.number
        if ddf is not None and np.isfinite(ddf):
            f = chi_square / rank
            return JointTest(f, rank, ddf, float(fdtrc(rank, ddf, f)))
        return JointTest(chi_square, rank, float("inf"), float(chdtrc(rank, chi_square)))

    # -- where the covariance comes from -----------------------------------------------------------------------------

    @cached_property
    def _components(self) -> list[str]:
        """Components that the estimates depend on; the first, where they depend on none."""
        scale = max((np.abs(block).max(initial=0.0) for block in self.fixed.values()), default=0.0)
        moving = [c for c, block in self.fixed.items() if np.abs(block).max(initial=0.0) > 1e-13 * scale]
        return moving or list(self.fixed)[:1]

    @cached_property
    def _bending(self) -> bool:
        return any(np.abs(block).max(initial=0.0) > 0.0 for block in self.bent.values())

    @cached_property
    def _tests(self) -> Denominator | None:
        spreads = any(np.abs(block).max(initial=0.0) > 0.0 for block in self.spread.values())
        if self._bending or spreads or len(self._components) != 1:
            if self.testing.vcov is not None:
                more = "smooths" if self._bending else "the variances of the random effects"
                if len(self._components) != 1:
                    more = f"several components ({', '.join(self._components)})"
                raise ModelError(
                    f"vcov={self.testing.vcov!r} is of the fixed effects of one component; these estimates depend on "
                    f"{more}."
                )
            return None
        asked = self.testing
        return denominator(self.record, self._components[0], asked.method, asked.vcov, asked.cluster)

    def _kept(self, component: str) -> np.ndarray:
        return np.asarray(self.fixed[component][:, self.record.kept[component]])

    @cached_property
    def _single(self) -> np.ndarray:
        return self._kept(self._components[0])

    @cached_property
    def _joint(self) -> tuple[np.ndarray, np.ndarray]:
        """Gradient with respect to all parameters concerned, and their joint covariance."""
        places = {name: m for m, name in enumerate(self.record.engine.joint_names())}
        blocks, wanted = [], []
        for component in self._components:
            predictors = self.record.model.predictors(component)
            block = self._kept(component)
            names = (
                [("beta", predictors[0], j) for j in range(block.shape[1])]
                if len(predictors) == 1
                else [("beta", k, 0) for k in predictors]
            )
            known = [j for j, name in enumerate(names) if name in places]
            blocks.append(block[:, known])
            wanted += [places[names[j]] for j in known]
        joint = np.asarray(self.record.engine.vcov_joint, float)
        for t, block in self.spread.items():
            for j in range(block.shape[1]):
                place = places.get(("theta", t, j))
                # On the edge of the parameter space a variance has no standard error, and is taken as known.
                if place is not None and np.isfinite(joint[place, place]):
                    blocks.append(block[:, [j]])
                    wanted.append(place)
        return np.hstack(blocks), joint[np.ix_(wanted, wanted)]

    def _variances(self, weights: np.ndarray) -> np.ndarray:
        """Variances of combinations (m, k) of estimates that depend on smooths, (m,), asked of the engine.

        A combination is the linear predictor of a row that has the gradient as its columns. Where several components
        are concerned, it is the mean response of a row at which every predictor has a fixed value, with its columns
        divided by the slope of the mean there.
        """
        record = self.record
        rows = self.combined(weights)
        m = len(rows)
        components = self._components + [
            record.terms()[t].component for t, block in self.bent.items() if np.abs(block).max(initial=0.0) > 0.0
        ]
        components = list(dict.fromkeys(components))
        x = {c: np.zeros((m, record.design.fixed[c].x.shape[1])) for c in record.model.components}
        columns = [np.zeros((m, len(term.names))) for term in record.terms()]
        codes = [np.full(m, LEFT_OUT, np.int64) for _ in record.terms()]
        offsets: list[Any] = [None] * sum(len(record.model.predictors(c)) for c in record.model.components)
        if len(components) == 1:
            kind = _PREDICTORS.get(components[0])
            if kind is None:
                raise ModelError(
                    f"there are no standard errors of smooths in the component {components[0]!r}, only in 'cond' and "
                    "'zi'."
                )
            slopes = {components[0]: 1.0}
        else:
            kind = "response"
            base = np.asarray(record.engine.linear_predictor, float).mean(axis=0)
            slopes = _slopes_of_mean(record, base)
        for component in components:
            slope = slopes.get(component, 0.0)
            if slope == 0.0:
                raise ModelError(f"the mean does not depend on the component {component!r} at its average.")
            if component in rows.fixed:
                x[component] = rows.fixed[component] / slope
            centre = x[component][:, record.kept[component]] @ record.estimates(component)
            for t, block in rows.bent.items():
                if record.terms()[t].component == component:
                    columns[t], codes[t] = block / slope, np.zeros(m, np.int64)
                    centre = centre + columns[t] @ np.asarray(record.engine.modes[t], float)[0]
            if kind == "response":
                place = record.model.predictor(component)
                offsets[place] = base[place] - centre
        if kind == "response":
            for component in record.model.components:
                for place in record.model.predictors(component):
                    if offsets[place] is None:
                        offsets[place] = np.full(m, base[place])
        design = {"x": record.model.by_predictor(x), "offset": offsets, "codes": codes, "columns": columns}
        _, std_error = record.engine.predict(design, kind, True)
        return np.asarray(std_error, float) ** 2


def _slopes_of_mean(record: FittedModel, base: np.ndarray) -> dict[str, float]:
    """Derivatives of the mean response with respect to every component's predictor, at one value of each."""
    h = 1e-3
    steps = np.array([-2.0, -1.0, 1.0, 2.0])
    weights = np.array([1.0, -8.0, 8.0, -1.0]) / (12.0 * h)
    found = {}
    for component in record.model.components:
        place = record.model.predictor(component)
        x = {c: np.zeros((4, record.design.fixed[c].x.shape[1])) for c in record.model.components}
        offsets = [np.full(4, value) for value in base]
        offsets[place] = offsets[place] + h * steps
        design = {
            "x": record.model.by_predictor(x),
            "offset": offsets,
            "codes": [np.full(4, LEFT_OUT, np.int64) for _ in record.terms()],
            "columns": [np.zeros((4, len(term.names))) for term in record.terms()],
        }
        found[component] = float(weights @ np.asarray(record.engine.predict(design, "response", False)[0], float))
    return found


def null_space(record: FittedModel, component: str) -> np.ndarray:
    """Combinations of columns that are zero in every row of the fit, (p, number aliased), of unit length."""
    x = np.asarray(record.design.fixed[component].x, float)
    kept = np.asarray(record.kept[component], int)
    left_out = np.setdiff1d(np.arange(x.shape[1]), kept)
    if component == "threshold" or not len(left_out):
        return np.zeros((x.shape[1], 0))
    weights, *_ = np.linalg.lstsq(x[:, kept], x[:, left_out], rcond=None)
    null = np.zeros((x.shape[1], len(left_out)))
    null[kept] = -weights
    null[left_out, np.arange(len(left_out))] = 1.0
    return np.asarray(null / np.linalg.norm(null, axis=0))

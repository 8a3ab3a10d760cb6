"""Which of two models is a special case of the other, and what kind of test that makes.

A model is nested in a larger one when every distribution of the data that it allows is allowed by the larger: its fixed
effects lie in the space spanned by the larger model's, and its random effects have covariances that the larger model's
can take. Where the smaller model has a variance at zero, which the larger one estimates, the likelihood ratio is not
chi-square: with one such variance it is the half-and-half mixture of chi-squares with k - 1 and k degrees of freedom
(Self & Liang 1987, Journal of the American Statistical Association 82, 605-610; Stram & Lee 1994, Biometrics 50,
1171-1177).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ranef.fitting import FittedModel
from ranef.formula.design import FixedPart, RandomTerm

# Families that are another one with its dispersion (or tail) at the edge: smaller -> larger ones.
EDGE = {
    "poisson": ("nbinom1", "nbinom2", "nbinom12"),
    "truncated_poisson": ("truncated_nbinom1", "truncated_nbinom2"),
    "nbinom1": ("nbinom12",),
    "nbinom2": ("nbinom12",),
    "binomial": ("betabinomial",),
    "gaussian": ("student_t",),
}
# Families that are another one at an inner value of its dispersion or shape.
INNER = {
    "poisson": ("genpois", "compois"),
    "truncated_poisson": ("truncated_genpois", "truncated_compois"),
    "gaussian": ("skewnormal",),
}
# Covariance structures on the same columns: the smaller -> those that can be it.
STRUCTURES = {
    "diag": ("us", "cs", "hetar1", "toep"),
    "homdiag": ("us", "diag", "cs", "homcs", "ar1", "hetar1", "toep", "homtoep"),
    "homcs": ("us", "cs", "toep", "homtoep"),
    "cs": ("us", "toep"),
    "ar1": ("us", "hetar1", "toep", "homtoep"),
    "hetar1": ("us", "toep"),
    "homtoep": ("us", "toep"),
    "toep": ("us",),
    "rr": ("us",),
}
# Structures whose effects have a variance of their own in each column.
FREE = ("us", "diag")
RESIDUAL = {"ar1": ("arma", "us"), "cs": ("us",)}
# Relative size below which what is left of a column after projection is rounding error.
SPAN_TOLERANCE = 1e-7


@dataclass(frozen=True)
class Nesting:
    """How a smaller model lies in a larger one.

    Attributes
    ----------
    nested : bool
    reason : str
        Why it is not nested; empty where it is.
    variances : int
        Variances (or dispersions) that the smaller model has at zero.
    irregular : str
        Why not even a mixture of chi-squares is known for the likelihood ratio; empty otherwise.
    """

    nested: bool
    reason: str = ""
    variances: int = 0
    irregular: str = ""


def nesting(small: FittedModel, large: FittedModel) -> Nesting:
    """How `small` lies in `large`; both are fitted to the same data."""
    variances, irregular = 0, ""
    a, b = small.model, large.model
    if small.family != large.family:
        at_edge = large.family in EDGE.get(small.family, ())
        if small.link != large.link or not (at_edge or large.family in INNER.get(small.family, ())):
            return _apart(f"families {a.family!r} and {b.family!r}")
        if "disp" in small.model.written_components:
            return _apart(f"families {a.family!r} and {b.family!r} with a dispersion formula")
        variances += at_edge
    elif small.link != large.link:
        return _apart(f"links {small.link} and {large.link}")
    elif a.family.fixed != b.family.fixed and not set(b.family.fixed) < set(a.family.fixed):
        return _apart(f"families {a.family!r} and {b.family!r}")
    if a.family.thresholds != b.family.thresholds and b.family.thresholds != "flexible":
        return _apart(f"{a.family.thresholds} and {b.family.thresholds} thresholds")
    if b.assumed and not _same_assumptions(small, large):
        return _apart("the larger model has held or tied parameters")
    for component in a.components:
        fixed_value = a.family.fixed_parameter(component) is not None
        if component == "threshold" or (fixed_value and component in b.components):
            continue
        if component not in b.components:
            if small.family != large.family and component == "disp":
                continue
            return _apart(f"no component {component} in the larger model")
        mine, theirs = a.design.fixed[component], b.design.fixed[component]
        outer = np.asarray(theirs.x)[:, large.kept[component]]
        if (small.family == large.family or component == "cond") and not _offset_within(mine, theirs, outer):
            return _apart(f"other offsets ({component})")
        if not within(np.asarray(mine.x)[:, small.kept[component]], outer):
            return _apart(f"fixed effects ({component})")
    if "zi" in b.components and "zi" not in a.components:
        variances += 1
        if large.model.design.fixed["zi"].x.shape[1] > 1 or any(t.component == "zi" for t in large.terms()):
            irregular = "without zero inflation its other parameters mean nothing"
    found = _random_effects(small, large)
    if not found.nested:
        return found
    residual = _residuals(small, large)
    if not residual.nested:
        return residual
    return Nesting(True, "", variances + found.variances + residual.variances, irregular or found.irregular)


def within(inner: np.ndarray, outer: np.ndarray) -> bool:
    """Whether every column of `inner` (n, p) is a linear combination of those of `outer` (n, q)."""
    inner, outer = np.asarray(inner, float), np.asarray(outer, float)
    if inner.shape[1] == 0:
        return True
    if outer.shape[1] == 0:
        return not inner.any()
    basis = np.linalg.qr(outer / _norms(outer))[0]
    left = inner - basis @ (basis.T @ inner)
    return bool((np.linalg.norm(left, axis=0) <= SPAN_TOLERANCE * np.linalg.norm(inner, axis=0)).all())


def _norms(x: np.ndarray) -> np.ndarray:
    sizes = np.linalg.norm(x, axis=0)
    return np.where(sizes > 0.0, sizes, 1.0)


def _apart(reason: str) -> Nesting:
    return Nesting(False, reason)


def _offset_within(small: FixedPart, large: FixedPart, outer: np.ndarray) -> bool:
    """Whether the larger model's coefficients can make up for the offsets: an offset is a coefficient of one."""
    own, other = (0.0 if part.offset is None else np.asarray(part.offset, float) for part in (small, large))
    difference = own - other + np.zeros(len(outer))
    if np.allclose(difference, 0.0, atol=1e-12):
        return True
    return within(difference[:, None], outer)


def _same_assumptions(small: FittedModel, large: FittedModel) -> bool:
    a, b = small.model.assumed, large.model.assumed
    held, bound = ({p.name: value for p, value in assumed.held} for assumed in (a, b))
    tied = {(p.name, q.name) for p, q in b.tied} <= {(p.name, q.name) for p, q in a.tied}
    return bound.items() <= held.items() and tied and not b.correlations


def _same_groups(a: RandomTerm, b: RandomTerm) -> bool:
    if a.component != b.component or len(a.levels) != len(b.levels):
        return False
    pairs = np.unique(np.asarray(a.codes, np.int64) * len(b.levels) + np.asarray(b.codes, np.int64))
    return len(pairs) == len(np.unique(a.codes))


def _same_columns(a: RandomTerm, b: RandomTerm) -> bool:
    return a.columns.shape == b.columns.shape and bool(np.allclose(a.columns, b.columns, rtol=1e-10, atol=1e-12))


def _same(a: RandomTerm, b: RandomTerm) -> bool:
    if a.coupling is not None or b.coupling is not None:
        return a.component == b.component and a.text == b.text and a.group == b.group
    same = a.structure == b.structure and a.options == b.options
    return same and _same_groups(a, b) and _same_columns(a, b)


def _takes(large: RandomTerm, small: RandomTerm) -> bool:
    """Whether the covariance of the larger term can be that of the smaller."""
    if large.coupling is not None or small.coupling is not None or not _same_groups(small, large):
        return False
    if large.structure == "us":
        return within(small.columns, large.columns)
    if large.structure == "diag" and (small.structure in ("diag", "homdiag") or small.columns.shape[1] == 1):
        return all(_has_column(large, column) for column in small.columns.T)
    if large.structure == small.structure == "rr":
        return _same_columns(small, large) and small.options.get("d", 2) <= large.options.get("d", 2)
    if large.structure == small.structure and small.columns.shape[1] == 1 == large.columns.shape[1]:
        return _same_columns(small, large)
    return large.structure in STRUCTURES.get(small.structure, ()) and _same_columns(small, large)


def _has_column(term: RandomTerm, column: np.ndarray) -> bool:
    return any(np.allclose(column, own, rtol=1e-10, atol=1e-12) for own in term.columns.T)


def _rank(terms: list[RandomTerm]) -> int:
    return int(np.linalg.matrix_rank(np.column_stack([t.columns for t in terms]))) if terms else 0


def _random_effects(small: FittedModel, large: FittedModel) -> Nesting:
    mine, theirs = list(small.terms()), list(large.terms())
    for term in list(mine):
        twin = next((other for other in theirs if _same(term, other)), None)
        if twin is not None:
            mine.remove(term)
            theirs.remove(twin)
    inside: dict[int, list[RandomTerm]] = {}
    for term in mine:
        home = next((k for k, other in enumerate(theirs) if _takes(other, term)), None)
        if home is None or (theirs[home].structure != "us" and home in inside and theirs[home].structure != "diag"):
            return _apart(f"random effects ({term.text} is not within the larger model's)")
        inside.setdefault(home, []).append(term)
    variances, irregular = 0, ""
    for k, term in enumerate(theirs):
        within_it = inside.get(k, [])
        if term.coupling is not None or (term.structure not in FREE and term.columns.shape[1] > 1 and not within_it):
            irregular = f"without its variance the other parameters of {term.text} mean nothing"
            variances += 1
        elif term.structure in FREE:
            variances += _rank([term]) - _rank(within_it)
        elif term.structure == "rr" or not within_it:
            variances += 1
            if term.structure == "rr":
                irregular = f"{term.text} has loadings that are zero in the smaller model"
    return Nesting(True, "", variances, irregular)


def _residuals(small: FittedModel, large: FittedModel) -> Nesting:
    """How the residuals of the smaller model are a special case of the larger's."""
    a, b = small.model.design.residual, large.model.design.residual
    if a is None:
        return Nesting(True)
    if b is None:
        return _apart("the correlation or variance function of the residuals")
    spreads = {s.text for s in b.spreads}
    if any(s.text not in spreads for s in a.spreads):
        return _apart("the variance functions of the residuals")
    mine, theirs = a.correlation, b.correlation
    if mine is None:
        return Nesting(True)
    if theirs is None:
        return _apart("the correlation of the residuals")
    if mine.text == theirs.text or (
        mine.group == theirs.group and theirs.structure in RESIDUAL.get(mine.structure, ())
    ):
        return Nesting(True)
    if mine.structure == theirs.structure and theirs.nugget and not mine.nugget and mine.group == theirs.group:
        return Nesting(True, variances=1)
    return _apart("the correlation of the residuals")

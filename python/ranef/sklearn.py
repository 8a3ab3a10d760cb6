"""Mixed models as scikit-learn estimators: pipelines, cross-validation by group, searches.

scikit-learn is imported with this module, which is loaded when `ranef.sklearn` is first used.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
import pandas as pd

from ranef.data import Table
from ranef.errors import DataError, ModelError
from ranef.families import Family
from ranef.fitting import Control
from ranef.formula.parser import Name, parse
from ranef.session import Fit, glmm, lmm

try:
    from sklearn.base import BaseEstimator, RegressorMixin
    from sklearn.metrics import r2_score
    from sklearn.utils.validation import check_is_fitted
except ImportError as error:
    raise ImportError(
        "ranef.sklearn needs scikit-learn, which is not installed: pip install 'ranef[sklearn]'"
    ) from error

__all__ = ["MixedModel"]

# What `MixedModel` itself is told; everything else goes to `lmm` or `glmm`.
_OWN = ("formula", "ranef", "new_levels")
#: What the response of a formula without a left side is called.
RESPONSE = "y"


class MixedModel(RegressorMixin, BaseEstimator):
    """A mixed model as a scikit-learn regressor.

    It is fitted to a data frame that has the columns of the formula, grouping factors among them. New groups, which
    are all there is when cross-validation leaves out whole groups, are predicted at the population level.

    Parameters
    ----------
    formula : str
        With the response, ``"y ~ x + (1 | g)"``, or without, ``"~ x + (1 | g)"``; then `fit` takes it as `y`.
    family : str or Family, optional
        None: a linear mixed model, as `ranef.lmm`; else as `ranef.glmm`.
    link, zi, dispersion, shape, correlation, reml, quadrature, weights, offset, contrasts, missing, matrices, priors, \
fixed, tied, control
        As the arguments of `ranef.lmm` and `ranef.glmm` of these names, None being their default. `weights` and
        `offset` are names of columns, so that they are split with the rows.
    ranef : bool or list of terms
        The random effects in predictions for groups that were met, as in `Fit.predict`.
    new_levels : {"population", "error"}
        Groups that were not met are predicted with random effects of zero, or refused.

    Attributes
    ----------
    fit_ : Fit
        The fitted model, with everything that it can be asked.
    feature_names_in_ : array of str
        The columns of the frame it was fitted to.
    n_features_in_ : int

    Examples
    --------
    >>> import ranef as rf
    >>> from sklearn.model_selection import GroupKFold, cross_val_score
    >>> sleep = rf.load_dataset("sleepstudy")
    >>> model = rf.sklearn.MixedModel("Reaction ~ Days + (Days | Subject)")
    >>> scores = cross_val_score(model, sleep, sleep["Reaction"], groups=sleep["Subject"], cv=GroupKFold(6))
    >>> scores.shape
    (6,)
    >>> round(model.fit(sleep).fit_.fixef()["Days"], 2)
    10.47
    """

    def __init__(
        self,
        formula: str,
        family: str | Family | None = None,
        *,
        link: str | None = None,
        zi: str | None = None,
        dispersion: str | None = None,
        shape: str | None = None,
        correlation: str | None = None,
        reml: bool | None = None,
        quadrature: int | None = None,
        weights: str | None = None,
        offset: str | None = None,
        contrasts: Mapping[str, Any] | None = None,
        missing: str = "drop",
        matrices: Mapping[str, Any] | None = None,
        priors: Mapping[str, Any] | None = None,
        fixed: Mapping[str, Any] | None = None,
        tied: Sequence[Sequence[str]] | None = None,
        control: Control | None = None,
        ranef: bool | Iterable[str] = True,
        new_levels: str = "population",
    ) -> None:
        self.formula = formula
        self.family = family
        self.link = link
        self.zi = zi
        self.dispersion = dispersion
        self.shape = shape
        self.correlation = correlation
        self.reml = reml
        self.quadrature = quadrature
        self.weights = weights
        self.offset = offset
        self.contrasts = contrasts
        self.missing = missing
        self.matrices = matrices
        self.priors = priors
        self.fixed = fixed
        self.tied = tied
        self.control = control
        self.ranef = ranef
        self.new_levels = new_levels

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> MixedModel:
        """Fit the model to a frame.

        Parameters
        ----------
        X : data frame
            With every column of the formula; the response may be left out where `y` gives it.
        y : array_like (n,), optional
            The response, in place of its column.
        sample_weight : array_like (n,), optional
            As ``weights=`` of `ranef.lmm` and `ranef.glmm`.

        Returns
        -------
        MixedModel
            Itself, fitted.
        """
        frame = self._frame(X, y)
        given = {
            name: value for name, value in self.get_params(deep=False).items() if name not in _OWN and value is not None
        }
        if sample_weight is not None:
            if self.weights is not None:
                raise ModelError(f"sample_weight and weights={self.weights!r} are two sets of weights; leave one out")
            try:
                given["weights"] = np.asarray(sample_weight, dtype=np.float64)
            except (TypeError, ValueError):
                raise DataError(
                    "sample_weight holds values that are not numbers; give one number for each row"
                ) from None
        formula = self.formula if self._left() is not None else f"{RESPONSE} {self.formula.strip()}"
        if self.family is None:
            foreign = [name for name in ("link", "zi", "shape", "quadrature") if name in given]
            if foreign:
                raise ModelError(f"{foreign[0]}= needs family=; without it a linear mixed model is fitted")
            self.fit_: Fit = lmm(formula, frame, **given)
        elif self.correlation is not None:
            raise ModelError("correlation= is for linear mixed models, without family=")
        else:
            self.fit_ = glmm(formula, frame, **given)
        self.feature_names_in_ = np.array(nw.from_native(X, eager_only=True).columns, dtype=object)
        self.n_features_in_ = len(self.feature_names_in_)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """The expected response of the rows of a frame, (n,).

        Of a binomial response it is the probability, of an ordinal one the expected number of the category.
        """
        check_is_fitted(self)
        return np.asarray(self.fit_.predict(self._native(X), ranef=self.ranef, new_levels=self.new_levels))

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Share of the response's variance that the predictions explain, R2, as regressors of scikit-learn score.

        Parameters
        ----------
        X : data frame
        y : array_like (n,), optional
            The response; without it that of the frame.
        sample_weight : array_like (n,), optional
        """
        check_is_fitted(self)
        response = self.fit_.design.replay(self._frame(X, y), response=True, random=False).response
        assert response is not None
        observed = response.y if response.trials is None else response.y / response.trials
        return float(r2_score(observed, self.predict(X), sample_weight=sample_weight))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = False
        tags.input_tags.categorical = tags.input_tags.string = tags.input_tags.allow_nan = True
        return tags

    def _left(self) -> Any:
        return parse(self.formula).left

    def _native(self, X: Any) -> Any:
        if not nw.dependencies.is_into_dataframe(X):
            raise DataError(
                f"X is {type(X).__name__}: a formula needs columns with names; give a data frame. After transformers, "
                'pipeline.set_output(transform="pandas") keeps it one'
            )
        if isinstance(getattr(X, "columns", None), pd.MultiIndex):
            raise DataError("X has columns of several levels; give each column one name, as X.columns = [...]")
        return X

    def _frame(self, X: Any, y: Any) -> Any:
        """The frame with its response, which `y` says where it is given."""
        frame, left = Table(self._native(X), "X").frame, self._left()
        if y is None:
            if left is None:
                raise DataError(f"formula={self.formula!r} has no response: give it as y")
            return X
        if left is not None and not isinstance(left, Name):
            raise DataError(
                f"y is given, and the formula makes the response of columns ({left.text}): leave y out, or write the "
                "formula without a response, '~ ...'"
            )
        values = y.to_numpy() if hasattr(y, "to_numpy") else np.asarray(y)
        if values.ndim != 1 or len(values) != len(frame):
            raise DataError(f"y has the shape {values.shape}; X has {len(frame)} rows: give one value for each")
        name = RESPONSE if left is None else left.name
        return _with_column(X, name, y, values)


def _with_column(frame: Any, name: str, y: Any, values: np.ndarray) -> Any:
    """A frame with a column; a series of the same library keeps its type, so that levels keep their order."""
    if isinstance(frame, pd.DataFrame):
        # Rows go together by their place: an index may have been lost on the way.
        return frame.assign(**{name: y.array if isinstance(y, pd.Series) else values})
    wrapped = nw.from_native(frame, eager_only=True)
    if nw.dependencies.is_into_series(y):
        series = nw.from_native(y, series_only=True)
        if series.implementation == wrapped.implementation:
            return nw.to_native(wrapped.with_columns(series.alias(name)))
    series = nw.new_series(name, values.tolist(), backend=wrapped.implementation)
    return nw.to_native(wrapped.with_columns(series))

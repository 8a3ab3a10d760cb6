"""A fit for the package marginaleffects, by the class that it lets other packages derive from."""

from __future__ import annotations

from typing import Any

import narwhals.stable.v2 as nw
import numpy as np

from ranef.fitting import FittedModel
from ranef.interchange.optional import required
from ranef.interchange.predictor import predictor_of

__all__ = ["adapter"]

#: Text with more different words than this is no factor that anything is averaged by.
MOST_LEVELS = 1000


def adapter(record: FittedModel, data: Any, kind: str, ranef: Any) -> Any:
    """The fit as marginaleffects takes it.

    Parameters
    ----------
    record : FittedModel
    data : data frame
        The rows that are averaged over, with the columns of the model.
    kind : str
        What is predicted, as in `Fit.predict`.
    ranef : bool or list of terms
        The random effects in predictions.
    """
    classes = required("marginaleffects.classes", "fit.to_marginaleffects()", "marginaleffects")
    pl = required("polars", "fit.to_marginaleffects()")
    predictor = predictor_of(record, kind, ranef)
    rows = _frame(pl, data)

    class Adapter(classes.ModelAbstract):  # type: ignore[name-defined]
        """A mixed model of ranef."""

        def get_vcov(self, vcov: Any = True) -> Any:
            """The model's covariance for True, none for False, or the one given."""
            if isinstance(vcov, bool) or vcov is None:
                return predictor.covariance if vcov else None
            return np.asarray(vcov, dtype=np.float64)

        def get_exog(self, newdata: Any) -> Any:
            """Rows are predicted from their columns."""
            return newdata

        def get_predict(self, params: Any, newdata: Any) -> Any:
            """Predictions at values of the fixed effects."""
            found = predictor.predict(np.asarray(params, dtype=np.float64), newdata)
            rowid = pl.Series(range(len(found)), dtype=pl.Int32)
            return pl.DataFrame({"rowid": rowid, "estimate": found})

        def get_df(self) -> float:
            """Wald tests of the normal law."""
            return float("inf")

    vault = classes.ModelVault(
        coef=predictor.estimates,
        coefnames=np.array(predictor.names),
        vcov=predictor.covariance,
        package="ranef",
        formula=lambda newdata: (None, newdata),
        modeldata=rows,
        variable_names=[name for name in record.design.variables if name in rows.columns],
    )
    return Adapter(record, vault)


def _frame(pl: Any, data: Any) -> Any:
    """Rows as a polars frame whose text is of declared levels, which marginaleffects asks for."""
    frame = nw.from_native(data, eager_only=True)
    columns = {}
    for name in frame.columns:
        series = frame[name]
        dtype = series.dtype
        if dtype in (nw.String, nw.Categorical, nw.Enum, nw.Object):
            words = [None if value is None else str(value) for value in series.to_list()]
            declared = (
                [str(level) for level in series.cat.get_categories().to_list()]
                if dtype in (nw.Categorical, nw.Enum)
                else []
            )
            levels = declared or sorted({word for word in words if word is not None})
            columns[name] = pl.Series(words, dtype=pl.Enum(levels) if len(levels) <= MOST_LEVELS else pl.String)
        else:
            columns[name] = pl.Series(series.to_list())
    return pl.DataFrame(columns)

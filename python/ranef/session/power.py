"""`power`: how often a test would find an effect, and the `Power` that it returns."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import narwhals.stable.v2 as nw
import numpy as np

from ranef.arguments import held_to_its_types, hold_to_their_types
from ranef.data import Table
from ranef.errors import ModelError
from ranef.families import as_family
from ranef.fitting import Control, model_from_arguments, model_with_response
from ranef.frames import IntoFrame, backend_of, frame_from
from ranef.inference import power as simulation
from ranef.model import Model
from ranef.plots import power_curve
from ranef.reports.power import power_report
from ranef.session.fit import Fit
from ranef.simulation import engine_seed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


# Of a model that is given by its formula.
ARGUMENTS = (
    *("family", "link", "zi", "dispersion", "shape", "reml", "quadrature", "weights", "offset", "contrasts"),
    *("missing", "matrices"),
)


@hold_to_their_types
class Power:
    """Power of a test in one or several scenarios, as `ranef.power` gives it; print it, or let a notebook show it."""

    def __init__(self, found: simulation.PowerCurve, backend: Any) -> None:
        self._found, self._backend = found, backend

    @property
    def table(self) -> IntoFrame:
        """A row a scenario: what varies, rows, power, conf_low, conf_high, n_sim, failed."""
        return frame_from(self._found.columns, self._backend)

    def plot(self, ax: Axes | Any = None) -> Figure:
        """Draw power against what varies first, a line for each combination of the others; returns the figure."""
        return power_curve.power_curve(self._found, ax)

    def __repr__(self) -> str:
        return str(power_report(self._found))

    def _repr_html_(self) -> str:
        return power_report(self._found)._repr_html_()


@held_to_its_types
def power(
    model: Fit | str,
    data: IntoFrame | None = None,
    *,
    test: str | Callable[[Fit], float] | None = None,
    effect: Mapping[str, float | Sequence[float]] | None = None,
    along: Mapping[str, int | Sequence[int]] | None = None,
    within: Mapping[str, int | Sequence[int]] | None = None,
    parameters: Mapping[str, Any] | None = None,
    n_sim: int = 1000,
    seed: int | None = None,
    alpha: float = 0.05,
    method: str = "wald",
    ddf: str | None = None,
    level: float = 0.95,
    threads: int | None = None,
    progress: bool | None = None,
    **arguments: Any,
) -> Power:
    """Power of a test of a fixed effect, by simulation.

    Responses are drawn with new random effects from a fit, or from a model whose parameters are given before there are
    data; the model is fitted to each of them, and the power is the share of p-values below alpha (Green & MacLeod 2016,
    Methods in Ecology and Evolution 7, 493-498). Draw r depends on the seed and r alone, in all scenarios.

    Parameters
    ----------
    model : Fit or str
        A fit, of a pilot study say; or a formula, with `data` and `parameters`.
    data : data frame
        With a formula: the rows of the design. The response need not be in it.
    test : str or callable, optional
        A fixed effect (``"Days"``, ``"zi: x"``) or a term (``"treatment"``: its columns together); or a function of a
        fit that gives a p-value. When left out, the one that `effect` changes.
    effect : dict, optional
        Fixed effects that are changed, on the scale of the link: ``{"Days": 5}``; several values make a curve.
    along : dict, optional
        Numbers of levels of a grouping factor: ``{"Subject": [10, 20, 40]}``. Levels are copied with their rows, all
        as often, the remainder evenly spaced among them; factors crossed with it keep their levels.
    within : dict, optional
        Numbers of rows in each level of a grouping factor, copied in the same way.
    parameters : dict, optional
        With a formula: all parameters, by the names of ``fixed=``: ``{"Intercept": 250, "Days": 5,
        "sd(Subject, Intercept)": 25, "sd(Subject, Days)": 6, "sigma": 25}``. Correlations left out are zero.
    n_sim : int
        Simulations of each scenario.
    seed : int, optional
        None takes one from the system.
    alpha : float
        Level of the test.
    method : {"wald", "lrt"}
        Test of `Fit.tidy` (F or chi-square for a term of several columns), or the likelihood-ratio test by maximum
        likelihood.
    ddf : str, optional
        Degrees of freedom of Wald tests, as in `Fit.tidy`.
    level : float
        Level of the intervals of the power (Clopper & Pearson's).
    threads : int, optional
        Threads; the numbers do not depend on it.
    progress : bool, optional
        Whether lines about the progress go to the standard error stream.
    **arguments
        With a formula: those of `glmm` if `family` is one of them, else of `lmm`.

    Returns
    -------
    Power

    Raises
    ------
    ModelError, DataError, FormulaError
        When the model cannot be drawn from, or an argument is not what it should be.

    Examples
    --------
    >>> import ranef as rf
    >>> pilot = rf.lmm("Reaction ~ Days + (Days | Subject)", rf.load_dataset("sleepstudy"))
    >>> found = rf.power(pilot, effect={"Days": 5}, along={"Subject": [9, 18, 36]}, n_sim=100, seed=1)
    >>> found.table[["Subject", "rows"]].values.tolist()
    [[9, 90], [18, 180], [36, 360]]
    >>> found.table["power"].is_monotonic_increasing
    True
    """
    if isinstance(model, Fit):
        if data is not None or parameters is not None or arguments:
            given = ["data"] * (data is not None) + ["parameters"] * (parameters is not None) + list(arguments)
            raise ModelError(f"power(): {', '.join(given)}: with a fit everything is in it; change it with effect=")
        truth, own, backend = simulation.truth_of_fit(model), model.control, backend_of(model.design.frame)
    elif isinstance(model, str):
        if data is None or parameters is None:
            raise ModelError("power() of a formula needs the rows of the design, data=, and its parameters=")
        truth = simulation.truth_of_parameters(_designed(model, data, arguments), parameters)
        own, backend = Control(), backend_of(data)
    else:
        raise ModelError(f"power(): give a fit or a formula, not {type(model).__name__}")
    control = replace(
        own,
        threads=own.threads if threads is None else threads,
        progress=own.progress if progress is None else progress,
    )

    def wrap(drawn: Model, engine: Any, kept: Mapping[str, np.ndarray], y: np.ndarray, how: Control) -> Fit:
        return Fit(model=model_with_response(drawn, y), control=how, engine=engine, kept=kept)

    found = simulation.power_curve(
        truth,
        test,
        effect,
        along,
        within,
        method=method,
        ddf=ddf,
        n_sim=n_sim,
        seed=engine_seed(seed),
        alpha=alpha,
        level=level,
        control=control,
        wrap=wrap,
    )
    return Power(found, backend)


def _designed(formula: str, data: IntoFrame, arguments: Mapping[str, Any]) -> Model:
    """The model of a formula, with a response that stands in for the one there will be."""
    linear = "family" not in arguments
    foreign = [name for name in ("link", "zi", "shape", "quadrature") if linear and name in arguments]
    if foreign:
        raise ModelError(f"power({foreign[0]}=) needs family=; without it a linear mixed model is drawn from")
    family = as_family("gaussian") if linear else as_family(arguments["family"], arguments.get("link"))
    name = formula.split("~")[0].strip().strip("`")
    frame = Table(data, "data").frame
    if re.fullmatch(r"[\w.]+", name) and name not in frame.columns:
        values = simulation.placeholder(family, len(frame))
        column = nw.new_series(name, values, backend=frame.implementation)
        data = frame.with_columns(column).to_native()
    unknown = [argument for argument in arguments if argument not in ARGUMENTS]
    if unknown:
        raise ModelError(f"power({', '.join(unknown)}): arguments of a model to draw from are {', '.join(ARGUMENTS)}")
    return model_from_arguments(linear, {"formula": formula, **arguments}, data)

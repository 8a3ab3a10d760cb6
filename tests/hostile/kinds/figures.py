"""Figures and the frames behind them."""

from __future__ import annotations

import os
import random
from typing import Any

import numpy as np

from hostile_values import GOOD_VALUES, ROWS, Attempted, Signature, call_of, hostile_function, junk, plain_fits
from kinds import answers

os.environ.setdefault("MPLBACKEND", "Agg")

FRAMES: dict[str, Signature] = {
    "coefficients_data": ((), ("effects", "intercept", "exponentiate", "level", "ddf", "vcov", "cluster")),
    "profile_data": (("parm",), ("level",)),
    "density_data": ((), ("parm", "draws", "level")),
    "effects_data": (("term",), ("by", "layer", "lines", "margin", "kind", "at", "ranef")),
    "smooth_data": ((), ("name", "level")),
    "ranef_data": ((), ("level",)),
    "series_data": ((), ("level",)),
    "map_data": ((), ("positions", "level")),
    "residuals_data": ((), ("against", "kind", "ranef", "seed", "layer")),
    "qq_data": ((), ("of", "kind", "ranef", "seed")),
    "responses_data": ((), ("seed",)),
    "diagnostics_data": ((), ("seed",)),
}
DRAWN: dict[str, Signature] = {
    name.removesuffix("_data"): (always, (*(key for key in sometimes if key != "layer"), "ax"))
    for name, (always, sometimes) in FRAMES.items()
}
DRAWN["effects"] = (("term",), ("by", "ax", "data", "residuals", "lines"))
DRAWN["map"] = ((), ("ax", "group", "column", "positions", "level"))
GOOD: dict[str, tuple[Any, ...]] = GOOD_VALUES | {
    "term": ("x", "f", ["x", "f"], "x [0, 1]", ["x", "f", "x"], "nonsense", "x [", "x [all]", []),
    "by": ("f", None, "x", []),
    "layer": ("estimates", "data", "residuals", "lines", "points", "trend", "levels", "nonsense"),
    "lines": ("g", "f", "nonsense", None),
    "effects": ("fixed", "random", "all"),
    "parm": ("x", ["x"], "sigma", "f[T.v]", "nonsense"),
    "against": ("x", "f", "g", "nonsense", np.arange(ROWS), np.ones(ROWS), np.full(ROWS, np.nan), list("ab") * 12),
    "kind": ("response", "pearson", "quantile", "deviance", "nonsense", None),
    "ranef": (True, False, ["(1 | g)"], [], "new"),
    "of": ("residuals", "ranef"),
    "group": ("g", "f", None),
    "column": ("estimate", "std_error", "nonsense"),
    "seed": (1, 0, -1, 2**70, None, 1.5),
    "data": (True, False),
    "residuals": (True, False),
    "name": ("s(x)", "x", None),
}  # fmt: skip


def of_figure_data(draw: random.Random) -> Attempted:
    """Arguments of the frames behind figures."""
    place = draw.randrange(len(plain_fits()))
    name, given = call_of(draw, FRAMES, GOOD)
    return f"plain_fits()[{place}].plot.{name}(**{given!r})", lambda: getattr(plain_fits()[place].plot, name)(**given)


def of_figure(draw: random.Random) -> Attempted:
    """Arguments of figures."""
    from matplotlib import pyplot

    if draw.random() < 0.3:  # those of answers
        pool, number = draw.choice(((answers.simulated(), 0), (answers.means(), 1), (answers.effects(), 2)))
        target = draw.choice(pool)
        names = ("plot", "plot_qq", "plot_against", "hist") if number == 0 else ("plot",)
        name = draw.choice(names)
        given: dict[str, Any] = {"ax": junk(draw)} if draw.random() < 0.3 else {}
        if name == "plot_against":
            given["predictor"] = draw.choice((*answers.ROW_VALUES, junk(draw)))
        if number == 2:
            given |= {draw.choice(("data", "residuals", "lines")): draw.choice((True, "g", "f", junk(draw)))}
        shown = f"{type(target).__name__}.{name}(**{given!r})"
    else:
        place = draw.randrange(len(plain_fits()))
        target = plain_fits()[place].plot
        name, given = call_of(draw, DRAWN, GOOD)
        if "ax" in given and draw.random() < 0.1:
            given["ax"] = hostile_function(draw)
        shown = f"plain_fits()[{place}].plot.{name}(**{given!r})"

    def run() -> Any:
        try:
            return getattr(target, name)(**given)
        finally:
            pyplot.close("all")

    return shown, run

"""What a fit is written as and made into: equations, paragraphs, reports, files, other fits, estimators."""

from __future__ import annotations

import random
import tempfile
from typing import Any

import numpy as np
import pandas as pd

import ranef as rf
from hostile_values import (
    GLMM,
    GOOD_VALUES,
    LMM,
    ROWS,
    Attempted,
    Signature,
    arguments,
    call_of,
    formula,
    frame,
    junk,
    piece,
    plain_fits,
    used,
)

CALLS: dict[str, Signature] = {
    "equation": ((), ("format", "estimates", "digits", "width")),
    "methods_text": ((), ("check", "simulated", "ddf")),
    "results_text": ((), ("check", "ddf")),
    "citations": ((), ("check", "simulated", "ddf")),
    "report": (("path", "checks", "effects"), ("title", "author", "seed", "ddf", "progress")),
    "save": (("path",), ("columns",)),
    "load": (("path",), ("family", "refit", "max_bytes")),
    "load_dataset": (("name",), ("backend",)),
    "list_datasets": ((), ("backend",)),
    "list_families": ((), ("backend",)),
    "list_covariances": ((), ("backend",)),
    "list_correlations": ((), ("backend",)),
    "list_variance_functions": ((), ("backend",)),
    "Control": ((), ("optimizer", "max_iter", "gradient_tol", "max_seconds", "threads", "progress")),
    "to_arviz": ((), ("n", "seed", "chains", "threads")),
    "to_marginaleffects": ((), ("kind", "ranef")),
    "influence": (("group",), ("method", "threads")),
    "ranova": ((), ()),
    "glance": ((), ()),
    "augment": ((), ()),
    "varcorr": ((), ()),
    "loadings": ((), ()),
    "smooths": ((), ()),
    "loglik_rows": ((), ()),
    "refit": (("response",), ()),
}
GOOD: dict[str, tuple[Any, ...]] = GOOD_VALUES | {
    "format": ("latex", "mathml", "text", "html", None),
    "estimates": (True, False, 1),
    "digits": (1, 4, 0, -1, 17, 400, 2.5),
    "width": (1, 0, 40, -5, 10**9, 2.5),
    "check": (None,),
    "simulated": (None,),
    "checks": (False,),
    "progress": (False,),
    "effects": ([], [], ["x"], [["x", "f"]], ["nonsense"], [[]], "x"),
    "title": ("T", "<script>alert(1)</script>", "", 3, "\x00", "\ud800"),
    "author": ("A", "<b>", "", 3),
    "columns": ("all", "used", "none"),
    "name": ("owls", "OWLS", "owl", "", "../owls", "/etc/passwd", "owls.csv"),
    "backend": ("pandas", "polars", "pyarrow", "dask", "", "Pandas"),
    "optimizer": ("trust", "bobyqa", "nonsense", ""),
    "max_iter": (1, 0, -1, 2.5, 10**30),
    "gradient_tol": (1e-3, 0.0, -1.0, np.nan),
    "max_seconds": (1.0, 0.0, -1.0, np.inf),
    "chains": (1, 0, 2, 10**9),
    "group": ("g", "f", "nonsense", np.arange(ROWS) % 3, np.zeros(ROWS), [None] * ROWS),
    "method": ("exact", "one-step", None),
    "max_bytes": (10**6, 0, -1, 2.5),
    "refit": (True, False),
    "response": (
        np.arange(ROWS), np.zeros(ROWS), np.ones(ROWS), np.full(ROWS, np.nan), np.full(ROWS, 1e308), ["a"] * ROWS,
        -np.ones(ROWS), np.ones((ROWS, 2)), np.arange(ROWS) % 2, pd.Series(range(ROWS)), [1j] * ROWS,
    ),
}  # fmt: skip
PATHS = ("x.html", "", ".", "/", "nowhere/x", "\x00", "x" * 300, "\ud800", "é.ranef", " ", "a\nb")


def of_writing(draw: random.Random) -> Attempted:
    """Arguments of what writes a fit down."""
    place = draw.randrange(len(plain_fits()))
    fit = plain_fits()[place]
    if draw.random() < 0.4:
        name = draw.choice(("equation", "methods_text", "results_text", "citations", "refit"))
        name, given = call_of(draw, {name: CALLS[name]}, GOOD)
    else:
        name, given = call_of(draw, CALLS, GOOD)
    target = rf if name.startswith(("list_", "load_")) or name in ("Control", "load") else fit
    named = draw.choice(PATHS) if draw.random() < 0.7 else junk(draw)

    def run() -> Any:
        if "path" not in given:
            try:
                return used(getattr(target, name)(**given))
            except ImportError as error:  # of a package that is not there
                if "pip install" not in str(error):
                    raise
                return None
        with tempfile.TemporaryDirectory() as folder:
            path = f"{folder}/{named}" if isinstance(named, str) else named
            try:
                return getattr(target, name)(**given | {"path": path})
            except OSError:  # the file cannot be written, and the operating system says why
                return None

    return f"[{place}].{name}(**{given!r}), path {named!r}", run


def of_update(draw: random.Random) -> Attempted:
    """A fit with something of it changed."""
    place = draw.randrange(len(plain_fits()))
    fit = plain_fits()[place]
    given: dict[str, Any] = {"control": rf.Control(max_iter=15)}
    roll = draw.random()
    if roll < 0.5:
        given["formula"] = draw.choice(
            (
                f". ~ . + {piece(draw)}",
                f". ~ . - {piece(draw)}",
                f"{piece(draw)} ~ .",
                f". ~ .:{piece(draw)}",
                ". ~ .^2",
            )
        )
    elif roll < 0.6:
        given["formula"] = formula(draw)
    if draw.random() < 0.25:
        given["data"] = frame(draw)[0]
    if draw.random() < 0.5:
        given |= arguments(LMM if place in (0, 4) else GLMM, draw)
    if draw.random() < 0.05:
        given[draw.choice(("nonsense", "quadrature", "correlation", "family"))] = junk(draw)
    if draw.random() < 0.3:
        given["start"] = draw.choice((*plain_fits(), junk(draw)))

    def run() -> Any:
        found = fit.update(**given)
        return repr(found), found.tidy(), found.predict()

    return f"[{place}].update(**{given!r})", run


ESTIMATOR: dict[str, tuple[Any, ...]] = {
    "formula": ("~ x + (1 | g)", "y ~ x + (1 | g)", "~ f", "log(z) ~ x", "y ~", "~", "", None, 3),
    "family": (None, "poisson", "gaussian", "binomial", "nonsense"),
    "weights": ("z", "nonsense", None, np.ones(ROWS)),
    "offset": ("z", "nonsense", None),
    "ranef": (True, False, "new", ["(1 | g)"], 3),
    "new_levels": ("population", "error", "nonsense"),
    "correlation": ("ar1(t | g)", "nonsense", None),
    "reml": (True, False, "yes"),
    "quadrature": (None, 1, 0, 7, "a"),
    "zi": ("~ 1", None),
}


def of_estimator(draw: random.Random) -> Attempted:
    """The estimator for scikit-learn, its data and responses."""
    given = {"formula": draw.choice(ESTIMATOR["formula"][:3])}
    for key in draw.sample(sorted(ESTIMATOR), draw.choice((0, 1, 2))):
        given[key] = draw.choice((*ESTIMATOR[key], junk(draw)))
    data, _ = frame(draw)
    new, _ = frame(draw)
    y = (
        None
        if draw.random() < 0.3
        else draw.choice((np.arange(ROWS), GOOD["response"][3], pd.Series(range(ROWS)), junk(draw)))
    )
    weights = None if draw.random() < 0.7 else draw.choice((np.ones(ROWS), np.zeros(ROWS), -np.ones(ROWS), junk(draw)))

    def run() -> Any:
        model = rf.sklearn.MixedModel(**given, control=rf.Control(max_iter=15))
        repr(model), model.get_params()
        model.fit(data, y, weights)
        return model.predict(data), model.predict(new), model.score(data, y)

    return f"MixedModel(**{given!r}).fit({type(data).__name__}, {y!r}, {weights!r})", run

"""The fit that a command is about: data and a formula, or a file that `--save` wrote."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from ranef.cli.input import read_data
from ranef.cli.output import working
from ranef.errors import ModelError
from ranef.fitting import Control
from ranef.session import Fit, glmm, lmm
from ranef.session.loading import load

# What only generalised models are told.
_GENERALISED = ("link", "zi", "shape", "quadrature")


def fitted(data: Any, formula: str, options: Mapping[str, Any], progress: bool | None) -> Fit:
    """Fit a model with the options of the command line, None for those not given.

    Raises
    ------
    DataError, FormulaError, ModelError
        For input that cannot be used.
    """
    given = {name: value for name, value in options.items() if value is not None}
    control = Control(progress=bool(progress))
    with working(f"fitting {formula}", progress):
        if "family" not in given:
            for name in _GENERALISED:
                if name in given:
                    raise ModelError(f"--{name} needs --family; without it a linear mixed model is fitted")
            return lmm(formula, data, control=control, **given)
        if "correlation" in given:
            raise ModelError("--correlation is for linear mixed models, without --family")
        return glmm(formula, data, control=control, **given)


def fit_of(source: str, formula: str | None, options: Mapping[str, Any], progress: bool | None) -> Fit:
    """The fit of a command that takes DATA FORMULA or a saved fit."""
    if formula is not None:
        return fitted(read_data(source), formula, options, progress)
    _require_no_options(options, source)
    return _saved(source)


def fits_of(source: str, others: Sequence[str], options: Mapping[str, Any], progress: bool | None) -> dict[str, Fit]:
    """The fits, by name, of a command that takes DATA and formulas, or saved fits.

    A word with a ``~`` is a formula: no file that can be saved to needs one in its name.
    """
    if any("~" in word for word in others):
        data = read_data(source)
        return {formula: fitted(data, formula, options, progress) for formula in others}
    if not others:
        raise ModelError("give DATA and two or more formulas, or two or more saved fits")
    _require_no_options(options, source)
    return {path: _saved(path) for path in (source, *others)}


def wants_progress(progress: bool | None) -> bool:
    """Whether lines about long work are wanted."""
    return sys.stderr.isatty() if progress is None else progress


def _saved(path: str) -> Fit:
    try:
        return load(path)
    except FileNotFoundError:
        raise ModelError(f"{path}: there is no such file") from None
    except ValueError as error:
        if path == "-" or path.endswith((".csv", ".tsv", ".gz", ".parquet", ".arrow", ".feather", ".ipc")):
            raise ModelError(f"{path}: a data file needs a formula after it, such as 'y ~ x + (1 | group)'") from None
        raise error


def _require_no_options(options: Mapping[str, Any], source: str) -> None:
    given = [name for name, value in options.items() if value is not None]
    if given:
        raise ModelError(
            f"--{given[0]} is for data with a formula; a saved fit ({source}) has its model already: leave one of the "
            "two out"
        )

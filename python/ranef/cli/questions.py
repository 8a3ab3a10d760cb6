"""Commands that ask something of a fit: check, compare, simulate, predict."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from ranef.cli.input import read_data
from ranef.cli.models import fit_of, fits_of, wants_progress
from ranef.cli.options import (
    Correlation,
    Dispersion,
    FamilyName,
    Formula,
    JsonFile,
    Link,
    NewData,
    Offset,
    Out,
    Progress,
    Quadrature,
    Reml,
    Seed,
    Shape,
    Source,
    Weights,
    ZeroInflation,
)
from ranef.cli.output import console, records, show_text, show_verdicts, working, write_json, write_table
from ranef.errors import ModelError
from ranef.session.comparison import compare as compare_fits

#: How random effects are named on the command line, and in `Fit.simulate`.
EFFECTS: dict[str, str | bool] = {"new": "new", "modes": True, "zero": False}


def check(
    source: Source,
    formula: Formula = None,
    groups: Annotated[
        list[str] | None, typer.Option(metavar="COLUMN", help="A column that may group the residuals; repeatable.")
    ] = None,
    time: Annotated[str | None, typer.Option(metavar="COLUMN", help="Times: are successive residuals alike?")] = None,
    space: Annotated[
        list[str] | None, typer.Option(metavar="COLUMN", help="A coordinate, given twice: are neighbours alike?")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Save the page of figures (.png, .pdf, .svg).")
    ] = None,
    json: JsonFile = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit status 1 where the verdict is a problem.")] = False,
    seed: Annotated[int, typer.Option(metavar="NUMBER", help="Seed of the simulated responses.")] = 1,
    family: FamilyName = None,
    link: Link = None,
    zi: ZeroInflation = None,
    dispersion: Dispersion = None,
    shape: Shape = None,
    correlation: Correlation = None,
    reml: Reml = None,
    quadrature: Quadrature = None,
    weights: Weights = None,
    offset: Offset = None,
    progress: Progress = None,
) -> None:
    """Check every assumption of a fit.

    Each has a verdict (ok, look, problem) and, where there is something to do, advice.

    \b
    Examples:
      ranef check owls.csv 'SiblingNegotiation ~ FoodTreatment + (1 | Nest)' --family nbinom2
      ranef check fit.ranef --groups site --plot checks.png
    """
    given = model_options(family, link, zi, dispersion, shape, correlation, reml, quadrature, weights, offset)
    fit = fit_of(source, formula, given, progress)
    with working("checking", progress):
        found = fit.check(groups=groups or None, time=time, space=space or None, seed=seed)
        if plot is not None:
            found.plot().savefig(plot)
    if json != "-":
        show_verdicts(console(), str(found))
    write_json({"verdict": found.verdict, "checks": found.table, "skipped": found.skipped}, json)
    if strict and found.verdict == "problem":
        raise typer.Exit(1)


def compare(
    source: Source,
    others: Annotated[
        list[str], typer.Argument(metavar="FORMULA...|FIT...", help="Formulas for DATA, or further saved fits.")
    ],
    test: Annotated[str, typer.Option(metavar="lrt|bootstrap|none", help="How nested models are tested.")] = "lrt",
    n: Annotated[int, typer.Option("-n", metavar="NUMBER", help="Replicates of the bootstrap.")] = 1000,
    seed: Seed = None,
    refit: Annotated[
        bool, typer.Option("--refit/--no-refit", help="Whether fits by REML are fitted again by maximum likelihood.")
    ] = True,
    json: JsonFile = None,
    family: FamilyName = None,
    link: Link = None,
    zi: ZeroInflation = None,
    dispersion: Dispersion = None,
    shape: Shape = None,
    correlation: Correlation = None,
    reml: Reml = None,
    quadrature: Quadrature = None,
    weights: Weights = None,
    offset: Offset = None,
    progress: Progress = None,
) -> None:
    """Compare models of the same data.

    Information criteria, and a test of each model against the nearest one that is nested in it.

    \b
    Examples:
      ranef compare sleep.csv 'Reaction ~ Days + (1 | Subject)' 'Reaction ~ Days + (Days | Subject)'
      ranef compare small.ranef large.ranef --test bootstrap -n 500 --seed 1
    """
    given = model_options(family, link, zi, dispersion, shape, correlation, reml, quadrature, weights, offset)
    fits = fits_of(source, others, given, progress)
    told = wants_progress(progress) and test == "bootstrap"
    with working("comparing", progress):
        named: Any = list(fits.values()) if "~" in next(iter(fits)) else fits
        found = compare_fits(named, test=None if test == "none" else test, refit=refit, n=n, seed=seed, progress=told)
    if json != "-":
        show_text(console(), str(found))
    write_json({"models": found.table}, json)


def simulate(
    source: Source,
    formula: Formula = None,
    n: Annotated[int, typer.Option("-n", metavar="NUMBER", help="Number of responses of every row.")] = 1,
    seed: Seed = None,
    effects: Annotated[
        str, typer.Option(metavar="new|modes|zero", help="Random effects: drawn afresh, at their modes, or zero.")
    ] = "new",
    newdata: NewData = None,
    out: Out = "-",
    family: FamilyName = None,
    link: Link = None,
    zi: ZeroInflation = None,
    dispersion: Dispersion = None,
    shape: Shape = None,
    correlation: Correlation = None,
    reml: Reml = None,
    quadrature: Quadrature = None,
    weights: Weights = None,
    offset: Offset = None,
    progress: Progress = None,
) -> None:
    """Draw new responses.

    Writes a table with a column for each draw and a row for each row of the data.

    \b
    Examples:
      ranef simulate fit.ranef -n 100 --seed 1 --out draws.parquet
      ranef simulate sleep.csv 'Reaction ~ Days + (Days | Subject)' -n 2 --effects modes
    """
    if effects not in EFFECTS:
        raise ModelError(f"--effects {effects}: give one of {', '.join(EFFECTS)}")
    given = model_options(family, link, zi, dispersion, shape, correlation, reml, quadrature, weights, offset)
    fit = fit_of(source, formula, given, progress)
    new = None if newdata is None else read_data(newdata)
    with working("simulating", progress):
        draws = fit.simulate(n, seed=seed, ranef=EFFECTS[effects], newdata=new)
    write_table({f"draw_{k + 1}": column for k, column in enumerate(np.asarray(draws).T)}, out)


def predict(
    source: Source,
    formula: Formula = None,
    newdata: NewData = None,
    kind: Annotated[
        str,
        typer.Option(metavar="KIND", help="response, link, conditional, zprob, zlink, dispersion, probability, class."),
    ] = "response",
    population: Annotated[bool, typer.Option("--population", help="With random effects of zero.")] = False,
    new_levels: Annotated[
        str, typer.Option(metavar="error|population", help="What to do with groups that the fit has not met.")
    ] = "error",
    interval: Annotated[
        str | None, typer.Option(metavar="confidence|prediction", help="Add an interval to every prediction.")
    ] = None,
    level: Annotated[float, typer.Option(metavar="SHARE", help="Level of the interval.")] = 0.95,
    out: Out = "-",
    family: FamilyName = None,
    link: Link = None,
    zi: ZeroInflation = None,
    dispersion: Dispersion = None,
    shape: Shape = None,
    correlation: Correlation = None,
    reml: Reml = None,
    quadrature: Quadrature = None,
    weights: Weights = None,
    offset: Offset = None,
    progress: Progress = None,
) -> None:
    """Predict for the rows of a fit or for new ones.

    Writes a table with a row for each row of the data.

    \b
    Examples:
      ranef predict fit.ranef --newdata new.csv --interval prediction > predicted.csv
      ranef predict fit.ranef --newdata new.csv --population --kind link
    """
    given = model_options(family, link, zi, dispersion, shape, correlation, reml, quadrature, weights, offset)
    fit = fit_of(source, formula, given, progress)
    new = None if newdata is None else read_data(newdata)
    with working("predicting", progress):
        found = fit.predict(
            new,
            kind,
            ranef=not population,
            new_levels=new_levels,
            se=interval is not None,
            interval=interval,
            level=level,
        )
    columns = {"estimate": found} if isinstance(found, np.ndarray) else rows_of(found)
    write_table(columns, out)


def rows_of(frame: Any) -> dict[str, list[Any]]:
    """The columns of a frame of any kind."""
    rows = records(frame)
    return {name: [row[name] for row in rows] for name in rows[0]}


def model_options(
    family: str | None,
    link: str | None,
    zi: str | None,
    dispersion: str | None,
    shape: str | None,
    correlation: str | None,
    reml: bool | None,
    quadrature: int | None,
    weights: str | None,
    offset: str | None,
) -> dict[str, Any]:
    """The options of a model, by the names that `lmm` and `glmm` give them."""
    return {
        "family": family,
        "link": link,
        "zi": zi,
        "dispersion": dispersion,
        "shape": shape,
        "correlation": correlation,
        "reml": reml,
        "quadrature": quadrature,
        "weights": weights,
        "offset": offset,
    }

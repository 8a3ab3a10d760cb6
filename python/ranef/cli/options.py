"""Arguments and options that several commands have in common."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import typer

from ranef.families import catalogue


def families_beginning(incomplete: str) -> Iterator[tuple[str, str]]:
    """Names of families for the shell to complete, with their titles."""
    for name, card in catalogue().items():
        if name.startswith(incomplete):
            yield name, card["title"]


Source = Annotated[
    str,
    typer.Argument(
        metavar="DATA|FIT",
        help="A CSV, TSV, Parquet or Arrow file, or - for standard input, with a formula; or a fit saved by --save.",
    ),
]
Formula = Annotated[
    str | None, typer.Argument(metavar="FORMULA", help="For example 'y ~ x + (1 | group)'; not with a saved fit.")
]
FamilyName = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Response distribution; without it a linear mixed model.",
        autocompletion=families_beginning,
    ),
]
Link = Annotated[str | None, typer.Option(metavar="NAME", help="Link of the mean.")]
ZeroInflation = Annotated[
    str | None, typer.Option("--zi", metavar="FORMULA", help="Zero inflation, for example '~ 1'.")
]
Dispersion = Annotated[str | None, typer.Option(metavar="FORMULA", help="Dispersion, for example '~ x'.")]
Shape = Annotated[str | None, typer.Option(metavar="FORMULA", help="Shape parameter, for example '~ x'.")]
Correlation = Annotated[
    str | None,
    typer.Option(metavar="STRUCTURE", help="Correlation of residuals of a linear model, as 'ar1(time | id)'."),
]
Reml = Annotated[
    bool | None, typer.Option("--reml/--ml", help="Criterion; REML for linear mixed models and smooths, else ML.")
]
Weights = Annotated[str | None, typer.Option(metavar="COLUMN", help="Column of weights.")]
Offset = Annotated[str | None, typer.Option(metavar="COLUMN", help="Column added to the linear predictor.")]
Quadrature = Annotated[
    int | None,
    typer.Option(metavar="POINTS", help="Gauss-Hermite points for one grouping factor; 1 is Laplace's approximation."),
]
Progress = Annotated[
    bool | None,
    typer.Option(
        "--progress/--no-progress", help="Tell on standard error how far it is; by default where that is a terminal."
    ),
]
JsonFile = Annotated[
    str | None,
    typer.Option("--json", metavar="FILE", help="Write the result as JSON; - prints it in place of the text."),
]
Seed = Annotated[int | None, typer.Option(metavar="NUMBER", help="The same seed gives the same numbers.")]
NewData = Annotated[str | None, typer.Option(metavar="DATA", help="Rows to answer for; without it those of the fit.")]
Out = Annotated[
    str, typer.Option(metavar="FILE", help="A .csv, .tsv, .parquet or .arrow file; - is CSV on standard output.")
]

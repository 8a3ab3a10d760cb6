"""The commands, their options, and the one way every mistake ends: a line on standard error and exit status 2."""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer

from ranef import _engine
from ranef.cli.demo import run_demo
from ranef.cli.input import read_data
from ranef.cli.models import fitted as fit_model
from ranef.cli.options import (
    Correlation,
    Dispersion,
    FamilyName,
    Link,
    Offset,
    Progress,
    Quadrature,
    Reml,
    Shape,
    Weights,
    ZeroInflation,
)
from ranef.cli.output import console, records, show_prose, show_table, show_text, to_json
from ranef.cli.questions import check, compare, model_options, predict, simulate
from ranef.datasets import describe_dataset, list_datasets
from ranef.families import list_families

# What our own checks and the operating system raise for input that cannot be used; anything else is a fault of ours.
BAD_INPUT = (ValueError, OSError, ImportError)

app = typer.Typer(
    name="ranef",
    help="Mixed-effects models: fit, check, infer, report.",
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


@app.callback(invoke_without_command=True)
def start(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
) -> None:
    """Mixed-effects models: fit, check, infer, report."""
    if version:
        typer.echo(f"ranef {_engine.__version__}")
    elif context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command()
def demo(
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for the figures and the report.")] = Path(),
) -> None:
    """Run the Owls analysis end to end."""
    run_demo(console(), out)


@app.command()
def fit(
    data: Annotated[
        str, typer.Argument(metavar="DATA", help="CSV, TSV, Parquet or Arrow file; - reads text from standard input.")
    ],
    formula: Annotated[str, typer.Argument(metavar="FORMULA", help="For example 'y ~ x + (1 | group)'.")],
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
    save: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Save the fit, for the other commands and rf.load.")
    ] = None,
    progress: Progress = None,
    json: Annotated[
        str | None, typer.Option(metavar="FILE", help="Write every result as JSON; - prints it instead of the summary.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the whole analysis to this HTML file.")
    ] = None,
) -> None:
    """Fit a model to a file and print its summary.

    \b
    Examples:
      ranef fit sleep.csv 'Reaction ~ Days + (Days | Subject)'
      ranef fit owls.csv 'SiblingNegotiation ~ FoodTreatment + (1 | Nest)' --family nbinom2 --zi '~ 1' --save owls.ranef
      cat counts.tsv | ranef fit - 'n ~ factor(year) + (1 | site)' --family poisson --json -
    """
    given = model_options(family, link, zi, dispersion, shape, correlation, reml, quadrature, weights, offset)
    fitted = fit_model(read_data(data), formula, given, progress)
    if save is not None:
        fitted.save(save)
    if json != "-":
        show_text(console(), str(fitted.summary()))
    if json is not None:
        text = to_json(fit_as_values(fitted))
        if json == "-":
            typer.echo(text)
        else:
            Path(json).write_text(text + "\n", encoding="utf-8", errors="backslashreplace")
    if report is not None:
        fitted.report(report, progress=sys.stderr.isatty())


def fit_as_values(fitted: Any) -> dict[str, Any]:
    """Every table of a fit as plain values."""
    return {
        "ranef": _engine.__version__,
        "formula": fitted.formula,
        "family": str(fitted.family),
        "converged": fitted.converged,
        "singular": fitted.singular,
        "n_dropped": fitted.n_dropped,
        "ngroups": dict(fitted.ngroups),
        "glance": records(fitted.glance())[0],
        "tidy": records(fitted.tidy()),
        "varcorr": records(fitted.varcorr()),
        "random_effects": records(fitted.ranef()),
    }


for question in (check, compare, predict, simulate):
    app.command()(question)


@app.command()
def datasets(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Print the dictionary of this data set.")] = None,
    json: Json = False,
) -> None:
    """List the example data sets, or describe one."""
    if name is not None:
        dictionary = describe_dataset(name)
        if json:
            typer.echo(to_json({**vars(dictionary), "columns": [vars(column) for column in dictionary.columns]}))
        else:
            show_text(console(), str(dictionary))
        return
    rows = records(list_datasets())
    if json:
        typer.echo(to_json(rows))
        return
    shown = [{key: str(row[key]) for key in ("name", "rows", "columns", "title")} for row in rows]
    out = console()
    show_table(out, shown, text=("name", "title"))
    show_prose(out, "\nranef datasets NAME tells what the columns mean and where the data were published.")


@app.command()
def families(json: Json = False) -> None:
    """List the families with their links, parameters and domains."""
    rows = records(list_families())
    if json:
        typer.echo(to_json(rows))
        return
    shown = [{key: str(row[key]) for key in ("name", "title", "links", "support", "variance")} for row in rows]
    show_table(console(), shown, text=tuple(shown[0]))


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit: 0 after success, 2 after input that cannot be used.

    Parameters
    ----------
    arguments : list of str, optional
        The words after `ranef`; those of the process when left out.
    """
    with warnings.catch_warnings():
        warnings.showwarning = _one_line_warning
        status = _run(arguments)
    sys.exit(status)


def _run(arguments: list[str] | None) -> int:
    try:
        status = typer.main.get_command(app).main(arguments, prog_name="ranef", standalone_mode=False)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has had enough (`ranef datasets | head`); nothing is left to flush at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except BAD_INPUT as error:
        return _refuse(str(error))
    except typer.Abort:
        return 130
    except Exception as error:
        # A misused option or command: typer's exceptions carry their text and exit status.
        if not hasattr(error, "format_message"):
            raise
        return _refuse(error.format_message())
    return int(status or 0)


def _refuse(message: str) -> int:
    """One line on standard error, whatever the shape of the message."""
    print(f"ranef: {in_one_line(message)}", file=sys.stderr)
    return 2


def in_one_line(message: str) -> str:
    """A message on one line; a formula with a caret under it becomes its text and the position of the caret."""
    lines = [line for line in message.splitlines() if line.strip()]
    if len(lines) == 3 and set(lines[2].strip()) == {"^"}:
        indent = len(lines[1]) - len(lines[1].lstrip())
        position = lines[2].index("^") - indent + 1
        return f"{lines[0]} (in '{lines[1].strip()}', character {position})"
    return " ".join(line.strip() for line in lines)


def _one_line_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    print(f"ranef: warning: {in_one_line(str(message))}", file=sys.stderr)

"""Command lines, and the files that they name, in this process."""

from __future__ import annotations

import contextlib
import functools
import io
import random
import sys
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd

from hostile_values import CALLS, GOOD, WORDS, Attempted, column, formula, plain_fits, plain_frame, require
from kinds.saved_files import contents, damaged
from ranef.cli import main

COMMANDS = ("fit", "check", "compare", "simulate", "predict", "datasets", "families")
OPTIONS: dict[str, tuple[str, ...]] = {
    "--family": ("poisson", "nbinom2", "nonsense", "", "gaussian"),
    "--link": ("log", "nonsense", ""),
    "--zi": ("~ 1", "~ x", "x", ""),
    "--dispersion": ("~ x", "x +", ""),
    "--shape": ("~ 1",),
    "--correlation": ("ar1(t | g)", "ar1(", ""),
    "--quadrature": ("1", "0", "-1", "a", "1.5", "99999999999999999999"),
    "--weights": ("z", "nonsense", ""),
    "--offset": ("z", "nonsense", "f"),
    "--save": ("{folder}/new.ranef", "{folder}", "{folder}/nowhere/x", "\x00"),
    "--json": ("-", "{folder}/new.json", "{folder}", ""),
    "--out": ("-", "{folder}/new.csv", "{folder}/new.parquet", "{folder}/new.xyz", "{folder}", ""),
    "--newdata": ("{data}", "{folder}/none.csv", "-", ""),
    "--seed": ("1", "-1", "a", "99999999999999999999999", "1.5"),
    "-n": ("1", "2", "0", "-1", "a", "1e3"),
    "--effects": ("new", "modes", "zero", "nonsense"),
    "--kind": ("response", "link", "class", "probability", "nonsense"),
    "--interval": ("confidence", "prediction", "nonsense"),
    "--level": ("0.9", "0", "1", "nan", "a", "-inf"),
    "--new-levels": ("error", "population", "nonsense"),
    "--test": ("lrt", "none", "nonsense"),
    "--groups": ("h", "nonsense", ""),
    "--time": ("t", "x", "nonsense"),
    "--space": ("x", "nonsense"),
    "--plot": ("{folder}/x.xyz", "{folder}/nowhere/x.png"),
    "--nonsense": ("1",),
}
FLAGS = (
    "--reml",
    "--ml",
    "--population",
    "--refit",
    "--no-refit",
    "--strict",
    "--no-progress",
    "-h",
    "--version",
    "-x",
)


@functools.cache
def tables() -> dict[str, bytes]:
    """Files of data by their ends."""
    data = plain_frame()
    parquet, arrow = io.BytesIO(), io.BytesIO()
    data.to_parquet(parquet)
    data.to_feather(arrow)
    return {
        ".csv": data.to_csv(index=False).encode(),
        ".tsv": data.to_csv(index=False, sep="\t").encode(),
        ".parquet": parquet.getvalue(),
        ".arrow": arrow.getvalue(),
    }


def data_file(draw: random.Random) -> tuple[str, bytes]:
    """The end of a file's name, and its bytes with something wrong in them."""
    end = draw.choice((".csv", ".csv", ".csv", ".tsv", ".parquet", ".arrow", ".csv.gz", ".xlsx", ""))
    content = tables().get(end, tables()[".csv"])
    roll = draw.random()
    if roll < 0.3:
        return end, content
    if roll < 0.5:
        return end, damaged(draw, content)
    if roll < 0.6:
        return end, draw.choice(
            (b"", b"\n", b"\xff\xfe", b"\x00" * 20, b"y,x\n", b"y\n1\n", b"y,y\n1,2\n", b'"', b"PAR1")
        )
    if roll < 0.8 and end in (".csv", ".tsv"):
        frame = plain_frame().copy()
        name = draw.choice(list(frame.columns))
        try:
            frame[name] = pd.Series(column(draw, len(frame)))
            return end, frame.to_csv(index=False, sep="," if end == ".csv" else "\t").encode(errors="surrogatepass")
        except Exception:  # what pandas cannot hold or write is not ranef's to answer
            return end, content
    lines = content.split(b"\n")
    for _ in range(draw.randint(1, 3)):
        place = draw.randrange(len(lines))
        lines[place] = draw.choice((b"", b"," * 30, b'"', lines[place] + b",1", lines[place][:-3], b"\xe9", b"NA,NA"))
    return end, b"\n".join(lines)


def words(draw: random.Random, folder: str, data: str, fit: str) -> list[str]:
    """A command line."""
    if draw.random() < 0.05:
        return [draw.choice((*COMMANDS, *FLAGS, *OPTIONS, "", "é", "\x00", *WORDS)) for _ in range(draw.randrange(5))]
    command = draw.choice((*COMMANDS[:1] * 3, *COMMANDS))
    line = [command]
    if command in ("datasets", "families"):
        line += [draw.choice(("owls", "nonsense", "--json", "", "..", "-x"))] if draw.random() < 0.7 else []
        return line
    source = draw.choice((data, data, data, fit, "-", f"{folder}/none.csv", "", "\x00", folder))
    line.append(source)
    formulas = 0 if source == fit else 2 if command == "compare" else 1
    for _ in range(formulas if draw.random() < 0.95 else draw.randrange(4)):
        text = draw.choice((*GOOD, formula(draw), f"y ~ {draw.choice(CALLS)}(x)"))
        line.append(text if isinstance(text, str) else "y ~ x")
    if command == "compare" and source == fit:
        line.append(fit)
    for _ in range(draw.choice((0, 1, 1, 2))):
        name = draw.choice(list(OPTIONS))
        value = draw.choice(OPTIONS[name]).format(folder=folder, data=data)
        line += [name, value]
    if draw.random() < 0.2:
        line.append(draw.choice(FLAGS))
    if draw.random() < 0.05:
        line.insert(draw.randrange(len(line) + 1), draw.choice(WORDS))
    return line


def of_command(draw: random.Random) -> Attempted:
    """A command line and its files."""
    end, content = data_file(draw)
    broken = draw.random() < 0.3
    fit = damaged(draw, contents()[0]) if broken else contents()[draw.randrange(len(contents()))]
    line = words(draw, "{folder}", "{folder}/data" + end, "{folder}/fit.ranef")
    typed = draw.choice((content, b"", b"y,x\n1,2\n")).decode(errors="replace")

    def run() -> Any:
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / f"data{end}").write_bytes(content)
            (Path(folder) / "fit.ranef").write_bytes(fit)
            given = [word.replace("{folder}", folder) for word in line]
            out, errors, before = io.StringIO(), io.StringIO(), sys.stdin
            sys.stdin = io.StringIO(typed)
            try:
                with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
                    main(given)
            except SystemExit as end_of_run:
                status = end_of_run.code
            finally:
                sys.stdin = before
        told = [text for text in errors.getvalue().splitlines() if not text.startswith("ranef: warning: ")]
        require(status in (0, 1, 2), f"the exit status is {status}")
        if status == 2:
            require(
                len(told) == 1 and told[0].startswith("ranef: ") and len(told[0]) > 8, f"not one line of error: {told}"
            )
        else:
            require(not told, f"a line of error and status {status}: {told}")

    plain_fits()
    return f"ranef {line!r} (data{end}: {content[:60]!r})", run

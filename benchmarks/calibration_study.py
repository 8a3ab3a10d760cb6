"""Bias, coverage and convergence of six models, over 5 to 200 groups; the same of lme4 and glmmTMB.

python benchmarks/calibration_study.py [--times N] [--profiled P] [--rivals M] [--cases REGEX] [--groups G ...]
                                       [--jobs N] [--answers FILE] [--save docs/assets/calibration.json]

For each of the models of `calibration_models.py` and each number of groups, N data sets are fitted by ranef, the first
P of them with profile intervals too, and the first M by lme4 and glmmTMB, where R is there (`--rivals 0`: without R).
Of each program and parameter: bias with its Monte Carlo standard error, the mean standard error over the standard
deviation of the estimates, and how often 95 % intervals cover. A fit that says of itself that it did not converge
counts in the share of fits that did, and nowhere else. An interval without an end covers nothing. What theory says
must hold is checked (`calibration_claims.py`); the exit status is 1 where it does not.

`--answers` keeps every answer, and takes from there what it has: a study can be interrupted, and made longer.
docs/explanation/calibration.md shows the results that `--save` writes. Six minutes of processor time for a thousand
data sets; of the rivals, with 5, 20 and 100 groups, twelve minutes for a hundred.
"""

from __future__ import annotations

import argparse
import datetime
import json
import math
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

import ranef as rf
from calibration_claims import balanced, examined
from calibration_models import CASES, FIXED, GROUPS, ML, OURS, POINTS, QUADRATURE, Answer, answered, drawn, in_the_limit

#: A data set and a program.
Key = tuple[str, int, int, str]
#: Data sets of a cell that one task of ours gets, and one process of R.
BLOCK, RIVAL_BLOCK = 25, 5
#: Numbers of groups for which rivals are asked: where they differ from us does not hang on the others.
RIVAL_GROUPS = (5, 20, 100)
#: lme4's profiles, and pbkrtest's degrees of freedom, are for so many data sets of at most so many groups.
FEW, FEW_GROUPS = 10, 50
#: Groups in which Laplace's approximation is compared with quadrature, for what its estimates tend to.
LIMIT = 20_000
#: Log-likelihoods that differ by more are those of different places.
SAME = 1e-2


def counterpart(program: str) -> str:
    """The fit of ours that a rival's is compared with."""
    return QUADRATURE if "quadrature" in program else OURS


# -- answers -----------------------------------------------------------------------------------------------------------


def our_answers(task: tuple[str, int, range, int]) -> list[tuple[Key, Answer]]:
    """Ours for some data sets of a cell; those numbered below the last of the task with profiles."""
    name, groups, numbers, profiled = task
    found = []
    for number in numbers:
        frame = drawn(name, groups, number)
        for program in CASES[name].programs:
            found.append(((name, groups, number, program), answered(name, program, frame, number < profiled)))
    return found


def rival_answers(cells: list[tuple[str, int, range]]) -> tuple[list[tuple[Key, Answer]], dict[str, str]]:
    """Those of lme4 and glmmTMB for some data sets of each cell, by one process of R, and the versions there."""
    with tempfile.TemporaryDirectory() as folder:
        listed = []
        for name, groups, numbers in cells:
            case = CASES[name]
            frames = [drawn(name, groups, k).with_columns(pl.lit(k).alias("number")) for k in numbers]
            pl.concat(frames).write_csv(Path(folder, f"{name}{groups}.csv"))
            listed.append(
                {
                    "case": name,
                    "groups": groups,
                    "file": f"{name}{groups}",
                    "formula": case.formula,
                    "linear": case.linear,
                    "family": case.arguments.get("family", "gaussian"),
                    "zi": case.arguments.get("zi"),
                    "programs": case.rivals,
                    "points": POINTS,
                    "few": FEW if groups <= FEW_GROUPS else 0,
                }
            )
        Path(folder, "cells.json").write_text(json.dumps(listed), encoding="utf-8")
        out = Path(folder, "answers.json")
        script = Path(__file__).with_name("calibration_rivals.R")
        subprocess.run(
            ["Rscript", str(script), folder, str(out)],
            check=True,
            capture_output=True,
            env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        )
        lines = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    versions = lines.pop()["versions"]
    return [keyed(line) for line in lines], versions


def keyed(line: dict[str, Any]) -> tuple[Key, Answer]:
    """An answer from a line of JSON, in which what is no number is null."""
    key = (line.pop("case"), line.pop("groups"), line.pop("number"), line.pop("program"))
    return key, Answer(**numbers(line))


def numbers(value: Any) -> Any:
    """A value of JSON with not-a-number for null."""
    if isinstance(value, dict):
        return {name: numbers(part) for name, part in value.items()}
    if isinstance(value, list):
        return tuple(numbers(part) for part in value)
    return math.nan if value is None else value


def line_of(key: Key, answer: Answer) -> str:
    """An answer as a line of JSON."""
    return json.dumps(dict(zip(("case", "groups", "number", "program"), key, strict=True)) | asdict(answer))


def one_thread() -> None:
    """Processes that share the cores do not share them again among threads."""
    os.environ["RAYON_NUM_THREADS"] = "1"


def collected(cells: list[tuple[str, int]], times: int, profiled: int, rivals: int, jobs: int, kept: Path | None):
    """All answers by key, and the versions of the rivals."""
    answers: dict[Key, Answer] = {}
    versions: dict[str, str] = {}
    if kept is not None and kept.exists():
        for text in kept.read_text(encoding="utf-8").splitlines():
            line = json.loads(text)
            if "versions" in line:
                versions = line["versions"]
            else:
                key, answer = keyed(line)
                answers[key] = answer

    def keep(found: Iterable[tuple[Key, Answer]], said: dict[str, str]) -> None:
        found = list(found)
        answers.update(found)
        versions.update(said)
        if kept is not None:
            with kept.open("a", encoding="utf-8") as out:
                out.writelines(line_of(*one) + "\n" for one in found)
                if said:
                    out.write(json.dumps({"versions": said}) + "\n")
        print(f"\r{len(answers)} answers", end="", file=sys.stderr, flush=True)

    blocks = [range(first, min(first + BLOCK, times)) for first in range(0, times, BLOCK)]
    tasks = [
        (name, groups, block, profiled)
        for block in blocks
        for name, groups in cells
        if any((name, groups, k, program) not in answers for k in block for program in CASES[name].programs)
    ]
    if jobs > 1:
        with ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=one_thread) as pool:
            for found in pool.map(our_answers, tasks):
                keep(found, {})
    else:
        for task in tasks:
            keep(our_answers(task), {})
    for first in range(0, rivals, RIVAL_BLOCK):
        block = range(first, min(first + RIVAL_BLOCK, rivals))
        missing = [
            (name, groups, block)
            for name, groups in cells
            if groups in RIVAL_GROUPS
            and any((name, groups, k, program) not in answers for k in block for program in CASES[name].rivals)
        ]
        if missing:
            keep(*rival_answers(missing))
    print(file=sys.stderr)
    return answers, versions


# -- what they amount to -----------------------------------------------------------------------------------------------


def rounded(value: float) -> float | None:
    """A number with the digits that a table shows and one more; nothing where it is none."""
    return float(f"{value:.5g}") if math.isfinite(value) else None


def covered(answers: list[Answer], method: str, parameter: str, truth: float) -> list[int] | None:
    """How many intervals cover, how many lack an end, and how many there are."""
    ends = [a.intervals[method][parameter] for a in answers if parameter in a.intervals.get(method, {})]
    if not ends:
        return None
    low, high = np.array(ends, float).T
    closed = np.isfinite(low) & np.isfinite(high)
    return [int(np.sum((low <= truth) & (truth <= high) & closed)), int(np.sum(~closed)), len(ends)]


def parameter_row(answers: list[Answer], parameter: str, truth: float) -> dict[str, Any]:
    """Bias, spread and coverage of one parameter in one cell."""
    estimates = np.array([a.estimates[parameter] for a in answers], float)
    errors = np.array([a.errors.get(parameter, math.nan) for a in answers], float)
    # An estimate at the edge of the parameters (no zero inflation, no dispersion) is minus or plus infinity.
    whole = bool(np.isfinite(estimates).all() and (np.abs(estimates) < 30.0).all())
    sd = float(estimates.std(ddof=1)) if whole and len(estimates) > 1 else math.nan
    row: dict[str, Any] = {
        "parameter": parameter,
        "truth": rounded(truth),
        "bias": rounded(float(estimates.mean()) - truth) if whole else None,
        "bias_error": rounded(sd / math.sqrt(len(estimates))),
        "median_bias": rounded(float(np.median(estimates)) - truth) if len(estimates) else None,
        "sd": rounded(sd),
        "rmse": rounded(float(np.sqrt(np.mean((estimates - truth) ** 2)))) if whole else None,
        "se_ratio": rounded(float(errors.mean()) / sd) if np.isfinite(errors).all() else None,
    }
    methods = dict.fromkeys(method for a in answers for method in a.intervals)
    found = {method: covered(answers, method, parameter, truth) for method in methods}
    row["covered"] = {method: counts for method, counts in found.items() if counts}
    return row


def compared(pairs: list[tuple[Answer, Answer]]) -> dict[str, Any]:
    """How far a rival's fits are from ours where both converged."""
    gains = np.array([ours.loglik - theirs.loglik for ours, theirs in pairs])
    apart, spread, ends = [], [], []
    for ours, theirs in pairs:
        fixed = [name for name in (*FIXED, "zi") if name in ours.estimates and name in theirs.estimates]
        apart.append(max(abs(ours.estimates[k] - theirs.estimates[k]) / ours.errors[k] for k in fixed))
        spread.append(abs(ours.estimates["sd"] - theirs.estimates["sd"]))
        for method in ("satterthwaite", "kenward-roger", "profile"):
            mine, others = ours.intervals.get(method, {}), theirs.intervals.get(method, {})
            for name in set(mine) & set(others) & set(FIXED):
                both = np.subtract(mine[name], others[name])
                ends.append((method, float(np.abs(both).max() / ours.errors[name])))
    apart = np.array(apart)
    same = np.abs(gains) <= SAME
    return {
        "both": len(pairs),
        "ours_higher": int(np.sum(gains > SAME)),
        "ours_lower": int(np.sum(gains < -SAME)),
        "most_higher": rounded(float(gains.max())) if len(gains) else None,
        "most_lower": rounded(float(-gains.min())) if len(gains) else None,
        "apart_median": rounded(float(np.median(apart))) if len(apart) else None,
        "apart": rounded(float(apart[same].max())) if same.any() else None,
        "sd_apart": rounded(float(np.array(spread)[same].max())) if same.any() else None,
        "ends_apart": {
            method: [rounded(max(d for m, d in ends if m == method)), sum(m == method for m, _ in ends)]
            for method in dict.fromkeys(m for m, _ in ends)
        },
    }


def summarised(cells: list[tuple[str, int]], answers: dict[Key, Answer], times: int, rivals: int):
    """Rows of the cells, and of their parameters."""
    of_cells, of_parameters = [], []
    for name, groups in cells:
        case = CASES[name]
        for program in (*case.programs, *(case.rivals if rivals and groups in RIVAL_GROUPS else ())):
            ours = program in case.programs
            keys = [(name, groups, number, program) for number in range(times if ours else rivals)]
            asked = [answers[key] for key in keys]
            good = [a for a in asked if a.converged]
            place = {"case": name, "groups": groups, "program": program}
            cell = place | {
                "asked": len(asked),
                "converged": len(good),
                "singular": sum(a.singular for a in good),
                "ms": rounded(1000.0 * float(np.nanmedian([a.seconds for a in asked]))),
            }
            pairs = []
            if not ours:
                mine = [answers[(*key[:3], counterpart(program))] for key in keys]
                pairs = [(m, a) for m, a in zip(mine, asked, strict=True) if m.converged and a.converged]
                cell |= compared(pairs) | {"ours_converged": sum(m.converged for m in mine)}
            of_cells.append(cell)
            for parameter, truth in case.truth.items():
                if not good or parameter not in good[0].estimates:
                    continue
                row = parameter_row(good, parameter, truth)
                if not ours:
                    # Both on the data sets on which both converged: what differs is not the data.
                    row["both"] = {
                        method: [both[0] for both in (theirs, mine)]
                        for method in row["covered"]
                        if (theirs := covered([a for _, a in pairs], method, parameter, truth))
                        and (mine := covered([m for m, _ in pairs], method, parameter, truth))
                        and theirs[2] == mine[2]
                    }
                of_parameters.append(place | row)
    return of_cells, of_parameters


# -- the study ---------------------------------------------------------------------------------------------------------


def study(
    cells: list[tuple[str, int]],
    times: int,
    profiled: int,
    rivals: int = 0,
    jobs: int = 1,
    kept: Path | None = None,
    limit: int = 0,
) -> dict[str, Any]:
    """All results, ready to be written, with the claims that were examined."""
    answers, of_rivals = collected(cells, times, profiled, rivals, jobs, kept)
    versions = {"ranef": rf.__version__, "Python": platform.python_version(), "numpy": np.__version__}
    of_cells, of_parameters = summarised(cells, answers, times, rivals)
    results: dict[str, Any] = {
        "about": {
            "command": (
                f"python benchmarks/calibration_study.py --times {times} --profiled {profiled} --rivals {rivals}"
            ),
            "date": datetime.date.today().isoformat(),
            "times": times,
            "profiled": min(profiled, times),
            "rivals": rivals,
            "rival_groups": list(RIVAL_GROUPS),
            "seed": "numpy.random.default_rng((crc32(case), groups, number))",
            "versions": versions | of_rivals,
            "machine": platform.machine(),
        },
        "cells": of_cells,
        "parameters": of_parameters,
    }
    if ("linear", GROUPS[0]) in cells:
        results["theory"] = [
            {"groups": groups, "program": program} | {name: rounded(value) for name, value in found.items()}
            for groups in sorted({groups for _, groups in cells})
            for program in (OURS, ML)
            for found in [balanced(groups, program == OURS)]
        ]
    if limit:
        results["laplace"] = {"groups": limit, "minus_quadrature": in_the_limit(limit)}
    results["claims"] = examined(results)
    return results


def written(results: dict[str, Any]) -> str:
    """The results as JSON, a row a line."""

    def rows(part: Any) -> str:
        if isinstance(part, list):
            return "[\n" + ",\n".join(json.dumps(row, ensure_ascii=False) for row in part) + "\n]"
        return json.dumps(part, ensure_ascii=False)

    return "{\n" + ",\n".join(f"{json.dumps(key)}: {rows(part)}" for key, part in results.items()) + "\n}\n"


def tables(results: dict[str, Any]) -> Iterator[str]:
    """Lines of the tables: convergence, then bias and coverage, then claims."""
    yield "| case | groups | program | converged | singular | ms | most below ours | most above | se apart |"
    yield "| --- |" + " ---: |" * 8
    for cell in results["cells"]:
        numbers_of = (cell.get(key) for key in ("most_higher", "most_lower", "apart"))
        shown = ["" if value is None else f"{value:.2g}" for value in numbers_of]
        yield (
            f"| {cell['case']} | {cell['groups']} | {cell['program']} | {cell['converged']} of {cell['asked']} "
            f"| {cell['singular']} | {cell['ms'] or math.nan:.1f} | {' | '.join(shown)} |"
        )
    yield "\n| case | groups | program | parameter | bias | median bias | se / sd | covered, percent |"
    yield "| --- |" + " ---: |" * 7
    for row in results["parameters"]:
        bias = "" if row["bias"] is None else f"{row['bias']:.3f} ± {row['bias_error'] or math.nan:.3f}"
        median = "" if row["median_bias"] is None else f"{row['median_bias']:.3f}"
        ratio = "" if row["se_ratio"] is None else f"{row['se_ratio']:.2f}"
        shares = ", ".join(
            f"{method} {100 * hits / of:.1f}" + (f" ({without} without an end)" if without else "")
            for method, (hits, without, of) in row["covered"].items()
        )
        yield (
            f"| {row['case']} | {row['groups']} | {row['program']} | {row['parameter']} | {bias} "
            f"| {median} | {ratio} | {shares} |"
        )
    yield ""
    for claim in results["claims"]:
        yield f"{'holds' if not claim['failed'] else 'FAILS'}: {claim['claim']} ({claim['checks']} checks)"
        yield from (f"    {failure}" for failure in claim["failed"])


def main() -> int:
    """Run the study, print its tables, and say whether every claim holds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=1000, help="data sets of each cell")
    parser.add_argument("--profiled", type=int, default=400, help="those of them with profile intervals")
    parser.add_argument("--rivals", type=int, default=100, help="data sets of each cell for lme4 and glmmTMB")
    parser.add_argument("--cases", default="", help="regular expression of the models to run")
    parser.add_argument("--groups", type=int, nargs="*", default=GROUPS)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--answers", type=Path, help="a file of answers to go on with")
    parser.add_argument("--save", type=Path, help="where the results are written")
    options = parser.parse_args()
    cells = [(name, groups) for name in CASES if re.search(options.cases, name) for groups in options.groups]
    rivals = min(options.rivals, options.times) if shutil.which("Rscript") else 0
    limit = LIMIT if any(name == "binary" for name, _ in cells) else 0
    results = study(cells, options.times, options.profiled, rivals, options.jobs, options.answers, limit)
    print("\n".join(tables(results)))
    if options.save:
        options.save.write_text(written(results), encoding="utf-8")
    return int(any(claim["failed"] for claim in results["claims"]))


if __name__ == "__main__":
    sys.exit(main())

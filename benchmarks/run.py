"""The whole table: every problem by every rival that is installed, agreement first, then time.

Run by ``make bench``, or:

    python benchmarks/run.py [--problems REGEX] [--rivals a,b] [--rival-python PATH] [--threads 2] [--limit SECONDS]

Each fit runs in a process of its own. A rival's ratio is its median time over ranef's in the same run, with the range
that the spread of both timings allows; it stands only where the log-likelihoods agree to 1e-3 or ranef's is higher.
"""

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from problems import PROBLEMS, Problem
from storage import store

HERE = Path(__file__).parent
AGREE = 1e-3
RIVALS = ("lme4", "glmmTMB", "glmm", "mixedlm", "gpboost", "statsmodels")


def command(rival: str, python: str) -> list[str] | None:
    """How a rival is started; None where it is not installed."""
    if (HERE / "rivals" / f"{rival}.R").exists():
        if shutil.which("Rscript") is None:
            return None
        found = subprocess.run(["Rscript", "-e", f"library({rival})"], capture_output=True, check=False)
        return ["Rscript", str(HERE / "rivals" / f"{rival}.R")] if found.returncode == 0 else None
    found = subprocess.run([python, "-c", f"import {rival}"], capture_output=True, check=False, cwd="/")
    # A rival's file bears its package's name: -P keeps the file's folder from being searched first.
    return [python, "-P", str(HERE / "rivals" / f"{rival}.py")] if found.returncode == 0 else None


def measure(start: list[str], problem: Problem, folder: Path, threads: int, limit: float) -> dict[str, Any]:
    """Run one rival on one problem; what it printed, or why there is nothing."""
    threads_of = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "RAYON_NUM_THREADS")
    path = os.pathsep.join(filter(None, [str(HERE), os.environ.get("PYTHONPATH")]))
    environment = os.environ | dict.fromkeys(threads_of, str(threads)) | {"PYTHONPATH": path}
    try:
        ran = subprocess.run(
            [*start, json.dumps(problem.card()), str(folder)],
            capture_output=True,
            text=True,
            timeout=limit,
            env=environment,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"refused": f"over {limit:.0f} s"}
    lines = [line for line in ran.stdout.splitlines() if line.startswith("{")]
    if lines:
        return json.loads(lines[-1])
    return {"refused": (ran.stderr.strip().splitlines() or ["no answer"])[-1][:60]}


def warm(seconds: list[float]) -> list[float]:
    """Without the first call, which pays for caches, where there are others."""
    return seconds[1:] or seconds


def describe(ours: dict[str, Any], theirs: dict[str, Any]) -> str:
    """A rival's cell: agreement, then the ratio with its range."""
    if "refused" in theirs:
        return theirs["refused"]
    gap = theirs["loglik"] - ours["loglik"]
    mine, other = warm(ours["seconds"]), warm(theirs["seconds"])
    ratio = statistics.median(other) / statistics.median(mine)
    low, high = min(other) / max(mine), max(other) / min(mine)
    cell = f"{ratio:.3g} x ({low:.3g}-{high:.3g}), {theirs['peak_mb']:.0f} MB"
    return cell if gap <= AGREE else f"logLik {gap:+.3g} above ours"


def main() -> int:
    """Print the table; the exit status tells whether every agreement held."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", default="")
    parser.add_argument("--rivals", default=",".join(RIVALS))
    parser.add_argument("--rival-python", default=sys.executable, help="interpreter that has the Python rivals")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--limit", type=float, default=300.0)
    parser.add_argument("--data", type=Path, default=HERE.parent / "target" / "benchmark-data")
    options = parser.parse_args()
    rivals = {name: command(name, options.rival_python) for name in options.rivals.split(",") if name}
    for name in [name for name, start in rivals.items() if start is None]:
        print(f"{name}: not installed, left out")
    rivals = {name: start for name, start in rivals.items() if start is not None}
    ours_start = [sys.executable, "-P", str(HERE / "rivals" / "ranef.py")]
    higher = 0
    for problem in PROBLEMS:
        if not re.search(options.problems, problem.name):
            continue
        folder = store(problem.data, options.data)
        ours = measure(ours_start, problem, folder, options.threads, options.limit)
        if "refused" in ours:
            print(f"{problem.name}: {ours['refused']}")
            higher += 1
            continue
        times = [1000 * s for s in warm(ours["seconds"])]
        print(
            f"{problem.name:17s} ranef {statistics.median(times):9.2f} ms ({min(times):.2f}-{max(times):.2f}), "
            f"{ours['peak_mb']:.0f} MB of which data {ours['data_mb']:.0f}; logLik {ours['loglik']:.4f}; {problem.why}",
            flush=True,
        )
        for name, start in rivals.items():
            cell = describe(ours, measure(start, problem, folder, options.threads, options.limit))
            higher += "above ours" in cell
            print(f"{'':17s} {name:12s} {cell}", flush=True)
    return 1 if higher else 0


if __name__ == "__main__":
    sys.exit(main())

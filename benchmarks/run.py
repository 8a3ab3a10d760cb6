"""Time to fit the models of problems.py, agreement with R first.

Run by `make bench`, or: .venv/bin/python benchmarks/run.py [pattern]
"""

import re
import statistics
import sys
import time
from pathlib import Path

from problems import PROBLEMS

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "reference"))
from reference_cases import CASES, fitted

ENOUGH_SECONDS = 2.0
MOST_ROUNDS = 20


def seconds_per_fit(name: str) -> list[float]:
    """Wall times of whole calls, formula and design included, until enough time has passed."""
    times: list[float] = []
    while len(times) < MOST_ROUNDS and (sum(times) < ENOUGH_SECONDS or len(times) < 3):
        began = time.perf_counter()
        fitted.__wrapped__(name)
        times.append(time.perf_counter() - began)
    return times


def main() -> int:
    """Print a line for every problem; the exit status tells whether all agreed with R."""
    pattern = sys.argv[1] if len(sys.argv) > 1 else ""
    disagreed = 0
    print(f"{'problem':22s} {'rows':>6s} {'logLik':>14s} {'minus R':>9s} {'median ms':>10s} {'best ms':>9s}  what")
    for name, what in PROBLEMS.items():
        if not re.search(pattern, name):
            continue
        case, fit = CASES[name], fitted(name)
        gap = fit.loglik - case["logLik"]
        agrees = abs(gap) < case["tolerances"]["logLik_abs"]
        disagreed += not agrees
        times = [1000 * t for t in seconds_per_fit(name)] if agrees else []
        clock = f"{statistics.median(times):10.1f} {min(times):9.1f}" if times else f"{'differs':>20s}"
        print(f"{name:22s} {fit.nobs:6d} {fit.loglik:14.5f} {gap:9.1e} {clock}  {what}", flush=True)
    return 1 if disagreed else 0


if __name__ == "__main__":
    sys.exit(main())

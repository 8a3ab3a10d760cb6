"""How time grows with the number of rows, one grouping factor of n / 100 levels: a table and a log-log plot.

python benchmarks/scaling.py [largest exponent, 7] [figure.png]
"""

import math
import sys
import time

import pandas as pd

import ranef as rf
from simulated import counts, generator, single


def seconds(n: int, family: str) -> float:
    """Best of three fits (one beyond a million rows) of a random-intercept model."""
    make = single if family == "gaussian" else counts
    frame = pd.DataFrame(make(generator(f"{family} {n}"), n, n // 100))
    formula = "y ~ x + (1 | g)" if family == "gaussian" else "y ~ x1 + x2 + (1 | g)"
    best = math.inf
    for _ in range(3 if n <= 1_000_000 else 1):
        began = time.perf_counter()
        rf.lmm(formula, frame, reml=False) if family == "gaussian" else rf.glmm(formula, frame, family=family)
        best = min(best, time.perf_counter() - began)
    return best


def main() -> None:
    """Print seconds and the local exponent; draw them if a file is named."""
    largest = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    sizes = [10**k for k in range(4, largest + 1)]
    measured = {family: [seconds(n, family) for n in sizes] for family in ("gaussian", "poisson")}
    print(f"{'rows':>10s} " + " ".join(f"{family:>10s} {'exponent':>9s}" for family in measured))
    for i, n in enumerate(sizes):
        cells = []
        for times in measured.values():
            exponent = f"{math.log10(times[i] / times[i - 1]):9.2f}" if i else f"{'':9s}"
            cells.append(f"{times[i]:10.4f} {exponent}")
        print(f"{n:10d} " + " ".join(cells))
    if len(sys.argv) > 2:
        from matplotlib.figure import Figure

        axes = (figure := Figure(figsize=(5, 4), layout="constrained")).subplots()
        for family, times in measured.items():
            axes.loglog(sizes, times, "o-", label=family)
        axes.loglog(sizes, [measured["gaussian"][-1] * n / sizes[-1] for n in sizes], "k:", label="linear")
        axes.set_xlabel("rows")
        axes.set_ylabel("seconds, formula to fit")
        axes.legend()
        figure.savefig(sys.argv[2], dpi=150)


if __name__ == "__main__":
    main()

"""How time and memory grow with the number of rows, one grouping factor of 1000 levels: a table and a log-log plot.

python benchmarks/scaling.py [largest exponent, 7] [figure.png]

Each fit runs in a process of its own, so that its peak of memory is its own.
"""

import json
import math
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

FAMILIES = {"gaussian": "linear", "poisson": "Poisson"}
# The structure stays as it is while the rows grow.
LEVELS = 1000
# The best of so many fits; of the first two beyond a million rows.
REPEATS = 3


def measure(family: str, n: int) -> dict[str, float]:
    """Fit a random-intercept model in this process: seconds from data frame to fit, by the clock and of all threads
    together, which a busy machine disturbs less; MB of the data and at the peak."""
    import pandas as pd

    import ranef as rf
    from clock import peak_mb
    from simulated import counts, generator, single

    make = single if family == "gaussian" else counts
    frame = pd.DataFrame(make(generator(f"{family} {n}"), n, LEVELS))

    def fit(rows: pd.DataFrame) -> None:
        if family == "gaussian":
            rf.lmm("y ~ x + (1 | g)", rows, reml=False)
        else:
            rf.glmm("y ~ x1 + x2 + (1 | g)", rows, family=family)

    fit(frame.head(1000))  # loads whatever is loaded at the first fit
    before = peak_mb()
    best, least = math.inf, math.inf
    for _ in range(REPEATS if n <= 1_000_000 else 2):
        began, worked = time.perf_counter(), time.process_time()
        fit(frame)
        best, least = min(best, time.perf_counter() - began), min(least, time.process_time() - worked)
    frame_mb = float(frame.memory_usage().sum()) / 2**20
    return {"seconds": best, "processor": least, "frame_mb": frame_mb, "added_mb": max(peak_mb() - before, 0.0)}


def measured_apart(family: str, n: int) -> dict[str, float]:
    """The same in a process of its own."""
    command = [sys.executable, __file__, "--one", family, str(n)]
    found: dict[str, float] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return found


def table(sizes: list[int], measured: dict[str, list[dict[str, float]]]) -> str:
    """Markdown, with the exponent of processor time between neighbours: 1 is linear growth."""
    lines = [
        "| rows | model | seconds | processor seconds | exponent | data, MB | added at the peak, MB |",
        "| ---: | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for family, found in measured.items():
        for i, (n, cell) in enumerate(zip(sizes, found, strict=True)):
            exponent = f"{math.log10(cell['processor'] / found[i - 1]['processor']):.2f}" if i else ""
            lines.append(
                f"| 1e{math.log10(n):.0f} | {FAMILIES[family]} | {cell['seconds']:.3g} | {cell['processor']:.3g} "
                f"| {exponent} | {cell['frame_mb']:.0f} | {cell['added_mb']:.0f} |"
            )
    return "\n".join(lines)


def draw(sizes: list[int], measured: dict[str, list[dict[str, float]]], path: Path) -> None:
    """Seconds and memory against rows, both axes logarithmic, with a line of linear growth."""
    from matplotlib.figure import Figure

    panels: Any = (figure := Figure(figsize=(8, 3.6), layout="constrained")).subplots(1, 2)
    for axes, quantity, title in zip(
        panels,
        ("processor", "added_mb"),
        ("processor seconds, data frame to fit", "MB beyond the data frame"),
        strict=True,
    ):
        for family, found in measured.items():
            axes.loglog(sizes, [max(cell[quantity], 1e-4) for cell in found], "o-", label=FAMILIES[family])
        last = measured["gaussian"][-1][quantity]
        axes.loglog(sizes, [last * n / sizes[-1] for n in sizes], "k:", label="linear growth")
        axes.set_xlabel("rows")
        axes.set_title(title, fontsize="medium")
        axes.grid(alpha=0.3)
    panels[0].legend(frameon=False)
    figure.savefig(path, dpi=150)


def main() -> None:
    """Print the table; draw the figure if a file is named."""
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps(measure(sys.argv[2], int(sys.argv[3]))))
        return
    largest = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    sizes = [10**k for k in range(4, largest + 1)]
    measured = {family: [measured_apart(family, n) for n in sizes] for family in FAMILIES}
    print(table(sizes, measured))
    if len(sys.argv) > 2:
        draw(sizes, measured, Path(sys.argv[2]))


if __name__ == "__main__":
    main()

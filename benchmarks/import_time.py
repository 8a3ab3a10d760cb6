"""How long importing takes, in fresh processes that take turns so that a busy machine slows all of them.

Run by `make bench`, or: .venv/bin/python benchmarks/import_time.py [rounds]
"""

import statistics
import subprocess
import sys
import time

STATEMENTS = {
    "an empty process": "pass",
    "import ranef": "import ranef",
    "all that a fit needs": "import ranef; ranef.glmm; ranef.load_dataset; import pandas",
    "import statsmodels.formula.api": "import statsmodels.formula.api",
}


def seconds(statement: str) -> float:
    """Wall time of a new interpreter that runs one statement."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True)
    return time.perf_counter() - began


def main() -> None:
    """Measure in turns, drop the first round (cold caches), print medians."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    measured = [{name: seconds(code) for name, code in STATEMENTS.items()} for _ in range(rounds + 1)][1:]
    print(f"{'median of ' + str(rounds):32s} {'ms':>8s}")
    for name in STATEMENTS:
        print(f"{name:32s} {1000 * statistics.median(run[name] for run in measured):8.0f}")


if __name__ == "__main__":
    main()

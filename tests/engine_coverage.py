"""Line coverage of the Rust crates, file by file, from an lcov report: `engine_coverage.py REPORT LEAST`.

Modules of unit tests do not count: they stand at the foot of their file, behind `#[cfg(test)]`, and always run. The
exit status is 1 where fewer than LEAST per cent of the lines of a crate ran.
"""

import sys
from collections import defaultdict
from itertools import groupby
from pathlib import Path

CRATES = Path(__file__).resolve().parent.parent / "crates"


def line_counts(report: Path) -> dict[Path, dict[int, int]]:
    """How often each line of each source file ran, without the lines of unit tests."""
    counts: dict[Path, dict[int, int]] = defaultdict(dict)
    for line in report.read_text().splitlines():
        key, _, value = line.partition(":")
        if key == "SF":
            path = Path(value)
            source = path.read_text().splitlines()
            end = source.index("#[cfg(test)]") + 1 if "#[cfg(test)]" in source else len(source) + 1
        elif key == "DA":
            number, count = map(int, value.split(",")[:2])
            if number < end:
                counts[path][number] = max(count, counts[path].get(number, 0))
    return counts


def ranges(numbers: list[int]) -> str:
    """Line numbers as coverage.py writes them: 3-5, 9."""
    runs = [[number for _, number in run] for _, run in groupby(enumerate(numbers), lambda pair: pair[1] - pair[0])]
    return ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


def main(report: str, least: str) -> int:
    """Print the table and judge the crates."""
    counts = line_counts(Path(report))
    low = False
    for crate in sorted({path.relative_to(CRATES).parts[0] for path in counts}):
        total = missed = 0
        for path in sorted(path for path in counts if path.is_relative_to(CRATES / crate)):
            missing = sorted(number for number, count in counts[path].items() if count == 0)
            total, missed = total + len(counts[path]), missed + len(missing)
            name = path.relative_to(CRATES)
            if missing:
                print(f"{name!s:70}{len(counts[path]):6}{len(missing):6}   {ranges(missing)}")
        share = 100 * (1 - missed / total)
        low = low or share < float(least)
        print(f"{crate + ': lines, lines that never ran':70}{total:6}{missed:6}{share:8.2f} %\n")
    return int(low)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

"""Hostile inputs with fresh seeds for as long as asked; what is found is printed and its seeds are kept.

    python tests/hostile/fuzz.py 600                              ten minutes
    python tests/hostile/fuzz.py --kind method --seed 12          one input again

The exit status is 1 where something was found. `findings.txt` beside this file keeps the seeds of findings, a kind and
a seed a line; the tests try each of them again.
"""

import argparse
import faulthandler
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from random import SystemRandom

from hostile_inputs import KINDS, Finding, attempt

CORPUS = Path(__file__).with_name("findings.txt")


def corpus() -> list[tuple[str, int]]:
    """The kinds and seeds of findings that were kept."""
    lines = CORPUS.read_text().splitlines() if CORPUS.exists() else []
    words = [line.split() for line in lines if line and not line.startswith("#")]
    return [(kind, int(seed)) for kind, seed in words]


def kept(kind: str, seed: int) -> None:
    """Keep a finding for the tests."""
    if (kind, seed) not in corpus():
        with CORPUS.open("a") as lines:
            lines.write(f"{kind} {seed}\n")


def tried(kinds: list[str], first: int, seconds: float, keep: bool, now: int) -> int:
    """Try inputs one after the other; `now` is the open file in which the one that is tried stands."""
    places: Counter[str] = Counter()
    end, count = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        kind, seed = kinds[count % len(kinds)], first + count // len(kinds)
        os.pwrite(now, f"{kind} {seed}".ljust(60).encode(), 0)
        count += 1
        finding = attempt(kind, seed)
        if finding is None:
            continue
        # Of findings at one place the first is shown and kept; the others are counted.
        places[finding.where] += 1
        if places[finding.where] > 1:
            continue
        print(f"{finding.what}\n    {finding.where}\n    {finding.reproducer}", flush=True)
        if keep:
            kept(kind, seed)
    print(f"{count} inputs, {sum(places.values())} findings at {len(places)} places", flush=True)
    return int(bool(places))


def watched(kinds: list[str], first: int, seconds: float, keep: bool) -> int:
    """The same in another process, whose end before its time is a finding too."""
    status, end = 0, time.monotonic() + seconds
    with tempfile.NamedTemporaryFile() as now:
        while (left := end - time.monotonic()) > 0.0:
            words = [sys.executable, __file__, str(left), "--from", str(first), "--watched", now.name]
            words += ["--kind", kinds[0]] if len(kinds) == 1 else []
            words += [] if keep else ["--no-corpus"]
            ended = subprocess.run(words, check=False).returncode
            if ended in (0, 1):
                return max(status, ended)
            kind, seed = Path(now.name).read_text().split()
            print(f"the process ended with status {ended}", Finding(kind, int(seed), "", "").reproducer, sep="\n    ")
            if keep:
                kept(kind, int(seed))
            status, first = 1, int(seed) + 1
    return status


def main() -> int:
    """Run until the time is over."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("seconds", type=float, nargs="?", default=60.0, help="how long to run")
    options.add_argument("--kind", choices=sorted(KINDS), help="only inputs of this kind")
    options.add_argument("--seed", type=int, help="only this input")
    options.add_argument("--from", dest="first", type=int, help="first seed, for a run that can be repeated")
    options.add_argument("--no-corpus", action="store_true", help="do not keep the seeds of findings")
    options.add_argument("--watched", help=argparse.SUPPRESS)
    asked = options.parse_args()
    kinds = [asked.kind] if asked.kind else list(KINDS)
    if asked.seed is not None:
        found = [finding for kind in kinds if (finding := attempt(kind, asked.seed))]
        for finding in found:
            print(finding.what, finding.where, sep="\n    ")
        return int(bool(found))
    first = SystemRandom().randrange(2**40) if asked.first is None else asked.first
    keep = not asked.no_corpus
    if asked.watched is None:
        return watched(kinds, first, asked.seconds, keep)
    faulthandler.enable()
    now = os.open(asked.watched, os.O_WRONLY)
    return tried(kinds, first, asked.seconds, keep, now)


if __name__ == "__main__":
    sys.exit(main())

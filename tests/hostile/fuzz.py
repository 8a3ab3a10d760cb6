"""Hostile inputs with fresh seeds for as long as asked; what is found is printed and its seeds are kept.

    python tests/hostile/fuzz.py 600                              ten minutes
    python tests/hostile/fuzz.py --kind method --seed 12          one input again

The exit status is 1 where something was found. `findings.txt` beside this file keeps the seeds of findings, a kind and
a seed a line; the tests try each of them again.
"""

import argparse
import sys
import time
from collections import Counter
from pathlib import Path
from random import SystemRandom

from hostile_inputs import KINDS, attempt

CORPUS = Path(__file__).with_name("findings.txt")


def corpus() -> list[tuple[str, int]]:
    """The kinds and seeds of findings that were kept."""
    lines = CORPUS.read_text().splitlines() if CORPUS.exists() else []
    words = [line.split() for line in lines if line and not line.startswith("#")]
    return [(kind, int(seed)) for kind, seed in words]


def main() -> int:
    """Run until the time is over."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("seconds", type=float, nargs="?", default=60.0, help="how long to run")
    options.add_argument("--kind", choices=sorted(KINDS), help="only inputs of this kind")
    options.add_argument("--seed", type=int, help="only this input")
    options.add_argument("--from", dest="first", type=int, help="first seed, for a run that can be repeated")
    options.add_argument("--no-corpus", action="store_true", help="do not keep the seeds of findings")
    asked = options.parse_args()
    kinds = [asked.kind] if asked.kind else list(KINDS)
    if asked.seed is not None:
        found = [finding for kind in kinds if (finding := attempt(kind, asked.seed))]
        for finding in found:
            print(finding.what, finding.where, sep="\n    ")
        return int(bool(found))
    first = SystemRandom().randrange(2**40) if asked.first is None else asked.first
    known = set(corpus())
    places: Counter[str] = Counter()
    end = time.monotonic() + asked.seconds
    tried = 0
    while time.monotonic() < end:
        kind, seed = kinds[tried % len(kinds)], first + tried // len(kinds)
        tried += 1
        finding = attempt(kind, seed)
        if finding is None:
            continue
        # Of findings at one place the first is shown and kept; the others are counted.
        places[finding.where] += 1
        if places[finding.where] > 1:
            continue
        print(f"{finding.what}\n    {finding.where}\n    {finding.reproducer}", flush=True)
        if not asked.no_corpus and (kind, seed) not in known:
            with CORPUS.open("a") as kept:
                kept.write(f"{kind} {seed}\n")
    print(f"{tried} inputs, {sum(places.values())} findings at {len(places)} places")
    return int(bool(places))


if __name__ == "__main__":
    sys.exit(main())

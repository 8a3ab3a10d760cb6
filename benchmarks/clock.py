"""How a Python rival is run: it reads a problem, fits it some times and prints one line of JSON."""

import gc
import json
import resource
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from storage import load

ENOUGH_SECONDS = 3.0
MOST_ROUNDS = 15


def peak_mb() -> float:
    """Largest resident size of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def run(
    version: str, prepare: Callable[[dict[str, Any], Any], Callable[[], Any]], loglik: Callable[[Any], float]
) -> None:
    """Time ``prepare(problem, frame)()``, the first call apart; print log-likelihood, seconds and memory.

    A rival that cannot fit the problem raises NotImplementedError.
    """
    problem = json.loads(sys.argv[1])
    frame = load(Path(sys.argv[2]))
    warnings.simplefilter("ignore")
    before = peak_mb()
    seconds: list[float] = []
    try:
        fit = prepare(problem, frame)
        result = None
        while not seconds or (len(seconds) < MOST_ROUNDS and sum(seconds) < ENOUGH_SECONDS):
            gc.collect()
            began = time.perf_counter()
            result = fit()
            seconds.append(time.perf_counter() - began)
    except NotImplementedError as refusal:
        print(json.dumps({"version": version, "refused": str(refusal)}))
        return
    memory = {"data_mb": before, "peak_mb": peak_mb()}
    print(json.dumps({"version": version, "loglik": loglik(result), "seconds": seconds} | memory))

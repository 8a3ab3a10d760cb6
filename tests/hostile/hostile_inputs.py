"""Seeded hostile inputs: formulas, data frames, arguments and calls of methods, each made from a kind and a seed.

`attempt(kind, seed)` makes one input, hands it to ranef and says what was wrong with the outcome. Right outcomes are an
answer and one of ranef's own errors; everything else (another library's exception, an `EngineFault`, a warning of
another library, a wait, an answer that an oracle of the kind knows to be wrong) is a finding.
"""

from __future__ import annotations

import random
import signal
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import ranef as rf
from hostile_values import OWN_ERRORS, Attempted, WrongAnswer, plain_fits
from kinds import (
    answers,
    assumptions,
    command_line,
    designs,
    figures,
    fits,
    libraries,
    relatedness,
    saved_files,
    several,
    sound_fits,
    writing,
)

# No input here needs more than some tens of milliseconds; a machine under load may make that a second or two.
LONGEST_SECONDS = 20.0
# Characters of a call that a finding shows; the seed gives the whole.
MOST_SHOWN = 400


@dataclass(frozen=True)
class Finding:
    """An input whose outcome is neither an answer nor an error of ranef's own."""

    kind: str
    seed: int
    what: str
    where: str

    @property
    def reproducer(self) -> str:
        """A command that shows it again."""
        return f"python tests/hostile/fuzz.py --kind {self.kind} --seed {self.seed}"


class TooLong(BaseException):
    """The input was not answered in `LONGEST_SECONDS`."""


KINDS: dict[str, Callable[[random.Random], Attempted]] = {
    "formula": fits.of_formula,
    "fitted-formula": fits.of_fitted_formula,
    "frame": fits.of_frame,
    "fitted-frame": fits.of_fitted_frame,
    "arguments": fits.of_arguments,
    "method": fits.of_method,
    "several": several.of_several,
    "means": answers.of_means,
    "simulated": answers.of_simulated,
    "relatedness": relatedness.of_relatedness,
    "assumptions": assumptions.of_assumptions,
    "family": assumptions.of_family,
    "figure-data": figures.of_figure_data,
    "figure": figures.of_figure,
    "writing": writing.of_writing,
    "update": writing.of_update,
    "estimator": writing.of_estimator,
    "saved-file": saved_files.of_saved_file,
    "command": command_line.of_command,
    "libraries": libraries.of_libraries,
    "design": designs.of_design,
    "sound-fit": sound_fits.of_sound_fit,
}


def attempt(kind: str, seed: int) -> Finding | None:
    """Make the input of that kind and seed, use it, and judge the outcome."""
    plain_fits()
    draw = random.Random(f"{kind} {seed}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        shown, run = KINDS[kind](draw)
    shown = " ".join(shown.split())
    shown = shown if len(shown) <= MOST_SHOWN else f"{shown[:MOST_SHOWN]} ..."
    previous = signal.signal(signal.SIGALRM, _too_long)
    signal.setitimer(signal.ITIMER_REAL, LONGEST_SECONDS)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.simplefilter("ignore", rf.ConvergenceWarning)
            run()
    except OWN_ERRORS as error:
        if not str(error).strip():  # an error that says nothing is none
            return Finding(kind, seed, f"{shown}\n    an error without a text", "")
    except TooLong:
        return Finding(kind, seed, f"{shown}\n    no answer in {LONGEST_SECONDS:g} s", "wait")
    except WrongAnswer as error:
        return Finding(kind, seed, f"{shown}\n    {str(error)[:600]}", f"{kind}: {str(error).split(':')[0]}")
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        frames = traceback.extract_tb(error.__traceback__)
        own = [f for f in frames if "/ranef/" in f.filename]
        where = " < ".join(f"{f.filename.split('/ranef/')[-1]}:{f.lineno} {f.name}" for f in reversed(own[-4:]))
        return Finding(kind, seed, f"{shown}\n    {type(error).__name__}: {str(error)[:300]}", where)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    return None


def _too_long(*_: Any) -> None:
    raise TooLong

"""Whether the verdict of a fit is right, on the five hundred problems of stress_problems.py.

python benchmarks/stress_study.py [--kinds REGEX] [--each N] [--jobs N] [--no-r] [--save FILE]

Every problem is fitted as a user would. The truth is the highest log-likelihood that anything finds: ten further
searches (seven of the engine's from starts that are perturbed a little, a lot, or know nothing; two of L-BFGS-B,
one of Nelder and Mead's simplex), and searches from the estimates of lme4 and glmmTMB where R has them. A fit is
*optimal* if it is not more than 1e-4 below. Two shares are printed: of the optimal fits, those that say that they
converged (wanted: 99 %); of the others, those that say that they did not (wanted: all). For R the statements are:
lme4, no message but that on singular fits, and the optimiser's code; glmmTMB, the optimiser's code and a positive
definite Hessian. R's estimates are judged by the likelihood at their place, as ranef computes it, where it can.

Points at which Laplace's approximation has broken down (the effects of some group have several modes given the
data) have no likelihood and are left out.

A likelihood that rises forever along a coefficient (separation) has no maximum: no fit of it is optimal, however
high it ends, and none may say that it converged. Whether it does is asked of the likelihood alone: a coefficient
that is far out is held twice as far out and everything else is fitted again; if nothing is lost, there is no
maximum. These problems have a column of their own.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

import ranef as rf
from ranef.checks import optimizers
from ranef.checks.restarts import fitted_from, perturbed_start, startable
from ranef.fitting import FittedModel
from stress_problems import EACH, KINDS, Problem, problem

#: Log-likelihoods that differ by less are one.
SAME = 1e-4
#: A coefficient's effect over the range of its column from which on it is asked whether it has an end.
FAR = 6.0
#: What the likelihood may lose by a coefficient that is held twice as far out, if it has no maximum.
NO_LOSS = 1e-3
#: Families of lme4's (whose approximation is Laplace's for canonical links only), and functions that make glmmTMB's (of
#: which compois takes minutes a fit).
LME4 = ("gaussian", "binomial", "poisson")
GLMMTMB = {
    **dict.fromkeys(("gaussian", "binomial", "poisson", "nbinom1", "nbinom2", "genpois", "tweedie", "betabinomial")),
    **dict.fromkeys(("truncated_poisson", "truncated_nbinom1", "truncated_nbinom2", "truncated_genpois")),
    "gamma": "Gamma",
    "beta": "beta_family",
}
OURS = "ranef"


@dataclass
class Answer:
    """What one program said of one problem: where it ended, and whether it says that this is the maximum."""

    loglik: float
    converged: bool
    said: str = ""


@dataclass
class Record:
    """A problem with the answers and the truth."""

    name: str
    best: float
    found_by: str
    unbounded: list[str]
    answers: dict[str, Answer] = field(default_factory=dict)
    seconds: float = 0.0

    def optimal(self, program: str) -> bool:
        """Whether a program ended at the maximum; higher than that is where there is no likelihood."""
        return not self.unbounded and abs(self.answers[program].loglik - self.best) <= SAME

    def right(self, program: str) -> bool:
        """Whether what it says of that is true."""
        return self.answers[program].converged == self.optimal(program)


def fitted(problem: Problem) -> rf.Fit:
    """The fit as a user would ask for it."""
    call = rf.lmm if problem.linear else rf.glmm
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return call(problem.formula, problem.frame, **problem.arguments())


# -- the truth ---------------------------------------------------------------------------------------------------------


def restarts(record: FittedModel, others: list[dict[str, Any]]) -> Iterator[tuple[str, float]]:
    """Log-likelihoods of ten searches from elsewhere, and of those from the ends of other programs."""
    if not startable(record):
        return
    surface = optimizers.surface_of(record)
    starts = [(f"near {r}", perturbed_start(record, 100 + r)) for r in range(4)]
    starts += [(f"far {r}", far_start(record, r)) for r in range(2)]
    starts.append(("knowing nothing", neutral_start(record)))
    starts += [(f"far {r}", far_start(record, r)) for r in range(2, 5 if surface is None else 2)]
    starts += [(f"the end of {start['program']}", start) for start in others]
    for name, start in starts:
        yield from end_of(record, start, f"trust region, {name}")
    if surface is not None:
        for optimizer, r in (("L-BFGS-B", 0), ("L-BFGS-B", 1), ("Nelder-Mead", 0)):
            found = optimizers.from_scipy(surface, optimizer, perturbed_start(record, 200 + r), "")
            if found.loglik <= record.log_posterior + SAME:
                yield optimizer, found.loglik
            elif found.place is not None:
                yield from end_of(record, found.place, f"trust region from the end of {optimizer}")


def end_of(record: FittedModel, start: dict[str, Any], name: str) -> Iterator[tuple[str, float]]:
    """Where the engine ends from a start.

    Nothing where Laplace's approximation has broken down there, at effects of which the data leave next to nothing but
    several modes: what it then calls a likelihood is none.
    """
    found = fitted_from(record, {key: start[key] for key in ("factor", "beta") if key in start})
    if found is None or found.verdict["status"] == "breakdown":
        return
    inner = found.verdict["inner"]
    if inner["positive_definite"] and (inner["decrement"] or 0.0) < 1e-6:
        yield name, found.log_posterior


def far_start(record: FittedModel, seed: int) -> dict[str, Any]:
    """A start far from the estimates: other sizes of all factors, coefficients three standard errors away."""
    rng = np.random.default_rng(300 + seed)
    start = perturbed_start(record, 400 + seed)
    start["factor"] = [factor * np.exp(rng.normal(0.0, 1.5)) for factor in start["factor"]]
    for component, values in start.get("beta", {}).items():
        away = 2.0 * (values - record.estimates(component))
        start["beta"][component] = values + away
    return start


def neutral_start(record: FittedModel) -> dict[str, Any]:
    """A start that does not know the estimates, but for thresholds: slopes zero, unit factors."""
    start = perturbed_start(record, 0)
    start["factor"] = [np.eye(*factor.shape) for factor in start["factor"]]
    for component in start.get("beta", {}):
        names, values = record.names(component), record.estimates(component)
        keep = [component == "threshold" or name == "Intercept" for name in names]
        start["beta"][component] = np.where(keep, values, 0.0)
    return start


def unbounded(problem: Problem, fit: rf.Fit) -> list[str]:
    """Coefficients along which the likelihood rises forever."""
    found: list[str] = []
    for component in fit.model.components:
        if component == "threshold" or fit.model.linear or (component == "cond" and fit.link == "identity"):
            continue
        part = fit.design.fixed[component]
        x = np.asarray(part.x, float)[:, fit.kept[component]]
        names, values = fit.names(component), fit.estimates(component)
        for j, (name, value) in enumerate(zip(names, values.tolist(), strict=True)):
            reach = 1.0 if name == "Intercept" and component == "cond" else float(np.ptp(x[:, j]))
            if abs(value) * reach < FAR:
                continue
            key = name if component == "cond" else f"{component}: {name}"
            try:
                held = fitted_with(problem, {key: 2.0 * value})
            except rf.ModelError:
                continue
            if held.loglik >= fit.loglik - NO_LOSS:
                found.append(key)
    return found


def fitted_with(problem: Problem, held: dict[str, float]) -> rf.Fit:
    """The fit with some coefficients held."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return rf.glmm(problem.formula, problem.frame, **problem.arguments(), fixed=held)


def judged(name: str, number: int, rival_answers: list[dict[str, Any]]) -> Record:
    """A problem fitted, searched again from elsewhere, and judged."""
    asked = problem(name, number)
    fit = fitted(asked)
    status = str(fit.verdict["status"])
    answers = {OURS: Answer(fit.log_posterior, bool(fit.converged), status)}
    ends = [(OURS, fit.log_posterior)] if status != "breakdown" else []
    starts, reported = [], {}
    surface = optimizers.surface_of(fit) if startable(fit) else None
    for rival in rival_answers:
        if rival.get("loglik") is None:
            continue
        program, value = rival["program"], float(rival["loglik"])
        start = rival_start(fit, rival)
        if start is None:
            ends.append((program, value))
        else:
            starts.append(start)
        answers[program] = Answer(ended(surface, fit, start, value), bool(rival["converged"]), rival["said"])
        reported[program] = value
    ends += restarts(fit, starts)
    ends = [end for end in ends if np.isfinite(end[1])]
    by, best = max(ends, key=lambda end: end[1], default=(OURS, fit.log_posterior))
    for program, value in reported.items():
        # What a program says of itself counts too, where it can be: estimates come with fewer digits than values.
        if best - SAME <= value <= best + 10.0 * SAME:
            answers[program].loglik = max(value, answers[program].loglik)
    endless = unbounded(asked, fit) if ends else ["Laplace's approximation"]
    return Record(asked.name, best, by, endless, answers)


def ended(surface: Any, record: FittedModel, start: dict[str, Any] | None, reported: float) -> float:
    """The log-likelihood at another program's estimates; what it reports where it cannot be computed."""
    if surface is None or start is None:
        return reported
    beta = [] if record.model.profiled else optimizers.by_predictor(record, start["beta"])
    found = -surface.value(surface.packed(beta, start["factor"]))
    return found if found > -1e200 else reported


# -- the rivals --------------------------------------------------------------------------------------------------------


def rival_start(record: FittedModel, rival: dict[str, Any]) -> dict[str, Any] | None:
    """Another program's estimates as a start."""
    groups = [term.group for term in record.terms()]
    if len(set(groups)) < len(groups) or set(groups) != set(rival["covariance"]):
        return None
    covariances = [np.asarray(rival["covariance"][group], float) for group in groups]
    if [len(c) for c in covariances] != [len(term.names) for term in record.terms()]:
        return None
    factors = []
    for covariance in covariances:
        if not np.isfinite(covariance).all():
            return None
        factors.append(lower_root(covariance) / (float(rival["sigma"]) if record.model.profiled else 1.0))
    start: dict[str, Any] = {"program": rival["program"], "factor": factors}
    if not record.model.profiled:
        beta = {c: np.asarray(v, float) for c, v in rival["beta"].items() if c in record.model.components}
        sizes = {c: len(record.names(c)) for c in record.model.components}
        if {c: len(v) for c, v in beta.items()} != sizes:
            return None
        start["beta"] = beta
    return start


def lower_root(covariance: np.ndarray) -> np.ndarray:
    """A factor of a covariance matrix that may be singular, and whose variables may have any units."""
    sds = np.sqrt(np.diag(covariance))
    units = np.where(sds > 0.0, sds, 1.0)
    values, vectors = np.linalg.eigh(covariance / np.outer(units, units))
    return units[:, None] * np.linalg.qr((vectors * np.sqrt(np.clip(values, 0.0, None))).T, mode="r").T


def asked_of_r(problem: Problem) -> list[str]:
    """The programs of R's that have this model."""
    found = []
    plain = all(structure not in problem.formula for structure in ("ar1(", "cs(", "toep(", "rr("))
    other = problem.zi is not None or problem.dispersion is not None
    if problem.family in LME4 and problem.link in (None, "logit") and plain and not other:
        found.append("lme4")
    if problem.family in GLMMTMB and "homtoep" not in problem.formula and not (problem.linear and problem.weights):
        found.append("glmmTMB")
    return found


def answers_of_r(asked: list[Problem], jobs: int) -> dict[str, list[dict[str, Any]]]:
    """What lme4 and glmmTMB say, by problem."""
    script = Path(__file__).with_name("stress_rivals.R")
    with tempfile.TemporaryDirectory() as folder:
        lists = [[] for _ in range(jobs)]
        for i, one in enumerate(asked):
            programs = asked_of_r(one)
            if not programs:
                continue
            one.frame.to_csv(Path(folder, f"{one.name}.csv"), index=False)
            names = ("name", "formula", "family", "linear", "reml", "zi", "dispersion", "link", "weights", "offset")
            written = {key: getattr(one, key) for key in names}
            written |= {"programs": programs, "glmmTMB": GLMMTMB.get(one.family) or one.family}
            lists[i % jobs].append(written)
        for i, part in enumerate(lists):
            Path(folder, f"list{i}.json").write_text(json.dumps(part), encoding="utf-8")

        def run(i: int) -> list[dict[str, Any]]:
            out = Path(folder, f"answers{i}.json")
            command = ["Rscript", str(script), folder, f"list{i}.json", str(out)]
            subprocess.run(command, check=False, capture_output=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
            return [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()] if out.exists() else []

        with ThreadPoolExecutor(jobs) as pool:
            found = [answer for part in pool.map(run, range(jobs)) for answer in part]
    by_name: dict[str, list[dict[str, Any]]] = {}
    for answer in found:
        by_name.setdefault(answer["name"], []).append(answer)
    return by_name


# -- the shares --------------------------------------------------------------------------------------------------------


def share(part: int, whole: int) -> str:
    """A share in per cent, with its numbers."""
    return f"{part / whole:.1%} ({part} of {whole})" if whole else "-"


def table(records: list[Record]) -> Iterator[str]:
    """Lines of the table of shares."""
    yield "| program | fits | optimal | of these called converged | not optimal | of these called not converged "
    yield "| without a maximum | of these called not converged |\n|" + " --- |" * 8
    for program in (OURS, "lme4", "glmmTMB"):
        own = [r for r in records if program in r.answers]
        if not own:
            continue
        endless = [r for r in own if r.unbounded]
        good = [r for r in own if r.optimal(program)]
        bad = [r for r in own if not r.optimal(program) and not r.unbounded]
        said = sum(r.answers[program].converged for r in good)
        told, warned = (sum(not r.answers[program].converged for r in part) for part in (bad, endless))
        cells = [program, len(own), len(good), share(said, len(good)), len(bad), share(told, len(bad))]
        yield "| " + " | ".join(map(str, [*cells, len(endless), share(warned, len(endless))])) + " |"


def one_thread() -> None:
    """Processes that share the cores do not share them again among threads."""
    os.environ["RAYON_NUM_THREADS"] = "1"


def judged_pair(pair: tuple[str, int], answers: list[dict[str, Any]]) -> Record:
    """`judged`, for a pool."""
    name, number = pair
    began = time.perf_counter()
    found = judged(name, number, answers)
    return replace(found, seconds=round(time.perf_counter() - began, 2))


def main() -> None:
    """Run the study and print its table and the verdicts that are wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kinds", default="")
    parser.add_argument("--each", type=int, default=EACH)
    parser.add_argument(
        "--first", type=int, default=0, help="the first data set of each kind: 10 and more are new ones"
    )
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--no-r", action="store_true")
    parser.add_argument("--save", type=Path)
    parser.add_argument("--r-answers", type=Path, help="answers of R to be read, or written where there are none")
    options = parser.parse_args()
    pairs = [
        (name, i)
        for name in KINDS
        if re.search(options.kinds, name)
        for i in range(options.first, options.first + options.each)
    ]
    rivals: dict[str, list[dict[str, Any]]] = {}
    if not options.no_r and shutil.which("Rscript"):
        stored = options.r_answers
        if stored is not None and stored.exists():
            rivals = json.loads(stored.read_text(encoding="utf-8"))
        else:
            rivals = answers_of_r([problem(*pair) for pair in pairs], options.jobs)
            if stored is not None:
                stored.write_text(json.dumps(rivals), encoding="utf-8")
    records = []
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn"), initializer=one_thread) as pool:
        for future in as_completed(
            [pool.submit(judged_pair, pair, rivals.get("-".join(map(str, pair)), [])) for pair in pairs]
        ):
            records.append(future.result())
            print(f"\r{len(records)} of {len(pairs)} problems", end="", file=sys.stderr, flush=True)
            if options.save:
                with options.save.open("a", encoding="utf-8") as out:
                    out.write(json.dumps(asdict(records[-1])) + "\n")
    print(file=sys.stderr)
    report(records)


def report(records: list[Record]) -> None:
    """Print the table, and the verdicts of ranef's that are wrong."""
    print("\n".join(table(records)))
    print()
    for record in sorted(records, key=lambda record: record.name):
        answer = record.answers[OURS]
        if not record.right(OURS):
            short = record.best - answer.loglik
            print(f"{record.name}: {answer.said}, {short:.3g} below {record.found_by}, endless {record.unbounded}")


if __name__ == "__main__":
    sys.exit(main())

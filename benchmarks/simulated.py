"""Simulated data for the problems that no example data set is large enough for; numpy only, one seed per scheme."""

import zlib
from collections.abc import Callable

import numpy as np

Columns = dict[str, np.ndarray]


def maximal(rng: np.random.Generator) -> Columns:
    """100 subjects by 240 items in a 2 x 2 design, everything varying over both."""
    subj, item = (v.ravel() for v in np.meshgrid(np.arange(100), np.arange(240), indexing="ij"))
    cell = (subj + item) % 4
    a, b = np.where(cell < 2, -0.5, 0.5), np.where(cell % 2 == 0, -0.5, 0.5)
    x = np.column_stack([np.ones(len(a)), a, b, a * b])
    spread = np.sqrt(0.75) * rng.normal(size=(340, 4)) + 0.5 * rng.normal(size=(340, 1))
    subjects, items = spread[:100] * [80, 30, 25, 40], spread[100:] * [50, 20, 25, 30]
    mean = x @ [500.0, 25.0, -15.0, 12.0] + (x * subjects[subj]).sum(1) + (x * items[item]).sum(1)
    return {"subj": subj, "item": item, "A": a, "B": b, "AB": a * b, "rt": mean + 150 * rng.normal(size=len(a))}


def counts(rng: np.random.Generator, n: int, groups: int) -> Columns:
    """Poisson counts in groups."""
    g, x1, x2 = rng.integers(0, groups, n), rng.normal(size=n), rng.normal(size=n)
    mean = np.exp(0.3 + 0.4 * x1 - 0.2 * x2 + 0.5 * rng.normal(size=groups)[g])
    return {"g": g, "x1": x1, "x2": x2, "y": rng.poisson(mean).astype(float)}


def slopes(rng: np.random.Generator, n: int, groups: int) -> Columns:
    """Negative binomial counts with correlated intercepts and slopes."""
    g, x = rng.integers(0, groups, n), rng.normal(size=n)
    effects = rng.normal(size=(groups, 2)) @ np.array([[0.6, 0.1], [0.0, 0.3]])
    mean = np.exp(0.5 + 0.3 * x + effects[g, 0] + effects[g, 1] * x)
    return {"g": g, "x": x, "y": rng.negative_binomial(1.5, 1.5 / (1.5 + mean)).astype(float)}


def clicks(rng: np.random.Generator, n: int, users: int, items: int) -> Columns:
    """Binary responses of users to items."""
    user, item, x = rng.integers(0, users, n), rng.integers(0, items, n), rng.normal(size=n)
    eta = -0.5 + 0.5 * x + 0.8 * rng.normal(size=users)[user] + 0.6 * rng.normal(size=items)[item]
    return {"user": user, "item": item, "x": x, "y": (rng.random(n) < 1 / (1 + np.exp(-eta))).astype(float)}


def crossed(rng: np.random.Generator, n: int, a_levels: int, b_levels: int) -> Columns:
    """A Gaussian response on two crossed factors."""
    a, b, x = rng.integers(0, a_levels, n), rng.integers(0, b_levels, n), rng.normal(size=n)
    y = 1 + 0.5 * x + rng.normal(size=a_levels)[a] + 0.7 * rng.normal(size=b_levels)[b] + rng.normal(size=n)
    return {"a": a, "b": b, "x": x, "y": y}


def single(rng: np.random.Generator, n: int, groups: int) -> Columns:
    """A Gaussian response in groups."""
    g, x = rng.integers(0, groups, n), rng.normal(size=n)
    return {"g": g, "x": x, "y": 1 + 0.5 * x + 0.8 * rng.normal(size=groups)[g] + rng.normal(size=n)}


def schools(rng: np.random.Generator, n: int, schools: int, teachers: int) -> Columns:
    """A response and a count of pupils; teachers are nested in schools."""
    teacher = rng.integers(0, teachers, n)
    school, x = teacher * schools // teachers, rng.normal(size=n)
    eta = 1.0 + 0.5 * x + 0.5 * rng.normal(size=schools)[school] + 0.5 * rng.normal(size=teachers)[teacher]
    counts = rng.poisson(np.exp(eta)).astype(float)
    return {"school": school, "teacher": teacher, "x": x, "y": eta + rng.normal(size=n), "count": counts}


def group_means(rng: np.random.Generator, n: int, groups: int) -> tuple[Columns, np.ndarray]:
    """A predictor and groups, and the means they make."""
    g, x = rng.integers(0, groups, n), rng.normal(size=n)
    return {"g": g, "x": x}, np.exp(0.8 + 0.3 * x + 0.4 * rng.normal(size=groups)[g])


def negative_binomial(rng: np.random.Generator, n: int, groups: int) -> Columns:
    """Counts with quadratic variance."""
    columns, mean = group_means(rng, n, groups)
    return columns | {"y": rng.negative_binomial(1.5, 1.5 / (1.5 + mean)).astype(float)}


def generalised_poisson(rng: np.random.Generator, n: int, groups: int) -> Columns:
    """Counts of variance 2 mu: total progeny of founders who have 1 - 1/sqrt(2) children each."""
    columns, mean = group_means(rng, n, groups)
    generation = rng.poisson(mean / np.sqrt(2))
    total = generation
    while generation.any():
        generation = rng.poisson((1 - 1 / np.sqrt(2)) * generation)
        total = total + generation
    return columns | {"y": total.astype(float)}


def conway_maxwell(rng: np.random.Generator, n: int, groups: int) -> Columns:
    """Counts of nu = 1.5, of nearly the stated means, by inversion."""
    columns, mean = group_means(rng, n, groups)
    nu, j = 1.5, np.arange(200)
    log_lambda = nu * np.log(mean + (nu - 1) / (2 * nu))
    log_factorial = np.concatenate([[0.0], np.cumsum(np.log(j[1:]))])
    y = np.empty(n)
    for rows in np.array_split(np.arange(n), 50):
        exponent = log_lambda[rows, None] * j - nu * log_factorial
        mass = np.exp(exponent - exponent.max(axis=1, keepdims=True)).cumsum(axis=1)
        y[rows] = (mass < rng.random((len(rows), 1)) * mass[:, -1:]).sum(axis=1)
    return columns | {"y": y}


def tweedie(rng: np.random.Generator, n: int, groups: int) -> Columns:
    """Poisson sums of gamma variables: phi = 1.3, power 1.6."""
    columns, mean = group_means(rng, n, groups)
    phi, power = 1.3, 1.6
    events = rng.poisson(mean ** (2 - power) / (phi * (2 - power)))
    shape, scale = (2 - power) / (power - 1), phi * (power - 1) * mean ** (power - 1)
    return columns | {"y": np.where(events > 0, rng.gamma(np.maximum(events, 1) * shape, scale), 0.0)}


SCHEMES: dict[str, Callable[[np.random.Generator], Columns]] = {
    "maximal": maximal,
    "counts_1e6": lambda rng: counts(rng, 1_000_000, 10_000),
    "slopes_1e5": lambda rng: slopes(rng, 100_000, 2_000),
    "clicks_2e5": lambda rng: clicks(rng, 200_000, 20_000, 2_000),
    "crossed_1e6": lambda rng: crossed(rng, 1_000_000, 100_000, 1_000),
    "single_1e7": lambda rng: single(rng, 10_000_000, 100_000),
    "nbinom2_1e5": lambda rng: negative_binomial(rng, 100_000, 1_000),
    "schools_1e5": lambda rng: schools(rng, 100_000, 2_000, 10_000),
    "genpois_1e5": lambda rng: generalised_poisson(rng, 100_000, 1_000),
    "tweedie_1e5": lambda rng: tweedie(rng, 100_000, 1_000),
    "compois_1e5": lambda rng: conway_maxwell(rng, 100_000, 1_000),
}


def generator(name: str) -> np.random.Generator:
    """The generator of a scheme: its numbers depend on nothing but the name."""
    return np.random.default_rng(zlib.crc32(name.encode()))

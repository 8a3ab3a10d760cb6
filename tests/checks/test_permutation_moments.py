"""Moments over permutations are those of all permutations; Moran's index is the same with full and sparse weights."""

from itertools import permutations

import numpy as np
import pytest

from ranef.checks.moran import moran
from ranef.checks.permutation_moments import permutation_moments

RNG = np.random.default_rng(3)


def all_orders(values, weights):
    return np.array([p @ weights @ p for p in (values[list(order)] for order in permutations(range(len(values))))])


@pytest.mark.parametrize("size", [2, 3, 4, 6])
def test_moments_are_those_of_all_permutations(size):
    values, weights = RNG.normal(1.0, 1.0, size), RNG.random((size, size))
    np.fill_diagonal(weights, 0.0)
    both = weights + weights.T
    sums = weights.sum(), 0.5 * (both**2).sum(), (both.sum(axis=1) ** 2).sum()
    found = permutation_moments(values, np.zeros(size, int), *(np.array([s]) for s in sums))
    every = all_orders(values, weights)
    # Rounding of sums of a few hundred products.
    assert found == pytest.approx((every.mean(), every.var()), rel=1e-9, abs=1e-12)


def test_series_are_permuted_apart():
    first, second = RNG.normal(size=5), RNG.normal(2.0, 1.0, 4)
    chain = [np.eye(m, k=1) for m in (5, 4)]
    expected = [all_orders(values, weights) for values, weights in zip((first, second), chain, strict=True)]
    m = np.array([5.0, 4.0])
    found = permutation_moments(np.r_[first, second], np.repeat([0, 1], [5, 4]), m - 1, m - 1, 4 * m - 6)
    assert found[0] == pytest.approx(sum(e.mean() for e in expected), rel=1e-9)
    assert found[1] == pytest.approx(sum(e.var() for e in expected), rel=1e-9)


def test_full_and_sparse_weights_are_the_same():
    from scipy.sparse import csr_array

    values, weights = RNG.normal(size=30), RNG.random((30, 30)) * (RNG.random((30, 30)) < 0.2)
    np.fill_diagonal(weights, 0.0)
    full, sparse = moran(values, weights), moran(values, csr_array(weights))
    assert full.expected == pytest.approx(-1 / 29, rel=1e-12)
    assert (sparse.index, sparse.expected, sparse.spread) == pytest.approx((full.index, full.expected, full.spread))
    assert moran(np.ones(30), weights) is None

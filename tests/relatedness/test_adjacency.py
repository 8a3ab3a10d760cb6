"""Neighbourhoods from pairs and from matrices."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import sparse

import ranef as rf

LINE = np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]])
NAMES = ["a", "b", "c"]


@pytest.mark.parametrize(
    "given",
    [
        pd.DataFrame({"x": ["a", "b"], "y": ["b", "c"]}),
        pl.DataFrame({"x": ["a", "b", "c", "b"], "y": ["b", "a", "b", "c"]}),
        pd.DataFrame(LINE, NAMES, NAMES),
        pd.DataFrame(LINE, NAMES, NAMES).loc[["c", "a", "b"]],
    ],
    ids=["pairs", "pairs both ways", "named matrix", "rows in another order"],
)
def test_ways_to_say_it_agree(given):
    graph = rf.adjacency(given)
    assert graph.levels == ("a", "b", "c")
    np.testing.assert_array_equal(graph.weights.toarray(), LINE)
    np.testing.assert_array_equal(graph.laplacian.toarray(), np.diag([1, 2, 1]) - LINE)


def test_matrices_take_names_beside_them():
    for matrix in (LINE, sparse.coo_array(LINE), sparse.csr_matrix(LINE)):
        graph = rf.adjacency(matrix, levels=NAMES)
        np.testing.assert_array_equal(graph.weights.toarray(), LINE)
        assert graph.neighbours.tolist() == [1, 2, 1]


def test_weights_and_columns_are_named():
    pairs = {"w": [2.0, 0.5], "to": [1, 2], "from": [2, 3]}
    graph = rf.adjacency(pairs, source="from", target="to", weight="w")
    assert graph.levels == ("2", "1", "3")
    assert graph.weights[0, 1] == graph.weights[1, 0] == 2.0


def test_isolated_areas_and_parts_are_told():
    graph = rf.adjacency({"x": ["a"], "y": ["b"]}, levels=["a", "b", "c"])
    assert graph.isolated == ("c",)
    assert graph.parts.tolist() == [0, 0, 1]
    assert "without neighbours c" in repr(graph)
    assert "<td>c</td>" in graph._repr_html_()


@pytest.mark.parametrize(
    ("given", "arguments", "message"),
    [
        (np.array([[0, 1], [0, 0]]), {"levels": "ab"}, r"`a` to `b` is 1, but `b` to `a` is 0"),
        (np.eye(2), {"levels": "ab"}, r"`a` is its own neighbour"),
        (-LINE, {"levels": NAMES}, r"weight of `\w` and `\w` is -1"),
        (LINE, {}, r"name the areas"),
        (LINE, {"levels": "ab"}, r"levels name 2 areas, the matrix has 3 rows"),
        (LINE, {"levels": "aab"}, r"two areas are called `a`"),
        (LINE[:2], {"levels": "ab"}, r"square"),
        (np.array([[0, np.nan], [np.nan, 0]]), {"levels": "ab"}, r"missing or infinite"),
        ({"x": ["a"], "y": ["a"]}, {}, r"`a` is its own neighbour"),
        ({"x": ["a", "b"], "y": ["b", "a"], "w": [1.0, 2.0]}, {"weight": "w"}, r"`b` and `a`.*two different weights"),
        ({"x": ["a"], "y": ["b"]}, {"levels": ["a"]}, r"the area `b`, which is not among the levels"),
        ({"x": ["a", None], "y": ["b", "c"]}, {}, r"row 1 .*lacks an area"),
        ({"x": ["a"]}, {}, r"two columns"),
    ],
)
def test_what_is_no_neighbourhood_is_told(given, arguments, message):
    with pytest.raises(rf.DataError, match=message):
        rf.adjacency(given, **arguments)

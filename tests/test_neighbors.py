"""Neighbours are the nearest samples, all at the same distance alike, at any scale."""

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from convexlib import devices, neighbors
from convexlib.neighbors import neighbor_graph

quickly = settings(deadline=None, max_examples=8)

seeds = st.integers(0, 2**32 - 1)


def expected_graph(X: np.ndarray, n_neighbors: int) -> np.ndarray:
    """Distances of neighbours, NaN elsewhere, from the whole matrix of distances."""
    distances = cdist(X, X)
    to_others = distances + np.diag(np.full(len(X), np.inf))
    reach = np.sort(to_others, axis=1)[:, n_neighbors - 1] * (1 + 1e-12)
    near = to_others <= reach[:, None]
    return np.where(near | near.T, distances, np.nan)


def dense(X: np.ndarray, n_neighbors: int) -> np.ndarray:
    graph = neighbor_graph(X, n_neighbors=n_neighbors)
    assert graph.has_sorted_indices
    coordinates = graph.tocoo()
    matrix = np.full(graph.shape, np.nan)
    matrix[coordinates.row, coordinates.col] = coordinates.data
    return matrix


@quickly
@given(seeds, st.integers(2, 120), st.integers(1, 5))
def test_neighbours_are_the_nearest_and_both_ways(seed: int, n: int, n_features: int) -> None:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, n_features))
    n_neighbors = int(rng.integers(1, min(n, 12)))
    graph = dense(X, n_neighbors)
    np.testing.assert_allclose(graph, expected_graph(X, n_neighbors), rtol=1e-12)
    np.testing.assert_array_equal(graph, graph.T)


@quickly
@given(seeds, st.integers(20, 120), st.integers(1, 3))
def test_all_at_the_distance_of_the_last_neighbour_count(
    seed: int, n: int, n_features: int
) -> None:
    """On whole numbers most distances tie, many of them at zero."""
    rng = np.random.default_rng(seed)
    X = rng.integers(5, size=(n, n_features)).astype(float)
    X[0] = 9
    for n_neighbors in (1, 4):
        np.testing.assert_array_equal(
            np.isnan(dense(X, n_neighbors)), np.isnan(expected_graph(X, n_neighbors))
        )


@quickly
@given(seeds)
def test_the_order_of_the_rows_does_not_matter(seed: int) -> None:
    rng = np.random.default_rng(seed)
    X = rng.integers(4, size=(100, 3)).astype(float)
    order = rng.permutation(100)
    before, after = dense(X, 5), dense(X[order], 5)
    np.testing.assert_array_equal(after, before[np.ix_(order, order)])


@pytest.mark.parametrize(
    ("scale", "dtype"),
    [(1.0, np.float32), (1e-20, np.float32), (1e20, np.float32)]
    + [(scale, np.float64) for scale in (1.0, 1e-200, 1e150)],
)
def test_a_search_in_blocks_finds_what_a_search_of_everything_finds(
    scale: float, dtype: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(neighbors, "_BLOCK", 3000)
    X = (scale * np.random.default_rng(0).normal(size=(300, 30))).astype(dtype)
    expected = expected_graph(X.astype(float) / scale, 10)
    np.testing.assert_allclose(dense(X, 10) / scale, expected, rtol=1e-12)


@pytest.mark.parametrize("spread", [1e-3, 1e-6, 1e-9])
def test_tight_clusters_far_apart_come_out_right(spread: float) -> None:
    """Single precision cannot tell the members of such clusters apart, from 1e-6 on."""
    rng = np.random.default_rng(0)
    centres = 100 * rng.normal(size=(8, 50))
    X = np.repeat(centres, 60, axis=0) + spread * rng.normal(size=(480, 50))
    np.testing.assert_allclose(dense(X, 10), expected_graph(X, 10), rtol=1e-9)


def test_duplicates_are_neighbours_at_distance_zero() -> None:
    X = np.repeat(np.random.default_rng(0).normal(size=(100, 20)), 2, axis=0)
    graph = dense(X, 1)
    rows = np.arange(200)
    assert (graph[rows, rows ^ 1] == 0).all()
    assert np.isfinite(graph).sum() == 200


def test_near_duplicates_far_from_the_origin_keep_their_distance() -> None:
    X = np.array([[1000.0], [1000.0 + 1e-9], [1001.0]])
    assert neighbor_graph(X, n_neighbors=2)[0, 1] == pytest.approx(1e-9, rel=1e-3)


def test_a_space_far_from_the_origin_has_the_same_neighbours() -> None:
    X = np.random.default_rng(0).normal(size=(60, 4))
    here, there = (neighbor_graph(x, n_neighbors=4).indices for x in (X, X + 1e7))
    np.testing.assert_array_equal(here, there)


def test_a_sample_far_from_all_others_changes_nothing_among_them() -> None:
    X = np.random.default_rng(0).normal(size=(400, 10))
    outlier = np.full((1, 10), 1e9)
    together = dense(np.concatenate([X, outlier]), 5)
    np.testing.assert_allclose(together[:-1, :-1], dense(X, 5), rtol=1e-12)
    assert np.isfinite(together[-1]).sum() >= 5


def test_the_graph_is_ready_for_networkx() -> None:
    X = np.random.default_rng(0).normal(size=(50, 3))
    graph = nx.from_scipy_sparse_array(neighbor_graph(X, n_neighbors=3))
    assert min(dict(graph.degree).values()) == 3


def test_too_many_duplicates_are_named_before_they_fill_the_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(neighbors, "_MOST_PAIRS", 10_000)
    X = np.concatenate([np.zeros((300, 3)), np.eye(3)])
    with pytest.raises(ValueError, match=r"more than 10,000 pairs of neighbours; leave out dup"):
        neighbor_graph(X, n_neighbors=5)


def test_a_search_by_tensors_finds_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """On tensors of a CPU, where there is no GPU."""
    X = np.random.default_rng(0).normal(size=(500, 20)).astype(np.float32)
    X[100:200] = X[:100] + 1e-7  # which single precision cannot tell apart
    expected = dense(X, 10)
    device = devices.best()
    monkeypatch.setattr(neighbors, "_gpu", lambda n_multiplications: device)
    monkeypatch.setattr(neighbors, "_BLOCK", 3000)
    np.testing.assert_array_equal(dense(X, 10), expected)

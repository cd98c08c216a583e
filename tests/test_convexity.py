"""Convexity asks every pair of a class whether the shortest way between them stays inside."""

from collections.abc import Callable, Iterable, Sequence
from itertools import permutations, product
from random import Random

import networkx as nx
import numba
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from scipy.stats import ortho_group

from convexlib.convexity import connected_share, graph_convexity_score, neighbor_graph

World = tuple[np.ndarray, np.ndarray, int]
Path = Sequence[int]

quickly = settings(deadline=None, max_examples=30)


@st.composite
def generic_worlds(draw: st.DrawFn) -> World:
    """Samples at random places, where no two paths are equally long, and their labels."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n_samples = draw(st.integers(4, 40))
    X = rng.normal(size=(n_samples, draw(st.integers(2, 5))))
    labels = rng.integers(draw(st.integers(1, 4)), size=n_samples)
    labels[1] = labels[0]
    return X, labels, draw(st.integers(1, min(n_samples - 1, 12)))


@st.composite
def tied_worlds(draw: st.DrawFn) -> World:
    """Samples at whole numbers apart, where many paths are equally long, some of length zero."""
    line = st.tuples(st.integers(0, 6))
    grid = st.tuples(st.sampled_from([0, 3, 6, 9]), st.sampled_from([0, 4, 8, 12]))
    points = draw(st.one_of(st.lists(place, min_size=4, max_size=8) for place in (line, grid)))
    X = np.array(points, dtype=float)
    n_neighbors = draw(st.integers(1, 3))
    lengths = neighbor_graph(X, n_neighbors=n_neighbors).data
    assume((lengths == lengths.round()).all())
    labels = np.array(draw(st.lists(st.booleans(), min_size=len(X), max_size=len(X))))
    return X, labels, n_neighbors


def corners(n_dimensions: int) -> np.ndarray:
    """Corners of a cube: each has just as many nearest neighbours as there are dimensions."""
    return np.array([*product([0.0, 1.0], repeat=n_dimensions)])


def blobs(n_per_class: int, *, distance: float) -> tuple[np.ndarray, np.ndarray]:
    """Three classes, each a normal cloud around a place of its own."""
    labels = np.repeat(np.arange(3), n_per_class)
    noise = np.random.default_rng(0).normal(size=(len(labels), 3))
    return distance * np.eye(3)[labels] + noise, labels


def nearest_neighbors(X: np.ndarray, n_neighbors: int) -> nx.Graph:
    distances = cdist(X, X)
    graph = nx.Graph()
    graph.add_nodes_from(range(len(X)))
    for i, row in enumerate(distances):
        others = [j for j in np.argsort(row).tolist() if j != i]
        graph.add_weighted_edges_from((i, j, row[j]) for j in others[:n_neighbors])
    return graph


def share_inside(path: Path, labels: np.ndarray) -> float:
    """Share of the interior of a path that has the label of its end; no path, no share."""
    if len(path) < 3:
        return float(len(path) == 2)
    return float(np.mean(labels[list(path[1:-1])] == labels[path[0]]))


def scores_of_classes(labels: np.ndarray, path: Callable[[int, int], Path]) -> list[float]:
    """Score of each class, pair by pair, along the path that is given for a pair."""
    scores = []
    for label in np.unique(labels):
        pairs = [*permutations(np.flatnonzero(labels == label).tolist(), 2)]
        shares = [share_inside(path(*pair), labels) for pair in pairs]
        scores.append(np.mean(shares) if pairs else np.nan)
    return scores


def best_path(graph: nx.Graph, labels: np.ndarray, source: int, target: int) -> Path:
    """By the rule: shortest, then fewest steps, then most members; tried one by one."""
    if not nx.has_path(graph, source, target):
        return []

    def rank(path: Path) -> tuple[int, int]:
        return len(path), -int((labels[list(path)] == labels[source]).sum())

    paths: Iterable[Path] = nx.all_shortest_paths(graph, source, target, weight="weight")
    return min(paths, key=rank)


def expected_in_generic_world(X: np.ndarray, labels: np.ndarray, n_neighbors: int) -> list[float]:
    graph = nearest_neighbors(X, n_neighbors)
    paths = dict(nx.all_pairs_dijkstra_path(graph))
    return scores_of_classes(labels, lambda source, target: paths[source].get(target, []))


def expected_in_tied_world(X: np.ndarray, labels: np.ndarray, n_neighbors: int) -> list[float]:
    # Which of equally near neighbours are kept is not part of the rule, so take the graph as is.
    edges = neighbor_graph(X, n_neighbors=n_neighbors).tocoo()
    graph = nx.Graph()
    graph.add_nodes_from(range(len(X)))
    graph.add_weighted_edges_from(
        zip(edges.row.tolist(), edges.col.tolist(), edges.data.tolist(), strict=True)
    )
    return scores_of_classes(
        labels, lambda source, target: best_path(graph, labels, source, target)
    )


@settings(deadline=None, max_examples=80)
@given(generic_worlds())
def test_the_score_is_what_networkx_finds_pair_by_pair(world: World) -> None:
    X, labels, n_neighbors = world
    scores = graph_convexity_score(X, labels, n_neighbors=n_neighbors, average=None)
    expected = expected_in_generic_world(X, labels, n_neighbors)
    np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("n_neighbors", [3, 10])
def test_the_score_is_what_networkx_finds_among_many_samples(n_neighbors: int) -> None:
    X, labels = blobs(60, distance=2.0)
    scores = graph_convexity_score(X, labels, n_neighbors=n_neighbors, average=None)
    expected = expected_in_generic_world(X, labels, n_neighbors)
    np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-12)


@settings(deadline=None, max_examples=120)
@given(tied_worlds())
def test_of_equally_short_paths_the_fewest_steps_then_the_most_members_count(world: World) -> None:
    X, labels, n_neighbors = world
    scores = graph_convexity_score(X, labels, n_neighbors=n_neighbors, average=None)
    expected = expected_in_tied_world(X, labels, n_neighbors)
    np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("places", "labels"),
    [
        # Reached by many small steps first, then as far by a few large ones.
        ("34 0c 08 08 94 98 3c 6c", "bbbababa"),
        # Reached over a length of zero by samples that are themselves reached equally far.
        ("64 04 00 08 38 90 34 60 30 3c 60 38 94 34 08", "bbaabbbabbabbaa"),
    ],
)
def test_the_rule_holds_where_paths_of_equal_length_meet(places: str, labels: str) -> None:
    X = np.array([[int(digit, 16) for digit in place] for place in places.split()], dtype=float)
    members = np.array([*labels])
    scores = graph_convexity_score(X, members, n_neighbors=2, average=None)
    expected = expected_in_tied_world(X, members, 2)
    np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("seed", range(10))
def test_of_the_many_ways_around_a_cube_the_most_members_count(seed: int) -> None:
    X = corners(4)
    labels = np.random.default_rng(seed).integers(2, size=len(X))
    scores = graph_convexity_score(X, labels, n_neighbors=4, average=None)
    expected = expected_in_tied_world(X, labels, 4)
    np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-12)


def test_one_of_two_ways_around_a_square_leads_through_the_class() -> None:
    square = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    scores = graph_convexity_score(square, list("aaba"), n_neighbors=2, average=None)
    assert scores[0] == 1.0


@quickly
@given(generic_worlds(), st.integers(0, 2**32 - 1))
def test_rotating_the_space_leaves_convexity_unchanged(world: World, seed: int) -> None:
    X, labels, n_neighbors = world
    turned = X @ ortho_group.rvs(X.shape[1], random_state=seed)
    before, after = (graph_convexity_score(Z, labels, n_neighbors=n_neighbors) for Z in (X, turned))
    assert after == pytest.approx(before, abs=1e-12)


@quickly
@given(generic_worlds(), st.floats(-100, 100))
def test_shifting_the_space_leaves_convexity_unchanged(world: World, shift: float) -> None:
    X, labels, n_neighbors = world
    before, after = (
        graph_convexity_score(Z, labels, n_neighbors=n_neighbors) for Z in (X, X + shift)
    )
    assert after == pytest.approx(before, abs=1e-12)


@quickly
@given(generic_worlds(), st.floats(1e-6, 1e6))
def test_enlarging_the_space_leaves_convexity_unchanged(world: World, factor: float) -> None:
    X, labels, n_neighbors = world
    before, after = (
        graph_convexity_score(Z, labels, n_neighbors=n_neighbors) for Z in (X, X * factor)
    )
    assert after == pytest.approx(before, abs=1e-12)


@quickly
@given(generic_worlds(), st.permutations(range(4)))
def test_renaming_the_classes_only_reorders_their_scores(world: World, names: list[int]) -> None:
    X, labels, n_neighbors = world
    renamed = np.array(names)[labels]
    before, after = (
        graph_convexity_score(X, some, n_neighbors=n_neighbors, average=None)
        for some in (labels, renamed)
    )
    order = np.argsort([names[label] for label in np.unique(labels)])
    np.testing.assert_allclose(after, before[order], rtol=0, atol=1e-12)


@quickly
@given(generic_worlds(), st.randoms(use_true_random=False))
def test_the_order_of_the_samples_does_not_matter(world: World, random: Random) -> None:
    X, labels, n_neighbors = world
    order = [*range(len(X))]
    random.shuffle(order)
    before = graph_convexity_score(X, labels, n_neighbors=n_neighbors)
    after = graph_convexity_score(X[order], labels[order], n_neighbors=n_neighbors)
    assert after == pytest.approx(before, abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_the_samples_does_not_matter_where_paths_tie(seed: int) -> None:
    rng = np.random.default_rng(seed)
    X = corners(5)
    labels, order = rng.integers(2, size=len(X)), rng.permutation(len(X))
    before = graph_convexity_score(X, labels, n_neighbors=5)
    after = graph_convexity_score(X[order], labels[order], n_neighbors=5)
    assert after == pytest.approx(before, abs=1e-12)


def test_the_number_of_threads_changes_nothing() -> None:
    X = np.concatenate([corners(6), corners(6)])
    labels = np.random.default_rng(0).integers(2, size=len(X))
    n_threads = numba.get_num_threads()
    try:
        scores = set()
        for n in range(1, n_threads + 1):
            numba.set_num_threads(n)
            scores.add(graph_convexity_score(X, labels))
    finally:
        numba.set_num_threads(n_threads)
    assert len(scores) == 1


@quickly
@given(generic_worlds() | tied_worlds())
def test_convexity_is_a_share(world: World) -> None:
    X, labels, n_neighbors = world
    score = graph_convexity_score(X, labels, n_neighbors=n_neighbors)
    assert 0 <= score <= 1


@quickly
@given(generic_worlds())
def test_macro_is_the_mean_over_classes_and_micro_the_mean_over_pairs(world: World) -> None:
    X, labels, n_neighbors = world
    scores = graph_convexity_score(X, labels, n_neighbors=n_neighbors, average=None)
    macro = graph_convexity_score(X, labels, n_neighbors=n_neighbors, average="macro")
    micro = graph_convexity_score(X, labels, n_neighbors=n_neighbors, average="micro")
    _, sizes = np.unique(labels, return_counts=True)
    n_pairs = sizes * (sizes - 1)
    assert macro == pytest.approx(np.nanmean(scores), abs=1e-12)
    assert micro == pytest.approx(np.nansum(scores * n_pairs) / n_pairs.sum(), abs=1e-12)
    assert graph_convexity_score(X, labels, n_neighbors=n_neighbors) == macro


def test_a_class_of_one_has_no_score_and_is_left_out_of_the_mean() -> None:
    line = np.array([[0.0], [1.0], [2.0], [3.0]])
    labels = ["a", "b", "a", "a"]
    scores = graph_convexity_score(line, labels, n_neighbors=1, average=None)
    np.testing.assert_array_equal(scores, [1 / 6 * (0 + 0.5 + 0 + 1 + 0.5 + 1), np.nan])
    assert graph_convexity_score(line, labels, n_neighbors=1) == scores[0]
    assert connected_share(line, labels, n_neighbors=1) == 1.0


@pytest.mark.parametrize(
    "names",
    [
        ("red", "green", "blue"),
        (b"red", b"green", b"blue"),
        (-1, 7, 10**12),
        (0.5, 1.5, np.inf),
        (np.datetime64("1954"), np.datetime64("2024"), np.datetime64("2025")),
        (None, "green", "blue"),
        (1, "1", 2),
        (("dark", "red"), ("dark", "green"), ("light", "green")),
    ],
)
def test_labels_may_be_of_any_hashable_kind(names: tuple) -> None:
    X, labels = blobs(20, distance=2.0)
    expected = graph_convexity_score(X, labels)
    assert graph_convexity_score(X, [names[label] for label in labels]) == pytest.approx(expected)


@pytest.mark.parametrize(("size", "n_neighbors"), [(2, 1), (2, 3), (5, 4), (5, 10), (11, 10)])
def test_a_class_that_keeps_to_itself_is_convex(size: int, n_neighbors: int) -> None:
    X, labels = blobs(size, distance=1000.0)
    assert graph_convexity_score(X, labels, n_neighbors=n_neighbors) == 1.0


def test_a_pair_without_a_path_scores_zero() -> None:
    X, clusters = blobs(11, distance=1000.0)
    same_label = np.zeros(len(X))
    together = 3 * 11 * 10 / (33 * 32)
    assert graph_convexity_score(X, same_label, n_neighbors=10) == pytest.approx(together)
    assert graph_convexity_score(X[::11], clusters[::11] > 0, n_neighbors=2) == 1.0


@pytest.mark.parametrize(
    ("labels", "score"), [("aaaa", 1.0), ("abba", 0.5), ("abab", 0.0), ("aabb", 1.0)]
)
def test_on_a_line_a_class_is_convex_when_it_has_no_gap(labels: str, score: float) -> None:
    line = np.arange(4.0)[:, None]
    assert graph_convexity_score(line, list(labels), n_neighbors=1) == score


def test_shuffled_labels_are_less_convex() -> None:
    X, labels = blobs(50, distance=4.0)
    shuffled = np.random.default_rng(1).permutation(labels)
    assert graph_convexity_score(X, labels) > 0.9
    assert graph_convexity_score(X, shuffled) < 0.6


def test_duplicates_are_neighbours_at_distance_zero() -> None:
    X = np.array([[0.0], [0.0], [5.0], [5.0]])
    graph = neighbor_graph(X, n_neighbors=1)
    assert graph.nnz == 4
    assert (graph.data == 0).all()
    assert graph_convexity_score(X, list("aabb"), n_neighbors=1) == 1.0
    assert graph_convexity_score(X, list("abab"), n_neighbors=1) == 0.0
    assert connected_share(X, list("aabb"), n_neighbors=1) == 1.0


def test_samples_that_are_all_the_same_are_convex() -> None:
    X = np.ones((8, 3))
    assert graph_convexity_score(X, list("abababab"), n_neighbors=7) == 1.0


def test_half_the_digits_are_enough() -> None:
    X, labels = blobs(30, distance=2.0)
    expected = graph_convexity_score(X, labels)
    assert graph_convexity_score(X.astype(np.float32), labels) == pytest.approx(expected, abs=0.01)
    assert graph_convexity_score(X.tolist(), labels.tolist()) == expected


@quickly
@given(generic_worlds())
def test_as_many_pairs_are_connected_as_networkx_finds(world: World) -> None:
    X, labels, n_neighbors = world
    graph = nearest_neighbors(X, n_neighbors)
    shares = [
        np.mean([nx.has_path(graph, *pair) for pair in permutations(members.tolist(), 2)])
        for members in (np.flatnonzero(labels == label) for label in np.unique(labels))
        if len(members) > 1
    ]
    expected = pytest.approx(np.mean(shares), abs=1e-12)
    assert connected_share(X, labels, n_neighbors=n_neighbors) == expected


@quickly
@given(generic_worlds() | tied_worlds())
def test_no_class_is_more_convex_than_it_is_connected(world: World) -> None:
    X, labels, n_neighbors = world
    score = graph_convexity_score(X, labels, n_neighbors=n_neighbors)
    assert score <= connected_share(X, labels, n_neighbors=n_neighbors) + 1e-12


@quickly
@given(generic_worlds())
def test_neighbours_are_the_nearest_and_both_ways(world: World) -> None:
    X, _, n_neighbors = world
    graph = neighbor_graph(X, n_neighbors=n_neighbors).toarray()
    expected = nx.to_numpy_array(nearest_neighbors(X, n_neighbors))
    assert (graph == graph.T).all()
    np.testing.assert_allclose(graph, expected, rtol=1e-12)


@quickly
@given(generic_worlds() | tied_worlds())
def test_every_sample_has_its_nearest_neighbours(world: World) -> None:
    X, _, n_neighbors = world
    graph, distances = neighbor_graph(X, n_neighbors=n_neighbors), cdist(X, X)
    assert graph.has_sorted_indices
    for i in range(len(X)):
        linked = graph.indices[graph.indptr[i] : graph.indptr[i + 1]]
        assert i not in linked
        nearest = np.sort(np.delete(distances[i], i))[:n_neighbors]
        np.testing.assert_allclose(np.sort(distances[i, linked])[:n_neighbors], nearest)


def test_near_duplicates_far_from_the_origin_keep_their_distance() -> None:
    X = np.array([[1000.0], [1000.0 + 1e-9], [1001.0]])
    assert neighbor_graph(X, n_neighbors=2)[0, 1] == pytest.approx(1e-9, rel=1e-3)


def changed(value: float) -> np.ndarray:
    X = np.arange(16.0).reshape(8, 2)
    X[2, 1] = value
    return X


BAD = [
    ({"X": changed(np.nan)}, r"X holds 1 values .* row 2, column 1 \(nan\); remove or replace"),
    ({"X": changed(np.inf)}, r"X holds 1 values .* row 2, column 1 \(inf\); remove or replace"),
    ({"X": np.arange(8.0)}, r"X has shape \(8,\); give a non-empty array"),
    ({"X": np.ones((0, 3)), "labels": []}, r"X has shape \(0, 3\); give a non-empty array"),
    ({"X": np.ones((8, 0))}, r"X has shape \(8, 0\); give a non-empty array"),
    ({"X": np.full((8, 2), "red")}, r"X has dtype <U3; give numbers"),
    ({"labels": list("aabbccd")}, r"labels has shape \(7,\), but X has 8 rows; give one label"),
    ({"labels": list("abcdefgh")}, r"labels has 8 classes of one sample; give a class of two"),
    ({"n_neighbors": 0}, r"n_neighbors is 0, but X has 8 rows; choose from 1 to 7"),
    ({"n_neighbors": 8}, r"n_neighbors is 8, but X has 8 rows; choose from 1 to 7"),
]


@pytest.mark.parametrize("measure", [graph_convexity_score, connected_share])
@pytest.mark.parametrize(("arguments", "message"), BAD)
def test_a_mistake_is_named(measure: Callable, arguments: dict, message: str) -> None:
    arguments = {"X": changed(5.0), "labels": list("aabbaabb"), "n_neighbors": 2} | arguments
    with pytest.raises(ValueError, match=message):
        measure(**arguments)


def test_an_unknown_average_is_named() -> None:
    with pytest.raises(ValueError, match="average is 'weighted'; choose 'macro', 'micro' or None"):
        graph_convexity_score(changed(5.0), list("aabbaabb"), n_neighbors=2, average="weighted")


def test_a_label_that_is_nan_is_refused() -> None:
    X, labels = blobs(4, distance=2.0)
    with pytest.raises(ValueError, match="labels hold NaN"):
        graph_convexity_score(X, np.where(labels == 0, np.nan, labels), n_neighbors=2)


def test_a_space_far_from_the_origin_has_the_same_neighbours() -> None:
    X = np.random.default_rng(0).normal(size=(60, 4))
    here, there = (neighbor_graph(x, n_neighbors=4).indices for x in (X, X + 1e7))
    np.testing.assert_array_equal(here, there)

"""Convexity asks every pair of a class whether the shortest way between them stays inside."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal
from itertools import combinations, pairwise, permutations, product
from pathlib import Path
from random import Random

import networkx as nx
import nnconvexity.euclidean
import nnconvexity.graph
import numba
import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array
from scipy.spatial.distance import cdist
from scipy.stats import ortho_group
from sklearn.exceptions import NotFittedError
from sklearn.neighbors import KNeighborsClassifier

from convexlib.convexity import (
    connected_share,
    euclidean_convexity_score,
    graph_convexity_score,
    graph_path,
)
from convexlib.neighbors import neighbor_graph
from convexlib.shortest_paths import parts

pytestmark = pytest.mark.filterwarnings("ignore:.* fewer than two members")


World = tuple[np.ndarray, np.ndarray, int]
Way = Sequence[int]

quickly = settings(deadline=None, max_examples=8)


@st.composite
def generic_worlds(draw: st.DrawFn) -> World:
    """Samples at random places, where no two paths are equally long, and their labels."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n_samples = draw(st.integers(4, 40))
    X = rng.normal(size=(n_samples, draw(st.integers(2, 5))))
    labels = rng.integers(draw(st.integers(2, 4)), size=n_samples)
    labels[:3] = [0, 0, 1]
    return X, labels, draw(st.integers(1, min(n_samples - 1, 12)))


@st.composite
def tied_worlds(draw: st.DrawFn) -> World:
    """Samples where many paths are equally long, some of length zero.

    Edges are multiples of the shortest of their connected part, so that the unit of length, which
    is a part of that one, measures all of them exactly.
    """
    line = st.tuples(st.integers(0, 6))
    grid = st.tuples(st.sampled_from([0, 3, 6, 9]), st.sampled_from([0, 4, 8, 12]))
    points = draw(st.one_of(st.lists(place, min_size=4, max_size=8) for place in (line, grid)))
    X = np.array(points, dtype=float)
    assume((X[0] != X).any())
    n_neighbors = draw(st.integers(1, 3))
    graph = neighbor_graph(X, n_neighbors=n_neighbors)
    part = np.repeat(parts(graph), np.diff(graph.indptr))
    for number in np.unique(part):
        lengths = graph.data[(part == number) & (graph.data > 0)]
        assume(not (lengths % lengths.min(initial=np.inf)).any())
    labels = np.array(draw(st.lists(st.booleans(), min_size=len(X), max_size=len(X))))
    labels[:3] = [True, True, False]
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
    """Each sample with all that are no farther than the last of its neighbours, one by one."""
    distances = cdist(X, X)
    graph = nx.Graph()
    graph.add_nodes_from(range(len(X)))
    for i, row in enumerate(distances):
        others = [j for j in np.argsort(row).tolist() if j != i]
        reach = row[others[n_neighbors - 1]] * (1 + 1e-12)
        graph.add_weighted_edges_from((i, j, row[j]) for j in others if row[j] <= reach)
    return graph


def share_inside(path: Way, labels: np.ndarray) -> float:
    """Share of the interior of a path that has the label of its end; no path, no share."""
    if len(path) < 3:
        return float(len(path) == 2)
    return float(np.mean(labels[list(path[1:-1])] == labels[path[0]]))


def scores_of_classes(labels: np.ndarray, path: Callable[[int, int], Way]) -> list[float]:
    """Score of each class, pair by pair, along the path that is given for a pair."""
    scores = []
    for label in np.unique(labels):
        pairs = [*permutations(np.flatnonzero(labels == label).tolist(), 2)]
        shares = [share_inside(path(*pair), labels) for pair in pairs]
        scores.append(np.mean(shares) if pairs else np.nan)
    return scores


def best_path(graph: nx.Graph, labels: np.ndarray, source: int, target: int) -> Way:
    """By the rule: shortest, then fewest steps, then most members; tried one by one."""
    if not nx.has_path(graph, source, target):
        return []

    def rank(path: Way) -> tuple[int, int]:
        return len(path), -int((labels[list(path)] == labels[source]).sum())

    paths: Iterable[Way] = nx.all_shortest_paths(graph, source, target, weight="weight")
    return min(paths, key=rank)


def expected_in_generic_world(X: np.ndarray, labels: np.ndarray, n_neighbors: int) -> list[float]:
    graph = nearest_neighbors(X, n_neighbors)
    paths = dict(nx.all_pairs_dijkstra_path(graph))
    return scores_of_classes(labels, lambda source, target: paths[source].get(target, []))


def expected_in_tied_world(X: np.ndarray, labels: np.ndarray, n_neighbors: int) -> list[float]:
    graph = nearest_neighbors(X, n_neighbors)
    return scores_of_classes(
        labels, lambda source, target: best_path(graph, labels, source, target)
    )


@settings(deadline=None, max_examples=40)
@given(generic_worlds())
def test_the_score_is_what_networkx_finds_pair_by_pair(world: World) -> None:
    X, labels, n_neighbors = world
    scores = graph_convexity_score(X, labels, n_neighbors=n_neighbors, average=None)
    expected = expected_in_generic_world(X, labels, n_neighbors)
    np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("n_neighbors", [3, 10])
def test_the_score_is_what_networkx_finds_among_many_samples(n_neighbors: int) -> None:
    X, labels = blobs(30, distance=2.0)
    scores = graph_convexity_score(X, labels, n_neighbors=n_neighbors, average=None)
    expected = expected_in_generic_world(X, labels, n_neighbors)
    np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-12)


@settings(deadline=None, max_examples=40)
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


@pytest.mark.parametrize("seed", range(4))
def test_of_the_many_ways_around_a_cube_the_most_members_count(seed: int) -> None:
    X = corners(4)
    labels = np.random.default_rng(seed).integers(2, size=len(X))
    scores = graph_convexity_score(X, labels, n_neighbors=4, average=None)
    expected = expected_in_tied_world(X, labels, 4)
    np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_the_rule_holds_on_a_grid_of_many_ties(seed: int) -> None:
    """All lengths are 1: hundreds of pairs with many shortest paths, beyond one batch of lanes."""
    X = np.array([*product(range(6), repeat=2)], dtype=float)
    labels = np.random.default_rng(seed).integers(2, size=len(X))
    scores = graph_convexity_score(X, labels, n_neighbors=2, average=None)
    np.testing.assert_allclose(scores, expected_in_tied_world(X, labels, 2), rtol=0, atol=1e-12)


def test_one_of_two_ways_around_a_square_leads_through_the_class() -> None:
    square = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    scores = graph_convexity_score(square, list("aaba"), n_neighbors=2, average=None)
    assert scores["a"] == 1.0


@pytest.mark.parametrize("factor", [1 / 255, 0.1, 0.7, 3.0, 1e9])
@pytest.mark.parametrize("seed", range(4))
def test_ties_stay_ties_at_every_scale(seed: int, factor: float) -> None:
    rng = np.random.default_rng(seed)
    for X in (np.arange(30.0)[:, None], rng.integers(100, size=(60, 1)).astype(float)):
        labels = rng.integers(2, size=len(X))
        before, after = (
            graph_convexity_score(Z, labels, n_neighbors=3, average=None) for Z in (X, factor * X)
        )
        np.testing.assert_allclose(after, before, rtol=0, atol=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_a_long_chain_does_not_matter(seed: int) -> None:
    rng = np.random.default_rng(seed)
    X = (np.cumsum(rng.integers(1, 6, size=400)) * 0.1)[:, None]
    labels = rng.integers(2, size=400)
    scores = set()
    for _ in range(4):
        order = rng.permutation(400)
        score = graph_convexity_score(X[order], labels[order], n_neighbors=3)
        scores.add(round(score, 12))
    assert len(scores) == 1


def test_no_detour_along_a_line_is_shorter_than_an_edge() -> None:
    X = ((1 + 0.75 * 2.0**-43) * np.arange(12))[:, None]
    assert graph_path(X, 4, 6, n_neighbors=4).tolist() == [4, 6]
    np.testing.assert_array_equal(
        graph_convexity_score(X, [0, 1] * 6, n_neighbors=4, average=None), [1, 1]
    )


@pytest.mark.parametrize("far", [1e4, 1e6])
def test_an_outlier_leaves_the_paths_among_the_others_as_they_are(far: float) -> None:
    X = np.random.default_rng(0).normal(size=(120, 2))
    X[7] = far
    labels = np.random.default_rng(1).integers(2, size=120)
    scores = graph_convexity_score(X, labels, n_neighbors=4, average=None)
    expected = expected_in_generic_world(X, labels, 4)
    np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-12)


def test_an_outlier_beyond_all_digits_is_warned_of() -> None:
    X = np.random.default_rng(0).normal(size=(120, 2))
    X[7] = 1e14
    with pytest.warns(UserWarning, match="times as long as its median edge.*leave outliers out"):
        graph_convexity_score(X, [0, 1] * 60, n_neighbors=4)


def test_parts_of_different_scale_do_not_disturb_each_other() -> None:
    rng = np.random.default_rng(0)
    near, far = rng.normal(size=(100, 3)), 1e15 + 1e12 * rng.normal(size=(40, 3))
    X, labels = np.concatenate([near, far]), rng.integers(2, size=140)
    scores = graph_convexity_score(X, labels, n_neighbors=4, average=None)
    expected = expected_in_generic_world(X, labels, 4)
    np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-12)


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
    np.testing.assert_allclose(after, before.iloc[order], rtol=0, atol=1e-12)


@quickly
@given(generic_worlds(), st.randoms(use_true_random=False))
def test_the_order_of_the_samples_does_not_matter(world: World, random: Random) -> None:
    X, labels, n_neighbors = world
    order = [*range(len(X))]
    random.shuffle(order)
    before = graph_convexity_score(X, labels, n_neighbors=n_neighbors)
    after = graph_convexity_score(X[order], labels[order], n_neighbors=n_neighbors)
    assert after == pytest.approx(before, abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
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
    with pytest.warns(UserWarning, match="1 of 2 classes have fewer than two members .*: 'b'"):
        scores = graph_convexity_score(line, labels, n_neighbors=1, average=None)
    np.testing.assert_array_equal(scores, [1 / 6 * (0 + 0.5 + 0 + 1 + 0.5 + 1), np.nan])
    assert graph_convexity_score(line, labels, n_neighbors=1) == scores["a"]
    assert connected_share(line, labels, n_neighbors=1) == 1.0


@quickly
@given(generic_worlds())
def test_a_membership_matrix_says_the_same_as_labels(world: World) -> None:
    X, labels, n_neighbors = world
    names = np.unique(labels)
    for measure in (graph_convexity_score, connected_share):
        of_labels = measure(X, labels, n_neighbors=n_neighbors, average=None)
        membership = labels[:, None] == names
        of_matrix = measure(X, membership, n_neighbors=n_neighbors, average=None)
        np.testing.assert_array_equal(of_matrix, of_labels)


@quickly
@given(generic_worlds(), st.integers(0, 2**32 - 1))
def test_classes_may_overlap_and_leave_samples_out(world: World, seed: int) -> None:
    X, _, n_neighbors = world
    membership = np.random.default_rng(seed).random((len(X), 3)) < 0.4
    membership[:2] = True
    membership[2] = False
    scores = graph_convexity_score(X, membership, n_neighbors=n_neighbors, average=None)
    for members, score in zip(membership.T, scores, strict=True):
        expected = expected_in_generic_world(X, members, n_neighbors)[-1]
        assert score == pytest.approx(expected, abs=1e-12)


def test_a_table_of_members_names_its_classes() -> None:
    X, labels = blobs(5, distance=2.0)
    table = pd.DataFrame({"all but one": labels < 3, "none": labels > 3})
    table.iloc[0, 0] = False
    with pytest.warns(UserWarning, match="1 of 2 classes .*: 'none'"):
        scores = graph_convexity_score(X, table, n_neighbors=2, average=None)
    assert np.isnan(scores).to_dict() == {"all but one": False, "none": True}


@pytest.mark.parametrize(
    "names",
    [
        ("red", "green", "blue"),
        (b"red", b"green", b"blue"),
        (-1, 7, 10**12),
        (0.5, 1.5, np.inf),
        (np.datetime64("1954"), np.datetime64("2024"), np.datetime64("2025")),
        ("None", "nan", "NaT"),
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
    both = clusters < 2
    scores = graph_convexity_score(X, both, n_neighbors=10, average=None)
    assert [*scores] == pytest.approx([1.0, 2 * 11 * 10 / (22 * 21)])
    assert graph_convexity_score(X[::11], clusters[::11] > 0, n_neighbors=2) == 1.0


@pytest.mark.parametrize(
    ("labels", "score"), [("aaab", 1.0), ("abba", 0.5), ("abab", 0.0), ("aabb", 1.0)]
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


def test_many_duplicates_are_all_neighbours_of_each_other() -> None:
    X = np.repeat(np.eye(3), 40, axis=0)
    graph = neighbor_graph(X, n_neighbors=10)
    assert graph.nnz == 3 * 40 * 39
    assert graph_convexity_score(X, np.repeat(list("abc"), 40)) == 1.0
    assert graph_convexity_score(X, np.tile(list("abc"), 40)) == pytest.approx(
        3 * 13.33 * 12.33 / (40 * 39), abs=1e-3
    )


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
def test_the_path_is_the_one_that_networkx_finds(world: World) -> None:
    X, labels, n_neighbors = world
    graph = nearest_neighbors(X, n_neighbors)
    members = labels == labels[0]
    for target in range(1, len(X), 5):
        path = graph_path(X, 0, target, members=members, n_neighbors=n_neighbors).tolist()
        assert path == (best_path(graph, labels, 0, target) if path else [])
        assert bool(path) == nx.has_path(graph, 0, target)


@quickly
@given(tied_worlds())
def test_the_path_is_one_that_counts(world: World) -> None:
    X, labels, n_neighbors = world
    graph = nearest_neighbors(X, n_neighbors)
    for target in np.flatnonzero(labels == labels[0])[1:].tolist():
        path = graph_path(X, 0, target, members=labels == labels[0], n_neighbors=n_neighbors)
        best = best_path(graph, labels, 0, target)
        assert len(path) == len(best)
        assert share_inside(path.tolist(), labels) == share_inside(best, labels)
        assert all(graph.has_edge(*step) for step in pairwise(path.tolist()))


def test_a_path_to_itself_is_a_single_sample() -> None:
    X, _ = blobs(5, distance=2.0)
    assert graph_path(X, 3, 3, n_neighbors=2).tolist() == [3]


def test_a_long_chain_has_more_steps_than_a_small_number_holds() -> None:
    """Two thousand steps, and lengths over ten orders of magnitude."""
    X = np.cumsum(np.concatenate([np.full(1000, 1e-5), np.full(1000, 1e5)]))[:, None]
    members = np.zeros(2000, dtype=bool)
    members[[0, -1]] = True
    members[1:999:2] = True
    path = graph_path(X, 0, 1999, members=members, n_neighbors=1)
    assert path.tolist() == [*range(2000)]
    scores = graph_convexity_score(X[:120], members[:120], n_neighbors=1, average=None)
    expected = expected_in_generic_world(X[:120], members[:120], 1)
    np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-12)


def test_the_graph_has_as_many_threads_as_asked_for_and_leaves_the_others_be() -> None:
    X, labels = blobs(30, distance=2.0)
    before = numba.get_num_threads()
    scores = {graph_convexity_score(X, labels, n_jobs=n_jobs) for n_jobs in (1, 2, 100, -1, None)}
    assert len(scores) == 1
    assert numba.get_num_threads() == before


@pytest.mark.slow
def test_categories_of_things_are_convex_in_human_embeddings(
    things: Path, spose: np.ndarray, vice: np.ndarray
) -> None:
    """27 overlapping categories, which leave many objects out."""
    table = pd.read_csv(things / "Categories_final_20200131_fixedUniqueID.tsv", sep="\t")
    membership = table.loc[:, "animal":"weapon"].notna()
    assert membership.shape == (1854, 27)
    shuffled = membership.sample(frac=1, random_state=0)
    assert graph_convexity_score(vice, membership) == pytest.approx(0.6817, abs=1e-4)
    assert graph_convexity_score(spose, membership) == pytest.approx(0.7257, abs=1e-4)
    assert graph_convexity_score(vice, shuffled) < 0.1


@pytest.mark.parametrize("distance", [1.0, 3.0, 8.0])
def test_the_official_package_agrees_where_it_takes_all_pairs(distance: float) -> None:
    """Its sample of 5,000 pairs is all of them up to 71 members; it rounds to 0.01 %."""
    X, labels = blobs(25, distance=distance)
    mean, of_class = nnconvexity.graph.compute_graph_convexity(X, labels)
    scores = graph_convexity_score(X, labels, average=None)
    np.testing.assert_allclose(100 * scores, [*of_class.values()], atol=0.005 + 1e-9)
    micro = graph_convexity_score(X, labels, average="micro")
    assert 100 * micro == pytest.approx(mean, abs=0.005 + 1e-9)


class Halves:
    """Names a point by the side of zero on which its first coordinate lies."""

    def predict(self, X: np.ndarray) -> np.ndarray:
        return np.where(X[:, 0] < 0, "left", "right")


@quickly
@given(st.integers(0, 2**32 - 1))
def test_a_half_space_is_convex_in_the_euclidean_sense(seed: int) -> None:
    X = np.random.default_rng(seed).normal(size=(30, 3))
    X[:4, 0] = [-1, -1, 1, 1]
    assert euclidean_convexity_score(X, Halves().predict(X), Halves(), random_state=seed) == 1.0


@pytest.mark.parametrize("n_points", [1, 2, 10])
def test_all_segments_of_a_small_class_are_walked(n_points: int) -> None:
    X = np.random.default_rng(0).normal(size=(20, 2))
    labels = np.array(list("ab") * 10)
    nearest = KNeighborsClassifier(1).fit(X, labels)
    expected = []
    for label in "ab":
        inside = []
        for x, y in combinations(X[labels == label], 2):
            ways = np.linspace(0, 1, n_points + 2)[1:-1, None]
            inside.append((nearest.predict(x + ways * (y - x)) == label).mean())
        expected.append(np.mean(inside))
    scores = euclidean_convexity_score(X, labels, nearest, n_points=n_points, average=None)
    np.testing.assert_allclose(scores, expected)
    for average in ("macro", "micro"):
        score = euclidean_convexity_score(X, labels, nearest, n_points=n_points, average=average)
        assert score == pytest.approx(np.mean(expected))


def test_the_official_package_finds_the_same_euclidean_convexity() -> None:
    X, labels = blobs(10, distance=2.0)
    nearest = KNeighborsClassifier(1).fit(X, labels)
    mean, of_class = nnconvexity.euclidean.compute_euclidean_convexity(
        X, labels, lambda points, layer: nearest.predict(points.numpy()), layer=0
    )
    scores = euclidean_convexity_score(X, labels, nearest, average=None)
    np.testing.assert_allclose(100 * scores, [*of_class.values()], atol=0.005 + 1e-9)
    assert 100 * scores.mean() == pytest.approx(mean, abs=0.005 + 1e-9)


@pytest.mark.parametrize(
    ("predict", "message"),
    [
        (lambda X: np.eye(2)[[0] * len(X)], r"gave shape \(10, 2\) for 10 points"),
        (lambda X: np.zeros(len(X) - 1), r"gave shape \(9,\) for 10 points"),
        (lambda X: np.full(len(X), "0"), "labels has no class that classifier predicts, as '0'"),
    ],
)
def test_predictions_that_are_no_classes_are_named(predict: Callable, message: str) -> None:
    class Own:
        def fit(self) -> None: ...

        def predict(self, X: np.ndarray) -> np.ndarray:
            return predict(X)

    with pytest.raises(ValueError, match=message):
        euclidean_convexity_score(np.arange(4.0)[:, None], [0, 1, 0, 1], Own())


def test_a_sample_of_segments_is_near_all_of_them() -> None:
    X, labels = blobs(60, distance=2.0)
    nearest = KNeighborsClassifier(5).fit(X, labels)
    everything = euclidean_convexity_score(X, labels, nearest)
    some = [
        euclidean_convexity_score(X, labels, nearest, n_pairs=300, random_state=seed)
        for seed in range(5)
    ]
    assert len(set(some)) == 5
    assert some == pytest.approx([everything] * 5, abs=0.03)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"classifier": KNeighborsClassifier(1)}, NotFittedError, "not fitted"),
        ({"classifier": "nearest"}, ValueError, "classifier is 'nearest'; give an object with"),
        ({"labels": list("acac")}, ValueError, "classifier does not know 'c'; fit it to the same"),
        ({"labels": np.eye(4, dtype=bool)}, ValueError, "labels is a matrix"),
        ({"n_points": 0}, ValueError, "n_points is 0; give at least 1"),
        ({"n_points": 1.5}, ValueError, "n_points is 1.5; give a whole number"),
        ({"n_pairs": 0}, ValueError, "n_pairs is 0; give at least 1"),
    ],
)
def test_a_mistake_in_a_euclidean_measure_is_named(
    arguments: dict, error: type[Exception], message: str
) -> None:
    line, labels = np.arange(4.0)[:, None], list("abab")
    arguments = {
        "labels": labels,
        "classifier": KNeighborsClassifier(1).fit(line, labels),
    } | arguments
    with pytest.raises(error, match=message):
        euclidean_convexity_score(line, **arguments)


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
    ({"X": np.full((8, 2), None)}, r"X has dtype object; give numbers"),
    ({"X": np.full((8, 2), 1j)}, r"X has dtype complex128; give real numbers"),
    ({"X": [[1.0, 2.0], [3.0]] * 4}, r"X is no array \(.*\); give an array, or rows of equal"),
    ({"X": []}, r"X has shape \(0,\); give a non-empty array"),
    ({"X": np.ma.masked_less(np.eye(8), 1)}, r"X holds masked values; fill them or leave"),
    ({"X": csr_array(np.eye(8))}, r"X is sparse; give X.toarray\(\)"),
    ({"labels": None}, r"labels is None; give one label a row"),
    ({"labels": 3}, r"labels is 3; give one label a row"),
    ({"labels": torch.tensor(3)}, r"labels has shape \(\), but X has 8 rows"),
    ({"labels": torch.ones(8, 2) / 2}, r"labels holds 0.5; give one label a row, or booleans"),
    ({"labels": np.full((8, 1), "a")}, r"labels holds 'a'; give one label a row, or booleans"),
    ({"labels": np.ma.masked_less([0, 1] * 4, 1)}, r"labels holds masked values"),
    ({"labels": list("aabbccd")}, r"labels has shape \(7,\), but X has 8 rows; give one label"),
    ({"labels": list("abcdefgh")}, r"labels has 8 classes, none of two members"),
    ({"labels": list("aaaaaaaa")}, r"labels has the one class 'a' for all rows; give two"),
    ({"labels": np.ones((8, 1), bool)}, r"labels has the one class 0 for all rows; give two"),
    ({"labels": np.full((8, 2), 2)}, r"labels holds 2; give .*, or booleans"),
    ({"labels": np.ones((7, 2), bool)}, r"labels has shape \(7, 2\), but X has 8.* or booleans"),
    ({"labels": np.ones((8, 0), bool)}, r"labels has shape \(8, 0\), but X"),
    ({"labels": [["a"]] * 8}, r"labels are not hashable"),
    ({"X": np.ones((8, 3))}, r"X has the same values in all 8 rows"),
    ({"n_jobs": 0}, r"n_jobs is 0; give at least 1"),
    ({"n_neighbors": 2.0}, r"n_neighbors is 2.0; give a whole number"),
    ({"labels": [pd.NA, *"aabbaab"]}, r"labels hold <NA> at row 0, which is no class"),
    (
        {"labels": pd.DataFrame([[True, False]] * 8, columns=["a", "a"])},
        r"labels has two columns of one name",
    ),
    ({"X": changed(1e305)}, r"X has values up to 1e\+305; scale it down"),
    ({"n_neighbors": 0}, r"n_neighbors is 0; give at least 1"),
    ({"n_neighbors": 8}, r"n_neighbors is 8, but X has 8 rows; give fewer"),
]


@pytest.mark.parametrize("measure", [graph_convexity_score, connected_share])
@pytest.mark.parametrize(("arguments", "message"), BAD)
def test_a_mistake_is_named(measure: Callable, arguments: dict, message: str) -> None:
    arguments = {"X": changed(5.0), "labels": list("aabbaabb"), "n_neighbors": 2} | arguments
    with pytest.raises(ValueError, match=message):
        measure(**arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"source": -1}, "source is -1; give at least 0"),
        ({"target": 8}, "target is 8, but X has rows 0 to 7"),
        ({"source": 1.5}, "source is 1.5; give a whole number"),
        ({"members": np.ones(7)}, r"members has shape \(7,\); give one boolean a row of X"),
        ({"members": np.full(8, 0.5)}, "members holds 0.5; give booleans, or 0 and 1"),
    ],
)
def test_a_mistake_in_the_ends_of_a_path_is_named(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        graph_path(changed(5.0), **{"source": 0, "target": 1, "n_neighbors": 2} | arguments)


def test_an_unknown_average_is_named() -> None:
    with pytest.raises(ValueError, match="average is 'weighted'; choose 'macro', 'micro' or None"):
        graph_convexity_score(changed(5.0), list("aabbaabb"), n_neighbors=2, average="weighted")


@pytest.mark.parametrize(
    "missing",
    [
        None,
        np.nan,
        float("nan"),
        np.float32("nan"),
        complex("nan"),
        Decimal("NaN"),
        pd.NA,
        pd.NaT,
        np.datetime64("NaT"),
        np.timedelta64("NaT"),
    ],
)
@pytest.mark.parametrize("measure", [graph_convexity_score, connected_share])
def test_what_is_missing_is_no_class(measure: Callable, missing: object) -> None:
    X, _ = blobs(4, distance=2.0)
    labels = [*"abc" * 3, missing, *"ab"]
    for same in (labels, np.array(labels, dtype=object), pd.Series(labels, dtype=object)):
        with pytest.raises(ValueError, match=r"^labels hold .* at row 9, which is no class; .*$"):
            measure(X, same, n_neighbors=2)


def test_numbers_and_dates_that_are_missing_are_no_class() -> None:
    X, labels = blobs(4, distance=2.0)
    numbers = np.where(labels == 0, np.nan, labels)
    dates = pd.to_datetime(pd.Series(numbers))
    for same in (
        numbers,
        pd.Series(numbers),
        pd.Series(numbers).astype("Int64"),
        dates,
        pd.Series(numbers).astype("category"),
        torch.tensor(numbers),
    ):
        with pytest.raises(ValueError, match=r"labels hold .* at row 0, which is no class"):
            graph_convexity_score(X, same, n_neighbors=2)


class Foreign:
    """An array of another library, that numpy can read."""

    def __init__(self, values: np.ndarray) -> None:
        self.values, self.shape, self.ndim = values, values.shape, values.ndim

    def __array__(self, dtype: object = None, copy: object = None) -> np.ndarray:
        return np.asarray(self.values, dtype)

    def __iter__(self) -> Iterator[object]:
        raise AssertionError("read element by element")


LABELS = [
    torch.tensor,
    lambda labels: [*torch.tensor(labels)],
    lambda labels: tuple(torch.tensor(labels, dtype=torch.float32)),
    lambda labels: [np.array(label) for label in labels],
    lambda labels: [np.int32(label) for label in labels],
    lambda labels: [*labels.astype(str)],
    lambda labels: pd.Series(labels, index=np.arange(len(labels))[::-1] * 7 + 3),
    lambda labels: pd.Series(labels.astype(str), index=["x"] * len(labels)),
    lambda labels: pd.Categorical.from_codes(labels, ["c", "a", "b"]),
    lambda labels: pd.Series(labels).astype("category"),
    lambda labels: pd.Series(labels).astype("Int64"),
    lambda labels: pd.Series(labels).astype(str).astype("string"),
    lambda labels: pd.Index(labels),
    lambda labels: (label for label in labels),
    lambda labels: labels == 1,
    Foreign,
]


@pytest.mark.parametrize("given", LABELS)
@pytest.mark.parametrize("measure", [graph_convexity_score, connected_share])
def test_labels_may_come_in_any_kind_of_array(measure: Callable, given: Callable) -> None:
    X, labels = blobs(10, distance=1.0)
    expected = measure(X, [int(label) for label in labels], n_neighbors=3, average=None)
    found = measure(X, given(labels), n_neighbors=3, average=None)
    if len(found) == 2:
        expected = measure(X, [bool(label == 1) for label in labels], n_neighbors=3, average=None)
    np.testing.assert_array_equal(np.sort(found), np.sort(expected))


def test_the_classes_of_tensors_have_their_order() -> None:
    X, labels = blobs(10, distance=1.0)
    expected = graph_convexity_score(X, labels, n_neighbors=3, average=None)
    found = graph_convexity_score(X, torch.tensor(labels), n_neighbors=3, average=None)
    np.testing.assert_array_equal(found, expected)
    members = np.eye(3, dtype=bool)[labels]
    for same in (torch.tensor(members), Foreign(members), pd.DataFrame(members)):
        found = graph_convexity_score(X, same, n_neighbors=3, average=None)
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "bfloat16", "int32"])
def test_features_may_be_tensors(dtype: str) -> None:
    X, labels = blobs(10, distance=1.0)
    tensor = torch.tensor(4 * X).to(getattr(torch, dtype))
    tensor = tensor.requires_grad_() if tensor.is_floating_point() else tensor
    expected = graph_convexity_score(tensor.detach().double().numpy(), labels, n_neighbors=3)
    assert graph_convexity_score(tensor, labels, n_neighbors=3) == expected
    assert graph_convexity_score(tensor.detach().tolist(), labels, n_neighbors=3) == expected


def test_a_tensor_that_holds_no_values_is_named() -> None:
    with pytest.raises(ValueError, match=r"^X is no array \(.*\); give an array, or rows of .*$"):
        graph_convexity_score(torch.empty(8, 2, device="meta"), list("aabbaabb"), n_neighbors=2)


def test_a_classifier_may_answer_with_a_tensor() -> None:
    class Network:
        def predict(self, points: np.ndarray) -> torch.Tensor:
            return torch.tensor(points[:, 0] > 1.5).long()

    line, labels = np.arange(4.0)[:, None], torch.tensor([0, 0, 1, 1])
    assert euclidean_convexity_score(line, labels, Network()) == 1.0


@pytest.mark.parametrize("measure", [graph_convexity_score, connected_share])
def test_rows_that_are_alike_but_for_rounding_have_no_near_and_far(measure: Callable) -> None:
    row = np.random.default_rng(0).normal(size=50)
    noise = np.random.default_rng(1).integers(-1, 2, size=(8, 50))
    for dtype in (np.float16, np.float32, np.float64):
        X = np.tile(row.astype(dtype), (8, 1))
        X = (X + noise * np.spacing(abs(X))).astype(dtype)
        with pytest.raises(ValueError, match="X has the same values in all 8 rows"):
            measure(X, list("aabbaabb"), n_neighbors=2)


@pytest.mark.parametrize("average", ["macro", None])
def test_among_joined_pairs_the_score_is_that_of_all_over_the_share_of_these(
    average: str | None,
) -> None:
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.normal(size=(20, 3)), rng.normal(size=(20, 3)) + 50])
    labels = rng.integers(0, 3, len(X))
    options = {"n_neighbors": 3, "average": None}
    every = graph_convexity_score(X, labels, **options)
    share = connected_share(X, labels, **options)
    assert (share < 1).all()
    joined = graph_convexity_score(X, labels, pairs="joined", n_neighbors=3, average=average)
    np.testing.assert_allclose(joined, (every / share).mean() if average else every / share)


def test_where_no_pair_is_joined_there_is_no_score_of_joined_pairs() -> None:
    line, labels = np.array([[0.0], [1.0], [9.0], [10.0]]), list("abab")
    for average in ("macro", "micro"):
        options = {"n_neighbors": 1, "average": average}
        assert graph_convexity_score(line, labels, **options) == 0
        assert np.isnan(graph_convexity_score(line, labels, pairs="joined", **options))
    with pytest.raises(ValueError, match="pairs is 'some'"):
        graph_convexity_score(line, labels, pairs="some", n_neighbors=1)

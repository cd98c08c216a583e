"""A space is as human as the share of odd ones out that it picks as people do."""

import os
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convexlib.judgments import object_folds, odd_one_out_accuracy
from convexlib.stimuli import colors

DATA = Path(os.environ.get("CONVEXLIB_DATA", "no-data"))

quickly = settings(deadline=None, max_examples=50)

seeds = st.integers(0, 2**32 - 1)
both_similarities = pytest.mark.parametrize("similarity", ["cosine", "dot"])


def random_triplets(n_objects: int, n_triplets: int, rng: np.random.Generator) -> np.ndarray:
    return np.array([rng.choice(n_objects, 3, replace=False) for _ in range(n_triplets)])


def judged(triplets: np.ndarray, similarity: np.ndarray) -> np.ndarray:
    """The triplets as someone sees them to whom things are that similar."""
    i, j, k = triplets.T
    pairs = np.stack([similarity[i, j], similarity[i, k], similarity[j, k]])
    order = np.array([[0, 1, 2], [0, 2, 1], [1, 2, 0]])[pairs.argmax(axis=0)]
    return np.take_along_axis(triplets, order, axis=1)


def random_space(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    return rng.normal(size=(30, 6)), random_triplets(30, 50, rng)


@both_similarities
@pytest.mark.parametrize(
    ("triplets", "accuracy"),
    [
        ([[0, 1, 2]], 1.0),
        ([[1, 0, 2]], 1.0),
        ([[0, 2, 1]], 0.0),
        ([[1, 2, 0]], 0.0),
        ([[0, 1, 2], [0, 2, 1]], 0.5),
        ([[0, 1, 2], [2, 3, 0], [0, 3, 2], [0, 1, 3]], 0.75),
    ],
)
def test_the_more_similar_pair_stays_together(
    triplets: list[list[int]], accuracy: float, similarity: str
) -> None:
    X = [[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]]
    assert odd_one_out_accuracy(X, triplets, similarity=similarity) == accuracy


def test_a_long_vector_is_close_by_dot_product_but_not_by_cosine() -> None:
    X = [[1.0, 0.0], [1.0, 0.1], [3.0, 4.0]]
    assert odd_one_out_accuracy(X, [[0, 1, 2]]) == 1.0
    assert odd_one_out_accuracy(X, [[0, 1, 2]], similarity="dot") == 0.0
    assert odd_one_out_accuracy(X, [[1, 2, 0]], similarity="dot") == 1.0


@pytest.mark.parametrize(
    ("triplet", "accuracy"), [([0, 1, 2], 1 / 2), ([0, 2, 1], 1 / 2), ([1, 2, 0], 0.0)]
)
@both_similarities
def test_two_equally_similar_pairs_count_one_half(
    triplet: list[int], accuracy: float, similarity: str
) -> None:
    X = [[1, 0], [1, 1], [1, -1]]
    assert odd_one_out_accuracy(X, [triplet], similarity=similarity) == accuracy


@both_similarities
def test_three_equally_similar_pairs_count_one_third(similarity: str) -> None:
    assert odd_one_out_accuracy(np.eye(3), [[2, 0, 1]], similarity=similarity) == 1 / 3


@both_similarities
@pytest.mark.parametrize("n_features", [3, 7, 17, 100, 384, 768])
def test_a_space_in_which_all_is_the_same_is_right_by_chance(
    n_features: int, similarity: str
) -> None:
    X = np.tile(np.random.default_rng(0).normal(size=n_features), (14, 1))
    accuracy = odd_one_out_accuracy(X, colors.human_triplets(), similarity=similarity)
    assert accuracy == pytest.approx(1 / 3)


@pytest.mark.parametrize("n_features", [3, 7, 17, 100, 384, 768])
def test_a_space_with_a_single_direction_is_right_by_chance(n_features: int) -> None:
    direction = np.random.default_rng(0).normal(size=n_features)
    X = np.linspace(1, 2, 14)[:, None] * direction
    assert odd_one_out_accuracy(X, colors.human_triplets()) == pytest.approx(1 / 3)


@both_similarities
def test_a_space_of_noise_is_right_by_chance(similarity: str) -> None:
    rng = np.random.default_rng(0)
    X, triplets = rng.normal(size=(200, 20)), random_triplets(200, 20_000, rng)
    assert odd_one_out_accuracy(X, triplets, similarity=similarity) == pytest.approx(
        1 / 3, abs=0.02
    )


@quickly
@given(seeds, st.sampled_from(["cosine", "dot"]))
def test_the_order_of_the_kept_pair_does_not_matter(seed: int, similarity: str) -> None:
    X, triplets = random_space(np.random.default_rng(seed))
    accuracies = {
        odd_one_out_accuracy(X, columns, similarity=similarity)
        for columns in (triplets, triplets[:, [1, 0, 2]])
    }
    assert len(accuracies) == 1


@quickly
@given(seeds, st.sampled_from(["cosine", "dot"]))
def test_one_of_three_objects_is_odd(seed: int, similarity: str) -> None:
    X, triplets = random_space(np.random.default_rng(seed))
    ways = [[0, 1, 2], [0, 2, 1], [1, 2, 0]]
    accuracies = [odd_one_out_accuracy(X, triplets[:, w], similarity=similarity) for w in ways]
    assert sum(accuracies) == pytest.approx(1.0)


@quickly
@given(seeds)
def test_cosine_knows_nothing_of_length(seed: int) -> None:
    rng = np.random.default_rng(seed)
    X, triplets = random_space(rng)
    scaled = X * np.exp(rng.normal(size=(30, 1)))
    assert odd_one_out_accuracy(scaled, triplets) == odd_one_out_accuracy(X, triplets)


def test_the_dot_product_knows_of_length() -> None:
    rng = np.random.default_rng(0)
    X, triplets = random_space(rng)
    scaled = X * np.exp(rng.normal(size=(30, 1)))
    before, after = (odd_one_out_accuracy(Z, triplets, similarity="dot") for Z in (X, scaled))
    assert before != after


@quickly
@given(seeds, st.sampled_from(["cosine", "dot"]))
def test_rotating_the_space_leaves_accuracy_unchanged(seed: int, similarity: str) -> None:
    rng = np.random.default_rng(seed)
    X, triplets = random_space(rng)
    rotation, _ = np.linalg.qr(rng.normal(size=(6, 6)))
    before, after = (
        odd_one_out_accuracy(Z, triplets, similarity=similarity) for Z in (X, X @ rotation)
    )
    assert before == after


@quickly
@given(seeds)
def test_an_embedding_of_the_similarities_is_always_right(seed: int) -> None:
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(20, 20))
    similarity = root @ root.T + 0.1 * np.eye(20)
    triplets = judged(random_triplets(20, 100, rng), similarity)
    values, vectors = np.linalg.eigh(similarity)
    for embedding in (np.linalg.cholesky(similarity), vectors * np.sqrt(values)):
        assert odd_one_out_accuracy(embedding, triplets, similarity="dot") == 1.0


@both_similarities
def test_ekmans_observers_agree_with_themselves(similarity: str) -> None:
    X = np.linalg.cholesky(colors.human_similarity())
    assert odd_one_out_accuracy(X, colors.human_triplets(), similarity=similarity) == 1.0


def test_three_dimensions_hold_most_of_what_ekmans_observers_saw() -> None:
    values, vectors = np.linalg.eigh(colors.human_similarity())
    X = (vectors * np.sqrt(values))[:, -3:]
    assert odd_one_out_accuracy(X, colors.human_triplets()) > 0.8


@pytest.mark.skipif(
    not (DATA / "things").is_dir(), reason="needs the THINGS data; set CONVEXLIB_DATA"
)
@pytest.mark.parametrize(("similarity", "accuracy"), [("cosine", 0.859), ("dot", 0.866)])
def test_two_embeddings_of_things_agree_on_most_triplets(similarity: str, accuracy: float) -> None:
    vice = np.load(DATA / "things" / "vice_embedding.npy")
    spose = np.loadtxt(DATA / "things" / "spose_embedding_66d_sorted.txt")
    rng = np.random.default_rng(0)
    triplets = judged(random_triplets(len(spose), 20_000, rng), spose @ spose.T)
    assert odd_one_out_accuracy(spose, triplets, similarity="dot") == 1.0
    measured = odd_one_out_accuracy(vice, triplets, similarity=similarity)
    assert measured == pytest.approx(accuracy, abs=0.001)


BAD_TRIPLETS = [
    ([[0, 1, 2], [3, 4, 6]], r"triplets row 1 is \[3, 4, 6\], but X has rows 0 to 5; .* from 0"),
    ([[0, -1, 2]], r"triplets row 0 is \[0, -1, 2\], but X has rows 0 to 5; .* from 0"),
    ([[0.0, 1.0, 2.0]], r"triplets has dtype float64; give integer rows of X"),
    ([[True, False, True]], r"triplets has dtype bool; give integer rows of X"),
    ([[0, 1, 2, 3]], r"triplets has shape \(1, 4\); give a non-empty array \(n_triplets, 3\)"),
    ([0, 1, 2], r"triplets has shape \(3,\); give a non-empty array"),
    ([], r"triplets has shape \(0,\); give a non-empty array"),
    (np.empty((0, 3), int), r"triplets has shape \(0, 3\); give a non-empty array"),
    ([[0, 1, 2], [3, 3, 4]], r"triplets row 1 is \[3, 3, 4\]; give three different objects"),
    ([[0, 1, 0]], r"triplets row 0 is \[0, 1, 0\]; give three different objects"),
    ([[0, 1, 1]], r"triplets row 0 is \[0, 1, 1\]; give three different objects"),
]


@pytest.mark.parametrize(("triplets", "message"), BAD_TRIPLETS)
def test_a_mistake_in_the_triplets_is_named(triplets: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        odd_one_out_accuracy(np.eye(6), triplets)
    with pytest.raises(ValueError, match=message):
        list(object_folds(triplets, 6, n_folds=2))


@pytest.mark.parametrize(
    ("X", "message"),
    [
        ([[1.0, 0.0], [0.0, 0.0], [0.0, 1.0]], r"X row 1 is all zeros .* similarity='dot'"),
        ([[1.0, 0.0], [0.0, np.nan], [0.0, 1.0]], r"X holds 1 values .* row 1, column 1 \(nan\)"),
        ([[1.0, 0.0], [0.0, 1.0], [-np.inf, 1.0]], r"X holds 1 values .* row 2, column 0 \(-inf\)"),
        ([1.0, 2.0, 3.0], r"X has shape \(3,\); give a non-empty array \(n_samples, n_features\)"),
        (np.empty((3, 0)), r"X has shape \(3, 0\); give a non-empty array"),
    ],
)
def test_a_mistake_in_the_space_is_named(X: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        odd_one_out_accuracy(X, [[0, 1, 2]])


def test_a_row_of_zeros_has_a_dot_product() -> None:
    X = [[1.0, 0.0], [1.0, 0.1], [0.0, 0.0]]
    assert odd_one_out_accuracy(X, [[0, 1, 2]], similarity="dot") == 1.0


def test_an_unknown_similarity_is_named() -> None:
    with pytest.raises(ValueError, match="similarity is 'euclidean'; choose 'cosine' or 'dot'"):
        odd_one_out_accuracy(np.eye(3), [[0, 1, 2]], similarity="euclidean")


@st.composite
def splits(draw: st.DrawFn) -> tuple[int, int, int]:
    """Number of objects, number of folds, and seed."""
    n_objects = draw(st.integers(6, 18))
    return n_objects, draw(st.integers(2, n_objects // 3)), draw(seeds)


def all_triplets(n_objects: int) -> np.ndarray:
    return np.array([*combinations(range(n_objects), 3)])


@quickly
@given(splits())
def test_no_object_is_both_trained_on_and_tested(split: tuple[int, int, int]) -> None:
    n_objects, n_folds, seed = split
    triplets = random_triplets(n_objects, 60, np.random.default_rng(seed))
    given_rows = {tuple(row) for row in triplets.tolist()}
    folds = list(object_folds(triplets, n_objects, n_folds=n_folds, random_state=seed))
    assert len(folds) == n_folds
    for training, test in folds:
        assert not np.intersect1d(training, test).size
        assert {tuple(row) for row in [*training.tolist(), *test.tolist()]} <= given_rows


@quickly
@given(splits())
def test_every_object_is_tested_in_exactly_one_fold(split: tuple[int, int, int]) -> None:
    n_objects, n_folds, seed = split
    triplets = all_triplets(n_objects)
    folds = object_folds(triplets, n_objects, n_folds=n_folds, random_state=seed)
    tested = [np.unique(test) for _, test in folds]
    assert sorted(np.concatenate(tested).tolist()) == [*range(n_objects)]
    sizes = [len(objects) for objects in tested]
    assert max(sizes) - min(sizes) <= 1


@quickly
@given(splits())
def test_only_triplets_across_the_border_are_dropped(split: tuple[int, int, int]) -> None:
    n_objects, n_folds, seed = split
    triplets = all_triplets(n_objects)
    for training, test in object_folds(triplets, n_objects, n_folds=n_folds, random_state=seed):
        n_inside = np.isin(triplets, test).sum(axis=1)
        assert (n_inside == 0).sum() == len(training)
        assert (n_inside == 3).sum() == len(test)


def test_the_same_seed_deals_the_same_folds_and_another_seed_others() -> None:
    def folds(seed: int) -> list[list[int]]:
        split = object_folds(all_triplets(12), 12, n_folds=3, random_state=seed)
        return [np.unique(test).tolist() for _, test in split]

    assert folds(1) == folds(1)
    assert folds(1) != folds(2)


@pytest.mark.parametrize("n_folds", [-1, 0, 1, 4])
def test_a_number_of_folds_that_leaves_no_triplet_is_named(n_folds: int) -> None:
    with pytest.raises(
        ValueError, match=f"n_folds is {n_folds} for 9 objects; give at least 2 folds"
    ):
        list(object_folds([[0, 1, 2]], 9, n_folds=n_folds))


def test_a_large_row_elsewhere_makes_no_ties() -> None:
    X = np.array([[1e-7, 0.0], [0.9e-7, 1e-8], [0.0, 1e-7], [1.0, 0.0]])
    assert odd_one_out_accuracy(X, [[0, 1, 2]], similarity="dot") == 1.0

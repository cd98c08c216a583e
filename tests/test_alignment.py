"""A space is as human as the share of odd ones out that it picks as people do."""

from collections import Counter
from collections.abc import Callable
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial.distance import cdist, pdist, squareform

from convexlib.alignment import (
    CHANCE,
    PAIRS,
    NoiseCeiling,
    agreement,
    ceiling_share,
    choice_counts,
    disagreement,
    disagreement_ceiling,
    fit_temperature,
    noise_ceiling,
    object_folds,
    odd_one_out_accuracy,
    odd_one_out_choices,
    odd_one_out_probabilities,
    odd_one_out_scores,
    rsa_noise_ceiling,
    rsa_score,
    triplets_from_similarity,
)
from convexlib.data import colors

quickly = settings(deadline=None, max_examples=8)

seeds = st.integers(0, 2**32 - 1)
both_similarities = pytest.mark.parametrize("similarity", ["cosine", "dot"])
SIMILARITIES = ["cosine", "dot", "euclidean"]
each_similarity = pytest.mark.parametrize("similarity", SIMILARITIES)
METHODS = ["pearson", "spearman", "kendall"]
each_method = pytest.mark.parametrize("method", METHODS)


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


@each_similarity
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


@each_similarity
def test_three_equally_similar_pairs_count_one_third(similarity: str) -> None:
    assert odd_one_out_accuracy(np.eye(3), [[2, 0, 1]], similarity=similarity) == 1 / 3


@each_similarity
@pytest.mark.parametrize("n_features", [3, 17, 384])
def test_a_space_in_which_all_is_the_same_is_right_by_chance(
    n_features: int, similarity: str
) -> None:
    X = np.tile(np.random.default_rng(0).normal(size=n_features), (14, 1))
    accuracy = odd_one_out_accuracy(X, colors.human_triplets(), similarity=similarity)
    assert accuracy == pytest.approx(1 / 3)


@pytest.mark.parametrize("n_features", [3, 17, 384])
def test_a_space_with_a_single_direction_is_right_by_chance(n_features: int) -> None:
    direction = np.random.default_rng(0).normal(size=n_features)
    X = np.linspace(1, 2, 14)[:, None] * direction
    assert odd_one_out_accuracy(X, colors.human_triplets()) == pytest.approx(1 / 3)


@each_similarity
def test_a_space_of_noise_is_right_by_chance(similarity: str) -> None:
    rng = np.random.default_rng(0)
    X, triplets = rng.normal(size=(200, 20)), random_triplets(200, 5_000, rng)
    assert odd_one_out_accuracy(X, triplets, similarity=similarity) == pytest.approx(
        1 / 3, abs=0.02
    )


@quickly
@given(seeds, st.sampled_from(SIMILARITIES))
def test_the_order_of_the_kept_pair_does_not_matter(seed: int, similarity: str) -> None:
    X, triplets = random_space(np.random.default_rng(seed))
    accuracies = {
        odd_one_out_accuracy(X, columns, similarity=similarity)
        for columns in (triplets, triplets[:, [1, 0, 2]])
    }
    assert len(accuracies) == 1


@quickly
@given(seeds, st.sampled_from(SIMILARITIES))
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
@given(seeds, st.sampled_from(SIMILARITIES))
def test_rotating_the_space_leaves_accuracy_unchanged(seed: int, similarity: str) -> None:
    rng = np.random.default_rng(seed)
    X, triplets = random_space(rng)
    rotation, _ = np.linalg.qr(rng.normal(size=(6, 6)))
    before, after = (
        odd_one_out_accuracy(Z, triplets, similarity=similarity) for Z in (X, X @ rotation)
    )
    assert before == after


@quickly
@given(seeds, st.floats(-100, 100))
def test_distances_know_nothing_of_the_origin(seed: int, shift: float) -> None:
    X, triplets = random_space(np.random.default_rng(seed))
    before, after = (
        odd_one_out_accuracy(Z, triplets, similarity="euclidean") for Z in (X, X + shift)
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


@pytest.mark.parametrize(
    ("similarity", "accuracy"), [("cosine", 0.864), ("dot", 0.87), ("euclidean", 0.815)]
)
@pytest.mark.slow
def test_two_embeddings_of_things_agree_on_most_triplets(
    spose: np.ndarray, vice: np.ndarray, similarity: str, accuracy: float
) -> None:
    triplets = triplets_from_similarity(spose @ spose.T, n_triplets=20_000, random_state=0)
    assert odd_one_out_accuracy(spose, triplets, similarity="dot") == 1.0
    measured = odd_one_out_accuracy(vice, triplets, similarity=similarity)
    assert measured == pytest.approx(accuracy, abs=0.005)


BAD_TRIPLETS = [
    ([[0, 1, 2], [3, 4, 6]], r"triplets row 1 is \[3, 4, 6\], but X has rows 0 to 5; .* from 0"),
    ([[0, -1, 2]], r"triplets row 0 is \[0, -1, 2\], but X has rows 0 to 5; .* from 0"),
    ([[0.0, 1.0, 2.0], [0.0, 1.5, 2.0]], r"triplets row 1 is \[0.0, 1.5, 2.0\].* whole numbers"),
    ([[0.0, 1.0, np.nan]], r"triplets row 0 is \[0.0, 1.0, nan\].*, as whole numbers"),
    ([[0.0, 1.0, np.inf]], r"triplets row 0 is \[0.0, 1.0, inf\].*, as whole numbers"),
    (np.array([[0, 1, 2**64 - 1]], "u8"), r"triplets row 0 is \[0, 1, 18446744073709551615\]"),
    ([[True, False, True]], r"triplets row 0 is \[True, False, True\].* give three different"),
    ([[0, 1, 2, 3]], r"triplets has shape \(1, 4\); give a non-empty array \(n, 3\)"),
    ([0, 1, 2], r"triplets has shape \(3,\); give a non-empty array"),
    ([], r"triplets has shape \(0,\); give a non-empty array"),
    (np.empty((0, 3), int), r"triplets has shape \(0, 3\); give a non-empty array"),
    ([[0, 1, 2], [3, 3, 4]], r"triplets row 1 is \[3, 3, 4\], .*; give three different objects"),
    ([[0, 1, 0]], r"triplets row 0 is \[0, 1, 0\], .*; give three different objects"),
    ([[0, 1, 1]], r"triplets row 0 is \[0, 1, 1\], .*; give three different objects"),
    ([[0, 1, 2], [3, 4]], r"triplets is no array \(.*\); give an array, or rows of equal length"),
    (np.array([[0, 1, 2]], dtype=object), r"triplets has dtype object; give numbers"),
    ([["0", "1", "2"]], r"triplets has dtype <U1; give numbers"),
    (np.array([[0, 1, 2j]]), r"triplets has dtype complex128; give real numbers"),
    (torch.tensor([[0.0, 1.0, 2.5]]), r"triplets row 0 is \[0.0, 1.0, 2.5\]"),
    (None, r"triplets has dtype object; give numbers"),
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
        ([[1.0, 0.0], [0.0, 0.0], [0.0, 1.0]], "X row 1 is all zeros; .* another similarity"),
        ([[1.0, 0.0], [0.0, np.nan], [0.0, 1.0]], r"X holds 1 values .* row 1, column 1 \(nan\)"),
        ([[1.0, 0.0], [0.0, 1.0], [-np.inf, 1.0]], r"X holds 1 values .* row 2, column 0 \(-inf\)"),
        ([1.0, 2.0, 3.0], r"X has shape \(3,\); give a non-empty array \(n_samples, n_features\)"),
        (np.empty((3, 0)), r"X has shape \(3, 0\); give a non-empty array"),
        (1j * np.eye(3), "X has dtype complex128; give real numbers"),
        (np.eye(3).astype(object), "X has dtype object; give numbers"),
        ([[1.0, 0.0], [1.0], [0.0]], "X is no array"),
    ],
)
def test_a_mistake_in_the_space_is_named(X: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        odd_one_out_accuracy(X, [[0, 1, 2]])


def test_a_row_of_zeros_has_a_dot_product() -> None:
    X = [[1.0, 0.0], [1.0, 0.1], [0.0, 0.0]]
    assert odd_one_out_accuracy(X, [[0, 1, 2]], similarity="dot") == 1.0


def test_an_unknown_similarity_is_named() -> None:
    with pytest.raises(ValueError, match="similarity is 'angle'; choose 'cosine', 'dot' or"):
        odd_one_out_accuracy(np.eye(3), [[0, 1, 2]], similarity="angle")


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


@pytest.mark.parametrize(
    ("n_folds", "message"), [(-1, "; give at least 2"), (1, ""), (4, " for 9 objects; give 3 obj")]
)
def test_a_number_of_folds_that_leaves_no_triplet_is_named(n_folds: int, message: str) -> None:
    with pytest.raises(ValueError, match=f"n_folds is {n_folds}{message}"):
        list(object_folds([[0, 1, 2]], 9, n_folds=n_folds))


def test_a_large_row_elsewhere_makes_no_ties() -> None:
    X = np.array([[1e-7, 0.0], [0.9e-7, 1e-8], [0.0, 1e-7], [1.0, 0.0]])
    assert odd_one_out_accuracy(X, [[0, 1, 2]], similarity="dot") == 1.0


def in_words(X: np.ndarray, triplet: list[int], similarity: str) -> dict[int, float]:
    """Similarity of the pair that remains when each column is taken away."""
    x = X[triplet]
    if similarity == "cosine":
        x = x / np.linalg.norm(x, axis=1, keepdims=True)
    if similarity == "euclidean":
        return {3 - i - j: -np.linalg.norm(x[i] - x[j]) for i, j in PAIRS}
    return {3 - i - j: x[i] @ x[j] for i, j in PAIRS}


@quickly
@given(seeds, st.sampled_from(SIMILARITIES))
def test_the_choice_is_the_one_outside_the_most_similar_pair(seed: int, similarity: str) -> None:
    X, triplets = random_space(np.random.default_rng(seed))
    choices = odd_one_out_choices(X, triplets, similarity=similarity)
    for triplet, choice in zip(triplets.tolist(), choices.tolist(), strict=True):
        remaining = in_words(X, triplet, similarity)
        assert choice == max(remaining, key=remaining.get)


@quickly
@given(seeds, st.sampled_from(SIMILARITIES), st.floats(0.05, 20))
def test_probabilities_are_the_softmax_of_similarities(
    seed: int, similarity: str, temperature: float
) -> None:
    X, triplets = random_space(np.random.default_rng(seed))
    found = odd_one_out_probabilities(X, triplets, temperature=temperature, similarity=similarity)
    assert found.sum(axis=1) == pytest.approx(np.ones(len(triplets)))
    for triplet, row in zip(triplets.tolist(), found, strict=True):
        remaining = in_words(X, triplet, similarity)
        weights = np.exp([remaining[odd] / temperature for odd in (2, 1, 0)])
        assert row == pytest.approx(weights / weights.sum())
    likeliest = np.array([2, 1, 0])[found.argmax(axis=1)]
    np.testing.assert_array_equal(
        likeliest, odd_one_out_choices(X, triplets, similarity=similarity)
    )


def test_pairs_that_tie_make_no_choice() -> None:
    X = [[1, 0], [1, 1], [1, -1]]
    assert odd_one_out_choices(X, [[0, 1, 2], [1, 2, 0]]).tolist() == [-1, -1]
    assert odd_one_out_scores(X, [[0, 1, 2], [1, 2, 0]]).tolist() == [0.5, 0.0]


@pytest.mark.parametrize("temperature", [0.05, 0.3, 2.0])
def test_the_temperature_of_judgments_is_found_again(temperature: float) -> None:
    rng = np.random.default_rng(0)
    X, triplets = rng.normal(size=(100, 20)), random_triplets(100, 10_000, rng)
    likely = odd_one_out_probabilities(X, triplets, temperature=temperature)
    kept = (likely.cumsum(axis=1) < rng.random((len(likely), 1))).sum(axis=1)
    ways = np.array([[0, 1, 2], [0, 2, 1], [1, 2, 0]])[kept]
    chosen = np.take_along_axis(triplets, ways, axis=1)
    assert fit_temperature(X, chosen) == pytest.approx(temperature, rel=0.1)


@quickly
@given(seeds)
def test_no_other_temperature_makes_the_judgments_likelier(seed: int) -> None:
    X, triplets = random_space(np.random.default_rng(seed))
    best = fit_temperature(X, triplets)

    def loss(temperature: float) -> float:
        likely = odd_one_out_probabilities(X, triplets, temperature=temperature)
        return -np.log(likely[:, 0]).mean()

    others = [best * 0.9, best * 1.1] if np.isfinite(best) else [1.0, 10.0]
    assert all(loss(best) <= loss(other) + 1e-12 for other in others)


@pytest.mark.parametrize("scale", [1e-6, 1e3, 1e6])
@pytest.mark.parametrize(("similarity", "power"), [("dot", 2), ("euclidean", 1)])
def test_the_temperature_has_the_unit_of_the_similarity(
    scale: float, similarity: str, power: int
) -> None:
    X, triplets = random_space(np.random.default_rng(0))
    one, other = (fit_temperature(Z, triplets, similarity=similarity) for Z in (X, scale * X))
    assert other == pytest.approx(scale**power * one, rel=1e-9)


@pytest.mark.parametrize("scale", [1e-160, 1e160, 1e300])
def test_choices_know_nothing_of_the_unit_of_the_features(scale: float) -> None:
    X, triplets = random_space(np.random.default_rng(0))
    for similarity in SIMILARITIES:
        before, after = (
            odd_one_out_accuracy(Z, triplets, similarity=similarity) for Z in (X, scale * X)
        )
        assert before == after


def test_an_object_that_nobody_judged_changes_nothing() -> None:
    X, triplets = random_space(np.random.default_rng(0))
    more = np.concatenate([X, np.full((1, 6), 1e14)])
    before, after = (odd_one_out_accuracy(Z, triplets, similarity="euclidean") for Z in (X, more))
    assert before == after
    for similarity in SIMILARITIES:
        for scale, value in ((1.0, 0.0), (1e-160, 1e160)):
            beside = np.concatenate([scale * X, np.full((1, 6), value)])
            measures = (
                odd_one_out_accuracy,
                odd_one_out_scores,
                odd_one_out_choices,
                fit_temperature if scale == 1 else odd_one_out_accuracy,
            )
            for measure in measures:
                alone = measure(scale * X, triplets, similarity=similarity)
                np.testing.assert_array_equal(
                    measure(beside, triplets, similarity=similarity), alone
                )


def test_rows_that_are_alike_but_for_rounding_are_right_by_chance() -> None:
    rng = np.random.default_rng(0)
    X = np.tile(rng.normal(size=100), (14, 1))
    X += rng.integers(-1, 2, size=X.shape) * np.spacing(abs(X))
    for similarity in SIMILARITIES:
        accuracy = odd_one_out_accuracy(X, colors.human_triplets(), similarity=similarity)
        assert accuracy == pytest.approx(1 / 3)


def test_similarities_too_large_for_probabilities_are_named() -> None:
    X = [[1e200, 0.0], [1e200, 1.0], [0.0, 1.0]]
    with pytest.raises(ValueError, match=r"similarities over temperature \(1.0\) are too large"):
        odd_one_out_probabilities(X, [[0, 1, 2]], similarity="dot")


def test_similarities_that_say_nothing_have_an_infinite_temperature() -> None:
    X = [[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]]
    assert fit_temperature(X, [[0, 2, 1]]) == np.inf
    assert odd_one_out_probabilities(X, [[0, 2, 1]], temperature=np.inf) == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("X", "triplets"),
    [
        ([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]], [[0, 1, 2]]),
        ([[1.0, 0.0], [1.0, 1.0], [1.0, -1.0]], [[0, 1, 2], [0, 2, 1]]),  # the best pairs tie
        (np.eye(4)[[0, 0, 1, 2]], [[0, 1, 2], [0, 1, 3], [1, 2, 3]][:2]),
    ],
)
def test_the_colder_the_likelier_are_judgments_without_a_miss(X: list, triplets: list) -> None:
    assert fit_temperature(X, triplets) == 0.0
    cold, warm = (odd_one_out_probabilities(X, triplets, temperature=t)[:, 0] for t in (0.01, 0.1))
    assert (cold >= warm).all()
    assert cold.sum() > warm.sum()


@pytest.mark.parametrize("n_features", [3, 17, 384])
@pytest.mark.parametrize("similarity", ["cosine", "euclidean"])
def test_similarities_that_differ_by_rounding_alone_have_an_infinite_temperature(
    n_features: int, similarity: str
) -> None:
    direction = np.random.default_rng(0).normal(size=n_features)
    lengths = np.linspace(1, 2, 14) if similarity == "cosine" else 1 + 1e-16 * np.arange(14)
    X = np.outer(lengths, direction)
    assert fit_temperature(X, colors.human_triplets(), similarity=similarity) == np.inf


def test_similarities_too_large_for_a_temperature_are_named() -> None:
    X = [[1e200, 0.0], [1e200, 1.0], [0.0, 1.0]]
    with pytest.raises(ValueError, match="X has dot similarities too large to be numbers"):
        fit_temperature(X, [[0, 1, 2]], similarity="dot")


@pytest.mark.parametrize("temperature", [0, -1.0, np.nan, None, 1j])
def test_a_temperature_that_is_none_is_named(temperature: float) -> None:
    with pytest.raises(ValueError, match=f"temperature is {temperature!r}; give a number above"):
        odd_one_out_probabilities(np.eye(3), [[0, 1, 2]], temperature=temperature)


def test_people_who_all_agree_have_no_ceiling_below_one() -> None:
    assert noise_ceiling([[0, 1, 2]] * 5 + [[3, 5, 4]] * 2) == NoiseCeiling(1.0, 1.0)


@quickly
@given(seeds)
def test_the_ceiling_is_the_best_a_fixed_answer_can_do(seed: int) -> None:
    rng = np.random.default_rng(seed)
    judgments = [rng.permutation(4)[:3].tolist() for _ in range(40)]
    by_objects: dict[frozenset, list[int]] = {}
    for *kept, odd in judgments:
        by_objects.setdefault(frozenset([*kept, odd]), []).append(odd)
    repeated = [odds for odds in by_objects.values() if len(odds) > 1]
    n = sum(map(len, repeated))
    upper = sum(max(Counter(odds).values()) for odds in repeated) / n
    right = 0.0
    for odds in repeated:
        for place, odd in enumerate(odds):
            others = Counter(odds[:place] + odds[place + 1 :])
            best = [choice for choice in others if others[choice] == max(others.values())]
            right += (odd in best) / len(best)
    assert noise_ceiling(judgments) == pytest.approx((right / n, upper))


def test_guesses_have_a_lower_ceiling_at_chance() -> None:
    rng = np.random.default_rng(0)
    triplets = np.repeat(random_triplets(40, 200, rng), 30, axis=0)
    guesses = np.array([rng.permutation(row) for row in triplets])
    lower, upper = noise_ceiling(guesses)
    assert lower == pytest.approx(CHANCE, abs=0.02)
    assert CHANCE < upper < 0.5


def test_a_ceiling_needs_repeats() -> None:
    with pytest.raises(ValueError, match="triplets holds no three objects twice"):
        noise_ceiling([[0, 1, 2], [0, 1, 3]])


@pytest.mark.parametrize("ceiling", [CHANCE, 0.2, 1.1])
def test_a_ceiling_that_is_none_is_named(ceiling: float) -> None:
    with pytest.raises(ValueError, match=f"ceiling is {ceiling}; give a share above chance"):
        ceiling_share(0.5, ceiling)


@quickly
@given(seeds)
def test_a_matrix_gives_all_triplets_that_are_clear(seed: int) -> None:
    rng = np.random.default_rng(seed)
    similarity = rng.integers(4, size=(7, 7)).astype(float)
    similarity += similarity.T
    clear = []
    for three in combinations(range(7), 3):
        pairs = sorted(combinations(three, 2), key=lambda pair: -similarity[pair])
        if similarity[pairs[0]] > similarity[pairs[1]]:
            clear.append((*pairs[0], *set(three) - set(pairs[0])))
    assert [tuple(row) for row in triplets_from_similarity(similarity).tolist()] == clear


def test_drawn_triplets_are_random_threes_the_same_for_each_person() -> None:
    rng = np.random.default_rng(0)
    people = rng.normal(size=(2, 6, 6))
    people += people.transpose(0, 2, 1)
    counts: Counter[tuple[int, ...]] = Counter()
    for seed in range(200):
        triplets = triplets_from_similarity(people, n_triplets=10, random_state=seed)
        first, second = np.sort(np.split(triplets, 2), axis=2)
        np.testing.assert_array_equal(first, second)
        drawn = [*map(tuple, first.tolist())]
        assert len(set(drawn)) == 10  # none twice
        counts.update(drawn)
    assert len(counts) == 20
    assert all(count == pytest.approx(100, abs=40) for count in counts.values())


def test_when_more_are_asked_for_than_there_are_all_are_drawn() -> None:
    similarity = np.random.default_rng(0).normal(size=(9, 9))
    similarity += similarity.T
    drawn = triplets_from_similarity(similarity, n_triplets=1000, random_state=0)
    assert sorted(drawn.tolist()) == sorted(triplets_from_similarity(similarity).tolist())


def test_similarities_that_differ_by_rounding_alone_are_equal() -> None:
    similarity = np.array([[1, 0.3, 0.1 + 0.2], [0.3, 1, 0.1], [0.1 + 0.2, 0.1, 1]])
    assert similarity[0, 1] != similarity[0, 2]
    with pytest.raises(ValueError, match="leaves no odd one out"):
        triplets_from_similarity(similarity)
    similarity[0, 1] = similarity[1, 0] = np.inf
    assert triplets_from_similarity(similarity).tolist() == [[0, 1, 2]]


def correlations(dtype: type) -> np.ndarray:
    """Of ratings, as numpy gives them: symmetric but for the last digit."""
    ratings = np.random.default_rng(0).normal(size=(40, 25)).astype(dtype)
    return np.corrcoef(ratings, dtype=dtype)


@pytest.mark.parametrize("size", [1e-15, 1e-3, 1.0, 1e6])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_matrix_is_symmetric_in_its_own_precision(dtype: type, size: float) -> None:
    single = correlations(np.float32)
    matrix = (size * single).astype(dtype) if dtype != np.float16 else single.astype(dtype)
    lower = np.tril(np.ones((40, 40), dtype=bool), k=-1)
    matrix = (matrix + matrix.T) / 2
    matrix = np.where(lower, np.nextafter(matrix, dtype(np.inf)), matrix)
    assert matrix.dtype == dtype
    assert (matrix != matrix.T).any()
    upper = np.where(lower, matrix.T, matrix)
    X = np.random.default_rng(1).normal(size=(40, 3))
    exact = upper.astype(float)
    assert rsa_score(X, matrix) == pytest.approx(rsa_score(X, exact), abs=1e-3)
    n_triplets = len(triplets_from_similarity(matrix))
    assert n_triplets == pytest.approx(len(triplets_from_similarity(exact)), rel=1e-2)
    matrix[3, 5] += abs(matrix).max() / 10
    with pytest.raises(ValueError, match=r"similarity is not symmetric: .* at row 3, column 5"):
        triplets_from_similarity(matrix)


def test_correlations_of_single_precision_are_symmetric() -> None:
    single, double = correlations(np.float32), correlations(np.float64)
    assert (single != single.T).any()
    people = -cdist(*2 * [np.random.default_rng(1).normal(size=(40, 3))])
    converted = triplets_from_similarity(single.astype(np.float64))
    np.testing.assert_array_equal(converted, triplets_from_similarity(single))
    for method in METHODS:
        ceilings = [
            rsa_noise_ceiling([matrix, people], method=method) for matrix in (single, double)
        ]
        assert ceilings[0] == pytest.approx(ceilings[1], abs=1e-4)


def test_integers_are_symmetric_or_not() -> None:
    similarity = np.array([[9, 5, 1], [5, 9, 2], [1, 2, 9]]) * 10**10
    assert triplets_from_similarity(similarity).tolist() == [[0, 1, 2]]
    similarity[0, 1] += 1
    with pytest.raises(ValueError, match="similarity is not symmetric"):
        triplets_from_similarity(similarity)


def test_an_outlier_on_the_diagonal_hides_no_mistake() -> None:
    similarity = np.array([[1e12, 0.5, 0.1], [0.6, 1e12, 0.2], [0.1, 0.2, np.inf]])
    with pytest.raises(ValueError, match=r"not symmetric: 0\.5 at row 0, column 1, and 0\.6"):
        triplets_from_similarity(similarity)


def test_judgments_may_come_in_any_kind_of_array() -> None:
    X, triplets = random_space(np.random.default_rng(0))
    X = X.astype(np.float32)
    similarity = X @ X.T
    similarity = (similarity + similarity.T) / 2
    for kind in (torch.tensor, pd.DataFrame, np.ndarray.tolist, np.asfortranarray):
        space, judgments, human = kind(X), kind(triplets), kind(similarity)
        assert odd_one_out_accuracy(space, judgments) == odd_one_out_accuracy(X, triplets)
        assert fit_temperature(space, judgments) == fit_temperature(X, triplets)
        assert rsa_score(space, human) == rsa_score(X, similarity)
        np.testing.assert_array_equal(
            triplets_from_similarity(human), triplets_from_similarity(similarity)
        )
        folds = zip(
            object_folds(judgments, 30, n_folds=3),
            object_folds(triplets, 30, n_folds=3),
            strict=True,
        )
        assert all((one[0] == other[0]).all() for one, other in folds)


def test_what_was_not_judged_makes_no_triplet() -> None:
    similarity = np.array([[1, 0.9, 0.1, 0.2], [0.9, 1, np.nan, 0.3], [0.1, np.nan, 1, 0.8]])
    similarity = np.concatenate([similarity, [[0.2, 0.3, 0.8, 1]]])
    assert triplets_from_similarity(similarity).tolist() == [[0, 1, 3], [2, 3, 0]]


@pytest.mark.parametrize(
    ("similarity", "message"),
    [
        (np.eye(2), "similarity has 2 objects; a triplet needs 3"),
        (np.ones((3, 4)), r"similarity has shape \(3, 4\); give \(n_objects, n_objects\)"),
        (np.arange(9.0).reshape(3, 3), "similarity is not symmetric: 1.0 at row 0, column 1"),
        (1j * np.eye(3), "similarity has dtype complex128; give real numbers"),
        (np.full((3, 3), "1"), "similarity has dtype <U1; give numbers"),
        (np.eye(3).astype(object), "similarity has dtype object; give numbers"),
        ([[1, 0], [0]], r"similarity is no array \(.*\); give an array, or rows of equal length"),
        (np.empty((0, 0)), r"similarity has shape \(0, 0\); give \(n_objects, n_objects\)"),
        (np.array([[1, np.nan, 0], [0.5, 1, 0], [0, 0, 1]]), "not symmetric: nan at row 0"),
    ],
)
def test_a_mistake_in_the_similarities_is_named(similarity: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        triplets_from_similarity(similarity)
    with pytest.raises(ValueError, match="n_triplets is 0; give at least 1"):
        triplets_from_similarity(np.eye(3), n_triplets=0)
    with pytest.raises(ValueError, match="similarity leaves no odd one out"):
        triplets_from_similarity(np.ones((5, 5)))


def test_more_triplets_than_memory_holds_are_refused() -> None:
    with pytest.raises(ValueError, match=r"similarity has 166,167,000 triplets; give n_trip"):
        triplets_from_similarity(np.eye(1000))


@pytest.mark.parametrize("dtype", [">i4", ">i8", "<u8"])
def test_triplets_may_come_from_another_machine(dtype: str) -> None:
    X, triplets = random_space(np.random.default_rng(0))
    expected = odd_one_out_accuracy(X, triplets)
    assert odd_one_out_accuracy(X, triplets.astype(dtype)) == expected
    with pytest.raises(ValueError, match=r"triplets row 0 is \[-1, 2, 3\]; .* from 0 on"):
        noise_ceiling([[-1, 2, 3]])


@pytest.mark.parametrize("metric", ["cosine", "correlation", "dot", "euclidean"])
@pytest.mark.parametrize(
    ("method", "correlate"),
    [("spearman", stats.spearmanr), ("pearson", stats.pearsonr), ("kendall", stats.kendalltau)],
)
def test_rsa_is_the_correlation_of_the_pairs(
    metric: str, method: str, correlate: Callable[..., object]
) -> None:
    rng = np.random.default_rng(0)
    X, human = rng.normal(size=(12, 5)), rng.normal(size=(12, 12))
    human += human.T
    pairs = human[np.triu_indices(12, k=1)]
    distance = (lambda x, y: -x @ y) if metric == "dot" else metric
    expected = correlate(-pdist(X, metric=distance), pairs).statistic
    assert rsa_score(X, human, metric=metric, method=method) == pytest.approx(expected)
    of_two = rsa_score(X, [human, -human], metric=metric, method=method)
    assert of_two == pytest.approx(0.0, abs=1e-12)


@each_method
def test_a_space_of_ekmans_similarities_scores_one(method: str) -> None:
    """Ranks that tie in his table tie in the space, too, where it differs in the last digit."""
    X = np.linalg.cholesky(colors.human_similarity())
    score = rsa_score(X, colors.human_similarity(), method=method)
    assert score == pytest.approx(1.0, abs=1e-12)


@each_method
@pytest.mark.parametrize("n_features", [3, 100])
@pytest.mark.parametrize("metric", ["cosine", "correlation", "dot", "euclidean"])
def test_similarities_that_are_equal_but_for_rounding_cannot_be_ranked(
    metric: str, n_features: int, method: str
) -> None:
    rng = np.random.default_rng(0)
    direction = rng.normal(size=n_features)
    one_direction = np.outer(np.linspace(1, 2, 14), direction)
    shifted = one_direction + np.linspace(-3, 5, 14)[:, None]
    alike = np.tile(direction, (14, 1))
    alike += rng.integers(-1, 2, size=alike.shape) * np.spacing(abs(alike))
    rotation, _ = np.linalg.qr(rng.normal(size=(max(14, n_features),) * 2))
    equally_far = rotation[:14]
    spaces = {
        "cosine": [one_direction, alike, equally_far],
        "correlation": [shifted, alike],
        "dot": [alike, equally_far],
        "euclidean": [alike, equally_far],
    }[metric]
    for X in spaces:
        with pytest.raises(ValueError, match="X has equal similarities of all pairs"):
            rsa_score(X, colors.human_similarity(), metric=metric, method=method)


@pytest.mark.parametrize("method", ["spearman", "kendall"])
@pytest.mark.parametrize("metric", ["cosine", "correlation"])
@pytest.mark.parametrize("seed", range(3))
def test_groups_of_equal_cosines_are_groups_of_ties(seed: int, metric: str, method: str) -> None:
    """Three directions, on each of which several objects lie at several lengths."""
    rng = np.random.default_rng(seed)
    group = np.repeat([0, 1, 2], 5)
    directions = rng.normal(size=(3, 300))
    X = directions[group] * rng.uniform(0.1, 10, size=(15, 1))
    centred = directions - directions.mean(axis=1, keepdims=True) * (metric == "correlation")
    exact = 1 - squareform(pdist(centred, "cosine"))
    human = rng.normal(size=(15, 15))
    human += human.T
    above = np.triu_indices(15, k=1)
    correlate = {"spearman": stats.spearmanr, "kendall": stats.kendalltau}[method]
    expected = correlate(exact[np.ix_(group, group)][above], human[above]).statistic
    found = rsa_score(X, human, metric=metric, method=method)
    assert found == pytest.approx(expected, abs=1e-12)


@each_method
def test_people_whose_judgments_differ_by_rounding_alone_agree_wholly(method: str) -> None:
    rng = np.random.default_rng(0)
    person = rng.integers(1, 8, size=(12, 12)).astype(float)
    person += person.T
    again = person / 7 * 7 + 0.1 - 0.1
    assert (again != person).any()
    assert rsa_noise_ceiling([person, again], method=method) == pytest.approx((1, 1), abs=1e-12)
    with pytest.raises(ValueError, match="human_similarity has equal similarities of all pairs"):
        rsa_noise_ceiling([person, 0.1 + 1e-17 * person], method=method)
    almost = 0.3 + 4e-17 * person
    with pytest.raises(ValueError, match="human_similarity has equal similarities of all pairs"):
        rsa_score(rng.normal(size=(12, 3)), almost, method=method)


def test_similarities_that_differ_in_their_tenth_digit_are_ranked() -> None:
    X = np.random.default_rng(0).normal(size=(12, 4))
    human = -cdist(X, X)
    near = 1 + 1e-4 * X / np.linalg.norm(X)
    assert rsa_score(near, human, metric="euclidean") == pytest.approx(1.0, abs=1e-9)
    assert rsa_score(near, 1 + 1e-10 * human, metric="euclidean") == pytest.approx(1, abs=1e-3)


def test_no_space_does_better_than_the_ceiling() -> None:
    rng = np.random.default_rng(0)
    space = rng.normal(size=(20, 4))
    noise = rng.normal(size=(8, 20, 20))
    people = -cdist(space, space) + 0.5 * (noise + noise.transpose(0, 2, 1))
    lower, upper = rsa_noise_ceiling(people)
    score = rsa_score(space, people, metric="euclidean")
    assert 0.3 < lower < upper < 1
    assert score < upper


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"X": np.eye(4)}, "X has 4 rows, but human_similarity 3; give as many"),
        ({"metric": "l1"}, "metric is 'l1'; choose"),
        ({"method": "rank"}, "method is 'rank'; choose"),
        ({"X": np.eye(3)}, "X has equal similarities of all pairs"),
        ({"X": 1e200 * np.eye(3), "metric": "dot"}, "X has equal similarities of all pairs"),
        ({"X": 1e200 * np.ones((3, 2)), "metric": "dot"}, "X holds similarities that are not"),
        ({"human_similarity": np.ones((3, 3))}, "human_similarity has equal similarities"),
        ({"human_similarity": np.ones((3, 2))}, r"human_similarity has shape \(3, 2\)"),
        ({"human_similarity": np.full((3, 3), np.nan)}, "human_similarity holds similarities that"),
        ({"X": np.eye(2), "human_similarity": np.eye(2)}, "X is of 2 objects; give at least 3"),
        (
            {"X": [[0.1, 0.1], [0.2, 0.3], [0.4, 0.1]], "metric": "correlation"},
            "X row 0 is constant; remove it",
        ),
    ],
)
def test_a_mistake_in_rsa_is_named(arguments: dict, message: str) -> None:
    human = np.array([[1, 0.8, 0.1], [0.8, 1, 0.5], [0.1, 0.5, 1]])
    X = np.array([[1.0, 0.0], [0.9, 0.3], [0.2, 1.0]])
    with pytest.raises(ValueError, match=message):
        rsa_score(**{"X": X, "human_similarity": human} | arguments)


def test_a_ceiling_of_one_person_is_none() -> None:
    person = np.array([[1, 0.8, 0.1], [0.8, 1, 0.5], [0.1, 0.5, 1]])
    with pytest.raises(ValueError, match="human_similarity is of one person; a ceiling needs two"):
        rsa_noise_ceiling(person)
    with pytest.raises(ValueError, match="of some people together is the same for all pairs"):
        rsa_noise_ceiling([person, 1 - person])


def test_a_person_agrees_wholly_with_the_own_judgments_of_92_images(people: np.ndarray) -> None:
    assert people.shape == (16, 92, 92)
    own = people[0]
    values, vectors = np.linalg.eigh(own)
    X = vectors * np.sqrt(values - values.min())  # adds the same to every self-similarity
    triplets = triplets_from_similarity(own)
    assert odd_one_out_accuracy(X, triplets, similarity="dot") == 1.0


@pytest.mark.slow
def test_sixteen_people_judge_92_images_alike_up_to_a_ceiling(people: np.ndarray) -> None:
    triplets = triplets_from_similarity(people, n_triplets=20_000, random_state=0)
    assert noise_ceiling(triplets) == pytest.approx((0.629, 0.675), abs=0.002)
    assert rsa_noise_ceiling(people) == pytest.approx((0.4770, 0.5767), abs=1e-4)


@pytest.mark.slow
def test_an_embedding_of_things_ranks_its_own_similarities_like_the_other(
    spose: np.ndarray, vice: np.ndarray
) -> None:
    some = np.random.default_rng(0).choice(1854, 300, replace=False)
    score = rsa_score(vice[some], spose[some] @ spose[some].T)
    assert score == pytest.approx(0.9435, abs=1e-3)


@quickly
@given(splits())
def test_groups_are_held_out_whole(split: tuple[int, int, int]) -> None:
    n_objects, n_folds, seed = split
    rng = np.random.default_rng(seed)
    groups = rng.permutation(np.repeat(["a", "b", "c", "d", "e", "f"], n_objects // 6 + 1))
    groups = groups[:n_objects]
    triplets = all_triplets(n_objects)
    n_folds = min(n_folds, len(set(groups)))
    options = {"n_folds": n_folds, "random_state": seed, "groups": groups}
    for training, test in object_folds(triplets, n_objects, **options):
        assert not {*groups[np.unique(training)]} & {*groups[np.unique(test)]}
        inside = np.isin(groups, groups[np.unique(test)])
        assert inside[triplets].all(axis=1).sum() == len(test)


def test_more_folds_than_groups_are_named() -> None:
    triplets, groups = all_triplets(9), [0, 0, 0, 0, 0, 1, 1, 1, 1]
    with pytest.raises(ValueError, match="n_folds is 3 for 2 groups; give a group a fold"):
        list(object_folds(triplets, 9, n_folds=3, groups=groups))
    with pytest.raises(ValueError, match=r"groups has shape \(2,\); give one of each of 9 objects"):
        list(object_folds(triplets, 9, n_folds=2, groups=[0, 1]))


def test_counts_are_of_the_pairs_that_were_kept() -> None:
    judgments = [[2, 5, 9], [5, 2, 9], [9, 2, 5], [9, 5, 2], [0, 1, 2]]
    threes, counts = choice_counts(judgments)
    np.testing.assert_array_equal(threes, [[0, 1, 2], [2, 5, 9]])
    np.testing.assert_array_equal(counts, [[1, 0, 0], [2, 1, 1]])


def drawn_from(shares: np.ndarray, n_each: int, seed: int) -> np.ndarray:
    """Judgments of as many threes as there are shares of their pairs."""
    rng = np.random.default_rng(seed)
    threes = np.arange(3 * len(shares)).reshape(-1, 3)
    ways = np.array([[0, 1, 2], [0, 2, 1], [1, 2, 0]])
    kept = np.stack([rng.choice(3, n_each, p=share) for share in shares])
    return threes[np.arange(len(shares))[:, None, None], ways[kept]].reshape(-1, 3)


def test_people_predict_each_other_as_well_as_their_shares_let_them() -> None:
    """With many people the cross-entropy is the entropy of what they are drawn from."""
    shares = np.random.default_rng(0).dirichlet([1.0, 1.0, 1.0], size=200)
    entropies = stats.entropy(shares, axis=1)
    ceiling = disagreement_ceiling(drawn_from(shares, 600, seed=1))
    assert ceiling.cross_entropy == pytest.approx(entropies.mean(), abs=0.01)
    assert ceiling.entropy_correlation > 0.95
    few = disagreement_ceiling(drawn_from(shares, 20, seed=1))
    assert few.cross_entropy > ceiling.cross_entropy
    assert 0.2 < few.entropy_correlation < 0.8


def test_what_knows_the_shares_is_at_the_ceiling_and_a_guess_at_chance() -> None:
    shares = np.random.default_rng(0).dirichlet([1.0, 1.0, 1.0], size=200)
    _, counts = choice_counts(drawn_from(shares, 600, seed=1))
    known = disagreement(counts, shares)
    assert known.cross_entropy == pytest.approx(stats.entropy(shares, axis=1).mean(), abs=0.01)
    assert known.entropy_correlation > 0.97
    guess = disagreement(counts, np.full(shares.shape, 1 / 3))
    assert guess.cross_entropy == pytest.approx(np.log(3))
    assert np.isnan(guess.entropy_correlation)


def test_without_repeats_no_one_can_disagree() -> None:
    with pytest.raises(ValueError, match="no three objects twice"):
        disagreement_ceiling([[0, 1, 2], [0, 1, 3]])


def test_agreement_is_that_of_two_people_however_many_there_are() -> None:
    shares = np.random.default_rng(0).dirichlet([1.0, 1.0, 1.0], size=300)
    two_alike = (shares**2).sum(axis=1).mean()
    many = drawn_from(shares, 60, seed=1)
    assert agreement(many, many, own=True).mean() == pytest.approx(two_alike, abs=0.01)
    for n_others in (2, 5, 60):
        others = drawn_from(shares, n_others, seed=2)
        assert agreement(many, others).mean() == pytest.approx(two_alike, abs=0.03)
        assert agreement(others, others, own=True).mean() == pytest.approx(two_alike, abs=0.03)


def test_of_what_no_other_judged_there_is_no_agreement() -> None:
    found = agreement([[0, 1, 2], [5, 4, 3], [7, 8, 9]], [[0, 1, 2], [0, 2, 1], [3, 4, 5]])
    np.testing.assert_allclose(found, [1 / 2, 0, np.nan])
    alone = agreement([[0, 1, 2]], [[0, 1, 2]], own=True)
    np.testing.assert_array_equal(alone, [np.nan])

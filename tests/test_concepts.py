"""Which human concepts a space holds: scaling, regression and triplets by concept."""

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import pdist, squareform
from scipy.stats import rankdata, spearmanr
from sklearn.linear_model import Ridge
from sklearn.manifold import MDS
from sklearn.preprocessing import StandardScaler

from convexlib.alignment import odd_one_out_scores, triplets_from_similarity
from convexlib.concepts import (
    PENALTIES,
    dominant_dimension,
    half_axes,
    is_about_category,
    nonmetric_mds,
    predicted_dimensions,
)
from convexlib.data import colors
from convexlib.statistics import mean_over_objects, r_squared


def points(n_objects: int, n_features: int, *, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n_objects, n_features))


@pytest.mark.parametrize("squeeze", [lambda d: -d, lambda d: np.exp(-d), lambda d: -(d**3)])
def test_points_are_found_again_from_the_order_of_their_distances(squeeze) -> None:
    distances = squareform(pdist(points(20, 2)))
    found = nonmetric_mds(squeeze(distances))
    np.testing.assert_array_equal(found.coordinates, nonmetric_mds(-distances).coordinates)
    assert found.stress < 0.01
    again = pdist(found.coordinates)
    assert spearmanr(again, squareform(distances, checks=False)).statistic > 0.999


def test_the_axes_are_centred_principal_and_have_a_sign() -> None:
    found = nonmetric_mds(colors.human_similarity()).coordinates
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-12)
    first, second = found.T
    assert first @ second == pytest.approx(0, abs=1e-9)
    assert first @ first > second @ second
    farthest = abs(found).argmax(axis=0)
    assert (found[farthest, [0, 1]] > 0).all()


def test_ekmans_hues_lie_on_a_circle_in_the_order_of_the_spectrum() -> None:
    """As Shepard (1962) found."""
    found = nonmetric_mds(colors.human_similarity())
    assert found.stress == pytest.approx(0.0316, abs=1e-4)
    angles = np.unwrap(np.arctan2(*found.coordinates.T))
    steps = np.diff(angles)
    assert (steps > 0).all() or (steps < 0).all()
    radii = np.linalg.norm(found.coordinates, axis=1)
    assert radii.min() > 0.8 * radii.max()


def test_no_random_start_ends_lower_than_the_classical_one() -> None:
    distances = squareform(rankdata(-squareform(colors.human_similarity(), checks=False)))
    options = {"metric": "precomputed", "max_iter": 1000, "eps": 1e-9, "random_state": 0}
    random = MDS(2, metric_mds=False, init="random", n_init=5, **options).fit(distances)
    assert random.stress_ > nonmetric_mds(colors.human_similarity()).stress - 1e-6


@pytest.mark.parametrize(
    ("similarity", "options", "message"),
    [
        (np.ones((3, 3)), {"n_dimensions": 3}, "n_dimensions is 3 for 3 objects"),
        (np.ones((3, 3)), {"n_dimensions": 0}, "n_dimensions is 0; give at least 1"),
        (np.ones((3, 3)), {"n_dimensions": 1.5}, "n_dimensions is 1.5; give a whole number"),
        (np.ones((2, 3, 3)), {}, "of 2 people; give their mean"),
        (np.full((3, 3), np.nan), {}, "holds NaN or infinity"),
        (np.arange(9.0).reshape(3, 3), {}, "not symmetric"),
        (1j * np.ones((3, 3)), {}, "similarity has dtype complex128; give real numbers"),
    ],
)
def test_a_mistake_in_what_is_scaled_is_named(similarity, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        nonmetric_mds(similarity, **options)


def test_similarities_that_differ_by_rounding_alone_are_scaled_as_ties() -> None:
    similarity = colors.human_similarity()
    noise = np.random.default_rng(0).integers(-1, 2, size=similarity.shape) * np.spacing(similarity)
    noise = np.triu(noise) + np.triu(noise).T
    found = nonmetric_mds(similarity + noise)
    np.testing.assert_array_equal(found.coordinates, nonmetric_mds(similarity).coordinates)


def test_the_diagonal_does_not_count() -> None:
    similarity = colors.human_similarity()
    other = similarity.copy()
    np.fill_diagonal(other, np.nan)
    with np.errstate(all="raise"):
        found = nonmetric_mds(other)
    np.testing.assert_array_equal(found.coordinates, nonmetric_mds(similarity).coordinates)


@pytest.mark.parametrize("n_dimensions", [1, 3])
def test_each_object_is_predicted_by_ridge_on_the_others(n_dimensions: int) -> None:
    X = points(9, 4)
    Y = X @ points(4, n_dimensions, seed=1) + points(9, n_dimensions, seed=2)
    predicted = predicted_dimensions(X, Y, penalties=[3.0])
    for held_out in range(9):
        others = np.arange(9) != held_out
        scaler = StandardScaler().fit(X[others])
        ridge = Ridge(alpha=3.0).fit(scaler.transform(X[others]), Y[others])
        expected = ridge.predict(scaler.transform(X[[held_out]])).ravel()
        np.testing.assert_allclose(predicted[held_out], expected, rtol=1e-8)


def test_what_an_object_is_like_does_not_reach_its_own_prediction() -> None:
    X, Y = points(8, 3), points(8, 2, seed=1)
    before = predicted_dimensions(X, Y)
    Y[5] += 100
    after = predicted_dimensions(X, Y)
    np.testing.assert_allclose(before[5], after[5])
    assert abs(before[0] - after[0]).max() > 1


def test_noise_explains_nothing_of_objects_not_seen() -> None:
    scores = [
        r_squared(y[:, 0], predicted_dimensions(points(40, 60, seed=seed), y)[:, 0]).value
        for seed in range(3)
        for y in [points(40, 1, seed=100 + seed)]
    ]
    assert np.mean(scores) < 0.02


def test_each_dimension_gets_its_own_penalty() -> None:
    X = points(60, 5)
    Y = np.stack([X[:, 0], points(60, 1, seed=1)[:, 0]], axis=1)
    together = predicted_dimensions(X, Y)
    for column in range(2):
        alone = predicted_dimensions(X, Y[:, [column]])
        np.testing.assert_allclose(together[:, [column]], alone, atol=1e-9)
    assert r_squared(Y[:, 0], together[:, 0]).value > 0.999


@pytest.mark.parametrize(
    ("X", "Y", "options", "message"),
    [
        (points(5, 2), points(4, 2), {}, "dimensions has 4 rows, but X 5"),
        (points(3, 2), points(3, 2), {}, "n_folds is 3 for 3 objects"),
        (points(5, 2), points(5, 2), {"n_folds": 6}, "n_folds is 6 for 5 objects"),
        (points(5, 2), points(5, 2), {"n_folds": 1}, "n_folds is 1; give at least 2"),
        (points(5, 2), points(5, 2), {"n_folds": 2.5}, "n_folds is 2.5; give a whole number"),
        (points(5, 2), points(5, 2), {"penalties": [0.0]}, "give positive, finite numbers"),
        (points(5, 2), points(5, 2), {"penalties": []}, "give positive, finite numbers"),
        (points(5, 2), points(5, 2), {"penalties": [1j]}, "penalties has dtype complex128"),
        (points(5, 2), points(5, 2), {"penalties": [[1], [1, 2]]}, "penalties is no array"),
        (points(5, 2), 1j * points(5, 2), {}, "dimensions has dtype complex128; give real"),
        (points(5, 2) * np.inf, points(5, 2), {}, "X holds 10 values that are not finite"),
        (points(5, 2), points(5, 2) * np.nan, {}, "dimensions holds 10 values"),
    ],
)
def test_a_mistake_in_what_is_predicted_is_named(X, Y, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        predicted_dimensions(X, Y, **options)


def test_penalties_reach_from_next_to_none_to_the_mean() -> None:
    X, y = points(30, 3), points(30, 1, seed=1)
    assert abs(predicted_dimensions(X, y, penalties=PENALTIES[-1:]) - y.mean()).max() < 0.1
    exact = X @ points(3, 1, seed=2)
    assert abs(predicted_dimensions(X, exact, penalties=PENALTIES[:1]) - exact).max() < 0.01


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_features_that_are_constant_but_for_rounding_predict_nothing(dtype: type) -> None:
    rng = np.random.default_rng(0)
    Y = points(30, 2)
    constant = np.ones((30, 50), dtype=dtype) / 3
    steps = rng.integers(-1, 2, size=constant.shape).astype(dtype)
    noise = constant + steps * np.spacing(constant)
    assert noise.dtype == dtype
    assert (noise != constant).any()
    alone = predicted_dimensions(constant, Y)
    np.testing.assert_array_equal(predicted_dimensions(noise, Y), alone)
    assert r_squared(Y[:, 0], alone[:, 0]).value < 0
    beside = predicted_dimensions(np.hstack([points(30, 3, seed=1).astype(dtype), noise]), Y)
    exact = predicted_dimensions(np.hstack([points(30, 3, seed=1).astype(dtype), constant]), Y)
    np.testing.assert_array_equal(beside, exact)


@given(st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_the_dominant_dimension_has_the_largest_product(seed: int) -> None:
    rng = np.random.default_rng(seed)
    weights = rng.random((6, 4))
    triplets = np.array([rng.permutation(6)[:3] for _ in range(5)])
    for (i, j, _), dimension in zip(triplets, dominant_dimension(triplets, weights), strict=True):
        assert dimension == np.argmax(weights[i] * weights[j])


def test_a_pair_that_shares_no_dimension_has_none() -> None:
    assert dominant_dimension([[0, 1, 2]], half_axes([[1.0], [-1.0], [2.0]])).tolist() == [-1]
    assert dominant_dimension([[0, 2, 1]], half_axes([[1.0], [-1.0], [2.0]])).tolist() == [0]


def test_many_triplets_are_sorted_like_few() -> None:
    weights = abs(points(50, 6))
    triplets = triplets_from_similarity(weights @ weights.T, n_triplets=60_000, random_state=0)
    dominant = dominant_dimension(triplets, weights)
    np.testing.assert_array_equal(dominant[-10:], dominant_dimension(triplets[-10:], weights))


def test_weights_below_zero_are_refused_and_become_half_axes() -> None:
    axes = points(5, 2)
    with pytest.raises(ValueError, match="below zero; give half_axes"):
        dominant_dimension([[0, 1, 2]], axes)
    halves = half_axes(axes)
    assert (halves >= 0).all()
    np.testing.assert_array_equal(halves[:, :2] - halves[:, 2:], axes)


def test_a_triplet_is_about_what_its_kept_pair_shares_and_the_odd_one_lacks() -> None:
    membership = pd.DataFrame(
        {"a": [True, True, False, False], "b": [True, False, True, False], "c": [True] * 4}
    )
    triplets = [[0, 1, 2], [0, 2, 1], [2, 3, 0]]
    np.testing.assert_array_equal(
        is_about_category(triplets, membership),
        [[True, False, False], [False, True, False], [False, False, False]],
    )


@pytest.mark.parametrize(
    ("membership", "message"),
    [
        (np.full((3, 2), 0.5), "membership holds 0.5; give booleans, or 0 and 1"),
        (np.full((3, 2), 2), "membership holds 2.0; give booleans, or 0 and 1"),
        (np.full((3, 2), "a"), "membership has dtype <U1; give numbers"),
        (np.ones(3, dtype=bool), r"shape \(3,\)"),
        (np.ones((2, 2), dtype=bool), "X has rows 0 to 1"),
    ],
)
def test_a_mistake_in_the_categories_is_named(membership, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        is_about_category([[0, 1, 2]], membership)


def test_categories_may_be_a_tensor() -> None:
    members = torch.tensor([[True, False], [True, True], [False, True]])
    assert is_about_category(torch.tensor([[0, 1, 2]]), members).tolist() == [[True, False]]


@pytest.mark.slow
def test_spose_holds_most_dimensions_of_vice(spose: np.ndarray, vice: np.ndarray) -> None:
    """Two embeddings of one set of judgments: 1,854 objects, 66 and 42 dimensions."""
    predicted = predicted_dimensions(spose, vice, n_folds=5)
    scores = [r_squared(y, p) for y, p in zip(vice.T, predicted.T, strict=True)]
    values = np.array([score.value for score in scores])
    assert np.median(values) == pytest.approx(0.83, abs=0.01)
    assert all(score.ci_low <= score.value <= score.ci_high for score in scores)


@pytest.mark.slow
def test_spose_is_right_about_most_things_that_vice_goes_by(
    spose: np.ndarray, vice: np.ndarray
) -> None:
    triplets = triplets_from_similarity(vice @ vice.T, n_triplets=50_000, random_state=0)
    scores = odd_one_out_scores(spose, triplets, similarity="dot")
    dominant = dominant_dimension(triplets, vice)
    by_dimension = pd.Series(scores).groupby(dominant).mean()
    assert len(by_dimension) > 30
    largest = np.bincount(dominant).argmax()
    chosen = dominant == largest
    estimate = mean_over_objects(scores[chosen], triplets[chosen], against=1 / 3)
    assert estimate.ci_low > 0.8

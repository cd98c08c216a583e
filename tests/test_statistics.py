"""An interval holds the truth about as often as it says."""

from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import r2_score

from convexlib.judgments import odd_one_out_scores, triplets_from_similarity
from convexlib.statistics import (
    MINUS,
    Estimate,
    bootstrap_mean,
    corrected,
    mean_difference,
    mean_interval,
    mean_over_objects,
    pearson,
    pearson_difference,
    r_squared,
)

quickly = settings(deadline=None, max_examples=50)

numbers = st.floats(-1e3, 1e3)


def correlated_clusters(
    rng: np.random.Generator, n_clusters: int, *, shared: float, correlation: float = 0.5
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x, y and cluster of five points a cluster, of whose variance a part is shared."""
    covariance = [[1.0, correlation], [correlation, 1.0]]
    common = rng.multivariate_normal([0.0, 0.0], covariance, size=(n_clusters, 1))
    own = rng.multivariate_normal([0.0, 0.0], covariance, size=(n_clusters, 5))
    points = np.sqrt(shared) * common + np.sqrt(1 - shared) * own
    return *points.reshape(-1, 2).T, np.repeat(np.arange(n_clusters), 5)


def width(estimate: Estimate) -> float:
    return estimate.ci_high - estimate.ci_low


@quickly
@given(st.lists(numbers, min_size=2, max_size=20), st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_the_interval_of_a_mean_is_students(values: list[float], confidence: float) -> None:
    estimate = mean_interval(values, confidence=confidence)
    half = stats.t.interval(confidence, len(values) - 1)[1] * stats.sem(values)
    assert estimate.value == pytest.approx(np.mean(values))
    assert estimate.ci_low == pytest.approx(np.mean(values) - half, abs=1e-9)
    assert estimate.ci_high == pytest.approx(np.mean(values) + half, abs=1e-9)


@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_the_interval_of_a_mean_is_that_of_scipy(confidence: float) -> None:
    values = [0.61, 0.58, 0.66]
    expected = stats.t.interval(confidence, 2, loc=np.mean(values), scale=stats.sem(values))
    assert mean_interval(values, confidence=confidence)[1:3] == pytest.approx(expected)


@pytest.mark.parametrize("n_values", [2, 3, 10])
def test_the_interval_of_a_mean_holds_the_truth_as_often_as_it_says(n_values: int) -> None:
    samples = np.random.default_rng(0).normal(0.6, 0.1, size=(2000, n_values))
    estimates = [mean_interval(values) for values in samples]
    held = np.mean([estimate.ci_low <= 0.6 <= estimate.ci_high for estimate in estimates])
    assert held == pytest.approx(0.95, abs=0.015)


def test_a_single_value_has_no_interval() -> None:
    estimate = mean_interval([0.7])
    assert estimate.value == 0.7
    assert np.isnan(estimate[1:]).all()


def test_values_without_scatter_leave_no_doubt() -> None:
    assert mean_interval([0.5, 0.5, 0.5]) == (0.5, 0.5, 0.5, 0.0)
    assert mean_interval([0.0, 0.0, 0.0]) == (0.0, 0.0, 0.0, 1.0)


@pytest.mark.parametrize(
    ("values", "shape"), [([], r"\(0,\)"), ([[1.0, 2.0]], r"\(1, 2\)"), (1.0, r"\(\)")]
)
def test_values_that_are_no_list_of_numbers_are_named(values: object, shape: str) -> None:
    with pytest.raises(ValueError, match=f"values has shape {shape}; give at least one number"):
        mean_interval(values)


@pytest.mark.parametrize("confidence", [95, -0.5])
@pytest.mark.parametrize(
    "interval",
    [
        lambda confidence: mean_interval([1.0, 2.0, 4.0], confidence=confidence),
        lambda confidence: pearson([1, 2, 3], [1, 2, 4], list("abc"), confidence=confidence),
    ],
    ids=["mean", "pearson"],
)
def test_a_confidence_that_is_no_share_is_named(
    interval: Callable[[float], Estimate], confidence: float
) -> None:
    with pytest.raises(ValueError, match=f"confidence is {confidence}"):
        interval(confidence)


@quickly
@given(st.integers(0, 2**32 - 1), st.integers(3, 30), st.floats(-0.99, 0.99))
def test_the_correlation_is_pearsons(seed: int, n_points: int, correlation: float) -> None:
    rng = np.random.default_rng(seed)
    covariance = [[1.0, correlation], [correlation, 1.0]]
    x, y = rng.multivariate_normal([5.0, -3.0], covariance, size=n_points).T
    estimate = pearson(x, y, np.zeros(n_points))
    assert estimate.value == pytest.approx(stats.pearsonr(x, y).statistic, abs=1e-9)


@quickly
@given(st.integers(0, 2**32 - 1), st.floats(1e-3, 1e3), st.floats(-1e3, 1e3))
def test_the_units_of_measurement_do_not_matter(seed: int, scale: float, shift: float) -> None:
    x, y, clusters = correlated_clusters(np.random.default_rng(seed), 6, shared=0.5)
    before = pearson(x, y, clusters, n_resamples=200)
    after = pearson(scale * x + shift, y, clusters, n_resamples=200)
    assert after == pytest.approx(before, abs=1e-6)


@pytest.mark.parametrize("n_points", [1, 2, 5])
@pytest.mark.parametrize("n_clusters", [5, 6, 9])
def test_a_correlation_and_its_limits_lie_between_minus_one_and_one(
    n_clusters: int, n_points: int
) -> None:
    rng = np.random.default_rng(0)
    clusters = np.repeat(np.arange(n_clusters), n_points)
    for _ in range(20):
        x, y = rng.normal(size=(2, len(clusters)))
        estimate = pearson(x, y, clusters, n_resamples=500)
        assert -1 - 1e-9 <= estimate.ci_low <= estimate.ci_high <= 1 + 1e-9
        assert -1 <= estimate.value <= 1


def test_the_interval_of_a_correlation_holds_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    estimates = [
        pearson(*correlated_clusters(rng, 60, shared=0.5), n_resamples=400) for _ in range(400)
    ]
    held = np.mean([estimate.ci_low <= 0.5 <= estimate.ci_high for estimate in estimates])
    assert held == pytest.approx(0.95, abs=0.04)


def test_an_interval_that_takes_points_for_independent_is_too_narrow() -> None:
    rng = np.random.default_rng(0)
    held = []
    for _ in range(300):
        x, y, _ = correlated_clusters(rng, 30, shared=0.95)
        estimate = pearson(x, y, np.arange(len(x)), n_resamples=200)
        held.append(estimate.ci_low <= 0.5 <= estimate.ci_high)
    assert np.mean(held) < 0.8


def test_points_that_move_together_say_less() -> None:
    x, y, clusters = correlated_clusters(np.random.default_rng(0), 30, shared=0.95)
    together, alone = pearson(x, y, clusters), pearson(x, y, np.arange(len(x)))
    assert together.value == pytest.approx(alone.value)
    assert width(together) > 1.5 * width(alone)


def test_points_that_only_share_a_name_say_as_much_as_if_alone() -> None:
    x, y, clusters = correlated_clusters(np.random.default_rng(0), 100, shared=0.0)
    together, alone = pearson(x, y, clusters), pearson(x, y, np.arange(len(x)))
    assert width(together) == pytest.approx(width(alone), rel=0.2)


def test_more_confidence_needs_a_wider_interval() -> None:
    x, y, clusters = correlated_clusters(np.random.default_rng(0), 20, shared=0.5)
    widths = [width(pearson(x, y, clusters, confidence=c)) for c in (0.5, 0.8, 0.95, 0.99)]
    assert widths == sorted(set(widths))


@pytest.mark.parametrize("n_clusters", [1, 2, 4])
def test_few_clusters_give_no_interval(n_clusters: int) -> None:
    x, y, _ = correlated_clusters(np.random.default_rng(0), 4, shared=0.5)
    estimate = pearson(x, y, np.arange(20) % n_clusters)
    assert estimate.value == pytest.approx(stats.pearsonr(x, y).statistic)
    assert np.isnan(estimate[1:]).all()


@pytest.mark.parametrize(("n_clusters", "most"), [(5, 0.12), (9, 0.09), (18, 0.08)])
def test_a_correlation_that_is_none_is_seldom_found_among_few_clusters(
    n_clusters: int, most: float
) -> None:
    rng = np.random.default_rng(0)
    found = 0
    for _ in range(400):
        x, y, clusters = correlated_clusters(rng, n_clusters, shared=0.7, correlation=0.0)
        estimate = pearson(x, y, clusters, n_resamples=2000)
        found += estimate.p_value < 0.05
        assert (estimate.p_value < 0.045) <= (not estimate.ci_low <= 0 <= estimate.ci_high)
    assert found / 400 < most


@pytest.mark.parametrize("clusters", ["aaaa", "aabb", "abcd"])
@pytest.mark.parametrize("constant", [1.0, 0.1])
def test_what_does_not_vary_has_no_correlation(constant: float, clusters: str) -> None:
    for x, y in ([constant] * 4, [1, 2, 3, 5]), ([1, 2, 3, 5], [constant] * 4):
        assert np.isnan(pearson(x, y, list(clusters))).all()


def test_points_on_a_line_leave_no_doubt() -> None:
    x = np.arange(12.0)
    clusters = np.repeat(np.arange(6), 2)
    assert pearson(x, 2 * x + 1, clusters)[:3] == pytest.approx((1, 1, 1))
    assert pearson(x, -x, clusters)[:3] == pytest.approx((-1, -1, -1))


def test_the_same_seed_gives_the_same_interval_and_another_seed_nearly_the_same() -> None:
    sample = correlated_clusters(np.random.default_rng(0), 20, shared=0.5)
    first, again, other = (pearson(*sample, random_state=seed) for seed in (1, 1, 2))
    assert first == again
    assert first != other
    assert first == pytest.approx(other, abs=0.02)


def test_the_names_of_the_clusters_do_not_matter() -> None:
    x, y, clusters = correlated_clusters(np.random.default_rng(0), 8, shared=0.5)
    named = np.array(list("abcdefgh"))[clusters]
    assert pearson(x, y, named) == pearson(x, y, clusters)


@pytest.mark.parametrize(
    ("x", "y", "clusters", "shapes"),
    [
        ([1, 2, 3], [1, 2], list("abc"), r"\(3,\), \(2,\) and \(3,\)"),
        ([1, 2, 3], [1, 2, 3], list("ab"), r"\(3,\), \(3,\) and \(2,\)"),
        ([1], [1], ["a"], r"\(1,\), \(1,\) and \(1,\)"),
        ([], [], [], r"\(0,\), \(0,\) and \(0,\)"),
        ([[1, 2]], [[1, 2]], [["a", "b"]], r"\(1, 2\), \(1, 2\) and \(1, 2\)"),
    ],
)
def test_points_that_do_not_match_are_named(x: list, y: list, clusters: list, shapes: str) -> None:
    message = f"x, y and clusters have shapes {shapes}; give three of equal length, at least 2"
    with pytest.raises(ValueError, match=message):
        pearson(x, y, clusters)


@pytest.mark.parametrize(
    ("estimate", "text", "sign"),
    [
        ((0.912, 0.8, 0.961), "0.91 [0.80, 0.96]", "above zero"),
        ((-0.5, -0.75, -0.25), f"{MINUS}0.50 [{MINUS}0.75, {MINUS}0.25]", "below zero"),
        ((0.5, -0.25, 1.25), f"0.50 [{MINUS}0.25, 1.25]", "not distinguishable from zero"),
        ((0.5, 0.0, 1.0), "0.50 [0.00, 1.00]", "not distinguishable from zero"),
        ((0.5, np.nan, np.nan), "0.50 [no interval]", "of unknown sign"),
        ((np.nan, np.nan, np.nan), "not measured here", "of unknown sign"),
        ((0.5, 0.25, 0.75, 0.01), "0.50 [0.25, 0.75]", "above zero"),
        (
            (-0.5, -0.75, -0.25, 0.2),
            f"{MINUS}0.50 [{MINUS}0.75, {MINUS}0.25]",
            "below zero, but not once corrected for all tests",
        ),
    ],
)
def test_an_estimate_can_be_read_out(estimate: tuple[float, ...], text: str, sign: str) -> None:
    assert str(Estimate(*estimate)) == text
    assert Estimate(*estimate).sign == sign


def test_the_p_value_of_a_mean_is_students() -> None:
    values = [0.3, -0.1, 0.4, 0.2]
    expected = stats.ttest_1samp(values, 0).pvalue
    assert mean_interval(values).p_value == pytest.approx(expected)


def test_values_that_are_not_finite_are_named() -> None:
    with pytest.raises(ValueError, match="values holds NaN or infinity"):
        mean_interval([1.0, np.nan])
    with pytest.raises(ValueError, match="x or y holds NaN or infinity"):
        pearson([1.0, np.nan, 2.0], [1.0, 2.0, 3.0], list("abc"))


def test_the_bootstrap_of_many_values_is_the_normal_interval() -> None:
    values = np.random.default_rng(0).exponential(size=2000)
    estimate = bootstrap_mean(values)
    half = 1.96 * stats.sem(values)
    assert estimate.value == pytest.approx(values.mean())
    assert estimate.ci_low == pytest.approx(values.mean() - half, abs=0.005)
    assert estimate.ci_high == pytest.approx(values.mean() + half, abs=0.005)


def test_a_few_kinds_of_values_are_drawn_as_fast_as_they_are_few() -> None:
    scores = np.repeat([0.0, 1 / 3, 1.0], [1_000_000, 500_000, 1_500_000])
    estimate = bootstrap_mean(scores)
    assert width(estimate) == pytest.approx(2 * 1.96 * stats.sem(scores), rel=0.05)


def test_values_of_one_person_say_less_than_as_many_of_many() -> None:
    rng = np.random.default_rng(0)
    people = np.repeat(np.arange(20), 50)
    values = rng.normal(size=20)[people] + 0.1 * rng.normal(size=1000)
    together, alone = bootstrap_mean(values, people), bootstrap_mean(values)
    assert together.value == alone.value
    assert width(together) > 4 * width(alone)
    assert width(together) == pytest.approx(2 * 1.96 / np.sqrt(20), rel=0.4)


@pytest.mark.parametrize("sizes", [(1, 1, 1, 1, 1, 1), (2, 5, 9, 1, 1, 4)])
def test_clusters_of_unequal_size_keep_their_weight(sizes: tuple[int, ...]) -> None:
    clusters = np.repeat(np.arange(6), sizes)
    values = clusters.astype(float)
    estimate = bootstrap_mean(values, clusters, n_resamples=40_000)
    draws = np.random.default_rng(1).integers(6, size=(40_000, 6))
    weights = np.array(sizes)[draws]
    means = (weights * draws).sum(axis=1) / weights.sum(axis=1)
    tail = stats.norm.cdf(np.sqrt(6 / 5) * stats.t.ppf(0.025, 5))
    assert estimate[1:3] == pytest.approx(np.quantile(means, [tail, 1 - tail]), abs=0.15)


@pytest.mark.parametrize("clusters", ["aaaaa", "abcda"])
def test_a_mean_of_few_clusters_has_no_interval(clusters: str) -> None:
    estimate = bootstrap_mean([1.0, 2.0, 3.0, 4.0, 5.0], list(clusters))
    assert estimate.value == 3.0
    assert np.isnan(estimate[1:]).all()


def test_triplets_that_share_an_object_vary_together() -> None:
    rng = np.random.default_rng(0)
    triplets = np.array([rng.choice(8, 3, replace=False) for _ in range(60)])
    scores = rng.random(60)
    estimate = mean_over_objects(scores, triplets)
    residuals = scores - scores.mean()
    sets = [set(triplet) for triplet in triplets.tolist()]
    shares = [np.mean([i in three for three in sets]) for i in range(8)]
    variance = 0.0
    for t, u in product(range(60), repeat=2):
        shared = sets[t] & sets[u]
        enlarged = sum((1 - shares[i]) ** -2 - 1 for i in shared)
        variance += residuals[t] * residuals[u] * (bool(shared) + enlarged)
    half = stats.t.ppf(0.975, 7) * np.sqrt(variance) / 60
    assert estimate.value == pytest.approx(scores.mean())
    assert estimate[1:3] == pytest.approx((scores.mean() - half, scores.mean() + half))


@pytest.mark.parametrize(("n_objects", "n_triplets"), [(15, 300), (60, 300), (60, 2000)])
def test_an_interval_over_objects_holds_the_truth_about_as_often_as_it_says(
    n_objects: int, n_triplets: int
) -> None:
    """Spaces of noise are right by chance; their triplets share objects."""
    rng = np.random.default_rng(0)
    held = {"triplets": [], "objects": []}
    for _ in range(400):
        space, human = rng.normal(size=(2, n_objects, 3))
        similarity = -np.linalg.norm(human[:, None] - human, axis=2)
        judged = triplets_from_similarity(similarity, n_triplets=n_triplets, random_state=rng)
        scores = odd_one_out_scores(space, judged, similarity="euclidean")
        for name, estimate in (
            ("triplets", bootstrap_mean(scores, n_resamples=500)),
            ("objects", mean_over_objects(scores, judged)),
        ):
            held[name].append(estimate.ci_low <= 1 / 3 <= estimate.ci_high)
    assert np.mean(held["objects"]) == pytest.approx(0.95, abs=0.035)
    assert np.mean(held["triplets"]) < np.mean(held["objects"])


def test_an_accuracy_is_tested_against_chance() -> None:
    rng = np.random.default_rng(0)
    triplets = np.array([rng.choice(20, 3, replace=False) for _ in range(300)])
    scores = (rng.random(300) < 1 / 3).astype(float)
    assert mean_over_objects(scores, triplets, against=1 / 3).p_value > 0.05
    assert mean_over_objects(scores, triplets).p_value < 1e-6


def test_the_numbers_of_the_objects_do_not_matter() -> None:
    rng = np.random.default_rng(0)
    triplets = np.array([rng.choice(9, 3, replace=False) for _ in range(50)])
    scores = rng.random(50)
    expected = mean_over_objects(scores, triplets)
    assert mean_over_objects(scores, triplets + (2**63 - 10)) == pytest.approx(expected)


def test_an_object_in_every_triplet_leaves_no_interval() -> None:
    estimate = mean_over_objects([1.0, 0.0], [[0, 1, 2], [0, 3, 4]])
    assert estimate.value == 0.5
    assert np.isnan(estimate[1:]).all()


def test_scores_that_are_not_of_the_triplets_are_named() -> None:
    with pytest.raises(ValueError, match="scores has 2 numbers, but they are of 1; give one each"):
        mean_over_objects([1.0, 0.0], [[0, 1, 2]])


def test_a_difference_of_correlations_is_that_of_both() -> None:
    rng = np.random.default_rng(0)
    x, y, clusters = correlated_clusters(rng, 30, shared=0.5)
    first = rng.random(len(x)) < 0.5
    y = np.where(first, y, -y)
    difference = pearson_difference(x, y, first, clusters)
    both = [stats.pearsonr(x[chosen], y[chosen]).statistic for chosen in (first, ~first)]
    assert difference.value == pytest.approx(both[0] - both[1])
    assert 0 < difference.ci_low < difference.value < difference.ci_high
    assert difference.p_value < 0.01
    other_way = pearson_difference(x, y, ~first, clusters)
    assert other_way.value == pytest.approx(-difference.value)


def test_points_that_belong_together_make_a_difference_surer() -> None:
    """Both correlations rise and fall with the clusters that are drawn."""
    x, y, clusters = correlated_clusters(np.random.default_rng(0), 40, shared=0.9)
    first = np.tile([True, False], len(x))
    x, y, clusters = (np.repeat(values, 2) for values in (x, y, clusters))
    paired = pearson_difference(x, y, first, clusters)
    unpaired = pearson_difference(x, y, first, 2 * clusters + first)
    assert paired[:3] == pytest.approx((0, 0, 0), abs=1e-9)
    assert width(unpaired) > 0.1


def test_a_difference_that_is_none_is_found_about_as_seldom_as_it_says() -> None:
    rng = np.random.default_rng(0)
    p_values = []
    for _ in range(300):
        x, y, clusters = correlated_clusters(rng, 40, shared=0.5)
        first = rng.random(len(x)) < 0.5
        p_values.append(pearson_difference(x, y, first, clusters, n_resamples=400).p_value)
    assert np.mean(np.array(p_values) < 0.05) == pytest.approx(0.05, abs=0.04)


@pytest.mark.parametrize(
    "first", [[True] * 4, [False] * 4, [True, False, False, False], [1, 0, 1, 0], [True, False]]
)
def test_a_choice_of_points_that_is_none_is_named(first: list) -> None:
    with pytest.raises(ValueError, match=r"first has shape .*; give a boolean for each point"):
        pearson_difference([1, 2, 3, 4], [1, 2, 3, 5], first, list("abab"))


def test_correction_makes_no_test_more_certain() -> None:
    p_values = np.array([0.001, 0.02, np.nan, 0.04, 0.5])
    adjusted = corrected(p_values)
    assert np.isnan(adjusted[2])
    tested = np.isfinite(p_values)
    assert (adjusted[tested] >= p_values[tested]).all()
    harmonic = 1 + 1 / 2 + 1 / 3 + 1 / 4
    assert adjusted[0] == pytest.approx(0.001 * 4 * harmonic)
    assert np.isnan(corrected([np.nan])).all()


def test_explained_variance_is_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    y = 1e6 + rng.normal(size=30)
    predicted = y + rng.normal(size=30)
    assert r_squared(y, predicted).value == pytest.approx(r2_score(y, predicted))


def test_the_interval_of_explained_variance_holds_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    held = 0
    for trial in range(300):
        y = rng.normal(size=40)
        estimate = r_squared(y, y + rng.normal(size=40) / 2, n_resamples=1000, random_state=trial)
        held += estimate.ci_low <= 0.75 <= estimate.ci_high
    assert 0.90 < held / 300 < 0.99


def test_predictions_of_one_object_count_as_one() -> None:
    rng = np.random.default_rng(0)
    y = rng.normal(size=15)
    predicted = y + rng.normal(size=15)
    alone = r_squared(y, predicted)
    repeated = r_squared(np.tile(y, 4), np.tile(predicted, 4), np.tile(np.arange(15), 4))
    assert repeated == pytest.approx(alone)
    assert r_squared(np.tile(y, 4), np.tile(predicted, 4)).ci_low > repeated.ci_low


def test_what_does_not_vary_has_no_explained_variance() -> None:
    assert np.isnan(r_squared([2.0] * 6, [1.0] * 6).value)
    assert np.isnan(r_squared([1.0, 2.0, 3.0], [1.0, 2.0, 4.0]).ci_low)  # too few to resample


@pytest.mark.parametrize(
    ("y", "predicted", "clusters", "message"),
    [
        ([1.0, 2.0], [1.0], None, "predicted has 1 numbers, but they are of 2"),
        ([1.0, np.nan], [1.0, 2.0], None, "y holds NaN"),
        ([1.0, 2.0], [1.0, 2.0], ["a"], r"clusters has shape \(1,\); give one each of 2"),
    ],
)
def test_predictions_that_do_not_match_are_named(y, predicted, clusters, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        r_squared(y, predicted, clusters)


@pytest.mark.parametrize("sizes", [(3, 3), (4, 12), (30, 5)])
def test_a_difference_of_means_has_welchs_interval(sizes: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    first, second = rng.normal(1, 1, sizes[0]), rng.normal(0, 3, sizes[1])
    estimate = mean_difference(first, second, confidence=0.9)
    test = stats.ttest_ind(first, second, equal_var=False)
    assert estimate.value == pytest.approx(first.mean() - second.mean())
    assert estimate[1:3] == pytest.approx(tuple(test.confidence_interval(0.9)))
    assert estimate.p_value == pytest.approx(test.pvalue)


def test_a_difference_from_a_single_value_has_no_interval() -> None:
    assert np.isnan(mean_difference([1.0], [2.0, 3.0]).ci_low)
    assert mean_difference([2.0, 2.0], [1.0, 1.0]).ci_low == 1.0
    with pytest.raises(ValueError, match="second holds NaN"):
        mean_difference([1.0], [np.nan])


def test_what_rounds_to_zero_has_no_sign() -> None:
    assert str(Estimate(-0.001, -0.002, 0.001)) == "0.00 [0.00, 0.00]"

"""An interval holds the truth about as often as it says."""

from collections.abc import Callable, Iterable
from itertools import combinations, product
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import r2_score

from convexlib import checks
from convexlib.statistics import (
    FEWEST_POINTS,
    MINUS,
    Estimate,
    corrected,
    cross_validated_mean,
    mean_difference,
    mean_interval,
    mean_over_objects,
    nested_mean,
    pearson,
    pearson_difference,
    r_squared,
)

quickly = settings(deadline=None, max_examples=25)

numbers = st.floats(-1e3, 1e3)

# What 400 to 800 simulations leave open, where more of them would take too long. Of 2,000 or 3,000
# with other seeds, between 93 and 97 % held in most designs that are asked for 0.93; 97.2 % once,
# in one with unequal numbers of seeds.
OPEN = 0.01


def slow_but_the_first(designs: Iterable[tuple]) -> list:
    """Designs to simulate, one of them quickly."""
    return [
        pytest.param(*design, marks=[pytest.mark.slow] * (number > 0))
        for number, design in enumerate(designs)
    ]


SIX_PAIRS = np.repeat(np.arange(6), 2)
SIX_THREES = np.repeat(np.arange(6), 3)


def correlated_clusters(
    rng: np.random.Generator, n_clusters: int, *, shared: float, correlation: float = 0.5
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x, y and cluster of five points a cluster, of whose variance a part is shared."""
    covariance = [[1.0, correlation], [correlation, 1.0]]
    common = rng.multivariate_normal([0.0, 0.0], covariance, size=(n_clusters, 1))
    own = rng.multivariate_normal([0.0, 0.0], covariance, size=(n_clusters, 5))
    points = np.sqrt(shared) * common + np.sqrt(1 - shared) * own
    return *points.reshape(-1, 2).T, np.repeat(np.arange(n_clusters), 5)


def share_that_hold(truth: float, estimates: list[Estimate]) -> float:
    return np.mean([estimate.ci_low <= truth <= estimate.ci_high for estimate in estimates])


def width(estimate: Estimate) -> float:
    return estimate.ci_high - estimate.ci_low


@quickly
@given(st.lists(numbers, min_size=2, max_size=20), st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_the_interval_of_a_mean_is_students(values: list[float], confidence: float) -> None:
    assume(np.ptp(values) > 1e-6)
    estimate = mean_interval(values, confidence=confidence)
    half = stats.t.interval(confidence, len(values) - 1)[1] * stats.sem(values)
    assert estimate.value == pytest.approx(np.mean(values))
    assert estimate.ci_low == pytest.approx(np.mean(values) - half, abs=1e-9)
    assert estimate.ci_high == pytest.approx(np.mean(values) + half, abs=1e-9)


@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_the_test_of_a_mean_is_that_of_scipy(confidence: float) -> None:
    values = [0.3, -0.1, 0.4, 0.2]
    estimate, test = mean_interval(values, confidence=confidence), stats.ttest_1samp(values, 0)
    assert estimate[1:3] == pytest.approx(tuple(test.confidence_interval(confidence)))
    assert estimate.p_value == pytest.approx(test.pvalue)


@pytest.mark.parametrize("n_values", [2, 3, 10])
def test_the_interval_of_a_mean_holds_the_truth_as_often_as_it_says(n_values: int) -> None:
    samples = np.random.default_rng(0).normal(0.6, 0.1, size=(2000, n_values))
    estimates = [mean_interval(values) for values in samples]
    assert 0.93 < share_that_hold(0.6, estimates) < 0.97


def test_a_single_value_has_no_interval() -> None:
    estimate = mean_interval([0.7])
    assert estimate.value == 0.7
    assert np.isnan(estimate[1:]).all()


THREE_TENTHS = 0.1 + 0.2  # is not 0.3, but for rounding
WITHOUT_SCATTER = {
    "mean": lambda: mean_interval([0.5, 0.5, 0.5]),
    "mean of zeros": lambda: mean_interval([0.0, 0.0]),
    "rounded mean": lambda: mean_interval([0.3, THREE_TENTHS, 0.3]),
    "rounded zeros": lambda: mean_interval([0.0, THREE_TENTHS - 0.3, 0.0]),
    "groups": lambda: nested_mean([0.1, 0.5, THREE_TENTHS], list("aab"), over="groups"),
    "members": lambda: nested_mean([0.1, 0.3, THREE_TENTHS], list("abb"), over="members"),
    "difference": lambda: mean_difference([0.3, THREE_TENTHS], [0.5, 0.5, 0.5]),
    "all triplets right": lambda: mean_over_objects(np.ones(4), list(combinations(range(4), 3))),
    "points on a line": lambda: pearson(np.arange(12), 0.1 * np.arange(12), SIX_PAIRS),
    "a falling line": lambda: pearson(np.arange(12), -np.arange(12) / 3, SIX_PAIRS),
    "equal clusters": lambda: pearson(np.tile([1, 2, 4], 6), np.tile([1, 0.3, 2], 6), SIX_THREES),
    "equal correlations": lambda: pearson_difference(
        *np.repeat(correlated_clusters(np.random.default_rng(0), 6, shared=0.5), 2, axis=1)[:2],
        np.tile([True, False], 30),
        np.repeat(np.arange(6), 10),
    ),
    "perfect predictions": lambda: r_squared(np.arange(6) / 10, np.arange(6) * 0.1),
}


@pytest.mark.parametrize("estimate", WITHOUT_SCATTER.values(), ids=WITHOUT_SCATTER)
def test_what_does_not_scatter_does_not_say_how_sure_it_is(
    estimate: Callable[[], Estimate],
) -> None:
    assert np.isfinite(estimate().value)
    assert np.isnan(estimate()[1:]).all()


def test_little_scatter_is_scatter() -> None:
    assert width(mean_interval([0.5, 0.5, 0.5 + 1e-9])) > 0
    assert width(mean_interval([1e6, 1e6 + 1e-3])) > 0


@quickly
@given(st.integers(0, 2**32 - 1), st.integers(FEWEST_POINTS, 30), st.floats(-0.99, 0.99))
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
    before = pearson(x, y, clusters)
    after = pearson(scale * x + shift, y, clusters)
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
        estimate = pearson(x, y, clusters)
        assert -1 - 1e-9 <= estimate.ci_low <= estimate.ci_high <= 1 + 1e-9
        assert -1 <= estimate.value <= 1


class Spread(NamedTuple):
    """Of x and y over models: a trend with depth, and what kinds, seeds and layers add."""

    trend: tuple[float, float]
    kinds: tuple[float, float]  # standard deviation, and the correlation of x and y
    seeds: tuple[float, float]
    layers: tuple[float, float]

    def covariance(self, depth: np.ndarray) -> np.ndarray:
        parts = [np.outer(self.trend, self.trend) * depth.var()]
        parts += [sd**2 * np.array([[1, r], [r, 1]]) for sd, r in self[1:]]
        return sum(parts)

    def correlation(self, depth: np.ndarray) -> float:
        (xx, xy), (_, yy) = self.covariance(depth)
        return xy / np.sqrt(xx * yy)


SPREADS = {
    "a common trend": Spread((1, 1), (0.2, 0), (0.1, 0), (0.15, 0)),
    "nearly a line": Spread((1, 1), (0.08, 0.5), (0.04, 0), (0.06, 0)),
    "nearly a falling line": Spread((1, -1), (0.08, 0), (0.04, 0), (0.06, 0)),
    "a bit of all": Spread((1, 1), (0.4, 0.3), (0.2, 0.3), (0.3, 0.3)),
    "mostly kinds": Spread((0.3, 0.3), (1, 0.5), (0.4, 0.3), (0.3, 0)),
    "kinds nearly on a line": Spread((0.3, 0.3), (1, 0.9), (0.2, 0.9), (0.2, 0.5)),
    "kinds against layers": Spread((1, 1), (1, -0.8), (0.3, 0), (0.2, 0)),
    "none": Spread((0, 0), (0.5, 0), (0.4, 0), (0.5, 0)),
    "none, but a trend of x": Spread((1, 0), (0.3, 0), (0.3, 0), (0.3, 0)),
}


def simulated(
    rng: np.random.Generator,
    spread: Spread,
    depth: np.ndarray,
    seeds: list[int],
    of_kinds: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x, y and kind of one point a layer of each seed of each kind."""

    def drawn(sd: float, correlation: float, *sizes: int) -> np.ndarray:
        x, y = rng.normal(size=(2, *sizes))
        return sd * np.stack([x, correlation * x + np.sqrt(1 - correlation**2) * y], axis=-1)

    kind = np.repeat(np.arange(len(seeds)), seeds)
    of_kinds = drawn(*spread.kinds, len(seeds)) if of_kinds is None else of_kinds
    of_models = of_kinds[kind] + drawn(*spread.seeds, len(kind))
    points = of_models[:, None] + np.outer(depth, spread.trend)
    points = points + drawn(*spread.layers, len(kind), len(depth))
    return *points.reshape(-1, 2).T, np.repeat(kind, len(depth))


DEPTH = np.linspace(0, 1, 7)


KINDS = {"8 kinds": [1] * 8, "12 kinds": [1] * 12, "unbalanced": [1, 2, 3, 1, 2, 3]}
DESIGNS = [*product(SPREADS, ["6 kinds"]), *product(("a common trend", "mostly kinds"), KINDS)]


@pytest.mark.parametrize(("name", "kinds"), slow_but_the_first(DESIGNS))
def test_a_correlation_over_kinds_of_models_holds_for_others(name: str, kinds: str) -> None:
    rng, spread, seeds = np.random.default_rng(0), SPREADS[name], KINDS.get(kinds, [3] * 6)
    estimates = [pearson(*simulated(rng, spread, DEPTH, seeds)) for _ in range(600)]
    assert 0.93 - OPEN <= share_that_hold(spread.correlation(DEPTH), estimates) <= 0.97 + OPEN


@pytest.mark.slow
def test_a_correlation_over_five_kinds_of_models_is_rather_too_careful() -> None:
    for spread in (SPREADS["a common trend"], SPREADS["none"]):
        rng = np.random.default_rng(0)
        estimates = [pearson(*simulated(rng, spread, DEPTH, [1] * 5)) for _ in range(400)]
        assert 0.93 <= share_that_hold(spread.correlation(DEPTH), estimates) <= 0.985


@pytest.mark.slow
def test_an_interval_that_takes_seeds_or_points_for_kinds_is_too_narrow() -> None:
    rng, spread, depth = np.random.default_rng(0), SPREADS["mostly kinds"], np.linspace(0, 1, 5)
    as_kinds, as_seeds, as_points = [], [], []
    for _ in range(300):
        x, y, kind = simulated(rng, spread, depth, [3] * 6)
        as_kinds.append(pearson(x, y, kind))
        as_seeds.append(pearson(x, y, np.arange(len(x)) // 5))
        as_points.append(pearson(x, y, np.arange(len(x))))
    shares = [
        share_that_hold(spread.correlation(depth), estimates)
        for estimates in (as_points, as_seeds, as_kinds)
    ]
    assert shares[0] < 0.5
    assert shares[1] < 0.85
    assert shares[2] > 0.93


def test_the_interval_of_independent_points_is_fishers() -> None:
    for correlation, n_points in product([0.0, 0.6, -0.9], [8, 30]):
        rng = np.random.default_rng(0)
        covariance = [[1, correlation], [correlation, 1]]
        x, y = rng.multivariate_normal([0, 0], covariance, size=n_points).T
        estimate = pearson(x, y, np.arange(n_points))
        expected = stats.pearsonr(x, y).confidence_interval(0.95)
        assert estimate[1:3] == pytest.approx(tuple(expected), abs=0.04)
        assert estimate.p_value == pytest.approx(stats.pearsonr(x, y).pvalue, abs=0.02)


@quickly
@given(st.integers(0, 2**32 - 1), st.floats(-0.9, 0.9), st.sampled_from([0.8, 0.95]))
def test_a_test_finds_something_just_where_the_interval_leaves_out_zero(
    seed: int, correlation: float, confidence: float
) -> None:
    rng = np.random.default_rng(seed)
    x, y, clusters = correlated_clusters(rng, 6, shared=0.5, correlation=correlation)
    first = rng.random(len(x)) < 0.5
    for estimate in (
        pearson(x, y, clusters, confidence=confidence),
        pearson_difference(x, y, first, clusters, confidence=confidence),
        r_squared(x, correlation * y, clusters, confidence=confidence),
        mean_difference(x, y, confidence=confidence),
        nested_mean(x, clusters, over="groups", confidence=confidence),
    ):
        inside = estimate.ci_low <= 0 <= estimate.ci_high
        assert (estimate.p_value >= 1 - confidence) == inside


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


@pytest.mark.parametrize("clusters", ["aaaaaa", "aabbcc", "abcdef"])
@pytest.mark.parametrize("constant", [1.0, 0.1, [0.3, THREE_TENTHS, 0.3, 0.3, 0.3, 0.3]])
def test_what_does_not_vary_has_no_correlation(constant: float | list, clusters: str) -> None:
    same, varied = np.full(6, constant), [1, 2, 3, 5, 8, 13]
    for x, y in (same, varied), (varied, same):
        assert np.isnan(pearson(x, y, list(clusters))).all()


@pytest.mark.parametrize("n_points", range(1, FEWEST_POINTS + 1))
def test_few_points_have_no_correlation(n_points: int) -> None:
    x, y = np.random.default_rng(0).normal(size=(2, n_points))
    assert np.isnan(pearson(x, y, np.arange(n_points)).value) == (n_points < FEWEST_POINTS)


def test_few_points_on_a_side_have_no_difference() -> None:
    x, y, clusters = correlated_clusters(np.random.default_rng(0), 6, shared=0.5)
    for few in (0, 2, FEWEST_POINTS - 1):
        first = np.arange(len(x)) < few
        assert np.isnan(pearson_difference(x, y, first, clusters)).all()
        assert np.isnan(pearson_difference(x, y, ~first, clusters)).all()
    enough = np.arange(len(x)) < FEWEST_POINTS  # but all of one cluster
    assert np.isfinite(pearson_difference(x, y, enough, clusters).value)
    assert np.isnan(pearson_difference(x, y, enough, clusters).ci_low)


def test_which_measure_is_called_x_does_not_matter() -> None:
    x, y, clusters = correlated_clusters(np.random.default_rng(0), 6, shared=0.5)
    assert pearson(x, y, clusters) == pytest.approx(pearson(y, x, clusters))
    mirrored = pearson(-x, y, clusters)
    assert mirrored.ci_low == pytest.approx(-pearson(x, y, clusters).ci_high, abs=0.02)


def test_the_names_of_the_clusters_do_not_matter() -> None:
    x, y, clusters = correlated_clusters(np.random.default_rng(0), 8, shared=0.5)
    named = np.array(list("abcdefgh"))[clusters]
    assert pearson(x, y, named) == pearson(x, y, clusters)


@pytest.mark.parametrize(
    ("estimate", "text"),
    [
        ((0.912, 0.8, 0.961), "0.91 [0.80, 0.96]"),
        ((-0.5, -0.75, -0.25), f"{MINUS}0.50 [{MINUS}0.75, {MINUS}0.25]"),
        ((0.5, -0.25, 1.25), f"0.50 [{MINUS}0.25, 1.25]"),
        ((0.5, np.nan, np.nan), "0.50 [no interval]"),
        ((np.nan, np.nan, np.nan), "not measured here"),
    ],
)
def test_an_estimate_can_be_read_out(estimate: tuple[float, ...], text: str) -> None:
    assert str(Estimate(*estimate)) == text


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


def scores_of_guesses(
    rng: np.random.Generator, n_objects: int, n_triplets: int, *, noise: float | None
) -> tuple[np.ndarray, np.ndarray]:
    """Whether a space finds the odd one out that another has; without noise by chance alone."""
    human, space = rng.normal(size=(2, n_objects, 3))
    if noise is not None:
        space = human + noise * space
    triplets = rng.random((n_triplets, n_objects)).argpartition(3, axis=1)[:, :3]
    pairs = triplets[:, [[0, 1], [0, 2], [1, 2]]]
    odd = [
        np.linalg.norm(points[pairs[..., 0]] - points[pairs[..., 1]], axis=2).argmin(axis=1)
        for points in (human, space)
    ]
    return (odd[0] == odd[1]).astype(float), triplets


@pytest.mark.parametrize(
    ("n_objects", "n_triplets", "noise"),
    slow_but_the_first([*product([15, 60], [300], [None, 0.5]), (60, 1000, None)]),
)
def test_an_interval_over_objects_holds_the_truth_about_as_often_as_it_says(
    n_objects: int, n_triplets: int, noise: float | None
) -> None:
    rng = np.random.default_rng(0)
    with checks.threads(1):  # several wait for each other longer than they count
        estimates = [
            mean_over_objects(*scores_of_guesses(rng, n_objects, n_triplets, noise=noise))
            for _ in range(400)
        ]
    # The mean over as many other samples of objects is as good as the truth.
    truth = 1 / 3 if noise is None else np.mean([estimate.value for estimate in estimates])
    assert 0.93 - OPEN <= share_that_hold(truth, estimates) <= 0.97 + OPEN


def test_an_interval_that_takes_triplets_for_independent_is_too_narrow() -> None:
    rng = np.random.default_rng(0)
    samples = [scores_of_guesses(rng, 60, 2000, noise=None)[0] for _ in range(100)]
    assert share_that_hold(1 / 3, [mean_interval(scores) for scores in samples]) < 0.9


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
    y = y + 0.1 * np.random.default_rng(1).normal(size=len(y))
    paired = pearson_difference(x, y, first, clusters)
    unpaired = pearson_difference(x, y, first, 2 * clusters + first)
    assert width(unpaired) > 3 * width(paired)


HALVES = [
    ("a bit of all", "a bit of all", 0.93),
    ("a common trend", "none, but a trend of x", 0.93),
    ("nearly a line", "nearly a line", 0.93),
    ("mostly kinds", "mostly kinds", 0.93),
    ("none", "none", 0.93),
    # Too sure, as its page says, where kinds make both correlations in different ways.
    ("nearly a line", "a common trend", 0.86),
    ("mostly kinds", "kinds against layers", 0.83),
]


@pytest.mark.parametrize(("first_half", "other_half", "least"), slow_but_the_first(HALVES))
def test_a_difference_of_correlations_holds_for_other_kinds_of_models(
    first_half: str, other_half: str, least: float
) -> None:
    """What is particular to a kind is the same in both halves, but for its size."""
    rng, estimates, seeds = np.random.default_rng(0), [], [3] * 6
    spreads = [SPREADS[half] for half in (first_half, other_half)]
    for _ in range(800):
        own = rng.normal(size=(2, len(seeds)))
        sides = []
        for spread in spreads:
            sd, r = spread.kinds
            of_kinds = sd * np.stack([own[0], r * own[0] + np.sqrt(1 - r**2) * own[1]], axis=1)
            sides.append(simulated(rng, spread, DEPTH, seeds, of_kinds))
        x, y, kind = np.concatenate(sides, axis=1)
        first = np.repeat([True, False], len(x) // 2)
        estimates.append(pearson_difference(x, y, first, kind))
    truth = spreads[0].correlation(DEPTH) - spreads[1].correlation(DEPTH)
    assert least - OPEN <= share_that_hold(truth, estimates) <= 0.97 + OPEN


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


DIMENSIONS = {
    "uniform": lambda rng, n: np.sqrt(12) * rng.random(n),
    "normal": lambda rng, n: rng.normal(size=n),
    "a circle": lambda rng, n: np.sqrt(2) * np.cos(2 * np.pi * rng.random(n)),
    "sparse": lambda rng, n: rng.gamma(0.3, 1 / np.sqrt(0.3), n),
}


@pytest.mark.parametrize(
    ("dimension", "n_objects", "explained"),
    slow_but_the_first(product(DIMENSIONS, [14, 92], [-0.1, 0.75])),
)
def test_explained_variance_over_objects_holds_for_others(
    dimension: str, n_objects: int, explained: float
) -> None:
    """Three models of one object err alike, in part."""
    rng, estimates = np.random.default_rng(0), []
    objects = np.tile(np.arange(n_objects), 3)
    for _ in range(600):
        y = DIMENSIONS[dimension](rng, n_objects)
        errors = rng.normal(size=n_objects) + rng.normal(size=(3, n_objects))
        predicted = y + np.sqrt((1 - explained) / 2) * errors
        estimates.append(r_squared(y[objects], predicted.ravel(), objects))
    assert 0.93 <= share_that_hold(explained, estimates) <= 0.97
    assert max(estimate.ci_high for estimate in estimates) <= 1


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
    assert np.isnan(r_squared([1.0, 2.0, 3.0], [1.0, 2.0, 4.0]).ci_low)  # too few


@pytest.mark.parametrize("sizes", [(3, 3), (4, 12), (30, 5)])
def test_a_difference_of_means_is_students_or_welchs(sizes: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    first, second = rng.normal(1, 1, sizes[0]), rng.normal(0, 3, sizes[1])
    estimate = mean_difference(first, second, confidence=0.9)
    test = stats.ttest_ind(first, second, equal_var=sizes[0] == sizes[1])
    assert estimate.value == pytest.approx(first.mean() - second.mean())
    assert estimate[1:3] == pytest.approx(tuple(test.confidence_interval(0.9)))
    assert estimate.p_value == pytest.approx(test.pvalue)


@pytest.mark.parametrize(
    ("sizes", "spread"), slow_but_the_first(product([(4, 8), (2, 4), (2, 2)], [1.5, 1.0, 2 / 3]))
)
def test_a_difference_of_means_holds_the_truth_about_as_often_as_it_says(
    sizes: tuple[int, int], spread: float
) -> None:
    rng = np.random.default_rng(0)
    estimates = [
        mean_difference(rng.normal(1, 1, sizes[0]), rng.normal(0, spread, sizes[1]))
        for _ in range(10_000)
    ]
    # Least, 92.8 %, where the two of two against four are those that scatter more.
    assert 0.925 <= share_that_hold(1.0, estimates) <= 0.97


def test_a_difference_from_a_single_value_has_no_interval() -> None:
    assert np.isnan(mean_difference([1.0], [2.0, 3.0]).ci_low)
    assert np.isfinite(mean_difference([2.0, 2.0], [1.0, 3.0]).ci_low)


SEEDS = {
    "unbalanced": [1, 2, 3, 1, 2, 3],
    "6 kinds x 3 seeds": [3] * 6,
    "6 kinds x 2 seeds": [2] * 6,
    "2 kinds": [3, 3],
    "12 kinds": [1, 2, 3] * 4,
}


@pytest.mark.parametrize(("design", "of_seeds"), slow_but_the_first(product(SEEDS, [0.3, 1.0])))
def test_a_nested_mean_holds_for_other_kinds_or_for_other_seeds(
    design: str, of_seeds: float
) -> None:
    seeds = SEEDS[design]
    rng, kinds = np.random.default_rng(0), np.repeat(np.arange(len(seeds)), seeds)
    held = {"groups": [], "members": []}
    for _ in range(2000):
        of_kinds = rng.normal(size=len(seeds))
        values = of_kinds[kinds] + of_seeds * rng.normal(size=len(kinds))
        for over, truth in (("groups", 0.0), ("members", of_kinds.mean())):
            estimate = nested_mean(values, kinds, over=over)
            held[over].append(estimate.ci_low <= truth <= estimate.ci_high)
    assert 0.93 <= np.mean(held["groups"]) <= 0.97
    assert 0.93 <= np.mean(held["members"]) <= 0.97


@pytest.mark.slow
def test_kinds_that_scatter_half_as_much_as_others_may_be_pooled() -> None:
    rng, kinds = np.random.default_rng(0), np.repeat(np.arange(6), 3)
    spread = np.linspace(1, 2, 6)[kinds]
    estimates = [
        nested_mean(spread * rng.normal(size=18), kinds, over="members") for _ in range(3000)
    ]
    assert 0.93 <= share_that_hold(0.0, estimates) <= 0.97


def test_seeds_taken_for_kinds_make_a_mean_too_sure() -> None:
    rng, kinds = np.random.default_rng(0), np.repeat(np.arange(6), 3)
    estimates = [
        mean_interval(rng.normal(size=6)[kinds] + 0.3 * rng.normal(size=18)) for _ in range(1000)
    ]
    assert share_that_hold(0.0, estimates) < 0.8


def test_a_nested_mean_counts_each_group_once() -> None:
    values, groups = [1.0, 2.0, 3.0, 8.0], ["a", "a", "a", "b"]
    over_groups = nested_mean(values, groups, over="groups")
    assert over_groups == pytest.approx(mean_interval([2.0, 8.0]))
    over_members = nested_mean(values, groups, over="members")
    half = stats.t.ppf(0.975, 2) * np.sqrt(1 / 3 + 1) / 2
    assert over_members[:3] == pytest.approx((5.0, 5.0 - half, 5.0 + half))


def test_where_the_scatter_is_not_known_a_nested_mean_has_no_interval() -> None:
    one_group = nested_mean([1.0, 2.0, 4.0], ["a", "a", "a"], over="groups")
    single_members = nested_mean([1.0, 2.0, 4.0], ["a", "b", "c"], over="members")
    for estimate in (one_group, single_members):
        assert estimate.value == pytest.approx(7 / 3)
        assert np.isnan(estimate[1:]).all()


def test_what_rounds_to_zero_has_no_sign() -> None:
    assert str(Estimate(-0.001, -0.002, 0.001)) == "0.00 [0.00, 0.00]"


CUBE = np.arange(6.0) ** 3
NAMES = list("abcdef")
WRONG = {
    "no values": (mean_interval, [[]], r"values has shape \(0,\); give a list of one or more"),
    "a table": (mean_interval, [[[1.0, 2.0]]], r"values has shape \(1, 2\); give a list"),
    "a number": (mean_interval, [1.0], r"values has shape \(\); give a list"),
    "values": (mean_interval, [[1.0, np.nan]], "values holds NaN or infinity; leave those out"),
    "second": (mean_difference, [[1.0], [np.nan]], "second holds NaN"),
    "scores": (
        mean_over_objects,
        [[1.0, 0.0], [[0, 1, 2]]],
        r"scores has shape \(2,\); give a list of 1",
    ),
    "x": (pearson, [[], [], []], r"x has shape \(0,\); give a list of one or more"),
    "infinite x": (pearson, [[*CUBE[:5], np.inf], CUBE, NAMES], "x holds NaN or infinity"),
    "points": (pearson, [np.ones((6, 1)), CUBE, NAMES], r"x has shape \(6, 1\); give a list"),
    "y": (pearson, [CUBE, [1, 2], NAMES], r"y has shape \(2,\); give a list of 6"),
    "clusters": (pearson, [CUBE, CUBE, "ab"], r"clusters has shape \(\); give a list of 6"),
    "first": (pearson_difference, [CUBE, CUBE, [True, False], NAMES], r"first has shape \(2,\)"),
    "no choice": (
        pearson_difference,
        [CUBE, CUBE, [1, 0, 1, 0, 1, 0], NAMES],
        "first has dtype int64; give a boolean for each point of x",
    ),
    "predicted": (r_squared, [CUBE, [1.0]], r"predicted has shape \(1,\); give a list of 6"),
    "truth": (r_squared, [[1.0, np.nan], [1.0, 2.0]], "y holds NaN"),
    "objects": (r_squared, [CUBE, CUBE, ["a"]], r"clusters has shape \(1,\); give a list of 6"),
}


@pytest.mark.parametrize(("interval", "arguments", "message"), WRONG.values(), ids=WRONG)
def test_a_wrong_argument_is_named(interval: Callable, arguments: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        interval(*arguments)


@pytest.mark.parametrize("confidence", [95, -0.5])
@pytest.mark.parametrize(
    ("interval", "arguments"),
    [
        (mean_interval, [[1.0]]),
        (mean_difference, [[1.0], [2.0]]),
        (mean_over_objects, [[1.0], [[0, 1, 2]]]),
        (pearson, [[1], [1], [1]]),
        (pearson_difference, [[1], [1], [True], [1]]),
        (r_squared, [[1], [1]]),
    ],
)
def test_a_confidence_that_is_no_share_is_named_even_where_there_is_no_interval(
    interval: Callable, arguments: list, confidence: float
) -> None:
    with pytest.raises(ValueError, match=f"confidence is {confidence}; give a share"):
        interval(*arguments, confidence=confidence)


@pytest.mark.parametrize(
    ("groups", "over", "message"),
    [
        (["a"], "groups", r"groups has shape \(1,\); give a list of 2"),
        (["a", "b"], "seeds", "over is 'seeds'; give 'groups' or 'members'"),
    ],
)
def test_a_nesting_that_is_none_is_named(groups: list[str], over: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        nested_mean([1.0, 2.0], groups, over=over)


def spread(values: np.ndarray) -> list[float]:
    """Of each row, its best third of columns by all other rows, less its worst."""
    third, sums = values.shape[1] // 3, values.sum(axis=0)
    orders = [(sums - row).argsort(kind="stable") for row in values]
    return [
        row[order[-third:]].mean() - row[order[:third]].mean()
        for row, order in zip(values, orders, strict=True)
    ]


@pytest.mark.parametrize("shared", [0.0, 0.05, 0.1])
@pytest.mark.parametrize("n_models", [4, 6, 12])
def test_what_others_told_is_covered_although_they_share_it(n_models: int, shared: float) -> None:
    rng = np.random.default_rng(0)
    concepts = rng.normal(0, shared, 14)

    def drawn() -> list[float]:
        return spread(concepts + rng.normal(0, 0.1, (n_models, 14)))

    truth = np.mean([np.mean(drawn()) for _ in range(1000)])
    estimates = [cross_validated_mean(drawn()) for _ in range(400)]
    held = np.mean([low <= truth <= high for _, low, high, _ in estimates])
    assert 0.91 < held < 0.995

"""How sure is a number? Means, correlations and their intervals."""

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from convexlib import checks

MINUS = "\N{MINUS SIGN}"
SIGNIFICANT = 0.05

_FEWEST = 5  # clusters of which a bootstrap can tell anything
_BLOCK = 2**24  # numbers in memory at a time


class Estimate(NamedTuple):
    """A value with its confidence interval; NaN limits where none can be given.

    `p_value` is that of a two-sided test against zero, corrected where several were made; NaN
    where zero means nothing.
    """

    value: float
    ci_low: float
    ci_high: float
    p_value: float = np.nan

    def __str__(self) -> str:
        """For prose: the value and, in brackets, its interval."""
        if np.isnan(self.value):
            return "not measured here"
        if np.isnan(self.ci_low):
            return f"{self.value:z.2f} [no interval]".replace("-", MINUS)
        text = f"{self.value:z.2f} [{self.ci_low:z.2f}, {self.ci_high:z.2f}]"
        return text.replace("-", MINUS)

    @property
    def sign(self) -> str:
        """For prose: on which side of zero the interval lies, and whether the test agrees."""
        if np.isnan(self.ci_low):
            return "of unknown sign"
        if self.ci_low <= 0 <= self.ci_high:
            return "not distinguishable from zero"
        side = "above zero" if self.ci_low > 0 else "below zero"
        if self.p_value >= SIGNIFICANT:
            return f"{side}, but not once corrected for all tests"
        return side


def mean_interval(values: ArrayLike, *, confidence: float = 0.95) -> Estimate:
    """Mean of independent values, such as one per training seed, with Student's t interval.

    With three seeds a bootstrap knows only ten different samples and is far too narrow; the
    t interval is right for values that scatter normally, and says with its width that there
    are few of them.

    Parameters
    ----------
    values : array-like of shape (n,)
    confidence : float, default=0.95

    Returns
    -------
    Estimate
        With NaN limits for a single value.

    Examples
    --------
    >>> mean_interval([1.0, 2.0, 3.0]).value
    2.0
    """
    values = np.asarray(values, dtype=float)
    _check_sample("values", values)
    _check_confidence(confidence)
    mean = float(values.mean())
    if len(values) == 1:
        return Estimate(mean, np.nan, np.nan)
    return _student(mean, stats.sem(values), len(values) - 1, confidence)


def mean_difference(first: ArrayLike, second: ArrayLike, *, confidence: float = 0.95) -> Estimate:
    """Mean of one group of independent values minus that of another, with Welch's interval.

    Parameters
    ----------
    first, second : array-like of shape (n,)
        The groups may differ in size and in spread.
    confidence : float, default=0.95

    Returns
    -------
    Estimate
        With NaN limits where a group has a single value.

    References
    ----------
    Welch (1947), *The generalization of "Student's" problem when several different population
    variances are involved*, Biometrika 34.

    Examples
    --------
    >>> mean_difference([1.0, 2.0, 3.0], [0.0, 1.0, 2.0]).value
    1.0
    """
    first, second = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    _check_sample("first", first)
    _check_sample("second", second)
    _check_confidence(confidence)
    difference = float(first.mean() - second.mean())
    if min(len(first), len(second)) == 1:
        return Estimate(difference, np.nan, np.nan)
    variances = np.array([values.var(ddof=1) / len(values) for values in (first, second)])
    total = variances.sum()
    weights = variances / total if total > 0 else np.array([1.0, 0.0])
    n_free = 1 / (weights**2 / [len(first) - 1, len(second) - 1]).sum()
    return _student(difference, np.sqrt(total), n_free, confidence)


def bootstrap_mean(
    values: ArrayLike,
    clusters: ArrayLike | None = None,
    *,
    confidence: float = 0.95,
    n_resamples: int = 10_000,
    random_state: int = 0,
) -> Estimate:
    """Mean with a bootstrap interval, for many independent values, such as one per image.

    Parameters
    ----------
    values : array-like of shape (n,)
    clusters : array-like of shape (n,), optional
        What is really sampled, such as the model or the person that a value is of; whole
        clusters are drawn. Each value by itself if not given.
    confidence : float, default=0.95
    n_resamples : int, default=10000
    random_state : int, default=0

    Returns
    -------
    Estimate
        With NaN limits for fewer than five clusters.

    References
    ----------
    Hesterberg (2015), *What teachers should know about the bootstrap*, The American Statistician
    69, section 5, "expanded percentiles".

    Examples
    --------
    >>> print(bootstrap_mean([0.0, 1.0] * 50))
    0.50 [0.40, 0.60]
    """
    values = np.asarray(values, dtype=float)
    _check_sample("values", values, None if clusters is None else len(clusters))
    _check_confidence(confidence)
    if clusters is None:
        # Equal values are interchangeable: what counts is how many of each are drawn.
        kinds, counts = np.unique(values, return_counts=True)
        sums, sizes, n_draws = kinds, np.ones(len(kinds)), len(values)
        shares = counts / n_draws
    else:
        _, codes = np.unique(clusters, return_inverse=True)
        sums, sizes = np.bincount(codes, values), np.bincount(codes)
        n_draws = len(sums)
        shares = np.full(n_draws, 1 / n_draws)
    mean = float(values.mean())
    if n_draws < _FEWEST:
        return Estimate(mean, np.nan, np.nan)
    rng = np.random.default_rng(random_state)
    resampled = []
    for part in np.array_split(np.arange(n_resamples), 1 + n_resamples * len(sums) // _BLOCK):
        draws = rng.multinomial(n_draws, shares, size=len(part))
        resampled.append(draws @ sums / (draws @ sizes))
    return _percentiles(mean, np.concatenate(resampled), n_draws, confidence)


def mean_over_objects(
    scores: ArrayLike, triplets: ArrayLike, *, against: float = 0.0, confidence: float = 0.95
) -> Estimate:
    r"""Mean score of triplets, such as accuracy, with an interval for other objects of the kind.

    Triplets that share an object are not independent. With :math:`e_t` the score of a triplet
    minus the mean, the variance of the mean is

    .. math:: \frac{1}{n^2} \sum_{t, u \text{ share an object}} e_t e_u,

    where the residuals that an object has a share :math:`h` in are enlarged by
    :math:`1 / (1 - h)`, as in the jackknife, since a mean over few objects follows each of them.
    The interval is Student's. A bootstrap over objects would be more than twice as wide as it
    needs to be, since it draws the noise of a triplet three times, once for each object.

    Parameters
    ----------
    scores : array-like of shape (n_triplets,)
        From `judgments.odd_one_out_scores`, or differences of two of these.
    triplets : array-like of int, shape (n_triplets, 3)
    against : float, default=0.0
        What the test takes the mean to be, such as `judgments.CHANCE` for an accuracy.
    confidence : float, default=0.95

    Returns
    -------
    Estimate
        With NaN limits where one object is in every triplet.

    References
    ----------
    Aronow, Samii & Assenova (2015), *Cluster-robust variance estimation for dyadic data*,
    Political Analysis 23, equation 5, here for three; MacKinnon & White (1985), Journal of
    Econometrics 29, for the enlarged residuals ("HC3").

    Examples
    --------
    >>> mean_over_objects([1, 0, 1, 1], [[0, 1, 2], [0, 1, 3], [0, 2, 3], [1, 2, 3]]).value
    0.75
    """
    triplets = checks.triplets(triplets)
    scores = np.asarray(scores, dtype=float)
    _check_sample("scores", scores, len(triplets))
    _check_confidence(confidence)
    mean, n_triplets = float(scores.mean()), len(scores)
    residuals = scores - mean
    # Every two triplets that share one, two or three objects count once: those that share an
    # object, less those that share a pair, which were counted twice, and so on.
    objects, triplets = np.unique(triplets, return_inverse=True)
    triplets = np.sort(triplets.reshape(-1, 3), axis=1)
    shares = np.bincount(triplets.ravel()) / n_triplets
    if shares.max() == 1:
        return Estimate(mean, np.nan, np.nan)
    of_object = np.bincount(triplets.ravel(), np.repeat(residuals, 3)) / (1 - shares)
    pairs = np.concatenate([triplets[:, [0, 1]], triplets[:, [0, 2]], triplets[:, [1, 2]]])
    of_pair = _sums_of_equal_rows(pairs, np.tile(residuals, 3))
    of_three = _sums_of_equal_rows(triplets, residuals)
    variance = (of_object**2).sum() - (of_pair**2).sum() + (of_three**2).sum()
    # By chance it can fall below that of independent triplets, which no sharing lowers.
    error = np.sqrt(max(variance, (residuals**2).sum())) / n_triplets
    return _student(mean, error, len(objects) - 1, confidence, against)


def pearson(
    x: ArrayLike,
    y: ArrayLike,
    clusters: ArrayLike,
    *,
    confidence: float = 0.95,
    n_resamples: int = 100_000,
    random_state: int = 0,
) -> Estimate:
    """Pearson correlation with a bootstrap interval that resamples whole clusters.

    Layers of one model are not independent, nor is a fine-tuned model of the pretrained one it
    came from. Clusters that are independent, such as models trained from different seeds, are
    drawn with replacement, each with all its points; the interval is that of the percentiles,
    expanded for few clusters.

    Parameters
    ----------
    x, y : array-like of shape (n,)
    clusters : array-like of shape (n,)
        What each point belongs to.
    confidence : float, default=0.95
    n_resamples : int, default=100000
    random_state : int, default=0

    Returns
    -------
    Estimate
        With NaN limits for fewer than five clusters, and a NaN value where x or y is constant.

    References
    ----------
    Field & Welsh, *Bootstrapping clustered data*, Journal of the Royal Statistical Society B 69
    (2007), "cluster bootstrap"; Hesterberg (2015), as in `bootstrap_mean`.

    Examples
    --------
    >>> round(pearson([1, 2, 3, 4], [1, 2, 3, 5], list("aabb")).value, 3)
    0.983
    """
    of_cluster = _moments(x, y, clusters, np.ones(np.shape(x), dtype=bool))
    return _bootstrapped(of_cluster, _correlation, confidence, n_resamples, random_state)


def pearson_difference(
    x: ArrayLike,
    y: ArrayLike,
    first: ArrayLike,
    clusters: ArrayLike,
    *,
    confidence: float = 0.95,
    n_resamples: int = 100_000,
    random_state: int = 0,
) -> Estimate:
    """Pearson correlation of some points minus that of the others, with its interval.

    As in `pearson`, whole clusters are resampled, so that points of both kinds that belong
    together, such as the early and the late layers of a model, stay together.

    Parameters
    ----------
    x, y : array-like of shape (n,)
    first : array-like of bool, shape (n,)
        Points of the correlation from which that of the others is subtracted.
    clusters : array-like of shape (n,)
    confidence, n_resamples, random_state
        As in `pearson`.

    Returns
    -------
    Estimate
        NaN where x or y is constant among the points of either kind.

    Examples
    --------
    >>> early = [True, True, True, False, False, False]
    >>> pearson_difference([1, 2, 3, 1, 2, 3], [1, 2, 3, 3, 2, 1], early, list("abcabc")).value
    2.0
    """
    first = np.asarray(first)
    if first.dtype != bool or first.shape != np.shape(x) or min(first.sum(), (~first).sum()) < 2:
        raise ValueError(
            f"first has shape {first.shape} and dtype {first.dtype}; give a boolean for each point "
            "of x, and two points of either kind"
        )
    both = np.stack([_moments(x, y, clusters, chosen) for chosen in (first, ~first)])
    return _bootstrapped(
        np.moveaxis(both, 0, 1).reshape(both.shape[1], -1),
        lambda moments: _correlation(moments[..., :6]) - _correlation(moments[..., 6:]),
        confidence,
        n_resamples,
        random_state,
    )


def r_squared(
    y: ArrayLike,
    predicted: ArrayLike,
    clusters: ArrayLike | None = None,
    *,
    confidence: float = 0.95,
    n_resamples: int = 10_000,
    random_state: int = 0,
) -> Estimate:
    r"""Share of the variance of y that predictions explain, with a bootstrap interval.

    .. math:: R^2 = 1 - \frac{\sum_i (y_i - \hat y_i)^2}{\sum_i (y_i - \bar y)^2}

    Below zero where the mean of y would have been the better prediction. Intervals are those of
    `pearson`: clusters are resampled, and percentiles expanded. Predictions are taken as they
    are; that a regression on other data would have made others is no part of the interval.

    Parameters
    ----------
    y, predicted : array-like of shape (n,)
    clusters : array-like of shape (n,), optional
        What is really sampled, such as the object that a value is of; each value by default.
    confidence : float, default=0.95
    n_resamples : int, default=10000
    random_state : int, default=0

    Returns
    -------
    Estimate
        With NaN limits for fewer than five clusters, and a NaN value where y is constant.

    Examples
    --------
    >>> r_squared([1, 2, 3, 4], [1, 2, 3, 5]).value
    0.8
    """
    y, predicted = np.asarray(y, dtype=float), np.asarray(predicted, dtype=float)
    _check_sample("y", y)
    _check_sample("predicted", predicted, len(y))
    clusters = np.arange(len(y)) if clusters is None else np.asarray(clusters)
    if clusters.shape != y.shape:
        raise ValueError(f"clusters has shape {clusters.shape}; give one each of {len(y)} values")
    # Counted from the mean, and in spreads, so that sums of squares keep their digits.
    spread = y.std() or 1.0
    errors, y = (predicted - y) / spread, (y - y.mean()) / spread
    points = np.stack([np.ones_like(y), y, y * y, errors * errors], axis=1)
    of_cluster = _sums_of_clusters(points, clusters)

    def explained(sums: np.ndarray) -> np.ndarray:
        n, y, yy, errors = np.moveaxis(sums, -1, 0)
        total = yy - y * y / n
        return 1 - errors / np.where(total > 1e-12 * n, total, np.nan)

    return _bootstrapped(of_cluster, explained, confidence, n_resamples, random_state)


def corrected(p_values: ArrayLike) -> np.ndarray:
    """P-values corrected for their number: the false discovery rate at which each would count.

    Benjamini and Yekutieli's procedure, which allows tests that depend on each other in any
    way, as those on the same models do. NaN stays NaN and does not count.

    Examples
    --------
    >>> corrected([0.01, 0.04, float("nan")]).round(3)
    array([0.03, 0.06,  nan])
    """
    corrected = np.array(p_values, dtype=float)
    tested = np.isfinite(corrected)
    if tested.any():
        corrected[tested] = stats.false_discovery_control(corrected[tested], method="by")
    return corrected


def _bootstrapped(
    of_cluster: np.ndarray,
    statistic: Callable[[np.ndarray], np.ndarray],
    confidence: float,
    n_resamples: int,
    random_state: int,
) -> Estimate:
    """A statistic of the sum over clusters, and its interval when clusters are resampled."""
    _check_confidence(confidence)
    value = float(statistic(of_cluster.sum(axis=0)))
    n_clusters = len(of_cluster)
    if n_clusters < _FEWEST or np.isnan(value):
        return Estimate(value, np.nan, np.nan)
    draws = _resamples(n_clusters, n_resamples, random_state)
    return _percentiles(value, statistic(draws @ of_cluster), n_clusters, confidence)


@lru_cache(maxsize=2)  # the same for all rows of a table
def _resamples(n_clusters: int, n_resamples: int, random_state: int) -> np.ndarray:
    """How often each cluster is drawn, float64 (n_resamples, n_clusters)."""
    rng = np.random.default_rng(random_state)
    share = np.full(n_clusters, 1 / n_clusters)
    return rng.multinomial(n_clusters, share, size=n_resamples).astype(float)


def _percentiles(value: float, resampled: np.ndarray, n_drawn: int, confidence: float) -> Estimate:
    """Interval and test from resampled values, widened since few clusters vary too little.

    As much as Student's t interval of a mean is wider than the normal one without the usual
    correction of the variance (Hesterberg, 2015, "expanded percentiles").
    """
    # A resample in which nothing varies has no correlation and is passed over.
    resampled = resampled[np.isfinite(resampled)]
    if len(resampled) == 0 or n_drawn < _FEWEST:
        return Estimate(value, np.nan, np.nan)
    wider, n_free = np.sqrt(n_drawn / (n_drawn - 1)), n_drawn - 1
    tail = stats.norm.cdf(wider * stats.t.ppf((1 - confidence) / 2, n_free))
    low, high = np.quantile(resampled, [tail, 1 - tail])
    rarer = min((resampled <= 0).sum(), (resampled >= 0).sum())
    one_sided = min(0.5, (1 + rarer) / (1 + len(resampled)))
    p_value = 2 * stats.t.cdf(stats.norm.ppf(one_sided) / wider, n_free)
    return Estimate(value, float(low), float(high), float(p_value))


def _sums_of_equal_rows(rows: np.ndarray, values: np.ndarray) -> np.ndarray:
    keys = rows[:, 0]
    for column in rows.T[1:]:
        keys = np.unique(keys, return_inverse=True)[1] * (rows.max() + 1) + column
    return np.bincount(np.unique(keys, return_inverse=True)[1], values)


def _student(
    mean: float, error: float, n_free: int, confidence: float, against: float = 0.0
) -> Estimate:
    """Student's t interval and test."""
    half = stats.t.ppf(0.5 + confidence / 2, n_free) * error
    # Values that are all the same leave no doubt.
    p_value = 2 * stats.t.sf(abs(mean - against) / error, n_free) if error > 0 else mean == against
    return Estimate(mean, float(mean - half), float(mean + half), float(p_value))


def _sums_of_clusters(points: np.ndarray, clusters: ArrayLike) -> np.ndarray:
    """Sums over the points of each cluster, (n_clusters, n_columns)."""
    _, codes = np.unique(np.asarray(clusters), return_inverse=True)
    sums = np.zeros((codes.max() + 1, points.shape[1]))
    np.add.at(sums, codes, points)
    return sums


def _moments(x: ArrayLike, y: ArrayLike, clusters: ArrayLike, chosen: np.ndarray) -> np.ndarray:
    """Sums of 1, x, y, x², y² and xy over the chosen points of each cluster, (n_clusters, 6)."""
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    if x.ndim != 1 or not x.shape == y.shape == np.shape(clusters) or len(x) < 2:
        raise ValueError(
            f"x, y and clusters have shapes {x.shape}, {y.shape} and {np.shape(clusters)}; "
            "give three of equal length, at least 2"
        )
    if not np.isfinite([x, y]).all():
        raise ValueError("x or y holds NaN or infinity; leave those points out")
    x, y = _standardized(x, chosen), _standardized(y, chosen)
    points = np.stack([np.ones_like(x), x, y, x * x, y * y, x * y], axis=1)
    return _sums_of_clusters(points * chosen[:, None], clusters)


def _correlation(moments: np.ndarray) -> np.ndarray:
    """Correlation from the sums of 1, x, y, x², y² and xy along the last axis."""
    n, x, y, xx, yy, xy = np.moveaxis(moments, -1, 0)
    # Variances of standardised values that are nothing but rounding error count as zero.
    spread_x, spread_y = (n * ss - s * s for ss, s in ((xx, x), (yy, y)))
    varies = np.minimum(spread_x, spread_y) > 1e-12 * n * n
    spread = np.sqrt(np.where(varies, spread_x * spread_y, np.nan))
    return np.clip((n * xy - x * y) / spread, -1, 1)


def _standardized(x: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    spread = x[chosen].std()
    return (x - x[chosen].mean()) / (spread if spread > 0 else 1.0)


def _check_sample(name: str, values: np.ndarray, n: int | None = None) -> None:
    if values.ndim != 1 or len(values) == 0:
        raise ValueError(f"{name} has shape {values.shape}; give at least one number")
    if not np.isfinite(values).all():
        raise ValueError(f"{name} holds NaN or infinity; leave those out")
    if n is not None and len(values) != n:
        raise ValueError(f"{name} has {len(values)} numbers, but they are of {n}; give one each")


def _check_confidence(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}; give a share between 0 and 1, such as 0.95")

"""How sure is a number? Means, correlations and their intervals.

An interval says how far off the number may be for others of the kind. Of which kind depends on
the function, and on what it is given:

- other seeds of these very models: `nested_mean` over members, of values grouped by model;
- other models: `nested_mean` over groups, or `mean_interval` and `mean_difference` of one value
  a model, `cross_validated_mean` where it was told by the other models; `pearson` and
  `pearson_difference` with models as clusters. Seeds of a model are not other models, and a
  fine-tuned model belongs to the one that it came from;
- other objects: `mean_over_objects` for triplets, `r_squared` with objects as clusters;
- other people: `mean_interval` of one value a person.

What is called a model here must be independent of the others. Where sizes of one family resemble
each other, families are the groups and the clusters.

Nothing that does not scatter has an interval: three seeds that agree to the last digit do not
say that a fourth would.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import linalg, optimize, special, stats

from convexlib import checks

MINUS = "\N{MINUS SIGN}"

FEWEST_POINTS = 5
"""Points below which a correlation is not given."""
# Of unrelated points two are always at -1 or 1, three most often near there, and four anywhere
# alike: the density of r is proportional to (1 - r^2)^((n - 4) / 2). From five on, a correlation
# near zero is the likeliest where there is none.

FEWEST_CLUSTERS = 5
"""Clusters below which a correlation or a share of variance has no interval."""
# With four, an interval of a correlation still holds the truth, but it reaches over more than half
# of all correlations that there are.

_ROUNDING = 1e-12  # scatter that is none
_N_DRAWS = 5_000
_MOST_NUMBERS = 2**24  # in memory at a time


class Estimate(NamedTuple):
    """A value with its confidence interval; NaN limits where none can be given.

    `p_value` is that of a two-sided test against zero, corrected where several were made; NaN
    where zero means nothing.
    """

    value: float
    ci_low: float = np.nan
    ci_high: float = np.nan
    p_value: float = np.nan

    def __str__(self) -> str:
        """For prose: the value and, in brackets, its interval."""
        return format(self, ".2f")

    def __format__(self, digits: str) -> str:
        """The same in another format, such as ".3f"."""
        if np.isnan(self.value):
            return "not measured here"
        value, low, high = (format(number, f"z{digits or '.2f'}") for number in self[:3])
        return f"{value} [{low}, {high}]".replace("nan, nan", "no interval").replace("-", MINUS)


def mean_interval(values: ArrayLike, *, confidence: float = 0.95) -> Estimate:
    """Mean of independent values, such as one per model or per person, with Student's t interval.

    With three values a bootstrap knows only ten different samples and is far too narrow; the
    t interval is right for values that scatter normally, and says with its width that there
    are few of them.

    Parameters
    ----------
    values : array-like of shape (n,)
    confidence : float, default=0.95

    Returns
    -------
    Estimate
        With NaN limits for a single value, and for values that are all the same.

    Examples
    --------
    >>> mean_interval([1.0, 2.0, 3.0]).value
    2.0
    """
    return nested_mean(values, np.arange(np.size(values)), over="groups", confidence=confidence)


def cross_validated_mean(values: ArrayLike, *, confidence: float = 0.95) -> Estimate:
    r"""Mean of one value a model, for which all other models said what is measured.

    Such as how far the concepts that others judge best are from those that they judge worst. Values
    are not independent, since every two models have heard of almost the same others, and their mean
    scatters more than :math:`s^2 / n`. With the corrected variance

    .. math:: s^2 \left(\frac{1}{n} + \frac{1}{n - 1}\right)

    and Student's t, 4 to 12 models cover 92 to 99 % of what other models give, whether they agree
    on the concepts or not; without the correction, 81 to 95 %.

    Parameters
    ----------
    values : array-like of shape (n,)
    confidence : float, default=0.95

    Returns
    -------
    Estimate
        With NaN limits for a single value, and for values that are all the same.

    References
    ----------
    Nadeau & Bengio (2003), *Inference for the generalization error*, Machine Learning 52: the
    corrected resampled t-test.

    Examples
    --------
    >>> print(cross_validated_mean([0.3, 0.4, 0.5]))
    0.40 [0.01, 0.79]
    """
    values = _numbers("values", values)
    n_free = len(values) - 1
    shares = 1 / len(values) + (1 / n_free if n_free else np.nan)
    error = np.sqrt(_variance(values - values.mean(), n_free) * shares)
    return _student(values.mean(), error, n_free, confidence, abs(values).max())


def nested_mean(
    values: ArrayLike,
    groups: ArrayLike,
    *,
    over: Literal["groups", "members"],
    confidence: float = 0.95,
) -> Estimate:
    """Mean over groups, such as models, of the mean of their members, such as seeds.

    Over groups the interval is Student's of the means of the groups: whatever their members
    add to the scatter is in it already.

    Over members the groups stay as they are, and only the scatter within them counts. It is
    pooled, with as many degrees of freedom as there are members less groups. For 2 or 3 members
    a group, Satterthwaite's degrees of freedom cover 96 to 98 %, since spreads of so few are
    guesses, and groups of one member have none; pooled, 95 % are covered where groups scatter
    alike, and 94 % where the spread doubles from the first group to the last. It is 92 % if
    one group scatters three times as much as all others, or if those of one member are the ones
    that scatter twice as much.

    Parameters
    ----------
    values : array-like of shape (n,)
    groups : array-like of shape (n,)
        What each value is a member of.
    over : {"groups", "members"}
        What else the interval holds for: other groups, or other members of these groups.
    confidence : float, default=0.95

    Returns
    -------
    Estimate
        With NaN limits where nothing is known of the scatter: over groups for a single one, over
        members if no group has two. Also where nothing scatters.

    Raises
    ------
    ValueError
        If `over` is neither.

    Examples
    --------
    >>> print(nested_mean([1.0, 3.0, 6.0, 8.0], list("aabb"), over="members"))
    4.50 [1.46, 7.54]
    """
    values = _numbers("values", values)
    groups = _list("groups", groups, len(values))
    if over not in ("groups", "members"):
        raise ValueError(f"over is {over!r}; give 'groups' or 'members'")
    _, codes, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    means = np.bincount(codes, values) / sizes
    n_groups = len(means)
    if over == "groups":
        n_free = n_groups - 1
        error = np.sqrt(_variance(means - means.mean(), n_free)) / np.sqrt(n_groups)
    else:
        n_free = len(values) - n_groups
        spread = np.sqrt(_variance(values - means[codes], n_free))
        error = spread * np.sqrt((1 / sizes).sum()) / n_groups
    return _student(means.mean(), error, n_free, confidence, abs(values).max())


def mean_difference(first: ArrayLike, second: ArrayLike, *, confidence: float = 0.95) -> Estimate:
    """Mean of one group of independent values minus that of another, with Student's interval.

    The degrees of freedom are Welch's where the groups differ in size, so that they may differ
    in spread too, and those of the pooled test, `n_1 + n_2 - 2`, where they do not. If one group
    scatters up to 1.5 times as much as the other, 2 values against 2 cover 95 % so (98 % by
    Welch), 2 against 4 cover 92.8 to 96 % (92 to 96 % pooled), 4 against 8 cover 94 to 96 %
    (92 to 97 % pooled). Two values against six cover 90 to 94 %: two say too little of
    their spread.

    Parameters
    ----------
    first, second : array-like of shape (n,)
        The groups may differ in size and in spread.
    confidence : float, default=0.95

    Returns
    -------
    Estimate
        With NaN limits where a group has a single value, or where no value differs from the others
        of its group.

    References
    ----------
    Welch (1947), *The generalization of "Student's" problem when several different population
    variances are involved*, Biometrika 34.

    Examples
    --------
    >>> mean_difference([1.0, 2.0, 3.0], [0.0, 1.0, 2.0]).value
    1.0
    """
    samples = [_numbers("first", first), _numbers("second", second)]
    sizes = np.array([len(sample) for sample in samples])
    variances = [_variance(sample - sample.mean(), len(sample) - 1) for sample in samples] / sizes
    error, n_free = np.sqrt(variances.sum()), sizes.sum() - 2
    if sizes[0] != sizes[1] and error > 0:
        n_free = 1 / ((variances / error**2) ** 2 / (sizes - 1)).sum()
    difference = samples[0].mean() - samples[1].mean()
    return _student(difference, error, n_free, confidence, abs(np.concatenate(samples)).max())


def mean_over_objects(
    scores: ArrayLike, triplets: ArrayLike, *, against: float = 0.0, confidence: float = 0.95
) -> Estimate:
    r"""Mean score of triplets, such as accuracy, with an interval for other objects of the kind.

    Triplets that share an object are not independent. With :math:`e_t` the score of a triplet
    minus the mean, the variance of the mean is

    .. math:: \frac{1}{n^2} \sum_{t, u \text{ share an object}} e_t e_u,

    where the residuals that an object has a share :math:`h` in are enlarged by
    :math:`1 / (1 - h)`, as in the jackknife, since a mean over few objects follows each of them.
    The interval is Student's, and covers 93 to 97 % for 14 objects or more; for 8 it is too careful
    (97 to 98 %). A bootstrap over objects would be more than twice as wide as it
    needs to be, since it draws the noise of a triplet three times, once for each object.

    Parameters
    ----------
    scores : array-like of shape (n_triplets,)
        From `alignment.odd_one_out_scores`, or differences of two of these.
    triplets : array-like of int, shape (n_triplets, 3)
    against : float, default=0.0
        What the test takes the mean to be, such as `alignment.CHANCE` for an accuracy.
    confidence : float, default=0.95

    Returns
    -------
    Estimate
        With NaN limits where one object is in every triplet, or all scores are the same.

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
    scores = _numbers("scores", scores, len(triplets))
    mean, n_triplets = scores.mean(), len(scores)
    residuals = scores - mean
    # Every two triplets that share one, two or three objects count once: those that share an
    # object, less those that share a pair, which were counted twice, and so on.
    objects, triplets = np.unique(triplets, return_inverse=True)
    triplets = np.sort(triplets.reshape(-1, 3), axis=1)
    shares = np.bincount(triplets.ravel()) / n_triplets
    left = np.where(shares < 1, 1 - shares, np.nan)
    i, j, k = triplets.T
    pairs = len(objects) * np.concatenate([i, i, j]) + np.concatenate([j, k, k])
    of_object = np.bincount(triplets.ravel(), np.repeat(residuals, 3)) / left
    of_pair = _sums(pairs, np.tile(residuals, 3))
    of_three = _sums(pairs[:n_triplets] * len(objects) + k, residuals)
    variance = (of_object**2).sum() - (of_pair**2).sum() + (of_three**2).sum()
    # By chance it can fall below that of independent triplets, which no sharing lowers.
    error = np.sqrt(np.maximum(variance, (residuals**2).sum())) / n_triplets
    return _student(mean, error, len(objects) - 1, confidence, abs(scores).max(), against)


def pearson(
    x: ArrayLike, y: ArrayLike, clusters: ArrayLike, *, confidence: float = 0.95
) -> Estimate:
    r"""Pearson correlation of points in clusters, with an interval for other clusters.

    Layers of one model are not independent, nor are its seeds, nor is a fine-tuned model of the
    pretrained one it came from; models are. The covariance of the points is

    .. math:: S = \sum_k w_k W_k + \sum_k w_k (m_k - m) (m_k - m)^\top

    with :math:`w_k` the share of points in cluster k, :math:`W_k` their covariance around their
    mean :math:`m_k`. Either sum is a sample of few clusters, and both are replaced by draws of
    what they may be of all: the first, a mean, by normal draws with its standard error; the
    second by what gives such a sample if the means are normal, as Fisher's interval of
    independent points takes them to be (:math:`\Sigma^* = L T^{-1} T^{-\top} L^\top`, with
    :math:`L L^\top` the sample's covariance and :math:`T T^\top` that of as many standard normal
    points with these shares). The interval holds the middle of the correlations of 10,000 such
    draws; the draws are always the same.

    Where a trend with depth, kinds, seeds and layers add up, 6 to 12 kinds cover 94 to 97 % of
    the correlations of all kinds, also near -1 and 1 and where kinds and layers differ in sign;
    5 kinds, or an unequal number of seeds, 94 to 98 %. It is 91 % for 6 kinds that scatter much
    and as skewed as an exponential, and 92 % where two sizes of each family share half of what
    is particular to them. A jackknife of Fisher's z covers 83 to 96 %, a bootstrap of clusters
    68 to 99 %.

    Parameters
    ----------
    x, y : array-like of shape (n,)
    clusters : array-like of shape (n,)
        What each point belongs to.
    confidence : float, default=0.95

    Returns
    -------
    Estimate
        NaN for fewer than `FEWEST_POINTS` points, or where x or y is constant; with NaN limits
        for fewer than `FEWEST_CLUSTERS` clusters, for points on a line, and for clusters that
        are all the same.

    References
    ----------
    Berger & Sun (2008), *Objective priors for the bivariate normal model*, Annals of Statistics
    36: draws of this kind are exact for the correlation. Weerahandi (1993), *Generalized
    confidence intervals*, Journal of the American Statistical Association 88, for sums.

    Examples
    --------
    >>> round(pearson([1, 2, 3, 4, 5], [1, 2, 3, 5, 4], list("aabbb")).value, 3)
    0.9
    """
    _check_confidence(confidence)
    value, of_cluster = _moments(x, y, clusters, np.ones(np.shape(x), dtype=bool))
    if len(of_cluster) < FEWEST_CLUSTERS or not abs(value) < 1 - _ROUNDING:
        return Estimate(value)
    # Half of the draws take x first, so that it does not matter which is which.
    swapped = of_cluster[:, [0, 2, 1, 4, 3, 5]]
    draws = np.concatenate([_drawn_correlations(sums) for sums in (of_cluster, swapped)])
    if np.ptp(draws) < _ROUNDING:
        return Estimate(value)
    tail = (1 - confidence) / 2
    # Limits are draws themselves, so that they leave out zero just where p says so.
    low, high = (side * np.quantile(side * draws, tail, method="inverted_cdf") for side in (1, -1))
    one_sided = max(min(np.mean(draws <= 0), np.mean(draws >= 0)), 1 / len(draws))
    return Estimate(value, float(low), float(high), float(min(1.0, 2 * one_sided)))


def pearson_difference(
    x: ArrayLike, y: ArrayLike, first: ArrayLike, clusters: ArrayLike, *, confidence: float = 0.95
) -> Estimate:
    """Pearson correlation of some points minus that of the others, with its interval.

    Either correlation has an interval by Fisher's z and Student's t, with the error of the
    jackknife: how much z changes as one cluster after the other is left out. Both are put together
    as Zou does, with the correlation that their changes have, since points of both kinds may
    belong to a cluster, such as the early and the late layers of a model.

    Of the halves of 5 to 12 kinds of models it covers 92.4 to 97 %, whether their correlations are
    the same or not, if what is particular to a kind makes both in about the same way. It is too
    sure where it does not: 86 to 89 % for 6 kinds and 91 % for 12 if one half is nearly a line
    and kinds scatter in the other, or if they correlate by 0.5 in one half and by -0.8 in the
    other.

    Parameters
    ----------
    x, y : array-like of shape (n,)
    first : array-like of bool, shape (n,)
        Points of the correlation from which that of the others is subtracted.
    clusters : array-like of shape (n,)
    confidence : float, default=0.95

    Returns
    -------
    Estimate
        NaN, or with NaN limits, where the points of either kind would be so in `pearson`.

    References
    ----------
    Zou (2007), *Toward using confidence intervals to compare correlations*, Psychological
    Methods 12.

    Examples
    --------
    >>> early = [True] * 5 + [False] * 5
    >>> x, y = [1, 2, 3, 4, 5, 1, 2, 3, 4, 5], [1, 2, 3, 4, 5, 5, 4, 3, 2, 1]
    >>> round(pearson_difference(x, y, early, list("abcdeabcde")).value, 3)
    2.0
    """
    _check_confidence(confidence)
    first = _list("first", first, np.size(x))
    if first.dtype != bool:
        raise ValueError(f"first has dtype {first.dtype}; give a boolean for each point of x")
    r, sides = zip(*(_moments(x, y, clusters, chosen) for chosen in (first, ~first)), strict=True)
    value, n_clusters = r[0] - r[1], min(np.count_nonzero(side[:, 0]) for side in sides)
    if n_clusters < FEWEST_CLUSTERS or np.isnan(value):
        return Estimate(value)
    without_one = np.array([_correlation(side.sum(axis=0) - side) for side in sides])
    off_a_line = (abs(without_one) < 1 - _ROUNDING).all()
    if not off_a_line or np.ptp(without_one[0] - without_one[1]) < _ROUNDING:
        return Estimate(value)
    covariance = np.cov(np.arctanh(without_one), bias=True) * (len(sides[0]) - 1)
    n_free = n_clusters - 1
    t = special.stdtrit(n_free, 0.5 + confidence / 2)
    low, high = value - _reach(r, covariance, -t), value + _reach(r, covariance, t)
    t = _first_zero(lambda t: abs(value) - _reach(r, covariance, -np.sign(value) * t))
    return Estimate(value, float(low), float(high), float(2 * special.stdtr(n_free, -t)))


def r_squared(
    y: ArrayLike,
    predicted: ArrayLike,
    clusters: ArrayLike | None = None,
    *,
    confidence: float = 0.95,
) -> Estimate:
    r"""Share of the variance of y that predictions explain, with its interval.

    .. math:: R^2 = 1 - \frac{\sum_i (y_i - \hat y_i)^2}{\sum_i (y_i - \bar y)^2}

    Below zero where the mean of y would have been the better prediction. The interval, for
    other clusters such as objects, is Student's, with the error of the jackknife: how much
    R-squared changes as one cluster after the other is left out. Predictions are taken as they
    are; that a regression on other data would have made others is no part of the interval.

    Of 14 or 92 objects judged in three ways it covers 94 to 97 %, also of dimensions that few
    objects have; 8 objects do too, and 5 up to 98 %. On the scale of log(1 - R-squared) such a
    sparse dimension has 80 %, and a bootstrap of the objects 60 %.

    Parameters
    ----------
    y, predicted : array-like of shape (n,)
    clusters : array-like of shape (n,), optional
        What is really sampled, such as the object that a value is of; each value by default.
    confidence : float, default=0.95

    Returns
    -------
    Estimate
        With NaN limits for fewer than `FEWEST_CLUSTERS` clusters and for predictions that are all
        right, and a NaN value where y is constant.

    References
    ----------
    Efron & Stein (1981), *The jackknife estimate of variance*, Annals of Statistics 9.

    Examples
    --------
    >>> r_squared([1, 2, 3, 4], [1, 2, 3, 5]).value
    0.8
    """
    y = _numbers("y", y)
    predicted = _numbers("predicted", predicted, len(y))
    clusters = _list("clusters", np.arange(len(y)) if clusters is None else clusters, len(y))
    # Counted from the mean, and in spreads, so that sums of squares keep their digits.
    spread = _spread(y)
    errors, y = (predicted - y) / spread, (y - y.mean()) / spread
    of_cluster = _sums(clusters, np.ones_like(y), y, y * y, errors * errors)
    of_all, n_free, error = of_cluster.sum(axis=0), len(of_cluster) - 1, np.nan
    if len(of_cluster) >= FEWEST_CLUSTERS:
        error = _explained(of_all - of_cluster).std() * np.sqrt(n_free)
    value = _explained(of_all)
    estimate = _student(value, error, n_free, confidence, abs(value))
    return estimate._replace(ci_high=min(estimate.ci_high, 1.0))


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
    corrected[tested] = stats.false_discovery_control(corrected[tested], method="by")
    return corrected


def _variance(deviations: np.ndarray, n_free: int) -> float:
    return (deviations**2).sum() / n_free if n_free else np.nan


def _student(
    mean: float, error: float, n_free: float, confidence: float, largest: float, against: float = 0
) -> Estimate:
    """Student's t interval and test; neither where values up to `largest` do not scatter."""
    _check_confidence(confidence)
    if not error > _ROUNDING * max(1.0, largest):
        return Estimate(float(mean))
    half = special.stdtrit(n_free, 0.5 + confidence / 2) * error
    p_value = 2 * special.stdtr(n_free, -abs(mean - against) / error)
    return Estimate(float(mean), float(mean - half), float(mean + half), float(p_value))


def _explained(sums: np.ndarray) -> np.ndarray:
    """R-squared from the sums of 1, y, y² and squared errors along the last axis."""
    n, y, yy, errors = np.moveaxis(sums, -1, 0)
    total = yy - y * y / n
    return 1 - errors / np.where(total > _ROUNDING * n, total, np.nan)


def _sums(clusters: np.ndarray, *columns: np.ndarray) -> np.ndarray:
    """Sums over the points of each cluster, (n_clusters, n_columns)."""
    _, codes = np.unique(clusters, return_inverse=True)
    return np.stack([np.bincount(codes, column) for column in columns], axis=1)


def _moments(
    x: ArrayLike, y: ArrayLike, clusters: ArrayLike, chosen: np.ndarray
) -> tuple[float, np.ndarray]:
    """Correlation of the chosen points, NaN where they are too few, and what it is made of.

    That is the sums of 1, x, y, x², y² and xy over those of each cluster, (n_clusters, 6).
    """
    x = _numbers("x", x)
    y, clusters = _numbers("y", y, len(x)), _list("clusters", clusters, len(x))
    if np.count_nonzero(chosen) < FEWEST_POINTS:
        return np.nan, np.empty((0, 6))
    x, y = ((v - v[chosen].mean()) / _spread(v[chosen]) * chosen for v in (x, y))
    of_cluster = _sums(clusters, chosen, x, y, x * x, y * y, x * y)
    return float(_correlation(of_cluster.sum(axis=0))), of_cluster


def _correlation(moments: np.ndarray) -> np.ndarray:
    """Correlation from the sums of 1, x, y, x², y² and xy along the last axis."""
    n, x, y, xx, yy, xy = np.moveaxis(moments, -1, 0)
    # Variances of standardised values that are nothing but rounding error count as zero.
    spread_x, spread_y = n * xx - x * x, n * yy - y * y
    varies = np.minimum(spread_x, spread_y) > _ROUNDING * n * n
    spread = np.sqrt(np.where(varies, spread_x * spread_y, np.nan))
    return np.clip((n * xy - x * y) / spread, -1, 1)


def _spread(x: np.ndarray) -> float:
    """Standard deviation, infinite where it is but rounding."""
    return x.std() if x.std() > _ROUNDING * abs(x).max() else np.inf


def _drawn_correlations(of_cluster: np.ndarray) -> np.ndarray:
    """What the correlation may be of points of all clusters, given those of a few."""
    sizes = of_cluster[:, 0]
    shares = sizes / sizes.sum()
    x, y, xx, yy, xy = of_cluster[:, 1:].T / sizes
    within = np.stack([xx - x * x, yy - y * y, xy - x * y], axis=1)
    drawn, steps = _random(tuple(shares.tolist()))
    deviations = (within - shares @ within) * shares[:, None] / np.sqrt(1 - shares @ shares)
    _, root = linalg.polar(deviations)  # symmetric
    xx, yy, xy = (shares @ within + steps @ root).T
    # Between clusters: what has such a covariance if as many normal points have that one.
    known = _triangle(x, y, shares)
    of_x, own = known[0] / drawn[0], known[2] / drawn[2]
    of_y = known[1] / drawn[0] - own * drawn[1] / drawn[0]
    xx, yy, xy = xx + of_x**2, yy + of_y**2 + own**2, xy + of_x * of_y
    spread = np.sqrt(np.maximum(xx, _ROUNDING) * np.maximum(yy, _ROUNDING))
    return np.clip(xy / spread, -1, 1)


@lru_cache(maxsize=16)  # the same for many rows of a table
def _random(shares: tuple[float, ...]) -> tuple[tuple[np.ndarray, ...], np.ndarray]:
    """Draws of the covariance of a standard normal point per cluster, and of three numbers."""
    rng, n_clusters = np.random.default_rng(0), len(shares)
    n_draws = max(1000, min(_N_DRAWS, _MOST_NUMBERS // (2 * n_clusters)))
    points = rng.standard_normal((2, n_draws, n_clusters))
    return _triangle(*points, np.array(shares)), rng.standard_normal((n_draws, 3))


def _triangle(
    x: np.ndarray, y: np.ndarray, shares: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Triangular root of the covariance of x and y along the last axis: xx, yx and yy."""
    x, y = (values - (values @ shares)[..., None] for values in (x, y))
    unbiased = shares / (1 - shares @ shares)
    xx, yy, xy = (x * x) @ unbiased, (y * y) @ unbiased, (x * y) @ unbiased
    root_xx = np.sqrt(xx)
    root_yx = xy / np.where(root_xx > _ROUNDING, root_xx, np.inf)
    return root_xx, root_yx, np.sqrt(np.maximum(yy - root_yx**2, 0))


def _reach(r: np.ndarray, covariance: np.ndarray, t: float) -> float:
    """How far above (t > 0) or below its value the limit of r[0] - r[1] lies (Zou, equation 15).

    The limits of both correlations are those of Fisher's z, whose `covariance` is given.
    """
    errors = np.sqrt(np.diag(covariance))
    first, second = np.tanh(np.arctanh(r) + np.array([t, -t]) * errors) - r
    together = covariance[0, 1] / errors.prod() if errors.all() else 0.0
    return np.sqrt(max(first**2 + second**2 + 2 * together * first * second, 0.0))


def _first_zero(of: Callable[[float], float]) -> float:
    """Where a function that is not negative at zero first falls to it, up to 1,000."""
    ends = 2.0 ** np.arange(-6, 11)
    after = next((end for end in ends if of(end) <= 0), None)
    return optimize.brentq(of, 0, after) if after else np.inf


def _list(name: str, values: ArrayLike, n: int | None = None) -> np.ndarray:
    """An array with one axis, of `n` elements where that is given."""
    values = np.asarray(values)
    if values.shape != (n or max(1, values.size),):
        raise ValueError(f"{name} has shape {values.shape}; give a list of {n or 'one or more'}")
    return values


def _numbers(name: str, values: ArrayLike, n: int | None = None) -> np.ndarray:
    """The same, of finite numbers."""
    values = _list(name, np.asarray(values, dtype=float), n)
    if not np.isfinite(values).all():
        raise ValueError(f"{name} holds NaN or infinity; leave those out")
    return values


def _check_confidence(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}; give a share between 0 and 1, such as 0.95")

"""How sure is a number? Means, correlations and their intervals."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

MINUS = "\N{MINUS SIGN}"


class Estimate(NamedTuple):
    """A value with its confidence interval; NaN limits where none can be given."""

    value: float
    ci_low: float
    ci_high: float

    def __str__(self) -> str:
        """For prose: the value and, in brackets, its interval."""
        if np.isnan(self.value):
            return "not measured here"
        if np.isnan(self.ci_low):
            return f"{self.value:.2f} [no interval]".replace("-", MINUS)
        text = f"{self.value:.2f} [{self.ci_low:.2f}, {self.ci_high:.2f}]"
        return text.replace("-", MINUS)

    @property
    def sign(self) -> str:
        """For prose: on which side of zero the interval lies."""
        if np.isnan(self.ci_low):
            return "of unknown sign"
        if self.ci_low > 0:
            return "above zero"
        return "below zero" if self.ci_high < 0 else "not distinguishable from zero"


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
    if values.ndim != 1 or len(values) == 0:
        raise ValueError(f"values has shape {values.shape}; give at least one number")
    _check_confidence(confidence)
    mean = float(values.mean())
    if len(values) == 1:
        return Estimate(mean, np.nan, np.nan)
    half = stats.t.ppf(0.5 + confidence / 2, len(values) - 1) * stats.sem(values)
    return Estimate(mean, float(mean - half), float(mean + half))


def pearson(
    x: ArrayLike,
    y: ArrayLike,
    clusters: ArrayLike,
    *,
    confidence: float = 0.95,
    n_resamples: int = 10_000,
    random_state: int = 0,
) -> Estimate:
    """Pearson correlation with a bootstrap interval that resamples whole clusters.

    Layers of one model are not independent, nor is a fine-tuned model of the pretrained one it
    came from. Clusters that are independent, such as models trained from different seeds, are
    drawn with replacement, each with all its points; the interval is that of the percentiles.

    Parameters
    ----------
    x, y : array-like of shape (n,)
    clusters : array-like of shape (n,)
        What each point belongs to.
    confidence : float, default=0.95
    n_resamples : int, default=10000
    random_state : int, default=0

    Returns
    -------
    Estimate
        With NaN limits for fewer than two clusters, and a NaN value where x or y is constant.

    Examples
    --------
    >>> round(pearson([1, 2, 3, 4], [1, 2, 3, 5], list("aabb")).value, 3)
    0.983
    """
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    if x.ndim != 1 or not x.shape == y.shape == np.shape(clusters) or len(x) < 2:
        raise ValueError(
            f"x, y and clusters have shapes {x.shape}, {y.shape} and {np.shape(clusters)}; "
            "give three of equal length, at least 2"
        )
    _check_confidence(confidence)
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return Estimate(np.nan, np.nan, np.nan)
    x, y = _standardized(x), _standardized(y)
    _, codes = np.unique(np.asarray(clusters), return_inverse=True)
    moments = np.stack([np.ones_like(x), x, y, x * x, y * y, x * y], axis=1)
    n_clusters = codes.max() + 1
    of_cluster = np.zeros((n_clusters, 6))
    np.add.at(of_cluster, codes, moments)
    value = float(_correlation(of_cluster.sum(axis=0)))
    if n_clusters < 2:
        return Estimate(value, np.nan, np.nan)
    rng = np.random.default_rng(random_state)
    draws = rng.multinomial(n_clusters, np.full(n_clusters, 1 / n_clusters), size=n_resamples)
    resampled = _correlation(draws @ of_cluster)
    tail = 50 * (1 - confidence)
    # A resample in which x or y does not vary has no correlation and is passed over.
    resampled = resampled[np.isfinite(resampled)]
    if len(resampled) == 0:
        return Estimate(value, np.nan, np.nan)
    low, high = np.percentile(resampled, [tail, 100 - tail])
    return Estimate(value, float(low), float(high))


def _correlation(moments: np.ndarray) -> np.ndarray:
    """Correlation from the sums of 1, x, y, x², y² and xy along the last axis."""
    n, x, y, xx, yy, xy = np.moveaxis(moments, -1, 0)
    # Variances of standardised values that are nothing but rounding error count as zero.
    spread_x, spread_y = (n * ss - s * s for ss, s in ((xx, x), (yy, y)))
    varies = np.minimum(spread_x, spread_y) > 1e-12 * n * n
    spread = np.sqrt(np.where(varies, spread_x * spread_y, np.nan))
    return np.clip((n * xy - x * y) / spread, -1, 1)


def _standardized(x: np.ndarray) -> np.ndarray:
    return (x - x.mean()) / x.std()


def _check_confidence(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}; give a share between 0 and 1, such as 0.95")

"""Who is near whom? The graph of nearest neighbours, exact at any size."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numba import njit, prange
from numpy.typing import ArrayLike
from scipy.sparse import csr_array
from scipy.spatial.distance import cdist

from convexlib import checks

TIE = 1e-12  # distances that differ by less than this share of themselves are equal
_BLOCK = 2**24  # distances in memory at a time
_MOST_PAIRS = 10**7  # about 0.5 GB of edges; without ties it is enough for a million rows
_WORTH_A_GPU = 2**31  # multiplications; a few hundredths of a second of a CPU
_CHUNK = 32  # distances that are compared at a time


def neighbor_graph(X: ArrayLike, *, n_neighbors: int = 10, n_jobs: int | None = None) -> csr_array:
    """Symmetric graph of nearest neighbours, weighted by Euclidean distance.

    Two samples share an edge when either is among the `n_neighbors` nearest of the other. All
    samples at the distance of the last of them (to twelve digits) count as well, so that the
    graph does not depend on the order of the rows. Samples at distance zero are neighbours like
    any others.

    The search is exact. Blocks of matrix products in single precision give a lower bound of
    every distance; the samples of the least bounds are ranked by their distances in double
    precision. Where the bounds cannot exclude all others, the search is repeated for that
    sample in double precision and, between near-duplicates, distance by distance.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
    n_neighbors : int, default=10
        Must be smaller than the number of samples.
    n_jobs : int, optional
        Number of threads; all there are by default.

    Returns
    -------
    scipy.sparse.csr_array of shape (n_samples, n_samples)
        Zeros that are stored are edges between duplicates.

    Raises
    ------
    ValueError
        If `X` is not finite or, but for rounding, the same in every row, has too few rows, or
        holds so many duplicates that the graph would not fit in memory.

    References
    ----------
    Tětková et al. (2025), Methods, "Graph convexity".

    Examples
    --------
    >>> import numpy as np
    >>> neighbor_graph(np.array([[0.0], [1.0], [3.0]]), n_neighbors=1).toarray()
    array([[0., 1., 0.],
           [1., 0., 2.],
           [0., 2., 0.]])
    """
    X = checks.features(X)
    n, alike = len(X), checks.alike(X)
    X = X.astype(np.float64)
    if checks.whole(n_neighbors, "n_neighbors", least=1) >= n:
        raise ValueError(f"n_neighbors is {n_neighbors}, but X has {n} rows; give fewer than rows")
    if alike:
        raise checks.Undefined(f"X has the same values in all {n} rows; there is no near and far")
    _, exponent = np.frexp(abs(X).max())
    if exponent > 1000:
        raise ValueError(f"X has values up to {abs(X).max():.0e}; scale it down")
    X = np.ldexp(X, -exponent)  # no square overflows
    with checks.threads(n_jobs):
        low, high = np.concatenate([*_within_limits(_neighbors(X, n_neighbors), n)], axis=1)
        low, high = np.divmod(np.unique(np.minimum(low, high) * n + np.maximum(low, high)), n)
        lengths = np.ldexp(_distances(X, low, high), exponent)
    # Not built by adding sparse matrices: an explicit zero would be dropped.
    ends = np.concatenate([low, high]), np.concatenate([high, low])
    return csr_array((np.tile(lengths, 2), ends), shape=(n, n))


def _within_limits(found: Iterator[np.ndarray], n_samples: int) -> Iterator[np.ndarray]:
    """The pairs as they are found, unless they become too many to hold."""
    n_pairs = 0
    for pairs in found:
        n_pairs += pairs.shape[1]
        if n_pairs > _MOST_PAIRS:
            raise checks.Undefined(
                f"X has more than {_MOST_PAIRS:,} pairs of neighbours; leave out duplicates"
            )
        yield pairs


def _neighbors(X: np.ndarray, n_neighbors: int) -> Iterator[np.ndarray]:
    """Rows and their neighbours, (2, n_pairs), by ever more exact and slower searches."""
    n = len(X)
    rows = np.arange(n)
    n_candidates = 2 * n_neighbors + 6
    if n_candidates < n - 1:
        centred = X - X.mean(axis=0)  # bounds are as tight as the norms are small
        for dtype in (np.float32, np.float64):
            candidates, bounds = _candidates(centred, rows, n_candidates, dtype)
            pairs = np.repeat(rows, n_candidates), candidates.ravel()
            distances = _distances(X, *pairs).reshape(candidates.shape)
            reach = _reach(distances, n_neighbors)
            known = bounds > reach**2
            near = (distances <= reach[:, None]) & known[:, None]
            yield np.stack(pairs)[:, near.ravel()]
            rows = rows[~known]
            if len(rows) == 0:
                return
    for part in np.array_split(rows, 1 + len(rows) * n // _BLOCK):
        distances = cdist(X[part], X)
        distances[np.arange(len(part)), part] = np.inf
        row, neighbor = np.nonzero(distances <= _reach(distances, n_neighbors)[:, None])
        yield np.stack([part[row], neighbor])


def _reach(distances: np.ndarray, n_neighbors: int) -> np.ndarray:
    """How far the neighbours of each row lie at most."""
    return np.partition(distances, n_neighbors - 1, axis=1)[:, n_neighbors - 1] * (1 + TIE)


def _candidates(
    X: np.ndarray, rows: np.ndarray, n_candidates: int, dtype: type
) -> tuple[np.ndarray, np.ndarray]:
    """For each of the rows, the samples with the least lower bounds of the squared distance,
    and a bound that all other samples exceed.

    The rounding error of 2 x·y is below c (|x|² + |y|²) with c the machine precision times the
    number of features and a few roundings more, so that (1 - c) (|x|² + |y|²) - 2 x·y, as
    computed, is below |x - y|².
    """
    precision = np.finfo(dtype)
    rounding = (X.shape[1] + 16) * precision.eps
    half_squares = (1 - rounding) / 2 * np.einsum("ij,ij->i", X, X)
    halves = half_squares.astype(dtype)
    X = X.astype(dtype)
    candidates = np.empty((len(rows), n_candidates), dtype=np.int64)
    bounds = np.empty((len(rows), n_candidates), dtype=dtype)
    n_rows = min(len(rows), max(1, _BLOCK // len(X)))
    parts = [slice(start, start + n_rows) for start in range(0, len(rows), n_rows)]
    if gpu := _gpu(len(rows) * X.size):
        _least_on_gpu(X, halves, rows, parts, candidates, bounds, gpu)
    else:
        products = np.empty((n_rows, len(X)), dtype=dtype)
        for part in parts:
            block = products[: len(rows[part])]
            np.matmul(X[rows[part]], X.T, out=block)
            _keep_least(block, halves, rows[part], candidates[part], bounds[part])
    underflow = X.shape[1] * float(precision.tiny)
    return candidates, 2 * (bounds[:, -1] + half_squares[rows]) - underflow


def _gpu(n_multiplications: int) -> Any:
    """A GPU, where there is one that works, and enough to do for it."""
    if n_multiplications < _WORTH_A_GPU:
        return None
    from convexlib.devices import best

    device = best()
    return device if device.type == "cuda" else None


def _least_on_gpu(
    X: np.ndarray,
    half_squares: np.ndarray,
    rows: np.ndarray,
    parts: Sequence[slice],
    candidates: np.ndarray,
    bounds: np.ndarray,
    device: Any,
) -> None:
    """What `_keep_least` does, for all parts of the rows."""
    import torch

    from convexlib.devices import in_32_bits

    X, half_squares, rows = (torch.from_numpy(a).to(device) for a in (X, half_squares, rows))
    with in_32_bits():
        for part in parts:
            some = rows[part]
            values = half_squares - X[some] @ X.T
            values[torch.arange(len(some)), some] = torch.inf
            least = values.topk(bounds.shape[1], largest=False)
            bounds[part], candidates[part] = (found.cpu().numpy() for found in least)


@njit(parallel=True, cache=True, error_model="numpy")
def _keep_least(products, half_squares, rows, candidates, bounds):
    """For each row x the least of |y|²/2 - x·y over all y but itself, sorted by insertion."""
    last = bounds.shape[1] - 1
    for place in prange(len(rows)):
        row, product = rows[place], products[place]
        kept, bound = candidates[place], bounds[place]
        bound[:] = np.inf
        for start in range(0, len(half_squares), _CHUNK):
            stop = min(start + _CHUNK, len(half_squares))
            worst = bound[last]
            n_less = 0
            for other in range(start, stop):  # without branches, so that many run at a time
                n_less += half_squares[other] - product[other] < worst
            if n_less == 0:
                continue
            for other in range(start, stop):
                value = half_squares[other] - product[other]
                if value < bound[last] and other != row:
                    free = last
                    while free > 0 and bound[free - 1] > value:
                        bound[free], kept[free] = bound[free - 1], kept[free - 1]
                        free -= 1
                    bound[free], kept[free] = value, other


@njit(parallel=True, cache=True, error_model="numpy")
def _distances(X, rows, others):
    """Distance of each pair; the same, to the last bit, whichever of the two comes first."""
    distances = np.empty(len(rows))
    for pair in prange(len(rows)):
        x, y = X[rows[pair]], X[others[pair]]
        total = 0.0
        for feature in range(len(x)):
            total += (x[feature] - y[feature]) ** 2
        distances[pair] = np.sqrt(total)
    return distances

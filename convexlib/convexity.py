"""How convex are the classes of a space? Arrays in, numbers out."""

from typing import Literal

import numpy as np
from numba import njit, prange
from numpy.typing import ArrayLike
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components
from sklearn.neighbors import NearestNeighbors

from convexlib import checks

_NEVER, _DONE = -1, -2  # instead of a place in the heap


def graph_convexity_score(
    X: ArrayLike,
    labels: ArrayLike,
    *,
    n_neighbors: int = 10,
    average: Literal["macro", "micro"] | None = "macro",
) -> float | np.ndarray:
    r"""Graph convexity: do shortest paths between members of a class stay inside the class?

    Two samples share an edge, weighted by their Euclidean distance, when either is among the
    `n_neighbors` nearest of the other. For every ordered pair of distinct members of a class,
    the score is the share of the interior samples of a shortest path that belong to the class:
    1 for an edge, 0 where no path exists. All pairs count; nothing is sampled.

    Of equally short paths, one with the fewest steps counts, and of these one with the most
    members, so that the score depends neither on the order of the samples nor on the number of
    threads. Samples at distance zero are neighbours like any others.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
    labels : array-like of shape (n_samples,)
        Of any hashable kind.
    n_neighbors : int, default=10
        Must be smaller than the number of samples.
    average : {"macro", "micro"} or None, default="macro"
        "macro" is the mean over classes, "micro" the mean over all pairs; None gives the
        score of each class, NaN for a class of one, in sorted order or, where classes cannot
        be sorted, as they first appear.

    Returns
    -------
    float or ndarray of shape (n_classes,)
        In [0, 1].

    Raises
    ------
    ValueError
        If shapes do not fit, `X` is not finite, or no class has two members.

    References
    ----------
    Tětková et al., *On convex decision regions in deep network representations*, Nature
    Communications (2025), Methods, "Graph convexity"; neighbours and averaging as in
    Dorszewski et al. (2024), arXiv 2409.06362, section 3.

    Examples
    --------
    >>> import numpy as np
    >>> line = np.arange(4.0)[:, None]
    >>> graph_convexity_score(line, ["a", "a", "b", "b"], n_neighbors=1)
    1.0
    >>> graph_convexity_score(line, ["a", "b", "a", "b"], n_neighbors=1)
    0.0
    """
    if average not in ("macro", "micro", None):
        raise ValueError(f"average is {average!r}; choose 'macro', 'micro' or None")
    X, codes, sizes = _checked(X, labels, n_neighbors)
    n_pairs = sizes * (sizes - 1)
    graph = neighbor_graph(X, n_neighbors=n_neighbors)
    sums = np.bincount(
        codes,
        weights=_sums_of_scores(
            graph.indptr.astype(np.int64), graph.indices.astype(np.int32), graph.data, codes, sizes
        ),
    )
    scores = np.divide(sums, n_pairs, out=np.full(len(sizes), np.nan), where=n_pairs > 0)
    if average is None:
        return scores
    if average == "micro":
        return float(sums.sum() / n_pairs.sum())
    return float(np.nanmean(scores))


def connected_share(X: ArrayLike, labels: ArrayLike, *, n_neighbors: int = 10) -> float:
    """Share of the pairs of a class that any path of the graph joins, mean over classes.

    It bounds `graph_convexity_score` from above, where pairs without a path count zero: a low
    score can mean that paths leave the class, or that tight clusters lost touch.

    Parameters, errors and the classes that count are those of `graph_convexity_score`.

    Returns
    -------
    float
        In [0, 1].

    Examples
    --------
    >>> import numpy as np
    >>> connected_share(np.array([[0.0], [1.0], [9.0], [10.0]]), list("aaaa"), n_neighbors=1)
    0.3333333333333333
    """
    X, codes, sizes = _checked(X, labels, n_neighbors)
    _, component = connected_components(neighbor_graph(X, n_neighbors=n_neighbors))
    together = np.zeros((len(sizes), component.max() + 1))
    np.add.at(together, (codes, component), 1)
    joined = (together * (together - 1)).sum(axis=1)
    n_pairs = sizes * (sizes - 1)
    return float((joined[n_pairs > 0] / n_pairs[n_pairs > 0]).mean())


def neighbor_graph(X: ArrayLike, *, n_neighbors: int = 10) -> csr_array:
    """Symmetric graph of nearest neighbours, weighted by Euclidean distance.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
    n_neighbors : int, default=10

    Returns
    -------
    scipy.sparse.csr_array of shape (n_samples, n_samples)
        Zeros that are stored are edges between duplicates.
    """
    X = checks.features(X).astype(np.float64)
    X = X - X.mean(axis=0)  # the search loses digits far from the origin
    search = NearestNeighbors(n_neighbors=n_neighbors, algorithm="brute").fit(X)
    neighbors = search.kneighbors(return_distance=False)
    n = len(X)
    rows = np.repeat(np.arange(n), n_neighbors)
    low, high = np.minimum(rows, neighbors.ravel()), np.maximum(rows, neighbors.ravel())
    low, high = np.divmod(np.unique(low * n + high), n)
    # Exact distances: the search expands |x - y|², which loses digits between near-duplicates.
    distances = np.concatenate(
        [
            np.linalg.norm(X[low[part]] - X[high[part]], axis=1)
            for part in np.array_split(np.arange(len(low)), 1 + len(low) * X.shape[1] // 10**7)
        ]
    )
    # Built by sorting, not by adding sparse matrices: an explicit zero would be dropped.
    sources, targets = np.concatenate([low, high]), np.concatenate([high, low])
    order = np.lexsort((targets, sources))
    indptr = np.searchsorted(sources[order], np.arange(n + 1))
    return csr_array(
        (np.tile(distances, 2)[order], targets[order], indptr),
        shape=(n, n),
    )


def _checked(
    X: ArrayLike, labels: ArrayLike, n_neighbors: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """X, the class of each sample as a number, and the size of each class."""
    X = checks.features(X)
    codes = checks.labels(labels, len(X))
    if not 1 <= n_neighbors < len(X):
        raise ValueError(
            f"n_neighbors is {n_neighbors}, but X has {len(X)} rows; choose from 1 to {len(X) - 1}"
        )
    sizes = np.bincount(codes)
    if sizes.max() < 2:
        raise ValueError(f"labels has {len(sizes)} classes of one sample; give a class of two")
    return X, codes, sizes


@njit(parallel=True, cache=True, error_model="numpy")
def _sums_of_scores(indptr, indices, lengths, codes, sizes):
    """For each sample, the sum of the path scores to the other members of its class."""
    sums = np.zeros(len(codes))
    for source in prange(len(codes)):
        sums[source] = _sum_from(source, indptr, indices, lengths, codes, sizes)
    return sums


@njit(cache=True, error_model="numpy")
def _sum_from(source, indptr, indices, lengths, codes, sizes):
    """Dijkstra's algorithm from one sample, stopped once all of its class is reached.

    Samples leave the heap by distance, then by steps. Every edge adds a step, so all that can
    come before a sample on such a path has left the heap before it, also over edges of length
    zero, and `members`, the most members of the class on the way, is final when it leaves.
    """
    n = len(codes)
    distance = np.full(n, np.inf)
    steps = np.zeros(n, dtype=np.int32)
    members = np.zeros(n, dtype=np.int32)  # interior samples of the path that are of the class
    place = np.full(n, _NEVER, dtype=np.int32)  # in the heap
    heap = np.empty(n, dtype=np.int32)
    keys = np.empty(n)  # distances of the samples in the heap, beside them for locality
    heap[0], keys[0], distance[source] = source, 0.0, 0.0
    n_heap = 1
    n_missing = sizes[codes[source]] - 1
    total = 0.0
    while n_heap > 0 and n_missing > 0:
        node, reached = heap[0], keys[0]
        place[node] = _DONE
        n_heap -= 1
        if n_heap > 0:
            _sift_down(heap, keys, place, steps, n_heap)
        passed = members[node]
        if codes[node] == codes[source] and node != source:
            n_missing -= 1
            n_interior = steps[node] - 1
            total += passed / n_interior if n_interior > 0 else 1.0
            passed += 1
        step = steps[node] + 1
        for edge in range(indptr[node], indptr[node + 1]):
            other = indices[edge]
            reach = reached + lengths[edge]
            if place[other] == _DONE or reach > distance[other]:
                continue
            if reach < distance[other] or step < steps[other]:
                distance[other], steps[other], members[other] = reach, step, passed
                if place[other] == _NEVER:
                    place[other] = n_heap
                    n_heap += 1
                _sift_up(heap, keys, place, steps, place[other], other, reach)
            elif step == steps[other] and passed > members[other]:
                members[other] = passed
    return total


@njit(cache=True, error_model="numpy", inline="always")
def _sift_up(heap, keys, place, steps, position, node, key):
    """Move a sample towards the root, from a place that is free for it."""
    while position > 0:
        parent = (position - 1) >> 1
        above = heap[parent]
        if not (key < keys[parent] or (key == keys[parent] and steps[node] < steps[above])):
            break
        heap[position], keys[position], place[above] = above, keys[parent], position
        position = parent
    heap[position], keys[position], place[node] = node, key, position


@njit(cache=True, error_model="numpy", inline="always")
def _sift_down(heap, keys, place, steps, n_heap):
    """Fill the root, just taken, with the sample behind the last one, and restore the order."""
    node, key = heap[n_heap], keys[n_heap]
    position = 0
    while True:
        child = 2 * position + 1
        if child >= n_heap:
            break
        right = child + 1
        if right < n_heap and (
            keys[right] < keys[child]
            or (keys[right] == keys[child] and steps[heap[right]] < steps[heap[child]])
        ):
            child = right
        below = heap[child]
        if not (keys[child] < key or (keys[child] == key and steps[below] < steps[node])):
            break
        heap[position], keys[position], place[below] = below, keys[child], position
        position = child
    heap[position], keys[position], place[node] = node, key, position

"""How convex are the classes of a space? Arrays in, numbers out."""

import warnings
from collections.abc import Hashable, Iterable, Mapping
from typing import Any, Literal, Protocol

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.sparse import csr_array
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from convexlib import checks, shortest_paths
from convexlib.neighbors import neighbor_graph

Average = Literal["macro", "micro"] | None
Pairs = Literal["all", "joined"]

_BLOCK = 2**22  # values of points on segments in memory at a time


class Classifier(Protocol):
    """What predicts the class of each row of X, such as a fitted scikit-learn classifier."""

    def predict(self, X: np.ndarray) -> ArrayLike: ...


def graph_convexity_score(
    X: ArrayLike,
    labels: ArrayLike,
    *,
    n_neighbors: int = 10,
    average: Average = "macro",
    pairs: Pairs = "all",
    n_jobs: int | None = None,
) -> float | pd.Series:
    r"""Graph convexity: do shortest paths between members of a class stay inside the class?

    Two samples share an edge, weighted by their Euclidean distance, when either is among the
    `n_neighbors` nearest of the other (`neighbor_graph`). For every ordered pair of distinct
    members of a class, the score is the share of the interior samples of a shortest path that
    belong to the class: 1 for an edge, 0 where no path exists. All pairs count; nothing is
    sampled.

    Ties follow a rule that does not look at the order of the samples: all samples at the
    distance of the last neighbour are neighbours; of equally short paths, one with the fewest
    steps counts, and of these one with the most members. Lengths are equal when they are the
    same multiple, each edge rounded up, of a small unit: about :math:`2^{-36}` of the median
    edge. A warning says where outliers force a unit that is not small.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
    labels : array-like of shape (n_samples,) or bool of shape (n_samples, n_classes)
        Classes of any hashable kind, one a sample, but neither None nor NaN; or which sample is
        a member of which class (booleans, or 0 and 1), where a sample may belong to several or
        none. Samples of no class take part in the graph.
    n_neighbors : int, default=10
        Must be smaller than the number of samples.
    average : {"macro", "micro"} or None, default="macro"
        "macro" is the mean over classes, "micro" the mean over all pairs; None gives the
        score of each class, a Series with the classes as its index: in the order of the columns,
        sorted, or, where classes cannot be sorted, as they first appear. A class of fewer than
        two members has no pairs: its score is NaN, it is left out of the means, and a warning
        names it.
    pairs : {"all", "joined"}, default="all"
        Of which the score is a mean: "all", as in the paper, where pairs without a path count 0;
        or those alone that a path joins, so that it says how far paths stay inside, and nothing of
        clusters that lost touch. A class without such pairs is NaN.
    n_jobs : int, optional
        Number of threads; all there are by default. The score does not depend on it.

    Returns
    -------
    float or Series
        In [0, 1]; a Series is indexed by class.

    Raises
    ------
    ValueError
        If shapes do not fit, `X` is not finite or, but for rounding, the same in every row, one
        class holds all samples, no class has two members, or a label is None or NaN.

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
    checks.choice(pairs, "pairs", ("all", "joined"))
    X, classes = _checked(X, labels, average)
    with checks.threads(n_jobs):
        neighbors = neighbor_graph(X, n_neighbors=n_neighbors)
        graph = shortest_paths.rank(neighbors, n_neighbors, X)
        sums = shortest_paths.sums_of_shares(graph, [*classes.values()])
    counted = _n_joined(neighbors, classes) if pairs == "joined" else _n_pairs(classes)
    return _mean(sums, counted, classes, average)


def connected_share(
    X: ArrayLike,
    labels: ArrayLike,
    *,
    n_neighbors: int = 10,
    average: Average = "macro",
    n_jobs: int | None = None,
) -> float | pd.Series:
    """Share of the pairs of a class that any path of the graph joins.

    It bounds `graph_convexity_score` from above, where pairs without a path count zero: a low
    score can mean that paths leave the class, or that tight clusters lost touch.

    Parameters, errors and the classes that count are those of `graph_convexity_score`.

    Returns
    -------
    float or Series
        In [0, 1]; a Series is indexed by class.

    Examples
    --------
    >>> import numpy as np
    >>> line = np.array([[0.0], [1.0], [9.0], [10.0]])
    >>> connected_share(line, list("abab"), n_neighbors=1)
    0.0
    """
    X, classes = _checked(X, labels, average)
    joined = _n_joined(neighbor_graph(X, n_neighbors=n_neighbors, n_jobs=n_jobs), classes)
    return _mean(joined.astype(float), _n_pairs(classes), classes, average)


def graph_path(
    X: ArrayLike,
    source: int,
    target: int,
    *,
    members: ArrayLike | None = None,
    n_neighbors: int = 10,
) -> np.ndarray:
    """Shortest path between two samples in the graph of neighbours, to look at or to draw.

    Of equally short paths the one that `graph_convexity_score` counts; where several lead
    through equally few samples and equally many members, any one of them.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
    source, target : int
        Rows of `X`.
    members : array-like of bool, shape (n_samples,), optional
        The samples of the class that both belong to; it matters only where paths tie.
    n_neighbors : int, default=10

    Returns
    -------
    ndarray of int
        Rows of `X` from `source` to `target`, both included; empty where no path exists.

    Examples
    --------
    >>> import numpy as np
    >>> graph_path(np.arange(4.0)[:, None], 0, 3, n_neighbors=1)
    array([0, 1, 2, 3])
    """
    X = checks.features(X)
    for name, row in (("source", source), ("target", target)):
        if checks.whole(row, name, least=0) >= len(X):
            raise ValueError(f"{name} is {row}, but X has rows 0 to {len(X) - 1}")
    members = checks.booleans(np.zeros(len(X)) if members is None else members, "members")
    if members.shape != (len(X),):
        raise ValueError(f"members has shape {members.shape}; give one boolean a row of X")
    graph = shortest_paths.rank(neighbor_graph(X, n_neighbors=n_neighbors), n_neighbors, X)
    return shortest_paths.path(graph, source, target, members)


def euclidean_convexity_score(
    X: ArrayLike,
    labels: ArrayLike,
    classifier: Classifier,
    *,
    n_points: int = 10,
    n_pairs: int = 5000,
    average: Average = "macro",
    random_state: int | np.random.Generator | None = None,
) -> float | pd.Series:
    r"""Euclidean convexity: does a classifier find the class on the way between its members?

    For pairs of members :math:`x, y` of a class, the points

    .. math:: x + \frac{i}{n + 1} (y - x), \qquad i = 1 \dots n

    go through the classifier; the score is the share that it puts in the class.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
    labels : array-like of shape (n_samples,)
        Classes as `classifier` names them.
    classifier : object with a method `predict`
        From points (n, n_features) to classes (n,), such as a fitted scikit-learn classifier
        or the rest of a network behind the layer that `X` comes from.
    n_points : int, default=10
        Points between the two ends, the ends left out.
    n_pairs : int, default=5000
        Pairs a class, drawn without replacement; all where there are no more.
    average : {"macro", "micro"} or None, default="macro"
        As in `graph_convexity_score`; "micro" is the mean over the pairs drawn.
    random_state : int or Generator, optional

    Returns
    -------
    float or Series
        In [0, 1]; a Series is indexed by class.

    Raises
    ------
    ValueError
        As `graph_convexity_score`, or if the classifier does not know a class.
    NotFittedError
        If `classifier` is a scikit-learn estimator that is not fitted.

    References
    ----------
    Tětková et al., *On convex decision regions in deep network representations*, Nature
    Communications (2025), Methods, "Euclidean convexity".

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.neighbors import KNeighborsClassifier
    >>> line, labels = np.array([[0.0], [1.0], [5.0], [9.0]]), ["a", "b", "b", "a"]
    >>> nearest = KNeighborsClassifier(1).fit(line, labels)
    >>> euclidean_convexity_score(line, labels, nearest, average=None)
    a    0.2
    b    1.0
    dtype: float64
    """
    if getattr(labels, "ndim", 1) == 2:
        raise ValueError("labels is a matrix; a classifier needs one label a row")
    n_points = checks.whole(n_points, "n_points", least=1)
    n_pairs = checks.whole(n_pairs, "n_pairs", least=1)
    if not hasattr(classifier, "predict"):
        raise ValueError(f"classifier is {classifier!r}; give an object with a method predict")
    if isinstance(classifier, BaseEstimator):
        check_is_fitted(classifier)
    X, classes = _checked(X, labels, average)
    known = getattr(classifier, "classes_", None)
    if known is not None and (unknown := [name for name in classes if name not in list(known)]):
        raise ValueError(f"classifier does not know {unknown[0]!r}; fit it to the same labels")
    rng = np.random.default_rng(random_state)
    ways = np.arange(1, n_points + 1) / (n_points + 1)
    n_drawn = np.minimum(_n_pairs(classes) // 2, n_pairs)
    sums = np.zeros(len(classes))
    n_at_once = max(1, _BLOCK // (n_points * X.shape[1]))
    seen = set()
    for number, (name, rows) in enumerate(classes.items()):
        pairs = rows[_draw_pairs(len(rows), n_drawn[number], rng)]
        for start in range(0, len(pairs), n_at_once):
            x, y = X[pairs[start : start + n_at_once].T][:, :, None]
            points = (x + ways[:, None] * (y - x)).reshape(-1, X.shape[1])
            predicted = checks.array(classifier.predict(points), "classifier.predict")
            if predicted.shape != (len(points),):
                shapes = f"shape {predicted.shape} for {len(points)} points"
                raise ValueError(f"classifier.predict gave {shapes}; let it give one class a point")
            predicted = predicted.tolist()
            seen.update(predicted)
            sums[number] += sum(class_ == name for class_ in predicted) / n_points
    if seen.isdisjoint(classes):
        other = next(iter(seen))
        raise ValueError(f"labels has no class that classifier predicts, as {other!r}; give such")
    return _mean(sums, n_drawn, classes, average)


def _checked(
    X: ArrayLike, labels: ArrayLike, average: Average
) -> tuple[np.ndarray, Mapping[Hashable, np.ndarray]]:
    """X and the rows of each class."""
    checks.choice(average, "average", ("macro", "micro", None))
    X = checks.features(X)
    classes = checks.classes(labels, len(X))
    small = [name for name, rows in classes.items() if len(rows) < 2]
    if len(small) == len(classes):
        raise ValueError(f"labels has {len(classes)} classes, none of two members; give larger")
    if small:
        shown = ", ".join(repr(name) for name in small[:5]) + (", ..." if len(small) > 5 else "")
        none = f"{len(small)} of {len(classes)} classes have fewer than two members and no score"
        warnings.warn(f"{none}: {shown}", stacklevel=3)
    return X, classes


def _n_pairs(classes: Mapping[Any, np.ndarray]) -> np.ndarray:
    """Ordered pairs of each class."""
    sizes = np.array([len(rows) for rows in classes.values()])
    return sizes * (sizes - 1)


def _n_joined(graph: csr_array, classes: Mapping[Any, np.ndarray]) -> np.ndarray:
    """Ordered pairs of each class that a path joins."""
    parts = shortest_paths.parts(graph)
    sizes = [np.unique(parts[rows], return_counts=True)[1] for rows in classes.values()]
    return np.array([(size * (size - 1)).sum() for size in sizes])


def _mean(
    sums: np.ndarray, n_pairs: np.ndarray, classes: Iterable[Hashable], average: Average
) -> float | pd.Series:
    """From the sum of the scores over the pairs of each class."""
    scores = np.divide(sums, n_pairs, out=np.full(len(sums), np.nan), where=n_pairs > 0)
    if average is not None and not n_pairs.any():
        return float("nan")
    if average == "micro":
        return float(sums.sum() / n_pairs.sum())
    if average == "macro":
        return float(np.nanmean(scores))
    return pd.Series(scores, index=pd.Index([*classes], tupleize_cols=False))


def _draw_pairs(n: int, n_pairs: int, rng: np.random.Generator) -> np.ndarray:
    """Different unordered pairs of n things, (n_pairs, 2), all equally likely."""
    number = rng.choice(n * (n - 1) // 2, n_pairs, replace=False, shuffle=False)
    # Pairs in the order (1, 0), (2, 0), (2, 1), (3, 0): those before row i are i (i - 1) / 2.
    i = ((1 + np.sqrt(1 + 8 * number)) / 2).astype(np.int64)
    return np.stack([i, number - i * (i - 1) // 2], axis=1)

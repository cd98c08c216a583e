"""Which human concepts does a space hold? Arrays in, numbers out."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial.distance import squareform
from sklearn.manifold import MDS
from sklearn.model_selection import KFold

from convexlib import checks
from convexlib.alignment import ROUNDING, ranks

if TYPE_CHECKING:
    from torch import Tensor

# Ridge penalties to choose from: from next to none to next to nothing but the mean.
PENALTIES = np.logspace(-2, 6, 9)
# Into how many parts objects are dealt at most, however many there are.
MOST_FOLDS = 20


class Embedding(NamedTuple):
    """Objects as points, and how badly their distances fit what was judged.

    Attributes
    ----------
    coordinates : ndarray of shape (n_objects, n_dimensions)
    stress : float
        Kruskal's stress-1: 0 where distances have the order of the judgments.
    """

    coordinates: np.ndarray
    stress: float


def nonmetric_mds(similarity: ArrayLike, n_dimensions: int = 2) -> Embedding:
    """Points whose distances have, as nearly as may be, the order of human similarities.

    The search starts from classical scaling, so it is deterministic. The points are centred and
    turned to their principal axes; along each axis the point farthest out is on the positive side.

    Parameters
    ----------
    similarity : array-like of shape (n_objects, n_objects)
        Symmetric and finite; the diagonal does not count.
    n_dimensions : int, default=2

    Returns
    -------
    Embedding

    Raises
    ------
    ValueError
        If the matrix is not square, symmetric and finite, or has too few objects.

    References
    ----------
    Kruskal (1964), *Multidimensional scaling by optimizing goodness of fit to a nonmetric
    hypothesis*, Psychometrika 29. Shepard (1962), Psychometrika 27, found the circle of hues in
    Ekman's judgments this way.

    Examples
    --------
    >>> line = nonmetric_mds([[1, 0.9, 0.1], [0.9, 1, 0.5], [0.1, 0.5, 1]], n_dimensions=1)
    >>> np.argsort(line.coordinates[:, 0]).tolist() in ([0, 1, 2], [2, 1, 0])
    True
    """
    matrices = checks.similarity(similarity)
    n_objects = matrices.shape[1]
    if len(matrices) > 1:
        raise ValueError(f"similarity is of {len(matrices)} people; give their mean")
    if checks.whole(n_dimensions, "n_dimensions", least=1) >= n_objects:
        raise ValueError(f"n_dimensions is {n_dimensions} for {n_objects} objects; give fewer")
    similarities = matrices[0][np.triu_indices(n_objects, k=1)]
    if not np.isfinite(similarities).all():
        raise ValueError("similarity holds NaN or infinity; leave those objects out")
    # Ranks, since the order alone counts. They begin at 1: zeros would be taken for missing.
    ranked = ranks(similarities, ROUNDING * abs(similarities).max())
    distances = squareform(len(ranked) + 1 - ranked)
    options = {"metric": "precomputed", "init": "classical_mds", "n_init": 1}
    scaling = MDS(n_dimensions, metric_mds=False, max_iter=3000, eps=1e-9, **options)
    points = scaling.fit_transform(distances)
    points -= points.mean(axis=0)
    points = points @ np.linalg.svd(points, full_matrices=False)[2].T
    farthest = np.take_along_axis(points, abs(points).argmax(axis=0)[None], axis=0)
    return Embedding(points * np.sign(farthest), float(scaling.stress_))


def predicted_dimensions(
    X: ArrayLike,
    dimensions: ArrayLike,
    *,
    n_folds: int | None = None,
    penalties: ArrayLike = PENALTIES,
    random_state: int = 0,
) -> np.ndarray:
    """Human dimensions of each object, by ridge regression on the other objects.

    Features are standardised; those that are constant but for rounding say nothing. The penalty
    of each dimension is chosen by leave-one-out among the training objects.

    Parameters
    ----------
    X : array-like of shape (n_objects, n_features)
    dimensions : array-like of shape (n_objects, n_dimensions)
        A human embedding, such as VICE, SPoSE or `nonmetric_mds`.
    n_folds : int, optional
        Into how many parts the objects are dealt; by default each object is one, up to
        `MOST_FOLDS`.
    penalties : array-like of float, default=PENALTIES
    random_state : int, default=0

    Returns
    -------
    ndarray of shape (n_objects, n_dimensions)
        `statistics.r_squared` says how good they are.

    Raises
    ------
    ValueError
        If shapes do not fit, values are not finite, or objects are too few for the folds.

    References
    ----------
    Muttenthaler et al. (2022), arXiv 2211.01201, section 5, regression from representations to
    the dimensions of VICE.

    Examples
    --------
    >>> X = np.random.default_rng(0).normal(size=(30, 3))
    >>> predicted = predicted_dimensions(X, X[:, :2] - X[:, 2:])
    >>> bool(abs(predicted - (X[:, :2] - X[:, 2:])).max() < 0.1)
    True
    """
    X = _without_rounding(checks.features(X))
    dimensions = checks.features(dimensions, name="dimensions").astype(np.float64)
    n_objects = len(X)
    if len(dimensions) != n_objects:
        raise ValueError(f"dimensions has {len(dimensions)} rows, but X {n_objects}; give as many")
    n_folds = min(n_objects, MOST_FOLDS) if n_folds is None else n_folds
    if n_objects < 4 or checks.whole(n_folds, "n_folds", least=2) > n_objects:
        raise ValueError(
            f"n_folds is {n_folds} for {n_objects} objects; give 4 objects or more, or fewer folds"
        )
    penalties = np.atleast_1d(checks.numbers(penalties, "penalties").astype(np.float64))
    if not (np.isfinite(penalties) & (penalties > 0)).all() or penalties.size == 0:
        raise ValueError(f"penalties are {penalties.tolist()}; give positive, finite numbers")
    import torch

    from convexlib.devices import best

    of_objects = (torch.from_numpy(array).to(best()) for array in (X, dimensions))
    X, dimensions, predicted = *of_objects, np.empty_like(dimensions)
    for training, test in KFold(n_folds, shuffle=True, random_state=random_state).split(X):
        found = _ridge(X[training], dimensions[training], X[test], penalties.tolist())
        predicted[test] = found.cpu().numpy()
    return predicted


def _ridge(X: "Tensor", Y: "Tensor", X_test: "Tensor", penalties: list[float]) -> "Tensor":
    """Predictions of each column of Y, with the penalty of the least leave-one-out error.

    As by scikit-learn's RidgeCV after a StandardScaler, on a GPU too.
    """
    import torch

    mean, level, std = X.mean(dim=0), Y.mean(dim=0), X.std(dim=0, correction=0)
    std[(X[0] == X).all(dim=0)] = 1
    X, X_test, Y = (X - mean) / std, (X_test - mean) / std, Y - level
    if len(X) < X.shape[1]:  # coefficients lie where the samples do
        span = torch.linalg.qr(X.T)[0]
        X, X_test = X @ span, X_test @ span
    squares, axes = torch.linalg.eigh(X.T @ X)
    squares.clamp_(min=0)  # but for rounding
    X, X_test = X @ axes, X_test @ axes
    products, errors, found = X.T @ Y, [], []
    shrunk = squares[:, None] + torch.tensor(penalties).to(squares)
    leverages = 1 / len(X) + X**2 @ (1 / shrunk)
    for each, leverage in zip(shrunk.T, leverages.T, strict=True):
        coefficients = products / each[:, None]
        left_out = (Y - X @ coefficients) / (1 - leverage)[:, None]
        errors.append((left_out**2).mean(dim=0))
        found.append(X_test @ coefficients)
    chosen = torch.stack(errors).argmin(dim=0)
    return level + torch.stack(found).take_along_dim(chosen[None, None], dim=0)[0]


def _without_rounding(X: np.ndarray) -> np.ndarray:
    """Zero for features that are constant but for rounding: scaling would enlarge the noise."""
    tie = checks.rounding(X.dtype)
    X = X.astype(np.float64)
    noise = np.ptp(X, axis=0) <= tie * abs(X).max(axis=0)
    return np.where(noise, 0, X)


def dominant_dimension(triplets: ArrayLike, dimensions: ArrayLike) -> np.ndarray:
    """Human dimension that says most for the kept pair: where the product of the two is largest.

    Parameters
    ----------
    triplets : array-like of int, shape (n_triplets, 3)
    dimensions : array-like of shape (n_objects, n_dimensions)
        Weights, none below zero, as in VICE and SPoSE; for axes with two ends, see `half_axes`.

    Returns
    -------
    ndarray of int, shape (n_triplets,)
        Column of `dimensions`; -1 where the two share none.

    References
    ----------
    The similarity of SPoSE and VICE is the dot product, a sum of one product a dimension:
    Hebart et al. (2020), Nature Human Behaviour 4, Methods. Muttenthaler et al. (2022), section
    5, sort triplets by dimension.

    Examples
    --------
    >>> dominant_dimension([[0, 1, 2]], [[0.1, 0.9], [0.3, 0.8], [1.0, 0.0]])
    array([1])
    """
    dimensions = checks.features(dimensions, name="dimensions")
    if dimensions.min() < 0:
        raise ValueError(f"dimensions hold {dimensions.min()}, below zero; give half_axes of them")
    triplets = checks.triplets(triplets, len(dimensions))
    dominant = np.empty(len(triplets), dtype=np.int64)
    for rows in np.array_split(np.arange(len(triplets)), 1 + len(triplets) // 50_000):
        first, second, _ = triplets[rows].T
        products = dimensions[first] * dimensions[second]
        dominant[rows] = np.where(products.any(axis=1), products.argmax(axis=1), -1)
    return dominant


def half_axes(dimensions: ArrayLike) -> np.ndarray:
    """Axes with two ends as weights: what lies on the positive side, then what on the negative.

    Parameters
    ----------
    dimensions : array-like of shape (n_objects, n_dimensions)

    Returns
    -------
    ndarray of shape (n_objects, 2 * n_dimensions)

    Examples
    --------
    >>> half_axes([[0.5, -2.0]])
    array([[0.5, 0. , 0. , 2. ]])
    """
    dimensions = checks.features(dimensions, name="dimensions")
    return np.maximum(0, np.concatenate([dimensions, -dimensions], axis=1))


def is_about_category(triplets: ArrayLike, membership: ArrayLike) -> np.ndarray:
    """Which triplets are about which category: both of the kept pair belong to it, the odd not.

    Parameters
    ----------
    triplets : array-like of int, shape (n_triplets, 3)
    membership : array-like of bool, or of 0 and 1, shape (n_objects, n_categories)
        An object may belong to several categories or none.

    Returns
    -------
    ndarray of bool, shape (n_triplets, n_categories)

    Examples
    --------
    >>> is_about_category([[0, 1, 2], [0, 2, 1]], [[True], [True], [False]])
    array([[ True],
           [False]])
    """
    membership = checks.booleans(checks.table(membership, "membership"), "membership")
    first, second, odd = membership[checks.triplets(triplets, len(membership)).T]
    return first & second & ~odd

"""How human are the similarities of a space? Arrays in, numbers out."""

from collections.abc import Iterator
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from convexlib import checks


def odd_one_out_accuracy(
    X: ArrayLike,
    triplets: ArrayLike,
    *,
    similarity: Literal["cosine", "dot"] = "cosine",
) -> float:
    """Share of triplets in which the space picks the same odd one out as people.

    The most similar pair is kept together, the third is odd. When two or three pairs are
    equally most similar (to twelve digits), the triplet counts 1/2 or
    1/3 if the human pair is among them. Chance is 1/3.

    Parameters
    ----------
    X : array-like of shape (n_objects, n_features)
    triplets : array-like of int, shape (n_triplets, 3)
        Rows of `X`; columns 0 and 1 are the pair that people kept together.
    similarity : {"cosine", "dot"}, default="cosine"

    Returns
    -------
    float
        In [0, 1].

    Raises
    ------
    ValueError
        If shapes do not fit, values are not finite or out of range, or a row of `X` is zero
        and has no cosine.

    References
    ----------
    Muttenthaler et al. (2022), arXiv 2211.01201, section 3, "zero-shot odd-one-out accuracy".

    Examples
    --------
    >>> import numpy as np
    >>> X = np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]])
    >>> odd_one_out_accuracy(X, [[0, 1, 2]])
    1.0
    """
    X = checks.features(X).astype(np.float64)
    triplets = checks.triplets(triplets, len(X))
    if similarity not in ("cosine", "dot"):
        raise ValueError(f"similarity is {similarity!r}; choose 'cosine' or 'dot'")
    if similarity == "cosine":
        norms = np.linalg.norm(X, axis=1, keepdims=True)
        if not norms.all():
            row = int(np.argmin(norms))
            raise ValueError(
                f"X row {row} is all zeros and has no cosine; remove it or use similarity='dot'"
            )
        X = X / norms
    S = X @ X.T
    i, j, k = triplets.T
    others = np.stack([S[i, k], S[j, k]])
    ahead = S[i, j] - others
    # Products of equal rows can differ in the last digits.
    tied = abs(ahead) <= 1e-12 * S.diagonal()[triplets].max(axis=1)
    agrees = (ahead > 0) | tied
    return float(np.where(agrees.all(axis=0), 1 / (1 + tied.sum(axis=0)), 0.0).mean())


def object_folds(
    triplets: ArrayLike, n_objects: int, *, n_folds: int, random_state: int = 0
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Split triplets by objects: no test triplet holds an object of a training triplet.

    Objects are dealt at random into `n_folds` parts. Each part in turn gives the test
    triplets, those that lie in it wholly; the other parts together give the training triplets.
    Triplets across the border are in neither.

    Parameters
    ----------
    triplets : array-like of int, shape (n_triplets, 3)
    n_objects : int
    n_folds : int
    random_state : int, default=0

    Yields
    ------
    training, test : ndarrays of shape (n, 3)

    References
    ----------
    Muttenthaler et al. (2022), arXiv 2211.01201, section 4, cross-validation over objects.

    Examples
    --------
    >>> folds = object_folds([[0, 1, 2], [3, 4, 5]], 6, n_folds=2)
    >>> len(list(folds))
    2
    """
    triplets = checks.triplets(triplets, n_objects)
    if not 2 <= n_folds <= n_objects // 3:
        raise ValueError(
            f"n_folds is {n_folds} for {n_objects} objects; give at least 2 folds and 3 objects "
            "a fold, so that every fold holds a triplet"
        )
    order = np.random.default_rng(random_state).permutation(n_objects)
    fold = np.empty(n_objects, dtype=int)
    fold[order] = np.arange(n_objects) % n_folds
    of_triplet = fold[triplets]
    for part in range(n_folds):
        inside = of_triplet == part
        yield triplets[~inside.any(axis=1)], triplets[inside.all(axis=1)]

"""Checks of arguments: one line that names the argument, what was wrong, and the remedy."""

from collections.abc import Hashable, Iterable
from contextlib import suppress

import numpy as np
from numpy.typing import ArrayLike


def features(X: ArrayLike, *, name: str = "X") -> np.ndarray:
    """`X` as a finite float array of shape (n_samples, n_features)."""
    X = np.asarray(X)
    if X.ndim != 2 or 0 in X.shape:
        raise ValueError(
            f"{name} has shape {X.shape}; give a non-empty array (n_samples, n_features)"
        )
    if X.dtype.kind not in "fiub":
        raise ValueError(f"{name} has dtype {X.dtype}; give numbers")
    finite = np.isfinite(X)
    if not finite.all():
        row, column = np.argwhere(~finite)[0]
        raise ValueError(
            f"{name} holds {(~finite).sum()} values that are not finite, the first at row {row}, "
            f"column {column} ({X[row, column]}); remove or replace them"
        )
    return X if X.dtype.kind == "f" else X.astype(float)


def labels(labels: Iterable[Hashable], n_samples: int) -> np.ndarray:
    """Class of each sample as a number, int64 (n_samples,), from labels of any hashable kind.

    Classes are numbered in sorted order or, where they cannot be sorted, as they first appear.
    """
    shape = getattr(labels, "shape", None) or (len(labels := list(labels)),)
    if shape != (n_samples,):
        raise ValueError(
            f"labels has shape {shape}, but X has {n_samples} rows; give one label a row"
        )
    labels = list(labels)
    try:
        classes = dict.fromkeys(labels)
    except TypeError as error:
        raise ValueError(f"labels are not hashable ({error}); give names or numbers") from error
    if any(label != label for label in classes):
        raise ValueError("labels hold NaN, which is no class; name it or leave those rows out")
    with suppress(TypeError):
        classes = sorted(classes)
    number = {label: number for number, label in enumerate(classes)}
    return np.array([number[label] for label in labels])


def triplets(triplets: ArrayLike, n_objects: int) -> np.ndarray:
    """Triplets of distinct rows of X, integers of shape (n_triplets, 3)."""
    triplets = np.asarray(triplets)
    if triplets.ndim != 2 or triplets.shape[1] != 3 or len(triplets) == 0:
        raise ValueError(
            f"triplets has shape {triplets.shape}; give a non-empty array (n_triplets, 3)"
        )
    if triplets.dtype.kind not in "iu":
        raise ValueError(f"triplets has dtype {triplets.dtype}; give integer rows of X")
    triplets = triplets.astype(np.int64)  # small integers overflow when they are multiplied
    outside = (triplets < 0) | (triplets >= n_objects)
    if outside.any():
        row = int(np.argmax(outside.any(axis=1)))
        raise ValueError(
            f"triplets row {row} is {triplets[row].tolist()}, but X has rows 0 to {n_objects - 1}; "
            "triplets count from 0"
        )
    i, j, k = triplets.T
    repeated = (i == j) | (i == k) | (j == k)
    if repeated.any():
        row = int(np.argmax(repeated))
        raise ValueError(
            f"triplets row {row} is {triplets[row].tolist()}; give three different objects"
        )
    return triplets

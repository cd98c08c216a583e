"""Checks of arguments: one line that names the argument, what was wrong, and the remedy."""

import operator
from collections.abc import Hashable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import cache

import numba
import numpy as np
from numpy.typing import ArrayLike
from threadpoolctl import ThreadpoolController


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


def whole(number: object, name: str) -> int:
    """A whole number, such as a count or a row."""
    try:
        return operator.index(number)
    except TypeError as error:
        raise ValueError(f"{name} is {number!r}; give a whole number") from error


def classes(labels: Iterable[Hashable] | ArrayLike, n_samples: int) -> dict[Hashable, np.ndarray]:
    """Rows of the members of each class, from labels or from a boolean membership matrix.

    Classes are in sorted order or, where they cannot be sorted, as they first appear; those of
    a matrix are its columns.
    """
    if getattr(labels, "ndim", 1) == 2:
        return _columns(labels, n_samples)
    shape = getattr(labels, "shape", None) or (len(labels := list(labels)),)
    if shape != (n_samples,):
        raise ValueError(
            f"labels has shape {shape}, but X has {n_samples} rows; give one label a row, or a "
            "boolean matrix (n_samples, n_classes)"
        )
    labels = list(labels)
    try:
        names = dict.fromkeys(labels)
    except TypeError as error:
        raise ValueError(f"labels are not hashable ({error}); give names or numbers") from error
    if any(_is_missing(name) for name in names):
        raise ValueError("labels hold NaN, which is no class; name it or leave those rows out")
    if len(names) == 1:
        raise ValueError(
            f"labels has the one class {next(iter(names))!r} for all rows; give two classes"
        )
    with suppress(TypeError):
        names = sorted(names)
    number = {name: number for number, name in enumerate(names)}
    codes = np.array([number[label] for label in labels])
    by_class = np.argsort(codes, kind="stable")
    rows = np.split(by_class, np.cumsum(np.bincount(codes))[:-1])
    return dict(zip(names, rows, strict=True))


def _is_missing(name: Hashable) -> bool:
    """NaN and its kind, such as those of pandas, equal nothing, or do not say whether they do."""
    try:
        return bool(name != name)
    except TypeError:
        return True


def _columns(membership: ArrayLike, n_samples: int) -> dict[Hashable, np.ndarray]:
    names = getattr(membership, "columns", range(membership.shape[1]))
    membership = np.asarray(membership)
    if membership.dtype != bool or membership.shape != (n_samples, len(names)) or not len(names):
        raise ValueError(
            f"labels has shape {membership.shape} and dtype {membership.dtype}, but X has "
            f"{n_samples} rows; give a boolean matrix (n_samples, n_classes), or one label a row"
        )
    if len(set(names)) < len(names):
        raise ValueError("labels has two columns of one name; give each class a name of its own")
    if len(names) == 1 and membership.all():
        raise ValueError("labels has one class that holds all rows; leave some out or give two")
    return {name: np.flatnonzero(column) for name, column in zip(names, membership.T, strict=True)}


def similarity(similarity: ArrayLike, *, name: str = "similarity") -> np.ndarray:
    """Symmetric matrices, float64 (n_people, n_objects, n_objects); a single one is of a person."""
    people = np.asarray(similarity, dtype=np.float64)
    people = people[None] if people.ndim == 2 else people
    if people.ndim != 3 or people.shape[1] != people.shape[2] or 0 in people.shape:
        raise ValueError(
            f"{name} has shape {np.shape(similarity)}; give (n_objects, n_objects) or "
            "(n_people, n_objects, n_objects)"
        )
    unlike = ~np.isclose(people, people.transpose(0, 2, 1), rtol=1e-9, atol=1e-12, equal_nan=True)
    if unlike.any():
        person, row, column = np.argwhere(unlike)[0]
        raise ValueError(
            f"{name} is not symmetric: {people[person, row, column]} at row {row}, column "
            f"{column}, and {people[person, column, row]} the other way round; average the two"
        )
    return people


def triplets(triplets: ArrayLike, n_objects: int | None = None) -> np.ndarray:
    """Triplets of distinct objects, integers of shape (n_triplets, 3), below `n_objects`."""
    triplets = np.asarray(triplets)
    if triplets.ndim != 2 or triplets.shape[1] != 3 or len(triplets) == 0:
        raise ValueError(
            f"triplets has shape {triplets.shape}; give a non-empty array (n_triplets, 3)"
        )
    if triplets.dtype.kind not in "iu":
        raise ValueError(f"triplets has dtype {triplets.dtype}; give integer rows of X")
    if triplets.dtype.kind == "i" or triplets.dtype.itemsize < 8:
        # Small integers overflow when they are multiplied.
        triplets = triplets.astype(np.int64, copy=False)
    else:
        triplets = triplets.astype(np.uint64, copy=False)
    last = np.iinfo(np.int64).max if n_objects is None else n_objects - 1
    row = _first_mistake(triplets, last)
    if row < len(triplets):
        triplet = triplets[row].tolist()
        if min(triplet) < 0 or max(triplet) > last:
            room = "" if n_objects is None else f", but X has rows 0 to {last}"
            raise ValueError(f"triplets row {row} is {triplet}{room}; triplets count from 0")
        raise ValueError(f"triplets row {row} is {triplet}; give three different objects")
    return triplets.astype(np.int64, copy=False)


def probabilities(probabilities: ArrayLike | None, n_triplets: int) -> np.ndarray | None:
    """How likely each pair of each triplet is kept together, float64 (n_triplets, 3)."""
    if probabilities is None:
        return None
    probabilities = np.asarray(probabilities, dtype=np.float64)
    if probabilities.shape != (n_triplets, 3):
        raise ValueError(
            f"probabilities has shape {probabilities.shape}, but there are {n_triplets} triplets; "
            f"give ({n_triplets}, 3)"
        )
    wrong = ~((probabilities >= 0).all(axis=1) & (abs(probabilities.sum(axis=1) - 1) <= 1e-6))
    if wrong.any():
        row = int(np.argmax(wrong))
        raise ValueError(
            f"probabilities row {row} is {probabilities[row].tolist()}; give three numbers from 0 "
            "to 1 that sum to one"
        )
    return probabilities


@numba.njit(parallel=True, cache=True)
def _first_mistake(triplets, last):
    """The first row with an object out of range or twice; the number of rows if there is none."""
    first = len(triplets)
    for row in numba.prange(len(triplets)):
        i, j, k = triplets[row, 0], triplets[row, 1], triplets[row, 2]
        if min(i, j, k) < 0 or max(i, j, k) > last or i in (j, k) or j == k:
            first = min(first, row)
    return first


def blas_threads(n_threads: int | None) -> AbstractContextManager:
    """Let BLAS use so many threads; None leaves it as it is."""
    return _libraries().limit(limits=n_threads)


@cache
def _libraries() -> ThreadpoolController:
    """The libraries that have threads; to look for them takes as long as a small product."""
    return ThreadpoolController()


@contextmanager
def threads(n_jobs: int | None) -> Iterator[int]:
    """Let numba and BLAS use `n_jobs` threads at most, all they have by default."""
    available = numba.get_num_threads()
    if n_jobs in (None, -1):
        n_jobs = available
    if not isinstance(n_jobs, int | np.integer) or n_jobs < 1:
        raise ValueError(f"n_jobs is {n_jobs!r}; give a number of threads, or None or -1 for all")
    n_threads = min(int(n_jobs), available)
    numba.set_num_threads(n_threads)
    try:
        with blas_threads(n_threads):
            yield n_threads
    finally:
        numba.set_num_threads(available)

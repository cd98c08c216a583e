"""Checks of arguments: one line that names the argument, what was wrong, and the remedy."""

import operator
from collections.abc import Hashable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import cache

import numba
import numpy as np
from numpy.typing import ArrayLike
from threadpoolctl import ThreadpoolController


class Undefined(ValueError):
    """What is asked for is not defined in this space, such as the cosine of a row of zeros."""


def array(values: ArrayLike, name: str) -> np.ndarray:
    """Any array-like as numpy takes it, and tensors also on a GPU, with gradients or bfloat16."""
    if hasattr(values, "toarray"):
        raise ValueError(f"{name} is sparse; give {name}.toarray()")
    try:
        if hasattr(values, "detach"):
            values = values.detach().cpu()
            values = values.float() if str(values.dtype) == "torch.bfloat16" else values
        masked, values = np.ma.is_masked(values), np.asarray(values)
    except (TypeError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise ValueError(
            f"{name} is no array ({reason}); give an array, or rows of equal length"
        ) from error
    if masked:
        raise ValueError(f"{name} holds masked values; fill them or leave those rows out")
    return values.astype(np.float32) if values.dtype.name == "bfloat16" else values


def numbers(values: ArrayLike, name: str) -> np.ndarray:
    """An array of real numbers of any shape, or of booleans."""
    values = array(values, name)
    if values.dtype.kind not in "fiub":
        real = "real " if values.dtype.kind == "c" else ""
        raise ValueError(f"{name} has dtype {values.dtype}; give {real}numbers")
    return values


def features(X: ArrayLike, *, name: str = "X") -> np.ndarray:
    """`X` as a finite float array of shape (n_samples, n_features)."""
    X = table(X, name)
    finite = np.isfinite(X)
    if not finite.all():
        row, column = np.argwhere(~finite)[0]
        raise ValueError(
            f"{name} holds {(~finite).sum()} values that are not finite, the first at row {row}, "
            f"column {column} ({X[row, column]}); remove or replace them"
        )
    return X


def table(X: ArrayLike, name: str) -> np.ndarray:
    """`X` as a float array of shape (n_samples, n_features), finite or not."""
    X = array(X, name)
    if X.ndim != 2 or 0 in X.shape:
        raise ValueError(
            f"{name} has shape {X.shape}; give a non-empty array (n_samples, n_features)"
        )
    X = numbers(X, name)
    if X.dtype.kind == "f" and X.dtype.itemsize <= 8:
        return X
    with np.errstate(over="ignore"):
        return X.astype(np.float64)


def rounding(dtype: np.dtype) -> float:
    """By which share of its size a value may be off: in the twelfth digit, or one that is lost."""
    return max(1e-12, 8 * float(np.finfo(dtype).eps)) if dtype.kind == "f" else 1e-12


def alike(X: np.ndarray) -> bool:
    """Whether all rows are the same but for rounding, by the precision of the dtype."""
    low, high = (extreme.astype(np.float64) for extreme in (X.min(axis=0), X.max(axis=0)))
    sizes = np.maximum(abs(low), abs(high))
    if (low == high).all():
        return True
    with np.errstate(over="ignore"):
        apart = (high - low) / sizes.max()
    return bool(np.linalg.norm(apart) <= rounding(X.dtype) * np.linalg.norm(sizes / sizes.max()))


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
    labels, shape = _elements(labels)
    if shape != (n_samples,):
        raise ValueError(
            f"labels has shape {shape}, but X has {n_samples} rows; give one label a row, or a "
            "boolean matrix (n_samples, n_classes)"
        )
    try:
        names = dict.fromkeys(labels)
    except TypeError as error:
        raise ValueError(f"labels are not hashable ({error}); give names or numbers") from error
    missing = [name for name in names if _is_missing(name)]
    if missing:
        row = next(row for row, label in enumerate(labels) if label is missing[0])
        raise ValueError(
            f"labels hold {missing[0]} at row {row}, which is no class; name it or leave those "
            "rows out"
        )
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


def _elements(labels: Iterable[Hashable] | ArrayLike) -> tuple[list, tuple[int, ...]]:
    """The labels one by one, and the shape in which they came.

    Elements of tensors, and of lists of them, become plain numbers: as objects of their own no
    two of them would be equal.
    """
    if hasattr(labels, "__array__"):
        labels = array(labels, "labels")
        return list(labels) if labels.ndim else [], labels.shape
    try:
        labels = list(labels)
    except TypeError as error:
        raise ValueError(f"labels is {labels!r}; give one label a row") from error
    is_zero_dimensional = [
        hasattr(label, "__array__")
        and not isinstance(label, np.generic)
        and getattr(label, "ndim", None) == 0
        for label in labels
    ]
    if any(is_zero_dimensional):
        labels = [
            array(label, "labels")[()] if zero_dimensional else label
            for label, zero_dimensional in zip(labels, is_zero_dimensional, strict=True)
        ]
    return labels, (len(labels),)


def _is_missing(name: Hashable) -> bool:
    """None, and what equals nothing, such as NaN and NaT, or does not say whether it does."""
    try:
        return name is None or bool(name != name)
    except TypeError:
        return True


def _columns(membership: ArrayLike, n_samples: int) -> dict[Hashable, np.ndarray]:
    names = getattr(membership, "columns", range(membership.shape[1]))
    membership = array(membership, "labels")
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
    """Symmetric matrices, float64 (n_people, n_objects, n_objects); a single one is of a person.

    What differs from its mirror image by rounding alone, in the precision given and for the
    largest similarity of that person, becomes the mean of the two.
    """
    similarity = numbers(similarity, name)
    people = similarity.astype(np.float64)
    people = people[None] if people.ndim == 2 else people
    if people.ndim != 3 or people.shape[1] != people.shape[2] or 0 in people.shape:
        raise ValueError(
            f"{name} has shape {similarity.shape}; give (n_objects, n_objects) or "
            "(n_people, n_objects, n_objects)"
        )
    mirrored = people.transpose(0, 2, 1)
    other = (people != mirrored) & ~(np.isnan(people) & np.isnan(mirrored))
    if not other.any():
        return people
    counts = np.isfinite(people) & ~np.eye(people.shape[1], dtype=bool)
    largest = np.where(counts, abs(people), 0).max(axis=(1, 2), keepdims=True)
    with np.errstate(invalid="ignore", over="ignore"):
        share = _symmetry(people, similarity.dtype)
        unlike = other & ~(abs(people - mirrored) <= share * largest)
    if unlike.any():
        person, row, column = np.argwhere(unlike)[0]
        raise ValueError(
            f"{name} is not symmetric: {people[person, row, column]} at row {row}, column "
            f"{column}, and {people[person, column, row]} the other way round; average the two"
        )
    return np.where(other, people / 2 + mirrored / 2, people)


def _symmetry(people: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """By how much of its size each matrix may differ from its mirror image, (n_people, 1, 1).

    Single precision can be inside double: after a conversion, or beside a matrix of that.
    """
    if dtype.kind != "f":
        return np.zeros((len(people), 1, 1))
    single = (np.isnan(people) | (people == people.astype(np.float32))).all(axis=(1, 2))
    shares = np.where(single, rounding(np.dtype(np.float32)), 1e-9)
    return np.maximum(shares, rounding(dtype))[:, None, None]


def triplets(triplets: ArrayLike, n_objects: int | None = None) -> np.ndarray:
    """Triplets of distinct objects, integers of shape (n_triplets, 3), below `n_objects`."""
    triplets = array(triplets, "triplets")
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
    probabilities = numbers(probabilities, "probabilities")
    off = max(1e-6, rounding(probabilities.dtype))
    probabilities = probabilities.astype(np.float64)
    if probabilities.shape != (n_triplets, 3):
        raise ValueError(
            f"probabilities has shape {probabilities.shape}, but there are {n_triplets} triplets; "
            f"give ({n_triplets}, 3)"
        )
    wrong = ~((probabilities >= 0).all(axis=1) & (abs(probabilities.sum(axis=1) - 1) <= off))
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

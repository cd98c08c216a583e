"""Checks of arguments: one line that names the argument, what was wrong, and the remedy."""

import operator
from collections.abc import Hashable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import cache

import numba
import numpy as np
import pandas as pd
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
    X = numbers(X, name)
    if X.ndim != 2 or 0 in X.shape:
        raise ValueError(
            f"{name} has shape {X.shape}; give a non-empty array (n_samples, n_features)"
        )
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


def choice(value: object, name: str, options: tuple) -> None:
    """One of the options."""
    if value not in options:
        *first, last = map(repr, options)
        raise ValueError(f"{name} is {value!r}; choose {', '.join(first)} or {last}")


def whole(number: object, name: str, least: int | None = None) -> int:
    """A whole number, such as a count or a row."""
    try:
        number = operator.index(number)
    except TypeError as error:
        raise ValueError(f"{name} is {number!r}; give a whole number") from error
    if least is not None and number < least:
        raise ValueError(f"{name} is {number}; give at least {least}")
    return number


def booleans(values: ArrayLike, name: str, *, instead: str = "booleans, or 0 and 1") -> np.ndarray:
    """An array of booleans of any shape, or of numbers that are 0 or 1 and say the same."""
    values = array(values, name)
    is_plain = values.dtype.kind in "fiub"
    other = values[(values != 0) & (values != 1)] if is_plain else values.ravel()
    if other.size:
        raise ValueError(f"{name} holds {other[:1].tolist()[0]!r}; give {instead}")
    return values.astype(bool)


def classes(labels: Iterable[Hashable] | ArrayLike, n_samples: int) -> dict[Hashable, np.ndarray]:
    """Rows of the members of each class, from labels or from a membership matrix.

    Classes are in sorted order or, where they cannot be sorted, as they first appear; those of
    a matrix are its columns.
    """
    instead = "one label a row, or booleans (n_samples, n_classes)"
    if getattr(labels, "ndim", 1) == 2:
        names = getattr(labels, "columns", range(labels.shape[1]))
        if len(set(names)) < len(names):
            raise ValueError("labels has two columns of one name; give each a name of its own")
        labels = booleans(labels, "labels", instead=instead)
        shape = labels.shape
        rows = dict(zip(names, map(np.flatnonzero, labels.T), strict=True))
    else:
        labels, shape = _elements(labels)
        rows = _rows_of_labels(labels)
    if shape[:1] != (n_samples,) or not rows:
        raise ValueError(f"labels has shape {shape}, but X has {n_samples} rows; give {instead}")
    if len(rows) == 1 and len(*rows.values()) == n_samples:
        raise ValueError(f"labels has the one class {next(iter(rows))!r} for all rows; give two")
    return rows


def _rows_of_labels(labels: list) -> dict[Hashable, np.ndarray]:
    rows = {}
    try:
        for row, label in enumerate(labels):
            rows.setdefault(label, []).append(row)
    except TypeError as error:
        raise ValueError(f"labels are not hashable ({error}); give names or numbers") from error
    for name in filter(pd.isna, rows):
        where = f"labels hold {name} at row {rows[name][0]}"
        raise ValueError(f"{where}, which is no class; name it or leave those rows out")
    names = [*rows]
    with suppress(TypeError):
        names = sorted(names)
    return {name: np.array(rows[name]) for name in names}


def _elements(labels: Iterable[Hashable] | ArrayLike) -> tuple[list, tuple[int, ...]]:
    """The labels one by one, and the shape in which they came.

    Elements of tensors, and of lists of them, become plain numbers: as objects of their own no
    two of them would be equal.
    """
    if hasattr(labels, "__array__"):
        labels = array(labels, "labels")
        return list(labels) if labels.ndim else [], labels.shape
    try:
        labels = [array(x, "labels")[()] if getattr(x, "ndim", 1) == 0 else x for x in labels]
    except TypeError as error:
        raise ValueError(f"labels is {labels!r}; give one label a row") from error
    return labels, (len(labels),)


def similarity(similarity: ArrayLike, *, name: str = "similarity") -> np.ndarray:
    """Symmetric matrices, float64 (n_people, n_objects, n_objects); a single one is of a person.

    What differs from its mirror image by rounding alone, in the precision given and for the
    largest similarity of that person, becomes the mean of the two.
    """
    similarity = numbers(similarity, name)
    people = similarity.astype(np.float64)
    people = people[None] if people.ndim == 2 else people
    if people.ndim != 3 or people.shape[1] != people.shape[2] or 0 in people.shape:
        shapes = "(n_objects, n_objects) or (n_people, n_objects, n_objects)"
        raise ValueError(f"{name} has shape {similarity.shape}; give {shapes}")
    mirrored = people.transpose(0, 2, 1)
    counts = np.isfinite(people) & ~np.eye(people.shape[1], dtype=bool)
    largest = np.where(counts, abs(people), 0).max(axis=(1, 2), keepdims=True)
    with np.errstate(over="ignore"):
        off = _asymmetry(people, similarity.dtype) * largest
        alike = np.isclose(people, mirrored, rtol=0, atol=off, equal_nan=True)
    if not alike.all():
        person, row, column = np.argwhere(~alike)[0]
        raise ValueError(
            f"{name} is not symmetric: {people[person, row, column]} at row {row}, column "
            f"{column}, and {people[person, column, row]} the other way round; average the two"
        )
    return np.where(people == mirrored, people, people / 2 + mirrored / 2)


def _asymmetry(people: np.ndarray, dtype: np.dtype) -> np.ndarray | float:
    """By how much of its size each matrix may differ from its mirror image, (n_people, 1, 1).

    Single precision can be inside double: after a conversion, or beside a matrix of that.
    """
    if dtype.kind != "f":
        return 0.0
    is_single = np.isnan(people) | (people == people.astype(np.float32))
    single = is_single.all(axis=(1, 2), keepdims=True)
    return np.maximum(rounding(dtype), np.where(single, rounding(np.dtype(np.float32)), 1e-9))


def triplets(triplets: ArrayLike, n_objects: int | None = None) -> np.ndarray:
    """Triplets of distinct objects, int64 (n_triplets, 3), below `n_objects`; or whole floats."""
    given = numbers(triplets, "triplets")
    if given.ndim != 2 or given.shape[1] != 3 or len(given) == 0:
        raise ValueError(f"triplets has shape {given.shape}; give a non-empty array (n, 3)")
    with np.errstate(invalid="ignore"):
        rows = given.astype(np.int64, copy=False)
    if rows is not given:
        rows = np.where(rows == given, rows, -1)
    last = np.iinfo(np.int64).max if n_objects is None else n_objects - 1
    row = _first_mistake(rows, last)
    if row < len(rows):
        where = f"triplets row {row} is {given[row].tolist()}"
        where += "" if n_objects is None else f", but X has rows 0 to {last}"
        raise ValueError(f"{where}; give three different objects, as whole numbers from 0 on")
    return rows


def probabilities(probabilities: ArrayLike | None, n_triplets: int) -> np.ndarray | None:
    """How likely each pair of each triplet is kept together, float64 (n_triplets, 3)."""
    if probabilities is None:
        return None
    probabilities = numbers(probabilities, "probabilities")
    off = max(1e-6, rounding(probabilities.dtype))
    probabilities = probabilities.astype(np.float64)
    if probabilities.shape != (n_triplets, 3):
        raise ValueError(f"probabilities has shape {probabilities.shape}; give ({n_triplets}, 3)")
    wrong = ~((probabilities >= 0).all(axis=1) & (abs(probabilities.sum(axis=1) - 1) <= off))
    if wrong.any():
        row = int(np.argmax(wrong))
        raise ValueError(
            f"probabilities row {row} is {probabilities[row].tolist()}; give shares that sum to one"
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
    all_of_them = n_jobs in (None, -1)
    n_threads = available if all_of_them else min(whole(n_jobs, "n_jobs", least=1), available)
    numba.set_num_threads(n_threads)
    try:
        with blas_threads(n_threads):
            yield n_threads
    finally:
        numba.set_num_threads(available)

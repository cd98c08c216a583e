"""Images and human judgments in files, as THINGS and one's own data have them."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd

from convexlib import checks
from convexlib.images import check_images
from convexlib.settings import Broken
from convexlib.stimuli import PATH

CONCEPT = "concept"


def splits(
    of_concept: Mapping[str, Sequence[Path]], root: Path, *, broken: Broken
) -> dict[str, tuple[None, pd.DataFrame]]:
    """All images as the test split, and the first image of each concept as its reference.

    Parameters
    ----------
    of_concept : mapping
        Files of the images of each concept, the reference first.
    root : Path
        Folder from which the files are named.
    broken : {"error", "skip"}
        Whether an image that cannot be read is an error or is left out with a warning. A concept
        whose reference is broken is left out as a whole, since people judged that very image.
    """
    paths = [path for of_one in of_concept.values() for path in of_one]
    whole = set(check_images(paths, broken=broken))
    labels = pd.DataFrame(
        [
            (concept, path.relative_to(root).as_posix())
            for concept, of_one in of_concept.items()
            if of_one[0] in whole
            for path in of_one
            if path in whole
        ],
        columns=[CONCEPT, PATH],
    )
    references = labels.drop_duplicates(CONCEPT).reset_index(drop=True)
    return {"test": (None, labels), "reference": (None, references)}


def stamps(paths: Sequence[Path], root: Path) -> list[tuple[str, int, int]]:
    """Names, sizes and times of change of files, which stand for their contents."""
    found = [(path.relative_to(root).as_posix(), path.stat()) for path in paths]
    return [(name, about.st_size, about.st_mtime_ns) for name, about in found]


def read_triplets(path: Path, names: Sequence[str]) -> np.ndarray:
    """Triplets from a text file: three concepts a line, the odd one last.

    Parameters
    ----------
    path : Path
        Separated by tabs, commas or blanks. Concepts are given by name, or all by number, from 0;
        where names are numbers themselves, by name alone.
    names : sequence of str
        Of the concepts, in the order in which they are numbered.

    Returns
    -------
    ndarray of int, shape (n_triplets, 3)

    Raises
    ------
    ValueError
        If a line does not hold three different concepts.
    """
    numbered = not any(name.isdigit() for name in names)
    with readable(path, "triplets"):
        with path.open(encoding="utf-8-sig") as file:
            first = file.readline()
        table = pd.read_csv(
            path,
            sep=next((mark for mark in "\t," if mark in first), r"\s+"),
            header=None,
            keep_default_na=False,
            dtype=None if numbered else str,
        )
    if table.shape[1] == 3 and all(kind.kind in "iu" for kind in table.dtypes):
        triplets = table.to_numpy(dtype=np.int64)
    else:
        triplets = _by_name(path, table.astype(str), names, numbered)
    try:
        return checks.triplets(triplets, len(names))
    except ValueError as error:
        raise ValueError(f"{str(path)!r}: {error}") from error


def _by_name(path: Path, table: pd.DataFrame, names: Sequence[str], numbered: bool) -> np.ndarray:
    cells = table.apply(lambda column: column.str.strip())
    if cells.shape[1] != 3 or cells.isin(["", "nan"]).to_numpy().any():
        raise ValueError(
            f"{str(path)!r} has {cells.shape[1]} columns, or a line that is shorter; give three "
            "concepts a line, the odd one last"
        )
    triplets = cells.apply(pd.Index(names).get_indexer).to_numpy()
    unknown = triplets < 0
    if unknown.any():
        is_number = cells.apply(lambda column: column.str.isdigit()).to_numpy()
        worst = unknown & ~is_number if numbered and (unknown & ~is_number).any() else unknown
        line, column = np.argwhere(worst)[0]
        remedy = f", or whole numbers from 0 to {len(names) - 1} alone" if numbered else ""
        raise ValueError(
            f"{str(path)!r}, triplet {line + 1}: {cells.iloc[line, column]!r} is no concept; give "
            f"names such as {names[0]!r}{remedy}"
        )
    return triplets


def read_similarity(path: Path, names: Sequence[str]) -> np.ndarray:
    """A matrix of similarities, larger for more alike; the diagonal does not count.

    Parameters
    ----------
    path : Path
        An .npy file (n, n), or (n_people, n, n), in the order of the concepts; or a .csv file
        (n, n) with the names of the concepts as its header and first column, in any order.
    names : sequence of str
        Of the concepts, in order.

    Returns
    -------
    ndarray of shape (n_people, n, n)

    Raises
    ------
    ValueError
        If the file has another shape, lacks a concept, or is not symmetric.
    """
    with readable(path, "similarities"):
        if path.suffix == ".npy":
            matrix = np.load(path, allow_pickle=False).astype(float)
        else:
            matrix = _table_of_similarities(path, names)
    n_concepts = len(names)
    if matrix.ndim not in (2, 3) or matrix.shape[-2:] != (n_concepts, n_concepts):
        raise ValueError(
            f"{str(path)!r} has shape {matrix.shape}, but there are {n_concepts} concepts"
        )
    of_itself = np.isnan(matrix) & np.eye(n_concepts, dtype=bool)
    matrix[of_itself] = np.nanmax(matrix, initial=0)
    if not np.isfinite(matrix).all():
        row, column = np.argwhere(~np.isfinite(matrix))[0][-2:]
        raise ValueError(
            f"{str(path)!r} lacks the similarity of {names[row]!r} and {names[column]!r}; give one "
            "for every two concepts"
        )
    try:
        return checks.similarity(matrix)
    except ValueError as error:
        raise ValueError(f"{str(path)!r}: {error}") from error


def _table_of_similarities(path: Path, names: Sequence[str]) -> np.ndarray:
    table = pd.read_csv(path, dtype={0: str}, keep_default_na=False, na_values=[""])
    table = table.set_index(table.columns[0])
    for given in (table.index, table.columns):
        unknown = given.difference(names, sort=False)
        if len(unknown):
            raise ValueError(f"{unknown[0]!r} is no concept; give names such as {names[0]!r}")
    return table.reindex(index=names, columns=names).to_numpy(dtype=float)


@contextmanager
def readable(path: Path, what: str) -> Iterator[None]:
    """Let whatever is wrong with a file be a one-line ValueError that names it."""
    try:
        yield
    except (OSError, ValueError, EOFError) as error:
        reason = getattr(error, "strerror", None) or str(error).partition("\n")[0]
        raise ValueError(f"{str(path)!r} cannot be read as {what}: {reason}") from error

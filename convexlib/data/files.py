"""Images and human judgments in files, as THINGS and one's own data have them."""

import csv
import io
import re
import unicodedata
import warnings
from collections.abc import Container, Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd

from convexlib import checks
from convexlib.data import PATH, Stimuli
from convexlib.data.images import Broken, check_images, readable

_SEPARATORS = "\t;, "
_MISSING = frozenset({"", "na", "nan", "n/a", "null", "none"})
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


class OrderWarning(UserWarning):
    """Concepts go by number, and their names have another order where numbers in them count."""


class NumberingWarning(UserWarning):
    """Triplets by number seem to count from 1."""


class DissimilarityWarning(UserWarning):
    """What is given as similarities looks like distances."""


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
    whole = set(check_images(chain.from_iterable(of_concept.values()), broken=broken))
    rows = [
        (concept, path.relative_to(root).as_posix())
        for concept, paths in of_concept.items()
        if paths[0] in whole
        for path in paths
        if path in whole
    ]
    labels = pd.DataFrame(rows, columns=[Stimuli.CONCEPT, PATH])
    references = labels.drop_duplicates(Stimuli.CONCEPT).reset_index(drop=True)
    return {"test": (None, labels), "reference": (None, references)}


def stamps(paths: Sequence[Path], root: Path) -> list[tuple[str, int, int]]:
    """Names, sizes and times of change of files, which stand for their contents."""
    found = []
    for path in paths:
        with readable(path, "a file"):
            about = path.stat()
        found.append((path.relative_to(root).as_posix(), about.st_size, about.st_mtime_ns))
    return found


def plain(name: str) -> str:
    """A name with its letters composed and without blanks around it, as names are compared.

    macOS decomposes letters in file names, and other programs compose them.

    Examples
    --------
    >>> plain("A\\u0308hre ") == "\\u00c4hre"
    True
    """
    return unicodedata.normalize("NFC", name).strip()


def read_triplets(path: Path, names: Sequence[str]) -> np.ndarray:
    """Triplets from a text file: three concepts a line, the odd one last.

    Parameters
    ----------
    path : Path
        In UTF-8, separated by tabs, semicolons, commas or blanks. Concepts are given by name, or
        all by number in plain digits, from 0; where a name is such a number, by name alone.
    names : sequence of str
        Of the concepts, in the order in which they are numbered.

    Returns
    -------
    ndarray of int, shape (n_triplets, 3)

    Raises
    ------
    ValueError
        If a line does not hold three different concepts.

    Warns
    -----
    NumberingWarning
        If the number 0 never occurs.
    OrderWarning
        If numbers refer to names whose order depends on whether numbers in them count.
    """
    triplets, by_number = _parsed_triplets(path, names)
    if by_number:
        _warn_of_order(path, names)
        if triplets.min() > 0:
            warnings.warn(
                f"{str(path)!r}: no triplet holds the number 0, which is {names[0]!r}; if the "
                "numbers count from 1, take 1 from each",
                NumberingWarning,
                stacklevel=2,
            )
    return triplets


def _parsed_triplets(path: Path, names: Sequence[str]) -> tuple[np.ndarray, bool]:
    """As `read_triplets`, without its warnings, and whether concepts are given by number."""
    with readable(path, "triplets"):
        known = _names(names, "concepts")
        cells, codes, _ = _table(path, known, 3)
        if codes.shape[1] != 3:
            raise ValueError(
                f"it has {codes.shape[1]} columns; give three concepts a line, the odd one last"
            )
        numbered = not any(map(_is_digits, known))
        by_number = numbered and all(map(_is_digits, filter(None, cells)))
        rows = _by_number(cells) if by_number else _by_name(cells, known)
        triplets = rows[codes]
        if triplets.min() < 0:
            line, column = np.argwhere(triplets == triplets.min())[0]
            remedy = f", or whole numbers from 0 to {len(names) - 1} alone" if numbered else ""
            raise ValueError(
                f"triplet {line + 1}: {cells[codes[line, column]]!r} is no concept; give three a "
                f"line, by names such as {names[0]!r}{remedy}"
            )
        return checks.triplets(triplets, len(names)), by_number


def _by_number(cells: np.ndarray) -> np.ndarray:
    """Rows as they are given, -1 for an empty cell; what int64 cannot hold is out of range too."""
    return np.array([int(min(float(cell or -1), 1e18)) for cell in cells])


def _by_name(cells: np.ndarray, known: pd.Index) -> np.ndarray:
    """Rows of the concepts; -1 for a number that is no name, and -2 for what is worse."""
    rows = known.get_indexer(cells)
    return np.where((rows < 0) & ~np.array([*map(_is_digits, cells)]), -2, rows)


def read_similarity(path: Path, names: Sequence[str]) -> np.ndarray:
    """A matrix of similarities, larger for more alike; the diagonal does not count.

    Parameters
    ----------
    path : Path
        An .npy file (n, n), or (n_people, n, n), in the order of the concepts; or a text file in
        UTF-8, (n, n), with the names of the concepts as its header and first column, in any order,
        separated by tabs, semicolons, commas or blanks. Between tabs or semicolons, decimals may
        have commas.
    names : sequence of str
        Of the concepts, in order.

    Returns
    -------
    ndarray of shape (n_people, n, n)

    Raises
    ------
    ValueError
        If the file has another shape, lacks a concept or has it twice, or is not symmetric.

    Warns
    -----
    DissimilarityWarning
        If every concept is less like itself than any two are alike.
    OrderWarning
        If an .npy file refers to names whose order depends on whether numbers in them count.
    """
    is_array = path.suffix.lower() == ".npy"
    with readable(path, "similarities"):
        # Not np.load, which takes an archive for an array.
        matrix = np.lib.format.open_memmap(path, mode="r") if is_array else _matrix(path, names)
        matrix = checks.numbers(matrix, "the matrix")
        n_concepts = len(names)
        if matrix.ndim not in (2, 3) or matrix.shape[-2:] != (n_concepts, n_concepts):
            raise ValueError(f"it has shape {matrix.shape}, but there are {n_concepts} concepts")
        diagonal = matrix.diagonal(axis1=-2, axis2=-1)
        of_itself = np.isnan(matrix) & np.eye(n_concepts, dtype=bool)
        matrix = np.where(of_itself, np.nanmax(matrix, initial=0), matrix)
        if not np.isfinite(matrix).all():
            row, column = np.argwhere(~np.isfinite(matrix))[0][-2:]
            raise ValueError(
                f"it lacks the similarity of {names[row]!r} and {names[column]!r}; give one for "
                "every two concepts"
            )
        people = checks.similarity(matrix)
    if is_array:
        _warn_of_order(path, names)
    _warn_of_distances(path, people.mean(axis=0), diagonal.reshape(-1, n_concepts).mean(axis=0))
    return people


def _matrix(path: Path, names: Sequence[str]) -> np.ndarray:
    """A table of similarities, NaN where it has none."""
    known = _names(names, "concepts")
    cells, codes, mark = _table(path, known, 1 + len(names))
    header = cells[codes[0]]
    if not header[-1]:
        header = np.roll(header, 1)  # R names the columns that hold numbers alone
    rows, columns = cells[codes[1:, 0]], header[1:]
    unknown = pd.Index([*rows, *columns]).difference(known, sort=False)
    if len(unknown):
        raise ValueError(
            f"{unknown[0]!r} is no concept; give names such as {names[0]!r}, in a header and a "
            "first column, separated by commas, semicolons or tabs; where decimals have commas, "
            "by semicolons or tabs"
        )
    numbers, body = np.unique(codes[1:, 1:], return_inverse=True)
    commas = mark != "," and not any("." in cell for cell in cells[numbers])
    values = np.array([_value(cell, commas) for cell in cells[numbers]])
    table = pd.DataFrame(values[body], _names(rows, "rows"), _names(columns, "columns"))
    return table.reindex(index=known, columns=known).to_numpy()


def _value(cell: str, commas: bool) -> float:
    if cell.lower() in _MISSING:
        return np.nan
    number = cell.replace(",", ".") if commas else cell
    if not _NUMBER.fullmatch(number):
        raise ValueError(
            f"{cell!r} is no number; give decimals a point, or all of them a comma and separate "
            "cells by semicolons or tabs"
        )
    return float(number)


def _names(names: Iterable[str], what: str) -> pd.Index:
    """Names as `plain` has them, no two of them alike."""
    found = pd.Index([plain(name) for name in names], dtype=object)
    if not found.is_unique:
        twice = found[found.duplicated()][0]
        raise ValueError(f"two {what} are called {twice!r}; rename one")
    return found


def _table(path: Path, known: pd.Index, n_cells: int) -> tuple[np.ndarray, np.ndarray, str]:
    """Cells of a table, which of them stands where (n_lines, n_columns), and what parts them.

    As text, none is taken for a number, a truth value or a missing one. Empty lines and columns
    are left out. Lines may be longer than the first, of which a header of R lacks a cell.
    """
    content = in_utf8(path)
    first = next(filter(str.strip, io.TextIOWrapper(io.BytesIO(content), "utf-8")), "")
    mark = _separator(first.strip(), known, n_cells)
    width = 2 + 2 * sum(map(first.count, _SEPARATORS))
    # Texts are categories, fast and small; beside an empty one they are not taken for numbers.
    empty = mark.join(['""'] * width).encode()
    table = pd.read_csv(
        io.BytesIO(content + b"\n" + empty),
        sep=r"\s+" if mark == " " else mark,
        names=range(width),
        dtype="category",
        na_filter=False,
        skipinitialspace=True,
        low_memory=False,
    )
    columns = [table[column].cat for column in table]
    starts = np.cumsum([0, *(len(column.categories) for column in columns)])[:-1]
    codes = np.column_stack([column.codes for column in columns]) + starts
    written = chain.from_iterable(column.categories.tolist() for column in columns)
    cells = np.array([plain(cell) for cell in written], dtype=object)
    filled = (cells != "")[codes]
    if not filled.any():
        raise ValueError("it is empty")
    return cells, codes[filled.any(axis=1)][:, filled.any(axis=0)], mark


def _separator(line: str, known: Container[str], n_cells: int) -> str:
    """What separates cells: what leaves most concepts whole, then what gives so many cells."""

    def fits(mark: str) -> tuple[int, bool, int]:
        reader = csv.reader([line], delimiter=mark, skipinitialspace=True)
        cells = [plain(cell) for cell in next(reader, [])]
        n_known = sum(cell in known or _is_digits(cell) for cell in cells)
        return n_known, len(cells) == n_cells, len(cells)

    return max(_SEPARATORS, key=fits)


def in_utf8(path: Path) -> bytes:
    """A text in UTF-8, without the mark at its beginning."""
    content = path.read_bytes()
    if b"\0" in content:
        raise ValueError("it is in UTF-16, or no text at all; save it as text in UTF-8")
    try:
        return content.decode("utf-8-sig").encode()
    except UnicodeDecodeError as error:
        line = 1 + content.count(b"\n", 0, error.start)
        raise ValueError(
            f"line {line} is not in UTF-8 but in another encoding, such as Latin-1, or no text at "
            "all; save it as text in UTF-8"
        ) from error


def _is_digits(cell: str) -> bool:
    """Whether it is a plain number; `isdigit` alone is true of "²" too."""
    return cell.isascii() and cell.isdigit()


def _warn_of_order(path: Path, names: Sequence[str]) -> None:
    """Say where names in their order would stand elsewhere in that of a file manager."""
    natural = sorted(names, key=_natural)
    if list(names) == natural or list(names) != sorted(names):
        return
    ours, theirs = next(pair for pair in zip(names, natural, strict=True) if pair[0] != pair[1])
    warnings.warn(
        f"{str(path)!r} refers to concepts by number, in the order of the characters of their "
        f"names, in which {ours!r} comes before {theirs!r}; if yours is another, such as that of a "
        "file manager, give names instead",
        OrderWarning,
        stacklevel=3,
    )


def _natural(name: str) -> list[str | int]:
    """By words and whole numbers, small letters as large ones."""
    parts = re.split(r"(\d+)", name)
    return [int(part) if part.isdecimal() else part.casefold() for part in parts]


def _warn_of_distances(path: Path, similarity: np.ndarray, diagonal: np.ndarray) -> None:
    others = similarity[~np.eye(len(similarity), dtype=bool)]
    if others.size and diagonal.max() < others.min():
        warnings.warn(
            f"{str(path)!r}: every concept is less like itself ({diagonal.max():.4g} at most) than "
            f"any two are alike ({others.min():.4g} at least), as in a matrix of distances; if it "
            "is one, give similarities, such as its negative; if not, leave the diagonal empty",
            DissimilarityWarning,
            stacklevel=3,
        )

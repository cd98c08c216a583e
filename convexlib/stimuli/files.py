"""Images and human judgments in files, as THINGS and one's own data have them."""

import codecs
import csv
import io
import re
import unicodedata
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd

from convexlib import checks
from convexlib.images import check_images
from convexlib.settings import Broken
from convexlib.stimuli import PATH

CONCEPT = "concept"

_SEPARATORS = "\t;, "
_MISSING = frozenset({"", "na", "nan", "n/a", "null", "none"})
_PLAIN = frozenset("0123456789.eE+-")  # float() takes more for a number, such as 1_000
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_DIGITS_AND_SEPARATORS = b"0123456789\t;, \r\n"
_HEAD = 2**16  # bytes in which the first triplet lies


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
    triplets, by_number = parse_triplets(path, names)
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


def parse_triplets(path: Path, names: Sequence[str]) -> tuple[np.ndarray, bool]:
    """As `read_triplets`, without its warnings, and whether concepts are given by number."""
    row_of = _row_of(names)
    numbered = not any(map(_is_digits, row_of))
    with readable(path, "triplets"):
        content = in_utf8(path)
        mark = _separator(_first_line(content[:_HEAD].decode(errors="ignore")), row_of, 3)
        mark = r"\s+" if mark == " " else mark
        by_number = numbered and not content.translate(None, delete=_DIGITS_AND_SEPARATORS)
        triplets = _numbers(path, mark) if by_number else None
        if triplets is None:
            cells = _cells(path, mark)
    if triplets is None:
        triplets, by_number = _rows(path, *cells, row_of, numbered)
    try:
        return checks.triplets(triplets, len(names)), by_number
    except ValueError as error:
        raise ValueError(f"{str(path)!r}: {error}") from error


def _numbers(path: Path, mark: str) -> np.ndarray | None:
    """Triplets in plain digits, millions a second; None where they are not three a line."""
    table = pd.read_csv(path, sep=mark, header=None)
    if table.shape[1] != 3 or any(kind.kind not in "iu" for kind in table.dtypes):
        return None
    return table.to_numpy(dtype=np.int64)


def _cells(path: Path, mark: str) -> tuple[np.ndarray, np.ndarray]:
    """The different cells in sorted order, and which stands where, (n_lines, n_columns).

    As text, none is taken for a number, a truth value or a missing one.
    """
    table = pd.read_csv(
        path,
        sep=mark,
        header=None,
        dtype=str,
        na_filter=False,
        skipinitialspace=True,
    )
    codes, written = zip(*(pd.factorize(table[column]) for column in table), strict=True)
    cells, number = np.unique(["", *map(plain, chain(*written))], return_inverse=True)
    of_column = np.split(number[1:], np.cumsum([len(some) for some in written])[:-1])
    return cells, np.stack([of[code] for of, code in zip(of_column, codes, strict=True)], axis=1)


def _rows(
    path: Path, cells: np.ndarray, codes: np.ndarray, row_of: Mapping[str, int], numbered: bool
) -> tuple[np.ndarray, bool]:
    """Triplets of cells as rows of the concepts, and whether they are given by number."""
    filled = codes > 0  # the empty cell is the first of all
    n_columns = 1 + np.flatnonzero(filled.any(axis=0)).max(initial=-1)
    codes = codes[filled.any(axis=1), :n_columns]
    if n_columns != 3 or not codes.all():
        raise ValueError(
            f"{str(path)!r} has {n_columns} columns, or a line that is shorter; give three "
            "concepts a line, the odd one last"
        )
    by_number = numbered and all(map(_is_digits, cells[1:]))
    find = _as_number if by_number else lambda cell: row_of.get(cell, -1)
    triplets = np.array([find(cell) for cell in cells.tolist()])[codes]
    unknown = triplets < 0
    if unknown.any():
        other = unknown & ~np.array([_is_digits(cell) for cell in cells])[codes]
        line, column = np.argwhere(other if numbered and other.any() else unknown)[0]
        cell = str(cells[codes[line, column]])
        names = list(row_of)
        remedy = f", or whole numbers from 0 to {len(names) - 1} alone" if numbered else ""
        raise ValueError(
            f"{str(path)!r}, triplet {line + 1}: {cell!r} is no concept; give "
            f"names such as {names[0]!r}{remedy}"
        )
    return triplets, by_number


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
        matrix = _array(path) if is_array else _table_of_similarities(path, names)
    n_concepts = len(names)
    if matrix.ndim not in (2, 3) or matrix.shape[-2:] != (n_concepts, n_concepts):
        raise ValueError(
            f"{str(path)!r} has shape {matrix.shape}, but there are {n_concepts} concepts"
        )
    diagonal = matrix.diagonal(axis1=-2, axis2=-1).copy()
    of_itself = np.isnan(matrix) & np.eye(n_concepts, dtype=bool)
    matrix[of_itself] = np.nanmax(matrix, initial=0)
    if not np.isfinite(matrix).all():
        row, column = np.argwhere(~np.isfinite(matrix))[0][-2:]
        raise ValueError(
            f"{str(path)!r} lacks the similarity of {names[row]!r} and {names[column]!r}; give one "
            "for every two concepts"
        )
    try:
        people = checks.similarity(matrix)
    except ValueError as error:
        raise ValueError(f"{str(path)!r}: {error}") from error
    if is_array:
        _warn_of_order(path, names)
    _warn_of_distances(path, people.mean(axis=0), diagonal.reshape(-1, n_concepts).mean(axis=0))
    return people


def _array(path: Path) -> np.ndarray:
    with path.open("rb") as file:
        array = np.lib.format.read_array(file, allow_pickle=False)
    if array.dtype.kind not in "fiub":
        raise ValueError(f"it has dtype {array.dtype}; give numbers")
    return array if array.dtype.kind == "f" else array.astype(float)


def _table_of_similarities(path: Path, names: Sequence[str]) -> np.ndarray:
    row_of = _row_of(names)
    text = in_utf8(path).decode()
    mark = _separator(_first_line(text), row_of, 1 + len(names))
    header, *body = _lines(text, mark)
    places = []
    for given in ([row[0] for row in body], header[1:]):
        found = [plain(name) for name in given]
        for number, name in enumerate(found):
            if name not in row_of:
                raise ValueError(
                    f"{name!r} is no concept; give names such as {names[0]!r}, in a header and a "
                    "first column, separated by commas, semicolons or tabs"
                )
            if name in found[:number]:
                raise ValueError(f"it has {name!r} twice in its header or its first column")
        places.append([row_of[name] for name in found])
    matrix = np.full((len(names), len(names)), np.nan)
    if body:
        matrix[np.ix_(*places)] = _values([row[1:] for row in body], mark)
    return matrix


def _lines(text: str, mark: str) -> list[list[str]]:
    """Cells of the header and of every line that has some, all as wide as the header."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=mark, skipinitialspace=True)
    numbers, lines = [], []
    for cells in reader:
        if any(cell.strip() for cell in cells):
            numbers.append(reader.line_num)
            lines.append(cells)
    if not lines:
        raise ValueError("it is empty")
    header, *body = lines
    while not header[-1].strip():
        header.pop()
    if body and header[0].strip() and all(len(cells) == 1 + len(header) for cells in body):
        header.insert(0, "")  # R names the columns that hold numbers alone
    for number, cells in zip(numbers[1:], body, strict=True):
        if len(cells) < len(header) or any(cell.strip() for cell in cells[len(header) :]):
            raise ValueError(
                f"line {number} has {len(cells)} cells, but the header {len(header)}; where "
                "decimals have commas, separate cells by semicolons or tabs"
            )
    return [header, *(cells[: len(header)] for cells in body)]


def _values(rows: list[list[str]], mark: str) -> list[list[float]]:
    """Numbers of a table, in which decimals have commas or points; NaN where a cell is empty."""
    if all(_PLAIN.issuperset("".join(cells)) for cells in rows):
        return [[float(cell) if cell else np.nan for cell in cells] for cells in rows]
    points = any("." in cell for cells in rows for cell in cells)
    commas = mark != "," and not points
    return [[_value(cell.strip(), commas) for cell in cells] for cells in rows]


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


def _row_of(names: Sequence[str]) -> dict[str, int]:
    """Row of each concept by its name as `plain` has it."""
    row_of: dict[str, int] = {}
    for row, name in enumerate(names):
        if row_of.setdefault(plain(name), row) != row:
            raise ValueError(f"two concepts are called {plain(name)!r}; rename one")
    return row_of


def _separator(line: str, row_of: Mapping[str, int], n_cells: int) -> str:
    """What separates cells: what leaves most concepts whole, then what gives so many cells."""

    def fits(mark: str) -> tuple[int, bool, int]:
        reader = csv.reader([line], delimiter=mark, skipinitialspace=True)
        cells = [plain(cell) for cell in next(reader, [])]
        n_known = sum(cell in row_of or _is_digits(cell) for cell in cells)
        return n_known, len(cells) == n_cells, len(cells)

    return max(_SEPARATORS, key=fits)


def _first_line(text: str) -> str:
    return next((line for line in io.StringIO(text, newline=None) if line.strip()), "").strip()


def in_utf8(path: Path) -> bytes:
    """A text in UTF-8, without the mark at its beginning."""
    content = path.read_bytes()
    if b"\0" in content or content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise ValueError("it is in UTF-16, or no text at all; save it as text in UTF-8")
    try:
        content.decode()
    except UnicodeDecodeError as error:
        line = 1 + content.count(b"\n", 0, error.start)
        raise ValueError(
            f"line {line} is not in UTF-8 but in another encoding, such as Latin-1, or no text at "
            "all; save it as text in UTF-8"
        ) from error
    return content.removeprefix(codecs.BOM_UTF8)


def _is_digits(cell: str) -> bool:
    """Whether it is a plain number; `isdigit` alone is true of "²" too."""
    return cell.isascii() and cell.isdigit()


def _as_number(cell: str) -> int:
    """Any number that has too many digits is larger than all rows."""
    return int(cell or 0) if len(cell) < 19 else np.iinfo(np.int64).max


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
    return [
        int(part) if number % 2 else part.casefold()
        for number, part in enumerate(re.split(r"([0-9]+)", name))
    ]


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


@contextmanager
def readable(path: Path, what: str) -> Iterator[None]:
    """Let whatever is wrong with a file be a one-line ValueError that names it."""
    try:
        yield
    except (OSError, ValueError, EOFError, OverflowError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or str(error).strip().partition("\n")[0]
        raise ValueError(f"{str(path)!r} cannot be read as {what}: {reason}") from error

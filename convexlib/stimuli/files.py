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
    of_concept: Mapping[str, Sequence[Path]], *, broken: Broken
) -> dict[str, tuple[None, pd.DataFrame]]:
    """All images as the test split, and the first image of each concept as its reference.

    Parameters
    ----------
    of_concept : mapping
        Files of the images of each concept.
    broken : {"error", "skip"}
        Whether an image that cannot be read is an error or is left out with a warning.

    Raises
    ------
    ValueError
        If an image cannot be read, or none of a concept can.
    """
    labels = pd.DataFrame(
        [(concept, str(path)) for concept, paths in of_concept.items() for path in paths],
        columns=[CONCEPT, PATH],
    )
    whole = [str(path) for path in check_images(labels[PATH], broken=broken)]
    labels = labels[labels[PATH].isin(whole)].reset_index(drop=True)
    lost = [concept for concept in of_concept if concept not in set(labels[CONCEPT])]
    if lost:
        raise ValueError(
            f"no image of concept {lost[0]!r} can be read ({len(lost)} such concepts); give at "
            "least one whole image of each"
        )
    references = labels.drop_duplicates(CONCEPT).reset_index(drop=True)
    return {"test": (None, labels), "reference": (None, references)}


def read_triplets(path: Path, names: Sequence[str]) -> np.ndarray:
    """Triplets from a text file: three concepts a line, the odd one last.

    Parameters
    ----------
    path : Path
        Separated by blanks, tabs or commas. Concepts are given by name, or all by number, from 0.
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
    with _readable(path, "triplets"):
        with path.open(encoding="utf-8-sig") as file:
            separator = "," if "," in file.readline() else r"\s+"
        table = pd.read_csv(
            path, sep=separator, header=None, skipinitialspace=True, keep_default_na=False
        )
    if table.shape[1] != 3 or table.isin([""]).to_numpy().any() or table.isna().to_numpy().any():
        raise ValueError(
            f"{str(path)!r} has {table.shape[1]} columns, or a line that is shorter; give three "
            "concepts a line, the odd one last"
        )
    if all(kind.kind in "iu" for kind in table.dtypes):
        triplets = table.to_numpy(dtype=np.int64)
    else:
        table = table.astype(str)
        triplets = table.apply(pd.Index(names).get_indexer).to_numpy()
        if (triplets < 0).any():
            line, column = np.argwhere(triplets < 0)[0]
            raise ValueError(
                f"{str(path)!r}, line {line + 1}: {table.iloc[line, column]!r} is no concept; "
                f"give names such as {names[0]!r}, or whole numbers from 0 to {len(names) - 1}"
            )
    try:
        return checks.triplets(triplets, len(names))
    except ValueError as error:
        raise ValueError(f"{str(path)!r}: {error}") from error


def read_similarity(path: Path, names: Sequence[str]) -> np.ndarray:
    """A matrix of similarities, larger for more alike.

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
    with _readable(path, "similarities"):
        if path.suffix == ".npy":
            matrix = np.load(path, allow_pickle=False)
        else:
            table = pd.read_csv(path, index_col=0)
            unknown = [str(name) for name in table.index if str(name) not in set(names)]
            if unknown:
                raise ValueError(f"{unknown[0]!r} is no concept; give names as {names[0]!r}")
            matrix = table.reindex(index=names, columns=names).to_numpy()
        matrix = matrix.astype(float)
    if np.shape(matrix)[-1:] != (len(names),):
        raise ValueError(
            f"{str(path)!r} has shape {np.shape(matrix)}, but there are {len(names)} concepts"
        )
    if not np.isfinite(matrix).all():
        row = np.argwhere(~np.isfinite(matrix))[0][-2]
        raise ValueError(
            f"{str(path)!r} lacks a similarity of {names[row]!r}; give one for every two concepts"
        )
    try:
        return checks.similarity(matrix)
    except ValueError as error:
        raise ValueError(f"{str(path)!r}: {error}") from error


@contextmanager
def _readable(path: Path, what: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, EOFError) as error:
        reason = getattr(error, "strerror", None) or str(error).partition("\n")[0]
        raise ValueError(f"{str(path)!r} cannot be read as {what}: {reason}") from error

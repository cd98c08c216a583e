"""One's own images, a folder a category, and one's own judgments of them."""

import stat
import unicodedata
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import BaseModel, Field, model_validator

from convexlib import data, store
from convexlib.data import FilePath, files
from convexlib.data.images import Broken, suffixes

# What systems and programs leave in folders, and texts that stand beside images: of these no word
# is needed.
_LITTER = (
    "thumbs.db",
    "ehthumbs.db",
    "desktop.ini",
    "icon\r",
    "__macosx",
    "@eadir",
    "$recycle.bin",
)
_TEXTS = ".txt .md .rst .csv .tsv .json .yaml .yml .xml .xmp .html .ini .log .npy .npz .mat .xlsx"
_NAMES_OF_TEXTS = ("readme", "license", "licence")


class PassedOverWarning(UserWarning):
    """Among the images are files that are none, or lie where no image is looked for."""


def find_images(folder: Path) -> dict[str, tuple[str, list[Path]]]:
    """Category and images of each concept.

    Parameters
    ----------
    folder : Path
        Holds a folder a category. In it, each image is a concept of its own, called as the file
        without its suffix; or each folder is a concept with several images, of which the first by
        name is the reference. An image is what PIL reads, by its suffix. Hidden files and texts
        are passed over.

    Returns
    -------
    dict
        Concepts in the order of their names, in which judgments number them. Letters with accents
        are composed, as `files.plain` has them.

    Raises
    ------
    ValueError
        If there is no such folder, no two categories, two concepts or categories of one name, or
        something that cannot be read or named.

    Warns
    -----
    PassedOverWarning
        If other files are passed over, or folders without images.
    """
    with files.readable(folder, "a folder"):
        is_folder = folder.is_dir()
    if not is_folder:
        raise ValueError(f"stimuli.images {str(folder)!r} is no folder; give one of folders")
    found: dict[str, tuple[str, list[Path]]] = {}
    categories: dict[str, Path] = {}
    passed_over = []
    for category in _visible(folder):
        if not category.is_dir():
            passed_over.append(category)
            continue
        name = files.plain(category.name)
        if other := categories.get(name):
            raise ValueError(_twice(folder, "categories", name, category, other))
        categories[name] = category
        for concept, images, others in _concepts(category):
            passed_over += others
            if images and concept in found:
                other = found[concept][1][0]
                raise ValueError(_twice(folder, "concepts", concept, images[0], other))
            if images:
                found[concept] = name, images
    said = _said_of([path for path in passed_over if not _is_text(path)], folder)
    if len({category for category, _ in found.values()}) < 2:
        raise ValueError(
            f"{str(folder)!r} has no images in two categories; give a folder a category, with "
            "images, or with a folder of images a concept" + (said and f"; {said}")
        )
    if said:
        warnings.warn(
            f"{said}, and judgments by number do not count them; remove them, or make them JPEG or "
            "PNG, in the folder of a category or of a concept in it",
            PassedOverWarning,
            stacklevel=2,
        )
    return dict(sorted(found.items()))


def _concepts(category: Path) -> Iterator[tuple[str, list[Path], list[Path]]]:
    """Name, images, and what else is there, of all that lies in the folder of a category."""
    pictures = suffixes()
    entries = _visible(category)
    if not entries:
        yield "", [], [category]
    for entry in entries:
        inside = _visible(entry) if entry.is_dir() else [entry]
        images = [path for path in inside if path.suffix.lower() in pictures and not path.is_dir()]
        others = sorted({*inside} - {*images})
        if entry.is_dir() and not images:
            others.append(entry)
        yield files.plain(entry.name if entry.is_dir() else entry.stem), images, others


def _is_text(path: Path) -> bool:
    name, suffix = path.name.lower(), path.suffix.lower()
    return not path.is_dir() and (name in _NAMES_OF_TEXTS or suffix in _TEXTS.split())


def _twice(folder: Path, what: str, name: str, *paths: Path) -> str:
    return (
        f"{str(folder)!r} has two {what} called {name!r}, {str(paths[0])!r} and {str(paths[1])!r}; "
        "rename one"
    )


def _said_of(passed_over: Sequence[Path], folder: Path) -> str:
    if not passed_over:
        return ""
    first = min(path.relative_to(folder).as_posix() for path in passed_over)
    return (
        f"{str(folder)!r} holds {len(passed_over)} files or folders that are no image that can be "
        f"read, or lie where none is looked for, the first {first!r}; they are passed over"
    )


class SetOfJudgments(BaseModel):
    """Human judgments by one method, in one file.

    Of judgments as a matrix of similarities, at most `n_triplets` triplets are drawn.
    """

    model_config = data.Stimuli.model_config

    triplets: FilePath | None = None
    similarity: FilePath | None = None
    n_triplets: int = Field(100_000, ge=100)

    @model_validator(mode="after")
    def _by_one_file(self) -> "SetOfJudgments":
        if (self.triplets is None) == (self.similarity is None):
            raise ValueError("give human judgments as triplets or as similarity, one of the two")
        return self

    @property
    def file(self) -> Path:
        """The file, which is there."""
        file = self.triplets or self.similarity
        with files.readable(file, "judgments"):
            is_file = file.is_file()
        if not is_file:
            raise ValueError(f"{str(file)!r}, the file of judgments, is missing; correct its path")
        return file

    def depends_on(self) -> dict[str, Any]:
        """The file by its content."""
        with files.readable(self.file, "judgments"):
            content = store.of_files([self.file])
        return {"similarity" if self.similarity else "triplets": content, "n": self.n_triplets}

    def read(self, names: list[str], seed: int) -> tuple[np.ndarray, np.ndarray | None]:
        """Triplets, and the similarities that people gave, if it was these, (n_people, n, n)."""
        from convexlib.alignment import triplets_from_similarity

        if self.triplets:
            return files.read_triplets(self.file, names), None
        people = files.read_similarity(self.file, names)
        return triplets_from_similarity(
            people, n_triplets=self.n_triplets, random_state=seed
        ), people

    def judgments(self, names: list[str], place: np.ndarray, seed: int) -> data.Judgments:
        """As given, without concepts whose place is -1; of triplets no similarity is known."""
        from convexlib.alignment import noise_ceiling
        from convexlib.concepts import nonmetric_mds

        triplets, people = self.read(names, seed)
        triplets = place[triplets]
        triplets = triplets[(triplets >= 0).all(axis=1)]
        judged = data.Judgments(triplets)
        repeated = len(np.unique(np.sort(triplets, axis=1), axis=0)) < len(triplets)
        if repeated and (people is None or len(people) > 1):
            judged = judged._replace(ceiling=noise_ceiling(triplets))
        if people is not None:
            kept = place >= 0
            similarity = people.mean(axis=0)[np.ix_(kept, kept)]
            scaled = nonmetric_mds(similarity)
            judged = judged._replace(
                similarity=similarity,
                dimensions=scaled.coordinates,
                stress=scaled.stress,
                method=data.RATED,
            )
        return judged


class Stimuli(data.Stimuli):
    """One's own images, a folder a category, and one's own judgments, a file a set.

    A single set may do without a name: then its keys stand beside `images`. Transforms are fitted
    to the first.
    """

    kind: Literal["folder"]
    images: FilePath
    judgments: dict[str, SetOfJudgments] = Field(min_length=1)
    broken: Broken = "error"

    @model_validator(mode="before")
    @classmethod
    def _one_set_needs_no_name(cls, given: Any) -> Any:
        if isinstance(given, dict) and "judgments" not in given:
            one = {key: given[key] for key in SetOfJudgments.model_fields if key in given}
            others = {key: value for key, value in given.items() if key not in one}
            return others | {"judgments": {"judgments": one}}
        return given

    @property
    def extent(self) -> tuple[int, int]:
        found = find_images(self.images).values()
        return len(found), min(len(paths) for _, paths in found)

    @property
    def n_sets(self) -> int:
        return len(self.judgments)

    @property
    def root(self) -> Path:
        return self.images

    def check(self) -> None:
        """Read the judgments, so that a mistake in them shows before anything is computed."""
        names = [*find_images(self.images)]
        for judged in self.judgments.values():
            judged.read(names, self.seed)

    def splits(self) -> dict[str, tuple[None, pd.DataFrame]]:
        """All images, and the first of each concept as its reference; read one by one."""
        of_concept = {name: paths for name, (_, paths) in find_images(self.images).items()}
        return files.splits(of_concept, self.images, broken=self.broken)

    def images_depend_on(self) -> dict[str, Any]:
        """Names, sizes and times of change."""
        paths = [path for _, of_one in find_images(self.images).values() for path in of_one]
        return {"files": files.stamps(paths, self.images), "broken": self.broken}

    def judgments_depend_on(self) -> dict[str, Any]:
        """The files by their contents, in order, and all settings but where they lie."""
        sets = [[name, judged.depends_on()] for name, judged in self.judgments.items()]
        return {"sets": sets, "broken": self.broken, "seed": self.seed}

    def human(self, of_test: pd.DataFrame, of_reference: pd.DataFrame) -> data.Human:
        """The judgments as given; those of concepts that were left out are left out too."""
        names = of_reference[self.CONCEPT].tolist()
        category = {name: category for name, (category, _) in find_images(self.images).items()}
        place = pd.Index(names).get_indexer(list(category))
        return data.Human(
            names=names,
            shown=pd.Index(names).get_indexer(of_test[self.CONCEPT]),
            categories=pd.get_dummies(of_test[self.CONCEPT].map(category), dtype=bool),
            sets={
                name: judged.judgments(list(category), place, self.seed)
                for name, judged in self.judgments.items()
            },
        )


def _visible(folder: Path) -> list[Path]:
    """What lies in a folder by its name, all of it files and folders that can be read."""
    with files.readable(folder, "a folder"):
        paths = sorted(folder.iterdir(), key=lambda path: files.plain(path.name))
    found = [path for path in paths if path.name[0] != "." and path.name.lower() not in _LITTER]
    for path in found:
        _check_entry(path)
    return found


def _check_entry(path: Path) -> None:
    """Raise a one-line ValueError for what could not be read, or not be named in a table."""
    strange = any(unicodedata.category(letter) in ("Cc", "Cs") for letter in path.name)
    if strange or not files.plain(path.stem):
        raise ValueError(
            f"the name of {str(path)!r} is blank, not in UTF-8, or holds a control character; "
            "rename it"
        )
    with files.readable(path, "an image or a folder"):
        mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        if path.is_symlink() and path.parent.resolve().is_relative_to(path.resolve()):
            raise ValueError(f"{str(path)!r} links to a folder that it lies in; remove it")
    elif not stat.S_ISREG(mode):
        raise ValueError(f"{str(path)!r} is neither a file nor a folder; remove it")

"""One's own images, a folder a category, and one's own judgments of them."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from convexlib import store
from convexlib.settings import FolderStimuli
from convexlib.stimuli import Judged, files

CONCEPT = files.CONCEPT

WORDS = {
    "concept": "concept",
    "concepts": "concepts",
    "category": "category",
    "categories": "categories",
}

MAY_SHOW = True

SOURCES = ()

_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".avif", ".tif", ".tiff", ".bmp", ".gif")


def find_images(folder: Path) -> dict[str, tuple[str, list[Path]]]:
    """Category and images of each concept.

    Parameters
    ----------
    folder : Path
        Holds a folder a category. In it, each image is a concept of its own, called as the file
        without its suffix; or each folder is a concept with several images, of which the first by
        name is the reference. Hidden files, and those that are no images, are passed over.

    Returns
    -------
    dict
        Concepts in the order of their names, in which judgments number them.

    Raises
    ------
    ValueError
        If there is no such folder, no two categories, or two concepts of one name.
    """
    if not folder.is_dir():
        raise ValueError(f"stimuli.images {str(folder)!r} is no folder; give one of folders")
    found: dict[str, tuple[str, list[Path]]] = {}
    for category in (path for path in _visible(folder) if path.is_dir()):
        for entry in _visible(category):
            inside = _visible(entry) if entry.is_dir() else [entry]
            images = [path for path in inside if path.suffix.lower() in _SUFFIXES]
            concept = entry.name if entry.is_dir() else entry.stem
            if images and concept in found:
                raise ValueError(
                    f"{str(folder)!r} has two concepts called {concept!r}, {str(images[0])!r} and "
                    f"{str(found[concept][1][0])!r}; rename one"
                )
            if images:
                found[concept] = category.name, images
    if len({category for category, _ in found.values()}) < 2:
        raise ValueError(
            f"{str(folder)!r} has no images in two categories; give a folder a category, with "
            "images, or with a folder of images a concept"
        )
    return dict(sorted(found.items()))


def check(settings: FolderStimuli) -> None:
    """Read the judgments, so that a mistake in them shows before anything is computed."""
    _judgments(settings)


def root(settings: FolderStimuli) -> Path:
    """From where the files of the images are named."""
    return settings.images


def splits(settings: FolderStimuli) -> dict[str, tuple[None, pd.DataFrame]]:
    """All images, and the first of each concept as its reference; files are read one by one."""
    of_concept = {name: paths for name, (_, paths) in find_images(settings.images).items()}
    return files.splits(of_concept, settings.images, broken=settings.broken)


def images_depend_on(settings: FolderStimuli) -> dict[str, Any]:
    """Names, sizes and times of change."""
    found = find_images(settings.images)
    paths = [path for _, of_concept in found.values() for path in of_concept]
    return {"files": files.stamps(paths, settings.images), "broken": settings.broken}


def judgments_depend_on(settings: FolderStimuli) -> dict[str, Any]:
    """The file, and which triplets are drawn."""
    drawn = settings.model_dump(include={"seed", "n_triplets"})
    return drawn | store.of_files([_file(settings)])


def judged(settings: FolderStimuli, of_test: pd.DataFrame, of_reference: pd.DataFrame) -> Judged:
    """The judgments as given; of triplets no similarity is known, nor dimensions.

    What people judged of concepts that were left out is left out too.
    """
    from convexlib.concepts import nonmetric_mds
    from convexlib.judgments import noise_ceiling

    names = of_reference[CONCEPT].tolist()
    category = {name: category for name, (category, _) in find_images(settings.images).items()}
    triplets, people = _judgments(settings)
    place = pd.Index(names).get_indexer(list(category))
    triplets = place[triplets]
    triplets = triplets[(triplets >= 0).all(axis=1)]
    judged = Judged(
        categories=pd.get_dummies(of_test[CONCEPT].map(category), dtype=bool),
        concepts=pd.Index(names).get_indexer(of_test[CONCEPT]),
        names=names,
        triplets=triplets,
    )
    repeated = len(np.unique(np.sort(triplets, axis=1), axis=0)) < len(triplets)
    if repeated and (people is None or len(people) > 1):
        judged = judged._replace(ceiling=noise_ceiling(triplets))
    if people is None:
        return judged
    kept = place >= 0
    similarity = people.mean(axis=0)[np.ix_(kept, kept)]
    scaled = nonmetric_mds(similarity)
    return judged._replace(
        similarity=similarity, dimensions=scaled.coordinates, stress=scaled.stress
    )


def _judgments(settings: FolderStimuli) -> tuple[np.ndarray, np.ndarray | None]:
    """Triplets, and the similarities that people gave, if it was these, (n_people, n, n)."""
    from convexlib.judgments import triplets_from_similarity

    names = list(find_images(settings.images))
    if settings.triplets:
        return files.read_triplets(_file(settings), names), None
    people = files.read_similarity(_file(settings), names)
    triplets = triplets_from_similarity(
        people, n_triplets=settings.n_triplets, random_state=settings.seed
    )
    return triplets, people


def _file(settings: FolderStimuli) -> Path:
    file = settings.triplets or settings.similarity
    if not file.is_file():
        raise ValueError(f"{str(file)!r}, the file of judgments, is missing; correct its path")
    return file


def _visible(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))

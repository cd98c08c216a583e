"""One's own images, a folder a category, and one's own judgments of them."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

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


def find_images(folder: Path) -> dict[str, tuple[str, list[Path]]]:
    """Category and images of each concept.

    Parameters
    ----------
    folder : Path
        Holds a folder a category. In it, each image is a concept of its own, called as the file
        without its suffix; or each folder is a concept with several images, of which the first by
        name is the reference. Other files are passed over.

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
    suffixes = set(Image.registered_extensions())
    found: dict[str, tuple[str, list[Path]]] = {}
    for category in sorted(path for path in folder.iterdir() if path.is_dir()):
        for entry in sorted(path for path in category.iterdir() if path.name[0] != "."):
            inside = sorted(entry.iterdir()) if entry.is_dir() else [entry]
            images = [path for path in inside if path.suffix.lower() in suffixes]
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


def splits(settings: FolderStimuli) -> dict[str, tuple[None, pd.DataFrame]]:
    """All images, and the first of each concept as its reference; files are read one by one."""
    found = find_images(settings.images)
    _judgments(settings, list(found))  # a mistake in them shows before the long work
    of_concept = {concept: paths for concept, (_, paths) in found.items()}
    return files.splits(of_concept, broken=settings.broken)


def depends_on(settings: FolderStimuli) -> dict[str, Any]:
    """Names, sizes and times of change of the images, and the file of judgments."""
    found = find_images(settings.images)
    paths = [path for _, of_concept in found.values() for path in of_concept]
    stamps = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in paths]
    return {"images": stamps, "judgments": store.of_files([_file(settings)])}


def judged(settings: FolderStimuli, of_test: pd.DataFrame, of_reference: pd.DataFrame) -> Judged:
    """The judgments as given; of triplets no similarity is known, nor dimensions."""
    from convexlib.concepts import nonmetric_mds
    from convexlib.judgments import noise_ceiling

    names = of_reference[CONCEPT].tolist()
    category = {name: category for name, (category, _) in find_images(settings.images).items()}
    triplets, people = _judgments(settings, names)
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
    similarity = people.mean(axis=0)
    scaled = nonmetric_mds(similarity)
    return judged._replace(
        similarity=similarity, dimensions=scaled.coordinates, stress=scaled.stress
    )


def _judgments(settings: FolderStimuli, names: list[str]) -> tuple[np.ndarray, np.ndarray | None]:
    """Triplets, and the similarities that people gave, if it was these, (n_people, n, n)."""
    from convexlib.judgments import triplets_from_similarity

    if settings.triplets:
        return files.read_triplets(settings.triplets, names), None
    people = files.read_similarity(settings.similarity, names)
    drawn = settings.n_triplets if math.comb(len(names), 3) > settings.n_triplets else None
    triplets = triplets_from_similarity(people, n_triplets=drawn, random_state=settings.seed)
    return triplets, people


def _file(settings: FolderStimuli) -> Path:
    file = settings.triplets or settings.similarity
    if not file.is_file():
        raise ValueError(f"{str(file)!r}, the file of judgments, is missing; correct its path")
    return file

"""The 92 object images of Kriegeskorte et al. (2008), and how sixteen people judged them."""

from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from convexlib import downloads
from convexlib.downloads import Source
from convexlib.settings import Images92Stimuli
from convexlib.stimuli import Judged

_REPOSITORY = (
    "https://raw.githubusercontent.com/rsagroup/rsatoolbox_matlab/"
    "91ad43359c8a6355de1dd726e69038b7e798720a/Demos/92imageData"
)
_LICENCE = "Published with the RSA toolbox, for research."

IMAGES = Source(
    "images92/Kriegeskorte_Neuron2008_supplementalData.mat",
    f"{_REPOSITORY}/Kriegeskorte_Neuron2008_supplementalData.mat",
    _LICENCE,
    "kriegeskorte2008neuron",
    "06f21214399a5d43dc264eed19a7f4b8daf11c8622a59eec3e106064ce5e3504",
)
JUDGMENTS = Source(
    "images92/92_behavRDMs.mat",
    f"{_REPOSITORY}/92_behavRDMs.mat",
    _LICENCE,
    "mur2013",
    "7a8e118c144c3840adeeeef6ea0706a0be2b3e80df719af15fbb56fc62562f5f",
)
SOURCES = (IMAGES, JUDGMENTS)


CONCEPT = "object"
"""The label column that plays the role of the THINGS objects: each image shows its own."""

CATEGORY = "category"

WORDS = {
    "concept": "object",
    "concepts": "objects",
    "category": "category",
    "categories": "categories",
}

MAY_SHOW = True


def splits(settings: Images92Stimuli) -> dict[str, tuple[np.ndarray, pd.DataFrame]]:
    """The same 92 images are judged for convexity and referred to by the judgments."""
    labels = pd.DataFrame({CONCEPT: range(1, 93), CATEGORY: categories()})
    return {"test": (images(), labels), "reference": (images(), labels)}


def check(settings: Images92Stimuli) -> None:
    """Nothing can be wrong that the settings do not show."""


def images_depend_on(settings: Images92Stimuli) -> dict[str, Any]:
    """The published file."""
    return {IMAGES.path: IMAGES.sha256}


def judgments_depend_on(settings: Images92Stimuli) -> dict[str, Any]:
    """The published file, and which triplets are drawn."""
    return {JUDGMENTS.path: JUDGMENTS.sha256, **settings.model_dump()}


def judged(settings: Images92Stimuli, of_test: pd.DataFrame, of_reference: pd.DataFrame) -> Judged:
    """The judgments of all sixteen, and their mean similarity scaled in two dimensions."""
    from convexlib.concepts import nonmetric_mds
    from convexlib.judgments import noise_ceiling

    mean = human_similarity().mean(axis=0)
    scaled = nonmetric_mds(mean)
    triplets = human_triplets(settings.n_triplets, random_state=settings.seed)
    return Judged(
        categories=pd.get_dummies(of_test[CATEGORY], dtype=bool),
        concepts=np.arange(len(of_test)),
        names=[f"{name} {n}" for n, name in enumerate(of_reference[CATEGORY], start=1)],
        triplets=triplets,
        similarity=mean,
        dimensions=scaled.coordinates,
        stress=scaled.stress,
        ceiling=noise_ceiling(triplets),
    )


def images() -> np.ndarray:
    """The images, uint8 (92, 175, 175, 3), sRGB on grey.

    References
    ----------
    Kriegeskorte et al. (2008), *Matching categorical object representations in inferior temporal
    cortex of man and monkey*, Neuron 60.
    """
    return np.stack(_stimuli()["image"].tolist())


def categories() -> np.ndarray:
    """Category of each image as the authors name it, an array of 92 strings."""
    return np.array([str(category.item()) for category in _stimuli()["category"]])


def memberships() -> tuple[np.ndarray, list[str]]:
    """The authors' twelve overlapping groupings, bool (92, 12), and their names."""
    file = _mat(IMAGES)
    names = [str(name.item()) for name in file["categoryLabels"].ravel()]
    return file["categoryVectors"].astype(bool), names


def human_similarity() -> np.ndarray:
    """How similar sixteen people found each pair of images: float64 (16, 92, 92).

    What they arranged on a screen by distance is a dissimilarity; this is its negative.

    References
    ----------
    Mur et al. (2013), *Human object-similarity judgments reflect and transcend the primate-IT
    object representation*, Frontiers in Psychology 4.
    """
    people = _mat(JUDGMENTS)["rdms_behav_92"].ravel()
    return -np.stack([person["RDM"] for person in people])


def human_triplets(n_triplets: int | None = None, *, random_state: int = 0) -> np.ndarray:
    """Odd-one-out judgments of each of the sixteen, of all triplets or of so many drawn.

    Each draws from the same triplets, so the judgments have a noise ceiling.

    Returns
    -------
    ndarray of int, shape (n_judgments, 3)
        Columns 0 and 1 are the pair kept together.
    """
    from convexlib.judgments import triplets_from_similarity

    return triplets_from_similarity(
        human_similarity(), n_triplets=n_triplets, random_state=random_state
    )


@cache
def _mat(source: Source) -> dict[str, np.ndarray]:
    from scipy.io import loadmat

    path = downloads.fetch(source)
    try:
        return loadmat(path)
    except (ValueError, NotImplementedError) as error:
        raise ValueError(f"{str(path)!r} is no MATLAB file of version 5: {error}") from error


def _stimuli() -> np.ndarray:
    return _mat(IMAGES)["stimuli_92objs"].ravel()

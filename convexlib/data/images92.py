"""The 92 object images of Kriegeskorte et al. (2008), and how sixteen people judged them."""

from functools import cache
from typing import Any, ClassVar, Literal

import numpy as np
import pandas as pd
from pydantic import Field

from convexlib import data
from convexlib.data import downloads
from convexlib.data.downloads import Source

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
    megabytes=3.6,
)
JUDGMENTS = Source(
    "images92/92_behavRDMs.mat",
    f"{_REPOSITORY}/92_behavRDMs.mat",
    _LICENCE,
    "mur2013",
    "7a8e118c144c3840adeeeef6ea0706a0be2b3e80df719af15fbb56fc62562f5f",
    megabytes=0.98,
)


class Stimuli(data.Stimuli):
    """Of how many triplets of the 92 images the judgments of each of the sixteen people count."""

    CONCEPT: ClassVar = "object"  # each image shows its own
    WORDS: ClassVar = data.Stimuli.WORDS | {
        "concept": "object",
        "concepts": "objects",
        "units": "objects",
    }
    SOURCES: ClassVar = (IMAGES, JUDGMENTS)
    REPEATED: ClassVar = True

    kind: Literal["images92"]
    n_triplets: int = Field(ge=100)

    @property
    def extent(self) -> tuple[int, int]:
        return 92, 1

    def splits(self) -> dict[str, tuple[np.ndarray, pd.DataFrame]]:
        """The same 92 images are judged for convexity and referred to by the judgments."""
        labels = pd.DataFrame({self.CONCEPT: range(1, 93), "category": categories()})
        return {"test": (images(), labels), "reference": (images(), labels)}

    def images_depend_on(self) -> dict[str, Any]:
        return {IMAGES.path: IMAGES.sha256}

    def judgments_depend_on(self) -> dict[str, Any]:
        return {JUDGMENTS.path: JUDGMENTS.sha256, **self.model_dump()}

    def human(self, of_test: pd.DataFrame, of_reference: pd.DataFrame) -> data.Human:
        """The judgments of all sixteen, and their mean similarity scaled in two dimensions."""
        from convexlib.alignment import noise_ceiling
        from convexlib.concepts import nonmetric_mds

        mean = human_similarity().mean(axis=0)
        scaled = nonmetric_mds(mean)
        triplets = human_triplets(self.n_triplets, random_state=self.seed)
        judged = data.Judgments(
            triplets,
            mean,
            scaled.coordinates,
            scaled.stress,
            noise_ceiling(triplets),
            method=data.ARRANGED,
        )
        return data.Human(
            names=[f"{name} {n}" for n, name in enumerate(of_reference["category"], start=1)],
            shown=np.arange(len(of_test)),
            categories=pd.get_dummies(of_test["category"], dtype=bool),
            sets={"sixteen people": judged},
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
    from convexlib.alignment import triplets_from_similarity

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

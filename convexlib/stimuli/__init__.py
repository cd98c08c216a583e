"""Images, their labels and what people judged of them: one module a kind of study.

Each module has:

- `check(settings)`: raises a one-line ValueError if something is wrong that can be seen at once.
- `splits(settings)`: images and labels of every split, at least "test", whose classes are judged
  for convexity, and "reference", to which the judgments refer. Images are an array, or None where
  the labels have a column `PATH` with the file of each, as seen from `root(settings)`.
- `judged(settings, of_test, of_reference)`: what people judged, from the labels of these two.
- `images_depend_on(settings)`, `judgments_depend_on(settings)`: all that these depend on but code.
- `CONCEPT`: the column of the labels that names the concept.
- `WORDS`: what concepts and categories are called.
- `MAY_SHOW`: whether a page may show the images.
- `SOURCES`: the files that it needs from the network.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd

PATH = "path"
"""The label column that holds the file of an image."""


class Judged(NamedTuple):
    """What is known of the images, and what people judged.

    Attributes
    ----------
    categories : DataFrame of bool, shape (n_images, n_categories)
        Which image belongs to which category; to several, or to none, it may.
    concepts : ndarray of int, shape (n_images,)
        Concept of each image, a row of the reference images.
    names : list of str
        Of the concepts.
    triplets : ndarray of int, shape (n_triplets, 3)
        Human judgments of the reference images.
    similarity : ndarray of shape (n_concepts, n_concepts), optional
        Human similarity of the reference images.
    dimensions : ndarray of shape (n_concepts, n_dimensions), optional
        A human embedding of the reference images.
    stress : float, optional
        How badly the embedding fits the similarity, if it was scaled from it.
    ceiling : tuple of two floats, optional
        Lower and upper noise ceiling of the odd-one-out accuracy.
    """

    categories: pd.DataFrame
    concepts: np.ndarray
    names: list[str]
    triplets: np.ndarray
    similarity: np.ndarray | None = None
    dimensions: np.ndarray | None = None
    stress: float = float("nan")
    ceiling: tuple[float, float] | None = None

    @property
    def category_of_concept(self) -> pd.DataFrame:
        """Categories of each concept, those of its first image, (n_concepts, n_categories)."""
        first = np.unique(self.concepts, return_index=True)[1]
        return self.categories.iloc[first].reset_index(drop=True)

    @property
    def ends(self) -> list[str]:
        """Names of the positive ends of the human dimensions, then of the negative ones."""
        ends = [*self.dimensions.argmax(axis=0), *self.dimensions.argmin(axis=0)]
        n_dimensions = self.dimensions.shape[1]
        return [
            f"dimension {1 + column % n_dimensions}, towards {self.names[farthest]}"
            for column, farthest in enumerate(ends)
        ]

    @property
    def n_images(self) -> int:
        """Images of the concept that has fewest."""
        return int(np.bincount(self.concepts).min())

"""Images, their labels and what people judged of them: one module a kind of study.

Each module has `splits(settings)`, which gives the images and labels of every split (at least
"test", whose classes are judged for convexity, and "reference", to which the judgments refer),
`judged(settings, of_test, of_reference)`, which gives what people judged, from the labels of these
two splits, `CONCEPT`, the column of the labels that names the concept, `WORDS`, what concepts and
categories are called, and `SOURCES`, the files that it needs from the network.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd


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
    similarity : ndarray of shape (n_concepts, n_concepts)
        Human similarity of the reference images.
    dimensions : ndarray of shape (n_concepts, n_dimensions)
        A human embedding of the reference images.
    stress : float
        How badly the embedding fits the judgments.
    """

    categories: pd.DataFrame
    concepts: np.ndarray
    names: list[str]
    triplets: np.ndarray
    similarity: np.ndarray
    dimensions: np.ndarray
    stress: float

    @property
    def category_of_concept(self) -> pd.DataFrame:
        """Categories of each concept, those of its first image, (n_concepts, n_categories)."""
        first = np.unique(self.concepts, return_index=True)[1]
        return self.categories.iloc[first].reset_index(drop=True)

    @property
    def n_images(self) -> int:
        """Images of the concept that has fewest."""
        return int(np.bincount(self.concepts).min())

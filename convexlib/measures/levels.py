"""Odd-one-out accuracy on what a teacher of AligNet does not know, at three levels of abstraction.

A teacher knows the judgments of the first fold. Levels are told by the categories of the three
objects: all different ("across"), all the same ("within"), or two and one ("boundary").
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial.distance import cdist
from scipy.stats import spearmanr
from sklearn.metrics.pairwise import cosine_similarity

from convexlib import checks, layers
from convexlib.alignment import CHANCE
from convexlib.layers import ORIGINAL, Layer, Measure, Row
from convexlib.triplets import LEVELS, levels

MEASURES = {
    "unseen_odd_one_out": Measure("odd-one-out accuracy\n(new objects)", chance=CHANCE),
    "unseen_dot": Measure("odd-one-out accuracy\n(dot product, new objects)", chance=CHANCE),
    "unseen_rsa": Measure("RSA\n(pairs with a new object)", (-1, 1), chance=0.0),
}

FEWEST_PAIRS = 5
"""From which on a correlation is told."""

LEVEL = "level"
"""The kind of rows that are about one level."""


def rows(layer: Layer) -> Iterator[Row]:
    """With each set of judgments: of all its triplets, and at each level that has any.

    Also by the dot product, by which teachers speak; and the rank correlation of similarities,
    where people's are known, over pairs with an object that the teacher does not know.
    """
    groups = category_of(layer.human.category_of_reference)
    told, _ = layers.first_fold(layer.human, layer.options)
    for name, judged in layer.human.sets.items():
        if judged.similarity is not None:
            value, n = _rsa(layer, judged.similarity, np.unique(told))
            yield Row("unseen_rsa", ORIGINAL, value, n, judgments=name)
        _, unseen = layers.parted(judged.triplets, told)
        if not len(unseen):
            continue
        scores, level = layers.scores(layer, layer.reference, unseen), levels(unseen, groups)
        yield Row("unseen_odd_one_out", ORIGINAL, scores.mean(), len(scores), judgments=name)
        dots = layers.scores(layer, layer.reference, unseen, "dot")
        yield Row("unseen_dot", ORIGINAL, dots.mean(), len(dots), judgments=name)
        for number, called in enumerate(LEVELS):
            if (at := level == number).any():
                of_level = LEVEL, called, name
                yield Row(
                    "unseen_odd_one_out", ORIGINAL, scores[at].mean(), int(at.sum()), *of_level
                )


def _rsa(layer: Layer, similarity: np.ndarray, told: np.ndarray) -> tuple[float, int]:
    """Over pairs, and how many there are; NaN where similarities are all alike."""
    known = np.isin(np.arange(len(similarity)), told)
    pairs = np.triu(np.isfinite(similarity) & ~(known[:, None] & known), 1)
    X = layer.reference
    if layer.similarity == "euclidean":
        own = -cdist(X, X)
    else:
        own = cosine_similarity(X) if layer.similarity == "cosine" else X @ X.T
    own, human = own[pairs], similarity[pairs]
    if checks.alike(X) or len(own) < FEWEST_PAIRS or not (np.ptp(own) and np.ptp(human)):
        return np.nan, len(own)
    return float(spearmanr(own, human).statistic), len(own)


def category_of(membership: ArrayLike) -> np.ndarray:
    """Number of the one category of each object, -1 where it has none or several."""
    members = np.asarray(membership, dtype=bool)
    return np.where(members.sum(axis=1) == 1, members.argmax(axis=1), -1)

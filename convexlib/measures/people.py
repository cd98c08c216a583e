"""How well each person's choices are told, where it is known who judged."""

from collections.abc import Iterator

import numpy as np

from convexlib import layers
from convexlib.layers import ORIGINAL, Layer, Row

MEASURES: dict = {}

OF_PERSON = "person"
"""The measure and the kind of all rows, whose concept is the number of the person."""


def rows(layer: Layer) -> Iterator[Row]:
    """One a person and set of judgments."""
    for name, judged in layer.human.sets.items():
        if judged.judges is None:
            continue
        scores = layers.scores(layer, layer.reference, judged.triplets)
        counts = np.bincount(judged.judges)
        sums = np.bincount(judged.judges, scores)
        for person in np.flatnonzero(counts).tolist():
            value, n = float(sums[person] / counts[person]), int(counts[person])
            yield Row(OF_PERSON, ORIGINAL, value, n, OF_PERSON, str(person), name)

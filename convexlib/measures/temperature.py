"""The temperature at which similarities make people's choices most likely."""

from collections.abc import Iterator

import numpy as np

from convexlib import layers
from convexlib.alignment import fit_temperature
from convexlib.layers import ORIGINAL, Layer, Measure, Row

MEASURES = {"temperature": Measure("temperature", limits=(0, np.inf), higher_is_better=None)}


def rows(layer: Layer) -> Iterator[Row]:
    """With each set of judgments."""
    for name, judged in layer.human.sets.items():
        value = layers.defined(
            fit_temperature,
            layer.reference,
            judged.triplets,
            if_alike=np.inf,
            similarity=layer.similarity,
        )
        yield Row("temperature", ORIGINAL, value, len(judged.triplets), judgments=name)

"""Odd-one-out accuracy on judgments that a transform was not fitted to, before and after it."""

from collections.abc import Iterator

import numpy as np

from convexlib import layers
from convexlib.alignment import CHANCE
from convexlib.layers import Layer, Measure, Row

MEASURES = {
    "other_half_odd_one_out": Measure("odd-one-out accuracy\n(other judgments)", chance=CHANCE)
}


def rows(layer: Layer) -> Iterator[Row]:
    """Fitted to one half of the judgments, judged by the other."""
    for space in layers.spaces(layer):
        if space.fits is None:
            yield Row("other_half_odd_one_out", space.name, np.nan, 0)
            continue
        scores = np.concatenate(
            [layers.scores(layer, space.map(f, layer.reference), t) for f, t in space.fits.halves]
        )
        yield Row("other_half_odd_one_out", space.name, scores.mean(), len(scores))

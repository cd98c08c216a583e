"""Odd-one-out accuracy on concepts that a transform was not fitted to, before and after it."""

from collections.abc import Iterator

import numpy as np

from convexlib import layers
from convexlib.alignment import CHANCE
from convexlib.layers import Layer, Measure, Row

MEASURES = {
    "held_out_odd_one_out": Measure("odd-one-out accuracy\n(held-out {units})", chance=CHANCE),
    "held_out_dot": Measure("odd-one-out accuracy\n(dot product, held-out {units})", chance=CHANCE),
}


def rows(layer: Layer) -> Iterator[Row]:
    """By the similarity of the study, and by the dot product, with which transforms are fitted."""
    for space in layers.spaces(layer):
        if space.fits is None:
            yield from (Row(measure, space.name, np.nan, 0) for measure in MEASURES)
            continue
        folds, reference = space.fits.folds, layer.reference
        triplets = np.concatenate([unseen for _, unseen in folds])
        scores = np.concatenate(
            [layers.scores(layer, space.map(f, reference), t) for f, t in folds]
        )
        dots = np.concatenate(
            [layers.scores(layer, space.scale(f, reference), t, "dot") for f, t in folds]
        )
        yield Row("held_out_odd_one_out", space.name, scores.mean(), len(scores))
        yield from layers.by_concept(layer, "held_out_odd_one_out", space.name, scores, triplets)
        yield Row("held_out_dot", space.name, dots.mean(), len(triplets))

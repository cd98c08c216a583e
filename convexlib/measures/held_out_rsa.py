"""RSA on concepts that a transform was not fitted to, before and after it."""

from collections.abc import Iterator

import numpy as np

from convexlib import layers
from convexlib.layers import Layer, Measure, Row, mean

MEASURES = {"held_out_rsa": Measure("RSA\n(held-out {units})", limits=(-0.5, 1))}


def rows(layer: Layer) -> Iterator[Row]:
    """Mean over folds; n counts folds. NaN where a fold has a concept without similarities."""
    human = layer.human.judgments.similarity
    for space in layers.spaces(layer):
        if space.fits is None:
            yield Row("held_out_rsa", space.name, np.nan, 0)
            continue
        values = []
        for fitted, unseen in space.fits.folds if human is not None else ():
            features, held_out = space.map(fitted, layer.reference), np.unique(unseen)
            if np.isnan(layers.scores(layer, features, unseen)).any():
                values = []  # of the other concepts alone it would be another measure
                break
            similarity = human[np.ix_(held_out, held_out)]
            values.append(layers.rsa(layer, features[held_out], similarity))
        yield Row("held_out_rsa", space.name, mean(values), int(np.isfinite(values).sum()))

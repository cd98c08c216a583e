"""Graph convexity on concepts that a transform was not fitted to, before and after it."""

from collections.abc import Iterator

import numpy as np

from convexlib import layers
from convexlib.layers import Layer, Measure, Row, mean

MEASURES = {"held_out_convexity": Measure("graph convexity\n(held-out {units})")}


def rows(layer: Layer) -> Iterator[Row]:
    """Mean over folds; n counts folds."""
    for space in layers.spaces(layer):
        if space.fits is None:
            yield Row("held_out_convexity", space.name, np.nan, 0)
            continue
        values = []
        for fitted, unseen in space.fits.folds:
            images = layer.human.is_held_out(unseen)
            members = layer.human.categories[images]
            members = members.loc[:, members.sum() > 1]
            if members.shape[1] > 1:  # else there is nothing for a path to leave to
                values.append(layers.convexity(layer, space.map(fitted, layer.X[images]), members))
        yield Row("held_out_convexity", space.name, mean(values), int(np.isfinite(values).sum()))

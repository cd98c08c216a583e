"""Graph convexity under transforms that were fitted to all judgments, as in the convexity paper."""

from collections.abc import Iterator

import numpy as np

from convexlib import layers
from convexlib.layers import ORIGINAL, Layer, Row
from convexlib.measures.convexity import of_space

MEASURES: dict = {}


def rows(layer: Layer) -> Iterator[Row]:
    """The measures of `convexity` in each transformed space."""
    for space in layers.spaces(layer):
        if space.name == ORIGINAL:
            continue
        if space.fits is None:
            yield Row("convexity", space.name, np.nan, 0)
        else:
            yield from of_space(space.name, space.map(space.fits.whole, layer.X), layer)

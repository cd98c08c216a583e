"""Representational similarity: do the similarities of a layer rank as those of people do?"""

from collections.abc import Iterator
from math import comb

from convexlib import layers
from convexlib.layers import ORIGINAL, Layer, Measure, Row

MEASURES = {"rsa": Measure("RSA\n(Spearman)", limits=(-0.5, 1))}


def rows(layer: Layer) -> Iterator[Row]:
    """With each set of judgments of which similarities are known."""
    n_pairs = comb(len(layer.reference), 2)
    for name, judged in layer.human.sets.items():
        if judged.similarity is not None:
            value = layers.rsa(layer, layer.reference, judged.similarity)
            yield Row("rsa", ORIGINAL, value, n_pairs, judgments=name)

"""Representational similarity: do the similarities of a layer rank as those of people do?"""

from collections.abc import Iterator
from math import comb

from convexlib import layers
from convexlib.layers import ORIGINAL, Layer, Measure, Row

MEASURES = {"rsa": Measure("RSA\n(Spearman)", limits=(-0.5, 1))}


def rows(layer: Layer) -> Iterator[Row]:
    """With each set of judgments of which similarities are known."""
    for name, judged in layer.human.sets.items():
        if judged.similarity is not None:
            value = layers.rsa(layer, layer.reference, judged.similarity)
            n_pairs = comb(int(layers.in_similarity(judged.similarity).sum()), 2)
            yield Row("rsa", ORIGINAL, value, n_pairs, judgments=name)

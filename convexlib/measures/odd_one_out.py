"""Odd-one-out accuracy of a layer as it is (zero-shot)."""

from collections.abc import Iterator

from convexlib import layers
from convexlib.alignment import CHANCE
from convexlib.layers import ORIGINAL, Layer, Measure, Row

MEASURES = {"odd_one_out": Measure("odd-one-out\naccuracy", chance=CHANCE)}


def rows(layer: Layer) -> Iterator[Row]:
    """With each set of judgments; of the first also about each concept, category and dimension."""
    for name, judged in layer.human.sets.items():
        scores = layers.scores(layer, layer.reference, judged.triplets)
        yield Row("odd_one_out", ORIGINAL, scores.mean(), len(scores), judgments=name)
        if judged is layer.human.judgments:
            yield from layers.by_concept(layer, "odd_one_out", ORIGINAL, scores, judged.triplets)

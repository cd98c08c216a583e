"""Human dimensions of each concept, predicted from the mean representation of its images."""

from collections.abc import Iterator

import pandas as pd

from convexlib import concepts
from convexlib.layers import ORIGINAL, Layer, Row

MEASURES: dict = {}

PREDICTED = "predicted_dimension"


def rows(layer: Layer) -> Iterator[Row]:
    """One a concept and dimension, where dimensions are known."""
    dimensions = layer.human.judgments.dimensions
    if dimensions is None:
        return
    means = pd.DataFrame(layer.X).groupby(layer.human.shown).mean().to_numpy()
    predicted = concepts.predicted_dimensions(means, dimensions)
    names = layer.human.names[: len(predicted)]
    for name, of_concept in zip(names, predicted.tolist(), strict=True):
        for number, value in enumerate(of_concept, start=1):
            yield Row(PREDICTED, ORIGINAL, value, 1, f"dimension {number}", name)

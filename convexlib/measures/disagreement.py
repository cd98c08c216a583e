"""Do similarities tell how people disagree, where many judged the very same three objects?"""

from collections.abc import Iterator

import numpy as np

from convexlib import layers
from convexlib.alignment import (
    choice_counts,
    disagreement,
    fit_temperature,
    odd_one_out_probabilities,
)
from convexlib.layers import ORIGINAL, Layer, Measure, Row

MEASURES = {
    "cross_entropy": Measure(
        "cross-entropy of choices\n(nats)", (0, np.inf), chance=np.log(3), higher_is_better=False
    ),
    "entropy_correlation": Measure("rank correlation\nof entropies", (-1, 1), chance=0.0),
}


def rows(layer: Layer) -> Iterator[Row]:
    """With each set of judgments that has repeats, at the temperature that fits it best."""
    for name, judged in layer.human.sets.items():
        threes, counts = choice_counts(judged.triplets)
        repeated = counts.sum(axis=1) > 1
        if not repeated.any():
            continue
        threes, counts = threes[repeated], counts[repeated]
        options = {"if_alike": np.inf, "similarity": layer.similarity}
        warmth = layers.defined(fit_temperature, layer.reference, judged.triplets, **options)
        if np.isfinite(warmth) and warmth > 0:
            options = {"temperature": warmth, "similarity": layer.similarity}
            likely = odd_one_out_probabilities(layer.reference, threes, **options)
        else:
            likely = np.full(counts.shape, 1 / 3 if np.isposinf(warmth) else np.nan)
        for measure, value in disagreement(counts, likely)._asdict().items():
            yield Row(measure, ORIGINAL, value, len(threes), judgments=name)

"""Do similarities tell how people disagree, where many judged the very same three objects?"""

from collections.abc import Iterator

import numpy as np

from convexlib import layers
from convexlib.alignment import FEWEST_CHOICES, choice_counts, disagreement
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
        threes, counts, likely = told(layer, judged.triplets)
        if len(threes):
            for measure, value in disagreement(counts, likely)._asdict().items():
                yield Row(measure, ORIGINAL, value, len(threes), judgments=name)


def told(layer: Layer, triplets: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What people chose of each three objects, and how likely the layer holds it.

    Returns
    -------
    threes, counts : ndarray of shape (n_threes, 3)
        As `choice_counts` has them, of those that were judged several times.
    probabilities : ndarray of shape (n_threes, 3)
        That each pair is kept, at the temperature that fits all judgments best; alike
        where nothing is told apart, NaN where the space has no similarities.
    """
    threes, counts = choice_counts(triplets)
    repeated = counts.sum(axis=1) >= FEWEST_CHOICES
    threes, counts = threes[repeated], counts[repeated]
    if not len(threes):
        return threes, counts, counts
    return threes, counts, layers.likely(layer, triplets, threes)

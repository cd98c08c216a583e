"""Where a model is uncertain which is the odd one out, do people take longer to say?"""

from collections.abc import Iterator

import numpy as np
from scipy.stats import entropy, spearmanr

from convexlib import checks, layers
from convexlib.layers import ORIGINAL, Layer, Measure, Row

MEASURES = {
    "uncertainty_and_time": Measure(
        "rank correlation of\nentropy and time", (-1, 1), chance=0.0, higher_is_better=True
    )
}

FEWEST = 5
"""Judgments whose time is known, from which on a correlation is told."""


def rows(layer: Layer) -> Iterator[Row]:
    """With each set of judgments that were timed, at the temperature that fits it best."""
    for name, judged in layer.human.sets.items():
        if judged.seconds is None:
            continue
        timed = np.isfinite(judged.seconds)
        triplets, seconds = judged.triplets[timed], judged.seconds[timed]
        if len(triplets) < FEWEST or checks.alike(layer.reference):
            continue
        uncertain, value = entropy(layers.likely(layer, judged.triplets, triplets), axis=1), np.nan
        if np.ptp(uncertain) > 0 and np.ptp(seconds):
            value = float(spearmanr(uncertain, seconds).statistic)
        yield Row("uncertainty_and_time", ORIGINAL, value, len(triplets), judgments=name)

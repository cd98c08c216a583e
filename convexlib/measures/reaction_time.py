"""Where a model is uncertain which is the odd one out, do people take longer to say?"""

from collections.abc import Iterator

import numpy as np
from scipy.stats import entropy, spearmanr

from convexlib import checks, layers
from convexlib.alignment import fit_temperature, odd_one_out_probabilities
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
        options = {"if_alike": np.inf, "similarity": layer.similarity}
        warmth = layers.defined(fit_temperature, layer.reference, judged.triplets, **options)
        value = np.nan
        if np.isfinite(warmth) and warmth > 0:
            options = {"temperature": warmth, "similarity": layer.similarity}
            likely = odd_one_out_probabilities(layer.reference, triplets, **options)
            uncertain = entropy(likely, axis=1)
            if np.ptp(uncertain) and np.ptp(seconds):
                value = float(spearmanr(uncertain, seconds).statistic)
        yield Row("uncertainty_and_time", ORIGINAL, value, len(triplets), judgments=name)

"""How well new classes are learned from a few examples of each."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from scipy.spatial.distance import cdist
from sklearn.linear_model import RidgeClassifier
from sklearn.preprocessing import StandardScaler

from convexlib import layers
from convexlib.layers import ORIGINAL, Layer, Measure, Row

MEASURES = {
    "few_shot_linear": Measure("few-shot accuracy\n(linear)"),
    "few_shot_centroid": Measure("few-shot accuracy\n(nearest centroid)"),
}

TASK = "few-shot task"
"""The kind of all rows, whose concept is a task and how many examples of each class there are."""

N_EXAMPLES = (1, 5, 10)
N_DRAWS = 10
"""How often examples are drawn, to average over."""


def rows(layer: Layer) -> Iterator[Row]:
    """Of each task, from 1, 5 and 10 examples of each class; all others are to be classified."""
    found = layers.task(layer, "few_shot")
    if found is None:
        return
    X, labels = found
    for name in labels:
        known = labels[name].notna().to_numpy()
        y = labels.loc[known, name].astype(str).to_numpy()
        for n_examples in N_EXAMPLES:
            accuracies = [_accuracies(X[known], y, n_examples, seed) for seed in range(N_DRAWS)]
            for measure, value in zip(MEASURES, np.mean(accuracies, axis=0), strict=True):
                about = TASK, f"{name}, {n_examples}"
                yield Row(measure, ORIGINAL, float(value), int(known.sum()), *about)


def _accuracies(X: np.ndarray, y: np.ndarray, n_examples: int, seed: int) -> list[float]:
    order = np.random.default_rng(seed).permutation(len(y))
    by_class = order[np.argsort(y[order], kind="stable")]
    rank = np.arange(len(y)) - np.searchsorted(y[by_class], y[by_class])
    examples, others = by_class[rank < n_examples], by_class[rank >= n_examples]
    scale = StandardScaler().fit(X[examples])
    known, new = scale.transform(X[examples]), scale.transform(X[others])
    linear = RidgeClassifier().fit(known, y[examples]).predict(new)
    means = pd.DataFrame(known).groupby(y[examples]).mean()
    nearest = means.index.to_numpy()[cdist(new, means).argmin(axis=1)]
    return [float((said == y[others]).mean()) for said in (linear, nearest)]

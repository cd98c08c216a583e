"""How well classes that a linear probe learned are told in images that are shifted."""

from collections.abc import Iterator

from sklearn.linear_model import RidgeClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from convexlib import layers
from convexlib.layers import ORIGINAL, Layer, Measure, Row

MEASURES = {"shifted_accuracy": Measure("accuracy of a\nlinear probe")}

SHIFT = "shift"
"""The kind of all rows, whose concept is a shift."""


def rows(layer: Layer) -> Iterator[Row]:
    """Of each shift; the probe learns from images of shift "none"."""
    found = layers.task(layer, "shift")
    if found is None:
        return
    X, labels = found
    y, shift = labels["class"].to_numpy(), labels["shift"]
    known = (shift == "none").to_numpy()
    probe = make_pipeline(StandardScaler(), RidgeClassifier()).fit(X[known], y[known])
    for name in shift[~known].unique():
        chosen = (shift == name).to_numpy()
        accuracy = probe.score(X[chosen], y[chosen])
        yield Row("shifted_accuracy", ORIGINAL, accuracy, int(chosen.sum()), SHIFT, name)

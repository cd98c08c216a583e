"""What can be read from features by a linear probe: every factor in which images differ."""

from collections.abc import Iterator

import pandas as pd
from sklearn.linear_model import Ridge, RidgeClassifier
from sklearn.model_selection import KFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from convexlib import layers
from convexlib.layers import ORIGINAL, Layer, Measure, Row

MEASURES = {
    "factor_explained": Measure("R² of a\nlinear probe", (-1, 1)),
    "factor_accuracy": Measure("accuracy of a\nlinear probe"),
}

FACTOR = "factor"
"""The kind of all rows, whose concept is a factor."""


def rows(layer: Layer) -> Iterator[Row]:
    """Of each factor, in five folds of the images: R² of numbers, accuracy of names."""
    found = layers.task(layer, "factors")
    if found is None:
        return
    X, labels = found
    folds = KFold(5, shuffle=True, random_state=0)
    for name, values in labels.items():
        is_number = pd.api.types.is_numeric_dtype(values)
        probe = make_pipeline(StandardScaler(), Ridge() if is_number else RidgeClassifier())
        value = cross_val_score(probe, X, values.to_numpy(), cv=folds).mean()
        measure = "factor_explained" if is_number else "factor_accuracy"
        yield Row(measure, ORIGINAL, float(value), len(X), FACTOR, str(name))

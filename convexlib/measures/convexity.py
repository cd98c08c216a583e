"""Graph convexity of categories and of single concepts, and which of their pairs any path joins."""

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from convexlib import layers
from convexlib.convexity import connected_share
from convexlib.layers import ORIGINAL, Layer, Measure, Row, mean

MEASURES = {
    "convexity": Measure("graph convexity\n({categories})"),
    "concept_convexity": Measure("graph convexity\n({concepts})"),
    "connected_pairs": Measure("pairs joined\nby any path"),
}


def rows(layer: Layer) -> Iterator[Row]:
    """As the layer is."""
    yield from of_space(ORIGINAL, layer.X, layer)
    connected = layers.convexity(layer, layer.X, layer.human.categories, connected_share)
    yield Row("connected_pairs", ORIGINAL, connected, len(layer.X))


def of_space(space: str, features: np.ndarray, layer: Layer) -> Iterator[Row]:
    """Of each class and their mean; of concepts where they have several images, in one graph."""
    classes = {"convexity": ("category", layer.human.categories)}
    if layer.human.n_images > 1:
        concept = layer.human.concept[layer.human.shown].remove_unused_categories()
        of_concept = pd.get_dummies(concept, dtype=bool).set_axis([*concept.categories], axis=1)
        classes["concept_convexity"] = ("concept", of_concept)
    scores = _scores(features, classes, layer)
    for measure, (kind, members) in classes.items():
        of_class, scores = scores[: members.shape[1]], scores[members.shape[1] :]
        yield Row(measure, space, mean(of_class), len(features))
        for name, score, n in zip(members, of_class, members.sum(), strict=True):
            yield Row(measure, space, float(score), int(n), kind, str(name))


def _scores(
    features: np.ndarray, classes: Mapping[str, tuple[str, pd.DataFrame]], layer: Layer
) -> np.ndarray:
    members = np.concatenate([members for _, members in classes.values()], axis=1)
    scores = layers.convexity(layer, features, members, average=None)
    return np.broadcast_to(scores, members.shape[1])

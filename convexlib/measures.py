"""Both measures at every layer of a model, as it is and after the alignment transform."""

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from tqdm import tqdm

from convexlib.convexity import connected_share, graph_convexity_score
from convexlib.judgments import object_folds, odd_one_out_accuracy
from convexlib.settings import Measures
from convexlib.transforms import AlignmentTransform

CONVEXITY = "convexity"
CONCEPT_CONVEXITY = "concept_convexity"
CONNECTED = "connected_pairs"
ODD_ONE_OUT = "odd_one_out"
HELD_OUT_ODD_ONE_OUT = "held_out_odd_one_out"

ORIGINAL, ALIGNED = "original", "aligned"


def of_model(
    n_layers: int,
    load: Callable[[int], tuple[ArrayLike, ArrayLike]],
    categories: ArrayLike,
    concepts: ArrayLike,
    triplets: ArrayLike,
    settings: Measures,
) -> pd.DataFrame:
    """Measure every layer of a model.

    Parameters
    ----------
    n_layers : int
        The embedding output included.
    load : callable
        From the number of a layer to its `X` and `reference`, one layer at a time in memory.
    categories, concepts, triplets, settings
        As in `of_layer`.

    Returns
    -------
    DataFrame
        Columns layer, depth, measure, space, value, n.
    """
    rows = [
        {"layer": layer, "depth": layer / max(1, n_layers - 1), **row}
        for layer in tqdm(range(n_layers), unit="layer")
        for row in of_layer(*load(layer), categories, concepts, triplets, settings)
    ]
    return pd.DataFrame(rows)


def of_layer(
    X: ArrayLike,
    reference: ArrayLike,
    categories: ArrayLike,
    concepts: ArrayLike,
    triplets: ArrayLike,
    settings: Measures,
) -> list[dict]:
    """Measure one layer.

    The transform is judged on what it was not fitted to: odd-one-out accuracy on triplets of
    held-out concepts, over folds of concepts and repeats of the split, beside the accuracy of
    the original space on the very same triplets; convexity on images other than the reference
    images that it was fitted to.

    Parameters
    ----------
    X : array-like of shape (n_images, n_features)
        Representations of the images whose classes are judged.
    reference : array-like of shape (n_concepts, n_features)
        Representations of the reference images, to which the triplets refer.
    categories, concepts : array-like of shape (n_images,)
    triplets : array-like of int, shape (n_triplets, 3)
    settings : Measures

    Returns
    -------
    list of dict
        With keys measure, space ("original" or "aligned"), value, n (images or triplets).
    """

    def convexity(features: ArrayLike, labels: ArrayLike) -> tuple[float, int]:
        score = graph_convexity_score(features, labels, n_neighbors=settings.n_neighbors)
        return score, len(labels)

    def accuracy(features: ArrayLike, judged: np.ndarray) -> tuple[float, int]:
        score = odd_one_out_accuracy(features, judged, similarity=settings.similarity)
        return score, len(judged)

    def transform() -> AlignmentTransform:
        return AlignmentTransform(settings.transform.kind, strength=settings.transform.strength)

    held_out: dict[str, list[tuple[float, int]]] = {ORIGINAL: [], ALIGNED: []}
    for training, test in _splits(triplets, len(reference), settings):
        aligned = transform().fit(reference, training).transform(reference)
        held_out[ORIGINAL].append(accuracy(reference, test))
        held_out[ALIGNED].append(accuracy(aligned, test))
    fitted = transform().fit(reference, triplets)
    results = [
        (CONVEXITY, ORIGINAL, *convexity(X, categories)),
        (CONVEXITY, ALIGNED, *convexity(fitted.transform(X), categories)),
        (CONCEPT_CONVEXITY, ORIGINAL, *convexity(X, concepts)),
        (
            CONNECTED,
            ORIGINAL,
            connected_share(X, categories, n_neighbors=settings.n_neighbors),
            len(X),
        ),
        (ODD_ONE_OUT, ORIGINAL, *accuracy(reference, triplets)),
    ]
    for space, scores in held_out.items():
        values, sizes = zip(*scores, strict=True)
        results.append(
            (HELD_OUT_ODD_ONE_OUT, space, float(np.average(values, weights=sizes)), sum(sizes))
        )
    return [
        {"measure": measure, "space": space, "value": value, "n": n}
        for measure, space, value, n in results
    ]


def _splits(
    triplets: ArrayLike, n_concepts: int, settings: Measures
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Folds of every repeat; a fold without training or test triplets is passed over."""
    for repeat in range(settings.transform.n_repeats):
        folds = object_folds(
            triplets, n_concepts, n_folds=settings.transform.n_folds, random_state=repeat
        )
        for training, test in folds:
            if len(training) and len(test):
                yield training, test

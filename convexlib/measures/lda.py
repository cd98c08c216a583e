"""A space that is made more convex: does it become more human?

Linear discriminant analysis learns the names of the categories from one half of the images (space
"lda"); convexity is measured on the other half. The control learns names that were dealt at random
to the concepts, as many concepts a name as before ("lda shuffled").
"""

from collections.abc import Iterator
from itertools import product
from math import comb

import numpy as np
import pandas as pd
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from convexlib import checks, layers
from convexlib.layers import (
    ORIGINAL,
    Layer,
    Measure,
    Row,
    halves_to_learn,
    names_of_concepts,
)

MEASURES = {
    "taught_convexity": Measure("graph convexity\n({categories})"),
    "made_up_convexity": Measure("graph convexity\n(made-up names)"),
}

N_DEALS = 5
"""How often names are dealt at random, to average over."""


def rows(layer: Layer) -> Iterator[Row]:
    """Convexity before and after, and accuracy and RSA after, of real and of made-up names."""
    halves = halves_to_learn(layer.human)
    if checks.alike(layer.X) or not halves:
        return  # nothing to learn from, or no single name to learn
    names = names_of_concepts(layer.human)
    rng = np.random.default_rng(0)
    concepts = layer.human.concept.codes[layer.human.shown]
    deals = np.tile(names, (N_DEALS, 1))
    for deal in deals:
        deal[np.unique(concepts)] = rng.permutation(names[np.unique(concepts)])
    deals = [deal for deal in deals if _can_be_learned(deal[concepts], halves)]
    try:
        yield from _taught("lda", "taught_convexity", [names], halves, layer)
        if deals:
            yield from _taught("lda shuffled", "made_up_convexity", deals, halves, layer)
    except np.linalg.LinAlgError as error:
        layer.warn(f"allows no names to be learned, which are left out: {error}")


def _taught(
    space: str,
    measure: str,
    namings: list[np.ndarray],
    halves: list[tuple[np.ndarray, np.ndarray]],
    layer: Layer,
) -> list[Row]:
    """Means over halves and namings of the concepts."""
    after, accuracies, correlations = [], [], []
    human = layer.human.judgments.similarity
    named = [naming[layer.human.concept.codes[layer.human.shown]] for naming in namings]
    before = [_convexity(layer, test, named) for _, test in halves]
    for names, (training, test) in product(named, halves):
        teacher = make_pipeline(
            StandardScaler(with_std=False),
            LinearDiscriminantAnalysis(solver="eigen", shrinkage="auto"),
        )
        teacher.fit(layer.X[training], names[training])
        after.append(layers.convexity(layer, teacher.transform(layer.X[test]), names[test]))
        taught = teacher.transform(layer.reference)
        accuracies.append(layers.scores(layer, taught, layer.triplets).mean())
        if human is not None:
            correlations.append(layers.rsa(layer, taught, human))
    n_images = len(layer.X)
    found = [
        Row(measure, ORIGINAL, float(np.mean(before)), n_images),
        Row(measure, space, float(np.mean(after)), n_images),
        Row("odd_one_out", space, float(np.mean(accuracies)), len(layer.triplets)),
    ]
    if human is not None:
        n_pairs = comb(int(layers.in_similarity(human).sum()), 2)
        found.append(Row("rsa", space, float(np.mean(correlations)), n_pairs))
    return found


def _convexity(layer: Layer, rows: np.ndarray, named: list[np.ndarray]) -> float:
    """Mean over namings, for which one graph serves."""
    members = [pd.get_dummies(names[rows], dtype=bool) for names in named]
    joined = pd.concat(members, axis=1, keys=range(len(named)))
    scores = layers.convexity(layer, layer.X[rows], joined, average=None)
    scores = pd.Series(scores, index=joined.columns)
    return float(scores.groupby(level=0).mean().mean())


def _can_be_learned(names: np.ndarray, halves: list[tuple[np.ndarray, np.ndarray]]) -> bool:
    """Whether several names are in each half: dealt to few images, one can miss a half."""
    counts = [np.unique(names[half], return_counts=True)[1] for pair in halves for half in pair]
    return all(len(of_names) > 1 and of_names.max() > 1 for of_names in counts)

"""Does a transform that was learned from one set of judgments help on the others?

It is fitted to each set, and to choices that were shuffled within the very same triplets (spaces
that end in "shuffled"); judged on every other set, and on what folds of its own set hold out.
"""

from collections.abc import Iterator

import numpy as np

from convexlib import checks, layers
from convexlib.alignment import CHANCE
from convexlib.layers import ORIGINAL, Layer, Measure, Row
from convexlib.transforms import AlignmentTransform

MEASURES = {"carried_over": Measure("odd-one-out\naccuracy", chance=CHANCE)}

FITTED_TO = "fitted to"
"""The kind of a row, whose concept is the set that a transform was fitted to."""


def rows(layer: Layer) -> Iterator[Row]:
    """Of each set zero-shot, and by transforms fitted to each."""
    sets = layer.human.sets
    if len(sets) < 2 or checks.alike(layer.reference):
        return
    for target, judged in sets.items():
        scores = layers.scores(layer, layer.reference, judged.triplets)
        yield Row("carried_over", ORIGINAL, scores.mean(), len(scores), judgments=target)
    rng = np.random.default_rng(0)
    for source, judged in sets.items():
        for kind in layer.options.kinds:
            yield from _carried(layer, kind, kind, source, judged.triplets)
            shuffled = rng.permuted(judged.triplets, axis=1)
            yield from _carried(layer, kind, f"{kind} shuffled", source, shuffled)


def _carried(
    layer: Layer, kind: str, space: str, source: str, triplets: np.ndarray
) -> Iterator[Row]:
    """Accuracy on each set, of a transform fitted to triplets of one."""
    reference, human = layer.reference, layer.human
    try:
        fits = layers.fit(kind, reference, triplets, layer.options, human)
    except checks.Undefined as error:
        layer.warn(f"allows no fit of the {kind} transform to {source!r}, which is NaN: {error}")
        return
    for target, judged in human.sets.items():
        scores = _scores(layer, fits.whole, judged.triplets)
        if target == source:  # what a fold holds out is the same, in whatever way it was chosen
            chosen = layers.object_splits(judged.triplets, len(reference), layer.options, human)
            folds = zip(fits.folds, chosen, strict=True)
            scores = np.concatenate(
                [_scores(layer, fitted, own) for (fitted, _), (_, own) in folds]
            )
        yield Row("carried_over", space, scores.mean(), len(scores), FITTED_TO, source, target)


def _scores(layer: Layer, fitted: AlignmentTransform, triplets: np.ndarray) -> np.ndarray:
    return layers.scores(layer, fitted.transform(layer.reference), triplets)

"""Does a transform that was learned from one set of judgments help on the others?

It is fitted to each set, and to choices that were shuffled within the very same triplets (spaces
that end in "shuffled"); judged on every other set, and on what folds of its own set hold out.
"""

from collections.abc import Iterator

import numpy as np

from convexlib import checks, layers
from convexlib.alignment import CHANCE
from convexlib.layers import ORIGINAL, Fits, Layer, Measure, Row

MEASURES = {"carried_over": Measure("odd-one-out\naccuracy", chance=CHANCE)}

FITTED_TO = "fitted to"
"""The kind of all rows, whose concept is the set that a transform was fitted to."""


def rows(layer: Layer) -> Iterator[Row]:
    """Of each set, as the layer is and by transforms fitted to each, on the very same triplets."""
    sets, rng = layer.human.sets, np.random.default_rng(0)
    if len(sets) < 2 or checks.alike(layer.reference):
        return
    for source, judged in sets.items():
        splits = layers.object_splits(
            judged.triplets, len(layer.reference), layer.options, layer.human
        )
        tested = {target: [other.triplets] for target, other in sets.items()}
        tested[source] = [held_out for _, held_out in splits]
        yield from _rows(layer, ORIGINAL, source, None, tested)
        shuffled = rng.permuted(judged.triplets, axis=1)
        for kind in layer.options.kinds:
            for space, triplets in ((kind, judged.triplets), (f"{kind} shuffled", shuffled)):
                try:
                    fits = layers.fit(kind, layer.reference, triplets, layer.options, layer.human)
                except checks.Undefined as error:
                    layer.warn(f"allows no fit of the {kind} transform to {source!r}: {error}")
                    continue
                yield from _rows(layer, space, source, fits, tested)


def _rows(
    layer: Layer,
    space: str,
    source: str,
    fits: Fits | None,
    tested: dict[str, list[np.ndarray]],
) -> Iterator[Row]:
    """Accuracy on each set; on its own, of what each fold holds out."""
    for target, parts in tested.items():
        fitted = [None] * len(parts)
        if fits is not None:
            own = [transform for transform, _ in fits.folds]
            fitted = own if target == source else [fits.whole]
        X = layer.reference
        scores = [
            layers.scores(layer, transform.transform(X) if transform else X, triplets)
            for transform, triplets in zip(fitted, parts, strict=True)
        ]
        scores = np.concatenate(scores)
        yield Row("carried_over", space, scores.mean(), len(scores), FITTED_TO, source, target)

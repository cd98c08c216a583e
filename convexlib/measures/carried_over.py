"""Does a transform that was learned from one set of judgments help on the others?

It is fitted to each set, and to choices that were shuffled within the very same triplets (spaces
that end in "shuffled"); judged on every other set, and on what folds of its own set hold out.
Where a concept has several reference images, folds hold out concepts, too (`UNSEEN`).
"""

from collections.abc import Iterator

import numpy as np

from convexlib import checks, layers
from convexlib.alignment import CHANCE
from convexlib.layers import ORIGINAL, Layer, Measure, Row

MEASURES = {"carried_over": Measure("odd-one-out\naccuracy", chance=CHANCE)}

FITTED_TO = "fitted to"
"""The kind of all rows, whose concept is the set that a transform was fitted to."""

UNSEEN = "own, other concepts"
"""In the place of a set that is judged on: concepts of its own set that it was not fitted to."""


def rows(layer: Layer) -> Iterator[Row]:
    """Of each set, as the layer is and by transforms fitted to each, on the very same triplets."""
    sets, rng = layer.human.sets, np.random.default_rng(0)
    if len(sets) < 2 or checks.alike(layer.reference):
        return
    for source, judged in sets.items():
        real, shuffled = judged.triplets, rng.permuted(judged.triplets, axis=1)
        targets, _, tested = _parts(layer, source, real)
        yield from _rows(layer, ORIGINAL, source, targets, [layer.reference] * len(tested), tested)
        for kind in layer.options.kinds:
            for space, triplets in ((kind, real), (f"{kind} shuffled", shuffled)):
                _, training, _ = _parts(layer, source, triplets)
                try:
                    fitted = layers.fitted_to(kind, layer.reference, training, layer.options)
                except checks.Undefined as error:
                    layer.warn(f"allows no fit of the {kind} transform to {source!r}: {error}")
                    continue
                spaces = [transform.transform(layer.reference) for transform in fitted]
                yield from _rows(layer, space, source, targets, spaces, tested)


def _parts(
    layer: Layer, source: str, triplets: np.ndarray
) -> tuple[list[str], list[np.ndarray], list[np.ndarray]]:
    """What is judged on, and of each part the triplets to fit to and to judge by.

    On another set all; on its own what folds hold out.
    """
    human = layer.human
    parts = [(name, triplets, of.triplets) for name, of in human.sets.items() if name != source]
    held_out = {source: human}
    if human.concepts is not None and human.groups is not None:
        held_out[UNSEEN] = human._replace(groups=human.concepts)
    for name, by in held_out.items():
        splits = layers.object_splits(triplets, len(layer.reference), layer.options, by)
        parts += [(name, training, test) for training, test in splits]
    targets, training, tested = zip(*parts, strict=True)
    return [*targets], [*training], [*tested]


def _rows(
    layer: Layer,
    space: str,
    source: str,
    targets: list[str],
    spaces: list[np.ndarray],
    tested: list[np.ndarray],
) -> Iterator[Row]:
    """Accuracy on each set; on its own, of all folds together."""
    for target in dict.fromkeys(targets):
        parts = [number for number, name in enumerate(targets) if name == target]
        scores = np.concatenate([layers.scores(layer, spaces[n], tested[n]) for n in parts])
        yield Row("carried_over", space, scores.mean(), len(scores), FITTED_TO, source, target)

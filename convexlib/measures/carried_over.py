"""Does a transform that was learned from one set of judgments help on the others?

It is fitted to each set, and to choices that were shuffled within the very same triplets (spaces
that end in "shuffled"); judged on every other set, and on what folds of its own set hold out.
Where a concept has several reference images, folds hold out concepts, too (`UNSEEN`).
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from convexlib import checks, layers
from convexlib.alignment import CHANCE
from convexlib.layers import ORIGINAL, Layer, Measure, Row

MEASURES = {"carried_over": Measure("odd-one-out\naccuracy", chance=CHANCE)}

FITTED_TO = "fitted to"
"""The kind of all rows, whose concept is the set that a transform was fitted to."""

UNSEEN = "own, other concepts"
"""In the place of a set that is judged on: concepts of its own set that it was not fitted to."""


KIND = "global"
"""The transform that is carried over: the one that stays near to the original space."""


class _Fit(NamedTuple):
    """Triplets of a set to fit to, the same shuffled, and what the fit is judged on, by name."""

    source: str
    training: np.ndarray
    shuffled: np.ndarray
    tests: dict[str, np.ndarray]


def rows(layer: Layer) -> Iterator[Row]:
    """Of each set, as the layer is and by transforms fitted to each, on the very same triplets."""
    if len(layer.human.sets) < 2 or checks.alike(layer.reference):
        return
    fits, X = [*_fits(layer)], layer.reference
    yield from _rows(layer, ORIGINAL, fits, [X] * len(fits))
    # All at once: a fit is small, and many take hardly longer than one.
    sets = [*(fit.training for fit in fits), *(fit.shuffled for fit in fits)]
    try:
        fitted = layers.fitted_to(KIND, X, sets, layer.options)
    except checks.Undefined as error:
        layer.warn(f"allows no fit of the {KIND} transform to carry over: {error}")
        return
    spaces = [transform.transform(X) for transform in fitted]
    yield from _rows(layer, KIND, fits, spaces[: len(fits)])
    yield from _rows(layer, f"{KIND} shuffled", fits, spaces[len(fits) :])


def _fits(layer: Layer) -> Iterator[_Fit]:
    """To all of each set, for the others, and to what folds of it do not hold out."""
    human, rng = layer.human, np.random.default_rng(0)
    for source, judged in human.sets.items():
        others = {name: of.triplets for name, of in human.sets.items() if name != source}
        held_out = {source: human}
        if human.concepts is not None and human.groups is not None:
            held_out[UNSEEN] = human._replace(groups=human.concepts)
        fits = [(judged.triplets, others)]
        for name, by in held_out.items():
            splits = layers.object_splits(judged.triplets, len(human.names), layer.options, by)
            fits += [(training, {name: test}) for training, test in splits]
        for training, tests in fits:
            yield _Fit(source, training, rng.permuted(training, axis=1), tests)


def _rows(layer: Layer, space: str, fits: list[_Fit], spaces: list[np.ndarray]) -> Iterator[Row]:
    """Accuracy on each set; on its own, of all folds together."""
    scores: dict[tuple[str, str], list[np.ndarray]] = {}
    for fit, features in zip(fits, spaces, strict=True):
        for target, test in fit.tests.items():
            found = scores.setdefault((fit.source, target), [])
            found.append(layers.scores(layer, features, test))
    for (source, target), found in scores.items():
        every = np.concatenate(found)
        yield Row("carried_over", space, every.mean(), len(every), FITTED_TO, source, target)

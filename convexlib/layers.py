"""What a measure sees of a layer: representations, human judgments, fitted transforms.

Spaces are "original", those that an alignment transform makes of it ("naive", "global"), and
those of linear discriminant analysis ("lda", and "lda shuffled" for names dealt at random).
"""

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.model_selection import KFold, StratifiedKFold

from convexlib import checks, concepts
from convexlib.alignment import (
    CHANCE,
    Similarity,
    fit_temperature,
    odd_one_out_probabilities,
    odd_one_out_scores,
    rsa_score,
)
from convexlib.convexity import Pairs, graph_convexity_score
from convexlib.data import Human
from convexlib.settings import Measures, Transform
from convexlib.transforms import AlignmentTransform, CollapseWarning, filled_folds, fit_each

ORIGINAL = "original"

_LARGE = 10**5
"""Numbers in features from which on transforms are fitted in single precision."""

FEWEST_TO_LEARN = 6
"""Images that a name needs, half of which it is learned from."""


_FITTED = ("weights", "bias", "mean", "std")


class NotMeasuredWarning(UserWarning):
    """Something cannot be measured at a layer, and is NaN there."""


class Measure(NamedTuple):
    """How a measure is shown.

    Attributes
    ----------
    label : str
        May hold {concepts} and {categories}.
    limits : tuple of two floats
        How far an axis reaches at most.
    chance : float, optional
        What a guess would have.
    higher_is_better : bool, optional
        None where neither is.
    """

    label: str
    limits: tuple[float, float] = (0.0, 1.0)
    chance: float | None = None
    higher_is_better: bool | None = True


class Row(NamedTuple):
    """One measurement: of how many images, triplets or pairs, and about which concept, if one.

    `judgments` names the set of judgments, where a measure is taken of each.
    """

    measure: str
    space: str
    value: float
    n: int
    kind: str = ""
    concept: str = ""
    judgments: str = ""


class Fits(NamedTuple):
    """A transform fitted to some of the concepts, to half of the judgments, and to all.

    With each of the first two come the triplets that it was not fitted to.
    """

    # In quotes, so that who merely names a layer does not depend on how transforms are fitted.
    folds: "list[tuple[AlignmentTransform, np.ndarray]]"
    halves: "list[tuple[AlignmentTransform, np.ndarray]]"
    whole: "AlignmentTransform"

    @classmethod
    def of(cls, fitted: "list[AlignmentTransform]", folds: "Splits", halves: "Splits") -> "Fits":
        """From all fits, in this order."""
        held_out = [test for _, test in (*folds, *halves)]
        pairs = list(zip(fitted, held_out, strict=False))
        return cls(pairs[: len(folds)], pairs[len(folds) :], fitted[-1])


class Space(NamedTuple):
    """A space that is judged on what its transform was not fitted to.

    Attributes
    ----------
    name : str
    fits : Fits, optional
        None where the transform could not be fitted.
    map, scale : callable
        Of a fitted transform and features: features in this space, and those whose dot products
        were fitted.
    """

    name: str
    fits: Fits | None
    map: "Callable[[AlignmentTransform, np.ndarray], np.ndarray]"
    scale: "Callable[[AlignmentTransform, np.ndarray], np.ndarray]"


class Layer(NamedTuple):
    """What a layer makes of the images and of the reference images, and how to measure it.

    Attributes
    ----------
    X : ndarray of float64, shape (n_images, n_features)
    reference : ndarray of float64, shape (n_concepts, n_features)
    human : Human
    n_neighbors : int
        Of the graph of neighbours.
    pairs : {"all", "joined"}
        Of which convexity is a mean.
    similarity : {"cosine", "dot", "euclidean"}
        By which the space picks the odd one out.
    name : str
        For warnings.
    fits : mapping
        Of each kind of transform, its `Fits`, or None where it could not be fitted.
    options : Transform, optional
        How a measure fits transforms of its own, or which folds it keeps to.
    tasks : mapping
        Features and labels of images for other tasks, by `data.Stimuli.tasks`; at the last layer.
    """

    X: np.ndarray
    reference: np.ndarray
    human: Human
    n_neighbors: int = 10
    pairs: Pairs = "all"
    similarity: Similarity = "cosine"
    name: str = "this layer"
    fits: Mapping[str, Fits | None] = {}
    options: Transform | None = None
    tasks: Mapping[str, tuple[np.ndarray, pd.DataFrame]] = {}

    @classmethod
    def of(cls, X: ArrayLike, reference: ArrayLike, human: Human, **options: Any) -> "Layer":
        """A layer of any arrays; rows that are alike but for rounding are made equal."""
        X = X if human.measured is None else np.asarray(X)[human.measured]
        X = _of_rows(X, "X", len(human.shown))
        return cls(X, _of_rows(reference, "reference", len(human.names)), human, **options)

    @property
    def triplets(self) -> np.ndarray:
        return self.human.judgments.triplets

    def warn(self, what: str) -> None:
        warnings.warn(f"{self.name} {what}", NotMeasuredWarning, stacklevel=2)

    def is_finite(self) -> bool:
        """Whether all features are numbers; a warning names the first image that has others."""
        of_reference = np.arange(len(self.reference))
        for name, features, of_concept in (
            ("X", self.X, self.human.shown),
            ("reference", self.reference, of_reference),
        ):
            broken = ~np.isfinite(features).all(axis=1)
            if broken.any():
                row = int(np.argmax(broken))
                self.warn(
                    f"is left out: {name} row {row}, an image of "
                    f"{self.human.names[of_concept[row]]!r}, has values that are not finite "
                    f"({broken.sum()} of {len(features)} rows have); look at the image, or compute "
                    "in single precision"
                )
                return False
        return True


def spaces(layer: Layer) -> Iterator[Space]:
    """The original space and the transformed ones, judged by the very same triplets."""
    fitted = next((fits for fits in layer.fits.values() if fits), None)
    if fitted:
        standardize = AlignmentTransform.standardize
        yield Space(ORIGINAL, fitted, lambda _, features: features, standardize)
    for kind, fits in layer.fits.items():
        yield Space(kind, fits, AlignmentTransform.transform, AlignmentTransform.transform)


def task(layer: Layer, name: str) -> tuple[np.ndarray, pd.DataFrame] | None:
    """Features and labels of a task, where the layer and the stimuli have it."""
    return layer.tasks.get(name)


def convexity(
    layer: Layer,
    features: np.ndarray,
    labels: ArrayLike,
    score: Callable[..., float | np.ndarray] = graph_convexity_score,
    **options: Any,
) -> float | np.ndarray:
    """Score of the graph of neighbours, NaN where there is none."""
    if checks.alike(features):
        return np.nan
    if score is graph_convexity_score:
        options["pairs"] = layer.pairs
    try:
        return score(features, labels, n_neighbors=layer.n_neighbors, **options)
    except checks.Undefined as error:
        layer.warn(f"has no graph of neighbours, so that convexity is NaN: {error}")
        return np.nan


def scores(
    layer: Layer, features: np.ndarray, triplets: np.ndarray, similarity: str | None = None
) -> np.ndarray:
    """Odd-one-out score of each triplet: chance where all rows are alike, else NaN if none."""
    if checks.alike(features):
        return np.full(len(triplets), CHANCE)
    _warn_of_zeros(layer)
    try:
        similarity = similarity or layer.similarity
        return odd_one_out_scores(features, triplets, similarity=similarity)
    except checks.Undefined:
        return np.full(len(triplets), np.nan)


def likely(layer: Layer, judged: np.ndarray, threes: np.ndarray) -> np.ndarray:
    """How likely the layer keeps each pair of threes, at the temperature that fits all judgments.

    Alike where nothing is told apart, NaN where the space has no similarities.
    """
    options = {"if_alike": np.inf, "similarity": layer.similarity}
    warmth = defined(fit_temperature, layer.reference, judged, **options)
    if not (np.isfinite(warmth) and warmth > 0):
        return np.full(threes.shape, 1 / 3 if np.isposinf(warmth) else np.nan)
    options = {"temperature": warmth, "similarity": layer.similarity}
    return odd_one_out_probabilities(layer.reference, threes, **options)


def rsa(layer: Layer, features: np.ndarray, similarity: np.ndarray) -> float:
    """Correlation with human similarities, as far as there are any; NaN if the space has none."""
    known = in_similarity(similarity)
    features, similarity = features[known], similarity[np.ix_(known, known)]
    return defined(rsa_score, features, similarity, if_alike=np.nan, metric=layer.similarity)


def in_similarity(similarity: np.ndarray) -> np.ndarray:
    """Which objects have a similarity to any other, bool (n_objects,)."""
    return (np.isfinite(similarity) & ~np.eye(len(similarity), dtype=bool)).any(axis=1)


def defined(
    score: Callable[..., float],
    features: np.ndarray,
    judgments: np.ndarray,
    *,
    if_alike: float,
    **options: Any,
) -> float:
    """A score, or NaN where the space does not have it."""
    if checks.alike(features):
        return if_alike
    try:
        return score(features, judgments, **options)
    except checks.Undefined:
        return np.nan


def by_concept(
    layer: Layer, measure: str, space: str, scores: np.ndarray, triplets: np.ndarray
) -> Iterator[Row]:
    """Mean score of the triplets about each concept, category and human dimension."""
    concept = layer.human.concept
    kept = concept.codes[triplets[:, :2]].ravel()
    yield from _means(measure, space, "concept", concept.categories, kept, np.repeat(scores, 2))
    of_category = layer.human.category_of_reference
    for name in of_category:
        about = concepts.is_about_category(triplets, of_category[[name]]).ravel()
        yield from _means(measure, space, "category", [name], np.where(about, 0, -1), scores)
    dimensions = layer.human.judgments.dimensions
    if dimensions is not None:
        dominant = concepts.dominant_dimension(triplets, concepts.half_axes(dimensions))
        yield from _means(measure, space, "dimension", layer.human.ends, dominant, scores)


def _warn_of_zeros(layer: Layer) -> None:
    zero = ~layer.reference.any(axis=1)
    if layer.similarity == "cosine" and zero.any() and not zero.all():
        row = int(np.argmax(zero))
        layer.warn(
            f"has no cosines with reference row {row}, the image of "
            f"{layer.human.names[row]!r}, which is all zeros ({zero.sum()} of {len(zero)} rows "
            "are), so that what needs them is NaN; look at the image, or choose another "
            "similarity"
        )


def mean(values: ArrayLike) -> float:
    """Over what is defined."""
    values = np.asarray(values)[np.isfinite(values)]
    return float(values.mean()) if values.size else np.nan


def _means(
    measure: str,
    space: str,
    kind: str,
    names: Sequence[str],
    groups: np.ndarray,
    scores: np.ndarray,
) -> Iterator[Row]:
    """Mean score of each group that has any; -1 is no group."""
    in_group = groups >= 0
    counts = np.bincount(groups[in_group], minlength=len(names))
    sums = np.bincount(groups[in_group], scores[in_group], minlength=len(names))
    for name, total, count in zip(names, sums.tolist(), counts.tolist(), strict=True):
        if count:
            yield Row(measure, space, total / count, count, kind, str(name))


def _of_rows(features: ArrayLike, name: str, n_rows: int) -> np.ndarray:
    features = checks.table(features, name)
    if len(features) != n_rows:
        raise ValueError(f"{name} has {len(features)} rows; give one each of {n_rows} images")
    alike = np.isfinite(features).all() and checks.alike(features)
    features = features.astype(np.float64)
    return np.repeat(features[:1], n_rows, axis=0) if alike else features


def fit(
    kind: str,
    reference: np.ndarray,
    triplets: np.ndarray,
    options: Transform,
    human: Human | None = None,
) -> Fits:
    """Fit a transform to the concepts of each fold, to the judgments of each half, and to all.

    `human` knows what folds hold out together.

    Raises
    ------
    checks.Undefined
        If there is nothing to fit to.
    """
    folds, halves = object_splits(triplets, len(reference), options, human), _halves(triplets)
    sets = [*(training for training, _ in (*folds, *halves)), triplets]
    return Fits.of(fitted_to(kind, reference, sets, options), folds, halves)


def fitted_to(
    kind: str, reference: np.ndarray, sets: Sequence[np.ndarray], options: Transform
) -> "list[AlignmentTransform]":
    """A transform fitted to each of these sets of triplets.

    Raises
    ------
    checks.Undefined
        If there is nothing to fit to.
    """
    reference = reference.astype(_precision(reference))
    with warnings.catch_warnings():
        # Where a transform leaves nothing, all rows are alike, and what is measured is at chance.
        warnings.simplefilter("ignore", CollapseWarning)
        transform = AlignmentTransform(kind, lmbda=options.lmbda, max_iter=options.max_iter)
        return fit_each(transform, reference, sets)


def _precision(reference: np.ndarray) -> type[np.floating]:
    """Of fits, and so of what is kept of them."""
    return np.float32 if reference.size >= _LARGE else np.float64


def fit_all(layer: Layer, options: Transform) -> dict[str, np.ndarray]:
    """Fit all transforms of a layer: their arrays, as `load_fits` wants them."""
    arrays: dict[str, np.ndarray] = {}
    if not layer.is_finite() or checks.alike(layer.reference):
        return arrays  # nothing to fit to
    precision = _precision(layer.reference)
    for kind in options.kinds:
        try:
            fits = fit(kind, layer.reference, layer.triplets, options, layer.human)
        except checks.Undefined as error:
            layer.warn(f"allows no fit of the {kind} transform, which is NaN there: {error}")
            arrays[f"{kind} undefined"] = np.zeros(1)
            continue
        fitted = [*(transform for transform, _ in (*fits.folds, *fits.halves)), fits.whole]
        for number, transform in enumerate(fitted):
            for name in _FITTED:
                value = np.ascontiguousarray(getattr(transform, f"{name}_"), dtype=precision)
                arrays[f"{kind} {number} {name}"] = np.atleast_1d(value)
    return arrays


def load_fits(
    arrays: Mapping[str, np.ndarray], human: Human, options: Transform
) -> dict[str, Fits | None]:
    """The transforms of `fit_all`, with the triplets that each was not fitted to."""
    triplets = human.judgments.triplets
    folds, halves = object_splits(triplets, len(human.names), options, human), _halves(triplets)

    def fitted(kind: str, number: int) -> AlignmentTransform:
        transform = AlignmentTransform(kind)
        transform.n_features_in_ = arrays[f"{kind} {number} bias"].size
        for name in _FITTED:
            value = arrays[f"{kind} {number} {name}"]
            setattr(transform, f"{name}_", value[0] if name in ("mean", "std") else value)
        return transform

    found: dict[str, Fits | None] = {}
    for kind in options.kinds:
        if f"{kind} undefined" in arrays:
            found[kind] = None
        elif f"{kind} 0 weights" in arrays:
            n_fits = len(folds) + len(halves) + 1
            found[kind] = Fits.of([fitted(kind, n) for n in range(n_fits)], folds, halves)
    return found


Splits = list[tuple[np.ndarray, np.ndarray]]
"""Training and test triplets, several times."""


def object_splits(
    triplets: np.ndarray, n_objects: int, options: Transform, human: Human | None
) -> Splits:
    """Training and test triplets of each fold of the objects, or of groups of them."""
    groups = human.held_together if human and human.groups is not None else None
    if groups is not None and _n_groups(groups, triplets) < options.n_folds:
        groups = None  # such as all in one typeface
    return [
        fold
        for seed in range(options.n_repeats)
        for fold in filled_folds(triplets, n_objects, options.n_folds, seed, groups)
    ]


def first_fold(human: Human, options: Transform) -> tuple[np.ndarray, np.ndarray]:
    """Triplets that are known to who learns from the first fold, and all with an object it lacks.

    Of the first set of judgments; those of others are `parted` by the known ones.

    Raises
    ------
    ValueError
        If there is no fold.
    """
    triplets = human.judgments.triplets
    folds = object_splits(triplets, len(human.names), options, human)
    if not folds:
        raise ValueError(
            f"n_folds is {options.n_folds}, and no fold of the judgments holds both some to fit to "
            "and some to test; give more judgments or fewer folds"
        )
    return parted(triplets, folds[0][0])


def parted(triplets: np.ndarray, training: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Triplets of which all objects are in some to train on, and those with another object."""
    is_known = np.isin(triplets, training).all(axis=1)
    return triplets[is_known], triplets[~is_known]


def _n_groups(groups: np.ndarray, triplets: np.ndarray) -> int:
    """How many groups the objects of some triplets are of."""
    return len(np.unique(groups[np.unique(triplets)]))


def _halves(triplets: np.ndarray) -> Splits:
    halves = KFold(2, shuffle=True, random_state=0).split(triplets)
    return [(triplets[training], triplets[test]) for training, test in halves]


def names_of_concepts(human: Human) -> np.ndarray:
    """The category of each concept."""
    of_concept = human.category_of_concept
    return of_concept.columns.to_numpy()[of_concept.to_numpy().argmax(axis=1)]


def halves_to_learn(human: Human) -> list[tuple[np.ndarray, np.ndarray]]:
    """Halves of the images to learn names from and to judge by; none where no single name is known.

    Each half has all concepts or, where they have one image each, all categories.
    """
    several_names = (human.categories.sum(axis=1) != 1).any()
    if several_names or human.categories.sum().min() < FEWEST_TO_LEARN:
        return []
    concepts = human.concept.codes[human.shown]
    strata = concepts if human.n_images > 1 else names_of_concepts(human)[concepts]
    halves = StratifiedKFold(2, shuffle=True, random_state=0)
    return [*halves.split(np.zeros((len(strata), 1)), strata)]


def measured(
    rows: Callable[[Layer], Iterator[Row]], names: Iterable[str], layers: Iterable[Layer]
) -> pd.DataFrame:
    """Measure the layers of a model, in order.

    Parameters
    ----------
    rows : callable
        That of a file of measures.
    names : iterable of str
        Of its measures.
    layers : iterable of Layer
        From the embedding output on, one at a time in memory.

    Returns
    -------
    DataFrame
        Columns layer, depth, measure, space, value, n; kind and concept, which are empty unless a
        row is about one concept; and judgments, empty unless it is about one set of them. Where
        values are not finite, measures are NaN.
    """
    found = [list(rows(layer)) if layer.is_finite() else None for layer in layers]
    seen = {row.measure for of_layer in found for row in of_layer or () if not row.kind}
    unknown = all(of_layer is None for of_layer in found)
    missing = [Row(name, ORIGINAL, np.nan, 0) for name in names if name in seen or unknown]
    last = max(1, len(found) - 1)
    return pd.DataFrame(
        [
            (number, number / last, *row)
            for number, of_layer in enumerate(found)
            for row in (missing if of_layer is None else of_layer)
        ],
        columns=["layer", "depth", *Row._fields],
    )


def check(human: Human, settings: Measures) -> None:
    """Whether these judgments can be measured with these settings, whatever the model.

    Parameters
    ----------
    human : Human
    settings : Measures

    Raises
    ------
    ValueError
        If not: judgments, concepts, categories or images are too few, or do not fit together.
    """
    n_concepts, n_images = len(human.names), len(human.shown)
    judged = np.isin(np.arange(n_concepts), human.judgments.triplets)
    lacking = judged & ~np.isin(np.arange(n_concepts), human.shown)
    if lacking.any() or np.max(human.shown) >= n_concepts:
        name = human.names[int(np.argmax(lacking))]
        raise ValueError(f"concepts lack {name!r}, of which there is no image; give one at least")
    if len(human.categories) != n_images:
        raise ValueError(
            f"categories has {len(human.categories)} rows, but there are {n_images} images; give "
            "one row an image"
        )
    _check_categories(human.categories)
    for judged in human.sets.values():
        checks.triplets(judged.triplets, n_concepts)
        if judged.similarity is not None:
            similarity = checks.similarity(judged.similarity)[0]
            if len(similarity) != n_concepts:
                raise ValueError(
                    f"similarity is of {len(similarity)} concepts, but there are {n_concepts}; "
                    "give the similarities of all, NaN where none is known"
                )
            known = in_similarity(similarity)
            similarity = similarity[np.ix_(known, known)]
            own = np.eye(len(similarity), dtype=bool)
            if known.sum() < 3 or not (np.isfinite(similarity) | own).all():
                raise ValueError("similarity holds NaN or infinity; leave those concepts out")
        n_shown = int(human.shown.max()) + 1  # behind these are those of other stimuli
        if judged.dimensions is not None and not 4 <= n_shown == len(judged.dimensions):
            raise ValueError(
                f"dimensions has {len(judged.dimensions)} rows for {n_concepts} concepts; give one "
                "row a concept, and at least 4 concepts, or the regressions have too little to "
                "learn"
            )
    _check_folds(human, settings)


def _check_categories(categories: pd.DataFrame) -> None:
    sizes = categories.sum()
    if len(sizes) == 1 and sizes.iloc[0] == len(categories):
        raise ValueError(
            f"categories has the one category {sizes.index[0]!r} for all images; give two, since "
            "there is nothing that a path could lead through"
        )
    if sizes.empty or sizes.max() < 2:
        raise ValueError(
            f"categories has {len(sizes)} categories and none of two images; give more images of "
            "each"
        )


def _check_folds(human: Human, settings: Measures) -> None:
    """Whether objects, judgments and images are enough to fit to some and to judge by others."""
    n_folds, n_neighbors = settings.transform.n_folds, settings.n_neighbors
    n_concepts, triplets = len(human.names), human.judgments.triplets
    for name, of_set in human.sets.items() if human.groups is not None else ():
        n_groups = _n_groups(human.held_together, of_set.triplets)
        if 1 < n_groups < n_folds:
            which = f"judgments {name!r}" if len(human.sets) > 1 else "judgments"
            raise ValueError(
                f"n_folds is {n_folds}, but the {which} are of {n_groups} groups that are "
                f"held out as a whole; choose at most {n_groups}"
            )
    folds = [test for _, test in object_splits(triplets, n_concepts, settings.transform, human)]
    if not folds:
        raise ValueError(
            f"triplets are {len(triplets)}, and none of {n_folds} folds of {n_concepts} concepts "
            "holds both some to fit to and some to test; give more triplets or fewer folds"
        )
    held_out = [human.is_held_out(test) for test in folds]
    counts = [
        int(images.sum()) for images in held_out if (human.categories[images].sum() > 1).sum() > 1
    ]
    halves = [len(test) for _, test in halves_to_learn(human)]
    fewest = min([len(human.shown), *counts, *halves])
    if n_neighbors >= fewest:
        raise ValueError(
            f"n_neighbors is {n_neighbors}, but convexity is measured among as few as {fewest} "
            f"images; choose at most {fewest - 1}, fewer folds ({n_folds}) or more images"
        )

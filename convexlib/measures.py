"""Everything that is measured at a layer of a model: arrays in, tidy rows out.

Spaces are "original", those that the alignment transform makes of it ("naive", "global"), and
those that learned names ("named", and "misnamed" for names dealt at random).
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.base import clone
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tqdm import tqdm

from convexlib import checks, concepts
from convexlib.convexity import connected_share, graph_convexity_score
from convexlib.judgments import (
    CHANCE,
    fit_temperature,
    object_folds,
    odd_one_out_scores,
    rsa_score,
)
from convexlib.settings import Measures
from convexlib.stimuli import Judged
from convexlib.transforms import AlignmentTransform, CollapseWarning, Fold, fit_folds

CONVEXITY = "convexity"
CONCEPT_CONVEXITY = "concept_convexity"
CONNECTED = "connected_pairs"
ODD_ONE_OUT = "odd_one_out"
RSA = "rsa"
TEMPERATURE = "temperature"
HELD_OUT_CONVEXITY = "held_out_convexity"
HELD_OUT_ODD_ONE_OUT = "held_out_odd_one_out"
HELD_OUT_DOT = "held_out_dot"
HELD_OUT_RSA = "held_out_rsa"
OTHER_HALF_ODD_ONE_OUT = "other_half_odd_one_out"
TAUGHT_CONVEXITY = "taught_convexity"
MADE_UP_CONVEXITY = "made_up_convexity"

ORIGINAL, NAIVE, GLOBAL = "original", "naive", "global"
NAMED, MISNAMED = "named", "misnamed"

FEWEST_TO_LEARN = 6
"""Images that a name needs, half of which it is learned from."""

N_DEALS = 5
"""How often names are dealt at random, to average over."""


_ON_UNSEEN = (
    HELD_OUT_ODD_ONE_OUT,
    HELD_OUT_DOT,
    OTHER_HALF_ODD_ONE_OUT,
    HELD_OUT_RSA,
    HELD_OUT_CONVEXITY,
)


class NotMeasuredWarning(UserWarning):
    """Something cannot be measured at a layer, and is NaN there."""


class Row(NamedTuple):
    """One measurement: of how many images, triplets or pairs, and about which concept, if one."""

    measure: str
    space: str
    value: float
    n: int
    kind: str = ""
    concept: str = ""


class _Layer(NamedTuple):
    """What a layer makes of the images and of the reference images, and how to measure it."""

    X: np.ndarray
    reference: np.ndarray
    stimuli: Judged
    settings: Measures
    name: str


Map = Callable[[np.ndarray], np.ndarray]


def check(judged: Judged, settings: Measures) -> None:
    """Whether these judgments can be measured with these settings, whatever the model.

    Parameters
    ----------
    judged : Judged
    settings : Measures

    Raises
    ------
    ValueError
        If not: judgments, concepts, categories or images are too few, or do not fit together.
    """
    n_concepts, n_images = len(judged.names), len(judged.concepts)
    triplets = checks.triplets(judged.triplets, n_concepts)
    imaged = np.isin(np.arange(n_concepts), judged.concepts)
    if not imaged.all() or np.max(judged.concepts) >= n_concepts:
        name = judged.names[int(np.argmin(imaged))]
        raise ValueError(f"concepts lack {name!r}, of which there is no image; give one at least")
    if len(judged.categories) != n_images:
        raise ValueError(
            f"categories has {len(judged.categories)} rows, but there are {n_images} images; give "
            "one row an image"
        )
    _check_categories(judged.categories)
    if judged.similarity is not None:
        similarity = checks.similarity(judged.similarity)[0]
        if len(similarity) != n_concepts:
            raise ValueError(
                f"similarity is of {len(similarity)} concepts, but there are {n_concepts}; give "
                "the similarities of all"
            )
        if not (np.isfinite(similarity) | np.eye(n_concepts, dtype=bool)).all():
            raise ValueError("similarity holds NaN or infinity; leave those concepts out")
    if judged.dimensions is not None and not 4 <= n_concepts == len(judged.dimensions):
        raise ValueError(
            f"dimensions has {len(judged.dimensions)} rows for {n_concepts} concepts; give one "
            "row a concept, and at least 4 concepts, or the regressions have too little to learn"
        )
    _check_folds(judged, triplets, settings)


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


def _check_folds(judged: Judged, triplets: np.ndarray, settings: Measures) -> None:
    """Whether objects, judgments and images are enough to fit to some and to judge by others."""
    n_folds, n_neighbors = settings.transform.n_folds, settings.n_neighbors
    n_concepts, n_images = len(judged.names), len(judged.concepts)
    folds = [
        np.unique(test)
        for repeat in range(settings.transform.n_repeats)
        for training, test in object_folds(
            triplets, n_concepts, n_folds=n_folds, random_state=repeat
        )
        if len(training) and len(test)
    ]
    if not folds:
        raise ValueError(
            f"triplets are {len(triplets)}, and none of {n_folds} folds of {n_concepts} concepts "
            "holds both some to fit to and some to test; give more triplets or fewer folds"
        )
    held_out = [np.isin(judged.concepts, test) for test in folds]
    counts = [
        int(images.sum()) for images in held_out if (judged.categories[images].sum() > 1).sum() > 1
    ]
    halves = [len(test) for _, test in _halves_to_learn(judged)]
    fewest = min([n_images, *counts, *halves])
    if n_neighbors >= fewest:
        raise ValueError(
            f"n_neighbors is {n_neighbors}, but convexity is measured among as few as {fewest} "
            f"images; choose at most {fewest - 1}, fewer folds ({n_folds}) or more images"
        )


def of_model(
    n_layers: int,
    load: Callable[[int], tuple[ArrayLike, ArrayLike]],
    stimuli: Judged,
    settings: Measures,
    *,
    model: str = "",
) -> dict[str, pd.DataFrame]:
    """Measure every layer of a model.

    Parameters
    ----------
    n_layers : int
        The embedding output included.
    load : callable
        From the number of a layer to its `X` and `reference`, one layer at a time in memory.
    stimuli, settings
        As in `of_layer`.
    model : str, optional
        Its name, for warnings.

    Returns
    -------
    dict of DataFrame
        "layers", with columns layer, depth, measure, space, value, n; "concepts", the same and
        kind, concept: what was measured concept by concept; and "dimensions", with columns layer,
        depth, concept, and "dimension 1" ... as `predicted_dimensions` gives them. A layer with
        values that are not finite has NaN in "layers", and no rows in the others.

    Warns
    -----
    NotMeasuredWarning
        As `of_layer`.
    """
    rows, predicted = [], []
    for layer in tqdm(range(n_layers), unit="layer"):
        where = {"layer": layer, "depth": layer / max(1, n_layers - 1)}
        name = f"layer {layer}" + (f" of {model}" if model else "")
        prepared = _prepared(*load(layer), stimuli, settings, name)
        if _is_finite(prepared):
            rows += [where | row._asdict() for row in _measured(prepared)]
            predicted.append(predicted_dimensions(prepared.X, stimuli).assign(**where))
        else:
            rows += [where | row._asdict() for row in _nothing(prepared)]
    table = pd.DataFrame(rows)
    of_concept = table["concept"] != ""
    nothing = pd.DataFrame({"concept": [], "layer": [], "depth": []})
    return {
        "layers": table[~of_concept].drop(columns=["kind", "concept"]).reset_index(drop=True),
        "concepts": table[of_concept].reset_index(drop=True),
        "dimensions": pd.concat(predicted, ignore_index=True) if predicted else nothing,
    }


def of_layer(
    X: ArrayLike,
    reference: ArrayLike,
    stimuli: Judged,
    settings: Measures,
    *,
    name: str = "this layer",
) -> list[Row]:
    """Measure one layer.

    Parameters
    ----------
    X : array-like of shape (n_images, n_features)
        Representations of the images whose classes are judged.
    reference : array-like of shape (n_concepts, n_features)
        Representations of the reference images, to which the triplets refer.
    stimuli : Judged
    settings : Measures
    name : str, default="this layer"
        For warnings.

    Returns
    -------
    list of Row
        Where all images are represented alike, but for rounding, accuracy is at chance, and
        convexity and RSA are NaN. Everything is NaN where values are not finite. By cosine, what
        depends on a reference image of which all features are zero is NaN.

    Warns
    -----
    NotMeasuredWarning
        If values are not finite, a reference image has no cosine, or a transform or a name
        cannot be learned; it names the layer and the first image.
    """
    layer = _prepared(X, reference, stimuli, settings, name)
    return [*_measured(layer)] if _is_finite(layer) else [*_nothing(layer)]


def _prepared(
    X: ArrayLike, reference: ArrayLike, stimuli: Judged, settings: Measures, name: str
) -> _Layer:
    X = _of_rows(X, "X", len(stimuli.concepts))
    reference = _of_rows(reference, "reference", len(stimuli.names))
    return _Layer(X, reference, stimuli, settings, name)


def _measured(layer: _Layer) -> Iterator[Row]:
    _warn_of_zeros(layer)
    yield from _as_it_is(layer)
    yield from _aligned(layer)
    yield from _taught(layer)


def _of_rows(features: ArrayLike, name: str, n_rows: int) -> np.ndarray:
    """Features in double precision; rows that are alike but for rounding are made equal."""
    features = checks.table(features, name)
    if len(features) != n_rows:
        raise ValueError(f"{name} has {len(features)} rows; give one each of {n_rows} images")
    alike = np.isfinite(features).all() and checks.alike(features)
    features = features.astype(np.float64)
    return np.repeat(features[:1], n_rows, axis=0) if alike else features


def _is_finite(layer: _Layer) -> bool:
    """Whether all features are numbers; a warning names the first image of which they are not."""
    of_reference = np.arange(len(layer.reference))
    for name, features, of_concept in (
        ("X", layer.X, layer.stimuli.concepts),
        ("reference", layer.reference, of_reference),
    ):
        broken = ~np.isfinite(features).all(axis=1)
        if broken.any():
            row = int(np.argmax(broken))
            _warn(
                layer,
                f"is left out: {name} row {row}, an image of "
                f"{layer.stimuli.names[of_concept[row]]!r}, has values that are not finite "
                f"({broken.sum()} of {len(features)} rows have); look at the image, or compute in "
                "single precision",
            )
            return False
    return True


def _warn_of_zeros(layer: _Layer) -> None:
    zero = ~layer.reference.any(axis=1)
    if layer.settings.similarity == "cosine" and zero.any() and not zero.all():
        row = int(np.argmax(zero))
        _warn(
            layer,
            f"has no cosines with reference row {row}, the image of "
            f"{layer.stimuli.names[row]!r}, which is all zeros ({zero.sum()} of {len(zero)} rows "
            "are), so that what needs them is NaN; look at the image, or choose another similarity",
        )


def _warn(layer: _Layer, what: str) -> None:
    warnings.warn(f"{layer.name} {what}", NotMeasuredWarning, stacklevel=2)


def _nothing(layer: _Layer) -> Iterator[Row]:
    """What would have been measured in the original space."""
    yield Row(CONVEXITY, ORIGINAL, np.nan, 0)
    if layer.stimuli.n_images > 1:
        yield Row(CONCEPT_CONVEXITY, ORIGINAL, np.nan, 0)
    yield Row(CONNECTED, ORIGINAL, np.nan, 0)
    yield Row(ODD_ONE_OUT, ORIGINAL, np.nan, 0)
    if layer.stimuli.similarity is not None:
        yield Row(RSA, ORIGINAL, np.nan, 0)
    yield Row(TEMPERATURE, ORIGINAL, np.nan, 0)


def predicted_dimensions(X: ArrayLike, stimuli: Judged) -> pd.DataFrame:
    """Human dimensions of each concept, predicted from the mean representation of its images.

    Returns
    -------
    DataFrame
        One row a concept, with columns concept and "dimension 1" ...; without rows where no
        human dimensions are known.
    """
    if stimuli.dimensions is None:
        return pd.DataFrame({"concept": []}, dtype=str)
    X = _of_rows(X, "X", len(stimuli.concepts))
    means = pd.DataFrame(X).groupby(stimuli.concepts).mean().to_numpy()
    predicted = concepts.predicted_dimensions(means, stimuli.dimensions)
    columns = [f"dimension {1 + column}" for column in range(predicted.shape[1])]
    table = pd.DataFrame(predicted, columns=columns)
    table.insert(0, "concept", stimuli.names)
    return table


def _as_it_is(layer: _Layer) -> Iterator[Row]:
    X, reference, stimuli, settings, _ = layer
    yield from _convexities(ORIGINAL, X, layer)
    connected = _convexity(X, stimuli.categories, layer, connected_share)
    yield Row(CONNECTED, ORIGINAL, connected, len(X))
    scores = _scores(reference, stimuli.triplets, settings.similarity)
    yield from _alignment(ORIGINAL, reference, scores, layer)
    temperature = _temperature(reference, stimuli.triplets, settings.similarity)
    yield Row(TEMPERATURE, ORIGINAL, temperature, len(scores))
    yield from _by_concept(ODD_ONE_OUT, ORIGINAL, scores, stimuli.triplets, stimuli)


def _aligned(layer: _Layer) -> Iterator[Row]:
    """Before and after each transform, on what it was not fitted to.

    Folds and halves are the same for all transforms, and the original space is judged on the
    very same triplets, by the same similarity.
    """
    if checks.alike(layer.reference):
        return  # nothing to fit to
    original_is_judged = False
    for kind in layer.settings.transform.kinds:
        try:
            fits = _fits(kind, layer)
        except checks.Undefined as error:
            _warn(layer, f"allows no fit of the {kind} transform, which is NaN there: {error}")
            yield from (Row(measure, kind, np.nan, 0) for measure in (*_ON_UNSEEN, CONVEXITY))
            continue
        if not original_is_judged:
            yield from _on_unseen(ORIGINAL, fits, layer, lambda _: np.asarray, _standardize)
            original_is_judged = True
        yield from _on_unseen(kind, fits, layer, _transform, _transform)
        yield from _convexities(kind, fits.whole.transform(layer.X), layer)


def _standardize(fitted: AlignmentTransform) -> Map:
    return fitted.standardize


def _transform(fitted: AlignmentTransform) -> Map:
    return fitted.transform


class _Fits(NamedTuple):
    """A transform fitted to some of the concepts, to half of the judgments, and to all.

    With each of the first two come the triplets that it was not fitted to.
    """

    folds: list[Fold]
    halves: list[Fold]
    whole: AlignmentTransform


def _fits(kind: str, layer: _Layer) -> _Fits:
    reference, triplets, options = (
        layer.reference,
        layer.stimuli.triplets,
        layer.settings.transform,
    )
    transform = AlignmentTransform(kind, strength=options.strength)
    with warnings.catch_warnings():
        # Where the objective has no minimum, the bound on the iterations ends a fit.
        warnings.simplefilter("ignore", ConvergenceWarning)
        # Where a transform leaves nothing, all rows are alike, and what is measured is at chance.
        warnings.simplefilter("ignore", CollapseWarning)
        folds = fit_folds(
            transform, reference, triplets, n_folds=options.n_folds, n_repeats=options.n_repeats
        )
        halves = KFold(2, shuffle=True, random_state=0).split(triplets)
        return _Fits(
            list(folds),
            [
                Fold(clone(transform).fit(reference, triplets[training]), triplets[test])
                for training, test in halves
            ],
            transform.fit(reference, triplets),
        )


def _on_unseen(
    space: str,
    fits: _Fits,
    layer: _Layer,
    mapped: Callable[[AlignmentTransform], Map],
    scaled: Callable[[AlignmentTransform], Map],
) -> Iterator[Row]:
    """Measures of what each fit did not see; dot products are those of the `scaled` features."""
    X, reference, stimuli, settings, _ = layer
    triplets = np.concatenate([fold.triplets for fold in fits.folds])
    scores, dots, agreements, convexities = [], [], [], []
    for fitted, unseen in fits.folds:
        held_out = np.unique(unseen)
        features = mapped(fitted)(reference)
        scores.append(_scores(features, unseen, settings.similarity))
        dots.append(_scores(scaled(fitted)(reference), unseen, "dot"))
        if stimuli.similarity is not None:
            human = stimuli.similarity[np.ix_(held_out, held_out)]
            agreements.append(_rsa(features[held_out], human, settings.similarity))
        images = np.isin(stimuli.concepts, held_out)
        members = stimuli.categories[images]
        members = members.loc[:, members.sum() > 1]
        if members.shape[1] > 1:  # else there is nothing for a path to leave to
            convexities.append(_convexity(mapped(fitted)(X[images]), members, layer))
    scores = np.concatenate(scores)
    if np.isnan(scores).any():
        agreements = []  # of the other concepts alone they would be another measure
    yield Row(HELD_OUT_ODD_ONE_OUT, space, scores.mean(), len(scores))
    yield from _by_concept(HELD_OUT_ODD_ONE_OUT, space, scores, triplets, stimuli)
    yield Row(HELD_OUT_DOT, space, np.concatenate(dots).mean(), len(triplets))
    of_halves = np.concatenate(
        [
            _scores(mapped(fitted)(reference), unseen, settings.similarity)
            for fitted, unseen in fits.halves
        ]
    )
    yield Row(OTHER_HALF_ODD_ONE_OUT, space, of_halves.mean(), len(of_halves))
    for measure, values in ((HELD_OUT_RSA, agreements), (HELD_OUT_CONVEXITY, convexities)):
        yield Row(measure, space, _mean(values), int(np.isfinite(values).sum()))


def _taught(layer: _Layer) -> Iterator[Row]:
    """A space that is made more convex: does it become more human?

    Linear discriminant analysis learns the names of the categories from one half of the images;
    convexity is measured on the other half. The control learns names that were dealt at random
    to the concepts, as many concepts a name as before.
    """
    X, reference, stimuli, settings, _ = layer
    halves = _halves_to_learn(stimuli)
    if checks.alike(X) or not halves:
        return  # nothing to learn from, or no single name to learn
    of_concept = _names_of_concepts(stimuli)
    rng = np.random.default_rng(0)
    deals = [rng.permutation(of_concept) for _ in range(N_DEALS)]
    deals = [deal for deal in deals if _can_be_learned(deal[stimuli.concepts], halves)]
    for space, convexity, namings in (
        (NAMED, TAUGHT_CONVEXITY, [of_concept]),
        (MISNAMED, MADE_UP_CONVEXITY, deals),
    ):
        before, after, alignment = [], [], []
        for naming in namings:
            names = naming[stimuli.concepts]
            for training, test in halves:
                teacher = make_pipeline(
                    StandardScaler(with_std=False),
                    LinearDiscriminantAnalysis(solver="eigen", shrinkage="auto"),
                )
                try:
                    teacher.fit(X[training], names[training])
                except np.linalg.LinAlgError as error:
                    _warn(layer, f"allows no names to be learned, which are left out: {error}")
                    return
                before.append(_convexity(X[test], names[test], layer))
                after.append(_convexity(teacher.transform(X[test]), names[test], layer))
                taught = teacher.transform(reference)
                scores = _scores(taught, stimuli.triplets, settings.similarity)
                alignment.append([*_alignment(space, taught, scores, layer)])
        if not namings:
            return
        yield Row(convexity, ORIGINAL, float(np.mean(before)), len(X))
        yield Row(convexity, space, float(np.mean(after)), len(X))
        for rows in zip(*alignment, strict=True):
            yield rows[0]._replace(value=float(np.mean([row.value for row in rows])))


def _names_of_concepts(stimuli: Judged) -> np.ndarray:
    """The category of each concept."""
    of_concept = stimuli.category_of_concept
    return of_concept.columns.to_numpy()[of_concept.to_numpy().argmax(axis=1)]


def _halves_to_learn(stimuli: Judged) -> list[tuple[np.ndarray, np.ndarray]]:
    """Halves of the images to learn names from and to judge by; none where no single name is known.

    Each half has all concepts or, where they have one image each, all categories.
    """
    of_concept = stimuli.category_of_concept
    several_names = (of_concept.sum(axis=1) != 1).any()
    if several_names or stimuli.categories.sum().min() < FEWEST_TO_LEARN:
        return []
    of_image = _names_of_concepts(stimuli)[stimuli.concepts]
    strata = stimuli.concepts if stimuli.n_images > 1 else of_image
    halves = StratifiedKFold(2, shuffle=True, random_state=0)
    return [*halves.split(np.zeros((len(strata), 1)), strata)]


def _can_be_learned(names: np.ndarray, halves: list[tuple[np.ndarray, np.ndarray]]) -> bool:
    """Whether several names are in each half: dealt to few images, one can miss a half."""
    counts = [np.unique(names[half], return_counts=True)[1] for pair in halves for half in pair]
    return all(len(of_names) > 1 and of_names.max() > 1 for of_names in counts)


def _convexities(space: str, features: np.ndarray, layer: _Layer) -> Iterator[Row]:
    """Of categories and, where concepts have several images, of these, in one graph."""
    classes = {CONVEXITY: layer.stimuli.categories}
    if layer.stimuli.n_images > 1:
        classes[CONCEPT_CONVEXITY] = pd.get_dummies(layer.stimuli.concepts, dtype=bool)
    members = np.concatenate([*classes.values()], axis=1)
    scores = _convexity(features, members, layer, average=None)
    scores = np.broadcast_to(scores, members.shape[1])
    ends = np.cumsum([of_measure.shape[1] for of_measure in classes.values()])
    for measure, part in zip(classes, np.split(scores, ends[:-1]), strict=True):
        yield Row(measure, space, _mean(part), len(features))


def _alignment(
    space: str, features: np.ndarray, scores: np.ndarray, layer: _Layer
) -> Iterator[Row]:
    """Agreement with all human judgments, of which the scores are those of the triplets."""
    _, _, stimuli, settings, _ = layer
    yield Row(ODD_ONE_OUT, space, scores.mean(), len(scores))
    if stimuli.similarity is None:
        return
    n_pairs = len(features) * (len(features) - 1) // 2
    yield Row(RSA, space, _rsa(features, stimuli.similarity, settings.similarity), n_pairs)


def _mean(values: ArrayLike) -> float:
    """Over what is defined."""
    values = np.asarray(values)[np.isfinite(values)]
    return float(values.mean()) if values.size else np.nan


def _convexity(
    features: np.ndarray,
    labels: ArrayLike,
    layer: _Layer,
    score: Callable[..., float | np.ndarray] = graph_convexity_score,
    **options: Any,
) -> float | np.ndarray:
    if checks.alike(features):
        return np.nan
    try:
        return score(features, labels, n_neighbors=layer.settings.n_neighbors, **options)
    except checks.Undefined as error:
        _warn(layer, f"has no graph of neighbours, so that convexity is NaN: {error}")
        return np.nan


def _scores(features: np.ndarray, triplets: np.ndarray, similarity: str) -> np.ndarray:
    if checks.alike(features):
        return np.full(len(triplets), CHANCE)
    try:
        return odd_one_out_scores(features, triplets, similarity=similarity)
    except checks.Undefined:
        return np.full(len(triplets), np.nan)


def _temperature(features: np.ndarray, triplets: np.ndarray, similarity: str) -> float:
    return _defined(fit_temperature, features, triplets, if_alike=np.inf, similarity=similarity)


def _rsa(features: np.ndarray, human: np.ndarray, similarity: str) -> float:
    return _defined(rsa_score, features, human, if_alike=np.nan, metric=similarity)


def _defined(
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


def _by_concept(
    measure: str, space: str, scores: np.ndarray, triplets: np.ndarray, stimuli: Judged
) -> Iterator[Row]:
    """Mean score of the triplets about each concept, category and human dimension."""
    kept = triplets[:, :2].ravel()
    yield from _means(measure, space, "concept", stimuli.names, kept, np.repeat(scores, 2))
    of_category = stimuli.category_of_concept
    for name in of_category:
        about = concepts.triplets_of(triplets, of_category[[name]]).ravel()
        yield from _means(measure, space, "category", [name], np.where(about, 0, -1), scores)
    if stimuli.dimensions is None:
        return
    dominant = concepts.dominant_dimension(triplets, concepts.half_axes(stimuli.dimensions))
    yield from _means(measure, space, "dimension", stimuli.ends, dominant, scores)


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

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

from convexlib import concepts
from convexlib.convexity import connected_share, graph_convexity_score
from convexlib.judgments import CHANCE, fit_temperature, odd_one_out_scores, rsa_score
from convexlib.settings import Measures
from convexlib.stimuli import Judged
from convexlib.transforms import AlignmentTransform, Fold, fit_folds

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


Map = Callable[[np.ndarray], np.ndarray]


def of_model(
    n_layers: int,
    load: Callable[[int], tuple[ArrayLike, ArrayLike]],
    stimuli: Judged,
    settings: Measures,
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

    Returns
    -------
    dict of DataFrame
        "layers", with columns layer, depth, measure, space, value, n; "concepts", the same and
        kind, concept: what was measured concept by concept; and "dimensions", with columns layer,
        depth, concept, and "dimension 1" ... as `predicted_dimensions` gives them.
    """
    rows, predicted = [], []
    for layer in tqdm(range(n_layers), unit="layer"):
        where = {"layer": layer, "depth": layer / max(1, n_layers - 1)}
        X, reference = (np.asarray(features, dtype=np.float64) for features in load(layer))
        rows += [where | row._asdict() for row in of_layer(X, reference, stimuli, settings)]
        predicted.append(predicted_dimensions(X, stimuli).assign(**where))
    table = pd.DataFrame(rows)
    of_concept = table["concept"] != ""
    return {
        "layers": table[~of_concept].drop(columns=["kind", "concept"]).reset_index(drop=True),
        "concepts": table[of_concept].reset_index(drop=True),
        "dimensions": pd.concat(predicted, ignore_index=True),
    }


def of_layer(X: ArrayLike, reference: ArrayLike, stimuli: Judged, settings: Measures) -> list[Row]:
    """Measure one layer.

    Parameters
    ----------
    X : array-like of shape (n_images, n_features)
        Representations of the images whose classes are judged.
    reference : array-like of shape (n_concepts, n_features)
        Representations of the reference images, to which the triplets refer.
    stimuli : Judged
    settings : Measures

    Returns
    -------
    list of Row
        Where all images are represented alike, accuracy is at chance, and convexity and RSA are
        NaN.
    """
    X, reference = np.asarray(X, dtype=np.float64), np.asarray(reference, dtype=np.float64)
    layer = _Layer(X, reference, stimuli, settings)
    return [*_as_it_is(layer), *_aligned(layer), *_taught(layer)]


def predicted_dimensions(X: np.ndarray, stimuli: Judged) -> pd.DataFrame:
    """Human dimensions of each concept, predicted from the mean representation of its images.

    Returns
    -------
    DataFrame
        One row a concept, with columns concept and "dimension 1" ...; without rows where no
        human dimensions are known.
    """
    if stimuli.dimensions is None:
        return pd.DataFrame({"concept": []}, dtype=str)
    means = pd.DataFrame(X).groupby(stimuli.concepts).mean().to_numpy()
    predicted = concepts.predicted_dimensions(means, stimuli.dimensions)
    columns = [f"dimension {1 + column}" for column in range(predicted.shape[1])]
    table = pd.DataFrame(predicted, columns=columns)
    table.insert(0, "concept", stimuli.names)
    return table


def _as_it_is(layer: _Layer) -> Iterator[Row]:
    X, reference, stimuli, settings = layer
    yield from _convexities(ORIGINAL, X, layer)
    if not _alike(X):
        connected = connected_share(X, stimuli.categories, n_neighbors=settings.n_neighbors)
        yield Row(CONNECTED, ORIGINAL, connected, len(X))
    scores = _scores(reference, stimuli.triplets, settings.similarity)
    yield from _alignment(ORIGINAL, reference, scores, layer)
    if _alike(reference):
        temperature = np.inf
    elif scores.all() and (scores == 1).any():
        temperature = 0.0  # the colder, the likelier
    else:
        temperature = fit_temperature(reference, stimuli.triplets, similarity=settings.similarity)
    yield Row(TEMPERATURE, ORIGINAL, temperature, len(scores))
    yield from _by_concept(ODD_ONE_OUT, ORIGINAL, scores, stimuli.triplets, stimuli)


def _aligned(layer: _Layer) -> Iterator[Row]:
    """Before and after each transform, on what it was not fitted to.

    Folds and halves are the same for all transforms, and the original space is judged on the
    very same triplets, by the same similarity.
    """
    if _alike(layer.reference):
        return  # nothing to fit to
    kinds = layer.settings.transform.kinds
    for kind in kinds:
        fits = _fits(kind, layer)
        if kind == kinds[0]:
            yield from _on_unseen(ORIGINAL, fits, layer, lambda _: np.asarray, _standardize)
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
    X, reference, stimuli, settings = layer
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
            convexities.append(_convexity(mapped(fitted)(X[images]), members, settings))
    scores = np.concatenate(scores)
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
    X, reference, stimuli, settings = layer
    of_concept = stimuli.category_of_concept
    several_names = (of_concept.sum(axis=1) != 1).any()
    if _alike(X) or several_names or stimuli.categories.sum().min() < FEWEST_TO_LEARN:
        return  # nothing to learn from, or no single name to learn
    of_concept = of_concept.columns.to_numpy()[of_concept.to_numpy().argmax(axis=1)]
    rng = np.random.default_rng(0)
    deals = [rng.permutation(of_concept) for _ in range(N_DEALS)]
    # Each half has all concepts or, where they have one image each, all categories.
    strata = stimuli.concepts if stimuli.n_images > 1 else of_concept[stimuli.concepts]
    halves = [*StratifiedKFold(2, shuffle=True, random_state=0).split(X, strata)]
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
                teacher.fit(X[training], names[training])
                before.append(_convexity(X[test], names[test], settings))
                after.append(_convexity(teacher.transform(X[test]), names[test], settings))
                taught = teacher.transform(reference)
                scores = _scores(taught, stimuli.triplets, settings.similarity)
                alignment.append([*_alignment(space, taught, scores, layer)])
        yield Row(convexity, ORIGINAL, float(np.mean(before)), len(X))
        yield Row(convexity, space, float(np.mean(after)), len(X))
        for rows in zip(*alignment, strict=True):
            yield rows[0]._replace(value=float(np.mean([row.value for row in rows])))


def _convexities(space: str, features: np.ndarray, layer: _Layer) -> Iterator[Row]:
    """Of categories and, where concepts have several images, of these, in one graph."""
    classes = {CONVEXITY: layer.stimuli.categories}
    if layer.stimuli.n_images > 1:
        classes[CONCEPT_CONVEXITY] = pd.get_dummies(layer.stimuli.concepts, dtype=bool)
    members = np.concatenate([*classes.values()], axis=1)
    scores = _convexity(features, members, layer.settings, average=None)
    scores = np.broadcast_to(scores, members.shape[1])
    ends = np.cumsum([of_measure.shape[1] for of_measure in classes.values()])
    for measure, part in zip(classes, np.split(scores, ends[:-1]), strict=True):
        yield Row(measure, space, _mean(part), len(features))


def _alignment(
    space: str, features: np.ndarray, scores: np.ndarray, layer: _Layer
) -> Iterator[Row]:
    """Agreement with all human judgments, of which the scores are those of the triplets."""
    _, _, stimuli, settings = layer
    yield Row(ODD_ONE_OUT, space, scores.mean(), len(scores))
    if stimuli.similarity is None:
        return
    n_pairs = len(features) * (len(features) - 1) // 2
    yield Row(RSA, space, _rsa(features, stimuli.similarity, settings.similarity), n_pairs)


def _mean(values: ArrayLike) -> float:
    """Over what is defined."""
    values = np.asarray(values)[np.isfinite(values)]
    return float(values.mean()) if values.size else np.nan


def _alike(features: np.ndarray) -> bool:
    """Whether all rows are the same, as of a class token before it met an image."""
    return bool((features == features[:1]).all())


def _convexity(
    features: np.ndarray, labels: ArrayLike, settings: Measures, **options: Any
) -> float | np.ndarray:
    if _alike(features):
        return np.nan
    return graph_convexity_score(features, labels, n_neighbors=settings.n_neighbors, **options)


def _scores(features: np.ndarray, triplets: np.ndarray, similarity: str) -> np.ndarray:
    if _alike(features):
        return np.full(len(triplets), CHANCE)
    return odd_one_out_scores(features, triplets, similarity=similarity)


def _rsa(features: np.ndarray, human: np.ndarray, similarity: str) -> float:
    return np.nan if _alike(features) else rsa_score(features, human, metric=similarity)


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

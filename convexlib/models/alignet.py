"""The teacher of AligNet: a layer of a model, aligned with people, that judges triplets of images.

Whatever the teacher is fitted to and chosen by comes from the first of the folds of the judged
objects, so that the rest of the judgments is left to judge it, and its students, by.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from convexlib import alignment, checks, layers, triplets
from convexlib.data import CHOSEN, Human, Judgments
from convexlib.settings import TARGETS, Transform
from convexlib.transforms import AlignmentTransform
from convexlib.triplets import Triplets

_LARGEST = 1e6  # similarity that a file can take


class Teacher(NamedTuple):
    """A layer of a model, and how its features become similarities.

    Attributes
    ----------
    layer : int
    transform : AlignmentTransform
    temperature : float
        Of the dot products of standardised features, as they were before the transform.
    """

    layer: int
    transform: AlignmentTransform
    temperature: float

    def judge(
        self, X: np.ndarray, drawn: np.ndarray, target: str, names: Sequence[str]
    ) -> Triplets:
        """What students of a target are told of triplets of the rows of features.

        Parameters
        ----------
        X : ndarray of shape (n_images, n_features)
        drawn : ndarray of int, shape (n_triplets, 3)
        target : {"aligned", "unaligned", "shuffled"}
            What the aligned teacher says; what the features say as they are; or what the aligned
            one says, shuffled within each triplet.
        names : sequence of str
            Of the images.
        """
        if target == "unaligned":
            said = triplets.told(self.transform.standardize(X), drawn) / self.temperature
        else:
            said = triplets.told(self.transform.transform(X), drawn)
        if target == "shuffled":
            said = np.random.default_rng(0).permuted(said, axis=1)
        # Only differences count; an infinite temperature leaves none.
        said = np.clip(said - said.max(axis=1, keepdims=True), -_LARGEST, 0)
        ordered, said = triplets.odd_last(drawn, said)
        return Triplets(ordered, said, np.array([name.encode() for name in names])[ordered])


def soft_choices(judged: Judgments, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    r"""How likely people keep each pair of three objects: the targets of uncertainty distillation.

    Where people chose, the shares of the choices, if the same three were judged several times, and
    else what their embedding makes likely (VICE), if there is one. Where they rated pairs,
    Luce's shares of the ratings, :math:`s_{ij} / (s_{ij} + s_{ik} + s_{jk})`, which have no
    parameter to choose.

    Parameters
    ----------
    judged : Judgments
    chosen : ndarray of int, shape (n_triplets, 3)
        Those to learn from.

    Returns
    -------
    threes : ndarray of int, shape (n_threes, 3)
    probabilities : ndarray of shape (n_threes, 3)

    References
    ----------
    Muttenthaler et al. (2025), *Aligning machine and human visual representations across
    abstraction levels*, Nature, methods; Luce (1959), *Individual choice behavior*.
    """
    threes, counts = alignment.choice_counts(chosen)
    if judged.method == CHOSEN or judged.similarity is None:
        repeated = np.median(counts.sum(axis=1)) >= alignment.FEWEST_CHOICES
        if not repeated and judged.dimensions is not None:
            likely = alignment.odd_one_out_probabilities(
                judged.dimensions, threes, similarity="dot"
            )
            return threes, likely
        return threes, counts / counts.sum(axis=1, keepdims=True)
    similarity = judged.similarity - min(0, np.nanmin(judged.similarity))
    pairs = np.stack([similarity[threes[:, i], threes[:, j]] for i, j in alignment.PAIRS], axis=1)
    total = pairs.sum(axis=1, keepdims=True)
    return threes, np.where(total > 0, pairs / np.where(total > 0, total, 1), 1 / 3)


def teach(
    features: Sequence[np.ndarray], human: Human, options: Transform
) -> tuple[Teacher, pd.DataFrame]:
    """Fit the transform of a teacher at every layer, and take the best by held-in validation.

    Parameters
    ----------
    features : sequence of ndarray of shape (n_objects, n_features)
        Of the reference images, a layer each.
    human : Human
    options : Transform

    Returns
    -------
    Teacher
    DataFrame
        One row a layer: layer, validation (odd-one-out accuracy on triplets within the first fold
        that hold an object that a transform was not fitted to), validation_zero_shot, on the same
        triplets, both NaN where all rows are alike or not finite; and of the layer that was taken
        also aligned and zero_shot (accuracy on all triplets that hold an object that the teacher
        does not know), and n, their number.

    Raises
    ------
    ValueError
        If a fold has nothing to fit to or to judge by.
    """
    known, unseen = layers.first_fold(human, options)
    inner = [
        layers.parted(known, training)
        for training, _ in layers.object_splits(known, len(human.names), options, human)
    ]
    if not inner:
        raise ValueError(
            f"measures.transform.n_folds is {options.n_folds}, and the first fold cannot be parted "
            "again to choose the teacher's layer; choose fewer folds"
        )
    rows = []
    for number, X in enumerate(features):
        if checks.alike(X) or not np.isfinite(X).all():
            rows.append([number, np.nan, np.nan])  # such as a class token before it met an image
            continue
        before, after = [], []
        for training, test in inner:
            transform = _fitted(X, human.judgments, training, options)
            before.append(_accuracy(transform.standardize(X), test))
            after.append(_accuracy(transform.transform(X), test))
        rows.append([number, np.mean(after), np.mean(before)])
    table = pd.DataFrame(rows, columns=["layer", "validation", "validation_zero_shot"])
    if table["validation"].isna().all():
        raise ValueError("the teacher tells no two images apart at any layer; choose another")
    best = int(table["validation"].idxmax())
    X = features[best]
    transform = _fitted(X, human.judgments, known, options)
    standard = transform.standardize(X)
    warmth = alignment.fit_temperature(standard, known, similarity="dot")
    found = {
        "zero_shot": _accuracy(standard, unseen),
        "aligned": _accuracy(transform.transform(X), unseen),
        "n": len(unseen),
    }
    table.loc[best, [*found]] = [*found.values()]
    return Teacher(best, transform, max(warmth, 1 / _LARGEST)), table


def lesson(
    teacher: Teacher,
    X: np.ndarray,
    names: Sequence[str],
    n_triplets: int,
    *,
    scheme: str,
    n_clusters: int,
    random_state: int,
    groups: np.ndarray | None = None,
    **batches: int,
) -> dict[str, Triplets]:
    """Triplets of images, by the clusters of their features, and what each target says of them.

    Parameters
    ----------
    teacher : Teacher
    X : ndarray of shape (n_images, n_features)
        Its layer.
    names : sequence of str
        Of the images.
    n_triplets : int
    scheme, n_clusters : str, int
        As in `settings.Alignment`.
    random_state : int
    groups : ndarray of int, optional
        Classes of the images, for schemes that draw by these.
    **batches
        Options of `triplets.draw`.

    Returns
    -------
    dict of Triplets
        By the names of `settings.TARGETS`.
    """
    if scheme == "cluster-border":
        groups = triplets.clusters(X, n_clusters, random_state=random_state)
    if groups is None:
        raise ValueError(
            f"alignet.scheme is {scheme!r}, and the classes of the images are not known; choose "
            "'cluster-border'"
        )
    drawn = triplets.draw(groups, n_triplets, scheme, random_state=random_state, **batches)
    return {target: teacher.judge(X, drawn, target, names) for target in TARGETS}


def _fitted(
    X: np.ndarray, judged: Judgments, chosen: np.ndarray, options: Transform
) -> AlignmentTransform:
    threes, probabilities = soft_choices(judged, chosen)
    transform = AlignmentTransform("global", lmbda=options.lmbda, max_iter=options.max_iter)
    return transform.fit(X, threes, probabilities)


def _accuracy(X: np.ndarray, chosen: np.ndarray) -> float:
    return alignment.odd_one_out_accuracy(X, chosen, similarity="dot")

"""Triplets of images that a teacher judges: clusters, sampling, soft targets, and their files.

Features are looked up by number, so that millions of triplets hold no image.
"""

from pathlib import Path
from typing import NamedTuple
from zipfile import BadZipFile

import numpy as np
from numpy.typing import ArrayLike

from convexlib import checks
from convexlib.alignment import PAIRS

SCHEMES = ("cluster-border", "class-border", "between-class", "within-class")

LEVELS = ("across", "within", "boundary")
"""Levels of abstraction: three categories; one; two objects of one and one of another."""

_AT_ONCE = 2**9  # triplets, whose features are looked up together and stay in the cache
_ODD_LAST = np.array([[0, 1, 2], [0, 2, 1], [1, 2, 0]])  # columns, by the pair that is kept
_PAIRS_THEN = np.array([[0, 1, 2], [1, 0, 2], [2, 0, 1]])  # and their pairs


class Triplets(NamedTuple):
    """Triplets of images and how similar a teacher finds their pairs.

    Attributes
    ----------
    indices : ndarray of int, shape (n_triplets, 3)
        Of the images, the odd one last.
    similarities : ndarray of float32, shape (n_triplets, 3)
        Of the pairs (0, 1), (0, 2) and (1, 2), from the largest to the smallest. Their softmax is
        how likely each pair is kept together.
    filenames : ndarray of str, or of bytes in UTF-8, shape (n_triplets, 3)
        Of the images.

    References
    ----------
    Muttenthaler et al. (2025), *Aligning machine and human visual representations across
    abstraction levels*, Nature; the layout is that of the released files, as the page of the
    repository google-deepmind/alignet tells it.
    """

    indices: np.ndarray
    similarities: np.ndarray
    filenames: np.ndarray

    def save(self, path: Path) -> None:
        """Write an .npz file in the released layout, whole or not at all."""
        partial = path.with_suffix(".partial")
        with partial.open("wb") as file:
            np.savez_compressed(file, **self._asdict())
        partial.replace(path)

    @classmethod
    def load(cls, path: Path, n_images: int | None = None) -> "Triplets":
        """Read an .npz file in the released layout.

        Parameters
        ----------
        path : Path
        n_images : int, optional
            That there are.

        Raises
        ------
        ValueError
            If it is no such file, indices exceed the images, or similarities are not in order.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = {name: file[name] for name in cls._fields}
        except (ValueError, KeyError, EOFError, BadZipFile, TypeError, AttributeError) as error:
            raise ValueError(
                f"{str(path)!r} is no .npz file with arrays {', '.join(cls._fields)}: {error}"
            ) from error
        found = cls(**arrays)
        found.check(str(path), n_images)
        return found

    def check(self, name: str, n_images: int | None = None) -> None:
        """Raise a one-line ValueError if these are no triplets, or not of so many images."""
        shapes = [array.shape for array in self]
        if len({*shapes}) != 1 or shapes[0][1:] != (3,) or not shapes[0][0]:
            raise ValueError(
                f"{name} has indices, similarities and filenames of shapes {shapes[0]}, "
                f"{shapes[1]} and {shapes[2]}; give three of each a triplet, and one triplet at "
                "least"
            )
        try:
            checks.triplets(self.indices, n_images)
        except ValueError as error:
            of = "" if n_images is None else f", of {n_images} images"
            raise ValueError(f"{name}{of}: indices: {error}") from error
        similarities = checks.numbers(self.similarities, f"{name}: similarities")
        if not np.isfinite(similarities).all():
            row = int(np.argmin(np.isfinite(similarities).all(axis=1)))
            raise ValueError(f"{name} has similarities that are not finite, as in row {row}")
        if (wrong := (np.diff(similarities, axis=1) > 0).any(axis=1)).any():
            row = int(np.argmax(wrong))
            raise ValueError(
                f"{name}, row {row}: similarities {similarities[row].tolist()} of the pairs "
                "(0, 1), (0, 2), (1, 2) must fall from the first to the last, since the last image "
                "is odd, and the first is nearer to it"
            )

    @property
    def targets(self) -> np.ndarray:
        """How likely each pair is kept together, float32 (n_triplets, 3)."""
        likely = np.exp(self.similarities - self.similarities.max(axis=1, keepdims=True))
        return (likely / likely.sum(axis=1, keepdims=True)).astype(np.float32)


def clusters(X: ArrayLike, n_clusters: int, *, random_state: int = 0) -> np.ndarray:
    """Cluster of each row by k-means, in mini-batches.

    Parameters
    ----------
    X : array-like of shape (n_images, n_features)
    n_clusters : int
    random_state : int, default=0

    Returns
    -------
    ndarray of int, shape (n_images,)

    Raises
    ------
    ValueError
        If there are more clusters than images, or a cluster stays empty.

    Examples
    --------
    >>> clusters([[0.0], [0.1], [9.0], [9.1]], 2)[[0, 2]].tolist() in ([0, 1], [1, 0])
    True
    """
    from sklearn.cluster import MiniBatchKMeans
    from threadpoolctl import threadpool_limits

    X, n_clusters = checks.features(X), checks.whole(n_clusters, "n_clusters", 1)
    if n_clusters > len(X):
        raise ValueError(
            f"n_clusters is {n_clusters}, and there are {len(X)} images; choose fewer clusters"
        )
    means = MiniBatchKMeans(n_clusters, batch_size=4096, n_init=3, random_state=random_state)
    with threadpool_limits(1):  # so that the clusters do not depend on the machine
        found = means.fit_predict(X.astype(np.float32))
    sizes = np.bincount(found, minlength=n_clusters)
    if not sizes.all():
        raise ValueError(
            f"n_clusters is {n_clusters}, and {(sizes == 0).sum()} of them are empty; choose "
            "fewer clusters, or images that differ more"
        )
    return found


def draw(
    groups: ArrayLike,
    n_triplets: int,
    scheme: str = "cluster-border",
    *,
    batch_size: int = 512,
    n_groups: int = 16,
    n_of_group: int = 4,
    random_state: int = 0,
) -> np.ndarray:
    """Draw triplets of images by the groups that these are in.

    Triplets come in batches of few images, since a step of training costs as much as the distinct
    images in it: those of a batch are of `n_groups` groups, and `n_of_group` images of each.

    Parameters
    ----------
    groups : array-like of int, shape (n_images,)
        Clusters, or classes; those below zero are left out.
    n_triplets : int
    scheme : {"cluster-border", "class-border", "between-class", "within-class"}
        On the border, two images are of one group and the third of another; between, all are of
        different groups; within, all are of one.
    batch_size : int, default=512
    n_groups, n_of_group : int, default=16, 4
        At most. Groups that are too small to give a triplet its images are not used.
    random_state : int, default=0

    Returns
    -------
    ndarray of int, shape (n_triplets, 3)
        Which of the three is odd, a teacher has to say: see `odd_last`.

    Raises
    ------
    ValueError
        If an option is unknown, or there are too few groups of enough images.

    Examples
    --------
    >>> groups = draw([0, 0, 1, 1], 2, n_groups=2, n_of_group=2) // 2
    >>> bool((groups[:, 0] == groups[:, 1]).all()), bool((groups[:, 0] == groups[:, 2]).any())
    (True, False)
    """
    checks.choice(scheme, "scheme", SCHEMES)
    n_triplets = checks.whole(n_triplets, "n_triplets", 1)
    batch_size = checks.whole(batch_size, "batch_size", 1)
    n_groups = checks.whole(n_groups, "n_groups", 1)
    n_of_group = checks.whole(n_of_group, "n_of_group", 1)
    needs, n_needed = {"within-class": (3, 1), "between-class": (1, 3)}.get(scheme, (2, 2))
    groups = np.asarray(groups)
    rng = np.random.default_rng(random_state)
    order = rng.permutation(len(groups))
    order = order[np.argsort(groups[order], kind="stable")]
    order = order[groups[order] >= 0]
    _, starts, sizes = np.unique(groups[order], return_index=True, return_counts=True)
    starts, sizes = starts[sizes >= needs], sizes[sizes >= needs]
    n_groups, n_of_group = min(n_groups, len(sizes)), min(n_of_group, sizes.max(initial=0))
    if n_groups < n_needed or n_of_group < needs:
        raise ValueError(
            f"{scheme} takes {n_needed} groups of {needs} images, and there are {n_groups} such "
            f"groups, of {n_of_group} images used; give more images of each, or other groups"
        )
    n_batches = -(-n_triplets // batch_size)
    chosen = rng.random((n_batches, len(sizes))).argpartition(n_groups - 1)[:, :n_groups]
    of_size = np.minimum(sizes[chosen], n_of_group)  # (n_batches, n_groups)
    places = np.stack(_distinct(n_of_group, sizes[chosen], rng), axis=-1)
    members = order[starts[chosen][..., None] + np.minimum(places, sizes[chosen][..., None] - 1)]
    batch = np.repeat(np.arange(n_batches), batch_size)[:n_triplets]

    def several(n: int, most: np.ndarray | int) -> list[np.ndarray]:
        return _distinct(n, np.broadcast_to(most, n_triplets), rng)

    which = several(n_needed, n_groups)
    if scheme == "within-class":
        (which,) = which
        return members[batch, which, np.array(several(3, of_size[batch, which]))].T
    if scheme == "between-class":
        within = [several(1, of_size[batch, group])[0] for group in which]
    else:
        pair = several(2, of_size[batch, which[0]])
        within = [*pair, several(1, of_size[batch, which[1]])[0]]
        which = [which[0], *which]
    return np.stack([members[batch, *at] for at in zip(which, within, strict=True)], axis=1)


def _distinct(n: int, most: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
    """Of each place of `most`, so many distinct numbers below it, in a random order."""
    found: list[np.ndarray] = []
    for taken in range(n):
        number = (rng.random(most.shape) * np.maximum(most - taken, 1)).astype(int)
        for other in np.sort(found, axis=0):
            number += number >= other
        found.append(number)
    return found


def told(X: ArrayLike, triplets: np.ndarray) -> np.ndarray:
    """Dot products of the pairs (0, 1), (0, 2) and (1, 2) of triplets of rows.

    Returns
    -------
    ndarray of float32, shape (n_triplets, 3)

    Examples
    --------
    >>> told([[1, 0], [1, 1], [0, 2]], np.array([[0, 1, 2]])).tolist()
    [[1.0, 0.0, 2.0]]
    """
    X = np.asarray(X, dtype=np.float32)
    found = np.empty((len(triplets), 3), dtype=np.float32)
    for start in range(0, len(triplets), _AT_ONCE):
        images = X[triplets[start : start + _AT_ONCE]]
        for column, (one, other) in enumerate(PAIRS):
            some = np.einsum("nd,nd->n", images[:, one], images[:, other])
            found[start : start + _AT_ONCE, column] = some
    return found


def odd_last(triplets: np.ndarray, similarities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same triplets and similarities, in which these fall: the odd one of each is last.

    Of the other two, the one that is nearer to it comes first.

    Examples
    --------
    >>> triplets, similarities = odd_last(np.array([[5, 6, 7]]), np.array([[0.1, 0.2, 0.3]]))
    >>> triplets.tolist(), similarities.tolist()
    ([[7, 6, 5]], [[0.3, 0.2, 0.1]])
    """
    kept, rows = similarities.argmax(axis=1), np.arange(len(similarities))[:, None]
    triplets, similarities = (
        triplets[rows, _ODD_LAST[kept]],
        similarities[rows, _PAIRS_THEN[kept]],
    )
    swapped = similarities[:, 1] < similarities[:, 2]
    triplets[swapped] = triplets[swapped][:, [1, 0, 2]]
    similarities[swapped] = similarities[swapped][:, [0, 2, 1]]
    return triplets, similarities


def levels(triplets: np.ndarray, groups: ArrayLike) -> np.ndarray:
    """At which of `LEVELS` each triplet is, by the groups of its objects.

    Parameters
    ----------
    triplets : ndarray of int, shape (n_triplets, 3)
    groups : array-like of int, shape (n_objects,)
        Below zero where there is none.

    Returns
    -------
    ndarray of int, shape (n_triplets,)
        Number of the level; -1 where a group is not known.

    Examples
    --------
    >>> levels(np.array([[0, 1, 2], [0, 1, 3], [0, 3, 4]]), [0, 0, 0, 1, 2]).tolist()
    [1, 2, 0]
    """
    of_triplet = np.sort(np.asarray(groups)[triplets], axis=1)
    n_groups = 1 + (np.diff(of_triplet, axis=1) > 0).sum(axis=1)
    return np.where(of_triplet[:, 0] < 0, -1, np.array([-1, 1, 2, 0])[n_groups])

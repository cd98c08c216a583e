"""How human are the similarities of a space? Arrays in, numbers out."""

from collections.abc import Iterator
from math import comb
from numbers import Real
from typing import Literal, NamedTuple

import numpy as np
from numba import njit, prange
from numpy.typing import ArrayLike
from scipy import stats
from scipy.optimize import brentq
from scipy.spatial.distance import cdist
from scipy.special import softmax, xlogy

from convexlib import checks

Similarity = Literal["cosine", "dot", "euclidean"]
Correlation = Literal["spearman", "pearson", "kendall"]
TwoArrays = tuple[np.ndarray, np.ndarray]

# Odd-one-out accuracy of a guess.
CHANCE = 1 / 3
# The pairs of a triplet, in the order of its probabilities; the first was kept together.
PAIRS = ((0, 1), (0, 2), (1, 2))

FEWEST_CHOICES = 5
"""Of the same three objects, from which on their shares say how people disagree."""
# Similarities that differ by no more than this share of their size do so by rounding alone.
ROUNDING = 1e-14

_MOST_TRIPLETS = 5 * 10**7  # about 1.2 GB
_TIE = 1e-12  # similarities of equal pairs can differ in the last digits
_OFFSET = 1e-2  # by which features may exceed distances before their rounding tells in these
_WAYS = np.array([[0, 1, 2], [0, 2, 1], [1, 2, 0]])  # each pair, and who is left
_ODD = np.array([-1, 2, 1, -1, 0, -1, -1, -1])  # by the set of the most similar pairs, in bits
_SCORE = np.array([0, 1, 0, 1 / 2, 0, 1 / 2, 0, 1 / 3])


class Disagreement(NamedTuple):
    """How well choices are told, in nats; and the rank correlation of how uncertain they are."""

    cross_entropy: float
    entropy_correlation: float


class NoiseCeiling(NamedTuple):
    """How well people predict each other: without, and with, the judgment to be predicted."""

    lower: float
    upper: float


def odd_one_out_accuracy(
    X: ArrayLike, triplets: ArrayLike, *, similarity: Similarity = "cosine"
) -> float:
    """Share of triplets in which the space picks the same odd one out as people.

    The most similar pair is kept together, the third is odd. When two or three pairs are
    equally most similar (to twelve digits), the triplet counts 1/2 or
    1/3 if the human pair is among them. Chance is 1/3.

    Parameters
    ----------
    X : array-like of shape (n_objects, n_features)
    triplets : array-like of int, shape (n_triplets, 3)
        Rows of `X`; columns 0 and 1 are the pair that people kept together.
    similarity : {"cosine", "dot", "euclidean"}, default="cosine"
        "euclidean" is the negative distance.

    Returns
    -------
    float
        In [0, 1].

    Raises
    ------
    ValueError
        If shapes do not fit, values are not finite or out of range, or a judged row of `X` is
        zero and has no cosine.

    References
    ----------
    Muttenthaler et al. (2022), arXiv 2211.01201, section 3, "zero-shot odd-one-out accuracy".

    Examples
    --------
    >>> import numpy as np
    >>> X = np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]])
    >>> odd_one_out_accuracy(X, [[0, 1, 2]])
    1.0
    """
    best = _most_similar(X, triplets, similarity)
    n_of_kind = [np.count_nonzero(best == kind) for kind in range(len(_SCORE))]
    return float(_SCORE @ n_of_kind / len(best))


def odd_one_out_scores(
    X: ArrayLike, triplets: ArrayLike, *, similarity: Similarity = "cosine"
) -> np.ndarray:
    """What each triplet adds to `odd_one_out_accuracy`: 1, 1/2, 1/3 or 0.

    For intervals (`statistics.mean_over_objects`) and means over some of the triplets.
    Parameters and errors are those of `odd_one_out_accuracy`.

    Returns
    -------
    ndarray of shape (n_triplets,)

    Examples
    --------
    >>> odd_one_out_scores([[1, 0], [1, 1], [1, -1]], [[0, 1, 2], [1, 2, 0]])
    array([0.5, 0. ])
    """
    return _SCORE[_most_similar(X, triplets, similarity)]


def odd_one_out_choices(
    X: ArrayLike, triplets: ArrayLike, *, similarity: Similarity = "cosine"
) -> np.ndarray:
    """Which of the three the space finds odd: the one outside the most similar pair.

    Parameters and errors are those of `odd_one_out_accuracy`.

    Returns
    -------
    ndarray of int, shape (n_triplets,)
        Column of `triplets`; 2 is the one that people found odd, -1 says that pairs tie.

    Examples
    --------
    >>> odd_one_out_choices([[1, 0], [0, 1], [0.1, 0.9]], [[0, 1, 2], [1, 2, 0]])
    array([0, 2])
    """
    return _ODD[_most_similar(X, triplets, similarity)]


def odd_one_out_probabilities(
    X: ArrayLike,
    triplets: ArrayLike,
    *,
    temperature: float = 1.0,
    similarity: Similarity = "cosine",
) -> np.ndarray:
    r"""How likely each pair is kept together: the softmax of the similarities.

    .. math:: p_{ij} = \frac{\exp(s_{ij} / \tau)}
              {\exp(s_{ij} / \tau) + \exp(s_{ik} / \tau) + \exp(s_{jk} / \tau)}

    Parameters
    ----------
    X, triplets, similarity
        As in `odd_one_out_accuracy`.
    temperature : float, default=1.0
        :math:`\tau`, above zero; see `fit_temperature`.

    Returns
    -------
    ndarray of shape (n_triplets, 3)
        For the pairs (0, 1), (0, 2) and (1, 2) of the columns; rows sum to one.

    References
    ----------
    Muttenthaler et al. (2022), arXiv 2211.01201, equation 2.

    Examples
    --------
    >>> odd_one_out_probabilities([[1, 0], [1, 1], [1, -1]], [[0, 1, 2]], similarity="dot")
    array([[0.4223188, 0.4223188, 0.1553624]])
    """
    if not (isinstance(temperature, Real) and temperature > 0):
        raise ValueError(f"temperature is {temperature!r}; give a number above zero")
    with np.errstate(over="ignore"):
        logits = _of_pairs(X, triplets, similarity)[0] / temperature
    if not np.isfinite(logits).all():
        raise ValueError(
            f"similarities over temperature ({temperature}) are too large; scale X down or raise it"
        )
    return softmax(logits, axis=1)


def fit_temperature(
    X: ArrayLike, triplets: ArrayLike, *, similarity: Similarity = "cosine"
) -> float:
    """Temperature at which `odd_one_out_probabilities` makes the judgments most likely.

    The mean negative log-likelihood is convex in the inverse temperature, and its minimum is
    found to ten digits.

    Parameters and errors are those of `odd_one_out_accuracy`.

    Returns
    -------
    float
        Infinity where the similarities say no more than chance. Zero where no pair is more
        similar than the kept one in any triplet, and some pair less: the colder, the likelier.

    Raises
    ------
    ValueError
        Also if similarities are too large to be numbers.

    Examples
    --------
    >>> X = [[1, 0], [1, 0.2], [0, 1]]
    >>> round(fit_temperature(X, [[0, 1, 2], [0, 1, 2], [0, 2, 1]]), 3)
    0.73
    >>> fit_temperature(X, [[0, 1, 2]])
    0.0
    """
    pairs, ties = _of_pairs(X, triplets, similarity)
    if not np.isfinite(pairs).all():
        raise ValueError(f"X has {similarity} similarities too large to be numbers; scale it down")
    pairs -= pairs[:, :1]
    pairs[abs(pairs) <= ties[:, None]] = 0
    spread = np.ptp(pairs)
    if spread == 0:
        return np.inf
    if (pairs <= 0).all():
        return 0.0
    pairs = np.ascontiguousarray(pairs.T) / spread  # sums over rows are faster

    def slope(cold: float) -> float:
        """Of the mean negative log-likelihood, by the inverse temperature."""
        return float((softmax(cold * pairs, axis=0) * pairs).sum(axis=0).mean())

    if slope(0.0) >= 0:
        return np.inf
    coldest = 1.0
    while slope(coldest) < 0:
        coldest *= 2
    return float(spread / brentq(slope, 0.0, coldest, xtol=1e-300, rtol=1e-10))


def choice_counts(triplets: ArrayLike) -> TwoArrays:
    """How often people kept each pair of three objects together.

    Parameters
    ----------
    triplets : array-like of int, shape (n_judgments, 3)
        Columns 0 and 1 are the pair that was kept together.

    Returns
    -------
    threes : ndarray of int, shape (n_threes, 3)
        Each three objects once, in ascending order.
    counts : ndarray of shape (n_threes, 3)
        For the pairs (0, 1), (0, 2) and (1, 2) of the columns.

    Examples
    --------
    >>> choice_counts([[0, 1, 2], [1, 0, 2], [2, 1, 0]])
    (array([[0, 1, 2]]), array([[2., 0., 1.]]))
    """
    triplets = checks.triplets(triplets)
    threes, which = _threes_of(triplets)
    counts = np.zeros((len(threes), 3))
    np.add.at(counts, (which, _kept(triplets)), 1)
    return threes, counts


def _threes_of(triplets: np.ndarray) -> TwoArrays:
    """Each three objects once, in ascending order, and which of these each triplet is of.

    As by `numpy.unique` along an axis, which compares rows as bytes and takes longer.
    """
    threes = np.sort(triplets, axis=1)
    order = np.lexsort(threes.T[::-1])
    ordered = threes[order]
    is_first = np.append(True, (ordered[1:] != ordered[:-1]).any(axis=1))
    which = np.empty(len(order), dtype=int)
    which[order] = np.cumsum(is_first) - 1
    return ordered[is_first], which


def _kept(triplets: np.ndarray) -> np.ndarray:
    """Which pair of the three, in ascending order, was kept: (0, 1), (0, 2) or (1, 2)."""
    return 2 - (triplets[:, 2:] > triplets[:, :2]).sum(axis=1)


def agreement(triplets: ArrayLike, others: ArrayLike, *, own: bool = False) -> np.ndarray:
    """How likely another person judges the same three objects alike, of each judgment.

    Unlike accuracy of the most frequent choice, this does not depend on how many the others are.

    Parameters
    ----------
    triplets : array-like of int, shape (n_judgments, 3)
        Columns 0 and 1 are the pair that was kept together.
    others : array-like of int, shape (n_others, 3)
        Their judgments.
    own : bool, default=False
        Whether the judgments are among those of the others; then each is left out of its own.

    Returns
    -------
    ndarray of shape (n_judgments,)
        The share of others who kept the same pair, NaN where no other judged the three.

    Examples
    --------
    >>> agreement([[0, 1, 2], [2, 1, 0]], [[1, 0, 2], [0, 1, 2], [0, 2, 1], [0, 2, 1]])
    array([0.5, 0. ])
    """
    triplets, others = checks.triplets(triplets), checks.triplets(others)
    threes, counts = choice_counts(others)
    size = int(max(triplets.max(), threes.max())) + 1
    of_three, place = _numbers(threes, size), _kept(triplets)
    asked = _numbers(np.sort(triplets, axis=1), size)
    row = np.searchsorted(of_three, asked).clip(max=len(threes) - 1)
    told = np.where((of_three[row] == asked)[:, None], counts[row], 0)
    told[np.arange(len(told)), place] -= own
    n_others = told.sum(axis=1)
    alike = told[np.arange(len(told)), place]
    return np.divide(alike, n_others, out=np.full(len(told), np.nan), where=n_others > 0)


def _numbers(threes: np.ndarray, size: int) -> np.ndarray:
    """A number for each three objects below `size`, in the order of the threes."""
    return (threes[:, 0] * size + threes[:, 1]) * size + threes[:, 2]


def disagreement_ceiling(triplets: ArrayLike, *, random_state: int = 0) -> Disagreement:
    """How well one half of the people tells how the other disagrees.

    Of each three objects the judgments are dealt into halves at random. The shares of one half,
    each count with one added, predict the choices of the other.

    Parameters
    ----------
    triplets : array-like of int, shape (n_judgments, 3)
        Those of threes that were judged but once are passed over.
    random_state : int, default=0

    Returns
    -------
    Disagreement
        Of one half, against the other: cross_entropy in nats, and the rank correlation of
        entropies.

    Raises
    ------
    ValueError
        If no three objects were judged twice.

    Examples
    --------
    >>> judgments = 20 * [[0, 1, 2]] + 10 * [[2, 0, 1], [1, 2, 0]] + 20 * [[0, 1, 3], [0, 2, 3]]
    >>> disagreement_ceiling(judgments).entropy_correlation > 0.5
    True
    """
    triplets = checks.triplets(triplets)
    triplets = triplets[np.random.default_rng(random_state).permutation(len(triplets))]
    order = np.argsort(_threes_of(triplets)[1], kind="stable")
    (threes, one), (others, other) = (choice_counts(triplets[order[n::2]]) for n in (0, 1))
    both = {tuple(three) for three in threes.tolist()} & {tuple(three) for three in others.tolist()}
    if not both:
        raise ValueError("triplets holds no three objects twice; a ceiling needs repeats")
    one, other = (
        counts[[tuple(three) in both for three in some.tolist()]]
        for some, counts in ((threes, one), (others, other))
    )
    return disagreement(other, (one + 1) / (one + 1).sum(axis=1, keepdims=True))


def disagreement(counts: ArrayLike, probabilities: ArrayLike) -> Disagreement:
    """How well probabilities tell what people choose, and on which threes they disagree.

    Parameters
    ----------
    counts : array-like of shape (n_threes, 3)
        How often each pair was kept, as `choice_counts` has them.
    probabilities : array-like of shape (n_threes, 3)
        How likely each is kept, as `odd_one_out_probabilities` has them.

    Returns
    -------
    Disagreement
        cross_entropy, the mean over choices of the negative log of their probability, in nats; and
        entropy_correlation, Spearman's, of the entropy of people's shares and that of the
        probabilities, over threes; NaN where either does not vary.

    Examples
    --------
    >>> sure, torn = [0.98, 0.01, 0.01], [0.4, 0.3, 0.3]
    >>> disagreement([[60, 2, 2], [20, 22, 22]], [sure, torn]).entropy_correlation > 0.99
    True
    """
    counts, probabilities = (np.asarray(array, dtype=float) for array in (counts, probabilities))
    with np.errstate(divide="ignore"):
        surprise = -xlogy(counts, probabilities).sum() / counts.sum()
    uncertainty = stats.entropy(counts, axis=1), stats.entropy(probabilities, axis=1)
    varies = all(np.ptp(each) > 1e-9 for each in uncertainty)
    correlation = stats.spearmanr(*uncertainty).statistic if varies else np.nan
    return Disagreement(float(surprise), float(correlation))


def noise_ceiling(triplets: ArrayLike) -> NoiseCeiling:
    """How accurate a prediction of the judgments can be, from triplets judged more than once.

    The upper end is the accuracy of the most frequent choice of each triplet: no one who always
    chooses alike does better on these judgments. The lower end predicts each judgment by the
    most frequent choice among the others. With few judgments a triplet they lie far apart.

    Parameters
    ----------
    triplets : array-like of int, shape (n_judgments, 3)
        Columns 0 and 1 are the pair that was kept together. Judgments of the same three objects
        belong together; those of triplets judged once are passed over.

    Returns
    -------
    NoiseCeiling
        With fields lower and upper, in [0, 1].

    References
    ----------
    Hebart et al. (2020), *Revealing the multidimensional mental representations of natural
    objects*, Nature Human Behaviour 4, Methods, "noise ceiling", has the upper end, as a mean
    over triplets; it is one over judgments here, which differs where triplets were judged
    unequally often.

    Examples
    --------
    >>> noise_ceiling([[0, 1, 2], [1, 0, 2], [0, 1, 2], [0, 2, 1]])
    NoiseCeiling(lower=0.75, upper=0.75)
    """
    _, counts = choice_counts(triplets)
    counts = counts[counts.sum(axis=1) > 1]
    if len(counts) == 0:
        raise ValueError("triplets holds no three objects twice; a ceiling needs repeats")
    predicted = 0.0
    for choice in range(3):
        others = counts - np.eye(3)[choice]
        best = others == others.max(axis=1, keepdims=True)
        predicted += (counts[:, choice] * best[:, choice] / best.sum(axis=1)).sum()
    right = counts.max(axis=1).sum()
    return NoiseCeiling(float(predicted / counts.sum()), float(right / counts.sum()))


def ceiling_share(accuracy: float, ceiling: float) -> float:
    """Odd-one-out accuracy as a share of a noise ceiling, both counted from chance.

    References
    ----------
    Hebart et al. (2020), as in `noise_ceiling`: 64.60 % at a ceiling of 67.22 % are 92 %.

    Examples
    --------
    >>> round(ceiling_share(0.6460, 0.6722), 2)
    0.92
    """
    if not CHANCE < ceiling <= 1:
        raise ValueError(f"ceiling is {ceiling}; give a share above chance (1/3), up to 1")
    return (accuracy - CHANCE) / (ceiling - CHANCE)


def triplets_from_similarity(
    similarity: ArrayLike,
    *,
    n_triplets: int | None = None,
    random_state: int | np.random.Generator | None = None,
) -> np.ndarray:
    """Odd-one-out judgments of someone to whom things are that similar.

    The pair of the highest similarity is kept together. Three objects of which two pairs
    share the highest similarity (to twelve digits), or a similarity is NaN, have no odd one out
    and are left out.

    Parameters
    ----------
    similarity : array-like of shape (n_objects, n_objects) or (n_people, n_objects, n_objects)
        Symmetric; the diagonal does not count. Of several people, the judgments of the first
        come first.
    n_triplets : int, optional
        Draw so many different threes, each person the same, instead of all there are. Those
        without an odd one out are left out of them.
    random_state : int or Generator, optional

    Returns
    -------
    ndarray of int, shape (n_judgments, 3)
        Columns 0 and 1 are the pair kept together.

    Raises
    ------
    ValueError
        If shapes do not fit, all triplets would be too many, or none has an odd one out.

    Examples
    --------
    >>> triplets_from_similarity([[1, 0.2, 0.9], [0.2, 1, 0.3], [0.9, 0.3, 1]])
    array([[0, 2, 1]])
    """
    people = checks.similarity(similarity)
    n_objects = people.shape[1]
    if n_objects < 3:
        raise ValueError(f"similarity has {n_objects} objects; a triplet needs 3")
    n_threes = comb(n_objects, 3)
    if n_triplets is None:
        if (n_all := len(people) * n_threes) > _MOST_TRIPLETS:
            raise ValueError(f"similarity has {n_all:,} triplets; give n_triplets to draw some")
        # By the first, then the second: the mirror image of the order by the last.
        threes = n_objects - 1 - _threes_at(np.arange(n_threes)[::-1], n_objects)[:, ::-1]
    else:
        n_drawn = min(checks.whole(n_triplets, "n_triplets", least=1), n_threes)
        ranks = np.random.default_rng(random_state).choice(n_threes, n_drawn, replace=False)
        threes = _threes_at(ranks, n_objects)
    pairs = np.stack([people[:, threes[:, i], threes[:, j]] for i, j in PAIRS], axis=2)
    most = pairs.max(axis=2, keepdims=True)
    with np.errstate(invalid="ignore"):  # infinity less infinity
        tie = _TIE * abs(pairs).max(axis=2, keepdims=True)
        best = (pairs == most) | (pairs >= most - tie)
    person, three = np.nonzero(best.sum(axis=2) == 1)
    if len(three) == 0:
        raise ValueError("similarity leaves no odd one out; give similarities that differ")
    ways = _WAYS[best[person, three].argmax(axis=1)]
    return np.take_along_axis(threes[three], ways, axis=1)


def rsa_score(
    X: ArrayLike,
    human_similarity: ArrayLike,
    *,
    metric: Literal["cosine", "correlation", "dot", "euclidean"] = "cosine",
    method: Correlation = "spearman",
) -> float:
    """Representational similarity: correlation of a space's similarities with human ones.

    Parameters
    ----------
    X : array-like of shape (n_objects, n_features)
    human_similarity : array-like, shape (n_objects, n_objects) or (n_people, n_objects, n_objects)
        Symmetric; the diagonal does not count. The score of several people is the mean over
        them, to be held against `rsa_noise_ceiling`.
    metric : {"cosine", "correlation", "dot", "euclidean"}, default="cosine"
        Similarity of two rows of `X`.
    method : {"spearman", "pearson", "kendall"}, default="spearman"
        Correlation over the pairs of objects; "kendall" is tau-b. Similarities that differ by
        rounding alone (beyond fourteen digits) are ranked as ties.

    Returns
    -------
    float
        In [-1, 1].

    Raises
    ------
    ValueError
        If shapes do not fit, values are not finite, or all similarities are equal but for
        rounding, as those of a space of one direction.

    References
    ----------
    Kriegeskorte, Mur & Bandettini (2008), *Representational similarity analysis*, Frontiers in
    Systems Neuroscience 2. Used on human judgments by Muttenthaler et al. (2022), section 3.

    Examples
    --------
    >>> round(rsa_score([[0.0], [1.0], [3.0]], [[1, 0.8, 0.1], [0.8, 1, 0.5], [0.1, 0.5, 1]],
    ...                 metric="euclidean"), 3)
    1.0
    """
    checks.choice(metric, "metric", ("cosine", "correlation", "dot", "euclidean"))
    X = checks.features(X)
    precision = checks.rounding(X.dtype)
    X = X.astype(np.float64)
    people = checks.similarity(human_similarity, name="human_similarity")
    n_objects = people.shape[1]
    if len(X) != n_objects:
        raise ValueError(f"X has {len(X)} rows, but human_similarity {n_objects}; give as many")
    scale = np.ones(n_objects)
    if metric == "correlation":
        sizes = abs(X).max(axis=1)
        X = X - X.mean(axis=1, keepdims=True)
        spreads = abs(X).max(axis=1)
        constant = spreads <= precision * sizes
        if constant.any():
            row = int(np.argmax(constant))
            raise checks.Undefined(f"X row {row} is constant; remove it or use another metric")
        scale = np.maximum(1, sizes / spreads)  # what is subtracted takes digits with it
    with np.errstate(over="ignore", invalid="ignore"):
        if metric in ("dot", "euclidean"):
            scale = np.linalg.norm(X, axis=1) ** (2 if metric == "dot" else 1)
        S, _ = _similarities(X, "cosine" if metric == "correlation" else metric)
    scale = np.sqrt(scale)
    sizes = np.maximum(abs(S), scale * scale[:, None])
    of_space = _comparable(S[None], method, name="X", sizes=sizes[None])[0]
    of_people = _comparable(people, method, name="human_similarity")
    if method == "spearman":
        method = "pearson"  # of ranks
    return float(np.mean([_correlation(of_space, person, method) for person in of_people]))


def rsa_noise_ceiling(
    human_similarity: ArrayLike, *, method: Correlation = "spearman"
) -> NoiseCeiling:
    """How well any space can correlate with several people's similarities.

    Parameters
    ----------
    human_similarity : array-like of shape (n_people, n_objects, n_objects)
        At least two people.
    method : {"spearman", "pearson", "kendall"}, default="spearman"

    Returns
    -------
    NoiseCeiling
        Mean correlation of a person with the mean of the others (lower) and of all (upper).
        Means are over ranks, or, for "pearson", over standardised similarities.

    References
    ----------
    Nili et al. (2014), *A toolbox for representational similarity analysis*, PLoS Computational
    Biology 10, "noise ceiling".

    Examples
    --------
    >>> person = [[1, 0.8, 0.1], [0.8, 1, 0.5], [0.1, 0.5, 1]]
    >>> rsa_noise_ceiling([person, person]).upper
    1.0
    """
    people = checks.similarity(human_similarity, name="human_similarity")
    people = _comparable(people, method, name="human_similarity")
    if len(people) < 2:
        raise ValueError("human_similarity is of one person; a ceiling needs two")
    scale = stats.zscore if method == "pearson" else stats.rankdata
    scaled = scale(people, axis=1)
    total = scaled.sum(axis=0)
    if min(np.ptp(total - own) for own in (np.zeros_like(total), *scaled)) < 1e-9:
        raise ValueError(
            "human_similarity of some people together is the same for all pairs; leave one out"
        )
    lower = np.mean([_correlation(own, total - own, method) for own in scaled])
    upper = np.mean([_correlation(own, total, method) for own in scaled])
    return NoiseCeiling(float(lower), float(upper))


def object_folds(
    triplets: ArrayLike,
    n_objects: int,
    *,
    n_folds: int,
    random_state: int = 0,
    groups: ArrayLike | None = None,
) -> Iterator[TwoArrays]:
    """Split triplets by objects: no test triplet holds an object of a training triplet.

    Objects are dealt at random into `n_folds` parts. Each part in turn gives the test
    triplets, those that lie in it wholly; the other parts together give the training triplets.
    Triplets across the border are in neither.

    Parameters
    ----------
    triplets : array-like of int, shape (n_triplets, 3)
    n_objects : int
    n_folds : int
    random_state : int, default=0
    groups : array-like of shape (n_objects,), optional
        Objects of one group, such as the letters of a typeface, go into one part; dealt are the
        groups of objects that some triplet holds.

    Yields
    ------
    training, test : ndarrays of shape (n, 3)

    References
    ----------
    Muttenthaler et al. (2022), arXiv 2211.01201, section 4, cross-validation over objects.

    Examples
    --------
    >>> folds = object_folds([[0, 1, 2], [3, 4, 5]], 6, n_folds=2)
    >>> len(list(folds))
    2
    """
    triplets = checks.triplets(triplets, n_objects)
    if checks.whole(n_folds, "n_folds", least=2) > checks.whole(n_objects, "n_objects") // 3:
        raise ValueError(f"n_folds is {n_folds} for {n_objects} objects; give 3 objects a fold")
    dealt = np.arange(n_objects) if groups is None else _judged_groups(triplets, groups, n_objects)
    n_dealt = int(dealt.max()) + 1
    if n_folds > n_dealt:
        raise ValueError(f"n_folds is {n_folds} for {n_dealt} groups; give a group a fold")
    order = np.random.default_rng(random_state).permutation(n_dealt)
    fold = np.empty(n_dealt, dtype=int)
    fold[order] = np.arange(n_dealt) % n_folds
    of_triplet = fold[dealt][triplets]
    for part in range(n_folds):
        inside = of_triplet == part
        yield triplets[~inside.any(axis=1)], triplets[inside.all(axis=1)]


def _judged_groups(triplets: np.ndarray, groups: ArrayLike, n_objects: int) -> np.ndarray:
    """Number of the group of each object, among those of objects that some triplet holds."""
    groups = checks.array(groups, "groups")
    if groups.shape != (n_objects,):
        raise ValueError(
            f"groups has shape {groups.shape}; give one of each of {n_objects} objects"
        )
    judged = is_judged(triplets, n_objects)
    _, numbers = np.unique(groups[judged], return_inverse=True)
    found = np.zeros(n_objects, dtype=int)  # of an object that no triplet holds it does not matter
    found[judged] = numbers
    return found


def _threes_at(ranks: np.ndarray, n_objects: int) -> np.ndarray:
    """Sets of three objects by their rank among all, when ordered by the last, then the second."""
    last = np.arange(n_objects)
    n_pairs, n_threes = last * (last - 1) // 2, last * (last - 1) * (last - 2) // 6
    third = np.searchsorted(n_threes, ranks, side="right") - 1
    rest = ranks - n_threes[third]
    second = np.searchsorted(n_pairs, rest, side="right") - 1
    return np.stack([rest - n_pairs[second], second, third], axis=1)


def _most_similar(X: ArrayLike, triplets: ArrayLike, similarity: Similarity) -> np.ndarray:
    """The pairs of each triplet that no other pair exceeds, as a sum of 1, 2 and 4."""
    X, triplets = _checked(X, triplets, similarity)
    _, exponent = np.frexp(abs(X).max())
    S, scale = _similarities(np.ldexp(X, -exponent), similarity)  # no product overflows
    return _best_pairs(S, scale, triplets)


def _of_pairs(X: ArrayLike, triplets: ArrayLike, similarity: Similarity) -> TwoArrays:
    """Similarity of each pair of each triplet, (n_triplets, 3), and how far apart they may tie."""
    X, triplets = _checked(X, triplets, similarity)
    with np.errstate(over="ignore", invalid="ignore"):
        S, scale = _similarities(X, similarity)
        pairs = np.stack([S[triplets[:, i], triplets[:, j]] for i, j in PAIRS], axis=1)
        ties = _TIE * np.maximum(scale[triplets].max(axis=1), -pairs.min(axis=1))
    return pairs, ties


def _checked(X: ArrayLike, triplets: ArrayLike, similarity: Similarity) -> TwoArrays:
    """The judged rows of X, and the triplets in terms of these."""
    X = checks.features(X).astype(np.float64)
    triplets = checks.triplets(triplets, len(X))
    checks.choice(similarity, "similarity", ("cosine", "dot", "euclidean"))
    if similarity == "cosine":
        _check_directions(X, is_judged(triplets, len(X)))
    return judged_rows(X, triplets)


def is_judged(triplets: np.ndarray, n_objects: int) -> np.ndarray:
    """Which objects some triplet holds."""
    judged = np.zeros(n_objects, dtype=bool)
    judged[triplets] = True
    return judged


def judged_rows(X: np.ndarray, triplets: np.ndarray) -> TwoArrays:
    """The rows of X that some triplet holds, and the triplets in terms of these."""
    judged = is_judged(triplets, len(X))
    if judged.all():
        return X, triplets
    return X[judged], (np.cumsum(judged) - 1)[triplets]


def _check_directions(X: np.ndarray, counts: np.ndarray | bool = True) -> None:
    zero = counts & ~X.any(axis=1)
    if zero.any():
        row = int(np.argmax(zero))
        raise checks.Undefined(f"X row {row} is all zeros; remove it or use another similarity")


def _similarities(X: np.ndarray, similarity: Similarity) -> TwoArrays:
    """Similarity of each pair of rows, and for each row what rounding errors are relative to,
    besides the similarities themselves.
    """
    if similarity == "euclidean":
        return -cdist(X, X), _OFFSET * np.linalg.norm(X, axis=1)
    if similarity == "cosine":
        _check_directions(X)
        X = X / abs(X).max(axis=1, keepdims=True)
        X = X / np.linalg.norm(X, axis=1, keepdims=True)
    with checks.blas_threads(1):  # threads that wait for more products would slow what follows
        S = X @ X.T
    return S, S.diagonal().copy()


@njit(parallel=True, cache=True)
def _best_pairs(S, scale, triplets):
    best = np.empty(len(triplets), dtype=np.uint8)
    for row in prange(len(triplets)):
        i, j, k = triplets[row, 0], triplets[row, 1], triplets[row, 2]
        s_ij, s_ik, s_jk = S[i, j], S[i, k], S[j, k]
        tie = _TIE * max(scale[i], scale[j], scale[k], -min(s_ij, s_ik, s_jk))
        least = max(s_ij, s_ik, s_jk) - tie
        best[row] = (s_ij >= least) + 2 * (s_ik >= least) + 4 * (s_jk >= least)
    return best


def _comparable(
    people: np.ndarray, method: Correlation, *, name: str, sizes: np.ndarray | None = None
) -> np.ndarray:
    """Similarity of each pair of objects, (n_people, n_pairs), or its rank where ranks count.

    Rounding errors are relative to the sizes or, without them, to the largest similarity.
    """
    rows, columns = np.triu_indices(people.shape[1], k=1)
    pairs = people[:, rows, columns]
    if not np.isfinite(pairs).all():
        raise ValueError(f"{name} holds similarities that are not finite; leave those objects out")
    if people.shape[1] < 3:
        raise ValueError(f"{name} is of {people.shape[1]} objects; give at least 3")
    ties = abs(pairs).max(axis=1, keepdims=True) if sizes is None else sizes[:, rows, columns]
    ties = np.broadcast_to(ROUNDING * ties, pairs.shape)
    ranked = np.stack([ranks(*person) for person in zip(pairs, ties, strict=True)])
    if (np.ptp(ranked, axis=1) == 0).any():
        raise checks.Undefined(f"{name} has equal similarities of all pairs; no rank is defined")
    return pairs if method == "pearson" else ranked


def ranks(values: np.ndarray, ties: np.ndarray | float) -> np.ndarray:
    """Ranks from 1 on, the mean where values differ by rounding alone, by no more than `ties`."""
    order = np.argsort(values, kind="stable")
    settled = _least_within(values[order], np.broadcast_to(ties, values.shape)[order])
    starts = np.flatnonzero(np.concatenate([[True], settled[1:] > settled[:-1]]))
    stops = np.append(starts[1:], len(values))
    found = np.empty(len(values))
    found[order] = np.repeat((starts + stops + 1) / 2, stops - starts)
    return found


@njit(cache=True)
def _least_within(values, ties):
    """For each of the sorted values the least that it cannot be told apart from."""
    least = values.copy()
    for place in range(1, len(values)):
        if values[place] - least[place - 1] <= max(ties[place - 1], ties[place]):
            least[place] = least[place - 1]
    return least


def _correlation(x: np.ndarray, y: np.ndarray, method: Correlation) -> float:
    methods = {"spearman": stats.spearmanr, "pearson": stats.pearsonr, "kendall": stats.kendalltau}
    checks.choice(method, "method", tuple(methods))
    return methods[method](x, y).statistic

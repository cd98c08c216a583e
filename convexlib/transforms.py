"""Transforms that make a space more human: scikit-learn transformers fitted to triplets."""

import os
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self
from zipfile import BadZipFile

import numpy as np
from numpy.typing import ArrayLike
from sklearn import base
from sklearn.utils.validation import check_is_fitted, validate_data

from convexlib import alignment, checks
from convexlib.alignment import Similarity, TwoArrays, judged_rows

if TYPE_CHECKING:
    from convexlib.fitting import Problem, Solution

Kind = Literal["naive", "global", "glocal"]


class CollapseWarning(UserWarning):
    """A transform maps all judged objects onto one point, and nothing of the space is left."""


class AlignmentTransform(
    base.ClassNamePrefixFeaturesOutMixin, base.TransformerMixin, base.BaseEstimator
):
    r"""Affine transform under which similarities predict human odd-one-out choices.

    Features are standardised by one mean and one standard deviation, those of all features of the
    judged objects, and mapped to
    :math:`z = xW + b`. With :math:`S = ZZ^\top / \tau` over the objects, all three kinds
    minimise the cross-entropy of the choices

    .. math:: \mathcal{L}_\text{choices} = \frac{1}{n} \sum_{(i, j, k)}
        -\log \frac{e^{S_{ij}}}{e^{S_{ij}} + e^{S_{ik}} + e^{S_{jk}}}

    (with probabilities, of all three pairs, each weighted by how likely it is kept) and

    - "naive": :math:`\mathcal{L}_\text{choices} + \lambda \lVert W \rVert_F`;
    - "global": :math:`\mathcal{L}_\text{choices}
      + \lambda \lVert W - \tfrac{1}{d} \operatorname{tr}(W) I \rVert_F^2`,
      which pulls towards the original space;
    - "glocal": :math:`(1 - \alpha) \mathcal{L}_\text{choices} + \alpha \mathcal{L}_\text{local}
      + \lambda \lVert W - \tfrac{1}{d} \operatorname{tr}(W) I \rVert_F^2`, where

    .. math:: \mathcal{L}_\text{local} = -\frac{1}{m} \sum_i \sum_{j \ne i}
        \sigma_{ij}(X) \log \sigma_{ij}(Z), \qquad
        \sigma_{ij}(X) = \frac{e^{\cos(x_i, x_j) / \tau'}}
                              {\sum_{k \ne i} e^{\cos(x_i, x_k) / \tau'}}

    over the rows of a second set of features keeps who is near whom.

    The gradient is exact, over all triplets at once, through the similarity matrix of the
    objects; L-BFGS minimises it from a multiple of the identity, so a fit is deterministic and
    does not depend on the number of threads. It computes in the precision of `X`, single or double.

    A fit is stopped early, after `max_iter` steps: those that go on predict the choices they were
    fitted to better and better, and those about other objects worse. On real choices about THINGS,
    with the features of CLIP, accuracy on held-out objects is best after 20 to 30 steps (.557 under
    "global", .480 before any) and .548 after 100; ``python -m benchmarks.stopping`` shows it. The
    authors, too, stop early. A fit to the end also need not have one: the objective can have an
    infimum and no minimum. The bias is not penalised, as in the papers, so that under "naive" W can
    shrink along a direction while b grows there. Nor is the multiple of the identity under
    "global": where the original space already orders all triplets, the longer its vectors, the
    better. Where "naive" finds nothing better than W = 0 and b = 0, under which all choices are
    equally likely, the fit is just that, and a warning says so.

    Parameters
    ----------
    kind : {"naive", "global", "glocal"}, default="global"
        "global" by default: the stronger its penalty, the more of the original space it keeps,
        while "naive" keeps the less, and from some lmbda on, which depends on the data,
        nothing.
    lmbda : float, default=0.1
        :math:`\lambda`, above zero. The papers choose it by cross-validation, as
        `cross_validate` does among `lmbdas`; 1e-3 is the default of the authors' code.
    fit_intercept : bool, default=True
        Whether there is a bias b.
    temperature : float, default=1.0
        :math:`\tau`, above zero.
    alpha : float, default=0.1
        :math:`\alpha` of "glocal", from 0 up to, but not, 1.
    local_temperature : float, default=0.1
        :math:`\tau'` of "glocal", above zero.
    tol : float, default=1e-6
        A fit stops before `max_iter` when a step lowers the objective by less than this (of its
        value, where that is above one), or no derivative is larger.
    max_iter : int, default=20
        Steps of L-BFGS. For a fit to the end, give thousands: choices without noise, such as those
        that `triplets_from_similarity` draws, gain from more than people's do.
    device : str, optional
        Such as "cpu" or "cuda"; by default a GPU where there is one that works.

    Attributes
    ----------
    weights_ : ndarray of shape (n_features, n_features)
    bias_ : ndarray of shape (n_features,)
    mean_, std_ : float
    n_iter_, n_evaluations_ : int
        Iterations of L-BFGS, and evaluations of the objective and its gradient.
    loss_ : float
        The objective where the fit ended.

    References
    ----------
    Muttenthaler et al. (2022), arXiv 2211.01201, section 4, equation 3 ("naive", which was given
    this name later); Muttenthaler et al. (2023), *Improving neural network representations using
    human similarity judgments*, NeurIPS, section 3 ("global" and "glocal"; the weights 1 - alpha
    and alpha as in the authors' code). Probabilities as targets: Muttenthaler et al. (2025),
    *Aligning machine and human visual representations across abstraction levels*, Nature,
    "uncertainty distillation".

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(6, 4))
    >>> triplets = [[0, 1, 2], [3, 4, 5], [0, 1, 5]]
    >>> AlignmentTransform("global").fit_transform(X, triplets).shape
    (6, 4)
    """

    def __init__(
        self,
        kind: Kind = "global",
        *,
        lmbda: float = 0.1,
        fit_intercept: bool = True,
        temperature: float = 1.0,
        alpha: float = 0.1,
        local_temperature: float = 0.1,
        tol: float = 1e-6,
        max_iter: int = 20,
        device: str | None = None,
    ) -> None:
        self.kind = kind
        self.lmbda = lmbda
        self.fit_intercept = fit_intercept
        self.temperature = temperature
        self.alpha = alpha
        self.local_temperature = local_temperature
        self.tol = tol
        self.max_iter = max_iter
        self.device = device

    def fit(
        self,
        X: ArrayLike,
        triplets: ArrayLike,
        probabilities: ArrayLike | None = None,
        *,
        local: ArrayLike | None = None,
    ) -> Self:
        """Fit to triplets of rows of `X`.

        Parameters
        ----------
        X : array-like of shape (n_objects, n_features)
        triplets : array-like of int, shape (n_triplets, 3)
            Columns 0 and 1 are the pair that people kept together.
        probabilities : array-like of shape (n_triplets, 3), optional
            How likely the pairs (0, 1), (0, 2) and (1, 2) are kept together; rows sum to one.
            Without them the first is.
        local : array-like of shape (n_samples, n_features), optional
            For "glocal" alone: features, of other images, whose neighbourhoods are kept.

        Returns
        -------
        AlignmentTransform

        Raises
        ------
        ValueError
            If an option is unknown or out of range, shapes do not fit, values are not finite
            or out of range, or the judged rows of `X` are all the same but for rounding.

        Warns
        -----
        CollapseWarning
            If nothing better was found than to map all judged objects onto one point.
        """
        return _fit([self._begun(X, triplets, probabilities, local)])[0]

    def _begun(
        self,
        X: ArrayLike,
        triplets: ArrayLike,
        probabilities: ArrayLike | None = None,
        local: ArrayLike | None = None,
    ) -> "_Begun":
        """What is left to be minimised, in as few unknowns as it takes."""
        self._check_options(local)
        features = checks.features(X)
        triplets = checks.triplets(triplets, len(features))
        targets = checks.probabilities(probabilities, len(triplets))
        validate_data(self, X, skip_check_array=True)
        X, triplets = judged_rows(features, triplets)
        alike, precision = checks.alike(X), np.float32 if X.dtype == np.float32 else np.float64
        X = X.astype(np.float64)
        with np.errstate(over="ignore", invalid="ignore"):
            self.mean_, self.std_ = float(X.mean()), float(X.std())
        if alike or not 0 < self.std_ < np.inf:
            raise checks.Undefined("X is constant, or varies beyond all digits; give other values")
        rows = self._standardized(X)
        if self.kind == "glocal":
            rows = np.concatenate([rows, self._local(local)])
        basis, rows = _coordinates(rows, self.kind)
        rows = rows.astype(precision)
        judged, local = rows[: len(X)], rows[len(X) :] if self.kind == "glocal" else None
        size = basis.shape[1], 1 / np.sqrt(len(basis)), self.lmbda
        from convexlib.fitting import Problem

        return _Begun(self, Problem(judged, triplets, targets, *size, local), basis)

    def _ended(self, solution: "Solution", rows: np.ndarray, basis: np.ndarray) -> Self:
        """The transform itself, from what was found in the coordinates of a basis."""
        W, b, value, n_iter, n_evaluations = solution
        if not (np.isfinite(value) and np.isfinite(W).all() and np.isfinite(b).all()):
            raise checks.Undefined(
                f"the objective became {value}; raise lmbda ({self.lmbda:g}) or drop outliers"
            )
        if self.kind == "naive" and value > np.log(3) - self.tol:
            W, b, value = np.zeros_like(W), np.zeros_like(b), np.log(3)
        rank = len(W)
        self.weights_ = basis[:, :rank] @ W @ basis.T
        if self.kind != "naive":  # where no sample lies, W is the multiple of the identity
            beyond = np.eye(len(basis)) - basis[:, :rank] @ basis[:, :rank].T
            self.weights_ += np.trace(W) / rank * beyond
        self.bias_ = basis @ b
        if checks.alike(rows @ W + b):
            nothing = "the fit found nothing better than to map all objects onto one point"
            remedy = f"give a smaller lmbda than {self.lmbda:g}"
            remedy += ", or kind 'global'" if self.kind == "naive" else ""
            warnings.warn(f"{nothing}; {remedy}", CollapseWarning, stacklevel=4)
        self.n_iter_, self.n_evaluations_, self.loss_ = n_iter, n_evaluations, value
        return self

    def standardize(self, X: ArrayLike) -> np.ndarray:
        """Features as W meets them: less one mean, over one standard deviation."""
        check_is_fitted(self, "weights_")
        standardized = self._standardized(X)
        validate_data(self, X, reset=False, skip_check_array=True)
        return standardized

    def transform(self, X: ArrayLike) -> np.ndarray:
        """Map features of any samples into the aligned space, `(n_samples, n_features)`."""
        return self.standardize(X) @ self.weights_ + self.bias_

    def score(self, X: ArrayLike, triplets: ArrayLike, *, similarity: Similarity = "dot") -> float:
        """Odd-one-out accuracy of the aligned space, by default with the similarity of the fit."""
        return alignment.odd_one_out_accuracy(self.transform(X), triplets, similarity=similarity)

    def to_npz(self, path: str | os.PathLike) -> None:
        """Write the transform in the published format: weights, bias, mean, std.

        The aligned features are `(X - mean) / std @ weights + bias`. The file appears as a
        whole or not at all.
        """
        check_is_fitted(self, "weights_")
        path = Path(path)
        with tempfile.TemporaryDirectory(prefix=".transform-", dir=path.parent) as folder:
            whole = Path(folder, "transform.npz")
            np.savez(whole, weights=self.weights_, bias=self.bias_, mean=self.mean_, std=self.std_)
            whole.replace(path)

    @classmethod
    def from_npz(cls, path: str | os.PathLike) -> Self:
        """Read a transform from the published format, such as the authors' own.

        Without a bias it is zero; the mean and the standard deviation may be arrays of one number.

        Raises
        ------
        ValueError
            If the file is no archive of arrays, or lacks one, or shapes do not fit.
        """
        try:
            with Path(path).open("rb") as raw, np.load(raw, allow_pickle=False) as file:
                arrays = {
                    name: checks.numbers(file[name], name).astype(np.float64)
                    for name in ("weights", "bias", "mean", "std")
                    if name in file
                }
        except (ValueError, AttributeError, TypeError, EOFError, BadZipFile) as error:
            raise ValueError(f"{str(path)!r} is no .npz file of numbers: {error}") from error
        weights, mean, std = (arrays.get(name, np.empty(0)) for name in ("weights", "mean", "std"))
        bias = arrays.get("bias", np.zeros(weights.shape[:1]))
        if (
            not weights.shape == 2 * (max(bias.shape, default=0),) == 2 * (bias.size,) != (0, 0)
            or not mean.size == std.size == 1
            or not all(np.isfinite(array).all() for array in arrays.values())
            or not std > 0
        ):
            shapes = {name: array.shape for name, array in arrays.items()}
            raise ValueError(
                f"{str(path)!r} has arrays of shapes {shapes}; give finite weights (d, d), bias "
                "(d,) or none, and numbers mean and std, std above zero"
            )
        transform = cls()
        transform.weights_, transform.bias_ = weights, bias.ravel()
        transform.mean_, transform.std_ = mean.item(), std.item()
        transform.n_features_in_ = len(weights)
        return transform

    @property
    def _n_features_out(self) -> int:
        return len(self.weights_)

    def _standardized(self, X: ArrayLike, *, name: str = "X") -> np.ndarray:
        X = checks.features(X, name=name).astype(np.float64)
        if X.shape[1] != self.n_features_in_:
            raise ValueError(
                f"{name} has {X.shape[1]} features, but the transform was fitted on "
                f"{self.n_features_in_}; give features of the same layer"
            )
        return (X - self.mean_) / self.std_

    def _local(self, local: ArrayLike) -> np.ndarray:
        """The second set of features, standardised, where each row has a cosine."""
        local = self._standardized(local, name="local")
        if len(local) < 2:
            raise ValueError("local has one row, and no neighbours to keep; give two or more")
        if (zero := ~local.any(axis=1)).any():
            row = int(np.argmax(zero))
            raise ValueError(f"local row {row} is the mean of X in every feature; leave it out")
        return local

    def _check_options(self, local: ArrayLike | None) -> None:
        checks.choice(self.kind, "kind", ("naive", "global", "glocal"))
        for name in ("lmbda", "temperature", "local_temperature", "tol"):
            value = getattr(self, name)
            if not (isinstance(value, Real) and 0 < value < np.inf):
                raise ValueError(f"{name} is {value!r}; give a positive, finite number")
        checks.whole(self.max_iter, "max_iter", least=1)
        if not (isinstance(self.alpha, Real) and 0 <= self.alpha < 1):
            raise ValueError(f"alpha is {self.alpha!r}; give a share from 0 to below 1")
        if (local is not None) != (self.kind == "glocal"):
            state = "missing" if local is None else "given"
            raise ValueError(f"local is {state} for kind {self.kind!r}; 'glocal' alone takes it")


class _Begun(NamedTuple):
    """A fit up to where its objective is known: the problem, and the basis of its coordinates."""

    transform: AlignmentTransform
    problem: "Problem"
    basis: np.ndarray


def _fit(begun: list[_Begun]) -> list[AlignmentTransform]:
    """Finish fits, whose options are the same but for lmbda, all at once."""
    from convexlib.devices import best
    from convexlib.fitting import Options, solve

    one = begun[0].transform
    options = Options(*(getattr(one, name) for name in Options._fields))
    solutions = solve([each.problem for each in begun], options, best(one.device))
    return [
        transform._ended(solution, problem.rows, basis)
        for solution, (transform, problem, basis) in zip(solutions, begun, strict=True)
    ]


class Fold(NamedTuple):
    """A transform, and judgments of objects that it was not fitted to.

    Attributes
    ----------
    transform : AlignmentTransform
        Fitted to the triplets of the other folds.
    triplets : ndarray of int, shape (n_held_out, 3)
    """

    transform: AlignmentTransform
    triplets: np.ndarray


class HeldOut(NamedTuple):
    """Judgments of objects that a transform was not fitted to, over all folds and repeats.

    Attributes
    ----------
    triplets : ndarray of int, shape (n_held_out, 3)
    before, after : ndarray of shape (n_held_out,)
        Score of each triplet in the original and in the aligned space: 1, 1/2, 1/3 or 0; 1/3
        for all where the transform leaves nothing (`CollapseWarning`). Their
        means are accuracies; `statistics.mean_over_objects` gives the interval for other
        objects, the fitted transforms being what they are.
    lmbdas : ndarray of shape (n_fits,)
        What was chosen within each set of training objects.
    """

    triplets: np.ndarray
    before: np.ndarray
    after: np.ndarray
    lmbdas: np.ndarray


def fit_folds(
    transform: AlignmentTransform,
    X: ArrayLike,
    triplets: ArrayLike,
    *,
    lmbdas: ArrayLike = (),
    n_folds: int = 3,
    n_repeats: int = 1,
    random_state: int = 0,
) -> Iterator[Fold]:
    """Fit a transform several times, each time to some of the objects.

    Objects are dealt into folds (`alignment.object_folds`); no test triplet holds a training
    object. A fold that holds no training or no test triplet is passed over. If several lmbdas
    are given, one is chosen by the same scheme, with two folds, among the training objects
    alone: that of the highest accuracy, of equally accurate ones the largest.

    Parameters
    ----------
    transform : AlignmentTransform
        Its options; it is not fitted itself. "naive" or "global".
    X : array-like of shape (n_objects, n_features)
    triplets : array-like of int, shape (n_triplets, 3)
    lmbdas : sequence of float, optional
        To choose from; the transform's own if none is given.
    n_folds : int, default=3
    n_repeats : int, default=1
        How often the objects are dealt anew.
    random_state : int, default=0

    Returns
    -------
    iterator of Fold

    Raises
    ------
    ValueError
        If objects or triplets are too few for the folds, or for the choice of a lmbda.

    References
    ----------
    Muttenthaler et al. (2022), arXiv 2211.01201, section 4, cross-validation over objects.

    Examples
    --------
    >>> import numpy as np
    >>> from itertools import combinations
    >>> X = np.random.default_rng(0).normal(size=(12, 3))
    >>> triplets = list(combinations(range(12), 3))
    >>> [fold.triplets.shape for fold in fit_folds(AlignmentTransform("global"), X, triplets)]
    [(4, 3), (4, 3), (4, 3)]
    """
    if transform.kind == "glocal":
        raise ValueError("kind is 'glocal'; fit it to the folds of alignment.object_folds")
    checks.whole(n_repeats, "n_repeats", least=1)
    X = checks.features(X)
    triplets = checks.triplets(triplets, len(X))
    lmbdas = np.atleast_1d(checks.numbers(lmbdas, "lmbdas").astype(np.float64))
    seeds = range(random_state, random_state + n_repeats)
    folds = [
        (seed, *fold) for seed in seeds for fold in filled_folds(triplets, len(X), n_folds, seed)
    ]
    if not folds:
        raise ValueError(f"n_folds is {n_folds} and empties folds; give fewer, or more triplets")
    chosen = [_chosen_lmbda(transform, X, training, lmbdas, seed) for seed, training, _ in folds]
    fitted = fit_each(transform, X, [training for _, training, _ in folds], chosen)
    return (Fold(each, test) for each, (_, _, test) in zip(fitted, folds, strict=True))


def fit_each(
    transform: AlignmentTransform,
    X: np.ndarray,
    sets: Sequence[np.ndarray],
    lmbdas: Sequence[float] | None = None,
) -> list[AlignmentTransform]:
    """Fit a transform to each of several sets of triplets, and the objects in it, all at once.

    Parameters
    ----------
    transform : AlignmentTransform
        Its options; it is not fitted itself.
    X : ndarray of shape (n_objects, n_features)
    sets : sequence of ndarray of int, each of shape (n_triplets, 3)
    lmbdas : sequence of float, optional
        That of each set; the transform's own by default.

    Returns
    -------
    list of AlignmentTransform
    """
    lmbdas = [transform.lmbda] * len(sets) if lmbdas is None else lmbdas
    return _fit(
        [
            base.clone(transform).set_params(lmbda=lmbda)._begun(*judged_rows(X, triplets))
            for lmbda, triplets in zip(lmbdas, sets, strict=True)
        ]
    )


def cross_validate(
    transform: AlignmentTransform,
    X: ArrayLike,
    triplets: ArrayLike,
    *,
    similarity: Similarity = "cosine",
    **options: Any,
) -> HeldOut:
    """Judge a transform on objects that it was not fitted to.

    Parameters
    ----------
    transform, X, triplets
        As in `fit_folds`.
    similarity : {"cosine", "dot", "euclidean"}, default="cosine"
        The same before and after, so that a gain is one of the transform alone. It was fitted
        with the dot product.
    **options
        lmbdas, n_folds, n_repeats, random_state: those of `fit_folds`.

    Returns
    -------
    HeldOut

    Raises
    ------
    ValueError
        As in `fit_folds`.

    Examples
    --------
    >>> import numpy as np
    >>> from itertools import combinations
    >>> X = np.random.default_rng(0).normal(size=(12, 3))
    >>> triplets = list(combinations(range(12), 3))
    >>> cross_validate(AlignmentTransform("global"), X, triplets).before.shape
    (12,)
    """
    X = checks.features(X)
    folds = [*fit_folds(transform, X, triplets, **options)]
    held_out = [fold.triplets for fold in folds]
    before = [alignment.odd_one_out_scores(X, some, similarity=similarity) for some in held_out]
    after = [_scores_after(fold, X, similarity) for fold in folds]
    lmbdas = np.array([fold.transform.lmbda for fold in folds])
    return HeldOut(*map(np.concatenate, (held_out, before, after)), lmbdas)


def _scores_after(fold: Fold, X: np.ndarray, similarity: Similarity) -> np.ndarray:
    if fold.transform.weights_.any():
        aligned = fold.transform.transform(X)
        return alignment.odd_one_out_scores(aligned, fold.triplets, similarity=similarity)
    # Where all is one point, nothing is odd.
    return np.full(len(fold.triplets), alignment.CHANCE)


def filled_folds(
    triplets: np.ndarray,
    n_objects: int,
    n_folds: int,
    seed: int,
    groups: np.ndarray | None = None,
) -> Iterator[TwoArrays]:
    """Training and test triplets of the folds that have both."""
    options = {"n_folds": n_folds, "random_state": seed, "groups": groups}
    folds = alignment.object_folds(triplets, n_objects, **options)
    return (fold for fold in folds if all(map(len, fold)))


def _chosen_lmbda(
    transform: AlignmentTransform,
    X: np.ndarray,
    triplets: np.ndarray,
    lmbdas: np.ndarray,
    seed: int,
) -> float:
    """That of the highest accuracy on held-out training objects; of equally accurate the most."""
    if len(lmbdas) < 2:
        return float(lmbdas[0]) if len(lmbdas) else transform.lmbda
    X, triplets = judged_rows(X, triplets)
    folds = [*filled_folds(triplets, len(X), 2, seed)] if len(X) >= 6 else []
    if not folds:
        raise ValueError(f"lmbdas has {len(lmbdas)} for {len(X)} training objects; give one alone")
    sets = [training for training, _ in folds for _ in lmbdas]
    with warnings.catch_warnings():
        # One that leaves nothing is at chance, and others may be better.
        warnings.simplefilter("ignore", CollapseWarning)
        fitted = fit_each(transform, X, sets, [*lmbdas.tolist()] * len(folds))
    tests = [test for _, test in folds for _ in lmbdas]
    scores = [each.score(X, test) for each, test in zip(fitted, tests, strict=True)]
    accuracies = np.reshape(scores, (len(folds), -1)).sum(axis=0)
    return float(lmbdas[accuracies == accuracies.max()].max())


def _coordinates(rows: np.ndarray, kind: Kind) -> TwoArrays:
    """A basis, (n_features, width), whose first columns span the rows, and the rows in these.

    The same problem in fewer unknowns when samples are fewer than features. What W does beyond
    the span of the rows, the penalty decides alone. Columns of W and b may be rotated together
    without a change of S, among all columns under the "naive" penalty, and otherwise among those
    beyond the span, so that as many of them suffice as W and b have rows.
    """
    n_samples, n_features = rows.shape
    if n_samples >= n_features:
        return np.eye(n_features), rows
    basis, coordinates = np.linalg.qr(rows.T, mode="complete")
    width = n_samples + 1 if kind == "naive" else 2 * n_samples + 1
    return basis[:, : min(width, n_features)], coordinates[:n_samples].T

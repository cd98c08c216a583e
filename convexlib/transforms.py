"""Transforms that make a space more human: scikit-learn transformers fitted to triplets."""

from typing import Literal, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from convexlib import checks


class AlignmentTransform(TransformerMixin, BaseEstimator):
    r"""Affine transform under which similarities predict human odd-one-out choices.

    Features are standardised by one mean and one standard deviation and mapped to
    :math:`Z = XW + b`. With :math:`S = ZZ^\top`, the "naive" objective is

    .. math:: \frac{1}{n} \sum_{(i, j, k)}
        -\log \frac{e^{S_{ij}}}{e^{S_{ij}} + e^{S_{ik}} + e^{S_{jk}}} + \lambda \lVert W \rVert_F.

    The exact gradient over all triplets goes through the similarity matrix of the objects; it
    is minimised by L-BFGS from a multiple of the identity, so a fit is deterministic.

    The bias is not penalised, as in the paper, so W can shrink along a direction while b grows
    there; where that happens the objective has an infimum but no minimum, and how far the fit
    goes depends on `tol`.

    Parameters
    ----------
    kind : {"naive"}, default="naive"
    strength : float, default=0.1
        :math:`\lambda`.
    tol : float, default=1e-7
        L-BFGS stops when a step lowers the objective by less than this share.
    max_iter : int, default=1000
        Bound on the iterations of L-BFGS.

    Attributes
    ----------
    weights_ : ndarray of shape (n_features, n_features)
    bias_ : ndarray of shape (n_features,)
    mean_, std_ : float
    n_iter_ : int

    References
    ----------
    Muttenthaler et al. (2022), arXiv 2211.01201, section 4, equation 3; called *naive* in
    Muttenthaler et al., NeurIPS 2023.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(6, 4))
    >>> triplets = [[0, 1, 2], [3, 4, 5], [0, 1, 5]]
    >>> AlignmentTransform().fit_transform(X, triplets).shape
    (6, 4)
    """

    def __init__(
        self,
        kind: Literal["naive"] = "naive",
        *,
        strength: float = 0.1,
        tol: float = 1e-7,
        max_iter: int = 1000,
    ) -> None:
        self.kind = kind
        self.strength = strength
        self.tol = tol
        self.max_iter = max_iter

    def fit(self, X: ArrayLike, triplets: ArrayLike) -> Self:
        """Fit to triplets of rows of `X`.

        Parameters
        ----------
        X : array-like of shape (n_objects, n_features)
        triplets : array-like of int, shape (n_triplets, 3)
            Columns 0 and 1 are the pair that people kept together.

        Returns
        -------
        AlignmentTransform

        Raises
        ------
        ValueError
            If an option is unknown, shapes do not fit, values are not finite or out of range,
            or `X` is constant.
        """
        X = checks.features(X).astype(np.float64)
        triplets = checks.triplets(triplets, len(X))
        if self.kind != "naive":
            raise ValueError(f"kind is {self.kind!r}; choose 'naive'")
        if not 0 < self.strength < np.inf:
            raise ValueError(f"strength is {self.strength!r}; give a positive, finite number")
        self.mean_, self.std_ = float(X.mean()), float(X.std())
        if np.ptp(X) == 0:
            raise ValueError("X is constant; give features that differ between objects")
        X = (X - self.mean_) / self.std_
        n_objects, n_features = X.shape
        # The same problem in fewer unknowns when objects are fewer than features: W acts on the
        # span of the rows of X alone (beyond it the penalty makes it zero), and S and the norm
        # stay as they are when the columns of W and b are rotated together, so that as many
        # columns as W and b have rows suffice. W = basis @ V, filled up with columns of zeros.
        basis, X = _span_of_rows(X)
        rank = basis.shape[1]
        width = min(rank + 1, n_features)
        i, j, k = triplets.T
        # Flat places in S of the pairs (0,1), (0,2), (1,2); the first was kept together.
        pairs = np.stack([i * n_objects + j, i * n_objects + k, j * n_objects + k])

        def objective(parameters: np.ndarray) -> tuple[float, np.ndarray]:
            V, b = np.split(parameters, [rank * width])
            V = V.reshape(rank, width)
            Z = X @ V + b
            logits = (Z @ Z.T).ravel()[pairs]
            normalizer = np.logaddexp(np.logaddexp(logits[0], logits[1]), logits[2])
            pull = np.exp(logits - normalizer)
            pull[0] -= 1
            G = np.bincount(pairs.ravel(), pull.ravel(), minlength=n_objects**2)
            G = G.reshape(n_objects, n_objects) / len(triplets)
            dZ = (G + G.T) @ Z
            norm = np.linalg.norm(V)
            dV = X.T @ dZ + self.strength * (V / norm if norm > 0 else V)
            loss = (normalizer - logits[0]).mean() + self.strength * norm
            return loss, np.concatenate([dV.ravel(), dZ.sum(axis=0)])

        start = np.eye(rank, width) / np.sqrt(n_features)  # a multiple of the identity
        result = minimize(
            objective,
            np.concatenate([start.ravel(), np.zeros(width)]),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": self.max_iter, "ftol": self.tol},
        )
        V, b = np.split(result.x, [rank * width])
        missing = n_features - width
        self.weights_ = basis @ np.pad(V.reshape(rank, width), ((0, 0), (0, missing)))
        self.bias_ = np.pad(b, (0, missing))
        self.n_iter_ = result.nit
        return self

    def transform(self, X: ArrayLike) -> np.ndarray:
        """Map features of any samples into the aligned space, `(n_samples, n_features)`."""
        check_is_fitted(self)
        X = checks.features(X)
        if X.shape[1] != len(self.weights_):
            raise ValueError(
                f"X has {X.shape[1]} features, but the transform was fitted on "
                f"{len(self.weights_)}; give features of the same layer"
            )
        return ((X - self.mean_) / self.std_) @ self.weights_ + self.bias_


def _span_of_rows(X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Orthonormal `basis` of the rows of X, (n_features, rank), and X in its coordinates."""
    n_objects, n_features = X.shape
    if n_objects >= n_features:
        return np.eye(n_features), X
    basis, coordinates = np.linalg.qr(X.T)
    return basis, coordinates.T

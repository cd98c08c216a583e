"""Arrays may come as tensors, judgments as whole floats and members as 0 and 1."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import torch

import convexlib as cv

RNG = np.random.default_rng(0)
X = RNG.integers(-8, 8, size=(12, 5)).astype(float)  # of so few digits that bfloat16 has them all
LABELS = np.repeat([0, 1, 2], 4)
MEMBERS = np.eye(3, dtype=bool)[LABELS]
TRIPLETS = np.array([RNG.permutation(12)[:3] for _ in range(60)])
SIMILARITY = np.maximum(X @ X.T % 11, (X @ X.T % 11).T)
PEOPLE = np.stack([SIMILARITY, SIMILARITY[::-1, ::-1]])
CERTAIN = np.eye(3)[RNG.integers(3, size=60)]


class Nearest:
    def predict(self, points: np.ndarray) -> np.ndarray:
        return LABELS[((points[:, None] - X) ** 2).sum(axis=2).argmin(axis=1)]


def aligned(X: object, triplets: object, probabilities: object, local: object) -> np.ndarray:
    transform = cv.AlignmentTransform("glocal").fit(X, triplets, probabilities, local=local)
    return transform.transform(X)


def of_folds(X: object, triplets: object) -> list[np.ndarray]:
    folds = cv.fit_folds(cv.AlignmentTransform(), X, triplets, lmbdas=torch.tensor([0.5]))
    return [fold.transform.weights_ for fold in folds]


CALLS: list[tuple[Callable, list[np.ndarray]]] = [
    (lambda X: cv.neighbor_graph(X, n_neighbors=3).toarray(), [X]),
    (lambda X, y: cv.graph_convexity_score(X, y, n_neighbors=3, average=None), [X, LABELS]),
    (lambda X, y: cv.graph_convexity_score(X, y, n_neighbors=3, average=None), [X, MEMBERS]),
    (lambda X, y: cv.connected_share(X, y, n_neighbors=3), [X, MEMBERS]),
    (lambda X, m: cv.graph_path(X, 0, 9, members=m, n_neighbors=3), [X, MEMBERS[:, 0]]),
    (lambda X, y: cv.euclidean_convexity_score(X, y, Nearest(), average=None), [X, LABELS]),
    (cv.odd_one_out_accuracy, [X, TRIPLETS]),
    (cv.odd_one_out_scores, [X, TRIPLETS]),
    (cv.odd_one_out_choices, [X, TRIPLETS]),
    (cv.odd_one_out_probabilities, [X, TRIPLETS]),
    (cv.fit_temperature, [X, TRIPLETS]),
    (cv.noise_ceiling, [np.repeat(TRIPLETS, 2, axis=0)]),
    (cv.triplets_from_similarity, [SIMILARITY]),
    (cv.rsa_score, [X, SIMILARITY]),
    (cv.rsa_noise_ceiling, [PEOPLE]),
    (lambda t: next(cv.object_folds(t, 12, n_folds=2))[0], [TRIPLETS]),
    (aligned, [X, TRIPLETS, CERTAIN, X[::2]]),
    (of_folds, [X, TRIPLETS]),
    (lambda X, t: cv.cross_validate(cv.AlignmentTransform(), X, t).after, [X, TRIPLETS]),
    (lambda s: cv.nonmetric_mds(s).coordinates, [SIMILARITY[:5, :5]]),
    (cv.predicted_dimensions, [X, X[:, :2] + 1]),
    (cv.dominant_dimension, [TRIPLETS, abs(X)]),
    (cv.half_axes, [X]),
    (cv.is_about_category, [TRIPLETS, MEMBERS]),
]


def tensor(values: np.ndarray) -> torch.Tensor:
    """With gradients and in half the digits where there are any."""
    values = torch.tensor(values)
    if not values.is_floating_point():
        return values
    return values.to(torch.bfloat16).requires_grad_()


def as_floats(values: np.ndarray) -> np.ndarray:
    """As `numpy.loadtxt` reads what is whole, or 0 and 1."""
    return values.astype(float)


def as_pandas(values: np.ndarray) -> pd.DataFrame | pd.Series | np.ndarray:
    return {1: pd.Series, 2: pd.DataFrame}.get(values.ndim, np.asarray)(values)


@pytest.mark.parametrize("kind", [tensor, as_floats, as_pandas])
@pytest.mark.parametrize(("call", "arrays"), CALLS)
def test_arrays_may_be_of_any_kind(call: Callable, arrays: list, kind: Callable) -> None:
    given = [kind(array) for array in arrays]
    # Transforms are fitted in the precision of the features.
    off = {"atol": 1e-3} if kind is tensor and call in (aligned, of_folds) else {"rtol": 1e-5}
    np.testing.assert_allclose(call(*given), call(*arrays), **off)


def test_members_may_be_ones_among_zeros() -> None:
    for dtype in (int, np.uint8, np.float32):
        members = pd.DataFrame(MEMBERS.astype(dtype), columns=["a", "b", "c"])
        scores = cv.graph_convexity_score(X, members, n_neighbors=3, average=None)
        expected = cv.graph_convexity_score(X, MEMBERS, n_neighbors=3, average=None)
        np.testing.assert_array_equal(scores, expected)
        assert scores.index.tolist() == ["a", "b", "c"]
        assert expected.index.tolist() == [0, 1, 2]

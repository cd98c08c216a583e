"""The alignment transform is the best affine map that its objective knows."""

import numpy as np
import pytest
from scipy.linalg import null_space
from scipy.optimize import minimize
from scipy.special import log_softmax
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from convexlib.judgments import odd_one_out_accuracy
from convexlib.transforms import AlignmentTransform

PRECISE = {"tol": 1e-10, "max_iter": 2000}


def planted(
    n_objects: int, n_features: int, *, n_triplets: int = 600, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """A space, and judgments that heed only two of its directions."""
    rng = np.random.default_rng(seed)
    X = 3 + 2 * rng.normal(size=(n_objects, n_features))
    Z = (X - 3) @ rng.normal(size=(n_features, 2))
    triplets = np.array([rng.choice(n_objects, 3, replace=False) for _ in range(n_triplets)])
    i, j, k = triplets.T
    S = Z @ Z.T
    odd = np.stack([S[j, k], S[i, k], S[i, j]]).argmax(axis=0)
    order = np.array([[1, 2, 0], [0, 2, 1], [0, 1, 2]])[odd]
    return X, np.take_along_axis(triplets, order, axis=1)


def mirrored(n_objects: int, n_features: int) -> tuple[np.ndarray, np.ndarray]:
    """Every object also has its opposite, judged alike, so that no bias is the best bias.

    Otherwise no transform is the best: a direction of W may shrink while the bias along it grows,
    and what it adds to the similarities stays, at less and less of a penalty.
    """
    X, triplets = planted(n_objects, n_features)
    return np.concatenate([X, 6 - X]), np.concatenate([triplets, triplets + n_objects])


def objective(
    W: np.ndarray, b: np.ndarray, X: np.ndarray, triplets: np.ndarray, strength: float
) -> float:
    """As the documentation has it, one triplet at a time."""
    Z = (X - X.mean()) / X.std() @ W + b
    i, j, k = (Z[column] for column in triplets.T)
    similarities = np.stack([(i * j).sum(1), (i * k).sum(1), (j * k).sum(1)])
    return float(-log_softmax(similarities, axis=0)[0].mean() + strength * np.linalg.norm(W))


def reached(fitted: AlignmentTransform, X: np.ndarray, triplets: np.ndarray) -> float:
    return objective(fitted.weights_, fitted.bias_, X, triplets, fitted.strength)


@pytest.mark.parametrize(("n_objects", "n_features"), [(20, 5), (6, 10), (5, 5)])
@pytest.mark.parametrize("strength", [0.01, 0.1])
def test_no_small_change_of_the_transform_is_better(
    n_objects: int, n_features: int, strength: float
) -> None:
    X, triplets = planted(n_objects, n_features)
    fitted = AlignmentTransform(strength=strength, **PRECISE).fit(X, triplets)
    best = reached(fitted, X, triplets)
    rng = np.random.default_rng(1)
    for size in (1e-4, 1e-3, 1e-2, 1e-1):
        for _ in range(25):
            W = fitted.weights_ + size * rng.normal(size=fitted.weights_.shape)
            b = fitted.bias_ + size * rng.normal(size=fitted.bias_.shape)
            assert objective(W, b, X, triplets, strength) >= best - 1e-6


@pytest.mark.parametrize(("n_objects", "n_features"), [(20, 5), (6, 10)])
def test_the_objective_is_flat_where_the_fit_ends(n_objects: int, n_features: int) -> None:
    X, triplets = planted(n_objects, n_features)
    fitted = AlignmentTransform(strength=0.05, **PRECISE).fit(X, triplets)
    rng = np.random.default_rng(1)
    for _ in range(25):
        W, b = rng.normal(size=fitted.weights_.shape), rng.normal(size=fitted.bias_.shape)
        ahead, behind = (
            objective(fitted.weights_ + h * W, fitted.bias_ + h * b, X, triplets, 0.05)
            for h in (1e-5, -1e-5)
        )
        assert (ahead - behind) / 2e-5 == pytest.approx(0, abs=2e-3)


@pytest.mark.parametrize(
    ("n_objects", "n_features", "strength"), [(4, 6, 0.02), (5, 7, 0.1), (7, 5, 0.1)]
)
def test_a_plain_minimisation_over_all_weights_gets_as_far(
    n_objects: int, n_features: int, strength: float
) -> None:
    X, triplets = planted(n_objects, n_features, n_triplets=40)

    def plain(parameters: np.ndarray) -> float:
        W, b = np.split(parameters, [n_features**2])
        return objective(W.reshape(n_features, n_features), b, X, triplets, strength)

    start = np.concatenate([np.eye(n_features).ravel() / 2, np.zeros(n_features)])
    expected = minimize(plain, start, method="L-BFGS-B", options={"maxfun": 20_000}).fun
    fitted = AlignmentTransform(strength=strength, **PRECISE).fit(X, triplets)
    assert reached(fitted, X, triplets) == pytest.approx(expected, abs=1e-3)
    assert fitted.weights_.shape == (n_features, n_features)
    assert fitted.bias_.shape == (n_features,)


def test_directions_in_which_no_object_lies_are_forgotten() -> None:
    X, triplets = planted(6, 10)
    fitted = AlignmentTransform().fit(X, triplets)
    unseen = null_space((X - fitted.mean_) / fitted.std_)
    assert unseen.shape == (10, 4)
    np.testing.assert_allclose(unseen.T @ fitted.weights_, 0, atol=1e-12)


@pytest.mark.parametrize(("n_objects", "n_features"), [(40, 8), (12, 30)])
def test_aligned_similarities_agree_with_people(n_objects: int, n_features: int) -> None:
    X, triplets = planted(n_objects, n_features)
    aligned = AlignmentTransform(strength=0.01).fit_transform(X, triplets)
    before, after = (
        odd_one_out_accuracy(Z, triplets, similarity="dot") for Z in (X - X.mean(), aligned)
    )
    assert after > 0.95
    assert after > before + 0.2


def test_what_was_learnt_holds_for_judgments_not_seen() -> None:
    X, triplets = planted(40, 8, n_triplets=3000)
    fitted = AlignmentTransform(strength=0.01).fit(X, triplets[:2000])
    before, after = (
        odd_one_out_accuracy(Z, triplets[2000:], similarity="dot")
        for Z in (X - X.mean(), fitted.transform(X))
    )
    assert after > before + 0.2


def test_the_transform_is_affine_in_standardised_features() -> None:
    X, triplets = planted(20, 5)
    fitted = AlignmentTransform().fit(X, triplets)
    assert fitted.mean_ == pytest.approx(X.mean())
    assert fitted.std_ == pytest.approx(X.std())
    new = np.random.default_rng(1).normal(size=(7, 5))
    expected = (new - X.mean()) / X.std() @ fitted.weights_ + fitted.bias_
    np.testing.assert_allclose(fitted.transform(new), expected)


@pytest.mark.parametrize(("n_objects", "n_features"), [(20, 5), (6, 10)])
def test_the_order_of_the_kept_pair_does_not_matter(n_objects: int, n_features: int) -> None:
    X, triplets = planted(n_objects, n_features)
    one, other = (
        AlignmentTransform(**PRECISE).fit(X, some) for some in (triplets, triplets[:, [1, 0, 2]])
    )
    assert reached(one, X, triplets) == pytest.approx(reached(other, X, triplets), abs=1e-4)


@pytest.mark.parametrize(("n_objects", "n_features"), [(15, 5), (5, 12)])
def test_where_a_transform_is_the_best_the_order_of_the_judgments_does_not_matter(
    n_objects: int, n_features: int
) -> None:
    X, triplets = mirrored(n_objects, n_features)
    fitted = AlignmentTransform(**PRECISE).fit(X, triplets)
    for same in (triplets[:, [1, 0, 2]], triplets[::-1]):
        other = AlignmentTransform(**PRECISE).fit(X, same)
        np.testing.assert_allclose(other.transform(X), fitted.transform(X), atol=1e-3)


def test_where_a_transform_is_the_best_the_unit_of_the_features_does_not_matter() -> None:
    X, triplets = mirrored(15, 5)
    one, other = (AlignmentTransform(**PRECISE).fit(Z, triplets) for Z in (X, 100 * X - 7))
    np.testing.assert_allclose(one.transform(X), other.transform(100 * X - 7), atol=1e-3)


@pytest.mark.parametrize(
    "dtype", [np.int8, np.int16, np.int32, np.uint8, np.uint16, np.uint32, np.uint64]
)
@pytest.mark.parametrize("n_objects", [20, 300])
def test_triplets_may_be_integers_of_any_size(n_objects: int, dtype: type) -> None:
    X, _ = planted(n_objects, 3)
    last = min(n_objects - 1, np.iinfo(dtype).max)
    X[last - 19 : last + 1], triplets = planted(20, 3, n_triplets=100)
    triplets += last - 19
    expected = AlignmentTransform().fit(X, triplets)
    fitted = AlignmentTransform().fit(X, triplets.astype(dtype))
    np.testing.assert_array_equal(fitted.weights_, expected.weights_)


def test_same_data_same_transform() -> None:
    X, triplets = planted(12, 20)
    one, other = (AlignmentTransform().fit(X, triplets) for _ in range(2))
    np.testing.assert_array_equal(one.weights_, other.weights_)
    np.testing.assert_array_equal(one.bias_, other.bias_)


def test_fitting_leaves_the_data_alone() -> None:
    X, triplets = planted(12, 20)
    X_before, triplets_before = X.copy(), triplets.copy()
    AlignmentTransform().fit_transform(X, triplets)
    np.testing.assert_array_equal(X, X_before)
    np.testing.assert_array_equal(triplets, triplets_before)


def test_a_strong_penalty_leaves_nothing() -> None:
    X, triplets = planted(20, 5)
    norms = [
        np.linalg.norm(AlignmentTransform(strength=strength).fit(X, triplets).weights_)
        for strength in (0.01, 0.1, 100.0)
    ]
    assert norms[0] > norms[1] > norms[2]
    assert norms[2] < 1e-6


def test_it_is_a_scikit_learn_estimator() -> None:
    X, triplets = planted(12, 5)
    transform = AlignmentTransform("naive", strength=0.5, tol=1e-5, max_iter=50).fit(X, triplets)
    parameters = {"kind": "naive", "strength": 0.5, "tol": 1e-5, "max_iter": 50}
    copy = clone(transform)
    assert copy.get_params() == transform.get_params() == parameters
    assert not hasattr(copy, "weights_")
    assert copy.set_params(strength=0.2).strength == 0.2
    assert 1 <= transform.n_iter_ <= 50


def test_no_more_iterations_than_allowed() -> None:
    X, triplets = planted(12, 5)
    assert AlignmentTransform(max_iter=3).fit(X, triplets).n_iter_ == 3


def test_an_unfitted_transform_transforms_nothing() -> None:
    with pytest.raises(NotFittedError):
        AlignmentTransform().transform(np.eye(3))


def test_features_of_another_layer_are_named() -> None:
    X, triplets = planted(12, 5)
    fitted = AlignmentTransform().fit(X, triplets)
    with pytest.raises(ValueError, match=r"X has 4 features, but .* fitted on 5; give features"):
        fitted.transform(X[:, :4])
    with pytest.raises(ValueError, match="X holds 5 values that are not finite"):
        fitted.transform(np.full((1, 5), np.nan))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "global"}, "kind is 'global'; choose 'naive'"),
        ({"strength": 0.0}, "strength is 0.0; give a positive, finite number"),
        ({"strength": -1}, "strength is -1; give a positive, finite number"),
        ({"strength": np.nan}, "strength is nan; give a positive, finite number"),
    ],
)
def test_a_mistake_in_the_options_is_named(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AlignmentTransform(**options).fit(*planted(12, 5))


def with_value(value: float) -> np.ndarray:
    X = np.eye(4)
    X[1, 2] = value
    return X


@pytest.mark.parametrize(
    ("X", "triplets", "message"),
    [
        (with_value(np.nan), [[0, 1, 2]], r"X holds 1 values .* row 1, column 2 \(nan\)"),
        (with_value(np.inf), [[0, 1, 2]], r"X holds 1 values .* row 1, column 2 \(inf\)"),
        (np.ones(4), [[0, 1, 2]], r"X has shape \(4,\); give a non-empty array"),
        (np.ones((4, 5)), [[0, 1, 2]], "X is constant; give features that differ"),
        (np.full((14, 5), 0.1), [[0, 1, 2]], "X is constant; give features that differ"),
        (np.eye(4), [[0, 1, 4]], r"triplets row 0 is \[0, 1, 4\], but X has rows 0 to 3"),
        (np.eye(4), [[0.0, 1.0, 2.0]], r"triplets has dtype float64; give integer rows"),
        (np.eye(4), [[0, 1, 2, 3]], r"triplets has shape \(1, 4\); give a non-empty array"),
        (np.eye(4), [[0, 1, 1]], r"triplets row 0 is \[0, 1, 1\]; give three different objects"),
        (np.eye(4), [], r"triplets has shape \(0,\); give a non-empty array"),
    ],
)
def test_a_mistake_in_the_data_is_named(X: np.ndarray, triplets: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AlignmentTransform().fit(X, triplets)

"""The alignment transform is the best affine map that its objective knows."""

import pickle
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.io import loadmat
from scipy.linalg import null_space
from scipy.optimize import approx_fprime, minimize
from scipy.special import log_softmax
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from convexlib.alignment import (
    object_folds,
    odd_one_out_accuracy,
    odd_one_out_probabilities,
    odd_one_out_scores,
    triplets_from_similarity,
)
from convexlib.fitting import Objective, Options, Problem, _groups, _sums_of_groups
from convexlib.statistics import mean_over_objects
from convexlib.transforms import (
    AlignmentTransform,
    CollapseWarning,
    cross_validate,
    fit_each,
    fit_folds,
)
from tests.conftest import data

may_collapse = pytest.mark.filterwarnings("ignore:the fit found nothing better")

KINDS = ["naive", "global", "glocal"]
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
    W: np.ndarray, b: np.ndarray, X: np.ndarray, triplets: np.ndarray, lmbda: float
) -> float:
    """As the documentation has it, one triplet at a time."""
    Z = (X - X.mean()) / X.std() @ W + b
    i, j, k = (Z[column] for column in triplets.T)
    similarities = np.stack([(i * j).sum(1), (i * k).sum(1), (j * k).sum(1)])
    return float(-log_softmax(similarities, axis=0)[0].mean() + lmbda * np.linalg.norm(W))


def reached(fitted: AlignmentTransform, X: np.ndarray, triplets: np.ndarray) -> float:
    return objective(fitted.weights_, fitted.bias_, X, triplets, fitted.lmbda)


@pytest.mark.parametrize(("n_objects", "n_features"), [(20, 5), (6, 10), (5, 5)])
@pytest.mark.parametrize("lmbda", [0.01, 0.1])
def test_no_small_change_of_the_transform_is_better(
    n_objects: int, n_features: int, lmbda: float
) -> None:
    X, triplets = planted(n_objects, n_features)
    fitted = AlignmentTransform("naive", lmbda=lmbda, **PRECISE).fit(X, triplets)
    best = reached(fitted, X, triplets)
    rng = np.random.default_rng(1)
    for size in (1e-4, 1e-3, 1e-2, 1e-1):
        for _ in range(8):
            W = fitted.weights_ + size * rng.normal(size=fitted.weights_.shape)
            b = fitted.bias_ + size * rng.normal(size=fitted.bias_.shape)
            assert objective(W, b, X, triplets, lmbda) >= best - 1e-6


@pytest.mark.parametrize(("n_objects", "n_features"), [(20, 5), (6, 10)])
def test_the_objective_is_flat_where_the_fit_ends(n_objects: int, n_features: int) -> None:
    X, triplets = planted(n_objects, n_features)
    fitted = AlignmentTransform("naive", lmbda=0.05, **PRECISE).fit(X, triplets)
    rng = np.random.default_rng(1)
    for _ in range(25):
        W, b = rng.normal(size=fitted.weights_.shape), rng.normal(size=fitted.bias_.shape)
        ahead, behind = (
            objective(fitted.weights_ + h * W, fitted.bias_ + h * b, X, triplets, 0.05)
            for h in (1e-5, -1e-5)
        )
        assert (ahead - behind) / 2e-5 == pytest.approx(0, abs=1e-2)  # 6e-3 on a GPU


@pytest.mark.parametrize(("n_objects", "n_features", "lmbda"), [(4, 5, 0.02), (5, 4, 0.1)])
def test_a_plain_minimisation_over_all_weights_gets_as_far(
    n_objects: int, n_features: int, lmbda: float
) -> None:
    X, triplets = planted(n_objects, n_features, n_triplets=20)

    def plain(parameters: np.ndarray) -> float:
        W, b = np.split(parameters, [n_features**2])
        return objective(W.reshape(n_features, n_features), b, X, triplets, lmbda)

    start = np.concatenate([np.eye(n_features).ravel() / 2, np.zeros(n_features)])
    expected = minimize(plain, start, method="L-BFGS-B", options={"maxfun": 20_000}).fun
    fitted = AlignmentTransform("naive", lmbda=lmbda, **PRECISE).fit(X, triplets)
    assert reached(fitted, X, triplets) <= expected + 1e-3
    assert fitted.weights_.shape == (n_features, n_features)
    assert fitted.bias_.shape == (n_features,)


def test_directions_in_which_no_object_lies_are_forgotten() -> None:
    X, triplets = planted(6, 10)
    fitted = AlignmentTransform("naive").fit(X, triplets)
    unseen = null_space((X - fitted.mean_) / fitted.std_)
    assert unseen.shape == (10, 4)
    np.testing.assert_allclose(unseen.T @ fitted.weights_, 0, atol=1e-12)


@pytest.mark.parametrize(("n_objects", "n_features"), [(40, 8), (12, 30)])
def test_aligned_similarities_agree_with_people(n_objects: int, n_features: int) -> None:
    X, triplets = planted(n_objects, n_features)
    aligned = AlignmentTransform("naive", lmbda=0.01).fit_transform(X, triplets)
    before, after = (
        odd_one_out_accuracy(Z, triplets, similarity="dot") for Z in (X - X.mean(), aligned)
    )
    assert after > 0.95
    assert after > before + 0.2


def test_what_was_learnt_holds_for_judgments_not_seen() -> None:
    X, triplets = planted(40, 8, n_triplets=3000)
    fitted = AlignmentTransform("naive", lmbda=0.01).fit(X, triplets[:2000])
    before, after = (
        odd_one_out_accuracy(Z, triplets[2000:], similarity="dot")
        for Z in (X - X.mean(), fitted.transform(X))
    )
    assert after > before + 0.2


def test_the_transform_is_affine_in_standardised_features() -> None:
    X, triplets = planted(20, 5)
    fitted = AlignmentTransform("naive").fit(X, triplets)
    assert fitted.mean_ == pytest.approx(X.mean())
    assert fitted.std_ == pytest.approx(X.std())
    new = np.random.default_rng(1).normal(size=(7, 5))
    expected = (new - X.mean()) / X.std() @ fitted.weights_ + fitted.bias_
    np.testing.assert_allclose(fitted.transform(new), expected)


@pytest.mark.parametrize(("n_objects", "n_features"), [(20, 5), (6, 10)])
def test_the_order_of_the_kept_pair_does_not_matter(n_objects: int, n_features: int) -> None:
    X, triplets = planted(n_objects, n_features, n_triplets=200)
    one, other = (
        AlignmentTransform("naive", **PRECISE).fit(X, some)
        for some in (triplets, triplets[:, [1, 0, 2]])
    )
    assert reached(one, X, triplets) == pytest.approx(reached(other, X, triplets), abs=1e-4)
    for kind in KINDS:
        local = X[::2] if kind == "glocal" else None
        options = {"lmbda": 0.1, "fit_intercept": False, **PRECISE}
        losses = [
            AlignmentTransform(kind, **options).fit(X, some, local=local).loss_
            for some in (triplets, triplets[:, [1, 0, 2]])
        ]
        assert losses[0] == pytest.approx(losses[1], abs=1e-6)


@pytest.mark.parametrize(("n_objects", "n_features"), [(15, 5), (5, 12)])
def test_where_a_transform_is_the_best_the_order_of_the_judgments_does_not_matter(
    n_objects: int, n_features: int
) -> None:
    X, triplets = mirrored(n_objects, n_features)
    fitted = AlignmentTransform("naive", **PRECISE).fit(X, triplets)
    for same in (triplets[:, [1, 0, 2]], triplets[::-1]):
        other = AlignmentTransform("naive", **PRECISE).fit(X, same)
        np.testing.assert_allclose(other.transform(X), fitted.transform(X), atol=1e-3)


def test_where_a_transform_is_the_best_the_unit_of_the_features_does_not_matter() -> None:
    X, triplets = mirrored(15, 5)
    one, other = (AlignmentTransform("naive", **PRECISE).fit(Z, triplets) for Z in (X, 100 * X - 7))
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
    expected = AlignmentTransform("naive").fit(X, triplets)
    fitted = AlignmentTransform("naive").fit(X, triplets.astype(dtype))
    np.testing.assert_array_equal(fitted.weights_, expected.weights_)


def test_same_data_same_transform() -> None:
    X, triplets = planted(12, 20)
    one, other = (AlignmentTransform("naive").fit(X, triplets) for _ in range(2))
    np.testing.assert_array_equal(one.weights_, other.weights_)
    np.testing.assert_array_equal(one.bias_, other.bias_)


def test_fitting_leaves_the_data_alone() -> None:
    X, triplets = planted(12, 20)
    X_before, triplets_before = X.copy(), triplets.copy()
    AlignmentTransform("naive").fit_transform(X, triplets)
    np.testing.assert_array_equal(X, X_before)
    np.testing.assert_array_equal(triplets, triplets_before)


@may_collapse
def test_a_strong_penalty_leaves_nothing() -> None:
    X, triplets = planted(20, 5)
    norms = [
        np.linalg.norm(AlignmentTransform("naive", lmbda=lmbda).fit(X, triplets).weights_)
        for lmbda in (0.01, 0.1, 100.0)
    ]
    assert norms[0] > norms[1] > norms[2]
    assert norms[2] < 1e-6


def test_it_is_a_scikit_learn_estimator() -> None:
    X, triplets = planted(12, 5)
    parameters = {
        "kind": "glocal",
        "lmbda": 0.5,
        "fit_intercept": False,
        "temperature": 2.0,
        "alpha": 0.2,
        "local_temperature": 0.5,
        "tol": 1e-5,
        "max_iter": 50,
        "device": "cpu",
    }
    transform = AlignmentTransform(**parameters).fit(X, triplets, local=X[:7])
    copy = clone(transform)
    assert copy.get_params() == transform.get_params() == parameters
    assert not hasattr(copy, "weights_")
    assert copy.set_params(lmbda=0.2).lmbda == 0.2
    assert 1 <= transform.n_iter_ <= 50


def test_features_keep_their_names_and_tables_come_out() -> None:
    X, triplets = planted(12, 5)
    table = pd.DataFrame(X, columns=[*"abcde"], index=[*"qrstuvwxyz12"])
    transform = AlignmentTransform().fit(X, triplets)
    named = AlignmentTransform().set_output(transform="pandas").fit(table, triplets)
    assert transform.n_features_in_ == named.n_features_in_ == 5
    assert named.feature_names_in_.tolist() == [*"abcde"]
    found = named.transform(table)
    assert found.columns.tolist() == [f"alignmenttransform{number}" for number in range(5)]
    assert found.index.equals(table.index)
    np.testing.assert_allclose(found, transform.transform(X), rtol=1e-6)
    pd.testing.assert_frame_equal(clone(named).fit_transform(table, triplets), found)
    with pytest.raises(ValueError, match="feature names should match"):
        named.transform(table[[*"edcba"]])
    assert named.score(table, triplets) == transform.score(X, triplets)
    held_out = cross_validate(named, table, triplets)
    np.testing.assert_array_equal(held_out.before, cross_validate(transform, X, triplets).before)


def test_no_more_steps_than_allowed() -> None:
    X, triplets = planted(12, 5)
    losses = []
    for max_iter in (1, 3, 20):
        fitted = AlignmentTransform("naive", max_iter=max_iter).fit(X, triplets)
        assert fitted.n_iter_ == max_iter
        losses.append(fitted.loss_)
    assert losses == sorted(losses, reverse=True)


def test_an_unfitted_transform_transforms_nothing() -> None:
    with pytest.raises(NotFittedError):
        AlignmentTransform("naive").transform(np.eye(3))


def test_features_of_another_layer_are_named() -> None:
    X, triplets = planted(12, 5)
    fitted = AlignmentTransform("naive").fit(X, triplets)
    with pytest.raises(ValueError, match=r"X has 4 features, but .* fitted on 5; give features"):
        fitted.transform(X[:, :4])
    with pytest.raises(ValueError, match="X holds 5 values that are not finite"):
        fitted.transform(np.full((1, 5), np.nan))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "local"}, "kind is 'local'; choose 'naive', 'global' or 'glocal'"),
        ({"kind": "glocal"}, "local is missing for kind 'glocal'; 'glocal' alone"),
        ({"temperature": 0}, "temperature is 0; give a positive, finite number"),
        ({"local_temperature": np.inf}, "local_temperature is inf; give a positive, finite"),
        ({"alpha": 1.0}, "alpha is 1.0; give a share from 0 to below 1"),
        ({"lmbda": 0.0}, "lmbda is 0.0; give a positive, finite number"),
        ({"lmbda": -1}, "lmbda is -1; give a positive, finite number"),
        ({"lmbda": np.nan}, "lmbda is nan; give a positive, finite number"),
        ({"lmbda": "a"}, "lmbda is 'a'; give a positive, finite number"),
        ({"lmbda": 1j}, "lmbda is 1j; give a positive, finite number"),
        ({"tol": -1.0}, "tol is -1.0; give a positive, finite number"),
        ({"max_iter": 0}, "max_iter is 0; give at least 1"),
        ({"max_iter": 1.5}, "max_iter is 1.5; give a whole number"),
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
        (np.ones((4, 5)), [[0, 1, 2]], "X is constant, or varies beyond"),
        (np.full((14, 5), 0.1), [[0, 1, 2]], "X is constant, or varies beyond"),
        (np.repeat([[1.0, 2.0]], 4, axis=0), [[0, 1, 2]], "X is constant, or varies beyond"),
        (np.array([[1, 2], [1, 2], [1, 2], [3, 4]]), [[0, 1, 2]], "X is constant, or varies"),
        (1e-170 * np.eye(4), [[0, 1, 2]], "X is constant, or varies beyond"),
        (1e200 * np.eye(4), [[0, 1, 2]], "X is constant, or varies beyond"),
        (np.eye(4), [[0, 1, 4]], r"triplets row 0 is \[0, 1, 4\], but X has rows 0 to 3"),
        (np.eye(4), [[0.0, 1.0, 2.5]], r"triplets row 0 is \[0.0, 1.0, 2.5\]"),
        (np.eye(4), [[0, 1, 2, 3]], r"triplets has shape \(1, 4\); give a non-empty array"),
        (
            np.eye(4),
            [[0, 1, 1]],
            r"triplets row 0 is \[0, 1, 1\], .*; give three different",
        ),
        (np.eye(4), [], r"triplets has shape \(0,\); give a non-empty array"),
    ],
)
def test_a_mistake_in_the_data_is_named(X: np.ndarray, triplets: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AlignmentTransform("naive").fit(X, triplets)


@pytest.mark.parametrize(
    ("local", "message"),
    [
        (np.ones((4, 3)), "local has 3 features, but the transform was fitted on 5"),
        (np.full((4, 5), np.nan), "local holds 20 values that are not finite"),
        (np.ones((1, 5)), "local has one row, and no neighbours to keep"),
        (
            np.full((3, 5), planted(12, 5)[0].mean()),
            "local row 0 is the mean of X in every feature",
        ),
    ],
)
def test_a_mistake_in_the_second_set_is_named(local: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AlignmentTransform("glocal").fit(*planted(12, 5), local=local)
    with pytest.raises(ValueError, match="local is given for kind 'naive'"):
        AlignmentTransform("naive").fit(*planted(12, 5), local=local)


@pytest.mark.parametrize(
    ("probabilities", "message"),
    [
        (
            [[1.0, 0.0]],
            r"probabilities has shape \(1, 2\); give \(1, 3\)",
        ),
        ([[0.5, 0.4, 0.0]], r"probabilities row 0 is \[0.5, 0.4, 0.0\]; .* sum to one"),
        ([[1.5, -0.5, 0.0]], r"probabilities row 0 is \[1.5, -0.5, 0.0\]"),
        ([[np.nan, 0.5, 0.5]], r"probabilities row 0 is \[nan"),
        ([[0.5j, 0.5, 0.5]], "probabilities has dtype complex128; give real numbers"),
        ([["1", "0", "0"]], "probabilities has dtype <U1; give numbers"),
        ([[1, 0, 0], [1, 0]], "probabilities is no array .*rows of equal length"),
    ],
)
def test_a_mistake_in_the_probabilities_is_named(probabilities: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AlignmentTransform("naive").fit(np.eye(4), [[0, 1, 2]], probabilities)


def loss_in_words(
    fitted: AlignmentTransform,
    W: np.ndarray,
    b: np.ndarray,
    X: np.ndarray,
    triplets: np.ndarray,
    targets: np.ndarray,
    local: np.ndarray | None,
) -> float:
    """The objective as the documentation has it, for all kinds."""
    X, local = ((Z - fitted.mean_) / fitted.std_ if Z is not None else None for Z in (X, local))
    S = (X @ W + b) @ (X @ W + b).T / fitted.temperature
    i, j, k = triplets.T
    choices = -(targets * log_softmax(np.stack([S[i, j], S[i, k], S[j, k]], 1), axis=1))
    loss = choices.sum(axis=1).mean()
    if fitted.kind == "naive":
        return loss + fitted.lmbda * np.linalg.norm(W)
    away = np.linalg.norm(W - np.trace(W) / len(W) * np.eye(len(W))) ** 2
    if fitted.kind == "glocal":

        def near(Z: np.ndarray) -> np.ndarray:
            Z = Z / np.linalg.norm(Z, axis=1, keepdims=True)
            others = ~np.eye(len(Z), dtype=bool)
            cosines = (Z @ Z.T)[others].reshape(len(Z), -1) / fitted.local_temperature
            return log_softmax(cosines, axis=1)

        kept = -(np.exp(near(local)) * near(local @ W + b)).sum(axis=1).mean()
        loss = (1 - fitted.alpha) * loss + fitted.alpha * kept
    return loss + fitted.lmbda * away


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("n_objects", "n_features"), [(14, 5), (6, 9)])
def test_each_kind_ends_where_its_objective_is_flat(
    kind: str, n_objects: int, n_features: int, fit_intercept: bool
) -> None:
    X, triplets = planted(n_objects, n_features, n_triplets=80)
    rng = np.random.default_rng(2)
    targets = rng.dirichlet([4.0, 1.0, 1.0], size=len(triplets))
    local = rng.normal(size=(8, n_features)) if kind == "glocal" else None
    fitted = AlignmentTransform(
        kind, lmbda=0.05, fit_intercept=fit_intercept, temperature=1.5, **PRECISE
    ).fit(X, triplets, targets, local=local)

    def value(W: np.ndarray, b: np.ndarray) -> float:
        return loss_in_words(fitted, W, b, X, triplets, targets, local)

    assert fitted.loss_ == pytest.approx(value(fitted.weights_, fitted.bias_), rel=1e-9)
    if not fit_intercept:
        assert (fitted.bias_ == 0).all()
    for _ in range(20):
        W = rng.normal(size=fitted.weights_.shape)
        b = fit_intercept * rng.normal(size=fitted.bias_.shape)
        ahead, behind = (
            value(fitted.weights_ + h * W, fitted.bias_ + h * b) for h in (1e-5, -1e-5)
        )
        assert (ahead - behind) / 2e-5 == pytest.approx(0, abs=1e-2)  # 6e-3 on a GPU


@pytest.mark.parametrize(("n_objects", "n_features"), [(4, 5), (5, 4)])
def test_a_plain_minimisation_of_the_global_objective_gets_as_far(
    n_objects: int, n_features: int
) -> None:
    X, triplets = planted(n_objects, n_features, n_triplets=30)
    fitted = AlignmentTransform("global", lmbda=0.05, **PRECISE).fit(X, triplets)
    targets = np.tile([1.0, 0.0, 0.0], (len(triplets), 1))

    def plain(parameters: np.ndarray) -> float:
        W, b = np.split(parameters, [n_features**2])
        W = W.reshape(n_features, n_features)
        return loss_in_words(fitted, W, b, X, triplets, targets, None)

    start = np.concatenate([np.eye(n_features).ravel() / 2, np.zeros(n_features)])
    expected = minimize(plain, start, method="L-BFGS-B", options={"maxfun": 50_000}).fun
    assert fitted.loss_ == pytest.approx(expected, abs=2e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_certain_probabilities_are_choices(kind: str) -> None:
    X, triplets = planted(20, 5)
    local = X[:9] if kind == "glocal" else None
    certain = np.tile([1.0, 0.0, 0.0], (len(triplets), 1))
    chosen, likely = (
        AlignmentTransform(kind).fit(X, triplets, targets, local=local)
        for targets in (None, certain)
    )
    np.testing.assert_allclose(likely.weights_, chosen.weights_, atol=1e-10)


def test_probabilities_move_with_the_items_of_a_triplet() -> None:
    X, triplets = planted(20, 5)
    targets = np.random.default_rng(0).dirichlet([2.0, 1.0, 1.0], size=len(triplets))
    one = AlignmentTransform("global").fit(X, triplets, targets)
    # With columns 1 and 2 exchanged, so are the pairs (0, 1) and (0, 2).
    other = AlignmentTransform("global").fit(X, triplets[:, [0, 2, 1]], targets[:, [1, 0, 2]])
    np.testing.assert_allclose(other.weights_, one.weights_, atol=1e-6)


def test_the_probabilities_that_a_transform_generated_are_found_again() -> None:
    rng = np.random.default_rng(0)
    X, triplets = planted(40, 6, n_triplets=4000)
    standardised = (X - X.mean()) / X.std()
    W = 0.6 * np.eye(6) + 0.3 * rng.normal(size=(6, 6))
    truth = odd_one_out_probabilities(standardised @ W, triplets, similarity="dot")
    fitted = AlignmentTransform("global", lmbda=1e-7, **PRECISE).fit(X, triplets, truth)
    found = odd_one_out_probabilities(fitted.transform(X), triplets, similarity="dot")
    np.testing.assert_allclose(found, truth, atol=0.01)
    # What is seen of W is W times its transpose.
    np.testing.assert_allclose(fitted.weights_ @ fitted.weights_.T, W @ W.T, atol=0.02)


@may_collapse
def test_an_infinite_penalty_gives_back_the_space_up_to_scale_or_nothing() -> None:
    X, triplets = planted(20, 5)
    weights = AlignmentTransform("global", lmbda=1e6).fit(X, triplets).weights_
    assert weights[0, 0] > 0.01
    np.testing.assert_allclose(weights, weights[0, 0] * np.eye(5), atol=1e-4 * weights[0, 0])
    X, triplets = planted(6, 15)
    weights = AlignmentTransform("global", lmbda=1e6).fit(X, triplets).weights_
    np.testing.assert_allclose(weights, weights[0, 0] * np.eye(15), atol=1e-4 * weights[0, 0])
    for lmbda in (10.0, 1e6):
        naive = AlignmentTransform("naive", lmbda=lmbda).fit(X, triplets)
        assert naive.loss_ == pytest.approx(np.log(3))
        assert not naive.weights_.any()
        assert not naive.bias_.any()
        assert naive.score(X, triplets) == pytest.approx(1 / 3)


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("certain", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_those_of_finite_differences(
    kind: str, certain: bool, fit_intercept: bool
) -> None:
    """Of problems of several sizes, which lie in one tensor."""
    rng = np.random.default_rng(0)
    problems = []
    for n_objects, rank, width, n_triplets in ((8, 3, 5, 30), (6, 4, 4, 20), (9, 2, 5, 35)):
        _, triplets = planted(n_objects, 3, n_triplets=n_triplets)
        targets = None if certain else rng.dirichlet([1, 1, 1], size=n_triplets)
        rows, local = rng.normal(size=(n_objects, rank)), rng.normal(size=(7, rank))
        problems.append(Problem(rows, triplets, targets, width, 0.5, rng.uniform(0.1, 0.5), local))
    options = Options(kind, fit_intercept, 0.7, 0.3, 0.4, 1e-6, 100)
    objective = Objective(problems, options, torch.device("cpu"))
    which, filled = torch.arange(3), objective.start != 0
    for _ in range(3):  # from the start, steps where there are unknowns
        x = objective.start + torch.from_numpy(rng.normal(size=objective.start.shape))
        for problem, matrix in zip(problems, objective.unpacked(x)[0], strict=True):
            matrix[problem.rows.shape[1] :] = matrix[:, problem.width :] = 0
        value, gradient = objective(x, which)
        for row in range(3):
            alone = torch.tensor([row])
            numeric = approx_fprime(
                x[row].numpy(),
                lambda z, alone=alone: objective(torch.from_numpy(z)[None], alone)[0].item(),
                1e-6,
            )
            unknown = (gradient[row] != 0) | filled[row]
            np.testing.assert_allclose(gradient[row][unknown], numeric[unknown], atol=2e-5)
            assert value[row] == pytest.approx(objective(x[row : row + 1], alone)[0].item())


@pytest.mark.parametrize("kind", ["naive", "global"])
def test_fits_at_once_are_those_of_each_alone(kind: str) -> None:
    X, triplets = planted(20, 12)
    sets = [triplets, triplets[:200], triplets[(triplets < 14).all(axis=1)]]
    transform = AlignmentTransform(kind, max_iter=15)
    lmbdas = [0.1, 0.02, 0.05]
    together = fit_each(transform, X, sets, lmbdas)
    for each, some, lmbda in zip(together, sets, lmbdas, strict=True):
        rows = X[: some.max() + 1]
        alone = AlignmentTransform(kind, lmbda=lmbda, max_iter=15).fit(rows, some)
        assert (each.n_iter_, each.n_evaluations_) == (alone.n_iter_, alone.n_evaluations_)
        np.testing.assert_allclose(each.transform(X), alone.transform(X), atol=1e-7)


@pytest.mark.parametrize("kind", ["naive", "global"])
def test_single_precision_ends_where_double_does(kind: str) -> None:
    X, triplets = planted(40, 12, n_triplets=3000)
    single, double = (
        AlignmentTransform(kind, lmbda=0.05, tol=1e-5).fit(X.astype(dtype), triplets)
        for dtype in (np.float32, np.float64)
    )
    assert single.loss_ == pytest.approx(double.loss_, abs=1e-3)
    assert single.score(X, triplets) == pytest.approx(double.score(X, triplets), abs=0.005)


def test_a_device_that_is_not_there_is_named() -> None:
    X, triplets = planted(6, 3)
    with pytest.raises(ValueError, match="device is 'cuda:99', and unusable"):
        AlignmentTransform(device="cuda:99").fit(X, triplets)


def test_neighborhoods_keeps_who_is_near_whom() -> None:
    X, triplets = planted(30, 10)
    rng = np.random.default_rng(3)
    local = 3 + 2 * rng.normal(size=(60, 10))

    def kept(transform: AlignmentTransform) -> float:
        """Share of nearest neighbours, by cosine, that stay."""
        spaces = transform._standardized(local), transform.transform(local)
        nearest = []
        for Z in spaces:
            Z = Z / np.linalg.norm(Z, axis=1, keepdims=True)
            nearest.append((Z @ Z.T - 2 * np.eye(len(Z))).argmax(axis=1))
        return float((nearest[0] == nearest[1]).mean())

    options = {"lmbda": 1e-3}
    far = AlignmentTransform("global", **options).fit(X, triplets)
    near = AlignmentTransform("glocal", alpha=0.9, **options).fit(X, triplets, local=local)
    assert kept(near) > kept(far) + 0.2
    nothing = AlignmentTransform("glocal", alpha=0.0, **options).fit(X, triplets, local=local)
    np.testing.assert_allclose(nothing.loss_, far.loss_, rtol=1e-6)


def test_the_number_of_threads_changes_nothing() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 8))
    triplets = triplets_from_similarity(X[:, :3] @ X[:, :3].T, n_triplets=20_000, random_state=0)
    before = torch.get_num_threads()
    weights = []
    try:
        for n_threads in range(1, before + 1):
            torch.set_num_threads(n_threads)
            fitted = AlignmentTransform("global", max_iter=20).fit(X, triplets)
            weights.append(fitted.weights_)
    finally:
        torch.set_num_threads(before)
    for other in weights[1:]:
        np.testing.assert_array_equal(other, weights[0])


def test_the_score_is_the_accuracy_of_the_aligned_space() -> None:
    X, triplets = planted(20, 5)
    fitted = AlignmentTransform("naive", lmbda=0.01).fit(X, triplets)
    expected = odd_one_out_accuracy(fitted.transform(X), triplets, similarity="dot")
    assert fitted.score(X, triplets) == expected
    assert fitted.score(X, triplets, similarity="cosine") == odd_one_out_accuracy(
        fitted.transform(X), triplets
    )


def test_a_transform_comes_back_from_its_file(tmp_path: Path) -> None:
    X, triplets = planted(20, 5)
    fitted = AlignmentTransform("global").fit(X, triplets)
    path = tmp_path / "transform.npz"
    fitted.to_npz(path)
    fitted.to_npz(path)
    assert [file.name for file in tmp_path.iterdir()] == ["transform.npz"]
    again = AlignmentTransform.from_npz(path)
    assert again.n_features_in_ == len(again.get_feature_names_out()) == 5
    np.testing.assert_array_equal(again.transform(X), fitted.transform(X))
    with np.load(path) as file:
        expected = (X - file["mean"]) / file["std"] @ file["weights"] + file["bias"]
    np.testing.assert_allclose(fitted.transform(X), expected)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"weights": None}, r"has arrays of shapes \{'bias': \(4,\).*give finite weights"),
        ({"mean": np.zeros(4)}, r"has arrays of shapes .*'mean': \(4,\).*give finite"),
        ({"bias": np.zeros((2, 2))}, "give finite weights"),
        ({"weights": np.array(1.0)}, "give finite weights"),
        ({"weights": np.empty((0, 0)), "bias": np.empty(0)}, "give finite weights"),
        ({"weights": 1j * np.eye(4)}, "is no .npz file of numbers: weights has dtype complex128"),
        ({"weights": np.eye(3)}, r"has arrays of shapes .*'weights': \(3, 3\).*give finite"),
        ({"std": np.float32(0)}, "std above zero"),
        ({"mean": np.float32(np.nan)}, "give finite weights"),
        ({"bias": np.array([None, 1, 2, 3])}, "is no .npz file of numbers"),
        ({"bias": np.array(list("abcd"))}, "is no .npz file of numbers"),
    ],
)
def test_a_file_that_is_no_transform_is_named(arrays: dict, message: str, tmp_path: Path) -> None:
    whole = {"weights": np.eye(4), "bias": np.zeros(4), "mean": np.float32(0), "std": np.float32(1)}
    kept = {name: array for name, array in (whole | arrays).items() if array is not None}
    np.savez(tmp_path / "bad.npz", **kept)
    with pytest.raises(ValueError, match=message):
        AlignmentTransform.from_npz(tmp_path / "bad.npz")


def test_a_file_of_another_kind_is_named(tmp_path: Path) -> None:
    (tmp_path / "pickle.npz").write_bytes(pickle.dumps({"weights": 1}))
    (tmp_path / "empty.npz").touch()
    np.save(tmp_path / "array.npy", np.eye(3))
    AlignmentTransform("naive").fit(*planted(6, 3)).to_npz(tmp_path / "whole.npz")
    whole = (tmp_path / "whole.npz").read_bytes()
    (tmp_path / "half.npz").write_bytes(whole[: len(whole) // 2])
    for name in ("pickle.npz", "array.npy", "empty.npz", "half.npz"):
        with pytest.raises(ValueError, match=r"is no \.npz file of numbers"):
            AlignmentTransform.from_npz(tmp_path / name)


@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
def test_a_transform_without_bias_shifts_nothing(shape: tuple, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    weights, X = rng.normal(size=(2, 4, 4))
    std = np.full(shape, 2.0, dtype=np.float32)
    np.savez(tmp_path / "without.npz", weights=weights, mean=np.full(shape, 0.5), std=std)
    found = AlignmentTransform.from_npz(tmp_path / "without.npz")
    np.testing.assert_allclose(found.transform(X), (X - 0.5) / 2 @ weights)
    zero = np.zeros((1, 4))
    np.savez(tmp_path / "with.npz", weights=weights, mean=0.5, std=2.0, bias=zero)
    again = AlignmentTransform.from_npz(tmp_path / "with.npz")
    np.testing.assert_array_equal(again.transform(X), found.transform(X))


def test_a_published_transform_is_its_formula() -> None:
    path = data("glocal") / "dinov2-vit-base-p14" / "transform.npz"
    published = AlignmentTransform.from_npz(path)
    X = np.random.default_rng(0).normal(size=(7, 768))
    with np.load(path) as file:
        expected = ((X - file["mean"]) / file["std"]) @ file["weights"] + file["bias"]
    np.testing.assert_allclose(published.transform(X), expected, rtol=1e-5, atol=1e-6)


def test_no_object_of_a_test_triplet_was_trained_on(monkeypatch: pytest.MonkeyPatch) -> None:
    X, triplets = planted(18, 4, n_triplets=900)
    row_of = {features.tobytes(): row for row, features in enumerate(X)}
    trained: list[set[int]] = []
    begun = AlignmentTransform._begun

    def noted(self: AlignmentTransform, X: np.ndarray, triplets: np.ndarray) -> object:
        trained.append({row_of[features.tobytes()] for features in X})
        return begun(self, X, triplets)

    monkeypatch.setattr(AlignmentTransform, "_begun", noted)
    transform = AlignmentTransform("global", tol=1e-3)
    folds = [*fit_folds(transform, X, triplets, lmbdas=[0.01, 1.0], n_repeats=2)]
    # In each of six folds, two inner folds at two lmbdas; then the fits that are judged.
    inner, judged = np.reshape(trained[:24], (6, 4)), trained[24:]
    for fold, within, last in zip(folds, inner, judged, strict=True):
        assert not set(fold.triplets.ravel()) & set.union(last, *within)
        assert set.union(*within) <= last
        assert len(last) == 12
        assert fold.transform.lmbda in (0.01, 1.0)


def test_before_and_after_are_judged_by_the_same_similarity() -> None:
    X, triplets = planted(30, 5, n_triplets=2000)
    for similarity in ("cosine", "dot", "euclidean"):
        held_out = cross_validate(AlignmentTransform("global"), X, triplets, similarity=similarity)
        folds = fit_folds(AlignmentTransform("global"), X, triplets)
        after = [
            odd_one_out_scores(fold.transform.transform(X), fold.triplets, similarity=similarity)
            for fold in folds
        ]
        before = odd_one_out_scores(X, held_out.triplets, similarity=similarity)
        np.testing.assert_array_equal(held_out.before, before)
        np.testing.assert_array_equal(held_out.after, np.concatenate(after))


def test_objects_that_nobody_judged_change_nothing() -> None:
    X, triplets = planted(40, 8, n_triplets=3000)
    outlier = np.concatenate([X, np.full((1, 8), 1e4), np.zeros((1, 8))])
    for kind in ("naive", "global"):
        alone, beside = (AlignmentTransform(kind).fit(Z, triplets) for Z in (X, outlier))
        assert beside.mean_ == X.mean()
        assert beside.std_ == X.std()
        np.testing.assert_array_equal(beside.transform(X), alone.transform(X))
    alone, beside = (
        cross_validate(AlignmentTransform(), Z, triplets, lmbdas=[0.01, 0.1])
        for Z in (X, np.concatenate([X, X[:2]]))
    )
    assert alone.after.mean() == pytest.approx(beside.after.mean(), abs=0.1)


def test_the_default_transform_leaves_a_space_that_can_be_judged() -> None:
    """Judgments without a rule: the naive penalty outweighs whatever can be learned from them."""
    rng = np.random.default_rng(0)
    X, triplets = planted(20, 5, n_triplets=2000)
    triplets = rng.permuted(triplets, axis=1)
    Z = AlignmentTransform().fit_transform(X, triplets)
    assert 1 / 3 < odd_one_out_accuracy(Z, triplets) < 0.5
    with pytest.warns(
        CollapseWarning, match=r"^the fit found .* lmbda than 0\.1, or kind 'global'$"
    ):
        assert not AlignmentTransform("naive").fit(X, triplets).weights_.any()


@may_collapse
def test_a_fold_of_which_nothing_is_left_is_at_chance() -> None:
    X, triplets = planted(30, 5, n_triplets=2000)
    for similarity in ("cosine", "dot", "euclidean"):
        held_out = cross_validate(
            AlignmentTransform("naive", lmbda=1e3), X, triplets, similarity=similarity
        )
        assert (held_out.after == 1 / 3).all()
        assert held_out.before.mean() > 1 / 3


def test_a_lmbda_that_leaves_nothing_is_passed_over_in_silence() -> None:
    X, triplets = planted(40, 5, n_triplets=3000)
    folds = fit_folds(AlignmentTransform("naive"), X, triplets, lmbdas=[1e-3, 1e3])
    assert [fold.transform.lmbda for fold in folds] == [1e-3] * 3


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "bfloat16"])
def test_features_and_judgments_may_be_tensors(dtype: str) -> None:
    X, triplets = planted(20, 5)
    tensor = torch.tensor(X, dtype=getattr(torch, dtype), requires_grad=True)
    single = dtype in ("float32", "bfloat16")
    same = tensor.detach().to(torch.float32 if single else torch.float64).numpy()
    expected = AlignmentTransform().fit(same, triplets)
    fitted = AlignmentTransform().fit(tensor, torch.tensor(triplets))
    np.testing.assert_array_equal(fitted.transform(tensor), expected.transform(tensor))


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_probabilities_sum_to_one_in_their_own_precision(dtype: type) -> None:
    X, triplets = planted(20, 5)
    targets = np.random.default_rng(0).dirichlet([2.0, 1.0, 1.0], size=len(triplets))
    exact, rounded = (
        AlignmentTransform().fit(X, triplets, p).transform(X)
        for p in (targets, targets.astype(dtype))
    )
    np.testing.assert_allclose(rounded, exact, atol=0.05)


def test_objects_that_are_alike_but_for_rounding_allow_no_fit() -> None:
    X = np.random.default_rng(0).normal(size=(1, 8)) * (1 + 1e-15 * np.arange(6)[:, None])
    assert (X[0] != X[5]).any()
    for Z in (X, X.astype(np.float32), np.nextafter(X, np.inf, where=np.eye(6, 8) > 0, out=X)):
        with pytest.raises(ValueError, match="X is constant, or varies beyond"):
            AlignmentTransform().fit(Z, [[0, 1, 2], [3, 4, 5]])


def test_what_was_planted_holds_for_objects_not_seen() -> None:
    X, triplets = planted(40, 5, n_triplets=3000)
    held_out = cross_validate(
        AlignmentTransform("global", lmbda=0.01), X, triplets, similarity="dot"
    )
    gain = mean_over_objects(held_out.after - held_out.before, held_out.triplets)
    assert held_out.after.mean() > 0.9
    assert gain.ci_low > 0.1


def test_the_lmbda_of_the_highest_accuracy_is_chosen() -> None:
    X, triplets = planted(40, 5, n_triplets=3000)
    held_out = cross_validate(
        AlignmentTransform("naive"), X, triplets, lmbdas=[1e-3, 1e3], n_folds=3
    )
    assert held_out.lmbdas.tolist() == [1e-3] * 3


def reference_scheme(
    X: np.ndarray, triplets: np.ndarray, lmbda: float, *, n_epochs: int
) -> tuple[np.ndarray, np.ndarray]:
    """The published scheme: minibatches of 256 triplets, Adam, to convergence."""
    torch.manual_seed(0)
    features = torch.from_numpy((X - X.mean()) / X.std())
    W = (0.1 * torch.eye(X.shape[1], dtype=torch.float64)).requires_grad_()
    b = torch.full((X.shape[1],), 0.01, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([W, b], lr=0.01)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, n_epochs)
    for _ in range(n_epochs):
        for batch in torch.from_numpy(triplets)[torch.randperm(len(triplets))].split(256):
            i, j, k = (features @ W + b)[batch].unbind(dim=1)
            dots = torch.stack([(i * j).sum(1), (i * k).sum(1), (j * k).sum(1)], dim=1)
            away = W - torch.eye(len(W)) * W.diag().mean()
            loss = -torch.log_softmax(dots, dim=1)[:, 0].mean() + lmbda * (away**2).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        schedule.step()
    return W.detach().numpy(), b.detach().numpy()


@pytest.mark.slow
def test_minibatches_trained_to_convergence_are_as_accurate_on_objects_not_seen() -> None:
    X, triplets = planted(60, 6, n_triplets=6000)
    # One judgment in five is a guess, so that there is something to be wrong about.
    rng = np.random.default_rng(1)
    guessed = rng.random(len(triplets)) < 0.2
    triplets[guessed] = rng.permuted(triplets[guessed], axis=1)
    gains, tested = [], []
    for training, test in object_folds(triplets, 60, n_folds=3):
        fitted = AlignmentTransform("global", lmbda=0.01).fit(X, training)
        W, b = reference_scheme(X, training, 0.01, n_epochs=200)
        chosen = np.tile([1.0, 0.0, 0.0], (len(training), 1))
        theirs = loss_in_words(fitted, W, b, X, training, chosen, None)
        assert fitted.loss_ < theirs < fitted.loss_ + 0.003  # they have nearly converged
        ours, others = (
            odd_one_out_scores(Z, test, similarity="dot")
            for Z in (fitted.transform(X), (X - X.mean()) / X.std() @ W + b)
        )
        assert ours.mean() > 0.6
        gains.append(ours - others)
        tested.append(test)
    difference = mean_over_objects(np.concatenate(gains), np.concatenate(tested))
    assert difference.ci_low <= 0 <= difference.ci_high
    assert abs(difference.value) < 0.02


def test_too_few_objects_to_choose_a_lmbda_are_named() -> None:
    X = np.random.default_rng(0).normal(size=(8, 3))
    triplets = np.array([*combinations(range(8), 3)])
    with pytest.raises(ValueError, match="lmbdas has 2 for 4 training objects"):
        cross_validate(AlignmentTransform("naive"), X, triplets, lmbdas=[0.1, 1.0], n_folds=2)


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("global", {"n_repeats": 0}, "n_repeats is 0; give at least 1"),
        ("global", {"n_folds": 7}, "n_folds is 7 for 18 objects"),
        ("global", {"n_folds": 2.5}, "n_folds is 2.5; give a whole number"),
        ("global", {"lmbdas": ["a", "b"]}, "lmbdas has dtype <U1; give numbers"),
        ("global", {"lmbdas": [[1.0], [1.0, 2.0]]}, "lmbdas is no array"),
        ("glocal", {}, "kind is 'glocal'; fit it to the folds"),
    ],
)
def test_a_mistake_in_the_folds_is_named(kind: str, options: dict, message: str) -> None:
    X, triplets = planted(18, 4)
    with pytest.raises(ValueError, match=message):
        cross_validate(AlignmentTransform(kind), X, triplets, **options)


def test_triplets_that_leave_no_fold_are_named() -> None:
    X = np.random.default_rng(0).normal(size=(9, 3))
    with pytest.raises(ValueError, match="n_folds is 3 and empties folds"):
        cross_validate(AlignmentTransform("naive"), X, [[0, 1, 2]], n_folds=3)


@pytest.mark.slow
def test_people_are_better_predicted_by_categories_that_a_transform_weighs(
    people: np.ndarray,
) -> None:
    """Sixteen people's judgments of 92 images, cross-validated over images.

    The features are the twelve categories of Kriegeskorte et al. (2008): animate, face ...
    """
    file = loadmat(data("images92") / "Kriegeskorte_Neuron2008_supplementalData.mat")
    X = file["categoryVectors"].astype(float)
    triplets = triplets_from_similarity(people, n_triplets=40_000, random_state=0)
    for kind, after in (("naive", 0.614), ("global", 0.609)):
        held_out = cross_validate(AlignmentTransform(kind), X, triplets)
        gain = mean_over_objects(held_out.after - held_out.before, held_out.triplets)
        assert gain.ci_low > 0
        assert held_out.before.mean() == pytest.approx(0.564, abs=0.003)
        assert held_out.after.mean() == pytest.approx(after, abs=0.003)


@pytest.mark.slow
def test_one_embedding_of_things_is_brought_nearer_to_the_other(
    spose: np.ndarray, vice: np.ndarray
) -> None:
    triplets = triplets_from_similarity(vice @ vice.T, n_triplets=200_000, random_state=0)
    held_out = cross_validate(
        AlignmentTransform("naive", lmbda=0.01, tol=1e-5, max_iter=1000),
        spose,
        triplets,
        similarity="dot",
    )
    gain = mean_over_objects(held_out.after - held_out.before, held_out.triplets)
    assert gain.ci_low > 0
    assert held_out.before.mean() == pytest.approx(0.873, abs=0.003)
    assert held_out.after.mean() == pytest.approx(0.880, abs=0.003)


def test_sums_of_groups_are_those_of_a_scatter() -> None:
    """As a GPU takes them, which scatters in no order; here on tensors of a CPU."""
    places = torch.tensor([[3, 0, 3, 2, 3], [1, 1, 0, 0, -1]])
    values = torch.arange(1.0, 11.0).view(2, 5)
    order, sizes = _groups(places, 4)
    expected = torch.tensor([[2.0, 0.0, 4.0, 9.0], [17.0, 13.0, 0.0, 0.0]])
    torch.testing.assert_close(_sums_of_groups(values, order, sizes), expected, rtol=0, atol=0)

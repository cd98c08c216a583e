"""The alignment transform: exact full-batch steps, against minibatches of one-hot matrices."""

from collections.abc import Iterator

import numpy as np
import torch

from benchmarks.measure import Row, blobs, seconds
from convexlib import AlignmentTransform, cross_validate, object_folds, triplets_from_similarity
from convexlib.alignment import judged_rows
from convexlib.checks import blas_threads
from convexlib.data import colors
from convexlib.layers import fit
from convexlib.settings import Transform

N_TRIPLETS = 4_670_000  # about as many as THINGS has
N_OF_A_STUDY = 500_000
BATCH = 256
LMBDA = 0.1
N_STEPS = 100  # of the other side, from which its epoch is extrapolated
N_LAYERS = 120  # of the twelve models of the colour study, with one seed
N_EPOCHS = 200  # of the other side; too few for it to converge on a few dozen triplets


def rows() -> Iterator[Row]:
    X, triplets = judged_objects()
    fitted = AlignmentTransform("global", lmbda=LMBDA)
    whole = seconds(lambda: fitted.fit(X, triplets))
    step = seconds_of_a_step(X, triplets)
    batches = np.split(triplets[: N_STEPS * BATCH], N_STEPS)
    epoch = len(triplets) / BATCH * seconds_of_minibatches(X, batches) / N_STEPS
    scheme = f"one epoch of minibatches of {BATCH}, extrapolated from {N_STEPS} of them (PyTorch)"
    size = f"{len(triplets):,} triplets, 1,854 x 768"
    yield Row(f"one exact step of the transform, {size}", step, scheme, epoch)
    yield Row(f"the transform fitted, {fitted.n_iter_} iterations, {size}", whole, scheme, epoch)
    yield twelve_fits(X, triplets[:N_OF_A_STUDY])
    layers = layers_of_colours()
    fits = 2 * N_LAYERS * 3 * 3
    with blas_threads(1):
        all_layers = seconds(lambda: cross_validate_all(layers))
    minibatches = seconds_of_an_epoch(*layers[0]) * N_EPOCHS * fits
    yield Row(
        f"both transforms cross-validated at the {N_LAYERS} layers of twelve models, {fits:,} fits "
        "of 9 hues, 64 features",
        all_layers,
        f"{N_EPOCHS} epochs of Adam a fit, extrapolated from one (PyTorch)",
        minibatches,
    )


def twelve_fits(X: np.ndarray, triplets: np.ndarray) -> Row:
    """Those of a layer of THINGS, stopped early, against fits to the end, one by one."""
    options = Transform(lmbda=LMBDA, n_folds=3)

    def ours() -> None:
        for kind in options.kinds:
            fit(kind, X.astype(np.float32), triplets, options)

    def to_the_end() -> None:
        for kind in options.kinds:
            training, _ = next(object_folds(triplets, len(X), n_folds=3, random_state=0))
            fitted = AlignmentTransform(kind, lmbda=LMBDA, max_iter=1000)
            fitted.fit(*judged_rows(X, training))

    work = f"twelve fits of a layer, 1,854 x 768, {N_OF_A_STUDY:,} triplets"
    other = "to the end in double precision, extrapolated from two"
    return Row(work, seconds(ours), other, 6 * seconds(to_the_end))


def seconds_of_a_step(X: np.ndarray, triplets: np.ndarray) -> float:
    """Of an evaluation of the objective and its gradient, without what is done once."""
    times, counts = [], []
    for max_iter in (5, 25):
        fitted = AlignmentTransform("global", lmbda=LMBDA, max_iter=max_iter)
        times.append(seconds(lambda fitted=fitted: fitted.fit(X, triplets)))
        counts.append(fitted.n_evaluations_)
    return (times[1] - times[0]) / (counts[1] - counts[0])


def layers_of_colours() -> list[tuple[np.ndarray, np.ndarray]]:
    """As many layers as the study has: Ekman's circle, more or less of it, in 64 features."""
    rng = np.random.default_rng(0)
    circle, triplets = colors.human_dimensions().coordinates, colors.human_triplets()
    return [
        (circle @ rng.normal(size=(2, 64)) + noise * rng.normal(size=(14, 64)), triplets)
        for noise in np.linspace(0, 2, N_LAYERS)
    ]


def cross_validate_all(layers: list[tuple[np.ndarray, np.ndarray]]) -> None:
    for X, triplets in layers:
        for kind in ("naive", "global"):
            cross_validate(AlignmentTransform(kind, lmbda=LMBDA), X, triplets, n_repeats=3)


def seconds_of_an_epoch(X: np.ndarray, triplets: np.ndarray) -> float:
    """Of the published scheme, on the triplets of nine objects, which make one small batch."""
    some = triplets[(triplets < 9).all(axis=1)]
    return seconds_of_minibatches(X[:9], [some] * N_STEPS) / N_STEPS


def judged_objects() -> tuple[np.ndarray, np.ndarray]:
    """Objects, and judgments of someone who sees 30 directions of them, and noise."""
    X, _ = blobs(1854, 768, 27, distance=0.5)
    rng = np.random.default_rng(0)
    seen = X @ rng.normal(size=(768, 30)) + 10 * rng.normal(size=(1854, 30))
    return X, triplets_from_similarity(seen @ seen.T, n_triplets=N_TRIPLETS, random_state=0)


def seconds_of_minibatches(X: np.ndarray, batches: list[np.ndarray]) -> float:
    """Steps of the published scheme: one-hot rows, dot products, cross-entropy, Adam."""
    features = torch.from_numpy(((X - X.mean()) / X.std()).astype(np.float32))
    n_objects, n_features = features.shape
    weights = (0.001 * torch.eye(n_features)).requires_grad_()
    bias = (0.001 * torch.ones(n_features)).requires_grad_()
    optimizer = torch.optim.Adam([weights, bias], lr=0.001)
    identity = torch.eye(n_features)

    def steps() -> None:
        for batch in map(torch.from_numpy, batches):
            one_hots = torch.nn.functional.one_hot(batch.ravel(), n_objects).float()
            embedding = one_hots @ (features @ weights + bias)
            a, b, c = embedding.reshape(-1, 3, n_features).unbind(dim=1)
            dots = torch.stack([(a * b).sum(1), (a * c).sum(1), (b * c).sum(1)], dim=1)
            away = weights - identity * weights.diag().mean()
            loss = torch.nn.functional.cross_entropy(dots, torch.zeros(len(batch)).long())
            optimizer.zero_grad()
            (loss + LMBDA * (away**2).sum()).backward()
            optimizer.step()

    return seconds(steps)

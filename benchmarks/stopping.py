"""When should the fit of a transform stop? Accuracy on held-out objects, step by step.

Real choices (the subset with participants) on the features of CLIP, and choices drawn from VICE on
random mixtures of SPoSE. Objects are dealt into three folds; no fit sees those it is judged by.
Prints a line a fit: accuracy by the dot product, with which transforms are fitted.
"""

import time
import warnings

import numpy as np

from convexlib import AlignmentTransform, cross_validate
from convexlib.data import downloads, things

STEPS = (3, 6, 10, 15, 20, 30, 50, 100)
LMBDAS = (0.1, 0.001)
N_TRIPLETS, N_FEATURES = 300_000, 256


def real() -> tuple[np.ndarray, np.ndarray]:
    folder = downloads.root() / "things"
    X = np.load(folder / "clip-vit-base-p32-embeddings.npy")
    return X, np.loadtxt(folder / "test_10_ID.txt", dtype=np.int64)[:, :3]


def drawn() -> tuple[np.ndarray, np.ndarray]:
    rng, vice = np.random.default_rng(0), things.vice().astype(float)
    threes = np.array([rng.choice(1854, 3, replace=False) for _ in range(N_TRIPLETS)])
    pairs = [(0, 1), (0, 2), (1, 2)]
    S = vice @ vice.T
    logits = np.stack([S[threes[:, i], threes[:, j]] for i, j in pairs], axis=1)
    kept = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
    order = np.array([[0, 1, 2], [0, 2, 1], [1, 2, 0]])[kept]
    X = things.spose()[0] @ rng.normal(size=(66, N_FEATURES))
    return X, np.take_along_axis(threes, order, axis=1)


def main() -> None:
    warnings.simplefilter("ignore")  # of what collapses, which is at chance
    print("judgments kind lmbda steps accuracy seconds")
    for judgments in (real, drawn):
        X, triplets = judgments()
        X = X.astype(np.float32)
        for kind in ("global", "naive"):
            for lmbda in LMBDAS:
                for steps in STEPS:
                    transform = AlignmentTransform(kind, lmbda=lmbda, max_iter=steps)
                    start = time.perf_counter()
                    held_out = cross_validate(transform, X, triplets, similarity="dot")
                    took = time.perf_counter() - start
                    accuracy = held_out.after.mean()
                    about = judgments.__name__, kind, lmbda, steps
                    print(*about, f"{accuracy:.4f} {took:.1f}", flush=True)


if __name__ == "__main__":
    main()

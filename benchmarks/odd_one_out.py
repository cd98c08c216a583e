"""Odd-one-out accuracy: one matrix of similarities, against gathering features in batches."""

from collections.abc import Iterator

import numpy as np
import torch

from benchmarks.measure import Row, blobs, seconds
from convexlib import odd_one_out_accuracy

N_TRIPLETS = 4_670_000  # about as many as THINGS has
BATCH = 256


def rows() -> Iterator[Row]:
    X, _ = blobs(1854, 768, 27, distance=0.22, dtype=np.float32)
    rng = np.random.default_rng(0)
    triplets = rng.integers(len(X), size=(N_TRIPLETS + N_TRIPLETS // 100, 3))
    i, j, k = triplets.T
    triplets = triplets[(i != j) & (i != k) & (j != k)][:N_TRIPLETS]
    odd_one_out_accuracy(X, triplets[:10])
    found = []
    ours = seconds(lambda: found.append(odd_one_out_accuracy(X, triplets)), repeats=3)
    others = seconds(lambda: found.append(by_batches(X, triplets)))
    assert abs(found[0] - found[-1]) < 1e-4
    yield Row(
        f"odd-one-out accuracy, {len(triplets):,} triplets, 1,854 x 768",
        ours,
        f"gathering features, {BATCH} triplets at a time (PyTorch)",
        others,
    )


def by_batches(X: np.ndarray, triplets: np.ndarray) -> float:
    """The usual scheme: three gathered matrices and three cosines a batch."""
    features = torch.nn.functional.normalize(torch.from_numpy(X), dim=1)
    n_right = 0
    for batch in torch.split(torch.from_numpy(triplets), BATCH):
        a, b, c = (features[column] for column in batch.T)
        pairs = torch.stack([(a * b).sum(1), (a * c).sum(1), (b * c).sum(1)])
        n_right += int((pairs.argmax(dim=0) == 0).sum())
    return n_right / len(triplets)

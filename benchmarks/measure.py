"""What every benchmark shares: a row of the table, a clock, and data whose classes mix or not."""

import resource
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Row:
    """One claim: what was done, how long it took here and elsewhere, and what was aimed at."""

    work: str
    ours: float  # seconds
    other: str
    others: float  # seconds
    target: str
    memory: str = ""

    @property
    def ratio(self) -> str:
        """How much faster we are, or, where the other side is a part of ours, how much longer."""
        faster = self.others / self.ours
        return f"{faster:.0f} times faster" if faster > 1 else f"{1 / faster:.2f} times as long"


def seconds(function: Callable[[], object], *, repeats: int = 1) -> float:
    """Median time of some calls."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def peak_memory() -> float:
    """Most memory that this process has held so far, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def blobs(
    n_samples: int, n_features: int, n_classes: int, *, distance: float, dtype: type = np.float64
) -> tuple[np.ndarray, np.ndarray]:
    """Normal clouds of unit variance around centres that are drawn `distance` as wide."""
    rng = np.random.default_rng(0)
    labels = np.arange(n_samples) % n_classes
    X = rng.standard_normal((n_samples, n_features), dtype=np.float32)
    X += distance * rng.standard_normal((n_classes, n_features), dtype=np.float32)[labels]
    return X.astype(dtype), labels

"""What every benchmark shares: a row of the table, a clock, and data whose classes mix or not."""

import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Row:
    """One claim: what was done, and how long it took here and elsewhere, in seconds."""

    work: str
    ours: float
    other: str
    others: float
    memory: str = ""

    def __str__(self) -> str:
        """As a row of the table."""
        faster = self.others / self.ours
        shown = f"{faster:.0f}" if faster >= 10 else f"{faster:.1f}"
        ratio = f"{shown} times faster" if faster > 1 else f"{1 / faster:.3g} times as long"
        ours = f"{self.ours:.2g} s" + (f", {self.memory}" if self.memory else "")
        return f"| {self.work} | {ours} | {self.other}: {self.others:.2g} s | {ratio} |"


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


def memory() -> float:
    """What this process holds now, in GB (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e9


def blobs(
    n_samples: int, n_features: int, n_classes: int, *, distance: float, dtype: type = np.float64
) -> tuple[np.ndarray, np.ndarray]:
    """Normal clouds of unit variance around centres that are drawn `distance` as wide."""
    rng = np.random.default_rng(0)
    labels = np.arange(n_samples) % n_classes
    X = rng.standard_normal((n_samples, n_features), dtype=np.float32)
    X += distance * rng.standard_normal((n_classes, n_features), dtype=np.float32)[labels]
    return X.astype(dtype), labels

"""Graph convexity: exact, against the official package and against a matrix product."""

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from nnconvexity.graph import compute_graph_convexity

from benchmarks.measure import Row, blobs, memory, peak_memory, seconds
from convexlib import figures, graph_convexity_score

FIGURE = Path(__file__).parents[1] / "book" / "images" / "convexity_growth.svg"
SIZES = (2000, 4000, 8000, 16_000, 26_107)  # the last is the number of THINGS images
ROWS_AT_A_TIME = 1024


def rows() -> Iterator[Row]:
    warm_up, classes = blobs(300, 8, 3, distance=1.0)
    graph_convexity_score(warm_up, classes)
    graph_convexity_score(warm_up.astype(np.float32), classes)
    yield from against_the_official_package()
    yield concepts_of_things()
    yield images_of_things()


def against_the_official_package() -> Iterator[Row]:
    for kind, distance in (("mix", 0.47), ("separate", 3.0)):
        X, labels = blobs(2000, 64, 10, distance=distance)
        score = graph_convexity_score(X, labels)
        yield Row(
            f"graph convexity, 2,000 x 64, 10 classes that {kind} (score {score:.2f})",
            seconds(lambda X=X, labels=labels: graph_convexity_score(X, labels), repeats=5),
            "nnconvexity 0.1.1, a sample of 5,000 pairs a class",
            seconds(lambda X=X, labels=labels: compute_graph_convexity(X, labels)),
        )


def concepts_of_things() -> Row:
    X, labels = blobs(1854, 768, 27, distance=0.22)
    score = graph_convexity_score(X, labels)
    return Row(
        f"graph convexity, 1,854 x 768, 27 classes that mix (score {score:.2f})",
        seconds(lambda: graph_convexity_score(X, labels), repeats=5),
        "blocked float32 product of X and its transpose",
        seconds(lambda: product(X), repeats=5),
    )


def images_of_things() -> Row:
    """In a process of its own, whose memory nothing else has grown."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as fresh:
        return fresh.submit(_images_of_things).result()


def _images_of_things() -> Row:
    X, labels = blobs(26_107, 768, 27, distance=0.21, dtype=np.float32)
    warm_up, classes = blobs(300, 8, 3, distance=1.0, dtype=np.float32)
    graph_convexity_score(warm_up, classes)
    others = seconds(lambda: product(X))
    before = memory()
    scores = []
    ours = seconds(lambda: scores.append(graph_convexity_score(X, labels)))
    return Row(
        f"graph convexity, 26,107 x 768, 27 classes that mix (score {scores[0]:.2f})",
        ours,
        "blocked float32 product of X and its transpose",
        others,
        f"{peak_memory() - before:.1f} GB above X",
    )


def product(X: np.ndarray) -> None:
    """All products of two rows, in single precision, some rows at a time."""
    X = X.astype(np.float32)
    block = np.empty((ROWS_AT_A_TIME, len(X)), dtype=np.float32)
    for start in range(0, len(X), ROWS_AT_A_TIME):
        rows = X[start : start + ROWS_AT_A_TIME]
        np.matmul(rows, X.T, out=block[: len(rows)])


def draw_growth(path: Path = FIGURE) -> float:
    """Draw how the time grows with the number of samples; returns the fitted exponent."""
    X, labels = blobs(SIZES[-1], 768, 27, distance=0.21, dtype=np.float32)
    times = [
        seconds(lambda n=n: graph_convexity_score(X[:n], labels[:n]), repeats=3 if n < 9000 else 1)
        for n in SIZES
    ]
    exponent, offset = np.polyfit(np.log(SIZES), np.log(times), 1)
    figures.set_style()
    _, ax = plt.subplots(figsize=(figures.WIDTH, 3.2), layout="constrained")
    ax.loglog(SIZES, times, "o", color="k", label="measured")
    fitted = np.exp(offset) * np.array(SIZES, dtype=float) ** exponent
    ax.loglog(SIZES, fitted, color="0.5", label=f"power law, exponent {exponent:.2f}")
    ax.set_xticks(SIZES, [f"{n:,}" for n in SIZES])
    ax.minorticks_off()
    ax.set_yticks([0.1, 1, 10], ["0.1", "1", "10"])
    ax.set_xlabel("samples (768 features, 27 classes that mix)")
    ax.set_ylabel("time (s)")
    ax.legend()
    ax.figure.savefig(path, metadata={"Date": None})
    plt.close(ax.figure)
    return exponent

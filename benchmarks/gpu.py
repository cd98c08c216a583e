"""What a GPU does against the CPU beside it, and whether both say the same.

Prints a table; without a GPU, what the CPU takes. Sizes are those of the study of THINGS. The
page on speed shows what `python -m benchmarks.gpu > book/_static/gpu.txt` wrote.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image
from transformers import ViTConfig, ViTImageProcessorPil, ViTModel

from benchmarks.alignet import BATCH as BATCH_OF_TRIPLETS
from benchmarks.alignet import a_student
from convexlib import devices, layers, measures
from convexlib.alignment import triplets_from_similarity
from convexlib.data import Human, Judgments
from convexlib.data.images import ImageFiles
from convexlib.layers import Layer
from convexlib.models import representations
from convexlib.neighbors import neighbor_graph
from convexlib.settings import Transform

N_OBJECTS, N_FEATURES, N_TRIPLETS = 1854, 768, 500_000
N_CATEGORIES, N_DIMENSIONS = 27, 42
N_IMAGES, N_WIDE = 26_107, 1024
N_FILES, SIDE, BATCH = 4096, 800, 128
CPU = torch.device("cpu")


def main() -> None:
    gpu = devices.best()
    here = [gpu, CPU] if gpu != CPU and "gpu" not in sys.argv else [gpu]
    name = torch.cuda.get_device_name() if gpu != CPU else "no GPU"
    n_cores = len(os.sched_getaffinity(0))
    print(f"Measured with {name}, {n_cores} processor cores, PyTorch {torch.__version__}.\n")
    print("| work | GPU | CPU | both compared |\n|---|---|---|---|", flush=True)
    for work in (fits_and_measures, neighbors, extraction, students):
        work(here)


def fits_and_measures(here: list[torch.device]) -> None:
    layer, options = layer_of_things(), Transform(lmbda=0.1, n_folds=3)
    with on(here[0]):
        layers.fit_all(layer, options)  # the first use of a GPU sets it up
    found, times = timed(here, lambda: layers.fit_all(layer, options))
    with on(here[0]):
        is_same = same(found[0], layers.fit_all(layer, options))
    said = [f"the same twice: {is_same}", *([differences(*found)] if len(found) > 1 else [])]
    work = f"twelve fits, {N_OBJECTS} x {N_FEATURES}, {N_TRIPLETS:,} triplets"
    line(work, times, "; ".join(said))
    fitted = layer._replace(fits=layers.load_fits(found[0], layer.human, options))
    for each in measures.of_every_model():
        rows = import_module(f"convexlib.measures.{each}").rows
        for device in here:
            with on(device):
                list(rows(fitted))  # compiled
        tables, times = timed(here, lambda rows=rows: list(rows(fitted)))
        values = [np.array([row.value for row in table]) for table in tables]
        apart = np.nanmax(abs(values[0] - values[-1]), initial=0)
        line(f"measure: {each.replace('_', ' ')}", times, f"at most {apart:.1e} apart")


def neighbors(here: list[torch.device]) -> None:
    X = np.random.default_rng(0).standard_normal((N_IMAGES, N_WIDE), dtype=np.float32)
    neighbor_graph(X[:5000])
    found, times = timed(here, lambda: neighbor_graph(X))
    is_same = (found[0] != found[-1]).nnz == 0
    line(f"neighbours, {N_IMAGES:,} x {N_WIDE}", times, f"the same: {is_same}")


def extraction(here: list[torch.device]) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        torch.manual_seed(0)
        ViTModel(ViTConfig()).save_pretrained(folder / "vit")
        ViTImageProcessorPil().save_pretrained(folder / "vit")
        n_files = N_FILES if here[0] != CPU else BATCH
        files = ImageFiles(jpegs(folder, n_files))
        pixels = torch.randn(BATCH, 3, 224, 224, device=here[0])
        model = ViTModel.from_pretrained(folder / "vit").eval().to(here[0])
        for precision in ("single", "mixed"):
            with devices.in_32_bits():
                forward(model, pixels, precision, 1)
                start = time.perf_counter()
                forward(model, pixels, precision, n_files // BATCH)
                line(f"ViT-B/16, bare forward passes, {precision}", [rate(n_files, start)])
            start = time.perf_counter()
            out = folder / precision
            representations.extract(folder / "vit", files, out, precision=precision)
            line(f"ViT-B/16, extraction from files, {precision}", [rate(n_files, start)])
        if len(here) > 1:
            some = ImageFiles(files.paths[:BATCH])
            with on(CPU):
                start = time.perf_counter()
                there = representations.extract(folder / "vit", some)
                on_cpu = rate(BATCH, start)
            for precision in ("single", "mixed"):
                last = representations.load(folder / precision, 12)[:BATCH]
                apart = abs(last - there[12]).max() / there[12].std()
                said = f"last layer at most {apart:.1e} standard deviations apart"
                line(
                    f"the same, {BATCH} files in single on the CPU, {precision} on the GPU",
                    ["", on_cpu],
                    said,
                )


def students(here: list[torch.device]) -> None:
    """Steps of a ViT-B/16 that learns from a teacher, in 32 bits and in 16."""
    n_steps = 40 if here[0] != CPU else 3
    images = np.random.default_rng(0).integers(0, 256, (160, 224, 224, 3), dtype=np.uint8)
    groups = np.arange(len(images)) // 10
    for precision in ("single", "mixed"):
        torch.manual_seed(0)
        told = {"precision": precision, "learning_rate": 1e-4, "temperature": 100}
        run, batches = a_student(ViTModel(ViTConfig()), images, groups, n_steps, **told)
        run._one_step(batches[0])
        start = time.perf_counter()
        losses = [run._one_step(batch) for batch in batches]
        line(
            f"steps of a student, ViT-B/16, {BATCH_OF_TRIPLETS} triplets of 64 images, {precision}",
            [f"{n_steps / (time.perf_counter() - start):.2f} a second"],
            f"loss {losses[0]:.3f} to {losses[-1]:.3f}",
        )


def forward(model: ViTModel, pixels: torch.Tensor, precision: str, n: int) -> None:
    enabled = precision == "mixed"
    mixed = torch.autocast(pixels.device.type, torch.bfloat16, enabled=enabled)
    with torch.inference_mode(), mixed:
        for _ in range(n):
            states = model(pixel_values=pixels, output_hidden_states=True).hidden_states
            states[-1].mean().item()


def jpegs(folder: Path, n: int) -> list[Path]:
    """Photograph-like files, of about 150 kB, as large as those of THINGS."""
    rng, paths = np.random.default_rng(0), []
    for number in range(n):
        path = folder / f"{number:05d}.jpg"
        if number < 64:
            coarse = Image.fromarray(rng.integers(0, 256, (25, 25, 3), dtype=np.uint8))
            fine = np.asarray(coarse.resize((SIDE, SIDE), Image.Resampling.BICUBIC)).astype(int)
            noisy = np.clip(fine + rng.normal(0, 8, fine.shape), 0, 255).astype(np.uint8)
            Image.fromarray(noisy).save(path, quality=85)
        else:
            path.hardlink_to(paths[number % 64])
        paths.append(path)
    return paths


def layer_of_things() -> Layer:
    """Objects as someone sees them who sees thirty directions of the features, and noise."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N_OBJECTS, N_FEATURES))
    members = rng.random((N_OBJECTS, N_CATEGORIES)) < 1 / N_CATEGORIES  # of several, or of none
    X += 0.5 * members @ rng.normal(size=(N_CATEGORIES, N_FEATURES))
    seen = X @ rng.normal(size=(N_FEATURES, 30)) + 10 * rng.normal(size=(N_OBJECTS, 30))
    triplets = triplets_from_similarity(seen @ seen.T, n_triplets=N_TRIPLETS, random_state=0)
    dimensions = abs(seen @ rng.normal(size=(30, N_DIMENSIONS)))
    human = Human(
        names=[f"object {number}" for number in range(N_OBJECTS)],
        shown=np.arange(N_OBJECTS),
        categories=pd.DataFrame(members),
        sets={"drawn": Judgments(triplets, seen @ seen.T, dimensions)},
    )
    X = X.astype(np.float32)
    return Layer.of(X, X, human)


@contextmanager
def on(device: torch.device) -> Iterator[None]:
    chosen, devices._best = devices._best, lambda: device
    yield
    devices._best = chosen


def timed(here: list[torch.device], function: Callable[[], Any]) -> tuple[list[Any], list[str]]:
    """What a function gives on each device, and how long it takes."""
    found, times = [], []
    for device in here:
        with on(device):
            start = time.perf_counter()
            found.append(function())
        times.append(f"{time.perf_counter() - start:.2f} s")
    return found, times


def line(work: str, times: list[str], said: str = "") -> None:
    """A row of the table; none of what a layer such as this has nothing of."""
    if {*times} == {"0.00 s"}:
        return
    print(f"| {' | '.join([work, *times, *[''] * (2 - len(times)), said])} |", flush=True)


def rate(n_images: int, start: float) -> str:
    return f"{n_images / (time.perf_counter() - start):.0f} images/s"


def same(one: dict, other: dict) -> bool:
    return all(np.array_equal(one[key], other[key]) for key in one)


def differences(one: dict, other: dict) -> str:
    """Of the weights, as a share of their norm: the largest over fits."""
    apart = {
        key: np.linalg.norm(one[key] - other[key]) / np.linalg.norm(other[key])
        for key in one
        if "weights" in key
    }
    return f"weights differ by {max(apart.values()):.1e} of their norm at most"


if __name__ == "__main__":
    main()

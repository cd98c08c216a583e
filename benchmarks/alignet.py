"""AligNet: triplets are drawn all at once, and a step costs what its distinct images cost."""

from collections.abc import Iterator
from itertools import cycle
from typing import Any

import numpy as np
import torch
from transformers import ViTConfig, ViTImageProcessorPil, ViTModel

from benchmarks.measure import Row, seconds
from convexlib import triplets
from convexlib.data import colors
from convexlib.models.objectives import Distillation
from convexlib.models.pixels import Pixels
from convexlib.models.training import _Run
from convexlib.settings import Distillation as Settings

N_TRIPLETS = 5_000_000
N_ONE_BY_ONE = 20_000  # that the other side draws; its time is extrapolated
BATCH = 512
N_STEPS = 20
SHAPE = {"image_size": 32, "patch_size": 8, "hidden_size": 64, "num_hidden_layers": 6}
SHAPE |= {"num_attention_heads": 4, "intermediate_size": 256}


def rows() -> Iterator[Row]:
    groups = np.random.default_rng(0).integers(500, size=100_000)
    ours = seconds(lambda: triplets.draw(groups, N_TRIPLETS))
    other = seconds(lambda: one_by_one(groups)) * N_TRIPLETS / N_ONE_BY_ONE
    yield Row(
        f"{N_TRIPLETS:,} triplets drawn of 500 clusters of 100,000 images ({N_TRIPLETS / ours:,.0f}"
        " a second)",
        ours,
        f"one by one, extrapolated from {N_ONE_BY_ONE:,}",
        other,
    )
    X = np.random.default_rng(0).normal(size=(100_000, 64)).astype(np.float32)
    drawn = triplets.draw(groups, N_TRIPLETS)
    ours = seconds(lambda: triplets.told(X, drawn))
    batches = np.array_split(drawn, N_TRIPLETS // BATCH)[:100]
    other = seconds(lambda: [triplets.told(X, batch) for batch in batches])
    yield Row(
        f"what a teacher says of {N_TRIPLETS:,} triplets, 64 features",
        ours,
        f"{BATCH} at a time, extrapolated from 100 batches",
        other * N_TRIPLETS / BATCH / 100,
    )
    yield from of_steps()


def of_steps() -> Iterator[Row]:
    images, labels = colors.generate(100, seed=0)
    groups = np.unique(labels["hue"], return_inverse=True)[1]
    torch.manual_seed(0)
    run, numbers = a_student(ViTModel(ViTConfig(**SHAPE)), images, groups, N_STEPS)
    pixels, rows, _ = run.data["train"]
    model, batches = run.objective.model, rows.split(BATCH)
    n_images = int(np.mean([len(batch.unique()) for batch in batches]))
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as in training
    for batch in batches[:3]:
        forward_and_backward(model, pixels[batch.unique()])
    step, whole = cycle(numbers), cycle(batches)
    shown = cycle([pixels[batch.unique()] for batch in batches])
    both = [  # by turns, so that neither side has the quieter machine
        (
            seconds(lambda: run._one_step(next(step))),
            seconds(lambda: forward_and_backward(model, next(shown))),
        )
        for _ in range(N_STEPS)
    ]
    ours, bare = np.median(both, axis=0)
    every = seconds(lambda: forward_and_backward(model, pixels[next(whole).flatten()]), repeats=3)
    torch.set_num_threads(n_threads)
    what = f"a step of a student, {BATCH} triplets of {n_images} images, ViT of six layers"
    yield Row(what, ours, "its forward and backward pass alone", bare)
    yield Row(what, ours, "passes of all three images of every triplet", every)


def a_student(
    model: ViTModel, images: np.ndarray, groups: np.ndarray, n_steps: int, **changed: Any
) -> tuple[_Run, list[torch.Tensor]]:
    """A lesson about to begin, in which images of a group belong together, and its batches."""
    pixels = Pixels(images, ViTImageProcessorPil(do_resize=False))
    rows = torch.from_numpy(triplets.draw(groups, n_steps * BATCH))
    targets = torch.tensor([[0.9, 0.05, 0.05]]).repeat(len(rows), 1)
    told = {"epochs": 1, "batch_size": BATCH, "learning_rate": 1e-3, "n_triplets": len(rows)}
    settings = Settings(**told | changed)
    named = {"divergence", "similarity", "temperature", "anchor"}
    objective = Distillation(model, pixels, pooling="mean", **settings.model_dump(include=named))
    run = _Run(objective, settings, {"train": (pixels, rows, targets)}, seed=0)
    return run, [*torch.arange(len(rows)).split(BATCH)]


def forward_and_backward(model: ViTModel, pixels: torch.Tensor) -> None:
    model.zero_grad()
    states = model(pixels, output_hidden_states=True).hidden_states
    states[-1][:, 1:].mean(dim=1).square().mean().backward()


def one_by_one(groups: np.ndarray) -> None:
    """The usual scheme: a cluster, two of its images, and one of another."""
    rng = np.random.default_rng(0)
    members = [np.flatnonzero(groups == group) for group in range(groups.max() + 1)]
    for _ in range(N_ONE_BY_ONE):
        own, other = rng.choice(len(members), 2, replace=False)
        rng.choice(members[own], 2, replace=False)
        rng.choice(members[other])


if __name__ == "__main__":
    for row in rows():
        print(row)

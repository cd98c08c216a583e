"""Trains models into Hugging Face checkpoints, which load by the same code as published ones.

What a model is (`convexlib.models.families`) and what it is trained for
(`convexlib.models.objectives`) are told elsewhere; here they are fitted to images.

On CPUs, training runs on one thread, so that a seed gives the same weights whatever else the
machine does and however many cores it has. It runs on a GPU where there is one.
"""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Generator, Tensor, nn
from tqdm import tqdm
from transformers import AutoModelForImageClassification, PreTrainedModel, ViTImageProcessorPil

from convexlib.devices import best, mixed
from convexlib.models import objectives
from convexlib.models.checkpoints import load_for_images, load_model, load_processor, quiet
from convexlib.models.objectives import NamedClasses, Objective, naming
from convexlib.models.pixels import AT_ONCE, Pixels
from convexlib.settings import Architecture, Distillation, Training
from convexlib.triplets import Triplets

_PROCESSING = {"do_resize": False, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
_STATE = "state.pt"
_Data = dict[str, tuple[Pixels, Tensor, Tensor]]
"""Of each split its images, and of each example the rows of its images and its target."""


@contextmanager
def _one_thread() -> Iterator[None]:
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)


@_one_thread()
def train(
    folder: Path,
    *,
    splits: Mapping[str, tuple[Sequence[Any], pd.DataFrame]],
    settings: Training,
    seed: int,
    family: str | None = None,
    architecture: Architecture | None = None,
    patch_size: int | None = None,
    start: Path | None = None,
    columns: Sequence[str] = (),
) -> None:
    """Train a model of a family from scratch, or all weights of a checkpoint to name classes.

    What a run that was killed left in the folder is taken up, and leads to the same weights.

    Parameters
    ----------
    folder : Path
        Where the checkpoint goes: weights as safetensors, configuration, image processor and
        `training.json` (objective, seed, steps, curve, and as `<split>_score` the scores on those
        others). Checkpoints on the way go to `step-<n>` below it.
    splits : mapping
        `(images, labels)` by split, with splits train, validation and any others to be tested on:
        a sequence of uint8 arrays or PIL images, square and of one size, and what the objective
        knows of them.
    settings : Training
    seed : int
    family : str, optional
        One of `convexlib.models.families.names()`, trained from scratch by its own objective.
    architecture : Architecture, optional
        Of the model of the family.
    patch_size : int, optional
        Of the model of the family, in pixels.
    start : Path, optional
        Folder of a checkpoint, which gets a new linear head in place of a family.
    columns : sequence of str
        Of the labels, for objectives that need some: those whose values make the class of an
        image. Classes come in sorted order, those of a Categorical in its own.

    Raises
    ------
    ValueError
        If there are no such columns where classes are to be named, or a split has a class that
        the training split lacks.
    """
    torch.manual_seed(seed)
    folder.mkdir(parents=True, exist_ok=True)
    processor = load_processor(start) if start else ViTImageProcessorPil(**_PROCESSING)
    pixels = {split: Pixels(images, processor) for split, (images, _) in splits.items()}
    labels = splits["train"][1]
    if start:
        head = {"ignore_mismatched_sizes": True, **naming(labels, columns)}
        model = load_model(AutoModelForImageClassification, start, **head)
        objective = NamedClasses(model, columns)
    else:
        # Written out, so that what is asked of the module, and no more, counts as a dependency.
        build = import_module(f"convexlib.models.families.{family}").build
        pretrained_for = import_module(f"convexlib.models.families.{family}").objective
        model = build(_shape(architecture, patch_size, pixels["train"]), labels, columns)
        objective = pretrained_for(model, pixels["train"], columns, seed)
    data = {s: (x, *objective.examples(x, splits[s][1])) for s, x in pixels.items()}
    _fit(folder, _Run(objective, settings, data, seed), processor)


@_one_thread()
def distill(
    folder: Path,
    *,
    images: Mapping[str, Sequence[Any]],
    lessons: Mapping[str, Triplets],
    settings: Distillation,
    pooling: str,
    seed: int,
    start: Path,
) -> None:
    """Train all weights of a checkpoint to choose of three images as a teacher does.

    What a run that was killed left in the folder is taken up, and leads to the same weights.

    Parameters
    ----------
    folder : Path
        As in `train`.
    images : mapping
        Of splits train and validation, as in `train`.
    lessons : mapping
        Of the same splits, what the teacher says of triplets of their images. Those of a batch
        follow on each other.
    settings : Distillation
    pooling : {"mean", "cls", "tokens"}
        Of what is measured of the student, which is what it compares images by.
    seed : int
        Of the order of the batches.
    start : Path
        Folder of the checkpoint that is to learn.

    Raises
    ------
    ValueError
        If triplets are of images that there are not, or the checkpoint gives no features.
    """
    torch.manual_seed(seed)
    for split, lesson in lessons.items():
        lesson.check(f"the lesson of split {split!r}", len(images[split]))
    folder.mkdir(parents=True, exist_ok=True)
    processor, model = load_processor(start), load_for_images(start)
    pixels = {split: Pixels(images[split], processor) for split in lessons}
    named = {"divergence", "similarity", "temperature", "anchor"}
    options = settings.model_dump(include=named) | {"pooling": pooling}
    objective = objectives.Distillation(model, pixels["train"], **options)
    data = {
        split: (pixels[split], torch.from_numpy(of.indices).long(), torch.from_numpy(of.targets))
        for split, of in lessons.items()
    }
    _fit(folder, _Run(objective, settings, data, seed), processor)


def _fit(folder: Path, run: "_Run", processor: Any) -> None:
    """All epochs, and then the checkpoint."""
    settings, model = run.settings, run.objective.model
    run.take_up(folder / _STATE)
    every = settings.save_every or settings.epochs
    for epoch in range(len(run.curve) + 1, settings.epochs + 1):
        run.one_epoch()
        if epoch in range(every, settings.epochs, every):
            _save(folder / f"step-{run.schedule.last_epoch}", model, processor)
        run.keep(folder / _STATE)
    _save(folder, model, processor)
    tests = [split for split in run.data if split not in ("train", "validation")]
    scores = {f"{split}_score": run.score(split) for split in tests}
    record = run.record | {"curve": run.curve, "score": run.objective.score_name} | scores
    (folder / "training.json").write_text(json.dumps(record, indent=1), encoding="utf-8")
    (folder / _STATE).unlink()


class _Run:
    """A training under way: all that its next epoch depends on."""

    def __init__(self, objective: Objective, settings: Training, data: _Data, seed: int) -> None:
        self.device = best()
        self.objective, self.settings = objective.to(self.device), settings
        self.data, self.curve = data, []
        self.generator = Generator().manual_seed(seed)
        self.parameters = [p for p in objective.parameters() if p.requires_grad]
        pixels, rows, _ = data["train"]
        self.record = {
            "objective": objective.name,
            "seed": seed,
            "settings": settings.model_dump(mode="json"),
            "n_images": len(pixels),
            "n_steps": settings.epochs * -(-len(rows) // settings.batch_size),
            "n_parameters": sum(p.numel() for p in self.parameters),
        }
        rates = {"lr": settings.learning_rate, "weight_decay": settings.weight_decay}
        self.optimizer = torch.optim.AdamW(self.parameters, **rates, fused=True)
        # A method of its own would make a circle, and keep all images until that is found.
        share_of_rate = _warm_up_and_cosine(self.record["n_steps"], settings.warmup)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimizer, share_of_rate)
        self.parts = self.objective, self.optimizer, self.schedule

    def one_epoch(self) -> None:
        """Train on all examples once, and look how well the model does."""
        self.objective.train()
        epoch, n = len(self.curve) + 1, len(self.data["train"][1])
        batches = self._batches(n)
        words = f"{self.objective.name}, epoch {epoch} of {self.settings.epochs}"
        losses = [self._one_step(batch) for batch in tqdm(batches, words, leave=False)]
        point = {"epoch": epoch, "training_loss": float(np.mean(losses))}
        self.curve.append(point | {"validation_score": self.score("validation")})

    def _batches(self, n: int) -> list[Tensor]:
        """Numbers of examples in a random order; a lesson keeps batches, whose images are few."""
        size = self.settings.batch_size
        if isinstance(self.settings, Distillation):
            batches = torch.arange(n).split(size)
            return [batches[i] for i in torch.randperm(len(batches), generator=self.generator)]
        return [*torch.randperm(n, generator=self.generator).split(size)]

    @torch.no_grad()
    def score(self, split: str) -> float:
        """How well the model does on a split, by the same masks every time."""
        self.objective.eval()
        generator = Generator().manual_seed(0)
        batches = torch.arange(len(self.data[split][1])).split(AT_ONCE)
        outputs = [self._predicted(split, batch, generator) for batch in batches]
        return self.objective.score(*(torch.cat(part).cpu() for part in zip(*outputs, strict=True)))

    def keep(self, path: Path) -> None:
        """Write the state of the training into a file, whole or not at all."""
        state = {
            "record": self.record,
            "curve": self.curve,
            "parts": [part.state_dict() for part in self.parts],
            "orders": self.generator.get_state(),
            "chance": [torch.get_rng_state(), *torch.cuda.get_rng_state_all()],
        }
        partial = path.with_suffix(".partial")
        torch.save(state, partial)
        partial.replace(path)

    def take_up(self, path: Path) -> None:
        """Go on from a file that `keep` wrote, if that was in a training like this one."""
        state = torch.load(path, map_location="cpu", weights_only=True) if path.exists() else {}
        if state.get("record") == self.record:
            self.curve = state["curve"]
            for part, of_part in zip(self.parts, state["parts"], strict=True):
                part.load_state_dict(of_part)
            self.generator.set_state(state["orders"])
            torch.set_rng_state(state["chance"][0])
            torch.cuda.set_rng_state_all(state["chance"][1:])

    def _one_step(self, batch: Tensor) -> float:
        self.optimizer.zero_grad()
        total = 0.0
        for part in batch.chunk(self.settings.accumulate):
            loss = self.objective.loss(*self._predicted("train", part, self.generator))
            loss = loss * (len(part) / len(batch))
            loss.backward()
            total += loss.item()
        if not math.isfinite(total):
            raise ValueError(
                f"the loss became {total} at step {self.schedule.last_epoch}; choose a lower "
                f"learning_rate than {self.settings.learning_rate:g}, or other images"
            )
        nn.utils.clip_grad_norm_(self.parameters, 1.0)
        (rate,) = self.schedule.get_last_lr()
        self.optimizer.step()
        self.schedule.step()
        self.objective.after_step(rate)
        return total

    def _predicted(self, split: str, batch: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        pixels, rows, targets = self.data[split]
        images, several = rows[batch], {}
        if images.ndim > 1:
            images, places = images.unique(return_inverse=True)
            several["places"] = places.to(self.device)
        shown, true = pixels[images].to(self.device), targets[batch].to(self.device)
        # In 16 bits of the other kind, gradients would vanish.
        able = self.device.type == "cuda" and torch.cuda.is_bf16_supported()
        with mixed(self.device, enabled=able and self.settings.precision == "mixed"):
            said, true = self.objective(shown, true, generator, **several)
        return said.float(), true


def _warm_up_and_cosine(n_steps: int, warmup: float) -> Callable[[int], float]:
    """The share of the learning rate at a step: a linear warm-up and a cosine to zero."""
    n_warmup = round(warmup * n_steps)

    def share(step: int) -> float:
        if step < n_warmup:
            return (step + 1) / n_warmup
        return float(0.5 * (1 + np.cos(np.pi * (step - n_warmup) / max(1, n_steps - n_warmup))))

    return share


def _save(folder: Path, model: PreTrainedModel, processor: Any) -> None:
    with quiet():
        model.save_pretrained(folder)
        processor.save_pretrained(folder)


def _shape(architecture: Architecture, patch_size: int, pixels: Pixels) -> dict[str, int]:
    return {
        "image_size": pixels[torch.arange(1)].shape[-1],
        "patch_size": patch_size,
        "num_hidden_layers": architecture.layers,
        "hidden_size": architecture.width,
        "num_attention_heads": architecture.heads,
        "intermediate_size": 4 * architecture.width,
    }

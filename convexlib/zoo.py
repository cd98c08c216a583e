"""Trains the small models of the colour study into Hugging Face checkpoints.

Three families, each by its own pretraining objective: ViT names hue and shape (supervised),
BEiT predicts the visual token of masked patches, data2vec regresses the latent targets of a
slowly moving teacher. Fine-tuning is colour naming for all. The checkpoints load by the same
code as the published ones.

Training runs on one thread, so that a seed gives the same weights whatever else the machine
does and however many cores it has.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.cluster import KMeans
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, layer_norm, smooth_l1_loss
from tqdm import tqdm
from transformers import (
    AutoModelForImageClassification,
    BeitConfig,
    BeitForMaskedImageModeling,
    BeitImageProcessorPil,
    Data2VecVisionConfig,
    Data2VecVisionModel,
    PreTrainedModel,
    ViTConfig,
    ViTForImageClassification,
    ViTImageProcessorPil,
)

from convexlib.checkpoints import load_model, load_processor, quiet
from convexlib.settings import Architecture, Family, Training

Splits = dict[str, tuple[np.ndarray, pd.DataFrame]]

# Shares of masked patches: Bao et al. (2022), section 2.3; Baevski et al. (2022), section 5.1.
_BEIT_MASKED, _DATA2VEC_MASKED = 0.4, 0.6
_N_VISUAL_TOKENS = 64
_N_TOKENIZED = 10_000  # patches that k-means sees
# Baevski et al. use 0.9998 over hundreds of thousands of steps. The teacher's memory, here
# 100 steps, is kept well below the few hundred steps of our training.
_TEACHER_DECAY = 0.99
_SMOOTH_L1_BETA = 2.0


@dataclass(frozen=True)
class _Objective:
    name: str
    # Of a batch of pixels and its targets: what the model says, and what it should say.
    predict: Callable[[Tensor, Tensor, torch.Generator], tuple[Tensor, Tensor]]
    loss: Callable[[Tensor, Tensor], Tensor]
    score: Callable[[Tensor, Tensor], float]
    score_name: str
    trained: nn.Module
    after_step: Callable[[], None] = lambda: None


def pretrain(
    family: Family,
    architecture: Architecture,
    training: Training,
    splits: Splits,
    *,
    patch_size: int,
    seed: int,
    folder: Path,
) -> None:
    """Train one model from scratch by the objective of its family.

    Parameters
    ----------
    family : {"vit", "beit", "data2vec"}
    architecture : Architecture
    training : Training
    splits : dict
        `(images, labels)` by split, with splits train, validation and test.
    patch_size : int
        In pixels.
    seed : int
    folder : Path
        Where the checkpoint goes: weights as safetensors, configuration, image processor and
        `training.json` (objective, seed, steps, curve, score on the test split).
    """
    with _one_thread():
        torch.manual_seed(seed)
        processor = _new_processor(family)
        pixels = {split: _pixels(processor, images) for split, (images, _) in splits.items()}
        shape = _shape(architecture, patch_size, pixels)
        model, objective, targets = _PRETRAIN[family](shape, splits, pixels, seed)
        _save(folder, model, processor, _fit(objective, training, pixels, targets, seed))


def finetune(
    pretrained: Path, training: Training, splits: Splits, *, seed: int, folder: Path
) -> None:
    """Train all weights of a pretrained checkpoint to name colours, with a new linear head.

    Parameters are those of `pretrain`; `pretrained` is the folder that it wrote.
    """
    with _one_thread():
        torch.manual_seed(seed)
        names = list(dict.fromkeys(splits["train"][1]["color_name"]))
        processor = load_processor(pretrained)
        model = load_model(
            AutoModelForImageClassification,
            pretrained,
            id2label=dict(enumerate(names)),
            label2id={name: i for i, name in enumerate(names)},
            ignore_mismatched_sizes=True,
        )
        pixels = {split: _pixels(processor, images) for split, (images, _) in splits.items()}
        targets = {
            split: _codes(labels["color_name"], names) for split, (_, labels) in splits.items()
        }
        objective = _classification("colour naming", model)
        _save(folder, model, processor, _fit(objective, training, pixels, targets, seed))


def _vit(shape: dict[str, int], splits: Splits, pixels: dict, seed: int):
    def fine_labels(labels: pd.DataFrame) -> pd.Series:
        return labels["hue"].astype(str) + " nm " + labels["shape"]

    names = sorted(set(fine_labels(splits["train"][1])))
    config = ViTConfig(
        **shape,
        id2label=dict(enumerate(names)),
        label2id={name: i for i, name in enumerate(names)},
    )
    model = ViTForImageClassification(config)
    targets = {
        split: _codes(fine_labels(labels), names)
        for split, (_, labels) in splits.items()
        if split != "reference"
    }
    return model, _classification("hue and shape", model), targets


def _beit(shape: dict[str, int], splits: Splits, pixels: dict, seed: int):
    config = BeitConfig(
        **shape,
        vocab_size=_N_VISUAL_TOKENS,
        use_mask_token=True,
        use_relative_position_bias=True,
        drop_path_rate=0.0,
    )
    model = BeitForMaskedImageModeling(config)
    patches = {split: _patches(x, shape["patch_size"]) for split, x in pixels.items()}
    n_patches = patches["train"].shape[1]
    tokenizer = KMeans(_N_VISUAL_TOKENS, n_init=1, max_iter=50, random_state=seed)
    rng = np.random.default_rng(seed)
    train = patches["train"].flatten(0, 1).numpy()
    tokenizer.fit(train[rng.permutation(len(train))[:_N_TOKENIZED]])
    targets = {
        split: torch.from_numpy(tokenizer.predict(x.flatten(0, 1).numpy()))
        .long()
        .view(-1, n_patches)
        for split, x in patches.items()
    }

    def predict(batch: Tensor, tokens: Tensor, generator: torch.Generator):
        masked = _random_mask(*tokens.shape, _BEIT_MASKED, generator)
        return model(batch, bool_masked_pos=masked).logits[masked], tokens[masked]

    objective = _Objective(
        "visual tokens of masked patches", predict, cross_entropy, _accuracy, "accuracy", model
    )
    return model, objective, targets


def _data2vec(shape: dict[str, int], splits: Splits, pixels: dict, seed: int):
    config = Data2VecVisionConfig(
        **shape,
        use_mask_token=True,
        use_relative_position_bias=True,
        drop_path_rate=0.0,
    )
    student = Data2VecVisionModel(config)
    teacher = deepcopy(student).requires_grad_(False).eval()
    head = nn.Linear(shape["hidden_size"], shape["hidden_size"])
    n_patches = _patches(pixels["train"][:1], shape["patch_size"]).shape[1]
    n_averaged = max(1, shape["num_hidden_layers"] // 2)

    def predict(batch: Tensor, _: Tensor, generator: torch.Generator):
        masked = _random_mask(len(batch), n_patches, _DATA2VEC_MASKED, generator)
        with torch.no_grad():
            states = teacher(batch, output_hidden_states=True).hidden_states[-n_averaged:]
            latent = torch.stack([layer_norm(s, s.shape[-1:]) for s in states]).mean(dim=0)
        said = head(student(batch, bool_masked_pos=masked).last_hidden_state)
        return said[:, 1:][masked], latent[:, 1:][masked]

    @torch.no_grad()
    def move_teacher() -> None:
        for slow, fast in zip(teacher.parameters(), student.parameters(), strict=True):
            slow.lerp_(fast, 1 - _TEACHER_DECAY)

    objective = _Objective(
        "latent targets of masked patches",
        predict,
        lambda said, latent: smooth_l1_loss(said, latent, beta=_SMOOTH_L1_BETA),
        _explained_variance,
        "explained variance",
        nn.ModuleList([student, head]),
        move_teacher,
    )
    no_targets = {split: torch.zeros(len(x)) for split, x in pixels.items()}
    return student, objective, no_targets


_PRETRAIN = {"vit": _vit, "beit": _beit, "data2vec": _data2vec}


def _classification(name: str, model: PreTrainedModel) -> _Objective:
    def predict(batch: Tensor, targets: Tensor, _: torch.Generator):
        return model(batch).logits, targets

    return _Objective(name, predict, cross_entropy, _accuracy, "accuracy", model)


def _fit(
    objective: _Objective,
    settings: Training,
    pixels: dict[str, Tensor],
    targets: dict[str, Tensor],
    seed: int,
) -> dict:
    """Train, and return the training record."""
    generator = torch.Generator().manual_seed(seed)
    parameters = list(objective.trained.parameters())
    optimizer = torch.optim.AdamW(
        parameters, settings.learning_rate, weight_decay=settings.weight_decay, fused=True
    )
    n, size = len(pixels["train"]), settings.batch_size
    n_steps = settings.epochs * -(-n // size)
    n_warmup = round(settings.warmup * n_steps)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: (
            (step + 1) / n_warmup
            if step < n_warmup
            else 0.5 * (1 + np.cos(np.pi * (step - n_warmup) / max(1, n_steps - n_warmup)))
        ),
    )
    curve = []
    with tqdm(total=n_steps, desc=objective.name, unit="step") as progress:
        for epoch in range(1, settings.epochs + 1):
            objective.trained.train()
            losses = []
            for batch in torch.randperm(n, generator=generator).split(size):
                said, true = objective.predict(
                    pixels["train"][batch], targets["train"][batch], generator
                )
                loss = objective.loss(said, true)
                optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(parameters, 1.0)
                optimizer.step()
                schedule.step()
                objective.after_step()
                losses.append(loss.item())
                progress.update()
            curve.append(
                {
                    "epoch": epoch,
                    "training_loss": float(np.mean(losses)),
                    "validation_score": _evaluate(objective, pixels, targets, "validation"),
                }
            )
    return {
        "objective": objective.name,
        "seed": seed,
        "settings": settings.model_dump(),
        "n_images": n,
        "n_steps": n_steps,
        "n_parameters": sum(p.numel() for p in parameters),
        "curve": curve,
        "score": objective.score_name,
        "test_score": _evaluate(objective, pixels, targets, "test"),
    }


@torch.no_grad()
def _evaluate(objective: _Objective, pixels: dict, targets: dict, split: str) -> float:
    objective.trained.eval()
    generator = torch.Generator().manual_seed(0)
    outputs = [
        objective.predict(x, y, generator)
        for x, y in zip(pixels[split].split(256), targets[split].split(256), strict=True)
    ]
    said, true = (torch.cat(part) for part in zip(*outputs, strict=True))
    return objective.score(said, true)


def _accuracy(logits: Tensor, targets: Tensor) -> float:
    return (logits.argmax(dim=1) == targets).double().mean().item()


def _explained_variance(said: Tensor, true: Tensor) -> float:
    residual = (true - said).square().sum()
    return (1 - residual / (true - true.mean(dim=0)).square().sum()).item()


def _save(folder: Path, model: PreTrainedModel, processor, record: dict) -> None:
    with quiet():
        model.save_pretrained(folder)
        processor.save_pretrained(folder)
    (folder / "training.json").write_text(json.dumps(record, indent=1), encoding="utf-8")


def _new_processor(family: Family):
    processor_class = ViTImageProcessorPil if family == "vit" else BeitImageProcessorPil
    return processor_class(
        do_resize=False, do_center_crop=False, image_mean=[0.5] * 3, image_std=[0.5] * 3
    )


def _pixels(processor, images: np.ndarray) -> Tensor:
    return processor(list(images), return_tensors="pt")["pixel_values"]


def _shape(
    architecture: Architecture, patch_size: int, pixels: dict[str, Tensor]
) -> dict[str, int]:
    return {
        "image_size": pixels["train"].shape[-1],
        "patch_size": patch_size,
        "num_hidden_layers": architecture.layers,
        "hidden_size": architecture.width,
        "num_attention_heads": architecture.heads,
        "intermediate_size": 4 * architecture.width,
    }


def _patches(pixels: Tensor, size: int) -> Tensor:
    """Cut `(n, 3, h, w)` into `(n, n_patches, 3 * size * size)`, row by row."""
    return nn.functional.unfold(pixels, size, stride=size).transpose(1, 2).contiguous()


def _random_mask(n: int, n_patches: int, share: float, generator: torch.Generator) -> Tensor:
    """Boolean `(n, n_patches)` with the same number of masked patches in every image."""
    order = torch.rand(n, n_patches, generator=generator).argsort(dim=1)
    return order < round(share * n_patches)


def _codes(labels: pd.Series, names: list[str]) -> Tensor:
    return torch.from_numpy(pd.Categorical(labels, categories=names).codes.astype(np.int64))


@contextmanager
def _one_thread() -> Iterator[None]:
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)

"""Extraction of all layers in one pass: against bare forward passes, and one pass a layer."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from transformers import ViTConfig, ViTImageProcessorPil, ViTModel

from benchmarks.measure import Row, seconds
from convexlib import representations

N_IMAGES = 256
BATCH = 32
N_TIMED_LAYERS = 3  # of thirteen, from which the other side is extrapolated


def rows() -> Iterator[Row]:
    images = np.random.default_rng(0).integers(0, 256, (N_IMAGES, 224, 224, 3), dtype=np.uint8)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        ViTModel(ViTConfig()).save_pretrained(folder / "vit")
        ViTImageProcessorPil().save_pretrained(folder / "vit")
        ours = seconds(
            lambda: representations.extract(
                folder / "vit", images, folder / "out", batch_size=BATCH
            )
        )
        model = ViTModel.from_pretrained(folder / "vit").eval()
        processor = ViTImageProcessorPil.from_pretrained(folder / "vit")
        batches = [
            processor(list(images[start : start + BATCH]), return_tensors="pt")["pixel_values"]
            for start in range(0, N_IMAGES, BATCH)
        ]
        bare = seconds(lambda: forward(model, batches))
        layerwise = seconds(lambda: one_by_one(model, images, processor)) / N_TIMED_LAYERS * 13
    size = f"{N_IMAGES} images, all 13 layers of ViT-B/16"
    yield Row(size, ours, "bare forward passes over ready batches", bare)
    yield Row(size, ours, f"one pass a layer, extrapolated from {N_TIMED_LAYERS}", layerwise)


def forward(model: ViTModel, batches: list[torch.Tensor]) -> None:
    with torch.inference_mode():
        for batch in batches:
            model(pixel_values=batch)


def one_by_one(model: ViTModel, images: np.ndarray, processor: ViTImageProcessorPil) -> None:
    """The documented scheme of thingsvision: for each module a pass, with a hook on it."""
    for layer in model.layers[:N_TIMED_LAYERS]:
        found = []
        hook = layer.register_forward_hook(lambda _, __, output, found=found: found.append(output))
        with torch.inference_mode():
            for start in range(0, len(images), BATCH):
                pixels = processor(list(images[start : start + BATCH]), return_tensors="pt")
                model(**pixels)
        hook.remove()

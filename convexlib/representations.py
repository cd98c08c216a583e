"""Any Hugging Face vision transformer to one array a layer, all layers in one forward pass."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from safetensors import safe_open
from safetensors.numpy import save_file
from torch import Tensor
from tqdm import tqdm
from transformers import AutoModel

from convexlib.checkpoints import load_model, load_processor


def extract(
    checkpoint: Path,
    images: Sequence[Any],
    folder: Path,
    *,
    pooling: Literal["mean", "cls"] = "mean",
    batch_size: int = 128,
) -> None:
    """Write the representations of images at every layer of a model, batch by batch.

    Memory does not grow with the number of images: each batch goes to a file of its own.

    Parameters
    ----------
    checkpoint : Path
        Folder of a Hugging Face checkpoint with weights, configuration and image processor.
    images : sequence of images
        Whatever the processor takes: uint8 arrays (height, width, 3) or PIL images.
    folder : Path
        Gets one safetensors file a batch, with a tensor (batch, n_features) a layer.
    pooling : {"mean", "cls"}, default="mean"
        Mean over the patch tokens, or the class token. Layer 0 is the embedding output.
    batch_size : int, default=128

    Raises
    ------
    ValueError
        If the model gives no hidden states of shape (n, n_tokens, n_features), or has no
        class token to pool.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    processor = load_processor(checkpoint)
    model = load_model(AutoModel, checkpoint).to(device).eval()
    folder.mkdir(parents=True, exist_ok=True)
    starts = range(0, len(images), batch_size)
    for number, start in enumerate(tqdm(starts, desc=folder.name, unit="batch")):
        batch = list(images[start : start + batch_size])
        pixels = processor(batch, return_tensors="pt")["pixel_values"].to(device)
        with torch.inference_mode():
            states = model(pixel_values=pixels, output_hidden_states=True).hidden_states
        pooled = {
            # safetensors writes the memory as it lies, so a view must become an array first.
            _key(layer): _pool(state, pixels, model.config, pooling)
            .float()
            .cpu()
            .contiguous()
            .numpy()
            for layer, state in enumerate(states)
        }
        save_file(pooled, folder / f"{number:06d}.safetensors")


def n_layers(folder: Path) -> int:
    """Number of layers that `extract` wrote to a folder, the embedding output included."""
    with safe_open(_files(folder)[0], framework="numpy") as batch:
        return len(batch.keys())


def load(folder: Path, layer: int) -> np.ndarray:
    """Representations of all images at one layer, float32 `(n_images, n_features)`.

    Parameters
    ----------
    folder : Path
        Where `extract` wrote them.
    layer : int
        0 is the embedding output.
    """
    parts = []
    for file in _files(folder):
        with safe_open(file, framework="numpy") as batch:
            parts.append(batch.get_tensor(_key(layer)))
    return np.concatenate(parts)


def _pool(state: Tensor, pixels: Tensor, config: Any, pooling: str) -> Tensor:
    if state.ndim != 3 or not hasattr(config, "patch_size"):
        raise ValueError(
            f"model of type {config.model_type!r} gives hidden states of shape "
            f"{tuple(state.shape)}; only transformers over patches, (n, n_tokens, n_features), "
            "can be pooled"
        )
    n_patches = (pixels.shape[-2] // config.patch_size) * (pixels.shape[-1] // config.patch_size)
    n_special = state.shape[1] - n_patches
    if pooling == "mean":
        return state[:, n_special:].mean(dim=1)
    if n_special < 1:
        raise ValueError(
            f"model of type {config.model_type!r} has no class token; use pooling 'mean'"
        )
    return state[:, 0]


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.safetensors"))


def _key(layer: int) -> str:
    return f"layer_{layer:03d}"

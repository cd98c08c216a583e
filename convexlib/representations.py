"""Any Hugging Face vision model to one array a layer, all layers in one forward pass."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from inspect import signature
from pathlib import Path
from typing import Any, Literal

import numpy as np
import psutil
import torch
from safetensors import safe_open
from safetensors.numpy import save_file
from torch import Tensor, nn
from tqdm import tqdm
from transformers import AutoModel

from convexlib.checkpoints import first_line, load_config, load_model, load_processor

Pooling = Literal["mean", "cls"]

_LARGEST_BATCH = 128
_SHARE_OF_MEMORY = 0.5  # of what is free, for a batch
_WORKING_COPIES = 4  # of the hidden states, in what a forward pass holds at most


def extract(
    checkpoint: Path,
    images: Sequence[Any],
    folder: Path,
    *,
    pooling: Pooling = "mean",
    batch_size: int | None = None,
) -> None:
    """Write the representations of images at every layer of a model, batch by batch.

    Layer 0 is the output of the embedding. Sequences of tokens are pooled by their mean, or to
    the class token; the mean leaves out class, distillation and register tokens. Feature maps,
    and the tokens of architectures whose stages merge them (Swin), are pooled by the mean over
    all places. Of a model of images and text the tower for images is used.

    Models of timm give the outputs of their blocks or stages alone, as feature maps, so their
    layer 0 is the first block of a transformer (a convolutional network may give its stem), and
    a transformer of n blocks has n layers, not n + 1. Their class token can be pooled where they
    have one in every block.

    Memory does not grow with the number of images: each batch goes to a file of its own. What
    an interrupted run wrote is kept, and the rest is added. A batch that is too large for the
    memory is halved. A GPU is used where there is one, with mixed precision.

    Parameters
    ----------
    checkpoint : Path
        Folder of a Hugging Face checkpoint with weights, configuration and image processor.
    images : sequence of images
        Whatever the processor takes: uint8 arrays (height, width, 3) or PIL images.
    folder : Path
        Gets one safetensors file a batch, with a tensor (batch, n_features) a layer.
    pooling : {"mean", "cls"}, default="mean"
    batch_size : int, optional
        By default as many images as fit into half of the free memory, up to 128.

    Raises
    ------
    ValueError
        If the model gives no hidden states that can be pooled, or has no class token to pool.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    processor = load_processor(checkpoint)
    model = _for_images(checkpoint).to(device).eval()
    folder.mkdir(parents=True, exist_ok=True)
    done = _n_written(folder)

    def pixels_of(start: int, size: int) -> Tensor:
        batch = list(images[start : start + size])
        return processor(batch, return_tensors="pt")["pixel_values"]

    def represent(pixels: Tensor) -> dict[str, np.ndarray]:
        return _pooled(model, pixels.to(device), pooling)

    if done < len(images):
        fitting = _fitting_batch(model, pixels_of(done, 1).to(device))
        batch_size = batch_size or fitting
    # The next batch is prepared while the model is at work.
    with (
        ThreadPoolExecutor(1) as ahead,
        tqdm(total=len(images), initial=done, desc=folder.name, unit="image") as progress,
    ):
        coming = ahead.submit(pixels_of, done, batch_size) if done < len(images) else None
        while coming:
            pixels = coming.result()
            following = done + len(pixels)
            coming = (
                ahead.submit(pixels_of, following, batch_size) if following < len(images) else None
            )
            for part in _in_parts_that_fit(represent, pixels):
                _write(part, folder / f"{done:09d}.safetensors")
                n_written = len(next(iter(part.values())))
                done += n_written
                progress.update(n_written)


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


def _for_images(checkpoint: Path) -> nn.Module:
    """The model, or of one for images and text its tower for images."""
    config = load_config(checkpoint)
    # Of a masked autoencoder nothing is masked.
    options = {"mask_ratio": 0.0} if hasattr(config, "mask_ratio") else {}
    model = load_model(AutoModel, checkpoint, **options)
    return getattr(model, "vision_model", model)


def _pooled(model: nn.Module, pixels: Tensor, pooling: Pooling) -> dict[str, np.ndarray]:
    """Hidden states of all layers, pooled."""
    precision = (
        torch.autocast("cuda", torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16)
        if pixels.device.type == "cuda"
        else nullcontext()
    )
    with torch.inference_mode(), precision:
        if pooling == "cls" and _keeps_class_token_apart(model):
            options = {"output_hidden_states": True, "return_prefix_tokens": True}
            pairs = model(pixel_values=pixels, **options).hidden_states
            pooled = [special[:, 0] for _, special in pairs]
        else:
            states = model(pixel_values=pixels, output_hidden_states=True).hidden_states
            n_special = _n_special_tokens(model, states, pixels)
            pooled = [_pool(state, n_special, pooling, model) for state in states]
    # safetensors writes the memory as it lies, so a view must become an array first.
    return {
        _key(layer): state.float().cpu().contiguous().numpy() for layer, state in enumerate(pooled)
    }


def _keeps_class_token_apart(model: nn.Module) -> bool:
    """Whether it is a model of timm that gives its class token, but on request only."""
    timm_model = getattr(model, "timm_model", None)
    if getattr(timm_model, "cls_token", None) is None:
        return False
    return "return_prefix_tokens" in signature(timm_model.forward_intermediates).parameters


def _n_special_tokens(model: nn.Module, states: Sequence[Tensor] | None, pixels: Tensor) -> int:
    """How many tokens are no patches; they come first."""
    if not states or any(state.ndim not in (3, 4) or len(state) != len(pixels) for state in states):
        shapes = [tuple(state.shape) for state in states or ()]
        raise ValueError(
            f"model of type {model.config.model_type!r} gives hidden states of shapes {shapes}; "
            "only tokens (n, n_tokens, n_features) and feature maps (n, n_features, height, "
            "width) can be pooled"
        )
    if getattr(model.config, "num_detection_tokens", 0):
        raise ValueError(
            f"model of type {model.config.model_type!r} has tokens for detection among those of "
            "the image; give a model of whole images"
        )
    n_tokens = {state.shape[1] for state in states if state.ndim == 3}
    patch_size = getattr(model.config, "patch_size", None)
    if len(n_tokens) != 1 or patch_size is None or states[0].ndim != 3:
        return 0  # stages that merge their tokens have none
    heights = patch_size if isinstance(patch_size, int) else patch_size[0]
    widths = patch_size if isinstance(patch_size, int) else patch_size[-1]
    n_patches = (pixels.shape[-2] // heights) * (pixels.shape[-1] // widths)
    return max(0, n_tokens.pop() - n_patches)


def _pool(state: Tensor, n_special: int, pooling: Pooling, model: nn.Module) -> Tensor:
    if pooling == "mean" and state.ndim == 4:
        features_last = state.shape[1] != _width(model) == state.shape[3]  # as in SAM
        return state.mean(dim=(1, 2) if features_last else (2, 3))
    if pooling == "mean":
        return state[:, n_special:].mean(dim=1)
    if n_special < 1:
        raise ValueError(
            f"model of type {model.config.model_type!r} has no class token; use pooling 'mean'"
        )
    return state[:, 0]


def _width(model: nn.Module) -> int | None:
    return getattr(model.config, "hidden_size", None)


def _fitting_batch(model: nn.Module, pixels: Tensor) -> int:
    """How many images fit into the free memory, judged by the hidden states of one."""
    try:
        with torch.inference_mode():
            states = model(pixel_values=pixels, output_hidden_states=True).hidden_states or ()
    except (AttributeError, TypeError, ValueError, RuntimeError) as error:
        if _is_out_of_memory(error):
            raise
        raise ValueError(
            f"model of type {model.config.model_type!r} cannot be asked for the hidden states of "
            f"an image ({first_line(error)}); give a model of images"
        ) from error
    needed = _WORKING_COPIES * (pixels.nbytes + sum(state.nbytes for state in states))
    on_gpu = pixels.device.type == "cuda"
    free = torch.cuda.mem_get_info()[0] if on_gpu else psutil.virtual_memory().available
    return int(np.clip(_SHARE_OF_MEMORY * free // needed, 1, _LARGEST_BATCH))


def _in_parts_that_fit(represent: Any, pixels: Tensor) -> Iterator[dict[str, np.ndarray]]:
    """Representations of a batch, in halves where the memory is too small for the whole."""
    size = len(pixels)
    while len(pixels):
        try:
            part = represent(pixels[:size])
        except (MemoryError, RuntimeError) as error:
            if size == 1 or not _is_out_of_memory(error):
                raise
            size = (size + 1) // 2
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            continue
        yield part
        pixels = pixels[size:]


def _is_out_of_memory(error: BaseException) -> bool:
    """PyTorch has a class for it on a GPU, and words on a CPU."""
    words = ("out of memory", "can't allocate memory", "not enough memory")
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(
        word in str(error).lower() for word in words
    )


def _write(part: dict[str, np.ndarray], path: Path) -> None:
    """Whole or not at all, since what is there counts as done."""
    partial = path.with_suffix(".partial")
    save_file(part, partial)
    partial.replace(path)


def _n_written(folder: Path) -> int:
    """How many images an earlier run wrote without a gap; a batch it left unfinished is removed."""
    for unfinished in folder.glob("*.partial"):
        unfinished.unlink()
    n_written = 0
    for file in _files(folder):
        if file.name != f"{n_written:09d}.safetensors":
            file.unlink()
            continue
        with safe_open(file, framework="numpy") as batch:
            n_written += batch.get_slice(_key(0)).get_shape()[0]
    return n_written


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.safetensors"))


def _key(layer: int) -> str:
    return f"layer_{layer:03d}"

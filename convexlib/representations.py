"""Any Hugging Face vision model to one array a layer, all layers in one forward pass."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
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

from convexlib.checkpoints import check, first_line, load_for_images, load_processor

Pooling = Literal["mean", "cls"]
Precision = Literal["single", "mixed"]

_Places = slice | tuple[int, int]
"""Where a hidden state has the places of an image: some tokens of axis 1, or two axes of a map."""

_LARGEST_BATCH = 128
_SHARE_OF_MEMORY = 0.5  # of what is free, for a batch
_WORKING_COPIES = 4  # of the hidden states, in what a forward pass holds at most
_MOST_SPECIAL = 16  # tokens that are no places
_NOISE = np.random.default_rng(0).integers(0, 256, (240, 320, 3), dtype=np.uint8)

# Where PyTorch may compute in less than 32 bits though it was given 32.
_SHORTENED = (
    torch.backends.cuda.matmul,
    torch.backends.cudnn.conv,
    torch.backends.mkldnn.matmul,
    torch.backends.mkldnn.conv,
)


def extract(
    checkpoint: Path,
    images: Sequence[Any],
    folder: Path,
    *,
    pooling: Pooling = "mean",
    precision: Precision = "single",
    batch_size: int | None = None,
) -> None:
    """Write the representations of images at every layer of a model, batch by batch.

    Layer 0 is the output of the embedding. Sequences of tokens are pooled by their mean, or to
    the class token; the mean leaves out class, distillation, register and detection tokens, which
    are told by that at the first layer they are the same for any image. Feature maps, and the
    tokens of architectures whose stages merge them (Swin), are pooled by the mean over all
    places; which axes are places is told by the height and width of the pixels. Of a model of
    images and text the tower for images is used.

    Models of timm give the outputs of their blocks or stages alone, as feature maps, so their
    layer 0 is the first block of a transformer (a convolutional network may give its stem), and
    a transformer of n blocks has n layers, not n + 1. Their class token can be pooled where they
    have one in every block. Where a model gives the pixels as its first hidden state (DINOv3
    ConvNeXt), that is left out, and layer 0 is the first stage.

    Memory does not grow with the number of images: each batch goes to a file of its own. What
    an interrupted run wrote is kept, and the rest is added. A batch that is too large for the
    memory is halved. Images that the processor leaves in several shapes go through in groups of
    one shape. A GPU is used where there is one.

    Parameters
    ----------
    checkpoint : Path
        Folder of a Hugging Face checkpoint with weights, configuration and image processor.
    images : sequence of images
        Whatever the processor takes: uint8 arrays (height, width, 3) or PIL images.
    folder : Path
        Gets one safetensors file a batch, with a tensor (batch, n_features) a layer.
    pooling : {"mean", "cls"}, default="mean"
    precision : {"single", "mixed"}, default="single"
        Of the computation; weights are loaded in 32 bits always. "single" is 32 bits throughout
        (no TF32), "mixed" is 16 bits where PyTorch's autocast has it so: bfloat16, or float16 on
        a GPU without it.
    batch_size : int, optional
        By default as many images as fit into half of the free memory, up to 128.

    Raises
    ------
    ValueError
        If the checkpoint is refused by `checkpoints.check`, the processor's pixels do not fit the
        model, or it gives no hidden states that can be pooled, or has no class token to pool.
    """
    folder.mkdir(parents=True, exist_ok=True)
    done = _n_written(folder, precision)
    if done == len(images):
        return
    check(checkpoint)
    device, processor, model = _opened(checkpoint)
    made = {"device": _in_words(device), "precision": precision}

    def pixels_of(start: int, size: int) -> list[Tensor]:
        return [_pixels(processor, image, model) for image in images[start : start + size]]

    (first,) = pixels_of(done, 1)
    places, fitting = _looked_at(model, processor, first.to(device))
    batch_size = batch_size or fitting

    def represent(pixels: list[Tensor]) -> dict[str, np.ndarray]:
        return _by_shape(model, processor, pixels, device, places, pooling, precision)

    # The next batch is prepared while the model is at work.
    with (
        ThreadPoolExecutor(1) as ahead,
        tqdm(total=len(images), initial=done, desc=folder.name, unit="image") as progress,
    ):
        coming = ahead.submit(pixels_of, done, batch_size)
        while coming:
            pixels = coming.result()
            following = done + len(pixels)
            coming = (
                ahead.submit(pixels_of, following, batch_size) if following < len(images) else None
            )
            for part in _in_parts_that_fit(represent, pixels):
                _write(part, folder / f"{done:09d}.safetensors", made)
                n_written = len(next(iter(part.values())))
                done += n_written
                progress.update(n_written)


def try_one(checkpoint: Path, image: Any = None, *, pooling: Pooling = "mean") -> None:
    """Put one image through a model as `extract` does, to see what is wrong before the long work.

    Parameters
    ----------
    checkpoint : Path
    image : an image, optional
        By default one of noise that is not square, so that a model of one size whose processor
        does not bring all images to that size is refused.
    pooling : {"mean", "cls"}, default="mean"

    Raises
    ------
    ValueError
        In one line: as `extract` does, or if a layer holds values that are not finite.
    """
    device, processor, model = _opened(checkpoint)
    pixels = _pixels(processor, _NOISE if image is None else image, model)
    places, _ = _looked_at(model, processor, pixels.to(device))
    layers = _by_shape(model, processor, [pixels], device, places, pooling, "single")
    for number, layer in enumerate(layers.values()):
        if not np.isfinite(layer).all():
            raise ValueError(
                f"{_named(model)} gives values at layer {number} that are not finite (NaN or "
                "infinite); its weights are damaged or were saved in too few bits: give it as it "
                "was trained"
            )


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


def provenance(folder: Path) -> set[tuple[str, str]]:
    """Devices and precisions with which `extract` wrote a folder, for example ("cpu", "single").

    There is one of them, unless a run went on elsewhere after it was interrupted.
    """
    made = map(_made, _files(folder))
    return {(each["device"], each["precision"]) for each in made}


def _opened(checkpoint: Path) -> tuple[torch.device, Any, nn.Module]:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return device, load_processor(checkpoint), load_for_images(checkpoint).to(device).eval()


def _in_words(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def _named(model: nn.Module) -> str:
    return f"model {model.name_or_path!r} of type {model.config.model_type!r}"


def _pixels(processor: Any, image: Any, model: nn.Module) -> Tensor:
    """What the processor makes of an image, (n_channels, height, width).

    One image at a time: some processors pad those of a batch to the largest.
    """
    subject = f"{_named(model)} has an image processor, {type(processor).__name__}, that"
    try:
        pixels = torch.as_tensor(processor([image], return_tensors="pt")["pixel_values"])
    except Exception as error:
        raise ValueError(
            f"{subject} fails on an image ({first_line(error)}); "
            + (_remedy_of_channels(model, 3) or "save the one that belongs to the model with it")
        ) from error
    if pixels.ndim != 4 or len(pixels) != 1:
        raise ValueError(
            f"{subject} makes pixels of shape {tuple(pixels.shape)} of an image, and not (1, "
            "n_channels, height, width); models of videos, tiles or patches cannot be used"
        )
    return pixels[0].float()


def _by_shape(
    model: nn.Module,
    processor: Any,
    pixels: list[Tensor],
    device: torch.device,
    places: list[_Places | None],
    pooling: Pooling,
    precision: Precision,
) -> dict[str, np.ndarray]:
    """Pooled hidden states of all layers, of images that may differ in shape."""
    shapes = list(dict.fromkeys(each.shape for each in pixels))
    rows = [[n for n, each in enumerate(pixels) if each.shape == shape] for shape in shapes]
    groups = []
    for of_shape in rows:
        group = torch.stack([pixels[row] for row in of_shape]).to(device)
        try:
            groups.append(_pooled(model, group, places, pooling, precision))
        except Exception as error:
            if len(shapes) == 1 or _is_out_of_memory(error):
                raise
            raise _unfit(model, processor, group, error) from error
    order = np.argsort(np.concatenate(rows))
    return {key: np.concatenate([group[key] for group in groups])[order] for key in groups[0]}


def _pooled(
    model: nn.Module,
    pixels: Tensor,
    places: list[_Places | None],
    pooling: Pooling,
    precision: Precision,
) -> dict[str, np.ndarray]:
    """Hidden states of all layers, pooled."""
    on_gpu = pixels.device.type == "cuda"
    half = torch.float16 if on_gpu and not torch.cuda.is_bf16_supported() else torch.bfloat16
    mixed = torch.autocast(pixels.device.type, half, enabled=precision == "mixed")
    with torch.inference_mode(), _in_32_bits(), mixed:
        if pooling == "cls" and _keeps_class_token_apart(model):
            options = {"output_hidden_states": True, "return_prefix_tokens": True}
            pairs = model(pixel_values=pixels, **options).hidden_states
            pooled = [special[:, 0] for _, special in pairs]
        else:
            states = model(pixel_values=pixels, output_hidden_states=True).hidden_states
            pooled = [
                _pool(state, where, pooling, model)
                for state, where in zip(states, places, strict=True)
                if where is not None
            ]
    # safetensors writes the memory as it lies, so a view must become an array first.
    return {
        _key(layer): state.float().cpu().contiguous().numpy() for layer, state in enumerate(pooled)
    }


@contextmanager
def _in_32_bits() -> Iterator[None]:
    before = [backend.fp32_precision for backend in _SHORTENED]
    try:
        for backend in _SHORTENED:
            backend.fp32_precision = "ieee"
        yield
    finally:
        for backend, precision in zip(_SHORTENED, before, strict=True):
            backend.fp32_precision = precision


def _keeps_class_token_apart(model: nn.Module) -> bool:
    """Whether it is a model of timm that gives its class token, but on request only."""
    timm_model = getattr(model, "timm_model", None)
    if getattr(timm_model, "cls_token", None) is None:
        return False
    return "return_prefix_tokens" in signature(timm_model.forward_intermediates).parameters


def _pool(state: Tensor, places: _Places, pooling: Pooling, model: nn.Module) -> Tensor:
    if pooling == "mean":
        state = state.float()  # a mean of 16 bits is a coarse one
        return state[:, places].mean(dim=1) if isinstance(places, slice) else state.mean(dim=places)
    if not isinstance(places, slice) or not places.start:
        raise ValueError(f"{_named(model)} has no class token; use pooling 'mean'")
    return state[:, 0]


def _looked_at(
    model: nn.Module, processor: Any, pixels: Tensor
) -> tuple[list[_Places | None], int]:
    """Where each hidden state has its places, and how many images fit into the free memory."""
    noise = torch.randn(pixels.shape, generator=torch.Generator().manual_seed(0))
    two = torch.stack([pixels, noise.to(pixels.device)])
    try:
        with torch.inference_mode(), _in_32_bits():
            outputs = model(pixel_values=two, output_hidden_states=True)
            states = getattr(outputs, "hidden_states", None)
    except Exception as error:
        if _is_out_of_memory(error):
            raise
        raise _unfit(model, processor, two, error) from error
    try:
        places = _places(states, two, getattr(model.config, "patch_size", None))
    except ValueError as error:
        raise ValueError(f"{_named(model)} {error}") from error
    needed = _WORKING_COPIES * sum(each.nbytes for each in (two, *states)) / len(two)
    on_gpu = pixels.device.type == "cuda"
    free = torch.cuda.mem_get_info()[0] if on_gpu else psutil.virtual_memory().available
    return places, int(np.clip(_SHARE_OF_MEMORY * free // needed, 1, _LARGEST_BATCH))


def _places(states: Any, pixels: Tensor, patch_size: Any) -> list[_Places | None]:
    """Where each hidden state of two images has its places; None for the pixels themselves."""
    if not states:
        raise ValueError("gives no hidden states; give its encoder alone")
    if not all(_is_state(state, pixels) for state in states):
        shapes = [tuple(getattr(state, "shape", ())) for state in states]
        raise ValueError(
            f"gives hidden states of shapes {shapes}; only tokens (n, n_tokens, n_features) and "
            "feature maps (n, n_features, height, width) can be pooled"
        )
    kept = [state for state in states if not _are_pixels(state, pixels)]
    kinds = {state.ndim for state in kept}
    if len(kinds) != 1:
        raise ValueError("gives feature maps and tokens by turns; give its encoder alone")
    size = (pixels.shape[-2], pixels.shape[-1])
    of_kept = iter(
        [_axes_of_places(kept, size)] * len(kept)
        if kinds == {4}
        else _tokens_of_places(kept, size, patch_size)
    )
    return [None if _are_pixels(state, pixels) else next(of_kept) for state in states]


def _is_state(state: Any, pixels: Tensor) -> bool:
    return isinstance(state, Tensor) and state.ndim in (3, 4) and len(state) == len(pixels)


def _are_pixels(state: Tensor, pixels: Tensor) -> bool:
    return state.shape == pixels.shape and torch.equal(state, pixels)


def _axes_of_places(maps: list[Tensor], size: tuple[int, int]) -> tuple[int, int]:
    """The two axes of feature maps that have the ratio of the height and width of the pixels."""
    for is_grid in (_has_ratio, _has_ratio_nearly):
        possible = [
            axes
            for axes in ((2, 3), (1, 2))
            if all(is_grid((each.shape[axes[0]], each.shape[axes[1]]), size) for each in maps)
        ]
        if len(possible) == 1:
            return possible[0]
    raise ValueError(
        f"gives feature maps of shapes {[tuple(each.shape) for each in maps]} for pixels of "
        f"{size[0]} x {size[1]}, where places cannot be told from features; let its image "
        "processor give pixels of another size"
    )


def _has_ratio(grid: tuple[int, int], size: tuple[int, int]) -> bool:
    return grid[0] <= size[0] and grid[0] * size[1] == grid[1] * size[0]


def _has_ratio_nearly(grid: tuple[int, int], size: tuple[int, int]) -> bool:
    """Whether one stride, rounded either way, makes the grid of the pixels."""
    lowest = max(pixels / (n + 1) for n, pixels in zip(grid, size, strict=True))
    highest = min(pixels / max(n - 1, 1e-9) for n, pixels in zip(grid, size, strict=True))
    return max(1, lowest) < highest


def _tokens_of_places(
    sequences: list[Tensor], size: tuple[int, int], patch_size: Any
) -> list[slice]:
    """Which tokens are places of the image; class tokens and their like stand before or behind."""
    front, back = _n_fixed(sequences[0])
    n_tokens = sequences[0].shape[1]
    stride, n_more = _stride(n_tokens - front - back, size, patch_size, may_be_special=not front)
    places = {n_tokens: slice(front + n_more, -back if back else None)}
    for n in {each.shape[1] for each in sequences} - {n_tokens}:
        places[n] = slice(_n_special_of_merged(n, size, stride), None)
    return [places[each.shape[1]] for each in sequences]


def _n_fixed(tokens: Tensor) -> tuple[int, int]:
    """How many tokens, in front and behind, are the same for both images: they are no places."""
    fixed = (tokens[0] == tokens[1]).all(dim=-1).tolist()
    if all(fixed):
        raise ValueError("gives tokens at its first layer that are the same for any image")
    front, back = fixed.index(False), fixed[::-1].index(False)
    if sum(fixed) != front + back:
        raise ValueError("gives tokens that are no places of the image between those that are")
    return front, back


def _stride(
    n_tokens: int, size: tuple[int, int], patch_size: Any, *, may_be_special: bool
) -> tuple[tuple[int, int], int]:
    """Pixels from place to place, and how many tokens in front are no places all the same.

    Those are there where the first hidden state is no embedding, so that they know of the image.
    """
    known = [tuple(np.broadcast_to(patch_size, 2).tolist())] if patch_size else []
    whole = [(n, n) for n in range(1, min(size) + 1) if size[0] % n == size[1] % n == 0]
    halved = [(2**n, 2**n) for n in range(min(size).bit_length())]
    for strides, most in ((known, _MOST_SPECIAL), (whole, 1), (halved, 1)):
        possible = [
            (n_more, stride)
            for stride in strides
            for n_more in _n_besides(n_tokens, size, stride)
            if n_more <= (most if may_be_special else 0)
        ]
        if possible:
            n_more, stride = min(possible)
            return stride, n_more
    raise ValueError(
        f"gives {n_tokens} tokens for pixels of {size[0]} x {size[1]}, which make no grid of "
        "places; models of queries, groups or latents cannot be pooled"
    )


def _n_besides(n_tokens: int, size: tuple[int, int], stride: tuple[int, int]) -> list[int]:
    """How many tokens are left beside a grid of places, if its edge is cut off or filled up."""
    cut = (size[0] // stride[0]) * (size[1] // stride[1])
    filled = -(-size[0] // stride[0]) * -(-size[1] // stride[1])
    return [n_tokens - n_places for n_places in {cut, filled} if 0 < n_places <= n_tokens]


def _n_special_of_merged(n_tokens: int, size: tuple[int, int], stride: tuple[int, int]) -> int:
    """How many tokens in front are no places, of a stage where places are merged by twos."""
    merged = [(stride[0] * 2**n, stride[1] * 2**n) for n in range(min(size).bit_length())]
    n_besides = [n for each in merged for n in _n_besides(n_tokens, size, each)]
    if min(n_besides, default=2) > 1:
        raise ValueError(
            f"gives {n_tokens} tokens at a later layer for pixels of {size[0]} x {size[1]}, which "
            "make no grid of places; models of queries, groups or latents cannot be pooled"
        )
    return min(n_besides)


def _unfit(model: nn.Module, processor: Any, pixels: Tensor, error: Exception) -> ValueError:
    """The error, and what to do about it, of a model that does not take the pixels."""
    remedy = (
        _remedy_of_channels(model, pixels.shape[-3])
        or _remedy_of_inputs(model)
        or _remedy_of_size(model, processor, pixels)
        or "give a model of images"
    )
    return ValueError(
        f"{_named(model)} cannot be asked for the hidden states of an image "
        f"({first_line(error)}); {remedy}"
    )


def _remedy_of_channels(model: nn.Module, n_given: int) -> str | None:
    n_channels = getattr(model.config, "num_channels", n_given)
    if n_channels == n_given:
        return None
    wanted = "a single channel (grey)" if n_channels == 1 else f"{n_channels} channels"
    return f"it takes images of {wanted}, and these have {n_given}; give a model of colour images"


def _remedy_of_inputs(model: nn.Module) -> str | None:
    if hasattr(model.config, "num_frames"):
        return "it is a model of videos; give a model of images"
    wanted = signature(model.forward).parameters
    more = [name for name, each in wanted.items() if each.default is each.empty and each.kind < 2]
    if "pixel_values" not in wanted:
        return f"it takes {', '.join(more or wanted)} and no pixel_values; give a model of images"
    more = [name for name in more if name != "pixel_values"]
    return f"it needs {' and '.join(more)} besides; give a model of images alone" if more else None


def _remedy_of_size(model: nn.Module, processor: Any, pixels: Tensor) -> str | None:
    taken = getattr(model.config, "image_size", None)
    if not isinstance(taken, int | list | tuple):
        return None
    taken, given = np.broadcast_to(taken, 2).tolist(), list(pixels.shape[-2:])
    if taken == given:
        return None
    return (
        f"it takes {taken[0]} x {taken[1]} pixels, and its image processor "
        f"{type(processor).__name__} makes {given[0]} x {given[1]} of this image: correct size and "
        "crop_size in preprocessor_config.json, or image_size in config.json, or crop the images"
    )


def _in_parts_that_fit(represent: Any, pixels: list[Tensor]) -> Iterator[dict[str, np.ndarray]]:
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


def _write(part: dict[str, np.ndarray], path: Path, made: dict[str, str]) -> None:
    """Whole or not at all, since what is there counts as done."""
    partial = path.with_suffix(".partial")
    save_file(part, partial, metadata=made)
    partial.replace(path)


def _made(file: Path) -> dict[str, str]:
    with safe_open(file, framework="numpy") as batch:
        return batch.metadata() or {}


def _n_written(folder: Path, precision: Precision) -> int:
    """How many images an earlier run wrote in this precision without a gap.

    A batch that it left unfinished is removed, and so is what does not belong.
    """
    for unfinished in folder.glob("*.partial"):
        unfinished.unlink()
    n_written = 0
    for file in _files(folder):
        other = _made(file).get("precision") != precision
        if other or file.name != f"{n_written:09d}.safetensors":
            file.unlink()
            continue
        with safe_open(file, framework="numpy") as batch:
            n_written += batch.get_slice(_key(0)).get_shape()[0]
    return n_written


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.safetensors"))


def _key(layer: int) -> str:
    return f"layer_{layer:03d}"

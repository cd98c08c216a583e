"""Any Hugging Face vision model to one array a layer, all layers in one forward pass."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from inspect import signature
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import psutil
import torch
from safetensors import safe_open
from safetensors.numpy import save_file
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from convexlib.devices import best, in_32_bits, mixed
from convexlib.models.checkpoints import load_for_images, load_processor, locate
from convexlib.models.pooling import Places, places, pool
from convexlib.models.weights import first_line
from convexlib.settings import Pooling, Precision

T = TypeVar("T")

_LARGEST_BATCH = 128
_SHARE_OF_MEMORY = 0.5  # of what is free, for a batch
_WORKING_COPIES = 4  # of the hidden states, in what a forward pass holds at most
_PREPARED_AHEAD = 16  # images, by each process
_NOISE = np.random.default_rng(0).integers(0, 256, (240, 320, 3), dtype=np.uint8)


def extract(
    checkpoint: str | Path,
    images: Sequence[Any],
    folder: Path | None = None,
    *,
    pooling: Pooling = "mean",
    precision: Precision = "single",
    batch_size: int | None = None,
) -> list[np.ndarray] | None:
    """Representations of images at every layer of a model, as arrays or written to a folder.

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

    In a folder, memory does not grow with the number of images: each batch goes to a file of its
    own. What an interrupted run wrote is kept, and the rest is added. A batch that is too large
    for the memory is halved. Images that the processor leaves in several shapes go through in
    groups of one shape. A GPU is used where there is one.

    Parameters
    ----------
    checkpoint : str or Path
        Folder of a Hugging Face checkpoint with weights, configuration and image processor, or a
        name on the hub; see `checkpoints.locate`.
    images : sequence of images
        Whatever the processor takes: uint8 arrays (height, width, 3) or PIL images.
    folder : Path, optional
        Gets one safetensors file a batch, with a tensor (batch, n_features) a layer, to be read
        by `load`.
    pooling : {"mean", "cls", "tokens"}, default="mean"
        Over places; to the class token; or all places side by side, which keeps where in the image
        something is, for images of one size.
    precision : {"single", "mixed"}, default="single"
        Of the computation; weights are loaded in 32 bits always. "single" is 32 bits throughout
        (no TF32), "mixed" is 16 bits where PyTorch's autocast has it so: bfloat16, or float16 on
        a GPU without it.
    batch_size : int, optional
        By default as many images as fit into half of the free memory, up to 128.

    Returns
    -------
    list of ndarray, or None
        Without a folder, float32 (n_images, n_features) for each layer.

    Raises
    ------
    ValueError
        If the checkpoint is refused by `checkpoints.locate`, the processor's pixels do not fit
        the model, or it gives no hidden states that can be pooled, or has no class token to pool.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> import numpy as np
    >>> from transformers import ViTConfig, ViTImageProcessorPil, ViTModel
    >>> import convexlib as cv
    >>> config = ViTConfig(
    ...     image_size=32, patch_size=8, hidden_size=16, num_hidden_layers=2, num_attention_heads=2
    ... )
    >>> images = np.random.default_rng(0).integers(0, 256, (5, 40, 40, 3), dtype=np.uint8)
    >>> with TemporaryDirectory() as folder:
    ...     ViTModel(config).save_pretrained(folder)
    ...     _ = ViTImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(folder)
    ...     layers = cv.extract(folder, images)
    >>> [X.shape for X in layers]
    [(5, 16), (5, 16), (5, 16)]
    """
    if not len(images):
        raise ValueError("there are no images to represent")
    found = locate(str(checkpoint))
    if folder is None:
        model = _Model(found, pooling, precision)
        return _joined(model.batches(images, 0, batch_size, Path(checkpoint).name))
    write(found, images, folder, pooling=pooling, precision=precision, batch_size=batch_size)
    return None


def write(
    checkpoint: Path,
    images: Sequence[Any],
    folder: Path,
    *,
    pooling: Pooling,
    precision: Precision,
    batch_size: int | None = None,
    only: int | None = None,
    untrained: bool = False,
) -> None:
    """What `extract` does with a folder, of a checkpoint that `checkpoints.locate` gave.

    Where `only` one layer is asked for, by its number, it is layer 0 of what is written. Of an
    `untrained` model the weights are not those of the checkpoint, but random.
    """
    folder.mkdir(parents=True, exist_ok=True)
    done = _n_written(folder, precision)
    if done < len(images):
        model = _Model(checkpoint, pooling, precision, untrained=untrained)
        device = torch.cuda.get_device_name() if model.on_gpu else "cpu"
        made = {"device": device, "precision": precision}
        for layers in model.batches(images, done, batch_size, folder.name):
            kept = layers if only is None else [layers[only]]
            _write(kept, folder / f"{done:09d}.safetensors", made)
            done += len(layers[0])


def keep(layers: list[np.ndarray], folder: Path) -> None:
    """Write representations that are there already, to be read by `load`."""
    folder.mkdir(parents=True, exist_ok=True)
    _write(layers, folder / f"{0:09d}.safetensors", {"device": "none", "precision": "single"})


def try_one(checkpoint: str | Path, image: Any = None, *, pooling: Pooling = "mean") -> None:
    """Put one image through a model as `extract` does, to see what is wrong before the long work.

    Parameters
    ----------
    checkpoint : str or Path
    image : an image, optional
        By default one of noise that is not square, so that a model of one size whose processor
        does not bring all images to that size is refused.
    pooling : {"mean", "cls", "tokens"}, default="mean"

    Raises
    ------
    ValueError
        In one line: as `extract` does, or if a layer holds values that are not finite.
    """
    model = _Model(locate(str(checkpoint)), pooling, "single")
    pixels = model.pixels(_NOISE if image is None else image)
    model.look_at(pixels)
    for number, layer in enumerate(model.layers([_Group([0], pixels[None])])):
        if not np.isfinite(layer).all():
            raise ValueError(
                f"{model.name} gives values at layer {number} that are not finite (NaN or "
                "infinite); its weights are damaged or were saved in too few bits: give it as it "
                "was trained"
            )


def n_layers(folder: Path) -> int:
    """Number of layers that `extract` wrote to a folder, the embedding output included."""
    return next(len(batch.keys()) for batch, _ in _opened(folder))


def load(folder: Path, layer: int) -> np.ndarray:
    """Representations of all images at one layer, float32 `(n_images, n_features)`.

    Parameters
    ----------
    folder : Path
        Where `extract` wrote them.
    layer : int
        0 is the embedding output.
    """
    return np.concatenate([batch.get_tensor(_key(layer)) for batch, _ in _opened(folder)])


def provenance(folder: Path) -> set[tuple[str, str]]:
    """Devices and precisions with which `extract` wrote a folder, for example ("cpu", "single").

    There is one of them, unless a run went on elsewhere after it was interrupted.
    """
    made = [batch.metadata() for batch, _ in _opened(folder)]
    return {(each["device"], each["precision"]) for each in made}


class _Group(NamedTuple):
    """Images of a batch that have one shape: their places in it, and their pixels."""

    rows: list[int]
    pixels: Tensor


class _Prepared(Dataset):
    """Pixels of images as a processor makes them, or why it could not.

    What is raised in a worker would reach the user wrapped in tracebacks.
    """

    def __init__(self, pixels: Callable[[Any], Tensor], images: Sequence[Any]) -> None:
        self.pixels, self.images = pixels, images

    def __getitem__(self, row: int) -> Tensor | Exception:
        try:
            return self.pixels(self.images[row])
        except Exception as error:
            return error


class _Model:
    """A checkpoint that is ready to be asked for its pooled hidden states."""

    def __init__(
        self, folder: Path, pooling: Pooling, precision: Precision, *, untrained: bool = False
    ) -> None:
        self.device = best()
        self.on_gpu = self.device.type == "cuda"
        self.n_workers = _n_workers(self.device)
        self.processor = load_processor(folder)
        self.model = load_for_images(folder, untrained=untrained).to(self.device).eval()
        self.pooling, self.precision = pooling, precision
        self.name = f"model {str(folder)!r} of type {self.model.config.model_type!r}"
        self.class_token_apart = pooling == "cls" and _keeps_class_token_apart(self.model)
        self.places: list[Places | None] = []
        self.shape: torch.Size | None = None  # of the first pixels

    def pixels(self, image: Any) -> Tensor:
        """What the processor makes of an image, (n_channels, height, width).

        One image at a time: some processors pad those of a batch to the largest.
        """
        try:
            pixels = torch.as_tensor(self.processor([image], return_tensors="pt")["pixel_values"])
            if pixels.ndim != 4 or len(pixels) != 1:
                shape = tuple(pixels.shape)
                raise ValueError(f"pixels of shape {shape} and not (1, n_channels, height, width)")
        except Exception as error:
            remedy = self._remedy((3,)) or (
                "save the one that belongs to the model with it; models of videos, tiles or "
                "patches cannot be used"
            )
            raise ValueError(
                f"{self.name} has an image processor, {type(self.processor).__name__}, that fails "
                f"on an image ({first_line(error)}); {remedy}"
            ) from error
        return pixels[0].float()

    def look_at(self, pixels: Tensor) -> int:
        """Find where hidden states have their places; how many images fit into free memory."""
        self.shape = pixels.shape
        noise = torch.randn(pixels.shape, generator=torch.Generator().manual_seed(0))
        two = torch.stack([pixels, noise]).to(self.device)
        states = self._states(two, "single")
        patch_size = getattr(self.model.config, "patch_size", None)
        needs_class_token = self.pooling == "cls" and not self.class_token_apart
        try:
            self.places = places(states, two, patch_size, class_token=needs_class_token)
        except ValueError as error:
            raise ValueError(f"{self.name} {error}") from error
        needed = _WORKING_COPIES * sum(each.nbytes for each in (two, *states)) / len(two)
        free = torch.cuda.mem_get_info()[0] if self.on_gpu else psutil.virtual_memory().available
        return int(np.clip(_SHARE_OF_MEMORY * free // needed, 1, _LARGEST_BATCH))

    def batches(
        self, images: Sequence[Any], done: int, batch_size: int | None, name: str
    ) -> Iterator[list[np.ndarray]]:
        """Representations of the images that are not done, batch by batch.

        While the model is at work the next batch is prepared, and the last one written.
        """
        fitting = self.look_at(self.pixels(images[done]))
        prepared = self._prepared(images, range(done, len(images)), batch_size or fitting)
        with tqdm(total=len(images), initial=done, desc=name, unit="image") as progress:
            for layers in _ahead(map(self.layers, _ahead(prepared))):
                progress.update(len(layers[0]))
                yield layers

    def _prepared(
        self, images: Sequence[Any], rows: Sequence[int], size: int
    ) -> Iterator[list[_Group]]:
        pixels = iter(
            DataLoader(
                _Prepared(self.pixels, images),
                sampler=rows,
                batch_size=None,
                num_workers=min(self.n_workers, len(rows)),
                prefetch_factor=_PREPARED_AHEAD if self.n_workers else None,
            )
        )
        while batch := [_unless_failed(each) for each in islice(pixels, size)]:
            yield self._by_shape(batch)

    def _by_shape(self, pixels: Sequence[Tensor]) -> list[_Group]:
        """Images of one shape as one tensor."""
        shapes = dict.fromkeys(each.shape for each in pixels)
        if self.pooling == "tokens" and {*shapes} != {self.shape}:
            sizes = sorted({tuple(shape[1:]) for shape in (*shapes, self.shape)})
            raise ValueError(
                f"{self.name} is given images of {len(sizes)} sizes, such as {sizes[0]} and "
                f"{sizes[-1]} pixels, whose places do not match; choose pooling 'mean'"
            )
        rows = [[n for n, each in enumerate(pixels) if each.shape == shape] for shape in shapes]
        groups = [_Group(some, torch.stack([pixels[row] for row in some])) for some in rows]
        if self.on_gpu:
            groups = [_Group(some, stacked.pin_memory()) for some, stacked in groups]
        return groups

    def layers(self, groups: Sequence[_Group]) -> list[np.ndarray]:
        """Pooled hidden states of all layers, (n_images, n_features) each."""
        order = np.argsort(np.concatenate([group.rows for group in groups]))
        found = _joined([self._halved(group.pixels) for group in groups])
        return [layer[order] for layer in found]

    def _halved(self, pixels: Tensor) -> list[np.ndarray]:
        """In halves where the memory is too small for the whole."""
        try:
            return self._pooled(pixels)
        except (MemoryError, RuntimeError) as error:
            if len(pixels) == 1 or not _is_out_of_memory(error):
                raise
        torch.cuda.empty_cache()
        half = (len(pixels) + 1) // 2
        return _joined([self._halved(pixels[:half]), self._halved(pixels[half:])])

    def _pooled(self, pixels: Tensor) -> list[np.ndarray]:
        options = {"return_prefix_tokens": True} if self.class_token_apart else {}
        states = self._states(pixels.to(self.device, non_blocking=True), self.precision, **options)
        if self.class_token_apart:
            pooled = [special[:, 0] for _, special in states]
        else:
            found = zip(states, self.places, strict=True)
            pooled = [pool(state, where, self.pooling) for state, where in found if where]
        # safetensors writes the memory as it lies, so a view must become an array first.
        return [state.float().cpu().contiguous().numpy() for state in pooled]

    def _states(self, pixels: Tensor, precision: Precision, **options: bool) -> Any:
        in_16_bits = mixed(self.device, enabled=precision == "mixed")
        try:
            with torch.no_grad(), in_32_bits(), in_16_bits:
                outputs = self.model(pixel_values=pixels, output_hidden_states=True, **options)
        except Exception as error:
            if _is_out_of_memory(error):
                raise
            raise ValueError(
                f"{self.name} cannot be asked for the hidden states of an image "
                f"({first_line(error)}); "
                + (self._remedy(pixels.shape[1:]) or "give a model of images that is whole")
            ) from error
        return getattr(outputs, "hidden_states", None)

    def _remedy(self, given: Sequence[int]) -> str | None:
        """What to do about pixels of this shape, (n_channels, height, width), that do not fit."""
        config, wanted = self.model.config, signature(self.model.forward).parameters
        needed = [n for n, each in wanted.items() if each.default is each.empty and each.kind < 2]
        n_channels = getattr(config, "num_channels", given[0])
        size = getattr(config, "image_size", None)
        taken = np.broadcast_to(size, 2) if isinstance(size, int | list | tuple) else given[1:]
        if n_channels != given[0]:
            kind = "a single channel (grey)" if n_channels == 1 else f"{n_channels} channels"
            return (
                f"it takes images of {kind}, and these have {given[0]}; give one of colour images"
            )
        if hasattr(config, "num_frames"):
            return "it is a model of videos; give a model of images"
        if needed != ["pixel_values"] and (needed or "pixel_values" not in wanted):
            inputs = ", ".join(needed or wanted)
            return f"it takes {inputs}; give a model of images, which takes pixel_values alone"
        if len(given) == 3 and tuple(taken) != tuple(given[1:]):
            return (
                f"it takes {taken[0]} x {taken[1]} pixels, and its image processor "
                f"{type(self.processor).__name__} makes {given[1]} x {given[2]} of this image: "
                "correct size and crop_size in preprocessor_config.json, or image_size in "
                "config.json, or crop the images"
            )
        return None


def _keeps_class_token_apart(model: nn.Module) -> bool:
    """Whether it is a model of timm that gives its class token, but on request only."""
    timm_model = getattr(model, "timm_model", None)
    return (
        getattr(timm_model, "cls_token", None) is not None
        and "return_prefix_tokens" in signature(timm_model.forward_intermediates).parameters
    )


def _n_workers(device: torch.device) -> int:
    """Processes that prepare images; a CPU has the model to run, too."""
    return len(os.sched_getaffinity(0)) if device.type == "cuda" else 0


def _ahead(items: Iterator[T]) -> Iterator[T]:
    """The same items, each made in a thread while the one before is in use."""
    with ThreadPoolExecutor(1) as worker:
        coming = worker.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = worker.submit(next, items, None)
            yield item


def _unless_failed(pixels: Tensor | Exception) -> Tensor:
    if isinstance(pixels, Exception):
        raise pixels
    return pixels


def _joined(parts: Iterable[list[np.ndarray]]) -> list[np.ndarray]:
    """Layers of all images, of the layers of some and of others."""
    return [np.concatenate(layer) for layer in zip(*parts, strict=True)]


def _is_out_of_memory(error: BaseException) -> bool:
    """PyTorch has a class for it on a GPU, and words on a CPU."""
    said, words = str(error).lower(), ("out of memory", "allocate memory", "not enough memory")
    known = isinstance(error, MemoryError | torch.OutOfMemoryError)
    return known or any(word in said for word in words)


def _write(layers: list[np.ndarray], path: Path, made: dict[str, str]) -> None:
    """Whole or not at all, since what is there counts as done."""
    partial = path.with_suffix(".partial")
    save_file({_key(n): layer for n, layer in enumerate(layers)}, partial, metadata=made)
    partial.replace(path)


def _n_written(folder: Path, precision: Precision) -> int:
    """How many images an earlier run wrote in this precision without a gap.

    A batch that it left unfinished is removed, and so is what does not belong.
    """
    for unfinished in folder.glob("*.partial"):
        unfinished.unlink()
    n_written = 0
    for batch, file in _opened(folder):
        made, (n_rows, _) = batch.metadata() or {}, batch.get_slice(_key(0)).get_shape()
        if made.get("precision") == precision and file.name == f"{n_written:09d}.safetensors":
            n_written += n_rows
        else:
            file.unlink()
    return n_written


def _opened(folder: Path) -> Iterator[tuple[Any, Path]]:
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, framework="numpy") as batch:
            yield batch, file


def _key(layer: int) -> str:
    return f"layer_{layer:03d}"

"""Extraction of all layers in one pass: against bare forward passes, and against thingsvision."""

import json
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from transformers import ViTConfig, ViTImageProcessorPil, ViTModel

from benchmarks.measure import Row, seconds
from convexlib.models import representations

N_IMAGES = 256
BATCH = 32
N_LAYERS = 13
N_TIMED_LAYERS = 3  # from which thingsvision is extrapolated where it is not installed
SIDE = Path(__file__).with_name("thingsvision_side.py")
PYTHON = Path(__file__).parents[1] / ".venv-thingsvision" / "bin" / "python"  # make thingsvision


def rows() -> Iterator[Row]:
    images = np.random.default_rng(0).integers(0, 256, (N_IMAGES, 224, 224, 3), dtype=np.uint8)
    size = f"{N_IMAGES} images, all {N_LAYERS} layers of ViT-B/16"
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
        yield Row(size, ours, "bare forward passes over ready batches", bare)
        if PYTHON.exists():
            other = thingsvision(folder, images)
            name = f"thingsvision {other['thingsvision']} on PyTorch {other['torch']}"
            yield Row(size, ours, f"{name}, one module after another", other["one_by_one"])
            yield Row(size, ours, f"{name}, all modules in one pass", other["together"])
        else:
            layerwise = seconds(lambda: one_by_one(model, images, processor))
            scheme = (
                "the scheme of thingsvision, which is not installed: one pass a layer, "
                f"extrapolated from {N_TIMED_LAYERS}"
            )
            yield Row(size, ours, scheme, layerwise / N_TIMED_LAYERS * N_LAYERS)


def forward(model: ViTModel, batches: list[torch.Tensor]) -> None:
    with torch.inference_mode():
        for batch in batches:
            model(pixel_values=batch)


def thingsvision(folder: Path, images: np.ndarray) -> dict[str, str | float]:
    """What thingsvision says of its time, once its features are found to be the same as ours."""
    np.save(folder / "images.npy", images)
    found = folder / "thingsvision"
    found.mkdir()
    files = [folder / "vit", folder / "images.npy"]
    settings = [str(BATCH), str(torch.get_num_threads())]
    # Isolated, lest the modules beside the script pass for others of the same name.
    command = [PYTHON, "-I", SIDE, *files, *settings, found]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    for layer in range(N_LAYERS):
        here = representations.load(folder / "out", layer)
        np.testing.assert_allclose(np.load(found / f"{layer}.npy"), here, atol=1e-3)
    return json.loads(done.stdout)


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

"""All layers of a vision transformer by thingsvision; run by the Python that `make thingsvision`
installs.

    python thingsvision_side.py CHECKPOINT IMAGES BATCH THREADS OUT

reads the images from a .npy file, writes the features of each layer to one in the folder OUT, and
prints its versions and its seconds as JSON.
"""

import contextlib
import json
import sys
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from thingsvision import get_extractor_from_model
from thingsvision.utils.data import DataLoader
from transformers import ViTModel

HALF = [0.5, 0.5, 0.5]  # the mean and the deviation that the checkpoint's processor takes


class Pictures:
    """What DataLoader asks for: prepared images, by number."""

    def __init__(self, images, transform):
        self.images = images
        self.transform = transform

    def __len__(self):
        return len(self.images)

    def __getitem__(self, number):
        return self.transform(Image.fromarray(self.images[number]))


def main(checkpoint, images, batch, threads, out):
    torch.set_num_threads(int(threads))
    model = ViTModel.from_pretrained(checkpoint)
    extractor = get_extractor_from_model(model=model, device="cpu", backend="pt")
    extractor.token_extraction = "avg_pool"
    transform = extractor.get_default_transformation(HALF, HALF, resize_dim=224, crop_dim=224)
    batches = DataLoader(Pictures(np.load(images), transform), int(batch), backend="pt")
    names = ["embeddings", *(f"encoder.layer.{n}" for n in range(model.config.num_hidden_layers))]

    start = time.perf_counter()
    features = [extractor.extract_features(batches=batches, module_name=name) for name in names]
    one_by_one = time.perf_counter() - start
    start = time.perf_counter()
    extractor.extract_features(batches=batches, module_names=names)
    together = time.perf_counter() - start

    for layer, found in enumerate(features):
        np.save(Path(out, f"{layer}.npy"), found)
    return {
        "thingsvision": version("thingsvision"),
        "torch": version("torch"),
        "one_by_one": one_by_one,
        "together": together,
    }


if __name__ == "__main__":
    with contextlib.redirect_stdout(sys.stderr):  # where thingsvision may say what it likes
        said = main(*sys.argv[1:])
    print(json.dumps(said))

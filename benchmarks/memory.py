"""All images of THINGS through a large model: what the measures of its layers hold in memory.

Features are drawn, of 26,107 images and 25 layers of 1,024 features, in files as `extract` writes.
Prints how long a layer takes and the most memory held.
"""

import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from safetensors.numpy import save_file

from benchmarks.measure import memory, peak_memory
from convexlib.alignment import triplets_from_similarity
from convexlib.data import Human, Judgments
from convexlib.layers import Layer
from convexlib.measures import convexity, odd_one_out, rsa
from convexlib.models.representations import load, n_layers

N_IMAGES, N_CONCEPTS, N_CATEGORIES = 26_107, 1854, 27
N_LAYERS, N_FEATURES, N_TRIPLETS = 25, 1024, 500_000
BATCH = 128
N_MEASURED = 2  # layers; the others would be measured in the same memory


def write(folder: Path, n_images: int) -> None:
    """Layer by layer the same rows, shifted, since drawing takes longer than writing."""
    rng = np.random.default_rng(0)
    for start in range(0, n_images, BATCH):
        rows = rng.standard_normal((min(BATCH, n_images - start), N_FEATURES), dtype=np.float32)
        layers = {f"layer_{number:03d}": rows + number for number in range(N_LAYERS)}
        made = {"device": "cpu", "precision": "single"}
        save_file(layers, folder / f"{start:09d}.safetensors", metadata=made)


def people() -> Human:
    rng = np.random.default_rng(0)
    seen = rng.normal(size=(N_CONCEPTS, 30))
    similarity = seen @ seen.T
    triplets = triplets_from_similarity(similarity, n_triplets=N_TRIPLETS, random_state=0)
    of_concept = rng.integers(N_CATEGORIES, size=N_CONCEPTS)
    concepts = np.resize(np.arange(N_CONCEPTS), N_IMAGES)
    return Human(
        names=[f"object {number}" for number in range(N_CONCEPTS)],
        shown=concepts,
        categories=pd.get_dummies(of_concept[concepts], dtype=bool),
        sets={"drawn": Judgments(triplets, similarity)},
    )


def main() -> None:
    with tempfile.TemporaryDirectory() as work:
        test, reference = Path(work, "test"), Path(work, "reference")
        for folder, n_images in ((test, N_IMAGES), (reference, N_CONCEPTS)):
            folder.mkdir()
            write(folder, n_images)
        human = people()
        print(f"{n_layers(test)} layers; {memory():.2f} GB before the first")
        for number in range(N_MEASURED):
            start = time.perf_counter()
            features = load(test, number), load(reference, number)
            layer = Layer.of(*features, human, name=f"layer {number}", n_neighbors=10)
            for measure in (convexity, odd_one_out, rsa):
                rows = list(measure.rows(layer))
                print(f"  {measure.__name__}: {len(rows)} rows")
            took = time.perf_counter() - start
            print(f"layer {number}: {took:.0f} s, at most {peak_memory():.2f} GB", flush=True)


if __name__ == "__main__":
    main()

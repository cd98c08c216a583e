"""The expensive steps of a study, each a stored result: stimuli, checkpoints, representations,
measures. A step knows what it depends on without running, so a plan costs nothing; `get()`
runs it, and whatever it needs, unless it is stored.
"""

import json
from dataclasses import replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
from safetensors import safe_open
from safetensors.numpy import save_file

from convexlib import downloads, store
from convexlib.images import ImageFiles
from convexlib.stimuli import PATH, Judged
from convexlib.store import Result
from convexlib.study import Model, Stimuli, Study, kind_of

_JUDGED: dict[tuple[str, str], Judged] = {}  # by all that they depend on

SPLITS = ("train", "validation", "test", "reference")


def stimuli(study: Study) -> Result:
    """Images and labels of a study."""

    def write(folder: Path) -> None:
        arrays = {}
        for split, (images, of_image) in kind(study).splits(study.file.stimuli).items():
            if images is not None:
                # safetensors writes the memory as it lies.
                arrays[split] = np.ascontiguousarray(images)
            of_image.to_parquet(folder / f"{split}.parquet")
        save_file(arrays, folder / "arrays.safetensors")

    dependencies = {
        "images": _images(study.file.stimuli, downloads.root()),
        "code": _code(*_code_of_kind(study)),
        "libraries": store.of_libraries("numpy", "pandas", "pillow", "colour-science"),
    }
    return Result(f"{study.name}/stimuli", dependencies, write)


def images(study: Study, split: str) -> tuple[np.ndarray | ImageFiles, pd.DataFrame]:
    """Images and labels of one split: train, validation, test or reference."""
    of_image = labels(study, split)
    if PATH in of_image:
        root = kind(study).root(study.file.stimuli)
        return ImageFiles(root / path for path in of_image[PATH]), of_image
    with safe_open(stimuli(study).get() / "arrays.safetensors", framework="numpy") as file:
        return file.get_tensor(split), of_image


def labels(study: Study, split: str) -> pd.DataFrame:
    """Labels of the images of one split, one row an image."""
    return pd.read_parquet(stimuli(study).get() / f"{split}.parquet")


def checkpoint(study: Study, model: Model) -> Result:
    """Checkpoint of a model that the study trains."""
    zoo = study.file.zoo
    pretrained = model.variant == "pretrained"

    def write(folder: Path) -> None:
        from convexlib import zoo as training

        splits = {split: images(study, split) for split in SPLITS[:3]}
        if pretrained:
            training.pretrain(model.family, model.size, zoo, splits, seed=model.seed, folder=folder)
        else:
            start = checkpoint(study, _pretrained(model)).get()
            training.finetune(start, zoo, splits, seed=model.seed, folder=folder)

    dependencies = {
        "family": model.family,
        "seed": model.seed,
        "code": _code("zoo.py", "checkpoints.py"),
        "libraries": store.of_libraries(
            "numpy", "pandas", "scikit-learn", "torch", "transformers", "safetensors"
        ),
    }
    if pretrained:
        dependencies |= {
            "architecture": zoo.sizes[model.size].model_dump(),
            "patch_size": zoo.patch_size,
            "training": zoo.pretraining.model_dump(),
            "stimuli": stimuli(study).fingerprint,
        }
    else:
        dependencies |= {
            "pretrained": checkpoint(study, _pretrained(model)).fingerprint,
            "training": zoo.finetuning.model_dump(),
        }
    return Result(f"{study.name}/models/{model.id}", dependencies, write)


def representations(study: Study, model: Model) -> Result:
    """Pooled representations of the test and reference images at every layer of a model."""

    def write(folder: Path) -> None:
        from convexlib.representations import extract

        source = model.source or checkpoint(study, model).get()
        for split in {"test", _reference(study)}:
            extract(
                source, images(study, split)[0], folder / split, pooling=study.file.measures.pooling
            )

    dependencies = {
        "model": _fingerprint(study, model),
        "stimuli": stimuli(study).fingerprint,
        "pooling": study.file.measures.pooling,
        "code": _code("representations.py", "checkpoints.py", "images.py"),
        "libraries": store.of_libraries(
            "numpy",
            "torch",
            "transformers",
            "safetensors",
            "pillow",
            *(["timm"] if find_spec("timm") else []),
        ),
    }
    return Result(f"{study.name}/representations/{model.id}", dependencies, write, resumes=True)


def measures(study: Study, model: Model) -> Result:
    """All measures at every layer of a model, as it is and transformed."""

    def write(folder: Path) -> None:
        from convexlib.measures import of_model
        from convexlib.representations import load, n_layers

        source, reference = representations(study, model).get(), _reference(study)
        tables = of_model(
            n_layers(source / "test"),
            lambda layer: (load(source / "test", layer), load(source / reference, layer)),
            judged(study),
            study.file.measures,
        )
        for name, table in tables.items():
            table.to_parquet(folder / f"{name}.parquet")

    dependencies = {
        "representations": representations(study, model).fingerprint,
        "judgments": _judgments(study),
        "settings": study.file.measures.model_dump(),
        "code": _code(
            "measures.py",
            "concepts.py",
            "convexity.py",
            "neighbors.py",
            "paths.py",
            "judgments.py",
            "transforms.py",
            "checks.py",
            *_code_of_kind(study),
        ),
        "libraries": store.of_libraries("numpy", "scipy", "scikit-learn", "numba", "pandas"),
    }
    return Result(f"{study.name}/measures/{model.id}", dependencies, write)


def judged(study: Study) -> Judged:
    """What is known of the test images, and what people judged of the reference images."""
    key = stimuli(study).fingerprint, json.dumps(_judgments(study))
    if key not in _JUDGED:
        of_images = labels(study, "test"), labels(study, "reference")
        _JUDGED[key] = kind(study).judged(study.file.stimuli, *of_images)
    return _JUDGED[key]


@cache  # of thousands of files
def _images(stimuli: Stimuli, root: Path) -> dict[str, Any]:
    return kind_of(stimuli).images_depend_on(stimuli)


def _judgments(study: Study) -> dict[str, Any]:
    return kind(study).judgments_depend_on(study.file.stimuli)


def _reference(study: Study) -> str:
    """The split that holds the reference images: the test images, where they are the same."""
    same = labels(study, "test").equals(labels(study, "reference"))
    return "test" if same else "reference"


def _fingerprint(study: Study, model: Model) -> str | dict[str, str]:
    if model.source is None:
        return checkpoint(study, model).fingerprint
    return store.of_files(
        path for path in model.source.iterdir() if path.suffix in (".json", ".safetensors")
    )


def _pretrained(model: Model) -> Model:
    name = f"{model.family}-{model.size}-pretrained"
    return replace(model, name=name, variant="pretrained")


def kind(study: Study) -> ModuleType:
    """The module of `convexlib.stimuli` that knows the images of a study."""
    return kind_of(study.file.stimuli)


def _code_of_kind(study: Study) -> tuple[str, ...]:
    files = ("stimuli/files.py", "images.py") if hasattr(kind(study), "root") else ()
    return "stimuli/__init__.py", f"stimuli/{study.file.stimuli.kind}.py", *files


@cache
def _code(*names: str) -> str:
    return store.of_code(*names)

"""The expensive steps of a study, each a stored result: stimuli, checkpoints, representations,
measures. A step knows what it depends on without running, so a plan costs nothing; `get()`
runs it, and whatever it needs, unless it is stored.

What a step does stands in its writer, which sees nothing but what the result says that it is
called with.
"""

from functools import cache
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
from safetensors import safe_open
from safetensors.numpy import save_file

from convexlib import downloads, store
from convexlib.images import ImageFiles
from convexlib.settings import Architecture, Measures, Precision, Training
from convexlib.stimuli import PATH, Judged
from convexlib.store import Known, Result
from convexlib.study import Model, Stimuli, Study, kind_of

_JUDGED: dict[str, Judged] = {}  # by all that they depend on

TRAINING = ("train", "validation", "test")
"""The splits that models are trained and tested on."""


def stimuli(study: Study) -> Result:
    """Images and labels of a study."""
    settings = study.file.stimuli
    return Result(
        f"{study.name}/stimuli",
        _write_stimuli,
        {"settings": Known(settings, by=_images(settings, downloads.root()))},
        chosen={"stimuli": settings.kind},
    )


def checkpoint(study: Study, model: Model) -> Result:
    """Checkpoint of a model that the study trains."""
    zoo = study.file.zoo
    inputs: dict[str, Any] = {"stimuli": stimuli(study), "seed": model.seed}
    parent = study.parent(model)
    if parent is None:
        writer = _pretrain
        inputs |= {
            "family": model.family,
            "architecture": zoo.sizes[model.size],
            "patch_size": zoo.patch_size,
            "training": zoo.pretraining,
        }
    else:
        writer = _finetune
        inputs |= {
            "pretrained": checkpoint(study, parent),
            "training": zoo.finetuning,
        }
    return Result(f"{study.name}/models/{model.id}", writer, inputs)


def representations(study: Study, model: Model) -> Result:
    """Pooled representations of the test and reference images at every layer of a model."""
    return Result(
        f"{study.name}/representations/{model.id}",
        _represent,
        _model_and_images(study, model) | {"precision": study.file.measures.precision},
        resumes=True,
    )


def measures(study: Study, model: Model) -> Result:
    """All measures at every layer of a model, as it is and transformed."""
    return Result(
        f"{study.name}/measures/{model.id}",
        _measure,
        {
            "representations": representations(study, model),
            "model": model.id,
            "settings": study.file.measures,
        }
        | _judgments(study),
        chosen={"stimuli": study.file.stimuli.kind},
    )


def trial(study: Study, model: Model) -> Result:
    """That an image goes through a model: what is wrong with it shows before the long work."""
    return Result(f"{study.name}/trials/{model.id}", _try, _model_and_images(study, model))


OF_BATCH = {"train": checkpoint, "represent": representations, "measure": measures}
"""What is made of the models of a batch in one process, by the command that makes it."""


def images(study: Study, split: str) -> tuple[np.ndarray | ImageFiles, pd.DataFrame]:
    """Images and labels of one split: train, validation, test or reference."""
    folder = stimuli(study).get()
    return _read_images(folder, split, _root(study)), _read_labels(folder, split)


def judged(study: Study) -> Judged:
    """What is known of the test images, and what people judged of the reference images."""
    inputs = _judgments(study)
    key = store.fingerprint(store.described(inputs))
    if key not in _JUDGED:
        _JUDGED[key] = _read_judged(**store.given(inputs))
    return _JUDGED[key]


def kind(study: Study) -> ModuleType:
    """The module of `convexlib.stimuli` that knows the images of a study."""
    return kind_of(study.file.stimuli)


def _write_stimuli(folder: Path, *, settings: Stimuli) -> None:
    arrays = {}
    for split, (images, of_image) in kind_of(settings).splits(settings).items():
        if images is not None:
            # safetensors writes the memory as it lies.
            arrays[split] = np.ascontiguousarray(images)
        of_image.to_parquet(folder / f"{split}.parquet")
    save_file(arrays, folder / "arrays.safetensors")


def _pretrain(
    folder: Path,
    *,
    stimuli: Path,
    family: str,
    architecture: Architecture,
    patch_size: int,
    training: Training,
    seed: int,
) -> None:
    from convexlib import zoo

    zoo.pretrain(
        family,
        architecture,
        training,
        _training_splits(stimuli),
        patch_size=patch_size,
        seed=seed,
        folder=folder,
    )


def _finetune(
    folder: Path, *, stimuli: Path, pretrained: Path, training: Training, seed: int
) -> None:
    from convexlib import zoo

    zoo.finetune(pretrained, training, _training_splits(stimuli), seed=seed, folder=folder)


def _represent(
    folder: Path,
    *,
    checkpoint: Path,
    stimuli: Path,
    root: Path | None,
    pooling: str,
    precision: Precision,
) -> None:
    from convexlib.representations import extract

    for split in {"test", _reference(stimuli)}:
        images = _read_images(stimuli, split, root)
        extract(checkpoint, images, folder / split, pooling=pooling, precision=precision)


def _measure(
    folder: Path, *, representations: Path, model: str, settings: Measures, **judgments: Any
) -> None:
    from convexlib.measures import of_model
    from convexlib.representations import load, n_layers

    reference = _reference(judgments["stimuli"])
    tables = of_model(
        n_layers(representations / "test"),
        lambda layer: (
            load(representations / "test", layer),
            load(representations / reference, layer),
        ),
        _read_judged(**judgments),
        settings,
        model=model,
    )
    for name, table in tables.items():
        table.to_parquet(folder / f"{name}.parquet")


def _try(folder: Path, *, checkpoint: Path, stimuli: Path, root: Path | None, pooling: str) -> None:
    from convexlib.representations import try_one

    images = _read_images(stimuli, "test", root)
    image = images[images.most_oblong] if isinstance(images, ImageFiles) else images[0]
    try_one(checkpoint, image, pooling=pooling)
    (folder / "tried").touch()


def _checkpoint(study: Study, model: Model) -> Result | Known:
    """The folder of a model's checkpoint, known by its files where it was not trained here."""
    if model.source is None:
        return checkpoint(study, model)
    from convexlib.checkpoints import is_of_timm

    files = [p for p in model.source.iterdir() if p.suffix in (".json", ".safetensors")]
    by = {"files": store.of_files(files), "revision": model.revision}
    if is_of_timm(model.source):  # transformers calls it, and no code of ours names it
        by["timm"] = version("timm")
    return Known(model.source, by=by)


def _model_and_images(study: Study, model: Model) -> dict[str, Any]:
    """What is needed to put the images of a study through a model."""
    return {
        "checkpoint": _checkpoint(study, model),
        "stimuli": stimuli(study),
        "root": Known(_root(study), by="the files are in the stimuli"),
        "pooling": study.file.measures.pooling,
    }


def _judgments(study: Study) -> dict[str, Any]:
    """What judgments are read from."""
    settings = study.file.stimuli
    return {
        "stimuli": stimuli(study),
        "judgments": Known(settings, by=kind(study).judgments_depend_on(settings)),
    }


def _read_judged(*, stimuli: Path, judgments: Stimuli) -> Judged:
    of_images = (_read_labels(stimuli, split) for split in ("test", "reference"))
    return kind_of(judgments).judged(judgments, *of_images)


def _read_images(folder: Path, split: str, root: Path | None) -> np.ndarray | ImageFiles:
    of_image = _read_labels(folder, split)
    if PATH in of_image:
        return ImageFiles(root / path for path in of_image[PATH])
    with safe_open(folder / "arrays.safetensors", framework="numpy") as file:
        return file.get_tensor(split)


def _read_labels(folder: Path, split: str) -> pd.DataFrame:
    return pd.read_parquet(folder / f"{split}.parquet")


def _training_splits(folder: Path) -> dict[str, tuple[np.ndarray, pd.DataFrame]]:
    return {
        split: (_read_images(folder, split, None), _read_labels(folder, split))
        for split in TRAINING
    }


def _reference(folder: Path) -> str:
    """The split that holds the reference images: the test images, where they are the same."""
    same = _read_labels(folder, "test").equals(_read_labels(folder, "reference"))
    return "test" if same else "reference"


def _root(study: Study) -> Path | None:
    """From where the files of the images are named, where they are in files."""
    settings = study.file.stimuli
    return kind(study).root(settings) if hasattr(kind(study), "root") else None


@cache  # of thousands of files
def _images(settings: Stimuli, root: Path) -> dict[str, Any]:
    return kind_of(settings).images_depend_on(settings)

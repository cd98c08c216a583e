"""The graph of results of a study: what each needs and what writes it.

Stimuli, judgments, checkpoints, representations, transforms, measures; the notebooks and the site,
which need these, stand in `book`. A result knows what it depends on without running, so a plan
costs nothing; `get()` makes it, and whatever it needs, unless it is stored. What a result does
stands in its writer, which sees nothing but what the result says that it is called with.
"""

import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cache
from importlib import import_module
from importlib.metadata import version
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from convexlib import data, dependencies, measures, store
from convexlib.data import PATH, Human, files
from convexlib.data.images import ImageFiles, suffixes
from convexlib.models import embeddings
from convexlib.settings import Distillation, Precision, Recipe, Transform
from convexlib.store import Known, Result
from convexlib.study import PLAIN, UNTRAINED, Model, Study

if TYPE_CHECKING:
    from convexlib.layers import Layer

N_VALIDATION = 10_000
"""Triplets on which it is seen how well a student learned, as many as the authors released."""


def _shared(make: Callable[..., Result]) -> Callable[..., Result]:
    """A result of a study; with other settings that make no difference to it, it is the very one.

    Where they do, its name says which they are.
    """

    @cache
    def made(study: Study, *of: Any) -> Result:
        result = make(study, *of)
        if study.origin is study:
            return result
        own = made(study.origin, *of)
        if own.fingerprint == result.fingerprint:
            return own
        return replace(result, name=f"{result.name}{study.suffix}")

    return made


@cache
def stimuli(study: Study) -> Result:
    """Images and labels of a study."""
    return _stimuli(study, study.stimuli.kind)


@_shared
def human(study: Study) -> Result:
    """What people judged, and what is known of the test images."""
    own, *others = study.by_kind
    own, others = _human(study, own), {kind: _human(study, kind) for kind in others}
    settings = study.file.measures
    share, shuffled = settings.share_of_images, settings.labels == "shuffled"
    if not others and share == 1 and not shuffled:
        return own
    inputs = {"own": own, "others": others, "share": share, "shuffled": shuffled}
    return Result(f"{study.name}/judgments-joined", _join, inputs)


@cache
def checkpoint(study: Study, model: Model) -> Result | Known:
    """Checkpoint of a model: trained here, or a folder that is known by its files."""
    if model.recipe is None:
        return _found(model)
    start = study.known.get(model.parent)
    if model.recipe.target is not None:
        return _student(study.origin, model, start)  # however it is measured, it is one student
    return Result(
        f"{study.name}/models/{model.id}",
        _train,
        {
            "stimuli": stimuli(study),
            "seed": model.seed,
            "recipe": model.recipe,
            "start": start and checkpoint(study, start),
        },
        chosen={"families": model.recipe.family},
        resumes=True,
        job=_job("train", model),
        priority=200 + _size(model),  # the largest first, so that none is left running at the end
    )


@cache
def teacher(study: Study) -> Result:
    """The teacher of AligNet: a layer of a model, and its transform."""
    about = study.file.alignet
    model, by = study.known[about.teacher], study.pooled(about.pooling)
    return Result(
        f"{study.name}/alignet/teacher",
        _teach,
        {
            "representations": representations(by, model),
            "human": human(study),
            "options": study.file.measures.transform,
            "model": model.id,
        },
        job="teacher",
        priority=200,
    )


@cache
def lesson(study: Study) -> Result:
    """What the teacher says of triplets of images, to students of each target."""
    about = study.file.alignet
    by = study.pooled(about.pooling)
    return Result(
        f"{study.name}/alignet/lesson",
        _tell,
        _model_and_images(by, study.known[about.teacher])
        | {
            "teacher": teacher(study),
            "pool": _pool(study),
            "n_triplets": about.distillation.n_triplets,
            "scheme": about.scheme,
            "n_clusters": about.n_clusters,
            "batches": {
                # Of a batch that goes through the model in parts, each part has its own images.
                "batch_size": -(-about.distillation.batch_size // about.distillation.accumulate),
                "n_groups": about.groups_per_batch,
                "n_of_group": about.images_per_group,
            },
            "concept": study.stimuli.CONCEPT,
            "precision": study.file.measures.precision,
        },
        resumes=True,
        job="teacher",
        priority=200,
    )


@_shared
def tasks(study: Study, model: Model) -> Result:
    """Representations of the images of other tasks at the last layer of a model."""
    about = study.stimuli
    stimuli = Result(
        f"{study.name}/tasks/images",
        _write_tasks,
        {"settings": Known(about, by=about.images_depend_on())},
        chosen={"data": about.kind},
    )
    return Result(
        f"{study.name}/tasks/{model.id}",
        _represent_tasks,
        _model_and_images(study, model)
        | {"stimuli": stimuli, "precision": study.file.measures.precision},
        resumes=True,
        job=_job("represent", model),
        priority=100 + _size(model),
    )


@_shared
def representations(study: Study, model: Model) -> Result:
    """Pooled representations of the test and reference images at every layer of a model."""
    if model.baseline == PLAIN:
        return Result(
            f"{study.name}/representations/{model.id}",
            _represent_plainly,
            {
                "stimuli": stimuli(study),
                "root": _root(study.stimuli),
                "kind": study.stimuli.kind,
                "name": model.name,
                "also": _also(study),
            },
            chosen={"data": study.stimuli.kind},
            job=_job("represent", model),
        )
    if model.is_features:
        return Result(
            f"{study.name}/representations/{model.id}",
            _take,
            {
                "features": _found(model),
                "stimuli": stimuli(study),
                "concept": study.stimuli.CONCEPT,
            },
            job=_job("represent", model),
        )
    return Result(
        f"{study.name}/representations/{model.id}",
        _represent,
        _model_and_images(study, model.like or model)
        | {"precision": study.file.measures.precision, "also": _also(study)}
        | ({"untrained": True} if model.baseline == UNTRAINED else {}),
        resumes=True,
        job=_job("represent", model),
        priority=100 + _size(model),
    )


@_shared
def transforms(study: Study, model: Model) -> Result:
    """Alignment transforms, fitted at every layer of a model."""
    return Result(
        f"{study.name}/transforms/{model.id}",
        _fit,
        {
            "representations": representations(study, model),
            "human": human(study.of_all_images),
            "options": study.file.measures.transform,
            "model": model.id,
        },
        job=_job("measure", model),
        priority=100 + _size(model),
    )


@_shared
def measure(study: Study, model: Model, name: str) -> Result:
    """What a file of `measures` measures at every layer of a model."""
    settings, writer = study.file.measures, _measure
    reached = dependencies.of_name(f"convexlib.measures.{name}", "rows").code
    of_images = "convexlib.layers.convexity" in reached
    inputs = {
        "representations": representations(study, model),
        "human": human(study if of_images else study.of_all_images),
        "name": name,
        "model": model.id,
    }
    if of_images:
        inputs |= {"n_neighbors": settings.n_neighbors, "pairs": settings.pairs}
    if not of_images or reached.keys() & {"convexlib.layers.scores", "convexlib.layers.rsa"}:
        inputs["similarity"] = settings.similarity
    if reached.keys() & {"convexlib.layers.fitted_to", "convexlib.layers.first_fold"}:
        inputs["options"] = settings.transform
    if "convexlib.layers.task" in reached:
        inputs["tasks"] = tasks(study, model)
        writer = _measure_tasks
    if "convexlib.layers.spaces" in reached:
        inputs |= {"transforms": transforms(study, model), "options": settings.transform}
        writer = _measure_transformed
    return Result(
        f"{study.name}/measures/{name}/{model.id}",
        writer,
        inputs,
        chosen={"measures": name},
        job=_job("measure", model),
        priority=100 + _size(model),
    )


def all_measures(study: Study) -> dict[str, dict[str, Result]]:
    """Of each model, by id, what each file of `measures` measures of it."""
    chosen = study.measures or measures.of_every_model()
    if not study.stimuli.TASKS:
        chosen = [name for name in chosen if not _needs_tasks(name)]
    if study.n_sets == 1:
        chosen = [name for name in chosen if name not in measures.OF_SEVERAL_SETS]
    return {model.id: {n: measure(study, model, n) for n in chosen} for model in study.models}


def trial(study: Study, model: Model) -> Result:
    """That an image goes through a model: what is wrong with it shows before the long work."""
    if model.is_features:
        return representations(study, model)
    return Result(f"{study.name}/trials/{model.id}", _try, _model_and_images(study, model))


def images(study: Study, split: str) -> tuple[np.ndarray | ImageFiles, pd.DataFrame]:
    """Images and labels of one split: train, validation, test or reference."""
    folder = stimuli(study).get()
    return _read_images(folder, split, study.stimuli.root), _read_labels(folder, split)


@cache
def judged(study: Study) -> Human:
    """What is known of the test images, and what people judged of the reference images."""
    return Human.load(human(study).get())


def last_layer(study: Study, model: Model) -> "Layer":
    """The last layer of a model, as its measures saw it."""
    from convexlib.models.representations import n_layers

    folder = representations(study, model).get()
    options = {"similarity": study.file.measures.similarity}
    return _layer(folder, n_layers(folder / "test") - 1, judged(study), model.id, **options)


def _write_stimuli(folder: Path, *, settings: data.Stimuli) -> None:
    _write_splits(folder, import_module(f"convexlib.data.{settings.kind}").Stimuli.splits(settings))


def _write_tasks(folder: Path, *, settings: data.Stimuli) -> None:
    _write_splits(folder, import_module(f"convexlib.data.{settings.kind}").Stimuli.tasks(settings))


def _write_splits(
    folder: Path, splits: Mapping[str, tuple[np.ndarray | None, pd.DataFrame]]
) -> None:
    arrays = {}
    for split, (images, of_image) in splits.items():
        if images is not None:
            # safetensors writes the memory as it lies.
            arrays[split] = np.ascontiguousarray(images)
        of_image.to_parquet(folder / f"{split}.parquet")
    save_file(arrays, folder / "arrays.safetensors")


@cache
def _stimuli(study: Study, kind: str) -> Result:
    about = study.by_kind[kind]
    return Result(
        f"{study.name}/stimuli{_beside(study, kind)}",
        _write_stimuli,
        {"settings": Known(about, by=about.images_depend_on())},
        chosen={"data": kind},
    )


def _human(study: Study, kind: str) -> Result:
    about = study.by_kind[kind]
    return Result(
        f"{study.name}/judgments{_beside(study, kind)}",
        _write_human,
        {
            "stimuli": _stimuli(study, kind),
            "settings": Known(about, by=about.judgments_depend_on()),
        },
        chosen={"data": kind},
    )


def _beside(study: Study, kind: str) -> str:
    return "" if kind == study.stimuli.kind else f"-{kind}"


def _join(
    folder: Path, *, own: Path, others: dict[str, Path], share: float, shuffled: bool
) -> None:
    human = Human.load(own)
    found = {kind: Human.load(path) for kind, path in sorted(others.items())}
    if share < 1:
        human = human.fewer(share)
    if shuffled:
        human = human.shuffled()
        found = {kind: other.shuffled() for kind, other in found.items()}
    (human.joined(found) if found else human).save(folder)


def _write_human(folder: Path, *, stimuli: Path, settings: data.Stimuli) -> None:
    labels = [_read_labels(stimuli, split) for split in ("test", "reference")]
    found = import_module(f"convexlib.data.{settings.kind}").Stimuli.human(settings, *labels)
    found.save(folder)


def _train(folder: Path, *, stimuli: Path, seed: int, recipe: Recipe, start: Path | None) -> None:
    from convexlib.models.training import train

    names = sorted(path.stem for path in stimuli.glob("*.parquet") if path.stem != "reference")
    splits = {s: (_read_images(stimuli, s, None), _read_labels(stimuli, s)) for s in names}
    train(
        folder,
        splits=splits,
        settings=recipe.training,
        seed=seed,
        family=recipe.family if start is None else None,
        architecture=recipe.architecture,
        patch_size=recipe.patch_size,
        start=start,
        columns=recipe.training.labels,
    )


def _student(study: Study, model: Model, start: Model) -> Result:
    return Result(
        f"{study.name}/models/{model.id}",
        _distill,
        {
            "lesson": lesson(study),
            "target": model.recipe.target,
            "stimuli": stimuli(study),
            "root": _root(study.stimuli),
            "pool": _pool(study),
            "settings": model.recipe.training,
            "pooling": study.file.measures.pooling,
            "seed": model.seed or 0,
            "start": checkpoint(study, start),
        },
        resumes=True,
        job=_job("train", model),
        priority=150 + _size(start),
    )


def _pool(study: Study) -> Known | None:
    """A folder of images for triplets, known by its files; None where those of the study serve."""
    folder = study.file.alignet.images
    if folder is None:
        return None
    if not (paths := _files_of(folder)):
        raise ValueError(f"alignet.images is {str(folder)!r}, in which there are no images")
    return Known(folder, by=files.stamps(paths, folder))


def _files_of(folder: Path) -> list[Path]:
    """All images in a folder, however deep, but hidden ones."""
    found = (p for p in folder.rglob("*") if p.suffix.lower() in suffixes() and p.is_file())
    return sorted(p for p in found if not any(part[0] == "." for part in p.parts))


def _to_judge(
    stimuli: Path, root: Path | None, pool: Path | None
) -> dict[str, tuple[np.ndarray | ImageFiles, list[str], pd.DataFrame]]:
    """Images for triplets, their names and labels: to learn from, and to see how well it went."""
    if pool is not None:
        labels = pd.DataFrame({PATH: [str(p.relative_to(pool)) for p in _files_of(pool)]})
        return {s: _of_labels(some, pool) for s, some in _nine_to_one(labels).items()}
    if not (stimuli / "train.parquet").exists():
        labels, images = _read_labels(stimuli, "test"), _read_images(stimuli, "test", root)
        return {
            split: _of_labels(some, root, "test", images)
            for split, some in _nine_to_one(labels).items()
        }
    return {
        split: _of_labels(
            _read_labels(stimuli, split), root, split, _read_images(stimuli, split, root)
        )
        for split in ("train", "validation")
    }


def _nine_to_one(labels: pd.DataFrame) -> dict[str, pd.DataFrame]:
    tenth = np.arange(len(labels)) % 10 == 0
    return {"train": labels[~tenth], "validation": labels[tenth]}


def _of_labels(
    labels: pd.DataFrame, root: Path | None, split: str = "", images: np.ndarray | None = None
) -> tuple[np.ndarray | ImageFiles, list[str], pd.DataFrame]:
    """Images of these rows, their names, and the rows."""
    if PATH in labels:
        return ImageFiles(root / path for path in labels[PATH]), [*labels[PATH]], labels
    return images[labels.index], [f"{split}-{row:06d}" for row in labels.index], labels


def _teach(
    folder: Path, *, representations: Path, human: Path, options: Transform, model: str
) -> None:
    from convexlib.models.alignet import teach

    people = Human.load(human)
    features = [layer.reference for layer in _layers(representations, people, model)]
    found, table = teach(features, people, options)
    found.transform.to_npz(folder / "transform.npz")
    said = {"layer": found.layer, "temperature": found.temperature}
    (folder / "teacher.json").write_text(json.dumps(said), encoding="utf-8")
    table.to_parquet(folder / "layers.parquet")


def _tell(
    folder: Path,
    *,
    teacher: Path,
    checkpoint: Path,
    stimuli: Path,
    root: Path | None,
    pool: Path | None,
    pooling: str,
    precision: Precision,
    n_triplets: int,
    scheme: str,
    n_clusters: int,
    batches: dict[str, int],
    concept: str,
) -> None:
    from convexlib.models.alignet import Teacher, lesson
    from convexlib.models.representations import load, write
    from convexlib.transforms import AlignmentTransform

    said = json.loads((teacher / "teacher.json").read_text(encoding="utf-8"))
    judge = Teacher(transform=AlignmentTransform.from_npz(teacher / "transform.npz"), **said)
    splits = _to_judge(stimuli, root, pool)
    n_all = len(splits["train"][0])
    if n_clusters > n_all:
        raise ValueError(
            f"alignet.n_clusters is {n_clusters}, and there are {n_all} images to draw triplets "
            "of; choose fewer clusters, or give more images"
        )
    for seed, (split, (images, names, labels)) in enumerate(splits.items()):
        features = folder / f"features-{split}"
        asked = {"pooling": pooling, "precision": precision, "only": judge.layer}
        write(checkpoint, images, features, **asked)
        X = load(features, 0)
        groups = pd.factorize(labels[concept])[0] if concept in labels else None
        drawn = {"scheme": scheme, "n_clusters": max(2, round(n_clusters * len(X) / n_all))}
        drawn |= {"random_state": seed, "groups": groups, **batches}
        n = n_triplets if split == "train" else min(n_triplets, N_VALIDATION)
        for target, told in lesson(judge, X, names, n, **drawn).items():
            told.save(folder / f"{split}-{target}.npz")
    for split in splits:
        shutil.rmtree(folder / f"features-{split}")


def _distill(
    folder: Path,
    *,
    lesson: Path,
    target: str,
    stimuli: Path,
    root: Path | None,
    pool: Path | None,
    settings: Distillation,
    pooling: str,
    seed: int,
    start: Path,
) -> None:
    from convexlib.models.training import distill
    from convexlib.triplets import Triplets

    splits = _to_judge(stimuli, root, pool)
    lessons = {split: Triplets.load(lesson / f"{split}-{target}.npz") for split in splits}
    for split, (_, names, _) in splits.items():
        told = lessons[split]
        if (np.array([name.encode() for name in names])[told.indices] != told.filenames).any():
            raise ValueError("images changed while the teacher judged them; start again")
    images = {split: found[0] for split, found in splits.items()}
    told = {"settings": settings, "pooling": pooling, "seed": seed, "start": start}
    distill(folder, images=images, lessons=lessons, **told)


def _represent_tasks(
    folder: Path,
    *,
    checkpoint: Path,
    stimuli: Path,
    root: Path | None,
    pooling: str,
    precision: Precision,
) -> None:
    from convexlib.models.representations import load, write

    for labels in sorted(stimuli.glob("*.parquet")):
        name, features = labels.stem, folder / labels.stem
        images = _read_images(stimuli, name, root)
        write(checkpoint, images, features, pooling=pooling, precision=precision, only=-1)
        X = load(features, 0)
        save_file({"X": X}, folder / f"{name}.safetensors")
        shutil.copy(labels, folder)
    for labels in stimuli.glob("*.parquet"):
        shutil.rmtree(folder / labels.stem)


def _represent(
    folder: Path,
    *,
    checkpoint: Path,
    stimuli: Path,
    root: Path | None,
    pooling: str,
    precision: Precision,
    also: dict[str, dict[str, Any]],
    untrained: bool = False,
) -> None:
    from convexlib.models.representations import write

    options = {"pooling": pooling, "precision": precision, "untrained": untrained}
    for name, images in _images_to_represent(stimuli, root, also):
        write(checkpoint, images, folder / name, **options)


def _represent_plainly(
    folder: Path,
    *,
    stimuli: Path,
    root: Path | None,
    kind: str,
    name: str,
    also: dict[str, dict[str, Any]],
) -> None:
    from convexlib.models.representations import keep

    features = import_module(f"convexlib.data.{kind}").Stimuli.plain_features
    for split, images in _images_to_represent(stimuli, root, also):
        keep([features(name, images)], folder / split)


def _images_to_represent(
    stimuli: Path, root: Path | None, also: dict[str, dict[str, Any]]
) -> Iterator[tuple[str, np.ndarray | ImageFiles]]:
    """Test and reference images, and reference images of other stimuli."""
    splits = {split: (stimuli, split, root) for split in ("test", _reference(stimuli))}
    for kind, other in also.items():
        splits[f"reference-{kind}"] = (other["stimuli"], "reference", other["root"])
    for name, of_split in splits.items():
        yield name, _read_images(*of_split)


def _take(folder: Path, *, features: Path, stimuli: Path, concept: str) -> None:
    """Ready-made features, whose rows are those of the test images, or of the concepts."""
    from convexlib.models.representations import keep

    test, reference = (_read_labels(stimuli, split) for split in ("test", "reference"))
    layers = embeddings.read(features, test[concept].astype(str).tolist())
    keep(layers, folder / "test")
    if _reference(stimuli) == "reference":
        rows = [test.index[(test == row).all(axis=1)][0] for _, row in reference.iterrows()]
        keep([layer[rows] for layer in layers], folder / "reference")


def _fit(
    folder: Path, *, representations: Path, human: Path, options: Transform, model: str
) -> None:
    from convexlib.layers import fit_all

    for number, layer in enumerate(_layers(representations, Human.load(human), model)):
        save_file(fit_all(layer, options), folder / f"{number}.safetensors")


def _measure(
    folder: Path, *, representations: Path, human: Path, name: str, model: str, **distances: Any
) -> None:
    layers = _layers(representations, Human.load(human), model, **distances)
    _write_rows(folder, name, layers)


def _measure_tasks(folder: Path, *, tasks: Path, name: str, **given: Any) -> None:
    from convexlib.models.representations import n_layers

    of_task = {
        labels.stem: (
            load_file(labels.with_suffix(".safetensors"))["X"].astype(np.float64),
            pd.read_parquet(labels),
        )
        for labels in sorted(tasks.glob("*.parquet"))
    }
    last = n_layers(given["representations"] / "test") - 1
    layers = _layers(
        given.pop("representations"), Human.load(given.pop("human")), given.pop("model"), **given
    )
    layers = (
        layer._replace(tasks=of_task) if number == last else layer
        for number, layer in enumerate(layers)
    )
    _write_rows(folder, name, layers)


def _measure_transformed(
    folder: Path,
    *,
    representations: Path,
    transforms: Path,
    human: Path,
    options: Transform,
    name: str,
    model: str,
    **distances: Any,
) -> None:
    from convexlib.layers import load_fits

    people = Human.load(human)
    layers = (
        layer._replace(fits=load_fits(load_file(file), people, options))
        for layer, file in zip(
            _layers(representations, people, model, **distances),
            (transforms / f"{number}.safetensors" for number in count()),
            strict=False,
        )
    )
    _write_rows(folder, name, layers)


def _write_rows(folder: Path, name: str, layers: Iterable["Layer"]) -> None:
    from convexlib.layers import measured

    rows = import_module(f"convexlib.measures.{name}").rows
    names = import_module(f"convexlib.measures.{name}").MEASURES
    measured(rows, names, layers).to_parquet(folder / "rows.parquet")


def _layers(representations: Path, human: Human, model: str, **distances: Any) -> Iterator["Layer"]:
    """The layers of a model, one at a time in memory."""
    from convexlib.models.representations import n_layers

    for number in range(n_layers(representations / "test")):
        yield _layer(representations, number, human, model, **distances)


def _layer(
    representations: Path, number: int, human: Human, model: str, **distances: Any
) -> "Layer":
    from convexlib.layers import Layer
    from convexlib.models.representations import load

    test, reference = representations / "test", representations / "reference"
    reference = reference if reference.is_dir() else test
    others = sorted(representations.glob("reference-*"))
    of_reference = np.concatenate([load(folder, number) for folder in (reference, *others)])
    name = f"layer {number} of {model}"
    return Layer.of(load(test, number), of_reference, human, name=name, **distances)


def _try(folder: Path, *, checkpoint: Path, stimuli: Path, root: Path | None, pooling: str) -> None:
    from convexlib.models.representations import try_one

    images = _read_images(stimuli, "test", root)
    image = images[images.most_oblong] if isinstance(images, ImageFiles) else images[0]
    try_one(checkpoint, image, pooling=pooling)
    (folder / "tried").touch()


def _found(model: Model) -> Known:
    from convexlib.models.checkpoints import is_of_timm

    if model.is_features:
        return Known(model.source, by=store.of_files([model.source]))
    files = [p for p in model.source.iterdir() if p.suffix in (".json", ".safetensors")]
    by = {"files": store.of_files(files), "revision": model.revision}
    if is_of_timm(model.source):  # transformers calls it, and no code of ours names it
        by["timm"] = version("timm")
    return Known(model.source, by=by)


def _job(command: str, model: Model) -> str:
    """Models of a family and size, seeds and fine-tuned forms, share a process.

    Loading PyTorch takes longer than measuring a small model. What is found elsewhere is large.
    """
    if model.baseline:
        return f"{command}_baselines"
    if model.recipe is None:
        return f"{command}_{'added-' * model.added}{model.id}"
    if model.recipe.target is not None:  # who teaches it may be of its family and size
        command = "align"
    return f"{command}_{model.attributes['family']}-{model.attributes['size']}"


def _needs_tasks(name: str) -> bool:
    return (
        "convexlib.layers.task" in dependencies.of_name(f"convexlib.measures.{name}", "rows").code
    )


def _size(model: Model) -> int:
    architecture = model.recipe and model.recipe.architecture
    return architecture.layers if architecture else 0


def _model_and_images(study: Study, model: Model) -> dict[str, Any]:
    """What is needed to put the images of a study through a model."""
    return {
        "checkpoint": checkpoint(study, model),
        "stimuli": stimuli(study),
        "root": _root(study.stimuli),
        "pooling": study.file.measures.pooling,
    }


def _also(study: Study) -> dict[str, dict[str, Any]]:
    """Of each of the other stimuli what is needed to put their images through a model."""
    return {
        about.kind: {
            "stimuli": _stimuli(study, about.kind),
            "root": _root(about),
        }
        for about in study.file.also
    }


def _root(about: data.Stimuli) -> Known:
    return Known(about.root, by="the files are in the stimuli")


def _read_images(folder: Path, split: str, root: Path | None) -> np.ndarray | ImageFiles:
    of_image = _read_labels(folder, split)
    if PATH in of_image:
        return ImageFiles(root / path for path in of_image[PATH])
    with safe_open(folder / "arrays.safetensors", framework="numpy") as file:
        return file.get_tensor(split)


def _read_labels(folder: Path, split: str) -> pd.DataFrame:
    return pd.read_parquet(folder / f"{split}.parquet")


def _reference(folder: Path) -> str:
    """The split that holds the reference images: the test images, where they are the same."""
    same = _read_labels(folder, "test").equals(_read_labels(folder, "reference"))
    return "test" if same else "reference"

"""What a study is: stimuli, human judgments, models and settings, read from one YAML file."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from convexlib.settings import (
    Checkpoint,
    ColorStimuli,
    FolderStimuli,
    Images92Stimuli,
    Measures,
    ThingsStimuli,
    Zoo,
)
from convexlib.stimuli.colors import WAVELENGTHS
from convexlib.store import ROOT

if TYPE_CHECKING:
    from convexlib.downloads import Source

VARIANTS = ("pretrained", "finetuned")

ADDED = "added"
"""The size of a model that the reader added: it belongs to none of the study's sizes."""

_FAMILY_OF_MODEL_TYPE = {"data2vec-vision": "data2vec"}

# What models of a family are pretrained on, and how they know where a patch is.
_OBJECTIVES = {"vit": "labels", "beit": "masked tokens", "data2vec": "masked latents"}
_ARCHITECTURES = {
    "vit": "absolute positions",
    "beit": "relative positions",
    "data2vec": "relative positions",
}
_N_CONCEPTS = {"images92": 92, "things": 1854}

Stimuli = ColorStimuli | Images92Stimuli | ThingsStimuli | FolderStimuli

FACTORS = ("objective", "architecture", "size", "training data", "fine-tuning")
"""What may make a model more human, as Muttenthaler et al. (2022) group models."""

UNKNOWN = "unknown"


@dataclass(frozen=True)
class Model:
    """One checkpoint of a study: trained here with a seed, or found at a source."""

    name: str
    family: str
    size: str
    variant: str
    seed: int | None = None
    source: Path | None = None
    objective: str = UNKNOWN
    architecture: str = UNKNOWN
    training_data: str = UNKNOWN

    @property
    def attributes(self) -> dict[str, str]:
        """Its level of each of `FACTORS`; of what the reader added, the files do not say."""
        tuned = {"finetuned": "fine-tuned", "pretrained": "none"}[self.variant]
        values = (
            self.objective,
            self.architecture,
            UNKNOWN if self.size == ADDED else self.size,
            self.training_data,
            UNKNOWN if self.size == ADDED else tuned,
        )
        return dict(zip(FACTORS, values, strict=True))

    @property
    def id(self) -> str:
        """Name that no other model of the study has."""
        return self.name if self.seed is None else f"{self.name}-seed{self.seed}"


class StudyFile(BaseModel):
    """The content of a study file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str
    stimuli: Annotated[Stimuli, Field(discriminator="kind")]
    zoo: Zoo | None = None
    models: tuple[Checkpoint, ...] = ()
    measures: Measures

    @model_validator(mode="after")
    def _models_are_trained_or_listed(self) -> "StudyFile":
        trains = isinstance(self.stimuli, ColorStimuli)
        if trains != (self.zoo is not None):
            raise ValueError(
                f"stimuli.kind is {self.stimuli.kind!r}, which "
                + ("needs a zoo to train" if trains else "cannot train a zoo; list models instead")
            )
        if not trains and not self.models:
            raise ValueError("models is empty; list at least one checkpoint")
        return self

    @model_validator(mode="after")
    def _measures_fit_the_stimuli(self) -> "StudyFile":
        n_concepts, per_concept = _extent(self.stimuli)
        most_folds = n_concepts // 3
        n_folds, n_neighbors = self.measures.transform.n_folds, self.measures.n_neighbors
        if n_folds > most_folds:
            raise ValueError(
                f"measures.transform.n_folds is {n_folds}; choose at most {most_folds}, so that "
                f"every fold of the {n_concepts} concepts holds a triplet"
            )
        if isinstance(self.stimuli, ColorStimuli):
            if per_concept < 2:
                raise ValueError("stimuli.test_per_hue is 1; give at least 2")
            fewest = 3 * per_concept  # of the three hues of a single triplet
        else:
            fewest = n_concepts // n_folds * per_concept
        if n_neighbors >= fewest:
            raise ValueError(
                f"measures.n_neighbors is {n_neighbors}, but a fold may have {fewest} test images; "
                "choose fewer neighbours, fewer folds or more images"
            )
        return self


@dataclass(frozen=True)
class Study:
    """A study file together with the models chosen from it and added to it.

    `choice` is how it was asked for: ``load(**study.choice)`` gives the same study again.
    """

    name: str
    file: StudyFile
    models: tuple[Model, ...]
    choice: Mapping[str, Any]

    def model(self, model_id: str) -> Model:
        """The model with that id."""
        for model in self.models:
            if model.id == model_id:
                return model
        raise ValueError(
            f"study {self.name!r} has no model {model_id!r}; it has: "
            + ", ".join(m.id for m in self.models)
        )

    def batches(self) -> dict[str, tuple[Model, ...]]:
        """Models that share a process, by name: a family and size of the zoo, or one checkpoint."""
        batches: dict[str, tuple[Model, ...]] = {}
        for model in self.models:
            name = f"{model.family}-{model.size}" if model.source is None else model.name
            name = f"{ADDED}-{name}" if model.size == ADDED else name
            batches[name] = (*batches.get(name, ()), model)
        return batches


def names() -> list[str]:
    """Names of the studies that the project comes with."""
    return sorted(path.stem for path in (ROOT / "studies").glob("*.yaml"))


def load(
    study: str,
    *,
    models: Sequence[str] = (),
    add_models: Sequence[str] = (),
    settings: Mapping[str, Any] | None = None,
) -> Study:
    """Read and check a study file, and find its models.

    Parameters
    ----------
    study : str
        A name in ``studies/``, or the path of a YAML file.
    models : sequence of str
        Only these: names of the study's own models (all their seeds), folders of checkpoints,
        or names on the Hugging Face hub. Empty: all models of the study.
    add_models : sequence of str
        Folders or hub names to measure besides.
    settings : mapping
        Replaces values under ``measures`` of the study file, for example
        ``{"n_neighbors": 5}``.

    Returns
    -------
    Study

    Raises
    ------
    ValueError
        In one line: an unknown study, key or value, or a model that cannot be loaded.

    Examples
    --------
    >>> colors = load("colors", models=["vit-base-pretrained"])
    >>> [model.id for model in colors.models][0]
    'vit-base-pretrained-seed0'
    """
    path = _path(study)
    file = _read(path, settings or {})
    own = _zoo_models(file.zoo) if file.zoo else ()
    listed = {_name(checkpoint.source): checkpoint for checkpoint in file.models}
    known = dict.fromkeys([model.name for model in own] + list(listed))
    chosen = [model for model in own if not models or model.name in models]
    chosen += [
        _listed(name, checkpoint)
        for name, checkpoint in listed.items()
        if not models or name in models
    ]
    found = [_found(source, known) for source in dict.fromkeys([*models, *add_models])]
    chosen = tuple(dict.fromkeys(chosen + [model for model in found if model]))
    ids = [model.id for model in chosen]
    for model in chosen:
        if ids.count(model.id) > 1:
            raise ValueError(f"two models are called {model.id!r}; rename the folder of one")
    named = study if study in names() else str(path.resolve())
    choice = {"study": named, "models": list(models), "add_models": list(add_models)}
    return Study(path.stem, file, chosen, choice | {"settings": dict(settings or {})})


def sources(study: str) -> tuple[tuple["Source", ...], tuple[str, ...]]:
    """What a study needs from the network: files, and models by their names on the hub.

    Parameters
    ----------
    study : str
        As in `load`.
    """
    file = _read(_path(study), {})
    models = tuple(checkpoint.source for checkpoint in file.models)
    return tuple(kind_of(file.stimuli).SOURCES), models


def check_stimuli(study: str) -> None:
    """Raise a one-line ValueError for a mistake in the stimuli or judgments, if one can be seen.

    Parameters
    ----------
    study : str
        As in `load`.
    """
    file = _read(_path(study), {})
    kind_of(file.stimuli).check(file.stimuli)


def kind_of(stimuli: Stimuli) -> ModuleType:
    """The module of `convexlib.stimuli` that knows these images."""
    return import_module(f"convexlib.stimuli.{stimuli.kind}")


def _path(study: str) -> Path:
    if study in names():
        return ROOT / "studies" / f"{study}.yaml"
    path = Path(study).expanduser()
    if path.suffix == ".yaml" and path.is_file():
        return path
    raise ValueError(
        f"unknown study {study!r}; choose one of: {', '.join(names())}, "
        "or give the path of a .yaml file"
    )


def _content(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        problem = " ".join(str(error).split())
        raise ValueError(f"study file {str(path)!r} is not valid YAML: {problem}") from error
    if not isinstance(content, dict):
        raise ValueError(f"study file {str(path)!r} holds no keys; see studies/colors.yaml")
    return content


def _read(path: Path, settings: Mapping[str, Any]) -> StudyFile:
    content = _content(path)
    if content.get("models") in names():  # the models of another study
        content["models"] = _content(_path(content["models"])).get("models", [])
    if settings and isinstance(content.get("measures"), dict):
        content["measures"] |= settings
    try:
        return StudyFile.model_validate(content, context=path.resolve().parent)
    except ValidationError as error:
        first = error.errors()[0]
        if not first["loc"]:  # about several keys, which the message names
            raise ValueError(f"study file {str(path)!r}: {first['ctx']['error']}") from error
        loc, given = first["loc"], first["input"]
        if first["type"].startswith("union_tag"):
            loc, given = (*loc, "kind"), given.get("kind")
        # Within the stimuli, pydantic also names the kind.
        loc = (loc[0], *loc[2:]) if loc[0] == "stimuli" and loc[1:2] != ("kind",) else loc
        key = ".".join(str(part) for part in loc)
        value = "" if first["type"] == "missing" else f" (value {given!r})"
        remedy = {
            "extra_forbidden": "no such key; remove it or correct its spelling",
            "missing": "missing; add it",
        }.get(first["type"], first["msg"])
        raise ValueError(f"study file {str(path)!r}, key {key!r}{value}: {remedy}") from error


def _extent(stimuli: Stimuli) -> tuple[int, int]:
    """How many concepts there are, and test images of the concept that has fewest."""
    if isinstance(stimuli, ColorStimuli):
        return len(WAVELENGTHS), stimuli.test_per_hue
    if isinstance(stimuli, FolderStimuli):
        from convexlib.stimuli.folder import find_images

        found = find_images(stimuli.images).values()
        return len(found), min(len(paths) for _, paths in found)
    return _N_CONCEPTS[stimuli.kind], 1


def _zoo_models(zoo: Zoo) -> tuple[Model, ...]:
    return tuple(
        Model(
            f"{family}-{size}-{variant}",
            family,
            size,
            variant,
            seed,
            objective=_OBJECTIVES[family],
            architecture=_ARCHITECTURES[family],
            training_data="coloured shapes",
        )
        for family in zoo.families
        for size in zoo.sizes
        for variant in VARIANTS
        for seed in zoo.seeds
    )


def _listed(name: str, checkpoint: Checkpoint) -> Model:
    """A model that the study file lists."""
    from convexlib.checkpoints import locate

    return Model(
        name,
        source=locate(checkpoint.source),
        **checkpoint.model_dump(exclude={"source"}),
    )


def _name(source: str) -> str:
    """What a checkpoint is called: the last part of its path or of its name on the hub."""
    here = Path(source).expanduser()
    return here.resolve().name if here.is_dir() else source.rsplit("/", maxsplit=1)[-1]


def _found(source: str, known: Collection[str]) -> Model | None:
    """A model from outside the study; None for one of its own."""
    if source in known:
        return None
    from convexlib.checkpoints import locate

    try:
        folder = locate(source)
    except ValueError as error:
        if "/" in source:
            raise
        raise ValueError(f"{error}; the study's own models are: {', '.join(known)}") from error
    config = json.loads((folder / "config.json").read_text())
    model_type = config["model_type"]
    classifies = any("Classification" in name for name in config.get("architectures") or ())
    return Model(
        name=_name(source),
        family=_FAMILY_OF_MODEL_TYPE.get(model_type, model_type),
        size=ADDED,
        variant="finetuned" if classifies else "pretrained",
        source=folder,
    )

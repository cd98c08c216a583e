"""What a study is: stimuli, human judgments, models and settings, read from one YAML file."""

import json
import re
import shlex
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from convexlib.settings import (
    AddedCheckpoint,
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

C = TypeVar("C", bound=AddedCheckpoint)

FACTORS = ("objective", "architecture", "size", "training data", "fine-tuning")
"""What may make a model more human, as Muttenthaler et al. (2022) group models."""

UNKNOWN = "unknown"

LEVELS = (*_OBJECTIVES.values(), *_ARCHITECTURES.values(), "base", "large", "none", "fine-tuned")
"""Levels of factors that the text speaks of, whether a study has them or not."""


@dataclass(frozen=True)
class Model:
    """One checkpoint of a study: trained here with a seed, or found at a source.

    `parent` is the id of the model that it was fine-tuned from, if that is known. A model that the
    reader `added` is drawn beside those of the study; `counted` says whether estimates over models
    take it in.
    """

    name: str
    family: str
    size: str
    variant: str
    seed: int | None = None
    source: Path | None = None
    revision: str | None = None
    parent: str | None = None
    objective: str = UNKNOWN
    architecture: str = UNKNOWN
    training_data: str = UNKNOWN
    added: bool = False
    counted: bool = True

    @property
    def attributes(self) -> dict[str, str]:
        """Its level of each of `FACTORS`."""
        values = (
            self.objective,
            self.architecture,
            UNKNOWN if self.added else self.size,
            self.training_data,
            {"finetuned": "fine-tuned", "pretrained": "none"}[self.variant],
        )
        return dict(zip(FACTORS, values, strict=True))

    @property
    def id(self) -> str:
        """Name that no other model of the study has."""
        return self.name if self.seed is None else f"{self.name}-seed{self.seed}"

    @property
    def kind(self) -> str:
        """What it has in common with models that differ from it by their seed alone."""
        if self.added:
            return self.name
        known = (self.family, self.size, self.objective, self.architecture, self.training_data)
        return ", ".join(known)


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

    def parent(self, model: Model) -> Model | None:
        """The model that one trained here was fine-tuned from, whether it was chosen or not."""
        trained = _zoo_models(self.file.zoo) if self.file.zoo else ()
        return next((other for other in trained if other.id == model.parent), None)

    def root(self, model: Model) -> Model:
        """The model that it goes back to: its parent, or the parent of that, as far as known."""
        of_id = {other.id: other for other in self.models}
        while model.parent in of_id:
            model = of_id[model.parent]
        return model

    def batches(self) -> dict[str, tuple[Model, ...]]:
        """Models that share a process, by name: a family and size of the zoo, or one checkpoint."""
        batches: dict[str, tuple[Model, ...]] = {}
        for model in self.models:
            name = f"{model.family}-{model.size}" if model.source is None else model.name
            name = f"{ADDED}-{name}" if model.added else name
            batches[name] = (*batches.get(name, ()), model)
        return batches


def names() -> list[str]:
    """Names of the studies that the project comes with."""
    return sorted(path.stem for path in (ROOT / "studies").glob("*.yaml"))


def load(
    study: str,
    *,
    models: str | Sequence[str] | None = (),
    add_models: str | Sequence[str] | None = (),
    count_added: bool = False,
    settings: Mapping[str, Any] | None = None,
) -> Study:
    """Read and check a study file, and find its models.

    Parameters
    ----------
    study : str
        A name in ``studies/``, or the path of a YAML file.
    models : sequence of str, or str
        Only these: names of the study's own models (all their seeds), folders of checkpoints,
        names on the Hugging Face hub, or YAML files that list models and say more of each. In a
        single string they are separated by blanks. Empty: all models of the study.
    add_models : sequence of str, or str
        Folders, hub names or YAML files of models to measure besides.
    count_added : bool, default=False
        Whether estimates over models take in those that `add_models` names. They are drawn in
        any case. What `models` names always counts.
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
    models, add_models = (
        [_absolute(name) for name in several(given, argument)]
        for given, argument in ((models, "models"), (add_models, "add_models"))
    )
    own = [m for m in _zoo_models(file.zoo) if not models or m.name in models] if file.zoo else []
    listed, found = _checkpoints(file, models, add_models)
    of_file = _named(file.models, ())
    chosen = own + [_listed(name, checkpoint, of_file) for name, checkpoint in listed.items()]
    own_names = _own_names(file)
    asked = {checkpoint.source for name in models for checkpoint in _given(name)}
    chosen += [
        _added(name, checkpoint, counted=count_added or checkpoint.source in asked, own=own_names)
        for name, checkpoint in found.items()
    ]
    ids = [model.id for model in chosen]
    for model in chosen:
        if ids.count(model.id) > 1:
            raise ValueError(f"two models are called {model.id!r}; rename the folder of one")
    named = study if study in names() else str(path.resolve())
    choice = {
        "study": named,
        "models": models,
        "add_models": add_models,
        "count_added": count_added,
        "settings": dict(settings or {}),
    }
    return Study(path.stem, file, tuple(chosen), choice)


def sources(
    study: str,
    *,
    models: str | Sequence[str] | None = (),
    add_models: str | Sequence[str] | None = (),
) -> tuple[tuple["Source", ...], tuple[str, ...]]:
    """What a study needs from elsewhere: files, and models, by folder or name on the hub.

    Parameters
    ----------
    study, models, add_models
        As in `load`.
    """
    file = _read(_path(study), {})
    given = (several(models, "models"), several(add_models, "add_models"))
    listed, found = _checkpoints(file, *given)
    checkpoints = [*listed.values(), *found.values()]
    return tuple(kind_of(file.stimuli).SOURCES), tuple(c.source for c in checkpoints)


def check_stimuli(study: str) -> None:
    """Raise a one-line ValueError for a mistake in the stimuli or judgments, if one can be seen.

    Parameters
    ----------
    study : str
        As in `load`.
    """
    file = _read(_path(study), {})
    kind_of(file.stimuli).check(file.stimuli)


def several(given: str | Sequence[str] | None, argument: str) -> list[str]:
    """Names and paths from a list, or from a string in which blanks part them.

    A blank in a path needs no quotes where the path is that of a folder or file.
    """
    if given is None:
        return []
    if not isinstance(given, str):
        if not isinstance(given, Sequence) or not all(isinstance(name, str) for name in given):
            raise ValueError(f"{argument} is {given!r}; give a list of names")
        return list(given)
    if Path(given).expanduser().exists():
        return [given] if given.strip() else []
    try:
        words = shlex.split(given)
    except ValueError as error:
        raise ValueError(f"{argument} is {given!r}: {error}; give a list of names") from error
    names = []
    while words:
        lengths = range(len(words), 1, -1)
        n = next((n for n in lengths if Path(" ".join(words[:n])).expanduser().exists()), 1)
        names.append(" ".join(words[:n]))
        del words[:n]
    return names


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


def _yaml(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        problem = " ".join(str(error).split())
        raise ValueError(f"study file {str(path)!r} is not valid YAML: {problem}") from error


def _content(path: Path) -> dict[str, Any]:
    content = _yaml(path)
    if not isinstance(content, dict):
        raise ValueError(f"study file {str(path)!r} holds no keys; see studies/colors.yaml")
    return content


def _read(path: Path, settings: Mapping[str, Any]) -> StudyFile:
    content = _content(path)
    if content.get("models") in names():  # the models of another study
        content["models"] = _content(_path(content["models"])).get("models", [])
    if settings and isinstance(content.get("measures"), dict):
        content["measures"] |= settings
    with _explained(path):
        return StudyFile.model_validate(content, context=path.resolve().parent)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Let a mistake that pydantic finds be one line with its key, value and remedy."""
    try:
        yield
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
            parent=None if variant == VARIANTS[0] else f"{family}-{size}-{VARIANTS[0]}-seed{seed}",
            objective=_OBJECTIVES[family],
            architecture=_ARCHITECTURES[family],
            training_data="coloured shapes",
        )
        for family in zoo.families
        for size in zoo.sizes
        for variant in VARIANTS
        for seed in zoo.seeds
    )


def _own_names(file: StudyFile) -> list[str]:
    trained = [model.name for model in _zoo_models(file.zoo)] if file.zoo else []
    return [*dict.fromkeys(trained), *_named(file.models, ())]


def _checkpoints(
    file: StudyFile, models: Sequence[str], add_models: Sequence[str]
) -> tuple[dict[str, Checkpoint], dict[str, AddedCheckpoint]]:
    """Which checkpoints are meant, by name: those that the study lists, and others."""
    listed = _named(file.models, ())
    own = _own_names(file)
    # One of the study's own may be asked for by its name or by where it comes from.
    known = {checkpoint.source: name for name, checkpoint in listed.items()}
    chosen = {known.get(name, name) for name in models}
    others = [
        checkpoint
        for name in dict.fromkeys([*models, *add_models])
        for checkpoint in _given(name)
        if name not in own and checkpoint.source not in known
    ]
    others = list({checkpoint.source: checkpoint for checkpoint in others}.values())
    listed = {name: of_name for name, of_name in listed.items() if not models or name in chosen}
    return listed, _named(others, own)


def _given(name: str) -> list[AddedCheckpoint]:
    """A checkpoint by its folder or name, or those that a YAML file lists."""
    path = Path(name).expanduser()
    if path.suffix not in (".yaml", ".yml") or not path.is_file():
        return [AddedCheckpoint(source=_absolute(name))]
    content = _yaml(path)
    if not isinstance(content, list):
        raise ValueError(f"{name!r} is no list of models; see the page 'Rerun with a new model'")
    adapter = TypeAdapter(list[AddedCheckpoint])
    with _explained(path):
        return adapter.validate_python(content, context=path.resolve().parent)


def _named(checkpoints: Sequence[C], taken: Collection[str]) -> dict[str, C]:
    """Checkpoints by the names that they were given, or by as much of their paths as tells them
    apart."""
    paths = [_parts(checkpoint.source) for checkpoint in checkpoints]
    named: dict[str, C] = {}
    for checkpoint, path in zip(checkpoints, paths, strict=True):
        n_parts = 1
        while n_parts < len(path) and (
            [other[-n_parts:] for other in paths].count(path[-n_parts:]) > 1
            or "-".join(path[-n_parts:]) in taken
        ):
            n_parts += 1
        name = checkpoint.name or "-".join(path[-n_parts:])
        if name in named or name in taken:
            raise ValueError(f"two models are called {name!r}; give one another name")
        named[name] = checkpoint
    return named


def _parts(source: str) -> list[str]:
    """The parts of a path or of a name on the hub, in letters that files and commands can have."""
    if Path(source).is_dir():
        parts = [*Path(source).parts[1:]]
    else:
        name, _, revision = source.partition("@")
        parts = name.split("/")
        parts[-1] += f"-{revision}" if revision else ""
    return [re.sub(r"[^\w.-]+", "-", part) for part in parts]


def _absolute(name: str) -> str:
    """A path of what is there; anything else as it is."""
    path = Path(name).expanduser()
    return str(path.resolve()) if path.exists() else name


def _listed(name: str, checkpoint: Checkpoint, of_file: Mapping[str, Checkpoint]) -> Model:
    """A model that the study file lists."""
    from convexlib.checkpoints import locate, revision

    folder = locate(checkpoint.source)
    return Model(
        name,
        source=folder,
        revision=revision(folder),
        parent=_parent(name, checkpoint, of_file),
        **checkpoint.model_dump(exclude={"source", "name", "parent"}),
    )


def _parent(name: str, checkpoint: Checkpoint, listed: Mapping[str, Checkpoint]) -> str | None:
    if checkpoint.parent is not None:
        if checkpoint.parent not in listed or checkpoint.parent == name:
            raise ValueError(
                f"the parent of model {name!r} is {checkpoint.parent!r}; name another one of: "
                + ", ".join(listed)
            )
        return checkpoint.parent
    alike = [
        other
        for other, of_other in listed.items()
        if of_other.variant == VARIANTS[0]
        and (of_other.family, of_other.size) == (checkpoint.family, checkpoint.size)
    ]
    return alike[0] if checkpoint.variant != VARIANTS[0] and len(alike) == 1 else None


def _added(name: str, checkpoint: AddedCheckpoint, *, counted: bool, own: Sequence[str]) -> Model:
    """A model from outside the study; what the reader does not say, its configuration may."""
    from convexlib.checkpoints import locate, revision

    try:
        folder = locate(checkpoint.source)
    except ValueError as error:
        if "/" in checkpoint.source:
            raise
        raise ValueError(f"{error}; the study's own models are: {', '.join(own)}") from error
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    of_timm = config.get("architecture", UNKNOWN)  # as they are on the hub
    model_type = config.get("model_type", of_timm)
    classifies = any("Classification" in name for name in config.get("architectures") or ())
    return Model(
        name=name,
        family=checkpoint.family or _FAMILY_OF_MODEL_TYPE.get(model_type, model_type),
        size=ADDED,
        variant=checkpoint.variant or VARIANTS[classifies],
        source=folder,
        revision=revision(folder),
        added=True,
        counted=counted,
        **checkpoint.model_dump(include={"parent", "objective", "architecture", "training_data"}),
    )

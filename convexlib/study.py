"""What a study is: stimuli, human judgments, models and settings, read from one YAML file."""

import json
import re
import shlex
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    InstanceOf,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from convexlib.data import Stimuli, of_kind
from convexlib.measures import OF_ALIGNET
from convexlib.models import embeddings, families
from convexlib.settings import (
    TARGETS,
    UNKNOWN,
    VARIANTS,
    Alignment,
    Checkpoint,
    Measures,
    Pooling,
    Recipe,
    TrainedModels,
)
from convexlib.store import ROOT

if TYPE_CHECKING:
    from convexlib.data.downloads import Source

CONCLUSIVE = (
    "convexity",
    "odd_one_out",
    "rsa",
    "transformed_convexity",
    "other_half_odd_one_out",
    "held_out_odd_one_out",
)
"""What is measured of a study with other settings: files of `measures`, on which claims rest.

Without those that take longest: held-out convexity, learned names, and what carries over.
"""

OF_STUDENTS = ("convexity", "disagreement", *OF_ALIGNET)
"""What is measured of the students of AligNet and of the models that they were made of."""

OF_BASELINES = ("convexity", "odd_one_out", "rsa")
"""What is measured of what no training made: files of `measures`."""

PLAIN, UNTRAINED = "plain", "untrained"
"""Baselines: features that no model is needed for, and models with random weights."""

ADDED = "added"
"""The size of a model that the reader added: it belongs to none of the study's sizes."""


@dataclass(frozen=True)
class Model:
    """One checkpoint of a study, found at a source or trained by a recipe.

    Parameters
    ----------
    name : str
        The same for models that differ by their seed alone.
    attributes : mapping of str
        What is known of it: family, size, variant, objective, architecture, training data. All
        models of a study have the same ones.
    seed : int, optional
    source : Path, optional
    revision : str, optional
        Commit on the hub.
    recipe : Recipe, optional
    parent : str, optional
        Id of the model that it was made from, if that is known.
    added, counted : bool
        A model that the reader added is drawn beside those of the study; `counted` says whether
        estimates over models take it in.
    baseline : str
        `PLAIN` or `UNTRAINED`, if it is one: then its name is that of the features, or it is `like`
        another but for its weights.
    like : Model, optional
    """

    name: str
    attributes: Mapping[str, str]
    seed: int | None = None
    source: Path | None = None
    revision: str | None = None
    recipe: Recipe | None = None
    parent: str | None = None
    added: bool = False
    counted: bool = True
    baseline: str = ""
    like: "Model | None" = None

    def __hash__(self) -> int:
        return hash(self.id)

    def __getattr__(self, name: str) -> str:
        """An attribute by its name, such as ``model.family``."""
        try:
            return self.__dict__["attributes"][name]
        except KeyError:
            raise AttributeError(f"a model has no {name!r}") from None

    @property
    def id(self) -> str:
        """Name that no other model of the study has."""
        return _id(self.name, self.seed)

    @property
    def is_features(self) -> bool:
        """Whether it is a file of features, and nothing is left to compute them."""
        return self.source is not None and embeddings.is_one(self.source)

    @property
    def kind(self) -> str:
        """What it has in common with models that differ from it by their seed alone."""
        known = [value for name, value in self.attributes.items() if name != "variant"]
        return self.name if self.added else ", ".join(known)


class StudyFile(BaseModel):
    """The content of a study file.

    Of the stimuli in `also`, the reference images and the judgments of these are sets of judgments
    beside those of `stimuli`. How far verdicts hang on settings is tried by `sensitivity`: what
    each of the other settings is called, and which values under `measures` it replaces.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str
    stimuli: InstanceOf[Stimuli]
    also: tuple[InstanceOf[Stimuli], ...] = ()
    training: TrainedModels | None = None
    models: tuple[Checkpoint, ...] = ()
    alignet: Alignment | None = None
    measures: Measures
    sensitivity: dict[str, dict[str, Any]] = {}

    @model_validator(mode="after")
    def _models_are_trained_or_listed(self) -> "StudyFile":
        trains = self.stimuli.TRAINS
        if self.training is not None and not trains:
            raise ValueError(
                f"stimuli.kind is {self.stimuli.kind!r}, on which no models can be trained; list "
                "models instead"
            )
        if not self.training and not self.models:
            raise ValueError(
                "models is empty; list at least one checkpoint" + (" or give training" * trains)
            )
        return self

    @model_validator(mode="after")
    def _teacher_is_a_model(self) -> "StudyFile":
        if self.alignet is None:
            return self
        listed = _named(self.models, ())
        names = [model.id for model in trained(self)]
        names += [name for name, known in listed.items() if not embeddings.is_one(known.source)]
        if self.alignet.teacher not in names:
            raise ValueError(
                f"alignet.teacher is {self.alignet.teacher!r}; choose one of: {', '.join(names)}"
            )
        seeds = self.training.seeds if self.training else self.alignet.seeds
        if unknown := sorted({*self.alignet.seeds} - {*seeds}):
            raise ValueError(
                f"alignet.seeds has {unknown[0]}, from which no model is trained; choose of: "
                + ", ".join(map(str, seeds))
            )
        return self

    @model_validator(mode="after")
    def _kinds_are_distinct(self) -> "StudyFile":
        kinds = [about.kind for about in (self.stimuli, *self.also)]
        for kind in kinds:
            if kinds.count(kind) > 1:
                raise ValueError(f"also has stimuli of kind {kind!r} again; list other kinds")
        return self

    @model_validator(mode="after")
    def _other_settings_are_some(self) -> "StudyFile":
        suffixes = [_suffix(name) for name in self.sensitivity]
        for name, suffix in zip(self.sensitivity, suffixes, strict=True):
            if suffix in ("", "-") or suffixes.count(suffix) > 1:
                raise ValueError(
                    f"sensitivity has {name!r}, whose letters and digits are none or those of "
                    "another; rename it"
                )
            try:
                _fits(self.stimuli, self.with_settings(name).measures)
            except ValueError as error:
                said = error.errors()[0] if isinstance(error, ValidationError) else None
                key = ".".join(["sensitivity", name, *map(str, said["loc"] if said else ())])
                raise ValueError(f"{key}: {said['msg'] if said else error}") from error
        return self

    @model_validator(mode="after")
    def _measures_fit_the_stimuli(self) -> "StudyFile":
        _fits(self.stimuli, self.measures)
        return self

    def with_settings(self, name: str) -> "StudyFile":
        """The same with the other settings of this name."""
        measures = self.measures.model_dump()
        for key, value in self.sensitivity[name].items():
            within = isinstance(value, dict) and isinstance(measures.get(key), dict)
            measures[key] = measures[key] | value if within else value
        return self.model_copy(update={"measures": Measures.model_validate(measures)})


def _fits(stimuli: Stimuli, measures: Measures) -> None:
    """Raise a ValueError if there are too few concepts or images for these settings."""
    n_concepts, per_concept = stimuli.extent
    n_folds, n_neighbors = measures.transform.n_folds, measures.n_neighbors
    if n_folds > n_concepts // 3:
        raise ValueError(
            f"measures.transform.n_folds is {n_folds}; choose at most {n_concepts // 3}, so "
            f"that every fold of the {n_concepts} concepts holds a triplet"
        )
    fewest = n_concepts // n_folds * max(1, round(measures.share_of_images * per_concept))
    if n_neighbors >= fewest:
        raise ValueError(
            f"measures.n_neighbors is {n_neighbors}, but a fold may have {fewest} test images; "
            "choose fewer neighbours, fewer folds or more images"
        )


@dataclass(frozen=True, eq=False)
class Study:
    """A study file together with the models chosen from it and added to it.

    `choice` is how it was asked for: ``load(**study.choice)`` gives the same study again.
    `measures` are files of `measures`; if none is named, all but those of AligNet alone. What is
    measured in another way than the study file says has a `suffix` to its name where that makes a
    difference; `origin` is then the study as the file says.
    """

    name: str
    file: StudyFile
    models: tuple[Model, ...]
    choice: Mapping[str, Any]
    measures: tuple[str, ...] = ()
    suffix: str = ""
    varied_of: "Study | None" = None

    @property
    def origin(self) -> "Study":
        return self.varied_of or self

    @cached_property
    def students(self) -> "Study":
        """The same study with the students of AligNet, and what they are made of, alone.

        Of the models that were chosen. It has no models where the study file has no section
        `alignet`, or none of these can be a student, or its teacher is listed and was not chosen.
        """
        about = self.file.alignet
        models = _with_students(self.file, self.models) if about else []
        if about and about.teacher not in self.known:
            models = []
        return replace(self, models=tuple(models), measures=OF_STUDENTS)

    @cached_property
    def baselines(self) -> "Study":
        """The same study with what no training made: plain features, and untrained models.

        Of each family and size that was chosen, one untrained model. None of them is counted.
        """
        names = dict.fromkeys(self.models[0].attributes, "")
        found = [
            Model(name, {**names, "family": name, "variant": PLAIN}, baseline=PLAIN, counted=False)
            for name in self.stimuli.PLAIN
            if any(not model.is_features for model in self.models)
        ]
        begun = {
            (model.family, model.size): model
            for model in reversed(self.models)
            if not (model.added or model.is_features)
        }
        for (family, size), model in sorted(begun.items()):
            about = {**model.attributes, "variant": UNTRAINED}
            made = {"like": model, "baseline": UNTRAINED, "counted": False}
            found.append(Model(f"{family}-{size}-{UNTRAINED}", about, **made))
        return replace(self, models=tuple(found), measures=OF_BASELINES)

    def pooled(self, pooling: Pooling) -> "Study":
        """The same study with features that are pooled in this way."""
        settings = self.file.measures
        if pooling == settings.pooling:
            return self
        changed = settings.model_copy(update={"pooling": pooling})
        file = self.file.model_copy(update={"measures": changed})
        alike = (v.suffix for v in self.variations.values() if v.file.measures.pooling == pooling)
        suffix = next(alike, f"-{pooling}")
        return replace(self, file=file, suffix=suffix, varied_of=self.origin)

    @cached_property
    def of_all_images(self) -> "Study":
        """The same study of all test images: what is asked of judgments alone is asked of it."""
        settings = self.file.measures
        if settings.share_of_images == 1:
            return self
        every = settings.model_copy(update={"share_of_images": 1.0})
        return replace(self, file=self.file.model_copy(update={"measures": every}))

    @cached_property
    def variations(self) -> dict[str, "Study"]:
        """The same study with each of the other settings, as far as claims need it.

        Of models that are not counted nothing is claimed, and students have a teacher of their own
        settings. By another pooling, of models that are trained here alone: not every other has a
        class token.
        """
        found = {}
        for name in self.file.sensitivity:
            file = self.file.with_settings(name)
            repooled = file.measures.pooling != self.file.measures.pooling
            models = tuple(
                model
                for model in self.models
                if model.counted and model.variant in VARIANTS and (not repooled or model.recipe)
            )
            if models:
                varied = replace(self, file=file, models=models, measures=CONCLUSIVE)
                found[name] = replace(varied, suffix=_suffix(name), varied_of=self.origin)
        return found

    @cached_property
    def poolings(self) -> dict[str, "Study"]:
        """The study by its own pooling and by others, where there are any."""
        own = self.file.measures.pooling
        by = {study.file.measures.pooling: study for study in self.variations.values()}
        others = {pooling: study for pooling, study in by.items() if pooling != own}
        models = tuple(model for model in self.models if model.recipe)
        return {own: replace(self, models=models), **others} if others else {}

    @property
    def stimuli(self) -> Stimuli:
        return self.file.stimuli

    @property
    def by_kind(self) -> dict[str, Stimuli]:
        """Its stimuli, and then those whose judgments it takes besides."""
        return {about.kind: about for about in (self.stimuli, *self.file.also)}

    @property
    def n_sets(self) -> int:
        """How many sets of judgments there are."""
        return sum(about.n_sets for about in self.by_kind.values())

    @cached_property
    def known(self) -> dict[str, Model]:
        """All models by their ids, also those that it trains and were not chosen."""
        own = trained(self.file)
        every = (*own, *_with_students(self.file, own), *self.models)
        return {model.id: model for model in every}

    def root(self, model: Model) -> Model:
        """The model that it goes back to: its parent, or the parent of that, as far as chosen."""
        chosen = {other.id: other for other in self.models}
        while model.parent in chosen:
            model = chosen[model.parent]
        return model


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
    own = trained(file)
    students = [model for model in _with_students(file, own) if model.name in models]
    chosen = [model for model in own if not models or model.name in models]
    chosen += [model for model in students if model not in chosen]
    listed, found = _checkpoints(file, models, add_models)
    own = {m.id: m for m in (*own, *students)} | _named(file.models, ())
    asked = {checkpoint.source for name in models for checkpoint in _given(name)}
    chosen += [_found(checkpoint, own) for checkpoint in listed]
    chosen += [
        _found(checkpoint, own, count_added or checkpoint.source in asked) for checkpoint in found
    ]
    ids = [model.id for model in chosen]
    for model in chosen:
        if ids.count(model.id) > 1:
            raise ValueError(f"two models are called {model.id!r}; rename the folder of one")
    _check_parents(own | dict(zip(ids, chosen, strict=True)))
    if features := [model.id for model in chosen if model.is_features]:
        if not file.stimuli.FEATURES:
            raise ValueError(
                f"features {features[0]!r} are of test images, and people judged other images of "
                f"stimuli of kind {file.stimuli.kind!r}; give the checkpoint that they are from"
            )
        only = len(features) == len(chosen)
        stimuli = file.stimuli.without_images() if only else file.stimuli
        file = file.model_copy(update={"stimuli": stimuli, "also": ()})  # of these there are none
    named = study if study in names() else str(path.resolve())
    choice = {
        "study": named,
        "models": models,
        "add_models": add_models,
        "count_added": count_added,
        "settings": dict(settings or {}),
    }
    return Study(path.stem, file, tuple(chosen), choice)


def trained(file: StudyFile) -> list[Model]:
    """Models that a study trains: every family at every size from every seed, then fine-tuned."""
    if file.training is None:
        return []
    training, models = file.training, []
    for family in training.families:
        about = families.known()[family]
        for size, architecture in training.sizes.items():
            attributes = {
                "family": family,
                "size": size,
                "variant": VARIANTS[0],
                "objective": about.OBJECTIVE,
                "architecture": about.ARCHITECTURE,
                "training data": file.stimuli.DATA,
            }
            scratch = Recipe(
                family=family,
                training=training.pretraining,
                architecture=architecture,
                patch_size=training.patch_size,
            )
            first, second = (f"{family}-{size}-{variant}" for variant in VARIANTS)
            models += [Model(first, attributes, seed, recipe=scratch) for seed in training.seeds]
            tuned = attributes | {"variant": VARIANTS[1]}
            again = Recipe(family=family, training=training.finetuning)
            models += [
                Model(
                    second,
                    tuned,
                    start.seed,
                    recipe=again,
                    parent=start.id,
                )
                for start in models[-len(training.seeds) :]
            ]
    return models


def _with_students(file: StudyFile, models: Iterable[Model]) -> list[Model]:
    """Models that students of AligNet are made of, and these; none where there is no teacher."""
    if file.alignet is None:
        return []
    seeds, found = (None, *file.alignet.seeds), []
    bases = [
        model
        for model in models
        if (model.variant, model.parent) == (VARIANTS[0], None)
        and model.seed in seeds
        and not (model.added or model.is_features)
    ]
    for target in TARGETS:
        recipe = {"training": file.alignet.distillation, "target": target}
        found += [
            Model(
                base.name.removesuffix(f"-{VARIANTS[0]}") + f"-{target}",
                {**base.attributes, "variant": target},
                base.seed,
                recipe=Recipe(family=base.family, **recipe),
                parent=base.id,
            )
            for base in bases
        ]
    return bases + found


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
    models = [checkpoint.source for some in _checkpoints(file, *given) for checkpoint in some]
    features = [source for source in models if embeddings.is_one(source)]
    trains = file.training is not None and not given[0]
    only_features = features == models and not trains
    every = [file.stimuli.without_images()] if only_features else [file.stimuli, *file.also]
    needed = tuple(source for stimuli in every for source in stimuli.sources)
    return needed, tuple(source for source in models if source not in features)


def check_stimuli(study: str) -> None:
    """Raise a one-line ValueError for a mistake in the stimuli or judgments, if one can be seen.

    Parameters
    ----------
    study : str
        As in `load`.
    """
    file = _read(_path(study), {})
    for stimuli in (file.stimuli, *file.also):
        stimuli.check()


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
    if isinstance(content.get("stimuli"), dict):
        content["stimuli"] = _stimuli(path, "stimuli", content["stimuli"])
    if isinstance(also := content.get("also"), list):
        content["also"] = [
            _stimuli(path, f"also.{number}", each) if isinstance(each, dict) else each
            for number, each in enumerate(also)
        ]
    with _explained(path):
        return StudyFile.model_validate(content, context=path.resolve().parent)


def _stimuli(path: Path, key: str, content: dict[str, Any]) -> Stimuli:
    given = content.get("kind")
    try:
        kind = of_kind(str(given))
    except ValueError as error:
        raise ValueError(
            f"study file {str(path)!r}, key '{key}.kind' (value {given!r}): {error}"
        ) from error
    with _explained(path, *key.split(".")):
        return kind.model_validate(content, context=path.resolve().parent)


@contextmanager
def _explained(path: Path, *within: str) -> Iterator[None]:
    """Let a mistake that pydantic finds be one line with its key, value and remedy."""
    try:
        yield
    except ValidationError as error:
        first = error.errors()[0]
        if not first["loc"] and "ctx" in first:  # about several keys, which the message names
            raise ValueError(f"study file {str(path)!r}: {first['ctx']['error']}") from error
        key = ".".join(map(str, [*within, *first["loc"]]))
        value = "" if first["type"] == "missing" else f" (value {first['input']!r})"
        remedy = {
            "extra_forbidden": "no such key; remove it or correct its spelling",
            "missing": "missing; add it",
        }.get(first["type"], first["msg"])
        raise ValueError(f"study file {str(path)!r}, key {key!r}{value}: {remedy}") from error


def _checkpoints(
    file: StudyFile, models: Sequence[str], add_models: Sequence[str]
) -> tuple[list[Checkpoint], list[Checkpoint]]:
    """Which checkpoints are meant: those that the study lists, and others."""
    listed = [*_named(file.models, ()).values()]
    trains = trained(file)
    own = {known.name for known in (*trains, *_with_students(file, trains), *listed)}
    sources = {checkpoint.source for checkpoint in listed}
    others = [
        checkpoint
        for name in dict.fromkeys([*models, *add_models])
        for checkpoint in _given(name)
        if name not in own and checkpoint.source not in sources
    ]
    others = list({checkpoint.source: checkpoint for checkpoint in others}.values())
    # One of the study's own may be asked for by its name or by where it comes from.
    chosen = [c for c in listed if not models or {c.name, c.source} & {*models}]
    return chosen, [*_named(others, own).values()]


def _given(name: str) -> list[Checkpoint]:
    """A checkpoint by its folder or name, or those that a YAML file lists."""
    path = Path(name).expanduser()
    if path.suffix not in (".yaml", ".yml") or not path.is_file():
        return [Checkpoint(source=_absolute(name))]
    content = _yaml(path)
    if not isinstance(content, list):
        raise ValueError(f"{name!r} is no list of models; see the page 'Rerun with a new model'")
    adapter = TypeAdapter(list[Checkpoint])
    with _explained(path):
        return adapter.validate_python(content, context=path.resolve().parent)


def _named(checkpoints: Sequence[Checkpoint], taken: Collection[str]) -> dict[str, Checkpoint]:
    """Checkpoints by their ids, called as they were given or by as much of their paths as tells
    them apart."""
    paths = [_parts(checkpoint.source) for checkpoint in checkpoints]
    named: dict[str, Checkpoint] = {}
    for checkpoint, path in zip(checkpoints, paths, strict=True):
        n_parts = 1
        while n_parts < len(path) and (
            [other[-n_parts:] for other in paths].count(path[-n_parts:]) > 1
            or "-".join(path[-n_parts:]) in taken
        ):
            n_parts += 1
        name = checkpoint.name or "-".join(path[-n_parts:])
        known = _id(name, checkpoint.seed)
        if known in named or name in taken:
            raise ValueError(f"two models are called {known!r}; give one another name")
        named[known] = checkpoint.model_copy(update={"name": name})
    return named


def _suffix(name: str) -> str:
    """Of names of results, so that files and commands can have it."""
    return re.sub(r"\W+", "-", f" {name.lower()} ").rstrip("-")


def _id(name: str, seed: int | None) -> str:
    return name if seed is None else f"{name}-seed{seed}"


def _parts(source: str) -> list[str]:
    """The parts of a path or of a name on the hub, in letters that files and commands can have."""
    if embeddings.is_one(source):
        parts = [*Path(source).with_suffix("").parts[1:]]
    elif Path(source).is_dir():
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


def _found(
    checkpoint: Checkpoint, own: Mapping[str, Model | Checkpoint], counted: bool | None = None
) -> Model:
    """A model that is listed, or one from outside the study, of which it is said if it counts.

    What is not said of it, its configuration may say.
    """
    source, config, commit = _located(checkpoint.source, own)
    of_timm = config.get("architecture", UNKNOWN)  # as they are on the hub
    model_type = config.get("model_type", of_timm)
    classifies = any("Classification" in name for name in config.get("architectures") or ())
    added = counted is not None
    attributes = {
        "family": checkpoint.family or families.of_model_type(model_type),
        "size": checkpoint.size or (ADDED if added else UNKNOWN),
        "variant": checkpoint.variant or VARIANTS[classifies],
        "objective": checkpoint.objective,
        "architecture": checkpoint.architecture,
        "training data": checkpoint.training_data,
    }
    return Model(
        checkpoint.name,
        attributes,
        checkpoint.seed,
        source=source,
        revision=commit,
        parent=checkpoint.parent or (None if added else _parent(attributes, own)),
        added=added,
        counted=counted is not False,
    )


def _located(
    source: str, own: Mapping[str, Model | Checkpoint]
) -> tuple[Path, dict[str, Any], str | None]:
    """Where a model lies, its configuration, and its commit on the hub."""
    from convexlib.models.checkpoints import locate, revision

    if embeddings.is_one(source):
        return Path(source), {}, None
    try:
        folder = locate(source)
    except ValueError as error:
        if "/" in source:
            raise
        names = dict.fromkeys(known.name for known in own.values())
        raise ValueError(f"{error}; the study's own models are: {', '.join(names)}") from error
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return folder, config, revision(folder)


def _parent(attributes: Mapping[str, str], own: Mapping[str, Model | Checkpoint]) -> str | None:
    """Of a fine-tuned model: the one listed model that is said to be it, pretrained."""
    alike = [
        known
        for known, of_known in own.items()
        if isinstance(of_known, Checkpoint)
        and of_known.variant == VARIANTS[0]
        and (of_known.family, of_known.size) == (attributes["family"], attributes["size"])
    ]
    return alike[0] if attributes["variant"] != VARIANTS[0] and len(alike) == 1 else None


def _check_parents(known: Mapping[str, Model | Checkpoint]) -> None:
    for lineage in ([name] for name in known):
        while (parent := known[lineage[-1]].parent) is not None:
            if parent not in known or parent in lineage:
                raise ValueError(
                    f"the parent of model {lineage[-1]!r} is {parent!r}; name another one of: "
                    + ", ".join(known)
                )
            lineage.append(parent)

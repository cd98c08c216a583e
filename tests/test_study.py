"""A study says what it holds, and refuses what it cannot use in one line that helps."""

import copy
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from transformers import (
    BertConfig,
    BertModel,
    ViTConfig,
    ViTForImageClassification,
    ViTImageProcessorPil,
    ViTModel,
)

from convexlib import book, cli, measures, pipeline, store
from convexlib import study as studies
from convexlib.store import ROOT
from tests.conftest import BIN, TINY, write_study

COLORS = yaml.safe_load((ROOT / "studies" / "colors.yaml").read_text())
TWELVE = [
    f"{family}-{size}-{variant}"
    for family in ("vit", "beit", "data2vec")
    for size in ("base", "large")
    for variant in ("pretrained", "finetuned")
]
VIT = ViTConfig(
    image_size=8,
    patch_size=4,
    hidden_size=8,
    num_hidden_layers=1,
    num_attention_heads=2,
    intermediate_size=8,
)


@pytest.fixture(scope="module")
def vit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "my-vit"
    ViTModel(VIT).save_pretrained(folder)
    ViTImageProcessorPil(size={"height": 8, "width": 8}).save_pretrained(folder)
    return folder


@pytest.fixture
def copied(vit: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(vit, tmp_path / "copied"))


def edited(tmp_path: Path, key: str, value: Any = None) -> str:
    """Path of the colour study with one key changed, or removed where there is no value."""
    content = copy.deepcopy(COLORS)
    inner = content
    *outer, last = key.split(".")
    for part in outer:
        inner = inner[part]
    inner[last] = value
    if value is None:
        del inner[last]
    return written(tmp_path, yaml.safe_dump(content))


def written(tmp_path: Path, text: str | bytes) -> str:
    path = tmp_path / "edited.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


def refusal(study: str, **options: Any) -> str:
    with pytest.raises(ValueError, match=r"\w") as caught:
        studies.load(study, **options)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    return message


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A study of the 92 images that lists one small checkpoint, which lies beside it."""
    return write_study(tmp_path / "mine.yaml", {"kind": "images92", "n_triplets": 200})


def with_models(path: Path, *changes: dict[str, Any]) -> str:
    """The study with its one checkpoint as often as there are changes, each with its own."""
    content = yaml.safe_load(path.read_text())
    entry = content["models"][0]
    changed = path.with_name("changed.yaml")
    models = [{**entry, **change} for change in changes]
    changed.write_text(yaml.safe_dump(content | {"models": models}))
    return str(changed)


@pytest.fixture
def convexlib(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[Any, str]]:
    """The command line with an empty store: what it exits with, and what it wrote."""

    def call(*arguments: str) -> tuple[Any, str]:
        monkeypatch.setattr(sys, "argv", ["convexlib", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return ended.value.code, "".join(capsys.readouterr())

    return call


def test_the_colour_study_has_twelve_models_from_three_seeds() -> None:
    models = studies.load("colors").models
    assert [*dict.fromkeys(model.name for model in models)] == TWELVE
    assert Counter(model.seed for model in models) == {0: 12, 1: 12, 2: 12}
    assert len({model.id for model in models}) == len(models) == 36
    for model in models:
        named = [model.attributes[key] for key in ("family", "size", "variant")]
        assert model.name == "-".join(named)
    assert {(m.name[:3], *[*m.attributes.values()][3:]) for m in models} == {
        ("vit", "labels", "absolute positions", "coloured shapes"),
        ("bei", "masked tokens", "relative positions", "coloured shapes"),
        ("dat", "masked latents", "relative positions", "coloured shapes"),
    }


def test_a_study_loads_the_same_by_name_and_by_path() -> None:
    by_name, by_path = studies.load("colors"), studies.load(str(ROOT / "studies" / "colors.yaml"))
    assert (by_name.name, by_name.file, by_name.models) == (
        by_path.name,
        by_path.file,
        by_path.models,
    )


def test_every_study_that_comes_with_the_project_loads() -> None:
    assert studies.names() == ["colors", "images92", "letters", "things"]
    assert studies.load("colors").name == "colors"
    # The others list models on the hub, which need a network; what they need is known without.
    files, models = studies.sources("images92")
    assert len(files) == 2
    assert len(models) == len(set(models)) == 12
    assert studies.sources("things")[1] == models
    assert studies.sources("colors") == ((), ())
    # With models of one's own, those that the study lists are not needed.
    own = "somebody/model"
    assert studies.sources("images92", models=own) == (files, (own,))
    assert studies.sources("images92", models=models[0])[1] == models[:1]


def test_a_study_loads_again_from_its_choice(vit: Path) -> None:
    study = studies.load(
        "colors", models=["vit-base-pretrained"], add_models=[str(vit)], settings={"pooling": "cls"}
    )
    again = studies.load(**study.choice)
    assert (again.name, again.file, again.models, again.choice) == (
        study.name,
        study.file,
        study.models,
        study.choice,
    )


def test_a_chosen_model_comes_with_all_its_seeds() -> None:
    study = studies.load("colors", models=["beit-large-finetuned", "vit-base-pretrained"])
    assert sorted(model.id for model in study.models) == [
        f"{name}-seed{seed}"
        for name in ("beit-large-finetuned", "vit-base-pretrained")
        for seed in (0, 1, 2)
    ]


def test_an_added_model_joins_those_of_the_study(vit: Path) -> None:
    study = studies.load("colors", add_models=[str(vit)])
    *own, added = study.models
    assert len(own) == 36
    assert (added.id, added.seed, added.source, added.kind) == ("my-vit", None, vit, "my-vit")
    assert added.attributes.keys() == own[0].attributes.keys()
    assert [*added.attributes.values()] == ["vit", studies.ADDED, "pretrained", *["unknown"] * 3]
    assert study.known["my-vit"] is added


def test_a_chosen_folder_leaves_the_studys_own_models_out(vit: Path) -> None:
    assert [model.id for model in studies.load("colors", models=[str(vit)]).models] == ["my-vit"]


def test_a_model_that_was_chosen_and_added_counts_once(vit: Path) -> None:
    study = studies.load("colors", models=[str(vit)], add_models=[f"{vit}/", "vit-base-pretrained"])
    assert [model.id for model in study.models] == ["my-vit"]


def test_a_model_with_a_classifier_counts_as_fine_tuned(copied: Path) -> None:
    ViTForImageClassification(VIT).save_pretrained(copied)
    (model,) = studies.load("colors", models=[str(copied)]).models
    assert model.attributes["variant"] == "finetuned"


def test_a_folder_may_be_given_as_the_place_where_one_is(
    vit: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(vit)
    (model,) = studies.load("colors", models=["."]).models
    assert model.name == "my-vit"


def test_settings_replace_those_of_the_file() -> None:
    before = studies.load("colors").file.measures
    after = studies.load("colors", settings={"n_neighbors": 5}).file.measures
    assert (before.n_neighbors, after.n_neighbors) == (10, 5)
    assert after.transform == before.transform


def jobs(study: studies.Study) -> dict[str, set[Path | None]]:
    """Of each job that represents models, where these come from."""
    found: dict[str, set[Path | None]] = {}
    for model in study.models:
        found.setdefault(pipeline.representations(study, model).job, set()).add(model.source)
    return found


def test_models_of_a_family_and_size_share_a_process(vit: Path) -> None:
    study = studies.load("colors", add_models=[str(vit)])
    own = [f"represent_{f}-{s}" for f in ("vit", "beit", "data2vec") for s in ("base", "large")]
    assert jobs(study) == {job: {None} for job in own} | {"represent_added-my-vit": {vit}}


def test_an_added_model_is_a_job_of_its_own_whatever_it_is_called(
    vit: Path, tmp_path: Path
) -> None:
    namesake = shutil.copytree(vit, tmp_path / "vit-base")
    study = studies.load("colors", models=["vit-base-pretrained", str(namesake)])
    assert [*jobs(study).values()] == [{None}, {namesake}]


def test_an_unknown_study_is_refused_with_those_there_are() -> None:
    message = refusal("no-such-study")
    assert "unknown study 'no-such-study'" in message
    assert "choose one of: colors" in message
    assert ".yaml" in message


def test_a_study_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    assert f"unknown study '{tmp_path}/absent.yaml'" in refusal(f"{tmp_path}/absent.yaml")


@pytest.mark.parametrize(
    ("key", "value", "named"),
    [
        ("stimulus", 3, ["'stimulus'", "(value 3)", "correct its spelling"]),
        ("measures.n_neighbours", 5, ["'measures.n_neighbours'", "(value 5)", "no such key"]),
        (
            "training.pretraining.momentum",
            0.9,
            ["'training.pretraining.momentum'", "(value 0.9)", "remove"],
        ),
        ("title", None, ["'title'", "missing; add it"]),
        ("measures", None, ["'measures'", "missing; add it"]),
        ("training.finetuning.epochs", None, ["'training.finetuning.epochs'", "missing; add it"]),
        ("title", 3, ["'title'", "(value 3)", "string"]),
        ("training", "big", ["'training'", "(value 'big')", "dictionary"]),
        (
            "training.pretraining.epochs",
            "many",
            ["'training.pretraining.epochs'", "'many'", "integer"],
        ),
        ("training.pretraining.epochs", 0, ["'training.pretraining.epochs'", "(value 0)", "1"]),
        (
            "training.pretraining.epochs",
            1.5,
            ["'training.pretraining.epochs'", "(value 1.5)", "integer"],
        ),
        (
            "training.finetuning.learning_rate",
            -1,
            ["learning_rate'", "(value -1)", "greater than 0"],
        ),
        (
            "training.finetuning.warmup",
            1.0,
            ["'training.finetuning.warmup'", "(value 1.0)", "less than 1"],
        ),
        (
            "training.families",
            ["vit", "resnet"],
            ["'training.families.1'", "'resnet'", "data2vec"],
        ),
        ("training.families", [], ["'training.families'", "(value [])", "at least 1"]),
        ("training.sizes", {}, ["'training.sizes'", "(value {})", "at least 1"]),
        ("training.seeds", [], ["'training.seeds'", "(value [])", "at least 1"]),
        ("training.seeds", ["one"], ["'training.seeds.0'", "(value 'one')", "integer"]),
        (
            "training.sizes.base.heads",
            5,
            ["'training.sizes.base'", "width 64", "multiple of heads 5"],
        ),
        ("training.patch_size", 5, ["'training.patch_size'", "(value 5)", "2, 4, 8 or 16"]),
        ("stimuli.kind", "shapes", ["'stimuli.kind'", "(value 'shapes')", "of: colors, folder"]),
        ("stimuli.kind", "files", ["'stimuli.kind'", "(value 'files')", "no such kind"]),
        ("stimuli.kind", "colors.x", ["'stimuli.kind'", "(value 'colors.x')", "no such kind"]),
        ("stimuli.kind", None, ["'stimuli.kind'", "no such kind"]),
        ("stimuli", None, ["'stimuli'", "missing; add it"]),
        ("stimuli", "colors", ["'stimuli'", "(value 'colors')"]),
        ("stimuli.test_per_shape", 3, ["'stimuli.test_per_shape'", "(value 3)", "no such key"]),
        ("stimuli.seed", -1, ["'stimuli.seed'", "(value -1)", "0"]),
        ("stimuli.test_per_hue", 0, ["'stimuli.test_per_hue'", "(value 0)", "equal to 2"]),
        ("measures.similarity", "l2", ["'measures.similarity'", "(value 'l2')", "'dot'"]),
        ("measures.transform.kinds", ["affine"], ["transform.kinds.0'", "'affine'", "'naive'"]),
        (
            "measures.transform.kinds",
            [],
            ["'measures.transform.kinds'", "(value [])", "at least 1"],
        ),
        ("measures.transform.lmbda", float("nan"), ["lmbda'", "(value nan)", "finite"]),
        ("measures.transform.n_folds", 1, ["'measures.transform.n_folds'", "(value 1)", "2"]),
    ],
)
def test_a_mistake_in_a_study_file_is_named_with_its_value_and_remedy(
    tmp_path: Path, key: str, value: Any, named: list[str]
) -> None:
    path = edited(tmp_path, key, value)
    message = refusal(path)
    assert [part for part in [repr(path), *named] if part not in message] == []


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("training.seeds", [-1]),
        ("measures.n_neighbors", 4 * COLORS["stimuli"]["test_per_hue"]),
        ("stimuli.test_per_hue", 1),
        ("measures.transform.n_folds", 5),
    ],
)
def test_what_would_fail_after_training_is_refused_before(
    tmp_path: Path, key: str, value: Any
) -> None:
    assert key.split(".")[-1] in refusal(edited(tmp_path, key, value))


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("title: [\n", "not valid YAML"),
        ("title: a: b\n", "line 1, column 9"),
        ("title: \x07\n", "not valid YAML"),
        ("title: caf\xe9\n".encode("latin-1"), "not valid YAML"),
        ("", "holds no keys"),
        ("# Nothing yet.\n", "holds no keys"),
        ("- colors\n", "holds no keys"),
        ("just words\n", "holds no keys"),
    ],
)
def test_a_file_that_is_no_study_is_refused_by_name(
    tmp_path: Path, text: str | bytes, named: str
) -> None:
    path = written(tmp_path, text)
    message = refusal(path)
    assert repr(path) in message
    assert named in message


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"n_neighbours": 5}, ["'measures.n_neighbours'", "(value 5)", "no such key"]),
        ({"n_neighbors": "few"}, ["'measures.n_neighbors'", "'few'", "integer"]),
        ({"pooling": "max"}, ["'measures.pooling'", "'max'", "'mean', 'cls' or 'tokens'"]),
        ({"training": {"seeds": [0]}}, ["'measures.training'", "no such key"]),
    ],
)
def test_settings_are_checked_like_the_file(settings: dict[str, Any], named: list[str]) -> None:
    message = refusal("colors", settings=settings)
    assert [part for part in named if part not in message] == []


@pytest.mark.parametrize("measures", ["", "[1]", "many"])
def test_settings_do_not_hide_that_the_files_own_are_wrong(tmp_path: Path, measures: str) -> None:
    path = written(tmp_path, yaml.safe_dump({**COLORS, "measures": yaml.safe_load(measures)}))
    assert "'measures" in refusal(path, settings={"n_neighbors": 5})


def test_a_folder_without_weights_is_refused(copied: Path) -> None:
    (copied / "model.safetensors").unlink()
    message = refusal("colors", add_models=[str(copied)])
    assert f"{str(copied)!r} holds no weights" in message
    assert "expected model.safetensors; save the model with save_pretrained()" in message


def test_weights_that_would_have_to_be_unpickled_are_refused(copied: Path) -> None:
    (copied / "model.safetensors").rename(copied / "pytorch_model.bin")
    assert "expected model.safetensors" in refusal("colors", add_models=[str(copied)])


@pytest.mark.parametrize(
    ("file", "content"),
    [
        *(("config.json", text) for text in (None, "", "{", "[]", "{}")),
        ("config.json", '{"model_type": "nonsense"}'),
        ("config.json", '{"model_type": "vit", "x'),
        ("config.json", '{"model_type": "vit", "hidden_size": "eight"}'),
        *(("preprocessor_config.json", text) for text in (None, "", "{", "[]")),
    ],
)
def test_a_folder_that_cannot_be_loaded_is_refused(
    copied: Path, file: str, content: str | None
) -> None:
    (copied / file).unlink()
    if content is not None:
        (copied / file).write_text(content)
    message = refusal("colors", add_models=[str(copied)])
    assert f"{str(copied)!r} cannot be loaded as a model of images (" in message
    assert "save the model and its image processor there with save_pretrained()" in message


def test_a_model_of_text_is_refused(tmp_path: Path) -> None:
    config = BertConfig(
        vocab_size=9,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=8,
    )
    BertModel(config).save_pretrained(tmp_path / "bert")
    message = refusal("colors", add_models=[str(tmp_path / "bert")])
    assert f"{str(tmp_path / 'bert')!r} cannot be loaded as a model of images" in message
    assert "text, audio and videos cannot be used" in message


def test_two_added_models_of_one_name_are_told_apart_by_their_folders(
    vit: Path, tmp_path: Path
) -> None:
    other = shutil.copytree(vit, tmp_path / "other" / "my-vit")
    models = studies.load("colors", models=[str(vit), str(other)]).models
    assert [model.name for model in models] == [f"{vit.parent.name}-my-vit", "other-my-vit"]
    assert [model.source for model in models] == [vit, other]


def test_two_listed_models_of_one_name_are_both_in_the_study(mine: Path) -> None:
    entries = []
    for run, variant in (("run0", "pretrained"), ("run1", "finetuned")):
        folder = shutil.copytree(mine.parent / "small", mine.parent / run / "checkpoint-500")
        entries.append({"source": str(folder), "variant": variant})
    study = with_models(mine, *entries)
    models = studies.load(study).models
    assert [model.name for model in models] == ["run0-checkpoint-500", "run1-checkpoint-500"]
    assert [model.parent for model in models] == [None, "run0-checkpoint-500"]
    (chosen,) = studies.load(study, models=["run1-checkpoint-500"]).models
    (by_source,) = studies.load(study, models=[entries[1]["source"]]).models
    assert chosen == by_source == models[1]
    study = with_models(mine, *(e | {"name": name} for e, name in zip(entries, "ab", strict=True)))
    assert [model.name for model in studies.load(study).models] == ["a", "b"]


def test_an_added_model_may_not_be_called_like_one_of_the_study(vit: Path, tmp_path: Path) -> None:
    other = shutil.copytree(vit, tmp_path / "vit-base-pretrained-seed0")
    assert "'vit-base-pretrained-seed0'; rename" in refusal("colors", add_models=[str(other)])


def test_seeds_of_one_kind_are_one_kind_and_their_parents_must_be_said(mine: Path) -> None:
    entries = [
        {"name": f"{variant}-{seed}", "variant": variant}
        for variant in ("pretrained", "finetuned")
        for seed in range(2)
    ]
    study = studies.load(with_models(mine, *entries))
    assert len({model.kind for model in study.models}) == 1
    assert [model.parent for model in study.models] == [None] * 4
    entries[3]["parent"] = "pretrained-1"
    study = studies.load(with_models(mine, *entries))
    assert [study.root(model).id for model in study.models] == [
        "pretrained-0",
        "pretrained-1",
        "finetuned-0",
        "pretrained-1",
    ]


@pytest.mark.parametrize("parent", ["nobody", "b", "c"])
def test_a_parent_is_another_model_and_not_its_own_child(mine: Path, parent: str) -> None:
    path = with_models(
        mine, {"name": "a"}, {"name": "b", "parent": parent}, {"name": "c", "parent": "b"}
    )
    assert f"the parent of model {'c' if parent == 'c' else 'b'!r} is" in refusal(path)
    assert "name another one of: a, b, c" in refusal(path)


def test_models_of_one_name_are_seeds_with_ids_of_their_own(
    vit: Path, mine: Path, tmp_path: Path
) -> None:
    seeds = [{"name": "a", "seed": 0}, {"name": "a", "seed": 1}]
    tuned = {"name": "b", "seed": 1, "variant": "finetuned", "parent": "a-seed1"}
    path = with_models(mine, *seeds, tuned)
    study = studies.load(path)
    assert [model.id for model in study.models] == ["a-seed0", "a-seed1", "b-seed1"]
    assert study.root(study.models[2]) is study.models[1]
    assert [m.id for m in studies.load(path, models="a").models] == ["a-seed0", "a-seed1"]
    assert "two models are called 'a-seed0'" in refusal(with_models(mine, seeds[0], seeds[0]))
    added = tmp_path / "mine-too.yaml"
    folders = [shutil.copytree(vit, tmp_path / f"run{seed}") for seed in (0, 1)]
    given = [{"source": str(f), **seed} for f, seed in zip(folders, seeds, strict=True)]
    added.write_text(yaml.safe_dump(given))
    models = studies.load("colors", models=str(added)).models
    assert [model.id for model in models] == ["a-seed0", "a-seed1"]
    assert {model.kind for model in models} == {"a"}


def test_a_model_that_says_nothing_of_itself_has_no_parent(mine: Path) -> None:
    nothing = dict.fromkeys(["family", "size", "variant"])
    path = with_models(
        mine, {"name": "a"} | nothing | {"variant": "pretrained"}, {"name": "b"} | nothing
    )
    assert [model.parent for model in studies.load(path).models] == [None, None]


def test_lineages_of_trained_models_are_seeds_and_kinds_are_not() -> None:
    study = studies.load("colors")
    assert len({study.root(model).id for model in study.models}) == 18
    assert len({study.root(model).kind for model in study.models}) == 6


@pytest.mark.parametrize(
    ("models", "add_models", "count_added", "counted"),
    [
        (["vit-base-pretrained"], ["{}"], False, [True, True, True, False]),
        (["vit-base-pretrained"], ["{}"], True, [True, True, True, True]),
        (["vit-base-pretrained", "{}"], [], False, [True, True, True, True]),
        (["{}"], ["{}"], False, [True]),
    ],
)
def test_a_model_that_was_added_counts_only_if_asked(
    vit: Path, models: list[str], add_models: list[str], count_added: bool, counted: list[bool]
) -> None:
    names = [[name.format(vit) for name in given] for given in (models, add_models)]
    study = studies.load("colors", models=names[0], add_models=names[1], count_added=count_added)
    assert [model.counted for model in study.models] == counted


def test_more_can_be_said_of_a_model_in_a_file(vit: Path, tmp_path: Path) -> None:
    shutil.copytree(vit, tmp_path / "my-vit")
    path = tmp_path / "my-models.yaml"
    said = {"name": "dino", "family": "dino", "variant": "finetuned", "objective": "views"}
    path.write_text(yaml.safe_dump([{"source": "my-vit"} | said]))
    (model,) = studies.load("colors", models=str(path)).models
    known = {"name": model.name, **model.attributes}
    assert known | said == known
    assert model.source == tmp_path / "my-vit"
    path.write_text(yaml.safe_dump([{"source": "my-vit", "variety": "x"}]))
    assert "key '0.variety' (value 'x'): no such key" in refusal("colors", add_models=[str(path)])
    path.write_text("source: my-vit\n")
    assert "is no list of models" in refusal("colors", add_models=[str(path)])


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("a b", ["a", "b"]),
        ("{}/my model", ["{}/my model"]),
        ("a {}/my model b", ["a", "{}/my model", "b"]),
        ("'{}/my model' b", ["{}/my model", "b"]),
        ("", []),
        (None, []),
        (["a b"], ["a b"]),
    ],
)
def test_blanks_part_names_but_not_the_path_of_what_is_there(
    tmp_path: Path, given: str | list[str] | None, expected: list[str]
) -> None:
    (tmp_path / "my model").mkdir()
    given = given.format(tmp_path) if isinstance(given, str) else given
    assert studies.several(given, "models") == [name.format(tmp_path) for name in expected]


def test_the_revision_of_a_model_of_the_hub_is_a_part_of_its_name() -> None:
    assert studies._parts("google/vit@refs/pr/1") == ["google", "vit-refs-pr-1"]
    assert studies._parts("google/vit") == ["google", "vit"]


@pytest.mark.parametrize("given", [3, {"a": 1}, [1], b"a"])
def test_models_that_are_no_names_are_refused(given: Any) -> None:
    assert f"models is {given!r}; give a list of names" in refusal("colors", models=given)


def test_a_fine_tuned_model_alone_knows_what_it_was_made_from() -> None:
    study = studies.load("colors", models=["vit-base-finetuned"])
    parents = [study.known[model.parent] for model in study.models]
    assert [parent.id for parent in parents] == [f"vit-base-pretrained-seed{n}" for n in (0, 1, 2)]
    start = pipeline.checkpoint(study, study.models[0]).inputs["start"]
    assert start is pipeline.checkpoint(study, parents[0])
    assert pipeline.measure(study, study.models[0], "convexity").fingerprint


def test_a_model_of_timm_as_it_is_on_the_hub_has_a_family(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its configuration has no model_type. Whether timm is here is another matter."""
    monkeypatch.setattr("convexlib.models.checkpoints.check", lambda folder: None)
    folder = tmp_path / "vit_small_patch16_224.dino"
    folder.mkdir()
    about = {"architecture": "vit_small_patch16_224", "pretrained_cfg": {"tag": "dino"}}
    (folder / "config.json").write_text(json.dumps(about))
    (model,) = studies.load("colors", models=[str(folder)]).models
    assert (model.name, model.attributes["family"]) == (folder.name, "vit_small_patch16_224")


def test_a_mistake_on_the_command_line_is_one_line_on_the_screen(tmp_path: Path) -> None:
    """Without a network, and with an empty cache of models."""
    alone = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    command = [BIN / "convexlib", "check", "colors", "--add-models", "nobody/nothing"]
    done = subprocess.run(command, env=os.environ | alone, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert len(done.stderr.splitlines()) == 1
    for part in ("convexlib: ", "'nobody/nothing'", "check the spelling"):
        assert part in done.stderr


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["check", "nope"], "unknown study 'nope'; choose one of: colors"),
        (["check", "colors", "--add-models", "{}"], "holds no weights"),
        (["check", "colors", "--models", "vit-bse-pretrained"], "'vit-bse-pretrained'"),
        (["check", "colors", "--models", "vit-bse"], f"own models are: {', '.join(TWELVE)}"),
        (["check", "colors", "--settings", "{n_neighbors: few}"], "'measures.n_neighbors'"),
        (["check", "colors", "--settings", "n_neighbors"], "settings is 'n_neighbors'; give YAML"),
        (["check", "colors", "--settings", "{"], "settings is '{'; give YAML such as"),
        (["make", "colors", "train_vit-huge"], "no job or result 'train_vit-huge'; jobs are: sti"),
        (["make", "colors", ""], "no job or result ''; jobs are: "),
        (["why", "colors", "measures/convex"], "no job or result 'measures/convex'; jobs are: "),
        (["run", "colors", "html", "--again", "notebooks/x"], "no job or result 'notebooks/x'"),
    ],
)
def test_what_cannot_run_is_refused_in_one_line_before_anything_runs(
    convexlib: Callable[..., tuple[Any, str]], tmp_path: Path, arguments: list[str], named: str
) -> None:
    code, written = convexlib(*(argument.replace("{}", str(tmp_path)) for argument in arguments))
    assert written == ""
    assert code.startswith("convexlib: ")
    assert named in code
    assert len(code.splitlines()) == 1
    assert not (tmp_path / "results").exists()


def test_a_folder_that_is_no_site_is_not_replaced(
    convexlib: Callable[..., tuple[Any, str]], tmp_path: Path
) -> None:
    kept = tmp_path / "docs" / "mine.txt"
    kept.parent.mkdir()
    kept.write_text("mine")
    for folder in (kept.parent, kept):
        code, _ = convexlib("run", "colors", str(folder))
        assert f"{str(folder)!r} is there and is no site" in code
    assert kept.read_text() == "mine"


def test_a_study_that_can_run_passes_the_check_in_silence(
    convexlib: Callable[..., tuple[Any, str]], vit: Path
) -> None:
    assert convexlib("check", str(TINY), "--add-models", str(vit)) == (0, "")


def test_it_is_said_why_a_result_is_made(
    convexlib: Callable[..., tuple[Any, str]], vit: Path
) -> None:
    """In full in test_store."""
    assert convexlib("why", str(TINY), "stimuli") == (0, "tiny/stimuli was not made before\n")
    assert convexlib("make", str(TINY), "stimuli") == (0, "")
    assert convexlib("why", str(TINY), "stimuli") == (0, "tiny/stimuli is stored and whole\n")
    choice = [str(TINY), "measure_added-my-vit", "--models", str(vit)]
    code, written = convexlib("why", *choice)
    assert code == 0
    every = {line.split()[0] for line in written.splitlines()}
    assert {"tiny/transforms/my-vit", "tiny/measures/convexity/my-vit-3-neighbours"} <= every
    assert len(every) > 1 + len(measures.of_every_model())  # and the fits, and other settings


def test_a_path_that_leads_nowhere_is_refused(mine: Path) -> None:
    (mine.parent / "a").symlink_to(mine.parent / "b")
    (mine.parent / "b").symlink_to(mine.parent / "a")
    for source in ("a/model", "~nobody-of-that-name/model"):
        assert "key 'models.0.source'" in refusal(with_models(mine, {"source": source}))


def test_a_listed_folder_is_seen_from_the_study_file(mine: Path) -> None:
    (model,) = studies.load(with_models(mine, {"source": "small"})).models
    assert (model.name, model.source) == ("small", mine.parent / "small")


def test_a_study_trains_only_on_stimuli_to_train_on_and_else_lists_models(mine: Path) -> None:
    assert "models is empty; list at least one checkpoint" in refusal(with_models(mine))
    content = yaml.safe_load(mine.read_text())
    mine.write_text(yaml.safe_dump(content | {"training": COLORS["training"]}))
    assert "'images92', on which no models can be trained; list models" in refusal(str(mine))


def test_a_study_without_training_lists_models_or_gives_it(mine: Path) -> None:
    content = {k: value for k, value in COLORS.items() if k not in ("training", "alignet")}
    path = written(mine.parent, yaml.safe_dump(content))
    assert "list at least one checkpoint or give training" in refusal(path)
    listed = yaml.safe_load(mine.read_text())["models"]
    path = written(mine.parent, yaml.safe_dump(content | {"models": listed}))
    assert [model.id for model in studies.load(path).models] == ["small"]


def test_other_poolings_share_all_but_what_is_pooled(tmp_path: Path) -> None:
    assert "pooling" not in book.notebooks(studies.load(str(TINY)))
    content = yaml.safe_load(TINY.read_text())
    content["sensitivity"] = {"all tokens": {"pooling": "tokens"}}
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(content))
    study = studies.load(str(path))
    assert "pooling" in book.notebooks(study)
    assert [*study.poolings] == ["mean", "tokens"]
    tokens, model = study.poolings["tokens"], study.models[0]
    assert tokens is study.variations["all tokens"]
    assert pipeline.checkpoint(tokens, model).name == pipeline.checkpoint(study, model).name
    own = pipeline.representations(study.poolings["mean"], model)
    assert own.folder == pipeline.representations(study, model).folder
    mean = pipeline.representations(study, model)
    assert pipeline.representations(tokens, model).fingerprint != mean.fingerprint
    assert [*pipeline.all_measures(tokens)[model.id]] == [*studies.CONCLUSIVE]
    made = {result.name for job in store.jobs(book.site(study)).values() for result in job.results}
    assert f"tiny/measures/convexity/{model.id}-all-tokens" in made


def test_other_settings_share_what_they_do_not_touch() -> None:
    study = studies.load(str(TINY))
    model = study.models[0]
    assert [*study.variations] == [
        *("3 neighbours", "joined pairs", "half of the images", "shuffled labels")
    ]
    for name, varied in study.variations.items():
        assert pipeline.representations(varied, model) is pipeline.representations(study, model)
        own, other = (pipeline.measure(each, model, "convexity") for each in (study, varied))
        assert own.fingerprint != other.fingerprint
        assert other.name == f"{own.name}-{name.replace(' ', '-')}"
    neighbours = study.variations["3 neighbours"]
    for measure in ("odd_one_out", "held_out_odd_one_out"):
        assert pipeline.measure(neighbours, model, measure) is pipeline.measure(
            study, model, measure
        )
    fewer = study.variations["half of the images"]
    assert pipeline.human(fewer).name == "tiny/judgments-joined-half-of-the-images"


@pytest.mark.parametrize(
    ("sensitivity", "named"),
    [
        ({"a": {"n_neighbours": 5}}, "sensitivity.a.n_neighbours: "),
        ({"a": {"n_neighbors": 0}}, "sensitivity.a.n_neighbors: "),
        ({"a": {"n_neighbors": 5000}}, "sensitivity.a: measures.n_neighbors is 5000"),
        ({"A b": {}, "a-b": {}}, "sensitivity has 'A b', whose letters"),
        ({"?": {}}, "sensitivity has '?', whose letters"),
    ],
)
def test_a_mistake_in_other_settings_is_named(
    sensitivity: dict[str, Any], named: str, tmp_path: Path
) -> None:
    content = yaml.safe_load(TINY.read_text()) | {"sensitivity": sensitivity}
    assert named in refusal(written(tmp_path, yaml.safe_dump(content)))


def test_baselines_are_plain_features_and_an_untrained_model_of_each_family_and_size() -> None:
    study = studies.load(str(TINY)).baselines
    assert [model.id for model in study.models] == [
        *("pixels", "CIELAB", "beit-base-untrained", "data2vec-base-untrained"),
        "vit-base-untrained",
    ]
    assert not any(model.counted for model in study.models)
    assert [*pipeline.all_measures(study)["pixels"]] == [*studies.OF_BASELINES]


def test_a_listed_model_has_an_untrained_one_beside_it(mine: Path) -> None:
    study = studies.load(with_models(mine, {"source": "small", "family": "vit", "size": "base"}))
    *_, untrained = study.baselines.models
    assert untrained.id == "vit-base-untrained"
    about = pipeline.representations(study.baselines, untrained).inputs
    assert about["checkpoint"] == pipeline.checkpoint(study, study.models[0])
    assert about["untrained"]

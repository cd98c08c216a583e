"""A study says what it holds, and refuses what it cannot use in one line that helps."""

import copy
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
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

from convexlib import steps
from convexlib import study as studies
from convexlib.store import ROOT
from tests.conftest import write_study

CONVEXLIB = Path(sys.executable).parent / "convexlib"
COLORS = yaml.safe_load((ROOT / "studies" / "colors.yaml").read_text())
TWELVE = {
    f"{family}-{size}-{variant}"
    for family in ("vit", "beit", "data2vec")
    for size in ("base", "large")
    for variant in ("pretrained", "finetuned")
}
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


def convexlib(folder: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """The command line without a network, with an empty store and an empty cache of models."""
    offline = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "hub")}
    return subprocess.run(
        [CONVEXLIB, *arguments],
        env=os.environ | offline | {"CONVEXLIB_RESULTS": str(folder / "results")},
        capture_output=True,
        text=True,
    )


def test_the_colour_study_has_twelve_models_from_three_seeds() -> None:
    models = studies.load("colors").models
    assert {model.name for model in models} == TWELVE
    assert Counter(model.seed for model in models) == {0: 12, 1: 12, 2: 12}
    assert len({model.id for model in models}) == len(models) == 36
    assert all(model.name == f"{model.family}-{model.size}-{model.variant}" for model in models)


def test_a_study_loads_the_same_by_name_and_by_path() -> None:
    by_name, by_path = studies.load("colors"), studies.load(str(ROOT / "studies" / "colors.yaml"))
    assert (by_name.name, by_name.file, by_name.models) == (
        by_path.name,
        by_path.file,
        by_path.models,
    )


def test_every_study_that_comes_with_the_project_loads() -> None:
    assert studies.names() == ["colors", "images92", "things"]
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
    assert studies.load(**study.choice) == study


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
    assert (added.id, added.family, added.variant) == ("my-vit", "vit", "pretrained")
    assert (added.size, added.seed, added.source) == (studies.ADDED, None, vit)
    assert study.model("my-vit") is added


def test_a_chosen_folder_leaves_the_studys_own_models_out(vit: Path) -> None:
    assert [model.id for model in studies.load("colors", models=[str(vit)]).models] == ["my-vit"]


def test_a_model_that_was_chosen_and_added_counts_once(vit: Path) -> None:
    study = studies.load("colors", models=[str(vit)], add_models=[f"{vit}/", "vit-base-pretrained"])
    assert [model.id for model in study.models] == ["my-vit"]


def test_a_model_with_a_classifier_counts_as_fine_tuned(copied: Path) -> None:
    ViTForImageClassification(VIT).save_pretrained(copied)
    (model,) = studies.load("colors", models=[str(copied)]).models
    assert model.variant == "finetuned"


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


def test_batches_hold_every_model_once(vit: Path) -> None:
    study = studies.load("colors", add_models=[str(vit)])
    batches = study.batches()
    assert sorted(batches) == sorted(
        [f"{f}-{s}" for f in ("vit", "beit", "data2vec") for s in ("base", "large")]
        + ["added-my-vit"]
    )
    held = [model for batch in batches.values() for model in batch]
    assert Counter(held) == Counter(study.models)


def test_an_added_model_is_a_batch_of_its_own_whatever_it_is_called(
    vit: Path, tmp_path: Path
) -> None:
    namesake = shutil.copytree(vit, tmp_path / "vit-base")
    study = studies.load("colors", models=["vit-base-pretrained", str(namesake)])
    sources = [{model.source for model in batch} for batch in study.batches().values()]
    assert sources == [{None}, {namesake}]


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
        ("zoo.pretraining.momentum", 0.9, ["'zoo.pretraining.momentum'", "(value 0.9)", "remove"]),
        ("title", None, ["'title'", "missing; add it"]),
        ("measures", None, ["'measures'", "missing; add it"]),
        ("zoo.finetuning.epochs", None, ["'zoo.finetuning.epochs'", "missing; add it"]),
        ("title", 3, ["'title'", "(value 3)", "string"]),
        ("zoo", "big", ["'zoo'", "(value 'big')", "dictionary"]),
        ("zoo.pretraining.epochs", "many", ["'zoo.pretraining.epochs'", "'many'", "integer"]),
        ("zoo.pretraining.epochs", 0, ["'zoo.pretraining.epochs'", "(value 0)", "1"]),
        ("zoo.pretraining.epochs", 1.5, ["'zoo.pretraining.epochs'", "(value 1.5)", "integer"]),
        ("zoo.finetuning.learning_rate", -1, ["learning_rate'", "(value -1)", "greater than 0"]),
        ("zoo.finetuning.warmup", 1.0, ["'zoo.finetuning.warmup'", "(value 1.0)", "less than 1"]),
        ("zoo.families", ["vit", "resnet"], ["'zoo.families.1'", "'resnet'", "'data2vec'"]),
        ("zoo.families", [], ["'zoo.families'", "(value [])", "at least 1"]),
        ("zoo.sizes", {}, ["'zoo.sizes'", "(value {})", "at least 1"]),
        ("zoo.seeds", [], ["'zoo.seeds'", "(value [])", "at least 1"]),
        ("zoo.seeds", ["one"], ["'zoo.seeds.0'", "(value 'one')", "integer"]),
        ("zoo.sizes.base.heads", 5, ["'zoo.sizes.base'", "width 64", "multiple of heads 5"]),
        ("zoo.patch_size", 5, ["'zoo.patch_size'", "(value 5)", "2, 4, 8 or 16"]),
        ("stimuli.kind", "shapes", ["'stimuli.kind'", "(value 'shapes')", "'colors'"]),
        ("stimuli.seed", -1, ["'stimuli.seed'", "(value -1)", "0"]),
        ("stimuli.test_per_hue", 0, ["'stimuli.test_per_hue'", "(value 0)", "1"]),
        ("measures.similarity", "l2", ["'measures.similarity'", "(value 'l2')", "'dot'"]),
        ("measures.transform.kinds", ["affine"], ["transform.kinds.0'", "'affine'", "'naive'"]),
        (
            "measures.transform.kinds",
            [],
            ["'measures.transform.kinds'", "(value [])", "at least 1"],
        ),
        ("measures.transform.strength", float("nan"), ["strength'", "(value nan)", "finite"]),
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
        ("zoo.seeds", [-1]),
        ("measures.n_neighbors", 3 * COLORS["stimuli"]["test_per_hue"]),
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
        ({"pooling": "max"}, ["'measures.pooling'", "'max'", "'mean' or 'cls'"]),
        ({"zoo": {"seeds": [0]}}, ["'measures.zoo'", "no such key"]),
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
    "config",
    [None, "", "{", "[]", "{}", '{"model_type": "nonsense"}', '{"model_type": "vit", "x'],
)
def test_a_folder_without_a_configuration_is_refused(copied: Path, config: str | None) -> None:
    if config is None:
        (copied / "config.json").unlink()
    else:
        (copied / "config.json").write_text(config)
    message = refusal("colors", add_models=[str(copied)])
    assert f"{str(copied)!r} has no config.json that transformers knows" in message
    assert "save the model with save_pretrained()" in message


def test_a_configuration_with_a_wrong_value_is_refused(copied: Path) -> None:
    text = (copied / "config.json").read_text()
    (copied / "config.json").write_text(text.replace('"hidden_size": 8', '"hidden_size": "eight"'))
    message = refusal("colors", add_models=[str(copied)])
    assert f"{str(copied)!r} has no config.json that transformers knows" in message
    assert "hidden_size" in message


@pytest.mark.parametrize("processor", [None, "", "{", "[]"])
def test_a_folder_without_an_image_processor_is_refused(
    copied: Path, processor: str | None
) -> None:
    if processor is None:
        (copied / "preprocessor_config.json").unlink()
    else:
        (copied / "preprocessor_config.json").write_text(processor)
    message = refusal("colors", add_models=[str(copied)])
    assert f"{str(copied)!r} has no image processor" in message
    assert "save it there too with save_pretrained()" in message


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
    assert f"{str(tmp_path / 'bert')!r} has no image processor" in message
    assert "a model of text cannot be used" in message


def test_two_added_models_of_one_name_are_told_apart_by_their_folders(
    vit: Path, tmp_path: Path
) -> None:
    other = shutil.copytree(vit, tmp_path / "other" / "my-vit")
    models = studies.load("colors", models=[str(vit), str(other)]).models
    assert [model.name for model in models] == [f"{vit.parent.name}-my-vit", "other-my-vit"]
    assert [model.source for model in models] == [vit, other]


def test_two_listed_models_of_one_name_are_both_in_the_study(tmp_path: Path) -> None:
    path = write_study(tmp_path / "mine.yaml", {"kind": "images92", "n_triplets": 200})
    content = yaml.safe_load(path.read_text())
    (entry,) = content["models"]
    entries = []
    for run, variant in (("run0", "pretrained"), ("run1", "finetuned")):
        folder = shutil.copytree(tmp_path / "small", tmp_path / run / "checkpoint-500")
        entries.append(entry | {"source": str(folder), "variant": variant})
    path.write_text(yaml.safe_dump(content | {"models": entries}))
    models = studies.load(str(path)).models
    assert [model.name for model in models] == ["run0-checkpoint-500", "run1-checkpoint-500"]
    assert [model.parent for model in models] == [None, "run0-checkpoint-500"]
    (chosen,) = studies.load(str(path), models=["run1-checkpoint-500"]).models
    assert chosen == models[1]
    named = [entry | {"name": name} for entry, name in zip(entries, "ab", strict=True)]
    path.write_text(yaml.safe_dump(content | {"models": named}))
    assert [model.name for model in studies.load(str(path)).models] == ["a", "b"]


def test_an_added_model_may_not_be_called_like_one_of_the_study(vit: Path, tmp_path: Path) -> None:
    other = shutil.copytree(vit, tmp_path / "vit-base-pretrained-seed0")
    assert "'vit-base-pretrained-seed0'; rename" in refusal("colors", add_models=[str(other)])


def test_seeds_of_one_kind_are_one_kind_and_their_parents_must_be_said(tmp_path: Path) -> None:
    path = write_study(tmp_path / "mine.yaml", {"kind": "images92", "n_triplets": 200})
    content = yaml.safe_load(path.read_text())
    (entry,) = content["models"]
    entries = [
        entry | {"name": f"{variant}-{seed}", "variant": variant}
        for variant in ("pretrained", "finetuned")
        for seed in range(2)
    ]
    path.write_text(yaml.safe_dump(content | {"models": entries}))
    study = studies.load(str(path))
    assert len({model.kind for model in study.models}) == 1
    assert [model.parent for model in study.models] == [None] * 4
    entries[3]["parent"] = "pretrained-1"
    path.write_text(yaml.safe_dump(content | {"models": entries}))
    study = studies.load(str(path))
    assert [study.root(model).id for model in study.models] == [
        "pretrained-0",
        "pretrained-1",
        "finetuned-0",
        "pretrained-1",
    ]
    entries[3]["parent"] = "nobody"
    path.write_text(yaml.safe_dump(content | {"models": entries}))
    assert "the parent of model 'finetuned-1' is 'nobody'; name another one of" in refusal(
        str(path)
    )


def test_lineages_of_the_zoo_are_seeds_and_kinds_are_not() -> None:
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
    assert {key: getattr(model, key) for key in said} == said
    assert model.source == tmp_path / "my-vit"
    assert model.attributes["fine-tuning"] == "fine-tuned"
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
    assert [study.parent(model).id for model in study.models] == [
        f"vit-base-pretrained-seed{seed}" for seed in (0, 1, 2)
    ]
    steps.measures(study, study.models[0]).fingerprint  # noqa: B018


def test_a_model_of_timm_as_it_is_on_the_hub_has_a_family(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its configuration has no model_type. Whether timm is here is another matter."""
    monkeypatch.setattr("convexlib.checkpoints.check", lambda folder: None)
    folder = tmp_path / "vit_small_patch16_224.dino"
    folder.mkdir()
    about = {"architecture": "vit_small_patch16_224", "pretrained_cfg": {"tag": "dino"}}
    (folder / "config.json").write_text(json.dumps(about))
    (model,) = studies.load("colors", models=[str(folder)]).models
    assert (model.name, model.family) == (folder.name, "vit_small_patch16_224")


def test_asking_for_a_model_that_the_study_lacks_names_those_it_has() -> None:
    study = studies.load("colors", models=["vit-base-pretrained"])
    with pytest.raises(ValueError, match="no model 'vit-huge'; it has: vit-base-pretrained-seed0"):
        study.model("vit-huge")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["nope"], ["unknown study 'nope'", "choose one of: colors"]),
        (["colors", "--add-models", "nobody/nothing"], ["'nobody/nothing'", "check the spelling"]),
    ],
    ids=["study", "model"],
)
def test_the_command_line_answers_a_mistake_with_one_line(
    tmp_path: Path, arguments: list[str], named: list[str]
) -> None:
    done = convexlib(tmp_path, "check", *arguments)
    assert done.returncode == 1
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert [part for part in ["convexlib: ", *named] if part not in done.stderr] == []


def test_a_misspelt_model_is_answered_with_the_studys_own_in_their_order(tmp_path: Path) -> None:
    done = convexlib(tmp_path, "check", "colors", "--models", "vit-bse-pretrained")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "'vit-bse-pretrained'" in done.stderr
    own = dict.fromkeys(model.name for model in studies.load("colors").models)
    assert f"the study's own models are: {', '.join(own)}" in done.stderr


def test_a_study_that_can_run_passes_the_check_in_silence(tmp_path: Path, vit: Path) -> None:
    done = convexlib(tmp_path, "check", "colors", "--add-models", vit)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_batch_that_is_not_there_is_refused_before_anything_is_computed(tmp_path: Path) -> None:
    done = convexlib(tmp_path, "train", "colors", "vit-huge")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "no batch 'vit-huge'; it has: vit-base, vit-large" in done.stderr
    assert not (tmp_path / "results").exists()


def test_a_path_that_leads_nowhere_is_refused(tmp_path: Path) -> None:
    path = write_study(tmp_path / "mine.yaml", {"kind": "images92", "n_triplets": 200})
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    for source in ("a/model", "~nobody-of-that-name/model"):
        path.write_text(path.read_text().replace(str(tmp_path / "small"), source))
        assert "key 'models.0.source'" in refusal(str(path))
        path.write_text(path.read_text().replace(source, str(tmp_path / "small")))


def test_a_listed_folder_is_seen_from_the_study_file(tmp_path: Path) -> None:
    path = write_study(tmp_path / "mine.yaml", {"kind": "images92", "n_triplets": 200})
    path.write_text(path.read_text().replace(str(tmp_path / "small"), "small"))
    assert "source: small" in path.read_text()
    (model,) = studies.load(str(path)).models
    assert (model.name, model.source) == ("small", tmp_path / "small")

"""Real checkpoints are trained, by the objective of each family, reproducibly."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from transformers import (
    AutoImageProcessor,
    AutoModel,
    AutoModelForImageClassification,
    ViTConfig,
    ViTModel,
)

from convexlib import dependencies
from convexlib.data import colors
from convexlib.data.images import ImageFiles
from convexlib.models import families, objectives, training
from convexlib.settings import Architecture, Training

FAMILIES = ("vit", "beit", "data2vec")
SIZES = {"train": 8, "validation": 2, "test": 6}
SPLITS = {s: colors.generate(n, seed=[1, stream]) for stream, (s, n) in enumerate(SIZES.items())}
SHAPE = {"architecture": Architecture(layers=2, width=16, heads=2), "patch_size": 8}


def settings(**changed: Any) -> Training:
    return Training(**{"epochs": 1, "batch_size": 16, "learning_rate": 3e-3} | changed)


def pretrained(folder: Path, family: str, *, seed: int = 0, splits=SPLITS, **changed: Any) -> Path:
    told = {"splits": splits, "settings": settings(**changed), "seed": seed}
    training.train(folder, family=family, columns=("hue", "shape"), **SHAPE, **told)
    return folder


def tuned(folder: Path, start: Path, column="color_name", splits=SPLITS, **changed: Any) -> Path:
    told = {"splits": splits, "settings": settings(**changed), "seed": 0}
    training.train(folder, start=start, columns=(column,) if column else (), **told)
    return folder


def weights(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


def record(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "training.json").read_text())


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A model of each family after four epochs, with a checkpoint after each second."""
    folder = tmp_path_factory.mktemp("trained")
    return {f: pretrained(folder / f, f, epochs=4, save_every=2) for f in FAMILIES}


def test_families_are_the_files_of_a_folder_and_cheap_to_ask() -> None:
    assert families.names() == sorted(FAMILIES)
    ask = (
        "import sys; from convexlib.models import families\n"
        "print([(f.LABEL, f.COLOR, f.OBJECTIVE, f.ARCHITECTURE) for f in families.known().values()]"
        ", not {'torch', 'transformers'} & set(sys.modules))"
    )
    said = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True)
    assert "('BEiT', '#D55E00', 'masked tokens', 'relative positions')" in said.stdout
    assert said.stdout.endswith("True\n")


def test_what_a_model_depends_on_are_its_own_family_and_objective() -> None:
    reached = {f: dependencies.of_function(training.train, families=f) for f in FAMILIES}
    own = {"vit": "NamedClasses", "beit": "MaskedTokens", "data2vec": "MaskedLatents"}
    for family, of_family in reached.items():
        used = {name.rpartition(".")[2] for name in of_family.code if "objectives" in name}
        assert used & {*own.values(), "Distillation"} == {own[family], "NamedClasses"}
        modules = {name.rpartition(".")[0] for name in of_family.code if ".families." in name}
        assert modules == {f"convexlib.models.families.{family}"}
    assert "scikit-learn" in reached["beit"].libraries
    assert "scikit-learn" not in reached["data2vec"].libraries


@pytest.mark.parametrize("family", FAMILIES)
def test_another_seed_gives_other_weights(
    family: str, trained: dict[str, Path], tmp_path: Path
) -> None:
    assert weights(pretrained(tmp_path, family, seed=1, epochs=4)) != weights(trained[family])


@pytest.mark.parametrize("family", FAMILIES)
def test_training_lowers_the_loss_of_the_family(family: str, trained: dict[str, Path]) -> None:
    curve = record(trained[family])["curve"]
    assert [point["epoch"] for point in curve] == [1, 2, 3, 4]
    assert curve[-1]["training_loss"] < curve[0]["training_loss"]


@pytest.mark.parametrize("family", FAMILIES)
def test_checkpoints_load_like_published_ones(family: str, trained: dict[str, Path]) -> None:
    on_the_way = trained[family] / "step-14"
    assert {path.name for path in trained[family].iterdir()} == {
        *("config.json", "model.safetensors", "preprocessor_config.json"),
        *("training.json", on_the_way.name),
    }
    assert weights(on_the_way) != weights(trained[family])
    for folder in (trained[family], on_the_way):
        model = AutoModel.from_pretrained(folder)
        processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
        pixels = processor(list(SPLITS["test"][0][:3]), return_tensors="pt")["pixel_values"]
        states = model(pixels, output_hidden_states=True).hidden_states
        assert [state.shape for state in states] == 3 * [(3, 1 + 16, 16)]
        assert -1 <= pixels.min() < pixels.max() <= 1


def test_the_training_record_says_how_the_model_came_about(trained: dict[str, Path]) -> None:
    said = record(trained["vit"])
    assert said["objective"] == "hue and shape"
    assert (said["seed"], said["n_images"], said["n_steps"]) == (0, 14 * 8, 4 * 7)
    assert said["settings"]["learning_rate"] == 3e-3
    assert said["score"] == "accuracy"
    assert 0 <= said["test_score"] <= 1
    model = AutoModelForImageClassification.from_pretrained(trained["vit"])
    assert said["n_parameters"] == sum(p.numel() for p in model.parameters())


class Killed(BaseException):
    pass


@pytest.mark.parametrize("family", FAMILIES)
def test_a_killed_training_goes_on_to_the_very_same_weights_of_its_seed(
    family: str, trained: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"epochs": 4, "save_every": 2}
    n_epochs, one_epoch = [], training._Run.one_epoch

    def one_epoch_or_none(run: training._Run) -> None:
        n_epochs.append(1)
        if len(n_epochs) == 4:
            run._one_step(torch.arange(16))
            raise Killed
        one_epoch(run)

    monkeypatch.setattr(training._Run, "one_epoch", one_epoch_or_none)
    with pytest.raises(Killed):
        pretrained(tmp_path, family, **options)
    assert not (tmp_path / "model.safetensors").exists()
    pretrained(tmp_path, family, **options)
    assert len(n_epochs) == 5
    assert weights(tmp_path) == weights(trained[family])
    assert record(tmp_path) == record(trained[family])
    assert {p.name for p in tmp_path.iterdir()} == {p.name for p in trained[family].iterdir()}


def test_what_another_training_left_is_not_taken_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(training, "_save", lambda *_: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            pretrained(tmp_path / "a", "vit", seed=1)
    assert (tmp_path / "a" / "state.pt").exists()
    assert weights(pretrained(tmp_path / "a", "vit")) == weights(pretrained(tmp_path / "b", "vit"))


@pytest.mark.parametrize("family", FAMILIES)
def test_fine_tuning_starts_from_the_pretrained_weights_and_moves_them_all(
    family: str, trained: dict[str, Path], tmp_path: Path
) -> None:
    model = AutoModelForImageClassification.from_pretrained(tuned(tmp_path, trained[family]))
    before = AutoModel.from_pretrained(trained[family]).state_dict()
    after = model.base_model.state_dict()
    inner = [name for name in before if ".layer" in name and before[name].is_floating_point()]
    moved = {name: (after[name] - before[name]).abs().max() for name in inner}
    assert 0 < max(moved.values()) < 0.5
    assert sum(bool(change > 0) for change in moved.values()) >= 0.9 * len(moved)
    assert list(model.config.id2label.values()) == [
        *SPLITS["train"][1]["color_name"].cat.categories
    ]


def test_colour_names_can_be_learned(trained: dict[str, Path], tmp_path: Path) -> None:
    said = record(tuned(tmp_path, trained["vit"], epochs=6))
    assert said["objective"] == "color name"
    assert said["test_score"] > 3 / 14  # always answering the most frequent name, red


def test_classes_come_sorted_or_in_the_order_of_a_categorical(
    trained: dict[str, Path], tmp_path: Path
) -> None:
    labels = pd.DataFrame({"size": [10, 9, 10, 9], "name": ["b", "b", "a", "b"]})
    assert list(objectives.naming(labels, ["size", "name"])["label2id"]) == ["9 b", "10 a", "10 b"]
    labels["name"] = pd.Categorical(labels["name"], categories=["b", "absent", "a"])
    assert objectives.naming(labels, ["name"])["label2id"] == {"b": 0, "a": 1}
    assert list(objectives.naming(labels, ["name", "size"])["label2id"]) == ["b 9", "b 10", "a 10"]


def test_labels_that_name_nothing_are_refused(trained: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"to name are \['color'\]; choose of: hue, color_name"):
        tuned(tmp_path, trained["vit"], column="color")
    with pytest.raises(ValueError, match=r"to name are \[\]; choose of: hue"):
        tuned(tmp_path, trained["vit"], column=None)
    images, labels = SPLITS["train"]
    without_red = labels["color_name"] != "red"
    few = SPLITS | {"train": (images[without_red], labels[without_red])}
    with pytest.raises(ValueError, match="no image to train on is of class 'red'"):
        tuned(tmp_path, trained["vit"], splits=few)


def test_images_in_files_that_are_read_as_they_are_needed_give_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_files = {}
    for split, (images, labels) in SPLITS.items():
        paths = [tmp_path / f"{split}-{row}.png" for row in range(len(images))]
        for path, image in zip(paths, images, strict=True):
            Image.fromarray(image).save(path)
        in_files[split] = (ImageFiles(paths), labels)
    kept = weights(pretrained(tmp_path / "kept", "beit"))
    monkeypatch.setattr("convexlib.models.pixels._KEPT", 0)
    assert weights(pretrained(tmp_path / "streamed", "beit", splits=in_files)) == kept


def test_a_warm_up_of_nearly_all_steps_can_be_trained(tmp_path: Path) -> None:
    assert record(pretrained(tmp_path, "vit", warmup=0.99))["n_steps"] == 7


def test_training_leaves_the_number_of_threads_as_it_was(tmp_path: Path) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    pretrained(tmp_path, "vit")
    assert torch.get_num_threads() == 2
    torch.set_num_threads(before)


# Pairs: the examples are rows of a table, which number the images.


def examples(split: str, n: int) -> np.ndarray:
    """Rows of images (n, 3): the first two show the same hue, the third another."""
    hue = SPLITS[split][1]["hue"].to_numpy()
    rng, drawn = np.random.default_rng(n), []
    for _ in range(n):
        one, other = rng.choice(colors.WAVELENGTHS, 2, replace=False)
        chosen = [rng.choice(np.flatnonzero(hue == one), 2, replace=False)]
        drawn.append([*chosen[0], rng.choice(np.flatnonzero(hue == other))])
    return np.array(drawn)


def tiny_model() -> ViTModel:
    torch.manual_seed(0)
    shape = {"image_size": 32, "patch_size": 8, "num_hidden_layers": 1, "hidden_size": 16}
    config = ViTConfig(**shape, num_attention_heads=2, intermediate_size=32)
    return ViTModel(config, add_pooling_layer=False)


def learned(monkeypatch: pytest.MonkeyPatch, folder: Path, objective: Any, tables: dict) -> dict:
    """Record of a training by an objective that no family has."""

    class Family:
        @staticmethod
        def build(shape: dict, labels: pd.DataFrame, columns: tuple) -> ViTModel:
            return tiny_model()

        @staticmethod
        def objective(model: ViTModel, pixels: Any, columns: tuple, seed: int) -> Any:
            return objective(model, columns)

    monkeypatch.setitem(sys.modules, "convexlib.models.families.made_up", Family)
    columns = tuple(next(iter(tables.values())).columns)
    splits = {split: (SPLITS[split][0], tables[split]) for split in SPLITS}
    told = settings(epochs=5, batch_size=32, learning_rate=3e-3)
    options = {"splits": splits, "settings": told, "seed": 0, "columns": columns}
    training.train(folder, family="made_up", **SHAPE, **options)
    AutoModel.from_pretrained(folder)
    return record(folder)


def test_pairs_of_images_are_learned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tables = {s: pd.DataFrame(examples(s, 20)[:, :2], columns=["one", "two"]) for s in SPLITS}
    tables["train"] = pd.DataFrame(examples("train", 200)[:, :2], columns=["one", "two"])
    said = learned(monkeypatch, tmp_path, objectives.ContrastivePairs, tables)
    assert said["objective"] == "pairs of images"
    assert said["n_steps"] == 5 * 7
    assert said["curve"][-1]["training_loss"] < 0.8 * said["curve"][0]["training_loss"]
    assert said["test_score"] > 3 / 20


def test_losses_of_pairs_are_those_of_their_definition() -> None:
    model = tiny_model()
    pixels = torch.from_numpy(SPLITS["test"][0][:6]).float().permute(0, 3, 1, 2) / 255
    x = model(pixels).last_hidden_state.mean(dim=1).detach().double().numpy()
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    pairs = objectives.ContrastivePairs(model, ["one", "two"])
    said = pairs(pixels, torch.zeros(3), None, torch.arange(6).view(3, 2))
    similar = np.exp(x[0::2] @ x[1::2].T / 0.1)
    share = np.diag(similar) / [similar.sum(axis=1), similar.sum(axis=0)]
    assert pairs.loss(*said).item() == pytest.approx(-np.log(share).mean(), rel=1e-4)

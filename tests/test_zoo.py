"""The zoo trains real checkpoints, by the objective of each family, reproducibly."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoImageProcessor, AutoModel, AutoModelForImageClassification

from convexlib import study as studies
from convexlib import zoo
from convexlib.settings import Architecture, Training
from convexlib.stimuli import colors
from tests.conftest import TINY

FAMILIES = ("vit", "beit", "data2vec")
SPLITS = colors.splits(studies.load(str(TINY)).file.stimuli)


ARCHITECTURE = Architecture(layers=2, width=16, heads=2)


def settings(epochs: int = 1, warmup: float = 0.1) -> Training:
    return Training(epochs=epochs, batch_size=16, learning_rate=3e-3, warmup=warmup)


def pretrained(
    family: str, folder: Path, *, seed: int = 0, epochs: int = 1, warmup: float = 0.1
) -> Path:
    training = settings(epochs, warmup)
    options = {"patch_size": 8, "seed": seed, "folder": folder}
    zoo.pretrain(family, ARCHITECTURE, training, SPLITS, **options)
    return folder


def test_a_warm_up_of_nearly_all_steps_can_be_trained(tmp_path: Path) -> None:
    folder = pretrained("vit", tmp_path, warmup=0.99)
    assert json.loads((folder / "training.json").read_text())["n_steps"] == 7


@pytest.mark.parametrize("family", FAMILIES)
def test_the_same_seed_gives_the_same_weights_and_another_seed_others(
    family: str, tmp_path: Path
) -> None:
    first = load_file(pretrained(family, tmp_path / "a") / "model.safetensors")
    again = load_file(pretrained(family, tmp_path / "b") / "model.safetensors")
    other = load_file(pretrained(family, tmp_path / "c", seed=1) / "model.safetensors")
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


@pytest.mark.parametrize("family", FAMILIES)
def test_training_lowers_the_loss_of_the_family(family: str, tmp_path: Path) -> None:
    folder = pretrained(family, tmp_path, epochs=4)
    curve = json.loads((folder / "training.json").read_text())["curve"]
    assert [point["epoch"] for point in curve] == [1, 2, 3, 4]
    assert curve[-1]["training_loss"] < curve[0]["training_loss"]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_checkpoint_loads_like_a_published_one(family: str, tmp_path: Path) -> None:
    folder = pretrained(family, tmp_path)
    model = AutoModel.from_pretrained(folder)
    processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
    pixels = processor(list(SPLITS["test"][0][:3]), return_tensors="pt")["pixel_values"]
    states = model(pixels, output_hidden_states=True).hidden_states
    assert len(states) == 1 + 2
    assert states[0].shape == (3, 1 + 16, 16)
    assert pixels.min() >= -1
    assert pixels.max() <= 1


def test_the_training_record_says_how_the_model_came_about(tmp_path: Path) -> None:
    record = json.loads((pretrained("vit", tmp_path) / "training.json").read_text())
    assert record["objective"] == "hue and shape"
    assert record["seed"] == 0
    assert record["n_images"] == 14 * 8
    assert record["n_steps"] == 7
    assert record["settings"]["learning_rate"] == 3e-3
    assert 0 <= record["test_score"] <= 1


@pytest.mark.parametrize("family", FAMILIES)
def test_fine_tuning_starts_from_the_pretrained_weights_and_moves_them_all(
    family: str, tmp_path: Path
) -> None:
    start = pretrained(family, tmp_path / "start")
    zoo.finetune(start, settings(), SPLITS, seed=0, folder=tmp_path / "tuned")
    model = AutoModelForImageClassification.from_pretrained(tmp_path / "tuned")
    before, after = AutoModel.from_pretrained(start).state_dict(), model.base_model.state_dict()
    trained = [name for name in before if ".layer" in name and before[name].is_floating_point()]
    moved = {name: (after[name] - before[name]).abs().max() for name in trained}
    assert 0 < max(moved.values()) < 0.5
    assert sum(bool(change > 0) for change in moved.values()) >= 0.9 * len(moved)
    assert set(model.config.id2label.values()) == set(SPLITS["train"][1]["color_name"])


def test_colour_names_can_be_learned(tmp_path: Path) -> None:
    start = pretrained("vit", tmp_path / "start", epochs=4)
    zoo.finetune(start, settings(epochs=6), SPLITS, seed=0, folder=tmp_path / "tuned")
    record = json.loads((tmp_path / "tuned" / "training.json").read_text())
    assert record["objective"] == "colour naming"
    assert record["test_score"] > 3 / 14  # always answering the most frequent name, red


def test_training_leaves_the_number_of_threads_as_it_was(tmp_path: Path) -> None:
    torch.set_num_threads(2)
    pretrained("vit", tmp_path)
    assert torch.get_num_threads() == 2

"""Checkpoints of timm, as the hub has them, go through extraction; `make timm` runs this."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import AutoModel, TimmWrapperImageProcessor

from convexlib.data import colors
from convexlib.models import checkpoints, representations

IMAGES, _ = colors.generate(1, seed=0)

TOKENS = {"img_size": 32, "patch_size": 8, "embed_dim": 16, "depth": 3, "num_heads": 2}
WINDOWS = {"img_size": 32, "window_size": 2, "embed_dim": 8, "depths": [1, 1], "num_heads": [2, 2]}

# Architecture, its arguments, and how many layers come out.
TRANSFORMERS: dict[str, tuple[str, dict[str, Any], int]] = {
    "vit": ("vit_tiny_patch16_224", TOKENS, 3),
    "deit": ("deit_tiny_distilled_patch16_224", TOKENS, 3),
    "registers": ("vit_small_patch14_reg4_dinov2", TOKENS, 3),
}
OTHERS: dict[str, tuple[str, dict[str, Any], int]] = {
    "no_class_token": (
        "vit_tiny_patch16_224",
        TOKENS | {"class_token": False, "global_pool": "avg"},
        3,
    ),
    "swin": ("swin_tiny_patch4_window7_224", WINDOWS, 2),
    "resnet": ("resnet10t", {"channels": [4, 8, 16, 32]}, 5),
    "convnext": ("convnext_atto", {"depths": [1, 1, 1, 1], "dims": [4, 8, 16, 32]}, 4),
}
ARCHITECTURES = TRANSFORMERS | OTHERS


def created(name: str) -> nn.Module:
    architecture, arguments, _ = ARCHITECTURES[name]
    torch.manual_seed(0)
    return timm.create_model(architecture, num_classes=5, **arguments).eval()


def saved(name: str, folder: Path) -> Path:
    """A checkpoint with random weights, in the two files that timm writes to the hub."""
    architecture, arguments, _ = ARCHITECTURES[name]
    model = created(name)
    folder.mkdir()
    save_file(model.state_dict(), folder / "model.safetensors")
    kept = ("mean", "std", "interpolation", "first_conv", "classifier")
    config = {
        "architecture": architecture,
        "num_classes": 5,
        "model_args": arguments,
        "pretrained_cfg": {key: model.pretrained_cfg[key] for key in kept}
        | {"input_size": [3, 32, 32], "crop_pct": 1.0},
    }
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


def pixels(folder: Path) -> Tensor:
    processor = checkpoints.load_processor(folder)
    assert isinstance(processor, TimmWrapperImageProcessor)
    return processor(list(IMAGES), return_tensors="pt")["pixel_values"]


def outputs_of_blocks(name: str, folder: Path) -> list[Tensor]:
    """All tokens after every block, by timm alone."""
    model = created(name)
    model.load_state_dict(load_file(folder / "model.safetensors"))
    found: list[Tensor] = []
    for block in model.blocks:
        block.register_forward_hook(lambda _, __, output: found.append(output))
    with torch.no_grad():
        model(pixels(folder))
    return found


def layers(folder: Path) -> list[np.ndarray]:
    n_layers = representations.n_layers(folder)
    return [representations.load(folder, layer) for layer in range(n_layers)]


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_hidden_states_are_those_of_a_plain_call(name: str, tmp_path: Path) -> None:
    folder = saved(name, tmp_path / name)
    assert checkpoints.locate(str(folder)) == folder
    representations.extract(folder, IMAGES, tmp_path / "out", batch_size=5)
    model = AutoModel.from_pretrained(folder).eval()
    with torch.no_grad():
        states = model(pixel_values=pixels(folder), output_hidden_states=True).hidden_states
    *_, n_layers = ARCHITECTURES[name]
    assert len(states) == n_layers
    for found, state in zip(layers(tmp_path / "out"), states, strict=True):
        assert found.shape == (len(IMAGES), state.shape[1])
        np.testing.assert_allclose(found, state.mean(dim=(2, 3)).numpy(), atol=2e-5)


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_layers_are_the_outputs_of_the_blocks(name: str, tmp_path: Path) -> None:
    folder = saved(name, tmp_path / name)
    representations.extract(folder, IMAGES, tmp_path / "mean")
    representations.extract(folder, IMAGES, tmp_path / "cls", pooling="cls")
    tokens = outputs_of_blocks(name, folder)
    n_patches = 16
    for mean, first, state in zip(
        layers(tmp_path / "mean"), layers(tmp_path / "cls"), tokens, strict=True
    ):
        assert state.shape[1] > n_patches
        np.testing.assert_allclose(mean, state[:, -n_patches:].mean(dim=1).numpy(), atol=2e-5)
        np.testing.assert_allclose(first, state[:, 0].numpy(), atol=2e-5)


@pytest.mark.parametrize("name", OTHERS)
def test_without_a_class_token_there_is_none_to_pool(name: str, tmp_path: Path) -> None:
    folder = saved(name, tmp_path / name)
    with pytest.raises(ValueError, match="has no class token; use pooling 'mean'"):
        representations.extract(folder, IMAGES, tmp_path / "out", pooling="cls")


@pytest.mark.parametrize("name", ["vit", "resnet"])
def test_what_transformers_saves_again_gives_the_same(name: str, tmp_path: Path) -> None:
    folder = saved(name, tmp_path / name)
    AutoModel.from_pretrained(folder).save_pretrained(tmp_path / "again")
    checkpoints.check(tmp_path / "again")
    representations.extract(folder, IMAGES, tmp_path / "first")
    representations.extract(tmp_path / "again", IMAGES, tmp_path / "second")
    for first, second in zip(layers(tmp_path / "first"), layers(tmp_path / "second"), strict=True):
        np.testing.assert_allclose(first, second, atol=1e-6)

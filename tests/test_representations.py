"""Representations are the hidden states that transformers gives, pooled."""

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import (
    ResNetConfig,
    ResNetModel,
    ViTConfig,
    ViTForImageClassification,
    ViTImageProcessorPil,
    ViTModel,
)

from convexlib import representations
from convexlib.stimuli import colors

IMAGES, _ = colors.generate(1, seed=0)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    config = ViTConfig(
        image_size=32,
        patch_size=8,
        hidden_size=16,
        num_hidden_layers=3,
        num_attention_heads=2,
        intermediate_size=32,
    )
    torch.manual_seed(0)
    ViTForImageClassification(config).save_pretrained(tmp_path / "vit")
    ViTImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(tmp_path / "vit")
    return tmp_path / "vit"


def hidden_states(checkpoint: Path) -> list[np.ndarray]:
    model = ViTModel.from_pretrained(checkpoint).eval()
    pixels = ViTImageProcessorPil.from_pretrained(checkpoint)(list(IMAGES), return_tensors="pt")
    with torch.no_grad():
        states = model(**pixels, output_hidden_states=True).hidden_states
    return [state.numpy() for state in states]


def test_mean_pooling_averages_the_patches_and_leaves_the_class_token_out(
    checkpoint: Path, tmp_path: Path
) -> None:
    representations.extract(checkpoint, IMAGES, tmp_path / "out")
    states = hidden_states(checkpoint)
    assert representations.n_layers(tmp_path / "out") == len(states) == 4
    for layer, state in enumerate(states):
        expected = state[:, 1:].mean(axis=1)
        np.testing.assert_allclose(
            representations.load(tmp_path / "out", layer), expected, atol=1e-5
        )


def test_cls_pooling_takes_the_class_token(checkpoint: Path, tmp_path: Path) -> None:
    representations.extract(checkpoint, IMAGES, tmp_path / "out", pooling="cls")
    for layer, state in enumerate(hidden_states(checkpoint)):
        np.testing.assert_allclose(
            representations.load(tmp_path / "out", layer), state[:, 0], atol=1e-5
        )


def test_representations_do_not_depend_on_the_batch_size(checkpoint: Path, tmp_path: Path) -> None:
    representations.extract(checkpoint, IMAGES, tmp_path / "whole", batch_size=64)
    representations.extract(checkpoint, IMAGES, tmp_path / "parts", batch_size=5)
    assert len(list((tmp_path / "parts").iterdir())) == 3
    for layer in range(4):
        whole = representations.load(tmp_path / "whole", layer)
        parts = representations.load(tmp_path / "parts", layer)
        assert whole.shape == (14, 16)
        np.testing.assert_allclose(whole, parts, atol=1e-5)


def test_images_go_through_the_checkpoints_own_processor(checkpoint: Path, tmp_path: Path) -> None:
    larger = IMAGES.repeat(2, axis=1).repeat(2, axis=2)
    representations.extract(checkpoint, larger, tmp_path / "larger")
    representations.extract(checkpoint, IMAGES, tmp_path / "out")
    first, second = (representations.load(tmp_path / name, 3) for name in ("larger", "out"))
    assert np.corrcoef(first.ravel(), second.ravel())[0, 1] > 0.99


def test_a_model_of_feature_maps_says_why_it_cannot_be_pooled(tmp_path: Path) -> None:
    config = ResNetConfig(embedding_size=8, hidden_sizes=[8, 8], depths=[1, 1])
    ResNetModel(config).save_pretrained(tmp_path / "resnet")
    ViTImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(tmp_path / "resnet")
    with pytest.raises(ValueError, match="'resnet' gives hidden states of shape"):
        representations.extract(tmp_path / "resnet", IMAGES, tmp_path / "out")

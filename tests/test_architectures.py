"""One small checkpoint of each architecture goes through extraction, pooled as it means it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from torch import Tensor
from transformers import AutoModel

from convexlib import checkpoints, representations
from convexlib.stimuli import colors

IMAGES, _ = colors.generate(1, seed=0)

TOKENS = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "image_size": 32,
    "patch_size": 8,
}
TEXT = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 50}
STAGES = {"hidden_sizes": [8, 16], "depths": [1, 1]}

Pool = Callable[[Tensor], Tensor]


def patches_after(n_special: int) -> Pool:
    return lambda state: state[:, n_special:].mean(dim=1)


def all_tokens(state: Tensor) -> Tensor:
    return state.mean(dim=1)


def all_places(state: Tensor) -> Tensor:
    return state.mean(dim=(2, 3))


# Configuration, image processor, how a layer is pooled, and whether there is a class token.
ARCHITECTURES: dict[str, tuple[str, dict[str, Any], str, Pool, bool]] = {
    "vit": ("ViTConfig", TOKENS, "ViTImageProcessorPil", patches_after(1), True),
    "dino": ("ViTConfig", TOKENS, "ViTImageProcessorPil", patches_after(1), True),
    "beit": ("BeitConfig", TOKENS, "BeitImageProcessorPil", patches_after(1), True),
    "data2vec": ("Data2VecVisionConfig", TOKENS, "BeitImageProcessorPil", patches_after(1), True),
    "deit": ("DeiTConfig", TOKENS, "DeiTImageProcessorPil", patches_after(2), True),
    "dinov2": ("Dinov2Config", TOKENS, "BitImageProcessorPil", patches_after(1), True),
    "dinov2_with_registers": (
        "Dinov2WithRegistersConfig",
        TOKENS | {"num_register_tokens": 4},
        "BitImageProcessorPil",
        patches_after(5),
        True,
    ),
    "clip": (
        "CLIPConfig",
        {"vision_config": TOKENS, "text_config": TEXT},
        "CLIPImageProcessorPil",
        patches_after(1),
        True,
    ),
    "siglip": (
        "SiglipConfig",
        {"vision_config": TOKENS, "text_config": TEXT},
        "SiglipImageProcessorPil",
        all_tokens,
        False,
    ),
    "mae": ("ViTMAEConfig", TOKENS, "ViTImageProcessorPil", patches_after(1), True),
    "swin": (
        "SwinConfig",
        {"image_size": 32, "embed_dim": 8, "depths": [1, 1], "num_heads": [2, 2], "window_size": 2},
        "ViTImageProcessorPil",
        all_tokens,
        False,
    ),
    "convnext": (
        "ConvNextConfig",
        STAGES | {"num_stages": 2},
        "ConvNextImageProcessorPil",
        all_places,
        False,
    ),
    "resnet": (
        "ResNetConfig",
        STAGES | {"embedding_size": 8},
        "ConvNextImageProcessorPil",
        all_places,
        False,
    ),
    "sam": (
        "SamVisionConfig",
        TOKENS | {"output_channels": 8, "num_pos_feats": 4, "global_attn_indexes": [1]},
        "ViTImageProcessorPil",
        lambda state: state.mean(dim=(1, 2)),  # feature maps with the features last
        False,
    ),
}


def saved(name: str, folder: Path) -> Path:
    """A checkpoint of an architecture with random weights."""
    config, options, processor, *_ = ARCHITECTURES[name]
    torch.manual_seed(0)
    model = AutoModel.from_config(getattr(transformers, config)(**options))
    model.save_pretrained(folder)
    size = {"height": 32, "width": 32}
    options = {"size": size, "crop_size": size} if name in CROPPED else {"size": size}
    if name in ("convnext", "resnet"):
        options = {"size": {"shortest_edge": 32}, "crop_pct": 1.0}
    getattr(transformers, processor)(**options).save_pretrained(folder)
    return folder


CROPPED = ("beit", "data2vec", "deit", "dinov2", "dinov2_with_registers", "clip")


def hidden_states(folder: Path) -> tuple[Tensor, ...]:
    """What a plain call of transformers gives."""
    model = AutoModel.from_pretrained(folder).eval()
    if hasattr(model.config, "mask_ratio"):
        model.config.mask_ratio = 0.0
    model = getattr(model, "vision_model", model)
    processor = checkpoints.load_processor(folder)
    with torch.no_grad():
        pixels = processor(list(IMAGES), return_tensors="pt")
        return model(**pixels, output_hidden_states=True).hidden_states


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_hidden_states_are_those_of_a_plain_call(
    name: str, tmp_path: Path, capfd: pytest.CaptureFixture
) -> None:
    folder = saved(name, tmp_path / name)
    capfd.readouterr()
    checkpoints.check(folder)
    representations.extract(folder, IMAGES, tmp_path / "out", batch_size=5)
    shown = capfd.readouterr()
    assert "torchvision" not in shown.out + shown.err
    *_, pool, _ = ARCHITECTURES[name]
    states = hidden_states(folder)
    assert representations.n_layers(tmp_path / "out") == len(states) > 2
    for layer, state in enumerate(states):
        expected = pool(state).numpy()
        found = representations.load(tmp_path / "out", layer)
        assert (
            found.shape
            == expected.shape
            == (len(IMAGES), state.shape[-1 if state.ndim == 3 or name == "sam" else 1])
        )
        np.testing.assert_allclose(found, expected, atol=2e-5)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_class_token_comes_first_or_there_is_none(name: str, tmp_path: Path) -> None:
    folder = saved(name, tmp_path / name)
    *_, has_class_token = ARCHITECTURES[name]
    if not has_class_token:
        with pytest.raises(ValueError, match="has no class token; use pooling 'mean'"):
            representations.extract(folder, IMAGES, tmp_path / "out", pooling="cls")
        return
    representations.extract(folder, IMAGES, tmp_path / "out", pooling="cls")
    for layer, state in enumerate(hidden_states(folder)):
        found = representations.load(tmp_path / "out", layer)
        np.testing.assert_allclose(found, state[:, 0].numpy(), atol=2e-5)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_representations_do_not_depend_on_the_batch_size(name: str, tmp_path: Path) -> None:
    folder = saved(name, tmp_path / name)
    for batch_size in (1, len(IMAGES)):
        representations.extract(folder, IMAGES, tmp_path / str(batch_size), batch_size=batch_size)
    for layer in range(representations.n_layers(tmp_path / "1")):
        one_by_one, at_once = (
            representations.load(tmp_path / str(size), layer) for size in (1, len(IMAGES))
        )
        np.testing.assert_allclose(one_by_one, at_once, rtol=1e-4, atol=1e-5)


def test_a_model_whose_tokens_are_not_all_of_the_image_says_so(tmp_path: Path) -> None:
    config = transformers.YolosConfig(
        **TOKENS | {"image_size": [32, 32]},
        num_detection_tokens=10,
        use_mid_position_embeddings=False,
    )
    AutoModel.from_config(config).save_pretrained(tmp_path / "yolos")
    size = {"height": 32, "width": 32}
    transformers.ViTImageProcessorPil(size=size).save_pretrained(tmp_path / "yolos")
    with pytest.raises(ValueError, match="'yolos' has tokens for detection"):
        representations.extract(tmp_path / "yolos", IMAGES, tmp_path / "out")

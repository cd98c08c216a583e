"""One small checkpoint of each architecture goes through extraction, pooled as it means it."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from numpy.typing import ArrayLike
from torch import Tensor
from transformers import AutoModel

from convexlib.data import colors
from convexlib.models import checkpoints, representations

IMAGES = colors.generate(1, seed=0)[0][:6]

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


# Those that differ in how their places are told or in how they are refused; CI runs all.
QUICK = {"beit", "clip", "mae", "resnet", "sam", "siglip", "swin", "vit"}
QUICK |= {"aimv2", "dinov3_convnext", "dinov3_vit", "hiera", "mgp_str", "radio", "vitdet", "yolos"}
QUICK |= {"bert", "detr", "groupvit", "pixtral", "seggpt", "videomae"}


def marked(names: Iterable[str]) -> list[Any]:
    return [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in names]


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


@pytest.mark.parametrize("name", marked(ARCHITECTURES))
def test_layers_are_the_hidden_states_of_a_plain_call_pooled(
    name: str, tmp_path: Path, capfd: pytest.CaptureFixture
) -> None:
    *_, pool, has_class_token = ARCHITECTURES[name]
    folder = saved(name, tmp_path / name)
    capfd.readouterr()
    layers = representations.extract(folder, IMAGES, batch_size=5)
    shown = capfd.readouterr()
    assert "torchvision" not in shown.out + shown.err
    states = hidden_states(folder)
    assert len(states) > 2
    assert_near(layers, [pool(state) for state in states])
    assert_near(representations.extract(folder, IMAGES, batch_size=1), layers)
    if has_class_token:
        first = representations.extract(folder, IMAGES, pooling="cls")
        assert_near(first, [state[:, 0] for state in states])
    else:
        with pytest.raises(ValueError, match="has no class token; use pooling 'mean'"):
            representations.extract(folder, IMAGES, pooling="cls")


def assert_near(found: Sequence[np.ndarray], expected: Sequence[ArrayLike]) -> None:
    for one, other in zip(found, expected, strict=True):
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=2e-5)


# The survey: every architecture of images that transformers has and that needs no other package,
# with where the places are in its hidden states: behind so many tokens, some of them, or axes.
FOUR = {"depths": [1, 1, 1, 1], "hidden_sizes": [8, 16, 24, 32]}
WINDOWS = {
    "image_size": 32,
    "embed_dim": 8,
    "depths": [1, 1],
    "num_heads": [2, 2],
    "window_size": 2,
}
PYRAMID = FOUR | {"num_attention_heads": [1, 2, 2, 4]}
SMALL_EFFICIENT = {
    "image_size": 32,
    "width_coefficient": 0.1,
    "depth_coefficient": 0.1,
    "hidden_dim": 128,
}
SEGMENTS = TOKENS | {"output_channels": 8, "num_pos_feats": 4, "global_attn_indexes": [1]}
BOTH = {"vision_config": TOKENS, "text_config": TEXT}
FIRST, LAST = (2, 3), (1, 2)

Where = int | slice | tuple[int, int]

SURVEY: dict[str, tuple[str, dict[str, Any], Where]] = {
    "aimv2": ("Aimv2Config", BOTH, 0),
    "aimv2_vision": ("Aimv2VisionConfig", TOKENS, 0),
    "align": ("AlignConfig", {"vision_config": SMALL_EFFICIENT, "text_config": TEXT}, FIRST),
    "altclip": (
        "AltCLIPConfig",
        {"vision_config": TOKENS, "text_config": TEXT | {"project_dim": 16}},
        1,
    ),
    "bit": ("BitConfig", FOUR | {"embedding_size": 8, "num_groups": 2}, FIRST),
    "blip": ("BlipConfig", BOTH, 1),
    "chinese_clip": ("ChineseCLIPConfig", BOTH, 1),
    "clip_vision": ("CLIPVisionConfig", TOKENS, 1),
    "clipseg": ("CLIPSegConfig", BOTH, 1),
    "convnextv2": ("ConvNextV2Config", STAGES | {"num_stages": 2}, FIRST),
    "cvt": (
        "CvtConfig",
        {"embed_dim": [8, 16, 16], "num_heads": [1, 2, 2], "depth": [1, 2, 3]},
        FIRST,
    ),
    "dinov3_convnext": ("DINOv3ConvNextConfig", FOUR, FIRST),
    "dinov3_vit": ("DINOv3ViTConfig", TOKENS | {"num_register_tokens": 4}, 5),
    "donut_swin": ("DonutSwinConfig", WINDOWS, 0),
    "dpt": (
        "DPTConfig",
        TOKENS | {"neck_hidden_sizes": [8] * 4, "backbone_out_indices": [0, 0, 1, 1]},
        1,
    ),
    "efficientnet": ("EfficientNetConfig", SMALL_EFFICIENT, FIRST),
    "flava": (
        "FlavaConfig",
        {
            "image_config": TOKENS,
            "text_config": TEXT,
            "multimodal_config": TEXT,
            "image_codebook_config": {"hidden_size": 4, "vocab_size": 16},
        },
        1,
    ),
    "focalnet": (
        "FocalNetConfig",
        {"image_size": 32, "embed_dim": 8, "depths": [1, 1]}
        | {"focal_levels": [2, 2], "focal_windows": [3, 3]},
        0,
    ),
    "glpn": ("GLPNConfig", PYRAMID | {"decoder_hidden_size": 8}, FIRST),
    "hgnet_v2": (
        "HGNetV2Config",
        {
            "stem_channels": [3, 8, 8],
            "stage_in_channels": [8, 16, 16, 16],
            "stage_mid_channels": [8] * 4,
            "stage_out_channels": [16] * 4,
            "stage_num_blocks": [1] * 4,
            "stage_numb_of_layers": [1] * 4,
        },
        FIRST,
    ),
    "hiera": (
        "HieraConfig",
        {"image_size": [32, 32], "embed_dim": 8, "depths": [1, 1], "num_heads": [1, 2]}
        | {"query_stride": [2, 2], "masked_unit_size": [4, 4], "num_query_pool": 1}
        | {"decoder_hidden_size": 8, "decoder_num_heads": 1},
        0,
    ),
    "ijepa": ("IJepaConfig", TOKENS, 0),
    "internvl": (
        "InternVLVisionConfig",
        TOKENS | {"image_size": [32, 32], "patch_size": [8, 8]},
        1,
    ),
    "kosmos2": (
        "Kosmos2Config",
        {
            "vision_config": TOKENS,
            "text_config": {"embed_dim": 16, "layers": 1, "ffn_dim": 16}
            | {"attention_heads": 2, "vocab_size": 50},
            "latent_query_num": 4,
        },
        1,
    ),
    "levit": (
        "LevitConfig",
        {"image_size": 64, "hidden_sizes": [16, 32, 32], "num_attention_heads": [2, 2, 2]}
        | {"depths": [1, 1, 1], "key_dim": [4, 4, 4], "patch_size": 16}
        | {"down_ops": [["Subsample", 4, 4, 4, 2, 2], ["Subsample", 4, 8, 4, 2, 2]]},
        0,
    ),
    "metaclip2": (
        "MetaClip2Config",
        {"vision_config": TOKENS, "text_config": TEXT | {"eos_token_id": 2}},
        1,
    ),
    "mgp_str": (
        "MgpstrConfig",
        {name: value for name, value in TOKENS.items() if name != "intermediate_size"}
        | {"image_size": [32, 32], "num_character_labels": 5, "num_bpe_labels": 5}
        | {"num_wordpiece_labels": 5},
        1,
    ),
    "mlcd": ("MLCDVisionConfig", TOKENS | {"num_key_value_groups": 1}, 1),
    "mobilenet_v1": ("MobileNetV1Config", {"depth_multiplier": 0.1}, FIRST),
    "mobilenet_v2": ("MobileNetV2Config", {"depth_multiplier": 0.1}, FIRST),
    "mobilevit": (
        "MobileViTConfig",
        {"image_size": 64, "hidden_sizes": [8, 8, 8], "num_attention_heads": 2}
        | {"neck_hidden_sizes": [8, 8, 8, 8, 8, 8, 16]},
        FIRST,
    ),
    "mobilevitv2": (
        "MobileViTV2Config",
        {"image_size": 64, "width_multiplier": 0.1, "n_attn_blocks": [1, 1, 1]}
        | {"base_attn_unit_dims": [16, 16, 16]},
        FIRST,
    ),
    "owlv2": ("Owlv2Config", BOTH, 1),
    "owlvit": ("OwlViTConfig", BOTH, 1),
    "pixio": ("PixioConfig", TOKENS | {"n_cls_tokens": 8}, 8),
    "poolformer": ("PoolFormerConfig", FOUR, FIRST),
    "pvt_v2": ("PvtV2Config", PYRAMID | {"image_size": 64}, FIRST),
    "radio": ("RadioConfig", TOKENS, 10),
    "regnet": ("RegNetConfig", STAGES | {"embedding_size": 8, "groups_width": 8}, FIRST),
    "sam_and_prompts": (
        "SamConfig",
        {
            "vision_config": SEGMENTS,
            "prompt_encoder_config": {"hidden_size": 8, "image_size": 32, "patch_size": 8},
            "mask_decoder_config": {"hidden_size": 8, "mlp_dim": 8, "num_attention_heads": 2}
            | {"iou_head_hidden_dim": 8},
        },
        LAST,
    ),
    "sam_hq": ("SamHQVisionConfig", SEGMENTS, LAST),
    "sam2": (
        "Sam2HieraDetConfig",
        {
            "hidden_size": 8,
            "image_size": [64, 64],
            "blocks_per_stage": [1, 2, 1, 1],
            "embed_dim_per_stage": [8, 16, 24, 32],
            "num_attention_heads_per_stage": [1, 2, 2, 4],
            "window_size_per_stage": [8, 4, 4, 2],
            "global_attention_blocks": [2],
            "window_positional_embedding_background_size": [2, 2],
        },
        LAST,
    ),
    "sam3": (
        "Sam3ViTConfig",
        TOKENS | {"window_size": 2, "global_attn_indexes": [1], "pretrain_image_size": 32},
        LAST,
    ),
    "sapiens2": ("Sapiens2Config", TOKENS | {"num_register_tokens": 8}, 9),
    "segformer": ("SegformerConfig", PYRAMID | {"decoder_hidden_size": 8}, FIRST),
    "siglip_vision": ("SiglipVisionConfig", TOKENS, 0),
    "swiftformer": (
        "SwiftFormerConfig",
        {"image_size": 64, "depths": [1, 1, 1, 1], "embed_dims": [8, 16, 16, 16]},
        FIRST,
    ),
    "swin2sr": ("Swin2SRConfig", WINDOWS | {"image_size": 16, "window_size": 4}, 0),
    "swinv2": ("Swinv2Config", WINDOWS, 0),
    "textnet": (
        "TextNetConfig",
        {"stem_out_channels": 8, "hidden_sizes": [8, 8, 16, 16, 16], "image_size": [64, 64]}
        | {"conv_layer_kernel_sizes": [[[3, 3]]] * 4, "conv_layer_strides": [[2]] * 4},
        FIRST,
    ),
    "tipsv2": ("Tipsv2VisionConfig", TOKENS, 2),
    "vit_msn": ("ViTMSNConfig", TOKENS, 1),
    "vitdet": ("VitDetConfig", TOKENS, FIRST),
    "yolos": (  # ten tokens for detection are last
        "YolosConfig",
        TOKENS
        | {"image_size": [32, 32], "num_detection_tokens": 10}
        | {"use_mid_position_embeddings": False},
        slice(1, 17),
    ),
}

REFUSED: dict[str, tuple[str, dict[str, Any], str]] = {
    "bert": (
        "BertConfig",
        TEXT,
        "it takes input_ids, .*; give a model of images, which takes pixel_values alone",
    ),
    "bridgetower": (
        "BridgeTowerConfig",
        {"vision_config": {"hidden_size": 64, "num_hidden_layers": 2}, "text_config": TEXT},
        "it takes image; give a model of images, which takes pixel_values",
    ),
    "detr": (
        "DetrConfig",
        {
            "use_timm_backbone": False,
            "backbone": None,
            "backbone_config": STAGES
            | {"model_type": "resnet", "embedding_size": 8, "out_features": ["stage2"]},
            "d_model": 16,
            "encoder_layers": 1,
            "decoder_layers": 1,
            "encoder_ffn_dim": 16,
            "decoder_ffn_dim": 16,
        },
        "gives no hidden states; give its encoder alone",
    ),
    "groupvit": (
        "GroupViTConfig",
        {
            "vision_config": TOKENS
            | {"patch_size": 4, "depths": [1, 1, 1], "num_hidden_layers": 3}
            | {"num_group_tokens": [10, 3, 0], "num_output_groups": [10, 3, 0]},
            "text_config": TEXT,
        },
        "gives 10 tokens for pixels of 32 x 32, which make no grid of places",
    ),
    "maskformer": (
        "MaskFormerConfig",
        {
            "backbone_config": WINDOWS
            | {"model_type": "swin", "depths": [1] * 4, "num_heads": [2] * 4},
            "fpn_feature_size": 32,
            "mask_feature_size": 32,
            "decoder_config": {"model_type": "detr", "d_model": 16, "num_queries": 16}
            | {"encoder_layers": 1, "decoder_layers": 1},
        },
        "gives feature maps and tokens by turns; give its encoder alone",
    ),
    "pixtral": (
        "PixtralVisionConfig",
        TOKENS | {"head_dim": 8},
        r"hidden states of shapes \[\(1, 32, 16\), .* can be pooled",
    ),
    "seggpt": (
        "SegGptConfig",
        TOKENS
        | {
            "pretrain_image_size": 32,
            "intermediate_hidden_state_indices": [0, 1],
            "merge_index": 0,
        },
        "it takes pixel_values, prompt_pixel_values, prompt_masks; give a model of images",
    ),
    "siglip2": (
        "Siglip2VisionConfig",
        {name: value for name, value in TOKENS.items() if name != "image_size"}
        | {"num_patches": 16},
        "it takes pixel_values, pixel_attention_mask, spatial_shapes; give a model of images",
    ),
    "timesformer": ("TimesformerConfig", TOKENS, "is a model of videos; give a model of images"),
    "videomae": ("VideoMAEConfig", TOKENS, "is a model of videos; give a model of images"),
    "vilt": ("ViltConfig", TOKENS | {"vocab_size": 50}, "specify either input_ids"),
    "vivit": ("VivitConfig", TOKENS, "is a model of videos; give a model of images"),
}


def surveyed(config: str, options: dict[str, Any], folder: Path) -> Path:
    torch.manual_seed(0)
    model = AutoModel.from_config(getattr(transformers, config)(**options))
    with torch.no_grad():  # BLIP's are so small that images do not differ by them
        for parameter in model.parameters():
            parameter.add_(0.01 * torch.randn_like(parameter))
    model.save_pretrained(folder)
    given = options.get("image_size", 32)
    size = given if isinstance(given, int) else given[0]
    processor = transformers.ViTImageProcessorPil(size={"height": size, "width": size})
    processor.save_pretrained(folder)
    return folder


def expected_of(state: Tensor, where: Where) -> np.ndarray:
    if isinstance(where, tuple):
        return state.mean(dim=where).numpy()
    places = where if isinstance(where, slice) else slice(where, None)
    return state[:, places].mean(dim=1).numpy()


@pytest.mark.parametrize("name", marked(SURVEY))
def test_an_architecture_is_pooled_over_the_places_of_the_image(name: str, tmp_path: Path) -> None:
    config, options, where = SURVEY[name]
    folder = surveyed(config, options, tmp_path / name)
    representations.try_one(folder)
    layers = representations.extract(folder, IMAGES[:3], batch_size=2)
    states = states_of(folder)
    if name == "dinov3_convnext":
        states = states[1:]  # the first are the pixels
    assert len(states) > 2
    assert_near(layers, [expected_of(state, where) for state in states])
    assert len(np.unique(layers[0], axis=0)) == 3  # an image has features of its own


def states_of(folder: Path) -> tuple[Tensor, ...]:
    """What a plain call gives of the model, or of its tower for images."""
    model = checkpoints.load_for_images(folder).eval()
    processor = checkpoints.load_processor(folder)
    pixels = processor(list(IMAGES[:3]), return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        return model(pixel_values=pixels, output_hidden_states=True).hidden_states


@pytest.mark.parametrize("name", marked(REFUSED))
def test_an_architecture_without_places_in_its_hidden_states_is_refused(
    name: str, tmp_path: Path
) -> None:
    config, options, reason = REFUSED[name]
    folder = surveyed(config, options, tmp_path / name)
    checkpoints.check(folder)
    for refuses in (
        lambda: representations.try_one(folder),
        lambda: representations.extract(folder, IMAGES[:3]),
    ):
        with pytest.raises(ValueError, match=reason) as refused:
            refuses()
        (line,) = str(refused.value).splitlines()
        assert line.startswith(f"model {str(folder)!r} of type ")


def test_a_class_token_of_the_last_stage_alone_is_left_out(tmp_path: Path) -> None:
    options = PYRAMID | {"image_size": 64}
    folder = surveyed("PvtConfig", options, tmp_path / "pvt")
    layers = representations.extract(folder, IMAGES[:3])
    states = states_of(folder)
    assert [state.shape[1] for state in states] == [256, 64, 16, 5, 5]
    special = zip(states, [0, 0, 0, 1, 1], strict=True)
    assert_near(layers, [expected_of(state, n_special) for state, n_special in special])
    with pytest.raises(ValueError, match="has no class token; use pooling 'mean'"):
        representations.try_one(folder, pooling="cls")


def test_maps_whose_places_cannot_be_told_from_features_are_refused(tmp_path: Path) -> None:
    """Height, width and number of features of all of them are four."""
    options = TOKENS | {"hidden_size": 4, "num_attention_heads": 1}
    folder = surveyed("VitDetConfig", options, tmp_path / "vitdet")
    with pytest.raises(ValueError, match="places cannot be told from features; let its image"):
        representations.try_one(folder)

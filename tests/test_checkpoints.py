"""Checkpoints are found by folder or by name, load quietly, and run no code of theirs."""

import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessorPil, ViTModel

from convexlib.models import checkpoints, representations

# How timm describes a model on the hub.
TIMM = {
    "architecture": "resnet18",
    "num_classes": 5,
    "pretrained_cfg": {"input_size": [3, 32, 32]},
}

# Loads a classifier as it is, without its head, and with a head of another size.
LOAD = """
import sys
from transformers import AutoModel, AutoModelForImageClassification
from convexlib.models.checkpoints import load_config, load_model, load_processor, locate

folder = locate(sys.argv[1])
load_config(folder)
load_processor(folder)
load_model(AutoModel, folder)
load_model(AutoModelForImageClassification, folder)
names = dict(enumerate("abcde"))
load_model(
    AutoModelForImageClassification, folder, id2label=names, ignore_mismatched_sizes=True
)
"""


def save(folder: Path, model_class: type = ViTModel) -> Path:
    config = ViTConfig(
        image_size=8,
        patch_size=4,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=8,
    )
    model_class(config).save_pretrained(folder)
    ViTImageProcessorPil(size={"height": 8, "width": 8}).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def vit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("models") / "vit")


def test_a_folder_is_found(vit: Path) -> None:
    assert checkpoints.locate(str(vit)) == vit
    assert checkpoints.load_config(vit).model_type == "vit"
    assert isinstance(checkpoints.load_processor(vit), ViTImageProcessorPil)


def test_a_folder_is_found_from_where_one_is_and_from_home(
    vit: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(vit.parent)
    monkeypatch.setenv("HOME", str(vit.parent))
    assert checkpoints.locate("vit").resolve() == vit
    assert checkpoints.locate("./vit").resolve() == vit
    assert checkpoints.locate("~/vit") == vit


@pytest.mark.parametrize(
    "path",
    [
        "./my-modle",
        "/no/such/folder",
        "runs/best/ckpt",
        "C:\\models\\vit",
        "~/no-such-model",
        "~nobody-of-that-name/model",
        "../models@home/vit",
        "my model",
        "no such/name!",
        "a" * 300,
        "nul\0",
        "vit/",
    ],
)
def test_a_mistyped_path_is_no_such_folder(path: str) -> None:
    with pytest.raises(ValueError, match="there is no such folder; check the path") as refused:
        checkpoints.locate(path)
    (line,) = str(refused.value).splitlines()
    assert line.startswith(f"model {path!r}: ")
    assert checkpoints.size(path) is None


def test_the_file_of_weights_is_no_folder(vit: Path) -> None:
    with pytest.raises(ValueError, match="of a file give the folder that it is in"):
        checkpoints.locate(str(vit / "model.safetensors"))


def test_weights_in_several_files_are_found(vit: Path, tmp_path: Path) -> None:
    ViTModel.from_pretrained(vit).save_pretrained(tmp_path, max_shard_size="2KB")
    shutil.copy(vit / "preprocessor_config.json", tmp_path)
    assert (tmp_path / "model.safetensors.index.json").is_file()
    assert not (tmp_path / "model.safetensors").exists()
    assert checkpoints.locate(str(tmp_path)) == tmp_path


@pytest.mark.parametrize("config", [TIMM, TIMM | {"model_type": "timm_wrapper"}])
def test_a_model_of_timm_names_what_it_needs(
    vit: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: dict[str, object]
) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)  # as if it were not installed
    shutil.copy(vit / "model.safetensors", tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    said = refusal(tmp_path)
    assert "timm" in said.partition("; ")[0]
    assert said.endswith("or pip install 'convexlib[timm]' where torchvision fits torch")


@pytest.mark.slow
def test_loading_prints_nothing(tmp_path: Path) -> None:
    """In a process of its own, since libraries may print when they are imported."""
    folder = save(tmp_path / "classifier", ViTForImageClassification)
    environment = os.environ | {"HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-c", LOAD, folder]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_folder_is_checked_again_only_if_a_file_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, checked = save(tmp_path / "vit"), []
    shapes = checkpoints.shapes
    monkeypatch.setattr(checkpoints, "shapes", lambda each: checked.append(each) or shapes(each))
    for _ in range(2):
        checkpoints.check(folder)
    assert len(checked) == 1
    (folder / "model.safetensors").write_bytes(b"")
    assert "is empty" in refusal(folder)


def test_quiet_ends_with_the_block_even_when_it_fails() -> None:
    logging = checkpoints.transformers_logging
    before = logging.get_verbosity(), logging.is_progress_bar_enabled()
    during = []

    def fail() -> None:
        with checkpoints.quiet():
            during.append(logging.is_progress_bar_enabled())
            raise RuntimeError("no luck")

    with pytest.raises(RuntimeError, match="no luck"):
        fail()
    assert during == [False]
    assert (logging.get_verbosity(), logging.is_progress_bar_enabled()) == before


@pytest.mark.parametrize(
    ("file", "changes"),
    [
        ("config.json", {"model_type": "own", "auto_map": {"AutoConfig": "own.Own"}}),
        (
            "preprocessor_config.json",
            {"image_processor_type": "Own", "auto_map": {"AutoImageProcessor": "own.Own"}},
        ),
    ],
    ids=["configuration", "image processor"],
)
def test_no_code_of_a_checkpoint_is_run_whatever_one_answers(
    vit: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture,
    file: str,
    changes: dict[str, object],
) -> None:
    folder = shutil.copytree(vit, tmp_path / "own")
    content = json.loads((folder / file).read_text(encoding="utf-8")) | changes
    (folder / file).write_text(json.dumps(content), encoding="utf-8")
    (folder / "own.py").write_text(
        f"open({str(tmp_path / 'was here')!r}, 'w').close()\n"
        "from transformers import PreTrainedConfig\n"
        "class Own(PreTrainedConfig):\n"
        "    model_type = 'own'\n"
        "    from_dict = from_pretrained = classmethod(lambda cls, *args, **more: cls())\n",
        encoding="utf-8",
    )
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\ny\ny\n"))
    refusal(folder)
    assert not (tmp_path / "was here").exists()
    assert "Do you wish to run" not in capfd.readouterr().out


# Weights. `Weights` are what a file of weights holds.

Weights = dict[str, Tensor]

TOKENS = {
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "image_size": 32,
    "patch_size": 8,
}
TEXT = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 50}
STAGES = {"hidden_sizes": [8, 16], "depths": [1, 2], "embedding_size": 8}


def saved(folder: Path, model: str, config: str, **options: Any) -> Path:
    torch.manual_seed(0)
    made = getattr(transformers, config)(**options)
    getattr(transformers, model)(made).save_pretrained(folder)
    ViTImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


def rewritten(folder: Path, change: Callable[[Weights], Weights]) -> Path:
    weights = change(load_file(folder / "model.safetensors"))
    weights = {name: tensor.contiguous().clone() for name, tensor in weights.items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def refusal(folder: Path) -> str:
    with pytest.raises(ValueError, match="model folder") as refused:
        checkpoints.check(folder)
    (line,) = str(refused.value).splitlines()
    assert str(folder) in line
    return line


@pytest.mark.parametrize(
    ("model", "prefix", "remedy"),
    [
        ("ViTModel", "module.", "model.module.save_pretrained(...)"),
        ("ViTForImageClassification", "_orig_mod.", "model._orig_mod.save_pretrained(...)"),
        ("ViTModel", "module._orig_mod.", "model.module._orig_mod.save_pretrained(...)"),
        ("ViTForImageClassification", "backbone.", "model.backbone.save_pretrained(...)"),
        ("ViTModel", "base_model.model.", "model.merge_and_unload().save_pretrained()"),
    ],
)
def test_weights_of_a_wrapped_model_are_refused_with_how_to_save_it(
    model: str, prefix: str, remedy: str, tmp_path: Path
) -> None:
    folder = saved(tmp_path / "vit", model, "ViTConfig", **TOKENS)
    rewritten(folder, lambda weights: {prefix + name: each for name, each in weights.items()})
    assert refusal(folder).endswith(remedy)
    with pytest.raises(ValueError, match="holds weights that do not fit"):
        representations.extract(folder, [np.zeros((32, 32, 3), np.uint8)])


@pytest.mark.parametrize(
    ("model", "lost"),
    [
        ("ViTModel", "layer.1."),
        ("ViTForImageClassification", "cls_token"),
        ("ViTModel", "position_embeddings"),
        ("ViTForImageClassification", "layer.2.output"),
    ],
)
def test_a_weight_on_which_hidden_states_depend_may_not_be_missing(
    model: str, lost: str, tmp_path: Path
) -> None:
    folder = saved(tmp_path / "vit", model, "ViTConfig", **TOKENS)
    rewritten(folder, lambda all_: {name: all_[name] for name in all_ if lost not in name})
    assert "are not there, such as" in refusal(folder)
    assert refusal(folder).endswith("save the whole model itself: save_pretrained()")


@pytest.mark.parametrize(
    ("model", "config", "options", "spare"),
    [
        ("ViTModel", "ViTConfig", TOKENS, ("pooler.", "layernorm.weight", "layernorm.bias")),
        ("BeitModel", "BeitConfig", TOKENS | {"use_mask_token": True}, ("mask_token", "pooler")),
        ("Dinov2Model", "Dinov2Config", TOKENS, ("mask_token", "layernorm.")),
        ("ViTMAEModel", "ViTMAEConfig", TOKENS, ("layernorm.weight", "layernorm.bias")),
        ("ResNetModel", "ResNetConfig", STAGES, ("num_batches_tracked",)),
        (
            "CLIPModel",
            "CLIPConfig",
            {"vision_config": TOKENS, "text_config": TEXT},
            ("text_model.", "logit_scale"),
        ),
    ],
)
def test_a_weight_on_which_no_hidden_state_depends_may_be_missing(
    model: str, config: str, options: dict[str, Any], spare: tuple[str, ...], tmp_path: Path
) -> None:
    folder = saved(tmp_path / "model", model, config, **options)
    n_before = len(load_file(folder / "model.safetensors"))
    # Those of the final norm, and not those of the blocks.
    rewritten(
        folder,
        lambda all_: {
            name: all_[name]
            for name in all_
            if "layer." in name or not any(part in name for part in spare)
        },
    )
    assert len(load_file(folder / "model.safetensors")) < n_before
    checkpoints.check(folder)


def test_running_statistics_may_not_be_missing(tmp_path: Path) -> None:
    folder = saved(tmp_path / "resnet", "ResNetModel", "ResNetConfig", **STAGES)
    rewritten(folder, lambda all_: {name: all_[name] for name in all_ if "running_" not in name})
    assert "normalization.running_mean, but names" in refusal(folder)


@pytest.mark.parametrize("model", ["ViTModel", "ViTForImageClassification"])
def test_a_model_with_more_blocks_than_its_configuration_says_is_refused(
    model: str, tmp_path: Path
) -> None:
    folder = saved(tmp_path / "vit", model, "ViTConfig", **TOKENS)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config |= {"num_hidden_layers": 2}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    assert "the model has no place for 16 of them, such as" in refusal(folder)
    assert "layers.2.attention" in refusal(folder)


def test_weights_of_another_size_are_refused_by_name(tmp_path: Path) -> None:
    folder = saved(tmp_path / "vit", "ViTModel", "ViTConfig", **TOKENS)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config |= {"image_size": 40}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    assert (
        "embeddings.position_embeddings has shape (1, 17, 16), and the model's has (1, 26, 16)"
        in refusal(folder)
    )


RELATIVE = TOKENS | {"use_relative_position_bias": True}

# Class, configuration, the prefix of the published names, and what else is in the files.
PUBLISHED = {
    "google/vit-base-patch16-224-in21k": ("ViTModel", "ViTConfig", TOKENS, "", ("pooler.dense",)),
    "google/vit-base-patch16-224": (
        "ViTForImageClassification",
        "ViTConfig",
        TOKENS,
        "vit.",
        ("classifier",),
    ),
    "microsoft/beit-base-patch16-224-pt22k": (
        "BeitForMaskedImageModeling",
        "BeitConfig",
        RELATIVE | {"use_mask_token": True},
        "beit.",
        ("lm_head",),
    ),
    "microsoft/beit-base-patch16-224": (
        "BeitForImageClassification",
        "BeitConfig",
        RELATIVE,
        "beit.",
        ("beit.pooler.layernorm", "classifier"),
    ),
    "facebook/data2vec-vision-base": (
        "Data2VecVisionModel",
        "Data2VecVisionConfig",
        RELATIVE,
        "",
        (),
    ),
    "facebook/data2vec-vision-base-ft1k": (
        "Data2VecVisionForImageClassification",
        "Data2VecVisionConfig",
        RELATIVE,
        "data2vec_vision.",
        ("data2vec_vision.pooler.layernorm", "classifier"),
    ),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_names_of_weights_are_those_of_the_model(name: str, tmp_path: Path) -> None:
    """Names as they stand in the files on the hub, which transformers renames on loading."""
    model, config, options, prefix, others = PUBLISHED[name]
    folder = saved(tmp_path / "model", model, config, **options)
    names = load_file(folder / "model.safetensors").keys()
    block = f"{prefix}encoder.layer.0."
    assert {
        f"{prefix}embeddings.cls_token",
        f"{prefix}embeddings.patch_embeddings.projection.weight",
        f"{block}attention.attention.query.weight",
        f"{block}attention.output.dense.weight",
        f"{block}intermediate.dense.weight",
        f"{block}layernorm_before.weight",
        *(f"{other}.weight" for other in others),
    } <= names
    # Buffers that transformers saved in former years.
    index = f"{block}attention.attention.relative_position_bias.relative_position_index"
    rewritten(folder, lambda all_: all_ | {index: torch.zeros(17, 17, dtype=torch.int64)})
    checkpoints.check(folder)
    rewritten(folder, lambda all_: {name: all_[name] for name in all_ if block not in name})
    assert "are not there, such as" in refusal(folder)


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs the /proc of Linux")
def test_no_weights_are_read_to_check_them(tmp_path: Path) -> None:
    """The file of a large model, with a hole of 1.2 GB where its weights would be."""
    config = ViTConfig(hidden_size=1024, num_hidden_layers=24, num_attention_heads=16)
    with torch.device("meta"):
        model = ViTForImageClassification(config)
    shapes = {name: list(each.shape) for name, each in model.state_dict().items()}
    head, end = {}, 0
    for name, shape in shapes.items():
        start, end = end, end + 4 * int(np.prod(shape))
        head[name] = {"dtype": "F32", "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(head).encode()
    with (tmp_path / "model.safetensors").open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + end)
    config.save_pretrained(tmp_path)
    ViTImageProcessorPil().save_pretrained(tmp_path)
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # the peak begins anew
    before = memory("VmRSS:")
    checkpoints.check(tmp_path)
    assert memory("VmHWM:") - before < 300_000  # kilobytes


def memory(kind: str) -> int:
    status = Path("/proc/self/status").read_text(encoding="utf-8").split()
    return int(status[status.index(kind) + 1])


# Files that are no weights, no configuration and no processor.


def test_a_pointer_of_git_lfs_is_not_taken_for_weights(vit: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(vit, tmp_path / "vit")
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{64 * 'a'}\nsize 346293852\n"
    (folder / "model.safetensors").write_text(pointer, encoding="utf-8")
    assert "model.safetensors is a pointer of Git LFS: run git lfs pull" in refusal(folder)


def test_an_empty_file_of_weights_is_named(vit: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(vit, tmp_path / "vit")
    (folder / "model.safetensors").write_bytes(b"")
    assert "damaged weights (model.safetensors is empty); copy or save" in refusal(folder)


@pytest.mark.parametrize(
    ("file", "remedy"),
    [
        ("pytorch_model.bin", "convert them with save_pretrained(..., safe_serialization=True)"),
        ("adapter_model.safetensors", "model.merge_and_unload().save_pretrained()"),
        ("model.fp16.safetensors", "it holds model.fp16.safetensors; if that is the model, rename"),
    ],
)
def test_other_weights_than_those_expected_are_named(
    vit: Path, tmp_path: Path, file: str, remedy: str
) -> None:
    folder = shutil.copytree(vit, tmp_path / "vit")
    (folder / "model.safetensors").rename(folder / file)
    assert "holds no weights: expected model.safetensors; " in refusal(folder)
    assert remedy in refusal(folder)


def test_an_adapter_beside_the_weights_is_not_passed_over(vit: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(vit, tmp_path / "vit")
    shutil.copy(folder / "model.safetensors", folder / "adapter_model.safetensors")
    assert "holds an adapter beside its weights; save the model that" in refusal(folder)


@pytest.mark.parametrize(
    ("processor", "reason"),
    [
        (None, "(Can't load image processor"),
        ({"image_processor_type": "Unheard"}, "(Unrecognized image processor"),
        ({"feature_extractor_type": "Wav2Vec2FeatureExtractor"}, "audio and videos cannot be used"),
        ({"image_processor_type": "DINOv3ViTImageProcessorFast"}, "use the environment that has"),
        ({"image_processor_type": "DINOv3ViTImageProcessor"}, "make book WITH=timm"),
    ],
)
def test_a_processor_that_cannot_be_used_is_refused_with_what_to_do(
    vit: Path, tmp_path: Path, processor: dict[str, str] | None, reason: str
) -> None:
    folder = shutil.copytree(vit, tmp_path / "vit")
    (folder / "preprocessor_config.json").unlink()
    if processor:
        (folder / "preprocessor_config.json").write_text(json.dumps(processor), encoding="utf-8")
        (folder / "config.json").write_text(
            (folder / "config.json").read_text(encoding="utf-8").replace('"vit"', '"dinov3_vit"')
            if "DINOv3" in str(processor)
            else (folder / "config.json").read_text(encoding="utf-8"),
            encoding="utf-8",
        )
    assert reason in refusal(folder)


def test_quantized_weights_are_refused(vit: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(vit, tmp_path / "vit")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config |= {"quantization_config": {"quant_method": "bitsandbytes", "load_in_8bit": True}}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    assert "they are quantized; give the model in 16 or 32 bits" in refusal(folder)

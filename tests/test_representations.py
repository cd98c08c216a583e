"""Representations are the hidden states that transformers gives, pooled."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModel,
    BitImageProcessorPil,
    VideoMAEConfig,
    VideoMAEModel,
    ViTImageProcessorPil,
    ViTModel,
)

import convexlib as cv
from convexlib.data import colors
from convexlib.data.images import ImageFiles
from convexlib.models import checkpoints, representations
from tests.conftest import save_small_vit

IMAGES, _ = colors.generate(1, seed=0)

NOT_ALLOCATED = RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate")


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return save_small_vit(tmp_path / "vit", model="ViTForImageClassification", n_blocks=3)


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


def test_without_a_folder_the_layers_are_arrays(checkpoint: Path, tmp_path: Path) -> None:
    assert cv.extract(checkpoint, IMAGES, tmp_path / "out", batch_size=5) is None
    arrays = cv.extract(str(checkpoint), list(IMAGES), batch_size=5)
    assert len(arrays) == 4
    for layer, array in enumerate(arrays):
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array, representations.load(tmp_path / "out", layer))
    with pytest.raises(ValueError, match="there are no images"):
        cv.extract(checkpoint, [])
    with pytest.raises(ValueError, match="'/no/such/model': there is no such folder"):
        cv.extract("/no/such/model", IMAGES)


def test_cls_pooling_takes_the_class_token(checkpoint: Path, tmp_path: Path) -> None:
    representations.extract(checkpoint, IMAGES, tmp_path / "out", pooling="cls")
    for layer, state in enumerate(hidden_states(checkpoint)):
        np.testing.assert_allclose(
            representations.load(tmp_path / "out", layer), state[:, 0], atol=1e-5
        )


def test_all_tokens_are_laid_side_by_side(checkpoint: Path) -> None:
    layers = representations.extract(checkpoint, IMAGES, pooling="tokens")
    for found, state in zip(layers, hidden_states(checkpoint), strict=True):
        np.testing.assert_allclose(found, state[:, 1:].reshape(len(IMAGES), -1), atol=1e-5)


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


@pytest.fixture(params=[0, 2])
def processes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """None, or two, beside this one that prepare images, as where a GPU computes."""
    monkeypatch.setattr(representations, "_n_workers", lambda device: request.param)


in_processes = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")


@in_processes
@pytest.mark.usefixtures("processes")
def test_images_in_files_are_represented_as_those_in_memory(
    checkpoint: Path, tmp_path: Path
) -> None:
    paths = [tmp_path / f"{number}.png" for number in range(len(IMAGES))]
    for path, image in zip(paths, IMAGES, strict=True):
        Image.fromarray(image).save(path)
    representations.extract(checkpoint, ImageFiles(paths), tmp_path / "files", batch_size=5)
    representations.extract(checkpoint, IMAGES, tmp_path / "arrays", batch_size=5)
    for layer in range(4):
        from_files, from_arrays = (
            representations.load(tmp_path / name, layer) for name in ("files", "arrays")
        )
        np.testing.assert_array_equal(from_files, from_arrays)


@in_processes
@pytest.mark.usefixtures("processes")
def test_an_image_that_cannot_be_read_is_named_and_what_was_before_it_is_kept(
    checkpoint: Path, tmp_path: Path
) -> None:
    paths = [tmp_path / f"{number}.png" for number in range(len(IMAGES))]
    for path, image in zip(paths, IMAGES, strict=True):
        Image.fromarray(image).save(path)
    paths[12].write_text("no image", encoding="utf-8")
    with pytest.raises(ValueError, match=r"12\.png' cannot be read as an image"):
        representations.extract(checkpoint, ImageFiles(paths), tmp_path / "out", batch_size=4)
    assert len(representations.load(tmp_path / "out", 0)) == 12


def test_a_model_of_videos_says_why_it_cannot_be_used(tmp_path: Path) -> None:
    config = VideoMAEConfig(
        image_size=32,
        patch_size=8,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
    )
    VideoMAEModel(config).save_pretrained(tmp_path / "video")
    ViTImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(tmp_path / "video")
    with pytest.raises(ValueError, match="'videomae' cannot be asked for the hidden states of an"):
        representations.extract(tmp_path / "video", IMAGES, tmp_path / "out")


def test_hidden_states_that_cannot_be_pooled_are_named(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward = ViTModel.forward

    def without_states(self: ViTModel, **options: object) -> object:
        outputs = forward(self, **options)
        outputs.hidden_states = tuple(state[None] for state in outputs.hidden_states[:2])
        return outputs

    monkeypatch.setattr(ViTModel, "forward", without_states)
    with pytest.raises(ValueError, match=r"'vit' gives hidden states of shapes \[\(1, 2, 17, 16\)"):
        representations.extract(checkpoint, IMAGES, tmp_path / "out")


def test_an_interrupted_run_goes_on_where_it_stopped(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(representations, "_n_workers", lambda device: 0)  # to be interrupted

    class Interrupted(Sequence):
        def __init__(self) -> None:
            self.read: list[int] = []

        def __len__(self) -> int:
            return len(IMAGES)

        def __getitem__(self, row: int) -> np.ndarray:
            self.read.append(row)
            if row == 8:
                raise KeyboardInterrupt
            return IMAGES[row]

    images = Interrupted()
    with pytest.raises(KeyboardInterrupt):
        representations.extract(checkpoint, images, tmp_path / "out", batch_size=4)
    written = {file.name: file.stat().st_mtime_ns for file in (tmp_path / "out").iterdir()}
    assert "000000000.safetensors" in written
    (tmp_path / "out" / "000000099.partial").touch()  # as a killed run may leave
    representations.extract(checkpoint, IMAGES, tmp_path / "out", batch_size=3)
    now = {file.name: file.stat().st_mtime_ns for file in (tmp_path / "out").iterdir()}
    assert written.items() <= now.items()
    assert not [name for name in now if name.endswith(".partial")]
    representations.extract(checkpoint, IMAGES, tmp_path / "whole")
    for layer in range(4):
        np.testing.assert_allclose(
            representations.load(tmp_path / "out", layer),
            representations.load(tmp_path / "whole", layer),
            atol=1e-5,
        )
    images.read.clear()
    representations.extract(checkpoint, images, tmp_path / "whole")
    assert images.read == []  # nothing is left to do


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory"), MemoryError(), NOT_ALLOCATED]
)
def test_a_batch_that_is_too_large_is_halved(
    error: BaseException, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward = ViTModel.forward
    sizes = []

    def limited(self: ViTModel, pixel_values: torch.Tensor, **options: object) -> object:
        sizes.append(len(pixel_values))
        if len(pixel_values) > 4:
            raise error
        return forward(self, pixel_values=pixel_values, **options)

    monkeypatch.setattr(ViTModel, "forward", limited)
    representations.extract(checkpoint, IMAGES, tmp_path / "parts", batch_size=14)
    assert sizes[sizes.index(14) :][:4] == [14, 7, 4, 3]
    monkeypatch.undo()
    representations.extract(checkpoint, IMAGES, tmp_path / "whole")
    np.testing.assert_allclose(
        representations.load(tmp_path / "parts", 3),
        representations.load(tmp_path / "whole", 3),
        atol=1e-5,
    )


def test_an_error_that_is_not_about_memory_is_not_hidden(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward = ViTModel.forward

    def broken(self: ViTModel, pixel_values: torch.Tensor, **options: object) -> object:
        if len(pixel_values) > 2:  # two are looked at before
            raise RuntimeError("shapes do not match")
        return forward(self, pixel_values=pixel_values, **options)

    monkeypatch.setattr(ViTModel, "forward", broken)
    with pytest.raises(ValueError, match="shapes do not match"):
        representations.extract(checkpoint, IMAGES, tmp_path / "out")


TOKENS = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "image_size": 32,
    "patch_size": 8,
}
STAGES = {"hidden_sizes": [8, 16], "depths": [1, 1], "embedding_size": 8}
SQUARE = {"height": 32, "width": 32}


def saved(folder: Path, config: str, processor: Any, **options: Any) -> Path:
    torch.manual_seed(0)
    AutoModel.from_config(getattr(transformers, config)(**options)).save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def layers(folder: Path) -> list[np.ndarray]:
    return [representations.load(folder, n) for n in range(representations.n_layers(folder))]


# Precision.


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize(("config", "options"), [("ViTConfig", TOKENS), ("ResNetConfig", STAGES)])
def test_weights_are_loaded_in_32_bits_whatever_they_were_saved_in(
    config: str, options: dict[str, Any], dtype: torch.dtype, tmp_path: Path
) -> None:
    model = AutoModel.from_config(getattr(transformers, config)(**options)).to(dtype)
    for folder, same in ((tmp_path / "given", model), (tmp_path / "single", model.float())):
        same.to(dtype if folder.name == "given" else torch.float32).save_pretrained(folder)
        ViTImageProcessorPil(size=SQUARE).save_pretrained(folder)
        representations.extract(folder, IMAGES, folder / "out")
    for given, single in zip(
        layers(tmp_path / "given" / "out"), layers(tmp_path / "single" / "out"), strict=True
    ):
        assert given.dtype == np.float32
        np.testing.assert_allclose(given, single, rtol=1e-5, atol=1e-6)


def test_mixed_precision_is_near_to_single_and_both_are_recorded(
    checkpoint: Path, tmp_path: Path
) -> None:
    representations.extract(checkpoint, IMAGES, tmp_path / "single", batch_size=5)
    representations.extract(checkpoint, IMAGES, tmp_path / "mixed", precision="mixed", batch_size=5)
    for single, mixed in zip(layers(tmp_path / "single"), layers(tmp_path / "mixed"), strict=True):
        assert not np.array_equal(single, mixed)
        np.testing.assert_allclose(mixed, single, atol=0.05 * np.abs(single).max())
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    assert representations.provenance(tmp_path / "single") == {(device, "single")}
    assert representations.provenance(tmp_path / "mixed") == {(device, "mixed")}


def test_what_was_written_in_another_precision_is_not_gone_on_with(
    checkpoint: Path, tmp_path: Path
) -> None:
    representations.extract(checkpoint, IMAGES[:5], tmp_path / "out", precision="mixed")
    representations.extract(checkpoint, IMAGES, tmp_path / "out")
    representations.extract(checkpoint, IMAGES, tmp_path / "single")
    (only,) = representations.provenance(tmp_path / "out")
    assert only[1] == "single"
    for found, expected in zip(layers(tmp_path / "out"), layers(tmp_path / "single"), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_single_precision_is_so_whatever_was_allowed_before(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward, during = ViTModel.forward, []
    conv, matmul = torch.backends.cudnn.conv, torch.backends.cuda.matmul

    def watched(self: ViTModel, **options: object) -> object:
        during.append((conv.fp32_precision, matmul.fp32_precision))
        return forward(self, **options)

    monkeypatch.setattr(ViTModel, "forward", watched)
    before = matmul.fp32_precision
    matmul.fp32_precision = "tf32"
    try:
        representations.extract(checkpoint, IMAGES, tmp_path / "out")
        assert matmul.fp32_precision == "tf32"
    finally:
        matmul.fp32_precision = before
    assert set(during[1:]) == {("ieee", "ieee")}  # the first was without weights


# Pixels that do not fit the model.


def photograph(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height).integers(0, 256, (height, width, 3), dtype=np.uint8)


UPRIGHT, ACROSS = photograph(64, 48), photograph(48, 64)


def test_images_of_several_shapes_are_represented_as_each_alone(tmp_path: Path) -> None:
    processor = BitImageProcessorPil(size={"shortest_edge": 32}, do_center_crop=False)
    folder = saved(tmp_path / "dinov2", "Dinov2Config", processor, **TOKENS)
    images = [ACROSS, UPRIGHT, ACROSS[::-1], photograph(50, 50), UPRIGHT[::-1]]
    representations.extract(folder, images, tmp_path / "together", batch_size=5)
    representations.extract(folder, images, tmp_path / "alone", batch_size=1)
    assert len(list((tmp_path / "together").iterdir())) == 1
    for together, alone in zip(
        layers(tmp_path / "together"), layers(tmp_path / "alone"), strict=True
    ):
        assert len(together) == 5
        np.testing.assert_allclose(together, alone, atol=1e-5)
    with pytest.raises(
        ValueError, match=r"\(32, 32\) and \(42, 32\) pixels.*choose pooling 'mean'"
    ):
        representations.extract(folder, images, pooling="tokens")


def test_a_model_of_one_size_names_the_size_of_the_image_that_differs(tmp_path: Path) -> None:
    processor = BitImageProcessorPil(size={"shortest_edge": 32}, do_center_crop=False)
    folder = saved(tmp_path / "vit", "ViTConfig", processor, **TOKENS)
    fits = photograph(40, 40)
    representations.extract(folder, [fits, fits], tmp_path / "square")
    with pytest.raises(
        ValueError,
        match=r"takes 32 x 32 pixels, and its image processor "
        r"BitImageProcessorPil makes 42 x 32 of this image",
    ) as refused:
        representations.extract(folder, [fits, UPRIGHT, fits], tmp_path / "out")
    assert len(str(refused.value).splitlines()) == 1
    with pytest.raises(ValueError, match="makes 32 x 42 of this image: correct size and crop_size"):
        representations.try_one(folder)
    representations.try_one(folder, fits)


def test_a_processor_of_a_larger_size_than_the_model_is_named(tmp_path: Path) -> None:
    processor = ViTImageProcessorPil(size={"height": 48, "width": 48})
    folder = saved(tmp_path / "vit", "ViTConfig", processor, **TOKENS)
    reason = "takes 32 x 32 pixels, and its image processor ViTImageProcessorPil makes 48 x 48"
    for refuses in (
        lambda: representations.extract(folder, IMAGES, tmp_path / "out"),
        lambda: representations.try_one(folder),
    ):
        with pytest.raises(ValueError, match=reason) as refused:
            refuses()
        (line,) = str(refused.value).splitlines()
        assert line.startswith(f"model {str(folder)!r} of type 'vit' ")
        assert "give a model of images" not in line


@pytest.mark.parametrize("statistics", [{}, {"image_mean": [0.5], "image_std": [0.5]}])
@pytest.mark.parametrize(
    ("n_channels", "reason"), [(1, r"a single channel \(grey\)"), (4, "4 channels")]
)
def test_a_model_of_other_channels_than_three_is_refused_by_them(
    n_channels: int, reason: str, statistics: dict[str, Any], tmp_path: Path
) -> None:
    processor = ViTImageProcessorPil(size=SQUARE, **statistics)
    folder = saved(tmp_path / "vit", "ViTConfig", processor, **TOKENS, num_channels=n_channels)
    checkpoints.check(folder)
    with pytest.raises(ValueError, match=f"takes images of {reason}, and these have 3; give"):
        representations.try_one(folder)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_layer_that_is_not_finite_is_named_before_the_long_work(
    value: float, checkpoint: Path, tmp_path: Path
) -> None:
    weights = load_file(checkpoint / "model.safetensors")
    weights["vit.encoder.layer.1.output.dense.bias"][3] = value
    save_file(weights, checkpoint / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match="gives values at layer 2 that are not finite"):
        representations.try_one(checkpoint)
    representations.extract(checkpoint, IMAGES, tmp_path / "out")  # which layers are, is measured
    assert [np.isfinite(layer).all() for layer in layers(tmp_path / "out")] == [1, 1, 0, 0]


def test_one_image_goes_through_a_model_that_can_be_used(checkpoint: Path) -> None:
    representations.try_one(checkpoint)
    representations.try_one(checkpoint, pooling="cls")
    representations.try_one(checkpoint, IMAGES[0])


def test_an_untrained_model_has_the_architecture_and_not_the_weights(
    checkpoint: Path, tmp_path: Path
) -> None:
    options = {"pooling": "mean", "precision": "single"}
    for name in ("one", "again"):
        representations.write(checkpoint, IMAGES, tmp_path / name, untrained=True, **options)
    representations.write(checkpoint, IMAGES, tmp_path / "trained", **options)
    assert representations.n_layers(tmp_path / "one") == 4
    for layer in range(4):
        one, again, trained = (
            representations.load(tmp_path / name, layer) for name in ("one", "again", "trained")
        )
        np.testing.assert_array_equal(one, again)
        assert one.shape == trained.shape
        assert not np.allclose(one, trained)


def test_a_model_can_be_trained_where_another_was_represented(tmp_path: Path) -> None:
    """transformers keeps positions between models, which must not be known to autograd as fixed."""
    config = transformers.BeitConfig(
        image_size=32, patch_size=8, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=32, use_relative_position_bias=True,
    )  # fmt: skip
    transformers.BeitModel(config).save_pretrained(tmp_path)
    ViTImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(tmp_path)
    cv.extract(tmp_path, IMAGES)
    model = transformers.BeitModel(config).train()
    model(torch.zeros(1, 3, 32, 32)).last_hidden_state.sum().backward()

"""Representations are the hidden states that transformers gives, pooled."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import (
    VideoMAEConfig,
    VideoMAEModel,
    ViTImageProcessorPil,
    ViTModel,
)

from convexlib import representations
from convexlib.images import ImageFiles
from convexlib.stimuli import colors
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


def test_an_image_that_cannot_be_read_is_named_and_what_was_before_it_is_kept(
    checkpoint: Path, tmp_path: Path
) -> None:
    paths = [tmp_path / f"{number}.png" for number in range(len(IMAGES))]
    for path, image in zip(paths, IMAGES, strict=True):
        Image.fromarray(image).save(path)
    paths[12].write_text("no image")
    with pytest.raises(ValueError, match=r"12\.png' is no image"):
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
    with pytest.raises(
        ValueError, match=r"'vit' gives hidden states of shapes \[\(1, 14, 17, 16\)"
    ):
        representations.extract(checkpoint, IMAGES, tmp_path / "out")


def test_an_interrupted_run_goes_on_where_it_stopped(checkpoint: Path, tmp_path: Path) -> None:
    class Interrupted(Sequence):
        def __init__(self) -> None:
            self.read: list[int] = []

        def __len__(self) -> int:
            return len(IMAGES)

        def __getitem__(self, some: slice) -> np.ndarray:
            self.read.append(some.start)
            if some.start == 8:
                raise KeyboardInterrupt
            return IMAGES[some]

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
    assert sizes[:5] == [1, 14, 7, 4, 4]
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
        if len(pixel_values) > 1:
            raise RuntimeError("shapes do not match")
        return forward(self, pixel_values=pixel_values, **options)

    monkeypatch.setattr(ViTModel, "forward", broken)
    with pytest.raises(RuntimeError, match="shapes do not match"):
        representations.extract(checkpoint, IMAGES, tmp_path / "out")

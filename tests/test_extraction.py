"""Extraction as a whole: what it takes in, and how much memory it takes."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import ArrayLike
from PIL import Image
from transformers import ViTConfig, ViTImageProcessorPil, ViTModel

from convexlib.models import checkpoints

HALF = [0.5, 0.5, 0.5]
IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
CLIP = {
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
}
SQUARE = {"height": 224, "width": 224}
PRESENT = {"do_resize": True, "do_rescale": True, "do_normalize": True, "rescale_factor": 1 / 255}
FORMER = {"do_resize": True, "do_normalize": True, "size": 224}

# The preprocessor_config.json with which checkpoints are published, many of them in a form that
# transformers had before "image processors", and model type.
PUBLISHED: dict[str, tuple[str, dict[str, Any]]] = {
    "google/vit-base-patch16-224": (
        "vit",
        PRESENT
        | {
            "image_processor_type": "ViTImageProcessor",
            "image_mean": HALF,
            "image_std": HALF,
            "resample": 2,
            "size": SQUARE,
        },
    ),
    "google/vit-large-patch16-224": (
        "vit",
        FORMER
        | {
            "feature_extractor_type": "ViTFeatureExtractor",
            "image_mean": HALF,
            "image_std": HALF,
            "resample": 2,
        },
    ),
    "microsoft/beit-base-patch16-224-pt22k": (
        "beit",
        FORMER
        | {
            "feature_extractor_type": "BeitFeatureExtractor",
            "crop_size": 224,
            "do_center_crop": False,
            "image_mean": HALF,
            "image_std": HALF,
            "resample": 2,
        },
    ),
    "facebook/data2vec-vision-base-ft1k": (
        "data2vec-vision",
        FORMER
        | {
            "feature_extractor_type": "BeitFeatureExtractor",
            "crop_size": 224,
            "do_center_crop": False,
            "image_mean": HALF,
            "image_std": HALF,
            "resample": 3,
        },
    ),
    "openai/clip-vit-base-patch32": (
        "clip",
        FORMER
        | CLIP
        | {
            "feature_extractor_type": "CLIPFeatureExtractor",
            "crop_size": 224,
            "do_center_crop": True,
            "resample": 3,
        },
    ),
    "facebook/dinov2-base": (
        "dinov2",
        PRESENT
        | IMAGENET
        | {
            "image_processor_type": "BitImageProcessor",
            "crop_size": SQUARE,
            "do_center_crop": True,
            "do_convert_rgb": True,
            "resample": 3,
            "size": {"shortest_edge": 256},
        },
    ),
    "google/siglip-base-patch16-224": (
        "siglip",
        PRESENT
        | {
            "image_processor_type": "SiglipImageProcessor",
            "processor_class": "SiglipProcessor",
            "image_mean": HALF,
            "image_std": HALF,
            "resample": 3,
            "size": SQUARE,
        },
    ),
}


def squared(image: Image.Image, filtered: Image.Resampling) -> Image.Image:
    return image.resize((224, 224), filtered)


def cropped(image: Image.Image, shortest: int) -> Image.Image:
    """The middle of an image of which the shorter edge was scaled."""
    width, height = (int(edge * shortest / min(image.size)) for edge in image.size)
    left, top = (width - 224) // 2, (height - 224) // 2
    scaled = image.resize((width, height), Image.Resampling.BICUBIC)
    return scaled.crop((left, top, left + 224, top + 224))


def normalised(image: Image.Image, mean: ArrayLike, std: ArrayLike) -> np.ndarray:
    return ((np.asarray(image) / 255 - mean) / std).transpose(2, 0, 1)


def as_published(name: str, image: Image.Image) -> np.ndarray:
    """What the model was published to see."""
    bilinear, bicubic = Image.Resampling.BILINEAR, Image.Resampling.BICUBIC
    match name.split("/")[1].split("-")[0]:
        case "vit" | "beit":
            return normalised(squared(image, bilinear), 0.5, 0.5)
        case "data2vec" | "siglip":
            return normalised(squared(image, bicubic), 0.5, 0.5)
        case "clip":
            mean, std = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
            return normalised(cropped(image, 224), mean, std)
        case "dinov2":
            return normalised(cropped(image, 256), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    raise ValueError(name)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders with the configurations that are published."""
    folders = {name: tmp_path_factory.mktemp("models") for name in PUBLISHED}
    for name, (model_type, processor) in PUBLISHED.items():
        (folders[name] / "config.json").write_text(
            json.dumps({"model_type": model_type}), encoding="utf-8"
        )
        (folders[name] / "preprocessor_config.json").write_text(
            json.dumps(processor), encoding="utf-8"
        )
    return folders


def photograph(width: int, height: int) -> np.ndarray:
    """Something with edges, shades and noise in all three channels."""
    rng = np.random.default_rng(0)
    shade = np.linspace(0, 200, width)[None, :, None] + rng.normal(0, 20, (height, width, 3))
    shade[height // 3 : height // 2, width // 4 :] = (20, 240, 130)
    return shade.clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("size", [(500, 375), (333, 500), (224, 224), (100, 80), (301, 257)])
@pytest.mark.parametrize("name", PUBLISHED)
def test_a_model_sees_what_it_was_published_to_see(
    name: str, size: tuple[int, int], published: dict[str, Path]
) -> None:
    processor = checkpoints.load_processor(published[name])
    array = photograph(*size)
    image = Image.fromarray(array)
    expected = as_published(name, image)
    for given in (array, image):
        (found,) = processor([given], return_tensors="pt")["pixel_values"].numpy()
        np.testing.assert_allclose(found, expected, atol=1e-5)


def child(code: str, *arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        env=os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        **options,
    )


@pytest.mark.slow
def test_no_warning_reaches_the_reader_of_a_published_processor(published: dict[str, Path]) -> None:
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from convexlib.models.checkpoints import load_processor\n"
        "for folder in sys.argv[1:]:\n"
        "    print(type(load_processor(Path(folder))).__name__)\n"
    )
    done = child(code, *published.values())
    assert done.stderr == ""
    assert done.stdout.split() == [
        "ViTImageProcessorPil",
        "ViTImageProcessorPil",
        "BeitImageProcessorPil",
        "BeitImageProcessorPil",
        "CLIPImageProcessorPil",
        "BitImageProcessorPil",
        "SiglipImageProcessorPil",
    ]


# VmHWM is the peak of this process alone; ru_maxrss may be that of the process that started it.
EXTRACT = """
import sys
from pathlib import Path
from convexlib.data.images import ImageFiles
from safetensors import safe_open
from convexlib.models.representations import extract

checkpoint, images, folder = map(Path, sys.argv[1:4])
n_images = int(sys.argv[4])
files = sorted(images.iterdir())
extract(checkpoint, ImageFiles(files * (n_images // len(files))), folder, batch_size=50)
status = Path("/proc/self/status").read_text(encoding="utf-8").split()
print(status[status.index("VmHWM:") + 1])
with safe_open(folder / f"{n_images - 50:09d}.safetensors", framework="numpy") as last:
    assert last.get_slice("layer_000").get_shape()[0] == 50
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs the /proc of Linux")
def test_memory_does_not_grow_with_the_number_of_images(tmp_path: Path) -> None:
    """All features of the 10,000 images are 82 MB, a fifth of what the process takes."""
    config = ViTConfig(
        image_size=32,
        patch_size=32,
        hidden_size=512,
        num_hidden_layers=3,
        num_attention_heads=2,
        intermediate_size=16,
    )
    ViTModel(config).save_pretrained(tmp_path / "vit")
    ViTImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(tmp_path / "vit")
    (tmp_path / "images").mkdir()
    for number in range(10):
        image = Image.fromarray(photograph(64 + number, 64))
        image.save(tmp_path / "images" / f"{number}.png")
    peaks = []
    for n_images in (1_000, 10_000):
        folder = tmp_path / str(n_images)
        done = child(EXTRACT, tmp_path / "vit", tmp_path / "images", folder, n_images)
        assert done.returncode == 0, done.stderr
        peaks.append(int(done.stdout))
    assert peaks[1] < 1.1 * peaks[0]

"""Checkpoints are found by folder or by name, load quietly, and run no code of theirs."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessorPil, ViTModel

from convexlib import checkpoints, representations
from convexlib.stimuli import colors

COMMIT = "0123456789abcdef0123456789abcdef01234567"

# How timm describes a model on the hub.
TIMM = {
    "architecture": "resnet18",
    "num_classes": 5,
    "pretrained_cfg": {"input_size": [3, 32, 32]},
}

LOCATE = """
import json, sys
from convexlib.checkpoints import locate

answers = {}
for name in sys.argv[1:]:
    try:
        answers[name] = str(locate(name))
    except ValueError as error:
        answers[name] = f"refused: {error}"
print(json.dumps(answers))
"""

EXTRACT = """
import sys
from pathlib import Path
from convexlib.checkpoints import locate
from convexlib.representations import extract
from convexlib.stimuli import colors

images, _ = colors.generate(1, seed=0)
extract(locate(sys.argv[1]), images, Path(sys.argv[2]))
"""

# Loads a classifier as it is, without its head, and with a head of another size.
LOAD = """
import sys
from pathlib import Path
from transformers import AutoModel, AutoModelForImageClassification
from convexlib.checkpoints import load_config, load_model, load_processor, locate

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


def run(code: str, *arguments: str, home: Path, stdin: str = "") -> tuple[str, str]:
    """What a process without a network says, on stdout and stderr, with `home` for a cache."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=os.environ | {"HF_HOME": str(home), "HF_HUB_OFFLINE": "1"},
        input=stdin,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def cached(home: Path, name: str, folder: Path) -> Path:
    """Put a checkpoint where huggingface_hub keeps what it has downloaded, as it keeps it."""
    repository = home / "hub" / f"models--{name.replace('/', '--')}"
    snapshot = repository / "snapshots" / COMMIT
    for part in (repository / "refs", repository / "blobs", snapshot):
        part.mkdir(parents=True)
    (repository / "refs" / "main").write_text(COMMIT)
    for file in folder.iterdir():
        blob = repository / "blobs" / hashlib.sha256(file.read_bytes()).hexdigest()
        shutil.copy(file, blob)
        (snapshot / file.name).symlink_to(Path("..", "..", "blobs", blob.name))
    return snapshot


@pytest.fixture(scope="module")
def home(vit: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that holds one model whole and one without its weights."""
    home = tmp_path_factory.mktemp("home")
    cached(home, "someone/vit", vit)
    (cached(home, "someone/half", vit) / "model.safetensors").unlink()
    return home


@pytest.fixture(scope="module")
def answers(home: Path) -> dict[str, str]:
    names = ["someone/vit", "someone/half", "nobody/nothing", "no such/name!", "./absent/folder"]
    said, complaints = run(LOCATE, *names, home=home)
    assert complaints == ""
    return json.loads(said)


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


def test_a_name_is_found_in_the_local_cache_without_a_network(
    answers: dict[str, str], home: Path
) -> None:
    snapshot = home / "hub" / "models--someone--vit" / "snapshots" / COMMIT
    assert answers["someone/vit"] == str(snapshot)


def test_a_name_in_the_local_cache_goes_through_a_whole_extraction_without_a_network(
    vit: Path, home: Path, tmp_path: Path
) -> None:
    run(EXTRACT, "someone/vit", str(tmp_path / "out"), home=home)
    images, _ = colors.generate(1, seed=0)
    pixels = checkpoints.load_processor(vit)(list(images), return_tensors="pt")
    with torch.no_grad():
        states = ViTModel.from_pretrained(vit)(**pixels, output_hidden_states=True).hidden_states
    assert representations.n_layers(tmp_path / "out") == len(states) == 2
    for layer, state in enumerate(states):
        np.testing.assert_allclose(
            representations.load(tmp_path / "out", layer), state[:, 1:].mean(dim=1), atol=1e-5
        )


def test_a_name_that_is_cached_by_half_is_refused(answers: dict[str, str]) -> None:
    assert answers["someone/half"].startswith("refused: ")
    assert "holds no weights" in answers["someone/half"]


@pytest.mark.parametrize("name", ["nobody/nothing", "no such/name!", "./absent/folder"])
def test_what_is_neither_folder_nor_name_is_refused_in_one_line(
    answers: dict[str, str], name: str
) -> None:
    refusal = answers[name]
    assert refusal.startswith(f"refused: model {name!r} is neither a folder nor a model on the")
    assert refusal.endswith("check the spelling, the path or the network")
    assert len(refusal.splitlines()) == 1


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
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=r"holds a model of timm, which cannot") as refused:
        checkpoints.check(tmp_path)
    (line,) = str(refused.value).splitlines()
    assert "run pip install 'convexlib[timm]' in an environment whose torchvision fits" in line


def test_loading_prints_nothing(tmp_path: Path) -> None:
    folder = save(tmp_path / "classifier", ViTForImageClassification)
    assert run(LOAD, str(folder), home=tmp_path / "home") == ("", "")


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
    vit: Path, tmp_path: Path, file: str, changes: dict[str, object]
) -> None:
    folder = shutil.copytree(vit, tmp_path / "own")
    content = json.loads((folder / file).read_text()) | changes
    (folder / file).write_text(json.dumps(content))
    (folder / "own.py").write_text(
        f"open({str(tmp_path / 'was here')!r}, 'w').close()\n"
        "from transformers import PreTrainedConfig\n"
        "class Own(PreTrainedConfig):\n"
        "    model_type = 'own'\n"
        "    from_dict = from_pretrained = classmethod(lambda cls, *args, **more: cls())\n"
    )
    said, _ = run(LOCATE, str(folder), home=tmp_path / "home", stdin="y\ny\ny\n")
    assert not (tmp_path / "was here").exists()
    assert "Do you wish to run" not in said
    assert json.loads(said)[str(folder)].startswith("refused: ")

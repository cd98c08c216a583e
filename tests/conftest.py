"""Fixtures that many tests share: the miniature study, its results and its site."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from playwright.sync_api import Browser, sync_playwright
from scipy.io import loadmat

from convexlib import book
from convexlib import study as studies
from convexlib.store import ROOT

TINY = ROOT / "tests" / "tiny.yaml"
TINY_LETTERS = ROOT / "tests" / "tiny_letters.yaml"
BIN = Path(sys.executable).parent

# timm is an extra, with an environment of its own: make timm.
collect_ignore = [] if find_spec("timm") else ["test_timm.py"]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What needs a run of the workflow or a browser is slow, wherever it stands."""
    for item in items:
        if {"workflow", "both_workflow", "run", "browser"} & {*getattr(item, "fixturenames", ())}:
            item.add_marker("slow")


@dataclass(frozen=True)
class Workflow:
    """The workflow as `make book` runs it, on the miniature study in a folder of its own."""

    folder: Path
    study: Path | str = TINY
    models: str = ""
    site_name: str = "html"

    @property
    def results(self) -> Path:
        return self.folder / "results"

    @property
    def site(self) -> Path:
        return self.folder / self.site_name

    @property
    def environment(self) -> dict[str, str]:
        """Without a network, and without any model of the hub."""
        path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
        ours = {"CONVEXLIB_RESULTS": str(self.results), "PATH": path}
        return os.environ | ours | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(self.folder / "hub")}

    def command(self, **options: str | bool) -> list[str]:
        site = str(options.pop("site", self.site))
        options = {"models": self.models, "cores": "2", **options}
        command = [str(BIN / "convexlib"), "run", str(self.study), site]
        for name, value in options.items():
            option = f"--{name.replace('_', '-')}"
            command += [option] if value is True else [option, str(value)]
        return command

    def run(self, **options: str | bool) -> subprocess.CompletedProcess[str]:
        done = self.try_to_run(**options)
        assert done.returncode == 0, done.stdout
        return done

    def try_to_run(self, **options: str | bool) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(**options),
            cwd=ROOT,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def convexlib(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [BIN / "convexlib", *arguments],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
        )

    def stored(self, kind: str) -> dict[Path, int]:
        """Stored results of a kind, with the time at which each was written."""
        store = self.results / Path(self.study).stem
        written = {}
        # A folder may go while it is looked at: a run renames those that it has written.
        tops = [store / kind, *store.glob(f"{kind}-*")]
        for folder, folders, files in chain.from_iterable(map(os.walk, tops)):
            folders[:] = [name for name in folders if not name.startswith(".")]
            if "manifest.json" in files:
                with suppress(FileNotFoundError):
                    written[Path(folder)] = Path(folder, "manifest.json").stat().st_mtime_ns
        return written


def save_small_vit(folder: Path, *, model: str = "ViTModel", n_blocks: int = 1) -> Path:
    """A checkpoint of a ViT with random weights, for images of 32 x 32 pixels."""
    import torch
    import transformers

    config = transformers.ViTConfig(
        image_size=32,
        patch_size=8,
        hidden_size=16,
        num_hidden_layers=n_blocks,
        num_attention_heads=2,
        intermediate_size=32,
    )
    torch.manual_seed(0)
    getattr(transformers, model)(config).save_pretrained(folder)
    size = {"height": 32, "width": 32}
    transformers.ViTImageProcessorPil(size=size).save_pretrained(folder)
    return folder


def write_study(path: Path, stimuli: dict[str, Any], **content: Any) -> Path:
    """A study file with these stimuli and one small checkpoint, which is saved beside it."""
    model = {"source": str(save_small_vit(path.parent / "small"))}
    model |= {"family": "vit", "size": "base", "variant": "pretrained", "objective": "labels"}
    measures = {"n_neighbors": 10, "transform": {"lmbda": 0.1, "n_folds": 3}}
    whole = {"title": "A test", "stimuli": stimuli, "models": [model], "measures": measures}
    path.write_text(yaml.safe_dump(whole | content, sort_keys=False))
    return path


def check_book(workflow: Workflow, study: studies.Study) -> None:
    """Every notebook of the study is a page, with its figures, and says all that it meant to."""
    pages = [workflow.site / "notebooks" / f"{name}.html" for name in book.notebooks(study)]
    for page in pages:
        assert f"NAME={page.stem}" in page.read_text().partition("Rerun this page")[2]
    for page in [*pages, *(workflow.site / "book").glob("*.html")]:
        text = page.read_text()
        assert "{glue:" not in text
        assert "{{" not in text.partition("<article")[2].partition("</article>")[0], page
    assert sum(page.read_text().count("<figcaption>") for page in pages) > len(pages)


@pytest.fixture(scope="session")
def workflow(tmp_path_factory: pytest.TempPathFactory) -> Workflow:
    """The miniature study, run from nothing to the rendered site."""
    workflow = Workflow(tmp_path_factory.mktemp("workflow"))
    workflow.run()
    return workflow


@pytest.fixture(scope="session")
def both_workflow(workflow: Workflow) -> Workflow:
    """Both miniature studies in one site, the first from its results, the other from nothing."""
    data("letters")
    both = Workflow(workflow.folder, f"{TINY} {TINY_LETTERS}", site_name="both")
    both.run()
    return both


@pytest.fixture
def tiny_results(workflow: Workflow, monkeypatch: pytest.MonkeyPatch) -> studies.Study:
    """The miniature study with all its results in the store."""
    monkeypatch.setenv("CONVEXLIB_RESULTS", str(workflow.results))
    return studies.load(str(TINY))


@pytest.fixture(scope="session")
def _one_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("results")


@pytest.fixture
def vits(_one_store: Path, own_store: None, monkeypatch: pytest.MonkeyPatch) -> studies.Study:
    """The ViTs of the miniature study, whose results are made when they are asked for."""
    monkeypatch.setenv("CONVEXLIB_RESULTS", str(_one_store))
    return studies.load(str(TINY), models=["vit-base-pretrained", "vit-base-finetuned"])


@pytest.fixture(autouse=True)
def own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test writes among the results of the project."""
    monkeypatch.setenv("CONVEXLIB_RESULTS", str(tmp_path / "results"))


def data(name: str) -> Path:
    """A folder of the real data; the test is skipped where it is missing."""
    folder = Path(os.environ.get("CONVEXLIB_DATA", "no-data"), name)
    if not folder.is_dir():
        pytest.skip(f"needs the {name} data; set CONVEXLIB_DATA")
    return folder


@pytest.fixture(scope="session")
def things() -> Path:
    return data("things")


@pytest.fixture(scope="session")
def spose(things: Path) -> np.ndarray:
    """Embedding of the THINGS objects, (1854, 66)."""
    return np.loadtxt(things / "spose_embedding_66d_sorted.txt")


@pytest.fixture(scope="session")
def vice(things: Path) -> np.ndarray:
    """Embedding of the THINGS objects, (1854, 42)."""
    return np.load(things / "vice_embedding.npy")


@pytest.fixture(scope="session")
def people() -> np.ndarray:
    """Similarities of 92 images, as sixteen people judged them."""
    judged = loadmat(data("images92") / "92_behavRDMs.mat")["rdms_behav_92"].ravel()
    return -np.stack([person["RDM"] for person in judged])


@pytest.fixture(scope="session")
def chromium() -> str:
    """A Chromium to drive, from wherever the machine has one."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    pytest.skip("no Chromium on this machine")


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    """Chromium, that a test opens pages in."""
    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=flags)
        yield browser
        browser.close()

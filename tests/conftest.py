"""Fixtures that many tests share: the miniature study, its results and its site."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from convexlib import study as studies
from convexlib.store import ROOT

TINY = ROOT / "tests" / "tiny.yaml"
BIN = Path(sys.executable).parent


@dataclass(frozen=True)
class Workflow:
    """The workflow as `make book` runs it, on the miniature study in a folder of its own."""

    folder: Path

    @property
    def results(self) -> Path:
        return self.folder / "results"

    @property
    def site(self) -> Path:
        return self.folder / "html"

    @property
    def environment(self) -> dict[str, str]:
        path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
        return os.environ | {"CONVEXLIB_RESULTS": str(self.results), "PATH": path}

    def command(self, **config: str) -> list[str]:
        config = {"study": str(TINY), "site": str(self.site), **config}
        settings = [f"{key}={value}" for key, value in config.items()]
        return [sys.executable, "-m", "snakemake", "--cores", "2", "--config", *settings]

    def run(self, **config: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            self.command(**config),
            cwd=ROOT,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert done.returncode == 0, done.stdout
        return done

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
        manifests = self.results.glob(f"tiny/{kind}/*/manifest.json")
        return {path.parent: path.stat().st_mtime_ns for path in manifests}


@pytest.fixture(scope="session")
def workflow(tmp_path_factory: pytest.TempPathFactory) -> Workflow:
    """The miniature study, run from nothing to the rendered site."""
    workflow = Workflow(tmp_path_factory.mktemp("workflow"))
    workflow.run()
    return workflow


@pytest.fixture
def tiny_results(workflow: Workflow, monkeypatch: pytest.MonkeyPatch) -> studies.Study:
    """The miniature study with all its results in the store."""
    monkeypatch.setenv("CONVEXLIB_RESULTS", str(workflow.results))
    return studies.load(str(TINY))


@pytest.fixture(scope="session")
def chromium() -> str:
    """A Chromium to drive, from wherever the machine has one."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    pytest.skip("no Chromium on this machine")

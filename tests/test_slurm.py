"""The miniature study as jobs of SLURM: the same tables as by the local run."""

import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest
import yaml

from convexlib import book
from convexlib import study as studies
from convexlib.store import ROOT
from tests.conftest import TINY, Workflow

MODELS = "vit-base-pretrained"


def _there_is_slurm() -> bool:
    if not shutil.which("sinfo"):
        return False
    said = subprocess.run(["sinfo", "--noheader"], capture_output=True, text=True)
    return said.returncode == 0 and bool(said.stdout.strip())


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not _there_is_slurm(), reason="no SLURM; tools/one_node_slurm.sh starts one"
    ),
]


@pytest.fixture(scope="module")
def profile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """That of the project, for a node without accounts and GPUs."""
    folder = tmp_path_factory.mktemp("profile") / "one-node"
    shutil.copytree(ROOT / "profiles" / "slurm", folder)
    config = yaml.safe_load((folder / "config.yaml").read_text())
    config |= {"slurm-no-account": True, "slurm-status-command": "squeue", "latency-wait": 20}
    config |= {"slurm-init-seconds-before-status-checks": 2, "seconds-between-status-checks": 2}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    asked = yaml.safe_load((folder / "resources.yaml").read_text())
    asked = {
        kind: {"threads": 1, "mem_mb": 2000, "runtime": of_kind["runtime"]}
        for kind, of_kind in asked.items()
    }
    (folder / "resources.yaml").write_text(yaml.safe_dump(asked))
    return folder


def test_every_step_is_a_job_and_gives_what_it_gives_here(profile: Path, tmp_path: Path) -> None:
    here, there = (
        Workflow(tmp_path / "here", models=MODELS),
        Workflow(tmp_path / "there", models=MODELS),
    )
    for job in ("measure_vit-base", "measure_baselines"):
        done = here.convexlib("make", str(TINY), job, "--models", MODELS)
        assert done.returncode == 0, done.stderr
    there.run(profile=str(profile))
    pages = book.notebooks(studies.load(str(TINY)))
    assert len(there.stored("notebooks")) == len(pages)
    assert (there.site / "index.html").is_file()
    kinds = ("stimuli", "judgments", "models", "representations", "transforms", "measures")
    for kind in kinds:
        names = [{path.name for path in of.stored(kind)} for of in (here, there)]
        assert names[0] == names[1]
    for path in here.stored("measures"):
        other = there.results / path.relative_to(here.results)
        first, second = (pd.read_parquet(folder / "rows.parquet") for folder in (path, other))
        pd.testing.assert_frame_equal(first, second)
    assert len([*there.results.rglob("logs/**/measure_vit-base.log")]) == 1


def test_a_profile_that_is_not_there_is_named(tmp_path: Path) -> None:
    refused = Workflow(tmp_path, models=MODELS).try_to_run(profile="pbs")
    assert refused.returncode != 0
    assert "profile 'pbs' is neither one of default, gpu, slurm nor a folder" in refused.stdout

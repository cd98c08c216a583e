"""The workflow as its users run it: to the end, again, after damage, after a kill, with a model."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
from transformers import ViTConfig, ViTImageProcessorPil, ViTModel

from convexlib import book, steps, tables
from convexlib import study as studies
from convexlib.store import ROOT
from tests.conftest import BIN, TINY, Workflow, save_small_vit

KINDS = ("models", "representations", "measures")


def test_every_notebook_is_executed_and_every_page_rendered(workflow: Workflow) -> None:
    pages = book.notebooks(studies.load(str(TINY)))
    assert "colour_study" in pages
    assert "images92_study" not in pages
    assert sorted(p.name.rsplit("-", 1)[0] for p in workflow.stored("notebooks")) == sorted(pages)
    for page in pages:
        assert (workflow.site / "notebooks" / f"{page}.html").is_file()
    assert (workflow.site / "index.html").is_file()


def test_a_second_run_has_nothing_to_do(workflow: Workflow) -> None:
    before = {kind: workflow.stored(kind) for kind in (*KINDS, "notebooks")}
    done = workflow.run()
    assert "Nothing to be done" in done.stdout
    assert before == {kind: workflow.stored(kind) for kind in (*KINDS, "notebooks")}


def test_a_damaged_result_is_reported_and_computed_again_as_it_was(
    workflow: Workflow, tiny_results: studies.Study
) -> None:
    before = tables.layer_measures(tiny_results)
    kept = workflow.stored("models") | workflow.stored("representations")
    damaged = steps.measures(tiny_results, tiny_results.models[0]).folder / "layers.parquet"
    damaged.write_bytes(damaged.read_bytes()[:-7])
    done = workflow.run()
    assert f"stored result {damaged.parent} is damaged" in done.stdout
    pd.testing.assert_frame_equal(tables.layer_measures(tiny_results), before)
    assert kept == workflow.stored("models") | workflow.stored("representations")


def test_a_changed_setting_recomputes_what_it_touches_and_nothing_else(
    workflow: Workflow, tmp_path: Path
) -> None:
    changed = tmp_path / "tiny.yaml"
    changed.write_text(TINY.read_text().replace("n_neighbors: 5", "n_neighbors: 6"))
    kept = workflow.stored("models") | workflow.stored("representations")
    measured = workflow.stored("measures")
    done = workflow.convexlib("measure", str(changed), "vit-base")
    assert done.returncode == 0, done.stderr
    assert kept == workflow.stored("models") | workflow.stored("representations")
    assert len(workflow.stored("measures")) == len(measured) + 4


@contextmanager
def running(workflow: Workflow) -> Iterator[None]:
    """A run in the background, all of whose processes are killed in the end."""
    process = subprocess.Popen(
        workflow.command(),
        cwd=ROOT,
        env=workflow.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 300
    while not happened() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert happened()


def test_a_run_killed_again_and_again_resumes_without_redoing_what_was_finished(
    workflow: Workflow, tmp_path: Path
) -> None:
    """CONVEXLIB_KILLS says how often more, at moments that are drawn."""
    killed = Workflow(tmp_path)
    with running(killed):
        until(lambda: len(killed.stored("models")) >= 3)
    finished = killed.stored("models")
    assert 3 <= len(finished) < 12
    # When some measures of a batch are written and others are not; and, since a workflow may set
    # these aside before it goes on, once more just after.
    for n_measured in (1, 2, 3):
        with running(killed):
            until(lambda n=n_measured: len(killed.stored("measures")) >= n)
    rng = np.random.default_rng(int(os.environ.get("CONVEXLIB_KILLS", "1")))
    for _ in range(int(os.environ.get("CONVEXLIB_KILLS", "1"))):
        with running(killed):
            time.sleep(rng.uniform(3, 20))
    killed.run()
    after = killed.stored("models")
    assert len(after) == 12
    assert all(after[path] == written for path, written in finished.items())
    assert len(killed.stored("measures")) == 12
    assert "Nothing to be done" in killed.run().stdout
    # Two runs from nothing, one of them killed on the way, give identical tables.
    for measured in killed.stored("measures"):
        other = workflow.results / measured.relative_to(killed.results)
        first, second = (pd.read_parquet(p / "layers.parquet") for p in (measured, other))
        pd.testing.assert_frame_equal(first, second, check_exact=True)


@pytest.fixture
def new_model(tmp_path: Path) -> Path:
    folder = tmp_path / "my-model"
    config = ViTConfig(
        image_size=64,
        patch_size=16,
        hidden_size=24,
        num_hidden_layers=4,
        num_attention_heads=2,
        intermediate_size=48,
    )
    ViTModel(config).save_pretrained(folder)
    ViTImageProcessorPil(size={"height": 64, "width": 64}).save_pretrained(folder)
    return folder


def test_an_added_model_joins_the_figures_and_nothing_else_is_computed(
    workflow: Workflow, new_model: Path
) -> None:
    before = {kind: workflow.stored(kind) for kind in KINDS}
    added = Workflow(workflow.folder)
    added.run(add_models=str(new_model), site=str(new_model.parent / "html"))
    after = {kind: workflow.stored(kind) for kind in KINDS}
    assert before["models"] == after["models"]
    for kind in KINDS[1:]:
        assert before[kind].items() <= after[kind].items()
        (new,) = after[kind].keys() - before[kind].keys()
        assert new.name.startswith("my-model-")
    (new,) = after["measures"].keys() - before["measures"].keys()
    assert pd.read_parquet(new / "layers.parquet")["layer"].max() == 4
    page = new_model.parent / "html" / "notebooks" / "layer_curves.html"
    assert "my-model" in page.read_text()


def test_a_comparison_of_models_alone_says_what_it_lacks(
    workflow: Workflow, new_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONVEXLIB_RESULTS", str(workflow.results))
    before = workflow.stored("models")
    models = ["vit-base-pretrained", str(new_model)]
    alone = book.executed(studies.load(str(TINY), models=models), "fine_tuning_deltas").get()
    assert workflow.stored("models") == before
    text = nbformat.read(alone / "fine_tuning_deltas.ipynb", as_version=4).cells[-1].source
    assert "{glue:text}" not in text  # rows of numbers that are not there
    (figure,) = figures(alone / "fine_tuning_deltas.ipynb")
    assert "no pair of pretrained and fine-tuned" in figure


def test_a_notebook_runs_by_papermill_alone(
    workflow: Workflow, tiny_results: studies.Study, tmp_path: Path
) -> None:
    assert workflow.convexlib("notebooks").returncode == 0
    out = tmp_path / "out.ipynb"
    command = [BIN / "papermill", "notebooks/layer_curves.ipynb", out, "-p", "study", TINY]
    done = subprocess.run(
        command, cwd=ROOT, env=workflow.environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    by_workflow = book.executed(tiny_results, "layer_curves").folder / "layer_curves.ipynb"
    assert len(figures(out)) == 2
    assert figures(out) == figures(by_workflow)


def figures(notebook: Path) -> list[str]:
    cells = nbformat.read(notebook, as_version=4).cells
    outputs = [output for cell in cells for output in cell.get("outputs", ())]
    images = [output["data"].get("image/svg+xml") for output in outputs if "data" in output]
    return [image for image in images if image]


def test_what_cannot_run_is_refused_in_one_line_before_anything_runs(
    workflow: Workflow, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    nothing = Workflow(tmp_path / "nothing")
    for arguments, named in (
        (["no-such-study"], "no-such-study"),
        ([str(TINY), "--add-models", str(tmp_path / "empty")], "holds no weights"),
        ([str(TINY), "--models", "vit-huge-pretrained"], "vit-huge-pretrained"),
    ):
        done = nothing.convexlib("check", *arguments)
        assert done.returncode != 0
        assert named in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
    assert not nothing.results.exists()


def test_a_dry_run_removes_nothing(workflow: Workflow, tiny_results: studies.Study) -> None:
    damaged = steps.measures(tiny_results, tiny_results.models[0]).folder / "layers.parquet"
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[:-7])
    command = [sys.executable, "-m", "snakemake", "--dry-run", "--cores", "1", "--config"]
    command += [f"study={TINY}", f"site={workflow.site}"]
    done = subprocess.run(
        command, cwd=ROOT, env=workflow.environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "measure_vit-base" in done.stdout
    assert damaged.read_bytes() == whole[:-7]
    damaged.write_bytes(whole)
    workflow.run()


def test_names_that_look_like_yaml_reach_the_workflow_as_they_are(
    workflow: Workflow, tiny_results: studies.Study, tmp_path: Path
) -> None:
    named = save_small_vit(tmp_path / "1e3")
    site = str(tmp_path / "html")
    command = workflow.command(models="vit-base-pretrained", add_models=str(named), site=site)
    done = subprocess.run(
        [*command, "--count-added"], cwd=ROOT, env=workflow.environment, capture_output=True
    )
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()
    assert any(p.name.startswith("1e3-") for p in workflow.stored("measures"))


@pytest.mark.parametrize("pooling", ["cls"])
def test_every_notebook_runs_where_a_layer_is_the_same_for_all_images(
    tmp_path: Path, workflow: Workflow, pooling: str
) -> None:
    """As the class token is before it met an image."""
    study = tmp_path / "pooled.yaml"
    text = TINY.read_text().replace("n_neighbors: 5", f"n_neighbors: 5\n  pooling: {pooling}")
    study.write_text(text.replace("seeds: [0, 1]", "seeds: [0]"))
    pooled = Workflow(tmp_path, study, models="vit-base-pretrained vit-base-finetuned")
    pooled.run()
    assert (pooled.site / "index.html").is_file()

"""The workflow as its users run it: to the end, again, after damage, after a kill, with a model.

All of it is slow: it needs the miniature study, which is run once.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import Browser
from transformers import ViTConfig, ViTImageProcessorPil, ViTModel

from convexlib import book, pipeline, store, tables
from convexlib import study as studies
from convexlib.models.representations import load
from convexlib.store import ROOT
from tests.conftest import BIN, TINY, Workflow, check_book, save_small_vit
from tests.pages import check_site

KINDS = ("models", "representations", "transforms", "measures")
TWO = "vit-base-pretrained vit-base-finetuned"
N_OF_TWO = 4  # with two seeds each


def is_own(path: Path) -> bool:
    """Whether a result of a model is with the settings that the study has."""
    return re.fullmatch(r".*-seed\d-[0-9a-f]{12}", path.name) is not None


def expected(kind: str, models: str | list[str] = "", **choice: Any) -> set[Path]:
    """Folders of the results of a kind that a site of the miniature study needs, by their names."""
    study = studies.load(str(TINY), models=models, **choice)
    jobs = store.jobs(book.site(study)).values()
    of_kind = f"{study.name}/{kind}/"
    results = [result for job in jobs for result in job.results]
    return {Path(r.name) / r.fingerprint for r in results if r.name.startswith(of_kind)}


def stored(workflow: Workflow, *kinds: str) -> dict[Path, int]:
    return {path: at for kind in kinds for path, at in workflow.stored(kind).items()}


def test_every_notebook_is_executed_and_every_page_rendered(workflow: Workflow) -> None:
    pages = book.notebooks(studies.load(str(TINY)))
    assert "colour_study" in pages
    assert "images92_study" not in pages
    assert sorted(p.name.rsplit("-", 1)[0] for p in workflow.stored("notebooks")) == sorted(pages)
    for page in pages:
        assert (workflow.site / "notebooks" / f"{page}.html").is_file()
    assert (workflow.site / "index.html").is_file()


def test_a_second_run_has_nothing_to_do(workflow: Workflow) -> None:
    kinds = ("stimuli", "judgments", *KINDS, "notebooks", "site")
    before = stored(workflow, *kinds)
    (stamp,) = workflow.site.glob("built-site-*")
    published = workflow.site.stat().st_ino
    done = workflow.run()
    assert "Nothing to be done" in done.stdout
    assert before == stored(workflow, *kinds)
    assert (stamp.is_file(), workflow.site.stat().st_ino) == (True, published)


def test_one_result_can_be_made_again_and_its_page_with_it(workflow: Workflow) -> None:
    before = stored(workflow, *KINDS, "notebooks", "site")
    published = workflow.site.stat().st_ino
    workflow.run(again="notebooks/layer_curves")
    after = stored(workflow, *KINDS, "notebooks", "site")
    changed = {path.name.rsplit("-", 1)[0] for path in before if before[path] != after[path]}
    assert before.keys() == after.keys()
    assert changed == {"layer_curves", "site"}
    assert workflow.site.stat().st_ino != published
    assert (workflow.site / "notebooks" / "layer_curves.html").is_file()


def test_why_a_result_is_made_anew_is_said_and_making_it_is_all_that_is_done(
    workflow: Workflow,
) -> None:
    name = "measures/convexity/vit-base-pretrained-seed0"
    assert workflow.convexlib("why", str(TINY), name).stdout == (
        f"tiny/{name} is stored and whole\n"
    )
    setting = ["--settings", "{n_neighbors: 4}"]
    said = workflow.convexlib("why", str(TINY), name, *setting)
    assert "inputs n_neighbors was 5 and is 4" in said.stdout
    before = stored(workflow, *KINDS)
    done = workflow.convexlib("make", str(TINY), name, *setting)
    assert done.returncode == 0, done.stderr
    (new,) = stored(workflow, *KINDS).keys() - before.keys()
    assert new.name.startswith("vit-base-pretrained-seed0-")
    assert new.parent.name == "convexity"


def test_a_damaged_result_is_reported_and_computed_again_as_it_was(
    workflow: Workflow, tiny_results: studies.Study
) -> None:
    before = tables.layer_measures(tiny_results)
    kept = stored(workflow, *KINDS[:-1])
    damaged = pipeline.measure(tiny_results, tiny_results.models[0], "convexity").folder
    damaged = damaged / "rows.parquet"
    damaged.write_bytes(damaged.read_bytes()[:-7])
    done = workflow.run()
    assert f"stored result {damaged.parent} is damaged" in done.stdout
    pd.testing.assert_frame_equal(tables.layer_measures(tiny_results), before)
    assert kept == stored(workflow, *KINDS[:-1])


@pytest.mark.parametrize(
    ("setting", "n_fitted"),
    [({"n_neighbors": 6}, 0), ({"transform": {"lmbda": 0.2, "n_folds": 3}}, 4)],
)
def test_a_changed_setting_recomputes_what_it_touches_and_nothing_else(
    workflow: Workflow, setting: dict[str, Any], n_fitted: int
) -> None:
    kept = stored(workflow, "stimuli", "judgments", "models", "representations")
    fits, measured = workflow.stored("transforms"), workflow.stored("measures")
    options = ["--settings", json.dumps(setting)]
    done = workflow.convexlib("make", str(TINY), "measure_vit-base", *options)
    assert done.returncode == 0, done.stderr
    assert kept == stored(workflow, "stimuli", "judgments", "models", "representations")
    own = {p for p in workflow.stored("transforms").keys() - fits.keys() if is_own(p)}
    assert len(own) == n_fitted
    new = {p for p in workflow.stored("measures").keys() - measured.keys() if is_own(p)}
    touched = {path.parent.name for path in new}
    assert len(new) == 4 * len(touched)
    study = studies.load(str(TINY))
    of_model = pipeline.all_measures(study)[study.models[0].id]
    wanted = "options" if n_fitted else "n_neighbors"
    asks = {name for name, result in of_model.items() if wanted in result.inputs}
    assert set() < asks < of_model.keys()
    assert touched == asks


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
    killed = Workflow(tmp_path, models=TWO)
    with running(killed):
        until(lambda: len(killed.stored("models")) >= 1)
    finished = killed.stored("models")
    assert 1 <= len(finished) < N_OF_TWO
    # When some measures of a batch are written and others are not; and, since a workflow may set
    # these aside before it goes on, once more just after.
    for n_measured in (1, 9, 30):
        with running(killed):
            until(lambda n=n_measured: len(killed.stored("measures")) >= n)
    rng = np.random.default_rng(int(os.environ.get("CONVEXLIB_KILLS", "1")))
    for _ in range(int(os.environ.get("CONVEXLIB_KILLS", "1"))):
        with running(killed):
            time.sleep(rng.uniform(3, 20))
    killed.run()
    after = killed.stored("models")
    assert len(after) == N_OF_TWO
    assert all(after[path] == written for path, written in finished.items())
    assert len(killed.stored("measures")) == len(expected("measures", TWO))
    assert "Nothing to be done" in killed.run().stdout
    # Two runs from nothing, one of them killed on the way, give identical tables.
    for measured in killed.stored("measures"):
        other = workflow.results / measured.relative_to(killed.results)
        first, second = (pd.read_parquet(p / "rows.parquet") for p in (measured, other))
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
    before = {kind: workflow.stored(kind) for kind in (*KINDS, "notebooks")}
    page = "notebooks/layer_curves"
    done = workflow.convexlib("make", str(TINY), page, "--add-models", str(new_model))
    assert done.returncode == 0, done.stderr
    after = {kind: workflow.stored(kind) for kind in before}
    assert before["models"] == after["models"]
    for kind in KINDS[1:]:
        assert before[kind].items() <= after[kind].items()
        new = after[kind].keys() - before[kind].keys()
        assert all(path.name.startswith("my-model-") for path in new)
        n = len(expected(kind, add_models=[str(new_model)])) - len(expected(kind))
        assert len(new) == n > 0
    for path in after["measures"].keys() - before["measures"].keys():
        layers = pd.read_parquet(path / "rows.parquet")["layer"]
        # There is one set of judgments, each three judged once, by nobody who is known.
        without = path.parent.name in ("disagreement", "people")
        assert {*layers} == (set() if without else {*range(5)})
    (drawn,) = after["notebooks"].keys() - before["notebooks"].keys()
    assert all(">my-model<" in figure for figure in figures(drawn / "layer_curves.ipynb"))


def test_a_book_is_made_of_a_readers_model_alone(
    workflow: Workflow, new_model: Path, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the page *Your model in ten minutes* has it; no model of the study is trained for it."""
    monkeypatch.setenv("CONVEXLIB_RESULTS", str(workflow.results))
    before = workflow.stored("models")
    alone = replace(workflow, models=str(new_model), site_name="alone")
    alone.run()
    assert workflow.stored("models") == before
    study = studies.load(str(TINY), models=str(new_model))
    check_book(alone, study)
    check_site(browser, alone.site)
    assert "my-model" in (alone.site / "notebooks" / "layer_curves.html").read_text()


def test_a_comparison_of_models_alone_says_what_it_lacks(
    workflow: Workflow, new_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONVEXLIB_RESULTS", str(workflow.results))
    before = workflow.stored("models")
    models = ["vit-base-pretrained", str(new_model)]
    alone = book.executed(studies.load(str(TINY), models=models), "fine_tuning_deltas").get()
    assert workflow.stored("models") == before
    cells = nbformat.read(alone / "fine_tuning_deltas.ipynb", as_version=4).cells
    *told, rerun = [cell.source for cell in cells if cell.cell_type == "markdown"]
    assert "{glue:text}" not in told[-1]  # rows of numbers that are not there
    assert "Rerun this page" in rerun
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
    pages = ["".join(output["data"].get("text/html", "")) for output in outputs if "data" in output]
    return [page for page in pages if 'class="drawn' in page]


def test_a_dry_run_removes_nothing(workflow: Workflow, tiny_results: studies.Study) -> None:
    damaged = pipeline.measure(tiny_results, tiny_results.models[0], "rsa").folder / "rows.parquet"
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[:-7])
    command = [sys.executable, "-m", "snakemake", "--dry-run", "--cores", "1", "--config"]
    command += [f"study={TINY}"]
    done = subprocess.run(
        command, cwd=ROOT, env=workflow.environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "measure_vit-base" in done.stdout
    assert damaged.read_bytes() == whole[:-7]
    damaged.write_bytes(whole)
    workflow.run()


@pytest.fixture(scope="module")
def chosen(workflow: Workflow, tmp_path_factory: pytest.TempPathFactory) -> studies.Study:
    """All that can be chosen at once, of two models and one whose name looks like a number."""
    folder = tmp_path_factory.mktemp("chosen")
    named = save_small_vit(folder / "1e3")
    settings = {"pooling": "cls", "n_neighbors": 4}
    workflow.run(
        models=TWO,
        add_models=named,
        count_added=True,
        settings=json.dumps(settings),
        site=folder / "html",
    )
    assert (folder / "html" / "index.html").is_file()
    return studies.load(
        str(TINY), models=TWO, add_models=str(named), count_added=True, settings=settings
    )


def test_what_is_chosen_reaches_the_workflow_as_it_is(
    workflow: Workflow, chosen: studies.Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONVEXLIB_RESULTS", str(workflow.results))
    assert [model.id for model in chosen.models][-1] == "1e3"
    before = stored(workflow, *KINDS, "notebooks")
    for results in pipeline.all_measures(chosen).values():
        assert {result.folder for result in results.values()} <= before.keys()
    assert book.site(chosen).folder.is_dir()


def test_every_notebook_runs_where_a_layer_is_the_same_for_all_images(
    workflow: Workflow, chosen: studies.Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the class token is before it met an image."""
    monkeypatch.setenv("CONVEXLIB_RESULTS", str(workflow.results))
    for name in book.notebooks(chosen):
        assert book.executed(chosen, name).folder.is_dir()
    first = load(pipeline.representations(chosen, chosen.models[0]).folder / "test", 0)
    assert (first == first[0]).all()

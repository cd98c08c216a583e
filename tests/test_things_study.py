"""THINGS on a miniature of its real shape: fetched, measured, drawn. Its book: test_embeddings.

Concepts, categories and embeddings are the real ones. Images are small patterns, in an encrypted
archive with the real names; judgments are drawn from SPoSE, in files of the real formats.
"""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import pyzipper
from PIL import Image
from playwright.sync_api import Browser
from typer.testing import CliRunner

from convexlib import book, cli, pipeline, tables
from convexlib import study as studies
from convexlib.alignment import odd_one_out_accuracy
from convexlib.data import things
from convexlib.models.representations import load
from convexlib.widgets import explorer
from tests.conftest import Workflow, data, write_study
from tests.pages import check_site
from tests.servers import serving

N_TRAINING, N_REPEATED, N_PEOPLE = 6000, 60, 12


def stimuli(folder: Path, **more: Any) -> dict[str, Any]:
    own = {"trials": str(folder / "trials.csv")}
    return {"kind": "things", "n_triplets": 5000} | own | more


def judged(threes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Triplets with the odd one last, chosen as SPoSE says: softmax of dot products."""
    weights, _ = things.spose()
    pairs = [threes[:, [0, 1]], threes[:, [0, 2]], threes[:, [1, 2]]]
    similar = np.stack([(weights[p[:, 0]] * weights[p[:, 1]]).sum(axis=1) for p in pairs], axis=1)
    kept = (similar + rng.gumbel(size=similar.shape)).argmax(axis=1)
    order = np.array([[0, 1, 2], [0, 2, 1], [1, 2, 0]])[kept]
    return np.take_along_axis(threes, order, axis=1)


def trials(sets: dict[int, np.ndarray], rng: np.random.Generator) -> bytes:
    """The table of trials: objects from 1, in the order shown, and the place of the odd one."""
    parts = []
    for number, triplets in sets.items():
        shown = rng.permuted(triplets, axis=1)
        choice = 1 + (shown == triplets[:, 2:]).argmax(axis=1)
        part = pd.DataFrame(shown + 1, columns=["image1", "image2", "image3"])
        part["choice"], part["noise_ceiling"] = choice, number
        part["subject_id"] = rng.integers(N_PEOPLE, size=len(part))
        part["RT"] = rng.integers(500, 4000, size=len(part))
        parts.append(part)
    return pd.concat(parts).to_csv(sep="\t", index=False).encode()


def archive(rng: np.random.Generator) -> bytes:
    """Images whose colours in 4 x 4 squares follow from SPoSE, so that there is a rule to find."""
    weights, _ = things.spose()
    colours = weights @ rng.normal(size=(weights.shape[1], 48))
    colours = 128 + 50 * (colours - colours.mean(axis=0)) / colours.std(axis=0)
    patterns = colours.clip(0, 255).astype(np.uint8).reshape(-1, 4, 4, 3)
    content = io.BytesIO()
    with pyzipper.AESZipFile(content, "w", encryption=pyzipper.WZ_AES) as file:
        file.setpassword(b"secret")
        for number, name in enumerate(things.concepts()):
            for suffix in ("01b", "02s") if number < 20 else ("01b",):
                image = io.BytesIO()
                Image.fromarray(patterns[number]).resize((32, 32)).save(image, "jpeg")
                file.writestr(f"object_images/{name}/{name}_{suffix}.jpg", image.getvalue())
    return content.getvalue()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Workflow:
    """Fetched from a server that is busy, hangs up and breaks off on the way."""
    real = data("things")
    folder = tmp_path_factory.mktemp("THINGS in miniature")
    rng = np.random.default_rng(0)
    threes = np.stack([rng.choice(1854, 3, replace=False) for _ in range(N_TRAINING)])
    repeated = np.repeat(threes[:N_REPEATED], N_PEOPLE, axis=0)
    sets = {0: judged(threes, rng)} | {k: judged(repeated, rng) for k in (1, 2, 3)}
    content = {things.TRIALS.path: trials(sets, rng), things.IMAGES.path: archive(rng)}
    # The published file has another checksum, which what runs in other processes looks for.
    (folder / "trials.csv").write_bytes(content[things.TRIALS.path])
    with serving() as server, pytest.MonkeyPatch.context() as patch:
        sources = tuple(
            server.put(source, content.get(source.path) or (real.parent / source.path).read_bytes())
            for source in things.SOURCES
        )
        patch.setattr("time.sleep", lambda seconds: None)
        patch.setattr(things.Stimuli, "SOURCES", sources)
        patch.setenv("CONVEXLIB_DATA", str(folder / "data"))
        patch.setenv(things.PASSWORD, "secret")
        server.plan = ["503", "429", "hang up", *["serve"] * 20, "cut"]
        file = write_study(folder / "minithings.yaml", stimuli(folder), models="images92")
        own = str(folder / "small")
        fetched = CliRunner().invoke(cli.app, ["fetch", str(file), "--models", own])
        assert fetched.exit_code == 0, (fetched.output, fetched.exception)
        things.concepts.cache_clear()
        run = Workflow(folder, file, models=own)
        patch.delenv(things.PASSWORD)
        run.run()
        yield run


@pytest.fixture
def study(run: Workflow, monkeypatch: pytest.MonkeyPatch) -> studies.Study:
    monkeypatch.setenv("CONVEXLIB_RESULTS", str(run.results))
    monkeypatch.setenv("CONVEXLIB_DATA", str(run.folder / "data"))
    return studies.load(str(run.study), models=run.models)


def test_no_page_holds_an_image_of_things(run: Workflow, study: studies.Study) -> None:
    drawn = [*run.stored("notebooks")]
    assert len(drawn) == len(book.notebooks(study))
    for folder in drawn:
        (notebook,) = folder.glob("*.ipynb")
        text = notebook.read_text()
        assert "<svg" in text
        assert "image/jpeg" not in text
        if notebook.stem != "explorer":  # whose points are drawn in pixels
            assert not any(mark in text for mark in ("data:image/", "<image"))
    assert not [*run.results.rglob(explorer.SPRITE)]


def test_every_page_is_whole_and_can_be_used_by_all(run: Workflow, browser: Browser) -> None:
    check_site(browser, run.site)


def test_measures_are_those_of_the_images_and_judgments(study: studies.Study) -> None:
    (model,) = study.models
    human = pipeline.judged(study)
    assert human.categories.shape == (1854, 27)
    assert human.names == things.concepts()
    judged = human.judgments
    assert len(judged.triplets) == 5000
    trials = things.read_trials(study.stimuli.trials)
    known = {tuple(triplet) for triplet in trials.triplets[trials.ceiling_set == 0].tolist()}
    assert {tuple(triplet) for triplet in judged.triplets.tolist()} <= known
    measured = tables.layer_measures(study).query("space == 'original'")
    value = measured.set_index(["layer", "measure"])["value"]
    X = load(pipeline.representations(study, model).get() / "test", 1)
    assert value[1, "odd_one_out"] == pytest.approx(odd_one_out_accuracy(X, judged.triplets))
    assert value[1, "odd_one_out"] > 0.353  # chance and three standard errors
    assert 0 < value[1, "convexity"] < 1
    assert len(tables.last_layer_dimensions(study)) == 42


def test_repeated_judgments_have_their_ceiling(study: studies.Study) -> None:
    trials = things.read_trials(study.stimuli.trials)
    table = things.summary(trials).set_index("set")
    assert table.loc["training", "judgments"] == N_TRAINING
    assert table.loc["repeated, set 1", "triplets"] == N_REPEATED
    assert (table["people"] == N_PEOPLE).all()
    lower, upper = pipeline.judged(study).judgments.ceiling
    assert f"{lower:.3f} to {upper:.3f}" == table.loc["repeated, set 1", "ceiling"]
    assert 1 / 3 < lower < upper < 1
    times = things.reaction_times(trials)
    assert times["n"].sum() == 3 * N_REPEATED * N_PEOPLE
    assert (times["low"] <= times["median"]).all()


def test_all_images_can_be_asked_for(run: Workflow, study: studies.Study, tmp_path: Path) -> None:
    path = write_study(tmp_path / "all.yaml", stimuli(run.folder, images="all"))
    every = studies.load(str(path))
    assert len(pipeline.images(every, "test")[1]) == 1854 + 20
    assert len(pipeline.images(every, "reference")[1]) == 1854
    assert pipeline.images(every, "test")[0][0].size == (32, 32)


def test_own_categories_take_the_place_of_the_published(
    run: Workflow, study: studies.Study, tmp_path: Path
) -> None:
    (tmp_path / "mine.tsv").write_text("uniqueID\tround\tflat\nball\t1\t0\nplate\t1\t1\n")
    path = write_study(tmp_path / "own.yaml", stimuli(run.folder, categories="mine.tsv"))
    members = pipeline.judged(studies.load(str(path))).categories
    assert members.sum().to_dict() == {"round": 2, "flat": 1}
    (tmp_path / "mine.tsv").write_text("uniqueID\tround\tflat\nunicorn\t1\t0\n")
    done = run.convexlib("check", str(path))
    assert done.returncode != 0
    assert "names the concept 'unicorn'" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_other_judgments_leave_the_representations_as_they_are(
    run: Workflow, study: studies.Study, tmp_path: Path
) -> None:
    fewer = write_study(run.folder / "fewer.yaml", stimuli(run.folder, n_triplets=4000))
    (run.folder / "other").mkdir()
    other = studies.load(str(fewer.rename(run.folder / "other" / "minithings.yaml")))
    (before,), (after,) = study.models, other.models
    step = pipeline.representations
    assert step(other, after).folder == step(study, before).folder
    for name, measured in pipeline.all_measures(study)[before.id].items():
        assert pipeline.measure(other, after, name).folder != measured.folder


def test_a_broken_image_is_named_before_anything_is_measured(
    run: Workflow, study: studies.Study, tmp_path: Path
) -> None:
    image = run.folder / "data/things/object_images/aardvark/aardvark_01b.jpg"
    whole = image.read_bytes()
    image.write_bytes(whole[: len(whole) // 2])
    try:
        broken = write_study(tmp_path / "broken.yaml", stimuli(run.folder, seed=1))
        done = run.convexlib("make", str(broken), "stimuli")
    finally:
        image.write_bytes(whole)
    assert done.returncode != 0
    assert "aardvark_01b.jpg" in done.stderr
    assert "broken: skip" in done.stderr

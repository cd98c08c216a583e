"""The study of the 92 images, with real images and judgments, from its file to its pages."""

import re

import numpy as np
import pytest
from playwright.sync_api import Browser

from convexlib import pipeline, tables
from convexlib import study as studies
from convexlib.alignment import odd_one_out_accuracy, rsa_score
from convexlib.data import images92
from convexlib.models.representations import load
from tests.conftest import Workflow, check_book, data, write_study
from tests.pages import check_site


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Workflow:
    """One's own model alone, in the place of those that the study lists; a blank in all paths."""
    data("images92")
    folder = tmp_path_factory.mktemp("92 images")
    stimuli = {"kind": "images92", "n_triplets": 200}
    file = write_study(folder / "mini 92.yaml", stimuli, models="images92")
    run = Workflow(folder, file, models=str(folder / "small"))
    checked = run.convexlib("check", str(file), "--models", run.models)
    assert (checked.returncode, checked.stderr) == (0, "")
    run.run()
    return run


@pytest.fixture
def study(run: Workflow, monkeypatch: pytest.MonkeyPatch) -> studies.Study:
    monkeypatch.setenv("CONVEXLIB_RESULTS", str(run.results))
    return studies.load(str(run.study), models=run.models)


def test_the_study_runs_from_its_file_to_its_pages(run: Workflow, study: studies.Study) -> None:
    check_book(run, study)
    pages = {page.stem for page in (run.site / "notebooks").glob("*.html")}
    assert "images92_study" in pages
    assert not pages & {"colour_study", "training", "things_study"}
    contents = (run.site / "index.html").read_text()
    assert "The colour study" not in contents
    for page in pages:
        text = (run.site / "notebooks" / f"{page}.html").read_text()
        assert "colour name" not in text
        assert "Ekman" not in text


def test_every_page_is_whole_and_can_be_used_by_all(run: Workflow, browser: Browser) -> None:
    check_site(browser, run.site)


def test_of_the_chosen_model_its_files_say_what_they_know(study: studies.Study) -> None:
    (model,) = study.models
    assert model.id == "small"
    assert model.counted
    assert model.attributes == {
        "family": "vit",
        "size": "added",
        "variant": "pretrained",
        "objective": "unknown",
        "architecture": "unknown",
        "training data": "unknown",
    }


def test_measures_are_those_of_the_real_images_and_judgments(study: studies.Study) -> None:
    (model,) = study.models
    folder = pipeline.representations(study, model).get()
    assert [path.name for path in folder.iterdir() if path.is_dir()] == ["test"]
    measured = tables.layer_measures(study).query("space == 'original'")
    value = measured.set_index(["layer", "measure"])["value"]
    triplets = images92.human_triplets(200)
    human = images92.human_similarity().mean(axis=0)
    for layer in range(2):
        X = load(folder / "test", layer)
        assert X.shape == (92, 16)
        assert value[layer, "odd_one_out"] == odd_one_out_accuracy(X, triplets)
        assert value[layer, "rsa"] == pytest.approx(rsa_score(X, human))
        assert 0 < value[layer, "convexity"] < 1


def test_the_noise_ceiling_is_that_of_the_sixteen(study: studies.Study) -> None:
    (judged,) = pipeline.judged(study).sets.values()
    lower, upper = judged.ceiling
    agreement = images92.human_triplets(200)
    np.testing.assert_array_equal(judged.triplets, agreement)
    assert 1 / 3 < lower < upper < 1
    assert odd_one_out_accuracy(np.linalg.qr(np.eye(92))[0], agreement) < lower


def test_pictures_are_those_of_the_file(study: studies.Study) -> None:
    pictures = tables.pictures(study)
    assert pictures["category"].tolist() == images92.categories().tolist()
    smaller = np.stack([tables.thumbnail(image) for image in images92.images()])
    np.testing.assert_array_equal(np.stack(pictures["image"].tolist()), smaller)


def test_what_one_model_cannot_say_is_left_out_of_the_text(run: Workflow) -> None:
    for page in (run.site / "notebooks").glob("*.html"):
        article = page.read_text(encoding="utf-8").partition("<article")[2]
        for row in re.findall(r"<tr.*?</tr>", article, flags=re.DOTALL):
            assert row.count("not measured here") < max(1, row.count("<td") - 1), (page, row)
        assert "by not measured here" not in article

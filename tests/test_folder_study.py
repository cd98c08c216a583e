"""A study of one's own images and judgments, as the page that explains it says."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image
from playwright.sync_api import Browser
from typer.testing import CliRunner

from convexlib import book, cli, layers, pipeline, tables
from convexlib import study as studies
from convexlib.data import images92
from convexlib.store import ROOT
from tests.conftest import Workflow, check_book, data, save_small_vit, write_study
from tests.pages import check_site

N_PER_CATEGORY = 8
MEASURES = {"n_neighbors": 5, "transform": {"lmbda": 0.1, "n_folds": 2}}
COLOURS = {"warm": (220, 60, 30), "cold": (30, 80, 220), "grey": (120, 120, 120)}


def make_images(folder: Path) -> list[str]:
    """Three categories of coloured noise; concepts of the first have two images each."""
    rng = np.random.default_rng(0)
    for category, colour in COLOURS.items():
        for number in range(N_PER_CATEGORY):
            concept = f"{category} {number}"
            copies = [f"{concept}/1.png", f"{concept}/2.png"] if category == "warm" else None
            for name in copies or [f"{concept}.jpg"]:
                pixels = np.array(colour) + rng.normal(0, 40, (40, 30, 3))
                path = folder / category / name
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path)
    return sorted(f"{category} {n}" for category in COLOURS for n in range(N_PER_CATEGORY))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Workflow:
    """With triplets by name, each judged by three people of whom the last guesses."""
    folder = tmp_path_factory.mktemp("own")
    names = make_images(folder / "my-images")
    rng = np.random.default_rng(0)
    lines = []
    for _ in range(400):
        a, b, c = rng.choice(names, 3, replace=False)
        if a.split()[0] != b.split()[0] or a.split()[0] == c.split()[0]:
            continue
        guess = rng.permutation([a, b, c])
        lines += [f"{a},{b},{c}", f"{b},{a},{c}", ",".join(guess)]
    (folder / "judgments.txt").write_text("\n".join(lines))
    stimuli = {"kind": "folder", "images": "my-images", "triplets": "judgments.txt"}
    run = Workflow(folder, write_study(folder / "mine.yaml", stimuli, measures=MEASURES))
    run.run()
    return run


@pytest.fixture
def study(run: Workflow, monkeypatch: pytest.MonkeyPatch) -> studies.Study:
    monkeypatch.setenv("CONVEXLIB_RESULTS", str(run.results))
    return studies.load(str(run.study))


def test_the_study_runs_from_its_file_to_its_pages(run: Workflow, study: studies.Study) -> None:
    check_book(run, study)
    page = (run.site / "notebooks" / "concept_space.html").read_text()
    assert "Human dimensions, predicted" not in page  # from triplets alone none are made


def test_every_page_is_whole_and_can_be_used_by_all(run: Workflow, browser: Browser) -> None:
    check_site(browser, run.site)


def test_the_judgments_are_those_of_the_file(study: studies.Study) -> None:
    human = pipeline.judged(study)
    judged = human.judgments
    assert human.names[0] == "cold 0"
    assert [*human.sets] == ["judgments"]
    assert judged.similarity is None
    assert judged.dimensions is None
    assert 1 / 3 < judged.ceiling[0] < judged.ceiling[1] < 1
    file = study.stimuli.judgments["judgments"].file
    first = file.read_text().splitlines()[0].split(",")
    assert [human.names[row] for row in judged.triplets[0]] == first, file
    assert tables.stimuli(study)["images"].tolist() == [8, 8, 16, 32]


def test_a_matrix_gives_triplets_similarities_and_dimensions(tmp_path: Path) -> None:
    names = make_images(tmp_path / "my-images")
    groups = np.array([name.split()[0] for name in names])
    noise = np.random.default_rng(0).normal(0, 0.1, (len(names), len(names)))
    matrix = (groups[:, None] == groups) + noise + noise.T
    pd.DataFrame(matrix, index=names, columns=names).to_csv(tmp_path / "similarities.csv")
    stimuli = {
        "kind": "folder",
        "images": "my-images",
        "similarity": "similarities.csv",
        "n_triplets": 300,
    }
    study = studies.load(str(write_study(tmp_path / "matrix.yaml", stimuli, measures=MEASURES)))
    judged = pipeline.judged(study).judgments
    np.testing.assert_allclose(judged.similarity, matrix)
    assert judged.dimensions.shape == (24, 2)
    assert len(judged.triplets) == 300
    assert judged.ceiling is None
    shown = groups[judged.triplets]
    two_alike = np.array([len(set(three)) == 2 for three in shown.tolist()])
    assert np.mean(shown[two_alike, 0] == shown[two_alike, 1]) > 0.95
    np.save(tmp_path / "similarities.npy", np.stack([matrix, matrix - noise - noise.T]))
    stimuli["similarity"] = "similarities.npy"
    two = studies.load(str(write_study(tmp_path / "two.yaml", stimuli, measures=MEASURES)))
    lower, upper = pipeline.judged(two).judgments.ceiling
    assert 1 / 3 < lower < upper < 1


def test_a_study_lists_several_sets_of_judgments(tmp_path: Path) -> None:
    names = make_images(tmp_path / "my-images")
    groups = np.array([name.split()[0] for name in names])
    noise = np.random.default_rng(0).normal(0, 0.1, (len(names), len(names)))
    np.save(tmp_path / "arranged.npy", (groups[:, None] == groups) + noise + noise.T)
    rng = np.random.default_rng(1)
    lines = [",".join(rng.choice(names, 3, replace=False)) for _ in range(500)]
    (tmp_path / "guessed.txt").write_text("\n".join(lines))
    sets = {"guesses": {"triplets": "guessed.txt"}, "arranged": {"similarity": "arranged.npy"}}
    stimuli = {"kind": "folder", "images": "my-images", "judgments": sets}
    study = studies.load(str(write_study(tmp_path / "two.yaml", stimuli, measures=MEASURES)))
    human = pipeline.judged(study)
    assert [*human.sets] == ["guesses", "arranged"]
    assert human.judgments.similarity is None
    table = tables.by_judgments(study).query("space == 'original'").set_index("measure")
    assert set(table.loc["odd_one_out", "judgments"]) == {"guesses", "arranged"}
    assert set(table.loc["rsa", "judgments"]) == {"arranged"}
    of_set = table.loc["odd_one_out"].query("layer == 0").set_index("judgments")["value"]
    assert of_set["arranged"] > 0.6 > 0.4 > of_set["guesses"]
    main = tables.layer_measures(study).query("space == 'original' and layer == 0")
    assert main.set_index("measure").loc["odd_one_out", "value"] == of_set["guesses"]
    assert "several-judgments" in book.features(study)
    stimuli["judgments"] = dict(reversed(sets.items()))
    turned = studies.load(str(write_study(tmp_path / "two.yaml", stimuli, measures=MEASURES)))
    assert pipeline.human(turned).fingerprint != pipeline.human(study).fingerprint
    del sets["guesses"]["triplets"]
    stimuli["judgments"] = sets
    wrong = write_study(tmp_path / "wrong.yaml", stimuli, measures=MEASURES)
    with pytest.raises(ValueError, match=r"stimuli.judgments.guesses.*: .*one of the two"):
        studies.load(str(wrong))


def test_judgments_of_other_stimuli_are_sets_beside_its_own(tmp_path: Path) -> None:
    data("images92")
    names = make_images(tmp_path / "my-images")
    groups = np.array([name.split()[0] for name in names])
    np.save(tmp_path / "arranged.npy", (groups[:, None] == groups).astype(float))
    stimuli = {"kind": "folder", "images": "my-images", "similarity": "arranged.npy"}
    also = [{"kind": "images92", "n_triplets": 200}]
    file = write_study(tmp_path / "joined.yaml", stimuli, measures=MEASURES, also=also)
    study = studies.load(str(file))
    human = pipeline.judged(study)
    assert [*human.sets] == ["judgments", "sixteen people"]
    assert len(human.names) == len(names) + 92
    other = human.sets["sixteen people"]
    assert other.triplets.min() >= len(names)
    np.testing.assert_array_equal(other.triplets - len(names), images92.human_triplets(200))
    layers.check(human, study.file.measures)
    assert "carrying_over" in book.notebooks(study)

    whole = studies.load(str(write_study(tmp_path / "92.yaml", also[0], measures=MEASURES)))
    (own,), (also_own,) = (
        tables.by_judgments(each)
        .query("measure == 'odd_one_out'")
        .pipe(lambda table: [table[table["judgments"] == "sixteen people"]])
        for each in (study, whole)
    )
    np.testing.assert_allclose(own["value"], also_own["value"])
    both = tables.by_judgments(study).query("measure == 'rsa'")
    assert set(both["judgments"]) == {"judgments", "sixteen people"}
    carried = tables.carried_over(study)
    assert set(carried["source"]) == set(carried["target"]) == set(human.sets)
    assert len(tables.pictures(study)) == len(names) + 92

    twice = write_study(tmp_path / "twice.yaml", stimuli, measures=MEASURES, also=[stimuli])
    with pytest.raises(ValueError, match="also has stimuli of kind 'folder' again"):
        studies.load(str(twice))
    unknown = write_study(tmp_path / "no.yaml", stimuli, measures=MEASURES, also=[{"kind": "x"}])
    with pytest.raises(ValueError, match=r"key 'also.0.kind' \(value 'x'\): no such kind"):
        studies.load(str(unknown))


def test_the_example_of_the_page_is_a_study(tmp_path: Path) -> None:
    page = (ROOT / "book" / "new_data.md").read_text()
    example, sensitivity, students = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    content = yaml.safe_load(example)
    content["models"][0]["source"] = str(save_small_vit(tmp_path / "small"))
    (tmp_path / "my-study.yaml").write_text(yaml.safe_dump(content))
    names = make_images(tmp_path / "my-images")
    (tmp_path / "judgments.txt").write_text(f"{','.join(names[:3])}\n")
    with pytest.raises(ValueError, match=r"n_neighbors is 10, but a fold may have 8 test images"):
        studies.load(str(tmp_path / "my-study.yaml"))
    content["measures"]["n_neighbors"] = 5
    (tmp_path / "my-study.yaml").write_text(yaml.safe_dump(content))
    study = studies.load(str(tmp_path / "my-study.yaml"))
    assert len(pipeline.images(study, "test")[1]) == 32

    more = yaml.safe_load(sensitivity)
    (tmp_path / "my-study.yaml").write_text(yaml.safe_dump(content | more))
    found = studies.load(str(tmp_path / "my-study.yaml")).variations
    assert {*found} == {*more["sensitivity"]} > {"5 neighbours", "shuffled labels"}

    content |= yaml.safe_load(students)
    content["models"][0] |= {"variant": "pretrained"}
    content["alignet"] |= {"teacher": "small", "images": "my-images"}
    (tmp_path / "my-study.yaml").write_text(yaml.safe_dump(content))
    study = studies.load(str(tmp_path / "my-study.yaml"))
    targets = ("aligned", "unaligned", "shuffled")
    assert [model.id for model in study.students.models] == [
        "small",
        *(f"small-{target}" for target in targets),
    ]
    assert "alignet" in book.notebooks(study)


def test_a_mistake_in_the_judgments_shows_before_anything_runs(tmp_path: Path) -> None:
    make_images(tmp_path / "my-images")
    (tmp_path / "judgments.txt").write_text("cold 0,cold 1,warm 1\ncold 0,cold 1,unicorn\n")
    stimuli = {"kind": "folder", "images": "my-images", "triplets": "judgments.txt"}
    study = write_study(tmp_path / "mine.yaml", stimuli, measures=MEASURES)
    refused = CliRunner().invoke(cli.app, ["check", str(study)]).exception
    assert isinstance(refused, ValueError)
    assert "triplet 2: 'unicorn' is no concept" in str(refused)
    assert len(str(refused).splitlines()) == 1
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": "nowhere"}, "is no folder; give one of folders"),
        ({"similarity": "b.csv"}, "one of the two"),
        ({"broken": "ignore"}, "stimuli.broken' .value 'ignore'.: Input should be"),
    ],
)
def test_a_mistake_in_the_file_is_named(tmp_path: Path, change: dict, message: str) -> None:
    make_images(tmp_path / "my-images")
    stimuli = {"kind": "folder", "images": "my-images", "triplets": "judgments.txt"}
    path = write_study(tmp_path / "mine.yaml", stimuli | change)
    with pytest.raises(ValueError, match=message) as error:
        studies.load(str(path))
    assert "\n" not in str(error.value)


@pytest.mark.slow
def test_a_step_that_fails_shows_its_reason_on_the_screen(tmp_path: Path) -> None:
    make_images(tmp_path / "my-images")
    (tmp_path / "my-images" / "cold" / "cold 0.jpg").write_bytes(b"no image")
    (tmp_path / "judgments.txt").write_text("cold 1,cold 2,warm 1\n")
    stimuli = {"kind": "folder", "images": "my-images", "triplets": "judgments.txt"}
    failing = Workflow(tmp_path, write_study(tmp_path / "mine.yaml", stimuli, measures=MEASURES))
    done = failing.try_to_run()
    assert done.returncode != 0
    assert "cold 0.jpg' cannot be read as an image" in done.stdout
    assert "Traceback" not in done.stdout
    assert "a step failed; its last words are above" in done.stdout.splitlines()[-1]

"""THINGS: the real concepts, categories and embeddings, and files in the formats of the rest."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from convexlib import AlignmentTransform, cross_validate, graph_convexity_score
from convexlib.alignment import noise_ceiling, odd_one_out_accuracy, odd_one_out_scores
from convexlib.data import things
from tests.conftest import data


@pytest.fixture(autouse=True)
def _real_data() -> None:
    data("things")


def test_concepts_categories_and_embeddings_are_in_one_order() -> None:
    names = things.concepts()
    categories = things.categories()
    assert len(names) == 1854
    assert list(categories.index) == names
    assert categories.shape == (1854, 27)
    assert categories.loc["aardvark", "animal"]
    assert categories.loc["air_conditioner"].any()
    assert (categories.sum(axis=1) == 0).sum() == 559  # in none
    assert (categories.sum(axis=1) > 1).any()  # in several
    embedding, labels = things.spose()
    assert embedding.shape == (1854, len(labels)) == (1854, 66)
    assert things.vice().shape == (1854, 42)
    animals = embedding[:, labels.index("animal-related")]
    is_animal = categories["animal"].to_numpy()
    assert animals[is_animal].mean() > 5 * animals[~is_animal].mean()


def test_an_unknown_concept_is_named(tmp_path: Path) -> None:
    path = tmp_path / "mine.tsv"
    path.write_text("uniqueID\tround\nball\t1\nunicorn\t1\n", encoding="utf-8")
    with pytest.raises(ValueError, match="names the concept 'unicorn', which THINGS does not have"):
        things.categories(path)
    path.write_text("uniqueID\tround\tflat\nball\t1\t0\nair conditioner\t0\t0\n", encoding="utf-8")
    members = things.categories(path)
    assert members.columns.tolist() == ["round", "flat"]
    assert members.index[members["round"]].tolist() == ["ball"]
    for text, message in (
        ("name\tround\nball\t1\n", "has no column uniqueID"),
        ("uniqueID\tround\tflat\nball\t1\t0\nball\t1\t0\n", "the concept 'ball', and that twice"),
        ("uniqueID\tround\tflat\nball\tyes\t0\n", "mine.tsv' cannot be read as categories: .*yes"),
        ("uniqueID\nball\n", "has 0 columns of categories"),
        ("uniqueID\tround\tround\nball\t1\t0\n", "it has two columns called 'round'"),
        ("uniqueID\tround\tflat\n1\t1\t0\n", "names the concept '1', which THINGS does not"),
        ("uniqueID\tround\tflat\n\t1\t0\n", "names the concept '', which THINGS does not have"),
        ("uniqueID;round;flat\nball;1;0\n", "has no column uniqueID; .* separate columns by tabs"),
        ("", "mine.tsv' cannot be read as a table"),
    ):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(ValueError, match=message):
            things.categories(path)
    path.write_text("uniqueID\tround\tflat\nball\t1\t0\n", encoding="utf-16")
    with pytest.raises(ValueError, match=r"cannot be read as a table: it is in UTF-16"):
        things.categories(path)
    path.write_text("uniqueID\t007\tnan\nball\t1\t\n", encoding="utf-8-sig")
    assert things.categories(path).columns.tolist() == ["007", "nan"]
    assert things.categories(path).loc["ball"].tolist() == [True, False]
    with pytest.raises(ValueError, match=r"nowhere.tsv' cannot be read as a table: No such file"):
        things.categories(tmp_path / "nowhere.tsv")


TRIALS = """image1\timage2\timage3\tchoice\tRT\tnoise_ceiling\tsubject_id\tage
1\t2\t3\t1\t850\t0\tA\t30
1\t2\t3\t3\t900.5\t1\tB\t
1854\t10\t20\t2\t1200\t2\tA\t41
"""


def test_trials_have_the_odd_one_last_and_count_from_zero(tmp_path: Path) -> None:
    path = tmp_path / "trials.csv"
    path.write_text(TRIALS, encoding="utf-8")
    trials = things.read_trials(path)
    assert trials.triplets.tolist() == [[1, 2, 0], [0, 1, 2], [1853, 19, 9]]
    assert trials.ceiling_set.tolist() == [0, 1, 2]
    assert trials.subject.tolist() == ["A", "B", "A"]
    assert trials.reaction_time.tolist() == [850, 900.5, 1200]


@pytest.fixture(scope="module")
def judged() -> things.Trials:
    """Real choices of 264 people."""
    return things.read_trials(data("things") / "test_10_ID.txt")


@pytest.fixture(scope="module")
def clip() -> np.ndarray:
    """CLIP ViT-B/32, the 1,854 reference images."""
    return np.load(data("things") / "clip-vit-base-p32-embeddings.npy")


def test_real_choices_come_with_who_made_them(judged: things.Trials) -> None:
    assert judged.triplets.shape == (127_304, 3)
    assert judged.triplets[0].tolist() == [1663, 1132, 1]
    assert len(np.unique(judged.subject)) == 264
    assert set(judged.ceiling_set) == {0, 1}
    ceiling = noise_ceiling(judged.triplets[judged.ceiling_set == 1])
    # By another way: how often a second judgment of the same three is as the first.
    table = pd.DataFrame(np.sort(judged.triplets, axis=1)).assign(odd=judged.triplets[:, 2])
    times = table.groupby([0, 1, 2, "odd"]).size().groupby([0, 1, 2]).agg(["max", "sum"])
    most, judgments = times[times["sum"] > 1].sum()
    assert ceiling.upper == pytest.approx(most / judgments)
    assert 1 / 3 < ceiling.lower < ceiling.upper < 1


def test_measures_of_real_judgments_are_those_that_are_known(
    judged: things.Trials, clip: np.ndarray
) -> None:
    spaces = {"CLIP": clip, "SPoSE": things.spose()[0], "VICE": things.vice()}
    similarity = {"CLIP": "cosine", "SPoSE": "dot", "VICE": "dot"}
    accuracies = {"CLIP": 0.4830, "SPoSE": 0.6475, "VICE": 0.6340}
    convexities = {"CLIP": 0.5109, "SPoSE": 0.7257, "VICE": 0.6817}
    for name, X in spaces.items():
        scores = odd_one_out_scores(X, judged.triplets, similarity=similarity[name])
        assert scores.mean() == pytest.approx(accuracies[name], abs=1e-4)
        of_person = pd.Series(scores).groupby(judged.subject).agg(["mean", "size"])
        assert np.average(of_person["mean"], weights=of_person["size"]) == pytest.approx(
            scores.mean()
        )
        assert (of_person["mean"][of_person["size"] > 100] > 1 / 3).mean() > 0.95
        convexity = graph_convexity_score(X, things.categories(), n_neighbors=10)
        assert convexity == pytest.approx(convexities[name], abs=1e-4)


@pytest.mark.slow
def test_a_transform_of_real_judgments_holds_for_other_objects(
    judged: things.Trials, clip: np.ndarray
) -> None:
    held_out = cross_validate(AlignmentTransform("global"), clip, judged.triplets)
    assert held_out.before.mean() == pytest.approx(0.480, abs=0.002)
    assert held_out.after.mean() > 0.53


def test_people_are_called_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "trials.csv"
    names = ["NA", "007", "7"]
    rows = [f"1\t2\t3\t1\tNaN\t\t{name}\t30\n" for name in names]
    path.write_text(TRIALS.partition("\n")[0] + "\n" + "".join(rows), encoding="utf-8")
    trials = things.read_trials(path)
    assert trials.subject.tolist() == names
    assert trials.ceiling_set.tolist() == [0, 0, 0]
    assert np.isnan(trials.reaction_time).all()


def test_judgments_depend_on_every_published_file_and_on_those_in_their_place(
    tmp_path: Path,
) -> None:
    stimuli = things.Stimuli(kind="things", n_triplets=1000)
    published = json.dumps(stimuli.judgments_depend_on())
    for source in things.SOURCES:
        assert source.unpack or (source.sha256 and source.sha256 in published)
    for name in ("trials", "categories"):
        (tmp_path / name).write_text("mine")
        own = stimuli.model_copy(update={name: tmp_path / name})
        before = own.judgments_depend_on()
        assert json.dumps(before) != published
        (tmp_path / name).write_text("another")
        assert own.judgments_depend_on() != before
    # Files of one name in two folders are two files.
    places = {name: tmp_path / f"of {name}" / "mine.tsv" for name in ("trials", "categories")}
    for path in places.values():
        path.parent.mkdir()
        path.write_text("mine")
    own = stimuli.model_copy(update=places)
    for path in places.values():
        before = own.judgments_depend_on()
        path.write_text("another")
        assert own.judgments_depend_on() != before


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("choice", "chosen", "cannot be read as trials: .*choice"),
        ("1\t2\t3\t1\t", "1\t2\t3\t4\t", "the choice of trial 0 is 4; it is 1, 2 or 3"),
        ("1854", "1855", "but X has rows 0 to 1853"),
    ],
)
def test_a_mistake_in_the_trials_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "trials.csv"
    path.write_text(TRIALS.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        things.read_trials(path)


def test_images_are_found_by_concept_and_the_missing_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = things.concepts()
    monkeypatch.setenv("CONVEXLIB_DATA", str(tmp_path))
    for name in names[:-1]:
        folder = tmp_path / "things" / "object_images" / name
        folder.mkdir(parents=True)
        for number in ("02s", "01b"):
            (folder / f"{name}_{number}.jpg").touch()
    with pytest.raises(ValueError, match=f"no images of 1 concepts, the first '{names[-1]}'"):
        things.image_paths(reference_only=True)
    last = tmp_path / "things" / "object_images" / names[-1]
    last.mkdir()
    (last / f"{names[-1]}_01b.jpg").touch()
    paths = things.image_paths(reference_only=True)
    assert list(paths) == names
    assert [path.name for path in paths["aardvark"]] == ["aardvark_01b.jpg"]
    assert len(things.image_paths(reference_only=False)["aardvark"]) == 2


def test_both_embeddings_predict_each_others_choices() -> None:
    from convexlib.alignment import triplets_from_similarity

    spose, _ = things.spose()
    triplets = triplets_from_similarity(spose @ spose.T, n_triplets=20_000, random_state=0)
    assert odd_one_out_accuracy(things.vice(), triplets, similarity="dot") > 0.85

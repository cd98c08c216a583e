"""What students of AligNet are measured by, and the whole chain on real images and judgments."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image
from scipy.stats import entropy
from sklearn.metrics.pairwise import cosine_similarity

from convexlib import book, pipeline, tables
from convexlib import study as studies
from convexlib.alignment import odd_one_out_accuracy, odd_one_out_probabilities
from convexlib.data import Human, Judgments, colors, corruptions, letters
from convexlib.layers import Layer, Row, first_fold
from convexlib.measures import factors, few_shot, levels, reaction_time, shift
from convexlib.settings import Transform
from convexlib.study import Study
from convexlib.triplets import LEVELS, Triplets
from tests.conftest import TINY_LETTERS, data, save_small_vit, write_study

TARGETS = ("aligned", "unaligned", "shuffled")
CLASSES = np.repeat([*"abcde"], 30)
OPTIONS = Transform(lmbda=0.1, n_folds=3)


def layer_of(n: int = 12, **known: object) -> Layer:
    rng = np.random.default_rng(0)
    triplets = np.array([rng.choice(n, 3, replace=False) for _ in range(400)])
    categories = pd.DataFrame({name: np.arange(n) // 4 == k for k, name in enumerate("xyz")})
    names = [f"{k}" for k in range(n)]
    human = Human(names, np.arange(n), categories, {"all": Judgments(triplets)})
    X = rng.normal(size=(n, 5))
    return Layer.of(X, X, human, options=OPTIONS, **known)


def task(name: str, apart: float, **labels: object) -> Layer:
    """Features in which classes lie so far apart."""
    X = np.random.default_rng(0).normal(size=(len(CLASSES), 8))
    X[:, :5] += apart * (CLASSES[:, None] == [*"abcde"])
    return layer_of()._replace(tasks={name: (X, pd.DataFrame(labels))})


def test_levels_part_what_the_teacher_does_not_know() -> None:
    layer = layer_of()
    rows = pd.DataFrame(levels.rows(layer)).set_index(["measure", "concept"])
    _, unseen = first_fold(layer.human, OPTIONS)
    assert 0 < len(unseen) < 400
    every = rows.loc["unseen_odd_one_out", ""].squeeze()
    assert every["n"] == len(unseen)
    assert every["value"] == odd_one_out_accuracy(layer.reference, unseen)
    assert "unseen_rsa" not in rows.index  # no similarities are known
    dot = rows.loc["unseen_dot", ""].squeeze()
    assert dot["value"] == odd_one_out_accuracy(layer.reference, unseen, similarity="dot")
    at = rows.loc["unseen_odd_one_out"].drop("")
    assert set(at.index) == {*LEVELS}
    assert at["n"].sum() == len(unseen)
    assert (at["value"] * at["n"]).sum() / len(unseen) == pytest.approx(every["value"])
    groups = np.arange(12) // 4
    within = unseen[(groups[unseen] == groups[unseen][:, :1]).all(axis=1)]
    assert at.loc["within", "value"] == odd_one_out_accuracy(layer.reference, within)


def test_similarities_are_compared_over_pairs_that_the_teacher_does_not_know() -> None:
    layer = layer_of()
    told, _ = first_fold(layer.human, OPTIONS)
    known = np.isin(np.arange(12), told)
    human = cosine_similarity(layer.reference)
    human[np.ix_(known, known)] *= -1  # what the teacher knows does not count
    sets = {"all": layer.human.judgments._replace(similarity=human)}
    found = pd.DataFrame(levels.rows(layer._replace(human=layer.human._replace(sets=sets))))
    row = found[found["measure"] == "unseen_rsa"].squeeze()
    assert row["value"] == pytest.approx(1)
    assert row["n"] == 66 - known.sum() * (known.sum() - 1) / 2


def test_objects_of_no_or_several_categories_are_at_no_level() -> None:
    membership = [[True, False], [True, True], [False, False], [False, True]]
    assert levels.category_of(membership).tolist() == [0, -1, -1, 1]


def test_new_classes_are_learned_from_few_examples_where_they_lie_apart() -> None:
    noise, apart = (
        pd.DataFrame(few_shot.rows(task("few_shot", far, letters=CLASSES))) for far in (0.0, 8.0)
    )
    assert set(apart["concept"]) == {"letters, 1", "letters, 5", "letters, 10"}
    assert (apart["value"] > 0.75).all()
    assert (apart.loc[apart["concept"] != "letters, 1", "value"] > 0.95).all()
    assert noise["value"].between(0.1, 0.3).all()
    middle = pd.DataFrame(few_shot.rows(task("few_shot", 2.0, letters=CLASSES)))
    for _, of_measure in middle.groupby("measure"):
        assert of_measure["value"].is_monotonic_increasing  # with the number of examples


def test_images_of_no_class_take_no_part_in_a_task() -> None:
    some = pd.Series(CLASSES).where(CLASSES != "e")
    rows = pd.DataFrame(few_shot.rows(task("few_shot", 8.0, some=some, every=CLASSES)))
    n = rows.groupby(rows["concept"].str.partition(",")[0])["n"].unique().str[0]
    assert n.to_dict() == {"some": 120, "every": 150}


def test_a_probe_learns_plain_images_and_is_tried_on_shifted_ones() -> None:
    names = np.tile(["none", "none", "blurred"], 50)
    rows = pd.DataFrame(shift.rows(task("shift", 8.0, **{"class": CLASSES, "shift": names})))
    assert rows["concept"].tolist() == ["blurred"]
    assert rows["n"].tolist() == [50]
    assert rows["value"].item() > 0.95
    swapped = np.where(names == "blurred", np.roll(CLASSES, 30), CLASSES)
    rows = pd.DataFrame(shift.rows(task("shift", 8.0, **{"class": swapped, "shift": names})))
    assert rows["value"].item() < 0.05


def test_factors_are_read_by_their_kind() -> None:
    layer = task("factors", 8.0, called=CLASSES, number=np.arange(150.0))
    X, labels = layer.tasks["factors"]
    labels["number"] = X[:, 6] * 3 + 1
    found = pd.DataFrame(factors.rows(layer)).set_index("concept")
    assert found.loc["called", "measure"] == "factor_accuracy"
    assert found.loc["number", "measure"] == "factor_explained"
    assert (found["value"] > 0.95).all()


@pytest.mark.parametrize("measure", [few_shot, shift, factors])
def test_a_layer_without_tasks_has_no_rows_of_them(measure: object) -> None:
    assert [*measure.rows(layer_of())] == []


def test_where_people_take_longer_a_model_that_knows_is_less_certain() -> None:
    layer, rng = layer_of(), np.random.default_rng(1)
    likely = odd_one_out_probabilities(layer.reference, layer.triplets, temperature=0.3)
    kept = (rng.random((400, 1)) > likely.cumsum(axis=1)).sum(axis=1)
    columns = np.array([[0, 1, 2], [0, 2, 1], [1, 2, 0]])[kept]
    chosen = np.take_along_axis(layer.triplets, columns, axis=1)
    seconds = np.exp(entropy(likely, axis=1))

    def measured(seconds: np.ndarray | None) -> list[Row]:
        sets = {"timed": Judgments(chosen, seconds=seconds)}
        return [*reaction_time.rows(layer._replace(human=layer.human._replace(sets=sets)))]

    (row,) = measured(np.where(np.arange(400) % 9, seconds, np.nan))
    assert row.value > 0.9
    assert (row.n, row.judgments) == (355, "timed")
    assert abs(measured(rng.permutation(seconds))[0].value) < 0.2
    assert np.isnan(measured(np.ones(400))[0].value)  # all took as long
    assert measured(None) == []


SHIFTED = {**corruptions.SHIFTS, **corruptions.OF_COLOR}


@pytest.mark.parametrize("name", SHIFTED)
def test_a_shift_changes_every_image_and_not_its_form(name: str) -> None:
    images, _ = colors.generate(2, seed=0)
    before = images.copy()
    after = SHIFTED[name](images)
    assert (after.shape, after.dtype) == (images.shape, np.uint8)
    np.testing.assert_array_equal(images, before)
    assert (abs(after.astype(int) - images) > 8).any(axis=(1, 2, 3)).all()


def test_tasks_of_colours_have_new_images_and_classes() -> None:
    stimuli = colors.Stimuli(kind="colors", train_per_hue=4, validation_per_hue=2, test_per_hue=4)
    found = stimuli.tasks()
    images, labels = found["few_shot"]
    assert len(images) == len(labels) == 16 * 14
    assert set(labels["sizes"]) == {"small", "middle", "large"}
    assert {"size", "x", "hue", "shape", "brightness"} <= set(found["factors"][1])
    shifted = found["shift"][1]
    assert {"none", "other images", "tinted", "noisy"} <= set(shifted["shift"])
    assert shifted.groupby("shift")["class"].value_counts().unstack().nunique().max() == 1
    seen = {image.tobytes() for image in stimuli.splits()["train"][0]}
    assert not seen & {image.tobytes() for image in images}


def test_tasks_of_letters_have_characters_that_no_latin_one_looks_like() -> None:
    data("letters")
    about = {"train_per_character": 1, "validation_per_character": 1, "test_per_letter": 1}
    stimuli = letters.Stimuli(kind="letters", typefaces=2, faces=1, **about)
    found = stimuli.tasks()
    labels = found["few_shot"][1]
    assert labels.notna().sum(axis=1).eq(1).all()
    greek, cyrillic = (set(labels[name].dropna()) for name in ("Greek letters", "Cyrillic letters"))
    assert {"\N{GREEK SMALL LETTER ALPHA}", "\N{GREEK SMALL LETTER OMEGA}"} <= greek
    assert "\N{GREEK SMALL LETTER OMICRON}" not in greek
    assert {"ж", "я"} <= cyrillic
    alike = {"\N{CYRILLIC SMALL LETTER A}", "\N{CYRILLIC SMALL LETTER O}"}
    assert not alike & cyrillic
    assert labels["digits"].dropna().nunique() == 10
    shifts = found["shift"]
    plain, bold = (
        shifts[0][(shifts[1]["shift"] == name).to_numpy()] for name in ("other typefaces", "bold")
    )
    assert bold.mean() < plain.mean()  # more ink
    assert set(found["factors"][1]) >= {"letter", "typeface", "slant", "weight"}


def test_students_are_models_of_the_study_that_can_be_chosen_by_name() -> None:
    study = studies.load(str(TINY_LETTERS))
    assert not {model.variant for model in study.models} & {*TARGETS}
    students = study.students.models
    assert len(students) == 3 * (1 + len(TARGETS))
    chosen = studies.load(str(TINY_LETTERS), models="vit-base-pretrained vit-base-aligned")
    assert [model.id for model in chosen.models] == [
        *("vit-base-pretrained-seed0", "vit-base-pretrained-seed1", "vit-base-aligned-seed0")
    ]
    aligned = chosen.models[-1]
    assert aligned.parent == "vit-base-pretrained-seed0"
    assert chosen.root(aligned).id == aligned.parent
    assert "alignet" in book.notebooks(chosen)
    assert "alignet" not in book.notebooks(
        studies.load(str(TINY_LETTERS), models="vit-base-finetuned")
    )


def test_a_student_that_is_measured_by_other_poolings_is_one_student() -> None:
    data("letters")
    study = studies.load(str(TINY_LETTERS), models="vit-base-pretrained vit-base-aligned")
    tokens, aligned = study.poolings["tokens"], study.models[-1]
    own = pipeline.checkpoint(study, aligned)
    assert pipeline.checkpoint(tokens, aligned).fingerprint == own.fingerprint
    assert pipeline.checkpoint(study.students, aligned).fingerprint == own.fingerprint
    by = [pipeline.representations(each, aligned).name for each in (study, tokens)]
    assert len({*by}) == 2


def test_what_students_gain_is_not_taken_for_fine_tuning(monkeypatch: pytest.MonkeyPatch) -> None:
    names = "vit-base-pretrained vit-base-finetuned vit-base-aligned"
    study = studies.load(str(TINY_LETTERS), models=names)
    value = {"pretrained": 0.2, "finetuned": 0.5, "aligned": 0.9, "unaligned": 0.7, "shuffled": 0.3}

    def made_up(of: Study) -> pd.DataFrame:
        rows = pd.DataFrame(
            [(m.id, layer, layer / 2, value[m.variant]) for m in of.models for layer in range(3)],
            columns=["id", "layer", "depth", "value"],
        ).assign(measure="convexity", space="original", n=1, kind="", concept="", judgments="")
        return tables._whose(of).merge(rows, on="id")

    monkeypatch.setattr(tables, "_measured", made_up)
    tuned = tables.fine_tuning_deltas(study)
    assert set(tuned["variant"]) == {"finetuned"}
    assert tuned["value"].to_numpy() == pytest.approx(0.3)
    assert tables.fine_tuning_summary(study)["value"].item() == pytest.approx(0.3)
    taught = tables.student_deltas(study).groupby("variant")["value"].mean()
    assert taught.to_dict() == pytest.approx({"aligned": 0.7, "unaligned": 0.5, "shuffled": 0.1})


def test_a_source_that_a_choice_of_models_lacks_is_missing_and_no_mistake() -> None:
    table = pd.DataFrame({"source": ["people"], "value": [0.5], "ci_low": 0.4, "ci_high": 0.6})
    table["p_value"] = np.nan
    for source in ("finetuned", *TARGETS):
        assert np.isnan(tables.estimate(table, source=source).value)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"teacher": "nobody"}, "alignet.teacher is 'nobody'; choose one of: small"),
        ({"images": "no-such-folder"}, "in which there are no images"),
        ({"n_clusters": 1}, r"key 'alignet.n_clusters' \(value 1\)"),
        ({"images_per_group": 1}, "takes 2 groups_per_batch and 2 images_per_group at least"),
        ({"scheme": "class-border", "images": "."}, "of images in a folder no classes are known"),
    ],
)
def test_a_mistake_in_the_study_file_is_named_before_anything_runs(
    changed: dict, said: str, tmp_path: Path
) -> None:
    data("images92")
    with pytest.raises(ValueError, match=said):
        pipeline.lesson(of_92(tmp_path, **changed))


def test_seeds_of_students_are_those_of_models(tmp_path: Path) -> None:
    content = yaml.safe_load(TINY_LETTERS.read_text())
    content["alignet"]["seeds"] = [0, 7]
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(ValueError, match="seeds has 7, from which no model is trained; choose"):
        studies.load(str(tmp_path / "a.yaml"))


def test_more_clusters_than_images_are_refused_before_any_goes_through_the_teacher(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data("images92")
    monkeypatch.setenv("CONVEXLIB_RESULTS", str(tmp_path / "results"))
    with pytest.raises(ValueError, match=r"alignet\.n_clusters is 90, and there are 82 images"):
        pipeline.lesson(of_92(tmp_path, n_clusters=90)).get()


def test_a_folder_of_images_is_the_pool_and_its_hidden_files_are_not(tmp_path: Path) -> None:
    data("images92")
    pool = tmp_path / "many"
    for n in range(20):
        path = pool / "abc"[n % 3] / f"{n // 3}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (10 * n, 0, 0)).save(path)
    Image.new("RGB", (8, 8)).save(pool / ".hidden.png")
    before = pipeline.lesson(of_92(tmp_path, images="many")).fingerprint
    splits = pipeline._to_judge(tmp_path, None, pool)
    assert [len(images) for images, *_ in splits.values()] == [18, 2]
    names = [name for _, some, _ in splits.values() for name in some]
    assert sorted(names) == sorted(f"{'abc'[n % 3]}/{n // 3}.png" for n in range(20))
    (pool / "a" / "0.png").unlink()  # of a name that others have, too
    pipeline.lesson.cache_clear()
    assert pipeline.lesson(of_92(tmp_path, images="many")).fingerprint != before


def test_a_teacher_that_was_not_chosen_makes_no_page(tmp_path: Path) -> None:
    data("images92")
    study = of_92(tmp_path)
    assert "alignet" in book.notebooks(study)
    other = str(save_small_vit(tmp_path / "other"))
    chosen = studies.load(study.choice["study"], models=[other])
    assert "alignet" not in book.notebooks(chosen)


def of_92(folder: Path, **changed: object) -> Study:
    told = {"epochs": 2, "batch_size": 64, "learning_rate": 1e-3, "n_triplets": 320}
    alignet = {"teacher": "small", "n_clusters": 6, "images_per_group": 3, "distillation": told}
    listed = {"source": str(save_small_vit(folder / "small")), "family": "vit", "size": "base"}
    file = write_study(
        folder / "mini.yaml",
        {"kind": "images92", "n_triplets": 400},
        models=[listed | {"variant": "pretrained"}],
        alignet=alignet | changed,
    )
    return studies.load(str(file))


@pytest.mark.slow
def test_the_whole_chain_runs_on_real_images_and_judgments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data("images92")
    monkeypatch.setenv("CONVEXLIB_RESULTS", str(tmp_path / "results"))
    study = of_92(tmp_path)
    lesson = pipeline.lesson(study).get()
    told = Triplets.load(lesson / "train-aligned.npz")
    assert told.indices.shape == (320, 3)
    assert len(np.unique(told.filenames)) <= 82
    assert told.indices.max() < 82
    assert len(np.unique(Triplets.load(lesson / "validation-aligned.npz").filenames)) == 10
    layers = tables.teacher(study)
    assert layers["aligned"].notna().sum() == 1
    learned = tables.lessons_learned(study)
    assert set(learned["variant"]) == {*TARGETS}
    assert (learned.groupby("model").size() == 2).all()
    found = tables.outcomes(study)
    assert set(found["variant"]) == {"pretrained", *TARGETS}
    assert {"all levels", "across", "boundary", "RSA", "categories"} <= set(found["outcome"])
    gains = tables.outcome_gains(study)
    before, after = (
        found.query(f"variant == '{variant}' and outcome == 'RSA'")["value"].item()
        for variant in ("pretrained", "aligned")
    )
    gain = tables.estimate(gains, outcome="RSA", difference="aligned minus pretrained")
    assert gain.value == pytest.approx(after - before)
    page = book.executed(study, "alignet").get() / "alignet.ipynb"
    assert "Do concepts become more convex" in page.read_text(encoding="utf-8")

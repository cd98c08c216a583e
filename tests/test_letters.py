"""The letters study: stimuli that share nothing between splits, and judgments in several sets."""

import re
import string
from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from convexlib import layers
from convexlib.alignment import object_folds
from convexlib.data import Human, downloads, lettering, letters
from convexlib.models.objectives import naming
from convexlib.settings import Measures
from tests.conftest import data

Splits = dict[str, tuple[np.ndarray, pd.DataFrame]]

SMALL = letters.Stimuli(
    kind="letters",
    train_per_character=1,
    validation_per_character=1,
    test_per_letter=2,
    typefaces=3,
    faces=4,
)


@pytest.fixture(scope="module")
def splits() -> Splits:
    data("letters")
    return SMALL.splits()


@pytest.fixture(scope="module")
def human(splits: Splits) -> Human:
    return SMALL.human(splits["test"][1], splits["reference"][1])


def test_every_split_has_its_images_and_labels(splits: Splits) -> None:
    sizes = {"train": 62 * 4, "validation": 62 * 6, "test": 26 * 3 * 2, "undistorted": 26 * 3}
    sizes["reference"] = 26 * 3 + 8 * 3 + 8 * 3 + 26
    for split, (images, labels) in splits.items():
        assert images.dtype == np.uint8
        assert images.shape == (sizes[split], 32, 32, 3) == (len(labels), 32, 32, 3)
        assert (images.min(axis=(1, 2, 3)) < images.max(axis=(1, 2, 3))).all()  # none is blank


def test_splits_share_no_typeface_and_no_image(splits: Splits) -> None:
    """But for the undistorted letters: some were judged, and all are jittered for the test."""
    others = [split for split in splits if split != "undistorted"]
    for one, other in combinations(others, 2):
        seen = [{image.tobytes() for image in splits[split][0]} for split in (one, other)]
        assert not set.intersection(*seen)
        faces = [set(splits[split][1]["typeface"]) for split in (one, other)]
        if "reference" not in (one, other):
            assert not set.intersection(*faces)


def test_no_face_to_train_on_is_judged() -> None:
    data("letters")
    plain = {re.sub("[^a-z]", "", name.lower()) for name in letters.choices()["typeface"].unique()}
    faces = [re.sub("[^a-z]", "", name.lower()) for name in lettering.faces()]
    assert len(faces) - len(letters.VALIDATION) >= 50
    assert not [face for face in faces if any(face.startswith(judged) for judged in plain)]


def test_the_same_seed_gives_the_same_images_and_another_others(splits: Splits) -> None:
    again = SMALL.splits()
    other = SMALL.model_copy(update={"seed": 1}).splits()
    for split, (images, labels) in splits.items():
        np.testing.assert_array_equal(again[split][0], images)
        pd.testing.assert_frame_equal(again[split][1], labels)
        assert (other[split][0] == images).all() == (split in ("reference", "undistorted"))


def test_small_letters_alone_are_named(splits: Splits) -> None:
    names = naming(splits["train"][1], ["letter"])["id2label"]
    assert [*names.values()] == [*string.ascii_lowercase]
    assert len(naming(splits["train"][1], ["character"])["id2label"]) == 62


def test_what_was_judged_refers_to_the_images(splits: Splits, human: Human) -> None:
    _, of_reference = splits["reference"]
    assert [*human.sets] == ["Latin", "Cyrillic", "Devanagari", "Capitals"]
    for script, judged in zip(letters.SCRIPTS, human.sets.values(), strict=False):
        shown = of_reference.iloc[np.unique(judged.triplets)]
        assert set(shown["script"]) == {script}
        assert shown.groupby("typeface").size().tolist() == [8, 8, 8]
        typefaces = of_reference["typeface"].to_numpy()[judged.triplets]
        assert (typefaces == typefaces[:, :1]).all()
    row = letters.choices().query("script == 'latin' and typeface == 'arial'").iloc[0]
    first, second, odd = (of_reference.iloc[human.sets["Latin"].triplets[:, n]] for n in range(3))
    arial = (first["typeface"] == "arial").to_numpy()
    found = [part["character"].to_numpy()[arial][0] for part in (first, second, odd)]
    assert found == [row["first"], row["second"], row["odd"]]


def test_ratings_are_of_capitals_alone_and_by_another_method(human: Human) -> None:
    rated, chosen = human.sets["Capitals"], human.sets["Latin"]
    assert (rated.method, chosen.method) == ("ratings of pairs", "odd one out of three")
    capitals = np.flatnonzero(layers.in_similarity(rated.similarity))
    assert [human.names[row][-1] for row in capitals] == [*string.ascii_uppercase]
    np.testing.assert_array_equal(np.unique(rated.triplets), capitals)
    similarity = rated.similarity[np.ix_(capitals, capitals)]
    np.testing.assert_array_equal(similarity, letters.ratings())


def test_a_concept_is_a_letter_in_any_typeface(human: Human) -> None:
    concept = human.concept[human.shown].remove_unused_categories()
    assert [*concept.categories] == [*string.ascii_lowercase]
    assert (concept.value_counts() == 3 * 2).all()
    assert human.categories.sum(axis=1).eq(1).all()
    assert sorted(human.categories) == sorted(letters.GROUPS)
    assert sorted("".join(letters.GROUPS)) == [*string.ascii_lowercase]


def test_a_fold_holds_out_typefaces(splits: Splits, human: Human) -> None:
    triplets, groups = human.judgments.triplets, human.held_together
    typefaces = np.array(human.groups)
    tested = []
    for training, test in object_folds(triplets, len(groups), n_folds=3, groups=groups):
        seen, unseen = (set(typefaces[np.unique(some)]) for some in (training, test))
        assert not seen & unseen
        held_out = splits["test"][1]["typeface"][human.is_held_out(test)]
        assert set(held_out) == unseen
        tested.append(len(test))
    assert sum(tested) == len(triplets)  # none lies across the border


def test_the_study_can_be_measured(human: Human) -> None:
    settings = Measures(transform={"lmbda": 0.1, "n_folds": 3})
    layers.check(human, settings)


def test_ratings_are_symmetric_and_of_all_capitals() -> None:
    data("letters")
    rated = letters.ratings()
    np.testing.assert_array_equal(rated, rated.T)
    capitals = string.ascii_uppercase
    assert rated[capitals.index("O"), capitals.index("Q")] > 5
    assert np.isfinite(rated).all()


@pytest.mark.parametrize("name", ["Roboto-Thin", "Lato-Thin"])
def test_a_straight_stroke_has_its_ink(name: str) -> None:
    """Agg moves such strokes to whole pixels, or drops them, unless told not to."""
    path = lettering.faces()[name]
    small, large = (
        lettering.render(*lettering.glyph(path, "l"), size).mean() for size in (32, 1024)
    )
    assert small == pytest.approx(large, rel=0.05)


def test_a_letter_can_be_made_bolder_or_lighter() -> None:
    outline = lettering.glyph(lettering.faces()["DejaVuSans"], "b")
    light, plain, bold = (lettering.render(*outline, 32, weight=w).sum() for w in (-0.3, 0, 0.3))
    assert light < plain < bold


def test_a_character_that_a_face_lacks_is_named() -> None:
    path = lettering.faces()["Lato-Thin"]
    with pytest.raises(ValueError, match=r"Lato-Thin\.ttf has no 'ঝ'; leave the face out"):
        lettering.glyph(path, "ঝ")


def test_drawings_that_are_not_the_published_are_refused(
    tmp_path: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    letters.drawings.cache_clear()
    monkeypatch.setenv("CONVEXLIB_DATA", str(tmp_path))
    with pytest.raises(ValueError, match="'letters/website' is not in the data folder"):
        letters.drawings()
    folder = downloads.root() / "letters" / "website" / "latin" / "characters"
    folder.mkdir(parents=True)
    (folder / "arial_latin_a.svg").write_text("<svg/>", encoding="utf-8")
    with pytest.raises(ValueError, match="does not hold the published drawings"):
        letters.drawings()
    letters.drawings.cache_clear()

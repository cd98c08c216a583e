"""Images and judgments in files, as people have them, and the mistakes in these."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from convexlib.images import BrokenImageWarning
from convexlib.settings import FolderStimuli
from convexlib.stimuli import PATH, files, folder

NAMES = ["ant", "bee", "cup", "dog"]


def save(path: Path, colour: str = "red") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), colour).save(path)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Two animals, of which one has two images, and a thing."""
    for name in ("animals/bee/02.jpg", "animals/bee/01.jpg", "animals/ant.png", "things/cup.png"):
        save(tmp_path / "images" / name)
    (tmp_path / "images" / "animals" / "notes.txt").write_text("no image")
    (tmp_path / "images" / "animals" / ".hidden.png").write_text("no image")
    return tmp_path / "images"


def test_folders_are_categories_and_what_is_in_them_are_concepts(images: Path) -> None:
    found = folder.find_images(images)
    assert list(found) == ["ant", "bee", "cup"]
    assert [category for category, _ in found.values()] == ["animals", "animals", "things"]
    assert [path.name for path in found["bee"][1]] == ["01.jpg", "02.jpg"]


def test_the_first_image_of_a_concept_is_its_reference(images: Path) -> None:
    of_concept = {name: paths for name, (_, paths) in folder.find_images(images).items()}
    splits = files.splits(of_concept, images, broken="error")
    (_, test), (_, reference) = splits["test"], splits["reference"]
    assert test["concept"].tolist() == ["ant", "bee", "bee", "cup"]
    assert reference["concept"].tolist() == ["ant", "bee", "cup"]
    assert reference[PATH].tolist() == ["animals/ant.png", "animals/bee/01.jpg", "things/cup.png"]


def test_a_broken_image_is_an_error_or_left_out_by_choice(images: Path) -> None:
    (images / "animals" / "bee" / "02.jpg").write_bytes(b"nothing")
    of_concept = {name: paths for name, (_, paths) in folder.find_images(images).items()}
    with pytest.raises(ValueError, match=r"02\.jpg.*broken: skip"):
        files.splits(of_concept, images, broken="error")
    with pytest.warns(BrokenImageWarning, match=r"1 of 4 images"):
        splits = files.splits(of_concept, images, broken="skip")
    assert [len(labels) for _, labels in splits.values()] == [3, 3]


def test_a_concept_whose_reference_is_broken_goes_with_what_people_judged_of_it(
    images: Path, tmp_path: Path
) -> None:
    for name in ("dish", "fork"):
        save(images / "things" / f"{name}.png")
    (images / "animals" / "bee" / "01.jpg").write_bytes(b"nothing")
    (tmp_path / "triplets.txt").write_text("ant bee cup\ncup dish ant\nfork dish bee\n")
    settings = FolderStimuli(
        kind="folder", images=images, triplets=tmp_path / "triplets.txt", broken="skip"
    )
    with pytest.warns(BrokenImageWarning, match=r"1 of 6 images"):
        splits = folder.splits(settings)
    judged = folder.judged(settings, *(labels for _, labels in splits.values()))
    assert judged.names == ["ant", "cup", "dish", "fork"]
    assert judged.triplets.tolist() == [[1, 2, 0]]
    assert judged.categories["animals"].tolist() == [True, False, False, False]
    matrix = np.add.outer(np.arange(5.0), np.arange(5.0)) % 3.7
    np.save(tmp_path / "matrix.npy", matrix)
    settings = FolderStimuli(
        kind="folder", images=images, similarity=tmp_path / "matrix.npy", broken="skip"
    )
    judged = folder.judged(settings, *(labels for _, labels in splits.values()))
    left = [0, 2, 3, 4]
    off_diagonal = ~np.eye(4, dtype=bool)
    expected = matrix[np.ix_(left, left)]
    np.testing.assert_array_equal(judged.similarity[off_diagonal], expected[off_diagonal])


def test_a_mistake_in_the_folders_is_named(images: Path) -> None:
    with pytest.raises(ValueError, match="is no folder; give one of folders"):
        folder.find_images(images / "nothing")
    with pytest.raises(ValueError, match="no images in two categories"):
        folder.find_images(images / "animals")
    save(images / "things" / "bee.png")
    with pytest.raises(ValueError, match="two concepts called 'bee'"):
        folder.find_images(images)


def test_images_and_judgments_are_known_by_their_files(images: Path, tmp_path: Path) -> None:
    (tmp_path / "triplets.txt").write_text("0 1 2\n")
    settings = FolderStimuli(kind="folder", images=images, triplets=tmp_path / "triplets.txt")
    images_before = folder.images_depend_on(settings)
    judgments_before = folder.judgments_depend_on(settings)
    (tmp_path / "triplets.txt").write_text("0 2 1\n")
    assert folder.judgments_depend_on(settings) != judgments_before
    assert folder.images_depend_on(settings) == images_before
    save(images / "things" / "dish.png")
    assert folder.images_depend_on(settings) != images_before
    (tmp_path / "triplets.txt").unlink()
    for reads in (folder.judgments_depend_on, folder.check):
        with pytest.raises(ValueError, match="file of judgments, is missing"):
            reads(settings)


@pytest.mark.parametrize(
    "text",
    [
        "0 1 2\n3 1 0\n",
        "0\t1\t2\n3\t1\t0\n",
        "0,1,2\n3,1,0\n",
        "ant bee cup\ndog bee ant\n",
        "ant , bee, cup\ndog, bee, ant\n",
        "\nant bee cup\n\ndog bee ant\n\n",
        "\ufeffant,bee,cup\r\ndog,bee,ant\r\n",
    ],
)
def test_triplets_are_read_by_number_or_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "triplets.txt"
    path.write_bytes(text.encode())
    assert files.read_triplets(path, NAMES).tolist() == [[0, 1, 2], [3, 1, 0]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0 1 2\n0 x 1\n", "triplet 2: 'x' is no concept; give names such as 'ant', or whole"),
        ("0 1 ant\n", "triplet 1: '0' is no concept"),
        ("ant bee cup\nant bee cow\n", "triplet 2: 'cow' is no concept"),
        ("0 1.5 2\n", "is no concept"),
        ("0 1 2 3\n", "has 4 columns"),
        ("0 1 2\n3 4\n", "a line that is shorter"),
        ("0 1 2\n0 1 2 3\n", "cannot be read as triplets"),
        ("0 1 4\n", r"\[0, 1, 4\], but X has rows 0 to 3"),
        ("0 1 1\n", "give three different objects"),
        ("", "cannot be read as triplets"),
    ],
)
def test_a_file_that_holds_no_triplets_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "triplets.txt"
    path.write_text(text)
    with pytest.raises(ValueError, match=message) as error:
        files.read_triplets(path, NAMES)
    assert "triplets.txt" in str(error.value)
    with pytest.raises(ValueError, match="cannot be read as triplets: No such file"):
        files.read_triplets(tmp_path / "nothing.txt", NAMES)


def test_a_matrix_is_read_in_the_order_of_the_concepts(tmp_path: Path) -> None:
    matrix = np.arange(16.0).reshape(4, 4)
    matrix += matrix.T
    np.save(tmp_path / "matrix.npy", matrix)
    np.testing.assert_array_equal(files.read_similarity(tmp_path / "matrix.npy", NAMES)[0], matrix)
    np.save(tmp_path / "people.npy", np.stack([matrix, 2 * matrix]))
    assert files.read_similarity(tmp_path / "people.npy", NAMES).shape == (2, 4, 4)
    table = pd.DataFrame(matrix, index=NAMES, columns=NAMES)
    table.loc[NAMES[::-1], ["cup", "ant", "dog", "bee"]].to_csv(tmp_path / "matrix.csv")
    np.testing.assert_array_equal(files.read_similarity(tmp_path / "matrix.csv", NAMES)[0], matrix)


def test_a_mistake_in_a_matrix_is_named(tmp_path: Path) -> None:
    path = tmp_path / "matrix.npy"
    np.save(path, np.eye(3))
    with pytest.raises(ValueError, match=r"shape \(3, 3\), but there are 4 concepts"):
        files.read_similarity(path, NAMES)
    np.save(path, np.triu(np.ones((4, 4))))
    with pytest.raises(ValueError, match="is not symmetric"):
        files.read_similarity(path, NAMES)
    np.save(path, np.array([{"a": 1}]), allow_pickle=True)
    with pytest.raises(ValueError, match="cannot be read as similarities"):
        files.read_similarity(path, NAMES)
    pd.DataFrame(np.eye(3), index=NAMES[:3], columns=NAMES[:3]).to_csv(tmp_path / "matrix.csv")
    with pytest.raises(ValueError, match="lacks the similarity of 'ant' and 'dog'"):
        files.read_similarity(tmp_path / "matrix.csv", NAMES)
    pd.DataFrame(np.eye(4), index=[*"abcd"]).to_csv(tmp_path / "matrix.csv")
    with pytest.raises(ValueError, match="'a' is no concept"):
        files.read_similarity(tmp_path / "matrix.csv", NAMES)


def test_names_that_are_numbers_are_names_alone(tmp_path: Path) -> None:
    names = ["1", "10", "2", "3"]
    (tmp_path / "triplets.txt").write_text("1 2 3\n10 1 2\n")
    assert files.read_triplets(tmp_path / "triplets.txt", names).tolist() == [[0, 2, 3], [1, 0, 2]]
    (tmp_path / "triplets.txt").write_text("0 1 2\n")
    with pytest.raises(ValueError, match=r"'0' is no concept; give names such as '1'$"):
        files.read_triplets(tmp_path / "triplets.txt", names)
    pd.DataFrame(np.eye(4), index=names, columns=names).to_csv(tmp_path / "matrix.csv")
    np.testing.assert_array_equal(
        files.read_similarity(tmp_path / "matrix.csv", names)[0], np.eye(4)
    )


def test_names_may_have_blanks_where_tabs_or_commas_part_them(tmp_path: Path) -> None:
    (tmp_path / "triplets.txt").write_text("polar bear\tant\tbee\n")
    names = ["ant", "bee", "polar bear"]
    assert files.read_triplets(tmp_path / "triplets.txt", names).tolist() == [[2, 0, 1]]


def test_the_diagonal_may_be_left_empty(tmp_path: Path) -> None:
    names = ["ant", "null", "cup"]
    (tmp_path / "matrix.csv").write_text(",ant,null,cup\nant,,1,2\nnull,1,,3\ncup,2,3,\n")
    matrix = files.read_similarity(tmp_path / "matrix.csv", names)[0]
    assert matrix[0].tolist()[1:] == [1, 2]
    assert np.isfinite(matrix).all()


def test_judgments_are_one_file(tmp_path: Path) -> None:
    for given in ({}, {"triplets": "a", "similarity": "b"}):
        with pytest.raises(ValueError, match="one of the two"):
            FolderStimuli(kind="folder", images=tmp_path, **given)

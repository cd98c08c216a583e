"""Images and judgments in files, as people have them, and the mistakes in these."""

import json
import os
import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from convexlib.data import PATH, files, folder
from convexlib.data.files import DissimilarityWarning, NumberingWarning, OrderWarning
from convexlib.data.folder import PassedOverWarning, Stimuli
from convexlib.data.images import BrokenImageWarning

NAMES = ["ant", "bee", "cup", "dog"]


def save(path: Path, colour: str = "red") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), colour).save(path)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Two animals, of which one has two images, and a thing."""
    for name in ("animals/bee/02.jpg", "animals/bee/01.jpg", "animals/ant.png", "things/cup.png"):
        save(tmp_path / "images" / name)
    (tmp_path / "images" / "animals" / "notes.txt").write_text("no image", encoding="utf-8")
    (tmp_path / "images" / "animals" / ".hidden.png").write_text("no image", encoding="utf-8")
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
    settings = Stimuli(
        kind="folder", images=images, triplets=tmp_path / "triplets.txt", broken="skip"
    )
    with pytest.warns(BrokenImageWarning, match=r"1 of 6 images"):
        splits = settings.splits()
    human = settings.human(*(labels for _, labels in splits.values()))
    assert human.names == ["ant", "cup", "dish", "fork"]
    assert human.judgments.triplets.tolist() == [[1, 2, 0]]
    assert human.categories["animals"].tolist() == [True, False, False, False]
    matrix = np.add.outer(np.arange(5.0), np.arange(5.0)) % 3.7
    np.save(tmp_path / "matrix.npy", matrix)
    settings = Stimuli(
        kind="folder", images=images, similarity=tmp_path / "matrix.npy", broken="skip"
    )
    judged = settings.human(*(labels for _, labels in splits.values())).judgments
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
    settings = Stimuli(kind="folder", images=images, triplets=tmp_path / "triplets.txt")
    images_before = settings.images_depend_on()
    judgments_before = settings.judgments_depend_on()
    (tmp_path / "triplets.txt").write_text("0 2 1\n")
    assert settings.judgments_depend_on() != judgments_before
    assert settings.images_depend_on() == images_before
    save(images / "things" / "dish.png")
    assert settings.images_depend_on() != images_before
    (tmp_path / "triplets.txt").unlink()
    for reads in (settings.judgments_depend_on, settings.check):
        with pytest.raises(ValueError, match="file of judgments, is missing"):
            reads()


def test_a_jfif_is_a_picture_and_counts(images: Path) -> None:
    Image.new("RGB", (8, 8)).save(images / "things" / "bowl.JFIF", "JPEG")
    assert list(folder.find_images(images)) == ["ant", "bee", "bowl", "cup"]


@pytest.mark.parametrize(
    "name",
    [
        "animals/aye-aye.heic",
        "animals/bear.CR2",
        "animals/cat",
        "animals/film.mpg",
        "animals/bee/03.svg",
        "animals/bee/more/03.png",
        "animals/cow/01.heic",
        "things/drawing.eps",
        "things/empty/",
        "tools/",
        "zebra.png",
    ],
)
def test_what_is_passed_over_among_the_images_is_said_once(images: Path, name: str) -> None:
    path = images / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.mkdir() if name.endswith("/") else path.write_bytes(b"something")
    with pytest.warns(PassedOverWarning, match="they are passed over") as warned:
        assert list(folder.find_images(images)) == ["ant", "bee", "cup"]
    (warning,) = warned
    message = str(warning.message)
    assert len(message.splitlines()) == 1
    assert any(repr(part) in message for part in (name.rstrip("/"), str(Path(name).parent)))


def test_how_many_are_passed_over_is_said(images: Path) -> None:
    for number in range(3):
        (images / "animals" / f"{number}.heic").write_bytes(b"something")
    with pytest.warns(PassedOverWarning, match=r"holds 3 files .*, the first 'animals/0\.heic'"):
        folder.find_images(images)


@pytest.mark.parametrize(
    "name",
    [
        "README.txt",
        "notes.md",
        "judgments.csv",
        "things/LICENSE",
        "things/.DS_Store",
        "things/Icon\r",
        "animals/ant.json",
        "animals/Thumbs.db",
        "animals/desktop.ini",
        "animals/bee/@eaDir/01.jpg/thumb.jpg",
        "__MACOSX/animals/._ant.png",
    ],
)
def test_texts_and_what_systems_leave_behind_need_no_word(images: Path, name: str) -> None:
    (images / name).parent.mkdir(parents=True, exist_ok=True)
    (images / name).write_bytes(b"something")
    assert list(folder.find_images(images)) == ["ant", "bee", "cup"]


def test_where_no_images_are_found_it_is_said_what_is_passed_over(tmp_path: Path) -> None:
    for name in ("animals/ant.heic", "things/cup.heic"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(b"something")
    with pytest.raises(ValueError, match=r"no images in two .*; .* holds 2 .*'animals/ant\.heic'"):
        folder.find_images(tmp_path)


def dangling(images: Path) -> Path:
    (images / "animals" / "cow.png").symlink_to(images / "nothing.png")
    return images / "animals" / "cow.png"


def linked_to_itself(images: Path) -> Path:
    (images / "animals" / "cow.png").symlink_to("cow.png")
    return images / "animals" / "cow.png"


def pipe(images: Path) -> Path:
    os.mkfifo(images / "animals" / "cow.png")
    return images / "animals" / "cow.png"


def loop(images: Path) -> Path:
    (images / "animals" / "all").symlink_to(images / "animals")
    return images / "animals" / "all"


def loop_from_the_top(images: Path) -> Path:
    (images / "again").symlink_to(images)
    return images / "again"


def loop_in_a_concept(images: Path) -> Path:
    (images / "animals" / "bee" / "again").symlink_to("../..")
    return images / "animals" / "bee" / "again"


def of_another_encoding(images: Path) -> Path:
    path = Path(os.fsdecode(bytes(images / "animals") + b"/k\xfche.png"))
    save(images / "kuhe.png")
    return (images / "kuhe.png").rename(path)


def category_of_another_encoding(images: Path) -> Path:
    path = Path(os.fsdecode(bytes(images) + b"/M\xf6bel"))
    save(path / "chair.png")
    return path


def with_a_line_break(images: Path) -> Path:
    save(images / "animals" / "polar\nbear.png")
    return images / "animals" / "polar\nbear.png"


def with_a_tab(images: Path) -> Path:
    save(images / "toys\tnew" / "ball.png")
    return images / "toys\tnew"


def blank(images: Path) -> Path:
    save(images / "animals" / " .png")
    return images / "animals" / " .png"


ODD = (dangling, linked_to_itself, pipe, loop, loop_from_the_top, loop_in_a_concept)
ODD += (of_another_encoding, category_of_another_encoding, with_a_line_break, with_a_tab, blank)


@pytest.mark.parametrize("make", ODD)
def test_what_can_be_neither_read_nor_named_is_one_line(
    images: Path, tmp_path: Path, make: Callable[[Path], Path]
) -> None:
    (tmp_path / "triplets.txt").write_text("ant bee cup\n", encoding="utf-8")
    settings = Stimuli(kind="folder", images=images, triplets=tmp_path / "triplets.txt")
    path = make(images)
    for reads in (settings.check, settings.images_depend_on, settings.splits):
        with pytest.raises(ValueError) as error:  # noqa: PT011
            reads()
        assert repr(str(path)) in str(error.value)
        assert len(str(error.value).splitlines()) == 1
        str(error.value).encode()


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is closed to root")
def test_a_folder_that_may_not_be_read_is_named(images: Path) -> None:
    (images / "things").chmod(0)
    try:
        with pytest.raises(ValueError, match=r"things' cannot be read as a folder: Permission"):
            folder.find_images(images)
    finally:
        (images / "things").chmod(0o755)


COMPOSED, DECOMPOSED = (
    [unicodedata.normalize(form, name) for name in ("Ähre", "crème", "ёж")]
    for form in ("NFC", "NFD")
)


@pytest.mark.parametrize(("of_files", "given"), [(COMPOSED, DECOMPOSED), (DECOMPOSED, COMPOSED)])
def test_composed_and_decomposed_letters_meet(
    tmp_path: Path, of_files: list[str], given: list[str]
) -> None:
    for name, category in zip(of_files, ("plants", "food", "animals"), strict=True):
        save(tmp_path / "images" / category / f"{name}.png")
    names = list(folder.find_images(tmp_path / "images"))
    assert names == sorted(COMPOSED)
    (tmp_path / "triplets.txt").write_text("\t".join(given) + "\n", encoding="utf-8")
    (triplet,) = files.read_triplets(tmp_path / "triplets.txt", of_files)
    assert triplet.tolist() == [0, 1, 2]
    values = np.array([[9.0, 1, 2], [1, 9, 3], [2, 3, 9]])
    table = pd.DataFrame(values, index=given, columns=given)
    table.to_csv(tmp_path / "matrix.csv", encoding="utf-8")
    found = files.read_similarity(tmp_path / "matrix.csv", of_files)[0]
    np.testing.assert_array_equal(found, values)


def test_two_names_that_differ_in_the_composing_of_letters_are_one(tmp_path: Path) -> None:
    for category, name in (("plants", COMPOSED[0]), ("food", DECOMPOSED[0])):
        save(tmp_path / "concepts" / category / f"{name}.png")
        save(tmp_path / "categories" / f"{name}" / f"{category}.png")
    for what in ("concepts", "categories"):
        with pytest.raises(ValueError, match=f"has two {what} called '{COMPOSED[0]}'.*rename one"):
            folder.find_images(tmp_path / what)
    (tmp_path / "triplets.txt").write_text("0 1 2\n", encoding="utf-8")
    with pytest.raises(ValueError, match=f"two concepts are called '{COMPOSED[0]}'; rename one"):
        files.read_triplets(tmp_path / "triplets.txt", [COMPOSED[0], DECOMPOSED[0], "x"])


@pytest.mark.parametrize(
    "text",
    [
        "0 1 2\n3 1 0\n",
        "  0  1  2  \n  3  1  0\n",
        "0;1;2\n3;1;0\n",
        "0,1,2,\n3,1,0,\n",
        "0\t1\t2\r3\t1\t0\r",
        '"0","1","2"\n"3","1","0"\n',
        "00 01 02\n03 01 00\n",
        "ant;bee;cup;\r\ndog;bee;ant;\r\n;;;\r\n",
        '"ant","bee","cup"\n"dog","bee","ant"\n',
        '"ant" "bee" "cup"\n"dog" "bee" "ant"\n',
        "ant\tbee\tcup\t\ndog\tbee\tant\t\n",
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
        (
            "0 1 2\n0 x 1\n",
            "triplet 2: 'x' is no concept; give three a line, by names such as 'ant', or whole",
        ),
        ("0 1 ant\n", "triplet 1: '0' is no concept"),
        ("ant bee cup\nant bee cow\n", "triplet 2: 'cow' is no concept"),
        ("0 1.5 2\n", "is no concept"),
        ("0 1 2 3\n", "has 4 columns"),
        ("0 1 2\n3 4\n", "triplet 2: '' is no concept; give three a line"),
        ("0 1 2\n0 1 2 3\n", "cannot be read as triplets"),
        ("0 1 4\n", r"\[0, 1, 4\], but X has rows 0 to 3"),
        ("0 1 1\n", "give three different objects"),
        ("", "cannot be read as triplets"),
        ("+1 2 3\n", r"'\+1' is no concept"),
        ("0 1 1_000\n", "'1_000' is no concept"),
        ("0 1 2\n0 1 1e0\n", "'1e0' is no concept"),
        ("0 1 2\n0 1 \u00b2\n", "'\u00b2' is no concept"),
        ("0 1 2\n0 1 \u0662\n", "'\u0662' is no concept"),
        ("0.0 1.0 2.0\n", r"'0\.0' is no concept"),
        ("true false true\n", "'true' is no concept"),
        ("nan ant bee\n", "'nan' is no concept"),
        ("ant,,bee\n", "it has 2 columns; give three concepts a line"),
        ("0,1,2\n0,,1\n", "triplet 2: '' is no concept; give three a line"),
        ("0 1 99999999999999999999\n", "but X has rows 0 to 3"),
        ("0 1 " + 5000 * "9", "but X has rows 0 to 3"),
        ("one,two,odd\n0,1,2\n", "triplet 1: 'one' is no concept"),
        ("\n \n", "cannot be read as triplets"),
        (",,\n,,\n", "it is empty"),
    ],
)
def test_a_file_that_holds_no_triplets_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "triplets.txt"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=message) as error:
        files.read_triplets(path, NAMES)
    assert "triplets.txt" in str(error.value)
    assert len(str(error.value).splitlines()) == 1
    with pytest.raises(ValueError, match="cannot be read as triplets: No such file"):
        files.read_triplets(tmp_path / "nothing.txt", NAMES)


ODD_NAMES = ["+1", "0.50", "true", "1e3", "nan", "1_000", "NA", "null", "-", "False", "inf", "1,5"]
ODD_NAMES += ["-0", "0x10", "2021-01-01", "#N/A", "None", "\u00b2", "\u0663", "a;b", '5" disk']


@pytest.mark.parametrize("mark", [",", ";", "\t", " "])
@pytest.mark.parametrize("more", [[], ["007"], ["7", "07"], ["ant"]])
def test_a_name_is_a_name_whatever_it_looks_like(
    tmp_path: Path, mark: str, more: list[str]
) -> None:
    names = [name for name in ODD_NAMES + more if " " not in name or mark != " "]
    rng = np.random.default_rng(0)
    triplets = np.stack([rng.choice(len(names), 3, replace=False) for _ in range(200)])
    cells = pd.DataFrame(np.array(names, dtype=object)[triplets])
    cells.to_csv(tmp_path / "triplets.txt", sep=mark, header=False, index=False)
    np.testing.assert_array_equal(files.read_triplets(tmp_path / "triplets.txt", names), triplets)
    matrix = rng.normal(size=(len(names), len(names)))
    matrix += matrix.T
    table = pd.DataFrame(matrix, index=names, columns=names).sample(frac=1, random_state=0)
    table.to_csv(tmp_path / "matrix.csv", sep=mark)
    found = files.read_similarity(tmp_path / "matrix.csv", names)[0]
    np.testing.assert_array_equal(found, matrix)


@pytest.mark.parametrize("name", ODD_NAMES)
def test_three_names_that_all_look_like_numbers_are_names(tmp_path: Path, name: str) -> None:
    names = [name, f"{name}{name}", f"{name}9"]
    pd.DataFrame([names[::-1]]).to_csv(tmp_path / "triplets.txt", header=False, index=False)
    assert files.read_triplets(tmp_path / "triplets.txt", names).tolist() == [[2, 1, 0]]


def test_a_name_of_digits_is_not_the_number_that_it_looks_like(tmp_path: Path) -> None:
    names = ["007", "7", "8", "ant"]
    path = tmp_path / "triplets.txt"
    path.write_text("007 7 8\n8 7 007\n", encoding="utf-8")
    assert files.read_triplets(path, names).tolist() == [[0, 1, 2], [2, 1, 0]]
    path.write_text("0 1 2\n", encoding="utf-8")
    with pytest.raises(
        ValueError, match=r"'0' is no concept; give three a line, by names such as '007'$"
    ):
        files.read_triplets(path, names)


ENCODED = "Ähre,bee,cup\n"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (ENCODED.encode("utf-16"), "it is in UTF-16, or no text at all; save it as text in UTF-8"),
        (ENCODED.encode("utf-16-be"), "it is in UTF-16"),
        (ENCODED.encode("utf-32"), "it is in UTF-16"),
        (b"ant,bee,cup\n" + ENCODED.encode("latin-1"), "line 2 is not in UTF-8 but in another enc"),
        (b"PK\x03\x04\xff\xfe", "line 1 is not in UTF-8 .* or no text at all"),
    ],
)
def test_another_encoding_is_refused_in_words_that_name_it(
    tmp_path: Path, content: bytes, says: str
) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    for read in (files.read_triplets, files.read_similarity):
        with pytest.raises(ValueError, match=says):
            read(path, ["Ähre", "ant", "bee", "cup"])


def test_names_with_separators_in_them_are_quoted(tmp_path: Path) -> None:
    names = ["ant", "bowl, red", "cup; blue"]
    path = tmp_path / "table.txt"
    for text in ('"bowl, red","cup; blue",ant\n', '"bowl, red" ; "cup; blue" ; ant\n'):
        path.write_text(text, encoding="utf-8")
        assert files.read_triplets(path, names).tolist() == [[1, 2, 0]]
    path.write_text("bowl, red\tcup; blue\tant\n", encoding="utf-8")
    assert files.read_triplets(path, names).tolist() == [[1, 2, 0]]


def test_numbers_that_never_are_zero_are_pointed_out(tmp_path: Path) -> None:
    path = tmp_path / "triplets.txt"
    path.write_text("1 2 3\n3 2 1\n", encoding="utf-8")
    with pytest.warns(NumberingWarning, match=r"holds the number 0, .*'ant'; .* take 1 from each"):
        files.read_triplets(path, NAMES)
    path.write_text("bee cup dog\n", encoding="utf-8")
    assert files.read_triplets(path, NAMES).tolist() == [[1, 2, 3]]


@pytest.mark.parametrize(
    ("names", "says"),
    [
        ([f"img{n}" for n in range(1, 13)], "'img10' comes before 'img2'"),
        (["ant", "Bee", "cup"], "'Bee' comes before 'ant'"),
        (["a 2", "a 10", "b"], "'a 10' comes before 'a 2'"),
    ],
)
def test_where_names_have_two_orders_numbers_are_pointed_out(
    tmp_path: Path, names: list[str], says: str
) -> None:
    for number, name in enumerate(names):
        save(tmp_path / "images" / f"{number % 2}" / f"{name}.png")
    names = sorted(names)
    (tmp_path / "number.txt").write_text("0 1 2\n", encoding="utf-8")
    (tmp_path / "name.txt").write_text(",".join(names[:3]) + "\n", encoding="utf-8")
    matrix = -(abs(np.subtract.outer(np.arange(len(names)), np.arange(len(names)))) % 1.7)
    np.save(tmp_path / "matrix.npy", matrix)
    pd.DataFrame(matrix, names, names).to_csv(tmp_path / "matrix.csv")
    images = {"kind": "folder", "images": tmp_path / "images"}
    for given in ({"triplets": tmp_path / "number.txt"}, {"similarity": tmp_path / "matrix.npy"}):
        with pytest.warns(OrderWarning, match=says):
            Stimuli(**images, **given).check()
    for given in ({"triplets": tmp_path / "name.txt"}, {"similarity": tmp_path / "matrix.csv"}):
        Stimuli(**images, **given).check()


@pytest.mark.parametrize("names", [["a1", "a2", "a9"], ["a01", "a02", "a10"], ["b", "a", "a2"]])
def test_where_names_have_one_order_numbers_pass(tmp_path: Path, names: list[str]) -> None:
    (tmp_path / "triplets.txt").write_text("0 1 2\n", encoding="utf-8")
    assert files.read_triplets(tmp_path / "triplets.txt", names).tolist() == [[0, 1, 2]]


def distances(n: int) -> np.ndarray:
    points = np.random.default_rng(0).normal(size=(n, 3))
    return np.linalg.norm(points[:, None] - points, axis=-1)


@pytest.mark.parametrize("n_people", [None, 1, 3])
def test_distances_that_are_given_as_similarities_are_pointed_out(
    tmp_path: Path, n_people: int | None
) -> None:
    matrix = distances(4) if n_people is None else np.stack([distances(4)] * n_people)
    np.save(tmp_path / "matrix.npy", matrix)
    with pytest.warns(DissimilarityWarning, match=r"less like itself \(0 at most\) .* negative"):
        files.read_similarity(tmp_path / "matrix.npy", NAMES)
    pd.DataFrame(distances(4), NAMES, NAMES).to_csv(tmp_path / "matrix.csv")
    with pytest.warns(DissimilarityWarning):
        files.read_similarity(tmp_path / "matrix.csv", NAMES)


def with_an_empty_diagonal(matrix: np.ndarray) -> np.ndarray:
    return np.where(np.eye(len(matrix), dtype=bool), np.nan, matrix)


@pytest.mark.parametrize(
    "matrix",
    [
        -distances(4),
        distances(4).max() - distances(4),
        np.ones((4, 4)),
        np.zeros((4, 4)),
        np.array([[0, 3, 0, 1], [3, 0, 2, 0], [0, 2, 0, 4], [1, 0, 4, 0]]),  # counts
        with_an_empty_diagonal(distances(4)),
    ],
)
def test_what_may_be_similarities_is_read_without_a_word(
    tmp_path: Path, matrix: np.ndarray
) -> None:
    np.save(tmp_path / "matrix.npy", matrix)
    found = files.read_similarity(tmp_path / "matrix.npy", NAMES)[0]
    off_diagonal = ~np.eye(4, dtype=bool)
    np.testing.assert_array_equal(found[off_diagonal], matrix[off_diagonal])
    assert np.isfinite(found).all()


TABLE = [[1, 0.25, 0.5], [0.25, 1, 0.75], [0.5, 0.75, 1]]
TABLES = {
    "commas": ",ant,bee,cup\nant,1,.25,0.5\nbee,0.25,1,+7.5e-1\ncup,0.5,0.75,1\n",
    "semicolons": ";ant;bee;cup\nant;1;0,25;0,5\nbee;0,25;1;0,75\ncup;0,5;0,75;1\n",
    "points": ";ant;bee;cup\nant;1;0.25;0.5\nbee;0.25;1;0.75\ncup;0.5;0.75;1\n",
    "tabs": "\tant\tbee\tcup\nant\t1\t0,25\t0,5\nbee\t0,25\t1\t0,75\ncup\t0,5\t0,75\t1\n",
    "R": '"ant" "bee" "cup"\n"ant" 1 0.25 0.5\n"bee" 0.25 1 0.75\n"cup" 0.5 0.75 1\n',
    "quotes": '"","ant","bee","cup"\n"ant","1","0.25","0.5"\n"bee",0.25,1,0.75\ncup,0.5,0.75,1\n',
    "trailing": ",ant,bee,cup,\nant,1,0.25,0.5,\nbee,0.25,1,0.75,\ncup,0.5,0.75,1,\n,,,,\n",
    "corner": "name,ant,bee,cup\nant,1,0.25,0.5\nbee,0.25,1,0.75\ncup,0.5,0.75,1",
    "no diagonal": ",ant,bee,cup\nant,,0.25,0.5\nbee,0.25,NA,0.75\ncup,0.5,0.75,\n",
    "blank lines": "\n,ant, bee, cup\n\nant, 1, 0.25, 0.5\nbee, 0.25, 1, 0.75\ncup,0.5,0.75,1\n",
}


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("name", TABLES)
def test_a_table_may_have_any_usual_separators_and_decimals(
    tmp_path: Path, name: str, encoding: str, ends: str
) -> None:
    path = tmp_path / "matrix.csv"
    path.write_bytes(TABLES[name].replace("\n", ends).encode(encoding))
    found = files.read_similarity(path, ["ant", "bee", "cup"])[0]
    off_diagonal = ~np.eye(3, dtype=bool)
    np.testing.assert_array_equal(found[off_diagonal], np.array(TABLE)[off_diagonal])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            ",ant,bee\nant,1,0,25\nbee,0,25,1\n",
            "'' is no concept; .* decimals have commas, by semicolons",
        ),
        (',ant,bee\nant,1,"0,25"\nbee,"0,25",1\n', "'0,25' is no number; give decimals a point"),
        (";ant;bee\nant;1;0,25\nbee;0.25;1\n", "'0,25' is no number; give decimals a point"),
        (";ant;bee\nant;1.000;1.234,5\nbee;1.234,5;1\n", "'1.234,5' is no number"),
        (",ant,bee\nant,1,1_000\nbee,1_000,1\n", "'1_000' is no number"),
        (",ant,bee\nant,1,0x1\nbee,0x1,1\n", "'0x1' is no number"),
        (",ant,bee\nant,1,yes\nbee,yes,1\n", "'yes' is no number"),
        (",ant,bee\nant,1,1-2\nbee,1-2,1\n", "'1-2' is no number"),
        (",ant,ant\nant,1,2\nbee,2,1\n", "two columns are called 'ant'"),
        (",ant,bee\nant,1,2\nant,2,1\n", "two rows are called 'ant'"),
        (",ant,bee\nant,1,2\nbee\n", "lacks the similarity of 'bee' and 'ant'"),
        ("|ant|bee\nant|1|2\nbee|2|1\n", "is no concept; .* separated by commas, semicolons"),
        ("1,2\n2,1\n", "is no concept; give names such as 'ant', in a header and a first column"),
        (",ant,bee\nant,1,\nbee,,1\n", "lacks the similarity of 'ant' and 'bee'"),
        (",ant,bee\n", "lacks the similarity of 'ant' and 'bee'"),
        ("", "it is empty"),
        ("\n\n", "it is empty"),
    ],
)
def test_a_mistake_in_a_table_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "matrix.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=message) as error:
        files.read_similarity(path, ["ant", "bee"])
    assert "matrix.csv" in str(error.value)
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize(
    "matrix",
    [np.eye(4, dtype=complex), np.full((4, 4), "1"), np.zeros((4, 4), dtype="datetime64[s]")],
)
def test_an_array_of_something_else_than_numbers_is_named(
    tmp_path: Path, matrix: np.ndarray
) -> None:
    np.save(tmp_path / "matrix.npy", matrix)
    with pytest.raises(
        ValueError, match=r"matrix\.npy' cannot be read as sim.*; give (real )?numbers"
    ):
        files.read_similarity(tmp_path / "matrix.npy", NAMES)


def test_an_archive_of_arrays_is_no_array(tmp_path: Path) -> None:
    np.savez(tmp_path / "matrix.npz", np.eye(4))
    for name in ("matrix.npy", "matrix.npz"):
        if name == "matrix.npy":
            (tmp_path / name).write_bytes((tmp_path / "matrix.npz").read_bytes())
        with pytest.raises(ValueError, match=f"{name}' cannot be read as similarities"):
            files.read_similarity(tmp_path / name, NAMES)


def test_judgments_depend_on_how_the_file_is_read_and_on_what_is_drawn(
    images: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("0 1 2\n", encoding="utf-8")
    given = {"kind": "folder", "images": images}
    settings = [
        Stimuli(**given, triplets=tmp_path / "file"),
        Stimuli(**given, similarity=tmp_path / "file"),
        Stimuli(**given, similarity=tmp_path / "file", seed=1),
        Stimuli(**given, similarity=tmp_path / "file", n_triplets=200),
    ]
    found = [json.dumps(some.judgments_depend_on()) for some in settings]
    assert len(set(found)) == len(settings)


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
    with pytest.raises(
        ValueError, match=r"'0' is no concept; give three a line, by names such as '1'$"
    ):
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
            Stimuli(kind="folder", images=tmp_path, **given)

"""Letters in 28 typefaces of three scripts, and which of three people find odd.

Reference images are letters as people saw them, each in its typeface; those of the Latin typefaces
come, jittered, as test images, too. Models are trained on other faces. A concept is a letter,
whatever its typeface; where transforms are judged, typefaces are held out.
"""

import hashlib
import string
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import pandas as pd
from pydantic import Field

from convexlib import data, store
from convexlib.data import corruptions, downloads, files, lettering
from convexlib.data.downloads import Source

_COMMIT = "390eab6521cbc7b7a07ae503e94a85e4eba59f17"
_REPOSITORY = "MrBrezina/context-sensitive-visual-similarity"

CHOICES = Source(
    "letters/raw-data-preprocessed.csv",
    f"https://raw.githubusercontent.com/{_REPOSITORY}/{_COMMIT}/data/csv/raw-data-preprocessed.csv",
    "CC BY 4.0.",
    "brezina2025",
    "81f22f9050be2b06bc78158f96f52cd9842d2f3d2f13e2379c665f248cdd5c31",
    megabytes=3.8,
)
DRAWINGS = Source(
    "letters/drawings.zip",
    f"https://codeload.github.com/{_REPOSITORY}/zip/{_COMMIT}",
    "CC BY 4.0.",
    "brezina2025",
    unpack="letters/website",
    inside=f"{_REPOSITORY.partition('/')[2]}-{_COMMIT}",
)
RATINGS = Source(
    "letters/simMatrix_English_upper.csv",
    "https://raw.githubusercontent.com/nivlab/RobotFactory/"
    "50e3f908b64af4bc1842cc3de4110d40c8721b03/study02/design/similarity/simMatrix_English_upper.csv",
    "CC BY-NC-SA.",
    "simpson2013",
    "6ebd3129c44e28c1c63efee4538847b54ac4f56b9ffc699be5f616754b69619b",
    megabytes=0.0031,
)

_DRAWN = "cf4d1c2a5b3076100e8bbeb89438b2555f5d03a2a495e5a8d1df7eebcfcac525"
"""SHA-256 of all drawings, each after its name: a server packs an archive anew for everyone."""

SCRIPTS = ("latin", "cyrillic", "devanagari")
CAPITALS = "capitals"
"""The set of ratings: Simpson et al. (2013)."""

GROUPS = ("aszx", "eoc", "rvw", "nmu", "dhkb", "tilf", "gpqjy")
"""Bouma's groups of letters that look alike (1971)."""

CHARACTERS = string.ascii_lowercase + string.ascii_uppercase + string.digits

VALIDATION = ("Caladea-Regular", "Caladea-Bold", "DejaVuSans", "DejaVuSans-Bold")
VALIDATION += ("DejaVuSansMono", "DejaVuSansMono-Bold")
"""Faces by which settings are fixed: with serifs, without, and of one width."""

CAPITALS_FACE = "Caladea-Regular"
"""In which the rated capitals are shown, since it is not known which one the raters saw."""

OTHER_SCRIPTS = {
    "Greek letters": "αβγδεζηθικλμνξοπρστυφχψω",
    "Cyrillic letters": "абвгдежзийклмнопрстуфхцчшщъыьэюя",
    "digits": string.digits,
}
"""Characters by which it is told whether a space helps with others than it was trained on."""

SHIFTS = {"bold": {"weight": 1.0}, "slanted": {"slant": 0.4}, "faint": {"contrast": 0.15}}
"""Letters beyond the jitter of those that models are trained on."""

IMAGE_SIZE = 32
"""Height and width of every image, in pixels."""


class Stimuli(data.Stimuli):
    """How many jittered images to draw of each character in each face, and from which seed.

    `typefaces` takes the first so many of each script, and `faces` of those to train on; by default
    all there are.
    """

    CONCEPT: ClassVar = "letter"
    WORDS: ClassVar = {
        "concept": "letter",
        "concepts": "letters",
        "category": "group of shapes",
        "categories": "groups of shapes",
        "units": "typefaces",
    }
    SOURCES: ClassVar = (CHOICES, DRAWINGS, RATINGS)
    TRAINS: ClassVar = True
    REPEATED: ClassVar = True
    TASKS: ClassVar = True
    FEATURES: ClassVar = False
    DATA: ClassVar = "characters of other typefaces"

    kind: Literal["letters"]
    train_per_character: int = Field(ge=1)
    validation_per_character: int = Field(ge=1)
    test_per_letter: int = Field(ge=1)
    typefaces: int | None = Field(None, ge=2)
    faces: int | None = Field(None, ge=1)

    @property
    def extent(self) -> tuple[int, int]:
        n_typefaces = self.typefaces or 12
        return len(string.ascii_lowercase), n_typefaces * self.test_per_letter

    @property
    def n_sets(self) -> int:
        return len(SCRIPTS) + 1

    def splits(self) -> dict[str, tuple[np.ndarray, pd.DataFrame]]:
        """Each split has faces of its own, and is drawn from its own random stream."""
        others = {name: path for name, path in lettering.faces().items() if name not in VALIDATION}
        others = dict([*others.items()][: self.faces])
        known = {name: lettering.faces()[name] for name in VALIDATION}
        of_split = {
            "train": (_glyphs(others), self.train_per_character),
            "validation": (_glyphs(known), self.validation_per_character),
            "test": (self._latin(), self.test_per_letter),
        }
        drawn = {
            name: _jittered(letters, n, [self.seed, stream])
            for stream, (name, (letters, n)) in enumerate(of_split.items())
        }
        plain = {"undistorted": self._latin(), "reference": self._judged()}
        return drawn | {name: _plain(letters) for name, letters in plain.items()}

    def tasks(self) -> dict[str, tuple[np.ndarray, pd.DataFrame]]:
        """Characters of other scripts, shifted letters, and what they were jittered by.

        Few-shot classes are Greek and Cyrillic letters whose outlines no Latin one has, and digits,
        which ViT is trained to name in other faces. A probe learns letters of faces that were not
        trained on, and is tried in others of these, in the judged typefaces, and on letters of
        these that are shifted beyond what any model was trained on.
        """
        known = {name: lettering.faces()[name] for name in VALIDATION}
        of_scripts = {n: path for n, path in known.items() if n.startswith("DejaVu")}
        drawn = []
        for name, characters in OTHER_SCRIPTS.items():
            new = [c for c in characters if name == "digits" or _is_no_latin(c, of_scripts)]
            drawn.append(_glyphs(of_scripts, new).assign(task=name))
        characters = pd.concat(drawn, ignore_index=True)
        images, labels = _jittered(characters, 5, [self.seed, 5])
        named = {task: labels["character"].where(labels["task"] == task) for task in OTHER_SCRIPTS}
        small, judged = _glyphs(known, string.ascii_lowercase), self._latin()
        sets = {
            "none": _jittered(small, 2, [self.seed, 6]),
            "other images": _jittered(small, 2, [self.seed, 7]),
            "other typefaces": _jittered(judged, 1, [self.seed, 8]),
        }
        plain = sets["other typefaces"]
        sets |= {
            name: _jittered(judged, 1, [self.seed, 8], **beyond) for name, beyond in SHIFTS.items()
        }
        sets |= {name: (shift(plain[0]), plain[1]) for name, shift in corruptions.SHIFTS.items()}
        factors = ["letter", "typeface", "x", "y", "size", "slant", "weight", "contrast"]
        of_factors = _jittered(judged, 2, [self.seed, 9])
        return {
            "few_shot": (images, pd.DataFrame(named)),
            "shift": corruptions.joined(sets, "letter"),
            "factors": (of_factors[0], of_factors[1][factors]),
        }

    def images_depend_on(self) -> dict[str, Any]:
        faces = store.of_files(lettering.faces().values())
        return {"drawings": _DRAWN, "faces": faces, **self.model_dump(mode="json")}

    def judgments_depend_on(self) -> dict[str, Any]:
        published = {source.path: source.sha256 for source in (CHOICES, RATINGS)}
        return {"published": published, "typefaces": self.typefaces, "seed": self.seed}

    def human(self, of_test: pd.DataFrame, of_reference: pd.DataFrame) -> data.Human:
        """Choices in three scripts, a set each, and ratings of capitals.

        Where transforms are judged, a fold holds out typefaces: no typeface of a triplet to test is
        in one that a transform was fitted to. Letters recur in other typefaces.
        """
        from convexlib.alignment import noise_ceiling, triplets_from_similarity

        keys = ["script", "typeface", "character"]
        place = pd.MultiIndex.from_frame(of_reference[keys])
        sets = {}
        for script in SCRIPTS:
            chosen = self._choices(script)
            triplets = _rows(chosen, place)
            sets[script.capitalize()] = data.Judgments(
                triplets,
                ceiling=noise_ceiling(triplets),
                judges=pd.Index(people()["sitting"]).get_indexer(chosen["sitting"]),
            )
        rated = place.get_indexer([(CAPITALS, CAPITALS_FACE, c) for c in string.ascii_uppercase])
        triplets = triplets_from_similarity(ratings())
        by_rating = data.Judgments(triplets, ratings(), method=data.RATED)
        sets[CAPITALS.capitalize()] = by_rating.among(rated, len(of_reference))
        group = {letter: shapes for shapes in GROUPS for letter in shapes}
        return data.Human(
            names=[" ".join(row) for row in of_reference[keys].itertuples(index=False)],
            shown=place.get_indexer(pd.MultiIndex.from_frame(of_test[keys])),
            categories=pd.get_dummies(of_test["character"].map(group), dtype=bool),
            sets=sets,
            concepts=of_reference[self.CONCEPT].tolist(),
            groups=of_reference["typeface"].tolist(),
            people=people().drop(columns="sitting"),
        )

    def _typefaces(self, script: str) -> list[str]:
        of_script = choices().query("script == @script")["typeface"]
        return sorted(of_script.unique())[: self.typefaces]

    def _choices(self, script: str) -> pd.DataFrame:
        chosen = choices().query("script == @script")
        return chosen[chosen["typeface"].isin(self._typefaces(script))]

    def _latin(self) -> pd.DataFrame:
        """All letters of the judged Latin typefaces."""
        rows = [
            ("latin", typeface, letter, letter)
            for typeface in self._typefaces("latin")
            for letter in string.ascii_lowercase
        ]
        return _of_drawings(rows)

    def _judged(self) -> pd.DataFrame:
        """Letters that people judged, and the other Latin ones of their typefaces."""
        others = choices().melt(["script", "typeface"], ["first", "second", "odd"])
        others = others[["script", "typeface", "value"]].drop_duplicates().sort_values(["value"])
        rows = [
            (script, typeface, letter, f"{script} {letter}")
            for script in SCRIPTS[1:]
            for typeface in self._typefaces(script)
            for letter in others.query("script == @script and typeface == @typeface")["value"]
        ]
        capitals = _glyphs({CAPITALS_FACE: lettering.faces()[CAPITALS_FACE]})
        capitals = capitals[capitals["character"].str.isupper()].assign(script=CAPITALS)
        return pd.concat([self._latin(), _of_drawings(rows), capitals], ignore_index=True)


@cache
def choices() -> pd.DataFrame:
    """All choices; see `lettering.read_choices`."""
    return lettering.read_choices(downloads.find(CHOICES))


@cache
def people() -> pd.DataFrame:
    """Who sat down to judge, one row a sitting: its number, and what was asked."""
    columns = ["sitting", *lettering.ASKED.values()]
    return choices()[columns].drop_duplicates("sitting", ignore_index=True)


def _rows(chosen: pd.DataFrame, place: pd.MultiIndex) -> np.ndarray:
    """Choices as rows of the reference images, (n, 3)."""
    columns = [
        place.get_indexer(pd.MultiIndex.from_frame(chosen[["script", "typeface", name]]))
        for name in ("first", "second", "odd")
    ]
    return np.stack(columns, axis=1)


@cache
def ratings() -> np.ndarray:
    """How similar people found capital letters, float64 (26, 26), from 1 to 7.

    References
    ----------
    Simpson, Mousikou, Montoya & Defior (2013), *A letter visual-similarity matrix for Latin-based
    alphabets*, Behavior Research Methods 45.
    """
    path = downloads.find(RATINGS)
    with files.readable(path, "ratings"):
        table = pd.read_csv(path, index_col=0, encoding="utf-8-sig")
    if [*table.index] != [*table.columns] or [*table.index] != [*string.ascii_uppercase]:
        raise ValueError(f"{str(path)!r} is no table of the 26 capitals by themselves")
    return np.where(np.eye(len(table), dtype=bool), 7.0, table.to_numpy(float))


@cache
def drawings() -> Path:
    """The folder of the drawings, a folder a script.

    Raises
    ------
    ValueError
        If it is not there, or drawings are not those that were published.
    """
    folder, found = downloads.find(DRAWINGS), hashlib.sha256()
    with files.readable(folder, "drawings"):
        for name in sorted(p.relative_to(folder).as_posix() for p in folder.glob("*/*/*.svg")):
            if name.startswith(SCRIPTS):
                found.update(name.encode() + (folder / name).read_bytes())
    if found.hexdigest() != _DRAWN:
        raise ValueError(
            f"{str(folder)!r} does not hold the published drawings, but others, more or fewer; "
            "remove it and run `convexlib fetch letters`"
        )
    return folder


def _of_drawings(rows: list[tuple[str, str, str, str]]) -> pd.DataFrame:
    """Script, typeface, character and letter, and the outline of each."""
    table = pd.DataFrame(rows, columns=["script", "typeface", "character", "letter"])
    paths = [lettering.drawing(drawings(), *row[:3]) for row in rows]
    return table.assign(outline=[lettering.outline(path) for path in paths])


def _is_no_latin(character: str, faces: dict[str, Path]) -> bool:
    """Whether no Latin letter looks the same in any of these faces."""
    for path in faces.values():
        vertices, _ = lettering.glyph(path, character)
        for letter in string.ascii_letters:
            other, _ = lettering.glyph(path, letter)
            if vertices.shape == other.shape and np.allclose(vertices, other, atol=0.5):
                return False
    return True


def _glyphs(faces: dict[str, Path], characters: Iterable[str] = CHARACTERS) -> pd.DataFrame:
    """Characters in faces, as `_of_drawings`; `letter` names small ones alone."""
    rows = [
        ("latin", name, c, c if c.islower() else None, lettering.glyph(path, c))
        for name, path in faces.items()
        for c in characters
    ]
    return pd.DataFrame(rows, columns=["script", "typeface", "character", "letter", "outline"])


def _plain(letters: pd.DataFrame) -> tuple[np.ndarray, pd.DataFrame]:
    """Black on white, as people saw them."""
    ink = [lettering.render(*outline, IMAGE_SIZE) for outline in letters["outline"]]
    labels = letters.drop(columns="outline")
    named = labels["letter"].where(labels["letter"].notna(), labels["character"])
    return _as_images(1 - np.stack(ink)), labels.assign(letter=named)


def _jittered(
    letters: pd.DataFrame, n_each: int, seed: list[int], **fixed: float
) -> tuple[np.ndarray, pd.DataFrame]:
    """Several images of each letter, that differ in place, size, slant, weight and contrast.

    Of those that are `fixed`, all have the one value.
    """
    rng = np.random.default_rng(seed)
    letters = letters.loc[letters.index.repeat(n_each)].reset_index(drop=True)
    n = len(letters)
    labels = letters.drop(columns="outline").assign(
        x=rng.uniform(-1, 1, n),  # pixels
        y=rng.uniform(-1, 1, n),
        size=np.exp(rng.uniform(-0.1, 0.1, n)),
        slant=rng.uniform(-0.1, 0.1, n),
        weight=rng.uniform(-0.1, 0.2, n),  # pixels
        paper=rng.uniform(0.7, 1.0, n),
        contrast=rng.uniform(0.5, 1.0, n),  # of ink, as a share of the paper
        noise=rng.uniform(0.0, 0.04, n),
    )
    labels = labels.assign(**fixed)
    images = np.empty((n, IMAGE_SIZE, IMAGE_SIZE), dtype=np.float32)
    outlines = letters["outline"]
    for image, (vertices, codes), of in zip(images, outlines, labels.itertuples(), strict=True):
        moved = _moved(vertices, of.size, of.slant, np.array([of.x, of.y]))
        ink = lettering.render(moved, codes, IMAGE_SIZE, weight=of.weight)
        image[:] = of.paper * (1 - of.contrast * ink)
        image += of.noise * rng.standard_normal(image.shape, dtype=np.float32)
    return _as_images(images), labels


def _moved(vertices: np.ndarray, size: float, slant: float, by: np.ndarray) -> np.ndarray:
    """An outline that is slanted and scaled about the middle of a letter x, and moved by pixels."""
    middle = np.array([lettering.MIDDLE, lettering.BASELINE - lettering.X_HEIGHT / 2])
    shear = np.array([[1, 0], [-slant, 1]])
    pixel = lettering.VIEW / IMAGE_SIZE
    return middle + size * (vertices - middle) @ shear + pixel * by


def _as_images(grey: np.ndarray) -> np.ndarray:
    """Greys in [0, 1] as uint8 (n, height, width, 3)."""
    levels = np.rint(255 * np.clip(grey, 0, 1)).astype(np.uint8)
    return np.repeat(levels[..., None], 3, axis=-1)

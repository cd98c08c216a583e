"""Outlines of letters: the drawings that people judged, and glyphs of faces that they did not.

An outline is vertices, (n, 2), and codes, those of `matplotlib.path.Path`. Its unit is a 250th of
the square that people saw, y points downwards, and a letter stands on the line `BASELINE`.
"""

import re
from ast import literal_eval
from functools import cache
from importlib.resources import files as files_of
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from convexlib.data import files

VIEW = 250
"""Width and height of what people saw, in units of an outline."""

BASELINE, X_HEIGHT, MIDDLE = 169.0, 86.0, 125.0
"""Of the Latin drawings: their line, the height of x (83.5 to 87.3), the middle of an advance."""

FACES = {
    "matplotlib": "DejaVuSans DejaVuSans-Bold DejaVuSansMono DejaVuSansMono-Bold DejaVuSerif "
    "DejaVuSerif-Bold STIXGeneral STIXGeneralBol cmb10 cmr10 cmss10 cmtt10",
    "font_caladea": "Caladea-Bold Caladea-Regular",
    "font_fjallaone": "FjallaOne-Regular",
    "font_hanken_grotesk": "HankenGrotesk-Bold HankenGrotesk-Light HankenGrotesk-Medium "
    "HankenGrotesk-Regular HankenGrotesk-SemiBold",
    "font_lato": "Lato-Black Lato-Bold Lato-Light Lato-Regular Lato-Thin",
    "font_manrope": "Manrope-Bold Manrope-ExtraBold Manrope-ExtraLight Manrope-Light "
    "Manrope-Medium Manrope-Regular Manrope-SemiBold",
    "font_rhd": "RedHatDisplay-Black RedHatDisplay-Bold RedHatDisplay-ExtraBold "
    "RedHatDisplay-Light RedHatDisplay-Medium RedHatDisplay-Regular RedHatDisplay-SemiBold",
    "font_roboto": "Roboto-Black Roboto-Bold Roboto-Light Roboto-Medium Roboto-Regular Roboto-Thin",
    "font_source_sans_pro": "SourceSansPro-Black SourceSansPro-Bold SourceSansPro-ExtraLight "
    "SourceSansPro-Light SourceSansPro-Regular SourceSansPro-Semibold",
    "font_source_serif_pro": "SourceSerifPro-Black SourceSerifPro-Bold SourceSerifPro-ExtraLight "
    "SourceSerifPro-Light SourceSerifPro-Regular SourceSerifPro-Semibold",
}
"""Upright faces of packages from registries, none of them judged; in matplotlib's, its own."""

N_JUDGED = 8
"""Letters of a typeface that were judged, in all 56 threes."""

ASKED = {
    "age": "age",
    "design skills": "design_skills",
    "native in script": "native",
    "fluent in script": "fluent",
    "reading skills": "reading_skills",
}
"""What people were asked about themselves, and what it is called here."""
_PREFIX = re.compile(r"^\w+\.")  # of a letter, that of its script, as in "latn.b"
_PATH = re.compile(r"<path\b[^>]*?\bd=\"([^\"]+)\"")
_USE = re.compile(r"<use\b[^>]*>")


def read_choices(path: Path) -> pd.DataFrame:
    """All choices, one a row.

    Parameters
    ----------
    path : Path
        The published table: a row a sitting, below three rows that say of which script, typeface
        and three letters a column is; in a cell stands the letter that was found odd.

    Returns
    -------
    DataFrame
        Columns script, typeface, first, second, odd (letters by name; the odd one is that), sitting
        (its number), and what is known of who judged: age, design_skills, native, fluent,
        reading_skills.

    Raises
    ------
    ValueError
        If a sitting has no choice, or a choice is none of its three.

    References
    ----------
    Březina (2025), *Contextual visual similarity*.
    """
    with files.readable(path, "choices"):
        table = pd.read_csv(path, header=[0, 1, 2], index_col=0, dtype=str, encoding="utf-8")
        people = table["control"]["control"]
        table = table.drop(columns="control", level=0)
        cells = table.to_numpy()
        sitting, column = np.nonzero(table.notna())
        if silent := np.setdiff1d(np.arange(len(table)), sitting).tolist():
            raise ValueError(f"sitting {table.index[silent[0]]} has no choice; leave it out")
        threes = np.array([literal_eval(three) for *_, three in table.columns])[column]
        odd = cells[sitting, column].astype(str)
        is_odd = threes == odd[:, None]
        if (wrong := is_odd.sum(axis=1) != 1).any():
            row = int(np.argmax(wrong))
            raise ValueError(
                f"sitting {table.index[sitting[row]]} has the choice {str(odd[row])!r}, which is "
                f"none of {threes[row].tolist()}"
            )
    first, second = threes[~is_odd].reshape(-1, 2).T
    found = {"script": 0, "typeface": 1}
    found = {name: table.columns.get_level_values(n)[column] for name, n in found.items()}
    for name, letters in {"first": first, "second": second, "odd": odd}.items():
        found[name] = pd.Series(letters).str.replace(_PREFIX, "", regex=True)
    found["sitting"] = table.index[sitting]
    return pd.DataFrame(found).join(people[list(ASKED)].rename(columns=ASKED), on="sitting")


def drawing(folder: Path, script: str, typeface: str, letter: str) -> Path:
    """Where the drawing of a letter lies.

    Raises
    ------
    ValueError
        If it is not there.
    """
    path = folder / script / "characters" / f"{typeface}_{script}_{letter.lower()}.svg"
    if not path.is_file():
        raise ValueError(f"there is no drawing {str(path)!r}, of {letter!r} in {typeface!r}")
    return path


@cache
def outline(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """The outline of a drawing.

    Raises
    ------
    ValueError
        If the drawing has no path, or not one place for it.
    """
    from fontTools.pens.recordingPen import DecomposingRecordingPen
    from fontTools.svgLib.path import parse_path

    with files.readable(path, "a drawing"):
        text = path.read_text(encoding="utf-8")
    shapes, places = _PATH.findall(text), _USE.findall(text)
    if len(shapes) != 1 or len(places) != 1:
        raise ValueError(
            f"{str(path)!r} has {len(shapes)} paths and {len(places)} places; give one of each"
        )
    x, y = (float(_attribute(places[0], name)) for name in "xy")
    pen = DecomposingRecordingPen({})
    parse_path(shapes[0], pen)
    vertices, codes = _as_path(pen.value)
    return vertices + np.array([x, y]), codes


def _attribute(element: str, name: str) -> str:
    found = re.search(rf"\b{name}=\"([^\"]+)\"", element)
    return found[1] if found else "0"


def _as_path(drawn: list) -> tuple[np.ndarray, np.ndarray]:
    from matplotlib.path import Path as Outline

    curves = {"lineTo": Outline.LINETO, "qCurveTo": Outline.CURVE3, "curveTo": Outline.CURVE4}
    vertices: list[tuple[float, float]] = []
    codes: list[int] = []
    for command, points in drawn:
        if command in ("closePath", "endPath"):
            vertices.append(vertices[-1])
            codes.append(Outline.CLOSEPOLY)
        elif command == "moveTo":
            vertices += points
            codes.append(Outline.MOVETO)
        else:
            vertices += points
            codes += [curves[command]] * len(points)
    return np.array(vertices), np.array(codes, dtype=np.uint8)


def faces() -> dict[str, Path]:
    """Files of the faces that no one judged, by name.

    Raises
    ------
    ValueError
        If one is not installed.
    """
    from matplotlib import get_data_path

    found = {}
    for package, names in FACES.items():
        for name in names.split():
            if package == "matplotlib":
                folder = Path(get_data_path(), "fonts", "ttf")
            else:
                try:
                    folder = Path(str(files_of(package) / "files"))
                except ModuleNotFoundError as error:
                    raise ValueError(
                        f"{package} is not installed; install convexlib anew"
                    ) from error
            found[name] = next(iter(sorted(folder.glob(f"{name}.?tf"), reverse=True)))
    return found


@cache
def glyph(path: Path, character: str) -> tuple[np.ndarray, np.ndarray]:
    """The outline of a character in a face, as large and where the Latin drawings have it.

    Raises
    ------
    ValueError
        If the face does not have it.
    """
    font, scale = _face(path)
    if not font.get_char_index(ord(character)):
        raise ValueError(f"{path.name} has no {character!r}; leave the face out")
    vertices, codes, width = _unscaled(font, character)
    start = MIDDLE - scale * width / 2
    return np.array([start, BASELINE]) + scale * np.array([1, -1]) * vertices, codes


@cache
def _face(path: Path) -> tuple[Any, float]:
    """A face, and by how much to scale its outlines."""
    from matplotlib.ft2font import FT2Font

    font = FT2Font(path)
    vertices, *_ = _unscaled(font, "x")
    return font, X_HEIGHT / vertices[:, 1].max()


def _unscaled(font: Any, character: str) -> tuple[np.ndarray, np.ndarray, float]:
    """Vertices in units of the font, y upwards, their codes, and the advance."""
    from matplotlib.ft2font import LoadFlags

    loaded = font.load_char(ord(character), flags=LoadFlags.NO_SCALE)
    return *font.get_path(), loaded.horiAdvance / 64  # as it divides the vertices


def render(
    vertices: np.ndarray, codes: np.ndarray, size: int, *, weight: float = 0.0
) -> np.ndarray:
    """Ink of an outline in a square image: float32 (size, size), 1 where all of a pixel is covered.

    Parameters
    ----------
    vertices, codes : ndarray
        An outline; what lies beyond the view is cut off.
    size : int
        Width and height of the image, in pixels; that of the view is `VIEW`.
    weight : float, default=0
        By how many pixels the shape grows on each side, or shrinks, below zero.
    """
    ink = _drawn(vertices, codes, size, fill=True)
    if weight == 0:
        return ink
    edge = _drawn(vertices, codes, size, width=2 * abs(weight))
    return np.maximum(ink, edge) if weight > 0 else np.minimum(ink, 1 - edge)


def _drawn(
    vertices: np.ndarray, codes: np.ndarray, size: int, *, fill: bool = False, width: float = 0.0
) -> np.ndarray:
    from matplotlib.backends.backend_agg import RendererAgg
    from matplotlib.path import Path as Outline
    from matplotlib.transforms import Affine2D

    renderer = RendererAgg(size, size, 72)
    context = renderer.new_gc()
    context.set_linewidth(width)
    context.set_snap(False)  # or straight strokes would be moved to whole pixels, or vanish
    shape = Outline(vertices * [1, -1], codes)
    place = Affine2D().scale(size / VIEW).translate(0, size)
    renderer.draw_path(context, shape, place, (0.0, 0.0, 0.0, 1.0) if fill else None)
    return np.asarray(renderer.buffer_rgba())[:, :, 3].astype(np.float32) / 255

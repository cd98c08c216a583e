"""Files of the letters study: odd-one-out choices of people, and the drawings that they saw."""

import re
from ast import literal_eval
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from convexlib.data import files

VIEW = 250
"""Width and height of a drawing, in its own units."""

N_JUDGED = 8
"""Letters of a typeface that were judged, in all 56 threes."""

_ABOUT = {
    "age": "age",
    "design skills": "design_skills",
    "native in script": "native",
    "fluent in script": "fluent",
    "reading skills": "reading_skills",
}
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
    return pd.DataFrame(found).join(people[list(_ABOUT)].rename(columns=_ABOUT), on="sitting")


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
    """The outline of a drawing: vertices, (n, 2) in units of the view, y downwards, and codes.

    Codes are those of `matplotlib.path.Path`.

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


def render(vertices: np.ndarray, codes: np.ndarray, size: int) -> np.ndarray:
    """Ink of an outline in a square image: float32 (size, size), 1 where all of a pixel is covered.

    Parameters
    ----------
    vertices, codes : ndarray
        As `outline` gives them; what lies beyond the view is cut off.
    size : int
        Width and height of the image, in pixels; that of the view is `VIEW`.
    """
    from matplotlib.backends.backend_agg import RendererAgg
    from matplotlib.path import Path as Outline
    from matplotlib.transforms import Affine2D

    renderer = RendererAgg(size, size, 72)
    context = renderer.new_gc()
    context.set_linewidth(0)
    scale = size / VIEW
    shape = Outline(vertices * [1, -1], codes)
    place = Affine2D().scale(scale).translate(0, size)
    renderer.draw_path(context, shape, place, (0.0, 0.0, 0.0, 1.0))
    return np.asarray(renderer.buffer_rgba())[:, :, 3].astype(np.float32) / 255

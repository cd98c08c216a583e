"""Tidy tables to figures: one function a kind of figure. Nothing is loaded or computed here.

What measures and families are called, and how they look, is told by `set_style` once a page. A
family has one colour on the whole page, a size one marker, a variant one line and one filling.
Tables bring the intervals that are drawn. Each figure is drawn for the width of a page, and, when a
page shows it, again for a phone; it brings the words that say what is seen on it.
"""

import base64
import json
import re
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial, wraps
from html import escape
from io import BytesIO, StringIO
from itertools import product
from pathlib import Path
from textwrap import wrap
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from IPython import get_ipython
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.offsetbox import AnnotationBbox, OffsetImage
from matplotlib_inline.backend_inline import set_matplotlib_formats
from PIL import Image
from scipy.optimize import isotonic_regression

WIDTH = 6.8  # inches, of every figure on a page
PHONE = 3.5  # and on a phone

_MOST_LABELS = 9  # lines of a facet that carry their names themselves
_LONGEST_LABEL = 24  # characters
_SMALL = 64  # pixels on a side, of pictures that are shown pixel by pixel
_NARROW_NAME = 16  # characters of the name of a row, on a phone
_LINE = 11.0  # points, from one name of a line to the next

_style: dict[str, Any] = {"labels": {}, "limits": {}, "chance": {}, "families": {}}
_style |= {"levels": {}, "ceilings": {}, "words": {}}
_met: dict[str, list[Hashable]] = {}  # levels of a column, in the order of their looks
_page = {"width": WIDTH}

_PLAIN = {"color": "k", "linestyle": "-", "marker": "o", "markerfacecolor": "auto"}
_LOOKS = {
    "_hue": [{"color": "k"}],  # set_style knows the others
    "_style": [
        {"linestyle": "--", "markerfacecolor": "white"},
        {"linestyle": "-"},
        {"linestyle": ":", "markerfacecolor": "0.7", "marker": "s"},
        {"linestyle": "-.", "marker": "D"},
        {"linestyle": (0, (1, 4)), "markerfacecolor": "white", "marker": "v"},
        {"linestyle": "-", "markerfacecolor": "white", "marker": "^"},
        {"linestyle": "-", "marker": "P"},
    ],
    "_marker": [{"marker": marker} for marker in "os^vph"],
    "_added": [{"marker": marker} for marker in "DPX*<>"],
}
_GREY = "0.6"
_MISSING = "This is not measured here."


def set_style(style: Mapping[str, Any] | None = None) -> None:
    """Fonts, names and colours for all figures, as SVG without a date; call once a page.

    Parameters
    ----------
    style : mapping, optional
        Whatever is known of the following. "labels": what measures and values of columns are
        called, which may hold "{concepts}" and "{categories}"; "limits": between which two values
        a measure lies; "chance": what guessing gives; "families": the "label" and "color" of
        each; "levels": values of a column, such as "variant", in the order in which they get
        their looks; "ceilings": lower and upper noise ceiling of each set of judgments, or None,
        drawn as a grey band where a measure has a chance, the first where no set is named;
        "words": what concepts and categories are in the study at hand.

    Examples
    --------
    >>> set_style({"labels": {"rsa": "RSA of {concepts}"}, "words": {"concepts": "hues"}})
    """
    _style.update({key: (style or {}).get(key) or {} for key in _style})
    families = _style["families"]
    labels = _style["labels"] | {name: known["label"] for name, known in families.items()}
    words = {"concepts": "concepts", "categories": "categories"} | _style["words"]
    _style["labels"] = {name: label.format(**words) for name, label in labels.items()}
    _LOOKS["_hue"] = [{"color": color} for color in _palette(families)]
    _met.clear()
    _met["_hue"] = [*families]
    if shell := get_ipython():
        set_matplotlib_formats()
        shell.display_formatter.formatters["text/html"].for_type(Figure, html)
    rc = {"axes.grid": True, "axes.titlelocation": "left", "grid.alpha": 0.4}
    rc |= {"legend.frameon": False, "lines.markersize": 4.5, "figure.labelsize": 10.8}
    rc |= {"svg.hashsalt": "convexlib"}  # the same figure gives the same file
    rc |= {"axes.spines.top": False, "axes.spines.right": False}
    sns.set_theme(style="ticks", font="DejaVu Sans", font_scale=0.9, color_codes=False, rc=rc)


def html(figure: Figure, *, alt: str = "") -> str:
    """A figure as part of a page: as vectors, and drawn again for a phone where it knows how.

    Parameters
    ----------
    figure : Figure
        With attributes, where it has them: alt, what is seen on it; phone, a narrower drawing, or
        what makes one; told, what a script in the page must know of its lines.
    alt : str, optional
        In the place of its own.

    Returns
    -------
    str
        HTML. Artists with a gid that begins with "cv:" are elements with the rest of it as
        ``data-cv``.
    """
    alt = escape(" ".join((alt or getattr(figure, "alt", "")).split()), quote=True)
    phone = getattr(figure, "phone", None)
    drawings = {"desk": figure} | (
        {"phone": phone() if callable(phone) else phone} if phone else {}
    )
    # Elsewhere than in the book, where no style tells the two apart, the second stays hidden.
    parts = [
        f'<div class="{width}"{" hidden" if width == "phone" else ""} role="img" '
        f'aria-label="{alt}">{_svg(each)}</div>'
        for width, each in drawings.items()
    ]
    if lines := getattr(figure, "told", None):
        told = json.dumps(lines, separators=(",", ":")).replace("</", "<\\/")
        parts.append(f'<script type="application/json" class="told">{told}</script>')
    return f'<div class="drawn{" twice" if phone else ""}">{"".join(parts)}</div>'


def _svg(figure: Figure) -> str:
    """As an element of a page, whose ids are those alone that something refers to."""
    file = StringIO()
    # Scripts read the values of a line off the corners of its path.
    options = {"svg.fonttype": "none", "svg.hashsalt": "convexlib", "path.simplify": False}
    with plt.rc_context(options):
        figure.savefig(file, format="svg", bbox_inches="tight", metadata={"Date": None})
    text = file.getvalue()
    text = text[text.index("<svg") :]
    # A style within an element would be one of the whole page.
    text = re.sub(r"<(metadata|style)\b.*?</\1>", "", text, flags=re.DOTALL)
    text = re.sub(r' id="cv:([^" ]*) hidden"', r' data-cv="\1" style="display: none"', text)
    text = re.sub(r' id="cv:([^"]*)"', r' data-cv="\1"', text)
    wanted = {*re.findall(r"""(?:url\(|href=")#([^")]+)""", text)}
    text = re.sub(r' id="([^"]*)"', lambda m: m[0] if m[1] in wanted else "", text)
    text = re.sub(r' (?:d|x|y|transform)="[^"]*"', _rounded, text)
    text = re.sub(r"data:image/png;base64,([^\"]+)", _as_webp, text)
    # What repeats is said once: it is most of a file.
    text = re.sub(r"font-family: [^;\"]*", "font-family: sans-serif", text)
    text = re.sub(r"\n\s*", "\n", text)
    return re.sub(r"<g([^>]*)>\n((?:<use [^>]*/>\n)+)</g>", _styled_once, text)


def _styled_once(group: re.Match[str]) -> str:
    """Markers of a group that look alike, with their look at the group."""
    looks = {*re.findall(r' style="([^"]*)"', group[2])}
    if len(looks) != 1 or "style=" in group[1]:
        return group[0]
    marks = re.sub(r' style="[^"]*"', "", group[2])
    return f'<g{group[1]} style="{looks.pop()}">{marks}</g>'


def _as_webp(picture: re.Match[str]) -> str:
    """A picture of fewer bytes: the very same, or of a photograph one that looks the same."""
    image = Image.open(BytesIO(base64.b64decode(picture[1]))).convert("RGBA")
    is_photograph = min(image.size) > _SMALL and image.getextrema()[3][0] == 255  # no drawing
    kinds = [{"lossless": True}] + [{"quality": 85}] * is_photograph
    files = [BytesIO() for _ in kinds]
    for file, kind in zip(files, kinds, strict=True):
        image.save(file, "WEBP", method=6, **kind)
    least = min((file.getvalue() for file in files), key=len)
    return f"data:image/webp;base64,{base64.b64encode(least).decode()}"


def _rounded(attribute: re.Match[str]) -> str:
    """Numbers of an attribute with two digits, a hundredth of a point."""
    return re.sub(r"(\.\d\d)\d+", r"\1", attribute[0]).replace("\n", "")


def _drawn_twice(draw: Callable[..., Figure]) -> Callable[..., Figure]:
    """The figure as wide as a page; its attribute `phone` draws it again, as narrow as a phone."""

    @wraps(draw)
    def drawn(*given: Any, **options: Any) -> Figure:
        figure = draw(*given, **options)
        figure.phone = partial(_narrow, draw, *given, **options)
        return figure

    return drawn


def _narrow(draw: Callable[..., Figure], *given: Any, **options: Any) -> Figure:
    with _as_on_a_phone():
        figure = draw(*given, **options)
    plt.close(figure)
    return figure


@contextmanager
def _as_on_a_phone() -> Iterator[None]:
    before, _page["width"] = _page["width"], PHONE
    try:
        yield
    finally:
        _page["width"] = before


def _is_narrow() -> bool:
    return _page["width"] == PHONE


@_drawn_twice
def curves(
    table: pd.DataFrame,
    *,
    x: str = "depth",
    y: str = "value",
    row: str = "family",
    column: str = "measure",
    units: str | Sequence[str] = "model",
    band: tuple[str, str] = ("low", "high"),
    behind: pd.DataFrame | None = None,
    baselines: pd.DataFrame | None = None,
    seeds: pd.DataFrame | None = None,
    change: bool = False,
    xlabel: str = "depth (layer / last layer)",
    missing: str = _MISSING,
    **looks: Any,
) -> Figure:
    """A line for each model, with its interval, in facets.

    Facets of one measure share their y axis. A column that the table lacks is not used. On a page,
    a script shows the values, and where there are seeds, lets readers choose among the lines.

    Parameters
    ----------
    table : DataFrame
        Tidy: a row a model and value of `x`. The column "measure" says what a facet shows.
    x, y : str, default="depth", "value"
    row, column : str, default="family", "measure"
        Columns that say in which facet a line stands.
    units : str or sequence of str, default="model"
        Columns of which each combination is a line.
    band : tuple of two str, default=("low", "high")
        Columns of the ends of its band.
    behind : DataFrame, optional
        Rows of the same columns, drawn in grey behind the others, without bands.
    baselines : DataFrame, optional
        Rows of the same columns, drawn in thin grey lines: those of a row of facets there, those
        of none in all, straight through. The column `row` says what these are called, and the
        column of `style` the others.
    seeds : DataFrame, optional
        Rows of the same columns and "seed", hidden until a reader of the page chooses a seed.
    change : bool, default=False
        Whether values are changes of the measure: against zero, and without its limits.
    xlabel : str, default="depth (layer / last layer)"
    missing : str, default="This is not measured here."
        What stands where there are no rows.
    **looks
        Columns that say how a line is drawn. hue : str, default="family". style : str,
        default="variant", the line and filling. marker : str, default="size". added : tuple of
        two str, default=("size", "added"), the column, and its value, of models that the reader
        added: each is black, has a marker of its own, and is named in the legend by its unit.

    Returns
    -------
    Figure

    Examples
    --------
    >>> table = pd.DataFrame({"model": "a", "family": "vit", "measure": "rsa", "depth": [0, 1]})
    >>> len(curves(table.assign(value=[0.2, 0.4])).axes[0].lines)
    1
    """
    if table.empty:
        return _say(missing)
    units = [units] if isinstance(units, str) else units
    baselines = _as_baselines(baselines, table, row, looks)
    drawn = _dressed(table, units=units, **looks)
    none = table.head(0)
    grey = none if behind is None else behind.assign(**dict.fromkeys(band, np.nan))
    by_seed = none if seeds is None else seeds.assign(**dict.fromkeys(band, np.nan))
    grey = _dressed(grey, {"color": _GREY}, units=units, **looks).assign(_told=None)
    by_seed = _dressed(by_seed, units=units, **looks)
    by_seed = by_seed.assign(_told=by_seed["seed"] if len(by_seed) else None)
    everything = pd.concat([grey, drawn.assign(_told=-1), by_seed])
    alike = len({*everything.get("measure", [""])}) == 1
    facets = _facets(everything, row, column, 2.3, share="all" if alike else "measure")
    full = not alike or any(panel.empty for _, panel, _ in facets) or _is_narrow()
    told: dict[str, list[dict[str, Any]]] = {"lines": [], "panels": []}
    for ax, panel, measure in facets:
        if panel.empty:
            _say(missing, ax)
            continue
        label = _label(measure or y)
        about = {"panel": len(told["panels"]), "measure": label.replace("\n", " ")}
        ax.patch.set_gid(f"cv:panel-{about['panel']}")
        for look, baseline in _beside(panel, baselines, row, column):
            straight = len(baseline) == 1
            at = table[x].agg(["min", "max"]) if straight else baseline[x]
            value = [*baseline[y]] * 2 if straight else baseline[y]
            (line,) = ax.plot(at, value, **look, linewidth=1, zorder=1.5)
            name = baseline["_name"].iloc[0]
            _tell(told, line, about, {"name": _label(name), "baseline": True}, at, value)
        for look, curve in _alike(panel, *table.columns.intersection(units), "_told"):
            of_seed = curve["_told"].iloc[0]
            plain = {"marker": ""} if not pd.isna(of_seed) and of_seed >= 0 else {}
            (line,) = ax.plot(curve[x], curve[y], **look | plain)
            if pd.isna(of_seed):
                continue  # grey, behind the others
            ends = [curve.get(end, pd.Series(np.nan, curve.index)) for end in band]
            known = {
                "name": _name(curve),
                "family": str(curve.get("family", pd.Series([""])).iloc[0]),
            }
            known |= {"seed": int(of_seed)} if of_seed >= 0 else {}
            number = _tell(told, line, about, known, curve[x], curve[y], *ends)
            if of_seed < 0:
                shown = {"color": (look["color"], 0.1), "edgecolor": (look["color"], 0.5)}
                shown |= {"linestyle": look["linestyle"], "linewidth": 0.6}
                ax.fill_between(curve[x], *ends, **shown, gid=f"cv:band-{number}")
            else:
                line.set_gid(f"{line.get_gid()} hidden")
        if not alike or ax.get_subplotspec().is_first_col():
            ax.set_ylabel(f"change of\n{label}" if change else label)
        of_set = next(iter(panel.get("judgments", ())), None)
        _expect(ax, "y", measure, change=change, of_set=of_set)
        place = ax.get_subplotspec()  # what the facets of a row have in common is said once
        said = {row: full or place.is_first_col(), column: full or place.is_first_row()}
        _title(ax, panel, *(name for name, is_said in said.items() if is_said))
        of_row = str(panel[row].iloc[0]) if row in panel else ""
        told["panels"].append({"row": of_row, "x": [float(end) for end in ax.get_xlim()]})
    for ax, _, measure in facets if not change else []:
        _clip(ax, "y", measure)
    ax.locator_params(axis="x", nbins=4, integer=pd.api.types.is_integer_dtype(table[x]))
    figure = ax.figure
    told |= {"x": xlabel, "names": {name: _label(name) for name in _hues(table)}}
    figure.told = told
    what = {"x": xlabel, "change": change}
    figure.alt = _said_of_curves([line for line in told["lines"] if "seed" not in line], **what)
    hues = row != looks.get("hue", "family")
    if not _is_narrow() and _label_lines(
        facets, drawn, baselines, row, column, x, y, xlabel, hues=hues
    ):
        return figure
    known = dict(zip(baselines["_name"], baselines["_look"], strict=True))
    return _legend(figure, drawn, xlabel, hues=hues, also=known)


def card(table: pd.DataFrame, path: Path, *, title: str) -> None:
    """Curves as a picture of 1200 by 630 pixels, by which a page is shown elsewhere.

    Parameters
    ----------
    table : DataFrame
        As for `curves`, with the column title, which says in which column a line stands.
    path : Path
        Of the PNG file.
    title : str
    """
    options = {"units": ["family", "variant"], "xlabel": "depth"}
    figure = curves(table, row="measure", column="title", **options)
    figure.suptitle(title, fontsize=15, x=0.02, ha="left")
    figure.set_size_inches(8, 4.2)
    figure.savefig(path, dpi=150)
    plt.close(figure)


@_drawn_twice
def forest(
    table: pd.DataFrame,
    *,
    row: str,
    column: str = "measure",
    style: str = "variant",
    note: str = "",
) -> Figure:
    """Estimates with their intervals, one below the other, in the order of the table.

    Where an interval is much wider than the values lie apart, it runs out of its facet. Where
    the table has a column "image", the pictures stand beside the names of the rows.

    Parameters
    ----------
    table : DataFrame
        Tidy: a row an estimate, with columns measure, value, ci_low and ci_high.
    row, column : str, column="measure"
        Columns that say in which row and facet an estimate stands.
    style : str, default="variant"
        Column that says how an estimate is drawn.
    note : str, optional
        Column of texts to write at the right.

    Returns
    -------
    Figure

    Examples
    --------
    >>> table = pd.DataFrame({"part": ["first", "second"], "measure": "rsa", "value": [0.2, 0.4]})
    >>> figure = forest(table.assign(ci_low=0.1, ci_high=0.5), row="part")
    >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
    ['first', 'second']
    """
    if table.empty:
        return _say(_MISSING)
    drawn = _dressed(table, hue="", style=style, marker="")
    rows, lanes = (pd.Index(drawn[key].unique()) for key in (row, "_style"))
    lane = lanes.get_indexer(drawn["_style"]) - (len(lanes) - 1) / 2
    drawn["_y"] = rows.get_indexer(drawn[row]) + 0.7 / len(lanes) * lane
    names, alike = [_label(name) for name in rows], column != "measure"
    if _is_narrow():  # or long names would leave no room for what they name
        names = [
            "\n".join(part for line in name.split("\n") for part in wrap(line, _NARROW_NAME))
            for name in names
        ]
    of_row = max(0.22 * max(name.count("\n") + 1 for name in names), 0.25 * len(lanes) - 0.28)
    facets = _facets(drawn, None, column, 1.2 + of_row * len(rows), sharex=alike)
    for ax, panel, measure in facets:
        ax.hlines(panel["_y"], panel["ci_low"], panel["ci_high"], color="k", lw=1, zorder=1)
        for look, points in _alike(panel):
            ax.plot(points["value"], points["_y"], **look | {"linestyle": "none", "clip_on": False})
        ax.set_xlabel("" if alike else _label(measure))
        _title(ax, panel, column)
    for ax, panel, measure in facets:
        if panel.empty:
            continue
        reach = [*(drawn if alike else panel)["value"], *_expect(ax, "x", measure)]
        room = max(0.15, 0.6 * np.ptp(reach))
        _clip(ax, "x", measure, min(reach) - room, max(reach) + room)
        ax.locator_params(axis="x", nbins=max(2, 6 // len(facets)))
        ax.xaxis.set_major_formatter("{x:g}")
    first = facets[0][0]
    first.set_yticks(range(len(rows)), names)
    first.set_ylim(len(rows) - 0.5, -0.5)
    for y, text in zip(drawn["_y"], drawn.get(note, ()), strict=False):
        ax.annotate(text, (1.03, y), xycoords=("axes fraction", "data"), va="center", fontsize=9)
    if "image" in table and table["image"].notna().all():
        for ax in (ax for ax, _, _ in facets if ax.get_subplotspec().is_first_col()):
            ax.tick_params(axis="y", pad=24)
            beside = {"xycoords": ax.get_yaxis_transform(), "boxcoords": "offset points"}
            for y, image in enumerate(drawn.drop_duplicates(row)["image"]):
                _show(ax, image, 14, (0, y), xybox=(-14, 0), annotation_clip=False, **beside)
    figure = _legend(ax.figure, drawn, _label(measure) if alike else "", lines=False)
    figure.alt = _said_of_estimates(drawn, row, column, style)
    return figure


@_drawn_twice
def scatter(
    table: pd.DataFrame,
    *,
    x: str,
    y: str,
    column: str,
    equal: bool = False,
    jitter: float = 0.0,
    **looks: Any,
) -> Figure:
    """A point for each row, in facets that share their axes.

    Parameters
    ----------
    table : DataFrame
    x, y, column : str
        Columns of both coordinates, and of the facet.
    equal : bool, default=False
        Whether both axes show the same; then a line shows where they are equal.
    jitter : float, default=0.0
        By how much a point may be shifted in each direction, so that equal ones are seen.
    **looks
        As in `curves`.

    Returns
    -------
    Figure

    Examples
    --------
    >>> table = pd.DataFrame({"family": "vit", "part": "all", "x": [0.1, 0.2], "y": [0.2, 0.4]})
    >>> len(scatter(table, x="x", y="y", column="part").axes)
    1
    """
    if table.empty:
        return _say(_MISSING)
    drawn = _dressed(table, **looks)
    drawn[[x, y]] += np.random.default_rng(0).uniform(-jitter, jitter, (len(table), 2))
    facets = _facets(drawn, None, column, 3.2)
    for ax, panel, _ in facets:
        for look, points in _alike(panel):
            ax.plot(points[x], points[y], **look | {"linestyle": "none", "alpha": 0.75})
        _expect(ax, "x", x)
        _expect(ax, "y", y)
        _title(ax, panel, column)
        if equal:
            ax.axline((0, 0), slope=1, color="0.5", linewidth=1)
            limits = drawn[[x, y]].min().min() - 0.03, drawn[[x, y]].max().max() + 0.03
            ax.set(aspect="equal", xlim=limits, ylim=limits)
    ax.figure.supylabel(_label(y).replace("\n", " "))
    figure = _legend(ax.figure, drawn, _label(x), lines=False)
    said = [
        f"{_label(panel[column].iloc[0])}: {_together(panel[x], panel[y])}"
        for _, panel, _ in facets
    ]
    what = f"{_label(y)} against {_label(x)}, a point a row".replace("\n", " ")
    figure.alt = f"{what}. {'. '.join(said)}.".replace("\n", " ")
    return figure


@_drawn_twice
def matrix(
    values: np.ndarray,
    groups: Sequence[Hashable],
    *,
    label: str,
    groups_label: str,
    limits: tuple[float, float] | None = None,
) -> Figure:
    """A square matrix of similarities with its scale.

    Parameters
    ----------
    values : ndarray of shape (n, n)
    groups : sequence of length n
        To which group each row belongs; rows of a group follow on each other.
    label, groups_label : str
        What the values and the groups are.
    limits : (float, float), optional
        Of the scale; by default those of the values off the diagonal.

    Returns
    -------
    Figure

    Examples
    --------
    >>> figure = matrix(np.eye(2), ["a", "b"], label="similarity", groups_label="letter")
    >>> [label.get_text() for label in figure.axes[0].get_xticklabels()]
    ['a', 'b']
    """
    apart_at = np.triu_indices(len(values), 1)
    groups = [*groups]
    low, high = limits or (values[apart_at].min(), values[apart_at].max())
    figure, ax = plt.subplots(figsize=(_page["width"], 0.68 * _page["width"]), layout="constrained")
    look = {"cmap": "cividis", "square": True, "rasterized": True}
    sns.heatmap(values, vmin=low, vmax=high, cbar_kws={"label": label}, ax=ax, **look)
    names, first, sizes = np.unique(np.asarray(groups), return_index=True, return_counts=True)
    ax.set_xticks(first + sizes / 2, names, rotation=90)
    ax.set_yticks(first + sizes / 2, names, rotation=0)
    edges = first[first > 0] if len(names) < len(groups) else []
    for draw in (ax.hlines, ax.vlines):
        draw(edges, 0, len(values), color="white", linewidth=0.6)
    ax.set(xlabel=groups_label, ylabel=groups_label)
    apart = values[apart_at]
    ends = [
        f"{order} {apart[at]:.2f}, of {groups[apart_at[0][at]]} and {groups[apart_at[1][at]]}"
        for order, at in (("highest", np.nanargmax(apart)), ("lowest", np.nanargmin(apart)))
    ]
    figure.alt = f"A matrix of {label}, {len(values)} by {len(values)}: {'; '.join(ends)}."
    return figure


@_drawn_twice
def positions(
    table: pd.DataFrame, *, column: str = "panel", in_order: bool = False, label: str = "dimension"
) -> Figure:
    """Pictures where they lie in a plane, in facets of the same scale.

    Parameters
    ----------
    table : DataFrame
        With columns x, y and image.
    column : str, default="panel"
        Column that says in which facet a picture stands.
    in_order : bool, default=False
        Whether a line joins each picture with the next.
    label : str, default="dimension"
        What the axes are; they are numbered.

    Returns
    -------
    Figure
    """
    if table.empty:
        return _say(_MISSING)
    size = 14 if len(table) < 20 * table[column].nunique() else 9  # points
    reach = 1.15 * abs(table[["x", "y"]].to_numpy()).max()
    for ax, panel, _ in _facets(table, None, column, 2.7, wrap=2):
        ax.plot(panel["x"], panel["y"], color="0.7", linewidth=float(in_order), zorder=0)
        for x, y, image in panel[["x", "y", "image"]].itertuples(index=False):
            _show(ax, image, size, (x, y))
        name = panel[column].iloc[0]
        ax.set_title(_label(name), color=_style["families"].get(name, {}).get("color", "k"))
        ax.set(aspect="equal", xlim=(-reach, reach), ylim=(-reach, reach))
    ax.figure.supxlabel(f"{label} 1")
    ax.figure.supylabel(f"{label} 2")
    panels = ", ".join(_label(name) for name in table[column].unique())
    ax.figure.alt = f"Pictures where they lie in the plane of {label}s 1 and 2, for: {panels}."
    return ax.figure


def pictures(
    table: pd.DataFrame, *, row: str = "category", image: str = "image", n_columns: int = 12
) -> Figure:
    """Pictures in rows, one or more a group.

    Parameters
    ----------
    table : DataFrame
        A row a picture.
    row : str, default="category"
        Column that says to which group a picture belongs.
    image : str, default="image"
        Column of the pictures, arrays of shape (height, width, 3).
    n_columns : int, default=12

    Returns
    -------
    Figure

    Examples
    --------
    >>> table = pd.DataFrame({"category": ["a", "b"], "image": [np.ones((8, 8, 3))] * 2})
    >>> len(pictures(table).axes[0].images)
    2
    """
    figure, ax = plt.subplots(layout="constrained")
    names: list[str] = []
    for name, group in table.groupby(row, sort=False)[image]:
        for start in range(0, len(group), n_columns):
            for left, picture in enumerate(group.iloc[start : start + n_columns]):
                ends = (left, left + 0.94, len(names) + 0.94, len(names))
                ax.imshow(picture, extent=ends, interpolation="none")
            names.append("" if start else _label(name))
    ax.set(xlim=(0, n_columns), ylim=(len(names), 0), xticks=[], aspect="equal")
    ax.set_yticks(np.arange(len(names)) + 0.47, names)
    ax.tick_params(length=0)
    ax.grid(visible=False)
    ax.spines[:].set_visible(False)
    figure.set_size_inches(_page["width"], 0.3 + 0.85 * _page["width"] * len(names) / n_columns)
    figure.alt = f"Pictures in rows: {', '.join(filter(None, names))}."
    return figure


@_drawn_twice
def odd_shares(table: pd.DataFrame, *, n_columns: int = 4) -> Figure:
    """Three objects a facet, and below each how often each source finds it odd.

    Parameters
    ----------
    table : DataFrame
        A row an object and source: three (which facet), name, image (an array, or None: then the
        name stands there), source and share, in [0, 1].
    n_columns : int, default=4

    Returns
    -------
    Figure

    Examples
    --------
    >>> table = pd.DataFrame({"three": 1, "name": [*"bdo"], "image": None, "source": "people"})
    >>> len(odd_shares(table.assign(share=[0.1, 0.2, 0.7])).axes[0].patches)
    3
    """
    if table.empty:
        return _say(_MISSING)
    threes, sources = [*table["three"].unique()], [*table["source"].unique()]
    n_columns = min(n_columns, 2) if _is_narrow() else n_columns
    n_rows = -(-len(threes) // n_columns)
    figure, axes = plt.subplots(n_rows, n_columns, squeeze=False, sharey=True, layout="constrained")
    figure.set_size_inches(_page["width"], 0.6 + 1.5 * n_rows)
    width = 0.8 / len(sources)
    greys = np.linspace(0, 1, max(2, len(sources))).astype(str)
    for ax, three in zip(axes.ravel(), threes, strict=False):
        of_three = table[table["three"] == three]
        objects = of_three.drop_duplicates("name")
        for at, name, image in zip(range(3), objects["name"], objects["image"], strict=False):
            if image is None:
                ax.text(at, 1.3, name, ha="center", va="center", fontsize=7, wrap=True)
            else:
                _show(ax, image, 26, (at, 1.3))
        for number, source in enumerate(sources):
            shares = of_three.loc[of_three["source"] == source, "share"]
            left = np.arange(len(shares)) + (number - (len(sources) - 1) / 2) * width
            look = {"color": greys[number], "edgecolor": "k", "linewidth": 0.6}
            ax.bar(left, shares, width, label=_label(source), **look)
        ax.set(xticks=[], ylim=(0, 1.6), yticks=[0, 0.5, 1], xlim=(-0.5, 2.5))
        ax.grid(axis="x", visible=False)
    for ax in axes.ravel()[len(threes) :]:
        ax.set_axis_off()
    figure.supylabel("share that finds it odd")
    n = 4 if not _is_narrow() else 2
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=n)
    most = table.loc[table.groupby(["three", "source"], sort=False)["share"].idxmax()]
    said = [
        f"{', '.join(of_three['name'].unique())}: "
        + ", ".join(
            f"{_label(each.source)} {each.name} ({each.share:.0%})"
            for each in odd.itertuples(index=False)
        )
        for (_, of_three), (_, odd) in zip(
            table.groupby("three", sort=False), most.groupby("three", sort=False), strict=True
        )
    ]
    figure.alt = f"Which of three is found odd most often. {'; '.join(said)}."
    return figure


@_drawn_twice
def verdicts(table: pd.DataFrame, *, signs: Mapping[str, str]) -> Figure:
    """Verdicts on claims, a row a claim and a column a setting.

    Parameters
    ----------
    table : DataFrame
        With columns claim, setting and verdict.
    signs : mapping
        The sign of each verdict, in order; the first is the darkest.

    Returns
    -------
    Figure

    Examples
    --------
    >>> table = pd.DataFrame({"claim": ["size"], "setting": ["5 neighbours"], "verdict": ["holds"]})
    >>> [text.get_text() for text in verdicts(table, signs={"holds": "yes"}).axes[0].texts]
    ['yes']
    """
    if table.empty:
        return _say(_MISSING)
    wide = table.pivot(index="claim", columns="setting", values="verdict")
    wide = wide.reindex(table["claim"].unique())[[*table["setting"].unique()]]
    order = [*signs]
    codes = wide.apply(lambda column: column.map(order.index, na_action="ignore"))
    palette = ["#1b6ca8", "#d1671f", "0.9", "1.0"][: max(len(order), 1)]
    figure, ax = plt.subplots(
        figsize=(_page["width"], 1.9 + 0.21 * len(wide)), layout="constrained"
    )
    sns.heatmap(
        codes.astype(float),
        annot=wide.map(lambda verdict: signs.get(verdict, "")),
        fmt="",
        cmap=ListedColormap(palette),
        vmin=-0.5,
        vmax=len(palette) - 0.5,
        cbar=False,
        linewidths=1,
        ax=ax,
    )
    ax.set(xlabel="", ylabel="")
    ax.set_yticks(np.arange(len(wide)) + 0.5, [str(name).replace("-", " ") for name in wide.index])
    ax.set_xticks(np.arange(wide.shape[1]) + 0.5, [*wide.columns])
    ax.tick_params(axis="x", rotation=90 if _is_narrow() else 55, bottom=False)
    for label in ax.get_xticklabels():
        label.set(ha="right", va="center", rotation_mode="anchor")
    handles = [
        Line2D([], [], marker="s", linestyle="none", color=color, markeredgecolor="0.4", label=name)
        for name, color in zip(order, palette, strict=False)
        if name in set(table["verdict"])
    ]
    ncols = 2 if _is_narrow() else len(handles)
    figure.legend(handles=handles, ncols=ncols, loc="outside lower center")
    counts = table.groupby("setting", sort=False)["verdict"].value_counts().unstack(fill_value=0)
    said = [
        f"{setting}: " + ", ".join(f"{n} {name}" for name, n in row.items() if n)
        for setting, row in counts.iterrows()
    ]
    figure.alt = f"Verdicts by setting. {'; '.join(said)}."
    return figure


def _facets(
    table: pd.DataFrame,
    row: str | None,
    column: str,
    height: float,
    *,
    sharex: bool = True,
    share: str = "all",
    wrap: int | None = None,
) -> list[tuple[Axes, pd.DataFrame, str]]:
    """The axes of a new figure, each with its rows, which may be none, and their measure.

    On a phone they stand one below the other, without those that have no rows. `share` says which
    of them have their y axis in common: all, or those of a measure.
    """
    row, column = (name if name in table else None for name in (row, column))
    rows, columns = ([*table[name].unique()] if name else [None] for name in (row, column))
    panels = []
    for of_row, of_column in product(rows, columns):
        here = np.ones(len(table), bool)
        for name, level in ((row, of_row), (column, of_column)):
            here &= (table[name] == level).to_numpy() if name else True
        panels.append(table[here])
    n_columns = min(len(columns), wrap or len(columns))
    if _is_narrow() and n_columns > 1 and wrap is None:
        panels, n_columns, height = [p for p in panels if len(p)], 1, 0.85 * height
    n_rows = -(-len(panels) // n_columns)
    size = (_page["width"], height * n_rows)
    options = {"squeeze": False, "layout": "constrained"}
    axes = plt.subplots(n_rows, n_columns, figsize=size, **options)[1]
    for unused in axes.ravel()[len(panels) :]:
        unused.set_axis_off()
    first: dict[str, Axes] = {}
    facets = []
    for ax, panel in zip(axes.ravel(), panels, strict=False):
        measure = next(iter(panel.get("measure", ())), "")
        if len(panel):
            shared = first.setdefault(measure if share == "measure" else "", ax)
            ax.sharey(shared)
        if sharex:
            ax.sharex(axes[0, 0])
            ax.tick_params(labelbottom=ax.get_subplotspec().is_last_row())
        if share == "all":
            ax.tick_params(labelleft=ax.get_subplotspec().is_first_col())
        facets.append((ax, panel, measure))
    return facets


def _hues(table: pd.DataFrame) -> list[str]:
    """Families of a table, but for those of models that the reader added."""
    return [str(name) for name in table["family"].unique()] if "family" in table else []


def _name(rows: pd.DataFrame) -> str:
    """What a line is called, whatever facet it stands in: its family, size and variant."""
    first = rows.iloc[0]
    if first["_added"] is not None and pd.notna(first["_added"]):
        return _label(first["_added"])
    keys = [first[key] for key in ("_hue", "_marker", "_style")]
    return " ".join(_label(key) for key in keys if pd.notna(key))


def _tell(
    told: dict[str, list[dict[str, Any]]],
    line: Line2D,
    panel: Mapping[str, Any],
    known: Mapping[str, Any],
    *values: Iterable[float],
) -> int:
    """Note for the script of a page what a line shows: x, y, low and high; return its number."""
    number = len(told["lines"])
    line.set_gid(f"cv:line-{number}")
    columns = {
        key: [None if pd.isna(value) else round(float(value), 4) for value in column]
        for key, column in zip(("x", "y", "low", "high"), values, strict=False)
    }
    columns = {key: column for key, column in columns.items() if any(v is not None for v in column)}
    told["lines"].append({**panel, **known, **columns})
    return number


def _said_of_curves(lines: Sequence[Mapping[str, Any]], *, x: str, change: bool) -> str:
    """Where lines begin and end, and their highest and lowest points, in words."""
    said = []
    for measure, of_measure in _grouped(lines, "measure"):
        each = []
        for name, of_name in _grouped(of_measure, "name"):
            starts, ends = (
                np.mean([line["y"][place] for line in of_name if line.get("y")] or [np.nan])
                for place in (0, -1)
            )
            same = round(float(starts), 2) == round(float(ends), 2)
            each.append(f"{name} {starts:.2f}" + ("" if same else f" to {ends:.2f}"))
        what = "Change of " if change else ""
        said.append(f"{what}{measure} from the least to the greatest {x}: {', '.join(each)}.")
    return " ".join(said)


def _said_of_estimates(table: pd.DataFrame, row: str, column: str, style: str) -> str:
    """The highest and the lowest estimate of each facet and style, in words."""
    keys = [key for key in dict.fromkeys((column, "measure", style)) if key in table]
    known, said = table.dropna(subset="value").reset_index(drop=True), []
    for levels, rows in known.groupby(keys, sort=False, dropna=False):
        names = [_label(level).replace("\n", " ") for level in levels if pd.notna(level)]
        ends = [
            rows.loc[at] for at in dict.fromkeys([rows["value"].idxmax(), rows["value"].idxmin()])
        ]
        each = [f"{_label(end[row])} {end['value']:.2f}".replace("\n", " ") for end in ends]
        said.append(f"{', '.join(dict.fromkeys(names))}: {' down to '.join(each)}")
    return f"Estimates, from the highest to the lowest. {'; '.join(said)}."


def _together(x: pd.Series, y: pd.Series) -> str:
    """How points lie, in words."""
    known = x.notna() & y.notna()
    if known.sum() < 3 or x[known].nunique() < 2 or y[known].nunique() < 2:
        return f"{known.sum()} points"
    return f"{known.sum()} points, correlation {np.corrcoef(x[known], y[known])[0, 1]:.2f}"


def _grouped(
    lines: Sequence[Mapping[str, Any]], key: str
) -> Iterator[tuple[str, list[Mapping[str, Any]]]]:
    for level in dict.fromkeys(line[key] for line in lines):
        yield level, [line for line in lines if line[key] == level]


def _label_lines(
    facets: Sequence[tuple[Axes, pd.DataFrame, str]],
    drawn: pd.DataFrame,
    baselines: pd.DataFrame,
    row: str,
    column: str,
    x: str,
    y: str,
    xlabel: str,
    *,
    hues: bool,
) -> bool:
    """Write the names of lines at their ends, in the last facet of each row; False where not.

    Where they are too many or too long a legend says more.
    """
    keys = [key for key in ("_hue", "_marker", "_style") if len(drawn[key].unique()) > 1]
    keys = [key for key in keys if hues or key != "_hue"]
    ends: dict[Axes, list[tuple[float, str, str]]] = {}
    for ax, panel, _ in facets:
        if ax.get_subplotspec().is_last_col() and len(panel):
            ends[ax] = []
            of_models = panel[panel["_told"] == -1]
            for _, rows in of_models.groupby("_key", sort=False):
                first = rows.iloc[0]
                names = [_label(first[key]) for key in keys if pd.notna(first[key])]
                names = [_label(first["_added"])] if pd.notna(first["_added"]) else names
                last = rows.loc[rows[x] == rows[x].max(), y].mean()
                ends[ax].append((last, " ".join(names), first["_look"]["color"]))
            for look, baseline in _beside(panel, baselines, row, column):
                ends[ax].append(
                    (baseline[y].iloc[-1], _label(baseline["_name"].iloc[0]), look["color"])
                )
            ends[ax] = [*{name: (value, name, color) for value, name, color in ends[ax]}.values()]
    names = [name for each in ends.values() for _, name, _ in each]
    most = max(map(len, ends.values()), default=0)
    if not any(names) or most > _MOST_LABELS or max(map(len, names)) > _LONGEST_LABEL:
        return False
    facets[0][0].figure.supxlabel(xlabel)
    facets[0][0].figure.draw_without_rendering()  # so that heights are known
    for ax, each in ends.items():
        each = sorted((value, name, color) for value, name, color in each if np.isfinite(value))
        low, high = ax.get_ylim()
        gap = _LINE / (ax.bbox.height / ax.figure.dpi * 72)
        steps = gap * np.arange(len(each))
        wanted = np.array([(value - low) / (high - low) for value, _, _ in each])
        places = isotonic_regression(wanted - steps).x + steps
        places += min(0, 1.05 - places[-1]) if len(places) else 0
        for (value, name, color), place in zip(each, places, strict=True):
            at = drawn[x].max()
            ax.annotate(
                name,
                (at, min(max(value, low), high)),
                (1.06, place),
                textcoords="axes fraction",
                va="center",
                fontsize=8.5,
                annotation_clip=False,
                arrowprops={
                    "arrowstyle": "-",
                    "color": color,
                    "lw": 0.7,
                    "relpos": (0, 0.5),  # from the left end of the name
                    "shrinkA": 1,
                    "shrinkB": 2,
                },
            )
    return True


def _dressed(
    table: pd.DataFrame,
    every: Mapping[str, str] | None = None,
    *,
    hue: str = "family",
    style: str = "variant",
    marker: str = "size",
    units: Sequence[str] = ("model",),
    added: tuple[str, str] = ("size", "added"),
) -> pd.DataFrame:
    """The table with the levels that say how a row is drawn, that look, and a key of it."""
    of_reader = table[added[0]] == added[1] if added[0] in table else np.zeros(len(table), bool)
    columns = {"_hue": hue, "_style": style, "_marker": marker, "_added": units[0]}
    dressed = table.assign(**{name: table.get(column) for name, column in columns.items()})
    dressed.loc[of_reader, ["_hue", "_marker"]] = None
    dressed.loc[~of_reader, "_added"] = None
    looks = [_PLAIN] * len(table)
    for name, column in columns.items():
        levels = zip(looks, dressed[name], strict=True)
        looks = [look | _look(name, column, level) | (every or {}) for look, level in levels]
    return dressed.assign(_look=looks, _key=[str(look) for look in looks])


def _as_baselines(
    baselines: pd.DataFrame | None, table: pd.DataFrame, row: str, looks: Mapping[str, Any]
) -> pd.DataFrame:
    """The baselines with what each is called, how it is drawn, and whether in its row alone."""
    if baselines is None or baselines.empty:
        return pd.DataFrame(columns=["_name", "_look", "_in_row"])
    baselines = baselines.reset_index(drop=True)
    in_row = baselines[row].isin(table[row]) if row in table else np.zeros(len(baselines), bool)
    names = baselines[looks.get("style", "variant")].where(in_row, baselines[row])
    lines = [(0, (1, 1)), (0, (4, 1, 1, 1)), (0, (6, 3)), (0, (3, 1, 1, 1, 1, 1))]
    known = {
        name: {"color": "0.45", "linestyle": lines[number % len(lines)], "marker": ""}
        for number, name in enumerate(names.unique())
    }
    return baselines.assign(_name=names, _look=names.map(known), _in_row=in_row)


def _beside(
    panel: pd.DataFrame, baselines: pd.DataFrame, row: str, column: str
) -> Iterator[tuple[dict[str, Any], pd.DataFrame]]:
    """Of each baseline that a facet shows, how it is drawn, and its rows."""
    if baselines.empty:
        return
    here = baselines[column] == panel[column].iloc[0] if column in panel else True
    own = ~baselines["_in_row"] | (baselines[row] == panel[row].iloc[0] if row in panel else True)
    for _, rows in baselines[here & own].groupby(["_name", "model"], sort=False):
        yield rows["_look"].iloc[0], rows


def _palette(families: Mapping[str, Mapping[str, str]]) -> list[str]:
    """The colours of the families, then those that are unlike all of these."""
    known = [to_rgb(family["color"]) for family in families.values()]
    taken = np.array([*known, to_rgb(_GREY), to_rgb("k")])
    palette = np.array([*sns.color_palette("colorblind"), *sns.husl_palette(30)])
    free = np.linalg.norm(palette[:, None] - taken, axis=2).min(axis=1) > 0.15
    return [to_hex(color) for color in (*known, *palette[free])]


def _look(name: str, column: str, level: Hashable) -> dict[str, str]:
    """What a level changes: known levels come first, then as the page meets them."""
    if pd.isna(level):
        return {}
    levels = _met.setdefault(name, [*_style["levels"].get(column, ())])
    if level not in levels:
        levels.append(level)
    return _LOOKS[name][levels.index(level) % len(_LOOKS[name])]


def _alike(panel: pd.DataFrame, *units: str) -> Iterator[tuple[dict[str, str], pd.DataFrame]]:
    """How rows are drawn, and the rows that are drawn so, each unit by itself."""
    for _, rows in panel.groupby(["_key", *units], sort=False, dropna=False):
        yield rows["_look"].iloc[0], rows


def _show(ax: Axes, image: np.ndarray, size: float, at: tuple[float, float], **place: Any) -> None:
    """A picture of so many points in height."""
    box = OffsetImage(image, zoom=size / len(image), interpolation="antialiased")
    ax.add_artist(AnnotationBbox(box, at, frameon=False, pad=0, **place))


def _label(name: Hashable) -> str:
    return _style["labels"].get(name, str(name))


def _title(ax: Axes, panel: pd.DataFrame, *columns: str) -> None:
    """What the facet is about, in its colour where it has one."""
    names = [_label(panel[name].iloc[0]) for name in columns if name in panel and name != "measure"]
    colors = {look["color"] for look in panel["_look"]} - {_GREY, "k"}
    ax.set_title(", ".join(names), color=colors.pop() if len(colors) == 1 else "k")


def _expect(
    ax: Axes, axis: str, measure: str, *, change: bool = False, of_set: str | None = None
) -> list[float]:
    """Mark what can be expected, and say where: chance and the noise ceiling, or zero."""
    line, span = (ax.axhline, ax.axhspan) if axis == "y" else (ax.axvline, ax.axvspan)
    zero = change or (axis == "x" and _style["limits"].get(measure, (0,))[0] < 0)
    expected = 0 if zero else _style["chance"].get(measure)
    if expected is None:
        return []
    look = {"linestyle": "-", "gid": "zero"} if zero else {"linestyle": ":", "gid": "chance"}
    line(expected, color="0.4", linewidth=1, zorder=1, **look)
    ceilings = _style["ceilings"]
    ceiling = ceilings.get(next(iter(ceilings), None) if of_set is None else of_set)
    if ceiling and not zero:
        span(*ceiling, color="0.88", zorder=0, gid="ceiling")
    return [expected]


def _clip(ax: Axes, axis: str, measure: str, low: float = -np.inf, high: float = np.inf) -> None:
    """Reach no farther than these values, and than the measure can."""
    least, most = _style["limits"].get(measure, (-np.inf, np.inf))
    room = 0.02 * (most - least) if np.isfinite(most - least) else 0
    start, end = getattr(ax, f"get_{axis}lim")()
    ax.set(**{f"{axis}lim": (max(start, low, least - room), min(end, high, most + room))})


def _legend(
    figure: Figure,
    drawn: pd.DataFrame,
    xlabel: str,
    *,
    hues: bool = True,
    lines: bool = True,
    also: Mapping[str, Mapping[str, Any]] | None = None,
) -> Figure:
    """Below the figure: its x label, colours, markers, lines and the models of the reader."""
    plain = {"color": "0.3" if drawn["_hue"].notna().any() else "k", "linestyle": "none"}
    still = {} if lines else {"linestyle": "none"}
    varied = {"_hue": ["color"] * hues, "_marker": ["marker"], "_style": [*_PLAIN][1:]}
    handles = []
    for name, keys in (varied | {"_added": [*_PLAIN]}).items():
        levels = drawn.dropna(subset=name).drop_duplicates(name).set_index(name)["_look"]
        for level, look in levels.items() if keys else ():
            shown = {"marker": "o"} | plain | {key: look[key] for key in keys} | still
            handles.append(Line2D([], [], label=_label(level), **shown))
    handles += [Line2D([], [], label=_label(name), **look) for name, look in (also or {}).items()]
    longest = max((len(handle.get_label()) for handle in handles), default=0)
    n_characters = 80 * _page["width"] / WIDTH
    n_columns = max(1, min(len(handles), int(n_characters / (longest + 8))))
    if handles or xlabel:
        place = {"loc": "outside lower center", "title": xlabel.replace("\n", " ")}
        figure.legend(handles=handles, ncols=n_columns, **place)
    figure.set_figheight(figure.get_figheight() + 0.22 * -(-len(handles) // n_columns))
    return figure


def _say(what: str, ax: Axes | None = None) -> Figure:
    """Write why there is nothing to draw."""
    ax = ax or plt.subplots(figsize=(_page["width"], 1), layout="constrained")[1]
    ax.set_axis_off()
    ax.text(0.5, 0.5, what, ha="center", va="center", wrap=True, transform=ax.transAxes)
    ax.figure.alt = what
    return ax.figure

"""Graph convexity by hand: points of two classes that can be dragged, and their shortest paths."""

from typing import NamedTuple

import numpy as np
from IPython.display import HTML
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from convexlib import figures, widgets
from convexlib.convexity import graph_convexity_score, graph_path
from convexlib.neighbors import neighbor_graph

WIDTH, HEIGHT = 400, 300  # of the plane
LABELS = np.repeat(["blue", "orange"], 8)
LETTERS = "ABCDEFGHIJKLMNOP"

_LOOKS = {
    "blue": {"marker": "o", "color": "#0072B2", "markersize": 11},
    "orange": {"marker": "s", "color": "#E69F00", "markersize": 10},
}
_INK = {"blue": "white", "orange": "#111111"}
_STILL = (2, 3, 5)  # what k is on the still figure: the graph breaks, the path leaves, it stays


class Arrangement(NamedTuple):
    """Where the points lie, and what that teaches.

    Attributes
    ----------
    name : str
    says : str
        What is seen, in two short sentences.
    points : tuple of pairs of int
        Places in a plane of `WIDTH` by `HEIGHT`, y downwards; a point for each of `LETTERS`.
    k : int
        Number of neighbours to begin with.
    pair : str
        The letters of two points of one class, whose path is shown.
    """

    name: str
    says: str
    points: tuple[tuple[int, int], ...]
    k: int
    pair: str

    @property
    def X(self) -> np.ndarray:
        """The points as features, (16, 2)."""
        return np.array(self.points, dtype=float)


ARRANGEMENTS = (
    Arrangement(
        "side by side",
        "Blue and orange lie side by side, but M has come between the blues.",
        (
            *(
                (41, 31),
                (129, 46),
                (38, 91),
                (97, 85),
                (38, 224),
                (123, 184),
                (162, 226),
                (73, 270),
            ),
            *((214, 44), (271, 37), (331, 47), (261, 117), (163, 145), (336, 123), (335, 188)),
            (327, 260),
        ),
        3,
        "AH",
    ),
    Arrangement(
        "one island",
        "One blue lies among the orange. Every path to it leads through orange.",
        (
            *((60, 90), (110, 60), (90, 140), (150, 110), (60, 190), (120, 200), (160, 165)),
            *((290, 150), (235, 90), (300, 80), (350, 120), (345, 185), (295, 220), (240, 200)),
            *((225, 145), (350, 240)),
        ),
        3,
        "AH",
    ),
    Arrangement(
        "two clusters",
        "The blue clusters are so tight that no edge leads out. Make k one more.",
        (
            *((60, 60), (100, 50), (95, 95), (55, 105), (300, 195), (345, 200), (340, 245)),
            *((305, 250), (170, 120), (215, 110), (160, 160), (200, 160), (240, 150), (180, 200)),
            *((225, 195), (200, 235)),
        ),
        3,
        "AE",
    ),
    Arrangement(
        "one inside the other",
        "Blue is convex. Orange, around it, is not: ways across lead through blue.",
        (
            *((165, 115), (208, 102), (246, 128), (250, 172), (212, 200), (168, 190), (150, 152)),
            *((203, 152), (200, 26), (305, 55), (352, 150), (300, 246), (195, 274), (98, 244)),
            *((48, 152), (95, 55)),
        ),
        3,
        "IM",
    ),
)


def show() -> HTML:
    """The widget, to be the output of a cell.

    Examples
    --------
    >>> 'data-widget="convexity_by_hand"' in show().data
    True
    """
    content = {
        "letters": [*LETTERS],
        "labels": LABELS.tolist(),
        "width": WIDTH,
        "height": HEIGHT,
        "arrangements": [
            each._asdict() | {"pair": [LETTERS.index(end) for end in each.pair]}
            for each in ARRANGEMENTS
        ],
    }
    first = ARRANGEMENTS[0]
    seen = "; ".join(f"at k = {k} {_said(first, k)}" for k in _STILL)
    alt = (
        "Blue circles and orange squares side by side, with edges between neighbours and the "
        f"shortest path between {' and '.join(first.pair)}, which are blue: {seen}"
    )
    return widgets.mount("convexity_by_hand", content, still=still(), alt=alt)


def still() -> Figure:
    """The first arrangement at three values of k, with the path of its pair and the scores.

    Its attribute ``phone`` is the same for a phone.
    """
    figure = _drawn(1, 3, (figures.WIDTH, 2.6))
    figure.phone = _drawn(3, 1, (figures.PHONE, 10.5))
    return figure


def _drawn(n_rows: int, n_columns: int, size: tuple[float, float]) -> Figure:
    figure = Figure(figsize=size)
    for ax, k in zip(figure.subplots(n_rows, n_columns).flat, _STILL, strict=True):
        _draw(ax, ARRANGEMENTS[0], k)
    figure.subplots_adjust(left=0, right=1, bottom=0.05, top=0.95, wspace=0.05, hspace=0.35)
    return figure


def _draw(ax: Axes, arrangement: Arrangement, k: int) -> None:
    X, path = arrangement.X, _path(arrangement, k)
    ends = [LETTERS.index(end) for end in arrangement.pair]
    for i, j in zip(*neighbor_graph(X, n_neighbors=k).nonzero(), strict=True):
        if i < j:
            ax.plot(*X[[i, j]].T, color="0.75", linewidth=0.8, zorder=1)
    way, line = (path, "-") if len(path) else (ends, ":")
    ax.plot(*X[way].T, color="0.1", linewidth=2.2, linestyle=line, zorder=2)
    for i, (place, label) in enumerate(zip(X, LABELS, strict=True)):
        edge = {"markeredgecolor": "0.1" if i in ends else "white", "markeredgewidth": 1.5}
        ax.plot(*place, **_LOOKS[label], **edge, zorder=3)
        ax.text(
            *place, LETTERS[i], color=_INK[label], fontsize=6.5, ha="center", va="center_baseline"
        )
    ax.set(xlim=(18, WIDTH - 45), ylim=(HEIGHT, 5), aspect="equal")
    ax.set_axis_off()
    ax.set_title(f"$k$ = {k}", loc="left", fontsize=10, fontweight="bold")
    scores = graph_convexity_score(X, LABELS, n_neighbors=k, average=None)
    means = ", ".join(f"{name} {score:.2f}" for name, score in scores.items())
    said = f"{_said(arrangement, k)}\n{means}"
    ax.text(0, 0, said, transform=ax.transAxes, va="top", fontsize=8, linespacing=1.4)


def _path(arrangement: Arrangement, k: int) -> np.ndarray:
    source, target = (LETTERS.index(end) for end in arrangement.pair)
    members = LABELS[source] == LABELS
    return graph_path(arrangement.X, source, target, members=members, n_neighbors=k)


def _said(arrangement: Arrangement, k: int) -> str:
    """Score of the pair, in the words of the script."""
    path = _path(arrangement, k)
    label = LABELS[LETTERS.index(arrangement.pair[0])]
    if len(path) == 0:
        return "no path: 0"
    if len(path) == 2:
        return "joined by an edge: 1"
    between = LABELS[path[1:-1]]
    inside = int((between == label).sum())
    points = "point" if len(between) == 1 else "points"
    are = "is" if 1 in (inside, len(between)) else "are"
    share = inside / len(between)
    shown = f"{share:.0f}" if share in (0, 1) else f"{share:.2f}"
    return f"{inside} of {len(between)} {points} between {are} {label}: {shown}"

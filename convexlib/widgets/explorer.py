"""See a concept form: all images at every layer in a plane, and the shortest path between two.

What the browser needs of a model and of the graph of a layer are files of a stored result, each a
script that calls ``convexlibExplorer(name, data)``, so that a page that lies on disk can load it,
too. Arrays in it are little-endian, in base64.
"""

import base64
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import tee
from math import isqrt
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from IPython.display import HTML, Markdown
from numpy.typing import ArrayLike
from PIL import Image, ImageOps
from scipy.linalg import eigh, orthogonal_procrustes
from scipy.spatial.distance import pdist

from convexlib import checks, pipeline, shortest_paths, tables
from convexlib.data import Human
from convexlib.layers import ORIGINAL
from convexlib.neighbors import neighbor_graph
from convexlib.store import Known, Result
from convexlib.study import Model, Study
from convexlib.widgets import mount

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FOLDER = "explorer"
"""Of the files of `result` among the static files of a site."""

MOST_IMAGES = 3000
"""From more on, a graph is too large to be loaded by a page."""

SPRITE = "images.jpg"
"""All images of a study in one."""

_LARGEST = 2**53
"""Whole numbers below it are exact in a browser."""

_SIDE = 48  # pixels of a thumbnail, at most
_PIXELS = 1_500_000  # of all of them, about
_QUALITY = 80  # of a JPEG that keeps colours as fine as greys
_REACH = 2**15 - 1  # of a position
_INSIDE, _OUTSIDE, _OTHERS = "#0072B2", "#D55E00", "#c4c4c4"
_DPI = 110  # of the points, of which there are many
_N_TRIED = 300  # pairs, of which one is chosen to begin with
_MOST_SHOWN = 8  # images on its path


class Graph(NamedTuple):
    """The graph of neighbours as a page gets it: each edge once.

    Attributes
    ----------
    ends : ndarray of int, shape (2, n_edges)
        The lower row and the higher row, sorted.
    lengths : ndarray of int64, shape (n_edges,)
        In whole units, as `convexlib.graph_path` compares paths.
    n_images : int
    """

    ends: np.ndarray
    lengths: np.ndarray
    n_images: int

    @classmethod
    def of(cls, X: ArrayLike, *, n_neighbors: int) -> "Graph | None":
        """The graph of the rows of X; None where there is none, as where all are alike."""
        ranked = _ranked(X, n_neighbors)
        if ranked is None or ranked.limit >> 2 * ranked.digits >= _LARGEST:
            return None
        rows = np.repeat(np.arange(len(X)), np.diff(ranked.indptr))
        low, high = ranked.nodes[rows], ranked.nodes[ranked.indices]
        lengths = ranked.keys >> 2 * ranked.digits
        once = np.flatnonzero(low < high)
        once = once[np.lexsort((high[once], low[once]))]
        return cls(np.stack([low[once], high[once]]), lengths[once], len(X))

    def packed(self) -> dict[str, str]:
        """As JSON: of each row, how many edges go to higher ones, then to which, and lengths."""
        counts = np.bincount(self.ends[0], minlength=self.n_images)
        return {
            "counts": _packed(counts, "<u2"),
            "others": _packed(self.ends[1], "<u2"),
            "lengths": _packed(self.lengths, "<f8"),
        }

    @classmethod
    def unpacked(cls, data: Mapping[str, str]) -> "Graph":
        """What `packed` gave."""
        counts, others = (_unpacked(data[name], "<u2") for name in ("counts", "others"))
        low = np.repeat(np.arange(len(counts)), counts)
        lengths = _unpacked(data["lengths"], "<f8").astype(np.int64)
        return cls(np.stack([low, others.astype(np.int64)]), lengths, len(counts))


def _ranked(X: ArrayLike, n_neighbors: int) -> shortest_paths.PathGraph | None:
    """The graph that `convexlib.graph_path` looks for paths in; None where there is none."""
    X = np.asarray(X, dtype=np.float64)
    if not np.isfinite(X).all():
        return None
    try:
        return shortest_paths.rank(neighbor_graph(X, n_neighbors=n_neighbors), n_neighbors, X)
    except checks.Undefined:
        return None


def planes(layers: Iterable[np.ndarray]) -> Iterator[tuple[np.ndarray, tuple[float, float]] | None]:
    """Where images lie in the plane of the first two principal components of each layer.

    Each plane is turned, or mirrored, so that images lie as near as can be to where they were a
    layer before (orthogonal Procrustes), and fills the same square.

    Parameters
    ----------
    layers : iterable of ndarrays of shape (n_images, n_features)

    Yields
    ------
    positions : ndarray of shape (n_images, 2)
        In [-1, 1].
    shares : tuple of two floats
        Of the variance, of the first and the second component. In the place of both, None for a
        layer whose values are not finite.

    Examples
    --------
    >>> X = np.array([[0.0, 0.0], [4.0, 0.0], [4.0, 2.0]])
    >>> (_, shares), (turned, _) = planes([X, X @ [[0, 1], [-1, 0]]])
    >>> round(sum(shares), 6)
    1.0
    """
    before = None
    for X in layers:
        if not np.isfinite(X).all():
            yield None
            continue
        plane, shares = _principal(np.asarray(X, dtype=np.float64))
        if before is not None:
            plane = plane @ orthogonal_procrustes(plane, before)[0]
        before = plane
        low, high = plane.min(axis=0), plane.max(axis=0)
        yield (plane - (low + high) / 2) / (max((high - low).max() / 2, 1e-300)), shares


def _principal(X: np.ndarray) -> tuple[np.ndarray, tuple[float, float]]:
    """First two principal components, and their shares of the variance."""
    centred = X - X.mean(axis=0)
    centred /= max(abs(centred).max(), 1e-300)
    n, n_features = centred.shape
    product = centred @ centred.T if n < n_features else centred.T @ centred
    first = [max(0, len(product) - 2), len(product) - 1]
    values, vectors = eigh(product, subset_by_index=first)
    values, vectors = np.maximum(values[::-1], 0), vectors[:, ::-1]
    plane = vectors * np.sqrt(values) if n < n_features else centred @ vectors
    plane = np.pad(plane, ((0, 0), (0, 2 - plane.shape[1])))
    shares = np.pad(values, (0, 2 - len(values))) / max(np.trace(product), 1e-300)
    return plane, (float(shares[0]), float(shares[1]))


def sprite(images: Sequence[Any], rows: Sequence[int]) -> Image.Image:
    """Images side by side, small, in rows of equal length.

    Parameters
    ----------
    images : sequence
        Arrays of uint8 or PIL images, of which one at a time is in memory.
    rows : sequence of int
        Which of them.

    Returns
    -------
    PIL image
        Of squares, no larger than the first image is; an image that is no square stands in the
        middle of one.
    """
    n, first = len(rows), np.asarray(images[rows[0]])
    size = min(_SIDE, max(first.shape[:2]), isqrt(_PIXELS // n))
    n_columns = _n_columns(n)
    whole = Image.new("RGB", (n_columns * size, -(-n // n_columns) * size), "white")
    for number, row in enumerate(rows):
        picture = images[row]
        if not isinstance(picture, Image.Image):
            picture = Image.fromarray(np.asarray(picture))
        square = ImageOps.pad(picture.convert("RGB"), (size, size), color="white")
        down, right = divmod(number, n_columns)
        whole.paste(square, (right * size, down * size))
    return whole


def _n_columns(n: int) -> int:
    """Of a sprite."""
    return isqrt(n - 1) + 1


def is_for(study: Study) -> bool:
    """Whether a study has an explorer: not with more than `MOST_IMAGES` measured images.

    Before anything is made, it is known how many images the concept has that has fewest. Where
    others have so many more that there are too many, the page is there, and says so.
    """
    n_concepts, n_images = study.stimuli.extent
    share = study.file.measures.share_of_images
    return n_concepts * max(1, round(share * n_images)) <= MOST_IMAGES


@cache
def result(study: Study) -> Result:
    """What pages load of the first seed of each counted model, as files of a stored result.

    "<model>.js" has positions, shares of variance and scores of all layers, "<model>-<layer>.js"
    the graph of one, `SPRITE` all images, where a page may show them. Of more than `MOST_IMAGES`
    images there is nothing.
    """
    about = study.stimuli
    return Result(
        f"{study.name}/explorer",
        _write,
        {
            "study": Known(study, by=about.model_dump(mode="json")),
            "stimuli": pipeline.stimuli(study),
            "human": pipeline.human(study),
            "may_show": about.MAY_SHOW,
            "n_neighbors": study.file.measures.n_neighbors,
            "models": {
                model.id: {
                    "representations": pipeline.representations(study, model),
                    "scores": pipeline.measure(study, model, "convexity"),
                }
                for model in models(study)
            },
        },
        chosen={"data": about.kind, "measures": "convexity"},
    )


def models(study: Study) -> list[Model]:
    """The first seed of each counted model."""
    first: dict[str, Model] = {}
    for model in study.models:
        if model.counted:
            first.setdefault(model.name, model)
    return [*first.values()]


def _write(
    folder: Path,
    *,
    study: Study,
    stimuli: Path,
    human: Path,
    may_show: bool,
    n_neighbors: int,
    models: dict[str, dict[str, Path]],
) -> None:
    people = Human.load(human)
    if len(people.shown) > MOST_IMAGES:
        (folder / "none.txt").write_text(f"More than {MOST_IMAGES:,} images.\n", encoding="utf-8")
        return
    if may_show:
        rows = range(len(people.shown)) if people.measured is None else people.measured.tolist()
        whole = sprite(pipeline.images(study, "test")[0], rows)
        whole.save(folder / SPRITE, quality=_QUALITY, subsampling=0, optimize=True)
    for name, stored in models.items():
        scores = pd.read_parquet(stored["scores"] / "rows.parquet")
        of_kind = {kind: _scores(scores, kind) for kind in _measures(scores)}
        layers = _features(stored["representations"], people)
        write(folder, name, layers, n_neighbors=n_neighbors, scores=of_kind)


def write(
    folder: Path,
    name: str,
    layers: Iterable[np.ndarray],
    *,
    n_neighbors: int,
    scores: Mapping[str, Mapping[str, Any]],
) -> None:
    """Write what a page loads of a model.

    Parameters
    ----------
    folder : Path
    name : str
        Of the model.
    layers : iterable of ndarrays of shape (n_images, n_features)
        One at a time is in memory.
    n_neighbors : int
    scores : mapping
        Of each kind of classes, "mean", a score a layer or None, and "classes", by name such lists.
    """
    of_plane, of_graph = tee(layers)
    found, graphs = [], []
    for number, (plane, X) in enumerate(zip(planes(of_plane), of_graph, strict=True)):
        graph = Graph.of(X, n_neighbors=n_neighbors)
        found.append(plane)
        graphs.append(graph is not None)
        if graph is not None:
            _save(folder, f"{name}-{number}", graph.packed())
    content = {
        "positions": [plane and _packed(np.rint(plane[0] * _REACH), "<i2") for plane in found],
        "variance": [plane and [round(share, 4) for share in plane[1]] for plane in found],
        "graphs": graphs,
        "scores": scores,
    }
    _save(folder, name, content)


def _features(
    representations: Path, people: Human, numbers: Iterable[int] | None = None
) -> Iterator[np.ndarray]:
    """What was measured at each layer, or at some: as `layers.Layer` has it."""
    from convexlib.models.representations import load, n_layers

    n = n_layers(representations / "test")
    for number in range(n) if numbers is None else numbers:
        X = load(representations / "test", number % n)
        yield X if people.measured is None else X[people.measured]


_OF_KIND = {"category": "convexity", "concept": "concept_convexity"}
_MANY = {"category": "categories", "concept": "concepts"}


def _measures(scores: pd.DataFrame) -> list[str]:
    """Kinds of classes that were measured."""
    return [kind for kind, measure in _OF_KIND.items() if measure in {*scores["measure"]}]


def _scores(scores: pd.DataFrame, kind: str) -> dict[str, Any]:
    """Of all layers, the mean over classes and each class, in the order of `_classes`."""
    own = scores[(scores["measure"] == _OF_KIND[kind]) & (scores["space"] == ORIGINAL)]
    mean = own[own["kind"] == ""].set_index("layer")["value"]
    of_class = own[own["kind"] == kind].pivot(index="layer", columns="concept", values="value")
    of_class = of_class.reindex(mean.index)
    return {
        "mean": _numbers(mean),
        "classes": {name: _numbers(values) for name, values in of_class.items()},
    }


def _numbers(values: pd.Series) -> list[float | None]:
    return [None if value != value else round(value, 4) for value in values.tolist()]


def _classes(people: Human) -> dict[str, pd.DataFrame]:
    """Which image is a member of which class, of each kind of classes."""
    found = {"category": people.categories}
    if people.n_images > 1:
        concept = people.concept[people.shown].remove_unused_categories()
        found["concept"] = pd.get_dummies(concept, dtype=bool)
    return {kind: table.rename(columns=str) for kind, table in found.items()}


def _save(folder: Path, name: str, data: Mapping[str, Any]) -> None:
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    script = f"convexlibExplorer({json.dumps(name)},{text});\n"
    (folder / f"{name}.js").write_text(script, encoding="utf-8")


def read(folder: Path, name: str) -> dict[str, Any]:
    """The data that a script of `result` brings."""
    text = (folder / f"{name}.js").read_text(encoding="utf-8")
    return json.loads(text[text.index("{") : text.rindex("}") + 1])


def positions(data: Mapping[str, Any], layer: int) -> np.ndarray:
    """Where a page puts all images at a layer of a model: (n_images, 2), in [-1, 1]."""
    return _unpacked(data["positions"][layer], "<i2").reshape(-1, 2) / _REACH


def _packed(values: np.ndarray, dtype: str) -> str:
    return base64.b64encode(np.ascontiguousarray(values, dtype=dtype).tobytes()).decode()


def _unpacked(text: str, dtype: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), dtype=dtype)


class Start(NamedTuple):
    """What a page shows first: a model, a class, and two of its images, by row."""

    model: Model
    name: str
    source: int
    target: int


@cache
def start(study: Study) -> Start:
    """The model and the category that gain most convexity from the first layer to the last.

    Of its pairs one whose path is outside most at the first layer, and least at the last, and whose
    images do not hide each other on the map.
    """
    folder, categories = result(study).get(), _classes(pipeline.judged(study))["category"]
    largest = str(categories.columns[categories.sum().argmax()])
    best, model, name = -np.inf, models(study)[0], largest
    for each in models(study):
        scores = read(folder, each.id)["scores"]["category"]["classes"]
        for of_class, values in scores.items():
            first, last = values[0], values[-1]
            if first is not None and last is not None and last - first > best:
                best, model, name = last - first, each, of_class
    members, data = categories[name].to_numpy(), read(folder, model.id)
    ends = [_ranked(X, study.file.measures.n_neighbors) for X in _of_layers(study, model, [0, -1])]
    maps = [data["positions"][n] and positions(data, n) for n in (0, -1)]
    rng, rows = np.random.default_rng(0), np.flatnonzero(members)
    pairs = [rng.choice(rows, 2, replace=False) for _ in range(_N_TRIED)]

    def worth(pair: np.ndarray) -> tuple[float, float]:
        """How much there is to see from the first layer to the last."""
        paths = [_path(graph, *pair, members) for graph in ends]
        if not all(2 < len(path) <= _MOST_SHOWN for path in paths):
            return -np.inf, 0.0
        first, last = (score(path, members) for path in paths)
        gaps = [pdist(at[path]).min() for at, path in zip(maps, paths, strict=True)]
        return round(last - first, 1), min(gaps)

    source, target = max(pairs, key=worth)
    return Start(model, name, int(source), int(target))


def _path(
    graph: shortest_paths.PathGraph | None, source: int, target: int, members: np.ndarray
) -> np.ndarray:
    if graph is None:
        return np.empty(0, dtype=np.int64)
    return shortest_paths.path(graph, source, target, members)


def _of_layers(study: Study, model: Model, numbers: Iterable[int]) -> list[np.ndarray]:
    """What was measured at some layers."""
    folder = pipeline.representations(study, model).get()
    return [*_features(folder, pipeline.judged(study), numbers)]


def opening(study: Study) -> Markdown:
    """What to see, in a sentence: how convex the space and a class are at either end."""
    begun, words = start(study), study.stimuli.WORDS
    scores = read(result(study).get(), begun.model.id)["scores"]["category"]
    label = _labels(study)[begun.model.id]
    all_classes = f"the mean over all {words['categories']}"
    (first, last), (mean, last_mean) = (
        ["undefined" if v is None else f"{v:.2f}" for v in (values[0], values[-1])]
        for values in (scores["classes"][begun.name], scores["mean"])
    )
    head = f"In *{label}*, the graph convexity of **{begun.name}**"
    if len(scores["mean"]) == 1:
        return Markdown(f"{head} is {first}, and {all_classes} {mean}.")
    return Markdown(
        f"{head} goes from {first} at the first layer to {last} at the last, and {all_classes} "
        f"from {mean} to {last_mean}."
    )


def show(study: Study) -> HTML:
    """The explorer of a study, for its page, with `still` where no script runs."""
    people, begun, chosen = pipeline.judged(study), start(study), models(study)
    families, labels = tables.style(study)["families"], _labels(study)
    classes = _classes(people)
    page = content(
        classes,
        names=[str(people.names[row]) for row in people.shown],
        models=[
            (model.id, labels[model.id], families.get(model.family, {}).get("color", "#555555"))
            for model in chosen
        ],
        start=(
            chosen.index(begun.model),
            [*classes["category"]].index(begun.name),
            begun.source,
            begun.target,
        ),
        words=study.stimuli.WORDS,
        pairs=study.file.measures.pairs,
        may_show=study.stimuli.MAY_SHOW,
    )
    alt = (
        f"All images at the first, a middle and the last layer of {labels[begun.model.id]}, in a "
        f"plane, with those of {begun.name} in blue, and a line that is the shortest path between "
        "two of them."
    )
    return mount("explorer", page, still=still(study), alt=alt)


def content(
    classes: Mapping[str, pd.DataFrame],
    *,
    names: Sequence[str],
    models: Sequence[tuple[str, str, str]],
    start: tuple[int, int, int, int],
    words: Mapping[str, str],
    pairs: str = "all",
    may_show: bool = True,
) -> dict[str, Any]:
    """What a page has to know before it loads a model.

    Parameters
    ----------
    classes : mapping of DataFrames of bool, shape (n_images, n_classes)
        Of "category", and maybe of "concept", which image is a member of which class.
    names : sequence of str
        Of each image; those of one name are numbered.
    models : sequence of tuples of str
        Name of the files, label and colour of each.
    start : tuple of four ints
        Numbers of a model and of a category, and two of its images.
    words : mapping of str
        What concepts and categories are called.
    pairs : {"all", "joined"}, default="all"
        Whether pairs without a path count.
    may_show : bool, default=True
        Whether there is `SPRITE`.
    """
    found, of_image = np.unique(names, return_inverse=True)
    return {
        "folder": f"../_static/{FOLDER}",
        "n": len(names),
        "pairs": pairs,
        "sprite": {"file": SPRITE, "columns": _n_columns(len(names))} if may_show else None,
        "names": found.tolist(),
        "images": _packed(of_image, "<u2"),
        "kinds": [
            {"key": kind, "one": words[kind], "many": words[_MANY[kind]], "classes": [*table]}
            | _members(table.to_numpy())
            for kind, table in classes.items()
        ],
        "models": [dict(zip(("id", "label", "color"), model, strict=True)) for model in models],
        "start": dict(zip(("model", "class", "source", "target"), start, strict=True)),
    }


def _members(members: np.ndarray) -> dict[str, str]:
    """Of each image its class, by number; or bits, image by image, where it may have several."""
    if (members.sum(axis=1) == 1).all():
        return {"codes": _packed(members.argmax(axis=1), "<u2")}
    return {"bits": _packed(np.packbits(members, bitorder="little"), "u1")}


def _labels(study: Study) -> dict[str, str]:
    """What models are called, by id."""
    style = tables.style(study)
    families, known = style["families"], style["labels"]
    found = {
        model.id: model.name
        if model.added
        else f"{families.get(model.family, {}).get('label', model.family)} {model.size}, "
        f"{known.get(model.variant, model.variant)}"
        for model in models(study)
    }
    return {
        model.id: label if [*found.values()].count(label) == 1 else model.name
        for model, label in zip(models(study), found.values(), strict=True)
    }


def score(path: np.ndarray, members: np.ndarray) -> float | None:
    """The score of a pair of a class, by the path between them; None where there is none.

    Parameters
    ----------
    path : ndarray of int
        As of `convexlib.graph_path`.
    members : ndarray of bool
        The members of the class.

    Examples
    --------
    >>> score(np.array([0, 1, 2, 3]), np.array([True, True, False, True]))
    0.5
    """
    if len(path) == 0:
        return None
    between = members[path[1:-1]]
    return float(between.mean()) if len(between) else 1.0


def said(path: np.ndarray, members: np.ndarray, name: str, *, pairs: str = "all") -> str:
    """The score of a pair in words.

    Examples
    --------
    >>> said(np.array([0, 1, 2, 3]), np.array([True, True, False, True]), "green")
    '1 of 2 images between is green: 0.50'
    """
    if len(path) == 0:
        return "no path: 0" if pairs == "all" else "no path: not counted"
    if len(path) == 2:
        return "neighbours: 1"
    between = members[path[1:-1]]
    n, inside = len(between), int(between.sum())
    images, verb = "image" if n == 1 else "images", "is" if inside == 1 else "are"
    share = f"{np.floor(100 * inside / n + 0.5) / 100:.2f}" if 0 < inside < n else f"{inside // n}"
    return f"{inside} of {n} {images} between {verb} {name}: {share}"


def still(study: Study) -> "Figure":
    """The map at the first, a middle and the last layer, with one path on each.

    Its attribute ``phone`` is the same, drawn for a phone.
    """
    figure = _drawn(study, in_rows=False)
    figure.phone = _drawn(study, in_rows=True)
    return figure


def _drawn(study: Study, *, in_rows: bool) -> "Figure":
    from matplotlib.figure import Figure

    from convexlib import figures

    begun, folder = start(study), result(study).get()
    measures, data = study.file.measures, read(folder, begun.model.id)
    last = len(data["graphs"]) - 1
    layers = sorted({0, (last + 1) // 2, last})
    members = _classes(pipeline.judged(study))["category"][begun.name].to_numpy()
    shape = (len(layers), 1) if in_rows else (1, len(layers))
    width = figures.PHONE if in_rows else figures.WIDTH
    height = width / shape[1] + 0.55
    size = (width, height * shape[0])
    figure = Figure(figsize=size, dpi=_DPI, layout="constrained")  # none that a notebook shows
    axes = figure.subplots(*shape, squeeze=False)
    features = _of_layers(study, begun.model, layers)
    pictures = _pictures(folder, len(members))
    for ax, layer, X in zip(axes.ravel(), layers, features, strict=True):
        ax.set(xlim=(-1.12, 1.12), ylim=(-1.12, 1.12), aspect="equal", xticks=[], yticks=[])
        ax.set_title(f"layer {layer} of {last}")
        if data["positions"][layer] is None:
            continue
        at = positions(data, layer)
        for of, color, area in ((~members, _OTHERS, 4), (members, _INSIDE, 9)):
            ax.scatter(*at[of].T, s=area, color=color, linewidth=0, rasterized=True)
        path = _path(_ranked(X, measures.n_neighbors), begun.source, begun.target, members)
        words = said(path, members, begun.name, pairs=measures.pairs)
        ax.set_xlabel(words.replace(" between ", " between\n"), fontsize="medium")
        ax.plot(*at[path].T, color="k", linewidth=1.2)
        for number, row in enumerate(path):
            is_end = number in (0, len(path) - 1)
            color = "k" if is_end else _INSIDE if members[row] else _OUTSIDE
            _mark(ax, at[row], color, pictures and pictures[row])
    return figure


def _mark(ax: "Axes", at: np.ndarray, color: str, picture: Image.Image | None) -> None:
    """An image on a path: its picture in a frame, or a disc; dashed, or a cross, if outside."""
    from matplotlib.offsetbox import AnnotationBbox, OffsetImage

    is_out = color == _OUTSIDE
    if picture is None:
        ax.plot(*at, marker="X" if is_out else "o", color=color, markersize=8, markeredgecolor="w")
        return
    box = OffsetImage(np.asarray(picture), zoom=13 / picture.width)
    frame = {"edgecolor": color, "linewidth": 1.8, "linestyle": (0, (2, 1)) if is_out else "-"}
    ax.add_artist(AnnotationBbox(box, at, pad=0.1, bboxprops=frame))


def _pictures(folder: Path, n: int) -> list[Image.Image] | None:
    """The images of a sprite, where there is one."""
    if not (folder / SPRITE).exists():
        return None
    n_columns = _n_columns(n)
    with Image.open(folder / SPRITE) as whole:
        size = whole.width // n_columns
        corners = [(size * (row % n_columns), size * (row // n_columns)) for row in range(n)]
        return [whole.crop((x, y, x + size, y + size)) for x, y in corners]

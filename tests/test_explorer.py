"""See a concept form: the files that a page loads, and what the widget finds with them."""

import base64
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from heapq import heappop, heappush
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page

import convexlib as cv
from convexlib import pipeline, tables
from convexlib.data import colors
from convexlib.store import ROOT
from convexlib.study import Model, Study
from convexlib.widgets import explorer, mount
from tests.servers import served

WORDS = {
    "concept": "letter",
    "concepts": "letters",
    "category": "group",
    "categories": "groups",
}
PHONE, DESK = {"width": 390, "height": 844}, {"width": 1200, "height": 900}


class Known(NamedTuple):
    """All that a page was made of."""

    layers: dict[str, list[np.ndarray]]
    classes: dict[str, pd.DataFrame]
    n_neighbors: int


def grid() -> np.ndarray:
    """Points of which many are equally near, so that paths tie."""
    return np.stack(np.meshgrid(np.arange(9.0), np.arange(9.0)), axis=-1).reshape(-1, 2)


def known(seed: int = 0) -> Known:
    """Two models of few layers, on which all happens that can happen."""
    rng = np.random.default_rng(seed)
    n = len(grid())
    parted = rng.normal(size=(n, 5))
    parted[::2, 0] += 100
    alike, broken = np.ones((n, 3)), rng.normal(size=(n, 3))
    broken[3, 0] = np.nan
    layers = {
        "deep": [grid(), rng.normal(size=(n, 8)), parted, alike, broken],
        "flat": [rng.normal(size=(n, 3))],
    }
    categories = pd.DataFrame(rng.random((n, 3)) < 0.4, columns=["round", "tall", "thin & long"])
    concept = pd.get_dummies(pd.Series(np.arange(n) % 4).map(dict(enumerate("abcd"))), dtype=bool)
    return Known(layers, {"category": categories, "concept": concept}, 4)


@pytest.fixture
def vits_shown(vits: Study) -> Study:
    cv.figures.set_style(tables.style(vits))
    return vits


# The files.


def keys(graph: explorer.Graph, source: int, members: np.ndarray) -> dict[int, tuple]:
    """Length, steps and members of the best path to each sample, by the definition."""
    edges: dict[int, list[tuple[int, int]]] = {}
    for low, high, length in zip(*graph.ends.tolist(), graph.lengths.tolist(), strict=True):
        edges.setdefault(low, []).append((high, length))
        edges.setdefault(high, []).append((low, length))
    found: dict[int, tuple] = {}
    waiting = [((0, 0, 0), source)]
    while waiting:
        key, row = heappop(waiting)
        if row in found:
            continue
        found[row] = key
        for other, length in edges.get(row, ()):
            step = (key[0] + length, key[1] + 1, key[2] - int(members[row]))
            heappush(waiting, (step, other))
    return found


def key_of(graph: explorer.Graph, path: np.ndarray, members: np.ndarray) -> tuple:
    """The same of one path."""
    ends = zip(*graph.ends.tolist(), strict=True)
    lengths = dict(zip(ends, graph.lengths.tolist(), strict=True))
    steps = [(min(pair), max(pair)) for pair in pairwise(path)]
    return sum(lengths[step] for step in steps), len(steps), -int(members[path[:-1]].sum())


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_the_graph_is_that_of_the_neighbours(layer: int) -> None:
    X = known().layers["deep"][layer]
    graph = explorer.Graph.unpacked(explorer.Graph.of(X, n_neighbors=4).packed())
    expected = cv.neighbor_graph(X, n_neighbors=4).tocoo()
    once = expected.row < expected.col
    distance = {
        (row, column): value
        for row, column, value in zip(
            expected.row[once], expected.col[once], expected.data[once], strict=True
        )
    }
    assert [*zip(*graph.ends.tolist(), strict=True)] == sorted(distance)
    of_edge = np.array([distance[pair] for pair in zip(*graph.ends.tolist(), strict=True)])
    # Each connected part has a unit of its own, a power of two times its shortest edge.
    part = np.zeros(len(of_edge)) if layer != 2 else graph.ends[0] % 2
    for each in np.unique(part):
        units = of_edge[part == each] / graph.lengths[part == each]
        assert np.ptp(units) < 1e-9 * units.mean()
    assert graph.n_images == len(X)
    assert 0 < graph.lengths.sum() < 2**53


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_paths_in_the_graph_are_those_that_count(layer: int) -> None:
    about = known()
    X, members = about.layers["deep"][layer], about.classes["category"]["tall"].to_numpy()
    graph = explorer.Graph.of(X, n_neighbors=4)
    rows = np.flatnonzero(members)
    for source in rows[:4]:
        best = keys(graph, source, members)
        for target in rows[4:12]:
            path = cv.graph_path(X, source, target, members=members, n_neighbors=4)
            assert (len(path) > 0) == (target in best)
            if len(path):
                assert key_of(graph, path, members) == best[target]


def test_scores_of_pairs_are_what_the_score_of_a_class_is_the_mean_of() -> None:
    about = known()
    X, members = about.layers["deep"][2], about.classes["category"]["tall"].to_numpy()
    rows = np.flatnonzero(members)[:7]
    members = np.isin(np.arange(len(X)), rows)
    scores = [
        explorer.score(cv.graph_path(X, a, b, members=members, n_neighbors=4), members) or 0.0
        for a in rows
        for b in rows
        if a != b
    ]
    labels = np.stack([members, ~members], axis=1)
    expected = cv.graph_convexity_score(X, labels, n_neighbors=4, average=None)
    assert np.mean(scores) == pytest.approx(expected.iloc[0])


@pytest.mark.parametrize(
    ("inside", "pairs", "words"),
    [
        ([], "all", "no path: 0"),
        ([], "joined", "no path: not counted"),
        ([1, 1], "all", "neighbours: 1"),
        ([1, 1, 1], "all", "1 of 1 image between is red: 1"),
        ([1, 0, 0, 1], "all", "0 of 2 images between are red: 0"),
        ([1, 0, 1, 1, 1, 0, 0, 0, 0, 1], "all", "3 of 8 images between are red: 0.38"),
    ],
)
def test_a_score_in_words(inside: list[int], pairs: str, words: str) -> None:
    path, members = np.arange(len(inside)), np.array(inside, dtype=bool)
    assert explorer.said(path, members, "red", pairs=pairs) == words


def test_layers_that_tell_nothing_apart_or_are_no_numbers_have_no_graph() -> None:
    *_, alike, broken = known().layers["deep"]
    assert explorer.Graph.of(alike, n_neighbors=4) is None
    assert explorer.Graph.of(broken, n_neighbors=4) is None


def test_each_plane_lies_on_the_one_before() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(50, 2)) * [3, 1]
    turn = np.linalg.qr(rng.normal(size=(6, 6)))[0][:2]  # into six dimensions
    broken = np.where(np.arange(50)[:, None] == 7, np.inf, X)
    first, second, none, third = explorer.planes([X, 100 * X @ turn + 5, broken, X * [-1, 1]])
    assert none is None
    np.testing.assert_allclose(first[0], second[0], atol=1e-9)
    np.testing.assert_allclose(first[0], third[0], atol=1e-9)
    assert sum(first[1]) == pytest.approx(1)
    assert first[1][0] > first[1][1]
    assert abs(first[0]).max() == pytest.approx(1)


@pytest.mark.parametrize("shape", [(20, 1), (20, 2), (5, 40)])
def test_planes_of_few_images_or_features_keep_all_distances_that_they_can(
    shape: tuple[int, int],
) -> None:
    X = np.random.default_rng(0).normal(size=shape)
    ((plane, shares),) = explorer.planes([X])
    assert plane.shape == (shape[0], 2)
    expected = np.linalg.svd(X - X.mean(axis=0), compute_uv=False) ** 2
    expected = np.pad(expected / expected.sum(), (0, 1))[:2]
    np.testing.assert_allclose(shares, expected, atol=1e-9)


def test_a_plane_where_all_images_are_alike_is_a_point() -> None:
    ((plane, shares),) = explorer.planes([np.full((4, 3), 0.1)])
    assert (plane == 0).all()
    assert shares == (0, 0)


def test_images_side_by_side() -> None:
    images = [Image.new("RGB", (8, 6), color) for color in ("red", "lime", "blue", "black")]
    whole = explorer.sprite(images, [3, 0, 2, 1, 0])
    assert whole.size == (24, 16)
    middles = [whole.getpixel((8 * (i % 3) + 4, 8 * (i // 3) + 4)) for i in range(5)]
    red, lime, blue, black = (255, 0, 0), (0, 255, 0), (0, 0, 255), (0, 0, 0)
    assert middles == [black, red, blue, lime, red]
    assert whole.getpixel((0, 0)) == (255, 255, 255)  # an oblong stands in the middle
    many = [np.zeros((64, 64, 3), np.uint8)] * 3000
    assert np.prod(explorer.sprite(many, range(3000)).size) < 1.6e6


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    about = known()
    scores = {"category": {"mean": [0.5, None], "classes": {"tall": [0.25, None]}}}
    layers = about.layers["deep"]
    explorer.write(tmp_path, "deep", iter(layers), n_neighbors=4, scores=scores)
    files = {path.name for path in tmp_path.iterdir()}
    assert files == {"deep.js", "deep-0.js", "deep-1.js", "deep-2.js"}
    for path in tmp_path.iterdir():
        assert re.fullmatch(
            rf'convexlibExplorer\("{path.stem}",\{{.*\}}\);\n', path.read_text(), re.DOTALL
        )
    data = explorer.read(tmp_path, "deep")
    assert data["scores"] == scores
    assert data["graphs"] == [True, True, True, False, False]
    assert [share and len(share) for share in data["variance"]] == [2, 2, 2, 2, None]
    for number, plane in enumerate(explorer.planes(layers)):
        if plane is None:
            assert data["positions"][number] is None
        else:
            np.testing.assert_allclose(explorer.positions(data, number), plane[0], atol=1e-4)
    again = explorer.Graph.unpacked(explorer.read(tmp_path, "deep-1"))
    expected = explorer.Graph.of(layers[1], n_neighbors=4)
    np.testing.assert_array_equal(again.ends, expected.ends)
    np.testing.assert_array_equal(again.lengths, expected.lengths)


def test_a_page_knows_classes_and_names_in_few_bytes() -> None:
    about = known()
    names = [f"letter {row % 4}" for row in range(81)]
    made = explorer.content(
        about.classes, names=names, models=[("deep", "Deep", "#000")], start=(0, 0, 1, 2),
        words=WORDS,
    )  # fmt: skip
    category, concept = made["kinds"]
    bits = np.unpackbits(np.frombuffer(base64.b64decode(category["bits"]), "u1"), bitorder="little")
    np.testing.assert_array_equal(bits[: 81 * 3].reshape(81, 3), about.classes["category"])
    codes = np.frombuffer(base64.b64decode(concept["codes"]), "<u2")
    np.testing.assert_array_equal(codes, np.arange(81) % 4)
    of_image = np.frombuffer(base64.b64decode(made["images"]), "<u2")
    assert [made["names"][code] for code in of_image] == names


@pytest.mark.parametrize(
    ("extent", "share", "there"),
    [((14, 50), 1, True), ((1000, 3), 1, True), ((1000, 4), 1, False), ((1000, 4), 0.5, True)],
)
def test_a_study_of_too_many_images_has_no_explorer(
    extent: tuple[int, int], share: float, there: bool
) -> None:
    measures = SimpleNamespace(share_of_images=share)
    study = SimpleNamespace(
        stimuli=SimpleNamespace(extent=extent), file=SimpleNamespace(measures=measures)
    )
    assert explorer.is_for(study) == there


def test_the_result_holds_what_was_measured(vits: Study) -> None:
    folder, people = explorer.result(vits).get(), pipeline.judged(vits)
    n = vits.file.measures.n_neighbors
    classes = {
        "category": people.categories,
        "concept": pd.get_dummies(people.concept[people.shown], dtype=bool),
    }
    assert [model.seed for model in explorer.models(vits)] == [0, 0]
    for model in explorer.models(vits):
        data = explorer.read(folder, model.id)
        assert data["graphs"] == [True] * 3
        for layer in range(3):
            X = features(vits, model, layer)
            stored = explorer.Graph.unpacked(explorer.read(folder, f"{model.id}-{layer}"))
            expected = cv.neighbor_graph(X, n_neighbors=n).tocoo()
            once = expected.row < expected.col
            ends = np.stack([expected.row[once], expected.col[once]])
            np.testing.assert_array_equal(stored.ends, ends[:, np.lexsort(ends[::-1])])
            for kind, members in classes.items():
                of_class = cv.graph_convexity_score(X, members, n_neighbors=n, average=None)
                found = data["scores"][kind]
                assert found["mean"][layer] == pytest.approx(of_class.mean(), abs=1e-4)
                assert {*found["classes"]} == {*members.columns}
                for name, value in of_class.items():
                    assert found["classes"][name][layer] == pytest.approx(value, abs=1e-4)
    with Image.open(folder / explorer.SPRITE) as sprite:
        assert sprite.width // 32 * (sprite.height // 32) >= len(people.shown)


def features(study: Study, model: Model, layer: int) -> np.ndarray:
    from convexlib.models.representations import load

    return load(pipeline.representations(study, model).get() / "test", layer)


def test_images_that_may_not_be_shown_are_not(
    vits_shown: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = explorer.result(vits_shown)
    monkeypatch.setattr(colors.Stimuli, "MAY_SHOW", False)
    explorer.result.cache_clear()
    after = explorer.result(vits_shown)
    assert after.fingerprint != before.fingerprint
    assert not (after.get() / explorer.SPRITE).exists()
    shown = explorer.show(vits_shown).data
    assert '"sprite":null' in shown
    explorer.result.cache_clear()
    explorer.start.cache_clear()


def test_the_page_begins_with_what_can_be_seen(vits_shown: Study) -> None:
    begun = explorer.start(vits_shown)
    members = pipeline.judged(vits_shown).categories[begun.name].to_numpy()
    assert members[[begun.source, begun.target]].all()
    assert begun.source != begun.target
    assert begun.name in explorer.opening(vits_shown).data
    figure = explorer.still(vits_shown)
    assert [ax.get_title("left") for ax in figure.axes] == [f"layer {n} of 2" for n in range(3)]
    assert len(figure.phone.axes) == 3
    assert plt.get_fignums() == []  # or the notebook would show it again


# The widget.


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    with served(tmp_path / "site") as address:
        yield address


@pytest.fixture
def opened(browser: Browser, address: str, tmp_path: Path) -> Iterator[Callable[..., Page]]:
    """Opens a page with a widget; in the end there was no complaint, and nothing was asked for
    elsewhere."""
    problems: list[str] = []
    contexts = []

    def open_page(html: str, *, from_disk: bool = False, **options: Any) -> Page:
        static = tmp_path / "site" / "_static"
        shutil.copytree(ROOT / "book" / "_static", static, dirs_exist_ok=True)
        path = tmp_path / "site" / "notebooks" / "explorer.html"
        path.parent.mkdir(exist_ok=True)
        head = (
            '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Explorer</title>'
            '<meta name="viewport" content="width=device-width">'
            '<link rel="icon" href="../_static/favicon.svg">'
            '<link rel="stylesheet" href="../_static/convexlib.css"></head><body><main>'
        )
        path.write_text(f"{head}<h1>See</h1>{html}</main></body></html>", encoding="utf-8")
        context = browser.new_context(**{"viewport": DESK, "reduced_motion": "reduce"} | options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda said: problems.append(said.text))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("requestfailed", lambda request: problems.append(request.url))
        mine = path.as_uri() if from_disk else f"{address}/notebooks/explorer.html"
        start = path.parents[1].as_uri() if from_disk else address
        page.on("request", lambda r: None if r.url.startswith(start) else problems.append(r.url))
        page.goto(mine, wait_until="load")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert problems == []


@pytest.fixture
def made(tmp_path: Path) -> str:
    """A page of arrays."""
    about = known()
    folder = tmp_path / "site" / "_static" / explorer.FOLDER
    folder.mkdir(parents=True)
    for name, layers in about.layers.items():
        scores = {
            kind: {
                "mean": [0.5] * len(layers),
                "classes": {name: [0.25] * len(layers) for name in table},
            }
            for kind, table in about.classes.items()
        }
        explorer.write(folder, name, layers, n_neighbors=about.n_neighbors, scores=scores)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (81, 16, 16, 3), dtype=np.uint8)
    explorer.sprite(images, range(81)).save(folder / explorer.SPRITE)
    return page_of(about)


def page_of(about: Known, **options: Any) -> str:
    rows = np.flatnonzero(about.classes["category"]["tall"])
    content = explorer.content(
        about.classes,
        names=[f"letter {row % 4}" for row in range(81)],
        models=[("deep", "Deep", "#0072B2"), ("flat", "Flat", "#D55E00")],
        start=(0, 1, int(rows[0]), int(rows[-1])),
        words=WORDS,
        **options,
    )
    figure = plt.figure(figsize=(4, 2))
    html = mount("explorer", content, still=figure, alt="a map of all images at three layers").data
    plt.close(figure)
    return html


def settled(page: Page, action: Callable[[], Any] | None = None) -> None:
    """Do something, and wait until the widget shows what was asked for."""
    ready = page.locator('[data-widget="explorer"][data-ready]')
    before = ready.get_attribute("data-ready")
    if action:
        action()
        page.wait_for_function(
            "before => document.querySelector('[data-ready]').dataset.ready !== before", arg=before
        )


def path_on(page: Page) -> list[int]:
    """The path that the page walks; empty where it says that there is none."""
    if page.locator(".steps.broken").count():
        return []
    rows = page.locator(".steps li").evaluate_all("items => items.map(item => item.dataset.row)")
    return [int(row) for row in rows]


def choose(page: Page, label: str, value: object) -> None:
    settled(page, lambda: page.get_by_label(label, exact=True).select_option(str(value)))


def to_layer(page: Page, layer: int) -> None:
    settled(page, lambda: page.get_by_label("Layer", exact=True).fill(str(layer)))


def check(page: Page, X: np.ndarray, members: np.ndarray, name: str, n_neighbors: int) -> int:
    """Compare the path on the page with what the package finds; how long it is."""
    source, target = (
        int(page.get_by_label(label, exact=True).input_value()) for label in ("From", "To")
    )
    path = np.array(path_on(page), dtype=int)
    expected = cv.graph_path(X, source, target, members=members, n_neighbors=n_neighbors)
    assert len(path) == len(expected)
    if len(path):
        graph = explorer.Graph.of(X, n_neighbors=n_neighbors)
        assert (path[0], path[-1]) == (source, target)
        assert key_of(graph, path, members) == key_of(graph, expected, members)
        assert explorer.score(path, members) == explorer.score(expected, members)
    assert page.locator(".said").inner_text() == explorer.said(expected, members, name)
    signs = page.locator(".steps li").evaluate_all("items => items.map(item => item.className)")
    assert signs[1:-1] == ["in" if members[row] else "out" for row in path[1:-1]]
    return len(path)


def test_paths_are_those_of_the_package(opened: Callable[..., Page], made: str) -> None:
    page, about, lengths = opened(made), known(), []
    rng = np.random.default_rng(1)
    for model, layers in enumerate(about.layers.values()):
        if model:
            choose(page, "Model", model)
        for kind, (title, of) in enumerate((("Group", "category"), ("Letter", "concept"))):
            radio = page.locator(f'.switch input[value="{kind}"]')
            if not radio.is_checked():
                settled(page, lambda radio=radio: radio.check(force=True))
            table = about.classes[of]
            for number in rng.permutation(table.shape[1])[:2]:
                if page.get_by_label(title, exact=True).input_value() != str(number):
                    choose(page, title, number)
                members = table.iloc[:, number].to_numpy()
                pair = rng.choice(np.flatnonzero(members), 2, replace=False)
                choose(page, "From", pair[0])
                if page.get_by_label("To", exact=True).input_value() != str(pair[1]):
                    choose(page, "To", pair[1])
                for layer in range(min(3, len(layers))):
                    if len(layers) > 1:
                        to_layer(page, layer)
                    X = layers[layer]
                    lengths.append(check(page, X, members, table.columns[number], 4))
    assert min(lengths) == 0
    assert max(lengths) > 4


def test_a_pair_whose_path_leaves_is_found(opened: Callable[..., Page], made: str) -> None:
    page, about = opened(made), known()
    members = about.classes["category"]["tall"].to_numpy()
    for layer in (1, 0):
        if layer:
            settled(page)
            to_layer(page, layer)
        else:
            to_layer(page, layer)
        for _ in range(3):
            settled(page, page.get_by_role("button", name="A pair whose path leaves").click)
            check(page, about.layers["deep"][layer], members, "tall", 4)
            path = np.array(path_on(page))
            assert not members[path].all()
        settled(page, page.get_by_role("button", name="Random pair").click)
        check(page, about.layers["deep"][layer], members, "tall", 4)


def test_it_says_so_where_no_path_leaves(opened: Callable[..., Page], tmp_path: Path) -> None:
    folder = tmp_path / "site" / "_static" / explorer.FOLDER
    folder.mkdir(parents=True)
    line = np.arange(81.0)[:, None]
    about = known()
    half = pd.DataFrame({"tall": np.arange(81) < 40, "short": np.arange(81) >= 40})
    about = about._replace(classes={"category": half[["short", "tall"]]})
    for name in about.layers:
        explorer.write(folder, name, [line], n_neighbors=2, scores={})
    page = opened(page_of(about, may_show=False))
    settled(page)
    page.get_by_role("button", name="A pair whose path leaves").click()
    said = page.locator(".said").inner_text()
    assert said == "At this layer no path between two images of tall leaves it."
    assert page.locator(".switch").is_hidden()  # there are no concepts to choose
    assert page.get_by_label("Layer", exact=True).is_hidden()  # and one layer
    assert page.locator(".picture").count() == 0
    assert page.locator(".steps .dot").count() > 1


def test_layers_without_a_graph_are_told(opened: Callable[..., Page], made: str) -> None:
    page = opened(made)
    settled(page)
    to_layer(page, 3)
    assert "no graph" in page.locator(".said").inner_text()
    to_layer(page, 4)
    assert "no map" in page.locator(".note").inner_text()
    to_layer(page, 1)
    assert len(path_on(page)) > 1


def test_pairs_that_are_not_counted_are_said_to_be_so(
    opened: Callable[..., Page], made: str
) -> None:
    page = opened(page_of(known(), pairs="joined"))
    settled(page)
    to_layer(page, 2)
    members = known().classes["category"]["tall"].to_numpy()
    rows = np.flatnonzero(members)
    choose(page, "From", rows[rows % 2 == 0][1])
    choose(page, "To", rows[rows % 2 == 1][1])
    assert page.locator(".said").inner_text() == "no path: not counted"


def test_two_images_are_chosen_on_the_map(opened: Callable[..., Page], made: str) -> None:
    page, about = opened(made), known()
    settled(page)
    to_layer(page, 1)
    members = about.classes["category"]["tall"].to_numpy()
    X = about.layers["deep"][1]
    ((plane, _),) = [*explorer.planes(about.layers["deep"][:2])][1:]
    box = page.locator("canvas").bounding_box()
    # The farthest members lie apart from others; the map fills its frame.
    rows = np.flatnonzero(members)
    reach = abs(plane).max(axis=0)
    room = np.array([box["width"] / 2 - 20, box["height"] / 2 - 28])
    scale = (room / reach).min()
    chosen = [rows[plane[rows, 0].argmin()], rows[plane[rows, 0].argmax()]]
    places = [
        (box["width"] / 2 + scale * plane[row, 0], box["height"] / 2 + 8 - scale * plane[row, 1])
        for row in chosen
    ]
    canvas = page.locator("canvas")
    settled(page, lambda: canvas.click(position=dict(zip("xy", places[0], strict=True))))
    assert page.get_by_label("From", exact=True).input_value() == str(chosen[0])
    assert page.get_by_label("To", exact=True).input_value() == ""
    assert "second image" in page.locator(".said").inner_text()
    settled(page, lambda: canvas.click(position=dict(zip("xy", places[1], strict=True))))
    assert page.get_by_label("To", exact=True).input_value() == str(chosen[1])
    check(page, X, members, "tall", 4)


def test_all_is_done_by_keyboard_alone(opened: Callable[..., Page], made: str) -> None:
    page, about = opened(made), known()
    settled(page)

    def tab_to(label: str) -> None:
        for _ in range(30):
            page.keyboard.press("Tab")
            named = page.evaluate(
                """() => {
                    const at = document.activeElement;
                    return at.getAttribute('aria-label')
                        ?? at.labels?.[0]?.firstChild.textContent ?? at.textContent;
                }"""
            )
            if named.strip() == label:
                return
        raise AssertionError(f"{label} is not reached")

    tab_to("Layer")
    settled(page, lambda: page.keyboard.press("ArrowRight"))
    assert page.locator(".at").inner_text() == "Layer 1 of 4"
    tab_to("From")
    settled(page, lambda: page.keyboard.press("ArrowDown"))
    tab_to("To")
    settled(page, lambda: page.keyboard.press("ArrowUp"))
    members = about.classes["category"]["tall"].to_numpy()
    check(page, about.layers["deep"][1], members, "tall", 4)
    tab_to("Random pair")
    settled(page, lambda: page.keyboard.press("Enter"))
    check(page, about.layers["deep"][1], members, "tall", 4)


def test_it_plays_through_the_layers(opened: Callable[..., Page], made: str) -> None:
    page = opened(made)
    settled(page)
    page.get_by_role("button", name="Play").click()
    page.wait_for_function("document.querySelector('.at').textContent === 'Layer 2 of 4'")
    page.get_by_role("button", name="Pause").click()
    page.wait_for_timeout(1700)
    assert page.locator(".at").inner_text() == "Layer 2 of 4"
    assert page.get_by_role("button", name="Play").is_visible()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [PHONE, DESK], ids=["phone", "desk"])
def test_nothing_is_cut_and_all_can_be_hit(
    opened: Callable[..., Page], made: str, viewport: Mapping[str, int], theme: str
) -> None:
    page = opened(made, viewport=viewport, has_touch=viewport is PHONE, reduced_motion=None)
    settled(page)
    page.evaluate(f"document.documentElement.dataset.theme = '{theme}'")
    to_layer(page, 1)
    assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
    assert page.locator(".still").is_hidden()
    controls = page.locator(".live :is(select, button, input[type=range], .switch label)")
    heights = controls.evaluate_all("all => all.map(one => one.getBoundingClientRect().height)")
    assert min(heights) >= 40
    page.emulate_media(media="print")
    assert page.locator(".still").is_visible()
    assert page.locator(".live").is_hidden()


def test_without_scripts_the_figure_stands(opened: Callable[..., Page], made: str) -> None:
    page = opened(made, java_script_enabled=False)
    assert page.locator(".still svg").first.is_visible()
    assert page.locator(".live").count() == 0


def test_it_works_from_disk(opened: Callable[..., Page], made: str) -> None:
    page = opened(made, from_disk=True)
    settled(page)
    to_layer(page, 1)
    assert len(path_on(page)) > 1


def test_a_study_is_explored(
    opened: Callable[..., Page], tmp_path: Path, vits_shown: Study
) -> None:
    static = tmp_path / "site" / "_static"
    static.mkdir(parents=True)
    shutil.copytree(explorer.result(vits_shown).get(), static / explorer.FOLDER)
    page = opened(explorer.show(vits_shown).data)
    settled(page)
    people, begun = pipeline.judged(vits_shown), explorer.start(vits_shown)
    members = people.categories[begun.name].to_numpy()
    n = vits_shown.file.measures.n_neighbors
    assert page.get_by_label("From", exact=True).input_value() == str(begun.source)
    assert page.get_by_label("Colour name", exact=True).locator("option").count() == 6
    for number, model in enumerate(explorer.models(vits_shown)):
        if page.get_by_label("Model", exact=True).input_value() != str(number):
            choose(page, "Model", number)
        measured = explorer.read(explorer.result(vits_shown).get(), model.id)["scores"]["category"]
        for layer in (2, 0, 1):
            if page.get_by_label("Layer", exact=True).input_value() != str(layer):
                to_layer(page, layer)
            check(page, features(vits_shown, model, layer), members, begun.name, n)
            said = page.locator(".key b").all_inner_texts()
            expected = [measured["classes"][begun.name][layer], measured["mean"][layer]]
            assert said[1:] == [f"{value:.2f}" for value in expected]

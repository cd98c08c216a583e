"""A concept by hand: what it says in a browser is what the package computes."""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page

import convexlib as cv
from convexlib.store import ROOT
from convexlib.widgets import convexity_by_hand as widget
from convexlib.widgets.convexity_by_hand import ARRANGEMENTS, HEIGHT, LABELS, LETTERS, WIDTH
from tests.servers import served

PHONE, DESK = {"width": 390, "height": 844}, {"width": 1200, "height": 900}
SIDE, ISLAND, CLUSTERS, INSIDE = ARRANGEMENTS
PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>By hand</title>
<meta name="viewport" content="width=device-width"><link rel="icon" href="data:,">
<link rel="stylesheet" href="../_static/convexlib.css"><style>body {{ font: 16px sans-serif;
margin: 1rem auto; max-width: 800px; padding: 0 1rem 60rem }}</style></head>
<body><main><h1>By hand</h1>{}</main></body></html>"""


def members(label: str) -> np.ndarray:
    return np.flatnonzero(label == LABELS)


def path(X: np.ndarray, a: int, b: int, k: int) -> np.ndarray:
    return cv.graph_path(X, a, b, members=LABELS[a] == LABELS, n_neighbors=k)


def share(way: np.ndarray) -> float:
    """Score of a pair by its path."""
    if len(way) < 3:
        return float(len(way) == 2)
    return float(np.mean(LABELS[way[1:-1]] == LABELS[way[0]]))


def shares(X: np.ndarray, label: str, k: int) -> list[float]:
    return [share(path(X, a, b, k)) for a, b in combinations(members(label).tolist(), 2)]


def counted(X: np.ndarray, label: str, k: int) -> str:
    """How many pairs of a class stay inside, leave, and have no path."""
    ways = [path(X, a, b, k) for a, b in combinations(members(label).tolist(), 2)]
    stay = sum(share(way) == 1 for way in ways)
    broken = sum(len(way) == 0 for way in ways)
    leave = len(ways) - stay - broken
    parts = ["1 pair stays" if stay == 1 else f"{stay} pairs stay"]
    parts += [f"{leave} leave" + "s" * (leave == 1)] if leave else []
    parts += [f"{broken} ha{'s' if broken == 1 else 've'} no path"] if broken else []
    return ", ".join(parts)


# What each arrangement teaches.


@pytest.mark.parametrize("arrangement", ARRANGEMENTS, ids=[each.name for each in ARRANGEMENTS])
def test_an_arrangement_has_places_for_all_and_a_pair_of_one_class(
    arrangement: widget.Arrangement,
) -> None:
    X = arrangement.X
    assert X.shape == (len(LETTERS), 2) == (len(LABELS), 2)
    assert (X >= 16).all()
    assert (X <= [WIDTH - 16, HEIGHT - 16]).all()
    distances = np.linalg.norm(X[:, None] - X, axis=2) + 1000 * np.eye(len(X))
    assert distances.min() > 24  # each can be read, and taken hold of
    a, b = map(LETTERS.index, arrangement.pair)
    assert a < b
    assert LABELS[a] == LABELS[b]
    assert len({each.name for each in ARRANGEMENTS}) == len(ARRANGEMENTS)


def test_the_first_path_breaks_with_few_neighbours_then_leaves_then_stays() -> None:
    a, b = map(LETTERS.index, SIDE.pair)
    few, some, many = (path(SIDE.X, a, b, k) for k in widget._STILL)
    assert widget._STILL[1] == SIDE.k
    assert len(few) == 0
    assert 0 < share(some) < 1
    assert [LETTERS[i] for i in some if LABELS[i] == "orange"] == ["M"]  # as it says
    assert len(many) > 2
    assert share(many) == 1


def test_few_neighbours_break_the_first_graph_and_many_make_it_more_convex() -> None:
    scores = [cv.graph_convexity_score(SIDE.X, LABELS, n_neighbors=k) for k in (1, 2, 3, 4, 5, 15)]
    assert scores == sorted(scores)
    assert len({*scores}) == len(scores)
    assert scores[-1] == 1
    assert cv.connected_share(SIDE.X, LABELS, n_neighbors=1) < 0.5
    assert cv.connected_share(SIDE.X, LABELS, n_neighbors=SIDE.k) == 1


def test_every_path_to_the_island_leads_through_the_other_class() -> None:
    b = LETTERS.index(ISLAND.pair[1])
    others = [i for i in members("blue") if i != b]
    assert all(share(path(ISLAND.X, i, b, ISLAND.k)) < 1 for i in others)
    without = [share(path(ISLAND.X, i, j, ISLAND.k)) for i, j in combinations(others, 2)]
    assert without == [1] * len(without)
    assert cv.connected_share(ISLAND.X, LABELS, n_neighbors=ISLAND.k) == 1


def test_most_pairs_of_a_class_in_two_clusters_have_no_path_until_k_is_one_more() -> None:
    k = CLUSTERS.k
    ways = [path(CLUSTERS.X, a, b, k) for a, b in combinations(members("blue").tolist(), 2)]
    assert sum(len(way) == 0 for way in ways) > len(ways) / 2
    assert all(share(way) == 1 for way in ways if len(way))
    assert cv.connected_share(CLUSTERS.X, LABELS, n_neighbors=k + 1) == 1
    across = path(CLUSTERS.X, *map(LETTERS.index, CLUSTERS.pair), k + 1)
    assert share(across) < 1


def test_a_class_inside_is_convex_and_the_way_across_the_one_outside_leaves_it() -> None:
    a, b = map(LETTERS.index, INSIDE.pair)
    way = path(INSIDE.X, a, b, INSIDE.k)
    assert share(way) < 1
    assert len(way) > 2
    assert shares(INSIDE.X, "blue", INSIDE.k) == [1] * 28
    assert max(LABELS[way[1:-1]]) == "blue"


# The page without scripts.


def test_the_still_figure_says_the_scores_of_the_package() -> None:
    figure = widget.still()
    drawn = [[text.get_text() for text in ax.texts] for ax in figure.axes]
    for k, texts in zip(widget._STILL, drawn, strict=True):
        scores = cv.graph_convexity_score(SIDE.X, LABELS, n_neighbors=k, average=None)
        pair = share(path(SIDE.X, *map(LETTERS.index, SIDE.pair), k))
        assert texts[:-1] == [*LETTERS]
        said, of_classes = texts[-1].split("\n")
        assert float(said.split(": ")[-1]) == pytest.approx(pair, abs=0.005)
        assert of_classes == ", ".join(f"{name} {scores[name]:.2f}" for name in scores.index)
    assert [len(ax.texts) for ax in figure.phone.axes] == [len(texts) for texts in drawn]


def test_the_script_gets_the_arrangements() -> None:
    (content,) = re.findall(r'<script type="application/json">(.*?)</script>', widget.show().data)
    known = json.loads(content)
    assert known["labels"] == LABELS.tolist()
    for given, arrangement in zip(known["arrangements"], ARRANGEMENTS, strict=True):
        np.testing.assert_array_equal(given["points"], arrangement.X)
        assert "".join(LETTERS[i] for i in given["pair"]) == arrangement.pair


# In a browser.


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of a site with nothing but the widget."""
    folder = tmp_path_factory.mktemp("site")
    shutil.copytree(ROOT / "book" / "_static", folder / "_static")
    (folder / "notebooks").mkdir()
    (folder / "notebooks" / "page.html").write_text(PAGE.format(widget.show().data))
    return folder


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    with served(folder) as address:
        yield f"{address}/notebooks/page.html"


Open = Callable[..., Page]


@pytest.fixture
def open_page(browser: Browser, address: str) -> Iterator[Open]:
    """The page, of which nothing is heard on the console and which asks for nothing elsewhere."""
    contexts, problems = [], []

    def heard(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            problems.append(message.text)

    def opened(at: str = address, **options: Any) -> Page:
        options = {"viewport": DESK, "reduced_motion": "reduce"} | options
        contexts.append(browser.new_context(**options))
        page = contexts[-1].new_page()
        page.on("console", heard)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("requestfailed", lambda request: problems.append(request.url))
        page.goto(at, wait_until="networkidle")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert problems == []


def read(page: Page) -> dict[str, Any]:
    """What the widget says of itself."""
    seen = page.evaluate(
        """() => {
            const live = document.querySelector('.by-hand');
            const places = [...live.querySelectorAll('.point')].map(({ dataset }) => dataset);
            return { ...live.dataset, points: places.map(({ x, y }) => [Number(x), Number(y)]) };
        }"""
    )
    return seen | {"X": np.array(seen["points"], dtype=float), "k": int(seen["k"])}


def rank(X: np.ndarray, way: np.ndarray) -> tuple[float, int, int]:
    """By which of two paths the one counts."""
    length = np.linalg.norm(np.diff(X[way], axis=0), axis=1).sum()
    return round(length, 6), len(way), -int((LABELS[way] == LABELS[way[0]]).sum())


def check(page: Page) -> dict[str, Any]:
    """The widget and the package say the same of the points where they are."""
    seen = read(page)
    X, k = seen["X"], seen["k"]
    scores = cv.graph_convexity_score(X, LABELS, n_neighbors=k, average=None)
    assert json.loads(seen["classes"]) == pytest.approx(scores.to_dict(), abs=1e-12)
    assert float(seen["space"]) == pytest.approx(scores.mean(), abs=1e-12)
    said = page.locator(".by-hand .class .title strong").all_text_contents()
    assert [float(text) for text in said] == pytest.approx([*scores], abs=0.0051)
    if seen["pair"]:
        a, b = map(LETTERS.index, seen["pair"].split())
        way = np.array([LETTERS.index(letter) for letter in seen["path"].split()], dtype=int)
        expected = path(X, a, b, k)
        assert len(way) == len(expected)
        if len(way):
            assert (way[0], way[-1]) == (a, b)
            assert rank(X, way) == rank(X, expected)
        assert float(seen["score"]) == pytest.approx(share(expected), abs=1e-12)
        formula = page.locator(".by-hand .formula").text_content()
        assert float(formula.split(": ")[-1]) == pytest.approx(share(expected), abs=0.0051)
    return seen


def at(page: Page, x: float, y: float) -> tuple[float, float]:
    """A place of the plane on the screen."""
    box = page.locator(".by-hand .plane").bounding_box()
    scale = (box["width"] - 2) / WIDTH  # within its border
    return box["x"] + 1 + x * scale, box["y"] + 1 + y * scale


def drag(page: Page, letter: str, x: float, y: float) -> None:
    page.mouse.move(*at(page, *read(page)["points"][LETTERS.index(letter)]))
    page.mouse.down()
    page.mouse.move(*at(page, x, y), steps=3)
    page.mouse.up()


def tap(page: Page, letter: str) -> None:
    page.mouse.click(*at(page, *read(page)["points"][LETTERS.index(letter)]))


def set_k(page: Page, k: int) -> None:
    page.get_by_role("slider", name="nearest neighbours").fill(str(k))


def test_each_arrangement_is_scored_as_by_the_package_at_every_k(open_page: Open) -> None:
    page = open_page()
    for arrangement in ARRANGEMENTS:
        page.get_by_role("button", name=arrangement.name, exact=True).click()
        seen = check(page)
        np.testing.assert_array_equal(seen["X"], arrangement.X)
        assert seen["k"] == arrangement.k
        assert seen["pair"].replace(" ", "") == arrangement.pair
        counts = page.locator(".by-hand .count").all_text_contents()
        assert counts == [counted(seen["X"], label, seen["k"]) for label in ("blue", "orange")]
        for k in range(1, len(LETTERS)):
            set_k(page, k)
            assert check(page)["k"] == k
        for a, b in ("AB", "DH", "IP", "KN"):
            tap(page, a)
            tap(page, b)
            assert check(page)["pair"] == f"{a} {b}"


def test_a_dragged_point_takes_its_edges_and_scores_along(open_page: Open) -> None:
    page = open_page()
    before = check(page)
    drag(page, "L", 60, 260)
    after = check(page)
    moved = np.flatnonzero((before["X"] != after["X"]).any(axis=1))
    assert moved.tolist() == [LETTERS.index("L")]
    np.testing.assert_allclose(after["X"][moved[0]], (60, 260), atol=1)
    assert after["classes"] != before["classes"]
    assert after["pair"] == before["pair"]  # a drag chooses nothing
    drag(page, "L", 900, -200)
    np.testing.assert_array_equal(check(page)["X"][moved[0]], (WIDTH - 16, 16))
    page.get_by_role("button", name="Start again").click()
    np.testing.assert_array_equal(check(page)["X"], SIDE.X)


@pytest.mark.parametrize("step", [1, 40], ids=["anywhere", "on a grid, with ties"])
def test_after_any_drags_the_widget_says_what_the_package_says(open_page: Open, step: int) -> None:
    page = open_page()
    rng = np.random.default_rng(step)
    for n in range(48):
        letter = LETTERS[n % len(LETTERS)]
        x, y = step * rng.integers([20 // step + 1] * 2, [380 // step, 280 // step])
        drag(page, letter, x, y)
        set_k(page, int(rng.integers(1, 6)))
        if n % 3 == 0:
            pick = rng.choice(members(rng.choice(["blue", "orange"])), 2, replace=False)
            page.evaluate(
                """(picked) => picked.forEach((letter) => document
                    .querySelector(`.by-hand [data-point="${letter}"]`)
                    .dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter' })))""",
                [LETTERS[i] for i in pick],
            )
        check(page)
    if step > 1:
        X = read(page)["X"]
        assert (X % step == 0).mean() > 0.9


def test_two_of_one_class_are_chosen_and_the_first_can_be_taken_back(open_page: Open) -> None:
    page = open_page()
    tap(page, "B")
    assert check(page)["pair"] == ""
    assert "another blue" in page.locator(".by-hand .formula").text_content()
    tap(page, "J")  # of the other class: the first of a new pair
    assert "another orange" in page.locator(".by-hand .formula").text_content()
    tap(page, "J")
    assert check(page)["pair"] == "A H"
    tap(page, "G")
    tap(page, "C")
    assert check(page)["pair"] == "C G"
    marked = {
        look: page.locator(f".by-hand .point.{look}").evaluate_all(
            "points => points.map(({ dataset }) => dataset.point)"
        )
        for look in ("end", "inside", "outside")
    }
    between = read(page)["path"].split()[1:-1]
    assert marked == {
        "end": ["C", "G"],
        "inside": sorted(letter for letter in between if letter < "I"),
        "outside": sorted(letter for letter in between if letter >= "I"),
    }


def test_columns_are_the_pairs_from_the_lowest_score_to_the_highest(open_page: Open) -> None:
    page = open_page()
    slider = page.get_by_role("slider", name="Pairs of orange")
    found = []
    for n in range(28):
        slider.fill(str(n))
        if n == 0:
            slider.press("Enter")  # where it stands
        seen = check(page)
        found.append((float(seen["score"]), seen["pair"]))
        assert f": {seen['score'][:4]}".rstrip("0") in slider.get_attribute("aria-valuetext")
    assert len({pair for _, pair in found}) == 28
    assert [score for score, _ in found] == sorted(score for score, _ in found)
    np.testing.assert_allclose(
        sorted(score for score, _ in found), sorted(shares(SIDE.X, "orange", SIDE.k))
    )


def tab_to(page: Page, selector: str) -> None:
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("wanted => document.activeElement.matches(wanted)", selector):
            return
    raise AssertionError(f"Tab does not reach {selector}")


def test_the_keyboard_alone_does_all(open_page: Open) -> None:
    page = open_page()
    tab_to(page, f'[data-arrangement="{ISLAND.name}"]')
    page.keyboard.press("Enter")
    np.testing.assert_array_equal(check(page)["X"], ISLAND.X)
    tab_to(page, '[data-point="B"]')
    assert "Arrow keys" in page.locator(".by-hand .hint").text_content()
    for key in ("ArrowRight", "ArrowDown", "Shift+ArrowLeft", "Shift+ArrowUp"):
        page.keyboard.press(key)
    np.testing.assert_array_equal(check(page)["X"][1], ISLAND.X[1] + 5)
    page.keyboard.press("Enter")
    page.keyboard.press("Escape")
    assert check(page)["pair"] == "A H"
    page.keyboard.press("Enter")
    tab_to(page, '[data-point="F"]')
    page.keyboard.press("Space")
    assert check(page)["pair"] == "B F"
    tab_to(page, ".k input")
    page.keyboard.press("ArrowRight")
    assert check(page)["k"] == ISLAND.k + 1
    tab_to(page, ".class.second .pairs input")
    page.keyboard.press("End")
    page.keyboard.press("ArrowLeft")
    assert set(check(page)["pair"].split()) <= set(LETTERS[8:])
    seen = read(page)
    a, b = seen["pair"].split()
    said = f"space {float(seen['space']):.2f}; k is {seen['k']}."
    page.wait_for_selector(
        f".by-hand [aria-live]:text('{a} to {b}'):text('{said}')", state="attached"
    )
    page.keyboard.press("Shift+Tab")
    tab_to(page, ".again")
    page.keyboard.press("Enter")
    np.testing.assert_array_equal(check(page)["X"], ISLAND.X)


def test_points_glide_to_their_places_and_a_hand_may_come_between(open_page: Open) -> None:
    page = open_page(reduced_motion="no-preference")
    page.get_by_role("button", name=CLUSTERS.name, exact=True).click()
    page.wait_for_selector(".by-hand:not([data-moving])")
    np.testing.assert_array_equal(check(page)["X"], CLUSTERS.X)
    page.get_by_role("button", name=INSIDE.name, exact=True).click()
    page.focus('[data-point="A"]')
    page.keyboard.press("Shift+ArrowUp")
    up = np.zeros_like(INSIDE.X)
    up[0, 1] = -1
    np.testing.assert_array_equal(check(page)["X"], INSIDE.X + up)


def test_a_finger_drags_a_point_and_scrolls_elsewhere(open_page: Open) -> None:
    page = open_page(viewport=PHONE, has_touch=True, is_mobile=True, device_scale_factor=2)
    finger = page.context.new_cdp_session(page)

    def swipe(start: tuple[float, float], end: tuple[float, float]) -> None:
        places = np.linspace(start, end, 8)
        for kind, place in [("touchStart", places[0]), *(("touchMove", p) for p in places[1:])]:
            touch = {"type": kind, "touchPoints": [{"x": place[0], "y": place[1]}]}
            finger.send("Input.dispatchTouchEvent", touch)
        finger.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})

    page.locator(".by-hand .plane").scroll_into_view_if_needed()
    scrolled = page.evaluate("scrollY")
    swipe(at(page, *SIDE.points[4]), at(page, 60, 60))
    np.testing.assert_allclose(check(page)["X"][4], (60, 60), atol=2)
    assert page.evaluate("scrollY") == scrolled
    page.touchscreen.tap(*at(page, *SIDE.points[1]))
    page.touchscreen.tap(*at(page, *SIDE.points[6]))
    assert check(page)["pair"] == "B G"
    before = read(page)["points"]
    swipe(at(page, 240, 250), at(page, 240, 50))
    page.wait_for_function("before => scrollY > before", arg=scrolled)
    assert read(page)["points"] == before


@pytest.mark.parametrize("viewport", [PHONE, DESK], ids=["phone", "desk"])
def test_nothing_is_cut_off_and_all_can_be_hit(open_page: Open, viewport: dict[str, int]) -> None:
    page = open_page(viewport=viewport)
    for arrangement in ARRANGEMENTS:
        page.get_by_role("button", name=arrangement.name, exact=True).click()
        assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
        sizes = page.locator(".by-hand :is(button, input, .point)").evaluate_all(
            "all => all.map(e => e.getBoundingClientRect()).map(r => [r.left, r.right, r.height])"
        )
        left, right, height = np.array(sizes).T
        assert left.min() >= 0
        assert right.max() <= viewport["width"]
        assert height.min() >= 40


def test_it_works_from_a_folder(open_page: Open, folder: Path) -> None:
    page = open_page((folder / "notebooks" / "page.html").as_uri())
    assert check(page)["pair"] == "A H"


def test_without_scripts_and_in_print_the_figure_stands_there(open_page: Open) -> None:
    page = open_page(java_script_enabled=False)
    assert page.locator(".widget .still .desk").is_visible()
    page.set_viewport_size(PHONE)
    assert page.locator(".widget .still .phone").is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    page = open_page()
    assert not page.locator(".widget .still").is_visible()
    page.emulate_media(media="print")
    assert page.locator(".widget .still .desk").is_visible()
    assert not page.locator(".widget .live").is_visible()

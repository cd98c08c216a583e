"""The reader's answers, held against people and models: in the browser as in the package."""

import base64
import json
import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, ConsoleMessage, Page
from scipy import stats

import convexlib as cv
from convexlib import alignment, pipeline
from convexlib.data import Judgments
from convexlib.models.representations import load, n_layers
from convexlib.store import ROOT
from convexlib.study import ADDED, Model, Study
from convexlib.widgets import odd_one_out
from tests.servers import served

STATIC = ROOT / "book" / "_static"
SIZES = {"desk": {"width": 1200, "height": 900}, "phone": {"width": 390, "height": 844}}
_PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Test</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="../_static/convexlib.css"></head>
<body><main><h1>Which one is the odd one out?</h1>{}</main></body></html>"""


def layers_of(study: Study, model: Model) -> list[np.ndarray]:
    folder = pipeline.representations(study, model).get() / "reference"
    return [load(folder, number) for number in range(n_layers(folder))]


def judgments_of(threes: np.ndarray, odd: np.ndarray) -> np.ndarray:
    """What people judged, one row a person: the odd one comes last."""
    rows = [
        [*np.delete(three, place), three[place]]
        for three, counts in zip(threes, odd, strict=True)
        for place in range(3)
        for _ in range(counts[place])
    ]
    return np.array(rows)


def data_of(html: str) -> dict[str, Any]:
    return json.loads(re.search(r'<script type="application/json">(.*?)</script>', html)[1])


# ---- What the page is given ----


def test_threes_are_drawn_from_all_that_were_judged(vits: Study) -> None:
    threes, odd = odd_one_out.draw(vits)
    triplets = pipeline.judged(vits).judgments.triplets
    every, _ = alignment.choice_counts(triplets)
    assert len(threes) == odd_one_out.N_THREES
    assert len(np.unique(threes, axis=0)) == len(threes)
    assert {*map(tuple, threes.tolist())} < {*map(tuple, every.tolist())}
    judged = {tuple(sorted(row)): row[2] for row in triplets.tolist()}
    for three, counts in zip(threes, odd, strict=True):
        assert counts.sum() == 1
        assert judged[tuple(three)] == three[counts.argmax()]
    again, _ = odd_one_out.draw(vits)
    np.testing.assert_array_equal(threes, again)


def test_all_threes_are_taken_where_there_are_few(
    vits: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    human = pipeline.judged(vits)
    few = Judgments(np.array([[0, 1, 2], [1, 2, 0], [0, 1, 2], [3, 5, 4]]))
    monkeypatch.setattr(pipeline, "judged", lambda _: human._replace(sets={"few": few}))
    threes, odd = odd_one_out.draw(vits)
    found = {tuple(three): [*counts] for three, counts in zip(threes.tolist(), odd, strict=True)}
    assert found == {(0, 1, 2): [1, 0, 2], (3, 4, 5): [0, 1, 0]}


@pytest.mark.slow
def test_choices_are_those_of_the_odd_one_out_accuracy(vits: Study) -> None:
    threes, odd = odd_one_out.draw(vits)
    told = odd_one_out.choices(vits, threes)
    assert len(told) == sum(len(layers_of(vits, model)) for model in vits.models)
    for model in vits.models:
        own = told[(told["model"] == model.name) & (told["seed"] == model.seed)]
        for X, (_, row) in zip(layers_of(vits, model), own.iterrows(), strict=True):
            accuracy = cv.odd_one_out_accuracy(X, judgments_of(threes, odd))
            mine = (odd_one_out.shares(row["odd"]) * odd).sum() / odd.sum()
            assert mine == pytest.approx(accuracy, abs=1e-12)


def test_ties_share_and_what_is_undefined_says_nothing() -> None:
    threes = np.array([[0, 1, 2], [0, 2, 3], [1, 2, 3]])
    X = np.array([[1.0, 0.0], [1.0, 1.0], [1.0, -1.0], [2.0, 0.0]])
    for similarity in ("cosine", "dot", "euclidean"):
        found = odd_one_out.shares("".join(map(str, odd_one_out._odd(X, threes, similarity))))
        for place in range(3):
            odd = np.eye(3, dtype=int)[[place] * len(threes)]
            judged = judgments_of(threes, odd)
            scores = cv.odd_one_out_scores(X, judged, similarity=similarity)
            np.testing.assert_allclose(found[:, place], scores)
    assert [*odd_one_out._odd(np.ones((4, 2)), threes, "cosine")] == [7, 7, 7]
    zero = np.array([[0.0, 0.0], *X[1:]])
    broken = np.where(X == 2, np.nan, X)
    for features in (zero, broken):
        digits = "".join(map(str, odd_one_out._odd(features, threes, "cosine")))
        assert digits == 3 * odd_one_out.UNDEFINED
        assert np.isnan(odd_one_out.shares(digits)).all()


@pytest.mark.slow
def test_pictures_are_those_of_the_stimuli(vits: Study) -> None:
    content = odd_one_out.content(vits)
    images, _ = pipeline.images(vits, "reference")
    names = pipeline.judged(vits).names
    assert len(content["pictures"]) == len({row for three in content["threes"] for row in three})
    for name, uri in zip(content["names"], content["pictures"], strict=True):
        kind, _, encoded = uri.partition(",")
        assert kind == "data:image/webp;base64"
        image = np.asarray(Image.open(BytesIO(base64.b64decode(encoded))))
        np.testing.assert_array_equal(image, images[names.index(name)])
    assert not content["repeated"]  # each choice follows from mean similarities
    assert "rated" in content["how"]
    assert {model["name"] for model in content["models"]} == {m.name for m in vits.models}


def test_photographs_are_made_small_enough(vits: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (14, 300, 400, 3), dtype=np.uint8)
    monkeypatch.setattr(pipeline, "images", lambda *_: (noise, None))
    monkeypatch.setattr(odd_one_out, "_ROOM", 80_000)
    found = odd_one_out._pictures(vits, range(14))
    assert sum(map(len, found)) <= 80_000
    width, height = Image.open(BytesIO(base64.b64decode(found[0].partition(",")[2]))).size
    assert width / height == pytest.approx(4 / 3, abs=0.03)


@pytest.mark.slow
def test_stimuli_that_may_not_be_shown_are_named(
    vits: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(vits.stimuli), "MAY_SHOW", False)
    monkeypatch.setattr(pipeline, "images", lambda *_: pytest.fail("no image is asked for"))
    page = odd_one_out.widget(vits).data
    assert {*data_of(page)["pictures"]} == {None}
    assert "434 nm" in data_of(page)["names"]
    assert "image/webp" not in page


@pytest.mark.slow
def test_a_model_that_the_reader_added_stands_apart(
    vits: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, *_ = vits.models
    about = {**first.attributes, "size": ADDED}
    mine = Model("mine", about, source=Path("mine.npy"), added=True, counted=False)
    known = pipeline.representations

    def represented(study: Study, model: Model) -> Any:
        return known(study, first if model is mine else model)

    monkeypatch.setattr(pipeline, "representations", represented)
    content = odd_one_out.content(replace(vits, models=(*vits.models, mine)))
    called = {model["name"]: model["called"] for model in content["models"]}
    assert called == {
        "vit-base-pretrained": "base, pretrained",
        "vit-base-finetuned": "base, fine-tuned",
        "mine": "mine",
    }
    *_, added = content["models"]
    assert not added["counted"]
    assert content["families"][added["family"]] == {"label": "mine", "color": None}
    assert content["families"]["vit"]["label"] == "ViT"


def test_of_many_judgments_the_shares_are_known(
    vits: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    human = pipeline.judged(vits)
    repeated = np.repeat(human.judgments.triplets, 5, axis=0)
    judged = human._replace(sets={"chosen": Judgments(repeated)})
    monkeypatch.setattr(pipeline, "judged", lambda _: judged)
    _, odd = odd_one_out.draw(vits)
    assert {*odd.sum(axis=1)} == {5}


# ---- In the browser ----


class Site:
    """A page with the widget, as a book has it, and what it was given."""

    def __init__(self, folder: Path, html: str) -> None:
        self.folder, self.data = folder, data_of(html)
        (folder / "notebooks").mkdir(parents=True)
        (folder / "notebooks" / "page.html").write_text(_PAGE.format(html), encoding="utf-8")
        shutil.copytree(STATIC, folder / "_static")
        self.open = ExitStack()
        self.address = self.open.enter_context(served(folder))

    def url(self, seed: int | None = 7) -> str:
        return f"{self.address}/notebooks/page.html" + (f"#seed={seed}" if seed else "")

    def close(self) -> None:
        self.open.close()


@pytest.fixture
def site(vits: Study, tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path / "site", odd_one_out.widget(vits).data)
    yield site
    site.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    page = browser.new_page(viewport=SIZES["desk"])
    problems: list[str] = []

    def heard(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and "favicon" not in str(message.location):
            problems.append(message.text)

    page.on("console", heard)
    page.on("pageerror", lambda error: problems.append(str(error)))
    yield page
    page.close()
    assert problems == []


def play(page: Page, n: int, *, by: str = "click") -> list[tuple[int, int]]:
    """Answer n threes; which they were, and the place of what was chosen in each."""
    answers = []
    for _ in range(n):
        three = int(page.locator(".stage").get_attribute("data-three"))
        position = (three + len(answers)) % 3  # some rule that knows nothing of people
        choice = page.locator(".choice").nth(position)
        answers.append((three, int(choice.get_attribute("data-place"))))
        if by == "click":
            choice.click()
        else:
            page.keyboard.press(str(position + 1))
    return answers


def number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def check_result(page: Page, study: Study, data: dict, answers: list[tuple[int, int]]) -> None:
    """What stands on the page is what the package says of these answers."""
    threes, odd = odd_one_out.draw(study)
    n = len(answers)
    asked = np.array([three for three, _ in answers])
    mine = np.array([place for _, place in answers])
    people = odd[asked] / odd[asked].sum(axis=1, keepdims=True)
    you = people[np.arange(n), mine].mean()
    headline = page.locator(".headline").inner_text()
    of_all = f"{number(n * you)} of {n}"
    assert headline.replace("\N{NO-BREAK SPACE}", " ") == f"You agree with people on {of_all}"

    rows = {
        row.locator(".name").inner_text(): float(row.locator("data").get_attribute("value"))
        for row in page.locator(".compared li").all()
    }
    assert rows["You and people"] == pytest.approx(you)
    assert rows["Chance"] == pytest.approx(alignment.CHANCE)
    if data["repeated"]:
        judged = judgments_of(threes[asked], odd[asked])
        each = alignment.agreement(judged, judged, own=True)
        of_three = np.repeat(np.arange(n), odd[asked].sum(axis=1))
        two = np.mean([each[of_three == i].mean() for i in range(n)])
        assert rows["Two people"] == pytest.approx(two)
        assert rows["The most anyone could"] == pytest.approx(people.max(axis=1).mean())
    low, high = (
        int(share) for share in re.findall(r"(\d+)\s%", page.locator(".unsure").inner_text())[:2]
    )
    if you * n == round(you * n):
        interval = stats.binomtest(round(you * n), n).proportion_ci(method="wilson")
        assert (low, high) == (round(100 * interval.low), round(100 * interval.high))

    # By the package: the reader's answers and those of people, as triplets, to each space.
    own = judgments_of(threes[asked], np.eye(3, dtype=int)[mine])
    expected: dict[str, dict[str, list]] = {"you": {}, "people": {}}
    for model in study.models:
        for number_, X in enumerate(layers_of(study, model)):
            accuracy = cv.odd_one_out_accuracy(X, own)
            with_people = np.mean(
                [
                    cv.odd_one_out_accuracy(X, judgments_of(threes[[i]], odd[[i]]))
                    for i in asked.tolist()
                ]
            )
            for key, value in (("you", accuracy), ("people", with_people)):
                layers = expected[key].setdefault(model.name, [])
                if len(layers) == number_:
                    layers.append([])
                layers[number_].append(value)
    page.locator("summary").click()
    for key in ("you", "people"):
        page.locator(f".toggle [data-key={key}]").click()
        for name, layers in expected[key].items():
            cells = page.locator(f"tr[data-model='{name}'] td data")
            values = [float(cell.get_attribute("value")) for cell in cells.all()]
            assert values == pytest.approx([np.mean(seeds) for seeds in layers])
            assert cells.all_inner_texts() == [number(n * value) for value in values]
    for key, row in (("you", "You and models"), ("people", "People and models")):
        means = [np.mean([np.mean(seeds) for seeds in of]) for of in expected[key].values()]
        assert rows[row] == pytest.approx(np.mean(means))

    reviewed = page.locator(".answers > li")
    assert [int(li.get_attribute("data-three")) for li in reviewed.all()] == asked.tolist()
    for li, shares, (three, place) in zip(reviewed.all(), people, answers, strict=True):
        names = [data["names"][row] for row in data["threes"][three]]
        said = li.locator(".unseen").text_content()
        assert said.startswith(f"You: {names[place]}.")
        for name, share in zip(names, shares, strict=True):
            assert f"{name} {round(100 * share)}\N{NO-BREAK SPACE}%" in said
        assert li.locator(".chosen .yours").inner_text() == "you"


def test_twelve_answers_by_mouse_agree_with_the_package(
    page: Page, site: Site, vits: Study
) -> None:
    page.goto(site.url())
    assert not page.locator(".still").is_visible()
    assert page.locator(".count").inner_text() == "1 of 12"
    answers = play(page, 12)
    assert page.locator(".stage").is_hidden()
    check_result(page, vits, site.data, answers)


def test_twelve_answers_by_keyboard_alone(page: Page, site: Site, vits: Study) -> None:
    page.goto(site.url())
    while page.evaluate("() => document.activeElement.className") != "choice":
        page.keyboard.press("Tab")
    answers = play(page, 12, by="keyboard")
    assert page.evaluate("() => document.activeElement.className") == "headline"
    check_result(page, vits, site.data, answers)
    page.locator(".headline").focus()
    page.keyboard.press("Tab")
    assert page.evaluate("() => document.activeElement.textContent") == "Another twelve"
    page.keyboard.press("Enter")
    assert page.locator(".count").inner_text() == "1 of 12"
    page.keyboard.press("2")
    assert page.locator(".count").inner_text() == "2 of 12"


def test_another_twelve_are_others_while_there_are_any(page: Page, site: Site, vits: Study) -> None:
    page.goto(site.url())
    answers = play(page, 12)
    for _ in range(4):
        page.get_by_role("button", name="Another twelve").click()
        answers += play(page, 12)
    assert sorted(three for three, _ in answers) == [*range(odd_one_out.N_THREES)]
    assert page.get_by_role("button", name="Another").count() == 0
    check_result(page, vits, site.data, answers)
    page.get_by_role("button", name="Start over").click()
    assert page.locator(".count").inner_text() == "1 of 12"
    answers = play(page, 12)
    check_result(page, vits, site.data, answers)


def test_the_order_is_random_but_for_a_seed(page: Page, site: Site) -> None:
    def first(seed: int | None) -> list[tuple[int, int]]:
        page.goto("about:blank")
        page.goto(site.url(seed))
        return play(page, 6)

    assert first(7) == first(7)
    assert len({tuple(first(seed)) for seed in (7, 8, None, None)}) == 4


def test_an_answer_can_be_taken_back_and_a_double_click_is_one(page: Page, site: Site) -> None:
    page.goto(site.url())
    play(page, 2)
    three = page.locator(".stage").get_attribute("data-three")
    page.locator(".choice").first.dblclick()
    assert page.locator(".count").inner_text() == "4 of 12"
    page.get_by_role("button", name="Back").click()
    assert page.locator(".count").inner_text() == "3 of 12"
    assert page.locator(".stage").get_attribute("data-three") == three


def test_where_shares_of_people_are_known_they_are_used(
    page: Page, vits: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    human = pipeline.judged(vits)
    rng = np.random.default_rng(0)
    triplets = np.repeat(human.judgments.triplets, 20, axis=0)
    triplets = np.where(rng.random((len(triplets), 1)) < 0.4, triplets[:, [1, 2, 0]], triplets)
    judged = human._replace(sets={"chosen": Judgments(triplets)})
    monkeypatch.setattr(pipeline, "judged", lambda _: judged)
    site = Site(tmp_path / "site", odd_one_out.widget(vits).data)
    try:
        assert site.data["repeated"]
        page.goto(site.url())
        answers = play(page, 12)
        check_result(page, vits, site.data, answers)
    finally:
        site.close()


@pytest.mark.parametrize("viewport", SIZES.values(), ids=[*SIZES])
@pytest.mark.parametrize("shown", [True, False], ids=["pictures", "names"])
def test_nothing_is_cut_off(
    page: Page,
    vits: Study,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    viewport: dict[str, int],
    shown: bool,
) -> None:
    monkeypatch.setattr(type(vits.stimuli), "MAY_SHOW", shown)
    site = Site(tmp_path / "site", odd_one_out.widget(vits).data)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    try:
        page.set_viewport_size(viewport)
        page.goto(site.url())
        for n in (0, 12):
            play(page, n)
            assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
            heights = page.evaluate(
                """() => [...document.querySelectorAll('.live button')]
                    .filter(button => button.offsetParent).map(button => button.offsetHeight)"""
            )
            assert min(heights) >= 40
        assert all(url.startswith((site.address, "data:")) for url in asked)
    finally:
        site.close()


def test_without_scripts_and_in_print_a_figure_stands_still(
    browser: Browser, page: Page, site: Site
) -> None:
    page.goto(site.url())
    page.emulate_media(media="print")
    assert page.locator(".still svg").first.is_visible()
    assert not page.locator(".live").is_visible()
    plain = browser.new_context(java_script_enabled=False).new_page()
    plain.goto(site.url())
    assert plain.locator(".still svg").first.is_visible()
    plain.context.close()


def test_without_models_it_is_played_against_people(
    page: Page, vits: Study, tmp_path: Path
) -> None:
    site = Site(tmp_path / "site", odd_one_out.widget(replace(vits, models=())).data)
    try:
        page.goto(site.url())
        play(page, 12)
        assert page.locator(".headline").is_visible()
        assert page.locator(".compared .name").all_inner_texts() == ["You and people", "Chance"]
        assert page.locator(".layers").count() == 0
        assert page.locator(".answers > li").count() == 12
    finally:
        site.close()


def test_it_works_from_a_file(page: Page, site: Site) -> None:
    page.goto((site.folder / "notebooks" / "page.html").as_uri())
    play(page, 12)
    assert page.locator(".headline").is_visible()

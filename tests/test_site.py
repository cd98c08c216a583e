"""Every page of sites in a real browser, on a desk and on a phone.

They are those of the miniature studies; CONVEXLIB_SITE names one in the place of the first.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from playwright.sync_api import Browser, Page

from convexlib import book
from convexlib import study as studies
from convexlib.store import ROOT
from tests.conftest import TINY, TINY_LETTERS, Workflow
from tests.pages import DESK, PHONE, problems
from tests.servers import served

TOC = yaml.safe_load((ROOT / "_toc.yml").read_text())
BOTH = "both"
TITLES = {path.stem: studies.load(str(path)).file.title for path in (TINY, TINY_LETTERS)}


def pages(study: Path) -> list[str]:
    """Of the site of a study, as its address has them."""
    every = [TOC["root"], *(c["file"] for part in TOC["parts"] for c in part["chapters"])]
    notebooks = [f"notebooks/{name}" for name in book.notebooks(studies.load(str(study)))]
    return [page for page in every if page.startswith("book/") or page in notebooks]


PAGES = {
    TINY.stem: pages(TINY),
    BOTH: ["front", "across", *(f"{TINY_LETTERS.stem}/{name}" for name in pages(TINY_LETTERS))],
}


@pytest.fixture(scope="module", params=[*PAGES])
def study(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def address(study: str, request: pytest.FixtureRequest) -> Iterator[str]:
    site = os.environ.get("CONVEXLIB_SITE")
    if study == TINY.stem and site:
        folder = Path(site).resolve()
    else:
        fixture = {TINY.stem: "workflow", BOTH: "both_workflow"}[study]
        workflow: Workflow = request.getfixturevalue(fixture)
        folder = workflow.site
    with served(folder) as address:
        yield address


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    page = browser.new_page(viewport=DESK)
    yield page
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    ("study", "name"),
    [(study, name) for study in PAGES for name in PAGES[study]],
    indirect=["study"],
)
@pytest.mark.parametrize("viewport", [PHONE, DESK], ids=["phone", "desk"])
def test_a_page_is_whole_and_can_be_used_by_all(
    browser: Browser, address: str, name: str, viewport: dict[str, int], scheme: str
) -> None:
    """By keyboard and screen reader, as far as axe can tell, and it is no heavy load."""
    assert problems(browser, address, name, viewport=viewport, scheme=scheme) == []


def test_figures_have_captions_and_all_code_is_under_one_fold(
    page: Page, address: str, study: str
) -> None:
    for name in PAGES[study]:
        if "notebooks/" not in name:
            continue
        page.goto(f"{address}/{name}.html", wait_until="networkidle")
        figures = page.locator("article figure :is(.drawn, .widget)").count()
        within = page.locator("article figure .widget .drawn").count()
        captions = page.locator("article figure figcaption").count()
        assert figures - within == captions, name
        assert page.locator("article .cell_output :is(.drawn, .widget)").count() == figures
        # No code before the first figure: what is folded are claims and numbers.
        assert page.locator("article details.hide, article details pre").count() == 0
        assert page.locator("article .admonition.dropdown", has_text="Rerun this page").count() == 1


def test_curves_tell_their_values_and_are_chosen_among(
    page: Page, address: str, study: str
) -> None:
    folder = "" if study == TINY.stem else f"{TINY_LETTERS.stem}/"
    page.goto(f"{address}/{folder}notebooks/layer_curves.html", wait_until="networkidle")
    figure = page.locator("figure", has=page.locator(".choices"))
    told = json.loads(figure.locator("script.told").text_content() or "")
    number, line = next(
        (number, line)
        for number, line in enumerate(told["lines"])
        if line.get("family") == "vit" and line.get("seed") == 1
    )
    shown = figure.locator(f".desk [data-cv='line-{number}']")
    assert not shown.is_visible()
    figure.locator("select").select_option("1")
    assert shown.is_visible()
    figure.scroll_into_view_if_needed()
    box = shown.locator("path").bounding_box()
    heights = line["y"]
    top = heights[0] == max(heights)  # of its first point, in the box of the path
    assert box
    page.mouse.move(box["x"], box["y"] if top else box["y"] + box["height"])
    note = figure.locator(".value-note")
    assert note.is_visible()
    assert f"at {line['x'][0]:.2f}" in note.inner_text()
    figure.get_by_role("checkbox", name="ViT").uncheck()
    assert not shown.is_visible()
    figure.locator("details.values summary").click()
    figure.locator("details.values tbody tr").first.wait_for()
    rows = figure.locator("details.values tbody tr").all_inner_texts()
    assert rows
    assert not any("ViT" in row and "untrained" not in row for row in rows)


def test_figures_stand_still_without_scripts(browser: Browser, address: str, study: str) -> None:
    for viewport, seen, hidden in ((DESK, ".desk", ".phone"), (PHONE, ".phone", ".desk")):
        context = browser.new_context(viewport=viewport, java_script_enabled=False)
        page = context.new_page()
        for name in PAGES[study]:
            page.goto(f"{address}/{name}.html")
            for drawn in page.locator("article figure .drawn.twice").all():
                assert drawn.locator(f"> {seen}").is_visible(), name
                assert not drawn.locator(f"> {hidden}").is_visible(), name
        context.close()


def test_every_page_leads_to_the_same_page_of_the_other_study(
    page: Page, address: str, study: str
) -> None:
    if study != BOTH:
        pytest.skip("a site of one study has no other")
    for name in PAGES[BOTH]:
        page.goto(f"{address}/{name}.html")
        links = page.locator("nav.editions a")
        assert links.all_inner_texts() == ["All studies", *TITLES.values()]
        page.get_by_label("Studies").get_by_text(TITLES[TINY.stem]).click()
        inner = name.removeprefix(f"{TINY_LETTERS.stem}/")
        same = inner in PAGES[TINY.stem]
        assert page.url == f"{address}/{TINY.stem}/{inner}.html" if same else TINY.stem in page.url
        page.wait_for_selector("h1")  # of the front of an edition, to which its index leads
    for viewport in (DESK, PHONE):  # it has its place beside what else stands there
        page.set_viewport_size(viewport)
        switch, head = (page.locator(each).bounding_box() for each in ("nav.editions", "h1"))
        assert switch["y"] >= 0
        assert switch["y"] + switch["height"] <= head["y"]


def test_equations_are_set_without_a_script(page: Page, address: str, study: str) -> None:
    folder = "" if study == TINY.stem else f"{TINY_LETTERS.stem}/"
    page.goto(f"{address}/{folder}book/methods.html", wait_until="networkidle")
    assert page.locator("article math").count() > 5
    assert page.locator("article", has_text="\\frac").count() == 0


def test_the_search_finds_convexity(page: Page, address: str, study: str) -> None:
    folder = "" if study == TINY.stem else f"{TINY_LETTERS.stem}/"
    page.goto(f"{address}/{folder}search.html?q=convexity", wait_until="networkidle")
    page.wait_for_selector("#search-results li a")
    found = page.locator("#search-results li a").evaluate_all("links => links.map(a => a.href)")
    assert any("layer_curves" in link for link in found)

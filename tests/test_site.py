"""Every page of sites in a real browser, on a desk and on a phone.

They are those of the miniature studies; CONVEXLIB_SITE names one in the place of the first.
"""

import os
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

from convexlib import book
from convexlib import study as studies
from convexlib.store import ROOT
from tests.conftest import TINY, TINY_LETTERS, Workflow

TOC = yaml.safe_load((ROOT / "_toc.yml").read_text())


def pages(study: Path) -> list[str]:
    """Of the site of a study, as its address has them."""
    every = [TOC["root"], *(c["file"] for part in TOC["parts"] for c in part["chapters"])]
    notebooks = [f"notebooks/{name}" for name in book.notebooks(studies.load(str(study)))]
    return [page for page in every if page.startswith("book/") or page in notebooks]


PAGES = {study.stem: pages(study) for study in (TINY, TINY_LETTERS)}
PHONE, DESK = {"width": 390, "height": 844}, {"width": 1400, "height": 900}


class _Silent(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module", params=[*PAGES])
def study(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def address(study: str, request: pytest.FixtureRequest) -> Iterator[str]:
    site = os.environ.get("CONVEXLIB_SITE")
    if study == TINY.stem and site:
        folder = Path(site).resolve()
    else:
        fixture = {TINY.stem: "workflow", TINY_LETTERS.stem: "letters_workflow"}[study]
        workflow: Workflow = request.getfixturevalue(fixture)
        folder = workflow.site
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Silent, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=flags)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    page = browser.new_page(viewport=DESK)
    yield page
    page.close()


@pytest.mark.parametrize(
    ("study", "name"),
    [(study, name) for study in PAGES for name in PAGES[study]],
    indirect=["study"],
)
@pytest.mark.parametrize("viewport", [PHONE, DESK], ids=["phone", "desk"])
def test_a_page_is_whole(page: Page, address: str, name: str, viewport: dict[str, int]) -> None:
    problems: list[str] = []

    def heard(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            problems.append(f"console: {message.text} ({message.location.get('url')})")

    def asked(url: str) -> None:
        if not url.startswith((address, "data:", "blob:")):
            problems.append(f"asks the network for {url}")

    page.on("console", heard)
    page.on("pageerror", lambda error: problems.append(f"script: {error}"))
    page.on("requestfailed", lambda request: problems.append(f"missing: {request.url}"))
    page.on("request", lambda request: asked(request.url))
    page.set_viewport_size(viewport)
    page.goto(f"{address}/{name}.html", wait_until="networkidle")

    assert page.locator("article h1").count() == 1
    broken = page.evaluate(
        """() => [...document.querySelectorAll('article img')]
            .filter(image => !image.complete || !image.naturalWidth).map(image => image.src)"""
    )
    nameless = page.evaluate(
        """() => [...document.querySelectorAll('article img')]
            .filter(image => (image.alt || '').length < 20).map(image => image.src)"""
    )
    width = page.evaluate("() => document.documentElement.scrollWidth")
    raw = sum(page.locator("article", has_text=mark).count() for mark in ("{glue:", "{{"))
    assert problems == []
    assert broken == []
    assert nameless == []
    assert width <= viewport["width"]
    assert raw == 0


def test_figures_have_captions_and_all_code_is_under_one_fold(
    page: Page, address: str, study: str
) -> None:
    for name in PAGES[study]:
        if not name.startswith("notebooks/"):
            continue
        page.goto(f"{address}/{name}.html", wait_until="networkidle")
        images = page.locator("article .cell_output img").count()
        captions = page.locator("article figure figcaption").count()
        assert images == captions > 0
        # No code before the first figure: what is folded are claims and numbers.
        assert page.locator("article details.hide, article details pre").count() == 0
        assert page.locator("article .admonition.dropdown", has_text="Rerun this page").count() == 1


def test_equations_are_set_without_a_network(page: Page, address: str) -> None:
    page.goto(f"{address}/book/methods.html", wait_until="networkidle")
    assert page.locator("mjx-container").count() > 5


def test_the_search_finds_convexity(page: Page, address: str) -> None:
    page.goto(f"{address}/search.html?q=convexity", wait_until="networkidle")
    page.wait_for_selector("#search-results li a")
    found = page.locator("#search-results li a").evaluate_all("links => links.map(a => a.href)")
    assert any("layer_curves" in link for link in found)

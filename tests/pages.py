"""What is wrong with a page of a site, as a real browser sees it."""

import re
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Page, Response

from tests.servers import served

PHONE, DESK = {"width": 390, "height": 844}, {"width": 1400, "height": 900}
HEAVIEST = 1_500_000  # bytes of a page with all that it loads

_BROKEN = """() => [...document.querySelectorAll('article img')]
    .filter(image => !image.complete || !image.naturalWidth).map(image => image.src.slice(0, 90))"""
_NAMELESS = """() => [...document.querySelectorAll('article .drawn [role=img]')]
    .filter(image => (image.ariaLabel || '').length < 20)
    .map(image => image.outerHTML.slice(0, 99))"""
_ORDER = """() => [...document.querySelectorAll('article :is(h2, .finding, figure)')]
    .map(each => each.className.includes('finding') ? 'finding' : each.localName)"""
_CELLS = """() => [...document.querySelectorAll('article table:not(details *)')]
    .map(table => [...table.querySelectorAll('td')].map(cell => cell.innerText))"""
_NUMBER = re.compile(r"[\s\d.,%\u2212\[\]-]*\d[\s\d.,%\u2212\[\]-]*")


def problems(
    browser: Browser, address: str, name: str, *, viewport: dict[str, int], scheme: str
) -> list[str]:
    """All that is wrong with a page: it is opened once, on a light or a dark ground."""
    page = browser.new_page(viewport=viewport, color_scheme=scheme)
    found: list[str] = []
    sizes: list[int] = []

    def heard(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            found.append(f"console: {message.text} ({message.location.get('url')})")

    def answered(response: Response) -> None:
        sizes.append(len(response.body()))
        if not response.url.startswith((address, "data:", "blob:")):
            found.append(f"asks the network for {response.url}")

    page.on("console", heard)
    page.on("pageerror", lambda error: found.append(f"script: {error}"))
    page.on("requestfailed", lambda request: found.append(f"missing: {request.url}"))
    page.on("response", answered)
    page.goto(f"{address}/{name}.html", wait_until="networkidle")
    found += _of_content(page)
    if (width := page.evaluate("() => document.documentElement.scrollWidth")) > viewport["width"]:
        found.append(f"is {width} pixels wide on {viewport['width']}")
    if sum(sizes) > HEAVIEST:
        found.append(f"weighs {sum(sizes):,} bytes")
    of_page = [*found]  # what comes later is axe's own: it asks for style sheets of style sheets
    violations = Axe().run(page).response["violations"]
    page.close()
    return of_page + [
        f"{each['id']}: {each['nodes'][0]['html'][:200]}"
        for each in violations
        if each["impact"] in ("serious", "critical")
    ]


def _of_content(page: Page) -> list[str]:
    found = [f"broken: {source}" for source in page.evaluate(_BROKEN)]
    found += [f"nameless: {drawn}" for drawn in page.evaluate(_NAMELESS)]
    if (n := page.locator("h1").count()) != 1:
        found.append(f"has {n} headings of the first level")
    raw = ("{glue:", "{{")
    found += [f"says {mark}" for mark in raw if page.locator("article", has_text=mark).count()]
    if "/notebooks/" not in page.url:
        return found
    order = page.evaluate(_ORDER)
    if order[:1] not in (["finding"], ["figure"]):
        found.append(f"begins with {order[:1]}")
    numbers = [sum(map(bool, map(_NUMBER.fullmatch, cells))) for cells in page.evaluate(_CELLS)]
    if max(numbers, default=0) > 8:
        found.append(f"has a table of {max(numbers)} numbers outside a fold")
    return found


def check_site(browser: Browser, site: Path) -> None:
    """Every page of a notebook is opened, on a phone by day and on a desk by night."""
    names = sorted(path.stem for path in (site / "notebooks").glob("*.html"))
    with served(site) as address:
        found = {
            (name, scheme): wrong
            for name in names
            for viewport, scheme in ((PHONE, "light"), (DESK, "dark"))
            if (
                wrong := problems(
                    browser, address, f"notebooks/{name}", viewport=viewport, scheme=scheme
                )
            )
        }
    assert names
    assert found == {}, "\n".join(f"{page}: {wrong}" for page, wrong in found.items())

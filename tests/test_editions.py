"""Several studies in one site: ways between them, and how they are named."""

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from convexlib import cli, editions
from convexlib import study as studies
from tests.conftest import TINY, TINY_LETTERS

TITLES = {"colors": "Colours", "letters": "Letters & more"}


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A front, and two editions of which one has a page more."""
    for page in (
        "index.html",
        "colors/index.html",
        "colors/notebooks/layer_curves.html",
        "letters/index.html",
        "letters/notebooks/layer_curves.html",
        "letters/notebooks/disagreement.html",
    ):
        (tmp_path / page).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / page).touch()
    return tmp_path


@pytest.mark.parametrize(
    ("page", "links"),
    [
        ("index.html", ["index.html", "colors/index.html", "letters/index.html"]),
        (
            "letters/notebooks/layer_curves.html",
            [
                "../../index.html",
                "../../colors/notebooks/layer_curves.html",
                "../../letters/notebooks/layer_curves.html",
            ],
        ),
        (
            "letters/notebooks/disagreement.html",
            [
                "../../index.html",
                "../../colors/index.html",
                "../../letters/notebooks/disagreement.html",
            ],
        ),
    ],
)
def test_a_page_leads_to_itself_in_the_other_editions(
    site: Path, page: str, links: list[str]
) -> None:
    switch = editions._switch(site, site / page, TITLES)
    places = [switch.index(f'href="{link}"') for link in links]
    assert places == sorted(places)
    assert switch.count("<a ") == len(links)
    assert switch.count("aria-current") == 1
    assert "Letters &amp; more" in switch


def test_studies_of_one_name_cannot_stand_in_one_site(tmp_path: Path) -> None:
    other = tmp_path / TINY.name
    other.write_text(TINY.read_text())
    with pytest.raises(ValueError, match="needs a name of its own"):
        editions.check([studies.load(str(TINY)), studies.load(str(other))])


def test_studies_are_named_with_blanks_between_and_paths_may_hold_some(tmp_path: Path) -> None:
    blank = tmp_path / "my study.yaml"
    blank.write_text(TINY.read_text())
    for named, expected in (
        ("colors letters", ["colors", "letters"]),
        (str(blank), [str(blank)]),
        (f"colors '{blank}'", ["colors", str(blank)]),
    ):
        found = cli._each({"study": named, "models": ""})
        assert [choice["study"] for choice in found] == expected
        assert all(choice["models"] == "" for choice in found)


def test_a_mistake_in_one_of_several_is_named_before_any_work(tmp_path: Path) -> None:
    named = f"{TINY} {TINY_LETTERS} no-such-study"
    done = CliRunner().invoke(cli.app, ["run", named, str(tmp_path / "site")])
    assert isinstance(done.exception, ValueError | typer.BadParameter)
    assert "no-such-study" in str(done.exception)

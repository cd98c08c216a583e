"""Choices and drawings of the letters study, as they are published."""

import base64
import csv
import io
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from playwright.sync_api import sync_playwright

from convexlib.alignment import noise_ceiling
from convexlib.data import lettering
from tests.conftest import data

COUNTS = {"latin": 45_136, "cyrillic": 29_568, "devanagari": 25_368}
TYPEFACES = {"latin": 12, "cyrillic": 8, "devanagari": 8}
CEILINGS = {"latin": 0.718, "cyrillic": 0.694, "devanagari": 0.623}


@pytest.fixture(scope="module")
def published() -> Path:
    return data("letters") / "raw-data-preprocessed.csv"


@pytest.fixture(scope="module")
def choices(published: Path) -> pd.DataFrame:
    return lettering.read_choices(published)


@pytest.fixture(scope="module")
def drawings() -> Path:
    return data("letters") / "website"


def test_choices_are_as_many_as_were_published(choices: pd.DataFrame) -> None:
    assert len(choices) == 100_072
    assert choices["sitting"].nunique() == 1787
    assert choices.groupby("script").size().to_dict() == COUNTS
    assert choices.groupby("script")["typeface"].nunique().to_dict() == TYPEFACES
    judged = choices.melt(["script", "typeface"], ["first", "second", "odd"])
    assert (judged.groupby(["script", "typeface"])["value"].nunique() == lettering.N_JUDGED).all()
    assert judged[judged["script"] == "latin"]["value"].nunique() == 26
    assert choices[["age", "design_skills", "native"]].notna().mean().min() > 0.9


def test_choices_are_those_that_a_plain_reader_finds(
    published: Path, choices: pd.DataFrame
) -> None:
    with published.open(encoding="utf-8", newline="") as file:
        scripts, faces, threes, *sittings = csv.reader(file)
    plain = Counter(
        (face, ", ".join(sorted(three.replace("'", "").strip("[]").split(", "))), cell)
        for sitting in sittings
        for script, face, three, cell in zip(scripts, faces, threes, sitting, strict=True)
        if cell and script in COUNTS
    )
    prefix = {"latin": "latn", "cyrillic": "cyrl", "devanagari": "deva"}
    ours = Counter()
    for row in choices.itertuples():
        names = [f"{prefix[row.script]}.{name}" for name in (row.first, row.second, row.odd)]
        ours[row.typeface, ", ".join(sorted(names)), names[2]] += 1
    assert sum(plain.values()) == 100_072
    alike = Counter(
        {
            (face, ", ".join(sorted(three.split(", "))), odd): n
            for (face, three, odd), n in plain.items()
        }
    )
    assert ours == alike


@pytest.mark.parametrize("script", COUNTS)
def test_the_ceiling_of_each_script_is_the_published(choices: pd.DataFrame, script: str) -> None:
    of_script = choices[choices["script"] == script]
    columns = [of_script["typeface"] + " " + of_script[name] for name in ("first", "second", "odd")]
    codes, names = pd.factorize(np.stack(columns, axis=1).ravel())
    assert len(names) == lettering.N_JUDGED * TYPEFACES[script]
    assert noise_ceiling(codes.reshape(-1, 3)).upper == pytest.approx(CEILINGS[script], abs=5e-4)


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ("latn.q", "sitting 0 has the choice 'latn.q', which is none of"),
        ("", "sitting 0 has no choice; leave it out"),
    ],
)
def test_a_mistake_in_the_choices_is_named(tmp_path: Path, choice: str, message: str) -> None:
    rows = [
        ["script", *["control"] * 5, "latin", "latin"],
        ["typeface", *["control"] * 5, "arial", "arial"],
        [
            "triplet",
            *lettering.ASKED,
            "['latn.a', 'latn.b', 'latn.c']",
            "['latn.a', 'latn.b', 'latn.d']",
        ],
        ["0", *["x"] * 5, choice, ""],
        ["1", *["x"] * 5, "", "latn.d"],
    ]
    with (tmp_path / "choices.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    with pytest.raises(ValueError, match=message):
        lettering.read_choices(tmp_path / "choices.csv")


def test_each_judged_letter_has_a_drawing(choices: pd.DataFrame, drawings: Path) -> None:
    seen = choices.drop_duplicates(["script", "typeface", "odd"])
    for row in seen.itertuples():
        path = lettering.drawing(drawings, row.script, row.typeface, row.odd)
        ink = lettering.render(*lettering.outline(path), 32)
        assert ink.shape == (32, 32)
        assert 5 < ink.sum() < 400
    with pytest.raises(ValueError, match=r"there is no drawing .*arial_latin_æ.svg', of 'æ'"):
        lettering.drawing(drawings, "latin", "arial", "æ")


@pytest.mark.parametrize("text", ["<svg></svg>", '<svg><path d="M0 0L1 1z"/></svg>'])
def test_a_drawing_without_a_path_or_a_place_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.svg").write_text(text)
    with pytest.raises(ValueError, match="paths and 0 places; give one of each"):
        lettering.outline(tmp_path / "x.svg")


@pytest.mark.slow
def test_a_letter_is_what_a_browser_draws(drawings: Path, chromium: str) -> None:
    size = lettering.VIEW
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": size, "height": size})
        for script in COUNTS:
            for path in sorted((drawings / script / "characters").iterdir())[::40]:
                encoded = base64.b64encode(path.read_bytes()).decode()
                image = f'<img src="data:image/svg+xml;base64,{encoded}">'
                page.set_content(f"<style>*{{margin:0}}</style>{image}", wait_until="load")
                shown = Image.open(io.BytesIO(page.screenshot())).convert("L")
                expected = 1 - np.asarray(shown, dtype=float) / 255
                ours = lettering.render(*lettering.outline(path), size)
                assert abs(ours - expected).sum() < 0.02 * expected.sum(), path.name
        browser.close()

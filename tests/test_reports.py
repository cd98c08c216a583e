"""What pages say: sentences with numbers of a run, and tables under folds."""

import base64
import io
import re
from pathlib import Path

import pandas as pd
import pytest

from convexlib import claims, pipeline, reports
from convexlib import study as studies
from convexlib.claims import FAILS, HOLDS, MISSING, UNDECIDED, Verdicts
from convexlib.store import ROOT
from tests.conftest import TINY


def a_run(verdict: str) -> Verdicts:
    """One in which every claim has the same verdict, by one number each."""
    known = claims.ledger().claims
    verdicts = pd.DataFrame({"claim": [claim.id for claim in known], "verdict": verdict})
    verdicts = verdicts.assign(own=verdict, turned="", unsure="", joined="", null="")
    rows = pd.DataFrame({"claim": [claim.id for claim in known], "test": 0, "part": ""})
    rows = rows.assign(premise=False, group="")
    rows = rows.assign(setting=claims.AS_IT_IS, value=0.3, ci_low=0.1, ci_high=0.5, n=6.0)
    about = {"study": "tiny", "title": "Tiny", "date": "2026-01-01", "version": "0"}
    return Verdicts(rows.assign(verdict=verdict), verdicts, pd.DataFrame(), about)


@pytest.fixture
def study() -> studies.Study:
    return studies.load(str(TINY))


PAGES = sorted({claim.page for claim in claims.ledger().claims})


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("verdict", [HOLDS, FAILS, UNDECIDED])
def test_each_page_with_claims_begins_with_a_sentence_by_the_verdict(
    page: str, verdict: str, study: studies.Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "of", lambda _: a_run(verdict))
    said = reports.finding(study, page).data
    findings = [c.finding for c in claims.ledger().claims if c.page == page and c.finding]
    assert 1 <= len(findings) <= 3
    for finding in findings:
        assert getattr(finding, verdict).format(**study.stimuli.WORDS) in said
    assert "0.30 [0.10, 0.50]" in said


def test_what_holds_for_shuffled_labels_is_not_said_without_that(
    study: studies.Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = a_run(UNDECIDED)
    run.verdicts[["own", "null"]] = HOLDS
    monkeypatch.setattr(claims, "of", lambda _: run)
    assert "says nothing of people" in reports.finding(study, "concept_space").data
    said = reports.sureness(study).data
    assert f"{len(run.verdicts)} hold for shuffled labels, too" in said


def test_what_cannot_be_tested_is_said(
    study: studies.Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "of", lambda _: a_run(MISSING))
    assert reports.NOTHING in reports.finding(study, PAGES[0]).data


@pytest.mark.parametrize(
    "path", sorted((ROOT / "notebooks").glob("*.md")), ids=lambda path: path.stem
)
def test_pages_show_the_finding_of_their_claims(path: Path) -> None:
    if path.stem in PAGES:
        assert f'cv.reports.finding(study, "{path.stem}")' in path.read_text()


def test_claims_stand_by_their_verdict_and_lead_to_their_numbers(
    study: studies.Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "of", lambda _: a_run(HOLDS))
    said = reports.by_verdict(study, where="tiny/notebooks/").data
    known = re.findall(r"href='tiny/notebooks/what_holds.html#([\w-]+)'", said)
    assert sorted(known) == sorted(claim.id for claim in claims.ledger().claims)
    assert f"{len(known)} hold, 0 fail" in reports.summary(study).data


def test_studies_agree_where_their_verdicts_are_the_same(
    study: studies.Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = studies.load("colors")
    first, second = a_run(HOLDS), a_run(HOLDS)
    second.verdicts.loc[:3, "verdict"] = [FAILS, UNDECIDED, MISSING, FAILS]
    monkeypatch.setattr(claims, "of", lambda each: first if each is study else second)
    n = len(first.verdicts)
    said = reports.of_several([study, other]).data
    assert f"Of {n - 1} claims" in said  # one that one alone can test
    assert f"{n - 4} hold in all, 0 fail in all, 0 are undecided in all, 2 hold in one" in said
    assert "2 hold in one and fail in another, 1 is decided in one and not" in said
    holding = said.partition("What holds in every study")[2]
    assert len(re.findall(r"href='across.html#", holding)) == n - 4
    assert "What fails" not in said


def test_a_fold_hides_its_numbers_and_says_what_they_are() -> None:
    table = pd.DataFrame({"model": ["a<b"], "value": [-0.123], "n": [1200.0]})
    said = reports.fold("All & more", {"Here": table}, note="In brackets").data
    assert said.startswith("<details class='fold'><summary>All &amp; more</summary>")
    assert "a&lt;b" in said
    assert "\u22120.12" in said
    assert "1,200" in said


def test_what_people_judged_can_be_taken_from_the_page(vits: studies.Study) -> None:
    said = reports.download(vits).data
    names = re.findall(r"download='([^']+)'", said)
    tables = [
        pd.read_csv(io.BytesIO(base64.b64decode(content)), compression="gzip")
        for content in re.findall(r"base64,([^']+)'", said)
    ]
    assert names == ["tiny-Ekman-choices.csv.gz", "tiny-Ekman-similarities.csv.gz"]
    choices, similarities = tables
    n_triplets = len(pipeline.judged(vits).judgments.triplets)
    assert choices[["one is odd", "two is odd", "three is odd"]].to_numpy().sum() == n_triplets
    assert len(similarities) == 14 * 13 / 2

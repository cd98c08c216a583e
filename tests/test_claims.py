"""Verdicts: by a rule, from tables, with what they hang on."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from convexlib import claims, measures, reports, store, tables
from convexlib import study as studies
from convexlib.claims import AS_IT_IS, FAILS, HOLDS, MISSING, UNDECIDED, Claim, Test, Verdicts
from convexlib.statistics import MINUS, Estimate
from convexlib.store import ROOT
from convexlib.study import Study
from tests.conftest import TINY, save_small_vit
from tests.test_tables import made_up, miniature  # noqa: F401

NAN = float("nan")


@pytest.mark.parametrize(
    ("estimate", "kind", "margin", "verdict"),
    [
        ((0.3, 0.1, 0.5), "above", 0.02, HOLDS),
        ((0.3, -0.1, 0.7), "above", 0.02, UNDECIDED),  # the interval holds zero
        ((0.01, 0.005, 0.03), "above", 0.02, UNDECIDED),  # too small to say, not to rule out
        ((0.01, 0.005, 0.015), "above", 0.02, FAILS),  # sure, and too small
        ((-0.3, -0.5, -0.1), "above", 0.02, FAILS),  # the wrong direction
        ((-0.3, -0.5, -0.1), "below", -0.02, HOLDS),
        ((0.3, 0.1, 0.5), "below", -0.02, FAILS),
        ((0.3, 0.1, 0.5), "not_above", 0.02, FAILS),
        ((-0.3, -0.5, -0.1), "not_above", 0.02, HOLDS),
        ((0.0, -0.04, 0.04), "within", 0.05, HOLDS),
        ((0.0, -0.06, 0.04), "within", 0.05, UNDECIDED),
        ((0.1, 0.01, 0.19), "within", 0.05, FAILS),
        ((-0.1, -0.19, -0.01), "beyond", 0.05, HOLDS),
        ((0.0, -0.04, 0.04), "beyond", 0.05, FAILS),
        ((0.3, NAN, NAN), "above", 0.02, UNDECIDED),
        ((NAN, NAN, NAN), "above", 0.02, MISSING),
    ],
)
def test_a_verdict_looks_at_the_effect_and_its_interval(
    estimate: tuple[float, ...], kind: str, margin: float, verdict: str
) -> None:
    assert claims.judged(Estimate(*estimate), kind, margin) == verdict


ESTIMATES = st.tuples(
    st.floats(-1, 1), st.floats(0, 1), st.floats(0, 1), st.sampled_from([0.02, 0.1])
)


@given(ESTIMATES)
def test_verdicts_of_opposite_expectations_are_opposite(drawn: tuple[float, ...]) -> None:
    value, below, above, margin = drawn
    estimate = Estimate(value, value - below, value + above)
    opposite = {HOLDS: FAILS, FAILS: HOLDS, UNDECIDED: UNDECIDED}
    for one, other in (("above", "not_above"), ("within", "beyond")):
        verdict = claims.judged(estimate, one, margin)
        assert claims.judged(estimate, other, margin) == opposite[verdict]
    mirrored = Estimate(-value, -value - above, -value + below)
    assert claims.judged(mirrored, "below", -margin) == claims.judged(estimate, "above", margin)


@pytest.mark.parametrize(
    ("found", "all_", "any_"),
    [
        ([HOLDS, HOLDS], HOLDS, HOLDS),
        ([HOLDS, FAILS], FAILS, HOLDS),
        ([HOLDS, UNDECIDED], UNDECIDED, HOLDS),
        ([FAILS, UNDECIDED], FAILS, UNDECIDED),
        ([HOLDS, MISSING], MISSING, HOLDS),
        ([FAILS, MISSING], FAILS, MISSING),
        ([FAILS, FAILS], FAILS, FAILS),
        ([], MISSING, MISSING),
    ],
)
def test_several_verdicts_make_one(found: list[str], all_: str, any_: str) -> None:
    assert (claims.all_of(found), claims.any_of(found)) == (all_, any_)


def a_claim(*tests: dict) -> Claim:
    about = {"id": "a", "paper": "convexity", "place": "-", "says": "-", "page": "-", "needs": "-"}
    return Claim.model_validate(about | {"tests": tests})


def tabled(monkeypatch: pytest.MonkeyPatch, rows: list[tuple]) -> None:
    columns = ["family", "measure", "value", "ci_low", "ci_high", "p_value", "n"]
    table = pd.DataFrame(rows, columns=columns)
    monkeypatch.setitem(claims._TABLES, "fine_tuning_summary", lambda _: table)
    claims._cached.cache_clear()


def judge(claim: Claim) -> str:
    rows = claims.evaluate(None, [claim])
    return claims.verdicts(rows)["a"]


EACH = {"table": "fine_tuning_summary", "where": {"measure": "convexity"}, "each": ["family"]}
ROWS = [
    ("vit", "convexity", 0.2, 0.1, 0.3, 0.0, 2),
    ("beit", "convexity", 0.2, -0.1, 0.5, 0.0, 2),
    ("vit", "odd_one_out", -0.2, -0.3, -0.1, 0.0, 2),
]


@pytest.mark.parametrize(
    ("test", "verdict"),
    [
        (EACH | {"above": 0.02}, UNDECIDED),
        (EACH | {"each": [], "any": ["family"], "above": 0.02}, HOLDS),
        (EACH | {"among": {"family": ["vit"]}, "above": 0.02}, HOLDS),
        (EACH | {"among": {"family": ["vit"]}, "below": -0.02}, FAILS),
        (EACH | {"where": {"measure": "odd_one_out"}, "above": 0.02}, FAILS),
        (EACH | {"where": {"measure": "rsa"}, "above": 0.02}, MISSING),
    ],
)
def test_a_test_asks_each_or_any_of_the_rows(
    test: dict, verdict: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tabled(monkeypatch, ROWS)
    assert judge(a_claim(test)) == verdict
    missing = EACH | {"where": {"measure": "rsa"}, "above": 0.02}
    both = judge(a_claim(test, missing))
    assert both == (FAILS if verdict == FAILS else MISSING)


@pytest.mark.parametrize(
    ("margins", "verdict"),
    [
        ((0.02, -0.02), FAILS),  # the premise holds for ViT, and what is claimed fails
        ((0.5, -0.02), MISSING),  # no premise, whatever else
        ((0.5, 0.02), MISSING),
    ],
)
def test_without_its_premise_a_claim_says_nothing(
    margins: tuple[float, float], verdict: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tabled(monkeypatch, ROWS)
    own = EACH | {"among": {"family": ["vit"]}}
    premise = own | {"above": margins[0], "premise": True}
    claimed = own | ({"above" if margins[1] > 0 else "below": margins[1]})
    assert judge(a_claim(premise, claimed)) == verdict
    is_undecided = EACH | {"among": {"family": ["beit"]}, "above": 0.02, "premise": True}
    assert judge(a_claim(is_undecided, own | {"above": 0.02})) == UNDECIDED


@pytest.mark.parametrize(("at_least", "verdict"), [(2, UNDECIDED), (3, MISSING)])
def test_a_test_can_ask_for_several_rows(
    at_least: int, verdict: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tabled(monkeypatch, ROWS)
    assert judge(a_claim(EACH | {"above": 0.02, "at_least": at_least})) == verdict


def test_a_number_that_is_not_told_apart_from_others_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tabled(monkeypatch, ROWS)
    with pytest.raises(ValueError, match="2 rows of fine_tuning_summary are"):
        judge(a_claim(EACH | {"each": [], "above": 0.02}))


@pytest.mark.parametrize(
    ("test", "named"),
    [
        (EACH, "give one of above"),
        (EACH | {"above": 0.1, "below": -0.1}, "give one of above"),
        (EACH | {"table": "gains", "above": 0.1}, "table is 'gains'; choose of: correlations"),
    ],
)
def test_a_mistake_in_the_ledger_is_named(test: dict, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        Test.model_validate(test)


def test_the_ledger_knows_its_papers_pages_and_margins() -> None:
    ledger = claims.ledger()
    assert {claim.paper for claim in ledger.claims} == {*ledger.papers}
    pages = {path.stem for path in (ROOT / "notebooks").glob("*.md")}
    assert {claim.page for claim in ledger.claims} <= pages
    shown = {
        page
        for page in pages
        if f'cv.reports.verdicts(study, "{page}")' in (ROOT / f"notebooks/{page}.md").read_text()
    }
    assert {claim.page for claim in ledger.claims} == shown
    content = yaml.safe_load(claims.LEDGER.read_text())
    content["claims"][0]["tests"][0]["above"] = 0.4
    with pytest.raises(ValueError, match=r"has margin 0.4"):
        claims.Ledger.model_validate(content)


SETTINGS = {"5 neighbours": HOLDS, "joined pairs": HOLDS, "shuffled labels": FAILS}


@pytest.mark.parametrize(
    ("own", "others", "expected"),
    [
        (HOLDS, {}, (HOLDS, "", "", HOLDS, FAILS)),
        (HOLDS, {"5 neighbours": FAILS}, (UNDECIDED, "5 neighbours", "", HOLDS, FAILS)),
        (HOLDS, {"5 neighbours": UNDECIDED}, (HOLDS, "", "5 neighbours", HOLDS, FAILS)),
        (FAILS, {}, (UNDECIDED, "5 neighbours", "", HOLDS, FAILS)),
        # What only the null or joined pairs say otherwise turns nothing, and is told.
        (HOLDS, {"joined pairs": FAILS}, (HOLDS, "", "", FAILS, FAILS)),
        (HOLDS, {"shuffled labels": HOLDS}, (HOLDS, "", "", HOLDS, HOLDS)),
        (UNDECIDED, {"5 neighbours": FAILS}, (UNDECIDED, "", "", HOLDS, FAILS)),
        (HOLDS, {"5 neighbours": NAN}, (HOLDS, "", "", HOLDS, FAILS)),
        (HOLDS, {"joined pairs": MISSING}, (HOLDS, "", "", "", FAILS)),  # not tried
    ],
)
def test_a_verdict_that_another_setting_turns_is_undecided(
    own: str, others: dict[str, str], expected: tuple[str, ...]
) -> None:
    table = pd.DataFrame([{AS_IT_IS: own} | SETTINGS | others], index=["a"])
    kinds = {"joined pairs": "joined", "shuffled labels": "null"}
    row = claims.settled(table, kinds, against_chance=()).loc[0]
    assert tuple(row[["verdict", "turned", "unsure", "joined", "null"]]) == expected
    assert row["own"] == own


@pytest.mark.parametrize("own", [HOLDS, FAILS, UNDECIDED])
@pytest.mark.parametrize("null", [HOLDS, FAILS, UNDECIDED])
def test_what_holds_for_shuffled_labels_too_is_undecided(own: str, null: str) -> None:
    table = pd.DataFrame([{AS_IT_IS: own, "shuffled labels": null}] * 2, index=["a", "b"])
    found = claims.settled(table, {"shuffled labels": "null"}, against_chance=["a"])
    as_null = own == null == HOLDS
    assert found["verdict"].tolist() == [UNDECIDED if as_null else own, own]
    assert found["own"].tolist() == [own, own]


def test_only_of_what_is_claimed_to_be_does_a_null_say_anything() -> None:
    by_id = {claim.id: claim.needs_more_than_chance for claim in claims.ledger().claims}
    assert by_id["concepts-differ"]
    assert not by_id["size"]  # no effect
    assert not by_id["made-up-names"]  # of which the one test that asks for an effect is a premise


@pytest.fixture
def tiny(
    miniature: Study,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Study]:
    """The miniature study, of which the measures are made up."""
    monkeypatch.setattr(tables, "_measured", made_up)
    claims._cached.cache_clear()
    yield miniature
    claims._cached.cache_clear()


def judged(study: Study) -> pd.Series:
    claims._cached.cache_clear()
    return claims.verdicts(claims.evaluate(study, claims.ledger().claims))


def with_values(
    monkeypatch: pytest.MonkeyPatch, change: Callable[[pd.DataFrame], pd.DataFrame]
) -> None:
    monkeypatch.setattr(tables, "_measured", lambda study: change(made_up(study)))


FILES = {name for name in measures.names() if name not in measures.OF_ALIGNET}


@pytest.mark.parametrize("name", sorted(FILES))
def test_without_a_measure_its_claims_are_not_testable_and_nothing_breaks(
    name: str, tiny: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = judged(tiny)
    gone = {
        "transformed_convexity": {("convexity", "naive"), ("convexity", "global")},
        "odd_one_out": {("odd_one_out", "original")},
        "lda": {("odd_one_out", "lda shuffled"), ("made_up_convexity", "lda shuffled")},
    }.get(name, set())
    own = {*__import__(f"convexlib.measures.{name}", fromlist=["MEASURES"]).MEASURES}
    own -= {"odd_one_out"}

    def without(table: pd.DataFrame) -> pd.DataFrame:
        pairs = pd.Series([*zip(table["measure"], table["space"], strict=True)], table.index)
        return table[~table["measure"].isin(own) & ~pairs.isin(gone)]

    with_values(monkeypatch, without)
    after = judged(tiny)
    assert set(after.index) == set(before.index)
    asked = {
        claim.id
        for claim in claims.ledger().claims
        if any(own & {test.where.get("measure")} for test in claim.tests)
    }
    asked |= {"convexity": {"correlation-early", "bell-shaped"}}.get(name, set())
    asked |= {"odd_one_out": {"correlation-early", "supervision"}}.get(name, set())
    for claim in asked:
        assert after[claim] in (MISSING, FAILS), claim
        assert after[claim] == MISSING or before[claim] == FAILS, claim


def test_turning_a_measure_round_turns_the_verdicts_that_rest_on_it(
    tiny: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        tables, "correlations", None
    )  # the ledger holds functions, and not their names
    rng = np.random.default_rng(0)

    def fine_tuned(table: pd.DataFrame) -> pd.DataFrame:
        table = table[(table["space"] == "original") & (table["kind"] == "")].copy()
        tuned = (table["variant"] == "finetuned") & (table["measure"] == "odd_one_out")
        table["value"] = 0.5 + 0.2 * tuned + rng.normal(0, 0.002, len(table))
        return table

    def turned(table: pd.DataFrame) -> pd.DataFrame:
        table = fine_tuned(table)
        is_accuracy = table["measure"] == "odd_one_out"
        return table.assign(value=table["value"].mask(is_accuracy, 1 - table["value"]))

    with_values(monkeypatch, fine_tuned)
    assert judged(tiny)[["fine-tuning-vit", "fine-tuning-data2vec"]].tolist() == [HOLDS, FAILS]
    with_values(monkeypatch, turned)
    assert judged(tiny)[["fine-tuning-vit", "fine-tuning-data2vec"]].tolist() == [FAILS, HOLDS]


def a_run(value: float = 0.5, verdict: str = HOLDS, half: float = 0.1) -> Verdicts:
    rows = pd.DataFrame(
        {
            "claim": ["a"],
            "test": 0,
            "premise": False,
            "part": "",
            "value": value,
            "ci_low": value - half,
            "ci_high": value + half,
            "n": 6,
            "verdict": verdict,
            "group": "",
            "setting": AS_IT_IS,
        }
    )
    texts = dict.fromkeys(("turned", "unsure", "joined", "null"), "")
    verdicts = pd.DataFrame([{"claim": "a", "verdict": verdict, "own": verdict} | texts])
    of_models = rows[["value", "ci_low", "ci_high", "n"]].assign(
        model="vit", layer=0, measure="rsa"
    )
    about = {"study": "s", "title": "S", "date": "2026-01-01", "version": "0", "choice": {}}
    return Verdicts(rows, verdicts, of_models, about)


def test_a_planted_difference_of_an_interval_is_found_and_none_between_two_runs() -> None:
    same = claims.compared(a_run(), a_run())
    assert same.numbers["agrees"].all()
    assert same.verdicts["agrees"].all()
    assert len(same.numbers) == 2
    apart = claims.compared(a_run(0.7, FAILS), a_run(0.5))  # as far as an interval is wide
    assert not apart.numbers["agrees"].any()
    assert not apart.verdicts["agrees"].any()
    near = claims.compared(a_run(0.6), a_run(0.5))
    assert near.numbers["agrees"].all()
    without = claims.compared(a_run(0.505, half=NAN), a_run(0.5, half=NAN))
    assert without.numbers["agrees"].all()
    without = claims.compared(a_run(0.52, half=NAN), a_run(0.5, half=NAN))
    assert not without.numbers["agrees"].any()
    # What one of the two could not test is not held against it.
    assert claims.compared(a_run(verdict=MISSING), a_run()).verdicts.empty


def test_what_was_judged_is_read_as_it_was_written(tmp_path: Path) -> None:
    run = a_run()
    run.save(tmp_path)
    read = Verdicts.load(tmp_path)
    for name in ("rows", "verdicts", "measures"):
        pd.testing.assert_frame_equal(
            getattr(read, name), getattr(run, name), check_dtype=False, check_like=True
        )
    assert read.about == run.about


@pytest.fixture
def released(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of releases, in which the colours stand at 0.5."""
    monkeypatch.setattr(claims, "PUBLISHED", tmp_path / "published")
    a_run().save(claims.PUBLISHED / "colors")
    return claims.PUBLISHED / "colors"


def test_the_last_lines_of_a_run_say_how_it_agrees(
    released: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = studies.load("colors")
    monkeypatch.setattr(claims, "of", lambda _: a_run())
    (line,) = reports.agreement(study)
    assert "2026-01-01 (version 0): 1 of 1 verdicts are the same, and 2 of 2 numbers" in line
    assert "Numbers that do not agree" not in reports.reproduced(study).data
    monkeypatch.setattr(claims, "of", lambda _: a_run(0.7, FAILS))
    first, second = reports.agreement(study)
    assert "0 of 1 verdicts are the same, and 0 of 2 numbers" in first
    assert second == "a: fails here, holds in the release"
    assert "Numbers that do not agree" in reports.reproduced(study).data
    assert reports.agreement(studies.load(str(TINY))) == []
    # Other models or settings may give other results; models that do not count may not.
    added = {"add_models": [str(save_small_vit(tmp_path / "my-model"))]}
    for choice in ({"models": ["vit-base-pretrained"]}, {"settings": {"n_neighbors": 5}}):
        assert reports.agreement(studies.load("colors", **choice)) == []
    assert reports.agreement(studies.load("colors", **added, count_added=True)) == []
    assert len(reports.agreement(studies.load("colors", **added))) == 2


def test_other_studies_are_shown_as_last_run_here_or_else_as_released(
    released: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONVEXLIB_RESULTS", str(tmp_path / "results"))
    assert claims.newest("letters") is None
    assert claims.newest("colors") == released

    def stored(name: str, models: list[str]) -> Path:
        run, folder = a_run(), tmp_path / "results" / "colors" / name
        choice = {"models": models, "add_models": [], "settings": {}}
        run._replace(about=run.about | {"choice": choice}).save(folder)
        store._write_manifest(folder, {}, 0.0)
        return folder

    own = stored("claims-0123456789ab", [])
    stored("claims-ba9876543210", ["vit-base-pretrained"])
    assert claims.newest("colors") == own
    assert claims.elsewhere(studies.load(str(TINY))) == {"colors": own}
    (own / "about.json").write_text("{}")  # damaged
    assert claims.newest("colors") == released


def test_runs_from_other_seeds_are_told_apart_by_what_they_turn(
    released: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = studies.load("colors")
    monkeypatch.setattr(claims, "of", lambda _: a_run())
    ledger = claims.ledger()
    own = ledger.claims[0].model_copy(update={"id": "a"})
    monkeypatch.setattr(
        claims, "ledger", lambda: ledger.model_copy(update={"claims": (own, *ledger.claims)})
    )
    assert "was not run from other seeds" in reports.stability(study).data
    runs = pd.DataFrame({"claim": "a", "verdict": [HOLDS, FAILS], "run": ["seeds 3", "AVX2"]})
    runs.to_csv(released / claims.STABILITY, index=False)
    said = reports.stability(study).data
    assert "Of 1 verdicts, 0 are the same in all runs (AVX2, seeds 3); one turns" in said
    assert "0 are the same in all runs" in reports.sureness(study).data
    assert "seeds of the study: holds" in said
    runs.assign(verdict=HOLDS).to_csv(released / claims.STABILITY, index=False)
    assert "1 are the same in all runs" in reports.stability(study).data


def test_what_is_known_of_models_and_which_count_makes_other_verdicts() -> None:
    study = studies.load(str(TINY))
    (first, *others), fingerprint = study.models, claims.result(study).fingerprint
    for changed in (
        replace(first, counted=False),
        replace(first, attributes={**first.attributes, "objective": "captions"}),
    ):
        other = replace(study, models=(changed, *others))
        assert claims.result(other).fingerprint != fingerprint


def test_each_test_of_the_ledger_is_told_in_words() -> None:
    for claim in claims.ledger().claims:
        for test in claim.tests:
            said = reports._expected(test)
            assert not re.search(r"[_{}]|lda", said), said
    (naive,) = (c for c in claims.ledger().claims if c.id == "naive-pretrained")
    assert reports._expected(naive.tests[0]) == (
        "<em>Change of convexity by the naive transform, all layers, pretrained models</em> should "
        "be 0.02 or more, by an interval above 0."
    )


def test_a_number_has_three_digits_where_two_hide_on_which_side_it_lies() -> None:
    for value, low, margin, said in (
        (0.0183, -0.0008, 0.02, f"0.018 [{MINUS}0.001, 0.500]"),
        (0.3, 0.1, 0.02, "0.30 [0.10, 0.50]"),
        (0.3, 0.3, NAN, "0.30 [0.30, 0.50]"),
    ):
        row = pd.Series({"value": value, "ci_low": low, "ci_high": 0.5})
        assert reports._estimate(row, margin) == said


def test_released_results_are_of_claims_and_studies_that_there_are() -> None:
    for folder in claims.PUBLISHED.glob("*"):
        assert folder.name in studies.names()
        released = Verdicts.load(folder)
        assert {*released.verdicts["claim"]} == {claim.id for claim in claims.ledger().claims}
        assert released.about["choice"]["models"] == []


def test_a_sentence_has_the_numbers_and_what_they_hang_on() -> None:
    claim = a_claim(EACH | {"above": 0.02, "published": 0.91})
    run = a_run(verdict=HOLDS)
    said = reports._said(claim, run)
    assert "**Holds:**" in said
    here = "Here: change of convexity by fine-tuning 0.50 [0.40, 0.60]."
    assert f"Published: 0.91. {here}" in said
    of_two = EACH | {"where": {"measure": "odd_one_out"}, "above": 0.02}
    two = reports._told_apart(a_claim(EACH | {"above": 0.02}, of_two).tests)
    assert two == ["convexity", "accuracy"]
    run.verdicts[["verdict", "turned"]] = UNDECIDED, "5 neighbours"
    assert "Other settings give the opposite: 5 neighbours." in reports._said(claim, run)
    run.verdicts[["verdict", "turned", "null", "joined"]] = HOLDS, "", HOLDS, FAILS
    said = reports._said(claim, run)
    assert "It holds for shuffled labels, too" in said
    assert "It rests on pairs that no path joins" in said
    absent = a_claim(EACH | {"within": 0.05})
    assert "shuffled labels" not in reports._said(absent, run)
    run.verdicts["verdict"] = MISSING
    assert reports._said(claim, run) == ""

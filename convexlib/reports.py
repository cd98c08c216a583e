"""What claims came to, in words: for pages and for the last lines of a run."""

import base64
import gzip
import html
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cache
from string import Formatter

import numpy as np
import pandas as pd
from IPython.display import HTML, Markdown

from convexlib import alignment, claims, pipeline, tables
from convexlib.claims import (
    AS_IT_IS,
    FAILS,
    HOLDS,
    MISSING,
    UNDECIDED,
    VERDICTS,
    Claim,
    Comparison,
    Test,
    Verdicts,
    called,
)
from convexlib.data import CHOSEN
from convexlib.layers import ORIGINAL
from convexlib.models import families
from convexlib.settings import POOLINGS, VARIANTS
from convexlib.statistics import MINUS, Estimate
from convexlib.store import ROOT
from convexlib.study import Study
from convexlib.tables import HALVES

SIGNS = {HOLDS: "\u2713", FAILS: "\u2717", UNDECIDED: "?", MISSING: "\u2013"}
"""Of verdicts, so that no colour is needed to tell them."""

NOTHING = "Of what the papers claim here, this study can test nothing."

_MOST_NUMBERS = 4  # of a claim, that are said in a sentence


def summary(study: Study) -> HTML:
    """How many claims hold, in a sentence."""
    return opening(_counted(study))


def _counted(study: Study) -> str:
    counts = claims.of(study).verdicts["verdict"].value_counts().reindex(VERDICTS, fill_value=0)
    return (
        f"Of {counts.sum()} claims of the three papers, {counts[HOLDS]} hold, {counts[FAILS]} "
        f"fail, {counts[UNDECIDED]} are undecided, and {counts[MISSING]} cannot be tested on this "
        "study."
    )


def by_verdict(study: Study, *, where: str = "", opened: Collection[str] = (HOLDS, FAILS)) -> HTML:
    """The claims under a fold a verdict, what holds first; each leads to its numbers.

    Parameters
    ----------
    study : Study
    where : str, default=""
        In which folder its pages are, as seen from this one.
    opened : collection of str
        Verdicts whose fold is open.
    """
    found = claims.of(study).verdicts.set_index("claim")
    known, folds = found["verdict"], []

    def hangs_on(claim: Claim) -> str:
        said = _hangs_on(claim, found.loc[claim.id])
        return f"<br><span class='paper'>{html.escape(said)}</span>" if said else ""

    for verdict in VERDICTS:
        told = [claim for claim in claims.ledger().claims if known[claim.id] == verdict]
        sign = f"<span class='verdict {_css(verdict)}' aria-hidden='true'>{SIGNS[verdict]}</span>"
        head = f"<summary>{sign} {len(told)} {_verb(verdict, len(told))}</summary>"
        state = " open" if verdict in opened else ""
        if told:
            page = f"{where}what_holds.html"
            folds.append(f"<details{state}>{head}{_linked(told, page, hangs_on)}</details>")
    return HTML(f"<div class='by-verdict'>{''.join(folds)}</div>")


def _linked(
    told: Iterable[Claim], page: str, hangs_on: Callable[[Claim], str] = lambda _: ""
) -> str:
    each = (
        f"<li><a href='{page}#{claim.id}'>{html.escape(claim.says)}</a> "
        f"<span class='paper'>{html.escape(claim.paper)}{', a test of ours' * claim.ours}</span>"
        f"{hangs_on(claim)}</li>"
        for claim in told
    )
    return f"<ul>{''.join(each)}</ul>"


def _verb(verdict: str, n: int) -> str:
    one = {HOLDS: "holds", FAILS: "fails", UNDECIDED: "is undecided"}
    many = {HOLDS: "hold", FAILS: "fail", UNDECIDED: "are undecided"}
    return (one if n == 1 else many).get(verdict, "cannot be tested here")


def sureness(study: Study) -> HTML:
    """How many verdicts stand whatever setting is taken and from other seeds, in sentences."""
    found, by_run = claims.of(study).verdicts.set_index("claim"), _by_run(study)
    tried = found[found.index.isin(_tried(study))]
    decided = tried[tried["verdict"].isin([HOLDS, FAILS])]
    sure = (decided["unsure"] == "").sum()
    n_turned, n_null = (found["turned"] != "").sum(), _by_null(found).sum()
    reasons = " and ".join(
        [f"for {n_turned} another setting gives the opposite"] * bool(n_turned)
        + [f"{n_null} {_verb(HOLDS, n_null)} for shuffled labels, too"] * bool(n_null)
    )
    return HTML(
        f"<p>{len(decided)} of the claims that hold or fail were judged by other settings, too; "
        f"{sure} {'does' if sure == 1 else 'do'} so by all of them. "
        + (f"Of the undecided, {reasons}. " if reasons else "")
        + f"{'' if by_run.empty else _of_runs(by_run)}</p>"
    )


def _tried(study: Study) -> set[str]:
    """Claims that were judged by another setting that could give the opposite."""
    alike = study.variations.keys() - claims.kinds(study).keys()
    rows = claims.of(study).rows
    rows = rows[rows["setting"].isin(alike) & (rows["verdict"] != MISSING)]
    return {*rows["claim"]}


def _by_null(verdicts: pd.DataFrame) -> pd.Series:
    """Which are undecided since they hold for a null, too."""
    as_null = (verdicts["own"] == HOLDS) & (verdicts["null"] == HOLDS)
    return as_null & (verdicts["verdict"] == UNDECIDED) & (verdicts["turned"] == "")


def finding(study: Study, page: str) -> HTML:
    """What a page begins with: what came out of the claims that it is about, in a sentence or two.

    Parameters
    ----------
    study : Study
    page : str
        Name of the notebook.
    """
    found, said = claims.of(study), []
    for claim in claims.ledger().claims:
        if claim.page == page and claim.finding is not None:
            about, rows = _of_claim(claim, found)
            if about["verdict"] != MISSING:
                sentence = getattr(claim.finding, about["verdict"]).format(**study.stimuli.WORDS)
                hangs_on = _turns(about), *_caveats(claim, about)
                numbers = " ".join(filter(None, [_numbers(claim, rows, most=2), *hangs_on]))
                said.append(f"{html.escape(sentence)} <span>{numbers}</span>")
    return opening(" ".join(said) or NOTHING)


def of_study(study: Study) -> HTML:
    """How much a study has, in a sentence."""
    judged = pipeline.judged(study)
    words, first = study.stimuli.WORDS, judged.judgments
    n_concepts = len({*judged.concept.codes[judged.shown].tolist()})
    n_more = sum(len(each.triplets) for each in judged.sets.values()) - len(first.triplets)
    made = "" if first.method == CHOSEN else f", derived from people's {first.method},"
    more = f", and {n_more:,} more are in {_other_sets(len(judged.sets) - 1)}" if n_more else ""
    return opening(
        f"{len(first.triplets):,} choices of the odd one out of three{made} say how people see "
        f"{n_concepts:,} {words['concepts']}{more}. {tables.n_models(study)} kinds of models are "
        f"asked the same; the convexity of {judged.categories.shape[1]} {words['categories']} is "
        f"measured among {len(judged.shown):,} images."
    )


def _other_sets(n: int) -> str:
    return "another set of judgments" if n == 1 else f"{n} other sets of judgments"


def of_three(study: Study) -> HTML:
    """What people and models find odd where they part most, in a sentence."""
    shares = tables.parting(study, n_threes=1)
    if shares.empty:
        return opening(NOTHING)
    odd = shares.loc[shares.groupby("source", sort=False)["share"].idxmax()].set_index("source")
    names = shares["name"].drop_duplicates().tolist()
    said, method = [], pipeline.judged(study).judgments.method
    for source, of in odd.iterrows():
        who = called(source) if source == tables.PEOPLE else f"{called(source)} models"
        if source == tables.PEOPLE and method != CHOSEN:
            said.append(f"by people's {method} it is {of['name']}")
        else:
            said.append(f"{who} most often say {of['name']} ({of['share']:.0%})")
    three = f"{', '.join(names[:2])} and {names[2]}"
    return opening(
        html.escape(f"Which is the odd one out of {three}? {_first_upper('; '.join(said))}.")
    )


def of_several(several: Sequence[Study]) -> HTML:
    """On how many claims studies agree, in a sentence, and on which."""
    known = pd.DataFrame(
        {study.name: claims.of(study).verdicts.set_index("claim")["verdict"] for study in several}
    )
    tested = known[(known != MISSING).sum(axis=1) > 1]
    alike = {
        verdict: tested.index[tested.isin([verdict, MISSING]).all(axis=1)]
        for verdict in (HOLDS, FAILS, UNDECIDED)
    }
    opposite = (tested.isin([HOLDS]).any(axis=1) & tested.isin([FAILS]).any(axis=1)).sum()
    rest = len(tested) - sum(map(len, alike.values())) - opposite
    counted = [(len(ids), f"{_verb(verdict, len(ids))} in all") for verdict, ids in alike.items()]
    counted += [
        (opposite, f"{_verb(HOLDS, opposite)} in one and {_verb(FAILS, opposite)} in another")
    ]
    counted += [(rest, f"{'is' if rest == 1 else 'are'} decided in one and not in another")]
    said = ", ".join(f"{n} {words}" for n, words in counted)
    every = claims.ledger().claims
    lists = [
        f"<p>{words}:</p>{_linked((claim for claim in every if claim.id in ids), 'across.html')}"
        for words, ids in (
            ("What holds in every study that can test it", alike[HOLDS]),
            ("What fails in every study that can test it", alike[FAILS]),
        )
        if len(ids)
    ]
    first = opening(
        f"Of {len(tested)} claims of the three papers that more than one study can test, {said}."
    )
    return HTML(f"{first.data}<div class='by-verdict'>{''.join(lists)}</div>")


def cards(several: Sequence[Study]) -> HTML:
    """A study a card: what it is about, its verdicts, and the way to its edition."""
    found = []
    for study in several:
        where = f"{study.name}/notebooks/"
        head = f"<h3><a href='{study.name}/index.html'>{html.escape(study.file.title)}</a></h3>"
        told = of_study(study).data, of_untrained(study).data
        about = "".join([*told, by_verdict(study, where=where, opened=()).data])
        found.append(f"<section>{head}{about}</section>")
    return HTML(f"<div class='studies'>{''.join(found)}</div>")


def of_training(study: Study) -> HTML:
    """How well what was trained here does what it was fine-tuned for, in a sentence."""
    known = tables.training_summary(study).reindex(columns=["variant", "test score"])
    scores = known.loc[known["variant"] == "finetuned", "test score"].dropna()
    if scores.empty:
        return opening("None of the fine-tuned models was trained here.")
    least, most = f"{scores.min():.0%}", f"{scores.max():.0%}"
    how_many = least if least == most else f"{least} to {most}"
    return opening(
        f"Fine-tuned models, {len(scores)} kinds, name {how_many} of the test images right."
    )


def of_poolings(study: Study) -> HTML:
    """How many verdicts another pooling changes, in a sentence for each."""
    found = settings(study).pivot(index="claim", columns="setting", values="verdict")
    said = []
    for name, varied in study.variations.items():
        pooling = varied.file.measures.pooling
        if pooling != study.file.measures.pooling and name in found:
            both = found[[AS_IT_IS, name]].dropna()
            both = both[(both != MISSING).all(axis=1)]
            turned = both.apply(lambda row: {*row} == {HOLDS, FAILS}, axis=1).sum()
            same = (both[AS_IT_IS] == both[name]).sum()
            said.append(
                f"Pooled by {POOLINGS[pooling]}: {same} of {len(both)} verdicts are the same; "
                f"{_turning(turned)}."
            )
    return opening(" ".join(said) or NOTHING)


def of_classes(study: Study) -> HTML:
    """Between which classes the correlations of convexity and accuracy lie, in a sentence."""
    known = tables.class_correlations(study, "category").dropna(subset=["value"])
    early = known[known["part"] == HALVES[0]].sort_values("value", kind="stable")
    if len(early) < 2:
        return opening(
            "No correlation of single classes can be told from so few layers and models."
        )
    least, most = early.iloc[0], early.iloc[-1]
    return opening(
        f"In the first half of the layers, the correlation of the convexity of one class with "
        f"accuracy reaches from {_estimate(least)} ({least['name']}) to {_estimate(most)} "
        f"({most['name']})."
    )


def of_aligned_convexity(study: Study) -> HTML:
    """What learning from a teacher adds to convexity, and what of it is due to people."""
    gains = tables.outcome_gains(study)
    gains = gains[gains["about"] == "convexity"].set_index(["outcome", "difference"])
    words, said = study.stimuli.WORDS, []
    for outcome in gains.index.unique("outcome"):
        known = gains.loc[outcome]
        if {"aligned minus pretrained", "aligned minus unaligned"} <= {*known.index}:
            added, due = (
                _estimate(known.loc[f"aligned minus {other}"])
                for other in ("pretrained", "unaligned")
            )
            said.append(
                f"The convexity of {words[outcome]} at the last layer changes by {added} in "
                f"aligned students; beyond what it changes in unaligned ones, by {due}."
            )
    return HTML(f"<p>{html.escape(' '.join(said))}</p>" if said else "")


def of_pairs(kept: pd.DataFrame) -> HTML:
    """How often pairs are kept together, by people and by models, in a sentence.

    Parameters
    ----------
    kept : DataFrame
        As `tables.kept_together` has it.
    """
    ends = [
        f"{called(source)} keep a pair together in {rows.min():.0%} to {rows.max():.0%}"
        if source == tables.PEOPLE
        else f"{called(source)} models in {rows.min():.0%} to {rows.max():.0%}"
        for source, rows in kept.groupby("source", sort=False)["value"]
    ]
    of_people = kept.loc[kept["source"] == tables.PEOPLE, "value"]
    others = kept.loc[kept["source"] != tables.PEOPLE, "value"]
    turn = ""
    if of_people.min() > others.max():
        turn = " So people keep each of them together more often than models do."
    elif of_people.max() < others.min():
        turn = " So people keep each of them together less often than models do."
    return HTML(f"<p>Over these pairs, {', '.join(ends)}.{turn}</p>" if ends else "")


def of_disagreement(study: Study) -> HTML:
    """How far models are torn where people are, at most, and people among themselves."""
    known = tables.disagreement(study)
    known = known[known["measure"] == "entropy_correlation"].dropna(subset=["value"])
    if known.empty:
        return opening(NOTHING)
    best, least, most = (
        known.loc[known["value"].idxmax()],
        known["ceiling"].min(),
        known["ceiling"].max(),
    )
    head = (
        "Models are torn where people are far less than other people are"
        if best["ci_high"] < least
        else "It cannot be told whether models are torn where people are as other people are"
    )
    return opening(
        f"{head}: of {len(known)} rank correlations with people's uncertainty (by judgments, "
        f"variant and part of the layers) the largest is {_estimate(best)} ({best['judgments']}, "
        f"{called(best['variant'])} models, {best['part']}); of one half of the people with the "
        f"other they are {least:.2f} to {most:.2f}."
    )


def of_answers(whose: pd.DataFrame) -> HTML:
    """How far it matters whose judgments they are, in a sentence.

    Parameters
    ----------
    whose : DataFrame
        As `tables.whose_judgments` has it.
    """
    ends = [
        f"{measure} in {rows.min():.0%} to {rows.max():.0%}"
        for measure, rows in whose.groupby("measure", sort=False)["value"]
    ]
    said = f"By judgments and answer, people agree {', '.join(ends)} of their choices."
    return HTML(f"<p>{said}</p>" if ends else "")


def of_untrained(study: Study) -> HTML:
    """How human models are at their best layer, trained and not, and people, in a sentence."""
    best = []
    for table in (tables.layer_means(study), tables.baselines(study)):
        known = table[(table["space"] == ORIGINAL) & (table["measure"] == "odd_one_out")]
        known = known.dropna(subset=["value"])
        if known.empty:
            return HTML("")
        best.append(known.loc[known["value"].idxmax()])
    trained, untrained = best
    where = f"{html.escape(trained['model'])}, layer {trained['layer']}"
    said = (
        f"The most human layer of a trained model ({where}) keeps the pair that people keep in "
        f"{trained['value']:.2f} of all choices; the best that no training made "
        f"({html.escape(untrained['model'])}), in {untrained['value']:.2f}."
    )
    ceiling = pipeline.judged(study).judgments.ceiling
    if ceiling:
        said += f" Who always chose as most people do would reach {ceiling[1]:.2f}."
    return HTML(f"<p>{said}</p>")


def _first_upper(words: str) -> str:
    return words[:1].upper() + words[1:]


def opening(sentences: str) -> HTML:
    """The sentences that a page begins with."""
    return HTML(f"<p class='finding'>{sentences}</p>")


def fold(words: str, folded: pd.DataFrame | Mapping[str, pd.DataFrame], *, note: str = "") -> HTML:
    """Tables under a fold, for who wants every number.

    Parameters
    ----------
    words : str
        What is seen of it before it is opened.
    folded : DataFrame or mapping of DataFrame
        One, or several by what stands above each. Numbers are shown with two digits.
    note : str, optional
        What stands above them.
    """
    region = f"role='region' aria-label='{html.escape(words, quote=True)}' tabindex='0'"
    parts = [f"<p>{html.escape(note)}</p>"] if note else []
    several = folded if isinstance(folded, Mapping) else {"": folded}
    for title, table in several.items():
        shown = table.map(_named).to_html(
            index=False, border=0, na_rep="", float_format=_two_digits
        )
        head = f"<p><strong>{html.escape(title)}</strong></p>" if title else ""
        parts.append(f"{head}<div class='scrolls' {region}>{shown}</div>")
    head = f"<summary>{html.escape(words)}</summary>"
    return HTML(f"<details class='fold'>{head}{''.join(parts)}</details>")


def _named(cell: object) -> object:
    """Families and variants by what they are called; names of models, which have dashes, as they
    are."""
    return _short().sub(lambda found: called(found[0]), cell) if isinstance(cell, str) else cell


@cache
def _short() -> re.Pattern[str]:
    known = "|".join([*families.known(), VARIANTS[1]])
    return re.compile(rf"(?<![\w-])({known})(?![\w-])")


def _two_digits(value: float) -> str:
    whole = abs(value) >= 100 and float(value).is_integer()
    return (f"{value:,.0f}" if whole else f"{value:.2f}").replace("-", MINUS)


def published(claim: str) -> float:
    """The number that a paper has for a claim."""
    (known,) = (c for c in claims.ledger().claims if c.id == claim)
    return next(test.published for test in known.tests if test.published is not None)


def verdicts(study: Study, page: str) -> Markdown:
    """The claims that a page is about, and what came out, in a list.

    Parameters
    ----------
    study : Study
    page : str
        Name of the notebook.
    """
    found = claims.of(study)
    said = [_said(claim, found) for claim in claims.ledger().claims if claim.page == page]
    known = [text for text in said if text]
    return Markdown("\n".join(known) or NOTHING)


def _said(claim: Claim, found: Verdicts) -> str:
    verdict = _of_claim(claim, found)[0]["verdict"]
    if verdict == MISSING:
        return ""
    head = f"- {SIGNS[verdict]} **{verdict.capitalize()}:** *{claim.says}*"
    return f"{head} {_in_short(claim, found)}"


def _of_claim(claim: Claim, found: Verdicts) -> tuple[pd.Series, pd.DataFrame]:
    """The verdict on a claim, and the numbers that it rests on."""
    of_claim = found.rows["claim"] == claim.id
    rows = found.rows[of_claim & (found.rows["setting"] == AS_IT_IS)]
    return found.verdicts.set_index("claim").loc[claim.id], rows


def _in_short(claim: Claim, found: Verdicts) -> str:
    """What was published and measured, and what it hangs on."""
    about, rows = _of_claim(claim, found)
    return f"{_numbers(claim, rows)} {_hangs_on(claim, about)}".strip()


def _numbers(claim: Claim, rows: pd.DataFrame, most: int = _MOST_NUMBERS) -> str:
    """What was measured, beside what was published."""
    published = [test.published for test in claim.tests if test.published is not None]
    text = f"Published: {', '.join(f'{p:.2f}' for p in published)}. " if published else ""
    if len(rows) <= most:
        told = _told_apart(claim.tests)
        each = []
        for row in rows.itertuples():
            test = claim.tests[row.test]
            name = ", ".join(filter(None, [told[row.test], row.part])) or _asked(test)
            each.append(f"{name} {_estimate(row, test.margin)}")
        return f"{text}Here: {'; '.join(each)}."
    counts = rows["verdict"].value_counts()
    passing = "passes" if counts.get(HOLDS) == 1 else "pass"  # a number, and no claim
    parts = [
        f"{counts[verdict]} {passing if verdict == HOLDS else _verb(verdict, counts[verdict])}"
        for verdict in (HOLDS, FAILS, UNDECIDED)
        if verdict in counts
    ]
    return f"{text}Of {len(rows)} numbers, {', '.join(parts)}."


def _told_apart(tests: Sequence[Test]) -> list[str]:
    """What tells each test of a claim from the others, in words."""
    asked = [{**test.of, **test.where} for test in tests]
    differ = [key for key in asked[0] if len({str(each.get(key)) for each in asked}) > 1]
    return [", ".join(called(each[key]) for key in differ if key in each) for each in asked]


def _estimate(row: object, margin: float = np.nan) -> str:
    """A number with its interval; with more digits where two hide on which side of 0 or of the
    margin one of them lies."""
    estimate = Estimate(row.value, row.ci_low, row.ci_high)
    for digits in (2, 3, 4):
        hidden = any(
            round(number, digits) == round(limit, digits) and number != limit
            for number in estimate[:3]
            for limit in (0.0, margin, -margin)
        )
        if not hidden:
            break
    return format(estimate, f".{digits}f")


def _hangs_on(claim: Claim, about: pd.Series) -> str:
    """Which settings change the verdict, and what it rests on."""
    unsure = f"It is undecided with: {about['unsure']}." if about["unsure"] else ""
    return " ".join(filter(None, [_turns(about), unsure, *_caveats(claim, about)]))


def _turns(about: pd.Series) -> str:
    return f"Other settings give the opposite: {about['turned']}." if about["turned"] else ""


def _caveats(claim: Claim, about: pd.Series) -> list[str]:
    """What must be said with a verdict, wherever it is said."""
    said = []
    decided = about["verdict"] in (HOLDS, FAILS)
    if decided and about["joined"] not in ("", about["verdict"]):
        said.append("It rests on pairs that no path joins: without them it is not so.")
    if claim.needs_more_than_chance and about["own"] == about["null"] == HOLDS:
        said.append("It holds for shuffled labels, too, and so says nothing of people.")
    return said


def margins() -> Markdown:
    """What counts as large, in a list."""
    known = claims.ledger().margins.items()
    return Markdown("\n".join(f"- {margin:g}: {what}." for margin, what in known))


def overview(study: Study) -> HTML:
    """All claims with the verdict on each study, and under a fold what it rests on in this one."""
    by_study = claims.across(study)
    return _table_of(by_study, {next(iter(by_study)): ""})


def overview_of(several: Sequence[Study]) -> HTML:
    """All claims with the verdict on each of these studies, and under a fold what it rests on."""
    by_study = {study.file.title: claims.of(study) for study in several}
    return _table_of(by_study, {study.file.title: f"{study.name}/notebooks/" for study in several})


def _table_of(by_study: Mapping[str, Verdicts], told: Mapping[str, str]) -> HTML:
    """A table of verdicts by title; of those told, the numbers, and where their pages are."""
    ledger = claims.ledger()
    parts = [_key()]
    for paper, about in ledger.papers.items():
        head = "".join(f"<th scope='col'>{html.escape(title)}</th>" for title in by_study)
        parts.append(
            f"<table class='ledger'><caption>{html.escape(about.title)}</caption>"
            f"<thead><tr><th scope='col'>Claim</th>{head}</tr></thead><tbody>"
        )
        for claim in ledger.claims:
            if claim.paper == paper:
                cells = "".join(_cell(claim, verdicts) for verdicts in by_study.values())
                heads = {title: f"<h4>{html.escape(title)}</h4>" for title in told if len(told) > 1}
                details = "".join(
                    heads.get(title, "") + _details(claim, by_study[title], where)
                    for title, where in told.items()
                )
                small = "" if heads else _small_print(claim, by_study[next(iter(told))])
                parts.append(
                    f"<tr id='{claim.id}'><td><details><summary>{html.escape(claim.says)}"
                    f"</summary>{details}</details>{small}</td>{cells}</tr>"
                )
        parts.append("</tbody></table>")
    return HTML("".join(parts))


def _key() -> str:
    each = (f"<span class='verdict {_css(v)}'>{SIGNS[v]}</span> {v}" for v in VERDICTS)
    return f"<p class='ledger-key'>{' &nbsp; '.join(each)}</p>"


def _css(verdict: str) -> str:
    return verdict.split()[0]


def _small_print(claim: Claim, found: Verdicts) -> str:
    """What stands below a claim without opening it."""
    if _of_claim(claim, found)[0]["verdict"] == MISSING:
        return ""
    return f"<p class='measured'>{html.escape(_in_short(claim, found))}</p>"


def _cell(claim: Claim, verdicts: Verdicts) -> str:
    known = verdicts.verdicts.set_index("claim")["verdict"]
    verdict = known.get(claim.id, MISSING)
    sign = f"<span class='verdict {_css(verdict)}' title='{verdict}' aria-hidden='true'>"
    study = html.escape(verdicts.about["title"], quote=True)
    said = f"{SIGNS[verdict]}</span><span class='unseen'>{verdict}</span>"
    return f"<td data-study='{study}'>{sign}{said}</td>"


def _details(claim: Claim, found: Verdicts, where: str) -> str:
    about, rows = _of_claim(claim, found)
    lines = []
    is_tested = about["verdict"] != MISSING
    if not is_tested:
        lines.append(f"This study cannot test it: it needs {claim.needs}.")
    if rows["verdict"].ne(MISSING).any():
        for number, test in enumerate(claim.tests):
            of_test = rows[rows["test"] == number]
            items = "".join(_item(row, test.margin) for row in of_test.itertuples())
            lines.append(f"{_expected(test)}<ul>{items}</ul>")
        over = {claims.ledger().numbers[test.table].over for test in claim.tests}
        lines.append(
            f"Brackets are 95 % intervals for {' and '.join(sorted(over))}, of which n are here."
        )
        lines.append(_hangs_on(claim, about) if is_tested else "")
    shown = (
        f" Shown on the page <a href='{where}{claim.page}.html'>{html.escape(_title(claim.page))}"
        f"</a>; <code>make notebook NAME={claim.page} STUDY={found.about['study']}</code> makes it "
        "again."
    )
    # Where nothing is tested there may be no such page.
    lines.append(f"In the paper: {html.escape(claim.place)}.{shown if is_tested else ''}")
    return "".join(f"<p>{line}</p>" for line in lines if line)


@cache
def _title(page: str) -> str:
    """The heading of a notebook."""
    text = (ROOT / "notebooks" / f"{page}.md").read_text(encoding="utf-8")
    return re.search(r"^# (.+)$", text, re.MULTILINE)[1]


def _item(row: object, margin: float) -> str:
    name = f"{html.escape(row.part)}: " if row.part else ""
    return f"<li>{SIGNS[row.verdict]} {name}{_estimate(row, margin)} (n = {row.n:.0f})</li>"


def _expected(test: Test) -> str:
    """What a test asks, and the margin."""
    margin = f"{test.margin:g}".replace("-", MINUS)
    wanted = {
        "above": f"{margin} or more, by an interval above 0",
        "below": f"{margin} or less, by an interval below 0",
        "not_above": f"an interval that ends below {margin}",
        "within": f"an interval between {MINUS}{margin} and {margin}",
        "beyond": f"{margin} or more away from 0, by an interval that leaves out 0",
    }[test.kind]
    which = f", for each {' and '.join(map(_word, test.each))}" if test.each else ""
    which += f", for at least one {' and '.join(map(_word, test.any))}" if test.any else ""
    published = f" Published: {test.published:.2f}." if test.published is not None else ""
    first = "First, that it speaks of anything: " if test.premise else ""
    what = html.escape(_first_upper(_asked(test)) + which)
    return f"{first}<em>{what}</em> should be {wanted}.{published}"


def _asked(test: Test) -> str:
    """What the number of a test is, in words."""
    told = {key: called(value) for key, value in {**test.of, **test.where}.items()}
    parts = claims.ledger().numbers[test.table].says.split("|")
    return ", ".join(
        part.format_map(told)
        for part in parts
        if all(told.get(name) for _, name, _, _ in Formatter().parse(part) if name)
    )


def _word(column: str) -> str:
    words = {"source": "set fitted to", "target": "set judged on", "against": "another"}
    return (words | {"judgments": "set of judgments"}).get(column, column)


def settings(study: Study) -> pd.DataFrame:
    """Verdicts by setting, of the claims that could be tested, for `figures.verdicts`.

    Returns
    -------
    DataFrame
        One row a claim and setting: claim, setting, verdict.
    """
    found = claims.of(study)
    by_setting = {
        name: claims.verdicts(rows) for name, rows in found.rows.groupby("setting", sort=False)
    }
    table = pd.DataFrame(by_setting).rename_axis("claim")
    order = [c.id for c in claims.ledger().claims if c.id in table.index]
    table = table.loc[order]
    table = table[table[AS_IT_IS] != MISSING].dropna(thresh=2)
    return table.reset_index().melt("claim", var_name="setting", value_name="verdict").dropna()


def stability(study: Study) -> Markdown:
    """Which verdicts are the same in all runs, in words."""
    by_run = _by_run(study)
    if by_run.empty:
        return Markdown("This study was not run from other seeds or on other machines.")
    order = [claim for claim in claims.ledger().claims if claim.id in by_run.index]
    said = [
        "The models of this study were trained anew from other seeds, and with other vector "
        "instructions, and the claims judged again, those of AligNet left out. All runs are judged "
        "by the study's own settings alone here, so that a verdict can be another than the one "
        f"above. {_of_runs(by_run)}",
        "",
    ]
    said += [
        f"- *{claim.says}* "
        + "; ".join(
            f"{'seeds of the study' if run == AS_IT_IS else run}: {verdict}"
            for run, verdict in by_run.loc[claim.id].items()
        )
        for claim in order
        if len({*by_run.loc[claim.id]}) > 1
    ]
    return Markdown("\n".join(said))


def _by_run(study: Study) -> pd.DataFrame:
    """Verdicts: a row a claim, a column a run."""
    return claims.stability(study).pivot(index="claim", columns="run", values="verdict")


def _of_runs(by_run: pd.DataFrame) -> str:
    runs = ", ".join(name for name in by_run if name != AS_IT_IS)
    same = by_run.eq(by_run.iloc[:, 0], axis=0).all(axis=1)
    opposite = by_run.isin([HOLDS]).any(axis=1) & by_run.isin([FAILS]).any(axis=1)
    return (
        f"Of {len(by_run)} verdicts, {same.sum()} are the same in all runs ({runs}); "
        f"{_turning(opposite.sum())}."
    )


def _turning(n: int) -> str:
    return {0: "none turns into its opposite", 1: "one turns into its opposite"}.get(
        int(n), f"{n} turn into their opposite"
    )


def agreement(study: Study) -> list[str]:
    """How a run agrees with the release of its study, in lines; none where it has no release."""
    found = claims.reproduced(study)
    return [] if found is None else _lines(found)


def _lines(found: Comparison) -> list[str]:
    verdicts, numbers = found.verdicts, found.numbers
    lines = [
        f"Held against the results released on {found.about['date']} (version "
        f"{found.about['version']}): {verdicts['agrees'].sum()} of {len(verdicts)} verdicts are "
        f"the same, and {numbers['agrees'].sum():,} of {len(numbers):,} numbers agree within their "
        "intervals."
    ]
    lines += [
        f"{row.claim}: {row.here} here, {row.published} in the release"
        for row in verdicts[~verdicts["agrees"]].itertuples()
    ]
    return lines


def reproduced(study: Study) -> HTML:
    """How a run agrees with the release of its study, and under a fold all that does not."""
    about = claims.of(study).about
    made = f"<p>This run: {about['date']}, version {about['version']}.</p>"
    found = claims.reproduced(study)
    if found is None:
        return HTML(f"{made}<p>No results of such a run were released.</p>")
    first, *others = (html.escape(line) for line in _lines(found))
    said = "".join(f"<li>{line}</li>" for line in others)
    apart = found.numbers[~found.numbers["agrees"]].drop(columns="agrees")
    table = apart.to_html(index=False, float_format="{:.3f}".format, border=0)
    fold = f"<details><summary>Numbers that do not agree</summary>{table}</details>"
    return HTML(f"{made}<p>{first}</p><ul>{said}</ul>{fold if len(apart) else ''}")


def download(study: Study) -> HTML:
    """Links to what people judged, as tables that are part of the page.

    Of choices: how often each of three was the odd one. Of similarities: a row a pair.
    """
    judged, links = pipeline.judged(study), []
    for name, of_set in judged.sets.items():
        threes, counts = alignment.choice_counts(of_set.triplets)
        table = pd.DataFrame(np.array(judged.names)[threes], columns=["one", "two", "three"])
        # The first count is of the pair without the third, and so on.
        odd = ["three is odd", "two is odd", "one is odd"]
        table[odd] = counts
        links.append(_link(table, f"{study.name}-{name}-choices.csv", f"{name}: choices"))
        if of_set.similarity is not None:
            i, j = np.nonzero(np.triu(np.isfinite(of_set.similarity), 1))
            pairs = pd.DataFrame(
                {"one": np.array(judged.names)[i], "two": np.array(judged.names)[j]}
            )
            pairs["similarity"] = of_set.similarity[i, j]
            file = f"{study.name}-{name}-similarities.csv"
            links.append(_link(pairs, file, f"{name}: similarities"))
    return HTML(f"<ul class='downloads'>{''.join(links)}</ul>")


def _link(table: pd.DataFrame, file: str, words: str) -> str:
    # Compressed, since names recur in every row: a page of plain tables would weigh too much.
    packed = gzip.compress(table.to_csv(index=False).encode(), mtime=0)
    content = base64.b64encode(packed).decode()
    name = html.escape(f"{file.replace(' ', '-')}.gz", quote=True)
    return (
        f"<li><a download='{name}' href='data:application/gzip;base64,{content}'>"
        f"{html.escape(words)}</a> (CSV, gzipped, {len(table):,} rows)</li>"
    )

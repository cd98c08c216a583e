"""What claims came to, in words: for pages and for the last lines of a run."""

import base64
import html
from collections.abc import Sequence

import numpy as np
import pandas as pd
from IPython.display import HTML, Markdown

from convexlib import alignment, claims, pipeline
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
from convexlib.statistics import MINUS, Estimate
from convexlib.study import Study

SIGNS = {HOLDS: "\u2713", FAILS: "\u2717", UNDECIDED: "?", MISSING: "\u2013"}
"""Of verdicts, so that no colour is needed to tell them."""

_MOST_NUMBERS = 4  # of a claim, that are said in a sentence


def summary(study: Study) -> Markdown:
    """How many claims hold, in a sentence."""
    counts = claims.of(study).verdicts["verdict"].value_counts().reindex(VERDICTS, fill_value=0)
    said = [
        f"**{counts[HOLDS]} hold**",
        f"**{counts[FAILS]} fail**",
        f"{counts[UNDECIDED]} are undecided",
        f"{counts[MISSING]} cannot be tested on this study",
    ]
    return Markdown(
        f"Of {counts.sum()} claims of the three papers, {', '.join(said[:3])}, and {said[3]}."
    )


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
    return Markdown(
        "\n".join(known) or "Of what the papers claim here, this study can test nothing."
    )


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


def _numbers(claim: Claim, rows: pd.DataFrame) -> str:
    """What was measured, beside what was published."""
    published = [test.published for test in claim.tests if test.published is not None]
    text = f"Published: {', '.join(f'{p:.2f}' for p in published)}. " if published else ""
    if len(rows) <= _MOST_NUMBERS:
        told = _told_apart(claim.tests)
        each = [
            f"{', '.join(filter(None, [told[row.test], row.part]))} {_estimate(row)}".strip()
            for row in rows.itertuples()
        ]
        return f"{text}Here: {'; '.join(each)}."
    counts = rows["verdict"].value_counts()
    parts = [
        f"{counts[verdict]} {does}"
        for verdict, does in ((HOLDS, "pass"), (FAILS, "fail"), (UNDECIDED, "are undecided"))
        if verdict in counts
    ]
    return f"{text}Of {len(rows)} numbers, {', '.join(parts)}."


def _told_apart(tests: Sequence[Test]) -> list[str]:
    """What tells each test of a claim from the others, in words."""
    asked = [{**test.of, **test.where} for test in tests]
    differ = [key for key in asked[0] if len({str(each.get(key)) for each in asked}) > 1]
    return [", ".join(called(each[key]) for key in differ if key in each) for each in asked]


def _estimate(row: object) -> str:
    return str(Estimate(row.value, row.ci_low, row.ci_high))


def _hangs_on(claim: Claim, about: pd.Series) -> str:
    """Which settings change the verdict, and what it rests on."""
    said = []
    if about["turned"]:
        said.append(f"It turns with: {about['turned']}.")
    if about["unsure"]:
        said.append(f"Not sure with: {about['unsure']}.")
    decided = about["verdict"] in (HOLDS, FAILS)
    if decided and about["joined"] not in ("", about["verdict"]):
        said.append("It rests on pairs that no path joins: without them it is not so.")
    # Of what is claimed not to be, a null says nothing.
    says_that_something_is = any(test.kind in ("above", "below", "beyond") for test in claim.tests)
    if says_that_something_is and about["verdict"] == about["null"] == HOLDS:
        said.append("It holds for shuffled labels, too, and so says nothing of people.")
    return " ".join(said)


def margins() -> Markdown:
    """What counts as large, in a list."""
    known = claims.ledger().margins.items()
    return Markdown("\n".join(f"- {margin:g}: {what}." for margin, what in known))


def overview(study: Study) -> HTML:
    """All claims with the verdict on each study, and under a fold what it rests on."""
    by_study = claims.across(study)
    ledger, found = claims.ledger(), next(iter(by_study.values()))
    parts = [_legend()]
    for paper, about in ledger.papers.items():
        head = "".join(f"<th scope='col'>{html.escape(title)}</th>" for title in by_study)
        parts.append(
            f"<table class='ledger'><caption>{html.escape(about.title)}</caption>"
            f"<thead><tr><th scope='col'>Claim</th>{head}</tr></thead><tbody>"
        )
        for claim in ledger.claims:
            if claim.paper == paper:
                cells = "".join(_cell(claim, verdicts) for verdicts in by_study.values())
                details = _details(claim, found)
                parts.append(
                    f"<tr id='{claim.id}'><td><details><summary>{html.escape(claim.says)}"
                    f"</summary>{details}</details>{_small_print(claim, found)}</td>{cells}</tr>"
                )
        parts.append("</tbody></table>")
    return HTML("".join(parts))


def _legend() -> str:
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
    return f"<td>{sign}{SIGNS[verdict]}</span><span class='unseen'>{verdict}</span></td>"


def _details(claim: Claim, found: Verdicts) -> str:
    about, rows = _of_claim(claim, found)
    lines = []
    if about["verdict"] == MISSING:
        lines.append(f"This study cannot test it: it needs {claim.needs}.")
    else:
        for number, test in enumerate(claim.tests):
            of_test = rows[rows["test"] == number]
            lines.append(f"{_expected(test)}<ul>{''.join(map(_item, of_test.itertuples()))}</ul>")
        over = {claims.ledger().over[test.table] for test in claim.tests}
        lines.append(f"Brackets are 95 % intervals for {' and '.join(sorted(over))}.")
        lines.append(_hangs_on(claim, about))
    lines.append(
        f"In the paper: {html.escape(claim.place)}. Shown on <a href='{claim.page}.html'>"
        f"its page</a>; <code>make notebook NAME={claim.page} STUDY={found.about['study']}</code> "
        "makes that again."
    )
    return "".join(f"<p>{line}</p>" for line in lines if line)


def _item(row: object) -> str:
    name = f"{html.escape(row.part)}: " if row.part else ""
    return f"<li>{SIGNS[row.verdict]} {name}{_estimate(row)} (n = {row.n:.0f})</li>"


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
    told = {**test.of, **test.where}
    what = ", ".join(html.escape(called(value).replace("_", " ")) for value in told.values())
    which = f", of each {' and '.join(test.each)}" if test.each else ""
    which += f", of one {' and '.join(test.any)} at least" if test.any else ""
    published = f" Published: {test.published:.2f}." if test.published is not None else ""
    return f"<em>{what or test.table.replace('_', ' ')}{which}</em> should be {wanted}.{published}"


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
    table = claims.stability(study)
    if table.empty:
        return Markdown("This study was not run from other seeds or on other machines.")
    runs = [name for name in table["run"].unique() if name != AS_IT_IS]
    by_run = table.pivot(index="claim", columns="run", values="verdict")
    order = [claim for claim in claims.ledger().claims if claim.id in by_run.index]
    same = by_run.eq(by_run.iloc[:, 0], axis=0).all(axis=1)
    opposite = by_run.isin([HOLDS]).any(axis=1) & by_run.isin([FAILS]).any(axis=1)
    said = [
        f"Of {len(by_run)} verdicts, {same.sum()} are the same in all runs "
        f"({', '.join(runs)}); {opposite.sum()} turn into their opposite.",
        "",
    ]
    said += [
        f"- *{claim.says}* "
        + "; ".join(f"{run}: {verdict}" for run, verdict in by_run.loc[claim.id].items())
        for claim in order
        if not same[claim.id]
    ]
    return Markdown("\n".join(said))


def hanging(study: Study) -> Markdown:
    """What verdicts hang on, in a list."""
    found = claims.of(study).verdicts.set_index("claim")
    said = [
        f"- *{claim.says}* {hangs}"
        for claim in claims.ledger().claims
        if (hangs := _hangs_on(claim, found.loc[claim.id]))
    ]
    return Markdown("\n".join(said) or "No verdict hangs on a setting that was tried.")


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
        return HTML(f"{made}<p>No results of this study were released.</p>")
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
    content = base64.b64encode(table.to_csv(index=False).encode()).decode()
    name = html.escape(file.replace(" ", "-"), quote=True)
    return (
        f"<li><a download='{name}' href='data:text/csv;base64,{content}'>"
        f"{html.escape(words)}</a> (CSV, {len(table):,} rows)</li>"
    )

"""What the papers claim, and what of it holds in a study.

The claims stand in `claims.yaml` at the top of the project, each with the number of a table that
it is judged by, and the margin. A verdict looks at how large an effect is and at its 95 % interval,
and never at a p-value. What is judged is stored, with each of the settings that a study tries.
"""

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from convexlib import pipeline, store, tables
from convexlib import study as studies
from convexlib.models import families
from convexlib.settings import VARIANTS
from convexlib.statistics import Estimate
from convexlib.store import ROOT, Known, Result
from convexlib.study import Study

LEDGER = ROOT / "claims.yaml"

PUBLISHED = ROOT / "published"
"""A folder a study that was released: its verdicts, what they rest on, and what was measured."""

STABILITY = "stability.csv"
"""The file, beside a release, of verdicts from other seeds and on other machines."""

TOLERANCE = 0.01
"""How far numbers without an interval may lie apart and still agree."""

AS_IT_IS = "as the study is"
"""The setting that is none of the others."""

HOLDS, FAILS, UNDECIDED, MISSING = "holds", "fails", "undecided", "not testable here"
VERDICTS = (HOLDS, FAILS, UNDECIDED, MISSING)

_TABLES = {
    table.__name__: table
    for table in (
        tables.correlations,
        tables.correlation_differences,
        tables.depth_contrasts,
        tables.fine_tuning_summary,
        tables.transform_summary,
        tables.model_contrasts,
        tables.carried_over,
        tables.concept_spread,
        tables.probe_against_scale,
        tables.level_contrasts,
        tables.outcome_gains,
    )
}
_OF_STUDENTS = ("level_contrasts", "outcome_gains")
_KINDS = ("above", "below", "not_above", "within", "beyond")
_ROW = ["claim", "test", "premise", "part", "value", "ci_low", "ci_high", "n", "verdict"]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Test(_Entry):
    """One number of a table, or several, and what is expected of them.

    Attributes
    ----------
    table : str
        A function of `tables`, which is given `of` by keyword.
    where : dict
        Values of columns that a row must have.
    among : dict of list
        Values of columns of which a row must have one.
    each, any : tuple of str
        Columns; rows of each of their values must pass, or those of one.
    above, below, not_above, within, beyond : float
        One of them: the margin; see `judged`.
    published : float, optional
        The number that the paper has.
    premise : bool
        Whether the claim speaks of what comes with this; where this fails, it says nothing.
    at_least : int
        How many rows there must be.
    """

    __test__ = False  # pytest takes it for one of its own

    table: str
    of: dict[str, str] = {}
    where: dict[str, str | bool] = {}
    among: dict[str, list[str]] = {}
    each: tuple[str, ...] = ()
    any: tuple[str, ...] = ()
    above: float | None = None
    below: float | None = None
    not_above: float | None = None
    within: float | None = Field(None, gt=0)
    beyond: float | None = Field(None, gt=0)
    published: float | None = None
    premise: bool = False
    at_least: int = Field(1, ge=1)

    @model_validator(mode="after")
    def _one_kind_of_a_known_table(self) -> "Test":
        given = [kind for kind in _KINDS if getattr(self, kind) is not None]
        if len(given) != 1:
            raise ValueError(f"a test has {given or 'no margin'}; give one of {', '.join(_KINDS)}")
        if self.table not in _TABLES:
            raise ValueError(f"table is {self.table!r}; choose of: {', '.join(_TABLES)}")
        return self

    @property
    def kind(self) -> str:
        return next(kind for kind in _KINDS if getattr(self, kind) is not None)

    @property
    def margin(self) -> float:
        return getattr(self, self.kind)


class Finding(_Entry):
    """What came out, in a sentence for each verdict."""

    holds: str
    fails: str
    undecided: str


class Claim(_Entry):
    """What a paper says, where, and the tests that it must pass here, all of them.

    `page` is the notebook that shows what it is about, `needs` what a study must have for it to be
    tested; `ours` says that the test, or what it asks, is not the paper's. `finding` is the
    sentence that the page begins with, by the verdict, where it does.
    """

    id: str = Field(pattern=r"^[a-z0-9-]+$")
    paper: str
    place: str
    says: str
    page: str
    needs: str
    ours: bool = False
    finding: Finding | None = None
    tests: tuple[Test, ...] = Field(min_length=1)

    @property
    def needs_more_than_chance(self) -> bool:
        """Whether it says that something is: that it holds for a null, too, then speaks against it.
        Of what is claimed not to be, a null says nothing."""
        own = (test for test in self.tests if not test.premise)
        return any(test.kind in ("above", "below", "beyond") for test in own)


class Paper(_Entry):
    """How a paper is cited, and what it is called here."""

    cite: str
    title: str


class Numbers(_Entry):
    """What the numbers of a table are, in parts with columns in braces, and what else their
    intervals hold for."""

    says: str
    over: str


class Ledger(_Entry):
    """All claims, the numbers that they are tested by, and what each margin is for."""

    margins: dict[float, str]
    papers: dict[str, Paper]
    numbers: dict[str, Numbers]
    claims: tuple[Claim, ...]

    @model_validator(mode="after")
    def _all_is_known(self) -> "Ledger":
        names = [claim.id for claim in self.claims]
        for claim in self.claims:
            if claim.paper not in self.papers:
                raise ValueError(f"claim {claim.id!r} is of {claim.paper!r}, which is no paper")
            if names.count(claim.id) > 1:
                raise ValueError(f"two claims are called {claim.id!r}")
            for test in claim.tests:
                if abs(test.margin) not in self.margins:
                    raise ValueError(
                        f"claim {claim.id!r} has margin {test.margin}, not a known one"
                    )
                if test.table not in self.numbers:
                    raise ValueError(f"numbers says nothing of table {test.table!r}")
        return self


@cache
def ledger(path: Path = LEDGER) -> Ledger:
    """The claims, read from a file."""
    return Ledger.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))


def judged(estimate: Estimate, kind: str, margin: float) -> str:
    """What an estimate says of one expectation.

    Parameters
    ----------
    estimate : Estimate
        A value with its 95 % interval.
    kind : {"above", "below", "not_above", "within", "beyond"}
        "above": the margin or more, by an interval above zero; it fails where the interval ends
        below the margin. "below" is the same, mirrored. "not_above" holds where "above" fails, and
        the other way round. "within": the interval lies between minus the margin and the margin;
        it fails where "beyond" holds, which is a value as far from zero as the margin, by an
        interval that leaves out zero.
    margin : float

    Returns
    -------
    {"holds", "fails", "undecided", "not testable here"}
        Undecided, too, where no interval can be given.

    Examples
    --------
    >>> judged(Estimate(0.3, 0.1, 0.5), "above", 0.02)
    'holds'
    >>> judged(Estimate(0.3, -0.1, 0.5), "above", 0.02)
    'undecided'
    """
    value, low, high = estimate[:3]
    if np.isnan(value):
        return MISSING
    if np.isnan(low):
        return UNDECIDED
    if kind == "below":
        return judged(Estimate(-value, -high, -low), "above", -margin)
    if kind == "above":
        sure, refuted = value >= margin and low > 0, high < margin
    elif kind == "not_above":
        sure, refuted = high < margin, value >= margin and low > 0
    else:
        inside = -margin < low and high < margin
        outside = abs(value) >= margin and (low > 0 or high < 0)
        sure, refuted = (inside, outside) if kind == "within" else (outside, inside)
    return HOLDS if sure else FAILS if refuted else UNDECIDED


def all_of(verdicts: Iterable[str]) -> str:
    """One verdict of several of which all must hold."""
    found = {*verdicts}
    return next((v for v in (FAILS, MISSING, UNDECIDED, HOLDS) if v in found), MISSING)


def any_of(verdicts: Iterable[str]) -> str:
    """One verdict of several of which one must hold."""
    found = {*verdicts}
    return next((v for v in (HOLDS, UNDECIDED, MISSING, FAILS) if v in found), MISSING)


def evaluate(study: Study, claims: Iterable[Claim]) -> pd.DataFrame:
    """Every number that claims are judged by.

    Parameters
    ----------
    study : Study
    claims : iterable of Claim

    Returns
    -------
    DataFrame
        One row a claim, test (its number) and row of the table: premise; part, what tells the row
        from others of its test; value, ci_low, ci_high, n, verdict, and group, rows of which one
        must pass. Where a table has too few such rows, one row without a value.
    """
    rows = [
        {"claim": claim.id, "test": number, "premise": test.premise} | row
        for claim in claims
        for number, test in enumerate(claim.tests)
        for row in _rows(study, test)
    ]
    return pd.DataFrame(rows, columns=[*_ROW, "group"])


def _rows(study: Study, test: Test) -> list[dict[str, Any]]:
    table = _table(study, test)
    for column, value in test.where.items():
        table = table[table[column] == value]
    for column, values in test.among.items():
        table = table[table[column].isin(values)]
    told_by = [*test.each, *test.any]
    if not told_by and len(table) > 1:
        raise ValueError(f"{len(table)} rows of {test.table} are {test.where}; say which is meant")
    rows = []
    for row in table.to_dict("records"):
        estimate = Estimate(*(float(row[key]) for key in Estimate._fields))
        rows.append(
            {
                "part": ", ".join(called(row[column]) for column in told_by),
                "value": estimate.value,
                "ci_low": estimate.ci_low,
                "ci_high": estimate.ci_high,
                "n": row["n"] if "n_models" not in row else row["n_models"],
                "verdict": judged(estimate, test.kind, test.margin),
                "group": ", ".join(called(row[column]) for column in test.each),
            }
        )
    none = dict.fromkeys(("value", "ci_low", "ci_high"), np.nan)
    nothing = {"part": "", **none, "n": 0, "verdict": MISSING, "group": ""}
    return rows if len(rows) >= test.at_least else [nothing]


def _table(study: Study, test: Test) -> pd.DataFrame:
    if test.table in _OF_STUDENTS and not study.students.models:
        return pd.DataFrame(
            columns=dict.fromkeys([*test.where, *test.among, *test.each, *test.any])
        )
    return _cached(study, test.table, tuple(test.of.items()))


@cache
def _cached(study: Study, table: str, of: tuple[tuple[str, str], ...]) -> pd.DataFrame:
    return _TABLES[table](study, **dict(of))


_NAMES = {
    "odd_one_out": "accuracy",
    "naive": "the naive transform",
    "global": "the global transform",
    "lda shuffled": "discriminant analysis of made-up classes",
    "rsa": "RSA",
    "probed": "probed accuracy",
    "held_out_convexity": "held-out convexity",
    "held_out_odd_one_out": "held-out accuracy",
    "other_half_odd_one_out": "accuracy on other judgments",
    "made_up_convexity": "convexity of made-up classes",
    VARIANTS[1]: "fine-tuned",
}


def called(value: object) -> str:
    """What a value of a column is called in words."""
    names = _NAMES | {name: about.LABEL for name, about in families.known().items()}
    return names.get(str(value), str(value))


def verdicts(rows: pd.DataFrame) -> pd.Series:
    """The verdict of each claim, from all its rows; none where a premise fails."""
    by_group = rows.groupby(["claim", "test", "group"], sort=False).agg(
        verdict=("verdict", any_of), premise=("premise", "first")
    )
    found = by_group["verdict"].groupby("claim", sort=False).agg(all_of)
    unmet = by_group[by_group["premise"] & (by_group["verdict"] == FAILS)]
    return found.mask(found.index.isin(unmet.index.unique("claim")), MISSING)


class Verdicts(NamedTuple):
    """What holds in a study.

    Attributes
    ----------
    rows : DataFrame
        Rows of `evaluate` with each setting, the column setting.
    verdicts : DataFrame
        One row a claim: verdict; own, what it is by the study's own settings; turned, settings
        that give the opposite, which make it undecided; unsure, settings that leave it undecided;
        joined, what it is by pairs that a path joins; and null, what it is with shuffled labels,
        both empty where that was not tried.
    measures : DataFrame
        What was measured of each model at each layer, to be held against other runs.
    about : dict
        Study, title, how it was chosen, number of kinds of models, date and version.
    """

    rows: pd.DataFrame
    verdicts: pd.DataFrame
    measures: pd.DataFrame
    about: dict[str, Any]

    @classmethod
    def load(cls, folder: Path) -> "Verdicts":
        """What a stored result, or a release, holds."""
        found = {
            name: pd.read_csv(folder / f"{name}.csv", keep_default_na=False, na_values=[""])
            for name in cls._fields[:3]
        }
        texts = ("part", "group", "turned", "unsure", "joined", "null")
        for name in ("rows", "verdicts"):
            known = [key for key in texts if key in found[name]]
            found[name][known] = found[name][known].astype(object).fillna("")
        about = json.loads((folder / "about.json").read_text(encoding="utf-8"))
        return cls(**found, about=about)

    def save(self, folder: Path) -> None:
        """Write it into a folder, as text of four digits."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in self._fields[:3]:
            getattr(self, name).to_csv(folder / f"{name}.csv", index=False, float_format="%.4f")
        about = json.dumps(self.about, indent=1)
        (folder / "about.json").write_text(about + "\n", encoding="utf-8")


def settled(
    by_setting: pd.DataFrame, kinds: Mapping[str, str], *, against_chance: Collection[str]
) -> pd.DataFrame:
    """One verdict a claim, from those with each setting.

    It is undecided where another setting gives the opposite, and where it holds for a null, too.

    Parameters
    ----------
    by_setting : DataFrame
        A row a claim and a column a setting, `AS_IT_IS` among them; NaN where it was not tried.
    kinds : mapping
        Of the settings that say something by themselves: "joined" or "null".
    against_chance : collection of str
        Claims that a null speaks against.

    Returns
    -------
    DataFrame
        As `Verdicts.verdicts`.
    """
    opposite = {HOLDS: FAILS, FAILS: HOLDS}
    rows = []
    for claim, row in by_setting.iterrows():
        own = row[AS_IT_IS]
        tried = row.drop(AS_IT_IS).replace(MISSING, np.nan).dropna()
        by_kind = {kind: tried.get(name, "") for name, kind in kinds.items()}
        others = tried.drop([name for name in kinds if name in tried])
        turned = [name for name, other in others.items() if other == opposite.get(own)]
        unsure = [n for n, other in others.items() if own in opposite and other == UNDECIDED]
        by_chance = own == by_kind.get("null") == HOLDS and claim in against_chance
        found = {"claim": claim, "verdict": UNDECIDED if turned or by_chance else own, "own": own}
        found |= {"turned": "; ".join(turned), "unsure": "; ".join(unsure)}
        rows.append(found | {kind: by_kind.get(kind, "") for kind in ("joined", "null")})
    return pd.DataFrame(rows)


@cache
def result(study: Study) -> Result:
    """What holds in a study, stored."""
    about = study.students
    measured = {"own": pipeline.all_measures(study)}
    if about.models:
        measured |= {"students": pipeline.all_measures(about), "teacher": pipeline.teacher(study)}
    for name, varied in study.variations.items():
        measured[name] = pipeline.all_measures(varied)
    by = {
        "title": study.file.title,
        "choice": dict(study.choice),
        "models": [asdict(replace(m, source=None, recipe=None)) for m in study.models],
    }
    return Result(
        f"{study.name}/claims",
        _write,
        {
            "study": Known(study, by=by),
            "claims": Known(ledger(), by=store.of_files([LEDGER])),
            "measures": measured,
        },
        chosen={"data": study.stimuli.kind},
    )


def of(study: Study) -> Verdicts:
    """What holds in a study."""
    return Verdicts.load(result(study).get())


def _write(folder: Path, *, study: Study, claims: Ledger, measures: Any) -> None:
    rows = {AS_IT_IS: evaluate(study, claims.claims)}
    varied = [
        claim for claim in claims.claims if all(t.table not in _OF_STUDENTS for t in claim.tests)
    ]
    for name, other in study.variations.items():
        rows[name] = evaluate(other, varied)
    by_setting = pd.DataFrame({name: verdicts(found) for name, found in rows.items()})
    by_setting = by_setting.reindex([claim.id for claim in claims.claims])
    about = {
        "study": study.name,
        "title": study.file.title,
        "choice": dict(study.choice),
        "n_models": tables.n_models(study),
        "date": datetime.now(UTC).date().isoformat(),
        "version": version("convexlib"),
    }
    every = pd.concat([found.assign(setting=name) for name, found in rows.items()])
    against_chance = {claim.id for claim in claims.claims if claim.needs_more_than_chance}
    found = settled(by_setting, kinds(study), against_chance=against_chance)
    Verdicts(every, found, _to_compare(study), about).save(folder)


def kinds(study: Study) -> dict[str, str]:
    """Of the settings that ask something else, and give no verdict its opposite: joined or null."""
    own, found = study.file.measures, {}
    for name, other in study.variations.items():
        if other.file.measures.pairs != own.pairs:
            found[name] = "joined"
        elif other.file.measures.labels != own.labels:
            found[name] = "null"
    return found


def _to_compare(study: Study) -> pd.DataFrame:
    """What was measured of each model and layer as it is, with an interval over seeds."""
    table = tables.layer_means(study)
    table = table[(table["space"] == "original") & table["measure"].isin([*tables.BASIC, "rsa"])]
    return table[["model", "layer", "measure", "value", "ci_low", "ci_high", "n"]]


def newest(study: str) -> Path | None:
    """Where the verdicts of another study lie: those last made here as the study file says, else
    those released; None where there are none."""
    folders = (store.root() / study).glob(f"claims-{'[0-9a-f]' * 12}")
    for folder in sorted(folders, key=lambda f: f.stat().st_mtime, reverse=True):
        if store.is_whole(folder, thoroughly=False) and _is_whole_study(folder):
            return folder
    released = PUBLISHED / study
    return released if released.is_dir() else None


def _is_whole_study(folder: Path) -> bool:
    choice = json.loads((folder / "about.json").read_text(encoding="utf-8"))["choice"]
    return not any(choice[key] for key in ("models", "add_models", "settings"))


def elsewhere(study: Study) -> dict[str, Path]:
    """Where the verdicts of the other studies of the project lie, as far as there are any."""
    found = {name: newest(name) for name in studies.names() if name != study.name}
    return {name: folder for name, folder in found.items() if folder}


def across(study: Study) -> dict[str, Verdicts]:
    """Verdicts of a study, then those of the others, by title."""
    found = [of(study), *map(Verdicts.load, elsewhere(study).values())]
    return {verdicts.about["title"]: verdicts for verdicts in found}


class Comparison(NamedTuple):
    """A run held against the release of its study.

    Attributes
    ----------
    verdicts : DataFrame
        One row a claim that both judge: claim, here, published, agrees.
    numbers : DataFrame
        One row a number that both have: what (a claim, or a model and measure), part, here,
        published, allowed (how far they may lie apart), agrees.
    about : dict
        Of the release.
    """

    verdicts: pd.DataFrame
    numbers: pd.DataFrame
    about: dict[str, Any]


def compared(here: Verdicts, published: Verdicts) -> Comparison:
    """Whether results agree with those of another run.

    Two numbers agree if they lie no farther apart than 95 % of differences of two such runs would:
    the root of the sum of the squares of both half intervals. Where there is no interval, they may
    lie `TOLERANCE` apart.

    Examples
    --------
    >>> table = pd.DataFrame({"claim": ["a"], "verdict": ["holds"]})
    >>> rows = pd.DataFrame({"claim": ["a"], "test": 0, "part": "", "setting": AS_IT_IS})
    >>> rows = rows.assign(value=[0.5], ci_low=0.4, ci_high=0.6)
    >>> none = pd.DataFrame(columns=["model", "layer", "measure", "value", "ci_low", "ci_high"])
    >>> run = Verdicts(rows, table, none, {})
    >>> compared(run, run).numbers["agrees"].tolist()
    [True]
    """
    both = here.verdicts[["claim", "verdict"]].merge(
        published.verdicts[["claim", "verdict"]], on="claim", suffixes=("_here", "_published")
    )
    both.columns = ["claim", "here", "published"]
    testable = (both[["here", "published"]] != MISSING).all(axis=1)
    both = both[testable].reset_index(drop=True)
    both["agrees"] = both["here"] == both["published"]
    sides = []
    for run in (here, published):
        of_claims = run.rows[run.rows["setting"] == AS_IT_IS].dropna(subset="value")
        of_claims = of_claims.assign(what=of_claims["claim"])
        of_claims["part"] = of_claims["test"].astype(str) + " " + of_claims["part"]
        of_models = run.measures.assign(what=run.measures["model"])
        of_models["part"] = of_models["measure"] + ", layer " + of_models["layer"].astype(str)
        kept = ["what", "part", "value", "ci_low", "ci_high"]
        sides.append(pd.concat([of_claims[kept], of_models[kept]]))
    numbers = sides[0].merge(sides[1], on=["what", "part"], suffixes=("", "_published"))
    numbers = numbers.astype(dict.fromkeys(numbers.columns[2:], float))
    halves = [
        (numbers[f"ci_high{end}"] - numbers[f"ci_low{end}"]) / 2 for end in ("", "_published")
    ]
    allowed = (halves[0] ** 2 + halves[1] ** 2) ** 0.5
    allowed = allowed.fillna(TOLERANCE).clip(lower=1e-3)  # which rounding leaves
    apart = (numbers["value"] - numbers["value_published"]).abs()
    found = pd.DataFrame(
        {
            "what": numbers["what"],
            "part": numbers["part"],
            "here": numbers["value"],
            "published": numbers["value_published"],
            "allowed": allowed,
            "agrees": apart <= allowed,
        }
    )
    return Comparison(both, found, published.about)


def stability(study: Study) -> pd.DataFrame:
    """Verdicts of a study and of further runs: other seeds, other vector instructions.

    Returns
    -------
    DataFrame
        One row a claim and run: claim, run, verdict. Without claims that one of the runs cannot
        test; empty where there are no further runs.
    """
    file = PUBLISHED / study.name / STABILITY
    if not file.is_file():
        return pd.DataFrame(columns=["claim", "run", "verdict"])
    further = pd.read_csv(file)
    further = further[further["verdict"] != MISSING]
    rows = of(study).rows
    own = verdicts(rows[rows["setting"] == AS_IT_IS])
    own = own.rename("verdict").reset_index().assign(run=AS_IT_IS)
    own = own[own["verdict"] != MISSING]
    both = pd.concat([own, further])
    n_runs = both.groupby("claim")["run"].transform("nunique")
    both = both[n_runs == both["run"].nunique()]
    return both[["claim", "run", "verdict"]].reset_index(drop=True)


def reproduced(study: Study) -> Comparison | None:
    """A study as it was run here, held against its release.

    None where there is none, and of other models or settings, which can give other results.
    """
    folder, choice = PUBLISHED / study.name, study.choice
    is_other = choice["models"] or choice["settings"]
    if not folder.is_dir() or is_other or (choice["add_models"] and choice["count_added"]):
        return None
    return compared(of(study), Verdicts.load(folder))

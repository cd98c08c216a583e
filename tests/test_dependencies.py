"""What a result depends on is what its writer reaches, found in the source."""

import ast
import re
import sys
from collections.abc import Callable, Iterator
from functools import cache
from inspect import CO_OPTIMIZED
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from convexlib import book, dependencies, measures, pipeline, store
from convexlib import study as studies
from convexlib.store import Result
from tests.conftest import TINY

MODULE = """
\"\"\"A module.\"\"\"
from world import helper, other
LIMIT = 3
\"\"\"A constant.\"\"\"
UNUSED = 4


class Thing:
    \"\"\"A class.\"\"\"

    def double(self, x: int):
        \"\"\"A function.\"\"\"
        # A comment.
        return 2 * x


def start():
    import numpy as np
    return helper(Thing().double(LIMIT)), np


def unused():
    return UNUSED
"""

HELPER = """
from world.inner import deep


def helper(x):
    return deep.value(x)


def other(x):
    return x
"""

DEEP = """
def value(x):
    return x + 1
"""


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of four modules in the place of ours."""
    folder = tmp_path / "world"
    (folder / "inner").mkdir(parents=True)
    for name, text in (
        ("__init__", HELPER),
        ("module", MODULE),
        ("inner/__init__", ""),
        ("inner/deep", DEEP),
        ("inner/deeper", DEEP),
    ):
        (folder / f"{name}.py").write_text(text)
    monkeypatch.setattr(dependencies, "_FOLDER", folder)
    monkeypatch.setattr(dependencies, "_PACKAGE", "world")
    return folder


def reached(**chosen: str) -> dependencies.Reached:
    dependencies.forget()

    def start() -> None: ...

    start.__module__, start.__qualname__ = "world.module", "start"
    return dependencies.of_function(start, **chosen)


def after(world: Path, module: str, old: str, new: str) -> str:
    path = world / f"{module}.py"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    return reached().code


def test_what_is_named_is_reached_and_nothing_else(world: Path) -> None:
    assert {*reached().code} == {
        "world.module.start",
        "world.module.Thing",
        "world.module.LIMIT",
        "world.helper",
        "world.inner.deep.value",
    }
    assert list(reached().libraries) == ["numpy"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("A module.", "The module."),
        ("A constant.", "The constant."),
        ("A class.", "The class."),
        ("A function.", "The function."),
        ("# A comment.", "# Another comment."),
        ("        # A comment.\n", ""),
        ('    """A class."""\n\n', ""),
        ("2 * x", "(2*x)"),
        ("x: int", "x: float"),
        ("UNUSED = 4", "UNUSED = 5"),
        ("return UNUSED", "return 7"),
    ],
)
def test_words_about_code_and_code_that_is_not_reached_do_not_count(
    old: str, new: str, world: Path
) -> None:
    before = reached().code
    assert after(world, "module", old, new) == before


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        ("module", "2 * x", "3 * x"),
        ("module", "LIMIT = 3", "LIMIT = 4"),
        ("module", "double", "twice"),
        ("module", "2 * x", "'2 * x'"),
        ("module", "Thing().double(LIMIT)", "LIMIT"),
        ("__init__", "deep.value(x)", "deep.value(x) + 1"),
        ("inner/deep", "x + 1", "x + 2"),
    ],
)
def test_code_that_is_reached_counts(module: str, old: str, new: str, world: Path) -> None:
    before = reached().code
    assert after(world, module, old, new) != before


def test_of_modules_chosen_at_run_time_all_count_unless_one_is_named(world: Path) -> None:
    call = "import_module(f'world.inner.{LIMIT}')"
    after(world, "module", "helper(Thing().double(LIMIT)), np", call)
    modules = {"world.inner.deep.*", "world.inner.deeper.*"}
    assert modules <= {*reached().code}
    assert {*reached(inner="deep").code} & modules == {"world.inner.deep.*"}


def test_a_module_that_cannot_be_told_beforehand_is_refused(world: Path) -> None:
    with pytest.raises(ValueError, match="import_module of what cannot be told beforehand"):
        after(world, "module", "helper(Thing().double(LIMIT)), np", "import_module(LIMIT)")


KINDS = """
class Base:
    LIMIT = 5

    def check(self):
        return self.LIMIT


class Thing(Base):
    def splits(self):
        return self.check(), self._drawn()

    def _drawn(self):
        return 1

    def judged(self):
        return 2
"""


def test_of_a_class_that_is_chosen_a_method_counts_and_what_it_calls_on_itself(
    world: Path,
) -> None:
    (world / "inner" / "deep.py").write_text(KINDS)
    call = "import_module(f'world.inner.{LIMIT}').Thing.splits(1)"
    after(world, "module", "helper(Thing().double(LIMIT)), np", call)
    assert {n for n in reached(inner="deep").code if ".inner." in n} == {
        "world.inner.deep.Thing.",
        "world.inner.deep.Base.",
        "world.inner.deep.Thing.splits",
        "world.inner.deep.Thing._drawn",
        "world.inner.deep.Base.check",
    }


@pytest.mark.parametrize(
    ("body", "counts"),
    [
        ("unused(x)", True),
        ("[unused for x in x]", True),
        ("[unused for unused in x], unused", True),
        ("(lambda unused: unused)(x), unused", True),
        ("x.unused", False),
        ("helper(unused=x)", False),
        ("(unused := x)", False),
    ],
)
def test_a_local_name_is_not_that_of_the_module(body: str, counts: bool, world: Path) -> None:
    after(world, "module", "helper(Thing().double(LIMIT)), np", body)
    after(world, "module", "def start():", "def start(x):")
    assert ("world.module.unused" in reached().code) == counts
    after(world, "module", "def start(x):", "def start(x, unused):")
    assert "world.module.unused" not in reached().code
    after(world, "module", "def start(x, unused):", "def start(x, y=unused):")
    assert "world.module.unused" in reached().code


MADE = re.compile("<|^__")  # by Python itself, such as what dataclasses have


def run(function: Callable[[], Any]) -> set[str]:
    """Functions of our modules whose code runs meanwhile, and methods as ``Class.method``."""
    ran = set()

    def note(frame: FrameType, event: str, _: Any) -> None:
        module = frame.f_globals.get("__name__", "")
        name = frame.f_code.co_qualname.partition(".<locals>")[0]
        ours = module.startswith("convexlib.")
        is_function = frame.f_code.co_flags & CO_OPTIMIZED  # and no body of a class
        if event == "call" and is_function and ours and not any(map(MADE.search, name.split("."))):
            ran.add(f"{module}.{name}")

    sys.setprofile(note)
    try:
        function()
    finally:
        sys.setprofile(None)
    return ran


def is_reached(name: str, code: dict[str, str]) -> bool:
    """By itself, with its class, or with its module."""
    parents = name.split(".")
    return any(
        ".".join(parents[:n]) in code or ".".join([*parents[:n], "*"]) in code
        for n in range(len(parents) + 1)
    )


WRITTEN = {
    "stimuli": pipeline.stimuli,
    "judgments": pipeline.human,
    "pretraining": lambda study: pipeline.checkpoint(study, study.models[0]),
    "fine-tuning": lambda study: pipeline.checkpoint(study, study.models[-1]),
    "representations": lambda study: pipeline.representations(study, study.models[0]),
    "transforms": lambda study: pipeline.transforms(study, study.models[0]),
    **{
        name: lambda study, name=name: pipeline.measure(study, study.models[0], name)
        for name in ("convexity", "lda", "held_out_odd_one_out")
    },
}


@pytest.mark.slow
@pytest.mark.parametrize("written", WRITTEN)
def test_whatever_runs_when_a_result_is_written_counts(
    written: str, vits: studies.Study, tmp_path: Path
) -> None:
    result: Result = WRITTEN[written](vits)
    given = store.given(result.inputs)
    ran = run(lambda: result.writer(tmp_path, **given))
    code = dependencies.of_function(result.writer, **result.chosen).code
    assert ran
    assert {name for name in ran if not is_reached(name, code)} == set()


def test_a_notebook_depends_on_the_figures_that_it_draws() -> None:
    curves, space = (
        dependencies.of_notebook(book.code_of(book._source(name)), data="colors").code
        for name in ("layer_curves", "concept_space")
    )
    assert "convexlib.figures.curves" in curves
    assert "convexlib.figures.positions" not in curves
    assert "convexlib.figures.positions" in space


def edited(module: str, name: str) -> dependencies._Module:
    """A module of ours in which a function does one thing more."""
    text = dependencies._file(module).read_text(encoding="utf-8")
    node: Any = ast.parse(text)
    for part in name.split("."):
        node = next(n for n in node.body if getattr(n, "name", None) == part)
    lines = text.splitlines()
    lines.insert(node.end_lineno, " " * node.body[0].col_offset + "pass")
    return dependencies._parsed("\n".join(lines), module)


def fingerprints() -> dict[str, str]:
    """Of all results of the miniature study, by name, worked out anew."""
    dependencies._of_units.cache_clear()
    dependencies._named_in.cache_clear()
    study = studies.load(str(TINY))
    jobs = store.jobs(book.site(study)).values()
    return {
        result.name.partition("/")[2]: result.fingerprint for job in jobs for result in job.results
    }


@pytest.fixture(scope="module")
def before() -> Iterator[dict[str, str]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(book, "code_of", cache(book.code_of))
        yield fingerprints()
    dependencies.forget()


MEASURES = {f"measures/{name}" for name in measures.of_every_model()}
FITTED = {
    *("measures/held_out_convexity", "measures/held_out_odd_one_out", "measures/held_out_rsa"),
    *("measures/other_half_odd_one_out", "measures/transformed_convexity"),
}
CARRIED = "measures/carried_over"  # fits transforms of its own
PAGES = {"claims", "notebooks", "site"}
NOT_PLAIN = {"not plain"}  # features that no model is needed for
# Pages reach whatever makes results, but for those that show images and judgments alone or none.
REACH_MODELS = {f"notebooks/{name}" for name in book.notebooks(studies.load(str(TINY)))}
REACH_MODELS -= {"notebooks/colour_study", "notebooks/convexity_by_hand"}
REACH_MODELS |= {"claims", "site"}
MEASURED = MEASURES | PAGES
LEARNED = {"transforms", "explorer", *MEASURED}
SEEN = {"representations", *LEARNED}
TRAINED = {"models", *SEEN, *NOT_PLAIN}
OF_BEIT = {f"{name} of beit" for name in TRAINED - PAGES} | {"explorer", *PAGES}
JUDGED = PAGES - {"notebooks"} | {
    f"notebooks/{name}"
    for name in book.notebooks(studies.load(str(TINY)))
    if re.search(r"cv\.reports\.(verdicts|summary)\(", book._source(name).read_text())
}

EDITS = {
    "measures.rsa rows": {"measures/rsa", *PAGES},
    "measures.convexity of_space": {
        "measures/convexity",
        "measures/transformed_convexity",
        "explorer",
        *PAGES,
    },
    "measures.lda _can_be_learned": {"measures/lda", *PAGES},
    "layers load_fits": {*FITTED, *PAGES},
    "transforms AlignmentTransform.fit": {"transforms", *FITTED, CARRIED, *PAGES},
    "layers Layer.is_finite": LEARNED,
    "layers fit_all": {"transforms", *FITTED, *PAGES},
    "layers check": set(),
    "transforms fit_folds": set(),
    "transforms fit_each": {"transforms", *FITTED, CARRIED, *PAGES},
    "fitting _choices": {"transforms", *FITTED, CARRIED, *PAGES},
    "lbfgs _along": {"transforms", *FITTED, CARRIED, *PAGES},
    "data.colors Stimuli.splits": {"stimuli", "judgments", *TRAINED} - NOT_PLAIN,
    "data.colors _inside_star": {"stimuli", "judgments", *TRAINED} - NOT_PLAIN,
    "data.colors Stimuli.plain_features": {"plain", *PAGES},
    "data.colors Stimuli.human": {"judgments", *LEARNED},
    "data.colors human_triplets": {"judgments", *LEARNED},
    "data.things Stimuli.splits": set(),
    "data Human.load": {"judgments", *LEARNED},
    "models.families.beit build": OF_BEIT,
    "models.objectives MaskedTokens.forward": OF_BEIT,
    "models.objectives NamedClasses.forward": TRAINED,
    "models.objectives Distillation.forward": REACH_MODELS,
    "models.alignet teach": REACH_MODELS,
    "measures.few_shot rows": REACH_MODELS - {"notebooks/training", "notebooks/odd_one_out"},
    "models.training train": TRAINED,
    "models.representations write": SEEN | NOT_PLAIN,
    "models.representations load": LEARNED,
    "pipeline _represent": SEEN | NOT_PLAIN,
    "pipeline _represent_plainly": {"plain", *REACH_MODELS},
    "data Human.shuffled": {"judgments", *LEARNED},
    "alignment noise_ceiling": JUDGED,  # of levels of abstraction
    "alignment fit_temperature": {"measures/temperature", "measures/disagreement", *PAGES},
    "statistics r_squared": {"notebooks/concept_space", "site"},
    "claims judged": JUDGED,
    "tables gains": JUDGED,
    "figures forest": {
        *("notebooks/concept_space", "notebooks/convexity_vs_alignment", "notebooks/probing"),
        *("notebooks/class_by_class", "notebooks/transform_effects"),
        "site",
    },
    "store is_whole": {"explorer", *PAGES},  # notebooks look for their tables
    "study load": PAGES - {"claims"},
    "book _execute": PAGES - {"claims"},
    "book _render": {"site"},
    "cli make": set(),
}


def matches(name: str, expected: set[str]) -> bool:
    """Whether a result is of what is expected, as kind, kind and name, or ``kind of family``."""
    kind, _, rest = name.partition("/")
    kind = f"{kind}/{rest.partition('/')[0]}" if kind == "measures" else kind
    kind = "judgments" if kind.startswith("judgments") else kind
    family = rest.rpartition("/")[2].partition("-")[0]
    if is_plain := family in ("pixels", "CIELAB"):
        expected = expected if NOT_PLAIN.isdisjoint(expected) else set()
    kinds = {name, kind, f"{kind} of {family}"} | ({"plain"} if is_plain else set())
    return bool(kinds & expected)


@pytest.mark.parametrize("edit", EDITS)
def test_editing_a_function_changes_the_results_that_depend_on_it_and_no_other(
    edit: str, before: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    module, function = f"convexlib.{edit}".split()
    changed, source = edited(module, function), dependencies._source
    monkeypatch.setattr(
        dependencies, "_source", lambda name: changed if name == module else source(name)
    )
    after = fingerprints()
    assert after.keys() == before.keys()
    assert {name for name in after if after[name] != before[name]} == {
        name for name in before if matches(name, EDITS[edit])
    }

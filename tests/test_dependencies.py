"""What a result depends on is what its writer reaches, found in the source."""

import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from convexlib import book, dependencies, steps, store
from convexlib import study as studies
from convexlib.store import ROOT, Result
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
    dependencies._of_units.cache_clear()
    dependencies._source.cache_clear()

    def start() -> None: ...

    start.__module__, start.__qualname__ = "world.module", "start"
    return dependencies.of_function(start, **chosen)


def after(world: Path, module: str, old: str, new: str) -> str:
    path = world / f"{module}.py"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    return reached().code


def test_what_is_named_is_reached_and_nothing_else(world: Path) -> None:
    assert reached().names == {
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
    modules = {"world.inner.deep.None", "world.inner.deeper.None"}
    assert modules <= reached().names
    assert reached(inner="deep").names & modules == {"world.inner.deep.None"}


def test_a_module_that_cannot_be_told_beforehand_is_refused(world: Path) -> None:
    with pytest.raises(ValueError, match="import_module of what cannot be told beforehand"):
        after(world, "module", "helper(Thing().double(LIMIT)), np", "import_module(LIMIT)")


MADE = re.compile("<|^__")  # by Python itself, such as what dataclasses have


def run(function: Callable[[], Any]) -> set[str]:
    """Names at the top of our modules whose code runs meanwhile."""
    ran = set()

    def note(frame: FrameType, event: str, _: Any) -> None:
        module = frame.f_globals.get("__name__", "")
        name = frame.f_code.co_qualname.partition(".")[0]
        if event == "call" and module.startswith("convexlib.") and not MADE.search(name):
            ran.add(f"{module}.{name}")

    sys.setprofile(note)
    try:
        function()
    finally:
        sys.setprofile(None)
    return ran


STEPS = {
    "stimuli": lambda study: steps.stimuli(study),
    "pretraining": lambda study: steps.checkpoint(study, study.models[0]),
    "fine-tuning": lambda study: steps.checkpoint(study, study.models[-1]),
    "representations": lambda study: steps.representations(study, study.models[0]),
    "measures": lambda study: steps.measures(study, study.models[0]),
}


@pytest.mark.parametrize("step", STEPS)
def test_whatever_runs_when_a_result_is_written_counts(
    step: str, tiny_results: studies.Study, tmp_path: Path
) -> None:
    result: Result = STEPS[step](tiny_results)
    given = store.given(result.inputs)
    ran = run(lambda: result.writer(tmp_path, **given))
    names = dependencies.of_function(result.writer, **result.chosen).names
    whole = {name.removesuffix(".None") for name in names if name.endswith(".None")}
    missed = {name for name in ran - names if name.rpartition(".")[0] not in whole}
    assert ran
    assert missed == set()


def test_a_notebook_depends_on_the_figures_that_it_draws() -> None:
    names = {
        name: dependencies.of_notebook(book._code_of(book._source(name)), stimuli="colors").names
        for name in ("layer_curves", "concept_space")
    }
    assert "convexlib.figures.layer_curves" in names["layer_curves"]
    assert "convexlib.figures.positions" not in names["layer_curves"]
    assert "convexlib.figures.positions" in names["concept_space"]


def test_a_changed_step_gives_another_result(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as which split is measured, which the step itself says."""
    study = studies.load(str(TINY), models=["vit-base-pretrained"])
    before = steps.measures(study, study.models[0]).fingerprint
    text = (ROOT / "convexlib" / "steps.py").read_text(encoding="utf-8")
    changed = text.replace('load(representations / "test", layer)', "load(representations, layer)")
    assert changed != text
    parsed = dependencies._parsed(changed, "convexlib.steps")
    source = dependencies._source
    monkeypatch.setattr(
        dependencies,
        "_source",
        lambda name: parsed if name == "convexlib.steps" else source(name),
    )
    dependencies._of_units.cache_clear()
    assert steps.measures(study, study.models[0]).fingerprint != before
    dependencies._of_units.cache_clear()

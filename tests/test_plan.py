"""What a book would take is said before anything is made."""

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from convexlib import cli, pipeline, plan
from convexlib import study as studies
from tests.conftest import TINY


def test_what_is_missing_is_told_by_kind_and_timed_by_what_was_made(vits: studies.Study) -> None:
    pipeline.stimuli(vits).get()
    lines = {line.kind: line for line in plan.plan(vits)}
    assert lines["stimuli"].missing == 0
    assert lines["models"].results == len(vits.models)
    every = [vits, vits.baselines, *vits.variations.values()]
    measured = {
        result.folder
        for study in every
        for results in pipeline.all_measures(study).values()
        for result in results.values()
    }
    assert lines["measures"].results == len(measured)
    assert lines["notebooks"].missing == lines["notebooks"].results
    for line in lines.values():
        assert line.stored + line.missing == line.results
        assert np.isnan(line.seconds) or line.seconds >= 0
    assert lines["transforms"].seconds > 0


@pytest.mark.parametrize("choice", [[], ["--models", "vit-base-pretrained"]])
def test_the_command_says_it_in_words(choice: list[str]) -> None:
    done = CliRunner().invoke(cli.app, ["plan", str(TINY), *choice])
    assert done.exit_code == 0, done.output
    assert "representations" in done.output
    assert "a trial" in done.output
    assert "not known yet" in done.output


def test_what_would_be_fetched_comes_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CONVEXLIB_DATA", str(tmp_path))
    monkeypatch.setattr(studies, "sources", lambda *_, **__: (_sources(), ("a/model",)))
    monkeypatch.setattr("convexlib.data.downloads.size", lambda source: 3_000_000)
    monkeypatch.setattr("convexlib.models.checkpoints.size", lambda model: None)
    done = CliRunner().invoke(cli.app, ["plan", "things"])
    assert "to fetch: images92/Kriegeskorte_Neuron2008_supplementalData.mat (3.0 MB)" in done.output
    assert "to fetch: a/model (size unknown)" in done.output
    assert "6.0 MB in all; the rest can be told once these are here" in done.output


def _sources() -> tuple:
    from convexlib.data import images92

    return images92.Stimuli.SOURCES


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(3.2, "3 s"), (90, "1.5 min"), (7200, "2.0 h"), (float("nan"), "not known yet")],
)
def test_times_are_said_in_units_for_people(seconds: float, words: str) -> None:
    assert plan.in_words(seconds) == words

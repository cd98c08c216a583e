"""Stored results are whole or absent, found again by what they depend on, and checked on use."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from convexlib import dependencies, store
from convexlib.store import DamagedResultWarning, Known, Result

CONTENT = b"precious numbers"

# Takes the moment to begin, how the write goes on, and prints what it finds in the end.
RACER = """
import sys, time
from convexlib.store import Result

def write(folder, **_):
    time.sleep(0.3)
    (folder / "data").write_bytes(b"precious numbers")

while time.time() < float(sys.argv[1]):
    pass
folder = Result("a/result", write, {"x": 1}).get()
print(folder, (folder / "data").read_bytes())
"""

SLOW = """
import time
from convexlib.store import Result

def write(folder, **_):
    for i in range(200):
        (folder / f"data{i}").write_bytes(b"precious numbers")
        print("begun", flush=True)
        time.sleep(0.002)

Result("a/result", write, {"x": 1}).get()
"""

MANY = """
from convexlib.store import Result

for i in range(300):
    Result(f"many/{i}", lambda folder: (folder / "data").write_bytes(b"numbers")).get()
"""

STUDY_FINGERPRINTS = """
from convexlib import book, pipeline, study
colors = study.load("colors", models=["vit-base-finetuned"])
print(pipeline.stimuli(colors).fingerprint)
print([pipeline.measure(colors, model, "rsa").fingerprint for model in colors.models])
print(book.executed(colors, "training").fingerprint)
"""

NAMES = st.text(max_size=3)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)


class Written:
    """A write that counts how often it is called."""

    def __init__(self, content: bytes = CONTENT) -> None:
        self.content = content
        self.calls = 0

    def __call__(self, folder: Path, **_: Any) -> None:
        self.calls += 1
        (folder / "deep").mkdir()
        (folder / "data").write_bytes(self.content)
        (folder / "deep" / "more").write_bytes(self.content[::-1])


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CONVEXLIB_RESULTS", str(tmp_path / "store"))
    return tmp_path / "store"


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CONVEXLIB_RESULTS", str(tmp_path_factory.mktemp("stored")))
        return a_result(Written()).get()


def a_result(write: Callable[..., None], **inputs: Any) -> Result:
    return Result("a/result", write, inputs or {"x": 1})


def python(code: str, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", code, *arguments],
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def partial_folders(root: Path) -> list[Path]:
    return list(root.rglob(".partial-*"))


def test_a_result_is_computed_once_and_found_again() -> None:
    write = Written()
    first = a_result(write).get()
    assert (first / "data").read_bytes() == CONTENT
    assert (first / "deep" / "more").read_bytes() == CONTENT[::-1]
    assert a_result(write).get() == first
    assert write.calls == 1


def test_nothing_but_the_result_is_left_in_the_store(root: Path) -> None:
    folder = a_result(Written()).get()
    assert [path for path in root.rglob("*") if not path.is_relative_to(folder)] == [root / "a"]


def test_the_store_is_where_the_environment_says(root: Path) -> None:
    assert a_result(Written()).get().parent == root / "a"


def test_the_store_is_in_the_project_unless_the_environment_says_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("CONVEXLIB_RESULTS")
    assert store.root() == store.ROOT / "results"


def test_a_result_says_what_it_depends_on() -> None:
    folder = a_result(Written(), model="vit", layers=6).get()
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["dependencies"]["inputs"] == {"model": "vit", "layers": 6}
    assert sorted(manifest["files"]) == ["data", "deep/more"]


def test_others_may_read_a_result() -> None:
    assert a_result(Written()).get().stat().st_mode & 0o055 == 0o055


def test_a_changed_dependency_gives_another_result_and_keeps_the_first() -> None:
    first = a_result(Written(b"five"), n_neighbors=5).get()
    second = a_result(Written(b"ten"), n_neighbors=10).get()
    assert first != second
    assert (first / "data").read_bytes() == b"five"
    assert (second / "data").read_bytes() == b"ten"


@settings(deadline=None, max_examples=50)
@given(st.dictionaries(NAMES, JSON, max_size=4), st.randoms())
def test_the_order_of_dependencies_does_not_matter(dependencies: dict, random: Any) -> None:
    def shuffled(value: Any) -> Any:
        if isinstance(value, dict):
            keys = random.sample(sorted(value), len(value))
            return {key: shuffled(value[key]) for key in keys}
        return [shuffled(part) for part in value] if isinstance(value, list) else value

    one, other = a_result(Written(), **{"all": dependencies}), shuffled(dependencies)
    assert one.fingerprint == a_result(Written(), **{"all": other}).fingerprint


@settings(deadline=None)
@given(*2 * [st.dictionaries(NAMES, st.integers(0, 3), min_size=1, max_size=3)])
def test_fingerprints_agree_just_when_dependencies_do(one: dict, other: dict) -> None:
    agree = Result("r", Written(), one).fingerprint == Result("r", Written(), other).fingerprint
    assert agree == (one == other)


def test_fingerprints_of_a_study_are_the_same_in_every_process() -> None:
    processes = [python(STUDY_FINGERPRINTS, PYTHONHASHSEED=seed) for seed in ("1", "2")]
    (one, error), (other, _) = (process.communicate() for process in processes)
    assert error == ""
    assert len(one.splitlines()) == 3
    assert one == other


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_a_write_that_fails_leaves_nothing_behind(root: Path, failure: type[BaseException]) -> None:
    def write(folder: Path, **_: Any) -> None:
        (folder / "data").write_bytes(CONTENT)
        raise failure("no luck")

    with pytest.raises(failure, match="no luck"):
        a_result(write).get()
    assert list((root / "a").iterdir()) == []


def test_a_write_that_failed_is_tried_again() -> None:
    def fails(folder: Path, **_: Any) -> None:
        raise RuntimeError("no luck")

    with pytest.raises(RuntimeError):
        a_result(fails).get()
    assert (a_result(Written()).get() / "data").read_bytes() == CONTENT


def test_a_killed_write_leaves_nothing_under_the_final_name(root: Path) -> None:
    process = python(SLOW)
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    write = Written()
    assert len(partial_folders(root)) == 1
    assert not a_result(write).folder.exists()
    assert (a_result(write).get() / "data").read_bytes() == CONTENT
    assert write.calls == 1


RESUMING = """
import sys, time
from convexlib.store import Result

def write(folder, **_):
    for i in range(20):
        part = folder / f"part{i}"
        if not part.exists():
            part.write_text(sys.argv[1])
            print("written", flush=True)
            time.sleep(0.02)

Result("a/result", write, {"x": 1}, resumes=True).get()
"""


def test_a_killed_write_that_resumes_goes_on_where_it_stopped(root: Path) -> None:
    first = python(RESUMING, "first")
    assert first.stdout is not None
    for _ in range(5):
        assert first.stdout.readline() == "written\n"
    first.kill()
    first.communicate()
    folder = a_result(Written()).folder
    assert not folder.exists()
    said, error = python(RESUMING, "second").communicate()
    assert error == ""
    assert store.is_whole(folder, thoroughly=True)
    authors = [(folder / f"part{i}").read_text() for i in range(20)]
    n_first = authors.count("first")
    assert authors == ["first"] * n_first + ["second"] * (20 - n_first)
    assert said.count("written") == 20 - n_first < 20
    assert [path for path in partial_folders(root) if path.is_dir()] == []


def test_two_processes_do_not_share_a_write_that_resumes() -> None:
    processes = [python(RESUMING, str(number)) for number in range(2)]
    for process in processes:
        assert process.communicate()[1] == ""
    folder = a_result(Written()).folder
    assert store.is_whole(folder, thoroughly=True)
    assert len({(folder / f"part{i}").read_text() for i in range(20)}) == 1


@pytest.mark.parametrize("after", [0.0, 0.2, 0.4, 0.5, 0.6])
def test_whenever_a_process_is_killed_what_has_the_final_name_is_whole(after: float) -> None:
    process = python(SLOW)
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(after)
    process.kill()
    process.communicate()
    folder = a_result(Written()).folder
    assert not folder.exists() or store.is_whole(folder, thoroughly=True)


def flip_a_byte(folder: Path) -> None:
    (folder / "data").write_bytes(b"q" + CONTENT[1:])


def flip_a_byte_and_keep_the_time(folder: Path) -> None:
    before = (folder / "data").stat()
    flip_a_byte(folder)
    os.utime(folder / "data", ns=(before.st_atime_ns, before.st_mtime_ns))


def truncate(folder: Path) -> None:
    (folder / "deep" / "more").write_bytes(CONTENT[::-1][:-1])


def lose_a_file(folder: Path) -> None:
    (folder / "deep" / "more").unlink()


def lose_the_manifest(folder: Path) -> None:
    (folder / "manifest.json").unlink()


def a_manifest_of(content: bytes) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        (folder / "manifest.json").write_bytes(content)

    return spoil


NOTICED_AT_A_GLANCE = {
    "a flipped byte": flip_a_byte,
    "a truncated file": truncate,
    "a lost file": lose_a_file,
    "a lost manifest": lose_the_manifest,
    "an empty manifest": a_manifest_of(b""),
    "half a manifest": a_manifest_of(b'{"files": {"data": {"size"'),
    "a binary manifest": a_manifest_of(b"\xff\xfe\x00"),
    "a manifest without files": a_manifest_of(b'{"dependencies": {}}'),
    "a manifest of null": a_manifest_of(b"null"),
    "a manifest with a list of files": a_manifest_of(b'{"files": ["data"]}'),
    "a manifest without sizes": a_manifest_of(b'{"files": {"data": {}}}'),
}


def cases(damages: dict[str, Callable[[Path], None]]) -> Any:
    return pytest.mark.parametrize("damage", damages.values(), ids=damages)


@cases(NOTICED_AT_A_GLANCE | {"a byte flipped unseen": flip_a_byte_and_keep_the_time})
def test_a_damaged_result_is_reported_and_computed_again(damage: Callable[[Path], None]) -> None:
    write = Written()
    folder = a_result(write).get()
    damage(folder)
    with pytest.warns(DamagedResultWarning, match=f"{folder.name} is damaged"):
        assert a_result(write).get() == folder
    assert write.calls == 2
    assert (folder / "data").read_bytes() == CONTENT
    assert (folder / "deep" / "more").read_bytes() == CONTENT[::-1]
    assert a_result(write).get() == folder
    assert write.calls == 2


@cases(NOTICED_AT_A_GLANCE)
def test_a_glance_notices_a_changed_file(damage: Callable[[Path], None]) -> None:
    folder = a_result(Written()).get()
    assert store.is_whole(folder, thoroughly=False)
    damage(folder)
    assert not store.is_whole(folder, thoroughly=False)


@pytest.mark.parametrize("thoroughly", [True, False])
def test_a_file_that_was_only_touched_is_whole(thoroughly: bool) -> None:
    folder = a_result(Written()).get()
    (folder / "data").touch()
    assert store.is_whole(folder, thoroughly=thoroughly)


@pytest.mark.parametrize("thoroughly", [True, False])
def test_what_was_never_stored_is_not_whole(root: Path, thoroughly: bool) -> None:
    assert not store.is_whole(root / "nothing", thoroughly=thoroughly)


@settings(deadline=None)
@given(st.integers(0, len(CONTENT) - 1), st.integers(1, 255))
def test_no_changed_byte_goes_unnoticed(stored: Path, place: int, change: int) -> None:
    content = bytearray(CONTENT)
    content[place] ^= change
    (stored / "data").write_bytes(content)
    assert not store.is_whole(stored, thoroughly=True)
    (stored / "data").write_bytes(CONTENT)
    assert store.is_whole(stored, thoroughly=True)


def test_processes_that_compute_the_same_result_all_succeed_and_agree(root: Path) -> None:
    begin = str(time.time() + 1)
    processes = [python(RACER, begin) for _ in range(2)]
    (said, error), (also_said, also_error) = (process.communicate() for process in processes)
    assert (error, also_error) == ("", "")
    assert said == also_said != ""
    assert store.is_whole(a_result(Written()).folder, thoroughly=True)
    assert partial_folders(root) == []


def test_a_result_that_another_process_finishes_meanwhile_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    theirs, ours = Written(), Written()
    whole, others = store.is_whole, [a_result(theirs)]

    def is_whole(folder: Path, *, thoroughly: bool) -> bool:
        """The real one, and just after its first answer another process finishes the result."""
        answer = whole(folder, thoroughly=thoroughly)
        if others:
            others.pop().get()
        return answer

    monkeypatch.setattr(store, "is_whole", is_whole)
    folder = a_result(ours).get()
    assert theirs.calls == 1
    assert (folder / "data").read_bytes() == CONTENT


def test_a_sweep_removes_what_was_abandoned_and_nothing_else(root: Path) -> None:
    folder = a_result(Written()).get()
    old, new = root / "a" / ".partial-old", root / "a" / ".partial-new"
    for partial in (old, new):
        partial.mkdir()
        (partial / "data").write_bytes(CONTENT)
    a_month_ago = time.time() - 30 * 24 * 3600
    for path in (old, old / "data", folder):
        os.utime(path, (a_month_ago, a_month_ago))
    store.sweep()
    assert not old.exists()
    assert (new / "data").exists()
    assert store.is_whole(folder, thoroughly=True)


def test_a_sweep_does_not_disturb_a_run_nor_a_run_a_sweep(root: Path) -> None:
    with python(MANY) as process:
        while process.poll() is None:
            store.sweep()
        _, error = process.communicate()
    assert error == ""
    assert len(list((root / "many").iterdir())) == 300


def test_a_sweep_leaves_what_is_being_written_however_old_it_looks(root: Path) -> None:
    """The folder of an extraction is as old as its first file, and its lock as old as itself."""
    with python(RESUMING, "first") as process:
        assert process.stdout is not None
        process.stdout.readline()
        a_month_ago = time.time() - 30 * 24 * 3600
        for path in partial_folders(root):
            for inside in (path, *path.rglob("*")):
                os.utime(inside, (a_month_ago, a_month_ago))
        store.sweep()
        _, error = process.communicate()
    assert error == ""
    assert store.is_whole(a_result(Written()).folder, thoroughly=True)


def test_a_sweep_looks_at_the_newest_file_of_what_was_left(root: Path) -> None:
    left = root / "a" / ".partial-result"
    (left / "test").mkdir(parents=True)
    (left / "test" / "batch").write_bytes(CONTENT)
    a_month_ago = time.time() - 30 * 24 * 3600
    for path in (left / "test", left):
        os.utime(path, (a_month_ago, a_month_ago))
    store.sweep()
    assert (left / "test" / "batch").exists()


def test_an_empty_store_can_be_swept(root: Path) -> None:
    store.sweep()
    assert not root.exists()


def test_a_receipt_is_there_just_when_all_its_results_are(root: Path) -> None:
    one, other = a_result(Written(), x=1), a_result(Written(), x=2)
    one.get()
    receipt = store.receipt("both", [one, other])
    assert not receipt.exists()
    other.get()
    assert store.receipt("both", [one, other]) == receipt
    assert receipt.exists()
    truncate(other.folder)
    assert not store.receipt("both", [one, other]).exists()
    assert other.folder.exists()  # to look for a result never removes one


def test_a_writer_gets_the_folders_of_other_results_and_values_as_they_are() -> None:
    def write(folder: Path, *, first: Path, several: list[Path], number: int, path: Path) -> None:
        found = [(part / "data").read_bytes() for part in (first, *several)]
        (folder / "data").write_bytes(b"".join(found) + bytes([number]))
        assert path == Path("here")

    one, other = a_result(Written(b"one"), x=1), a_result(Written(b"other"), x=2)
    inputs = {"first": one, "several": [other], "number": 7, "path": Known(Path("here"), by="x")}
    folder = Result("a/joined", write, inputs).get()
    assert (folder / "data").read_bytes() == b"oneother" + bytes([7])


def test_what_cannot_be_fingerprinted_is_no_input() -> None:
    with pytest.raises(TypeError, match="an input is a PosixPath; give it as Known"):
        a_result(Written(), path=Path("here")).fingerprint  # noqa: B018


def test_another_result_behind_it_gives_another_result() -> None:
    one, other = (Result("b", Written(), {"a": a_result(Written(), x=x)}) for x in (1, 2))
    assert one.folder != other.folder


def test_a_changed_file_has_another_hash(tmp_path: Path) -> None:
    file = tmp_path / "file"
    hashes = []
    for content in ("one", "two", "one"):
        file.write_text(content)
        hashes.append(store.of_files([file]))
    assert hashes[0] == hashes[2] != hashes[1]
    assert list(hashes[0]) == ["file"]


def test_a_file_in_the_hubs_cache_is_known_by_its_real_name(tmp_path: Path) -> None:
    (tmp_path / "blobs").mkdir()
    content = b"weights"
    sha256 = hashlib.sha256(content).hexdigest()
    for name in (sha256, "0" * 64, "1" * 40):  # the last as git names small files
        (tmp_path / "blobs" / name).write_bytes(content)
        (tmp_path / f"to {name}").symlink_to(tmp_path / "blobs" / name)
    found = store.of_files(tmp_path.glob("to *"))
    assert found == {f"to {'0' * 64}": "0" * 64, f"to {'1' * 40}": sha256, f"to {sha256}": sha256}


def test_what_is_removed_is_gone_as_a_whole_and_made_again(root: Path) -> None:
    write = Written()
    one, other = a_result(write, x=1), a_result(write, x=2)
    one.get(), other.get()
    store.remove(one)
    assert not one.folder.exists()
    assert store.is_whole(other.folder, thoroughly=True)
    assert partial_folders(root) == []
    store.remove(one)  # of what is not there, nothing
    one.get()
    assert write.calls == 3


def test_nothing_is_removed_from_a_store_that_is_not_there() -> None:
    store.remove(a_result(Written()))


def named(name: str, *, job: str = "", priority: int = 0, **inputs: Any) -> Result:
    return Result(f"a/{name}", Written(), inputs, job=job, priority=priority)


def test_jobs_hold_all_that_a_result_needs_once_and_say_what_comes_first() -> None:
    images = named("images")
    small, large = (
        named(f"models/{size}", images=images, job="train", priority=priority)
        for size, priority in (("small", 1), ("large", 2))
    )
    tuned = named("models/tuned", start=small, job="train", priority=1)
    tables = named("tables", several=[large, {"deep": tuned}], images=Known(1, by="x"))
    jobs = store.jobs(tables)
    assert [*jobs] == ["images", "train", "tables"]
    assert jobs["train"].results == [large, small, tuned]
    assert {name: job.needs for name, job in jobs.items()} == {
        "images": [],
        "train": ["images"],  # and not itself
        "tables": ["train"],
    }
    assert {name: job.priority for name, job in jobs.items()} == {
        "images": 0,
        "train": 2,
        "tables": 0,
    }
    assert [*store.jobs(small)] == ["images", "train"]
    assert [*store.jobs(named("notebooks/one"))] == ["notebooks-one"]


def test_a_job_needs_what_any_of_its_results_needs() -> None:
    one, other = (named(name, of=named(f"of-{name}"), job="both") for name in ("one", "other"))
    assert store.jobs(named("all", of=[one, other]))["both"].needs == ["of-one", "of-other"]


class Settings(BaseModel):
    """Of a result."""

    n_neighbors: int = 10
    similarity: str = "cosine"


def described(
    *, n_neighbors: int = 10, scale: int = 1, parts: Any = (1, 2), start: bool = True
) -> Result:
    """A result that needs one that needs another."""
    first = named("first", scale=scale, parts=parts, start=named("start") if start else None)
    return named("last", first=first, settings=Settings(n_neighbors=n_neighbors))


def test_of_what_was_never_made_it_is_said() -> None:
    assert store.why(described()) == ["a/last was not made before"]


def test_of_what_is_stored_there_is_nothing_to_say() -> None:
    described().get()
    assert store.why(described()) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"n_neighbors": 5}, ["a/last: inputs settings n_neighbors was 10 and is 5"]),
        ({"scale": 2}, ["a/first: inputs scale was 1 and is 2"]),
        ({"parts": [1, 3]}, ["a/first: inputs parts was [1, 2] and is [1, 3]"]),
        (
            {"scale": 2, "n_neighbors": 5},
            [
                "a/first: inputs scale was 1 and is 2",
                "a/last: inputs settings n_neighbors was 10 and is 5",
            ],
        ),
    ],
)
def test_a_result_is_made_anew_for_what_has_changed(changes: dict, said: list[str]) -> None:
    described().get()
    assert store.why(described(**changes)) == said


def test_a_long_value_is_cut_and_one_that_was_not_there_is_called_so() -> None:
    a_result(Written(), x=1).get()
    now = a_result(Written(), x=1, y="long " * 50)
    (said,) = store.why(now)
    assert said.startswith('a/result: inputs y was not there and is "long long')
    assert len(said) < 110


def test_changed_code_and_libraries_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    reached = dependencies.Reached({"convexlib.checks.table": "0" * 12}, {"numpy": "1.0"})
    monkeypatch.setattr(dependencies, "of_function", lambda function, **chosen: reached)
    a_result(Written()).get()
    reached = dependencies.Reached({"convexlib.checks.table": "1" * 12}, {"numpy": "2.0"})
    assert store.why(a_result(Written())) == [
        'a/result: code convexlib.checks.table was "000000000000" and is "111111111111"',
        'a/result: libraries numpy was "1.0" and is "2.0"',
    ]


def test_the_newest_of_several_is_what_a_result_is_compared_with() -> None:
    for x in (1, 2, 3):
        folder = a_result(Written(), x=x).get()
        os.utime(folder, (x, x))
    assert store.why(a_result(Written(), x=4)) == ["a/result: inputs x was 3 and is 4"]


def test_a_result_of_a_longer_name_is_another() -> None:
    named("result-long", x=1).get()
    assert store.why(named("result", x=2)) == ["a/result was not made before"]


@cases({"a truncated file": truncate, "a lost manifest": lose_the_manifest})
def test_of_a_damaged_result_it_is_said(damage: Callable[[Path], None]) -> None:
    folder = described().get()
    damage(folder)
    (said,) = store.why(described())
    assert said in (
        "a/last is damaged",
        f"a/last: what it was before cannot be read in {folder}",
    )


def test_an_input_whose_own_input_is_gone_is_still_named() -> None:
    folder = described().inputs["first"].folder
    described().get()
    store.remove(described().inputs["first"])
    assert store.why(described(scale=2)) == [
        f"a/first: what it was before cannot be read in {folder}"
    ]

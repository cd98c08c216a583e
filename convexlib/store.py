"""Stored results: written whole or not at all, named by all that they depend on, checked on use.

A result is a folder. It is written under another name, listed in a manifest with the SHA-256
of every file, and renamed into place, so a run that is killed leaves nothing half-written
under the final name. The name ends in a fingerprint of what its writer is called with, of the
code that the writer reaches and of the library versions behind it: what changed gets a new name,
what did not is found again, and several processes may share one store.
"""

import hashlib
import json
import os
import re
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock, Timeout
from pydantic import BaseModel

from convexlib import dependencies

ROOT = Path(__file__).resolve().parents[1]
"""The project's folder."""

MANIFEST = "manifest.json"
_PARTIAL = ".partial-"
_LOCK = ".lock"
_HUB_BLOB = re.compile(r"/blobs/[0-9a-f]{64}$")
_ABANDONED_AFTER = 7 * 24 * 3600  # seconds


class DamagedResultWarning(UserWarning):
    """A stored result does not match its manifest and is computed again."""


@dataclass(frozen=True)
class Known:
    """A value that a writer is called with, and what stands for it in the fingerprint.

    Parameters
    ----------
    value : object
    by : object
        As JSON has it, such as the hashes of the files in a folder; or a function that finds it.
    """

    value: Any
    by: Any

    @cached_property
    def described(self) -> Any:
        """What stands for the value."""
        return self.by() if callable(self.by) else self.by


@dataclass(frozen=True)
class Result:
    """A result that is, or will be, a folder of the store.

    Parameters
    ----------
    name : str
        Path below the store's root, without the fingerprint.
    writer : callable
        Called with the empty folder that it is to fill, and with `inputs` by keyword. What it is
        not given it cannot use, so nothing that matters is missing from the fingerprint.
    inputs : mapping
        Other results, of which the writer gets the folders; settings; what JSON holds; lists and
        dicts of these; and anything else as `Known`.
    chosen : mapping of str
        For `dependencies.of_function`: of modules that are chosen at run time, which is.
    resumes : bool, default=False
        Whether the writer can go on with what a run that was killed left in the folder. One
        process at a time writes such a result; others wait for it.
    job : str, default=""
        Results of one job are made in one process; by default one alone, called as the result.
    priority : int, default=0
        Of several jobs that can run, which comes first: the highest.
    """

    name: str
    writer: Callable[..., None]
    inputs: Mapping[str, Any] = field(default_factory=dict)
    chosen: Mapping[str, str] = field(default_factory=dict)
    resumes: bool = False
    job: str = ""
    priority: int = 0

    @cached_property
    def dependencies(self) -> dict[str, Any]:
        """All that the result depends on, as JSON."""
        reached = dependencies.of_function(self.writer, **self.chosen)
        return {
            "inputs": described(self.inputs),
            "code": reached.code,
            "libraries": reached.libraries,
        }

    @cached_property
    def fingerprint(self) -> str:
        """Short hash of the dependencies."""
        return fingerprint(self.dependencies)

    @property
    def folder(self) -> Path:
        """Where the result is stored, or will be."""
        return root() / f"{self.name}-{self.fingerprint}"

    def get(self) -> Path:
        """Folder of the whole result, computed now if it is not stored or is damaged."""
        if is_whole(self.folder, thoroughly=True):
            return self.folder
        if discard(self.folder):
            warnings.warn(damaged(self.folder), DamagedResultWarning, stacklevel=2)
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        if self.resumes:
            partial = self.folder.with_name(_PARTIAL + self.folder.name)
            with FileLock(partial.with_name(partial.name + _LOCK)):
                if not is_whole(self.folder, thoroughly=False):
                    partial.mkdir(exist_ok=True)
                    self._write(partial)
        else:
            partial = Path(tempfile.mkdtemp(prefix=_PARTIAL, dir=self.folder.parent))
            try:
                self._write(partial)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
        return self.folder

    def write(self, folder: Path) -> None:
        """Write the files of the result into an empty folder."""
        self.writer(folder, **given(self.inputs))

    def _write(self, partial: Path) -> None:
        start = time.monotonic()
        self.write(partial)
        _write_manifest(partial, self.dependencies, time.monotonic() - start)
        partial.chmod(0o755)
        _publish(partial, self.folder)


class Job(NamedTuple):
    """Results that one process makes, and the names of the jobs that make what they need."""

    results: list[Result]
    needs: list[str]

    @property
    def priority(self) -> int:
        return max(result.priority for result in self.results)


def jobs(target: Result) -> dict[str, Job]:
    """All that a result needs, itself included, as jobs by name; those come first that others need.

    A name has no folder: what is one in that of a result is a dash.
    """
    found: dict[str, Job] = {}
    for result in _walk(target):
        needed = [_job_of(each) for each in _results_in(result.inputs)]
        name = _job_of(result)
        job = found.setdefault(name, Job([], []))
        job.results.append(result)
        job.needs.extend(need for need in dict.fromkeys(needed) if need not in (name, *job.needs))
    return found


def _job_of(result: Result) -> str:
    return result.job or result.name.partition("/")[2].replace("/", "-")


def _walk(target: Result) -> list[Result]:
    """A result after all that it needs, each once."""
    found: dict[str, Result] = {}

    def visit(result: Result) -> None:
        if result.name not in found:
            for needed in _results_in(result.inputs):
                visit(needed)
            found[result.name] = result

    visit(target)
    return [*found.values()]


def _results_in(value: Any) -> list[Result]:
    if isinstance(value, Result):
        return [value]
    parts = value.values() if isinstance(value, Mapping) else value
    some = isinstance(value, Mapping | list | tuple)
    return [result for part in (parts if some else ()) for result in _results_in(part)]


def why(result: Result) -> list[str]:
    """Why a result is made anew: how it differs from the newest that is stored under its name.

    Returns
    -------
    list of str
        A line a difference, of the result or of what it needs; none where it is stored as it is.
    """
    if is_whole(result.folder, thoroughly=False):
        return []
    stored = [*result.folder.parent.glob(f"{Path(result.name).name}-{'[0-9a-f]' * 12}")]
    if not stored:
        return [f"{result.name} was not made before"]
    newest = max(stored, key=lambda folder: folder.stat().st_mtime)
    return _since(newest, result) or [f"{result.name} is damaged"]


def _since(stored: Path, result: Result) -> list[str]:
    try:
        before = json.loads((stored / MANIFEST).read_text(encoding="utf-8"))["dependencies"]
    except (OSError, ValueError, KeyError):
        return [f"{result.name}: what it was before cannot be read in {stored}"]
    now = {**result.dependencies, "inputs": result.inputs}
    return [
        line if inner else f"{result.name}: {line}"
        for part in ("inputs", "code", "libraries")
        for inner, line in _differences(part, before.get(part), now[part])
    ]


def _differences(name: str, before: Any, now: Any) -> Iterator[tuple[bool, str]]:
    """Lines, and whether they are about another result that this one needs."""
    now = described(now) if isinstance(now, BaseModel | Known) else now
    if isinstance(now, Result):
        if before != now.fingerprint:
            stored = now.folder.with_name(f"{Path(now.name).name}-{before}")
            yield from ((True, line) for line in _since(stored, now))
    elif isinstance(now, Mapping) and isinstance(before, Mapping):
        for key in dict.fromkeys([*before, *now]):
            yield from _differences(f"{name} {key}", before.get(key), now.get(key))
    elif before != (described_now := described(now)):
        yield False, f"{name} was {_brief(before)} and is {_brief(described_now)}"


def _brief(value: Any) -> str:
    text = "not there" if value is None else json.dumps(value)
    return text if len(text) < 60 else f"{text[:57]}..."


def fingerprint(dependencies: Any) -> str:
    """Short hash of what JSON holds, in whatever order keys come."""
    canonical = json.dumps(dependencies, sort_keys=True)
    return hashlib.sha256(canonical.encode()).hexdigest()[:12]


def receipt(name: str, results: Sequence[Result]) -> Path:
    """A file that is there just when all these results are: what a workflow can look for.

    Unlike a result, it may be removed at any time, by whoever takes it for a mere output.
    """
    path = root() / ".receipts" / f"{name}-{fingerprint([str(r.folder) for r in results])}"
    if not all(is_whole(result.folder, thoroughly=False) for result in results):
        path.unlink(missing_ok=True)
    elif not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return path


def root() -> Path:
    """Folder of the store: ``CONVEXLIB_RESULTS``, or ``results`` in the project."""
    return Path(os.environ.get("CONVEXLIB_RESULTS", ROOT / "results")).resolve()


def is_whole(folder: Path, *, thoroughly: bool) -> bool:
    """Whether a stored result is there and matches its manifest.

    Unless `thoroughly`, a file whose size and time of change are as recorded is not read.
    """
    try:
        files = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"]
        return bool(files) and all(
            _matches(folder / name, known, thoroughly) for name, known in files.items()
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def seconds_of(kind: str) -> list[float]:
    """How long it took to write the results of a kind that are stored, of whatever study."""
    found = []
    for manifest in root().glob(f"*/{kind}*/**/{MANIFEST}"):
        with suppress(OSError, ValueError, KeyError):
            found.append(json.loads(manifest.read_text(encoding="utf-8"))["seconds"])
    return found


def damaged(folder: Path) -> str:
    """What to tell the user of a result that was discarded."""
    return f"stored result {folder} is damaged and is computed again"


def remove(result: Result) -> None:
    """Forget a result, so that it is made again; it is gone as a whole."""
    root().mkdir(parents=True, exist_ok=True)
    aside = tempfile.TemporaryDirectory(prefix=_PARTIAL, dir=root())
    with aside, suppress(FileNotFoundError):
        result.folder.rename(Path(aside.name, result.folder.name))


def discard(folder: Path) -> bool:
    """Remove a result that is damaged, and return whether it was; others are left alone."""
    if not folder.exists() or is_whole(folder, thoroughly=True):
        return False
    with tempfile.TemporaryDirectory(prefix=_PARTIAL, dir=folder.parent) as aside:
        moved = Path(aside, folder.name)
        try:
            folder.rename(moved)
        except FileNotFoundError:  # another process was faster
            return False
        if is_whole(moved, thoroughly=True):  # which put a whole result there
            moved.rename(folder)
            return False
    return True


def sweep() -> None:
    """Remove what killed runs left behind more than a week ago, and nobody is writing."""
    for parent, folders, files in os.walk(root()):
        left = [name for name in (*folders, *files) if name.startswith(_PARTIAL)]
        folders[:] = set(folders) - set(left)  # what is in them is not walked
        for partial in (Path(parent, name) for name in left):
            with suppress(FileNotFoundError):  # its run has just ended
                if time.time() - _last_change(partial) > _ABANDONED_AFTER:
                    _remove_unless_locked(partial)


def _last_change(path: Path) -> float:
    return max(p.stat().st_mtime for p in (path, *path.rglob("*")))


def _remove_unless_locked(partial: Path) -> None:
    if partial.name.endswith(_LOCK):
        return  # others may be waiting for it
    lock = partial.with_name(partial.name + _LOCK)
    with suppress(Timeout), FileLock(lock, timeout=0) if lock.exists() else nullcontext():
        shutil.rmtree(partial, ignore_errors=True)


def of_files(paths: Iterable[Path]) -> dict[str, str]:
    """SHA-256 of files, by file name; that of large files in the hub's cache is their real name."""
    return {
        path.name: (
            path.resolve().name
            if _HUB_BLOB.search(str(path.resolve()))
            else _sha256(path, *_stamp(path))
        )
        for path in sorted(paths)
    }


def _publish(partial: Path, folder: Path) -> None:
    try:
        partial.rename(folder)
    except OSError:
        # Another process was faster. Same fingerprint, same result: theirs is as good.
        if not is_whole(folder, thoroughly=False):
            raise


def _write_manifest(folder: Path, dependencies: dict[str, Any], seconds: float) -> None:
    files = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        size, changed = _stamp(path)
        files[path.relative_to(folder).as_posix()] = {
            "size": size,
            "changed": changed,
            "sha256": _sha256(path, size, changed),
        }
    manifest = {"dependencies": dependencies, "files": files, "seconds": round(seconds, 3)}
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")


def _matches(path: Path, known: dict[str, Any], thoroughly: bool) -> bool:
    size, changed = _stamp(path)
    if size != known["size"]:
        return False
    if changed == known["changed"] and not thoroughly:
        return True
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == known["sha256"]


def _stamp(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


@cache
def _sha256(path: Path, size: int, changed: int) -> str:
    """Hash of a file; size and time of change are part of the cache's key."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def described(value: Any) -> Any:
    """What stands for an input in the fingerprint."""
    if isinstance(value, Result):
        return value.fingerprint
    if isinstance(value, Known):
        return value.described
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, Mapping):
        return {key: described(of_key) for key, of_key in value.items()}
    if isinstance(value, list | tuple):
        return [described(part) for part in value]
    if value is None or isinstance(value, str | int | float):
        return value
    raise TypeError(
        f"an input is a {type(value).__name__}; give it as Known, by what it depends on"
    )


def given(value: Any) -> Any:
    """What a writer gets of an input."""
    if isinstance(value, Result):
        return value.get()
    if isinstance(value, Known):
        return value.value
    if isinstance(value, Mapping):
        return {key: given(of_key) for key, of_key in value.items()}
    if isinstance(value, list | tuple):
        return [given(part) for part in value]
    return value

"""Stored results: written whole or not at all, named by all that they depend on, checked on use.

A result is a folder. It is written under another name, listed in a manifest with the SHA-256
of every file, and renamed into place, so a run that is killed leaves nothing half-written
under the final name. The name ends in a fingerprint of the settings, the data, the code and
the library versions behind the result: what changed gets a new name, what did not is found
again, and several processes may share one store.
"""

import ast
import hashlib
import json
import os
import re
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from filelock import FileLock

ROOT = Path(__file__).resolve().parents[1]
"""The project's folder."""

_MANIFEST = "manifest.json"
_PARTIAL = ".partial-"
_HUB_BLOB = re.compile(r"/blobs/[0-9a-f]{64}$")
_ABANDONED_AFTER = 7 * 24 * 3600  # seconds


class DamagedResultWarning(UserWarning):
    """A stored result does not match its manifest and is computed again."""


@dataclass(frozen=True)
class Result:
    """A result that is, or will be, a folder of the store.

    Parameters
    ----------
    name : str
        Path below the store's root, without the fingerprint.
    dependencies : dict
        All that the result depends on, as JSON.
    write : callable
        Writes the result's files into the empty folder it is given.
    resumes : bool, default=False
        Whether `write` can go on with what a run that was killed left in the folder. One
        process at a time writes such a result; others wait for it.
    """

    name: str
    dependencies: dict[str, Any]
    write: Callable[[Path], None]
    resumes: bool = False

    @property
    def fingerprint(self) -> str:
        """Short hash of the dependencies."""
        canonical = json.dumps(self.dependencies, sort_keys=True)
        return hashlib.sha256(canonical.encode()).hexdigest()[:12]

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
            with FileLock(partial.with_name(partial.name + ".lock")):
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

    def _write(self, partial: Path) -> None:
        self.write(partial)
        _write_manifest(partial, self.dependencies)
        partial.chmod(0o755)
        _publish(partial, self.folder)


def root() -> Path:
    """Folder of the store: ``CONVEXLIB_RESULTS``, or ``results`` in the project."""
    return Path(os.environ.get("CONVEXLIB_RESULTS", ROOT / "results")).resolve()


def is_whole(folder: Path, *, thoroughly: bool) -> bool:
    """Whether a stored result is there and matches its manifest.

    Unless `thoroughly`, a file whose size and time of change are as recorded is not read.
    """
    try:
        files = json.loads((folder / _MANIFEST).read_text())["files"]
        return bool(files) and all(
            _matches(folder / name, known, thoroughly) for name, known in files.items()
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def damaged(folder: Path) -> str:
    """What to tell the user of a result that was discarded."""
    return f"stored result {folder} is damaged; it is removed and computed again"


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
    """Remove what killed runs left behind more than a week ago."""
    for parent, folders, files in os.walk(root()):
        left = [name for name in (*folders, *files) if name.startswith(_PARTIAL)]
        folders[:] = set(folders) - set(left)  # what is in them is not walked
        for partial in (Path(parent, name) for name in left):
            with suppress(FileNotFoundError):  # its run has just ended
                if time.time() - partial.stat().st_mtime > _ABANDONED_AFTER:
                    if partial.is_dir():
                        shutil.rmtree(partial, ignore_errors=True)
                    else:
                        partial.unlink()


def of_code(*names: str) -> str:
    """Hash of modules of this package, by what they do: comments and docstrings do not count."""
    digest = hashlib.sha256()
    for name in names:
        digest.update(_code(ROOT / "convexlib" / name).encode())
    return digest.hexdigest()[:12]


def of_libraries(*names: str) -> dict[str, str]:
    """Installed versions of libraries."""
    return {name: _version(name) for name in names}


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


def _write_manifest(folder: Path, dependencies: dict[str, Any]) -> None:
    files = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        size, changed = _stamp(path)
        files[path.relative_to(folder).as_posix()] = {
            "size": size,
            "changed": changed,
            "sha256": _sha256(path, size, changed),
        }
    manifest = {"dependencies": dependencies, "files": files}
    (folder / _MANIFEST).write_text(json.dumps(manifest, indent=1))


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


_version = cache(version)


@cache
def _sha256(path: Path, size: int, changed: int) -> str:
    """Hash of a file; size and time of change are part of the cache's key."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@cache
def _code(path: Path) -> str:
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            # Docstrings, and the strings that document constants.
            node.body = [
                statement
                for statement in body
                if not (
                    isinstance(statement, ast.Expr)
                    and isinstance(statement.value, ast.Constant)
                    and isinstance(statement.value.value, str)
                )
            ]
    return ast.dump(tree)

"""Files from the network into one data folder: checked, resumed, retried, whole or absent."""

import json
import logging
import os
import shutil
import stat
import sys
import time
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import pooch
import pyzipper
import requests
from filelock import FileLock
from tqdm import tqdm

from convexlib.store import ROOT

_TIMEOUT = (10, 60)  # seconds to connect, and between two pieces
_ATTEMPTS = 6
_LONGEST_PAUSE = 60  # seconds
_TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})
_PIECE = 2**16
_ROOM = 1.1  # of what a file needs, to be left on the disk


@dataclass(frozen=True)
class Source:
    """A file of somebody else's: where it lies in the data folder, and where it comes from.

    Parameters
    ----------
    path : str
        Below the data folder.
    url : str
    licence : str
        What may be done with it, in a sentence.
    cite : str
        Key in ``references.bib`` of what to cite.
    sha256 : str, optional
        Without it, the size that the server names is all that is checked.
    """

    path: str
    url: str
    licence: str
    cite: str
    sha256: str | None = None


def root() -> Path:
    """The data folder: ``CONVEXLIB_DATA``, or ``data`` in the project."""
    return Path(os.environ.get("CONVEXLIB_DATA", ROOT / "data")).expanduser().resolve()


def find(source: Source) -> Path:
    """Where a file lies in the data folder.

    Raises
    ------
    ValueError
        If it is not there, or is not what it should be.
    """
    path = root() / source.path
    if not path.is_file():
        raise ValueError(
            f"{source.path!r} is not in the data folder {str(root())!r}; run `convexlib fetch`, or "
            "let CONVEXLIB_DATA name the folder that holds it"
        )
    if source.sha256 and pooch.file_hash(str(path)) != source.sha256:
        raise ValueError(
            f"{str(path)!r} is not the published file: its SHA-256 is another; remove it and run "
            "`convexlib fetch`"
        )
    return path


def fetch(source: Source) -> Path:
    """Download a file unless it is there; a broken download is taken up where it ended.

    Returns
    -------
    Path
        Of the whole file.

    Raises
    ------
    ValueError
        If the server cannot be reached or refuses, the content is not the published one, or the
        disk is full.
    """
    path = root() / source.path
    if path.is_file():
        return find(source)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock"):
            if not path.is_file():
                _download(source, path)
    except PermissionError as error:
        raise ValueError(
            f"{source.path!r} is not in the data folder {str(root())!r}, which cannot be written; "
            "let CONVEXLIB_DATA name another"
        ) from error
    return path


def size(source: Source) -> int | None:
    """Bytes that `fetch` would load: 0 if the file is there, None if the server does not say."""
    if (root() / source.path).is_file():
        return 0
    response = _patiently("HEAD", source.url, allow_redirects=True)
    length = response.headers.get("Content-Length")
    return int(length) if length else None


def free_space() -> int:
    """Bytes left on the disk of the data folder."""
    folder = root()
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def unpack(archive: Path, folder: Path, *, password: str | None = None) -> None:
    """Unpack a zip archive, skipping what is already there.

    Parameters
    ----------
    archive : Path
    folder : Path
        No file is written outside of it, whatever the archive says.
    password : str, optional

    Raises
    ------
    ValueError
        If the archive is damaged, names a path outside of the folder or a link, the password is
        wrong or missing, or the disk is too small.
    """
    try:
        with pyzipper.AESZipFile(archive) as file:
            members = [member for member in file.infolist() if not member.is_dir()]
            for member in members:
                _check_member(member, archive)
            missing = [m for m in members if not _is_there(m, folder / m.filename)]
            _check_room(sum(member.file_size for member in missing), folder, str(archive))
            secret = password.encode() if password else None
            for member in tqdm(missing, desc=f"unpacking {archive.name}", unit="file"):
                _unpack_one(file, member, folder / member.filename, secret)
    except (zipfile.BadZipFile, pyzipper.BadZipFile) as error:
        raise ValueError(
            f"{str(archive)!r} is no whole zip archive ({error}); remove it and fetch it again"
        ) from error
    except RuntimeError as error:  # what zipfile raises of passwords
        raise ValueError(
            f"{str(archive)!r} cannot be opened: the password is "
            f"{'wrong' if password else 'missing'}"
        ) from error


def _download(source: Source, path: Path) -> None:
    """By pooch, which checks the file and puts it in place as a whole."""

    def downloader(url: str, output: str, _: Any) -> None:
        partial, about = Path(f"{path}.partial"), Path(f"{path}.partial.json")
        for attempt in range(_ATTEMPTS):
            try:
                _load_rest(source, partial, about)
                break
            except (requests.RequestException, OSError) as error:
                if not _is_passing(error):
                    raise
                if attempt == _ATTEMPTS - 1:
                    raise ValueError(
                        f"{url} broke off {_ATTEMPTS} times ({type(error).__name__}); what was "
                        "loaded is kept; run the same again"
                    ) from error
                _pause(attempt)
        partial.replace(output)
        about.unlink(missing_ok=True)

    known = f"sha256:{source.sha256}" if source.sha256 else None
    logger = pooch.get_logger()
    level, logger.level = logger.level, logging.WARNING
    try:
        pooch.retrieve(source.url, known, path.name, path.parent, downloader=downloader)
    except ValueError as error:
        if "hash" not in str(error):
            raise
        raise ValueError(
            f"{source.url} gave a file that is not the published one: its SHA-256 is another; try "
            "again later, or report it"
        ) from error
    finally:
        logger.level = level


def _is_passing(error: Exception) -> bool:
    """Whether it is the connection that failed, and not the disk."""
    return isinstance(
        error,
        requests.ConnectionError | requests.Timeout | requests.exceptions.ChunkedEncodingError,
    )


def _load_rest(source: Source, partial: Path, about: Path) -> None:
    """Append to a file what is missing of it, if it is still the same at the source."""
    begun = partial.stat().st_size if partial.is_file() and about.is_file() else 0
    headers = {"Accept-Encoding": "identity"}
    if begun:
        headers |= {"Range": f"bytes={begun}-", "If-Range": json.loads(about.read_text())["tag"]}
    with _patiently("GET", source.url, headers=headers, stream=True) as response:
        if response.status_code == 416:  # it was whole, or is another
            partial.unlink()
            about.unlink()
            raise requests.ConnectionError("the range is not there")
        if response.status_code != 206:
            begun = 0
        length = response.headers.get("Content-Length")
        total = begun + int(length) if length else None
        _check_room(int(length or 0), partial.parent, source.path)
        tag = response.headers.get("ETag") or response.headers.get("Last-Modified")
        if tag and not tag.startswith("W/"):
            about.write_text(json.dumps({"tag": tag}))
        else:
            about.unlink(missing_ok=True)  # what breaks off now begins anew
        with (
            partial.open("ab" if begun else "wb") as file,
            tqdm(
                total=total,
                initial=begun,
                desc=source.path,
                unit="B",
                unit_scale=True,
                unit_divisor=1024,
                disable=None if sys.stderr.isatty() else True,
            ) as progress,
        ):
            for piece in response.iter_content(_PIECE):
                file.write(piece)
                progress.update(len(piece))
    if total is not None and partial.stat().st_size != total:
        raise requests.ConnectionError("the file is shorter than the server said")


def _patiently(method: str, url: str, **options: Any) -> requests.Response:
    """A request that is repeated, ever more slowly, while the server is busy."""
    for attempt in range(_ATTEMPTS):
        try:
            response = requests.request(method, url, timeout=_TIMEOUT, **options)
        except (requests.ConnectionError, requests.Timeout) as error:
            if attempt == _ATTEMPTS - 1:
                raise ValueError(
                    f"{url} cannot be reached ({type(error).__name__}); check the network and try "
                    "again"
                ) from error
            _pause(attempt)
            continue
        if response.status_code < 400 or response.status_code == 416:
            return response
        response.close()
        if response.status_code not in _TRANSIENT or attempt == _ATTEMPTS - 1:
            break
        _pause(attempt, response.headers.get("Retry-After"))
    raise ValueError(
        f"{url} answered {response.status_code} ({response.reason}); try again later, or see "
        "whether the file has moved"
    )


def _pause(attempt: int, wanted: str | None = None) -> None:
    """Wait twice as long each time, or as long as the server wants."""
    seconds = float(wanted) if wanted and wanted.isdigit() else 2.0**attempt
    time.sleep(min(seconds, _LONGEST_PAUSE))


def _check_room(needed: int, folder: Path, what: str) -> None:
    free = shutil.disk_usage(folder if folder.exists() else folder.parent).free
    if needed * _ROOM > free:
        raise ValueError(
            f"{what} needs {needed / 1e9:.1f} GB, but {free / 1e9:.1f} GB are free in "
            f"{str(folder)!r}; make room, or let CONVEXLIB_DATA name another folder"
        )


def _check_member(member: zipfile.ZipInfo, archive: Path) -> None:
    path = PurePosixPath(member.filename.replace("\\", "/"))
    is_link = stat.S_ISLNK(member.external_attr >> 16)
    if path.is_absolute() or ".." in path.parts or ":" in path.parts[0] or is_link:
        raise ValueError(
            f"{str(archive)!r} holds {member.filename!r}, which would be written outside of its "
            "folder; nothing was unpacked"
        )


def _is_there(member: zipfile.ZipInfo, path: Path) -> bool:
    return path.is_file() and path.stat().st_size == member.file_size


def _unpack_one(
    file: pyzipper.AESZipFile, member: zipfile.ZipInfo, path: Path, secret: bytes | None
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    try:
        with file.open(member, pwd=secret) as packed, partial.open("wb") as unpacked:
            shutil.copyfileobj(packed, unpacked)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def described(sources: Iterable[Source]) -> list[str]:
    """For people: each file, its licence and what to cite."""
    return [f"{source.path}: {source.licence} Cite {source.cite}." for source in sources]

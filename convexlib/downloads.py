"""Files from the network into one data folder: checked, resumed, retried, whole or absent."""

import json
import logging
import os
import shutil
import stat
import sys
import time
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import pooch
import pyzipper
import requests
from filelock import FileLock
from tqdm import tqdm
from urllib3.exceptions import HTTPError

from convexlib.store import ROOT

_OSF = "https://api.osf.io/v2"
_TIMEOUT = (10, 60)  # seconds to connect, and between two pieces
_ATTEMPTS = 6
_LONGEST_PAUSE = 60  # seconds
_TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})
_PIECE = 2**16
_ROOM = 1.1  # of what a file needs, to be left on the disk

_PASSING = (  # the connection failed, and not the disk
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.ChunkedEncodingError,
)


@dataclass(frozen=True)
class Source:
    """A file of somebody else's: where it lies in the data folder, and where it comes from.

    Parameters
    ----------
    path : str
        Below the data folder.
    url : str
        Either an address, or ``osf:`` with a project of the Open Science Framework and a path in
        it, such as ``osf:f5rn6/variables/labels.txt``.
    licence : str
        What may be done with it, in a sentence.
    cite : str
        Key in ``references.bib`` of what to cite.
    sha256 : str, optional
        Without it, a file is checked by what OSF says of it, or by the size that the server names.
    unpack : str, optional
        The folder of a zip archive, below the data folder. It is put in place once everything is
        unpacked; where it is, the archive need not be.
    password : str, optional
        Environment variable with the password of the archive.
    """

    path: str
    url: str
    licence: str
    cite: str
    sha256: str | None = None
    unpack: str | None = None
    password: str | None = None


def root() -> Path:
    """The data folder: ``CONVEXLIB_DATA``, or ``data`` in the project."""
    given = os.environ.get("CONVEXLIB_DATA", ROOT / "data")
    try:
        return Path(given).expanduser().resolve()
    except (OSError, RuntimeError) as error:  # nobody's home, or links in a circle
        raise ValueError(f"CONVEXLIB_DATA is {given!r} ({error}); give a folder") from error


def is_here(source: Source) -> bool:
    """Whether a file, or what was unpacked from it, is in the data folder."""
    path = root() / (source.unpack or source.path)
    with _readable(path):
        return any(path.iterdir()) if source.unpack and path.is_dir() else path.is_file()


def find(source: Source) -> Path:
    """Where a file lies in the data folder, or the folder of an archive.

    Raises
    ------
    ValueError
        If it is not there, or is not what it should be.
    """
    if not is_here(source):
        raise ValueError(
            f"{(source.unpack or source.path)!r} is not in the data folder {str(root())!r}; run "
            "`convexlib fetch`, or let CONVEXLIB_DATA name the folder that holds it"
        )
    return root() / source.unpack if source.unpack else _checked(source)


def fetch(source: Source) -> Path:
    """Download a file unless it is there; a broken download is taken up where it ended.

    Returns
    -------
    Path
        Of the whole file, or of the folder of an archive.

    Raises
    ------
    ValueError
        If the server cannot be reached or refuses, the content is not the published one, the
        password is missing or wrong, or the disk is full.
    """
    if is_here(source):
        return find(source)
    path = root() / source.path
    password = _password(source)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock"):
            if is_here(source):
                return find(source)
            if path.is_file():
                _checked(source)
            else:
                _download(source, path)
            if source.unpack:
                _unpack_whole(path, root() / source.unpack, password)
    except (OSError, NotImplementedError) as error:  # the latter where no file can be locked
        raise ValueError(
            f"{source.path!r} is not in the data folder {str(root())!r}, which cannot be written "
            f"({_reason(error)}); let CONVEXLIB_DATA name another"
        ) from error
    return find(source)


def check_passwords(sources: Sequence[Source]) -> None:
    """Raise a one-line ValueError if an archive is to be unpacked whose password is not set."""
    for source in sources:
        if not is_here(source):
            _password(source)


def fetch_all(sources: Sequence[Source], say: Callable[[str], None]) -> None:
    """Say what each file is and how much there is to load, then load what is not there.

    Raises
    ------
    ValueError
        As `fetch`; before anything is loaded, if a password is missing or the disk is too small.
    """
    check_passwords(sources)
    sizes = [size(source) for source in sources]
    for source, n_bytes in zip(sources, sizes, strict=True):
        name = source.unpack if source.unpack and is_here(source) else source.path
        say(f"{name} ({shown(n_bytes)}). {source.licence} Cite {source.cite}.")
    total = needed = sum(filter(None, sizes))
    say(f"{total / 1e6:,.1f} MB to load; {shown(free_space(root()))} free in {root()}")
    for source, n_bytes in zip(sources, sizes, strict=True):
        if source.unpack and n_bytes:  # unpacked, images take as much again
            needed += n_bytes + _loaded(source)
    check_room(needed, root(), "what is to load and unpack")
    for source in sources:
        fetch(source)
        if source.unpack and (root() / source.path).is_file():
            say(f"{source.path} is unpacked into {source.unpack}; it may be removed")


def size(source: Source) -> int | None:
    """Bytes that `fetch` would load: 0 if the file is there, None if the server does not say."""
    if is_here(source) or (root() / source.path).is_file():
        return 0
    place = _located(source)
    total = place.size
    if total is None:
        headers = {"Accept-Encoding": "identity"}
        with _patiently("GET", place.url, headers=headers, stream=True) as response:
            length = response.headers.get("Content-Length")
        total = int(length) if length else None
    return None if total is None else max(total - _loaded(source), 0)


def free_space(folder: Path) -> int:
    """Bytes left on the disk of a folder, which need not exist yet."""
    with _readable(folder):
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
        It is tried on the smallest file before anything is written.

    Raises
    ------
    ValueError
        If the archive is damaged, names a path outside of the folder, a link, or one place twice,
        the password is wrong or missing, or the folder cannot be written or has no room.
    """
    try:
        with pyzipper.AESZipFile(archive) as file:
            places = _places(file.infolist(), archive)
            file.setpassword(password.encode() if password else None)
            _try_password(file, list(places), archive, password)
            missing = [m for m in places if not _is_unpacked(m, folder / places[m])]
            check_room(sum(member.file_size for member in missing), folder, str(archive))
            for member in tqdm(missing, desc=f"unpacking {archive.name}", unit="file"):
                _unpack_one(file, member, folder / places[member])
    except UnicodeDecodeError as error:
        raise _damaged(archive, error) from error
    except (ValueError, MemoryError):
        raise
    except Exception as error:  # whatever a damaged archive can make the libraries raise
        if isinstance(error, OSError) and error.errno is not None:
            raise ValueError(
                f"{str(archive)!r} cannot be unpacked into {str(folder)!r} ({_reason(error)}); "
                "make room, correct permissions, or choose another folder"
            ) from error
        raise _damaged(archive, error) from error


def _damaged(archive: Path, error: Exception) -> ValueError:
    return ValueError(
        f"{str(archive)!r} is no whole zip archive ({_reason(error)}); remove it and fetch it again"
    )


def _reason(error: Exception) -> str:
    """Why something failed, in one line."""
    said = getattr(error, "strerror", None) or str(error).strip().partition("\n")[0]
    return said or type(error).__name__


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Let what the disk refuses be a one-line ValueError."""
    try:
        yield
    except OSError as error:
        raise ValueError(
            f"{str(path)!r} cannot be read ({_reason(error)}); correct its permissions, or choose "
            "another folder"
        ) from error


class _Place(NamedTuple):
    """Where a file comes from, and what is known of it beforehand."""

    url: str
    sha256: str | None = None
    size: int | None = None


def _located(source: Source) -> _Place:
    if not source.url.startswith("osf:"):
        return _Place(source.url, source.sha256)
    project, *path = source.url.removeprefix("osf:").split("/")
    place = _Place(f"{_OSF}/nodes/{project}/files/osfstorage/")
    for depth, name in enumerate(path, start=1):
        entries = _listing(place.url)
        wanted = name if depth == len(path) else f"{name}/"
        if wanted not in entries:
            raise ValueError(
                f"{'/'.join(path)!r} is not in the OSF project {project}: its folder "
                f"{'/' + '/'.join(path[: depth - 1])!r} holds "
                f"{', '.join(sorted(entries)) or 'nothing'}"
            )
        place = entries[wanted]
    return place._replace(sha256=source.sha256 or place.sha256)


@cache
def _listing(url: str) -> dict[str, _Place]:
    """What a folder on OSF holds, by name; folders end in a slash and lead to their listing."""
    places = {}
    page = f"{url}?page[size]=100"
    try:
        while page:
            answer = _patiently("GET", page).json()
            for entry in answer["data"]:
                about = entry["attributes"]
                if about["kind"] == "folder":
                    folder = entry["relationships"]["files"]["links"]["related"]["href"]
                    places[f"{about['name']}/"] = _Place(folder)
                else:
                    hashes = (about.get("extra") or {}).get("hashes") or {}
                    file = entry["links"]["download"]
                    places[about["name"]] = _Place(file, hashes.get("sha256"), about.get("size"))
            page = answer["links"].get("next")
    except (requests.JSONDecodeError, AttributeError, KeyError, TypeError) as error:
        raise ValueError(
            f"{page} gave something else than a list of files; try again later, or report it"
        ) from error
    return places


def _loaded(source: Source) -> int:
    """Bytes in the data folder of a file, or of what broke off."""
    path = root() / source.path
    partial = Path(f"{path}.partial")
    with _readable(path):
        return sum(found.stat().st_size for found in (path, partial) if found.is_file())


def _checked(source: Source) -> Path:
    path = root() / source.path
    with _readable(path):
        known = source.sha256 and pooch.file_hash(str(path))
    if known != source.sha256:
        raise ValueError(
            f"{str(path)!r} is not the published file: its SHA-256 is another; remove it and run "
            "`convexlib fetch`"
        )
    return path


def _password(source: Source) -> str | None:
    """The password of an archive, from the environment."""
    password = os.environ.get(source.password) if source.password else None
    if source.password and not password:
        raise ValueError(
            f"{source.path!r} is encrypted; set {source.password} to its password. {source.licence}"
        )
    return password


def shown(n_bytes: int | None) -> str:
    """A size for people."""
    if n_bytes is None:
        return "size unknown"
    if n_bytes == 0:
        return "is there"
    return f"{n_bytes / 1e9:.1f} GB" if n_bytes >= 1e9 else f"{n_bytes / 1e6:.1f} MB"


def _download(source: Source, path: Path) -> None:
    """By pooch, which checks the file and puts it in place as a whole."""
    place = _located(source)

    def downloader(url: str, output: str, _: Any) -> None:
        partial, about = Path(f"{path}.partial"), Path(f"{path}.partial.json")
        for attempt in range(_ATTEMPTS):
            try:
                _load_rest(place.url, source.path, partial, about)
                break
            except _PASSING as error:
                if attempt == _ATTEMPTS - 1:
                    raise ValueError(
                        f"{url} broke off {_ATTEMPTS} times ({type(error).__name__}); what was "
                        "loaded is kept; run the same again"
                    ) from error
                _pause(attempt)
            except (requests.RequestException, HTTPError) as error:
                raise ValueError(_unreachable(url, error)) from error
        partial.replace(output)
        about.unlink(missing_ok=True)
        if place.size not in (None, Path(output).stat().st_size):
            raise ValueError(_other(url, "size"))

    known = f"sha256:{place.sha256}" if place.sha256 else None
    logger = pooch.get_logger()
    level, logger.level = logger.level, logging.WARNING
    try:
        pooch.retrieve(place.url, known, path.name, path.parent, downloader=downloader)
    except ValueError as error:
        if "hash" not in str(error):
            raise
        raise ValueError(_other(place.url, "SHA-256")) from error
    finally:
        logger.level = level


def _other(url: str, what: str) -> str:
    return (
        f"{url} gave a file that is not the published one: its {what} is another; try again later, "
        "or report it"
    )


def _load_rest(url: str, name: str, partial: Path, about: Path) -> None:
    """Append to a file what is missing of it, if it is still the same at the source."""
    tag = _tag(about)
    begun = partial.stat().st_size if tag and partial.is_file() else 0
    headers = {"Accept-Encoding": "identity"}
    if begun:
        headers |= {"Range": f"bytes={begun}-", "If-Range": tag}
    with _patiently("GET", url, headers=headers, stream=True) as response:
        if response.status_code == 416:  # it was whole, or is another
            partial.unlink()
            about.unlink()
            raise requests.ConnectionError("the range is not there")
        if response.status_code != 206:
            begun = 0
        length = response.headers.get("Content-Length")
        total = begun + int(length) if length else None
        check_room(int(length or 0), partial.parent, name)
        tag = response.headers.get("ETag") or response.headers.get("Last-Modified")
        if tag and not tag.startswith("W/"):
            about.write_text(json.dumps({"tag": tag}), encoding="utf-8")
        else:
            about.unlink(missing_ok=True)  # what breaks off now begins anew
        with (
            partial.open("ab" if begun else "wb") as file,
            tqdm(
                total=total,
                initial=begun,
                desc=name,
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


def _tag(about: Path) -> str | None:
    """By what the server knows a file, unless its note is missing or broke off too."""
    try:
        return json.loads(about.read_text(encoding="utf-8"))["tag"]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def _patiently(method: str, url: str, **options: Any) -> requests.Response:
    """A request that is repeated, ever more slowly, while the server is busy."""
    for attempt in range(_ATTEMPTS):
        try:
            response = requests.request(method, url, timeout=_TIMEOUT, **options)
        except (OSError, HTTPError, ValueError) as error:
            if attempt == _ATTEMPTS - 1 or not isinstance(error, _PASSING):
                raise ValueError(_unreachable(url, error)) from error
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


def _unreachable(url: str, error: Exception) -> str:
    """Why, without what the error says of a proxy, which may have a password in it."""
    is_known = isinstance(error, (requests.RequestException, HTTPError))
    reason = type(error).__name__ if is_known else _reason(error)
    remedy = "check the network and try again"
    if "SOCKS" in str(error):
        remedy = "for the SOCKS proxy that ALL_PROXY or HTTPS_PROXY names, install PySocks"
    elif isinstance(error, (requests.exceptions.ProxyError, ValueError)):
        remedy = "check the proxy that ALL_PROXY, HTTPS_PROXY or HTTP_PROXY names"
    return f"{url} cannot be reached ({reason}); {remedy}"


def _pause(attempt: int, wanted: str | None = None) -> None:
    """Wait twice as long each time, or as long as the server wants."""
    seconds = float(wanted) if wanted and wanted.isdigit() else 2.0**attempt
    time.sleep(min(seconds, _LONGEST_PAUSE))


def check_room(needed: int, folder: Path, what: str) -> None:
    """Raise a one-line ValueError if so many bytes have no room on the disk of a folder."""
    free = free_space(folder)
    if needed * _ROOM > free:
        raise ValueError(
            f"{what} needs {shown(needed)}, but {shown(free)} are free in {str(folder)!r}; make "
            "room, or choose another folder"
        )


def _places(
    members: Sequence[zipfile.ZipInfo], archive: Path
) -> dict[zipfile.ZipInfo, PurePosixPath]:
    """Where each file of an archive goes below a folder: inside, and no two to one place."""
    places: dict[zipfile.ZipInfo, PurePosixPath] = {}
    taken: dict[str, zipfile.ZipInfo] = {}
    for member in members:
        name = member.filename.replace("\\", "/")
        if name.endswith("/"):
            continue
        places[member] = _checked_place(PurePosixPath(name), member, archive)
        other = taken.setdefault(_as_some_disks_see(places[member]), member)
        if other is not member:
            raise ValueError(_one_place(archive, other, member))
    for member, place in places.items():
        for above in place.parents:
            if other := taken.get(_as_some_disks_see(above)):
                raise ValueError(_one_place(archive, other, member))
    return places


def _checked_place(place: PurePosixPath, member: zipfile.ZipInfo, archive: Path) -> PurePosixPath:
    is_link = stat.S_ISLNK(member.external_attr >> 16)
    if not place.parts or "\0" in member.orig_filename:
        raise ValueError(
            f"{str(archive)!r} holds {member.orig_filename!r}, which names no file; nothing was "
            "unpacked"
        )
    if place.is_absolute() or ".." in place.parts or ":" in place.parts[0] or is_link:
        raise ValueError(
            f"{str(archive)!r} holds {member.filename!r}, which would be written outside of its "
            "folder; nothing was unpacked"
        )
    return place


def _as_some_disks_see(place: PurePosixPath) -> str:
    """Windows and macOS take small letters for large ones, and macOS composed for decomposed."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", str(place)).casefold())


def _one_place(archive: Path, *members: zipfile.ZipInfo) -> str:
    first, second = (member.filename for member in members)
    return (
        f"{str(archive)!r} holds {first!r} and {second!r}, which cannot both be written on every "
        "disk; nothing was unpacked"
    )


def _try_password(
    file: pyzipper.AESZipFile, members: list[zipfile.ZipInfo], archive: Path, password: str | None
) -> None:
    """Read the smallest locked file whole: its first bytes may fit a wrong password by chance."""
    locked = [member for member in members if member.flag_bits & 1]
    if not locked:
        return
    if not password:
        raise ValueError(f"{str(archive)!r} cannot be opened: the password is missing")
    try:
        file.read(min(locked, key=lambda member: member.compress_size))
    except NotImplementedError:  # not for want of a password
        raise
    except (RuntimeError, zipfile.BadZipFile, pyzipper.BadZipFile, zlib.error) as error:
        raise ValueError(
            f"{str(archive)!r} cannot be opened: the password is wrong"
            + ("" if isinstance(error, RuntimeError) else ", or the archive damaged")
        ) from error


def _is_unpacked(member: zipfile.ZipInfo, path: Path) -> bool:
    return path.is_file() and path.stat().st_size == member.file_size


def _unpack_one(file: pyzipper.AESZipFile, member: zipfile.ZipInfo, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    try:
        with file.open(member) as packed, partial.open("wb") as unpacked:
            shutil.copyfileobj(packed, unpacked)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _unpack_whole(archive: Path, folder: Path, password: str | None) -> None:
    """Unpack beside the folder, and put it in place when it is whole."""
    beside = folder.with_name(f"{folder.name}.partial")
    unpack(archive, beside, password=password)
    if not (beside / folder.name).is_dir():
        raise ValueError(f"{str(archive)!r} does not hold the folder {folder.name!r}")
    (beside / folder.name).replace(folder)
    shutil.rmtree(beside)

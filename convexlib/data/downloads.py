"""Files from the network into one data folder: checked, resumed, retried, whole or absent."""

import hashlib
import logging
import os
import shutil
import stat
import subprocess
import unicodedata
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from zipfile import ZipInfo

import pyzipper
import requests
from filelock import FileLock
from requests.adapters import HTTPAdapter
from tqdm import tqdm
from urllib3 import Retry
from urllib3.exceptions import HTTPError

from convexlib.store import ROOT

_TIMEOUT = (10, 60)  # seconds to connect, and between two pieces
_RETRIES = Retry(
    total=5,
    backoff_factor=1,
    backoff_max=60,
    retry_after_max=60,
    status_forcelist=(408, 425, 429, 500, 502, 503, 504),
    raise_on_status=False,
)
_PIECE = 2**16
_ROOM = 1.1  # of what a file needs, to be left on the disk

logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)  # or each retry takes a line


@dataclass(frozen=True)
class Source:
    """A file of somebody else's: where it lies in the data folder, and where it comes from.

    Parameters
    ----------
    path : str
        Below the data folder.
    url : str
        Its address.
    licence : str
        What may be done with it, in a sentence.
    cite : str
        Key in ``references.bib`` of what to cite.
    sha256 : str, optional
        Without it, a file is checked by the size that the server names.
    unpack : str, optional
        The folder of a zip archive, below the data folder. It is put in place once everything is
        unpacked; where it is, the archive need not be.
    inside : str, optional
        The folder of the archive that holds the one to unpack; by default it is on top.
    password : str, optional
        Environment variable with the password of the archive.
    megabytes : float, optional
        Its size, if that is known before a server is asked.
    """

    path: str
    url: str
    licence: str
    cite: str
    sha256: str | None = None
    unpack: str | None = None
    inside: str = ""
    password: str | None = None
    megabytes: float | None = None


class _UnreachableError(ValueError):
    """There is no server, or no network."""


def root() -> Path:
    """The data folder: ``CONVEXLIB_DATA``, or ``data`` in the project."""
    given = os.environ.get("CONVEXLIB_DATA", ROOT / "data")
    with _told(f"CONVEXLIB_DATA is {given!r}", "give a folder"):  # nobody's home, links in a circle
        return Path(given).expanduser().resolve()


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
    path, password = root() / source.path, _password(source)
    failed = f"{source.path!r} is not in the data folder {str(root())!r}, which cannot be written"
    with _told(failed, "let CONVEXLIB_DATA name another"):  # perhaps as no file can be locked there
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock"):
            if not path.is_file() and not is_here(source):
                try:
                    _download(source, path)
                except _UnreachableError as error:
                    size = f", {source.megabytes:.2g} MB," if source.megabytes else ""
                    raise ValueError(
                        f"{error}. Or load the file{size} elsewhere and put it at {str(path)!r}"
                    ) from error
            if source.unpack and not is_here(source):
                folder, archive = root() / source.unpack, _checked(source)
                unpack(archive, folder, inside=source.inside, password=password)
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
    sizes, unpacked = [size(source) for source in sources], 0
    for source, n_bytes in zip(sources, sizes, strict=True):
        name = source.unpack if source.unpack and is_here(source) else source.path
        say(f"{name} ({shown(n_bytes)}). {source.licence} Cite {source.cite}.")
        if source.unpack and n_bytes:  # unpacked, images take as much again
            unpacked += n_bytes + _loaded(source)
    total = sum(filter(None, sizes))
    say(f"{total / 1e6:,.1f} MB to load; {shown(free_space(root()))} free in {root()}")
    check_room(total + unpacked, root(), "what is to load and unpack")
    for source in sources:
        fetch(source)
        if source.unpack and (root() / source.path).is_file():
            say(f"{source.path} is unpacked into {source.unpack}; it may be removed")


def size(source: Source) -> int | None:
    """Bytes that `fetch` would load: 0 if the file is there, None if the server does not say."""
    if is_here(source) or (root() / source.path).is_file():
        return 0
    with _get(source.url) as response:
        length = response.headers.get("Content-Length")
    return max(int(length) - _loaded(source), 0) if length else None


def free_space(folder: Path) -> int:
    """Bytes left on the disk of a folder, which need not exist yet."""
    with _readable(folder):
        while not folder.exists():
            folder = folder.parent
        return shutil.disk_usage(folder).free


def shown(n_bytes: int | None) -> str:
    """A size for people."""
    if n_bytes is None:
        return "size unknown"
    if n_bytes == 0:
        return "is there"
    return f"{n_bytes / 1e9:.1f} GB" if n_bytes >= 1e9 else f"{n_bytes / 1e6:.1f} MB"


def check_room(needed: int, folder: Path, what: str) -> None:
    """Raise a one-line ValueError if so many bytes have no room on the disk of a folder."""
    free = free_space(folder)
    if needed * _ROOM > free:
        raise ValueError(
            f"{what} needs {shown(needed)}, but {shown(free)} are free in {str(folder)!r}; make "
            "room, or choose another folder"
        )


def unpack(archive: Path, folder: Path, *, inside: str = "", password: str | None = None) -> None:
    """Unpack the folder that a zip archive holds, and put it in place when it is whole.

    7-Zip takes minutes for what takes Python hours, but Python goes on where it was interrupted.

    Parameters
    ----------
    archive : Path
    folder : Path
        It is called as in the archive. What else the archive holds is not kept.
    inside : str, optional
        The folder of the archive that holds it; by default it is on top.
    password : str, optional
        It is tried on the smallest file before anything is written.

    Raises
    ------
    ValueError
        If the archive is damaged, names a path outside of the folder, a link, or one place twice,
        the password is wrong or missing, or the folder cannot be written or has no room.
    """
    beside = folder.with_name(f"{folder.name}.partial")
    try:
        with pyzipper.AESZipFile(archive) as file:
            members = _checked_members(file.infolist(), archive)
            held = PurePosixPath(inside, folder.name)
            if not any(held in PurePosixPath(member.filename).parents for member in members):
                raise ValueError(f"{str(archive)!r} does not hold the folder {str(held)!r}")
            _try_password(file, members, archive, password)
            check_room(sum(m.file_size for m in _missing(members, beside)), folder, str(archive))
            _unpack_by_seven_zip(archive, beside, members, password)
            slowly = f"unpacking {archive.name} by Python; 7-Zip, once installed, is much faster"
            file.extractall(beside, tqdm(_missing(members, beside), desc=slowly, delay=1))
        (beside / held).replace(folder)
        shutil.rmtree(beside)
    except Exception as error:  # whatever a damaged archive can make the libraries raise
        if isinstance(error, (ValueError, MemoryError)) and not isinstance(error, UnicodeError):
            raise
        shutil.rmtree(beside, ignore_errors=True)
        failed, remedy = "is no whole zip archive", "remove it and fetch it again"
        if getattr(error, "errno", None):
            failed = f"cannot be unpacked into {str(folder)!r}"
            remedy = "make room, correct permissions, or choose another folder"
        raise ValueError(f"{str(archive)!r} {failed} ({_reason(error)}); {remedy}") from error


def _reason(error: Exception) -> str:
    """Why something failed, in one line."""
    said = getattr(error, "strerror", None) or str(error).strip().partition("\n")[0]
    return said or type(error).__name__


@contextmanager
def _told(failed: str, remedy: str) -> Iterator[None]:
    """Let what the disk refuses be a one-line ValueError."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        raise ValueError(f"{failed} ({_reason(error)}); {remedy}") from error


def _readable(path: Path) -> AbstractContextManager[None]:
    remedy = "correct its permissions, or choose another folder"
    return _told(f"{str(path)!r} cannot be read", remedy)


def _checked(source: Source) -> Path:
    path = root() / source.path
    if not _is_published(source, path):
        raise ValueError(
            f"{str(path)!r} is not the published file: its SHA-256 is another; remove it and run "
            "`convexlib fetch`"
        )
    return path


def _is_published(source: Source, path: Path) -> bool:
    with _readable(path), path.open("rb") as file:
        known = source.sha256
        return known is None or hashlib.file_digest(file, "sha256").hexdigest() == known


def _password(source: Source) -> str | None:
    """The password of an archive, from the environment."""
    password = os.environ.get(source.password) if source.password else None
    if source.password and not password:
        raise ValueError(
            f"{source.path!r} is encrypted; set {source.password} to its password. {source.licence}"
        )
    return password


def _loaded(source: Source) -> int:
    """Bytes in the data folder of a file, or of what broke off."""
    path = root() / source.path
    with _readable(path):
        return sum(p.stat().st_size for p in (path, Path(f"{path}.partial")) if p.is_file())


def _download(source: Source, path: Path) -> None:
    """Load a file, taking up what broke off, and put it in place when it is whole and right."""
    partial, retries = Path(f"{path}.partial"), _RETRIES
    while True:
        try:
            _resume(source, partial)
            break
        except (requests.RequestException, HTTPError) as error:
            if not retries.total:
                raise ValueError(
                    f"{source.url} broke off {len(retries.history) + 1} times "
                    f"({type(error).__name__}); what was loaded is kept; run the same again"
                ) from error
            retries = retries.increment("GET", source.url, error=error)
            retries.sleep()
    Path(f"{partial}.tag").unlink(missing_ok=True)
    if not _is_published(source, partial):
        partial.unlink()
        raise ValueError(
            f"{source.url} gave a file that is not the published one: its SHA-256 is another; try "
            "again later, or report it"
        )
    partial.replace(path)


def _resume(source: Source, partial: Path) -> None:
    """Append to a file what is missing of it, if it is still the same at the source.

    Its last byte is loaded again, so that there is something to ask for of a file that is whole.
    """
    note = Path(f"{partial}.tag")
    begun = partial.stat().st_size - 1 if note.is_file() and partial.is_file() else 0
    known = {"Range": f"bytes={begun}-", "If-Range": note.read_text("latin-1")} if begun > 0 else {}
    with _get(source.url, **known) as response:
        begun = begun if response.status_code == 206 else 0
        length = int(response.headers.get("Content-Length", 0))
        check_room(length, partial.parent, source.path)
        tag = response.headers.get("ETag") or response.headers.get("Last-Modified", "")
        progress = {"total": begun + length or None, "initial": begun, "desc": source.path}
        with partial.open("ab") as file:
            file.truncate(begun)
            note.unlink(missing_ok=True)
            if tag and not tag.startswith("W/"):  # else what breaks off begins anew
                note.write_text(tag, "latin-1")
            with tqdm.wrapattr(file, "write", **progress, disable=None) as growing:
                for piece in response.iter_content(_PIECE):
                    growing.write(piece)


def _get(url: str, **headers: str) -> requests.Response:
    """What a server answers, after some patience while it is busy."""
    headers["Accept-Encoding"] = "identity"
    try:
        with requests.Session() as session:
            for scheme in ("http://", "https://"):
                session.mount(scheme, HTTPAdapter(max_retries=_RETRIES))
            response = session.get(url, headers=headers, stream=True, timeout=_TIMEOUT)
    except (OSError, HTTPError, ValueError) as error:
        is_known = isinstance(error, (requests.RequestException, HTTPError))
        reason = type(error).__name__ if is_known else _reason(error)  # the first may tell secrets
        raise _UnreachableError(
            f"{url} cannot be reached ({reason}); check the network, and the proxy if ALL_PROXY, "
            "HTTPS_PROXY or HTTP_PROXY names one; for a SOCKS proxy, install PySocks"
        ) from error
    if response.status_code < 400:
        return response
    response.close()
    raise ValueError(
        f"{url} answered {response.status_code} ({response.reason}); try again later, or see "
        "whether the file has moved"
    )


def _checked_members(members: Sequence[ZipInfo], archive: Path) -> list[ZipInfo]:
    """The files of an archive, named by where they go: inside, and no two to one place."""
    files = [member for member in members if not member.filename.endswith(("/", "\\"))]
    taken: set[PurePosixPath] = set()
    above: set[PurePosixPath] = set()
    for member in files:
        member.filename = str(_place(member, archive))
        place = _as_some_disks_see(member.filename)
        if place in taken or place in above or not taken.isdisjoint(place.parents):
            raise _refused(archive, "is there twice, to some disks", member)
        taken.add(place)
        above.update(place.parents)
    return files


def _place(member: ZipInfo, archive: Path) -> PurePosixPath:
    place = PurePosixPath(member.filename.replace("\\", "/"))
    if not place.parts or "\0" in member.orig_filename:
        raise _refused(archive, "names no file", member)
    is_link = stat.S_ISLNK(member.external_attr >> 16)
    if place.is_absolute() or ".." in place.parts or ":" in place.parts[0] or is_link:
        raise _refused(archive, "would be written outside of its folder", member)
    return place


def _refused(archive: Path, why: str, member: ZipInfo) -> ValueError:
    name = member.orig_filename
    return ValueError(f"{str(archive)!r} holds {name!r}, which {why}; nothing was unpacked")


def _as_some_disks_see(name: str) -> PurePosixPath:
    """Windows and macOS take small letters for large ones, and macOS composed for decomposed."""
    folded = unicodedata.normalize("NFD", name).casefold()
    return PurePosixPath(unicodedata.normalize("NFC", folded))


def _try_password(
    file: pyzipper.AESZipFile, members: Sequence[ZipInfo], archive: Path, password: str | None
) -> None:
    """Read the smallest locked file whole: its first bytes may fit a wrong password by chance."""
    locked = [member for member in members if member.flag_bits & 1]
    file.setpassword(password.encode() if password else None)
    try:
        for member in sorted(locked, key=lambda member: member.compress_size)[:1]:
            file.read(member)
    except NotImplementedError:  # not for want of a password
        raise
    except (RuntimeError, pyzipper.BadZipFile, zlib.error) as error:
        what = "wrong, or the archive damaged" if password else "missing"
        raise ValueError(f"{str(archive)!r} cannot be opened: the password is {what}") from error


def _missing(members: Sequence[ZipInfo], folder: Path) -> list[ZipInfo]:
    places = {folder / member.filename: member for member in members}
    return [m for p, m in places.items() if not p.is_file() or p.stat().st_size != m.file_size]


def _unpack_by_seven_zip(
    archive: Path, folder: Path, members: Sequence[ZipInfo], password: str | None
) -> None:
    """All anew or nothing, if 7-Zip is installed; what it fails at, Python does or says why.

    The password is what 7-Zip asks for, and in a session of its own it does not ask the terminal.
    """
    program = shutil.which("7zz") or shutil.which("7z") or shutil.which("7za")
    if program is None:
        return
    with ExitStack() as undo:
        undo.callback(shutil.rmtree, folder, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)
        done = subprocess.run(
            [program, "x", "-tzip", "-y", "-bso0", f"-o{folder}", "--", archive],
            input=f"{password}\n".encode(),
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        if done.returncode == 0 and not _missing(members, folder):
            undo.pop_all()

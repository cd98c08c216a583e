"""Downloads from a server that behaves badly, and archives that are bad."""

import base64
import errno
import hashlib
import os
import shutil
import stat
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest
import pyzipper
from urllib3 import Retry

from convexlib import data
from convexlib.data import downloads
from convexlib.data.downloads import Source
from tests.servers import Server, serving

CONTENT = bytes(range(256)) * 4096  # 1 MB
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        server.files["/file"] = CONTENT
        yield server


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CONVEXLIB_DATA", str(tmp_path / "data"))
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    monkeypatch.setattr(downloads, "_TIMEOUT", (1, 0.3))
    monkeypatch.setattr(downloads, "_unpack_by_seven_zip", lambda *_: None)
    return tmp_path / "data"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """What breaks off is not tried again until this is undone."""
    with monkeypatch.context() as patch:
        patch.setattr(downloads, "_RETRIES", Retry(0))
        yield patch


def source(server: Server, sha256: str | None = SHA256) -> Source:
    return Source("some/file.bin", f"{server.url}/file", "Free.", "ekman1954", sha256)


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("sha256", [SHA256, None])
def test_a_file_is_loaded_once(server: Server, folder: Path, sha256: str | None) -> None:
    path = downloads.fetch(source(server, sha256))
    assert path == folder / "some" / "file.bin"
    assert path.read_bytes() == CONTENT
    assert downloads.fetch(source(server, sha256)) == path
    assert len(server.paths) == 1
    assert [name for name in left(folder) if not name.endswith(".lock")] == ["file.bin"]


def test_what_breaks_off_is_taken_up_where_it_ended(server: Server) -> None:
    server.plan = ["cut", "cut"]
    assert downloads.fetch(source(server)).read_bytes() == CONTENT
    assert server.ranges == ["", "bytes=393215-", "bytes=786430-"]


def test_a_later_run_takes_up_what_an_earlier_one_left(
    server: Server, impatient: pytest.MonkeyPatch
) -> None:
    server.plan = ["cut"]
    with pytest.raises(ValueError, match=r"broke off 1 times .* what was loaded is kept"):
        downloads.fetch(source(server))
    assert downloads.size(source(server)) == len(CONTENT) - 393216
    assert downloads.fetch(source(server)).read_bytes() == CONTENT
    assert server.ranges == ["", "", "bytes=393215-"]


@pytest.mark.parametrize("plan", [["cut", "no ranges"], ["cut", "changed"], ["cut", "untagged"]])
def test_a_file_that_changed_meanwhile_is_not_pieced_together(
    server: Server, plan: list[str], impatient: pytest.MonkeyPatch
) -> None:
    if plan[1] == "untagged":
        server.tag = None
    server.plan = plan[:1] + [step for step in plan[1:] if step == "no ranges"]
    with pytest.raises(ValueError, match="broke off"):
        downloads.fetch(source(server, None))
    if plan[1] == "changed":
        server.files["/file"], server.tag = CONTENT[::-1], '"second"'
    assert downloads.fetch(source(server, None)).read_bytes() == server.files["/file"]


@pytest.mark.parametrize("status", ["429", "500", "503", "hang up", "wait"])
def test_a_busy_server_is_asked_again(server: Server, status: str) -> None:
    server.plan = [status, status]
    assert downloads.fetch(source(server)).read_bytes() == CONTENT
    assert len(server.paths) == 3


@pytest.mark.parametrize(("status", "times"), [("404", 1), ("403", 1), ("503", 6)])
def test_a_server_that_refuses_is_named(
    server: Server, folder: Path, status: str, times: int
) -> None:
    server.plan = [status] * 10
    with pytest.raises(ValueError, match=f"answered {status} .*; try again later"):
        downloads.fetch(source(server))
    assert len(server.paths) == times
    assert not (folder / "some" / "file.bin").exists()


def test_a_server_that_is_not_there_is_named(server: Server) -> None:
    nowhere = Source("file", "http://127.0.0.1:9/file", "Free.", "ekman1954")
    with pytest.raises(ValueError, match=r"cannot be reached .*; check the network") as error:
        downloads.fetch(nowhere)
    assert f"Or load the file elsewhere and put it at '{downloads.root() / 'file'}'" in str(
        error.value
    )
    nowhere = replace(nowhere, megabytes=3.8)
    with pytest.raises(ValueError, match=r"Or load the file, 3\.8 MB, elsewhere and put it at "):
        downloads.fetch(nowhere)


PROXIES = [
    "http://[bad",
    "not a url",
    "http://",
    "ftp://localhost:1",
    "http://me:secret@127.0.0.1:9",
    "http://\u00fc..x:80",
    "socks5h://127.0.0.1:9",
]


@pytest.mark.parametrize("proxy", PROXIES)
def test_a_proxy_that_cannot_be_used_is_a_line_with_a_remedy(
    proxy: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    if proxy.startswith("socks") and find_spec("socks"):
        pytest.skip("PySocks is installed")
    for name in ("NO_PROXY", "no_proxy", "HTTP_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    nowhere = Source("file", "https://convexlib.invalid/file", "Free.", "ekman1954")
    for reads in (downloads.fetch, downloads.size):
        with pytest.raises(
            ValueError, match=r"file cannot be reached .* the proxy .*PySocks"
        ) as error:
            reads(nowhere)
        assert len(str(error.value).splitlines()) == 1
        assert "secret" not in str(error.value)
    assert not caplog.records


def test_certificates_that_are_not_there_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere.pem")
    nowhere = Source("file", "https://convexlib.invalid/file", "Free.", "ekman1954")
    with pytest.raises(ValueError, match=r"cannot be reached \(.*/nowhere\.pem\); check"):
        downloads.fetch(nowhere)


@pytest.mark.parametrize("note", ['"fir', "", "\0\0", "\u00e4"])
def test_a_note_that_broke_off_lets_a_download_begin_anew(
    server: Server, folder: Path, impatient: pytest.MonkeyPatch, note: str
) -> None:
    server.plan = ["cut"]
    with pytest.raises(ValueError, match="broke off"):
        downloads.fetch(source(server))
    (folder / "some" / "file.bin.partial.tag").write_text(note, encoding="utf-8")
    assert downloads.fetch(source(server)).read_bytes() == CONTENT


def test_what_is_whole_but_not_in_place_needs_one_more_byte(server: Server, folder: Path) -> None:
    (folder / "some").mkdir(parents=True)
    (folder / "some" / "file.bin.partial").write_bytes(CONTENT)
    (folder / "some" / "file.bin.partial.tag").write_text(server.tag, encoding="utf-8")
    assert downloads.fetch(source(server)).read_bytes() == CONTENT
    assert server.ranges == [f"bytes={len(CONTENT) - 1}-"]


def test_a_server_that_says_when_is_asked_then(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("time.sleep", pauses.append)
    server.plan, server.retry_after = ["503", "429", "503"], "7"
    downloads.fetch(source(server))
    assert pauses == [7, 7, 7]
    server.files["/file"], server.plan, server.retry_after = CONTENT[1:], ["503"] * 4, "86400"
    downloads.size(replace(source(server), path="other"))
    assert pauses[3:] == [60] * 4


@pytest.mark.parametrize("given", ["~nobody-of-this-name/data", "loop/data"])
def test_a_data_folder_that_cannot_be_found_is_named(
    tmp_path: Path, given: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CONVEXLIB_DATA", given)
    nowhere = Source("file", "http://127.0.0.1:9/file", "Free.", "ekman1954")
    with pytest.raises(ValueError) as error:  # noqa: PT011
        downloads.fetch(nowhere)
    assert given.split("/")[0] in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_a_file_in_the_place_of_the_data_folder_is_named(server: Server, folder: Path) -> None:
    folder.write_text("a file", encoding="utf-8")
    with pytest.raises(ValueError, match=r"which cannot be written \(.*\); let CONVEXLIB_DATA"):
        downloads.fetch(source(server))


@pytest.mark.parametrize("kind", data.kinds())
def test_every_file_from_the_network_counts_among_the_sources(kind: str) -> None:
    """Those are fetched, listed in the book, and what results depend on."""
    module = import_module(f"convexlib.data.{kind}")
    named = [
        source
        for value in vars(module).values()
        for source in (value.values() if isinstance(value, dict) else [value])
        if isinstance(source, Source)
    ]
    assert set(named) == set(module.Stimuli.SOURCES)
    assert len({source.path for source in module.Stimuli.SOURCES}) == len(module.Stimuli.SOURCES)


def test_another_file_than_the_published_one_is_refused(server: Server, folder: Path) -> None:
    server.plan = ["wrong"]
    with pytest.raises(ValueError, match="not the published one: its SHA-256 is another"):
        downloads.fetch(source(server))
    assert [name for name in left(folder) if not name.endswith(".lock")] == []
    assert downloads.fetch(source(server)).read_bytes() == CONTENT


def test_a_file_in_the_data_folder_that_is_another_is_left_alone(
    server: Server, folder: Path
) -> None:
    (folder / "some").mkdir(parents=True)
    (folder / "some" / "file.bin").write_bytes(b"mine")
    with pytest.raises(ValueError, match="is not the published file: its SHA-256 is another"):
        downloads.fetch(source(server))
    assert (folder / "some" / "file.bin").read_bytes() == b"mine"


def test_what_is_missing_says_how_to_get_it(server: Server) -> None:
    with pytest.raises(ValueError, match=r"is not in the data folder .*; run `convexlib fetch`"):
        downloads.find(source(server))


def test_a_full_disk_is_noticed_before(
    server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = downloads.shutil.disk_usage(folder.parent)._replace(free=1000)
    monkeypatch.setattr(downloads.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(ValueError, match=r"needs 1.0 MB, but 0.0 MB are free .*; make room"):
        downloads.fetch(source(server))
    assert downloads.free_space(downloads.root()) == 1000


def test_how_much_there_is_to_load_is_known_beforehand(server: Server) -> None:
    assert downloads.size(source(server)) == len(CONTENT)
    downloads.fetch(source(server))
    assert downloads.size(source(server)) == 0


def archive(folder: Path, files: dict[str, bytes], password: str | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "images.zip"
    encryption = {"encryption": pyzipper.WZ_AES} if password else {}
    with pyzipper.AESZipFile(path, "w", compression=zipfile.ZIP_DEFLATED, **encryption) as file:
        if password:
            file.setpassword(password.encode())
        for name, content in files.items():
            file.writestr(name, content)
    return path


FILES = {"object_images/cat/cat_01b.jpg": b"cat" * 100, "object_images/dog/dog_01b.jpg": b"dog"}


SEVEN_ZIP = downloads._unpack_by_seven_zip


@pytest.fixture(params=["Python", "7-Zip"])
def unpacker(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "7-Zip":
        if not any(map(shutil.which, ("7zz", "7z", "7za"))):
            pytest.skip("7-Zip is not installed")
        monkeypatch.setattr(downloads, "_unpack_by_seven_zip", SEVEN_ZIP)
    return request.param


@pytest.mark.parametrize("password", [None, "secret"])
def test_a_folder_is_unpacked_and_nothing_else_left(
    folder: Path, unpacker: str, password: str | None
) -> None:
    path = archive(folder, FILES | {"read me.txt": b"thanks"}, password)
    downloads.unpack(path, folder / "object_images", password=password)
    for name, content in FILES.items():
        assert (folder / name).read_bytes() == content
    assert left(folder) == ["cat_01b.jpg", "dog_01b.jpg", "images.zip"]


def test_what_was_unpacked_when_python_was_interrupted_is_kept(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = archive(folder, FILES)
    with monkeypatch.context() as patch:
        patch.setattr(downloads.pyzipper.AESZipFile, "extractall", interrupted)
        with pytest.raises(KeyboardInterrupt):
            downloads.unpack(path, folder / "object_images")
    assert not (folder / "object_images").exists()
    (cat,) = folder.rglob("cat_01b.jpg")
    os.utime(cat, (1, 1))
    downloads.unpack(path, folder / "object_images")
    assert (folder / "object_images/cat/cat_01b.jpg").stat().st_mtime == 1
    assert (folder / "object_images/dog/dog_01b.jpg").read_bytes() == b"dog"


def interrupted(file: pyzipper.AESZipFile, folder: Path, members: Iterable) -> None:
    """Unpack one file, and half of the other."""
    whole, half = members
    file.extract(whole, folder)
    Path(file.extract(half, folder)).write_bytes(b"d")
    raise KeyboardInterrupt


ONE_FILE = """#!/bin/sh
echo "$@" > $0.said; cat > $0.heard
for word; do case "$word" in -o*) out="${word#-o}";; esac; done
mkdir -p "$out/object_images/cat"; head -c 300 /dev/zero > "$out/object_images/cat/cat_01b.jpg"
"""


@pytest.mark.skipif(os.name == "nt", reason="needs a shell")
@pytest.mark.parametrize("ends", ["exit 0", "exit 2", "kill -9 $$"])
def test_what_7_zip_fails_at_python_does(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ends: str
) -> None:
    monkeypatch.setattr(downloads, "_unpack_by_seven_zip", SEVEN_ZIP)
    program = tmp_path / "7zz"
    program.write_text(ONE_FILE + ends)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    path = archive(folder, FILES, "secret")
    downloads.unpack(path, folder / "object_images", password="secret")
    assert {name: (folder / name).read_bytes() for name in FILES} == FILES
    assert (tmp_path / "7zz.heard").read_text() == "secret\n"
    assert "secret" not in (tmp_path / "7zz.said").read_text()


@pytest.mark.parametrize(("password", "says"), [(None, "missing"), ("wrong", "wrong")])
def test_a_wrong_password_is_said_to_be_wrong(
    folder: Path, unpacker: str, password: str | None, says: str
) -> None:
    path = archive(folder, FILES, "secret")
    with pytest.raises(ValueError, match=f"cannot be opened: the password is {says}"):
        downloads.unpack(path, folder / "object_images", password=password)
    assert left(folder) == ["images.zip"]


@pytest.mark.parametrize(
    "name", ["../outside", "/outside", "a/../../outside", "..\\outside", "C:/x", "link"]
)
def test_no_path_leaves_the_folder(folder: Path, unpacker: str, name: str) -> None:
    path = archive(folder, {"out/inside": b"good"})
    with zipfile.ZipFile(path, "a") as file:
        member = zipfile.ZipInfo(name)
        member.external_attr = (stat.S_IFLNK if name == "link" else stat.S_IFREG) << 16
        file.writestr(member, b"../outside")
    with pytest.raises(ValueError, match="would be written outside of its folder; nothing"):
        downloads.unpack(path, folder / "out")
    assert left(folder) == ["images.zip"]


@pytest.mark.parametrize("name", [".", "./.", "", "a\0.jpg", "\0\0"])
def test_a_member_that_names_no_file_is_refused(folder: Path, name: str) -> None:
    written = "x" * len(name) if "\0" in name else name  # no library writes a NUL
    path = archive(folder, {"out/inside": b"good"})
    with zipfile.ZipFile(path, "a") as file:
        file.writestr(zipfile.ZipInfo(written), b"bad")
    path.write_bytes(path.read_bytes().replace(b"x" * len(name), name.encode()))
    with pytest.raises(ValueError, match=r"which names no file; nothing was unpacked$"):
        downloads.unpack(path, folder / "out")
    assert left(folder) == ["images.zip"]


@pytest.mark.parametrize("name", ["out//b.jpg", "out/./b.jpg", "out\\b.jpg", "./out/b.jpg"])
def test_a_member_lies_where_its_name_leads(folder: Path, unpacker: str, name: str) -> None:
    downloads.unpack(archive(folder, {name: b"good", ".//": b""}), folder / "out")
    assert (folder / "out" / "b.jpg").read_bytes() == b"good"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("out/b.jpg", "out//b.jpg"),
        ("out/b.jpg", "out\\b.jpg"),
        ("out/b.jpg", "OUT/B.jpg"),
        ("out/\u00e4.jpg", "out/a\u0308.jpg"),
        ("out", "out/b.jpg"),
        ("out/b.jpg", "out"),
        ("OUT", "out/b.jpg"),
    ],
)
def test_no_two_members_lie_in_one_place(folder: Path, one: str, other: str) -> None:
    path = archive(folder, {one: b"first", other: b"second"})
    with pytest.raises(ValueError, match=r"is there twice, to some disks; nothing was"):
        downloads.unpack(path, folder / "out")
    assert left(folder) == ["images.zip"]


def test_an_archive_without_the_folder_is_named(folder: Path) -> None:
    with pytest.raises(ValueError, match="does not hold the folder 'out'"):
        downloads.unpack(archive(folder, FILES), folder / "out")


def test_a_compression_that_nobody_knows_is_named(folder: Path) -> None:
    path = archive(folder, {"out/inside": b"good" * 99})
    content = bytearray(path.read_bytes())
    central = content.index(b"PK\x01\x02")
    content[central + 10], content[8] = 77, 77
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"images\.zip' is no whole zip archive \(.*compression"):
        downloads.unpack(path, folder / "out")


def test_a_folder_that_an_archive_cannot_be_unpacked_into_is_named(
    folder: Path, unpacker: str
) -> None:
    for name in ("out/inside", f"out/{'n' * 300}"):
        path = archive(folder, {name: b"good"})
        if len(name) < 255:
            (folder / "out.partial").write_text("a file in the way", encoding="utf-8")
        with pytest.raises(ValueError, match=r"cannot be unpacked into '.*out' \(.*\); make room"):
            downloads.unpack(path, folder / "out")
        (folder / "out.partial").unlink(missing_ok=True)


@pytest.mark.parametrize("end", [-30, 60])
def test_a_damaged_archive_is_named(folder: Path, unpacker: str, end: int) -> None:
    path = archive(folder, FILES)
    content = path.read_bytes()
    cat = content.index(b"cat_01b.jpg") + 12
    damaged = content[:-30] if end < 0 else content[:cat] + b"?????" + content[cat + 5 :]
    path.write_bytes(damaged)
    with pytest.raises(ValueError, match=r"is no whole zip archive .* fetch it again") as error:
        downloads.unpack(path, folder / "object_images")
    assert len(str(error.value).splitlines()) == 1
    assert left(folder) == ["images.zip"]


def test_a_folder_that_cannot_be_written_serves_what_is_in_it(server: Server, folder: Path) -> None:
    path = downloads.fetch(source(server))
    path.parent.chmod(0o555)
    try:
        assert downloads.fetch(source(server)) == path
    finally:
        path.parent.chmod(0o755)


def test_a_folder_that_cannot_be_written_is_named(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(ValueError, match=r"which cannot be written \(Read-only file system\); let"):
        downloads.fetch(source(server))
    assert server.paths == []


# By `zip -P secret`, of object_images/cat/cat_01b.jpg; 100 happens to fit its check byte.
OLD_ZIP = (
    "UEsDBBQACQAIAMtddl0AGwA3FQAAACwBAAAdAAAAb2JqZWN0X2ltYWdlcy9jYXQvY2F0XzAxYi5qcGfuk265J+kt"
    "l7nMBbx/x+W/1NJVPZtQSwcIABsANxUAAAAsAQAAUEsBAh4DFAAJAAgAy112XQAbADcVAAAALAEAAB0AAAAAAAAA"
    "AQAAAKSBAAAAAG9iamVjdF9pbWFnZXMvY2F0L2NhdF8wMWIuanBnUEsFBgAAAAABAAEASwAAAGAAAAAAAA=="
)
FITTING_PASSWORD = "100"


def test_a_wrong_password_is_found_though_its_first_bytes_fit(folder: Path) -> None:
    """One in 256 wrong passwords opens a file of the old encryption, and gives nonsense."""
    path = folder / "old.zip"
    folder.mkdir()
    path.write_bytes(base64.b64decode(OLD_ZIP))
    with pytest.raises(ValueError, match="the password is wrong, or the archive damaged"):
        downloads.unpack(path, folder / "object_images", password=FITTING_PASSWORD)
    assert left(folder) == ["old.zip"]
    downloads.unpack(path, folder / "object_images", password="secret")
    assert (folder / "object_images/cat/cat_01b.jpg").read_bytes() == b"cat" * 100

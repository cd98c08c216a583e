"""Downloads from a server that behaves badly, and archives that are bad."""

import base64
import errno
import hashlib
import os
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import get_args

import pytest
import pyzipper

from convexlib import downloads
from convexlib.downloads import Source
from convexlib.settings import Kind
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
    monkeypatch.setattr(downloads.time, "sleep", lambda seconds: None)
    monkeypatch.setattr(downloads, "_TIMEOUT", (1, 0.3))
    downloads._listing.cache_clear()
    return tmp_path / "data"


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
    assert server.ranges == ["", "bytes=393216-", "bytes=786432-"]


def test_a_later_run_takes_up_what_an_earlier_one_left(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "_ATTEMPTS", 1)
    server.plan = ["cut"]
    with pytest.raises(ValueError, match=r"broke off 1 times .* what was loaded is kept"):
        downloads.fetch(source(server))
    assert downloads.size(source(server)) == len(CONTENT) - 393216
    assert downloads.fetch(source(server)).read_bytes() == CONTENT
    assert server.ranges == ["", "", "bytes=393216-"]


@pytest.mark.parametrize("plan", [["cut", "no ranges"], ["cut", "changed"], ["cut", "untagged"]])
def test_a_file_that_changed_meanwhile_is_not_pieced_together(
    server: Server, plan: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if plan[1] == "untagged":
        server.tag = None
    server.plan = plan[:1] + [step for step in plan[1:] if step == "no ranges"]
    monkeypatch.setattr(downloads, "_ATTEMPTS", 1)
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
    with pytest.raises(ValueError, match=r"cannot be reached .*; check the network"):
        downloads.fetch(nowhere)


PROXIES = [
    ("http://[bad", "check the proxy that ALL_PROXY, HTTPS_PROXY or HTTP_PROXY names"),
    ("not a url", "check the proxy"),
    ("http://", "check the proxy"),
    ("ftp://localhost:1", "check the proxy"),
    ("http://me:secret@127.0.0.1:9", "check the proxy"),
    ("http://\u00fc..x:80", "check the proxy"),
    ("socks5h://127.0.0.1:9", "for the SOCKS proxy that ALL_PROXY or HTTPS_PROXY names, install"),
]


@pytest.mark.parametrize(("proxy", "remedy"), PROXIES)
def test_a_proxy_that_cannot_be_used_is_a_line_with_a_remedy(
    proxy: str, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if proxy.startswith("socks") and find_spec("socks"):
        pytest.skip("PySocks is installed")
    for name in ("NO_PROXY", "no_proxy", "HTTP_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    nowhere = Source("file", "https://convexlib.invalid/file", "Free.", "ekman1954")
    for reads in (downloads.fetch, downloads.size):
        with pytest.raises(ValueError, match=f"file cannot be reached .*; {remedy}") as error:
            reads(nowhere)
        assert len(str(error.value).splitlines()) == 1
        assert "secret" not in str(error.value)


def test_certificates_that_are_not_there_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere.pem")
    nowhere = Source("file", "https://convexlib.invalid/file", "Free.", "ekman1954")
    with pytest.raises(ValueError, match=r"cannot be reached \(.*/nowhere\.pem\); check"):
        downloads.fetch(nowhere)


def test_a_note_that_broke_off_lets_a_download_begin_anew(
    server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(downloads, "_ATTEMPTS", 1)
        server.plan = ["cut"]
        with pytest.raises(ValueError, match="broke off"):
            downloads.fetch(source(server))
    (folder / "some" / "file.bin.partial.json").write_text('{"ta', encoding="utf-8")
    assert downloads.fetch(source(server)).read_bytes() == CONTENT
    assert server.ranges == ["", ""]


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


@pytest.mark.parametrize("kind", get_args(Kind))
def test_every_file_from_the_network_counts_among_the_sources(kind: str) -> None:
    """Those are fetched, listed in the book, and what results depend on."""
    module = import_module(f"convexlib.stimuli.{kind}")
    named = [
        source
        for value in vars(module).values()
        for source in (value.values() if isinstance(value, dict) else [value])
        if isinstance(source, Source)
    ]
    assert set(named) == set(module.SOURCES)
    assert len({source.path for source in module.SOURCES}) == len(module.SOURCES)


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


@pytest.mark.parametrize("password", [None, "secret"])
def test_an_archive_is_unpacked_and_what_is_there_is_skipped(
    folder: Path, password: str | None
) -> None:
    path = archive(folder, FILES, password)
    downloads.unpack(path, folder / "out", password=password)
    times = {}
    for name, content in FILES.items():
        assert (folder / "out" / name).read_bytes() == content
        times[name] = (folder / "out" / name).stat().st_mtime_ns
    (folder / "out" / "object_images/dog/dog_01b.jpg").unlink()
    downloads.unpack(path, folder / "out", password=password)
    cat = folder / "out" / "object_images/cat/cat_01b.jpg"
    assert cat.stat().st_mtime_ns == times["object_images/cat/cat_01b.jpg"]
    assert (folder / "out" / "object_images/dog/dog_01b.jpg").read_bytes() == b"dog"


@pytest.mark.parametrize(("password", "says"), [(None, "missing"), ("wrong", "wrong")])
def test_a_wrong_password_is_said_to_be_wrong(
    folder: Path, password: str | None, says: str
) -> None:
    path = archive(folder, FILES, "secret")
    with pytest.raises(ValueError, match=f"cannot be opened: the password is {says}"):
        downloads.unpack(path, folder / "out", password=password)
    assert left(folder) == ["images.zip"]


@pytest.mark.parametrize(
    "name", ["../outside", "/outside", "a/../../outside", "..\\outside", "C:/x"]
)
def test_no_path_leaves_the_folder(folder: Path, name: str) -> None:
    path = archive(folder, {"inside": b"good", name: b"bad"})
    with pytest.raises(ValueError, match="would be written outside of its folder; nothing"):
        downloads.unpack(path, folder / "out")
    assert left(folder) == ["images.zip"]


@pytest.mark.parametrize("name", [".", "./.", ".//"])
def test_a_member_that_names_no_file_is_refused_or_passed_over(folder: Path, name: str) -> None:
    path = archive(folder, {"inside": b"good", name: b""})
    if name.endswith("/"):
        downloads.unpack(path, folder / "out")
        assert left(folder) == ["images.zip", "inside"]
        return
    with pytest.raises(ValueError, match=r"which names no file; nothing was unpacked$"):
        downloads.unpack(path, folder / "out")
    assert left(folder) == ["images.zip"]


def renamed(path: Path, old: bytes, new: bytes) -> Path:
    """An archive in which a member has a name that no library would write."""
    assert len(old) == len(new)
    path.write_bytes(path.read_bytes().replace(old, new))
    return path


@pytest.mark.parametrize("new", [b"\0" * 6, b"a\0.jpg"])
def test_a_name_with_a_nul_is_refused(folder: Path, new: bytes) -> None:
    path = renamed(archive(folder, {"abcdef": b"bad"}), b"abcdef", new[:6].ljust(6, b"x"))
    with pytest.raises(ValueError, match=r"which names no file; nothing was unpacked$"):
        downloads.unpack(path, folder / "out")


def test_a_name_of_no_letters_is_refused(folder: Path) -> None:
    with zipfile.ZipFile(folder.parent / "empty.zip", "w") as file:
        file.writestr(zipfile.ZipInfo(""), b"bad")
    with pytest.raises(ValueError, match=r"which names no file; nothing was unpacked$"):
        downloads.unpack(folder.parent / "empty.zip", folder / "out")


@pytest.mark.parametrize("name", ["a//b.jpg", "a/./b.jpg", "a\\b.jpg", "./a/b.jpg"])
def test_a_member_lies_where_its_name_leads(folder: Path, name: str) -> None:
    downloads.unpack(archive(folder, {name: b"good"}), folder / "out")
    assert (folder / "out" / "a" / "b.jpg").read_bytes() == b"good"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a/b.jpg", "a//b.jpg"),
        ("a/b.jpg", "a\\b.jpg"),
        ("a/b.jpg", "A/B.jpg"),
        ("a/\u00e4.jpg", "a/a\u0308.jpg"),
        ("a", "a/b.jpg"),
        ("a/b.jpg", "a"),
        ("A", "a/b.jpg"),
    ],
)
def test_no_two_members_lie_in_one_place(folder: Path, one: str, other: str) -> None:
    path = archive(folder, {one: b"first", other: b"second"})
    with pytest.raises(ValueError, match=r"cannot both be written on every disk; nothing was"):
        downloads.unpack(path, folder / "out")
    assert left(folder) == ["images.zip"]


def test_a_compression_that_nobody_knows_is_named(folder: Path) -> None:
    path = archive(folder, {"inside": b"good" * 99})
    content = bytearray(path.read_bytes())
    central = content.index(b"PK\x01\x02")
    content[central + 10], content[8] = 77, 77
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"images\.zip' is no whole zip archive \(.*compression"):
        downloads.unpack(path, folder / "out")


@pytest.mark.parametrize("names", [{"inside": b"good"}, {"n" * 300: b"good"}])
def test_a_folder_that_an_archive_cannot_be_unpacked_into_is_named(
    folder: Path, names: dict[str, bytes]
) -> None:
    path = archive(folder, names)
    if "inside" in names:
        (folder / "out").write_text("a file in the way", encoding="utf-8")
    with pytest.raises(ValueError, match=r"cannot be unpacked into '.*out' \(.*\); make room"):
        downloads.unpack(path, folder / "out")


def test_a_damaged_archive_is_named(folder: Path) -> None:
    path = archive(folder, FILES)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(ValueError, match=r"is no whole zip archive .* fetch it again"):
        downloads.unpack(path, folder / "out")


def test_a_folder_that_cannot_be_written_serves_what_is_in_it(server: Server, folder: Path) -> None:
    path = downloads.fetch(source(server))
    path.parent.chmod(0o555)
    try:
        assert downloads.fetch(source(server)) == path
    finally:
        path.parent.chmod(0o755)


OSF = Source("some/file.bin", "osf:ab12c/data/inner/file.bin", "Free.", "ekman1954")


@pytest.fixture
def osf(server: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    monkeypatch.setattr(downloads, "_OSF", server.osf)
    server.projects["ab12c"] = {
        "a.txt": b"a",
        "b.txt": b"b",
        "data/inner/c.txt": b"c",
        "data/inner/d d.txt": b"d",
        "data/inner/file.bin": CONTENT,
    }
    return server


def listings(server: Server) -> int:
    return sum(path.startswith("/v2/") for path in server.paths)


def test_a_file_on_osf_is_found_by_its_path_and_each_folder_listed_once(
    osf: Server, folder: Path
) -> None:
    assert downloads.size(OSF) == len(CONTENT)
    assert downloads.fetch(OSF).read_bytes() == CONTENT
    assert listings(osf) == 2 + 1 + 2  # pages of the project, of data and of inner
    other = Source("other", "osf:ab12c/data/inner/d d.txt", "Free.", "ekman1954")
    assert downloads.fetch(other).read_bytes() == b"d"
    assert listings(osf) == 5


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("data/inner/no.bin", "its folder '/data/inner' holds c.txt, d d.txt, file.bin"),
        ("data/inner", "its folder '/data' holds inner/"),
        ("a.txt/no.bin", "its folder '/' holds a.txt, b.txt, data/"),
    ],
)
def test_a_path_that_is_not_on_osf_is_named(osf: Server, path: str, says: str) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011
        downloads.fetch(Source("file", f"osf:ab12c/{path}", "Free.", "ekman1954"))
    assert str(error.value) == f"'{path}' is not in the OSF project ab12c: {says}"


def test_a_project_that_is_not_on_osf_is_named(osf: Server) -> None:
    with pytest.raises(ValueError, match=r"nodes/nowhe/.* answered 404"):
        downloads.size(Source("file", "osf:nowhe/file", "Free.", "ekman1954"))


@pytest.mark.parametrize("status", ["429", "503", "hang up", "wait"])
def test_osf_is_asked_again_when_it_is_busy(osf: Server, status: str) -> None:
    osf.plan = [status, status, "serve", status]
    assert downloads.fetch(OSF).read_bytes() == CONTENT


def test_an_answer_that_is_no_listing_is_named(osf: Server) -> None:
    for answer in (b"<html>", b"{}", b'{"data": [{}]}', b'{"data": null}', b"[]"):
        downloads._listing.cache_clear()
        osf.files["/broken/"] = answer
        with pytest.raises(ValueError, match="gave something else than a list of files"):
            downloads._listing(f"{osf.url}/broken/")


@pytest.mark.parametrize(
    ("says", "message"),
    [
        ({"size": 1, "extra": {}}, "not the published one: its size is another"),
        ({"extra": {"hashes": {"sha256": "0" * 64}}}, "not the published one: its SHA-256"),
    ],
)
def test_a_file_is_checked_by_what_osf_says_of_it(
    osf: Server, folder: Path, says: dict, message: str
) -> None:
    osf.says["file.bin"] = says
    with pytest.raises(ValueError, match=message):
        downloads.fetch(OSF)
    assert [name for name in left(folder) if not name.endswith(".lock")] == []


def test_the_checksum_that_we_know_counts_and_not_that_of_osf(osf: Server) -> None:
    osf.says["file.bin"] = {"extra": {"hashes": {"sha256": "0" * 64}}}
    assert downloads.fetch(replace(OSF, sha256=SHA256)).read_bytes() == CONTENT


def test_a_file_whose_size_and_checksum_osf_does_not_say_is_loaded(osf: Server) -> None:
    osf.says["file.bin"] = {"size": None, "extra": None}
    assert downloads.size(OSF) == len(CONTENT)
    assert downloads.fetch(OSF).read_bytes() == CONTENT


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


def test_a_wrong_password_is_found_though_its_first_bytes_fit(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One in 256 wrong passwords opens a file of the old encryption, and gives nonsense."""
    path = folder / "old.zip"
    folder.mkdir()
    path.write_bytes(base64.b64decode(OLD_ZIP))
    with pytest.raises(ValueError, match="the password is wrong, or the archive damaged"):
        downloads.unpack(path, folder / "out", password=FITTING_PASSWORD)
    assert left(folder) == ["old.zip"]
    downloads.unpack(path, folder / "out", password="secret")
    assert (folder / "out/object_images/cat/cat_01b.jpg").read_bytes() == b"cat" * 100

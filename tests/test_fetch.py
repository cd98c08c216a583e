"""`convexlib fetch` of a miniature of THINGS from a server on this machine."""

import io
import os
import re
import shutil
import socket
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
import pyzipper
from typer.testing import CliRunner, Result

from convexlib import cli, study
from convexlib.data import downloads, images92, letters, things
from convexlib.data.downloads import Source
from tests.conftest import data
from tests.servers import Server, serving
from tools import public_data

REAL_DATA = os.environ.get("CONVEXLIB_DATA", "no-data")
IMAGES = {
    "object_images/aardvark/aardvark_01b.jpg": b"aardvark" * 1000,
    "object_images/abacus/abacus_01b.jpg": b"abacus" * 1000,
    "object_images/abacus/abacus_02s.jpg": b"abacus again" * 1000,
}
PASSWORD = "secret"


def archive(files: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    with pyzipper.AESZipFile(content, "w", encryption=pyzipper.WZ_AES) as file:
        file.setpassword(PASSWORD.encode())
        for name, data in files.items():
            file.writestr(name, data)
    return content.getvalue()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CONVEXLIB_DATA", str(tmp_path / "data"))
    monkeypatch.setenv(things.PASSWORD, PASSWORD)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    return tmp_path / "data"


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        yield server


@pytest.fixture
def sources(server: Server, monkeypatch: pytest.MonkeyPatch) -> tuple[Source, ...]:
    """All of THINGS, each file with its own path as content."""
    sources = tuple(
        server.put(source, archive(IMAGES) if source.unpack else source.path.encode())
        for source in things.SOURCES
    )
    monkeypatch.setattr(study, "sources", lambda name, **_: (sources, ()))
    return sources


def fetch() -> Result:
    return CliRunner().invoke(cli.app, ["fetch", "things"])


def fails() -> str:
    error = fetch().exception
    assert isinstance(error, ValueError)
    assert "\n" not in str(error)
    return str(error)


def images(folder: Path) -> dict[str, bytes]:
    found = folder / "things"
    return {
        str(path.relative_to(found)): path.read_bytes()
        for path in sorted(found.rglob("object_images*/**/*"))
        if path.is_file()
    }


def test_all_of_things_is_loaded_unpacked_and_then_there(
    server: Server, sources: tuple[Source, ...], folder: Path
) -> None:
    result = fetch()
    assert result.exit_code == 0, result.output
    assert images(folder) == IMAGES
    for source in sources:
        assert (folder / source.path).is_file()
        assert f"{source.path} (0.0 MB). {source.licence} Cite {source.cite}." in result.output
    assert "MB to load;" in result.output
    assert "images_THINGS.zip is unpacked into things/object_images; it may be" in result.output
    assert [path.name for path in folder.rglob("*.partial*")] == []
    asked = len(server.paths)
    again = fetch()
    assert again.exit_code == 0
    assert again.output.count("(is there)") == len(sources)
    assert "0.0 MB to load;" in again.output
    assert len(server.paths) == asked


def test_once_fetched_no_network_is_needed_nor_the_password_nor_the_archive(
    sources: tuple[Source, ...], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch()
    (folder / things.IMAGES.path).unlink()
    monkeypatch.delenv(things.PASSWORD)
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("asks the network"))
    result = fetch()
    assert result.exit_code == 0
    assert "things/object_images (is there)" in result.output
    assert downloads.find(things.IMAGES) == folder / "things" / "object_images"


@pytest.mark.parametrize("password", [None, ""])
def test_a_missing_password_is_said_before_anything_is_asked(
    server: Server,
    sources: tuple[Source, ...],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    password: str | None,
) -> None:
    monkeypatch.delenv(things.PASSWORD)
    if password is not None:
        monkeypatch.setenv(things.PASSWORD, password)
    says = fails()
    assert "is encrypted; set CONVEXLIB_THINGS_PASSWORD to its password" in says
    assert "read password_images.txt in the OSF project jum2f" in says
    assert server.paths == []
    assert not folder.exists()


def test_a_wrong_password_unpacks_nothing_and_the_right_one_then_needs_no_download(
    server: Server, sources: tuple[Source, ...], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(things.PASSWORD, "wrong")
    assert "cannot be opened: the password is wrong" in fails()
    assert images(folder) == {}
    asked = len(server.paths)
    monkeypatch.setenv(things.PASSWORD, PASSWORD)
    downloads.fetch(sources[0])
    assert images(folder) == IMAGES
    assert len(server.paths) == asked


def test_a_disk_that_is_too_small_is_said_before_anything_is_loaded(
    server: Server, sources: tuple[Source, ...], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    n_bytes = downloads.size(sources[0])
    assert n_bytes
    usage = shutil.disk_usage(folder.parent)._replace(free=2 * n_bytes)  # but 10% too little
    monkeypatch.setattr(downloads.shutil, "disk_usage", lambda path: usage)
    assert "what is to load and unpack needs 0.1 MB, but 0.1 MB are free" in fails()
    assert not folder.exists()


def test_unpacking_that_broke_off_is_taken_up(
    sources: tuple[Source, ...], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_off(file: pyzipper.AESZipFile, folder: Path, members: Iterable[object]) -> None:
        file.extract(next(iter(members)), folder)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(downloads, "_unpack_by_seven_zip", lambda *_: None)
        patch.setattr(pyzipper.AESZipFile, "extractall", break_off)
        with pytest.raises(KeyboardInterrupt):
            downloads.fetch(sources[0])
    assert not (folder / "things" / "object_images").exists()
    with pytest.raises(ValueError, match="'things/object_images' is not in the data folder"):
        downloads.find(sources[0])
    downloads.fetch(sources[0])
    assert images(folder) == IMAGES


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"object_images/../../outside.jpg": b"bad"}, "would be written outside of its folder"),
        ({"images/cat.jpg": b"cat"}, "does not hold the folder 'object_images'"),
    ],
)
def test_an_archive_that_is_not_as_it_should_be_is_named(
    server: Server, sources: tuple[Source, ...], folder: Path, files: dict[str, bytes], says: str
) -> None:
    server.put(things.IMAGES, archive(files))
    with pytest.raises(ValueError, match=says):
        downloads.fetch(sources[0])
    assert not (folder / "things" / "object_images").exists()
    assert not list(folder.parent.rglob("outside.jpg"))


def test_a_server_that_behaves_badly_is_borne_with(
    server: Server, sources: tuple[Source, ...], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "_TIMEOUT", (1, 0.3))
    server.plan = ["429", "serve", "503", "hang up", "serve", "wait", "serve", "500"]
    server.plan += ["serve", "429"] * 20
    result = fetch()
    assert result.exit_code == 0, result.output
    assert images(folder) == IMAGES


def test_the_files_of_the_real_data_folder_serve_as_they_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CONVEXLIB_DATA", REAL_DATA)
    folder = data("things").parent
    public = [source for source in public_data.FILES if (folder / source.path).is_file()]
    assert len(public) == 7
    downloads.fetch_all(public, print)


def test_the_book_lists_each_file_its_terms_and_what_to_cite() -> None:
    page, references = (
        (study.ROOT / "book" / name).read_text() for name in ("data.md", "references.bib")
    )
    entries = dict(re.findall(r"^(`.*`)\n: (.*)$", page, re.MULTILINE))
    listed = {name: text for names, text in entries.items() for name in names.split(", ")}
    for source in (*images92.Stimuli.SOURCES, *letters.Stimuli.SOURCES, *things.Stimuli.SOURCES):
        text = listed.pop(f"`{source.path}`")
        assert source.licence in text
        assert source.licence.endswith(".")
        assert f"{{cite:t}}`{source.cite}`" in text
        assert f"{{{source.cite}," in references
    assert not listed

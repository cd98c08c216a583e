"""Models from the Hugging Face hub, which is a server on this machine here."""

import errno
import hashlib
import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml
from huggingface_hub import close_session, constants

from convexlib.models import checkpoints
from convexlib.store import ROOT
from tests.conftest import BIN, save_small_vit

COMMIT, LATER = 40 * "a", 40 * "b"
NAME = "someone/vit"
WANTED = ("config.json", "preprocessor_config.json", "model.safetensors")

# Names whose files the hub does not give, with the status and code by which it says so.
WITHHELD = {
    "someone/gated": (401, "GatedRepo", "Access to model someone/gated is restricted."),
    "someone/asked": (403, "GatedRepo", "Your request is awaiting a review."),
    "someone/private": (401, "RepoNotFound", "Repository not found"),
    "someone/disabled": (403, "DisabledRepo", "Access to this resource is disabled."),
    "someone/broken": (500, "", "Internal error"),
}


class Hub(ThreadingHTTPServer):
    """Serves one model at a commit that may change, and lists the files that it gave."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files = {path.name: path.read_bytes() for path in folder.iterdir()}
        self.files["weights.bin"] = b"a pickle that nobody wants"
        self.commit = COMMIT
        self.given: list[str] = []


class _Handler(BaseHTTPRequestHandler):
    server: Hub

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        path, files = self.path.partition("?")[0], self.server.files
        for name, (status, code, said) in WITHHELD.items():
            if path.startswith((f"/{name}/", f"/api/models/{name}")):
                return self._refuse(status, code, said)
        if path.startswith(f"/api/models/{NAME}/revision/") and not path.endswith(
            ("main", "v1", self.server.commit)
        ):
            return self._refuse(404, "RevisionNotFound", "Invalid rev id")
        if path.startswith(f"/api/models/{NAME}/tree/"):
            tree = [
                {"type": "file", "path": name, "size": len(content), "oid": 40 * "b"}
                for name, content in files.items()
            ]
            self._send(json.dumps(tree).encode(), "application/json", body)
        elif path.startswith(f"/api/models/{NAME}"):
            siblings = [{"rfilename": name, "size": len(files[name])} for name in files]
            about = {"id": NAME, "sha": self.server.commit, "siblings": siblings}
            self._send(json.dumps(about).encode(), "application/json", body)
        elif path.startswith(f"/{NAME}/resolve/") and (name := path.split("/")[-1]) in files:
            if body:
                self.server.given.append(name)
            self._send(files[name], "application/octet-stream", body)
        else:
            self._refuse(404, "RepoNotFound", "Repository not found")

    def _refuse(self, status: int, code: str, said: str) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("X-Error-Message", said)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send(self, content: bytes, kind: str, body: bool) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("X-Repo-Commit", self.server.commit)
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.end_headers()
        if body:
            self.wfile.write(content)


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    hub = Hub(save_small_vit(tmp_path / "small"))
    threading.Thread(target=hub.serve_forever, args=(0.01,), daemon=True).start()
    yield hub
    hub.shutdown()
    hub.server_close()


def fetch(study: Path, hub: Hub, home: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {
        "HF_ENDPOINT": f"http://127.0.0.1:{hub.server_port}",
        "HF_HOME": str(home),
        "CONVEXLIB_DATA": str(home / "data"),
    }
    return subprocess.run(
        [BIN / "convexlib", "fetch", str(study)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )


def located(
    *names: str, home: Path, hub: Hub | None = None, offline: bool = False, **proxies: str
) -> dict[str, tuple[int | None, str, str | None]]:
    """For each name the bytes to load, the folder or what is wrong, and the commit."""
    endpoint = f"http://127.0.0.1:{hub.server_port if hub else 1}"
    files = endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    with pytest.MonkeyPatch.context() as patched:
        for name in [name for name in os.environ if "proxy" in name.lower()]:
            patched.delenv(name)
        for name, value in proxies.items():
            patched.setenv(name, value)
        patched.setattr(constants, "ENDPOINT", endpoint)
        patched.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", files)
        patched.setattr(constants, "HF_HUB_CACHE", str(home / "hub"))
        patched.setattr(constants, "HF_HUB_OFFLINE", offline)
        close_session()
        try:
            return {name: (checkpoints.size(name), *_located(name)) for name in names}
        finally:
            close_session()


def _located(name: str) -> tuple[str, str | None]:
    try:
        folder = checkpoints.locate(name)
    except ValueError as error:
        return str(error), None
    return str(folder), checkpoints.revision(folder)


def a_study(folder: Path, source: str) -> Path:
    (folder / "images").mkdir()
    for number in range(6):
        category = folder / "images" / ("even" if number % 2 == 0 else "odd")
        category.mkdir(exist_ok=True)
        (category / f"image {number}.png").write_bytes(b"not read here")
    content = {
        "title": "One model of the hub",
        "stimuli": {"kind": "folder", "images": "images", "triplets": "none.txt"},
        "models": [{"source": source, "family": "vit", "size": "base", "variant": "pretrained"}],
        "measures": {"n_neighbors": 1, "transform": {"lmbda": 0.1, "n_folds": 2}},
    }
    (folder / "study.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    return folder / "study.yaml"


@pytest.mark.slow
def test_a_study_fetches_its_model_once_and_says_its_size_before(hub: Hub, tmp_path: Path) -> None:
    """By the command, in a process that knows the hub by its environment."""
    study = a_study(tmp_path, NAME)
    done = fetch(study, hub, tmp_path / "home")
    assert done.returncode == 0, done.stderr
    n_bytes = sum(len(hub.files[name]) for name in WANTED)
    assert done.stdout.startswith(f"{NAME} ({n_bytes / 1e6:.1f} MB)")
    assert sorted(hub.given) == sorted(WANTED)
    again = fetch(study, hub, tmp_path / "home")
    assert f"{NAME} (is there)" in again.stdout
    assert sorted(hub.given) == sorted(WANTED)


@pytest.mark.slow
def test_a_study_of_a_model_that_the_hub_does_not_have_is_one_line(
    hub: Hub, tmp_path: Path
) -> None:
    done = fetch(a_study(tmp_path, "someone/else"), hub, tmp_path / "home")
    assert done.returncode != 0
    assert "someone/else (size unknown)" in done.stdout
    assert "model 'someone/else' is no folder, and cannot be loaded from the" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_model_keeps_the_revision_that_was_fetched_first(hub: Hub, tmp_path: Path) -> None:
    home = tmp_path / "home"
    n_bytes, first, revision = located(NAME, home=home, hub=hub)[NAME]
    assert sorted(hub.given) == sorted(WANTED)  # and no pickle
    assert n_bytes == sum(len(hub.files[name]) for name in WANTED)
    assert revision == COMMIT
    hub.commit, hub.given = LATER, []
    pinned = f"{NAME}@{COMMIT}"
    again = located(NAME, pinned, home=home, hub=hub)
    assert again == {NAME: (0, first, COMMIT), pinned: (0, first, COMMIT)}
    assert hub.given == []
    newest, gone = f"{NAME}@main", f"{NAME}@no-such-branch"
    named = located(newest, gone, home=home, hub=hub)
    assert named[newest][2] == LATER
    assert "it has no such revision; see" in named[gone][1]
    # Without a network, all that was loaded is there.
    offline = located(NAME, newest, pinned, home=home, hub=hub, offline=True)
    assert [commit for _, _, commit in offline.values()] == [LATER, LATER, COMMIT]


def test_a_model_that_was_cached_by_half_is_loaded_whole(hub: Hub, tmp_path: Path) -> None:
    _, folder, _ = located(NAME, home=tmp_path, hub=hub)[NAME]
    hub.given = []
    weights = Path(folder, "model.safetensors")
    weights.resolve().unlink()
    weights.unlink()
    n_bytes, again, _ = located(NAME, home=tmp_path, hub=hub)[NAME]
    assert again == folder
    assert hub.given == ["model.safetensors"]
    assert n_bytes == len(hub.files["model.safetensors"])


def test_without_a_network_a_name_is_looked_for_in_the_local_cache(
    hub: Hub, tmp_path: Path
) -> None:
    located(NAME, home=tmp_path, hub=hub)
    half = tmp_path / "hub" / "models--someone--half"
    shutil.copytree(tmp_path / "hub" / "models--someone--vit", half, symlinks=True)
    (half / "snapshots" / COMMIT / "model.safetensors").unlink()
    said = located(NAME, "someone/half", "nobody/nothing", home=tmp_path, offline=True)
    assert said[NAME][2] == COMMIT
    for name in ("someone/half", "nobody/nothing"):
        assert said[name][1].endswith(
            f"or unset HF_HUB_OFFLINE to load it once into {tmp_path / 'hub'}"
        )


def test_what_the_hub_withholds_is_refused_with_what_to_do(hub: Hub, tmp_path: Path) -> None:
    remedies = {
        "someone/gated": [f":{hub.server_port}/someone/gated", "hf auth login", "HF_TOKEN"],
        "someone/asked": ["access to it must be asked for on http", "hf auth login"],
        "someone/private": ["check the spelling; if the model is private, log in with"],
        "someone/disabled": ["access to it was disabled; see http"],
        "someone/broken": ["try again later; if the hub refuses access, log in with"],
    }
    for name, (n_bytes, said, _) in located(*remedies, home=tmp_path, hub=hub).items():
        assert n_bytes is None
        assert "\n" not in said
        assert said.startswith(f"model {name!r} is no folder, and cannot be loaded from the ")
        assert [part for part in remedies[name] if part not in said] == []
        assert WITHHELD[name][2] in said or name == "someone/broken"


@pytest.mark.parametrize(
    ("environment", "reason", "remedy"),
    [
        ({}, "Connection refused", "check the spelling, the path, the network, and the proxies"),
        ({"HTTPS_PROXY": "socks5h://127.0.0.1:1"}, "SOCKS proxy", "pip install socksio`"),
        ({"ALL_PROXY": "http://[:::"}, "port", "the proxies if HTTPS_PROXY or ALL_PROXY name any"),
    ],
)
def test_a_hub_that_cannot_be_reached_is_one_line(
    environment: dict[str, str], reason: str, remedy: str, tmp_path: Path
) -> None:
    n_bytes, said, _ = located(NAME, home=tmp_path, **environment)[NAME]
    assert n_bytes is None
    assert "\n" not in said
    assert said.startswith(f"model {NAME!r} is no folder, and cannot be loaded from the Hugging")
    assert reason in said
    assert remedy in said


def test_a_cache_that_cannot_be_written_is_named(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    _, said, _ = located(NAME, home=tmp_path / "file", hub=hub)[NAME]
    assert f"make room in {tmp_path / 'file' / 'hub'} and let it be read and written, or" in said


def test_a_full_disk_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk cannot be filled for a test, so that it is full is said in its place."""

    def full(*_: object, **__: object) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("convexlib.models.hub._snapshot", full)
    with pytest.raises(ValueError, match=r"No space left on device\); make room in .*HF_HOME"):
        checkpoints.locate(NAME)

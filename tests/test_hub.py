"""Models from the Hugging Face hub, which is a server on this machine here."""

import errno
import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from convexlib import checkpoints
from convexlib.store import ROOT
from tests.conftest import BIN, save_small_vit

COMMIT, LATER = 40 * "a", 40 * "b"
NAME = "someone/vit"

# Names whose files the hub does not give, with the status and code by which it says so.
WITHHELD = {
    "someone/gated": (401, "GatedRepo", "Access to model someone/gated is restricted."),
    "someone/asked": (403, "GatedRepo", "Your request is awaiting a review."),
    "someone/private": (401, "RepoNotFound", "Repository not found"),
    "someone/disabled": (403, "DisabledRepo", "Access to this resource is disabled."),
    "someone/broken": (500, "", "Internal error"),
}

# What `locate` and `size` say of each name, in a process that knows the hub by its environment.
LOCATE = """
import json, sys
from convexlib.checkpoints import locate, revision, size

answers = {}
for name in sys.argv[1:]:
    n_bytes = size(name)
    try:
        folder = locate(name)
        answers[name] = [n_bytes, str(folder), revision(folder)]
    except ValueError as error:
        answers[name] = [n_bytes, str(error), None]
print(json.dumps(answers))
"""


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
    *names: str, home: Path, hub: Hub | None = None, **environment: str
) -> dict[str, tuple[int | None, str, str | None]]:
    """For each name the bytes to load, the folder or what is wrong, and the commit."""
    known = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    known |= {"HF_HOME": str(home), "HF_HUB_OFFLINE": "0"}
    known |= {"HF_ENDPOINT": f"http://127.0.0.1:{hub.server_port if hub else 1}"}
    done = subprocess.run(
        [sys.executable, "-c", LOCATE, *names],
        env=known | environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


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
        "measures": {"n_neighbors": 1, "transform": {"strength": 0.1, "n_folds": 2}},
    }
    (folder / "study.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    return folder / "study.yaml"


def test_a_model_is_loaded_from_the_hub_once_and_its_size_is_said_before(
    hub: Hub, tmp_path: Path
) -> None:
    study = a_study(tmp_path, NAME)
    done = fetch(study, hub, tmp_path / "home")
    assert done.returncode == 0, done.stderr
    wanted = ("config.json", "preprocessor_config.json", "model.safetensors")
    n_bytes = sum(len(hub.files[name]) for name in wanted)
    assert done.stdout.startswith(f"{NAME} ({n_bytes / 1e6:.1f} MB)")
    assert sorted(hub.given) == sorted(wanted)  # and no pickle
    again = fetch(study, hub, tmp_path / "home")
    assert f"{NAME} (is there)" in again.stdout
    assert sorted(hub.given) == sorted(wanted)


def test_a_name_that_the_hub_does_not_have_is_one_line(hub: Hub, tmp_path: Path) -> None:
    done = fetch(a_study(tmp_path, "someone/else"), hub, tmp_path / "home")
    assert done.returncode != 0
    assert "someone/else (size unknown)" in done.stdout
    assert "model 'someone/else' is neither a folder nor a model" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_model_keeps_the_revision_that_was_fetched_first(hub: Hub, tmp_path: Path) -> None:
    home = tmp_path / "home"
    n_bytes, first, revision = located(NAME, home=home, hub=hub)[NAME]
    assert n_bytes > 0
    assert revision == COMMIT
    hub.commit, hub.given = LATER, []
    pinned = f"{NAME}@{COMMIT}"
    again = located(NAME, pinned, home=home, hub=hub)
    assert again == {NAME: [0, first, COMMIT], pinned: [0, first, COMMIT]}
    assert hub.given == []
    newest, gone = f"{NAME}@main", f"{NAME}@no-such-branch"
    named = located(newest, gone, home=home, hub=hub)
    assert named[newest][2] == LATER
    assert f"model {gone!r} is on the Hugging Face hub, but cannot be loaded" in named[gone][1]
    assert "it has no such revision; see" in named[gone][1]
    # Without a network, all that was loaded is there.
    offline = located(NAME, newest, pinned, home=home, hub=hub, HF_HUB_OFFLINE="1")
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


def test_what_the_hub_withholds_is_refused_with_what_to_do(hub: Hub, tmp_path: Path) -> None:
    remedies = {
        "someone/gated": [f":{hub.server_port}/someone/gated", "hf auth login", "HF_TOKEN"],
        "someone/asked": ["access to it must be asked for on http", "hf auth login"],
        "someone/private": ["check the spelling or the path; if the model is private, log in"],
        "someone/disabled": ["access to it was disabled; see http"],
        "someone/broken": ["the hub does not answer as it should; try again later"],
    }
    for name, (n_bytes, said, _) in located(*remedies, home=tmp_path, hub=hub).items():
        assert n_bytes is None
        assert len(said.splitlines()) == 1
        assert said.startswith(f"model {name!r} is ")
        assert [part for part in remedies[name] if part not in said] == []
        assert WITHHELD[name][2] in said or name == "someone/broken"


@pytest.mark.parametrize(
    ("environment", "reason", "remedy"),
    [
        ({}, "Connection refused", "check the spelling, the path or the network"),
        ({"HTTPS_PROXY": "socks5h://127.0.0.1:1"}, "SOCKS proxy", "pip install socksio`"),
        ({"ALL_PROXY": "http://[:::"}, "port", "the proxies that HTTPS_PROXY and ALL_PROXY name"),
    ],
)
def test_a_hub_that_cannot_be_reached_is_one_line(
    environment: dict[str, str], reason: str, remedy: str, tmp_path: Path
) -> None:
    n_bytes, said, _ = located(NAME, home=tmp_path, **environment)[NAME]
    assert n_bytes is None
    assert len(said.splitlines()) == 1
    assert said.startswith(f"model {NAME!r} is neither a folder nor a model on the Hugging Face")
    assert reason in said
    assert remedy in said


def test_a_cache_that_cannot_be_written_is_named(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    _, said, _ = located(NAME, home=tmp_path / "file", hub=hub)[NAME]
    assert f"let {tmp_path / 'file' / 'hub'} be read and written, or point HF_HOME" in said


def test_a_full_disk_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk cannot be filled for a test, so that it is full is said in its place."""

    def full(*_: object, **__: object) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoints, "snapshot_download", full)
    with pytest.raises(ValueError, match=r"the disk is full: make room in .*, or point HF_HOME"):
        checkpoints.locate(NAME)

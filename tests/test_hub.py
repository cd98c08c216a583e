"""Models from the Hugging Face hub, which is a server on this machine here."""

import hashlib
import json
import os
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from convexlib.store import ROOT
from tests.conftest import BIN, save_small_vit

COMMIT = 40 * "a"
NAME = "someone/vit"


class Hub(ThreadingHTTPServer):
    """Serves one model, and counts the bytes of what it gave."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files = {path.name: path.read_bytes() for path in folder.iterdir()}
        self.files["weights.bin"] = b"a pickle that nobody wants"
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
        if path.startswith(f"/api/models/{NAME}/tree/"):
            tree = [
                {"type": "file", "path": name, "size": len(content), "oid": 40 * "b"}
                for name, content in files.items()
            ]
            self._send(json.dumps(tree).encode(), "application/json", body)
        elif path.startswith(f"/api/models/{NAME}"):
            siblings = [{"rfilename": name, "size": len(files[name])} for name in files]
            about = {"id": NAME, "sha": COMMIT, "siblings": siblings}
            self._send(json.dumps(about).encode(), "application/json", body)
        elif path.startswith(f"/{NAME}/resolve/") and (name := path.split("/")[-1]) in files:
            if body:
                self.server.given.append(name)
            self._send(files[name], "application/octet-stream", body)
        else:
            self.send_response(404)
            self.send_header("X-Error-Code", "RepoNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()

    def _send(self, content: bytes, kind: str, body: bool) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("X-Repo-Commit", COMMIT)
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
    (folder / "study.yaml").write_text(yaml.safe_dump(content))
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

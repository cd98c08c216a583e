"""A server on this machine that stands in for the network, and behaves badly when asked to."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from convexlib.data.downloads import Source


class Server(ThreadingHTTPServer):
    """Serves files by address, and projects as the Open Science Framework does.

    Attributes
    ----------
    files : dict
        Content by path, such as ``/file``.
    projects : dict
        Content by path in each project.
    says : dict
        What the listings of projects say is the SHA-256 of a file, by its name, for the true one.
    plan : list of str
        What is done to the next requests, in their order: "serve", a status, "hang up", "wait",
        "cut" after 400 kB, "wrong" content, "no ranges".
    paths, ranges : list of str
        What was asked for.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.projects: dict[str, dict[str, bytes]] = {}
        self.says: dict[str, str | None] = {}
        self.plan: list[str] = []
        self.tag: str | None = '"first"'
        self.retry_after = "0"
        self.paths: list[str] = []
        self.ranges: list[str] = []
        self.over = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def osf(self) -> str:
        """To be put in place of ``downloads._OSF``."""
        return f"{self.url}/v2"

    def put(self, source: Source, content: bytes) -> Source:
        """Serve content for a source, and give the source by which it is found here."""
        if source.url.startswith("osf:"):
            project, path = source.url.removeprefix("osf:").split("/", maxsplit=1)
            self.projects.setdefault(project, {})[path] = content
            url = source.url
        else:
            path = "/" + source.url.split("://")[1]
            self.files[path] = content
            url = self.url + path
        sha256 = hashlib.sha256(content).hexdigest() if source.sha256 else None
        return replace(source, url=url, sha256=sha256)


@contextmanager
def serving() -> Iterator[Server]:
    """A server that runs meanwhile."""
    server = Server()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.over.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *_: object) -> None:
        pass

    def handle(self) -> None:
        try:
            super().handle()
        except ConnectionError:  # who asked has left
            self.close_connection = True

    def do_GET(self) -> None:
        server = self.server
        wanted = self.headers.get("Range", "")
        server.paths.append(self.path)
        server.ranges.append(wanted)
        todo = server.plan.pop(0) if server.plan else "serve"
        if todo == "wait":
            server.over.wait(5)
        if todo in ("wait", "hang up"):
            self.close_connection = True
            return
        content = self._content()
        if todo.isdigit() or content is None:
            self._empty(int(todo) if todo.isdigit() else 404)
            return
        content = content if todo != "wrong" else content[::-1]
        begin = 0
        if wanted and self.headers.get("If-Range") == server.tag and todo != "no ranges":
            begin = int(wanted.removeprefix("bytes=").removesuffix("-"))
        if begin >= len(content) > 0:
            self._empty(416)
            return
        self.send_response(206 if begin else 200)
        self.send_header("Content-Length", str(len(content) - begin))
        if server.tag:
            self.send_header("ETag", server.tag)
        self.end_headers()
        self.wfile.write(content[begin : begin + 400_000 if todo == "cut" else None])

    def _empty(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Retry-After", self.server.retry_after)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _content(self) -> bytes | None:
        parts = urlsplit(self.path)
        match unquote(parts.path).strip("/").split("/"):
            case ["v2", "nodes", project, "files", "osfstorage", *folder]:
                return self._listing(project, "/".join(folder))
            case ["download", project, *path]:
                return self.server.projects.get(project, {}).get("/".join(path))
        return self.server.files.get(parts.path)

    def _listing(self, project: str, folder: str) -> bytes | None:
        if project not in self.server.projects:
            return None
        entries = {}
        start = f"{folder}/" if folder else ""
        here = f"{self.server.osf}/nodes/{project}/files/osfstorage/"
        for path, content in self.server.projects[project].items():
            if not path.startswith(start):
                continue
            name, *inner = path.removeprefix(start).split("/")
            about: dict[str, Any] = {"name": name, "kind": "folder" if inner else "file"}
            if inner:
                files = {"links": {"related": {"href": f"{here}{quote(start + name)}/"}}}
                entries[name] = {"attributes": about, "relationships": {"files": files}}
                continue
            sha256 = self.server.says.get(name, hashlib.sha256(content).hexdigest())
            about["extra"] = {"hashes": {"sha256": sha256}}
            link = f"{self.server.url}/download/{project}/{quote(path)}"
            entries[name] = {"attributes": about, "links": {"download": link}}
        return json.dumps({"data": list(entries.values())}).encode()

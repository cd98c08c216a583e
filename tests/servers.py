"""Servers on this machine: of a folder, and one that stands in for the network and misbehaves."""

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

from convexlib.data.downloads import Source


class _Silent(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address at which a folder is served, as a site."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Silent, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


class Server(ThreadingHTTPServer):
    """Serves files by address.

    Attributes
    ----------
    files : dict
        Content by path, such as ``/file``.
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
        self.plan: list[str] = []
        self.tag: str | None = '"first"'
        self.retry_after = "0"
        self.paths: list[str] = []
        self.ranges: list[str] = []
        self.over = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def put(self, source: Source, content: bytes) -> Source:
        """Serve content for a source, and give the source by which it is found here."""
        path = "/" + source.url.split("://")[1]
        self.files[path] = content
        sha256 = hashlib.sha256(content).hexdigest() if source.sha256 else None
        return replace(source, url=self.url + path, sha256=sha256)


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
        content = server.files.get(urlsplit(self.path).path)
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

"""Hugging Face's hub on loopback, as far as downloads ask for it.

Large files are elsewhere, as on the real one: a redirect tells their SHA-256 and leads to another host.
"""

from __future__ import annotations

import hashlib
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Mapping

    from voicenode.models import Model

_LARGE = (".pth", ".bin", ".safetensors")
_STORAGE = "/storage"


@dataclass(frozen=True)
class Request:
    """One request as it came."""

    method: str
    path: str
    range: str | None
    authorization: str | None


@dataclass
class Hub:
    """The server, running inside `with`.

    Every fault holds until a test takes it back, but for `cuts` and `refusals`, which are used up one by one.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    """Path of the address -> content."""
    requests: list[Request] = field(default_factory=list)
    cuts: list[int] = field(default_factory=list)
    """After how many bytes each of the next large answers breaks off."""
    refusals: list[int] = field(default_factory=list)
    """The status codes of the next answers from the storage."""
    sizes: dict[str, int] = field(default_factory=dict)
    """Sizes that are told in place of the true ones."""
    damaged: set[str] = field(default_factory=set)
    """Paths whose content arrives with its first byte changed."""
    ranges: bool = True
    """Whether it can begin in the middle of a file."""
    checksums: bool = True
    """Whether it tells them."""
    hold: int | None = None
    """After how many bytes a large answer waits for `released`."""
    held: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        handler = type("Handler", (_Handler,), {"hub": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = False
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.released.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def storage(self) -> str:
        return f"http://localhost:{self._server.server_port}{_STORAGE}"

    @property
    def downloads(self) -> list[Request]:
        """The requests for contents, redirects followed."""
        large = [request for request in self.requests if request.path.startswith(_STORAGE)]
        small = [
            request
            for request in self.requests
            if request.method == "GET" and not request.path.endswith(_LARGE) and request not in large
        ]
        return large + small

    def publish(self, model: Model, contents: Mapping[str, bytes]) -> None:
        """Offer a model; `contents` names its files as they will lie in the model's folder."""
        for file in model.files:
            address = f"/{file.repository}/resolve/{file.revision}/{file.source}"
            self.files[address] = contents[file.path]


class _Handler(BaseHTTPRequestHandler):
    hub: Hub

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _answer(self) -> None:
        told = self.headers
        self.hub.requests.append(Request(self.command, self.path, told["Range"], told["Authorization"]))
        stored = self.path.startswith(_STORAGE)
        address = self.path.removeprefix(_STORAGE)
        if stored and self.hub.refusals:
            self._head(self.hub.refusals.pop(0), 0)
        elif address not in self.hub.files:
            self._head(404, 0)
        elif stored:
            self._send(address)
        elif address.endswith(_LARGE):
            self._redirect(address)
        else:
            content = self.hub.files[address]
            blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()  # noqa: S324 (git's own)
            self._send(address, ETag=f'"{blob}"')

    def _redirect(self, address: str) -> None:
        content = self.hub.files[address]
        size = self.hub.sizes.get(address, len(content))
        linked = {"X-Linked-ETag": f'"{hashlib.sha256(content).hexdigest()}"', "X-Linked-Size": str(size)}
        self._head(302, 0, Location=f"{self.hub.storage}{address}", **linked)

    def _send(self, address: str, **headers: str) -> None:
        content = self.hub.files[address]
        if address in self.hub.damaged:
            content = bytes([content[0] ^ 1]) + content[1:]
        start = int((self.headers["Range"] or "bytes=0-")[6:-1]) if self.hub.ranges else 0
        self._head(206 if start else 200, len(content) - start, **headers)
        if self.command == "GET":
            with suppress(ConnectionError):  # the client may be killed
                self._write(content[start:], large=address.endswith(_LARGE))

    def _write(self, content: bytes, *, large: bool) -> None:
        if large and self.hub.cuts:
            content = content[: self.hub.cuts.pop(0)]
        elif large and self.hub.hold is not None:
            self.wfile.write(content[: self.hub.hold])
            self.hub.held.set()
            self.hub.released.wait()
            content = content[self.hub.hold :]
        self.wfile.write(content)

    def _head(self, status: int, length: int, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        self.send_header("X-Repo-Commit", self.path.split("/")[4] if self.path.count("/") > 4 else "")
        for name, value in headers.items():
            if self.hub.checksums or "ETag" not in name:
                self.send_header(name, value)
        self.end_headers()

"""A real redis-server, on a port of its own, that a test can stop, kill, freeze and start again."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import time
from typing import TYPE_CHECKING, Self

from tests.support.limits import LIMIT
from tests.support.ports import free_port
from tests.support.tied import tied

if TYPE_CHECKING:
    from pathlib import Path


class RedisServer:
    """A Redis on 127.0.0.1 that keeps what it is told (AOF); the port stays the same over restarts.

    Args:
        folder: where its log (`redis.log`) and its data are kept.
        settings: what else its command line says, such as `--requirepass secret`.
    """

    host = "127.0.0.1"

    def __init__(self, folder: Path, *settings: str) -> None:
        self.folder = folder
        self.port = free_port()
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://{self.host}:{self.port}"

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start the server, unless it runs, and return when it answers."""
        if self._process is not None:
            return
        own = ["--bind", self.host, "--port", str(self.port), "--dir", str(self.folder), "--save", ""]
        kept = ["--appendonly", "yes", "--appendfsync", "always"]
        with (self.folder / "redis.log").open("ab") as log:
            command = [_program(), *own, *kept, *self._settings]
            self._process = subprocess.Popen(tied(command), stdout=log, stderr=log)
        self._wait()

    def stop(self) -> None:
        """End the server in order (SIGTERM)."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End the server as a power cut would (SIGKILL)."""
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """Let it keep its connections and answer nobody, until `thaw`."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def command(self, *words: str) -> bytes:
        """The answer to a command, as it stands on the wire."""
        packed = b"".join(b"$%d\r\n%s\r\n" % (len(word.encode()), word.encode()) for word in words)
        with socket.create_connection((self.host, self.port), timeout=LIMIT) as connection:
            connection.sendall(b"*%d\r\n%s" % (len(words), packed))
            return connection.recv(65536)

    def _signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def _end(self, number: int) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(LIMIT)
            self._process = None

    def _wait(self) -> None:
        deadline = time.monotonic() + LIMIT
        while self._process and self._process.poll() is None and time.monotonic() < deadline:
            try:
                if not self.command("PING").startswith(b"-LOADING"):
                    return
            except OSError:
                time.sleep(0.01)  # polling is all that a stock server offers
        self.stop()
        raise AssertionError(f"redis-server does not answer on port {self.port}; see {self.folder}/redis.log")


def _program() -> str:
    found = shutil.which("redis-server")
    if found is None:
        raise FileNotFoundError("redis-server is not installed; run: apt-get install --yes redis-server")
    return found

"""A real mosquitto, on a port of its own, that a test can stop, kill and start again."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from tests.support.limits import LIMIT
from tests.support.ports import free_port
from tests.support.tied import tied

if TYPE_CHECKING:
    from pathlib import Path


class Mosquitto:
    """A broker on 127.0.0.1; the port stays the same over restarts.

    Args:
        folder: where its configuration, its log (`mosquitto.log`) and what it persists are kept.
        persistence: keep sessions and queued messages over `stop` and `start`; the queue has no bound.
        username: with `password`, what clients must present; without, everybody may connect.
        password: see `username`.
        settings: further lines of mosquitto.conf.
    """

    host = "127.0.0.1"

    def __init__(
        self,
        folder: Path,
        *,
        persistence: bool = False,
        username: str = "",
        password: str = "",
        settings: tuple[str, ...] = (),
    ) -> None:
        self.folder = folder
        self.port = free_port()
        self.username = username
        self.password = password
        self._persistence = persistence
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._configure()
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start the broker and return when it accepts connections."""
        with (self.folder / "mosquitto.log").open("ab") as log:
            command = [_program("mosquitto"), "-c", str(self.folder / "mosquitto.conf")]
            self._process = subprocess.Popen(tied(command), stdout=log, stderr=log)
        _wait_for_port(self.host, self.port, self._process)

    def stop(self) -> None:
        """End the broker in order (SIGTERM): what it persists is on disk afterwards."""
        if self._process is not None:
            deadline = time.monotonic() + LIMIT
            while self._process.poll() is None:
                assert time.monotonic() < deadline, "mosquitto does not end"
                self._process.terminate()  # again and again: what comes before its loop begins is forgotten
                with suppress(subprocess.TimeoutExpired):
                    self._process.wait(0.5)
            self._process = None

    def kill(self) -> None:
        """End the broker as a power cut would (SIGKILL)."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(LIMIT)
            self._process = None

    def restart(self) -> None:
        self.stop()
        self.start()

    def log(self) -> str:
        return (self.folder / "mosquitto.log").read_text()

    def _configure(self) -> None:
        lines = [f"listener {self.port} {self.host}", "log_type all", "log_dest stdout", *self._settings]
        if os.geteuid() == 0:  # else mosquitto becomes a user that may not write here
            lines.append("user root")
        if self._persistence:
            lines += ["persistence true", f"persistence_location {self.folder}/", "max_queued_messages 0"]
        if self.username:
            lines += ["allow_anonymous false", f"password_file {self._write_passwords()}"]
        else:
            lines.append("allow_anonymous true")
        (self.folder / "mosquitto.conf").write_text("\n".join(lines) + "\n")

    def _write_passwords(self) -> Path:
        path = self.folder / "passwords"
        command = [_program("mosquitto_passwd"), "-b", "-c", str(path), self.username, self.password]
        subprocess.run(command, check=True, capture_output=True)
        return path


def _program(name: str) -> str:
    found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")  # Debian's users lack /usr/sbin
    if found is None:
        raise FileNotFoundError(f"{name} is not installed; run: apt-get install --yes mosquitto")
    return found


def _wait_for_port(host: str, port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + LIMIT
    while process.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection((host, port), timeout=1).close()
        except OSError:
            time.sleep(0.01)  # polling is all that a stock server offers
        else:
            return
    raise AssertionError(f"mosquitto does not listen on {host}:{port}; see mosquitto.log beside its settings")

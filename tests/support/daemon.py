"""Runs `voicenode serve` as a service manager does, and listens to it with the stock client."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from io import TextIOWrapper
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import psutil
from wyoming.audio import AudioChunk
from wyoming.client import AsyncClient
from wyoming.tts import Synthesize, SynthesizeVoice

from tests.support.limits import LIMIT
from tests.support.tone import python_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from wyoming.event import Event


COMPLAINTS = re.compile(
    "Traceback|never retrieved|nobody foresaw|was destroyed|Exception (ignored|in callback)|never awaited"
)
"""What stands in a log when something went wrong that the code did not expect."""


class Log:
    """The lines of a stream, read away as they come so that the writer never waits."""

    def __init__(self, stream: TextIOWrapper) -> None:
        self._lines: list[str] = []
        self._ended = False
        self._changed = threading.Condition()
        self._stream = stream
        self._thread = threading.Thread(target=self._read, name="daemon log")
        self._thread.start()

    @property
    def lines(self) -> list[str]:
        with self._changed:
            return self._lines[:]

    @property
    def complaints(self) -> list[str]:
        return [line for line in self.lines if COMPLAINTS.search(line)]

    def count(self, pattern: str) -> int:
        return sum(bool(re.search(pattern, line)) for line in self.lines)

    def wait_for(self, pattern: str, times: int = 1) -> re.Match[str]:
        """The match in the newest of so many lines with `pattern`; fails when the log ends without them."""
        deadline = time.monotonic() + LIMIT
        with self._changed:
            while True:
                found = [match for line in self._lines if (match := re.search(pattern, line))]
                if len(found) >= times:
                    return found[-1]
                assert not self._ended, f"the daemon ended without {pattern!r}:\n{self}"
                assert self._changed.wait(deadline - time.monotonic()), f"no {pattern!r} in the log:\n{self}"

    def close(self) -> None:
        """Wait for the end, which comes when nobody has the stream open any more."""
        self._thread.join()
        self._stream.close()

    def __str__(self) -> str:
        return "\n".join(self.lines)

    def _read(self) -> None:
        for line in self._stream:
            self._note(line.rstrip("\n"))
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _note(self, line: str) -> None:
        with self._changed:
            self._lines.append(line)
            self._changed.notify_all()


@dataclass
class Daemon:
    """A running `voicenode serve`; `complaints` says how many the test expects in its log."""

    process: subprocess.Popen[bytes]
    log: Log
    complaints: int = 0
    _uris: list[str] = field(default_factory=list)

    @property
    def uri(self) -> str:
        """The first address on which it listens."""
        return self.uris[0]

    @property
    def uris(self) -> list[str]:
        if not self._uris:
            self.wait_until_ready()
            found = (re.search(r"listening on (\S+)", line) for line in self.log.lines)
            self._uris = [match[1] for match in found if match]
        return self._uris

    @property
    def pipes(self) -> tuple[BinaryIO, BinaryIO]:
        """Its stdin and stdout."""
        return cast("BinaryIO", self.process.stdin), cast("BinaryIO", self.process.stdout)

    @property
    def ps(self) -> psutil.Process:
        return psutil.Process(self.process.pid)

    @property
    def rss(self) -> int:
        return int(self.ps.memory_info().rss)

    @property
    def workers(self) -> list[psutil.Process]:
        """The engines' processes, dead ones that nobody collected included."""
        return self.ps.children()

    def living(self, word: str) -> list[psutil.Process]:
        """Those of `workers` that live and have this word in their command line."""
        return [process for process in self.workers if word in _words(process)]

    def wait_until_ready(self) -> None:
        self.log.wait_for(" is ready: ")

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self) -> int:
        """The exit status, when it has ended by itself."""
        status = self.process.wait(LIMIT)
        self.log.close()
        return status

    def stop(self) -> int:
        self.send(signal.SIGTERM)
        return self.wait()


@contextmanager
def daemon(
    home: Path,
    *arguments: str,
    settings: Mapping[str, Any] | None = None,
    uri: str = "tcp://127.0.0.1:0",
    mdns: bool = False,
    pipes: bool = False,
    **variables: str,
) -> Iterator[Daemon]:
    """A daemon with a home of its own, `settings` (document as in voicenode.yaml) and the tone engine.

    It imports no engine's libraries ahead unless `settings` say so.

    With `pipes`, its stdin and stdout are the test's; else it has none. It may have ended when the block
    does; else it is ended. Its log must hold no complaint but those that the test expects.
    """
    home.mkdir(exist_ok=True)
    config = home / "voicenode.yaml"
    given = settings or {}
    pool = {"prewarm_imports": False, **given.get("pool", {})}  # costs seconds of two processors
    config.write_text(json.dumps({"data_dir": str(home / "data"), **given, "pool": pool}))
    command = ["serve", "--config", str(config), "--uri", uri, *([] if mdns else ["--no-mdns"]), *arguments]
    process = subprocess.Popen(
        [sys.executable, "-m", "voicenode", *command],
        cwd=home,
        env={"HOME": str(home), "PATH": os.defpath, "PYTHONPATH": python_path(), **variables},
        stdin=subprocess.PIPE if pipes else subprocess.DEVNULL,
        stdout=subprocess.PIPE if pipes else subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    assert process.stderr
    running = Daemon(process, Log(TextIOWrapper(process.stderr)))
    try:
        yield running
        if process.poll() is None:
            assert running.stop() == 0, str(running.log)
        running.log.close()
        assert len(running.log.complaints) == running.complaints, str(running.log)
    finally:
        _end(running)


def kill(process: psutil.Process) -> None:
    """End it at once; it may have ended."""
    with suppress(psutil.NoSuchProcess):
        process.kill()


def _words(process: psutil.Process) -> list[str]:
    """Its command line; nothing of one that has ended meanwhile."""
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:  # a zombie too
        return []


def _end(running: Daemon) -> None:
    """However the test went, nothing is left of the daemon."""
    if running.process.poll() is None:
        for process in [*running.workers, running.ps]:
            kill(process)
        running.process.wait()
    running.log.close()
    for pipe in (running.process.stdin, running.process.stdout):
        if pipe is not None:
            pipe.close()


@dataclass(frozen=True)
class Heard:
    """What a client got for one request, until its end or the end of the connection."""

    events: list[Event]

    @property
    def audio(self) -> bytes:
        return b"".join(
            AudioChunk.from_event(event).audio for event in self.events if AudioChunk.is_type(event.type)
        )

    @property
    def whole(self) -> bool:
        """Whether it is a complete answer."""
        return bool(self.audio) and self.types[0] == "audio-start" and self.types[-1] == "audio-stop"

    @property
    def code(self) -> str | None:
        """The code of the error, if there was one."""
        return next((event.data["code"] for event in self.events if event.type == "error"), None)

    @property
    def types(self) -> list[str]:
        return [event.type for event in self.events]


async def hear(client: AsyncClient) -> Heard:
    """Everything up to `audio-stop` or the end of the connection."""
    events: list[Event] = []
    while not (events and events[-1].type == "audio-stop"):
        try:
            event = await client.read_event()
        except ConnectionResetError:
            event = None
        if event is None:
            break
        events.append(event)
    return Heard(events)


def request(text: str, voice: str | None = None, speaker: str | None = None) -> Event:
    return Synthesize(text, SynthesizeVoice(voice, speaker=speaker) if voice or speaker else None).event()


async def say(uri: str, text: str, voice: str | None = None, speaker: str | None = None) -> Heard:
    """One request on a connection of its own, by the stock client."""
    async with AsyncClient.from_uri(uri, connect_timeout=LIMIT, read_timeout=LIMIT) as client:
        await client.write_event(request(text, voice, speaker))
        return await hear(client)

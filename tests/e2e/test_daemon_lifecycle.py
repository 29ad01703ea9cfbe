"""How the node begins and ends, as a service manager and the listeners of the moment see it."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import socket
import subprocess
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from wyoming.client import AsyncClient
from wyoming.ping import Ping

from tests.support.daemon import Daemon, daemon, hear, request, say
from tests.support.engines.voicenode_tone import spell
from tests.support.limits import LIMIT, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TONE = "tone-plain"
SLOW = {"engines": {"tone": {"char_seconds": 0.01}}}
ENDINGS = pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])


class Manager:
    """The end of systemd: what a service tells it, in order."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + address[1:] if address[0] == "@" else address)
        self._socket.settimeout(LIMIT)

    def hears(self) -> str:
        return self._socket.recv(100).decode()

    def heard(self) -> list[str]:
        """What was told since, without waiting for more."""
        states = []
        self._socket.settimeout(0)
        try:
            while True:
                states.append(self.hears())
        except BlockingIOError:
            return states
        finally:
            self._socket.settimeout(LIMIT)

    def hears_nothing_for(self, seconds: float) -> None:
        self._socket.settimeout(seconds)
        with pytest.raises(TimeoutError):
            self.hears()
        self._socket.settimeout(LIMIT)

    def close(self) -> None:
        self._socket.close()


@contextmanager
def managed(
    home: Path, settings: dict[str, Any] | None = None, watchdog_usec: int = 200_000
) -> Iterator[tuple[Manager, Daemon]]:
    """A daemon under a service manager that wants a beat every 0.2 s, and has heard that it is ready."""
    manager = Manager(f"{home}/notify")
    try:
        with daemon(
            home, settings=settings, NOTIFY_SOCKET=manager.address, WATCHDOG_USEC=str(watchdog_usec)
        ) as node:
            assert {manager.hears(), manager.hears()} == {"READY=1", "WATCHDOG=1"}
            yield manager, node
    finally:
        manager.close()


@pytest.mark.parametrize("kind", ["a path", "abstract"])
async def test_a_service_manager_hears_that_the_node_is_ready_when_it_answers_and_when_it_stops(
    tmp_path: Path, kind: str
) -> None:
    manager = Manager(f"{tmp_path}/notify" if kind == "a path" else f"@voicenode-{os.getpid()}")
    with daemon(tmp_path, NOTIFY_SOCKET=manager.address) as node:
        assert manager.hears() == "READY=1"
        assert (await say(node.uri, "Hello")).whole
        assert manager.heard() == []
        assert node.stop() == 0
    assert manager.heard() == ["STOPPING=1"]
    manager.close()


async def test_a_manager_that_is_gone_harms_nobody(tmp_path: Path) -> None:
    with managed(tmp_path) as (manager, node):
        manager.close()
        (tmp_path / "notify").unlink()
        assert (await say(node.uri, "Hello")).whole
        assert node.stop() == 0


def test_the_watchdog_beats_as_long_as_the_loop_turns(tmp_path: Path) -> None:
    with managed(tmp_path) as (manager, node):
        assert [manager.hears() for _ in range(3)] == ["WATCHDOG=1"] * 3
        node.send(signal.SIGSTOP)
        while node.ps.status() != psutil.STATUS_STOPPED:
            time.sleep(0.001)
        manager.heard()
        manager.hears_nothing_for(0.5)
        node.send(signal.SIGCONT)
        assert manager.hears() == "WATCHDOG=1"


async def test_the_watchdog_beats_while_many_are_spoken_to(tmp_path: Path) -> None:
    with managed(tmp_path, watchdog_usec=1_000_000) as (manager, node):
        enough = asyncio.Event()

        async def listen() -> None:
            while not enough.is_set():
                assert (await say(node.uri, "All work and no play makes Jack a dull boy. " * 5)).whole

        listeners = [asyncio.create_task(listen()) for _ in range(32)]
        await eventually(lambda: node.log.count(": ok$") > 32)
        manager.heard()
        beats = [await asyncio.to_thread(manager.hears) for _ in range(3)]
        enough.set()
        await asyncio.gather(*listeners)
        assert beats == ["WATCHDOG=1"] * 3
        assert node.log.count("ERROR") == 0


async def test_the_watchdog_beats_while_no_more_may_connect(tmp_path: Path) -> None:
    with managed(tmp_path, settings={"wyoming": {"max_connections": 2}}) as (manager, node):
        clients = [AsyncClient.from_uri(node.uri, read_timeout=LIMIT) for _ in range(2)]
        for client in clients:
            await client.connect()
            await client.write_event(Ping().event())
            await client.read_event()
        manager.heard()
        beats = [await asyncio.to_thread(manager.hears) for _ in range(10)]
        for client in clients:
            await client.disconnect()
        assert beats == ["WATCHDOG=1"] * 10
        assert node.log.count("ERROR") == 0


@ENDINGS
async def test_what_is_being_spoken_is_heard_whole_and_nothing_new_is_accepted(
    tmp_path: Path, ending: signal.Signals
) -> None:
    text = "Every word of this shall be heard. " * 4
    with daemon(tmp_path, settings=SLOW) as node:
        async with AsyncClient.from_uri(node.uri, connect_timeout=LIMIT, read_timeout=LIMIT) as client:
            await client.write_event(request(text, TONE))
            start = await client.read_event()
            assert start is not None

            node.send(ending)
            await eventually(lambda: refuses(node))
            await client.write_event(request("One more thing.", TONE))
            heard, refused = await hear(client), await hear(client)

            assert spell(heard.audio).split() == text.split()
            assert heard.types[-1] == "audio-stop"
            assert refused.types == ["error"]
            assert refused.code == "busy"
        assert node.wait() == 0


def refuses(node: Daemon) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", int(node.uri.rpartition(":")[2]))) == errno.ECONNREFUSED


async def test_those_who_say_nothing_do_not_hold_up_the_end(tmp_path: Path) -> None:
    with daemon(tmp_path, settings={"shutdown_timeout": 60}) as node:
        async with AsyncClient.from_uri(node.uri, connect_timeout=LIMIT, read_timeout=LIMIT) as client:
            await client.write_event(Ping().event())
            await client.read_event()
            node.send(signal.SIGTERM)
            assert await client.read_event() is None
        assert node.wait() == 0


@ENDINGS
@pytest.mark.parametrize("word", ["progress", "hang", "deaf"])
async def test_a_second_signal_ends_the_node_whatever_its_engine_does(
    tmp_path: Path, ending: signal.Signals, word: str
) -> None:
    with daemon(tmp_path, settings={"shutdown_timeout": 3600}) as node:
        async with AsyncClient.from_uri(node.uri, connect_timeout=LIMIT, read_timeout=LIMIT) as client:
            await client.write_event(request(f"before {word}", TONE))
            await client.read_event()
            workers = node.workers
            node.send(ending)
            node.log.wait_for("finishing")
            node.send(ending)
            assert (await hear(client)).types[-1] != "audio-stop"
        assert node.wait() == 0
        assert node.log.count("did not stop within") == 0
        assert not any(worker.is_running() for worker in workers)


async def test_what_takes_too_long_to_finish_is_cut(tmp_path: Path) -> None:
    with daemon(tmp_path, settings={"shutdown_timeout": 0.5}) as node:
        async with AsyncClient.from_uri(node.uri, connect_timeout=LIMIT, read_timeout=LIMIT) as client:
            await client.write_event(request("before progress", TONE))
            await client.read_event()
            node.send(signal.SIGTERM)
            assert (await hear(client)).types[-1] == "audio-chunk"
        assert node.wait() == 0


async def test_a_node_that_is_loading_an_engine_ends_too(tmp_path: Path) -> None:
    settings = {"shutdown_timeout": 0.5, "engines": {"tone": {"load_seconds": 3600}}}
    with daemon(tmp_path, settings=settings) as node:
        async with AsyncClient.from_uri(node.uri, connect_timeout=LIMIT, read_timeout=LIMIT) as client:
            await client.write_event(request("Hello", TONE))
            await eventually(lambda: bool(node.workers))
            workers = node.workers
            node.send(signal.SIGTERM)
            assert not (await hear(client)).whole
        assert node.wait() == 0
        assert not any(worker.is_running() for worker in workers)


def test_a_signal_at_any_moment_of_the_start_ends_the_node(tmp_path: Path) -> None:
    for delay in (0.0, 0.1, 0.2, 0.3, 0.4):
        with daemon(tmp_path) as node:
            with suppress(subprocess.TimeoutExpired):
                node.process.wait(delay)
            node.send(signal.SIGTERM)
            assert node.wait() in {0, -signal.SIGTERM}

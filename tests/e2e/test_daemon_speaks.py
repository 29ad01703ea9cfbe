"""Strangers find the node and hear it: the stock Wyoming client and python-zeroconf."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

import psutil
import pytest
from wyoming.client import AsyncClient
from wyoming.event import read_event, write_event
from wyoming.info import Describe, Info
from zeroconf import ServiceStateChange
from zeroconf.asyncio import AsyncServiceBrowser, AsyncZeroconf

from tests.support.daemon import Daemon, Heard, daemon, hear, request, say
from tests.support.engines.voicenode_tone import RATE, spell
from tests.support.limits import LIMIT, eventually
from tests.support.ports import IPV6

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Any

    from wyoming.event import Event

SERVICE_TYPE = "_wyoming._tcp.local."


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """On every address, with a Unix socket too; a listener that stalls is cut off after a second."""
    home = tmp_path_factory.mktemp("node")
    settings = {"wyoming": {"stall_timeout": 1}, "engines": {"tone": {"char_seconds": 0.001}}}
    with daemon(home, "--uri", f"unix://{home}/socket", uri="tcp://:0", settings=settings) as running:
        yield running


def reach(uri: str) -> str:
    """Where a client on this machine connects to `uri`."""
    return uri.replace("0.0.0.0", "127.0.0.1").replace("[::]", "[::1]")  # noqa: S104 (not bound)


async def test_a_stock_client_hears_the_node_on_each_of_its_addresses(node: Daemon) -> None:
    for uri in node.uris if IPV6 else [uri for uri in node.uris if "[::]" not in uri]:
        heard = await say(reach(uri), "Good evening.")
        assert heard.whole
        assert len(heard.audio) > RATE
    kinds = [uri.rpartition(":")[0] for uri in node.uris]
    assert kinds == ["tcp://0.0.0.0", *(["tcp://[::]"] if socket.has_dualstack_ipv6() else []), "unix"]


def test_a_program_hears_the_node_over_stdin_and_stdout(tmp_path: Path) -> None:
    with daemon(tmp_path, uri="stdio://", pipes=True) as node:
        words, sound = node.pipes
        write_event(Describe().event(), words)
        info = read_event(sound)
        assert info is not None
        assert Info.from_event(info).tts[0].voices
        write_event(request("Good evening."), words)
        words.close()  # what was asked is answered, and then the node ends by itself
        events: list[Event] = []
        while (event := read_event(sound)) is not None:
            events.append(event)
        assert Heard(events).whole
        assert node.wait() == 0


async def test_voices_from_all_over_the_list_speak(node: Daemon) -> None:
    async with AsyncClient.from_uri(reach(node.uri), connect_timeout=LIMIT, read_timeout=LIMIT) as client:
        await client.write_event(Describe().event())
        event = await client.read_event()
        assert event is not None
        voices = Info.from_event(event).tts[0].voices
        assert len(voices) > 130
        for voice in [*voices[::12], voices[-1]]:
            for speaker in [None, *(speaker.name for speaker in (voice.speakers or [])[:1])]:
                await client.write_event(request("10, 20.", voice.name, speaker))
                heard = await hear(client)
                assert heard.whole, voice.name


async def test_listeners_alternate_at_an_engine_for_one(node: Daemon) -> None:
    """Nobody hears a sentence while another still waits for the sentence before."""
    text = "One sentence is here. " * 4
    heard = dict.fromkeys(range(8), 0)

    async def listen(number: int) -> None:
        async with AsyncClient.from_uri(reach(node.uri), read_timeout=LIMIT) as client:
            await client.write_event(request(text, "tone-plain"))
            spelt = b""
            while (event := await client.read_event()) and event.type != "audio-stop":
                spelt += event.payload or b""
                heard[number] = spell(spelt).count("here")
                behind = [count for count in heard.values() if count < max(heard.values()) - 2]
                assert not behind, heard

    assert (await say(reach(node.uri), "Loaded.", "tone-plain")).whole
    await asyncio.gather(*(listen(number) for number in heard))
    assert set(heard.values()) == {4}


@pytest.mark.parametrize("voice", ["espeak-en-us", "tone-plain"])
async def test_a_listener_who_stalls_holds_up_nobody_and_is_cut_off(node: Daemon, voice: str) -> None:
    address = "127.0.0.1", int(node.uri.rpartition(":")[2])
    with socket.create_connection(address, LIMIT) as stalled, stalled.makefile("wb") as words:
        write_event(request("This is much longer than anybody wants to hear. " * 400, voice), words)
        await eventually(lambda: stalled.getsockname() in listeners(node))
        for _ in range(5):
            assert (await say(reach(node.uri), "Good evening.", voice)).whole
        await eventually(lambda: stalled.getsockname() not in listeners(node))


def listeners(node: Daemon) -> set[tuple[str, int]]:
    """The addresses of all who are connected."""
    return {connection.raddr for connection in node.ps.net_connections("tcp4") if connection.raddr}


class Browser:
    """A stock browser on every interface, as Home Assistant has one."""

    def __init__(self) -> None:
        self.network = AsyncZeroconf()
        self._changes: asyncio.Queue[tuple[str, ServiceStateChange]] = asyncio.Queue()
        self._browser = AsyncServiceBrowser(self.network.zeroconf, SERVICE_TYPE, handlers=[self._note])

    def _note(self, name: str, state_change: ServiceStateChange, **_: Any) -> None:  # noqa: ANN401
        self._changes.put_nowait((name, state_change))

    async def hears(self, name: str, change: ServiceStateChange) -> None:
        async with asyncio.timeout(LIMIT):
            while await self._changes.get() != (name, change):
                pass

    async def close(self) -> None:
        await self._browser.async_cancel()
        await self.network.async_close()


async def test_a_stock_browser_finds_the_node_and_hears_it_and_its_goodbye(tmp_path: Path) -> None:
    browser = Browser()
    try:
        with daemon(tmp_path, uri="tcp://:0", mdns=True) as node:
            announced = await asyncio.to_thread(node.log.wait_for, r"announced as (\S+)")
            name = f"{announced[1]}.{SERVICE_TYPE}"
            await browser.hears(name, ServiceStateChange.Added)
            info = await browser.network.async_get_service_info(SERVICE_TYPE, name)
            assert info is not None

            addresses = info.parsed_addresses()
            assert set(addresses) <= machine_addresses()
            assert lan_addresses() == set() or "127.0.0.1" not in addresses
            assert info.port in {int(uri.rpartition(":")[2]) for uri in node.uris}
            assert (await say(f"tcp://{addresses[0]}:{info.port}", "Good evening.")).whole

            assert await asyncio.to_thread(node.stop) == 0
        await browser.hears(name, ServiceStateChange.Removed)
    finally:
        await browser.close()


def machine_addresses() -> set[str]:
    return {address.address.partition("%")[0] for card in psutil.net_if_addrs().values() for address in card}


def lan_addresses() -> set[str]:
    """IPv4 addresses of this machine by which others may reach it."""
    cards = psutil.net_if_addrs().values()
    every = {address.address for card in cards for address in card if address.family == socket.AF_INET}
    return {address for address in every if not address.startswith("127.")}

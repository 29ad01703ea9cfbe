"""Whatever comes over the network, a good client is heard meanwhile and the node stays as it was."""

from __future__ import annotations

import asyncio
import json
import random
import socket
import struct
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import pytest
from wyoming.client import AsyncClient
from wyoming.event import Event, async_read_event
from wyoming.ping import Ping, Pong

from tests.support.daemon import Daemon, daemon, hear, request, say
from tests.support.engines.voicenode_tone import spell
from tests.support.limits import LIMIT, eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

MIB = 1024 * 1024
TONE = "tone-plain"


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    # Where hundreds ask at once, the good client is to wait its turn, and not to be told that many do.
    settings = {"wyoming": {"idle_timeout": 6, "stall_timeout": 1}, "pool": {"max_waiting": 1000}}
    with daemon(tmp_path_factory.mktemp("node"), settings=settings) as running:
        yield running


@asynccontextmanager
async def a_good_client_hears_everything(node: Daemon) -> AsyncIterator[None]:
    """From before the block until after it, one client asks again and again; then all is as it was before."""
    for voice in (None, TONE):
        assert (await say(node.uri, "Good evening.", voice)).whole
    await eventually(lambda: len(node.ps.net_connections()) == 1)
    descriptors, ended = node.ps.num_fds(), asyncio.Event()

    async def listen() -> None:
        async with AsyncClient.from_uri(node.uri, connect_timeout=LIMIT, read_timeout=LIMIT) as client:
            while not ended.is_set():
                await client.write_event(request("All is well.", TONE))
                heard = await hear(client)
                assert spell(heard.audio).strip() == "All is well.", heard.events

    listening = asyncio.create_task(listen())
    try:
        yield
    finally:
        ended.set()
        await listening
    await eventually(lambda: node.ps.num_fds() <= descriptors)
    assert node.log.complaints == []


class Stranger:
    """A client of no library, who says bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.address: tuple[str, int] = writer.get_extra_info("sockname")

    async def say(self, words: bytes) -> None:
        with suppress(ConnectionError):
            self.writer.write(words)
            await self.writer.drain()

    async def hears_until_the_end(self) -> bytes:
        with suppress(ConnectionError):
            return await asyncio.wait_for(self.reader.read(), LIMIT)
        return b""

    def resets(self) -> None:
        """Go as a machine does that crashes."""
        self.writer.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
        self.writer.transport.abort()


@asynccontextmanager
async def stranger(node: Daemon) -> AsyncIterator[Stranger]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port(node))
    try:
        yield Stranger(reader, writer)
    finally:
        writer.transport.abort()
        with suppress(OSError):
            await writer.wait_closed()


def port(node: Daemon) -> int:
    return int(node.uri.rpartition(":")[2])


def line(**header: object) -> bytes:
    return json.dumps(header).encode() + b"\n"


NONSENSE = {
    "a header over 64 KiB": line(type="describe", data={"padding": "x" * 70_000}),
    "a header that never ends": b"x" * MIB,
    "a terabyte to come": line(type="audio-chunk", payload_length=10**12) + b"x" * MIB,
    "a terabyte as a fraction": b'{"type": "ping", "payload_length": 1e12}\n',
    "not JSON": b"GET / HTTP/1.1\r\n\r\n",
    "a list": b"[]\n",
    "no type": line(data={}),
    "bytes of no encoding": bytes(range(256)) + b"\n",
}


@pytest.mark.parametrize("words", NONSENSE.values(), ids=NONSENSE.keys())
async def test_nonsense_gets_an_error_and_the_end(node: Daemon, words: bytes) -> None:
    async with a_good_client_hears_everything(node), stranger(node) as client:
        await client.say(words)
        answer = await client.hears_until_the_end()
        assert b'"error"' in answer
        assert b'"bad-request"' in answer


TRUNCATED = {
    "nothing": b"",
    "half a header": b'{"type": "synth',
    "half the data": line(type="synthesize", data_length=100) + b'{"text": "He',
    "half a payload": line(type="audio-chunk", payload_length=100) + b"xxx",
    "no stop": line(type="synthesize-start") + line(type="synthesize-chunk", data={"text": "One. Two"}),
}


@pytest.mark.parametrize("end", ["closes", "resets", "says nothing"])
async def test_clients_that_stop_in_the_midst_are_forgotten(node: Daemon, end: str) -> None:
    async def stop_after(words: bytes) -> None:
        async with stranger(node) as client:
            await client.say(words)
            if end == "resets":
                client.resets()
            elif end == "closes":
                client.writer.write_eof()
            assert b'"audio-stop"' not in await client.hears_until_the_end()

    async with a_good_client_hears_everything(node):
        await asyncio.gather(*map(stop_after, TRUNCATED.values()))


REFUSED = {
    "a megabyte": (request("word " * 200_000), "text-too-long", "20000"),
    "a voice with a slip": (request("Hello", "espeak-en-uss"), "unknown-voice", "espeak-en-us"),
    "a speaker with a slip": (request("Hello", TONE, "softt"), "unknown-speaker", "soft"),
    "SSML with a slip": (Event("synthesize", {"text": "<speak>", "text_format": "ssml"}), "bad-ssml", ""),
    "no text": (Event("synthesize", {}), "bad-request", "text"),
    "text that is none": (Event("synthesize", {"text": ["Hello"]}), "bad-request", "text"),
    "a voice that is none": (Event("synthesize", {"text": "Hello", "voice": 5}), "bad-request", "voice"),
}


@pytest.mark.parametrize(("event", "code", "said"), REFUSED.values(), ids=REFUSED.keys())
async def test_what_cannot_be_spoken_is_refused_with_a_code(
    node: Daemon, event: Event, code: str, said: str
) -> None:
    async with (
        a_good_client_hears_everything(node),
        AsyncClient.from_uri(node.uri, connect_timeout=LIMIT, read_timeout=LIMIT) as client,
    ):
        await client.write_event(event)
        error = await client.read_event()
        assert error is not None
        assert (error.type, error.data["code"]) == ("error", code)
        assert said in error.data["text"]


ODD = {
    "NUL": "before\0after\0",
    "controls": "bell\a escape\x1b[31m return\r\n\v\f",
    "right to left": "שלום עולם. مرحبا بالعالم.",
    "mixed scripts": "Hello мир 世界 नमस्ते \u202eevil\u202c ﷽ e\u0301\u0300\u0302",
    "half a surrogate": "a \ud83d b",
    "emoji alone": "😀👩‍👩‍👧",
    "nothing": "",
    "spaces": " \t\n\u3000",
    "one long word": "a" * 19_000,
    "stops alone": "." * 5_000,
    "brackets": "[[" * 3_000,
    "noncharacters": "\ufffe\uffff\U0010ffff",
}


@pytest.mark.parametrize("text", ODD.values(), ids=ODD.keys())
async def test_odd_text_is_spoken(node: Daemon, text: str) -> None:
    async with a_good_client_hears_everything(node), stranger(node) as client:
        data = json.dumps({"text": text}).encode()
        await client.say(line(type="synthesize", data_length=len(data)) + data)
        types: list[str] = []
        while not types or types[-1] in {"audio-start", "audio-chunk"}:
            event = await asyncio.wait_for(async_read_event(client.reader), LIMIT)
            types.append(event.type if event else "the end")
        assert types[:2] == ["audio-start", "audio-chunk"]
        assert types[-1] == "audio-stop"


async def test_events_that_mean_nothing_here_are_skipped(node: Daemon) -> None:
    async with (
        a_good_client_hears_everything(node),
        AsyncClient.from_uri(node.uri, connect_timeout=LIMIT, read_timeout=LIMIT) as client,
    ):
        for kind in ("transcribe", "", "audio-start", "synthesize ", "x" * 10_000):
            await client.write_event(Event(kind, {"text": "Hello"}, b"payload"))
        await client.write_event(Ping("still there").event())
        event = await client.read_event()
        assert event is not None
        assert Pong.from_event(event).text == "still there"


async def test_questions_whose_answers_nobody_reads_are_not_kept_in_memory(node: Daemon) -> None:
    async with a_good_client_hears_everything(node), stranger(node) as client:
        rss = node.rss
        with suppress(TimeoutError):
            await asyncio.wait_for(client.say(line(type="describe") * 100_000), 0.5)
        assert node.rss - rss < 4 * MIB
        await eventually(lambda: client.address not in {peer.raddr for peer in node.ps.net_connections()})


async def test_five_hundred_at_once_are_answered_and_forgotten(node: Daemon) -> None:
    async with a_good_client_hears_everything(node):
        for _ in range(2):
            await crowd(node, 500)
        rss = node.rss
        for _ in range(3):
            await crowd(node, 500)
        assert node.rss - rss < MIB


async def crowd(node: Daemon, size: int) -> None:
    """All connect, then all ask, then all go, each in another manner."""
    chance = random.Random(size)
    short = [words for words in [*TRUNCATED.values(), *NONSENSE.values()] if len(words) < 1000]
    connections = await asyncio.gather(
        *(asyncio.open_connection("127.0.0.1", port(node)) for _ in range(size))
    )
    clients = [Stranger(*connection) for connection in connections]
    for client in clients:
        await client.say(line(type="ping", data={"text": "there?"}))
    pongs = await asyncio.wait_for(asyncio.gather(*(client.reader.readline() for client in clients)), LIMIT)
    assert all(b'"pong"' in pong for pong in pongs)
    for client in clients:
        await client.say(chance.choice(short))
        chance.choice([client.resets, client.writer.close])()
    for client in clients:
        with suppress(OSError):
            await client.writer.wait_closed()
    await eventually(lambda: len(node.ps.net_connections()) <= 2)


async def test_more_than_the_node_takes_are_turned_away_until_others_go(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    settings = {"wyoming": {"max_connections": 20}}
    with daemon(tmp_path_factory.mktemp("full"), settings=settings) as node:
        clients = [AsyncClient.from_uri(node.uri, read_timeout=LIMIT) for _ in range(20)]
        for client in clients:
            await client.connect()
            await client.write_event(Ping().event())
            assert await client.read_event()

        refused = await asyncio.gather(*(say(node.uri, "Hello") for _ in range(50)))
        await clients[0].write_event(request("Hello"))
        assert (await hear(clients[0])).whole
        for client in clients:
            await client.disconnect()
        await eventually(lambda: len(node.ps.net_connections()) == 1)

        assert all(answer.types == ["error"] and answer.code == "busy" for answer in refused)
        assert node.log.count("turned away") == 1
        assert (await say(node.uri, "Hello")).whole

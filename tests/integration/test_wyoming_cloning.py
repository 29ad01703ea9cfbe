"""Cloning over Wyoming, by the stock client."""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from wyoming.client import AsyncClient
from wyoming.event import Event

from tests.support import recorded
from tests.support.cloning import Cloning, check_once, cloning, recording
from tests.support.daemon import hear, request
from tests.support.engines.voicenode_tone import spell
from voicenode.cloning import Rules
from voicenode.cloning.profile import COLLECTION
from voicenode.framing import Frame, encode
from voicenode.transports.wyoming import WyomingServer
from voicenode.transports.wyoming.voices import MAX_PAYLOAD

pytestmark = pytest.mark.usefixtures("tone_engine")


@pytest.fixture(autouse=True)
def quick_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    check_once(monkeypatch)


@asynccontextmanager
async def door(node: Cloning) -> AsyncIterator[str]:
    server = WyomingServer(
        node.processor,
        ["tcp://127.0.0.1:0"],
        name="kitchen",
        version="1",
        max_connections=10,
        idle_timeout=60,
        stall_timeout=30,
        max_text_chars=1000,
        voices=node.voices.desk,
    )
    await server.start()
    try:
        yield f"tcp://127.0.0.1:{server.addresses[0][1]}"
    finally:
        await server.abort()


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Cloning]:
    async with cloning(tmp_path) as node:
        yield node


@pytest.fixture
async def uri(node: Cloning) -> AsyncIterator[str]:
    async with door(node) as uri:
        yield uri


@pytest.fixture
async def client(uri: str) -> AsyncIterator[AsyncClient]:
    async with AsyncClient.from_uri(uri) as client:
        yield client


async def ask(client: AsyncClient, type_: str, payload: bytes | None = None, **data: Any) -> Event:  # noqa: ANN401
    await client.write_event(Event(type_, data, payload))
    event = await client.read_event()
    assert event is not None
    return event


async def test_a_file_in_the_message_becomes_a_voice(client: AsyncClient) -> None:
    answer = await ask(client, "clone-voice", recording(), name="Anna", transaction="c1")
    assert (answer.type, answer.data["name"], answer.data["transaction"]) == ("voice-cloned", "Anna", "c1")
    info = await ask(client, "describe")
    assert ("Anna", "1") in [(voice["name"], voice["version"]) for voice in info.data["tts"][0]["voices"]]
    await client.write_event(request("Hello", "anna"))
    heard = await hear(client)
    assert heard.whole
    assert spell(heard.audio).strip().endswith(": Hello")


async def test_a_recording_may_follow_in_pieces(client: AsyncClient) -> None:
    samples = (recorded.spoken() * 32767).astype("<i2").tobytes()
    form = {"rate": recorded.RATE, "width": 2, "channels": 1}
    await client.write_event(Event("clone-voice", {"name": "Anna", "transaction": "c1"}))
    await client.write_event(Event("audio-start", form))
    for start in range(0, len(samples), 20_000):
        await client.write_event(Event("audio-chunk", form, samples[start : start + 20_000]))
    assert (await ask(client, "ping", text="there")).type == "pong"
    answer = await ask(client, "audio-stop")
    assert (answer.type, answer.data["transaction"]) == ("voice-cloned", "c1")


async def test_the_librarys_envelope_is_opened(client: AsyncClient) -> None:
    inside = {"name": "clone-voice", "data": {"name": "Anna"}}
    assert (await ask(client, "user-event", recording(), **inside)).type == "voice-cloned"


async def test_several_recordings_are_one_voice(client: AsyncClient) -> None:
    one, other = recording(), recording(f"Once more, please: {recorded.WORDS}")
    answer = await ask(client, "clone-voice", one + other, name="A", recordings=[len(one), len(other)])
    assert (answer.type, answer.data["recordings"]) == ("voice-cloned", 2)


async def test_voices_are_listed_changed_and_deleted(client: AsyncClient) -> None:
    await ask(client, "clone-voice", recording(), name="Anna", consent="Anna")
    listed = await ask(client, "list-voices", transaction="l")
    assert [voice["name"] for voice in listed.data["voices"]] == ["Anna"]
    assert (listed.data["total"], listed.data["transaction"]) == (1, "l")
    assert "consent" not in listed.data["voices"][0]
    assert (await ask(client, "get-voice", name="anna")).data["consent"] == "Anna"
    changed = await ask(client, "update-voice", name="anna", description="The neighbour", rename="Berta")
    assert (changed.type, changed.data["name"], changed.data["description"]) == (
        "voice-updated",
        "Berta",
        "The neighbour",
    )
    assert (await ask(client, "delete-voice", name="berta")).type == "voice-deleted"
    refused = await ask(client, "delete-voice", name="berta", transaction="d")
    assert (refused.data["code"], refused.data["transaction"]) == ("unknown-voice", "d")


@pytest.mark.parametrize(
    ("payload", "data", "code"),
    [
        (b"not audio at all", {"name": "A"}, "bad-recording"),
        (b"\0", {"name": "A"}, "bad-recording"),
        (b"RIFF" + struct.pack("<I", 4_000_000_000) + b"WAVE", {"name": "A"}, "bad-recording"),
        (b"x", {}, "bad-request"),
        (b"x", {"name": 4}, "bad-request"),
        (b"x", {"name": "A", "languages": ["not a language!"]}, "bad-request"),
        (b"x", {"name": "A", "engines": ["espeak"]}, "unknown-engine"),
        (b"x", {"name": "A", "replace": "perhaps"}, "bad-request"),
        (b"x", {"name": "A", "recordings": [1, 1]}, "bad-request"),
        (b"x", {"name": "A", "quality": "none"}, "bad-request"),
    ],
)
async def test_what_cannot_become_a_voice_is_refused_and_the_connection_kept(
    node: Cloning, client: AsyncClient, payload: bytes, data: dict[str, Any], code: str
) -> None:
    answer = await ask(client, "clone-voice", payload, **data)
    assert (answer.type, answer.data["code"]) == ("error", code)
    assert (await ask(client, "ping", text="there")).type == "pong"
    assert await node.store.list(COLLECTION) == []


async def test_samples_without_their_format_are_refused(client: AsyncClient) -> None:
    await client.write_event(Event("clone-voice", {"name": "A"}))
    assert (await ask(client, "audio-chunk", b"\0\0")).data["code"] == "bad-request"
    assert (await ask(client, "clone-voice", recording(), name="A")).type == "voice-cloned"


async def test_a_payload_over_the_limit_is_not_read(uri: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(uri.rpartition(":")[2]))
    header = encode(Frame("clone-voice", {"name": "A"}, b"x")).replace(
        b'"payload_length": 1', b'"payload_length": %d' % (200 * 1024 * 1024)
    )
    writer.write(header)
    assert b"audio-too-large" in await reader.read()
    assert MAX_PAYLOAD < 200 * 1024 * 1024
    writer.close()


async def test_a_client_that_leaves_in_the_midst_leaves_nothing(node: Cloning, uri: str) -> None:
    for _ in range(5):  # more than there is room for at a time
        async with AsyncClient.from_uri(uri) as client:
            await client.write_event(Event("clone-voice", {"name": "A"}))
            await client.write_event(Event("audio-start", {"rate": 16000, "width": 2, "channels": 1}))
            await client.write_event(Event("audio-chunk", {}, bytes(100_000)))
            assert (await ask(client, "ping")).type == "pong"
    async with AsyncClient.from_uri(uri) as client:
        assert (await ask(client, "clone-voice", recording(), name="A")).type == "voice-cloned"
    assert await node.store.verify() == []


async def test_who_may_not_is_told_so_before_the_recording_is_read(tmp_path: Path) -> None:
    async with cloning(tmp_path, rules=Rules(local=False, token="open")) as node, door(node) as uri:
        async with AsyncClient.from_uri(uri) as client:
            for type_ in ("clone-voice", "get-voice", "update-voice", "delete-voice"):
                assert (await ask(client, type_, name="A")).data["code"] == "forbidden"
            assert (await ask(client, "list-voices")).type == "voices"
            await client.write_event(Event("clone-voice", {"name": "A"}, bytes(2 * 1024 * 1024)))
            refusal = await client.read_event()
            assert refusal is not None
            assert refusal.data["code"] == "forbidden"
        async with AsyncClient.from_uri(uri) as client:
            assert (
                await ask(client, "clone-voice", recording(), name="A", token="open")
            ).type == "voice-cloned"

"""Whatever a client sends, it gets an error or a quiet end, and the node stays as it was."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.wyoming_door import CHUNK, Client, Door, audio, serving, types

pytestmark = pytest.mark.usefixtures("heartbeat")


async def stays_as_it_was(door: Door) -> None:
    """Another client is spoken to, and nobody else is left."""
    async with door.client() as client:
        await client.say("synthesize", text="a")
        assert audio(await client.hear_until("audio-stop")) == CHUNK
    await door.empty()


def frame(header: dict[str, Any], data: bytes = b"", payload: bytes = b"") -> bytes:
    return json.dumps(header).encode() + b"\n" + data + payload


NOT_MESSAGES = {
    "nothing but a newline": b"\n",
    "another protocol": b"GET / HTTP/1.1\r\nHost: kitchen\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)) + b"\n",
    "a list": b"[1]\n",
    "no type": b"{}\n",
    "a type that is no string": b'{"type": {}}\n',
    "a length that is no number": b'{"type": "ping", "data_length": "5"}\n',
    "a negative length": b'{"type": "ping", "payload_length": -1}\n',
    "a payload of a terabyte": frame({"type": "ping", "payload_length": 10**12}, payload=bytes(100_000)),
    "data of a terabyte": frame({"type": "ping", "data_length": 10**12}, b"{" * 100_000),
    "data that is no JSON": frame({"type": "ping", "data_length": 4}, b"nope"),
    "data that is no object": frame({"type": "ping", "data_length": 4}, b"null"),
    "nested beyond reason": frame({"type": "ping", "data_length": 1_000_000}, b"[" * 1_000_000),
    "a header over 64 KiB": frame({"type": "ping", "data": {"text": "x" * 65_536}}),
    "a header without end": b"x" * 300_000,
}


@pytest.mark.parametrize("stream", NOT_MESSAGES.values(), ids=NOT_MESSAGES.keys())
async def test_what_is_no_message_gets_an_error_and_the_end(stream: bytes) -> None:
    async with serving() as door:
        async with door.client() as client:
            await client.say_raw(stream)
            (error,) = await client.hear_end()
            assert error.type == "error"
            assert error.data["code"] == "bad-request"
        await stays_as_it_was(door)


CUT_OFF = {
    "in the header": b'{"type": "syn',
    "in the data": b'{"type": "synthesize", "data_length": 50}\n{"te',
    "in the payload": b'{"type": "audio-chunk", "payload_length": 1000}\n' + bytes(10),
}


@pytest.mark.parametrize("stream", CUT_OFF.values(), ids=CUT_OFF.keys())
@pytest.mark.parametrize("reset", [True, False])
async def test_a_message_that_is_cut_off_is_a_quiet_end(stream: bytes, reset: bool) -> None:  # noqa: FBT001
    async with serving() as door:
        async with door.client() as client:
            await client.say_raw(stream)
            if reset:
                client.cut()
            else:
                client.writer.write_eof()
                assert await client.hear_end() == []
        await stays_as_it_was(door)


async def test_nonsense_in_the_midst_of_an_answer_ends_it_with_an_error() -> None:
    async with serving() as door:
        async with door.client() as client:
            await client.say("synthesize", text="~")
            await client.hear_until("audio-chunk")
            await client.say_raw(b"nonsense\n")
            assert types(await client.hear_end())[-1] == "error"
            await door.processor.freed.wait()
        await stays_as_it_was(door)


@pytest.mark.parametrize(
    ("type_", "data"),
    [
        ("synthesize", {}),
        ("synthesize", {"text": None}),
        ("synthesize", {"text": ["hello"]}),
        ("synthesize", {"text": "hello", "voice": "bob"}),
        ("synthesize", {"text": "hello", "voice": {"name": 5}}),
        ("synthesize", {"text": "hello", "text_format": "markdown"}),
        ("synthesize-chunk", {"text": "hello"}),
        ("synthesize-stop", {}),
        ("ping", {"text": 5}),
    ],
)
async def test_a_malformed_message_gets_an_error_and_keeps_the_connection(
    type_: str, data: dict[str, Any]
) -> None:
    async with serving() as door, door.client() as client:
        await client.say(type_, **data)
        error = await client.hear()
        assert (error.type, error.data["code"]) == ("error", "bad-request")
        await client.say("synthesize", text="abc")
        assert audio(await client.hear_until("audio-stop")) == CHUNK * 3


async def test_a_malformed_start_stops_and_its_text_is_dropped() -> None:
    async with serving() as door, door.client() as client:
        await client.say("synthesize-start", voice=5)
        await client.say("synthesize-chunk", text="abc")
        await client.say("synthesize", text="abc")
        await client.say("synthesize-stop")
        assert types(await client.hear_until("synthesize-stopped")) == ["error", "synthesize-stopped"]
        await client.is_answered()
        assert door.processor.requests == []


async def test_a_start_within_a_stream_gets_an_error_and_the_stream_goes_on() -> None:
    async with serving() as door, door.client() as client:
        await client.say("synthesize-start")
        await client.say("synthesize-start")
        assert (await client.hear()).data["code"] == "bad-request"
        await client.say("synthesize-chunk", text="abc")
        await client.say("synthesize-stop")
        assert audio(await client.hear_until("synthesize-stopped")) == CHUNK * 3


async def test_a_malformed_piece_fails_its_stream() -> None:
    async with serving() as door, door.client() as client:
        await client.say("synthesize-start")
        await client.say("synthesize-chunk", text=5)
        events = await client.hear_end()
        assert types(events) == ["error", "synthesize-stopped"]
        assert events[0].data["code"] == "bad-request"


async def test_errors_come_in_the_order_of_the_requests() -> None:
    async with serving() as door, door.client() as client:
        await client.say("synthesize", text="a")
        await client.say("synthesize")
        await client.say("synthesize", text="b")
        spoken = ["audio-start", "audio-chunk", "audio-stop"]
        assert types(await client.hear_until("error")) == [*spoken, "error"]
        assert types(await client.hear_until("audio-stop")) == spoken


@pytest.mark.parametrize("chars", [20_001, 1_000_000])
async def test_a_text_over_the_limit_is_refused(chars: int) -> None:
    async with serving() as door:
        async with door.client() as client:
            await client.say("synthesize", text="é" * chars)
            (error,) = await client.hear_end()
            assert error.data["code"] == "text-too-long"
            assert "20000" in error.data["text"]
        await stays_as_it_was(door)
        assert door.processor.spoken == "a"


async def test_a_text_as_long_as_the_limit_is_spoken() -> None:
    async with serving(max_text_chars=100) as door, door.client() as client:
        await client.say("synthesize", text="a" * 100)
        assert audio(await client.hear_until("audio-stop")) == CHUNK * 100


async def test_a_streamed_text_over_the_limit_fails_whatever_its_pieces_are() -> None:
    async with serving(max_text_chars=100) as door, door.client() as client:
        await client.say("synthesize-start")
        for _ in range(21):
            await client.say("synthesize-chunk", text="abcde")
        events = await client.hear_end()
        assert types(events)[-2:] == ["error", "synthesize-stopped"]
        assert events[-2].data["code"] == "text-too-long"
        assert len(door.processor.spoken) <= 100


@pytest.mark.parametrize(
    "text", ["\0", "a\0b", "שלום עולם hello مرحبا", "😀👨‍👩‍👧", "\u202etxet", "\ud83d"], ids=ascii
)
async def test_every_text_arrives_as_it_was_sent(text: str) -> None:
    async with serving() as door, door.client() as client:
        await client.say_raw(json.dumps({"type": "synthesize", "data": {"text": text}}).encode() + b"\n")
        await client.hear_until("audio-stop")
        (request,) = door.processor.requests
        assert request.text == text


async def test_an_error_can_name_a_voice_that_is_half_a_character() -> None:
    async with serving() as door, door.client() as client:
        await client.say_raw(b'{"type": "synthesize", "data": {"text": "a", "voice": {"name": "\\ud83d"}}}\n')
        (error,) = await client.hear_end()
        assert error.data["code"] == "unknown-voice"


async def test_messages_of_other_protocols_parts_are_skipped_with_their_payload() -> None:
    async with serving() as door, door.client() as client:
        await client.say("transcribe", language="en")
        await client.say_raw(
            frame({"type": "no-such-type", "payload_length": 1_000_000}, payload=bytes(1_000_000))
        )
        await client.is_answered()


async def test_a_client_written_by_hand_is_understood() -> None:
    async with serving() as door, door.client() as client:
        await client.say_raw(b'{ "type": "describe" }\n', b'{"type":"synthesize","data":{"text":"ab"}}\r\n')
        assert (await client.hear()).type == "info"
        assert audio(await client.hear_until("audio-stop")) == CHUNK * 2


async def test_a_message_may_arrive_byte_by_byte() -> None:
    async with serving() as door, door.client() as client:
        for byte in frame({"type": "synthesize", "data_length": 14}, b'{"text": "ab"}'):
            await client.say_raw(bytes([byte]))
        assert audio(await client.hear_until("audio-stop")) == CHUNK * 2


async def test_more_requests_than_may_wait_are_refused_and_the_others_answered() -> None:
    async with serving() as door, door.client() as client:
        await client.say("synthesize", text="?")
        await door.processor.started.wait()
        for _ in range(34):
            await client.say("synthesize", text="a")
        await client.say("synthesize-start")
        await client.say("synthesize-stop")
        refused = types(await client.hear_until("synthesize-stopped"))
        assert refused == ["error", "error", "error", "synthesize-stopped"]
        door.processor.gate.set()
        for _ in range(33):
            await client.hear_until("audio-stop")
        await client.is_answered()


async def errors_of(client: Client, *texts: str) -> list[str]:
    for text in texts:
        await client.say("synthesize", text=text)
    return [event.data["code"] for event in await client.hear_end() if event.type == "error"]


async def test_the_error_of_one_client_is_not_heard_by_another() -> None:
    async with serving() as door, door.client() as one, door.client() as other:
        await other.say("synthesize", text="a?b")
        await other.hear_until("audio-chunk")
        assert await errors_of(one, "!", "never") == ["engine-failed"]
        door.processor.gate.set()
        assert audio(await other.hear_until("audio-stop")) == CHUNK * 2
        await other.is_answered()

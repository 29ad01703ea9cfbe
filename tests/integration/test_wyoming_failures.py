"""How an answer ends that does not end well: the client leaves, or the synthesis fails."""

import asyncio

import pytest

from tests.support.wyoming_door import serving, types

pytestmark = pytest.mark.usefixtures("heartbeat")


@pytest.mark.parametrize("hang_up", ["close", "reset", "end"])
async def test_a_hang_up_frees_the_engine(hang_up: str) -> None:
    async with serving() as door, door.client() as client:
        await client.say("synthesize", text="~")
        await client.hear_until("audio-chunk")
        if hang_up == "close":
            client.writer.close()
        elif hang_up == "reset":
            client.cut()
        else:
            client.writer.write_eof()
        await door.processor.freed.wait()
        await door.empty()


async def test_a_hang_up_while_the_engine_is_silent_frees_it() -> None:
    async with serving() as door, door.client() as client:
        await client.say("synthesize", text="?")
        await door.processor.started.wait()
        client.cut()
        await door.processor.freed.wait()


async def test_a_hang_up_in_the_midst_of_streamed_text_frees_the_engine() -> None:
    async with serving() as door, door.client() as client:
        await client.say("synthesize-start")
        await client.say("synthesize-chunk", text="a")
        await client.hear_until("audio-chunk")
        client.cut()
        await door.processor.freed.wait()


async def test_a_failed_synthesis_is_an_error_and_then_the_end() -> None:
    async with serving() as door, door.client() as client:
        await client.say("synthesize", text="a!")
        events = await client.hear_end()
        assert types(events) == ["audio-start", "audio-chunk", "error"]
        assert events[-1].data == {"text": "told to fail", "code": "engine-failed"}
        await client.close()
        await door.empty()


async def test_a_failed_streaming_synthesis_also_says_that_it_stopped() -> None:
    async with serving() as door, door.client() as client:
        await client.say("synthesize-start")
        await client.say("synthesize-chunk", text="a!")
        events = await client.hear_end()
        assert types(events) == ["audio-start", "audio-chunk", "error", "synthesize-stopped"]


async def test_an_unknown_voice_is_named_with_its_neighbours_and_ends_the_connection() -> None:
    async with serving() as door, door.client() as client:
        await client.say("synthesize", text="a", voice={"name": "tone-plane"})
        (error,) = await client.hear_end()
        assert error.data["code"] == "unknown-voice"
        assert "tone-plain" in error.data["text"]


async def test_an_unknown_speaker_is_named_with_its_neighbours_and_ends_the_connection() -> None:
    async with serving() as door, door.client() as client:
        await client.say("synthesize", text="a", voice={"name": "tone-plain", "speaker": "softly"})
        (error,) = await client.hear_end()
        assert error.data["code"] == "unknown-speaker"
        assert "soft" in error.data["text"]


async def test_an_error_reaches_a_client_that_is_still_sending() -> None:
    async with serving() as door, door.client() as client:
        await client.say("synthesize-start", voice={"name": "nobody"})
        for _ in range(200):
            await client.say("synthesize-chunk", text="word " * 20)
            await asyncio.sleep(0)
        await client.say("synthesize-stop")
        assert types(await client.hear_end()) == ["error", "synthesize-stopped"]


async def test_what_nobody_foresaw_is_an_internal_error_logged_once() -> None:
    async with serving() as door, door.client() as client:
        await client.say("synthesize", text="a#")
        events = await client.hear_end()
        assert events[-1].data["code"] == "internal"
        assert "told to crash" not in events[-1].data["text"]
        (complaint,) = door.errors
        assert "ZeroDivisionError: told to crash" in complaint
        door.errors.clear()

"""What clients get for what they ask."""

import asyncio
import random
from contextlib import suppress

import pytest
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncClient
from wyoming.error import Error
from wyoming.info import Describe, Info, SelectProgram
from wyoming.ping import Ping, Pong
from wyoming.tts import (
    Synthesize,
    SynthesizeChunk,
    SynthesizeStart,
    SynthesizeStop,
    SynthesizeVoice,
)

from tests.support import tone
from tests.support.engines.voicenode_tone import spell
from tests.support.speech import processor
from tests.support.wyoming_door import CHUNK, FORMAT, Client, audio, serving, types
from voicenode.voice import Voice
from voicenode.voices import Catalogue

pytestmark = pytest.mark.usefixtures("heartbeat")


async def test_a_stock_client_hears_a_whole_answer() -> None:
    async with serving() as door, AsyncClient.from_uri(f"tcp://127.0.0.1:{door.port}") as client:
        await client.write_event(Synthesize("abc", SynthesizeVoice("tone-plain", speaker="soft")).event())
        start = await client.read_event()
        assert start is not None
        assert AudioStart.from_event(start) == AudioStart(FORMAT.rate, FORMAT.width, FORMAT.channels, 0)
        for timestamp in (0, 10, 20):
            chunk = await client.read_event()
            assert chunk is not None
            assert AudioChunk.from_event(chunk) == AudioChunk(16_000, 2, 1, CHUNK, timestamp)
        stop = await client.read_event()
        assert stop is not None
        assert AudioStop.from_event(stop) == AudioStop(30)
    (request,) = door.processor.requests
    assert (request.text, request.voice, request.speaker) == ("abc", "tone-plain", "soft")


async def test_the_words_of_a_client_come_out_of_a_real_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", tone.python_path())
    async with tone.pool() as pool, serving(processor=processor(pool)) as door, door.client() as client:
        await client.say("synthesize", text="hello there")
        assert spell(audio(await client.hear_until("audio-stop"))).split() == ["hello", "there"]
        await client.say("synthesize", text="well sayerror")
        events = await client.hear_end()
        assert types(events) == ["audio-start", "audio-chunk", "error"]
        assert Error.from_event(events[-1]).code == "engine-failed"


async def test_describe_tells_the_voices() -> None:
    async with serving() as door, AsyncClient.from_uri(f"tcp://127.0.0.1:{door.port}") as client:
        await client.write_event(Describe().event())
        event = await client.read_event()
        assert event is not None
        (program,) = Info.from_event(event).tts
        assert program.name == "kitchen"
        assert [voice.name for voice in program.voices] == ["tone-plain", "tone-deutsch"]


async def test_describe_follows_the_catalogue_on_an_open_connection() -> None:
    async with serving() as door, door.client() as client:
        await client.say("describe")
        assert len((await client.hear()).data["tts"][0]["voices"]) == 2
        door.processor.catalogue = Catalogue([Voice("new", "tone", "new", "New", ("en",))], "new")
        await client.say("describe")
        assert len((await client.hear()).data["tts"][0]["voices"]) == 1


@pytest.mark.parametrize("text", ["x", None])
async def test_a_ping_comes_back(text: str | None) -> None:
    async with serving() as door, AsyncClient.from_uri(f"tcp://127.0.0.1:{door.port}") as client:
        await client.write_event(Ping(text).event())
        event = await client.read_event()
        assert event is not None
        assert Pong.from_event(event) == Pong(text)


@pytest.mark.parametrize("name", ["kitchen", "no such program"])
async def test_selecting_a_program_changes_nothing(name: str) -> None:
    async with serving() as door, door.client() as client:
        await client.say(SelectProgram(name).event().type, name=name)
        await client.say("synthesize", text="a")
        assert types(await client.hear_until("audio-stop")) == ["audio-start", "audio-chunk", "audio-stop"]


async def test_an_answer_without_any_audio_is_still_complete() -> None:
    async with serving() as door, door.client() as client:
        await client.say("synthesize", text="")
        assert types(await client.hear_until("audio-stop")) == ["audio-start", "audio-stop"]


async def stream(client: Client, *pieces: str, compat: str | None = None) -> None:
    await client.say("synthesize-start", voice={"name": "tone-plain"})
    for piece in pieces:
        await client.say("synthesize-chunk", text=piece)
    if compat is not None:
        await client.say("synthesize", text=compat, voice={"name": "tone-plain"})
    await client.say("synthesize-stop")


async def test_text_in_pieces_is_one_answer_however_it_is_split() -> None:
    text = "The quick brown fox.\nIt jumps! أهلا 😀"
    text = text.replace("!", ".")
    async with serving() as door:
        for seed in range(20):
            cuts = sorted(random.Random(seed).choices(range(len(text)), k=seed))
            pieces = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
            async with door.client() as client:
                await stream(client, *pieces)
                events = await client.hear_until("synthesize-stopped")
            assert types(events) == ["audio-start", "audio-chunk", "audio-stop", "synthesize-stopped"]
            assert audio(events) == CHUNK * len(text)
        assert door.processor.spoken == text * 20


async def test_the_sequence_of_home_assistant_is_spoken_once_and_the_connection_stays_usable() -> None:
    async with serving() as door, AsyncClient.from_uri(f"tcp://127.0.0.1:{door.port}") as client:
        voice = SynthesizeVoice("tone-plain")
        for event in (
            SynthesizeStart(voice).event(),
            SynthesizeChunk("he").event(),
            SynthesizeChunk("y").event(),
            Synthesize("hey", voice).event(),
            SynthesizeStop().event(),
            Synthesize("you", voice).event(),
        ):
            await client.write_event(event)
        spoken = ["audio-start", *["audio-chunk"] * 3, "audio-stop"]
        for expected in [*spoken, "synthesize-stopped", *spoken]:
            answer = await client.read_event()
            assert answer is not None
            assert answer.type == expected
        assert door.processor.spoken == "heyyou"


async def test_audio_starts_while_text_is_still_arriving() -> None:
    async with serving() as door, door.client() as client:
        await client.say("synthesize-start")
        await client.say("synthesize-chunk", text="a")
        assert types([await client.hear(), await client.hear()]) == ["audio-start", "audio-chunk"]
        await client.say("synthesize-chunk", text="b")
        assert (await client.hear()).type == "audio-chunk"
        await client.say("synthesize-stop")
        assert types(await client.hear_until("synthesize-stopped")) == ["audio-stop", "synthesize-stopped"]


async def test_requests_of_one_connection_are_answered_in_their_order() -> None:
    async with serving() as door, door.client() as client:
        for text in ("a", "bb", "ccc"):
            await client.say("synthesize", text=text)
        await stream(client, "d", "ddd")
        sizes = [len(audio(await client.hear_until("audio-stop"))) // len(CHUNK) for _ in range(4)]
        assert sizes == [1, 2, 3, 4]
        assert (await client.hear()).type == "synthesize-stopped"
        assert door.processor.spoken == "abbcccdddd"


async def test_describe_and_ping_are_answered_while_something_is_spoken() -> None:
    async with serving() as door, door.client() as client, door.client() as other:
        await client.say("synthesize", text="a?b")
        await client.hear_until("audio-chunk")
        for asking in (client, other):
            await asking.say("describe")
            assert (await asking.hear()).type == "info"
            await asking.is_answered()
        door.processor.gate.set()
        assert len(audio(await client.hear_until("audio-stop"))) == 2 * len(CHUNK)


async def test_a_pong_fits_between_two_chunks_of_an_answer() -> None:
    async with serving() as door, door.client() as client:
        await client.say("synthesize", text="~")
        await client.hear_until("audio-chunk")
        await client.say("ping", text="x")
        assert types(await client.hear_until("pong"))[-1] == "pong"
        assert (await client.hear()).type == "audio-chunk"


async def test_an_endless_answer_leaves_other_clients_their_turns() -> None:
    async with serving() as door, door.client() as greedy, door.client() as other:
        await greedy.say("synthesize", text="~")
        await greedy.hear_until("audio-chunk")
        listening = asyncio.create_task(listen(greedy))
        for _ in range(20):
            await other.say("synthesize", text="abc")
            assert len(audio(await other.hear_until("audio-stop"))) == 3 * len(CHUNK)
        assert not listening.done()
        greedy.cut()
        await asyncio.wait({listening})


async def test_listeners_take_turns_chunk_by_chunk() -> None:
    async with serving() as door, door.client() as one, door.client() as other:
        for client, character in ((one, "a"), (other, "b")):
            await client.say("synthesize", text="?" + character * 100)
            await client.is_answered()
        door.processor.gate.set()
        for client in (one, other):
            await client.hear_until("audio-stop")
        assert door.processor.spoken == "??" + "ab" * 100


async def listen(client: Client) -> None:
    with suppress(ConnectionError):
        while await client.reader.read(65_536):
            pass

"""The client against stock servers, and against servers that do everything wrong."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.limits import LIMIT
from tests.support.ports import free_port
from tests.support.stock import CHARACTER, RATE, Stock, StockHandler, running
from voicenode.audio import PcmFormat
from voicenode.client import Utterance, connect, connection
from voicenode.errors import ErrorCode, RequestError, VoiceServiceError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("heartbeat")


async def speak(uri: str, utterance: Utterance, first_audio_limit: float = LIMIT) -> tuple[PcmFormat, bytes]:
    async with connect(uri) as node, node.speak(utterance, first_audio_limit) as speech:
        return speech.format, b"".join([chunk async for chunk in speech.chunks])


async def pieces(*texts: str) -> AsyncIterator[str]:
    for text in texts:
        yield text


@asynccontextmanager
async def answering(*answers: bytes) -> AsyncIterator[str]:
    """A server that says these bytes whatever it hears, then hangs up."""

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.writelines(answers)
        writer.close()

    server = await asyncio.start_server(converse, "127.0.0.1", 0)
    async with server:
        yield f"tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def header(event: str, **data: Any) -> bytes:  # noqa: ANN401 (any JSON)
    return json.dumps({"type": event, "data": data}).encode() + b"\n"


async def test_a_server_describes_itself_and_its_voices() -> None:
    async with running(Stock(voices=("tone-low", "de-later"))) as stock, connect(stock.uri) as node:
        info = await node.describe()
    assert (info.name, info.version, info.streams_text) == ("stock", "3.2.1", True)
    low, later = info.voices
    assert (low.name, low.languages, low.speakers) == ("tone-low", ("en-US",), ("calm", "loud"))
    assert (low.installed, later.installed) == (True, False)


async def test_whole_text_comes_back_as_speech() -> None:
    async with running(Stock()) as stock:
        pcm_format, audio = await speak(stock.uri, Utterance("Hello"))
    assert pcm_format == PcmFormat(RATE)
    assert audio == CHARACTER * 5


async def test_the_voice_the_speaker_the_language_and_the_format_of_the_text_are_told() -> None:
    async with running(Stock()) as stock:
        await speak(stock.uri, Utterance("<speak/>", "tone-low", "calm", "en-US", ssml=True))
    assert stock.events[-1].data == {
        "text": "<speak/>",
        "voice": {"name": "tone-low", "speaker": "calm", "language": "en-US"},
        "text_format": "ssml",
    }


async def test_text_in_pieces_is_spoken_while_it_is_being_written() -> None:
    written = asyncio.Event()

    async def writing() -> AsyncIterator[str]:
        yield "One. "
        await written.wait()
        yield "Two."

    async with (
        running(Stock()) as stock,
        connect(stock.uri) as node,
        node.speak(Utterance(writing())) as speech,
    ):
        assert await anext(speech.chunks) == CHARACTER * 5
        written.set()
        assert [chunk async for chunk in speech.chunks] == [CHARACTER * 4]
    assert [event.type for event in stock.events[1:]] == [
        "synthesize-start",
        "synthesize-chunk",
        "synthesize-chunk",
        "synthesize-stop",
    ]


async def test_a_server_that_takes_only_whole_text_gets_the_pieces_joined() -> None:
    async with running(Stock(streams=False)) as stock:
        _, audio = await speak(stock.uri, Utterance(pieces("Hel", "lo")))
    assert stock.events[-1].data == {"text": "Hello"}
    assert audio == CHARACTER * 5


async def test_two_utterances_fit_on_one_connection() -> None:
    async with running(Stock()) as stock, connect(stock.uri) as node:
        for text in ("one", "three"):
            async with node.speak(Utterance(text)) as speech:
                assert b"".join([chunk async for chunk in speech.chunks]) == CHARACTER * len(text)


@pytest.mark.parametrize(
    ("code", "expected", "sentence"),
    [
        ("unknown-voice", ErrorCode.UNKNOWN_VOICE, "no such voice"),
        ("ValueError", ErrorCode.ENGINE_FAILED, "no such voice (ValueError)"),
        (None, ErrorCode.ENGINE_FAILED, "no such voice"),
    ],
)
async def test_an_error_event_is_raised_with_its_code_and_its_words(
    code: str | None, expected: ErrorCode, sentence: str
) -> None:
    async def answer(handler: StockHandler, _text: str) -> bool:
        await handler.fail("no such voice", code)
        return False

    async with running(Stock(answer=answer)) as stock:
        for text in ("whole", pieces("in ", "pieces")):
            with pytest.raises(VoiceServiceError) as caught:
                await speak(stock.uri, Utterance(text))
            assert (caught.value.code, str(caught.value)) == (expected, sentence)


async def test_an_error_in_the_middle_of_the_speech_is_raised_after_its_beginning() -> None:
    async def answer(handler: StockHandler, _text: str) -> bool:
        await handler.chunk(CHARACTER)
        await handler.fail("the engine died", "engine-lost")
        return False

    async with (
        running(Stock(answer=answer)) as stock,
        connect(stock.uri) as node,
        node.speak(Utterance("Hello")) as speech,
    ):
        assert await anext(speech.chunks) == CHARACTER
        with pytest.raises(VoiceServiceError, match="the engine died"):
            await anext(speech.chunks)


async def test_a_connection_that_ends_in_the_middle_of_the_speech_is_an_error() -> None:
    async def answer(handler: StockHandler, _text: str) -> bool:
        await handler.chunk(CHARACTER)
        return False

    async with running(Stock(answer=answer)) as stock:
        with pytest.raises(VoiceServiceError, match="closed the connection before it had answered"):
            await speak(stock.uri, Utterance("Hello"))


async def test_an_answer_without_audio_is_an_error() -> None:
    async with answering(header("audio-stop")) as uri:
        with pytest.raises(VoiceServiceError, match="answered without audio"):
            await speak(uri, Utterance("Hello"))


async def test_audio_that_changes_its_format_is_an_error() -> None:
    async def answer(handler: StockHandler, _text: str) -> bool:
        await handler.chunk(CHARACTER)
        await handler.chunk(CHARACTER, rate=RATE * 2)
        return True

    async with running(Stock(answer=answer)) as stock:
        with pytest.raises(VoiceServiceError, match="changed its audio format"):
            await speak(stock.uri, Utterance("Hello"))


async def test_silence_in_place_of_the_first_audio_ends_at_the_limit() -> None:
    async def answer(_handler: StockHandler, _text: str) -> bool:
        return True

    async with running(Stock(answer=answer)) as stock:
        with pytest.raises(VoiceServiceError, match=r"no answer from tcp://\S+ within 0\.05 s") as caught:
            await speak(stock.uri, Utterance("Hello"), first_audio_limit=0.05)
    assert caught.value.code is ErrorCode.NO_NODE


async def test_an_author_who_is_slower_than_the_limit_is_not_a_slow_server() -> None:
    async def writing() -> AsyncIterator[str]:
        await asyncio.sleep(1.2)
        yield "Late."

    async with running(Stock()) as stock:
        _, audio = await speak(stock.uri, Utterance(writing()), first_audio_limit=1)
    assert audio == CHARACTER * 5


async def test_a_source_of_text_that_fails_ends_the_speech_with_its_own_error() -> None:
    async def writing() -> AsyncIterator[str]:
        yield "One. "
        raise UnicodeError("not text")

    async with running(Stock(streams=False)) as stock:
        with pytest.raises(UnicodeError, match="not text"):
            await speak(stock.uri, Utterance(writing()))


async def test_leaving_early_hangs_up() -> None:
    hung_up = asyncio.Event()

    async def answer(handler: StockHandler, _text: str) -> bool:
        await handler.chunk(CHARACTER)
        await handler.reader.read()
        hung_up.set()
        return False

    async with running(Stock(answer=answer)) as stock:
        async with connect(stock.uri) as node, node.speak(Utterance("Hello")) as speech:
            await anext(speech.chunks)
        await asyncio.wait_for(hung_up.wait(), LIMIT)


async def test_nobody_listening_is_said_with_the_address() -> None:
    uri = f"tcp://127.0.0.1:{free_port()}"
    with pytest.raises(VoiceServiceError) as caught:
        await speak(uri, Utterance("Hello"))
    assert str(caught.value) == f"cannot connect to {uri} (Connection refused); is the node running?"


@pytest.mark.parametrize(
    "uri",
    ["", "localhost", "http://localhost:1", "tcp://", "tcp://a:b", "tcp://[::1", "unix://", "tcp://a:1/x"],
)
async def test_what_is_no_address_is_refused(uri: str) -> None:
    with pytest.raises(RequestError, match="is no address of a node"):
        await speak(uri, Utterance("Hello"))


async def test_a_unix_socket_is_an_address(tmp_path: Path) -> None:
    path = tmp_path / "node.socket"

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(header("info", tts=[{"name": "here", "installed": True, "voices": []}]))
        writer.close()

    server = await asyncio.start_unix_server(converse, path)
    async with server, connect(f"unix://{path}") as node:
        assert (await node.describe()).name == "here"


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.6\n",
        b"x" * 70_000,
        b'["info"]\n',
        b'{"type": "info", "data_length": 1000000000000}\n',
        b'{"type": "info", "payload_length": 1000000000000}\n',
        b'{"type": "info", "data_length": 5}\n{}',
        b'{"type": "info"',
    ],
)
async def test_a_server_that_speaks_something_else_is_an_error_at_once(answer: bytes) -> None:
    async with answering(answer) as uri, connect(uri) as node:
        with pytest.raises(VoiceServiceError) as caught:
            await node.describe()
    assert caught.value.code is ErrorCode.NO_NODE


@pytest.mark.parametrize("tts", [None, [], "piper", [{"name": "later", "installed": False}]])
async def test_a_server_without_text_to_speech_is_no_node(tts: object) -> None:
    async with answering(header("info", asr=[{"name": "whisper"}], tts=tts)) as uri, connect(uri) as node:
        with pytest.raises(VoiceServiceError, match="offers no text-to-speech"):
            await node.describe()


async def test_a_description_full_of_nonsense_is_read_as_far_as_it_makes_sense() -> None:
    voices = [1, {"name": 2, "languages": "en"}, {"name": "good", "languages": ["en", 3], "speakers": [{}]}]
    nonsense = [{"name": None, "installed": True, "voices": voices}]
    async with answering(header("info", tts=nonsense)) as uri, connect(uri) as node:
        info = await node.describe()
    assert [voice.name for voice in info.voices] == ["", "good"]
    assert info.voices[1].languages == ("en", "")


@pytest.mark.parametrize(
    "data", [{}, {"rate": "x", "width": 2, "channels": 1}, {"rate": 8000, "width": 4, "channels": 1}]
)
async def test_audio_that_cannot_be_played_is_an_error(data: dict[str, Any]) -> None:
    async with answering(header("audio-start", **data)) as uri:
        with pytest.raises(VoiceServiceError, match="audio"):
            await speak(uri, Utterance("Hello"))


async def test_a_server_that_reads_nothing_does_not_hold_the_client(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(connection, "STALL_TIMEOUT", 0.05)
    leave = asyncio.Event()

    async def converse(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await leave.wait()
        writer.close()

    server = await asyncio.start_unix_server(converse, tmp_path / "node.socket")
    async with server:
        with pytest.raises(VoiceServiceError, match="has not read its request"):
            await speak(f"unix://{tmp_path}/node.socket", Utterance("x" * 2_000_000))
        leave.set()

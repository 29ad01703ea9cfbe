"""A client of any Wyoming text-to-speech server: what it is, which voices it has, and what they say.

Every wait has a limit, every frame a bound, and what goes wrong is a `VoiceServiceError` naming the server.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from voicenode.audio import PcmFormat
from voicenode.errors import ErrorCode, RequestError, VoiceServiceError
from voicenode.framing import MAX_HEADER, Frame, FramingError, encode, read_frame

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator

DEFAULT_PORT = 10200
"""Where text-to-speech servers listen by convention."""
CONNECT_TIMEOUT = 5.0
"""Seconds until a server must have accepted the connection, and then until it must have described itself."""
FIRST_AUDIO_TIMEOUT = 180.0
"""Seconds from the end of the text to the first audio: room for a queue and the start of a large model."""
STALL_TIMEOUT = 60.0
"""Seconds without audio in the middle of an answer, or without the server reading what it is sent."""
MAX_PAYLOAD = 16 * 1024 * 1024
"""Bytes of one audio chunk: minutes of speech, for servers that send a whole answer at once."""
_AUDIO = {"audio-start", "audio-chunk"}


@dataclass(frozen=True, slots=True)
class Utterance:
    """What to say and how, as far as Wyoming can tell it; what is absent is the server's choice."""

    text: str | AsyncIterable[str]
    """Whole, or in pieces that may be split anywhere, while it is still being written."""
    voice: str | None = None
    speaker: str | None = None
    language: str | None = None
    quality: str | None = None
    ssml: bool = False


@dataclass(frozen=True, slots=True)
class NodeVoice:
    """A voice as its server describes it; one that is not installed may have to be downloaded first."""

    name: str
    description: str
    languages: tuple[str, ...]
    speakers: tuple[str, ...]
    installed: bool


@dataclass(frozen=True, slots=True)
class NodeInfo:
    """A server's first text-to-speech program, which is the one that answers."""

    name: str
    version: str
    voices: tuple[NodeVoice, ...]
    streams_text: bool
    """Whether it takes text in pieces."""


@dataclass(frozen=True, slots=True)
class Speech:
    """An answer on its way: its format, known before the first chunk, and its audio."""

    format: PcmFormat
    chunks: AsyncIterator[bytes]

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self.chunks


def parse_uri(uri: str) -> tuple[str, int] | str:
    """Host and port, or the path of a socket.

    Raises:
        RequestError: the address cannot be understood.
    """
    with suppress(ValueError):  # a port that is no number, an unclosed bracket
        parts = urlsplit(uri)
        if parts.scheme == "unix" and parts.path and not parts.netloc:
            return parts.path
        if parts.scheme == "tcp" and parts.hostname and not parts.path.strip("/"):
            return parts.hostname, DEFAULT_PORT if parts.port is None else parts.port
    raise RequestError(
        ErrorCode.BAD_REQUEST, f"'{uri}' is no address of a node: expected tcp://HOST:PORT or unix:///PATH"
    )


@asynccontextmanager
async def connect(uri: str, limit: float = CONNECT_TIMEOUT) -> AsyncIterator[Connection]:
    """A connection to the server at `tcp://HOST[:PORT]` or `unix:///PATH`, made within `limit` seconds.

    Raises:
        RequestError: the address cannot be understood.
        VoiceServiceError: nobody answers there (`no-node`).
    """
    try:
        reader, writer = await asyncio.wait_for(_open(uri), limit)
    except TimeoutError as error:
        raise _no_node(f"no answer from {uri} within {limit:g} s") from error
    except OSError as error:
        raise _no_node(f"cannot connect to {uri} ({_reason(error)}); is the node running?") from error
    try:
        yield Connection(uri, reader, writer)
    finally:
        writer.transport.abort()


class Connection:
    """One open connection; `describe` and `speak` may follow one another on it, but not overlap."""

    def __init__(self, uri: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.uri = uri
        self._reader = reader
        self._writer = writer

    async def describe(self, limit: float = CONNECT_TIMEOUT) -> NodeInfo:
        """What the server is and the voices it has.

        Raises:
            VoiceServiceError: it does not answer in time, or offers no text-to-speech (`no-node`).
        """
        with suppress(OSError):  # who hung up may have said why, and that is read below
            await self._write(Frame("describe"))
        return self._info(await self._frame({"info"}, limit))

    @asynccontextmanager
    async def speak(
        self, utterance: Utterance, first_audio_limit: float = FIRST_AUDIO_TIMEOUT
    ) -> AsyncIterator[Speech]:
        """The utterance as speech, entered as soon as its first audio is on its way.

        Leaving early cancels; the connection is of no further use then.

        Raises:
            VoiceServiceError: the server's own error with its code, or `no-node` when it falls silent.
        """
        in_pieces = not isinstance(utterance.text, str) and (await self.describe()).streams_text
        end = "synthesize-stopped" if in_pieces else "audio-stop"
        sending = asyncio.create_task(self._send(utterance, in_pieces=in_pieces))
        try:
            first = await self._frame({*_AUDIO, end}, first_audio_limit, sending)
            if first.type == end:
                raise VoiceServiceError(ErrorCode.ENGINE_FAILED, f"{self.uri} answered without audio")
            async with aclosing(self._chunks(first, end, sending)) as chunks:
                yield Speech(_format(first), chunks)
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)

    async def ask(
        self,
        request: str,
        data: dict[str, Any],
        answer: str,
        payload: bytes = b"",
        limit: float = FIRST_AUDIO_TIMEOUT,
    ) -> dict[str, Any]:
        """What a node says in a message of type `answer` about a request.

        Raises:
            VoiceServiceError: the node's own error with its code, or `no-node` where it does not answer.
        """
        with suppress(OSError):  # as in describe
            await self._write(Frame(request, data, payload))
        return (await self._frame({answer}, limit)).data

    async def _chunks(self, first: Frame, end: str, sending: asyncio.Task[None]) -> AsyncGenerator[bytes]:
        frame = first
        while frame.type != end:
            if _format(frame) != _format(first):
                raise VoiceServiceError(
                    ErrorCode.ENGINE_FAILED, f"{self.uri} changed its audio format in the middle of an answer"
                )
            if frame.payload:
                yield frame.payload
            frame = await self._frame({*_AUDIO, end}, STALL_TIMEOUT, sending)

    async def _send(self, utterance: Utterance, *, in_pieces: bool) -> None:
        with suppress(OSError):  # as in describe
            manner = _manner(utterance)
            if not in_pieces:
                text = "".join([piece async for piece in _pieces(utterance.text)])
                await self._write(Frame("synthesize", {"text": text} | manner))
                return
            await self._write(Frame("synthesize-start", manner))
            async for piece in _pieces(utterance.text):
                await self._write(Frame("synthesize-chunk", {"text": piece}))
            await self._write(Frame("synthesize-stop"))

    async def _write(self, frame: Frame) -> None:
        self._writer.write(encode(frame))
        try:
            await asyncio.wait_for(self._writer.drain(), STALL_TIMEOUT)
        except TimeoutError as error:
            raise _no_node(f"{self.uri} has not read its request for {STALL_TIMEOUT:g} s") from error

    async def _frame(self, types: set[str], limit: float, sending: asyncio.Task[None] | None = None) -> Frame:
        """The next frame of one of the types; the limit begins when everything has been sent."""
        reading = asyncio.create_task(self._read(types))
        try:
            if sending is not None:
                await asyncio.wait({reading, sending}, return_when=asyncio.FIRST_COMPLETED)
                if sending.done() and not reading.done():
                    sending.result()
            return await asyncio.wait_for(reading, limit)
        except TimeoutError as error:
            raise _no_node(f"no answer from {self.uri} within {limit:g} s") from error
        finally:
            reading.cancel()

    async def _read(self, types: set[str]) -> Frame:
        while True:
            try:
                frame = await read_frame(self._reader, MAX_PAYLOAD)
            except FramingError as error:
                raise _no_node(f"{self.uri} does not speak Wyoming: {error}") from error
            except (OSError, EOFError) as error:
                raise _no_node(f"lost the connection to {self.uri}: {error}") from error
            if frame is None:
                raise _no_node(f"{self.uri} closed the connection before it had answered")
            if frame.type == "error":
                raise _remote_error(frame)
            if frame.type in types:
                return frame

    def _info(self, frame: Frame) -> NodeInfo:
        programs = [program for program in _objects(frame.data.get("tts")) if program.get("installed")]
        if not programs:
            raise _no_node(f"{self.uri} speaks Wyoming but offers no text-to-speech")
        program = programs[0]
        return NodeInfo(
            name=_text(program.get("name")),
            version=_text(program.get("version")),
            voices=tuple(_voice(voice) for voice in _objects(program.get("voices"))),
            streams_text=program.get("supports_synthesize_streaming") is True,
        )


async def _open(uri: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    match parse_uri(uri):
        case (host, port):
            return await asyncio.open_connection(host, port, limit=MAX_HEADER)
        case path:
            return await asyncio.open_unix_connection(path, limit=MAX_HEADER)


def _reason(error: OSError) -> str:
    if error.errno is None:  # what asyncio raises when a host has several addresses and each failed
        return "none of its addresses answers"
    return os.strerror(error.errno) if error.errno > 0 else str(error.strerror)  # a resolver's are negative


def _manner(utterance: Utterance) -> dict[str, Any]:
    """Everything but the text; the stock library ignores a language beside a name, and so it does no harm."""
    voice = {"name": utterance.voice, "speaker": utterance.speaker, "language": utterance.language}
    named = {key: value for key, value in voice.items() if value}
    manner: dict[str, Any] = {"voice": named} if named else {}
    if utterance.quality:
        manner["quality"] = utterance.quality
    return manner | ({"text_format": "ssml"} if utterance.ssml else {})


async def _pieces(text: str | AsyncIterable[str]) -> AsyncIterator[str]:
    if isinstance(text, str):
        yield text
    else:
        async for piece in text:
            yield piece


def _format(frame: Frame) -> PcmFormat:
    rate, width, channels = (frame.data.get(key) for key in ("rate", "width", "channels"))
    if not (isinstance(rate, int) and isinstance(channels, int) and rate > 0 and channels > 0):
        raise _no_node(f"audio without a rate and a number of channels: {str(frame.data)[:80]}")
    if width != PcmFormat(rate).width:
        raise VoiceServiceError(
            ErrorCode.ENGINE_FAILED, f"audio of {str(width)[:20]} bytes a sample; only 16 bits can be played"
        )
    return PcmFormat(rate, width, channels)


def _remote_error(frame: Frame) -> VoiceServiceError:
    text = _text(frame.data.get("text")) or "the node failed and did not say why"
    code = _text(frame.data.get("code"))
    try:
        return VoiceServiceError(ErrorCode(code), text)
    except ValueError:
        return VoiceServiceError(ErrorCode.ENGINE_FAILED, f"{text} ({code})" if code else text)


def _voice(voice: dict[str, Any]) -> NodeVoice:
    languages = voice.get("languages")
    return NodeVoice(
        name=_text(voice.get("name")),
        description=_text(voice.get("description")),
        languages=tuple(_text(tag) for tag in languages) if isinstance(languages, list) else (),
        speakers=tuple(_text(speaker.get("name")) for speaker in _objects(voice.get("speakers"))),
        installed=voice.get("installed") is True,
    )


def _objects(value: object) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _no_node(message: str) -> VoiceServiceError:
    return VoiceServiceError(ErrorCode.NO_NODE, message)

"""A Wyoming server before a processor of the tests' own, and clients that say exactly what they are told."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from wyoming.event import Event, async_read_event, async_write_event

from voicenode.audio import PcmFormat
from voicenode.errors import EngineError, ErrorCode
from voicenode.processor import Speech, VoiceProcessor
from voicenode.transports.wyoming import WyomingServer
from voicenode.voice import Choice, Voice
from voicenode.voices import Catalogue

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from voicenode.request import SynthesisRequest

FORMAT = PcmFormat(16_000)
CHUNK = bytes(range(160)) * 2
"""10 ms: what one character sounds like."""
FAIL, CRASH, WAIT, ENDLESS = "!", "#", "?", "~"
"""Characters that fail, fail unforeseen, wait for `FakeProcessor.gate`, and are spoken for ever."""

VOICES = (
    Voice("tone-plain", "tone", "plain", "Plain tone", ("en-US", "en"), speakers=("soft", "loud")),
    Voice("tone-deutsch", "tone", "deutsch", "Deutscher Ton", ("de",)),
    Voice("tone-hidden", "tone", "hidden", "Hidden tone", ("en",), advertised=False),
)


@dataclass(frozen=True)
class _Alone:
    """A cast of one voice."""

    choice: Choice
    warning: str | None = None


class FakeProcessor:
    """Speaks one chunk a character and remembers what it was asked, who listens, and what was spoken."""

    def __init__(self) -> None:
        self.catalogue = Catalogue(VOICES, "tone-plain")
        self.requests: list[SynthesisRequest] = []
        self.spoken = ""
        self.chunks = 0
        self.listeners = 0
        self.started = asyncio.Event()
        self.freed = asyncio.Event()
        self.gate = asyncio.Event()
        self.turns_to_free = 0
        """Of the event loop, until the engine of a listener who leaves is free."""

    @asynccontextmanager
    async def speak(self, request: SynthesisRequest) -> AsyncIterator[Speech]:
        choice = self.catalogue.choose(request.voice, request.speaker, request.language)
        self.requests.append(request)
        self.listeners += 1
        chunks = self._chunks(request)
        try:
            yield Speech(_Alone(choice), FORMAT, chunks)
        finally:
            await chunks.aclose()
            self.listeners -= 1
            for _ in range(self.turns_to_free):
                await asyncio.sleep(0)
            self.freed.set()

    async def _chunks(self, request: SynthesisRequest) -> AsyncGenerator[bytes, None]:
        pieces = _one(request.text) if isinstance(request.text, str) else request.text
        async for piece in pieces:
            for character in piece:
                self.spoken += character
                self.started.set()
                if character == FAIL:
                    raise EngineError(ErrorCode.ENGINE_FAILED, "told to fail")
                if character == CRASH:
                    raise ZeroDivisionError("told to crash")
                if character == WAIT:
                    await self.gate.wait()
                self.chunks += 1
                yield CHUNK
                while character == ENDLESS:
                    self.chunks += 1
                    yield CHUNK


async def _one(text: str) -> AsyncIterator[str]:
    yield text


class Client:
    """One connection; it says events or raw bytes, and hears events."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def say(self, type_: str, **data: Any) -> None:  # noqa: ANN401 - what JSON can hold
        await async_write_event(Event(type_, data), self.writer)

    async def say_raw(self, *parts: bytes) -> None:
        self.writer.writelines(parts)
        await self.writer.drain()

    async def hear(self) -> Event:
        """The next event; fails at the end of the connection."""
        event = await async_read_event(self.reader)
        assert event is not None, "the node hung up"
        return event

    async def hear_until(self, type_: str) -> list[Event]:
        events = [await self.hear()]
        while events[-1].type != type_:
            events.append(await self.hear())
        return events

    async def hear_end(self) -> list[Event]:
        """All events up to the end of the connection."""
        events = []
        while (event := await async_read_event(self.reader)) is not None:
            events.append(event)
        return events

    async def is_answered(self) -> None:
        """Fail unless the node still converses on this connection."""
        await self.say("ping", text="still there")
        event = await self.hear()
        assert (event.type, event.data) == ("pong", {"text": "still there"})

    def cut(self) -> None:
        """Hang up at once, as a machine does that crashes or reboots."""
        self.writer.transport.abort()

    async def close(self) -> None:
        self.writer.transport.abort()
        with suppress(OSError):
            await self.writer.wait_closed()


@dataclass
class Door:
    """A running server, and what went wrong inside it."""

    server: WyomingServer
    processor: FakeProcessor
    errors: list[str] = field(default_factory=list)
    """Everything logged as an error, and all that the event loop complained about; a test that expects
    some clears it."""

    @property
    def port(self) -> int:
        return self.server.addresses[0][1]

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        client = Client(*await asyncio.open_connection("127.0.0.1", self.port))
        try:
            yield client
        finally:
            await client.close()

    async def empty(self) -> None:
        """Wait until no connection is left."""
        while self.server._connections:
            await asyncio.wait(set(self.server._connections))
            await asyncio.sleep(0)


def server(processor: object, *uris: str, **limits: Any) -> WyomingServer:  # noqa: ANN401
    defaults: dict[str, Any] = {
        "name": "kitchen",
        "version": "1.2.3",
        "max_connections": 1000,
        "idle_timeout": 600.0,
        "stall_timeout": 30.0,
        "max_text_chars": 20_000,
    }
    return WyomingServer(cast("VoiceProcessor", processor), uris, **(defaults | limits))


@asynccontextmanager
async def serving(
    *uris: str,
    processor: VoiceProcessor | None = None,
    **limits: Any,  # noqa: ANN401
) -> AsyncIterator[Door]:
    """A server on a port of its own, which must end without a complaint in the log."""
    fake = FakeProcessor()
    door = Door(server(processor or fake, *(uris or ("tcp://127.0.0.1:0",)), **limits), fake)
    log = _ErrorLog(door.errors)
    logging.getLogger().addHandler(log)
    try:
        await door.server.start()
        yield door
        await door.server.abort()
        assert door.processor.listeners == 0
        assert door.errors == []
    finally:
        await door.server.abort()
        logging.getLogger().removeHandler(log)


class _ErrorLog(logging.Handler):
    """Catches asyncio's complaints too: it logs them as errors."""

    def __init__(self, errors: list[str]) -> None:
        super().__init__(logging.ERROR)
        self._errors = errors

    def emit(self, record: logging.LogRecord) -> None:
        self._errors.append(self.format(record))


def audio(events: list[Event]) -> bytes:
    return b"".join(event.payload or b"" for event in events if event.type == "audio-chunk")


def types(events: list[Event]) -> list[str]:
    """The types of events, a run of audio chunks as one."""
    found: list[str] = []
    for event in events:
        if not (event.type == "audio-chunk" and found and found[-1] == "audio-chunk"):
            found.append(event.type)
    return found

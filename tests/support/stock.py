"""A text-to-speech server made of nothing but the stock `wyoming` package, as strangers run them."""

from __future__ import annotations

import asyncio
import struct
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from math import pi, sin
from typing import TYPE_CHECKING

from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.error import Error
from wyoming.info import Attribution, Describe, Info, TtsProgram, TtsVoice, TtsVoiceSpeaker
from wyoming.server import AsyncEventHandler, AsyncTcpServer
from wyoming.tts import Synthesize, SynthesizeChunk, SynthesizeStart, SynthesizeStop, SynthesizeStopped

from tests.support.ports import free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from wyoming.event import Event

RATE = 16_000
WIDTH = 2
CHARACTER = struct.pack("<800h", *(round(8000 * sin(2 * pi * 440 * n / RATE)) for n in range(800)))
"""The 50 ms of tone that this server speaks for each character."""


@dataclass
class Stock:
    """What the server is, and what it was asked."""

    streams: bool = True
    voices: tuple[str, ...] = ("tone-low", "tone-high")
    answer: Callable[[StockHandler, str], Awaitable[bool]] | None = None
    """Answers a text in place of the tone; returns whether the connection is kept."""
    events: list[Event] = field(default_factory=list)
    port: int = 0

    @property
    def uri(self) -> str:
        return f"tcp://127.0.0.1:{self.port}"


class StockHandler(AsyncEventHandler):
    """Speaks as the stock servers do: one group of audio for each sentence that a stream brings."""

    def __init__(self, stock: Stock, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        super().__init__(reader, writer)
        self.stock = stock

    async def handle_event(self, event: Event) -> bool:
        self.stock.events.append(event)
        if Describe.is_type(event.type):
            await self.write_event(_info(self.stock).event())
        elif Synthesize.is_type(event.type):
            return await self._answer(Synthesize.from_event(event).text)
        elif SynthesizeChunk.is_type(event.type):
            return await self._answer(SynthesizeChunk.from_event(event).text)
        elif SynthesizeStop.is_type(event.type):
            await self.write_event(SynthesizeStopped().event())
        else:
            assert SynthesizeStart.is_type(event.type), f"not an event of a client: {event}"
        return True

    async def speak(self, audio: bytes, rate: int = RATE) -> None:
        await self.write_event(AudioStart(rate, WIDTH, 1).event())
        await self.chunk(audio, rate)
        await self.write_event(AudioStop().event())

    async def chunk(self, audio: bytes, rate: int = RATE) -> None:
        await self.write_event(AudioChunk(rate, WIDTH, 1, audio).event())

    async def fail(self, text: str, code: str | None = None) -> None:
        await self.write_event(Error(text, code).event())

    async def _answer(self, text: str) -> bool:
        if self.stock.answer is not None:
            return await self.stock.answer(self, text)
        await self.speak(CHARACTER * len(text))
        return True


@asynccontextmanager
async def running(stock: Stock) -> AsyncIterator[Stock]:
    """The server listening on a port of its own."""
    stock.port = free_port()
    server = AsyncTcpServer("127.0.0.1", stock.port)
    await server.start(partial(StockHandler, stock))
    try:
        yield stock
    finally:
        handlers = list(server._handlers)
        await server.stop()
        await asyncio.gather(*handlers, return_exceptions=True)


def _info(stock: Stock) -> Info:
    attribution = Attribution("nobody", "https://example.org")
    voices = [
        TtsVoice(
            name=name,
            attribution=attribution,
            installed=not name.endswith("-later"),
            description=f"A tone, {name}",
            version="1",
            languages=["de-DE"] if name.startswith("de") else ["en-US"],
            speakers=[TtsVoiceSpeaker("calm"), TtsVoiceSpeaker("loud")] if name == "tone-low" else None,
        )
        for name in stock.voices
    ]
    program = TtsProgram(
        name="stock",
        attribution=attribution,
        installed=True,
        description="Tones",
        version="3.2.1",
        voices=voices,
        supports_synthesize_streaming=stock.streams,
    )
    return Info(tts=[program])

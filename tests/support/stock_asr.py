"""A speech-to-text server made of nothing but the stock `wyoming` package, as strangers run them."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from wyoming.asr import Transcribe, Transcript
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.info import AsrModel, AsrProgram, Attribution, Describe, Info
from wyoming.server import AsyncEventHandler, AsyncTcpServer

from tests.support.ports import free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from wyoming.event import Event

NOBODY = Attribution(name="", url="")


@dataclass
class StockAsr:
    """What the server says it heard, and what it was sent."""

    heard: str = ""
    languages: tuple[str, ...] = ("en", "de_DE")
    installed: bool = True
    answer: Callable[[StockAsrHandler], Awaitable[bool]] | None = None
    """Answers in place of the transcript; returns whether the connection is kept."""
    asked: Transcribe | None = None
    form: AudioStart | None = None
    pcm: bytearray = field(default_factory=bytearray)
    port: int = 0

    @property
    def uri(self) -> str:
        return f"tcp://127.0.0.1:{self.port}"


class StockAsrHandler(AsyncEventHandler):
    def __init__(self, asr: StockAsr, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        super().__init__(reader, writer)
        self.asr = asr

    async def handle_event(self, event: Event) -> bool:
        if Describe.is_type(event.type):
            await self.write_event(_info(self.asr).event())
        elif Transcribe.is_type(event.type):
            self.asr.asked = Transcribe.from_event(event)
        elif AudioStart.is_type(event.type):
            self.asr.form = AudioStart.from_event(event)
        elif AudioChunk.is_type(event.type):
            self.asr.pcm += AudioChunk.from_event(event).audio
        elif AudioStop.is_type(event.type):
            return await self._answer()
        return True

    async def _answer(self) -> bool:
        if self.asr.answer is not None:
            return await self.asr.answer(self)
        await self.write_event(Transcript(self.asr.heard).event())
        return False  # as the stock servers do


def _info(asr: StockAsr) -> Info:
    model = AsrModel("small", NOBODY, asr.installed, None, None, list(asr.languages))
    return Info(asr=[AsrProgram("stock", NOBODY, asr.installed, None, None, [model])])


@asynccontextmanager
async def serving(asr: StockAsr) -> AsyncIterator[StockAsr]:
    """The server, on a port of its own."""
    asr.port = free_port()
    server = AsyncTcpServer("127.0.0.1", asr.port)
    await server.start(partial(StockAsrHandler, asr))
    try:
        yield asr
    finally:
        handlers = list(server._handlers)
        await server.stop()
        await asyncio.gather(*handlers, return_exceptions=True)

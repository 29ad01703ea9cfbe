"""A client that measures: the least that reads Wyoming, so that its own work does not count."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from voicenode.framing import MAX_HEADER, Frame, encode, read_frame

if TYPE_CHECKING:
    from collections.abc import Sequence

    from script.benchmarks.servers import Server

_MAX_PAYLOAD = 2**24


@dataclass(frozen=True, slots=True)
class Heard:
    """One answer; times are in seconds since the request was sent."""

    first: float
    done: float
    speech: float
    """Seconds of sound."""
    chunks: Sequence[tuple[float, float]]
    """When each came, and how many seconds it lasts."""


async def listen(server: Server, text: str, voice: str | None = None) -> Heard:
    """Ask for a text on a connection of its own, in a voice or the node's own, and hear it to the end."""
    reader, writer = await connect(server)
    asked = {"text": text} | ({"voice": {"name": voice}} if voice else {})
    begun = time.perf_counter()
    writer.write(encode(Frame("synthesize", asked)))
    chunks = []
    while (frame := await read_frame(reader, _MAX_PAYLOAD)) and frame.type != "audio-stop":
        if frame.type == "error":
            raise RuntimeError(frame.data["text"])
        if frame.type == "audio-chunk":
            seconds = len(frame.payload) / (2 * frame.data["rate"])
            chunks.append((time.perf_counter() - begun, seconds))
    done = time.perf_counter() - begun
    writer.close()
    return Heard(chunks[0][0], done, sum(seconds for _, seconds in chunks), chunks)


async def hang_up(server: Server, text: str) -> None:
    """Ask for a text, and go away at its first sound."""
    reader, writer = await connect(server)
    writer.write(encode(Frame("synthesize", {"text": text})))
    while (frame := await read_frame(reader, _MAX_PAYLOAD)) and frame.type != "audio-chunk":
        pass
    writer.close()


async def describe(server: Server) -> float:
    """Seconds from connecting until the whole `info` is there."""
    begun = time.perf_counter()
    reader, writer = await connect(server)
    writer.write(encode(Frame("describe")))
    await read_frame(reader, _MAX_PAYLOAD)
    took = time.perf_counter() - begun
    writer.close()
    return took


async def connect(server: Server) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A new connection."""
    return await asyncio.open_connection("127.0.0.1", server.port, limit=MAX_HEADER)

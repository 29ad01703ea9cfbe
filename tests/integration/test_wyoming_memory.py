"""A connection that is over is gone at once, with all that it had buffered.

Nothing waits for the garbage collector: cycles pile up until it looks at the oldest, and one connection may
hold hundreds of kilobytes.
"""

from __future__ import annotations

import asyncio
import gc
import socket
import struct
from typing import TYPE_CHECKING

import pytest

from tests.support.wyoming_door import ENDLESS, FAIL, Client, serving
from voicenode.transports.wyoming import outgoing
from voicenode.transports.wyoming.connection import Connection

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.usefixtures("heartbeat", "no_collection")


@pytest.fixture
def no_collection() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def alive() -> int:
    """Connections and buffers of the server and of its clients."""
    return sum(isinstance(found, Connection | asyncio.StreamReader) for found in gc.get_objects())


def reset(client: Client) -> None:
    """Go as a machine does that crashes."""
    sock = client.writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.cut()


@pytest.mark.parametrize("end", ["hangs up", "resets", "says nothing"])
@pytest.mark.parametrize("words", ["", "a", ENDLESS, FAIL])
async def test_a_connection_that_is_over_is_gone(
    monkeypatch: pytest.MonkeyPatch, words: str, end: str
) -> None:
    monkeypatch.setattr(outgoing, "_LINGER", 0.1)
    before = alive()
    async with serving(idle_timeout=0.5, stall_timeout=0.1) as door:
        async with door.client() as client:
            await client.say("synthesize", text=words) if words else await client.say("ping")
            await client.hear()
            if end == "hangs up":
                client.cut()
            elif end == "resets":
                reset(client)
            await door.empty()
        del client
    del door
    assert alive() == before


@pytest.mark.parametrize(
    "words", [b"x" * 300_000, b'{"type": "ping", "payload_length": 1000000000000}\n' * 9999]
)
async def test_nonsense_leaves_nothing_in_memory(words: bytes) -> None:
    before = alive()
    async with serving() as door:
        async with door.client() as client:
            await client.say_raw(words)
            reset(client)
            await door.empty()
        del client
    del door
    assert alive() == before

"""The least that speaks MQTT 3.1.1 (OASIS, sections 2 and 3), so that its own work does not count."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_CONNECT, _PUBLISH, _PUBACK, _SUBSCRIBE, _SUBACK = 0x10, 0x30, 0x40, 0x82, 0x90
_QOS_1 = 0x02


class Client:
    """One connection to a broker on this machine, at QoS 1 both ways; nothing is sent again."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._number = 0

    async def greet(self, name: str) -> None:
        """Log in with a session of its own; no silence is too long."""
        clean_start, no_keepalive = b"\2", b"\0\0"
        self._send(_CONNECT, _text("MQTT") + b"\4" + clean_start + no_keepalive + _text(name))
        await self._read()

    async def subscribe(self, topic_filter: str) -> None:
        """Ask for messages; those that come before the broker agrees are dropped."""
        self._send(_SUBSCRIBE, self._next_number() + _text(topic_filter) + b"\1")
        while (await self._read())[0] != _SUBACK:
            pass

    def publish(self, topic: str, payload: bytes) -> None:
        """Say something, without waiting for the broker to have it."""
        self._send(_PUBLISH | _QOS_1, _text(topic) + self._next_number() + payload)

    async def hear(self) -> tuple[str, bytes]:
        """The topic and the payload of the next message."""
        while True:
            kind, body = await self._read()
            if kind & 0xF0 == _PUBLISH:
                start = 2 + int.from_bytes(body[:2])
                topic = body[2:start].decode()
                if kind & _QOS_1:
                    self._send(_PUBACK, body[start : start + 2])
                    start += 2
                return topic, body[start:]

    def _next_number(self) -> bytes:
        self._number = self._number % 0xFFFF + 1
        return self._number.to_bytes(2)

    def _send(self, kind: int, body: bytes) -> None:
        self._writer.write(bytes([kind]) + _length(len(body)) + body)

    async def _read(self) -> tuple[int, bytes]:
        kind = (await self._reader.readexactly(1))[0]
        length = shift = 0
        while True:
            byte = (await self._reader.readexactly(1))[0]
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:  # noqa: PLR2004 - the bit that says that more follow
                return kind, await self._reader.readexactly(length)


@asynccontextmanager
async def connect(port: int, name: str) -> AsyncIterator[Client]:
    """A client of that name, from logging in until it hangs up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        client = Client(reader, writer)
        await client.greet(name)
        yield client
    finally:
        writer.close()


def _text(text: str) -> bytes:
    return len(text.encode()).to_bytes(2) + text.encode()


def _length(length: int) -> bytes:
    digits = bytearray()
    while length >= 0x80:  # noqa: PLR2004 - likewise
        digits.append(length & 0x7F | 0x80)
        length >>= 7
    digits.append(length)
    return bytes(digits)

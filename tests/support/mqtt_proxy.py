"""A broker's front that treats its clients as the network, or an old broker, might."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

Fate = Literal["pass", "hang up", "refuse version 5", "hang up on version 5"]

_REFUSED = bytes([0x20, 2, 0, 1])
"""CONNACK of MQTT 3.1.1: unacceptable protocol version."""


class Proxy:
    """Passes connections on, or does to them what `fate` says for the first, second ... of them."""

    def __init__(self, broker: tuple[str, int], fate: Callable[[int], Fate]) -> None:
        self.connections = 0
        self.port = 0
        self._broker = broker
        self._fate = fate
        self._open: set[asyncio.StreamWriter] = set()

    def cut(self) -> None:
        """End every connection as a broken cable does."""
        for writer in self._open:
            writer.transport.abort()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[Proxy]:
        tasks: set[asyncio.Task[None]] = set()

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.create_task(self._serve(reader, writer))
            tasks.add(task)

        server = await asyncio.start_server(accept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            self.cut()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        fate = self._fate(self.connections)
        self._open.add(writer)
        try:
            first = await reader.read(4096)
            version5 = first[8:9] == b"\x05"
            if fate == "refuse version 5" and version5:
                writer.write(_REFUSED)
                await writer.drain()
            elif fate == "pass" or (fate != "hang up" and not version5):
                await self._pass_on(first, reader, writer)
        finally:
            self._open.discard(writer)
            writer.transport.abort()

    async def _pass_on(
        self, first: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            broker_reader, broker_writer = await asyncio.open_connection(*self._broker)
        except OSError:
            return
        self._open.add(broker_writer)
        try:
            broker_writer.write(first)
            ways = [
                asyncio.create_task(_copy(reader, broker_writer)),
                asyncio.create_task(_copy(broker_reader, writer)),
            ]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.wait(ways)
        finally:
            self._open.discard(broker_writer)
            broker_writer.transport.abort()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()

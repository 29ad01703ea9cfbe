"""Writing to a client that may read slowly, or not at all."""

from __future__ import annotations

import asyncio
from contextlib import suppress

HIGH_WATER = 64 * 1024
"""Bytes waiting in the process above which a writer waits for the client to read."""
_LINGER = 2.0
"""Seconds for a client to hang up after the node has said its last word."""
_DISCARD = 64 * 1024


class ClientGoneError(Exception):
    """The client hung up, or has stopped reading; nothing more can be said to it."""


class Outgoing:
    """The writing side of one connection, which bounds what waits in memory and for how long.

    Args:
        writer: the stream to the client.
        stall_timeout: seconds in which the client must read something while bytes wait for it.
    """

    def __init__(self, writer: asyncio.StreamWriter, stall_timeout: float) -> None:
        self._writer = writer
        self._transport = writer.transport
        self._transport.set_write_buffer_limits(high=HIGH_WATER)
        self._stall_timeout = stall_timeout
        self.stalled: str | None = None
        """Why the connection was cut, if that was because the client does not read."""

    async def send(self, data: bytes) -> None:
        """Write `data`, and wait while too much is unread.

        Raises:
            ClientGoneError: the connection is lost, or was cut because the client does not read.
        """
        if self._transport.is_closing():
            raise ClientGoneError("hung up")
        self._writer.write(data)
        if self._transport.get_write_buffer_size() > HIGH_WATER:
            await self._drain()

    def abort(self) -> None:
        """Cut the connection; what is unsent is lost."""
        if not self._transport.is_closing() or self._transport.get_write_buffer_size():
            self._transport.abort()  # a pipe that is closed already cannot be aborted

    async def close(self, reader: asyncio.StreamReader) -> None:
        """End the connection so that the last words arrive.

        A socket that is closed while input is unread resets the connection, and the client may lose what it
        was told. So the end is announced, and input is read away until the client has hung up too.
        """
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(_LINGER):
                await self._end_and_discard(reader)
        self._writer.close()
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(self._stall_timeout):
                await self._writer.wait_closed()
        self.abort()
        if (error := reader.exception()) is not None:
            # The reader keeps its error, whose traceback keeps the reader and all that it had buffered.
            error.with_traceback(None)

    async def _end_and_discard(self, reader: asyncio.StreamReader) -> None:
        if self._transport.is_closing():
            return
        if self._transport.can_write_eof():
            self._transport.write_eof()
        while await reader.read(_DISCARD):
            pass

    async def _drain(self) -> None:
        unread = self._transport.get_write_buffer_size()
        while True:
            try:
                async with asyncio.timeout(self._stall_timeout):
                    await self._writer.drain()
            except TimeoutError:
                still_unread = self._transport.get_write_buffer_size()
                if still_unread >= unread:
                    self.abort()
                    self.stalled = f"read nothing for {self._stall_timeout:g} s"
                    raise ClientGoneError(self.stalled) from None
                unread = still_unread
            except OSError as error:
                raise ClientGoneError("hung up") from error
            else:
                return

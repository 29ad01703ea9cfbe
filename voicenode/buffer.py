"""What lies between an engine and one listener."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from voicenode.report import Tally


class Buffer:
    """Keeps PCM until the listener takes it, and tells the maker when there is room for `size` bytes."""

    def __init__(self, size: int, tally: Tally) -> None:
        self.tally = tally
        self.made = 0
        """Bytes, taken or not."""
        self._size = size
        self._bytes = 0
        self._chunks: deque[bytes] = deque()
        self._ended = False
        self._error: Exception | None = None
        self._changed = asyncio.Event()

    def put(self, chunk: bytes) -> None:
        if chunk:
            self.made += len(chunk)
            self._chunks.append(chunk)
            self._bytes += len(chunk)
            self._changed.set()

    def end(self, error: Exception | None = None) -> None:
        self._ended = True
        self._error = error
        self._changed.set()

    def break_off(self, error: Exception) -> None:
        """End now: what the listener has not taken is gone."""
        self._chunks.clear()
        self._bytes = 0
        self.end(error)

    async def room(self) -> None:
        """Wait until the listener has taken enough for another segment to be worth making."""
        while self._bytes > self._size:
            await self._change()

    async def chunks(self) -> AsyncIterator[bytes]:
        """All that is put until the end, then the error if there was one."""
        while True:
            while self._chunks:
                chunk = self._chunks.popleft()
                self._bytes -= len(chunk)
                self._changed.set()
                self.tally.heard()
                yield chunk
            if self._ended:
                break
            await self._change()
        self.tally.end(self._error)
        if self._error is not None:
            raise self._error

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()

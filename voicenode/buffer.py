"""What lies between an engine and one listener."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from voicenode.audio import Resampler

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from voicenode.audio import PcmFormat
    from voicenode.report import Tally


class Buffer:
    """Keeps PCM until the listener takes it, and tells the maker when there is room for `seconds` of it.

    Everything comes out in the format that the first sound had; what is made in another one is resampled.
    """

    def __init__(self, seconds: float, tally: Tally) -> None:
        self.tally = tally
        self.made = 0
        """Bytes, taken or not."""
        self._room = seconds
        self._bytes = 0
        self._chunks: deque[bytes] = deque()
        self._format: PcmFormat | None = None
        self._ended = False
        self._error: Exception | None = None
        self._changed = asyncio.Event()

    @property
    def format(self) -> PcmFormat:
        assert self._format  # noqa: S101 - for the type checker: what is asked for has begun
        return self._format

    @property
    def seconds(self) -> float:
        """Playing time of all that was made."""
        return self.format.seconds(self.made) if self.made else 0.0

    def begin(self, pcm_format: PcmFormat) -> None:
        """There is sound from now on, in this format; later calls change nothing."""
        if self._format is None:
            self._format = pcm_format
            self._changed.set()

    async def begun(self) -> PcmFormat:
        """Wait for the first sound, or raise what kept it away."""
        while self._format is None:
            if self._error is not None:
                self.tally.end(self._error)
                raise self._error
            await self._change()
        return self._format

    async def fitted(self, chunks: AsyncIterator[bytes], pcm_format: PcmFormat) -> AsyncGenerator[bytes]:
        """The same sound in the format in which everything comes out; the first sound settles which it is."""
        resampler = None
        async for chunk in chunks:
            self.begin(pcm_format)
            if pcm_format != self.format and resampler is None:
                # The first use imports numpy and soxr, which must not keep the event loop.
                resampler = await asyncio.to_thread(Resampler, pcm_format, self.format.rate)
            yield chunk if resampler is None else resampler.process(chunk)
        if resampler is not None:
            yield resampler.finish()

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
        while self._format is not None and self._format.seconds(self._bytes) > self._room:
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

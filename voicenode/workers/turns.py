"""Whose turn it is at an engine, and what is spoken in it."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from contextlib import aclosing
from time import perf_counter
from typing import TYPE_CHECKING

from voicenode.errors import EngineError, ErrorCode
from voicenode.workers.process import EngineDiedError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from voicenode.audio import PcmFormat
    from voicenode.engine import Segment
    from voicenode.workers.pool import EnginePool
    from voicenode.workers.slot import Slot


class Turns:
    """One request's place at an engine that is kept loaded for it."""

    def __init__(self, pool: EnginePool, slot: Slot, pcm_format: PcmFormat, *, live: bool) -> None:
        self.format = pcm_format
        self._pool = pool
        self._slot = slot
        self._live = live
        self._admitted = False
        self.seconds = 0.0
        """How long the engine worked for this request, waiting apart."""

    async def synthesize(
        self, segment: Segment, first_audio_timeout: float | None = None
    ) -> AsyncGenerator[bytes]:
        """Wait for a turn and speak one segment in it; closing the generator ends the turn.

        `first_audio_timeout` is in seconds and begins with the turn.

        Raises:
            BusyError: this would be the request's first turn, and too many wait; later turns are sure.
            RequestError, EngineError: as `EngineProcess.synthesize`, or the first sound was not in time.
        """
        queue = self._slot.queue
        # Loaded before the turn is waited for, so that a slow load does not count as waiting.
        await self._slot.loaded()
        if self._admitted:
            await queue.take(live=self._live)
        else:
            await self._pool.first_turn(queue, live=self._live)
            self._admitted = True
        begun = perf_counter()
        try:
            async with aclosing(self._speak(segment)) as chunks:
                yield await self._first(chunks, first_audio_timeout)
                async for chunk in chunks:
                    yield chunk
        except StopAsyncIteration:
            return
        finally:
            self.seconds += perf_counter() - begun
            queue.give_back()
            self._pool.note_change()

    async def clone(self, recordings: Sequence[str], transcript: str | None) -> bytes:
        """Wait for a turn and have the engine make what it keeps of a voice.

        Raises:
            RequestError, EngineError: as `EngineProcess.clone`.
        """
        queue = self._slot.queue
        await queue.take(live=self._live)
        try:
            process = await self._slot.loaded()
            return await process.clone(recordings, transcript)
        finally:
            queue.give_back()
            self._pool.note_change()

    async def _first(self, chunks: AsyncGenerator[bytes], limit: float | None) -> bytes:
        try:
            async with asyncio.timeout(limit):
                return await anext(chunks)
        except TimeoutError as error:
            what = f"engine '{self._slot.spec.info.name}' made no sound within {limit:g} s"
            raise EngineError(ErrorCode.ENGINE_UNAVAILABLE, what) from error

    async def _speak(self, segment: Segment) -> AsyncGenerator[bytes]:
        """Speak in this turn; once more when the process dies before a sound, perhaps before it was asked."""
        for last in (False, True):
            process = await self._slot.loaded()
            heard = False
            try:
                async with aclosing(process.synthesize(segment)) as chunks:
                    async for chunk in chunks:
                        heard = True
                        yield chunk
            except EngineDiedError:
                if heard or last:
                    raise
            else:
                return


class TurnQueue:
    """Hands out `streams` turns at a time; among those who wait, the live go first, then first come."""

    def __init__(self, streams: int) -> None:
        self._streams = streams
        self.running = 0
        self._queue: list[tuple[bool, int, asyncio.Future[None]]] = []
        self._order = itertools.count()

    @property
    def free(self) -> bool:
        """Whether a turn would be given at once."""
        return self.running < self._streams

    @property
    def streams(self) -> int:
        return self._streams

    @streams.setter
    def streams(self, streams: int) -> None:
        self._streams = streams
        self._hand_out()

    @property
    def waiting(self) -> int:
        return sum(not turn.done() for _, _, turn in self._queue)

    async def take(self, *, live: bool) -> None:
        """Wait for a turn; each one that is taken must be given back."""
        if self.free:
            self.running += 1
            return
        turn = asyncio.get_running_loop().create_future()
        heapq.heappush(self._queue, (not live, next(self._order), turn))
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():
                self.give_back()
            raise

    def give_back(self) -> None:
        """Hand the turn to the next who still waits."""
        self.running -= 1
        self._hand_out()

    def _hand_out(self) -> None:
        while self.free and self._queue:
            _, _, turn = heapq.heappop(self._queue)
            if not turn.done():
                self.running += 1
                turn.set_result(None)

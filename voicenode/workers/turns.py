"""Whose turn it is: a semaphore that hands over in order, live requests first."""

from __future__ import annotations

import asyncio
import heapq
import itertools


class TurnQueue:
    """Hands out `streams` turns at a time; among those who wait, the live go first, then first come."""

    def __init__(self, streams: int) -> None:
        self._streams = streams
        self._free = streams
        self._queue: list[tuple[bool, int, asyncio.Future[None]]] = []
        self._order = itertools.count()

    @property
    def free(self) -> bool:
        """Whether a turn would be given at once."""
        return self._free > 0

    @property
    def running(self) -> int:
        return self._streams - self._free

    @property
    def waiting(self) -> int:
        return sum(not turn.done() for _, _, turn in self._queue)

    async def take(self, *, live: bool) -> None:
        """Wait for a turn; each one that is taken must be given back."""
        if self._free:
            self._free -= 1
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
        while self._queue:
            _, _, turn = heapq.heappop(self._queue)
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1

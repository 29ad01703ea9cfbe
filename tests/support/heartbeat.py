"""Tells whether an event loop computed too long in one go, which blockbuster cannot see."""

from __future__ import annotations

import asyncio
import gc
import time
from typing import Self

LIMIT = 0.050
"""Seconds that an event loop may compute without a turn."""

STOPPED = "the event loop computed"
"""What the error begins with. A test that fails so is run once more: a loop that computes too long does so
each time, and not only when a virtual machine counts as computing that it waited for its host."""

_PERIOD = 0.005


class Heartbeat:
    """Beats on the running loop while it is entered, and remembers the longest stretch between two beats.

    Time is processor time of the loop's thread. A busy machine or a sleeping loop therefore looks innocent;
    only work that this thread did itself counts, and only while the loop runs: what pytest does between a
    fixture and its test does not. What was made before is hidden from the garbage collector meanwhile: its
    pauses would grow with all that the other tests have imported. `longest` is in seconds.
    """

    def __init__(self) -> None:
        self.longest = 0.0
        self._last = 0.0

    async def __aenter__(self) -> Self:
        gc.freeze()
        self._loop = asyncio.get_running_loop()
        self._run_forever = self._loop.run_forever
        self._loop.run_forever = self._run  # type: ignore[method-assign]
        self._last = time.thread_time()
        self._task = asyncio.create_task(self._beat(), name="heartbeat")
        return self

    async def __aexit__(self, *_: object) -> None:
        self._note()
        del self._loop.run_forever  # uncovers the method of the class
        self._task.cancel()
        await asyncio.wait([self._task])
        gc.unfreeze()

    def check(self) -> None:
        """Raise AssertionError if the loop went without a turn for longer than allowed."""
        assert self.longest <= LIMIT, f"{STOPPED} {self.longest * 1000:.0f} ms without a turn"

    def _run(self) -> None:
        self._last = time.thread_time()
        try:
            self._run_forever()
        finally:
            self._note()

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(_PERIOD)
            self._note()

    def _note(self) -> None:
        now = time.thread_time()
        self.longest = max(self.longest, now - self._last)
        self._last = now

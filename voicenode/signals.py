"""What the signals of the operating system ask of a node."""

from __future__ import annotations

import asyncio
import logging
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Coroutine

_log = logging.getLogger(__name__)


class Signals:
    """The first SIGTERM or SIGINT asks the node to finish, the second to end at once."""

    def __init__(self) -> None:
        self._asked = asyncio.Event()
        self._forced = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._note, number)

    @property
    def asked(self) -> bool:
        """Whether there was a first signal."""
        return self._asked.is_set()

    async def stop_or(self, *events: asyncio.Event) -> None:
        """Wait for the first signal or for one of `events`."""
        await _either(self._asked.wait(), *(event.wait() for event in events))

    async def forced_or(self, work: Coroutine[object, object, object]) -> None:
        """Do `work`, but leave it at the second signal."""
        await _either(self._forced.wait(), work)

    def _note(self, number: signal.Signals) -> None:
        if self._asked.is_set():
            _log.warning("%s again: ending at once", number.name)
            self._forced.set()
        else:
            _log.info("%s: finishing what is being spoken", number.name)
            self._asked.set()


async def _either(*works: Coroutine[object, object, object]) -> None:
    """Wait for the first of `works`, and leave the others."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

"""An event loop whose time passes only when everybody waits, and then at once."""

from __future__ import annotations

import asyncio
import selectors
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Coroutine


def run(main: Coroutine[object, object, None]) -> None:
    """As `asyncio.run`; hours take milliseconds, and are the same hours every time."""
    with asyncio.Runner(loop_factory=_Loop) as runner:
        runner.run(main)


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._now = 0.0
        super().__init__(_Leaping(self))

    def time(self) -> float:
        return self._now

    def leap(self, seconds: float) -> None:
        self._now += seconds


class _Leaping(selectors.DefaultSelector):
    """Where nothing is ready now, nothing will be until the next timer."""

    def __init__(self, loop: _Loop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0 if timeout else timeout)
        if not ready and timeout:
            self._loop.leap(timeout)
        return ready

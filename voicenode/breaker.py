"""A circuit breaker: an engine that keeps failing is left alone for a while."""

from __future__ import annotations

from collections import deque
from time import monotonic
from typing import TYPE_CHECKING

from voicenode.errors import EngineError, ErrorCode

if TYPE_CHECKING:
    from collections.abc import Callable

FAILURES, WITHIN = 5, 60.0
"""So many failures within so many seconds open the breaker."""


class Breaker:
    """Watches one engine; an open breaker lets one request try after `rest` seconds by `clock`."""

    def __init__(self, engine: str, rest: float, clock: Callable[[], float] = monotonic) -> None:
        self._engine = engine
        self._rest = rest
        self._clock = clock
        self._failures: deque[float] = deque(maxlen=FAILURES)
        self._open_until: float | None = None
        self._reason = ""

    def check(self) -> None:
        """Let a request pass.

        Raises:
            EngineError: the breaker is open; the sentence says why, and for how long.
        """
        if self._open_until is None:
            return
        left = self._open_until - self._clock()
        if left > 0:
            what = f"{self._reason} (engine '{self._engine}' keeps failing and rests for {left:.0f} s)"
            raise EngineError(ErrorCode.ENGINE_UNAVAILABLE, what)
        # One request tries; until it is known what becomes of it, the others wait their time.
        self._open_until = self._clock() + self._rest

    def note_failure(self, error: EngineError) -> None:
        now = self._clock()
        self._reason = str(error)
        self._failures.append(now)
        if self._open_until is not None or (
            len(self._failures) == FAILURES and now - self._failures[0] <= WITHIN
        ):
            self._open_until = now + self._rest

    def note_success(self) -> None:
        self._failures.clear()
        self._open_until = None

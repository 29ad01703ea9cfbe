"""When sound leaves: the first soon, and then in pieces that grow with what the listener has in hand."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

FIRST = 10
"""Tokens of the first piece. The vocoder holds four of them back; the rest, 280 ms, is the time in which the
next piece is to be made. Played against a clock on two cores, 206 ms were enough on a quiet machine. Beside a
process that took a core, players then waited in three texts of eight; with steps twice as slow in seven, and
in four of these for 0.2 s or more. With 280 ms these are five, and all but one for less than 0.05 s."""
LEAST, LONGEST = 4, 64
"""Tokens of the pieces after it."""
_MARGIN = 0.5
"""Of what the listener has in hand, the part in which the next piece should be made."""


class Pace:
    """Chooses how many tokens each piece of one text has, by the clock.

    Args:
        clock: tells seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._size = FIRST
        self._begun: float | None = None
        self._sent = 0.0
        self._last = 0.0

    def due(self, tokens: int) -> bool:
        """Whether so many tokens are to be decoded now."""
        return tokens >= self._size

    def left(self, tokens: int, seconds: float) -> None:
        """A piece of so many tokens leaves, and lasts so many seconds."""
        now = self._clock()
        self._sent += seconds
        if self._begun is None:
            self._begun, self._size = now, LEAST
        else:
            in_hand = self._sent - (now - self._begun)
            cost = (now - self._last) / tokens
            self._size = max(LEAST, min(LONGEST, int(_MARGIN * in_hand / cost))) if cost > 0 else LONGEST
        self._last = now

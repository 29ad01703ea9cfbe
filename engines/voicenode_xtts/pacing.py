"""When sound leaves: the first soon, and then in pieces that grow with what the listener has in hand."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

HEAD, PART = 6, 2
"""Tokens of the parts in which the first piece is decoded while it is made: when its last token is there,
little is left to do."""
FIRST = 10
"""Tokens of the first piece, where they are made soon. The vocoder holds four of them back, and some frames;
the rest, 0.26 s, is the time in which the next piece is to be made."""
LEAST, LONGEST = 4, 64
"""Tokens of the pieces after it."""
HELD_BACK, TOKEN = 4, 0.0464
"""Tokens that the vocoder keeps until it has what follows them, and seconds of sound in one."""
_SPARE = 2.6
"""What is to be in hand when the first piece leaves, in times that the tokens of the second one take: as much
again for the vocoder, and a third more. So the first piece is longer where the machine is slow, or busy: with
steps twice as slow, players of ten tokens waited in five texts of eight."""
_MARGIN = 0.5
"""Of what the listener has in hand, the part in which the next piece should be made."""


class Pace:
    """Chooses how many tokens each piece of one text has, by the clock.

    Args:
        clock: tells seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._size = HEAD
        self._started: float | None = None
        self._made = self._decoded = 0
        """Of the tokens of the first piece, those that were due, and those that are decoded."""
        self._first = FIRST
        self._begun: float | None = None
        self._sent = 0.0
        self._last = 0.0

    @property
    def awaited(self) -> bool:
        """Whether nothing has left yet."""
        return self._begun is None

    @property
    def urgent(self) -> bool:
        """Whether nothing has left yet, and all tokens of the first piece are being decoded."""
        return self.awaited and self._made >= self._first

    def due(self, tokens: int) -> bool:
        """Whether so many tokens are to be decoded now; asked for each of the first."""
        if self._started is None:
            self._started = self._clock()
        if tokens < self._size:
            return False
        if self.awaited:
            self._made, self._size = self._made + tokens, PART
            self._first = _first((self._clock() - self._started) / (self._made - 1))
        return True

    def left(self, tokens: int, seconds: float) -> bool:
        """A piece of so many tokens is decoded, and lasts so many seconds with what was kept.

        Returns whether it leaves: what begins the first piece is kept.
        """
        self._decoded += tokens
        if self.awaited and self._decoded < self._first:
            return False
        now = self._clock()
        self._sent += seconds
        if self._begun is None:
            self._begun, self._size = now, LEAST
        else:
            in_hand = self._sent - (now - self._begun)
            cost = (now - self._last) / tokens
            self._size = max(LEAST, min(LONGEST, int(_MARGIN * in_hand / cost))) if cost > 0 else LONGEST
        self._last = now
        return True


def _first(cost: float) -> int:
    """Tokens of the first piece where one takes so many seconds."""
    if cost >= TOKEN:
        return FIRST  # whatever it is, a player will wait
    return max(FIRST, HELD_BACK + math.ceil(_SPARE * LEAST * cost / TOKEN))

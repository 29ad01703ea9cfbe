"""Joins of speech that was made in parts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Samples = NDArray[np.float32]


class CrossFade:
    """Lets the end of each part fade into the beginning of the next, as upstream does.

    Args:
        length: how many samples overlap; 0 joins the parts as they are.
    """

    def __init__(self, length: int) -> None:
        self._length = length
        self._held: Samples = np.zeros(0, np.float32)

    def feed(self, part: Samples) -> Samples:
        """What is certain once a part is there: all but its end."""
        length = min(len(self._held), len(part))
        fade = np.linspace(0, 1, length, dtype=np.float32)
        kept, ending = np.split(self._held, [len(self._held) - length])
        joined = np.concatenate((kept, ending * (1 - fade) + part[:length] * fade, part[length:]))
        ready, self._held = np.split(joined, [max(0, len(joined) - self._length)])
        return ready

    def finish(self) -> Samples:
        """The end of the last part."""
        held, self._held = self._held, self._held[:0]
        return held

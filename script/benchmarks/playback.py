"""Plays a stream against a clock: a player begins with the first chunk and must not run dry."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def waited(chunks: Sequence[tuple[float, float]]) -> float:
    """Seconds that a player waits between chunks; each is the time when it came, and how long it lasts."""
    end, total = chunks[0][0], 0.0
    for came, seconds in chunks:
        total += max(0.0, came - end)
        end = max(end, came) + seconds
    return total

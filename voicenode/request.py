"""What a client asks for, as every door puts it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from voicenode.errors import ErrorCode, RequestError

if TYPE_CHECKING:
    from collections.abc import AsyncIterable

SPEED_RANGE = (0.25, 4.0)
"""What a request may ask for as speed; beyond it no engine is understood."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SynthesisRequest:
    """What a client asks for; every absent field is the node's or the voice's default."""

    text: str | AsyncIterable[str]
    """Whole, or in pieces that may be split anywhere, while it is still being written."""
    text_format: Literal["text", "ssml"] = "text"
    voice: str | None = None
    speaker: str | None = None
    language: str | None = None
    engine: str | None = None
    quality: str | None = None
    """The name of a quality profile of the voice's engine."""
    speed: float | None = None
    """1.0 is the voice's natural speed."""
    volume: float | None = None
    """A factor on the samples; what would be too loud is clipped."""
    live: bool = True
    """A live request goes ahead of batch work at the next segment border."""
    keep_alive: float | None = None
    """Seconds that the engine stays loaded; 0: none, -1: for ever, None: as the node's idle timeout says."""
    door: str = ""
    """Which transport asks, for statistics and the log alone."""
    peer: str = ""
    """Who asks there, such as an address or a job, for the log alone."""
    max_chars: int | None = None
    """Another bound for the text than the node's, such as for a book chapter; the node sets it, no client."""

    def check(self) -> None:
        """Raise RequestError where a value is out of its range."""
        slowest, fastest = SPEED_RANGE
        if self.speed is not None and not slowest <= self.speed <= fastest:
            raise RequestError(
                ErrorCode.BAD_REQUEST, f"speed {self.speed:g} is not within {slowest:g} and {fastest:g}"
            )

"""THE PATH: a synthesis request becomes segments, takes turns on an engine, and comes back as one Speech."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import AsyncIterable


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
    speed: float | None = None
    volume: float | None = None
    live: bool = True
    """A live request goes ahead of batch work at the next segment border."""

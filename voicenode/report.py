"""What became of one request, told once at its end to whoever counts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter

from voicenode.errors import ErrorCode, VoiceServiceError

SPOKEN = "ok"
LEFT = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class SpokenReport:
    """One request, spoken or not; it holds nothing of the text."""

    door: str
    """The transport that it came through, such as `wyoming`."""
    engine: str
    """Empty when the request was refused before one was chosen."""
    voice: str
    """As users name it; empty like `engine`."""
    characters: int
    """Of the segments that the engine got."""
    ttfa: float | None
    """Time to first audio: seconds until the listener had the first sound, if there was any."""
    audio_seconds: float
    """Playing time of all that was made."""
    engine_seconds: float
    """How long the engine worked on it, waiting apart."""
    wall_seconds: float
    """From the request's arrival to its end, waiting and a slow listener included."""
    outcome: str
    """`ok`, `cancelled` when the listener left, else an `ErrorCode`."""

    @property
    def rtf(self) -> float | None:
        """Real-time factor: seconds of work for a second of sound; none without sound."""
        return self.engine_seconds / self.audio_seconds if self.audio_seconds else None


Observer = Callable[[SpokenReport], None]
"""Is called on the event loop, must be quick, and must not raise."""


@dataclass(slots=True)
class Tally:
    """The report of a request that is not over."""

    door: str
    engine: str = ""
    voice: str = ""
    characters: int = 0
    audio_seconds: float = 0.0
    engine_seconds: float = 0.0
    outcome: str = LEFT
    begun: float = field(default_factory=perf_counter)
    first_audio: float | None = None

    def heard(self) -> None:
        """The listener takes some sound."""
        if self.first_audio is None:
            self.first_audio = perf_counter()

    def end(self, error: BaseException | None = None) -> None:
        """All was spoken, or this went wrong."""
        if error is None:
            self.outcome = SPOKEN
        else:
            self.outcome = error.code if isinstance(error, VoiceServiceError) else ErrorCode.INTERNAL

    def report(self) -> SpokenReport:
        return SpokenReport(
            door=self.door,
            engine=self.engine,
            voice=self.voice,
            characters=self.characters,
            ttfa=None if self.first_audio is None else self.first_audio - self.begun,
            audio_seconds=self.audio_seconds,
            engine_seconds=self.engine_seconds,
            wall_seconds=perf_counter() - self.begun,
            outcome=self.outcome,
        )


@contextmanager
def reported(door: str, observers: Iterable[Observer]) -> Iterator[Tally]:
    """Tell `observers` what became of the request whose tally is kept in the context."""
    tally = Tally(door)
    try:
        yield tally
    except VoiceServiceError as error:
        tally.end(error)
        raise
    finally:
        report = tally.report()
        for observer in observers:
            observer(report)

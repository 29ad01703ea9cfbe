"""What became of one request, told once at its end to whoever counts."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter

from voicenode.errors import ErrorCode, VoiceServiceError

_log = logging.getLogger(__name__)

text_log = logging.getLogger("voicenode.spoken")
"""What is spoken, sentence by sentence: silent unless the owner asks for it."""
text_log.setLevel(logging.CRITICAL)

SPOKEN = "ok"
LEFT = "cancelled"
_QUOTING = {ErrorCode.BAD_REQUEST, ErrorCode.BAD_SSML, ErrorCode.INTERNAL}
"""Errors whose sentences may quote the text, which the log must not hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpokenReport:
    """One request, spoken or not; it holds nothing of the text."""

    door: str
    """The transport that it came through, such as `wyoming`."""
    peer: str = ""
    """Who asked there, such as an address."""
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
    problem: str = ""
    """The sentence of an error that quotes nothing of the text."""

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
    peer: str = ""
    engine: str = ""
    voice: str = ""
    characters: int = 0
    audio_seconds: float = 0.0
    engine_seconds: float = 0.0
    outcome: str = LEFT
    problem: str = ""
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
            self.problem = "" if self.outcome in _QUOTING else str(error)

    def report(self) -> SpokenReport:
        return SpokenReport(
            door=self.door,
            peer=self.peer,
            engine=self.engine,
            voice=self.voice,
            characters=self.characters,
            ttfa=None if self.first_audio is None else self.first_audio - self.begun,
            audio_seconds=self.audio_seconds,
            engine_seconds=self.engine_seconds,
            wall_seconds=perf_counter() - self.begun,
            outcome=self.outcome,
            problem=self.problem,
        )


@contextmanager
def reported(door: str, observers: Iterable[Observer], peer: str = "") -> Iterator[Tally]:
    """Tell `observers` what became of the request whose tally is kept in the context."""
    tally = Tally(door, peer)
    try:
        yield tally
    except VoiceServiceError as error:
        tally.end(error)
        raise
    finally:
        report = tally.report()
        for observer in observers:
            observer(report)


def log(report: SpokenReport) -> None:
    """One line a request: who, voice, engine, how much, how soon, how fast, and how it went."""
    first = "no audio" if report.ttfa is None else f"first audio after {report.ttfa * 1000:.1f} ms"
    speed = "" if report.rtf is None else f", RTF {report.rtf:.3f}"
    _log.info(
        "%s %s: voice %s of %s, %d characters, %s, %.2f s of audio in %.3f s%s: %s%s",
        report.door,
        report.peer or "-",
        report.voice or "-",
        report.engine or "-",
        report.characters,
        first,
        report.audio_seconds,
        report.wall_seconds,
        speed,
        report.outcome,
        f" ({report.problem})" if report.problem else "",
    )

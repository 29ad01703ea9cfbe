"""Morse code as an engine for voicenode: the example that docs/engines.md explains."""

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import pi, sin
from typing import Annotated

from annotated_types import Ge, Le

from voicenode.engine import (
    EngineInfo,
    EngineVoice,
    ErrorCode,
    Event,
    PcmFormat,
    RequestError,
    Segment,
    TTSEngine,
)

RATE = 16_000
VOLUME = 8_000
PITCHES = {"low": 440, "high": 880}
"""Hertz."""
USUAL_PITCH = 660

_CODES = """
.- -... -.-. -.. . ..-. --. .... .. .--- -.- .-.. -- -. --- .--. --.- .-. ... - ..- ...- .-- -..- -.-- --..
----- .---- ..--- ...-- ....- ..... -.... --... ---.. ----.
"""
SIGNS = dict(zip("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", _CODES.split(), strict=True))
"""Dots and dashes of each character: Recommendation ITU-R M.1677-1, part I, 1.1."""


@dataclass(frozen=True)
class MorseOptions:
    """The settings of the engine."""

    rate: Annotated[int, Ge(5), Le(60)] = 20
    """Words per minute."""


class MorseEngine(TTSEngine[MorseOptions]):
    """Spells every text in Morse code."""

    info = EngineInfo(
        name="morse",
        description="Morse code, spelled letter by letter",
        licence="Apache-2.0",
        url="https://www.itu.int/rec/R-REC-M.1677/",
        version="1.0.0",
    )
    options_type = MorseOptions

    def voices(self) -> Sequence[EngineVoice]:
        return [EngineVoice("tone", "Morse code", languages=("en",), speakers=tuple(PITCHES))]

    def load(self) -> PcmFormat:
        # The place for heavy imports and for reading models; this engine has none.
        return PcmFormat(RATE)

    def synthesize(self, segment: Segment, stop: Event) -> Iterator[bytes]:
        text = segment.text.upper()
        if not any(character in SIGNS for character in text):
            raise RequestError(ErrorCode.BAD_REQUEST, f"there is no Morse code for {text[:40]!r}")
        pitch = PITCHES.get(segment.speaker or "", USUAL_PITCH)
        dot = 1.2 / (self.options.rate * segment.speed)  # "PARIS ", a word, is 50 dots long
        for character in text:
            if stop.is_set():
                return
            if character in SIGNS:
                yield _letter(SIGNS[character], dot, pitch)
            elif character == " ":
                yield _wave(4 * dot, 0)


def _letter(sign: str, dot: float, pitch: int) -> bytes:
    """One letter and the pause after it: a dash is three dots long, and so is the pause between letters."""
    marks = (_wave(dot if mark == "." else 3 * dot, pitch) for mark in sign)
    return _wave(dot, 0).join(marks) + _wave(3 * dot, 0)


def _wave(seconds: float, pitch: int) -> bytes:
    """A tone, or silence at pitch 0, as signed 16-bit samples."""
    frames = range(round(seconds * RATE))
    return array("h", (round(VOLUME * sin(2 * pi * pitch * n / RATE)) for n in frames)).tobytes()

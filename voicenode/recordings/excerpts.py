"""The cleanest of a recording, cut in its pauses."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from voicenode.recordings.limits import RATE
from voicenode.recordings.speech import FRAME

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from voicenode.recordings.speech import Span

    Samples = NDArray[np.float32]

STYLE_SECONDS = 30.0
"""The most that XTTS listens to (`gpt_cond_len`, `max_ref_len`)."""
SPOKEN_SECONDS = 11.5
"""F5-TTS cuts what is longer than 12 s, and its own pads come to that."""
_BEFORE, _AFTER = 0.1, 0.2
"""Seconds of pause that stay around speech: breaths, and consonants which the detector misses."""


class Phrase(NamedTuple):
    """Speech between two pauses, with a little of them, in samples."""

    start: int
    end: int


def phrases(samples: Samples, spans: Sequence[Span]) -> list[Phrase]:
    """What stays of a recording: speech, and pauses no longer than the pads around it."""
    frame = round(FRAME * RATE)
    found: list[Phrase] = []
    for span in spans:
        start = max(0, span.start * frame - round(_BEFORE * RATE))
        end = min(len(samples), span.end * frame + round(_AFTER * RATE))
        if found and start < found[-1].end:
            start = found[-1].end
        found.append(Phrase(start, end))
    return found


def joined(samples: Samples, chosen: Sequence[Phrase]) -> Samples:
    """Phrases one after the other."""
    return np.concatenate([samples[:0], *(samples[phrase.start : phrase.end] for phrase in chosen)])


def best(ranked: Sequence[tuple[Samples, list[Phrase]]], seconds: float) -> Samples:
    """Up to so many seconds from the recordings, the best of which are first."""
    room = round(seconds * RATE)
    pieces: list[Samples] = []
    for samples, found in ranked:
        for phrase in found:
            piece = samples[phrase.start : phrase.end][:room]
            pieces.append(piece)
            room -= len(piece)
    return np.concatenate(pieces)

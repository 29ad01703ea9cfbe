"""The cleanest of a recording, cut in its pauses."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from voicenode.recordings.limits import RATE
from voicenode.recordings.measuring import FRAME_SAMPLES, frame_powers

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from voicenode.recordings.speech import Span

    Samples = NDArray[np.float32]

STYLE_SECONDS = 30.0
"""The most that XTTS listens to (`gpt_cond_len`, `max_ref_len`)."""
SPOKEN_SECONDS = 11.5
"""F5-TTS cuts what is longer than 12 s, and adds a little itself."""
_BEFORE, _AFTER = round(0.1 * RATE), round(0.3 * RATE)
"""Samples of pause that stay around speech: breaths, and sounds that the detector misses."""
_LEAST_PIECE = 2 * RATE
"""Samples, below which what is left of the room is not filled."""
_CLEAN = 40.0
"""Decibels, from which on nobody hears a difference."""
_QUIETEST = 0.03
"""The share of frames that stand for the noise of a phrase; 12 s have as much of pause around them."""


class Phrase(NamedTuple):
    """Speech between two pauses, with a little of them, in samples; phrases never overlap."""

    start: int
    end: int


def phrases(samples: Samples, spans: Sequence[Span]) -> list[Phrase]:
    """What stays of a recording: speech, and of each pause no more than 0.4 s."""
    found: list[Phrase] = []
    for span in spans:
        earliest = found[-1].end if found else 0
        start = max(earliest, span.start * FRAME_SAMPLES - _BEFORE)
        found.append(Phrase(start, min(len(samples), span.end * FRAME_SAMPLES + _AFTER)))
    return found


def joined(samples: Samples, chosen: Sequence[Phrase]) -> Samples:
    """Phrases one after the other."""
    return np.concatenate([samples[:0], *(samples[phrase.start : phrase.end] for phrase in chosen)])


def best(recordings: Sequence[tuple[Samples, Sequence[Phrase]]], seconds: float) -> Samples:
    """At most so many seconds of the cleanest speech, from the first recording as far as it goes."""
    room = round(seconds * RATE)
    chosen: list[Samples] = []
    for samples, found in recordings:
        if chosen and room < _LEAST_PIECE:
            break
        chosen.append(joined(samples, _cleanest(samples, found, room)))
        room -= len(chosen[-1])
    return np.concatenate(chosen)


def _cleanest(samples: Samples, found: Sequence[Phrase], room: int) -> Sequence[Phrase]:
    """All, or the run of phrases that fits and is best: twice the length is worth 6 dB of noise."""
    if _length(found) <= room:
        return found
    levels = frame_powers(samples)
    short = [part for phrase in found for part in _parts(phrase, levels, room)]
    return max(_runs(short, room), key=lambda run: _snr(levels, run) + 20 * float(np.log10(_length(run))))


def _runs(found: Sequence[Phrase], room: int) -> Iterator[Sequence[Phrase]]:
    """From each phrase on as many as fit."""
    for start in range(len(found)):
        end = start + 1
        while end < len(found) and _length(found[start : end + 1]) <= room:
            end += 1
        yield found[start:end]


def _length(run: Sequence[Phrase]) -> int:
    return sum(phrase.end - phrase.start for phrase in run)


def _parts(phrase: Phrase, levels: Samples, room: int) -> list[Phrase]:
    """A phrase that is too long, cut where it is quietest in the second half of the room."""
    cuts = [phrase.start]
    while phrase.end - cuts[-1] > room:
        first, last = (cuts[-1] + room // 2) // FRAME_SAMPLES + 1, (cuts[-1] + room) // FRAME_SAMPLES
        cuts.append((first + int(levels[first:last].argmin())) * FRAME_SAMPLES)
    return [Phrase(*ends) for ends in pairwise([*cuts, phrase.end])]


def _snr(levels: Samples, run: Sequence[Phrase]) -> float:
    """Decibels, in which a phrase with noise under it counts by its length."""
    heard = [levels[phrase.start // FRAME_SAMPLES : -(-phrase.end // FRAME_SAMPLES)] for phrase in run]
    power = sum(part.sum() for part in heard)
    noise = sum(len(part) * np.quantile(part, _QUIETEST) for part in heard)
    return min(_CLEAN, float(10 * np.log10((power + 1e-12) / (noise + 1e-12))))

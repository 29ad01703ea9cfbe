"""Which figures are too bad for a voice, and which are only worth a word."""

from __future__ import annotations

from typing import TYPE_CHECKING

from voicenode.errors import ErrorCode, RequestError
from voicenode.guard import usual_seconds
from voicenode.recordings.limits import (
    GOOD_BANDWIDTH,
    GOOD_CLIPPING,
    GOOD_SNR,
    GOOD_SPEECH,
    LEAST_BANDWIDTH,
    LEAST_LOUDNESS,
    LEAST_SHARE,
    LEAST_SNR,
    LEAST_SPEECH,
    MOST_CLIPPING,
    PACE,
    USUAL_PACE,
    refused,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from voicenode.recordings.model import Figures, Recording


def judge(name: str, figures: Figures) -> list[str]:
    """What could be better about a recording.

    Raises:
        RequestError: it will not do.
    """
    if fault := next(_faults(figures), None):
        raise refused(name, fault)
    return [f"{name} {flaw}." for flaw in _flaws(figures)]


def judge_length(recordings: Sequence[Recording]) -> list[str]:
    """What there is to say about the length of all recordings together.

    Raises:
        RequestError: it is too little.
    """
    total = sum(recording.figures.speech_seconds for recording in recordings)
    if total < LEAST_SPEECH:
        raise RequestError(
            ErrorCode.BAD_RECORDING,
            f"there are {total:.1f} seconds of speech, and {LEAST_SPEECH:.0f} are the least; "
            "speak for ten seconds or more",
        )
    if total < GOOD_SPEECH:
        return [f"There are only {total:.1f} seconds of speech; ten or more make a better voice."]
    return []


def judge_transcript(recording: Recording, transcript: str, language: str) -> list[str]:
    """What there is to say about how fast the words would have been spoken.

    Raises:
        RequestError: there are none, or nobody could have spoken them in that time.
    """
    usual = usual_seconds(transcript, language) if any(map(str.isalnum, transcript)) else 0.0
    if not usual:
        raise RequestError(ErrorCode.BAD_TRANSCRIPT, f"the transcript {transcript!r} has no words")
    pace = recording.seconds / usual
    compared = (
        f"{len(transcript)} characters take about {usual:.0f} seconds, and {recording.name} "
        f"has {recording.seconds:.0f} seconds of speech"
    )
    if not PACE[0] <= pace <= PACE[1]:
        raise RequestError(
            ErrorCode.BAD_TRANSCRIPT,
            f"the transcript belongs to another recording: its {compared}; write down what is said, "
            "word for word",
        )
    if not USUAL_PACE[0] <= pace <= USUAL_PACE[1]:
        return [f"Does the transcript belong to this recording? Its {compared}."]
    return []


def rank(figures: Figures) -> tuple[float, float]:
    """Orders recordings, the best first: by clean sound, then by length."""
    clean = min(figures.snr_db, _CLEAN) - 20 * figures.clipping / MOST_CLIPPING
    return -round(clean), -figures.speech_seconds


_CLEAN = 40.0
"""Decibels of noise below speech, from which on nobody hears a difference."""


def _faults(figures: Figures) -> Iterator[str]:
    if figures.loudness_lufs < LEAST_LOUDNESS:
        yield (
            f"it is silent or nearly so ({figures.loudness_lufs:.0f} LUFS, {LEAST_LOUDNESS:.0f} are the "
            "least); look whether the microphone was on"
        )
    if not figures.speech_seconds:
        yield f"no speech was found in its {figures.seconds:.1f} seconds"
    if figures.clipping > MOST_CLIPPING:
        yield (
            f"it is overdriven ({figures.clipping:.1%} of it is cut off, {MOST_CLIPPING:.1%} are the most); "
            "record it anew at a lower level"
        )
    if figures.snr_db < LEAST_SNR:
        yield (
            f"it is too noisy (speech is {figures.snr_db:.1f} dB above the noise, {LEAST_SNR:.0f} are the "
            "least); record it anew in a quiet room, close to the microphone"
        )
    if figures.bandwidth_hz < LEAST_BANDWIDTH:
        yield (
            f"it sounds like a telephone (nothing above {figures.bandwidth_hz} Hz, {LEAST_BANDWIDTH} are the "
            "least); record it anew with a microphone, at 24 kHz or more"
        )


def _flaws(figures: Figures) -> Iterator[str]:
    if figures.clipping > GOOD_CLIPPING:
        yield f"is overdriven in places: {figures.clipping:.2%} of it is cut off"
    if figures.snr_db < GOOD_SNR:
        yield f"is noisy: speech is {figures.snr_db:.1f} dB above the noise, {GOOD_SNR:.0f} are good"
    if figures.bandwidth_hz < GOOD_BANDWIDTH:
        yield f"is dull: there is nothing above {figures.bandwidth_hz} Hz in it, {GOOD_BANDWIDTH} are good"
    if figures.speech_share < LEAST_SHARE:
        yield f"is speech only for {figures.speech_share:.0%} of its time; the rest is not used"

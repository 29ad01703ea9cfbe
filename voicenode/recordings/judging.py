"""Which figures are too bad for a voice, and which are only worth a word."""

from __future__ import annotations

from typing import TYPE_CHECKING

from voicenode.errors import ErrorCode, RequestError
from voicenode.recordings.limits import LEAST_SPEECH, refused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from voicenode.recordings.model import Figures, Recording

_GOOD_SPEECH = 6.0
_SNR = 10.0, 20.0
_CLIPPING = 0.01, 0.001
_SHARE = 0.5
_QUIETEST = -50.0
_LETTERS_PER_SECOND = 1.5, 40.0
"""Characters in a second of speech: Chinese read slowly, and anything read faster than auctioneers do."""


def judge(name: str, figures: Figures) -> list[str]:
    """What could be better about a recording.

    Raises:
        RequestError: it will not do.
    """
    _check_is_speech(name, figures)
    bad_snr, good_snr = _SNR
    if figures.snr_db < bad_snr:
        raise refused(
            name,
            f"speech is only {figures.snr_db:.0f} dB above the noise, and {bad_snr:.0f} dB are the least; "
            "record closer to the microphone, in a quiet room",
        )
    bad_clipping, good_clipping = _CLIPPING
    if figures.clipping > bad_clipping:
        raise refused(
            name,
            f"it is overdriven: {figures.clipping:.1%} of it is cut off, and {bad_clipping:.1%} is the most; "
            "record it anew at a lower level",
        )
    warnings = []
    if figures.snr_db < good_snr:
        warnings.append(
            f"{name} is noisy: speech is {figures.snr_db:.0f} dB above the noise, "
            f"and {good_snr:.0f} dB are good."
        )
    if figures.clipping > good_clipping:
        warnings.append(f"{name} is overdriven in places: {figures.clipping:.2%} of it is cut off.")
    if figures.speech_share < _SHARE:
        warnings.append(f"Only {figures.speech_share:.0%} of {name} is speech; the rest is not used.")
    return warnings


def _check_is_speech(name: str, figures: Figures) -> None:
    if figures.loudness_lufs < _QUIETEST:
        raise refused(
            name,
            f"it is silent or nearly so ({figures.loudness_lufs:.0f} LUFS, {_QUIETEST:.0f} are the least); "
            "look whether the microphone was on",
        )
    if not figures.speech_seconds:
        raise refused(name, f"no speech was found in its {figures.seconds:.1f} seconds")


def check_length(figures: Sequence[Figures]) -> None:
    """Refuse too little speech in all.

    Raises:
        RequestError: it is too little.
    """
    total = sum(one.speech_seconds for one in figures)
    if total < LEAST_SPEECH:
        raise RequestError(
            ErrorCode.BAD_RECORDING,
            f"there are {total:.1f} seconds of speech, and {LEAST_SPEECH:.0f} are the least; "
            "speak for ten seconds or more",
        )


def check_transcript(recording: Recording, transcript: str) -> None:
    """Refuse a transcript that nobody could say in that time.

    Raises:
        RequestError: it is too long or too short for the recording.
    """
    seconds = recording.figures.speech_seconds
    characters = sum(character.isalnum() for character in transcript)
    least, most = (round(seconds * pace) for pace in _LETTERS_PER_SECOND)
    if not least <= characters <= most:
        raise RequestError(
            ErrorCode.BAD_TRANSCRIPT,
            f"a transcript of {characters} letters cannot be that of {recording.name}: in {seconds:.1f} "
            f"seconds of speech there are {least} to {most}; write down what is said, word for word",
        )


def rank(figures: Figures) -> tuple[float, float]:
    """Orders recordings, the best first: by clean sound, then by length."""
    return (-round(figures.snr_db - 1000 * figures.clipping), -figures.speech_seconds)

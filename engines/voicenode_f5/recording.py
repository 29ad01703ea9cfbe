"""A recording made ready as a reference: at most 12 seconds of speech, and the words that are in them."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING

import numpy as np

from voicenode.engine import ErrorCode, RequestError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Samples = NDArray[np.float32]

_log = logging.getLogger(__name__)

_WINDOW = 100
"""Windows in a second."""
_LONGEST, _EARLIEST = 12 * _WINDOW, 6 * _WINDOW
_EDGE = -42.0
_PAUSES = ((-50.0, _WINDOW), (-40.0, _WINDOW // 10))
"""Which silence a recording is cut in: below so many dB for so many windows; the first kind that there is."""
_TAIL = 0.05
"""Seconds of silence that are put after the speech. All of these are upstream's."""
_LEAST_SECONDS = 1.0
_BYTES_PER_SECOND = (2.0, 80.0)
"""Between spelling slowly in English and reading fast in Thai."""

_WORD = re.compile(r"[\u3100-\u9fff][^\w\s]*|[^\s\u3100-\u9fff]+")
_CLAUSE_ENDS = tuple(".,;:!?。，；：！？、")  # noqa: RUF001  (Chinese ones, too)
_WORD_BYTES = 6
"""How far off a cut may be to come at the end of a clause, where people pause."""


def prepare(samples: Samples, rate: int, transcript: str) -> tuple[Samples, str]:
    """Cut the speech out of a recording, and its words out of the transcript.

    Of more than 12 seconds the beginning is used, and as many of the words as are in proportion to it: as
    good as can be known without listening.

    Args:
        samples: mono.
        rate: samples per second.
        transcript: what is said in the recording.

    Raises:
        RequestError: there is too little speech, or it cannot be what the transcript says.
    """
    text = transcript.strip()
    speech = _trimmed(samples, rate)
    _check(len(speech) / rate, text)
    levels = _levels(speech, rate)
    end = _end(levels)
    if end < len(levels):
        text = _beginning(text, _spoken(levels[:end]) / _spoken(levels))
        _log.warning(
            "the recording has %.1f s; used: the first %.1f s, '%s'", len(speech) / rate, end / _WINDOW, text
        )
        speech = _trimmed(speech[: end * rate // _WINDOW], rate)
    return np.append(speech, np.zeros(int(_TAIL * rate), np.float32)), _finished(text)


def _check(seconds: float, text: str) -> None:
    if seconds < _LEAST_SECONDS:
        raise _refused(f"there are {seconds:.1f} seconds of speech in it; record between 3 and 12 seconds")
    if not any(character.isalnum() for character in text):
        raise _refused("its transcript is missing; F5-TTS must be told what is said in it, word for word")
    least, most = (round(seconds * pace) for pace in _BYTES_PER_SECOND)
    if not least <= len(text.encode()) <= most:
        raise _refused(
            f"a transcript of {len(text)} characters does not fit {seconds:.1f} seconds of speech; "
            "write down what is said in it, word for word"
        )


def _refused(why: str) -> RequestError:
    return RequestError(ErrorCode.BAD_REQUEST, f"F5-TTS cannot use the recording: {why}")


def _trimmed(samples: Samples, rate: int) -> Samples:
    loud = np.flatnonzero(_levels(samples, rate) >= _EDGE)
    if not len(loud):
        return samples[:0]
    window = rate // _WINDOW
    last = int(loud[-1]) + 1
    return samples[
        int(loud[0]) * window : len(samples) if last * window + window > len(samples) else last * window
    ]


def _levels(samples: Samples, rate: int) -> NDArray[np.float32]:
    """Decibels below full scale of every window."""
    window = rate // _WINDOW
    windows = samples[: len(samples) // window * window].reshape(-1, window)
    levels: NDArray[np.float32] = 10 * np.log10((windows**2).mean(axis=1) + 1e-12)
    return levels


def _spoken(levels: NDArray[np.float32]) -> int:
    return int((levels >= _EDGE).sum())


def _end(levels: NDArray[np.float32]) -> int:
    """After how many windows the reference ends: in the last pause after 6 to 12 seconds, if there is one."""
    if len(levels) <= _LONGEST:
        return len(levels)
    for quiet, least in _PAUSES:
        starts = [start for start in _pauses(levels < quiet, least) if _EARLIEST <= start <= _LONGEST]
        if starts:
            return starts[-1]
    return _LONGEST


def _pauses(silent: NDArray[np.bool_], least: int) -> list[int]:
    """Where `least` or more silent windows in a row begin."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], silent, [False]))))
    return [int(start) for start, end in edges.reshape(-1, 2) if end - start >= least]


def _beginning(text: str, share: float) -> str:
    target = share * len(text.encode())

    def distance(end: int) -> float:
        off = abs(len(text[:end].encode()) - target)
        return off if text[:end].endswith(_CLAUSE_ENDS) else off + _WORD_BYTES

    return text[: min((word.end() for word in _WORD.finditer(text)), key=distance)]


def _finished(text: str) -> str:
    """With a full stop and a space, as upstream has it, so that the new text begins a sentence."""
    return text if text.endswith("。") else text + (" " if text.endswith(".") else ". ")

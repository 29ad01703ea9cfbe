"""From sources to what is kept: each is read, measured, judged, trimmed and brought to one loudness."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from voicenode.audio import PcmFormat, pcm_of
from voicenode.encoding import AudioFormat, encode
from voicenode.errors import RequestError
from voicenode.recordings import excerpts, judging, measuring, speech
from voicenode.recordings.limits import RATE, refused
from voicenode.recordings.loudness import normalised
from voicenode.recordings.model import CheckedRecordings, Excerpt, Recording
from voicenode.recordings.reading import check_size, read

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from voicenode.recordings.model import Source

    Samples = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class _Checked:
    recording: Recording
    phrases: list[excerpts.Phrase]
    samples: Samples
    """The whole of it, normalised, to which the phrases belong."""
    warnings: tuple[str, ...]


def check_all(sources: Sequence[Source], transcript: str | None, language: str) -> CheckedRecordings:
    """As `voicenode.recordings.check` says."""
    check_size(sources)
    checked, warnings = _good(sources, with_transcript=transcript is not None)
    first = checked[0] if transcript is not None else None
    ranked = sorted(checked, key=lambda one: judging.rank(one.recording.figures))
    recordings = tuple(one.recording for one in ranked)
    warnings += judging.judge_length(recordings)
    if first and transcript is not None:
        warnings += judging.judge_transcript(first.recording, transcript, language)
    return CheckedRecordings(
        recordings=recordings,
        style=_excerpt(ranked, excerpts.STYLE_SECONDS),
        spoken=_excerpt([first or ranked[0]], excerpts.SPOKEN_SECONDS),
        transcribed=first.recording if first else None,
        transcript=transcript,
        warnings=tuple(warnings),
    )


def _good(sources: Sequence[Source], *, with_transcript: bool) -> tuple[list[_Checked], list[str]]:
    """The recordings that will do, in the order they came, and what there is to say."""
    good: list[_Checked] = []
    warnings: list[str] = []
    for index, source in enumerate(sources):
        try:
            one = _checked(source)
        except RequestError as error:
            if len(sources) == 1 or (index == 0 and with_transcript):
                raise
            warnings.append(str(error))
        else:
            good.append(one)
            warnings += one.warnings
    if not good:
        raise refused("every recording", " ".join(warnings) or "there is none")
    return good, warnings


def _checked(source: Source) -> _Checked:
    sound = read(source)
    spans = speech.spans(sound.samples, RATE)
    figures = measuring.measure(sound, spans)
    warnings = judging.judge(source.name, figures)
    samples = normalised(sound.samples, RATE)
    phrases = excerpts.phrases(samples, spans)
    whole = excerpts.joined(samples, phrases)
    recording = Recording(source.name, _wav(whole), len(whole) / RATE, figures)
    return _Checked(recording, phrases, samples, (*sound.warnings, *warnings))


def _excerpt(ranked: Sequence[_Checked], seconds: float) -> Excerpt:
    best = excerpts.best([(one.samples, one.phrases) for one in ranked], seconds)
    return Excerpt(_wav(best), len(best) / RATE)


def _wav(samples: Samples) -> bytes:
    return encode(AudioFormat.WAV, PcmFormat(RATE), pcm_of(samples))

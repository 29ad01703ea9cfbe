"""The figures of a recording."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from voicenode.recordings.limits import RATE
from voicenode.recordings.loudness import loudness, true_peak
from voicenode.recordings.model import Figures
from voicenode.recordings.speech import FRAME

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from voicenode.recordings.reading import Sound
    from voicenode.recordings.speech import Span

    Samples = NDArray[np.float32]

MOST_SNR = 80.0
"""dB; pauses that are digital silence would make it infinite."""
_FRAME = round(FRAME * RATE)
_LEAST_PAUSES = 10
"""Frames of pause, a third of a second, from which the noise in them can be told."""
_QUIETEST = 0.05
"""The share of frames that stand for the noise where nobody pauses."""


def measure(sound: Sound, spans: Sequence[Span]) -> Figures:
    """Measure a recording in which speech was found at `spans`."""
    return Figures(
        seconds=round(sound.seconds, 2),
        speech_seconds=round(sum(span.end - span.start for span in spans) * FRAME, 2),
        sample_rate=sound.rate,
        channels=sound.channels,
        snr_db=round(snr(frame_powers(sound.samples), spans), 1),
        clipping=round(sound.clipping, 5),
        loudness_lufs=round(loudness(sound.samples, RATE), 1),
        true_peak_dbtp=round(true_peak(sound.samples, RATE), 1),
    )


def frame_powers(samples: Samples) -> Samples:
    """The mean square of every frame of the detector."""
    whole = np.pad(samples, (0, -len(samples) % _FRAME)).reshape(-1, _FRAME)
    powers: Samples = (whole**2).mean(axis=1)
    return powers


def snr(powers: Samples, spans: Sequence[Span]) -> float:
    """Decibels between speech and what is heard when nobody speaks; 0 where there is no speech."""
    spoken = np.zeros(len(powers), bool)
    for span in spans:
        spoken[span.start : span.end] = True
    if not spoken.any():
        return 0.0
    pauses = powers[~spoken]
    noise = np.median(pauses) if len(pauses) >= _LEAST_PAUSES else np.quantile(powers, _QUIETEST)
    signal = max(0.0, float(powers[spoken].mean() - noise))
    return float(np.clip(10 * np.log10((signal + 1e-12) / (noise + 1e-12)), 0, MOST_SNR))

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
"""Decibels; where nothing at all is heard in pauses it would be infinite."""
FRAME_SAMPLES = round(FRAME * RATE)
_SILENT = 1e-10
"""The power, -100 dB, below which a pause is no recording of the room: a gate or an editor made it."""
_LEAST_PAUSES = 10
"""Frames of pause, a third of a second, from which the noise in them can be told."""
_MOMENTS, _QUIETEST = 4, 0.02
"""Where there is no pause to hear the noise in: how many parts of a frame are looked at, and which share of
them stands for it. A part, 8 ms, is shorter than the silence in a t."""
_WINDOW = 1024
_BAND_EDGE = -60.0
"""Decibels below the strongest frequency, where a recording ends: the noise of a good one lies there."""


def measure(sound: Sound, spans: Sequence[Span]) -> Figures:
    """Measure a recording in which speech was found at `spans`."""
    spoken = _mask(len(frame_powers(sound.samples)), spans)
    seconds = min(sound.seconds, float(spoken.sum()) * FRAME)
    return Figures(
        seconds=round(sound.seconds, 2),
        speech_seconds=round(seconds, 2),
        speech_share=round(seconds / sound.seconds, 3),
        sample_rate=sound.rate,
        channels=sound.channels,
        bandwidth_hz=_bandwidth(sound.samples, spoken),
        snr_db=round(_snr(_frames(sound.samples), spoken), 1),
        clipping=round(sound.clipping, 5),
        loudness_lufs=round(loudness(sound.samples, RATE), 1),
        true_peak_dbtp=round(true_peak(sound.samples, RATE), 1),
    )


def frame_powers(samples: Samples) -> Samples:
    """The mean square of every frame of the detector of speech."""
    powers: Samples = (_frames(samples) ** 2).mean(axis=1)
    return powers


def _frames(samples: Samples) -> Samples:
    return np.pad(samples, (0, -len(samples) % FRAME_SAMPLES)).reshape(-1, FRAME_SAMPLES)


def _mask(count: int, spans: Sequence[Span]) -> NDArray[np.bool_]:
    spoken = np.zeros(count, bool)
    for span in spans:
        spoken[span.start : span.end] = True
    return spoken


def _snr(frames: Samples, spoken: NDArray[np.bool_]) -> float:
    """Decibels between speech and what is heard when nobody speaks; 0 where there is no speech."""
    if not spoken.any():
        return 0.0
    power = float((frames[spoken] ** 2).mean())
    noise = _noise(frames, spoken)
    signal = max(0.0, power - noise)
    return float(np.clip(10 * np.log10((signal + 1e-12) / (noise + 1e-12)), 0, MOST_SNR))


def _noise(frames: Samples, spoken: NDArray[np.bool_]) -> float:
    """The power in the pauses; without a pause, or with one that was made silent, that between two sounds."""
    pauses = (frames[~_widened(spoken)] ** 2).mean(axis=1)
    noise = float(np.median(pauses)) if len(pauses) >= _LEAST_PAUSES else 0.0
    if noise > _SILENT:
        return noise
    moments = (frames[spoken].reshape(-1, FRAME_SAMPLES // _MOMENTS) ** 2).mean(axis=1)
    return float(np.quantile(moments, _QUIETEST))


def _widened(spoken: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """With the frame before and the two after speech, in which a breath begins and the room rings."""
    wide = np.pad(spoken, 2)
    return wide[3:-1] | spoken | wide[1:-3] | wide[:-4]


def _bandwidth(samples: Samples, spoken: NDArray[np.bool_]) -> int:
    """Hz, up to which the average spectrum of speech reaches; 0 where there is no speech."""
    speech = _frames(samples)[spoken].ravel()
    windows = speech[: len(speech) // _WINDOW * _WINDOW].reshape(-1, _WINDOW) * np.hanning(_WINDOW)
    if not len(windows):
        return 0
    power = (np.abs(np.fft.rfft(windows)) ** 2).mean(axis=0)
    heard = np.flatnonzero(power >= power.max() * 10 ** (_BAND_EDGE / 10))
    return int(heard[-1]) * RATE // _WINDOW

"""Loudness and peaks after ITU-R BS.1770-4, and the one loudness that recordings are brought to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import soxr

from voicenode.guard import limit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Samples = NDArray[np.float32]

TARGET = -20.0
"""LUFS of every recording: speech keeps its peaks, and F5-TTS's own level (rms 0.1) is the same."""
_OFFSET, _ABSOLUTE, _RELATIVE = -0.691, -70.0, -10.0
_BLOCK, _HOP = 0.4, 0.1
_SHELF = (1681.974450955533, 3.999843853973347, 0.7071752369554196)
_HIGH_PASS = (38.13547087602444, 0.5003270373238773)
"""Hz, dB and Q of the two filters, which BS.1770 gives as coefficients for 48 kHz alone."""
_OVERSAMPLING = 4
SILENT = -100.0
"""What the figures say of digital silence, in dB."""


def loudness(samples: Samples, rate: int) -> float:
    """LUFS, gated, of mono samples."""
    powers = _block_powers(_weighted(samples, rate), rate)
    heard = powers[powers > _power_of(_ABSOLUTE)]
    if not len(heard):
        return SILENT
    heard = heard[heard > heard.mean() * 10 ** (_RELATIVE / 10)]
    return float(_OFFSET + 10 * np.log10(heard.mean()))


def true_peak(samples: Samples, rate: int) -> float:
    """dBTP: the peak at four times the sample rate."""
    peak = np.abs(soxr.resample(samples, rate, _OVERSAMPLING * rate)).max(initial=0)
    return max(SILENT, float(20 * np.log10(peak + 1e-12)))


def normalised(samples: Samples, rate: int) -> Samples:
    """The same at the usual loudness; the highest peaks are bent, not cut."""
    gain = 10 ** ((TARGET - loudness(samples, rate)) / 20)
    return limit((samples * np.float32(gain)).astype(np.float32))


def _weighted(samples: Samples, rate: int) -> NDArray[np.float64]:
    """Through both filters, as a product of spectra: numpy has no recursive filter, and scipy is 100 MB."""
    size = len(samples) + rate
    spectrum = np.fft.rfft(samples, size)
    z = np.exp(-2j * np.pi * np.arange(len(spectrum)) / size)
    for (b0, b1, b2), (a0, a1, a2) in (_shelf(rate), _high_pass(rate)):
        spectrum *= (b0 + b1 * z + b2 * z**2) / (a0 + a1 * z + a2 * z**2)
    weighted: NDArray[np.float64] = np.fft.irfft(spectrum, size)[: len(samples)]
    return weighted


_Filter = tuple[tuple[float, float, float], tuple[float, float, float]]


def _shelf(rate: int) -> _Filter:
    hertz, decibels, q = _SHELF
    k = np.tan(np.pi * hertz / rate)
    high = 10 ** (decibels / 20)
    band = high**0.4996667741545416
    numerator = (high + band * k / q + k * k, 2 * (k * k - high), high - band * k / q + k * k)
    return numerator, (1 + k / q + k * k, 2 * (k * k - 1), 1 - k / q + k * k)


def _high_pass(rate: int) -> _Filter:
    hertz, q = _HIGH_PASS
    k = np.tan(np.pi * hertz / rate)
    scale = 1 + k / q + k * k
    return (scale, -2 * scale, scale), (scale, 2 * (k * k - 1), 1 - k / q + k * k)


def _block_powers(samples: NDArray[np.float64], rate: int) -> NDArray[np.float64]:
    """The mean square of each 400 ms, every 100 ms; of a shorter sound, of all of it."""
    total = np.concatenate(([0.0], np.cumsum(samples**2)))
    block = min(round(_BLOCK * rate), len(samples))
    starts = np.arange(0, len(total) - block, round(_HOP * rate))
    powers: NDArray[np.float64] = (total[starts + block] - total[starts]) / max(1, block)
    return powers


def _power_of(lufs: float) -> float:
    return float(10 ** ((lufs - _OFFSET) / 10))

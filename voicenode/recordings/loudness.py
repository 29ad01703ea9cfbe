"""Loudness and peaks after ITU-R BS.1770-4, and the one loudness that recordings are brought to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import soxr

from voicenode.guard import limit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Samples = NDArray[np.float32]

TARGET = -20.0
"""LUFS of every recording: speech keeps its peaks, and F5-TTS's own level (rms 0.1) is the same."""
_OFFSET, _ABSOLUTE, _RELATIVE = -0.691, -70.0, -10.0
_HOP, _HOPS = 0.1, 4
"""Seconds from block to block, and how many of them a block has."""
_PIECE = 30
"""Seconds that are computed at once."""
_SHELF = (1681.974450955533, 3.999843853973347, 0.7071752369554196)
_HIGH_PASS = (38.13547087602444, 0.5003270373238773)
"""Hz, dB and Q of the two filters, which BS.1770 gives as coefficients for 48 kHz alone."""
_OVERSAMPLING = 4
SILENT = -100.0
"""What the figures say of digital silence, in dB."""


def loudness(samples: Samples, rate: int) -> float:
    """LUFS, gated, of mono samples."""
    powers = _block_powers(samples, rate)
    heard = powers[powers > 10 ** ((_ABSOLUTE - _OFFSET) / 10)]
    if not len(heard):
        return SILENT
    heard = heard[heard > heard.mean() * 10 ** (_RELATIVE / 10)]
    return float(_OFFSET + 10 * np.log10(heard.mean()))


def true_peak(samples: Samples, rate: int) -> float:
    """dBTP: the peak at four times the sample rate."""
    stream = soxr.ResampleStream(rate, _OVERSAMPLING * rate, 1, dtype="float32")
    pieces = np.array_split(samples, len(samples) // (_PIECE * rate) + 1)
    peaks = [np.abs(stream.resample_chunk(piece)).max(initial=0) for piece in pieces]
    peaks.append(np.abs(stream.resample_chunk(samples[:0], last=True)).max(initial=0))
    return max(SILENT, float(20 * np.log10(max(peaks) + 1e-12)))


def normalised(samples: Samples, rate: int) -> Samples:
    """The same at the usual loudness; the highest peaks are bent, not cut."""
    gain = 10 ** ((TARGET - loudness(samples, rate)) / 20)
    return limit((samples * np.float32(gain)).astype(np.float32))


def _block_powers(samples: Samples, rate: int) -> NDArray[np.float64]:
    """The mean square of the weighted sound, over 400 ms, every 100 ms."""
    hop = round(_HOP * rate)
    hops = max(_HOPS, -(-len(samples) // hop))
    padded = np.pad(samples, (0, hops * hop - len(samples)))
    powers = np.concatenate(
        [(piece.reshape(-1, hop) ** 2).mean(axis=1) for piece in _weighted(padded, rate, _PIECE * hop * 10)]
    )
    blocks: NDArray[np.float64] = np.convolve(powers, np.full(_HOPS, 1 / _HOPS), mode="valid")
    return blocks


def _weighted(samples: Samples, rate: int, size: int) -> Iterator[NDArray[np.float64]]:
    """The sound through both filters, in pieces of `size`, each filtered after a second of what is before it.

    A product of spectra: numpy has no recursive filter, and scipy is 100 MB. A second after, these filters
    have forgotten what was.
    """
    response = _response(min(size, len(samples)) + 2 * rate, rate)
    for start in range(0, len(samples), size):
        before = min(start, rate)
        spectrum = np.fft.rfft(samples[start - before : start + size], 2 * len(response) - 2)
        weighted = np.fft.irfft(spectrum * response)
        yield weighted[before : before + min(size, len(samples) - start)]


def _response(size: int, rate: int) -> NDArray[np.complex128]:
    """What the filters do to each frequency of a sound of `size` samples, or of one more."""
    count = size // 2 + 1
    z = np.exp(-1j * np.pi * np.arange(count) / (count - 1))
    response = np.ones(count, np.complex128)
    for (b0, b1, b2), (a0, a1, a2) in (_shelf(rate), _high_pass(rate)):
        response *= (b0 + b1 * z + b2 * z**2) / (a0 + a1 * z + a2 * z**2)
    return response


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

"""The mel spectrogram that F5-TTS and Vocos share: 100 bands, 24 kHz, 256 samples a frame."""

import math

import torch
from torch import Tensor

RATE = 24_000
HOP = 256
_BANDS = 100
_SIZE = 1024
_SILENCE = 1e-5


def magnitudes(samples: Tensor) -> Tensor:
    """Samples [n] become [n // HOP + 1, bands], proportional to their loudness."""
    window = torch.hann_window(_SIZE)
    spectrum = torch.stft(
        samples, _SIZE, HOP, window=window, center=True, pad_mode="reflect", return_complex=True
    )
    return spectrum.abs().T @ _filters()


def log_mel(linear: Tensor, gain: float) -> Tensor:
    """The logarithm that the networks know, of the same sound `gain` times as loud."""
    return (linear * gain).clamp(min=_SILENCE).log()


def _filters() -> Tensor:
    """Triangles, evenly spaced on HTK's mel scale up to half the rate: [frequencies, bands]."""
    frequencies = torch.linspace(0, RATE // 2, _SIZE // 2 + 1)
    highest = 2595 * math.log10(1 + RATE / 2 / 700)
    corners = 700 * (10 ** (torch.linspace(0, highest, _BANDS + 2) / 2595) - 1)
    rising = (frequencies[:, None] - corners[:-2]) / (corners[1:-1] - corners[:-2])
    falling = (corners[2:] - frequencies[:, None]) / (corners[2:] - corners[1:-1])
    return torch.minimum(rising, falling).clamp(min=0)

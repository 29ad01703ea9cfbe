"""The vocoder of XTTS v2, and how it decodes a stream: every latent once, and with exact joins."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Sequence

HOP = 256
"""Samples per frame."""
CONTEXT = 14
"""Frames on either side that a frame's samples depend on: 3 by `conv_pre`, 1 by the first of `ups`, 7.5 by
the blocks at 8 times the rate, and ever less by what follows at 64, 128 and 256 times; 13.3 in all."""

_CHANNELS = 512
_RATES, _KERNELS = (8, 8, 2, 2), (16, 16, 4, 4)
_BLOCK_KERNELS, _DILATIONS = (3, 7, 11), (1, 3, 5)
_SLOPE, _LAST_SLOPE = 0.1, 0.01


class HifiGan(nn.Module):
    """Frames and a voice to samples; upstream's `HifiganGenerator` with its weight norm folded."""

    def __init__(self, width: int, voice_width: int) -> None:
        super().__init__()
        channels = [_CHANNELS >> level for level in range(len(_RATES) + 1)]
        self.conv_pre = nn.Conv1d(width, _CHANNELS, 7, padding=3)
        self.cond_layer = nn.Conv1d(voice_width, _CHANNELS, 1)
        self.ups = nn.ModuleList(
            nn.ConvTranspose1d(channels[level], channels[level + 1], kernel, rate, (kernel - rate) // 2)
            for level, (rate, kernel) in enumerate(zip(_RATES, _KERNELS, strict=True))
        )
        self.conds = nn.ModuleList(nn.Conv1d(voice_width, count, 1) for count in channels[1:])
        self.resblocks = nn.ModuleList(
            _Block(count, kernel) for count in channels[1:] for kernel in _BLOCK_KERNELS
        )
        self.conv_post = nn.Conv1d(channels[-1], 1, 7, padding=3, bias=False)

    def forward(self, frames: Tensor, voice: Tensor) -> Tensor:
        """Frames, [width, frames], and a voice, [voice width, 1], to samples, [frames * HOP]."""
        hidden = self.conv_pre(frames) + self.cond_layer(voice)
        blocks = len(_BLOCK_KERNELS)
        for level, (up, condition) in enumerate(zip(self.ups, self.conds, strict=True)):
            hidden = up(functional.leaky_relu(hidden, _SLOPE)) + condition(voice)
            mixed = self.resblocks[level * blocks](hidden)
            for block in self.resblocks[level * blocks + 1 : (level + 1) * blocks]:
                mixed += block(hidden)
            hidden = mixed / blocks
        samples: Tensor = torch.tanh(self.conv_post(functional.leaky_relu(hidden, _LAST_SLOPE)))
        return samples[0]


class VocoderStream:
    """The latents of one utterance, as they are made, to samples: those of one decode of all of them.

    Args:
        decoder: the vocoder.
        voice: its embedding, [voice width, 1].
        scales: by how much the latents are stretched, one step after the other, to be frames.
    """

    def __init__(self, decoder: HifiGan, voice: Tensor, scales: Sequence[float]) -> None:
        self._decoder = decoder
        self._voice = voice
        self._stretchers = [Stretcher(scale) for scale in scales]
        self._frames = voice.new_zeros(0, decoder.conv_pre.in_channels)
        self._done = 0

    @torch.inference_mode()
    def feed(self, latents: Tensor, *, last: bool = False) -> Tensor:
        """Further latents, [count, width], to the samples that no later latent can change any more."""
        frames = latents.to(self._voice.dtype)
        for stretcher in self._stretchers:
            frames = stretcher.feed(frames, last=last)
        self._frames = torch.cat((self._frames, frames))
        end = len(self._frames) if last else len(self._frames) - CONTEXT
        if end <= self._done:
            return self._voice.new_zeros(0)
        samples: Tensor = self._decoder(self._frames.T, self._voice)[self._done * HOP : end * HOP]
        spent = max(0, end - CONTEXT)
        self._frames, self._done = self._frames[spent:], end - spent
        return samples


class Stretcher:
    """`torch.nn.functional.interpolate(..., mode="linear")` of a sequence, [count, width], that grows."""

    def __init__(self, scale: float) -> None:
        self._scale = scale
        self._rows: Tensor | None = None
        self._first = 0
        self._made = 0

    def feed(self, rows: Tensor, *, last: bool) -> Tensor:
        """All that can be told: beyond the last known row only when there will be no other."""
        if self._rows is not None:
            rows = torch.cat((self._rows, rows))
        known = self._first + len(rows)
        end = int(known * self._scale) if last else int((known - 0.5) * self._scale - 0.5)
        places = self._places(range(self._made, max(end, self._made)), rows.device)
        left = places.long()
        weight = (places - left)[:, None].to(rows.dtype)
        right = (left + 1).clamp(max=known - 1)
        made = rows[left - self._first] * (1 - weight) + rows[right - self._first] * weight
        self._made += len(made)
        needed = int(self._places(range(self._made, self._made + 1), rows.device)[0])
        spent = min(max(0, needed - self._first), len(rows))
        self._rows, self._first = rows[spent:], self._first + spent
        return made

    def _places(self, numbers: range, device: torch.device) -> Tensor:
        """Where in the source each number lies, rounded once to float32 as torch's fused kernel does."""
        step = torch.tensor(1 / self._scale, dtype=torch.float32).double().to(device)
        made = torch.arange(numbers.start, numbers.stop, dtype=torch.float64, device=device)
        return ((made + 0.5) * step - 0.5).float().clamp(min=0)


class _Block(nn.Module):
    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        self.convs1 = nn.ModuleList(_convolution(channels, kernel, dilation) for dilation in _DILATIONS)
        self.convs2 = nn.ModuleList(_convolution(channels, kernel, 1) for _ in _DILATIONS)

    def forward(self, hidden: Tensor) -> Tensor:
        for first, second in zip(self.convs1, self.convs2, strict=True):
            mixed = first(functional.leaky_relu(hidden, _SLOPE))
            hidden = hidden + second(functional.leaky_relu(mixed, _SLOPE))
        return hidden


def _convolution(channels: int, kernel: int, dilation: int) -> nn.Conv1d:
    return nn.Conv1d(channels, channels, kernel, padding=(kernel - 1) * dilation // 2, dilation=dilation)

"""The vocoder of XTTS v2, and how it decodes a stream: every latent once, and with exact joins.

Each of its convolutions keeps the end of what it was given and begins there the next time. So nothing is
decoded twice, however short the pieces are, and the whole is that of one decode.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from voicenode_xtts.convolution import Convolution, Delay, Piecewise, PiecewisePair
from voicenode_xtts.stretching import Stretcher

if TYPE_CHECKING:
    from collections.abc import Sequence

HOP = 256
"""Samples per frame."""

_CHANNELS = 512
_RATES, _KERNELS = (8, 8, 2, 2), (16, 16, 4, 4)
_BLOCK_KERNELS, _DILATIONS = (3, 7, 11), (1, 3, 5)
_SLOPE, _LAST_SLOPE = 0.1, 0.01
_BLOCK = 32
"""Frames that are decoded at a time. A long piece takes memory in many sizes, of which the heap keeps
gigabytes; of few frames, 32 kB each between two levels, all stays in the processor's cache. Of fewer, the
calls cost more than what they compute."""
_STEP = 8
"""What the number of frames that are decoded at a time is a multiple of, but for the first and the last. For
each number oneDNN compiles and keeps 78 convolutions, and the heap keeps holes of other sizes."""


class HifiGan(nn.Module):
    """The weights of upstream's `HifiganGenerator`, named as there, with its weight norm folded."""

    def __init__(self, width: int, voice_width: int) -> None:
        super().__init__()
        channels = [_CHANNELS >> level for level in range(len(_RATES) + 1)]
        self.conv_pre = nn.Conv1d(width, _CHANNELS, 7)
        self.cond_layer = nn.Conv1d(voice_width, _CHANNELS, 1)
        self.ups = nn.ModuleList(
            nn.ConvTranspose1d(channels[level], channels[level + 1], kernel, rate)
            for level, (rate, kernel) in enumerate(zip(_RATES, _KERNELS, strict=True))
        )
        self.conds = nn.ModuleList(nn.Conv1d(voice_width, count, 1) for count in channels[1:])
        self.resblocks = nn.ModuleList(
            _BlockWeights(count, kernel) for count in channels[1:] for kernel in _BLOCK_KERNELS
        )
        self.conv_post = nn.Conv1d(channels[-1], 1, 7, bias=False)


class Vocoder:
    """A vocoder that is ready to decode; its weights are laid out for this device.

    Args:
        weights: of upstream.
        dtype: what the blocks, nine tenths of the work, multiply in. Sums, and what is passed on from one to
            the next, are of float32.
    """

    def __init__(self, weights: HifiGan, dtype: torch.dtype = torch.float32) -> None:
        self.voice_width = weights.cond_layer.in_channels
        self.pre, self.post = Convolution.of(weights.conv_pre), Convolution.of(weights.conv_post)
        blocks = len(_BLOCK_KERNELS)
        self.levels = [
            _Level(up, list(weights.resblocks)[level * blocks : (level + 1) * blocks], rate, dtype)
            for level, (up, rate) in enumerate(zip(weights.ups, _RATES, strict=True))
        ]
        self._conditions = [
            (layer.weight[..., 0].clone(), layer.bias + own.bias)
            for layer, own in zip(
                (weights.cond_layer, *weights.conds), (weights.conv_pre, *weights.ups), strict=True
            )
        ]

    def biases(self, voice: Tensor) -> list[Tensor]:
        """What is added before the first level, and in each level, for a voice, [width, 1]."""
        return [functional.linear(voice[:, 0], weight, bias) for weight, bias in self._conditions]


class VocoderStream:
    """The latents of one utterance, as they are made, to samples: those of one decode of all of them.

    Args:
        decoder: the vocoder.
        voice: its embedding, [voice width, 1].
        scales: by how much the latents are stretched, one step after the other, to be frames.
    """

    def __init__(self, decoder: Vocoder, voice: Tensor, scales: Sequence[float]) -> None:
        self._dtype = voice.dtype
        self._stretchers = [Stretcher(scale) for scale in scales]
        self._frames = Decoding(decoder, voice)

    @torch.inference_mode()
    def feed(self, latents: Tensor, *, last: bool = False) -> Tensor:
        """Further latents, [count, width], to the samples that no later latent can change any more."""
        frames = latents.to(self._dtype)
        for stretcher in self._stretchers:
            frames = stretcher.feed(frames, last=last)
        return self._frames.feed(frames, last=last)


class Decoding:
    """Frames of one utterance to samples, piece by piece."""

    def __init__(self, decoder: Vocoder, voice: Tensor) -> None:
        first, *others = decoder.biases(voice)
        self._pre = Piecewise(decoder.pre, first)
        self._levels = [_LevelStream(level, bias) for level, bias in zip(decoder.levels, others, strict=True)]
        self._post = Piecewise(decoder.post)
        self._waiting: Tensor | None = None

    def feed(self, frames: Tensor, *, last: bool) -> Tensor:
        """Frames, [count, width], to all samples, [HOP for each frame], that are sure by now."""
        if self._waiting is None:  # the first ones, which a listener awaits, are always as many
            ready = len(frames)
        else:
            frames = torch.cat((self._waiting, frames))
            ready = len(frames) if last else len(frames) // _STEP * _STEP
        frames, self._waiting = frames[:ready], frames[ready:]
        # A GPU has no such cache, and each call costs it as much for one frame as for a hundred.
        blocks = torch.split(frames, max(1, len(frames)) if frames.is_cuda else _BLOCK)
        made = [self._feed(block, last=last and block is blocks[-1]) for block in blocks]
        return torch.cat(made)

    def _feed(self, frames: Tensor, *, last: bool) -> Tensor:
        hidden = self._pre.feed(frames, last=last)
        for level in self._levels:
            hidden = level.feed(hidden, last=last)
        return self._post.feed(functional.leaky_relu_(hidden, _LAST_SLOPE), last=last)[:, 0].tanh()


class _BlockWeights(nn.Module):
    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        self.convs1 = nn.ModuleList(
            nn.Conv1d(channels, channels, kernel, dilation=dilation) for dilation in _DILATIONS
        )
        self.convs2 = nn.ModuleList(nn.Conv1d(channels, channels, kernel) for _ in _DILATIONS)


class _Level:
    """From one rate to a higher one, and three blocks there, of which the mean is taken."""

    def __init__(self, up: nn.Module, blocks: Sequence[Any], rate: int, dtype: torch.dtype) -> None:
        self.rate = rate
        self.up = Convolution.of_transposed(up)
        self.blocks = [
            [
                (Convolution.of(first, dtype), Convolution.of(second, dtype))
                for first, second in zip(block.convs1, block.convs2, strict=True)
            ]
            for block in blocks
        ]


class _LevelStream:
    def __init__(self, level: _Level, voice: Tensor) -> None:
        self._rate = level.rate
        self._up = Piecewise(level.up, voice.repeat(level.rate))
        self._blocks = [_BlockStream(pairs) for pairs in level.blocks]
        self._ready = [Delay() for _ in self._blocks[1:]]
        self._first = True

    def feed(self, hidden: Tensor, *, last: bool) -> Tensor:
        hidden = self._risen(functional.leaky_relu_(hidden, _SLOPE), last=last)
        *sooner, mixed = (block.feed(hidden, last=last) for block in self._blocks)
        for rows, delay in zip(sooner, self._ready, strict=True):
            delay.add(mixed, rows)
        return mixed.div_(len(self._blocks))

    def _risen(self, hidden: Tensor, *, last: bool) -> Tensor:
        """At the higher rate; half a step of the lower one is cut off at both ends."""
        blocks = self._up.feed(hidden, last=last)
        rows = blocks.reshape(len(blocks) * self._rate, blocks.shape[1] // self._rate)
        if self._first and len(rows):
            rows, self._first = rows[self._rate // 2 :], False
        return rows[: -self._rate // 2] if last else rows


class _BlockStream:
    def __init__(self, pairs: Sequence[tuple[Convolution, Convolution]]) -> None:
        self._pairs = [PiecewisePair(first, second, _SLOPE) for first, second in pairs]

    def feed(self, hidden: Tensor, *, last: bool) -> Tensor:
        for pair in self._pairs:
            hidden = pair.feed(hidden, last=last)
        return hidden

"""What both backbones are made of, for inference only.

After F5-TTS (https://github.com/SWivid/F5-TTS, MIT): attributes bear the names of its checkpoints. Its own
modules would cost six seconds and 380 MiB of imports that speaking never uses.
"""

from math import log

import torch
from torch import Tensor, nn
from torch.nn import functional

from voicenode_f5.layers import Conv1d, Embedding, Linear

HEAD = 64
"""Channels of an attention head."""
_TIME_CHANNELS = 256
_EPSILON = 1e-6

Rotation = tuple[Tensor, Tensor]
"""Cosine and sine of the rotary embedding, each [positions, HEAD]."""


class TimeEmbedding(nn.Module):
    """Where in the flow a step stands: [batch] from 0 to 1 becomes [batch, dim]."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.time_mlp = nn.Sequential(Linear(_TIME_CHANNELS, dim), nn.SiLU(), Linear(dim, dim))

    def forward(self, time: Tensor) -> Tensor:
        half = _TIME_CHANNELS // 2
        scales = torch.exp(torch.arange(half, device=time.device).float() * -(log(10000) / (half - 1)))
        angles = 1000 * time[:, None] * scales
        waves = torch.cat((angles.sin(), angles.cos()), dim=-1)
        embedded: Tensor = self.time_mlp(waves.to(next(self.parameters()).dtype))
        return embedded


class TextEmbedding(nn.Module):
    """The tokens of a text, spread over the frames from the first on.

    Args:
        rows: tokens of the vocabulary, and one before them for frames without a token.
        dim: channels.
        layers: convolutional blocks; 0 for a plain embedding.
        masked: whether frames without a token are held at zero between the blocks.
    """

    def __init__(self, rows: int, dim: int, layers: int, *, masked: bool) -> None:
        super().__init__()
        self.text_embed = Embedding(rows, dim)
        self.text_blocks = nn.Sequential(*(ConvBlock(dim, 2 * dim) for _ in range(layers)))
        self._masked = masked

    def forward(self, tokens: Tensor, frames: int) -> Tensor:
        """Tokens [n] become [2, frames, dim]: with the text, and without any for classifier-free guidance."""
        known = functional.pad(tokens[:frames] + 1, (0, max(0, frames - len(tokens))))
        embedded: Tensor = self.text_embed(torch.stack((known, torch.zeros_like(known))))
        if not len(self.text_blocks):
            return embedded
        embedded = embedded + _positions(frames, embedded)
        empty = (known == 0)[None, :, None] & self._masked
        embedded = embedded.masked_fill(empty, 0)
        for block in self.text_blocks:
            embedded = block(embedded).masked_fill(empty, 0)
        return embedded


class ConvBlock(nn.Module):
    """ConvNeXt V2, over [batch, length, dim]."""

    def __init__(self, dim: int, inner: int) -> None:
        super().__init__()
        self.dwconv = Conv1d(dim, dim, kernel_size=7, padding=3, groups=dim)
        self.norm = nn.LayerNorm(dim, eps=_EPSILON)
        self.pwconv1 = Linear(dim, inner)
        self.grn = ResponseNorm(inner)
        self.pwconv2 = Linear(inner, dim)

    def forward(self, x: Tensor) -> Tensor:
        inner = self.pwconv1(self.norm(self.dwconv(x.transpose(1, 2)).transpose(1, 2)))
        changed: Tensor = self.pwconv2(self.grn(functional.gelu(inner)))
        return x + changed


class ResponseNorm(nn.Module):
    """Global response normalisation of ConvNeXt V2."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.empty(1, 1, dim))
        self.beta = nn.Parameter(torch.empty(1, 1, dim))

    def forward(self, x: Tensor) -> Tensor:
        response = torch.linalg.vector_norm(x, dim=1, keepdim=True)
        share = response / (response.mean(dim=-1, keepdim=True) + _EPSILON)
        out: Tensor = self.gamma * (x * share) + self.beta + x
        return out


class InputEmbedding(nn.Module):
    """Noisy mel, reference mel and text, each [batch, frames, channels], become [batch, frames, dim]."""

    def __init__(self, mel: int, text: int, dim: int) -> None:
        super().__init__()
        self.proj = Linear(2 * mel + text, dim)
        self.conv_pos_embed = PositionConvolution(dim)

    def forward(self, noisy: Tensor, reference: Tensor, text: Tensor) -> Tensor:
        x: Tensor = self.proj(torch.cat((noisy, reference, text), dim=-1))
        moved: Tensor = self.conv_pos_embed(x)
        return moved + x


class PositionConvolution(nn.Module):
    """Tells the frames apart by what is around them."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        convolutions = (Conv1d(dim, dim, kernel_size=31, groups=16, padding=15) for _ in range(2))
        self.conv1d = nn.Sequential(*(layer for one in convolutions for layer in (one, nn.Mish())))

    def forward(self, x: Tensor) -> Tensor:
        moved: Tensor = self.conv1d(x.transpose(1, 2))
        return moved.transpose(1, 2)


class Attention(nn.Module):
    """Every frame looks at every other; `rotary_heads` of the heads know where the frames stand."""

    def __init__(self, dim: int, inner: int, rotary_heads: int) -> None:
        super().__init__()
        self.to_q, self.to_k, self.to_v = (Linear(dim, inner) for _ in range(3))
        self.to_out = nn.ModuleList([Linear(inner, dim)])
        self._rotary_heads = rotary_heads

    def forward(self, x: Tensor, rotation: Rotation) -> Tensor:
        query, key, value = (
            project(x).unflatten(-1, (-1, HEAD)).transpose(1, 2)
            for project in (self.to_q, self.to_k, self.to_v)
        )
        query, key = self._rotated(query, rotation), self._rotated(key, rotation)
        seen = functional.scaled_dot_product_attention(query, key, value)
        out: Tensor = self.to_out[0](seen.transpose(1, 2).flatten(-2))
        return out

    def _rotated(self, x: Tensor, rotation: Rotation) -> Tensor:
        heads, rest = x[:, : self._rotary_heads], x[:, self._rotary_heads :]
        cosine, sine = rotation
        quarter = torch.stack((-heads[..., 1::2], heads[..., ::2]), dim=-1).flatten(-2)
        return torch.cat(((heads * cosine + quarter * sine).to(x.dtype), rest), dim=1)


class FeedForward(nn.Module):
    """Two layers, for each frame by itself."""

    def __init__(self, dim: int, inner: int) -> None:
        super().__init__()
        enter = nn.Sequential(Linear(dim, inner), nn.GELU(approximate="tanh"))
        self.ff = nn.Sequential(enter, nn.Identity(), Linear(inner, dim))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.ff(x)
        return out


class Modulation(nn.Module):
    """The time as `parts` tensors [1, 1, dim], which scale, shift and gate what goes through a block."""

    def __init__(self, dim: int, parts: int) -> None:
        super().__init__()
        self.linear = Linear(dim, parts * dim)
        self._parts = parts

    def forward(self, time: Tensor) -> tuple[Tensor, ...]:
        modulation: Tensor = self.linear(functional.silu(time))
        return modulation[:, None].chunk(self._parts, dim=-1)


class ScaleNorm(nn.Module):
    """Every frame at the same length, then each channel by its own factor."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.g = nn.Parameter(torch.empty(dim))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = functional.normalize(x, dim=-1) * x.shape[-1] ** 0.5 * self.g
        return out


def normalised(x: Tensor) -> Tensor:
    """Layer normalisation without weights of its own."""
    return functional.layer_norm(x, x.shape[-1:], eps=_EPSILON)


def rotation(length: int, device: torch.device) -> Rotation:
    """The rotary embedding of the first `length` positions."""
    angles = _angles(length, HEAD, device).repeat_interleave(2, dim=-1)
    return angles.cos(), angles.sin()


def _positions(length: int, like: Tensor) -> Tensor:
    """The sinusoidal embedding of the first `length` positions, with the channels and type of `like`."""
    angles = _angles(length, like.shape[-1], like.device)
    return torch.cat((angles.cos(), angles.sin()), dim=-1).to(like.dtype)


def _angles(length: int, channels: int, device: torch.device) -> Tensor:
    frequencies = 1 / 10000 ** (torch.arange(0, channels, 2, device=device).float() / channels)
    return torch.outer(torch.arange(length, device=device).float(), frequencies)

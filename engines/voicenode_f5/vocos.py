"""Vocos, from mel to sound, for inference only.

After https://github.com/gemelo-ai/vocos (MIT): attributes bear the names of its checkpoints.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from voicenode_f5.layers import Conv1d, Linear
from voicenode_f5.mel import HOP

_EPSILON = 1e-6
_LOUDEST = 100.0
"""Magnitudes above this are a mistake of the network."""


class Vocos(nn.Module):
    """The vocoder; its sizes are read off the shapes of the checkpoint's tensors, by their names."""

    def __init__(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        super().__init__()
        depth = sum(name.startswith("backbone.convnext.") and name.endswith(".gamma") for name in shapes)
        dim, mel, _ = shapes["backbone.embed.weight"]
        inner = shapes["backbone.convnext.0.pwconv1.weight"][0]
        self.backbone = _Backbone(mel, dim, inner, depth)
        self.head = _Head(dim, shapes["head.out.weight"][0] - 2)

    def forward(self, mel: Tensor) -> Tensor:
        """Log mel [frames, mel] becomes samples [(frames - 1) * HOP]."""
        samples: Tensor = self.head(self.backbone(mel.T[None]))
        return samples[0]


class _Backbone(nn.Module):
    def __init__(self, mel: int, dim: int, inner: int, depth: int) -> None:
        super().__init__()
        self.embed = Conv1d(mel, dim, kernel_size=7, padding=3)
        self.norm = nn.LayerNorm(dim, eps=_EPSILON)
        self.convnext = nn.ModuleList(_ConvBlock(dim, inner) for _ in range(depth))
        self.final_layer_norm = nn.LayerNorm(dim, eps=_EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.embed(x).transpose(1, 2))
        for block in self.convnext:
            x = block(x)
        out: Tensor = self.final_layer_norm(x)
        return out


class _ConvBlock(nn.Module):
    def __init__(self, dim: int, inner: int) -> None:
        super().__init__()
        self.dwconv = Conv1d(dim, dim, kernel_size=7, padding=3, groups=dim)
        self.norm = nn.LayerNorm(dim, eps=_EPSILON)
        self.pwconv1 = Linear(dim, inner)
        self.pwconv2 = Linear(inner, dim)
        self.gamma = nn.Parameter(torch.empty(dim))

    def forward(self, x: Tensor) -> Tensor:
        inner = self.pwconv1(self.norm(self.dwconv(x.transpose(1, 2)).transpose(1, 2)))
        changed: Tensor = self.gamma * self.pwconv2(functional.gelu(inner))
        return x + changed


class _Head(nn.Module):
    def __init__(self, dim: int, size: int) -> None:
        super().__init__()
        self.out = Linear(dim, size + 2)
        self._size = size

    def forward(self, x: Tensor) -> Tensor:
        magnitude, phase = self.out(x).transpose(1, 2).chunk(2, dim=1)
        spectrum = torch.polar(magnitude.exp().clip(max=_LOUDEST), phase)
        return torch.istft(spectrum, self._size, HOP, window=torch.hann_window(self._size, device=x.device))

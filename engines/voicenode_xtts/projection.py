"""Linear layers: as exact as their weights, or with weights of eight bits."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

_LEVELS = 127


class Projection(nn.Module):
    """A linear layer whose weight is [inputs, outputs], as GPT-2 keeps it."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(inputs, outputs))
        self.bias = nn.Parameter(torch.empty(outputs))

    def forward(self, rows: Tensor) -> Tensor:
        """[rows, inputs] to [rows, outputs]."""
        return torch.addmm(self.bias, rows, self.weight)


class Room:
    """Memory of a processor in which weights become `dtype`, one layer after the other.

    To get as much anew for each of them would take the system longer than the conversion.
    """

    def __init__(self, dtype: torch.dtype) -> None:
        self._memory = torch.empty(0, dtype=dtype, device="cpu")

    def converted(self, weight: Tensor) -> Tensor:
        """The same weight, until the next one is converted."""
        count = weight.numel()
        if count > len(self._memory):
            self._memory = self._memory.new_empty(count)
        return self._memory[:count].view(weight.shape).copy_(weight)


class Int8Projection(nn.Module):
    """The same with weights of eight bits, [outputs, inputs], and a scale for each output."""

    def __init__(self, inputs: int, outputs: int, room: Room) -> None:
        """`room` is shared by all layers, and has the type in which rows are multiplied."""
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs, dtype=torch.int8), requires_grad=False)
        self.scale = nn.Parameter(torch.empty(outputs, dtype=torch.bfloat16))
        self.bias = nn.Parameter(torch.empty(outputs))
        self._room = room

    def forward(self, rows: Tensor) -> Tensor:
        """[rows, inputs] to [rows, outputs], of float32."""
        weight = self._room.converted(self.weight)
        product = functional.linear(rows.to(weight.dtype), weight)
        return product * self.scale + self.bias


def rounded(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Weight and scale of an `Int8Projection` from the weight of a `Projection`.

    The scale is rounded to bfloat16 before the weights are divided by it, and so adds no error of its own.
    """
    weight = weight.float().T
    scale = (weight.abs().amax(dim=1) / _LEVELS).clamp(min=torch.finfo(torch.float32).tiny)
    scale = (scale * (1 + 2**-8)).bfloat16()  # never below, which would cut off the largest weights
    levels = (weight / scale.float()[:, None]).round().clamp(-_LEVELS, _LEVELS)
    return levels.to(torch.int8).contiguous(), scale

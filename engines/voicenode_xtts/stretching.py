"""Latents to frames of the vocoder: as many more as its rate asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor


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

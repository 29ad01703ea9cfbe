"""Convolutions of a sequence that arrives in pieces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor
from torch.nn import functional

_USUAL_ROWS = 128
"""How many rows a convolution is laid out for; it takes any number."""


@dataclass(frozen=True, slots=True)
class Convolution:
    """A convolution over rows, [count, channels], without padding; it is the same for all streams.

    Rows are what oneDNN calls channels last, in which it is quickest. The weights are in its own layout, too.
    """

    weight: Tensor
    bias: Tensor | None
    dilation: int
    channels: int
    outputs: int
    reach: int
    """How many rows the kernel covers beyond one."""
    padding: int
    """Zeros before the first row, and after the last one."""
    packed: bool

    @classmethod
    def of(cls, layer: Any, dtype: torch.dtype = torch.float32) -> Self:  # noqa: ANN401  (a module's parts have no types)
        """The same as a layer that pads equally on both sides; takes and gives rows of `dtype`."""
        padding = layer.dilation[0] * (layer.kernel_size[0] - 1) // 2
        return cls._laid_out(layer.weight.to(dtype), layer.bias, layer.dilation[0], padding)

    @classmethod
    def of_transposed(cls, layer: Any) -> Self:  # noqa: ANN401  (a module's parts have no types)
        """A transposed convolution whose kernel is twice its stride.

        Each row and the one before it make `stride` rows, which are given side by side in one.
        """
        stride = layer.stride[0]
        now, later = layer.weight.split(stride, dim=2)
        taps = torch.stack((later, now), dim=3).permute(2, 1, 0, 3)
        return cls._laid_out(taps.reshape(-1, len(layer.weight), 2), layer.bias.repeat(stride), 1, 1)

    @classmethod
    def _laid_out(cls, weight: Tensor, bias: Tensor | None, dilation: int, padding: int) -> Self:
        outputs, channels, kernel = weight.shape
        packed = weight.device.type == "cpu" and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
        wide = weight[:, :, None]
        if packed:
            reorder: Any = torch._C._nn.mkldnn_reorder_conv2d_weight  # noqa: SLF001  (has no other name)
            size = (1, channels, 1, _USUAL_ROWS)
            wide = reorder(wide.contiguous().to_mkldnn(), (0, 0), (1, 1), (1, dilation), 1, size)
        else:
            wide = wide.clone(memory_format=torch.channels_last)
        bias = None if bias is None else bias.clone()
        return cls(wide, bias, dilation, channels, outputs, dilation * (kernel - 1), padding, packed)

    def __call__(self, rows: Tensor, bias: Tensor | None, slope: float | None = None) -> Tensor:
        """As many rows as the kernel fits; leaky where there is a slope."""
        count, channels = rows.shape
        image = rows.as_strided((1, channels, 1, count), (count * channels, 1, count * channels, channels))
        if self.packed:
            then: tuple[Any, ...] = ("none", [], "") if slope is None else ("leaky_relu", [slope], "")
            made = torch.ops.mkldnn._convolution_pointwise(  # noqa: SLF001  (has no other name)
                image, self.weight, bias, (0, 0), (1, 1), (1, self.dilation), 1, *then
            )
        else:
            made = functional.conv2d(image, self.weight, bias, dilation=(1, self.dilation))
            made = made if slope is None else functional.leaky_relu_(made, slope)
        result: Tensor = made[0, :, 0].T
        return result


class Piecewise:
    """One convolution in one stream.

    Args:
        convolution: what is computed.
        bias: what is added; None for the convolution's own.
    """

    def __init__(self, convolution: Convolution, bias: Tensor | None = None) -> None:
        self._convolution = convolution
        self._bias = convolution.bias if bias is None else bias
        self._rows: Tensor | None = None

    def feed(self, rows: Tensor, *, last: bool) -> Tensor:
        """Further rows to all that is sure by now; the first and the last are padded."""
        layer = self._convolution
        before = rows.new_zeros(layer.padding, layer.channels) if self._rows is None else self._rows
        after = rows.new_zeros(layer.padding if last else 0, layer.channels)
        rows = torch.cat((before, rows, after))
        self._rows = rows[max(0, len(rows) - layer.reach) :].clone()
        if len(rows) <= layer.reach:
            return rows.new_zeros(0, layer.outputs)
        return layer(rows, self._bias)


class PiecewisePair:
    """Two convolutions and what they are added to, with a leaky ReLU before each, in one stream.

    The first one makes again what the second one needs of the piece before: less work than to copy it.
    """

    def __init__(self, first: Convolution, second: Convolution, slope: float) -> None:
        self._first, self._second = first, second
        self._slope = slope
        self._reach, self._padding = first.reach + second.reach, first.padding + second.padding
        self._rows: Tensor | None = None
        self._begun = False
        self._skipped = Delay()

    def feed(self, hidden: Tensor, *, last: bool) -> Tensor:
        """Further rows to all that is sure by now; the first and the last are padded."""
        rows = self._padded(hidden, last=last)
        self._rows = rows[max(0, len(rows) - self._reach) :].clone()
        made = self._convolved(rows, last=last) if len(rows) > self._reach else hidden[:0].clone()
        return self._skipped.add(made, hidden)

    def _padded(self, hidden: Tensor, *, last: bool) -> Tensor:
        dtype, count = self._first.weight.dtype, len(hidden)
        before = hidden.new_zeros(self._padding, hidden.shape[1]) if self._rows is None else self._rows
        after = self._padding if last else 0
        rows = hidden.new_empty(len(before) + count + after, hidden.shape[1], dtype=dtype)
        rows[: len(before)] = before
        rows[len(before) : len(before) + count] = functional.leaky_relu(hidden, self._slope)
        rows[len(before) + count :] = 0
        return rows

    def _convolved(self, rows: Tensor, *, last: bool) -> Tensor:
        middle = self._first(rows, self._first.bias, self._slope)
        if not self._begun:
            middle[: self._second.padding] = 0
            self._begun = True
        if last:
            middle[len(middle) - self._second.padding :] = 0
        return self._second(middle, self._second.bias).float()


class Delay:
    """Rows that wait for those to which they are added."""

    def __init__(self) -> None:
        self._late: Tensor | None = None

    def add(self, made: Tensor, rows: Tensor) -> Tensor:
        """Take in further rows, and add the oldest ones to `made`, in place."""
        late = rows[:0] if self._late is None else self._late
        count = min(len(late), len(made))
        rest = len(made) - count
        made[:count] += late[:count]
        made[count:] += rows[:rest]
        self._late = torch.cat((late[count:], rows[rest:]))
        return made

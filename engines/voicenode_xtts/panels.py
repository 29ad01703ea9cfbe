"""Products of many rows with a matrix, whose outputs are taken 64 at a time; compiled by numba.

What goes into a linear layer is rounded to whole numbers of eight bits, like its weights, with a scale for
each 64 of a row; processors multiply these twice as quickly as bfloat16. (`linear` is for few rows, where
memory is the limit and not arithmetic.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from voicenode_xtts import tile
from voicenode_xtts.arithmetic import bits_of, compiled, number_of

if TYPE_CHECKING:
    from voicenode_xtts.linear import Linear, Rows

BFloats = NDArray[np.uint16]
"""The bits of bfloat16."""

ROWS, OUTPUTS = tile.ROWS, tile.OUTPUTS
"""What the numbers of rows and of outputs are multiples of."""
GROUP = tile.LINE
"""Inputs that have one scale; what the number of inputs is a multiple of."""
_DEPTH = 512
"""Inputs of a panel, so that it stays in the cache of a core."""
_LEVELS, _UNSIGNED = 127, 128
_LEAST = np.float32(1e-30)
"""The largest of a group counts as that much, so that there is a scale."""
_MAGNITUDE = np.uint32(0x7FFFFFFF)
"""The bits of a float32 without its sign."""
_ZERO, _HALF = np.float32(0), np.float32(0.5)


class Levels(NamedTuple):
    """Rows of whole numbers, as many as make whole tiles."""

    levels: NDArray[np.int8]
    """[rows, inputs]."""
    scales: Rows
    """[rows, groups]."""
    begun: NDArray[np.int32]
    """[rows, groups]; what sums begin with, for in a panel each weight is 128 more than it is."""

    @classmethod
    def empty(cls, rows: int, inputs: int) -> Levels:
        """Zeros."""
        groups = inputs // GROUP
        levels = aligned(rows, inputs, dtype=torch.int8)
        return cls(levels, aligned(rows, groups), aligned(rows, groups, dtype=torch.int32))

    def rows(self, first: int) -> Levels:
        """The same from a row on."""
        return Levels(self.levels[first:], self.scales[first:], self.begun[first:])


def aligned(*shape: int, dtype: torch.dtype = torch.float32) -> NDArray[Any]:
    """Zeros that begin where a line of the processor's cache does, as all memory of PyTorch."""
    return torch.zeros(shape, dtype=dtype).numpy()


def tiles(rows: int) -> int:
    """So many rows as make whole tiles."""
    return -(-rows // ROWS) * ROWS


def panel() -> NDArray[np.uint8]:
    """Where a part of a matrix is laid out."""
    return aligned(_DEPTH * OUTPUTS, dtype=torch.uint8)


@compiled
def round_row(numbers: Rows, into: Levels, row: int, first: int) -> None:
    """Round numbers, whole groups of them, and put them into a row from the group `first` on."""
    for group in range(numbers.size // GROUP):
        start = group * GROUP
        levels = into.levels[row, first * GROUP + start :]
        scale, sum_ = _round_group(numbers[start : start + GROUP], levels)
        into.scales[row, first + group] = scale
        into.begun[row, first + group] = -_UNSIGNED * sum_


@compiled
def _round_group(numbers: Rows, levels: NDArray[np.int8]) -> tuple[np.float32, np.int32]:
    """The scale and the sum of the levels are returned."""
    # Bits have the order of the numbers, and compilers find the instruction for the largest of them alone.
    bits = np.uint32(0)
    for place in range(GROUP):
        bits = max(bits, bits_of(numbers[place]) & _MAGNITUDE)
    largest, sum_ = max(number_of(bits), _LEAST), np.int32(0)
    factor = np.float32(_LEVELS) / largest
    for place in range(GROUP):
        level = np.int32(np.floor(numbers[place] * factor + _HALF))
        levels[place] = np.int8(level)
        sum_ = np.int32(sum_ + level)
    return largest / np.float32(_LEVELS), sum_


@compiled
def multiply(rows: Levels, linear: Linear, out: Rows, panel: NDArray[np.uint8]) -> None:
    """Take rows through a layer."""
    outputs, inputs = linear.weight.shape
    for output in range(0, outputs, OUTPUTS):
        clear(out, output)
        for start in range(0, inputs, _DEPTH):
            depth = min(_DEPTH, inputs - start)
            _lay_weights(linear.weight[output:, start : start + depth], panel)
            _add_products(rows, start, depth, panel, out[:, output:])
        _scale(out, linear, output)


@compiled
def _lay_weights(weight: NDArray[np.int8], panel: NDArray[np.uint8]) -> None:
    """Put the inputs of 64 outputs into the panel."""
    stride = weight.strides[0]
    for start in range(0, weight.shape[1], GROUP):
        for lane in range(0, OUTPUTS, tile.LANES):
            source = weight.ctypes.data + lane * stride + start
            tile.lay_fours(source, stride, panel.ctypes.data + start * OUTPUTS + lane * tile.LANE)


@compiled
def _add_products(rows: Levels, start: int, depth: int, panel: NDArray[np.uint8], out: Rows) -> None:
    """What inputs from `start` on, which lie in the panel, contribute to 64 outputs."""
    levels, scales, begun = rows
    from_, next_, to = levels.strides[0], scales.strides[0], out.strides[0]
    for row in range(0, len(levels), ROWS):
        for place in range(0, depth, GROUP):
            group = (start + place) // GROUP
            tile.multiply_fours(
                levels[row, start + place :].ctypes.data, from_, panel[place * OUTPUTS :].ctypes.data,
                scales[row, group:].ctypes.data, begun[row, group:].ctypes.data, next_,
                out.ctypes.data + row * to, to,
            )  # fmt: skip


@compiled
def clear(out: Rows, first: int) -> None:
    """Begin the sums of 64 outputs."""
    for row in range(len(out)):
        sums = out[row, first:]
        for place in range(OUTPUTS):
            sums[place] = _ZERO


@compiled
def _scale(out: Rows, linear: Linear, output: int) -> None:
    scale, bias = linear.scale[output:], linear.bias[output:]
    for row in range(len(out)):
        sums = out[row, output:]
        for place in range(OUTPUTS):
            sums[place] = sums[place] * scale[place] + bias[place]


@compiled
def add_products(rows: BFloats, matrix: BFloats, panel: NDArray[np.uint8], out: Rows) -> None:
    """Add the products of rows, [rows, inputs], with 64 outputs, [outputs, inputs], to what is there."""
    stride = matrix.strides[0]
    for start in range(0, matrix.shape[1], tile.LINE // 2):
        for lane in range(0, OUTPUTS, tile.LANES):
            source = matrix.ctypes.data + lane * stride + 2 * start
            tile.lay_pairs(source, stride, panel.ctypes.data + 2 * start * OUTPUTS + lane * tile.LANE)
    pairs, from_, to = rows.shape[1] // 2, rows.strides[0], out.strides[0]
    for row in range(0, len(rows), ROWS):
        given, sums = rows.ctypes.data + row * from_, out.ctypes.data + row * to
        tile.multiply_pairs(given, from_, panel.ctypes.data, pairs, sums, to)

"""Linear layers with weights of eight bits, for one position of each of some texts, on one core.

Each weight is read from memory once, whatever the number of texts. What comes in is rounded to whole numbers
of 15 bits, for which processors multiply and add twice as much at once as with float32. Their sums are exact:
a text has the same ones alone and among others, in whatever order its products are added.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from voicenode_xtts.arithmetic import compiled, compiled_inline, compiled_strictly
from voicenode_xtts.sums import LANES, sums_of_products

Rows = NDArray[np.float32]
"""[texts, features]; a list of numbers, where they are not of texts."""

OUTPUTS = 4
"""What the number of outputs is a multiple of; that of inputs is one of `LINE`."""
_TEXTS = LANES // OUTPUTS
"""As many sums at once as one register holds in the end."""
_STRETCH, _LEVELS = 1024, 16383
"""So many products of a weight and such a level add up to less than 2 ** 31."""
_AHEAD = 16384
"""Bytes, measured on Zen 5: between 8 and 32 KiB there is little difference, 4 KiB are too few."""
_ZERO, _HALF, _TINY = np.float32(0), np.float32(0.5), np.finfo(np.float32).tiny

_multiply, _multiply_one = sums_of_products(OUTPUTS, _TEXTS), sums_of_products(1, 1)


class Linear(NamedTuple):
    """A linear layer, [outputs, inputs], with a scale for each output."""

    weight: NDArray[np.int8]
    scale: Rows
    bias: Rows


class Rounded(NamedTuple):
    """Where rows are rounded, and what their products add up to."""

    levels: NDArray[np.int16]
    """[texts * inputs]."""
    scales: Rows
    """[texts, stretches of inputs]."""
    sums: NDArray[np.int32]
    """[lanes]."""

    @classmethod
    def empty(cls, texts: int, inputs: int) -> Rounded:
        """For so many texts and inputs; what is multiplied with the last text may be anything."""
        levels = np.empty((texts + _TEXTS - 1) * inputs, np.int16)
        scales = np.empty((texts, -(-inputs // _STRETCH)), np.float32)
        return cls(levels, scales, np.empty(LANES, np.int32))


@compiled_strictly
def project(rows: Rows, linear: Linear, out: Rows, rounded: Rounded) -> None:
    """Take rows through a layer; `rounded` has room for them."""
    texts, inputs = rows.shape
    _round(rows, rounded)
    for output in range(0, len(linear.weight), OUTPUTS):
        for text in range(texts):
            for place in range(output, output + OUTPUTS):
                out[text, place] = _ZERO
        for start in range(0, inputs, _STRETCH):
            _add_products(linear, rounded, output, start, texts, out)
        for text in range(texts):
            for place in range(output, output + OUTPUTS):
                out[text, place] = out[text, place] * linear.scale[place] + linear.bias[place]


@compiled_strictly
def _round(rows: Rows, rounded: Rounded) -> None:
    texts, inputs = rows.shape
    for text in range(texts):
        levels = rounded.levels[text * inputs : (text + 1) * inputs]
        for start in range(0, inputs, _STRETCH):
            end = min(start + _STRETCH, inputs)
            rounded.scales[text, start // _STRETCH] = _round_stretch(rows[text, start:end], levels[start:end])


@compiled
def _round_stretch(numbers: Rows, levels: NDArray[np.int16]) -> np.float32:
    """The scale is returned."""
    largest = _TINY
    for number in numbers:
        largest = max(largest, abs(number))
    factor = np.float32(_LEVELS) / largest
    for place in range(numbers.size):
        levels[place] = np.int16(np.floor(numbers[place] * factor + _HALF))
    return largest / np.float32(_LEVELS)


@compiled_inline
def _add_products(  # noqa: PLR0917  (numba inlines no names)
    linear: Linear, rounded: Rounded, output: int, start: int, texts: int, out: Rows
) -> None:
    """Of a stretch of inputs and some outputs, for every text."""
    inputs = linear.weight.shape[1]
    weight, count = output * inputs + start, min(_STRETCH, inputs - start)
    for text in range(0, texts, _TEXTS):
        level, here = text * inputs + start, min(_TEXTS, texts - text)
        # Memory has time for one half while the first texts are multiplied, for the other with the next ones.
        even = _AHEAD if text == 0 else 0
        odd = _AHEAD if text == (_TEXTS if texts > _TEXTS else 0) else 0
        if here > 1:
            _multiply(linear.weight, weight, rounded.levels, level, inputs, count, even, odd, rounded.sums)
            _take(rounded, output, start, text, here, out)
        else:
            for place in range(OUTPUTS):
                row = weight + place * inputs
                ahead = odd if place % 2 else even
                _multiply_one(
                    linear.weight, row, rounded.levels, level, inputs, count, ahead, 0, rounded.sums
                )
                sum_ = np.float32(rounded.sums[0])
                out[text, output + place] += sum_ * rounded.scales[text, start // _STRETCH]


@compiled_inline
def _take(  # noqa: PLR0917
    rounded: Rounded, output: int, start: int, first: int, texts: int, out: Rows
) -> None:
    for place in range(OUTPUTS):
        for text in range(texts):
            sum_ = np.float32(rounded.sums[place * _TEXTS + text])
            out[first + text, output + place] += sum_ * rounded.scales[first + text, start // _STRETCH]

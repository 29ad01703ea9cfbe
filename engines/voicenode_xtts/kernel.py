"""One block of the GPT for one new position of each text, on one core, compiled by numba.

A step reads every weight once and computes little with each, so memory is its limit. One core that reads
weights of eight bits in their order comes near it; PyTorch's kernels take two, which wait for each other in
each of some six hundred operations, and long where anything else runs on the machine.

All numbers are of float32, but for weights and for what is kept of earlier positions.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import types
from numba.extending import overload
from numpy.typing import NDArray

from voicenode_xtts.arithmetic import bfloat16_of, compiled, exp, gelu, number_of

Rows = NDArray[np.float32]
"""[texts, features]; a list of numbers, where they are not of texts."""
CacheArray = NDArray[np.uint16] | NDArray[np.float32]
"""Of bfloat16, for which NumPy has no name, as its bits; or of float32."""

_EPSILON = np.float32(1e-5)
"""Of PyTorch's layer norm."""
_ZERO, _ONE = map(np.float32, (0, 1))


class Norm(NamedTuple):
    """A layer norm."""

    weight: Rows
    bias: Rows


class Linear(NamedTuple):
    """A linear layer, [outputs, inputs], with a scale for each output."""

    weight: NDArray[np.int8]
    scale: Rows
    bias: Rows


class Block(NamedTuple):
    """The weights of one block."""

    norm_1: Norm
    mix: Linear
    """To queries, keys and values, side by side."""
    attended: Linear
    norm_2: Norm
    widen: Linear
    narrow: Linear


class Earlier(NamedTuple):
    """What is kept of earlier positions, in one block, as in `Cache`."""

    keys: CacheArray
    """[texts, heads, capacity, features]."""
    values: CacheArray
    """[texts, heads, features, capacity]."""
    lengths: NDArray[np.int64]
    """How many positions each text has so far."""


class Scratch(NamedTuple):
    """Where a block computes."""

    scores: Rows
    """[capacity]."""
    narrow: Rows
    mixed: Rows
    wide: Rows


def _widened(number: Any) -> Any:  # noqa: ANN401  (of either type of the cache)
    """A number of the cache as float32."""
    raise NotImplementedError


@overload(_widened)
def _widen(number: Any) -> Any:  # noqa: ANN401
    def widened(number: Any) -> Any:  # noqa: ANN401
        return number_of(np.uint32(number) << np.uint32(16))

    def same(number: Any) -> Any:  # noqa: ANN401
        return number

    return widened if number == types.uint16 else same


def _put(number: Any, array: Any, place: Any) -> None:  # noqa: ANN401  (of either type of the cache)
    """Keep a float32 in a cache."""
    raise NotImplementedError


@overload(_put)
def _narrow(number: Any, array: Any, place: Any) -> Any:  # noqa: ANN401, ARG001  (numba goes by the names)
    def rounded(number: Any, array: Any, place: Any) -> None:  # noqa: ANN401
        array[place] = bfloat16_of(number)

    def kept(number: Any, array: Any, place: Any) -> None:  # noqa: ANN401
        array[place] = number

    return rounded if array.dtype == types.uint16 else kept


@compiled
def normalise(rows: Rows, norm: Norm, out: Rows) -> None:
    """A layer norm of each row, into the first rows of `out`."""
    count = np.float32(rows.shape[1])
    for text in range(len(rows)):
        row, normed, total, squares = rows[text], out[text], _ZERO, _ZERO
        for place in range(row.size):
            total += row[place]
        mean = total / count
        for place in range(row.size):
            squares += (row[place] - mean) * (row[place] - mean)
        scale = _ONE / np.sqrt(squares / count + _EPSILON)
        for place in range(row.size):
            normed[place] = (row[place] - mean) * scale * norm.weight[place] + norm.bias[place]


@compiled
def _project(rows: Rows, linear: Linear, out: Rows) -> None:
    """Each weight is read from memory once, whatever the number of texts."""
    for output in range(len(linear.weight)):
        weights = linear.weight[output]
        for text in range(len(rows)):
            row, total = rows[text], _ZERO
            for place in range(weights.size):
                total += np.float32(weights[place]) * row[place]
            out[text, output] = total * linear.scale[output] + linear.bias[output]


@compiled
def _keep(mixed: Rows, earlier: Earlier) -> None:
    """Put the new position of each text after those that it has."""
    texts, heads, _, features = earlier.keys.shape
    for text in range(texts):
        position = earlier.lengths[text]
        for head in range(heads):
            for feature in range(features):
                place = (heads + head) * features + feature
                _put(mixed[text, place], earlier.keys, (text, head, position, feature))
                place += heads * features
                _put(mixed[text, place], earlier.values, (text, head, feature, position))


@compiled
def _score(query: Rows, keys: CacheArray, scores: Rows) -> np.float32:
    """How much each position, [count], means to one head of the new one, of which the sum is returned."""
    scale, top = _ONE / np.sqrt(np.float32(query.size)), np.float32(-np.inf)
    for position in range(len(keys)):
        key, total = keys[position], _ZERO
        for feature in range(query.size):
            total += query[feature] * _widened(key[feature])
        scores[position] = total * scale
        top = max(top, total * scale)
    total = _ZERO
    for position in range(len(keys)):
        scores[position] = exp(scores[position] - top)
        total += scores[position]
    return total


@compiled
def _attend(mixed: Rows, earlier: Earlier, scores: Rows, out: Rows) -> None:
    texts, heads, _, features = earlier.keys.shape
    for text in range(texts):
        count = earlier.lengths[text] + 1
        for head in range(heads):
            start = head * features
            sum_ = _score(mixed[text, start : start + features], earlier.keys[text, head, :count], scores)
            for feature in range(features):
                value, total = earlier.values[text, head, feature], _ZERO
                for position in range(count):
                    total += scores[position] * _widened(value[position])
                out[text, start + feature] = total / sum_


@compiled
def _gelu(rows: Rows) -> None:
    for text in range(len(rows)):
        for place in range(rows.shape[1]):
            rows[text, place] = gelu(rows[text, place])


@compiled
def _add(rows: Rows, more: Rows) -> None:
    for text in range(len(rows)):
        for place in range(rows.shape[1]):
            rows[text, place] += more[text, place]


@compiled
def step(hidden: Rows, block: Block, earlier: Earlier, scratch: Scratch) -> None:
    """Take one new position of each text through a block.

    Args:
        hidden: what comes in, and then what goes out.
        block: the weights.
        earlier: has room for the new positions, which are put there.
        scratch: with as many rows as there are texts, and as many scores as positions have room.
    """
    scores, narrow, mixed, wide = scratch
    normalise(hidden, block.norm_1, narrow)
    _project(narrow, block.mix, mixed)
    _keep(mixed, earlier)
    _attend(mixed, earlier, scores, narrow)
    _project(narrow, block.attended, mixed)
    _add(hidden, mixed)
    normalise(hidden, block.norm_2, narrow)
    _project(narrow, block.widen, wide)
    _gelu(wide)
    _project(wide, block.narrow, mixed)
    _add(hidden, mixed)

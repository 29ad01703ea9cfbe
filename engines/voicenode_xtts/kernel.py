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

from voicenode_xtts.arithmetic import bfloat16_of, compiled, compiled_inline, exp, gelu, number_of
from voicenode_xtts.linear import Linear, Rounded, Rows, project
from voicenode_xtts.sums import LINE, prefetch

CacheArray = NDArray[np.uint16] | NDArray[np.float32]
"""Of bfloat16, for which NumPy has no name, as its bits; or of float32."""

_EPSILON = np.float32(1e-5)
"""Of PyTorch's layer norm."""
_LINE = LINE // 2
"""Numbers of bfloat16 that a processor reads at once; those of float32 are half fetched."""
_KEYS_AHEAD, _VALUES_AHEAD = 64, 16
"""Positions and features, measured on Zen 5."""
_ZERO, _ONE = map(np.float32, (0, 1))


class Norm(NamedTuple):
    """A layer norm."""

    weight: Rows
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
    rounded: Rounded


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
def _attend(mixed: Rows, earlier: Earlier, scores: Rows, out: Rows) -> None:
    texts, heads, _, features = earlier.keys.shape
    for text in range(texts):
        count = earlier.lengths[text] + 1
        for head in range(heads):
            seen = slice(head * features, (head + 1) * features)
            values = earlier.values[text, head]
            for feature in range(_VALUES_AHEAD):
                _fetch(values, feature, count)
            sum_ = _score(mixed[text, seen], earlier.keys[text, head], count, scores)
            _blend(values, scores[:count], sum_, out[text, seen])


@compiled
def _score(query: Rows, keys: CacheArray, count: int, scores: Rows) -> np.float32:
    """How much each of the first positions means to one head of the new one, of which the sum is returned."""
    capacity, features = keys.shape
    scale, top = _ONE / np.sqrt(np.float32(features)), np.float32(-np.inf)
    for position in range(count):
        ahead = position + _KEYS_AHEAD
        _fetch(keys, ahead if ahead < count else ahead - count + capacity, features)  # those of the next head
        key, total = keys[position], _ZERO
        for feature in range(features):
            total += query[feature] * _widened(key[feature])
        scores[position] = total * scale
        top = max(top, total * scale)
    total = _ZERO
    for position in range(count):
        scores[position] = exp(scores[position] - top)
        total += scores[position]
    return total


@compiled
def _blend(values: CacheArray, scores: Rows, sum_: np.float32, out: Rows) -> None:
    """Each feature, [capacity], of the first positions, by what these mean."""
    for feature in range(len(values)):
        _fetch(values, feature + _VALUES_AHEAD, scores.size)
        value, total = values[feature], _ZERO
        for position in range(scores.size):
            total += scores[position] * _widened(value[position])
        out[feature] = total / sum_


@compiled_inline
def _fetch(cached: CacheArray, row: int, count: int) -> None:
    """Have the first numbers of a row at hand soon; processors do not look ahead beyond a page of memory."""
    start = row * cached.shape[1]
    for place in range(start, start + count, _LINE):
        prefetch(cached, place)


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
    scores, narrow, mixed, wide, rounded = scratch
    normalise(hidden, block.norm_1, narrow)
    project(narrow, block.mix, mixed, rounded)
    _keep(mixed, earlier)
    _attend(mixed, earlier, scores, narrow)
    project(narrow, block.attended, mixed, rounded)
    _add(hidden, mixed)
    normalise(hidden, block.norm_2, narrow)
    project(narrow, block.widen, wide, rounded)
    _gelu(wide)
    project(wide, block.narrow, mixed, rounded)
    _add(hidden, mixed)

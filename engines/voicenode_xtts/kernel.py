"""One block of the GPT for one new position of each text, on one core, compiled by numba.

A step reads every weight once and computes little with each, so memory is its limit. One core that reads
weights of eight bits in their order comes near it; PyTorch's kernels take two, which wait for each other in
each of some six hundred operations, and long where anything else runs on the machine.

All numbers are of float32, but for weights and for what is kept of earlier positions.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numba
import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic, overload
from numpy.typing import NDArray

from voicenode_xtts.files import cache_folder

if TYPE_CHECKING:
    from collections.abc import Callable

    Function = TypeVar("Function", bound=Callable[..., Any])

Rows = NDArray[np.float32]
"""[texts, features]; a list of numbers, where they are not of texts."""
CacheArray = NDArray[np.uint16] | NDArray[np.float32]
"""Of bfloat16, for which NumPy has no name, as its bits; or of float32."""

_SMALLEST, _LARGEST = np.float32(-87), np.float32(87)
"""Whose exponentials are still normal numbers of float32."""
_LOG2_E, _LN_2, _LN_2_REST = np.float32(1.44269504), np.float32(0.693359375), np.float32(-2.12194440e-4)
_EXP = tuple(map(np.float32, (1.9875691e-4, 1.3981999e-3, 8.3334519e-3, 4.1665795e-2, 0.16666665, 0.5)))
"""The polynomial of Cephes' `expf`, exact to two units in the last place."""
_GELU, _GELU_CUBIC = np.float32(1.5957691216), np.float32(0.044715)
"""2 * sqrt(2 / pi) and the cubic term of GELU's usual approximation by tanh."""
_EPSILON = np.float32(1e-5)
"""Of PyTorch's layer norm."""
_ZERO, _HALF, _ONE = map(np.float32, (0, 0.5, 1))


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


def _keeps_compiled() -> bool:
    """Whether there is a place where what was compiled, which takes seconds, is kept."""
    config: Any = numba.config
    config.CACHE_DIR = config.CACHE_DIR or str(cache_folder() / "numba")
    try:
        Path(config.CACHE_DIR).mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(config.CACHE_DIR, os.W_OK | os.X_OK)


_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "cache": _keeps_compiled()}
_compiled: Callable[[Function], Function] = njit(fastmath=True, **_OPTIONS)
_compiled_in_order: Callable[[Function], Function] = njit(fastmath={"contract"}, **_OPTIONS)


def _reinterpreted(taken: Any, returned: Any, made: Any) -> Any:  # noqa: ANN401  (numba's types have none)
    """A function from a number to what its bits are in another type."""

    def typed(_context: Any, _number: Any) -> Any:  # noqa: ANN401
        return returned(taken), lambda _context, builder, _types, given: builder.bitcast(given[0], made)

    return intrinsic(typed)


_bits_of = _reinterpreted(types.float32, types.uint32, ir.IntType(32))
_number_of = _reinterpreted(types.uint32, types.float32, ir.FloatType())


def _widened(number: Any) -> Any:  # noqa: ANN401  (of either type of the cache)
    """A number of the cache as float32."""
    raise NotImplementedError


@overload(_widened)
def _widen(number: Any) -> Any:  # noqa: ANN401
    def widened(number: Any) -> Any:  # noqa: ANN401
        return _number_of(np.uint32(number) << np.uint32(16))

    def same(number: Any) -> Any:  # noqa: ANN401
        return number

    return widened if number == types.uint16 else same


def _put(number: Any, array: Any, place: Any) -> None:  # noqa: ANN401  (of either type of the cache)
    """Keep a float32 in a cache."""
    raise NotImplementedError


@overload(_put)
def _narrow(number: Any, array: Any, place: Any) -> Any:  # noqa: ANN401, ARG001  (numba goes by the names)
    def rounded(number: Any, array: Any, place: Any) -> None:  # noqa: ANN401
        array[place] = _rounded(_bits_of(number))

    def kept(number: Any, array: Any, place: Any) -> None:  # noqa: ANN401
        array[place] = number

    return rounded if array.dtype == types.uint16 else kept


@_compiled
def _rounded(bits: np.uint32) -> np.uint16:
    """From float32 to the nearest bfloat16, and from the middle to the even one."""
    odd = (bits >> np.uint32(16)) & np.uint32(1)
    return np.uint16((bits + np.uint32(0x7FFF) + odd) >> np.uint32(16))


@_compiled_in_order
def _exp(number: np.float32) -> np.float32:
    """The exponential, in operations that a compiler does to many numbers at once."""
    number = min(max(number, _SMALLEST), _LARGEST)
    power = np.floor(number * _LOG2_E + _HALF)
    rest = number - power * _LN_2
    rest = rest - power * _LN_2_REST
    sum_ = _EXP[0]
    for term in _EXP[1:]:
        sum_ = sum_ * rest + term
    exponent = np.uint32(np.int32(power) + np.int32(127)) << np.uint32(23)
    result: np.float32 = (sum_ * rest * rest + rest + _ONE) * _number_of(exponent)
    return result


@_compiled
def _normalise(rows: Rows, norm: Norm, out: Rows) -> None:
    for text in range(len(rows)):
        row = rows[text]
        count = np.float32(row.size)
        total = _ZERO
        for value in row:
            total += value
        mean, squares = total / count, _ZERO
        for value in row:
            squares += (value - mean) * (value - mean)
        scale = _ONE / np.sqrt(squares / count + _EPSILON)
        for place in range(row.size):
            out[text, place] = (row[place] - mean) * scale * norm.weight[place] + norm.bias[place]


@_compiled
def _project(rows: Rows, linear: Linear, out: Rows) -> None:
    """Each weight is read from memory once, whatever the number of texts."""
    for output in range(len(linear.weight)):
        weights = linear.weight[output]
        for text in range(len(rows)):
            row, total = rows[text], _ZERO
            for place in range(weights.size):
                total += np.float32(weights[place]) * row[place]
            out[text, output] = total * linear.scale[output] + linear.bias[output]


@_compiled
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


@_compiled
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
        scores[position] = _exp(scores[position] - top)
        total += scores[position]
    return total


@_compiled
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


@_compiled
def _gelu(rows: Rows) -> None:
    for text in range(len(rows)):
        for place in range(rows.shape[1]):
            value = rows[text, place]
            bent = _GELU * (value + _GELU_CUBIC * value * value * value)
            rows[text, place] = value / (_ONE + _exp(-bent))


@_compiled
def _add(rows: Rows, more: Rows) -> None:
    for text in range(len(rows)):
        for place in range(rows.shape[1]):
            rows[text, place] += more[text, place]


@_compiled
def step(hidden: Rows, block: Block, earlier: Earlier, scratch: Scratch) -> None:
    """Take one new position of each text through a block.

    Args:
        hidden: what comes in, and then what goes out.
        block: the weights.
        earlier: has room for the new positions, which are put there.
        scratch: with as many rows as there are texts, and as many scores as positions have room.
    """
    scores, narrow, mixed, wide = scratch
    _normalise(hidden, block.norm_1, narrow)
    _project(narrow, block.mix, mixed)
    _keep(mixed, earlier)
    _attend(mixed, earlier, scores, narrow)
    _project(narrow, block.attended, mixed)
    _add(hidden, mixed)
    _normalise(hidden, block.norm_2, narrow)
    _project(narrow, block.widen, wide)
    _gelu(wide)
    _project(wide, block.narrow, mixed)
    _add(hidden, mixed)

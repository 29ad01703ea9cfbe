"""A prompt through the blocks of the GPT, its positions shared out among threads; compiled by numba.

Many positions make this a matter of arithmetic, not of memory as in a step. Each thread takes some of them
through all blocks, and waits in each for nothing but the keys and values of the positions before its own.
(PyTorch's threads wait for each other in every operation, long where anything else runs on the machine.)
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from voicenode_xtts import tile
from voicenode_xtts.arithmetic import bfloat16_of, compiled, exp, gelu
from voicenode_xtts.kernel import normalise

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from voicenode_xtts.kernel import Block, Norm
    from voicenode_xtts.linear import Linear, Rows

    BFloats = NDArray[np.uint16]
    """The bits of bfloat16."""

FEATURES = tile.OUTPUTS
"""Of a head: other sizes do not fit into the tiles."""
_DEPTH = 512
"""Inputs of a panel, so that it stays in the cache of a core."""
_ZERO, _ONE = map(np.float32, (0, 1))


class Places(NamedTuple):
    """Where the keys and values of a block go, and those before them are."""

    keys: BFloats
    """[heads, capacity, features]."""
    values: BFloats
    """[heads, features, capacity]; both are numbers everywhere, and the capacity is a multiple of 64."""
    first: int
    """Position of the prompt's first."""


class _Part(NamedTuple):
    """Some positions in a row, and where a thread computes with them; rows make whole tiles."""

    hidden: Rows
    """[positions, width], as all that follows with more rows."""
    first: int
    """How many positions of the prompt come before."""
    given: BFloats
    bent: BFloats
    """[.., 4 * width]."""
    mixed: Rows
    """[.., 3 * width]."""
    wide: Rows
    """[.., 4 * width]."""
    narrow: Rows
    asked: BFloats
    """[.., features]."""
    scores: Rows
    """[.., capacity]."""
    likely: BFloats
    """[.., capacity]."""
    panel: BFloats


class Prompts:
    """Threads that read prompts.

    Args:
        threads: how many, with the one that asks.
    """

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._pool = ThreadPoolExecutor(max(1, threads - 1), "prompt")

    def read(self, hidden: Rows, blocks: Sequence[Block], places: Sequence[Places]) -> None:
        """Take positions, [positions, width], through all blocks; they become what comes out."""
        parts = self._parts(hidden, places[0].keys.shape[1])
        known = [[Event() for _ in blocks] for _ in parts]
        layers = list(zip(blocks, places, strict=True))
        others = [
            self._pool.submit(_read, part, layers, known[: number + 1])
            for number, part in enumerate(parts[:-1])
        ]
        try:
            _read(parts[-1], layers, known)
        finally:
            for other in others:
                other.result()

    def _parts(self, hidden: Rows, capacity: int) -> list[_Part]:
        tiles = -(-len(hidden) // tile.ROWS)
        share = -(-tiles // self._threads) * tile.ROWS
        return [
            _part(hidden[first : first + share], first, capacity) for first in range(0, len(hidden), share)
        ]


def _part(hidden: Rows, first: int, capacity: int) -> _Part:
    count, width = -(-len(hidden) // tile.ROWS) * tile.ROWS, hidden.shape[1]

    def bfloats(*shape: int) -> BFloats:
        """Begins where a line of the processor's cache does, as all memory of PyTorch."""
        bits: BFloats = torch.zeros(shape, dtype=torch.bfloat16).view(torch.uint16).numpy()
        return bits

    def rows(features: int) -> Rows:
        return torch.empty(count, features).numpy()

    return _Part(
        hidden, first, bfloats(count, width), bfloats(count, 4 * width), rows(3 * width), rows(4 * width),
        rows(width), bfloats(count, FEATURES), rows(capacity), bfloats(count, capacity),
        bfloats(_DEPTH, tile.OUTPUTS),
    )  # fmt: skip


def _read(part: _Part, layers: Sequence[tuple[Block, Places]], known: Sequence[Sequence[Event]]) -> None:
    """`known` says of each part up to this one in which blocks its keys and values are there."""
    try:
        for layer, (block, places) in enumerate(layers):
            _mix(part, block, places)
            known[-1][layer].set()
            for before in known[:-1]:
                before[layer].wait()
            _answer(part, block, places)
    finally:
        for event in known[-1]:
            event.set()  # after an error, which the asker sees, nobody is to wait


@compiled
def _mix(part: _Part, block: Block, places: Places) -> None:
    """Queries, keys and values of new positions; the last two go to their places."""
    _normalise(part, block.norm_1)
    _multiply(part.given, block.mix, part.mixed, part.panel)
    heads, _, features = places.keys.shape
    for row in range(len(part.hidden)):
        position = places.first + part.first + row
        for head in range(heads):
            mixed = part.mixed[row, (heads + head) * features :]
            key = places.keys[head, position]
            for feature in range(features):
                key[feature] = bfloat16_of(mixed[feature])
            mixed = part.mixed[row, (2 * heads + head) * features :]
            for feature in range(features):
                places.values[head, feature, position] = bfloat16_of(mixed[feature])


@compiled
def _answer(part: _Part, block: Block, places: Places) -> None:
    """All that follows in a block."""
    for head in range(len(places.keys)):
        _attend(part, places, head)
    _multiply(part.given, block.attended, part.narrow, part.panel)
    _add(part)
    _normalise(part, block.norm_2)
    _multiply(part.given, block.widen, part.wide, part.panel)
    _bend(part)
    _multiply(part.bent, block.narrow, part.narrow, part.panel)
    _add(part)


@compiled
def _normalise(part: _Part, norm: Norm) -> None:
    normalise(part.hidden, norm, part.narrow)
    for row in range(len(part.hidden)):
        _keep(part.narrow[row], part.given[row])


@compiled
def _add(part: _Part) -> None:
    for row in range(len(part.hidden)):
        hidden, more = part.hidden[row], part.narrow[row]
        for place in range(hidden.size):
            hidden[place] += more[place]


@compiled
def _bend(part: _Part) -> None:
    for row in range(len(part.hidden)):
        wide = part.wide[row]
        for place in range(wide.size):
            wide[place] = gelu(wide[place])
        _keep(wide, part.bent[row])


@compiled
def _keep(numbers: Rows, bits: BFloats) -> None:
    for place in range(numbers.size):
        bits[place] = bfloat16_of(numbers[place])


@compiled
def _multiply(rows: BFloats, linear: Linear, out: Rows, panel: BFloats) -> None:
    outputs, inputs = linear.weight.shape
    for output in range(0, outputs, tile.OUTPUTS):
        _clear(out, output)
        for start in range(0, inputs, _DEPTH):
            depth = min(_DEPTH, inputs - start)
            _lay_int8(linear.weight[output:, start : start + depth], panel)
            _sum(rows[:, start : start + depth], panel, out[:, output:])
        _scale(out, linear, output)


@compiled
def _clear(out: Rows, first: int) -> None:
    for row in range(len(out)):
        sums = out[row, first:]
        for place in range(tile.OUTPUTS):
            sums[place] = _ZERO


@compiled
def _scale(out: Rows, linear: Linear, output: int) -> None:
    scale, bias = linear.scale[output:], linear.bias[output:]
    for row in range(len(out)):
        sums = out[row, output:]
        for place in range(tile.OUTPUTS):
            sums[place] = sums[place] * scale[place] + bias[place]


@compiled
def _attend(part: _Part, places: Places, head: int) -> None:
    """What one head of each position sees, into `part.given`."""
    seen = places.first + part.first + len(part.hidden)
    start = head * FEATURES
    _ask(part, start)
    for first in range(0, seen, tile.OUTPUTS):
        _clear(part.scores, first)
        _lay_bfloat16(places.keys[head, first:], part.panel)
        _sum(part.asked, part.panel, part.scores[:, first:])
    _choose(part, places.first + part.first + 1, seen)
    _clear(part.narrow, 0)
    for first in range(0, seen, tile.OUTPUTS):
        _lay_bfloat16(places.values[head, :, first : first + tile.OUTPUTS], part.panel)
        _sum(part.likely[:, first : first + tile.OUTPUTS], part.panel, part.narrow)
    for row in range(len(part.hidden)):
        _keep(part.narrow[row, :FEATURES], part.given[row, start:])


@compiled
def _ask(part: _Part, start: int) -> None:
    """The queries of a head."""
    scale = _ONE / np.sqrt(np.float32(FEATURES))
    for row in range(len(part.hidden)):
        query, asked = part.mixed[row, start:], part.asked[row]
        for feature in range(FEATURES):
            asked[feature] = bfloat16_of(query[feature] * scale)


@compiled
def _choose(part: _Part, first: int, seen: int) -> None:
    """Scores to how much of each position is seen: of `first` by the first row, and of one more by each."""
    end = -(-seen // tile.OUTPUTS) * tile.OUTPUTS
    for row in range(len(part.hidden)):
        scores, likely, count = part.scores[row], part.likely[row], first + row
        top, total = np.float32(-np.inf), _ZERO
        for position in range(count):
            top = max(top, scores[position])
        for position in range(count):
            scores[position] = exp(scores[position] - top)
            total += scores[position]
        for position in range(count):
            likely[position] = bfloat16_of(scores[position] / total)
        likely[count:end] = 0


@compiled
def _lay_int8(weight: NDArray[np.int8], panel: BFloats) -> None:
    """Put the inputs of 64 outputs into the panel."""
    stride = weight.strides[0]
    for start in range(0, weight.shape[1], tile.INPUTS):
        for lane in range(0, tile.OUTPUTS, tile.LANES):
            source = weight.ctypes.data + lane * stride + start
            tile.lay_int8(source, stride, panel[start:].ctypes.data + lane * tile.PAIR)


@compiled
def _lay_bfloat16(matrix: BFloats, panel: BFloats) -> None:
    """The same for a matrix of bfloat16."""
    stride = matrix.strides[0]
    for start in range(0, matrix.shape[1], tile.INPUTS):
        for lane in range(0, tile.OUTPUTS, tile.LANES):
            source = matrix.ctypes.data + lane * stride + 2 * start
            tile.lay_bfloat16(source, stride, panel[start:].ctypes.data + lane * tile.PAIR)


@compiled
def _sum(rows: BFloats, panel: BFloats, out: Rows) -> None:
    """Add what these inputs contribute to 64 outputs."""
    pairs, from_, to = rows.shape[1] // 2, rows.strides[0], out.strides[0]
    for row in range(0, len(rows), tile.ROWS):
        given, sums = rows.ctypes.data + row * from_, out.ctypes.data + row * to
        tile.multiply(given, from_, panel.ctypes.data, pairs, sums, to)

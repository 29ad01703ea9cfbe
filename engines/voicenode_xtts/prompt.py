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

from voicenode_xtts.arithmetic import bfloat16_of, compiled, exp, gelu
from voicenode_xtts.kernel import normalise
from voicenode_xtts.panels import (
    OUTPUTS,
    ROWS,
    Levels,
    add_products,
    aligned,
    clear,
    multiply,
    panel,
    round_row,
    tiles,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from voicenode_xtts.kernel import Block, Norm
    from voicenode_xtts.linear import Rows
    from voicenode_xtts.panels import BFloats

FEATURES = OUTPUTS
"""Of a head: other sizes do not fit into the panels."""
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
    given: Levels
    bent: Levels
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
    panel: NDArray[np.uint8]


class Prompts:
    """Threads that read prompts.

    Args:
        threads: how many, with the one that asks.
    """

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._pool = ThreadPoolExecutor(max(1, threads - 1), "prompt")

    def read(self, hidden: Rows, blocks: Sequence[Block], places: Sequence[Places]) -> None:
        """Take positions, [positions, width], through all blocks; the last one becomes what comes out."""
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
        _answer(_end(parts[-1]), *layers[-1])

    def _parts(self, hidden: Rows, capacity: int) -> list[_Part]:
        share = tiles(-(-len(hidden) // self._threads))
        return [
            _part(hidden[first : first + share], first, capacity) for first in range(0, len(hidden), share)
        ]


def _part(hidden: Rows, first: int, capacity: int) -> _Part:
    count, width = tiles(len(hidden)), hidden.shape[1]
    asked, likely = (aligned(count, each, dtype=torch.uint16) for each in (FEATURES, capacity))
    return _Part(
        hidden, first, Levels.empty(count, width), Levels.empty(count, 4 * width),
        aligned(count, 3 * width), aligned(count, 4 * width), aligned(count, width),
        asked, aligned(count, capacity), likely, panel(),
    )  # fmt: skip


def _end(part: _Part) -> _Part:
    """Its last tile, of whose positions the last is the prompt's."""
    start = tiles(len(part.hidden)) - ROWS
    rows = "hidden", "mixed", "wide", "narrow", "asked", "scores", "likely"
    return part._replace(
        first=part.first + start, given=part.given.rows(start), bent=part.bent.rows(start),
        **{name: getattr(part, name)[start:] for name in rows},
    )  # fmt: skip


def _read(part: _Part, layers: Sequence[tuple[Block, Places]], known: Sequence[Sequence[Event]]) -> None:
    """All but what the last block answers.

    `known` says of each part up to this one in which blocks its keys and values are there.
    """
    try:
        for layer, (block, places) in enumerate(layers):
            _mix(part, block, places)
            known[-1][layer].set()
            if layer + 1 < len(layers):
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
    multiply(part.given, block.mix, part.mixed, part.panel)
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
    multiply(part.given, block.attended, part.narrow, part.panel)
    _add(part)
    _normalise(part, block.norm_2)
    multiply(part.given, block.widen, part.wide, part.panel)
    _bend(part)
    multiply(part.bent, block.narrow, part.narrow, part.panel)
    _add(part)


@compiled
def _normalise(part: _Part, norm: Norm) -> None:
    normalise(part.hidden, norm, part.narrow)
    for row in range(len(part.hidden)):
        round_row(part.narrow[row], part.given, row, 0)


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
        round_row(wide, part.bent, row, 0)


@compiled
def _attend(part: _Part, places: Places, head: int) -> None:
    """What one head of each position sees, into `part.given`."""
    seen = places.first + part.first + len(part.hidden)
    start = head * FEATURES
    _ask(part, start)
    for first in range(0, seen, OUTPUTS):
        clear(part.scores, first)
        add_products(part.asked, places.keys[head, first:], part.panel, part.scores[:, first:])
    _choose(part, places.first + part.first + 1, seen)
    clear(part.narrow, 0)
    for first in range(0, seen, OUTPUTS):
        some = slice(first, first + OUTPUTS)
        add_products(part.likely[:, some], places.values[head, :, some], part.panel, part.narrow)
    for row in range(len(part.hidden)):
        round_row(part.narrow[row, :FEATURES], part.given, row, head)


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
    end = -(-seen // OUTPUTS) * OUTPUTS
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

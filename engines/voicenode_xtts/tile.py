"""The inner loops of a product of matrices, in the processor's own instructions for pairs of bfloat16.

A tile is what fits into the registers of AVX-512: six rows by sixty-four outputs.
Compilers find neither the instructions nor such a shape by themselves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import llvmlite.binding
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

if TYPE_CHECKING:
    from collections.abc import Callable

    from llvmlite.ir import IRBuilder, Value

    Kind = Any
    """numba's types have none that mypy knows."""

ROWS = 6
LANES, _VECTORS = 16, 4
OUTPUTS = LANES * _VECTORS
INPUTS = 2 * LANES
"""A panel is made of so many at once."""
PAIR = 4
"""Bytes of two bfloat16, which are one lane."""


class _BFloat(ir.Type):  # type: ignore[misc] # llvmlite has no types
    """LLVM's `bfloat`, which llvmlite does not know."""

    def _to_string(self) -> str:
        return "bfloat"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _BFloat)

    def __hash__(self) -> int:
        return hash(_BFloat)


_INT, _ADDRESS, _FLOAT = ir.IntType(32), ir.IntType(64), ir.FloatType()
_NUMBERS, _PAIRS = ir.VectorType(_FLOAT, LANES), ir.VectorType(_INT, LANES)
_HALVES = ir.VectorType(_BFloat(), INPUTS)
_LINE = LANES * PAIR
"""Bytes of a vector."""


_get_or_insert_function: Any = cgutils.get_or_insert_function


def available() -> bool:
    """Whether this processor has the instructions."""
    return bool(llvmlite.binding.get_host_cpu_features().get("avx512bf16"))


def _laying(kind: ir.VectorType, pairs: Callable[[IRBuilder, Value], Value]) -> Kind:
    """A function that lays a matrix into a panel, as `multiply` reads it.

    It takes the address of 16 outputs, each with 32 inputs; the bytes from one output to the next; and the
    address of the first of 16 pairs of inputs in the panel, each with 64 outputs.

    Args:
        kind: of the inputs of one output.
        pairs: makes pairs of them.
    """

    def typed(_typing: Kind, _matrix: Kind, _stride: Kind, _panel: Kind) -> Kind:
        def generate(_context: Kind, builder: IRBuilder, _types: Kind, given: list[Value]) -> Value:
            matrix, stride, panel = given
            addresses = [_times(builder, matrix, stride, number) for number in range(LANES)]
            outputs = [pairs(builder, _load(builder, kind, address, 1)) for address in addresses]
            for number, pair in enumerate(_transposed(builder, outputs)):
                _store(builder, pair, _plus(builder, panel, number * _VECTORS * _LINE))
            return _nothing()

        return types.void(types.intp, types.intp, types.intp), generate

    return intrinsic(typed)


def _widened(builder: IRBuilder, levels: Value) -> Value:
    numbers = builder.sitofp(levels, ir.VectorType(_FLOAT, INPUTS))
    return builder.bitcast(builder.fptrunc(numbers, _HALVES), _PAIRS)


lay_int8 = _laying(ir.VectorType(ir.IntType(8), INPUTS), _widened)
lay_bfloat16 = _laying(_PAIRS, lambda _builder, pairs: pairs)


def _multiplying(
    _typing: Kind, _rows: Kind, _row: Kind, _panel: Kind, _pairs: Kind, _sums: Kind, _sum: Kind
) -> Kind:
    def generate(_context: Kind, builder: IRBuilder, _types: Kind, given: list[Value]) -> Value:
        rows, row, panel, pairs, sums, sum_ = given
        starts = [_times(builder, rows, row, number) for number in range(ROWS)]
        places = [
            _plus(builder, _times(builder, sums, sum_, number), vector * _LINE)
            for number in range(ROWS)
            for vector in range(_VECTORS)
        ]
        before, loop = builder.block, builder.append_basic_block()
        totals = [_load(builder, _NUMBERS, place, PAIR) for place in places]
        builder.branch(loop)
        builder.position_at_end(loop)
        pair = _phi(builder, ir.Constant(_ADDRESS, 0), before)
        running = [_phi(builder, total, before) for total in totals]
        made = _products(builder, starts, panel, pair, running)
        following = _plus(builder, pair, 1)
        for phi, value in zip([pair, *running], [following, *made], strict=True):
            phi.add_incoming(value, loop)
        done = builder.append_basic_block()
        builder.cbranch(builder.icmp_signed("<", following, pairs), loop, done)
        builder.position_at_end(done)
        for total, place in zip(made, places, strict=True):
            _store(builder, total, place, PAIR)
        return _nothing()

    return types.void(*[types.intp] * 6), generate


multiply: Any = intrinsic(_multiplying)
"""Add the products of six rows with the 64 outputs of a panel to sums.

It takes the address of the first row's first pair of inputs, and the bytes from one row to the next; the
address of the panel; the number of pairs, 1 or more; and the address of the first row's sums, 64 float32,
and the bytes from one row's sums to the next's.
"""


def _products(
    builder: IRBuilder, starts: list[Value], panel: Value, pair: Value, totals: list[Value]
) -> list[Value]:
    """The totals, with the products of one pair of inputs."""
    line = _times(builder, panel, ir.Constant(_ADDRESS, _VECTORS * _LINE), pair)
    weights = [
        builder.bitcast(_load(builder, _PAIRS, _plus(builder, line, vector * _LINE), _LINE), _HALVES)
        for vector in range(_VECTORS)
    ]
    add = _get_or_insert_function(
        builder.module,
        ir.FunctionType(_NUMBERS, [_NUMBERS, _HALVES, _HALVES]),
        "llvm.x86.avx512bf16.dpbf16ps.512",
    )
    made: list[Value] = []
    for start in starts:
        inputs = _everywhere(builder, _load(builder, _INT, _times(builder, start, pair, PAIR), PAIR))
        for weight in weights:
            made.append(builder.call(add, [totals[len(made)], inputs, weight]))
    return made


def _transposed(builder: IRBuilder, rows: list[Value]) -> list[Value]:
    """16 vectors as the columns of what they are the rows of: bit by bit of the numbers of row and column."""
    rows = [*rows]
    for bit in (1, 2, 4, 8):
        low = [lane if not lane & bit else LANES + lane - bit for lane in range(LANES)]
        high = [lane + bit if not lane & bit else LANES + lane for lane in range(LANES)]
        for number in range(LANES):
            if not number & bit:
                pair = rows[number], rows[number + bit]
                rows[number], rows[number + bit] = (
                    builder.shuffle_vector(*pair, ir.Constant(_PAIRS, lanes)) for lanes in (low, high)
                )
    return rows


def _everywhere(builder: IRBuilder, value: Value) -> Value:
    """A pair in all lanes."""
    empty = ir.Constant(_PAIRS, ir.Undefined)
    first = builder.insert_element(empty, value, ir.Constant(_INT, 0))
    return builder.bitcast(builder.shuffle_vector(first, empty, ir.Constant(_PAIRS, [0] * LANES)), _HALVES)


def _times(builder: IRBuilder, address: Value, stride: Value, count: Value | int) -> Value:
    """The address `count` strides further; either of them is a number."""
    factors = [ir.Constant(_ADDRESS, each) if isinstance(each, int) else each for each in (stride, count)]
    return builder.add(address, builder.mul(*factors))


def _plus(builder: IRBuilder, address: Value, count: int) -> Value:
    return builder.add(address, ir.Constant(_ADDRESS, count))


def _phi(builder: IRBuilder, value: Value, before: Value) -> Value:
    phi = builder.phi(value.type)
    phi.add_incoming(value, before)
    return phi


def _load(builder: IRBuilder, kind: ir.Type, address: Value, align: int) -> Value:
    loaded = builder.load(builder.inttoptr(address, kind.as_pointer()), typ=kind)
    loaded.align = align
    return loaded


def _store(builder: IRBuilder, value: Value, address: Value, align: int = _LINE) -> None:
    builder.store(value, builder.inttoptr(address, value.type.as_pointer())).align = align


def _nothing() -> Value:
    return ir.Constant(ir.IntType(8).as_pointer(), None)

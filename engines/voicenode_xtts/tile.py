"""The inner loops of a product of matrices, in the processor's own instructions.

They multiply pairs of bfloat16, or fours of whole numbers of eight bits, and add up. A tile is what fits into
the registers of AVX-512: six rows by sixty-four outputs. Compilers find neither the instructions nor such a
shape by themselves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

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
LANE = 4
"""Bytes of a lane, which has a pair of bfloat16 or four whole numbers."""
LINE = LANES * LANE
"""Bytes of a vector; a panel is made of so many of each output at once."""


class _BFloat(ir.Type):  # type: ignore[misc] # llvmlite has no types
    """LLVM's `bfloat`, which llvmlite does not know."""

    def _to_string(self) -> str:
        return "bfloat"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _BFloat)

    def __hash__(self) -> int:
        return hash(_BFloat)


_INT, _ADDRESS, _FLOAT = ir.IntType(32), ir.IntType(64), ir.FloatType()
_NUMBERS, _WHOLE = ir.VectorType(_FLOAT, LANES), ir.VectorType(_INT, LANES)
_SIGNS = 0x80808080
"""What makes four signed numbers unsigned ones, which are 128 more."""


class _Instruction(NamedTuple):
    """Adds to the sum in each lane the products of what two vectors have there."""

    name: str
    sums: ir.VectorType
    given: ir.VectorType


_PAIRS = _Instruction("avx512bf16.dpbf16ps", _NUMBERS, ir.VectorType(_BFloat(), 2 * LANES))
_FOURS = _Instruction("avx512.vpdpbusd", _WHOLE, _WHOLE)
"""Of the whole numbers, those of the first vector are unsigned."""
_get_or_insert_function: Any = cgutils.get_or_insert_function


def available() -> bool:
    """Whether this processor has the instructions."""
    features = llvmlite.binding.get_host_cpu_features()
    return all(features.get(name) for name in ("avx512bf16", "avx512vnni", "avx512bw"))


def _laying(changed: Callable[[IRBuilder, Value], Value]) -> Kind:
    """A function that lays a matrix into a panel, as products read it.

    It takes the address of 16 outputs, each with 16 lanes of inputs; the bytes from one output to the next;
    and the address of the first of 16 lanes in the panel, each of 64 outputs.

    Args:
        changed: what is to lie there instead of a vector.
    """

    def typed(_typing: Kind, _matrix: Kind, _stride: Kind, _panel: Kind) -> Kind:
        def generate(_context: Kind, builder: IRBuilder, _types: Kind, given: list[Value]) -> Value:
            matrix, stride, panel = given
            addresses = [_times(builder, matrix, stride, number) for number in range(LANES)]
            outputs = [_load(builder, _WHOLE, address, 1) for address in addresses]
            for number, lane in enumerate(_transposed(builder, outputs)):
                _store(builder, changed(builder, lane), _plus(builder, panel, number * _VECTORS * LINE))
            return _nothing()

        return types.void(types.intp, types.intp, types.intp), generate

    return intrinsic(typed)


lay_pairs = _laying(lambda _builder, lanes: lanes)
lay_fours = _laying(lambda builder, lanes: builder.xor(lanes, ir.Constant(_WHOLE, [_INT(_SIGNS)] * LANES)))


def _multiplying_pairs(
    _typing: Kind, _rows: Kind, _row: Kind, _panel: Kind, _pairs: Kind, _sums: Kind, _sum: Kind
) -> Kind:
    def generate(_context: Kind, builder: IRBuilder, _types: Kind, given: list[Value]) -> Value:
        rows, row, panel, pairs, sums, sum_ = given
        places = _places(builder, sums, sum_)
        totals = [_load(builder, _NUMBERS, place) for place in places]
        totals = _products(builder, _PAIRS, _starts(builder, rows, row), panel, pairs, totals)
        for total, place in zip(totals, places, strict=True):
            _store(builder, total, place, LANE)
        return _nothing()

    return types.void(*[types.intp] * 6), generate


multiply_pairs: Any = intrinsic(_multiplying_pairs)
"""Add the products of six rows with the 64 outputs of a panel to sums.

It takes the address of the first row's first pair of inputs, and the bytes from one row to the next; the
address of the panel; the number of pairs, 1 or more; and the address of the first row's sums, 64 float32,
and the bytes from one row's sums to the next's.
"""


def _multiplying_fours(
    _typing: Kind, _rows: Kind, _row: Kind, _panel: Kind, _scales: Kind, _begun: Kind, _next: Kind,
    _sums: Kind, _sum: Kind,
) -> Kind:  # fmt: skip
    def generate(_context: Kind, builder: IRBuilder, _types: Kind, given: list[Value]) -> Value:
        rows, row, panel, scales, begun, next_, sums, sum_ = given
        begins, factors = (
            [_load(builder, kind, each) for each in _starts(builder, address, next_)]
            for kind, address in ((_INT, begun), (_FLOAT, scales))
        )
        totals = [lanes for begin in begins for lanes in [_everywhere(builder, begin, _WHOLE)] * _VECTORS]
        count = ir.Constant(_ADDRESS, LANES)
        totals = _products(builder, _FOURS, _starts(builder, rows, row), panel, count, totals)
        wide = [scale for factor in factors for scale in [_everywhere(builder, factor, _NUMBERS)] * _VECTORS]
        for total, scale, place in zip(totals, wide, _places(builder, sums, sum_), strict=True):
            number = builder.fmul(builder.sitofp(total, _NUMBERS), scale, flags=["contract"])
            added = builder.fadd(number, _load(builder, _NUMBERS, place), flags=["contract"])
            _store(builder, added, place, LANE)
        return _nothing()

    return types.void(*[types.intp] * 8), generate


multiply_fours: Any = intrinsic(_multiplying_fours)
"""Add the products of 64 whole numbers of six rows with the 64 outputs of a panel to sums.

It takes the address of the first row's first number, and the bytes from one row to the next; the address of
the panel; the addresses of the first row's scale, and of what its whole sums begin with, and the bytes from
one row's to the next's; and the address of the first row's sums, 64 float32, and the bytes from one row's
sums to the next's.
"""


def _products(  # noqa: PLR0917
    builder: IRBuilder,
    instruction: _Instruction,
    starts: list[Value],
    panel: Value,
    count: Value,
    totals: list[Value],
) -> list[Value]:
    """The totals, with the products of so many lanes of each row."""
    before, loop = builder.block, builder.append_basic_block()
    builder.branch(loop)
    builder.position_at_end(loop)
    lane = _phi(builder, ir.Constant(_ADDRESS, 0), before)
    running = [_phi(builder, total, before) for total in totals]
    made = _lane(builder, instruction, starts, panel, lane, running)
    following = _plus(builder, lane, 1)
    for phi, value in zip([lane, *running], [following, *made], strict=True):
        phi.add_incoming(value, loop)
    done = builder.append_basic_block()
    builder.cbranch(builder.icmp_signed("<", following, count), loop, done)
    builder.position_at_end(done)
    return made


def _lane(  # noqa: PLR0917
    builder: IRBuilder,
    instruction: _Instruction,
    starts: list[Value],
    panel: Value,
    lane: Value,
    totals: list[Value],
) -> list[Value]:
    """The totals, with the products of one lane of each row."""
    name, sums, given = instruction
    line = _times(builder, panel, ir.Constant(_ADDRESS, _VECTORS * LINE), lane)
    weights = [
        builder.bitcast(_load(builder, _WHOLE, _plus(builder, line, vector * LINE), LINE), given)
        for vector in range(_VECTORS)
    ]
    kind = ir.FunctionType(sums, [sums, given, given])
    add = _get_or_insert_function(builder.module, kind, f"llvm.x86.{name}.512")
    made: list[Value] = []
    for start in starts:
        inputs = _everywhere(builder, _load(builder, _INT, _times(builder, start, lane, LANE)), _WHOLE)
        for weight in weights:
            made.append(builder.call(add, [totals[len(made)], weight, builder.bitcast(inputs, given)]))
    return made


def _starts(builder: IRBuilder, address: Value, stride: Value) -> list[Value]:
    """Where each row begins."""
    return [_times(builder, address, stride, number) for number in range(ROWS)]


def _places(builder: IRBuilder, address: Value, stride: Value) -> list[Value]:
    """Where the vectors of each row begin."""
    return [
        _plus(builder, start, vector * LINE)
        for start in _starts(builder, address, stride)
        for vector in range(_VECTORS)
    ]


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
                    builder.shuffle_vector(*pair, ir.Constant(_WHOLE, lanes)) for lanes in (low, high)
                )
    return rows


def _everywhere(builder: IRBuilder, value: Value, kind: ir.VectorType) -> Value:
    """A value in all lanes."""
    empty = ir.Constant(kind, ir.Undefined)
    first = builder.insert_element(empty, value, ir.Constant(_INT, 0))
    return builder.shuffle_vector(first, empty, ir.Constant(_WHOLE, [0] * LANES))


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


def _load(builder: IRBuilder, kind: ir.Type, address: Value, align: int = LANE) -> Value:
    loaded = builder.load(builder.inttoptr(address, kind.as_pointer()), typ=kind)
    loaded.align = align
    return loaded


def _store(builder: IRBuilder, value: Value, address: Value, align: int = LINE) -> None:
    builder.store(value, builder.inttoptr(address, value.type.as_pointer())).align = align


def _nothing() -> Value:
    return ir.Constant(ir.IntType(8).as_pointer(), None)

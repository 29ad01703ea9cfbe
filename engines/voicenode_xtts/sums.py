"""The inner loop of a linear layer with weights of eight bits: sums of products of whole numbers.

Compilers find neither its shape nor, in every loop, the instruction for two products and their sum, which
most processors have; written as here they do. LLVM makes what a processor has of these vectors.
"""

from __future__ import annotations

from functools import reduce
from itertools import cycle, product
from typing import TYPE_CHECKING, Any

from llvmlite import binding, ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

if TYPE_CHECKING:
    from llvmlite.ir import IRBuilder, Value

LINE = 64
"""Weights that a processor reads from memory at once."""
LANES = 16 if binding.get_host_cpu_features().get("avx512bw") else 8
"""Sums of 32 bits in a register, or where those are short in two."""

_INDEX, _INT, _BYTE = cgutils.intp_t, ir.IntType(32), ir.IntType(8)
_SUMS, _PRODUCTS = ir.VectorType(_INT, LANES), ir.VectorType(_INT, 2 * LANES)
_PARTS = LINE // _PRODUCTS.count
_READ, _NEAREST, _DATA = _INT(0), _INT(3), _INT(1)
"""What LLVM calls a prefetch of data for reading, into the cache nearest to the core."""


@intrinsic
def _prefetch(_context: Any, array: Any, place: Any) -> Any:  # noqa: ANN401  (numba's types have none)
    """Have what lies so many numbers behind the start of an array, or behind all of it, at hand soon."""

    def build(context: Any, builder: IRBuilder, signature: Any, given: list[Value]) -> Value:  # noqa: ANN401
        _fetch(builder, builder.gep(_data(context, builder, signature, given, 0), [given[1]]))
        return context.get_dummy_value()

    return types.void(array, place), build


prefetch: Any = _prefetch
"""Without the first argument, which numba adds."""


def sums_of_products(outputs: int, texts: int) -> Any:  # noqa: ANN401
    """A function to multiply weights of so many outputs with levels of so many texts, and to add up.

    These are at most as many sums as there are lanes. The function's arguments:
        weights, weight: of eight bits, and where the first one is.
        levels, level: of sixteen bits, and where the first one is.
        inputs: how far it is from one output to the next, and from one text to the next.
        count: of the products in each sum, a multiple of `LINE`.
        even, odd: how many weights further on to fetch, for every second output and for the others.
        sums: where the sum of output `o` and text `t` goes, to `o * texts + t`; as many as there are lanes.
    """
    chains = 1 if outputs * texts > 1 else _PARTS  # a sum alone would wait for itself

    @intrinsic
    def multiply(  # noqa: PLR0917  (numba's functions are called by place)
        _context: Any, weights: Any, weight: Any, levels: Any, level: Any,  # noqa: ANN401
        inputs: Any, count: Any, even: Any, odd: Any, sums: Any,  # noqa: ANN401
    ) -> Any:  # fmt: skip  # noqa: ANN401
        def build(context: Any, builder: IRBuilder, signature: Any, given: list[Value]) -> Value:  # noqa: ANN401
            _, first_weight, _, first_level, apart, length, *further, _ = given
            data = [_data(context, builder, signature, given, array) for array in (0, 2, 8)]
            rows = _rows(builder, data[0], first_weight, apart, outputs)
            spoken = _rows(builder, data[1], first_level, apart, texts)
            totals = [_zeros(builder) for _ in range(outputs * texts * chains)]
            with cgutils.for_range_slice(builder, _INDEX(0), length, _INDEX(LINE), _INDEX) as (line, _):
                for row, ahead in zip(rows, cycle(further), strict=False):
                    _fetch(builder, builder.gep(row, [builder.add(line, ahead)]))
                for part in range(_PARTS):
                    place = builder.add(line, _INDEX(part * _PRODUCTS.count))
                    _add_products(builder, rows, spoken, place, totals[part % chains :: chains])
            _store(builder, _all_added(builder, _joined(builder, totals, chains)), data[2])
            return context.get_dummy_value()

        return types.void(weights, weight, levels, level, inputs, count, even, odd, sums), build

    return multiply


def _data(context: Any, builder: IRBuilder, signature: Any, given: list[Value], place: int) -> Value:  # noqa: ANN401
    """Where the numbers of an array begin that was given."""
    return context.make_array(signature.args[place])(context, builder, given[place]).data


def _zeros(builder: IRBuilder) -> Value:
    """Where sums begin."""
    return cgutils.alloca_once_value(builder, _SUMS(None))  # type: ignore[no-untyped-call]


def _fetch(builder: IRBuilder, address: Value) -> None:
    taken = ir.FunctionType(ir.VoidType(), [_BYTE.as_pointer(), _INT, _INT, _INT])
    function = cgutils.get_or_insert_function(builder.module, taken, "llvm.prefetch.p0")  # type: ignore[no-untyped-call]
    builder.call(function, [builder.bitcast(address, _BYTE.as_pointer()), _READ, _NEAREST, _DATA])


def _rows(builder: IRBuilder, data: Value, first: Value, apart: Value, count: int) -> list[Value]:
    """Where this row and the next ones begin."""
    starts = [builder.add(first, builder.mul(apart, _INDEX(row))) for row in range(count)]
    return [builder.gep(data, [start]) for start in starts]


def _add_products(
    builder: IRBuilder, rows: list[Value], texts: list[Value], place: Value, totals: list[Value]
) -> None:
    """The next products of each sum; neighbours are added first, which is the instruction that is meant."""
    levels = [_widened(builder, text, place, 16) for text in texts]
    weights = [_widened(builder, row, place, 8) for row in rows]
    for total, (weight, level) in zip(totals, product(weights, levels), strict=True):
        products = builder.mul(weight, level, flags=["nsw"])
        added = _neighbours_added(builder, products, products)
        builder.store(builder.add(builder.load(total), added), total)


def _widened(builder: IRBuilder, row: Value, place: Value, bits: int) -> Value:
    """The numbers from here on with 32 bits."""
    vector = ir.VectorType(ir.IntType(bits), _PRODUCTS.count)
    loaded = builder.load(builder.bitcast(builder.gep(row, [place]), vector.as_pointer()))
    loaded.align = bits // 8
    return builder.sext(loaded, _PRODUCTS)


def _neighbours_added(builder: IRBuilder, first: Value, second: Value) -> Value:
    """Of both vectors one after the other."""
    order = [_SUMS([_INT(2 * lane + odd) for lane in range(LANES)]) for odd in (0, 1)]
    return builder.add(*(builder.shuffle_vector(first, second, picked) for picked in order))


def _joined(builder: IRBuilder, totals: list[Value], chains: int) -> list[Value]:
    """The chains of each sum in one."""
    loaded = [builder.load(total) for total in totals]
    return [reduce(builder.add, loaded[start : start + chains]) for start in range(0, len(loaded), chains)]


def _all_added(builder: IRBuilder, vectors: list[Value]) -> Value:
    """One vector of the sums of all lanes of each, repeated until it is full."""
    count = len(vectors)
    while len(vectors) > 1:
        pairs = zip(vectors[::2], vectors[1::2], strict=True)
        vectors = [_neighbours_added(builder, *pair) for pair in pairs]
    (vector,) = vectors
    while count < LANES:
        vector, count = _neighbours_added(builder, vector, vector), 2 * count
    return vector


def _store(builder: IRBuilder, sums: Value, data: Value) -> None:
    stored = builder.store(sums, builder.bitcast(data, _SUMS.as_pointer()))
    stored.align = 4

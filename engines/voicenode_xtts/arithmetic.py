"""Functions of single numbers, compiled by numba; and how numba compiles all that is compiled here."""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numba
import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from voicenode_xtts.files import cache_folder

if TYPE_CHECKING:
    from collections.abc import Callable

    Function = TypeVar("Function", bound=Callable[..., Any])

_SMALLEST, _LARGEST = np.float32(-87), np.float32(87)
"""Whose exponentials are still normal numbers of float32."""
_LOG2_E, _LN_2, _LN_2_REST = np.float32(1.44269504), np.float32(0.693359375), np.float32(-2.12194440e-4)
_EXP = tuple(map(np.float32, (1.9875691e-4, 1.3981999e-3, 8.3334519e-3, 4.1665795e-2, 0.16666665, 0.5)))
"""The polynomial of Cephes' `expf`, exact to two units in the last place."""
_GELU, _GELU_CUBIC = np.float32(1.5957691216), np.float32(0.044715)
"""2 * sqrt(2 / pi) and the cubic term of GELU's usual approximation by tanh."""
_HALF, _ONE = map(np.float32, (0.5, 1))


def _keeps_compiled() -> bool:
    """Whether there is a place where what was compiled, which takes seconds, is kept.

    numba makes a function anew when its own file has changed, but not when one that it is made from has: each
    state of the files here has a folder.
    """
    config: Any = numba.config
    sources = b"".join(path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py")))
    name = f"numba-{sha256(sources).hexdigest()[:16]}"
    config.CACHE_DIR = config.CACHE_DIR or str(cache_folder() / name)
    try:
        Path(config.CACHE_DIR).mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(config.CACHE_DIR, os.W_OK | os.X_OK)


_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "cache": _keeps_compiled()}
compiled: Callable[[Function], Function] = njit(fastmath=True, **_OPTIONS)
"""Sums in the order that is soonest done."""
compiled_in_order: Callable[[Function], Function] = njit(fastmath={"contract"}, **_OPTIONS)
compiled_strictly: Callable[[Function], Function] = njit(**_OPTIONS)
"""Each operation is rounded by itself, and so the same wherever it stands."""
compiled_inline: Callable[[Function], Function] = njit(forceinline=True, **_OPTIONS)
"""The same, of what is called so often that the calls themselves count."""


def _reinterpreted(taken: Any, returned: Any, made: Any) -> Any:  # noqa: ANN401  (numba's types have none)
    """A function from a number to what its bits are in another type."""

    def typed(_context: Any, _number: Any) -> Any:  # noqa: ANN401
        return returned(taken), lambda _context, builder, _types, given: builder.bitcast(given[0], made)

    return intrinsic(typed)


bits_of = _reinterpreted(types.float32, types.uint32, ir.IntType(32))
number_of = _reinterpreted(types.uint32, types.float32, ir.FloatType())


@compiled
def bfloat16_of(number: np.float32) -> np.uint16:
    """The bits of the nearest bfloat16, and in the middle those of the even one."""
    bits = bits_of(number)
    odd = (bits >> np.uint32(16)) & np.uint32(1)
    return np.uint16((bits + np.uint32(0x7FFF) + odd) >> np.uint32(16))


@compiled_in_order
def exp(number: np.float32) -> np.float32:
    """The exponential, in operations that a compiler does to many numbers at once."""
    number = min(max(number, _SMALLEST), _LARGEST)
    power = np.floor(number * _LOG2_E + _HALF)
    rest = number - power * _LN_2
    rest = rest - power * _LN_2_REST
    sum_ = _EXP[0]
    for term in _EXP[1:]:
        sum_ = sum_ * rest + term
    exponent = np.uint32(np.int32(power) + np.int32(127)) << np.uint32(23)
    result: np.float32 = (sum_ * rest * rest + rest + _ONE) * number_of(exponent)
    return result


@compiled_in_order
def gelu(number: np.float32) -> np.float32:
    """GELU in its usual approximation by tanh."""
    bent = _GELU * (number + _GELU_CUBIC * number * number * number)
    result: np.float32 = number / (_ONE + exp(-bent))
    return result

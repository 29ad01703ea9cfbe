"""Slower than eSpeak NG can speak by itself, by the sonic library that is part of it."""

import ctypes
from collections.abc import Iterable, Iterator
from pathlib import Path


def stretch(chunks: Iterable[bytes], library: Path, rate: int, speed: float) -> Iterator[bytes]:
    """16-bit mono PCM at another speed and the same pitch.

    Args:
        chunks: PCM.
        library: eSpeak NG's shared library.
        rate: samples per second.
        speed: 0.5 is half as fast.
    """
    sonic = _open(library)
    stream = sonic.sonicCreateStream(rate, 1)
    try:
        sonic.sonicSetSpeed(stream, speed)
        for chunk in chunks:
            sonic.sonicWriteShortToStream(stream, chunk, len(chunk) // 2)
            yield from _ready(sonic, stream)
        sonic.sonicFlushStream(stream)
        yield from _ready(sonic, stream)
    finally:
        sonic.sonicDestroyStream(stream)


def _open(path: Path) -> ctypes.CDLL:
    sonic = ctypes.CDLL(str(path))
    sonic.sonicCreateStream.restype = ctypes.c_void_p
    sonic.sonicSetSpeed.argtypes = [ctypes.c_void_p, ctypes.c_float]
    sonic.sonicWriteShortToStream.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int]
    sonic.sonicReadShortFromStream.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int]
    for function in (sonic.sonicFlushStream, sonic.sonicDestroyStream, sonic.sonicSamplesAvailable):
        function.argtypes = [ctypes.c_void_p]
    return sonic


def _ready(sonic: ctypes.CDLL, stream: int) -> Iterator[bytes]:
    if count := sonic.sonicSamplesAvailable(stream):
        buffer = ctypes.create_string_buffer(count * 2)
        yield buffer.raw[: 2 * sonic.sonicReadShortFromStream(stream, buffer, count)]

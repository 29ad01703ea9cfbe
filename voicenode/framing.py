"""Wyoming's framing with bounds: a line of JSON, `data_length` bytes of JSON, `payload_length` bytes.

One wire format serves clients (asyncio) and engine processes (blocking); both read through the same checks.
Layout: https://github.com/OHF-Voice/wyoming, "Format".
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Mapping

MAX_HEADER = 64 * 1024
"""Bytes of a header line, its newline included: the bound of stock clients."""
MAX_DATA = 4 * 1024 * 1024
"""Bytes of a data block: room for a megabyte of text however it is escaped."""


@dataclass(slots=True)
class Frame:
    """One message: a type, a JSON object, and bytes."""

    type: str
    data: dict[str, Any] = field(default_factory=dict)
    payload: bytes = b""


class FramingError(ValueError):
    """What was read is not a frame, or is larger than allowed; the stream cannot be read any further."""


def encode(frame: Frame) -> bytes:
    """The bytes of a frame; data stands in a block of its own, because stock readers bound the header.

    Half a surrogate pair, which JSON can carry and UTF-8 cannot, becomes a question mark.
    """
    return encode_ready(frame.type, encode_object(frame.data) if frame.data else b"", frame.payload)


def encode_object(data: Mapping[str, Any]) -> bytes:
    """The bytes of the data of a frame."""
    return json.dumps(data, ensure_ascii=False).encode(errors="replace")


def encode_ready(frame_type: str, data: bytes, payload: bytes = b"") -> bytes:
    """The bytes of a frame whose data are bytes already."""
    header: dict[str, Any] = {"type": frame_type}
    if data:
        header["data_length"] = len(data)
    if payload:
        header["payload_length"] = len(payload)
    return b"".join((json.dumps(header).encode(), b"\n", data, payload))


async def read_frame(
    reader: asyncio.StreamReader, max_payload: int, room: Callable[[Frame, int], int] | None = None
) -> Frame | None:
    """The next frame, or None at the end of the stream between two frames.

    Args:
        reader: must have been made with `limit=MAX_HEADER`.
        max_payload: bytes of any frame's payload.
        room: how many bytes the payload of this frame may have, told its length, where that is more.

    Raises:
        FramingError: the bytes are not a frame, or are more than allowed.
        EOFError: the stream ended inside a frame.
    """
    try:
        line = await reader.readline()
    except ValueError as error:
        raise FramingError(f"header line over {MAX_HEADER} bytes") from error
    if not line:
        return None
    frame, data_length, payload_length = _parse_header(line, sys.maxsize if room else max_payload)
    if data_length:
        _merge_data(frame, await reader.readexactly(data_length))
    if room and payload_length > max_payload:
        _check_length("payload_length", payload_length, room(frame, payload_length) or max_payload)
    if payload_length:
        frame.payload = await reader.readexactly(payload_length)
    return frame


def read_frame_blocking(stream: BinaryIO, max_payload: int) -> Frame | None:
    """The same as `read_frame`, from a blocking buffered stream."""
    line = stream.readline(MAX_HEADER)
    if not line:
        return None
    frame, data_length, payload_length = _parse_header(line, max_payload)
    if data_length:
        _merge_data(frame, _read_exactly(stream, data_length))
    if payload_length:
        frame.payload = _read_exactly(stream, payload_length)
    return frame


def _read_exactly(stream: BinaryIO, size: int) -> bytes:
    block = stream.read(size)
    if len(block) != size:
        raise EOFError(f"stream ended {size - len(block)} bytes before the end of a frame")
    return block


def _parse_header(line: bytes, max_payload: int) -> tuple[Frame, int, int]:
    if not line.endswith(b"\n"):
        if len(line) >= MAX_HEADER:
            raise FramingError(f"header line over {MAX_HEADER} bytes")
        raise EOFError("stream ended inside a header line")
    header = _parse_object(line)
    frame_type = header.get("type")
    if not isinstance(frame_type, str):
        raise FramingError("header has no type")
    data = header.get("data") or {}
    if not isinstance(data, dict):
        raise FramingError("data is not an object")
    frame = Frame(frame_type, data)
    return frame, _length(header, "data_length", MAX_DATA), _length(header, "payload_length", max_payload)


def _length(header: dict[str, Any], key: str, limit: int) -> int:
    length = header.get(key) or 0
    if not isinstance(length, int) or isinstance(length, bool) or length < 0:
        raise FramingError(f"{key} is not a length: {str(length)[:40]}")
    _check_length(key, length, limit)
    return length


def _check_length(key: str, length: int, limit: int) -> None:
    if length > limit:
        raise FramingError(f"{key} {length} is over {limit}")


def _merge_data(frame: Frame, block: bytes) -> None:
    frame.data.update(_parse_object(block))


def _parse_object(text: bytes) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FramingError("not JSON") from error
    if not isinstance(value, dict):
        raise FramingError("not a JSON object")
    return value

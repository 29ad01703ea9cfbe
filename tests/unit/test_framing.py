import asyncio
import io
import json
from collections.abc import Callable

import pytest

from voicenode.framing import (
    MAX_DATA,
    MAX_HEADER,
    Frame,
    FramingError,
    encode,
    read_frame,
    read_frame_blocking,
)

MAX_PAYLOAD = 1000

Read = Callable[[bytes], Frame | None]


def read_from_loop(stream: bytes) -> Frame | None:
    async def read() -> Frame | None:
        reader = asyncio.StreamReader(limit=MAX_HEADER)
        reader.feed_data(stream)
        reader.feed_eof()
        return await read_frame(reader, MAX_PAYLOAD)

    return asyncio.run(read())


def read_from_file(stream: bytes) -> Frame | None:
    return read_frame_blocking(io.BytesIO(stream), MAX_PAYLOAD)


@pytest.fixture(params=[read_from_loop, read_from_file])
def read(request: pytest.FixtureRequest) -> Read:
    return request.param  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    "frame",
    [
        Frame("describe"),
        Frame("ping", {"text": "שלום \0 😀 \n"}),
        Frame("audio-chunk", {"rate": 16000}, b"\n\0\xff"),
        Frame("blob", {}, bytes(MAX_PAYLOAD)),
    ],
)
def test_a_frame_comes_back_as_it_went(read: Read, frame: Frame) -> None:
    assert read(encode(frame)) == frame


def test_data_may_stand_in_the_header_too(read: Read) -> None:
    block = b'{"b": 2}'
    stream = b'{"type": "x", "data": {"a": 1, "b": 1}, "data_length": %d}\n%b' % (len(block), block)
    assert read(stream) == Frame("x", {"a": 1, "b": 2})


def test_the_end_between_two_frames_is_no_error(read: Read) -> None:
    assert read(b"") is None


def test_half_a_surrogate_pair_can_be_sent(read: Read) -> None:
    frame = read(b'{"type": "ping", "data": {"text": "\\ud83d"}}\n')
    assert frame is not None
    assert read(encode(frame)) == Frame("ping", {"text": "?"})


@pytest.mark.parametrize(
    "stream",
    [
        b"\n",
        b"GET / HTTP/1.1\r\n",
        b"\xff\xfe\n",
        b"[1]\n",
        b'"describe"\n',
        b"{}\n",
        b'{"type": 5}\n',
        b'{"type": "x", "data": [1]}\n',
        b'{"type": "x", "data_length": "5"}\n',
        b'{"type": "x", "data_length": -5}\n',
        b'{"type": "x", "data_length": true}\n',
        b'{"type": "x", "data_length": 5.0}\n',
        b'{"type": "x", "data_length": 3}\n[1]',
        b'{"type": "x", "data_length": 3}\n{"}',
        b'{"type": "x", "payload_length": 1e12}\n',
        b'{"type": "x", "payload_length": 1000000000000}\n',
        b'{"type": "x", "payload_length": %d}\n' % (MAX_PAYLOAD + 1),
        b'{"type": "x", "data_length": %d}\n' % (MAX_DATA + 1),
        b'{"type": "x", "n": ' + b"9" * 5000 + b"}\n",
        b'{"type": "x", "data": ' + b"[" * 30_000 + b"}\n",
        b'{"type": "' + b"x" * MAX_HEADER + b'"}\n',
        b"x" * (2 * MAX_HEADER),
    ],
    ids=lambda stream: repr(stream[:40]),
)
def test_what_is_not_a_frame_is_refused(read: Read, stream: bytes) -> None:
    with pytest.raises(FramingError):
        read(stream)


@pytest.mark.parametrize("cut", range(1, 44))
def test_a_stream_that_ends_inside_a_frame_is_cut_off(read: Read, cut: int) -> None:
    whole = encode(Frame("x", {"a": 1}, b"payload"))
    assert len(whole) > 44
    with pytest.raises(EOFError):
        read(whole[:cut])


def test_a_long_text_goes_into_the_data_and_not_into_the_header() -> None:
    line, _, data = encode(Frame("synthesize", {"text": "a" * 100_000})).partition(b"\n")
    assert len(line) < 100
    assert json.loads(data) == {"text": "a" * 100_000}

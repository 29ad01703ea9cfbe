import asyncio

import pytest

from voicenode.errors import ErrorCode, RequestError
from voicenode.transports.wyoming.text_stream import TextStream


async def test_pieces_come_out_in_order_and_what_waits_comes_at_once() -> None:
    stream = TextStream(100)
    stream.write("a")
    stream.write("")
    stream.write("b")
    assert await anext(stream) == "ab"
    stream.write("c")
    stream.end()
    assert [piece async for piece in stream] == ["c"]


async def test_a_reader_waits_for_the_next_piece() -> None:
    stream = TextStream(100)
    reading = asyncio.create_task(anext(stream))
    await asyncio.sleep(0)
    assert not reading.done()
    stream.write("late")
    assert await reading == "late"


async def test_a_reader_waits_for_the_end() -> None:
    stream = TextStream(100)

    async def read() -> list[str]:
        return [piece async for piece in stream]

    reading = asyncio.create_task(read())
    await asyncio.sleep(0)
    stream.end()
    assert await reading == []


async def test_too_much_text_fails_the_reader_whatever_its_pieces_are() -> None:
    stream = TextStream(10)
    for _ in range(3):
        stream.write("abcd")
    stream.write("x")
    stream.end()
    with pytest.raises(RequestError) as caught:
        await anext(stream)
    assert caught.value.code is ErrorCode.TEXT_TOO_LONG
    assert stream._pieces == []


async def test_as_much_text_as_allowed_is_read() -> None:
    stream = TextStream(10)
    stream.write("0123456789")
    stream.end()
    assert [piece async for piece in stream] == ["0123456789"]

"""Many players at once, and thousands one after the other."""

from __future__ import annotations

import asyncio
import random
import sys
from typing import TYPE_CHECKING

import psutil
import pytest

from tests.support.http_door import Answer, serving

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MIB = 1024 * 1024

PLAYERS = """
import asyncio, sys

async def play(port, path, size):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\\r\\nHost: node\\r\\n\\r\\n".encode())
    await reader.readuntil(b"\\r\\n\\r\\n")
    await reader.readexactly(size)
    writer.close()
    await writer.wait_closed()

async def crowd(port, path, size):
    await asyncio.gather(*(play(port, path, size) for _ in range(128)))

asyncio.run(crowd(int(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
"""


async def test_five_hundred_players_at_once_hear_everything(tmp_path: Path) -> None:
    content = random.Random(3).randbytes(200_000)
    async with serving(tmp_path, max_connections=600) as door:
        path = door.put(content)

        async def play(number: int) -> Answer:
            connection = await door.connect()
            await connection.ask(path, f"Range: bytes={number}-")
            answer = await connection.hear()
            assert answer.body == content[number:]
            await together.wait()
            await connection.close()
            return answer

        together = asyncio.Barrier(500)
        answers = await asyncio.gather(*map(play, range(500)))
        assert {answer.status for answer in answers} == {206}


@pytest.mark.usefixtures("heartbeat")
async def test_a_crowd_of_players_leaves_the_loop_its_turns(tmp_path: Path) -> None:
    async with serving(tmp_path) as door:
        path = door.put(bytes(200_000))
        arguments = ("-c", PLAYERS, str(door.port), path, "200000")
        crowd = await asyncio.create_subprocess_exec(sys.executable, *arguments)
        assert await crowd.wait() == 0
        await door.empty()


async def test_thousands_of_connections_leave_nothing_behind(
    tmp_path: Path, endurance: Callable[[int], int]
) -> None:
    process = psutil.Process()
    async with serving(tmp_path) as door:
        path = door.put(bytes(MIB))

        async def visit(number: int) -> None:
            connection = await door.connect()
            if number % 3 == 2:
                await connection.say(b"nonsense\r\n\r\n")
            else:
                await connection.ask(path, *(["Range: bytes=-100"] if number % 3 else []))
            await connection.hear_head()
            connection.writer.transport.abort()
            await connection.close()

        async def visits(times: int) -> None:
            for number in range(times):
                await visit(number)
            await door.empty()

        await visits(200)
        memory, descriptors = process.memory_info().rss, process.num_fds()
        await visits(endurance(10_000))
        assert process.memory_info().rss - memory < 5 * MIB
        assert process.num_fds() <= descriptors

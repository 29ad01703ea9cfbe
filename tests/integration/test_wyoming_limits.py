"""Many clients, silent clients, and clients that do not read."""

from __future__ import annotations

import asyncio
import socket
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import psutil
import pytest

from tests.support.wyoming_door import CHUNK, Client, Door, audio, serving, types

if TYPE_CHECKING:
    from collections.abc import Callable

MIB = 1024 * 1024


async def deaf(door: Door) -> Client:
    """A client whose kernel takes little and who reads nothing."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", door.port))
    client = Client(*await asyncio.open_connection(sock=sock, limit=2))
    client.writer.transport.pause_reading()  # type: ignore[attr-defined]
    return client


def buffered(door: Door) -> int:
    return max(c._out._transport.get_write_buffer_size() for c in door.server._connections.values())


async def test_a_client_that_says_nothing_is_closed_quietly() -> None:
    async with serving(idle_timeout=0.05) as door, door.client() as client:
        assert await client.hear_end() == []


async def test_a_client_that_stops_in_the_midst_of_a_message_is_closed_quietly() -> None:
    async with serving(idle_timeout=0.05) as door, door.client() as client:
        await client.say_raw(b'{"type": "syn')
        assert await client.hear_end() == []


async def test_a_client_that_never_ends_its_text_is_closed() -> None:
    async with serving(idle_timeout=0.5) as door, door.client() as client:
        await client.say("synthesize-start")
        await client.say("synthesize-chunk", text="a")
        assert types(await client.hear_end()) == ["audio-start", "audio-chunk"]
        await door.processor.freed.wait()


async def test_a_client_that_is_waiting_for_its_answer_is_not_idle() -> None:
    async with serving(idle_timeout=0.5) as door, door.client() as client, door.client() as other:
        await client.say("synthesize", text="?a")
        await door.processor.started.wait()
        assert await other.hear_end() == []  # more than the timeout has passed
        door.processor.gate.set()
        assert audio(await client.hear_until("audio-stop")) == CHUNK * 2
        assert await client.hear_end() == []


async def test_a_listener_that_reads_nothing_is_cut_off_and_frees_the_engine() -> None:
    async with serving(stall_timeout=0.05) as door:
        client = await deaf(door)
        await client.say("synthesize", text="~")
        await door.processor.freed.wait()
        assert door.processor.chunks * len(CHUNK) < MIB  # or real-time listeners would seem to read nothing
        await door.empty()
        await client.close()


@pytest.mark.parametrize("turns_to_free", [0, 100])
async def test_the_log_tells_that_a_listener_has_stalled(
    caplog: pytest.LogCaptureFixture, turns_to_free: int
) -> None:
    caplog.set_level("INFO")
    async with serving(stall_timeout=0.05) as door:
        door.processor.turns_to_free = turns_to_free
        client = await deaf(door)
        await client.say("synthesize", text="~")
        await door.empty()
        await client.close()
    assert sum("cut off: read nothing for 0.05 s" in message for message in caplog.messages) == 1


async def test_a_listener_that_reads_slowly_hears_everything() -> None:
    async with serving(stall_timeout=0.4) as door, door.client() as client:
        await client.say("synthesize", text="a" * 20_000)
        events = 0
        while (event := await client.hear()).type != "audio-stop":
            events += 1
            if events % 200 == 0:
                await asyncio.sleep(0.01)  # the whole takes more than twice the timeout
        assert event.data["timestamp"] == 200_000


@pytest.mark.parametrize("message", [b'{"type": "describe"}\n', b'{"type": "synthesize"}\n'])
async def test_a_flood_of_questions_whose_answers_are_not_read_is_cut_off(message: bytes) -> None:
    async with serving(stall_timeout=0.1) as door:
        client = await deaf(door)
        most = 0
        client.writer.write(message * 200_000)
        while door.server._connections:
            most = max(most, buffered(door))
            await asyncio.sleep(0)
        assert most < MIB
        await client.close()


async def test_one_connection_over_the_limit_is_told_busy_and_closed() -> None:
    async with serving(max_connections=2) as door, door.client() as one, door.client() as two:
        await one.is_answered()
        await two.is_answered()
        async with door.client() as three:
            (error,) = await three.hear_end()
            assert error.data["code"] == "busy"
        await one.close()
        await asyncio.wait(set(door.server._connections), return_when=asyncio.FIRST_COMPLETED)
        await asyncio.sleep(0)
        async with door.client() as four:
            await four.is_answered()
        await two.is_answered()


async def test_five_hundred_clients_at_once_are_all_answered() -> None:
    async with serving() as door, AsyncExitStack() as stack:
        opening = [stack.enter_async_context(door.client()) for _ in range(500)]
        clients = await asyncio.gather(*opening)

        async def converse(client: Client) -> bytes:
            await client.say("describe")
            assert (await client.hear()).type == "info"
            await client.say("synthesize", text="abc")
            return audio(await client.hear_until("audio-stop"))

        assert set(await asyncio.gather(*map(converse, clients))) == {CHUNK * 3}
        assert len(door.server._connections) == 500


async def ordinary(client: Client) -> None:
    await client.say("synthesize", text="abc")
    await client.hear_until("audio-stop")


async def failing(client: Client) -> None:
    await client.say("synthesize", text="a!")
    await client.hear_end()


async def leaving(client: Client) -> None:
    await client.say("synthesize", text="~")
    await client.hear_until("audio-chunk")
    client.cut()


async def talking_nonsense(client: Client) -> None:
    await client.say_raw(b'{"type": "ping", "payload_length": 1000000000000}\n')
    await client.hear_end()


async def test_thousands_of_connections_leave_nothing_behind(endurance: Callable[[int], int]) -> None:
    process = psutil.Process()
    kinds = (ordinary, failing, leaving, talking_nonsense)
    async with serving() as door:

        async def connect(times: int) -> None:
            for number in range(times):
                async with door.client() as client:
                    await kinds[number % len(kinds)](client)
            await door.empty()

        await connect(200)
        memory, descriptors = process.memory_info().rss, process.num_fds()
        await connect(endurance(10_000))
        assert process.memory_info().rss - memory < 5 * MIB
        assert process.num_fds() <= descriptors
        door.processor.requests.clear()

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from voicenode.transports.wyoming.outgoing import HIGH_WATER, ClientGoneError, Outgoing

MIB = 1024 * 1024


@asynccontextmanager
async def connected(stall_timeout: float) -> AsyncIterator[tuple[Outgoing, socket.socket]]:
    """The writing side of a connection, and the socket at its other end."""
    here, there = socket.socketpair()
    there.setblocking(False)
    _, writer = await asyncio.open_connection(sock=here)
    try:
        yield Outgoing(writer, stall_timeout), there
    finally:
        there.close()
        writer.transport.abort()
        await asyncio.sleep(0)


async def test_little_is_sent_without_waiting_for_the_client() -> None:
    async with connected(stall_timeout=30) as (out, there):
        await out.send(b"hello")
        assert await asyncio.get_running_loop().sock_recv(there, 100) == b"hello"


async def test_much_waits_for_the_client_to_read() -> None:
    async with connected(stall_timeout=30) as (out, there):
        sending = asyncio.create_task(out.send(bytes(MIB)))
        received = 0
        while received < MIB - HIGH_WATER - 256 * 1024:
            await asyncio.sleep(0)
            assert not sending.done()
            received += len(await asyncio.get_running_loop().sock_recv(there, 65_536))
        while received < MIB:
            received += len(await asyncio.get_running_loop().sock_recv(there, 65_536))
        await sending


async def test_a_client_that_reads_nothing_is_cut_off() -> None:
    async with connected(stall_timeout=0.05) as (out, _):
        with pytest.raises(ClientGoneError, match=r"read nothing for 0\.05 s"):
            await out.send(bytes(MIB))
        with pytest.raises(ClientGoneError):
            await out.send(b"more")


async def test_a_client_may_be_slower_than_the_timeout_as_long_as_it_reads() -> None:
    size = 4 * MIB
    async with connected(stall_timeout=0.3) as (out, there):
        sending = asyncio.create_task(out.send(bytes(size)))
        received = 0
        while received < size:
            await asyncio.sleep(0.02)  # all of it takes several times the timeout
            received += len(await asyncio.get_running_loop().sock_recv(there, 65_536))
        await sending


async def test_a_client_that_hangs_up_ends_the_waiting() -> None:
    async with connected(stall_timeout=30) as (out, there):
        sending = asyncio.create_task(out.send(bytes(MIB)))
        await asyncio.sleep(0)
        there.close()
        with pytest.raises(ClientGoneError, match="hung up"):
            await sending

"""Sockets as servers get them."""

from __future__ import annotations

import asyncio
import socket

import pytest

from tests.support.ports import IPV6
from voicenode.sockets import bind_tcp


@pytest.mark.parametrize("host", ["127.0.0.1", *(["::1"] if IPV6 else [])])
async def test_small_words_are_sent_at_once(host: str) -> None:
    """Else the end of an answer waits 40 ms, until the listener's kernel has acknowledged the beginning."""
    accepted: asyncio.Queue[asyncio.StreamWriter] = asyncio.Queue()
    (sock,) = await bind_tcp(host, 0)
    async with await asyncio.start_server(lambda _, writer: accepted.put_nowait(writer), sock=sock):
        _, client = await asyncio.open_connection(*sock.getsockname()[:2])
        server = await accepted.get()
        assert server.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        for writer in (client, server):
            writer.close()
            await writer.wait_closed()

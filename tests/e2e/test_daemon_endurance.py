"""What a node does for weeks leaves it as it was."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from wyoming.client import AsyncClient
from wyoming.info import Describe

from tests.support.daemon import daemon, hear, request, say
from tests.support.limits import LIMIT, eventually

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MIB = 1024 * 1024


async def test_two_thousand_requests_leave_the_node_as_it_was_after_two_hundred(
    tmp_path: Path, endurance: Callable[[int], int]
) -> None:
    with daemon(tmp_path) as node:

        async def house(requests: int) -> None:
            """As many requests by four clients, new connections and kept ones, with questions in between."""
            await asyncio.gather(*(client(requests // 4) for _ in range(4)))

        async def client(requests: int) -> None:
            async with AsyncClient.from_uri(node.uri, connect_timeout=LIMIT, read_timeout=LIMIT) as kept:
                for number in range(0, requests, 2):
                    assert (await say(node.uri, f"The light number {number} is on.")).whole
                    await kept.write_event(Describe().event())
                    info = await kept.read_event()
                    assert info is not None
                    assert info.type == "info"
                    await kept.write_event(request(f"The light number {number} is off.", "tone-plain"))
                    assert (await hear(kept)).whole

        await house(200)
        await eventually(lambda: len(node.ps.net_connections()) == 1)
        rss, descriptors, threads = node.rss, node.ps.num_fds(), node.ps.num_threads()
        engines = {worker.pid: worker.memory_info().rss for worker in node.workers}

        await house(endurance(1800))

        await eventually(lambda: node.ps.num_fds() <= descriptors)
        assert node.rss - rss < 5 * MIB
        assert node.ps.num_threads() <= threads
        assert engines.keys() == {worker.pid for worker in node.workers}
        assert all(worker.memory_info().rss - engines[worker.pid] < 5 * MIB for worker in node.workers)

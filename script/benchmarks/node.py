"""How fast and how small the node is with eSpeak NG, next to a stock handler that calls the same one."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import AsyncExitStack
from dataclasses import dataclass
from statistics import median, quantiles
from typing import TYPE_CHECKING

from espeakng_loader import get_library_path

from script.benchmarks import servers
from script.benchmarks.listening import Heard, hang_up, listen
from script.benchmarks.raw_espeak import first_audio, open_library
from script.benchmarks.report import Result, Row

if TYPE_CHECKING:
    from collections.abc import Sequence

    from script.benchmarks.servers import Server

SENTENCE = "The quick brown fox jumps over the lazy dog near the river bank. "
SHORT = "The light in the kitchen is on."
TWELVE_SECONDS = SENTENCE * 3
LONG = SENTENCE * 30
ENDLESS = SENTENCE * 300

ROUNDS = 100
CLIENTS = 32
CROWDS = 5
WARM, MANY = 200, 2000


async def measure() -> Result:
    """Every figure; ours and the peer's are taken in turn, so that a machine that drifts is fair to both."""
    async with AsyncExitStack() as stack:
        node = await stack.enter_async_context(servers.node())
        rss_at_rest = node.rss
        stock = await stack.enter_async_context(servers.stock())
        for server in (node, stock):
            await listen(server, SHORT)
        rows = [
            Row(
                name="from start to ready",
                ours=node.ready_seconds,
                unit="s",
                goal="ours <= 1",
            ),
            Row(name="memory at rest", ours=rss_at_rest, unit="MiB", goal="ours <= 80"),
            *await _one_client(node, stock),
            await _hang_up(node, stock),
            *await _crowd(node, stock),
        ]
    return Result([*rows, await _growth()])


async def _one_client(node: Server, stock: Server) -> list[Row]:
    library = open_library(get_library_path())
    raw, ours, theirs = [], [], []
    for _ in range(ROUNDS):
        raw.append(first_audio(library, SHORT))
        ours.append((await listen(node, SHORT)).first)
        theirs.append((await listen(stock, SHORT)).first)
    whole = [await listen(node, TWELVE_SECONDS) for _ in range(ROUNDS)]
    whole_stock = [await listen(stock, TWELVE_SECONDS) for _ in range(ROUNDS)]
    return [
        Row(
            name="first audio, one client, p50", ours=median(ours) * 1e3, peer=median(theirs) * 1e3, unit="ms"
        ),
        Row(
            name="first audio, one client, p50, and eSpeak's own",
            ours=median(ours) * 1e3,
            peer=median(raw) * 1e3,
            unit="ms",
            goal="over peer <= 5",
        ),
        Row(
            name=f"{whole[0].speech:.0f} s of speech, faster than real time",
            ours=median(heard.speech / heard.done for heard in whole),
            peer=median(heard.speech / heard.done for heard in whole_stock),
            unit="times",
            goal="ours >= 100",
        ),
    ]


async def _hang_up(node: Server, stock: Server) -> Row:
    """How long the next client waits for its first sound after one has left in the midst of 20 minutes."""
    ours: list[float] = []
    theirs: list[float] = []
    for server, waits in ((node, ours), (stock, theirs)) * 5:
        await hang_up(server, ENDLESS)
        waits.append((await listen(server, SHORT)).first)
    return Row(
        name="first audio of the next client after a hang-up, p50",
        ours=median(ours) * 1e3,
        peer=median(theirs) * 1e3,
        unit="ms",
        goal="ours <= 100",
    )


@dataclass(frozen=True, slots=True)
class _Crowd:
    """What many clients at once heard of one server, while another one kept asking who it is."""

    heard: Sequence[Heard]
    describes: Sequence[float]
    """Seconds of each `describe`."""

    @property
    def throughput(self) -> float:
        """Seconds of speech per second, of all clients together."""
        return sum(heard.speech for heard in self.heard) / max(heard.done for heard in self.heard)

    @property
    def fairness(self) -> float:
        """The slowest client's time by the fastest's."""
        done = [heard.done for heard in self.heard]
        return max(done) / min(done)

    @property
    def first(self) -> float:
        return median(heard.first for heard in self.heard)


async def _crowd(node: Server, stock: Server) -> list[Row]:
    ours, theirs = [], []
    for _ in range(CROWDS):
        ours.append(await _listen_together(node))
        theirs.append(await _listen_together(stock))
    return [
        Row(
            name=f"describe while {CLIENTS} listen, p99",
            ours=_slowest_describe(ours) * 1e3,
            peer=_slowest_describe(theirs) * 1e3,
            unit="ms",
            goal="ours <= 25",
        ),
        Row(
            name=f"{CLIENTS} clients, speech per second",
            ours=median(crowd.throughput for crowd in ours),
            peer=median(crowd.throughput for crowd in theirs),
            unit="s/s",
            goal="ratio >= 0.8",
        ),
        Row(
            name=f"{CLIENTS} clients, slowest by fastest",
            ours=median(crowd.fairness for crowd in ours),
            peer=median(crowd.fairness for crowd in theirs),
            unit="times",
            goal="ours <= 1.5",
        ),
        Row(
            name=f"{CLIENTS} clients, first audio, p50",
            ours=median(crowd.first for crowd in ours) * 1e3,
            peer=median(crowd.first for crowd in theirs) * 1e3,
            unit="ms",
            goal="ratio <= 0.333",
        ),
    ]


def _slowest_describe(crowds: Sequence[_Crowd]) -> float:
    """The 99th percentile."""
    return quantiles((took for crowd in crowds for took in crowd.describes), n=100)[98]


async def _listen_together(server: Server) -> _Crowd:
    asking = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "script.benchmarks.asking", str(server.port)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    heard = await asyncio.gather(*(listen(server, LONG) for _ in range(CLIENTS)))
    answers, _ = await asking.communicate(b"\n")
    return _Crowd(heard, json.loads(answers))


async def _growth() -> Row:
    async with servers.node() as node:
        for _ in range(WARM):
            await listen(node, SHORT)
        warm = node.rss
        for _ in range(MANY - WARM):
            await listen(node, SHORT)
        return Row(
            name=f"memory after {MANY} requests over that after {WARM}",
            ours=node.rss - warm,
            unit="MiB",
            goal="ours <= 5",
        )

"""How fast the node answers over MQTT, next to its own Wyoming door, and how many jobs it takes."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import TYPE_CHECKING, Any

from script.benchmarks import servers
from script.benchmarks.listening import describe, listen
from script.benchmarks.mqtt_client import connect
from script.benchmarks.report import Result, Row
from tests.support.mosquitto import Mosquitto

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from concurrent.futures import Executor

    from script.benchmarks.mqtt_client import Client
    from script.benchmarks.servers import Server

SHORT = "The light in the kitchen is on."
ROUNDS = 100
RATE = 550
"""Jobs published a second: somewhat more than shall be accepted, so that the run's ends weigh nothing."""
SECONDS = 10
DESCRIBE_INTERVAL = 0.02
PATIENCE = 300.0
"""Seconds for all jobs to be spoken."""


async def measure() -> Result:
    """Every figure; each client is a process of its own."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Mosquitto(Path(folder)) as broker,
        ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as clients,
    ):
        environment = {
            "VOICENODE_MQTT__HOST": broker.host,
            "VOICENODE_MQTT__PORT": str(broker.port),
            "VOICENODE_HTTP__PORT": "0",
        }
        async with servers.node(environment, "--no-mdns") as node:
            base = await _base(broker.port)
            return Result(
                [
                    Row(name="memory at rest", ours=node.rss, unit="MiB", goal="ours <= 80"),
                    await _first_audio(clients, node, broker.port, base),
                    *await _many_jobs(clients, node, broker.port, base),
                ]
            )


async def _base(port: int) -> str:
    """What the node's topics begin with, once it is connected."""
    async with connect(port, "finder") as client:
        await client.subscribe("voicenode/+/state")
        topic, _ = await client.hear()
        return topic.removesuffix("/state")


async def _first_audio(clients: Executor, node: Server, port: int, base: str) -> Row:
    ours, theirs = await _elsewhere(clients, _compare, node, port, base)
    return Row(
        name="from publish to first audio on a topic, p50, and Wyoming's",
        ours=median(ours) * 1e3,
        peer=median(theirs) * 1e3,
        unit="ms",
        goal="over peer <= 10",
    )


async def _compare(node: Server, port: int, base: str) -> tuple[list[float], list[float]]:
    """Seconds to first audio over MQTT and over Wyoming, taken in turn."""
    ours, theirs = [], []
    # Two clients: mosquitto, where `set_tcp_nodelay` is not set, holds audio up behind its own PUBACK.
    async with connect(port, "asker") as asker, connect(port, "listener") as listener:
        await listener.subscribe(f"{base}/audio/+")
        await _first_piece(asker, listener, base)
        for _ in range(ROUNDS):
            ours.append(await _first_piece(asker, listener, base))
            theirs.append((await listen(node, SHORT)).first)
    return ours, theirs


async def _first_piece(asker: Client, listener: Client, base: str) -> float:
    """Ask for a text in pieces, and hear it to the end; seconds until the first piece."""
    request = json.dumps({"text": SHORT, "deliver": "topic", "format": "pcm"}).encode()
    begun = time.perf_counter()
    asker.publish(f"{base}/request/synthesize", request)
    await listener.hear()
    took = time.perf_counter() - begun
    while (await listener.hear())[1]:
        pass
    return took


async def _many_jobs(clients: Executor, node: Server, port: int, base: str) -> list[Row]:
    before = node.rss
    taken, describes = await asyncio.gather(
        _elsewhere(clients, _publish, port, base), _elsewhere(clients, _keep_asking, node)
    )
    return [
        Row(
            name=f"jobs accepted and stored a second, of {RATE} that are published",
            ours=taken.jobs / taken.accepted,
            unit="1/s",
            goal="ours >= 500",
        ),
        Row(
            name=f"of {taken.jobs} jobs, those without an audio file in the end",
            ours=taken.lost,
            unit="jobs",
            goal="ours <= 0",
        ),
        Row(
            name="describe meanwhile, p99",
            ours=quantiles(describes, n=100)[98] * 1e3,
            unit="ms",
            goal="ours <= 25",
        ),
        Row(name="jobs spoken and answered a second", ours=taken.jobs / taken.answered, unit="1/s"),
        Row(name=f"memory after {taken.jobs} jobs over that before", ours=node.rss - before, unit="MiB"),
    ]


@dataclass(frozen=True, slots=True)
class _Taken:
    """What became of many jobs; times are in seconds since the first was published."""

    jobs: int
    accepted: float
    """Until the node had stored the last of them."""
    answered: float
    """Until the answer to the last of them came."""
    lost: int


async def _publish(port: int, base: str) -> _Taken:
    """Publish short jobs at a steady pace, and hear all that is answered."""
    jobs = RATE * SECONDS
    async with connect(port, "publisher") as publisher, connect(port, "answered") as listener:
        await listener.subscribe(f"{base}/response/+")
        begun = time.perf_counter()
        publishing = asyncio.create_task(_paced(publisher, base, jobs, begun))
        waiting, accepted = {f"job-{number}" for number in range(jobs)}, 0.0
        try:
            async with asyncio.timeout(PATIENCE):
                while waiting or not accepted:
                    answer = json.loads((await listener.hear())[1])
                    if answer["transaction"] == "all stored":
                        accepted = time.perf_counter() - begun
                    elif answer["data"].get("url"):
                        waiting.discard(answer["transaction"])
        except TimeoutError:
            pass  # the row of those that are lost tells
        answered = time.perf_counter() - begun
        await publishing
    return _Taken(jobs, accepted or answered, answered, len(waiting))


async def _paced(publisher: Client, base: str, jobs: int, begun: float) -> None:
    for number in range(jobs):
        await asyncio.sleep(begun + number / RATE - time.perf_counter())
        job = {"text": f"Job {number}.", "transaction": f"job-{number}"}
        publisher.publish(f"{base}/request/synthesize", json.dumps(job).encode())
    # Answered when all that was asked before it is stored.
    publisher.publish(f"{base}/request/health_check", b'{"transaction": "all stored"}')


async def _keep_asking(node: Server) -> list[float]:
    """Seconds of each `describe` while the jobs come."""
    describes, until = [], time.perf_counter() + SECONDS
    while time.perf_counter() < until:
        describes.append(await describe(node))
        await asyncio.sleep(DESCRIBE_INTERVAL)
    return describes


async def _elsewhere(clients: Executor, client: Callable[..., Awaitable[Any]], *arguments: object) -> Any:  # noqa: ANN401
    """What a client finds, in a process of its own."""
    return await asyncio.get_running_loop().run_in_executor(clients, _run, client, *arguments)


def _run(client: Callable[..., Any], *arguments: object) -> object:
    return asyncio.run(client(*arguments))

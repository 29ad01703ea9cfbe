"""Nothing is lost, whoever is restarted or killed."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support import tone
from tests.support.limits import LIMIT
from tests.support.mosquitto import Mosquitto
from tests.support.mqtt import Peer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

ROOT = Path(__file__).parents[2]


class NodeProcess:
    """A node that can be killed and started again."""

    def __init__(self, broker: Mosquitto, folder: Path, node_id: str) -> None:
        self._arguments = [str(folder), broker.host, str(broker.port), node_id]
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Return when it is connected."""
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.support.mqtt", *self._arguments,
            cwd=ROOT, env={**os.environ, "PYTHONPATH": tone.python_path()}, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert self._process.stdout
        async with asyncio.timeout(LIMIT):
            assert await self._process.stdout.readline() == b"ready\n"

    async def kill(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            await self._process.wait()
            self._process = None


@asynccontextmanager
async def running(broker: Mosquitto, folder: Path, *names: str) -> AsyncIterator[list[NodeProcess]]:
    nodes = [NodeProcess(broker, folder / name, name) for name in names]
    try:
        await asyncio.gather(*(node.start() for node in nodes))
        yield nodes
    finally:
        for node in nodes:
            await node.kill()


@asynccontextmanager
async def peers(broker: Mosquitto, topic: str) -> AsyncIterator[tuple[Peer, Peer]]:
    """A publisher and a listener whom the broker keeps what they miss."""
    async with AsyncExitStack() as stack:
        address = (broker.host, broker.port)
        publisher = await stack.enter_async_context(Peer(address, name="publisher", keep=True))
        listener = await stack.enter_async_context(Peer(address, name="listener", keep=True))
        await listener.subscribe(topic)
        yield publisher, listener


def answers(listener: Peer) -> dict[str, list[dict[str, Any]]]:
    """What was answered, by transaction."""
    found: dict[str, list[dict[str, Any]]] = {}
    for message in listener.heard:
        answer = json.loads(message.payload)
        found.setdefault(answer["transaction"], []).append(answer)
    return found


@pytest.mark.timeout(600)
async def test_no_job_is_lost_while_the_broker_restarts_and_the_node_is_killed(
    tmp_path: Path, endurance: Callable[[int], int]
) -> None:
    count, restarts, kills = endurance(1000), max(3, endurance(10)), max(2, endurance(5))
    with Mosquitto(tmp_path / "broker", persistence=True) as broker:
        async with (
            peers(broker, "voicenode/n1/response/synthesize") as (publisher, listener),
            running(broker, tmp_path, "n1") as (node,),
        ):
            chance = random.Random(1)
            events = chance.sample(["restart"] * restarts + ["kill"] * kills, restarts + kills)
            ends = [count * (number + 1) // len(events) for number in range(len(events))]
            for event, start, end in zip(events, [0, *ends], ends, strict=False):
                publishing = asyncio.create_task(publish(publisher, "voicenode/n1", range(start, end)))
                await asyncio.sleep(chance.uniform(0, 0.2))
                if event == "restart":
                    await asyncio.to_thread(broker.restart)
                else:
                    await node.kill()
                    await node.start()
                await publishing
            await listener.until(lambda: len(listener.heard) >= count == len(answers(listener)))
            found = answers(listener)
    assert set(found) == {f"t{number}" for number in range(count)}
    for said in found.values():
        assert said[0]["status"] == "ok"
        assert all(again == said[0] for again in said), "an answer that comes again is the same answer"


@pytest.mark.timeout(600)
async def test_two_nodes_share_the_work_and_a_kill_loses_none(
    tmp_path: Path, endurance: Callable[[int], int]
) -> None:
    count, away = endurance(200), endurance(10)
    with Mosquitto(tmp_path / "broker", persistence=True) as broker:
        async with (
            peers(broker, "voicenode/response/synthesize") as (publisher, listener),
            running(broker, tmp_path, "n1", "n2") as (first, _),
        ):
            await publish(publisher, "voicenode", range(count // 2))
            await first.kill()
            await publish(publisher, "voicenode", range(count // 2, count))
            await asyncio.sleep(away)
            await first.start()
            await listener.until(lambda: len(listener.heard) >= count == len(answers(listener)))
            found = answers(listener)
    assert set(found) == {f"t{number}" for number in range(count)}
    assert all(said[0]["status"] == "ok" for said in found.values())
    assert {each["node"] for said in found.values() for each in said} == {"n1", "n2"}


async def publish(publisher: Peer, base: str, numbers: range) -> None:
    """Have the broker take requests, one after the other."""
    for number in numbers:
        await publisher.ask(f"{base}/request/synthesize", text=f"job {number}", transaction=f"t{number}")

"""Requests over MQTT are all answered, and none is spoken twice, whatever is killed or restarted."""

from __future__ import annotations

import asyncio
import json
import random
import re
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.mosquitto import Mosquitto
from tests.support.mqtt import Peer
from tests.support.mqtt_daemon import MqttNode

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

PATIENCE = 300.0
"""Seconds until everything is answered."""


class Listener:
    """What was answered, by transaction."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer

    @property
    def answers(self) -> dict[str, list[dict[str, Any]]]:
        found: dict[str, list[dict[str, Any]]] = {}
        for message in self._peer.heard:
            answer = json.loads(message.payload)
            found.setdefault(answer["transaction"], []).append(answer)
        return found

    async def has(self, count: int) -> None:
        """Wait until so many transactions are answered."""
        async with asyncio.timeout(PATIENCE):
            await self._peer.until(lambda: len(self._peer.heard) >= count and len(self.answers) >= count)


class Diary:
    """Which jobs the engine spoke, one after the other."""

    def __init__(self, path: Path) -> None:
        path.touch()
        self.path = path

    @property
    def jobs(self) -> list[str]:
        return [f"t{number}" for number in re.findall(r"\d+", self.path.read_text())]


@asynccontextmanager
async def peers(broker: Mosquitto, topic: str) -> AsyncIterator[tuple[Peer, Listener]]:
    """A publisher and a listener for whom the broker keeps what they miss."""
    async with AsyncExitStack() as stack:
        address = (broker.host, broker.port)
        publisher = await stack.enter_async_context(Peer(address, name="publisher", keep=True))
        listener = await stack.enter_async_context(Peer(address, name="listener", keep=True))
        await listener.subscribe(topic)
        yield publisher, Listener(listener)


@pytest.mark.timeout(900)
async def test_no_request_is_lost_or_spoken_again_while_the_broker_restarts_and_the_node_is_killed(
    tmp_path: Path, endurance: Callable[[int], int]
) -> None:
    count, restarts, kills = endurance(1000), max(2, endurance(10)), max(2, endurance(5))
    diary = Diary(tmp_path / "diary")
    with Mosquitto(tmp_path / "broker", persistence=True) as broker:
        node = MqttNode(broker, tmp_path / "node", tone={"diary": str(diary.path), "char_seconds": 0.001})
        async with peers(broker, f"{node.base}/response/synthesize") as (publisher, listener), node:
            chance = random.Random(1)
            events = chance.sample(["restart"] * restarts + ["kill"] * kills, restarts + kills)
            ends = [count * (number + 1) // len(events) for number in range(len(events))]
            done: list[tuple[set[str], int]] = []
            for event, start, end in zip(events, [0, *ends], ends, strict=False):
                publishing = asyncio.create_task(publish(publisher, node.base, range(start, end)))
                await asyncio.sleep(chance.uniform(0, 0.3))
                done.append((set(listener.answers), len(diary.jobs)))
                if event == "restart":
                    await asyncio.to_thread(broker.restart)
                else:
                    await asyncio.to_thread(node.kill)
                    await asyncio.to_thread(node.start)
                await publishing
            await listener.has(count)
            done.append((set(listener.answers), len(diary.jobs)))
            await publish(publisher, node.base, range(0, count, 10))
            await publisher.ask(
                f"{node.base}/request/synthesize", text=f"job {count}", transaction=f"t{count}"
            )
            await listener.has(count + 1)
            found = listener.answers
    assert set(found) == {f"t{number}" for number in range(count + 1)}
    for said in found.values():
        assert said[0]["status"] == "ok"
        assert all(again == said[0] for again in said), "an answer that comes again is the same answer"
    for answered, spoken in done[:-1]:
        assert not answered & set(diary.jobs[spoken:])
    assert diary.jobs[done[-1][1] :] == [f"t{count}"], "nothing but the new request is spoken"


@pytest.mark.timeout(900)
async def test_two_nodes_share_requests_and_the_one_that_is_killed_loses_none(
    tmp_path: Path, endurance: Callable[[int], int]
) -> None:
    count, away = max(40, endurance(200)), endurance(10)
    tone = {"char_seconds": 0.001}
    with Mosquitto(tmp_path / "broker", persistence=True) as broker:
        first, second = (MqttNode(broker, tmp_path / name, name * 8, tone=tone) for name in "ab")
        async with peers(broker, "voicenode/response/synthesize") as (publisher, listener), first, second:
            await publish(publisher, "voicenode", range(count // 2))
            publishing = asyncio.create_task(publish(publisher, "voicenode", range(count // 2, count)))
            await asyncio.to_thread(first.kill)
            await publishing
            await asyncio.sleep(away)
            await asyncio.to_thread(first.start)
            await listener.has(count)
            found = listener.answers
    assert set(found) == {f"t{number}" for number in range(count)}
    assert all(each["status"] == "ok" for said in found.values() for each in said)
    assert {each["node"] for said in found.values() for each in said} == {"a" * 8, "b" * 8}


async def publish(publisher: Peer, base: str, numbers: range) -> None:
    """Have the broker take requests, one after the other."""
    for number in numbers:
        await publisher.ask(f"{base}/request/synthesize", text=f"job {number}", transaction=f"t{number}")

"""What the node does about a broker that is away or refuses it, about its own end, and about a full disk."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.support.daemon import say
from tests.support.limits import eventually
from tests.support.mosquitto import Mosquitto
from tests.support.mqtt import Peer
from tests.support.mqtt_daemon import MqttNode

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RETAINED = {"state", "info", "voices", "status", "settings"}


def peer(broker: Mosquitto) -> Peer:
    return Peer((broker.host, broker.port))


async def test_a_wrong_password_is_said_once_and_the_node_goes_on(tmp_path: Path) -> None:
    with Mosquitto(tmp_path / "broker", username="node", password="right") as broker:
        login = {"username": "node", "password": "wrong"}
        node = MqttNode(broker, tmp_path / "node", mqtt=login, connected=False, log_level="debug")
        async with node:
            await eventually(lambda: node.daemon.log.count("DEBUG.* MQTT: ") >= 2)
            assert (await say(node.daemon.uri, "hello")).whole
            assert node.daemon.log.count("WARNING|ERROR") == 1
            said = node.daemon.log.wait_for(r"WARNING.* MQTT: (.*)")[1]
            assert "password" in said
            assert "wrong" not in said


async def test_a_broker_that_comes_later_finds_the_node_waiting(tmp_path: Path) -> None:
    with Mosquitto(tmp_path / "broker") as broker:
        broker.stop()
        async with MqttNode(broker, tmp_path / "node", connected=False) as node:
            node.daemon.log.wait_for(rf"WARNING.* MQTT: {broker.host}:{broker.port} cannot be reached")
            assert (await say(node.daemon.uri, "hello")).whole
            broker.start()
            await asyncio.to_thread(node.daemon.log.wait_for, "MQTT: connected to")
            async with peer(broker) as client:
                await client.subscribe(f"{node.base}/response/+")
                await client.ask(f"{node.base}/request/synthesize", text="hello", transaction="t")
                answer = await client.hear(f"{node.base}/response/synthesize", transaction="t")
                assert answer["status"] == "ok"


async def test_a_node_that_is_stopped_says_that_it_is_offline(tmp_path: Path, mosquitto: Mosquitto) -> None:
    async with peer(mosquitto) as client, MqttNode(mosquitto, tmp_path / "node") as node:
        await client.subscribe(f"{node.base}/state")
        await client.hear(f"{node.base}/state", state="online")
        await asyncio.to_thread(node.stop)
        await client.hear(f"{node.base}/state", state="offline")


async def test_of_a_node_that_is_killed_the_broker_says_that_it_is_offline(
    tmp_path: Path, mosquitto: Mosquitto
) -> None:
    short = {"session_expiry": 1}  # the will comes with the end of the session, if that is sooner
    async with peer(mosquitto) as client, MqttNode(mosquitto, tmp_path / "node", mqtt=short) as node:
        await client.subscribe(f"{node.base}/state")
        await client.hear(f"{node.base}/state", state="online")
        await asyncio.to_thread(node.kill)
        await client.hear(f"{node.base}/state", state="offline")


async def test_a_broker_that_lost_its_memory_is_told_everything_again(
    tmp_path: Path, mosquitto: Mosquitto
) -> None:
    async with MqttNode(mosquitto, tmp_path / "node") as node, peer(mosquitto) as client:
        before = await retained(client, node.base)
        mosquitto.kill()
        mosquitto.start()
        async with peer(mosquitto) as later:
            after = await retained(later, node.base)
    for topic in RETAINED - {"status"}:
        assert after[topic] == before[topic]


async def test_a_full_disk_fails_the_job_and_harms_nothing_else(tmp_path: Path, mosquitto: Mosquitto) -> None:
    with small_disk(tmp_path / "disk") as disk:
        async with (
            MqttNode(mosquitto, tmp_path / "node", data_dir=disk) as node,
            peer(mosquitto) as client,
        ):
            topic = f"{node.base}/request/synthesize"
            response = f"{node.base}/response/synthesize"
            await client.subscribe(response)
            long = "word " * 1000
            await client.ask(topic, text=long, transaction="long")
            full = await client.hear(response, transaction="long")
            assert (full["status"], full["code"]) == ("error", "disk-full")
            assert "/" not in full["error"].removeprefix("/"), "clients learn nothing of the node's paths"
            assert sorted(path.name for path in (disk / "audio").iterdir()) == []
            await client.ask(topic, text="short", transaction="short")
            assert (await client.hear(response, transaction="short"))["status"] == "ok"
            await client.ask(topic, text=long, transaction="topic", deliver="topic")
            assert (await client.hear(response, transaction="topic", status="ok"))["data"]["topic"]
            assert (await say(node.daemon.uri, long)).whole


@contextmanager
def small_disk(path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small disk")
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "voicenode-test", str(path)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("nothing may be mounted here")
    with ExitStack() as stack:
        stack.callback(subprocess.run, ["umount", str(path)], check=True)
        yield path


async def retained(client: Peer, base: str) -> dict[str, object]:
    """What the broker keeps of the node, once it has all."""
    await client.subscribe(f"{base}/+")
    await client.until(
        lambda: {message.topic for message in client.heard} >= {f"{base}/{t}" for t in RETAINED}
    )
    return {message.topic.removeprefix(f"{base}/"): json.loads(message.payload) for message in client.heard}

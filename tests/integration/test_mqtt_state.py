"""What the broker keeps of a node."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.engines.voicenode_tone import ToneOptions, spell
from tests.support.mosquitto import Mosquitto
from tests.support.mqtt import Peer, node, properties

if TYPE_CHECKING:
    from pathlib import Path

    from paho.mqtt.client import MQTTMessage

pytestmark = pytest.mark.usefixtures("tone_engine", "heartbeat")

TOPICS = {"state", "info", "voices", "status", "settings"}


async def kept(broker: Mosquitto) -> dict[str, Any]:
    """What somebody gets who comes later, once there is everything."""
    values: dict[str, Any] = {}
    while set(values) != TOPICS:
        async with Peer((broker.host, broker.port)) as peer:
            await peer.subscribe("voicenode/n1/+")
            await peer.say("over")
            await peer.until(lambda: len(peer.heard) > 0)
            values = {
                message.topic.rpartition("/")[2]: json.loads(message.payload)
                for message in peer.heard
                if message.retain
            }
    return values


async def test_a_node_tells_what_it_is_to_all_who_come_later(mosquitto: Mosquitto, tmp_path: Path) -> None:
    async with node(mosquitto, tmp_path / "node"):
        values = await kept(mosquitto)
        assert set(values) == TOPICS
        assert values["state"] == {"state": "online"}
        assert values["info"]["version"] == "1.2.3"
        assert [voice["name"] for voice in values["voices"]] == ["tone-plain", "tone-deutsch"]
        assert values["settings"]["idle_timeout_s"] == 300
    assert (await kept(mosquitto))["state"] == {"state": "offline"}


async def test_a_node_is_online_once_all_else_is_told(mosquitto: Mosquitto, tmp_path: Path) -> None:
    async with Peer((mosquitto.host, mosquitto.port)) as peer:
        await peer.subscribe("voicenode/n1/+")
        async with node(mosquitto, tmp_path / "node"):
            await peer.until(lambda: len(peer.heard) == len(TOPICS))
            assert peer.heard[-1].topic == "voicenode/n1/state"


async def test_a_broker_that_forgot_everything_is_told_again(tmp_path: Path) -> None:
    with Mosquitto(tmp_path / "broker") as broker:
        async with node(broker, tmp_path / "node"):
            assert set(await kept(broker)) == TOPICS
            broker.restart()
            assert set(await kept(broker)) == TOPICS


async def test_changes_are_told_and_nothing_else(mosquitto: Mosquitto, tmp_path: Path) -> None:
    async with (
        node(mosquitto, tmp_path / "node") as running,
        Peer((mosquitto.host, mosquitto.port)) as peer,
    ):
        await peer.subscribe("voicenode/n1/+")
        await peer.until(lambda: len(peer.heard) == 5)
        peer.heard.clear()
        for count in (1, 2):
            running.controls.status["queued_jobs"] = count
            assert (await peer.hear("voicenode/n1/status"))["queued_jobs"] == count
        assert peer.heard == []


async def test_a_node_without_a_broker_runs_and_has_its_say_later(tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path / "broker")
    broker.folder.mkdir()
    broker._configure()
    async with node(broker, tmp_path / "node", connected=False) as running:
        assert not running.transport.connected
        broker.start()
        try:
            assert set(await kept(broker)) == TOPICS
        finally:
            broker.stop()


async def test_audio_on_a_topic_waits_for_a_broker_that_restarts(tmp_path: Path) -> None:
    text = "many words that take their time to be said"
    slow = ToneOptions(char_seconds=0.02)
    with Mosquitto(tmp_path / "broker", persistence=True) as broker:
        async with (
            Peer((broker.host, broker.port), name="listener", keep=True) as peer,
            node(broker, tmp_path / "node", options=slow) as running,
        ):
            await peer.subscribe(f"{running.base}/response/synthesize")
            await peer.subscribe(f"{running.base}/audio/t")
            await peer.ask(
                f"{running.base}/request/synthesize",
                text=text,
                transaction="t",
                deliver="topic",
                format="pcm",
            )
            await peer.until(lambda: len(peer.heard) > 3)
            await asyncio.to_thread(broker.restart)
            await peer.hear(f"{running.base}/response/synthesize", status="ok")
            pieces = {
                sequence(message): message.payload for message in peer.heard if "/audio/" in message.topic
            }
    assert sorted(pieces) == list(range(len(pieces)))
    assert pieces[len(pieces) - 1] == b""
    assert spell(b"".join(pieces[number] for number in sorted(pieces))).strip() == text


def sequence(message: MQTTMessage) -> int:
    return int(dict(properties(message).UserProperty)["seq"])

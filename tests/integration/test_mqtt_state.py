"""What the broker keeps of a node."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.support import tone
from tests.support.mosquitto import Mosquitto
from tests.support.mqtt import Peer, node

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("tone_engine", "heartbeat")

TOPICS = {"state", "info", "voices", "status", "settings"}


@pytest.fixture
def tone_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", tone.python_path())


async def kept(broker: Mosquitto) -> dict[str, Any]:
    """What somebody gets who comes later, once there is everything."""
    values: dict[str, Any] = {}
    while set(values) != TOPICS:
        async with Peer((broker.host, broker.port)) as peer:
            await peer.subscribe("voicenode/n1/+")
            await peer.say("over")
            await peer.until(lambda: len(peer.heard) > 0)  # noqa: B023 - it is awaited at once
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

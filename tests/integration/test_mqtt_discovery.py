"""The node as a device in Home Assistant, on a real broker."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest

from tests.support import ha_schema
from tests.support.limits import LIMIT
from tests.support.mosquitto import Mosquitto
from tests.support.mqtt import Peer, Running, address, node
from voicenode.errors import VoiceServiceError
from voicenode.transports.mqtt.discovery import Discovery
from voicenode.transports.mqtt.removal import remove
from voicenode.voice import Voice

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from voicenode.jobs import JobQueue
    from voicenode.transports.mqtt import MqttTransport, Node

pytestmark = pytest.mark.usefixtures("tone_engine", "heartbeat")

CONFIG = "homeassistant/device/voicenode_n1/config"
BIRTH = "homeassistant/status"


def voice(name: str) -> Voice:
    return Voice(name=name, engine="tone", id=name, description=name, languages=("en",))


@dataclass
class House:
    """What the node of a test has and is."""

    voices: list[Voice] = field(default_factory=lambda: [voice("bob")])
    status: dict[str, Any] = field(default_factory=lambda: {"speaking": False, "vram_used_mib": 812})
    settings: dict[str, Any] = field(default_factory=lambda: {"default_voice": "bob", "low_vram": False})

    def announce(self, transport: MqttTransport, seen: Node, _: JobQueue) -> None:
        shown = replace(
            seen,
            voices=lambda: self.voices,
            status=lambda: dict(self.status),
            settings=lambda: dict(self.settings),
        )
        Discovery(transport, shown, spread=0)

    def running(self, broker: Mosquitto, folder: Path) -> Any:  # noqa: ANN401 - a context manager
        return node(broker, folder / "node", prepare=self.announce)


@pytest.fixture
def house() -> House:
    return House()


@pytest.fixture
async def running(
    mosquitto: Mosquitto,
    tmp_path: Path,
    house: House,
    tone_engine: None,  # noqa: ARG001 (order)
) -> AsyncIterator[Running]:
    async with house.running(mosquitto, tmp_path) as running:
        yield running


@asynccontextmanager
async def home_assistant(broker: Mosquitto) -> AsyncIterator[Peer]:
    """What listens as Home Assistant does."""
    async with Peer((broker.host, broker.port)) as peer:
        await peer.subscribe("homeassistant/#")
        await peer.subscribe("voicenode/#")
        yield peer


async def device(peer: Peer) -> dict[str, Any]:
    """The next device that is announced, of which Home Assistant would take every word."""
    message = await peer.hear_raw(CONFIG)
    return ha_schema.check(message.topic, bytes(message.payload))


async def settle(peer: Peer, running: Running) -> None:
    """Whatever the node has to say to what it was told before is said."""
    await peer.ask(f"{running.base}/request/health_check")
    await peer.hear(f"{running.base}/response/health_check", status="ok")


async def live(mosquitto: Mosquitto, folder: Path) -> None:
    """A node's life, long enough to tell all of itself."""
    async with House().running(mosquitto, folder), home_assistant(mosquitto) as peer:
        await peer.hear("voicenode/n1/settings")


async def test_the_device_is_kept_by_the_broker_for_a_home_assistant_that_comes_later(
    mosquitto: Mosquitto, running: Running
) -> None:
    assert running.transport.connected
    async with home_assistant(mosquitto) as peer:
        message = await peer.hear_raw(CONFIG)
        assert message.retain
        told = ha_schema.check(message.topic, bytes(message.payload))
        assert told["dev"]["name"] == "Kitchen"
        assert {"say", "text", "default_voice", "low_vram", "vram", "speaking"} <= told["cmps"].keys()
        assert told["avty_t"] == f"{running.base}/state"


async def test_a_home_assistant_that_starts_gets_it_again(mosquitto: Mosquitto, running: Running) -> None:
    assert running.transport.connected
    async with home_assistant(mosquitto) as peer:
        await device(peer)
        await peer.say(BIRTH, "offline")
        await settle(peer, running)
        assert peer.count(CONFIG) == 0
        await peer.say(BIRTH, "online", qos=0)
        assert not (await peer.hear_raw(CONFIG)).retain
        await settle(peer, running)
        assert peer.count(CONFIG) == 0


async def test_a_broker_that_lost_its_memory_gets_it_again(mosquitto: Mosquitto, running: Running) -> None:
    async with home_assistant(mosquitto) as peer:
        await device(peer)
    await asyncio.to_thread(mosquitto.restart)
    async with asyncio.timeout(LIMIT), home_assistant(mosquitto) as peer:
        await running.transport.client.connected.wait()
        await device(peer)


async def test_the_options_follow_the_voices(mosquitto: Mosquitto, running: Running, house: House) -> None:
    assert running.transport.connected
    async with home_assistant(mosquitto) as peer:
        assert (await device(peer))["cmps"]["default_voice"]["ops"] == ["bob"]
        house.voices = [voice("alice"), voice("bob"), replace(voice("hidden"), advertised=False)]
        assert (await device(peer))["cmps"]["default_voice"]["ops"] == ["alice", "bob"]


async def test_a_value_comes_after_the_options_that_it_is_one_of(
    mosquitto: Mosquitto, running: Running, house: House
) -> None:
    running.controls.settings = house.settings
    async with home_assistant(mosquitto) as peer:
        await device(peer)
        await peer.hear(f"{running.base}/settings")
        house.settings["default_voice"] = "an alias"
        await peer.ask(f"{running.base}/request/settings", low_vram=True)
        await peer.until(lambda: peer.count(f"{running.base}/settings") > 0)
        order = [message.topic for message in peer.heard]
        assert order.index(CONFIG) < order.index(f"{running.base}/settings")
        assert (await device(peer))["cmps"]["default_voice"]["ops"] == ["bob", "an alias"]


async def test_a_component_that_vanishes_is_removed(
    mosquitto: Mosquitto, running: Running, house: House
) -> None:
    assert running.transport.connected
    async with home_assistant(mosquitto) as peer:
        assert len((await device(peer))["cmps"]["vram"]) > 1
        del house.status["vram_used_mib"]
        assert (await device(peer))["cmps"]["vram"] == {"p": "sensor"}
        house.status["vram_used_mib"] = 1
        assert len((await device(peer))["cmps"]["vram"]) > 1


async def test_a_component_of_an_earlier_life_is_removed_once(mosquitto: Mosquitto, tmp_path: Path) -> None:
    await live(mosquitto, tmp_path)
    for expected in ({"p": "switch"}, None):
        now = House(settings={"default_voice": "bob"})
        async with now.running(mosquitto, tmp_path) as running, home_assistant(mosquitto) as peer:
            await settle(peer, running)  # until then it may not have heard what it had shown
            peer.heard.clear()
            await peer.say(BIRTH, "online")
            assert (await device(peer))["cmps"].get("low_vram") == expected


@pytest.mark.parametrize(
    "payload",
    [
        b"{",
        b"[]",
        b'{"cmps": 1}',
        b'{"cmps": {"x": 1, "y": {}}}',
        b'{"cmps": {"x": {"p": ["sensor"], "n": 1}}}',
        b'{"cmps": {"x": {"p": "teapot", "name": "Tea"}}}',
        b"\xff",
        b"[" * 100_000,
    ],
)
async def test_what_strangers_left_as_its_device_does_no_harm(
    mosquitto: Mosquitto, tmp_path: Path, payload: bytes
) -> None:
    async with home_assistant(mosquitto) as peer:
        await peer.say(CONFIG, payload, retain=True)
        await peer.hear_raw(CONFIG)
        async with House().running(mosquitto, tmp_path) as running:
            assert "x" not in (await device(peer))["cmps"]
            await settle(peer, running)
            assert peer.count(CONFIG) == 0


async def kept(broker: Mosquitto) -> set[str]:
    """Every topic on which the broker keeps something."""
    async with Peer((broker.host, broker.port)) as peer:
        await peer.subscribe("#")
        await peer.say("mark", "here")
        await peer.hear_raw("mark")
        return {message.topic for message in peer.heard if message.retain}


async def remove_from(broker: Mosquitto, *, force: bool = False) -> set[str]:
    found = await remove(address(broker), "n1", base_topic="voicenode", prefix="homeassistant", force=force)
    return set(found)


async def test_a_node_that_is_removed_leaves_nothing_behind(mosquitto: Mosquitto, tmp_path: Path) -> None:
    async with House().running(mosquitto, tmp_path) as running, home_assistant(mosquitto) as peer:
        await peer.hear(f"{running.base}/settings")
        await peer.say("voicenode/n2/state", "another node", retain=True)
        await peer.say(f"{running.base}/audio/t1", "left by somebody", retain=True)
    before = await kept(mosquitto)
    assert await remove_from(mosquitto) == before - {"voicenode/n2/state"}
    assert await kept(mosquitto) == {"voicenode/n2/state"}
    assert await remove_from(mosquitto) == set()


async def test_the_device_goes_before_what_its_entities_show(mosquitto: Mosquitto, tmp_path: Path) -> None:
    await live(mosquitto, tmp_path)
    async with home_assistant(mosquitto) as peer:
        await peer.hear("voicenode/n1/settings")
        peer.heard.clear()
        await remove_from(mosquitto)
        await peer.until(lambda: peer.count("voicenode/n1/settings") > 0)
        assert next(message.topic for message in peer.heard if not message.payload) == CONFIG


async def test_a_node_that_runs_is_not_removed_unless_forced(mosquitto: Mosquitto, tmp_path: Path) -> None:
    async with House().running(mosquitto, tmp_path):
        async with home_assistant(mosquitto) as peer:
            await peer.hear("voicenode/n1/settings")
        before = await kept(mosquitto)
        with pytest.raises(VoiceServiceError, match="stop the node first") as caught:
            await remove_from(mosquitto)
        assert caught.value.code == "conflict"
        assert await kept(mosquitto) == before
    async with Peer((mosquitto.host, mosquitto.port)) as peer:
        await peer.say("voicenode/n1/state", json.dumps({"state": "online"}), retain=True)
    assert await remove_from(mosquitto, force=True) == before


async def test_requests_for_all_go_to_others_once_a_node_is_removed(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    await live(mosquitto, tmp_path)
    await remove_from(mosquitto)
    async with Peer((mosquitto.host, mosquitto.port)) as peer:
        answer = await peer.say("voicenode/request/synthesize", "hello")
        assert str(answer) == "No matching subscribers"


async def test_a_broker_that_is_not_there_is_named(tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path / "never started")
    with pytest.raises(VoiceServiceError, match=f"127.0.0.1:{broker.port} cannot be reached"):
        await remove_from(broker)


async def test_an_id_that_is_no_word_is_refused(mosquitto: Mosquitto) -> None:
    with pytest.raises(VoiceServiceError, match="id '\\+' cannot stand in a topic"):
        await remove(address(mosquitto), "+", base_topic="voicenode", prefix="homeassistant")

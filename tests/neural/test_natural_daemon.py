"""A whole node with both natural engines: how it speaks, loads, lets go, and what it tells of that."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import urllib.request
from typing import TYPE_CHECKING

import psutil
import pytest

pytest.importorskip("TTS")
pytest.importorskip("f5_tts")

from wyoming.client import AsyncClient
from wyoming.tts import SynthesizeChunk, SynthesizeStart, SynthesizeStop, SynthesizeVoice

from tests.support.daemon import Daemon, daemon, hear, say
from tests.support.limits import LIMIT, eventually
from tests.support.mosquitto import Mosquitto
from tests.support.mqtt import Peer
from tests.support.natural import VOICES, Checkpoints, engines, fork_servers, rests
from tests.support.ports import free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

pytestmark = [pytest.mark.neural, pytest.mark.timeout(180)]

TEXT = "Yes."
HTTP = free_port()


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Checkpoints:
    return Checkpoints.make(tmp_path_factory.mktemp("checkpoints"))


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path_factory.mktemp("broker") / "mosquitto") as running:
        yield running


@pytest.fixture(scope="module")
def prewarmed(
    tmp_path_factory: pytest.TempPathFactory, checkpoints: Checkpoints, broker: Mosquitto
) -> Iterator[Daemon]:
    settings = checkpoints.settings(
        pool={"prewarm_imports": True},
        mqtt={"host": broker.host, "port": broker.port},
        http={"host": "127.0.0.1", "port": HTTP},
    )
    home = tmp_path_factory.mktemp("node")
    (home / "data").mkdir()
    (home / "data" / "node-id").write_text("aaaaaaaa")
    with daemon(home, settings=settings) as running:
        running.wait_until_ready()
        running.log.wait_for("MQTT: connected to")
        running.log.wait_for("its libraries are imported", 2)
        yield running


@pytest.fixture
async def node(prewarmed: Daemon, peer: Peer) -> Daemon:
    """With no engine loaded."""
    await ask(peer, "unload")
    await rests(prewarmed)
    return prewarmed


@pytest.fixture
async def peer(broker: Mosquitto) -> AsyncIterator[Peer]:
    async with Peer((broker.host, broker.port)) as client:
        await client.subscribe("voicenode/aaaaaaaa/response/+")
        yield client


async def ask(peer: Peer, request: str, **data: object) -> dict[str, object]:
    await peer.ask(f"voicenode/aaaaaaaa/request/{request}", **data)
    answer = await peer.hear(f"voicenode/aaaaaaaa/response/{request}")
    assert answer["status"] == "ok", answer
    return answer["data"]  # type: ignore[no-any-return]


async def health() -> dict[str, dict[str, float]]:
    def look() -> bytes:
        with urllib.request.urlopen(f"http://127.0.0.1:{HTTP}/health", timeout=LIMIT) as answer:
            body: bytes = answer.read()
            return body

    told: dict[str, dict[str, float]] = json.loads(await asyncio.to_thread(look))["engines"]
    return told


@pytest.mark.parametrize("engine", VOICES)
async def test_a_stock_client_hears_each_engine_from_a_process_that_was_forked(
    node: Daemon, engine: str
) -> None:
    heard = await say(node.uri, TEXT, VOICES[engine])
    assert heard.whole
    assert heard.events[0].data["rate"] == 24_000
    (process,) = engines(node)
    assert process.ppid() in {server.pid for server in fork_servers(node)}


@pytest.mark.parametrize("engine", VOICES)
async def test_an_engine_loads_while_the_text_is_still_being_written(node: Daemon, engine: str) -> None:
    loaded = node.log.count(f"engine {engine} is loaded")
    async with AsyncClient.from_uri(node.uri, connect_timeout=LIMIT, read_timeout=LIMIT) as client:
        await client.write_event(SynthesizeStart(voice=SynthesizeVoice(VOICES[engine])).event())
        await asyncio.to_thread(node.log.wait_for, f"engine {engine} is loaded", loaded + 1)
        await client.write_event(SynthesizeChunk(TEXT).event())
        await client.write_event(SynthesizeStop().event())
        assert (await hear(client)).whole


async def test_engines_are_loaded_and_ended_over_mqtt(node: Daemon, peer: Peer) -> None:
    told = await ask(peer, "load", engine="xtts")
    assert told["engines"]["xtts"]["state"] == "ready"  # type: ignore[index]
    assert len(engines(node)) == 1
    await ask(peer, "unload", engine="xtts")
    assert engines(node) == []


async def test_a_request_over_mqtt_says_how_long_its_engine_stays(node: Daemon, peer: Peer) -> None:
    await ask(peer, "synthesize", text=TEXT, voice=VOICES["f5"])
    assert len(engines(node)) == 1
    await ask(peer, "synthesize", text=TEXT, voice=VOICES["f5"], keep_alive=0)
    await rests(node)


async def test_low_vram_is_switched_over_mqtt(node: Daemon, peer: Peer) -> None:
    for engine in VOICES:
        await ask(peer, "load", engine=engine)
    assert len(engines(node)) == 2
    assert (await ask(peer, "settings", low_vram=True))["low_vram"] is True
    await rests(node)
    assert (await ask(peer, "settings", low_vram=None))["low_vram"] is False


async def test_what_engines_take_of_memory_is_told(node: Daemon, peer: Peer) -> None:
    await ask(peer, "load", engine="xtts")
    async with asyncio.timeout(LIMIT):
        while "memory_mib" not in (told := (await health())["xtts"]):  # noqa: ASYNC110 (nobody tells)
            await asyncio.sleep(0.2)
    assert told["memory_mib"] > 100
    assert told["prewarmed_mib"] > 100
    assert told["prewarmed_pid"] in {server.pid for server in fork_servers(node)}
    await peer.subscribe("voicenode/aaaaaaaa/status")
    assert "vram_used_mib" in await peer.hear("voicenode/aaaaaaaa/status")


async def test_a_node_that_is_killed_leaves_neither_engines_nor_what_they_were_forked_from(
    tmp_path: Path, checkpoints: Checkpoints
) -> None:
    settings = checkpoints.settings(
        pool={"prewarm_imports": True}, engines={"xtts": {"enabled": False}}, mqtt={}, http={}
    )
    with daemon(tmp_path, settings=settings) as running:
        running.log.wait_for("its libraries are imported")
        assert (await say(running.uri, TEXT, VOICES["f5"])).whole
        left = [*engines(running), *fork_servers(running)]
        running.send(signal.SIGKILL)
        _, alive = await asyncio.to_thread(psutil.wait_procs, left, LIMIT)
        assert len(left) == 2
        assert alive == []
        running.wait()


async def test_while_a_slow_engine_loads_another_speaks_unless_its_voice_was_named(
    tmp_path: Path, checkpoints: Checkpoints
) -> None:
    slow = tmp_path / "slow-python"
    waiting = f"until [ -e {tmp_path}/go ]; do sleep 0.1; done"
    # It answers at once what is installed there, which a node asks before it offers the engine.
    slow.write_text(
        f'#!/bin/sh\ncase "$*" in *voicenode.workers*) {waiting};; esac\nexec {sys.executable} "$@"\n'
    )
    slow.chmod(0o755)
    settings = checkpoints.settings(
        default_engine="xtts",
        fallback={"first_audio_timeout": 1, "engines": ["xtts", "espeak"]},
        pool={"prewarm_imports": False},
        engines={"xtts": {"python": str(slow)}, "f5": {"enabled": False}},
    )
    with daemon(tmp_path / "node", settings=settings) as running:
        running.wait_until_ready()
        anybody, named = await asyncio.gather(say(running.uri, TEXT), say(running.uri, TEXT, VOICES["xtts"]))
        assert anybody.whole
        assert running.log.count("steps in: engine 'xtts' is not loaded after 1 s") == 1
        assert named.code == "engine-unavailable"
        (tmp_path / "go").touch()
        await asyncio.to_thread(running.log.wait_for, "engine xtts is loaded")
        await eventually(lambda: len(engines(running)) == 2)

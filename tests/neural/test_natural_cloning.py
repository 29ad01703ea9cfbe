"""Cloned over each door and spoken over each other by XTTS v2 and F5-TTS; kept in files and in Redis."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("TTS")
pytest.importorskip("f5_tts")

from wyoming.client import AsyncClient
from wyoming.event import Event

from tests.support import recorded
from tests.support.cloning import recording
from tests.support.command import CommandLine
from tests.support.daemon import say
from tests.support.limits import LIMIT, eventually
from tests.support.mqtt import Peer
from tests.support.mqtt_daemon import MqttNode
from tests.support.natural import Checkpoints

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.support.mosquitto import Mosquitto
    from tests.support.redis_server import RedisServer

pytestmark = [pytest.mark.neural, pytest.mark.timeout(300)]

TEXT = "Yes."
ENGINES = ("xtts", "f5")
_WAV_HEADER = 44


class Doors:
    """The doors of one node, for cloning and for speaking."""

    def __init__(self, node: MqttNode, peer: Peer, home: Path) -> None:
        self.node, self.peer, self.home = node, peer, home
        self.cli = CommandLine(home)
        self.clone = {
            "wyoming": self._clone_over_wyoming,
            "mqtt": self._clone_over_mqtt,
            "command line": self._clone_on_the_command_line,
            "folder": self._clone_by_a_file,
        }
        self.speak = {
            "wyoming": self._speak_over_wyoming,
            "mqtt": self._speak_over_mqtt,
            "command line": self._speak_on_the_command_line,
        }

    async def _clone_over_wyoming(self, name: str) -> None:
        async with AsyncClient.from_uri(self.node.daemon.uri, read_timeout=LIMIT) as client:
            data = {"name": name, "transcript": recorded.WORDS}
            await client.write_event(Event("clone-voice", data, recording()))
            answer = await client.read_event()
        assert answer is not None
        assert {*ENGINES} <= {*answer.data["artefacts"]}, answer.data

    async def _clone_over_mqtt(self, name: str) -> None:
        audio = base64.b64encode(recording()).decode()
        answer = await self._ask("clone", name=name, audio=audio, transcript=recorded.WORDS, token="open")
        assert {*ENGINES} <= {*answer["artefacts"]}

    async def _clone_on_the_command_line(self, name: str) -> None:
        (self.home / "spoken.wav").write_bytes(recording())
        where = ("--node", self.node.daemon.uri)
        cloned = await self.cli.run("clone", name, "spoken.wav", "-t", recorded.WORDS, *where)
        assert cloned.status == 0, cloned.stderr

    async def _clone_by_a_file(self, name: str) -> None:
        folder = self.home / "data/import"
        (folder / f"{name}.txt").write_text(recorded.WORDS)
        (folder / f"{name}.wav").write_bytes(recording())
        await eventually((folder / "done" / f"{name}.wav").exists)

    async def _speak_over_wyoming(self, voice: str) -> None:
        assert (await say(self.node.daemon.uri, TEXT, voice)).whole

    async def _speak_over_mqtt(self, voice: str) -> None:
        data = await self._ask("synthesize", text=TEXT, voice=voice, deliver="inline", format="pcm")
        assert data["engine"] == voice.partition("-")[0]
        assert base64.b64decode(data["audio_b64"])

    async def _speak_on_the_command_line(self, voice: str) -> None:
        where = ("--node", self.node.daemon.uri)
        spoken = await self.cli.run("say", "-v", voice, "-o", "-", *where, TEXT)
        assert spoken.status == 0, spoken.stderr
        assert len(spoken.stdout) > _WAV_HEADER  # what random weights say may be a single token long

    async def _ask(self, request: str, **data: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
        await self.peer.ask(f"{self.node.base}/request/{request}", **data)
        answer = await self.peer.hear(f"{self.node.base}/response/{request}")
        assert answer["status"] == "ok", answer
        told: dict[str, Any] = answer["data"]
        return told


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Checkpoints:
    return Checkpoints.make(tmp_path_factory.mktemp("checkpoints"))


@pytest.fixture(params=["files", "redis"])
async def doors(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    mosquitto: Mosquitto,
    redis_server: RedisServer,
    checkpoints: Checkpoints,
) -> AsyncIterator[Doors]:
    settings = checkpoints.settings(cloning={"token": "open", "speech_to_text": "off"})
    if request.param == "redis":
        settings["store"] = {"url": f"{redis_server.url}?prefix={tmp_path.name}"}
    home = tmp_path / "node"
    async with (
        MqttNode(mosquitto, home, settings=settings) as node,
        Peer((mosquitto.host, mosquitto.port)) as peer,
    ):
        await peer.subscribe(f"{node.base}/response/#")
        yield Doors(node, peer, home)


async def test_a_voice_cloned_over_any_door_is_spoken_over_every_other_by_both_engines(doors: Doors) -> None:
    for number, (cloned, clone) in enumerate(doors.clone.items()):
        await clone(f"anna{number}")
        for spoken, speak in doors.speak.items():
            if spoken != cloned:
                for engine in ENGINES:
                    await speak(f"{engine}-anna{number}")

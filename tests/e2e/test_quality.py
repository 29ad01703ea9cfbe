"""Quality profiles of the owner's own in a running node: for a request, for a voice, and for all."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from wyoming.client import AsyncClient
from wyoming.event import Event

from tests.support.command import CommandLine
from tests.support.daemon import daemon, hear
from tests.support.limits import LIMIT
from tests.support.mqtt import Peer

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.mosquitto import Mosquitto

TEXT = "Good evening. Dinner is ready."


async def duration(uri: str, voice: str, quality: str | None = None) -> int:
    """How long it speaks, in bytes."""
    async with AsyncClient.from_uri(uri, connect_timeout=LIMIT, read_timeout=LIMIT) as client:
        data = {"text": TEXT, "voice": {"name": voice}, "quality": quality}
        await client.write_event(Event("synthesize", data))
        heard = await hear(client)
    assert heard.whole
    return len(heard.audio)


@pytest.fixture
def cli(tmp_path: Path, mosquitto: Mosquitto) -> CommandLine:
    settings = {"mqtt": {"host": mosquitto.host, "port": mosquitto.port}, "http": {"port": 0}}
    (tmp_path / "voicenode.yaml").write_text(json.dumps(settings))
    return CommandLine(tmp_path, variables={"VOICENODE_DATA_DIR": str(tmp_path / "data")})


async def test_a_profile_holds_for_a_request_else_for_a_voice_else_for_the_node(
    cli: CommandLine, mosquitto: Mosquitto
) -> None:
    for name, speed in (("calm", 0.5), ("quick", 2.0)):
        made = await cli.run("quality", "set", name, "-e", "espeak", f"speed={speed}")
        assert made.status == 0, made.stderr
    settings = json.loads((cli.home / "voicenode.yaml").read_text())
    settings |= {"voice_quality": {"espeak-en-gb": "calm"}}
    with daemon(cli.home, settings=settings) as node:
        async with Peer((mosquitto.host, mosquitto.port)) as peer:
            await peer.subscribe("voicenode/#")
            await peer.until(lambda: any(message.topic.endswith("/info") for message in peer.heard))
            base = peer.heard[0].topic.rpartition("/")[0]
            assert {"calm", "quick"} <= set((await peer.hear(f"{base}/info"))["qualities"])
            us, gb = "espeak-en-us", "espeak-en-gb"
            usual = await duration(node.uri, us)
            assert await duration(node.uri, gb) > 1.5 * usual
            assert await duration(node.uri, gb, "quick") < 0.7 * usual
            await peer.say(f"{base}/request/settings", '{"default_quality": "quick"}')
            answer = await peer.hear(f"{base}/response/settings")
            assert answer["data"]["default_quality"] == "quick"
            assert await duration(node.uri, us) < 0.7 * usual
            assert await duration(node.uri, gb) > 1.5 * usual

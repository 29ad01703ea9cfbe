"""Cloned on one door, spoken on every other, with one daemon for all."""

from __future__ import annotations

import asyncio
import base64
import re
from typing import TYPE_CHECKING

import pytest

from tests.support import recorded
from tests.support.cloning import recording
from tests.support.command import CommandLine
from tests.support.daemon import daemon, say
from tests.support.engines.voicenode_tone import spell
from tests.support.mqtt import Peer
from tests.support.mqtt_daemon import MqttNode
from tests.support.tone import python_path

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.support.mosquitto import Mosquitto

CLONED = re.compile("[0-9a-f]{8}: Hello")


@pytest.fixture
async def node(mosquitto: Mosquitto, tmp_path: Path) -> AsyncIterator[MqttNode]:
    async with MqttNode(mosquitto, tmp_path / "node", settings={"cloning": {"token": "open"}}) as node:
        yield node


async def heard(node: MqttNode, voice: str) -> str:
    return spell((await say(node.daemon.uri, "Hello", voice)).audio).strip()


async def test_a_voice_is_cloned_spoken_and_deleted_over_a_broker(
    node: MqttNode, mosquitto: Mosquitto
) -> None:
    async with Peer((mosquitto.host, mosquitto.port)) as peer:
        await peer.subscribe(f"{node.base}/#")
        request = {"name": "Anna", "audio": base64.b64encode(recording()).decode(), "consent": "Anna"}
        await peer.ask(f"{node.base}/request/clone", **request)
        refusal = await peer.hear(f"{node.base}/response/clone")
        assert (refusal["code"], "cloning.token" in refusal["error"]) == ("forbidden", False)
        await peer.ask(f"{node.base}/request/clone", **request, token="open", transaction="c1")
        answer = await peer.hear(f"{node.base}/response/clone", transaction="c1")
        assert (answer["status"], answer["data"]["name"]) == ("ok", "Anna")
        assert CLONED.fullmatch(await heard(node, "anna"))
        await peer.until(
            lambda: any(b'"Anna"' in each.payload for each in peer.heard if each.topic.endswith("/voices"))
        )

        await peer.ask(
            f"{node.base}/request/synthesize", text="Hello", voice="Anna", deliver="inline", format="pcm"
        )
        spoken = await peer.hear(f"{node.base}/response/synthesize")
        assert CLONED.fullmatch(spell(base64.b64decode(spoken["data"]["audio_b64"])).strip())

        await peer.ask(f"{node.base}/request/voices", cloned=True)
        assert (await peer.hear(f"{node.base}/response/voices"))["data"]["total"] == 1
        for wrong in ({"audio": "?"}, {}, {"file": "../x"}, {"audio": "AA==", "file": "x"}, {"audios": 1}):
            await peer.ask(f"{node.base}/request/clone", name="B", token="open", **wrong)
            assert (await peer.hear(f"{node.base}/response/clone"))["status"] == "error"
        await peer.ask(f"{node.base}/request/delete_voice", name="anna", token="open")
        assert (await peer.hear(f"{node.base}/response/delete_voice"))["status"] == "ok"
        assert (await say(node.daemon.uri, "Hello", "anna")).code == "unknown-voice"


async def test_a_cloned_voice_is_chosen_over_a_broker_and_in_the_settings(
    node: MqttNode, mosquitto: Mosquitto, tmp_path: Path
) -> None:
    async with Peer((mosquitto.host, mosquitto.port)) as peer:
        await peer.subscribe(f"{node.base}/#")
        request = {"name": "Anna", "audio": base64.b64encode(recording()).decode(), "token": "open"}
        await peer.ask(f"{node.base}/request/clone", **request)
        await peer.hear(f"{node.base}/response/clone")
        await peer.ask(f"{node.base}/request/settings", default_voice="anna")
        assert (await peer.hear(f"{node.base}/response/settings"))["status"] == "ok"
        await peer.ask(f"{node.base}/request/update_voice", name="anna", rename="Berta", token="open")
        assert (await peer.hear(f"{node.base}/response/update_voice"))["status"] == "ok"
        await peer.ask(f"{node.base}/request/settings")
        assert (await peer.hear(f"{node.base}/response/settings"))["data"]["default_voice"] == "Berta"
    await asyncio.to_thread(node.kill)
    await asyncio.to_thread(node.start)
    assert CLONED.fullmatch(spell((await say(node.daemon.uri, "Hello")).audio).strip())
    await asyncio.to_thread(node.stop)
    named = {"default_voice": "Berta", "language_voices": {"de": "berta"}, "aliases": {"nanny": "BERTA"}}
    async with MqttNode(mosquitto, tmp_path / "node", settings=named) as again:
        assert CLONED.fullmatch(await heard(again, "nanny"))
    with daemon(
        tmp_path / "node", settings={"data_dir": str(tmp_path / "node/data"), "default_voice": "bert"}
    ) as wrong:
        wrong.log.wait_for("default_voice: unknown voice 'bert'; did you mean 'Berta'")
        wrong.wait()


async def test_a_voice_is_cloned_shown_renamed_and_carried_on_the_command_line(
    node: MqttNode, tmp_path: Path
) -> None:
    home = tmp_path / "node"
    variables = {"VOICENODE_CONFIG": str(home / "voicenode.yaml"), "PYTHONPATH": python_path()}
    cli = CommandLine(home, variables=variables)
    (home / "anna.wav").write_bytes(recording())
    (home / "more.flac").write_bytes(recorded.file(recorded.spoken(), kind="FLAC"))
    at = ("--node", node.daemon.uri)
    cloned = await cli.run(
        "clone", "Anna", "anna.wav", "more.flac", "-t", recorded.WORDS, "--consent", "Anna", *at
    )
    assert cloned.status == 0, cloned.stderr
    assert "Voice Anna is there" in cloned.stderr
    assert CLONED.fullmatch(await heard(node, "anna"))
    assert re.search(r"Anna +tone", (await cli.run("voices", "list", *at)).text)
    assert "snr_db" in (await cli.run("voices", "show", "anna", *at)).text
    assert "Anna Smith" in (await cli.run("voices", "rename", "anna", "Anna Smith", *at)).stderr
    exported = await cli.run("voices", "export", "anna smith", "-o", "a.voice")
    assert exported.status == 0, exported.stderr
    assert (await cli.run("voices", "delete", "anna smith", *at)).status == 0
    assert (await cli.run("voices", "import", "a.voice", "--as", "Berta")).stderr == "Voice Berta is there.\n"
    refused = await cli.run("voices", "import", "a.voice", "--as", "berta")
    assert (refused.status, "--replace" in refused.stderr) == (1, True)
    async with asyncio.timeout(20):
        while not CLONED.fullmatch(await heard(node, "berta")):  # noqa: ASYNC110 (nothing tells)
            await asyncio.sleep(0.1)

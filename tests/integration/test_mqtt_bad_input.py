"""What cannot be understood is answered with a code, said once, and changes nothing."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.mqtt import Peer, Running, node

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.support.mosquitto import Mosquitto

pytestmark = pytest.mark.usefixtures("tone_engine", "heartbeat")

MIB = 1024 * 1024


@pytest.fixture
async def peer(mosquitto: Mosquitto, running: Running) -> AsyncIterator[Peer]:
    async with Peer((mosquitto.host, mosquitto.port)) as peer:
        await peer.subscribe(f"{running.base}/response/#")
        yield peer


async def answer(peer: Peer, running: Running, request: str, payload: bytes | str) -> Any:  # noqa: ANN401 - JSON
    await peer.say(f"{running.base}/request/{request}", payload)
    return await peer.hear(f"{running.base}/response/{request}")


async def is_unharmed(peer: Peer, running: Running) -> None:
    assert (await answer(peer, running, "synthesize", "still here"))["status"] == "ok"
    assert peer.heard == []


@pytest.mark.parametrize(
    ("payload", "code", "words"),
    [
        ('{"text": "hi"', "bad-request", "starts like a JSON object"),
        (b"\xff\xfe", "bad-request", "not UTF-8"),
        ('{"text": "hi", "voise": "x"}', "bad-request", "unknown key 'voise'; did you mean 'voice'?"),
        ('{"text": 5}', "bad-request", "text should be a valid string"),
        ('{"text": "hi", "speed": "fast"}', "bad-request", "speed"),
        ('{"text": "hi", "deliver": "pigeon"}', "bad-request", "deliver"),
        ('{"voice": "tone-plain"}', "bad-request", "text is missing"),
        ('{"text": "\\ud800"}', "bad-request", "text"),
        ("{" * 100_000, "bad-request", "starts like a JSON object"),
        ('{"text": "hi", "speed": NaN}', "bad-request", "speed"),
        ('{"text": "hi", "transaction": "a/b"}', "bad-request", "transaction 'a/b' cannot stand in a topic"),
        ('{"text": "hi", "transaction": "#"}', "bad-request", "cannot stand in a topic"),
        ('{"text": "hi", "transaction": "a\\u0000"}', "bad-request", "cannot stand in a topic"),
        ('{"text": "hi", "transaction": ""}', "bad-request", "it is empty"),
        ('{"text": "hi", "transaction": 7}', "bad-request", "transaction must be a string, not 7"),
        ('{"text": "hi", "voice": "nobody"}', "unknown-voice", "nobody"),
        ('{"text": "hi", "engine": "steam"}', "unknown-engine", "steam"),
        ('{"text": "hi", "deliver": "play"}', "bad-request", "not set up"),
        ("x" * 20_001, "text-too-long", "20001 characters"),
        (b"x" * (5 * MIB), "bad-request", "more than the 4194304 bytes"),
    ],
    ids=lambda value: str(value)[:40] if not isinstance(value, bytes) else "bytes",
)
async def test_a_wrong_request_is_answered_with_a_code(
    peer: Peer, running: Running, payload: bytes | str, code: str, words: str
) -> None:
    said = await answer(peer, running, "synthesize", payload)
    assert set(said) == {"status", "transaction", "data", "error", "code"}
    assert (said["status"], said["code"], said["data"]) == ("error", code, {})
    assert words in said["error"]
    assert running.controls.errors == [code]
    await is_unharmed(peer, running)


async def test_a_recording_too_large_for_a_message_is_told_of_the_import_folder(
    peer: Peer, running: Running
) -> None:
    said = await answer(peer, running, "clone", b'{"audio": "' + b"A" * (5 * MIB) + b'"}')
    assert said["code"] == "bad-request"
    assert "4194304 bytes" in said["error"]
    assert "'import'" in said["error"]
    assert "64 MiB" in said["error"]
    assert "'file'" in said["error"]


async def test_a_transaction_that_is_refused_comes_back(peer: Peer, running: Running) -> None:
    said = await answer(peer, running, "voices", '{"transaction": "a/b"}')
    assert (said["code"], said["transaction"]) == ("bad-request", "a/b")


@pytest.mark.parametrize(
    ("request_name", "payload", "words"),
    [
        ("voices", '{"voise": 1}', "unknown key 'voise'; known are cloned, offset, limit, transaction"),
        ("voices", "please", "must be empty or a JSON object"),
        ("jobs", '{"limit": "all"}', "limit must be a whole number"),
        ("jobs", '{"limit": true}', "limit must be a whole number"),
        ("jobs", '{"limit": 0}', "limit must be within 1 and 1000"),
        ("jobs", '{"state": "done"}', "state must be one of queued, processing"),
        ("job", "{}", "id is missing"),
        ("cancel", '{"id": "a", "all": true}', "id or all, not both"),
        ("cancel", "", "id is missing"),
        ("load", '{"engine": 1}', "engine must be a string"),
    ],
)
async def test_every_request_names_what_is_wrong(
    peer: Peer, running: Running, request_name: str, payload: str, words: str
) -> None:
    said = await answer(peer, running, request_name, payload)
    assert (said["status"], said["code"]) == ("error", "bad-request")
    assert words in said["error"]


async def test_a_job_that_does_not_exist_is_said(peer: Peer, running: Running) -> None:
    assert (await answer(peer, running, "job", "t9"))["code"] == "unknown-job"
    assert (await answer(peer, running, "cancel", "t9"))["code"] == "unknown-job"


@pytest.mark.parametrize("payload", ["", " ", "\U0001f600", '{"text": ""}'])
async def test_a_blank_text_is_a_little_silence(peer: Peer, running: Running, payload: str) -> None:
    said = await answer(peer, running, "synthesize", payload)
    assert (said["status"], said["data"]["duration_s"]) == ("ok", 0.1)


async def test_a_payload_of_50_megabytes_does_not_hold_up_the_node(
    peer: Peer, running: Running, mosquitto: Mosquitto
) -> None:
    program = (
        "import sys, paho.mqtt.publish as p; p.single(sys.argv[1], bytes(50 << 20), 1, port=int(sys.argv[2]))"
    )
    arguments = [f"{running.base}/request/synthesize", str(mosquitto.port)]
    publisher = await asyncio.create_subprocess_exec(sys.executable, "-c", program, *arguments)
    said = await peer.hear(f"{running.base}/response/synthesize")
    assert said["code"] == "bad-request"
    assert await publisher.wait() == 0
    await is_unharmed(peer, running)


async def test_a_mistake_that_comes_again_is_logged_once(
    peer: Peer, running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(5):
        await answer(peer, running, "synthesize", f"{{broken {number}")
    assert len([each for each in caplog.records if each.levelname == "WARNING"]) == 1


async def test_a_retained_request_is_ignored_and_warned_of_once(
    mosquitto: Mosquitto, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with Peer((mosquitto.host, mosquitto.port)) as peer:
        await peer.subscribe("voicenode/n1/response/#")
        for topic in ("voicenode/n1/request/synthesize", "voicenode/request/synthesize"):
            await peer.say(topic, "again and again", retain=True)
        for _ in range(2):
            async with node(mosquitto, tmp_path / "node") as running:
                await is_unharmed(peer, running)
                assert len(await running.queue.list()) <= 2
    warned = [each for each in caplog.messages if "retained message on voicenode/n1/request" in each]
    assert len(warned) == 2, "once in each life of a node"


async def test_a_request_that_is_published_retained_is_ignored_while_the_node_is_there_too(
    peer: Peer, running: Running
) -> None:
    for topic in (f"{running.base}/request/synthesize", "voicenode/request/synthesize"):
        await peer.say(topic, "again and again", retain=True)
        await peer.say(topic, "", retain=True)
    await is_unharmed(peer, running)
    assert len(await running.queue.list()) <= 1


async def test_a_request_at_qos_0_is_answered_all_the_same(peer: Peer, running: Running) -> None:
    await peer.say(f"{running.base}/request/synthesize", "hi", qos=0)
    assert (await peer.hear(f"{running.base}/response/synthesize"))["status"] == "ok"


async def test_an_engine_that_fails_is_the_answer(peer: Peer, running: Running) -> None:
    said = await answer(peer, running, "synthesize", json.dumps({"text": "sayerror", "transaction": "t"}))
    assert (said["code"], said["transaction"]) == ("engine-failed", "t")


async def test_audio_on_a_topic_that_fails_half_way_ends_with_the_error(peer: Peer, running: Running) -> None:
    await peer.subscribe(f"{running.base}/audio/#")
    request = {"text": "one two. sayerror", "deliver": "topic", "transaction": "t"}
    await peer.say(f"{running.base}/request/synthesize", json.dumps(request))
    said = await peer.hear(f"{running.base}/response/synthesize", status="error")
    assert said["code"] == "engine-failed"
    pieces = [each for each in peer.heard if each.topic == f"{running.base}/audio/t"]
    assert pieces
    assert all(piece.payload for piece in pieces), "no empty piece: it did not end well"

"""The node as the voice of Rhasspy's satellites, on a real broker."""

from __future__ import annotations

import asyncio
import io
import json
import wave
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.engines.voicenode_tone import ToneOptions, spell
from tests.support.limits import LIMIT
from tests.support.mosquitto import Mosquitto
from tests.support.mqtt import Peer, Running, node
from voicenode.transports.mqtt.hermes import Hermes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from voicenode.jobs import Job, JobQueue
    from voicenode.transports.mqtt import MqttTransport, Node

pytestmark = pytest.mark.usefixtures("tone_engine", "heartbeat")

SAY, ERROR, FINISHED = "hermes/tts/say", "hermes/error/tts", "hermes/tts/sayFinished"


@asynccontextmanager
async def hermes(broker: Mosquitto, folder: Path, **options: Any) -> AsyncIterator[Running]:  # noqa: ANN401
    made: list[Hermes] = []

    def prepare(transport: MqttTransport, seen: Node, queue: JobQueue) -> None:
        made.append(Hermes(transport, queue, seen.voices))

    async with node(broker, folder / "node", prepare=prepare, **options) as running:
        yield running
        await made[0].stop()


@pytest.fixture
async def running(
    mosquitto: Mosquitto,
    tmp_path: Path,
    tone_engine: None,  # noqa: ARG001 (order)
) -> AsyncIterator[Running]:
    async with hermes(mosquitto, tmp_path) as running:
        yield running


@asynccontextmanager
async def satellites(broker: Mosquitto, **options: Any) -> AsyncIterator[Peer]:  # noqa: ANN401
    async with Peer((broker.host, broker.port), **options) as peer:
        await peer.subscribe("hermes/#")
        await peer.subscribe("rhasspy/tts/voices")
        yield peer


@pytest.fixture
async def peer(mosquitto: Mosquitto, running: Running) -> AsyncIterator[Peer]:
    assert running.transport.connected
    async with satellites(mosquitto) as peer:
        yield peer


def spoken(wav: bytes) -> str:
    with wave.open(io.BytesIO(wav)) as file:
        assert (file.getnchannels(), file.getsampwidth()) == (1, 2)
        return spell(file.readframes(file.getnframes())).strip()


async def played(peer: Peer, site: str, request_id: str) -> str:
    """What a site's speaker gets to play."""
    message = await peer.hear_raw(f"hermes/audioServer/{site}/playBytes/{request_id}")
    return spoken(bytes(message.payload))


async def hear_out(peer: Peer, site: str, request_id: str) -> None:
    """Tell that a site's speaker has played something."""
    await peer.ask(f"hermes/audioServer/{site}/playFinished", id=request_id, sessionId=None)


LONG = "word " * 400
"""Plays for many seconds, and is made at once."""


async def test_a_satellite_plays_what_it_asks_for_and_hears_of_the_end(peer: Peer) -> None:
    await peer.ask(SAY, text=LONG, siteId="kitchen", id="r1", sessionId="s1")
    assert await played(peer, "kitchen", "r1") == LONG.strip()
    assert peer.count(FINISHED) == 0, "it is not over before it was heard"
    await hear_out(peer, "kitchen", "r1")
    assert await peer.hear(FINISHED) == {"siteId": "kitchen", "id": "r1", "sessionId": "s1"}
    assert peer.count(ERROR) == 0


async def test_a_speaker_that_never_tells_is_waited_for_as_long_as_the_sound_takes(peer: Peer) -> None:
    await peer.ask(SAY, text="hi", id="r1")
    assert await played(peer, "default", "r1") == "hi"
    assert (await peer.hear(FINISHED))["siteId"] == "default"


async def test_only_the_text_is_required(peer: Peer) -> None:
    await peer.ask(SAY, text="hi")
    await peer.until(lambda: any("playBytes" in message.topic for message in peer.heard))
    (sound,) = (message for message in peer.heard if "playBytes" in message.topic)
    assert spoken(bytes(sound.payload)) == "hi"
    assert await peer.hear(FINISHED) == {"siteId": "default", "id": None, "sessionId": None}


async def test_another_speaker_and_another_id_do_not_end_the_wait(peer: Peer) -> None:
    await peer.ask(SAY, text=LONG, siteId="kitchen", id="r1")
    await played(peer, "kitchen", "r1")
    await hear_out(peer, "kitchen", "r0")
    await hear_out(peer, "cellar", "r1")
    await peer.say("hermes/audioServer/kitchen/playFinished", "{")
    await peer.ask(SAY, text="hi", siteId="bath", id="r2")
    await played(peer, "bath", "r2")
    await hear_out(peer, "bath", "r2")
    assert (await peer.hear(FINISHED))["siteId"] == "bath"
    assert peer.count(FINISHED) == 0
    await hear_out(peer, "kitchen", "r1")
    assert (await peer.hear(FINISHED))["siteId"] == "kitchen"


async def test_a_site_says_one_thing_after_the_other_in_their_order(peer: Peer) -> None:
    texts = dict.fromkeys(("r1", "r2", "r3"), LONG)
    for request_id, text in texts.items():
        await peer.ask(SAY, text=text, siteId="kitchen", id=request_id)
    for request_id, text in texts.items():
        assert await played(peer, "kitchen", request_id) == text.strip()
        assert not any("playBytes" in message.topic for message in peer.heard)
        await hear_out(peer, "kitchen", request_id)
        assert (await peer.hear(FINISHED))["id"] == request_id


async def test_the_language_is_written_as_rhasspy_writes_it(peer: Peer, running: Running) -> None:
    await peer.ask(SAY, text="hallo", lang="de_DE")
    await peer.hear(FINISHED)
    (job,) = await running.queue.list()
    assert job.voice == "tone-deutsch"


@pytest.mark.parametrize(
    ("payload", "error", "context"),
    [
        (b'{"text": "sayerror", "id": "r1"}', "told to fail", "r1"),
        (b'{"text": 3, "id": "r1"}', "text should be a valid string", "r1"),
        (b'{"id": "r1"}', "text is missing", "r1"),
        (b'{"text": "hi", "id": "a/b"}', "id 'a/b' cannot stand in a topic", "a/b"),
        (b'{"text": "hi", "id": "r1", "siteId": "+"}', "siteId '+' cannot stand in a topic", "r1"),
        (b"hello", "JSON object", None),
        (b"{", "JSON object", None),
        (b"\xff", "UTF-8", None),
        (b"[" * 100_000, "JSON object", None),
        (b"{" + b'"a":{' * 100_000, "JSON object", None),
        (json.dumps({"text": "x" * 20_001, "id": "r1"}).encode(), "20001 characters", "r1"),
    ],
)
async def test_what_goes_wrong_is_told_and_ends_too(
    peer: Peer, payload: bytes, error: str, context: str | None
) -> None:
    await peer.say(SAY, payload)
    told = await peer.hear(ERROR)
    assert error in told["error"]
    assert told["context"] == context
    assert (await peer.hear(FINISHED))["id"] == context
    assert not any("playBytes" in message.topic for message in peer.heard)


async def test_one_that_fails_does_not_hold_up_the_next(peer: Peer) -> None:
    for request_id, text in (("r1", "sayerror"), ("r2", "hi")):
        await peer.ask(SAY, text=text, siteId="kitchen", id=request_id)
    assert (await peer.hear(ERROR))["context"] == "r1"
    assert await played(peer, "kitchen", "r2") == "hi"


async def test_a_retained_request_is_not_spoken(mosquitto: Mosquitto, tmp_path: Path) -> None:
    async with satellites(mosquitto) as peer:
        await peer.say(SAY, json.dumps({"text": "again and again"}), retain=True)
        async with hermes(mosquitto, tmp_path) as running:
            await peer.ask(SAY, text="hi", id="r1")
            await played(peer, "default", "r1")
            assert len(await running.queue.list()) == 1


async def test_blank_text_is_a_little_silence(peer: Peer) -> None:
    await peer.ask(SAY, text=" ", id="r1")
    assert await played(peer, "default", "r1") == ""
    await peer.hear(FINISHED, id="r1")


async def test_voices_are_listed(peer: Peer) -> None:
    await peer.ask("rhasspy/tts/getVoices", id="v1", siteId="kitchen")
    answer = await peer.hear("rhasspy/tts/voices")
    assert (answer["id"], answer["siteId"]) == ("v1", "kitchen")
    assert {"voiceId": "tone-plain", "description": "Plain tone"} in answer["voices"]


async def only_job(running: Running, fits: Callable[[Job], bool]) -> Job:
    """The job that there is, once it is as wanted; nothing tells when."""
    async with asyncio.timeout(LIMIT):
        while True:
            match await running.queue.list():
                case [job] if fits(job):
                    return job
            await asyncio.sleep(0.01)


async def test_a_node_that_stops_ends_what_plays_and_does_not_play_it_again(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    async with satellites(mosquitto) as peer:
        async with hermes(mosquitto, tmp_path) as running:
            await peer.ask(SAY, text=LONG, id="r1")
            await played(peer, "default", "r1")
            await only_job(running, lambda job: job.answered)
        await peer.hear(FINISHED, id="r1")
        async with hermes(mosquitto, tmp_path):
            await peer.ask(SAY, text="hi", id="r2")
            await played(peer, "default", "r2")
            assert not any("playBytes" in message.topic for message in peer.heard)


async def test_what_was_answered_meanwhile_is_not_played_again(peer: Peer, running: Running) -> None:
    await peer.ask(SAY, text="hi", id="r1")
    await played(peer, "default", "r1")
    job = await only_job(running, lambda job: job.answered)
    await peer.hear(FINISHED, id="r1")
    await running.transport.job_answers.others["hermes"](job)
    await peer.ask(SAY, text="ho", id="r2")
    await peer.hear(FINISHED, id="r2")
    assert peer.count("hermes/audioServer/default/playBytes/r1") == 0


async def test_what_was_not_played_before_a_restart_is_played_after(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    async with satellites(mosquitto) as peer:
        slow = ToneOptions(char_seconds=0.05)
        async with hermes(mosquitto, tmp_path, options=slow) as running:
            await peer.ask(SAY, text="word " * 20, siteId="kitchen", id="r1")
            await only_job(running, lambda job: job.state == "processing")
        async with hermes(mosquitto, tmp_path):
            assert await played(peer, "kitchen", "r1") == ("word " * 20).strip()


async def test_a_broker_that_was_away_gets_what_was_spoken_meanwhile(tmp_path: Path) -> None:
    with Mosquitto(tmp_path / "mosquitto", persistence=True) as broker:
        async with hermes(broker, tmp_path) as running:
            async with satellites(broker, name="kitchen", keep=True) as peer:
                await peer.ask(SAY, text="hang", id="r1")
                job = await only_job(running, lambda job: job.state == "processing")
            await asyncio.to_thread(broker.stop)
            await running.queue.cancel(job.id)
            await asyncio.to_thread(broker.start)
            async with satellites(broker, name="kitchen", keep=True) as peer:
                assert (await peer.hear(ERROR))["error"] == "the job was cancelled"
                await peer.hear(FINISHED, id="r1")

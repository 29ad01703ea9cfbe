"""What may be asked over a broker, and how it is answered."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.engines.voicenode_tone import spell
from tests.support.mqtt import Peer, Running, properties

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.mosquitto import Mosquitto

pytestmark = pytest.mark.usefixtures("tone_engine", "heartbeat")


@pytest.fixture
async def peer(mosquitto: Mosquitto, running: Running) -> AsyncIterator[Peer]:
    async with Peer((mosquitto.host, mosquitto.port)) as peer:
        await peer.subscribe(f"{running.base}/response/#")
        await peer.subscribe(f"{running.base}/audio/#")
        yield peer


async def ask(peer: Peer, running: Running, request: str, **data: Any) -> Any:  # noqa: ANN401 - JSON
    await peer.ask(f"{running.base}/request/{request}", **data)
    return await peer.hear(f"{running.base}/response/{request}")


async def test_plain_text_is_spoken_and_answered_with_a_url(peer: Peer, running: Running) -> None:
    await peer.say(f"{running.base}/request/synthesize", "good day")
    answer = await peer.hear(f"{running.base}/response/synthesize")
    data = answer.pop("data")
    assert answer == {"status": "ok", "transaction": None, "error": None, "code": None}
    assert data["url"].startswith("http://node/audio/")
    assert data["url"].endswith(".wav")
    assert data["content_type"] == "audio/wav"
    assert data["sample_rate"] == 16000
    assert data["duration_s"] == pytest.approx(0.09)
    assert (data["voice"], data["engine"], data["quality"]) == ("tone-plain", "tone", None)
    assert (await running.queue.get(data["job"])).state == "completed"


async def test_a_transaction_names_the_job_and_comes_back(peer: Peer, running: Running) -> None:
    answer = await ask(peer, running, "synthesize", text="hi", transaction="door")
    assert (answer["transaction"], answer["data"]["job"]) == ("door", "door")


async def test_where_no_audio_is_served_only_a_url_is_refused(peer: Peer, running: Running) -> None:
    running.controls.serves_audio = False
    await peer.subscribe(f"{running.base}/event")
    assert (await ask(peer, running, "synthesize", text="hi"))["code"] == "unsupported"
    answer = await ask(peer, running, "synthesize", text="hi", deliver="inline", transaction="door")
    assert answer["status"] == "ok"
    await peer.hear(f"{running.base}/event", event_type="completed", job="door")


async def test_audio_comes_in_the_answer_when_asked_for(peer: Peer, running: Running) -> None:
    answer = await ask(peer, running, "synthesize", text="hi", deliver="inline", format="pcm")
    assert spell(base64.b64decode(answer["data"]["audio_b64"])) == "hi "
    assert "url" not in answer["data"]


async def test_audio_that_is_too_large_for_an_answer_is_refused_with_a_way_out(
    peer: Peer, running: Running
) -> None:
    answer = await ask(peer, running, "synthesize", text="word " * 400, deliver="inline", format="pcm")
    assert answer["code"] == "audio-too-large"
    assert "deliver 'url'" in answer["error"]


async def test_audio_comes_in_pieces_on_a_topic(peer: Peer, running: Running) -> None:
    await peer.ask(
        f"{running.base}/request/synthesize",
        text="one two three",
        deliver="topic",
        format="pcm",
        transaction="t1",
    )
    final = await peer.hear(f"{running.base}/response/synthesize", status="ok")
    order = [message.topic.removeprefix(running.base) for message in peer.heard]
    assert order[0] == "/response/synthesize", "it says first what will come"
    started = json.loads(peer.heard.pop(0).payload)
    assert started == {
        "status": "started",
        "transaction": "t1",
        "data": {
            "job": "t1",
            "topic": f"{running.base}/audio/t1",
            "format": "pcm",
            "content_type": "audio/pcm",
            "rate": 16000,
            "width": 2,
            "channels": 1,
        },
        "error": None,
        "code": None,
    }
    pieces = peer.heard
    assert {piece.topic for piece in pieces} == {f"{running.base}/audio/t1"}
    assert {piece.qos for piece in pieces} == {1}
    assert [dict(properties(piece).UserProperty)["seq"] for piece in pieces] == [
        str(n) for n in range(len(pieces))
    ]
    assert [dict(properties(piece).UserProperty)["last"] for piece in pieces] == ["false"] * (
        len(pieces) - 1
    ) + ["true"]
    assert {properties(piece).ContentType for piece in pieces} == {"audio/pcm"}
    assert pieces[-1].payload == b""
    assert spell(b"".join(piece.payload for piece in pieces)) == "one two three "
    assert final["data"]["topic"] == f"{running.base}/audio/t1"
    assert final["data"]["duration_s"] > 0


async def test_a_response_topic_is_answered_with_its_correlation_too(peer: Peer, running: Running) -> None:
    await peer.subscribe("mine/answers")
    await peer.say(
        f"{running.base}/request/health_check", ResponseTopic="mine/answers", CorrelationData=b"\x00\xff"
    )
    message = await peer.hear_raw("mine/answers")
    assert properties(message).CorrelationData == b"\x00\xff"
    assert json.loads(message.payload) == await peer.hear(f"{running.base}/response/health_check")


async def test_a_job_is_answered_on_its_response_topic_too(peer: Peer, running: Running) -> None:
    await peer.subscribe("mine/answers")
    await peer.say(
        f"{running.base}/request/synthesize", "hi", ResponseTopic="mine/answers", CorrelationData=b"\x01"
    )
    message = await peer.hear_raw("mine/answers")
    assert properties(message).CorrelationData == b"\x01"
    assert json.loads(message.payload) == await peer.hear(f"{running.base}/response/synthesize")


async def test_what_any_node_may_speak_is_answered_by_name(peer: Peer, running: Running) -> None:
    await peer.subscribe("voicenode/response/synthesize")
    await peer.ask("voicenode/request/synthesize", text="hi", transaction="t", deliver="topic")
    answer = await peer.hear("voicenode/response/synthesize", status="ok")
    assert answer["node"] == "n1"
    assert answer["data"]["topic"] == f"{running.base}/audio/t"


async def test_a_transaction_that_was_seen_is_answered_from_its_job(peer: Peer, running: Running) -> None:
    first = await ask(peer, running, "synthesize", text="hi", transaction="t")
    job = await running.queue.get("t")
    assert await ask(peer, running, "synthesize", text="hi", transaction="t") == first
    assert (await running.queue.get("t")).finished == job.finished


async def test_a_transaction_with_another_text_is_a_conflict(peer: Peer, running: Running) -> None:
    await ask(peer, running, "synthesize", text="hi", transaction="t")
    answer = await ask(peer, running, "synthesize", text="ho", transaction="t")
    assert (answer["status"], answer["code"], answer["transaction"]) == ("error", "conflict", "t")


async def test_a_message_that_expires_is_the_same_request_when_it_comes_again(
    peer: Peer, running: Running
) -> None:
    for seconds in (60, 50):
        await peer.say(
            f"{running.base}/request/synthesize",
            json.dumps({"text": "hi", "transaction": "t"}),
            MessageExpiryInterval=seconds,
        )
        answer = await peer.hear(f"{running.base}/response/synthesize")
        assert answer["status"] == "ok"


async def test_voices_are_listed(peer: Peer, running: Running) -> None:
    answer = await ask(peer, running, "voices", transaction="v")
    assert answer["transaction"] == "v"
    assert answer["data"]["voices"][0] == {
        "name": "tone-plain",
        "engine": "tone",
        "description": "Plain tone",
        "languages": ["en-US", "en"],
        "speakers": ["soft", "loud"],
    }


async def test_jobs_are_told_of(peer: Peer, running: Running) -> None:
    await ask(peer, running, "synthesize", text="hi", transaction="t")
    (job,) = (await ask(peer, running, "jobs", state="completed"))["data"]["jobs"]
    assert (job["job"], job["state"], job["progress"], job["priority"]) == ("t", "completed", 100, "live")
    assert job == (await ask(peer, running, "job", id="t"))["data"]
    assert (await ask(peer, running, "jobs", state="failed"))["data"] == {"jobs": []}


async def test_a_job_is_cancelled(peer: Peer, running: Running) -> None:
    await peer.ask(f"{running.base}/request/synthesize", text="hang", transaction="t")
    answer = await ask(peer, running, "cancel", id="t")
    assert answer["data"]["state"] == "cancelled"
    assert (await peer.hear(f"{running.base}/response/synthesize"))["code"] == "cancelled"


async def test_all_that_is_live_is_cancelled_at_once(peer: Peer, running: Running) -> None:
    for name in ("a", "b"):
        await peer.ask(f"{running.base}/request/synthesize", text="hang", transaction=name)
    await peer.ask(f"{running.base}/request/synthesize", text="fine", transaction="c", priority="batch")
    answer = await ask(peer, running, "cancel", all=True)
    assert answer["data"] == {"cancelled": 2}
    await peer.hear(f"{running.base}/response/synthesize", transaction="c", status="ok")


async def test_engines_are_loaded_and_unloaded(peer: Peer, running: Running) -> None:
    answer = await ask(peer, running, "load", engine="tone")
    assert answer["data"] == {"engines": {"tone": {"state": "ready"}}}
    await peer.say(f"{running.base}/request/unload")
    await peer.hear(f"{running.base}/response/unload")
    assert running.controls.told == [("load", "tone"), ("unload", None)]


async def test_settings_are_changed_and_told(peer: Peer, running: Running) -> None:
    await peer.subscribe(f"{running.base}/settings")
    await peer.hear(f"{running.base}/settings", idle_timeout_s=300)
    answer = await ask(peer, running, "settings", idle_timeout_s=5)
    assert answer["data"] == {"default_voice": "tone-plain", "idle_timeout_s": 5}
    changed = await peer.hear(f"{running.base}/settings")
    assert changed == answer["data"]


@pytest.mark.parametrize("request_name", ["clone", "delete_voice"])
async def test_a_node_without_voices_to_clone_says_so(
    peer: Peer, running: Running, request_name: str
) -> None:
    answer = await ask(peer, running, request_name, name="bob", transaction="c1")
    assert (answer["status"], answer["code"], answer["transaction"]) == ("error", "unsupported", "c1")


async def test_the_states_of_a_job_are_events(peer: Peer, running: Running) -> None:
    await peer.subscribe(f"{running.base}/event")
    await peer.ask(f"{running.base}/request/synthesize", text="hi", transaction="t")
    events = [await peer.hear(f"{running.base}/event") for _ in range(3)]
    assert [event["event_type"] for event in events] == ["queued", "processing", "completed"]
    assert {event["job"] for event in events} == {event["transaction"] for event in events} == {"t"}
    assert events[-1]["voice"] == "tone-plain"

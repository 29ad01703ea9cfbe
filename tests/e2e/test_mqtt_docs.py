"""What docs/mqtt.md shows is so, and its examples do what they say.

A block `mqtt` is a conversation with a real node: `->` is published, `<-` is heard, a topic and a payload
each; … stands for any text, and numbers may differ. In a block `sh mqtt` the test has a broker of its own.
"""

from __future__ import annotations

import asyncio
import json
import re
import shlex
from datetime import datetime
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import yaml

from tests.support import speech, tone
from tests.support.daemon import Daemon, daemon
from tests.support.documents import ROOT, Block, blocks, table
from tests.support.ha_schema import render
from tests.support.limits import LIMIT
from tests.support.mosquitto import Mosquitto
from tests.support.mqtt import Peer, node
from voicenode.jobs import JobRequest
from voicenode.transports.mqtt.discovery_components import components
from voicenode.transports.mqtt.hermes import Hermes
from voicenode.transports.mqtt.messages import parse
from voicenode.transports.mqtt.topics import Topics

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

MQTT, EXAMPLES = ROOT / "docs/mqtt.md", ROOT / "docs/examples"
ID = "4f2a9c01"
BASE = f"voicenode/{ID}"
LINES = [
    shlex.split(line)
    for line in dict.fromkeys(line for block in blocks("sh mqtt") for line in block.text.splitlines())
]
"""Some stand in two documents, and are the same in both."""


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path_factory.mktemp("broker")) as broker:
        yield broker


@pytest.fixture(scope="module")
def running(broker: Mosquitto, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    home = tmp_path_factory.mktemp("node")
    (home / "data").mkdir()
    (home / "data/node-id").write_text(ID)
    settings = {"mqtt": {"host": broker.host, "port": broker.port}, "http": {"host": "127.0.0.1", "port": 0}}
    with daemon(home, settings=settings) as running:
        running.wait_until_ready()
        yield running


@pytest.fixture
async def peer(broker: Mosquitto, running: Daemon) -> AsyncIterator[Peer]:
    running.log.wait_for("MQTT: connected to")
    async with Peer((broker.host, broker.port)) as peer:
        for topic in (f"{BASE}/response/#", "voicenode/response/#", "hermes/#"):
            await peer.subscribe(topic)
        yield peer


async def converse(peer: Peer, block: Block) -> None:
    for line in block.text.splitlines():
        who, topic, payload = line.split(" ", 2)
        if who == "->":
            await peer.say(topic, payload)
        else:
            message = await peer.hear_raw(topic)
            assert agrees(json.loads(payload), json.loads(message.payload)), (line, message.payload)


def agrees(shown: Any, said: Any) -> bool:  # noqa: ANN401 - any JSON
    match shown:
        case dict():
            return shown.keys() == said.keys() and all(agrees(shown[key], said[key]) for key in shown)
        case str():
            return isinstance(said, str) and bool(re.fullmatch(re.escape(shown).replace("…", ".+"), said))
        case int() | float() if not isinstance(shown, bool):
            return isinstance(said, int | float)
    return bool(shown == said)


async def test_every_conversation_goes_as_it_is_shown(peer: Peer) -> None:
    assert blocks("mqtt")
    for block in blocks("mqtt"):
        await converse(peer, block)


async def test_the_lines_for_the_shell_do_what_they_say(peer: Peer, broker: Mosquitto) -> None:
    async with asyncio.timeout(LIMIT), asyncio.TaskGroup() as tasks:
        listening = [line for line in LINES if line[0] == "mosquitto_sub"]
        answers, state = [
            tasks.create_task(listen(broker, line))
            for line in sorted(listening, key=lambda line: "voicenode/+/state" in line)
        ]
        while not answers.done():  # nothing tells when a listener is ready
            await publish(broker)
            await peer.hear(f"{BASE}/response/synthesize")
    assert state.result() == f'{BASE}/state {{"state":"online"}}\n'
    assert json.loads(answers.result())["data"]["content_type"] == "audio/wav"


async def publish(broker: Mosquitto) -> None:
    (line,) = (line for line in LINES if line[0] == "mosquitto_pub")
    process = await asyncio.create_subprocess_exec(*at(broker, line))
    assert await process.wait() == 0


async def listen(broker: Mosquitto, line: list[str]) -> str:
    process = await asyncio.create_subprocess_exec(*at(broker, line), stdout=asyncio.subprocess.PIPE)
    said, _ = await process.communicate()
    assert process.returncode == 0
    return said.decode()


def at(broker: Mosquitto, line: list[str]) -> list[str]:
    host = line.index("-h")
    assert line[host + 1] == "192.168.1.10"
    return [*line[:host], "-h", broker.host, "-p", str(broker.port), *line[host + 2 :]]


@pytest.mark.usefixtures("running")
async def test_what_the_node_tells_is_what_the_tables_say(peer: Peer) -> None:
    await peer.subscribe(f"{BASE}/#")
    kept = {row[0] for row in table(MQTT, "What the node tells") if row[1] == "yes"}
    await peer.until(lambda: kept <= {message.topic for message in peer.heard if message.retain})
    status = await peer.hear(f"{BASE}/status")
    text = MQTT.read_text().partition("| In the status |")[2].partition("\n\n")[0]
    assert re.findall(r"^\| `(\w+)`", text, re.MULTILINE) == list(status)
    settings = await peer.hear(f"{BASE}/settings")
    text = MQTT.read_text().partition("| Setting |")[2].partition("\n\n")[0]
    told = re.findall(r"^\| `(\w+)`", text, re.MULTILINE)
    assert [name for name in told if name != "low_vram"] == list(settings)  # no engine here has a use for it
    assert "low_vram" in told


async def test_every_request_that_the_table_names_is_answered(peer: Peer) -> None:
    for row in table(MQTT, "Requests"):
        for name in row[0].split(", "):
            await peer.ask(f"{BASE}/request/{name}", transaction="known", **{"no such key": 1})
            answer = await peer.hear(f"{BASE}/response/{name}", transaction="known")
            assert answer["code"] == ("unsupported" if "unsupported" in row[2] else "bad-request")
            keys = re.findall(r"known are ([^;]*)", answer["error"])
            if keys and name != "settings":
                assert set(keys[0].split(", ")) - {"transaction"} == set(filter(None, row[1].split(", ")))


def test_the_keys_of_a_request_to_speak_are_those_of_the_code() -> None:
    assert {row[0] for row in table(MQTT, "Speak")} == {*JobRequest.model_fields, "transaction"}


def test_the_table_of_entities_is_what_home_assistant_shows() -> None:
    every = components(
        Topics("voicenode", ID),
        voices=["a"],
        qualities=["b"],
        settings=dict.fromkeys(("default_voice", "default_quality", "idle_timeout_s", "low_vram")),
        status=dict.fromkeys(
            ("speaking", "engine", "queued_jobs", "vram_used_mib", "last_ttfa_ms", "last_rtf", "last_error")
        ),
    )
    shown = {row[0] for row in table(MQTT, "Home Assistant")}
    assert shown == {f"{component['p']} *{component['name']}*" for component in every.values()}


async def test_the_hermes_conversation_goes_as_it_is_shown(
    broker: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", tone.python_path())
    made: list[Hermes] = []
    async with (
        node(
            broker, tmp_path, prepare=lambda mqtt, _, jobs: made.append(Hermes(mqtt, jobs, speech.catalogue))
        ),
        Peer((broker.host, broker.port)) as peer,
    ):
        await peer.subscribe("hermes/#")
        for block in blocks("mqtt hermes"):
            await converse(peer, block)
        await made[0].stop()


async def test_the_example_for_home_assistant_plays_what_say_has_spoken(peer: Peer) -> None:
    _, play = yaml.safe_load((EXAMPLES / "home-assistant.yaml").read_text())["automation"]
    await peer.subscribe(f"{BASE}/event")
    await peer.say(f"{BASE}/request/synthesize", json.dumps({"text": "Dinner is ready."}))
    event = await peer.hear(f"{BASE}/event", event_type="completed", transaction=None)
    (new, spoken), (action, wait) = play["conditions"], play["actions"]
    for before, wanted in (("unknown", "True"), ("unavailable", "False")):
        assert render(new, trigger={"from_state": {"state": before}}) == wanted
    for change, wanted in (
        ({}, "True"),
        ({"transaction": "door"}, "False"),
        ({"event_type": "failed"}, "False"),
    ):
        assert render(spoken, trigger={"to_state": {"attributes": {**event, **change}}}) == wanted
    trigger = {"to_state": {"attributes": event}}
    assert render(action["data"]["media_content_id"], trigger=trigger) == event["url"]
    assert float(render(wait["delay"], trigger=trigger)) == event["duration_s"]


async def test_the_example_for_home_assistant_plays_what_it_announces(peer: Peer) -> None:
    example = yaml.safe_load((EXAMPLES / "home-assistant.yaml").read_text())
    (ask,) = example["script"]["announce"]["sequence"]
    given = {"message": 'It\'s "done"', "player": "media_player.kitchen", "now": datetime.now}
    await peer.say(ask["data"]["topic"], render(ask["data"]["payload"], **given), qos=ask["data"]["qos"])
    play, _ = example["automation"]
    heard = await peer.hear(play["triggers"][0]["topic"])
    (condition,), (action, wait) = play["conditions"], play["actions"]
    for transaction, wanted in ((heard["transaction"], "True"), (None, "False"), ("door", "False")):
        answer = {**heard, "transaction": transaction}
        assert render(condition, trigger={"payload_json": answer}) == wanted
    trigger = {"payload_json": heard}
    assert render(action["target"]["entity_id"], trigger=trigger) == "media_player.kitchen"
    assert float(render(wait["delay"], trigger=trigger)) == heard["data"]["duration_s"]
    async with httpx.AsyncClient(trust_env=False) as client:
        sound = await client.get(render(action["data"]["media_content_id"], trigger=trigger))
    assert (sound.status_code, sound.headers["content-type"]) == (200, "audio/mpeg")


def test_the_example_for_node_red_is_a_whole_flow_that_asks_for_what_there_is() -> None:
    flow = {each["id"]: each for each in json.loads((EXAMPLES / "node-red.json").read_text())}
    for each in flow.values():
        assert {target for wire in each.get("wires", []) for target in wire} <= flow.keys()
        assert each.get("z", "voicenode-tab") in flow
        assert each.get("broker", "voicenode-broker") in {*flow, "localhost"}
    JobRequest.of(parse(flow["voicenode-press"]["payload"].encode(), None))
    assert flow["voicenode-ask"]["topic"] == Topics("voicenode", ID).request("synthesize")
    assert flow["voicenode-answer"]["topic"] == Topics("voicenode", ID).response("synthesize")

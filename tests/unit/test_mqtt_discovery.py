"""What Home Assistant is told of a node, held against its own rules and the values that it will show."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.ha_schema import PayloadError, check, render
from voicenode.jobs import JobState
from voicenode.transports.mqtt.discovery import config_topic, device
from voicenode.transports.mqtt.discovery_components import components
from voicenode.transports.mqtt.topics import Topics

if TYPE_CHECKING:
    from collections.abc import Callable

TOPICS = Topics("voicenode", "4f2a9c01")
INFO = {"name": "Kitchen", "version": "1.2.3"}
SETTINGS = {"default_voice": "tone-plain", "idle_timeout_s": 300}
STATUS = {
    "speaking": False,
    "active_jobs": 0,
    "queued_jobs": 0,
    "engine": "none",
    "last_ttfa_ms": None,
    "last_rtf": None,
    "last_error": None,
    "last_error_at": None,
}
EVERYTHING: dict[str, Any] = {
    "voices": ["tone-plain", "tone-deutsch"],
    "qualities": ["fast", "good"],
    "settings": {**SETTINGS, "default_quality": "good", "low_vram": True},
    "status": {**STATUS, "vram_used_mib": 812},
}


def shown(**changes: Any) -> dict[str, Any]:  # noqa: ANN401
    facts = {"voices": ["tone-plain"], "qualities": [], "settings": SETTINGS, "status": STATUS}
    return components(TOPICS, **(facts | changes))


def payload(cmps: dict[str, Any]) -> bytes:
    return json.dumps(device("4f2a9c01", TOPICS, INFO, cmps)).encode()


def test_home_assistant_takes_every_word_of_a_small_node_and_of_one_with_everything() -> None:
    for facts in ({}, EVERYTHING):
        check(config_topic("homeassistant", "4f2a9c01"), payload(shown(**facts)))


def test_the_entities_are_those_that_have_something_to_show() -> None:
    small = set(shown())
    assert small == {
        *("say", "text", "default_voice", "idle_timeout", "load", "unload", "stop", "job"),
        *("speaking", "engine", "queue", "ttfa", "rtf", "error"),
    }
    assert set(shown(**EVERYTHING)) - small == {"default_quality", "low_vram", "vram"}
    assert set(shown(settings={}, status={})) == {"say", "text", "load", "unload", "stop", "job"}


@pytest.mark.parametrize("chosen", ["tone-plain", "an alias", "TONE-PLAIN"])
def test_the_chosen_voice_is_always_one_of_the_options(chosen: str) -> None:
    select = shown(settings={**SETTINGS, "default_voice": chosen})["default_voice"]
    assert chosen in select["ops"]
    assert len(set(select["ops"])) == len(select["ops"])


def test_a_quality_can_be_chosen_only_where_there_is_one() -> None:
    assert "default_quality" not in shown(settings={**SETTINGS, "default_quality": None})


@pytest.mark.parametrize(
    ("key", "values", "state"),
    [
        ("default_voice", {}, "tone-plain"),
        ("default_quality", {}, "good"),
        ("default_quality", {"default_quality": None}, "as configured"),
        ("idle_timeout", {"idle_timeout_s": -1}, "-1"),
        ("low_vram", {}, "ON"),
        ("low_vram", {"low_vram": False}, "OFF"),
        ("speaking", {}, "OFF"),
        ("speaking", {"speaking": True}, "ON"),
        ("engine", {"engine": "espeak"}, "espeak"),
        ("queue", {"queued_jobs": 7}, "7"),
        ("vram", {}, "812"),
        ("ttfa", {}, "None"),
        ("ttfa", {"last_ttfa_ms": 12.5}, "12.5"),
        ("rtf", {"last_rtf": 0.01}, "0.01"),
        ("error", {}, "None"),
        ("error", {"last_error": "x" * 300}, "x" * 255),
    ],
)
def test_the_state_of_an_entity_is_read_from_the_nodes_topics(
    key: str, values: dict[str, Any], state: str
) -> None:
    topics = {TOPICS.settings: EVERYTHING["settings"], TOPICS.status: EVERYTHING["status"]}
    component = shown(**EVERYTHING)[key]
    assert render(component["val_tpl"], value_json={**topics[component["stat_t"]], **values}) == state


def test_an_error_has_its_time_as_an_attribute() -> None:
    sensor, status = shown()["error"], {**STATUS, "last_error_at": "2026-11-22T10:00:00+00:00"}
    assert sensor["json_attr_t"] == TOPICS.status
    assert json.loads(render(sensor["json_attr_tpl"], value_json=status)) == {"at": status["last_error_at"]}


@pytest.mark.parametrize(
    ("key", "value", "request_name", "asked"),
    [
        ("say", 'He said "hi" & {it}\'s 5', "synthesize", {"text": 'He said "hi" & {it}\'s 5'}),
        ("text", "{}", "synthesize", {"text": "{}"}),
        ("default_voice", "tone-deutsch", "settings", {"default_voice": "tone-deutsch"}),
        ("default_quality", "fast", "settings", {"default_quality": "fast"}),
        ("default_quality", "as configured", "settings", {"default_quality": None}),
        ("idle_timeout", 60, "settings", {"idle_timeout_s": 60}),
        ("low_vram", "ON", "settings", {"low_vram": True}),
        ("low_vram", "OFF", "settings", {"low_vram": False}),
    ],
)
def test_an_entity_asks_the_node_for_what_a_user_wants(
    key: str, value: object, request_name: str, asked: dict[str, Any]
) -> None:
    component = shown(**EVERYTHING)[key]
    assert component["cmd_t"] == TOPICS.request(request_name)
    assert json.loads(render(component["cmd_tpl"], value=value)) == asked


@pytest.mark.parametrize(
    ("key", "request_name", "asked"),
    [("load", "load", {}), ("unload", "unload", {}), ("stop", "cancel", {"all": True})],
)
def test_a_button_asks_the_node(key: str, request_name: str, asked: dict[str, Any]) -> None:
    component = shown()[key]
    assert component["cmd_t"] == TOPICS.request(request_name)
    assert json.loads(component["pl_prs"]) == asked


def test_the_types_of_the_event_are_the_states_of_jobs() -> None:
    assert shown()["job"]["evt_typ"] == list(JobState)


def test_the_device_is_there_while_the_node_is() -> None:
    told = json.loads(payload(shown()))
    assert told["avty_t"] == TOPICS.state
    assert render(told["avty_tpl"], value_json={"state": "offline"}) == "offline"


def test_an_entity_keeps_its_identity_whatever_the_node_is_called() -> None:
    renamed = device("4f2a9c01", TOPICS, {**INFO, "name": "Cellar"}, shown())
    assert renamed["cmps"]["say"]["uniq_id"] == "voicenode_4f2a9c01_say"
    assert renamed["dev"]["ids"] == ["voicenode_4f2a9c01"]


def broken(change: Callable[[dict[str, Any]], object]) -> bytes:
    told = deepcopy(json.loads(payload(shown(**EVERYTHING))))
    change(told)
    return json.dumps(told).encode()


@pytest.mark.parametrize(
    "change",
    [
        lambda told: told.update({"~": "voicenode"}),
        lambda told: told["dev"].update(colour="red"),
        lambda told: told["dev"].update(cu="kitchen.local"),
        lambda told: told["dev"].pop("ids"),
        lambda told: told["o"].pop("name"),
        lambda told: told["o"].update(version="1"),
        lambda told: told["cmps"]["say"].pop("uniq_id"),
        lambda told: told["cmps"]["say"].pop("cmd_t"),
        lambda told: told["cmps"]["say"].update(object_id="say"),
        lambda told: told["cmps"]["say"].update(p="tts"),
        lambda told: told["cmps"]["say"].update(cmd_t="voicenode/#"),
        lambda told: told["cmps"]["text"].update(max=256),
        lambda told: told["cmps"]["default_voice"].update(ops=[]),
        lambda told: told["cmps"]["idle_timeout"].update(min=10**9),
        lambda told: told["cmps"]["ttfa"].update(unit_of_meas="jobs"),
        lambda told: told["cmps"]["ttfa"].update(ent_cat="config"),
        lambda told: told["cmps"]["queue"].update(ops=["a"]),
        lambda told: told["cmps"]["job"].pop("evt_typ"),
        lambda told: told["cmps"]["job"].update(uniq_id="voicenode_4f2a9c01_say"),
    ],
)
def test_the_rules_find_what_home_assistant_would_not_take(
    change: Callable[[dict[str, Any]], object],
) -> None:
    with pytest.raises(PayloadError):
        check(config_topic("homeassistant", "4f2a9c01"), broken(change))


def test_the_rules_find_a_topic_that_home_assistant_does_not_look_at() -> None:
    with pytest.raises(PayloadError):
        check(config_topic("homeassistant", "kitchen node"), payload(shown()))


def test_what_only_names_its_platform_is_removed_and_may_be() -> None:
    told = device("4f2a9c01", TOPICS, INFO, {"vram": {"p": "sensor"}, **shown()})
    assert told["cmps"]["vram"] == {"p": "sensor"}
    check(config_topic("homeassistant", "4f2a9c01"), json.dumps(told).encode())

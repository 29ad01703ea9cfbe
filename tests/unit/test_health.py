from typing import Any

import pytest

from voicenode.health import Health, look
from voicenode.workers.slot import EngineState

READY = EngineState("espeak", "ready", 42, 1)
ASLEEP = EngineState("espeak", "unloaded", None, 0)
BROKEN = EngineState("xtts", "unloaded", None, 0, error="engine 'xtts': no weights")


def health(*engines: EngineState, **fields: Any) -> Health:  # noqa: ANN401
    parts = {"wyoming": "listening", "mqtt": "off", "jobs": {}, "lacking": {}, "demanded": (), **fields}
    return look(version="1", node_id="n", uptime=1.23456, default_engine="espeak", engines=engines, **parts)


def test_a_good_node_says_what_it_is_doing() -> None:
    seen = health(READY, jobs={"queued": 2, "processing": 1, "completed": 9}, mqtt="connected")
    assert seen.can_speak
    assert seen.details == {
        "status": "ok",
        "version": "1",
        "id": "n",
        "engines": {"espeak": {"state": "ready", "pid": 42, "waiting": 1}},
        "wyoming": "listening",
        "mqtt": "connected",
        "jobs": {"queued": 2, "processing": 1},
        "uptime_s": 1.235,
    }


def test_an_engine_that_is_not_loaded_yet_can_speak() -> None:
    assert health(ASLEEP).can_speak


def test_another_engine_that_fails_is_a_blemish() -> None:
    seen = health(READY, BROKEN)
    assert (seen.can_speak, seen.details["status"]) == (True, "degraded")
    assert seen.details["engines"]["xtts"]["error"] == "engine 'xtts': no weights"


@pytest.mark.parametrize(
    "engines", [(), (BROKEN,), (EngineState("espeak", "unloaded", None, 0, error="no"),)]
)
def test_without_the_engine_of_the_default_voice_it_cannot_speak(engines: tuple[EngineState, ...]) -> None:
    seen = health(*engines)
    assert (seen.can_speak, seen.details["status"]) == (False, "degraded")


@pytest.mark.parametrize(("demanded", "status"), [((), "ok"), (("f5",), "degraded")])
def test_an_engine_that_cannot_be_used_is_a_blemish_where_the_owner_asks_for_it(
    demanded: tuple[str, ...], status: str
) -> None:
    idle = EngineState("f5", "unloaded", None, 0)
    seen = health(READY, idle, lacking={"f5": "no weights; download them"}, demanded=demanded)
    assert (seen.can_speak, seen.details["status"]) == (True, status)
    assert seen.details["engines"]["f5"] == {"state": "unavailable", "error": "no weights; download them"}


def test_a_broker_that_is_away_is_a_blemish() -> None:
    seen = health(READY, mqtt="disconnected")
    assert (seen.can_speak, seen.details["status"]) == (True, "degraded")

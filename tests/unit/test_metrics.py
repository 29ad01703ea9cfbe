"""What Prometheus is told, read back with its own parser."""

import asyncio
from typing import get_args, get_type_hints

import pytest
from prometheus_client.parser import text_string_to_metric_families

from voicenode.errors import EngineError, ErrorCode
from voicenode.metrics import ENGINE_STATES, EngineReading, Metrics, Readings
from voicenode.report import SpokenReport, Tally, reported
from voicenode.workers.slot import EngineState

pytestmark = pytest.mark.usefixtures("heartbeat")


def report(**fields: object) -> SpokenReport:
    values: dict[str, object] = {
        "door": "wyoming",
        "engine": "tone",
        "voice": "tone-plain",
        "characters": 12,
        "ttfa": 0.03,
        "audio_seconds": 2.0,
        "engine_seconds": 0.5,
        "wall_seconds": 0.6,
        "outcome": "ok",
    }
    return SpokenReport(**{**values, **fields})  # type: ignore[arg-type] # checked by the tests themselves


async def told(*reports: SpokenReport, readings: Readings | None = None) -> dict[str, float]:
    """Every sample, named as in a query."""
    metrics = await asyncio.to_thread(Metrics, "1.2.3", lambda: readings or Readings())
    for one in reports:
        metrics.spoken(one)
    text = (await metrics.text()).decode()
    return {
        f"{sample.name}{{{','.join(f'{k}={v}' for k, v in sorted(sample.labels.items()))}}}": sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_requests_are_counted_by_door_engine_and_outcome() -> None:
    samples = await told(
        report(), report(), report(outcome="busy"), report(door="mqtt", engine="", outcome="unknown-voice")
    )
    assert samples["voicenode_requests_total{door=wyoming,engine=tone,outcome=ok}"] == 2
    assert samples["voicenode_requests_total{door=wyoming,engine=tone,outcome=busy}"] == 1
    assert samples["voicenode_requests_total{door=mqtt,engine=,outcome=unknown-voice}"] == 1


async def test_times_fall_into_buckets() -> None:
    samples = await told(report(), report(ttfa=2.0))
    ttfa = "voicenode_time_to_first_audio_seconds"
    assert samples[f"{ttfa}_bucket{{door=wyoming,engine=tone,le=0.025}}"] == 0
    assert samples[f"{ttfa}_bucket{{door=wyoming,engine=tone,le=0.05}}"] == 1
    assert samples[f"{ttfa}_count{{door=wyoming,engine=tone}}"] == 2
    assert samples["voicenode_real_time_factor_bucket{engine=tone,le=0.3}"] == 2
    assert samples["voicenode_real_time_factor_sum{engine=tone}"] == 0.5
    assert samples["voicenode_audio_seconds_total{engine=tone}"] == 4
    assert samples["voicenode_characters_total{engine=tone}"] == 24


async def test_a_request_without_sound_has_no_times() -> None:
    samples = await told(report(ttfa=None, audio_seconds=0.0, outcome="busy"))
    assert not any("first_audio" in name or "factor" in name for name in samples)


async def test_what_is_not_counted_is_read_at_the_moment() -> None:
    engine = EngineState(
        "tone", "ready", 1, waiting=3, starts=5, losses=2, resident=10, prewarmed_resident=20, vram=1 << 30
    )
    jobs = {"queued": 4, "failed": 0}
    samples = await told(readings=Readings(engines=[engine], jobs=jobs, mqtt_connected=False))
    states = {
        state: samples[f"voicenode_engine_state{{engine=tone,state={state}}}"] for state in ENGINE_STATES
    }
    assert states == {"unloaded": 0, "loading": 0, "ready": 1, "speaking": 0}
    assert samples["voicenode_engine_waiting_segments{engine=tone}"] == 3
    assert samples["voicenode_engine_starts_total{engine=tone}"] == 5
    assert samples["voicenode_engine_losses_total{engine=tone}"] == 2
    assert samples["voicenode_jobs{state=queued}"] == 4
    assert samples["voicenode_jobs{state=failed}"] == 0
    assert samples["voicenode_mqtt_connected{}"] == 0
    assert samples["voicenode_engine_vram_bytes{engine=tone}"] == 1 << 30
    assert samples["voicenode_engine_resident_memory_bytes{engine=tone,process=engine}"] == 10
    assert samples["voicenode_engine_resident_memory_bytes{engine=tone,process=prewarmed}"] == 20
    assert samples["voicenode_info{version=1.2.3}"] == 1
    assert samples["process_open_fds{}"] > 0


async def test_what_nobody_knows_is_not_told() -> None:
    samples = await told()
    assert not any("mqtt" in name or "vram" in name for name in samples)


async def test_two_nodes_in_one_process_do_not_share_their_counts() -> None:
    await told(report())
    assert not any("requests_total" in name for name in await told())


async def test_thousands_of_voices_are_no_more_series_than_one() -> None:
    one = await told(report())
    many = await told(*(report(voice=f"voice-{number}") for number in range(1000)))
    assert one.keys() == many.keys()


def test_every_state_of_an_engine_is_known() -> None:
    assert get_args(get_type_hints(EngineState)["state"]) == ENGINE_STATES
    reading: EngineReading = EngineState("tone", "ready", 1, 0)
    assert reading.starts == 0


def test_the_real_time_factor_is_work_for_a_second_of_sound() -> None:
    assert report().rtf == 0.25
    assert report(audio_seconds=0.0).rtf is None


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (None, "ok"),
        (EngineError(ErrorCode.ENGINE_LOST, "gone"), "engine-lost"),
        (ZeroDivisionError(), "internal"),
    ],
)
def test_how_a_request_ended(error: Exception | None, outcome: str) -> None:
    tally = Tally("wyoming")
    tally.end(error)
    assert tally.report().outcome == outcome


def test_a_request_that_nobody_ended_was_left() -> None:
    reports: list[SpokenReport] = []
    with reported("wyoming", [reports.append]):
        pass
    assert [one.outcome for one in reports] == ["cancelled"]

"""What the node counts and measures, in the text format that Prometheus reads.

Labels take few values by their nature: doors, engines, states and error codes; never voices or clients.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from prometheus_client import Metric

    from voicenode.report import SpokenReport

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

ENGINE_STATES = ("unloaded", "loading", "ready", "speaking")

_TTFA_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5, 2.5, 5.0, 10.0, 30.0)
_RTF_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.5, 5.0)


class EngineReading(Protocol):
    """What the pool tells of an engine."""

    @property
    def name(self) -> str: ...
    @property
    def state(self) -> str: ...
    @property
    def waiting(self) -> int: ...
    @property
    def starts(self) -> int: ...
    @property
    def losses(self) -> int: ...
    @property
    def resident(self) -> int | None: ...
    @property
    def prewarmed_resident(self) -> int | None: ...
    @property
    def vram(self) -> int | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """How things stand at the moment when somebody asks."""

    engines: Sequence[EngineReading] = ()
    jobs: Mapping[str, int] = field(default_factory=dict)
    """How many there are, by state, of those that are not over."""
    mqtt_connected: bool | None = None
    """None where MQTT is off."""


class Metrics:
    """Counts what it is told by `spoken`, and reads the rest when it is asked for `text`.

    Creating it imports prometheus-client, about 30 ms: not on the event loop.
    """

    def __init__(self, version: str, read: Callable[[], Readings]) -> None:
        # Imported only where metrics are wanted.
        from prometheus_client import (  # noqa: PLC0415
            CollectorRegistry,
            Counter,
            Histogram,
            Info,
            ProcessCollector,
            disable_created_metrics,
        )

        disable_created_metrics()  # type: ignore[no-untyped-call] # doubles the series, and nobody looks
        self._read = read
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        Info("voicenode", "The node.", registry=registry).info({"version": version})
        path, engine = ("door", "engine"), ("engine",)
        self._requests = Counter(
            "voicenode_requests", "Requests that are over.", (*path, "outcome"), registry=registry
        )
        self._ttfa = Histogram(
            "voicenode_time_to_first_audio_seconds",
            "From a request's arrival to its first sound.",
            path,
            buckets=_TTFA_BUCKETS,
            registry=registry,
        )
        self._rtf = Histogram(
            "voicenode_real_time_factor",
            "Seconds of an engine's work for a second of sound.",
            engine,
            buckets=_RTF_BUCKETS,
            registry=registry,
        )
        self._audio = Counter("voicenode_audio_seconds", "Sound that was made.", engine, registry=registry)
        self._characters = Counter(
            "voicenode_characters", "Characters that engines were given.", engine, registry=registry
        )

    def spoken(self, report: SpokenReport) -> None:
        """Count one request; an `Observer` of the path."""
        self._requests.labels(report.door, report.engine, report.outcome).inc()
        if report.ttfa is not None:
            self._ttfa.labels(report.door, report.engine).observe(report.ttfa)
        if report.rtf is not None:
            self._rtf.labels(report.engine).observe(report.rtf)
            self._audio.labels(report.engine).inc(report.audio_seconds)
            self._characters.labels(report.engine).inc(report.characters)

    async def text(self) -> bytes:
        """Everything, as of now."""
        return await asyncio.to_thread(self._render, self._read())

    def _render(self, readings: Readings) -> bytes:
        """Reads files of /proc, hence in a thread."""
        from prometheus_client import generate_latest  # noqa: PLC0415 - as above

        return generate_latest(self._registry) + generate_latest(_Gauges(readings))


class _Gauges:
    """What is read rather than counted, as prometheus-client collects it."""

    def __init__(self, readings: Readings) -> None:
        self._readings = readings

    def collect(self) -> Iterator[Metric]:
        yield from _of_engines(self._readings.engines)
        yield from _of_node(self._readings)


def _of_engines(engines: Sequence[EngineReading]) -> Iterator[Metric]:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily  # noqa: PLC0415 - as above

    state = GaugeMetricFamily(
        "voicenode_engine_state", "1 for what the engine is doing.", labels=("engine", "state")
    )
    waiting = GaugeMetricFamily(
        "voicenode_engine_waiting_segments", "Segments that wait for their turn.", labels=("engine",)
    )
    starts = CounterMetricFamily("voicenode_engine_starts", "Processes that were loaded.", labels=("engine",))
    losses = CounterMetricFamily(
        "voicenode_engine_losses", "Loaded processes that died or had to be killed.", labels=("engine",)
    )
    for engine in engines:
        for one in ENGINE_STATES:
            state.add_metric((engine.name, one), engine.state == one)
        waiting.add_metric((engine.name,), engine.waiting)
        starts.add_metric((engine.name,), engine.starts)
        losses.add_metric((engine.name,), engine.losses)
    yield from (state, waiting, starts, losses)
    yield from _memory(engines)


def _memory(engines: Sequence[EngineReading]) -> Iterator[Metric]:
    from prometheus_client.core import GaugeMetricFamily  # noqa: PLC0415 - as above

    resident = GaugeMetricFamily(
        "voicenode_engine_resident_memory_bytes",
        "Memory of the machine that engines' processes take; prewarmed: what has their libraries imported.",
        labels=("engine", "process"),
    )
    vram = GaugeMetricFamily(
        "voicenode_engine_vram_bytes", "Device memory that engines' processes take.", labels=("engine",)
    )
    for engine in engines:
        for process, size in (("engine", engine.resident), ("prewarmed", engine.prewarmed_resident)):
            if size is not None:
                resident.add_metric((engine.name, process), size)
        if engine.vram is not None:
            vram.add_metric((engine.name,), engine.vram)
    yield from (resident, vram)


def _of_node(readings: Readings) -> Iterator[Metric]:
    from prometheus_client.core import GaugeMetricFamily  # noqa: PLC0415 - as above

    jobs = GaugeMetricFamily("voicenode_jobs", "Jobs that are not over.", labels=("state",))
    for state, count in readings.jobs.items():
        jobs.add_metric((state,), count)
    yield jobs
    if readings.mqtt_connected is not None:
        yield GaugeMetricFamily(
            "voicenode_mqtt_connected", "Whether the broker is reached.", value=readings.mqtt_connected
        )

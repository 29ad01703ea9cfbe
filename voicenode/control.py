"""The node as a whole: how it is, and what may be asked of it besides speaking."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from voicenode import __version__, health
from voicenode.errors import ErrorCode, RequestError
from voicenode.metrics import Readings
from voicenode.report import LEFT, SPOKEN
from voicenode.runtime import Adjustable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from voicenode.jobs import JobQueue
    from voicenode.processor import VoiceProcessor
    from voicenode.report import SpokenReport
    from voicenode.workers.pool import EnginePool
    from voicenode.workers.slot import EngineState


_MIB = 1024 * 1024


class Control:
    """What the doors tell and ask about the node itself.

    `jobs` and `mqtt_connected` are set when there are jobs and MQTT.
    """

    def __init__(
        self, node_id: str, processor: VoiceProcessor, pool: EnginePool, demanded: Collection[str] = ()
    ) -> None:
        self.jobs: JobQueue | None = None
        self.mqtt_connected: Callable[[], bool] | None = None
        self._node_id = node_id
        self._processor = processor
        self._pool = pool
        self._demanded = demanded
        self._started = time.time()
        self._last_spoken: SpokenReport | None = None
        self._last_error: tuple[str, float] | None = None
        """Its code, and when it was in seconds since the epoch; none once a later request was spoken."""
        processor.observers.append(self._note)

    def health(self) -> health.Health:
        """How the node is, for probes."""
        mqtt, default = self.mqtt_connected, self._processor.catalogue.default
        return health.look(
            version=__version__,
            node_id=self._node_id,
            uptime=time.time() - self._started,
            default_engine=default.engine if default else None,
            engines=self._pool.states(),
            lacking=self._processor.catalogue.unavailable,
            demanded=self._demanded,
            wyoming="listening",
            mqtt="off" if mqtt is None else "connected" if mqtt() else "disconnected",
            jobs=self._counts(),
        )

    def readings(self) -> Readings:
        """How things stand, for Prometheus."""
        mqtt = self.mqtt_connected
        return Readings(
            engines=self._pool.states(),
            jobs=self._counts(),
            mqtt_connected=None if mqtt is None else mqtt(),
        )

    def status(self) -> Mapping[str, Any]:
        """How the node is, for people: the figures that Home Assistant shows."""
        counts, last, error = self._counts(), self._last_spoken, self._last_error
        return {
            "speaking": self._processor.live > 0,
            "active_jobs": counts.get("processing", 0),
            "queued_jobs": counts.get("queued", 0),
            "engine": self._engine_state(),
            **self._vram(),
            "last_ttfa_ms": None if last is None or last.ttfa is None else round(last.ttfa * 1000, 1),
            "last_rtf": None if last is None or last.rtf is None else round(last.rtf, 4),
            "last_error": None if error is None else error[0],
            "last_error_at": None if error is None else _iso(error[1]),
            "started_at": _iso(self._started),
        }

    def note_error(self, code: str) -> None:
        """A request has failed, or was refused before it came to the engines."""
        self._last_error = code, time.time()

    def engines(self) -> Mapping[str, Any]:
        """What each engine is doing, or why it cannot be used."""
        lacking = self._processor.catalogue.unavailable
        states = {
            engine.name: {"state": engine.state, "waiting": engine.waiting} for engine in self._pool.states()
        }
        return states | {name: {"state": "unavailable", "error": why} for name, why in lacking.items()}

    async def load(self, engine: str | None) -> None:
        """Load an engine, or all.

        Raises:
            RequestError: there is no such engine.
            EngineError, BusyError: it cannot be used, or not be loaded.
        """
        for name in self._names(engine):
            await self._pool.load(name)

    async def unload(self, engine: str | None) -> None:
        """End an engine's process, or all; what they speak fails.

        Raises:
            RequestError: there is no such engine.
        """
        for name in self._names(engine):
            await self._pool.unload(name)

    async def cancel_live(self) -> int:
        """End every live request of every door; batch jobs stay. How many there were."""
        jobs = 0 if self.jobs is None else await self.jobs.cancel_live()
        return jobs + self._processor.cancel_live()

    def adjustables(self) -> Mapping[str, Adjustable]:
        """The settings that may be changed while the node runs, by their names for clients."""
        catalogue, limits = self._processor.catalogue, self._pool.limits
        quality = self._processor.quality.configured(catalogue.default.engine) if catalogue.default else None
        adjustables = {
            "default_voice": Adjustable(catalogue.default_name, self._set_default_voice),
            "default_quality": Adjustable(quality, self._set_default_quality),
            "idle_timeout_s": Adjustable(limits.idle_timeout, self._set_idle_timeout),
        }
        if self._on_device():
            adjustables["low_vram"] = Adjustable(limits.low_vram, self._set_low_vram)
        return adjustables

    def _set_default_voice(self, name: object) -> None:
        if not isinstance(name, str):
            raise RequestError(ErrorCode.BAD_REQUEST, f"default_voice is a voice's name, not {name!r:.40}")
        self._processor.catalogue.set_default(name)

    def _set_default_quality(self, name: object) -> None:
        if not (name is None or isinstance(name, str)):
            what = f"default_quality is a quality profile's name, not {name!r:.40}"
            raise RequestError(ErrorCode.BAD_REQUEST, what)
        self._processor.quality.prefer(name)

    def _set_idle_timeout(self, seconds: object) -> None:
        number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
        if not number or not (seconds == -1 or 0 <= seconds < float("inf")):  # type: ignore[operator] # a number
            what = f"idle_timeout_s is seconds, 0 for at once or -1 for never, not {seconds!r:.40}"
            raise RequestError(ErrorCode.BAD_REQUEST, what)
        self._pool.set_idle_timeout(seconds)  # type: ignore[arg-type] # a number

    def _set_low_vram(self, on: object) -> None:
        if not isinstance(on, bool):
            raise RequestError(ErrorCode.BAD_REQUEST, f"low_vram is true or false, not {on!r:.40}")
        self._pool.set_low_vram(on)

    def _on_device(self) -> list[EngineState]:
        """The engines that have a voice and need device memory."""
        usable = self._processor.engines
        return [state for state in self._pool.states() if state.needs and state.name in usable]

    def _vram(self) -> Mapping[str, Any]:
        """What all engines take of device memory, if any needs some; null where nobody knows."""
        engines = self._on_device()
        if not engines:
            return {}
        taken = [engine.vram for engine in engines if engine.pid is not None]
        known = [vram for vram in taken if vram is not None]
        return {"vram_used_mib": round(sum(known) / _MIB) if len(known) == len(taken) else None}

    def _names(self, engine: str | None) -> list[str]:
        known = [*self._processor.engines]
        if engine is None:
            return known
        self._processor.catalogue.explain(engine)
        if engine not in known:
            what = f"unknown engine '{engine[:40]}'; there are: {', '.join(known)}"
            raise RequestError(ErrorCode.UNKNOWN_ENGINE, what)
        return [engine]

    def _engine_state(self) -> str:
        """The engines that are loaded, or `none`."""
        loaded = [engine.name for engine in self._pool.states() if engine.pid is not None]
        return ", ".join(loaded) or "none"

    def _counts(self) -> Mapping[str, int]:
        return {} if self.jobs is None else self.jobs.counts()

    def _note(self, report: SpokenReport) -> None:
        if report.outcome == SPOKEN:
            self._last_spoken = report
            self._forgive(time.time() - report.wall_seconds)
        elif report.outcome != LEFT:
            self.note_error(report.outcome)

    def _forgive(self, begun: float) -> None:
        """What was asked at this time was spoken: an error before it is over."""
        if self._last_error is not None and self._last_error[1] <= begun:
            self._last_error = None


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")

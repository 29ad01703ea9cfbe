"""How the node is, for probes and people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from voicenode.workers.slot import EngineState


@dataclass(frozen=True, slots=True)
class Health:
    """One look at the node."""

    can_speak: bool
    """Whether a request without further wishes would be spoken, as far as can be known."""
    details: Mapping[str, Any]
    """For JSON; `status` is `ok`, or `degraded` when anything is not as the owner wants it."""


def look(
    *,
    version: str,
    node_id: str,
    uptime: float,
    default_engine: str | None,
    engines: Iterable[EngineState],
    lacking: Mapping[str, str],
    demanded: Collection[str],
    wyoming: Literal["listening", "off"],
    mqtt: Literal["connected", "disconnected", "off"],
    jobs: Mapping[str, int],
) -> Health:
    """Put together what the parts tell.

    An engine that is not loaded counts as able to speak until loading it fails.

    Args:
        version: of the program.
        node_id: of the node.
        uptime: in seconds.
        default_engine: that of the voice which speaks when nothing else decides; None where it is gone.
        engines: what each of them is doing.
        lacking: engine -> why it cannot be used.
        demanded: the engines that the owner asks for, which are faults where they cannot be used.
        wyoming: whether that door is open.
        mqtt: whether the broker is reached.
        jobs: state -> how many there are.
    """
    states = {engine.name: engine for engine in engines if engine.name not in lacking}
    failed = {name for name, engine in states.items() if engine.error is not None}
    failed |= {name for name in lacking if name in demanded}
    can_speak = default_engine in states and default_engine not in failed
    good = can_speak and not failed and mqtt != "disconnected"
    details = {
        "status": "ok" if good else "degraded",
        "version": version,
        "id": node_id,
        "engines": {name: _engine(engine) for name, engine in states.items()}
        | {name: {"state": "unavailable", "error": why} for name, why in lacking.items()},
        "wyoming": wyoming,
        "mqtt": mqtt,
        "jobs": {state: jobs.get(state, 0) for state in ("queued", "processing")},
        "uptime_s": round(uptime, 3),
    }
    return Health(can_speak, details)


def _engine(engine: EngineState) -> dict[str, Any]:
    told = {
        "state": engine.state,
        "pid": engine.pid,
        "waiting": engine.waiting,
        "memory_mib": _mib(engine.resident),
        "vram_mib": _mib(engine.vram),
        "prewarmed_pid": engine.prewarmed,
        "prewarmed_mib": _mib(engine.prewarmed_resident),
        "error": engine.error,
    }
    return {key: value for key, value in told.items() if value is not None}


def _mib(size: int | None) -> float | None:
    return None if size is None else round(size / (1024 * 1024), 1)

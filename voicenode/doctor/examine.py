"""Runs every check, all at once, each where it can harm no other."""

from __future__ import annotations

import asyncio
import inspect
from functools import partial
from typing import TYPE_CHECKING

from voicenode.doctor import machine, network, storage
from voicenode.doctor.engines import engines
from voicenode.doctor.redis import redis
from voicenode.doctor.row import Row, absent, ok, wrong, wrong_as_said
from voicenode.errors import VoiceServiceError
from voicenode.settings.loading import load

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from pathlib import Path

    from voicenode.settings import LoadedSettings

    Rows = Sequence[Row]
    Check = Callable[[], Rows | Awaitable[Rows]]

_LIMIT = 90.0
"""Seconds for one check: more than an engine's libraries may take."""
_REPORT = "this should not happen; report it with what is written here"

OF_MACHINE: Mapping[str, Callable[[], Rows]] = {
    "Python": machine.python,
    "packages": machine.libraries,
    "time": machine.clock,
}
OF_NODE: Mapping[str, Callable[[LoadedSettings], Rows | Awaitable[Rows]]] = {
    "data directory": storage.data_dir,
    "disk": storage.disk,
    "store": storage.store,
    "Redis": redis,
    "GPU": machine.graphics,
    "models": storage.models,
    "engines": engines,
    "Wyoming": network.wyoming,
    "HTTP": network.http,
    "mDNS": network.mdns,
    "MQTT": network.broker,
    "sound": machine.sound,
}
"""What can be looked at only where the settings are good."""


async def examine(config: Path | None, environ: Mapping[str, str]) -> list[Row]:
    """Look at everything; nothing is changed.

    Args:
        config: the settings file; None to look for one.
        environ: the environment variables.
    """
    settings, loaded = await asyncio.to_thread(_settings, config, environ)
    of_node = {
        name: partial(check, loaded) if loaded else partial(_without_settings, name)
        for name, check in OF_NODE.items()
    }
    first = await _all(OF_MACHINE)
    return [*first, *settings, *await _all(of_node)]


async def _all(checks: Mapping[str, Check]) -> list[Row]:
    rows = await asyncio.gather(*(_safely(name, check) for name, check in checks.items()))
    return [row for several in rows for row in several]


async def _safely(name: str, check: Check) -> Rows:
    """What a check finds; a row too where it fails."""
    try:
        async with asyncio.timeout(_LIMIT):
            rows = await asyncio.to_thread(check)  # where it is a coroutine, only made there
            return await rows if inspect.isawaitable(rows) else rows
    except TimeoutError:
        return [wrong(name, f"not known after {_LIMIT:g} s", _REPORT)]
    except VoiceServiceError as error:
        return [wrong_as_said(name, str(error))]
    except Exception as error:  # noqa: BLE001 (the boundary: no check may hide what others found)
        return [wrong(name, f"the check failed ({type(error).__name__}: {error})", _REPORT)]


def _settings(config: Path | None, environ: Mapping[str, str]) -> tuple[Rows, LoadedSettings | None]:
    try:
        loaded = load(config, {}, environ)
    except VoiceServiceError as error:
        advice = "correct that; `voicenode check-config` tells the same in short"
        return [wrong("settings", line, advice) for line in str(error).splitlines()], None
    return [
        ok("settings", str(loaded.file) if loaded.file else "there is no file; the defaults hold")
    ], loaded


def _without_settings(name: str) -> Rows:
    return [absent(name, "not looked at, for the settings are wrong")]

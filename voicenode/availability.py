"""Which engines can be offered: those that have what they need, and those that get it while the node runs."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from voicenode.doctor.requirements import not_installed, not_installed_for
from voicenode.errors import EngineError, ErrorCode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from voicenode.engine import EngineVoice, TTSEngine
    from voicenode.settings import Settings

_PERIOD = 5.0
"""Seconds between two looks at what engines lack."""


def voices_of(settings: Settings, name: str, engine: TTSEngine[Any]) -> Sequence[EngineVoice]:
    """The voices of an engine that has what it needs, as far as that can be told without loading it.

    Raises:
        EngineError: something is missing; the sentence says what, and what to do.
    """
    python = settings.engines[name].python
    if missing := not_installed(name) if python is None else not_installed_for(str(python), name):
        raise EngineError(ErrorCode.ENGINE_UNAVAILABLE, missing)
    return engine.voices()


async def arrival(
    settings: Settings, lacking: Mapping[str, TTSEngine[Any]], is_quiet: Callable[[], bool]
) -> str:
    """Wait until an engine has what it lacked, in a moment in which nobody is spoken to; its name."""
    while True:
        await asyncio.sleep(_PERIOD)
        for name, engine in lacking.items():
            if await asyncio.to_thread(_has_all, settings, name, engine) and is_quiet():
                return name


def _has_all(settings: Settings, name: str, engine: TTSEngine[Any]) -> bool:
    try:
        engine.voices()  # first, for it is the quicker look
        voices_of(settings, name, engine)
    except EngineError:
        return False
    return True

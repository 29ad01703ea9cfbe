"""The tone engine in a pool."""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support.engines.voicenode_tone import (
    BatchToneEngine,
    EagerToneEngine,
    SecondToneEngine,
    SixthToneEngine,
    ThirdToneEngine,
    ToneEngine,
    ToneOptions,
    spell,
)
from voicenode.engine import Segment
from voicenode.workers.limits import PoolLimits
from voicenode.workers.pool import EnginePool
from voicenode.workers.process import EngineSpec

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from voicenode.workers.turns import Turns

ENGINES = Path(__file__).with_name("engines")
"""A folder for PYTHONPATH: with it, the tone engine is installed."""

CLASSES = {
    engine.info.name: engine
    for engine in (
        ToneEngine,
        SecondToneEngine,
        ThirdToneEngine,
        BatchToneEngine,
        EagerToneEngine,
        SixthToneEngine,
    )
}


def python_path() -> str:
    """PYTHONPATH for processes that shall find the tone engine."""
    return os.pathsep.join(filter(None, [str(ENGINES), os.environ.get("PYTHONPATH")]))


def spec(name: str = "tone", *, options: ToneOptions | None = None, **fields: Any) -> EngineSpec:  # noqa: ANN401
    engine = CLASSES[name]
    path = f"voicenode_tone:{engine.__name__}"
    return EngineSpec(info=engine.info, path=path, options=asdict(options or ToneOptions()), **fields)


@asynccontextmanager
async def pool(*specs: EngineSpec, **limits: Any) -> AsyncIterator[EnginePool]:  # noqa: ANN401
    pool = EnginePool(specs or [spec()], PoolLimits(**limits))
    try:
        yield pool
    finally:
        await pool.close()


def segment(text: str) -> Segment:
    return Segment(text=text, voice="plain", language="en")


async def speak(turns: Turns, text: str) -> str:
    """The text that is heard in a turn."""
    return spell(b"".join([chunk async for chunk in turns.synthesize(segment(text))])).strip()


async def say(pool: EnginePool, text: str, engine: str = "tone") -> str:
    """The text that is heard."""
    async with pool.hold(engine) as turns:
        return await speak(turns, text)

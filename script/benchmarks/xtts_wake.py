"""From no engine process at all to first audio: with the libraries imported ahead, and without."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil

from script.benchmarks.xtts_report import TEXT
from voicenode.engine import Segment
from voicenode.workers.prewarm import Prewarmed
from voicenode.workers.process import EngineProcess, EngineSpec
from voicenode_xtts import XttsEngine

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Wake:
    """Seconds from the request to the first sound of an engine that has no process yet."""

    prewarmed: float
    cold: float
    """Where nothing was imported ahead."""
    kept: int
    """Bytes that keeping the libraries imported takes; of pages that others use, too, a share."""


async def wake(folder: Path) -> Wake:
    """Wake it both ways."""
    options = {"path": str(folder), "device": "cpu", "guard": False, "normalize": False}
    spec = EngineSpec(XttsEngine.info, "voicenode_xtts:XttsEngine", options, prewarm_imports=True)
    cold = await _first_audio(spec, None)
    async with _prewarmed(spec) as server:
        kept = psutil.Process(server.pid).memory_full_info().pss
        return Wake(await _first_audio(spec, server), cold, kept)


@asynccontextmanager
async def _prewarmed(spec: EngineSpec) -> AsyncIterator[Prewarmed]:
    ready = asyncio.Event()
    server = Prewarmed(spec, ready.set)
    server.start()
    try:
        await ready.wait()
        yield server
    finally:
        await server.close()


async def _first_audio(spec: EngineSpec, server: Prewarmed | None) -> float:
    start = time.perf_counter()
    process = await EngineProcess.start(spec, server)
    try:
        segment = Segment(TEXT, "claribel-dervla", "en", parameters={"seed": 0})
        async with aclosing(process.synthesize(segment)) as chunks:
            async for chunk in chunks:
                if chunk:
                    break
        return time.perf_counter() - start
    finally:
        await process.stop()

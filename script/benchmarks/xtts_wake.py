"""From no engine process at all to first audio, with the libraries imported ahead as a node does."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from typing import TYPE_CHECKING

from script.benchmarks.xtts_report import TEXT
from voicenode.engine import Segment
from voicenode.workers.prewarm import Prewarmed
from voicenode.workers.process import EngineProcess, EngineSpec
from voicenode_xtts import XttsEngine

if TYPE_CHECKING:
    from pathlib import Path


async def wake(folder: Path) -> float:
    """Seconds from the request to the first sound of an engine that has no process yet."""
    options = {"path": str(folder), "device": "cpu", "guard": False, "normalize": False}
    spec = EngineSpec(XttsEngine.info, "voicenode_xtts:XttsEngine", options, prewarm_imports=True)
    ready = asyncio.Event()
    prewarmed = Prewarmed(spec, ready.set)
    prewarmed.start()
    try:
        await ready.wait()
        start = time.perf_counter()
        process = await EngineProcess.start(spec, prewarmed)
        try:
            segment = Segment(TEXT, "claribel-dervla", "en", parameters={"seed": 0})
            async with aclosing(process.synthesize(segment)) as chunks:
                async for chunk in chunks:
                    if chunk:
                        break
            return time.perf_counter() - start
        finally:
            await process.stop()
    finally:
        await prewarmed.close()

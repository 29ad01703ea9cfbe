"""Cloned voices: ten thousand of them in a store, and what kept artefacts save XTTS v2 at each request."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from script.benchmarks.listening import describe
from script.benchmarks.report import Row
from script.benchmarks.servers import node
from tests.support import recorded
from tests.support.cloning_crash import made
from tests.support.tone import python_path
from voicenode.client import connect
from voicenode.cloning.profile import COLLECTION
from voicenode.engine import Segment
from voicenode.stores.file import FileStore
from voicenode.workers.process import EngineProcess, EngineSpec
from voicenode_xtts import XttsEngine

if TYPE_CHECKING:
    from collections.abc import Sequence

VOICES = 10_000
ROUNDS = 3
_ASKED = 200
_TOGETHER = 200
_PAGE = 1000
_REST = 2.0
"""Seconds after the start in which nothing is measured."""
_TEXT = "The quick brown fox jumps over the lazy dog."
_WRITE = """
from pathlib import Path
from tests.support.xtts_checkpoint import FULL, write
write(Path({folder!r}), FULL)
"""


async def measure() -> Sequence[Row]:
    """Every figure; the peer of kept artefacts is upstream's way: to compute them at each request."""
    with TemporaryDirectory(prefix="voicenode-bench-") as name:
        await _fill(Path(name))
        rows = await _many(Path(name))
    with TemporaryDirectory(prefix="voicenode-bench-") as name:
        return [*rows, *await _first_audio(Path(name))]


async def _fill(folder: Path) -> None:
    async with FileStore(folder / "store") as store:
        for start in range(0, VOICES, _TOGETHER):
            await asyncio.gather(*(_put(store, number) for number in range(start, start + _TOGETHER)))


async def _put(store: FileStore, number: int) -> None:
    profile, _ = made(f"voice {number}")
    await store.put(COLLECTION, profile.name, replace(profile, name=f"Voice {number}").document)


async def _many(folder: Path) -> list[Row]:
    async with node({"PYTHONPATH": python_path()}, "--data-dir", str(folder), "--no-mdns") as server:
        await asyncio.sleep(_REST)
        answers = [await describe(server) for _ in range(_ASKED)]
        pages = []
        async with connect(f"tcp://127.0.0.1:{server.port}") as connection:
            for _ in range(_ASKED // 10):
                begun = time.perf_counter()
                await connection.ask("list-voices", {"limit": _PAGE}, "voices")
                pages.append(time.perf_counter() - begun)
        return [
            Row(name=f"start until ready, {VOICES:,} voices", ours=server.ready_seconds, unit="s"),
            Row(name=f"memory of the daemon, {VOICES:,} voices", ours=server.rss, unit="MiB"),
            Row(
                name=f"info, last byte, {VOICES:,} voices, p99",
                ours=quantiles(answers, n=100)[-1] * 1e3,
                unit="ms",
                goal="ours <= 25",
            ),
            Row(
                name=f"list-voices, {_PAGE:,} of {VOICES:,} voices, p50",
                ours=median(pages) * 1e3,
                unit="ms",
                goal="ours <= 100",
            ),
        ]


async def _first_audio(folder: Path) -> list[Row]:
    await asyncio.to_thread(_child, _WRITE.format(folder=str(folder)))
    reference = folder / "reference.wav"
    await asyncio.to_thread(lambda: reference.write_bytes(recorded.file(recorded.spoken())))
    options = {"path": str(folder), "device": "cpu"}
    process = await EngineProcess.start(
        EngineSpec(XttsEngine.info, "voicenode_xtts:XttsEngine", options, load_timeout=600)
    )
    try:
        kept, computed = [], []
        for number in range(ROUNDS + 1):
            begun = time.perf_counter()
            artefacts = folder / f"{number}.safetensors"
            content = await process.clone([str(reference)], None)
            await asyncio.to_thread(artefacts.write_bytes, content)
            middle = time.perf_counter()
            await _speak(process, artefacts)
            kept.append(time.perf_counter() - middle)
            computed.append(time.perf_counter() - begun)
    finally:
        await process.stop()
    name = "first audio from a cloned voice, XTTS v2 at full size on a CPU"
    # The first round also imports what cloning needs.
    return [Row(name=name, ours=median(kept[1:]), peer=median(computed[1:]), unit="s")]


async def _speak(process: EngineProcess, artefacts: Path) -> None:
    segment = Segment(_TEXT, "anna", "en", artefacts=str(artefacts), parameters={"seed": 3})
    async with aclosing(process.synthesize(segment)) as chunks:
        async for chunk in chunks:
            if chunk:
                return


def _child(code: str) -> None:
    subprocess.run([sys.executable, "-c", code], check=True)

"""Cloned voices: ten thousand of them in each store, and what kept artefacts save XTTS v2 at each request."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from script.benchmarks import checkpoints
from script.benchmarks.progress import tell
from script.benchmarks.report import Result, Row
from script.benchmarks.servers import node
from tests.support import recorded
from tests.support.cloning_crash import made
from tests.support.redis_server import RedisServer
from tests.support.stores import open_store
from tests.support.tone import python_path
from voicenode.client import connect
from voicenode.cloning.profile import COLLECTION
from voicenode.engine import Segment
from voicenode.workers.process import EngineProcess, EngineSpec
from voicenode_xtts import XttsEngine

if TYPE_CHECKING:
    from collections.abc import Mapping

    from voicenode.stores.store import Store

VOICES, SMALL_VOICES = 10_000, 200
_ASKING, _PAGES = 10.0, 20
"""Seconds in which somebody keeps asking who the node is, and pages of voices that are asked for."""
_TOGETHER = 200
_PAGE = 1000
_REST = 2.0
"""Seconds after the start in which nothing is measured."""
_TEXT = "The quick brown fox jumps over the lazy dog."
_NOTE = (
    "The peer of kept artefacts is the same engine with the same random weights, which computes them from a"
    " recording of {seconds:.0f} s before it speaks, as upstream does at each request. Guards and loudness"
    " are off. The voice with kept artefacts has been spoken once before."
)


async def measure(rounds: int, *, small: bool) -> Result:
    """Every figure."""
    voices = SMALL_VOICES if small else VOICES
    with TemporaryDirectory(prefix="voicenode-bench-") as name, RedisServer(Path(name, "redis")) as redis:
        folder = Path(name)
        rows = [
            *await _many("files", voices, folder, f"file:{folder}/data/store", {}),
            *await _many(
                "Redis", voices, folder, f"{redis.url}?&cache={folder}/cache", {"REDIS_URL": redis.url}
            ),
        ]
    with TemporaryDirectory(prefix="voicenode-bench-") as name:
        await checkpoints.xtts(Path(name), small=small)
        sound = recorded.spoken(f"{recorded.WORDS} {recorded.WORDS}")
        reference = Path(name, "reference.wav")
        reference.write_bytes(recorded.file(sound))  # noqa: ASYNC240  (nothing else runs here)
        first = await _first_audio(Path(name), reference, rounds)
    return Result([*rows, first], _NOTE.format(seconds=len(sound) / recorded.RATE))


async def _many(kind: str, count: int, folder: Path, url: str, environment: Mapping[str, str]) -> list[Row]:
    """How a node does with so many voices in a store."""
    tell(f"{count:,} voices are written: {kind}")
    async with open_store(url) as store:
        for start in range(0, count, _TOGETHER):
            await asyncio.gather(*(_put(store, number) for number in range(start, start + _TOGETHER)))
    tell(f"a node with {count:,} voices: {kind}")
    given = {"PYTHONPATH": python_path(), **environment}
    async with node(given, "--data-dir", str(folder / "data"), "--no-mdns") as server:
        await asyncio.sleep(_REST)
        answers = await _described(server.port)
        pages = await _pages(server.port, min(count, _PAGE))
        told = f"{count:,} voices in {kind}"
        return [
            Row(name=f"{told}: start until ready", ours=server.ready_seconds, unit="s"),
            Row(name=f"{told}: memory of the daemon", ours=server.rss, unit="MiB"),
            Row(
                name=f"{told}: info, last byte, p99",
                ours=quantiles(answers, n=100)[-1] * 1e3,
                unit="ms",
                goal="ours <= 25",
            ),
            Row(
                name=f"{told}: a page of {_PAGE:,} of list-voices, p50",
                ours=median(pages) * 1e3,
                unit="ms",
                goal="ours <= 100",
            ),
        ]


async def _put(store: Store, number: int) -> None:
    profile, _ = made(f"voice {number}")
    await store.put(COLLECTION, profile.name, replace(profile, name=f"Voice {number}").document)


async def _described(port: int) -> list[float]:
    """Seconds of each answer to a process of its own: this one pauses for the many voices in its memory."""
    asking = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "script.benchmarks.asking", str(port)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    await asyncio.sleep(_ASKING)
    told, _ = await asking.communicate(b"\n")
    answers: list[float] = json.loads(told)
    return answers


async def _pages(port: int, count: int) -> list[float]:
    """Seconds of each page of a list, which has so many voices."""
    pages = []
    async with connect(f"tcp://127.0.0.1:{port}") as connection:
        for _ in range(_PAGES):
            begun = time.perf_counter()
            page = await connection.ask("list-voices", {"limit": count}, "voices")
            pages.append(time.perf_counter() - begun)
            if len(page["voices"]) != count:
                raise RuntimeError(f"a page of {count} voices has {len(page['voices'])}")
    return pages


async def _first_audio(folder: Path, reference: Path, rounds: int) -> Row:
    """From the request to the first sound, with what was kept and with what is computed; they take turns."""
    options = {"path": str(folder), "device": "cpu", "guard": False, "normalize": False}
    spec = EngineSpec(XttsEngine.info, "voicenode_xtts:XttsEngine", options, load_timeout=600)
    tell("the model is converted and loaded")
    process = await EngineProcess.start(spec)
    try:
        known = await _cloned(process, reference, folder / "known.safetensors")
        await _first(process, known)
        kept, computed = list[float](), list[float]()
        for number in range(rounds):
            begun = time.perf_counter()
            await _first(process, known)
            middle = time.perf_counter()
            await _first(process, await _cloned(process, reference, folder / f"{number}.safetensors"))
            kept.append(middle - begun)
            computed.append(time.perf_counter() - middle)
            tell(f"round {number + 1} of {rounds}: kept {kept[-1]:.2f} s, computed {computed[-1]:.2f} s")
    finally:
        await process.stop()
    name = "first audio from a cloned voice, XTTS v2 on a CPU"
    return Row(name=name, ours=median(kept), peer=median(computed), unit="s", goal="ratio <= 1")


async def _cloned(process: EngineProcess, reference: Path, target: Path) -> Path:
    content = await process.clone([str(reference)], None)
    await asyncio.to_thread(target.write_bytes, content)
    return target


async def _first(process: EngineProcess, artefacts: Path) -> None:
    """Let it speak until the first sound."""
    segment = Segment(_TEXT, "anna", "en", artefacts=str(artefacts), parameters={"seed": 3})
    async with aclosing(process.synthesize(segment)) as chunks:
        async for chunk in chunks:
            if chunk:
                return

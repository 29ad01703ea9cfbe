"""XTTS v2 played against a clock: texts through a whole node, while somebody else speaks with eSpeak NG."""

from __future__ import annotations

import asyncio
import json
import os
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from script.benchmarks import checkpoints, endless, servers
from script.benchmarks.listening import listen
from script.benchmarks.playback import waited
from script.benchmarks.progress import tell
from script.benchmarks.report import Result, Row
from script.benchmarks.xtts_report import TEXT

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from script.benchmarks.listening import Heard
    from script.benchmarks.servers import Server

TEXTS, SHORTEST, LONGEST = 20, 20, 1000
SMALL_TEXTS, SMALL_LONGEST = 3, 60
VOICE = "endless-claribel-dervla"
_OTHER = "The light in the kitchen is on."
_ROOT = Path(__file__).parents[2]
_NOTE = (
    "XTTS v2 speaks {count} texts one after the other, over Wyoming and through a node with its usual"
    " settings, with random weights and as many tokens as natural speech would take. A player begins with the"
    " first sound that comes and plays by the clock; whenever it has nothing to play, it waits. Meanwhile"
    " another client asks for a sentence of eSpeak NG, plays it, and asks again."
)


async def measure(*, small: bool) -> Result:
    """Every figure."""
    with TemporaryDirectory(prefix="voicenode-bench-") as name:
        await checkpoints.xtts(Path(name), small=small)
        texts = _texts(SMALL_TEXTS, SMALL_LONGEST) if small else _texts(TEXTS, LONGEST)
        async with _node(Path(name)) as node:
            tell("the model is converted and loaded")
            await listen(node, _OTHER, VOICE)
            return await _played(node, texts)


@asynccontextmanager
async def _node(folder: Path) -> AsyncIterator[Server]:
    endless.install(folder)
    settings = folder / "voicenode.yaml"
    engine = {"path": str(folder), "device": "cpu", "load_timeout": 600}
    # The first request waits for as long as the model takes to be converted.
    told = {"engines": {endless.EndlessEngine.info.name: engine}, "fallback": {"first_audio_timeout": 0}}
    settings.write_text(json.dumps(told))
    path = os.pathsep.join(filter(None, [str(folder), str(_ROOT), os.environ.get("PYTHONPATH")]))
    async with servers.node({"PYTHONPATH": path}, "--config", str(settings), "--no-mdns") as node:
        yield node


def _texts(count: int, longest: int) -> list[str]:
    """Sentences of lengths that grow from one to the next by the same factor."""
    factor = (longest / SHORTEST) ** (1 / (count - 1))
    sentences = f"{TEXT} " * (longest // len(TEXT) + 1)
    lengths = [round(SHORTEST * factor**number) for number in range(count)]
    return [sentences[: length - 1].rstrip(" ,.") + "." for length in lengths]


async def _played(node: Server, texts: Sequence[str]) -> Result:
    done = asyncio.Event()
    other = asyncio.create_task(_other(node, done))
    heard = []
    try:
        for number, text in enumerate(texts, start=1):
            answer = await listen(node, text, VOICE)
            heard.append(answer)
            tell(
                f"text {number} of {len(texts)}: {len(text)} characters, {answer.speech:.1f} s made in"
                f" {answer.done:.1f} s, first in {answer.first:.2f} s, waited {waited(answer.chunks):.2f} s"
            )
    finally:
        done.set()
    return Result(_rows(heard, await other), _NOTE.format(count=len(texts)), _rounds(texts, heard))


async def _other(node: Server, done: asyncio.Event) -> list[float]:
    """Seconds to the first sound of each sentence of a client that listens to what it asks for."""
    firsts = []
    while not done.is_set():
        heard = await listen(node, _OTHER)
        firsts.append(heard.first)
        await asyncio.sleep(heard.speech)
    return firsts


def _rows(heard: Sequence[Heard], others: Sequence[float]) -> list[Row]:
    waits = [waited(answer.chunks) for answer in heard]
    firsts = [answer.first for answer in heard]
    factor = sum(answer.done for answer in heard) / sum(answer.speech for answer in heard)
    return [
        Row(
            name="texts in which a player ran dry",
            ours=sum(wait > 0 for wait in waits),
            unit=f"of {len(heard)}",
            goal="ours <= 0",
        ),
        Row(name="all that players waited", ours=sum(waits), unit="s", goal="ours <= 0"),
        Row(name="real-time factor of all texts", ours=factor, unit="times"),
        Row(name="first audio, p50", ours=median(firsts), unit="s"),
        Row(name="first audio, p95", ours=quantiles(firsts, n=20, method="inclusive")[-1], unit="s"),
        Row(name="eSpeak's first audio meanwhile, p50", ours=median(others) * 1e3, unit="ms"),
        Row(name="eSpeak's first audio meanwhile, slowest", ours=max(others) * 1e3, unit="ms"),
    ]


def _rounds(texts: Sequence[str], heard: Sequence[Heard]) -> list[dict[str, float | str]]:
    return [
        {
            "characters": len(text),
            "sound, s": answer.speech,
            "made in, s": answer.done,
            "first audio, s": answer.first,
            "a player waited, s": waited(answer.chunks),
        }
        for text, answer in zip(texts, heard, strict=True)
    ]

"""Checkpoints of random weights, written by processes of their own, for what that takes of memory."""

import asyncio
from pathlib import Path

from script.benchmarks.children import last_line
from script.benchmarks.progress import tell

_XTTS = """
from pathlib import Path
from tests.support import xtts_checkpoint
xtts_checkpoint.write(Path({folder!r}), xtts_checkpoint.{size})
"""
_F5 = """
from pathlib import Path
from tests.support import f5_checkpoints
f5_checkpoints.make(Path({folder!r}), {model!r}, f5_checkpoints.{size})
"""


async def xtts(folder: Path, *, small: bool) -> None:
    """Write XTTS v2 at its full size, or small."""
    await _run(_XTTS.format(folder=str(folder), size=size_name(small=small)))


async def f5(folder: Path, model: str, *, small: bool) -> None:
    """Write a model of F5-TTS and its vocoder at their full size, or small."""
    await _run(_F5.format(folder=str(folder), model=model, size=size_name(small=small)))


def size_name(*, small: bool) -> str:
    """The name of the sizes in the tests' modules that make checkpoints."""
    return "SMALL" if small else "FULL"


async def _run(code: str) -> None:
    tell("a checkpoint of random weights is written")
    await asyncio.to_thread(last_line, "-c", code)

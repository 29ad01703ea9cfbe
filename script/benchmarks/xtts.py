"""XTTS v2 next to upstream's library: the same random weights at full size, on a CPU at fp32, in one run."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from script.benchmarks.report import Row
from script.benchmarks.xtts_sides import TEXT, TOKENS, Report

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ROUNDS = 3
_RATE = 24000
_EARLY = 2
"""Chunks that are early: after the first, which also waits for the prompt."""


async def measure() -> Sequence[Row]:
    """Every figure; the sides take turns, so that a machine that drifts is fair to both."""
    with TemporaryDirectory(prefix="voicenode-bench-") as name:
        folder = Path(name)
        await asyncio.to_thread(_child, "-c", _WRITE.format(folder=name))
        weights = (folder / "model.pth").stat().st_size
        await asyncio.to_thread(_side, "ours", folder)  # converts, once
        ours, upstream = [], []
        for _ in range(ROUNDS):
            ours.append(await asyncio.to_thread(_side, "ours", folder))
            upstream.append(await asyncio.to_thread(_side, "upstream", folder))
    return _rows(ours, upstream, weights)


_WRITE = """
from pathlib import Path
from tests.support.xtts_checkpoint import FULL, upstream, write
upstream(write(Path({folder!r}), FULL))
"""
"""Upstream rewrites model.pth when it first loads it, which would have it converted again."""


def _rows(ours: Sequence[Report], upstream: Sequence[Report], weights: int) -> list[Row]:
    def row(name: str, of: Callable[[Report], float], unit: str, goal: str = "") -> Row:
        return Row(
            name=name, ours=median(map(of, ours)), peer=median(map(of, upstream)), unit=unit, goal=goal
        )

    by_weights = "of the weights"
    return [
        row("loading, once converted", lambda report: report.load, "s", "ratio <= 0.05"),
        row(
            "memory at its peak while loading",
            lambda report: report.load_memory / weights,
            by_weights,
            "ours <= 1.2",
        ),
        row("the same, until all has been spoken", lambda report: report.speech_memory / weights, by_weights),
        row(f"first audio of {len(TEXT)} characters", lambda report: report.chunks[0], "s"),
        row(f"all audio of {len(TEXT)} characters", lambda report: report.chunks[-1], "s", "ratio <= 0.667"),
        row("real-time factor", lambda report: report.chunks[-1] / (sum(report.samples) / _RATE), "times"),
        row("milliseconds per token", lambda report: report.chunks[-1] / TOKENS * 1e3, "ms"),
        row("cost of a second of sound, last chunk by early ones", _growth, "times", "ours <= 1.3"),
    ]


def _growth(report: Report) -> float:
    times = [end - start for start, end in zip(report.chunks, report.chunks[1:], strict=False)]
    costs = [time / size for time, size in zip(times, report.samples[1:], strict=True)]
    return costs[-1] / median(costs[:_EARLY])


def _side(name: str, folder: Path) -> Report:
    return Report(**json.loads(_child("-m", "script.benchmarks.xtts_sides", name, str(folder))))


def _child(*arguments: str) -> str:
    """The last line that a Python process of its own prints."""
    done = subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout.splitlines()[-1] if done.stdout else ""

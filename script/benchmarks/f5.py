"""F5-TTS next to upstream's library: the same random weights at full size, on a CPU at fp32, in one run."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from script.benchmarks.f5_sides import MODEL, STEPS, Report
from script.benchmarks.report import Row

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from script.benchmarks.f5_sides import Samples

ROUNDS = 3
"""How often the sides take turns, so that a machine that drifts is fair to both."""


async def measure() -> Sequence[Row]:
    """Every figure, each side in a process of its own."""
    return await asyncio.to_thread(_measure)


def _measure() -> Sequence[Row]:
    with TemporaryDirectory(prefix="voicenode-bench-") as name:
        folder = Path(name)
        _child("-c", _MAKE.format(folder=name))
        weights = sum(path.stat().st_size for path in folder.glob("*/*") if path.suffix in _WEIGHTS)
        _side("other", folder)  # also converts the vocoder, once
        ours, upstream = [], []
        for _ in range(ROUNDS):
            ours.append(_side("ours", folder))
            upstream.append(_side("upstream", folder))
        return _rows(ours, upstream, weights, folder)


_WEIGHTS = {".safetensors", ".bin"}
_MAKE = f"""
from pathlib import Path
from tests.support.f5_checkpoints import FULL, make
make(Path({{folder!r}}), {MODEL!r}, FULL)
"""


def _rows(ours: Sequence[Report], upstream: Sequence[Report], weights: int, folder: Path) -> list[Row]:
    def row(name: str, of: Callable[[Report], float], unit: str, goal: str = "") -> Row:
        return Row(
            name=name, ours=median(map(of, ours)), peer=median(map(of, upstream)), unit=unit, goal=goal
        )

    same, other, theirs = (np.load(folder / f"{name}.npy") for name in ("ours", "other", "upstream"))
    return [
        row("loading, once converted", lambda report: report.load, "s", "ratio <= 0.05"),
        row("the same, until a first sentence is spoken", lambda report: report.load + report.speech, "s"),
        row(
            "memory at its peak while loading",
            lambda report: report.load_memory / weights,
            "of the weights",
            "ours <= 1.2",
        ),
        row(
            "the same, until a sentence is spoken",
            lambda report: report.speech_memory / weights,
            "of the weights",
            "ours <= 1.2",
        ),
        row(f"a sentence in {STEPS} steps, 3 s reference", lambda report: report.speech, "s", "ratio <= 1.1"),
        row("the same, in time of processors", lambda report: report.speech_processor, "s"),
        Row(
            name="difference of the samples",
            ours=_difference(same, theirs),
            unit="of the peak",
            goal="ours <= 0.0001",
        ),
        Row(
            name="what another text differs by",
            ours=_difference(other, theirs),
            unit="of the peak",
            goal="ours >= 0.1",
        ),
    ]


def _difference(ours: Samples, theirs: Samples) -> float:
    length = min(len(ours), len(theirs))
    return float(np.abs(ours[:length] - theirs[:length]).max() / np.abs(theirs).max())


def _side(name: str, folder: Path) -> Report:
    return Report(**json.loads(_child("-m", "script.benchmarks.f5_sides", name, str(folder))))


def _child(*arguments: str) -> str:
    """The last line that a Python process of its own prints."""
    done = subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout.splitlines()[-1] if done.stdout else ""

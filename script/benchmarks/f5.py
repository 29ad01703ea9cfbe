"""F5-TTS next to upstream's library: the same random weights at full size, on a CPU at fp32, in one run."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from script.benchmarks import checkpoints
from script.benchmarks.children import last_line
from script.benchmarks.f5_sides import MODEL, STEPS, TEXT, Report
from script.benchmarks.progress import tell
from script.benchmarks.report import Result, Row

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from script.benchmarks.f5_sides import Samples

_NOTE = (
    "Each side, in a process of its own, speaks {text!r} in {steps} steps after a reference of 3 s, with the"
    " same random weights in fp32. The first speech of a process counts, for mapped weights are read from"
    " their file when they are first used. Figures are medians of {rounds} rounds."
)


async def measure(rounds: int, *, small: bool) -> Result:
    """Every figure; the sides take turns, so that a machine that drifts is fair to both."""
    with TemporaryDirectory(prefix="voicenode-bench-") as name:
        folder = Path(name)
        await checkpoints.f5(folder, MODEL, small=small)
        weights = await asyncio.to_thread(_weights, folder)
        tell("another text, which also converts the vocoder")
        await asyncio.to_thread(_side, "other", folder, small=small)
        sides: dict[str, list[Report]] = {"ours": [], "upstream": []}
        for number in range(rounds):
            for side, reports in sides.items():
                tell(f"round {number + 1} of {rounds}: {side}")
                reports.append(await asyncio.to_thread(_side, side, folder, small=small))
                tell(f"    loaded in {reports[-1].load:.2f} s, spoke in {reports[-1].speech:.2f} s")
        rows = _rows(sides["ours"], sides["upstream"], weights, folder)
    return Result(rows, _NOTE.format(text=TEXT, steps=STEPS, rounds=rounds))


def _weights(folder: Path) -> int:
    """Bytes of the published files that hold weights."""
    files = folder.glob("*/*")
    return sum(path.stat().st_size for path in files if path.suffix in {".safetensors", ".bin"})


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


def _side(name: str, folder: Path, *, small: bool) -> Report:
    size = checkpoints.size_name(small=small)
    return Report(**json.loads(last_line("-m", "script.benchmarks.f5_sides", name, str(folder), size)))

"""XTTS v2 next to upstream's library: the same random weights at full size, on the processor, in one run."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from script.benchmarks.playback import waited
from script.benchmarks.report import Row
from script.benchmarks.xtts_fidelity_report import Fidelity
from script.benchmarks.xtts_sides import TEXT, TOKENS, Report
from script.benchmarks.xtts_wake import wake
from voicenode.workers.child import ENVIRONMENT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ROUNDS = 3
SIDES = ("upstream", "exact", "fast")
_RATE = 24000
_EARLY = 2
"""Chunks that are early: after the first, which also waits for the prompt."""
_WEIGHTS = {"upstream": 4, "exact": 4, "fast": 1}
_CACHE = {"upstream": 4, "exact": 4, "fast": 2}
"""Bytes of one of the numbers that a step reads: a weight of the blocks, and a key or a value."""
_LAYERS, _WIDTH, _TOKENS = 30, 1024, 1026


async def measure(rounds: int = ROUNDS) -> Sequence[Row]:
    """Every figure; the sides take turns, so that a machine that drifts is fair to all of them."""
    with TemporaryDirectory(prefix="voicenode-bench-") as name:
        folder = Path(name)
        await asyncio.to_thread(_child, "-c", _WRITE.format(folder=name))
        fidelity = Fidelity(**json.loads(await asyncio.to_thread(_child, "-m", _FIDELITY, name)))
        sides: dict[str, list[Report]] = {side: [] for side in SIDES}
        wakes = []
        for _ in range(rounds):
            for side, reports in sides.items():
                reports.append(await asyncio.to_thread(_side, side, folder))
            wakes.append(await wake(folder))
        weights = (folder / "model.pth").stat().st_size
    return [*Figures(sides, weights).rows(), _wake_row(wakes, sides["upstream"]), *_fidelity_rows(fidelity)]


_FIDELITY = "script.benchmarks.xtts_fidelity"
_WRITE = """
from pathlib import Path
from tests.support.xtts_checkpoint import FULL, upstream, write
upstream(write(Path({folder!r}), FULL))
"""
"""Upstream rewrites model.pth when it first loads it, which would have it converted again."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What the sides took, as rows: each of ours next to upstream."""

    sides: dict[str, list[Report]]
    weights: int
    """Bytes of the published file."""

    def rows(self) -> list[Row]:
        by_weights = "of the weights"
        return [
            *self._both("loading, once converted", lambda report: report.load, "s", exact="ratio <= 0.05"),
            *self._both(
                "memory at its peak while loading",
                lambda report: report.load_memory / self.weights,
                by_weights,
                exact="ours <= 1.2",
            ),
            *self._both(
                "memory above the libraries, until all has been spoken",
                lambda report: report.speech_memory / 1e9,
                "GB",
                fast="ours <= 0.7",
            ),
            *self._both("the libraries", lambda report: report.libraries / 1e9, "GB"),
            *self._firsts(),
            *self._both(
                f"real-time factor of {len(TEXT)} characters",
                real_time_factor,
                "times",
                fast="ratio <= 0.25",
                exact="ratio <= 0.667",
            ),
            *self._both("the same, in time of processors", _processor_factor, "times"),
            *self._quietest(),
            *self._both(f"prompt of {len(TEXT)} characters", lambda report: report.prompt * 1e3, "ms"),
            *self._both("step of one token", lambda report: _step(report) * 1e3, "ms"),
            *self._limits(),
            *self._both("vocoder, of a second of sound", _vocoder, "ms"),
            *self._both("cost of sound, last chunk by early ones", _growth, "times", exact="ours <= 1.3"),
            *self._both("a player waits, once it has begun", _waited, "s", fast="ours <= 0"),
        ]

    def _both(
        self, name: str, of: Callable[[Report], float], unit: str, *, fast: str = "", exact: str = ""
    ) -> list[Row]:
        return [self._row(name, "fast", of, unit, fast), self._row(name, "exact", of, unit, exact)]

    def _row(self, name: str, side: str, of: Callable[[Report], float], unit: str, goal: str) -> Row:
        ours, peer = (median(map(of, self.sides[each])) for each in (side, "upstream"))
        return Row(name=f"{side}: {name}", ours=ours, peer=peer, unit=unit, goal=goal)

    def _firsts(self) -> list[Row]:
        firsts = {side: [s for r in reports for s in r.firsts] for side, reports in self.sides.items()}
        peer, goals = firsts["upstream"], {"fast": "ratio <= 0.125", "exact": ""}
        rows = []
        for side, goal in goals.items():
            told = f"{side}: first audio of {len(TEXT)} characters"
            rows += [
                Row(name=f"{told}, p50", ours=median(firsts[side]), peer=median(peer), unit="s", goal=goal),
                Row(name=f"{told}, p95", ours=_p95(firsts[side]), peer=_p95(peer), unit="s"),
            ]
        return rows

    def _quietest(self) -> list[Row]:
        """What a machine with nothing else to do would show: the best of all rounds."""
        fast = self.sides["fast"]
        return [
            Row(
                name="fast: real-time factor in the quietest round",
                ours=min(map(real_time_factor, fast)),
                unit="times",
                goal="ours <= 0.8",
            ),
            Row(
                name="fast: first audio in the quietest round",
                ours=min(second for report in fast for second in report.firsts),
                unit="s",
                goal="ours <= 0.7",
            ),
        ]

    def _limits(self) -> list[Row]:
        """The steps by what reading weights and cache alone would take, with the memory of each round."""
        rows = [
            Row(
                name=f"{side}: step, by the time in which memory gives its weights and cache",
                ours=median(_step(report) / limit(side, report) for report in self.sides[side]),
                peer=median(_step(report) / limit("upstream", report) for report in self.sides["upstream"]),
                unit="times",
                goal="ours <= 2" if side == "fast" else "",
            )
            for side in ("fast", "exact")
        ]
        bandwidths = [report.bandwidth / 1e9 for report in self.sides["fast"]]
        return [*rows, Row(name="memory that this machine reads", ours=max(bandwidths), unit="GB/s")]


def limit(side: str, report: Report) -> float:
    """Seconds in which memory can give what one step reads, in the middle of the text."""
    weights = _LAYERS * 12 * _WIDTH**2 * _WEIGHTS[side] + _TOKENS * _WIDTH * 4
    positions = report.prompt_length + TOKENS / 2
    return (weights + 2 * _LAYERS * _WIDTH * positions * _CACHE[side]) / report.bandwidth


def real_time_factor(report: Report) -> float:
    """Seconds of work for a second of sound."""
    return report.chunks[-1] / (sum(report.samples) / _RATE)


def _processor_factor(report: Report) -> float:
    return report.processor / (sum(report.samples) / _RATE)


def _step(report: Report) -> float:
    return sum(report.steps) / len(report.steps)


def _vocoder(report: Report) -> float:
    return report.vocoder * 1e3 / (sum(report.samples) / _RATE)


def _growth(report: Report) -> float:
    times = [end - start for start, end in pairwise(report.chunks)]
    costs = [time / size for time, size in zip(times, report.samples[1:], strict=True)]
    return costs[-1] / median(costs[:_EARLY])


def _waited(report: Report) -> float:
    seconds = [count / _RATE for count in report.samples]
    return waited(list(zip(report.chunks, seconds, strict=True)))


def _p95(seconds: Sequence[float]) -> float:
    return quantiles(seconds, n=20)[-1] if len(seconds) > 1 else seconds[0]


def _wake_row(wakes: Sequence[float], upstream: Sequence[Report]) -> Row:
    return Row(
        name="fast: from no process, imports prewarmed, to first audio",
        ours=median(wakes),
        peer=median(report.wake for report in upstream),
        unit="s",
        goal="ratio <= 0.125",
    )


def _fidelity_rows(found: Fidelity) -> list[Row]:
    def row(name: str, ours: float, unit: str, goal: str = "") -> Row:
        return Row(name=name, ours=ours, unit=unit, goal=goal)

    return [
        row("exact: greedy tokens that are upstream's", found.same_tokens, "of 60", "ours >= 60"),
        row("exact: joined stream from one decode", found.stream, "of the peak", "ours <= 0.0001"),
        row("another text from the same decode", found.texts, "of the peak", "ours >= 0.1"),
        row("fast: least likeness of logits to the exact ones", found.cosine, "cosine", "ours >= 0.999"),
        row("fast: mel spectrum from the exact one", found.mel, "dB", "ours <= 1"),
        row("mel spectrum of another text", found.mel_texts, "dB"),
    ]


def _side(name: str, folder: Path) -> Report:
    """What a side took, in the surroundings in which it is used: a node's engine has some of its own."""
    more = {} if name == "upstream" else ENVIRONMENT
    told = _child("-m", "script.benchmarks.xtts_sides", name, str(folder), str(time.time()), **more)
    return Report(**json.loads(told))


def _child(*arguments: str, **environment: str) -> str:
    """The last line that a Python process of its own prints."""
    done = subprocess.run(
        [sys.executable, *arguments],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        env=environment | os.environ,
    )
    return done.stdout.splitlines()[-1] if done.stdout else ""

"""XTTS v2 next to upstream's library: the same random weights at full size, on the processor, in one run."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from script.benchmarks.children import last_line
from script.benchmarks.progress import tell
from script.benchmarks.report import Result
from script.benchmarks.xtts_fidelity_report import Fidelity
from script.benchmarks.xtts_figures import Figures, Round
from script.benchmarks.xtts_report import TEXT, Report, tokens_of
from script.benchmarks.xtts_wake import wake
from voicenode.workers.child import ENVIRONMENT

SLOW_TURN = 5
"""The slow sides, upstream and our exact one, have their turn in the first round of so many."""
_SLOW = ("upstream", "exact")
_SMALL_TOKENS = 60
_CHUNK = 1 << 24
_FIDELITY_STEPS, _SMALL_FIDELITY_STEPS = 200, 60
_NOTE = (
    "Every side reads one text, {characters} characters that the vocabulary makes {text_tokens} tokens of,"
    " and speaks it as {tokens} tokens of sound with the same random weights, which never end a sentence"
    " by themselves; guards, trimming and loudness are off, for upstream has none. Files are cached in"
    " memory. Our sides have the surroundings that a node gives its engines ({surroundings}), upstream those"
    " that it comes with. The fast side had {rounds} rounds, upstream and the exact one the first of them and"
    " each fifth after it. Figures are medians unless they say otherwise. The limit of a step is the time in"
    " which this machine reads its weights and its cache once, measured around the text."
)


async def measure(rounds: int, *, small: bool) -> Result:
    """Every figure; the sides take turns, so that a machine that drifts is fair to all of them."""
    tokens = _SMALL_TOKENS if small else tokens_of(TEXT)
    with TemporaryDirectory(prefix="voicenode-bench-") as name:
        folder = Path(name)
        fidelity = await asyncio.to_thread(_fidelity, folder, small=small)
        taken = [await _round(folder, tokens, number, rounds) for number in range(rounds)]
        batches = await asyncio.to_thread(_batches, folder)
        weights = (folder / "model.pth").stat().st_size
    figures = Figures(taken, weights, fidelity, batches)
    surroundings = ", ".join(f"`{name}={value}`" for name, value in ENVIRONMENT.items())
    note = _NOTE.format(
        characters=len(TEXT),
        text_tokens=taken[0].reports["fast"].text_tokens,
        tokens=tokens,
        rounds=rounds,
        surroundings=surroundings,
    )
    return Result(figures.rows(), note, figures.rounds(), figures.bars())


def _fidelity(folder: Path, *, small: bool) -> Fidelity:
    """Write the checkpoint, and compare what is made of it."""
    tell("a checkpoint of random weights, and how near our sound is to upstream's on it")
    sizes, steps = ("SMALL", _SMALL_FIDELITY_STEPS) if small else ("FULL", _FIDELITY_STEPS)
    module = "script.benchmarks.xtts_fidelity"
    found = Fidelity(**json.loads(last_line("-m", module, str(folder), sizes, str(steps))))
    tell(f"    {found}")
    return found


async def _round(folder: Path, tokens: int, number: int, rounds: int) -> Round:
    reports = {}
    for side in (*_SLOW, "fast") if number % SLOW_TURN == 0 else ("fast",):
        tell(f"round {number + 1} of {rounds}: {side}")
        await asyncio.to_thread(_read, folder)
        reports[side] = await asyncio.to_thread(_side, side, folder, tokens)
    taken = Round(reports, await wake(folder))
    for side, report in reports.items():
        tell(f"    {side}: {report.real_time_factor:.2f} times real time, first audio {report.first:.2f} s")
    tell(f"    from no process to first audio: {taken.wake.prewarmed:.2f} s")
    return taken


def _read(folder: Path) -> None:
    """Whatever the side before took of memory, the files are in it when the next one begins."""
    for path in folder.iterdir():
        with path.open("rb") as file:
            while file.read(_CHUNK):
                pass


def _batches(folder: Path) -> dict[int, float]:
    """How many texts at once -> milliseconds of a step of the fast side."""
    tell("several texts at once")
    told = json.loads(last_line("-m", "script.benchmarks.xtts_batch", str(folder), **ENVIRONMENT))
    return {int(count): milliseconds for count, milliseconds in told.items()}


def _side(name: str, folder: Path, tokens: int) -> Report:
    """What a side took, in the surroundings in which it is used: a node's engine has some of its own."""
    more = {} if name == "upstream" else ENVIRONMENT
    arguments = name, str(folder), str(tokens), str(time.time())
    return Report(**json.loads(last_line("-m", "script.benchmarks.xtts_sides", *arguments, **more)))

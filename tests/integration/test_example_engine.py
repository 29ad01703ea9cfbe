"""The example of docs/engines.md, run as a node runs it."""

from __future__ import annotations

import re
from array import array
from pathlib import Path

import pytest

from voicenode.engine import RequestError, Segment
from voicenode.workers.limits import PoolLimits
from voicenode.workers.pool import EnginePool
from voicenode.workers.process import EngineSpec
from voicenode.workers.registry import engine_class

EXAMPLE = Path(__file__).parents[2] / "docs/example_engine"
PATH = "voicenode_morse:MorseEngine"
RATE = 16_000


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> EngineSpec:
    monkeypatch.syspath_prepend(EXAMPLE)
    monkeypatch.setenv("PYTHONPATH", str(EXAMPLE))
    return EngineSpec(info=engine_class(PATH).info, path=PATH, options={"rate": 40})


def morse(pcm: bytes, dot: float) -> str:
    """Dots and dashes as they are heard, letters apart by a space and words by a slash."""
    samples, frames = array("h", pcm), round(dot * RATE)
    heard = "".join("=" if any(samples[n : n + frames]) else " " for n in range(0, len(samples), frames))
    words = (re.split(" {3}", word.strip()) for word in heard.split(" " * 7))
    return "/".join(" ".join(map(_marks, letters)) for letters in words).strip(" /")


def _marks(letter: str) -> str:
    return "".join("." if mark == "=" else "-" for mark in letter.split())


async def speak(spec: EngineSpec, text: str, speed: float = 1.0) -> bytes:
    pool = EnginePool([spec], PoolLimits())
    try:
        async with pool.hold("morse") as turns:
            segment = Segment(text=text, voice="tone", language="en", speaker="low", speed=speed)
            return b"".join([chunk async for chunk in turns.synthesize(segment)])
    finally:
        await pool.close()


async def test_the_example_spells_a_text_in_morse_code(example: EngineSpec) -> None:
    pcm = await speak(example, "SOS at sea")
    assert morse(pcm, dot=1.2 / 40) == "... --- .../.- -/... . .-"


async def test_the_example_speaks_as_fast_as_it_is_told(example: EngineSpec) -> None:
    assert morse(await speak(example, "PARIS", speed=0.5), dot=1.2 / 20) == ".--. .- .-. .. ..."


async def test_the_example_refuses_what_it_cannot_spell(example: EngineSpec) -> None:
    with pytest.raises(RequestError, match="no Morse code for '你好'"):
        await speak(example, "你好")

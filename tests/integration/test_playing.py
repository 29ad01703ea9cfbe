"""A player that has begun never waits: the whole path, with engines that only let time pass."""

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Self

import pytest

from script.benchmarks.playback import waited
from tests.support import speech, tone, virtual_time
from tests.support.engines.voicenode_tone import ToneOptions
from voicenode import guard
from voicenode.audio import PcmFormat
from voicenode.engine import Segment
from voicenode.processor import VoiceProcessor
from voicenode.request import SynthesisRequest
from voicenode.voice import Voice
from voicenode.voices import Catalogue
from voicenode.workers.process import EngineSpec
from voicenode_xtts.pacing import HEAD, HELD_BACK, TOKEN, Pace

QUICK_VOICE, NATURAL = "tone-plain", "tone4-plain"
FORMAT = PcmFormat(24_000)
GRAIN = 1.837
"""Tokens of eight frames, of which the vocoder keeps a part after the head of the first piece."""
SHORT = 1.5
"""Seconds of a sentence that is held back until it is whole."""
CHARACTER = 1.5
"""Tokens of a character."""
PROMPT = 0.1
"""Seconds in which the model reads a sentence."""
QUICK = 0.02
"""Of real time, what eSpeak takes at most."""
SENTENCES = (20, 250, 45, 12, 130, 90, 12, 33, 180, 60)
"""Their lengths in characters."""
TEXT = " ".join("ab " * ((length - 2) // 3) + "x." for length in SENTENCES * 3)


@dataclass
class Machine:
    """Who computes on it takes turns with all others."""

    share: float
    """Of real time, what the natural engine takes."""
    processor: asyncio.Lock = field(default_factory=asyncio.Lock)
    made: float = 0.0
    """Seconds of sound that the natural engine has made."""

    async def work(self, seconds: float) -> None:
        async with self.processor:
            await asyncio.sleep(seconds)


class SimulatedProcess:
    """As `EngineProcess`, in what a pool asks of one."""

    machine: Machine
    format = FORMAT
    pid = os.getpid()

    def __init__(self, spec: EngineSpec) -> None:
        self.closed = asyncio.Event()
        self.streams = spec.info.streams
        self._natural = spec.info.name == "tone4"

    @classmethod
    async def start(cls, spec: EngineSpec, _prewarmed: object) -> Self:
        return cls(spec)

    async def stop(self) -> None:
        self.closed.set()

    async def synthesize(self, segment: Segment) -> AsyncGenerator[bytes]:
        tokens = round(CHARACTER * len(segment.text))
        if not self._natural:
            await self.machine.work(QUICK * tokens * TOKEN)
            yield FORMAT.silence(tokens * TOKEN)
            return
        await self.machine.work(PROMPT)
        pace, waiting, sent = Pace(asyncio.get_running_loop().time), 0, 0.0
        for count in range(1, tokens + 1):
            await self.machine.work(0.7 * self.machine.share * TOKEN)
            waiting += 1
            if guard.usual_seconds(segment.text, "en") <= SHORT and count < tokens:
                continue
            if pace.due(waiting) or count == tokens:
                await self.machine.work(0.3 * self.machine.share * TOKEN * waiting)
                held = 0 if count == tokens else HELD_BACK + (count - HEAD) % GRAIN
                seconds = (count - held) * TOKEN - sent
                leaves, waiting = pace.left(waiting, seconds) or count == tokens, 0
                if leaves:
                    sent += seconds
                    self.machine.made += seconds
                    yield FORMAT.silence(seconds)


@pytest.fixture(autouse=True)
def _simulated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voicenode.workers.slot.EngineProcess", SimulatedProcess)
    monkeypatch.setattr("voicenode.workers.footprint.Footprint.watch", lambda _self: None)


async def play(processor: VoiceProcessor, text: str = TEXT, voice: str = NATURAL) -> float:
    """Seconds that a player waits who begins with the first sound and takes all as it comes."""
    clock = asyncio.get_running_loop().time
    async with processor.speak(SynthesisRequest(text=text, voice=voice, language="en")) as speech:
        return waited([(clock(), speech.format.seconds(len(chunk))) async for chunk in speech])


async def announce(processor: VoiceProcessor) -> None:
    """Something quick to say, again and again."""
    while True:
        await play(processor, "The washing machine is done.", QUICK_VOICE)
        await asyncio.sleep(1)


@pytest.mark.parametrize("share", [0.05, 0.5, 0.75, 0.85, 0.9])
def test_a_player_of_many_sentences_never_waits_while_another_engine_speaks(
    monkeypatch: pytest.MonkeyPatch, share: float
) -> None:
    async def listen() -> None:
        monkeypatch.setattr(SimulatedProcess, "machine", Machine(share), raising=False)
        async with speaking() as processor:
            other = asyncio.create_task(announce(processor))
            assert await play(processor) == 0
            other.cancel()

    virtual_time.run(listen())


def test_nor_do_several_players_whom_one_engine_speaks_to_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async def listen() -> None:
        monkeypatch.setattr(SimulatedProcess, "machine", Machine(0.2), raising=False)
        async with speaking() as processor:
            players = []
            for _ in range(4):
                players.append(asyncio.create_task(play(processor)))
                await asyncio.sleep(3)
            assert await asyncio.gather(*players) == [0, 0, 0, 0]

    virtual_time.run(listen())


def test_little_is_made_in_vain_for_a_player_who_takes_sound_as_it_plays_and_hangs_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def listen() -> None:
        machine, played = Machine(0.1), 0.0
        monkeypatch.setattr(SimulatedProcess, "machine", machine, raising=False)
        async with speaking(buffer_seconds=5) as processor:
            request = SynthesisRequest(text=TEXT, voice=NATURAL, language="en")
            async with processor.speak(request) as speech:
                async for chunk in speech:
                    played += speech.format.seconds(len(chunk))
                    await asyncio.sleep(speech.format.seconds(len(chunk)))
                    if played > 60:
                        break
        assert machine.made < played + 5 + max(SENTENCES) * CHARACTER * TOKEN

    virtual_time.run(listen())


@asynccontextmanager
async def speaking(**rules: float) -> AsyncIterator[VoiceProcessor]:
    async with tone.pool(tone.spec("tone"), tone.spec("tone4")) as pool:
        processor = speech.processor(pool, **rules)
        processor.catalogue = Catalogue(
            [
                Voice.of_engine(engine, voice)
                for engine in ("tone", "tone4")
                for voice in tone.CLASSES[engine](ToneOptions()).voices()
            ],
            QUICK_VOICE,
        )
        yield processor

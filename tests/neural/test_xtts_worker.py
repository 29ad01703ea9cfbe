"""XTTS v2 in an engine process of its own, as the daemon runs it."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("TTS")

import torch

from tests.support import xtts_checkpoint
from tests.support.cloning import read_of, recording
from tests.support.limits import LIMIT
from voicenode.audio import PcmFormat
from voicenode.engine import EngineError, ErrorCode, RequestError, Segment
from voicenode.workers.process import EngineProcess, EngineSpec
from voicenode_xtts import XttsEngine

pytestmark = pytest.mark.neural

TEXT = "The quick brown fox jumps over the lazy dog."
VOICES = ("claribel-dervla", "camilla-holmstrom", "eugenio-mataraci")
LANGUAGES = ("en-US", "de", "fr", "es", "it")
LISTENERS = 8


def spec(folder: Path) -> EngineSpec:
    options = {"path": str(folder), "device": "cpu", "threads": 1, "streams": LISTENERS, "normalize": False}
    return EngineSpec(XttsEngine.info, "voicenode_xtts:XttsEngine", options)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that stops after a second or two, as the dice fall."""
    folder = xtts_checkpoint.write(tmp_path_factory.mktemp("xtts"))
    published = torch.load(folder / "model.pth", weights_only=False)
    published["model"]["gpt.mel_head.bias"][1025] = 4.5
    xtts_checkpoint.save_model(folder / "model.pth", published["model"], published["config"])
    return folder


@pytest.fixture
async def process(folder: Path) -> AsyncIterator[EngineProcess]:
    process = await EngineProcess.start(spec(folder))
    yield process
    await process.stop()


async def test_a_worker_loads_speaks_refuses_and_is_freed_by_a_listener_who_leaves(
    process: EngineProcess,
) -> None:
    assert process.format == PcmFormat(24000)
    segment = Segment(TEXT, "claribel-dervla", "en-US", parameters={"seed": 3})
    async with aclosing(process.synthesize(segment)) as chunks:
        async for chunk in chunks:
            assert len(chunk) % 2 == 0
            break
    with pytest.raises(RequestError, match="no speakers to choose"):
        await anext(process.synthesize(Segment(TEXT, "claribel-dervla", "en", speaker="calm")))
    short = Segment("Yes.", "claribel-dervla", "de", parameters={"seed": 3})
    said = [chunk async for chunk in process.synthesize(short)]
    assert any(said)
    assert not process.closed.is_set()


async def test_a_worker_that_cannot_load_says_why(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="voicenode models download xtts"):
        await EngineProcess.start(spec(tmp_path / "nowhere"))


def listener(number: int, text: str = "Yes.") -> Segment:
    """A segment in a voice, a language and by a seed that few others have."""
    voice, language = VOICES[number % len(VOICES)], LANGUAGES[number % len(LANGUAGES)]
    return Segment(f"{text} {number}", voice, language, parameters={"seed": number})


async def heard(process: EngineProcess, segment: Segment) -> bytes:
    return b"".join([chunk async for chunk in process.synthesize(segment)])


async def test_eight_who_listen_at_once_hear_what_each_hears_alone(process: EngineProcess) -> None:
    assert process.streams == LISTENERS
    segments = [listener(number) for number in range(LISTENERS)]
    alone = [await heard(process, segment) for segment in segments]
    leaving = process.synthesize(listener(LISTENERS, TEXT))
    idle = process.synthesize(listener(LISTENERS + 1))
    async with aclosing(leaving), aclosing(idle):
        # One of them takes nothing until all others have been heard, and one hangs up in the midst.
        first, second = await anext(idle), await anext(leaving)
        listening = [asyncio.create_task(heard(process, segment)) for segment in segments[: LISTENERS - 2]]
        later = await heard(process, segments[-2])
        await leaving.aclose()
        together = [*await asyncio.gather(*listening), later, await heard(process, segments[-1])]
        rest = [chunk async for chunk in idle]
    assert first
    assert second
    assert rest
    for one, other in zip(alone, together, strict=True):
        both = [np.frombuffer(pcm, "<i2").astype(int) for pcm in (one, other)]
        assert len(both[0]) == len(both[1])
        assert np.abs(both[0] - both[1]).max() <= 8
    assert len(set(alone)) == LISTENERS


async def test_others_are_spoken_to_while_a_voice_is_cloned(process: EngineProcess, tmp_path: Path) -> None:
    whole, coming = tmp_path / "whole.wav", tmp_path / "coming.wav"
    whole.write_bytes(recording())
    os.mkfifo(coming)
    segments = [listener(number) for number in range(3)]
    async with asyncio.timeout(LIMIT):
        cloning = asyncio.create_task(process.clone([str(coming)], None))
        async with read_of(coming):
            assert all(await asyncio.gather(*(heard(process, segment) for segment in segments)))
            assert not cloning.done()
        with pytest.raises(RequestError, match="cannot be read"):
            await cloning
        alone = await process.clone([str(whole)], None)
        listening = [asyncio.create_task(heard(process, segment)) for segment in segments]
        assert await process.clone([str(whole)], None) == alone
        assert all(await asyncio.gather(*listening))


async def test_whoever_listens_when_the_worker_is_killed_is_told(process: EngineProcess) -> None:
    listening = [
        asyncio.create_task(heard(process, listener(number, TEXT))) for number in range(1, LISTENERS)
    ]
    await anext(process.synthesize(listener(0, TEXT)))
    os.kill(process.pid, signal.SIGKILL)
    told = await asyncio.gather(*listening, return_exceptions=True)
    assert all(isinstance(each, EngineError) and each.code == ErrorCode.ENGINE_LOST for each in told)

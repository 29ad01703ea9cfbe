"""The path and the pool tell what they did."""

import os
import signal
from collections.abc import AsyncIterator

import pytest

from tests.support import speech, tone
from tests.support.engines.voicenode_tone import ToneOptions
from voicenode.errors import EngineError, RequestError
from voicenode.processor import VoiceProcessor
from voicenode.report import SpokenReport
from voicenode.request import SynthesisRequest
from voicenode.workers.pool import EnginePool
from voicenode.workers.slot import EngineState

pytestmark = pytest.mark.usefixtures("tone_engine", "heartbeat")


@pytest.fixture
def tone_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", tone.python_path())


@pytest.fixture
async def pool() -> AsyncIterator[EnginePool]:
    async with tone.pool() as pool:
        yield pool


@pytest.fixture
def reports() -> list[SpokenReport]:
    return []


@pytest.fixture
def processor(pool: EnginePool, reports: list[SpokenReport]) -> VoiceProcessor:
    processor = speech.processor(pool)
    processor.observers.append(reports.append)
    return processor


async def speak(processor: VoiceProcessor, text: str, voice: str | None = None) -> float:
    """Seconds of sound."""
    async with processor.speak(SynthesisRequest(text=text, voice=voice, door="test")) as spoken:
        return spoken.format.seconds(sum([len(chunk) async for chunk in spoken]))


def state(pool: EnginePool) -> EngineState:
    return pool.states()[0]


async def test_a_spoken_request_is_reported_once(
    processor: VoiceProcessor, reports: list[SpokenReport]
) -> None:
    seconds = await speak(processor, "Good morning. The coffee is ready.")
    (report,) = reports
    assert (report.door, report.engine, report.voice) == ("test", "tone", "tone-plain")
    assert (report.outcome, report.audio_seconds) == ("ok", seconds)
    assert report.characters == len("Good morning." + "The coffee is ready.")
    assert report.ttfa is not None
    assert 0 < report.engine_seconds <= report.wall_seconds
    assert 0 < report.ttfa <= report.wall_seconds


@pytest.mark.parametrize(
    ("text", "voice", "outcome"),
    [
        ("hi", "nobody", "unknown-voice"),
        ("x" * 20_001, None, "text-too-long"),
        ("sayerror", None, "engine-failed"),
    ],
)
async def test_a_request_that_fails_is_reported_with_its_code(
    processor: VoiceProcessor, reports: list[SpokenReport], text: str, voice: str | None, outcome: str
) -> None:
    with pytest.raises((RequestError, EngineError)):
        await speak(processor, text, voice)
    assert [report.outcome for report in reports] == [outcome]


async def test_a_listener_who_leaves_is_reported(
    processor: VoiceProcessor, reports: list[SpokenReport]
) -> None:
    async with processor.speak(SynthesisRequest(text="One. Then hang for ever.")) as spoken:
        await anext(aiter(spoken))
    assert [report.outcome for report in reports] == ["cancelled"]
    assert reports[0].ttfa is not None


async def test_what_is_ended_is_not_lost(processor: VoiceProcessor, pool: EnginePool) -> None:
    assert (state(pool).starts, state(pool).losses) == (0, 0)
    for starts in (1, 2):
        await speak(processor, "hi")
        await pool.unload("tone")
        assert (state(pool).starts, state(pool).losses) == (starts, 0)


async def test_what_dies_is_lost(processor: VoiceProcessor, pool: EnginePool) -> None:
    await speak(processor, "hi")
    assert (state(pool).starts, state(pool).losses) == (1, 0)
    pid = state(pool).pid
    assert pid
    async with processor.speak(SynthesisRequest(text="One then hang for ever.")) as spoken:
        heard = aiter(spoken)
        await anext(heard)
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(EngineError):
            [chunk async for chunk in heard]
    assert (state(pool).starts, state(pool).losses) == (1, 1)
    await speak(processor, "hi")
    assert (state(pool).starts, state(pool).losses) == (2, 1)


async def test_an_engine_that_cannot_be_loaded_says_why_in_its_state() -> None:
    async with tone.pool(tone.spec(options=ToneOptions(load_error="no weights"))) as pool:
        assert state(pool).error is None
        with pytest.raises(EngineError):
            await speak(speech.processor(pool), "hi")
        assert "no weights" in str(state(pool).error)
        assert state(pool).starts == 0

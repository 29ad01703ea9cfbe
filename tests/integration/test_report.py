"""The path and the pool tell what they did."""

import os
import re
import signal
from collections.abc import AsyncIterator

import pytest

from tests.support import speech, tone
from tests.support.engines.voicenode_tone import ToneOptions
from voicenode import report as reporting
from voicenode.errors import EngineError, RequestError
from voicenode.processor import VoiceProcessor
from voicenode.report import SpokenReport
from voicenode.request import SynthesisRequest
from voicenode.workers.pool import EnginePool
from voicenode.workers.slot import EngineState

pytestmark = pytest.mark.usefixtures("tone_engine", "heartbeat")


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
    async with processor.speak(SynthesisRequest(text=text, voice=voice, door="test", peer="me")) as spoken:
        return spoken.format.seconds(sum([len(chunk) async for chunk in spoken]))


def state(pool: EnginePool) -> EngineState:
    return pool.states()[0]


async def test_a_spoken_request_is_reported_once(
    processor: VoiceProcessor, reports: list[SpokenReport]
) -> None:
    seconds = await speak(processor, "Good morning. The coffee is ready.")
    (told,) = reports
    assert (told.door, told.engine, told.voice) == ("test", "tone", "tone-plain")
    assert (told.outcome, told.audio_seconds) == ("ok", seconds)
    assert told.characters == len("Good morning." + "The coffee is ready.")
    assert told.ttfa is not None
    assert 0 < told.engine_seconds <= told.wall_seconds
    assert 0 < told.ttfa <= told.wall_seconds


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


async def test_one_line_in_the_log_for_a_request_and_never_its_text(
    processor: VoiceProcessor, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    processor.observers.append(reporting.log)
    await speak(processor, "My secret.")
    with pytest.raises(RequestError):
        await speak(processor, "My secret.", "nobody")
    spoken, refused = (each.getMessage() for each in caplog.records if each.name == "voicenode.report")
    number = r"[\d.]+"
    assert re.fullmatch(
        f"test me: voice tone-plain of tone, 10 characters, first audio after {number} ms, "
        f"{number} s of audio in {number} s, RTF {number}: ok",
        spoken,
    )
    assert refused.startswith("test me: voice - of -, 0 characters, no audio, ")
    assert ": unknown-voice (" in refused
    assert "secret" not in caplog.text

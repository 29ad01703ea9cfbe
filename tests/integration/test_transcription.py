"""The words of recordings, from a speech-to-text service over Wyoming or from faster-whisper."""

from __future__ import annotations

import asyncio
from functools import cache
from typing import TYPE_CHECKING

import pytest
from wyoming.asr import Transcript
from wyoming.error import Error
from wyoming.event import Event

from tests.support.ports import free_port
from tests.support.recorded import WORDS, file, noisy, spoken
from tests.support.stock_asr import StockAsr, serving
from voicenode.errors import RequestError
from voicenode.recordings import CheckedRecordings, Source, check
from voicenode.transcription import Reference, Transcriber, wyoming

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from tests.support.stock_asr import StockAsrHandler

pytestmark = pytest.mark.usefixtures("heartbeat")
OTHER = "Nothing of this sentence has ever been recorded by anybody at all, as far as we know."


@cache
def recorded(transcript: str | None = None, sentences: int = 1) -> CheckedRecordings:
    """Some five seconds for each sentence."""
    text = " ".join(SENTENCES[:sentences])
    return check([Source(file(noisy(spoken(text), 40)))], transcript, "en")


SENTENCES = (
    WORDS,
    "The old mill by the river had not been used for thirty years when the family bought it.",
    "Most of them wanted to tear it down, but my grandmother would not hear of such a thing.",
)


@pytest.fixture(scope="module", autouse=True)
def checks_are_made_before_the_loop_runs() -> None:
    """A check computes for a second, which a test of the loop must not do on it."""
    recorded()
    for transcript in (WORDS, OTHER, f"{WORDS} {OTHER}"):
        recorded(transcript)
    recorded(" ".join(SENTENCES), 3)


async def reference(asr: StockAsr, checked: CheckedRecordings, language: str = "en-US") -> Reference:
    async with serving(asr):
        return await Transcriber(asr.uri).reference(checked, language)


async def test_a_service_is_sent_what_home_assistant_sends_and_its_words_are_taken() -> None:
    asr = StockAsr(heard=f" {WORDS}\n")
    found = await reference(asr, recorded())
    assert found == Reference(recorded().spoken.wav, WORDS, found.warnings)
    assert found.warnings == (f"Nobody wrote down what is said; heard was '{WORDS}'.",)
    assert asr.asked is not None
    assert asr.asked.language == "en"
    assert asr.form is not None
    assert (asr.form.rate, asr.form.width, asr.form.channels) == (16000, 2, 1)
    assert len(asr.pcm) / 32000 == pytest.approx(recorded().spoken.seconds, abs=0.001)


async def test_a_given_transcript_that_was_heard_so_stays_as_it_was_given() -> None:
    found = await reference(StockAsr(heard=WORDS.lower().replace("suit", "soot")), recorded(WORDS))
    assert found == Reference(recorded(WORDS).spoken.wav, WORDS)


async def test_the_transcript_of_another_recording_is_refused() -> None:
    with pytest.raises(
        RequestError, match=r"another recording: heard was 'She had your dark suit"
    ) as refused:
        await reference(StockAsr(heard=WORDS), recorded(OTHER))
    assert refused.value.code == "bad-transcript"


async def test_a_transcript_that_may_be_wrong_gets_a_warning() -> None:
    heard = "She had a dark soup in greasy wash water, and somebody asked where it was."
    found = await reference(StockAsr(heard=heard), recorded(WORDS))
    assert found.transcript == WORDS
    assert "Is the transcript right? Heard was 'She had a dark soup" in found.warnings[0]


async def test_words_that_are_not_in_the_recording_are_left_out() -> None:
    found = await reference(StockAsr(heard=WORDS.lower()), recorded(f"{WORDS} {OTHER}"))
    assert found.transcript == WORDS
    assert "Used of the transcript" in found.warnings[0]


async def test_of_a_long_recording_a_clean_part_is_used_with_the_words_given_for_it() -> None:
    checked = recorded(" ".join(SENTENCES), 3)
    found = await reference(StockAsr(heard=SENTENCES[1].lower().replace("mill", "meal")), checked)
    assert found == Reference(checked.spoken.wav, SENTENCES[1])
    assert 6 < checked.spoken.seconds <= 12


async def test_with_nobody_to_listen_a_long_recording_keeps_all_its_words() -> None:
    checked = recorded(" ".join(SENTENCES), 3)
    assert checked.transcribed is not None
    found = await Transcriber().reference(checked)
    assert found == Reference(checked.transcribed.wav, " ".join(SENTENCES))


async def test_without_words_and_without_anybody_to_listen_there_are_none() -> None:
    assert await Transcriber().reference(recorded(), "en") == Reference(recorded().spoken.wav, None)


async def test_a_service_that_was_found_is_asked() -> None:
    async with serving(StockAsr(heard=WORDS)) as asr:

        async def find() -> str:
            return asr.uri

        found = await Transcriber(find=find).reference(recorded(), "en")
    assert found.transcript == WORDS


def saying(*events: Event, keep: bool) -> Callable[[StockAsrHandler], Awaitable[bool]]:
    async def answer(handler: StockAsrHandler) -> bool:
        for event in events:
            await handler.write_event(event)
        return keep

    return answer


@pytest.mark.parametrize(
    ("asr", "told"),
    [
        (StockAsr(languages=("fr", "de")), "does not know the language en-US"),
        (StockAsr(installed=False), "no speech-to-text service, or has no model"),
        (StockAsr(answer=saying(keep=False)), "hung up"),
        (StockAsr(answer=saying(Error("no memory").event(), keep=True)), "failed: no memory"),
        (StockAsr(answer=saying(Event("transcript", {"text": 7}), keep=True)), "answered nonsense"),
        (StockAsr(answer=saying(Transcript("ha " * 1000).event(), keep=True)), "answered nonsense"),
        (StockAsr(answer=saying(Event("x", payload=bytes(2**21)), keep=True)), "broke off"),
        (StockAsr(heard=" "), "understood nothing"),
    ],
    ids=["language", "no model", "hangs up", "fails", "wrong type", "endless", "too large", "nothing"],
)
async def test_a_service_that_does_not_listen_fails_nothing_but_is_named(asr: StockAsr, told: str) -> None:
    found = await reference(asr, recorded(WORDS))
    assert found.transcript == WORDS
    (warning,) = found.warnings
    assert told in warning
    assert asr.uri in warning


async def test_a_service_that_never_answers_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wyoming, "_LISTEN_TIMEOUT", 0.3)
    found = await reference(StockAsr(answer=saying(keep=True)), recorded(WORDS))
    assert "did not answer within" in found.warnings[0]


@pytest.mark.parametrize("uri", ["tcp://127.0.0.1:{port}", "http://x", "tcp://", "tcp://[::1", "tcp://x:y"])
async def test_a_service_that_is_not_there_is_named(uri: str) -> None:
    found = await Transcriber(uri.format(port=free_port())).reference(recorded(WORDS))
    assert "speech-to-text service" in found.warnings[0]


async def test_who_leaves_while_a_service_listens_leaves_nothing_behind() -> None:
    asked = asyncio.Event()

    async def answer(handler: StockAsrHandler) -> bool:
        del handler
        asked.set()
        return True

    async with serving(StockAsr(answer=answer)) as asr:
        waiting = asyncio.create_task(Transcriber(asr.uri).reference(recorded(), "en"))
        await asked.wait()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting


FASTER_WHISPER = """
import sys
class Segment:
    def __init__(self, text): self.text = text
class WhisperModel:
    supported_languages = ["en", "de"]
    def __init__(self, model, device, compute_type, local_files_only):
        if not local_files_only or model != "small": raise FileNotFoundError(model)
    def transcribe(self, audio, language):
        assert audio.read(4) == b"RIFF"
        if language is None: sys.exit(3)
        return iter([Segment(" She had"), Segment(" your dark suit.")]), None
"""


@pytest.fixture
def faster_whisper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package of that name with the interface of the real one, for this process and its children."""
    (tmp_path / "faster_whisper.py").write_text(FASTER_WHISPER)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))


@pytest.mark.usefixtures("faster_whisper")
async def test_without_a_service_faster_whisper_listens_where_it_is_installed() -> None:
    found = await Transcriber(whisper_model="small").reference(recorded(), "en-GB")
    assert found.transcript == "She had your dark suit."


@pytest.mark.usefixtures("faster_whisper")
async def test_a_service_that_fails_leaves_it_to_faster_whisper() -> None:
    async with serving(StockAsr(installed=False)) as asr:
        found = await Transcriber(asr.uri, whisper_model="small").reference(recorded(), "en")
    assert found.transcript == "She had your dark suit."
    assert "has no model" in found.warnings[0]


@pytest.mark.usefixtures("faster_whisper")
@pytest.mark.parametrize(
    ("model", "language", "told"),
    [
        ("/models/mine", "en", "finds no model '/models/mine'"),
        ("large", "en", "`voicenode models download whisper` brings 'small'"),
        ("small", "", "3"),
    ],
    ids=["no folder", "no weights", "crash"],
)
async def test_what_faster_whisper_lacks_is_said(model: str, language: str, told: str) -> None:
    found = await Transcriber(whisper_model=model).reference(recorded(), language)
    assert found.transcript is None
    assert told in found.warnings[0]

"""A check in a process of its own, and what a decoder may do there."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.recorded import WORDS, file, spoken
from voicenode.errors import BusyError, RequestError
from voicenode.recordings import Source, apart, check, check_apart

Decoder = Callable[[str], object]
pytestmark = pytest.mark.usefixtures("heartbeat")


async def test_a_check_apart_answers_as_one_here() -> None:
    audio = [Source(file(spoken()), "anna.wav"), Source(b"junk")]
    here = await asyncio.to_thread(check, audio, WORDS, "en")
    assert await check_apart(audio, WORDS, "en") == here


async def test_a_check_apart_refuses_as_one_here() -> None:
    with pytest.raises(RequestError, match=r"anna\.wav will not do: it cannot be read as audio") as refused:
        await check_apart([Source(b"junk", "anna.wav")])
    assert refused.value.code == "bad-recording"


@pytest.fixture
def decoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Decoder:
    """Sets what a child does in place of importing soundfile."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return (tmp_path / "soundfile.py").write_text


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("os.kill(os.getpid(), 11)", "was ended by SIGSEGV"),
        ("os._exit(3)", "failed with status 3"),
        ("print('junk', flush=True); os._exit(0)", "answered with nonsense"),
    ],
)
async def test_a_decoder_that_crashes_costs_one_recording(decoder: Decoder, what: str, told: str) -> None:
    decoder(f"import os; {what}")
    with pytest.raises(RequestError, match=told) as refused:
        await check_apart([Source(b"junk")])
    assert refused.value.code == "bad-recording"


async def test_a_decoder_that_hangs_is_killed(decoder: Decoder, monkeypatch: pytest.MonkeyPatch) -> None:
    decoder("import time; time.sleep(60)")
    monkeypatch.setattr(apart, "_LIMIT", 0.5)
    with pytest.raises(BusyError, match="could not be checked within"):
        await check_apart([Source(b"junk")])


async def test_who_leaves_during_a_check_leaves_no_process(decoder: Decoder, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "hanging")
    decoder(f"import time; open({str(tmp_path / 'hanging')!r}, 'w').close(); time.sleep(60)")
    waiting = asyncio.create_task(check_apart([Source(b"junk")]))
    await asyncio.to_thread((tmp_path / "hanging").read_bytes)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting

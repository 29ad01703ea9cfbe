"""An engine is looked at in a process of its own, whatever its libraries do there."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from voicenode.doctor import engines
from voicenode.doctor.verdict import Patient

if TYPE_CHECKING:
    from pathlib import Path

    from voicenode.doctor.probe import Report

ENGINE = """
import os, signal, sys, time
from dataclasses import dataclass
from voicenode.engine import *

@dataclass(frozen=True)
class Options:
    deed: str = ""

class Engine(TTSEngine[Options]):
    info = EngineInfo("odd", "An engine", "none", "none")
    options_type = Options
    def voices(self): return [EngineVoice("one", "One", ("en",))]
    def load(self): ...
    def synthesize(self, segment, stop): ...
    def check(self):
        print("chatter")
        exec(self.options.deed)
"""


@pytest.fixture(autouse=True)
def odd_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "odd.py").write_text(ENGINE)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return tmp_path


async def look(deed: str = "", python: str = sys.executable, path: str = "odd:Engine") -> Report:
    patient = Patient("odd", path, python, {"deed": deed} if deed else {}, 0, None, demanded=False)
    return await engines._probe(patient)


async def test_an_engine_that_could_load_is_told_with_its_voices() -> None:
    report = await look()
    assert (report.problem, report.voices, report.gpus) == (None, 1, None)


async def test_the_words_of_the_engine_are_kept() -> None:
    report = await look('raise EngineError(ErrorCode.ENGINE_UNAVAILABLE, "no weights; get some")')
    assert report.problem == "no weights; get some"


async def test_an_engine_may_raise_anything() -> None:
    assert "(ZeroDivisionError: division by zero)" in ((await look("1 / 0")).problem or "")


@pytest.mark.parametrize(
    ("deed", "words"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", "signal SIGSEGV"),
        ("os.write(2, b'out of ideas'); os._exit(3)", "status 3: out of ideas"),
    ],
)
async def test_a_crash_is_told_and_harms_nobody(deed: str, words: str) -> None:
    with pytest.raises(engines._ProbeError, match=words):
        await look(deed)


async def test_a_library_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "_PROBE_SECONDS", 0.5)
    with pytest.raises(engines._ProbeError, match=r"not imported within 0\.5 s"):
        await look("time.sleep(60)")


async def test_an_interpreter_that_is_not_there_is_told() -> None:
    with pytest.raises(engines._ProbeError, match="/nowhere/python cannot be started"):
        await look(python="/nowhere/python")


async def test_libraries_that_do_not_go_together_are_told_by_the_engine(odd_engine: Path) -> None:
    for name in ("torch", "TTS"):
        (odd_engine / f"{name}.py").write_text("")
    (odd_engine / "torchaudio.py").write_text(
        "raise OSError('libc10_cuda.so: cannot open shared object file')"
    )
    report = await look(path="voicenode_xtts:XttsEngine")
    assert "OSError: libc10_cuda.so" in (report.problem or "")
    assert "torch and torchaudio must be of one version" in (report.problem or "")


def test_a_process_that_has_the_engine_loaded_is_found() -> None:
    assert not engines._is_running("odd:Engine")
    command = [sys.executable, "-c", "input('>')", "voicenode.workers.worker", "odd:Engine"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.read(1) == b">"  # it has begun
        assert engines._is_running("odd:Engine")
        assert not engines._is_running("odd:Other")
        process.communicate(b"\n")

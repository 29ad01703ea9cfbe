"""Engines are found by name, and a broken one is told from one that is not there."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event

import pytest

from tests.support.tone import ENGINES
from voicenode.engine import (
    EngineError,
    EngineInfo,
    EngineVoice,
    ErrorCode,
    PcmFormat,
    Segment,
    TTSEngine,
)
from voicenode.workers.registry import engine_class, engine_path, installed


@dataclass(frozen=True)
class NoOptions:
    pass


class Silence(TTSEngine[NoOptions]):
    info = EngineInfo(
        name="silence", description="Says nothing", licence="Apache-2.0", url="https://example.org"
    )
    options_type = NoOptions

    def voices(self) -> Sequence[EngineVoice]:
        return []

    def load(self) -> PcmFormat:
        return PcmFormat(16_000)

    def synthesize(self, segment: Segment, stop: Event) -> Iterator[bytes]:  # noqa: ARG002
        yield b""


class Unfinished(TTSEngine[NoOptions]):
    pass


class Nameless(Silence):
    info = "silence"  # type: ignore[assignment]


class Optionless(Silence):
    options_type = dict  # type: ignore[assignment]


def test_the_built_in_engine_is_installed() -> None:
    assert engine_class(installed()["espeak"]).info.name == "espeak"


def test_an_engine_of_a_stranger_is_found_once_its_package_is_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert "tone" not in installed()
    monkeypatch.syspath_prepend(ENGINES)
    assert engine_class(engine_path("tone")).info.name == "tone"


def test_two_packages_with_one_name_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = tmp_path / "other.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: other\nVersion: 1\n")
    (folder / "entry_points.txt").write_text("[voicenode.engines]\nespeak = other:Espeak\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(EngineError, match=r"two installed packages offer an engine 'espeak'.*other:Espeak"):
        installed()


def test_an_engine_that_is_not_installed_is_unknown() -> None:
    with pytest.raises(EngineError, match=r"no engine 'espaek' is installed.*espeak") as caught:
        engine_path("espaek")
    assert caught.value.code is ErrorCode.UNKNOWN_ENGINE


def test_an_engine_of_a_module_is_returned() -> None:
    assert engine_class(f"{__name__}:Silence") is Silence


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("no_such_module:Engine", "ModuleNotFoundError"),
        (f"{__name__}:Missing", "AttributeError"),
        (f"{__name__}", "AttributeError"),
        ("", "ValueError"),
        (f"{__name__}:NoOptions", "is not a subclass"),
        (f"{__name__}:__name__", "is not a subclass"),
        (f"{__name__}:Unfinished", "does not define load, synthesize, voices"),
        (f"{__name__}:Nameless", "has no `info`"),
        (f"{__name__}:Optionless", "has no `options_type`"),
    ],
)
def test_an_engine_that_cannot_be_used_is_unavailable(path: str, problem: str) -> None:
    with pytest.raises(EngineError, match=problem) as caught:
        engine_class(path)
    assert caught.value.code is ErrorCode.ENGINE_UNAVAILABLE


@pytest.mark.parametrize("text", ["import no_such_library", "1 / 0", "def"])
def test_whatever_a_module_raises_makes_its_engine_unavailable(
    text: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "broken_engine.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(EngineError, match="broken_engine:Engine cannot be imported"):
        engine_class("broken_engine:Engine")


def test_importing_an_engine_stays_light() -> None:
    heavy = {"asyncio", "pydantic", "importlib.metadata", "yaml", "numpy"}
    program = (
        "import sys; before = set(sys.modules); from voicenode.workers.registry import engine_class;"
        "engine_class('voicenode_tone:ToneEngine'); print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": str(ENGINES)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "voicenode_tone" in done.stdout.split()
    assert not heavy.intersection(done.stdout.split())

"""What an engine lacks, and when it no longer does."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.engines.voicenode_tone import ToneEngine, ToneOptions
from voicenode import availability
from voicenode.availability import arrival, voices_of
from voicenode.errors import EngineError
from voicenode.settings import Settings
from voicenode.settings.model import EngineSettings

if TYPE_CHECKING:
    from pathlib import Path


def settings(python: str | None = None) -> Settings:
    return Settings.model_construct(engines={"tone": EngineSettings(python=python)})


def test_an_engine_with_an_interpreter_of_its_own_is_looked_for_there(tmp_path: Path) -> None:
    stranger = tmp_path / "python"
    stranger.write_text("#!/bin/sh\necho 'ModuleNotFoundError: No module named voicenode' >&2; exit 1\n")
    stranger.chmod(0o755)
    engine = ToneEngine(ToneOptions())
    assert voices_of(settings(sys.executable), "tone", engine) == engine.voices()
    for python, said in (
        ("/nowhere/python", "/nowhere/python is no interpreter that answers .*correct engines.tone.python"),
        (str(stranger), f"No module named voicenode.*; run `{stranger} -m pip install 'voicenode.tone.'`"),
    ):
        with pytest.raises(EngineError, match=said):
            voices_of(settings(python), "tone", engine)


async def test_it_has_arrived_when_nobody_is_spoken_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(availability, "_PERIOD", 0.01)
    weights, asked, quiet = tmp_path / "weights", asyncio.Event(), asyncio.Event()

    def is_quiet() -> bool:
        asked.set()
        return quiet.is_set()

    lacking = {"tone": ToneEngine(ToneOptions(needs=str(weights)))}
    waiting = asyncio.create_task(arrival(settings(), lacking, is_quiet))
    weights.touch()
    await asked.wait()
    assert not waiting.done()
    quiet.set()
    assert await asyncio.wait_for(waiting, 10) == "tone"

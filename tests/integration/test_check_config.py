"""`voicenode check-config` looks for the voices that the settings name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support import tone
from tests.support.command import CommandLine
from voicenode.cloning.profile import VoiceProfile
from voicenode.cloning.profiles import VoiceProfiles
from voicenode.stores.file import FileStore

if TYPE_CHECKING:
    from pathlib import Path

ANNA = VoiceProfile(id="1", name="Anna", created=0, engines=("tone",), recordings=(), style="", spoken="")
REDIS = {"VOICENODE_STORE__URL": "redis://127.0.0.1:1"}


@pytest.fixture
async def home(tmp_path: Path) -> Path:
    """Where a node keeps the cloned voice Anna."""
    async with FileStore(tmp_path / "store") as store:
        await VoiceProfiles(store, lambda *_: None).put(ANNA, 0)
    return tmp_path


async def checked(home: Path, text: str, variables: dict[str, str] | None = None) -> tuple[int | None, str]:
    """The exit status, and what was said beside the table."""
    (home / "node.yaml").write_text(text)
    own = {"VOICENODE_DATA_DIR": str(home), "PYTHONPATH": tone.python_path()}
    cli = CommandLine(home, variables=own | (variables or {}))
    result = await cli.run("check-config", "--config", "node.yaml")
    return result.status, result.stderr


async def test_every_voice_that_there_is_not_is_told(home: Path) -> None:
    text = (
        "fallback: {voices: {de: nobody}}\naliases: {me: Anna, you: Berta}\nvoice_quality: {tone-plane: calm}"
    )
    status, said = await checked(home, text)
    assert status == 2
    assert "aliases.you: unknown voice 'Berta'" in said
    assert "fallback.voices.de: unknown voice 'nobody'" in said
    assert "voice_quality.tone-plane: unknown voice 'tone-plane'; did you mean 'tone-plain'" in said
    assert "aliases.me" not in said


async def test_voices_that_nobody_can_tell_of_are_warnings(home: Path) -> None:
    lacking = f"default_voice: tone-plain\nengines: {{tone: {{needs: {home}/weights}}}}"
    status, said = await checked(home, lacking)
    assert (status, "Warning: default_voice: engine 'tone' is not available" in said) == (0, True)
    status, said = await checked(home, "default_voice: Berta", REDIS)
    assert (status, "unknown voice 'Berta'" in said) == (0, True)
    assert "; voices in Redis were not looked at" in said

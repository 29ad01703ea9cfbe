"""Cloned voices that the settings name."""

import asyncio
from pathlib import Path

import pytest

from tests.support.cloning import HERE, check_once, cloning
from tests.support.limits import LIMIT
from voicenode.cloning import VoiceLimits
from voicenode.errors import EngineError, ErrorCode, RequestError

pytestmark = pytest.mark.usefixtures("tone_engine", "heartbeat")


@pytest.fixture(autouse=True)
def quick_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    check_once(monkeypatch)


async def test_the_settings_choose_the_quality_of_a_cloned_voice(tmp_path: Path) -> None:
    async with cloning(tmp_path, limits=VoiceLimits(quality={"ANNA": "calm"})) as node:
        await node.clone()
        assert [voice.quality for voice in node.processor.catalogue if voice.cloned] == ["calm"]


async def test_who_renames_a_voice_is_told_which_settings_name_it(tmp_path: Path) -> None:
    async with cloning(tmp_path) as node:
        await node.clone()
        renamed = await node.voices.desk.update({"name": "Anna", "rename": "Berta"}, HERE)
        assert renamed["warnings"] == []
    async with cloning(tmp_path, default_voice="berta") as node:
        told = await node.voices.desk.update({"name": "Berta", "description": "Tall"}, HERE)
        assert told["warnings"] == []
        (warning,) = (await node.voices.desk.update({"name": "Berta", "rename": "Carla"}, HERE))["warnings"]
        assert "default_voice names the voice as 'Berta': write 'Carla'" in warning


async def test_a_voice_that_a_setting_names_is_pinned_and_speaks_until_it_is_deleted(tmp_path: Path) -> None:
    async with cloning(tmp_path) as node:
        await node.clone()
        heard = await node.say("Hello", "Anna")
    async with cloning(tmp_path, default_voice="anna") as node:
        assert await node.say("Hello") == heard
        async with asyncio.timeout(LIMIT):
            while not all(kept.profile.pinned for kept in node.voices.profiles):  # noqa: ASYNC110 (nothing tells)
                await asyncio.sleep(0.01)
        await node.voices.desk.delete({"name": "Anna"}, HERE)
        with pytest.raises(RequestError, match="default_voice is 'anna'") as raised:
            await node.say("Hello")
        assert raised.value.code is ErrorCode.UNKNOWN_VOICE


@pytest.mark.parametrize(
    ("lacking", "told"),
    [
        ({"xtts": "download its model", "f5": "install it"}, "download its model; install it"),
        ({}, "enable xtts or f5 in the settings"),
    ],
    ids=["lacking", "switched off"],
)
async def test_where_no_engine_clones_it_is_said_what_each_lacks(
    tmp_path: Path, lacking: dict[str, str], told: str
) -> None:
    async with cloning(tmp_path, engines=(), lacking=lacking) as node:
        with pytest.raises(EngineError, match=f"no engine of this node clones voices: {told}$") as raised:
            await node.clone()
        assert raised.value.code is ErrorCode.ENGINE_UNAVAILABLE

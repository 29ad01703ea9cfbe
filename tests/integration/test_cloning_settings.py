"""Cloned voices that the settings name."""

import asyncio
from pathlib import Path

import pytest

from tests.support.cloning import HERE, check_once, cloning
from tests.support.limits import LIMIT
from voicenode.errors import ErrorCode, RequestError

pytestmark = pytest.mark.usefixtures("tone_engine", "heartbeat")


@pytest.fixture(autouse=True)
def quick_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    check_once(monkeypatch)


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

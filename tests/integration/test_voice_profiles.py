"""What a node knows of cloned voices, while its store takes its time."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.limits import LIMIT
from voicenode.cloning.profile import Kept, VoiceProfile
from voicenode.cloning.profiles import VoiceProfiles
from voicenode.stores.file import FileStore
from voicenode.stores.store import Document

ANNA = VoiceProfile(id="1", name="Anna", created=0, engines=("tone",), recordings=(), style="", spoken="")
BERTA = replace(ANNA, id="2", name="Berta")


class SlowStore(FileStore):
    """A reader who is held up gets what was there when he asked."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._has_read, self._go_on = asyncio.Event(), asyncio.Event()
        self._go_on.set()

    @asynccontextmanager
    async def reader_held_up(self) -> AsyncIterator[None]:
        """Entered once somebody has read, who waits until this is left."""
        self._has_read.clear()
        self._go_on.clear()
        async with asyncio.timeout(LIMIT):
            await self._has_read.wait()
            yield
        self._go_on.set()

    async def get(self, collection: str, key: str) -> Document | None:
        found = await super().get(collection, key)
        await self._hold_up()
        return found

    async def list(self, collection: str) -> Sequence[Document]:
        found = await super().list(collection)
        await self._hold_up()
        return found

    async def _hold_up(self) -> None:
        self._has_read.set()
        await self._go_on.wait()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SlowStore]:
    async with SlowStore(tmp_path) as store:
        yield store


@pytest.fixture
def changes() -> list[str | None]:
    """The names of voices as they come, and none for one that goes."""
    return []


@pytest.fixture
def profiles(store: SlowStore, changes: list[str | None]) -> VoiceProfiles:
    def changed(_before: Kept | None, after: Kept | None) -> None:
        changes.append(None if after is None else after.profile.name)

    return VoiceProfiles(store, changed)


async def test_a_voice_that_is_deleted_while_it_is_read_is_gone(
    store: SlowStore, profiles: VoiceProfiles, changes: list[str | None]
) -> None:
    kept = await profiles.put(ANNA, 0)
    reading = asyncio.create_task(profiles.refreshed("Anna"))
    async with store.reader_held_up():
        await profiles.delete(kept)
    assert await reading is None
    assert changes == ["Anna", None]


async def test_voices_that_change_while_all_are_read_are_known_as_they_are(
    store: SlowStore, profiles: VoiceProfiles, changes: list[str | None]
) -> None:
    async def follow() -> list[str]:
        async with profiles.following():
            return [kept.profile.name for kept in profiles]

    kept = await profiles.put(ANNA, 0)
    following = asyncio.create_task(follow())
    async with store.reader_held_up():
        await profiles.delete(kept)
        await profiles.put(BERTA, 0)
    assert await following == ["Berta"]
    assert changes == ["Anna", None, "Berta"]


async def test_whoever_shows_voices_has_done_so_when_a_change_is_made(tmp_path: Path) -> None:
    shown: list[str] = []

    def changed(_before: Kept | None, _after: Kept | None) -> None:
        asyncio.get_running_loop().call_soon(show)

    def show() -> None:
        shown[:] = [kept.profile.name for kept in known]

    async with FileStore(tmp_path) as store:
        known = VoiceProfiles(store, changed)
        kept = await known.put(ANNA, 0)
        assert shown == ["Anna"]
        await known.delete(kept)
        assert shown == []

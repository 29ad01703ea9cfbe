"""A node follows the profiles of its store, whoever changes them, and shows them as speakers."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.limits import LIMIT
from voicenode.errors import SetupError, StoreError
from voicenode.quality import QualityProfiles
from voicenode.quality import profiles as module
from voicenode.stores.file import FileStore
from voicenode.voice import Voice
from voicenode.voices import Catalogue
from voicenode_xtts.options import XttsParameters

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("heartbeat")

TYPES: dict[str, type[Any]] = {"xtts": XttsParameters}


class Node:
    """What a node does with its profiles."""

    def __init__(self, defaults: dict[str, str] | None = None) -> None:
        self.profiles = QualityProfiles(TYPES, defaults)
        voices = [Voice("xtts-anna", "xtts", "anna", "Anna", ("en",)), espeak()]
        self.catalogue = Catalogue(voices, "espeak-en")
        self.changes = asyncio.Condition()
        self._looking: set[asyncio.Task[None]] = set()

    def changed(self) -> None:
        self.catalogue = self.catalogue.with_qualities({"xtts": self.profiles.names("xtts")})
        task = asyncio.get_running_loop().create_task(self._tell())
        self._looking.add(task)
        task.add_done_callback(self._looking.discard)

    async def until(self, holds: Callable[[Node], bool]) -> None:
        async with asyncio.timeout(LIMIT), self.changes:
            await self.changes.wait_for(lambda: holds(self))

    async def _tell(self) -> None:
        async with self.changes:
            self.changes.notify_all()


def espeak() -> Voice:
    return Voice("espeak-en", "espeak", "en", "English", ("en",), ("Annie",))


@asynccontextmanager
async def stores(folder: Path) -> AsyncIterator[tuple[FileStore, FileStore]]:
    """One store, as two processes see it."""
    async with FileStore(folder, poll=0.01) as one, FileStore(folder, poll=0.01) as other:
        yield one, other


async def test_what_another_process_puts_and_deletes_is_followed(tmp_path: Path) -> None:
    node, owner = Node(), QualityProfiles(TYPES)
    async with stores(tmp_path) as (ours, theirs), node.profiles.following(ours, node.changed):
        await owner.put(theirs, owner.made("calm", "xtts", {"temperature": 0.5}))
        await node.until(lambda node: "calm" in node.profiles.names("xtts"))
        await owner.put(theirs, owner.made("calm", "xtts", {"temperature": 0.6}))
        await node.until(lambda node: node.profiles.find("calm").parameters == {"temperature": 0.6})
        await owner.delete(theirs, "calm")
        await node.until(lambda node: "calm" not in node.profiles.names("xtts"))


async def test_what_the_node_itself_puts_is_shown(tmp_path: Path) -> None:
    node = Node()
    async with stores(tmp_path) as (ours, _), node.profiles.following(ours, node.changed):
        await node.profiles.put(ours, node.profiles.made("calm", "xtts", {"top_k": 5}))
        await node.until(lambda node: "calm" in next(iter(node.catalogue)).speakers)
    assert node.catalogue.choose("xtts-anna", "Calm").quality == "calm"
    anna, english = node.catalogue
    assert anna.speakers == ("xtts_balanced", "xtts_expressive", "xtts_stable", "calm")
    assert english == espeak()


async def test_a_node_whose_default_is_not_there_does_not_start(tmp_path: Path) -> None:
    node, owner = Node({"xtts": "calm"}), QualityProfiles(TYPES)
    async with stores(tmp_path) as (ours, theirs):
        with pytest.raises(SetupError, match=r"default_quality\.xtts"):
            async with node.profiles.following(ours, node.changed):
                pass
        await owner.put(theirs, owner.made("calm", "xtts", {"top_k": 5}))
        async with node.profiles.following(ours, node.changed):
            assert node.profiles.resolve("xtts") == owner.find("calm")


async def test_a_default_that_is_deleted_is_missed_aloud_and_the_node_speaks_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    node, owner = Node({"xtts": "calm"}), QualityProfiles(TYPES)
    async with stores(tmp_path) as (ours, theirs):
        await owner.put(theirs, owner.made("calm", "xtts", {"top_k": 5}))
        async with node.profiles.following(ours, node.changed):
            await owner.delete(theirs, "calm")
            await node.until(lambda node: "calm" not in node.profiles.names("xtts"))
            assert node.profiles.resolve("xtts") is None
    assert "default_quality.xtts: unknown quality profile" in caplog.text


class Failing(FileStore):
    """A store whose next watchers see it fail."""

    failures = 2

    async def list(self, collection: str) -> Any:  # noqa: ANN401 - as the store has it
        if self.failures and _follows():
            self.failures -= 1
            raise StoreError.of(OSError(5, "Input/output error"), "the store cannot be read")
        return await super().list(collection)


def _follows() -> bool:
    task = asyncio.current_task()
    return task is not None and task.get_name() == "follow quality profiles"


async def test_a_store_that_fails_for_a_while_is_followed_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_RETRY_SECONDS", 0.01)
    node = Node()
    async with Failing(tmp_path, poll=0.01) as store, node.profiles.following(store, node.changed):
        await node.profiles.put(store, node.profiles.made("calm", "xtts", {"top_k": 5}))
        await node.until(lambda node: "calm" in next(iter(node.catalogue)).speakers)
    assert caplog.text.count("quality profiles are not followed") == 2

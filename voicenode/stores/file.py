"""Documents as files in a directory, shared between processes of one machine."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar, TypeVarTuple

from voicenode.stores.collection import Collection, Delete, Outcome, Put
from voicenode.stores.drafts import SIDE_BY_SIDE
from voicenode.stores.store import Document, Store, is_collection
from voicenode.stores.watcher import Watcher

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence
    from pathlib import Path

Arguments = TypeVarTuple("Arguments")
Result = TypeVar("Result")

_BATCH = 100
"""The most operations that are flushed together: other processes wait for the lock meanwhile."""


class FileStore(Store):
    """A directory with one sub-directory per collection; both come into being with the first put.

    Args:
        directory: made readable for this user alone where it does not exist yet.
        poll: seconds between two looks for what other processes changed, while somebody watches.
    """

    def __init__(self, directory: Path, poll: float = 1.0) -> None:
        self._directory = directory
        self._poll = poll
        self._collections: dict[str, Collection] = {}
        self._readers = ThreadPoolExecutor(4, "store-reader")
        self._writers = ThreadPoolExecutor(1 + SIDE_BY_SIDE, "store-writer")
        self._turn = asyncio.Lock()
        self._batches: dict[str, _Batch] = {}
        self._watchers: defaultdict[str, list[Watcher]] = defaultdict(list)

    async def get(self, collection: str, key: str) -> Document | None:
        return await self._read(self._collection(collection).get, key)

    async def list(self, collection: str) -> Sequence[Document]:
        return await self._read(self._collection(collection).documents)

    async def put(
        self,
        collection: str,
        key: str,
        value: Mapping[str, Any],
        *,
        revision: int | None = None,
        expires_in: float | None = None,
        files: Mapping[str, bytes | Path | None] | None = None,
    ) -> Document:
        expires_at = None if expires_in is None else time.time() + expires_in
        put = Put(key, value, revision, expires_at)
        if files:
            document = await self._read(self._collection(collection).put_with_files, put, files)
        else:
            document = await self._write(collection, put)
        assert document  # noqa: S101 - for the type checker: only a delete gives none
        return document

    async def delete(self, collection: str, key: str, *, revision: int | None = None) -> bool:
        return await self._write(collection, Delete(key, revision)) is not None

    async def open(self, collection: str, key: str, name: str) -> BinaryIO | None:
        return await self._read(self._collection(collection).open, key, name)

    @asynccontextmanager
    async def watch(self, collection: str) -> AsyncIterator[AsyncIterator[str]]:
        watcher = Watcher()
        self._watchers[collection].append(watcher)
        try:
            await self.list(collection)  # from here on, what is new is news
            yield self._changes(collection, watcher)
        finally:
            self._watchers[collection].remove(watcher)

    async def sweep(self) -> int:
        return sum([await self._read(each.sweep) for each in await self._all()])

    async def verify(self) -> Sequence[str]:
        return [problem for each in await self._all() for problem in await self._read(each.verify)]

    async def close(self) -> None:
        async with self._turn:
            for executor in (self._readers, self._writers):
                await asyncio.to_thread(executor.shutdown)

    def _collection(self, name: str) -> Collection:
        if name not in self._collections:
            if not is_collection(name):
                raise ValueError(f"not a name for a collection: {name!r}")
            self._collections[name] = Collection(
                self._directory / name, partial(self._changed, name), self._writers
            )
        return self._collections[name]

    async def _all(self) -> Sequence[Collection]:
        names = await self._read(_directories, self._directory)
        return [self._collection(name) for name in names if is_collection(name)]

    async def _read(self, function: Callable[[*Arguments], Result], *arguments: *Arguments) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._readers, function, *arguments)

    async def _write(self, collection: str, operation: Put | Delete) -> Document | None:
        """Join the batch that waits for its turn; it is carried out even where a caller is cancelled."""
        batch = self._batches.get(collection)
        if batch is None or operation.key in batch.keys or len(batch.operations) == _BATCH:
            batch = self._batches[collection] = _Batch()
            batch.outcomes = asyncio.create_task(self._commit(collection, batch), name="store-commit")
        index = len(batch.operations)
        batch.operations.append(operation)
        batch.keys.add(operation.key)
        outcome = (await asyncio.shield(batch.outcomes))[index]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def _commit(self, collection: str, batch: _Batch) -> Sequence[Outcome]:
        async with self._turn:
            if self._batches.get(collection) is batch:
                del self._batches[collection]
            commit = self._collection(collection).commit
            return await asyncio.get_running_loop().run_in_executor(self._writers, commit, batch.operations)

    def _changed(self, collection: str, key: str) -> None:
        """Tell the watchers; called on any thread."""
        for watcher in list(self._watchers[collection]):
            with suppress(RuntimeError):  # its loop has ended
                watcher.loop.call_soon_threadsafe(watcher.tell, key)

    async def _changes(self, collection: str, watcher: Watcher) -> AsyncIterator[str]:
        look_at = watcher.loop.time() + self._poll
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout_at(look_at):
                    await watcher.told.wait()
            if watcher.loop.time() >= look_at:
                await self.list(collection)
                look_at = watcher.loop.time() + self._poll
            for key in watcher.take():
                yield key


@dataclass(slots=True)
class _Batch:
    """Operations on different keys that are carried out together."""

    keys: set[str] = field(default_factory=set)
    operations: list[Put | Delete] = field(default_factory=list)
    outcomes: asyncio.Task[Sequence[Outcome]] = field(init=False)


def _directories(directory: Path) -> Sequence[str]:
    if not directory.is_dir():
        return []
    return sorted(entry.name for entry in directory.iterdir() if entry.is_dir())

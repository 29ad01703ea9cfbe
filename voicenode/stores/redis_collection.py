"""One collection in Redis."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO
from weakref import WeakValueDictionary

from voicenode.errors import ErrorCode, StoreError
from voicenode.stores.redis_files import MissingError, RedisFiles
from voicenode.stores.redis_mirror import Mirror
from voicenode.stores.redis_record import ABSENT, RedisRecord, StoredFile, dump, parse
from voicenode.stores.redis_space import DELETE, SWEEP, WRITE, Space, decoded, encoded
from voicenode.stores.redis_verify import verify
from voicenode.stores.store import Document, require
from voicenode.stores.watcher import Watcher

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from pathlib import Path

    from voicenode.stores.file_cache import FileCache
    from voicenode.stores.redis_link import Commands, RedisLink
    from voicenode.stores.redis_snapshot import Snapshot

_TRIES = 100
"""Of a write that others overtake each time; each of them has succeeded meanwhile."""
_BATCH = 200
"""Commands that are sent together."""


@dataclass(frozen=True, slots=True)
class Put:
    """One document to write, as `Store.put` is asked to."""

    key: str
    value: Mapping[str, Any]
    revision: int | None
    expires_in: float | None
    files: Mapping[str, bytes | Path | None]

    def onto(
        self, record: RedisRecord, staged: Mapping[str, StoredFile]
    ) -> tuple[Document, Mapping[str, StoredFile]]:
        """The document that follows on a record, and its files."""
        kept = {name: file for name, file in record.files.items() if name not in self.files}
        expires_at = None if self.expires_in is None else time.time() + self.expires_in
        return Document(self.key, record.revision + 1, self.value, expires_at), {**kept, **staged}


class RedisCollection:
    """The documents of one collection; methods raise StoreError as those of the store do."""

    def __init__(self, link: RedisLink, space: Space, cache: FileCache, snapshot: Snapshot) -> None:
        self._link = link
        self._space = space
        self._files = RedisFiles(link, space, cache)
        self._mirror = Mirror(link, space, snapshot, self._changed)
        self._watchers: list[Watcher] = []
        self._follower: asyncio.Task[None] | None = None
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def get(self, key: str) -> Document | None:
        return (await self._read_or_recall(key)).document

    async def documents(self) -> Sequence[Document]:
        """Every document, ordered by key."""
        await self._mirror.refresh()
        return [document for record in self._mirror.records if (document := record.live())]

    async def put(self, put: Put) -> Document:
        async with self._turn(put.key):
            staged = await self._files.stage(put.key, put.files)
            try:
                document = await self._write(put, staged)
            except BaseException:
                await self._files.discard(staged)
                raise
            await self._files.adopt(put.files, staged)
        return document

    async def delete(self, key: str, revision: int | None) -> bool:
        async with self._turn(key):
            record: RedisRecord | None = await self._read(key)
            for _ in range(_TRIES):
                if record is None:
                    return True
                _check(key, record, revision)
                if record is ABSENT:
                    return False
                keys = [
                    self._space.document(key),
                    self._space.keys,
                    self._space.log,
                    *self._space.chunks(record.files.values()),
                ]
                record = await self._attempt(key, DELETE, keys, [record.stamp, encoded(key)])
        raise _overtaken(key)

    async def open(self, key: str, name: str) -> BinaryIO | None:
        record = await self._read_or_recall(key)
        while record.document and name in record.files:
            try:
                return await self._files.open(key, name, record.files[name])
            except MissingError:
                before, record = record, await self._read(key)
                if record.stamp == before.stamp:
                    what = f"File {name!r} of {key!r} cannot be read: a part of it is missing"
                    raise StoreError(ErrorCode.STORE_FAILED, f"{what} in {self._link.address}") from None
        return None

    @asynccontextmanager
    async def watch(self) -> AsyncIterator[AsyncIterator[str]]:
        watcher = Watcher()
        self._watchers.append(watcher)
        try:
            await self._mirror.refresh()  # from here on, what is new is news
            if self._follower is None:
                self._follower = asyncio.create_task(self._mirror.follow(), name="follow redis")
            yield _changes(watcher)
        finally:
            self._watchers.remove(watcher)

    async def sweep(self) -> int:
        """Take what has expired off the list; how many documents did."""
        what = f"{self._space.collection} cannot be cleaned"
        keys = await self._link.call(what, self._keys)
        swept = 0
        for start in range(0, len(keys), _BATCH):
            batch = keys[start : start + _BATCH]
            there = await self._link.call(what, partial(self._exist, batch))
            for key, exists in zip(batch, there, strict=True):
                if not exists:
                    swept += await self._link.call(what, partial(self._sweep, key))
        return swept

    async def verify(self) -> Sequence[str]:
        """A sentence for each thing that is damaged."""
        return await verify(self._link, self._space)

    async def close(self) -> None:
        if self._follower is not None:
            self._follower.cancel()
            await asyncio.wait([self._follower])
            await self._mirror.save()

    async def _write(self, put: Put, staged: Mapping[str, StoredFile]) -> Document:
        record: RedisRecord | None = await self._expected(put.key, put.revision)
        for _ in range(_TRIES):
            assert record is not None  # noqa: S101 - for the type checker
            _check(put.key, record, put.revision)
            document, files = put.onto(record, staged)
            contents = dump(document, files)
            written = parse(put.key, contents)
            record = await self._attempt(put.key, WRITE, *self._writing(put, record, staged, contents))
            # the stamp is found where Redis was lost after it had written, and was asked again
            if (record is None or record.stamp == written.stamp) and written.document:
                return written.document
        raise _overtaken(put.key)

    def _writing(
        self, put: Put, before: RedisRecord, staged: Mapping[str, StoredFile], contents: bytes
    ) -> tuple[list[bytes], list[bytes | str | int]]:
        """The keys and arguments of `WRITE`."""
        fresh = self._space.chunks(staged.values())
        kept = self._space.chunks(file for name, file in before.files.items() if name not in put.files)
        dropped = self._space.chunks(file for name, file in before.files.items() if name in put.files)
        keys = [self._space.document(put.key), self._space.keys, self._space.log, self._space.collections]
        ttl = "" if put.expires_in is None else max(0, round(put.expires_in * 1000))
        numbers = [len(fresh), len(fresh) + len(kept)]
        return (
            [*keys, *fresh, *kept, *dropped],
            [before.stamp, encoded(put.key), contents, ttl, *numbers, self._space.collection],
        )

    async def _attempt(
        self, key: str, script: str, keys: Sequence[bytes], arguments: Sequence[bytes | str | int]
    ) -> RedisRecord | None:
        """None when a script has written, else the record that it found instead."""
        what = f"{key!r} cannot be written"
        outcome, found = await self._link.call(
            what, lambda redis: redis.register_script(script)(keys, arguments)
        )
        if outcome == b"lost":
            raise StoreError(ErrorCode.STORE_FAILED, f"{what}: its files took too long to arrive; try again")
        return None if outcome == b"done" else parse(key, found)

    async def _expected(self, key: str, revision: int | None) -> RedisRecord:
        """What is probably there: the script that writes looks again. A conflict is never only probable."""
        record = self._mirror.get(key)
        if record.live() is None:
            record = ABSENT
        return record if revision in {None, record.revision} else await self._read(key)

    async def _read(self, key: str) -> RedisRecord:
        what, name = f"{key!r} cannot be read", self._space.document(key)
        return parse(key, await self._link.call(what, lambda redis: redis.get(name)))

    async def _read_or_recall(self, key: str) -> RedisRecord:
        """What is there, or what was there before Redis was lost."""
        try:
            return await self._read(key)
        except StoreError as error:
            record = self._mirror.get(key)
            if error.code is not ErrorCode.STORE_UNAVAILABLE or record is ABSENT:
                raise
            return record if record.live() else ABSENT

    async def _keys(self, redis: Commands) -> list[str]:
        return sorted(map(decoded, await redis.smembers(self._space.keys)))

    async def _exist(self, keys: Sequence[str], redis: Commands) -> Sequence[int]:
        async with redis.pipeline(transaction=False) as pipeline:
            for key in keys:
                pipeline.exists(self._space.document(key))
            there: Sequence[int] = await pipeline.execute()
            return there

    async def _sweep(self, key: str, redis: Commands) -> int:
        keys = [self._space.document(key), self._space.keys, self._space.log]
        swept: int = await redis.register_script(SWEEP)(keys, [encoded(key)])
        return swept

    @asynccontextmanager
    async def _turn(self, key: str) -> AsyncIterator[None]:
        """Writes to one key go in the order in which they were asked for."""
        turn = self._turns.setdefault(key, asyncio.Lock())
        async with turn:
            yield

    def _changed(self, key: str) -> None:
        for watcher in self._watchers:
            watcher.tell(key)


def _check(key: str, record: RedisRecord, revision: int | None) -> None:
    """Raise what keeps a write from being carried out on a record."""
    if record.problem:
        raise StoreError(ErrorCode.STORE_FAILED, f"{key!r} cannot be written: {record.problem}.")
    require(key, record.document, revision)


def _overtaken(key: str) -> StoreError:
    what = f"{key!r} cannot be written: others write it all the time; try again later"
    return StoreError(ErrorCode.STORE_FAILED, what)


async def _changes(watcher: Watcher) -> AsyncIterator[str]:
    while True:
        await watcher.told.wait()
        for key in watcher.take():
            yield key

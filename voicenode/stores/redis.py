"""Documents in Redis, shared between nodes; `redis_space` tells how they lie there."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

from voicenode.stores.file_cache import FileCache
from voicenode.stores.names import file_name
from voicenode.stores.redis_collection import Put, RedisCollection
from voicenode.stores.redis_link import RedisLink
from voicenode.stores.redis_snapshot import Snapshot
from voicenode.stores.redis_space import Space, collections
from voicenode.stores.store import Document, Store, is_collection

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from voicenode.stores.redis_address import RedisAddress

Result = TypeVar("Result")

_WRITES = 8
"""Those at once; the others have not begun, so that thousands take the event loop in small steps."""


class RedisStore(Store):
    """One Redis, used by many nodes.

    While it is lost, `get`, `list` and `open` give what was known and copied before, in a collection that is
    watched by an earlier process too, and all else fails with the code `store-unavailable`. When Redis is
    back, watchers hear what they missed.

    Args:
        address: where it is.
        cache: a directory for what is known, and for copies of files; made where it does not exist.
        cache_limit: bytes that the copies may take.
    """

    def __init__(self, address: RedisAddress, cache: Path, cache_limit: int) -> None:
        self._address = address
        self._link = RedisLink(address)
        self._cache = FileCache(cache / "files", cache_limit)
        self._snapshots = cache / "known"
        self._collections: dict[str, RedisCollection] = {}
        self._writing: set[asyncio.Task[Any]] = set()
        self._slots = asyncio.Semaphore(_WRITES)

    async def get(self, collection: str, key: str) -> Document | None:
        return await self._collection(collection).get(key)

    async def list(self, collection: str) -> Sequence[Document]:
        return await self._collection(collection).documents()

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
        put = Put(key, value, revision, expires_in, files or {})
        return await self._finish(self._collection(collection).put(put))

    async def delete(self, collection: str, key: str, *, revision: int | None = None) -> bool:
        return await self._finish(self._collection(collection).delete(key, revision))

    async def open(self, collection: str, key: str, name: str) -> BinaryIO | None:
        return await self._collection(collection).open(key, name)

    def watch(self, collection: str) -> AbstractAsyncContextManager[AsyncIterator[str]]:
        return self._collection(collection).watch()

    async def sweep(self) -> int:
        return sum([await each.sweep() for each in await self._all()])

    async def verify(self) -> Sequence[str]:
        return [problem for each in await self._all() for problem in await each.verify()]

    async def close(self) -> None:
        for each in self._collections.values():
            await each.close()
        if self._writing:
            await asyncio.wait(self._writing)
        await self._link.close()

    def _collection(self, name: str) -> RedisCollection:
        if name not in self._collections:
            if not is_collection(name):
                raise ValueError(f"not a name for a collection: {name!r}")
            space = Space(self._address.prefix, name)
            snapshot = Snapshot(self._snapshots / file_name(f"{name} {self._address}", 200))
            self._collections[name] = RedisCollection(self._link, space, self._cache, snapshot)
        return self._collections[name]

    async def _all(self) -> Sequence[RedisCollection]:
        names = await self._link.call(
            "The collections cannot be read", lambda redis: redis.smembers(collections(self._address.prefix))
        )
        return [self._collection(name.decode()) for name in sorted(names)]

    async def _finish(self, write: Coroutine[Any, Any, Result]) -> Result:
        """Carry out a write to its end, even where its caller is cancelled."""
        task = asyncio.create_task(self._in_turn(write), name="write redis")
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)
        return await asyncio.shield(task)

    async def _in_turn(self, write: Coroutine[Any, Any, Result]) -> Result:
        async with self._slots:
            return await write

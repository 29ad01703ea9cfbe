"""What this process knows of a collection in Redis, kept up to date by the log of its changes."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from voicenode.errors import ErrorCode, StoreError
from voicenode.stores.redis_link import ANSWER_SECONDS
from voicenode.stores.redis_record import ABSENT, RedisRecord, parse
from voicenode.stores.redis_space import decoded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from voicenode.stores.redis_link import Commands, RedisLink
    from voicenode.stores.redis_snapshot import Snapshot
    from voicenode.stores.redis_space import Space

_BATCH = 200
"""Documents that are read at once: they are parsed in one turn of the event loop."""
_MANY = 2000
"""Changes after which everything is read anew."""
_BLOCK_SECONDS = ANSWER_SECONDS - 1
"""How long Redis keeps a question for news: less than it may take to answer."""
_SAVE_SECONDS = 60.0
_START = b"0-0"
"""Before every change."""

_log = logging.getLogger(__name__)


class Mirror:
    """The records of one collection.

    Where the last change that is known is still in the log, only what changed since is read: a log in which
    it is found is the same log. Otherwise, after Redis lost something or much has changed, all is read.

    Args:
        link: leads to Redis.
        space: the collection.
        snapshot: what an earlier process knew, and what a later one will.
        changed: told each key that was put or deleted, or may have been.
    """

    def __init__(
        self, link: RedisLink, space: Space, snapshot: Snapshot, changed: Callable[[str], None]
    ) -> None:
        self._link = link
        self._snapshot = snapshot
        self._changes_to_keep = False
        self._saving: asyncio.Task[None] | None = None
        self._save_after = 0.0
        """The time before which nothing is kept, lest every use of a voice is."""
        self._space = space
        self._changed = changed
        self._records: dict[str, RedisRecord] = {}
        self._sorted: Sequence[RedisRecord] | None = None
        self._known: bytes | None = None
        """The last change that is known; none where the log was empty."""
        self._loaded = False
        self._refreshing = asyncio.Lock()

    def get(self, key: str) -> RedisRecord:
        """What was there when it was last looked at."""
        return self._records.get(key, ABSENT)

    @property
    def records(self) -> Sequence[RedisRecord]:
        """Everything that was there, ordered by key."""
        if self._sorted is None:
            self._sorted = [self._records[key] for key in sorted(self._records)]
        return self._sorted

    async def refresh(self) -> None:
        """Look at what has changed.

        Raises:
            StoreError: Redis cannot be asked, and never could before, in an earlier process either.
        """
        async with self._refreshing:
            try:
                await self._link.call(f"{self._space.collection} cannot be listed", self._refresh)
            except StoreError as error:
                if error.code is not ErrorCode.STORE_UNAVAILABLE or not await self._recall():
                    raise

    async def follow(self) -> None:
        """Refresh at each change until cancelled; what was missed while Redis was lost is told then."""
        while True:
            try:
                await self._link.follow(f"{self._space.collection} cannot be followed", self._news)
            except StoreError:  # the link has told
                await self._link.back()
            await self._refresh_quietly()
            if self._changes_to_keep and time.monotonic() >= self._save_after:
                await self.save()

    async def save(self) -> None:
        """Keep what is known for a start while Redis is lost; what is being kept already comes first."""
        if self._saving is not None:
            await asyncio.shield(self._saving)
        if self._changes_to_keep:
            self._changes_to_keep = False
            self._save_after = time.monotonic() + _SAVE_SECONDS
            writing = asyncio.to_thread(self._snapshot.write, self.records)
            self._saving = asyncio.create_task(writing, name="keep what is known of redis")
            await asyncio.shield(self._saving)

    async def _recall(self) -> bool:
        """Whether something is known; else it is what an earlier process knew."""
        if not self._loaded and (known := await asyncio.to_thread(self._snapshot.read)) is not None:
            _log.warning("%s: what was known when this node ran before stands in", self._space.collection)
            self._records, self._sorted, self._loaded = known, None, True
        return self._loaded

    async def _refresh_quietly(self) -> None:
        try:
            await self.refresh()
        except StoreError as error:
            _log.warning("%s", error)
            await asyncio.sleep(1)

    async def _news(self, redis: Commands) -> None:
        """Return at the next change, or after some seconds."""
        await redis.xread({self._space.log: self._known or _START}, block=int(_BLOCK_SECONDS * 1000))

    async def _refresh(self, redis: Commands) -> None:
        changes = await self._changes(redis)
        if changes is None:
            await self._load(redis)
        elif changes:
            await self._update(redis, changes)

    async def _changes(self, redis: Commands) -> dict[bytes, str] | None:
        """Change -> key of what has changed; none where everything must be read."""
        if not self._loaded or self._known is None:
            return None
        entries = await redis.xrange(self._space.log, min=self._known, count=_MANY + 2)
        if not entries or entries[0][0] != self._known or len(entries) > _MANY + 1:
            return None
        return {change: decoded(fields[b"key"]) for change, fields in entries[1:]}

    async def _update(self, redis: Commands, changes: dict[bytes, str]) -> None:
        for key, record in (await self._read(redis, set(changes.values()))).items():
            if record is ABSENT:
                self._records.pop(key, None)
            else:
                self._records[key] = record
        self._adopt(self._records, list(changes)[-1])
        for key in dict.fromkeys(changes.values()):
            self._changed(key)

    async def _load(self, redis: Commands) -> None:
        last = await redis.xrevrange(self._space.log, count=1)
        keys = map(decoded, await redis.smembers(self._space.keys))
        there = {
            key: record for key, record in (await self._read(redis, keys)).items() if record is not ABSENT
        }
        before, loaded = self._records, self._loaded
        self._adopt(there, last[0][0] if last else None)
        for key in (before.keys() | there.keys()) if loaded else ():
            if before.get(key) != there.get(key):
                self._changed(key)

    async def _read(self, redis: Commands, keys: Iterable[str]) -> dict[str, RedisRecord]:
        wanted = list(keys)
        found: dict[str, RedisRecord] = {}
        for start in range(0, len(wanted), _BATCH):
            batch = wanted[start : start + _BATCH]
            contents = await redis.mget(map(self._space.document, batch))
            found |= {key: self._parsed(key, each) for key, each in zip(batch, contents, strict=True)}
            await asyncio.sleep(0)  # where answers lie ready, nothing else lets others have a turn
        return found

    def _parsed(self, key: str, contents: bytes | None) -> RedisRecord:
        record = parse(key, contents)
        if record.problem and self.get(key).problem != record.problem:
            _log.error("%r is left alone: %s", self._space.document(key), record.problem)
        return record

    def _adopt(self, records: dict[str, RedisRecord], known: bytes | None) -> None:
        self._records, self._known, self._loaded = records, known, True
        self._sorted, self._changes_to_keep = None, True

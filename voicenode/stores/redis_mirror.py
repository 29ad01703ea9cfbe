"""What this process knows of a collection in Redis, kept up to date by the log of its changes."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from voicenode.errors import ErrorCode, StoreError
from voicenode.stores.redis_link import ANSWER_SECONDS
from voicenode.stores.redis_record import ABSENT, RedisRecord, parse
from voicenode.stores.redis_space import decoded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from voicenode.stores.redis_link import Commands, RedisLink
    from voicenode.stores.redis_space import Space

_BATCH = 200
"""Documents that are read at once: they are parsed in one turn of the event loop."""
_MANY = 2000
"""Changes after which everything is read anew."""
_BLOCK_SECONDS = ANSWER_SECONDS - 1
"""How long Redis keeps a question for news: less than it may take to answer."""
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
        changed: told each key that was put or deleted, or may have been.
    """

    def __init__(self, link: RedisLink, space: Space, changed: Callable[[str], None]) -> None:
        self._link = link
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
            StoreError: Redis cannot be asked, and it never could before.
        """
        what = f"{self._space.collection} cannot be listed"
        async with self._refreshing:
            try:
                changes = await self._link.call(what, self._changes)
                if changes is None:
                    await self._link.call(what, self._load)
                elif changes:
                    await self._link.call(what, lambda redis: self._update(redis, changes))
            except StoreError as error:
                if not self._loaded or error.code is not ErrorCode.STORE_UNAVAILABLE:
                    raise

    async def follow(self) -> None:
        """Refresh at each change, for ever; what was missed while Redis was lost is told when it is back."""
        while True:
            try:
                await self._link.follow(f"{self._space.collection} cannot be followed", self._news)
            except StoreError:  # the link has told
                await self._link.back()
            await self._refresh_quietly()

    async def _refresh_quietly(self) -> None:
        try:
            await self.refresh()
        except StoreError as error:
            _log.warning("%s", error)
            await asyncio.sleep(1)

    async def _news(self, redis: Commands) -> None:
        """Return at the next change, or after some seconds."""
        await redis.xread({self._space.log: self._known or _START}, block=int(_BLOCK_SECONDS * 1000))

    async def _changes(self, redis: Commands) -> dict[bytes, str] | None:
        """Change -> key of what has changed; none where everything must be read."""
        if not self._loaded or self._known is None:
            return None
        entries = await redis.xrange(self._space.log, min=self._known, count=_MANY + 2)
        if not entries or entries[0][0] != self._known or len(entries) > _MANY + 1:
            return None
        return {change: decoded(fields[b"key"]) for change, fields in entries[1:]}

    async def _update(self, redis: Commands, changes: dict[bytes, str]) -> None:
        await self._read(redis, set(changes.values()))
        self._known = list(changes)[-1]
        for key in dict.fromkeys(changes.values()):
            self._changed(key)

    async def _load(self, redis: Commands) -> None:
        last = await redis.xrevrange(self._space.log, count=1)
        before = self._records
        self._records = {}
        try:
            await self._read(redis, map(decoded, await redis.smembers(self._space.keys)))
        except BaseException:
            self._records = before
            raise
        self._known = last[0][0] if last else None
        loaded, self._loaded = self._loaded, True
        if loaded:
            for key in before.keys() | self._records.keys():
                if before.get(key) != self.get(key):
                    self._changed(key)

    async def _read(self, redis: Commands, keys: Iterable[str]) -> None:
        wanted = list(keys)
        for start in range(0, len(wanted), _BATCH):
            batch = wanted[start : start + _BATCH]
            for key, contents in zip(batch, await redis.mget(map(self._space.document, batch)), strict=True):
                self._remember(key, parse(key, contents))
            await asyncio.sleep(0)

    def _remember(self, key: str, record: RedisRecord) -> None:
        self._sorted = None
        if record is ABSENT:
            self._records.pop(key, None)
            return
        if record.problem and self.get(key).problem != record.problem:
            _log.error("%s in %s is left alone: %s", key, self._space.document(key), record.problem)
        self._records[key] = record

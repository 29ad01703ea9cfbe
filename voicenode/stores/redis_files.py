"""Attached files in Redis, in chunks, and their copies on this machine."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import secrets
from contextlib import suppress
from io import BytesIO
from operator import methodcaller
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from voicenode.errors import ErrorCode, StoreError
from voicenode.stores.redis_record import StoredFile

if TYPE_CHECKING:
    from collections.abc import Mapping

    from voicenode.stores.file_cache import FileCache
    from voicenode.stores.redis_link import RedisLink
    from voicenode.stores.redis_space import Space

CHUNK = 1024 * 1024
"""Bytes in one value: Redis serves nobody else while it copies one."""
_STAGED_SECONDS = 3600
"""After which chunks are gone that no document came to name."""


_log = logging.getLogger(__name__)


class MissingError(Exception):
    """A chunk is not there: its document has changed, or has lost it."""


class RedisFiles:
    """The files of one collection.

    Methods raise StoreError where Redis or this machine's disk fails.
    """

    def __init__(self, link: RedisLink, space: Space, cache: FileCache) -> None:
        self._link = link
        self._space = space
        self._cache = cache

    async def stage(self, key: str, sources: Mapping[str, bytes | Path | None]) -> dict[str, StoredFile]:
        """Lay out the files that a document will name; those to remove are left out."""
        staged: dict[str, StoredFile] = {}
        try:
            for name, source in sources.items():
                if source is not None:
                    staged[name] = await self._stage(key, source)
        except BaseException:
            await self.discard(staged)
            raise
        return staged

    async def discard(self, staged: Mapping[str, StoredFile]) -> None:
        """Remove what no document will name; where that fails, it goes by itself."""
        chunks = self._space.chunks(staged.values())
        if chunks:
            with suppress(StoreError):
                await self._link.call("", lambda redis: redis.unlink(*chunks))

    async def adopt(self, sources: Mapping[str, Any], staged: Mapping[str, StoredFile]) -> None:
        """Keep the sources of what a document names now as copies; paths are gone afterwards."""
        for name, file in staged.items():
            try:
                await asyncio.to_thread(self._cache.adopt, file.sha256, sources[name])
            except OSError as error:  # a copy is a convenience; what counts is in Redis
                _log.warning("no copy of %r is kept on this machine: %s", name, error)
        for source in sources.values():
            if isinstance(source, Path):
                await asyncio.to_thread(source.unlink, missing_ok=True)

    async def open(self, key: str, name: str, file: StoredFile) -> BinaryIO:
        """This machine's copy, made where there is none.

        Raises:
            MissingError: a part of it is not in Redis.
        """
        what = f"file {name!r} of {key!r} cannot be read"
        try:
            copy = await asyncio.to_thread(self._cache.open, file.sha256, file.size)
            return copy or await self._fetch(what, file)
        except OSError as error:
            raise StoreError.of(error, what) from error

    async def _stage(self, key: str, source: bytes | Path) -> StoredFile:
        what = f"{key!r} cannot be written"
        token, digest, size, number = secrets.token_hex(8), hashlib.sha256(), 0, 0
        try:
            reader = await asyncio.to_thread(_reader, source)
            try:
                while chunk := await asyncio.to_thread(_next, reader, digest):
                    await self._put(what, self._space.chunk(token, number), chunk)
                    number, size = number + 1, size + len(chunk)
            finally:
                await asyncio.to_thread(reader.close)
        except BaseException as error:
            await self.discard({"": StoredFile(token, number, size, "")})
            if isinstance(error, OSError):
                raise StoreError.of(error, what) from error
            raise
        return StoredFile(token, number, size, digest.hexdigest())

    async def _put(self, what: str, name: bytes, chunk: bytes) -> None:
        await self._link.call(what, lambda redis: redis.set(name, chunk, ex=_STAGED_SECONDS))

    async def _fetch(self, what: str, file: StoredFile) -> BinaryIO:
        draft = await asyncio.to_thread(self._cache.draft)
        try:
            for name in self._space.chunks([file]):
                chunk = await self._link.call(what, methodcaller("get", name))
                if chunk is None:
                    raise MissingError
                await asyncio.to_thread(draft.write, chunk)
            copy = await asyncio.to_thread(self._cache.publish, draft, file.sha256, file.size)
        finally:
            await asyncio.to_thread(self._cache.abandon, draft)
        if copy is None:
            why = "what the store holds is not what was put there"
            raise StoreError(ErrorCode.STORE_FAILED, f"{what}: {why}; put it again")
        return copy


def _reader(source: bytes | Path) -> BinaryIO:
    return BytesIO(source) if isinstance(source, bytes) else source.open("rb")


def _next(reader: BinaryIO, digest: hashlib._Hash) -> bytes:
    chunk = reader.read(CHUNK)
    digest.update(chunk)
    return chunk

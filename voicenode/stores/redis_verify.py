"""Looks for what is damaged in a collection in Redis."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from voicenode.stores.redis_record import RedisRecord, StoredFile, parse
from voicenode.stores.redis_space import decoded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from voicenode.stores.redis_link import Commands, RedisLink
    from voicenode.stores.redis_space import Space


async def verify(link: RedisLink, space: Space) -> Sequence[str]:
    """A sentence for each thing that is damaged; StoreError where Redis fails."""
    what = f"{space.collection} cannot be read"
    keys = await link.call(what, partial(_keys, space))
    problems = []
    for key in keys:
        stamp, found = await link.call(what, partial(_problems, space, key))
        while found:  # perhaps it was being written
            before = stamp
            stamp, found = await link.call(what, partial(_problems, space, key))
            if stamp == before:
                break
        problems += [f"{link.address}: {space.collection}: {key!r}: {each}" for each in found]
    return problems


async def _keys(space: Space, redis: Commands) -> list[str]:
    return sorted(map(decoded, await redis.smembers(space.keys)))


async def _problems(space: Space, key: str, redis: Commands) -> tuple[str, list[str]]:
    """The stamp of the record, and what is wrong with it."""
    record = parse(key, await redis.get(space.document(key)))
    if record.problem:
        return record.stamp, [record.problem]
    return record.stamp, await _of_files(space, record, redis)


async def _of_files(space: Space, record: RedisRecord, redis: Commands) -> list[str]:
    problems = []
    for name, file in record.files.items():
        size = await _size(space, file, redis)
        if size != file.size:
            problems.append(f"file {name!r} has {size} bytes, not {file.size}")
    return problems


async def _size(space: Space, file: StoredFile, redis: Commands) -> int:
    async with redis.pipeline(transaction=False) as pipeline:
        for chunk in space.chunks([file]):
            pipeline.strlen(chunk)
        return sum(await pipeline.execute())

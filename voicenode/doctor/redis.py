"""Whether the Redis that nodes share answers, and keeps what it is given."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from voicenode.doctor.row import Row, absent, ok, wrong, wrong_as_said
from voicenode.errors import StoreError
from voicenode.parts import shared_store
from voicenode.stores.redis_address import RedisAddress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from voicenode.settings import LoadedSettings
    from voicenode.stores.redis_link import RedisLink

_SHOWN = 3


async def redis(loaded: LoadedSettings) -> list[Row]:
    """Whether voices are safe in it, and whole."""
    url = loaded.settings.store.url
    if url is None:
        advice = "set store.url to share voices between nodes"
        return [absent("Redis", "not set: voices are kept in files", advice)]
    address = RedisAddress.parse(url.get_secret_value())
    try:
        answer = await _ask(address)
        async with shared_store(loaded.settings) as store:
            problems = await store.verify()
    except StoreError as error:
        return [wrong_as_said("Redis", str(error))]
    return [_judged(address, answer, problems)]


async def _ask(address: RedisAddress) -> dict[str, Any]:
    """What the server tells of itself; `ms` is how long it took to answer."""
    from voicenode.stores.redis_link import RedisLink  # noqa: PLC0415 (heavy, and for those with Redis)

    what = "The Redis cannot be looked at"
    link = RedisLink(address)
    try:
        await link.call(what, lambda redis: redis.ping())
        start = time.perf_counter()
        await link.call(what, lambda redis: redis.ping())
        took = (time.perf_counter() - start) * 1000
        info = await link.call(what, lambda redis: redis.info())
        save = await _snapshots(link)
    finally:
        await link.close()
    return {**info, "ms": took, "save": save}


async def _snapshots(link: RedisLink) -> str:
    """When the server takes snapshots; empty for never."""
    try:
        settings = await link.call("Its settings cannot be seen", lambda redis: redis.config_get("save"))
    except StoreError:
        return "not told"  # many who rent a Redis may not ask
    return str(settings.get("save", ""))


def _judged(address: RedisAddress, answer: dict[str, Any], problems: Sequence[str]) -> Row:
    aof, policy = answer.get("aof_enabled"), answer.get("maxmemory_policy", "noeviction")
    kept = "AOF" if aof else "snapshots" if answer["save"] else "no persistence"
    found = f"{address}: Redis {answer.get('redis_version')}, {answer['ms']:.1f} ms, {kept}, {policy}"
    if problems:
        advice = "clone or import what is damaged once more; `voicenode store verify` shows all"
        return wrong("Redis", f"{found}; {'; '.join(problems[:_SHOWN])}", advice)
    if not aof and not answer["save"]:
        return wrong("Redis", found, "set `appendonly yes` in it, or a restart of it loses every voice")
    if answer.get("maxmemory") and policy != "noeviction":
        return wrong("Redis", found, "set `maxmemory-policy noeviction` in it, or it may drop voices")
    return ok("Redis", found)

"""A Redis that is lost, full, slow, or in other hands: what the store makes of it."""

from __future__ import annotations

import asyncio
import re
import threading
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.certificates import certificates
from tests.support.documents import ROOT
from tests.support.limits import LIMIT
from tests.support.mqtt_proxy import Proxy
from tests.support.ports import free_port
from tests.support.redis_server import RedisServer
from tests.support.stores import open_store
from voicenode.errors import ErrorCode, StoreError
from voicenode.stores import redis_link
from voicenode.stores.redis_files import CHUNK
from voicenode.stores.redis_snapshot import Snapshot

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
    from pathlib import Path

    from tests.support.mqtt_proxy import Fate
    from voicenode.stores.redis_record import RedisRecord
    from voicenode.stores.store import Document, Store

pytestmark = pytest.mark.usefixtures("heartbeat")


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis of the test's own, which it may treat as it likes."""
    with RedisServer(tmp_path / "redis") as server:
        yield server


@pytest.fixture
def url(mortal: RedisServer, tmp_path: Path) -> str:
    return f"{mortal.url}?prefix={tmp_path.name}&cache={tmp_path / 'cache'}"


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    async with open_store(url) as store:
        yield store


@pytest.fixture
async def other(url: str) -> AsyncIterator[Store]:
    """The same Redis as another node has it."""
    async with open_store(f"{url}-other") as store:
        yield store


async def contents(store: Store, key: str, name: str) -> bytes | None:
    file = await store.open("voices", key, name)
    if file is None:
        return None
    with file:
        return file.read()


async def until_it_works(operation: Callable[[], Awaitable[Any]]) -> None:
    async def works() -> bool:
        with suppress(StoreError):
            await operation()
            return True
        return False

    await until(works)


async def until(true: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(LIMIT):
        while not await true():  # noqa: ASYNC110 (polling is all that a lost server offers)
            await asyncio.sleep(0.01)


def keys(server: RedisServer, prefix: str) -> list[str]:
    """Every key in Redis, without the prefix of the test."""
    found = server.command("KEYS", "*").decode().splitlines()[2::2]
    return sorted(key.removeprefix(f"{prefix}:") for key in found)


async def test_what_was_known_is_still_there_while_redis_is_lost(
    mortal: RedisServer, store: Store, other: Store
) -> None:
    await other.put("voices", "anna", {"n": 1}, files={"a.wav": b"sound", "b.wav": b"not read yet"})
    anna = await store.get("voices", "anna")
    assert await contents(store, "anna", "a.wav") == b"sound"
    assert await store.list("voices") == [anna]
    mortal.kill()
    try:
        assert await store.get("voices", "anna") == anna
        assert await store.list("voices") == [anna]
        assert await contents(store, "anna", "a.wav") == b"sound"
        for operation in (
            store.put("voices", "anna", {"n": 2}),
            store.put("voices", "bob", {}, files={"a.wav": b"x"}),
            store.delete("voices", "anna"),
            store.open("voices", "anna", "b.wav"),
            store.get("voices", "bob"),
            store.list("quality"),
            store.sweep(),
            store.verify(),
        ):
            with pytest.raises(StoreError, match="cannot be reached") as caught:
                await operation
            assert caught.value.code == ErrorCode.STORE_UNAVAILABLE
    finally:
        mortal.start()
    await until_it_works(lambda: store.put("voices", "anna", {"n": 2}, revision=1))
    assert await store.verify() == []


async def test_the_loss_of_redis_and_its_return_are_told_once(
    mortal: RedisServer, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    async with store.watch("voices"):
        mortal.kill()
        for _ in range(5):
            assert await store.list("voices") == []
            await asyncio.sleep(0.05)
        mortal.start()
        await until_it_works(lambda: store.put("voices", "anna", {}))
    told = [record.getMessage().partition(": ")[0] for record in caplog.records]
    assert [sentence.rpartition(" is ")[2] for sentence in told] == ["lost", "there again"]


async def test_puts_while_redis_is_killed_and_started_are_whole_or_did_not_happen(
    mortal: RedisServer, url: str, store: Store, endurance: Callable[[int], int]
) -> None:
    acknowledged: list[int] = []
    enough, ended = asyncio.Semaphore(0), asyncio.Event()

    async def write() -> None:
        number = 0
        while not ended.is_set():
            number += 1
            with suppress(StoreError):
                await store.put("voices", "anna", {"n": number}, files={"a.wav": b"%d" % number * 100_000})
                acknowledged.append(number)
                enough.release()
            await asyncio.sleep(0)

    writer = asyncio.create_task(write())
    for _ in range(endurance(30)):
        for _ in range(3):
            await enough.acquire()
        mortal.kill()
        mortal.start()
    ended.set()
    await writer
    async with open_store(f"{url}-fresh") as fresh:
        document = await fresh.get("voices", "anna")
        assert document is not None
        number = document.value["n"]
        assert number >= acknowledged[-1]
        assert await contents(fresh, "anna", "a.wav") == b"%d" % number * 100_000
        assert await fresh.verify() == []


async def test_a_node_that_starts_while_redis_is_lost_knows_what_it_knew(
    mortal: RedisServer, url: str
) -> None:
    async with open_store(url) as store, store.watch("voices"):
        anna = await store.put("voices", "anna", {"n": 1}, files={"a.wav": b"sound"})
        await store.put("voices", "\ud800", {})
        await store.list("voices")
    mortal.kill()
    try:
        async with open_store(url) as store, store.watch("voices") as changes:
            assert [document.key for document in await store.list("voices")][:1] == ["anna"]
            assert await store.get("voices", "anna") == anna
            assert await contents(store, "anna", "a.wav") == b"sound"
            mortal.start()
            async with open_store(f"{url}-other") as other:
                await until_it_works(lambda: other.put("voices", "bob", {}))
            assert await anext(changes) in {"anna", "bob", "\ud800"}
            changed = await store.put("voices", "anna", {"n": 2}, revision=1)
            assert changed.files == {"a.wav": 5}
        async with open_store(f"{url}-elsewhere") as elsewhere:
            assert len(await elsewhere.list("voices")) == 3
    finally:
        mortal.start()


@pytest.mark.parametrize("left", [b"", b"{", b"[1]\n", None])
async def test_a_snapshot_that_is_not_whole_is_none(
    mortal: RedisServer, url: str, tmp_path: Path, left: bytes | None
) -> None:
    async with open_store(url) as store, store.watch("voices"):
        await store.put("voices", "anna", {})
        await store.list("voices")
    (snapshot,) = (tmp_path / "cache/known").iterdir()
    snapshot.unlink() if left is None else snapshot.write_bytes(left)
    mortal.kill()
    async with open_store(url) as store:
        if left == b"":
            assert await store.list("voices") == []  # so it was
        else:
            with pytest.raises(StoreError, match="cannot be reached"):
                await store.list("voices")


async def test_a_store_that_is_closed_while_it_keeps_what_it_knows_lets_that_end_first(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    begun, go_on, write = threading.Event(), threading.Event(), Snapshot.write

    def slowly(snapshot: Snapshot, records: Iterable[RedisRecord]) -> None:
        told.append("begun")
        begun.set()
        go_on.wait(LIMIT)
        write(snapshot, records)
        told.append("ended")

    monkeypatch.setattr(Snapshot, "write", slowly)
    async with open_store(url) as store, store.watch("voices"):
        await store.put("voices", "anna", {})
        await asyncio.to_thread(begun.wait, LIMIT)
        await store.put("voices", "bob", {})
        await store.list("voices")
        asyncio.get_running_loop().call_later(0.1, go_on.set)
    assert told == ["begun", "ended", "begun", "ended"]


@asynccontextmanager
async def through_a_wire(server: RedisServer, url: str) -> AsyncIterator[tuple[Store, Proxy, list[Fate]]]:
    """A store behind a wire that can be cut, and in a list of one how new connections fare."""
    fate: list[Fate] = ["pass"]
    async with Proxy((server.host, server.port), lambda _: fate[0]).listening() as proxy:
        near = url.replace(f":{server.port}", f":{proxy.port}") + "-near"
        async with open_store(near) as store:
            yield store, proxy, fate


async def test_a_watcher_hears_after_a_lost_connection_what_it_missed(
    mortal: RedisServer, url: str, other: Store
) -> None:
    await other.put("voices", "anna", {})
    await other.put("voices", "bob", {})
    async with through_a_wire(mortal, url) as (store, wire, fate), store.watch("voices") as changes:
        fate[0] = "hang up"
        wire.cut()
        await other.delete("voices", "anna")
        await other.put("voices", "carl", {})
        assert [document.key for document in await store.list("voices")] == ["anna", "bob"]
        fate[0] = "pass"
        assert {await anext(changes), await anext(changes)} == {"anna", "carl"}
        assert [document.key for document in await store.list("voices")] == ["bob", "carl"]


async def test_a_connection_that_was_cut_costs_no_request(mortal: RedisServer, url: str) -> None:
    async with through_a_wire(mortal, url) as (store, wire, _):
        for number in range(5):
            await store.put("voices", "anna", {"n": number})
            wire.cut()
        document = await store.get("voices", "anna")
        assert document is not None
        assert document.revision == 5


async def test_a_redis_that_hangs_is_not_waited_for_long(
    mortal: RedisServer, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_link, "ANSWER_SECONDS", 0.1)
    await store.put("voices", "anna", {})
    anna = await store.list("voices")
    mortal.freeze()
    try:
        with pytest.raises(StoreError) as caught:
            await store.put("voices", "anna", {})
        assert caught.value.code == ErrorCode.STORE_UNAVAILABLE
        assert await store.list("voices") == anna
    finally:
        mortal.thaw()
    await until_it_works(lambda: store.put("voices", "anna", {}))


async def test_a_redis_that_is_full_refuses_and_keeps_nothing_half_made(
    mortal: RedisServer, store: Store, tmp_path: Path
) -> None:
    await store.put("voices", "anna", {"n": 1}, files={"a.wav": b"old"})
    before = keys(mortal, tmp_path.name)
    used = int(mortal.command("INFO", "memory").split(b"used_memory:")[1].split()[0])
    mortal.command("CONFIG", "SET", "maxmemory", str(used + 5 * CHUNK))
    try:
        with pytest.raises(StoreError, match="is full; raise its maxmemory") as caught:
            await store.put("voices", "anna", {"n": 2}, files={"a.wav": b"x" * 10 * CHUNK})
        assert caught.value.code == ErrorCode.STORE_FULL
        assert keys(mortal, tmp_path.name) == before
        mortal.command("CONFIG", "SET", "maxmemory", "1")
        with pytest.raises(StoreError) as caught:
            await store.put("voices", "anna", {"n": 3})
        assert caught.value.code == ErrorCode.STORE_FULL
        assert await contents(store, "anna", "a.wav") == b"old"
        assert await store.delete("voices", "anna")
    finally:
        mortal.command("CONFIG", "SET", "maxmemory", "0")


async def test_a_redis_whose_disk_is_full_refuses_and_keeps_nothing_half_made(
    mortal: RedisServer, store: Store, tmp_path: Path
) -> None:
    await store.put("voices", "anna", {"n": 1}, files={"a.wav": b"old"})
    before = keys(mortal, tmp_path.name)
    in_the_way = mortal.folder / "dump.rdb"
    in_the_way.mkdir()  # root may write anywhere, but not a file where there is a folder
    mortal.command("CONFIG", "SET", "save", "3600 1")

    async def has_saved(outcome: bytes) -> bool:
        mortal.command("BGSAVE")
        return b"rdb_last_bgsave_status:" + outcome in mortal.command("INFO", "persistence")

    await until(lambda: has_saved(b"err"))
    for write in (
        store.put("voices", "anna", {"n": 2}, files={"a.wav": b"x" * 2 * CHUNK}),
        store.put("voices", "anna", {"n": 2}),
        store.delete("voices", "anna"),
    ):
        with pytest.raises(StoreError, match="cannot write to its own disk") as caught:
            await write
        assert caught.value.code == ErrorCode.STORE_FAILED
    assert keys(mortal, tmp_path.name) == before
    assert await contents(store, "anna", "a.wav") == b"old"
    in_the_way.rmdir()
    await until(lambda: has_saved(b"ok"))
    assert (await store.put("voices", "anna", {"n": 2}, revision=1)).revision == 2
    assert await store.verify() == []


async def test_a_redis_that_forgot_everything_is_believed(mortal: RedisServer, store: Store) -> None:
    await store.put("voices", "anna", {})
    async with store.watch("voices") as changes:
        assert len(await store.list("voices")) == 1
        mortal.command("FLUSHALL")
        assert await store.list("voices") == []
        assert await anext(changes) == "anna"
        document = await store.put("voices", "anna", {})
        assert document.revision == 1


async def test_only_what_is_named_stays_in_redis(mortal: RedisServer, store: Store, tmp_path: Path) -> None:
    files = {"a.wav": b"x" * (2 * CHUNK + 1), "b.wav": b""}
    await store.put("voices", "anna", {}, files=files)
    await store.put("voices", "anna", {}, files={"a.wav": b"y"})
    shared = ["collections", "voices:keys", "voices:log"]
    there = keys(mortal, tmp_path.name)
    assert len(there) == len(shared) + 2
    assert all(mortal.command("TTL", f"{tmp_path.name}:{key}") == b":-1\r\n" for key in there)
    await store.delete("voices", "anna")
    assert keys(mortal, tmp_path.name) == ["collections", "voices:log"]


async def test_a_document_expires_with_its_files_and_without_anyone(
    mortal: RedisServer, store: Store, tmp_path: Path
) -> None:
    await store.put("voices", "anna", {}, expires_in=1000, files={"a.wav": b"x"})
    lives = [int(mortal.command("TTL", f"{tmp_path.name}:{key}")[1:]) for key in keys(mortal, tmp_path.name)]
    assert sum(990 < seconds <= 1000 for seconds in lives) == 2
    await store.put("voices", "anna", {}, expires_in=0.05)

    async def is_gone() -> bool:
        return await store.get("voices", "anna") is None

    await until(is_gone)
    assert await store.list("voices") == []
    assert [key for key in keys(mortal, tmp_path.name) if "anna" in key or "file:" in key] == []
    assert (await store.put("voices", "anna", {})).revision == 1


async def test_chunks_that_no_document_came_to_name_expire(
    mortal: RedisServer, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left: list[int] = []
    async with open_store(url) as store:

        def look() -> None:
            chunks = [key for key in keys(mortal, tmp_path.name) if "file:" in key]
            left.extend(int(mortal.command("TTL", f"{tmp_path.name}:{key}")[1:]) for key in chunks)

        async def die(*_: object) -> Document:
            await asyncio.to_thread(look)
            raise StoreError(ErrorCode.STORE_FAILED, "as good as dead")

        monkeypatch.setattr("voicenode.stores.redis_collection.RedisCollection._write", die)
        with pytest.raises(StoreError, match="as good as dead"):
            await store.put("voices", "anna", {}, files={"a.wav": b"x" * 2 * CHUNK})
    assert len(left) == 2
    assert all(0 < seconds <= 3600 for seconds in left)


async def test_a_chunk_that_is_gone_is_told(mortal: RedisServer, store: Store, tmp_path: Path) -> None:
    await store.put("voices", "anna", {}, files={"a.wav": b"x" * (CHUNK + 5)})
    (chunk,) = [key for key in keys(mortal, tmp_path.name) if key.endswith(":1")]
    mortal.command("DEL", f"{tmp_path.name}:{chunk}")
    (problem,) = await store.verify()
    assert problem.endswith(f"voices: 'anna': file 'a.wav' has {CHUNK} bytes, not {CHUNK + 5}")
    for copy in (tmp_path / "cache/files").iterdir():
        copy.unlink()
    with pytest.raises(StoreError, match=r"File 'a\.wav' of 'anna' cannot be read: a part of it is missing"):
        await store.open("voices", "anna", "a.wav")


@pytest.mark.parametrize(
    ("record", "problem"),
    [
        ("not a document", "it is not a whole document"),
        ('0123456789abcdef\n{"format": 2}', "it was written by a later version of voicenode"),
        ('0123456789abcdef\n{"format": 1, "key": "bob"}', "it is the document of another key, 'bob'"),
    ],
)
async def test_a_document_that_is_not_for_us_is_left_alone(
    mortal: RedisServer, store: Store, tmp_path: Path, record: str, problem: str
) -> None:
    await store.put("voices", "anna", {})
    mortal.command("SET", f"{tmp_path.name}:voices:doc:anna", record)
    assert await store.get("voices", "anna") is None
    for write in (store.put("voices", "anna", {}), store.delete("voices", "anna")):
        with pytest.raises(StoreError, match=problem):
            await write
    assert problem in (await store.verify())[0]


async def test_keys_of_others_are_never_touched(mortal: RedisServer, url: str, store: Store) -> None:
    mortal.command("SET", "voicenode:voices:doc:anna", "another's")
    async with open_store(url.replace("prefix=", "prefix=x")) as neighbour:
        await neighbour.put("voices", "anna", {"n": 1})
        await store.put("voices", "anna", {"n": 2})
        await store.delete("voices", "anna")
        await store.sweep()
        assert len(await neighbour.list("voices")) == 1
    assert mortal.command("GET", "voicenode:voices:doc:anna").endswith(b"another's\r\n")


async def test_a_copy_that_was_damaged_is_fetched_anew(store: Store, tmp_path: Path) -> None:
    await store.put("voices", "anna", {}, files={"a.wav": b"sound"})
    (copy,) = (tmp_path / "cache/files").iterdir()
    copy.write_bytes(b"noise")
    assert await contents(store, "anna", "a.wav") == b"sound"


async def test_a_password_is_given_and_never_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with RedisServer(tmp_path / "redis", "--requirepass", "hidden") as server:
        place = f"{server.host}:{server.port}"
        socket = tmp_path / "redis.sock"
        for good in (f"redis://:hidden@{place}?prefix=x", f"redis://default:hidden@{place}?prefix=x"):
            async with open_store(f"{good}&cache={tmp_path / 'cache'}") as store:
                await store.put("voices", "anna", {})
        for bad in (f"redis://:hiddenwrong@{place}", f"redis://{place}", f"unix://:hidden@{socket}"):
            async with open_store(f"{bad}?prefix=x&cache={tmp_path / 'cache'}") as store:
                with pytest.raises(StoreError, match="cannot be reached") as caught:
                    await store.get("voices", "anna")
                assert "hidden" not in f"{caught.value}{caplog.text}"


async def test_the_documented_user_of_redis_may_do_all_that_a_node_does(
    mortal: RedisServer, tmp_path: Path
) -> None:
    document = (ROOT / "docs/stores.md").read_text()
    (rules,) = re.findall(r"^ACL (SETUSER voicenode .*)$", document, re.MULTILINE)
    assert mortal.command("ACL", *rules.split()).startswith(b"+OK")
    url = f"redis://voicenode:PASSWORD@{mortal.host}:{mortal.port}?cache={tmp_path / 'cache'}"
    async with open_store(url.replace("?", "?prefix=voicenode&")) as store, store.watch("voices") as changes:
        await store.put("voices", "anna", {}, expires_in=1000, files={"a.wav": b"x"})
        assert await anext(changes) == "anna"
        await store.put("voices", "anna", {}, files={"a.wav": b"y"})
        assert len(await store.list("voices")) == 1
        assert await store.delete("voices", "anna")
        await store.sweep()
        assert await store.verify() == []


async def test_redis_is_reached_over_tls_and_a_socket(tmp_path: Path) -> None:
    certificates(tmp_path)
    tls = free_port()
    keys = ("--tls-cert-file", f"{tmp_path}/cert.pem", "--tls-key-file", f"{tmp_path}/key.pem")
    listening = ("--tls-port", str(tls), "--tls-auth-clients", "no", "--unixsocket", f"{tmp_path}/r.sock")
    with RedisServer(tmp_path / "redis", *keys, *listening):
        for place in (f"rediss://localhost:{tls}?ca={tmp_path}/ca.pem&", f"unix://{tmp_path}/r.sock?"):
            async with open_store(f"{place}prefix=x&cache={tmp_path / 'cache'}") as store:
                await store.put("voices", "anna", {}, files={"a.wav": b"x"})
                assert len(await store.list("voices")) == 1
        async with open_store(f"rediss://localhost:{tls}?prefix=x&cache={tmp_path / 'cache'}") as store:
            with pytest.raises(StoreError, match=r"cannot be reached.*certificate verify failed"):
                await store.list("voices")


async def test_a_task_that_is_cancelled_in_the_midst_of_a_command_ends(store: Store) -> None:
    async def ask() -> None:
        while True:
            await store.list("voices")

    for turns in range(150):
        task = asyncio.create_task(ask())
        for _ in range(turns % 30):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait_for(asyncio.wait([task]), 5)

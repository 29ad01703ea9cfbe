"""`voicenode store`: voices moved between stores, and damage found."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.support.command import CommandLine
from tests.support.stores import open_store
from voicenode.errors import StoreError
from voicenode.stores.migration import Migration, migrate

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from tests.support.redis_server import RedisServer
    from voicenode.stores.store import Store


@pytest.fixture
def redis_url(redis_server: RedisServer, tmp_path: Path) -> str:
    return f"{redis_server.url}/1?prefix={tmp_path.name}"


@pytest.fixture
async def files(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(f"file:{tmp_path / 'data/store'}") as store:
        yield store


@pytest.fixture
async def redis(redis_url: str, tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(f"{redis_url}&cache={tmp_path / 'cache'}") as store:
        yield store


async def fill(store: Store) -> None:
    await store.put("voices", "anna", {"n": 1}, files={"a.wav": b"sound" * 300_000, "b.wav": b""})
    await store.put("voices", "Bob 🎙️", {"n": 2}, expires_in=1000)
    await store.put("quality", "calm", {"speed": 0.9})
    await store.put("jobs", "one", {"text": "mine alone"})


async def moved(source: Store, target: Store, *, overwrite: bool = False) -> Migration:
    shown: list[str] = []
    return await migrate(source, target, ("voices", "quality"), overwrite=overwrite, progress=shown.append)


async def contents(store: Store, key: str, name: str) -> bytes | None:
    file = await store.open("voices", key, name)
    if file is None:
        return None
    with file:
        return file.read()


ALL = ["voices/Bob 🎙️", "voices/anna", "quality/calm"]


@pytest.mark.parametrize("way", ["there", "back"])
async def test_everything_shared_is_copied_once(files: Store, redis: Store, way: str) -> None:
    source, target = (files, redis) if way == "there" else (redis, files)
    await fill(source)
    assert await moved(source, target) == Migration(copied=ALL)
    assert await moved(source, target) == Migration(equal=ALL)
    assert await contents(target, "anna", "a.wav") == b"sound" * 300_000
    bob = await target.get("voices", "Bob 🎙️")
    assert bob is not None
    assert bob.expires_at is not None
    assert await target.list("jobs") == []
    assert len(await source.list("voices")) == 2
    assert await target.verify() == []


@pytest.mark.parametrize(
    "change", [{"n": 3}, {"files": {"a.wav": b"other" * 300_000}}, {"files": {"c": b"x"}}]
)
async def test_what_is_different_is_left_alone_unless_it_may_be_replaced(
    files: Store, redis: Store, change: dict[str, int | dict[str, bytes]]
) -> None:
    await fill(files)
    await moved(files, redis)
    changed = change.get("files")
    await redis.put("voices", "anna", {"n": change.get("n", 1)}, files=changed)  # type: ignore[arg-type]
    found = await moved(files, redis)
    assert (found.different, found.copied) == (["voices/anna"], [])
    assert (await moved(files, redis, overwrite=True)).copied == ["voices/anna"]
    assert (await moved(files, redis)).equal == ALL


async def test_a_migration_that_broke_off_goes_on(
    files: Store, redis: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(files)
    put: Callable[..., object] = redis.put

    async def fail(collection: str, key: str, *rest: object, **more: object) -> object:
        if key == "anna":
            raise StoreError("store-unavailable", "lost")  # type: ignore[arg-type]
        return await put(collection, key, *rest, **more)  # type: ignore[misc]

    with monkeypatch.context() as broken:
        broken.setattr(redis, "put", fail)
        with pytest.raises(StoreError, match="lost"):
            await moved(files, redis)
    assert await moved(files, redis) == Migration(copied=ALL[1:], equal=ALL[:1])


async def test_a_user_migrates_and_verifies(
    files: Store, redis: Store, redis_url: str, tmp_path: Path
) -> None:
    await fill(files)
    (tmp_path / "voicenode.yaml").write_text(json.dumps({"data_dir": str(tmp_path / "data")}))
    cli = CommandLine(tmp_path, variables={"VOICENODE_CONFIG": "voicenode.yaml", "REDIS_URL": redis_url})
    result = await cli.run("store", "migrate", "files", "redis")
    assert (result.status, result.text) == (0, "")
    assert result.stderr == "3 copied, 0 there already, 0 different.\n"
    await redis.put("quality", "calm", {"speed": 1.1})
    result = await cli.run("store", "migrate", "files", redis_url, "--json")
    assert result.status == 1
    assert json.loads(result.text)["different"] == ["quality/calm"]
    result = await cli.run("store", "verify")
    assert (result.status, result.stderr) == (0, "Everything is whole.\n")


async def test_a_user_is_told_of_damage(files: Store, tmp_path: Path) -> None:
    await fill(files)
    folder = tmp_path / "data/store"
    for recording in (folder / "voices/files").glob("*a.wav"):
        recording.write_bytes(b"cut short")
    result = await CommandLine(tmp_path).run("store", "verify", str(folder), "--json")
    assert result.status == 1
    (problem,) = json.loads(result.text)["problems"]
    assert problem.endswith("has 9 bytes, not 1500000")


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ("redis", "there is no Redis in the settings"),
        ("redis://:hidden@nas/x", "expected redis://HOST"),
        ("nowhere", "there is no folder nowhere"),
    ],
)
async def test_a_place_that_is_none_is_named(tmp_path: Path, place: str, told: str) -> None:
    result = await CommandLine(tmp_path).run("store", "verify", place)
    assert (result.status, result.text) == (2, "")
    assert told in " ".join(result.stderr.split())
    assert "hidden" not in result.stderr

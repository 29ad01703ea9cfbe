"""What every store promises; each implementation runs the whole suite against the real thing."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.stores import open_store, run_program
from voicenode.errors import ConflictError, ErrorCode, StoreError
from voicenode.stores.store import Document, Store

HARD_KEYS = [
    "", ".", "..", "../../etc/passwd", "/etc/passwd", ".hidden", "a.json", "-rf", "*", " ", "%", "%2e", "con",
    "a%nna", "NUL", "anna", "Anna", "ANNA", "x" * 300, "x" * 299 + "y", "ü" * 100, "u\u0308" * 100, "🎙️",
    "line\nbreak", "nul\0l", "\ud800",
]  # fmt: skip


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    async with open_store(url) as store:
        yield store


@pytest.fixture
async def other(url: str) -> AsyncIterator[Store]:
    """The same store as another process has it."""
    async with open_store(url) as store:
        yield store


async def contents(store: Store, key: str, name: str) -> bytes | None:
    file = await store.open("voices", key, name)
    if file is None:
        return None
    with file:
        return file.read()


async def test_what_was_put_is_got_and_listed(store: Store, other: Store) -> None:
    value = {"languages": ["de-DE"], "gain": 0.5, "pinned": True, "note": None, "deep": {"ü": "🎙️"}}
    document = await store.put("voices", "anna", value)
    assert document == Document("anna", 1, value)
    for reader in (store, other):
        assert await reader.get("voices", "anna") == document
        assert await reader.list("voices") == [document]


async def test_an_absent_document_is_none(store: Store) -> None:
    assert await store.get("voices", "anna") is None
    assert await store.list("voices") == []
    assert await store.open("voices", "anna", "sound.wav") is None
    assert await store.delete("voices", "anna") is False
    assert await store.sweep() == 0
    assert await store.verify() == []


async def test_collections_are_separate(store: Store) -> None:
    await store.put("voices", "anna", {"is": "a voice"})
    assert await store.get("jobs", "anna") is None
    assert await store.list("jobs") == []


async def test_a_collection_is_named_by_the_code_and_never_a_path(store: Store) -> None:
    with pytest.raises(ValueError, match="not a name"):
        await store.get("../voices", "anna")


async def test_every_text_is_a_key_of_its_own(store: Store, other: Store) -> None:
    for number, key in enumerate(HARD_KEYS):
        await store.put(
            "voices", key, {"number": number}, revision=0, files={key: key.encode(errors="replace")}
        )
    for number, key in enumerate(HARD_KEYS):
        document = await other.get("voices", key)
        assert document is not None
        assert document.value == {"number": number}
        assert await contents(other, key, key) == key.encode(errors="replace")
    assert [document.key for document in await other.list("voices")] == sorted(HARD_KEYS)


async def test_each_put_counts_the_revision_up(store: Store, other: Store) -> None:
    await store.put("voices", "anna", {"n": 1}, revision=0)
    await other.put("voices", "anna", {"n": 2}, revision=1)
    document = await store.put("voices", "anna", {"n": 3})
    assert document.revision == 3


@pytest.mark.parametrize("revision", [0, 1, 3])
async def test_a_put_with_another_revision_is_a_conflict_and_changes_nothing(
    store: Store, other: Store, revision: int
) -> None:
    await store.put("voices", "anna", {"n": 1}, files={"sound.wav": b"old"})
    await other.put("voices", "anna", {"n": 2})
    for files in (None, {"sound.wav": b"new"}):
        with pytest.raises(ConflictError, match="'anna' is at revision 2") as caught:
            await store.put("voices", "anna", {"n": 3}, revision=revision, files=files)
        assert caught.value.code == ErrorCode.CONFLICT
    with pytest.raises(ConflictError):
        await store.delete("voices", "anna", revision=revision)
    document = await other.get("voices", "anna")
    assert document is not None
    assert document.value == {"n": 2}
    assert await contents(other, "anna", "sound.wav") == b"old"


async def test_a_revision_of_an_absent_document_is_a_conflict(store: Store) -> None:
    with pytest.raises(ConflictError):
        await store.put("voices", "anna", {}, revision=1)
    assert await store.get("voices", "anna") is None


async def test_of_puts_in_flight_for_one_revision_one_wins(store: Store, other: Store) -> None:
    puts = [each.put("voices", "anna", {}, revision=0) for each in (store, other) for _ in range(10)]
    outcomes = await asyncio.gather(*puts, return_exceptions=True)
    assert sum(isinstance(outcome, Document) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, ConflictError) for outcome in outcomes) == 19


async def test_puts_in_flight_for_one_key_keep_their_order(store: Store) -> None:
    documents = await asyncio.gather(*(store.put("jobs", "one", {"n": n}) for n in range(20)))
    assert [document.revision for document in documents] == list(range(1, 21))
    assert (await store.list("jobs"))[0].value == {"n": 19}


async def test_one_bad_put_in_flight_fails_alone(store: Store) -> None:
    values: list[dict[str, Any]] = [{"n": 1}, {"n": object()}, {"n": float("nan")}, {"n": 2}]
    puts = [store.put("jobs", str(number), value) for number, value in enumerate(values)]
    outcomes = await asyncio.gather(*puts, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [Document, TypeError, ValueError, Document]
    assert [document.key for document in await store.list("jobs")] == ["0", "3"]


async def test_a_put_whose_caller_left_is_finished(store: Store) -> None:
    task = asyncio.create_task(store.put("jobs", "one", {}))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    await store.put("jobs", "two", {})
    assert [document.key for document in await store.list("jobs")] == ["one", "two"]


async def test_files_come_and_go_with_their_document(store: Store, other: Store, tmp_path: Path) -> None:
    recording = tmp_path / "recording"
    recording.write_bytes(b"from a path")
    files: dict[str, bytes | Path] = {"a.wav": b"from memory", "b.wav": recording}
    document = await store.put("voices", "anna", {}, files=files)
    assert document.files == {"a.wav": 11, "b.wav": 11}
    assert not recording.exists()
    assert await other.get("voices", "anna") == document
    assert await contents(other, "anna", "b.wav") == b"from a path"
    assert await contents(other, "anna", "c.wav") is None

    changed = await other.put("voices", "anna", {}, files={"a.wav": None, "c.wav": b"added"})
    assert changed.files == {"b.wav": 11, "c.wav": 5}
    assert await contents(store, "anna", "a.wav") is None
    assert (await store.put("voices", "anna", {"new": "value"})).files == changed.files

    assert await store.delete("voices", "anna") is True
    assert await other.get("voices", "anna") is None
    assert await contents(other, "anna", "b.wav") is None
    assert (await store.put("voices", "anna", {})).files == {}


async def test_a_path_that_is_missing_changes_nothing(store: Store, tmp_path: Path) -> None:
    await store.put("voices", "anna", {"n": 1}, files={"a.wav": b"old"})
    with pytest.raises(StoreError, match="No such file"):
        await store.put("voices", "anna", {"n": 2}, files={"a.wav": b"new", "b.wav": tmp_path / "missing"})
    document = await store.get("voices", "anna")
    assert document is not None
    assert document.value == {"n": 1}
    assert await contents(store, "anna", "a.wav") == b"old"


async def test_an_open_file_stays_whole_when_its_document_goes(store: Store, other: Store) -> None:
    await store.put("voices", "anna", {}, files={"a.wav": b"x" * 1000})
    file = await store.open("voices", "anna", "a.wav")
    assert file is not None
    await other.delete("voices", "anna")
    await other.sweep()
    with file:
        file.seek(500)
        assert len(file.read()) == 500


async def test_an_expired_document_is_absent_for_every_verb(store: Store, other: Store) -> None:
    await store.put("voices", "anna", {"n": 1}, expires_in=0, files={"a.wav": b"old"})
    assert await other.get("voices", "anna") is None
    assert await other.list("voices") == []
    assert await contents(other, "anna", "a.wav") is None
    assert await other.delete("voices", "anna") is False
    document = await store.put("voices", "anna", {"n": 2}, revision=0)
    assert (document.revision, document.files, document.expires_at) == (1, {}, None)


async def test_a_put_says_anew_when_its_document_expires(store: Store) -> None:
    first = await store.put("voices", "anna", {}, expires_in=1000)
    assert first.expires_at is not None
    assert await store.get("voices", "anna") == first
    assert (await store.put("voices", "anna", {})).expires_at is None


async def test_sweeping_removes_what_has_expired_and_nothing_else(store: Store, other: Store) -> None:
    await store.put("voices", "anna", {}, expires_in=0, files={"a.wav": b"1"})
    await store.put("jobs", "one", {}, expires_in=0)
    await store.put("jobs", "two", {}, expires_in=1000, files={"a.wav": b"2"})
    assert await other.sweep() == 2
    assert await other.sweep() == 0
    assert [document.key for document in await store.list("jobs")] == ["two"]
    assert await store.verify() == []


async def test_a_watcher_hears_what_any_process_puts_and_deletes(store: Store, other: Store) -> None:
    await store.put("voices", "old", {})
    async with store.watch("voices") as changes:
        for writer in (store, other):
            await writer.put("voices", "anna", {"by": id(writer)})
            assert await anext(changes) == "anna"
            await writer.delete("voices", "anna")
            assert await anext(changes) == "anna"
        await other.put("jobs", "one", {})
        await other.put("voices", "last", {})
        assert await anext(changes) == "last"


async def test_two_watchers_hear_the_same(store: Store) -> None:
    async with store.watch("voices") as first, store.watch("voices") as second:
        await store.put("voices", "anna", {})
        assert [await anext(first), await anext(second)] == ["anna", "anna"]


async def test_a_watcher_hears_what_was_swept(store: Store) -> None:
    await store.put("voices", "anna", {}, expires_in=0)
    async with store.watch("voices") as changes:
        await store.sweep()
        assert await anext(changes) == "anna"


@pytest.mark.usefixtures("heartbeat")
async def test_many_documents_do_not_hold_up_the_loop(store: Store, other: Store) -> None:
    await asyncio.gather(*(store.put("voices", f"voice {n}", {"n": n}) for n in range(1000)))
    assert len(await store.list("voices")) == len(await other.list("voices")) == 1000


async def test_a_killed_writer_leaves_every_document_whole_or_absent(
    url: str, endurance: Callable[[int], int]
) -> None:
    await run_program("tests.support.stores", "crash", url, str(endurance(300)))
    async with open_store(url) as store:
        await store.sweep()
        assert await store.verify() == []


async def test_of_twenty_processes_that_write_one_document_one_wins(url: str) -> None:
    assert await run_program("tests.support.stores", "race", url, "20") == "1 19\n"

"""What only shows in the directory of a file store: its contract is in tests/contract/test_store.py."""

import errno
import fcntl
import json
import logging
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from voicenode.errors import ErrorCode, StoreError
from voicenode.stores import lock
from voicenode.stores.file import FileStore
from voicenode.stores.names import file_name


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
async def store(directory: Path) -> AsyncIterator[FileStore]:
    async with FileStore(directory) as store:
        yield store


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def everything(directory: Path) -> list[Path]:
    return list(directory.rglob("*"))


def snapshot(directory: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in everything(directory) if path.is_file()}


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("anna_2-b", "anna_2-b"),
        ("Anna", "%41nna"),
        ("../a.b", "%2e%2e%2fa%2eb"),
        ("ü", "%c3%bc"),
        ("", "%"),
        ("x" * 50, "x" * 6 + "%%" + "77cf12060d47183ea8c40345e7389e7e"),
    ],
)
def test_a_name_for_any_text_is_safe_and_bounded(text: str, name: str) -> None:
    assert file_name(text, 40) == name


async def test_only_the_owner_can_read_what_is_kept(
    store: FileStore, directory: Path, tmp_path: Path
) -> None:
    recording = tmp_path / "recording"
    recording.touch(0o644)
    await store.put("voices", "anna", {}, files={"a.wav": b"1", "b.wav": recording})
    for path in (directory, *everything(directory)):
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600)


async def test_people_find_a_document_and_its_files_by_name(store: FileStore, directory: Path) -> None:
    await store.put("voices", "anna", {"n": 1}, files={"reference.wav": b"1"})
    document = json.loads((directory / "voices" / "anna.json").read_text())
    assert (document["format"], document["key"], document["value"]) == (1, "anna", {"n": 1})
    (file,) = names(directory / "voices" / "files")
    assert file.startswith("anna.")
    assert file.endswith(".reference.wav")


async def test_nothing_is_left_of_what_was_replaced_or_deleted(store: FileStore, directory: Path) -> None:
    await store.put("voices", "anna", {}, files={"a.wav": b"1"})
    await store.put("voices", "anna", {}, files={"a.wav": b"2"})
    assert len(names(directory / "voices" / "files")) == 1
    await store.delete("voices", "anna")
    assert names(directory / "voices" / "files") == []
    assert names(directory / "voices") == [".lock", "files"]


@pytest.mark.parametrize(
    "damage", [b"", b'{"format": 1, "key": "an', b"[]", b"\xff\xfe", b'{"format": 1}', b"null"]
)
async def test_a_damaged_document_is_absent_told_once_and_kept_aside(
    store: FileStore, directory: Path, caplog: pytest.LogCaptureFixture, damage: bytes
) -> None:
    await store.put("voices", "anna", {}, files={"a.wav": b"precious"})
    await store.put("voices", "bob", {})
    (directory / "voices" / "anna.json").write_bytes(damage)
    with caplog.at_level(logging.ERROR):
        assert [document.key for document in await store.list("voices")] == ["bob"]
        assert await store.get("voices", "anna") is None
    assert len(caplog.records) == 1
    assert "anna.json is not a whole document" in caplog.text
    (aside,) = (directory / "voices").glob("anna.json.*.corrupt")
    assert aside.read_bytes() == damage
    assert await store.verify() == [f"{aside}: was damaged and moved out of the way"]
    await store.sweep()
    assert len(names(directory / "voices" / "files")) == 1  # whoever repairs the document finds its files
    assert (await store.put("voices", "anna", {"n": 2}, revision=0)).revision == 1


async def test_verify_tells_of_damage_before_it_is_met_and_changes_nothing(
    store: FileStore, directory: Path
) -> None:
    await store.put("voices", "anna", {})
    path = directory / "voices" / "anna.json"
    path.write_bytes(b"{")
    assert await store.verify() == [f"{path}: anna.json is not a whole document"]
    assert path.read_bytes() == b"{"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"format": 2}, "was written by a later version"),
        ({"key": "bob"}, "holds the document of another key, 'bob'"),
    ],
)
async def test_a_document_that_is_not_for_us_is_left_alone(
    store: FileStore, directory: Path, change: dict[str, object], problem: str
) -> None:
    await store.put("voices", "anna", {})
    path = directory / "voices" / "anna.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    before = path.read_bytes()
    assert await store.get("voices", "anna") is None
    assert await store.list("voices") == []
    for write in (store.put("voices", "anna", {}), store.delete("voices", "anna")):
        with pytest.raises(StoreError, match=problem):
            await write
    assert problem in (await store.verify())[0]
    assert path.read_bytes() == before


async def test_verify_tells_of_files_that_are_missing_or_cut_short(store: FileStore, directory: Path) -> None:
    await store.put("voices", "anna", {}, files={"a.wav": b"12345"})
    (file,) = (directory / "voices" / "files").iterdir()
    file.write_bytes(b"123")
    assert await store.verify() == [f"{directory / 'voices' / 'anna.json'}: {file.name} has 3 bytes, not 5"]
    file.unlink()
    assert await store.verify() == [f"{directory / 'voices' / 'anna.json'}: {file.name} is missing"]
    with pytest.raises(StoreError, match=r"File 'a\.wav' of 'anna' cannot be read: No such file"):
        await store.open("voices", "anna", "a.wav")


async def test_sweeping_removes_what_a_crash_left_behind(store: FileStore, directory: Path) -> None:
    await store.put("voices", "anna", {}, files={"a.wav": b"1"})
    (directory / "voices" / ".bob.json.tmp").write_bytes(b"{")
    (directory / "voices" / "files" / "bob.0123.a.wav").write_bytes(b"1")
    assert await store.sweep() == 0
    assert names(directory / "voices") == [".lock", "anna.json", "files"]
    assert len(names(directory / "voices" / "files")) == 1


async def test_sweeping_spares_files_that_are_being_laid_out(store: FileStore, directory: Path) -> None:
    await store.put("voices", "anna", {}, files={"a.wav": b"1"})
    files = directory / "voices" / "files"
    (files / "bob.0123.a.wav").write_bytes(b"1")
    writer = os.open(files, os.O_RDONLY)
    fcntl.flock(writer, fcntl.LOCK_SH)
    await store.sweep()
    assert "bob.0123.a.wav" in names(files)
    os.close(writer)
    await store.sweep()
    assert "bob.0123.a.wav" not in names(files)


@pytest.mark.parametrize("files", [None, {"a.wav": b"new"}])
@pytest.mark.parametrize("error", [(errno.ENOSPC, "No space left"), (errno.EIO, "Input/output error")])
async def test_a_write_that_fails_leaves_nothing_half_made(
    store: FileStore,
    directory: Path,
    monkeypatch: pytest.MonkeyPatch,
    files: dict[str, bytes | Path | None] | None,
    error: tuple[int, str],
) -> None:
    await store.put("voices", "anna", {"n": 1}, files={"a.wav": b"old"})
    before = snapshot(directory)

    def fail(_: int) -> None:
        raise OSError(*error)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(StoreError) as caught:
            await store.put("voices", "anna", {"n": 2}, files=files)
    assert caught.value.code == (ErrorCode.DISK_FULL if error[0] == errno.ENOSPC else ErrorCode.STORE_FAILED)
    assert str(caught.value).startswith("'anna' cannot be written: ")
    assert snapshot(directory) == before
    assert (await store.put("voices", "anna", {"n": 2})).revision == 2


async def test_a_directory_that_cannot_be_made_is_a_store_that_failed(tmp_path: Path) -> None:
    (tmp_path / "store").touch()
    async with FileStore(tmp_path / "store") as store:
        for write in (store.put("voices", "anna", {}), store.put("voices", "anna", {}, files={"a": b""})):
            with pytest.raises(StoreError, match="check the data directory") as caught:
                await write
            assert caught.value.code == ErrorCode.STORE_FAILED


async def test_another_process_that_hangs_is_not_waited_for_forever(
    store: FileStore, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.put("voices", "anna", {})
    monkeypatch.setattr(lock, "PATIENCE", 0.01)
    hung = os.open(directory / "voices" / ".lock", os.O_RDWR)
    fcntl.flock(hung, fcntl.LOCK_EX)
    with pytest.raises(StoreError, match="another process keeps it locked"):
        await store.put("voices", "anna", {})
    assert await store.get("voices", "anna") is not None
    os.close(hung)
    await store.put("voices", "anna", {})


async def test_documents_that_people_copy_or_remove_by_hand_are_noticed(
    store: FileStore, directory: Path
) -> None:
    await store.put("voices", "anna", {"n": 1})
    saved = (directory / "voices" / "anna.json").read_bytes()
    await store.put("voices", "anna", {"n": 2})
    (directory / "voices" / "anna.json").write_bytes(saved)
    (document,) = await store.list("voices")
    assert document.value == {"n": 1}
    (directory / "voices" / "anna.json").unlink()
    assert await store.list("voices") == []
    assert await store.get("voices", "anna") is None


async def test_a_put_reaches_the_disk_in_an_order_that_a_power_cut_cannot_break(
    store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.put("voices", "anna", {})
    flushed = []
    monkeypatch.setattr(
        os, "fsync", lambda number: flushed.append(Path(f"/proc/self/fd/{number}").readlink())
    )
    await store.put("voices", "anna", {}, files={"a.wav": b"1"})
    assert [path.suffix or path.name for path in flushed] == [".wav", "files", ".tmp", "voices"]

"""Copies on this machine: bounded, checked, and shared by processes that do not know of each other."""

import hashlib
import os
import time
from pathlib import Path

import pytest

from voicenode.stores.file_cache import FileCache


@pytest.fixture
def cache(tmp_path: Path) -> FileCache:
    return FileCache(tmp_path / "cache", limit=100)


def keep(cache: FileCache, contents: bytes, age: float = 0) -> str:
    digest = hashlib.sha256(contents).hexdigest()
    cache.adopt(digest, contents)
    if (path := cache.directory / digest).exists():
        os.utime(path, (path.stat().st_mtime - age,) * 2)
    return digest


def has(cache: FileCache, digest: str, size: int) -> bool:
    file = cache.open(digest, size)
    if file is None:
        return False
    with file:
        return hashlib.sha256(file.read()).hexdigest() == digest


def test_what_was_not_used_for_longest_goes_first(cache: FileCache) -> None:
    old, used, new = (keep(cache, bytes([n]) * 40, age) for n, age in ((1, 30), (2, 40), (3, 0)))
    assert not has(cache, used, 40)
    assert has(cache, old, 40)
    keep(cache, b"4" * 40)
    assert (has(cache, old, 40), has(cache, new, 40)) == (True, False)


def test_what_is_larger_than_the_limit_stays_until_something_else_comes(cache: FileCache) -> None:
    large = keep(cache, b"x" * 200, age=5)
    assert has(cache, large, 200)
    keep(cache, b"y")
    assert len(list(cache.directory.iterdir())) == 1


def test_a_file_is_moved_and_only_its_owner_can_read_it(cache: FileCache, tmp_path: Path) -> None:
    source = tmp_path / "recording"
    source.write_bytes(b"sound")
    source.chmod(0o644)
    digest = hashlib.sha256(b"sound").hexdigest()
    cache.adopt(digest, source)
    assert not source.exists()
    assert (cache.directory / digest).stat().st_mode & 0o777 == 0o600


def test_another_process_finds_what_a_power_cut_left_of_a_copy(cache: FileCache) -> None:
    digest = keep(cache, b"sound")
    (cache.directory / digest).write_bytes(b"\0" * 5)
    assert FileCache(cache.directory, 100).open(digest, 5) is None
    assert list(cache.directory.iterdir()) == []


def test_drafts_that_nobody_finished_go(cache: FileCache) -> None:
    for age in (0, 4000):
        with cache.draft() as draft:
            draft.write(b"x")
        os.utime(draft.name, (time.time() - age,) * 2)
    keep(cache, b"sound")
    assert len(list(cache.directory.iterdir())) == 2

"""What a node keeps of a Redis on its disk, whoever writes it at once and whoever is killed meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from voicenode.stores import lock
from voicenode.stores.redis_record import RedisRecord
from voicenode.stores.redis_snapshot import Snapshot
from voicenode.stores.store import Document

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ANNA, BOB = (RedisRecord("0123456789abcdef", Document(name, 1, {})) for name in ("anna", "bob"))


def halted(meanwhile: Callable[[], None]) -> Iterator[RedisRecord]:
    """Two records, and what happens when the first of them has been written."""
    yield ANNA
    meanwhile()
    yield BOB


def known(path: Path) -> list[str]:
    return sorted(Snapshot(path).read() or [])


def test_nobody_writes_a_snapshot_while_another_one_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "known/voices"
    monkeypatch.setattr(lock, "PATIENCE", 0)
    Snapshot(path).write(halted(lambda: Snapshot(path).write([])))
    assert "another process keeps it locked" in caplog.text
    assert known(path) == ["anna", "bob"]
    assert [each.name for each in path.parent.iterdir()] == ["voices"]


def test_what_was_left_by_a_writer_that_was_killed_goes_with_the_next_snapshot(tmp_path: Path) -> None:
    path = tmp_path / "known/voices"

    def killed() -> None:
        raise SystemExit

    with pytest.raises(SystemExit):
        Snapshot(path).write(halted(killed))
    assert len(list(path.parent.iterdir())) == 1  # what it had begun
    assert known(path) == []
    Snapshot(path).write([BOB])
    assert known(path) == ["bob"]
    assert [each.name for each in path.parent.iterdir()] == ["voices"]

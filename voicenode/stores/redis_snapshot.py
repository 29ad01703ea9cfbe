"""What a node knew of a collection in Redis, on its disk, for a start while Redis is lost.

Everything here blocks.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from voicenode.stores.lock import flocked
from voicenode.stores.redis_record import STAMP, RedisRecord, dump, parse

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_NO_STAMP = b"-" * STAMP
"""Stands for that of no document: what is written on the strength of a snapshot is looked at anew first."""

_log = logging.getLogger(__name__)


class Snapshot:
    """One file, a line for each document; a convenience, so that nothing fails where it cannot be had."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> dict[str, RedisRecord] | None:
        """Key -> record; none where nothing was kept, or not whole."""
        try:
            records = [_record(line) for line in self._path.read_bytes().splitlines()]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return {record.document.key: record for record in records if record.document}

    def write(self, records: Iterable[RedisRecord]) -> None:
        """Keep the documents among these instead of what was kept before, one process after the other."""
        try:
            with self._held():
                self._write(records)
        except OSError as error:
            _log.warning("what is known of Redis is not kept for a start without it: %s", error)

    @contextmanager
    def _held(self) -> Iterator[None]:
        """Hold the folder alone, among all threads and processes."""
        self._path.parent.mkdir(0o700, parents=True, exist_ok=True)
        with flocked(os.open(self._path.parent, os.O_RDONLY | os.O_CLOEXEC), fcntl.LOCK_EX):
            yield

    def _write(self, records: Iterable[RedisRecord]) -> None:
        draft = self._path.with_name(f"{self._path.name}.tmp")  # the one that a crash left is written over
        try:
            with draft.open("wb") as file:
                draft.chmod(0o600)
                file.writelines(_line(record) for record in records)
            draft.replace(self._path)
        except OSError:
            draft.unlink(missing_ok=True)
            raise


def _line(record: RedisRecord) -> bytes:
    return dump(record.document, record.files)[STAMP + 1 :] + b"\n" if record.document else b""


def _record(line: bytes) -> RedisRecord:
    return parse(json.loads(line)["key"], _NO_STAMP + b"\n" + line)

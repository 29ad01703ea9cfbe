"""What this process knows of a directory of documents, and how it notices what others wrote."""

from __future__ import annotations

import logging
import os
import secrets
import threading
import time
from typing import TYPE_CHECKING

from voicenode.stores.record import (
    CORRUPT,
    DamagedError,
    Record,
    is_record,
    load,
    record_name,
    unreadable,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from voicenode.stores.lock import FileLock

_LOGGER = logging.getLogger(__name__)

_TICK = 0.05
"""Seconds in which two changes may get the same time stamp; kernels count in ticks of 1 to 10 ms."""


class Index:
    """The records of a directory, each read again only when its file was written anew.

    What people change inside a file by hand is seen by `read`, and by `records` after the next put.
    `changed` is told the key of each document that is no longer as it was read, once all were read.
    Methods block and raise OSError.
    """

    def __init__(self, directory: Path, lock: FileLock, changed: Callable[[str], None]) -> None:
        self._directory = directory
        self._lock = lock
        self._changed = changed
        self._records: dict[str, Record] = {}
        self._sorted: list[Record] = []
        self._refreshing = threading.Lock()
        self._stamp: int | None = None
        """The directory's time of change in ns when it was scanned, where that can be trusted."""
        self._complete = False

    def read(self, key: str) -> Record | None:
        """The record of a key as it is now, or none."""
        return self._read(record_name(key))

    def records(self) -> list[Record]:
        """Every record, ordered by key; one system call where nothing was written since the last time."""
        with self._refreshing:
            try:
                if self._directory.stat().st_mtime_ns != self._stamp:
                    with self._lock.held():
                        self.scan()
            except FileNotFoundError:
                self._adopt(())
            return self._sorted

    def scan(self) -> list[Record]:
        """Look at every file; the caller holds the lock, so that none is missed while it is being renamed."""
        stamp = self._directory.stat().st_mtime_ns
        with os.scandir(self._directory) as entries:
            self._adopt([entry.name for entry in entries if is_record(entry.name) and self._read(entry.name)])
        self._stamp = stamp if time.time() - stamp / 1e9 > _TICK else None
        return self._sorted

    def remember(self, name: str, record: Record) -> Record:
        """Take note of what a file holds now."""
        old = self._records.get(name)
        self._records[name] = record
        if record.problem and (old is None or old.problem != record.problem):
            _LOGGER.error("%s; it is left alone", record.problem)
        self._tell(old, record)
        return record

    def forget(self, name: str) -> None:
        """Take note that there is no such file."""
        self._tell(self._records.pop(name, None), None)

    def _read(self, name: str) -> Record | None:
        path = f"{self._directory}/{name}"
        known = self._records.get(name)
        try:
            if known and known.still_describes(os.stat(path)):  # noqa: PTH116 - a Path costs more than the call
                return known
            return self.remember(name, load(path))
        except FileNotFoundError:
            self.forget(name)
            return None
        except PermissionError as error:
            stat = (self._directory / name).stat()
            return self.remember(name, unreadable(stat, f"{path}: {error.strerror}"))
        except DamagedError:
            return self._set_aside(name)

    def _set_aside(self, name: str) -> Record | None:
        """Move a damaged file out of the way, where people find it."""
        path = self._directory / name
        aside = path.with_name(f"{name}.{secrets.token_hex(4)}{CORRUPT}")
        with self._lock.held():
            try:
                return self.remember(name, load(str(path)))  # another process may have written it anew
            except DamagedError as error:
                try:
                    path.rename(aside)
                except OSError:
                    return self.remember(name, unreadable(path.stat(), str(error)))
                _LOGGER.error("%s; it was moved to %s", error, aside)  # noqa: TRY400 - the trace tells nothing
            except FileNotFoundError:
                pass
        self.forget(name)
        return None

    def _adopt(self, names: Iterable[str]) -> None:
        present = set(names)
        for name in self._records.keys() - present:
            self.forget(name)
        self._sorted = sorted(self._records.values(), key=lambda record: record.key)
        self._complete = True

    def _tell(self, old: Record | None, new: Record | None) -> None:
        before, after = old and old.document, new and new.document
        changed = after or before
        if self._complete and changed and before != after:
            self._changed(changed.key)

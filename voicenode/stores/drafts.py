"""Files in the making: laid out under another name, flushed side by side, then given their own name."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from voicenode.stores.record import TEMPORARY, Record, parse

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Executor
    from pathlib import Path

SIDE_BY_SIDE = 8
"""Files that are flushed at once: the disk takes them together, so that their waits become one."""


class Draft:
    """One file, written and not flushed yet.

    There are few system calls here, and none in threads but the one that waits: each lets another thread run,
    and where many threads are ready, each must wait for its turn to go on.

    Raises:
        OSError: it cannot be written.
    """

    def __init__(self, directory: Path, name: str, contents: bytes) -> None:
        self._name = name
        self._path = f"{directory}/{name}"
        self._temporary = f"{directory}/.{name}{TEMPORARY}"
        self._contents = contents
        self._error: OSError | None = None
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        self._file = os.open(self._temporary, flags, 0o600)
        try:
            self._write()
        except BaseException:
            self.abandon()
            raise

    def flush(self) -> None:
        """Wait until it survives a power cut; whether it does, `publish` tells."""
        try:
            os.fsync(self._file)
        except OSError as error:
            self._error = error

    def publish(self) -> Record:
        """Put it in the place of the file of its name, and tell what is there now.

        Raises:
            OSError: this is not possible, or it was not flushed.
        """
        if self._error is not None:
            self.abandon()
            raise self._error
        try:
            record = parse(self._name, os.fstat(self._file), self._contents)
            os.rename(self._temporary, self._path)  # noqa: PTH104 - a Path costs more than the call
        except BaseException:
            self.abandon()
            raise
        os.close(self._file)
        return record

    def abandon(self) -> None:
        """Leave nothing of it."""
        os.close(self._file)
        with suppress(FileNotFoundError):
            os.unlink(self._temporary)  # noqa: PTH108 - likewise

    def _write(self) -> None:
        left = memoryview(self._contents)
        while left:
            left = left[os.write(self._file, left) :]
        # The kernel stamps in ticks of milliseconds; this stamp no other put has.
        os.utime(self._file, ns=(now := time.time_ns(), now))


def flush_all(drafts: Sequence[Draft], threads: Executor) -> None:
    """Flush many files."""
    if len(drafts) == 1:
        drafts[0].flush()
        return
    shares = [drafts[start::SIDE_BY_SIDE] for start in range(min(SIDE_BY_SIDE, len(drafts)))]
    for _ in threads.map(_flush_each, shares):
        pass


def _flush_each(drafts: Sequence[Draft]) -> None:
    for draft in drafts:
        draft.flush()

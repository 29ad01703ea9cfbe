"""A lock between threads and processes."""

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PATIENCE = 10.0
"""Seconds to wait for another process; its turns take milliseconds, so it hangs when it takes longer."""

_RETRY = 0.002


class FileLock:
    """Held by one thread of one process at a time; the thread that holds it may take it again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._threads = threading.RLock()
        self._depth = 0

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lock.

        Raises:
            OSError: the file cannot be opened, or another process kept the lock for too long.
        """
        with self._threads:
            if self._depth:
                yield
                return
            with flocked(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), fcntl.LOCK_EX):
                self._depth += 1
                try:
                    yield
                finally:
                    self._depth -= 1


@contextmanager
def flocked(descriptor: int, kind: int, patience: float | None = None) -> Iterator[None]:
    """Hold a shared or exclusive lock on an open file or directory, which is closed afterwards.

    Raises:
        TimeoutError: others kept it for longer than `patience` seconds, `PATIENCE` where none is given.
    """
    deadline = time.monotonic() + (PATIENCE if patience is None else patience)
    try:
        while True:
            with suppress(BlockingIOError):
                fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
                break
            if time.monotonic() >= deadline:
                raise TimeoutError("another process keeps it locked")
            time.sleep(_RETRY)
        yield
    finally:
        os.close(descriptor)

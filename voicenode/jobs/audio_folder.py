"""The audio of jobs on disk: bounded in bytes, under names that nobody can guess."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
from collections import OrderedDict
from typing import TYPE_CHECKING, BinaryIO

from voicenode.errors import ErrorCode, StoreError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable
    from pathlib import Path

    from voicenode.encoding import AudioFormat

_log = logging.getLogger(__name__)

_TOKEN_BYTES = 18


class AudioFolder:
    """Files that are being written, and files that are kept; the oldest of these make room for new ones.

    Args:
        directory: made readable for this user alone where it does not exist yet; nothing else may lie in it.
        max_bytes: what all files together may take; passed by a block or so before something is done.
        evicted: told the name of a file that was removed to make room.
    """

    def __init__(self, directory: Path, max_bytes: int, evicted: Callable[[str], Awaitable[None]]) -> None:
        self.used = 0
        self._directory = directory
        self._max_bytes = max_bytes
        self._evicted = evicted
        self._growing: dict[str, int] = {}
        self._kept: OrderedDict[str, int] = OrderedDict()

    async def open(self, names: Iterable[str]) -> None:
        """Keep the files of these names, oldest first, and remove all others: a crash left them behind.

        Raises:
            StoreError: the directory cannot be used.
        """
        try:
            sizes = await asyncio.to_thread(self._clean, set(names))
        except OSError as error:
            raise StoreError.of(error, f"{self._directory} cannot be used") from error
        self._kept = OrderedDict((name, sizes[name]) for name in names if name in sizes)
        self.used = sum(self._kept.values())

    def path(self, name: str) -> Path | None:
        """Where a kept file lies; none for any other name."""
        return self._directory / name if name in self._kept else None

    def reserve(self, audio_format: AudioFormat) -> Path:
        """A path for a new file."""
        name = f"{secrets.token_urlsafe(_TOKEN_BYTES)}.{audio_format}"
        self._growing[name] = 0
        return self._directory / name

    async def grow(self, name: str, size: int) -> None:
        """Note the size of a file that is being written.

        Raises:
            StoreError: it is too large, although every kept file made room.
        """
        self.used += size - self._growing[name]
        self._growing[name] = size
        while self.used > self._max_bytes:
            if not self._kept:
                raise StoreError(
                    ErrorCode.DISK_FULL,
                    f"The audio needs more than the {self._max_bytes} bytes that jobs may take; "
                    "raise jobs.max_bytes, or choose opus or mp3.",
                )
            oldest = next(iter(self._kept))
            await self.remove(oldest)
            await self._evicted(oldest)

    def keep(self, name: str) -> None:
        """From now on the file is finished, and may be removed to make room."""
        self._kept[name] = self._growing.pop(name)

    async def remove(self, name: str) -> None:
        """Remove a file, whatever its state; one that is not there is no error."""
        self.used -= self._kept.pop(name, 0) + self._growing.pop(name, 0)
        try:
            await asyncio.to_thread((self._directory / name).unlink, missing_ok=True)
        except OSError as error:  # the next start tries again
            _log.error("%s cannot be removed: %s", self._directory / name, error.strerror)

    def _clean(self, kept: set[str]) -> dict[str, int]:
        self._directory.mkdir(0o700, parents=True, exist_ok=True)
        sizes = {}
        for path in self._directory.iterdir():
            if path.name in kept:
                sizes[path.name] = path.stat().st_size
            else:
                path.unlink()
        return sizes


def create(path: Path) -> BinaryIO:
    """A new file that only this user may read; blocks."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb")


def seal(file: BinaryIO, path: Path) -> int:
    """Close a file so that it survives a power cut, and tell its size; blocks."""
    with file:
        file.flush()
        os.fsync(file.fileno())
        size = os.fstat(file.fileno()).st_size
    directory = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
    return size

"""Copies of files that are kept elsewhere, on this machine's disk, bounded. Everything here blocks.

A copy is named by the SHA-256 of its contents, so it is never out of date, and equal files are one. It is not
flushed to the disk: what a power cut left of it is noticed when it is opened.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from io import BufferedReader

_TEMPORARY = ".tmp"
_STALE_SECONDS = 3600.0
"""After which a draft that nobody finished is a leftover."""


class FileCache:
    """A directory of copies; those that were not opened for longest go when there are too many.

    Args:
        directory: made where it does not exist; several processes may share it.
        limit: bytes that all copies may take; the one added last always stays.

    Methods raise OSError.
    """

    def __init__(self, directory: Path, limit: int) -> None:
        self.directory = directory
        self._limit = limit
        self._whole: set[str] = set()
        """What this process has seen to be whole."""

    def open(self, digest: str, size: int) -> BinaryIO | None:
        """The copy of these contents; none where there is none."""
        path = self.directory / digest
        try:
            file = path.open("rb")
        except FileNotFoundError:
            return None
        if os.fstat(file.fileno()).st_size == size and self._is_whole(digest, file):
            with suppress(OSError):  # another process removed it meanwhile; what is open stays
                os.utime(path)
            return file
        file.close()
        path.unlink(missing_ok=True)
        return None

    def adopt(self, digest: str, source: bytes | Path) -> None:
        """Make a copy of what has these contents; a path is moved."""
        with self.draft() as draft:
            if isinstance(source, bytes):
                draft.write(source)
        if isinstance(source, Path):
            shutil.move(source, draft.name)
            Path(draft.name).chmod(0o600)
        self._keep(draft, digest)

    def draft(self) -> BinaryIO:
        """A file to write contents to; `publish` or `abandon` follows."""
        self.directory.mkdir(0o700, parents=True, exist_ok=True)
        path = self.directory / f"{secrets.token_hex(8)}{_TEMPORARY}"
        return path.open("xb")

    def publish(self, draft: BinaryIO, digest: str, size: int) -> BinaryIO | None:
        """The copy that a draft became; none where its contents are others."""
        draft.close()
        self._keep(draft, digest)
        return self.open(digest, size)

    def abandon(self, draft: BinaryIO) -> None:
        """Leave nothing of a draft that was not published."""
        draft.close()
        Path(draft.name).unlink(missing_ok=True)

    def _keep(self, draft: BinaryIO, digest: str) -> None:
        Path(draft.name).replace(self.directory / digest)
        self._clean(digest)

    def _is_whole(self, digest: str, file: BufferedReader) -> bool:
        if digest not in self._whole:
            if hashlib.file_digest(file, "sha256").hexdigest() != digest:
                return False
            self._whole.add(digest)
            file.seek(0)
        return True

    def _clean(self, newest: str) -> None:
        total = 0
        for path, stat in self._from_last_used():
            if path.suffix == _TEMPORARY:
                surplus = time.time() - stat.st_mtime > _STALE_SECONDS
            else:
                total += stat.st_size
                surplus = total > self._limit and path.name != newest
            if surplus:
                path.unlink(missing_ok=True)

    def _from_last_used(self) -> list[tuple[Path, os.stat_result]]:
        found = []
        for path in self.directory.iterdir():
            with suppress(FileNotFoundError):  # another process was quicker
                found.append((path, path.stat()))
        return sorted(found, key=lambda each: each[1].st_mtime_ns, reverse=True)

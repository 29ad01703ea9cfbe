"""The audio files of one folder, opened by name and read in threads of their own."""

from __future__ import annotations

import asyncio
import errno
import os
import re
import stat
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from io import FileIO
from typing import TYPE_CHECKING, TypeVar, TypeVarTuple

from voicenode.encoding import AudioFormat
from voicenode.errors import BusyError, ErrorCode, RequestError, StoreError
from voicenode.transports.http.conditions import Version

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

Result = TypeVar("Result")
Arguments = TypeVarTuple("Arguments")

_NAME = re.compile(rf"[A-Za-z0-9_-]{{16,128}}\.({'|'.join(AudioFormat)})")
"""A token that nobody can guess, and the format; above all no dot, no slash, nothing half-written."""

_THREADS = 4
"""Enough for disks; players share them, and a slow disk keeps no thread from the rest of the node."""
_READS = 16
"""In flight at once: what they bring is all sent in one turn of the loop, which others wait for."""

_ABSENT = {errno.ENOENT, errno.ELOOP, errno.ENOTDIR, errno.ENAMETOOLONG, errno.EISDIR, errno.ENXIO}
_TOO_MANY_OPEN = {errno.EMFILE, errno.ENFILE}


class AudioFiles:
    """Opens the files of a folder; what is a link or no file at all is not there."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="http file")
        self._turns = asyncio.Semaphore(_READS)

    @asynccontextmanager
    async def open(self, name: str) -> AsyncIterator[AudioFile]:
        """The file of this name, which stays readable when it is removed meanwhile.

        Raises:
            RequestError: there is none.
            BusyError, StoreError: it cannot be opened.
        """
        match = _NAME.fullmatch(name)
        if match is None:
            raise _no_such_file()
        try:
            file, status = await self._in_thread(self._open, name)
        except OSError as error:
            raise _as_ours(error) from error
        with file:
            yield AudioFile(file.fileno(), status.st_size, _version(status), AudioFormat(match[1]), self)

    async def read(self, fd: int, part: range) -> bytes:
        """These bytes of an open file; fewer if it has become shorter."""
        return await self._in_thread(os.pread, fd, len(part), part.start)

    async def close(self) -> None:
        """End the threads."""
        await asyncio.to_thread(self._threads.shutdown)

    async def _in_thread(self, work: Callable[[*Arguments], Result], *arguments: *Arguments) -> Result:
        """Returns only after the work, even if cancelled: nobody closes a descriptor that is being read."""
        async with self._turns:
            working = asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)
            try:
                return await asyncio.shield(working)
            except asyncio.CancelledError:
                await asyncio.wait([working])
                raise

    def _open(self, name: str) -> tuple[FileIO, os.stat_result]:
        file = FileIO(self._directory / name, opener=_open_what_is_there)
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            file.close()
            raise FileNotFoundError(errno.ENOENT, "not a file")
        return file, status


@dataclass(frozen=True, slots=True)
class AudioFile:
    """An open file."""

    fd: int
    size: int
    version: Version
    format: AudioFormat
    folder: AudioFiles

    async def read(self, part: range) -> bytes:
        """As `AudioFiles.read`."""
        return await self.folder.read(self.fd, part)


def _open_what_is_there(path: str, flags: int) -> int:
    """No link; and not blocking, for what is no file: opening a pipe would wait for its other end."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)


def _version(status: os.stat_result) -> Version:
    return Version(f'"{status.st_mtime_ns:x}-{status.st_size:x}-{status.st_ino:x}"', int(status.st_mtime))


def _no_such_file() -> RequestError:
    return RequestError(ErrorCode.NOT_FOUND, "there is no such audio file; it may have expired")


def _as_ours(error: OSError) -> RequestError | BusyError | StoreError:
    if error.errno in _ABSENT:
        return _no_such_file()
    if error.errno in _TOO_MANY_OPEN:
        return BusyError("the node has too many files open; try again later")
    return StoreError.of(error, "cannot open the audio file")

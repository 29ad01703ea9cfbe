"""The sound of one job on its way out: encoded in threads, one block at a time."""

from __future__ import annotations

import asyncio
import io
import threading
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import TYPE_CHECKING, BinaryIO, TypeVar, TypeVarTuple, cast

from voicenode.audio import PcmFormat
from voicenode.encoding import AudioFormat, Encoder
from voicenode.errors import StoreError
from voicenode.jobs.audio_folder import create, seal
from voicenode.jobs.job import Job, JobAudio

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from concurrent.futures import Executor
    from pathlib import Path

    from voicenode.jobs.audio_folder import AudioFolder

Arguments = TypeVarTuple("Arguments")
Result = TypeVar("Result")

Write = Callable[[bytes], Awaitable[None]]
Sink = Callable[[Job, PcmFormat], AbstractAsyncContextManager[Write]]
"""Takes the encoded sound of one job as it is made; the format is what a decoder will find in it.

It is entered with the first sound, and left when all is written or with what went wrong. A sink that lets
its caller wait holds the engine back.
"""

_BLOCK = 64 * 1024
"""Bytes of PCM that go to a file in one go."""


class Outlet(ABC):
    """Where the sound of one job goes; entered by one of the functions below."""

    @abstractmethod
    async def write(self, pcm: bytes) -> None:
        """Take whole frames."""

    @abstractmethod
    async def finish(self) -> JobAudio:
        """Write what was held back; nothing may follow."""


@asynccontextmanager
async def to_file(
    folder: AudioFolder, executor: Executor, job: Job, source: PcmFormat
) -> AsyncIterator[Outlet]:
    """Into a new file, which is removed unless it was finished; it counts as growing until it is kept."""
    path = folder.reserve(job.options.format)
    outlet = _FileOutlet(folder, path, executor, job)
    try:
        await outlet.open(source)
        yield outlet
    except BaseException:
        await outlet.abandon()
        await folder.remove(path.name)
        raise


@asynccontextmanager
async def to_sink(sink: Sink, executor: Executor, job: Job, source: PcmFormat) -> AsyncIterator[Outlet]:
    """Into a sink, as a stream: headers that a file gets at its end stay as they were at its start."""
    thread, pipe = _Thread(executor), _Pipe(job.options.format)
    options = job.options
    encoder = await thread.run(Encoder, options.format, source, cast("BinaryIO", pipe), options.sample_rate)
    try:
        async with sink(job, encoder.pcm_format) as write:
            yield _SinkOutlet(options.format, thread, pipe, encoder, write)
    finally:
        await thread.end(encoder.close)


class _Thread:
    """Runs blocking calls one after the other, also when a task no longer waits for the last one."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._lock = threading.Lock()
        self._ended = False

    async def end(self, function: Callable[[], None]) -> None:
        """Call a last function; of those before it, what nobody waits for any more may never be called."""

        def last() -> None:
            self._ended = True
            function()

        await self.run(last)

    async def run(self, function: Callable[[*Arguments], Result], *arguments: *Arguments) -> Result:
        """Call a function.

        Raises:
            StoreError: for every OSError.
        """

        def call() -> Result:
            with self._lock:
                if self._ended:  # whoever asked was cancelled, and this thread was slow to begin
                    raise RuntimeError("called after the last call")
                return function(*arguments)

        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, call)
        except OSError as error:
            raise StoreError.of(error, "The audio cannot be written") from error


class _FileOutlet(Outlet):
    def __init__(self, folder: AudioFolder, path: Path, executor: Executor, job: Job) -> None:
        self._folder = folder
        self._path = path
        self._thread = _Thread(executor)
        self._job = job
        self._pending = bytearray()
        self._file: BinaryIO | None = None
        self._encoder: Encoder | None = None

    async def open(self, source: PcmFormat) -> None:
        await self._thread.run(self._open, source)

    async def write(self, pcm: bytes) -> None:
        self._pending += pcm
        if len(self._pending) >= _BLOCK:
            await self._folder.grow(self._path.name, await self._thread.run(self._flush, self._take()))

    async def finish(self) -> JobAudio:
        audio = await self._thread.run(self._finish, self._take())
        await self._folder.grow(self._path.name, audio.bytes)
        return audio

    async def abandon(self) -> None:
        await self._thread.end(self._abandon)

    def _take(self) -> bytes:
        pending, self._pending = self._pending, bytearray()
        return bytes(pending)

    def _open(self, source: PcmFormat) -> None:
        options = self._job.options
        self._file = create(self._path)
        self._encoder = Encoder(options.format, source, self._file, options.sample_rate)

    def _flush(self, pcm: bytes) -> int:
        assert self._file and self._encoder  # noqa: S101, PT018 - for the type checker: it is open
        self._encoder.write(pcm)
        return self._file.tell()

    def _finish(self, pcm: bytes) -> JobAudio:
        assert self._file and self._encoder  # noqa: S101, PT018 - for the type checker: it is open
        self._encoder.write(pcm)
        self._encoder.close()
        size = seal(self._file, self._path)
        return _audio(self._job.options.format, self._encoder, size, self._path.name)

    def _abandon(self) -> None:
        # What brought us here may well come again: a full disk fails every flush.
        for each in (self._encoder, self._file):
            if each is not None:
                with suppress(OSError, ValueError):
                    each.close()


class _SinkOutlet(Outlet):
    def __init__(
        self, audio_format: AudioFormat, thread: _Thread, pipe: _Pipe, encoder: Encoder, write: Write
    ) -> None:
        self._audio_format = audio_format
        self._thread = thread
        self._pipe = pipe
        self._encoder = encoder
        self._write = write

    async def write(self, pcm: bytes) -> None:
        await self._thread.run(self._encoder.write, pcm)
        await self._pass_on()

    async def finish(self) -> JobAudio:
        await self._thread.run(self._encoder.close)
        await self._pass_on()
        return _audio(self._audio_format, self._encoder, self._pipe.end)

    async def _pass_on(self) -> None:
        if encoded := self._pipe.take():
            await self._write(encoded)


class _Pipe:
    """A file of which only the end can be had: what is rewritten further in front has long been sent."""

    def __init__(self, audio_format: AudioFormat) -> None:
        self.end = 0
        # A WAV or PCM that cannot seek is written as a stream from the start; the others insist.
        self._seekable = audio_format not in {AudioFormat.WAV, AudioFormat.PCM}
        self._position = 0
        self._new = bytearray()

    def take(self) -> bytes:
        """What was appended since the last time."""
        taken = bytes(self._new)
        self._new.clear()
        return taken

    def seekable(self) -> bool:
        return self._seekable

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.end}[whence]
        self._position = start + offset
        return self._position

    def write(self, block: bytes) -> int:
        block = bytes(block)
        self._position += len(block)
        appended = max(0, self._position - self.end)
        self._new += block[len(block) - appended :]
        self.end += appended
        return len(block)


def _audio(audio_format: AudioFormat, encoder: Encoder, size: int, file: str | None = None) -> JobAudio:
    return JobAudio(
        format=audio_format,
        sample_rate=encoder.pcm_format.rate,
        duration_s=round(encoder.seconds, 3),
        bytes=size,
        file=file,
    )

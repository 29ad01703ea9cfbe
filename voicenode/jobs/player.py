"""Sound on the node's own sound card, through a command such as `aplay -q -`."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from voicenode.errors import ErrorCode, SetupError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from voicenode.audio import PcmFormat
    from voicenode.jobs.job import Job
    from voicenode.jobs.streaming import Write

_SHOWN_CHARS = 200
"""Of what a failed command said."""
_PATIENCE = 1.0
"""Seconds to wait for the last words of a command that ended."""


class Player:
    """A sink that runs a command for each job, with a WAV as its standard input; it is killed on cancel."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = list(command)

    @asynccontextmanager
    async def __call__(self, job: Job, pcm_format: PcmFormat) -> AsyncIterator[Write]:  # noqa: ARG002 - a Sink
        """Play what is written, and wait at the end until it was heard.

        Raises:
            SetupError: the command cannot be run, or failed.
        """
        process = await self._start()
        assert process.stdin  # noqa: S101 - for the type checker: it is a pipe
        complaints = asyncio.create_task(_tail(process), name="player complaints")
        try:
            yield self._writer(process, process.stdin, complaints)
            process.stdin.close()
            if await process.wait():
                raise await self._failure(process, complaints)
        finally:
            await _end(process, complaints)

    async def _start(self) -> asyncio.subprocess.Process:
        pipe, null = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
        try:
            return await asyncio.create_subprocess_exec(*self._command, stdin=pipe, stdout=null, stderr=pipe)
        except FileNotFoundError:
            program = self._command[0]
            what = f"The player '{program}' is not installed; install it, or name another in jobs.player"
            raise SetupError(ErrorCode.PLAYER_FAILED, what) from None
        except OSError as error:
            raise self._error(error.strerror or str(error)) from error

    def _writer(
        self, process: asyncio.subprocess.Process, stdin: asyncio.StreamWriter, complaints: asyncio.Task[str]
    ) -> Write:
        async def write(wav: bytes) -> None:
            try:
                stdin.write(wav)
                await stdin.drain()
            except ConnectionError:
                raise await self._failure(process, complaints) from None

        return write

    async def _failure(
        self, process: asyncio.subprocess.Process, complaints: asyncio.Task[str]
    ) -> SetupError:
        status = await process.wait()
        await asyncio.wait([complaints], timeout=_PATIENCE)  # a child of the command may hold on to stderr
        complaint = complaints.result() if complaints.done() else ""
        return self._error(complaint or f"it ended with status {status} before the sound did")

    def _error(self, reason: str) -> SetupError:
        command = " ".join(self._command)
        return SetupError(ErrorCode.PLAYER_FAILED, f"The player '{command}' failed: {reason[:_SHOWN_CHARS]}")


async def _tail(process: asyncio.subprocess.Process) -> str:
    """The last line of what the command complains about, read all the time so that it never waits for us."""
    assert process.stderr  # noqa: S101 - for the type checker: it is a pipe
    last = b""
    while block := await process.stderr.read(4096):
        last = (last + block)[-4096:]
    return last.decode(errors="replace").strip().rpartition("\n")[2]


async def _end(process: asyncio.subprocess.Process, complaints: asyncio.Task[str]) -> None:
    complaints.cancel()
    with suppress(ProcessLookupError):
        process.kill()
    await process.wait()

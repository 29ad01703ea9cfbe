"""Hides what importing an engine's libraries costs: that is done ahead, in a process that is then forked."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
from typing import TYPE_CHECKING

from voicenode.usage import available_memory
from voicenode.workers.child import Spawned
from voicenode.workers.forkserver import PACKET, READY

if TYPE_CHECKING:
    from collections.abc import Callable

    from voicenode.workers.child import Child
    from voicenode.workers.process import EngineSpec

_log = logging.getLogger(__name__)

_PATIENCE = 5.0
"""Seconds for an answer that takes milliseconds."""
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 300.0
"""Seconds until a fork server that has died is started again; doubled as long as none lives for long."""


_ROOM = 4 << 30
"""Bytes of free memory where libraries may stay imported without being asked for; they take 0.5 to 1 GB."""


class ForkServerError(Exception):
    """The fork server is not there; the engine is started without it."""


class Prewarmed:
    """Keeps one engine's fork server running, from `start` to `close`; `begun` is told when it is ready."""

    def __init__(self, spec: EngineSpec, begun: Callable[[], None]) -> None:
        self._spec = spec
        self._begun = begun
        self._server: _Server | None = None
        self._keeping: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """The fork server's process, once it is ready."""
        return None if self._server is None else self._server.process.pid

    def start(self) -> None:
        self._keeping = asyncio.create_task(self._keep(), name=f"prewarm engine {self._spec.info.name}")

    async def close(self) -> None:
        """End the fork server; what was forked goes on."""
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.wait([self._keeping])

    async def fork(self, fd: int) -> Child:
        """A process with the libraries imported, which has `fd` as its connection.

        Raises:
            ForkServerError: not now.
        """
        if self._server is None:
            raise ForkServerError("it is not ready")
        forking = asyncio.create_task(self._server.fork(fd))
        try:
            return await asyncio.shield(forking)
        except asyncio.CancelledError:
            with contextlib.suppress(ForkServerError):
                child = await forking
                child.kill()
                await child.wait()
            raise

    async def _keep(self) -> None:
        name, pause, clock = self._spec.info.name, _FIRST_PAUSE, asyncio.get_running_loop().time
        if self._spec.prewarm_imports is None and not await asyncio.to_thread(_is_room):
            _log.info("engine %s: its libraries are not imported ahead: less than 4 GiB are free", name)
            return
        while True:
            begun = clock()
            try:
                await self._live()
            except ForkServerError as error:
                _log.info("engine %s: its libraries are not imported ahead: %s", name, error)
                return
            except OSError as error:
                _log.warning("engine %s: its fork server does not start: %s", name, error)
            pause = _FIRST_PAUSE if clock() - begun > _LONGEST_PAUSE else min(2 * pause, _LONGEST_PAUSE)
            await asyncio.sleep(pause)

    async def _live(self) -> None:
        """Run one fork server until it dies.

        Raises:
            ForkServerError: it will never be of use.
            OSError: it did not get ready.
        """
        name = self._spec.info.name
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        with ours:
            with theirs:
                module, path = "voicenode.workers.forkserver", self._spec.path
                process = await Spawned.start(self._spec.python, module, theirs.fileno(), path)
            try:
                server = _Server(process, ours)
                await server.ready()
                _log.info("engine %s: its libraries are imported (pid %d)", name, process.pid)
                self._server = server
                self._begun()
                await process.wait()
                _log.warning("engine %s: its fork server died and is started again", name)
            finally:
                self._server = None
                process.kill()
                await asyncio.shield(process.wait())


def _is_room() -> bool:
    available = available_memory()
    return available is not None and available >= _ROOM


class _Server:
    """One fork server, which is asked one thing at a time."""

    def __init__(self, process: Spawned, connection: socket.socket) -> None:
        self.process = process
        self._connection = connection
        self._asking = asyncio.Lock()

    async def ready(self) -> None:
        """Wait until it is.

        Raises:
            ForkServerError: it never will be; the reason.
            OSError: it has died.
        """
        said = await asyncio.get_running_loop().sock_recv(self._connection, PACKET)
        if not said:
            raise ConnectionResetError("it has died")
        if said != READY:
            raise ForkServerError(said.decode(errors="replace"))

    async def fork(self, fd: int) -> Child:
        pid = await self._ask(b"fork", fd)
        try:
            return _Forked(pid, self)
        except OSError as error:  # an old kernel, or a container's rules
            raise ForkServerError(f"pidfd_open: {error.strerror}") from error

    async def status(self, pid: int) -> int:
        """The exit status of a process that has ended, of which nothing is left then."""
        return await self._ask(str(pid).encode())

    async def _ask(self, packet: bytes, *fds: int) -> int:
        async with self._asking:
            try:
                async with asyncio.timeout(_PATIENCE):
                    socket.send_fds(self._connection, [packet], fds)
                    return int(await asyncio.get_running_loop().sock_recv(self._connection, PACKET))
            except (OSError, ValueError) as error:  # ValueError: no answer, but its end
                self.process.kill()  # if it lives, its answers can no longer be told apart
                raise ForkServerError(str(error) or "it does not answer") from error


class _Forked:
    """A process of a fork server's: until its status was asked for, its id is nobody else's."""

    def __init__(self, pid: int, server: _Server) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._server = server
        self._handle = os.pidfd_open(pid)
        self._ending = asyncio.create_task(self._end(), name=f"process {pid}")

    def kill(self) -> None:
        if not self._ending.done():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)

    async def wait(self) -> None:
        await asyncio.shield(self._ending)

    async def _end(self) -> None:
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self._handle, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(self._handle)
            os.close(self._handle)
        with contextlib.suppress(ForkServerError):
            self.returncode = await self._server.status(self.pid)

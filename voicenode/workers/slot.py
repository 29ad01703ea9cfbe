"""One engine of the pool: it is loaded when it is needed, and ends when nobody holds it."""

from __future__ import annotations

import asyncio
import logging
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from voicenode.errors import BusyError, EngineError, ErrorCode
from voicenode.workers.prewarm import Prewarmed
from voicenode.workers.process import EngineProcess
from voicenode.workers.turns import TurnQueue

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from voicenode.workers.pool import EnginePool
    from voicenode.workers.process import EngineSpec

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class EngineState:
    """What one engine is doing."""

    name: str
    state: Literal["unloaded", "loading", "ready", "speaking"]
    pid: int | None
    waiting: int
    """Segments that wait for their turn."""
    needs: int = 0
    """Bytes of device memory that it needs when it is loaded."""
    starts: int = 0
    """How often a process was loaded since the node began."""
    losses: int = 0
    """How many of these processes died or had to be killed, instead of being ended."""
    error: str | None = None
    """Why it could not be loaded, if the last try failed."""
    prewarmed: int | None = None
    """The process that has its libraries imported, once it has."""
    resident: int | None = None
    """Bytes of the machine's memory that its process takes, if it has one and they were counted yet."""
    prewarmed_resident: int | None = None
    """The same of the process that has its libraries imported."""
    vram: int | None = None
    """Bytes of device memory that its process takes; None where nobody knows, or it computes elsewhere."""


class Slot:
    """One engine of the pool, loaded or not."""

    def __init__(self, spec: EngineSpec, pool: EnginePool) -> None:
        self.spec = spec
        self.queue = TurnQueue(spec.info.streams)
        self.holders = 0
        self.last_used = 0.0
        self._pool = pool
        self._prewarmed = Prewarmed(spec, pool.footprint.watch)
        self._process: EngineProcess | None = None
        self._loading: asyncio.Task[EngineProcess] | None = None
        self.starting = False
        self._idle: asyncio.TimerHandle | None = None
        self._starts = 0
        self._ended = 0
        self._error: str | None = None
        self._keep_alive: float | None = None

    @property
    def alive(self) -> bool:
        return self._process is not None and not self._process.closed.is_set()

    @property
    def occupied(self) -> bool:
        """Whether the engine has memory on the device, or is about to."""
        return self.alive or self.starting

    @property
    def busy(self) -> bool:
        return self.starting or self.queue.running > 0

    def state(self) -> EngineState:
        pid = self._process.pid if self._process is not None and self.alive else None
        if pid is not None:
            what: Literal["unloaded", "loading", "ready", "speaking"] = (
                "speaking" if self.queue.running else "ready"
            )
        else:
            what = "loading" if self._loading is not None else "unloaded"
        footprint = self._pool.footprint
        return EngineState(
            name=self.spec.info.name,
            state=what,
            pid=pid,
            waiting=self.queue.waiting,
            needs=self.spec.memory,
            starts=self._starts,
            losses=self._starts - self._ended - self.alive,
            error=self._error,
            prewarmed=self._prewarmed.pid,
            resident=footprint.resident(pid),
            prewarmed_resident=footprint.resident(self._prewarmed.pid),
            vram=footprint.vram(pid) if pid is not None and self.spec.memory else None,
        )

    def pids(self) -> Mapping[int, bool]:
        """Its processes, each with whether it may have memory of a GPU."""
        own = {self._process.pid: self.spec.memory > 0} if self._process is not None and self.alive else {}
        return own if self._prewarmed.pid is None else {**own, self._prewarmed.pid: False}

    @contextmanager
    def held(self, keep_alive: float | None = None) -> Iterator[None]:
        """Keep the engine from going idle, and for `keep_alive` seconds afterwards."""
        self.holders += 1
        self._keep_alive = keep_alive
        self._disarm()
        try:
            yield
        finally:
            self.holders -= 1
            self.last_used = asyncio.get_running_loop().time()
            self.rest()
            self._pool.note_change()

    async def loaded(self) -> EngineProcess:
        """The running process; it is started when there is none. Leaving early does not stop the loading."""
        if self._pool.closed:
            raise BusyError("the node is shutting down; ask again when it is back")
        if self._process is not None and self.alive:
            return self._process
        if self._loading is None:
            self._loading = asyncio.create_task(self._load(), name=f"load engine {self.spec.info.name}")
            self._loading.add_done_callback(self._note_loaded)
        loading = self._loading
        try:
            return await asyncio.shield(loading)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            name = self.spec.info.name
            raise EngineError(
                ErrorCode.ENGINE_LOST, f"engine '{name}' was ended while it was loaded"
            ) from None

    def prewarm(self) -> None:
        """Import the engine's libraries ahead, if that is wanted."""
        if self.spec.prewarm_imports is not False:
            self._prewarmed.start()

    async def close(self) -> None:
        """End the engine's process, and what was prewarmed for it."""
        await self.stop()
        await self._prewarmed.close()

    async def stop(self) -> None:
        """End the engine's process, loaded or loading."""
        self._disarm()
        if self._loading is not None:
            self._loading.cancel()
            await asyncio.wait([self._loading])
        # Forgotten first: a request that comes while the process ends starts another.
        process, self._process = self._process, None
        if process is not None:
            self._ended += not process.closed.is_set()
            await process.stop()
        self._pool.note_change()

    async def _load(self) -> EngineProcess:
        await self._pool.make_room(self)
        self.starting = True
        try:
            begun = asyncio.get_running_loop().time()
            self._process = await EngineProcess.start(self.spec, self._prewarmed)
            self.queue.streams = self._process.streams
            self._starts += 1
            self._error = None
            self._pool.footprint.watch()
            took = asyncio.get_running_loop().time() - begun
            _log.info("engine %s is loaded (%.2f s, pid %d)", self.spec.info.name, took, self._process.pid)
            return self._process
        finally:
            self.starting = False
            self._pool.note_change()

    def _note_loaded(self, loading: asyncio.Task[EngineProcess]) -> None:
        self._loading = None
        if not loading.cancelled() and (error := loading.exception()):
            self._error = str(error)
            _log.error("%s", error)
        self.rest()

    def rest(self) -> None:
        """Start the clock at whose end the engine ends, if nobody holds it."""
        self._disarm()
        timeout = self._pool.idle_timeout(self) if self._keep_alive is None else self._keep_alive
        if self.holders or timeout < 0 or not self.alive:
            return
        self._idle = asyncio.get_running_loop().call_later(timeout, self._go_idle)

    def _disarm(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None

    def _go_idle(self) -> None:
        self._pool.own(asyncio.create_task(self._end_idle(), name=f"end engine {self.spec.info.name}"))

    async def _end_idle(self) -> None:
        if not self.holders and self.alive:
            _log.info("engine %s is idle and ends", self.spec.info.name)
            await self.stop()

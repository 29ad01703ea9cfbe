"""Which engines may be loaded at once, and who may use them."""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from time import perf_counter
from typing import TYPE_CHECKING, Literal

from voicenode.errors import BusyError, EngineError, ErrorCode
from voicenode.workers.process import EngineDiedError, EngineProcess, EngineSpec
from voicenode.workers.turns import TurnQueue

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator, Sequence

    from voicenode.audio import PcmFormat
    from voicenode.engine import Segment

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class EngineState:
    """What one engine is doing."""

    name: str
    state: Literal["unloaded", "loading", "ready", "speaking"]
    pid: int | None
    waiting: int
    """Segments that wait for their turn."""
    starts: int = 0
    """How often a process was loaded since the node began."""
    losses: int = 0
    """How many of these processes died or had to be killed, instead of being ended."""
    error: str | None = None
    """Why it could not be loaded, if the last try failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolLimits:
    """What the engines of a node may take."""

    max_waiting: int = 32
    """Requests that may wait for their first turn; one more is refused as busy."""
    wait_timeout: float = 30.0
    """Seconds that a request waits for its first turn, loading apart, before it is refused."""
    idle_timeout: float = 300.0
    """Seconds after the last request until an engine's process ends; 0: at once, -1: never."""
    memory: int | None = None
    """Bytes of device memory that all engines together may need; None: no bound."""
    low_vram: bool = False
    """Only one engine that needs device memory at a time, and none that has nothing to do."""


class EnginePool:
    """The engines of a node: each is loaded when somebody holds it, and ended when it is idle."""

    def __init__(self, specs: Iterable[EngineSpec], limits: PoolLimits) -> None:
        self._limits = limits
        self._slots = {spec.info.name: _Slot(spec, self) for spec in specs}
        self._waiting = 0
        self._changed = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self.closed = False

    @asynccontextmanager
    async def hold(
        self, engine: str, *, live: bool = True, keep_alive: float | None = None
    ) -> AsyncIterator[Turns]:
        """Load an engine and keep it loaded; the turns of one request are taken from what this gives.

        `keep_alive` is for this time what the idle timeout is for all others.

        Raises:
            EngineError: it cannot be loaded.
            BusyError: what it needs of the device's memory did not become free.
        """
        slot = self._slots[engine]
        with slot.held(keep_alive):
            process = await slot.loaded()
            yield Turns(self, slot, process.format, live=live)

    async def clone(self, engine: str, recordings: Sequence[str], transcript: str | None) -> bytes:
        """What an engine keeps of a voice; it waits for its turn like batch work.

        Raises:
            RequestError: the engine refuses these recordings.
            EngineError, BusyError: as `hold`, or the engine failed.
        """
        async with self.hold(engine, live=False) as turns:
            return await turns.clone(recordings, transcript)

    def states(self) -> Sequence[EngineState]:
        return [slot.state() for slot in self._slots.values()]

    async def unload(self, engine: str) -> None:
        """End an engine's process now; what it is speaking fails."""
        await self._slots[engine].stop()

    def set_idle_timeout(self, seconds: float) -> None:
        """Change how long an engine stays without work; for those that are idle it counts from now."""
        self._limits = replace(self._limits, idle_timeout=seconds)
        for slot in self._slots.values():
            slot.rest()

    async def load(self, engine: str) -> None:
        """Load an engine for those who come next; it goes idle as after a request.

        Raises:
            EngineError, BusyError: as `hold`.
        """
        async with self.hold(engine):
            pass

    async def close(self) -> None:
        """End every engine's process, for good: what is being spoken fails, and so does what still waits."""
        self.closed = True
        await asyncio.gather(*(slot.stop() for slot in self._slots.values()))
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def first_turn(self, queue: TurnQueue, *, live: bool) -> None:
        """Take a request's first turn from `queue`, unless too many wait or it takes too long."""
        limits = self._limits
        if not queue.free and self._waiting >= limits.max_waiting:
            raise BusyError(f"{self._waiting} requests are waiting already; try again later")
        self._waiting += 1
        try:
            async with asyncio.timeout(limits.wait_timeout):
                await queue.take(live=live)
        except TimeoutError as error:
            raise BusyError(f"no turn within {limits.wait_timeout:g} s; try again later") from error
        finally:
            self._waiting -= 1

    def note_change(self) -> None:
        """An engine has less to do than before: whoever waits for memory looks again."""
        self._changed.set()

    async def make_room(self, slot: _Slot) -> None:
        """Wait until the device has room for `slot`, ending engines that are idle, least recently used first.

        Raises:
            BusyError: the others had something to do for too long.
        """
        try:
            async with asyncio.timeout(self._limits.wait_timeout):
                while not self._fits(slot):
                    await self._free_some(slot)
        except TimeoutError as error:
            name = slot.spec.info.name
            raise BusyError(f"engine '{name}' waits for memory that others use; try again later") from error

    def idle_timeout(self, slot: _Slot) -> float:
        """Seconds until `slot` is ended when nobody holds it; negative: never."""
        at_once = self._limits.low_vram and slot.spec.info.memory
        return 0.0 if at_once else self._limits.idle_timeout

    def own(self, task: asyncio.Task[None]) -> None:
        """Keep a background task until it is done."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _fits(self, slot: _Slot) -> bool:
        needed = slot.spec.info.memory
        taken = [other.spec.info.memory for other in self._on_device(slot)]
        if not needed or not taken:
            return True
        return not self._limits.low_vram and (
            self._limits.memory is None or sum(taken) + needed <= self._limits.memory
        )

    async def _free_some(self, slot: _Slot) -> None:
        idle = [other for other in self._on_device(slot) if not other.busy]
        if idle:
            await min(idle, key=lambda other: (other.holders > 0, other.last_used)).stop()
            return
        self._changed.clear()
        await self._changed.wait()

    def _on_device(self, apart_from: _Slot) -> list[_Slot]:
        return [
            slot
            for slot in self._slots.values()
            if slot is not apart_from and slot.spec.info.memory and slot.occupied
        ]


class Turns:
    """One request's place at an engine that is kept loaded for it."""

    def __init__(self, pool: EnginePool, slot: _Slot, pcm_format: PcmFormat, *, live: bool) -> None:
        self.format = pcm_format
        self._pool = pool
        self._slot = slot
        self._live = live
        self._admitted = False
        self.seconds = 0.0
        """How long the engine worked for this request, waiting apart."""

    async def synthesize(
        self, segment: Segment, first_audio_timeout: float | None = None
    ) -> AsyncGenerator[bytes]:
        """Wait for a turn and speak one segment in it; closing the generator ends the turn.

        `first_audio_timeout` is in seconds and begins with the turn.

        Raises:
            BusyError: this would be the request's first turn, and too many wait; later turns are sure.
            RequestError, EngineError: as `EngineProcess.synthesize`, or the first sound was not in time.
        """
        queue = self._slot.queue
        # Loaded before the turn is waited for, so that a slow load does not count as waiting.
        await self._slot.loaded()
        if self._admitted:
            await queue.take(live=self._live)
        else:
            await self._pool.first_turn(queue, live=self._live)
            self._admitted = True
        begun = perf_counter()
        try:
            async with aclosing(self._speak(segment)) as chunks:
                yield await self._first(chunks, first_audio_timeout)
                async for chunk in chunks:
                    yield chunk
        except StopAsyncIteration:
            return
        finally:
            self.seconds += perf_counter() - begun
            queue.give_back()
            self._pool.note_change()

    async def clone(self, recordings: Sequence[str], transcript: str | None) -> bytes:
        """Wait for a turn and have the engine make what it keeps of a voice.

        Raises:
            RequestError, EngineError: as `EngineProcess.clone`.
        """
        queue = self._slot.queue
        await queue.take(live=self._live)
        try:
            process = await self._slot.loaded()
            return await process.clone(recordings, transcript)
        finally:
            queue.give_back()
            self._pool.note_change()

    async def _first(self, chunks: AsyncGenerator[bytes], limit: float | None) -> bytes:
        try:
            async with asyncio.timeout(limit):
                return await anext(chunks)
        except TimeoutError as error:
            what = f"engine '{self._slot.spec.info.name}' made no sound within {limit:g} s"
            raise EngineError(ErrorCode.ENGINE_UNAVAILABLE, what) from error

    async def _speak(self, segment: Segment) -> AsyncGenerator[bytes]:
        """Speak in this turn; once more when the process dies before a sound, perhaps before it was asked."""
        for last in (False, True):
            process = await self._slot.loaded()
            heard = False
            try:
                async with aclosing(process.synthesize(segment)) as chunks:
                    async for chunk in chunks:
                        heard = True
                        yield chunk
            except EngineDiedError:
                if heard or last:
                    raise
            else:
                return


class _Slot:
    """One engine of the pool, loaded or not."""

    def __init__(self, spec: EngineSpec, pool: EnginePool) -> None:
        self.spec = spec
        self.queue = TurnQueue(spec.info.streams)
        self.holders = 0
        self.last_used = 0.0
        self._pool = pool
        self._process: EngineProcess | None = None
        self._loading: asyncio.Task[EngineProcess] | None = None
        self._starting = False
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
        return self.alive or self._starting

    @property
    def busy(self) -> bool:
        return self._starting or self.queue.running > 0

    def state(self) -> EngineState:
        pid = self._process.pid if self._process is not None and self.alive else None
        if pid is not None:
            what: Literal["unloaded", "loading", "ready", "speaking"] = (
                "speaking" if self.queue.running else "ready"
            )
        else:
            what = "loading" if self._loading is not None else "unloaded"
        return EngineState(
            name=self.spec.info.name,
            state=what,
            pid=pid,
            waiting=self.queue.waiting,
            starts=self._starts,
            losses=self._starts - self._ended - self.alive,
            error=self._error,
        )

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
        self._starting = True
        try:
            begun = asyncio.get_running_loop().time()
            self._process = await EngineProcess.start(self.spec)
            self._starts += 1
            self._error = None
            took = asyncio.get_running_loop().time() - begun
            _log.info("engine %s is loaded (%.2f s, pid %d)", self.spec.info.name, took, self._process.pid)
            return self._process
        finally:
            self._starting = False

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

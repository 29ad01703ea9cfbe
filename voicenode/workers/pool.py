"""Which engines may be loaded at once, and who may use them."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from voicenode import gpu
from voicenode.errors import BusyError, EngineError, ErrorCode
from voicenode.workers.footprint import Footprint
from voicenode.workers.slot import Slot
from voicenode.workers.turns import Turns

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping, Sequence

    from voicenode.workers.limits import PoolLimits
    from voicenode.workers.process import EngineSpec
    from voicenode.workers.slot import EngineState
    from voicenode.workers.turns import TurnQueue

_MIB = 1024 * 1024


class EnginePool:
    """The engines of a node: each is loaded when somebody holds it, and ended when it is idle."""

    def __init__(self, specs: Iterable[EngineSpec], limits: PoolLimits) -> None:
        self.limits = limits
        self.footprint = Footprint(self._pids)
        self._making_room = asyncio.Lock()
        self._slots = {spec.info.name: Slot(spec, self) for spec in specs}
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
        self._adjust(replace(self.limits, idle_timeout=seconds))

    def set_low_vram(self, on: bool) -> None:  # noqa: FBT001 - a switch has nothing else to say
        """Keep one engine on the device at a time or not; engines that are idle follow at once."""
        self._adjust(replace(self.limits, low_vram=on))

    async def load(self, engine: str) -> None:
        """Load an engine for those who come next; it goes idle as after a request.

        Raises:
            EngineError, BusyError: as `hold`.
        """
        async with self.hold(engine):
            pass

    def prewarm(self, engines: Iterable[str]) -> None:
        """Import the libraries of those engines ahead that are to be woken quickly; called once."""
        for engine in engines:
            self._slots[engine].prewarm()

    async def close(self) -> None:
        """End every engine's process, for good: what is being spoken fails, and so does what still waits."""
        self.closed = True
        await asyncio.gather(*(slot.close() for slot in self._slots.values()), self.footprint.close())
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def first_turn(self, queue: TurnQueue, *, live: bool) -> None:
        """Take a request's first turn from `queue`, unless too many wait or it takes too long."""
        limits = self.limits
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

    async def make_room(self, slot: Slot) -> None:
        """Wait until the device has room for `slot`, ending engines that are idle, least recently used first.

        Raises:
            EngineError: it needs more than all engines together may take.
            BusyError: the others had something to do for too long.
        """
        if not slot.spec.memory:
            return
        self._check_memory(slot)
        try:
            async with asyncio.timeout(self.limits.wait_timeout):
                async with self._making_room:  # one after the other: two would take the same room
                    while not await self._fits(slot):
                        await self._free_some(slot)
        except TimeoutError as error:
            name = slot.spec.info.name
            raise BusyError(f"engine '{name}' waits for memory that others use; try again later") from error

    def idle_timeout(self, slot: Slot) -> float:
        """Seconds until `slot` is ended when nobody holds it; negative: never."""
        at_once = self.limits.low_vram and slot.spec.memory
        return 0.0 if at_once else self.limits.idle_timeout

    def own(self, task: asyncio.Task[None]) -> None:
        """Keep a background task until it is done."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _check_memory(self, slot: Slot) -> None:
        needed, allowed = slot.spec.memory, self.limits.memory
        if allowed is not None and needed > allowed:
            raise EngineError(
                ErrorCode.OUT_OF_MEMORY,
                f"engine '{slot.spec.info.name}' has not enough memory: it needs {-(-needed // _MIB)} MiB, "
                f"and pool.memory allows {allowed // _MIB}; set it to more, or to null for no bound",
            )

    async def _fits(self, slot: Slot) -> bool:
        needed, others = slot.spec.memory, self._on_device(slot)
        if not others:
            return True
        if self.limits.low_vram:
            return False
        if self.limits.memory is not None:
            return needed + sum(other.spec.memory for other in others) <= self.limits.memory
        free = await asyncio.to_thread(gpu.free_memory, slot.spec.device)
        # Those that are being loaded have not taken theirs yet.
        return free is None or needed + sum(other.spec.memory for other in others if other.starting) <= free

    async def _free_some(self, slot: Slot) -> None:
        idle = [other for other in self._on_device(slot) if not other.busy]
        if idle:
            await min(idle, key=lambda other: (other.holders > 0, other.last_used)).stop()
            return
        self._changed.clear()
        await self._changed.wait()

    def _on_device(self, apart_from: Slot) -> list[Slot]:
        """Whoever has memory that another could have instead; the owner's bounds are for all devices."""
        bound = self.limits.low_vram or self.limits.memory is not None
        return [
            slot
            for slot in self._slots.values()
            if slot is not apart_from
            and slot.spec.memory
            and slot.occupied
            and (bound or gpu.is_same(slot.spec.device, apart_from.spec.device))
        ]

    def _adjust(self, limits: PoolLimits) -> None:
        self.limits = limits
        for slot in self._slots.values():
            slot.rest()
        self.note_change()

    def _pids(self) -> Mapping[int, bool]:
        return {pid: on_device for slot in self._slots.values() for pid, on_device in slot.pids().items()}

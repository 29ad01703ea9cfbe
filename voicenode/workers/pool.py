"""Which engines may be loaded at once, and who may use them."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from voicenode.errors import BusyError
from voicenode.workers.slot import Slot
from voicenode.workers.turns import Turns

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence

    from voicenode.workers.limits import PoolLimits
    from voicenode.workers.process import EngineSpec
    from voicenode.workers.slot import EngineState
    from voicenode.workers.turns import TurnQueue


class EnginePool:
    """The engines of a node: each is loaded when somebody holds it, and ended when it is idle."""

    def __init__(self, specs: Iterable[EngineSpec], limits: PoolLimits) -> None:
        self._limits = limits
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

    async def make_room(self, slot: Slot) -> None:
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

    def idle_timeout(self, slot: Slot) -> float:
        """Seconds until `slot` is ended when nobody holds it; negative: never."""
        at_once = self._limits.low_vram and slot.spec.info.memory
        return 0.0 if at_once else self._limits.idle_timeout

    def own(self, task: asyncio.Task[None]) -> None:
        """Keep a background task until it is done."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _fits(self, slot: Slot) -> bool:
        needed = slot.spec.info.memory
        taken = [other.spec.info.memory for other in self._on_device(slot)]
        if not needed or not taken:
            return True
        return not self._limits.low_vram and (
            self._limits.memory is None or sum(taken) + needed <= self._limits.memory
        )

    async def _free_some(self, slot: Slot) -> None:
        idle = [other for other in self._on_device(slot) if not other.busy]
        if idle:
            await min(idle, key=lambda other: (other.holders > 0, other.last_used)).stop()
            return
        self._changed.clear()
        await self._changed.wait()

    def _on_device(self, apart_from: Slot) -> list[Slot]:
        return [
            slot
            for slot in self._slots.values()
            if slot is not apart_from and slot.spec.info.memory and slot.occupied
        ]

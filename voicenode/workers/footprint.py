"""How much memory the engines' processes take."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from voicenode import gpu
from voicenode.usage import resident_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

_log = logging.getLogger(__name__)

_PERIOD = 5.0
"""Seconds between two looks."""


class Footprint:
    """Looks at processes every few seconds while there are any, and remembers what it saw.

    Args:
        pids: the processes, each with whether it may have memory of a GPU.
    """

    def __init__(self, pids: Callable[[], Mapping[int, bool]]) -> None:
        self._pids = pids
        self._resident: Mapping[int, int] = {}
        self._vram: Mapping[int, int] | None = None
        self._watching: asyncio.Task[None] | None = None
        self._told = False

    def resident(self, pid: int | None) -> int | None:
        """Bytes of the machine's memory, those that are shared included; None for what was not seen yet."""
        return None if pid is None else self._resident.get(pid)

    def vram(self, pid: int) -> int | None:
        """Bytes of device memory; None where NVML is not there, or knows no such process as in containers."""
        return None if self._vram is None else self._vram.get(pid)

    def watch(self) -> None:
        """Look from now on, until there is no process left."""
        if self._watching is None or self._watching.done():
            self._watching = asyncio.create_task(self._watch(), name="watch the memory of engines")

    async def close(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait([self._watching])

    async def _watch(self) -> None:
        while pids := self._pids():
            self._resident = await asyncio.to_thread(_resident, pids)
            if any(pids.values()):
                self._vram = await asyncio.to_thread(gpu.vram_by_process)
                self._tell(pids)
            await asyncio.sleep(_PERIOD)

    def _tell(self, pids: Mapping[int, bool]) -> None:
        """Say once that the driver knows processes, and none of these."""
        on_device = {pid for pid, may_be in pids.items() if may_be}
        if self._vram and not on_device & self._vram.keys() and not self._told:
            self._told = True
            _log.info(
                "NVIDIA's driver does not know this node's processes by their ids, as in a container that "
                "has ids of its own: what engines take of the GPU is not told"
            )


def _resident(pids: Iterable[int]) -> Mapping[int, int]:
    return {pid: size for pid in pids if (size := resident_memory(pid)) is not None}

"""A process that runs an engine, as the daemon sees it, and how one is started from nothing."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from typing import Protocol, Self

ENVIRONMENT = {
    # NVML counts GPUs in this order, so that what the node measures is the device that is used.
    "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
    # How long OpenMP's threads wait for each other in a loop that takes a whole processor: some microseconds.
    # Its own 300,000 rounds make a step of XTTS ten times as long where anything else runs on the machine.
    "GOMP_SPINCOUNT": "1000",
}
"""What an engine's process is given, where its owner has not set it."""


class Child(Protocol):
    """A process that leads a group of its own."""

    @property
    def pid(self) -> int: ...
    @property
    def returncode(self) -> int | None:
        """Its exit status, negative for a signal; None while it runs, or where nobody knows."""

    def kill(self) -> None:
        """End it, with all that it has started."""

    async def wait(self) -> None:
        """Wait until it has ended, and with it all that it held."""


class Spawned:
    """A process that starts as an interpreter does."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, python: str | None, module: str, fd: int, *arguments: str) -> Self:
        """Run `module` with the number of an inherited `fd`, and `arguments`; None: with this interpreter.

        Raises:
            OSError: there is no such interpreter.
        """
        return cls(
            await asyncio.create_subprocess_exec(
                python or sys.executable, "-m", module, str(fd), *arguments,
                stdin=asyncio.subprocess.DEVNULL,
                # Whatever libraries print belongs in the log and must never reach a client on stdio://.
                stdout=sys.stderr.fileno(),
                pass_fds=[fd],
                # A Ctrl-C in the terminal is for the daemon, which still lets the engine finish its sentence.
                start_new_session=True,
                env={**ENVIRONMENT, **os.environ},
            )
        )  # fmt: skip

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.returncode

    def kill(self) -> None:
        # Not `Process.kill`, which would collect a dead child before asyncio does, and lose its exit status.
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    async def wait(self) -> None:
        await self._process.wait()

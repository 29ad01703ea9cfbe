"""The two servers that are compared, each a process of its own."""

from __future__ import annotations

import asyncio
import os
import re
import sys
import tempfile
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from tests.support.ports import free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

_MIB = 2**20


@dataclass(frozen=True, slots=True)
class Server:
    """A server that answers."""

    port: int
    pid: int
    ready_seconds: float
    """From its start until it said that it was ready."""

    @property
    def rss(self) -> float:
        """MiB of the server's process itself."""
        return float(psutil.Process(self.pid).memory_info().rss / _MIB)


@asynccontextmanager
async def node(environment: Mapping[str, str] | None = None, *options: str) -> AsyncIterator[Server]:
    """The daemon, with Wyoming on loopback; its announcement stays on this machine."""
    with tempfile.TemporaryDirectory() as data:
        begun = time.perf_counter()
        process = await asyncio.create_subprocess_exec(
            str(Path(sys.executable).with_name("voicenode")), "serve",
            "--uri", "tcp://127.0.0.1:0", "--data-dir", data, *options,
            stderr=asyncio.subprocess.PIPE, env={**os.environ, **(environment or {})},
        )  # fmt: skip
        log = process.stderr
        if log is None:
            raise RuntimeError
        try:
            port = 0
            async for line in log:
                if listening := re.search(rb"listening on tcp://\S+:(\d+)", line):
                    port = int(listening[1])
                if b" is ready" in line:
                    break
            took = time.perf_counter() - begun
            reading = asyncio.create_task(log.read())
            yield Server(port, process.pid, took)
        finally:
            process.terminate()
            await process.wait()
            await reading


@asynccontextmanager
async def stock() -> AsyncIterator[Server]:
    """The peer."""
    port = free_port()
    begun = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "script.benchmarks.stock_espeak", str(port),
        # It has no answer to a client that leaves but a traceback.
        stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        await _answering(port)
        yield Server(port, process.pid, time.perf_counter() - begun)
    finally:
        process.kill()
        await process.wait()


async def _answering(port: int) -> None:
    async with asyncio.timeout(10):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError:
                await asyncio.sleep(0.01)
            else:
                writer.close()
                return

"""The HTTP transport's life: bound first, then imported, then serving, until it is stopped."""

from __future__ import annotations

import asyncio
import logging
import socket
from typing import TYPE_CHECKING

from voicenode.errors import ErrorCode, SetupError
from voicenode.sockets import bind_tcp, host_and_port, why_not_bound
from voicenode.transports.http.audio_files import AudioFiles

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from voicenode.health import Health
    from voicenode.transports.http.listener import Listener

_log = logging.getLogger(__name__)

STALL_TIMEOUT = 300.0
"""Seconds until a client that takes nothing of its answer is cut off: a player may be paused meanwhile."""


class HttpServer:
    """Serves `/audio/NAME`, `/health` and `/metrics`; started and stopped once.

    Args:
        host: the address to listen on; none is every address of both families.
        port: 0 takes one that is free.
        audio_dir: where the files lie whose names clients know.
        health: how the node is, without waiting for anything.
        metrics: in the text format of Prometheus.
        max_connections: clients at a time; one more is told `busy`. Each may hold two file descriptors, and
            when all of them ask at the same moment, each takes some 0.2 ms of the event loop.
        stall_timeout: seconds until a client that takes nothing of its answer is cut off.

    `bound` is host and port of every socket; none before the start and after the end.
    """

    def __init__(
        self,
        *,
        host: str | None,
        port: int,
        audio_dir: Path,
        health: Callable[[], Health],
        metrics: Callable[[], Awaitable[bytes]],
        max_connections: int = 128,
        stall_timeout: float = STALL_TIMEOUT,
    ) -> None:
        self.bound: tuple[tuple[str, int], ...] = ()
        self._host = host
        self._port = port
        self._health = health
        self._metrics = metrics
        self._max_connections = max_connections
        self._stall_timeout = stall_timeout
        self._files = AudioFiles(audio_dir)
        self._listener: Listener | None = None

    async def start(self) -> None:
        """Listen on every address, or on none.

        Raises:
            SetupError: an address cannot be had.
        """
        sockets: list[socket.socket] = []
        try:
            sockets += await self._bind()
            # FastAPI and uvicorn take a third of a second to import.
            self._listener = await asyncio.to_thread(self._create_listener)
            await self._listener.start(sockets)
        except BaseException as error:
            for sock in sockets:
                sock.close()
            if isinstance(error, OSError | ValueError):
                raise self._cannot_listen(error) from error
            raise
        self.bound = tuple(sock.getsockname()[:2] for sock in sockets)
        for address in self.bound:
            _log.info("listening on http://%s", host_and_port(address))

    async def stop(self, grace: float) -> None:
        """Accept nothing more, let answers finish for at most `grace` seconds, and hang up on the rest."""
        self.bound = ()
        if self._listener is not None:
            await self._listener.stop(grace)
        await self._files.close()

    async def _bind(self) -> list[socket.socket]:
        sockets = await bind_tcp(self._host, self._port)
        for sock in sockets:
            # Clients inherit it, and the kernel keeps it even when the connection is being closed (tcp(7)).
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(self._stall_timeout * 1000))
        return sockets

    def _create_listener(self) -> Listener:
        """Imports what takes memory and time, which a node without HTTP does not need; in a thread."""
        from voicenode.transports.http.application import create_app  # noqa: PLC0415
        from voicenode.transports.http.listener import Listener  # noqa: PLC0415

        return Listener(create_app(self._files, self._health, self._metrics), self._max_connections)

    def _cannot_listen(self, error: OSError | ValueError) -> SetupError:
        reason = why_not_bound(error) if isinstance(error, OSError) else str(error)
        address = host_and_port((self._host or "", self._port))
        return SetupError(ErrorCode.CANNOT_START, f"cannot listen on http://{address}: {reason}")

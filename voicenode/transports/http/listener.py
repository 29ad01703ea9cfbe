"""uvicorn's protocol on sockets of the node's own loop.

Not with `uvicorn.Server`: it takes the signals of the whole program, wakes ten times a second, and ends by
cancelling, where hanging up is enough.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import uvicorn
from uvicorn.server import ServerState

from voicenode.transports.http.protocol import MAX_HEAD, BoundedProtocol

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable

    from fastapi import FastAPI

_KEEP_ALIVE = 15
"""Seconds for which a connection is kept for the next request: as long as players take between two parts."""
_BACKLOG = 512
"""Connections that the kernel holds until they are accepted."""
_ACCEPTED_AT_ONCE = 8
"""Connections in one turn of the loop, most of which bring a request: a crowd must not hold up others."""
_POLL = 0.01


class Listener:
    """Serves an application to at most `max_connections` clients; started and stopped once."""

    def __init__(self, app: FastAPI, max_connections: int) -> None:
        self.state = ServerState()
        self._servers: list[asyncio.Server] = []
        self._config = uvicorn.Config(
            app,
            ws="none",
            interface="asgi3",
            log_config=None,
            log_level="error",
            access_log=False,
            proxy_headers=False,
            limit_concurrency=max_connections,
            timeout_keep_alive=_KEEP_ALIVE,
            h11_max_incomplete_event_size=MAX_HEAD,
        )
        self._config.load()

    async def start(self, sockets: Iterable[socket.socket]) -> None:
        """Let clients connect to bound sockets.

        Raises:
            OSError: a socket cannot listen.
        """
        loop = asyncio.get_running_loop()
        for sock in sockets:
            # asyncio has one number for both, and the kernel takes another afterwards.
            server = await loop.create_server(self._protocol, sock=sock, backlog=_ACCEPTED_AT_ONCE)
            self._servers.append(server)
            sock.listen(_BACKLOG)

    async def stop(self, grace: float) -> None:
        """Accept nothing more, let answers finish for at most `grace` seconds, and hang up on the rest."""
        for server in self._servers:
            server.close()
        for connection in list(self.state.connections):
            connection.shutdown()
        try:
            async with asyncio.timeout(grace):
                await self._idle()
        except TimeoutError:
            for connection in list(self.state.connections):
                connection.transport.abort()
            await self._idle()

    def _protocol(self) -> BoundedProtocol:
        return BoundedProtocol(self._config, self.state, {})

    async def _idle(self) -> None:
        while self.state.connections or self.state.tasks:  # noqa: ASYNC110 - uvicorn tells no changes
            await asyncio.sleep(_POLL)

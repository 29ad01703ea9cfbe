"""The Wyoming server: where it listens, who is connected, and how it ends."""

from __future__ import annotations

import asyncio
import logging
import socket
from functools import partial
from itertools import count
from typing import TYPE_CHECKING

from voicenode.cloning import Asker
from voicenode.errors import BusyError
from voicenode.framing import MAX_HEADER
from voicenode.sockets import host_and_port
from voicenode.transports.wyoming import listeners, messages, stdio
from voicenode.transports.wyoming.connection import Connection, Limits
from voicenode.transports.wyoming.info import Description
from voicenode.transports.wyoming.outgoing import Outgoing
from voicenode.transports.wyoming.voices import Uploads, VoiceTalk

if TYPE_CHECKING:
    from collections.abc import Sequence

    from voicenode.cloning import VoiceDesk
    from voicenode.processor import VoiceProcessor

_log = logging.getLogger(__name__)

_STDIO = "stdio://"
_BACKLOG = 1024
"""Connections that the kernel holds until they are accepted: every client of a busy house at once."""

_MAX_LEAVING = 64
"""Clients beyond the limit who are let down gently at a time."""


class WyomingServer:
    """Serves one processor's voices over Wyoming; times are in seconds.

    Args:
        processor: what speaks, and whose catalogue is described.
        uris: `tcp://HOST:PORT`, `tcp://:PORT` (every address of both families), `unix:///PATH`, `stdio://`.
        name: the node's name, which is the program's.
        version: the node's version.
        max_connections: clients at a time; one more is told `busy` and closed.
        idle_timeout: after which a client that has nothing to hear and says nothing is closed.
        stall_timeout: after which a client that reads nothing of what it should hear is cut off.
        max_text_chars: characters of one request, its pieces together.
        voices: answers what is said about cloned voices, where there can be any.
    """

    def __init__(
        self,
        processor: VoiceProcessor,
        uris: Sequence[str],
        *,
        name: str,
        version: str,
        max_connections: int,
        idle_timeout: float,
        stall_timeout: float,
        max_text_chars: int,
        voices: VoiceDesk | None = None,
    ) -> None:
        self._processor = processor
        self._voices = voices
        self._uploads = Uploads()
        self._uris = tuple(uris)
        self._describe = Description(processor, name, version)
        self._max_connections = max_connections
        self._limits = Limits(max_text_chars, stall_timeout, idle_timeout)
        self._servers: list[asyncio.Server] = []
        self._unix_paths: list[str] = []
        self._connections: dict[asyncio.Task[None], Connection] = {}
        self._leaving: dict[asyncio.Task[None], Outgoing] = {}
        self._numbers = count(1)
        self._was_full = False
        self.addresses: tuple[tuple[str, int], ...] = ()
        """Host and port of every TCP socket, as bound; none before the start and after the end."""
        self.finished = asyncio.Event()
        """Set when the conversation over stdin and stdout has ended; never without `stdio://`."""

    async def start(self) -> None:
        """Listen on every address, or on none.

        Raises:
            SetupError: an address cannot be had.
        """
        await asyncio.to_thread(self._describe)  # many voices take a moment, which no client shall wait for
        sockets: list[socket.socket] = []
        try:
            for uri in self._uris:
                if uri != _STDIO:
                    sockets += await listeners.bind(uri)
            for sock in sockets:
                await self._listen(sock)
            if _STDIO in self._uris:
                await self._converse_over_stdio()
        except BaseException:
            await self._stop_listening()
            for sock in sockets:
                sock.close()
            raise

    async def drain(self, grace: float) -> None:
        """Accept nothing more, and wait at most `grace` seconds for what is being spoken."""
        await self._stop_listening()
        for connection in self._connections.values():
            connection.drain()
        if self._connections:
            await asyncio.wait(set(self._connections), timeout=grace)

    async def abort(self) -> None:
        """Stop listening, cut every connection, and return when all have let go of their engines."""
        await self._stop_listening()
        for connection in self._connections.values():
            connection.abort()
        for out in self._leaving.values():
            out.abort()
        if ending := {*self._connections, *self._leaving}:
            await asyncio.wait(ending)

    async def _listen(self, sock: socket.socket) -> None:
        address = sock.getsockname()
        # A plain function, not a coroutine: asyncio would make a task of its own, which no one could await.
        server = await asyncio.start_server(self._accept, sock=sock, limit=MAX_HEADER, backlog=_BACKLOG)
        self._servers.append(server)
        if sock.family == socket.AF_UNIX:
            self._unix_paths.append(address)
            _log.info("listening on unix://%s", address)
        else:
            self.addresses += ((address[0], address[1]),)
            _log.info("listening on tcp://%s", host_and_port(address))

    async def _stop_listening(self) -> None:
        for server in self._servers:
            server.close()
        self._servers.clear()
        self.addresses = ()
        for path in self._unix_paths:
            await asyncio.to_thread(listeners.remove_unix, path)
        self._unix_paths.clear()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        full = len(self._connections) >= self._max_connections
        if not full:
            self._converse(reader, writer, self._peer_of(writer), self._limits)
        else:
            self._turn_away(reader, writer)
            if not self._was_full:  # one line in the log, however many knock
                _log.warning("%d connections are open: more are turned away", len(self._connections))
        self._was_full = full

    def _turn_away(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Say why, and as long as not too many leave at once, wait until the client has heard it."""
        writer.write(messages.failure(BusyError("the node has too many connections; try again later")))
        if len(self._leaving) >= _MAX_LEAVING:
            writer.close()
            return
        out = Outgoing(writer, self._limits.stall_timeout)
        task = asyncio.create_task(out.close(reader), name="wyoming turns a client away")
        self._leaving[task] = out
        task.add_done_callback(self._leaving.pop)

    def _peer_of(self, writer: asyncio.StreamWriter) -> str:
        address = writer.get_extra_info("peername")
        return host_and_port(address) if address else f"unix client {next(self._numbers)}"

    def _converse(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, peer: str, limits: Limits
    ) -> asyncio.Task[None]:
        connection = Connection(
            self._processor,
            self._describe,
            reader,
            writer,
            peer=peer,
            limits=limits,
            voices=self._talk(writer, peer),
        )
        task = asyncio.create_task(connection.run(), name=f"wyoming connection {peer}")
        self._connections[task] = connection
        task.add_done_callback(partial(self._forget, peer))
        return task

    def _talk(self, writer: asyncio.StreamWriter, peer: str) -> VoiceTalk | None:
        if self._voices is None:
            return None
        address = writer.get_extra_info("peername")
        asker = Asker(door="wyoming", peer=peer, address=address[0] if address else None)
        return VoiceTalk(self._voices, asker, self._uploads)

    def _forget(self, peer: str, task: asyncio.Task[None]) -> None:
        del self._connections[task]
        if not task.cancelled() and (error := task.exception()):
            _log.error("%s: the connection failed", peer, exc_info=error)

    async def _converse_over_stdio(self) -> None:
        """The parent process is the only client: no time limit, and the end of its words is no hang-up."""
        try:
            reader, writer, close_reader = await stdio.connect()
        except ValueError as error:
            reason = "stdin and stdout must be pipes, sockets or terminals"
            raise listeners.cannot_listen(_STDIO, reason) from error
        limits = Limits(self._limits.max_text_chars, self._limits.stall_timeout, None, finishes_at_eof=True)

        def finish(_: object) -> None:
            close_reader()
            self.finished.set()

        self._converse(reader, writer, "stdio", limits).add_done_callback(finish)

"""An HTTP transport before a folder of the test's own, and a client that says exactly what it is told."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from voicenode.health import Health
from voicenode.transports.http import HttpServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from uvicorn.server import ServerState

NAME = "Zm9vYmFyYmF6cXV4MTIzNA-_"


@dataclass
class Door:
    """A server that listens on one port of 127.0.0.1; `health` may be changed."""

    server: HttpServer
    audio_dir: Path
    health: Health

    @property
    def port(self) -> int:
        return self.server.bound[0][1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def state(self) -> ServerState:
        assert self.server._listener
        return self.server._listener.state

    @property
    def connections(self) -> set[Any]:
        return self.state.connections

    def put(self, content: bytes, name: str = f"{NAME}.wav") -> str:
        """Write a file; its path in URLs."""
        (self.audio_dir / name).write_bytes(content)
        return f"/audio/{name}"

    async def connect(self) -> Connection:
        return Connection(*await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 20))

    async def get(self, path: str, *headers: str, method: str = "GET") -> Answer:
        """One request on a connection of its own."""
        connection = await self.connect()
        try:
            await connection.ask(path, *headers, method=method)
            return await connection.hear(method)
        finally:
            await connection.close()

    async def empty(self) -> None:
        """Wait until no client is left, and nobody answers one."""
        while self.connections or self.state.tasks:  # noqa: ASYNC110 - uvicorn tells its connections, not their changes
            await asyncio.sleep(0.001)


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


@dataclass
class Connection:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def ask(self, path: str, *headers: str, method: str = "GET") -> None:
        lines = (f"{method} {path} HTTP/1.1", "Host: node", *headers, "", "")
        await self.say("\r\n".join(lines).encode("latin-1"))

    async def say(self, raw: bytes) -> None:
        self.writer.write(raw)
        await self.writer.drain()

    async def hear_head(self) -> Answer:
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        status, *lines = head.strip().split("\r\n")
        pairs = (line.split(": ", 1) for line in lines)
        return Answer(int(status.split()[1]), {name.lower(): value for name, value in pairs}, b"")

    async def hear(self, method: str = "GET") -> Answer:
        answer = await self.hear_head()
        if method != "HEAD":
            answer.body = await self.reader.readexactly(int(answer.headers.get("content-length", 0)))
        return answer

    async def close(self) -> None:
        self.writer.close()
        await asyncio.wait([asyncio.ensure_future(self.writer.wait_closed())])


@asynccontextmanager
async def serving(audio_dir: Path, **arguments: Any) -> AsyncIterator[Door]:  # noqa: ANN401
    async def metrics() -> bytes:
        return b"voicenode_test 1\n"

    health = Health(can_speak=True, details={"status": "ok"})
    fields = {"host": "127.0.0.1", "port": 0, "audio_dir": audio_dir, "metrics": metrics, **arguments}
    server = HttpServer(health=lambda: door.health, **fields)
    door = Door(server, audio_dir, health)
    await server.start()
    try:
        yield door
    finally:
        await server.stop(0)

"""Many clients, slow clients, clients that leave, and clients that talk nonsense."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import socket
from typing import TYPE_CHECKING

import pytest

from tests.support.http_door import Connection, Door, serving
from voicenode.transports.http import audio_files, protocol

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("heartbeat")

MIB = 1024 * 1024


def put_large(door: Door, size: int = 64 * MIB) -> str:
    path = door.put(b"")
    os.truncate(door.audio_dir / path.rpartition("/")[2], size)
    return path


def open_files(door: Door) -> list[str]:
    """The descriptors that lead into the folder; psutil's own list leaves out files that are removed."""
    links = []
    for number in os.listdir("/proc/self/fd"):  # noqa: PTH208 - the listing's own number vanishes
        try:
            links.append(os.readlink(f"/proc/self/fd/{number}"))  # noqa: PTH115 - as above
        except FileNotFoundError:
            continue
    return [link for link in links if link.startswith(str(door.audio_dir))]


async def deaf(door: Door) -> Connection:
    """A client whose kernel takes little and who reads nothing."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", door.port))
    connection = Connection(*await asyncio.open_connection(sock=sock, limit=2))
    connection.writer.transport.pause_reading()  # type: ignore[attr-defined]
    return connection


def buffered(door: Door) -> int:
    return max((c.transport.get_write_buffer_size() for c in door.connections), default=0)


async def until_sending(door: Door) -> None:
    while not buffered(door):  # noqa: ASYNC110 - a buffer tells its size, not its changes
        await asyncio.sleep(0)


async def test_a_client_that_leaves_in_the_midst_frees_the_file(tmp_path: Path) -> None:
    async with serving(tmp_path) as door:
        path = put_large(door)
        for _ in range(20):
            connection = await door.connect()
            await connection.ask(path)
            await connection.hear_head()
            assert open_files(door)
            connection.writer.transport.abort()
        await door.empty()
        assert open_files(door) == []


async def test_a_client_that_leaves_is_not_read_for_to_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts: list[range] = []
    read = audio_files.AudioFile.read

    async def noting(file: audio_files.AudioFile, part: range) -> bytes:
        parts.append(part)
        return await read(file, part)

    monkeypatch.setattr(audio_files.AudioFile, "read", noting)
    async with serving(tmp_path) as door:
        connection = await deaf(door)
        await connection.ask(put_large(door))
        await until_sending(door)
        connection.writer.transport.abort()
        await door.empty()
    assert len(parts) < 40


async def test_a_client_that_does_not_read_costs_little(tmp_path: Path) -> None:
    async with serving(tmp_path) as door:
        connection = await deaf(door)
        await connection.ask(put_large(door))
        await until_sending(door)
        for _ in range(1000):
            await asyncio.sleep(0)
        assert buffered(door) < MIB
        await connection.close()


async def test_a_client_that_takes_nothing_is_cut_off(tmp_path: Path) -> None:
    async with serving(tmp_path, stall_timeout=0.3) as door:
        connection = await deaf(door)
        await connection.ask(put_large(door))
        await until_sending(door)
        await door.empty()
        assert open_files(door) == []
        await connection.close()


async def test_one_connection_over_the_limit_is_told_busy_and_closed(tmp_path: Path) -> None:
    async with serving(tmp_path, max_connections=2) as door:
        path = door.put(b"sound")
        one, two = await door.connect(), await door.connect()
        for connection in (one, two):
            await connection.ask(path)
            assert (await connection.hear()).status == 200
        three = await door.connect()
        await three.ask(path)
        answer = await three.hear()
        assert (answer.status, json.loads(answer.body)["code"]) == (503, "busy")
        assert await three.reader.read() == b""
        await three.close()
        await one.ask(path)  # those who were there first are not touched
        assert (await one.hear()).status == 200
        await one.close()
        while len(door.connections) > 1:  # noqa: ASYNC110 - uvicorn tells no changes
            await asyncio.sleep(0)
        assert (await door.get(path)).status == 200
        await two.close()


async def test_a_flood_of_connections_is_not_owed_an_answer(tmp_path: Path) -> None:
    async with serving(tmp_path, max_connections=2) as door:
        flood = [await door.connect() for _ in range(50)]
        ends = await asyncio.gather(
            *(connection.reader.read() for connection in flood[4:]), return_exceptions=True
        )
        assert all(end == b"" or isinstance(end, ConnectionError) for end in ends)
        assert len(door.connections) <= 4
        for connection in flood:
            await connection.close()


@pytest.mark.parametrize(
    "begin", [b"", b"G", b"GET /health HTTP/1.1\r\nHost: no", b"GET /health HTTP/1.1\r\n"]
)
async def test_a_request_that_never_comes_to_its_end_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, begin: bytes
) -> None:
    monkeypatch.setattr(protocol, "HEAD_TIMEOUT", 0.05)
    async with serving(tmp_path) as door:
        connection = await door.connect()
        await connection.say(begin)
        answer = await connection.hear()
        assert (answer.status, json.loads(answer.body)["code"]) == (408, "bad-request")
        assert await connection.reader.read() == b""
        await connection.close()


async def test_a_request_that_drips_is_closed_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "HEAD_TIMEOUT", 0.5)
    async with serving(tmp_path) as door:
        connection = await door.connect()
        await connection.ask("/health")
        assert (await connection.hear()).status == 200
        answering = asyncio.create_task(connection.hear())
        await connection.say(b"GET /health HTTP/1.1\r\nX: ")
        while not answering.done():
            await connection.say(b"x")
            await asyncio.sleep(0.005)
        assert answering.result().status == 408
        await connection.close()


async def test_a_body_without_end_is_not_listened_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "HEAD_TIMEOUT", 0.5)
    async with serving(tmp_path) as door:
        for method in ("POST", "GET"):
            connection = await door.connect()
            await connection.ask("/health", "Content-Length: 1000000000", method=method)
            answer = await connection.hear()
            assert answer.status == (405 if method == "POST" else 200)
            while not (connection.reader.at_eof() or connection.reader.exception()):
                connection.writer.write(b"x")
                await asyncio.sleep(0.005)
            await connection.close()
        await door.empty()


@pytest.mark.parametrize(
    "nonsense",
    [
        b"\r\n\r\n\r\nhello\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100),
        b'{"type": "describe"}\n\r\n\r\n',
        b"GET /audio/\xff\xfe HTTP/1.1\r\nHost: node\r\n\r\n",
        b"GET /health HTTP/1.1\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: node\r\nContent-Length: -1\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: node\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: node\r\nBad Header\r\n\r\n",
        b"GET /" + b"x" * 40_000 + b" HTTP/1.1\r\nHost: node\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: node\r\n" + b"X: y\r\n" * 40_000 + b"\r\n",
    ],
    ids=lambda nonsense: repr(nonsense[:30]),
)
async def test_nonsense_is_answered_with_a_code(tmp_path: Path, nonsense: bytes) -> None:
    async with serving(tmp_path) as door:
        connection = await door.connect()
        await connection.say(nonsense)
        answer = await connection.hear()
        assert (answer.status, json.loads(answer.body)["code"]) == (400, "bad-request")
        assert await connection.reader.read() == b""
        await connection.close()


async def test_requests_sent_in_one_go_are_answered_in_order(tmp_path: Path) -> None:
    async with serving(tmp_path) as door:
        path, connection = door.put(b"0123456789"), await door.connect()
        request = f"GET {path} HTTP/1.1\r\nHost: node\r\nRange: bytes=%d-%d\r\n\r\n".encode()
        await connection.say(b"".join(request % (n, n) for n in range(10)))
        assert b"".join([(await connection.hear()).body for _ in range(10)]) == b"0123456789"
        await connection.close()


async def test_a_wish_for_a_websocket_is_an_ordinary_request(tmp_path: Path) -> None:
    async with serving(tmp_path) as door:
        upgrade = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: eA==")
        assert (await door.get("/health", *upgrade)).status == 200


async def test_without_descriptors_the_node_is_busy_for_a_moment(tmp_path: Path) -> None:
    async with serving(tmp_path) as door:
        path, connection = door.put(b"sound"), await door.connect()
        await connection.ask("/health")
        await connection.hear()
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
        try:
            await connection.ask(path)
            answer = await connection.hear()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        assert (answer.status, json.loads(answer.body)["code"]) == (503, "busy")
        await connection.ask(path)
        assert (await connection.hear()).body == b"sound"
        await connection.close()

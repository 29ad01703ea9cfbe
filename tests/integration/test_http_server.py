"""The life of the HTTP transport, and what it tells of the node."""

import asyncio
import json
import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.http_door import Door, serving
from voicenode.errors import ErrorCode, SetupError, StoreError
from voicenode.health import Health
from voicenode.metrics import CONTENT_TYPE
from voicenode.transports.http import HttpServer

pytestmark = pytest.mark.usefixtures("heartbeat")


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    async with serving(tmp_path) as door:
        yield door


async def test_a_node_that_can_speak_is_healthy(door: Door) -> None:
    door.health = Health(can_speak=True, details={"status": "degraded", "mqtt": "disconnected"})
    answer = await door.get("/health")
    assert (answer.status, json.loads(answer.body)) == (200, door.health.details)
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"


async def test_a_node_that_cannot_speak_is_not(door: Door) -> None:
    door.health = Health(can_speak=False, details={"status": "degraded"})
    assert (await door.get("/health")).status == 503
    assert (await door.get("/health", method="HEAD")).status == 503


async def test_metrics_come_as_prometheus_reads_them(door: Door) -> None:
    answer = await door.get("/metrics")
    assert (answer.status, answer.body) == (200, b"voicenode_test 1\n")
    assert answer.headers["content-type"] == CONTENT_TYPE


@pytest.mark.parametrize(
    ("error", "code"),
    [(StoreError(ErrorCode.STORE_FAILED, "no"), "store-failed"), (ZeroDivisionError("told to"), "internal")],
)
async def test_what_fails_inside_is_told_with_a_code_and_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, error: Exception, code: str
) -> None:
    async def metrics() -> bytes:
        raise error

    async with serving(tmp_path, metrics=metrics) as door:
        answer = await door.get("/metrics")
        assert (answer.status, json.loads(answer.body)["code"]) == (500, code)
        assert (await door.get("/health")).status == 200
    assert str(error) in caplog.text


async def test_a_port_in_use_is_one_clear_line(tmp_path: Path) -> None:
    async with serving(tmp_path) as door:
        with pytest.raises(
            SetupError, match=rf"cannot listen on http://127.0.0.1:{door.port}: .*in use"
        ) as no:
            async with serving(tmp_path, port=door.port):
                pass
    assert no.value.code == ErrorCode.CANNOT_START


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid", "x" * 100])
async def test_an_address_that_is_not_here_is_one_clear_line(tmp_path: Path, host: str) -> None:
    with pytest.raises(SetupError, match="cannot listen on http://"):
        async with serving(tmp_path, host=host):
            pass


async def test_without_a_host_it_listens_on_every_address(tmp_path: Path) -> None:
    async with serving(tmp_path, host=None) as door:
        assert len({port for _, port in door.server.bound}) == 1
        assert "0.0.0.0" in {host for host, _ in door.server.bound}  # noqa: S104 - compared, not bound
        assert (await door.get("/health")).status == 200


async def test_the_port_is_free_again_after_the_end(tmp_path: Path) -> None:
    async with serving(tmp_path) as door:
        port = door.port
        assert (await door.get("/health")).status == 200
    assert door.server.bound == ()
    async with serving(tmp_path, port=port) as again:
        assert (await again.get("/health")).status == 200


async def test_stopping_lets_an_answer_finish(tmp_path: Path) -> None:
    async with serving(tmp_path) as door:
        path, content = door.put(bytes(8_000_000)), 8_000_000
        busy, idle = await door.connect(), await door.connect()
        await idle.ask("/health")
        await idle.hear()
        await busy.ask(path)
        await busy.hear_head()
        port = door.port
        stopping = asyncio.create_task(door.server.stop(30))
        assert await idle.reader.read() == b""
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
        assert len(await busy.reader.readexactly(content)) == content
        await stopping
        await busy.close()
        await idle.close()


async def test_stopping_hangs_up_on_those_who_do_not_finish(tmp_path: Path) -> None:
    async with serving(tmp_path) as door:
        path = door.put(b"")
        os.truncate(door.audio_dir / path.rpartition("/")[2], 1 << 30)
        connection = await door.connect()
        await connection.ask(path)
        await connection.hear_head()
        await door.server.stop(0.05)
        await connection.close()


async def test_a_server_that_was_never_started_can_be_stopped(tmp_path: Path) -> None:
    async def nothing() -> bytes:
        return b""

    server = HttpServer(
        host=None,
        port=0,
        audio_dir=tmp_path,
        health=lambda: Health(can_speak=True, details={}),
        metrics=nothing,
    )
    await server.stop(1)


async def test_signals_are_none_of_its_business(tmp_path: Path) -> None:
    got = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, got.set)
    try:
        async with serving(tmp_path) as door:
            os.kill(os.getpid(), signal.SIGTERM)
            await got.wait()
            assert (await door.get("/health")).status == 200
    finally:
        loop.remove_signal_handler(signal.SIGTERM)


async def test_requests_leave_no_line_in_the_log(door: Door, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        await door.get("/health")
        await door.get("/audio/x.wav")
    assert caplog.text == ""


async def test_a_client_that_resets_the_connection_leaves_no_line_in_the_log(
    door: Door, caplog: pytest.LogCaptureFixture
) -> None:
    path = door.put(bytes(5_000_000))
    with socket.create_connection(("127.0.0.1", door.port)) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, bytes([1, 0, 0, 0, 0, 0, 0, 0]))
        client.send(f"GET {path} HTTP/1.1\r\nHost: node\r\n\r\n".encode())
        while not door.connections:  # noqa: ASYNC110 - uvicorn tells no changes
            await asyncio.sleep(0)
    await door.empty()
    assert caplog.text == ""


def test_a_node_without_http_imports_none_of_it() -> None:
    heavy = "{'fastapi', 'starlette', 'uvicorn', 'h11', 'prometheus_client', 'pydantic'}"
    script = (
        f"import sys, voicenode.transports.http, voicenode.metrics, voicenode.processor, voicenode.health\n"
        f"print(*(sys.modules.keys() & {heavy}))"
    )
    shown = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert shown.stdout.split() == []

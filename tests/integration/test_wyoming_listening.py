"""Where the server can be reached, and how it ends."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from asyncio.subprocess import PIPE, Process
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from wyoming.client import AsyncClient
from wyoming.event import Event, async_read_event, async_write_event
from wyoming.ping import Ping

from tests.support.ports import IPV6
from tests.support.wyoming_door import CHUNK, FakeProcessor, audio, server, serving, types
from voicenode.errors import ErrorCode, SetupError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ROOT = Path(__file__).parents[2]


async def answers(uri: str) -> bool:
    async with AsyncClient.from_uri(uri) as client:
        await client.write_event(Ping("x").event())
        event = await client.read_event()
        return event is not None and event.type == "pong"


async def refusal(*uris: str) -> str:
    """The sentence with which a server does not start."""
    node = server(FakeProcessor(), *uris)
    with pytest.raises(SetupError) as caught:
        await node.start()
    assert caught.value.code is ErrorCode.CANNOT_START
    assert node.addresses == ()
    return str(caught.value)


async def test_no_host_is_every_address_of_both_families_on_one_port() -> None:
    async with serving("tcp://:0") as door:
        hosts = {host for host, _ in door.server.addresses}
        assert hosts == {"0.0.0.0", "::"} or not IPV6  # noqa: S104
        assert {port for _, port in door.server.addresses} == {door.port}
        assert await answers(f"tcp://127.0.0.1:{door.port}")
        assert not IPV6 or await answers(f"tcp://[::1]:{door.port}")


@pytest.mark.parametrize("broken", ["socket", "bind"])
async def test_a_machine_without_ipv6_listens_on_ipv4(broken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if broken == "socket":
        monkeypatch.setattr(socket, "socket", NoIpv6)
    else:
        monkeypatch.setattr(socket, "socket", NoIpv6Address)
    async with serving("tcp://:0") as door:
        assert [host for host, _ in door.server.addresses] == ["0.0.0.0"]  # noqa: S104
        assert await answers(f"tcp://127.0.0.1:{door.port}")


class NoIpv6(socket.socket):
    """What a kernel without IPv6 does."""

    def __init__(self, family: int = -1, type: int = -1, proto: int = -1, fileno: int | None = None) -> None:  # noqa: A002
        if family == socket.AF_INET6:
            raise OSError(97, "Address family not supported by protocol")
        super().__init__(family, type, proto, fileno)


class NoIpv6Address(socket.socket):
    """What a kernel does whose IPv6 is switched off by sysctl."""

    def bind(self, address: object, /) -> None:
        if self.family == socket.AF_INET6:
            raise OSError(99, "Cannot assign requested address")
        super().bind(address)  # type: ignore[arg-type]


@pytest.mark.skipif(not IPV6, reason="this machine has no IPv6")
async def test_one_host_is_that_host_alone() -> None:
    async with serving("tcp://[::1]:0") as door:
        assert door.server.addresses == (("::1", door.port),)
        assert await answers(f"tcp://[::1]:{door.port}")
        with pytest.raises(ConnectionRefusedError):
            await answers(f"tcp://127.0.0.1:{door.port}")


async def test_a_name_is_looked_up() -> None:
    async with serving("tcp://localhost:0") as door:
        assert {host for host, _ in door.server.addresses} <= {"127.0.0.1", "::1"}
        assert await answers(f"tcp://localhost:{door.port}")


async def test_several_addresses_are_one_server(tmp_path: Path) -> None:
    path = tmp_path / "node.sock"
    async with serving("tcp://127.0.0.1:0", "tcp://127.0.0.1:0", f"unix://{path}") as door:
        for _, port in door.server.addresses:
            assert await answers(f"tcp://127.0.0.1:{port}")
        assert await answers(f"unix://{path}")


async def test_a_port_in_use_is_one_clear_line_and_nothing_is_left_open(tmp_path: Path) -> None:
    path = tmp_path / "node.sock"
    async with serving() as door:
        uri = f"tcp://127.0.0.1:{door.port}"
        assert await refusal(f"unix://{path}", "tcp://127.0.0.1:0", uri) == (
            f"cannot listen on {uri}: address already in use; "
            "end the program that uses it, or choose another address"
        )
        assert await answers(uri)


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("10200", "an address is tcp://HOST:PORT"),
        ("tcp://", "an address is tcp://HOST:PORT"),
        ("tcp://127.0.0.1", "an address is tcp://HOST:PORT"),
        ("tcp://127.0.0.1:65536", "out of range"),
        ("tcp://127.0.0.1:http", "http"),
        ("tcp://[::1:10200", "IPv6"),
        ("udp://127.0.0.1:10200", "an address is tcp://HOST:PORT"),
        ("unix://", "unix:///PATH"),
        ("unix://node.sock", "unix:///PATH"),
        ("unix:///no/such/folder/node.sock", "no such file"),
        ("unix:///tmp", "in use"),
        ("unix:///" + "x" * 200, "too long"),
        ("tcp://198.51.100.1:10200", "cannot assign"),
        ("tcp://no-such-host.invalid:10200", "name"),
    ],
)
async def test_an_address_that_cannot_be_had_is_one_clear_line(uri: str, reason: str) -> None:
    message = await refusal(uri)
    assert message.startswith(f"cannot listen on {uri}: ")
    assert reason in message.removeprefix(f"cannot listen on {uri}: ")
    assert "\n" not in message


async def test_a_unix_socket_is_for_owner_and_group_and_removed_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "node.sock"
    async with serving(f"unix://{path}"):
        assert path.stat().st_mode & 0o777 == 0o660
        assert await answers(f"unix://{path}")
    assert not path.exists()


async def test_the_socket_of_a_dead_process_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "node.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    assert path.is_socket()
    async with serving(f"unix://{path}"):
        assert await answers(f"unix://{path}")


async def test_the_socket_of_a_living_process_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "node.sock"
    async with serving(f"unix://{path}"):
        assert "in use" in await refusal(f"unix://{path}")
        assert await answers(f"unix://{path}")


async def test_a_file_that_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "node.sock"
    path.write_text("precious")
    assert "in use" in await refusal(f"unix://{path}")
    assert path.read_text() == "precious"


async def test_draining_finishes_what_was_asked_and_refuses_the_rest() -> None:
    async with serving() as door, door.client() as client, door.client() as idle:
        await idle.is_answered()
        port = door.port
        await client.say("synthesize", text="a?b")
        await client.hear_until("audio-chunk")
        draining = asyncio.create_task(door.server.drain(30))
        assert await idle.hear_end() == []
        await idle.close()
        with pytest.raises(ConnectionRefusedError):
            await answers(f"tcp://127.0.0.1:{port}")
        await client.is_answered()
        await client.say("synthesize", text="c")
        await client.is_answered()
        assert not draining.done()
        door.processor.gate.set()
        events = await client.hear_end()
        assert types(events) == ["audio-chunk", "audio-stop", "error"]
        assert len(audio(events)) == 2 * len(CHUNK)
        assert events[-1].data["code"] == "busy"
        await client.close()
        await draining
        assert door.processor.spoken == "a?b"


async def test_draining_ends_with_its_time_and_aborting_cuts_what_is_left() -> None:
    async with serving() as door, door.client() as client:
        await client.say("synthesize", text="?")
        await door.processor.started.wait()
        await door.server.drain(0.01)
        assert door.processor.listeners == 1
        await door.server.abort()
        assert door.processor.listeners == 0
        assert types(await end_of(client.reader)) == []


async def test_a_server_can_be_drained_and_aborted_when_nobody_is_there() -> None:
    async with serving() as door:
        await door.server.drain(30)
        await door.server.drain(30)
        await door.server.abort()


async def end_of(reader: asyncio.StreamReader) -> list[Event]:
    events = []
    try:
        while (event := await async_read_event(reader)) is not None:
            events.append(event)
    except ConnectionError:
        pass
    return events


@asynccontextmanager
async def stdio_node() -> AsyncIterator[Process]:
    program = Path(__file__).with_name("wyoming_stdio_node.py")
    # What the stock wyoming package imports up to Python 3.12 is not ours to warn of.
    warnings = "error,ignore:'audioop' is deprecated:DeprecationWarning"
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": warnings}
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(program), stdin=PIPE, stdout=PIPE, stderr=PIPE, env=environment
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_a_parent_process_converses_over_stdin_and_stdout() -> None:
    async with stdio_node() as process:
        assert process.stdin is not None
        assert process.stdout is not None
        await async_write_event(Event("describe"), process.stdin)
        info = await async_read_event(process.stdout)
        assert info is not None
        assert info.data["tts"][0]["name"] == "kitchen"


async def test_at_the_end_of_stdin_what_was_asked_is_still_answered() -> None:
    requests = (
        Event("synthesize", {"text": "abc"}),
        Event("synthesize-start", {}),
        Event("synthesize-chunk", {"text": "de"}),
    )
    async with stdio_node() as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        for request in requests:
            await async_write_event(request, process.stdin)
        process.stdin.close()
        events = await end_of(process.stdout)
        spoken = ["audio-start", "audio-chunk", "audio-stop"]
        assert types(events) == [*spoken, *spoken, "synthesize-stopped"]
        assert audio(events) == CHUNK * 5
        assert await process.stderr.read() == b"abcde"
        assert await process.wait() == 0


async def test_a_parent_that_is_gone_ends_the_conversation() -> None:
    async with stdio_node() as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        await async_write_event(Event("synthesize", {"text": "~"}), process.stdin)
        assert (await async_read_event(process.stdout)) is not None
        process.stdout._transport.close()  # type: ignore[attr-defined]
        assert await process.stderr.read() == b"~"
        assert await process.wait() == 0


async def test_a_file_is_nothing_to_converse_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "file"
    file.touch()
    monkeypatch.setattr(os, "dup", lambda _: os.open(file, os.O_RDWR))
    assert "must be pipes, sockets or terminals" in await refusal("tcp://127.0.0.1:0", "stdio://")

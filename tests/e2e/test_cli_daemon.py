"""The command line with a real node behind it."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import socket
import sys
import wave
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import psutil
import pytest

from tests.support.command import CommandLine
from tests.support.limits import LIMIT

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

MIB = 1024 * 1024


@pytest.fixture
def cli(tmp_path: Path) -> CommandLine:
    return CommandLine(tmp_path)


@asynccontextmanager
async def node(cli: CommandLine) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """A node on a port of its own, and its address; it must end cleanly."""
    process = await cli.start("serve", "--uri", "tcp://127.0.0.1:0", "--no-mdns", "--data-dir", "data")
    assert process.stderr
    try:
        log = (await asyncio.wait_for(process.stderr.readuntil(b" is ready"), LIMIT)).decode()
        found = re.search(r"listening on (tcp://\S+)", log)
        assert found, log
        yield process, found[1]
    finally:
        process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(process.communicate(), LIMIT)
    assert process.returncode == 0


async def test_a_node_is_healthy_and_speaks_with_the_voice_that_its_list_names(cli: CommandLine) -> None:
    async with node(cli) as (_, uri):
        assert (await cli.run("health", "--node", uri)).status == 0
        listed = await cli.run("voices", "--node", uri, "--language", "de", "--json")
        voice = json.loads(listed.text)[0]["name"]
        said = await cli.run("say", "Guten Abend", "--node", uri, "-v", voice, "-o", "x.wav")
        assert said.status == 0, said.stderr
        wrong = await cli.run("say", "Hello", "--node", uri, "-v", voice + "x", "-o", "x.wav")
    with wave.open(str(cli.home / "x.wav")) as wav:
        assert wav.getnframes() > wav.getframerate() / 2
    assert wrong.status == 1
    assert f"did you mean '{voice}'" in wrong.stderr


async def test_a_node_at_rest_is_small(cli: CommandLine) -> None:
    async with node(cli) as (process, _):
        assert psutil.Process(process.pid).memory_info().rss <= 80 * MIB


async def test_what_serve_imports_leaves_the_terminal_out() -> None:
    script = "import sys, voicenode.cli, voicenode.app; print('rich' in sys.modules)"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", script, stdout=-1)
    stdout, _ = await asyncio.wait_for(process.communicate(), LIMIT)
    assert stdout == b"False\n"


async def test_a_port_in_use_is_one_line_and_status_1(cli: CommandLine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        uri = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        result = await cli.run("serve", "--uri", uri, "--no-mdns", "--data-dir", "data")
    assert result.status == 1
    assert len(result.stderr.splitlines()) == 1
    assert result.stderr.startswith("Error: ")
    assert uri in result.stderr


async def test_a_data_directory_that_cannot_be_made_is_one_line_and_status_1(cli: CommandLine) -> None:
    (cli.home / "file").touch()
    result = await cli.run("serve", "--uri", "tcp://127.0.0.1:0", "--no-mdns", "--data-dir", "file/data")
    assert result.status == 1
    assert len(result.stderr.splitlines()) == 1
    assert "file/data" in result.stderr


async def test_inline_speaks_without_a_node(cli: CommandLine) -> None:
    result = await cli.run("say", "One. Two.", "--inline", "--output", "x.wav")
    assert result.status == 0, result.stderr
    with wave.open(str(cli.home / "x.wav")) as wav:
        assert wav.getnframes() > wav.getframerate() / 2


async def test_inline_refuses_an_unknown_voice_as_a_node_does(cli: CommandLine) -> None:
    result = await cli.run("say", "Hello", "--inline", "-v", "espeak-en-uss", "--output", "x.wav")
    assert result.status == 1
    assert result.stderr.startswith("Error: unknown voice 'espeak-en-uss'; did you mean 'espeak-en-us'")


async def test_a_conversation_with_a_device_that_never_answers_is_refused(cli: CommandLine) -> None:
    process = await cli.start(
        *("serve", "--uri", "stdio://", "--no-mdns", "--data-dir", "data"), stdin=asyncio.subprocess.DEVNULL
    )
    _, complaints = await asyncio.wait_for(process.communicate(), LIMIT)
    assert process.returncode == 1
    assert (
        complaints.decode().splitlines()[-1].endswith("stdin and stdout must be pipes, sockets or terminals")
    )
    assert b"Traceback" not in complaints

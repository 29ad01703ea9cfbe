"""`voicenode doctor` as a user meets it, with a node and without."""

from __future__ import annotations

import asyncio
import json
import os
import pty
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.command import CommandLine
from tests.support.daemon import daemon
from tests.support.limits import LIMIT
from tests.support.ports import free_port
from tests.support.tone import python_path

if TYPE_CHECKING:
    from pathlib import Path

OFF = {"xtts": {"enabled": False}, "f5": {"enabled": False}}


def settings() -> dict[str, Any]:
    return {
        "name": "Kitchen",
        "wyoming": {"uri": [f"tcp://127.0.0.1:{free_port()}"]},
        "http": {"enabled": True, "host": "127.0.0.1", "port": free_port()},
        "mdns": {"enabled": False},
        "engines": OFF,
    }


@pytest.fixture
def cli(tmp_path: Path) -> CommandLine:
    (tmp_path / "voicenode.yaml").write_text(json.dumps({"data_dir": str(tmp_path / "data"), **settings()}))
    return CommandLine(tmp_path, variables={"PYTHONPATH": python_path()})


def rows(text: str) -> dict[str, dict[str, str]]:
    return {row["check"]: row for row in json.loads(text)["checks"]}


async def test_a_machine_without_faults_is_told_so(cli: CommandLine) -> None:
    result = await cli.run("doctor", "--config", "voicenode.yaml", "--json")
    assert (result.status, result.stderr) == (0, "")
    assert json.loads(result.text)["ok"] is True
    found = rows(result.text)
    assert found["engine espeak"]["state"] == "ok"
    assert found["engine xtts"] == {
        "check": "engine xtts", "state": "absent", "found": "switched off in the settings", "advice": "",
    }  # fmt: skip
    assert not (cli.home / "data").exists()


async def test_the_ports_of_a_running_node_are_its_own(cli: CommandLine) -> None:
    chosen = settings()
    (uri,) = chosen["wyoming"]["uri"]
    with daemon(cli.home, settings=chosen, uri=uri) as running:
        await asyncio.to_thread(running.wait_until_ready)
        result = await cli.run("doctor", "--config", "voicenode.yaml", "--json")
    found = rows(result.text)
    assert result.status == 0, result.text
    assert found[f"Wyoming {uri}"]["found"] == "held by a running node of this name"
    assert "is this node's, which is running" in found["HTTP"]["found"]


async def test_a_cross_ends_with_status_1_and_says_what_to_do(cli: CommandLine) -> None:
    config = {"data_dir": "/proc/voicenode", **settings()}
    (cli.home / "voicenode.yaml").write_text(json.dumps(config))
    result = await cli.run("doctor", "--config", "voicenode.yaml")
    assert result.status == 1
    (line,) = (line for line in result.text.splitlines() if "data directory" in line)
    assert line.startswith("✗")
    assert "let this user write to /proc" in line


async def test_wrong_settings_are_a_cross_among_others(cli: CommandLine) -> None:
    (cli.home / "voicenode.yaml").write_text("nam: x\n")
    result = await cli.run("doctor", "--config", "voicenode.yaml", "--json")
    assert result.status == 1
    assert "did you mean name?" in rows(result.text)["settings"]["found"]
    assert rows(result.text)["Python"]["state"] == "ok"


async def test_a_terminal_gets_colours_and_lines_that_fit(cli: CommandLine) -> None:
    cli = CommandLine(cli.home, variables={**cli.variables, "COLUMNS": "70"})
    controller, terminal = pty.openpty()
    shown = bytearray()
    try:
        process = await cli.start("doctor", "--config", "voicenode.yaml", stdout=terminal)
        os.set_blocking(controller, False)
        while process.returncode is None:
            try:
                async with asyncio.timeout(0.05):
                    await process.wait()
            except TimeoutError:
                shown += _read(controller)
        shown += _read(controller)
    finally:
        os.close(controller)
        os.close(terminal)
    assert b"\x1b[32m" in shown
    assert "✓".encode() in shown


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except BlockingIOError:
        return b""


@pytest.mark.neural
async def test_weights_that_are_not_there_are_told_of_each_engine(cli: CommandLine) -> None:
    (cli.home / "voicenode.yaml").write_text(
        json.dumps({**settings(), "engines": {"xtts": {"device": "cpu"}}})
    )
    process = await cli.start("doctor", "--config", "voicenode.yaml", "--json")
    told, _ = await asyncio.wait_for(process.communicate(), 3 * LIMIT)
    assert process.returncode == 1
    found = rows(told.decode())
    for name in ("xtts", "f5"):
        row = found[f"engine {name}"]
        assert row["state"] == "wrong"
        assert f"voicenode models download {name}" in row["advice"]

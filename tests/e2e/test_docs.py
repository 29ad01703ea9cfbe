"""Every command and every conversation in the documents, tried on a copy of this checkout.

A block `sh` must succeed. A block `console` is one command and lines that it prints, `...` standing for lines
that are left out; what differs from run to run may differ. A block `wyoming` is a conversation with the node.
The node's port stands in for 10200, and it is announced on the loopback interface alone.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from wyoming.client import AsyncClient
from wyoming.event import Event

from tests.support.checkout import copy_checkout
from tests.support.documents import ROOT, Block, blocks, table
from tests.support.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

README, PROTOCOL = ROOT / "README.md", ROOT / "docs/protocol.md"
COMMANDS = blocks("sh", "console")
FIRST = next(block for block in COMMANDS if block.path == README)
PLAYER = "#!/bin/sh\nexec cat >/dev/null\n"

VARIABLE = {
    r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}": "TIME",
    r"(?:\d+(?:\.\d+){3}|\[::\]):\d+": "ADDRESS",
    r"at \d+(?:\.\d+){3}, port \d+": "at ADDRESS",
    r"voicenode-[0-9a-f]{8}": "NODE",
    r"voicenode \d+\.\d+\.\d+": "voicenode VERSION",
    r"(ADDRESS +)\d+\.\d+\.\d+": r"\1VERSION",
    r"Python 3\.\d+": "PYTHON",
    r"\s+": " ",
}
"""What two runs of one command may print differently, in this order."""

MOVING = {"timestamp", "version"}
"""Keys of messages whose values a document need not follow."""


@dataclass(frozen=True)
class Checkout:
    """The copy, and the environment of whoever types the commands."""

    root: Path
    port: int
    env: dict[str, str]

    def popen(self, command: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["bash", "-euc", f"set -o pipefail\n{command.replace(':10200', f':{self.port}')}"],
            cwd=self.root,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, command: str) -> tuple[int, str]:
        with self.popen(command) as process:
            said, _ = process.communicate(timeout=240)
        return process.returncode, said


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    folder = tmp_path_factory.mktemp("docs")
    (folder / "aplay").write_text(PLAYER)
    (folder / "aplay").chmod(0o755)
    (folder / "voicenode.yaml").touch()
    port = free_port()
    env = {
        "PATH": f"{folder}:{os.environ['PATH']}",
        "VOICENODE_CONFIG": str(folder / "voicenode.yaml"),
        "VOICENODE_DATA_DIR": str(folder / "data"),
        "VOICENODE_WYOMING__URI": f"tcp://:{port}",
        "VOICENODE_MDNS__ADVERTISE_HOST": "127.0.0.1",
    }
    return Checkout(copy_checkout(folder / "voicenode"), port, os.environ | env)


@pytest.fixture(scope="module")
def node(checkout: Checkout) -> Iterator[list[str]]:
    """The first command of the README, running; gives what it has printed."""
    printed: list[str] = []
    with checkout.popen(command_of(FIRST)) as process:
        assert process.stdout
        try:
            while not printed or "mDNS: announced" not in printed[-1]:
                printed.append(process.stdout.readline() or pytest.fail("".join(printed)))
            yield printed
            process.send_signal(signal.SIGINT)  # Ctrl-C
            rest, _ = process.communicate(timeout=60)
            assert process.returncode == 0, rest
        finally:
            process.kill()


def follow(checkout: Checkout, block: Block) -> None:
    if block.kind == "sh":
        status, said = checkout.run(block.text)
        assert status == 0, f"{block}\n{said}"
    else:
        _, said = checkout.run(command_of(block))
        assert missing(block.text.splitlines()[1:], said.splitlines()) == [], f"{block}\n{said}"


def command_of(block: Block) -> str:
    first = block.text.splitlines()[0]
    assert first.startswith("$ "), f"{block}: a console begins with its command"
    return first.removeprefix("$ ")


def shape(line: str) -> str:
    for pattern, word in VARIABLE.items():
        line = re.sub(pattern, word, line)
    return line.strip()


def spoken(event: Event | None) -> dict[str, Any]:
    """An event as the protocol shows it: without the version of whoever sent it and without its payload."""
    assert event, "the node hung up"
    assert bool(event.payload) is (event.type == "audio-chunk")
    return {"type": event.type, **({"data": event.data} if event.data else {})}


def agrees(shown: Any, said: Any) -> bool:  # noqa: ANN401 - any JSON
    """Whether a message is what a document shows; of lists it may show a part, and … is any text."""
    if isinstance(shown, dict):
        return shown.keys() == said.keys() and all(
            type(said[key]) is type(value) if key in MOVING else agrees(value, said[key])
            for key, value in shown.items()
        )
    if isinstance(shown, list):
        return bool(shown) == bool(said) and all(any(agrees(one, other) for other in said) for one in shown)
    if isinstance(shown, str):
        return isinstance(said, str) and bool(re.fullmatch(re.escape(shown).replace("…", ".*"), said))
    return bool(shown == said)


def missing(shown: Iterable[str], printed: Iterable[str]) -> list[str]:
    """The lines of a document that were not printed, or not in that order."""
    rest = iter([shape(line) for line in printed])
    return [line for line in shown if line != "..." and shape(line) not in rest]


def test_the_first_command_shows_what_the_readme_says(node: list[str]) -> None:
    assert missing(FIRST.text.splitlines()[1:], node) == []


@pytest.mark.usefixtures("node")
@pytest.mark.parametrize("path", sorted({block.path for block in COMMANDS}), ids=lambda path: path.name)
def test_who_follows_a_document_from_its_top_sees_what_it_shows(checkout: Checkout, path: Path) -> None:
    for block in COMMANDS:
        if block.path == path and block != FIRST:
            follow(checkout, block)


@pytest.mark.usefixtures("node")
@pytest.mark.parametrize("block", blocks("wyoming"), ids=str)
async def test_every_conversation_goes_as_the_protocol_says(checkout: Checkout, block: Block) -> None:
    async with AsyncClient.from_uri(f"tcp://127.0.0.1:{checkout.port}", read_timeout=60) as client:
        last = None
        for line in block.text.splitlines():
            who, message = line.split(" ", 1)
            if who == "->":
                await client.write_event(Event.from_dict(json.loads(message)))
                continue
            event = await client.read_event()
            while event and event.type == last == "audio-chunk":  # shown once for all
                event = await client.read_event()
            last = event.type if event else "end"
            assert (message == last == "end") or agrees(json.loads(message), spoken(event)), (line, event)


@pytest.mark.usefixtures("node")
def test_the_node_announces_what_the_protocol_says(checkout: Checkout) -> None:
    _, said = checkout.run("script/run discover --json")
    node = next(node for node in json.loads(said) if node["port"] == checkout.port)
    assert list(node["properties"]) == [row[0] for row in table(PROTOCOL, "mDNS")]
    assert node["name"] == f"voicenode-{node['properties']['id']}"

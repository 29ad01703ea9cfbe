"""`voicenode quality` as its user meets it."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.command import CommandLine

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def cli(tmp_path: Path) -> CommandLine:
    return CommandLine(tmp_path, variables={"VOICENODE_DATA_DIR": str(tmp_path / "data")})


async def listed(cli: CommandLine) -> list[dict[str, Any]]:
    result = await cli.run("quality", "list", "--engine", "espeak", "--json")
    assert result.status == 0, result.stderr
    documents: list[dict[str, Any]] = json.loads(result.text)
    return documents


async def test_a_profile_is_set_and_shown_and_deleted(cli: CommandLine) -> None:
    assert await listed(cli) == []
    made = await cli.run("quality", "set", "Calm", "-e", "espeak", "speed=0.8", "-d", "In no hurry")
    assert (made.status, made.stderr) == (0, "Quality profile calm is set.\n")
    calm = {
        "name": "calm",
        "engine": "espeak",
        "parameters": {"speed": 0.8},
        "description": "In no hurry",
        "built_in": False,
    }
    assert await listed(cli) == [calm]
    shown = await cli.run("quality", "show", "CALM", "--json")
    assert json.loads(shown.text) == calm
    assert (await cli.run("quality", "delete", "calm")).stderr == "Quality profile calm is deleted.\n"
    assert await listed(cli) == []


async def test_people_get_tables(cli: CommandLine) -> None:
    nothing = await cli.run("quality", "list", "--engine", "espeak")
    assert (nothing.text, nothing.stderr) == ("", "There are no quality profiles of engine espeak.\n")
    await cli.run("quality", "set", "calm", "-e", "espeak", "speed=0.8", "-d", "In no hurry")
    table = await cli.run("quality", "list", "--engine", "espeak")
    assert [line.split() for line in table.text.splitlines()] == [
        ["Profile", "Engine", "Values", "Description", "Made", "by"],
        ["calm", "espeak", "speed=0.8", "In", "no", "hurry", "you"],
    ]
    shown = await cli.run("quality", "show", "calm")
    assert shown.stderr == "calm, for engine espeak: In no hurry\n"
    assert [line.split() for line in shown.text.splitlines()] == [
        ["Parameter", "Value", "From"],
        ["speed", "0.8", "profile"],
    ]


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (("set", "calm", "-e", "espeak", "speed=9"), 1, "speed should be less than or equal to 4, not 9"),
        (("set", "calm", "-e", "espeak", "speed"), 2, "expected KEY=VALUE"),
        (("show", "calm"), 1, "unknown quality profile 'calm'"),
        (("delete", "calm"), 1, "unknown quality profile of your own 'calm'"),
    ],
    ids=str,
)
async def test_what_is_wrong_is_said(
    cli: CommandLine, arguments: tuple[str, ...], status: int, sentence: str
) -> None:
    result = await cli.run("quality", *arguments)
    assert result.status == status
    assert sentence in " ".join(result.stderr.split())


async def test_help_has_examples_and_fits_a_terminal(cli: CommandLine) -> None:
    commands = ((), ("list",), ("show",), ("set",), ("delete",))
    for result in await asyncio.gather(*(cli.run("quality", *command, "--help") for command in commands)):
        assert result.status == 0
        assert "Examples:\n    voicenode quality" in result.text
        assert max(map(len, result.text.splitlines())) <= 100

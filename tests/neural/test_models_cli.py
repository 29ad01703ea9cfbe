"""`voicenode models` as its user meets it."""

from __future__ import annotations

import asyncio
import json
import os
import pty
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.command import CommandLine
from tests.support.limits import LIMIT
from voicenode.models import MODELS, LocalModel, checksum

if TYPE_CHECKING:
    from pathlib import Path

NOWHERE = {"HF_ENDPOINT": "http://127.0.0.1:1"}
COMMANDS = ("list", "download", "verify", "remove")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def cli(tmp_path: Path, data: Path) -> CommandLine:
    return CommandLine(tmp_path, variables={"VOICENODE_DATA_DIR": str(data)} | NOWHERE)


@pytest.fixture
def xtts(data: Path) -> LocalModel:
    """A model as a download leaves it, but for its contents."""
    local = LocalModel.of(MODELS["xtts"], data)
    local.root.mkdir(parents=True)
    for file in local.model.files:
        local.path(file).write_text(file.path)
        local.record(file, checksum.sha256(local.path(file)))
    return local


async def listed(cli: CommandLine, name: str) -> dict[str, Any]:
    result = await cli.run("models", "list", "--json")
    assert (result.status, result.stderr) == (0, "")
    (document,) = (document for document in json.loads(result.text) if document["name"] == name)
    return dict(document)


async def answered(cli: CommandLine, answer: bytes, *arguments: str) -> tuple[int | None, str]:
    """The status of a command whose user types an answer at a terminal, and what was to be seen there."""
    controller, terminal = pty.openpty()
    try:
        process = await cli.start(*arguments, stdin=terminal, stderr=terminal)
        os.write(controller, answer)
        await asyncio.wait_for(process.communicate(), LIMIT)
        return process.returncode, os.read(controller, 1 << 16).decode()
    finally:
        os.close(controller)
        os.close(terminal)


async def test_every_command_has_examples_and_fits_a_terminal(cli: CommandLine) -> None:
    asked = (("models", "--help"), *(("models", name, "--help") for name in COMMANDS))
    for result in await asyncio.gather(*(cli.run(*arguments) for arguments in asked)):
        assert result.status == 0
        assert "Examples:\n    voicenode models" in result.text
        assert max(map(len, result.text.splitlines())) <= 100


@pytest.mark.usefixtures("xtts")
async def test_models_are_listed_for_people_and_for_programs(cli: CommandLine, data: Path) -> None:
    model = MODELS["xtts"]
    assert await listed(cli, "xtts") == {
        "name": "xtts",
        "engine": "xtts",
        "description": model.description,
        "installed": "yes",
        "size": sum(len(file.path) for file in model.files),
        "licence": "CPML",
        "licence_url": model.licence.url,
        "licence_accepted": False,
        "path": str(data / "models" / "xtts"),
        "revision": model.revision,
    }
    result = await cli.run("models", "list")
    columns, first, second, *_, last = (line.split() for line in result.text.splitlines())
    assert columns[:3] == ["Model", "Installed", "Size"]
    assert first[:2] == ["xtts", "yes"]
    assert second[:5] == ["f5", "no", "CC-BY-NC-4.0,", "not", "accepted"]
    assert last[:4] == ["whisper", "no", "MIT", str(data / "models" / "whisper")]


async def test_without_a_terminal_a_licence_is_accepted_by_an_option_alone(cli: CommandLine) -> None:
    result = await cli.run("models", "download", "f5", stdin=b"y\n")
    licence = MODELS["f5"].licence
    assert (result.status, result.text) == (1, "")
    assert f"{licence.sentence}\n{licence.url}\n" in result.stderr
    assert result.stderr.endswith(
        "nothing was downloaded; read " + licence.url + ", and to accept it give --accept-license\n"
    )
    assert not (await listed(cli, "f5"))["licence_accepted"]


async def test_a_licence_is_shown_and_accepted_once(cli: CommandLine) -> None:
    first = await cli.run("models", "download", "f5", "--accept-license", "--offline")
    second = await cli.run("models", "download", "f5", "--offline")
    assert "CC-BY-NC-4.0" in first.stderr
    assert "CC-BY-NC-4.0" not in second.stderr
    assert "F5TTS_v1_Base/model_1250000.safetensors" in second.stderr
    assert (await listed(cli, "f5"))["licence_accepted"]


async def test_the_variable_of_coqui_accepts_their_licence_and_no_other(
    cli: CommandLine, tmp_path: Path
) -> None:
    agreed = CommandLine(
        tmp_path, variables={**cli.variables, "COQUI_TOS_AGREED": "1", "HF_HUB_OFFLINE": "1"}
    )
    assert "is not accepted" in (await agreed.run("models", "download", "f5")).stderr
    assert "model.pth of xtts: not in" in (await agreed.run("models", "download", "xtts")).stderr


@pytest.mark.parametrize(("answer", "accepted"), [(b"y\n", True), (b"n\n", False), (b"\n", False)])
async def test_at_a_terminal_a_licence_is_asked_for(
    cli: CommandLine, answer: bytes, *, accepted: bool
) -> None:
    status, shown = await answered(cli, answer, "models", "download", "xtts", "--offline")
    assert status == 1
    assert "Do you accept it? [y/N]" in shown
    assert ("not in" in shown) is accepted
    assert (await listed(cli, "xtts"))["licence_accepted"] is accepted


async def test_a_hub_that_cannot_be_reached_is_named(cli: CommandLine) -> None:
    pytest.importorskip("huggingface_hub")
    result = await cli.run("models", "download", "xtts", "--accept-license")
    assert result.status == 1
    assert "http://127.0.0.1:1/coqui/XTTS-v2/" in result.stderr
    assert "set HF_ENDPOINT to a mirror" in result.stderr


async def test_without_the_library_of_the_hub_it_is_said_how_to_get_it(
    cli: CommandLine, tmp_path: Path
) -> None:
    (tmp_path / "huggingface_hub.py").write_text(
        "raise ModuleNotFoundError('No module named huggingface_hub')"
    )
    without = CommandLine(tmp_path, variables={**cli.variables, "PYTHONPATH": str(tmp_path)})
    result = await without.run("models", "download", "f5", "--accept-license")
    assert result.status == 1
    assert result.stderr.endswith("run `pip install 'voicenode[f5]'`\n")


async def test_a_folder_that_cannot_be_is_said(cli: CommandLine) -> None:
    result = await cli.run("models", "download", "f5", "--accept-license", "--data-dir", "/dev/null/data")
    assert result.status == 1
    assert "The models in /dev/null/data cannot be kept: Not a directory" in result.stderr


async def test_a_whole_model_is_verified(cli: CommandLine, xtts: LocalModel) -> None:
    del xtts
    result = await cli.run("models", "verify")
    assert (result.status, result.stderr) == (0, "xtts is whole.\n")


async def test_a_damaged_model_is_named_with_what_to_do(cli: CommandLine, xtts: LocalModel) -> None:
    (xtts.root / "model.pth").write_text("model.bad")
    (xtts.root / "vocab.json").unlink()
    result = await cli.run("models", "verify", "xtts")
    assert result.status == 1
    assert "vocab.json, model.pth in " in result.stderr
    assert "run `voicenode models download xtts`" in result.stderr


async def test_what_is_not_there_is_verified_only_if_it_is_named(cli: CommandLine) -> None:
    every, named = await asyncio.gather(cli.run("models", "verify"), cli.run("models", "verify", "f5"))
    assert (every.status, every.stderr.partition(" in ")[0]) == (0, "There is no model")
    assert named.status == 1


async def test_a_model_is_removed_only_after_a_yes(cli: CommandLine, xtts: LocalModel) -> None:
    without_terminal = await cli.run("models", "remove", "xtts", stdin=b"y\n")
    assert (without_terminal.status, "give --yes" in without_terminal.stderr) == (1, True)
    status, shown = await answered(cli, b"n\n", "models", "remove", "xtts")
    assert (status, "Remove xtts" in shown) == (1, True)
    assert (await listed(cli, "xtts"))["installed"] == "yes"
    status, shown = await answered(cli, b"y\n", "models", "remove", "xtts")
    assert (status, "xtts is removed." in shown) == (0, True)
    assert not xtts.root.exists()


async def test_a_model_is_removed_unasked_with_yes(cli: CommandLine, xtts: LocalModel) -> None:
    first, second = [await cli.run("models", "remove", "xtts", "--yes") for _ in range(2)]
    assert (first.status, first.stderr) == (0, "xtts is removed.\n")
    assert (second.status, second.stderr) == (0, f"xtts is not in {xtts.root}.\n")

"""Why a natural voice cannot speak, and what to do: five answers, each told in the same four places."""

from __future__ import annotations

import asyncio
import json
import os
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("TTS")
pytest.importorskip("f5_tts")

from tests.support import f5_checkpoints, xtts_checkpoint
from tests.support.command import CommandLine
from tests.support.daemon import Daemon, daemon, say
from tests.support.ports import free_port
from tests.support.tone import python_path

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

pytestmark = [pytest.mark.neural, pytest.mark.timeout(180)]

NOT_INSTALLED = """
from importlib import metadata
found = metadata.version
def version(name):
    if name == "f5-tts":
        raise metadata.PackageNotFoundError(name)
    return found(name)
metadata.version = version
"""
"""As `sitecustomize` it makes F5-TTS look as if nobody had installed it."""
NOT_FITTING = "raise OSError('libc10_cuda.so: cannot open shared object file')\n"
"""As `torchaudio` it fails as the real one does beside a PyTorch of another kind."""


@dataclass(frozen=True)
class Answer:
    """What must be told of an engine, in any place."""

    what: str
    advice: str
    voice: str
    fails_when_loaded: bool


@dataclass(frozen=True)
class Case:
    """A machine on which neither engine can speak."""

    settings: Mapping[str, Any]
    answers: Mapping[str, Answer]
    modules: Mapping[str, str]
    """Python modules that stand before those that are installed."""


def absent(what: str, advice: str, voice: str) -> Answer:
    return Answer(what, advice, voice, fails_when_loaded=False)


def failing(what: str, advice: str, voice: str) -> Answer:
    return Answer(what, advice, voice, fails_when_loaded=True)


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    xtts = xtts_checkpoint.write(tmp_path_factory.mktemp("xtts"))
    f5 = f5_checkpoints.make(tmp_path_factory.mktemp("f5"))
    return {"xtts": {"path": str(xtts)}, "f5": {"path": str(f5)}}


def cases(paths: dict[str, Any]) -> dict[str, Case]:
    xtts, f5 = "xtts-claribel-dervla", "f5-en"
    return {
        "no weights, no GPU": Case(
            {"engines": {"xtts": {"path": "nowhere"}, "f5": paths["f5"] | {"device": "cuda:7"}}},
            {
                "xtts": absent("there is no XTTS v2 model in", "voicenode models download xtts", xtts),
                "f5": failing("cuda:7", "cpu", f5),
            },
            {},
        ),
        "not fitting, not installed": Case(
            {"engines": paths},
            {
                "xtts": failing("libc10_cuda.so", "pip install --force-reinstall 'voicenode[xtts]'", xtts),
                "f5": absent("not installed (no f5-tts)", "pip install 'voicenode[f5]'", f5),
            },
            {"sitecustomize": NOT_INSTALLED, "torchaudio": NOT_FITTING},
        ),
        "not enough memory": Case(
            {"engines": paths, "pool": {"memory": 100}},
            {
                "xtts": failing("not enough memory: it needs", "set ", xtts),
                "f5": failing("not enough memory: it needs", "set ", f5),
            },
            {},
        ),
    }


@pytest.mark.parametrize("name", ["no weights, no GPU", "not fitting, not installed", "not enough memory"])
async def test_each_place_tells_what_is_wrong_and_what_to_do(
    paths: dict[str, Any], tmp_path: Path, name: str
) -> None:
    case, port = cases(paths)[name], free_port()
    for module, text in case.modules.items():
        (tmp_path / f"{module}.py").write_text(text)
    python = os.pathsep.join([str(tmp_path), python_path()])
    settings = {**case.settings, "http": {"enabled": True, "host": "127.0.0.1", "port": port}}
    with daemon(tmp_path, settings=settings, PYTHONPATH=python) as node:
        for engine, answer in case.answers.items():
            await tell(node, engine, answer)
        health = await asyncio.to_thread(read_health, port)
    cli = CommandLine(tmp_path, variables={"PYTHONPATH": python})
    process = await cli.start("doctor", "--config", "voicenode.yaml", "--json")
    told, _ = await process.communicate()
    rows = {row["check"]: row for row in json.loads(told)["checks"]}
    assert health["status"] == "degraded"
    for engine, answer in case.answers.items():
        error = health["engines"][engine]["error"]
        assert answer.what in error
        assert answer.advice in error
        row = rows[f"engine {engine}"]
        assert row["state"] == "wrong"
        assert answer.what in row["found"]
        assert answer.advice in row["advice"]


async def tell(node: Daemon, engine: str, answer: Answer) -> None:
    """What a client and the log are told."""
    heard = await say(node.uri, "Good evening.", answer.voice)
    (error,) = (event.data for event in heard.events if event.type == "error")
    assert error["code"] in {"engine-unavailable", "out-of-memory"}
    assert answer.what in error["text"]
    assert answer.advice in error["text"]
    lines = [line for line in node.log.lines if "ERROR" in line and answer.what in line]
    assert any(f"engine '{engine}'" in line or f"engine {engine}" in line for line in lines), str(node.log)
    assert all(answer.advice in line for line in lines)


def read_health(port: int) -> dict[str, Any]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/health") as response:
        health: dict[str, Any] = json.load(response)
    return health

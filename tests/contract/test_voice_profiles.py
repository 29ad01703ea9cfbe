"""Voice profiles in every store: whatever happens to a writer, a voice is whole or absent."""

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.redis_server import RedisServer
from tests.support.stores import open_store

ROOT = Path(__file__).parents[2]


@pytest.fixture(params=["file", "redis"])
def url(request: pytest.FixtureRequest, tmp_path: Path, redis_server: RedisServer) -> str:
    if request.param == "file":
        return f"file:{tmp_path / 'store'}"
    return f"{redis_server.url}?prefix={tmp_path.name}&cache={tmp_path / 'cache'}"


async def run_program(*arguments: str) -> str:
    command = [sys.executable, "-m", "tests.support.cloning_crash", *arguments]
    program = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    output, _ = await program.communicate()
    assert program.returncode == 0
    return output.decode()


async def test_whoever_is_killed_while_he_clones_renames_or_deletes_leaves_whole_voices(
    url: str, endurance: Callable[[int], int]
) -> None:
    await run_program("crash", url, str(endurance(300)))
    async with open_store(url) as store:
        await store.sweep()
        assert await store.verify() == []


async def test_of_twenty_processes_that_clone_one_name_one_wins(url: str) -> None:
    assert await run_program("race", url, "20") == "1 19\n"

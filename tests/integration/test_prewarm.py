"""Engines whose libraries are imported ahead: they start from a fork server, or without it."""

import asyncio
import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support import tone
from tests.support.engines.voicenode_tone import ToneOptions
from tests.support.limits import LIMIT, eventually
from tests.support.tone import say, segment, speak
from voicenode.errors import EngineError, ErrorCode
from voicenode.workers import prewarm
from voicenode.workers.pool import EnginePool
from voicenode.workers.process import EngineSpec

pytestmark = pytest.mark.usefixtures("tone_engine", "heartbeat")


@asynccontextmanager
async def prewarmed(**fields: Any) -> AsyncIterator[EnginePool]:  # noqa: ANN401
    async with tone.pool(tone.spec(prewarm_imports=True, **fields)) as pool:
        pool.prewarm(["tone"])
        await eventually(lambda: pool.states()[0].prewarmed is not None)
        yield pool


def server(pool: EnginePool) -> int:
    pid = pool.states()[0].prewarmed
    assert pid
    return pid


def engine(pool: EnginePool) -> psutil.Process:
    pid = pool.states()[0].pid
    assert pid
    return psutil.Process(pid)


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


async def test_an_engine_is_forked_speaks_and_leaves_nothing_when_it_ends() -> None:
    async with prewarmed() as pool:
        for _ in range(3):
            assert await say(pool, "hello") == "hello"
            child = engine(pool)
            assert child.ppid() == server(pool)
            assert os.getpgid(child.pid) == child.pid
            await pool.unload("tone")
            assert not child.is_running()


async def test_until_the_libraries_are_imported_an_engine_starts_as_without() -> None:
    async with tone.pool(tone.spec(prewarm_imports=True)) as pool:
        pool.prewarm(["tone"])
        assert await say(pool, "hello") == "hello"
        assert engine(pool).ppid() == os.getpid()


async def test_a_forked_engine_that_dies_says_with_what_status_and_another_speaks() -> None:
    async with prewarmed() as pool:
        with pytest.raises(EngineError, match="exit status 7") as raised:
            await say(pool, "die")
        assert raised.value.code == ErrorCode.ENGINE_LOST
        assert await say(pool, "fine again") == "fine again"
        assert engine(pool).ppid() == server(pool)


async def test_what_a_forked_engine_has_started_ends_with_it() -> None:
    async with prewarmed() as pool:
        child = int((await say(pool, "fork")).removesuffix("fork"))
        await pool.unload("tone")
        await eventually(lambda: is_gone(child))


async def test_an_engine_outlives_its_fork_server_which_is_started_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(prewarm, "_FIRST_PAUSE", 0)
    async with prewarmed() as pool, pool.hold("tone") as turns:
        first = server(pool)
        async with aclosing(turns.synthesize(segment("one hang"))) as chunks:
            await anext(chunks)
            os.kill(first, signal.SIGKILL)
            await eventually(lambda: pool.states()[0].prewarmed not in {None, first})
        assert await speak(turns, "two") == "two"
        child = engine(pool)
        await pool.unload("tone")
        assert is_gone(child.pid)
        assert await speak(turns, "three") == "three"
        assert engine(pool).ppid() == server(pool)


async def test_without_its_fork_server_an_engine_starts_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prewarm, "_PATIENCE", 0.1)
    async with prewarmed() as pool:
        os.kill(server(pool), signal.SIGSTOP)
        assert await say(pool, "hello") == "hello"
        assert engine(pool).ppid() == os.getpid()


@pytest.mark.parametrize(
    ("lacking", "said"),
    [
        ("LackingToneEngine", "No module named 'voicenode_tone_nowhere'"),
        ("ThreadingToneEngine", "starts threads"),
    ],
)
async def test_libraries_that_cannot_be_imported_ahead_are_told_of_once_and_missed_by_nobody(
    lacking: str, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    known = tone.spec()
    spec = EngineSpec(known.info, f"voicenode_tone:{lacking}", known.options, prewarm_imports=True)
    async with tone.pool(spec) as pool:
        pool.prewarm(["tone"])
        await eventually(lambda: said in caplog.text)
        assert await say(pool, "hello") == "hello"
    assert caplog.text.count("not imported ahead") == 1


async def test_where_memory_is_short_nothing_is_imported_ahead(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(prewarm, "available_memory", lambda: 1 << 30)
    async with tone.pool(tone.spec(prewarm_imports=None)) as pool:
        pool.prewarm(["tone"])
        await eventually(lambda: "less than 4 GiB" in caplog.text)
        assert pool.states()[0].prewarmed is None


async def test_an_engine_with_an_interpreter_of_its_own_is_forked_from_that(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nWHOSE=own exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    async with prewarmed(python=str(python)) as pool:
        await pool.load("tone")
        assert engine(pool).ppid() == server(pool)
        assert engine(pool).environ()["WHOSE"] == "own"


async def test_loading_that_is_broken_off_at_any_moment_leaves_no_process() -> None:
    async with prewarmed(options=ToneOptions(load_seconds=0.01)) as pool:
        running = server(pool)
        for step in range(30):
            loading = asyncio.create_task(pool.load("tone"))
            for _ in range(step):
                await asyncio.sleep(0)
            await pool.unload("tone")
            with suppress(EngineError):
                await loading
        await pool.unload("tone")
        assert psutil.Process(running).children() == []
        assert server(pool) == running
        assert await say(pool, "hello") == "hello"


def test_the_end_of_the_daemon_ends_a_fork_server_that_still_imports(tmp_path: Path) -> None:
    (tmp_path / "endless.py").write_text("import time; time.sleep(3600)")
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    command = [sys.executable, "-m", "voicenode.workers.forkserver", str(theirs.fileno()), "endless:Engine"]
    path = f"{tmp_path}{os.pathsep}{os.environ['PYTHONPATH']}"
    with ours, theirs:
        process = subprocess.Popen(
            command, pass_fds=[theirs.fileno()], env={**os.environ, "PYTHONPATH": path}
        )
    assert process.wait(LIMIT) == 0

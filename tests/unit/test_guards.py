"""The guards of the test suite catch what they are there for."""

import asyncio
import os
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from blockbuster import BlockingError

import voicenode
from tests.support import leaks
from tests.support.heartbeat import LIMIT, Heartbeat


def compute(seconds: float) -> None:
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


def as_if_in_voicenode(function: str) -> Callable[[], None]:
    """A function whose code claims to stand in a file of voicenode."""
    scope: dict[str, Callable[[], None]] = {}
    path = Path(voicenode.__file__).with_name("pretended.py")
    exec(compile(f"import time\ndef blocks(): {function}", str(path), "exec"), scope)  # noqa: S102 (our own text)
    return scope["blocks"]


async def test_a_blocking_call_from_voicenode_on_the_loop_is_an_error() -> None:
    with pytest.raises(BlockingError, match=r"time\.sleep"):
        as_if_in_voicenode("time.sleep(0.001)")()


async def test_a_blocking_call_from_voicenode_in_a_thread_is_none() -> None:
    await asyncio.to_thread(as_if_in_voicenode("time.sleep(0.001)"))


async def test_a_blocking_call_from_a_test_is_none() -> None:
    time.sleep(0.001)  # noqa: ASYNC251 (the point)


async def test_a_long_computation_stops_the_heartbeat() -> None:
    async with Heartbeat() as heartbeat:
        compute(LIMIT * 1.5)
    with pytest.raises(AssertionError, match="without a turn"):
        heartbeat.check()


async def test_a_loop_that_sleeps_or_takes_turns_keeps_the_heartbeat(heartbeat: Heartbeat) -> None:
    time.sleep(LIMIT * 2)  # noqa: ASYNC251 (costs no processor time)
    for _ in range(20):
        compute(LIMIT / 10)
        await asyncio.sleep(0)
    heartbeat.check()


def test_work_between_two_runs_of_a_loop_is_not_the_loops() -> None:
    async def enter(heartbeat: Heartbeat) -> None:
        await heartbeat.__aenter__()

    async def leave(heartbeat: Heartbeat) -> None:
        await heartbeat.__aexit__()

    heartbeat = Heartbeat()
    with asyncio.Runner() as runner:
        runner.run(enter(heartbeat))
        compute(LIMIT * 1.5)
        runner.run(leave(heartbeat))
    heartbeat.check()


async def test_a_task_left_behind_is_named() -> None:
    before = leaks.tasks()
    task = asyncio.create_task(asyncio.Event().wait(), name="forgotten")
    with pytest.raises(AssertionError, match="forgotten"):
        leaks.check_tasks(before)
    task.cancel()
    await asyncio.wait([task])


def test_a_thread_left_behind_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaks, "GRACE", 0)
    before, ended = leaks.Resources.now(), threading.Event()
    thread = threading.Thread(target=ended.wait, name="forgotten")
    thread.start()
    with pytest.raises(AssertionError, match="forgotten"):
        leaks.check(before)
    ended.set()
    thread.join()


def test_a_process_left_behind_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaks, "GRACE", 0)
    before = leaks.Resources.now()
    with subprocess.Popen(["cat", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"x")
        process.stdout.read(1)  # before it runs, its arguments may not be there yet
        with pytest.raises(AssertionError, match="cat -"):
            leaks.check(before)


def test_a_descriptor_left_open_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaks, "GRACE", 0)
    before = leaks.Resources.now()
    descriptor = os.open("/dev/null", os.O_RDONLY)
    with pytest.raises(AssertionError, match="/dev/null"):
        leaks.check(before)
    os.close(descriptor)

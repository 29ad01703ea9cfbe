"""What a test may not leave behind: tasks, threads, child processes, file descriptors."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

GRACE = 10.0
"""Seconds in which what was told to end or to close may do so, on a busy machine."""

Task = asyncio.Task[Any]


@dataclass(frozen=True)
class Resources:
    """What this process holds of the operating system at one moment."""

    threads: frozenset[threading.Thread]
    children: frozenset[psutil.Process]
    descriptors: dict[int, str]
    """Number of each open descriptor and what it refers to, as Linux names it."""

    @classmethod
    def now(cls) -> Resources:
        children = psutil.Process().children() if _has_children() else []
        return cls(frozenset(threading.enumerate()), frozenset(children), _descriptors())


def check(before: Resources) -> None:
    """Raise AssertionError naming all that is held now and was not held before."""
    after = Resources.now()
    for thread in after.threads - before.threads:
        thread.join(GRACE)
        assert not thread.is_alive(), f"the test left a thread running: {thread.name}"
    _, alive = psutil.wait_procs(after.children - before.children, timeout=GRACE)
    assert not alive, f"the test left processes running: {[_describe(child) for child in alive]}"
    left = _new_descriptors(before)
    deadline = time.monotonic() + GRACE
    while left and time.monotonic() < deadline:
        gc.collect()
        time.sleep(0.01)
        left = _new_descriptors(before)
    assert not left, f"the test left file descriptors open: {left}"


def tasks() -> set[Task]:
    return asyncio.all_tasks()


def check_tasks(before: set[Task]) -> None:
    """Raise AssertionError naming each task of this loop that is unfinished and was not there before."""
    left = asyncio.all_tasks() - before - {asyncio.current_task()}
    assert not left, f"the test left tasks running: {[task.get_name() for task in left]}"


def _new_descriptors(before: Resources) -> dict[int, str]:
    return {number: name for number, name in _descriptors().items() if before.descriptors.get(number) != name}


def _descriptors() -> dict[int, str]:
    found = {}
    for entry in Path("/proc/self/fd").iterdir():
        try:
            found[int(entry.name)] = str(entry.readlink())
        except FileNotFoundError:  # the descriptor of the listing itself
            continue
    return found


def _has_children() -> bool:
    """Whether there is any child at all: one system call instead of a walk over every process."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _describe(child: psutil.Process) -> str:
    try:
        return " ".join(child.cmdline()) or str(child)
    except psutil.Error:
        return str(child)

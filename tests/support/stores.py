"""Stores for tests, and a program that writes to one in processes that are killed or race each other.

    python -m tests.support.stores crash <url> <kills> | race <url> <writers>

The program forks before anything has started a thread, so that a new writer costs milliseconds.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.documents import ROOT
from voicenode.errors import ConflictError
from voicenode.stores.file import FileStore
from voicenode.stores.redis import RedisStore
from voicenode.stores.redis_address import RedisAddress

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from voicenode.stores.store import Store


def open_store(url: str) -> Store:
    """The store that a test names, such as `file:/tmp/x` or `redis://127.0.0.1?prefix=x&cache=/tmp/x`."""
    kind, _, place = url.partition(":")
    if kind == "file":
        return FileStore(Path(place), poll=0.01)
    address, _, cache = url.partition("&cache=")
    return RedisStore(RedisAddress.parse(address), Path(cache), cache_limit=100_000_000)


async def run_program(module: str, *arguments: str) -> str:
    """What a program of the tests prints."""
    command = [sys.executable, "-m", module, *arguments]
    program = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    output, _ = await program.communicate()
    assert program.returncode == 0
    return output.decode()


def crash(url: str, kills: int) -> None:
    """Kill a writer at random moments; after each, every document must be whole or absent."""
    for _ in range(kills):
        read, write = os.pipe()
        writer = fork(lambda write=write: _write(url, write))  # type: ignore[misc]
        os.close(write)
        with os.fdopen(read, "rb") as acknowledged:
            first = acknowledged.readline()
            time.sleep(random.uniform(0, 0.02))
            os.kill(writer, signal.SIGKILL)
            os.waitpid(writer, 0)
            last = int([first, *acknowledged][-1])
        succeed(fork(lambda last=last: _check(url, last)))  # type: ignore[misc]


def race(url: str, writers: int) -> None:
    """Let processes write one document from the same revision; print how many of them won."""
    succeed(fork(lambda: _found(url)))
    read, start = os.pipe()
    racers = [fork(lambda: _compete(url, read, start)) for _ in range(writers)]
    os.close(start)
    statuses = [os.waitpid(racer, 0)[1] for racer in racers]
    print(statuses.count(0), statuses.count(_LOST << 8))  # noqa: T201 - how a program answers


_LOST = 3


async def _write(url: str, acknowledgements: int) -> int:
    """Put and delete until killed; says which number of `kept` was last acknowledged."""
    async with open_store(url) as store:
        document = await store.get("voices", "kept")
        number = int(document.value["number"]) if document else 0
        while True:
            number += 1
            sound = random.randbytes(random.randrange(100_000))
            value = {"number": number, "digest": hashlib.sha256(sound).hexdigest()}
            await store.put("voices", "kept", value, files={"sound.wav": sound})
            await store.put("voices", "kept", {**value, "used": True})
            os.write(acknowledgements, b"%d\n" % number)
            await store.put("voices", "gone", value, files={"sound.wav": sound})
            await store.delete("voices", "gone")


async def _check(url: str, acknowledged: int) -> int:
    async with open_store(url) as store:
        assert await store.verify() == []
        documents = {document.key: document for document in await store.list("voices")}
        assert documents["kept"].value["number"] >= acknowledged
        for key, document in documents.items():
            with await store.open("voices", key, "sound.wav") as file:  # type: ignore[union-attr]
                assert hashlib.sha256(file.read()).hexdigest() == document.value["digest"]
    return 0


async def _found(url: str) -> int:
    async with open_store(url) as store:
        await store.put("voices", "anna", {"writer": None}, revision=0)
    return 0


async def _compete(url: str, read: int, start: int) -> int:
    os.close(start)
    os.read(read, 1)  # returns when the last writer is there and its parent has closed the other end
    async with open_store(url) as store:
        try:
            await store.put("voices", "anna", {"writer": os.getpid()}, revision=1)
        except ConflictError:
            return _LOST
    return 0


def fork(program: Callable[[], Coroutine[None, None, int]]) -> int:
    child = os.fork()
    if child == 0:
        status = 1
        try:
            status = asyncio.run(program())
        finally:
            os._exit(status)
    return child


def succeed(child: int) -> None:
    assert os.waitpid(child, 0)[1] == 0


if __name__ == "__main__":
    {"crash": crash, "race": race}[sys.argv[1]](sys.argv[2], int(sys.argv[3]))

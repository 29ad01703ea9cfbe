"""Natural engines that come and go, or are killed, leave the node as it was."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

import psutil
import pytest

pytest.importorskip("TTS")
pytest.importorskip("f5_tts")

from tests.support.daemon import Daemon, Heard, daemon, kill, say
from tests.support.limits import eventually
from tests.support.natural import VOICES, Checkpoints, engines, fork_servers, rests
from voicenode import gpu

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = [pytest.mark.neural, pytest.mark.timeout(1800)]

TEXT = "Yes."
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """Whose engines end as soon as they have spoken."""
    checkpoints = Checkpoints.make(tmp_path_factory.mktemp("checkpoints"))
    settings = checkpoints.settings(pool={"prewarm_imports": True, "idle_timeout": 0})
    with daemon(tmp_path_factory.mktemp("node"), settings=settings) as running:
        running.log.wait_for("its libraries are imported", 2)
        yield running


async def test_fifty_times_loaded_spoken_and_ended_leave_nothing(
    node: Daemon, endurance: Callable[[int], int]
) -> None:
    async def cycle() -> None:
        for voice in VOICES.values():
            assert (await say(node.uri, TEXT, voice)).whole
        await rests(node)
        used = gpu.vram_by_process() or {}
        assert not used.keys() & {process.pid for process in node.ps.children(recursive=True)}

    await cycle()
    rss, descriptors, threads = node.rss, node.ps.num_fds(), node.ps.num_threads()
    servers = {server.pid: server.memory_info().rss for server in fork_servers(node)}
    for _ in range(endurance(50)):
        await cycle()

    await eventually(lambda: node.ps.num_fds() <= descriptors)
    assert node.ps.num_threads() <= threads + 1  # one that looks at memory, when it is its time
    assert node.rss - rss < 2 * MIB
    assert servers.keys() == {server.pid for server in fork_servers(node)}
    assert all(server.memory_info().rss - servers[server.pid] < 2 * MIB for server in fork_servers(node))


async def test_engines_killed_at_any_moment_of_two_hundred_answers_cost_no_client_more_than_an_error(
    node: Daemon, endurance: Callable[[int], int]
) -> None:
    chance, answers, count = random.Random(1), list[Heard](), endurance(200)
    killed = 0

    async def client(voice: str) -> None:
        while len(answers) < count:
            answers.append(await say(node.uri, TEXT, voice))

    async def killer() -> None:
        nonlocal killed
        while True:
            await asyncio.sleep(chance.uniform(0.2, 2))
            # One in ten hits what they are forked from.
            victims = fork_servers(node) if chance.random() < 0.1 else engines(node)
            for process in victims:
                kill(process)
                killed += 1

    killing = asyncio.create_task(killer())
    await asyncio.gather(*(client(voice) for voice in VOICES.values() for _ in range(2)))
    killing.cancel()
    await asyncio.wait([killing])

    assert len(answers) >= count
    assert all(answer.whole or answer.code == "engine-lost" for answer in answers)
    assert any(answer.whole for answer in answers)
    assert killed > 0
    for voice in VOICES.values():
        assert (await say(node.uri, TEXT, voice)).whole
    await rests(node)
    everything = node.ps.children(recursive=True)
    assert psutil.STATUS_ZOMBIE not in {process.status() for process in everything}

"""Whatever an engine does, the node answers, its other voices speak, and nothing of the engine is left."""

from __future__ import annotations

import asyncio
import random
import re
import signal
from typing import TYPE_CHECKING

import psutil
import pytest
from wyoming.client import AsyncClient
from wyoming.info import Describe, Info

from tests.support.daemon import Daemon, Heard, daemon, hear, kill, request, say
from tests.support.engines.voicenode_tone import spell
from tests.support.limits import LIMIT, eventually
from tests.support.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

TONE = "tone-plain"


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    # No rest: an engine that is killed again and again is what one of the tests is about.
    settings = {"engines": {"tone": {"silent_timeout": 2}}, "fallback": {"rest": 0}}
    with daemon(tmp_path_factory.mktemp("node"), settings=settings) as running:
        yield running


async def describe(uri: str) -> Info:
    async with AsyncClient.from_uri(uri, connect_timeout=LIMIT, read_timeout=LIMIT) as client:
        await client.write_event(Describe().event())
        event = await client.read_event()
        assert event is not None
        return Info.from_event(event)


async def speaks(uri: str) -> None:
    """Both engines answer; the node itself chooses espeak."""
    spoken, spelt = await say(uri, "Good evening."), await say(uri, "Good evening.", TONE)
    assert spoken.whole
    assert spelt.whole
    assert spell(spelt.audio).strip() == "Good evening."


def tone_processes(node: Daemon) -> list[psutil.Process]:
    return node.living("voicenode_tone:ToneEngine")


@pytest.mark.parametrize(
    ("word", "code"),
    [
        ("sayerror", "engine-failed"),
        ("crash", "engine-failed"),
        ("die", "engine-lost"),
        ("hang", "engine-lost"),
        ("refuse", "bad-request"),
    ],
)
async def test_whatever_an_engine_does_the_client_hears_a_code_and_the_node_speaks_on(
    node: Daemon, word: str, code: str
) -> None:
    node.complaints += word == "crash"  # the traceback of the engine's own code, for its author

    heard = await say(node.uri, f"before {word} after", TONE)

    assert heard.types[0] == "audio-start"
    assert heard.types[-1] == "error"
    assert heard.code == code
    assert spell(heard.audio) == "before "
    await speaks(node.uri)


async def test_the_node_answers_and_other_voices_speak_while_an_engine_hangs(node: Daemon) -> None:
    async with AsyncClient.from_uri(node.uri, connect_timeout=LIMIT, read_timeout=LIMIT) as stuck:
        await stuck.write_event(request("before progress", TONE))
        await stuck.read_event()
        waiting = asyncio.create_task(say(node.uri, "later", TONE))

        info = await describe(node.uri)
        heard = [await say(node.uri, "Good evening.") for _ in range(3)]

        assert {voice.name for voice in info.tts[0].voices} >= {TONE, "espeak-en-us"}
        assert all(answer.whole for answer in heard)
        assert not waiting.done()
    assert spell((await waiting).audio).strip() == "later"


async def test_an_engine_deaf_to_a_hang_up_is_replaced(node: Daemon) -> None:
    async with AsyncClient.from_uri(node.uri, connect_timeout=LIMIT, read_timeout=LIMIT) as client:
        await client.write_event(request("deaf " * 2, TONE))
        await client.read_event()
        (deaf,) = tone_processes(node)
    assert (await say(node.uri, "later", TONE)).whole
    assert not deaf.is_running()


async def test_engines_killed_at_any_moment_cost_a_client_no_more_than_an_error(
    node: Daemon, endurance: Callable[[int], int]
) -> None:
    chance = random.Random(1)
    count, spelt, spoken = endurance(200), list[Heard](), list[Heard]()
    text = "This is one of many sentences. " * 10

    async def client() -> None:
        while len(spelt) + len(spoken) < count:
            spelt.append(await say(node.uri, text, TONE))
            spoken.append(await say(node.uri, text))

    async def killer() -> None:
        while True:
            await asyncio.sleep(chance.uniform(0, 0.2))
            for process in node.workers:
                kill(process)

    killing = asyncio.create_task(killer())
    await asyncio.gather(*(client() for _ in range(4)))
    killing.cancel()
    await asyncio.wait([killing])

    assert all(answer.whole or answer.code == "engine-lost" for answer in spelt + spoken)
    assert {spell(answer.audio).count("many") for answer in spelt if answer.whole} <= {10}
    lengths = [len(answer.audio) for answer in spoken if answer.whole]
    assert max(lengths, default=0) < 1.01 * min(lengths, default=1)
    assert node.log.count("died") > 0
    await speaks(node.uri)
    await eventually(lambda: len(node.workers) == 2)
    assert psutil.STATUS_ZOMBIE not in {process.status() for process in node.workers}


@pytest.mark.parametrize(
    ("fault", "code", "said"),
    [
        ({"load_error": "no weights here"}, "engine-unavailable", "no weights here"),
        ({"load_error": "crash"}, "engine-failed", "ZeroDivisionError"),
        ({"load_error": "die"}, "engine-lost", "exit status 7"),
    ],
)
async def test_an_engine_that_cannot_load_says_why_each_time_and_others_speak(
    tmp_path: Path, fault: dict[str, str], code: str, said: str
) -> None:
    with daemon(tmp_path, settings={"engines": {"tone": fault}}) as node:
        for _ in range(2):
            heard = await say(node.uri, "Hello", TONE)
            assert heard.types == ["error"]
            assert heard.code == code
            assert said in heard.events[0].data["text"]
            assert (await say(node.uri, "Hello")).whole
        assert tone_processes(node) == []
        node.complaints = 2 if fault["load_error"] == "crash" else 0


async def test_what_an_engine_lacked_is_noticed_and_its_voices_are_there(tmp_path: Path) -> None:
    weights = tmp_path / "weights"
    settings = {"engines": {"tone": {"needs": str(weights)}}}
    with daemon(tmp_path, settings=settings, uri=f"tcp://127.0.0.1:{free_port()}") as node:
        node.wait_until_ready()
        node.log.wait_for("engine tone is not offered: there is no ")
        assert (await say(node.uri, "Hello", TONE)).code == "engine-unavailable"
        weights.touch()
        node.log.wait_for("engine tone has what it lacked: the node begins anew")
        node.log.wait_for("is ready: .* voices of tone", times=1)
        assert (await say(node.uri, "Hello", TONE)).whole
        assert node.stop() == 0


async def test_a_node_that_is_killed_leaves_no_engine(tmp_path: Path) -> None:
    with daemon(tmp_path) as node:
        async with AsyncClient.from_uri(node.uri, connect_timeout=LIMIT, read_timeout=LIMIT) as client:
            assert (await say(node.uri, "Hello")).whole
            await client.write_event(request("before hang", TONE))
            await client.read_event()
            workers = node.workers
            node.send(signal.SIGKILL)
            _, alive = psutil.wait_procs(workers, LIMIT)
            await hear(client)
        assert len(workers) == 2
        assert alive == []
        node.wait()


async def test_an_engine_that_is_not_used_ends_and_starts_again(
    tmp_path: Path, endurance: Callable[[int], int]
) -> None:
    with daemon(tmp_path, settings={"pool": {"idle_timeout": 0}}) as node:

        async def cycle() -> None:
            assert (await say(node.uri, "Hello")).whole
            await eventually(lambda: not node.workers)

        for _ in range(3):
            await cycle()
        rss, descriptors, threads = node.rss, node.ps.num_fds(), node.ps.num_threads()
        for _ in range(endurance(50)):
            await cycle()

        await eventually(lambda: node.ps.num_fds() <= descriptors)
        assert node.ps.num_threads() <= threads
        assert node.rss - rss < 1024 * 1024
        node.log.wait_for("engine espeak is idle and ends", times=3 + endurance(50))
    ended = node.log.count("engine espeak is idle and ends")
    loaded = node.log.count(r"engine espeak is loaded \(")
    assert ended == loaded == 3 + endurance(50)


async def test_an_engine_ends_when_it_was_not_used_for_its_time(tmp_path: Path) -> None:
    with daemon(tmp_path, settings={"pool": {"idle_timeout": 2}}) as node:
        for _ in range(3):
            assert (await say(node.uri, "Hello")).whole
        await eventually(lambda: not node.workers)
        assert (await say(node.uri, "Hello")).whole
    assert node.log.count("engine espeak is loaded") == 2


async def test_an_engine_may_stay_for_ever(tmp_path: Path) -> None:
    with daemon(tmp_path, settings={"pool": {"idle_timeout": -1}}) as node:
        assert (await say(node.uri, "Hello")).whole
        (first,) = node.workers
        assert (await say(node.uri, "Hello")).whole
        assert node.workers == [first]
        assert not re.search("idle", str(node.log))

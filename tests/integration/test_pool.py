import asyncio
import hashlib
import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing
from pathlib import Path

import psutil
import pytest

from tests.support import tone
from tests.support.cloning import read_of
from tests.support.engines.voicenode_tone import ToneOptions, sound_of, spell
from tests.support.limits import LIMIT, eventually
from tests.support.tone import say, segment, speak
from voicenode.errors import BusyError, EngineError, ErrorCode, RequestError, VoiceServiceError
from voicenode.workers import process as engine_process
from voicenode.workers.pool import EnginePool

pytestmark = pytest.mark.usefixtures("tone_engine", "heartbeat")


@pytest.fixture
async def pool() -> AsyncIterator[EnginePool]:
    async with tone.pool() as pool:
        yield pool


def pid(pool: EnginePool) -> int | None:
    return pool.states()[0].pid


async def ended(process_id: int) -> None:
    """Wait until a process is gone."""
    async with asyncio.timeout(LIMIT):
        while _lives(process_id):  # noqa: ASYNC110 - the kernel offers no event for a stranger
            await asyncio.sleep(0.005)


def _lives(process_id: int) -> bool:
    try:
        return psutil.Process(process_id).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def test_an_engine_speaks_what_it_is_given(pool: EnginePool) -> None:
    assert await say(pool, "hello world") == "hello world"


async def test_the_same_process_speaks_again(pool: EnginePool) -> None:
    async with pool.hold("tone") as turns:
        await speak(turns, "one")
        first = pid(pool)
        await speak(turns, "two")
        assert pid(pool) == first


async def test_requests_share_one_process_while_it_loads(pool: EnginePool) -> None:
    spoken = await asyncio.gather(*(say(pool, f"number {n}") for n in range(10)))
    assert spoken == [f"number {n}" for n in range(10)]


@pytest.mark.parametrize(
    ("text", "kind", "code"),
    [
        ("well sayerror", EngineError, ErrorCode.ENGINE_FAILED),
        ("well crash", EngineError, ErrorCode.ENGINE_FAILED),
        ("well refuse", RequestError, ErrorCode.BAD_REQUEST),
        ("well unknown", RequestError, ErrorCode.UNKNOWN_VOICE),
        ("well die", EngineError, ErrorCode.ENGINE_LOST),
    ],
)
async def test_whatever_an_engine_does_the_next_request_is_spoken(
    pool: EnginePool, text: str, kind: type[VoiceServiceError], code: ErrorCode
) -> None:
    with pytest.raises(kind) as raised:
        await say(pool, text)
    assert raised.value.code == code
    assert await say(pool, "fine again") == "fine again"


async def test_an_engine_that_fails_before_its_first_chunk_keeps_its_process() -> None:
    async with tone.pool(tone.spec("tone5")) as pool:
        assert await say(pool, "fine", "tone5") == "fine"
        before = pid(pool)
        with pytest.raises(EngineError) as raised:
            await say(pool, "crash", "tone5")
        assert raised.value.code == ErrorCode.ENGINE_FAILED
        assert await say(pool, "fine again", "tone5") == "fine again"
        assert pid(pool) == before


async def test_a_pool_that_is_closed_starts_nothing() -> None:
    async with tone.pool() as pool, pool.hold("tone") as turns:
        await pool.close()
        with pytest.raises(BusyError):
            await speak(turns, "too late")
        assert pid(pool) is None


async def test_a_refusal_keeps_the_process(pool: EnginePool) -> None:
    async with pool.hold("tone") as turns:
        before = pid(pool)
        with pytest.raises(RequestError):
            await speak(turns, "refuse")
        assert pid(pool) == before


async def test_a_process_ends_itself_after_an_error_of_cuda() -> None:
    async with tone.pool() as pool:
        await pool.load("tone")
        before = pid(pool)
        with pytest.raises(EngineError, match="illegal memory access") as raised:
            await say(pool, "cuda")
        assert raised.value.code == ErrorCode.ENGINE_FAILED
        assert before
        await ended(before)
        assert await say(pool, "fine again") == "fine again"


async def test_a_silent_engine_is_ended_and_the_next_request_spoken() -> None:
    async with tone.pool(tone.spec(silent_timeout=1)) as pool:
        with pytest.raises(EngineError) as raised:
            await say(pool, "deaf")
        assert raised.value.code == ErrorCode.ENGINE_LOST
        assert await say(pool, "fine") == "fine"


async def test_an_engine_that_reports_progress_is_not_silent() -> None:
    async with tone.pool(tone.spec(silent_timeout=1)) as pool, pool.hold("tone") as turns:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.5):
                await speak(turns, "progress")


async def test_leaving_in_the_midst_frees_the_engine_and_keeps_its_process(pool: EnginePool) -> None:
    async with pool.hold("tone") as turns:
        async with aclosing(turns.synthesize(segment("listen hang"))) as chunks:
            assert spell(await anext(chunks)) == "liste"
        before = pid(pool)
        assert await speak(turns, "next") == "next"
        assert pid(pool) == before


async def test_an_engine_deaf_to_cancelling_is_killed(
    pool: EnginePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_process, "CANCEL_GRACE", 0.2)
    async with pool.hold("tone") as turns:
        async with aclosing(turns.synthesize(segment("deaf"))) as chunks:
            await anext(chunks)
        assert await speak(turns, "next") == "next"


async def test_a_second_cancellation_does_not_skip_the_kill(
    pool: EnginePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_process, "CANCEL_GRACE", 0.2)
    heard = asyncio.Event()

    async def listen() -> None:
        async with pool.hold("tone") as turns:
            async for _ in turns.synthesize(segment("deaf")):
                heard.set()

    listener = asyncio.create_task(listen())
    await heard.wait()
    deaf = pid(pool)
    assert deaf
    for _ in range(3):
        listener.cancel()
        await asyncio.sleep(0)
    await asyncio.wait([listener])
    await ended(deaf)
    assert await say(pool, "next") == "next"


async def test_a_killed_process_is_replaced(pool: EnginePool) -> None:
    await say(pool, "one")
    first = pid(pool)
    assert first
    os.kill(first, signal.SIGKILL)  # and the pool has not noticed yet
    assert await say(pool, "two") == "two"
    assert pid(pool) != first


async def test_a_text_that_kills_its_process_is_tried_only_once_more(pool: EnginePool) -> None:
    with pytest.raises(EngineError) as raised:
        await say(pool, "die")
    assert raised.value.code == ErrorCode.ENGINE_LOST
    assert pool.states()[0].losses == 2


async def test_what_was_heard_is_not_spoken_again(pool: EnginePool) -> None:
    heard: list[bytes] = []

    async def listen() -> None:
        async with pool.hold("tone") as turns:
            async for chunk in turns.synthesize(segment("heard die")):
                heard.append(chunk)  # noqa: PERF401 - what was heard before the failure must be kept

    with pytest.raises(EngineError):
        await listen()
    assert spell(b"".join(heard)) == "heard "


@pytest.mark.parametrize(
    ("how", "said"), [("no weights", "no weights"), ("die", "exit status 7"), ("crash", "ZeroDivisionError")]
)
async def test_an_engine_that_cannot_load_says_why_each_time(how: str, said: str) -> None:
    async with tone.pool(tone.spec(options=ToneOptions(load_error=how))) as pool:
        for _ in range(2):
            with pytest.raises(EngineError, match=said):
                await say(pool, "hello")


async def test_an_engine_that_loads_for_too_long_is_given_up() -> None:
    slow = tone.spec(options=ToneOptions(load_seconds=3600), load_timeout=0.3)
    async with tone.pool(slow) as pool:
        with pytest.raises(EngineError, match="load_timeout"):
            await say(pool, "hello")


async def test_what_an_engine_has_started_ends_with_it(pool: EnginePool) -> None:
    async with pool.hold("tone") as turns:
        child = int((await speak(turns, "fork")).removesuffix("fork"))
    await pool.unload("tone")
    await ended(child)


async def test_an_interpreter_that_does_not_exist_is_named() -> None:
    async with tone.pool(tone.spec(python="/nowhere/python")) as pool:
        with pytest.raises(EngineError, match="/nowhere/python"):
            await say(pool, "hello")


async def test_an_idle_engine_ends_and_the_next_request_starts_it_again() -> None:
    async with tone.pool(idle_timeout=0) as pool:
        async with pool.hold("tone") as turns:
            await speak(turns, "one")
            first = pid(pool)
            await speak(turns, "still the same")
            assert pid(pool) == first
        assert first
        await ended(first)
        assert pool.states()[0].state == "unloaded"
        assert await say(pool, "two") == "two"


async def test_a_request_at_the_moment_of_ending_is_spoken() -> None:
    async with tone.pool(idle_timeout=0) as pool:
        for n in range(20):
            assert await say(pool, f"number {n}") == f"number {n}"
            for _ in range(n % 4):
                await asyncio.sleep(0)


async def test_an_idle_timeout_of_minus_one_keeps_the_process() -> None:
    async with tone.pool(idle_timeout=-1) as pool:
        await say(pool, "one")
        assert pool.states()[0].state == "ready"


async def test_a_changed_idle_timeout_counts_for_engines_that_are_idle_already() -> None:
    async with tone.pool(idle_timeout=3600) as pool:
        await pool.load("tone")
        process_id = pid(pool)
        assert process_id
        pool.set_idle_timeout(0)
        await ended(process_id)
        assert await say(pool, "hello") == "hello"


async def test_more_than_allowed_do_not_wait() -> None:
    async with tone.pool(max_waiting=3) as pool, pool.hold("tone") as turns:
        async with aclosing(turns.synthesize(segment("first hang"))) as chunks:
            await anext(chunks)
            waiting = [asyncio.create_task(say(pool, f"w{n}")) for n in range(3)]
            while pool.states()[0].waiting < 3:  # noqa: ASYNC110 - the pool tells its state, not its changes
                await asyncio.sleep(0)
            with pytest.raises(BusyError):
                await say(pool, "one too many")
        assert await asyncio.gather(*waiting) == ["w0", "w1", "w2"]


async def test_a_first_turn_is_not_waited_for_longer_than_allowed() -> None:
    async with tone.pool(wait_timeout=0.5) as pool, pool.hold("tone") as turns:
        async with aclosing(turns.synthesize(segment("first hang"))) as chunks:
            await anext(chunks)
            with pytest.raises(BusyError):
                await say(pool, "late")
        assert await say(pool, "now") == "now"


async def test_a_slow_load_is_not_waiting() -> None:
    slow = tone.spec(options=ToneOptions(load_seconds=1))
    async with tone.pool(slow, wait_timeout=0.5) as pool:
        assert list(await asyncio.gather(say(pool, "a"), say(pool, "b"))) == ["a", "b"]


async def test_live_requests_go_first_at_the_next_border(pool: EnginePool) -> None:
    order: list[str] = []

    async def take(name: str, *, live: bool) -> None:
        async with pool.hold("tone", live=live) as turns:
            await speak(turns, name)
            order.append(name)

    async with pool.hold("tone") as turns:
        async with aclosing(turns.synthesize(segment("first hang"))) as chunks:
            await anext(chunks)
            tasks = [
                asyncio.create_task(take("batch", live=False)),
                asyncio.create_task(take("live", live=True)),
            ]
            while pool.states()[0].waiting < 2:  # noqa: ASYNC110 - the pool tells its state, not its changes
                await asyncio.sleep(0)
        await asyncio.gather(*tasks)
    assert order == ["live", "batch"]


async def test_a_batching_engine_speaks_several_segments_at_once() -> None:
    async with tone.pool(tone.spec("tone4")) as pool, pool.hold("tone4") as turns:
        first, second = turns.synthesize(segment("one progress")), turns.synthesize(segment("two progress"))
        async with aclosing(first), aclosing(second):
            assert spell(await anext(first)) == "one "
            assert spell(await anext(second)) == "two "


async def test_an_engine_that_takes_fewer_segments_here_than_it_might_has_the_others_wait() -> None:
    async with tone.pool(tone.spec("tone4", options=ToneOptions(streams=2))) as pool:
        async with pool.hold("tone4") as turns, AsyncExitStack() as stack:
            for text in ("one progress", "two progress"):
                await anext(await stack.enter_async_context(aclosing(turns.synthesize(segment(text)))))
            third = asyncio.create_task(say(pool, "three", "tone4"))
            await eventually(lambda: pool.states()[0].waiting == 1)
        assert await third == "three"


async def test_a_batching_engine_that_is_killed_fails_all_whom_it_speaks_to_and_speaks_again() -> None:
    async with tone.pool(tone.spec("tone4")) as pool, pool.hold("tone4") as turns:
        async with aclosing(turns.synthesize(segment("one progress"))) as first:
            await anext(first)
            killer = asyncio.create_task(speak(turns, "two die"))
            for listener in (first.__anext__(), killer):
                with pytest.raises(EngineError) as raised:
                    await listener
                assert raised.value.code == ErrorCode.ENGINE_LOST
        assert await speak(turns, "three") == "three"


async def test_a_voice_is_cloned_beside_those_to_whom_a_batching_engine_speaks(tmp_path: Path) -> None:
    recording = tmp_path / "voice.wav"
    os.mkfifo(recording)
    async with tone.pool(tone.spec("tone4")) as pool, asyncio.timeout(LIMIT):
        cloning = asyncio.create_task(pool.clone("tone4", [str(recording)], None))
        async with read_of(recording) as sound:
            assert await say(pool, "hello", "tone4") == "hello"
            assert not cloning.done()
            sound.write(b"sound")
        assert sound_of(await cloning) == hashlib.sha256(b"sound").hexdigest()[:8]


async def test_unloading_while_it_loads_answers_those_who_wait() -> None:
    slow = tone.spec(options=ToneOptions(load_seconds=3600))
    async with tone.pool(slow) as pool:
        waiting = asyncio.create_task(say(pool, "hello"))
        while pool.states()[0].state != "loading":  # noqa: ASYNC110 - the pool tells its state, not its changes
            await asyncio.sleep(0)
        await asyncio.sleep(0.05)
        await pool.unload("tone")
        with pytest.raises(EngineError):
            await waiting

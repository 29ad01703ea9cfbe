"""What engines ask of a device that they share, and how room is made for them."""

import asyncio
import sys
from contextlib import AsyncExitStack, aclosing

import psutil
import pytest

from tests.support import tone
from tests.support.engines.voicenode_tone import ToneOptions
from tests.support.limits import eventually
from tests.support.nvml import FakeNvml
from tests.support.tone import say, segment, speak
from voicenode.errors import BusyError, EngineError, ErrorCode
from voicenode.workers import footprint
from voicenode.workers.pool import EnginePool

pytestmark = pytest.mark.usefixtures("tone_engine", "heartbeat")


@pytest.fixture
def nvml(monkeypatch: pytest.MonkeyPatch) -> FakeNvml:
    fake = FakeNvml()
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return fake


def pid(pool: EnginePool) -> int | None:
    return pool.states()[0].pid


async def test_the_least_recently_used_engine_makes_room() -> None:
    specs = [tone.spec(), tone.spec("tone2"), tone.spec("tone3")]
    async with tone.pool(*specs, memory=150) as pool:
        await say(pool, "small")
        await say(pool, "second", "tone2")
        await say(pool, "third", "tone3")
        assert [state.state for state in pool.states()] == ["ready", "unloaded", "ready"]


async def test_a_speaking_engine_is_not_ended_for_another() -> None:
    async with tone.pool(tone.spec("tone2"), tone.spec("tone3"), memory=150) as pool:
        async with pool.hold("tone2") as turns, aclosing(turns.synthesize(segment("wait hang"))) as chunks:
            await anext(chunks)
            other = asyncio.create_task(say(pool, "other", "tone3"))
            await asyncio.sleep(0)
            assert [state.state for state in pool.states()] == ["speaking", "loading"]
        assert await other == "other"


async def test_an_engine_that_needs_more_than_all_may_take_is_not_started() -> None:
    async with tone.pool(tone.spec("tone2"), memory=99) as pool:
        with pytest.raises(
            EngineError, match=r"not enough memory: it needs .* pool\.memory allows"
        ) as raised:
            await pool.load("tone2")
        assert raised.value.code == ErrorCode.OUT_OF_MEMORY
        (state,) = pool.states()
        assert (state.state, state.starts) == ("unloaded", 0)
        assert "set it to more" in (state.error or "")


async def test_an_engine_that_needs_no_memory_waits_for_none() -> None:
    async with tone.pool(tone.spec("tone2"), tone.spec("tone3"), tone.spec(), memory=150) as pool:
        async with pool.hold("tone2") as turns, aclosing(turns.synthesize(segment("wait hang"))) as chunks:
            await anext(chunks)
            waiting = asyncio.create_task(say(pool, "other", "tone3"))
            await eventually(lambda: pool.states()[1].state == "loading")
            assert await say(pool, "at once") == "at once"
            assert not waiting.done()
        assert await waiting == "other"


async def test_what_waits_for_memory_too_long_is_busy() -> None:
    specs = [tone.spec("tone2"), tone.spec("tone3")]
    async with tone.pool(*specs, memory=150, wait_timeout=0.1) as pool, AsyncExitStack() as stack:
        turns = await stack.enter_async_context(pool.hold("tone2"))
        chunks = await stack.enter_async_context(aclosing(turns.synthesize(segment("wait hang"))))
        await anext(chunks)
        with pytest.raises(BusyError):
            await say(pool, "other", "tone3")


async def test_low_vram_keeps_no_engine_of_the_device() -> None:
    async with tone.pool(tone.spec(), tone.spec("tone2"), low_vram=True) as pool:
        await say(pool, "small")
        async with pool.hold("tone2") as turns:
            await speak(turns, "large")
            process_id = pool.states()[1].pid
        assert process_id
        await eventually(lambda: not psutil.pid_exists(process_id))
        assert [state.state for state in pool.states()] == ["ready", "unloaded"]


async def test_low_vram_may_be_switched_while_engines_are_loaded() -> None:
    async with tone.pool(tone.spec(), tone.spec("tone2"), tone.spec("tone3")) as pool:
        for name in ("tone", "tone2", "tone3"):
            await say(pool, "hello", name)
        pool.set_low_vram(True)
        await eventually(lambda: [state.pid is None for state in pool.states()] == [False, True, True])
        pool.set_low_vram(False)
        await say(pool, "hello", "tone2")
        assert pool.states()[1].state == "ready"


async def test_low_vram_means_nothing_to_engines_on_the_processor() -> None:
    specs = [tone.spec("tone2", device="cpu"), tone.spec("tone3", device="cpu")]
    async with tone.pool(*specs, low_vram=True, memory=1) as pool:
        await say(pool, "hello", "tone2")
        await say(pool, "hello", "tone3")
        assert [state.state for state in pool.states()] == ["ready", "ready"]
        assert [state.vram for state in pool.states()] == [None, None]


async def test_without_a_bound_engines_share_what_is_free_on_their_device(nvml: FakeNvml) -> None:
    nvml.free = lambda device: 150 if device == 0 else 50
    specs = [tone.spec("tone2"), tone.spec("tone3", device="cuda:0"), tone.spec("tone6", device="cuda:1")]
    async with tone.pool(*specs) as pool:
        await say(pool, "first", "tone2")
        await say(pool, "there is room", "tone3")
        await say(pool, "on a device of its own", "tone6")
        assert [state.state for state in pool.states()] == ["ready", "ready", "ready"]


async def test_where_another_program_has_taken_memory_an_idle_engine_makes_room(nvml: FakeNvml) -> None:
    nvml.free = lambda _: 50
    async with tone.pool(tone.spec("tone2"), tone.spec("tone3")) as pool:
        await say(pool, "first", "tone2")
        await say(pool, "second", "tone3")
        assert [state.state for state in pool.states()] == ["unloaded", "ready"]


async def test_engines_that_load_at_once_do_not_count_on_the_same_memory(nvml: FakeNvml) -> None:
    nvml.free = lambda _: 150
    slow = ToneOptions(load_seconds=0.2)
    async with tone.pool(tone.spec("tone2", options=slow), tone.spec("tone3", options=slow)) as pool:
        together: list[bool] = []
        first, second = (asyncio.create_task(say(pool, "hello", name)) for name in ("tone2", "tone3"))
        while not (first.done() or second.done()):
            together.append(all(slot.starting for slot in pool._slots.values()))
            await asyncio.sleep(0.01)
        assert [await first, await second] == ["hello", "hello"]
        assert not any(together)


async def test_what_a_process_takes_is_told_while_it_lives(
    nvml: FakeNvml, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(footprint, "_PERIOD", 0.01)
    async with tone.pool(tone.spec("tone2")) as pool:
        assert (pool.states()[0].vram, pool.states()[0].resident) == (None, None)
        await pool.load("tone2")
        nvml.processes = [[(pid(pool) or 0, 70), (1, 1000)], []]
        await eventually(lambda: pool.states()[0].vram == 70)
        assert (pool.states()[0].resident or 0) > 1 << 20
        nvml.init_error = 9
        await eventually(lambda: pool.states()[0].vram is None)
        await pool.unload("tone2")
        assert (pool.states()[0].vram, pool.states()[0].resident) == (None, None)


async def test_a_driver_that_counts_by_the_ids_of_another_namespace_is_told_of_once(
    nvml: FakeNvml, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "voicenode.workers.footprint")
    monkeypatch.setattr(footprint, "_PERIOD", 0.01)
    nvml.processes = [[(1, 1000)], []]
    async with tone.pool(tone.spec("tone2")) as pool:
        await pool.load("tone2")
        await eventually(lambda: "ids of its own" in caplog.text)
        looks = nvml.looks
        await eventually(lambda: nvml.looks > looks + 3)
        assert pool.states()[0].vram is None
        assert await say(pool, "still", "tone2") == "still"
    assert caplog.text.count("ids of its own") == 1

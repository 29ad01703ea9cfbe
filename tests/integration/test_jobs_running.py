"""Which job runs when, and how it is ended before its time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.support import jobs as support
from tests.support.engines.voicenode_tone import ToneOptions
from tests.support.jobs import request, speak, spoken
from tests.support.limits import LIMIT
from voicenode.audio import PcmFormat
from voicenode.errors import BusyError, ErrorCode
from voicenode.jobs import Job, JobQueue, JobState, Write, speaker

pytestmark = pytest.mark.usefixtures("tone_engine", "heartbeat")


@pytest.fixture
async def jobs(tmp_path: Path) -> AsyncIterator[JobQueue]:
    async with support.queue(tmp_path) as jobs:
        yield jobs


class TestCancelling:
    async def test_a_running_job_frees_the_engine(self, jobs: JobQueue) -> None:
        await jobs.submit(request("hang"), job_id="a")
        job = await jobs.cancel("a")
        assert job.state is JobState.CANCELLED
        assert job.error
        assert job.error.code is ErrorCode.CANCELLED
        assert spoken(jobs, await speak(jobs, "next")) == "next"

    async def test_a_waiting_job_lets_the_others_go_on(self, tmp_path: Path) -> None:
        async with support.queue(tmp_path, live_at_once=1) as jobs:
            await jobs.submit(request("hang"), job_id="a")
            await jobs.submit(request("two"), job_id="b")
            await jobs.submit(request("three"), job_id="c")
            assert (await jobs.cancel("b")).state is JobState.CANCELLED
            await jobs.cancel("a")
            assert spoken(jobs, await jobs.wait("c")) == "three"

    async def test_a_job_that_is_being_stored_works(self, jobs: JobQueue) -> None:
        with jobs.changes() as changes:
            accepting = asyncio.create_task(jobs.submit(request("hang"), job_id="a"))
            await anext(changes)
            assert (await jobs.cancel("a")).state is JobState.CANCELLED
            await accepting
        assert (await jobs.get("a")).state is JobState.CANCELLED

    async def test_a_final_job_changes_nothing(self, jobs: JobQueue) -> None:
        done = await speak(jobs)
        assert await jobs.cancel(done.id) == done

    async def test_leaves_no_file(self, jobs: JobQueue, tmp_path: Path) -> None:
        await jobs.submit(request("one hang"), job_id="a")
        await jobs.cancel("a")
        assert list((tmp_path / "audio").iterdir()) == []

    async def test_the_one_who_submits_does_not_take_the_job_back(self, jobs: JobQueue) -> None:
        accepting = asyncio.create_task(jobs.submit(request(), job_id="a"))
        await asyncio.sleep(0)
        accepting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await accepting
        with jobs.changes() as changes:
            while (await anext(changes)).state is not JobState.COMPLETED:
                pass

    async def test_all_live_jobs_leaves_batch_jobs_alone(self, tmp_path: Path) -> None:
        async with support.queue(tmp_path, live_at_once=1) as jobs:
            await jobs.submit(request("hang"), job_id="running")
            await jobs.submit(request("one"), job_id="waiting")
            await jobs.submit(request("two", priority="batch"), job_id="batch")
            assert await jobs.cancel_live() == 2
            assert spoken(jobs, await jobs.wait("batch")) == "two"
            states = {job.id: job.state for job in await jobs.list()}
        assert states["running"] is states["waiting"] is JobState.CANCELLED


class TestOrder:
    async def test_live_jobs_go_ahead_of_a_batch_job_between_its_segments(self, tmp_path: Path) -> None:
        heard: list[str] = []

        @asynccontextmanager
        async def topic(job: Job, _: PcmFormat) -> AsyncIterator[Write]:
            async def write(_: bytes) -> None:
                heard.append(job.id)

            yield write

        options, rules = ToneOptions(char_seconds=0.002), {"segment_chars": 20}
        async with support.queue(tmp_path, options=options, rules=rules, sinks={"topic": topic}) as jobs:
            await jobs.submit(request("A chapter. " * 60, priority="batch", deliver="topic"), job_id="batch")
            live = request("A live job. " * 8, deliver="topic")
            await asyncio.gather(*(jobs.submit(live, job_id=job_id) for job_id in ("first", "second")))
            await asyncio.gather(*(jobs.wait(job_id) for job_id in ("first", "second")))
            await jobs.wait("batch")
        both_wait = heard[heard.index("second") : len(heard) - heard[::-1].index("first")]
        assert set(both_wait) == {"first", "second"}
        assert heard[-1] == "batch"

    async def test_jobs_run_in_the_order_in_which_they_came(self, tmp_path: Path) -> None:
        async with support.queue(tmp_path, live_at_once=1) as jobs:
            names = [f"{number}" for number in range(20)]
            finished: list[str] = []
            with jobs.changes() as changes:
                for name in names:
                    await jobs.submit(request(), job_id=name)
                while len(finished) < len(names):
                    job = await anext(changes)
                    finished += [job.id] if job.state.final else []
        assert finished == names

    async def test_only_so_many_run_at_once(self, tmp_path: Path) -> None:
        async with support.queue(tmp_path, live_at_once=2) as jobs:
            with jobs.changes() as changes:
                for name in "abc":
                    await jobs.submit(request("hang"), job_id=name)
                running = 0
                while running < 2:
                    running += (await anext(changes)).state is JobState.PROCESSING
            states = {job.id: job.state for job in await jobs.list()}
        assert states == {"a": JobState.PROCESSING, "b": JobState.PROCESSING, "c": JobState.QUEUED}

    async def test_one_too_many_is_refused(self, tmp_path: Path) -> None:
        async with support.queue(tmp_path, max_queued=1) as jobs:
            await jobs.submit(request("hang"), job_id="a")
            with pytest.raises(BusyError):
                await jobs.submit(request(), job_id="b")
            _, created = await jobs.submit(request("hang"), job_id="a")
            assert not created


async def test_engines_that_are_busy_fail_no_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speaker, "_BUSY_SECONDS", 0.02)
    options, pool_limits = ToneOptions(char_seconds=0.01), {"max_waiting": 1}
    async with support.queue(tmp_path, options=options, pool_limits=pool_limits) as jobs:
        done = await asyncio.gather(*(speak(jobs, f"number {number}") for number in range(8)))
        assert [spoken(jobs, job) for job in done] == [f"number {number}" for number in range(8)]


class TestTooLate:
    async def test_is_a_job_that_still_waits(self, tmp_path: Path) -> None:
        async with support.queue(tmp_path, live_at_once=1) as jobs:
            await jobs.submit(request("hang"), job_id="a")
            await jobs.submit(request(expires_s=0.05), job_id="b")
            job = await jobs.wait("b")
        assert job.error
        assert job.error.code is ErrorCode.EXPIRED

    async def test_is_a_job_that_made_no_sound_yet(self, jobs: JobQueue) -> None:
        job = await speak(jobs, "hang", expires_s=0.2)
        assert job.error
        assert job.error.code is ErrorCode.EXPIRED

    async def test_is_no_job_that_speaks(self, tmp_path: Path) -> None:
        async with support.queue(tmp_path, options=ToneOptions(char_seconds=0.01)) as jobs:
            await speak(jobs, "the engine is loaded")
            job = await speak(jobs, "still speaking then. " * 10, expires_s=1)
        assert job.state is JobState.COMPLETED


async def test_progress_follows_the_text(tmp_path: Path) -> None:
    async with support.queue(tmp_path) as jobs:
        text = "One sentence of many. " * 100 + "hang"
        await jobs.submit(request(text, priority="batch"), job_id="a")
        async with asyncio.timeout(LIMIT):
            while not 0 < (await jobs.get("a")).progress < 100:  # noqa: ASYNC110 - progress is no event
                await asyncio.sleep(0.01)

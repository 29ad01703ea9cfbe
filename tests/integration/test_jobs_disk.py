"""What jobs take of the disk and of memory, and what happens where there is no more."""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support import jobs as support
from tests.support.engines.voicenode_tone import RATE
from tests.support.jobs import request, speak, spoken
from tests.support.limits import LIMIT
from voicenode.errors import ErrorCode, StoreError
from voicenode.jobs import Job, JobQueue, JobState, records, streaming
from voicenode.jobs import queue as queue_module
from voicenode.stores.file import FileStore

pytestmark = pytest.mark.usefixtures("tone_engine", "heartbeat")

CHAR_BYTES = 2 * RATE // 100


@pytest.fixture
async def jobs(tmp_path: Path) -> AsyncIterator[JobQueue]:
    async with support.queue(tmp_path) as jobs:
        yield jobs


def code(job: Job) -> ErrorCode | None:
    return job.error.code if job.error else None


def files(folder: Path) -> list[Path]:
    return list((folder / "audio").iterdir())


class TestTheBound:
    async def test_makes_the_oldest_audio_go(self, tmp_path: Path) -> None:
        async with support.queue(tmp_path, max_bytes=100_000) as jobs:
            text = "x" * (40_000 // CHAR_BYTES)
            first, second, third = [await speak(jobs, text) for _ in range(3)]
            first = await jobs.get(first.id)
            assert (first.state, code(first), first.audio) == (JobState.COMPLETED, ErrorCode.EXPIRED, None)
            assert spoken(jobs, await jobs.get(second.id)) == spoken(jobs, third) == text
        assert len(files(tmp_path)) == 2

    async def test_fails_a_job_that_is_larger(self, tmp_path: Path) -> None:
        async with support.queue(tmp_path, max_bytes=100_000) as jobs:
            job = await speak(jobs, "one two three. " * 100)
            assert code(job) is ErrorCode.DISK_FULL
            assert files(tmp_path) == []
            assert spoken(jobs, await speak(jobs, "next")) == "next"

    async def test_holds_after_a_restart(self, tmp_path: Path) -> None:
        text = "x" * (40_000 // CHAR_BYTES)
        async with support.queue(tmp_path, max_bytes=100_000) as jobs:
            first, _ = [await speak(jobs, text) for _ in range(2)]
        async with support.queue(tmp_path, max_bytes=100_000) as jobs:
            await speak(jobs, text)
            assert code(await jobs.get(first.id)) is ErrorCode.EXPIRED

    async def test_for_final_jobs_makes_the_oldest_be_forgotten(self, tmp_path: Path) -> None:
        async with support.queue(tmp_path, max_final=2) as jobs:
            done = [await speak(jobs) for _ in range(4)]
            await jobs.submit(request("hang"), job_id="hangs")  # the jobs before have been handed over by now
            async with asyncio.timeout(LIMIT):
                while len(await jobs.list()) > 3:  # noqa: ASYNC110 - forgetting is no event
                    await asyncio.sleep(0.01)
            assert {job.id for job in await jobs.list()} == {done[2].id, done[3].id, "hangs"}
            assert len(files(tmp_path)) == 2


class TestTime:
    async def test_makes_jobs_and_their_audio_disappear(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(queue_module, "_SWEEP_SECONDS", 0.02)
        async with support.queue(tmp_path, ttl=0.1) as jobs:
            await speak(jobs)
            async with asyncio.timeout(LIMIT):
                while await jobs.list() or files(tmp_path):  # noqa: ASYNC110 - forgetting is no event
                    await asyncio.sleep(0.01)

    async def test_passes_while_the_node_is_away(self, tmp_path: Path) -> None:
        async with support.queue(tmp_path, ttl=0.1) as jobs:
            await speak(jobs)
        await asyncio.sleep(0.1)
        async with support.queue(tmp_path) as jobs:
            assert await jobs.list() == []
            assert files(tmp_path) == []


class FullStore(FileStore):
    """A store whose disk is full for so many puts, once `full` is set."""

    full = 0

    async def put(self, collection: str, key: str, value: Mapping[str, Any], **options: Any) -> Any:  # noqa: ANN401
        if self.full:
            self.full -= 1
            raise StoreError(ErrorCode.DISK_FULL, "The disk is full.")
        return await super().put(collection, key, value, **options)


class TestAFullDisk:
    @pytest.fixture
    def small_disk(self, tmp_path: Path) -> Iterator[Path]:
        folder = tmp_path / "audio"
        folder.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
        if subprocess.run(mount, check=False, capture_output=True).returncode:
            pytest.skip("only root can make a small disk")
        yield folder
        subprocess.run(["umount", str(folder)], check=True)

    @pytest.mark.parametrize("audio_format", ["wav", "flac", "pcm"])
    async def test_fails_the_job_and_no_other(
        self, small_disk: Path, jobs: JobQueue, audio_format: str
    ) -> None:
        kept = await speak(jobs, "kept")
        text = " ".join(f"{number} is a number." for number in range(2000))
        job = await speak(jobs, text[:20_000], format=audio_format, sample_rate=48000)
        assert code(job) is ErrorCode.DISK_FULL
        assert len(files(small_disk.parent)) == 1
        assert spoken(jobs, kept) == "kept"
        assert spoken(jobs, await speak(jobs, "next")) == "next"

    @pytest.mark.parametrize("audio_format", ["wav", "flac", "mp3", "opus", "pcm"])
    async def test_fails_a_job_in_every_format(
        self, tmp_path: Path, jobs: JobQueue, monkeypatch: pytest.MonkeyPatch, audio_format: str
    ) -> None:
        monkeypatch.setattr(streaming, "create", lambda _: Path("/dev/full").open("wb"))  # noqa: SIM115
        job = await speak(jobs, "some words " * 200, format=audio_format)
        assert code(job) is ErrorCode.DISK_FULL
        assert files(tmp_path) == []

    @pytest.fixture
    def full_store(self, monkeypatch: pytest.MonkeyPatch) -> type[FullStore]:
        monkeypatch.setattr(support, "FileStore", FullStore)
        monkeypatch.setattr(records, "_RETRY_SECONDS", 0.01)
        return FullStore

    async def test_refuses_a_job_that_cannot_be_stored(
        self, tmp_path: Path, full_store: type[FullStore], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(full_store, "full", 1)
        async with support.queue(tmp_path) as jobs:
            with jobs.changes() as changes:
                with pytest.raises(StoreError):
                    await jobs.submit(request("hang"), job_id="a")
                while (await anext(changes)).state is not JobState.FAILED:
                    pass
            assert await jobs.list() == []
            await jobs.submit(request("again"), job_id="a")
            assert spoken(jobs, await jobs.wait("a")) == "again"

    async def test_fails_a_job_whose_end_cannot_be_stored(
        self, tmp_path: Path, full_store: type[FullStore], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with support.queue(tmp_path) as jobs:
            with jobs.changes() as changes:
                await jobs.submit(request("a few words " * 100), job_id="a")
                while (await anext(changes)).state is not JobState.PROCESSING:
                    pass
                monkeypatch.setattr(full_store, "full", 3)
                assert code(await jobs.wait("a")) is ErrorCode.DISK_FULL
            assert files(tmp_path) == []


async def test_a_chapter_streams_to_the_disk(jobs: JobQueue) -> None:
    text = "All happy families are alike; each unhappy family is unhappy in its own way. " * 2600
    assert len(text) > 200_000
    await speak(jobs, "warm", format="wav")
    process, peak = psutil.Process(), 0
    before = process.memory_info().rss
    await jobs.submit(request(text, priority="batch"), job_id="chapter")
    waiting = asyncio.create_task(jobs.wait("chapter"))
    while not waiting.done():
        peak = max(peak, process.memory_info().rss)
        await asyncio.wait([waiting], timeout=0.02)
    audio = waiting.result().audio
    assert audio
    assert audio.bytes > 60_000_000
    assert peak - before < 32 * 1024**2

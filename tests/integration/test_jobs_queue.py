import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support import jobs as support
from tests.support.engines.voicenode_tone import RATE
from tests.support.jobs import request, speak, spoken
from voicenode.errors import ConflictError, ErrorCode, RequestError
from voicenode.jobs import JobQueue, JobState

pytestmark = pytest.mark.usefixtures("tone_engine", "heartbeat")


@pytest.fixture
async def jobs(tmp_path: Path) -> AsyncIterator[JobQueue]:
    async with support.queue(tmp_path) as jobs:
        yield jobs


async def test_a_job_is_spoken_into_a_file(jobs: JobQueue) -> None:
    job = await speak(jobs, "hello world")
    assert (job.state, job.progress, job.voice, job.engine) == (
        JobState.COMPLETED,
        100,
        "tone-plain",
        "tone",
    )
    assert spoken(jobs, job) == "hello world"


async def test_its_audio_is_described(jobs: JobQueue) -> None:
    audio = (await speak(jobs, "hello world")).audio
    assert audio
    assert audio.file
    path = jobs.audio_path(audio.file)
    assert path
    assert audio.bytes == path.stat().st_size
    assert (audio.content_type, audio.sample_rate) == ("audio/wav", RATE)
    assert audio.duration_s == pytest.approx(0.12)


async def test_the_name_of_its_file_cannot_be_guessed(jobs: JobQueue) -> None:
    first, second = [await speak(jobs), await speak(jobs)]
    names = [job.audio.file for job in (first, second) if job.audio and job.audio.file]
    assert len(set(names)) == 2
    assert min(map(len, names)) >= len(".wav") + 22  # 128 bits in base 64


async def test_a_name_that_is_no_file_has_no_path(jobs: JobQueue) -> None:
    assert jobs.audio_path("../store/jobs/x.json") is None


@pytest.mark.parametrize("audio_format", ["wav", "flac", "mp3", "opus", "pcm"])
async def test_every_format_is_written(jobs: JobQueue, audio_format: str) -> None:
    job = await speak(jobs, format=audio_format, sample_rate=24000)
    assert job.audio
    assert job.audio.file
    assert job.audio.file.endswith(f".{audio_format}")
    assert job.audio.sample_rate == 24000


async def test_a_text_with_nothing_to_speak_is_silence(jobs: JobQueue) -> None:
    job = await speak(jobs, " \n ")
    assert job.state is JobState.COMPLETED
    assert job.audio
    assert job.audio.duration_s == pytest.approx(0.1)
    assert spoken(jobs, job) == ""


async def test_an_empty_text_is_silence(jobs: JobQueue) -> None:
    assert (await speak(jobs, "")).state is JobState.COMPLETED


async def test_ssml_is_spoken_without_its_tags(jobs: JobQueue) -> None:
    job = await speak(jobs, "<speak>hello <emphasis>world</emphasis></speak>", text_format="ssml")
    assert spoken(jobs, job) == "hello world"


async def test_an_engine_that_fails_fails_the_job(jobs: JobQueue) -> None:
    job = await speak(jobs, "one sayerror")
    assert job.state is JobState.FAILED
    assert job.error
    assert (job.error.code, job.audio) == (ErrorCode.ENGINE_FAILED, None)


async def test_a_failed_job_leaves_no_file(jobs: JobQueue, tmp_path: Path) -> None:
    await speak(jobs, "one sayerror")
    assert list((tmp_path / "audio").iterdir()) == []


async def test_an_engine_that_dies_fails_its_job_and_no_other(jobs: JobQueue) -> None:
    first, second = [await speak(jobs, "one die"), await speak(jobs, "two")]
    assert first.error
    assert first.error.code is ErrorCode.ENGINE_LOST
    assert spoken(jobs, second) == "two"


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"voice": "nobody"}, ErrorCode.UNKNOWN_VOICE),
        ({"speaker": "nobody"}, ErrorCode.UNKNOWN_SPEAKER),
        ({"engine": "nothing"}, ErrorCode.UNKNOWN_ENGINE),
        ({"deliver": "topic"}, ErrorCode.BAD_REQUEST),
        ({"text": "x" * 20_001}, ErrorCode.TEXT_TOO_LONG),
        ({"text": "x" * 1_000_001, "priority": "batch"}, ErrorCode.TEXT_TOO_LONG),
    ],
    ids=str,
)
async def test_what_can_never_be_spoken_is_refused(
    jobs: JobQueue, fields: dict[str, object], code: ErrorCode
) -> None:
    with pytest.raises(RequestError) as raised:
        await jobs.submit(request(**({"text": "hello"} | fields)))  # type: ignore[arg-type]
    assert raised.value.code is code
    assert await jobs.list() == []


@pytest.mark.parametrize("job_id", ["", "x" * 201])
async def test_an_id_that_is_empty_or_too_long_is_refused(jobs: JobQueue, job_id: str) -> None:
    with pytest.raises(RequestError, match="1 to 200 characters"):
        await jobs.submit(request(), job_id=job_id)


@pytest.mark.parametrize("job_id", ["../../x", "a/b", "#", "+", "Ä\n", "\ud800"], ids=repr)
async def test_any_other_text_is_an_id(jobs: JobQueue, job_id: str) -> None:
    await jobs.submit(request(), job_id=job_id)
    assert (await jobs.wait(job_id)).state is JobState.COMPLETED


async def test_a_job_that_nobody_knows_is_an_error(jobs: JobQueue) -> None:
    for question in (jobs.get, jobs.wait, jobs.cancel):
        with pytest.raises(RequestError, match="there is no job 'x'") as raised:
            await question("x")
        assert raised.value.code is ErrorCode.UNKNOWN_JOB


async def test_a_job_is_told_of_as_its_state_changes(jobs: JobQueue) -> None:
    with jobs.changes() as changes:
        await jobs.submit(request(), job_id="a")
        states = [(await anext(changes)).state for _ in range(3)]
    assert states == [JobState.QUEUED, JobState.PROCESSING, JobState.COMPLETED]


async def test_jobs_are_listed_newest_first(jobs: JobQueue) -> None:
    for job_id in ("b", "c", "a"):
        await jobs.submit(request("sayerror" if job_id == "c" else "hello"), job_id=job_id)
        await jobs.wait(job_id)
    assert [job.id for job in await jobs.list()] == ["a", "c", "b"]
    assert [job.id for job in await jobs.list(JobState.COMPLETED)] == ["a", "b"]
    assert [job.id for job in await jobs.list(limit=1)] == ["a"]


async def test_the_text_is_kept_only_until_it_is_spoken(jobs: JobQueue, tmp_path: Path) -> None:
    await speak(jobs, "confidential")
    await speak(jobs, "confidential " * 1000)
    kept = [path.read_bytes() for path in (tmp_path / "store").rglob("*") if path.is_file()]
    assert not any(b"confidential" in contents for contents in kept)


class TestTheSameJobTwice:
    async def test_is_spoken_once(self, jobs: JobQueue) -> None:
        first, created = await jobs.submit(request(), job_id="a")
        done = await jobs.wait("a")
        again, created_again = await jobs.submit(request(), job_id="a")
        assert (created, created_again) == (True, False)
        assert again == done
        assert first.created == again.created

    async def test_is_spoken_once_when_both_come_together(self, jobs: JobQueue) -> None:
        results = await asyncio.gather(*(jobs.submit(request(), job_id="a") for _ in range(20)))
        assert sorted(created for _, created in results) == [False] * 19 + [True]

    async def test_is_a_conflict_with_another_text(self, jobs: JobQueue) -> None:
        await jobs.submit(request("one"), job_id="a")
        with pytest.raises(ConflictError, match="the id 'a' belongs to another request"):
            await jobs.submit(request("two"), job_id="a")
        assert spoken(jobs, await jobs.wait("a")) == "one"

    async def test_is_a_conflict_with_another_voice(self, jobs: JobQueue) -> None:
        await jobs.submit(request(), job_id="a")
        with pytest.raises(ConflictError):
            await jobs.submit(request(voice="tone-deutsch"), job_id="a")

    async def test_is_the_same_job_while_it_waits(self, tmp_path: Path) -> None:
        async with support.queue(tmp_path, live_at_once=1) as jobs:
            await jobs.submit(request("hang"), job_id="a")
            await jobs.submit(request("waits"), job_id="b")
            job, created = await jobs.submit(request("waits"), job_id="b")
            assert (job.state, created) == (JobState.QUEUED, False)


class TestAnswers:
    async def test_are_given_until_they_arrived(self, jobs: JobQueue) -> None:
        await jobs.submit(request(), job_id="a", reply={"topic": "x"})
        for _ in range(2):
            with jobs.answers() as answers:
                job = await anext(answers)
        assert (job.id, job.reply, job.state) == ("a", {"topic": "x"}, JobState.COMPLETED)
        await jobs.answered(job)
        await jobs.submit(request(), job_id="b", reply="next")
        with jobs.answers() as answers:
            assert (await anext(answers)).id == "b"

    async def test_are_not_owed_to_nobody(self, jobs: JobQueue) -> None:
        await speak(jobs)
        await jobs.submit(request(), job_id="b", reply=1)
        with jobs.answers() as answers:
            assert (await anext(answers)).id == "b"

    async def test_are_given_again_to_who_asks_again(self, jobs: JobQueue) -> None:
        with jobs.answers() as answers:
            await jobs.submit(request(), job_id="a", reply="first")
            first = await anext(answers)
            await jobs.answered(first)
            await jobs.submit(request(), job_id="a", reply="second")
            second = await anext(answers)
        assert (first.reply, second.reply) == ("first", "second")
        assert first.audio == second.audio

    async def test_go_where_the_last_asked_for_them(self, tmp_path: Path) -> None:
        async with support.queue(tmp_path, live_at_once=1) as jobs:
            await jobs.submit(request("hang"), job_id="running", reply=1)
            await jobs.submit(request(), job_id="waiting", reply=1)
            await jobs.submit(request("hang"), job_id="running", reply=2)
            await jobs.submit(request(), job_id="waiting", reply=2)
            await jobs.cancel_live()
            with jobs.answers() as answers:
                assert {(await anext(answers)).reply for _ in range(2)} == {2}

    async def test_that_arrive_late_do_not_stand_for_new_ones(self, jobs: JobQueue) -> None:
        with jobs.answers() as answers:
            await jobs.submit(request(), job_id="a", reply="first")
            first = await anext(answers)
            await jobs.submit(request(), job_id="a", reply="second")
            await jobs.answered(first)
            assert (await anext(answers)).reply == "second"

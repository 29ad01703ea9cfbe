"""What becomes of jobs when the node ends, in order or not."""

import asyncio
import json
import random
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import jobs as support
from tests.support.engines.voicenode_tone import ToneOptions
from tests.support.jobs import request, spoken
from voicenode.errors import ErrorCode
from voicenode.jobs import JobQueue, JobState
from voicenode.stores.file import FileStore

ROOT = Path(__file__).parents[2]


pytestmark = pytest.mark.usefixtures("tone_engine", "heartbeat")


async def begun(jobs: JobQueue, job_id: str) -> None:
    """Submit a job that never ends, and wait until it is being spoken."""
    with jobs.changes() as changes:
        await jobs.submit(request("hang"), job_id=job_id)
        while (await anext(changes)).state is not JobState.PROCESSING:
            pass


async def test_a_waiting_job_is_spoken_after_a_restart(tmp_path: Path) -> None:
    async with support.queue(tmp_path, live_at_once=1) as jobs:
        await begun(jobs, "a")
        await jobs.submit(request("short"), job_id="b")
        await jobs.submit(request("long " * 1000), job_id="c")
    async with support.queue(tmp_path) as jobs:
        await jobs.cancel("a")
        assert spoken(jobs, await jobs.wait("b")) == "short"
        whole = await asyncio.to_thread(spoken, jobs, await jobs.wait("c"))
        assert whole.replace(" ", "") == "long" * 1000


async def test_an_interrupted_job_is_spoken_again_from_its_start(tmp_path: Path) -> None:
    async with support.queue(tmp_path, options=ToneOptions(char_seconds=0.05)) as jobs:
        with jobs.changes() as changes:
            await jobs.submit(request("a slow engine speaks this"), job_id="a")
            while (await anext(changes)).state is not JobState.PROCESSING:
                pass
    async with support.queue(tmp_path) as jobs:
        assert spoken(jobs, await jobs.wait("a")) == "a slow engine speaks this"


async def test_a_completed_job_is_never_spoken_again(tmp_path: Path) -> None:
    async with support.queue(tmp_path) as jobs:
        await jobs.submit(request(), job_id="a")
        before = await jobs.wait("a")
    async with support.queue(tmp_path) as jobs:
        again, created = await jobs.submit(request(), job_id="a")
        assert (again, created) == (before, False)
        assert spoken(jobs, again) == "hello"


async def test_an_answer_that_did_not_arrive_is_given_after_a_restart(tmp_path: Path) -> None:
    async with support.queue(tmp_path) as jobs:
        await jobs.submit(request(), job_id="a", reply=[1])
        before = await jobs.wait("a")
    async with support.queue(tmp_path) as jobs:
        with jobs.answers() as answers:
            job = await anext(answers)
            assert (job, job.reply) == (before, [1])
            await jobs.answered(job)
    async with support.queue(tmp_path) as jobs:
        assert (await jobs.get("a")).answered


async def test_jobs_go_on_in_the_order_in_which_they_came(tmp_path: Path) -> None:
    names = [str(number) for number in range(9, -1, -1)]
    async with support.queue(tmp_path, live_at_once=1) as jobs:
        await begun(jobs, "hangs")
        for name in names:
            await jobs.submit(request(), job_id=name)
    async with support.queue(tmp_path, live_at_once=1, start=False) as jobs:
        with jobs.changes() as changes:
            await jobs.start()
            await jobs.cancel("hangs")
            finished: list[str] = []
            while len(finished) < 11:
                job = await anext(changes)
                finished += [job.id] if job.state.final else []
    assert finished[1:] == names


async def test_time_goes_on_while_the_node_is_away(tmp_path: Path) -> None:
    async with support.queue(tmp_path, live_at_once=1) as jobs:
        await begun(jobs, "a")
        job, _ = await jobs.submit(request(expires_s=0.5), job_id="b")
    await asyncio.sleep(0.5)
    async with support.queue(tmp_path, live_at_once=1) as jobs:
        expired = await jobs.wait("b")
    assert expired.created == job.created
    assert expired.error
    assert expired.error.code is ErrorCode.EXPIRED


async def test_a_job_that_always_ends_the_node_is_given_up(tmp_path: Path) -> None:
    async with support.queue(tmp_path) as jobs:
        await begun(jobs, "a")
    for _ in range(5):
        async with support.queue(tmp_path, start=False) as jobs:
            with jobs.changes() as changes:
                await jobs.start()
                await anext(changes)
    async with support.queue(tmp_path) as jobs:
        job = await jobs.wait("a")
    assert job.error
    assert job.error.code is ErrorCode.INTERRUPTED


async def test_files_of_no_job_are_removed_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "audio").mkdir()
    (tmp_path / "audio" / "left.wav").write_bytes(b"half")
    async with support.queue(tmp_path) as jobs:
        await jobs.submit(request(), job_id="a")
        await jobs.wait("a")
    async with support.queue(tmp_path) as jobs:
        assert spoken(jobs, await jobs.get("a")) == "hello"
        assert len(list((tmp_path / "audio").iterdir())) == 1


async def test_a_job_whose_audio_was_lost_says_so(tmp_path: Path) -> None:
    async with support.queue(tmp_path) as jobs:
        await jobs.submit(request(), job_id="a")
        await jobs.wait("a")
    for path in (tmp_path / "audio").iterdir():
        path.unlink()
    async with support.queue(tmp_path) as jobs:
        job = await jobs.get("a")
    assert job.audio is None
    assert job.error
    assert job.error.code is ErrorCode.EXPIRED


async def test_a_document_that_cannot_be_understood_harms_no_other(tmp_path: Path) -> None:
    async with support.queue(tmp_path) as jobs:
        await jobs.submit(request(), job_id="a")
        await jobs.wait("a")
    async with FileStore(tmp_path / "store") as store:
        await store.put("jobs", "strange", {"id": 7})
    async with support.queue(tmp_path) as jobs:
        assert [job.id for job in await jobs.list()] == ["a"]


async def test_closing_lets_live_jobs_finish_and_leaves_batch_jobs_for_later(tmp_path: Path) -> None:
    async with support.queue(tmp_path, options=ToneOptions(char_seconds=0.02), drain=10) as jobs:
        with jobs.changes() as changes:
            await jobs.submit(request("a chapter of a book " * 100, priority="batch"), job_id="batch")
            await jobs.submit(request("a live job"), job_id="live")
            running = 0
            while running < 2:
                running += (await anext(changes)).state is JobState.PROCESSING
    async with support.queue(tmp_path, start=False) as jobs:
        assert (await jobs.get("live")).state is JobState.COMPLETED
        assert (await jobs.get("batch")).state is JobState.QUEUED


class Node:
    """A queue in a process of its own, which is killed at any moment and started again."""

    def __init__(self, folder: Path, wanted: dict[str, str]) -> None:
        self.accepted: set[str] = set()
        self.answers: defaultdict[str, set[tuple[str, str]]] = defaultdict(set)
        self._folder = folder
        self._wanted = wanted

    @property
    def missing(self) -> set[str]:
        return self._wanted.keys() - self.answers.keys()

    async def live(self, news: int | None = None) -> None:
        """Ask for all that was not accepted; kill the node after so many lines, or when all is answered."""
        pipe = asyncio.subprocess.PIPE
        command = [sys.executable, "-m", "tests.support.jobs", str(self._folder)]
        process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdin=pipe, stdout=pipe)
        assert process.stdin
        assert process.stdout
        for job_id in self._wanted.keys() - self.accepted:
            process.stdin.write(json.dumps({"id": job_id, "text": self._wanted[job_id]}).encode() + b"\n")
        while self.missing and news != 0:
            line = await process.stdout.readline()
            assert line, "the node ended by itself"
            self._hear(*json.loads(line))
            news = None if news is None else news - 1
        process.kill()
        for line in (await process.stdout.read()).splitlines():  # said before it died
            self._hear(*json.loads(line))
        process.stdin.close()
        await process.wait()

    def _hear(self, word: str, job_id: str, state: str = "", file: str = "") -> None:
        if word == "accepted":
            self.accepted.add(job_id)
        else:
            self.answers[job_id].add((state, file))


async def test_killing_the_node_at_any_moment_loses_no_job_and_speaks_none_again_that_was_completed(
    tmp_path: Path, endurance: Callable[[int], int]
) -> None:
    wanted = {f"t{number}": f"text number {number}" for number in range(endurance(1000))}
    node = Node(tmp_path, wanted)
    chance = random.Random(7)
    kills = 5
    for _ in range(kills):
        await node.live(news=chance.randrange(len(wanted) // 3))
    await node.live()
    assert not node.missing
    assert {len(answers) for answers in node.answers.values()} == {1}
    assert {state for [(state, _)] in node.answers.values()} == {JobState.COMPLETED}
    files = {job_id: tmp_path / "audio" / file for job_id, [(_, file)] in node.answers.items()}
    texts = await asyncio.to_thread(lambda: [support.read(file) for file in files.values()])
    assert dict(zip(files, texts, strict=True)) == wanted

"""A job queue with a real store and the tone engine, in this process or in one that can be killed."""

from __future__ import annotations

import asyncio
import io
import json
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import soundfile

from tests.support import speech, tone
from tests.support.engines.voicenode_tone import ToneOptions, spell
from voicenode.jobs import Job, JobLimits, JobQueue, JobRequest
from voicenode.stores.file import FileStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from voicenode.jobs import Delivery, Sink


@asynccontextmanager
async def queue(
    folder: Path,
    *,
    options: ToneOptions | None = None,
    sinks: Mapping[Delivery, Sink] | None = None,
    start: bool = True,
    drain: float = 0.0,
    rules: Mapping[str, Any] | None = None,
    pool_limits: Mapping[str, Any] | None = None,
    **limits: Any,  # noqa: ANN401
) -> AsyncIterator[JobQueue]:
    """A queue that keeps everything below `folder`; entering again with the same one is a restart."""
    async with (
        tone.pool(tone.spec(options=options), **(pool_limits or {})) as pool,
        FileStore(folder / "store") as store,
    ):
        processor = speech.processor(pool, **(rules or {}))
        jobs = JobQueue(store, processor, folder / "audio", JobLimits(**limits))
        jobs.sinks.update(sinks or {})
        if start:
            await jobs.start()
        try:
            yield jobs
        finally:
            await jobs.close(drain)


def request(text: str = "hello", **fields: Any) -> JobRequest:  # noqa: ANN401
    return JobRequest.of({"text": text, **fields})


async def speak(jobs: JobQueue, text: str = "hello", **fields: Any) -> Job:  # noqa: ANN401
    """A job, once it is final."""
    job, _ = await jobs.submit(request(text, **fields))
    return await jobs.wait(job.id)


def spoken(jobs: JobQueue, job: Job) -> str:
    """What a completed job's WAV says."""
    assert job.error is None, job.error
    assert job.audio
    assert job.audio.file
    path = jobs.audio_path(job.audio.file)
    assert path
    return read(path)


def read(path: Path) -> str:
    samples, _ = soundfile.read(io.BytesIO(path.read_bytes()), dtype="int16")
    return spell(np.asarray(samples).tobytes()).strip()


async def _serve(folder: Path) -> None:
    """Accept a request for each line of standard input, and tell what was accepted and what was answered."""
    async with queue(folder, live_at_once=4) as jobs, asyncio.TaskGroup() as tasks:
        tasks.create_task(_answer(jobs))
        loop = asyncio.get_running_loop()
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            tasks.create_task(_accept(jobs, json.loads(line)))


async def _accept(jobs: JobQueue, data: dict[str, Any]) -> None:
    job_id = data.pop("id")
    await jobs.submit(JobRequest.of(data), job_id=job_id, reply=job_id)
    _tell("accepted", job_id)


async def _answer(jobs: JobQueue) -> None:
    with jobs.answers() as answers:
        async for job in answers:
            file = job.audio.file if job.audio else None
            _tell("answered", job.id, job.state, file)
            await jobs.answered(job)


def _tell(*words: object) -> None:
    sys.stdout.write(json.dumps(words) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1])))

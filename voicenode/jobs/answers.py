"""Which final jobs still owe an answer to whoever asked for them."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from voicenode.jobs.broadcast import Broadcast

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from voicenode.jobs.job import Job
    from voicenode.jobs.records import JobRecords


class Answers:
    """Remembers ids alone: the jobs are read when it is their turn."""

    def __init__(self, records: JobRecords) -> None:
        self._records = records
        self._owed: dict[str, None] = {}
        self._news: Broadcast[str] = Broadcast()

    def owe(self, job: Job) -> None:
        """Take note of a final job, if somebody waits for its answer."""
        if job.reply is not None and not job.answered:
            self._owed[job.id] = None
            self._news.tell(job.id)

    @contextmanager
    def owed(self) -> Iterator[AsyncIterator[Job]]:
        """Every job that owes an answer, then those that come to."""
        with self._news.listen() as news:
            yield self._jobs(list(self._owed), news)

    async def note(self, job: Job) -> None:
        """The answer arrived, unless somebody asked again elsewhere meanwhile."""
        async with self._records.alone(job.id):
            stored = await self._records.get(job.id)
            if stored is None or stored.reply != job.reply:
                return
            if not stored.answered:
                await self._records.put(replace(stored, answered=True))
            self._owed.pop(job.id, None)

    async def _jobs(self, before: list[str], news: AsyncIterator[str]) -> AsyncIterator[Job]:
        for job_id in before:
            if job := await self._read(job_id):
                yield job
        async for job_id in news:
            if job := await self._read(job_id):
                yield job

    async def _read(self, job_id: str) -> Job | None:
        if job_id not in self._owed:
            return None
        job = await self._records.get(job_id)
        if job is None:  # it has expired
            del self._owed[job_id]
        return job

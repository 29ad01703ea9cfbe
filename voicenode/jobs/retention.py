"""Final jobs: how long they and their audio are kept."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from voicenode.errors import ErrorCode
from voicenode.jobs.audio_folder import AudioFolder
from voicenode.jobs.job import JobError
from voicenode.jobs.records import insist

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from voicenode.jobs.job import Job
    from voicenode.jobs.records import JobRecords

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Final:
    """What must be known of a final job without reading it."""

    expires: float
    file: str | None


class Retention:
    """Forgets jobs when they expire, and the oldest when there are too many or their audio takes too much.

    Args:
        records: where the jobs are kept.
        directory: where their audio is kept.
        max_bytes: what all audio may take; the oldest goes first, and its job says so from then on.
        max_jobs: how many final jobs are kept; the oldest goes first.
    """

    def __init__(self, records: JobRecords, directory: Path, *, max_bytes: int, max_jobs: int) -> None:
        self.folder = AudioFolder(directory, max_bytes, self._note_evicted)
        self._records = records
        self._max_jobs = max_jobs
        self._jobs: OrderedDict[str, _Final] = OrderedDict()
        self._owners: dict[str, str] = {}

    async def open(self, jobs: Iterable[Job]) -> None:
        """Take over the final jobs of an earlier life, in the order in which they became final."""
        for job in jobs:
            self._add(job)
        await self.folder.open(list(self._owners))
        for file in [file for file in self._owners if self.folder.path(file) is None]:
            await self._note_evicted(file)

    def __contains__(self, job_id: str) -> bool:
        """Whether a final job of this id is kept."""
        return job_id in self._jobs

    async def keep(self, job: Job) -> None:
        """Keep a job that is final and stored."""
        if job.audio and job.audio.file:
            self.folder.keep(job.audio.file)
        self._add(job)
        while len(self._jobs) > self._max_jobs:
            oldest = next(iter(self._jobs))
            await self._drop(oldest)
            async with self._records.alone(oldest):
                await insist(self._records.forget, oldest)

    async def sweep(self) -> None:
        """Forget what has expired."""
        now = time.time()
        for job_id in [job_id for job_id, job in self._jobs.items() if job.expires <= now]:
            await self._drop(job_id)
        await self._records.sweep()

    def _add(self, job: Job) -> None:
        file = job.audio.file if job.audio else None
        self._jobs[job.id] = _Final(job.expires or 0.0, file)
        if file:
            self._owners[file] = job.id

    async def _drop(self, job_id: str) -> None:
        job = self._jobs.pop(job_id)
        if job.file:
            self._owners.pop(job.file, None)
            await self.folder.remove(job.file)

    async def _note_evicted(self, file: str) -> None:
        job_id = self._owners.pop(file, None)
        if job_id is None:
            return
        error = JobError(ErrorCode.EXPIRED, "The audio was removed to make room; raise jobs.max_bytes.")
        async with self._records.alone(job_id):
            job = await self._records.get(job_id)
            if job is not None:
                _log.info("the audio of job %s is gone: there was no room for it any more", job_id)
                await insist(self._records.put, replace(job, audio=None, error=error))

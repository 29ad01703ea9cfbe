"""Begins jobs, a few at a time, and sees each to its end."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from voicenode.errors import EngineError, ErrorCode, RequestError, StoreError, VoiceServiceError
from voicenode.jobs.job import JobError, JobState
from voicenode.jobs.lanes import Ending, Entry, Lane
from voicenode.jobs.records import insist
from voicenode.jobs.speaker import Work

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from voicenode.jobs.job import Job
    from voicenode.jobs.records import JobRecords
    from voicenode.jobs.retention import Retention
    from voicenode.jobs.speaker import Speaker

_log = logging.getLogger(__name__)

_MAX_ATTEMPTS = 5
"""How often a job is begun again after crashes: it may be the one that brings the node down."""

_CLOSE_SECONDS = 2.0
"""For storing what has become of jobs when the node stops; a store that fails is not waited for."""


class Runner:
    """Every job that is not final.

    Args:
        speaker: speaks them.
        records: where they are stored.
        retention: takes them over when they are final.
        lanes: how many run at once: of those that are played here, of other live ones, and of batch work.
        ttl: seconds for which a final job is kept.
        changed: told each job whose state has changed; of a final one when it is stored.
    """

    def __init__(
        self,
        speaker: Speaker,
        records: JobRecords,
        retention: Retention,
        *,
        lanes: Mapping[str, int],
        ttl: float,
        changed: Callable[[Job], None],
    ) -> None:
        self.entries: dict[str, Entry] = {}
        self._speaker = speaker
        self._records = records
        self._retention = retention
        self._lanes = {name: Lane(limit) for name, limit in lanes.items()}
        self._ttl = ttl
        self._changed = changed
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = False

    def current(self, job_id: str) -> Job | None:
        """A job that is being spoken, as it stands; of the others the store knows."""
        entry = self.entries.get(job_id)
        return entry.work.job if entry and entry.work else None

    def add(self, job: Job, text: str) -> Entry:
        """Take a new job, and begin it when a place is free, although it is not stored yet."""
        entry = self._enter(job)
        entry.work = Work(job, text)
        self._changed(job)
        self._fill()
        return entry

    def note_stored(self, entry: Entry) -> Job:
        """From now on the store has the job: where it waits, it need not be remembered."""
        assert entry.work  # noqa: S101 - for the type checker: `add` set it
        job = entry.work.job
        if entry.task is None:
            entry.work = None
        return job

    def note_reply(self, job: Job) -> None:
        """The answer to a job goes elsewhere now."""
        entry = self.entries.get(job.id)
        if entry and entry.work:
            entry.work.update(reply=job.reply, answered=job.answered)

    def withdraw(self, entry: Entry, error: VoiceServiceError) -> None:
        """Forget a job that could not be stored."""
        del self.entries[entry.id]
        self.stop(entry, Ending(JobState.FAILED, error))

    def resume(self, job: Job) -> None:
        """Take a job of an earlier life."""
        entry = self._enter(job)
        entry.resumed = True
        if job.attempts >= _MAX_ATTEMPTS:
            problem = f"the node ended {job.attempts} times while it spoke this"
        elif job.state is JobState.PROCESSING and job.options.deliver == "play":
            problem = "the node ended while it played this"
        else:
            return
        self.stop(entry, Ending(JobState.FAILED, EngineError(ErrorCode.INTERRUPTED, problem)))

    def start(self) -> None:
        """Begin with what was resumed."""
        self._fill()

    def stop(self, entry: Entry, ending: Ending) -> None:
        """Make this the end of a job, unless it has come to another one already."""
        if entry.ending is not None:
            return
        entry.ending = ending
        entry.disarm()
        if entry.lane.leave(entry):
            entry.task = self._own(self._settle(entry, ending), entry)
        else:
            entry.abandon()

    async def close(self, drain_timeout: float) -> None:
        """Let live jobs that have begun finish, and leave the others to the next start."""
        self._closing = True
        for entry in self.entries.values():
            entry.disarm()
            if not entry.live:
                entry.abandon()
        await _wait(self._tasks, drain_timeout)
        for entry in self.entries.values():
            entry.abandon()
        await _wait({entry.speaking for entry in self.entries.values() if entry.speaking})
        await _wait(self._tasks, _CLOSE_SECONDS)
        for task in self._tasks:
            task.cancel()
        await _wait(self._tasks)

    def _enter(self, job: Job) -> Entry:
        lane = self._lanes["play" if job.options.deliver == "play" else job.options.priority]
        entry = self.entries[job.id] = Entry(job.id, live=_is_heard(job), lane=lane)
        lane.add(entry)
        if job.deadline is not None:
            error = RequestError(ErrorCode.EXPIRED, f"speech had not begun after {job.options.expires_s:g} s")
            entry.timer = asyncio.get_running_loop().call_later(
                job.deadline - time.time(), self.stop, entry, Ending(JobState.FAILED, error)
            )
        return entry

    def _fill(self) -> None:
        for lane in self._lanes.values():
            while not self._closing and (entry := lane.take()):
                entry.task = self._own(self._run(entry), entry)

    def _own(self, ending: Coroutine[Any, Any, None], entry: Entry) -> asyncio.Task[None]:
        task = asyncio.create_task(ending, name=f"job {entry.id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _run(self, entry: Entry) -> None:
        try:
            if entry.ending is None and not self._closing:
                entry.speaking = asyncio.create_task(self._speak(entry), name=f"speak job {entry.id}")
                await asyncio.wait([entry.speaking])
                entry.disarm()
                entry.ending = entry.ending or _ending(entry.speaking)
            if entry.ending is not None:  # else the node stops, and the job stays as it is stored
                await self._settle(entry, entry.ending)
        finally:
            entry.lane.give_back()
            self._fill()

    async def _speak(self, entry: Entry) -> None:
        work = await self._begin(entry)
        self._changed(work.job)
        await self._speaker.speak(work, lambda: self._note_sound(entry, work))

    async def _begin(self, entry: Entry) -> Work:
        async with self._records.alone(entry.id) if entry.work is None else nullcontext():
            work = entry.work = entry.work or await self._load(entry)
            if work is None:
                raise RequestError(
                    ErrorCode.UNKNOWN_JOB, "the job was removed from the store by someone else"
                )
            work.update(state=JobState.PROCESSING, started=time.time())
            if entry.resumed:
                work.update(attempts=work.job.attempts + 1)
                await insist(self._records.put, work.job)
        return work

    async def _load(self, entry: Entry) -> Work | None:
        job = await insist(self._records.get, entry.id)
        return Work(job, await insist(self._records.text, job)) if job else None

    async def _note_sound(self, entry: Entry, work: Work) -> None:
        """There is sound, so it is too late to expire; what was heard is never played again."""
        entry.disarm()
        if work.job.options.deliver == "play":
            async with self._records.alone(entry.id):
                await self._records.put(work.job)

    async def _settle(self, entry: Entry, ending: Ending) -> None:
        try:
            await self._hand_over(entry, ending)
        except Exception:  # noqa: BLE001 - the boundary: one job must not harm the next
            _log.exception("job %s cannot be brought to its end; the next start of the node does", entry.id)

    async def _hand_over(self, entry: Entry, ending: Ending) -> None:
        """Store what has become of a job, and let it go."""
        async with self._records.alone(entry.id):
            withdrawn = self.entries.get(entry.id) is not entry
            work = entry.work or await self._load(entry)
            if work is None:
                _log.error("job %s is forgotten: someone else removed it from the store", entry.id)
                del self.entries[entry.id]
                return
            job = await self._ended(work.job, ending)
            if not withdrawn:
                job = await self._store(job)
                del self.entries[entry.id]
                await self._retention.keep(job)
        self._changed(job)

    async def _ended(self, job: Job, ending: Ending) -> Job:
        now = time.time()
        job = replace(job, state=ending.state, finished=now, expires=now + self._ttl)
        if ending.error is None:
            return replace(job, progress=100)
        return replace(await self._without_audio(job), error=JobError.of(ending.error))

    async def _store(self, job: Job) -> Job:
        """Store a final job; where the disk is full, it fails and gives back what its audio takes."""
        try:
            await self._records.finish(job)
        except StoreError as error:
            if error.code is ErrorCode.DISK_FULL:
                job = await self._ended(job, Ending(JobState.FAILED, error))
            await insist(self._records.finish, job)
        return job

    async def _without_audio(self, job: Job) -> Job:
        if job.audio and job.audio.file:
            await self._retention.folder.remove(job.audio.file)
        return replace(job, audio=None)


def _is_heard(job: Job) -> bool:
    """Whether somebody waits for the sound."""
    return job.options.live or job.options.deliver == "play"


async def _wait(tasks: set[asyncio.Task[None]], seconds: float | None = None) -> None:
    if tasks:
        await asyncio.wait(tasks, timeout=seconds)


def _ending(speaking: asyncio.Task[None]) -> Ending | None:
    """What becomes of a job that nobody stopped; none where the node stops."""
    if speaking.cancelled():
        return None
    match speaking.exception():
        case None:
            return Ending(JobState.COMPLETED)
        case VoiceServiceError() as error:
            return Ending(JobState.FAILED, error)
        case unforeseen:
            _log.error("a job failed for a reason nobody foresaw", exc_info=unforeseen)
            internal = VoiceServiceError(ErrorCode.INTERNAL, "the node failed; its log tells why")
            return Ending(JobState.FAILED, internal)

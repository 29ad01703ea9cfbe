"""Jobs that are accepted once and never lost."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

from voicenode.errors import BusyError, ConflictError, ErrorCode, RequestError, StoreError, VoiceServiceError
from voicenode.jobs.answers import Answers
from voicenode.jobs.broadcast import Broadcast
from voicenode.jobs.job import Job, JobState
from voicenode.jobs.lanes import Ending
from voicenode.jobs.limits import JobLimits
from voicenode.jobs.records import JobRecords
from voicenode.jobs.retention import Retention
from voicenode.jobs.runner import Runner
from voicenode.jobs.speaker import Speaker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from voicenode.jobs.request import Delivery, JobRequest
    from voicenode.jobs.streaming import Sink
    from voicenode.processor import VoiceProcessor
    from voicenode.stores.store import Store

_log = logging.getLogger(__name__)

_ENCODER_THREADS = 4
_SWEEP_SECONDS = 300.0
"""Between two looks for what has expired."""
_MISSED_CHANGES = 1000
"""Changes that may wait for a listener; who falls further behind loses the oldest."""


class JobQueue:
    """Speaks what was accepted, in turn and exactly once, also when the node ends in between.

    Args:
        store: keeps the jobs.
        processor: speaks them.
        audio_dir: keeps the audio of those that are delivered by `url` or `inline`, and nothing else.
        limits: what they may take.
        collection: where in the store; each node that shares a store needs its own.

    `sinks` says who takes the sound of jobs that are delivered by `topic` or `play`; it is filled before
    `start`, and a delivery without a sink is refused.
    """

    def __init__(
        self,
        store: Store,
        processor: VoiceProcessor,
        audio_dir: Path,
        limits: JobLimits | None = None,
        collection: str = "jobs",
    ) -> None:
        self.sinks: dict[Delivery, Sink] = {}
        self._limits = limits = limits or JobLimits()
        self._processor = processor
        self._records = JobRecords(store, collection)
        self._retention = Retention(
            self._records, audio_dir, max_bytes=limits.max_bytes, max_jobs=limits.max_final
        )
        self._executor = ThreadPoolExecutor(_ENCODER_THREADS, "jobs")
        self._runner = Runner(
            Speaker(processor, self._retention.folder, self.sinks, self._executor),
            self._records,
            self._retention,
            lanes={"play": 1, "live": limits.live_at_once, "batch": limits.batch_at_once},
            ttl=limits.ttl,
            changed=self._note_change,
        )
        self._changes: Broadcast[Job] = Broadcast(_MISSED_CHANGES)
        self._answers = Answers(self._records)
        self._waiters: dict[str, asyncio.Future[Job]] = {}
        self._accepting: set[asyncio.Task[tuple[Job, bool]]] = set()
        self._sweeping: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Take up where the node ended the last time.

        Raises:
            StoreError: the jobs cannot be read.
        """
        jobs = await self._records.list()
        final = [job for job in jobs if job.state.final]
        await self._retention.open(sorted(final, key=lambda job: job.finished or job.created))
        for job in jobs:
            if job.state.final:
                self._answers.owe(job)
            else:
                self._runner.resume(job)
        self._runner.start()
        self._sweeping = asyncio.create_task(self._sweep(), name="sweep jobs")

    async def close(self, drain_timeout: float) -> None:
        """Let live jobs that have begun finish for so many seconds; the others go on after the next start."""
        if self._accepting:
            await asyncio.wait(self._accepting)
        if self._sweeping is not None:
            self._sweeping.cancel()
            await asyncio.wait([self._sweeping])
        await self._runner.close(drain_timeout)
        for waiter in self._waiters.values():
            waiter.cancel()
        await asyncio.to_thread(self._executor.shutdown)

    async def submit(
        self,
        request: JobRequest,
        *,
        job_id: str | None = None,
        reply: object = None,
    ) -> tuple[Job, bool]:
        """Accept a job, and tell whether it is new; once this returns it survives a power cut.

        A job of the same id and the same request is that job again, and nothing is spoken twice. Where
        it comes with another `reply` (any JSON), the answer goes there now, also when it was given before.
        It may be spoken already while it is being stored; cancelling the caller does not take it back.

        Raises:
            RequestError: the request can never be spoken.
            ConflictError: the id belongs to another request.
            BusyError: too many jobs wait.
            StoreError: it cannot be stored; nothing is left of it.
        """
        self._check(request)
        new = Job.of(request, job_id, reply)
        accepting = asyncio.create_task(self._accept(new, request.text), name=f"accept job {new.id}")
        self._accepting.add(accepting)
        accepting.add_done_callback(self._accepting.discard)
        return await asyncio.shield(accepting)

    async def get(self, job_id: str) -> Job:
        """A job as it stands.

        Raises:
            RequestError: there is none, or none any more.
        """
        job = await self._find(job_id)
        if job is None:
            raise RequestError(ErrorCode.UNKNOWN_JOB, f"there is no job '{job_id[:60]}'; it may have expired")
        return job

    async def list(self, state: JobState | None = None, limit: int = 100) -> Sequence[Job]:
        """Jobs, the newest first."""
        stored = reversed(await self._records.list())
        jobs = (self._runner.current(job.id) or job for job in stored)
        return [job for job in jobs if state in {None, job.state}][:limit]

    async def wait(self, job_id: str) -> Job:
        """The job once it is final; a close of the queue cancels who waits.

        Raises:
            RequestError: there is none.
        """
        if job_id not in self._runner.entries:
            return await self.get(job_id)
        waiter = self._waiters.setdefault(job_id, asyncio.get_running_loop().create_future())
        return await asyncio.shield(waiter)

    async def cancel(self, job_id: str) -> Job:
        """End a job, and give it as it is then; one that is final stays as it is.

        Raises:
            RequestError: there is none.
        """
        entry = self._runner.entries.get(job_id)
        if entry is not None:
            self._runner.stop(entry, _cancelled())
        return await self.wait(job_id)

    async def cancel_live(self) -> int:
        """End every live job, and what is played; batch jobs stay. How many there were."""
        live = [entry for entry in self._runner.entries.values() if entry.live]
        for entry in live:
            self._runner.stop(entry, _cancelled())
            await asyncio.sleep(0)  # there may be thousands
        await asyncio.gather(*(self.wait(entry.id) for entry in live))
        return len(live)

    def counts(self) -> Mapping[str, int]:
        """How many jobs are `queued` and how many `processing`."""
        entries = self._runner.entries.values()
        processing = sum(entry.task is not None for entry in entries)
        return {JobState.QUEUED: len(entries) - processing, JobState.PROCESSING: processing}

    def changes(self) -> AbstractContextManager[AsyncIterator[Job]]:
        """Every job as its state changes, from now on; for events, not for answers: see there."""
        return self._changes.listen()

    def answers(self) -> AbstractContextManager[AsyncIterator[Job]]:
        """Final jobs whose `reply` is not answered: those of before and, for ever, new ones.

        A job comes again with the next call, also after a crash, until `answered` says that it arrived. The
        iterator raises StoreError where the store cannot be read: then call again later.
        """
        return self._answers.owed()

    async def answered(self, job: Job) -> None:
        """Note that the answer to a job, as it was given by `answers`, has arrived.

        Raises:
            StoreError: this cannot be stored; the answer will be given again after the next start.
        """
        await self._answers.note(job)

    def audio_path(self, name: str) -> Path | None:
        """Where the file of a completed job lies; none for any other name."""
        return self._retention.folder.path(name)

    async def _accept(self, new: Job, text: str) -> tuple[Job, bool]:
        async with self._records.alone(new.id):
            # Most are new, and need not be looked for on the disk.
            may_be_known = new.id in self._runner.entries or new.id in self._retention
            known = await self._find(new.id) if may_be_known else None
            if known is not None:
                return await self._accept_again(known, new), False
            if len(self._runner.entries) >= self._limits.max_queued:
                raise BusyError(f"{self._limits.max_queued} jobs are waiting already; try again later")
            entry = self._runner.add(new, text)
            try:
                await self._records.add(new, text)
            except VoiceServiceError as error:
                self._runner.withdraw(entry, error)
                raise
            return self._runner.note_stored(entry), True

    async def _accept_again(self, known: Job, new: Job) -> Job:
        if known.digest != new.digest:
            raise ConflictError(f"the id '{new.id[:60]}' belongs to another request; take a new one")
        if new.reply is None or (new.reply == known.reply and not known.answered):
            return known
        job = replace(known, reply=new.reply, answered=False)
        await self._records.put(job)
        self._runner.note_reply(job)
        if job.state.final:
            self._answers.owe(job)
        return job

    async def _find(self, job_id: str) -> Job | None:
        return self._runner.current(job_id) or await self._records.get(job_id)

    def _check(self, request: JobRequest) -> None:
        """Refuse what can never be spoken, before it is stored."""
        limit = self._limits.live_chars if request.live else self._limits.batch_chars
        if len(request.text) > limit:
            raise RequestError(
                ErrorCode.TEXT_TOO_LONG,
                f"the text has {len(request.text)} characters; a {request.priority} job may have {limit}",
            )
        if request.deliver in {"topic", "play"} and request.deliver not in self.sinks:
            raise RequestError(
                ErrorCode.BAD_REQUEST,
                f"deliver '{request.deliver}' is not possible: this node is not set up for it",
            )
        self._processor.catalogue.choose(request.voice, request.speaker, request.language, request.engine)

    def _note_change(self, job: Job) -> None:
        self._changes.tell(job)
        if job.state.final:
            self._answers.owe(job)
            if waiter := self._waiters.pop(job.id, None):
                waiter.set_result(job)

    async def _sweep(self) -> None:
        while True:
            try:
                await self._retention.sweep()
            except StoreError as error:
                _log.error("expired jobs cannot be removed: %s", error)
            await asyncio.sleep(_SWEEP_SECONDS)


def _cancelled() -> Ending:
    return Ending(JobState.CANCELLED, RequestError(ErrorCode.CANCELLED, "the job was cancelled"))

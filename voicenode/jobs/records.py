"""Jobs in the store."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar, TypeVarTuple

from pydantic import TypeAdapter, ValidationError

from voicenode.errors import StoreError
from voicenode.jobs.job import Job

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

    from voicenode.stores.store import Document, Store

Arguments = TypeVarTuple("Arguments")
Result = TypeVar("Result")

_log = logging.getLogger(__name__)

_INLINE_CHARS = 4000
"""A longer text is kept in a file of its own, so that a thousand waiting chapters stay on the disk."""
_TEXT = "text"
_RETRY_SECONDS = 2.0
"""Between two attempts to write what must be written."""

_JOB = TypeAdapter(Job)


class JobRecords:
    """The documents of one collection as jobs; methods raise StoreError as the store does.

    Whoever writes a job reads it first, both inside `alone`.
    """

    def __init__(self, store: Store, collection: str) -> None:
        self._store = store
        self._collection = collection
        self._turns: dict[str, asyncio.Future[None]] = {}

    @asynccontextmanager
    async def alone(self, job_id: str) -> AsyncIterator[None]:
        """Keep others from writing this job."""
        while (other := self._turns.get(job_id)) is not None:
            await asyncio.wait([other])
        mine = self._turns[job_id] = asyncio.get_running_loop().create_future()
        try:
            yield
        finally:
            del self._turns[job_id]
            mine.set_result(None)

    async def get(self, job_id: str) -> Job | None:
        document = await self._store.get(self._collection, job_id)
        return _job(document) if document else None

    async def text(self, job: Job) -> str:
        """The text of a job that is not final."""
        if job.text is not None:
            return job.text
        file = await self._store.open(self._collection, job.id, _TEXT)
        if file is None:
            return ""  # an empty text, which no file is kept for
        with file:
            return (await asyncio.to_thread(file.read)).decode()

    async def list(self) -> Sequence[Job]:
        """Every job, in the order in which they came."""
        return await asyncio.to_thread(_jobs, await self._store.list(self._collection))

    async def add(self, job: Job, text: str) -> Job:
        """Keep a new job with its text; once this returns it survives a power cut."""
        if len(text) <= _INLINE_CHARS:
            job = replace(job, text=text)
            await self._put(job)
        else:
            await self._put(job, files={_TEXT: text.encode()})
        return job

    async def put(self, job: Job) -> None:
        """Keep a job as it is now, until it expires."""
        await self._put(job)

    async def finish(self, job: Job) -> None:
        """Keep a final job, for which the text is no longer needed."""
        await self._put(replace(job, text=None), files={_TEXT: None} if job.chars > _INLINE_CHARS else None)

    async def forget(self, job_id: str) -> None:
        await self._store.delete(self._collection, job_id)

    async def sweep(self) -> None:
        """Remove what has expired."""
        await self._store.sweep()

    async def _put(self, job: Job, files: Mapping[str, bytes | None] | None = None) -> None:
        expires_in = None if job.expires is None else max(0.0, job.expires - time.time())
        # Without what is as always: thousands of these are in memory and on disk, and it is most of each.
        value = _JOB.dump_python(job, mode="json", exclude_defaults=True)
        await self._store.put(self._collection, job.id, value, expires_in=expires_in, files=files)


async def insist(operation: Callable[[*Arguments], Awaitable[Result]], *arguments: *Arguments) -> Result:
    """Carry out an operation on the store, again and again while the store fails."""
    failed = False
    while True:
        try:
            return await operation(*arguments)
        except StoreError as error:
            if not failed:
                _log.error("%s; trying again every %g s", error, _RETRY_SECONDS)
            failed = True
            await asyncio.sleep(_RETRY_SECONDS)


def _jobs(documents: Sequence[Document]) -> Sequence[Job]:
    jobs = map(_job, documents)
    return sorted((job for job in jobs if job), key=lambda job: job.created)


def _job(document: Document) -> Job | None:
    try:
        return _JOB.validate_python(document.value)
    except ValidationError as error:
        _log.error("job %r cannot be understood and is left alone: %s", document.key, error)
        return None

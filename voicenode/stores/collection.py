"""One collection as a directory: what the file store does on disk. Everything here blocks, on any thread.

    voices/anna.json                           the document
    voices/files/anna.<token>.reference.wav    a file attached to it, which the document names
    voices/.anna.json.tmp                      a put that is being written
    voices/anna.json.<token>.corrupt           what was no document any more and was moved out of the way

The rename of a document is the one moment in which a put happens: its files were laid out before under names
that nothing refers to yet, and files that nothing refers to any more go afterwards.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, BinaryIO

from voicenode.errors import ErrorCode, StoreError, VoiceServiceError
from voicenode.stores.attachments import Attachments, flush
from voicenode.stores.drafts import Draft, flush_all
from voicenode.stores.index import Index
from voicenode.stores.lock import FileLock
from voicenode.stores.record import (
    CORRUPT,
    TEMPORARY,
    Attachment,
    DamagedError,
    Record,
    dump,
    is_record,
    load,
    record_name,
)
from voicenode.stores.store import Document, require

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from concurrent.futures import Executor
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Put:
    """One document to write; `attach` are files that lie ready, none for a file to remove."""

    key: str
    value: Mapping[str, Any]
    revision: int | None = None
    expires_at: float | None = None
    attach: Mapping[str, Attachment | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Delete:
    """One document to remove."""

    key: str
    revision: int | None = None


Outcome = Document | Exception | None
"""The document that was put or deleted, none where there was nothing to delete, or why it failed."""


@dataclass(slots=True)
class _Attempt:
    """One operation on its way to an outcome."""

    operation: Put | Delete
    record: Record | None
    """What is there."""
    draft: Draft | None = None
    outcome: Outcome = None
    garbage: set[str] = field(default_factory=set)
    """Files that nothing refers to afterwards."""

    def carry_on(self, step: Callable[[_Attempt], None]) -> None:
        """Take the next step, unless an earlier one failed."""
        if isinstance(self.outcome, Exception):
            return
        try:
            step(self)
        except OSError as error:
            self._fail(StoreError.of(error, f"{self.operation.key!r} cannot be written"))
        except (VoiceServiceError, TypeError, ValueError, RecursionError) as error:
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        self.outcome = error
        if isinstance(self.operation, Put):
            self.garbage = {each.file for each in self.operation.attach.values() if each}


class Collection:
    """The documents of one directory.

    Args:
        directory: made where it does not exist.
        changed: told the key of each document that is no longer as it was read; called on any thread.
        flushers: threads that wait for the disk side by side, whose waits it then takes together.

    Methods raise StoreError where the system fails.
    """

    def __init__(self, directory: Path, changed: Callable[[str], None], flushers: Executor) -> None:
        self._flushers = flushers
        self._directory = directory
        self._attachments = Attachments(directory / "files")
        self._lock = FileLock(directory / ".lock")
        self._index = Index(directory, self._lock, changed)

    def get(self, key: str) -> Document | None:
        with _reporting(f"{key!r} cannot be read"):
            record = self._index.read(key)
        return record.live() if record else None

    def documents(self) -> list[Document]:
        """Every document, ordered by key."""
        with _reporting(f"{self._directory} cannot be read"):
            records = self._index.records()
        return [document for record in records if (document := record.live())]

    def open(self, key: str, name: str) -> BinaryIO | None:
        with _reporting(f"File {name!r} of {key!r} cannot be read"), self._held():
            record = self._index.read(key)
            if record is None or not record.live() or name not in record.attachments:
                return None
            return self._attachments.open(record.attachments[name])

    def commit(self, operations: Sequence[Put | Delete]) -> list[Outcome]:
        """Carry out or fail each operation; their keys differ, and the directory is flushed once for all."""
        try:
            with self._held():
                attempts = [_Attempt(operation, self._index.read(operation.key)) for operation in operations]
                for attempt in attempts:
                    attempt.carry_on(self._lay_out)
                flush_all([attempt.draft for attempt in attempts if attempt.draft], self._flushers)
                for attempt in attempts:
                    attempt.carry_on(self._conclude)
                flush(self._directory)
                self._attachments.remove(file for attempt in attempts for file in attempt.garbage)
        except OSError as error:
            return [StoreError.of(error, f"{each.key!r} cannot be written") for each in operations]
        return [attempt.outcome for attempt in attempts]

    def put_with_files(self, put: Put, files: Mapping[str, bytes | Path | None]) -> Document | None:
        """Carry out a put that attaches or removes files."""
        with _reporting(f"{put.key!r} cannot be written"):
            self._create()
            with self._attachments.staged(put.key, files) as attach:
                outcome = self.commit([replace(put, attach=attach)])[0]
                if isinstance(outcome, Exception):
                    raise outcome
        return outcome

    def sweep(self) -> int:
        """Remove what has expired, and leftovers of crashes; how many documents expired."""
        with _reporting(f"{self._directory} cannot be cleaned"), self._held():
            expired = [record for record in self._index.scan() if record.expired()]
            for record in expired:
                self._remove(record)
            flush(self._directory)
            self._attachments.remove(file for record in expired for file in record.files)
            self._clean()
        return len(expired)

    def verify(self) -> list[str]:
        """A sentence for each thing that is damaged."""
        with _reporting(f"{self._directory} cannot be read"), self._held():
            return [
                f"{self._directory / name}: {problem}"
                for name in sorted(self._names())
                for problem in self._problems(name)
            ]

    def _lay_out(self, attempt: _Attempt) -> None:
        """Write what a put writes, under another name."""
        put, record = attempt.operation, attempt.record
        _check(put, record)
        if isinstance(put, Put):
            before = record.live() if record else None
            attachments = {**(record.attachments if record and before else {}), **put.attach}
            kept = {name: each for name, each in attachments.items() if each}
            document = Document(put.key, before.revision + 1 if before else 1, put.value, put.expires_at)
            attempt.draft = Draft(self._directory, record_name(put.key), dump(document, kept))

    def _conclude(self, attempt: _Attempt) -> None:
        """Let an operation happen."""
        record = attempt.record
        files: set[str] = record.files if record else set()
        if attempt.draft:
            written = self._index.remember(record_name(attempt.operation.key), attempt.draft.publish())
            attempt.garbage = files - written.files
            attempt.outcome = written.document
        elif record and (document := record.live()):
            self._remove(record)
            attempt.garbage = files
            attempt.outcome = document

    def _remove(self, record: Record) -> None:
        name = record_name(record.key)
        (self._directory / name).unlink()
        self._index.forget(name)

    def _clean(self) -> None:
        """Remove leftovers of crashes; the caller holds the lock, so that nothing is being written."""
        names = self._names()
        for name in names:
            if name.endswith(TEMPORARY):
                (self._directory / name).unlink()
        records = self._index.scan()
        # Nobody knows which files a document had that cannot be read: while there is one, all stay.
        if not any(record.problem for record in records) and not any(
            name.endswith(CORRUPT) for name in names
        ):
            self._attachments.clean({file for record in records for file in record.files})

    def _problems(self, name: str) -> list[str]:
        if name.endswith(CORRUPT):
            return ["was damaged and moved out of the way"]
        if not is_record(name):
            return []
        try:
            record = load(f"{self._directory}/{name}")
        except (DamagedError, PermissionError) as error:
            return [str(error)]
        problems = [record.problem, *map(self._attachments.problem, record.attachments.values())]
        return [problem for problem in problems if problem]

    def _names(self) -> list[str]:
        return [path.name for path in self._directory.iterdir()]

    @contextmanager
    def _held(self) -> Iterator[None]:
        self._create()
        with self._lock.held():
            yield

    def _create(self) -> None:
        if not self._directory.is_dir():
            root = self._directory.parent
            root.mkdir(0o700, parents=True, exist_ok=True)
            self._directory.mkdir(0o700, exist_ok=True)
            flush(root)
            flush(root.parent)


def _check(operation: Put | Delete, record: Record | None) -> None:
    """Raise what keeps an operation from being carried out on what is there now."""
    if record and record.problem:
        raise StoreError(ErrorCode.STORE_FAILED, f"{operation.key!r} cannot be written: {record.problem}.")
    require(operation.key, record.live() if record else None, operation.revision)


@contextmanager
def _reporting(what: str) -> Iterator[None]:
    """An error of the system becomes one for the user that starts with `what`."""
    try:
        yield
    except OSError as error:
        raise StoreError.of(error, what) from error

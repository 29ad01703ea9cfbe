"""The file of one document: what is written and how it is read back."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from voicenode.stores.names import file_name
from voicenode.stores.store import Document

if TYPE_CHECKING:
    from collections.abc import Mapping

FORMAT = 1
"""The version of the layout below; a file of a later one is left alone."""

TEMPORARY = ".tmp"
"""The end of a name while the file is being written."""
CORRUPT = ".corrupt"
"""The end of a name that a damaged file was given."""

_SUFFIX = ".json"


@dataclass(frozen=True, slots=True)
class Attachment:
    """One attached file: its name on disk and its size in bytes."""

    file: str
    size: int


@dataclass(frozen=True, slots=True)
class Record:
    """What is known of one file: a document and its attachments, or the problem with it."""

    signature: tuple[int, int, int]
    """Inode, time of the last change in ns, and size: differs when the file was written anew."""
    document: Document | None = None
    attachments: Mapping[str, Attachment] = field(default_factory=dict)
    problem: str | None = None
    """Why there is no document, as a sentence."""

    @property
    def key(self) -> str:
        """The key of the document, empty where there is a problem."""
        return self.document.key if self.document else ""

    @property
    def files(self) -> set[str]:
        """The names on disk of all attachments."""
        return {attachment.file for attachment in self.attachments.values()}

    def live(self) -> Document | None:
        """The document, unless it has expired."""
        return None if self.expired() else self.document

    def expired(self) -> bool:
        expires_at = self.document.expires_at if self.document else None
        return expires_at is not None and expires_at <= time.time()

    def still_describes(self, stat: os.stat_result) -> bool:
        """Whether a file in this state holds what was read."""
        return self.signature == _signature(stat)


class DamagedError(ValueError):
    """The file is not a whole document."""


def record_name(key: str) -> str:
    """The name of the file that holds the document of this key."""
    return file_name(key, 120) + _SUFFIX


def is_record(name: str) -> bool:
    """Whether a file of this name holds a document."""
    return name.endswith(_SUFFIX)


def attachment_name(key: str, token: str, name: str) -> str:
    """A name for a file of this document that no other has, and in which people find their way."""
    return f"{file_name(key, 80)}.{token}.{file_name(name, 80, plain='.')}"


def dump(document: Document, attachments: Mapping[str, Attachment]) -> bytes:
    """The contents of the file."""
    return json.dumps(
        {
            "format": FORMAT,
            "key": document.key,
            "revision": document.revision,
            "expires_at": document.expires_at,
            "files": {name: {"file": each.file, "size": each.size} for name, each in attachments.items()},
            "value": document.value,
        },
        allow_nan=False,
    ).encode()


def load(path: str) -> Record:
    """Read a file.

    Raises:
        OSError: it cannot be read.
        DamagedError: it is not a whole document.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)  # a file object costs more than all the rest
    try:
        stat = os.fstat(descriptor)
        contents = os.read(descriptor, stat.st_size + 1)
        while len(contents) < stat.st_size and (more := os.read(descriptor, stat.st_size)):
            contents += more
    finally:
        os.close(descriptor)
    return parse(path.rpartition("/")[2], stat, contents)


def parse(name: str, stat: os.stat_result, contents: bytes) -> Record:
    """The record of a file of this name, in this state, with these contents.

    Raises:
        DamagedError: it is not a whole document.
    """
    try:
        fields: dict[str, Any] = json.loads(contents)
        if fields["format"] > FORMAT:
            return unreadable(stat, f"{name} was written by a later version of voicenode")
        if record_name(fields["key"]) != name:
            return unreadable(stat, f"{name} holds the document of another key, {fields['key']!r}")
        attachments = {each: Attachment(**entry) for each, entry in fields["files"].items()}
        document = Document(
            key=fields["key"],
            revision=fields["revision"],
            value=fields["value"],
            expires_at=fields["expires_at"],
            files={each: attachment.size for each, attachment in attachments.items()},
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DamagedError(f"{name} is not a whole document") from error
    return Record(_signature(stat), document, attachments)


def unreadable(stat: os.stat_result, problem: str) -> Record:
    """The record of a file that holds no document for us."""
    return Record(_signature(stat), problem=problem)


def _signature(stat: os.stat_result) -> tuple[int, int, int]:
    return stat.st_ino, stat.st_mtime_ns, stat.st_size

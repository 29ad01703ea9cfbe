r"""One document as it stands in Redis: what is written and how it is read back.

    <stamp>\n{"format": 1, "key": ..., "revision": ..., "expires_at": ..., "files": ..., "value": ...}

The stamp is new with every put. The script that writes compares it, so it needs to understand nothing else.
"""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from voicenode.stores.store import Document

if TYPE_CHECKING:
    from collections.abc import Mapping

FORMAT = 1
"""The version of the layout above; a document of a later one is left alone."""
STAMP = 16
"""Characters of a stamp."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One attached file: `chunks` values under a token that no other file has."""

    token: str
    chunks: int
    size: int
    """Bytes."""
    sha256: str


@dataclass(frozen=True, slots=True)
class RedisRecord:
    """What stands at a key: a document and its files, nothing, or something that is left alone."""

    stamp: str = ""
    """Empty where nothing stands."""
    document: Document | None = None
    files: Mapping[str, StoredFile] = field(default_factory=dict)
    problem: str | None = None
    """Why there is no document, as the end of a sentence."""

    @property
    def revision(self) -> int:
        return self.document.revision if self.document else 0

    def live(self) -> Document | None:
        """The document, unless it has expired by this machine's clock: for when Redis cannot be asked."""
        expires_at = self.document.expires_at if self.document else None
        return None if expires_at is not None and expires_at <= time.time() else self.document


ABSENT = RedisRecord()


def dump(document: Document, files: Mapping[str, StoredFile]) -> bytes:
    """What is written for a document.

    Raises:
        TypeError, ValueError: its value is not JSON.
    """
    fields = {
        "format": FORMAT,
        "key": document.key,
        "revision": document.revision,
        "expires_at": document.expires_at,
        "files": {name: asdict(file) for name, file in files.items()},
        "value": document.value,
    }
    return f"{secrets.token_hex(STAMP // 2)}\n{json.dumps(fields, allow_nan=False)}".encode()


def parse(key: str, contents: bytes | None) -> RedisRecord:
    """What stands at the key of a document; it never fails."""
    if not contents:
        return ABSENT
    stamp, body = contents[:STAMP].decode("latin-1"), contents[STAMP:]
    try:
        return _parse(key, stamp, json.loads(body))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return RedisRecord(stamp, problem="it is not a whole document")


def _parse(key: str, stamp: str, fields: dict[str, Any]) -> RedisRecord:
    if fields["format"] > FORMAT:
        return RedisRecord(stamp, problem="it was written by a later version of voicenode")
    if fields["key"] != key:
        return RedisRecord(stamp, problem=f"it is the document of another key, {fields['key']!r}")
    files = {name: StoredFile(**entry) for name, entry in fields["files"].items()}
    sizes = {name: file.size for name, file in files.items()}
    document = Document(key, fields["revision"], fields["value"], fields["expires_at"], sizes)
    return RedisRecord(stamp, document, files)

"""What is remembered: JSON documents in named collections, with files attached to them."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO

from voicenode.errors import ConflictError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path
    from types import TracebackType
    from typing import Self


@dataclass(frozen=True, slots=True)
class Document:
    """One document as it was read; its mappings are shared with other readers and never changed."""

    key: str
    revision: int
    """1 for the first, one more with each put."""
    value: Mapping[str, Any]
    expires_at: float | None = None
    """Seconds since the epoch; none means never."""
    files: Mapping[str, int] = field(default_factory=dict)
    """Name -> bytes of each attached file."""


class Store(ABC):
    """Documents by collection and key; used on one event loop, shared with other processes.

    A collection is a lower-case word that the code chose. A key, and the name of a file, is any text, such
    as a user typed it. A document that has expired is absent, for `put` as well. After a crash every document
    is there as one put left it, files included, or absent.

    Every method raises StoreError when the store cannot be reached, read or written.
    """

    @abstractmethod
    async def get(self, collection: str, key: str) -> Document | None:
        """The document, or none."""

    @abstractmethod
    async def list(self, collection: str) -> Sequence[Document]:
        """Every document, ordered by key."""

    @abstractmethod
    async def put(
        self,
        collection: str,
        key: str,
        value: Mapping[str, Any],
        *,
        revision: int | None = None,
        expires_in: float | None = None,
        files: Mapping[str, bytes | Path | None] | None = None,
    ) -> Document:
        """Keep a document: once this returns, it survives a power cut. Puts in flight share the cost.

        Args:
            collection: where to keep it.
            key: which one.
            value: a JSON object; it replaces the old value whole.
            revision: the revision that must be there now, 0 for no document; none means whatever.
            expires_in: seconds until the document is gone; none means that it stays, whatever it was before.
            files: files to attach with this put, both or neither; a path is a finished file that the store
                takes over (it is gone afterwards), none removes the file of that name, others stay.

        Raises:
            ConflictError: another revision is there.
            TypeError, ValueError: the value is not JSON.
        """

    @abstractmethod
    async def delete(self, collection: str, key: str, *, revision: int | None = None) -> bool:
        """Remove a document and its files; whether there was one.

        Raises:
            ConflictError: another revision is there.
        """

    @abstractmethod
    async def open(self, collection: str, key: str, name: str) -> BinaryIO | None:
        """An attached file, seekable, to be read in a thread; it stays whole when the document changes."""

    @abstractmethod
    def watch(self, collection: str) -> AbstractAsyncContextManager[AsyncIterator[str]]:
        """Keys of documents as they are put and deleted, by any process, from the moment of entering.

        A key that changes often may come once for several changes; expiry shows when it is swept.
        """

    @abstractmethod
    async def sweep(self) -> int:
        """Remove what has expired and what a crash left behind; how many documents expired."""

    @abstractmethod
    async def verify(self) -> Sequence[str]:
        """A sentence for each thing that is damaged; nothing is changed."""

    @abstractmethod
    async def close(self) -> None:
        """Finish what is being written and let go of everything."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


_COLLECTION = re.compile(r"[a-z][a-z0-9-]*")


def is_collection(name: str) -> bool:
    """Whether a collection may be called so."""
    return _COLLECTION.fullmatch(name) is not None


def require(key: str, document: Document | None, revision: int | None) -> None:
    """Raise ConflictError where another revision is there than the one a writer named; none names any."""
    there = document.revision if document else 0
    if revision not in {None, there}:
        raise ConflictError(
            f"{key!r} is at revision {there}, not {revision}: "
            "someone else changed it; read it again and decide anew."
        )

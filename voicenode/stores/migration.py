"""Copies documents and their files from one store to another."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from voicenode.errors import ConflictError, ErrorCode, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from voicenode.stores.store import Document, Store

_TRIES = 5
"""Of a document that others change in the meantime."""


@dataclass(slots=True)
class Migration:
    """What became of the documents of the source, each as `collection/key`."""

    copied: list[str] = field(default_factory=list)
    equal: list[str] = field(default_factory=list)
    """Those that the target had already."""
    different: list[str] = field(default_factory=list)
    """Those of which the target has another version, which was left as it is."""


async def migrate(
    source: Store,
    target: Store,
    collections: Sequence[str],
    *,
    overwrite: bool = False,
    progress: Callable[[str], None],
) -> Migration:
    """Copy what the target lacks, and look whether each copy is whole; nothing is taken from the source.

    It may be ended at any time and run again: what is there is not copied twice.

    Args:
        source: the store that is read.
        target: the store that is written.
        collections: what to copy.
        overwrite: whether the source's version replaces another one in the target.
        progress: told what is being copied.

    Raises:
        StoreError: a store cannot be read or written, or a copy is not what was copied.
    """
    found = Migration()
    for collection in collections:
        documents = await source.list(collection)
        for number, document in enumerate(documents):
            progress(f"{collection}: {number + 1} of {len(documents)}")
            name = f"{collection}/{document.key}"
            copier = _Copier(source, target, collection, document.key)
            (await copier.copy(overwrite=overwrite, found=found)).append(name)
    return found


@dataclass(frozen=True, slots=True)
class _Copier:
    """One document on its way."""

    source: Store
    target: Store
    collection: str
    key: str

    async def copy(self, *, overwrite: bool, found: Migration) -> list[str]:
        """The list in `found` that the document belongs to now."""
        for _ in range(_TRIES):
            try:
                ours, theirs = await self._both()
                if await self._are_equal(ours, theirs):
                    return found.equal
                if theirs is not None and not overwrite:
                    return found.different
                await self._put(ours, theirs)
                if await self._are_equal(*await self._both()):
                    return found.copied
            except (ConflictError, _ChangedError):
                continue
            except OSError as error:
                raise StoreError.of(error, f"{self.key!r} cannot be copied") from error
        what = f"{self.key!r} in {self.collection} was copied, and the copy is not the same"
        raise StoreError(ErrorCode.STORE_FAILED, f"{what}; is somebody changing it? Migrate again")

    async def _both(self) -> tuple[Document | None, Document | None]:
        return await asyncio.gather(
            self.source.get(self.collection, self.key), self.target.get(self.collection, self.key)
        )

    async def _put(self, ours: Document | None, theirs: Document | None) -> None:
        if ours is None:
            raise _ChangedError
        expires_in = None if ours.expires_at is None else ours.expires_at - time.time()
        files: dict[str, Path | None] = dict.fromkeys(theirs.files if theirs else ())
        folder = Path(await asyncio.to_thread(tempfile.mkdtemp))
        try:
            for number, name in enumerate(ours.files):
                files[name] = folder / str(number)
                await asyncio.to_thread(_save, await self._open(self.source, name), folder / str(number))
            if await self.source.get(self.collection, self.key) != ours:
                raise _ChangedError
            await self.target.put(
                self.collection,
                self.key,
                ours.value,
                revision=theirs.revision if theirs else 0,
                expires_in=expires_in,
                files=files,
            )
        finally:
            await asyncio.to_thread(shutil.rmtree, folder)

    async def _are_equal(self, ours: Document | None, theirs: Document | None) -> bool:
        """Whether the values and the contents of all files are the same; the expiry is about the same."""
        if ours is None or theirs is None:
            return ours is None  # it is gone, and so there is nothing to copy
        if (ours.value, ours.files) != (theirs.value, theirs.files) or not _alike(ours, theirs):
            return False
        for name in ours.files:
            digests = [
                await asyncio.to_thread(_digest, await self._open(store, name))
                for store in (self.source, self.target)
            ]
            if digests[0] != digests[1]:
                return False
        return True

    async def _open(self, store: Store, name: str) -> BinaryIO:
        file = await store.open(self.collection, self.key, name)
        if file is None:
            raise _ChangedError
        return file


class _ChangedError(Exception):
    """Somebody changed the document meanwhile."""


def _alike(ours: Document, theirs: Document) -> bool:
    """Whether two documents expire within a minute of each other, or never."""
    if ours.expires_at is None or theirs.expires_at is None:
        return ours.expires_at is theirs.expires_at
    return abs(ours.expires_at - theirs.expires_at) < 60  # noqa: PLR2004 - said above


def _save(file: BinaryIO, path: Path) -> None:
    with closing(file), path.open("wb") as copy:
        shutil.copyfileobj(file, copy)


def _digest(file: BinaryIO) -> bytes:
    with closing(file):
        return hashlib.file_digest(file, "sha256").digest()  # type: ignore[arg-type] # it has readinto

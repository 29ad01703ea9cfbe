"""All cloned voices of a store, as this node knows them."""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from voicenode.cloning.files import read_file
from voicenode.cloning.profile import COLLECTION, Kept, VoiceProfile, same_sound
from voicenode.errors import ConflictError, RequestError, StoreError
from voicenode.voice import name_key

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping

    from voicenode.stores.store import Document, Store

_AT_A_TIME = 100
"""Documents that are read between two turns of the event loop."""
_RETRY_SECONDS = 5.0
"""Until a store that failed is watched again."""
_WRITE_SECONDS = 60.0
"""Between two times that uses are written down, and what has expired is forgotten."""
_SWEEP_MINUTES = 60

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Use:
    """What was not written down yet."""

    times: int = 0
    last: float = 0.0


class VoiceProfiles:
    """The profiles of a store, all in memory, and followed while `following` is entered.

    Args:
        store: keeps them.
        changed: called on the event loop with what was and what is there, whoever changed it.
        needed: the names of those that shall not expire now.
    """

    def __init__(
        self,
        store: Store,
        changed: Callable[[Kept | None, Kept | None], None],
        needed: Callable[[], Iterable[str]] = tuple,
    ) -> None:
        self.store = store
        self._changed = changed
        self._needed = needed
        self._kept: dict[str, Kept] = {}
        self._used: dict[str, _Use] = {}

    def __iter__(self) -> Iterator[Kept]:
        """Ordered by name."""
        return iter(sorted(self.values(), key=lambda kept: name_key(kept.profile.name)))

    def __len__(self) -> int:
        return len(self._kept)

    def values(self) -> list[Kept]:
        """In no order."""
        now = time.time()
        return [kept for kept in self._kept.values() if kept.expires_at is None or kept.expires_at > now]

    @property
    def keys(self) -> set[str]:
        return set(self._kept)

    async def names(self) -> list[str]:
        """Of all voices, as the store has them right now."""
        return [document.key for document in await self.store.list(COLLECTION)]

    def find(self, name: str) -> Kept | None:
        """The voice of this name, however it is spelled."""
        kept = self._kept.get(name_key(name))
        return None if kept is None or kept.expired else kept

    async def refreshed(self, name: str) -> Kept | None:
        """The same, as it is in the store right now.

        Raises:
            StoreError: it cannot be read.
        """
        await self._look(name_key(name))
        return self.find(name)

    async def put(
        self, profile: VoiceProfile, version: int, files: Mapping[str, bytes | None] | None = None
    ) -> Kept:
        """Keep a profile, with other files, in one step.

        Args:
            profile: what to keep.
            version: the store's revision that it was made from, 0 for a new one.
            files: to attach, or to remove.

        Raises:
            ConflictError: someone else was first.
            StoreError: it could not be kept; what was there before still is.
        """
        key = name_key(profile.name)
        document = await self.store.put(
            COLLECTION,
            key,
            profile.document,
            revision=version,
            expires_in=profile.expires_in,
            files=files or None,
        )
        self._note(key, document)
        await asyncio.sleep(0)  # whoever shows voices has done so when this returns
        return self._kept[key]

    async def change(
        self,
        kept: Kept,
        edit: Callable[[VoiceProfile], VoiceProfile],
        files: Mapping[str, bytes | None] | None = None,
    ) -> Kept:
        """Keep `edit` of a profile, also where what is not heard of it changes meanwhile.

        Raises:
            ConflictError: the voice was made anew, or is gone.
            StoreError: as `put`.
        """
        while True:
            try:
                return await self.put(edit(kept.profile), kept.version, files)
            except ConflictError:
                kept = await self._same(kept)

    async def rename(self, kept: Kept, edit: Callable[[VoiceProfile], VoiceProfile]) -> Kept:
        """Keep `edit` of a profile, which changes its name, and let go of the old one.

        Raises:
            ConflictError: there is a voice of the new name, or this one was changed.
            StoreError: as `put`.
        """
        key, profile = name_key(kept.profile.name), edit(kept.profile)
        files = {name: await read_file(self.store, key, name) for name in kept.profile.files}
        renamed = await self.put(profile, 0, files)
        await self.delete(kept)
        return renamed

    async def delete(self, kept: Kept) -> None:
        """Forget a voice and all that belongs to it.

        Raises:
            ConflictError: it was made anew meanwhile.
            StoreError: the store cannot be written.
        """
        key = name_key(kept.profile.name)
        while True:
            try:
                await self.store.delete(COLLECTION, key, revision=kept.version)
                break
            except ConflictError:
                kept = await self._same(kept)
        self._note(key, None)
        await asyncio.sleep(0)  # as in `put`

    def note_use(self, name: str) -> None:
        """Remember that a voice was used: it lives longer for that."""
        use = self._used.setdefault(name_key(name), _Use())
        use.times += 1
        use.last = time.time()

    async def write_uses(self) -> None:
        """Write down what `note_use` remembers; what cannot be written is kept for the next time."""
        used, self._used = self._used, {}
        for key, use in used.items():
            try:
                await self._write_use(key, use)
            except (StoreError, ConflictError) as error:
                _log.debug("the use of the voice %s is written later: %s", key, error)
                later = self._used.setdefault(key, _Use())
                later.times += use.times
                later.last = max(later.last, use.last)

    @asynccontextmanager
    async def following(self) -> AsyncIterator[None]:
        """Know what the store keeps, and follow what any process changes there while this is entered.

        Raises:
            StoreError: the store cannot be read.
        """
        await self._reload()
        tasks = [
            asyncio.create_task(self._follow(), name="follow voice profiles"),
            asyncio.create_task(self._keep_house(), name="keep voice profiles"),
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            await self.write_uses()

    async def _follow(self) -> None:
        while True:
            try:
                async with self.store.watch(COLLECTION) as keys:
                    await self._reload()  # what changed before anyone watched
                    async for key in keys:
                        await self._look(key)
            except StoreError as error:
                _log.warning("voice profiles are not followed for %g s: %s", _RETRY_SECONDS, error)
                await asyncio.sleep(_RETRY_SECONDS)

    async def _keep_house(self) -> None:
        for minutes in itertools.count():
            await self._pin_needed()
            await asyncio.sleep(_WRITE_SECONDS)
            if minutes % _SWEEP_MINUTES == 0:
                await self._sweep()
            await self.write_uses()
            for key, kept in list(self._kept.items()):
                if kept.expired:
                    self._note(key, None)

    async def _pin_needed(self) -> None:
        """Who is named by a setting never expires: a house shall not fall silent after a long holiday."""
        for kept in filter(None, map(self.find, self._needed())):
            if kept.profile.pinned:
                continue
            try:
                await self.change(kept, lambda old: replace(old, pinned=True))
                _log.info("voice %s is pinned, for a setting names it", kept.profile.name)
            except (StoreError, ConflictError) as error:
                _log.debug("the voice %s is pinned later: %s", kept.profile.name, error)

    async def _sweep(self) -> None:
        """What has expired is removed, recordings included."""
        try:
            await self.store.sweep()
        except StoreError as error:
            _log.warning("what has expired cannot be removed yet: %s", error)

    async def _look(self, key: str) -> None:
        """Know a voice as it is in the store; what changes here meanwhile is newer than what was read."""
        while True:
            before = self._kept.get(key)
            document = await self.store.get(COLLECTION, key)
            if self._kept.get(key) is before:
                self._note(key, document)
                return

    async def _reload(self) -> None:
        """`_look` at all of them."""
        before = dict(self._kept)
        found: dict[str, Document | None] = dict.fromkeys(before)
        found |= {document.key: document for document in await self.store.list(COLLECTION)}
        for number, (key, document) in enumerate(found.items(), start=1):
            if self._kept.get(key) is before.get(key):
                self._note(key, document)
            if number % _AT_A_TIME == 0:
                await asyncio.sleep(0)

    async def _write_use(self, key: str, use: _Use) -> None:
        kept = await self.refreshed(key)
        if kept is not None:
            await self.change(kept, lambda old: replace(old, uses=old.uses + use.times, last_used=use.last))

    async def _same(self, kept: Kept) -> Kept:
        """The voice as it is now; raises the conflict that this was looked for where it sounds different."""
        now = await self.refreshed(kept.profile.name)
        if not same_sound(now, kept):
            raise ConflictError(f"voice '{kept.profile.name}' was changed meanwhile; look at it again")
        return now

    def _note(self, key: str, document: Document | None) -> None:
        """A document was put or deleted, here or elsewhere; an older one than is known is no news."""
        before = self._kept.get(key)
        if document is not None and before is not None and before.version == document.revision:
            return
        after = None if document is None else _read(document)
        if after is not None and before is not None and _is_older(after, before):
            return
        if after is None:
            self._kept.pop(key, None)
            self._used.pop(key, None)
        else:
            self._kept[key] = after
        if before is not after:
            self._changed(before, after)


def _is_older(one: Kept, other: Kept) -> bool:
    return one.profile.id == other.profile.id and one.version < other.version


def _read(document: Document) -> Kept | None:
    try:
        return Kept.of(document)
    except RequestError as error:
        _log.warning("the voice profile %.60r is left out: %s", document.key, error)
        return None

"""The cloned voices of a node: its parts, and how they know each other."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from voicenode.cloning.artefacts import ArtefactKeeper
from voicenode.cloning.cloner import Cloner
from voicenode.cloning.desk import VoiceDesk
from voicenode.cloning.folder import ImportFolder
from voicenode.cloning.profiles import VoiceProfiles
from voicenode.cloning.shelf import Shelf
from voicenode.transcription import Transcriber

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from pathlib import Path

    from voicenode.cloning.permission import Permission
    from voicenode.cloning.profile import Kept
    from voicenode.processor import VoiceProcessor
    from voicenode.stores.store import Store
    from voicenode.workers.pool import EnginePool


@dataclass(frozen=True, slots=True, kw_only=True)
class VoiceLimits:
    """What a node does with cloned voices."""

    advertised: int = 500
    """How many cloned voices clients see at most."""
    ttl: float = 30 * 86_400.0
    """Seconds without use until a voice expires that says nothing of it."""
    engines: Sequence[str] = ()
    """Who shall speak in a voice that says nothing of it, best first."""
    quality: Mapping[str, str] = field(default_factory=dict)
    """The name of a voice -> its quality profile, whatever the voice says of it."""


class ClonedVoices:
    """Cloned voices in the catalogue of a processor, while `open` is entered.

    Args:
        store: keeps them.
        processor: speaks in them.
        pool: runs the engines.
        folder: for files that engines read; all that is in it may go.
        import_folder: what is put there becomes a voice.
        limits: what the node does with them.
        permission: who may change them.
        transcriber: finds or compares the words of recordings; None where nobody listens.
    """

    def __init__(
        self,
        store: Store,
        processor: VoiceProcessor,
        pool: EnginePool,
        *,
        folder: Path,
        import_folder: Path,
        limits: VoiceLimits,
        permission: Permission,
        transcriber: Transcriber | None = None,
    ) -> None:
        self._processor = processor
        self._shelf = Shelf(processor, limits.advertised, limits.engines, limits.quality)
        self.profiles = VoiceProfiles(store, self._change, lambda: processor.catalogue.needed)
        self._artefacts = ArtefactKeeper(self.profiles, pool, self._shelf.cloning, folder)
        cloner = Cloner(
            self.profiles,
            self._artefacts,
            self._shelf,
            quality=processor.quality,
            transcriber=transcriber or Transcriber(),
            ttl=limits.ttl,
        )
        self.desk = VoiceDesk(self.profiles, cloner, self._shelf, permission, import_folder)
        self._import = ImportFolder(import_folder, self.desk)
        self._showing: asyncio.Handle | None = None
        self._is_open = False

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Show what the store keeps, and follow what any node changes there while this is entered.

        Raises:
            StoreError: it cannot be read.
        """
        async with AsyncExitStack() as opened:
            self._show()  # from here on, what settings name is found as soon as it is read
            await opened.enter_async_context(self.profiles.following())
            await opened.enter_async_context(self._artefacts.running())
            self._is_open = True
            self._show()
            self._processor.lend_artefacts = self._artefacts.lend
            opened.push_async_callback(self.desk.close)
            await opened.enter_async_context(self._import.watched())
            yield

    def renew(self) -> None:
        """There may be other quality profiles, which voices show as speakers."""
        self._shelf.renew(self.profiles)

    def _change(self, before: Kept | None, after: Kept | None) -> None:
        self._shelf.change(before, after)
        self._artefacts.follow(before, after)
        if self._is_open and self._showing is None:  # once for all that change in one go
            self._showing = asyncio.get_running_loop().call_soon(self._show)

    def _show(self) -> None:
        self._showing = None
        self._shelf.show(self.profiles)

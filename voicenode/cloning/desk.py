"""Where doors hand in what is asked about voices, as JSON, and get the answer, as JSON."""

from __future__ import annotations

import asyncio
import logging
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from voicenode.cloning import names
from voicenode.cloning.folder import imported
from voicenode.cloning.profile import summary, view
from voicenode.cloning.request import CloneRequest, Page, UpdateRequest, name_in
from voicenode.errors import ErrorCode, RequestError, VoiceServiceError
from voicenode.voice import name_key
from voicenode.words import unknown

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from voicenode.cloning.cloner import Cloner
    from voicenode.cloning.permission import Asker, Permission
    from voicenode.cloning.profile import Kept
    from voicenode.cloning.profiles import VoiceProfiles
    from voicenode.cloning.shelf import Shelf
    from voicenode.recordings import Source

_log = logging.getLogger(__name__)


class VoiceDesk:
    """Answers what is asked about cloned voices, and writes down who changed them.

    Every method raises RequestError for what will not do and for who may not, `conflict` where others were
    first, and StoreError where nothing could be kept.
    """

    def __init__(
        self,
        profiles: VoiceProfiles,
        cloner: Cloner,
        shelf: Shelf,
        permission: Permission,
        import_folder: Path,
    ) -> None:
        self._profiles = profiles
        self._cloner = cloner
        self._shelf = shelf
        self._permission = permission
        self._import_folder = import_folder
        self._tasks: set[asyncio.Task[dict[str, Any]]] = set()
        self.renamed: Callable[[str, str], Awaitable[None]] | None = None
        """Called with the old name of a voice and the new one, for whoever remembers names."""

    def check(self, asker: Asker) -> None:
        """Look whether someone may change voices, before he sends a lot.

        Raises:
            RequestError: he may not (`forbidden`).
        """
        self._permission.check(asker)

    def imported(self, name: str) -> Source:
        """A recording in the import folder.

        Raises:
            RequestError: there is none of this name.
        """
        return imported(self._import_folder, name)

    async def clone(self, data: Mapping[str, Any], sources: Sequence[Source], asker: Asker) -> dict[str, Any]:
        """Make a voice of recordings, also where whoever asked does not wait for the answer."""
        task = asyncio.create_task(self._clone(data, sources, asker), name="clone a voice")
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return await asyncio.shield(task)

    async def close(self) -> None:
        """Break off what is being made."""
        tasks = set(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _done(self, task: asyncio.Task[dict[str, Any]]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # which the log has told, where nobody waits for it

    async def _clone(
        self, data: Mapping[str, Any], sources: Sequence[Source], asker: Asker
    ) -> dict[str, Any]:
        with _audited("clone", data, asker) as note:
            self._permission.check(asker)
            request = CloneRequest.of(data)
            if not sources:
                raise RequestError(ErrorCode.BAD_REQUEST, "there is no recording in the message")
            self._permission.count()
            cloned = await self._cloner.clone(request, sources)
            profile = cloned.kept.profile
            note(f"revision {profile.revision}, id {profile.id}, consent {profile.consent!r}")
            return {**view(cloned.kept), "warnings": list(cloned.warnings)}

    def list(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """A page of the list of cloned voices, ordered by name."""
        page = Page.of(data)
        found = list(self._profiles)
        shown = found[page.offset : page.offset + page.limit]
        return {"voices": [summary(kept) for kept in shown], "total": len(found), "offset": page.offset}

    def get(self, data: Mapping[str, Any], asker: Asker) -> dict[str, Any]:
        """All about one voice, for those who may change it: words and consent are nobody else's business."""
        self._permission.check(asker)
        return view(self._find(name_in(data)))

    async def update(self, data: Mapping[str, Any], asker: Asker) -> dict[str, Any]:
        """Change what is not heard of a voice, or its name."""
        with _audited("update", data, asker) as note:
            self._permission.check(asker)
            request = UpdateRequest.of(data)
            naming = self._shelf.settings_naming(self._find(request.name).profile.name)
            kept = await self._updated(request)
            changed = ", ".join(sorted(request.model_fields_set - {"name"}))
            note(f"now {kept.profile.name!r}, changed: {changed or 'nothing'}")
            return {**view(kept), "warnings": await self._warnings(request, kept, naming)}

    async def delete(self, data: Mapping[str, Any], asker: Asker) -> dict[str, Any]:
        """Forget a voice: its recordings, and all that was made of them."""
        with _audited("delete", data, asker) as note:
            self._permission.check(asker)
            kept = self._find(name_in(data))
            await self._profiles.delete(kept)
            note(f"id {kept.profile.id}")
            return {"name": kept.profile.name, "id": kept.profile.id}

    def _find(self, name: str) -> Kept:
        kept = self._profiles.find(name)
        if kept is None:
            if name_key(name) in self._shelf.own_names:
                what = f"voice '{name}' comes with its engine, and was not cloned; it stays as it is"
                raise RequestError(ErrorCode.BAD_REQUEST, what)
            known = [kept.profile.name for kept in self._profiles][:1000]
            raise unknown(ErrorCode.UNKNOWN_VOICE, "cloned voice", name, known)
        return kept

    async def _updated(self, request: UpdateRequest) -> Kept:
        kept = self._find(request.name)
        changes = request.changes
        if changes.get("quality") == "":
            changes["quality"] = None
        if "engines" in changes:
            self._check_engines(changes["engines"], kept)
        if request.rename is not None:
            changes["name"] = names.checked_name(request.rename)
        if name_key(changes.get("name", kept.profile.name)) == name_key(kept.profile.name):
            return await self._profiles.change(kept, lambda old: replace(old, **changes))
        names.check_free(changes["name"], self._shelf.engines, self._shelf.own_names)
        return await self._profiles.rename(kept, lambda old: replace(old, **changes))

    async def _warnings(self, request: UpdateRequest, kept: Kept, naming: Sequence[str]) -> Sequence[str]:
        """What a new name breaks; what clients chose follows it, and a file is its owner's."""
        if name_key(request.name) == name_key(kept.profile.name):
            return []
        if self.renamed is not None:
            await self.renamed(request.name, kept.profile.name)
        what = f"names the voice as '{request.name}': write '{kept.profile.name}' there before the next start"
        return [f"the setting {setting} {what}" for setting in naming]

    def _check_engines(self, engines: Sequence[str], kept: Kept) -> None:
        for engine in engines:
            if engine not in self._shelf.cloning:
                raise unknown(
                    ErrorCode.UNKNOWN_ENGINE, "engine that clones", engine, list(self._shelf.cloning)
                )
            if self._shelf.needs_transcript(engine) and not kept.profile.transcript:
                what = f"engine {engine} must be told the words of the recording; clone anew with them"
                raise RequestError(ErrorCode.BAD_TRANSCRIPT, what)


@contextmanager
def _audited(what: str, data: Mapping[str, Any], asker: Asker) -> Iterator[Any]:
    """One line in the log, however it ends."""
    told: list[str] = []
    who = f"{what} voice {str(data.get('name'))[:60]!r} by {asker.peer} over {asker.door}"
    try:
        yield told.append
    except VoiceServiceError as error:
        _log.warning("%s: refused, %s: %s", who, error.code, error)
        raise
    except BaseException as error:
        _log.warning("%s: broken off, %s", who, type(error).__name__)
        raise
    _log.info("%s: done, %s", who, "; ".join(told))

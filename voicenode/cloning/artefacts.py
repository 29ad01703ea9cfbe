"""What engines keep of cloned voices: made once, kept with the voice, and lent to engines as files."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import shutil
from collections import Counter
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from voicenode.cloning.files import REFERENCE, laid_out, local_name, local_names, model_of, place, read_file
from voicenode.cloning.profile import Artefacts, Kept
from voicenode.errors import EngineError, ErrorCode, RequestError, StoreError, VoiceServiceError
from voicenode.voice import name_key

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    from voicenode.cloning.profile import VoiceProfile
    from voicenode.cloning.profiles import VoiceProfiles
    from voicenode.engine import TTSEngine
    from voicenode.voice import Voice
    from voicenode.workers.pool import EnginePool

_AGAIN_SECONDS = 600.0
"""Until artefacts that could not be made are tried again."""

_log = logging.getLogger(__name__)


class ArtefactKeeper:
    """Makes, keeps and lends artefacts.

    Args:
        profiles: the voices.
        pool: runs the engines.
        engines: those that clone.
        folder: for copies of what is in the store; all that is in it may go.
    """

    def __init__(
        self, profiles: VoiceProfiles, pool: EnginePool, engines: Mapping[str, TTSEngine[Any]], folder: Path
    ) -> None:
        self._profiles = profiles
        self._pool = pool
        self._engines = engines
        self._folder = folder
        self._models: dict[str, str] = {}
        self._making: dict[tuple[str, str], asyncio.Task[Artefacts]] = {}
        self._lent: Counter[str] = Counter()
        self._unwanted: set[str] = set()
        self._lacking: set[str] = set()
        """Names of voices for which something is still to be made."""
        self._news = asyncio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Make in the background what is missing or was made by another model, while this is entered."""
        await asyncio.to_thread(self._prepare)
        task = asyncio.create_task(self._catch_up(), name="make artefacts of voices")
        try:
            yield
        finally:
            tasks = {task, *self._making.values()}
            for each in tasks:
                each.cancel()
            await asyncio.wait(tasks)

    @asynccontextmanager
    async def lend(self, voice: Voice) -> AsyncIterator[str]:
        """The path of what the voice's engine keeps of it, which stays there until this is left.

        Raises:
            RequestError: there is no such voice any more.
            EngineError: it is not made yet, and cannot be.
            StoreError: it cannot be read.
        """
        path = await self._local(voice)
        self._profiles.note_use(voice.id)
        self._lent[path.name] += 1
        try:
            yield str(path)
        finally:
            self._lent[path.name] -= 1
            if not self._lent[path.name]:
                del self._lent[path.name]
                if path.name in self._unwanted:
                    await asyncio.to_thread(self._discard, path.name)

    async def compute(
        self, engine: str, profile: VoiceProfile, files: Mapping[str, bytes]
    ) -> tuple[Artefacts, bytes]:
        """Have an engine make what it keeps of a voice; nothing is stored.

        Args:
            engine: which engine.
            profile: the voice.
            files: the contents of its attached files, by name.

        Raises:
            RequestError: the recordings will not do.
            EngineError, BusyError: the engine cannot do it now.
            StoreError: there is no room for what it needs.
        """
        needs_words = self._engines[engine].info.needs_transcript
        reference = files[profile.spoken if needs_words else profile.style]
        try:
            folder = await asyncio.to_thread(laid_out, self._folder, reference)
        except OSError as error:
            raise StoreError.of(error, f"The recording of '{profile.name}' cannot be written") from error
        try:
            words = profile.transcript if needs_words else None
            content = await self._pool.clone(engine, [str(folder / REFERENCE)], words)
        finally:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        digest = hashlib.sha256(content).hexdigest()
        return Artefacts(f"{engine}-{digest[:16]}.safetensors", model_of(content), digest), content

    def follow(self, before: Kept | None, after: Kept | None) -> None:
        """A voice has changed: what it no longer has goes, and what it lacks will be made."""
        gone = local_names(before) - local_names(after)
        if gone:
            self._unwanted |= gone
            idle = [name for name in gone if name not in self._lent]
            asyncio.get_running_loop().run_in_executor(None, lambda: [*map(self._discard, idle)])
        if after is not None and self._lacks(after):
            self._lacking.add(after.profile.name)
            self._news.set()

    async def _local(self, voice: Voice) -> Path:
        for _ in range(2):  # it may be replaced between two looks
            kept = self._profiles.find(voice.id)
            if kept is None:
                raise RequestError(ErrorCode.UNKNOWN_VOICE, f"there is no voice '{voice.name}' any more")
            made = self._made(kept, voice.engine) or await self._ensure(kept, voice.engine)
            path = self._folder / local_name(made)
            if await asyncio.to_thread(path.is_file) or await self._fetch(kept, made, path):
                return path
        raise StoreError(ErrorCode.STORE_FAILED, f"what belongs to voice '{voice.name}' is not in the store")

    async def _fetch(self, kept: Kept, made: Artefacts, path: Path) -> bool:
        """Copy from the store; False where it is not there any more."""
        name = kept.profile.name
        try:
            content = await read_file(self._profiles.store, name_key(name), made.file)
        except StoreError:
            if await self._profiles.refreshed(name) == kept:
                raise
            return False
        if hashlib.sha256(content).hexdigest() != made.sha256:
            raise StoreError(
                ErrorCode.STORE_FAILED,
                f"{made.file} of voice '{kept.profile.name}' is damaged; clone it again",
            )
        await asyncio.to_thread(place, path, content)
        return True

    def _made(self, kept: Kept, engine: str) -> Artefacts | None:
        return kept.profile.made_by(engine, self._models.get(engine, ""))

    async def _ensure(self, kept: Kept, engine: str) -> Artefacts:
        """Make what is missing, once for all who wait; leaving early does not stop it."""
        key = kept.profile.id, engine
        if key not in self._making:
            task = self._making[key] = asyncio.create_task(
                self._make(kept, engine), name=f"artefacts of {engine}"
            )
            task.add_done_callback(
                lambda done: (self._making.pop(key, None), done.cancelled() or done.exception())
            )
        return await asyncio.shield(self._making[key])

    async def _make(self, kept: Kept, engine: str) -> Artefacts:
        name = kept.profile.name
        _log.info("engine %s gets ready to speak as %s", engine, name)
        try:
            made, content = await self.compute(engine, kept.profile, await self._read(kept))
        except RequestError as error:
            raise EngineError(ErrorCode.ENGINE_FAILED, str(error)) from error
        await asyncio.to_thread(place, self._folder / local_name(made), content)
        kept = await self._profiles.refreshed(name) or kept
        removed: dict[str, bytes | None] = dict.fromkeys(
            kept.profile.files - kept.profile.with_artefacts(engine, made).files
        )
        await self._profiles.change(
            kept, lambda old: old.with_artefacts(engine, made), {**removed, made.file: content}
        )
        return made

    async def _read(self, kept: Kept) -> dict[str, bytes]:
        key = name_key(kept.profile.name)
        return {
            name: await read_file(self._profiles.store, key, name)
            for name in (kept.profile.style, kept.profile.spoken)
        }

    def _lacks(self, kept: Kept) -> list[str]:
        """The engines that have nothing of a voice yet, or what another model made."""
        profile = kept.profile
        return [name for name in profile.engines if name in self._engines and not self._made(kept, name)]

    async def _catch_up(self) -> None:
        later = set[str]()
        while True:
            self._news.clear()
            names, self._lacking = self._lacking, set()
            later |= {name for name in sorted(names) if not await self._try_to_make(name)}
            try:
                async with asyncio.timeout(_AGAIN_SECONDS if later else None):
                    await self._news.wait()
            except TimeoutError:
                self._lacking |= later
                later = set()

    async def _try_to_make(self, name: str) -> bool:
        """Whether a voice lacks nothing now."""
        kept = self._profiles.find(name)
        if kept is None:
            return True
        try:
            for engine in self._lacks(kept):
                await self._ensure(kept, engine)
        except VoiceServiceError as error:
            _log.warning("voice %s is not ready for all of its engines yet: %s", name, error)
            return False
        except Exception:  # noqa: BLE001 - the boundary: the next voice is made all the same
            _log.exception("voice %s cannot be made ready for a reason nobody foresaw", name)
            return False
        return True

    def _prepare(self) -> None:
        """What an earlier life left behind goes, unless a voice has it."""
        self._folder.mkdir(0o700, parents=True, exist_ok=True)
        wanted = {name for kept in self._profiles for name in local_names(kept)}
        for path in self._folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            elif path.name not in wanted:
                path.unlink(missing_ok=True)
        self._models = {name: _model(engine) for name, engine in self._engines.items()}
        self._lacking = {kept.profile.name for kept in self._profiles if self._lacks(kept)}

    def _discard(self, name: str) -> None:
        (self._folder / name).unlink(missing_ok=True)
        self._unwanted.discard(name)


def _model(engine: TTSEngine[Any]) -> str:
    try:
        return engine.artefacts_model()
    except EngineError:  # which loading it will tell
        return ""

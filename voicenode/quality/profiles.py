"""All quality profiles of a node, and the one in which a request is spoken."""

from __future__ import annotations

import asyncio
import logging
import re
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from voicenode.errors import ErrorCode, RequestError, SetupError, StoreError
from voicenode.quality import checks
from voicenode.quality.profile import BUILT_IN, SPEED, QualityProfile
from voicenode.words import unknown

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence

    from voicenode.stores.store import Document, Store

COLLECTION = "quality"
"""Where a store keeps the owner's own profiles."""

_NAME = re.compile(r"\w[\w-]{0,59}")
_RETRY_SECONDS = 5.0
"""Until a store that failed is watched again."""

_log = logging.getLogger(__name__)


class QualityProfiles:
    """Every profile of some engines.

    Args:
        parameters: engine -> its `parameters_type`.
        defaults: engine -> the name of the profile in which it speaks when nobody asks for one.
    """

    def __init__(
        self, parameters: Mapping[str, type[Any]], defaults: Mapping[str, str] | None = None
    ) -> None:
        self._types = dict(parameters)
        self._defaults = dict(defaults or {})
        self._preferred: str | None = None
        self._built_in = {each.name: each for each in BUILT_IN if each.engine in self._types}
        self._own: dict[str, QualityProfile] = {}

    def __iter__(self) -> Iterator[QualityProfile]:
        """The built-in ones before the owner's own."""
        yield from self._built_in.values()
        yield from self._own.values()

    def names(self, engine: str) -> tuple[str, ...]:
        """The profiles of an engine."""
        return tuple(profile.name for profile in self if profile.engine == engine)

    def find(self, name: str) -> QualityProfile:
        """The profile of that name, in capitals or not.

        Raises:
            RequestError: there is none.
        """
        profile = self._get(name)
        if profile is None:
            raise unknown(ErrorCode.BAD_REQUEST, "quality profile", name, [each.name for each in self])
        return profile

    def resolve(
        self, engine: str, requested: str | None = None, voice_default: str | None = None
    ) -> QualityProfile | None:
        """The requested profile, else the voice's, else the node's; None for the engine's own defaults.

        A default that is gone, or that is another engine's, counts as none.

        Raises:
            RequestError: the requested profile is not one of this engine.
        """
        if requested:
            return self._requested(engine, requested)
        for name in (voice_default, self._preferred, self._defaults.get(engine)):
            profile = self._get(name) if name else None
            if profile is not None and profile.engine == engine:
                return profile
        return None

    def configured(self, engine: str) -> str | None:
        """The name of the profile that the settings have an engine speak in by default, if there is one."""
        return self._defaults.get(engine)

    def prefer(self, name: str | None) -> None:
        """Let the engine of a profile speak in it by default; None for what is configured.

        Raises:
            RequestError: there is no such profile.
        """
        self._preferred = self.find(name).name if name else None

    def check_defaults(self) -> None:
        """Look whether there are the node's default profiles, once those of the store are loaded.

        Raises:
            SetupError: one of them is not there, or is another engine's.
        """
        for engine, name in self._defaults.items():
            try:
                if engine in self._types:  # else it is installed and cannot be used, which others tell
                    self._requested(engine, name)
            except RequestError as error:
                raise SetupError(ErrorCode.BAD_SETTINGS, f"default_quality.{engine}: {error}") from error

    def made(
        self, name: str, engine: str, values: Mapping[str, Any], description: str = ""
    ) -> QualityProfile:
        """A profile of the owner's own, checked and not kept yet.

        Args:
            name: letters, digits, - and _; kept in small letters.
            engine: whose profile it is.
            values: of some of the engine's parameters, and of `speed`.
            description: for people.

        Raises:
            RequestError: the name will not do, or there is no such engine or parameter, or a value is wrong.
        """
        name = name.casefold()
        if not _NAME.fullmatch(name):
            what = f"{checks.shown(name)} is no name for a quality profile"
            raise RequestError(ErrorCode.BAD_REQUEST, f"{what}; use up to 60 letters, digits, - and _")
        if name in {each.name for each in BUILT_IN}:
            what = f"the quality profile '{name}' is built in and stays as it is; choose another name"
            raise RequestError(ErrorCode.BAD_REQUEST, what)
        if engine not in self._types:
            raise unknown(ErrorCode.UNKNOWN_ENGINE, "engine", engine, sorted(self._types))
        own = {key: value for key, value in values.items() if key != SPEED}
        speed = checks.speed(values[SPEED]) if SPEED in values else None
        parameters = checks.parameters(engine, self._types[engine], own)
        return QualityProfile(name, engine, parameters, speed, description)

    def without_effect(self, profile: QualityProfile) -> Sequence[str]:
        """Which of its parameters the engine takes and does not use."""
        metadata = {field.name: field.metadata for field in fields(self._types[profile.engine])}
        return [name for name in profile.parameters if metadata[name].get("without_effect")]

    def engine_defaults(self, engine: str) -> Mapping[str, Any]:
        """How an engine speaks without a profile."""
        return asdict(self._types[engine]())

    async def load(self, store: Store) -> None:
        """Know the profiles that a store keeps; what cannot be used here is left out, and logged.

        Raises:
            StoreError: they cannot be read.
        """
        kept = [self._read(document) for document in await store.list(COLLECTION)]
        self._own = {profile.name: profile for profile in kept if profile is not None}

    async def put(self, store: Store, profile: QualityProfile) -> None:
        """Keep what `made` gave, instead of any other of its name.

        Raises:
            StoreError: it could not be kept.
        """
        document = {
            "engine": profile.engine,
            "parameters": profile.values,
            "description": profile.description,
        }
        await store.put(COLLECTION, profile.name, document)
        self._own[profile.name] = profile

    async def delete(self, store: Store, name: str) -> None:
        """Forget a profile of the owner's own.

        Raises:
            RequestError: there is none, or it is built in.
            StoreError: the store cannot be written.
        """
        name = name.casefold()
        if name in self._built_in:
            what = f"the quality profile '{name}' is built in and cannot be deleted"
            raise RequestError(ErrorCode.BAD_REQUEST, what)
        if not await store.delete(COLLECTION, name):
            raise unknown(ErrorCode.BAD_REQUEST, "quality profile of your own", name, list(self._own))
        self._own.pop(name, None)

    @asynccontextmanager
    async def following(self, store: Store, changed: Callable[[], None]) -> AsyncIterator[None]:
        """Load what a store keeps, and follow what any process changes there while this is entered.

        Args:
            store: keeps the profiles.
            changed: called on the event loop when other profiles may be there.

        Raises:
            SetupError: the node's default profile is not there.
            StoreError: the profiles cannot be read.
        """
        await self.load(store)
        self.check_defaults()
        task = asyncio.create_task(self._follow(store, changed), name="follow quality profiles")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def _follow(self, store: Store, changed: Callable[[], None]) -> None:
        while True:
            try:
                async with store.watch(COLLECTION) as keys:
                    await self._reload(store, changed)  # what changed before anyone watched
                    async for _ in keys:
                        await self._reload(store, changed)
            except StoreError as error:
                _log.warning("quality profiles are not followed for %g s: %s", _RETRY_SECONDS, error)
                await asyncio.sleep(_RETRY_SECONDS)

    async def _reload(self, store: Store, changed: Callable[[], None]) -> None:
        await self.load(store)
        try:
            self.check_defaults()
        except SetupError as error:
            _log.warning("%s; until then its engine speaks as it does without a profile", error)
        changed()

    def _read(self, document: Document) -> QualityProfile | None:
        try:
            kept = checks.checked(_KEPT, document.value, "the document")
            if kept.engine not in self._types:
                return None  # another node's: a store may have several
            return self.made(document.key, kept.engine, kept.parameters, kept.description)
        except RequestError as error:
            _log.warning("the quality profile %s is left out: %s", checks.shown(document.key), error)
            return None

    def _get(self, name: str) -> QualityProfile | None:
        name = name.casefold()
        return self._built_in.get(name) or self._own.get(name)

    def _requested(self, engine: str, name: str) -> QualityProfile:
        names = self.names(engine)
        profile = self._get(name)
        if profile is None:
            raise unknown(ErrorCode.BAD_REQUEST, f"quality profile of engine '{engine}'", name, names)
        if profile.engine != engine:
            there_are = f"there are: {', '.join(names)}" if names else "it has none"
            what = f"quality profile '{profile.name}' is for engine '{profile.engine}', not for '{engine}'"
            raise RequestError(ErrorCode.BAD_REQUEST, f"{what}; {there_are}")
        return profile


@dataclass(frozen=True, slots=True)
class _Kept:
    """A profile as a store keeps it."""

    engine: str
    parameters: dict[str, Any]
    """And the speed."""
    description: str = ""


_KEPT = TypeAdapter(_Kept)

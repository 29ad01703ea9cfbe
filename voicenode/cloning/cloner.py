"""Makes a voice of recordings: checked, made ready for its engines, and kept in one step."""

from __future__ import annotations

import asyncio
import hashlib
import time
import uuid
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING

from voicenode import recordings
from voicenode.cloning import names
from voicenode.cloning.profile import Kept, VoiceProfile, same_sound
from voicenode.cloning.request import MAX_BYTES
from voicenode.errors import BusyError, ConflictError, EngineError, ErrorCode, RequestError
from voicenode.transcription import Reference
from voicenode.voice import base_language
from voicenode.words import unknown

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from voicenode.cloning.artefacts import ArtefactKeeper
    from voicenode.cloning.profiles import VoiceProfiles
    from voicenode.cloning.request import CloneRequest
    from voicenode.cloning.shelf import Shelf
    from voicenode.quality import QualityProfiles
    from voicenode.recordings import CheckedRecordings, Source
    from voicenode.transcription import Transcriber

_AT_ONCE = 2
"""Recordings that are checked side by side; each may take some hundred MB for a while."""
_KEPT = ("languages", "description", "quality", "ttl", "pinned")
"""What does not belong to the recording, and stays where a voice is made anew."""


@dataclass(frozen=True, slots=True)
class Cloned:
    """What became of a request."""

    kept: Kept
    warnings: tuple[str, ...]


@dataclass(slots=True)
class _Draft:
    """A voice in the making."""

    profile: VoiceProfile
    files: dict[str, bytes]
    warnings: list[str] = field(default_factory=list)


class Cloner:
    """Makes voices.

    Args:
        profiles: keeps them.
        artefacts: has engines make what they keep of them.
        shelf: knows which engines clone, and what they speak.
        quality: the quality profiles.
        transcriber: finds or compares the words of recordings, where an engine needs them.
        ttl: seconds without use until a voice expires that says nothing of it.
    """

    def __init__(
        self,
        profiles: VoiceProfiles,
        artefacts: ArtefactKeeper,
        shelf: Shelf,
        *,
        quality: QualityProfiles,
        transcriber: Transcriber,
        ttl: float,
    ) -> None:
        self._profiles = profiles
        self._artefacts = artefacts
        self._shelf = shelf
        self._quality = quality
        self._transcriber = transcriber
        self._ttl = ttl
        self._free = asyncio.Semaphore(_AT_ONCE)

    async def clone(self, request: CloneRequest, sources: Sequence[Source]) -> Cloned:
        """Make a voice, whole or not at all.

        Raises:
            RequestError: the request or its recordings will not do.
            ConflictError: there is such a voice, and it may not be replaced.
            EngineError: no engine of this node clones.
            StoreError: it could not be kept.
        """
        source = await asyncio.to_thread(_digest, sources, request.transcript)
        there = self._profiles.find(request.name)
        if there is not None and there.profile.source == source and not request.replace:
            return Cloned(there, ())  # sent again, for the answer was lost
        _, there = self._name(request)  # before anything is computed
        quality, request = request.quality, _completed(request, there)
        warnings: list[str] = []
        engines = self._engines(request, warnings)
        self._check_quality(quality, engines)
        async with self._free:
            language = request.languages[0] if request.languages else ""
            checked = await recordings.check_apart(sources, request.transcript, language)
            draft = await self._drafted(request, engines, checked)
            draft.profile = replace(draft.profile, source=source)
            draft.warnings[:0] = warnings
            await self._make_artefacts(draft)
            return Cloned(await self._keep(request, draft), tuple(draft.warnings))

    def _name(self, request: CloneRequest) -> tuple[str, Kept | None]:
        """The name of the voice, and the one that it replaces."""
        name = names.checked_name(request.name)
        names.check_free(name, self._shelf.engines, self._shelf.own_names)
        there = self._profiles.find(name)
        if there is not None and request.replace == "rename":
            return names.numbered(name, self._profiles.keys), None
        if there is not None and not request.replace:
            raise ConflictError(
                f"there is a voice '{there.profile.name}' already; choose another name, "
                'or send replace: true to replace it, or replace: "rename" to keep both'
            )
        return name, there

    def _engines(self, request: CloneRequest, warnings: list[str]) -> list[str]:
        cloning = list(self._shelf.cloning)
        if not cloning:
            why = "; ".join(self._shelf.unavailable.values()) or "enable xtts or f5 in the settings"
            what = f"no engine of this node clones voices: {why}"
            raise EngineError(ErrorCode.ENGINE_UNAVAILABLE, what)
        for engine in request.engines:
            if engine not in cloning:
                self._shelf.explain(engine)
                raise unknown(ErrorCode.UNKNOWN_ENGINE, "engine that clones", engine, cloning)
        chosen = list(dict.fromkeys(request.engines or cloning))
        fitting = [engine for engine in chosen if self._speaks_any(engine, request.languages)]
        if not fitting:
            what = f"none of {', '.join(chosen)} speaks {', '.join(request.languages)}"
            raise RequestError(ErrorCode.BAD_REQUEST, f"{what}; leave out languages for all that they speak")
        silent = [engine for engine in chosen if engine not in fitting]
        warnings += [
            f"engine {engine} speaks none of {', '.join(request.languages)}, and is left out"
            for engine in silent
        ]
        return fitting

    def _speaks_any(self, engine: str, languages: Sequence[str]) -> bool:
        spoken = {base_language(tag) for tag in self._shelf.languages(engine)}
        return not languages or not spoken or any(base_language(tag) in spoken for tag in languages)

    def _check_quality(self, quality: str | None, engines: Sequence[str]) -> None:
        if quality and self._quality.find(quality).engine not in engines:
            what = f"the quality profile '{quality}' is for none of {', '.join(engines)}"
            raise RequestError(ErrorCode.BAD_REQUEST, f"{what}; leave it out, or name its engine")

    async def _drafted(
        self, request: CloneRequest, engines: Sequence[str], checked: CheckedRecordings
    ) -> _Draft:
        files = {f"recording-{number}.wav": each.wav for number, each in enumerate(checked.recordings, 1)}
        reference = await self._reference(request, engines, checked)
        style = _named(files, "style.wav", checked.style.wav)
        spoken = _named(files, "spoken.wav", reference.wav)
        warnings = [*checked.warnings, *reference.warnings]
        words = reference.transcript
        first = checked.recordings[0]
        profile = VoiceProfile(
            id=uuid.uuid4().hex,
            name=request.name,
            created=time.time(),
            engines=tuple(self._told(engines, words, warnings)),
            recordings=tuple(f"recording-{number}.wav" for number in range(1, len(checked.recordings) + 1)),
            style=style,
            spoken=spoken,
            description=request.description,
            languages=tuple(tag.replace("_", "-") for tag in request.languages),
            transcript=words,
            duration=round(sum(each.seconds for each in checked.recordings), 3),
            sample_rate=first.figures.sample_rate,
            figures=asdict(first.figures),
            quality=request.quality,
            consent=request.consent,
            pinned=request.pinned,
            ttl=self._ttl if request.ttl is None else request.ttl,
        )
        return _Draft(profile, files, warnings)

    async def _reference(
        self, request: CloneRequest, engines: Sequence[str], checked: CheckedRecordings
    ) -> Reference:
        """What engines get that must be told the words; nobody listens where none of them must."""
        if not any(map(self._shelf.needs_transcript, engines)):
            return Reference.unheard(checked)
        return await self._transcriber.reference(checked, request.languages[0] if request.languages else "")

    def _told(self, engines: Sequence[str], words: str | None, warnings: list[str]) -> list[str]:
        """The engines without those that would have to be told the words of the recording."""
        able = [engine for engine in engines if words or not self._shelf.needs_transcript(engine)]
        for engine in engines:
            if engine not in able:
                what = (
                    f"engine {engine} must be told the words of the recording: send a transcript, run a "
                    "Wyoming speech-to-text service, or install voicenode[whisper]"
                )
                if not able:
                    raise RequestError(ErrorCode.BAD_TRANSCRIPT, "; ".join([what, *warnings]))
                warnings.append(f"{what}; until then it does not speak in this voice")
        return able

    async def _make_artefacts(self, draft: _Draft) -> None:
        refused: list[RequestError] = []
        for engine in draft.profile.engines:
            try:
                made, content = await self._artefacts.compute(engine, draft.profile, draft.files)
            except RequestError as error:
                refused.append(error)
                draft.warnings.append(f"{error}; it does not speak in this voice")
                others = tuple(each for each in draft.profile.engines if each != engine)
                draft.profile = replace(draft.profile, engines=others)
            except (EngineError, BusyError) as error:
                draft.warnings.append(f"{error}; engine {engine} gets ready to speak in this voice later")
            else:
                draft.profile = draft.profile.with_artefacts(engine, made)
                draft.files[made.file] = content
        if not draft.profile.engines:
            raise refused[0]

    async def _keep(self, request: CloneRequest, draft: _Draft) -> Kept:
        while True:
            name, there = self._name(request)
            profile = replace(draft.profile, name=name)
            if there is not None:
                before = there.profile
                profile = replace(profile, id=before.id, revision=before.revision + 1, uses=before.uses)
            files: dict[str, bytes | None] = dict(draft.files)
            if there is not None:
                files = dict.fromkeys(there.profile.files) | files
            try:
                return await self._profiles.put(profile, there.version if there else 0, files)
            except ConflictError:
                now = await self._profiles.refreshed(name)
                if request.replace != "rename" and not same_sound(now, there):
                    raise


def _completed(request: CloneRequest, there: Kept | None) -> CloneRequest:
    """The request; what it does not tell is as it was with the voice that it replaces."""
    if there is None:
        return request
    silent = [name for name in _KEPT if name not in request.model_fields_set]
    return request.model_copy(update={name: getattr(there.profile, name) for name in silent})


def _digest(sources: Sequence[Source], transcript: str | None) -> str:
    """Blocks."""
    digest = hashlib.sha256((transcript or "").encode(errors="replace"))
    for source in sources:
        digest.update(source.audio if isinstance(source.audio, bytes) else _content(source.audio))
    return digest.hexdigest()


def _content(path: Path) -> bytes:
    """Of a file that may be too large, which checking it tells; or gone, likewise."""
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES)
    except OSError:
        return b""


def _named(files: dict[str, bytes], name: str, content: bytes) -> str:
    """The name of a file with this content; it is added as `name` where there is none."""
    for known, other in files.items():
        if other == content:
            return known
    files[name] = content
    return name

"""Cloned voices before a store, a pool with the tone engines, and a processor: a node without doors."""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, BinaryIO

from tests.support import recorded, tone
from tests.support.engines.voicenode_tone import ToneOptions, spell
from tests.support.limits import LIMIT
from voicenode import recordings
from voicenode.cloning import Asker, ClonedVoices, Permission, Rules, VoiceLimits
from voicenode.processor import SpeechRules, VoiceProcessor
from voicenode.quality import QualityProfiles
from voicenode.recordings import CheckedRecordings, Source
from voicenode.request import SynthesisRequest
from voicenode.stores.file import FileStore
from voicenode.voice import Voice
from voicenode.voices import Catalogue

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from pathlib import Path

    import pytest

    from voicenode.stores.store import Store
    from voicenode.transcription import Transcriber

HERE = Asker(door="wyoming", peer="127.0.0.1:1", address="127.0.0.1")


@cache
def recording(text: str = recorded.WORDS) -> bytes:
    """A WAV file of some seconds, good enough to be cloned."""
    return recorded.file(recorded.spoken(text))


def check_once(patch: pytest.MonkeyPatch) -> None:
    """Check recordings in a thread of this process, and the same ones only once: else each costs a second."""

    async def check(
        sources: Sequence[Source], transcript: str | None = None, language: str = ""
    ) -> CheckedRecordings:
        return await asyncio.to_thread(_checked, tuple(sources), transcript, language)

    patch.setattr(recordings, "check_apart", check)


@cache
def _checked(sources: tuple[Source, ...], transcript: str | None, language: str) -> CheckedRecordings:
    return recordings.check(sources, transcript, language)


@dataclass
class Cloning:
    """The parts of a node."""

    voices: ClonedVoices
    processor: VoiceProcessor
    store: Store

    async def clone(self, name: str = "Anna", sound: bytes | None = None, **data: Any) -> dict[str, Any]:  # noqa: ANN401
        """What is answered to a request."""
        wav = await asyncio.to_thread(recording) if sound is None else sound
        return await self.voices.desk.clone({"name": name, **data}, [Source(wav)], HERE)

    async def say(self, text: str, voice: str | None = None, engine: str | None = None) -> str:
        """What is heard, in the letters of the tone engine; a cloned voice begins with its recording."""
        request = SynthesisRequest(text=text, voice=voice, engine=engine)
        async with self.processor.speak(request) as speech:
            return spell(b"".join([chunk async for chunk in speech])).strip()


@asynccontextmanager
async def cloning(
    folder: Path,
    *,
    options: ToneOptions | None = None,
    engines: tuple[str, ...] = ("tone",),
    rules: Rules | None = None,
    limits: VoiceLimits | None = None,
    store: Store | None = None,
    transcriber: Transcriber | None = None,
    default_voice: str = "tone-plain",
    lacking: Mapping[str, str] | None = None,
) -> AsyncIterator[Cloning]:
    """A node whose store, if none is given, is in `folder`.

    `lacking` are engines that it does not offer, and what each lacks.
    """
    options = options or ToneOptions()
    specs = [tone.spec(name, options=options) for name in engines]
    async with tone.pool(*specs) as pool, FileStore(folder / "store", poll=0.05) as own:
        made = {name: tone.CLASSES[name](options) for name in engines}
        voices = [Voice.of_engine(name, each) for name, engine in made.items() for each in engine.voices()]
        quality = QualityProfiles({name: engine.parameters_type for name, engine in made.items()})
        catalogue = Catalogue(voices, default_voice, unavailable=lacking)
        processor = VoiceProcessor(catalogue, pool, made, SpeechRules(), quality)
        cloned = ClonedVoices(
            store or own,
            processor,
            pool,
            folder=folder / "artefacts",
            import_folder=folder / "import",
            limits=limits or VoiceLimits(engines=engines),
            permission=Permission(rules or Rules(), lambda: ()),
            transcriber=transcriber,
        )
        async with cloned.open():
            yield Cloning(cloned, processor, store or own)


def lines(diary: Path) -> list[str]:
    """What a tone engine has written into its diary."""
    return diary.read_text().splitlines() if diary.exists() else []


@asynccontextmanager
async def read_of(fifo: Path) -> AsyncIterator[BinaryIO]:
    """Entered when somebody reads a recording that is not written yet, who waits until this is left."""
    async with asyncio.timeout(LIMIT):
        while True:
            with suppress(OSError):  # as long as nobody reads
                writer = os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
                break
            await asyncio.sleep(0.005)
    os.set_blocking(writer, True)
    with os.fdopen(writer, "wb") as file:
        yield file

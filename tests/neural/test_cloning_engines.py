"""Voices that were cloned over Wyoming, spoken by XTTS v2 and F5-TTS in processes of their own."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("TTS")
pytest.importorskip("f5_tts")

from safetensors import safe_open
from wyoming.client import AsyncClient
from wyoming.event import Event

from tests.support import f5_checkpoints, recorded, xtts_checkpoint
from tests.support.cloning import recording
from tests.support.wyoming_door import server
from voicenode.cloning import ClonedVoices, Permission, Rules, VoiceLimits
from voicenode.processor import SpeechRules, VoiceProcessor
from voicenode.quality import QualityProfiles
from voicenode.request import SynthesisRequest
from voicenode.stores.file import FileStore
from voicenode.voice import Voice
from voicenode.voices import Catalogue
from voicenode.workers.limits import PoolLimits
from voicenode.workers.pool import EnginePool
from voicenode.workers.process import EngineSpec
from voicenode_f5 import F5Engine, F5Options
from voicenode_xtts import XttsEngine, XttsOptions

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from voicenode.engine import TTSEngine

pytestmark = pytest.mark.neural


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {
        "xtts": xtts_checkpoint.write(tmp_path_factory.mktemp("xtts")),
        "f5": f5_checkpoints.make(tmp_path_factory.mktemp("f5")),
    }


@asynccontextmanager
async def node(folder: Path, models: dict[str, Path]) -> AsyncIterator[tuple[VoiceProcessor, ClonedVoices]]:
    options: dict[str, Any] = {
        name: {"path": str(model), "device": "cpu", "threads": 1} for name, model in models.items()
    }
    engines: dict[str, TTSEngine[Any]] = {
        "xtts": XttsEngine(XttsOptions(**options["xtts"])),
        "f5": F5Engine(F5Options(**options["f5"])),
    }
    paths = {"xtts": "voicenode_xtts:XttsEngine", "f5": "voicenode_f5:F5Engine"}
    specs = [EngineSpec(engine.info, paths[name], options[name]) for name, engine in engines.items()]
    pool = EnginePool(specs, PoolLimits())
    voices = [Voice.of_engine(name, each) for name, engine in engines.items() for each in engine.voices()]
    quality = QualityProfiles({name: engine.parameters_type for name, engine in engines.items()})
    processor = VoiceProcessor(Catalogue(voices, voices[0].name), pool, engines, SpeechRules(), quality)
    async with FileStore(folder / "store") as store:
        cloned = ClonedVoices(
            store,
            processor,
            pool,
            folder=folder / "artefacts",
            import_folder=folder / "import",
            limits=VoiceLimits(engines=("xtts", "f5")),
            permission=Permission(Rules(), list),
        )
        try:
            async with cloned.open():
                yield processor, cloned
        finally:
            await pool.close()


async def first_sound(processor: VoiceProcessor, voice: str, engine: str) -> bytes:
    """With random weights XTTS does not find an end."""
    request = SynthesisRequest(text="The fox jumps.", voice=voice, engine=engine, language="en")
    async with processor.speak(request) as speech:
        assert speech.voice.engine == engine
        return await anext(aiter(speech))


async def test_a_voice_is_cloned_for_both_engines_at_once_and_spoken_by_both(
    tmp_path: Path, models: dict[str, Path]
) -> None:
    async with node(tmp_path, models) as (processor, cloned):
        door = server(processor, "tcp://127.0.0.1:0", voices=cloned.desk)
        await door.start()
        try:
            async with AsyncClient.from_uri(f"tcp://127.0.0.1:{door.addresses[0][1]}") as client:
                data = {"name": "Anna", "transcript": recorded.WORDS}
                await client.write_event(Event("clone-voice", data, recording()))
                answer = await client.read_event()
                assert answer is not None
                assert (answer.type, answer.data["engines"]) == ("voice-cloned", ["xtts", "f5"]), answer.data
                assert answer.data["artefacts"] == ["f5", "xtts"]
        finally:
            await door.abort()
        for engine in ("xtts", "f5"):
            assert await first_sound(processor, "anna", engine)
    kept = {path.name for path in (tmp_path / "artefacts").iterdir()}
    tensors = set()
    for name in kept:
        with safe_open(tmp_path / "artefacts" / name, "np") as file:
            tensors |= set(file.keys())
            assert file.metadata()["model"]
    assert {"mel", "gpt_cond_latent", "speaker_embedding"} <= tensors

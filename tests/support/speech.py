"""The path with the tone engine: a catalogue and a processor."""

from typing import Any

from tests.support import tone
from tests.support.engines.voicenode_tone import ToneEngine, ToneOptions
from voicenode.processor import SpeechRules, VoiceProcessor
from voicenode.quality import QualityProfiles
from voicenode.voice import Voice
from voicenode.voices import Catalogue
from voicenode.workers.pool import EnginePool


def catalogue() -> Catalogue:
    engine = ToneEngine(ToneOptions())
    return Catalogue([Voice.of_engine("tone", voice) for voice in engine.voices()], "tone-plain")


def processor(pool: EnginePool, **rules: Any) -> VoiceProcessor:  # noqa: ANN401
    engines = {name: engine(ToneOptions()) for name, engine in tone.CLASSES.items()}
    quality = QualityProfiles({name: engine.parameters_type for name, engine in engines.items()})
    return VoiceProcessor(catalogue(), pool, engines, SpeechRules(**rules), quality)

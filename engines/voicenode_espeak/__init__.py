"""eSpeak NG, the engine that is always there: small, instant, more than a hundred languages."""

from voicenode_espeak.engine import EspeakEngine, EspeakOptions

__all__ = ["EspeakEngine", "EspeakOptions"]

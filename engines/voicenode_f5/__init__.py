"""F5-TTS and E2 TTS: natural speech in English and Chinese, in the voice of a few seconds of speech."""

from voicenode_f5.engine import F5Engine
from voicenode_f5.options import F5Options, F5Parameters

__all__ = ["F5Engine", "F5Options", "F5Parameters"]

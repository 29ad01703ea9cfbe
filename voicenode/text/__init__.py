"""From what a client sends to what an engine is given: clean text in segments, plain or SSML."""

from voicenode.text.cleaning import clean
from voicenode.text.language import detect
from voicenode.text.lexicon import Lexicon
from voicenode.text.segmentation import Segmenter
from voicenode.text.ssml import segment_ssml, strip_ssml

__all__ = ["Lexicon", "Segmenter", "clean", "detect", "segment_ssml", "strip_ssml"]

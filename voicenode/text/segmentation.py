"""Text, whole or as it arrives, to segments that an engine can speak in one go."""

from voicenode.text.characters import is_speakable
from voicenode.text.cleaning import Cleaner
from voicenode.text.lexicon import Lexicon
from voicenode.text.sentences import SentenceCutter, clause_end


class Segmenter:
    """Cleans, cuts at sentences and applies the lexicon, for one text that arrives whole or in pieces.

    The segments do not depend on where the pieces were cut. Each has a letter or a digit and at most
    `max_chars` characters, and is given as soon as it is certain: when the word after it is known.
    """

    def __init__(self, language: str, max_chars: int, lexicon: Lexicon) -> None:
        self._language = language
        self._max_chars = max_chars
        self._lexicon = lexicon
        self._cleaner = Cleaner(language)
        self._cutter = SentenceCutter(language, max_chars)

    def feed(self, piece: str) -> list[str]:
        """Take the next piece and give the segments that are complete now."""
        return self._segments(self._cutter.push(self._cleaner.feed(piece)))

    def finish(self) -> list[str]:
        """Give the rest; nothing may be fed afterwards."""
        return self._segments(self._cutter.push(self._cleaner.finish()) + self._cutter.finish())

    def _segments(self, parts: list[str]) -> list[str]:
        spoken = (self._lexicon.apply(part.strip(), self._language) for part in parts)
        bounded = (segment for text in spoken for segment in self._bounded(text))
        return [segment for segment in bounded if is_speakable(segment)]

    def _bounded(self, text: str) -> list[str]:
        """The text, cut once more where the lexicon has made it too long."""
        parts = []
        while len(text) > self._max_chars:
            end = clause_end(text[: self._max_chars + 1])
            parts.append(text[:end].strip())
            text = text[end:].strip()
        return [*parts, text]

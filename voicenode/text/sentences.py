# ruff: noqa: RUF001 - the punctuation of every script is looked for here
"""Where a sentence ends, decided from what stands before and the one word after, so that text may stream.

The judge is sentencex. It is asked only where a sentence can end at all, and always about the same window, so
the answer does not depend on the pieces in which a text arrives.
"""

import re

from sentencex import segment

from voicenode.text.characters import is_speakable, tears

_WIDE = "。！？｡．։؟۔।॥။።፧"  # these end a sentence without a space after them
_CLOSERS = "\"'”’»›)\\]}」』）》】〕〉"
_END = re.compile(
    rf"\n|(?<![.!?…])[.!?…][.!?…{_CLOSERS}]*+(?=\s)|[;\u037e](?=\s)"
    rf"|[{_WIDE}][{_WIDE}.!?…{_CLOSERS}]*+(?=.)"
)
_NEXT_WORD = re.compile(r"\s*(\S{1,32})")
_LONGEST_WORD = 32
_LOOKAHEAD = 2 * _LONGEST_WORD
_WINDOW = 80  # characters of a sentence that sentencex is shown
_ONLY_PUNCTUATION = re.compile(rf"[.!?…{_WIDE}{_CLOSERS}]+")
_CLAUSE_END = re.compile(r"[,;:،؛—–](?=\s)|[，；：、]")
_BEFORE_A_WORD = " \n\"'“‘„«»‹([¿¡-–—"
_LIST_MARKER = re.compile(r"\s*\(?(?:\d{1,3}|[^\W\d_])[.)]")
_ORDINAL = re.compile(r"\d\.\Z")
_MONSIEUR = re.compile(r"\bMM?\.\Z")
_LIBRARY_TAGS = {"cmn": "zh", "yue": "zh", "nb": "no", "nn": "no"}


class SentenceCutter:
    """Cuts text that arrives in pieces: what `push` and `finish` give, joined, is the text itself.

    A cut comes where a sentence or a line ends, or where a part would grow longer than `max_chars`: then
    after the last clause, at the last space, or anywhere that tears no character. The white space between two
    parts stays with the first.
    """

    def __init__(self, language: str, max_chars: int) -> None:
        base = language.replace("_", "-").partition("-")[0].lower()
        self._language = _LIBRARY_TAGS.get(base, base)
        self._max_chars = max_chars
        self._text = ""
        self._searched = 0

    def push(self, text: str) -> list[str]:
        """Take more text and give the parts that are certainly complete."""
        self._text += text
        return self._cut(final=False)

    def finish(self) -> list[str]:
        """Give the rest; the cutter may then be used for another text."""
        return self._cut(final=True)

    def _cut(self, *, final: bool) -> list[str]:
        parts = []
        start = 0
        while (end := self._next_end(start, final=final)) is not None:
            parts.append(self._text[start:end])
            start = self._searched = end
        self._text = self._text[start:]
        self._searched -= start
        return parts

    def _next_end(self, start: int, *, final: bool) -> int | None:
        """Where the part that begins at `start` ends; None while that may depend on text yet to come."""
        text, limit = self._text, start + self._max_chars
        while match := _END.search(text, self._searched, limit + 1):
            end = match.end()
            if text[end - 1] == "\n" or text[end] == "\n":
                return end if text[end - 1] == "\n" else end + 1
            word = _NEXT_WORD.match(text, end)
            if word is None or (word.end() == len(text) and len(word[1]) < _LONGEST_WORD and not final):
                break
            if self._ends_sentence(text[start:end], word[0]):
                return word.start(1)
            self._searched = end
        if len(text) > limit + (0 if final else _LOOKAHEAD):
            return start + clause_end(text[start : limit + 1])
        return len(text) if final and start < len(text) else None

    def _ends_sentence(self, sentence: str, following: str) -> bool:
        if _ONLY_PUNCTUATION.fullmatch(following.lstrip()):
            return False
        if not is_speakable(sentence) or _LIST_MARKER.fullmatch(sentence):
            return False
        # sentencex would leave an opening quote with the sentence before, so it sees the word alone.
        word = following.lstrip(_BEFORE_A_WORD) or "A"
        if word[0].islower() and _ORDINAL.search(sentence):  # "5. května": it knows few languages' ordinals
            return False
        if self._language == "fr" and _MONSIEUR.search(sentence):  # which its French abbreviations lack
            return False
        window = sentence[-_WINDOW:].replace("…", "...")  # sentencex takes no … for an end
        return _has_boundary(self._language, window, word)


def clause_end(text: str) -> int:
    """Where to cut a text that is one character (or more) too long, given with that one character.

    After the last clause unless it is very short, else after the last space, else before the last character.
    """
    longest = len(text) - 1
    clauses = [match.end() for match in _CLAUSE_END.finditer(text) if longest // 4 <= match.end() <= longest]
    if clauses:
        return clauses[-1]
    space = max(text.rfind(" ", 1), text.rfind("\u200b", 1))
    if space > 0:
        return space + 1 if space < longest else longest
    position = longest
    while position > 1 and tears(text, position):
        position -= 1
    return position if position > 1 else longest


def _has_boundary(language: str, sentence: str, word: str) -> bool:
    position = 0
    for part in segment(language, f"{sentence} {word}"):
        position += len(part)
        if position >= len(sentence):
            return position <= len(sentence) + 1
    return False

"""Text into tokens, as F5-TTS was trained: letters, and pinyin for Chinese; and long texts into batches."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from unicodedata import name

_SPELLED = str.maketrans({";": ",", "“": '"', "”": '"', "‘": "'", "’": "'"})  # noqa: RUF001
"""Not in the vocabulary, or rare in it."""
_EAST_ASIAN = "\u2e80"
"""The first character that pypinyin may know a sound for."""
_UNKNOWN = 0
_PUBLISHED = {"en", "zh"}
"""What the published models were trained on; their vocabulary has letters of many more languages."""
_FOREIGN = ("ARABIC", "CYRILLIC", "DEVANAGARI", "GREEK", "HANGUL", "HEBREW", "HIRAGANA", "KATAKANA", "THAI")
"""How Unicode's names of letters begin that neither English nor Chinese is written with."""
_CLAUSE_ENDS = re.compile(r"(?<=[;:,.!?])\s+|(?<=[；：，。！？])")  # noqa: RUF001
_SPACES = re.compile(r"\s+")


class Vocabulary:
    """Which tokens a model knows."""

    def __init__(self, path: Path) -> None:
        lines = path.read_text(encoding="utf-8").split("\n")
        self._ids = {token: number for number, token in enumerate(lines[:-1] if not lines[-1] else lines)}

    def __len__(self) -> int:
        return len(self._ids)

    def ids(self, tokens: Iterable[str]) -> list[int]:
        """The number of each token; what is unknown is spoken like a space."""
        return [self._ids.get(token, _UNKNOWN) for token in tokens]

    def unknown(self, tokens: Iterable[str]) -> list[str]:
        """Letters that the model has never seen."""
        return [token for token in tokens if token not in self._ids and token.strip()]


def foreign(text: str, languages: Iterable[str]) -> float:
    """The share of a text's letters in which none of a model's languages is written, as far as is known."""
    letters = [character for character in text if character.isalpha()]
    if not {language.partition("-")[0].casefold() for language in languages} <= _PUBLISHED or not letters:
        return 0.0
    return sum(name(letter, "").startswith(_FOREIGN) for letter in letters) / len(letters)


def size(text: str) -> int:
    """Bytes of UTF-8, by which F5-TTS measures how long a text takes."""
    return len(text.encode())


def tokens(text: str, before: str = "") -> list[str]:
    """Split a text as `f5_tts.model.utils.convert_char_to_pinyin` does.

    Args:
        text: any.
        before: the token that the text follows.
    """
    import rjieba  # noqa: PLC0415 - 32 MiB of Chinese words, which a node without the engine does not need

    found = [before]
    for word in rjieba.cut(text.translate(_SPELLED)):
        if word.isascii():
            if len(word) > 1 and found[-1] not in {" ", ":", "'", '"', ""}:
                found.append(" ")
            found += word
        elif size(word) == 3 * len(word):  # as long as Chinese characters are, and kana, hangul, punctuation
            for character, sound in zip(word, _pinyin(word), strict=True):
                found += (" ", sound) if _is_chinese(character) else (sound,)
        else:
            found += (token for character in word for token in _mixed(character))
    return found[1:]


def batches(text: str, limit: int) -> list[str]:
    """Cut a text into parts of at most `limit` bytes: between clauses, else words, else characters."""
    parts, text = [], text.strip()
    while size(text) > limit:
        head = text.encode()[:limit].decode(errors="ignore") or text[0]
        cut = _last(_CLAUSE_ENDS, head) or _last(_SPACES, head) or len(head)
        parts.append(text[:cut].strip())
        text = text[cut:].strip()
    return [part for part in (*parts, text) if part]


def _last(pattern: re.Pattern[str], text: str) -> int:
    return max((match.end() for match in pattern.finditer(text)), default=0)


def _pinyin(word: str) -> list[str]:
    """One sound for each character; what is not Chinese stays as it is."""
    if all(character < _EAST_ASIAN for character in word):
        return list(word)
    from pypinyin import Style, lazy_pinyin  # noqa: PLC0415 - 53 MiB, and only Chinese needs it

    others: Any = list  # each by itself, which pypinyin's types do not know
    return lazy_pinyin(word, style=Style.TONE3, tone_sandhi=True, errors=others)


def _mixed(character: str) -> tuple[str, ...]:
    return (" ", *_pinyin(character)) if _is_chinese(character) else (character,)


def _is_chinese(character: str) -> bool:
    return "\u3100" <= character <= "\u9fff"

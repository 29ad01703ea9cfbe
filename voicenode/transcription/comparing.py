"""Whether the words that somebody gave are those that somebody heard, and which of them."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff"
"""Thai, Lao, Burmese, Khmer, Japanese and Chinese have no spaces between words; there a sign is a word."""
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+(?:['’][^\W{_UNSPACED}]+)*")  # noqa: RUF001 - an apostrophe
_CLOSING = re.compile(r"[^\w\s]*")


class Match(NamedTuple):
    """The part of a text that is likest to what was heard."""

    text: str
    """With the punctuation after it."""
    errors: float
    """Word error rate: words that differ, per word heard; 0 is the same, 1 and more is another text."""


def word_error_rate(given: str, heard: str) -> float:
    """Words that differ between two whole texts, per word given."""
    words = _words(given)
    distance = _aligned(_words(heard), words, anywhere=False).distance
    return distance / max(1, len(words))


def best_match(given: str, heard: str) -> Match:
    """The part of `given` that is likest to `heard`."""
    places = list(_WORD.finditer(given))
    words = _words(heard)
    found = _aligned(words, _words(given), anywhere=True)
    if found.start == found.end:
        return Match("", 1.0)
    start, end = places[found.start].start(), places[found.end - 1].end()
    closing = _CLOSING.match(given, end)
    return Match(given[start : closing.end() if closing else end], found.distance / max(1, len(words)))


def _words(text: str) -> list[str]:
    return [unicodedata.normalize("NFKC", word).casefold().replace("’", "'") for word in _WORD.findall(text)]  # noqa: RUF001


class _Alignment(NamedTuple):
    """So many words differ between what was heard and the words from `start` up to `end`."""

    distance: int
    start: int
    end: int


def _aligned(heard: Sequence[str], given: Sequence[str], *, anywhere: bool) -> _Alignment:
    """Levenshtein's distance to all of `given`, or to the likest part of it."""
    row = [(0, place) if anywhere else (place, 0) for place in range(len(given) + 1)]
    for count, word in enumerate(heard, 1):
        above, row = row, [(count, 0)]
        for place, other in enumerate(given, 1):
            changed = above[place - 1][0] + (word != other), above[place - 1][1]
            added, left_out = above[place], row[-1]
            row.append(min(changed, (added[0] + 1, added[1]), (left_out[0] + 1, left_out[1])))
    ends = range(len(row)) if anywhere else [len(given)]
    end = min(ends, key=lambda place: (row[place][0], -place))
    return _Alignment(row[end][0], row[end][1], end)

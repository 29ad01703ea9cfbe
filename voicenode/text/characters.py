"""Which characters can be spoken and which belong together: by Unicode's categories, not a table of ours."""

import re
from unicodedata import category, combining

ZWJ = "\u200d"

MAYBE_UNSPOKEN = (
    r"\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u00ad\u2060-\u206f\u20e3\u2190-\u2bff\ud800-\uf8ff\ufe0e\ufe0f\ufeff"
    r"\ufff0-\uffff\U0001d000-\U0001d3ff\U0001f000-\U0001ffff\U000e0000-\U0010ffff"
)
"""Inside a regex class: the blocks of controls, pictographs, selectors, tags and code points without meaning.
Mathematical signs and digits live there too: `is_unspoken` tells which of them are dropped."""

_SYMBOL_CATEGORIES = frozenset({"So", "Sk", "Cn"})  # Cn: emoji newer than this Python's Unicode tables
_STRAY_CATEGORIES = frozenset({"Cc", "Cf", "Co", "Cs", "Me", "Mn"})
_BIDI_ISOLATES = "\u2066\u2067\u2068\u2069"
_VIRAMA = 9  # Unicode's combining class of the signs that join two consonants of an Indic script
_RUN = re.compile(f"[{MAYBE_UNSPOKEN}][{MAYBE_UNSPOKEN}{ZWJ}]*")
_SPEAKABLE = re.compile(r"[^\W_]")


def is_pictograph(character: str) -> bool:
    """Whether a character of `MAYBE_UNSPOKEN` is an emoji or another picture."""
    return category(character) in _SYMBOL_CATEGORIES


def is_unspoken(character: str) -> bool:
    """Whether a character of `MAYBE_UNSPOKEN` is to be dropped: a picture, a part of one, a control."""
    stray = category(character) in _STRAY_CATEGORIES and character not in _BIDI_ISOLATES
    return stray or is_pictograph(character)


def without_unspoken(text: str) -> str:
    """The text without emoji, controls and strays; joiners that belong to a script stay."""
    return _RUN.sub(lambda run: "".join(c for c in run[0] if c != ZWJ and not is_unspoken(c)), text)


def is_speakable(text: str) -> bool:
    """Whether there is a letter or a digit; punctuation alone gives an engine nothing to say."""
    return _SPEAKABLE.search(text) is not None


def is_mark(character: str) -> bool:
    """Whether the character belongs to the one before it, as an accent or a vowel sign does."""
    return character == ZWJ or category(character).startswith("M")


def tears(text: str, position: int) -> bool:
    """Whether a cut before `text[position]` tears what a reader sees as one character."""
    before = text[position - 1]
    return is_mark(text[position]) or before == ZWJ or combining(before) == _VIRAMA

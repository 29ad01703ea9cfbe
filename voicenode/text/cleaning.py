"""Markdown, emoji and addresses to plain text that can be read aloud, for text that may arrive in pieces.

No rule looks for a partner far away: each decides from the character before and a bounded piece of what
follows, waits when that has not arrived yet, and so gives the same answer however the text was cut. Hence
emphasis marks go by what they touch (`**bold**`, but `3 * 4` and `snake_case`), not by whether they are
closed.
"""

import re
from html import unescape

from voicenode.text import markdown
from voicenode.text.characters import ZWJ, is_pictograph, is_unspoken, without_unspoken
from voicenode.text.prose import Prose


def clean(text: str, language: str) -> str:
    """The text as it should be read aloud: one line a block, white space folded, "" when nothing is left.

    Links become their text, images their alternative text, addresses their host, tables and lists their cells
    and items; code loses its fence; emoji vanish (a keycap leaves its digit). A single line break is a space.
    Numbers, dates, units and abbreviations are the engine's.
    """
    cleaner = Cleaner(language)
    return (cleaner.feed(text) + cleaner.finish()).rstrip("\n")


class Cleaner:
    """Cleans text that arrives in pieces: what `feed` and `finish` give, joined, is `clean` of the whole.

    A line break is given as soon as a block has ended, so that one may follow the last block.
    """

    def __init__(self, language: str) -> None:
        self._raw = "\n"  # the last character that was taken, then all that was not
        self._at = 1
        self._line_start = True
        self._in_code = False
        self._in_row = False
        self._line_is_block = False
        self._prose = Prose(language)
        self._final = False

    def feed(self, text: str) -> str:
        """Take more text and give what is certain of its clean form."""
        self._raw = self._raw[self._at - 1 :] + text
        self._at = 1
        while self._at < len(self._raw) and self._step():
            pass
        return self._prose.take()

    def finish(self) -> str:
        """Give the rest; nothing may be fed afterwards."""
        self._final = True
        return self.feed("")

    def _step(self) -> bool:
        """Take one token; False when that needs text that has not arrived."""
        if self._raw[self._at] == "\n":
            return self._take_newline()
        if self._line_start:
            return self._take_line_start()
        if plain := (markdown.CODE if self._in_code else markdown.PLAIN).match(self._raw, self._at):
            return self._take(plain.end(), plain[0])
        return self._take_special(self._raw[self._at])

    def _is_open(self, part: re.Pattern[str]) -> bool:
        """Whether what is here reaches the end of what has arrived and may go on."""
        near_end = len(self._raw) - self._at <= markdown.LONGEST_CONSTRUCT
        return near_end and not self._final and part.match(self._raw, self._at) is not None

    def _take(self, end: int, spoken: str = "") -> bool:
        self._prose.write(spoken)
        self._at = end
        return True

    def _take_newline(self) -> bool:
        if self._line_start or self._line_is_block or self._in_code:
            self._prose.end_block()
        self._line_start = True
        self._line_is_block = self._in_row = False
        return self._take(self._at + 1, " ")

    def _take_line_start(self) -> bool:
        if spaces := markdown.SPACES.match(self._raw, self._at):
            return self._take(spaces.end(), " ")
        return self._take_fence_end() if self._in_code else self._take_block_start()

    def _take_fence_end(self) -> bool:
        if self._is_open(markdown.OPEN_FENCE_END):
            return False
        self._line_start = False
        if end := markdown.FENCE_END.match(self._raw, self._at):
            self._in_code = False
            self._line_is_block = True
            return self._take(end.end())
        return True

    def _take_block_start(self) -> bool:
        if self._is_open(markdown.OPEN_BLOCK_START):
            return False
        match = markdown.BLOCK_START.match(self._raw, self._at)
        kind = match.lastgroup if match else None
        self._line_start = kind == "quote"
        if match is None or kind is None:
            return True
        self._in_code = kind == "fence"
        self._in_row = kind == "row"
        self._line_is_block = kind in {"fence", "rule", "heading", "row"}
        if kind != "quote":
            self._prose.end_block()
        return self._take(match.end(), match[0] if match[0][0].isdigit() else "")

    def _take_special(self, first: str) -> bool:
        if first in markdown.MARKS:
            return self._take_marks(first)
        if first in markdown.CONSTRUCTS:
            return self._take_construct(markdown.CONSTRUCTS[first])
        if first == "!":
            return self._take_exclamation()
        return self._take_bar() if first == "|" else self._take_symbol(first)

    def _take_construct(self, construct: markdown.Construct) -> bool:
        """Take a whole construct, or its first character for itself; a bracket then only ends a word."""
        if self._is_open(construct.part):
            return False
        if match := construct.whole.match(self._raw, self._at):
            return self._take(match.end(), self._spoken(construct, match))
        first = self._raw[self._at]
        if first in "[]":
            self._prose.end_word()
            first = ""
        return self._take(self._at + 1, first)

    def _spoken(self, construct: markdown.Construct, match: re.Match[str]) -> str:
        if construct is markdown.URL:
            return _host(match)
        if construct is markdown.TAG:
            return self._spoken_tag(match["inner"])
        if construct is markdown.LINK_TARGET:
            is_address = markdown.TARGET.fullmatch(match["target"])
            return "" if is_address else without_unspoken(f" ({match['target']})")
        if construct is markdown.ENTITY:
            return without_unspoken(unescape(match[0]))
        if construct is markdown.ESCAPE and match[0][1] != "\n":
            return match[0][1]
        if construct is markdown.ESCAPE:
            self._prose.end_block()
            self._line_start = True
        return ""

    def _spoken_tag(self, inner: str) -> str:
        """What a tag says: nothing, a break, the address in it, or the name of a placeholder."""
        if url := markdown.URL.whole.fullmatch(inner):
            return _host(url)
        name = markdown.TAG_NAME.match(inner)
        tag = name[1].lower() if name else ""
        if markdown.BLOCK_TAG.fullmatch(tag):
            self._prose.end_block()
            return ""
        if inner[0] == "!" or markdown.INLINE_TAG.fullmatch(tag):
            return ""
        return without_unspoken(inner.removeprefix("mailto:"))

    def _take_marks(self, mark: str) -> bool:
        """Emphasis and inline code: the marks go, unless they stand for themselves."""
        run = markdown.MARKS[mark].match(self._raw, self._at)
        end = run.end() if run else self._at + 1
        if end == len(self._raw) and not self._final:
            return False
        marks, before = self._raw[self._at : end], self._raw[self._at - 1]
        after = self._raw[end] if end < len(self._raw) else "\n"
        return self._take(end, marks if _is_literal(mark, len(marks), before, after) else "")

    def _take_exclamation(self) -> bool:
        following = self._raw[self._at + 1 : self._at + 2]
        if not following and not self._final:
            return False
        is_image = following == "[" and not self._raw[self._at - 1].isalnum()
        return self._take(self._at + 1, "" if is_image else "!")

    def _take_bar(self) -> bool:
        before = self._raw[self._at - 1]
        after = self._raw[self._at + 1 : self._at + 2]
        if not after and not self._final:
            return False
        if self._in_row or (before.isspace() and (after or "\n").isspace()):
            self._prose.end_cell()
            return self._take(self._at + 1)
        return self._take(self._at + 1, "|")

    def _take_symbol(self, symbol: str) -> bool:
        """Emoji and their parts, controls, joiners; symbols that are emoji only before U+FE0F."""
        following = self._raw[self._at + 1 : self._at + 2]
        if not following and not self._final:
            return False
        if symbol == ZWJ:
            dropped = markdown.PICTURE_PART.match(self._raw, self._at - 1) is not None
        elif following == markdown.EMOJI_VARIANT:
            dropped = True
        else:
            dropped = symbol not in markdown.TEXT_SYMBOLS and is_unspoken(symbol)
        if dropped and is_pictograph(symbol):
            self._prose.end_word()
        return self._take(self._at + 1, "" if dropped else symbol)


def _is_literal(mark: str, length: int, before: str, after: str) -> bool:
    inside_word = before.isalnum() and after.isalnum()
    if mark == "_":
        return inside_word
    if mark == "~":
        return length == 1
    if mark == "*" and length == 1:
        between_spaces = before.isspace() and after.isspace()
        return between_spaces or (inside_word and (before + after).isascii())
    return False


def _host(url: re.Match[str]) -> str:
    return url["host"].lower().removeprefix("www.").strip("[].")

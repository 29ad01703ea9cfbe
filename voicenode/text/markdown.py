# ruff: noqa: RUF001 - the punctuation of every script is looked for here
"""The patterns of Markdown, of HTML tags and of addresses.

None looks further ahead than `LONGEST_CONSTRUCT`, so that a hostile text costs no more than any other.
"""

import re
from typing import NamedTuple

from voicenode.text.characters import MAYBE_UNSPOKEN, ZWJ

BLOCK_TAG = re.compile(
    r"address|article|aside|blockquote|body|br|center|d[dlt]|div|fieldset|figure|footer|form|h[1-6r]|head|header"
    r"|html|li|main|nav|ol|option|p|pre|section|table|tbody|t[dhr]|tfoot|thead|title|ul"
)
INLINE_TAG = re.compile(
    r"a|abbr|audio|b|bdi|bdo|big|button|cite|code|data|del|details|dfn|em|font|i|img|input|ins|kbd|label|mark"
    r"|meta|picture|q|rp|rt|ruby|s|samp|script|small|source|span|strike|strong|style|su[bp]|summary|svg|time"
    r"|tt|u|var|video|wbr"
)
LONGEST_CONSTRUCT = 4_000  # characters; more than any pattern below can match
EMOJI_VARIANT = "\ufe0f"
TEXT_SYMBOLS = frozenset("〽㊗㊙")  # outside MAYBE_UNSPOKEN, so text unless U+FE0F follows
_SOMETIMES_EMOJI = r"\u203c\u2049\u2139\u2190-\u2bff\u3030\u303d\u3297\u3299"  # a picture before U+FE0F
_SPECIAL = rf"\n*_~`|!\[\]<&\\{ZWJ}{MAYBE_UNSPOKEN}{_SOMETIMES_EMOJI}"
PLAIN = re.compile(  # characters that mean nothing special, alone or before the character that follows
    rf"(?:[^{_SPECIAL}hHfFwW]+|(?<=[0-9A-Za-z])[hHfFwW]|[hHfF](?=[^tT])|[wW](?=[^wW])"
    r"|<(?=[^!/A-Za-z])|&(?=[^#0-9A-Za-z])|!(?=[^\[]))+"  # not possessive: Python before 3.11.5 fails at that
)
CODE = re.compile(rf"[^\n{ZWJ}{MAYBE_UNSPOKEN}]+")
SPACES = re.compile(r"[^\S\n]+")
PICTURE_PART = re.compile(rf"[{MAYBE_UNSPOKEN}{_SOMETIMES_EMOJI}]")
MARKS = {mark: re.compile(rf"{re.escape(mark)}{{1,64}}") for mark in "*_~`"}

FENCE_END = re.compile(r"(?:`{3,100}|~{3,100})[ \t]*(?=\n|\Z)")
OPEN_FENCE_END = re.compile(r"(?:`{0,100}|~{0,100})[ \t]{0,50}\Z")
BLOCK_START = re.compile(
    r"""(?P<fence>(?:`{3,100}[^\n`]{0,100}|~{3,100}[^\n~]{0,100})(?=\n|\Z))
    | (?P<rule>[-*_=+|:~ \t]{2,200}(?=\n|\Z))
    | (?P<heading>\#{1,6}[ \t]{1,50}(?=\S))
    | (?P<quote>>[ \t]?)
    | (?P<item>(?:[-*+•‣◦–—]|\d{1,3}[.)])[ \t]{1,50}(?:\[[ xX]\][ \t]{1,50})?)
    | (?P<row>\|)""",
    re.VERBOSE,
)
OPEN_BLOCK_START = re.compile(
    r"""(?:[-*_=+|:~ \t]{0,200}|\#{1,6}[ \t]{0,50}
    |(?:[-*+•‣◦–—]|\d{1,3}[.)]?)(?:[ \t]{0,50}(?:\[[ xX]?\]?[ \t]{0,50})?)?
    |`{1,100}[^\n`]{0,100}|~{1,100}[^\n~]{0,100})\Z""",
    re.VERBOSE,
)


class Construct(NamedTuple):
    """Something with an end: its pattern, and that of a beginning of it where the text so far ends."""

    whole: re.Pattern[str]
    part: re.Pattern[str]


_PATH = r"[!#$%&'()+,\-./0-9:;=?@A-Z_a-z~]"
URL = Construct(
    re.compile(
        rf"(?i:(?:https?|ftp)://|(?=www\.))(?:[^\s/@:?#]{{1,200}}(?::[^\s/@?#]{{0,200}})?@)?"
        rf"(?P<host>[\w.-]{{1,253}}(?<=\w)|\[[0-9a-fA-F:]{{2,45}}\])(?::\d{{1,5}})?"
        rf"(?:[/?#]{_PATH}{{0,2000}}(?<![.,;:!?'\")_~]))?"
    ),
    re.compile(
        r"(?i:h(?:t(?:t(?:ps?)?)?)?|ft?p?|(?:https?|ftp):/{0,2}|w{1,3}|(?:(?:https?|ftp)://|www\.)"
        rf"[^\s/?#]{{0,700}}+(?:[/?#]{_PATH}{{0,2000}}+)?)\Z"
    ),
)
FOOTNOTE = Construct(re.compile(r"\[\^[^\]\s]{1,30}\]:?"), re.compile(r"\[(?:\^[^\]\s]{0,30}\]?)?\Z"))
_IN_PARENTHESES = r"[^()\n]{0,1000}+(?:\([^()\n]{0,200}\)[^()\n]{0,200}+){0,3}"
LINK_TARGET = Construct(
    re.compile(rf"\]\((?P<target>{_IN_PARENTHESES})\)"),
    re.compile(rf"\](?:\({_IN_PARENTHESES}(?:\([^()\n]{{0,200}})?)?\Z"),
)
TARGET = re.compile(r"""\s*<?\S*\s*(?:"[^"]*"|'[^']*')?\s*""")
TAG = Construct(
    re.compile(r"<(?P<inner>[!/A-Za-z][^<>\n]{0,500})>"), re.compile(r"<(?:[!/A-Za-z][^<>\n]{0,500})?\Z")
)
TAG_NAME = re.compile(r"/?([A-Za-z][A-Za-z0-9]*)(?=[\s/]|\Z)")
ENTITY = Construct(
    re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});"),
    re.compile(r"&(?:#?[0-9]{0,7}|#[xX][0-9a-fA-F]{0,6}|[A-Za-z][A-Za-z0-9]{0,31})\Z"),
)
ESCAPE = Construct(re.compile(r"\\[!-/:-@\[-`{-~\n]"), re.compile(r"\\\Z"))

CONSTRUCTS = {
    "[": FOOTNOTE,
    "]": LINK_TARGET,
    "<": TAG,
    "&": ENTITY,
    "\\": ESCAPE,
    **dict.fromkeys("hHfFwW", URL),
}
"""By the character with which each begins."""

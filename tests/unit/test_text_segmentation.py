# ruff: noqa: RUF001 - every script is tested
import random
import subprocess
import sys

import pytest

from voicenode.text import Lexicon, Segmenter, clean
from voicenode.text.cleaning import Cleaner
from voicenode.text.sentences import SentenceCutter


def segments(*pieces: str, language: str = "en", max_chars: int = 300) -> list[str]:
    segmenter = Segmenter(language, max_chars, Lexicon())
    return [segment for piece in pieces for segment in segmenter.feed(piece)] + segmenter.finish()


@pytest.mark.parametrize(
    ("language", "expected"),
    [
        ("en", ["Dr. Smith paid 3.50 at 5 p.m.", "He left."]),
        ("en", ["He moved to the U.S.", "He left."]),
        ("en", ["The U.S. government acted.", "Fine."]),
        ("en", ["J. R. R. Tolkien wrote it.", "He did."]),
        ("en", ["Wait... what?", '"Go. Now."', "He left…", "Then she came."]),
        ("en", ['"Really?" he asked.', "(Yes.) No!"]),
        ("en", ["Use v1.2.3 at 10:30.", "See example.com.", "it rains."]),
        ("en", ["1. One thing.", "2. Two."]),
        ("de", ["Am 3. Oktober kam z. B. Dr. Müller.", "Er ging."]),
        ("fr", ["Il part.", "« Oui ! » dit-il.", "M. Dupont vient."]),
        ("es-MX", ["El Sr. García llegó.", "¿Qué tal?", "¡Bien!"]),
        ("cs", ["Přijde 5. května.", "Ano."]),
        ("ar", ["كيف حالك؟", "أنا بخير."]),
        ("hi", ["मैं ठीक हूँ।", "आप कैसे हैं?"]),
        ("el", ["Τι κάνεις;", "Καλά."]),
    ],
)
def test_a_segment_is_a_sentence(language: str, expected: list[str]) -> None:
    assert segments(" ".join(expected), language=language) == expected


def test_scripts_without_spaces_are_cut_at_their_own_marks() -> None:
    assert segments("你好。你叫什么？“好的。”他说。", language="zh-CN") == [
        "你好。",
        "你叫什么？",
        "“好的。”",
        "他说。",
    ]


def test_blocks_end_a_segment_and_a_single_line_break_does_not() -> None:
    text = "# Title\nwrapped\ntext\n\nnext\n- milk\n- eggs\n\n| a | b |\n| c | d |"
    assert segments(text) == ["Title", "wrapped text", "next", "milk", "eggs", "a, b", "c, d"]


@pytest.mark.parametrize("text", ["", "👍", "...", "?! ...", "* * *", "-\n-\n-", "\0"])
def test_blank_text_gives_no_segment(text: str) -> None:
    assert segments(text) == []


def test_a_sentence_is_given_as_soon_as_the_next_word_is_known() -> None:
    segmenter = Segmenter("en", 300, Lexicon())
    assert segmenter.feed("It costs 3.") == []
    assert segmenter.feed("50 today.") == []
    assert segmenter.feed(" Bu") == []
    assert segmenter.feed("y two") == ["It costs 3.50 today."]
    assert segmenter.feed("!\n\n") == ["Buy two!"]
    assert segmenter.finish() == []


def test_a_long_sentence_is_cut_at_clauses_then_at_spaces_then_anywhere() -> None:
    assert segments("one two, three four, five six seven", max_chars=25) == [
        "one two, three four,",
        "five six seven",
    ]
    assert segments("one two three four", max_chars=10) == ["one two", "three four"]
    assert segments("abcdefghijkl", max_chars=5) == ["abcde", "fghij", "kl"]
    assert segments("第一，第二第三第四", language="zh", max_chars=5) == ["第一，", "第二第三第", "四"]


def test_ten_thousand_characters_without_a_space_are_bounded() -> None:
    found = segments("x" * 10_000)
    assert max(map(len, found)) == 300
    assert "".join(found) == "x" * 10_000


def test_a_cut_tears_no_character() -> None:
    assert segments("e\u0301" * 6, max_chars=5) == ["e\u0301" * 2] * 3
    assert segments("का" * 4, language="hi", max_chars=3) == ["का"] * 4


def test_the_lexicon_is_applied_and_its_long_forms_are_bounded() -> None:
    segmenter = Segmenter("en", 20, Lexicon({"en": {"tv": "television set"}}))
    found = segmenter.feed("**TV** on, TV off. Yes.") + segmenter.finish()
    assert " ".join(found) == "television set on, television set off. Yes."
    assert max(map(len, found)) <= 20


DOCUMENTS = [
    "# Title\n\nSome **bold** and *it* text.\n\n- milk\n- [x] eggs\n1. one\n\n> quoted\n> more\n\n---\n\n",
    "| A | B |\n|---|:-:|\n| 1 | 2 |\n\nfoo\nbar\r\n\r\n***\n+ a\n  * b [^1]: [1] arr[0]",
    'See [the docs](https://x.y/z_(a) "t") ![cat](c.png)! [![alt](i)](l) <https://www.a.com/b> <me@x.org>',
    "```python\nprint(a*b)\n```\nand `inline` ~~~\n~~~\ncode\n~~~ \n\n3 * 4 snake_case 5 < 6 C# #1 I <3 you",
    "Hi 👋🏽 there👨‍👩‍👧! 🇩🇪 1️⃣ go ❤️ ℹ️ ok ™️ → ✅done ‼️ می‌خواهم क्‍ष \u200f he\0llo ~5 a~~del~~ __init__",
    "<b>bold</b><br>next <name> &amp; &lt;x&gt; AT&T a \\*b\\* <!-- c --> x<p>para</p> www.foo.org https://",
    'Dr. Smith paid 3.50 at 5 p.m. He left. Wait... what? "Go. Now." … Then? (http://h.de:80/a)',
    "你好。“好的。”他说！ 第一，第二 لماذا؟ लड़का। वह",
]
BITS = [
    "**",
    "](",
    "[",
    "\n",
    "```\n",
    " ",
    "https://",
    "\n\n",
    "- ",
    ". ",
    "|",
    "A",
    "*",
    "<",
    "&",
    "👍",
    "\u200d",
]


def random_text(chance: random.Random) -> str:
    if chance.random() < 0.5:
        return chance.choice(DOCUMENTS)
    letters = "".join(DOCUMENTS)
    return "".join(chance.choice([chance.choice(letters), *BITS[:12]]) for _ in range(chance.randrange(100)))


def random_pieces(text: str, chance: random.Random) -> list[str]:
    cuts = sorted(chance.randrange(len(text) + 1) for _ in range(chance.choice([1, 3, 30, 200])))
    return [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]


@pytest.mark.parametrize("seed", range(300))
def test_where_the_pieces_are_cut_changes_nothing(seed: int) -> None:
    chance = random.Random(seed)
    text = random_text(chance)
    pieces = random_pieces(text, chance)
    max_chars = chance.choice([7, 40, 300])
    cleaner = Cleaner("en")
    assert ("".join(map(cleaner.feed, pieces)) + cleaner.finish()).rstrip("\n") == clean(text, "en")
    found = segments(*pieces, max_chars=max_chars)
    assert found == segments(text, max_chars=max_chars)
    assert all(len(segment) <= max_chars for segment in found)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_one_character_at_a_time_gives_the_same(document: str) -> None:
    assert segments(*document) == segments(document)


def test_the_parts_of_a_text_are_the_text() -> None:
    text = clean("\n\n".join(DOCUMENTS), "en")
    cutter = SentenceCutter("en", 50)
    assert "".join(cutter.push(text) + cutter.finish()) == text


def test_a_text_costs_no_xml_and_no_yaml() -> None:
    code = "import sys, voicenode.text; print(*{'yaml', 'defusedxml', 'xml', 'regex'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == ""

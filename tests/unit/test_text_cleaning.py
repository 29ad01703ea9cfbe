# ruff: noqa: RUF001 - every script is tested
import pytest

from voicenode.text import clean


@pytest.mark.parametrize(
    ("raw", "spoken"),
    [
        ("# Title\n\nText.", "Title\nText."),
        (
            "some **bold**, *thin*, ***both***, __strong__ and ~~gone~~ text",
            "some bold, thin, both, strong and gone text",
        ),
        ("**Note:** 这是**重点**内容", "Note: 这是重点内容"),
        ("- milk\n- [x] eggs\n* bread\n  + rye", "milk\neggs\nbread\nrye"),
        ("1. one\n2) two", "1. one\n2) two"),
        ("> quoted\n> words", "quoted words"),
        ("above\n\n---\n\nbelow", "above\nbelow"),
        ("Title\n=====\nText", "Title\nText"),
        ("| A | B |\n|---|:-:|\n| 1 | 2 |\nend", "A, B\n1, 2\nend"),
        ("yes | no", "yes, no"),
        ('see [the **docs**](https://x.y/z_(a) "t").', "see the docs."),
        ("![a cat](c.png) and [![alt](i)](l)", "a cat and alt"),
        ("[sic](see page 5)", "sic (see page 5)"),
        ("a claim[^1].\n\n[^1]: its source", "a claim.\nits source"),
        ("```python\nprint(a*b)\nx_y = 1\n```\nafter", "print(a*b)\nx_y = 1\nafter"),
        ("run `ls -l` now", "run ls -l now"),
        ("<b>bold</b><br/>next<p>last</p><!-- note -->", "bold\nnext\nlast"),
        ("type <name> here", "type name here"),
        ("AT&T &amp; co, 1&nbsp;000, &lt;b&gt;", "AT&T & co, 1 000, <b>"),
        (r"\*starred\* C:\temp", r"*starred* C:\temp"),
        ("one\ntwo\r\n\r\nthree", "one two\nthree"),
    ],
)
def test_markup_is_not_read_aloud(raw: str, spoken: str) -> None:
    assert clean(raw, "en") == spoken


@pytest.mark.parametrize(
    "text",
    [
        "3 * 4 * 5 = 60, 2*3",
        "snake_case, a_b_c and some.file_name.txt",
        "5 < 6 and 7 > 6; I <3 you; a<b",
        "C# and F#, #1, #hash_tag, ~5 minutes",
        "me_too@example.com",
        "Dr. Smith paid 3.50 at 5 p.m. on 2024-05-01, 20 °C",
        "yes|no, arr, {x}, (y), 100% & more",
        "wow! hey! who? www. http: ftp h w f",
        "می‌خواهم, क्‍ष, \u200fעברית English\u200f, \u2067مرحبا\u2069",
        "caf\u00e9 cafe\u0301 ½ ™ © → ≠ 3 ℃ ㎏ 〽",
    ],
)
def test_what_only_looks_like_markup_stays(text: str) -> None:
    assert clean(text, "en") == text


@pytest.mark.parametrize(
    ("raw", "spoken"),
    [
        ("Hi 👋🏽 there", "Hi there"),
        ("Hi👋there!👍", "Hi there!"),
        ("👨\u200d👩\u200d👧 🇩🇪 ❤️ ✅ ⏰ 🏴\U000e0067\U000e007f", ""),
        ("step 1️⃣ of 🔟", "step 1 of"),
        ("ℹ️ look ↔️ up ‼️", "look up"),
        ("new \U0001fae8 and unassigned \U0001faff emoji", "new and unassigned emoji"),
        ("♥ ★ ■ ⌘", ""),
    ],
)
def test_emoji_vanish(raw: str, spoken: str) -> None:
    assert clean(raw, "en") == spoken


def test_control_characters_and_lone_surrogates_vanish() -> None:
    assert clean("[a](b \ud800\0c) <d\ud800>", "en") == "a (b c) d"
    assert clean("he\0l\x07lo\u00ad \ufeffwor\x9fld\ud800\ufffd\t\x0b!", "en") == "hello world !"


@pytest.mark.parametrize(
    ("raw", "spoken"),
    [
        ("https://www.example.com/path?x=1&y#z", "example.com"),
        ("(see http://host.de:8080/a_b).", "(see host.de)."),
        ("<https://a.org/x> and <mailto:me@b.org>", "a.org and me@b.org"),
        ("**https://a.org**, www.b.org/c!", "a.org, b.org!"),
        ("ftp://user:secret@files.net/x", "files.net"),
        ("在https://a.cn/x。好", "在a.cn。好"),
        ("http://[::1]:80/", "::1"),
        ("[https://a.org/long](https://a.org/long)", "a.org"),
    ],
)
def test_of_an_address_the_host_is_read(raw: str, spoken: str) -> None:
    assert clean(raw, "en") == spoken


def test_the_comma_between_cells_is_that_of_the_language() -> None:
    assert clean("| 一 | 二 |", "zh-CN") == "一， 二"


@pytest.mark.parametrize("text", ["", " \n\t ", "---", "**", "```\n```", "\ufe0f"])
def test_nothing_is_left_of_a_blank_text(text: str) -> None:
    assert clean(text, "en") == ""


HOSTILE = [
    "(",
    "*",
    "*_",
    "_",
    ".",
    "1",
    "a",
    "[",
    "](",
    "[a](b",
    "<",
    "<a",
    "&a",
    "`",
    "```",
    "|",
    "\\",
    "-",
    "#",
    ">",
    "!",
    "![",
    "👍",
    "\u200d",
    "http://",
    "https://a@",
    "~",
    "\x00",
]


@pytest.mark.parametrize("unit", [*HOSTILE, " ", "\n", "* ", "<a ", "-\n", "```\n"])
def test_a_hostile_text_takes_linear_time(unit: str) -> None:
    text = unit * (200_000 // len(unit))
    assert len(clean(text, "en")) <= len(text)  # what is quadratic runs into the time limit of a test

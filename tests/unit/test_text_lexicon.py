from pathlib import Path

import pytest

from voicenode.errors import ErrorCode, SetupError
from voicenode.text import Lexicon


def test_an_empty_lexicon_changes_nothing() -> None:
    assert Lexicon().apply("as it is", "en") == "as it is"


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("my TV, the tv's", "my telly, the telly's"),
        ("tvs and etv", "tvs and etv"),
        ("AI but not ai", "A I but not ai"),
        ("C# and Home Assistant", "see sharp and H A"),
        ("20°C", "20 degrees"),
        ("我用AI写", "我用A I写"),
    ],
)
def test_whole_words_are_replaced(text: str, spoken: str) -> None:
    words = {
        "tv": "telly",
        "AI": "A I",
        "C#": "see sharp",
        "home assistant": "H A",
        "home": "house",
        "°C": " degrees",
    }
    assert Lexicon({"en": words}).apply(text, "en") == spoken


def test_a_vowel_sign_belongs_to_the_word() -> None:
    assert Lexicon({"hi": {"क": "x"}}).apply("की क", "hi") == "की x"


def test_the_exact_language_goes_before_its_base_and_that_before_all() -> None:
    lexicon = Lexicon({"pt_BR": {"a": "1"}, "PT": {"a": "2", "b": "2"}, "*": {"a": "3", "b": "3", "c": "3"}})
    assert lexicon.apply("a b c", "pt-BR") == "1 2 3"
    assert lexicon.apply("a b c", "pt") == "2 2 3"
    assert lexicon.apply("a b c", "de") == "3 3 3"


def test_a_replacement_is_not_replaced_again() -> None:
    assert Lexicon({"all": {"a": "b", "b": "a"}}).apply("a b", "en") == "b a"


def test_the_file_may_use_words_that_yaml_takes_for_truth(tmp_path: Path) -> None:
    file = tmp_path / "lexicon.yaml"
    file.write_text("no:\n  on: på\n  5G: fem G\nall:\n  x: ''\nen:\n", encoding="utf-8")
    lexicon = Lexicon.read(file)
    assert lexicon.apply("on 5G x", "no") == "på fem G "
    assert lexicon.apply("on", "en") == "on"


@pytest.mark.parametrize(
    ("content", "place"),
    [
        ("en:\n  - tv\n", "line 2, column 3"),
        ("en:\n  tv: [1]\n", "line 2, column 7"),
        ("just text", "line 1, column 1"),
        ("en: {tv: telly", "line 1"),
        ("en:\n  ? [a]\n  : b\n", "line 2, column 5"),
    ],
)
def test_a_malformed_file_is_named_with_its_place(tmp_path: Path, content: str, place: str) -> None:
    file = tmp_path / "lexicon.yaml"
    file.write_text(content)
    with pytest.raises(SetupError, match=place) as caught:
        Lexicon.read(file)
    assert str(file) in str(caught.value)
    assert caught.value.code is ErrorCode.BAD_SETTINGS


@pytest.mark.parametrize("content", [None, b"\xff\xfe\xff"])
def test_an_unreadable_file_is_named(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "lexicon.yaml"
    if content:
        file.write_bytes(content)
    with pytest.raises(SetupError, match=r"lexicon\.yaml cannot be read"):
        Lexicon.read(file)


def test_an_empty_file_is_an_empty_lexicon(tmp_path: Path) -> None:
    file = tmp_path / "lexicon.yaml"
    file.write_text("# nothing yet\n")
    assert Lexicon.read(file).apply("a", "en") == "a"

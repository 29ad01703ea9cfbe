from pathlib import Path

import pytest

from voicenode_f5.text import Vocabulary, batches, foreign, size, tokens

pytestmark = pytest.mark.neural

TEXT = "First of all, this. Then that: more words, and another clause; the end of it!"


@pytest.mark.parametrize("limit", [20, 40, 60])
def test_a_long_text_is_cut_into_batches_that_fit_and_lose_nothing(limit: int) -> None:
    parts = batches(TEXT, limit)
    assert all(size(part) <= limit for part in parts)
    assert " ".join(parts) == TEXT


def test_a_batch_ends_where_a_clause_does_else_a_word_else_anywhere() -> None:
    assert batches("One two, three four five", 16) == ["One two,", "three four five"]
    assert batches("one two three four", 10) == ["one two", "three four"]
    assert batches("你好世界，再见。", 16) == ["你好世界，", "再见。"]  # noqa: RUF001


@pytest.mark.parametrize(
    ("text", "languages", "share"),
    [
        ("Hello, 你好!", ("en", "zh-CN"), 0.0),
        ("Привет", ("en", "zh"), 1.0),
        ("Say Привет", ("en", "zh"), 6 / 9),
        ("Привет", ("ru",), 0.0),
        ("12.5", ("en",), 0.0),
    ],
)
def test_letters_that_no_language_of_a_published_model_has_are_foreign(
    text: str, languages: tuple[str, ...], share: float
) -> None:
    assert foreign(text, languages) == pytest.approx(share)


def test_ten_thousand_characters_without_a_space_are_cut_too() -> None:
    parts = batches("好" * 10_000, 200)
    assert all(size(part) <= 200 for part in parts)
    assert "".join(parts) == "好" * 10_000


def test_nothing_but_space_is_no_batch() -> None:
    assert batches("  ", 50) == []


def test_signs_that_have_no_sound_do_not_stop_the_conversion() -> None:
    """Upstream raises IndexError for these."""
    assert "".join(tokens("好……——ーー")) == " hao3……——ーー"


@pytest.mark.parametrize("content", ["a\nb\nc\n", "a\nb\nc"])
def test_a_vocabulary_numbers_its_lines(tmp_path: Path, content: str) -> None:
    (tmp_path / "vocab.txt").write_text(content)
    vocabulary = Vocabulary(tmp_path / "vocab.txt")
    assert len(vocabulary) == 3
    assert vocabulary.ids(["c", "a", "?"]) == [2, 0, 0]
    assert vocabulary.unknown(["a", "?", " "]) == ["?"]

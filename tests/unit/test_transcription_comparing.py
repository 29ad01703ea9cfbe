import pytest

from voicenode.transcription.comparing import best_match, word_error_rate

STORY = (
    "Once upon a time, there was a king. He had three daughters; the youngest was kind. "
    "All of them could sing!"
)


@pytest.mark.parametrize(
    ("given", "heard", "rate"),
    [
        ("Hello, World!", "hello world", 0),
        ("Don’t go.", "don't go", 0),  # noqa: RUF001 - as people write it
        ("one two three four", "one two tree four", 0.25),
        ("one two three four", "one three four", 0.25),
        ("one two three four", "one two two three four", 0.25),
        ("one two", "", 1),
        ("你好世界", "你好时界", 0.25),
        ("ＡＢＣ", "abc", 0),  # noqa: RUF001 - full width
    ],
)
def test_the_word_error_rate_is_the_fields_own(given: str, heard: str, rate: float) -> None:
    assert word_error_rate(given, heard) == rate


@pytest.mark.parametrize(
    ("heard", "text", "errors"),
    [
        ("he had three daughters", "He had three daughters;", 0),
        ("there was a king he had three", "there was a king. He had three", 0),
        (
            "he hat three daughters the youngest was kind",
            "He had three daughters; the youngest was kind.",
            1 / 8,
        ),
        ("all of them could swing", "All of them could sing!", 0.2),
        ("twice upon a time", "Once upon a time,", 0.25),
    ],
)
def test_the_part_that_was_heard_is_found_with_its_punctuation(heard: str, text: str, errors: float) -> None:
    assert best_match(STORY, heard) == (text, errors)


def test_signs_are_the_words_of_scripts_without_spaces() -> None:
    assert best_match("今天天气很好，我们去公园。", "我们去公园") == ("我们去公园。", 0)  # noqa: RUF001 - Chinese


@pytest.mark.parametrize("heard", ["nobody said anything like this today", ""])
def test_what_is_not_in_a_text_has_nothing_in_common_with_it(heard: str) -> None:
    assert best_match(STORY, heard).errors > 0.7


def test_a_text_without_words_matches_nothing() -> None:
    assert best_match("...", "hello") == ("", 1)

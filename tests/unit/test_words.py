"""What a user is told of a word that nobody knows."""

import pytest

from voicenode.errors import ErrorCode
from voicenode.words import unknown


@pytest.mark.parametrize(
    ("known", "told"),
    [
        (["anna", "bob"], "unknown voice 'ann'; did you mean 'anna'?"),
        (["bob"], "unknown voice 'ann'; known: 'bob'"),
        ([f"voice-{number}" for number in range(7)],
         "unknown voice 'ann'; known: 'voice-0', 'voice-1', 'voice-2', 'voice-3', 'voice-4' and 2 more"),
        ([], "unknown voice 'ann'; there is none"),
    ],
)  # fmt: skip
def test_the_nearest_words_are_told_or_else_some(known: list[str], told: str) -> None:
    assert str(unknown(ErrorCode.UNKNOWN_VOICE, "voice", "ann", known)) == told


def test_a_long_word_is_not_repeated_whole() -> None:
    assert len(str(unknown(ErrorCode.UNKNOWN_VOICE, "voice", "x" * 1000, ["anna"]))) < 100

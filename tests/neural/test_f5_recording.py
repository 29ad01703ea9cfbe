import logging

import numpy as np
import pytest
from numpy.typing import NDArray

from voicenode.engine import RequestError
from voicenode_f5.recording import prepare

RATE = 16_000
WORDS = "One two three. Four five six. Seven eight nine. Ten eleven twelve."


def speech(seconds: float) -> NDArray[np.float32]:
    return (0.3 * np.sin(np.arange(round(seconds * RATE)) / 7)).astype(np.float32)


def silence(seconds: float) -> NDArray[np.float32]:
    return np.zeros(round(seconds * RATE), np.float32)


def recording(*lengths: float) -> NDArray[np.float32]:
    """Speech and silence in turn, for so many seconds each."""
    return np.concatenate([(silence if n % 2 else speech)(length) for n, length in enumerate(lengths)])


def test_silence_around_speech_is_cut_off_and_a_twentieth_of_a_second_is_left_at_the_end() -> None:
    samples, words = prepare(np.concatenate((silence(1), recording(3, 0.5, 2), silence(2))), RATE, WORDS)
    assert len(samples) / RATE == pytest.approx(5.55, abs=0.03)
    assert not samples[-RATE // 20 :].any()
    assert words == WORDS + " "


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("Hello there, friend", "Hello there, friend. "),
        (" Hello there, friend. ", "Hello there, friend. "),
        ("你好，世界，再见。", "你好，世界，再见。"),  # noqa: RUF001
    ],
)
def test_a_transcript_ends_with_a_full_stop(given: str, used: str) -> None:
    assert prepare(speech(2), RATE, given)[1] == used


@pytest.mark.parametrize(
    ("lengths", "seconds"),
    [
        ((5, 0.2, 4, 1.2, 5), 9.2),
        ((5, 0.2, 4, 0.2, 5), 9.2),
        ((3, 1.5, 6, 0.2, 5), 10.5),
        ((20,), 12),
        ((3, 0.3, 20), 12),
    ],
    ids=["at a long pause", "at a short pause", "at the last pause", "without a pause", "no pause in time"],
)
def test_of_a_long_recording_at_most_twelve_seconds_are_used_to_a_pause_if_there_is_one(
    lengths: tuple[float, ...], seconds: float
) -> None:
    samples, _ = prepare(recording(*lengths), RATE, WORDS)
    assert len(samples) / RATE == pytest.approx(seconds + 0.05, abs=0.03)


def test_the_transcript_is_cut_with_the_recording_at_the_end_of_a_clause(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        _, words = prepare(recording(7, 0.5, 6.4), RATE, WORDS)
    assert words == "One two three. Four five six. "
    assert "13.9 s" in caplog.text
    assert "One two three. Four five six." in caplog.text


def test_a_chinese_transcript_is_cut_between_characters() -> None:
    _, words = prepare(recording(9, 0.5, 9), RATE, "一二三四五六七八九十" * 4)
    assert words == "一二三四五六七八九十" * 2 + ". "


@pytest.mark.parametrize(
    ("samples", "words", "told"),
    [
        (speech(0.4), "Hello.", "0.4 seconds of speech"),
        (silence(4), "Hello.", "0.0 seconds of speech"),
        (silence(0), "Hello.", "0.0 seconds of speech"),
        (speech(4), "", "transcript is missing"),
        (speech(4), "...", "transcript is missing"),
        (speech(4), "Yes", "does not fit 4.0 seconds"),
        (speech(2), "word " * 100, "does not fit 2.0 seconds"),
    ],
)
def test_what_cannot_be_a_reference_is_refused_with_the_reason(
    samples: NDArray[np.float32], words: str, told: str
) -> None:
    with pytest.raises(RequestError, match=told):
        prepare(samples, RATE, words)

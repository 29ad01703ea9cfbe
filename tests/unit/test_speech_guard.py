import numpy as np
import pytest
from numpy.typing import NDArray

from voicenode.audio import pcm_of
from voicenode.guard import Trimmer, cut, gain, is_spoken, limit, longest_seconds, usual_seconds

RATE = 24000


def tone(seconds: float, level: float = 0.3) -> NDArray[np.float32]:
    return (level * np.sin(np.arange(round(seconds * RATE)) / 20)).astype(np.float32)


def silence(seconds: float) -> NDArray[np.float32]:
    return np.zeros(round(seconds * RATE), np.float32)


def trimmed(samples: NDArray[np.float32], step: int) -> NDArray[np.float32]:
    trimmer = Trimmer(RATE)
    pieces = [trimmer.feed(samples[start : start + step]) for start in range(0, len(samples), step)]
    return np.concatenate([*pieces, trimmer.finish()])


@pytest.mark.parametrize("step", [37, 240, 4800, 100_000])
def test_silence_is_trimmed_before_and_after_and_never_within(step: int) -> None:
    spoken = np.concatenate([tone(0.5), silence(0.4), tone(0.5)])
    heard = trimmed(np.concatenate([silence(1), spoken, silence(1)]), step)
    assert len(heard) / RATE == pytest.approx(len(spoken) / RATE + 0.11, abs=0.021)
    start = int(np.argmax(np.abs(heard) > 0.01))
    assert np.array_equal(heard[start : start + len(spoken) - 480], spoken[1 : len(spoken) - 479])


def test_what_never_speaks_is_trimmed_to_nothing() -> None:
    assert len(trimmed(silence(3), 4800)) == 0


def test_a_trimmer_tells_how_long_nothing_has_been_said() -> None:
    trimmer = Trimmer(RATE)
    for _ in range(3):
        trimmer.feed(silence(0.5))
    assert trimmer.held == pytest.approx(1.5)
    assert not trimmer.started
    trimmer.feed(np.concatenate([tone(0.5), silence(0.25)]))
    assert trimmer.held == pytest.approx(0.25, abs=0.011)
    trimmer.feed(silence(0.5))
    assert trimmer.held == pytest.approx(0.75, abs=0.011)


@pytest.mark.parametrize(
    ("text", "language", "seconds"),
    [
        ("The quick brown fox jumps over the lazy dog.", "en-US", 3.2),
        ("你好世界。", "zh-CN", 1.2),
        ("2024", "de", 1.6),
        ("12 %", "en", 1.4),
    ],
)
def test_the_usual_length_follows_the_text_and_its_language(text: str, language: str, seconds: float) -> None:
    assert usual_seconds(text, language) == pytest.approx(seconds, rel=0.1)
    assert longest_seconds(text, language) > 1.8 * usual_seconds(text, language)


@pytest.mark.parametrize(("text", "spoken"), [("Yes.", True), ("...?!", False), (" ", False), ("5", True)])
def test_punctuation_alone_is_not_spoken(text: str, spoken: bool) -> None:  # noqa: FBT001
    assert is_spoken(text) is spoken


def test_gain_brings_speech_to_one_loudness_whatever_its_pauses() -> None:
    for level in (0.05, 0.1, 0.4):
        speech = np.concatenate([tone(0.5, level), silence(0.7)])
        loud = (speech * gain(speech, RATE))[: RATE // 2]
        assert np.sqrt((loud**2).mean()) == pytest.approx(0.1, rel=0.02)
    assert gain(silence(1), RATE) == 1
    assert gain(tone(1, 0.01), RATE) == 3


def test_the_limiter_leaves_what_fits_and_bends_the_rest_below_full_scale() -> None:
    samples = np.linspace(-3, 3, 601, dtype=np.float32)
    limited = limit(samples)
    fits = np.abs(samples) <= 0.8
    assert np.array_equal(limited[fits], samples[fits])
    assert np.abs(limited).max() <= 1
    assert (np.diff(limited) >= 0).all()


def test_a_cut_is_made_where_it_is_quietest() -> None:
    samples = np.concatenate([tone(0.3), tone(0.05, 0.01), tone(0.3)])
    left = cut(samples, RATE)
    assert 0.3 <= len(left) / RATE <= 0.36
    assert left[-1] == 0
    assert np.array_equal(left[: round(0.3 * RATE)], samples[: round(0.3 * RATE)])
    assert len(cut(samples[:0], RATE)) == 0


def test_samples_become_pcm_and_are_clipped_at_full_scale() -> None:
    assert (
        pcm_of(np.array([0, 0.5, -1, 2, -2], np.float32))
        == np.array([0, 16384, -32767, 32767, -32768], "<i2").tobytes()
    )

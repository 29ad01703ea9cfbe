"""How long a text is given, and how parts are joined."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from voicenode.guard import longest_seconds
from voicenode_f5.crossfade import CrossFade
from voicenode_f5.length import batch_bytes, guarded_frames, upstream_frames
from voicenode_f5.mel import HOP, RATE
from voicenode_f5.reference import Reference

pytestmark = pytest.mark.neural


def reference(seconds: float = 5, transcript: str = 75 * "x") -> Reference:
    """A voice that speaks 15 bytes a second."""
    mel = torch.zeros(round(seconds * RATE / HOP) + 1, 100)
    return Reference(mel, tuple(transcript), transcript, rms=0.1, gain=1)


def seconds(frames: int) -> float:
    return frames * HOP / RATE


def test_a_text_takes_as_long_as_the_reference_would_for_its_bytes() -> None:
    text = "thirty bytes of text in words."
    assert seconds(upstream_frames(reference(), text, 1)) == pytest.approx(2, abs=0.02)
    assert seconds(guarded_frames(reference(), text, "en", 1)) == pytest.approx(2, abs=0.02)


def test_speed_shortens_it() -> None:
    text = "thirty bytes of text in words."
    assert seconds(guarded_frames(reference(), text, "en", 2)) == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("text", ["I", "Yes.", "Good day!", "Good day to"])
def test_a_short_text_has_room_and_does_not_drawl(text: str) -> None:
    assert 0.7 <= seconds(guarded_frames(reference(), text, "en", 1)) <= 0.9


def test_digits_get_the_time_that_their_words_take() -> None:
    assert seconds(guarded_frames(reference(), "1234567", "en", 1)) > 1.7


def test_no_reference_makes_a_text_longer_than_any_sane_reading() -> None:
    slow = reference(seconds=10, transcript="slow")
    text = "This is an ordinary sentence."
    assert seconds(guarded_frames(slow, text, "en", 1)) <= longest_seconds(text, "en")


def test_a_long_reference_leaves_less_room_for_text() -> None:
    assert batch_bytes(reference(), 1) == pytest.approx(15 * 17, abs=3)
    assert batch_bytes(reference(seconds=12, transcript=180 * "x"), 1) == pytest.approx(15 * 10, abs=3)


def faded(length: int, *parts: NDArray[np.float32]) -> NDArray[np.float32]:
    joins = CrossFade(length)
    return np.concatenate([*(joins.feed(part) for part in parts), joins.finish()])


def constant(value: float, length: int) -> NDArray[np.float32]:
    return np.full(length, value, np.float32)


def test_parts_overlap_and_no_sample_jumps() -> None:
    joined = faded(100, constant(1, 1000), constant(-1, 1000), constant(1, 1000))
    assert len(joined) == 2800
    assert np.abs(np.diff(joined)).max() < 0.03
    assert (joined[:900] == 1).all()
    assert (joined[1000:1800] == -1).all()


def test_without_overlap_parts_follow_each_other() -> None:
    assert faded(0, constant(1, 10), constant(2, 10)).tolist() == [1] * 10 + [2] * 10


@pytest.mark.parametrize("lengths", [(50, 1000), (1000, 50), (50, 50, 50), (1000,)])
def test_parts_shorter_than_the_overlap_lose_nothing_but_it(lengths: tuple[int, ...]) -> None:
    joined = faded(100, *(constant(1, length) for length in lengths))
    assert joined == pytest.approx(1)
    assert len(joined) >= max(lengths)

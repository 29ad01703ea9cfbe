"""The cleanest stretch of a recording; what is speech is told here, not found."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest

from voicenode.recordings.excerpts import Phrase, best, joined, phrases
from voicenode.recordings.limits import RATE
from voicenode.recordings.speech import FRAME, Span

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.support.recorded import Samples

    Part = tuple[float, float, float]

CHANCE = np.random.default_rng(0)


def noise(count: int, level: float = 0.1) -> Samples:
    """Never twice the same."""
    samples: Samples = CHANCE.normal(0, level, count).astype(np.float32)
    return samples


def recording(*parts: Part) -> tuple[Samples, list[Span]]:
    """For each part so many seconds of speech, of pause, and so much noise; speech is white at 0.1."""
    samples, spans, now = [], [], 0.0
    for speech, pause, level in parts:
        whole = noise(round((speech + pause) * RATE), level)
        whole[: round(speech * RATE)] += noise(round(speech * RATE), 0.1)
        samples.append(whole)
        spans.append(Span(round(now / FRAME), round((now + speech) / FRAME)))
        now += speech + pause
    return np.concatenate(samples), spans


def cut(parts: Sequence[Part], seconds: float) -> tuple[Samples, Samples]:
    """A recording and the best of it."""
    samples, spans = recording(*parts)
    return samples, best([(samples, phrases(samples, spans))], seconds)


def place(part: Samples, whole: Samples) -> float:
    """At which second a part begins in the whole."""
    starts = np.flatnonzero(whole == part[0])
    (found,) = (start for start in starts if np.array_equal(whole[start : start + 100], part[:100]))
    return int(found) / RATE


def test_all_of_a_short_recording_is_used_with_its_pauses_shortened() -> None:
    samples, spans = recording((2, 3, 0.05), (2, 3, 0.001))
    found = best([(samples, phrases(samples, spans))], 30)
    assert len(found) / RATE == pytest.approx(2 * 2 + 0.1 + 2 * 0.3, abs=0.1)


def test_phrases_keep_a_little_of_their_pauses_and_never_overlap() -> None:
    samples = noise(4 * RATE)
    frames = round(1 / FRAME)
    found = phrases(samples, [Span(0, frames), Span(frames + 4, 2 * frames), Span(3 * frames, 4 * frames)])
    assert found[0].start == 0
    assert all(before.end <= after.start for before, after in pairwise(found))
    assert found[2].start == 3 * frames * round(FRAME * RATE) - RATE // 10
    assert found[2].end <= len(samples)
    assert len(joined(samples, found)) == sum(end - start for start, end in found)


def test_of_a_long_recording_the_cleanest_stretch_is_used_and_cut_in_pauses() -> None:
    samples, found = cut([(4, 1, 0.03)] * 3 + [(4, 1, 0.001)] * 3 + [(4, 1, 0.03)] * 3, 14)
    assert place(found, samples) == pytest.approx(15, abs=0.2)
    assert len(found) / RATE == pytest.approx(3 * 4.4, abs=0.2)


def test_a_little_less_noise_is_not_worth_half_of_the_length() -> None:
    _, found = cut([(1, 1, 0.01)] + [(4, 1, 0.012)] * 5, 10)
    assert len(found) / RATE > 8


def test_speech_without_a_pause_is_cut_where_it_is_quietest() -> None:
    samples, _ = recording((20, 0, 0.001))
    samples[12 * RATE : 12 * RATE + 2000] = 0
    found = best([(samples, [Phrase(0, len(samples))])], 15)
    assert place(found, samples) == 0
    assert len(found) / RATE == pytest.approx(12.05, abs=0.1)


def test_further_recordings_fill_what_the_best_leaves() -> None:
    first, second, third = ((*recording((6, 1, level)),) for level in (0.001, 0.002, 0.003))
    heard = [(samples, phrases(samples, spans)) for samples, spans in (first, second, third)]
    found = best(heard, 14)
    assert len(found) / RATE == pytest.approx(2 * 6.3, abs=0.2)
    assert len(best(heard, 30)) / RATE == pytest.approx(3 * 6.3, abs=0.2)


@pytest.mark.parametrize("seconds", [6, 11.5, 30])
def test_an_excerpt_is_never_longer_than_it_may_be(seconds: float) -> None:
    parts = [(float(CHANCE.uniform(0.3, 20)), float(CHANCE.uniform(0.1, 2)), 0.001) for _ in range(12)]
    samples, found = cut(parts, seconds)
    assert seconds / 2 < len(found) / RATE <= seconds < len(samples) / RATE

"""Held to the synthetic signals of EBU Tech 3341; one channel of them is 3 LU less loud than their two."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.recorded import RATE, Samples, noise, spoken
from voicenode.recordings.loudness import (
    SILENT,
    TARGET,
    _block_powers,
    _high_pass,
    _shelf,
    loudness,
    normalised,
    true_peak,
)

ONE_CHANNEL = -3.01
SHELF = (1.53512485958697, -2.69169618940638, 1.19839281085285, -1.69065929318241, 0.73248077421585)
HIGH_PASS = (1.0, -2.0, 1.0, -1.99004745483398, 0.99007225036621)
"""ITU-R BS.1770-4, tables 1 and 2, for 48 kHz."""


def sine(seconds: float, level: float, hertz: float = 1000, rate: int = 48000, phase: float = 0) -> Samples:
    """At a peak level in dB below full scale."""
    turns = np.arange(round(seconds * rate)) * hertz / rate + phase / 360
    samples: Samples = (10 ** (level / 20) * np.sin(2 * np.pi * turns)).astype(np.float32)
    return samples


@pytest.mark.parametrize(("level", "rate"), [(-23, 48000), (-33, 48000), (-23, 24000), (-23, 44100)])
def test_a_steady_tone_has_its_level_as_loudness(level: float, rate: int) -> None:
    assert loudness(sine(5, level, rate=rate), rate) == pytest.approx(level + ONE_CHANNEL, abs=0.1)


@pytest.mark.parametrize(
    ("steps", "whole"),
    [
        ([(5, -36), (20, -23), (5, -36)], -23.0),
        ([(5, -72), (5, -36), (20, -23), (5, -36), (5, -72)], -23.0),
        ([(10, -26), (10.1, -20), (10, -26)], -23.0),
    ],
    ids=["3", "4", "5"],
)
def test_what_is_much_quieter_than_the_rest_does_not_count(
    steps: list[tuple[float, float]], whole: float
) -> None:
    samples = np.concatenate([sine(seconds, level, rate=24000) for seconds, level in steps])
    assert loudness(samples, 24000) == pytest.approx(whole + ONE_CHANNEL, abs=0.1)


def test_the_filters_are_those_of_the_standard() -> None:
    for (numerator, denominator), wanted in [
        (_shelf(48000), SHELF),
        (_high_pass(48000), HIGH_PASS),
    ]:
        normal = [value / denominator[0] for value in (*numerator, *denominator[1:])]
        assert normal == pytest.approx(wanted, abs=1e-9)


@pytest.mark.parametrize("count", [0, 1, 1000])
def test_silence_has_a_loudness_too(count: int) -> None:
    assert loudness(np.zeros(count, np.float32), RATE) == SILENT
    assert true_peak(np.zeros(count, np.float32), RATE) == SILENT


@pytest.mark.parametrize(("hertz", "phase"), [(12000, 0), (12000, 45), (8000, 60), (6000, 67.5)])
def test_a_peak_between_samples_counts(hertz: float, phase: float) -> None:
    tone = sine(1, -6.02, hertz, phase=phase)
    faded = (tone * np.sin(np.linspace(0, np.pi, len(tone)))).astype(np.float32)
    assert true_peak(faded, 48000) == pytest.approx(-6.0, abs=0.4)


def test_a_long_sound_has_no_steps_where_it_is_computed_in_pieces() -> None:
    powers = _block_powers(noise(65 * 8000, 0.01) + np.float32(0.5), 8000)[20:]
    assert powers.max() < 2 * np.median(powers)


@pytest.mark.parametrize("level", [0.02, 0.3, 1.9])
def test_speech_of_every_level_comes_to_the_same_loudness_and_stays_below_the_top(level: float) -> None:
    samples = normalised((level * spoken()).astype(np.float32), RATE)
    assert loudness(samples, RATE) == pytest.approx(TARGET, abs=0.3)
    assert np.abs(samples).max() < 1

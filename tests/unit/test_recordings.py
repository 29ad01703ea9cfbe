"""Recordings as users send them: good ones become a voice, bad ones are refused with the figures."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np
import pytest
import soundfile
import soxr

from tests.support.recorded import RATE, WORDS, file, noise, noisy, silence, spoken
from voicenode.errors import RequestError
from voicenode.recordings import CheckedRecordings, Source, check

if TYPE_CHECKING:
    from tests.support.recorded import Samples

Make = Callable[[], bytes]


def checked(*audio: bytes, transcript: str | None = None, language: str = "") -> CheckedRecordings:
    return check([Source(one, f"{index}.wav") for index, one in enumerate(audio)], transcript, language)


def samples_of(wav: bytes) -> Samples:
    with soundfile.SoundFile(io.BytesIO(wav)) as sound:
        assert (sound.samplerate, sound.channels, sound.format, sound.subtype) == (24000, 1, "WAV", "PCM_16")
        samples: Samples = sound.read(dtype="float32")
    return samples


def test_a_clear_recording_will_do_without_a_word() -> None:
    voice = checked(file(np.concatenate([silence(1), noisy(np.tile(spoken(), 2), 35)])))
    (recording,) = voice.recordings
    assert voice.warnings == ()
    assert recording.figures.snr_db == pytest.approx(35, abs=2)
    assert 10_000 < recording.figures.bandwidth_hz <= 11_025
    assert recording.figures.speech_share == pytest.approx(0.87, abs=0.05)


def test_figures_go_into_json_and_come_back() -> None:
    (recording,) = checked(file(spoken())).recordings
    figures = asdict(recording.figures)
    assert json.loads(json.dumps(figures)) == figures
    assert (figures["sample_rate"], figures["channels"], figures["clipping"]) == (RATE, 1, 0)
    assert figures["true_peak_dbtp"] == pytest.approx(-6, abs=0.1)


def test_what_is_kept_is_trimmed_and_at_the_usual_loudness() -> None:
    (recording,) = checked(file(0.2 * np.concatenate([silence(2), spoken(), silence(3)]))).recordings
    samples = samples_of(recording.wav)
    assert len(samples) / 24000 == recording.seconds == pytest.approx(len(spoken()) / RATE, abs=0.6)
    assert recording.figures.seconds == pytest.approx(5 + len(spoken()) / RATE, abs=0.1)
    assert 0.05 < samples.std() < 0.15
    assert np.abs(samples).max() < 1


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: b"", "cannot be read as audio"),
        (lambda: b"this is no sound at all" * 100, "cannot be read as audio"),
        (lambda: file(spoken()[: 2 * RATE]), r"1\.\d seconds of speech, and 3 are the least"),
        (lambda: file(soxr.resample(spoken(), RATE, 8000), 8000), "sample rate is 8000 Hz, and 16000"),
        (lambda: file(telephone()), r"telephone \(nothing above 3\d\d\d Hz, 4200 are the least"),
        (lambda: file(silence(5)), r"silent or nearly so \(-100 LUFS, -50 are the least"),
        (lambda: file(noise(5 * RATE)), r"no speech was found in its 5\.0 seconds"),
        (lambda: file(tone(5)), "no speech was found"),
        (lambda: file(np.clip(10 * spoken(), -1, 1)), r"overdriven \(\d+\.\d% of it is cut off, 1\.0% are"),
        (lambda: file(noisy(spoken(), 4)), r"too noisy \(speech is \d\.\d dB above the noise, 10 are"),
        (lambda: file(np.full(RATE, np.nan, np.float32), subtype="FLOAT"), "are no numbers"),
        (lambda: file(np.tile(spoken()[:, None], 9)), "9 channels, and 8 are the most"),
    ],
    ids=[
        "0 bytes",
        "not audio",
        "2 s",
        "8 kHz telephone",
        "telephone at a higher rate",
        "silence",
        "noise",
        "tone",
        "clipped",
        "noisy",
        "not numbers",
        "channels",
    ],
)
def test_a_bad_recording_is_refused_with_the_figures(make: Make, told: str) -> None:
    with pytest.raises(RequestError, match=told) as refused:
        checked(make())
    assert refused.value.code == "bad-recording"


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: file(noisy(spoken(), 15)), r"is noisy: speech is 1\d\.\d dB above the noise, 20 are good"),
        (lambda: file(np.clip(3 * spoken(), -1, 1)), r"overdriven in places: 0\.\d\d% of it"),
        (lambda: file(np.concatenate([silence(6), spoken()])), r"speech only for 4\d% of its time"),
        (lambda: file(soxr.resample(dull(), RATE, 16000), 16000), r"dull: there is nothing above 5\d\d\d Hz"),
        (lambda: file(spoken()), r"only \d\.\d seconds of speech"),
    ],
    ids=["noisy", "clipped", "pauses", "dull", "short"],
)
def test_a_middling_recording_will_do_with_a_warning(make: Make, told: str) -> None:
    with pytest.raises(AssertionError, match=told):
        assert checked(make()).warnings == ()


def tone(seconds: float) -> Samples:
    return (0.3 * np.sin(np.arange(round(seconds * RATE)) * 2 * np.pi * 220 / RATE)).astype(np.float32)


def telephone() -> Samples:
    samples: Samples = soxr.resample(soxr.resample(spoken(), RATE, 8000), 8000, RATE)
    return samples


def dull() -> Samples:
    samples: Samples = soxr.resample(soxr.resample(spoken(), RATE, 11025), 11025, RATE)
    return samples


def test_a_bad_one_of_several_is_left_out_and_named_and_the_cleanest_comes_first() -> None:
    clean, worse = file(noisy(spoken(), 30)), file(noisy(spoken(), 16))
    voice = checked(worse, b"junk", clean)
    assert [recording.name for recording in voice.recordings] == ["2.wav", "0.wav"]
    assert any("1.wav will not do: it cannot be read" in warning for warning in voice.warnings)


def test_several_bad_ones_are_refused_with_every_reason() -> None:
    with pytest.raises(RequestError, match=r"0\.wav .* read.*1\.wav .*silent") as refused:
        checked(b"junk", file(silence(1)))
    assert refused.value.code == "bad-recording"


def test_no_recording_at_all_is_refused() -> None:
    with pytest.raises(RequestError, match="there is none"):
        checked()


def test_the_recording_with_the_transcript_is_never_left_out_in_silence() -> None:
    with pytest.raises(RequestError, match=r"0\.wav will not do"):
        checked(b"junk", file(spoken()), transcript=WORDS)


def test_the_transcript_stays_with_the_first_recording_even_where_another_is_cleaner() -> None:
    voice = checked(file(noisy(spoken(), 16)), file(spoken()), transcript=WORDS)
    assert voice.transcribed is not None
    assert voice.transcribed.name == "0.wav"
    assert voice.spoken.wav == voice.transcribed.wav
    assert voice.transcript == WORDS


@pytest.mark.parametrize(
    ("transcript", "language"),
    [("Hello.", "en"), (WORDS * 5, "en-US"), ("你好" * 100, "zh"), ("...", "en"), ("", "en")],
)
def test_a_transcript_that_nobody_could_speak_in_that_time_is_refused(transcript: str, language: str) -> None:
    with pytest.raises(RequestError, match="transcript") as refused:
        checked(file(spoken()), transcript=transcript, language=language)
    assert refused.value.code == "bad-transcript"


def test_a_transcript_that_would_be_spoken_oddly_fast_gets_a_warning() -> None:
    (warning,) = (
        one for one in checked(file(spoken()), transcript=WORDS * 2).warnings if "transcript" in one
    )
    assert "188 characters take about 14 seconds" in warning

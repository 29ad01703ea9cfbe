"""Recordings as users send them: good ones become a voice, bad ones are refused with the figures."""

import io

import numpy as np
import pytest
import soundfile

from tests.support import recorded
from tests.support.recorded import RATE, file, noise, spoken
from voicenode.errors import RequestError
from voicenode.recordings import CheckedRecordings, Source, check


def checked(*audio: bytes, transcript: str | None = None) -> CheckedRecordings:
    return check([Source(one, f"{index}.wav") for index, one in enumerate(audio)], transcript)


def samples_of(wav: bytes) -> recorded.Samples:
    with soundfile.SoundFile(io.BytesIO(wav)) as sound:
        assert (sound.samplerate, sound.channels, sound.format, sound.subtype) == (24000, 1, "WAV", "PCM_16")
        samples: recorded.Samples = sound.read(dtype="float32")
    return samples


@pytest.mark.parametrize(
    ("kind", "subtype", "rate"),
    [
        ("WAV", "PCM_16", RATE),
        ("WAV", "FLOAT", RATE),
        ("FLAC", "PCM_24", RATE),
        ("OGG", "VORBIS", RATE),
        ("OGG", "OPUS", 24000),
        ("MP3", "MPEG_LAYER_III", RATE),
    ],
)
def test_a_clear_recording_of_any_common_kind_will_do(kind: str, subtype: str, rate: int) -> None:
    voice = checked(file(spoken(), rate, kind, subtype))
    (recording,) = voice.recordings
    assert voice.warnings == ()
    assert recording.figures.sample_rate == rate
    assert recording.figures.snr_db > 40
    assert recording.figures.speech_share > 0.8
    assert len(samples_of(recording.wav)) / 24000 == pytest.approx(recording.seconds)


@pytest.mark.parametrize(
    ("audio", "told"),
    [
        (b"", "cannot be read as audio"),
        (b"this is no sound at all" * 100, "cannot be read as audio"),
        (file(spoken()[: 2 * RATE]), r"1\.\d seconds of speech, and 3 are the least"),
        (file(spoken(), 8000), "sample rate is 8000 Hz, and 16000"),
        (file(np.zeros(5 * RATE, np.float32)), "silent or nearly so"),
        (file(noise(5 * RATE)), r"no speech was found in its 5\.0 seconds"),
        (file(np.clip(10 * spoken(), -1, 1)), r"overdriven: \d+\.\d% of it"),
        (file(spoken() + noise(len(spoken()))), r"speech is only \d dB above the noise, and 10 dB"),
    ],
    ids=["empty", "not audio", "2 s", "telephone", "silence", "noise", "clipped", "noisy"],
)
def test_a_bad_recording_is_refused_with_the_figures(audio: bytes, told: str) -> None:
    with pytest.raises(RequestError, match=told) as refused:
        checked(audio)
    assert refused.value.code == "bad-recording"

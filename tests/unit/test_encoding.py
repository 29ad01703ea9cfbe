"""Files are read back by libsndfile, and headers by hand."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from voicenode.audio import PcmFormat, Resampler, apply_gain
from voicenode.encoding import AudioFormat, Encoder, encode
from voicenode.errors import RequestError

MONO = PcmFormat(24000)


def tone(pcm_format: PcmFormat, seconds: float, hertz: float = 440) -> bytes:
    frames = np.arange(round(seconds * pcm_format.rate))
    samples = np.sin(frames * 2 * np.pi * hertz / pcm_format.rate) * 12000
    return samples.astype("<i2").repeat(pcm_format.channels).tobytes()


def loudest_hertz(samples: np.ndarray, rate: int) -> float:
    spectrum = np.abs(np.fft.rfft(samples))
    return float(np.argmax(spectrum) * rate / len(samples))


@pytest.mark.parametrize("source", [MONO, PcmFormat(22050), PcmFormat(44100, channels=2)])
@pytest.mark.parametrize(
    "audio_format", [AudioFormat.WAV, AudioFormat.FLAC, AudioFormat.MP3, AudioFormat.OPUS]
)
def test_a_decoder_finds_the_same_sound_and_length(audio_format: AudioFormat, source: PcmFormat) -> None:
    file = encode(audio_format, source, tone(source, 1.5))
    samples, rate = soundfile.read(io.BytesIO(file), always_2d=True)
    assert rate == audio_format.rate_for(source.rate)
    assert samples.shape[1] == source.channels
    assert len(samples) / rate == pytest.approx(1.5, abs=0.001)
    assert loudest_hertz(samples[:, 0], rate) == pytest.approx(440, abs=2)


@pytest.mark.parametrize("audio_format", [AudioFormat.WAV, AudioFormat.FLAC])
def test_lossless_formats_keep_every_sample(audio_format: AudioFormat) -> None:
    pcm = tone(MONO, 0.3)
    samples, _ = soundfile.read(io.BytesIO(encode(audio_format, MONO, pcm)), dtype="int16")
    assert samples.tobytes() == pcm


def test_bare_pcm_is_what_went_in() -> None:
    assert encode(AudioFormat.PCM, MONO, b"\1\2\3\4") == b"\1\2\3\4"


@pytest.mark.parametrize(
    ("audio_format", "magic"),
    [
        (AudioFormat.WAV, b"RIFF"),
        (AudioFormat.FLAC, b"fLaC"),
        (AudioFormat.MP3, b"\xff"),
        (AudioFormat.OPUS, b"OggS"),
    ],
)
def test_files_start_as_their_kind_does(audio_format: AudioFormat, magic: bytes) -> None:
    assert encode(audio_format, MONO, tone(MONO, 0.2)).startswith(magic)


@pytest.mark.parametrize("audio_format", list(AudioFormat))
def test_an_answer_without_samples_is_a_readable_file(audio_format: AudioFormat) -> None:
    file = encode(audio_format, MONO, b"")
    if audio_format is not AudioFormat.PCM:
        assert len(soundfile.read(io.BytesIO(file))[0]) <= 1


def test_a_wav_header_counts_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    with path.open("wb") as sink, Encoder(AudioFormat.WAV, PcmFormat(16000, channels=2), sink) as encoder:
        for _ in range(10):
            encoder.write(bytes(400))
    file = path.read_bytes()
    assert struct.unpack("<4sI4s4sIHHIIHH4sI", file[:44]) == (
        b"RIFF", 4036, b"WAVE", b"fmt ", 16, 1, 2, 16000, 64000, 4, 16, b"data", 4000,
    )  # fmt: skip
    assert len(file) == 4044
    assert encoder.seconds == 1000 / 16000


class OneWay(io.BytesIO):
    def seekable(self) -> bool:
        return False


def test_a_wav_that_cannot_be_sought_in_says_the_longest_length() -> None:
    sink = OneWay()
    with Encoder(AudioFormat.WAV, MONO, sink) as encoder:
        encoder.write(bytes(100))
    assert sink.getvalue()[4:8] == b"\xff\xff\xff\xff"
    assert len(sink.getvalue()) == 144


def test_a_container_that_must_seek_refuses_a_sink_that_cannot() -> None:
    with pytest.raises(ValueError, match="flac needs a sink that can seek"):
        Encoder(AudioFormat.FLAC, MONO, OneWay())


def test_a_wav_ends_with_an_error_at_4_gib() -> None:
    block = bytes(1 << 28)
    with Path("/dev/null").open("wb") as sink, Encoder(AudioFormat.WAV, MONO, sink) as encoder:
        for _ in range(15):
            encoder.write(block)
        with pytest.raises(RequestError, match="4 GiB"):
            encoder.write(block)


@pytest.mark.parametrize("audio_format", list(AudioFormat))
def test_a_full_disk_is_an_os_error(audio_format: AudioFormat) -> None:
    with Path("/dev/full").open("wb", buffering=0) as sink, pytest.raises(OSError, match="No space left"):
        encode_into(sink, audio_format)


def encode_into(sink: io.FileIO, audio_format: AudioFormat) -> None:
    with Encoder(audio_format, MONO, sink) as encoder:
        for _ in range(20):
            encoder.write(tone(MONO, 0.5))


def test_a_wanted_rate_is_kept_where_the_format_has_it() -> None:
    sink = io.BytesIO()
    with Encoder(AudioFormat.WAV, MONO, sink, rate=8000) as encoder:
        encoder.write(tone(MONO, 1))
    assert encoder.pcm_format == PcmFormat(8000)
    assert encoder.seconds == pytest.approx(1, abs=0.001)
    assert soundfile.info(io.BytesIO(sink.getvalue())).samplerate == 8000


@pytest.mark.parametrize(
    ("audio_format", "wanted", "rate"),
    [
        (AudioFormat.OPUS, 22050, 24000),
        (AudioFormat.OPUS, 44100, 48000),
        (AudioFormat.OPUS, 96000, 48000),
        (AudioFormat.MP3, 22050, 22050),
        (AudioFormat.MP3, 7000, 8000),
        (AudioFormat.FLAC, 22050, 22050),
    ],
)
def test_other_rates_become_the_next_above(audio_format: AudioFormat, wanted: int, rate: int) -> None:
    assert audio_format.rate_for(wanted) == rate


def test_resampling_in_pieces_keeps_length_and_place() -> None:
    source = PcmFormat(22050)
    pcm = tone(source, 1)
    resampler = Resampler(source, 48000)
    pieces = [resampler.process(pcm[start : start + 1000]) for start in range(0, len(pcm), 1000)]
    samples = np.frombuffer(b"".join([*pieces, resampler.finish()]), "<i2")
    expected = np.frombuffer(tone(resampler.target, 1), "<i2")
    assert len(samples) == len(expected)
    assert np.abs(samples[500:-500].astype(int) - expected[500:-500]).max() < 10


def test_resampling_refuses_half_a_frame() -> None:
    with pytest.raises(ValueError, match="reshape"):
        Resampler(PcmFormat(24000, channels=2), 48000).process(bytes(6))


def test_gain_clips_what_no_longer_fits() -> None:
    pcm = struct.pack("<4h", 100, -100, 30000, -30000)
    assert struct.unpack("<4h", apply_gain(pcm, 2)) == (200, -200, 32767, -32768)
    assert struct.unpack("<4h", apply_gain(pcm, 0.5)) == (50, -50, 15000, -15000)
    assert apply_gain(pcm, 1) is pcm

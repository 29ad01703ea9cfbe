"""Files of every kind become mono samples at 24 kHz, and no file takes more memory than a good one."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pytest
import soundfile

from tests.support.recorded import RATE, file, noise
from voicenode.audio import PcmFormat
from voicenode.errors import RequestError
from voicenode.recordings import Source, check
from voicenode.recordings.reading import Sound, read

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.recorded import Samples

Spoil = Callable[[bytearray], None]


def chirp(seconds: float = 2, rate: int = RATE) -> Samples:
    """From 100 Hz to 2 kHz at half of full scale: unlike at any two times."""
    time = np.arange(round(seconds * rate)) / rate
    samples: Samples = (0.5 * np.sin(2 * np.pi * (100 + 950 * time / seconds) * time)).astype(np.float32)
    return samples


def is_chirp(sound: Sound, level: float = 1.0) -> bool:
    """Whether it sounds so, at that level, and at that time; which way is up cannot be heard."""
    wanted = level * chirp(len(sound.samples) / 24000, 24000)
    likeness = abs(np.corrcoef(sound.samples, wanted)[0, 1])
    return bool(likeness > 0.99 and sound.samples.std() == pytest.approx(wanted.std(), rel=0.02))


@pytest.mark.parametrize("rate", [16000, RATE, 24000, 44100, 48000, 96000])
def test_every_rate_becomes_one(rate: int) -> None:
    sound = read(Source(file(chirp(2, rate), rate)))
    assert (sound.rate, sound.seconds, sound.warnings) == (rate, 2, ())
    assert is_chirp(sound)


@pytest.mark.parametrize(
    ("kind", "subtype", "rate"),
    [
        ("WAV", "PCM_U8", RATE),
        ("WAV", "PCM_32", RATE),
        ("WAV", "DOUBLE", RATE),
        ("WAVEX", "PCM_24", RATE),
        ("RF64", "PCM_16", RATE),
        ("FLAC", "PCM_24", RATE),
        ("OGG", "VORBIS", RATE),
        ("OGG", "OPUS", 48000),
        ("MP3", "MPEG_LAYER_III", 44100),
    ],
)
def test_common_kinds_of_file_sound_alike(kind: str, subtype: str, rate: int) -> None:
    assert is_chirp(read(Source(file(chirp(2, rate), rate, kind, subtype))))


@pytest.mark.parametrize(("width", "kind"), [(1, "PCM_U8"), (2, "PCM_16"), (3, "PCM_24"), (4, "PCM_32")])
def test_bare_samples_are_read_in_the_format_that_is_told(width: int, kind: str) -> None:
    sink = io.BytesIO()
    soundfile.write(sink, np.tile(chirp()[:, None], 2), RATE, format="RAW", subtype=kind)
    assert is_chirp(read(Source(sink.getvalue(), pcm=PcmFormat(RATE, width, 2))))


def test_bare_samples_of_an_unknown_width_are_refused() -> None:
    with pytest.raises(RequestError, match="its samples have 8 bytes"):
        read(Source(bytes(80), pcm=PcmFormat(RATE, 8)))


def test_a_path_is_read_as_its_content(tmp_path: Path) -> None:
    path = tmp_path / "anna.flac"
    path.write_bytes(file(chirp(), kind="FLAC"))
    assert is_chirp(read(Source(path)))


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda _: None], ids=["pipe", "folder", "nothing"])
def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "anna.wav")
    with pytest.raises(RequestError, match=r"anna\.wav will not do: it (is not a file|cannot be read)"):
        check([Source(tmp_path / "anna.wav", "anna.wav")])


@pytest.mark.parametrize(
    ("channels", "level", "unused"),
    [
        ((1, 1), 1, 0),
        ((1, 0.5), 0.75, 0),
        ((1, 0), 1, 1),
        ((0, 1), 1, 1),
        ((0.02, 1), 1, 1),
        ((1, -1), 1, 1),
        ((1, 0, 1, 0, 0, 0), 1, 4),
    ],
    ids=["same", "quieter", "right dead", "left dead", "leaking", "opposite", "surround"],
)
def test_channels_are_mixed_and_dead_ones_left_out(
    channels: tuple[float, ...], level: float, unused: int
) -> None:
    sound = read(Source(file(chirp()[:, None] * np.array(channels, np.float32))))
    assert is_chirp(sound, level)
    assert sound.channels == len(channels)
    assert [warning.split()[0] for warning in sound.warnings] == [str(unused)] * bool(unused)


@pytest.mark.parametrize("gain", [1.0, 2.2, 4.0])
def test_clipping_is_the_share_of_samples_at_the_top(gain: float) -> None:
    cut_off = float((np.abs(gain * chirp()) >= 1).mean())
    clipped = np.clip(gain * chirp(), -1, 1)
    assert read(Source(file(clipped))).clipping == pytest.approx(cut_off, abs=0.12)
    assert read(Source(file(0.3 * clipped))).clipping == pytest.approx(cut_off, abs=0.12)
    assert (read(Source(file(clipped))).clipping > 0.01) == (gain > 1)


def patch(offset: int, value: int, kind: str = "<I") -> Spoil:
    return lambda wav: struct.pack_into(kind, wav, offset, value)


RIFF_SIZE, CHANNELS, WAV_RATE, DATA_SIZE = 4, 22, 24, 40


@pytest.mark.parametrize(
    ("spoil", "warned"),
    [
        (patch(DATA_SIZE, 0xFFFFFFFF), False),
        (patch(DATA_SIZE, 0x7FFFFFF0), False),
        (patch(DATA_SIZE, 10**9), True),
        (patch(RIFF_SIZE, 10), False),
        (patch(RIFF_SIZE, 0), False),
    ],
    ids=["stream", "half a stream", "a gigabyte", "small", "empty"],
)
def test_a_wav_whose_header_lies_is_read_as_far_as_it_goes(spoil: Spoil, warned: bool) -> None:  # noqa: FBT001
    wav = bytearray(file(chirp()))
    spoil(wav)
    sound = read(Source(bytes(wav), "anna.wav"))
    assert is_chirp(sound)
    assert any("anna.wav ends before its header says" in warning for warning in sound.warnings) == warned


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (patch(DATA_SIZE, 0), "there is no sound in it"),
        (patch(WAV_RATE, 1), "sample rate is 1 Hz"),
        (patch(WAV_RATE, 0xFFFFFFFF), "cannot be read"),
        (patch(WAV_RATE, 0), "cannot be read"),
        (patch(CHANNELS, 0, "<H"), "cannot be read"),
        (patch(CHANNELS, 0xFFFF, "<H"), "cannot be read"),
        (patch(CHANNELS, 9, "<H"), "9 channels"),
    ],
)
def test_a_wav_whose_header_is_nonsense_is_refused(spoil: Spoil, told: str) -> None:
    wav = bytearray(file(chirp()))
    spoil(wav)
    with pytest.raises(RequestError, match=told) as refused:
        read(Source(bytes(wav)))
    assert refused.value.code == "bad-recording"


def test_an_upload_that_was_cut_off_gets_a_warning() -> None:
    wav = file(chirp())
    sound = read(Source(wav[: len(wav) // 2]))
    assert sound.seconds == pytest.approx(1, abs=0.01)
    assert "was cut off, perhaps" in sound.warnings[0]


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG", "MP3"])
def test_spoilt_files_are_read_or_refused_and_nothing_else(kind: str) -> None:
    chance = np.random.default_rng(1)
    whole = file(chirp(0.5), 44100, kind)
    for spoilt in range(1, 60):
        audio = bytearray(whole)
        places = chance.integers(len(audio) if spoilt % 2 else min(64, len(audio)), size=spoilt)
        for place in places:
            audio[place] = chance.integers(256)
        try:
            read(Source(bytes(audio)))
        except RequestError as error:
            assert error.code == "bad-recording"  # noqa: PT017 - reading it is as good


BOMB = """
import resource
from pathlib import Path
from voicenode.errors import RequestError
from voicenode.recordings import Source, check
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try: check([Source(Path("small.flac"))])
except RequestError as error: print(error)
before = peak()
try: check([Source(Path("bomb.flac"))])
except RequestError as error: print(error)
print((peak() - before) // 1024)
"""


def test_two_hours_in_a_small_flac_take_no_more_memory_than_a_second(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "small.flac", noise(RATE), RATE)
    with soundfile.SoundFile(tmp_path / "bomb.flac", "w", 16000, 1) as bomb:
        for _ in range(120):
            bomb.write(np.zeros(60 * 16000, np.int16))
    assert (tmp_path / "bomb.flac").stat().st_size < 2**20
    shown = subprocess.run(
        [sys.executable, "-c", BOMB], check=True, capture_output=True, text=True, cwd=tmp_path, timeout=50
    )
    small, bombed, mebibytes = shown.stdout.splitlines()
    assert "no speech was found" in small
    assert "it lasts longer than 300 seconds" in bombed
    assert int(mebibytes) < 20


def test_what_is_over_64_mib_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.wav"
    with path.open("wb") as huge:
        huge.truncate(200 * 2**20)
    with pytest.raises(RequestError, match="have 200 MiB, and 64 MiB are the most") as refused:
        check([Source(path)])
    assert refused.value.code == "audio-too-large"
    with pytest.raises(RequestError, match="have 80 MiB"):
        check([Source(bytes(40 * 2**20))] * 2)

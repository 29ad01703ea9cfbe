"""A recording into mono samples at one rate, decoded in blocks, so that no file takes more memory."""

from __future__ import annotations

import io
import re
import stat
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import soundfile
import soxr

from voicenode.errors import ErrorCode, RequestError
from voicenode.recordings.limits import (
    HIGHEST_RATE,
    LONGEST_SECONDS,
    LOWEST_RATE,
    MOST_BYTES,
    MOST_CHANNELS,
    RATE,
    refused,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from voicenode.recordings.model import Source

    Samples = NDArray[np.float32]

_BLOCK = 65_536
"""Frames that are decoded at once."""
_DEAD_DB = -30.0
"""Below the loudest channel, of one that has no speech of its own: what leaks from one wire into the next."""
_CANCELLED = 0.25
"""The share of the loudest channel's power below which a mix has lost it: channels of opposite polarity."""
_TOP = 0.999
"""The share of the peak that a sample which was cut off reaches; lossy codecs ripple a little."""
_FLAT = 3
"""Samples in a row at the top, from which on they were cut off."""
_UNKNOWN_LENGTH = 0x7FFF0000
"""Bytes, about the most that a header can say, from which on they stand for "until it ends"."""
_SUBTYPES = {1: "PCM_U8", 2: "PCM_16", 3: "PCM_24", 4: "PCM_32"}


@dataclass(frozen=True, slots=True)
class Sound:
    """A recording that could be read."""

    samples: Samples
    """Mono, 24 kHz, full scale is 1.0."""
    rate: int
    """Hz, of the file."""
    channels: int
    clipping: float
    """The share of samples that were cut off at the top."""
    warnings: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        return len(self.samples) / RATE


@dataclass(slots=True)
class _Survey:
    """What must be known of all of a file before its channels can be mixed."""

    frames: int
    peaks: Samples
    """One for each channel."""
    covariance: NDArray[np.float64]


def check_size(sources: Sequence[Source]) -> None:
    """Refuse what is too much before any of it is read.

    Raises:
        RequestError: they are over 64 MiB, or a path leads to no file.
    """
    total = sum(_size(source) for source in sources)
    if total > MOST_BYTES:
        raise RequestError(
            ErrorCode.AUDIO_TOO_LARGE,
            f"the recordings have {total / 2**20:.0f} MiB, and {MOST_BYTES // 2**20} MiB are the most; "
            "half a minute of clear speech is all that is needed",
        )


def read(source: Source) -> Sound:
    """Decode, mix down and resample.

    Raises:
        RequestError: it cannot be read, or its form will not do.
    """
    try:
        with _decoder(source) as file:
            _check_form(source, file)
            survey = _survey(source, file)
            warnings = _cut_off(source, file)
        weights, more = _mix(source, survey)
        with _decoder(source) as file:
            samples, clipping = _decode(file, survey, weights)
            return Sound(samples, file.samplerate, file.channels, clipping, warnings + more)
    except soundfile.LibsndfileError as error:
        raise refused(source.name, f"it cannot be read as audio ({error.error_string}); {_KINDS}") from error
    except OSError as error:
        raise refused(source.name, f"it cannot be read: {error.strerror or error}") from error


_KINDS = "send WAV, FLAC, MP3, or OGG with Vorbis or Opus; anything else: ffmpeg -i FILE recording.flac"


def _size(source: Source) -> int:
    if isinstance(source.audio, bytes):
        return len(source.audio)
    try:
        status = source.audio.stat()
    except OSError as error:
        raise refused(source.name, f"it cannot be read: {error.strerror or error}") from error
    if not stat.S_ISREG(status.st_mode):
        raise refused(source.name, "it is not a file")
    return status.st_size


@contextmanager
def _decoder(source: Source) -> Iterator[soundfile.SoundFile]:
    pcm = source.pcm
    if pcm is not None and pcm.width not in _SUBTYPES:
        raise refused(source.name, f"its samples have {pcm.width} bytes, and one to four are known")
    bare = {
        "samplerate": pcm.rate, "channels": pcm.channels, "format": "RAW", "subtype": _SUBTYPES[pcm.width],
        "endian": "LITTLE",
    } if pcm else {}  # fmt: skip
    with ExitStack() as stack:
        audio = source.audio
        stream = io.BytesIO(audio) if isinstance(audio, bytes) else stack.enter_context(audio.open("rb"))
        file = stack.enter_context(soundfile.SoundFile(stream, **bare))
        file.seekable = lambda: False  # or it seeks after each block, after which an MP3 clicks
        yield file


def _check_form(source: Source, file: soundfile.SoundFile) -> None:
    if file.channels > MOST_CHANNELS:
        raise refused(source.name, f"it has {file.channels} channels, and {MOST_CHANNELS} are the most")
    if not LOWEST_RATE <= file.samplerate <= HIGHEST_RATE:
        raise refused(
            source.name,
            f"its sample rate is {file.samplerate} Hz, and {LOWEST_RATE} to {HIGHEST_RATE} Hz will do; "
            "record it anew at 24 kHz or more, for what a lower rate has lost does not come back",
        )


def _cut_off(source: Source, file: soundfile.SoundFile) -> tuple[str, ...]:
    """A word about a WAV that is shorter than its header says; what is written as it comes says nothing."""
    wrong = re.search(r"^data : (\d+) \(should be", file.extra_info, re.MULTILINE)
    if wrong is None or int(wrong[1]) >= _UNKNOWN_LENGTH:
        return ()
    return (f"{source.name} ends before its header says that it does: it was cut off, perhaps.",)


def _survey(source: Source, file: soundfile.SoundFile) -> _Survey:
    survey = _Survey(0, np.zeros(file.channels, np.float32), np.zeros((file.channels, file.channels)))
    for block in _blocks(file):
        survey.frames += len(block)
        if survey.frames > LONGEST_SECONDS * file.samplerate:
            raise refused(
                source.name,
                f"it lasts longer than {LONGEST_SECONDS:.0f} seconds; send half a minute of clear speech",
            )
        if not np.isfinite(block).all():
            raise refused(source.name, "there are samples in it that are no numbers; export it again")
        survey.peaks = np.maximum(survey.peaks, np.abs(block).max(axis=0))
        survey.covariance += block.T.astype(np.float64) @ block
    if not survey.frames:
        raise refused(source.name, "there is no sound in it")
    return survey


def _blocks(file: soundfile.SoundFile) -> Iterator[Samples]:
    """One row per frame, one column per channel."""
    while len(block := file.read(_BLOCK, dtype="float32", always_2d=True)):
        yield block


def _mix(source: Source, survey: _Survey) -> tuple[Samples, tuple[str, ...]]:
    """How much of each channel goes into the mix, and what there is to say about it."""
    power = survey.covariance.diagonal()
    loudest = int(power.argmax())
    live = power >= power[loudest] * 10 ** (_DEAD_DB / 10)
    weights = live / live.sum()
    if weights @ survey.covariance @ weights < _CANCELLED * power[loudest]:
        weights = np.eye(len(power))[loudest]
    unused = int((weights == 0).sum())
    warning = (
        f"{unused} of {len(power)} channels of {source.name} are not used: silent, or cancelling others."
    )
    return weights.astype(np.float32), (warning,) if unused else ()


def _decode(file: soundfile.SoundFile, survey: _Survey, weights: Samples) -> tuple[Samples, float]:
    stream = soxr.ResampleStream(file.samplerate, RATE, 1, dtype="float32")
    pieces, clipped = [], 0
    for block in _blocks(file):
        clipped += max(_clipped(block[:, i], survey.peaks[i]) for i in np.flatnonzero(weights))
        pieces.append(stream.resample_chunk(block @ weights))
    pieces.append(stream.resample_chunk(np.zeros(0, np.float32), last=True))
    return np.concatenate(pieces), clipped / survey.frames


def _clipped(samples: Samples, peak: np.float32) -> int:
    """How many samples stand in a row at the top or at the bottom."""
    if not peak:
        return 0
    return sum(_in_rows(sign * samples >= _TOP * peak) for sign in (1, -1))


def _in_rows(at_top: NDArray[np.bool_]) -> int:
    edges = np.flatnonzero(np.diff(np.concatenate(([False], at_top, [False]))))
    lengths = edges[1::2] - edges[::2]
    return int(lengths[lengths >= _FLAT].sum())

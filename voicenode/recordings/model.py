"""What goes into a check of recordings, and what comes out; nothing here computes."""

from dataclasses import dataclass
from pathlib import Path

from voicenode.audio import PcmFormat


@dataclass(frozen=True, slots=True)
class Source:
    """A recording as it came."""

    audio: bytes | Path
    """A WAV, FLAC, MP3 or OGG file, or bare samples where `pcm` says which; a path is read, never kept."""
    name: str = "the recording"
    """What errors and warnings call it, such as the name of its file."""
    pcm: PcmFormat | None = None
    """The format of bare samples, 1 to 4 bytes wide; None for a file with a header of its own."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured in one recording, before it was trimmed and its loudness changed; goes into JSON."""

    seconds: float
    """How long it lasts."""
    speech_seconds: float
    """How much of it is speech."""
    speech_share: float
    """The same, 0 to 1."""
    sample_rate: int
    """Hz, of the file."""
    channels: int
    bandwidth_hz: int
    """Up to which frequency there is speech."""
    snr_db: float
    """Signal-to-noise ratio: the power of speech over that of the pauses; at most 80."""
    clipping: float
    """The share of samples that were cut off at the top, 0 to 1."""
    loudness_lufs: float
    """Integrated loudness after ITU-R BS.1770-4."""
    true_peak_dbtp: float
    """The highest level between samples too, after ITU-R BS.1770-4."""


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording that is good enough."""

    name: str
    wav: bytes
    """All of it, trimmed at both ends and at the usual loudness: mono, 16-bit, 24 kHz."""
    seconds: float
    """The length of `wav`."""
    figures: Figures


@dataclass(frozen=True, slots=True)
class Excerpt:
    """The best of the recordings, as an engine takes it: mono, 16-bit, 24 kHz, at the usual loudness."""

    wav: bytes
    seconds: float


@dataclass(frozen=True, slots=True)
class CheckedRecordings:
    """The recordings of one voice, fit to be cloned."""

    recordings: tuple[Recording, ...]
    """The best first."""
    style: Excerpt
    """At most 30 s of the cleanest speech, for engines that learn from the sound alone."""
    spoken: Excerpt
    """At most 12 s of clean speech, for engines that must be told its words."""
    transcribed: Recording | None
    """The recording whose transcript was given; None where there was none."""
    transcript: str | None
    """The words of `transcribed`, as they were given."""
    warnings: tuple[str, ...]
    """What could be better, as sentences for the user."""

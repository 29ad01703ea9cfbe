"""PCM into the formats that players understand, piece by piece, so that a long job never sits in memory.

Everything here blocks: callers on an event loop run it in a thread.
"""

from __future__ import annotations

import io
import struct
from bisect import bisect_left
from enum import StrEnum
from typing import TYPE_CHECKING, BinaryIO, Protocol

from voicenode.audio import PcmFormat, Resampler
from voicenode.errors import ErrorCode, RequestError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self


class AudioFormat(StrEnum):
    """A kind of audio file; the value is also the ending of a file's name."""

    WAV = "wav"
    FLAC = "flac"
    MP3 = "mp3"
    OPUS = "opus"
    """Opus in an Ogg container, RFC 7845."""
    PCM = "pcm"
    """Bare samples, 16-bit little-endian."""

    @property
    def content_type(self) -> str:
        """The MIME type; bare PCM is not `audio/L16`, which promises big-endian samples (RFC 2586)."""
        return _CONTENT_TYPES[self]

    def rate_for(self, wanted: int) -> int:
        """The sample rate that stands for `wanted` in this format: the same, next above, or highest."""
        rates = _RATES.get(self)
        if rates is None:
            return wanted
        return rates[min(bisect_left(rates, wanted), len(rates) - 1)]


class Encoder:
    """One file of audio in the making.

    Args:
        audio_format: what to write.
        source: the format of the PCM that will be written.
        sink: a buffered binary file, left open. All but WAV and PCM need one that can seek; a WAV in one that
            cannot gets the longest possible length in its header, as streams do.
        rate: the wanted sample rate of the file; none means that of the source.

    Raises:
        ValueError: the sink cannot seek and the format needs it.

    `pcm_format` is what a decoder of the file will find. `write` and `close` raise the sink's OSError, and
    RequestError when a WAV grows over 4 GiB.
    """

    def __init__(
        self, audio_format: AudioFormat, source: PcmFormat, sink: BinaryIO, rate: int | None = None
    ) -> None:
        file_rate = audio_format.rate_for(rate or source.rate)
        self._resampler = Resampler(source, file_rate) if file_rate != source.rate else None
        self.pcm_format = self._resampler.target if self._resampler else source
        self._writer = _open_writer(audio_format, self.pcm_format, sink)
        self._size = 0
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def seconds(self) -> float:
        """The playing time of what was written; exact after `close`."""
        return self.pcm_format.seconds(self._size)

    def write(self, pcm: bytes) -> None:
        """Append whole frames of the source's format."""
        self._append(self._resampler.process(pcm) if self._resampler else pcm)

    def close(self) -> None:
        """Write what is still held back and make the header right; closing again does nothing."""
        if self._closed:
            return
        self._closed = True
        try:
            if self._resampler:
                self._append(self._resampler.finish())
        finally:
            self._writer.close()

    def _append(self, pcm: bytes) -> None:
        if pcm:
            self._writer.write(pcm)
            self._size += len(pcm)


def encode(audio_format: AudioFormat, source: PcmFormat, pcm: bytes, rate: int | None = None) -> bytes:
    """A whole short answer in one go."""
    sink = io.BytesIO()
    with Encoder(audio_format, source, sink, rate) as encoder:
        encoder.write(pcm)
    return sink.getvalue()


_CONTENT_TYPES = {
    AudioFormat.WAV: "audio/wav",
    AudioFormat.FLAC: "audio/flac",
    AudioFormat.MP3: "audio/mpeg",
    AudioFormat.OPUS: "audio/ogg; codecs=opus",
    AudioFormat.PCM: "audio/pcm",
}

# MPEG 1, 2 and 2.5 layer III; RFC 6716, section 2.
_RATES = {
    AudioFormat.MP3: (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000),
    AudioFormat.OPUS: (8000, 12000, 16000, 24000, 48000),
}

_SNDFILE_FORMATS = {
    AudioFormat.FLAC: ("FLAC", "PCM_16"),
    AudioFormat.MP3: ("MP3", "MPEG_LAYER_III"),
    AudioFormat.OPUS: ("OGG", "OPUS"),
}


class _Writer(Protocol):
    def write(self, pcm: bytes) -> object: ...

    def close(self) -> None: ...


def _open_writer(audio_format: AudioFormat, pcm_format: PcmFormat, sink: BinaryIO) -> _Writer:
    if audio_format is AudioFormat.PCM:
        return _BareWriter(sink)
    if audio_format is AudioFormat.WAV:
        return _WavWriter(pcm_format, sink)
    return _SndfileWriter(audio_format, pcm_format, sink)


class _BareWriter:
    def __init__(self, sink: BinaryIO) -> None:
        self.write = sink.write

    def close(self) -> None:
        """There is no header."""


class _WavWriter:
    """RIFF WAVE with the 44-byte header that every player knows."""

    _HEADER = struct.Struct("<4sI4s4sIHHIIHH4sI")
    _LIMIT = 0xFFFFFFFF - (_HEADER.size - 8)
    """The most bytes of samples: RIFF counts them and the header after its own size in 32 bits."""

    def __init__(self, pcm_format: PcmFormat, sink: BinaryIO) -> None:
        self._format, self._sink = pcm_format, sink
        self._start = sink.tell() if sink.seekable() else None
        self._size = 0
        sink.write(self._header(self._LIMIT))

    def write(self, pcm: bytes) -> None:
        if self._size + len(pcm) > self._LIMIT:
            raise RequestError(
                ErrorCode.BAD_REQUEST, "A WAV file cannot hold more than 4 GiB; choose flac, mp3 or opus."
            )
        self._sink.write(pcm)
        self._size += len(pcm)

    def close(self) -> None:
        if self._start is not None:
            self._sink.seek(self._start)
            self._sink.write(self._header(self._size))
            self._sink.seek(0, io.SEEK_END)

    def _header(self, size: int) -> bytes:
        pcm = self._format
        return self._HEADER.pack(
            b"RIFF", self._HEADER.size - 8 + size, b"WAVE",
            b"fmt ", 16, 1, pcm.channels, pcm.rate, pcm.bytes_per_second, pcm.frame_bytes, 8 * pcm.width,
            b"data", size,
        )  # fmt: skip


class _SndfileWriter:
    """What libsndfile writes."""

    def __init__(self, audio_format: AudioFormat, pcm_format: PcmFormat, sink: BinaryIO) -> None:
        # Loaded only where something is encoded: a node at rest stays small.
        import soundfile  # noqa: PLC0415

        if not sink.seekable():
            raise ValueError(f"{audio_format} needs a sink that can seek")
        container, subtype = _SNDFILE_FORMATS[audio_format]
        self._sink = _CallbackSink(sink)
        self._empty = True
        self._file = soundfile.SoundFile(
            self._sink,
            "w",
            samplerate=pcm_format.rate,
            channels=pcm_format.channels,
            format=container,
            subtype=subtype,
        )

    def write(self, pcm: bytes) -> None:
        self._file.buffer_write(pcm, "int16")
        self._empty = False
        self._sink.check()

    def close(self) -> None:
        if self._empty:  # libsndfile leaves an unreadable file where there are no samples
            self._file.buffer_write(bytes(2 * self._file.channels), "int16")
        self._file.close()
        self._sink.check()


class _CallbackSink:
    """A sink behind C: an error cannot cross libsndfile, so it is kept and raised on the other side."""

    def __init__(self, sink: BinaryIO) -> None:
        self._sink = sink
        self._error: OSError | None = None

    def write(self, block: bytes) -> int:
        self._attempt(lambda: self._sink.write(block))
        return len(block)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._attempt(lambda: self._sink.seek(offset, whence))
        return self.tell()

    def tell(self) -> int:
        return self._sink.tell()

    def check(self) -> None:
        if self._error is not None:
            raise self._error

    def _attempt(self, operation: Callable[[], object]) -> None:
        if self._error is None:
            try:
                operation()
            except OSError as error:
                self._error = error

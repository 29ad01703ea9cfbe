"""PCM in one sample format: signed 16-bit little-endian, interleaved. All PCM arithmetic lives here."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class PcmFormat:
    """Sample rate in Hz, bytes per sample (always 2, signed little-endian) and number of channels."""

    rate: int
    width: int = 2
    channels: int = 1

    @property
    def frame_bytes(self) -> int:
        """Bytes of one sample of every channel."""
        return self.width * self.channels

    @property
    def bytes_per_second(self) -> int:
        return self.rate * self.frame_bytes

    def seconds(self, size: int) -> float:
        """The playing time of `size` bytes."""
        return size / self.bytes_per_second

    def silence(self, seconds: float) -> bytes:
        """Digital silence, rounded to whole frames."""
        return bytes(round(seconds * self.rate) * self.frame_bytes)


class Resampler:
    """A stream of PCM at another sample rate; `target` is the format of what comes out.

    The length is kept to within one frame, and the filter's delay is made up for, so nothing shifts in time.
    """

    def __init__(self, source: PcmFormat, rate: int) -> None:
        # soxr and numpy are loaded only where something is resampled: a node at rest stays small.
        import soxr  # noqa: PLC0415

        self.source = source
        self.target = replace(source, rate=rate)
        self._stream = soxr.ResampleStream(source.rate, rate, source.channels, dtype="int16")

    def process(self, pcm: bytes) -> bytes:
        """What can be told of the output once these whole frames are known; may be empty."""
        return self._resample(pcm, last=False)

    def finish(self) -> bytes:
        """The rest of the output; nothing may follow."""
        return self._resample(b"", last=True)

    def _resample(self, pcm: bytes, *, last: bool) -> bytes:
        frames: NDArray[np.int16] = self._stream.resample_chunk(_frames(pcm, self.source), last=last)
        return frames.tobytes()


def apply_gain(pcm: bytes, gain: float) -> bytes:
    """The same samples, `gain` times as large; what no longer fits into 16 bits is clipped."""
    if gain == 1:
        return pcm
    import numpy as np  # noqa: PLC0415 - as in Resampler

    samples = np.frombuffer(pcm, dtype="<i2") * np.float32(gain)
    return np.clip(np.rint(samples), -32768, 32767).astype("<i2").tobytes()


def pcm_of(samples: NDArray[np.float32]) -> bytes:
    """Samples whose full scale is 1.0; what is beyond it is clipped."""
    import numpy as np  # noqa: PLC0415 - as in Resampler

    return np.clip(np.rint(samples * 32767), -32768, 32767).astype("<i2").tobytes()


def _frames(pcm: bytes, pcm_format: PcmFormat) -> NDArray[np.int16]:
    """One row per frame, one column per channel; a partial frame is a ValueError."""
    import numpy as np  # noqa: PLC0415 - as in Resampler

    return np.frombuffer(pcm, dtype="<i2").reshape(-1, pcm_format.channels)

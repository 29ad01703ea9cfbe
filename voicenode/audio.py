"""PCM in one sample format: signed 16-bit little-endian, interleaved. All PCM arithmetic lives here."""

from dataclasses import dataclass


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

"""What one side of the XTTS benchmark tells, apart from it so that it can be read without its libraries."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median

from script.benchmarks.playback import waited

TEXT = (
    "The light in the kitchen is on, the window in the bedroom is open, and it is going to rain before noon. "
    "Somebody has left the door of the garage ajar, too, so please have a look at it when you come home, "
    "and remember to bring the umbrellas along now."
)
_RATE = 24000


def tokens_of(text: str) -> int:
    """How many audio tokens natural speech of a text takes."""
    return len(text) * 15 // 10


@dataclass
class Report:
    """What one side took; seconds and bytes."""

    text_tokens: int = 0
    """How the text is read."""
    wake: float = 0
    """From no process at all to the first sound."""
    load: float = 0
    load_memory: int = 0
    """The peak above the process with its libraries imported."""
    speech_memory: int = 0
    """The same after everything has been spoken, when every weight has been used."""
    libraries: int = 0
    """Of the process with its libraries imported."""
    chunks: list[float] = field(default_factory=list)
    """Seconds until each chunk, from the start."""
    samples: list[int] = field(default_factory=list)
    """Samples of each chunk."""
    firsts: list[float] = field(default_factory=list)
    """Seconds until the first chunk each time that the text was begun."""
    prompt: float = 0
    steps: list[float] = field(default_factory=list)
    """Seconds of each token after the first."""
    vocoder: float = 0
    processor: float = 0
    """Time of all processors together while the text was spoken."""
    bandwidth: float = 0
    """Bytes that this machine reads in a second, measured before and after the text; the mean."""
    read: float = 0
    """Bytes of weights and cache that a step reads, in the middle of the text."""

    @property
    def seconds(self) -> float:
        """Of sound."""
        return sum(self.samples) / _RATE

    @property
    def real_time_factor(self) -> float:
        """Seconds of work for a second of sound."""
        return self.chunks[-1] / self.seconds

    @property
    def processor_factor(self) -> float:
        """Seconds of processors for a second of sound."""
        return self.processor / self.seconds

    @property
    def first(self) -> float:
        """Seconds until the first sound, in the median."""
        return median(self.firsts)

    @property
    def step(self) -> float:
        """Seconds of a token, in the mean."""
        return sum(self.steps) / len(self.steps)

    @property
    def limit(self) -> float:
        """Seconds in which memory can give what a step reads."""
        return self.read / self.bandwidth

    @property
    def vocoder_cost(self) -> float:
        """Seconds of the vocoder for a second of sound."""
        return self.vocoder / self.seconds

    @property
    def growth(self) -> float:
        """What a second of sound costs in the last third of the chunks, by the third after the first one."""
        last = len(self.chunks) - 1
        third = max(1, last // 3)
        return self._cost(last - third, last) / self._cost(0, third)

    @property
    def waited(self) -> float:
        """Seconds that a player waits, once it has begun."""
        return waited([(came, size / _RATE) for came, size in zip(self.chunks, self.samples, strict=True)])

    def _cost(self, first: int, last: int) -> float:
        """Seconds of work for a sample, after one chunk and up to another."""
        return (self.chunks[last] - self.chunks[first]) / sum(self.samples[first + 1 : last + 1])

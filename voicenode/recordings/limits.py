"""What a recording must be, with where each number comes from; `docs/cloning.md` tells the owner."""

from voicenode.errors import ErrorCode, RequestError

RATE = 24_000
"""Hz of what is kept: the highest rate of the engines that clone (F5-TTS 24 kHz, XTTS 22.05 kHz)."""
MOST_BYTES = 64 * 2**20
LONGEST_SECONDS = 300.0
LEAST_SPEECH = 3.0
"""Seconds of speech in all."""
MOST_CHANNELS = 8
LOWEST_RATE, MOST_RATE = 16_000, 192_000
"""XTTS recognises a speaker by what lies below 8 kHz, which takes 16 kHz."""


def refused(name: str, why: str) -> RequestError:
    """The error for a recording that will not do; `why` is the rest of its sentence."""
    return RequestError(ErrorCode.BAD_RECORDING, f"{name} will not do: {why}")

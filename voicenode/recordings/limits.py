"""What a recording must be, and where each number comes from; `docs/cloning.md` tells the owner."""

from voicenode.errors import ErrorCode, RequestError

RATE = 24_000
"""Hz of what is kept: the highest rate of the engines that clone (F5-TTS 24 kHz, XTTS 22.05 kHz)."""

MOST_BYTES = 64 * 2**20
"""Of all recordings of a voice together: more than 300 s in stereo at 48 kHz."""
LONGEST_SECONDS = 300.0
MOST_CHANNELS = 8
LOWEST_RATE, HIGHEST_RATE = 16_000, 192_000
"""Hz. XTTS knows a speaker by what lies below 8 kHz, for which it takes 16 kHz."""

LEAST_SPEECH, GOOD_SPEECH = 3.0, 6.0
"""Seconds in all recordings together: less is refused, or warned of. XTTS asks for 6 s."""
LEAST_SHARE = 0.5
"""Of speech in a recording, below which there is a word about it."""
LEAST_LOUDNESS = -50.0
"""LUFS. What is 30 dB below the usual loudness drowns in the noise of 16 bits and of the amplifier."""
LEAST_SNR, GOOD_SNR = 10.0, 20.0
"""Decibels. Below 20 LibriTTS, from which much speech synthesis is learnt, does not count speech as clean."""
MOST_CLIPPING, GOOD_CLIPPING = 0.01, 0.001
"""Shares of the samples. Speech that is amplified to twice full scale loses about one in a hundred."""
LEAST_BANDWIDTH, GOOD_BANDWIDTH = 4_200, 7_000
"""Hz. The telephone ends below 4 kHz; what makes one s sound unlike another lies from 4 to 8 kHz."""
PACE = (0.3, 3.5)
"""How long a transcript's recording lasts, as a share of the time that a calm reader takes."""
USUAL_PACE = (0.5, 2.0)


def refused(name: str, why: str) -> RequestError:
    """The error for a recording that will not do; `why` is the rest of its sentence."""
    return RequestError(ErrorCode.BAD_RECORDING, f"{name} will not do: {why}")

"""What an engine learns a voice from that must be told the words: sound and its transcript, made to fit."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from voicenode.recordings import CheckedRecordings

_NO_WORDS = (
    "F5-TTS needs the words of the recording, and nobody here can listen: send them as `transcript`, "
    "run a Wyoming speech-to-text service, or install voicenode[whisper]."
)


@dataclass(frozen=True, slots=True)
class Reference:
    """Speech and its words."""

    wav: bytes
    """Mono, 16-bit, 24 kHz."""
    transcript: str | None
    """What is said in `wav`; None where nobody knows."""
    warnings: tuple[str, ...] = ()


class Transcriber:
    """Finds the words of recordings that came without, and compares those that came with them.

    Args:
        uri: a Wyoming speech-to-text service, `tcp://host:port`; None to look for one.
        find: looks for such a service on the LAN, and returns its URI, or None.
    """

    def __init__(
        self, uri: str | None = None, find: Callable[[], Awaitable[str | None]] | None = None
    ) -> None:
        self._uri, self._find = uri, find

    async def reference(self, checked: CheckedRecordings, language: str) -> Reference:
        """The speech and the words for engines that need both.

        Args:
            checked: the recordings, with the transcript that the user gave, if any.
            language: what is spoken in them, BCP 47.

        Raises:
            RequestError: `bad-transcript`, where the words given are not those that are heard.
        """
        del language
        if checked.transcribed is not None:
            return Reference(checked.transcribed.wav, checked.transcript)
        return Reference(checked.spoken.wav, None, (_NO_WORDS,))

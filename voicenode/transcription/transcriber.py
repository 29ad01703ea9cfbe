"""What an engine learns a voice from that must be told the words: sound and its transcript, made to fit."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from voicenode.errors import ErrorCode, RequestError
from voicenode.transcription import whisper, wyoming
from voicenode.transcription.comparing import best_match, word_error_rate
from voicenode.transcription.errors import CannotListenError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from voicenode.recordings import CheckedRecordings

_ANOTHER, _ALIKE = 0.7, 0.3
"""Word error rates: from the first on it is another text. Texts that have nothing in
common differ in 0.9 in the median, and in less than 0.7 once in a hundred pairs."""


@dataclass(frozen=True, slots=True)
class Reference:
    """Speech and its words."""

    wav: bytes
    """Mono, 16-bit, 24 kHz."""
    transcript: str | None
    """What is said in `wav`; None where nobody knows."""
    warnings: tuple[str, ...] = ()

    @classmethod
    def unheard(cls, checked: CheckedRecordings) -> Reference:
        """What is known without listening: all of the recording whose words were given, or no words."""
        if checked.transcribed is None:
            return cls(checked.spoken.wav, None)
        return cls(checked.transcribed.wav, checked.transcript)


class Transcriber:
    """Finds the words of recordings that came without, and compares those that came with them.

    Args:
        uri: a Wyoming speech-to-text service, `tcp://host:port`; None to look for one.
        find: looks for such a service on the LAN, and returns its URI, or None.
        whisper_model: the model for faster-whisper, where that is installed; None to do without.
    """

    def __init__(
        self,
        uri: str | None = None,
        find: Callable[[], Awaitable[str | None]] | None = None,
        whisper_model: str | None = None,
    ) -> None:
        self._uri, self._find, self._whisper_model = uri, find, whisper_model

    async def reference(self, checked: CheckedRecordings, language: str = "") -> Reference:
        """The speech and the words for engines that need both.

        With a transcript and nobody to listen, it is all of its recording, and which of the words belong to
        which part is left to the engine.

        Args:
            checked: the recordings, with the transcript that the user gave, if any.
            language: what is spoken in them, BCP 47; empty where nobody said.

        Raises:
            RequestError: `bad-transcript`, where the words given are not those that are heard.
        """
        heard, warnings = await self._hear(checked.spoken.wav, language)
        if heard is None:
            return replace(Reference.unheard(checked), warnings=warnings)
        if checked.transcribed is None or checked.transcript is None:
            told = f"Nobody wrote down what is said; heard was '{heard}'."
            return Reference(checked.spoken.wav, heard, (*warnings, told))
        whole = checked.transcribed.seconds == checked.spoken.seconds
        words, more = await asyncio.to_thread(_compared, checked.transcript, heard, whole=whole)
        return Reference(checked.spoken.wav, words, (*warnings, *more))

    async def _hear(self, wav: bytes, language: str) -> tuple[str | None, tuple[str, ...]]:
        """What the first one hears who can listen, and why others could not."""
        problems: list[str] = []
        async for name, hearing in self._listeners(wav, language):
            try:
                if heard := await hearing:
                    return heard, tuple(problems)
                problems.append(f"{name} understood nothing of the recording.")
            except CannotListenError as error:
                problems.append(str(error))
        return None, tuple(problems)

    async def _listeners(self, wav: bytes, language: str) -> AsyncIterator[tuple[str, Awaitable[str]]]:
        uri = self._uri or (await self._find() if self._find else None)
        if uri is not None:
            yield uri, wyoming.transcribe(uri, wav, language)
        if self._whisper_model is not None and whisper.is_installed():
            yield "faster-whisper", whisper.transcribe(self._whisper_model, wav, language)


def _compared(given: str, heard: str, *, whole: bool) -> tuple[str, tuple[str, ...]]:
    """The words given that belong to what was heard; all of them, where all of the recording was heard."""
    if whole and word_error_rate(given, heard) <= _ALIKE:
        return given, ()
    match = best_match(given, heard)
    if match.errors >= _ANOTHER:
        raise RequestError(
            ErrorCode.BAD_TRANSCRIPT,
            f"the transcript belongs to another recording: heard was '{_short(heard)}', and too little of "
            "that is in it; write down what is said, or send no transcript",
        )
    if match.errors > _ALIKE:
        words = given if whole else match.text
        return words, (f"Is the transcript right? Heard was '{_short(heard)}', given '{_short(words)}'.",)
    return match.text, (
        f"Used of the transcript is '{_short(match.text)}', for this was heard.",
    ) if whole else ()


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


_SHOWN = 120
"""Characters of a text in an error."""

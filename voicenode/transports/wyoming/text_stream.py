"""The text of one streaming request, while it is still being written."""

from __future__ import annotations

import asyncio

from voicenode.errors import ErrorCode, RequestError, VoiceServiceError


class TextStream:
    """Pieces of text from one writer to one reader, at most `max_chars` characters altogether.

    The writer is never told of trouble: the reader is, by an exception out of the iteration.
    """

    def __init__(self, max_chars: int) -> None:
        self.chars = 0
        """Characters written so far."""
        self._max_chars = max_chars
        self._pieces: list[str] = []
        self._changed = asyncio.Event()
        self._error: VoiceServiceError | None = None
        self._ended = False

    def write(self, piece: str) -> None:
        """Add a piece; once there is too much text, the reader gets `text-too-long` instead."""
        self.chars += len(piece)
        if self._error is None and self.chars > self._max_chars:
            self.fail(text_too_long(self.chars, self._max_chars))
        elif piece and self._error is None:
            self._pieces.append(piece)
            self._changed.set()

    def end(self) -> None:
        """No more pieces will come."""
        self._ended = True
        self._changed.set()

    def fail(self, error: VoiceServiceError) -> None:
        """Make the reader fail, at once: what it has not read yet is dropped."""
        self._error = error
        self._pieces.clear()
        self._changed.set()

    def __aiter__(self) -> TextStream:
        return self

    async def __anext__(self) -> str:
        """All text since the last turn.

        Raises:
            VoiceServiceError: the request cannot be completed.
        """
        while not self._pieces:
            if self._error is not None:
                raise self._error
            if self._ended:
                raise StopAsyncIteration
            self._changed.clear()
            await self._changed.wait()
        text = "".join(self._pieces)
        self._pieces.clear()
        return text


def text_too_long(chars: int, max_chars: int) -> RequestError:
    """What a request gets whose text is over the limit."""
    return RequestError(
        ErrorCode.TEXT_TOO_LONG,
        f"the text has {chars} characters or more, and at most {max_chars} are spoken at once; send less",
    )

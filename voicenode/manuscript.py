"""The text of one request, whole or while it is being written, and the language that it is in."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from voicenode.errors import ErrorCode, RequestError
from voicenode.text import Lexicon, Segmenter, detect, segment_ssml, strip_ssml

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Sequence

    from voicenode.request import SynthesisRequest

_FEED_CHARS = 2000
"""Characters of a long text that are cut into segments at a time, so that the event loop stays free."""
_OPENING_CHARS = 500
"""Characters by which a language is told; more make it no surer."""


class Manuscript:
    """What is to be spoken.

    Args:
        request: whose text it is.
        max_chars: how long it may be.

    Raises:
        RequestError: it is too long, as far as that is known by now.
    """

    def __init__(self, request: SynthesisRequest, max_chars: int) -> None:
        self._is_ssml = request.text_format == "ssml"
        self._max_chars = max_chars
        self._opening: list[str] = []
        if isinstance(request.text, str):
            self._check_length(len(request.text))
            self._pieces = _in_pieces(request.text)
        else:
            self._pieces = self._counted(request.text)

    async def language(self, among: Sequence[str], otherwise: str) -> str:
        """Which of some languages it is in, judged by its first sentence or more; `otherwise` where unclear.

        Raises:
            RequestError: the text is too long, or no SSML.
        """
        opening = (await self._first_words(otherwise))[:_OPENING_CHARS]
        return await asyncio.to_thread(detect, opening, among) or otherwise

    async def segments(
        self, language: str, max_chars: int, lexicon: Lexicon, *, ssml: bool
    ) -> AsyncIterator[str]:
        """What an engine is given, piece by piece; where `ssml` is true, documents of SSML.

        Raises:
            RequestError: the text is too long, or no SSML.
        """
        if ssml:
            for text in await asyncio.to_thread(segment_ssml, await self._whole(), max_chars):
                yield text
            return
        segmenter = Segmenter(language, max_chars, lexicon)
        async for piece in self._plain():
            for text in segmenter.feed(piece):
                yield text
        for text in segmenter.finish():
            yield text

    async def _first_words(self, language: str) -> str:
        """Enough of the text to judge it, which stays to be spoken."""
        if self._is_ssml:
            self._opening = [await self._whole()]
            return await asyncio.to_thread(strip_ssml, self._opening[0])
        segmenter = Segmenter(language, _OPENING_CHARS, Lexicon())
        async for piece in self._pieces:
            self._opening.append(piece)
            if found := segmenter.feed(piece):
                return " ".join(found)
        return " ".join(segmenter.finish())

    async def _plain(self) -> AsyncIterator[str]:
        if self._is_ssml:
            yield await asyncio.to_thread(strip_ssml, await self._whole())
            return
        async for piece in self._all():
            yield piece

    async def _whole(self) -> str:
        return "".join([piece async for piece in self._all()])

    async def _all(self) -> AsyncIterator[str]:
        for piece in self._opening:
            yield piece
        async for piece in self._pieces:
            yield piece

    async def _counted(self, pieces: AsyncIterable[str]) -> AsyncIterator[str]:
        chars = 0
        async for piece in pieces:
            chars += len(piece)
            self._check_length(chars)
            yield piece

    def _check_length(self, chars: int) -> None:
        if chars > self._max_chars:
            raise RequestError(
                ErrorCode.TEXT_TOO_LONG,
                f"the text has {chars} characters; text.max_chars allows {self._max_chars}",
            )


async def _in_pieces(text: str) -> AsyncIterator[str]:
    for start in range(0, len(text), _FEED_CHARS):
        yield text[start : start + _FEED_CHARS]

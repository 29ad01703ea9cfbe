"""Text as the model reads it: its languages, its limits, and upstream's own tokenizer."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from voicenode.engine import EngineError, ErrorCode, RequestError
from voicenode_xtts.files import unfit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

LANGUAGES = (
    "en", "es", "fr", "de", "it", "pt", "pl", "tr", "ru", "nl", "cs", "ar", "zh-CN", "hu", "ko", "ja", "hi",
)  # fmt: skip
MAX_CHARS = {
    "en": 250, "de": 253, "fr": 273, "es": 239, "it": 213, "pt": 203, "pl": 224, "zh": 82, "ar": 166,
    "cs": 186, "ru": 182, "nl": 251, "tr": 226, "ja": 71, "hu": 224, "ko": 95, "hi": 150,
}  # fmt: skip
"""The `char_limits` of upstream's tokenizer: longer texts are cut off by the model, mid-word."""

_QUOTES = re.compile('["“”„‟«»‹›「」『』]')  # noqa: RUF001  (look-alikes are the point)
"""At quotation marks, and most of all at the end of a text, the model makes up words."""
_ENDS = tuple(".!?…。！？।؟")  # noqa: RUF001  (other scripts' own)
_MARKS = {"zh": "。", "ja": "。", "hi": "।"}

_UNSAYABLE = (NotImplementedError, OverflowError, KeyError)
"""What num2words raises at numbers that it cannot write out."""
_STRANGE = 0.5
"""From this share of unknown letters on, the model cannot read a text."""
_LONG_NUMBER = 13
"""Digits from which a number is read digit by digit."""
_DIGITS = {"hi": ("शून्य", "एक", "दो", "तीन", "चार", "पाँच", "छह", "सात", "आठ", "नौ")}


def primary(language: str) -> str:
    """The language of a tag as the model knows it: pt of pt-BR.

    Raises:
        RequestError: the model does not speak it.
    """
    code = language.replace("_", "-").partition("-")[0].casefold()
    if code not in MAX_CHARS:
        raise RequestError(
            ErrorCode.BAD_REQUEST,
            f"XTTS v2 does not speak {language[:40]!r}; it speaks {', '.join(sorted(MAX_CHARS))}",
        )
    return code


def settle(text: str, language: str) -> str:
    """A text at which the model is less likely to babble: without quotation marks, and with an end."""
    text = " ".join(_QUOTES.sub(" ", text).split())
    return (
        text
        if text.endswith(_ENDS)
        else text.rstrip(" ,;:-\N{EN DASH}\N{EM DASH}") + _MARKS.get(language, ".")
    )


def cut(text: str, fits: Callable[[str], bool]) -> Iterator[str]:
    """A text in pieces that fit, cut as often as it takes: at the space next to the middle, else there.

    A number that is too long to be one is cut between its digits, which are then said one by one.
    """
    if len(text) == 1 or fits(text):
        yield text
        return
    spelled = _spelled(text)
    middle = len(spelled) // 2
    spaces = (place for place, letter in enumerate(spelled) if letter == " ")
    place = min(spaces, key=lambda place: abs(place - middle), default=middle)
    for half in (spelled[:place].strip(), spelled[place:].strip()):
        yield from cut(half, fits)


class Tokenizer:
    """Upstream's tokenizer, numbers and abbreviations written out.

    Raises:
        EngineError: the vocabulary is not one of XTTS v2.
    """

    def __init__(self, vocabulary: Path, longest: int) -> None:
        from TTS.tts.layers.xtts.tokenizer import VoiceBpeTokenizer  # noqa: PLC0415  (heavy)

        try:
            self._tokenizer: Any = VoiceBpeTokenizer(vocabulary)
        except (
            Exception
        ) as error:  # whatever the library makes of a damaged file; it knows no classes of errors
            raise unfit(f"{vocabulary} is no vocabulary of XTTS v2: {error}") from error
        self._longest = longest
        self.size: int = self._tokenizer.get_number_tokens()
        names = ("[START]", "[STOP]", "[UNK]", "[SPACE]")
        self.start, self.stop, self._unknown, self._space = (self._token(vocabulary, name) for name in names)

    def takes(self, text: str, language: str) -> bool:
        """Whether the model takes so many tokens at once."""
        return len(self._tokens(text, language)) < self._longest

    def encode(self, text: str, language: str) -> list[int]:
        """The tokens of a text in a language that `primary` returned.

        Raises:
            RequestError: there are more of them than the model takes, or it knows few of the letters.
        """
        tokens = self._tokens(text, language)
        if len(tokens) >= self._longest:
            raise RequestError(
                ErrorCode.TEXT_TOO_LONG,
                f"the text has {len(tokens)} tokens, numbers written out, and XTTS v2 takes "
                f"{self._longest - 1} at once; shorten the sentence, or put a full stop into it",
            )
        if self._is_strange(tokens):
            raise RequestError(
                ErrorCode.BAD_REQUEST,
                "XTTS v2 cannot speak this text: most of its letters are unknown to the model; it speaks "
                f"{', '.join(LANGUAGES)}",
            )
        return tokens

    def _is_strange(self, tokens: list[int]) -> bool:
        """Whether the model has never seen most of the letters; the first token tells the language."""
        letters = [token for token in tokens[1:] if token != self._space]
        return bool(letters) and letters.count(self._unknown) >= _STRANGE * len(letters)

    def _tokens(self, text: str, language: str) -> list[int]:
        text = text.strip().lower()
        try:
            tokens: list[int] = self._tokenizer.encode(text, lang=language)
        except _UNSAYABLE:
            tokens = self._tokenizer.encode(_sayable(text, language), lang=language)
        except ImportError as error:
            raise EngineError(
                ErrorCode.ENGINE_UNAVAILABLE,
                f"a library for texts in {language!r} is missing ({error}); install `voicenode[xtts]` again",
            ) from error
        return tokens

    def _token(self, vocabulary: Path, name: str) -> int:
        token: int | None = self._tokenizer.tokenizer.token_to_id(name)
        if token is None:
            raise unfit(f"{vocabulary} is no vocabulary of XTTS v2: it has no {name}")
        return token


def _sayable(text: str, language: str) -> str:
    """The same without what num2words cannot do: Hindi numbers, Czech ordinals, and endless numbers."""
    if words := _DIGITS.get(language):
        return re.sub(r"\d", lambda digit: f" {words[int(digit[0])]} ", text)
    text = re.sub(r"(\d)\.(?!\d)", r"\1 .", text)
    return _spelled(text)


def _spelled(text: str) -> str:
    """Long numbers as their digits."""
    return re.sub(rf"\d{{{_LONG_NUMBER},}}", lambda number: " ".join(number[0]), text)

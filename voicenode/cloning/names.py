"""What a voice may be called."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

from voicenode.errors import ConflictError, ErrorCode, RequestError
from voicenode.voice import name_key

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_CHARS = 60
_PUNCTUATION = " ._'-"
_LETTERS_MARKS_DIGITS = "LMN"
"""First letters of Unicode's general categories."""


def checked_name(name: str) -> str:
    """The name as it is kept: in Unicode's normal form C, without blanks around it.

    Letters and digits of any script, marks on them, and inside single blanks, dots, `_`, `'` and `-`. So no
    name is a path, a pattern or a picture, and every name can be typed.

    Raises:
        RequestError: it will not do.
    """
    name = unicodedata.normalize("NFC", name[: 10 * MAX_CHARS]).strip()
    if not name:
        raise _unfit("a voice needs a name")
    shown = f"{name[:MAX_CHARS]!r}"
    if len(name) > MAX_CHARS:
        raise _unfit(f"the name {shown}\u2026 has more than {MAX_CHARS} characters")
    for character in name:
        if unicodedata.category(character)[0] not in _LETTERS_MARKS_DIGITS and character not in _PUNCTUATION:
            raise _unfit(
                f"the name {shown} contains {character!r}; use letters, digits, {_PUNCTUATION[1:]} and blanks"
            )
    if not name[0].isalnum() or name[-1] in _PUNCTUATION:
        raise _unfit(f"the name {shown} must begin and end with a letter or a digit")
    if "  " in name or ".." in name:
        raise _unfit(f"the name {shown} has two blanks or dots in a row")
    return name


def check_free(name: str, engines: Iterable[str], taken: Iterable[str]) -> None:
    """Look whether a name means an engine's own voice.

    Args:
        name: what `checked_name` gave.
        engines: the names of all engines; a cloned voice `anna` can also be called `xtts-anna`.
        taken: the names and aliases of the engines' own voices, in lower case.

    Raises:
        ConflictError: it does.
    """
    key, engines, taken = name_key(name), list(engines), set(taken)
    for engine in engines:
        if key.startswith(f"{engine}-"):
            raise ConflictError(f"the name '{name}' begins like a voice of engine '{engine}'; choose another")
    for name_of_engine in (key, *(f"{engine}-{key}" for engine in engines)):
        if name_of_engine in taken:
            raise ConflictError(
                f"the name '{name}' is taken: '{name_of_engine}' is an engine's own voice; choose another"
            )


def numbered(name: str, taken: Iterable[str]) -> str:
    """The name with the first number that makes it free: `anna`, then `anna-2`."""
    keys, number = set(taken), 2
    while name_key(f"{name}-{number}") in keys:
        number += 1
    return checked_name(f"{name[: MAX_CHARS - 1 - len(str(number))]}-{number}")


def _unfit(why: str) -> RequestError:
    return RequestError(ErrorCode.BAD_REQUEST, why)

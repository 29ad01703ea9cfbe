"""How error messages repeat a user's words, and tell which ones were perhaps meant."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches

from voicenode.errors import ErrorCode, RequestError

_SHOWN_CHARS = 60
"""Characters of a user's word that an error message repeats."""
_LISTED = 5
"""Names that a message tells where none is near."""


def unknown(code: ErrorCode, kind: str, value: str, known: Sequence[str], *, of: str = "") -> RequestError:
    """The error for a word of a user that is none of the known ones; it tells the nearest, or some."""
    near = _near(value.casefold()[:_SHOWN_CHARS], {name.casefold(): name for name in known})
    hint = f"did you mean {' or '.join(map(repr, near))}?" if near else _there_are(known)
    return RequestError(code, f"unknown {kind} '{shown(value)}'{of}; {hint}")


def shown(value: str) -> str:
    """A word as a message repeats it: not all of a long one."""
    return value if len(value) <= _SHOWN_CHARS else value[:_SHOWN_CHARS] + "\u2026"


def _there_are(known: Sequence[str]) -> str:
    """The first of them, which show how such names look."""
    if not known:
        return "there is none"
    more = f" and {len(known) - _LISTED} more" if len(known) > _LISTED else ""
    return f"known: {', '.join(map(repr, sorted(known)[:_LISTED]))}{more}"


def _near(value: str, known: Mapping[str, str]) -> Sequence[str]:
    """Up to three names: those that go on where `value` ends, then those that look like it."""
    begun = sorted((name for name in known if name.startswith(value)), key=len)
    alike = get_close_matches(value, known, n=3, cutoff=0.5)
    return [known[name] for name in dict.fromkeys([*begun, *alike])][:3]

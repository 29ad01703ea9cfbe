"""What a request wants of a file: all of it, a part, or nothing because the client has it already.

The rules are those of RFC 9110, sections 13 and 14.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from email.utils import formatdate, parsedate_to_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_RANGE = re.compile(r"bytes=(\d{0,40})-(\d{0,40})", re.ASCII | re.IGNORECASE)


class UnsatisfiableRangeError(Exception):
    """The file has nothing of what is asked for."""


@dataclass(frozen=True, slots=True)
class Version:
    """What tells one content of a file from another."""

    etag: str
    modified: int
    """Seconds since the epoch."""

    @property
    def last_modified(self) -> str:
        return formatdate(self.modified, usegmt=True)


def is_known(headers: Mapping[str, str], version: Version) -> bool:
    """Whether the client says that it has this very version; names of `headers` are lower-case."""
    if (tags := headers.get("if-none-match")) is not None:
        known = {tag.strip().removeprefix("W/") for tag in tags.split(",")}
        return "*" in known or version.etag in known
    since = headers.get("if-modified-since")
    return since is not None and version.modified <= _seconds(since)


def wanted_part(headers: Mapping[str, str], version: Version, size: int) -> range | None:
    """The bytes that are asked for; None: all, as a whole.

    A request for several parts gets the whole, which section 14.2 allows: players do not ask for that.

    Raises:
        UnsatisfiableRangeError: none of them is there.
    """
    if_range = headers.get("if-range", version.etag)
    if if_range not in {version.etag, version.last_modified}:
        return None
    match = _RANGE.fullmatch(headers.get("range", ""))
    return _part(match[1], match[2], size) if match else None


def _part(first: str, last: str, size: int) -> range | None:
    if first:
        if last and int(last) < int(first):
            return None
        part = range(int(first), min(int(last) + 1, size) if last else size)
    elif last:
        part = range(max(size - int(last), 0), size)
    else:
        return None
    if part.start >= part.stop:
        raise UnsatisfiableRangeError
    return part


def _seconds(date: str) -> float:
    try:
        return parsedate_to_datetime(date).timestamp()
    except (ValueError, OverflowError):  # a date that is none is as good as absent
        return 0.0

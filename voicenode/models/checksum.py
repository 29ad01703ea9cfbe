"""The two checksums by which hubs name contents."""

import hashlib
from pathlib import Path

_SHA256, _GIT = 64, 40
"""Hexadecimal digits."""


def sha256(path: Path) -> str:
    """The checksum of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_checksum(text: str) -> bool:
    """Whether `verify` can tell anything by this."""
    return len(text) in {_SHA256, _GIT} and set(text) <= set("0123456789abcdef")


def verify(path: Path, wanted: str) -> str | None:
    """The SHA-256 of a file whose checksum is the wanted one, None of any other.

    Args:
        path: the file.
        wanted: SHA-256, by which hubs name large files, or git's, by which they name small ones.
    """
    digest = sha256(path)
    told = digest if len(wanted) == _SHA256 else _git_blob(path)
    return digest if told == wanted else None


def _git_blob(path: Path) -> str:
    content = path.read_bytes()
    head = b"blob %d\0" % len(content)
    return hashlib.sha1(head + content, usedforsecurity=False).hexdigest()

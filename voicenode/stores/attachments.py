"""The files that documents of one collection name, in one directory. Everything here blocks."""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from voicenode.stores.lock import flocked
from voicenode.stores.record import Attachment, attachment_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping


class Attachments:
    """A directory of files that are written once and never changed.

    Files are laid out before a document names them. Meanwhile the directory is locked for sharing, so that
    `clean`, which needs it alone, never takes them for leftovers of a crash.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @contextmanager
    def staged(
        self, key: str, sources: Mapping[str, bytes | Path | None]
    ) -> Iterator[dict[str, Attachment | None]]:
        """Lay out files for a document that the body of the `with` writes; paths are removed when it did."""
        self._directory.mkdir(0o700, exist_ok=True)
        with self._locked(fcntl.LOCK_SH):
            staged: dict[str, Attachment | None] = {}
            try:
                for name, source in sources.items():
                    staged[name] = None if source is None else self._stage(key, name, source)
                flush(self._directory)
            except OSError:
                self.remove(each.file for each in staged.values() if each)
                raise
            yield staged
        for source in sources.values():
            if isinstance(source, Path):
                source.unlink(missing_ok=True)

    def open(self, attachment: Attachment) -> BinaryIO:
        return (self._directory / attachment.file).open("rb")

    def remove(self, files: Iterable[str]) -> None:
        for file in files:
            (self._directory / file).unlink(missing_ok=True)

    def clean(self, kept: set[str]) -> None:
        """Remove all files but these; where some are being laid out right now, that is for another time."""
        with suppress(FileNotFoundError, TimeoutError), self._locked(fcntl.LOCK_EX, patience=0):
            self.remove({path.name for path in self._directory.iterdir()} - kept)

    def problem(self, attachment: Attachment) -> str | None:
        """What is wrong with a file, as the end of a sentence."""
        try:
            size = (self._directory / attachment.file).stat().st_size
        except FileNotFoundError:
            return f"{attachment.file} is missing"
        return (
            None if size == attachment.size else f"{attachment.file} has {size} bytes, not {attachment.size}"
        )

    def _stage(self, key: str, name: str, source: bytes | Path) -> Attachment:
        file = attachment_name(key, secrets.token_hex(8), name)
        path = self._directory / file
        try:
            if isinstance(source, Path):
                _link(source, path)
            else:
                _create(path, source)
            return Attachment(file, _seal(path))
        except OSError:
            path.unlink(missing_ok=True)
            raise

    @contextmanager
    def _locked(self, kind: int, patience: float | None = None) -> Iterator[None]:
        with flocked(os.open(self._directory, os.O_RDONLY | os.O_CLOEXEC), kind, patience):
            yield


def flush(directory: Path) -> None:
    """Make the names in a directory survive a power cut."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _link(source: Path, path: Path) -> None:
    """The same file under another name, or a copy where the file system or its border forbids that."""
    try:
        path.hardlink_to(source)
    except FileNotFoundError:
        raise
    except OSError:
        shutil.copyfile(source, path)


def _create(path: Path, contents: bytes) -> None:
    with path.open("xb") as file:
        file.write(contents)


def _seal(path: Path) -> int:
    """Make the contents survive a power cut; the size."""
    path.chmod(0o600)
    with path.open("rb") as file:
        os.fsync(file.fileno())
        return os.fstat(file.fileno()).st_size

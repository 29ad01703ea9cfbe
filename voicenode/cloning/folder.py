"""A folder whose recordings become voices: `anna.wav`, and what is said in it as `anna.txt`."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from voicenode.cloning.permission import Asker
from voicenode.errors import BusyError, ErrorCode, RequestError, VoiceServiceError
from voicenode.recordings import Source

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable
    from pathlib import Path

    from voicenode.cloning.desk import VoiceDesk

SUFFIXES = {".wav", ".flac", ".mp3", ".ogg", ".oga", ".opus"}
LOOK_SECONDS = 2.0
"""Between two looks; a file that has not changed in between is complete. Watching would not tell that."""
_LONGEST_TRANSCRIPT = 64 * 1024
"""Bytes."""
_OWNER = Asker(door="folder", peer="the import folder")

_log = logging.getLogger(__name__)

State = tuple[int, int]
"""Size, and time of the last change in ns."""


@dataclass(slots=True)
class ImportFolder:
    """Makes voices of what is put into a folder, and moves it to `done` or `failed` beside the reason.

    Args:
        path: is made where it does not exist.
        desk: makes the voices.
    """

    path: Path
    desk: VoiceDesk
    _seen: dict[Path, State] = field(default_factory=dict)

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Look at the folder while this is entered."""
        task = asyncio.create_task(self._watch(), name="watch the import folder")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def _watch(self) -> None:
        while True:
            try:
                for path in await asyncio.to_thread(self._complete):
                    await self._take(path)
            except OSError as error:
                _log.warning("%s cannot be read: %s", self.path, error)
            await asyncio.sleep(LOOK_SECONDS)

    def _complete(self) -> list[Path]:
        """The recordings that have not changed since the last look, nor have their transcripts."""
        self.path.mkdir(0o700, parents=True, exist_ok=True)
        states = dict(_states(self.path.iterdir()))
        steady = {path for path, state in states.items() if self._seen.get(path) == state}
        self._seen = states
        return sorted(
            path
            for path in steady
            if path.suffix.casefold() in SUFFIXES and _words(path) not in states.keys() - steady
        )

    async def _take(self, path: Path) -> None:
        try:
            await self._clone(path)
        except BusyError:
            return  # it is tried again
        except VoiceServiceError as error:
            await asyncio.to_thread(_move, path, "failed", f"{error.code}: {error}\n")
        except Exception:  # noqa: BLE001 - the boundary: the next file is taken all the same
            _log.exception("%s failed for a reason nobody foresaw", path)
            await asyncio.to_thread(_move, path, "failed", "the node failed; its log tells why\n")
        else:
            await asyncio.to_thread(_move, path, "done", "")

    async def _clone(self, path: Path) -> None:
        transcript = await asyncio.to_thread(_transcript, path)
        # Whoever can write here owns the node: what he puts here stays, and replaces what was there.
        data = {"name": path.stem, "transcript": transcript, "replace": True, "ttl": 0}
        await self.desk.clone(data, [Source(path, name=path.name)], _OWNER)


def imported(folder: Path, name: str) -> Source:
    """A recording that lies in the import folder.

    Raises:
        RequestError: there is none of this name.
    """
    path = folder / name
    if "/" in name or "\0" in name or name in {"", ".", ".."} or path.is_symlink() or not path.is_file():
        what = f"there is no file {name[:60]!r} in the import folder; give the bare name of one that is there"
        raise RequestError(ErrorCode.NOT_FOUND, what)
    return Source(path, name=name)


def _states(paths: Iterable[Path]) -> Iterable[tuple[Path, State]]:
    for path in paths:
        with suppress(FileNotFoundError):
            status = path.lstat()
            if path.is_file() and not path.is_symlink() and not path.name.startswith("."):
                yield path, (status.st_size, status.st_mtime_ns)


def _words(path: Path) -> Path:
    return path.with_suffix(".txt")


def _transcript(path: Path) -> str | None:
    words = _words(path)
    if not words.is_file() or words.is_symlink():
        return None
    with words.open("rb") as file:
        text = file.read(_LONGEST_TRANSCRIPT)
    try:
        return text.decode("utf-8-sig").strip() or None
    except UnicodeDecodeError as error:
        raise RequestError(ErrorCode.BAD_TRANSCRIPT, f"{words.name} is not UTF-8 text") from error


def _move(path: Path, where: str, reason: str) -> None:
    """With its transcript; an earlier file of the same name goes."""
    folder = path.parent / where
    folder.mkdir(0o700, exist_ok=True)
    for each in (path, _words(path)):
        with suppress(FileNotFoundError):
            each.replace(folder / each.name)
    reasons = folder / f"{path.name}.reason.txt"
    if reason:
        reasons.write_text(reason, encoding="utf-8", errors="replace")
    else:
        reasons.unlink(missing_ok=True)

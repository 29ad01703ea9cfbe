"""A model on this machine's disk: what of it is there, and whether it is as it was published."""

from __future__ import annotations

import fcntl
import shutil
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from voicenode.errors import ErrorCode, SetupError
from voicenode.models import checksum, manifest
from voicenode.models.catalogue import MODELS, File, Model

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class LocalModel:
    """Where a model lies, or would.

    What is not in the folder's manifest does not count as downloaded, and only what was verified gets there.
    """

    model: Model
    root: Path

    @classmethod
    def of(cls, model: Model, data_dir: Path) -> LocalModel:
        return cls(model, data_dir / "models" / model.folder)

    @property
    def unfinished(self) -> Path:
        """The folder of what is still being downloaded."""
        return self.root / f".unfinished-{self.model.name}"

    def path(self, file: File) -> Path:
        return self.root / file.path

    def state(self) -> Literal["yes", "partly", "no"]:
        """Whether it is downloaded, judged by names and sizes."""
        entries = manifest.read(self.root)
        if all(self._looks_whole(file, entries) for file in self.model.files):
            return "yes"
        return "partly" if self.has_own_files() or self.unfinished.exists() else "no"

    def is_converted(self) -> bool:
        """Whether its engine has made of it what it makes once."""
        made = (self.root / file.converted for file in self.model.files if file.converted)
        return all(path.exists() for path in made)

    def size(self) -> int:
        """Bytes on the disk, what was converted included."""
        parts = (self.root / path for path in self.model.paths())
        return sum(map(_size, (*parts, *self.unfinished.glob("*"))))

    def damaged(self) -> list[str]:
        """The paths of files that are missing, or are not what was published; every byte is read."""
        entries = manifest.read(self.root)
        return [file.path for file in self.model.files if not self._is_whole(file, entries)]

    def record(self, file: File, sha256: str) -> None:
        """Note that a file was verified.

        Raises:
            OSError: the manifest cannot be written.
        """
        entry = manifest.Entry(_size(self.path(file)), sha256, file.repository, file.revision)
        manifest.write(self.root, manifest.read(self.root) | {file.path: entry})

    def remove(self) -> None:
        """Delete what was downloaded and what was made of it; what another model here needs stays.

        Raises:
            OSError: something cannot be deleted.
        """
        if not self.root.is_dir():
            return
        with self.alone():
            others = [other for other in self._others() if other.has_own_files()]
            gone = set(self.model.paths()) - {path for other in others for path in other.model.paths()}
            for path in gone:
                (self.root / path).unlink(missing_ok=True)
            entries = manifest.read(self.root)
            manifest.write(self.root, {path: entry for path, entry in entries.items() if path not in gone})
            shutil.rmtree(self.unfinished, ignore_errors=True)
        self._remove_empty_folders()

    def has_own_files(self) -> bool:
        """Whether there is more of it than it shares with others."""
        shared = {file for other in self._others() for file in other.model.files}
        return any(self.path(file).exists() for file in self.model.files if file not in shared)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """While no other process downloads to this folder or removes from it.

        Raises:
            SetupError: another one does.
            OSError: the folder cannot be made.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        with self.root.with_name(f".{self.root.name}.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                sentence = f"another command is at work in {self.root}; wait until it has ended"
                raise SetupError(ErrorCode.BUSY, sentence) from None
            yield

    def _looks_whole(self, file: File, entries: dict[str, manifest.Entry]) -> bool:
        entry = entries.get(file.path)
        wanted = entry and (entry.repository, entry.revision) == (file.repository, file.revision)
        return bool(entry and wanted and _size(self.path(file)) == entry.size)

    def _is_whole(self, file: File, entries: dict[str, manifest.Entry]) -> bool:
        if not self._looks_whole(file, entries):
            return False
        return checksum.sha256(self.path(file)) == entries[file.path].sha256

    def _others(self) -> list[LocalModel]:
        """The other models in this folder, here or not."""
        models = (model for model in MODELS.values() if model.folder == self.model.folder)
        return [replace(self, model=model) for model in models if model != self.model]

    def _remove_empty_folders(self) -> None:
        folders = {self.path(file).parent for file in self.model.files} | {self.root}
        for folder in sorted(folders, reverse=True):
            with suppress(OSError):  # something else is in it
                folder.rmdir()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0

"""The folder of a model in the layout in which XTTS v2 is published, read without any heavy library."""

from __future__ import annotations

import hashlib
import json
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voicenode.engine import EngineError, ErrorCode

if TYPE_CHECKING:
    from collections.abc import Mapping

MODEL, SPEAKERS = "model", "speakers_xtts"
"""The checkpoints, `<name>.pth` as published; each is converted once to `<name>.safetensors`."""
INT8 = "model-int8"
"""What is made of the converted model for processors."""
LAYOUT = "voicenode-xtts-1"
"""Names what conversion makes, so that a later version of it knows to convert again."""
_DOWNLOAD = "download it with `voicenode models download xtts`"
_LONGEST_HEADER = 100 << 20


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """Where the files of a model are."""

    root: Path

    @classmethod
    def of(cls, path: str | None) -> ModelFolder:
        """The folder of the settings, or where a download would go."""
        if path is not None:
            return cls(Path(path).expanduser())
        data = os.environ.get("XDG_DATA_HOME") or Path("~/.local/share").expanduser()
        return cls(Path(data, "voicenode", "models", "xtts"))

    @property
    def vocabulary(self) -> Path:
        return self.root / "vocab.json"

    def check(self) -> None:
        """Raise EngineError where a file is missing without which nothing can be spoken."""
        if not self.root.is_dir():
            raise unavailable(f"there is no XTTS v2 model in {self.root}; {_DOWNLOAD}")
        if not (self.source(MODEL).is_file() or self.converted(MODEL)):
            raise unavailable(f"{self.source(MODEL)} is missing; {_DOWNLOAD}")
        for needed in (self.root / "config.json", self.vocabulary):
            if not needed.is_file():
                raise unavailable(f"{needed} is missing, and the model is of no use without it; {_DOWNLOAD}")

    def config(self) -> Mapping[str, Any]:
        """What config.json says.

        Raises:
            EngineError: it cannot be read, or is of another model.
        """
        path = self.root / "config.json"
        try:
            config = json.loads(path.read_bytes())
            if config["model"] != "xtts" or not config["model_args"]["gpt_use_perceiver_resampler"]:
                raise unfit(f"{path} describes another model than XTTS v2")
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise unfit(f"{path} is no configuration of XTTS v2: {_reason(error)}") from error
        return dict(config)

    def source(self, name: str) -> Path:
        """The published file."""
        return self.root / f"{name}.pth"

    def converted(self, name: str, stamp: str | None = None) -> Path | None:
        """What was made of `source`, if that is still so; None where it is to be converted.

        Args:
            name: which of the files.
            stamp: of what it was made of, where that is not `source`.

        Raises:
            EngineError: it is damaged, and there is no source to make it again.
        """
        stamp = stamp or self.stamp(name)
        for path in self._places(name):
            told = _told(path, forgiving=stamp is not None)
            if told.get("layout") == LAYOUT and stamp in {None, told.get("source")}:
                return path
        return None

    def target(self, name: str) -> Path:
        """Where to convert to: beside the source, or in the user's cache where that cannot be."""
        beside, cached = self._places(name)
        is_ours = not beside.exists() or "layout" in _told(beside, forgiving=True)
        if is_ours and os.access(self.root, os.W_OK | os.X_OK):
            return beside
        cached.parent.mkdir(parents=True, exist_ok=True)
        return cached

    def stamp(self, name: str) -> str | None:
        """Changes with the source; None where there is none."""
        try:
            return stamp_of(self.source(name))
        except FileNotFoundError:
            return None

    def name(self) -> str:
        """Tells this model from others, in what is made by it."""
        stamp = self.stamp(MODEL)
        if stamp is None and (path := self.converted(MODEL)):
            stamp = _told(path, forgiving=False).get("source")
        return f"{LAYOUT} {stamp or ''}".strip()

    def _places(self, name: str) -> tuple[Path, Path]:
        key = hashlib.sha256(os.fsencode(self.root.resolve())).hexdigest()[:16]
        return self.root / f"{name}.safetensors", cache_folder() / key / f"{name}.safetensors"


def stamp_of(path: Path) -> str:
    """Changes with a file."""
    status = path.stat()
    return f"{status.st_size} {status.st_mtime_ns}"


def cache_folder() -> Path:
    """What can be made again is kept here."""
    cache = os.environ.get("CACHE_DIRECTORY") or os.environ.get("XDG_CACHE_HOME")
    return Path(cache or Path("~/.cache").expanduser(), "voicenode", "xtts")


def header(path: Path) -> dict[str, Any]:
    """The head of a safetensors file: each tensor's name -> its dtype, shape and place.

    Raises:
        EngineError: the file is truncated, or is none.
    """
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > _LONGEST_HEADER:
                raise ValueError("it does not begin with a header")  # noqa: TRY301  (with all others)
            told: dict[str, Any] = json.loads(file.read(length))
        tensors = [entry for name, entry in told.items() if name != "__metadata__"]
        size = 8 + length + max((entry["data_offsets"][1] for entry in tensors), default=0)
        if path.stat().st_size != size:
            raise ValueError(f"it has {path.stat().st_size} bytes instead of {size}")  # noqa: TRY301
    except (OSError, ValueError, KeyError, TypeError, AttributeError, struct.error) as error:
        raise unfit(f"{path} is damaged ({_reason(error)})") from error
    return told


def _told(path: Path, *, forgiving: bool) -> dict[str, str]:
    """The metadata of a safetensors file; none of one that is not there, or, to the forgiving, is damaged."""
    if not path.is_file():
        return {}
    try:
        told: dict[str, str] = header(path).get("__metadata__", {})
    except EngineError:
        if not forgiving:
            raise
        return {}
    return told


def unavailable(sentence: str) -> EngineError:
    """The engine cannot speak here until its owner has done something."""
    return EngineError(ErrorCode.ENGINE_UNAVAILABLE, sentence)


def unfit(sentence: str) -> EngineError:
    """A file is not what it should be."""
    return unavailable(f"{sentence}; copy your own there again, or remove it and {_DOWNLOAD}")


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"

"""What was downloaded into a folder: a small file that tells what each file must be."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

NAME = "manifest.json"


@dataclass(frozen=True, slots=True)
class Entry:
    """A file that was verified when it came."""

    size: int
    sha256: str
    repository: str
    revision: str


def read(folder: Path) -> dict[str, Entry]:
    """Path below the folder -> what must be there; empty where there is no manifest, or a damaged one."""
    try:
        files = json.loads((folder / NAME).read_bytes())["files"]
        return {path: Entry(**entry) for path, entry in files.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def write(folder: Path, entries: Mapping[str, Entry]) -> None:
    """Replace the manifest, whole or not at all; without entries there is none."""
    path = folder / NAME
    if not entries:
        path.unlink(missing_ok=True)
        return
    files = {name: asdict(entry) for name, entry in sorted(entries.items())}
    replace(path, json.dumps({"files": files}, indent=2) + "\n")


def replace(path: Path, text: str) -> None:
    """Write a small file, whole or not at all."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with unfinished.open("w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)

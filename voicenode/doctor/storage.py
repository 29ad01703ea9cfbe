"""Where the node keeps its data: whether it can, whether there is room, and whether what is kept is whole."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from rich.filesize import decimal

from voicenode.doctor.row import Row, absent, ok, wrong
from voicenode.models import MODELS, LocalModel
from voicenode.parts import STORE_FOLDER
from voicenode.stores.file import FileStore

if TYPE_CHECKING:
    from voicenode.settings import LoadedSettings

_ENOUGH = 1_000_000_000
"""Bytes: some hours of audio files, and room for what else the machine writes."""
_SHOWN = 3


def data_dir(loaded: LoadedSettings) -> list[Row]:
    """Whether it can be written, or made."""
    folder = loaded.settings.data_dir
    there = _nearest(folder)
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        found = f"{folder} cannot be {'written' if there == folder else 'made'}: {error.strerror}"
        return [wrong("data directory", found, f"let this user write to {there}, or set another data_dir")]
    return [ok("data directory", f"{folder}" if there == folder else f"{folder}, to be made")]


def disk(loaded: LoadedSettings) -> list[Row]:
    """Whether there is room."""
    folder = loaded.settings.data_dir
    free = shutil.disk_usage(_nearest(folder)).free
    found = f"{decimal(free)} free for {folder}"
    if free < _ENOUGH:
        return [wrong("disk", found, f"free {decimal(_ENOUGH)}, or set a data_dir on another disk")]
    return [ok("disk", found)]


async def store(loaded: LoadedSettings) -> list[Row]:
    """Whether what the node remembers can be read."""
    folder = loaded.settings.data_dir / STORE_FOLDER
    async with FileStore(folder) as kept:
        problems = await kept.verify()
    if problems:
        more = f"; and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        advice = "bring the files back from a backup, or remove them: the node does without"
        return [wrong("store", "; ".join(problems[:_SHOWN]) + more, advice)]
    return [ok("store", f"{folder} is whole, or still empty")]


def models(loaded: LoadedSettings) -> list[Row]:
    """Which models are downloaded, judged by names and sizes."""
    states = {name: LocalModel.of(model, loaded.settings.data_dir).state() for name, model in MODELS.items()}
    partly = [name for name, state in states.items() if state == "partly"]
    whole = [name for name, state in states.items() if state == "yes"]
    if partly:
        again = ", ".join(f"`voicenode models download {name}`" for name in partly)
        return [wrong("models", f"not whole: {', '.join(partly)}", f"run {again}, which goes on")]
    if whole:
        return [ok("models", ", ".join(whole))]
    return [absent("models", "none is downloaded", "`voicenode models list` shows which there are")]


def _nearest(folder: Path) -> Path:
    """The folder, or the nearest one above it that there is."""
    return next((path for path in (folder, *folder.parents) if path.is_dir()), Path("/"))

"""The files of voices: as the store has them, and as copies that engines can open."""

from __future__ import annotations

import asyncio
import json
import shutil
import struct
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from voicenode.cloning.profile import COLLECTION, Artefacts, Kept
from voicenode.errors import EngineError, ErrorCode, StoreError

if TYPE_CHECKING:
    from voicenode.stores.store import Store

REFERENCE = "reference.wav"
"""What a recording is called while an engine learns from it."""
_LONGEST_HEADER = 1 << 20


async def read_file(store: Store, key: str, name: str) -> bytes:
    """What is in a file that belongs to a voice.

    Raises:
        StoreError: it cannot be read.
    """
    opening = asyncio.ensure_future(store.open(COLLECTION, key, name))
    try:
        file = await asyncio.shield(opening)
    except asyncio.CancelledError:
        opening.add_done_callback(_close)
        raise
    if file is None:
        raise StoreError(ErrorCode.STORE_FAILED, f"{name} of voice '{key}' is not in the store any more")
    with file:
        return await asyncio.to_thread(file.read)


def model_of(content: bytes) -> str:
    """The model that made artefacts; empty where they do not tell.

    Raises:
        EngineError: they are no safetensors file.
    """
    try:
        (length,) = struct.unpack_from("<Q", content)
        if length > _LONGEST_HEADER:
            raise ValueError("its header is too long")  # noqa: TRY301 - with all others
        header = json.loads(content[8 : 8 + length])
        model: str = str(header.get("__metadata__", {}).get("model", ""))
    except (struct.error, ValueError, AttributeError) as error:
        what = f"the engine made something that is no safetensors file: {error}"
        raise EngineError(ErrorCode.ENGINE_FAILED, what) from error
    return model


def local_name(made: Artefacts) -> str:
    """Nothing else ever has the same name, which engines rely on."""
    return f"{made.sha256[:32]}.safetensors"


def local_names(kept: Kept | None) -> set[str]:
    """The names of the local copies of what a voice has."""
    if kept is None:
        return set()
    return {local_name(made) for several in kept.profile.artefacts.values() for made in several}


def laid_out(parent: Path, reference: bytes) -> Path:
    """A new folder with a recording in it, or none."""
    folder = Path(tempfile.mkdtemp(dir=parent))
    try:
        (folder / REFERENCE).write_bytes(reference)
    except OSError:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return folder


def place(path: Path, content: bytes) -> None:
    """Write a file that appears whole.

    Raises:
        StoreError: there is no room.
    """
    try:
        folder = Path(tempfile.mkdtemp(dir=path.parent))
        try:
            (folder / path.name).write_bytes(content)
            (folder / path.name).replace(path)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    except OSError as error:
        raise StoreError.of(error, f"{path} cannot be written") from error


def _close(opening: asyncio.Future[BinaryIO | None]) -> None:
    """Nobody waits for a file any more."""
    if not opening.cancelled() and not opening.exception() and (file := opening.result()):
        file.close()

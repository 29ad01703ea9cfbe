"""A voice as one file, for another node: a ZIP of its profile, its recordings and what was made of them.

    voice.json                    {"format": 1, "profile": ..., "files": {name: SHA-256}}
    files/recording-1.wav
    files/xtts-1f0c9a2b7d3e4f50.safetensors

Everything here blocks.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import wave
import zlib
from typing import TYPE_CHECKING
from zipfile import ZIP_STORED, BadZipFile, ZipFile

from voicenode.cloning.files import model_of
from voicenode.cloning.names import checked_name
from voicenode.cloning.profile import Kept, VoiceProfile
from voicenode.errors import ErrorCode, RequestError, VoiceServiceError
from voicenode.stores.store import Document

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FORMAT = 1
"""The version of the layout above."""
_MOST_BYTES = 256 * 1024 * 1024
_MOST_FILES = 100
_DAMAGES = (
    *(BadZipFile, ValueError, TypeError, KeyError, AttributeError),
    *(NotImplementedError, RuntimeError, EOFError, zlib.error),
)
"""What reading a file that is none of ours may raise."""
_INDEX = "voice.json"
_FOLDER = "files/"
_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def pack(profile: VoiceProfile, files: Mapping[str, bytes]) -> bytes:
    """The content of the file; `files` are all that the profile names."""
    index = {
        "format": FORMAT,
        "profile": profile.document,
        "files": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
    }
    sink = io.BytesIO()
    with ZipFile(sink, "w", ZIP_STORED) as archive:
        archive.writestr(_INDEX, json.dumps(index, indent=1))
        for name, content in files.items():
            archive.writestr(_FOLDER + name, content)
    return sink.getvalue()


def unpack(path: Path) -> tuple[VoiceProfile, dict[str, bytes]]:
    """The profile and its files, every one of them checked; nothing is written.

    Raises:
        RequestError: it is no voice, it is damaged, or something is in it that does not belong there.
    """
    try:
        with ZipFile(path) as archive:
            return _read(archive)
    except OSError as error:
        raise RequestError(
            ErrorCode.NOT_FOUND, f"{path} cannot be read: {error.strerror or error}"
        ) from error
    except VoiceServiceError as error:
        raise RequestError(error.code, f"{path} cannot be imported: {error}") from error
    except _DAMAGES as error:
        what = f"{path} is not a voice that `voicenode voices export` wrote, or it is damaged: {error}"
        raise RequestError(ErrorCode.BAD_REQUEST, what) from error


def _read(archive: ZipFile) -> tuple[VoiceProfile, dict[str, bytes]]:
    entries = {entry.filename: entry for entry in archive.infolist()}
    if len(archive.infolist()) != len(entries) or len(entries) > _MOST_FILES:
        raise ValueError("a file is in it twice, or there are too many")
    if sum(entry.file_size for entry in entries.values()) > _MOST_BYTES:
        raise ValueError(f"it has more than {_MOST_BYTES >> 20} MiB")
    index = json.loads(archive.read(_INDEX))
    if index["format"] != FORMAT:
        raise ValueError(
            f"its format is {index['format']!r:.20}, and {FORMAT} is understood; update voicenode"
        )
    profile = Kept.of(Document("", 1, index["profile"])).profile
    sums: dict[str, str] = index["files"]
    if set(sums) != profile.files or set(entries) != {_INDEX, *(_FOLDER + name for name in sums)}:
        raise ValueError("its files are not those that its profile names")
    files = {name: _file(archive, name, digest) for name, digest in sums.items()}
    _check(profile, files)
    return profile, files


def _file(archive: ZipFile, name: str, digest: str) -> bytes:
    if not _FILE.fullmatch(name):
        raise ValueError(f"{name!r:.60} is no name for a file in it")
    content = archive.read(_FOLDER + name)
    if hashlib.sha256(content).hexdigest() != digest:
        raise ValueError(f"{name} is not what it was when it was exported")
    return content


def _check(profile: VoiceProfile, files: Mapping[str, bytes]) -> None:
    if checked_name(profile.name) != profile.name:
        raise ValueError(f"{profile.name!r:.60} is no name for a voice")
    for name in {*profile.recordings, profile.style, profile.spoken}:
        _check_wav(name, files[name])
    for several in profile.artefacts.values():
        for made in several:
            if made.sha256 != hashlib.sha256(files[made.file]).hexdigest() or made.model != model_of(
                files[made.file]
            ):
                raise ValueError(f"{made.file} is not what its profile says")


def _check_wav(name: str, content: bytes) -> None:
    try:
        with wave.open(io.BytesIO(content)) as sound:
            good = (sound.getnchannels(), sound.getsampwidth()) == (1, 2) and sound.getnframes() > 0
    except (wave.Error, EOFError) as error:
        raise ValueError(f"{name} is no recording: {error}") from error
    if not good:
        raise ValueError(f"{name} is not a mono recording of 16 bits")

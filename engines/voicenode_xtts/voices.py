"""Which voices there are: those that come with the model, and those of a folder of recordings."""

from __future__ import annotations

import pickletools
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import BadZipFile, ZipFile

from voicenode_xtts.files import SPEAKERS, header, unavailable, unfit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from voicenode_xtts.files import ModelFolder

_RECORDINGS = {".wav", ".flac", ".ogg", ".mp3"}
_NO_DECOMPOSITION = str.maketrans("ıłøßđ", "ilosd")


def built_in(folder: ModelFolder) -> dict[str, str]:
    """Voice id -> the name under which the model has it.

    Raises:
        EngineError: the file with the voices is damaged.
    """
    if path := folder.converted(SPEAKERS):
        names = {name.rpartition("/")[0] for name in header(path) if "/" in name}
    elif (path := folder.source(SPEAKERS)).is_file():
        names = set(_pickled_names(path))
    else:
        return {}  # a model of the user's own, perhaps, which has none
    return {_slug(name): name for name in sorted(names)}


def recorded(folder: str | None) -> dict[str, Path]:
    """Voice id -> its recording.

    Raises:
        EngineError: there is no such folder.
    """
    if folder is None:
        return {}
    path = Path(folder).expanduser()
    if not path.is_dir():
        raise unavailable(f"voices_dir {path} is no folder; make it, or correct the setting")
    files = (file for file in sorted(path.iterdir()) if file.suffix.casefold() in _RECORDINGS)
    return {_slug(file.stem): file for file in files}


def _pickled_names(path: Path) -> Iterator[str]:
    """The names in a checkpoint, without unpickling it: the strings that stand before a dictionary."""
    try:
        with ZipFile(path) as archive:
            inside = next(name for name in archive.namelist() if name.endswith("data.pkl"))
            operations = pickletools.genops(archive.read(inside))
            said = ""
            for code, argument, _place in operations:
                if code.name.endswith("UNICODE"):
                    said = str(argument)
                elif code.name == "EMPTY_DICT" and said:
                    yield said
                    said = ""
                elif "PUT" not in code.name and code.name != "MEMOIZE":
                    said = ""
    except (BadZipFile, StopIteration, ValueError) as error:
        raise unfit(f"{path} is damaged: {error}") from error


def _slug(name: str) -> str:
    """A voice's id: Camilla Holmström becomes camilla-holmstrom."""
    letters = unicodedata.normalize("NFKD", name.casefold().translate(_NO_DECOMPOSITION))
    plain = "".join(letter for letter in letters if not unicodedata.combining(letter))
    return "-".join("".join(c if c.isalnum() else " " for c in plain).split())

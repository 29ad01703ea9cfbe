"""The voices that are there without cloning: the package's own examples, and a folder of recordings."""

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from voicenode_f5.files import NOT_INSTALLED, unavailable

_log = logging.getLogger(__name__)

_EXAMPLES = {
    "en": "Some call me nature, others call me mother nature.",
    "zh": "对，这就是我，万人敬仰的太乙真人。",  # noqa: RUF001
}
"""What is said in `basic_ref_<language>.wav`, after F5-TTS's own documentation."""


@dataclass(frozen=True, slots=True)
class Recording:
    """A voice as it lies on disk."""

    id: str
    path: Path
    transcript: str
    description: str
    language: str = ""
    """The language that is spoken in it; empty where nobody said."""


def examples() -> list[Recording]:
    """The reference voices that come with F5-TTS.

    Their files are there where it is installed, which need not be this process: an engine may have an
    interpreter of its own.
    """
    folder = (_package() or Path("f5_tts")) / "infer" / "examples" / "basic"
    return [
        Recording(
            language, folder / f"basic_ref_{language}.wav", words, f"F5-TTS example ({language})", language
        )
        for language, words in _EXAMPLES.items()
    ]


def require_package() -> None:
    """Raise EngineError where F5-TTS is not installed."""
    if _package() is None:
        raise unavailable(NOT_INSTALLED)


def recordings(folder: Path) -> Iterator[Recording]:
    """Every WAV file of a folder with its transcript beside it, as .txt; the file's name is the voice's.

    Raises:
        EngineError: there is no such folder.
    """
    if not folder.is_dir():
        raise unavailable(
            f"the folder {folder} of the setting `voices_dir` is not there; make it, or clear the setting"
        )
    for path in sorted(folder.glob("*.wav")):
        words = path.with_suffix(".txt")
        if words.is_file():
            name = re.sub(r"[\W_]+", "-", path.stem.casefold()).strip("-")
            yield Recording(name, path, words.read_text(encoding="utf-8").strip(), path.stem)
        else:
            _log.warning("%s has no transcript %s beside it, and is no voice for F5-TTS", path, words.name)


def _package() -> Path | None:
    """The folder of F5-TTS, which is not imported; None where it is not installed."""
    spec = find_spec("f5_tts")
    places = spec.submodule_search_locations if spec else None
    return Path(next(iter(places))) if places else None

"""Where the weights are: the layout of the published checkpoints, below one folder.

F5TTS_v1_Base/model_1250000.safetensors   vocab.txt
E2TTS_Base/model_1200000.safetensors      vocab.txt
vocos-mel-24khz/pytorch_model.bin         config.yaml
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from voicenode.engine import EngineError, ErrorCode

VOCOS = "vocos-mel-24khz"
NOT_INSTALLED = "it is not installed; run `pip install voicenode[f5]`"
_DOWNLOADS = {"F5TTS_v1_Base": "f5", "F5TTS_Base": "f5-base", "E2TTS_Base": "e2"}
"""Model -> what `voicenode models` calls it."""
_SUFFIXES = (".safetensors", ".pt")


@dataclass(frozen=True, slots=True)
class Files:
    """The files of one model."""

    checkpoint: Path
    vocabulary: Path
    vocoder: Path


def models_folder(path: str | None) -> Path:
    """The folder of the settings, or where a download would go."""
    if path is not None:
        return Path(path).expanduser()
    data = os.environ.get("XDG_DATA_HOME") or Path("~/.local/share").expanduser()
    return Path(data, "voicenode", "models", "f5")


def find(folder: Path, model: str, checkpoint: str | None) -> Files:
    """The files of `model` below `folder`, or of a checkpoint of the user's own.

    Args:
        folder: what the models were downloaded to.
        model: the name of a published model, which is its folder's.
        checkpoint: a file, or a folder with one; its vocab.txt is beside it. None for the published one.

    Raises:
        EngineError: a file is missing; the sentence says which, and what to do.
    """
    download = how_to_download(model)
    own = Path(checkpoint).expanduser() if checkpoint else folder / model
    found = own if own.is_file() else _newest(own)
    if found is None:
        advice = "correct the setting `checkpoint`" if checkpoint else download
        raise unavailable(f"there are no weights of {model} in {own}; {advice}")
    vocabulary = found.parent / "vocab.txt"
    if not vocabulary.is_file():
        advice = "put the one beside it that the model was trained with" if checkpoint else download
        raise unavailable(f"the vocabulary {vocabulary} is missing; {advice}")
    vocoder = folder / VOCOS
    if not any((vocoder / name).is_file() for name in ("pytorch_model.bin", "model.safetensors")):
        raise unavailable(f"there are no weights of the vocoder in {vocoder}; {download}")
    return Files(found, vocabulary, vocoder)


def how_to_download(folder: str) -> str:
    """What to do where weights are not there; `folder` is a model's, or that of the vocoder of them all."""
    return f"run `voicenode models download {_DOWNLOADS.get(folder, 'f5')}`"


def unavailable(sentence: str) -> EngineError:
    """The engine cannot speak here until its owner has done something."""
    return EngineError(ErrorCode.ENGINE_UNAVAILABLE, f"F5-TTS: {sentence}")


def _newest(folder: Path) -> Path | None:
    """The checkpoint with the most training steps in its name, such as model_1250000; safetensors first."""
    checkpoints = [path for path in folder.glob("*") if path.suffix in _SUFFIXES]
    return max(checkpoints, key=_rank, default=None)


def _rank(path: Path) -> tuple[bool, int, str]:
    steps = re.search(r"_(\d+)$", path.stem)
    return path.suffix == _SUFFIXES[0], int(steps[1]) if steps else 0, path.name

"""The models that can be downloaded: where from, in which revision, under which licence.

A revision is a commit, so that a model that was tried stays the same whatever its authors publish later.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ModelName = Literal["xtts", "f5", "f5-base", "e2", "whisper"]
_PICKLES = ("*.pth", "pytorch_model.bin")
"""Other `.bin` files are none: CTranslate2 calls its own format `model.bin`."""


@dataclass(frozen=True, slots=True)
class Licence:
    """What whoever downloads a model agrees to."""

    name: str
    sentence: str | None
    """What it asks for, in short; None of a licence that nobody has to accept."""
    url: str
    variable: str | None = None
    """The environment variable by whose value 1 other programs have it accepted."""


@dataclass(frozen=True, slots=True)
class File:
    """One published file."""

    repository: str
    revision: str
    source: str
    """Its path in the repository."""
    path: str
    """Its path below the model's folder."""

    @property
    def converted(self) -> str | None:
        """The path of what its engine makes of it, once; None where it is used as it is."""
        path = PurePosixPath(self.path)
        return str(path.with_suffix(".safetensors")) if any(map(path.match, _PICKLES)) else None


@dataclass(frozen=True, slots=True)
class Model:
    """What one download brings."""

    name: ModelName
    engine: str | None
    """The engine that speaks with it; None of what listens."""
    description: str
    licence: Licence
    files: tuple[File, ...]
    options: Mapping[str, str] = field(default_factory=dict)
    """The options of the engine that choose this model."""

    @property
    def folder(self) -> str:
        """The folder that it lies in, and the extra that brings what it takes."""
        return self.engine or self.name

    @property
    def revision(self) -> str:
        return self.files[0].revision

    def paths(self) -> Iterator[str]:
        """All that may lie below the folder because of this model."""
        for file in self.files:
            yield file.path
            if file.converted:
                yield file.converted


_XTTS, _XTTS_REVISION = "coqui/XTTS-v2", "6c2b0d75eae4b7047358e3b6bd9325f857d43f77"
_F5, _F5_REVISION = "SWivid/F5-TTS", "84e5a410d9cead4de2f847e7c9369a6440bdfaca"
_E2, _E2_REVISION = "SWivid/E2-TTS", "98016df3e24487aad803aff506335caba8414195"
_VOCOS, _VOCOS_REVISION = "charactr/vocos-mel-24khz", "0feb3fdd929bcd6649e0e7c5a688cf7dd012ef21"
_WHISPER, _WHISPER_REVISION = "Systran/faster-whisper-small", "536b0662742c02347bc0e980a01041f333bce120"

_CPML = Licence(
    "CPML",
    "The Coqui Public Model License allows to use the model, and the speech that it makes, "
    "for non-commercial purposes only.",
    f"https://huggingface.co/{_XTTS}/blob/{_XTTS_REVISION}/LICENSE.txt",
    variable="COQUI_TOS_AGREED",
)
_CC_BY_NC = Licence(
    "CC-BY-NC-4.0",
    "This Creative Commons licence allows to use the model for non-commercial purposes only, "
    "and asks to name its authors.",
    "https://creativecommons.org/licenses/by-nc/4.0/",
)
_MIT = Licence("MIT", None, f"https://huggingface.co/{_WHISPER}")


def _f5(name: ModelName, model: str, description: str, checkpoint: File) -> Model:
    """A model of the F5 engine; all of them have one vocabulary and one vocoder."""
    vocabulary = File(_F5, _F5_REVISION, "F5TTS_v1_Base/vocab.txt", f"{model}/vocab.txt")
    vocoder = (
        File(_VOCOS, _VOCOS_REVISION, source, f"vocos-mel-24khz/{source}")
        for source in ("config.yaml", "pytorch_model.bin")
    )
    return Model(
        name, "f5", description, _CC_BY_NC, (checkpoint, vocabulary, *vocoder), options={"model": model}
    )


def _same(repository: str, revision: str, path: str) -> File:
    return File(repository, revision, source=path, path=path)


_ALL = (
    Model(
        "xtts",
        "xtts",
        "XTTS v2: 17 languages, built-in and cloned voices",
        _CPML,
        tuple(
            _same(_XTTS, _XTTS_REVISION, name)
            for name in ("config.json", "vocab.json", "LICENSE.txt", "speakers_xtts.pth", "model.pth")
        ),
    ),
    _f5(
        "f5",
        "F5TTS_v1_Base",
        "F5-TTS v1: English and Chinese, cloned voices",
        _same(_F5, _F5_REVISION, "F5TTS_v1_Base/model_1250000.safetensors"),
    ),
    _f5(
        "f5-base",
        "F5TTS_Base",
        "F5-TTS before v1, on which older fine-tuned models stand",
        _same(_F5, _F5_REVISION, "F5TTS_Base/model_1200000.safetensors"),
    ),
    _f5(
        "e2",
        "E2TTS_Base",
        "E2 TTS: English and Chinese, cloned voices",
        _same(_E2, _E2_REVISION, "E2TTS_Base/model_1200000.safetensors"),
    ),
    Model(
        "whisper",
        None,
        "Whisper small, for faster-whisper: writes down what recordings say",
        _MIT,
        tuple(
            _same(_WHISPER, _WHISPER_REVISION, name)
            for name in ("config.json", "tokenizer.json", "vocabulary.txt", "model.bin")
        ),
    ),
)
MODELS = {model.name: model for model in _ALL}
"""Name -> model."""

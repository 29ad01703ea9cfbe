"""Checkpoints as published, pickles of PyTorch, into safetensors that can be mapped; done once."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path
from pickle import UnpicklingError
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Any
from zipfile import is_zipfile

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from voicenode.engine import EngineError, ErrorCode
from voicenode_xtts.files import LAYOUT, MODEL, SPEAKERS, unfit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

    from voicenode_xtts.files import ModelFolder

    Tensors = Mapping[str, Tensor]

GPT_LATENT, EMBEDDING = "gpt_cond_latent", "speaker_embedding"
"""What makes a voice: [1, positions, width] for the GPT and [1, width, 1] for the vocoder."""

_TRAINING = ("torch_mel_spectrogram_style_encoder.", "torch_mel_spectrogram_dvae.", "dvae.")
_NORMS = re.compile(r"(.*)\.(?:weight_([gv])|parametrizations\.weight\.original([01]))")
_DAMAGED = (RuntimeError, UnpicklingError, EOFError, ValueError, KeyError, TypeError, AttributeError)


class _Ignored:
    """Stands for the configuration that the published checkpoint holds as objects of upstream's classes."""

    def __setstate__(self, state: object) -> None:
        pass


_SAFE: list[Any] = [
    (_Ignored, name)
    for name in (
        "TTS.tts.models.xtts.XttsArgs",
        "TTS.tts.models.xtts.XttsAudioConfig",
        "TTS.tts.configs.xtts_config.XttsArgs",
        "TTS.tts.configs.xtts_config.XttsAudioConfig",
        "TTS.tts.configs.xtts_config.XttsConfig",
        "TTS.config.shared_configs.BaseDatasetConfig",
    )
]
"""All that published checkpoints name besides tensors; nothing else is unpickled, and these do nothing."""


def convert(folder: ModelFolder) -> None:
    """Convert whatever has not been converted since it changed.

    Raises:
        EngineError: a checkpoint is damaged or of something else, or there is no room for what is made.
    """
    for name, contents in _CONTENTS.items():
        if folder.converted(name) is None and folder.source(name).is_file():
            source, target = folder.source(name), folder.target(name)
            told = {"layout": LAYOUT, "source": folder.stamp(name) or ""}
            try:
                tensors = contents(_unpickled(source))
            except _DAMAGED as error:
                raise unfit(f"{source} is not the checkpoint it should be: {error}") from error
            save(tensors, target, told)


def save(tensors: dict[str, Tensor], target: Path, metadata: dict[str, str]) -> None:
    """Write, read back and only then put in place, so that nothing half-made is ever found there.

    Raises:
        EngineError: there is no room for it.
    """
    try:
        with NamedTemporaryFile(dir=target.parent, prefix=target.name, delete=False) as file:
            temporary = Path(file.name)
        try:
            save_file(tensors, temporary, metadata)
            _verify(tensors, temporary)
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
    except (OSError, SafetensorError) as error:
        size = sum(tensor.nbytes for tensor in tensors.values()) / 1e9
        raise EngineError(
            ErrorCode.ENGINE_UNAVAILABLE,
            f"{target} cannot be written ({error}); it needs {size:.1f} GB on a disk that can be written to",
        ) from error


def _unpickled(path: Path) -> Any:  # noqa: ANN401  (whatever the file holds)
    if not is_zipfile(path):
        raise ValueError("it is truncated, or was not written by PyTorch")
    with torch.serialization.safe_globals(_SAFE):
        return torch.load(path, map_location="cpu", weights_only=True, mmap=True)


def _weights(checkpoint: Any) -> dict[str, Tensor]:  # noqa: ANN401  (whatever the file holds)
    """The tensors that speaking and cloning need, without the weight norm, which only training needs."""
    state: Tensors = checkpoint.get("model", checkpoint)
    named = {name.removeprefix("xtts."): tensor for name, tensor in state.items()}
    weights: dict[str, Tensor] = {}
    norms: dict[str, dict[bool, Tensor]] = {}
    for name, tensor in named.items():
        if match := _NORMS.fullmatch(name):
            direction = "v" in (match[2] or "") or match[3] == "1"
            norms.setdefault(match[1], {})[direction] = tensor
        elif not name.startswith(_TRAINING):
            weights[name] = tensor.contiguous()
    for name, parts in norms.items():
        weights[f"{name}.weight"] = torch._weight_norm(parts[True], parts[False], 0)  # noqa: SLF001  (has no other name)
    return weights


def _voices(checkpoint: Any) -> dict[str, Tensor]:  # noqa: ANN401  (whatever the file holds)
    return {
        f"{voice}/{part}": latents[part].float().contiguous().clone()
        for voice, latents in checkpoint.items()
        for part in (GPT_LATENT, EMBEDDING)
    }


_CONTENTS: dict[str, Callable[[Any], dict[str, Tensor]]] = {MODEL: _weights, SPEAKERS: _voices}


def _verify(tensors: Tensors, path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
        with suppress(AttributeError):  # where the system has no such call
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    with safe_open(path, "pt") as written:
        for name, tensor in tensors.items():
            if not torch.equal(_bytes(written.get_tensor(name)), _bytes(tensor)):
                raise OSError(f"{name} was not written as it should be; check the disk")


def _bytes(tensor: Tensor) -> Tensor:
    return tensor.reshape(-1).view(torch.uint8)

"""The latents of each voice, wherever they come from, ready on the model's device."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save, save_file

from voicenode.engine import ErrorCode, RequestError
from voicenode_xtts.conversion import EMBEDDING, GPT_LATENT
from voicenode_xtts.files import SPEAKERS, cache_folder, unavailable
from voicenode_xtts.voices import built_in, recorded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from voicenode.engine import Segment
    from voicenode_xtts.files import ModelFolder
    from voicenode_xtts.model import Model

_KEPT = 64


class Speakers:
    """Finds what makes a voice, and keeps it for the next segment."""

    def __init__(self, model: Model, folder: ModelFolder, voices_dir: str | None) -> None:
        self._model = model
        self._name = folder.name()
        self._converted = folder.converted(SPEAKERS)
        self._built_in = built_in(folder)
        self._recorded = recorded(voices_dir)
        self._ready: dict[str, tuple[Tensor, Tensor]] = {}

    def latents(self, segment: Segment) -> tuple[Tensor, Tensor]:
        """For the GPT, [positions, width], and for the vocoder, [width, 1].

        Raises:
            RequestError: there is no such voice, or its recording will not do.
            EngineError: its latents are damaged, or of another model.
        """
        key = key_of(segment)
        if key not in self._ready:
            if len(self._ready) >= _KEPT:
                self._ready.pop(next(iter(self._ready)))
            self._ready[key] = self._placed(*self._found(segment))
        return self._ready[key]

    def clone(self, recordings: Sequence[str]) -> bytes:
        """The latents of recordings as the content of a safetensors file."""
        return save(self._compute([Path(path) for path in recordings]), {"model": self._name})

    def _found(self, segment: Segment) -> tuple[Tensor, Tensor]:
        if segment.artefacts is not None:
            return _read(Path(segment.artefacts))
        if path := self._recorded.get(segment.voice):
            return _read(self._kept(path))
        if (name := self._built_in.get(segment.voice)) and self._converted:
            return _read(self._converted, f"{name}/")
        raise RequestError(ErrorCode.UNKNOWN_VOICE, f"XTTS v2 has no voice {segment.voice[:40]!r} here")

    def _kept(self, recording: Path) -> Path:
        """Where the latents of a recording are kept; made again whenever it or the model changes."""
        status = recording.stat()
        told = f"{recording.resolve()} {status.st_size} {status.st_mtime_ns} {self._name}"
        kept = cache_folder() / "voices" / f"{hashlib.sha256(told.encode()).hexdigest()[:32]}.safetensors"
        if not kept.is_file():
            kept.parent.mkdir(parents=True, exist_ok=True)
            unfinished = kept.with_suffix(".new")
            save_file(self._compute([recording]), unfinished)
            unfinished.replace(kept)
        return kept

    def _compute(self, recordings: Sequence[Path]) -> dict[str, Tensor]:
        # transformers and torchaudio, some seconds and 200 MB, for those who clone
        from voicenode_xtts.conditioning import Conditioner  # noqa: PLC0415

        return Conditioner(self._model.config, self._model.weights).latents(recordings)

    def _placed(self, style: Tensor, embedding: Tensor) -> tuple[Tensor, Tensor]:
        gpt = self._model.gpt
        widths = gpt.sizes.width, self._model.hifigan.voice_width
        if (style.shape[-1], embedding.shape[1]) != widths:
            raise unavailable("this voice was cloned by another model; clone it again")
        weight = gpt.mel_head.weight
        return style[0].to(weight.device, weight.dtype), embedding[0].to(weight.device, torch.float32)


def key_of(segment: Segment) -> str:
    """The same for every segment of one voice; artefacts are never rewritten under one path."""
    return segment.artefacts or segment.voice


def _read(path: Path, prefix: str = "") -> tuple[Tensor, Tensor]:
    try:
        with safe_open(path, "pt") as file:
            return file.get_tensor(prefix + GPT_LATENT), file.get_tensor(prefix + EMBEDDING)
    except (OSError, SafetensorError) as error:
        raise unavailable(
            f"the latents of the voice in {path} are damaged ({error}); clone it again"
        ) from error

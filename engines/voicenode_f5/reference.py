"""What a voice is to F5-TTS: a little speech, as mel, and its words, as tokens; made once, then kept."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import soundfile
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from voicenode.engine import EngineError, ErrorCode, RequestError
from voicenode.guard import gain
from voicenode_f5.mel import HOP, RATE, magnitudes
from voicenode_f5.recording import prepare
from voicenode_f5.text import size, tokens

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_ENGINE = "f5"


@dataclass(frozen=True, slots=True)
class Reference:
    """One voice."""

    mel: Tensor
    """Linear, [frames + 1, bands], at the loudness of the recording."""
    tokens: tuple[str, ...]
    transcript: str
    rms: float
    """Root mean square of the recording."""
    gain: float
    """What brings the voice to the usual loudness."""

    @property
    def frames(self) -> int:
        """Its length, as upstream counts it."""
        return len(self.mel) - 1

    @property
    def seconds(self) -> float:
        return self.frames * HOP / RATE

    @property
    def bytes_per_second(self) -> float:
        """How fast it is spoken."""
        return size(self.transcript) / self.seconds

    @classmethod
    def of_samples(cls, samples: NDArray[np.float32], rate: int, transcript: str) -> Reference:
        """The voice of mono samples that begin and end with speech; the transcript is exactly theirs."""
        sound = torch.from_numpy(samples)
        if size(transcript[-1]) == 1:
            transcript += " "
        return cls(
            mel=magnitudes(sound if rate == RATE else _resampled(sound, rate)),
            tokens=tuple(tokens(transcript)),
            transcript=transcript,
            rms=float(sound.square().mean().sqrt()),
            gain=gain(samples, rate),
        )

    @classmethod
    def of_recording(cls, path: str, transcript: str) -> Reference:
        """The voice of a sound file.

        Raises:
            RequestError: it cannot be read, or is no reference.
        """
        try:
            samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
        except (soundfile.LibsndfileError, OSError) as error:
            raise RequestError(
                ErrorCode.BAD_REQUEST, f"the recording {path} cannot be read: {error}"
            ) from error
        speech, words = prepare(samples.mean(axis=1), rate, transcript)
        return cls.of_samples(speech, rate, words)

    @classmethod
    def of_artefacts(cls, path: str) -> Reference:
        """What `artefacts` made.

        Raises:
            EngineError: the file is damaged or another engine's.
        """
        try:
            with safe_open(path, framework="pt") as file:
                known = file.metadata() or {}
                if known.get("engine") != _ENGINE:
                    raise _unusable(path, f"it was made for {known.get('engine', 'another program')}")
                return cls(
                    mel=file.get_tensor("mel").clone(),
                    tokens=tuple(json.loads(known["tokens"])),
                    transcript=known["transcript"],
                    rms=float(known["rms"]),
                    gain=float(known["gain"]),
                )
        except (SafetensorError, OSError, KeyError, ValueError) as error:
            raise _unusable(path, str(error)) from error

    def artefacts(self, model: str) -> bytes:
        """A safetensors file; any model of F5-TTS can use it, `model` tells which one made it."""
        return save(
            {"mel": self.mel.contiguous()},
            {
                "engine": _ENGINE,
                "model": model,
                "tokens": json.dumps(self.tokens),
                "transcript": self.transcript,
                "rms": repr(self.rms),
                "gain": repr(self.gain),
            },
        )


def _resampled(sound: Tensor, rate: int) -> Tensor:
    """By torchaudio, as upstream does, so that a voice is the same there and here."""
    from torchaudio.functional import resample  # noqa: PLC0415 - only for recordings at another rate

    resampled: Tensor = resample(sound, rate, RATE)
    return resampled


def _unusable(path: str, why: str) -> EngineError:
    return EngineError(ErrorCode.ENGINE_FAILED, f"the voice in {path} cannot be used ({why}); clone it again")

"""Recordings of a voice into its latents, by upstream's own networks; on the CPU, for it is done once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import soundfile
import torch
import torchaudio
from safetensors import safe_open
from TTS.encoder.models.resnet import ResNetSpeakerEncoder
from TTS.tts.layers.tortoise.autoregressive import ConditioningEncoder
from TTS.tts.layers.xtts.perceiver_encoder import PerceiverResampler

from voicenode.engine import ErrorCode, RequestError
from voicenode_xtts.conversion import EMBEDDING, GPT_LATENT
from voicenode_xtts.model import Unfilled, fill

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from typing import Any

    from torch import Tensor

_RATE, _ENCODER_RATE = 22050, 16000
_SHORTEST = 0.33
"""Seconds of a piece below which upstream ignores it."""
_MELS = 80
_LATENTS = 32
_ENCODER_AUDIO = {
    "fft_size": 512,
    "win_length": 400,
    "hop_length": 160,
    "sample_rate": _ENCODER_RATE,
    "preemphasis": 0.97,
    "num_mels": 64,
}


class Conditioner:
    """The networks that listen. What they compute equals upstream's `get_conditioning_latents`."""

    def __init__(self, config: Mapping[str, Any], weights: Path) -> None:
        arguments = config["model_args"]
        width = arguments["gpt_n_model_channels"]
        with torch.device("meta"), Unfilled():
            self._encoder = ConditioningEncoder(_MELS, width, num_attn_heads=arguments["gpt_n_heads"])
            self._perceiver = PerceiverResampler(
                dim=width, depth=2, dim_context=width, num_latents=_LATENTS, dim_head=64, heads=8, ff_mult=4
            )
        self._speaker = ResNetSpeakerEncoder(
            input_dim=64, proj_dim=512, log_input=True, use_torch_spec=True, audio_config=_ENCODER_AUDIO
        )
        for module, prefix in (
            (self._encoder, "gpt.conditioning_encoder."),
            (self._perceiver, "gpt.conditioning_perceiver."),
            (self._speaker, "hifigan_decoder.speaker_encoder."),
        ):
            fill(module, weights, prefix, weights, lambda weight: weight.float())
        with safe_open(weights, "pt") as file:
            self._norms: Tensor = file.get_tensor("mel_stats")
        self._mel = torchaudio.transforms.MelSpectrogram(
            sample_rate=_RATE, n_fft=2048, hop_length=256, win_length=1024, f_min=0, f_max=8000,
            n_mels=_MELS, norm="slaney",
        )  # fmt: skip
        self._longest: int = config.get("max_ref_len", 30) * _RATE
        self._heard: int = config.get("gpt_cond_len", 30) * _RATE
        self._piece: int = config.get("gpt_cond_chunk_len", 4) * _RATE

    @torch.inference_mode()
    def latents(self, recordings: Sequence[Path]) -> dict[str, Tensor]:
        """The latents of one voice.

        Raises:
            RequestError: a recording cannot be read, or is too short.
        """
        waves = [_read(path)[:, : self._longest] for path in recordings]
        embeddings = [self._embedding(wave) for wave in waves]
        return {
            GPT_LATENT: self._style(torch.cat(waves, dim=-1)[:, : self._heard]),
            EMBEDDING: torch.stack(embeddings).mean(dim=0),
        }

    def _embedding(self, wave: Tensor) -> Tensor:
        heard = torchaudio.functional.resample(wave, _RATE, _ENCODER_RATE)
        embedding: Tensor = self._speaker(heard, l2_norm=True)
        return embedding[..., None]

    def _style(self, wave: Tensor) -> Tensor:
        pieces = [
            piece for piece in torch.split(wave, self._piece, dim=1) if piece.shape[1] >= _RATE * _SHORTEST
        ]
        styles = [self._perceiver(self._encoder(self._spectrum(piece)).permute(0, 2, 1)) for piece in pieces]
        return torch.stack(styles).mean(dim=0)

    def _spectrum(self, wave: Tensor) -> Tensor:
        spectrum: Tensor = self._mel(wave).clamp(min=1e-5).log()
        return spectrum / self._norms[None, :, None]


def _read(path: Path) -> Tensor:
    try:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, OSError) as error:
        raise RequestError(ErrorCode.BAD_REQUEST, f"the recording {path} cannot be read: {error}") from error
    wave = torch.from_numpy(np.ascontiguousarray(samples.T)).mean(dim=0, keepdim=True)
    if wave.shape[1] < rate * _SHORTEST:
        raise RequestError(
            ErrorCode.BAD_REQUEST,
            f"the recording {path} lasts {wave.shape[1] / rate:.2f} s; six seconds or more make a good voice",
        )
    heard: Tensor = torchaudio.functional.resample(wave, rate, _RATE)
    return heard.clip(-1, 1)

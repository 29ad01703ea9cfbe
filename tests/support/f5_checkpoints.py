"""Checkpoints of F5-TTS, E2 TTS and Vocos with random weights, in the layout in which they are published."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from voicenode_f5.backbones import DiT, Sizes, UNetT
from voicenode_f5.blocks import HEAD
from voicenode_f5.vocos import Vocos
from voicenode_f5.voices import examples

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

VOCABULARY = examples()[0].path.parents[1] / "vocab.txt"
"""The published one."""
TOKENS = 2545
_MEL = 100
_VOCOS_CONFIG = """\
feature_extractor:
  class_path: vocos.feature_extractors.MelSpectrogramFeatures
  init_args: {{sample_rate: 24000, n_fft: 1024, hop_length: 256, n_mels: 100, padding: center}}
backbone:
  class_path: vocos.models.VocosBackbone
  init_args: {{input_channels: 100, dim: {dim}, intermediate_dim: {inner}, num_layers: {layers}}}
head:
  class_path: vocos.heads.ISTFTHead
  init_args: {{dim: {dim}, n_fft: 1024, hop_length: 256, padding: center}}
"""


@dataclass(frozen=True)
class Size:
    """How large the networks are; small unless said otherwise."""

    dim: int = 64
    depth: int = 2
    text_dim: int = 32
    text_layers: int = 2
    vocos_dim: int = 64
    vocos_inner: int = 128
    vocos_layers: int = 2


SMALL, FULL = Size(), Size(1024, 22, 512, 4, 512, 1536, 8)
FULL_E2 = Size(1024, 24, 100, 0, 512, 1536, 8)


def arch(model: str, size: Size) -> dict[str, Any]:
    """What upstream's configuration of the model would say."""
    common = {"dim": size.dim, "depth": size.depth, "heads": size.dim // HEAD}
    if model == "E2TTS_Base":
        return common | {"ff_mult": 4, "text_mask_padding": False, "pe_attn_head": 1}
    text = {"ff_mult": 2, "text_dim": size.text_dim, "conv_layers": size.text_layers}
    old = {"text_mask_padding": False, "pe_attn_head": 1} if model == "F5TTS_Base" else {}
    return common | text | old


def make(folder: Path, model: str = "F5TTS_v1_Base", size: Size | None = None) -> Path:
    """Write the folder that a download would have filled; returns it."""
    size = size or Size()
    torch.manual_seed(1)
    (folder / model).mkdir(parents=True)
    shutil.copy(VOCABULARY, folder / model / "vocab.txt")
    save_file(_published(_backbone(model, size)), folder / model / "model_1250000.safetensors")
    vocos = folder / "vocos-mel-24khz"
    vocos.mkdir(exist_ok=True)
    torch.save(_vocos(size), vocos / "pytorch_model.bin")
    config = _VOCOS_CONFIG.format(dim=size.vocos_dim, inner=size.vocos_inner, layers=size.vocos_layers)
    (vocos / "config.yaml").write_text(config)
    return folder


def _backbone(model: str, size: Size) -> dict[str, Tensor]:
    is_e2 = model == "E2TTS_Base"
    sizes = Sizes(
        mel=_MEL,
        dim=size.dim,
        depth=size.depth,
        attention=size.dim,
        inner=size.dim * (4 if is_e2 else 2),
        text_rows=TOKENS + 1,
        text_dim=_MEL if is_e2 else size.text_dim,
        text_layers=0 if is_e2 else size.text_layers,
    )
    with torch.device("meta"):
        network = (UNetT if is_e2 else DiT)(sizes, masked_text=False, rotary_heads=None)
    return _random(network)


def _published(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    frequencies = 1 / 10000 ** (torch.arange(0, HEAD, 2).float() / HEAD)
    named = {f"ema_model.transformer.{name}": tensor for name, tensor in weights.items()}
    named["ema_model.transformer.rotary_embed.inv_freq"] = frequencies
    return named | {"initted": torch.tensor(True), "step": torch.tensor(1250000)}


def _vocos(size: Size) -> dict[str, Tensor]:
    shapes = {
        "backbone.embed.weight": (size.vocos_dim, _MEL, 7),
        "backbone.convnext.0.pwconv1.weight": (size.vocos_inner, size.vocos_dim),
        "head.out.weight": (1026, size.vocos_dim),
    } | {f"backbone.convnext.{number}.gamma": (size.vocos_dim,) for number in range(size.vocos_layers)}
    with torch.device("meta"):
        network = Vocos(shapes)
    window = torch.hann_window(1024)
    return _random(network) | {
        "feature_extractor.mel_spec.spectrogram.window": window,
        "feature_extractor.mel_spec.mel_scale.fb": torch.zeros(513, _MEL),
        "head.istft.window": window.clone(),
    }


def _random(network: nn.Module) -> dict[str, Tensor]:
    """Weights under which a text can be told from another by how it sounds."""
    return {name: _one(name, tuple(tensor.shape)) for name, tensor in network.state_dict().items()}


def _one(name: str, shape: tuple[int, ...]) -> Tensor:
    if name.endswith((".g", ".gamma")) or "norm.weight" in name:
        return torch.ones(shape)
    if len(shape) == 1:
        return 0.02 * torch.randn(shape)
    if name.endswith("text_embed.weight"):
        return 12 * torch.randn(shape)
    scale: float = prod(shape[1:]) ** -0.5 * (5 if name == "proj_out.weight" else 1)
    return scale * torch.randn(shape)

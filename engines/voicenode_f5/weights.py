"""Weights into networks: nothing is initialised, and on a CPU nothing is copied, for the files are mapped."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pickle import UnpicklingError
from typing import TYPE_CHECKING, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from voicenode_f5.backbones import Backbone, DiT, UNetT
from voicenode_f5.files import how_to_download, unavailable
from voicenode_f5.vocos import Vocos

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Family:
    """What a checkpoint does not tell of its network; from `f5_tts/configs/*.yaml`."""

    network: type[Backbone]
    masked_text: bool
    rotary_heads: int | None


_FAMILIES = {
    "F5TTS_v1_Base": _Family(DiT, masked_text=True, rotary_heads=None),
    "F5TTS_Base": _Family(DiT, masked_text=False, rotary_heads=1),
    "E2TTS_Base": _Family(UNetT, masked_text=False, rotary_heads=1),
}
_BACKBONE_BUFFERS = ("rotary_embed.",)
_VOCODER_BUFFERS = ("feature_extractor.", "head.istft.")
"""Tables in the checkpoints that are computed here."""

Network = TypeVar("Network", bound=nn.Module)
Shapes = dict[str, tuple[int, ...]]


def load_backbone(path: Path, model: str, tokens: int, device: torch.device, dtype: torch.dtype) -> Backbone:
    """The network of `model`, ready to predict.

    Args:
        path: safetensors or a training checkpoint, with or without averaged (EMA) weights.
        model: the published model of this kind.
        tokens: the size of the vocabulary beside it.
        device: where it shall be.
        dtype: how exactly it shall compute.

    Raises:
        EngineError: the file is damaged or holds something else; the sentence says which file, and why.
    """
    family = _FAMILIES[model]

    def build(shapes: Shapes) -> Backbone:
        sizes = family.network.sizes(shapes)
        return family.network(sizes, masked_text=family.masked_text, rotary_heads=family.rotary_heads)

    weights = _of_backbone(_tensors(path))
    if not family.network.fits(weights):
        raise unavailable(
            f"{path} holds {_kind(weights)}, not a network of {model}; correct the setting `model`"
        )
    rows = len(weights.get("text_embed.text_embed.weight", ()))
    if rows != tokens + 1:
        raise unavailable(
            f"{path} was trained with {rows - 1} tokens, but {path.parent / 'vocab.txt'} has {tokens}; "
            "put the vocab.txt beside it that belongs to it"
        )
    return _filled(build, _without(weights, _BACKBONE_BUFFERS), path, device, dtype)


def load_vocoder(folder: Path, device: torch.device) -> Vocos:
    """The vocoder, always in single precision; its checkpoint is converted to safetensors once.

    Raises:
        EngineError: the file is damaged or holds something else.
    """
    path = folder / "pytorch_model.bin"
    weights = _tensors(path if path.is_file() else path.with_suffix(".safetensors"))
    return _filled(Vocos, _without(weights, _VOCODER_BUFFERS), path, device, torch.float32)


def _filled(
    build: Callable[[Shapes], Network],
    weights: Mapping[str, Tensor],
    path: Path,
    device: torch.device,
    dtype: torch.dtype,
) -> Network:
    shapes = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    try:
        with torch.device("meta"):
            network = build(shapes)
    except KeyError as error:
        raise _wrong(path, f"{error} is not in it") from error
    wanted = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    if wanted != shapes:
        name = min(name for name in wanted | shapes if wanted.get(name) != shapes.get(name))
        raise _wrong(path, f"'{name}' has the shape {shapes.get(name)}, expected {wanted.get(name)}")
    network.load_state_dict({name: tensor.to(device, dtype) for name, tensor in weights.items()}, assign=True)
    return network.eval().requires_grad_(requires_grad=False)


def _of_backbone(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The transformer's own tensors, under the names inside it: averaged ones where there are any."""
    inside = "transformer."
    prefixes = {name[: name.index(inside)] for name in weights if inside in name}
    prefix = max(prefixes, key=lambda found: found.startswith("ema"), default="") + inside
    return {name.removeprefix(prefix): one for name, one in weights.items() if name.startswith(prefix)}


def _without(weights: Mapping[str, Tensor], prefixes: tuple[str, ...]) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in weights.items() if not name.startswith(prefixes)}


def _kind(weights: Mapping[str, Tensor]) -> str:
    fitting = [name for name, family in _FAMILIES.items() if family.network.fits(weights)]
    return f"a network of {' or '.join(fitting)}" if fitting else "no network that F5-TTS knows"


def _tensors(path: Path) -> Mapping[str, Tensor]:
    """What is in a checkpoint; a pickled one is converted beside itself, where that can be written."""
    if path.suffix == ".safetensors":
        return _mapped(path)
    converted = path.with_suffix(".safetensors")
    if not (converted.is_file() and converted.stat().st_mtime >= path.stat().st_mtime):
        weights = _unpickled(path)
        try:
            _save(weights, converted)
        except (OSError, SafetensorError) as error:
            _log.warning("%s cannot be kept as safetensors (%s), and loads slowly each time", path, error)
            return weights
    return _mapped(converted)


def _mapped(path: Path) -> dict[str, Tensor]:
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    except (SafetensorError, OSError) as error:
        raise _damaged(path, error) from error


def _unpickled(path: Path) -> dict[str, Tensor]:
    try:
        content = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
    except (RuntimeError, UnpicklingError, EOFError, OSError) as error:
        raise _damaged(path, error) from error
    for part in ("ema_model_state_dict", "model_state_dict"):
        content = content.get(part, content)
    return {name: tensor for name, tensor in content.items() if isinstance(tensor, Tensor)}


def _save(weights: Mapping[str, Tensor], path: Path) -> None:
    unfinished = path.with_suffix(".part")
    save_file({name: tensor.contiguous() for name, tensor in weights.items()}, unfinished)
    unfinished.replace(path)


def _damaged(path: Path, error: Exception) -> Exception:
    reason = str(error).partition("\n")[0].partition(". ")[0]  # PyTorch goes on with guesses
    return unavailable(f"{path} is truncated or damaged ({reason}); {_replace(path)}")


def _wrong(path: Path, why: str) -> Exception:
    return unavailable(f"{path} is not a checkpoint of this network: {why}; {_replace(path)}")


def _replace(path: Path) -> str:
    return f"copy your own there again, or remove it and {how_to_download(path.parent.name)}"

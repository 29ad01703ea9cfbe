"""The weights for processors: those of the blocks, nearly all there are, in eight bits; made once."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from safetensors import safe_open

from voicenode_xtts.conversion import save
from voicenode_xtts.files import INT8, LAYOUT, stamp_of, unavailable
from voicenode_xtts.projection import rounded

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from voicenode_xtts.files import ModelFolder

_ROUNDED = re.compile(r"gpt\.gpt\.h\.\d+\.(?:attn|mlp)\.c_\w+\.weight")
_LEFT_OUT = ("gpt.conditioning_", "hifigan_decoder.", "mel_stats")
"""What has no part in the loop; it is read from the converted model."""


def int8(folder: ModelFolder, weights: Path) -> Path:
    """The file with the rounded weights, which is made first where that has not been done.

    Raises:
        EngineError: there is no room for it.
    """
    stamp = stamp_of(weights)
    made = folder.converted(INT8, stamp)
    if made is None:
        save(_tensors(weights), folder.target(INT8), {"layout": LAYOUT, "source": stamp})
        made = folder.converted(INT8, stamp)
    if made is None:
        raise unavailable(f"{weights} changed while it was converted; try again")
    return made


def _tensors(weights: Path) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    with safe_open(weights, "pt") as file:
        for name in file.keys():  # noqa: SIM118  (no mapping)
            if _ROUNDED.fullmatch(name):
                scale = f"{name.removesuffix('weight')}scale"
                tensors[name], tensors[scale] = rounded(file.get_tensor(name))
            elif not name.startswith(_LEFT_OUT):
                tensors[name] = file.get_tensor(name)
    return tensors

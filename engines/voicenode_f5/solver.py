"""From noise to speech: Euler's method along the flow that the backbone predicts, one step at a time."""

from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import Tensor

from voicenode_f5.backbones import Backbone

_PRUNED = {
    5: (0, 2, 4, 8, 16, 32),
    6: (0, 2, 4, 6, 8, 16, 32),
    7: (0, 2, 4, 6, 8, 16, 24, 32),
    10: (0, 2, 4, 6, 8, 12, 16, 20, 24, 28, 32),
    12: (0, 2, 4, 6, 8, 10, 12, 14, 16, 20, 24, 28, 32),
    16: (0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32),
}
"""Empirically pruned step sampling (arXiv 2505.19931): where few steps are best spent, in 32nds."""
_NO_GUIDANCE = 1e-5


def times(steps: int, sway: float) -> Tensor:
    """The points of time from 0 to 1 at which the flow is predicted, and 1.

    Args:
        steps: how often the backbone runs; counts that EPSS knows are spaced by it, others evenly.
        sway: below 0 moves the points towards the beginning, where the words are decided.
    """
    time = torch.tensor(_PRUNED[steps]) / 32 if steps in _PRUNED else torch.linspace(0, 1, steps + 1)
    return time + sway * (torch.cos(torch.pi / 2 * time) - 1 + time)


def noise(frames: int, mel: int, seed: int, device: torch.device) -> Tensor:
    """What the flow starts from, [frames, mel]: always the same for a seed and a kind of device."""
    return torch.randn(frames, mel, generator=torch.Generator(device).manual_seed(seed), device=device)


@torch.inference_mode()
def conditions(
    backbone: Backbone, reference: Tensor, tokens: Tensor, frames: int, guidance: float
) -> tuple[Tensor, Tensor]:
    """What stays the same in every step.

    Args:
        backbone: which will be guided by them.
        reference: log mel of the reference audio, [frames of it, mel].
        tokens: the reference's and the new text's, [n].
        frames: how long both are together.
        guidance: 0 where the flow shall not be compared with one that knows nothing.

    Returns:
        References and texts, [batch, frames, channels]: what is known, then, for guidance, nothing at all.
    """
    dtype = backbone.proj_out.weight.dtype
    padded = torch.nn.functional.pad(reference, (0, 0, 0, frames - len(reference))).to(dtype)
    texts: Tensor = backbone.text_embed(tokens, frames)
    batch = 1 if guidance < _NO_GUIDANCE else 2
    return torch.stack((padded, torch.zeros_like(padded)))[:batch], texts[:batch]


def solve(
    backbone: Backbone, given: tuple[Tensor, Tensor], start: Tensor, schedule: Tensor, guidance: float
) -> Iterator[Tensor]:
    """Follow the flow: yields the mel [frames, mel] after every step, the finished one last."""
    mel = start
    for begin, end in pairwise(schedule):
        with torch.inference_mode():
            mel = mel + (end - begin) * _flow(backbone, given, mel, begin.to(mel), guidance)
        yield mel


def _flow(
    backbone: Backbone, given: tuple[Tensor, Tensor], mel: Tensor, time: Tensor, guidance: float
) -> Tensor:
    flows: Tensor = backbone(mel.to(given[0].dtype), *given, time).float()
    known = flows[0]
    return known if len(flows) == 1 else known + (known - flows[-1]) * guidance

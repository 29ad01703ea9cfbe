"""What the owner sets of the engine, and what a quality profile or a request may tune."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le

STREAMS = 16
"""Texts that can be spoken at once, at most."""
_DEVICE = re.compile(r"auto|cpu|cuda(:\d+)?")


@dataclass(frozen=True, slots=True)
class XttsOptions:
    """The settings of the engine."""

    path: str | None = None
    """The folder with model.pth, config.json, vocab.json, speakers_xtts.pth; null for the downloaded one."""
    device: str = "auto"
    """Where the model runs: cpu, cuda, cuda:N, or auto for a GPU where there is one."""
    precision: Literal["fast", "exact"] = "fast"
    """fast: weights of 8 bits on a CPU, fp16 on a GPU; exact: fp32, which is several times slower."""
    threads: Annotated[int, Ge(0)] = 0
    """Processor threads; 0 for as many as this machine has cores, and no more than eight."""
    streams: Annotated[int, Ge(0), Le(STREAMS)] = 0
    """Texts that are spoken at once; 0 for 8 on a GPU, 2 on four processor threads or more, and else 1."""
    voices_dir: str | None = None
    """A folder of recordings, each of them a voice with the file's name; null for none."""
    guard: bool = True
    """Whether babble is cut, a failed start is tried again, and silence around speech is trimmed."""
    normalize: bool = True
    """Whether every voice is brought to one loudness."""

    def __post_init__(self) -> None:
        if not _DEVICE.fullmatch(self.device):
            raise ValueError(f"device: expected auto, cpu, cuda or cuda:N, not {self.device!r}")


@dataclass(frozen=True, slots=True)
class XttsParameters:
    """How the model chooses among the sounds that it thinks likely; defaults as in upstream's streams."""

    temperature: Annotated[float, Ge(0.05), Le(2)] = 0.75
    """Low for even and predictable speech, high for lively and risky."""
    top_k: Annotated[int, Ge(1), Le(1000)] = 50
    """How many of the likeliest sounds are considered; 1 for always the likeliest."""
    top_p: Annotated[float, Gt(0), Le(1)] = 0.85
    """Of these, the likeliest that together have this probability."""
    repetition_penalty: Annotated[float, Ge(1), Le(20)] = 10.0
    """How much less likely a sound becomes once it has occurred; 1 for not at all."""
    seed: Annotated[int, Ge(0), Le(2**32 - 1)] | None = None
    """The same seed gives the same speech; null for another one each time."""
    length_penalty: Annotated[float, Ge(0.5), Le(2)] = field(default=1.0, metadata={"without_effect": True})
    """Without effect: XTTS v2 uses it for beam search alone, which cannot be streamed."""
    enable_text_splitting: bool = field(default=False, metadata={"without_effect": True})
    """Without effect: texts are always cut into sentences that fit the model."""

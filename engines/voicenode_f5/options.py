"""What the owner sets of the engine, and what a quality profile or a request may tune."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Le

_DEVICE = re.compile(r"auto|cpu|cuda(:\d+)?")


@dataclass(frozen=True, slots=True)
class F5Options:
    """The settings of the engine."""

    path: str | None = None
    """The folder with F5TTS_v1_Base or E2TTS_Base, and vocos-mel-24khz; null for the downloaded one."""
    model: Literal["F5TTS_v1_Base", "F5TTS_Base", "E2TTS_Base"] = "F5TTS_v1_Base"
    """Which model speaks."""
    checkpoint: str | None = None
    """A fine-tuned checkpoint of your own, of the kind of `model`, its vocab.txt beside it; null for none."""
    languages: tuple[str, ...] = ("en", "zh")
    """What the model was trained on; the published ones on English and Chinese."""
    device: str = "auto"
    """Where the model runs: cpu, cuda, cuda:N, or auto for a GPU where there is one."""
    precision: Literal["auto", "fp32", "fp16", "bf16"] = "auto"
    """How exactly the model computes; auto is fp16 on a GPU and fp32 on a CPU."""
    threads: Annotated[int, Ge(0)] = 0
    """Processor threads; 0 for as many as PyTorch likes."""
    voices_dir: str | None = None
    """A folder of recordings, each NAME.wav a voice with its transcript in NAME.txt; null for none."""
    guard: bool = True
    """Whether lengths are bounded, a silent answer is tried again, and silence around speech is trimmed."""
    normalize: bool = True
    """Whether every voice is brought to one loudness."""

    def __post_init__(self) -> None:
        if not _DEVICE.fullmatch(self.device):
            raise ValueError(f"device: expected auto, cpu, cuda or cuda:N, not {self.device!r}")
        if not self.languages:
            raise ValueError("languages: name at least one")


@dataclass(frozen=True, slots=True)
class F5Parameters:
    """How the model goes from noise to speech; the defaults are upstream's."""

    nfe_step: Annotated[int, Ge(1), Le(128)] = 32
    """In how many steps; 5, 6, 7, 10, 12 and 16 are spaced so that few are enough (EPSS)."""
    cfg_strength: Annotated[float, Ge(0), Le(10)] = 2.0
    """How closely it keeps to the text and the voice."""
    sway_sampling_coef: Annotated[float, Ge(-1), Le(1)] = -1.0
    """Below 0, more of the steps are taken early, where the words are decided."""
    cross_fade: Annotated[float, Ge(0), Le(1)] = 0.15
    """For how many seconds the parts of a long text overlap."""
    target_rms: Annotated[float, Ge(0.001), Le(1)] = 0.1
    """The loudness to which a quieter recording is raised for the model."""
    seed: Annotated[int, Ge(0), Le(2**32 - 1)] | None = None
    """The same seed gives the same speech; null for another one each time."""

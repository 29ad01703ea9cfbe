"""What a quality profile is, and those that come with voicenode."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

SPEED = "speed"
"""What a profile may set of every engine, beside the engine's own parameters."""


@dataclass(frozen=True, slots=True)
class QualityProfile:
    """How an engine speaks; what a profile leaves out is the engine's default."""

    name: str
    engine: str
    parameters: Mapping[str, Any]
    """Of the engine's `parameters_type`, as JSON has them."""
    speed: float | None = None
    """Stands for the node's speed, where a request does not say."""
    description: str = ""
    built_in: bool = False

    @property
    def values(self) -> dict[str, Any]:
        """All that it sets, the speed included."""
        return dict(self.parameters) | ({} if self.speed is None else {SPEED: self.speed})


BUILT_IN = (
    QualityProfile(
        "xtts_balanced",
        "xtts",
        {"temperature": 0.75, "repetition_penalty": 1.5, "top_p": 0.9, "top_k": 60},
        description="Natural and even",
        built_in=True,
    ),
    QualityProfile(
        "xtts_expressive",
        "xtts",
        {"temperature": 0.85, "repetition_penalty": 1.3, "top_p": 0.95, "top_k": 70},
        speed=0.98,
        description="Lively, and less predictable",
        built_in=True,
    ),
    QualityProfile(
        "xtts_stable",
        "xtts",
        {"temperature": 0.7, "repetition_penalty": 1.7, "top_p": 0.85, "top_k": 55},
        description="Calm and predictable",
        built_in=True,
    ),
    QualityProfile(
        "f5tts_fast",
        "f5",
        {"nfe_step": 16, "cfg_strength": 1.5, "sway_sampling_coef": -1.0},
        description="Half the usual time",
        built_in=True,
    ),
    QualityProfile(
        "f5tts_balanced",
        "f5",
        {"nfe_step": 32, "cfg_strength": 2.0, "sway_sampling_coef": -1.0},
        description="The usual time and quality",
        built_in=True,
    ),
    QualityProfile(
        "f5tts_high_quality",
        "f5",
        {"nfe_step": 64, "cfg_strength": 3.0, "sway_sampling_coef": -1.0},
        description="Twice the usual time, very close to the voice",
        built_in=True,
    ),
    QualityProfile(
        "f5tts_ultra_quality",
        "f5",
        {"nfe_step": 64, "cfg_strength": 2.0, "sway_sampling_coef": -1.0},
        description="Twice the usual time",
        built_in=True,
    ),
    QualityProfile(
        "f5tts_ultra_natural",
        "f5",
        {"nfe_step": 48, "cfg_strength": 2.5, "sway_sampling_coef": -1.0},
        speed=0.9,
        description="Unhurried, in one and a half times the usual time",
        built_in=True,
    ),
)
"""Names and values of the system that voicenode replaces, where they are parameters of the engines."""

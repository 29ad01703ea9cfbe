"""What `xtts_fidelity` tells, apart from it so that it can be read without its libraries."""

from __future__ import annotations

from dataclasses import dataclass

GREEDY_TOKENS = 60


@dataclass
class Fidelity:
    """What was compared."""

    same_tokens: int
    """Greedy tokens that the exact path and upstream have in common from the start, of GREEDY_TOKENS."""
    stream: float
    """The largest difference of the exact path's joined stream from one decode by upstream, of its peak."""
    texts: float
    """The same of another text: what the comparison is able to see."""
    cosine: float
    """The least cosine similarity of the logits of both paths in all steps with the same tokens."""
    mel: float
    """Mean difference of the logarithmic mel spectra of these two, in dB."""
    mel_texts: float
    """The same of two texts."""

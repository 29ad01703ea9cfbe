"""How long a text takes to say: F5-TTS must be told before it speaks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from voicenode.guard import longest_seconds, usual_seconds
from voicenode_f5.mel import HOP, RATE
from voicenode_f5.text import size

if TYPE_CHECKING:
    from voicenode_f5.reference import Reference

_FRAMES_PER_SECOND = RATE / HOP
_LONGEST_SECONDS = 22
"""Reference and speech together, up to which the models are good; upstream's bound."""
_LEAST_BATCH = 20
_SHORT_TEXT, _SHORT_TEXT_SPEED = 10, 0.3
"""Bytes below which upstream speaks at this speed, because the model babbles where it has no room."""
_LEAST_SECONDS = 0.8
"""The room that even the shortest text is given; what stays silent of it is trimmed."""
_HASTE = 1.6
"""How much faster than usual a text may be read."""


def batch_bytes(reference: Reference, speed: float) -> int:
    """How much text can be spoken in one go after this reference."""
    seconds = _LONGEST_SECONDS - reference.seconds
    return max(_LEAST_BATCH, int(reference.bytes_per_second * seconds * speed))


def upstream_frames(reference: Reference, text: str, speed: float) -> int:
    """The length in frames, as upstream has it: as many for a byte as the reference has."""
    pace = _SHORT_TEXT_SPEED if size(text) < _SHORT_TEXT else speed
    return int(reference.frames / size(reference.transcript) * size(text) / pace)


def guarded_frames(reference: Reference, text: str, language: str, speed: float) -> int:
    """The length in frames at the reference's pace, within what a sane reader takes.

    Bytes tell little of digits, of signs, and of another alphabet than the reference's. The rule for short
    texts is replaced by room enough: upstream's makes a word of nine letters drawl for two seconds.
    """
    natural = reference.frames / size(reference.transcript) * size(text)
    least = max(_LEAST_SECONDS, usual_seconds(text, language) / _HASTE) * _FRAMES_PER_SECOND
    most = longest_seconds(text, language) * _FRAMES_PER_SECOND
    return int(min(max(natural, least), most) / speed)

"""Voices that are made of recordings: made, kept, shown, lent to engines, and deleted."""

from voicenode.cloning.desk import VoiceDesk
from voicenode.cloning.permission import Asker, Network, Permission, Rules
from voicenode.cloning.voices import ClonedVoices, VoiceLimits

__all__ = [
    "Asker",
    "ClonedVoices",
    "Network",
    "Permission",
    "Rules",
    "VoiceDesk",
    "VoiceLimits",
]

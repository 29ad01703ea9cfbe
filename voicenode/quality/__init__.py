"""Quality profiles: an engine's parameters under a name, built in or the owner's own."""

from voicenode.quality.profile import QualityProfile
from voicenode.quality.profiles import QualityProfiles

__all__ = ["QualityProfile", "QualityProfiles"]

"""XTTS v2: natural speech in seventeen languages, in built-in voices or in one cloned from a recording."""

from voicenode_xtts.engine import XttsEngine
from voicenode_xtts.options import XttsOptions, XttsParameters

__all__ = ["XttsEngine", "XttsOptions", "XttsParameters"]

"""The settings of a node: `load` reads and checks them; `Settings` is what they are."""

from voicenode.settings.loading import LoadedSettings, load
from voicenode.settings.model import EngineSettings, Settings

__all__ = ["EngineSettings", "LoadedSettings", "Settings", "load"]

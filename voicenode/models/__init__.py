"""Models that are downloaded: which there are, where they lie, and whether they are whole."""

from voicenode.models.catalogue import MODELS, Model
from voicenode.models.local import LocalModel

__all__ = ["MODELS", "LocalModel", "Model"]

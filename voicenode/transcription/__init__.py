"""The words of a recording, from whoever can listen: a Wyoming service of the LAN, or faster-whisper."""

from voicenode.transcription.transcriber import Reference, Transcriber

__all__ = ["Reference", "Transcriber"]
